//! Orders that are over are put away: whole, in one row, with their rows in every table as they
//! are. They are still read as any other order; to be changed, one is opened again, and its rows
//! go back as they were.
//!
//! What is kept by an order's identifier stays where it is: its events, messages, documents,
//! invoices, postings, movements of stock and promotion uses, and the addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use entity::{
    ChannelId, FulfillmentOrderId, OrderId, PackageId, ShipmentId, TransactionId, archived_order,
    archived_part, event_log, invoice, order, outbox, payment, payment_transaction, projection,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::aggregate::{self, Aggregate};
use super::{Changed, text};
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How snapshots are written at present.
const SNAPSHOT_VERSION: i32 = 1;

/// How many rows go back at once: a row binds up to forty values.
const ROWS_AT_ONCE: usize = 500;

/// Whose rows an order's are.
struct Owners {
    order: [OrderId; 1],
    work: Vec<FulfillmentOrderId>,
    shipments: Vec<ShipmentId>,
    packages: Vec<PackageId>,
}

/// Declares what a snapshot has besides the order's own row: a table a line, those first that
/// others refer to, each with whose rows it has and in which order they are read.
macro_rules! snapshot {
    ($(
        $(#[$doc:meta])*
        $rows:ident: $entity:ident by $column:ident of $owner:ident
            ordered $order:ident $(then $then:ident)?
    ),* $(,)?) => {
        /// The rows of an order, as they are.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct Snapshot {
            /// The order.
            pub order: order::Model,
            // What came to be part of snapshots later is not in those of before.
            $($(#[$doc])* #[serde(default)] pub $rows: Vec<entity::$entity::Model>,)*
        }

        impl Snapshot {
            async fn read(
                db: &impl ConnectionTrait,
                order: order::Model,
                owners: &Owners,
            ) -> Result<Snapshot, DbErr> {
                Ok(Snapshot {
                    order,
                    $($rows: {
                        use entity::$entity::{Column, Entity};
                        let rows = Entity::find()
                            .filter(Column::$column.is_in(owners.$owner.iter().copied()))
                            .order_by_asc(Column::$order)
                            $(.order_by_asc(Column::$then))?
                            .all(db);
                        // On the heap: side by side they would be more than a stack has.
                        Box::pin(rows).await?
                    },)*
                })
            }

            /// Writes the rows back, those first that others refer to.
            async fn restore(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
                put_back::<order::Entity, order::ActiveModel>(db, vec![self.order]).await?;
                $(Box::pin(put_back::<entity::$entity::Entity, entity::$entity::ActiveModel>(
                    db,
                    self.$rows,
                ))
                .await?;)*
                Ok(())
            }
        }

        /// The tables that an order leaves, those last that others refer to, each with the
        /// statement that takes its rows out.
        fn leaving(owners: &Owners) -> Vec<sea_orm::sea_query::DeleteStatement> {
            let mut all = vec![
                order::Entity::delete_many()
                    .filter(order::Column::Id.is_in(owners.order))
                    .into_query(),
            ];
            $(all.push({
                use entity::$entity::{Column, Entity};
                Entity::delete_many()
                    .filter(Column::$column.is_in(owners.$owner.iter().copied()))
                    .into_query()
            });)*
            all.reverse();
            all
        }
    };
}

snapshot! {
    /// Its lines.
    lines: order_line by OrderId of order ordered Position,
    /// The tags on it.
    tags: order_tag by OrderId of order ordered Key,
    /// The notes on it.
    notes: note by OrderId of order ordered CreatedAt then Id,
    /// Its holds.
    holds: hold by OrderId of order ordered PlacedAt then Id,
    /// Its exceptions.
    exceptions: order_exception by OrderId of order ordered OpenedAt then Id,
    /// The stock that was held for it.
    reservations: reservation by OrderId of order ordered CreatedAt then Id,
    /// Its places in queues.
    backorders: backorder by OrderId of order ordered Position then Id,
    /// What the warehouses had of it.
    work: fulfillment_order by OrderId of order ordered Position,
    /// What they had of its lines.
    work_lines: fulfillment_line by FulfillmentOrderId of work ordered LineId,
    /// Its rows of pick lists.
    tasks: pick_task by FulfillmentOrderId of work ordered Position then Slot,
    /// Its shipments.
    shipments: shipment by OrderId of order ordered CreatedAt then Id,
    /// Their parcels.
    packages: package by ShipmentId of shipments ordered Position,
    /// What the parcels hold.
    package_lines: package_line by PackageId of packages ordered LineId,
    /// Their labels.
    labels: label by OrderId of order ordered CreatedAt then Id,
    /// What carriers said of them.
    sightings: tracking_event by PackageId of packages ordered OccurredAt then Id,
    /// When carriers were to be asked of them.
    polls: tracking_poll by PackageId of packages ordered PackageId,
    /// The scans of its units.
    scans: scan by OrderId of order ordered ScannedAt then Id,
    /// What its money came to.
    payments: payment by OrderId of order ordered CreatedAt then Id,
    /// What its gateway was asked.
    transactions: payment_transaction by OrderId of order ordered CreatedAt then Id,
    /// What its shipments owed.
    charges: charge by OrderId of order ordered Position,
    /// Its returns.
    returns: return_order by OrderId of order ordered RequestedAt then Id,
    /// Their lines.
    return_lines: return_line by OrderId of order ordered ReturnId then Position,
    /// What was found of their units.
    return_units: return_unit by OrderId of order ordered InspectedAt then Id,
    /// What was decided to be given back of its money.
    refunds: refund by OrderId of order ordered RequestedAt then Id,
    /// What that is made of.
    refund_lines: refund_line by OrderId of order ordered RefundId then Position,
}

async fn put_back<E, A>(db: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<A>,
    A: sea_orm::ActiveModelTrait<Entity = E> + Send,
{
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let part = rows.by_ref().take(ROWS_AT_ONCE);
        E::insert_many(part.map(IntoActiveModel::into_active_model))
            .exec_without_returning(db)
            .await?;
    }
    Ok(())
}

impl Snapshot {
    /// By what else it is found.
    fn parts(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::from([part(self.order.id.0)]);
        macro_rules! add {
            ($($rows:ident),*) => {
                $(all.extend(self.$rows.iter().map(|row| part(row.id.0)));)*
            };
        }
        add!(
            lines,
            notes,
            holds,
            exceptions,
            reservations,
            backorders,
            work,
            tasks,
            shipments,
            packages,
            payments,
            transactions,
            returns,
            return_lines,
            return_units,
            refunds
        );
        for (row, payment) in self.effects() {
            if let Some(reference) = &row.gateway_reference {
                all.insert(effect(&payment.gateway, reference));
            }
        }
        for package in &self.packages {
            let mut shipments = self.shipments.iter();
            let of = shipments.find(|shipment| shipment.id == package.shipment_id);
            let carrier = of.and_then(|shipment| shipment.carrier.as_deref());
            if let (Some(carrier), Some(number)) = (carrier, &package.tracking_number) {
                all.insert(parcel(carrier, number));
            }
        }
        all
    }

    /// The captures and refunds that a gateway made, each with its payment.
    fn effects(&self) -> impl Iterator<Item = (&payment_transaction::Model, &payment::Model)> {
        use payment_transaction::{Kind, State};
        self.transactions
            .iter()
            .filter(|row| row.state == State::Succeeded)
            .filter(|row| matches!(row.kind, Kind::Capture | Kind::Refund))
            .filter_map(|row| {
                let mut payments = self.payments.iter();
                let of = payments.find(|payment| payment.id == row.payment_id);
                of.map(|payment| (row, payment))
            })
    }

    /// How it is written, and the hash of that.
    fn write(&self) -> Result<(String, String), Failure> {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::Internal(format!("a snapshot: {error}")))?;
        let hash = sha256(&text);
        Ok((text, hash))
    }
}

/// SHA-256 of a snapshot as it is written.
pub fn sha256(snapshot: &str) -> String {
    let hash = Sha256::digest(snapshot.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The part of an order that is a row.
fn part(id: Uuid) -> String {
    id.to_string()
}

/// The part of an order that is a parcel.
pub fn parcel(carrier: &str, number: &str) -> String {
    format!("{carrier} {number}")
}

/// The part of an order that is a capture or a refund, by the gateway's name for it.
fn effect(gateway: &str, reference: &str) -> String {
    format!("{gateway}: {reference}")
}

/// An order that was put away, with its rows.
#[derive(Clone, Debug)]
pub struct Archived {
    /// Its row in the archive, without the text of the snapshot.
    pub row: archived_order::Model,
    /// Its rows.
    pub snapshot: Snapshot,
}

impl Archived {
    /// Reads a row of the archive.
    pub fn read(mut row: archived_order::Model) -> Result<Archived, DbErr> {
        if row.snapshot_version != SNAPSHOT_VERSION {
            let version = row.snapshot_version;
            return Err(DbErr::Custom(format!("a snapshot of version {version}")));
        }
        let text = std::mem::take(&mut row.snapshot);
        let snapshot = serde_json::from_str(&text)
            .map_err(|error| DbErr::Custom(format!("the snapshot of {}: {error}", row.number)))?;
        Ok(Archived { row, snapshot })
    }
}

/// The archived orders that have these parts, by part.
pub async fn with_parts(
    db: &impl ConnectionTrait,
    parts: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, Arc<Archived>>, DbErr> {
    let named: Vec<(String, OrderId)> = archived_part::Entity::find()
        .select_only()
        .column(archived_part::Column::Part)
        .column(archived_part::Column::OrderId)
        .filter(archived_part::Column::Part.is_in(parts))
        .into_tuple()
        .all(db)
        .await?;
    if named.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: BTreeSet<OrderId> = named.iter().map(|(_, id)| *id).collect();
    let rows = archived_order::Entity::find()
        .filter(archived_order::Column::Id.is_in(ids))
        .all(db)
        .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        found.insert(row.id, Arc::new(Archived::read(row)?));
    }
    Ok(named
        .into_iter()
        .filter_map(|(part, id)| Some((part, found.get(&id)?.clone())))
        .collect())
}

/// The archived orders that have one of these rows, by its identifier.
pub async fn with_rows(
    db: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<BTreeMap<Uuid, Arc<Archived>>, DbErr> {
    let mut found = with_parts(db, ids.iter().copied().map(part)).await?;
    Ok(ids
        .iter()
        .filter_map(|id| Some((*id, found.remove(&part(*id))?)))
        .collect())
}

/// The captures and refunds of orders that were put away that a gateway calls by one of these names,
/// or that have one of these identifiers, each with its order.
pub async fn effects(
    db: &impl ConnectionTrait,
    gateway: &str,
    names: impl IntoIterator<Item = &str>,
    ids: &BTreeSet<TransactionId>,
) -> Result<Vec<(payment_transaction::Model, order::Model)>, DbErr> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let parts = names.iter().map(|name| effect(gateway, name));
    let parts = parts.chain(ids.iter().map(|id| part(id.0)));
    let orders = with_parts(db, parts).await?.into_values();
    let orders: BTreeMap<OrderId, Arc<Archived>> =
        orders.map(|archived| (archived.row.id, archived)).collect();
    let mut found = Vec::new();
    for archived in orders.values() {
        for (row, payment) in archived.snapshot.effects() {
            let reference = row.gateway_reference.as_deref();
            let is_named = reference.is_some_and(|reference| names.contains(reference));
            if payment.gateway == gateway && (is_named || ids.contains(&row.id)) {
                found.push((row.clone(), archived.snapshot.order.clone()));
            }
        }
    }
    Ok(found)
}

/// The refusal of an order that is not there: it may have been put away.
pub async fn absent(db: &impl ConnectionTrait, id: OrderId) -> Result<Problem, DbErr> {
    let row = archived_part::Entity::find_by_id((part(id.0), id))
        .one(db)
        .await?;
    Ok(match row {
        Some(_) => Problem::archived(),
        None => Problem::not_found("order"),
    }
    .at("input.id"))
}

/// Whether everything that happened to an order has its position in the log, and everything that
/// follows from the log has read it.
pub async fn is_read(tx: &Tx, id: OrderId) -> Result<bool, DbErr> {
    if tx.locks_rows() {
        let waiting = outbox::Entity::find()
            .filter(outbox::Column::OrderId.eq(id))
            .one(tx.db())
            .await?;
        if waiting.is_some() {
            return Ok(false);
        }
    }
    let newest: Option<i64> = event_log::Entity::find()
        .select_only()
        .column(event_log::Column::Seq)
        .filter(event_log::Column::OrderId.eq(id))
        .order_by_desc(event_log::Column::Seq)
        .into_tuple()
        .one(tx.db())
        .await?;
    let behind = projection::Entity::find()
        .filter(projection::Column::Seq.lt(newest.unwrap_or_default()))
        .one(tx.db())
        .await?;
    Ok(behind.is_none())
}

/// Puts an order that is over away: its rows leave their tables, and are kept in one.
pub async fn put_away(tx: &Tx, mut aggregate: Aggregate) -> Result<(), Failure> {
    let id = aggregate.order.id;
    aggregate.record(tx, Event::OrderArchived {});
    let invoices: Vec<i64> = invoice::Entity::find()
        .select_only()
        .column(invoice::Column::TotalMinor)
        .filter(invoice::Column::OrderId.eq(id))
        .filter(invoice::Column::Kind.eq(entity::invoice::Kind::Invoice))
        .into_tuple()
        .all(tx.db())
        .await?;
    let owners = owners(tx, id).await?;
    let snapshot = Snapshot::read(tx.db(), aggregate.order, &owners).await?;
    let (text, hash) = snapshot.write()?;
    let order = &snapshot.order;
    let payment = snapshot.payments.first();
    let minor = |of: fn(&entity::payment::Model) -> i64| payment.map_or(0, of);
    let row = archived_order::Model {
        id,
        number: order.number.clone(),
        channel_id: order.channel_id,
        external_reference: order.external_reference.clone(),
        fingerprint: order.fingerprint.clone(),
        customer_id: order.customer_id,
        customer_name: order.customer_name.clone(),
        email: order.email.as_ref().map(|email| email.to_lowercase()),
        status: order.status,
        stage: order.stage,
        payment_method: order.payment_method,
        gateway: payment.map_or_else(String::new, |payment| payment.gateway.clone()),
        currency: order.currency,
        total_minor: order.total_minor,
        authorized_minor: minor(|payment| payment.authorized_minor),
        captured_minor: minor(|payment| payment.captured_minor),
        refunded_minor: minor(|payment| payment.refunded_minor),
        invoiced_minor: invoices.iter().sum(),
        units_shipped: snapshot.lines.iter().map(|line| line.shipped).sum(),
        version: order.version,
        split_from_order_id: order.split_from_order_id,
        placed_at: order.placed_at,
        received_at: order.received_at,
        closed_at: order.closed_at,
        archived_at: tx.now,
        snapshot_version: SNAPSHOT_VERSION,
        snapshot: text,
        sha256: hash,
    };
    for statement in leaving(&owners) {
        tx.db().execute(&statement).await?;
    }
    archived_order::Entity::insert(row.into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    let parts = snapshot.parts().into_iter();
    let parts: Vec<archived_part::ActiveModel> = parts
        .map(|part| archived_part::Model { part, order_id: id }.into_active_model())
        .collect();
    for part in parts.chunks(ROWS_AT_ONCE) {
        archived_part::Entity::insert_many(part.to_vec())
            .exec_without_returning(tx.db())
            .await?;
    }
    Ok(())
}

async fn owners(tx: &Tx, id: OrderId) -> Result<Owners, DbErr> {
    use entity::{fulfillment_order, package, shipment};
    let work = fulfillment_order::Entity::find()
        .select_only()
        .column(fulfillment_order::Column::Id)
        .filter(fulfillment_order::Column::OrderId.eq(id))
        .into_tuple()
        .all(tx.db())
        .await?;
    let shipments: Vec<ShipmentId> = shipment::Entity::find()
        .select_only()
        .column(shipment::Column::Id)
        .filter(shipment::Column::OrderId.eq(id))
        .into_tuple()
        .all(tx.db())
        .await?;
    let packages = package::Entity::find()
        .select_only()
        .column(package::Column::Id)
        .filter(package::Column::ShipmentId.is_in(shipments.iter().copied()))
        .into_tuple()
        .all(tx.db())
        .await?;
    Ok(Owners {
        order: [id],
        work,
        shipments,
        packages,
    })
}

/// What [`reopen`] needs.
pub struct Reopen {
    /// Which order.
    pub order_id: OrderId,
    /// Why.
    pub reason: String,
}

/// Takes an order out of the archive: its rows go back as they were. It is put away again when it
/// has been left alone for as long as before.
pub async fn reopen(tx: &Tx, cmd: &Reopen) -> Result<Changed, Failure> {
    let reason = text("reason", &cmd.reason)?;
    if take_out(tx, cmd.order_id, reason).await? {
        return Ok(Changed::only(cmd.order_id));
    }
    let there = order::Entity::find_by_id(cmd.order_id).one(tx.db()).await?;
    Err(match there {
        Some(_) => Problem::new(Code::OrderStateInvalid, "the order was not put away"),
        None => Problem::not_found("order"),
    }
    .at("input.id")
    .into())
}

/// Takes an order out of the archive, if it is there; says whether it was.
pub async fn take_out(tx: &Tx, id: OrderId, reason: String) -> Result<bool, Failure> {
    let mut row = archived_order::Entity::find_by_id(id);
    if tx.locks_rows() {
        row = row.lock_exclusive();
    }
    let Some(row) = row.one(tx.db()).await? else {
        return Ok(false);
    };
    let archived = Archived::read(row)?;
    archived.snapshot.restore(tx.db()).await?;
    archived_part::Entity::delete_many()
        .filter(archived_part::Column::OrderId.eq(id))
        .exec(tx.db())
        .await?;
    archived_order::Entity::delete_by_id(id)
        .exec(tx.db())
        .await?;
    let aggregate = aggregate::lock(tx, [id]).await?.remove(&id);
    let mut aggregate =
        aggregate.ok_or_else(|| Failure::Internal("an order that did not go back".to_owned()))?;
    aggregate.record(tx, Event::OrderReopened { reason });
    aggregate.save(tx);
    // Who goes on with it in the same transaction finds it so.
    tx.flush().await?;
    Ok(true)
}

/// Rewrites what an archived order says of who somebody is, and its hash. Everything else of it is
/// kept from changes by the database.
pub async fn rewrite(
    tx: &Tx,
    id: OrderId,
    change: impl FnOnce(&mut Snapshot),
) -> Result<bool, Failure> {
    let mut row = archived_order::Entity::find_by_id(id);
    if tx.locks_rows() {
        row = row.lock_exclusive();
    }
    let Some(row) = row.one(tx.db()).await? else {
        return Ok(false);
    };
    let mut archived = Archived::read(row)?;
    change(&mut archived.snapshot);
    let (text, hash) = archived.snapshot.write()?;
    let order = &archived.snapshot.order;
    use archived_order::Column;
    use sea_orm::sea_query::Expr;
    archived_order::Entity::update_many()
        .col_expr(Column::CustomerId, Expr::value(order.customer_id))
        .col_expr(
            Column::CustomerName,
            Expr::value(order.customer_name.clone()),
        )
        .col_expr(
            Column::Email,
            Expr::value(order.email.as_ref().map(|email| email.to_lowercase())),
        )
        .col_expr(Column::Snapshot, Expr::value(text))
        .col_expr(Column::Sha256, Expr::value(hash))
        .filter(Column::Id.eq(id))
        .exec(tx.db())
        .await?;
    Ok(true)
}

/// An order that has a name at a channel, wherever it is kept.
#[derive(Clone, Debug, sea_orm::FromQueryResult)]
pub struct Taken {
    /// The order.
    pub id: OrderId,
    /// What people call it.
    pub number: String,
    /// SHA-256 of what was submitted.
    pub fingerprint: String,
}

/// The order of a channel that has this reference, whether it was put away or not.
pub async fn taken(
    db: &impl ConnectionTrait,
    channel: ChannelId,
    reference: &str,
) -> Result<Option<Taken>, DbErr> {
    use sea_orm::sea_query::UnionType;
    let mut hot = order::Entity::find()
        .select_only()
        .column(order::Column::Id)
        .column(order::Column::Number)
        .column(order::Column::Fingerprint)
        .filter(order::Column::ChannelId.eq(channel))
        .filter(order::Column::ExternalReference.eq(reference))
        .into_query();
    let archived = archived_order::Entity::find()
        .select_only()
        .column(archived_order::Column::Id)
        .column(archived_order::Column::Number)
        .column(archived_order::Column::Fingerprint)
        .filter(archived_order::Column::ChannelId.eq(channel))
        .filter(archived_order::Column::ExternalReference.eq(reference))
        .into_query();
    hot.union(UnionType::All, archived);
    match db.query_one(&hot).await? {
        Some(row) => <Taken as sea_orm::FromQueryResult>::from_query_result(&row, "").map(Some),
        None => Ok(None),
    }
}
