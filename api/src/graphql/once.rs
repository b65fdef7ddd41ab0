//! Idempotency keys: from the `Idempotency-Key` header or the input.

use async_graphql::Context;
use serde::Serialize;

use crate::app::Once;
use crate::capture::submission::fingerprint;
use crate::failure::{Code, Problem};
use crate::http::IdempotencyKey;

/// The claim of a request to have its effect once; none if it gave no key. The key in the input
/// wins over the header's, since one request may hold several mutations.
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
                return Err(Problem::new(
                    Code::InvalidInput,
                    "an idempotency key has 1 to 255 visible ASCII characters",
                )
                .at("input.idempotencyKey"));
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
