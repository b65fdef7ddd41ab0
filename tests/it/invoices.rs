//! Invoices: numbered without gaps, equal to what was captured, corrected by credit notes alone,
//! printed for people and for programs, mailed; and the ledger that follows them.

use std::path::Path;
use std::process::Command;

use api::documents::{self, Bill, BillLine, samples};
use api::failure::Failure;
use api::graphql::ids::to_global;
use api::invoicing;
use api::invoicing::credit::{self, Correct, Part};
use api::tx::Actor;
use entity::invoice::Kind;
use entity::invoice_line::TaxCategory;
use entity::{
    Currency, InvoiceId, LineId, OrderId, Rate, ShipmentId, charge, customer, document_content,
    invoice, invoice_line, order,
};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::dice::Dice;
use support::merchant::{Stocked, basket_with, codes};
use support::{TestApp, both_backends};

use crate::captures::{leave, packed, part, scanned};

both_backends!(
    p2_shipments_are_invoiced_as_they_are_captured_printed_and_mailed,
    p2_what_was_captured_before_somebody_sold_is_invoiced_afterwards,
    p2_a_credit_note_takes_back_no_more_than_is_left,
    p2_of_those_who_take_back_the_same_at_once_one_does,
    p2_what_was_issued_stays_as_it_is,
    p2_numbers_have_no_gaps_whoever_fails,
    p2_who_sells_is_checked,
    p2_documents_of_all_kinds_of_orders_keep_the_rules_of_the_standard,
    p3_the_ledger_follows_invoices_and_money_and_is_in_balance,
);

const SELLER: &str = "mutation S($input: LegalEntitySaveInput!) { legalEntitySave(input: $input) {
    legalEntity { id code vatId version channels { code }
        series { kind prefix nextNumber } }
    userErrors { code field message } } }";

const INVOICES: &str = "query I($id: ID!) { order(by: { id: $id }) { total { amount }
    timeline { event }
    messages { kind state }
    invoices { id number kind reason payment dueOn
        net { amount } tax { amount } rounding { amount } total { amount } credited { amount }
        corrects { number } creditNotes { number } shipment { id }
        lines { position kind sku title quantity net { amount } tax { amount } taxRate taxCategory
            discount { amount } line { sku } }
        documents { id kind format fileName url } } } }";

/// The seller of some channels.
fn seller(channels: &[Value]) -> Value {
    json!({ "code": "NW", "name": "Northwind Traders GmbH", "line1": "Lindengasse 41",
        "city": "Wien", "postalCode": "1070", "country": "AT", "vatId": "ATU12345675",
        "iban": "AT61 1904 3002 3457 3201", "email": "office@northwind.example",
        "invoicePrefix": "R-", "creditNotePrefix": "G-", "channelIds": channels })
}

async fn save(app: &TestApp, input: Value) -> Value {
    app.gql(SELLER, json!({ "input": input })).await["legalEntitySave"].take()
}

/// Says that somebody sells in channels.
pub async fn sell_in(app: &TestApp, channels: &[&str]) {
    let mut ids = Vec::new();
    for code in channels {
        ids.push(json!(to_global(app.channel(code).await.id).as_str()));
    }
    let saved = save(app, seller(&ids)).await;
    assert_eq!(saved["userErrors"], json!([]), "{saved:#}");
}

/// An order for some units that is routed.
async fn ordered(app: &TestApp, of: &Stocked, units: i64, changes: Value) -> OrderId {
    let mut basket = basket_with(changes);
    basket["lines"] = json!([{ "sku": of.sku, "quantity": units }]);
    let taken = app.place(basket).await;
    app.settle().await;
    let row = order::Entity::find()
        .filter(order::Column::Number.eq(taken["number"].as_str().unwrap()))
        .one(&app.app.db.read)
        .await
        .unwrap();
    row.unwrap().id
}

