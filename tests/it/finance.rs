//! What was sold, what is owed and what is in stock, in money: each figure equal to a sum that is
//! made here, row by row.

use std::collections::BTreeMap;

use api::clock::Clock;
use api::graphql::ids::to_global;
use api::invoicing::credit::{self, Correct, Part};
use api::tx::Actor;
use chrono::{DateTime, Duration, NaiveDate, Utc};
use entity::api_key::Role;
use entity::invoice::Kind;
use entity::ledger_entry::Account;
use entity::{
    Currency, InvoiceId, TimeZone, archived_order, customer, customer_payment, invoice,
    invoice_line, invoice_standing, ledger_entry, order, payment_allocation, stock, stock_movement,
};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, Set};
use serde_json::{Value, json};
use support::merchant::{Stocked, basket_with, codes};
use support::{TestApp, both_backends};

use super::captures::hear;
use super::fulfillment::assert_clean;
use super::invoices::{sell_in, sold};

both_backends!(
    p4b_sales_are_what_documents_say_and_days_add_up_to_the_month,
    p4b_sales_of_orders_that_were_put_away_count,
    p4b_who_may_see_sales_sees_those_of_its_channels,
    j4_what_is_owed_is_told_by_age_and_is_what_the_ledger_has,
    j4_a_payment_is_recorded_once_and_pays_the_oldest_first,
    j4_of_payments_at_once_none_pays_more_than_is_owed,
    j4_what_is_taken_back_after_it_was_paid_is_owed_to_the_customer,
    j4_stock_is_worth_what_its_units_cost_and_is_turned_over_by_what_leaves,
    j4_what_units_cost_is_checked_and_is_not_for_partners,
);

const SALES: &str = "query Sales($input: SalesReportInput!) { salesReport(input: $input) {
    report { lines { start end currency channel { code }
        invoiced { count net { amount } delivery { amount } discounts { amount } tax { amount }
            rounding { amount } gross { amount }
            taxes { category rate net { amount } tax { amount } } }
        credited { count net { amount } delivery { amount } discounts { amount } tax { amount }
            rounding { amount } gross { amount }
            taxes { category rate net { amount } tax { amount } } }
        captured { amount } refunded { amount } ordersPlaced orderValue { amount }
        averageOrderValue { amount } ordersCancelled cancelledValue { amount } } }
    userErrors { code field } } }";

const OWED: &str = "query Owed($input: ReceivablesInput!) { receivables(input: $input) {
    report { at lineCount totals { ...Ages } lines { customer { code } owed { ...Ages } } }
    userErrors { code field } } }
    fragment Ages on Receivable { invoices notDue { amount currency } days1To30 { amount }
        days31To60 { amount } days61To90 { amount } over90Days { amount } credit { amount }
        total { amount } }";

const RECORD: &str = "mutation Record($input: PaymentRecordInput!) { paymentRecord(input: $input) {
    payment { customer { code } amount { amount currency } reference receivedAt recordedBy
        allocations { amount { amount } invoice { number paid { amount } } } }
    replayed userErrors { code field details } } }";

/// Minor units: an amount has exactly the decimals of its currency.
#[track_caller]
fn minor(money: &Value) -> i64 {
    let amount = money["amount"].as_str().expect("an amount");
    amount.replace('.', "").parse().expect("an amount")
}

fn vienna() -> TimeZone {
    "Europe/Vienna".parse().unwrap()
}

async fn sales(app: &TestApp, key: &str, input: Value) -> Vec<Value> {
    let mut answer = app.gql_as(key, SALES, json!({ "input": input })).await;
    let answer = answer["salesReport"].take();
    assert_eq!(answer["userErrors"], json!([]), "{answer:#}");
    answer["report"]["lines"].as_array().unwrap().clone()
}

/// What a line of a report says, flattened to names and minor units.
fn figures(line: &Value) -> BTreeMap<String, i64> {
    let mut of = BTreeMap::new();
    for kind in ["invoiced", "credited"] {
        let sums = &line[kind];
        of.insert(format!("{kind} count"), sums["count"].as_i64().unwrap());
        for name in ["net", "delivery", "discounts", "tax", "rounding", "gross"] {
            of.insert(format!("{kind} {name}"), minor(&sums[name]));
        }
        for taxed in sums["taxes"].as_array().unwrap() {
            let (category, rate) = (&taxed["category"], &taxed["rate"]);
            let name = format!("{kind} at {category} {rate}");
            of.insert(format!("{name} net"), minor(&taxed["net"]));
            of.insert(format!("{name} tax"), minor(&taxed["tax"]));
        }
    }
    for name in ["captured", "refunded", "orderValue", "cancelledValue"] {
        of.insert(name.to_owned(), minor(&line[name]));
    }
    for name in ["ordersPlaced", "ordersCancelled"] {
        of.insert(name.to_owned(), line[name].as_i64().unwrap());
    }
    of.retain(|_, sum| *sum != 0);
    of
}

