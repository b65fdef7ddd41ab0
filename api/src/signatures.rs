//! Digests and signatures, in hexadecimal as headers and columns have them; whether a message from
//! outside is its sender's.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// For how many seconds a signature that names its time is good, before and after.
const WINDOW_SECS: i64 = 300;

/// Why a message is not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// Nobody here goes by that name, or they send no messages.
    #[error("nobody here goes by that name")]
    Unknown,
    /// It is not signed as theirs, or not now.
    #[error("the signature is wrong or too old")]
    Unsigned,
    /// It says nothing that is understood.
    #[error("the message is malformed")]
    Malformed,
}

/// SHA-256.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// HMAC-SHA-256 over the parts as if they were one.
pub fn sign(secret: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    parts.iter().for_each(|part| mac.update(part));
    hex::encode(mac.finalize().into_bytes())
}

/// Whether a signature over the parts is the secret's, told in a time that says nothing of it.
pub fn is_signed(secret: &[u8], parts: &[&[u8]], given: &str) -> bool {
    let given = given.to_ascii_lowercase();
    sign(secret, parts)
        .as_bytes()
        .ct_eq(given.as_bytes())
        .into()
}

/// Whether a time, in seconds as it was signed, is near enough to now that nobody kept the message
/// to send it again.
pub fn is_fresh(stamp: &str, now: DateTime<Utc>) -> bool {
    let age = stamp.parse().map(|at| now.timestamp().saturating_sub(at));
    age.is_ok_and(|age: i64| (-WINDOW_SECS..=WINDOW_SECS).contains(&age))
}
