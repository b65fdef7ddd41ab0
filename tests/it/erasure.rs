//! A person is forgotten: nothing of who it was is found in any table, and every figure and every
//! number stays.

use std::collections::{BTreeMap, BTreeSet};

use api::app::App;
use api::erasure::TREATMENT;
use api::graphql::ids::to_global;
use api::integrity;
use chrono::Duration;
use entity::channel::FailedCheckPolicy;
use entity::shipment::TrackingStatus;
use entity::{OrderId, archived_order, customer, invoice, order};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Set, Statement};
use serde_json::{Value, json};
use support::merchant::{basket_with, codes};
use support::{ExpectedTable, TestApp, both_backends, entities};

use super::captures::{act, hear};
use super::finance::{euros, owe, record};
use super::imports::import_csv;
use super::invoices::{sell_in, sold};

both_backends!(
    p4b_a_person_is_found_nowhere_afterwards_and_every_figure_stays,
    p4b_a_customer_whose_orders_are_not_over_is_not_forgotten,
    p4b_who_owes_is_forgotten_when_it_has_paid_and_what_it_wrote_to_the_bank_too,
);

#[test]
fn every_table_says_what_becomes_of_a_persons_data() {
    let tables: BTreeSet<String> = entities().into_iter().map(|table| table.name).collect();
    let listed: BTreeSet<String> = TREATMENT
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(tables, listed);
}

/// What is planted: one word that is nowhere else for each field that takes something of a person.
const PLANTED: &[&str] = &[
    "Qcustomername",
    "qcustomermail",
    "6641234567",
    "Qordername",
    "Qshipname",
    "Qshiporganisation",
    "Qshipstreet",
    "Qshipfloor",
    "Qbillname",
    "Qbillorganisation",
    "Qbillstreet",
    "Qbillfloor",
    "qreference",
    "Qgiftmessage",
    "Qnote",
    "qtag",
    "Qcreditreason",
    "Qguestname",
    "Qgueststreet",
    "Qguestcity",
    "QGUESTCODE",
    "Qholdreason",
    "Qcancelreason",
    "Qguestgift",
];

/// A row of the same person that is no order.
const REFUSED: &str = "\
external_reference,customer_name,email,ship_line1,ship_city,ship_postal_code,ship_country,\
sku,quantity,unit_price,payment_method,payment_token
qreference@mail.example,Qordername Berg,qcustomermail@mail.example,Qshipstreet 1,Wien,1070,AT,\
MUG-BLUE,many,14.90,CARD,tok_approve
";

/// The tables that a back end has: SQLite writes the log at once.
fn tables(backend: DbBackend) -> impl Iterator<Item = ExpectedTable> {
    let all = entities().into_iter();
    all.filter(move |table| backend == DbBackend::Postgres || table.name != "outbox")
}

/// The tables in whose rows a word stands, as text or as bytes.
async fn places(app: &App, word: &str) -> BTreeSet<String> {
    let db = &app.db.read;
    let backend = db.get_database_backend();
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = BTreeSet::new();
    for table in tables(backend) {
        let name = &table.name;
        let stands = match backend {
            DbBackend::Postgres => {
                format!("CAST(every AS TEXT) LIKE '%{word}%' OR CAST(every AS TEXT) LIKE '%{hex}%'")
            }
            _ => {
                let columns = table.columns.iter().map(|column| {
                    let column = &column.name;
                    format!("INSTR(CAST(\"{column}\" AS BLOB), CAST('{word}' AS BLOB)) > 0")
                });
                columns.collect::<Vec<_>>().join(" OR ")
            }
        };
        let query = format!("SELECT 1 AS there FROM \"{name}\" every WHERE {stands}");
        let rows = db.query_all_raw(Statement::from_string(backend, query));
        if !rows.await.unwrap().is_empty() {
            found.insert(name.clone());
        }
    }
    found
}

