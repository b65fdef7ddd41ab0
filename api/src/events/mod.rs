//! What happened: the closed list of events, the log that holds them in one total order without
//! holes, and the hub that feeds this node's subscribers.
//!
//! One row of the log is the order's timeline entry, the audit record and the subscription's
//! source. A use case says [`Tx::emit`](crate::tx::Tx::emit); the event exists if, and only if,
//! the transaction commits. Payloads carry ids and figures, never personal data.

use chrono::{DateTime, Utc};
use entity::order::Stage;
use entity::shipment::TrackingStatus;
use entity::{
    ChannelId, Currency, EventId, FulfillmentOrderId, InvoiceId, LineId, MessageId, OrderId,
    PackageId, ShipmentId, VariantId, WarehouseId, WaveId, bulk_operation, document, event_log,
    export, ledger_entry, message, outbox, settlement_difference, stock_source,
};
use sea_orm::sea_query::InsertStatement;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryTrait, Set};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::telemetry::traces::TraceParent;
use crate::tx::Actor;

pub mod bus;
mod changes;
pub mod hub;
mod log;
pub mod retention;
mod sequencer;

pub use bus::Bus;
pub use changes::{Change, Changes};
pub use hub::{Hub, Logged};
pub use log::{PAGE, Position, page, position, restored};

