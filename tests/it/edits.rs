//! Changing an order before the warehouse has it: what it costs, what is held, what is asked of the
//! card, and who wins when several want to.

use entity::{customer, payment, payment_transaction};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::merchant::{basket_with, codes};
use support::{TestApp, both_backends};

both_backends!(
    a1_an_edit_shows_beforehand_what_it_then_does,
    a1_more_units_are_held_and_asked_of_the_card,
    a1_fewer_units_go_back_with_the_money,
    a1_a_line_that_is_taken_off_is_due_no_more,
    a1_a_corrected_address_settles_what_was_wrong_with_it,
    a1_a_price_that_was_agreed_stays_and_one_of_ours_follows_the_tiers,
    a1_a_promotion_that_an_edit_gives_up_can_be_used_by_another_order,
    a1_an_order_on_account_takes_and_gives_back_credit,
    a1_a_declined_top_up_waits_for_a_person_and_can_be_edited_away,
    a1_what_changes_while_the_card_is_asked_is_squared_when_it_answers,
    a1_an_edit_is_committed_once_for_its_key,
    a1_an_edit_that_makes_no_order_is_refused_where_it_is_wrong,
    a1_an_order_that_has_ended_cannot_be_edited,
);

const ORDER: &str = "order { id status stage version paymentStatus total { amount }
        shippingCharge { amount }
        lines { id sku quantity cancelled reserved allocated backordered
            unitPrice { amount } discount { amount } gross { amount } }
        exceptions { code status } payment { authorized { amount } } }
    userErrors { code field message details } replayed";

/// Commits an edit of an order against the version that it is at.
pub async fn edit(app: &TestApp, order: &Value, changes: Value) -> Value {
    let document = format!(
        "mutation Edit($input: OrderEditInput!) {{ orderEditCommit(input: $input) {{ {ORDER} }} }}"
    );
    let input = input(order, changes);
    app.gql(&document, json!({ "input": input })).await["orderEditCommit"].take()
}

async fn preview(app: &TestApp, order: &Value, changes: Value) -> Value {
    let document = "query Try($input: OrderEditInput!) { orderEditPreview(input: $input) {
        preview { total { amount } difference { amount } due { amount } stage
            lines { sku quantity cancelled reserved allocated backordered }
            exceptions { code } settles { code } }
        userErrors { code field message } } }";
    let input = input(order, changes);
    app.gql(document, json!({ "input": input })).await["orderEditPreview"].take()
}

fn input(order: &Value, changes: Value) -> Value {
    let mut input = json!({ "id": order["id"], "expectedVersion": order["version"] });
    for (field, value) in changes.as_object().into_iter().flatten() {
        input[field] = value.clone();
    }
    input
}

async fn present(app: &TestApp, order: &Value) -> Value {
    let document = format!(
        "query Now($id: ID!) {{ order(by: {{ id: $id }}) {{ {} }} }}",
        ORDER
            .trim_start_matches("order {")
            .split("userErrors")
            .next()
            .unwrap()
            .trim_end()
            .trim_end_matches('}')
    );
    app.gql(&document, json!({ "id": order["id"] })).await["order"].take()
}

fn line<'a>(order: &'a Value, sku: &str) -> &'a Value {
    order["lines"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["sku"] == sku)
        .unwrap()
}

/// What was asked of the gateway, oldest first: kind, amount in minor units, state.
async fn asked(app: &TestApp) -> Vec<(String, i64, String)> {
    payment_transaction::Entity::find()
        .order_by_asc(payment_transaction::Column::Id)
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .map(|row| {
            (
                format!("{:?}", row.kind).to_uppercase(),
                row.amount_minor,
                format!("{:?}", row.state).to_uppercase(),
            )
        })
        .collect()
}

async fn taken(app: &TestApp, changes: Value) -> Value {
    let payload = app.place(basket_with(changes)).await;
    app.settle().await;
    present(app, &payload).await
}

async fn a1_an_edit_shows_beforehand_what_it_then_does(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 5, true).await;
    let order = taken(app, json!({ "lines": [{ "sku": "PEN", "quantity": 2 }] })).await;
    assert_eq!(order["stage"], "STAGED", "{order:#}");
    let changes = json!({
        "lines": [{ "lineId": order["lines"][0]["id"], "quantity": 7 }],
        "addLines": [{ "sku": "MUG-WHITE", "quantity": 1 }],
    });
    let tried = preview(app, &order, changes.clone()).await;
    assert_eq!(tried["userErrors"], json!([]), "{tried:#}");
    let tried = &tried["preview"];
    assert_eq!(tried["stage"], "BACKORDERED", "{tried:#}");
    assert_eq!(tried["difference"], tried["due"]);
    // Nothing has changed, and nobody was told.
    assert_eq!(present(app, &order).await, order);

    let done = edit(app, &order, changes).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    app.settle().await;
    let now = present(app, &order).await;
    assert_eq!(now["total"], tried["total"]);
    assert_eq!(now["stage"], "BACKORDERED");
    let pen = line(&now, "PEN");
    assert_eq!(
        (&pen["allocated"], &pen["backordered"]),
        (&json!(5), &json!(2))
    );
    assert_eq!(now["payment"]["authorized"], now["total"]);
}

