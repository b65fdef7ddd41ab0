//! What gateways say that they have paid out, held against what we know: each line is booked once,
//! what differs is said, and neither depends on the order or the files in which lines come.

use std::collections::BTreeSet;

use api::app::SettlementFile;
use api::ledger;
use api::settlement::lines::{self, Mapping};
use api::settlement::{self, Begin, Tally};
use api::tx::{Actor, Tx};
use entity::ledger_entry::{Account, Document};
use entity::payment_transaction::{Kind as EffectKind, State as EffectState};
use entity::settlement_difference::State;
use entity::shipment::TrackingStatus;
use entity::{
    Currency, OrderId, ledger_entry, payment_transaction, settlement_difference, settlement_line,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use support::dice::Dice;
use support::merchant::codes;
use support::{TestApp, both_backends};

use crate::captures::{card, hear, leave, open, packed, placed, scanned};

both_backends!(
    j4_ten_differences_in_a_file_are_exactly_those_that_are_said,
    j4_any_order_and_split_of_the_lines_gives_the_same_books_and_differences,
    j4_a_file_that_was_cut_off_is_finished_and_bad_lines_lose_nothing_else,
    j4_what_stripe_gives_needs_no_mapping,
    j4_what_was_put_away_is_settled_and_what_a_bank_takes_back_of_it_opens_it_again,
);

const HEADER: &str = "id,about,what,gross,fee,currency,on,payout";

fn mapping() -> Value {
    json!({ "line": ["id"], "reference": ["about"], "kind": ["what"], "gross": ["gross"],
        "fee": ["fee"], "currency": ["currency"], "date": ["on"], "payout": ["payout"],
        "kinds": [{ "word": "charge", "kind": "CHARGE" }, { "word": "refund", "kind": "REFUND" },
            { "word": "chargeback", "kind": "CHARGEBACK" }, { "word": "payout", "kind": "PAYOUT" },
            { "word": "fee", "kind": "FEE" }] })
}

fn by() -> Actor {
    Actor {
        name: "person:books".to_owned(),
        correlation_id: "test".to_owned(),
        origin: None,
    }
}

/// An order of one cup that was captured, and the gateway's name for that, and how much it was.
async fn captured(app: &TestApp, cup: &support::merchant::Stocked) -> (OrderId, String, i64) {
    let id = placed(app, cup, 1, card("tok")).await;
    let shipment = packed(app, cup, id, 1).await[0];
    leave(app, shipment).await;
    scanned(app, shipment).await;
    let row = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::OrderId.eq(id))
        .filter(payment_transaction::Column::Kind.eq(EffectKind::Capture))
        .filter(payment_transaction::Column::State.eq(EffectState::Succeeded))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    (id, row.gateway_reference.unwrap(), row.amount_minor)
}

fn decimal(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", minor.abs() / 100, minor.abs() % 100)
}

/// What is agreed: 1.4 % and 0.25.
fn agreed(gross: i64) -> i64 {
    (gross * 14 + 500) / 1000 + 25
}

/// A file with ten differences, and the orders that it is about.
struct Seeded {
    orders: Vec<OrderId>,
    amount: i64,
    /// What the lines come to.
    total: i64,
    lines: Vec<String>,
}

