//! `events`: the log itself, pulled or pushed, with the same envelopes and the same cursors.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject, Subscription};
use async_stream::try_stream;
use chrono::{DateTime, Utc};
use entity::{ChannelId, event_log};
use futures_util::Stream;
use sea_orm::{ColumnTrait, Condition};
use tracing::Span;

use super::cursor::Cursor;
use super::errors::fault;
use super::feed::scope_of;
use super::ids::to_global;
use super::pagination::{cost, page_size};
use super::reader::{self, Anew, Reader, Step, WINDOW};
use super::{Allowed, app, principal};
use crate::access::{Principal, Scope};
use crate::app::App;
use crate::events::{self, Event};
use crate::http::Course;

/// The closed list of types, from the events themselves: each with its name in the log and the
/// scope that its readers need. A new event is a compile error here.
macro_rules! event_types {
    ($($(#[$about:meta])* $variant:ident = $name:literal for $scope:ident,)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
        pub enum EventType {
            $($(#[$about])* $variant,)*
        }

        impl EventType {
            /// Every type.
            const ALL: &[EventType] = &[$(EventType::$variant,)*];

            /// The type of an event.
            fn of(event: &Event) -> EventType {
                match event {
                    $(Event::$variant { .. } => EventType::$variant,)*
                }
            }

            /// Its name in the log.
            fn name(self) -> &'static str {
                match self {
                    $(EventType::$variant => $name,)*
                }
            }

            /// What its readers must be allowed to do.
            fn scope(self) -> Scope {
                match self {
                    $(EventType::$variant => Scope::$scope,)*
                }
            }
        }
    };
}

event_types! {
    /// `order.received`: an order was taken.
    OrderReceived = "order.received" for OrdersRead,
    /// `order.exception_opened`: something is wrong with an order and waits for a person.
    OrderExceptionOpened = "order.exception_opened" for OrdersRead,
    /// `order.exception_resolved`: an exception was settled.
    OrderExceptionResolved = "order.exception_resolved" for OrdersRead,
    /// `order.exception_assigned`: an exception was given to somebody, or given back.
    OrderExceptionAssigned = "order.exception_assigned" for OrdersRead,
    /// `order.exception_snoozed`: an exception was put out of sight, or came back.
    OrderExceptionSnoozed = "order.exception_snoozed" for OrdersRead,
    /// `order.exception_reopened`: a settled exception was opened again, as a new one.
    OrderExceptionReopened = "order.exception_reopened" for OrdersRead,
    /// `order.split`: units of an order became an order of their own.
    OrderSplit = "order.split" for OrdersRead,
    /// `order.split_off`: an order was made of units of another one.
    OrderSplitOff = "order.split_off" for OrdersRead,
    /// `order.payment_authorized`: the amount due was set aside.
    OrderPaymentAuthorized = "order.payment_authorized" for OrdersRead,
    /// `order.payment_declined`: the gateway refused.
    OrderPaymentDeclined = "order.payment_declined" for OrdersRead,
    /// `order.payment_unknown`: the gateway gave no definite answer.
    OrderPaymentUnknown = "order.payment_unknown" for OrdersRead,
    /// `order.payment_not_executed`: the gateway never did what was asked.
    OrderPaymentNotExecuted = "order.payment_not_executed" for OrdersRead,
    /// `order.payment_voided`: the authorisation was given back.
    OrderPaymentVoided = "order.payment_voided" for OrdersRead,
    /// `order.void_declined`: the gateway refused to give the authorisation back.
    OrderVoidDeclined = "order.void_declined" for OrdersRead,
    /// `order.void_requested`: the gateway is asked again to give the authorisation back.
    OrderVoidRequested = "order.void_requested" for OrdersRead,
    /// `order.payment_requested`: another authorisation is asked for.
    OrderPaymentRequested = "order.payment_requested" for OrdersRead,
    /// `order.capture_requested`: the gateway is asked for what is due for a shipment.
    OrderCaptureRequested = "order.capture_requested" for OrdersRead,
    /// `order.payment_captured`: money of a shipment was captured.
    OrderPaymentCaptured = "order.payment_captured" for OrdersRead,
    /// `order.capture_failed`: what is due for a shipment was not captured.
    OrderCaptureFailed = "order.capture_failed" for OrdersRead,
    /// `order.payment_refunded`: captured money was given back.
    OrderPaymentRefunded = "order.payment_refunded" for OrdersRead,
    /// `order.refund_requested`: captured money is to be given back.
    OrderRefundRequested = "order.refund_requested" for OrdersRead,
    /// `order.return_requested`: units are to come back.
    OrderReturnRequested = "order.return_requested" for OrdersRead,
    /// `order.return_approved`: a return may come.
    OrderReturnApproved = "order.return_approved" for OrdersRead,
    /// `order.return_ended`: a return was declined or called off.
    OrderReturnEnded = "order.return_ended" for OrdersRead,
    /// `order.return_shipped`: a return is on its way.
    OrderReturnShipped = "order.return_shipped" for OrdersRead,
    /// `order.return_received`: units of a return came to the dock.
    OrderReturnReceived = "order.return_received" for OrdersRead,
    /// `order.return_inspected`: what became of units of a return is known.
    OrderReturnInspected = "order.return_inspected" for OrdersRead,
    /// `order.return_closed`: a return is settled.
    OrderReturnClosed = "order.return_closed" for OrdersRead,
    /// `order.refund_declined`: the gateway refused to give captured money back.
    OrderRefundDeclined = "order.refund_declined" for OrdersRead,
    /// `order.dispute_opened`: a customer takes captured money back through a bank.
    OrderDisputeOpened = "order.dispute_opened" for OrdersRead,
    /// `order.dispute_closed`: a dispute was decided.
    OrderDisputeClosed = "order.dispute_closed" for OrdersRead,
    /// `settlement.completed`: what a gateway has paid out was held against what we know.
    SettlementCompleted = "settlement.completed" for FinanceRead,
    /// `settlement.difference_resolved`: a difference was settled by a person.
    SettlementDifferenceResolved = "settlement.difference_resolved" for FinanceRead,
    /// `order.confirmed`: every gate is green; released to staging.
    OrderConfirmed = "order.confirmed" for OrdersRead,
    /// `order.cancelled`: called off.
    OrderCancelled = "order.cancelled" for OrdersRead,
    /// `order.rejected`: refused by a person after a check failed.
    OrderRejected = "order.rejected" for OrdersRead,
    /// `order.expired`: never paid; its hold ran out.
    OrderExpired = "order.expired" for OrdersRead,
    /// `order.completed`: everything was delivered, captured, invoiced and settled.
    OrderCompleted = "order.completed" for OrdersRead,
    /// `order.archived`: it was over for long enough and was put away.
    OrderArchived = "order.archived" for OrdersRead,
    /// `order.reopened`: it was taken out of the archive again.
    OrderReopened = "order.reopened" for OrdersRead,
    /// `order.held`: a person stopped it.
    OrderHeld = "order.held" for OrdersRead,
    /// `order.hold_released`: a person let it go on.
    OrderHoldReleased = "order.hold_released" for OrdersRead,
    /// `order.stock_released`: its soft hold of stock ran out.
    OrderStockReleased = "order.stock_released" for OrdersRead,
    /// `order.stock_held`: stock was held for it after its arrival.
    OrderStockHeld = "order.stock_held" for OrdersRead,
    /// `order.backorder_allocated`: stock came, and units that it waited for are its own.
    OrderBackorderAllocated = "order.backorder_allocated" for OrdersRead,
    /// `order.edited`: what was ordered, where it goes or what it costs was changed.
    OrderEdited = "order.edited" for OrdersRead,
    /// `order.noted`: a note was written.
    OrderNoted = "order.noted" for OrdersRead,
    /// `order.routed`: warehouses were told to send units of an order.
    OrderRouted = "order.routed" for OrdersRead,
    /// `order.rerouted`: a warehouse's work on an order was moved, split or merged.
    OrderRerouted = "order.rerouted" for OrdersRead,
    /// `order.work_held`: a part of an order was stopped in its warehouse.
    OrderWorkHeld = "order.work_held" for OrdersRead,
    /// `order.work_released`: a stopped part of an order goes on.
    OrderWorkReleased = "order.work_released" for OrdersRead,
    /// `order.picking_started`: a part of an order is on a pick list.
    OrderPickingStarted = "order.picking_started" for OrdersRead,
    /// `order.picked`: units of an order were scanned at their bin.
    OrderPicked = "order.picked" for OrdersRead,
    /// `order.pick_short`: units of an order were not in their bin.
    OrderPickShort = "order.pick_short" for OrdersRead,
    /// `order.packed`: units of an order were scanned into a package.
    OrderPacked = "order.packed" for OrdersRead,
    /// `order.package_opened`: a package was opened for an order.
    OrderPackageOpened = "order.package_opened" for OrdersRead,
    /// `order.package_closed`: a package of an order was closed.
    OrderPackageClosed = "order.package_closed" for OrdersRead,
    /// `order.package_reopened`: a package of an order was emptied.
    OrderPackageReopened = "order.package_reopened" for OrdersRead,
    /// `order.shipment_labeled`: every package of a shipment has its label.
    OrderShipmentLabeled = "order.shipment_labeled" for OrdersRead,
    /// `order.shipment_labels_voided`: the labels of a shipment were given back.
    OrderShipmentLabelsVoided = "order.shipment_labels_voided" for OrdersRead,
    /// `order.shipment_tracked`: its carrier said where a shipment is.
    OrderShipmentTracked = "order.shipment_tracked" for OrdersRead,
    /// `order.tracking_corrected`: the name of a parcel that has left was corrected.
    OrderTrackingCorrected = "order.tracking_corrected" for OrdersRead,
    /// `order.shipment_dispatched`: a shipment has left the warehouse.
    OrderShipmentDispatched = "order.shipment_dispatched" for OrdersRead,
    /// `order.tagged`: tags were put on it.
    OrderTagged = "order.tagged" for OrdersRead,
    /// `order.untagged`: tags were taken off it.
    OrderUntagged = "order.untagged" for OrdersRead,
    /// `saved_view.saved`: a search was kept under a name, or changed.
    SavedViewSaved = "saved_view.saved" for OrdersRead,
    /// `saved_view.deleted`: a search is no longer kept.
    SavedViewDeleted = "saved_view.deleted" for OrdersRead,
    /// `bulk.started`: an action on many orders began.
    BulkStarted = "bulk.started" for OrdersManage,
    /// `bulk.finished`: every order of an operation has its outcome.
    BulkFinished = "bulk.finished" for OrdersManage,
    /// `bulk.cancelled`: somebody stopped an operation.
    BulkCancelled = "bulk.cancelled" for OrdersManage,
    /// `export.requested`: rows were asked for as a file.
    ExportRequested = "export.requested" for OrdersRead,
    /// `export.finished`: nothing more comes of an export.
    ExportFinished = "export.finished" for OrdersRead,
    /// `stock.changed`: a stock row changed.
    StockChanged = "stock.changed" for StockRead,
    /// `stock.safety_set`: it was set how many units of a stock row are never promised.
    StockSafetySet = "stock.safety_set" for StockRead,
    /// `stock_source.saved`: a source of stock figures was made or changed.
    StockSourceSaved = "stock_source.saved" for StockRead,
    /// `stock_source.fed`: a source has stated figures.
    StockSourceFed = "stock_source.fed" for StockRead,
    /// `stock_source.stale`: the newest figures of a source are too old, or have become so old that
    /// more is kept back.
    StockSourceStale = "stock_source.stale" for StockRead,
    /// `stock_source.fresh`: they are new enough again.
    StockSourceFresh = "stock_source.fresh" for StockRead,
    /// `stock_source.still`: a source goes on stating figures of which none has changed for too
    /// long.
    StockSourceStill = "stock_source.still" for StockRead,
    /// `stock_source.moving`: they change again.
    StockSourceMoving = "stock_source.moving" for StockRead,
    /// `wave.created`: work was put together into a wave.
    WaveCreated = "wave.created" for FulfillmentRead,
    /// `wave.released`: a wave went onto pick lists.
    WaveReleased = "wave.released" for FulfillmentRead,
    /// `wave.cancelled`: a wave was given up before its release.
    WaveCancelled = "wave.cancelled" for FulfillmentRead,
    /// `wave.done`: nothing of a wave is left to pick.
    WaveDone = "wave.done" for FulfillmentRead,
    /// `pick_list.claimed`: a picker took a pick list, or gave it back.
    PickListClaimed = "pick_list.claimed" for FulfillmentRead,
    /// `pick_list.done`: nothing on a pick list is left to pick.
    PickListDone = "pick_list.done" for FulfillmentRead,
    /// `scan.refused`: a scan in a warehouse was refused.
    ScanRefused = "scan.refused" for FulfillmentRead,
    /// `document.created`: a document was printed and stored.
    DocumentCreated = "document.created" for FulfillmentRead,
    /// `document.voided`: a document is no longer in force.
    DocumentVoided = "document.voided" for FulfillmentRead,
    /// `document.reprinted`: a document was asked for to be printed again.
    DocumentReprinted = "document.reprinted" for FulfillmentRead,
    /// `invoice.issued`: an invoice was issued.
    InvoiceIssued = "invoice.issued" for OrdersRead,
    /// `credit_note.issued`: an invoice was corrected by a credit note.
    CreditNoteIssued = "credit_note.issued" for OrdersRead,
    /// `invoice.paid`: a customer has paid an invoice on account, or a part of it.
    InvoicePaid = "invoice.paid" for FinanceRead,
    /// `variant_cost.saved`: what a unit of a variant costs the merchant was said.
    VariantCostSaved = "variant_cost.saved" for FinanceRead,
    /// `customer.erased`: it was forgotten who a customer was.
    CustomerErased = "customer.erased" for CustomersRead,
    /// `catalogue.changed`: something of the catalogue, or a customer, was made or changed; the
    /// latter is only shown with the scope CUSTOMERS_READ.
    CatalogueChanged = "catalogue.changed" for CatalogueRead,
    /// `exception_rule.saved`: a rule that makes exceptions was made or changed.
    ExceptionRuleSaved = "exception_rule.saved" for RulesRead,
    /// `message.queued`: somebody is owed a message.
    MessageQueued = "message.queued" for OrdersRead,
    /// `message.sent`: the mail server has taken a message.
    MessageSent = "message.sent" for OrdersRead,
    /// `message.failed`: a message is not tried again by itself.
    MessageFailed = "message.failed" for OrdersRead,
    /// `message.resent`: a message is to be sent again, as a new one.
    MessageResent = "message.resent" for OrdersRead,
    /// `message_template.saved`: the merchant's own wording of messages was made or changed.
    MessageTemplateSaved = "message_template.saved" for CatalogueRead,
    /// `message_template.deleted`: the merchant's own wording of messages was deleted.
    MessageTemplateDeleted = "message_template.deleted" for CatalogueRead,
    /// `exception_rule.deleted`: a rule that makes exceptions was deleted.
    ExceptionRuleDeleted = "exception_rule.deleted" for RulesRead,
}

/// What an envelope says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum EnvelopeKind {
    /// Something happened.
    Event,
    /// Nothing has happened for a while, or the stream has just begun; the cursor is fresh.
    Heartbeat,
    /// The cursor cannot be resumed from: it is older than what is kept, or the log was restored
    /// from a backup. Some events were missed, so read anew what you keep from them; what follows
    /// begins with the oldest that are kept.
    Resync,
}

/// One item of `events`: an event, or something about the stream itself.
#[derive(SimpleObject)]
pub struct EventEnvelope {
    /// What it says.
    kind: EnvelopeKind,
    /// Where the reader stands after it; give it as `after`, to the query or to the subscription,
    /// to go on from here. It works only with the same `types` and for callers that see the same
    /// channels.
    cursor: String,
    /// The position in the log after it.
    seq: i64,
    /// What happened; null unless the kind is EVENT.
    event: Option<LoggedEvent>,
    /// Ends with the item, when it has been written.
    #[graphql(skip)]
    _delivery: Span,
}

/// One thing that happened. Positions have no holes, but you may not see every event, so yours
/// may; an aggregate's versions rise by one with each event of it.
#[derive(SimpleObject)]
#[graphql(name = "Event")]
pub struct LoggedEvent {
    /// Its identifier, the same wherever it is delivered.
    #[graphql(owned)]
    id: ID,
    /// Its position in the log.
    seq: i64,
    /// What happened; null if a newer version of the server wrote it.
    #[graphql(name = "type")]
    kind: Option<EventType>,
    /// The same as text: `order.received` …
    event: String,
    /// What kind of thing changed: `order`, `stock` …
    aggregate_type: String,
    /// Which one.
    aggregate_id: String,
    /// The thing's version after it.
    version: i64,
    /// The order on whose timeline it stands.
    order_id: Option<ID>,
    /// The channel whose readers may see it; null if it belongs to none.
    channel_id: Option<ID>,
    /// Who did it: `key:…`, `worker:…`, `cli:…`.
    actor: String,
    /// The request or tick that it came from.
    correlation_id: String,
    /// The changed facts.
    details: Json<serde_json::Value>,
    /// When.
    occurred_at: DateTime<Utc>,
}

impl EventEnvelope {
    fn new(kind: EnvelopeKind, at: Cursor, event: Option<event_log::Model>) -> Self {
        EventEnvelope {
            kind,
            cursor: at.write(),
            seq: at.seq,
            event: event.map(LoggedEvent::from),
            _delivery: Span::none(),
        }
    }
}

impl From<event_log::Model> for LoggedEvent {
    fn from(row: event_log::Model) -> Self {
        let event = Event::read(&row.event_type, &row.payload);
        LoggedEvent {
            id: to_global(row.id),
            seq: row.seq,
            kind: event.as_ref().map(EventType::of),
            event: row.event_type,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            version: row.aggregate_version,
            order_id: row.order_id.map(to_global),
            channel_id: row.channel_id.map(to_global),
            actor: row.actor,
            correlation_id: row.correlation_id,
            details: Json(row.payload),
            occurred_at: row.occurred_at,
        }
    }
}

/// What one reader sees of the log.
struct Sight {
    /// The names of the types.
    names: BTreeSet<&'static str>,
    /// The channels; none = all, and what belongs to none.
    channels: Option<BTreeSet<ChannelId>>,
    /// Whether customers are seen.
    customers: bool,
    scope: u64,
}

impl Sight {
    fn of(caller: &Principal, types: Option<&[EventType]>) -> Sight {
        let names = EventType::ALL
            .iter()
            .filter(|kind| types.is_none_or(|types| types.contains(kind)))
            .filter(|kind| caller.may(kind.scope()))
            .map(|kind| kind.name())
            .collect();
        let mut asked: Option<Vec<_>> =
            types.map(|types| types.iter().map(|kind| kind.name()).collect());
        if let Some(asked) = &mut asked {
            asked.sort_unstable();
            asked.dedup();
        }
        Sight {
            names,
            channels: caller.channels.clone(),
            customers: caller.may(Scope::CustomersRead),
            scope: scope_of(caller, "events", &asked),
        }
    }

    /// Whether an event is seen.
    fn sees(&self, row: &event_log::Model) -> bool {
        let mine = match &self.channels {
            Some(channels) => row.channel_id.is_some_and(|of| channels.contains(&of)),
            None => true,
        };
        let customer = row.aggregate_type == "customer";
        mine && self.names.contains(row.event_type.as_str()) && (self.customers || !customer)
    }

    /// The same as a condition.
    fn condition(&self) -> Condition {
        use event_log::Column;
        let mine = self
            .channels
            .as_ref()
            .map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let no_customers = (!self.customers).then(|| Column::AggregateType.ne("customer"));
        Condition::all()
            .add(Column::EventType.is_in(self.names.iter().copied()))
            .add_option(mine)
            .add_option(no_customers)
    }
}

/// What a page of events tells besides the events.
#[derive(SimpleObject)]
pub struct EventPage {
    /// Where the page ends; give it as `after` for the next one. There may be more events behind
    /// it even if this page is empty: one request looks through 10,000 positions at most.
    cursor: String,
}

/// Reading the log.
#[derive(Default)]
pub struct EventQuery;

#[Object]
impl EventQuery {
    /// What happened, oldest first: the pull form of the subscription of the same name, with the
    /// same cursors. It begins with the oldest events that are kept; ask again with `after` =
    /// `cursor` for what came since. A cursor that cannot be resumed from gives a first item of
    /// the kind RESYNC. You see the events of orders in your channels; those that belong to no
    /// channel only if you are confined to none; those of stock, the catalogue, customers and
    /// rules only with the scope that reading these needs. Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
        #[graphql(desc = "Which types; all that you may see if not given.")] types: Option<
            Vec<EventType>,
        >,
    ) -> async_graphql::Result<Connection<String, EventEnvelope, EventPage, EmptyFields>> {
        let (app, sight) = (app(ctx), Sight::of(principal(ctx)?, types.as_deref()));
        let size = page_size(first)?;
        let after = after.map(|text| Cursor::read(&text, sight.scope));
        let after = after.transpose()?;
        let begun = events::position(&app.db.read).await.map_err(fault)?;
        let from = match after {
            Some(after) if after.resumes(begun) => after.seq,
            _ => begun.floor_seq,
        };
        let until = std::cmp::min(from.saturating_add(WINDOW), begun.last_seq);
        let (which, limit) = (sight.condition(), size as u64 + 1);
        let mut rows = events::page(&app.db.read, which, from, until, limit)
            .await
            .map_err(fault)?;
        // What retention has removed while we read is no silent gap.
        let now = events::position(&app.db.read).await.map_err(fault)?;
        let lost = after.is_some_and(|after| !after.resumes(now)) || from < now.floor_seq;
        let more = rows.len() > size;
        rows.truncate(size);
        let ends = match rows.last() {
            Some(last) if more => last.seq,
            _ if more => from,
            _ => until,
        };
        let at = |seq| Cursor {
            epoch: now.epoch,
            seq,
            scope: sight.scope,
        };
        let page = EventPage {
            cursor: at(ends).write(),
        };
        let mut connection = Connection::with_additional_fields(
            after.is_some() && !lost,
            more || ends < now.last_seq,
            page,
        );
        let resync = lost.then(|| EventEnvelope::new(EnvelopeKind::Resync, at(from), None));
        let events = rows
            .into_iter()
            .map(|row| EventEnvelope::new(EnvelopeKind::Event, at(row.seq), Some(row)));
        connection.edges.extend(
            resync
                .into_iter()
                .chain(events)
                .map(|item| Edge::new(item.cursor.clone(), item)),
        );
        Ok(connection)
    }
}

/// Following the log.
#[derive(Default)]
pub struct EventSubscription;

#[Subscription]
impl EventSubscription {
    /// What happens, each event exactly once, in the order of the log. It begins with a HEARTBEAT
    /// that has the cursor of this moment, or, with `after`, where that cursor stands, nothing
    /// left out. A cursor that cannot be resumed from gives RESYNC. While nothing happens, a
    /// HEARTBEAT comes every 15 seconds. You see what the query of the same name shows. Needs the
    /// scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which types; all that you may see if not given.")] types: Option<
            Vec<EventType>,
        >,
        #[graphql(desc = "The cursor to go on from.")] after: Option<String>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<EventEnvelope>>> {
        let sight = Sight::of(principal(ctx)?, types.as_deref());
        let course = ctx.data_opt::<Arc<Course>>().cloned().unwrap_or_default();
        let after = reader::after(&course, after.as_deref(), sight.scope)?;
        Ok(follow(app(ctx).clone(), course, sight, after))
    }
}