async fn a1_more_units_are_held_and_asked_of_the_card(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 10, true).await;
    let order = taken(app, json!({ "lines": [{ "sku": "PEN", "quantity": 2 }] })).await;
    let more = json!({ "lines": [{ "lineId": order["lines"][0]["id"], "quantity": 5 }],
        "reason": "the customer called" });
    let done = edit(app, &order, more).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    app.settle().await;
    let now = present(app, &order).await;
    assert_eq!(
        (&now["status"], &now["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    assert_eq!(line(&now, "PEN")["allocated"], 5);
    assert_eq!(app.stock_of(&pen).await, (10, 5));
    assert_eq!(now["payment"]["authorized"], now["total"]);
    let asked = asked(app).await;
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(
        asked
            .iter()
            .all(|(kind, _, state)| kind == "AUTHORIZATION" && state == "SUCCEEDED")
    );
    let timeline = app
        .gql(
            "query T($id: ID!) { order(by: { id: $id }) { timeline { event details } } }",
            json!({ "id": order["id"] }),
        )
        .await;
    let edited: Vec<&Value> = timeline["order"]["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["event"] == "order.edited")
        .collect();
    assert_eq!(edited.len(), 1, "{timeline:#}");
    assert_eq!(edited[0]["details"]["reason"], "the customer called");
    assert_eq!(edited[0]["details"]["before"]["lines"][0]["quantity"], 2);
    assert_eq!(edited[0]["details"]["after"]["lines"][0]["quantity"], 5);
}

async fn a1_fewer_units_go_back_with_the_money(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 6, true).await;
    let order = taken(app, json!({ "lines": [{ "sku": "PEN", "quantity": 6 }] })).await;
    let waits = taken(app, json!({ "lines": [{ "sku": "PEN", "quantity": 3 }] })).await;
    assert_eq!(waits["stage"], "BACKORDERED");
    let fewer = json!({ "lines": [{ "lineId": order["lines"][0]["id"], "quantity": 2 }] });
    let done = edit(app, &order, fewer).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    app.settle().await;
    let now = present(app, &order).await;
    assert_eq!(now["stage"], "STAGED", "{now:#}");
    assert_eq!(now["payment"]["authorized"], now["total"]);
    let asked = asked(app).await;
    assert_eq!(asked.last().unwrap().0, "VOID", "{asked:?}");
    // Who waited has what was let go.
    assert_eq!(present(app, &waits).await["stage"], "STAGED");
    assert_eq!(app.stock_of(&pen).await, (6, 5));
}

async fn a1_a_line_that_is_taken_off_is_due_no_more(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 6, true).await;
    let ink = app.stocked("INK", 6, true).await;
    let lines = json!([{ "sku": "PEN", "quantity": 1 }, { "sku": "INK", "quantity": 2 }]);
    let order = taken(app, json!({ "lines": lines })).await;
    let off = json!({ "lines": [{ "lineId": line(&order, "INK")["id"], "quantity": 0 }] });
    let done = edit(app, &order, off).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    app.settle().await;
    let now = present(app, &order).await;
    let gone = line(&now, "INK");
    assert_eq!(
        (&gone["cancelled"], &gone["gross"]["amount"]),
        (&json!(2), &json!("0.00"))
    );
    assert_eq!(app.stock_of(&pen).await, (6, 1));
    assert_eq!(app.stock_of(&ink).await, (6, 0));
    assert_eq!(now["payment"]["authorized"], now["total"]);
    // It cannot be changed any more; another line of its SKU can be added.
    let back = json!({ "lines": [{ "lineId": gone["id"], "quantity": 1 }] });
    assert_eq!(codes(&edit(app, &now, back).await), ["NOT_FOUND"]);
    let again = json!({ "addLines": [{ "sku": "INK", "quantity": 1 }] });
    let done = edit(app, &now, again).await;
    assert_eq!(
        done["order"]["lines"].as_array().unwrap().len(),
        3,
        "{done:#}"
    );
}

async fn a1_a_corrected_address_settles_what_was_wrong_with_it(app: &TestApp) {
    app.open_shop().await;
    let wrong = json!({ "line1": "Ring 1", "city": "Wien", "postalCode": "ABC", "country": "AT" });
    let order = taken(
        app,
        json!({ "shippingAddress": wrong, "channel": "b2b",
        "customer": { "code": "C-1001" } }),
    )
    .await;
    assert_eq!(
        order["exceptions"][0]["code"], "ADDRESS_INVALID",
        "{order:#}"
    );
    // Something else is edited: the address still waits.
    let done = edit(
        app,
        &order,
        json!({ "contact": { "email": "new@mail.example" } }),
    )
    .await;
    assert_eq!(done["order"]["stage"], "ON_HOLD", "{done:#}");
    let right = json!({ "line1": "Ring 1", "city": "Wien", "postalCode": "1010", "country": "AT" });
    let changes = json!({ "shippingAddress": right });
    let tried = preview(app, &done["order"], changes.clone()).await;
    assert_eq!(
        tried["preview"]["settles"],
        json!([{ "code": "ADDRESS_INVALID" }]),
        "{tried:#}"
    );
    let done = edit(app, &done["order"], changes).await;
    assert_eq!(
        done["order"]["exceptions"][0]["status"], "RESOLVED",
        "{done:#}"
    );
    app.settle().await;
    assert_eq!(present(app, &order).await["stage"], "STAGED");
}

async fn a1_a_price_that_was_agreed_stays_and_one_of_ours_follows_the_tiers(app: &TestApp) {
    app.open_shop().await;
    app.change_channel("web", |channel| {
        channel.failed_check_policy = sea_orm::Set(entity::channel::FailedCheckPolicy::Review);
    })
    .await;
    app.app.invalidate_reference();
    let pen = app.stocked("PEN", 100, true).await;
    let ink = app.stocked("INK", 100, true).await;
    let list = entity::price_list::Entity::find()
        .filter(entity::price_list::Column::Code.eq("retail"))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    app.price(list.id, pen.id, 10, 900).await;
    app.price(list.id, ink.id, 10, 900).await;
    let lines = json!([{ "sku": "PEN", "quantity": 1 },
        { "sku": "INK", "quantity": 1, "unitPrice": "9.50" }]);
    let order = taken(app, json!({ "lines": lines })).await;
    assert_eq!(
        order["exceptions"][0]["code"], "PRICE_MISMATCH",
        "{order:#}"
    );
    let more = json!({ "lines": [
        { "lineId": line(&order, "PEN")["id"], "quantity": 10 },
        { "lineId": line(&order, "INK")["id"], "quantity": 10 }] });
    let done = edit(app, &order, more).await;
    let now = &done["order"];
    assert_eq!(line(now, "PEN")["unitPrice"]["amount"], "9.00", "{done:#}");
    assert_eq!(line(now, "INK")["unitPrice"]["amount"], "9.50");
    // The editor's word is not compared with our price, and settles the mismatch.
    let word = json!({ "lines": [{ "lineId": line(now, "INK")["id"], "unitPrice": "8.00" }] });
    let done = edit(app, now, word).await;
    assert_eq!(
        line(&done["order"], "INK")["unitPrice"]["amount"],
        "8.00",
        "{done:#}"
    );
    let open = done["order"]["exceptions"].as_array().unwrap();
    assert!(
        open.iter().all(|one| one["status"] == "RESOLVED"),
        "{done:#}"
    );
    assert_eq!(line(&done["order"], "PEN")["unitPrice"]["amount"], "9.00");
}

async fn a1_a_promotion_that_an_edit_gives_up_can_be_used_by_another_order(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 100, true).await;
    app.promotion_like("WELCOME10", "ONCE", |row| {
        row.usage_limit = sea_orm::Set(Some(1))
    })
    .await;
    let with_code = json!({ "lines": [{ "sku": "PEN", "quantity": 8 }],
        "promotionCodes": ["ONCE"] });
    let order = taken(app, with_code.clone()).await;
    assert_eq!(order["stage"], "STAGED", "{order:#}");
    // Its own use does not stand in its way.
    let more = json!({ "lines": [{ "lineId": order["lines"][0]["id"], "quantity": 9 }] });
    let done = edit(app, &order, more).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    assert_ne!(
        line(&done["order"], "PEN")["discount"]["amount"],
        "0.00",
        "{done:#}"
    );
    let refused = app.submit(basket_with(with_code.clone())).await;
    assert_eq!(codes(&refused), ["PROMOTION_LIMIT_REACHED"], "{refused:#}");
    app.settle().await;
    let now = present(app, &order).await;
    let done = edit(app, &now, json!({ "promotionCodes": [] })).await;
    assert_eq!(
        line(&done["order"], "PEN")["discount"]["amount"],
        "0.00",
        "{done:#}"
    );
    app.settle().await;
    assert_eq!(taken(app, with_code).await["stage"], "STAGED");
}