type Sums = BTreeMap<(String, String), BTreeMap<String, i64>>;

/// Adds to a sum of a day and a currency.
fn add(sums: &mut Sums, day: &str, currency: Currency, name: &str, minor: i64) {
    let key = (day.to_owned(), currency.code().to_owned());
    let own = sums.entry(key).or_default();
    *own.entry(name.to_owned()).or_default() += minor;
}

/// What the report should say, from the rows one by one; by days of Vienna, or by months.
async fn expected(app: &TestApp, form: &str) -> Sums {
    let db = &app.app.db.read;
    let named = |at: DateTime<Utc>| vienna().local(at).format(form).to_string();
    let mut sums = Sums::new();
    for row in invoice::Entity::find().all(db).await.unwrap() {
        let (kind, day) = match row.kind {
            Kind::Invoice => ("invoiced", named(row.issued_at)),
            Kind::CreditNote => ("credited", named(row.issued_at)),
        };
        let mut put = |name: &str, minor: i64| {
            let name = format!("{kind} {name}");
            add(&mut sums, &day, row.currency, &name, minor);
        };
        put("count", 1);
        put("net", row.net_minor);
        put("tax", row.tax_minor);
        put("rounding", row.rounding_minor);
        put("gross", row.total_minor);
        let lines = invoice_line::Entity::find()
            .filter(invoice_line::Column::InvoiceId.eq(row.id))
            .all(db);
        for line in lines.await.unwrap() {
            put("discounts", line.discount_minor);
            if line.kind == invoice_line::Kind::Delivery {
                put("delivery", line.net_minor);
            }
            let category = match line.tax_category {
                invoice_line::TaxCategory::Standard => "STANDARD",
                invoice_line::TaxCategory::Zero => "ZERO",
                other => panic!("{other:?}"),
            };
            let rate = line.tax_rate.0.normalize();
            let name = format!("at \"{category}\" \"{rate}\"");
            put(&format!("{name} net"), line.net_minor);
            put(&format!("{name} tax"), line.tax_minor);
        }
        // Cards are captured in the moment in which they are invoiced.
        if row.kind == Kind::Invoice && row.payment == invoice::Payment::Card {
            add(&mut sums, &day, row.currency, "captured", row.total_minor);
        }
    }
    for row in order::Entity::find().all(db).await.unwrap() {
        let day = named(row.received_at);
        add(&mut sums, &day, row.currency, "ordersPlaced", 1);
        add(&mut sums, &day, row.currency, "orderValue", row.total_minor);
        if row.status == order::Status::Cancelled {
            let day = named(row.closed_at.unwrap());
            add(&mut sums, &day, row.currency, "ordersCancelled", 1);
            add(
                &mut sums,
                &day,
                row.currency,
                "cancelledValue",
                row.total_minor,
            );
        }
    }
    for of in sums.values_mut() {
        of.retain(|_, sum| *sum != 0);
    }
    sums
}

fn said(lines: &[Value], form: &str) -> Sums {
    let named = |line: &Value| {
        let start: DateTime<Utc> = line["start"].as_str().unwrap().parse().unwrap();
        vienna().local(start).format(form).to_string()
    };
    let pair = |line: &Value| {
        let currency = line["currency"].as_str().unwrap().to_owned();
        ((named(line), currency), figures(line))
    };
    lines.iter().map(pair).collect()
}

async fn take_back(app: &TestApp, id: InvoiceId, part: Part) {
    let cmd = &Correct {
        id,
        reason: "it came back".to_owned(),
        part,
    };
    app.app
        .write(&Actor::worker("test"), move |tx| async move {
            credit::correct(&tx, cmd).await
        })
        .await
        .unwrap();
}

async fn newest(app: &TestApp) -> invoice::Model {
    let rows = invoice::Entity::find()
        .filter(invoice::Column::Kind.eq(Kind::Invoice))
        .order_by_desc(invoice::Column::IssuedAt)
        .order_by_desc(invoice::Column::Id);
    rows.one(&app.app.db.read).await.unwrap().unwrap()
}

fn at(app: &TestApp, moment: &str) {
    app.clock.set(moment.parse().unwrap());
}

