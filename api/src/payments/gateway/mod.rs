//! The port to payment gateways.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Effect;

mod sandbox;

pub use sandbox::Sandbox;

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
        Ok(Known::Absent) if still_wanted => execute(gateway, effect, now).await,
        Ok(Known::Absent) => Answer::NotExecuted,
        Ok(Known::Unclear) | Err(_) => Answer::Unknown,
    }
}