async fn seeded(app: &TestApp) -> Seeded {
    app.open_shop().await;
    let cup = app.stocked("CUP", 20, false).await;
    let save = "mutation S($input: GatewayTermsSaveInput!) { gatewayTermsSave(input: $input) {
        gatewayTerms { version feeRate missingAfterDays } userErrors { code } } }";
    let terms = json!({ "gateway": "sandbox", "feeRate": "0.014",
        "feeFixed": { "amount": "0.25", "currency": "EUR" }, "missingAfterDays": 7 });
    let saved = app.gql(save, json!({ "input": terms })).await;
    assert_eq!(saved["gatewayTermsSave"]["gatewayTerms"]["version"], 1);
    let (mut orders, mut names, mut amount) = (Vec::new(), Vec::new(), 0);
    for _ in 0..8 {
        let (order, name, minor) = captured(app, &cup).await;
        orders.push(order);
        names.push(name);
        amount = minor;
    }
    let fee = agreed(amount);
    let mut lines = Vec::new();
    let mut total = 0;
    let mut line = |id: &str, about: &str, what: &str, gross: i64, fee: i64, currency: &str, on| {
        if currency == "EUR" {
            total += gross - fee;
        }
        let (gross, fee) = (decimal(gross), decimal(fee));
        lines.push(format!(
            "{id},{about},{what},{gross},{fee},{currency},{on},po_1"
        ));
    };
    let day = "2026-12-02";
    line("l0", &names[0], "charge", amount, fee, "EUR", day);
    line(
        "l1",
        &names[1],
        "charge",
        amount - 100,
        agreed(amount - 100),
        "EUR",
        day,
    );
    line("l2", &names[2], "charge", amount, fee + 10, "EUR", day);
    line("l3", &names[3], "charge", amount, fee, "EUR", day);
    line("l3-again", &names[3], "charge", amount, fee, "EUR", day);
    line("l4", &names[4], "charge", amount + 7, 0, "USD", day);
    // Nothing for the sixth.
    line("l6", &names[6], "charge", amount, fee, "EUR", day);
    line(
        "l6-back",
        &names[6],
        "chargeback",
        -amount,
        0,
        "EUR",
        "2026-12-09",
    );
    line("l7", &names[7], "charge", amount, fee - 1, "EUR", day);
    line("l8", "nobody", "charge", 500, 0, "EUR", "2026-12-20");
    line("l9", "re_nobody", "refund", -300, 0, "EUR", day);
    line("l10", "", "fee", -40, 0, "EUR", day);
    lines.push(format!(
        "p1,,payout,{},0,EUR,2026-12-20,po_1",
        decimal(-total - 1)
    ));
    Seeded {
        orders,
        amount,
        total,
        lines,
    }
}

impl Seeded {
    /// What differs: what, the order, what should be there and what is.
    fn differences(&self) -> BTreeSet<(String, Option<OrderId>, i64, i64)> {
        let (amount, fee) = (self.amount, agreed(self.amount));
        let own = |place: usize| Some(self.orders[place]);
        [
            ("WrongAmount", own(1), amount, amount - 100),
            ("Fee", own(2), fee, fee + 10),
            ("Duplicate", own(3), amount, 2 * amount),
            ("OtherCurrency", own(4), amount, amount + 7),
            ("Missing", own(5), amount, 0),
            ("Chargeback", own(6), 0, -amount),
            ("Fee", own(7), fee, fee - 1),
            ("Unknown", None, 0, 500),
            ("Refund", None, 0, -300),
            ("Payout", None, self.total, self.total + 1),
        ]
        .map(|(kind, order, expected, found)| (kind.to_owned(), order, expected, found))
        .into()
    }
}

fn file(lines: &[String]) -> String {
    format!("{HEADER}\n{}\n", lines.join("\n"))
}

async fn import(app: &TestApp, format: &str, mapping: Option<Value>, content: &str) -> Value {
    let mutation = "mutation I($input: SettlementImportInput!) { settlementImport(input: $input) {
        settlement { id status processed accepted replayed refused
            errors { rowNumber reference code field } lines { reference net { amount } } }
        replayed userErrors { code field message } } }";
    let input = json!({ "gateway": "sandbox", "format": format, "mapping": mapping,
        "source": "november.csv", "content": content });
    app.gql(mutation, json!({ "input": input })).await["settlementImport"].take()
}

/// What differs and is open, in words that do not depend on when it was found.
async fn differences(db: &impl ConnectionTrait) -> BTreeSet<(String, Option<OrderId>, i64, i64)> {
    let rows = settlement_difference::Entity::find()
        .filter(settlement_difference::Column::State.eq(State::Open));
    let rows = rows.all(db).await.unwrap();
    let all: BTreeSet<_> = rows
        .iter()
        .map(|row| {
            let kind = format!("{:?}", row.kind);
            (kind, row.order_id, row.expected_minor, row.found_minor)
        })
        .collect();
    assert_eq!(all.len(), rows.len(), "nothing is said twice");
    all
}