async fn p4b_sales_are_what_documents_say_and_days_add_up_to_the_month(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 90, false).await;
    for (code, price, currency) in [("us", 1_999, Currency::USD), ("jp", 1_500, Currency::JPY)] {
        let change = |channel: &mut entity::channel::ActiveModel| channel.currency = Set(currency);
        app.other_channel(code, &cup, price, change).await;
    }
    sell_in(app, &["web", "us", "jp"]).await;
    app.pay_carriers_in(&[Currency::USD, Currency::JPY]).await;
    let abroad = |code: &str, charge: &str| json!({ "channel": code, "shippingCharge": charge });
    // Clocks went forward in Vienna on 2027-03-28 at one in the morning, UTC. The first of these is
    // on the day before, the last on the day after.
    for moment in [
        "2027-03-27T22:30:00Z",
        "2027-03-27T23:30:00Z",
        "2027-03-28T21:30:00Z",
        "2027-03-28T22:30:00Z",
    ] {
        at(app, moment);
        sold(app, &cup, 3, json!({ "promotionCodes": ["WELCOME10"] })).await;
        sold(app, &cup, 1, json!({})).await;
        sold(app, &cup, 2, abroad("us", "4.95")).await;
        sold(app, &cup, 2, abroad("jp", "490")).await;
        take_back(app, newest(app).await.id, Part::Lines(vec![(1, 1)])).await;
    }
    let web = newest_of(app, "web").await;
    take_back(app, web.id, Part::Amount(333)).await;
    let lines = json!([{ "sku": cup.sku, "quantity": 5 }]);
    let taken = app.place(basket_with(json!({ "lines": lines }))).await;
    let end = "mutation End($input: OrderEndInput!) { orderCancel(input: $input) {
        userErrors { code } } }";
    let input = json!({ "id": taken["id"], "reason": "changed my mind" });
    let ended = app.gql(end, json!({ "input": input })).await;
    assert_eq!(ended["orderCancel"]["userErrors"], json!([]), "{ended:#}");
    app.settle().await;

    let march = |interval: &str| {
        json!({ "from": "2027-03-01", "to": "2027-03-31", "timeZone": "Europe/Vienna",
            "interval": interval })
    };
    let days = sales(app, &app.admin_key, march("DAY")).await;
    let by_day = said(&days, "%Y-%m-%d");
    assert_eq!(by_day, expected(app, "%Y-%m-%d").await);
    let seen: Vec<_> = by_day.keys().map(|(day, _)| day.as_str()).collect();
    assert_eq!(seen.len(), 9, "three days in three currencies: {seen:?}");
    let length = |line: &&Value| {
        let read = |name: &str| {
            line[name]
                .as_str()
                .unwrap()
                .parse::<DateTime<Utc>>()
                .unwrap()
        };
        (read("end") - read("start")).num_hours()
    };
    assert_eq!(days.iter().filter(|line| length(line) == 23).count(), 3);
    let euros = &by_day[&("2027-03-29".to_owned(), "EUR".to_owned())];
    assert_eq!(euros["ordersCancelled"], 1);
    assert!(euros["invoiced discounts"] > 0, "{euros:#?}");

    let month = said(&sales(app, &app.admin_key, march("MONTH")).await, "%Y-%m");
    assert_eq!(month, expected(app, "%Y-%m").await);
    let mut added = Sums::new();
    for ((_, currency), of) in &by_day {
        for (name, minor) in of {
            let currency = currency.parse().unwrap();
            add(&mut added, "2027-03", currency, name, *minor);
        }
    }
    assert_eq!(added, month);

    let mut by_channel = march("TOTAL");
    by_channel["byChannel"] = json!(true);
    let lines = sales(app, &app.admin_key, by_channel).await;
    assert_eq!(lines.len(), 3, "each channel has one currency");
    let mut averages = 0;
    for line in &lines {
        let of = figures(line);
        let total = &month[&(
            "2027-03".to_owned(),
            line["currency"].as_str().unwrap().to_owned(),
        )];
        assert_eq!(&of, total);
        let (value, orders) = (of["orderValue"], of["ordersPlaced"]);
        let average = minor(&line["averageOrderValue"]);
        assert!((average * orders - value).abs() * 2 <= orders);
        averages += 1;
    }
    assert_eq!(averages, 3);
}

async fn newest_of(app: &TestApp, channel: &str) -> invoice::Model {
    let rows = invoice::Entity::find()
        .filter(invoice::Column::Kind.eq(Kind::Invoice))
        .filter(invoice::Column::ChannelId.eq(app.channel(channel).await.id))
        .order_by_desc(invoice::Column::IssuedAt)
        .order_by_desc(invoice::Column::Id);
    rows.one(&app.app.db.read).await.unwrap().unwrap()
}

async fn p4b_sales_of_orders_that_were_put_away_count(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, shipment) = sold(app, &cup, 2, json!({})).await;
    hear(
        app,
        shipment,
        entity::shipment::TrackingStatus::Delivered,
        false,
    )
    .await;
    app.settle().await;
    let december = json!({ "from": "2026-12-01", "to": "2026-12-31", "interval": "TOTAL" });
    let before = sales(app, &app.admin_key, december.clone()).await;
    assert_eq!(before[0]["ordersPlaced"], 1);
    assert!(minor(&before[0]["captured"]) > 0);
    app.clock.advance(Duration::days(60));
    app.settle().await;
    let away = archived_order::Entity::find_by_id(id).one(&app.app.db.read);
    assert!(away.await.unwrap().is_some(), "it was not put away");
    assert_eq!(sales(app, &app.admin_key, december).await, before);
}

