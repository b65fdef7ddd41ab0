//! `GET /exports/{id}?expires=…&signature=…`: an export as a file, for whoever has its signed
//! address, sent part by part, so that it is never in memory as a whole.

use std::io;
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use async_graphql::Executor;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::Endpoint;
use super::documents::{NoDocument, SignedAddress, address};
use super::negotiate::Media;
use super::refusal::Refusal;
use super::request_id::{REQUEST_ID, Trace};
use super::response::refuse;

/// Reads a part of a file, from 1.
type Reading = dyn Fn(i32) -> BoxFuture<'static, Option<Bytes>> + Send + Sync;

/// A file that is sent part by part.
#[derive(Clone)]
pub struct SentParts {
    /// Its media type.
    pub content_type: String,
    /// What it is called: visible ASCII without quotes.
    pub file_name: String,
    /// How many bytes it has.
    pub size: u64,
    /// How many parts.
    pub parts: i32,
    /// Reads one; none if it cannot be read, which ends the answer early.
    pub read: Arc<Reading>,
}

type Finding =
    dyn Fn(SignedAddress) -> BoxFuture<'static, Result<SentParts, NoDocument>> + Send + Sync;

/// Asks the app for what is under an address.
#[derive(Clone)]
pub struct Exports(Arc<Finding>);

impl Exports {
    /// Asks `find` each time. Its future is spawned and never cancelled, so it may use the
    /// database.
    pub fn finding<F, R>(find: F) -> Self
    where
        F: Fn(SignedAddress) -> R + Send + Sync + 'static,
        R: Future<Output = Result<SentParts, NoDocument>> + Send + 'static,
    {
        Exports(Arc::new(move |address| Box::pin(find(address))))
    }

    /// Knows no export.
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
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal = Refusal::method("GET, HEAD", "Exports are read with GET.");
        return refuse(refusal, Media::Json, &trace.id);
    }
    let address = address(id.into_inner(), request.query_string());
    let runtime = endpoint.runtime.clone();
    let finding = runtime.spawn((endpoint.exports.0)(address));
    let sent = match finding.await.unwrap_or(Err(NoDocument::Failed)) {
        Ok(sent) => sent,
        Err(reason) => return refuse(reason.into(), Media::Json, &trace.id),
    };
    let mut answer = HttpResponse::Ok();
    let named = format!("attachment; filename=\"{}\"", sent.file_name);
    answer
        .insert_header((CONTENT_TYPE, sent.content_type))
        .insert_header((CONTENT_DISPOSITION, named))
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // The address is a key: no page that is opened from here learns it.
        .insert_header((REFERRER_POLICY, "no-referrer"));
    // A request id is visible ASCII, so this never fails.
    if let Ok(id) = HeaderValue::from_str(&trace.id.0) {
        answer.insert_header((REQUEST_ID, id));
    }
    let (read, parts) = (sent.read, sent.parts);
    let bodies = stream::unfold(1, move |position| {
        // Spawned, so that a client that goes away cuts no query off.
        let part = (position <= parts).then(|| runtime.spawn(read(position)));
        async move {
            let part = part?.await.ok().flatten();
            let part = part.ok_or_else(|| io::Error::other("a part could not be read"));
            Some((part, position + 1))
        }
    });
    answer.body(SizedStream::new(sent.size, Box::pin(bodies)))
}
