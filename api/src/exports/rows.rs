//! What the rows of each kind are: which, in which order, with which columns.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use entity::export::{Kind, Model};
use entity::{
    AddressId, ChannelId, Currency, Money, VariantId, WarehouseId, address, channel, invoice,
    invoice_line, ledger_entry, listing, order, order_exception, order_line, shipment, stock,
    stock_movement, variant, warehouse,
};
use sea_orm::sea_query::{Expr, ExprTrait, IntoColumnRef, Query};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, JoinType,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select, Value,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::write::{Cell, Column, Holds, Manner, write};
use super::{PART, channels};
use crate::failure::Failure;

/// The place of a row in the order of its kind. What a kind does not need is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    at: Option<DateTime<Utc>>,
    id: Option<Uuid>,
    within: Option<Uuid>,
    position: Option<i32>,
}

/// Rows that were read and written.
pub struct Page {
    /// The text.
    pub bytes: Vec<u8>,
    /// How many.
    pub rows: u64,
    /// The place of the last; none if there are none.
    pub place: Option<Place>,
}

/// How many rows an export has.
pub async fn count(db: &impl ConnectionTrait, of: &Model) -> Result<u64, DbErr> {
    match of.kind {
        Kind::Orders => orders(of).count(db).await,
        Kind::OrderLines => order_lines(of).count(db).await,
        Kind::Shipments => shipments(of).count(db).await,
        Kind::Invoices => invoices(of).count(db).await,
        Kind::InvoiceLines => invoice_lines(of).count(db).await,
        Kind::LedgerEntries => ledger_entries(of).count(db).await,
        Kind::Stock => stocks(of).count(db).await,
        Kind::StockMovements => movements(of).count(db).await,
        Kind::Exceptions => exceptions(of).count(db).await,
    }
}

