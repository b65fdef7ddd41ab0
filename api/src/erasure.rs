//! Who somebody was is forgotten; what happened and what it came to stays. Numbers, figures, dates
//! and countries are kept, names, contacts, addresses and whatever people wrote about a person's
//! orders are replaced by a marker or taken out.
//!
//! One erasure is one transaction: it is done whole or not at all, and may be repeated.

use std::collections::BTreeSet;

use entity::order::{ReturnStatus, Status};
use entity::{
    AddressId, CustomerId, DocumentId, OrderId, ShipmentId, address, archived_order, customer,
    customer_payment, dispute, document, document_content, event_log, export, export_part,
    fulfillment_order, hold, invoice, label, message, message_attempt, note, order,
    order_exception, order_line, order_tag, outbox, package, payment_transaction, refund,
    request_origin, return_line, return_order, return_unit, settlement_difference, shipment,
    tracking_event,
};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Statement, Value,
};
use serde_json::{Value as Json, json};

use crate::checks::Checks;
use crate::documents::Party;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::orders::archive::{self, Snapshot};
use crate::tx::Tx;

/// What stands where something about a person stood.
pub const ERASED: &str = "erased";

/// How many orders are read by their identifiers at once.
const AT_ONCE: usize = 500;

/// How many orders, at most, one erasure takes: it is one transaction.
const MOST_ORDERS: usize = 20_000;

/// Below this many characters a word is not looked for in what others wrote.
const SHORTEST: usize = 5;

/// What each table does with what is known of a person. A table that is not listed fails a test.
pub const TREATMENT: &[(&str, Treatment)] = {
    use Treatment::{Blanked, Dropped, Kept, Searched};
    &[
        ("address", Blanked),
        ("api_key", Kept),
        ("archived_order", Blanked),
        ("archived_part", Kept),
        ("backorder", Kept),
        ("bin", Kept),
        ("bin_stock", Kept),
        ("bulk_operation", Searched),
        ("bulk_row", Searched),
        ("carrier", Kept),
        ("carrier_rate", Kept),
        ("carrier_service", Kept),
        ("carrier_surcharge", Kept),
        ("carrier_zone", Kept),
        ("carton", Kept),
        ("channel", Kept),
        ("channel_warehouse", Kept),
        ("charge", Kept),
        ("counter", Kept),
        ("customer", Blanked),
        ("customer_group", Kept),
        ("customer_payment", Blanked),
        ("dispute", Blanked),
        ("document", Kept),
        ("document_content", Dropped),
        ("document_secret", Kept),
        ("event_log", Blanked),
        ("exception_rule", Kept),
        ("export", Kept),
        ("export_part", Dropped),
        ("fulfillment_line", Kept),
        ("fulfillment_order", Blanked),
        ("gateway_terms", Kept),
        ("hold", Blanked),
        ("idempotency", Searched),
        ("import", Searched),
        ("import_error", Searched),
        ("inbound_supply", Kept),
        ("invoice", Blanked),
        ("invoice_line", Kept),
        ("invoice_series", Kept),
        ("invoice_standing", Kept),
        ("job", Searched),
        ("label", Blanked),
        ("ledger_entry", Kept),
        ("legal_entity", Kept),
        ("legal_entity_channel", Kept),
        ("listing", Kept),
        ("message", Blanked),
        ("message_attempt", Blanked),
        ("message_template", Kept),
        ("note", Blanked),
        ("order", Blanked),
        ("order_exception", Blanked),
        ("order_line", Blanked),
        ("order_tag", Dropped),
        ("outbox", Blanked),
        ("package", Kept),
        ("package_line", Kept),
        ("payment", Kept),
        ("payment_allocation", Kept),
        ("payment_transaction", Blanked),
        ("pick_list", Searched),
        ("pick_task", Kept),
        ("postal_code", Kept),
        ("price", Kept),
        ("price_list", Kept),
        ("product", Kept),
        ("projection", Kept),
        ("promotion", Kept),
        ("promotion_use", Kept),
        ("refund", Blanked),
        ("refund_line", Kept),
        ("report_figure", Kept),
        ("request_origin", Dropped),
        ("reservation", Kept),
        ("return_line", Blanked),
        ("return_order", Blanked),
        ("return_unit", Blanked),
        ("saved_view", Searched),
        ("scan", Kept),
        ("sequencer", Kept),
        ("settlement", Kept),
        ("settlement_difference", Blanked),
        ("settlement_error", Searched),
        ("settlement_format", Kept),
        ("settlement_line", Kept),
        ("shipment", Kept),
        ("shipping_rate", Kept),
        ("shipping_zone", Kept),
        ("stage_tally", Kept),
        ("stock", Kept),
        ("stock_drift", Kept),
        ("stock_movement", Kept),
        ("stock_source", Kept),
        ("stock_source_warehouse", Kept),
        ("stock_statement", Kept),
        ("tax_rate", Kept),
        ("tracking_event", Blanked),
        ("tracking_poll", Kept),
        ("variant", Kept),
        ("variant_code", Kept),
        ("variant_cost", Kept),
        ("warehouse", Kept),
        ("wave", Searched),
    ]
};

