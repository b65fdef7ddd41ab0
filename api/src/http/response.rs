//! Writing answers: every error with a code and the request id, `data` absent when nothing was
//! executed, and headers that keep an answer from being cached or sniffed.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use async_graphql::{Name, PathSegment, Response, ServerError, Value};
use serde::Serialize;

use super::negotiate::Media;
use super::operation::Places;
use super::refusal::{Code, Refusal, internal_error};
use super::request_id::{REQUEST_ID, RequestId};

/// The body of an answer. `data` is absent, not null, when nothing was executed.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "<[ServerError]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

impl<'a> Body<'a> {
    /// That of an operation that was not executed.
    pub fn of_errors(errors: &'a [ServerError]) -> Self {
        const NONE: &BTreeMap<String, Value> = &BTreeMap::new();
        Body {
            errors,
            data: None,
            extensions: NONE,
        }
    }
}

impl<'a> From<&'a Response> for Body<'a> {
    fn from(response: &'a Response) -> Self {
        Body {
            errors: &response.errors,
            data: (!is_request_error(response)).then_some(&response.data),
            extensions: &response.extensions,
        }
    }
}

/// How many errors an operation that was not executed is told, and how long each may be. The
/// engine finds one for every field that it does not know and quotes the field.
const MOST_ERRORS: usize = 20;
const LONGEST_MESSAGE: usize = 500;