/// Reads the rows behind the export's place, and writes them.
pub async fn page(db: &impl ConnectionTrait, of: &Model) -> Result<Page, Failure> {
    let place = of.place.clone().map(serde_json::from_value).transpose();
    let place: Place = place
        .map_err(|error| Failure::Internal(format!("the place of an export: {error}")))?
        .unwrap_or_default();
    let names = Names::read(db).await?;
    match of.kind {
        Kind::Orders => {
            let rows = behind_moment(
                orders(of),
                (order::Column::ReceivedAt, order::Column::Id),
                &place,
            );
            let rows = rows.limit(PART).all(db).await?;
            let last = rows.last().map(|row| at(row.received_at, row.id.0));
            let ids: BTreeSet<AddressId> = rows.iter().map(|row| row.shipping_address_id).collect();
            let mut addresses = HashMap::new();
            let found = address::Entity::find().filter(address::Column::Id.is_in(ids));
            for row in found.all(db).await? {
                addresses.insert(row.id, row);
            }
            let rows = rows.into_iter().map(|row| OrderRow {
                channel: names.channel(row.channel_id),
                to: addresses.get(&row.shipping_address_id).cloned(),
                row,
            });
            done(of, ORDERS, rows.collect(), last)
        }
        Kind::OrderLines => {
            let key = [
                order::Column::ReceivedAt.into_column_ref(),
                order::Column::Id.into_column_ref(),
                order_line::Column::Position.into_column_ref(),
            ];
            let rows = order_lines(of).filter(behind(key, place.by_position()));
            let rows = rows
                .order_by_asc(order::Column::ReceivedAt)
                .order_by_asc(order::Column::Id)
                .order_by_asc(order_line::Column::Position)
                .limit(PART)
                .select_also(order::Entity)
                .all(db)
                .await?;
            let rows = rows.into_iter().filter_map(|(line, order)| {
                let order = order?;
                let channel = names.channel(order.channel_id);
                Some(LineRow {
                    line,
                    order,
                    channel,
                })
            });
            let rows: Vec<_> = rows.collect();
            let last = rows.last().map(|row| Place {
                position: Some(row.line.position),
                ..at(row.order.received_at, row.order.id.0)
            });
            done(of, ORDER_LINES, rows, last)
        }
        Kind::Shipments => {
            let key = (shipment::Column::CreatedAt, shipment::Column::Id);
            let rows = behind_moment(shipments(of), key, &place).limit(PART);
            let rows = rows.select_also(order::Entity).all(db).await?;
            let rows = rows.into_iter().filter_map(|(row, order)| {
                Some(ShipmentRow {
                    warehouse: names.warehouse(row.warehouse_id),
                    order: order?,
                    row,
                })
            });
            let rows: Vec<_> = rows.collect();
            let last = rows.last().map(|own| at(own.row.created_at, own.row.id.0));
            done(of, SHIPMENTS, rows, last)
        }
        Kind::Invoices => {
            let key = (invoice::Column::IssuedAt, invoice::Column::Id);
            let rows = behind_moment(invoices(of), key, &place).limit(PART);
            let rows = rows.all(db).await?;
            let last = rows.last().map(|row| at(row.issued_at, row.id.0));
            let rows = rows.into_iter().map(|row| InvoiceRow {
                channel: names.channel(row.channel_id),
                row,
            });
            done(of, INVOICES, rows.collect(), last)
        }
        Kind::InvoiceLines => {
            let key = [
                invoice::Column::IssuedAt.into_column_ref(),
                invoice::Column::Id.into_column_ref(),
                invoice_line::Column::Position.into_column_ref(),
            ];
            let rows = invoice_lines(of).filter(behind(key, place.by_position()));
            let rows = rows
                .order_by_asc(invoice::Column::IssuedAt)
                .order_by_asc(invoice::Column::Id)
                .order_by_asc(invoice_line::Column::Position)
                .limit(PART)
                .select_also(invoice::Entity)
                .all(db)
                .await?;
            let rows = rows.into_iter().filter_map(|(line, invoice)| {
                let invoice = invoice?;
                Some(InvoiceLineRow { line, invoice })
            });
            let rows: Vec<_> = rows.collect();
            let last = rows.last().map(|row| Place {
                position: Some(row.line.position),
                ..at(row.invoice.issued_at, row.invoice.id.0)
            });
            done(of, INVOICE_LINES, rows, last)
        }
        Kind::LedgerEntries => {
            let key = (ledger_entry::Column::PostedAt, ledger_entry::Column::Id);
            let rows = behind_moment(ledger_entries(of), key, &place).limit(PART);
            let rows = rows.all(db).await?;
            let last = rows.last().map(|row| at(row.posted_at, row.id.0));
            let rows = rows.into_iter().map(|row| EntryRow {
                channel: row.channel_id.map(|id| names.channel(id)),
                row,
            });
            done(of, LEDGER_ENTRIES, rows.collect(), last)
        }
        Kind::Stock => {
            let key = [
                stock::Column::VariantId.into_column_ref(),
                stock::Column::WarehouseId.into_column_ref(),
            ];
            let from = place.id.zip(place.within);
            let from = from.map(|(id, within)| vec![Value::from(id), Value::from(within)]);
            let rows = stocks(of)
                .filter(behind(key, from))
                .order_by_asc(stock::Column::VariantId)
                .order_by_asc(stock::Column::WarehouseId)
                .limit(PART)
                .all(db)
                .await?;
            let last = rows.last().map(|row| Place {
                id: Some(row.variant_id.0),
                within: Some(row.warehouse_id.0),
                ..Place::default()
            });
            let skus = skus(db, rows.iter().map(|row| row.variant_id)).await?;
            let rows = rows.into_iter().map(|row| StockRow {
                sku: skus.get(&row.variant_id).cloned().unwrap_or_default(),
                warehouse: names.warehouse(row.warehouse_id),
                row,
            });
            done(of, STOCK, rows.collect(), last)
        }
        Kind::StockMovements => {
            // By identifier, which rises with time: the ledger is too busy for one more index.
            let from = place.id.map(|id| vec![Value::from(id)]);
            let key = [stock_movement::Column::Id.into_column_ref()];
            let rows = movements(of)
                .filter(behind(key, from))
                .order_by_asc(stock_movement::Column::Id)
                .limit(PART)
                .all(db)
                .await?;
            let last = rows.last().map(|row| Place {
                id: Some(row.id.0),
                ..Place::default()
            });
            let skus = skus(db, rows.iter().map(|row| row.variant_id)).await?;
            let rows = rows.into_iter().map(|row| MovementRow {
                sku: skus.get(&row.variant_id).cloned().unwrap_or_default(),
                warehouse: names.warehouse(row.warehouse_id),
                row,
            });
            done(of, STOCK_MOVEMENTS, rows.collect(), last)
        }
        Kind::Exceptions => {
            let key = (
                order_exception::Column::OpenedAt,
                order_exception::Column::Id,
            );
            let rows = behind_moment(exceptions(of), key, &place).limit(PART);
            let rows = rows.select_also(order::Entity).all(db).await?;
            let rows = rows.into_iter().filter_map(|(row, order)| {
                let order = order?;
                Some(ExceptionRow { row, order })
            });
            let rows: Vec<_> = rows.collect();
            let last = rows.last().map(|own| at(own.row.opened_at, own.row.id.0));
            done(of, EXCEPTIONS, rows, last)
        }
    }
}

