//! Laws of editing: however an order came to what it is, it costs what a new order of the same
//! things costs, holds what it wants, and has exactly that set aside; and of several who change
//! it at once, one wins.
//! `OMS_LONG=1` runs each as often as it is promised for; without it, a small part of that.

use futures_util::future::join_all;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::{Value, json};
use support::dice::Dice;
use support::merchant::{Stocked, basket_with, codes};
use support::{TestApp, both_backends};

both_backends!(
    a1_an_edited_order_costs_holds_and_sets_aside_what_a_new_one_would,
    a1_of_two_edits_at_once_one_wins_and_the_other_hears_it,
    a1_an_edit_and_a_cancellation_at_once_leave_one_of_them,
    a1_an_edit_and_the_end_of_its_hold_at_once_leave_nothing_half_done,
    a1_an_edit_and_the_payment_at_once_end_exact,
);

fn times(promised: usize, part: usize) -> usize {
    if std::env::var_os("OMS_LONG").is_some() {
        promised
    } else {
        promised / part
    }
}

/// A currency with its channel: an amount in it of so many minor units, as text.
#[derive(Clone, Copy)]
struct Till {
    channel: &'static str,
    currency: &'static str,
    digits: u32,
}

const TILLS: [Till; 3] = [
    Till {
        channel: "eur",
        currency: "EUR",
        digits: 2,
    },
    Till {
        channel: "jpy",
        currency: "JPY",
        digits: 0,
    },
    Till {
        channel: "kwd",
        currency: "KWD",
        digits: 3,
    },
];

impl Till {
    fn amount(self, minor: usize) -> String {
        let unit = 10_usize.pow(self.digits);
        if self.digits == 0 {
            return minor.to_string();
        }
        let digits = self.digits as usize;
        format!("{}.{:0digits$}", minor / unit, minor % unit)
    }
}

const ORDER: &str = "id status stage version total { amount } shippingCharge { amount }
    lines { id sku quantity cancelled reserved allocated backordered
        unitPrice { amount } discounts } payment { authorized { amount } }
    exceptions { code status }";

async fn read(app: &TestApp, id: &Value) -> Value {
    let document = format!("query Now($id: ID!) {{ order(by: {{ id: $id }}) {{ {ORDER} }} }}");
    app.gql(&document, json!({ "id": id })).await["order"].take()
}

async fn commit(app: &TestApp, order: &Value, mut changes: Value) -> Value {
    changes["id"] = order["id"].clone();
    changes["expectedVersion"] = order["version"].clone();
    let document = format!(
        "mutation Edit($input: OrderEditInput!) {{ orderEditCommit(input: $input) {{
            order {{ {ORDER} }} userErrors {{ code message }} }} }}"
    );
    app.gql(&document, json!({ "input": changes })).await["orderEditCommit"].take()
}

/// The lines that something is wanted of.
fn live(order: &Value) -> Vec<Value> {
    let wanted = |line: &&Value| line["cancelled"] != line["quantity"];
    let lines = order["lines"].as_array().unwrap();
    lines.iter().filter(wanted).cloned().collect()
}

/// A random change, which may be one that is refused.
fn change(dice: &mut Dice, till: Till, order: &Value, skus: &[String]) -> Value {
    let lines = live(order);
    let line = dice.one(&lines);
    let id = &line["id"];
    match dice.roll(10) {
        0..=2 => json!({ "lines": [{ "lineId": id, "quantity": dice.roll(9) }] }),
        3 => json!({ "addLines": [{ "sku": dice.one(skus), "quantity": 1 + dice.roll(5) }] }),
        4 => {
            let price = till.amount(dice.roll(5_000));
            json!({ "lines": [{ "lineId": id, "unitPrice": price }] })
        }
        5 => {
            let discount = till.amount(dice.roll(2_500));
            json!({ "lines": [{ "lineId": id, "discount": discount }] })
        }
        6 => json!({ "shippingCharge": till.amount(dice.roll(3_000)) }),
        7 => json!({ "promotionCodes": dice.one(&[json!([]), json!(["TENTH"]), json!(["NONE"])]) }),
        8 => json!({ "lines": [{ "lineId": id, "quantity": 1 + dice.roll(6) }],
            "addLines": [{ "sku": dice.one(skus), "quantity": 1 }] }),
        _ => json!({ "shippingAddress": { "line1": "Ring 1", "city": "Wien",
            "postalCode": "1010", "country": "AT" } }),
    }
}

