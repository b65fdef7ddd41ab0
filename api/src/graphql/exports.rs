//! Exports on the wire: rows of one kind as a file.

use std::collections::BTreeSet;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use entity::export::{self, Column, Entity, Model, State};
use entity::{ChannelId, ExportId};
use sea_orm::{ColumnTrait, EntityTrait, Iterable, Order as Direction, QueryFilter};

use super::catalogue::channels::time_zone;
use super::catalogue::seen_channels;
use super::command::{payloads, run};
use super::errors::{fault, forbidden};
use super::ids::{from_global, to_global};
use super::pagination::{Rows, Sort, cost, page};
use super::{app, principal};
use crate::access::{Principal, Scope};
use crate::exports::{self, Request};
use crate::failure::{Code, Problem};

/// What the rows of an export are, each with its columns and the moment that `from` and `to` are
/// about. Amounts are exact decimals in the currency of the column `currency`, times are ISO 8601
/// in UTC, identifiers are UUIDs. Columns in brackets hold personal data and are there only for
/// those with the scope PERSONAL_DATA_READ. Values, and columns at the end, may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::export::Kind")]
pub enum ExportKind {
    /// Orders, by when they came in: id, number, channel, externalReference, status, stage,
    /// paymentStatus, fulfillmentStatus, paymentMethod, serviceLevel, currency, subtotal, discount,
    /// shipping, shippingDiscount, tax, total, placedAt, receivedAt, confirmedAt, closedAt,
    /// [customerName, email, phone, shippingName, shippingLine1, shippingLine2, shippingCity,
    /// shippingRegion, shippingPostalCode, shippingCountry]. Needs the scope ORDERS_READ.
    Orders,
    /// Lines of orders, by when the order came in: orderId, orderNumber, channel, id, position,
    /// sku, title, quantity, backordered, shipped, cancelled, returned, currency, unitPrice,
    /// discount, net, taxRate, tax, gross, receivedAt. Needs the scope ORDERS_READ.
    OrderLines,
    /// Shipments, by when they were made: id, number, orderId, orderNumber, warehouse, status,
    /// trackingStatus, carrier, service, cost, currency, createdAt, promisedAt, dispatchedAt,
    /// deliveredAt. Needs the scope FULFILLMENT_READ.
    Shipments,
    /// Invoices and credit notes, by when they were issued, the amounts of both positive: id,
    /// number, kind, orderId, shipmentId, correctsId, reason, channel, payment, issuedOn,
    /// suppliedOn, dueOn, currency, net, tax, rounding, total, issuedAt, [buyerName]. Needs the
    /// scope FINANCE_READ.
    Invoices,
    /// Their lines: invoiceId, invoiceNumber, invoiceKind, orderId, position, kind, sku, title,
    /// quantity, currency, discount, net, taxCategory, taxRate, tax, issuedAt. Needs the scope
    /// FINANCE_READ.
    InvoiceLines,
    /// Postings of the ledger, by when they were posted: id, document, documentId, orderId,
    /// channel, debit, credit, currency, amount, postedAt. Needs the scope FINANCE_READ.
    LedgerEntries,
    /// Stock as it is when its part is made, whatever `from` is: variantId, sku, warehouse, onHand,
    /// reserved, safety, updatedAt. Needs the scope STOCK_READ.
    Stock,
    /// The ledger of stock, by when it was written: id, variantId, sku, warehouse, kind,
    /// deltaOnHand, deltaReserved, reason, document, orderId, actor, occurredAt. Needs the scope
    /// STOCK_READ.
    StockMovements,
    /// Exceptions on orders, by when they were opened: id, orderId, orderNumber, code, severity,
    /// blocking, status, queue, owner, summary, resolution, openedAt, dueAt, resolvedAt. Needs the
    /// scope ORDERS_READ.
    Exceptions,
}

/// How the rows of an export are written. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::export::Format")]
pub enum ExportFormat {
    /// CSV by RFC 4180 in UTF-8, with a header. Words that begin with = + - @, a tab or a carriage
    /// return have an apostrophe before them, so that no spreadsheet runs them; numbers have not.
    Csv,
    /// An object a line, by the names of the columns, exact: amounts are strings.
    Jsonl,
}

