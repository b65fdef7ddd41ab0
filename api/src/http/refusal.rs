//! A request that is not executed: its status, its coded errors, the headers that go with them.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, ALLOW, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};
use async_graphql::{Pos, ServerError};

use super::gate::GateError;
use super::negotiate::Media;

/// The codes that the transports give by themselves. Resolvers have more of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The document is not GraphQL.
    ParseFailed,
    /// The document is GraphQL but not one for this schema, or larger than allowed.
    ValidationFailed,
    /// The request around the document, or a variable in it, is wrong.
    BadUserInput,
    /// No valid credentials.
    Unauthenticated,
    /// Known, and not allowed.
    Forbidden,
    /// The signed address can no longer be used; ask for a new one.
    LinkExpired,
    /// Nothing is there.
    NotFound,
    /// The hash is not known; send the text once.
    PersistedQueryNotFound,
    /// Too much at once.
    Throttled,
    /// Nobody's fault but the moment's; the same request may succeed later.
    Unavailable,
    /// Our fault. The log has the reason under the request id.
    Internal,
}

impl Code {
    /// The text in `extensions.code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Code::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Code::BadUserInput => "BAD_USER_INPUT",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::Forbidden => "FORBIDDEN",
            Code::LinkExpired => "LINK_EXPIRED",
            Code::NotFound => "NOT_FOUND",
            Code::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Code::Throttled => "THROTTLED",
            Code::Unavailable => "UNAVAILABLE",
            Code::Internal => "INTERNAL",
        }
    }

    /// An error with this code, at a place of the document when there is one.
    pub fn error(self, message: impl Into<String>, pos: Option<Pos>) -> ServerError {
        let mut error = ServerError::new(message, pos);
        error
            .extensions
            .get_or_insert_default()
            .set("code", self.as_str());
        error
    }
}

/// Which status a refusal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// The same for both media types: the HTTP request is wrong.
    Http(StatusCode),
    /// 400, or 200 for `application/json`: the HTTP request is well-formed, its document is not.
    Document,
}