/// Everything that can happen. Consumers match on it exhaustively, so a new event is a compile
/// error wherever somebody must decide what it means to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all_fields = "camelCase")]
pub enum Event {
    /// An order was taken.
    #[serde(rename = "order.received")]
    OrderReceived {
        /// What people call it.
        number: String,
        /// The total, in minor units.
        total: i64,
        /// How many lines it has.
        lines: usize,
        /// How many units are held for it.
        held: i64,
        /// How many units it waits for.
        backordered: i64,
    },
    /// Something is wrong with an order and waits for a person.
    #[serde(rename = "order.exception_opened")]
    OrderExceptionOpened {
        /// The exception.
        exception_id: Uuid,
        /// What is wrong.
        code: String,
        /// Whether it stops the order.
        blocking: bool,
    },
    /// An exception was settled.
    #[serde(rename = "order.exception_resolved")]
    OrderExceptionResolved {
        /// The exception.
        exception_id: Uuid,
        /// What was wrong.
        code: String,
        /// How it was settled.
        resolution: String,
        /// Whether it was found to be no exception.
        dismissed: bool,
    },
    /// An exception was given to somebody or to a team, or was given back.
    #[serde(rename = "order.exception_assigned")]
    OrderExceptionAssigned {
        /// The exception.
        exception_id: Uuid,
        /// The team whose it is now.
        queue: String,
        /// Who has it now; none = nobody.
        owner: Option<String>,
        /// Who had it before.
        before: Option<String>,
    },
    /// An exception was put out of sight, or came back.
    #[serde(rename = "order.exception_snoozed")]
    OrderExceptionSnoozed {
        /// The exception.
        exception_id: Uuid,
        /// Until when; none = it is back.
        until: Option<DateTime<Utc>>,
    },
    /// A settled exception was opened again, as a new one.
    #[serde(rename = "order.exception_reopened")]
    OrderExceptionReopened {
        /// The new exception.
        exception_id: Uuid,
        /// The settled one.
        reopens: Uuid,
        /// What is wrong.
        code: String,
        /// Whether it stops the order.
        blocking: bool,
        /// Why it was opened again.
        reason: String,
    },
    /// Units of it became an order of their own.
    #[serde(rename = "order.split")]
    OrderSplit {
        /// The other order.
        into: OrderId,
        /// What went: `[{sku, quantity}]`.
        lines: Json,
        /// How much less is due for it, in minor units.
        amount: i64,
    },
    /// It was made of units of another order.
    #[serde(rename = "order.split_off")]
    OrderSplitOff {
        /// The other order.
        from: OrderId,
    },
    /// The amount due was set aside.
    #[serde(rename = "order.payment_authorized")]
    OrderPaymentAuthorized {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
    },
    /// The gateway refused.
    #[serde(rename = "order.payment_declined")]
    OrderPaymentDeclined {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// The gateway's reason.
        reason: String,
    },
    /// The gateway gave no definite answer; it will be asked about.
    #[serde(rename = "order.payment_unknown")]
    OrderPaymentUnknown {
        /// The effect at the gateway.
        transaction_id: Uuid,
    },
    /// The gateway never did what was asked, and is no longer asked to.
    #[serde(rename = "order.payment_not_executed")]
    OrderPaymentNotExecuted {
        /// The effect at the gateway.
        transaction_id: Uuid,
    },
    /// The authorisation was given back.
    #[serde(rename = "order.payment_voided")]
    OrderPaymentVoided {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
    },
    /// The gateway refused to give the authorisation back.
    #[serde(rename = "order.void_declined")]
    OrderVoidDeclined {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
        /// The gateway's reason.
        reason: String,
    },
    /// The gateway is asked again to give the authorisation back.
    #[serde(rename = "order.void_requested")]
    OrderVoidRequested {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
    },
    /// Another authorisation is asked for, after a decline or a void.
    #[serde(rename = "order.payment_requested")]
    OrderPaymentRequested {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
    },
    /// The gateway is asked for what is due for a shipment: its carrier has it.
    #[serde(rename = "order.capture_requested")]
    OrderCaptureRequested {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// The shipment.
        shipment_id: ShipmentId,
        /// How much, in minor units.
        amount: i64,
    },
    /// Money of a shipment was captured.
    #[serde(rename = "order.payment_captured")]
    OrderPaymentCaptured {
        /// The effect at the gateway; none = nothing was due.
        transaction_id: Option<Uuid>,
        /// The shipment.
        shipment_id: ShipmentId,
        /// How much, in minor units.
        amount: i64,
        /// What is still due for the shipment, in minor units.
        left: i64,
    },
    /// What is due for a shipment was not captured. It was not un-shipped by that.
    #[serde(rename = "order.capture_failed")]
    OrderCaptureFailed {
        /// The effect at the gateway; none = nothing was set aside to capture from.
        transaction_id: Option<Uuid>,
        /// The shipment.
        shipment_id: ShipmentId,
        /// How much is due, in minor units.
        amount: i64,
        /// The gateway's reason.
        reason: String,
        /// When it is tried again by itself.
        next_try_at: Option<DateTime<Utc>>,
    },
    /// Captured money was given back.
    #[serde(rename = "order.payment_refunded")]
    OrderPaymentRefunded {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
    },
    /// Captured money is to be given back.
    #[serde(rename = "order.refund_requested")]
    OrderRefundRequested {
        /// The decision.
        refund_id: Uuid,
        /// The return that it is for; none = nothing comes back for it.
        return_id: Option<Uuid>,
        /// How much, in minor units.
        amount: i64,
        /// What was kept for restocking, in minor units.
        fee: i64,
        /// Why it was paid before what became of the units was known.
        override_reason: Option<String>,
    },
    /// Units are to come back.
    #[serde(rename = "order.return_requested")]
    OrderReturnRequested {
        /// The return.
        return_id: Uuid,
        /// What people call it.
        number: String,
        /// Whether it was asked for before it came.
        announced: bool,
        /// What is to come: `[{sku, quantity, reason}]`.
        lines: Json,
    },
    /// A return may come.
    #[serde(rename = "order.return_approved")]
    OrderReturnApproved {
        /// The return.
        return_id: Uuid,
    },
    /// A return ended without anything coming: declined, or called off.
    #[serde(rename = "order.return_ended")]
    OrderReturnEnded {
        /// The return.
        return_id: Uuid,
        /// DECLINED or CANCELLED.
        status: String,
        /// Why.
        reason: String,
    },
    /// A return is on its way.
    #[serde(rename = "order.return_shipped")]
    OrderReturnShipped {
        /// The return.
        return_id: Uuid,
        /// Who brings it.
        carrier: String,
        /// The parcel.
        tracking_number: String,
    },
    /// Units of a return came to the dock.
    #[serde(rename = "order.return_received")]
    OrderReturnReceived {
        /// The return.
        return_id: Uuid,
        /// Where.
        warehouse_id: WarehouseId,
        /// How many units.
        quantity: i64,
        /// How many of the return's units have not come.
        left: i64,
    },
    /// What became of units of a return is known.
    #[serde(rename = "order.return_inspected")]
    OrderReturnInspected {
        /// The return.
        return_id: Uuid,
        /// What was found: `[{sku, quantity, condition, disposition}]`.
        units: Json,
    },
    /// A return is settled.
    #[serde(rename = "order.return_closed")]
    OrderReturnClosed {
        /// The return.
        return_id: Uuid,
        /// Why, if a person closed it.
        reason: Option<String>,
    },
    /// The gateway refused to give captured money back.
    #[serde(rename = "order.refund_declined")]
    OrderRefundDeclined {
        /// The effect at the gateway.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
        /// The gateway's reason.
        reason: String,
    },
    /// A customer takes captured money back through a bank.
    #[serde(rename = "order.dispute_opened")]
    OrderDisputeOpened {
        /// The dispute.
        dispute_id: Uuid,
        /// The capture.
        transaction_id: Uuid,
        /// How much, in minor units.
        amount: i64,
        /// The gateway's reason.
        reason: String,
    },
    /// A dispute was decided.
    #[serde(rename = "order.dispute_closed")]
    OrderDisputeClosed {
        /// The dispute.
        dispute_id: Uuid,
        /// Whether the money came back.
        won: bool,
    },
    /// A file of what a gateway has paid out was held against what we know.
    #[serde(rename = "settlement.completed")]
    SettlementCompleted {
        /// Whose file.
        gateway: String,
        /// How many lines it has.
        lines: i64,
        /// How many of them were refused.
        refused: i64,
    },
    /// A difference between what a gateway has settled and what we know was settled by a person.
    #[serde(rename = "settlement.difference_resolved")]
    SettlementDifferenceResolved {
        /// What differed.
        kind: settlement_difference::Kind,
        /// The account that it was written off to.
        written_off_to: Option<ledger_entry::Account>,
    },
    /// Every gate is green: released to staging.
    #[serde(rename = "order.confirmed")]
    OrderConfirmed {},
    /// Called off.
    #[serde(rename = "order.cancelled")]
    OrderCancelled {
        /// Why.
        reason: String,
        /// What it came to, in minor units.
        #[serde(default)]
        total: i64,
    },
    /// Refused by a person after a check failed.
    #[serde(rename = "order.rejected")]
    OrderRejected {
        /// Why.
        reason: String,
        /// What it came to, in minor units.
        #[serde(default)]
        total: i64,
    },
    /// Never paid; its hold ran out.
    #[serde(rename = "order.expired")]
    OrderExpired {
        /// What it came to, in minor units.
        #[serde(default)]
        total: i64,
    },
    /// Everything was delivered, captured, invoiced and settled.
    #[serde(rename = "order.completed")]
    OrderCompleted {},
    /// It was over for long enough and was put away.
    #[serde(rename = "order.archived")]
    OrderArchived {},
    /// It was taken out of the archive again.
    #[serde(rename = "order.reopened")]
    OrderReopened {
        /// Why.
        reason: String,
    },
    /// A person stopped it.
    #[serde(rename = "order.held")]
    OrderHeld {
        /// The hold.
        hold_id: Uuid,
        /// Why.
        reason: String,
    },
    /// A person let it go on.
    #[serde(rename = "order.hold_released")]
    OrderHoldReleased {
        /// The hold.
        hold_id: Uuid,
    },
    /// Its soft hold of stock ran out while it waited for a person.
    #[serde(rename = "order.stock_released")]
    OrderStockReleased {
        /// How many units were let go.
        quantity: i64,
    },
    /// Stock was held for it after its arrival.
    #[serde(rename = "order.stock_held")]
    OrderStockHeld {
        /// How many units are now held in addition.
        quantity: i64,
        /// How many it still waits for.
        backordered: i64,
    },
    /// Stock came, and units it waited for were allocated to it.
    #[serde(rename = "order.backorder_allocated")]
    OrderBackorderAllocated {
        /// What came.
        variant_id: VariantId,
        /// How many units.
        quantity: i64,
        /// How many of all its units it still waits for.
        waiting: i64,
    },
    /// What was ordered, where it goes or what it costs was changed.
    #[serde(rename = "order.edited")]
    OrderEdited {
        /// Why, in words.
        reason: Option<String>,
        /// What changed, as it was; addresses by their ids.
        before: Json,
        /// What changed, as it is now.
        after: Json,
    },
    /// A note was written.
    #[serde(rename = "order.noted")]
    OrderNoted {
        /// The note.
        note_id: Uuid,
    },
    /// Warehouses were told to send units of it.
    #[serde(rename = "order.routed")]
    OrderRouted {
        /// The fulfillment orders that were made, each with why its warehouse.
        fulfillment_orders: Vec<Uuid>,
        /// How many units they have together.
        units: i64,
    },
    /// A warehouse's work on it was given to another one, split or merged.
    #[serde(rename = "order.rerouted")]
    OrderRerouted {
        /// The fulfillment orders that ended.
        from: Vec<Uuid>,
        /// The fulfillment orders that were made of them.
        to: Vec<Uuid>,
        /// Why, in words.
        reason: String,
    },
    /// A part of it was stopped in its warehouse; the rest goes on.
    #[serde(rename = "order.work_held")]
    OrderWorkHeld {
        /// Which part.
        fulfillment_order_id: FulfillmentOrderId,
        /// Why.
        reason: String,
    },
    /// A stopped part of it goes on.
    #[serde(rename = "order.work_released")]
    OrderWorkReleased {
        /// Which part.
        fulfillment_order_id: FulfillmentOrderId,
    },
    /// A part of it is on a pick list.
    #[serde(rename = "order.picking_started")]
    OrderPickingStarted {
        /// Which part.
        fulfillment_order_id: FulfillmentOrderId,
        /// The shipment that it becomes.
        shipment_id: ShipmentId,
        /// Its place on the cart.
        slot: i32,
        /// The wave that it is in.
        wave_id: Option<WaveId>,
    },
    /// Units of it were scanned at their bin.
    #[serde(rename = "order.picked")]
    OrderPicked {
        /// Which part.
        fulfillment_order_id: FulfillmentOrderId,
        /// The line.
        line_id: LineId,
        /// How many units.
        units: i64,
        /// How many units of the part are still to pick.
        left: i64,
    },
    /// Units of it were not where they should be.
    #[serde(rename = "order.pick_short")]
    OrderPickShort {
        /// Which part.
        fulfillment_order_id: FulfillmentOrderId,
        /// The line.
        line_id: LineId,
        /// How many units.
        units: i64,
        /// How many of them are picked from other bins instead.
        found_elsewhere: i64,
    },
    /// Units of it were scanned into a package.
    #[serde(rename = "order.packed")]
    OrderPacked {
        /// The package.
        package_id: PackageId,
        /// The line.
        line_id: LineId,
        /// How many units.
        units: i64,
        /// How many units the package still lacks.
        left: i64,
    },
    /// A package was opened for it.
    #[serde(rename = "order.package_opened")]
    OrderPackageOpened {
        /// The package.
        package_id: PackageId,
        /// Its shipment.
        shipment_id: ShipmentId,
        /// How many units it should hold.
        units: i64,
    },
    /// A package of it holds what it should, scanned twice.
    #[serde(rename = "order.package_closed")]
    OrderPackageClosed {
        /// The package.
        package_id: PackageId,
        /// Its shipment.
        shipment_id: ShipmentId,
        /// What it weighs, in grams.
        weight_grams: i64,
    },
    /// A package of it was emptied; its units are to be packed again.
    #[serde(rename = "order.package_reopened")]
    OrderPackageReopened {
        /// The package.
        package_id: PackageId,
        /// Its shipment.
        shipment_id: ShipmentId,
    },
    /// Every package of a shipment has its label.
    #[serde(rename = "order.shipment_labeled")]
    OrderShipmentLabeled {
        /// The shipment.
        shipment_id: ShipmentId,
        /// The carrier's code.
        carrier: String,
        /// The carrier's service.
        service: String,
    },
    /// The labels of a shipment were given back: it is packed again.
    #[serde(rename = "order.shipment_labels_voided")]
    OrderShipmentLabelsVoided {
        /// The shipment.
        shipment_id: ShipmentId,
    },
    /// Its carrier said where a shipment is.
    #[serde(rename = "order.shipment_tracked")]
    OrderShipmentTracked {
        /// The shipment.
        shipment_id: ShipmentId,
        /// Where it stands now.
        status: TrackingStatus,
    },
    /// The name of a parcel that has left was corrected.
    #[serde(rename = "order.tracking_corrected")]
    OrderTrackingCorrected {
        /// The shipment.
        shipment_id: ShipmentId,
        /// The parcel.
        package_id: PackageId,
        /// Its right name at the carrier.
        tracking_number: String,
    },
    /// A shipment has left the warehouse.
    #[serde(rename = "order.shipment_dispatched")]
    OrderShipmentDispatched {
        /// The shipment.
        shipment_id: ShipmentId,
        /// The carrier's code.
        carrier: Option<String>,
        /// Its parcels' names at the carrier.
        tracking_numbers: Vec<String>,
        /// How many units left.
        units: i64,
    },
    /// Tags were put on it.
    #[serde(rename = "order.tagged")]
    OrderTagged {
        /// The tags, as they were written.
        tags: Vec<String>,
    },
    /// Tags were taken off it.
    #[serde(rename = "order.untagged")]
    OrderUntagged {
        /// The tags, as they had been written.
        tags: Vec<String>,
    },
    /// A search was kept under a name, or changed.
    #[serde(rename = "saved_view.saved")]
    SavedViewSaved {
        /// Whether others see it.
        shared: bool,
    },
    /// A search is no longer kept.
    #[serde(rename = "saved_view.deleted")]
    SavedViewDeleted {},
    /// An action on many orders began. What it does to each stands on that order's own timeline,
    /// under the operation's identifier as correlation id.
    #[serde(rename = "bulk.started")]
    BulkStarted {
        /// What is done to each order.
        action: bulk_operation::Action,
        /// How many were selected.
        orders: i64,
        /// Whether it only says what it would come to.
        dry_run: bool,
    },
    /// Every order of an operation has its outcome.
    #[serde(rename = "bulk.finished")]
    BulkFinished {
        /// How many were changed, or would be.
        changed: i64,
        /// How many were refused.
        refused: i64,
        /// How many failed by a fault of ours.
        failed: i64,
    },
    /// Somebody stopped an operation.
    #[serde(rename = "bulk.cancelled")]
    BulkCancelled {
        /// How many orders were left as they are.
        skipped: i64,
    },
    /// Rows were asked for as a file.
    #[serde(rename = "export.requested")]
    ExportRequested {
        /// What the rows are.
        kind: export::Kind,
        /// How they are written.
        format: export::Format,
    },
    /// Nothing more comes of an export.
    #[serde(rename = "export.finished")]
    ExportFinished {
        /// What the rows are.
        kind: export::Kind,
        /// What became of it.
        state: export::State,
        /// How many rows were written.
        rows: i64,
        /// How many bytes.
        bytes: i64,
        /// Why it cannot be made; none if that is not why.
        failure: Option<String>,
    },
    /// A stock row changed; the figures are those after it.
    #[serde(rename = "stock.changed")]
    StockChanged {
        /// Of what.
        variant_id: VariantId,
        /// Where.
        warehouse_id: WarehouseId,
        /// Units that are there.
        on_hand: i64,
        /// Units that are held.
        reserved: i64,
        /// Units that are never promised.
        safety: i64,
    },
    /// It was set how many units of a stock row are never promised.
    #[serde(rename = "stock.safety_set")]
    StockSafetySet {
        /// Of what.
        variant_id: VariantId,
        /// Where.
        warehouse_id: WarehouseId,
        /// How many they were before.
        before: i64,
        /// How many they are now.
        safety: i64,
    },
    /// A source of stock figures was made or changed; this is what it is now.
    #[serde(rename = "stock_source.saved")]
    StockSourceSaved {
        /// Its code.
        code: String,
        /// The warehouses that it speaks for.
        warehouses: Vec<WarehouseId>,
        /// How old its newest figures may be.
        budget_secs: i64,
        /// What becomes of its stock while it is stale.
        policy: stock_source::Policy,
        /// Whether it is listened to and watched.
        active: bool,
    },
    /// A source has stated figures. What changed by them stands with each stock row.
    #[serde(rename = "stock_source.fed")]
    StockSourceFed {
        /// When the figures were true.
        observed_at: DateTime<Utc>,
        /// Whether it was the end of a full snapshot.
        full: bool,
        /// How many rows it had.
        rows: usize,
        /// How many of them changed a figure of ours.
        changed: usize,
        /// How many of them were refused.
        refused: usize,
        /// How many SKUs full snapshots leave out.
        missing: i64,
    },
    /// The newest figures of a source are older than its budget, or have become so old that more is
    /// kept back.
    #[serde(rename = "stock_source.stale")]
    StockSourceStale {
        /// Since when.
        since: DateTime<Utc>,
        /// How much of its stock is kept back now, in percent of the units on hand.
        withheld_percent: i64,
    },
    /// The figures of a source are within its budget again; nothing is kept back.
    #[serde(rename = "stock_source.fresh")]
    StockSourceFresh {},
    /// A source goes on stating figures of which none has changed for too long.
    #[serde(rename = "stock_source.still")]
    StockSourceStill {
        /// Since when that is too long.
        since: DateTime<Utc>,
    },
    /// The figures of a source change again.
    #[serde(rename = "stock_source.moving")]
    StockSourceMoving {},
    /// Work was put together into a wave.
    #[serde(rename = "wave.created")]
    WaveCreated {
        /// What people call it.
        number: String,
        /// How many orders it has.
        orders: usize,
    },
    /// A wave went onto pick lists.
    #[serde(rename = "wave.released")]
    WaveReleased {
        /// How many lists.
        pick_lists: usize,
        /// How many orders it went with.
        orders: i64,
        /// How many times a picker stops at a bin for it.
        bin_visits: i64,
        /// How many times it would be, one order after another.
        bin_visits_singly: i64,
    },
    /// A wave was given up before its release.
    #[serde(rename = "wave.cancelled")]
    WaveCancelled {},
    /// Nothing of a wave is left to pick.
    #[serde(rename = "wave.done")]
    WaveDone {},
    /// A picker took a pick list, or gave it back.
    #[serde(rename = "pick_list.claimed")]
    PickListClaimed {
        /// Who has it now; none = nobody.
        picker: Option<String>,
    },
    /// Nothing on a pick list is left to pick.
    #[serde(rename = "pick_list.done")]
    PickListDone {},
    /// A scan in a warehouse was refused; it changed nothing.
    #[serde(rename = "scan.refused")]
    ScanRefused {
        /// The scan.
        scan_id: Uuid,
        /// Why.
        code: String,
    },
    /// A document was printed and stored.
    #[serde(rename = "document.created")]
    DocumentCreated {
        /// What it is.
        kind: document::Kind,
        /// What its bytes are.
        format: document::Format,
        /// What it was printed for: `package:<uuid>`.
        subject: String,
        /// How many bytes it has.
        size: i64,
    },
    /// A document is no longer in force.
    #[serde(rename = "document.voided")]
    DocumentVoided {
        /// What it is.
        kind: document::Kind,
        /// What it was printed for.
        subject: String,
    },
    /// A document was asked for to be printed again.
    #[serde(rename = "document.reprinted")]
    DocumentReprinted {
        /// What it is.
        kind: document::Kind,
        /// What it was printed for.
        subject: String,
    },
    /// An invoice was issued.
    #[serde(rename = "invoice.issued")]
    InvoiceIssued {
        /// What people call it.
        number: String,
        /// The shipment that it charges for.
        shipment_id: ShipmentId,
        /// What it comes to, in minor units.
        total: i64,
    },
    /// An invoice was corrected by a credit note.
    #[serde(rename = "credit_note.issued")]
    CreditNoteIssued {
        /// What people call it.
        number: String,
        /// The invoice that it corrects.
        corrects: InvoiceId,
        /// What it takes back, in minor units.
        total: i64,
    },
    /// A customer has paid an invoice on account, or a part of it.
    #[serde(rename = "invoice.paid")]
    InvoicePaid {
        /// What people call the invoice.
        number: String,
        /// The invoice.
        invoice_id: InvoiceId,
        /// The payment.
        payment_id: Uuid,
        /// How much of it, in minor units.
        amount: i64,
        /// What is still owed of the invoice, in minor units.
        left: i64,
    },
    /// What a unit of a variant costs the merchant was said.
    #[serde(rename = "variant_cost.saved")]
    VariantCostSaved {
        /// The variant's SKU.
        sku: String,
        /// What it cost before, in minor units; none = it was not known.
        before: Option<i64>,
        /// The currency of that.
        currency_before: Option<Currency>,
        /// What it costs, in minor units; none = it is not known.
        after: Option<i64>,
        /// The currency of that.
        currency_after: Option<Currency>,
    },
    /// Something of the catalogue, or a customer, was made or changed.
    #[serde(rename = "catalogue.changed")]
    CatalogueChanged {
        /// What kind of thing: `variant`, `price_list` …
        kind: String,
        /// Its code.
        code: String,
        /// What is not as it was. Of customers only the names of the columns.
        #[serde(default, skip_serializing_if = "Changes::is_empty")]
        changes: Changes,
    },
    /// It was forgotten who a customer was, or who ordered as a guest.
    #[serde(rename = "customer.erased")]
    CustomerErased {
        /// Whether it was a guest: the event names nobody then.
        guest: bool,
        /// How many orders are nobody's now.
        orders: usize,
        /// Why, without what was known of the customer.
        reason: String,
    },
    /// A rule that makes exceptions was made or changed; this is what it is now.
    #[serde(rename = "exception_rule.saved")]
    ExceptionRuleSaved {
        /// Its code.
        code: String,
        /// Its name.
        name: String,
        /// When it applies.
        expression: String,
        /// Whether it stops orders.
        blocking: bool,
        /// Whether it judges orders.
        enabled: bool,
    },
    /// Somebody is owed a message.
    #[serde(rename = "message.queued")]
    MessageQueued {
        /// What it is about.
        kind: message::Kind,
    },
    /// The mail server has taken a message.
    #[serde(rename = "message.sent")]
    MessageSent {
        /// What it is about.
        kind: message::Kind,
        /// With which try.
        attempts: i32,
    },
    /// A message is not tried again by itself.
    #[serde(rename = "message.failed")]
    MessageFailed {
        /// What it is about.
        kind: message::Kind,
        /// Why the last try came to nothing.
        reason: message::Reason,
    },
    /// A message is to be sent again, as a new one.
    #[serde(rename = "message.resent")]
    MessageResent {
        /// What it is about.
        kind: message::Kind,
        /// The message that it repeats.
        resend_of: MessageId,
    },
    /// The merchant's own wording of messages was made or changed.
    #[serde(rename = "message_template.saved")]
    MessageTemplateSaved {
        /// What the messages are about.
        kind: message::Kind,
        /// The language that it is in.
        language: String,
    },
    /// The merchant's own wording of messages was deleted.
    #[serde(rename = "message_template.deleted")]
    MessageTemplateDeleted {
        /// What the messages are about.
        kind: message::Kind,
        /// The language that it was in.
        language: String,
    },
    /// A rule that makes exceptions was deleted.
    #[serde(rename = "exception_rule.deleted")]
    ExceptionRuleDeleted {
        /// Its code.
        code: String,
    },
}

