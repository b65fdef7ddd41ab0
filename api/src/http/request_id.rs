//! What ties a request to its log lines and to its repetitions: the request id, the W3C trace it
//! belongs to, and the idempotency key.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;
use uuid::Uuid;

use super::refusal::Refusal;
use crate::telemetry::traces::TraceParent;
use crate::tx::Origin;

/// The header that carries a request id, both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The id of one request: the client's own when it sent a sane one, else a random UUID. It is in
/// the response's header, in every error and in every log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// The client's key for "do this once": 1 to 255 visible ASCII characters, from the
/// `Idempotency-Key` header. Absent from the request's data when the client sent none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

/// Where a request comes from and what its log lines are tied to.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub id: RequestId,
    pub origin: Origin,
    parent: Option<TraceParent>,
}

impl Trace {
    /// The trace of a request.
    pub fn of(http: &HttpRequest) -> Self {
        Trace::read(http.headers(), Origin::of(http))
    }

    /// Reads the headers; what is missing or malformed is replaced and never refused.
    #[allow(
        clippy::disallowed_methods,
        reason = "a request is named before there is a transaction"
    )]
    fn read(headers: &HeaderMap, origin: Origin) -> Self {
        let id = headers
            .get(&REQUEST_ID)
            .and_then(|value| visible(value, 128))
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        let parent = headers
            .get(&TRACEPARENT)
            .and_then(|value| TraceParent::read(value.to_str().ok()?));
        Trace {
            id: RequestId(id),
            origin,
            parent,
        }
    }

    /// A span for one operation.
    pub fn span(&self, transport: &'static str) -> Span {
        let span = tracing::info_span!(
            "graphql",
            transport,
            request_id = %self.id.0,
            trace_id = tracing::field::Empty,
            parent_id = tracing::field::Empty,
        );
        if let Some(parent) = &self.parent {
            parent.adopt(&span);
            span.record("trace_id", parent.trace_id());
            span.record("parent_id", parent.span_id());
        }
        span
    }
}

/// How long what a request says of itself may be; the rest is cut off.
const LONGEST: usize = 300;

impl Origin {
    /// Where a request came from.
    pub fn of(http: &HttpRequest) -> Self {
        let said = |name: &str| {
            let values = http.headers().get_all(name);
            let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
            values.join(", ").chars().take(LONGEST).collect()
        };
        let peer = http.peer_addr();
        Origin {
            address: peer.map_or_else(String::new, |peer| peer.ip().to_string()),
            forwarded: said("x-forwarded-for"),
            agent: said("user-agent"),
        }
    }
}

impl IdempotencyKey {
    /// Reads the header. A key that cannot be one is refused: to ignore it would run twice what
    /// the client asked to run once.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(&IDEMPOTENCY_KEY);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        match visible(value, 255) {
            Some(key) if values.next().is_none() => Ok(Some(IdempotencyKey(key))),
            _ => Err(Refusal::malformed(
                "Idempotency-Key must be one value of 1 to 255 visible ASCII characters.",
            )),
        }
    }
}

/// The value when it has 1 to `longest` characters, all of them visible ASCII.
fn visible(value: &HeaderValue, longest: usize) -> Option<String> {
    let bytes = value.as_bytes();
    let sane = (1..=longest).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    sane.then(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            name,
            HeaderValue::from_bytes(value).expect("a header value"),
        );
        headers
    }

    #[test]
    fn a_sane_request_id_is_taken_over_and_another_is_replaced() {
        let id = |value: &[u8]| {
            Trace::read(&headers(REQUEST_ID, value), Origin::default())
                .id
                .0
        };
        assert_eq!(id(b"order-42/a"), "order-42/a");
        let long = "x".repeat(129);
        for insane in ["", "two words", "caf\u{e9}", long.as_str()] {
            assert!(
                Uuid::parse_str(&id(insane.as_bytes())).is_ok(),
                "{insane:?}"
            );
        }
    }

    #[test]
    fn an_idempotency_key_is_absent_sane_or_refused() {
        let key = |value: &[u8]| IdempotencyKey::of(&headers(IDEMPOTENCY_KEY, value));
        assert_eq!(IdempotencyKey::of(&HeaderMap::new()).expect("none"), None);
        assert_eq!(
            key(b"a-1").expect("a key"),
            Some(IdempotencyKey("a-1".into()))
        );
        for bad in ["", "a b", &"x".repeat(256)] {
            assert!(key(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let mut two = headers(IDEMPOTENCY_KEY, b"a");
        two.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(IdempotencyKey::of(&two).is_err());
    }
}