async fn p4b_who_may_see_sales_sees_those_of_its_channels(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web", "b2b"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    sold(app, &cup, 2, json!({})).await;
    owe(app, &cup, 1, "B-2001").await;
    let all = json!({ "from": "2026-12-01", "to": "2026-12-31", "interval": "TOTAL",
        "byChannel": true });
    assert_eq!(sales(app, &app.admin_key, all.clone()).await.len(), 2);
    let key = app.key_for(Role::Finance, &["web"], None).await.key;
    let own = sales(app, &key, all.clone()).await;
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["channel"]["code"], "web");
    let mut other = all.clone();
    let b2b = to_global(app.channel("b2b").await.id);
    other["channelIds"] = json!([b2b.as_str()]);
    let refused = app.gql_as(&key, SALES, json!({ "input": other })).await;
    assert_eq!(codes(&refused["salesReport"]), ["NOT_FOUND"]);
    let report = owed_as(app, &key, json!({})).await;
    assert_eq!(
        (&report["lineCount"], &report["totals"]),
        (&json!(0), &json!([]))
    );
    // What it does not see it cannot pay.
    let input = json!({ "customerId": customer_id(app, "B-2001").await, "reference": "X",
        "amount": { "amount": "1.00", "currency": "EUR" } });
    let refused = app.gql_as(&key, RECORD, json!({ "input": input })).await;
    assert_eq!(codes(&refused["paymentRecord"]), ["PAYMENT_EXCEEDS_OWED"]);
    let input = json!({ "invoiceId": to_global(newest_of(app, "b2b").await.id).as_str(),
        "reference": "X", "amount": { "amount": "1.00", "currency": "EUR" } });
    let refused = app.gql_as(&key, RECORD, json!({ "input": input })).await;
    assert_eq!(codes(&refused["paymentRecord"]), ["NOT_FOUND"]);

    let warehouse = app.key_for(Role::Warehouse, &[], None).await.key;
    let asked = json!({ "input": all });
    let refused = app.answer_as(Some(&warehouse), SALES, asked).await;
    assert_eq!(refused.code(), "FORBIDDEN");
    let refused = app
        .answer_as(Some(&warehouse), OWED, json!({ "input": {} }))
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
}

async fn customer_id(app: &TestApp, code: &str) -> Value {
    json!(to_global(customer_row(app, code).await.id).as_str())
}

async fn customer_row(app: &TestApp, code: &str) -> customer::Model {
    let row = customer::Entity::find().filter(customer::Column::Code.eq(code));
    row.one(&app.app.db.read).await.unwrap().unwrap()
}

/// Sells on account, and says what is owed for it.
pub(crate) async fn owe(app: &TestApp, cup: &Stocked, units: i64, code: &str) -> invoice::Model {
    let account = json!({ "channel": "b2b", "customer": { "code": code },
        "payment": { "method": "ACCOUNT" } });
    sold(app, cup, units, account).await;
    newest_of(app, "b2b").await
}

async fn owed_as(app: &TestApp, key: &str, input: Value) -> Value {
    let mut answer = app.gql_as(key, OWED, json!({ "input": input })).await;
    let mut answer = answer["receivables"].take();
    assert_eq!(answer["userErrors"], json!([]), "{answer:#}");
    answer["report"].take()
}

async fn owed(app: &TestApp, input: Value) -> Value {
    owed_as(app, &app.admin_key, input).await
}

/// What the ledger says that is owed for what is on account.
async fn in_ledger(app: &TestApp) -> i64 {
    let db = &app.app.db.read;
    let mut on_account: Vec<_> = invoice::Entity::find()
        .filter(invoice::Column::Payment.eq(invoice::Payment::Account))
        .all(db)
        .await
        .unwrap();
    on_account.dedup_by_key(|row| row.order_id);
    let orders: Vec<_> = on_account.iter().map(|row| row.order_id).collect();
    let entries = ledger_entry::Entity::find().all(db).await.unwrap();
    let of = entries.iter().filter(|entry| {
        let order = entry.order_id;
        order.is_some_and(|order| orders.contains(&order))
    });
    of.map(|entry| match (entry.debit, entry.credit) {
        (Account::Receivable, _) => entry.amount_minor,
        (_, Account::Receivable) => -entry.amount_minor,
        _ => 0,
    })
    .sum()
}

fn ages(owed: &Value) -> Vec<i64> {
    let names = [
        "notDue",
        "days1To30",
        "days31To60",
        "days61To90",
        "over90Days",
    ];
    names.iter().map(|name| minor(&owed[*name])).collect()
}