impl Event {
    /// Its name and its facts.
    fn parts(&self) -> (String, Json) {
        let value = serde_json::to_value(self).unwrap_or_default();
        let name = value["type"].as_str().unwrap_or_default().to_owned();
        (name, value["data"].clone())
    }

    /// The exception that it is about.
    pub fn exception(&self) -> Option<Uuid> {
        match self {
            Event::OrderExceptionOpened { exception_id, .. }
            | Event::OrderExceptionResolved { exception_id, .. }
            | Event::OrderExceptionAssigned { exception_id, .. }
            | Event::OrderExceptionSnoozed { exception_id, .. }
            | Event::OrderExceptionReopened { exception_id, .. } => Some(*exception_id),
            _ => None,
        }
    }

    /// Reads an event back from the log; none if a newer version of the program wrote it.
    pub fn read(event_type: &str, payload: &Json) -> Option<Event> {
        serde_json::from_value(json!({ "type": event_type, "data": payload })).ok()
    }
}

/// An order's way from one stage to another. Each change of a stage stands on exactly one event of
/// its order, so whoever counts stages adds these up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it stood; none if it is new.
    pub from: Option<Stage>,
    /// Where it stands now.
    pub to: Stage,
}

/// An event with the aggregate that it happened to.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What kind of thing changed: `order`, `stock` …
    pub aggregate_type: &'static str,
    /// Which one.
    pub aggregate_id: String,
    /// The thing's version after the change.
    pub version: i64,
    /// The channel whose readers may see it; none = staff only.
    pub channel_id: Option<ChannelId>,
    /// The order on whose timeline it stands.
    pub order_id: Option<OrderId>,
    /// Where that order went on the live board with it; none if it stays where it is.
    pub moved: Option<Moved>,
    /// What happened.
    pub event: Event,
}