async fn a1_an_order_on_account_takes_and_gives_back_credit(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 100_000, true).await;
    let buyer = customer::Entity::find()
        .filter(customer::Column::CreditLimitMinor.is_not_null())
        .order_by_asc(customer::Column::Code)
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let used = async || {
        customer::Entity::find_by_id(buyer.id)
            .one(&app.app.db.read)
            .await
            .unwrap()
            .unwrap()
            .credit_used_minor
    };
    let before = used().await;
    let order = taken(
        app,
        json!({ "channel": "b2b", "customer": { "code": buyer.code },
        "lines": [{ "sku": "PEN", "quantity": 4 }], "payment": { "method": "ACCOUNT" } }),
    )
    .await;
    assert_eq!(order["stage"], "STAGED", "{order:#}");
    let four = used().await - before;
    let line_id = order["lines"][0]["id"].clone();
    let to = |quantity: i64| json!({ "lines": [{ "lineId": line_id, "quantity": quantity }] });
    let done = edit(app, &order, to(8)).await;
    assert_eq!(done["order"]["stage"], "STAGED", "{done:#}");
    assert!(used().await - before > four);
    let done = edit(app, &done["order"], to(1)).await;
    assert!(used().await - before < four);
    // More than the limit waits for a person, and the credit stays as it was.
    let kept = used().await;
    let done = edit(app, &done["order"], to(90_000)).await;
    assert_eq!(done["order"]["stage"], "ON_HOLD", "{done:#}");
    assert_eq!(used().await, kept);
    let done = edit(app, &done["order"], to(4)).await;
    assert_eq!(done["order"]["stage"], "STAGED", "{done:#}");
    assert_eq!(used().await - before, four);
}

