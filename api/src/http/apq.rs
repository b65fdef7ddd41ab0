//! Automatic Persisted Queries, in the shape that Apollo's clients speak: the hash alone, and the
//! text with it once when the hash is not known.
//!
//! The text behind a hash is the same for every caller, so one cache serves all. It is in this
//! process only: a miss costs a client one more request, a shared cache would cost each request a
//! round trip.

use std::sync::Arc;

use moka::future::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::refusal::Refusal;

/// The documents known by their hash, shared by all clones. Bounded in bytes; those used least
/// make room.
#[derive(Clone)]
pub struct PersistedQueries {
    texts: Cache<Hash, Arc<str>>,
}

/// A SHA-256.
pub(super) type Hash = [u8; 32];

impl PersistedQueries {
    /// A cache of at most `bytes` bytes of text.
    pub fn holding(bytes: u64) -> Self {
        let texts = Cache::builder()
            .max_capacity(bytes)
            // The key and the bookkeeping count too, or short texts would be free.
            .weigher(|_, text: &Arc<str>| u32::try_from(text.len() + 128).unwrap_or(u32::MAX))
            .build();
        PersistedQueries { texts }
    }

    /// The text of a request: the one it brings, or the one its hash stands for.
    pub(super) async fn text(
        &self,
        query: Option<String>,
        hash: Option<Hash>,
    ) -> Result<Arc<str>, Refusal> {
        match (query, hash) {
            (None, None) => Err(Refusal::malformed("The request has no query.")),
            (Some(query), None) => Ok(query.into()),
            (None, Some(hash)) => {
                let known = self.texts.get(&hash).await;
                known.ok_or_else(Refusal::persisted_query_not_found)
            }
            (Some(query), Some(hash)) => {
                if Hash::from(Sha256::digest(query.as_bytes())) != hash {
                    return Err(Refusal::malformed(
                        "The hash of the persisted query is not that of the query.",
                    ));
                }
                Ok(query.into())
            }
        }
    }

    /// Keeps a text under its hash. Called once the text is known to be an acceptable document, so
    /// that the cache is not filled with others.
    pub(super) async fn keep(&self, hash: Hash, text: Arc<str>) {
        self.texts.insert(hash, text).await;
    }
}

impl Default for PersistedQueries {
    /// Holds 8 MiB.
    fn default() -> Self {
        Self::holding(8 * 1024 * 1024)
    }
}

/// The hash in `extensions.persistedQuery`, when there is one.
pub(super) fn hash(extensions: Option<&Map<String, Value>>) -> Result<Option<Hash>, Refusal> {
    let Some(asked) = extensions.and_then(|extensions| extensions.get("persistedQuery")) else {
        return Ok(None);
    };
    if asked["version"] != 1 {
        return Err(Refusal::malformed(
            "The version of extensions.persistedQuery must be 1.",
        ));
    }
    asked["sha256Hash"]
        .as_str()
        .and_then(decode)
        .map(Some)
        .ok_or_else(|| {
            Refusal::malformed("extensions.persistedQuery.sha256Hash must be 64 hex digits.")
        })
}

/// Reads 64 hex digits.
fn decode(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_version_one_and_a_whole_hash_are_read() {
        let read = |value: Value| hash(value.as_object());
        assert_eq!(read(json!({})).expect("none"), None);
        let text = "ab".repeat(32);
        assert_eq!(
            read(json!({"persistedQuery": {"version": 1, "sha256Hash": text}})).expect("a hash"),
            Some([0xab; 32])
        );
        for bad in [
            json!({"persistedQuery": {"version": 2, "sha256Hash": text}}),
            json!({"persistedQuery": {"version": 1, "sha256Hash": "ab"}}),
            json!({"persistedQuery": {"version": 1, "sha256Hash": "\u{e9}".repeat(32)}}),
            json!({"persistedQuery": {"version": 1}}),
            json!({"persistedQuery": 7}),
            json!({"persistedQuery": null}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_cache_stays_within_its_bytes() {
        let cache = PersistedQueries::holding(10_000);
        for number in 0..1000_u16 {
            let mut hash = Hash::default();
            hash[..2].copy_from_slice(&number.to_be_bytes());
            cache.keep(hash, "{ a }".repeat(20).into()).await;
        }
        cache.texts.run_pending_tasks().await;
        assert!(cache.texts.weighted_size() <= 10_000);
    }
}