/// Where an export stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::export::State")]
pub enum ExportState {
    /// It is being made.
    Running,
    /// It can be read.
    Completed,
    /// Somebody stopped it; what was made of it is gone.
    Cancelled,
    /// It cannot be made; see `failure`.
    Failed,
    /// It could be read until `expiresAt`, and is gone.
    Expired,
}

/// An export.
#[derive(Clone)]
pub struct Export(Model);

impl From<Model> for Export {
    fn from(row: Model) -> Self {
        Export(row)
    }
}

/// Rows of one kind as a file, which is made in the background.
#[Object]
impl Export {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What its rows are.
    async fn kind(&self) -> ExportKind {
        self.0.kind.into()
    }

    /// How they are written.
    async fn format(&self) -> ExportFormat {
        self.0.format.into()
    }

    /// Where it stands.
    async fn state(&self) -> ExportState {
        self.0.state.into()
    }

    /// How many rows are written.
    async fn rows_done(&self) -> i64 {
        self.0.rows_done
    }

    /// How many rows there were when it began; null before.
    async fn rows_total(&self) -> Option<i64> {
        self.0.rows_total
    }

    /// How many bytes are written.
    async fn bytes(&self) -> i64 {
        self.0.bytes
    }

    /// Whether it has the columns with personal data.
    async fn personal(&self) -> bool {
        self.0.personal
    }

    /// The first moment whose rows it has; null = from the beginning.
    async fn from(&self) -> Option<DateTime<Utc>> {
        self.0.since
    }

    /// The first moment whose rows it no longer has.
    async fn to(&self) -> DateTime<Utc> {
        self.0.until
    }

    /// Whose local times stand beside the times; null if nobody's.
    async fn time_zone(&self) -> Option<&str> {
        self.0.time_zone.map(|zone| zone.name())
    }

    /// Who asked for it.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was made, or nothing more came of it; null before.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// The first moment that it can no longer be read; null if it never could.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }

    /// Where it is read with GET, without a key, for a quarter of an hour unless the server is set
    /// up otherwise: a path on this server, signed at this moment. Null unless its state is
    /// COMPLETED.
    async fn url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        if self.0.state != State::Completed {
            return Ok(None);
        }
        let path = app(ctx).export_path(self.0.id).await;
        path.map(Some).map_err(fault)
    }

    /// Why it cannot be made: TOO_MANY (more than 5,000,000 rows), INTERNAL (a fault of ours); null
    /// if that is not how it ended.
    async fn failure(&self) -> Option<Code> {
        serde_json::from_value(self.0.failure.clone()?.into()).ok()
    }
}

/// The kinds that a caller may read.
fn kinds(caller: &Principal) -> Vec<export::Kind> {
    let kinds = export::Kind::iter();
    kinds
        .filter(|kind| caller.may(exports::scope(*kind)))
        .collect()
}

/// Whether a caller sees an export: all that is in it, or may be.
fn sees(caller: &Principal, row: &Model) -> bool {
    let mine = match (&caller.channels, exports::channels(row)) {
        (None, _) => true,
        (Some(mine), Some(of)) => of.is_subset(mine),
        (Some(_), None) => false,
    };
    mine && caller.may(exports::scope(row.kind))
        && (!row.personal || caller.may(Scope::PersonalDataRead))
}

/// An export that the caller sees.
async fn seen(ctx: &Context<'_>, id: &ID) -> Result<Option<Model>> {
    let Ok(id) = from_global::<ExportId>(id, "id") else {
        return Ok(None);
    };
    let row = Entity::find_by_id(id).one(&app(ctx).db.read).await;
    let caller = principal(ctx)?;
    Ok(row.map_err(fault)?.filter(|row| sees(caller, row)))
}

/// Reading exports.
#[derive(Default)]
pub struct ExportQuery;

#[Object]
impl ExportQuery {
    /// An export; null if there is none, or if it has what you may not read: rows of another
    /// channel, of a kind without its scope, personal data. Its kind
    /// asks for its scope, and nothing else does. Needs no scope.
    async fn export(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which export.")] id: ID,
    ) -> Result<Option<Export>> {
        Ok(seen(ctx, &id).await?.map(Export))
    }