fn done<R>(
    of: &Model,
    columns: &[Column<R>],
    rows: Vec<R>,
    place: Option<Place>,
) -> Result<Page, Failure> {
    let how = Manner {
        format: of.format,
        personal: of.personal,
        time_zone: of.time_zone,
        header: of.parts == 0,
    };
    Ok(Page {
        bytes: write(columns, &rows, how)?,
        rows: rows.len() as u64,
        place,
    })
}

/// A place by a moment.
fn at(moment: DateTime<Utc>, id: Uuid) -> Place {
    Place {
        at: Some(moment),
        id: Some(id),
        ..Place::default()
    }
}

impl Place {
    fn by_position(&self) -> Option<Vec<Value>> {
        let (at, id) = self.at.zip(self.id)?;
        Some(vec![at.into(), id.into(), self.position?.into()])
    }
}

/// What is behind a place in the order of some columns.
fn behind<const N: usize>(
    columns: [sea_orm::sea_query::ColumnRef; N],
    place: Option<Vec<Value>>,
) -> Condition {
    let behind = place.map(|place| {
        let place = Expr::tuple(place.into_iter().map(Expr::val));
        Expr::tuple(columns.map(Expr::col)).gt(place)
    });
    Condition::all().add_option(behind)
}

/// The same, in the order of a moment and the identifier.
fn behind_moment<E: EntityTrait>(
    rows: Select<E>,
    (moment, id): (E::Column, E::Column),
    place: &Place,
) -> Select<E> {
    let from = place.at.zip(place.id);
    let from = from.map(|(at, id)| vec![Value::from(at), Value::from(id)]);
    rows.filter(behind(
        [
            moment.as_column_ref().into_column_ref(),
            id.as_column_ref().into_column_ref(),
        ],
        from,
    ))
    .order_by_asc(moment)
    .order_by_asc(id)
}

/// What is in the export's time.
fn within(of: &Model, moment: impl ColumnTrait) -> Condition {
    Condition::all()
        .add(moment.lt(of.until))
        .add_option(of.since.map(|since| moment.gte(since)))
}

/// What is of the export's channels.
fn of_channels(of: &Model, channel: impl ColumnTrait) -> Condition {
    Condition::all().add_option(channels(of).map(|channels| channel.is_in(channels)))
}

/// What is of variants that are listed in the export's channels.
fn of_listed(of: &Model, variant: impl ColumnTrait) -> Condition {
    Condition::all().add_option(channels(of).map(|channels| {
        let listed = Query::select()
            .column(listing::Column::VariantId)
            .from(listing::Entity)
            .and_where(listing::Column::ChannelId.is_in(channels))
            .to_owned();
        variant.in_subquery(listed)
    }))
}

fn orders(of: &Model) -> Select<order::Entity> {
    order::Entity::find()
        .filter(within(of, order::Column::ReceivedAt))
        .filter(of_channels(of, order::Column::ChannelId))
}

fn order_lines(of: &Model) -> Select<order_line::Entity> {
    let order = order_line::Entity::belongs_to(order::Entity)
        .from(order_line::Column::OrderId)
        .to(order::Column::Id)
        .into();
    let rows = order_line::Entity::find().join(JoinType::InnerJoin, order);
    rows.filter(within(of, order::Column::ReceivedAt))
        .filter(of_channels(of, order::Column::ChannelId))
}