/// What a table does with what is known of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It has nothing of a person but identifiers, numbers and figures.
    Kept,
    /// Columns of the person's rows are emptied or marked.
    Blanked,
    /// The person's rows are taken out.
    Dropped,
    /// Its rows are nobody's: what is known of the person is looked for in their text.
    Searched,
}

/// Columns in whose text a person's data is looked for; whether they hold JSON.
const SEARCHED: &[(&str, &str, bool)] = &[
    ("bulk_operation", "input", true),
    ("bulk_row", "message", false),
    ("idempotency", "response", true),
    ("import", "source", false),
    ("import_error", "external_reference", false),
    ("import_error", "message", false),
    ("job", "payload", true),
    ("job", "last_error", false),
    ("pick_list", "name", false),
    ("saved_view", "name", false),
    ("saved_view", "query", false),
    ("settlement_error", "message", false),
    ("wave", "criteria", true),
];

/// Who is forgotten.
#[derive(Clone, Debug)]
pub enum Who {
    /// A customer, with what was ordered as a guest under an e-mail address that is no other
    /// customer's.
    Customer(CustomerId),
    /// Whoever ordered as a guest under an e-mail address.
    Guest(String),
}

/// What [`erase`] needs.
#[derive(Clone, Debug)]
pub struct Erase {
    /// Who is forgotten.
    pub who: Who,
    /// Why.
    pub reason: String,
}

/// What an erasure came to.
#[derive(Clone, Debug)]
pub struct Erased {
    /// The customer as it is now; none for a guest.
    pub customer: Option<customer::Model>,
    /// How many orders are nobody's now.
    pub orders: usize,
    /// How many exports that may have held the data are gone.
    pub exports: u64,
}

/// Forgets who somebody was.
pub async fn erase(tx: &Tx, cmd: Erase) -> Result<Erased, Failure> {
    let mut checks = Checks::new();
    let reason = checks.name("input.reason", &cmd.reason);
    checks.done()?;
    if !tx.locks_rows() {
        // What is overwritten is overwritten in the file.
        let overwrite = "PRAGMA secure_delete = ON";
        tx.db().execute_unprepared(overwrite).await?;
    }
    let person = Person::find(tx, &cmd.who).await?;
    person.check(tx).await?;
    let known = person.known(tx).await?;

    let hot: Vec<OrderId> = person.hot.iter().map(|order| order.id).collect();
    orders(tx, &person.hot).await?;
    for order in &person.archived {
        archive::rewrite(tx, order.id, blank).await?;
        rename_archived(tx, order).await?;
    }
    let mut all = hot;
    all.extend(person.archived.iter().map(|order| order.id));
    for ids in all.chunks(AT_ONCE) {
        beside(tx, ids).await?;
        origins(tx, ids).await?;
    }
    addresses(tx, &known.addresses).await?;
    let exports = exports(tx).await?;
    let of_log = Related {
        orders: &all,
        customer: person.customer.as_ref(),
    };
    log(tx, &of_log, &known.words).await?;
    for (table, column, json) in SEARCHED {
        for word in &known.words {
            replace(tx, table, column, *json, word).await?;
        }
    }
    let orders = all.len();
    let reason = known.without(&reason);
    let customer = match person.customer {
        Some(row) => Some(forget(tx, row).await?),
        None => None,
    };
    tx.emit(Entry {
        aggregate_type: "customer",
        aggregate_id: match &customer {
            Some(row) => row.id.to_string(),
            None => tx.id::<CustomerId>().to_string(),
        },
        version: customer.as_ref().map_or(1, |row| row.version),
        channel_id: None,
        order_id: None,
        moved: None,
        event: Event::CustomerErased {
            guest: customer.is_none(),
            orders,
            reason,
        },
    });
    if !tx.locks_rows() {
        let cheap = "PRAGMA secure_delete = OFF";
        tx.db().execute_unprepared(cheap).await?;
    }
    Ok(Erased {
        customer,
        orders,
        exports,
    })
}

/// Somebody's rows, locked.
struct Person {
    customer: Option<customer::Model>,
    hot: Vec<order::Model>,
    archived: Vec<archived_order::Model>,
}

/// What is known of somebody.
struct Known {
    /// Names and contacts, as they may stand in what others wrote; the longest first.
    words: Vec<String>,
    /// The addresses that are somebody's alone.
    addresses: Vec<AddressId>,
}