/// An order of one shipment that was captured, and its shipment.
pub async fn sold(
    app: &TestApp,
    of: &Stocked,
    units: i64,
    changes: Value,
) -> (OrderId, ShipmentId) {
    let id = ordered(app, of, units, changes).await;
    let shipment = packed(app, of, id, 1).await[0];
    leave(app, shipment).await;
    scanned(app, shipment).await;
    app.settle().await;
    (id, shipment)
}

async fn seen(app: &TestApp, id: OrderId) -> Value {
    let id = json!(to_global(id).as_str());
    app.gql(INVOICES, json!({ "id": id })).await["order"].take()
}

async fn invoices(app: &TestApp, id: OrderId) -> Vec<invoice::Model> {
    invoice::Entity::find()
        .filter(invoice::Column::OrderId.eq(id))
        .order_by_asc(invoice::Column::IssuedAt)
        .order_by_asc(invoice::Column::Id)
        .all(&app.app.db.read)
        .await
        .unwrap()
}

async fn correct(app: &TestApp, id: InvoiceId, part: Value, key: &str) -> Value {
    let document = "mutation C($input: InvoiceCorrectInput!) { invoiceCorrect(input: $input) {
        creditNote { id number total { amount } net { amount } tax { amount } reason
            corrects { number credited { amount } } lines { position quantity net { amount } } }
        replayed userErrors { code field details } } }";
    let input = json!({ "id": to_global(id).as_str(), "reason": "came back broken", "part": part,
        "idempotencyKey": key });
    app.gql(document, json!({ "input": input })).await["invoiceCorrect"].take()
}

/// What an account has come to, in euros.
async fn balances(app: &TestApp) -> Value {
    let query = "{ trialBalance(currency: \"EUR\") { account balance { amount } } }";
    let rows = app.gql(query, json!({})).await["trialBalance"].take();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let account = row["account"].as_str().unwrap().to_owned();
        (account, row["balance"]["amount"].clone())
    })
    .collect::<serde_json::Map<_, _>>()
    .into()
}

fn cents(amount: &Value) -> i64 {
    amount.as_str().unwrap().replace('.', "").parse().unwrap()
}