pub(crate) async fn record(app: &TestApp, input: Value) -> Value {
    let mut answer = app.gql(RECORD, json!({ "input": input })).await;
    answer["paymentRecord"].take()
}

pub(crate) fn euros(minor: i64) -> Value {
    json!({ "amount": format!("{}.{:02}", minor / 100, minor % 100), "currency": "EUR" })
}

async fn j4_what_is_owed_is_told_by_age_and_is_what_the_ledger_has(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web", "b2b"]).await;
    let cup = app.stocked("CUP", 90, false).await;
    assert_eq!(owed(app, json!({})).await["totals"], json!([]));
    sold(app, &cup, 2, json!({})).await;
    // Due thirty days later each: what was issued so many days ago is so many past due.
    let mut totals = Vec::new();
    for (units, code, wait) in [
        (3, "B-2001", 40),
        (1, "B-2002", 30),
        (2, "B-2001", 25),
        (4, "B-2002", 35),
        (5, "B-2001", 1),
    ] {
        totals.push(owe(app, &cup, units, code).await.total_minor);
        app.clock.advance(Duration::days(wait));
        app.settle().await;
    }
    let [first, second, third, fourth, fifth] = totals[..] else {
        panic!("five invoices");
    };
    // Their ages are 101, 61, 31, 6 days past due, and not due.
    let report = owed(app, json!({ "timeZone": "Europe/Vienna" })).await;
    let total = &report["totals"][0];
    assert_eq!(ages(total), [fifth, fourth, third, second, first]);
    assert_eq!(total["invoices"], 5);
    assert_eq!(minor(&total["total"]), in_ledger(app).await);
    assert_eq!(report["lineCount"], 2);
    let lines = &report["lines"];
    assert_eq!(lines[0]["customer"]["code"], "B-2001");
    assert_eq!(ages(&lines[0]["owed"]), [fifth, 0, third, 0, first]);
    assert_eq!(ages(&lines[1]["owed"]), [0, fourth, 0, second, 0]);
    let whole = |line: &Value| minor(&line["owed"]["total"]);
    assert_eq!(whole(&lines[0]) + whole(&lines[1]), minor(&total["total"]));
    let one = json!({ "customerId": customer_id(app, "B-2002").await });
    let one = owed(app, one).await;
    assert_eq!(one["lines"][0]["owed"], lines[1]["owed"]);
    // Then as it was then: the first was the only one, and not due.
    let start = "2026-12-20T09:00:00Z";
    let then = owed(app, json!({ "at": start })).await;
    assert_eq!(ages(&then["totals"][0]), [first, 0, 0, 0, 0]);
    // What is due today is not past due, wherever today is.
    let row = newest_of(app, "b2b").await;
    let due: NaiveDate = row.due_on.unwrap();
    let late = due.and_hms_opt(22, 30, 0).unwrap().and_utc() + Duration::hours(1);
    let in_zone = async |zone: &str| {
        let input = json!({ "at": late, "timeZone": zone });
        ages(&owed(app, input).await["totals"][0])[0]
    };
    assert_eq!(in_zone("UTC").await, fifth);
    assert_eq!(in_zone("Europe/Vienna").await, 0);
    assert_clean(app).await;
}