impl Known {
    fn without(&self, text: &str) -> String {
        let words = self.words.iter();
        words.fold(text.to_owned(), |text, word| text.replace(word, ERASED))
    }
}

impl Person {
    async fn find(tx: &Tx, who: &Who) -> Result<Person, Failure> {
        let (customer, email) = match who {
            Who::Customer(id) => {
                let row = customer::Entity::find_by_id(*id).one(tx.db()).await?;
                let row = row.ok_or_else(|| {
                    Problem::new(Code::CustomerNotFound, "no such customer").at("input.id")
                })?;
                let email = row.email.clone();
                (Some(row), email)
            }
            Who::Guest(email) => (None, Some(email.clone())),
        };
        let email = email.map(|email| email.to_lowercase());
        let shared = match (&customer, &email) {
            (Some(own), Some(email)) => {
                let other = customer::Entity::find()
                    .filter(lower(customer::Column::Email).eq(email.as_str()))
                    .filter(customer::Column::Id.ne(own.id))
                    .one(tx.db())
                    .await?;
                other.is_some()
            }
            _ => false,
        };
        let guest = email.filter(|_| !shared);
        let mut of_hot = Condition::any();
        let mut of_archived = Condition::any();
        if let Some(row) = &customer {
            of_hot = of_hot.add(order::Column::CustomerId.eq(row.id));
            of_archived = of_archived.add(archived_order::Column::CustomerId.eq(row.id));
        }
        if let Some(email) = &guest {
            of_hot = of_hot.add(
                Condition::all()
                    .add(order::Column::CustomerId.is_null())
                    .add(lower(order::Column::Email).eq(email.as_str())),
            );
            of_archived = of_archived.add(
                Condition::all()
                    .add(archived_order::Column::CustomerId.is_null())
                    .add(lower(archived_order::Column::Email).eq(email.as_str())),
            );
        }
        let mut hot = order::Entity::find()
            .filter(of_hot)
            .order_by_asc(order::Column::Id);
        let mut archived = archived_order::Entity::find()
            .filter(of_archived)
            .order_by_asc(archived_order::Column::Id);
        if tx.locks_rows() {
            hot = hot.lock_exclusive();
            archived = archived.lock_exclusive();
        }
        // Orders come before customers wherever both are locked.
        let hot = hot.all(tx.db()).await?;
        let archived = archived.all(tx.db()).await?;
        let customer = match customer {
            Some(row) => {
                let mut own = customer::Entity::find_by_id(row.id);
                if tx.locks_rows() {
                    own = own.lock_exclusive();
                }
                own.one(tx.db()).await?
            }
            None => None,
        };
        let count = hot.len() + archived.len();
        if customer.is_none() && count == 0 {
            let message = "nobody has ordered as a guest under this address";
            return Err(Problem::new(Code::CustomerNotFound, message)
                .at("input.guestEmail")
                .into());
        }
        if count > MOST_ORDERS {
            let message = format!("{count} orders are more than one erasure takes");
            return Err(refused(message, json!({ "orders": count })).into());
        }
        Ok(Person {
            customer,
            hot,
            archived,
        })
    }

    /// Refuses as long as there is something that needs to know who it is.
    async fn check(&self, tx: &Tx) -> Result<(), Failure> {
        const OVER: [Status; 4] = [
            Status::Completed,
            Status::Cancelled,
            Status::Rejected,
            Status::Expired,
        ];
        let open = self.hot.iter().filter(|row| !OVER.contains(&row.status));
        let back = self.hot.iter().filter(|row| {
            use ReturnStatus::{InProgress, Inspected, Requested};
            matches!(row.return_status, Requested | InProgress | Inspected)
        });
        let numbers = |rows: &mut dyn Iterator<Item = &order::Model>| -> Vec<String> {
            rows.take(20).map(|row| row.number.clone()).collect()
        };
        let (open, back) = (numbers(&mut { open }), numbers(&mut { back }));
        let mut moving = BTreeSet::new();
        let mut disputed = BTreeSet::new();
        let all: Vec<OrderId> = self.all().collect();
        for ids in all.chunks(AT_ONCE) {
            use payment_transaction::State;
            let live = [State::Ready, State::Sent, State::Unknown];
            let rows: Vec<OrderId> = payment_transaction::Entity::find()
                .select_only()
                .column(payment_transaction::Column::OrderId)
                .filter(payment_transaction::Column::OrderId.is_in(ids.iter().copied()))
                .filter(payment_transaction::Column::State.is_in(live))
                .into_tuple()
                .all(tx.db())
                .await?;
            moving.extend(rows);
            let rows: Vec<OrderId> = dispute::Entity::find()
                .select_only()
                .column(dispute::Column::OrderId)
                .filter(dispute::Column::OrderId.is_in(ids.iter().copied()))
                .filter(dispute::Column::State.eq(dispute::State::Open))
                .into_tuple()
                .all(tx.db())
                .await?;
            disputed.extend(rows);
        }
        let named = |ids: &BTreeSet<OrderId>| -> Vec<String> {
            let hot = self.hot.iter().map(|row| (row.id, &row.number));
            let archived = self.archived.iter().map(|row| (row.id, &row.number));
            let all = hot.chain(archived).filter(|(id, _)| ids.contains(id));
            all.take(20).map(|(_, number)| number.clone()).collect()
        };
        let owed = self
            .customer
            .as_ref()
            .map_or(0, |row| row.credit_used_minor);
        if open.is_empty()
            && back.is_empty()
            && moving.is_empty()
            && disputed.is_empty()
            && owed == 0
        {
            return Ok(());
        }
        let message = "something is not over yet for which it must be known who it is; see details";
        let details = json!({
            "openOrders": open, "returns": back, "payments": named(&moving),
            "disputes": named(&disputed), "owedMinor": owed,
        });
        Err(refused(message.to_owned(), details).into())
    }

