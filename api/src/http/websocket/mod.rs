//! GraphQL over WebSocket: `graphql-transport-ws`, and the older `graphql-ws` for clients that
//! still speak it.

use std::time::Duration;

use actix_http::ws::handshake;
use actix_web::body::MessageBody;
use actix_web::guard::{Guard, GuardContext};
use actix_web::http::header::{
    AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use async_graphql::Executor;

use self::frames::Frames;
use self::protocol::Dialect;
use self::socket::Socket;
use super::negotiate::Media;
use super::refusal::Refusal;
use super::request_id::{REQUEST_ID, Trace};
use super::wire::Wire;
use super::{Endpoint, gate, response};

mod frames;
mod outlet;
mod protocol;
mod socket;

/// How sockets are held.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// Origins, such as `https://orders.example.com`, whose pages may open a socket. When there
    /// are none, those of the host that the request names. Who sends no `Origin` is no browser
    /// and may always.
    pub origins: Vec<String>,
    /// How long a socket may stay without `connection_init` before it closes with 4408.
    pub init_within: Duration,
    /// How often the server pings. A socket that was silent for two pings closes.
    pub ping_every: Duration,
    /// How long the connection may take nothing of what waits before the socket closes with 4290; an
    /// item of a group may wait twice as long.
    pub write_within: Duration,
    /// How old a result may be when it is written; the socket of a client that reads so slowly
    /// that its results are older closes with 4290.
    pub behind_at_most: Duration,
    /// How long a closing socket has to take its close frame before its connection is cut.
    pub close_within: Duration,
    /// Over how long the sockets close, each at a moment of its own, when the server drains.
    pub drain_over: Duration,
    /// Operations that a socket may hold at a time.
    pub operations: usize,
    /// The longest message, in bytes.
    pub message_bytes: usize,
    /// The longest message of a socket that is not yet let in, in bytes.
    pub stranger_bytes: usize,
    /// Messages that wait to be written. When they are as many, the operations wait.
    pub queue: usize,
}

impl Default for Sockets {
    fn default() -> Self {
        Sockets {
            origins: Vec::new(),
            init_within: Duration::from_secs(5),
            ping_every: Duration::from_secs(12),
            write_within: Duration::from_secs(10),
            behind_at_most: Duration::from_secs(60),
            close_within: Duration::from_secs(2),
            drain_over: Duration::from_secs(5),
            operations: 32,
            message_bytes: 256 * 1024,
            stranger_bytes: 4 * 1024,
            queue: 256,
        }
    }
}

/// Matches a request that asks for a WebSocket.
pub(super) struct IsUpgrade;

impl Guard for IsUpgrade {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        asks_for_websocket(context.head().headers())
    }
}

/// Opens a socket.
pub(super) async fn upgrade<E: Executor>(
    http: HttpRequest,
    payload: Payload,
    endpoint: Data<Endpoint<E>>,
) -> HttpResponse {
    let headers = http.headers();
    let trace = Trace::of(&http);
    if !asks_for_websocket(headers) {
        return response::refuse(Refusal::upgrade_required(), Media::Json, &trace.id);
    }
    if !origin_allowed(headers, &endpoint.sockets.origins) {
        return response::refuse(Refusal::origin(), Media::Json, &trace.id);
    }
    let dialect = offered(headers).find_map(Dialect::named);
    let credentials = headers
        .get(AUTHORIZATION)
        .and_then(|value| gate::credentials(value.to_str().ok()?));
    let (outlet, body) = outlet::outlet();
    let opened = handshake(http.head()).map(|mut answer| answer.message_body(body.boxed()));
    let mut answer = match opened {
        Ok(Ok(answer)) => HttpResponse::from(answer),
        Ok(Err(error)) => return HttpResponse::from_error(error),
        Err(error) => return HttpResponse::from_error(error),
    };
    if let Some(dialect) = dialect {
        let name = HeaderValue::from_static(dialect.name());
        answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
    }
    if let Ok(value) = HeaderValue::from_str(&trace.id.0) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    let wire = http.conn_data::<Wire>().cloned();
    let frames = Frames::new(payload, endpoint.sockets.stranger_bytes);
    let socket = Socket::new(endpoint, outlet, frames, dialect, credentials, wire, trace);
    rt::spawn(socket.run());
    answer
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// The subprotocols that the client offers, best first.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

/// Whether a page of the request's origin may open a socket. A browser does not ask first as it
/// does for other requests across origins, so the answer is ours alone.
fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    if !allowed.is_empty() {
        return allowed
            .iter()
            .any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin));
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    origin
        .split_once("://")
        .zip(host)
        .is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_an_allowed_origin_may_open_a_socket() {
        let allowed = |origin: &str, list: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("oms.example:8080"));
            headers.insert(ORIGIN, HeaderValue::from_str(origin).expect("a value"));
            let list: Vec<_> = list.iter().map(|&text| text.to_owned()).collect();
            origin_allowed(&headers, &list)
        };
        assert!(allowed("https://oms.example:8080", &[]));
        assert!(allowed("http://OMS.example:8080", &[]));
        for foreign in [
            "https://oms.example",
            "https://oms.example:80801",
            "https://evil.example",
            "https://oms.example:8080.evil.example",
            "null",
            "",
        ] {
            assert!(!allowed(foreign, &[]), "{foreign}");
        }
        let list = ["https://console.example/"];
        assert!(allowed("https://console.example", &list));
        assert!(!allowed("http://console.example", &list));
        assert!(!allowed("https://oms.example:8080", &list));
        assert!(origin_allowed(&HeaderMap::new(), &[]));
    }
}