async fn open(app: &TestApp) -> Vec<Stocked> {
    app.open_shop().await;
    let mut stocked = Vec::new();
    for (n, units) in [(0, 1_000_000), (1, 1_000_000), (2, 40)] {
        stocked.push(app.stocked(&format!("E-{n}"), units, true).await);
    }
    for till in TILLS {
        app.other_channel(till.channel, &stocked[0], 1_999, |row| {
            row.currency = Set(till.currency.parse().unwrap());
        })
        .await;
        let list = entity::price_list::Column::Code.eq(format!("of {}", till.channel));
        let list = entity::price_list::Entity::find()
            .filter(list)
            .one(&app.app.db.read)
            .await
            .unwrap()
            .unwrap();
        let channel = app.channel(till.channel).await;
        for (place, of) in stocked.iter().enumerate().skip(1) {
            let listing = entity::listing::ActiveModel {
                channel_id: Set(channel.id),
                variant_id: Set(of.id),
            };
            listing.insert(&app.app.db.write).await.unwrap();
            app.price(list.id, of.id, 1, 333 * place as i64).await;
        }
        app.price(list.id, stocked[0].id, 5, 1_777).await;
    }
    app.promotion_like("WELCOME10", "TENTH", |row| {
        row.min_subtotal_minor = Set(0);
        row.usage_limit = Set(None);
    })
    .await;
    app.app.invalidate_reference();
    stocked
}

async fn a1_an_edited_order_costs_holds_and_sets_aside_what_a_new_one_would(app: &TestApp) {
    let stocked = open(app).await;
    let skus: Vec<String> = stocked.iter().map(|one| one.sku.clone()).collect();
    let sequences = times(2_000, 50);
    let (mut committed, mut refused) = (0, 0);
    for seed in 1..=sequences {
        let mut dice = Dice::new(seed as u64);
        let till = dice.one(&TILLS);
        let lines: Vec<Value> = (0..1 + dice.roll(3))
            .map(|_| json!({ "sku": dice.one(&skus), "quantity": 1 + dice.roll(6) }))
            .collect();
        let token = dice.one(&[
            "tok_approve",
            "tok_approve",
            "tok_late",
            "tok_timeout_after",
        ]);
        let mut basket = basket_with(json!({ "channel": till.channel, "lines": lines,
            "payment": { "method": "CARD", "token": token } }));
        if till.currency != "EUR" {
            // Nobody keeps rates in it, so what is stated applies.
            basket["shippingCharge"] = json!(till.amount(500));
        }
        let placed = app.place(basket).await;
        let mut order = read(app, &placed["id"]).await;
        for _ in 0..1 + dice.roll(6) {
            let changes = change(&mut dice, till, &order, &skus);
            let done = commit(app, &order, changes).await;
            if codes(&done).is_empty() {
                committed += 1;
            } else {
                assert!(
                    !codes(&done).contains(&"STALE_VERSION".to_owned()),
                    "{done:#}"
                );
                refused += 1;
            }
            if dice.roll(3) == 0 {
                app.settle().await;
            }
            order = read(app, &placed["id"]).await;
        }
        for _ in 0..5 {
            app.clock.advance(chrono::Duration::minutes(2));
            app.settle().await;
        }
        order = read(app, &placed["id"]).await;
        let told = format!("seed {seed}: {order:#}");
        assert_eq!(order["payment"]["authorized"], order["total"], "{told}");
        for line in live(&order) {
            let units = |name: &str| line[name].as_i64().unwrap();
            let had = units("reserved") + units("allocated") + units("backordered");
            assert_eq!(had, units("quantity"), "{told}");
        }
        assert_eq!(order["total"], fresh(app, till, &order).await, "{told}");
        // Nothing is left behind for the next sequence.
        let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"done\" }) {
            userErrors { code } } }";
        app.gql(cancel, json!({ "id": order["id"] })).await;
        app.settle().await;
    }
    println!("{sequences} sequences: {committed} edits committed, {refused} refused");
    assert!(
        committed > refused && refused > 0,
        "{committed} and {refused}"
    );
    for one in &stocked {
        assert_eq!(app.stock_of(one).await.1, 0, "{} is still held", one.sku);
    }
}

