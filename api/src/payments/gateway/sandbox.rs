//! An embedded gateway whose test cards behave as their names say.
//!
//! | token | what happens |
//! |---|---|
//! | `tok_approve` and any unlisted token | approved |
//! | `tok_decline` | declined, `card_declined` |
//! | `tok_insufficient_funds` | declined, `insufficient_funds` |
//! | `tok_timeout_before` | the first call is lost before it has an effect; a repetition is approved |
//! | `tok_timeout_after` | approved, but the answer is lost |
//! | `tok_late` | approved a minute after the first call; until then nothing is known |
//! | `tok_silent` | never a definite answer |
//!
//! It keeps nothing: what it knows of an effect follows from the token and the time of the first
//! call, so it knows the same after a restart.

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use entity::payment_transaction::Kind;

use super::{Answer, Known, PaymentGateway};
use crate::payments::{AUTHORIZATION_DAYS, Effect};

/// The gateway. See the module for its cards.
pub struct Sandbox;

/// How long `tok_late` takes.
const LATE_SECS: i64 = 60;

fn approved(effect: &Effect, now: DateTime<Utc>) -> Answer {
    Answer::Succeeded {
        reference: format!("sandbox_{}", effect.id),
        expires_at: (effect.kind == Kind::Authorization)
            .then(|| now + Duration::days(AUTHORIZATION_DAYS)),
    }
}

fn declined(code: &str) -> Answer {
    Answer::Declined {
        code: code.to_owned(),
    }
}

#[async_trait]
impl PaymentGateway for Sandbox {
    async fn execute(&self, effect: &Effect, now: DateTime<Utc>) -> Answer {
        if effect.kind != Kind::Authorization {
            return approved(effect, now);
        }
        match effect.instrument.as_deref() {
            Some("tok_decline") => declined("card_declined"),
            Some("tok_insufficient_funds") => declined("insufficient_funds"),
            Some("tok_timeout_before") if effect.attempts <= 1 => Answer::Unknown,
            Some("tok_timeout_after" | "tok_late" | "tok_silent") => Answer::Unknown,
            _ => approved(effect, now),
        }
    }

    async fn look_up(&self, effect: &Effect, now: DateTime<Utc>) -> Known {
        if effect.kind != Kind::Authorization {
            return Known::Absent;
        }
        match effect.instrument.as_deref() {
            Some("tok_decline") => Known::Answered(declined("card_declined")),
            Some("tok_timeout_after") => Known::Answered(approved(effect, now)),
            Some("tok_timeout_before") => Known::Absent,
            Some("tok_silent") => Known::Unclear,
            Some("tok_late") => {
                let since = effect.first_sent_at.map(|first| now - first);
                if since.is_some_and(|since| since >= Duration::seconds(LATE_SECS)) {
                    Known::Answered(approved(effect, now))
                } else {
                    Known::Unclear
                }
            }
            _ => Known::Absent,
        }
    }
}