async fn p2_shipments_are_invoiced_as_they_are_captured_printed_and_mailed(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = ordered(app, &cup, 3, json!({})).await;
    part(app, id, 1).await;
    part(app, id, 1).await;
    let shipments = packed(app, &cup, id, 1).await;
    leave(app, shipments[0]).await;
    app.settle().await;
    assert_eq!(invoices(app, id).await, [], "nothing is captured");
    scanned(app, shipments[0]).await;
    // The same commit that has the money has the invoice.
    let first = invoices(app, id).await;
    assert_eq!(first.len(), 1);
    assert_eq!(
        (first[0].name.as_str(), first[0].kind),
        ("R-000001", Kind::Invoice)
    );
    app.settle().await;
    for shipment in &shipments[1..] {
        leave(app, *shipment).await;
        scanned(app, *shipment).await;
    }
    app.settle().await;

    let all = invoices(app, id).await;
    let captured = charge::Entity::find().all(&app.app.db.read).await.unwrap();
    for row in &all {
        let own = captured
            .iter()
            .find(|one| one.shipment_id == row.shipment_id);
        assert_eq!(row.total_minor, own.unwrap().captured_minor);
    }
    let order = order::Entity::find_by_id(id)
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let sum = |of: fn(&invoice::Model) -> i64| all.iter().map(of).sum::<i64>();
    assert_eq!(sum(|row| row.total_minor), order.total_minor);
    assert_eq!(sum(|row| row.tax_minor), order.tax_minor);
    assert_eq!(sum(|row| row.rounding_minor), 0);

    let shown = seen(app, id).await;
    let shown_invoices = shown["invoices"].as_array().unwrap();
    let numbers: Vec<_> = shown_invoices
        .iter()
        .map(|one| one["number"].clone())
        .collect();
    assert_eq!(numbers, ["R-000001", "R-000002", "R-000003"]);
    let one = &shown_invoices[0];
    assert_eq!(one["lines"][0]["quantity"], 1);
    assert_eq!(one["lines"][0]["taxCategory"], "STANDARD");
    assert_eq!(one["lines"][1]["kind"], "DELIVERY");
    assert_eq!(one["lines"][1]["taxRate"], one["lines"][0]["taxRate"]);
    let formats: Vec<_> = one["documents"].as_array().unwrap().iter().collect();
    assert_eq!(formats.len(), 2);
    assert_eq!(formats[0]["fileName"], "R-000001.pdf");
    assert_eq!(formats[1]["fileName"], "R-000001.xml");
    for document in formats {
        let path = document["url"].as_str().unwrap();
        assert_eq!(
            support::http()
                .get(app.url(path))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
    let events = shown["timeline"].as_array().unwrap().iter();
    let issued = events.filter(|one| one["event"] == "invoice.issued");
    assert_eq!(issued.count(), 3);

    let mails = app.mailbox.handed();
    let mails: Vec<_> = mails
        .iter()
        .filter(|mail| !mail.attachments.is_empty())
        .collect();
    assert_eq!(mails.len(), 3);
    let mail = mails[0];
    assert!(
        mail.wording.subject.starts_with("Rechnung R-00000"),
        "{}",
        mail.wording.subject
    );
    assert_eq!(mail.recipient, "anna@mail.example");
    let kinds: Vec<_> = mail
        .attachments
        .iter()
        .map(|file| file.content_type.as_str())
        .collect();
    assert_eq!(kinds, ["application/pdf", "application/xml"]);
    assert!(mail.attachments[0].bytes.starts_with(b"%PDF"));
    // It is sent again as it was, attachments and all.
    let resend = "mutation R($id: ID!) { messageResend(input: { id: $id, recipient: \"new@mail.example\" }) {
        message { id } userErrors { code } } }";
    let sent = app
        .gql(resend, json!({ "id": to_global(mail.id).as_str() }))
        .await;
    assert_eq!(sent["messageResend"]["userErrors"], json!([]));
    app.settle().await;
    let again = app.mailbox.handed().pop().unwrap();
    assert_eq!(
        (again.recipient.as_str(), &again.attachments),
        ("new@mail.example", &mail.attachments)
    );
}

async fn p2_what_was_captured_before_somebody_sold_is_invoiced_afterwards(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, _) = sold(app, &cup, 2, json!({})).await;
    assert_eq!(invoices(app, id).await, []);
    sell_in(app, &["b2b"]).await;
    app.settle().await;
    assert_eq!(invoices(app, id).await, [], "somebody sells elsewhere");
    sell_in(app, &["web", "b2b"]).await;
    app.settle().await;
    let order = order::Entity::find_by_id(id)
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let all = invoices(app, id).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].total_minor, order.total_minor);
}

