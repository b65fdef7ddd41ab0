//! Taking a request apart: the parameters of a GraphQL request from a POST body, a GET query
//! string or a socket message.

use std::io;

use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::web::{Payload, Query};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::body;
use super::limits::Limits;
use super::refusal::Refusal;

/// The parameters of one GraphQL request, well-formed but not yet looked into.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    /// The document, when its text was sent.
    pub query: Option<String>,
    /// Which operation of the document is meant.
    pub operation_name: Option<String>,
    /// The values of the operation's variables.
    pub variables: Option<Map<String, Value>>,
    /// What protocols beside GraphQL need, such as the hash of a persisted query.
    pub extensions: Option<Map<String, Value>>,
}

impl Parameters {
    /// From the body of a POST.
    pub async fn from_post(
        headers: &HeaderMap,
        payload: Payload,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let bytes = body::read(headers, payload, limits.body_bytes).await?;
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Refusal::malformed(
                "Batches are not taken; send one operation a request.",
            ));
        }
        let parameters: Self = serde_json::from_slice(&bytes).map_err(not_a_request)?;
        parameters.checked(limits)
    }

    /// From the payload of a socket's `subscribe`, which is capped already.
    pub fn from_message(payload: Value, limits: &Limits) -> Result<Self, Refusal> {
        let parameters: Self = serde_json::from_value(payload).map_err(not_a_request)?;
        parameters.checked(limits)
    }

    /// From the query string of a GET.
    pub fn from_get(query_string: &str, limits: &Limits) -> Result<Self, Refusal> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query_string)
            .map_err(|_| Refusal::malformed("The query string could not be read."))?;
        let mut parameters = Self::default();
        for (name, value) in pairs.into_inner() {
            match name.as_str() {
                "query" => once(&mut parameters.query, value, "query")?,
                "operationName" => once(&mut parameters.operation_name, value, "operationName")?,
                "variables" => once(&mut parameters.variables, map(&value)?, "variables")?,
                "extensions" => once(&mut parameters.extensions, map(&value)?, "extensions")?,
                _ => {}
            }
        }
        parameters.checked(limits)
    }

    fn checked(mut self, limits: &Limits) -> Result<Self, Refusal> {
        // An empty text stands for none: several clients send it beside a hash, and as a name.
        self.query = self.query.filter(|query| !query.trim().is_empty());
        self.operation_name = self.operation_name.filter(|name| !name.is_empty());
        if let Some(variables) = &self.variables
            && json_bytes(variables) > limits.variables_bytes
        {
            return Err(Refusal::too_large("variables", limits.variables_bytes));
        }
        Ok(self)
    }
}

/// Refuses a POST whose content type is not JSON in UTF-8.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(Refusal::media_type)?;
    let mut parts = value.split(';').map(str::trim);
    let json = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|part| match part.split_once('=') {
        Some((key, charset)) if key.trim().eq_ignore_ascii_case("charset") => charset
            .trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("utf-8"),
        _ => true,
    });
    (json && utf8).then_some(()).ok_or_else(Refusal::media_type)
}

/// Sets a parameter that may be there once: which of two would count is a guess.
fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::malformed(format!("{name} is there twice."))),
    }
}

/// Reads a JSON object out of a GET parameter; `null` and nothing are an empty one.
fn map(text: &str) -> Result<Map<String, Value>, Refusal> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str::<Option<Map<String, Value>>>(text)
        .map(Option::unwrap_or_default)
        .map_err(not_a_request)
}

/// A refusal that quotes the reader's complaint, but not at the length that a sender could give it.
fn not_a_request(error: serde_json::Error) -> Refusal {
    let complaint: String = error.to_string().chars().take(200).collect();
    Refusal::malformed(format!(
        "This is not a GraphQL request in JSON: {complaint}"
    ))
}

/// How long a value is as JSON.
fn json_bytes(value: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_json_in_utf8_may_be_posted() {
        let allowed = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).expect("a value"));
            require_json(&headers).is_ok()
        };
        for good in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/Json;Charset=\"UTF-8\"; x=y",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "application/graphql",
            "text/plain; application/json",
            "",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
        assert!(require_json(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_get_query_string_is_taken_apart() {
        let limits = Limits::default();
        let get = |text: &str| Parameters::from_get(text, &limits);
        let parameters =
            get("query=%7B+a+%7D&operationName=&variables=%7B%22x%22%3A1%7D&other=1").expect("ok");
        assert_eq!(parameters.query.as_deref(), Some("{ a }"));
        assert_eq!(parameters.operation_name, None);
        assert_eq!(parameters.variables.expect("variables")["x"], 1);
        for bad in [
            "query=a&query=b",
            "query=a&variables=[]",
            "query=a&variables={",
            "query=a&extensions=1",
        ] {
            assert!(get(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_never_quotes_the_request_at_length() {
        let text = format!(r#"{{"variables": "{}"}}"#, "x".repeat(100_000));
        let refusal = Parameters::from_message(
            serde_json::from_str(&text).expect("JSON"),
            &Limits::default(),
        )
        .expect_err("variables are no text");
        assert!(refusal.errors[0].message.len() < 400);
    }
}
