//! `GET /documents/{id}?expires=…&signature=…`: a document as it was printed, for whoever has its
//! signed address. What is under an address never changes, so it may be kept for as long as the
//! address lasts; who keeps it is the browser, and nobody between.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use async_graphql::Executor;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Endpoint;
use super::negotiate::Media;
use super::refusal::Refusal;
use super::request_id::{REQUEST_ID, Trace};
use super::response::refuse;

/// The parts of an address, as the client sent them.
#[derive(Clone, Debug)]
pub struct SignedAddress {
    /// The document.
    pub id: String,
    /// Until when, in seconds since 1970.
    pub expires: String,
    /// The signature over both.
    pub signature: String,
}

/// A document that is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its media type.
    pub content_type: String,
    /// What a file of it is called.
    pub file_name: String,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// The document.
    pub bytes: Bytes,
    /// For how many seconds more the address can be used.
    pub remaining_secs: i64,
}

/// Why no document is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDocument {
    /// The address is not one of ours. HTTP 403.
    Forged,
    /// The address was one of ours and can no longer be used. HTTP 403.
    Expired,
    /// There is none. HTTP 404.
    Missing,
    /// It could not be read just now. HTTP 503.
    Unavailable,
    /// Our fault. HTTP 500.
    Failed,
}

impl From<NoDocument> for Refusal {
    fn from(reason: NoDocument) -> Refusal {
        match reason {
            NoDocument::Forged => Refusal::link_forged(),
            NoDocument::Expired => Refusal::link_expired(),
            NoDocument::Missing => Refusal::no_document(),
            NoDocument::Unavailable => Refusal::unavailable(),
            NoDocument::Failed => Refusal::internal(),
        }
    }
}

type Finding = dyn Fn(SignedAddress) -> BoxFuture<'static, Result<Sent, NoDocument>> + Send + Sync;

/// Asks the app for what is under an address.
#[derive(Clone)]
pub struct Documents(Arc<Finding>);

impl Documents {
    /// Asks `find` each time. Its future is spawned and never cancelled, so it may use the
    /// database.
    pub fn finding<F, R>(find: F) -> Self
    where
        F: Fn(SignedAddress) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Sent, NoDocument>> + Send + 'static,
    {
        Documents(Arc::new(move |address| Box::pin(find(address))))
    }

    /// Knows no document.
    pub fn none() -> Self {
        Self::finding(|_| async { Err(NoDocument::Forged) })
    }
}

pub(super) async fn serve<E: Executor>(
    request: HttpRequest,
    id: Path<String>,
    endpoint: Data<Endpoint<E>>,
) -> HttpResponse {
    let trace = Trace::of(&request);
    let sent = match *request.method() {
        Method::GET | Method::HEAD => {
            let address = address(id.into_inner(), request.query_string());
            let finding = endpoint.runtime.spawn((endpoint.documents.0)(address));
            finding.await.unwrap_or(Err(NoDocument::Failed))
        }
        _ => {
            let refusal = Refusal::method("GET, HEAD", "Documents are read with GET.");
            return refuse(refusal, Media::Json, &trace.id);
        }
    };
    match sent {
        Ok(sent) => answer(sent, request.headers(), &trace),
        Err(reason) => refuse(reason.into(), Media::Json, &trace.id),
    }
}

/// What is missing is empty, and signed by nobody.
fn address(id: String, query: &str) -> SignedAddress {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name);
        values.next().map(|(_, value)| value.to_owned())
    };
    SignedAddress {
        id,
        expires: value("expires").unwrap_or_default(),
        signature: value("signature").unwrap_or_default(),
    }
}

fn answer(sent: Sent, headers: &HeaderMap, trace: &Trace) -> HttpResponse {
    let tag = format!("\"{}\"", sent.hash);
    let known = headers
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().trim_start_matches("W/"))
        .any(|value| value == tag || value == "*");
    let mut answer = match known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    let kept = format!("private, max-age={}, immutable", sent.remaining_secs);
    answer
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, kept))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // The address is a key: no page that is opened from here learns it.
        .insert_header((REFERRER_POLICY, "no-referrer"));
    // A request id is visible ASCII, so this never fails.
    if let Ok(id) = HeaderValue::from_str(&trace.id.0) {
        answer.insert_header((REQUEST_ID, id));
    }
    if known {
        return answer.finish();
    }
    answer
        .insert_header((CONTENT_TYPE, sent.content_type))
        .insert_header((CONTENT_DISPOSITION, disposition(&sent.file_name)))
        .body(sent.bytes)
}

/// Shown where it can be, and saved under its name: in ASCII for old clients, and whole (RFC 5987).
fn disposition(name: &str) -> String {
    let plain = |char: char| match char {
        '"' | '\\' | '%' => '_',
        ' '..='~' => char,
        _ => '_',
    };
    let ascii: String = name.chars().map(plain).collect();
    let mut whole = String::new();
    for byte in name.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => {
                whole.push(char::from(byte));
            }
            byte => whole.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("inline; filename=\"{ascii}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_twice_and_breaks_out_of_neither() {
        assert_eq!(
            disposition("Packing slip 7.pdf"),
            "inline; filename=\"Packing slip 7.pdf\"; filename*=UTF-8''Packing%20slip%207.pdf"
        );
        assert_eq!(
            disposition("Ż\"; x=\\\r\n%41.pdf"),
            "inline; filename=\"__; x=____41.pdf\"; filename*=UTF-8''%C5%BB%22%3B%20x%3D%5C%0D%0A%2541.pdf"
        );
    }

    #[test]
    fn the_first_value_of_a_name_counts_and_a_missing_one_is_empty() {
        let parts = address("7".to_owned(), "signature=b&expires=1&expires=2&x");
        assert_eq!(
            (parts.expires.as_str(), parts.signature.as_str()),
            ("1", "b")
        );
        assert_eq!(address("7".to_owned(), "").signature, "");
    }
}
