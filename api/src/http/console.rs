//! The console's pages: everything that no other route takes, for browsers.
//!
//! A page is always asked for again, and answered with 304 when it has not changed; what it loads is
//! named after its contents, so it may be kept for ever. Nothing is loaded from anywhere else.
//!
//! `GET /console/session` gives a page on this machine a key for the demo, if the app has one to
//! give. It goes to nobody else: neither to another machine, nor to a name that was made to point
//! here, nor through a proxy that says so.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG,
    FORWARDED, HOST, HeaderMap, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, VIA,
    X_CONTENT_TYPE_OPTIONS, X_FORWARDED_FOR,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use console::File;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::runtime::Handle;

/// What a page may load, and from where: from here, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

type Asking = dyn Fn() -> BoxFuture<'static, Option<Arc<str>>> + Send + Sync;

/// Gives pages on this machine their key.
#[derive(Clone)]
pub struct Visitors {
    ask: Arc<Asking>,
    runtime: Handle,
}

impl Visitors {
    /// Asks `ask` each time; none = everybody signs in. Its future is spawned on the runtime and
    /// never cancelled, so it may use the database.
    pub fn asking<F, R>(runtime: Handle, ask: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Option<Arc<str>>> + Send + 'static,
    {
        Visitors {
            ask: Arc::new(move || Box::pin(ask())),
            runtime,
        }
    }
}

/// Mounts the console. Everything else must be mounted before.
pub fn configure(cfg: &mut web::ServiceConfig, visitors: Visitors) {
    cfg.app_data(Data::new(visitors))
        .route("/assets/{path:.*}", web::get().to(asset))
        .route("/console/session", web::get().to(session))
        .default_service(web::to(page));
}

async fn asset(request: HttpRequest, path: Path<String>) -> HttpResponse {
    match console::find(&format!("assets/{path}")) {
        Some(file) => send(&request, file, "public, max-age=31536000, immutable"),
        None => HttpResponse::NotFound().finish(),
    }
}

/// Every path is the console's own affair, so all get its one page; but a program that asks for
/// something that is not there is told so.
async fn page(request: HttpRequest) -> HttpResponse {
    let wants_page = accepts(request.headers(), ACCEPT, "text/html");
    if !wants_page || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::NotFound().finish();
    }
    match console::find("index.html") {
        Some(file) => send(&request, file, "no-cache"),
        None => guarded(StatusCode::OK)
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("text/html; charset=utf-8")
            .body(console::NOTICE),
    }
}

async fn session(request: HttpRequest, visitors: Data<Visitors>) -> HttpResponse {
    let peer = request.peer_addr().map(|address| address.ip());
    let key = match comes_from_here(request.headers(), peer) {
        true => visitors
            .runtime
            .spawn((visitors.ask)())
            .await
            .ok()
            .flatten(),
        false => None,
    };
    guarded(StatusCode::OK)
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({ "key": key.as_deref() }))
}

/// Whether a request was made on this machine to an address of this machine, and not for somebody
/// else. A page of another site cannot read the answer, but one that has its own name point here
/// could; the name is in `Host`.
fn comes_from_here(headers: &HeaderMap, peer: Option<IpAddr>) -> bool {
    let handed_on = [FORWARDED, VIA, X_FORWARDED_FOR]
        .iter()
        .any(|name| headers.contains_key(name));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    });
    peer.is_some_and(|peer| peer.is_loopback())
        && matches!(name, Some("127.0.0.1" | "localhost" | "[::1]"))
        && !handed_on
}

fn send(request: &HttpRequest, file: &'static File, keep: &'static str) -> HttpResponse {
    let tag = format!("\"{}\"", file.tag);
    let headers = request.headers();
    let known = headers
        .get_all(IF_NONE_MATCH)
        .any(|value| value.to_str().is_ok_and(|value| value.contains(&tag)));
    let status = match known {
        true => StatusCode::NOT_MODIFIED,
        false => StatusCode::OK,
    };
    let mut answer = guarded(status);
    answer
        .insert_header((CACHE_CONTROL, keep))
        .insert_header((ETAG, tag))
        .insert_header((VARY, "accept-encoding"));
    if known {
        return answer.finish();
    }
    answer.content_type(file.content_type);
    if accepts(headers, ACCEPT_ENCODING, "gzip") {
        answer
            .insert_header((CONTENT_ENCODING, HeaderValue::from_static("gzip")))
            .body(file.gzipped)
    } else {
        answer.body(file.bytes().into_owned())
    }
}

fn accepts(
    headers: &HeaderMap,
    name: impl actix_web::http::header::AsHeaderName,
    what: &str,
) -> bool {
    headers
        .get_all(name)
        .any(|value| value.to_str().is_ok_and(|value| value.contains(what)))
}

fn guarded(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"));
    answer
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn only_who_is_on_this_machine_and_says_so_is_given_a_key() {
        let from = |host: &'static str, peer: IpAddr, more: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            if let Some(more) = more {
                headers.insert(X_FORWARDED_FOR, HeaderValue::from_static(more));
            }
            comes_from_here(&headers, Some(peer))
        };
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(from("127.0.0.1:8080", here, None));
        assert!(from("localhost:8080", here, None));
        assert!(from("[::1]", IpAddr::V6(Ipv6Addr::LOCALHOST), None));
        assert!(!from("evil.example:8080", here, None));
        assert!(!from("127.0.0.1.evil.example", here, None));
        assert!(!from("localhost:8080", here, Some("203.0.113.7")));
        assert!(!from(
            "localhost",
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            None
        ));
        assert!(!comes_from_here(&HeaderMap::new(), Some(here)));
        assert!(!from("localhost", here, Some("127.0.0.1")));
    }
}