fn shipments(of: &Model) -> Select<shipment::Entity> {
    let order = shipment::Entity::belongs_to(order::Entity)
        .from(shipment::Column::OrderId)
        .to(order::Column::Id)
        .into();
    let rows = shipment::Entity::find().join(JoinType::InnerJoin, order);
    rows.filter(within(of, shipment::Column::CreatedAt))
        .filter(of_channels(of, order::Column::ChannelId))
}

fn invoices(of: &Model) -> Select<invoice::Entity> {
    invoice::Entity::find()
        .filter(within(of, invoice::Column::IssuedAt))
        .filter(of_channels(of, invoice::Column::ChannelId))
}

fn invoice_lines(of: &Model) -> Select<invoice_line::Entity> {
    let invoice = invoice_line::Entity::belongs_to(invoice::Entity)
        .from(invoice_line::Column::InvoiceId)
        .to(invoice::Column::Id)
        .into();
    let rows = invoice_line::Entity::find().join(JoinType::InnerJoin, invoice);
    rows.filter(within(of, invoice::Column::IssuedAt))
        .filter(of_channels(of, invoice::Column::ChannelId))
}

fn ledger_entries(of: &Model) -> Select<ledger_entry::Entity> {
    ledger_entry::Entity::find()
        .filter(within(of, ledger_entry::Column::PostedAt))
        .filter(of_channels(of, ledger_entry::Column::ChannelId))
}

/// Stock has no history here: it is what it is when its part is made, of the variants that were
/// there when the export was asked for.
fn stocks(of: &Model) -> Select<stock::Entity> {
    let there = Query::select()
        .column(variant::Column::Id)
        .from(variant::Entity)
        .and_where(variant::Column::CreatedAt.lt(of.until))
        .to_owned();
    stock::Entity::find()
        .filter(stock::Column::VariantId.in_subquery(there))
        .filter(of_listed(of, stock::Column::VariantId))
}

fn movements(of: &Model) -> Select<stock_movement::Entity> {
    stock_movement::Entity::find()
        .filter(within(of, stock_movement::Column::OccurredAt))
        .filter(of_listed(of, stock_movement::Column::VariantId))
}

fn exceptions(of: &Model) -> Select<order_exception::Entity> {
    let order = order_exception::Entity::belongs_to(order::Entity)
        .from(order_exception::Column::OrderId)
        .to(order::Column::Id)
        .into();
    let rows = order_exception::Entity::find().join(JoinType::InnerJoin, order);
    rows.filter(within(of, order_exception::Column::OpenedAt))
        .filter(of_channels(of, order::Column::ChannelId))
}

/// What channels and warehouses are called.
struct Names {
    channels: HashMap<ChannelId, String>,
    warehouses: HashMap<WarehouseId, String>,
}

impl Names {
    async fn read(db: &impl ConnectionTrait) -> Result<Names, DbErr> {
        let channels = channel::Entity::find().all(db).await?.into_iter();
        let warehouses = warehouse::Entity::find().all(db).await?.into_iter();
        Ok(Names {
            channels: channels.map(|row| (row.id, row.code)).collect(),
            warehouses: warehouses.map(|row| (row.id, row.code)).collect(),
        })
    }

    fn channel(&self, id: ChannelId) -> String {
        self.channels.get(&id).cloned().unwrap_or_default()
    }

    fn warehouse(&self, id: WarehouseId) -> String {
        self.warehouses.get(&id).cloned().unwrap_or_default()
    }
}

async fn skus(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = VariantId>,
) -> Result<HashMap<VariantId, String>, DbErr> {
    let ids: BTreeSet<VariantId> = ids.collect();
    let found = variant::Entity::find().filter(variant::Column::Id.is_in(ids));
    let found = found.all(db).await?.into_iter();
    Ok(found.map(|row| (row.id, row.sku)).collect())
}

struct OrderRow {
    row: order::Model,
    channel: String,
    to: Option<address::Model>,
}

struct LineRow {
    line: order_line::Model,
    order: order::Model,
    channel: String,
}

struct ShipmentRow {
    row: shipment::Model,
    order: order::Model,
    warehouse: String,
}

struct InvoiceRow {
    row: invoice::Model,
    channel: String,
}