/// What a new order of the same things at the same prices comes to.
async fn fresh(app: &TestApp, till: Till, order: &Value) -> Value {
    let lines: Vec<Value> = live(order)
        .iter()
        .map(|line| {
            let agreed: i64 = line["discounts"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|discount| discount["promotionId"].is_null())
                .map(|discount| discount["amount"].as_i64().unwrap())
                .sum();
            json!({ "sku": line["sku"], "quantity": line["quantity"],
                "unitPrice": line["unitPrice"]["amount"],
                "discount": till.amount(agreed as usize) })
        })
        .collect();
    let verdicts = app
        .gql(
            "query V($id: ID!) { order(by: { id: $id }) { promotionVerdicts } }",
            json!({ "id": order["id"] }),
        )
        .await;
    let given: Vec<&Value> = verdicts["order"]["promotionVerdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| &verdict["code"])
        .filter(|code| !code.is_null())
        .collect();
    app.change_channel(till.channel, |row| {
        row.failed_check_policy = Set(entity::channel::FailedCheckPolicy::Review);
    })
    .await;
    let basket = basket_with(json!({ "channel": till.channel, "lines": lines,
        "shippingCharge": order["shippingCharge"]["amount"], "promotionCodes": given,
        "payment": { "method": "EXTERNAL" } }));
    let twin = app.place(basket).await;
    app.change_channel(till.channel, |row| {
        row.failed_check_policy = Set(entity::channel::FailedCheckPolicy::Refuse);
    })
    .await;
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"twin\" }) {
        userErrors { code } } }";
    app.gql(cancel, json!({ "id": twin["id"] })).await;
    json!({ "amount": twin["total"]["amount"] })
}

async fn placed(app: &TestApp, of: &Stocked, token: &str) -> Value {
    let basket = basket_with(json!({ "lines": [{ "sku": of.sku, "quantity": 2 }],
        "payment": { "method": "CARD", "token": token } }));
    let order = app.place(basket).await;
    read(app, &order["id"]).await
}

fn to(order: &Value, quantity: i64) -> Value {
    json!({ "lines": [{ "lineId": order["lines"][0]["id"], "quantity": quantity }] })
}

/// Waits until every answer is in, and checks what must hold of an order that lives.
async fn at_rest(app: &TestApp, order: &Value) -> Value {
    for _ in 0..3 {
        app.clock.advance(chrono::Duration::minutes(2));
        app.settle().await;
    }
    let order = read(app, &order["id"]).await;
    if order["status"] == "CONFIRMED" {
        assert_eq!(order["payment"]["authorized"], order["total"], "{order:#}");
        assert_eq!(
            order["lines"][0]["allocated"],
            order["lines"][0]["quantity"]
        );
    }
    order
}