    fn all(&self) -> impl Iterator<Item = OrderId> {
        let hot = self.hot.iter().map(|row| row.id);
        hot.chain(self.archived.iter().map(|row| row.id))
    }

    async fn known(&self, tx: &Tx) -> Result<Known, Failure> {
        let mut words = BTreeSet::new();
        let mut ids = BTreeSet::new();
        let mut of_order = |row: &order::Model| {
            words.insert(row.customer_name.clone());
            words.extend(row.email.clone());
            words.extend(row.phone.clone());
            words.extend(row.external_reference.clone().filter(|it| it.contains('@')));
            ids.insert(row.shipping_address_id);
            ids.extend(row.billing_address_id);
        };
        self.hot.iter().for_each(&mut of_order);
        for row in &self.archived {
            of_order(&archive::Archived::read(row.clone())?.snapshot.order);
        }
        if let Some(row) = &self.customer {
            words.insert(row.name.clone());
            words.extend(row.email.clone());
            words.extend(row.phone.clone());
        }
        // An order that was edited has had others.
        let all: Vec<OrderId> = self.all().collect();
        for part in all.chunks(AT_ONCE) {
            for payload in edits(tx, part).await? {
                for side in ["before", "after"] {
                    for of in ["shippingAddress", "billingAddress"] {
                        let id = serde_json::from_value::<AddressId>(payload[side][of].clone());
                        ids.extend(id.ok());
                    }
                }
            }
        }
        let mut rows = Vec::new();
        let ids: Vec<AddressId> = ids.into_iter().collect();
        for part in ids.chunks(AT_ONCE) {
            let some = address::Entity::find()
                .filter(address::Column::Id.is_in(part.iter().copied()))
                .all(tx.db());
            rows.extend(some.await?);
        }
        if let Some(row) = &self.customer {
            let own = address::Entity::find()
                .filter(address::Column::CustomerId.eq(row.id))
                .all(tx.db());
            rows.extend(own.await?);
        }
        let mut addresses = BTreeSet::new();
        for row in rows {
            addresses.insert(row.id);
            words.extend([row.name, row.line1]);
            words.extend(
                [row.organisation, row.line2, row.phone]
                    .into_iter()
                    .flatten(),
            );
        }
        let spelled = words.iter().flat_map(|word| {
            let word = word.trim();
            [word.to_owned(), word.to_lowercase(), word.to_uppercase()]
        });
        let mut words: Vec<String> = spelled
            .filter(|word| word.chars().count() >= SHORTEST && !word.eq_ignore_ascii_case(ERASED))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Ok(Known {
            words,
            addresses: addresses.into_iter().collect(),
        })
    }
}

fn refused(message: String, details: Json) -> Problem {
    Problem::new(Code::CustomerNotErasable, message)
        .at("input")
        .with(details)
}

fn lower(column: impl sea_orm::sea_query::IntoColumnRef) -> sea_orm::sea_query::SimpleExpr {
    Func::lower(Expr::col(column)).into()
}

/// What was said of edits of orders, in the log and on its way there.
async fn edits(tx: &Tx, ids: &[OrderId]) -> Result<Vec<Json>, DbErr> {
    let mut all: Vec<Json> = Vec::new();
    // SQLite writes the log at once, and has nothing on its way there.
    if tx.locks_rows() {
        all = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Payload)
            .filter(outbox::Column::OrderId.is_in(ids.iter().copied()))
            .filter(outbox::Column::EventType.eq("order.edited"))
            .into_tuple()
            .all(tx.db())
            .await?;
    }
    let logged: Vec<Json> = event_log::Entity::find()
        .select_only()
        .column(event_log::Column::Payload)
        .filter(event_log::Column::OrderId.is_in(ids.iter().copied()))
        .filter(event_log::Column::EventType.eq("order.edited"))
        .into_tuple()
        .all(tx.db())
        .await?;
    all.extend(logged);
    Ok(all)
}

