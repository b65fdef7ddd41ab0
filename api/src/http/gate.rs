//! The door: who a caller is, answered by the app.

use std::sync::Arc;

use async_graphql::Data;
use futures_util::future::BoxFuture;

/// Says who a caller is. The app implements it; the transports only carry its answer.
pub trait Gate: Send + Sync + 'static {
    /// Judges the credentials that a caller showed: the text after `Bearer` in the header, or the
    /// `authorization` of a socket's `connection_init`. `None` when it showed none; a gate that
    /// lets strangers in answers that with a pass too.
    ///
    /// The future is spawned on the endpoint's runtime and never cancelled, so it may use the
    /// database.
    fn open(&self, credentials: Option<String>) -> BoxFuture<'static, Result<Pass, GateError>>;
}

/// What an accepted caller carries into its operations.
#[derive(Default)]
pub struct Pass {
    /// Put at the disposal of every resolver, for instance the principal.
    pub data: Data,
    /// Completes when the pass ends: the token expired or the key was revoked. A socket then
    /// closes with 4403. `None` when it never ends.
    pub ends: Option<BoxFuture<'static, ()>>,
    /// Everything about the caller that may change an answer, as text: callers with the same rights
    /// get the same items of a subscription, so they share one execution. `None` when nothing is
    /// to be shared.
    pub rights: Option<Arc<str>>,
}

impl Pass {
    /// A pass without end that carries one value.
    pub fn of<D: std::any::Any + Send + Sync>(value: D) -> Self {
        let mut data = Data::default();
        data.insert(value);
        Pass {
            data,
            ..Pass::default()
        }
    }
}

/// Why a caller was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Credentials are needed and none were shown. HTTP 401, socket 4401.
    #[error("credentials are required")]
    Missing,
    /// The credentials are unknown, expired or revoked. HTTP 401, socket 4403.
    #[error("the credentials are not valid")]
    Invalid,
    /// The credentials could not be judged just now. HTTP 503, socket 1013.
    #[error("the credentials could not be checked; try again")]
    Unavailable,
}

/// The credentials in an `Authorization` value: what follows `Bearer`, in any case, or the whole
/// value when it has no scheme. Another scheme, or nothing, gives `None`.
pub(super) fn credentials(value: &str) -> Option<String> {
    let value = value.trim();
    let found = match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
        Some(_) => return None,
        None if value.eq_ignore_ascii_case("bearer") => return None,
        None => value,
    };
    (!found.is_empty()).then(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::credentials;

    #[test]
    fn a_bearer_token_is_taken_with_or_without_its_scheme() {
        for value in ["Bearer abc", "bearer  abc ", "abc"] {
            assert_eq!(credentials(value).as_deref(), Some("abc"), "{value:?}");
        }
        for value in ["", "  ", "Bearer", "Bearer ", "Basic abc"] {
            assert_eq!(credentials(value), None, "{value:?}");
        }
    }
}