/// What was booked of settlements.
async fn books(db: &impl ConnectionTrait) -> Vec<(Option<OrderId>, String, String, String, i64)> {
    let rows = ledger_entry::Entity::find()
        .filter(ledger_entry::Column::Document.eq(Document::Settlement));
    let rows = rows.all(db).await.unwrap().into_iter();
    let mut all: Vec<_> = rows
        .map(|row| {
            let (debit, credit) = (format!("{:?}", row.debit), format!("{:?}", row.credit));
            let currency = row.currency.code().to_owned();
            (row.order_id, debit, credit, currency, row.amount_minor)
        })
        .collect();
    all.sort();
    all
}

async fn balance(app: &TestApp, account: Account, currency: Currency) -> i64 {
    let now = app.app.clock.now();
    let all = ledger::trial_balance(&app.app.db.read, currency, now, None).await;
    let all = all.unwrap();
    let sum: i64 = all
        .iter()
        .map(|one| one.debit_minor - one.credit_minor)
        .sum();
    assert_eq!(sum, 0, "the trial balance of {currency}");
    let own = all.iter().find(|one| one.account == account).unwrap();
    own.debit_minor - own.credit_minor
}

async fn j4_ten_differences_in_a_file_are_exactly_those_that_are_said(app: &TestApp) {
    let seeded = seeded(app).await;
    let transit = balance(app, Account::CashInTransit, Currency::EUR).await;
    assert_eq!(transit, 8 * seeded.amount);
    let content = file(&seeded.lines);
    let done = import(app, "plain", Some(mapping()), &content).await;
    assert_eq!(codes(&done), [""; 0], "{done:#}");
    let settlement = &done["settlement"];
    assert_eq!(settlement["status"], "COMPLETED");
    assert_eq!(settlement["processed"], seeded.lines.len());
    assert_eq!(
        (
            settlement["accepted"].clone(),
            settlement["refused"].clone()
        ),
        (json!(seeded.lines.len()), json!(0))
    );
    let db = &app.app.db.read;
    let found = differences(db).await;
    assert_eq!(found, seeded.differences());
    // What the file says came, came; what stays in transit is what differs.
    assert_eq!(
        balance(app, Account::Bank, Currency::EUR).await,
        seeded.total
    );
    assert_eq!(
        balance(app, Account::Bank, Currency::USD).await,
        seeded.amount + 7
    );
    // An order hears of what is about it, once.
    for (place, order) in seeded.orders.iter().enumerate() {
        let said = open(app, *order).await;
        match place {
            0 => assert_eq!(said, [""; 0]),
            _ => assert_eq!(said, ["SETTLEMENT_DIFFERENCE"], "order {place}"),
        }
    }

    // The same file, and the same lines in another file, change nothing.
    let (before, lines) = (books(db).await, settlement_line::Entity::find());
    let again = import(app, "plain", None, &content).await;
    assert_eq!(again["replayed"], true);
    assert_eq!(again["settlement"]["id"], settlement["id"]);
    let other = import(app, "plain", None, &format!("{content}\n")).await;
    assert_eq!(other["settlement"]["replayed"], seeded.lines.len());
    assert_eq!(lines.count(db).await.unwrap(), seeded.lines.len() as u64);
    assert_eq!(books(db).await, before);
    assert_eq!(differences(db).await, found);

    // The line that was missing comes: nobody has to say so.
    let row = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::OrderId.eq(seeded.orders[5]))
        .filter(payment_transaction::Column::Kind.eq(EffectKind::Capture));
    let name = row
        .one(db)
        .await
        .unwrap()
        .unwrap()
        .gateway_reference
        .unwrap();
    let (gross, fee) = (decimal(seeded.amount), decimal(agreed(seeded.amount)));
    let late = [format!(
        "l5,{name},charge,{gross},{fee},EUR,2026-12-21,po_2"
    )];
    import(app, "plain", None, &file(&late)).await;
    assert_eq!(differences(db).await.len(), 9);
    assert_eq!(open(app, seeded.orders[5]).await, [""; 0]);

    // A person settles the others; what is written off leaves nothing in transit.
    let list = "query D($where: SettlementDifferenceWhere) { settlementDifferences(where: $where) {
        nodes { id kind order { number } expected { amount currency } found { amount currency }
            line { reference } settlement { source } } } }";
    let all = app.gql(list, json!({ "where": { "state": "OPEN" } })).await;
    let resolve = "mutation R($input: SettlementDifferenceResolveInput!) {
        settlementDifferenceResolve(input: $input) {
            difference { state note writtenOffTo resolvedBy } userErrors { code } replayed } }";
    for one in all["settlementDifferences"]["nodes"].as_array().unwrap() {
        let to = (one["kind"] != "FEE").then_some("WRITTEN_OFF");
        let input = json!({ "id": one["id"], "note": "looked at", "writeOffTo": to,
            "idempotencyKey": one["id"] });
        let asked = json!({ "input": input });
        let done = app.gql(resolve, asked.clone()).await["settlementDifferenceResolve"].take();
        assert_eq!(codes(&done), [""; 0]);
        assert_eq!(done["difference"]["state"], "RESOLVED");
        let again = app.gql(resolve, asked).await["settlementDifferenceResolve"].take();
        assert_eq!(again["replayed"], true);
        let other = json!({ "id": one["id"], "note": "again",
            "idempotencyKey": format!("{}-again", one["id"].as_str().unwrap()) });
        let other = app.gql(resolve, json!({ "input": other })).await;
        assert_eq!(
            codes(&other["settlementDifferenceResolve"]),
            ["DIFFERENCE_NOT_OPEN"]
        );
    }
    assert_eq!(differences(db).await.len(), 0);
    for currency in [Currency::EUR, Currency::USD] {
        assert_eq!(
            balance(app, Account::CashInTransit, currency).await,
            0,
            "{currency}"
        );
    }
    for order in &seeded.orders {
        assert_eq!(open(app, *order).await, [""; 0]);
    }
}