    /// Exports, the newest first; those of your own key if it is confined to channels or may not
    /// read personal data. Of the kinds whose scope you have. Needs no scope.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn exports(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<Export>> {
        let caller = principal(ctx)?;
        let mut rows = Entity::find().filter(Column::Kind.is_in(kinds(caller)));
        if caller.channels.is_some() || !caller.may(Scope::PersonalDataRead) {
            rows = rows.filter(Column::CreatedBy.eq(caller.actor.name.clone()));
        }
        let sort = Sort {
            column: Column::CreatedAt,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &Model| (row.created_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, Export).await
    }
}

/// What `exportCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ExportCreateInput {
    /// What the rows are.
    pub kind: ExportKind,
    /// How they are written.
    pub format: ExportFormat,
    /// Only rows of this channel (NOT_FOUND); of all that you may see if not given. Stock is of the
    /// channels in which its variant is listed.
    pub channel_id: Option<ID>,
    /// The first moment whose rows are wanted; from the beginning if not given.
    pub from: Option<DateTime<Utc>>,
    /// The first moment whose rows are no longer wanted, later than `from` (INVALID_INPUT); now if
    /// not given or to come. What is being written at this very moment may be left out.
    pub to: Option<DateTime<Utc>>,
    /// A name of the IANA database, such as `Europe/Vienna` (INVALID_INPUT): beside each time,
    /// `createdAt`, stands what clocks show there, `createdAtLocal`.
    pub time_zone: Option<String>,
}

impl ExportCreateInput {
    fn request(self, ctx: &Context<'_>) -> std::result::Result<Request, Problem> {
        let caller = principal(ctx).ok();
        let channels: Option<BTreeSet<ChannelId>> = match self.channel_id {
            Some(id) => Some(
                seen_channels(ctx, &[id], "input.channelId")
                    .map_err(|problem| problem.at("input.channelId"))?
                    .into_iter()
                    .collect(),
            ),
            None => caller.and_then(|caller| caller.channels.clone()),
        };
        Ok(Request {
            kind: self.kind.into(),
            format: self.format.into(),
            channels,
            personal: caller.is_some_and(|caller| caller.may(Scope::PersonalDataRead)),
            since: self.from,
            until: self.to,
            time_zone: self.time_zone.as_deref().map(time_zone).transpose()?,
        })
    }
}

/// Which export is stopped.
#[derive(Clone, Debug, InputObject)]
pub struct ExportCancelInput {
    /// Which export.
    pub id: ID,
}

payloads! {
    /// What `exportCreate` came to.
    ExportCreatePayload {
        /// The export, which is made in the background; null if it was refused.
        export: Export
    }
    /// What `exportCancel` came to.
    ExportCancelPayload {
        /// The export, which is no longer made; null if it was refused.
        export: Export
    }
}

/// What can be done with exports.
#[derive(Default)]
pub struct ExportMutation;

#[Object]
impl ExportMutation {
    /// Asks for rows as a file. Which rows is fixed at this moment; what they say is as it is when
    /// their part is made, a thousand at a time. Follow it with `export`, or by the events
    /// `export.requested` and `export.finished`. Refusals: INVALID_INPUT, NOT_FOUND. The kind
    /// asks for its scope, ORDERS_READ, FULFILLMENT_READ, FINANCE_READ or STOCK_READ, and nothing
    /// else does. Needs no scope.
    async fn export_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which rows, and how.")] input: ExportCreateInput,
    ) -> Result<ExportCreatePayload> {
        let scope = exports::scope(input.kind.into());
        if !principal(ctx)?.may(scope) {
            return Err(forbidden(scope));
        }
        let cmd = input.request(ctx);
        Ok(
            run(ctx, cmd, async |tx, cmd| exports::request(tx, cmd).await)
                .await?
                .into(),
        )
    }

    /// Stops an export that is being made, and forgets what was made of it. Refusals: NOT_FOUND,
    /// OPERATION_NOT_RUNNING. Its kind asks for its scope, and nothing else does. Needs no scope.
    async fn export_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which export.")] input: ExportCancelInput,
    ) -> Result<ExportCancelPayload> {
        let found = seen(ctx, &input.id).await?;
        let id = found
            .map(|row| row.id)
            .ok_or_else(|| Problem::not_found("Export").at("input.id"));
        Ok(run(ctx, id, async |tx, id| exports::cancel(tx, id).await)
            .await?
            .into())
    }
}