struct InvoiceLineRow {
    line: invoice_line::Model,
    invoice: invoice::Model,
}

struct EntryRow {
    row: ledger_entry::Model,
    channel: Option<String>,
}

struct StockRow {
    row: stock::Model,
    sku: String,
    warehouse: String,
}

struct MovementRow {
    row: stock_movement::Model,
    sku: String,
    warehouse: String,
}

struct ExceptionRow {
    row: order_exception::Model,
    order: order::Model,
}

fn text(value: impl ToString) -> Cell {
    Cell::Text(value.to_string())
}

fn maybe(value: Option<impl ToString>) -> Cell {
    value.map_or(Cell::Nothing, text)
}

fn word<W: ActiveEnum<Value = String>>(value: W) -> Cell {
    Cell::Text(value.to_value())
}

fn amount(minor: i64, currency: Currency) -> Cell {
    Cell::Exact(Money::new(minor, currency).to_decimal().to_string())
}

fn moment(at: Option<DateTime<Utc>>) -> Cell {
    at.map_or(Cell::Nothing, Cell::At)
}

fn day(on: Option<NaiveDate>) -> Cell {
    on.map_or(Cell::Nothing, Cell::Day)
}

fn receiver(row: &OrderRow, part: fn(&address::Model) -> Option<&String>) -> Cell {
    maybe(row.to.as_ref().and_then(part))
}

const fn plain<R>(name: &'static str, read: fn(&R) -> Cell) -> Column<R> {
    let holds = Holds::Plain;
    Column { name, holds, read }
}

const fn personal<R>(name: &'static str, read: fn(&R) -> Cell) -> Column<R> {
    let holds = Holds::Personal;
    Column { name, holds, read }
}

const fn moments<R>(name: &'static str, read: fn(&R) -> Cell) -> Column<R> {
    let holds = Holds::Moments;
    Column { name, holds, read }
}

const ORDERS: &[Column<OrderRow>] = &[
    plain("id", |own| text(own.row.id)),
    plain("number", |own| text(&own.row.number)),
    plain("channel", |own| text(&own.channel)),
    plain("externalReference", |own| {
        maybe(own.row.external_reference.as_ref())
    }),
    plain("status", |own| word(own.row.status)),
    plain("stage", |own| word(own.row.stage)),
    plain("paymentStatus", |own| word(own.row.payment_status)),
    plain("fulfillmentStatus", |own| word(own.row.fulfillment_status)),
    plain("paymentMethod", |own| word(own.row.payment_method)),
    plain("serviceLevel", |own| text(&own.row.service_level)),
    plain("currency", |own| text(own.row.currency)),
    plain("subtotal", |own| {
        amount(own.row.subtotal_minor, own.row.currency)
    }),
    plain("discount", |own| {
        amount(own.row.discount_minor, own.row.currency)
    }),
    plain("shipping", |own| {
        amount(own.row.shipping_minor, own.row.currency)
    }),
    plain("shippingDiscount", |own| {
        amount(own.row.shipping_discount_minor, own.row.currency)
    }),
    plain("tax", |own| amount(own.row.tax_minor, own.row.currency)),
    plain("total", |own| amount(own.row.total_minor, own.row.currency)),
    moments("placedAt", |own| Cell::At(own.row.placed_at)),
    moments("receivedAt", |own| Cell::At(own.row.received_at)),
    moments("confirmedAt", |own| moment(own.row.confirmed_at)),
    moments("closedAt", |own| moment(own.row.closed_at)),
    personal("customerName", |own| text(&own.row.customer_name)),
    personal("email", |own| maybe(own.row.email.as_ref())),
    personal("phone", |own| maybe(own.row.phone.as_ref())),
    personal("shippingName", |own| receiver(own, |to| Some(&to.name))),
    personal("shippingLine1", |own| receiver(own, |to| Some(&to.line1))),
    personal("shippingLine2", |own| receiver(own, |to| to.line2.as_ref())),
    personal("shippingCity", |own| receiver(own, |to| Some(&to.city))),
    personal("shippingRegion", |own| {
        receiver(own, |to| to.region.as_ref())
    }),
    personal("shippingPostalCode", |own| {
        receiver(own, |to| to.postal_code.as_ref())
    }),
    personal("shippingCountry", |own| {
        receiver(own, |to| Some(&to.country))
    }),
];