/// Why a request is not executed.
#[derive(Debug)]
pub(super) struct Refusal {
    status: Status,
    /// What the body tells; never empty.
    pub errors: Vec<ServerError>,
    /// Headers that the status asks for.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn http(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Refusal {
            status: Status::Http(status),
            errors: vec![code.error(message, None)],
            headers: Vec::new(),
        }
    }

    fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The request is not a GraphQL request: 400.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::http(StatusCode::BAD_REQUEST, Code::BadUserInput, message)
    }

    /// The document may not run: 400, or 200 for a client of `application/json`.
    pub fn document(errors: Vec<ServerError>) -> Self {
        Refusal {
            status: Status::Document,
            errors,
            headers: Vec::new(),
        }
    }

    /// 405 with the methods that would do.
    pub fn method(allow: &'static str, message: &'static str) -> Self {
        Self::http(StatusCode::METHOD_NOT_ALLOWED, Code::BadUserInput, message).header(ALLOW, allow)
    }

    /// 406: the client wants a media type that we have not.
    pub fn not_acceptable() -> Self {
        Self::http(
            StatusCode::NOT_ACCEPTABLE,
            Code::BadUserInput,
            "Accept must allow application/graphql-response+json or application/json.",
        )
    }

    /// 413: the body, or the variables in it, are over a limit in bytes.
    pub fn too_large(what: &'static str, allowed: usize) -> Self {
        let mut refusal = Self::http(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::BadUserInput,
            format!("The {what} may have at most {allowed} bytes."),
        );
        for error in &mut refusal.errors {
            let extensions = error.extensions.get_or_insert_default();
            extensions.set("limit", what);
            extensions.set("allowed", allowed);
        }
        refusal
    }

    /// 415: the body is not JSON. It also keeps out the requests that a foreign page can send
    /// without a preflight, which cannot have this content type.
    pub fn media_type() -> Self {
        Self::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::BadUserInput,
            "Content-Type must be application/json, in UTF-8.",
        )
    }

    /// 415: the body is compressed in a way that we do not undo.
    pub fn encoding() -> Self {
        Self::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::BadUserInput,
            "Content-Encoding must be gzip, deflate or identity.",
        )
        .header(ACCEPT_ENCODING, "gzip, deflate")
    }

    /// 408: the body did not arrive in time.
    pub fn too_slow() -> Self {
        Self::http(
            StatusCode::REQUEST_TIMEOUT,
            Code::BadUserInput,
            "The request body did not arrive in time.",
        )
    }

    /// 426: the path speaks WebSocket only.
    pub fn upgrade_required() -> Self {
        Self::http(
            StatusCode::UPGRADE_REQUIRED,
            Code::BadUserInput,
            "This path takes WebSocket connections; send queries to /graphql.",
        )
        .header(UPGRADE, "websocket")
    }

    /// 403: a page of another origin wants a socket.
    pub fn origin() -> Self {
        Self::http(
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            "Sockets are not opened for pages of this origin.",
        )
    }

    /// 403: the address of a document was not signed by us as it stands.
    pub fn link_forged() -> Self {
        Self::http(
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            "The address is not a signed one of ours. Ask the API for the document's url.",
        )
    }

    /// 403: the address of a document was good once.
    pub fn link_expired() -> Self {
        Self::http(
            StatusCode::FORBIDDEN,
            Code::LinkExpired,
            "The address can no longer be used. Ask the API for the document's url again.",
        )
    }

    /// 404: what the address names is not there.
    pub fn no_document() -> Self {
        Self::http(
            StatusCode::NOT_FOUND,
            Code::NotFound,
            "There is no such document.",
        )
    }

    /// 503: the database is busy or away.
    pub fn unavailable() -> Self {
        Self::http(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            "The system is busy. Try again.",
        )
        .header(RETRY_AFTER, "1")
    }

    /// The hash of a persisted query is not known: always 200, which is what clients expect that
    /// go on to send the text.
    pub fn persisted_query_not_found() -> Self {
        Self::http(
            StatusCode::OK,
            Code::PersistedQueryNotFound,
            "PersistedQueryNotFound",
        )
    }

    /// 504: the client waited as long as it may; the operation goes on.
    pub fn still_running() -> Self {
        Self::http(
            StatusCode::GATEWAY_TIMEOUT,
            Code::Unavailable,
            "The operation is still running and its outcome is not known. Ask again, with the same \
             idempotency key if it was a mutation.",
        )
    }

    /// 500 without a word about the reason.
    pub fn internal() -> Self {
        Refusal {
            status: Status::Http(StatusCode::INTERNAL_SERVER_ERROR),
            errors: vec![internal_error(None)],
            headers: Vec::new(),
        }
    }

    /// Whether the request is well-formed, and what is wrong is its document.
    pub fn is_of_document(&self) -> bool {
        matches!(self.status, Status::Document | Status::Http(StatusCode::OK))
    }

    /// The status for an answer in this media type.
    pub fn status(&self, media: Media) -> StatusCode {
        match (self.status, media) {
            (Status::Http(status), _) => status,
            (Status::Document, Media::GraphQl) => StatusCode::BAD_REQUEST,
            (Status::Document, Media::Json) => StatusCode::OK,
        }
    }
}

/// An error that says nothing but that it is ours.
pub(super) fn internal_error(pos: Option<Pos>) -> ServerError {
    Code::Internal.error(
        "Something went wrong on our side. The request id finds it in our logs.",
        pos,
    )
}

impl From<GateError> for Refusal {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Missing | GateError::Invalid => Self::http(
                StatusCode::UNAUTHORIZED,
                Code::Unauthenticated,
                sentence(error),
            )
            .header(WWW_AUTHENTICATE, "Bearer"),
            GateError::Unavailable => Self::http(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                sentence(error),
            )
            .header(RETRY_AFTER, "1"),
        }
    }
}

/// What a caller reads when the gate stays shut.
pub(super) fn sentence(error: GateError) -> &'static str {
    match error {
        GateError::Missing => "Credentials are required.",
        GateError::Invalid => "The credentials are not valid.",
        GateError::Unavailable => "The credentials could not be checked. Try again.",
    }
}