async fn p2_a_credit_note_takes_back_no_more_than_is_left(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (order, _) = sold(app, &cup, 3, json!({})).await;
    let invoice = invoices(app, order).await.remove(0);
    let total = invoice.total_minor;
    let lines = json!({ "lines": [{ "position": 1, "quantity": 1 }] });
    let first = correct(app, invoice.id, lines.clone(), "one").await;
    assert_eq!(first["userErrors"], json!([]), "{first:#}");
    let note = &first["creditNote"];
    assert_eq!(note["number"], "G-000001");
    assert_eq!(note["total"]["amount"], "10.00");
    assert_eq!(note["corrects"]["credited"]["amount"], "10.00");
    let again = correct(app, invoice.id, lines, "one").await;
    assert_eq!(
        (&again["replayed"], &again["creditNote"]["id"]),
        (&json!(true), &note["id"])
    );

    let amount = json!({ "amount": { "amount": "1.00", "currency": "EUR" } });
    let second = correct(app, invoice.id, amount, "two").await;
    assert_eq!(
        second["creditNote"]["total"]["amount"], "1.00",
        "{second:#}"
    );
    assert_eq!(second["creditNote"]["lines"][0]["quantity"], 0);

    let three = json!({ "lines": [{ "position": 1, "quantity": 3 }] });
    let refused = correct(app, invoice.id, three, "three").await;
    assert_eq!(codes(&refused), ["QUANTITY_INVALID"]);
    let much = json!({ "amount": { "amount": "999.00", "currency": "EUR" } });
    let refused = correct(app, invoice.id, much, "much").await;
    assert_eq!(codes(&refused), ["CREDIT_EXCEEDS_INVOICE"]);
    let yen = json!({ "amount": { "amount": "1", "currency": "JPY" } });
    assert_eq!(
        codes(&correct(app, invoice.id, yen, "yen").await),
        ["CURRENCY_MISMATCH"]
    );

    let rest = correct(app, invoice.id, json!({ "whole": true }), "rest").await;
    let left = total - 1_000 - 100;
    assert_eq!(
        cents(&rest["creditNote"]["total"]["amount"]),
        left,
        "{rest:#}"
    );
    let nothing = correct(app, invoice.id, json!({ "whole": true }), "nothing").await;
    assert_eq!(codes(&nothing), ["CREDIT_EXCEEDS_INVOICE"]);
    let notes: Vec<_> = invoices(app, order).await.into_iter().skip(1).collect();
    assert!(
        notes
            .iter()
            .all(|note| note.corrects_id == Some(invoice.id))
    );
    let sum = |of: fn(&invoice::Model) -> i64| notes.iter().map(of).sum::<i64>();
    assert_eq!(sum(|note| note.tax_minor), invoice.tax_minor);
    assert_eq!(sum(|note| note.net_minor), invoice.net_minor);
    let of_note = correct(app, notes[0].id, json!({ "whole": true }), "note").await;
    assert_eq!(codes(&of_note), ["INVALID_INPUT"]);
    app.settle().await;
    let mails = app.mailbox.handed();
    let told = mails
        .iter()
        .filter(|mail| mail.wording.subject.contains("Rechnungskorrektur G-"));
    assert_eq!(told.count(), 3);
}

async fn p2_of_those_who_take_back_the_same_at_once_one_does(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (order, _) = sold(app, &cup, 2, json!({})).await;
    let invoice = invoices(app, order).await.remove(0);
    let keys: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
    let tries = keys
        .iter()
        .map(|key| correct(app, invoice.id, json!({ "whole": true }), key));
    let answers = join_all(tries).await;
    let done = answers.iter().filter(|one| one["userErrors"] == json!([]));
    assert_eq!(done.count(), 1);
    assert_eq!(invoices(app, order).await.len(), 2);
}

async fn p2_what_was_issued_stays_as_it_is(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (order, _) = sold(app, &cup, 1, json!({})).await;
    let before = seen(app, order).await;
    for sql in [
        "UPDATE invoice SET reason = 'x'",
        "UPDATE invoice SET total_minor = total_minor + 1, net_minor = net_minor + 1",
        "DELETE FROM invoice_line",
        "UPDATE invoice_line SET title = 'x'",
        "DELETE FROM ledger_entry",
        "UPDATE ledger_entry SET amount_minor = 1",
    ] {
        let changed = app.app.db.write.execute_unprepared(sql).await;
        assert!(changed.is_err(), "{sql}");
    }
    let void = "mutation V($id: ID!) { documentVoid(input: { id: $id }) { userErrors { code } } }";
    let id = &before["invoices"][0]["documents"][0]["id"];
    let refused = app.gql(void, json!({ "id": id })).await["documentVoid"].take();
    assert_eq!(codes(&refused), ["INVOICE_FINAL"]);
    // The merchant moves, the customer's address stays what it was on paper.
    let mut moved = seller(&[json!(to_global(app.channel("web").await.id).as_str())]);
    moved["line1"] = json!("Elsewhere 1");
    moved["invoicePrefix"] = json!("N-");
    let saved = save(app, moved).await;
    assert_eq!(saved["legalEntity"]["version"], 2);
    assert_eq!(saved["legalEntity"]["series"][1]["nextNumber"], 2);
    let (other, _) = sold(app, &cup, 1, json!({})).await;
    let (first, second) = (
        &invoices(app, order).await[0],
        &invoices(app, other).await[0],
    );
    assert_eq!(first.seller["line1"], "Lindengasse 41");
    assert_eq!(second.seller["line1"], "Elsewhere 1");
    assert_eq!(second.name, "N-000002");
    let mut after = seen(app, order).await;
    let mut before = before;
    // An address is signed anew each time.
    for shown in [&mut before, &mut after] {
        for document in shown["invoices"][0]["documents"].as_array_mut().unwrap() {
            document["url"].take();
        }
    }
    assert_eq!(before, after);
}