const ORDER_LINES: &[Column<LineRow>] = &[
    plain("orderId", |own| text(own.order.id)),
    plain("orderNumber", |own| text(&own.order.number)),
    plain("channel", |own| text(&own.channel)),
    plain("id", |own| text(own.line.id)),
    plain("position", |own| Cell::Whole(own.line.position.into())),
    plain("sku", |own| text(&own.line.sku)),
    plain("title", |own| text(&own.line.title)),
    plain("quantity", |own| Cell::Whole(own.line.quantity)),
    plain("backordered", |own| Cell::Whole(own.line.backordered)),
    plain("shipped", |own| Cell::Whole(own.line.shipped)),
    plain("cancelled", |own| Cell::Whole(own.line.cancelled)),
    plain("returned", |own| Cell::Whole(own.line.returned)),
    plain("currency", |own| text(own.order.currency)),
    plain("unitPrice", |own| {
        amount(own.line.unit_price_minor, own.order.currency)
    }),
    plain("discount", |own| {
        amount(own.line.discount_minor, own.order.currency)
    }),
    plain("net", |own| amount(own.line.net_minor, own.order.currency)),
    plain("taxRate", |own| Cell::Exact(own.line.tax_rate.to_string())),
    plain("tax", |own| amount(own.line.tax_minor, own.order.currency)),
    plain("gross", |own| {
        amount(own.line.gross_minor, own.order.currency)
    }),
    moments("receivedAt", |own| Cell::At(own.order.received_at)),
];

const SHIPMENTS: &[Column<ShipmentRow>] = &[
    plain("id", |own| text(own.row.id)),
    plain("number", |own| text(&own.row.number)),
    plain("orderId", |own| text(own.order.id)),
    plain("orderNumber", |own| text(&own.order.number)),
    plain("warehouse", |own| text(&own.warehouse)),
    plain("status", |own| word(own.row.status)),
    plain("trackingStatus", |own| word(own.row.tracking_status)),
    plain("carrier", |own| maybe(own.row.carrier.as_ref())),
    plain("service", |own| maybe(own.row.service.as_ref())),
    plain("cost", |own| match (own.row.cost_minor, own.row.currency) {
        (Some(minor), Some(currency)) => amount(minor, currency),
        _ => Cell::Nothing,
    }),
    plain("currency", |own| maybe(own.row.currency)),
    moments("createdAt", |own| Cell::At(own.row.created_at)),
    moments("promisedAt", |own| moment(own.row.promised_at)),
    moments("dispatchedAt", |own| moment(own.row.dispatched_at)),
    moments("deliveredAt", |own| moment(own.row.delivered_at)),
];

const INVOICES: &[Column<InvoiceRow>] = &[
    plain("id", |own| text(own.row.id)),
    plain("number", |own| text(&own.row.name)),
    plain("kind", |own| word(own.row.kind)),
    plain("orderId", |own| text(own.row.order_id)),
    plain("shipmentId", |own| text(own.row.shipment_id)),
    plain("correctsId", |own| maybe(own.row.corrects_id)),
    plain("reason", |own| maybe(own.row.reason.as_ref())),
    plain("channel", |own| text(&own.channel)),
    plain("payment", |own| word(own.row.payment)),
    plain("issuedOn", |own| Cell::Day(own.row.issued_on)),
    plain("suppliedOn", |own| day(own.row.supplied_on)),
    plain("dueOn", |own| day(own.row.due_on)),
    plain("currency", |own| text(own.row.currency)),
    plain("net", |own| amount(own.row.net_minor, own.row.currency)),
    plain("tax", |own| amount(own.row.tax_minor, own.row.currency)),
    plain("rounding", |own| {
        amount(own.row.rounding_minor, own.row.currency)
    }),
    plain("total", |own| amount(own.row.total_minor, own.row.currency)),
    moments("issuedAt", |own| Cell::At(own.row.issued_at)),
    personal("buyerName", |own| maybe(own.row.buyer["name"].as_str())),
];

