//! Doing a thing once, however often it is asked for: the request's idempotency key, and the mark
//! on an answer that was given before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::{Context, Data, Response, value};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::app::Once;
use crate::failure::{Code, Problem};
use crate::http::IdempotencyKey;

/// How many characters a key may have.
const LONGEST_KEY: usize = 255;

/// The request's claim to have its effect once, if it makes one: by `key`, which the input
/// carries, or by the `Idempotency-Key` header.
///
/// The fingerprint covers what `input` serialises to; leave the key itself out of that, so that it
/// does not matter where the key stood.
pub fn once(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &impl Serialize,
    key: Option<&str>,
) -> Result<Option<Once>, Problem> {
    let header = ctx.data_opt::<IdempotencyKey>().map(|key| key.0.as_str());
    let Some(key) = key.or(header) else {
        return Ok(None);
    };
    if !is_key(key) {
        return Err(refusal(
            "an idempotency key has 1 to 255 visible ASCII characters",
        ));
    }
    Ok(Some(Once {
        key: key.to_owned(),
        operation,
        fingerprint: fingerprint(input),
    }))
}

/// The same where stock or money moves: without a key it is refused.
pub fn once_required(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &impl Serialize,
    key: Option<&str>,
) -> Result<Once, Problem> {
    once(ctx, operation, input, key)?.ok_or_else(|| {
        refusal("an idempotency key is needed, here or in the Idempotency-Key header")
    })
}

fn refusal(message: &str) -> Problem {
    Problem::new(Code::InvalidInput, message).at("input.idempotencyKey")
}

fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// SHA-256 of the canonical JSON (names in order, no blanks), in hexadecimal.
fn fingerprint(input: &impl Serialize) -> String {
    // A value keeps the names of its objects in order.
    let canonical = serde_json::to_value(input).unwrap_or_default().to_string();
    Sha256::digest(canonical)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether an answer of this request was given before.
#[derive(Clone, Default)]
struct Replayed(Arc<AtomicBool>);

/// Marks the response: one of its answers was given to an earlier request with the same key.
pub fn mark_replayed(ctx: &Context<'_>) {
    if let Some(replayed) = ctx.data_opt::<Replayed>() {
        replayed.0.store(true, Ordering::Relaxed);
    }
}

/// Puts `extensions.idempotency.replayed` into responses with an answer that was given before.
pub struct Replays;

impl ExtensionFactory for Replays {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Replays)
    }
}

#[async_trait::async_trait]
impl Extension for Replays {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let replayed = Replayed::default();
        let mut data = Data::default();
        data.insert(replayed.clone());
        let mut response = next.run_with_data(ctx, operation_name, data).await;
        if replayed.0.load(Ordering::Relaxed) {
            response
                .extensions
                .insert("idempotency".to_owned(), value!({ "replayed": true }));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_names_does_not_tell_inputs_apart_but_every_value_does() {
        let print = |json: &str| {
            fingerprint(&serde_json::from_str::<serde_json::Value>(json).expect("JSON"))
        };
        assert_eq!(
            print(r#"{"a":1,"b":[1,2]}"#),
            print(r#"{ "b":[1,2], "a":1 }"#)
        );
        assert_ne!(print(r#"{"a":1,"b":[1,2]}"#), print(r#"{"a":1,"b":[2,1]}"#));
        assert_eq!(fingerprint(&json!({})).len(), 64);
    }

    #[test]
    fn a_key_is_visible_and_not_endless() {
        assert!(is_key("2f1c-9"));
        for key in ["", "a b", "é", "a\n", &"k".repeat(256)] {
            assert!(!is_key(key), "{key:?}");
        }
    }
}