/// What is counted and what it came to, table by table.
async fn figures(app: &App) -> BTreeMap<String, i64> {
    let db = &app.db.read;
    let backend = db.get_database_backend();
    let mut found = BTreeMap::new();
    for table in tables(backend) {
        // What is dropped, and what grows by the erasure itself.
        if [
            "document_content",
            "export_part",
            "order_tag",
            "request_origin",
            "event_log",
            "outbox",
        ]
        .contains(&table.name.as_str())
        {
            continue;
        }
        let minor = table.columns.iter().map(|column| column.name.as_str());
        let mut sums = vec!["COUNT(*)".to_owned()];
        sums.extend(
            minor
                .filter(|name| name.ends_with("_minor"))
                .map(|name| format!("COALESCE(SUM({name}), 0)")),
        );
        for sum in sums {
            let query = format!(
                "SELECT CAST({sum} AS BIGINT) AS figure FROM \"{}\"",
                table.name
            );
            let row = db.query_one_raw(Statement::from_string(backend, query));
            let figure = row.await.unwrap().unwrap().try_get("", "figure").unwrap();
            found.insert(format!("{}: {sum}", table.name), figure);
        }
    }
    found
}

async fn erase(app: &TestApp, input: Value) -> Value {
    let document = "mutation E($input: CustomerEraseInput!) { customerErase(input: $input) {
        erasure { orders exports customer { code name email phone } }
        userErrors { code field details } } }";
    app.gql(document, json!({ "input": input })).await["customerErase"].take()
}

async fn customer(app: &TestApp) -> Value {
    let document = "mutation C($input: CustomerCreateInput!) { customerCreate(input: $input) {
        customer { id code } userErrors { code } } }";
    let input = json!({ "code": "C-ERASE", "name": "Qcustomername Berg",
        "email": "qcustomermail@mail.example", "phone": "+43 664 1234567" });
    let made = app.gql(document, json!({ "input": input })).await["customerCreate"].take();
    assert_eq!(codes(&made), [""; 0], "{made:#}");
    made["customer"]["id"].clone()
}

fn planted_order() -> Value {
    json!({
        "externalReference": "qreference@mail.example",
        "customer": { "code": "C-ERASE", "name": "Qordername Berg",
            "email": "qcustomermail@mail.example", "phone": "+43 664 1234567" },
        "shippingAddress": { "name": "Qshipname Berg", "organisation": "Qshiporganisation GmbH",
            "line1": "Qshipstreet 1", "line2": "Qshipfloor 2", "city": "Wien",
            "postalCode": "1010", "country": "AT" },
        "billingAddress": { "name": "Qbillname Berg", "organisation": "Qbillorganisation GmbH",
            "line1": "Qbillstreet 1", "line2": "Qbillfloor 2", "city": "Wien",
            "postalCode": "1010", "country": "AT" },
        "metadata": { "gift": "Qgiftmessage" },
    })
}

async fn export(app: &TestApp) {
    let document = "mutation C($input: ExportCreateInput!) { exportCreate(input: $input) {
        export { id } userErrors { code } } }";
    let input = json!({ "kind": "ORDERS", "format": "JSONL" });
    let asked = app.gql(document, json!({ "input": input })).await["exportCreate"].take();
    assert_eq!(codes(&asked), [""; 0], "{asked:#}");
    app.settle().await;
}

async fn row(app: &TestApp, number: &Value) -> order::Model {
    order::Entity::find()
        .filter(order::Column::Number.eq(number.as_str().unwrap()))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap()
}

async fn done(app: &TestApp, mutation: &str, id: OrderId, more: Value) {
    let payload = act(app, mutation, id, more).await;
    assert_eq!(codes(&payload), [""; 0], "{mutation}: {payload:#}");
}