fn marker() -> String {
    ERASED.to_owned()
}

fn mark(text: &mut Option<String>) {
    if text.is_some() {
        *text = Some(marker());
    }
}

fn blank_order(row: &mut order::Model) {
    row.external_reference = reference(row.id, row.external_reference.take());
    row.customer_name = marker();
    row.email = None;
    row.phone = None;
    row.metadata = json!({});
    row.private_metadata = json!({});
    mark(&mut row.cancel_reason);
}

/// A channel's name for an order stays, so that the order is not taken twice, unless it names a
/// person.
fn reference(id: OrderId, reference: Option<String>) -> Option<String> {
    reference.map(|reference| match reference.contains('@') {
        true => format!("{ERASED}-{id}"),
        false => reference,
    })
}

fn blank_line(row: &mut order_line::Model) {
    row.submitted_title = None;
}

fn blank_note(row: &mut note::Model) {
    row.body = marker();
}

fn blank_hold(row: &mut hold::Model) {
    row.reason = marker();
}

fn blank_exception(row: &mut order_exception::Model) {
    row.summary = marker();
    row.details = json!({});
    mark(&mut row.resolution);
}

fn blank_work(row: &mut fulfillment_order::Model) {
    mark(&mut row.hold_reason);
}

fn blank_label(row: &mut label::Model) {
    row.request = json!({});
    row.document = None;
    row.document_url = None;
    row.tracking_url = None;
    mark(&mut row.reason);
}

fn blank_sighting(row: &mut tracking_event::Model) {
    row.place = None;
}

fn blank_transaction(row: &mut payment_transaction::Model) {
    row.instrument = None;
}

fn blank_return(row: &mut return_order::Model) {
    mark(&mut row.note);
    mark(&mut row.end_reason);
}

fn blank_return_line(row: &mut return_line::Model) {
    mark(&mut row.note);
}

fn blank_return_unit(row: &mut return_unit::Model) {
    mark(&mut row.note);
    mark(&mut row.photo);
}

fn blank_refund(row: &mut refund::Model) {
    mark(&mut row.reason);
    mark(&mut row.override_reason);
}

/// What of an order that was put away says who somebody is.
fn blank(snapshot: &mut Snapshot) {
    blank_order(&mut snapshot.order);
    snapshot.tags.clear();
    snapshot.lines.iter_mut().for_each(blank_line);
    snapshot.notes.iter_mut().for_each(blank_note);
    snapshot.holds.iter_mut().for_each(blank_hold);
    snapshot.exceptions.iter_mut().for_each(blank_exception);
    snapshot.work.iter_mut().for_each(blank_work);
    snapshot.labels.iter_mut().for_each(blank_label);
    snapshot.sightings.iter_mut().for_each(blank_sighting);
    snapshot.transactions.iter_mut().for_each(blank_transaction);
    snapshot.returns.iter_mut().for_each(blank_return);
    snapshot.return_lines.iter_mut().for_each(blank_return_line);
    snapshot.return_units.iter_mut().for_each(blank_return_unit);
    snapshot.refunds.iter_mut().for_each(blank_refund);
}

async fn rename_archived(tx: &Tx, row: &archived_order::Model) -> Result<(), DbErr> {
    use archived_order::Column;
    let reference = reference(row.id, row.external_reference.clone());
    if reference == row.external_reference {
        return Ok(());
    }
    archived_order::Entity::update_many()
        .col_expr(Column::ExternalReference, Expr::value(reference))
        .filter(Column::Id.eq(row.id))
        .exec(tx.db())
        .await?;
    Ok(())
}

