//! The labels of shipments on the wire, and what carriers say of them.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{ShipmentId, tracking_event};

use super::errors::{UserError, outcome};
use super::fulfillment::{Shipment, TrackingStatus, seen_shipment};
use super::loaders::load;
use super::{Allowed, actor, app};
use crate::access::Scope;
use crate::failure::Failure;
use crate::shipping::Settled;

/// Something that a carrier said of a parcel. One that is older than what was known is kept and
/// changes nothing.
pub struct TrackingEvent(pub tracking_event::Model);

/// Something that a carrier said of a parcel. One that is older than what was known is kept and
/// changes nothing.
#[Object]
impl TrackingEvent {
    /// The carrier's code.
    async fn carrier(&self) -> &str {
        &self.0.carrier
    }

    /// The parcel's name at the carrier.
    async fn tracking_number(&self) -> &str {
        &self.0.tracking_number
    }

    /// What it means.
    async fn status(&self) -> TrackingStatus {
        self.0.status.into()
    }

    /// What the carrier calls it.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Where; null if the carrier did not say.
    async fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// When it happened.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }

    /// When we heard of it.
    async fn received_at(&self) -> DateTime<Utc> {
        self.0.received_at
    }
}

/// What came of asking a carrier. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum LabelOutcomeKind {
    /// The label is bought.
    Bought,
    /// The label was given back.
    Voided,
    /// The carrier refused; `reason` has its code.
    Refused,
    /// There is no definite answer yet; the carrier will be asked, never told twice.
    Pending,
}

/// What came of asking a carrier about one label.
#[derive(Clone, Debug, SimpleObject)]
pub struct LabelOutcome {
    /// What.
    pub kind: LabelOutcomeKind,
    /// The parcel's name at the carrier, if it was bought.
    pub tracking_number: Option<String>,
    /// The carrier's reason, if it refused.
    pub reason: Option<String>,
}

impl From<Settled> for LabelOutcome {
    fn from(settled: Settled) -> Self {
        let outcome = |kind, tracking_number, reason| LabelOutcome {
            kind,
            tracking_number,
            reason,
        };
        match settled {
            Settled::Bought {
                tracking_number, ..
            } => outcome(LabelOutcomeKind::Bought, Some(tracking_number), None),
            Settled::Voided => outcome(LabelOutcomeKind::Voided, None, None),
            Settled::Declined { code } | Settled::NotVoided { code } => {
                outcome(LabelOutcomeKind::Refused, None, Some(code))
            }
            Settled::NotExecuted => outcome(LabelOutcomeKind::Refused, None, None),
            // Somebody else has recorded the answer; the shipment shows it.
            Settled::Nothing | Settled::Unknown { .. } => {
                outcome(LabelOutcomeKind::Pending, None, None)
            }
        }
    }
}

/// What `shipmentBuyLabels` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ShipmentBuyLabelsInput {
    /// The shipment, packed (NOT_FOUND).
    pub id: ID,
}

/// What `shipmentVoidLabels` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ShipmentVoidLabelsInput {
    /// The shipment, which has not left (NOT_FOUND).
    pub id: ID,
}

/// What `shipmentBuyLabels` and `shipmentVoidLabels` came to.
#[derive(SimpleObject)]
pub struct ShipmentLabelsPayload {
    /// The shipment as it is now; null if nothing was asked.
    pub shipment: Option<Shipment>,
    /// What came of each label that was asked about.
    pub labels: Vec<LabelOutcome>,
    /// Why nothing was asked; empty if it was.
    pub user_errors: Vec<UserError>,
}

/// Changes of labels.
#[derive(Default)]
pub struct LabelMutation;

/// Changes of labels.
#[Object]
impl LabelMutation {
    /// Chooses the carrier of a packed shipment and buys a label for each of its parcels that has
    /// none. A repetition buys nothing twice, whatever became of the first answer. The shipment is
    /// labelled when the last parcel has its label. Refusals: NOT_FOUND,
    /// FULFILLMENT_STATE_INVALID, SHIPMENT_NOT_DISPATCHABLE (its order is stopped),
    /// SHIPPING_UNAVAILABLE (`details` has why each carrier cannot take it), LABEL_EXISTS (one is
    /// being bought, or is of another service). Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn shipment_buy_labels(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which shipment.")] input: ShipmentBuyLabelsInput,
    ) -> Result<ShipmentLabelsPayload> {
        let by = actor(ctx)?;
        match seen_shipment(ctx, &input.id, "input.id").await? {
            Ok(id) => {
                let bought = app(ctx).label_shipment(&by, id).await;
                if bought.is_ok() {
                    // What cannot be printed now is printed by the next who tries.
                    if let Err(failure) = app(ctx).print_shipment(&by, id).await {
                        tracing::warn!(%failure, "a shipment was labelled and not printed");
                    }
                }
                payload(ctx, id, bought).await
            }
            Err(problem) => refused(problem.into()),
        }
    }

    /// Gives the labels of a shipment back that has not left: it is packed again. Refusals:
    /// NOT_FOUND, FULFILLMENT_STATE_INVALID (it has left, or has no labels). Needs the scope
    /// FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn shipment_void_labels(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which shipment.")] input: ShipmentVoidLabelsInput,
    ) -> Result<ShipmentLabelsPayload> {
        let by = actor(ctx)?;
        match seen_shipment(ctx, &input.id, "input.id").await? {
            Ok(id) => payload(ctx, id, app(ctx).void_labels(&by, id).await).await,
            Err(problem) => refused(problem.into()),
        }
    }
}

async fn payload(
    ctx: &Context<'_>,
    id: ShipmentId,
    result: Result<Vec<Settled>, Failure>,
) -> Result<ShipmentLabelsPayload> {
    let (settled, user_errors) = outcome(result)?;
    Ok(ShipmentLabelsPayload {
        shipment: match settled {
            Some(_) => load(ctx, id).await?.map(Shipment),
            None => None,
        },
        labels: settled
            .unwrap_or_default()
            .into_iter()
            .map(LabelOutcome::from)
            .collect(),
        user_errors,
    })
}

fn refused(failure: Failure) -> Result<ShipmentLabelsPayload> {
    let (_, user_errors) = outcome::<()>(Err(failure))?;
    Ok(ShipmentLabelsPayload {
        shipment: None,
        labels: Vec::new(),
        user_errors,
    })
}