/// How many credit notes each of eight writers issues.
fn rounds() -> usize {
    if std::env::var_os("OMS_LONG").is_some() {
        250
    } else {
        25
    }
}

async fn p2_numbers_have_no_gaps_whoever_fails(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 20, false).await;
    let mut corrected = Vec::new();
    for _ in 0..8 {
        let (order, _) = sold(app, &cup, 1, json!({})).await;
        corrected.push(invoices(app, order).await.remove(0).id);
    }
    // Every third of them dies with its number taken, some before and some after it has written.
    let writer = async |seed: u64, id: InvoiceId| -> usize {
        let mut dice = Dice::new(seed + 1);
        let (mut issued, mut died) = (0, 0);
        while issued < rounds() {
            let fate = dice.roll(6);
            let cmd = &Correct {
                id,
                reason: "a cent".to_owned(),
                part: Part::Amount(1),
            };
            let done = app
                .app
                .write(&Actor::worker("test"), move |tx| async move {
                    credit::correct(&tx, cmd).await?;
                    if fate == 1 {
                        tx.flush().await?;
                    }
                    match fate {
                        0 | 1 => Err(Failure::Internal("the node died".to_owned())),
                        _ => Ok(()),
                    }
                })
                .await;
            match done {
                Ok(()) => issued += 1,
                Err(_) => died += 1,
            }
        }
        died
    };
    let writers = corrected.iter().enumerate();
    let died = join_all(writers.map(|(seed, id)| writer(seed as u64, *id))).await;
    assert!(died.iter().all(|died| *died > 0), "{died:?}");
    let numbers: Vec<i64> = invoice::Entity::find()
        .filter(invoice::Column::Kind.eq(Kind::CreditNote))
        .order_by_asc(invoice::Column::Number)
        .all(&app.app.db.read)
        .await
        .unwrap()
        .iter()
        .map(|row| row.number)
        .collect();
    let all: Vec<i64> = (1..=(8 * rounds()) as i64).collect();
    assert_eq!(numbers, all);
}

async fn p2_who_sells_is_checked(app: &TestApp) {
    app.open_shop().await;
    for (field, value, code) in [
        ("vatId", json!("A1"), "INVALID_INPUT"),
        ("vatId", Value::Null, "INVALID_INPUT"),
        ("iban", json!("AT611904300234573202"), "INVALID_INPUT"),
        ("country", json!("Austria"), "INVALID_INPUT"),
        ("name", json!(" "), "NAME_INVALID"),
        ("invoicePrefix", json!(""), "INVALID_INPUT"),
        ("creditNotePrefix", json!("R-"), "CODE_TAKEN"),
        ("expectedVersion", json!(7), "STALE_VERSION"),
    ] {
        let mut input = seller(&[]);
        input[field] = value;
        let refused = codes(&save(app, input).await);
        assert!(!refused.is_empty(), "{field}");
        assert!(
            refused.iter().all(|one| one == code),
            "{field}: {refused:?}"
        );
    }
    sell_in(app, &["web"]).await;
    let mut other = seller(&[json!(to_global(app.channel("web").await.id).as_str())]);
    other["code"] = json!("OTHER");
    assert_eq!(codes(&save(app, other.clone()).await), ["CODE_TAKEN"]);
    other["invoicePrefix"] = json!("X-");
    other["creditNotePrefix"] = json!("Y-");
    let taken = save(app, other).await;
    assert_eq!(taken["legalEntity"]["channels"], json!([{ "code": "web" }]));
    let query = "{ legalEntities { code channels { code } } }";
    let all = app.gql(query, json!({})).await;
    assert_eq!(
        all["legalEntities"][0],
        json!({ "code": "NW", "channels": [] })
    );
}