/// Builds the statement that writes entries: to the log where transactions commit one by one
/// (SQLite), and to the outbox, for the sequencer to stamp after commit, where they do not.
pub(crate) async fn append(
    connection: &impl ConnectionTrait,
    entries: Vec<Entry>,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<InsertStatement, DbErr> {
    let here = TraceParent::current().filter(TraceParent::is_sampled);
    let trace_parent = here.map(|here| here.write());
    if connection.get_database_backend() == DbBackend::Sqlite {
        let mut seq = log::advance(connection, entries.len()).await?;
        let rows = entries.into_iter().map(|entry| {
            seq += 1;
            let (event_type, payload) = entry.event.parts();
            event_log::ActiveModel {
                seq: Set(seq),
                id: Set(event_id()),
                aggregate_type: Set(entry.aggregate_type.to_owned()),
                aggregate_id: Set(entry.aggregate_id),
                aggregate_version: Set(entry.version),
                event_type: Set(event_type),
                channel_id: Set(entry.channel_id),
                order_id: Set(entry.order_id),
                stage_from: Set(entry.moved.and_then(|moved| moved.from)),
                stage_to: Set(entry.moved.map(|moved| moved.to)),
                actor: Set(actor.name.clone()),
                correlation_id: Set(actor.correlation_id.clone()),
                trace_parent: Set(trace_parent.clone()),
                payload: Set(payload),
                occurred_at: Set(now),
            }
        });
        return Ok(event_log::Entity::insert_many(rows).into_query());
    }
    let rows = entries.into_iter().map(|entry| {
        let (event_type, payload) = entry.event.parts();
        outbox::ActiveModel {
            id: sea_orm::NotSet,
            event_id: Set(event_id()),
            aggregate_type: Set(entry.aggregate_type.to_owned()),
            aggregate_id: Set(entry.aggregate_id),
            aggregate_version: Set(entry.version),
            event_type: Set(event_type),
            channel_id: Set(entry.channel_id),
            order_id: Set(entry.order_id),
            stage_from: Set(entry.moved.and_then(|moved| moved.from)),
            stage_to: Set(entry.moved.map(|moved| moved.to)),
            actor: Set(actor.name.clone()),
            correlation_id: Set(actor.correlation_id.clone()),
            trace_parent: Set(trace_parent.clone()),
            payload: Set(payload),
            occurred_at: Set(now),
        }
    });
    Ok(outbox::Entity::insert_many(rows).into_query())
}

#[allow(
    clippy::disallowed_methods,
    reason = "an event's id belongs to no transaction's caller"
)]
fn event_id() -> EventId {
    EventId(Uuid::now_v7())
}