/// What of orders that were not put away says who somebody is.
async fn orders(tx: &Tx, rows: &[order::Model]) -> Result<(), DbErr> {
    macro_rules! rewrite {
        ($entity:ident, $blank:ident, $column:ident in $ids:expr) => {
            let rows = $entity::Entity::find()
                .filter($entity::Column::$column.is_in($ids))
                .all(tx.db())
                .await?;
            for mut row in rows {
                let before = row.clone();
                $blank(&mut row);
                if row != before {
                    let row = row.into_active_model().reset_all();
                    row.update(tx.db()).await?;
                }
            }
        };
    }
    for part in rows.chunks(AT_ONCE) {
        let ids = || part.iter().map(|row| row.id);
        rewrite!(order, blank_order, Id in ids());
        order_tag::Entity::delete_many()
            .filter(order_tag::Column::OrderId.is_in(ids()))
            .exec(tx.db())
            .await?;
        rewrite!(order_line, blank_line, OrderId in ids());
        rewrite!(note, blank_note, OrderId in ids());
        rewrite!(hold, blank_hold, OrderId in ids());
        rewrite!(order_exception, blank_exception, OrderId in ids());
        rewrite!(fulfillment_order, blank_work, OrderId in ids());
        rewrite!(label, blank_label, OrderId in ids());
        rewrite!(payment_transaction, blank_transaction, OrderId in ids());
        rewrite!(return_order, blank_return, OrderId in ids());
        rewrite!(return_line, blank_return_line, OrderId in ids());
        rewrite!(return_unit, blank_return_unit, OrderId in ids());
        rewrite!(refund, blank_refund, OrderId in ids());
        let shipments: Vec<ShipmentId> = shipment::Entity::find()
            .select_only()
            .column(shipment::Column::Id)
            .filter(shipment::Column::OrderId.is_in(ids()))
            .into_tuple()
            .all(tx.db())
            .await?;
        let packages: Vec<entity::PackageId> = package::Entity::find()
            .select_only()
            .column(package::Column::Id)
            .filter(package::Column::ShipmentId.is_in(shipments))
            .into_tuple()
            .all(tx.db())
            .await?;
        rewrite!(tracking_event, blank_sighting, PackageId in packages);
    }
    Ok(())
}

/// What is kept by the identifiers of orders, wherever the orders are.
async fn beside(tx: &Tx, ids: &[OrderId]) -> Result<(), Failure> {
    let ids = || ids.iter().copied();
    let invoices = invoice::Entity::find()
        .filter(invoice::Column::OrderId.is_in(ids()))
        .all(tx.db())
        .await?;
    for row in invoices {
        use invoice::Column;
        let reason = row.reason.as_ref().map(|_| marker());
        invoice::Entity::update_many()
            .col_expr(Column::Buyer, Expr::value(nobody(&row.buyer)?))
            .col_expr(Column::DeliveredTo, Expr::value(nobody(&row.delivered_to)?))
            .col_expr(Column::Reason, Expr::value(reason))
            .filter(Column::Id.eq(row.id))
            .exec(tx.db())
            .await?;
    }
    let messages = message::Entity::find()
        .filter(message::Column::OrderId.is_in(ids()))
        .all(tx.db())
        .await?;
    for mut row in messages {
        // Nobody is written to any more.
        if matches!(row.state, message::State::Queued | message::State::Sending) {
            row.state = message::State::Undeliverable;
            row.reason = Some(message::Reason::NoAddress);
        }
        row.next_attempt_at = None;
        row.recipient = row.recipient.map(|_| marker());
        row.facts = json!({});
        mark(&mut row.subject);
        mark(&mut row.text_body);
        mark(&mut row.html_body);
        row.version += 1;
        message_attempt::Entity::update_many()
            .col_expr(message_attempt::Column::Answer, Expr::value(None::<String>))
            .filter(message_attempt::Column::MessageId.eq(row.id))
            .exec(tx.db())
            .await?;
        row.into_active_model().reset_all().update(tx.db()).await?;
    }
    // Lists of what was picked and handed over name whose it was, and are of many orders.
    let lists = [document::Kind::PickList, document::Kind::Manifest];
    let papers: Vec<DocumentId> = document::Entity::find()
        .select_only()
        .column(document::Column::Id)
        .filter(
            Condition::any()
                .add(document::Column::OrderId.is_in(ids()))
                .add(document::Column::Kind.is_in(lists)),
        )
        .into_tuple()
        .all(tx.db())
        .await?;
    for part in papers.chunks(AT_ONCE) {
        document_content::Entity::delete_many()
            .filter(document_content::Column::DocumentId.is_in(part.iter().copied()))
            .exec(tx.db())
            .await?;
        document::Entity::update_many()
            .col_expr(document::Column::VoidedAt, Expr::value(tx.now))
            .col_expr(
                document::Column::Version,
                Expr::col(document::Column::Version).add(1),
            )
            .filter(document::Column::Id.is_in(part.iter().copied()))
            .filter(document::Column::VoidedAt.is_null())
            .exec(tx.db())
            .await?;
    }
    dispute::Entity::update_many()
        .col_expr(dispute::Column::Reason, Expr::value(ERASED))
        .filter(dispute::Column::OrderId.is_in(ids()))
        .exec(tx.db())
        .await?;
    use settlement_difference::Column;
    settlement_difference::Entity::update_many()
        .col_expr(Column::Note, Expr::value(ERASED))
        .filter(Column::OrderId.is_in(ids()))
        .filter(Column::Note.is_not_null())
        .exec(tx.db())
        .await?;
    Ok(())
}