const INVOICE_LINES: &[Column<InvoiceLineRow>] = &[
    plain("invoiceId", |own| text(own.invoice.id)),
    plain("invoiceNumber", |own| text(&own.invoice.name)),
    plain("invoiceKind", |own| word(own.invoice.kind)),
    plain("orderId", |own| text(own.invoice.order_id)),
    plain("position", |own| Cell::Whole(own.line.position.into())),
    plain("kind", |own| word(own.line.kind)),
    plain("sku", |own| text(&own.line.sku)),
    plain("title", |own| text(&own.line.title)),
    plain("quantity", |own| Cell::Whole(own.line.quantity)),
    plain("currency", |own| text(own.invoice.currency)),
    plain("discount", |own| {
        amount(own.line.discount_minor, own.invoice.currency)
    }),
    plain("net", |own| {
        amount(own.line.net_minor, own.invoice.currency)
    }),
    plain("taxCategory", |own| word(own.line.tax_category)),
    plain("taxRate", |own| Cell::Exact(own.line.tax_rate.to_string())),
    plain("tax", |own| {
        amount(own.line.tax_minor, own.invoice.currency)
    }),
    moments("issuedAt", |own| Cell::At(own.invoice.issued_at)),
];

const LEDGER_ENTRIES: &[Column<EntryRow>] = &[
    plain("id", |own| text(own.row.id)),
    plain("document", |own| word(own.row.document)),
    plain("documentId", |own| text(own.row.document_id)),
    plain("orderId", |own| maybe(own.row.order_id)),
    plain("channel", |own| maybe(own.channel.as_ref())),
    plain("debit", |own| word(own.row.debit)),
    plain("credit", |own| word(own.row.credit)),
    plain("currency", |own| text(own.row.currency)),
    plain("amount", |own| {
        amount(own.row.amount_minor, own.row.currency)
    }),
    moments("postedAt", |own| Cell::At(own.row.posted_at)),
];

const STOCK: &[Column<StockRow>] = &[
    plain("variantId", |own| text(own.row.variant_id)),
    plain("sku", |own| text(&own.sku)),
    plain("warehouse", |own| text(&own.warehouse)),
    plain("onHand", |own| Cell::Whole(own.row.on_hand)),
    plain("reserved", |own| Cell::Whole(own.row.reserved)),
    plain("safety", |own| Cell::Whole(own.row.safety)),
    moments("updatedAt", |own| Cell::At(own.row.updated_at)),
];

const STOCK_MOVEMENTS: &[Column<MovementRow>] = &[
    plain("id", |own| text(own.row.id)),
    plain("variantId", |own| text(own.row.variant_id)),
    plain("sku", |own| text(&own.sku)),
    plain("warehouse", |own| text(&own.warehouse)),
    plain("kind", |own| word(own.row.kind)),
    plain("deltaOnHand", |own| Cell::Whole(own.row.delta_on_hand)),
    plain("deltaReserved", |own| Cell::Whole(own.row.delta_reserved)),
    plain("reason", |own| maybe(own.row.reason.as_ref())),
    plain("document", |own| maybe(own.row.document.as_ref())),
    plain("orderId", |own| maybe(own.row.order_id)),
    plain("actor", |own| text(&own.row.actor)),
    moments("occurredAt", |own| Cell::At(own.row.occurred_at)),
];

const EXCEPTIONS: &[Column<ExceptionRow>] = &[
    plain("id", |own| text(own.row.id)),
    plain("orderId", |own| text(own.order.id)),
    plain("orderNumber", |own| text(&own.order.number)),
    plain("code", |own| text(&own.row.code)),
    plain("severity", |own| word(own.row.severity)),
    plain("blocking", |own| Cell::Flag(own.row.blocking)),
    plain("status", |own| word(own.row.status)),
    plain("queue", |own| text(&own.row.queue)),
    plain("owner", |own| maybe(own.row.owner.as_ref())),
    plain("summary", |own| text(&own.row.summary)),
    plain("resolution", |own| maybe(own.row.resolution.as_ref())),
    moments("openedAt", |own| Cell::At(own.row.opened_at)),
    moments("dueAt", |own| Cell::At(own.row.due_at)),
    moments("resolvedAt", |own| moment(own.row.resolved_at)),
];
