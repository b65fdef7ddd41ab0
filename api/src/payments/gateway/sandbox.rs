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
//! | `tok_message` | approved, but the answer is lost; three minutes later a message of the gateway says so |
//! | `tok_garbage` | approved, but the answer is nonsense |
//! | `tok_silent` | never a definite answer |
//! | `tok_expires_soon` | approved, and runs out after an hour |
//! | `tok_capture_decline` | approved; captures are declined, `capture_declined` |
//! | `tok_capture_decline_first` | approved; captures are declined within a day of it |
//! | `tok_capture_timeout_before` | approved; the first call of a capture is lost before it has an effect |
//! | `tok_capture_timeout_after` | approved; captures are made, but the answers are lost |
//! | `tok_capture_silent` | approved; of captures there is never a definite answer |
//! | `tok_capture_once` | approved; the first capture lets go of the rest |
//! | `tok_refund_decline` | approved; refunds are declined, `refund_declined` |
//! | `tok_chargeback` | approved; an hour after a capture the customer takes it back, `fraudulent` |
//! | `tok_chargeback_won` | the same; a day after that the money comes back |
//! | `tok_chargeback_lost` | the same; a day after that it is lost |
//!
//! Captures, voids and refunds go by the card of their authorisation; nothing is captured from one
//! that has run out (`authorization_expired`). The gateway keeps nothing: what it knows of an effect
//! follows from the token and the time of the first call, so it knows the same after a restart. Its
//! messages come with the background work, or by `POST /webhooks/payments/sandbox` with
//! `{"transaction": "<ours>"}`; neither is believed, and both have it asked.

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use entity::payment_transaction::Kind;
use entity::{Money, TransactionId, dispute, payment, payment_transaction};

use super::{Answer, Dispute, Known, Notice, PaymentGateway};
use crate::payments::{AUTHORIZATION_DAYS, Effect};
use crate::signatures::Unheard;

/// The gateway. See the module for its cards.
pub struct Sandbox;

/// How long `tok_late` takes.
const LATE_SECS: i64 = 60;

/// How long after the first call of `tok_message` its message comes.
const MESSAGE_SECS: i64 = 180;

/// How long after a capture by the cards that say so it is disputed.
pub const DISPUTED_AFTER_SECS: i64 = 3_600;

/// How long a dispute lasts.
const DECIDED_AFTER_SECS: i64 = 86_400;

/// How long the authorisations of `tok_expires_soon` last.
const SOON_SECS: i64 = 3_600;

/// For how long `tok_capture_decline_first` captures nothing.
const FIRST_HOURS: i64 = 24;

fn approved(effect: &Effect, now: DateTime<Utc>) -> Answer {
    let lasts = match effect.instrument.as_deref() {
        Some("tok_expires_soon") => Duration::seconds(SOON_SECS),
        _ => Duration::days(AUTHORIZATION_DAYS),
    };
    let once = effect.instrument.as_deref() == Some("tok_capture_once");
    Answer::Succeeded {
        reference: format!("sandbox_{}", effect.id),
        expires_at: (effect.kind == Kind::Authorization).then(|| now + lasts),
        rest_released: once && effect.kind == Kind::Capture,
    }
}

fn declined(code: &str) -> Answer {
    Answer::Declined {
        code: code.to_owned(),
    }
}

/// What comes of a capture that is not lost on its way.
fn captured(effect: &Effect, now: DateTime<Utc>) -> Answer {
    let source = effect.source.as_ref();
    if source.is_some_and(|source| source.expires_at.is_some_and(|until| until <= now)) {
        return declined("authorization_expired");
    }
    let age = source.map(|source| now - source.created_at);
    match effect.instrument.as_deref() {
        Some("tok_capture_decline") => declined("capture_declined"),
        Some("tok_capture_decline_first")
            if age.is_some_and(|age| age < Duration::hours(FIRST_HOURS)) =>
        {
            declined("capture_declined")
        }
        _ => approved(effect, now),
    }
}