/// A party to an invoice of whom only the country is known.
fn nobody(party: &Json) -> Result<Json, Failure> {
    let country = party["country"].as_str().unwrap_or_default();
    let party = Party {
        name: marker(),
        line1: marker(),
        city: marker(),
        country: country.to_owned(),
        ..Party::default()
    };
    serde_json::to_value(party).map_err(|error| Failure::Internal(error.to_string()))
}

/// Where the requests came from by which orders were placed, and others of the same caller about
/// them.
async fn origins(tx: &Tx, ids: &[OrderId]) -> Result<(), DbErr> {
    let mut placed: Vec<(String, String)> = event_log::Entity::find()
        .select_only()
        .column(event_log::Column::CorrelationId)
        .column(event_log::Column::Actor)
        .filter(event_log::Column::OrderId.is_in(ids.iter().copied()))
        .filter(event_log::Column::EventType.eq("order.received"))
        .into_tuple()
        .all(tx.db())
        .await?;
    if tx.locks_rows() {
        let waiting: Vec<(String, String)> = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::CorrelationId)
            .column(outbox::Column::Actor)
            .filter(outbox::Column::OrderId.is_in(ids.iter().copied()))
            .filter(outbox::Column::EventType.eq("order.received"))
            .into_tuple()
            .all(tx.db())
            .await?;
        placed.extend(waiting);
    }
    for (correlation, actor) in placed {
        request_origin::Entity::delete_many()
            .filter(request_origin::Column::CorrelationId.eq(correlation))
            .filter(request_origin::Column::Actor.eq(actor))
            .exec(tx.db())
            .await?;
    }
    Ok(())
}

async fn addresses(tx: &Tx, ids: &[AddressId]) -> Result<(), DbErr> {
    use address::Column;
    let nothing = || Expr::value(None::<String>);
    for part in ids.chunks(AT_ONCE) {
        address::Entity::update_many()
            .col_expr(Column::Name, Expr::value(ERASED))
            .col_expr(Column::Organisation, nothing())
            .col_expr(Column::Line1, Expr::value(ERASED))
            .col_expr(Column::Line2, nothing())
            .col_expr(Column::City, Expr::value(ERASED))
            .col_expr(Column::Region, nothing())
            .col_expr(Column::PostalCode, nothing())
            .col_expr(Column::Phone, nothing())
            .col_expr(Column::Suggestion, Expr::value(None::<Json>))
            .col_expr(Column::Reasons, Expr::value(json!([])))
            .filter(Column::Id.is_in(part.iter().copied()))
            .exec(tx.db())
            .await?;
    }
    Ok(())
}

/// Every file of rows may hold somebody's: those that are there are gone, and those that are being
/// made are called off.
async fn exports(tx: &Tx) -> Result<u64, DbErr> {
    use export::{Column, State};
    let ended = export::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Expired))
        .col_expr(Column::ExpiresAt, Expr::value(tx.now))
        .filter(Column::State.eq(State::Completed))
        .exec(tx.db())
        .await?
        .rows_affected;
    let called_off = export::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Cancelled))
        .col_expr(Column::FinishedAt, Expr::value(tx.now))
        .filter(Column::State.eq(State::Running))
        .exec(tx.db())
        .await?
        .rows_affected;
    export_part::Entity::delete_many().exec(tx.db()).await?;
    export::Entity::update_many()
        .col_expr(Column::Place, Expr::value(None::<Json>))
        .exec(tx.db())
        .await?;
    Ok(ended + called_off)
}

/// Whose events are rewritten.
struct Related<'a> {
    orders: &'a [OrderId],
    customer: Option<&'a customer::Model>,
}

/// What the log says of somebody. Its positions, kinds and figures stay, so whoever follows it goes
/// on. What is on its way into the log comes first: the sequencer has it under a lock, and what it
/// has moved meanwhile is in the log by then.
async fn log(tx: &Tx, of: &Related<'_>, words: &[String]) -> Result<(), DbErr> {
    macro_rules! rewrite {
        ($entity:ident, $key:ident, $field:ident, $which:expr) => {
            let mut rows = $entity::Entity::find().filter($which);
            if tx.locks_rows() {
                rows = rows.lock_exclusive();
            }
            for row in rows.all(tx.db()).await? {
                let mut payload = row.payload.clone();
                said(&row.event_type, &mut payload, words);
                if payload != row.payload {
                    $entity::Entity::update_many()
                        .col_expr($entity::Column::Payload, Expr::value(payload))
                        .filter($entity::Column::$key.eq(row.$field))
                        .exec(tx.db())
                        .await?;
                }
            }
        };
    }
    for ids in of.orders.chunks(AT_ONCE) {
        let ids = || ids.iter().copied();
        if tx.locks_rows() {
            rewrite!(outbox, Id, id, outbox::Column::OrderId.is_in(ids()));
        }
        rewrite!(event_log, Seq, seq, event_log::Column::OrderId.is_in(ids()));
    }
    if let Some(row) = of.customer {
        let id = row.id.to_string();
        if tx.locks_rows() {
            rewrite!(
                outbox,
                Id,
                id,
                Condition::all()
                    .add(outbox::Column::AggregateType.eq("customer"))
                    .add(outbox::Column::AggregateId.eq(id.as_str()))
            );
        }
        rewrite!(
            event_log,
            Seq,
            seq,
            Condition::all()
                .add(event_log::Column::AggregateType.eq("customer"))
                .add(event_log::Column::AggregateId.eq(id.as_str()))
        );
    }
    Ok(())
}