async fn j4_any_order_and_split_of_the_lines_gives_the_same_books_and_differences(app: &TestApp) {
    let seeded = seeded(app).await;
    let seed = 0x5e771e;
    let mut dice = Dice::new(seed);
    let (by, mut first) = (&by(), None);
    for round in 0..12 {
        let mut lines = seeded.lines.clone();
        if round > 0 {
            for place in (1..lines.len()).rev() {
                lines.swap(place, dice.roll(place + 1));
            }
        }
        let mut files: Vec<Vec<String>> = vec![Vec::new()];
        for line in lines {
            if round > 0 && dice.roll(4) == 0 {
                files.push(Vec::new());
            }
            files.last_mut().unwrap().push(line);
        }
        let files = &files;
        let seen = app
            .app
            .rehearse(by, move |tx| async move {
                for (place, lines) in files.iter().enumerate() {
                    take(&tx, place, lines, dice_at(round, place)).await;
                }
                Ok((differences(tx.db()).await, books(tx.db()).await))
            })
            .await
            .unwrap();
        assert_eq!(
            seen.0,
            seeded.differences(),
            "round {round} of {seed:#x}: {files:#?}"
        );
        let first = first.get_or_insert_with(|| seen.1.clone());
        assert_eq!(&seen.1, first, "round {round} of {seed:#x}");
    }
}

/// In how many lines at once a file is taken.
fn dice_at(round: usize, place: usize) -> usize {
    1 + Dice::new((round * 31 + place) as u64 + 7).roll(5)
}

fn read() -> Mapping {
    let columns = |name: &str| vec![name.to_owned()];
    use entity::settlement_line::Kind;
    Mapping {
        line: columns("id"),
        reference: columns("about"),
        kind: columns("what"),
        gross: columns("gross"),
        fee: columns("fee"),
        currency: columns("currency"),
        date: columns("on"),
        payout: columns("payout"),
        kinds: [
            ("charge", Kind::Charge),
            ("refund", Kind::Refund),
            ("chargeback", Kind::Chargeback),
            ("payout", Kind::Payout),
            ("fee", Kind::Fee),
        ]
        .map(|(word, kind)| (word.to_owned(), kind))
        .into(),
        ..Mapping::default()
    }
}