fn follow(
    app: Arc<App>,
    course: Arc<Course>,
    sight: Sight,
    after: Option<Cursor>,
) -> impl Stream<Item = async_graphql::Result<EventEnvelope>> {
    try_stream! {
        let (which, anew) = (sight.condition(), Anew::AtTheOldest);
        let reader = Reader::begin(app, course.clone(), which, anew, sight.scope, after);
        let mut reader = reader.await.map_err(fault)?;
        while let Some(step) = reader.next(None).await.map_err(fault)? {
            let at = reader.at();
            let (kind, logged) = match step {
                Step::Event(logged) if sight.sees(&logged.row) => {
                    (EnvelopeKind::Event, Some(logged))
                }
                Step::Begun | Step::Quiet => (EnvelopeKind::Heartbeat, None),
                Step::Lost => (EnvelopeKind::Resync, None),
                Step::Event(_) | Step::Resumed | Step::Due => {
                    course.passes(at.seq);
                    continue;
                }
            };
            let event = logged.as_ref().map(|logged| logged.row.clone());
            let envelope = EventEnvelope {
                _delivery: logged.map_or_else(Span::none, |logged| logged.delivery()),
                ..EventEnvelope::new(kind, at, event)
            };
            course.says(at.seq, Some(&envelope.cursor));
            reader.spoke();
            yield envelope;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_the_name_that_its_events_have_in_the_log() {
        for kind in EventType::ALL {
            let empty = serde_json::json!({ "type": kind.name(), "data": {} });
            if let Err(error) = serde_json::from_value::<Event>(empty) {
                assert!(error.to_string().contains("missing field"), "{error}");
            }
        }
    }
}