/// What an event says, without what people wrote and without these words.
fn said(event_type: &str, payload: &mut Json, words: &[String]) {
    let written: &[&str] = match event_type {
        "order.exception_resolved" => &["resolution"],
        "order.exception_reopened"
        | "order.cancelled"
        | "order.rejected"
        | "order.reopened"
        | "order.held"
        | "order.edited"
        | "order.rerouted"
        | "order.work_held"
        | "order.dispute_opened"
        | "order.return_ended"
        | "order.return_closed" => &["reason"],
        "order.refund_requested" => &["overrideReason"],
        _ => &[],
    };
    for field in written {
        if payload[*field].is_string() {
            payload[*field] = json!(ERASED);
        }
    }
    if matches!(event_type, "order.tagged" | "order.untagged")
        && let Some(tags) = payload.get_mut("tags").and_then(Json::as_array_mut)
    {
        tags.iter_mut().for_each(|tag| *tag = json!(ERASED));
    }
    without(payload, words);
}

fn without(value: &mut Json, words: &[String]) {
    match value {
        Json::String(text) => {
            for word in words.iter().filter(|word| !word.is_empty()) {
                if text.contains(word) {
                    *text = text.replace(word, ERASED);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| without(item, words)),
        Json::Object(fields) => fields.values_mut().for_each(|field| without(field, words)),
        _ => {}
    }
}

/// Replaces a word in a column, whose ever the row is.
async fn replace(tx: &Tx, table: &str, column: &str, json: bool, word: &str) -> Result<(), DbErr> {
    let backend = tx.db().get_database_backend();
    let postgres = tx.locks_rows();
    let [word_at, marker_at] = match postgres {
        true => ["$1", "$2"],
        false => ["?1", "?2"],
    };
    // As it stands between the quotation marks of JSON.
    let word = match json {
        true => {
            let quoted = json!(word).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        false => word.to_owned(),
    };
    let text = match json && postgres {
        true => format!("CAST({column} AS TEXT)"),
        false => column.to_owned(),
    };
    let replaced = format!("REPLACE({text}, {word_at}, {marker_at})");
    let new = match json && postgres {
        true => format!("CAST({replaced} AS JSONB)"),
        false => replaced.clone(),
    };
    let statement = format!("UPDATE \"{table}\" SET {column} = {new} WHERE {replaced} <> {text}");
    let values: [Value; 2] = [word.into(), ERASED.into()];
    tx.db()
        .execute_raw(Statement::from_sql_and_values(backend, statement, values))
        .await?;
    Ok(())
}

/// The customer's own row: its number, its terms and its money stay.
async fn forget(tx: &Tx, mut row: customer::Model) -> Result<customer::Model, DbErr> {
    // A transfer's reference is the payer's own words.
    let payments = customer_payment::Entity::find()
        .filter(customer_payment::Column::CustomerId.eq(row.id))
        .all(tx.db())
        .await?;
    for payment in payments {
        let reference = format!("{ERASED}-{}", payment.id);
        customer_payment::Entity::update_many()
            .col_expr(customer_payment::Column::Reference, Expr::value(reference))
            .filter(customer_payment::Column::Id.eq(payment.id))
            .exec(tx.db())
            .await?;
    }
    row.name = marker();
    row.email = None;
    row.phone = None;
    row.version += 1;
    row.updated_at = tx.now;
    row.into_active_model().reset_all().update(tx.db()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_goes_and_codes_and_figures_stay() {
        let words = ["Anna Leitner".to_owned()];
        let mut held = json!({ "holdId": "1", "reason": "his wife called" });
        said("order.held", &mut held, &words);
        assert_eq!(held, json!({ "holdId": "1", "reason": ERASED }));
        let mut failed = json!({ "kind": "SHIPPED", "reason": "NO_ADDRESS" });
        let before = failed.clone();
        said("message.failed", &mut failed, &words);
        assert_eq!(failed, before);
        let mut edited = json!({ "reason": null, "after": { "x": ["for Anna Leitner", 7] } });
        said("order.edited", &mut edited, &words);
        assert_eq!(
            edited,
            json!({ "reason": null, "after": { "x": ["for erased", 7] } })
        );
    }
}