/// Takes a file as the app does, in one transaction.
async fn take(tx: &Tx, place: usize, lines: &[String], at_once: usize) {
    let content = file(lines);
    let rows = lines::read(content.as_bytes(), &read(), false).unwrap();
    let cmd = Begin {
        gateway: "sandbox".to_owned(),
        format: "plain".to_owned(),
        source: format!("{place}.csv"),
        content_hash: format!("{place} {content}").chars().take(200).collect(),
    };
    let run = settlement::begin(tx, &cmd).await.unwrap();
    let mut tally = Tally::default();
    for part in rows.chunks(at_once) {
        tally = settlement::take(tx, &run, part, tally).await.unwrap();
        tx.flush().await.unwrap();
    }
    let payouts = BTreeSet::from(["po_1".to_owned()]);
    settlement::judge_payouts(tx, &run, &payouts).await.unwrap();
    tx.flush().await.unwrap();
    settlement::match_again(tx, &run).await.unwrap();
    tx.flush().await.unwrap();
    settlement::find_missing(tx, &run).await.unwrap();
    tx.flush().await.unwrap();
}

async fn j4_a_file_that_was_cut_off_is_finished_and_bad_lines_lose_nothing_else(app: &TestApp) {
    let seeded = seeded(app).await;
    let mut lines = seeded.lines.clone();
    lines.insert(3, "bad,x,charge,\"1,23\",0,EUR,2026-12-02,po_1".to_owned());
    lines.insert(7, "bad,x,charge,1.00,0,EUR,some day,po_1".to_owned());
    lines.push(seeded.lines[0].replace(",charge,", ",refund,-"));
    let content = file(&lines);
    let settled = SettlementFile {
        gateway: "sandbox".to_owned(),
        format: "plain".to_owned(),
        mapping: Some(read()),
        source: "november.csv".to_owned(),
        content: content.clone().into_bytes(),
    };
    // The process ends in the middle of it.
    let rows = lines::read(content.as_bytes(), &read(), false).unwrap();
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(content.as_bytes());
    let cmd = &Begin {
        gateway: "sandbox".to_owned(),
        format: "plain".to_owned(),
        source: "november.csv".to_owned(),
        content_hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let (by, half) = (&by(), &rows[..6]);
    let begun = app
        .app
        .write(by, move |tx| async move {
            let run = settlement::begin(&tx, cmd).await?;
            settlement::take(&tx, &run, half, Tally::default()).await?;
            Ok(run)
        })
        .await
        .unwrap();
    let done = app
        .app
        .import_settlement(by, &settled, |_| {})
        .await
        .unwrap();
    assert_eq!((done.run.id, done.replayed), (begun.id, false));
    let tally = (
        done.run.processed,
        done.run.accepted,
        done.run.replayed,
        done.run.refused,
    );
    assert_eq!(tally, (16, 8, 5, 3));
    assert_eq!(differences(&app.app.db.read).await, seeded.differences());
    let query = "query S($id: ID!) { settlement(id: $id) {
        status errors { rowNumber reference code field } } }";
    let id = api::graphql::ids::to_global(done.run.id);
    let seen = app.gql(query, json!({ "id": id.as_str() })).await["settlement"].take();
    let errors = json!([
        { "rowNumber": 5, "reference": "bad", "code": "AMOUNT_INVALID", "field": "gross" },
        { "rowNumber": 9, "reference": "bad", "code": "INVALID_INPUT", "field": "date" },
        { "rowNumber": 17, "reference": "l0", "code": "SETTLEMENT_LINE_CHANGED", "field": "line" },
    ]);
    assert_eq!(seen["errors"], errors);
    let again = app
        .app
        .import_settlement(by, &settled, |_| {})
        .await
        .unwrap();
    assert!(again.replayed);
    // No file without its columns, no format that nobody has said.
    let refused = import(app, "plain", None, "a,b\n1,2\n").await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
    let refused = import(app, "other", None, &content).await;
    assert_eq!(codes(&refused), ["NOT_FOUND"]);
}