async fn j4_a_payment_is_recorded_once_and_pays_the_oldest_first(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["b2b"]).await;
    let cup = app.stocked("CUP", 90, false).await;
    let first = owe(app, &cup, 3, "B-2001").await;
    app.clock.advance(Duration::days(2));
    let second = owe(app, &cup, 2, "B-2001").await;
    let before = app.clock.now();
    app.clock.advance(Duration::hours(1));
    let used = customer_row(app, "B-2001").await.credit_used_minor;
    let all = first.total_minor + second.total_minor;
    let id = customer_id(app, "B-2001").await;
    let came = first.total_minor + 150;
    let input = json!({ "customerId": id, "reference": "BANK-1", "amount": euros(came) });
    let done = record(app, input.clone()).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    assert_eq!(done["replayed"], false);
    let mut paid: Vec<(String, i64)> = done["payment"]["allocations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let number = one["invoice"]["number"].as_str().unwrap().to_owned();
            (number, minor(&one["amount"]))
        })
        .collect();
    paid.sort();
    let wanted = [
        (first.name.clone(), first.total_minor),
        (second.name.clone(), 150),
    ];
    assert_eq!(paid, wanted);
    let again = record(app, input).await;
    assert_eq!((&again["replayed"], codes(&again)), (&json!(true), vec![]));
    assert_eq!(again["payment"], done["payment"]);
    let left = all - came;
    let total = owed(app, json!({})).await["totals"][0].take();
    assert_eq!(minor(&total["total"]), left);
    assert_eq!(in_ledger(app).await, left);
    let row = customer_row(app, "B-2001").await;
    assert_eq!(
        row.credit_used_minor,
        used - came,
        "the credit is free again"
    );
    let query = "{ trialBalance(currency: \"EUR\") { account balance { amount } } }";
    let balances = app.gql(query, json!({})).await;
    let bank = balances["trialBalance"].as_array().unwrap().iter();
    let mut bank = bank.filter(|row| row["account"] == "BANK");
    assert_eq!(minor(&bank.next().unwrap()["balance"]), came);

    let other = json!({ "customerId": id, "reference": "BANK-1", "amount": euros(1) });
    assert_eq!(
        codes(&record(app, other).await),
        ["PAYMENT_REFERENCE_TAKEN"]
    );
    let much = json!({ "customerId": id, "reference": "BANK-2", "amount": euros(left + 1) });
    let much = record(app, much).await;
    assert_eq!(codes(&much), ["PAYMENT_EXCEEDS_OWED"]);
    assert_eq!(much["userErrors"][0]["details"]["owedMinor"], left);
    let paid_off = json!({ "invoiceId": to_global(first.id).as_str(), "reference": "BANK-3",
        "amount": euros(1) });
    assert_eq!(
        codes(&record(app, paid_off).await),
        ["PAYMENT_EXCEEDS_OWED"]
    );
    for (input, code) in [
        (
            json!({ "customerId": id, "amount": euros(0) }),
            "AMOUNT_INVALID",
        ),
        (json!({ "amount": euros(1) }), "INVALID_INPUT"),
        (
            json!({ "customerId": id, "amount": { "amount": "1", "currency": "USD" } }),
            "PAYMENT_EXCEEDS_OWED",
        ),
        (
            json!({ "customerId": id, "amount": euros(1), "receivedAt": "2030-01-01T00:00:00Z" }),
            "INVALID_INPUT",
        ),
    ] {
        let mut input = input;
        input["reference"] = json!("BANK-4");
        assert_eq!(codes(&record(app, input).await), [code]);
    }
    // Before it came, all was owed.
    let then = owed(app, json!({ "at": before })).await;
    assert_eq!(minor(&then["totals"][0]["total"]), all);

    let rest = json!({ "invoiceId": to_global(second.id).as_str(), "reference": "BANK-5",
        "amount": euros(left) });
    assert_eq!(codes(&record(app, rest).await), Vec::<String>::new());
    assert_eq!(owed(app, json!({})).await["totals"], json!([]));
    let then = owed(app, json!({ "at": before })).await;
    assert_eq!(
        minor(&then["totals"][0]["total"]),
        all,
        "what is settled was open"
    );
    assert_eq!(in_ledger(app).await, 0);
    assert_clean(app).await;
}

async fn j4_of_payments_at_once_none_pays_more_than_is_owed(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["b2b"]).await;
    let cup = app.stocked("CUP", 90, false).await;
    let first = owe(app, &cup, 3, "B-2001").await.total_minor;
    let second = owe(app, &cup, 2, "B-2001").await.total_minor;
    let id = customer_id(app, "B-2001").await;
    let all = first + second;
    // Each is most of what is owed, so that one of them is all that fits.
    let pay = |place: usize| {
        let reference = format!("BANK-{place}");
        json!({ "customerId": id, "reference": reference, "amount": euros(all * 2 / 3) })
    };
    let done = join_all((0..6).map(|place| record(app, pay(place)))).await;
    let good = done.iter().filter(|one| codes(one).is_empty()).count();
    assert_eq!(good, 1, "{done:#?}");
    let refused = done
        .iter()
        .filter(|one| codes(one) == ["PAYMENT_EXCEEDS_OWED"]);
    assert_eq!(refused.count(), 5);
    let again = json!({ "customerId": id, "reference": "ONCE", "amount": euros(100) });
    let done = join_all((0..6).map(|_| record(app, again.clone()))).await;
    assert!(done.iter().all(|one| codes(one).is_empty()), "{done:#?}");
    let fresh = done.iter().filter(|one| one["replayed"] == false);
    assert_eq!(fresh.count(), 1);
    let db = &app.app.db.read;
    assert_eq!(customer_payment::Entity::find().count(db).await.unwrap(), 2);
    let rows = payment_allocation::Entity::find().all(db).await.unwrap();
    let paid: i64 = rows.iter().map(|row| row.amount_minor).sum();
    assert_eq!(paid, all * 2 / 3 + 100);
    let total = owed(app, json!({})).await["totals"][0].take();
    assert_eq!(minor(&total["total"]), all - paid);
    assert_clean(app).await;
}

