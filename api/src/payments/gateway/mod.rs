//! The port to payment gateways, and which of them there are.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::{Money, TransactionId, dispute, payment, payment_transaction};

use super::Effect;
use crate::config::PaymentsConfig;
use crate::signatures::Unheard;

mod sandbox;
mod stripe;

pub use sandbox::{DISPUTED_AFTER_SECS, Sandbox};
pub use stripe::Stripe;

/// How long a gateway may take before its answer counts as unknown.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a gateway said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did it.
    Succeeded {
        /// The gateway's name for it.
        reference: String,
        /// When an authorisation runs out, if the gateway says.
        expires_at: Option<DateTime<Utc>>,
        /// Whether a capture has let go of what is left of its authorisation.
        rest_released: bool,
    },
    /// It refused, and did nothing.
    Declined {
        /// Its reason.
        code: String,
    },
    /// It never did it, and is no longer wanted to.
    NotExecuted,
    /// Anything else: a time-out, a server error, garbage. It may or may not have happened.
    Unknown,
}

/// What a gateway knows of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has answered it.
    Answered(Answer),
    /// It never saw it.
    Absent,
    /// It cannot say now.
    Unclear,
}

/// A payment gateway. Calls with one effect id have one effect, however often they are made.
#[async_trait]
pub trait PaymentGateway: Send + Sync + 'static {
    /// Does what the effect asks.
    async fn execute(&self, effect: &Effect, now: DateTime<Utc>) -> Answer;

    /// Says what became of an effect.
    async fn look_up(&self, effect: &Effect, now: DateTime<Utc>) -> Known;

    /// For how long after the first call a repetition is known for one. After that an effect that
    /// the gateway does not know is not asked for again.
    fn repeats_within(&self) -> chrono::Duration {
        chrono::Duration::MAX
    }

    /// Says how a dispute stands; none if it cannot say now, or if no money is in dispute.
    async fn look_up_dispute(&self, _: &str) -> Option<Dispute> {
        None
    }

    /// Says what it would send by itself of a dispute over a capture: of a gateway that has nobody to
    /// send it.
    fn disputes(
        &self,
        _: &payment_transaction::Model,
        _: &payment::Model,
        _: DateTime<Utc>,
    ) -> Option<Dispute> {
        None
    }

    /// Reads what the gateway sent by itself, if it is the gateway's.
    fn hear(&self, _: &str, _: &[u8], _: DateTime<Utc>) -> Result<Notice, Unheard> {
        Err(Unheard::Unknown)
    }
}

/// What a gateway's message is about. What it says is not believed: the gateway is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Our effect, if the message bears it.
    pub transaction: Option<TransactionId>,
    /// The gateway's name for something.
    pub reference: Option<String>,
    /// The gateway's name for a dispute.
    pub dispute: Option<String>,
}

/// What a gateway says of a dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// Its name for it.
    pub reference: String,
    /// Its name for the capture that is disputed.
    pub of: String,
    /// How much.
    pub amount: Money,
    /// Its reason.
    pub reason: String,
    /// How it stands.
    pub state: dispute::State,
}

/// The gateways that can be asked.
pub struct Gateways {
    sandbox: Arc<dyn PaymentGateway>,
    stripe: Option<Stripe>,
}

impl Gateways {
    /// Those that the settings have, with what answers for the sandbox.
    pub fn of(
        config: &PaymentsConfig,
        ca_file: &str,
        sandbox: Arc<dyn PaymentGateway>,
    ) -> Gateways {
        Gateways {
            sandbox,
            stripe: Stripe::of(config, ca_file),
        }
    }

    /// A gateway by its name; none if the settings do not have it.
    pub fn named(&self, name: &str) -> Option<&dyn PaymentGateway> {
        match name {
            "sandbox" => Some(self.sandbox.as_ref()),
            "stripe" => self.stripe.as_ref().map(|it| it as &dyn PaymentGateway),
            _ => None,
        }
    }
}

/// Whether a gateway captures from an authorisation once, and lets go of the rest then.
pub fn captures_once(name: &str) -> bool {
    name == "stripe"
}

/// Calls a gateway, and takes silence for what it is.
pub async fn execute(gateway: &dyn PaymentGateway, effect: &Effect, now: DateTime<Utc>) -> Answer {
    tokio::time::timeout(PATIENCE, gateway.execute(effect, now))
        .await
        .unwrap_or(Answer::Unknown)
}

/// Asks a gateway about an effect. If the gateway positively never saw it, it is asked for again
/// under the same key, provided it is still wanted.
pub async fn resolve(
    gateway: &dyn PaymentGateway,
    effect: &Effect,
    still_wanted: bool,
    now: DateTime<Utc>,
) -> Answer {
    match tokio::time::timeout(PATIENCE, gateway.look_up(effect, now)).await {
        Ok(Known::Answered(answer)) => answer,
        Ok(Known::Absent) if still_wanted && is_young(gateway, effect, now) => {
            execute(gateway, effect, now).await
        }
        Ok(Known::Absent) => Answer::NotExecuted,
        Ok(Known::Unclear) | Err(_) => Answer::Unknown,
    }
}

/// Asks a gateway how a dispute stands.
pub async fn look_up_dispute(gateway: &dyn PaymentGateway, reference: &str) -> Option<Dispute> {
    let said = tokio::time::timeout(PATIENCE, gateway.look_up_dispute(reference)).await;
    said.ok().flatten()
}

/// Whether a repetition of an effect would be known for one.
fn is_young(gateway: &dyn PaymentGateway, effect: &Effect, now: DateTime<Utc>) -> bool {
    effect
        .first_sent_at
        .is_none_or(|first| now - first < gateway.repeats_within())
}