async fn a1_of_two_edits_at_once_one_wins_and_the_other_hears_it(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 1_000_000, true).await;
    for round in 0..times(200, 10) {
        let order = placed(app, &pen, "tok_approve").await;
        let answers = join_all([3, 5, 7].map(|units| commit(app, &order, to(&order, units)))).await;
        let won: Vec<&Value> = answers.iter().filter(|one| codes(one).is_empty()).collect();
        assert_eq!(won.len(), 1, "round {round}: {answers:#?}");
        for lost in answers.iter().filter(|one| !codes(one).is_empty()) {
            assert_eq!(codes(lost), ["STALE_VERSION"], "round {round}");
        }
        let rest = at_rest(app, &order).await;
        assert_eq!(rest["stage"], "STAGED", "round {round}: {rest:#}");
        let kept = &won[0]["order"]["lines"][0]["quantity"];
        assert_eq!(&rest["lines"][0]["quantity"], kept);
    }
}

async fn a1_an_edit_and_a_cancellation_at_once_leave_one_of_them(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 1_000_000, true).await;
    for round in 0..times(200, 10) {
        let order = placed(app, &pen, "tok_approve").await;
        let cancel = async {
            let document = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"x\" }) {
                userErrors { code } } }";
            app.gql(document, json!({ "id": order["id"] })).await["orderCancel"].take()
        };
        let units = if round % 2 == 0 { 1 } else { 9 };
        let (edited, cancelled) = tokio::join!(commit(app, &order, to(&order, units)), cancel);
        // A cancellation names no version, so it comes through whoever was first.
        assert!(codes(&cancelled).is_empty(), "{cancelled:#}");
        let lost = codes(&edited);
        let told = ["STALE_VERSION", "ORDER_NOT_EDITABLE"];
        assert!(
            lost.iter().all(|code| told.contains(&code.as_str())),
            "{edited:#}"
        );
        let rest = at_rest(app, &order).await;
        assert_eq!(rest["status"], "CANCELLED");
        assert_eq!(
            rest["payment"]["authorized"]["amount"], "0.00",
            "round {round}: {rest:#}"
        );
        assert_eq!(app.stock_of(&pen).await.1, 0, "round {round}");
    }
}

async fn a1_an_edit_and_the_end_of_its_hold_at_once_leave_nothing_half_done(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 1_000_000, true).await;
    for round in 0..times(100, 10) {
        let order = placed(app, &pen, "tok_decline").await;
        app.clock.advance(chrono::Duration::hours(1));
        let mut changes = to(&order, 5);
        changes["paymentToken"] = json!("tok_approve");
        let (edited, expired) = tokio::join!(commit(app, &order, changes), async {
            api::workers::settle(&app.app).await
        });
        expired.unwrap();
        let rest = at_rest(app, &order).await;
        let expected = if codes(&edited).is_empty() {
            "STAGED"
        } else {
            "CANCELLED"
        };
        assert_eq!(
            rest["stage"], expected,
            "round {round}: {edited:#} {rest:#}"
        );
        let held = app.stock_of(&pen).await.1;
        let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"x\" }) {
            userErrors { code } } }";
        assert_eq!(
            held,
            if expected == "STAGED" { 5 } else { 0 },
            "round {round}"
        );
        app.gql(cancel, json!({ "id": order["id"] })).await;
    }
}

async fn a1_an_edit_and_the_payment_at_once_end_exact(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 1_000_000, true).await;
    for round in 0..times(100, 10) {
        let order = placed(app, &pen, "tok_late").await;
        app.clock.advance(chrono::Duration::minutes(2));
        let units = if round % 2 == 0 { 1 } else { 9 };
        let (edited, paid) = tokio::join!(commit(app, &order, to(&order, units)), async {
            api::workers::settle(&app.app).await
        });
        paid.unwrap();
        let rest = at_rest(app, &order).await;
        assert_eq!(
            rest["stage"], "STAGED",
            "round {round}: {edited:#} {rest:#}"
        );
        let kept = if codes(&edited).is_empty() { units } else { 2 };
        assert_eq!(
            rest["lines"][0]["quantity"], kept,
            "round {round}: {edited:#}"
        );
        assert!(
            codes(&edited).iter().all(|code| code == "STALE_VERSION"),
            "{edited:#}"
        );
    }
}