async fn j4_what_is_taken_back_after_it_was_paid_is_owed_to_the_customer(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["b2b"]).await;
    let cup = app.stocked("CUP", 90, false).await;
    let first = owe(app, &cup, 3, "B-2001").await;
    let id = to_global(first.id);
    let input = json!({ "invoiceId": id.as_str(), "reference": "ALL",
        "amount": euros(first.total_minor) });
    assert_eq!(codes(&record(app, input).await), Vec::<String>::new());
    let standing = async || {
        let row = invoice_standing::Entity::find_by_id(first.id).one(&app.app.db.read);
        row.await.unwrap().unwrap()
    };
    assert!(standing().await.settled_at.is_some());
    app.clock.advance(Duration::hours(1));
    take_back(app, first.id, Part::Amount(500)).await;
    assert!(standing().await.settled_at.is_none());
    let total = owed(app, json!({})).await["totals"][0].take();
    assert_eq!(
        (minor(&total["credit"]), minor(&total["total"])),
        (500, -500)
    );
    assert_eq!(in_ledger(app).await, -500);
    let used = async || customer_row(app, "B-2001").await.credit_used_minor;
    assert_eq!(used().await, 0, "it was free already");
    // It pays nothing that comes later.
    let second = owe(app, &cup, 1, "B-2001").await;
    take_back(app, second.id, Part::Amount(100)).await;
    let left = second.total_minor - 100;
    assert_eq!(used().await, left, "what is not owed takes no credit");
    let id = customer_id(app, "B-2001").await;
    let input = json!({ "customerId": id, "reference": "NEXT",
        "amount": euros(left) });
    assert_eq!(codes(&record(app, input).await), Vec::<String>::new());
    assert_eq!(in_ledger(app).await, -500);
    assert_clean(app).await;
}

const COSTS: &str =
    "mutation Costs($input: VariantCostsSaveInput!) { variantCostsSave(input: $input) {
    variants { sku unitCost { amount currency } } userErrors { code field } } }";

const STOCK: &str = "query Stock($input: StockReportInput!) { stockReport(input: $input) {
    report { lines { warehouse { code } stock { ...Value } } totals { ...Value }
        notValued { warehouse { code } units } }
    userErrors { code field } } }
    fragment Value on StockValue { units value { amount currency } valueBefore { amount }
        unitsShipped shippedCost { amount } turns }";

async fn set_costs(app: &TestApp, costs: Value) -> Value {
    let input = json!({ "input": { "costs": costs } });
    app.gql(COSTS, input).await["variantCostsSave"].take()
}

async fn in_stock(app: &TestApp, input: Value) -> Value {
    let mut answer = app.gql(STOCK, json!({ "input": input })).await;
    let mut answer = answer["stockReport"].take();
    assert_eq!(answer["userErrors"], json!([]), "{answer:#}");
    answer["report"].take()
}

/// What there was of some variants at a moment at their costs, and what of them was shipped before,
/// movement by movement.
async fn moved(
    app: &TestApp,
    costs: &[(&Stocked, i64)],
    from: DateTime<Utc>,
    at: DateTime<Utc>,
) -> (i64, i64) {
    let rows = stock_movement::Entity::find().all(&app.app.db.read).await;
    let (mut value, mut shipped) = (0, 0);
    for row in rows.unwrap().iter().filter(|row| row.occurred_at <= at) {
        let cost = costs.iter().find(|(of, _)| of.id == row.variant_id);
        let cost = cost.map_or(0, |(_, cost)| *cost);
        value += row.delta_on_hand * cost;
        if row.kind == stock_movement::Kind::Ship && row.occurred_at > from {
            shipped -= row.delta_on_hand * cost;
        }
    }
    (value, shipped)
}