async fn j4_what_stripe_gives_needs_no_mapping(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 20, false).await;
    let (order, name, amount) = captured(app, &cup).await;
    let at = app.app.clock.now().timestamp();
    let content = json!({ "object": "list", "data": [
        { "id": "txn_1", "object": "balance_transaction", "amount": amount, "fee": 30,
          "net": amount - 30, "currency": "eur", "created": at, "reporting_category": "charge",
          "source": { "id": "ch_1", "payment_intent": name } },
        { "id": "txn_2", "object": "balance_transaction", "amount": 30 - amount, "fee": 0,
          "net": 30 - amount, "currency": "eur", "created": at, "reporting_category": "payout",
          "source": "po_1" },
    ] });
    let done = import(app, "stripe", None, &content.to_string()).await;
    assert_eq!(codes(&done), [""; 0], "{done:#}");
    assert_eq!(done["settlement"]["accepted"], 2);
    assert_eq!(differences(&app.app.db.read).await.len(), 0);
    assert_eq!(
        balance(app, Account::Bank, Currency::EUR).await,
        amount - 30
    );
    assert_eq!(balance(app, Account::Fees, Currency::EUR).await, 30);
    assert_eq!(balance(app, Account::CashInTransit, Currency::EUR).await, 0);
    assert_eq!(open(app, order).await, [""; 0]);
}

async fn j4_what_was_put_away_is_settled_and_what_a_bank_takes_back_of_it_opens_it_again(
    app: &TestApp,
) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let (good, good_name, amount) = captured(app, &cup).await;
    let (wrong, wrong_name, _) = captured(app, &cup).await;
    let (disputed, disputed_name, _) = captured(app, &cup).await;
    app.settle().await;
    for id in [good, wrong, disputed] {
        let sent = entity::shipment::Entity::find()
            .filter(entity::shipment::Column::OrderId.eq(id))
            .one(&app.app.db.read)
            .await
            .unwrap()
            .unwrap();
        hear(app, sent.id, TrackingStatus::Delivered, false).await;
        app.settle().await;
        crate::archive::put_away(app, id).await;
    }
    let gross = decimal(amount);
    let more = decimal(amount + 7);
    let lines = [
        format!("l1,{good_name},charge,{gross},0,EUR,2026-12-20,po_1"),
        format!("l2,{wrong_name},charge,{more},0,EUR,2026-12-20,po_1"),
        format!("l3,{disputed_name},charge,{gross},0,EUR,2026-12-20,po_1"),
    ];
    let done = import(app, "plain", Some(mapping()), &file(&lines)).await;
    assert_eq!(codes(&done), [""; 0], "{done:#}");
    let db = &app.app.db.read;
    let found = differences(db).await;
    let kinds: Vec<_> = found.iter().map(|one| (one.0.as_str(), one.1)).collect();
    assert_eq!(kinds, [("WrongAmount", Some(wrong))], "{found:?}");
    let known = settlement_line::Entity::find().all(db).await.unwrap();
    let of: BTreeSet<_> = known.iter().filter_map(|line| line.order_id).collect();
    assert_eq!(of, BTreeSet::from([good, wrong, disputed]));
    let hot = entity::order::Entity::find().count(db).await.unwrap();
    assert_eq!(hot, 0, "a file opens nothing");
    assert_eq!(
        balance(app, Account::CashInTransit, Currency::EUR).await,
        -7
    );

    let said = &api::payments::gateway::Dispute {
        reference: "dispute_1".to_owned(),
        of: disputed_name,
        amount: entity::Money::new(amount, Currency::EUR),
        reason: "fraudulent".to_owned(),
        state: entity::dispute::State::Open,
    };
    let record = async || {
        app.app
            .write(&by(), move |tx| async move {
                api::orders::disputes::record(&tx, "sandbox", said).await
            })
            .await
            .unwrap()
    };
    assert!(record().await);
    assert!(!record().await, "told twice, heard once");
    app.settle().await;
    assert_eq!(open(app, disputed).await, ["CHARGEBACK"]);
    assert_eq!(entity::order::Entity::find().count(db).await.unwrap(), 1);
    crate::fulfillment::assert_clean(app).await;
}