async fn p4b_a_person_is_found_nowhere_afterwards_and_every_figure_stays(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let id = customer(app).await;
    let cup = app.stocked("CUP", 9, false).await;

    // An order that runs its whole life, and is put away.
    let (first, shipment) = sold(app, &cup, 2, planted_order()).await;
    done(
        app,
        "orderAddNote",
        first,
        json!({ "body": "Qnote: rang twice" }),
    )
    .await;
    let tags = "mutation T($id: ID!) { orderAddTags(input: { id: $id, tags: [\"qtag\"] }) {
        userErrors { code } } }";
    let tagged = app
        .gql(tags, json!({ "id": to_global(first).as_str() }))
        .await;
    assert_eq!(codes(&tagged["orderAddTags"]), [""; 0], "{tagged:#}");
    hear(app, shipment, TrackingStatus::Delivered, false).await;
    app.settle().await;
    let issued = invoice::Entity::find()
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let correct = "mutation C($input: InvoiceCorrectInput!) { invoiceCorrect(input: $input) {
        creditNote { id } userErrors { code message } } }";
    let input = json!({ "id": to_global(issued.id).as_str(), "reason": "Qcreditreason",
        "part": { "lines": [{ "position": 1, "quantity": 1 }] }, "idempotencyKey": "one" });
    let corrected = app.gql(correct, json!({ "input": input })).await["invoiceCorrect"].take();
    assert_eq!(codes(&corrected), [""; 0], "{corrected:#}");
    app.settle().await;
    app.clock.advance(Duration::days(30));
    app.settle().await;
    let put_away = archived_order::Entity::find_by_id(first).one(&app.app.db.read);
    assert!(put_away.await.unwrap().is_some(), "it was not put away");

    app.change_channel("web", |row| {
        row.failed_check_policy = Set(FailedCheckPolicy::Review);
    })
    .await;

    // One as a guest under the same address, with a wrong address, stopped and called off.
    let guest = basket_with(json!({
        "customer": { "name": "Qguestname Berg", "email": "Qcustomermail@mail.example" },
        "shippingAddress": { "line1": "Qgueststreet 3", "city": "Qguestcity",
            "postalCode": "QGUESTCODE", "country": "AT" },
        "lines": [{ "sku": "CUP", "quantity": 1 }],
        "metadata": { "gift": "Qguestgift" },
    }));
    let taken = app.place(guest).await;
    app.settle().await;
    let second = row(app, &taken["number"]).await.id;
    done(app, "orderHold", second, json!({ "reason": "Qholdreason" })).await;
    done(
        app,
        "orderCancel",
        second,
        json!({ "reason": "Qcancelreason" }),
    )
    .await;
    let (_, faults) = import_csv(app, REFUSED).await;
    assert_eq!(faults.len(), 1);
    export(app).await;

    for word in PLANTED {
        let found = places(&app.app, word).await;
        assert!(!found.is_empty(), "{word} was not planted");
    }
    let before = figures(&app.app).await;
    let numbers = invoice::Entity::find().all(&app.app.db.read).await.unwrap();

    let erased = erase(
        app,
        json!({ "id": id, "reason": "asked for by Qcustomername Berg" }),
    )
    .await;
    assert_eq!(codes(&erased), [""; 0], "{erased:#}");
    assert_eq!(
        erased["erasure"],
        json!({ "orders": 2, "exports": 1, "customer": { "code": "C-ERASE",
            "name": "erased", "email": null, "phone": null } })
    );
    app.settle().await;

    let mut left = BTreeMap::new();
    for word in PLANTED {
        let found = places(&app.app, word).await;
        if !found.is_empty() {
            left.insert(*word, found);
        }
    }
    assert!(left.is_empty(), "{left:#?}");
    // What is packed or compressed is not found as text: nothing of it is there.
    let contents = entity::document_content::Entity::find().all(&app.app.db.read);
    assert_eq!(contents.await.unwrap().len(), 0);
    assert_eq!(figures(&app.app).await, before);
    let after = invoice::Entity::find().all(&app.app.db.read).await.unwrap();
    let kept = |rows: &[invoice::Model]| {
        let rows = rows
            .iter()
            .map(|row| (row.name.clone(), row.total_minor, row.issued_on));
        rows.collect::<BTreeSet<_>>()
    };
    assert_eq!(kept(&after), kept(&numbers));
    assert!(after.iter().all(|row| row.buyer["country"] == "AT"));
    let found = integrity::verify(&app.app.db.read).await.unwrap();
    assert!(found.is_empty(), "{found:#?}");

    // The log is whole, and the orders are still read, the archived one as well.
    let rows = entity::event_log::Entity::find()
        .all(&app.app.db.read)
        .await
        .unwrap();
    for row in rows {
        let read = api::events::Event::read(&row.event_type, &row.payload);
        assert!(read.is_some(), "{}: {}", row.event_type, row.payload);
    }
    let query = "query O($id: ID!) { order(by: { id: $id }) { number customerName email
        total { amount } messages { kind state } shipments { number } } }";
    for id in [first, second] {
        let read = app
            .gql(query, json!({ "id": to_global(id).as_str() }))
            .await;
        assert_eq!(read["order"]["customerName"], "erased", "{read:#}");
    }
    // It may be said again, and does nothing more.
    let again = erase(app, json!({ "id": id, "reason": "again" })).await;
    assert_eq!(codes(&again), [""; 0], "{again:#}");
}