async fn j4_stock_is_worth_what_its_units_cost_and_is_turned_over_by_what_leaves(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 40, false).await;
    let pot = app.stocked("POT", 9, false).await;
    let bowl = app.stocked("BOWL", 30, false).await;
    let dish = app.stocked("DISH", 7, false).await;
    app.receive(&app.elsewhere(&cup, "BER").await, 10).await;
    let cost = |sku: &str, amount: &str, currency: &str| {
        json!({ "sku": sku,
        "unitCost": { "amount": amount, "currency": currency } })
    };
    let saved = set_costs(
        app,
        json!([
            cost("CUP", "4.25", "EUR"),
            cost("POT", "11.00", "EUR"),
            cost("BOWL", "3.50", "USD"),
            cost("DISH", "480", "JPY"),
        ]),
    )
    .await;
    assert_eq!(saved["userErrors"], json!([]), "{saved:#}");
    assert_eq!(saved["variants"][2]["unitCost"]["amount"], "3.50");
    let in_euros = [(&cup, 425), (&pot, 1_100)];
    let start = app.clock.now();
    app.clock.advance(Duration::days(3));
    sold(app, &cup, 5, json!({})).await;
    app.clock.advance(Duration::days(3));
    app.receive(&cup, 20).await;
    sold(app, &pot, 2, json!({})).await;
    let end = app.clock.now();
    app.clock.advance(Duration::days(3));
    sold(app, &cup, 1, json!({})).await;

    let period = in_stock(app, json!({ "from": start, "at": end })).await;
    let totals = period["totals"].as_array().unwrap();
    let currencies: Vec<_> = totals
        .iter()
        .map(|total| &total["value"]["currency"])
        .collect();
    assert_eq!(currencies, ["EUR", "JPY", "USD"]);
    let (before, _) = moved(app, &in_euros, start, start).await;
    let (after, shipped) = moved(app, &in_euros, start, end).await;
    assert_eq!(
        (before, shipped),
        (50 * 425 + 9 * 1_100, 5 * 425 + 2 * 1_100)
    );
    let euros = &totals[0];
    assert_eq!(minor(&euros["valueBefore"]), before);
    assert_eq!(minor(&euros["value"]), after);
    assert_eq!(minor(&euros["shippedCost"]), shipped);
    assert_eq!(euros["unitsShipped"], 7);
    assert_eq!(euros["units"], 50 - 5 + 20 + 9 - 2);
    let turns: rust_decimal::Decimal = euros["turns"].as_str().unwrap().parse().unwrap();
    let exact =
        rust_decimal::Decimal::from(2 * shipped) / rust_decimal::Decimal::from(before + after);
    assert_eq!(turns, exact.round_dp(4).normalize());
    assert_eq!(
        (minor(&totals[1]["value"]), minor(&totals[2]["value"])),
        (7 * 480, 30 * 350)
    );
    assert_eq!(totals[2]["turns"], "0");
    // Warehouses add up to all of them.
    let lines = period["lines"].as_array().unwrap();
    let in_euro_lines = lines
        .iter()
        .filter(|line| line["stock"]["value"]["currency"] == "EUR");
    let by_house: i64 = in_euro_lines
        .map(|line| minor(&line["stock"]["value"]))
        .sum();
    assert_eq!(by_house, after);
    assert_eq!(bowl.warehouse, dish.warehouse);
    // What it was then is what it is said to have been.
    let then = in_stock(app, json!({ "at": start })).await;
    assert_eq!(minor(&then["totals"][0]["value"]), before);
    let now = in_stock(app, json!({})).await;
    assert_eq!(minor(&now["totals"][0]["value"]), after - 425);

    let known = [&cup, &pot, &bowl, &dish].map(|of| of.id);
    let rows = stock::Entity::find().all(&app.app.db.read).await.unwrap();
    let others = rows.iter().filter(|row| !known.contains(&row.variant_id));
    let unvalued: i64 = others.map(|row| row.on_hand).sum();
    let said = now["notValued"].as_array().unwrap().iter();
    let said: i64 = said.map(|one| one["units"].as_i64().unwrap()).sum();
    assert_eq!(said, unvalued);
    let berlin = lines
        .iter()
        .find(|line| line["warehouse"]["code"] == "BER")
        .unwrap();
    assert_eq!(minor(&berlin["stock"]["value"]), 10 * 425);
    assert_clean(app).await;
}

async fn j4_what_units_cost_is_checked_and_is_not_for_partners(app: &TestApp) {
    app.open_shop().await;
    app.stocked("CUP", 4, false).await;
    let cost = |sku: &str, amount: &str| {
        json!({ "sku": sku,
        "unitCost": { "amount": amount, "currency": "EUR" } })
    };
    for (costs, code) in [
        (json!([cost("NOBODY-KNOWS", "1.00")]), "NOT_FOUND"),
        (
            json!([cost("CUP", "1.00"), cost("CUP", "2.00")]),
            "INVALID_INPUT",
        ),
        (json!([cost("CUP", "1.005")]), "AMOUNT_INVALID"),
    ] {
        assert_eq!(codes(&set_costs(app, costs).await), [code]);
    }
    for (amount, shown) in [("1.00", "1.00"), ("2.00", "2.00"), ("2.00", "2.00")] {
        let saved = set_costs(app, json!([cost("CUP", amount)])).await;
        assert_eq!(
            saved["variants"][0]["unitCost"]["amount"], shown,
            "{saved:#}"
        );
    }
    let seen = "{ variant(by: { sku: \"CUP\" }) { unitCost { amount } } }";
    let partner = app.key_for(Role::Partner, &["web"], None).await.key;
    let answer = app.gql_as(&partner, seen, json!({})).await;
    assert_eq!(answer["variant"]["unitCost"], Value::Null, "{answer:#}");
    let confined = app.key_for(Role::Finance, &["web"], None).await.key;
    let refused = app
        .answer_as(Some(&confined), STOCK, json!({ "input": {} }))
        .await;
    assert_eq!(refused.code(), "BAD_USER_INPUT");
    let answer = set_costs(app, json!([{ "sku": "CUP", "unitCost": null }])).await;
    assert_eq!(answer["variants"][0]["unitCost"], Value::Null);
    let totals = in_stock(app, json!({})).await["totals"].take();
    assert_eq!(totals, json!([]));
    assert_clean(app).await;
}