#[async_trait]
impl PaymentGateway for Sandbox {
    async fn execute(&self, effect: &Effect, now: DateTime<Utc>) -> Answer {
        match (effect.kind, effect.instrument.as_deref()) {
            (Kind::Authorization, _) => {}
            (Kind::Capture, Some("tok_capture_timeout_before")) if effect.attempts <= 1 => {
                return Answer::Unknown;
            }
            (Kind::Capture, Some("tok_capture_timeout_after" | "tok_capture_silent")) => {
                return Answer::Unknown;
            }
            (Kind::Capture, _) => return captured(effect, now),
            (Kind::Refund, Some("tok_refund_decline")) => return declined("refund_declined"),
            (Kind::Void | Kind::Refund, _) => return approved(effect, now),
        }
        match effect.instrument.as_deref() {
            Some("tok_decline") => declined("card_declined"),
            Some("tok_insufficient_funds") => declined("insufficient_funds"),
            Some("tok_timeout_before") if effect.attempts <= 1 => Answer::Unknown,
            Some(
                "tok_timeout_after" | "tok_late" | "tok_message" | "tok_garbage" | "tok_silent",
            ) => Answer::Unknown,
            _ => approved(effect, now),
        }
    }

    async fn look_up(&self, effect: &Effect, now: DateTime<Utc>) -> Known {
        if effect.kind != Kind::Authorization {
            return match (effect.kind, effect.instrument.as_deref()) {
                (Kind::Capture, Some("tok_capture_timeout_after")) => {
                    Known::Answered(approved(effect, now))
                }
                (Kind::Capture, Some("tok_capture_silent")) => Known::Unclear,
                _ => Known::Absent,
            };
        }
        match effect.instrument.as_deref() {
            Some("tok_decline") => Known::Answered(declined("card_declined")),
            Some("tok_timeout_after" | "tok_garbage") => Known::Answered(approved(effect, now)),
            Some("tok_timeout_before") => Known::Absent,
            Some("tok_silent") => Known::Unclear,
            Some(card @ ("tok_late" | "tok_message")) => {
                let wait = match card {
                    "tok_late" => LATE_SECS,
                    _ => MESSAGE_SECS,
                };
                let since = effect.first_sent_at.map(|first| now - first);
                if since.is_some_and(|since| since >= Duration::seconds(wait)) {
                    Known::Answered(approved(effect, now))
                } else {
                    Known::Unclear
                }
            }
            _ => Known::Absent,
        }
    }

    fn disputes(
        &self,
        capture: &payment_transaction::Model,
        payment: &payment::Model,
        now: DateTime<Utc>,
    ) -> Option<Dispute> {
        let since = now - capture.updated_at;
        let is_decided = since >= Duration::seconds(DISPUTED_AFTER_SECS + DECIDED_AFTER_SECS);
        let state = match capture.instrument.as_deref()? {
            "tok_chargeback_won" if is_decided => dispute::State::Won,
            "tok_chargeback_lost" if is_decided => dispute::State::Lost,
            "tok_chargeback" | "tok_chargeback_won" | "tok_chargeback_lost" => dispute::State::Open,
            _ => return None,
        };
        (since >= Duration::seconds(DISPUTED_AFTER_SECS)).then(|| Dispute {
            reference: format!("dispute_{}", capture.id),
            of: capture.gateway_reference.clone().unwrap_or_default(),
            amount: Money::new(capture.amount_minor, payment.currency),
            reason: "fraudulent".to_owned(),
            state,
        })
    }

    fn hear(&self, _: &str, body: &[u8], _: DateTime<Utc>) -> Result<Notice, Unheard> {
        let said: serde_json::Value =
            serde_json::from_slice(body).map_err(|_| Unheard::Malformed)?;
        let id = said["transaction"].as_str().and_then(|id| id.parse().ok());
        Ok(Notice {
            transaction: Some(TransactionId(id.ok_or(Unheard::Malformed)?)),
            reference: None,
            dispute: None,
        })
    }
}