async fn p4b_a_customer_whose_orders_are_not_over_is_not_forgotten(app: &TestApp) {
    app.open_shop().await;
    let id = customer(app).await;
    app.stocked("CUP", 9, false).await;
    let mut basket = basket_with(planted_order());
    basket["lines"] = json!([{ "sku": "CUP", "quantity": 1 }]);
    let taken = app.place(basket).await;
    let refused = erase(app, json!({ "id": id, "reason": "asked for" })).await;
    assert_eq!(codes(&refused), ["CUSTOMER_NOT_ERASABLE"], "{refused:#}");
    let details = &refused["userErrors"][0]["details"];
    assert_eq!(details["openOrders"], json!([taken["number"]]));
    assert!(!places(&app.app, "Qordername").await.is_empty());
    let neither = erase(app, json!({ "reason": "asked for" })).await;
    assert_eq!(codes(&neither), ["INVALID_INPUT"]);
    let nobody = json!({ "guestEmail": "nobody@mail.example", "reason": "asked for" });
    assert_eq!(codes(&erase(app, nobody).await), ["CUSTOMER_NOT_FOUND"]);
}

async fn p4b_who_owes_is_forgotten_when_it_has_paid_and_what_it_wrote_to_the_bank_too(
    app: &TestApp,
) {
    app.open_shop().await;
    sell_in(app, &["b2b"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let invoice = owe(app, &cup, 1, "B-2001").await;
    hear(app, invoice.shipment_id, TrackingStatus::Delivered, false).await;
    app.settle().await;
    let customer = customer::Entity::find()
        .filter(customer::Column::Code.eq("B-2001"))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let id = json!(to_global(customer.id).as_str());
    let asked = json!({ "id": id, "reason": "asked for" });
    let refused = erase(app, asked.clone()).await;
    assert_eq!(codes(&refused), ["CUSTOMER_NOT_ERASABLE"], "{refused:#}");

    let paid = record(
        app,
        json!({ "customerId": id, "reference": "Qtransfer of Qpayer Berg",
            "amount": euros(invoice.total_minor) }),
    )
    .await;
    assert_eq!(codes(&paid), [""; 0], "{paid:#}");
    for word in ["Qtransfer", "Qpayer"] {
        assert!(!places(&app.app, word).await.is_empty(), "{word}");
    }
    let before = figures(&app.app).await;
    let erased = erase(app, asked).await;
    assert_eq!(codes(&erased), [""; 0], "{erased:#}");
    app.settle().await;
    for word in ["Qtransfer", "Qpayer"] {
        assert_eq!(places(&app.app, word).await, BTreeSet::new(), "{word}");
    }
    assert_eq!(figures(&app.app).await, before);
    let found = integrity::verify(&app.app.db.read).await.unwrap();
    assert!(found.is_empty(), "{found:#?}");
}