/// The documents for programs that were stored.
async fn stored(app: &TestApp) -> Vec<Vec<u8>> {
    use entity::document::{Column, Entity, Format};
    let rows = Entity::find().filter(Column::Format.eq(Format::Xml));
    let rows = rows
        .order_by_asc(Column::FileName)
        .all(&app.app.db.read)
        .await
        .unwrap();
    let mut found = Vec::new();
    for row in rows {
        let content = document_content::Entity::find_by_id(row.id).one(&app.app.db.read);
        found.push(content.await.unwrap().unwrap().bytes);
    }
    found
}

async fn p2_documents_of_all_kinds_of_orders_keep_the_rules_of_the_standard(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web", "b2b", "marketplace"]).await;
    let cup = app.stocked("CUP", 50, false).await;
    sold(app, &cup, 3, json!({})).await;
    let (order, _) = sold(app, &cup, 3, json!({ "promotionCodes": ["WELCOME10"] })).await;
    let discounted = invoices(app, order).await.remove(0);
    let outside = json!({ "channel": "marketplace", "payment": { "method": "EXTERNAL" } });
    sold(app, &cup, 1, outside).await;
    let account = json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "payment": { "method": "ACCOUNT" } });
    let (owed, _) = sold(app, &cup, 7, account.clone()).await;
    let owed = invoices(app, owed).await.remove(0);
    assert!(owed.due_on.is_some(), "it is to be paid");
    // A business in another country that is exempt.
    let exempt = customer::Entity::update_many()
        .col_expr(customer::Column::TaxExempt, true.into())
        .filter(customer::Column::Code.eq("B-2001"))
        .exec(&app.app.db.write);
    exempt.await.unwrap();
    let mut abroad = account.clone();
    abroad["shippingAddress"] = json!({ "line1": "Hauptstraße 1", "city": "Berlin",
        "postalCode": "10115", "country": "DE" });
    abroad["metadata"] = json!({ "vatId": "DE 123456789" });
    let (order, _) = sold(app, &cup, 2, abroad).await;
    let within = invoices(app, order).await.remove(0);
    assert_eq!(
        (within.tax_minor, &within.buyer["vatId"]),
        (0, &json!("DE123456789"))
    );
    let (order, _) = sold(app, &cup, 2, account).await;
    assert_eq!(invoices(app, order).await[0].tax_minor, 0);
    for (id, part) in [
        (owed.id, Part::Lines(vec![(1, 2)])),
        (owed.id, Part::Amount(777)),
        (within.id, Part::Whole),
        (discounted.id, Part::Lines(vec![(1, 1)])),
        (discounted.id, Part::Lines(vec![(2, 1)])),
    ] {
        let cmd = &Correct {
            id,
            reason: "<it> & \"that\"".to_owned(),
            part,
        };
        app.app
            .write(&Actor::worker("test"), move |tx| async move {
                credit::correct(&tx, cmd).await
            })
            .await
            .unwrap();
    }
    app.settle().await;
    let stored = stored(app).await;
    assert_eq!(stored.len(), 11);
    keep_the_rules(&stored);
}

/// Where `.ci/test` puts what knows the rules.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/decoders/venv/bin/python");

