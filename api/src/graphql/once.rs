//! Doing a thing once, however often it is asked for: the request's idempotency key, from the
//! `Idempotency-Key` header or the input, and the mark on an answer that was given before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::{Context, Data, Response, value};
use serde::Serialize;

use crate::app::Once;
use crate::capture::submission::fingerprint;
use crate::failure::{Code, Problem};
use crate::http::IdempotencyKey;

/// The claim of a request to have its effect once; none if it gave no key. The key in the input
/// wins over the header's, since one request may hold several mutations.
///
/// The fingerprint covers what `input` serialises to; leave the key itself out of that, so that it
/// does not matter where the key stood.
pub fn once(
    ctx: &Context<'_>,
    operation: &'static str,
    input: &impl Serialize,
    key: Option<&str>,
) -> Result<Option<Once>, Problem> {
    let key = match key {
        Some(key) => {
            let sane = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
            if !sane {
                return Err(refusal(
                    "an idempotency key has 1 to 255 visible ASCII characters",
                ));
            }
            Some(key.to_owned())
        }
        None => ctx.data::<IdempotencyKey>().ok().map(|key| key.0.clone()),
    };
    Ok(key.map(|key| Once {
        key,
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