async fn a1_a_declined_top_up_waits_for_a_person_and_can_be_edited_away(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 10, true).await;
    let order = taken(app, json!({ "lines": [{ "sku": "PEN", "quantity": 1 }] })).await;
    let line_id = order["lines"][0]["id"].clone();
    let more = json!({ "lines": [{ "lineId": line_id, "quantity": 3 }],
        "paymentToken": "tok_decline" });
    edit(app, &order, more).await;
    app.settle().await;
    let now = present(app, &order).await;
    assert_eq!(now["stage"], "ON_HOLD", "{now:#}");
    assert_eq!(now["exceptions"][0]["code"], "PAYMENT_DECLINED");
    // Its added units' hold runs out; what was paid for stays, and so does the order.
    app.clock.advance(chrono::Duration::hours(2));
    app.settle().await;
    let now = present(app, &order).await;
    assert_eq!(now["status"], "RECEIVED", "{now:#}");
    assert_eq!(app.stock_of(&pen).await.1, 1);
    let back = json!({ "lines": [{ "lineId": line_id, "quantity": 1 }] });
    let done = edit(app, &now, back).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    app.settle().await;
    let now = present(app, &order).await;
    assert_eq!(now["stage"], "STAGED", "{now:#}");
    assert_eq!(now["payment"]["authorized"], now["total"]);
}

async fn a1_what_changes_while_the_card_is_asked_is_squared_when_it_answers(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 50, true).await;
    let order = app
        .place(basket_with(
            json!({ "lines": [{ "sku": "PEN", "quantity": 2 }],
            "payment": { "method": "CARD", "token": "tok_late" } }),
        ))
        .await;
    let mut order = present(app, &order).await;
    let line_id = order["lines"][0]["id"].clone();
    for quantity in [5, 1, 4] {
        let to = json!({ "lines": [{ "lineId": line_id, "quantity": quantity }] });
        order = edit(app, &order, to).await["order"].take();
        assert_eq!(order["lines"][0]["quantity"], quantity, "{order:#}");
    }
    // Only the first has been asked for.
    assert_eq!(asked(app).await.len(), 1);
    for _ in 0..6 {
        app.clock.advance(chrono::Duration::minutes(2));
        app.settle().await;
    }
    let now = present(app, &order).await;
    assert_eq!(now["stage"], "STAGED", "{now:#}\n{:?}", asked(app).await);
    assert_eq!(now["payment"]["authorized"], now["total"]);
}