/// Fails if the European committee's own rules, or the schema, find anything wrong; says so and
/// passes where they are not installed.
fn keep_the_rules(bills: &[Vec<u8>]) {
    let lacks = || {
        let saxon = Command::new(PYTHON)
            .args(["-c", "import saxonche, lxml"])
            .output();
        !Path::new(PYTHON).exists() || !saxon.is_ok_and(|output| output.status.success())
    };
    if lacks() {
        let missing = "the rules of electronic invoices are not installed: run `.ci/test`";
        assert!(
            std::env::var_os("OMS_REQUIRE_DECODERS").is_none(),
            "{missing}"
        );
        eprintln!("skipped: {missing}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = bills
        .iter()
        .enumerate()
        .map(|(place, bytes)| {
            let path = folder.path().join(format!("{place}.xml"));
            std::fs::write(&path, bytes).unwrap();
            path
        })
        .collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/decoders/rules.py");
    let output = Command::new(PYTHON)
        .arg(script)
        .args(&paths)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(found.is_empty(), "{found}");
}

/// A bill of random lines, taxed line by line or unit by unit as orders are.
fn random_bill(dice: &mut Dice) -> Bill {
    let currency = dice.one(&[Currency::EUR, Currency::EUR, Currency::USD, Currency::JPY]);
    let mut line = |position: i32, kind: invoice_line::Kind| {
        let rate: Rate = dice
            .one(&["0.19", "0.07", "0.2", "0.055", "0.1", "0.21"])
            .parse()
            .unwrap();
        let (most, dearest) = (dice.one(&[3, 3, 3, 60]), dice.one(&[20, 3_000, 90_000]));
        let (quantity, each) = (1 + dice.roll(most) as i64, 1 + dice.roll(dearest) as i64);
        let net = each * quantity;
        let half_up = |net: i64| {
            let scaled = rate.0 * rust_decimal::Decimal::from(net);
            let up = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
            i64::try_from(scaled.round_dp_with_strategy(0, up)).unwrap()
        };
        // By unit, the tax of many small things is far from the rate.
        let tax_minor = match dice.roll(2) {
            0 => half_up(net),
            _ => half_up(each) * quantity,
        };
        invoice_line::Model {
            invoice_id: InvoiceId(uuid::Uuid::nil()),
            position,
            kind,
            line_id: Some(LineId(uuid::Uuid::nil())),
            sku: format!("SKU-{position}"),
            title: dice
                .one(&["Tee & Tasse", "Świecznik <żółty>", "Чай"])
                .to_owned(),
            quantity,
            discount_minor: dice.roll(3) as i64 * 7,
            net_minor: net,
            tax_category: TaxCategory::Standard,
            tax_rate: rate,
            tax_minor,
        }
    };
    let count = 1 + line(0, invoice_line::Kind::Item).quantity.min(9) as i32;
    let mut lines: Vec<_> = (1..=count)
        .map(|at| line(at, invoice_line::Kind::Item))
        .collect();
    lines.push(line(count + 1, invoice_line::Kind::Delivery));
    let rounding_minor = invoicing::say_tax(currency, &mut lines).unwrap();
    let said = |line: invoice_line::Model| BillLine {
        position: line.position,
        sku: line.sku,
        title: line.title,
        quantity: line.quantity,
        discount_minor: line.discount_minor,
        net_minor: line.net_minor,
        category: line.tax_category,
        rate: line.tax_rate,
        tax_minor: line.tax_minor,
    };
    let charges = vec![said(lines.pop().unwrap())];
    Bill {
        currency,
        rounding_minor,
        charges,
        items: lines.into_iter().map(said).collect(),
        ..samples::bill(1)
    }
}

#[test]
fn p2_random_invoices_keep_the_rules_of_the_standard() {
    let rounds = if std::env::var_os("OMS_LONG").is_some() {
        2_000
    } else {
        100
    };
    let mut dice = Dice::new(16_931);
    let mut bills: Vec<_> = (0..rounds).map(|_| random_bill(&mut dice)).collect();
    bills.push(samples::bill(40));
    let mut note = samples::bill(2);
    note.kind = Kind::CreditNote;
    note.corrects = Some(("R-1".to_owned(), note.issued_on));
    note.reason = Some("broken".to_owned());
    bills.push(note);
    for bill in &bills {
        // BR-CO-10, BR-CO-13, BR-CO-14, BR-CO-15 and BR-CO-16 of what the document is written from.
        let groups = bill.taxes();
        let taxable: i64 = groups.iter().map(|group| group.taxable_minor).sum();
        let tax: i64 = groups.iter().map(|group| group.tax_minor).sum();
        assert_eq!(taxable, bill.items_minor() + bill.charges_minor());
        assert_eq!(tax, bill.tax_minor());
        assert_eq!(bill.total_minor(), taxable + tax + bill.rounding_minor);
    }
    let written: Vec<_> = bills
        .iter()
        .map(|bill| documents::bill_ubl(bill).unwrap().bytes)
        .collect();
    keep_the_rules(&written);
}

async fn p3_the_ledger_follows_invoices_and_money_and_is_in_balance(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web", "b2b"]).await;
    let cup = app.stocked("CUP", 20, false).await;
    let (order, _) = sold(app, &cup, 3, json!({})).await;
    let row = invoices(app, order).await.remove(0);
    let total = row.total_minor;
    let came = balances(app).await;
    assert_eq!(cents(&came["CASH_IN_TRANSIT"]), total);
    assert_eq!(cents(&came["RECEIVABLE"]), 0);
    assert_eq!(cents(&came["TAX"]), -row.tax_minor);
    let sold_for = cents(&came["REVENUE"]) + cents(&came["DELIVERY_REVENUE"]);
    assert_eq!(sold_for, -row.net_minor);
    let accounts =
        |balances: &Value| -> i64 { balances.as_object().unwrap().values().map(cents).sum() };
    assert_eq!(accounts(&came), 0);

    correct(
        app,
        row.id,
        json!({ "lines": [{ "position": 1, "quantity": 1 }] }),
        "one",
    )
    .await;
    let owed = balances(app).await;
    assert_eq!(
        cents(&owed["RECEIVABLE"]),
        -1_000,
        "ten are owed to the customer"
    );
    let account = json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "payment": { "method": "ACCOUNT" } });
    let (on_account, _) = sold(app, &cup, 2, account).await;
    let later = invoices(app, on_account).await.remove(0);
    let owes = balances(app).await;
    assert_eq!(
        cents(&owes["RECEIVABLE"]),
        later.total_minor - 1_000,
        "it is paid later"
    );
    assert_eq!(owes["CASH_IN_TRANSIT"], came["CASH_IN_TRANSIT"]);
    assert_eq!(accounts(&owes), 0);

    let query = "query L($where: LedgerEntryWhere) { ledgerEntries(where: $where) {
        nodes { document documentId debit credit amount { amount } order { id } } } }";
    let wanted = json!({ "orderId": to_global(order).as_str(), "document": "CAPTURE" });
    let entries = app.gql(query, json!({ "where": wanted })).await;
    let entries = entries["ledgerEntries"]["nodes"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0]["debit"], &entries[0]["credit"]),
        (&json!("CASH_IN_TRANSIT"), &json!("RECEIVABLE"))
    );
    assert_eq!(cents(&entries[0]["amount"]["amount"]), total);
    // A moment before anything happened, nothing had.
    let query = "query T($at: DateTime) { trialBalance(currency: \"EUR\", at: $at) {
        debit { amount } credit { amount } } }";
    let before = app
        .gql(query, json!({ "at": "2020-01-01T00:00:00Z" }))
        .await;
    let before = before["trialBalance"].as_array().unwrap().clone();
    assert!(
        before.iter().all(|row| row["debit"]["amount"] == "0.00"),
        "{before:#?}"
    );
}