/// Whether the operation was refused before any field ran: no data, and no error that belongs to
/// a field.
pub(super) fn is_request_error(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Gives every error a code and the request id, and takes the text from those that are faults.
///
/// The engine codes none of its own errors. What it finds before execution is a mistake in the
/// document, or in a variable when the error stands at an argument that uses one. During execution
/// an error without a code is a value that did not fit its argument, which the engine reports at
/// the value's place, or else a surprise: that goes to the log and not to the client.
pub(super) fn finish(response: &mut Response, places: &Places, id: &RequestId) {
    let before_execution = is_request_error(response);
    if before_execution {
        response.errors.truncate(MOST_ERRORS);
    }
    for error in &mut response.errors {
        if code(error).is_none() {
            let at = error.locations.first();
            let code = if at.is_some_and(|pos| places.takes_input(pos)) {
                Code::BadUserInput
            } else if before_execution {
                Code::ValidationFailed
            } else {
                Code::Internal
            };
            if let Some((end, _)) = error.message.char_indices().nth(LONGEST_MESSAGE) {
                error.message.truncate(end);
                error.message.push('\u{2026}');
            }
            if code == Code::Internal {
                tracing::error!(request_id = %id.0, message = %error.message, path = ?error.path,
                    "an operation failed without a code");
                error.message = internal_error(None).message;
            }
            error
                .extensions
                .get_or_insert_default()
                .set("code", code.as_str());
        }
    }
    for error in &response.errors {
        null_at(&mut response.data, &error.path);
    }
    sign(&mut response.errors, id);
}

/// Makes a field null that failed. The engine leaves it out of its object, and a client that
/// trusts the specification takes an absent field for one that it did not ask for.
fn null_at(data: &mut Value, path: &[PathSegment]) {
    let Some((segment, rest)) = path.split_first() else {
        return;
    };
    match (data, segment) {
        (Value::Object(fields), PathSegment::Field(name)) => match fields.get_mut(name.as_str()) {
            Some(value) => null_at(value, rest),
            None => {
                fields.insert(Name::new(name), Value::Null);
            }
        },
        (Value::List(items), PathSegment::Index(index)) => {
            if let Some(item) = items.get_mut(*index) {
                null_at(item, rest);
            }
        }
        _ => {}
    }
}

/// Puts the request id into every error.
pub(super) fn sign(errors: &mut [ServerError], id: &RequestId) {
    for error in errors {
        error
            .extensions
            .get_or_insert_default()
            .set("requestId", id.0.as_str());
    }
}

/// The code that an error carries.
pub(super) fn code(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// The answer to an operation that was handed to the engine, after [`finish`].
pub(super) fn answer(response: &Response, media: Media, id: &RequestId) -> HttpResponse {
    let status = status(response, media);
    let mut builder = builder(status, media, id);
    if status == StatusCode::TOO_MANY_REQUESTS {
        builder.insert_header((RETRY_AFTER, retry_after(response)));
    }
    write(builder, &Body::from(response))
}

/// The answer to a request that was not executed.
pub(super) fn refuse(mut refusal: Refusal, media: Media, id: &RequestId) -> HttpResponse {
    sign(&mut refusal.errors, id);
    let mut builder = builder(refusal.status(media), media, id);
    for header in refusal.headers {
        builder.insert_header(header);
    }
    write(builder, &Body::of_errors(&refusal.errors))
}

fn builder(status: StatusCode, media: Media, id: &RequestId) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    builder
        .insert_header((CONTENT_TYPE, media.content_type()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    // A request id is visible ASCII, so this never fails.
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        builder.insert_header((REQUEST_ID, value));
    }
    builder
}

fn write(mut builder: HttpResponseBuilder, body: &Body<'_>) -> HttpResponse {
    match serde_json::to_vec(body) {
        Ok(bytes) => builder.body(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            builder.status(StatusCode::INTERNAL_SERVER_ERROR).finish()
        }
    }
}

/// The status of an executed operation, or of one that the engine refused.
fn status(response: &Response, media: Media) -> StatusCode {
    if !is_request_error(response) {
        return StatusCode::OK;
    }
    match response.errors.iter().find_map(code) {
        Some("UNAUTHENTICATED") => StatusCode::UNAUTHORIZED,
        Some("FORBIDDEN") => StatusCode::FORBIDDEN,
        Some("THROTTLED") => StatusCode::TOO_MANY_REQUESTS,
        Some("UNAVAILABLE") => StatusCode::SERVICE_UNAVAILABLE,
        Some("INTERNAL") => StatusCode::INTERNAL_SERVER_ERROR,
        _ if media == Media::Json => StatusCode::OK,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Whole seconds from an error's `extensions.retryAfterSecs`, at least one.
fn retry_after(response: &Response) -> u64 {
    let told = response.errors.iter().find_map(|error| {
        match error.extensions.as_ref()?.get("retryAfterSecs")? {
            Value::Number(seconds) => seconds.as_f64(),
            _ => None,
        }
    });
    told.map_or(1, |seconds| (seconds.ceil() as u64).max(1))
}

#[cfg(test)]
mod tests {
    use async_graphql::{Pos, value};

    use super::*;

    fn json(response: &Response) -> serde_json::Value {
        serde_json::to_value(Body::from(response)).expect("JSON")
    }

    fn with_path(mut error: ServerError) -> ServerError {
        error.path.push(PathSegment::Field("order".into()));
        error
    }

    #[test]
    fn data_is_absent_when_nothing_was_executed_and_null_when_a_field_failed() {
        let refused = Response::from_errors(vec![ServerError::new("no", None)]);
        assert!(json(&refused).get("data").is_none());
        let failed = Response::from_errors(vec![with_path(ServerError::new("no", None))]);
        assert!(json(&failed)["data"].is_null());
        assert!(json(&failed).get("data").is_some());
    }

    #[test]
    fn every_error_has_a_code_and_the_request_id() {
        let id = RequestId("r-1".into());
        let pos = Some(Pos { line: 1, column: 9 });
        let mut coded = ServerError::new("held", pos);
        coded
            .extensions
            .get_or_insert_default()
            .set("code", "CONFLICT");
        let mut response = Response::from_errors(vec![
            with_path(ServerError::new("password is hunter2", pos)),
            with_path(coded),
        ]);
        finish(&mut response, &Places::default(), &id);
        let json = json(&response);
        assert_eq!(json["errors"][0]["extensions"]["code"], "INTERNAL");
        assert_eq!(json["errors"][1]["extensions"]["code"], "CONFLICT");
        assert_eq!(json["errors"][1]["message"], "held");
        assert_eq!(json["errors"][0]["extensions"]["requestId"], "r-1");
        assert!(!json.to_string().contains("hunter2"));
    }

    #[test]
    fn a_field_that_failed_is_null_and_not_absent() {
        let mut error = ServerError::new("no", None);
        error.path = vec![
            PathSegment::Field("orders".into()),
            PathSegment::Index(1),
            PathSegment::Field("total".into()),
        ];
        let mut response = Response::new(value!({"orders": [{"total": 1}, {"id": 2}]}));
        response.errors.push(error);
        finish(&mut response, &Places::default(), &RequestId("r".into()));
        let expected = serde_json::json!([{"total": 1}, {"id": 2, "total": null}]);
        assert_eq!(json(&response)["data"]["orders"], expected);
    }

    #[test]
    fn an_error_before_execution_is_a_mistake_in_the_document() {
        let mut response = Response::from_errors(vec![ServerError::new("Unknown field", None)]);
        finish(&mut response, &Places::default(), &RequestId("r".into()));
        assert_eq!(code(&response.errors[0]), Some("GRAPHQL_VALIDATION_FAILED"));
        assert_eq!(status(&response, Media::GraphQl), StatusCode::BAD_REQUEST);
        assert_eq!(status(&response, Media::Json), StatusCode::OK);
    }

    #[test]
    fn a_throttled_request_is_told_when_to_come_back() {
        let mut error = Code::Throttled.error("later", None);
        error
            .extensions
            .get_or_insert_default()
            .set("retryAfterSecs", 2.5);
        let response = Response::from_errors(vec![error]);
        for media in [Media::GraphQl, Media::Json] {
            let answer = answer(&response, media, &RequestId("r".into()));
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(answer.headers().get(RETRY_AFTER).expect("a header"), "3");
        }
    }
}