async fn a1_an_edit_is_committed_once_for_its_key(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 50, true).await;
    let order = taken(app, json!({ "lines": [{ "sku": "PEN", "quantity": 2 }] })).await;
    let more = json!({ "addLines": [{ "sku": "PEN", "quantity": 1 }], "idempotencyKey": "e-1" });
    let first = edit(app, &order, more.clone()).await;
    let again = edit(app, &order, more).await;
    assert_eq!(again["replayed"], true, "{again:#}");
    assert_eq!(again["order"]["lines"], first["order"]["lines"]);
    let other = json!({ "addLines": [{ "sku": "PEN", "quantity": 2 }], "idempotencyKey": "e-1" });
    assert_eq!(
        codes(&edit(app, &order, other).await),
        ["IDEMPOTENCY_KEY_REUSED"]
    );
    // Without the key, the old version is stale.
    let stale = edit(app, &order, json!({ "serviceLevel": "EXPRESS" })).await;
    assert_eq!(codes(&stale), ["STALE_VERSION"]);
}

async fn a1_an_edit_that_makes_no_order_is_refused_where_it_is_wrong(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 50, false).await;
    let order = taken(app, json!({ "lines": [{ "sku": "PEN", "quantity": 2 }] })).await;
    let line_id = &order["lines"][0]["id"];
    let cases = [
        (
            json!({ "lines": [{ "lineId": line_id, "quantity": 0 }] }),
            "LINES_MISSING",
            json!(["input", "lines"]),
        ),
        (
            json!({ "lines": [{ "lineId": line_id, "quantity": -1 }] }),
            "QUANTITY_INVALID",
            json!(["input", "lines"]),
        ),
        (
            json!({ "lines": [{ "lineId": line_id, "quantity": 51 }] }),
            "INSUFFICIENT_STOCK",
            json!(["input", "lines", "0", "quantity"]),
        ),
        (
            json!({ "lines": [{ "lineId": line_id, "unitPrice": "1.001" }] }),
            "AMOUNT_INVALID",
            json!(["input", "lines"]),
        ),
        (
            json!({ "lines": [{ "lineId": line_id, "discount": "1000" }] }),
            "AMOUNT_INVALID",
            json!(["input", "lines"]),
        ),
        (
            json!({ "lines": [{ "lineId": line_id }, { "lineId": line_id }] }),
            "INVALID_INPUT",
            json!(["input", "lines", "1", "lineId"]),
        ),
        (
            json!({ "lines": [{ "lineId": "nonsense" }] }),
            "NOT_FOUND",
            json!(["input", "lines", "0", "lineId"]),
        ),
        (
            json!({ "addLines": [{ "sku": "NO-SUCH", "quantity": 1 }] }),
            "SKU_UNKNOWN",
            json!(["input", "addLines", "0", "sku"]),
        ),
        (
            json!({ "addLines": [{ "sku": "PEN", "quantity": 0 }] }),
            "QUANTITY_INVALID",
            json!(["input", "addLines", "0", "quantity"]),
        ),
        (
            json!({ "shippingAddress": { "line1": "x", "city": "y", "country": "Atlantis" } }),
            "ADDRESS_INVALID",
            json!(["input", "shippingAddress", "country"]),
        ),
        (
            json!({ "contact": { "email": "nonsense" } }),
            "EMAIL_INVALID",
            json!(["input", "customer", "email"]),
        ),
        (
            json!({ "promotionCodes": ["NO-SUCH"] }),
            "PROMOTION_REJECTED",
            json!(["input", "promotionCodes"]),
        ),
        (
            json!({ "reason": " " }),
            "INVALID_INPUT",
            json!(["input", "reason"]),
        ),
    ];
    for (changes, code, field) in cases {
        for payload in [
            preview(app, &order, changes.clone()).await,
            edit(app, &order, changes.clone()).await,
        ] {
            assert_eq!(codes(&payload), [code], "{changes:#} {payload:#}");
            assert_eq!(
                payload["userErrors"][0]["field"], field,
                "{changes:#} {payload:#}"
            );
        }
    }
    assert_eq!(present(app, &order).await, order);
}

async fn a1_an_order_that_has_ended_cannot_be_edited(app: &TestApp) {
    app.open_shop().await;
    let order = taken(app, json!({})).await;
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"x\" }) {
        order { id version } userErrors { code } } }";
    let ended = app.gql(cancel, json!({ "id": order["id"] })).await["orderCancel"]["order"].take();
    let late = edit(app, &ended, json!({ "serviceLevel": "EXPRESS" })).await;
    assert_eq!(codes(&late), ["ORDER_NOT_EDITABLE"], "{late:#}");
    app.settle().await;
    let paid = payment::Entity::find()
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(paid.authorized_minor, 0);
}
