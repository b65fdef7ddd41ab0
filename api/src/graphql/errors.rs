//! How a failure becomes an answer: refusals go into the payload's `userErrors`, everything else
//! becomes one top-level error that gives nothing away.

use async_graphql::{Error, ErrorExtensions, Json, SimpleObject};

use crate::access::Scope;
use crate::failure::{Code, Failure, Problem};

/// A refusal that the client can act on.
#[derive(Clone, Debug, SimpleObject)]
pub struct UserError {
    /// What is wrong, for programs.
    pub code: Code,
    /// Where in the input, as a path with indexes: `["input", "lines", "3", "quantity"]`.
    pub field: Option<Vec<String>>,
    /// What is wrong, for people, in English.
    pub message: String,
    /// The facts: both values, what is available, who holds what. Their shape depends on the code.
    pub details: Option<Json<serde_json::Value>>,
    /// Whether the same request may succeed later without a change.
    pub retryable: bool,
}

impl From<Problem> for UserError {
    fn from(problem: Problem) -> Self {
        UserError {
            retryable: problem.code.retryable(),
            code: problem.code,
            field: problem.field,
            message: problem.message,
            details: problem.details.map(Json),
        }
    }
}

/// Splits an outcome into what a payload shows: the value, or the refusals. Faults are raised.
pub fn outcome<T>(
    result: Result<T, Failure>,
) -> async_graphql::Result<(Option<T>, Vec<UserError>)> {
    match result {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Failure::Refused(problems)) => {
            Ok((None, problems.into_iter().map(UserError::from).collect()))
        }
        Err(failure) => Err(fault(failure)),
    }
}

/// A fault as the client sees it: UNAVAILABLE if it may try again, INTERNAL otherwise. The text
/// stays in our log, under the request's id.
pub fn fault(failure: impl Into<Failure>) -> Error {
    let failure = failure.into();
    if failure.unavailable() {
        tracing::warn!(%failure, "the database is busy or away");
        return coded("UNAVAILABLE", "the system is busy; try again");
    }
    tracing::error!(%failure, "a fault");
    coded(
        "INTERNAL",
        "something went wrong; quote the request id to support",
    )
}

/// The caller has shown no valid key.
pub fn unauthenticated() -> Error {
    coded(
        "UNAUTHENTICATED",
        "an API key is needed: Authorization: Bearer oms_…",
    )
}

/// The caller may not do this.
pub fn forbidden(scope: Scope) -> Error {
    let name = async_graphql::Name::new(format!("{scope:?}"));
    coded("FORBIDDEN", &format!("your key lacks the scope {name}"))
}

/// An argument is malformed.
pub fn bad_input(message: &str) -> Error {
    coded("BAD_USER_INPUT", message)
}

fn coded(code: &'static str, message: &str) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}
