//! What comes back: asked for, received, inspected unit by unit, and paid for only then; and money
//! that goes back though nothing comes.

use std::collections::BTreeMap;

use api::graphql::ids::to_global;
use chrono::Duration;
use entity::api_key::Role;
use entity::payment_transaction::{Kind, State};
use entity::shipment::TrackingStatus;
use entity::{
    Currency, OrderId, Rate, invoice, order_line, refund, return_order, stock, stock_movement,
};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::{Value, json};
use support::dice::Dice;
use support::merchant::{Stocked, basket_with, codes};
use support::{TestApp, both_backends};

use crate::archive::put_away;
use crate::captures::{
    act, card, effects, events, hear, leave, open, packed, part, payment_of, scanned, seen,
};
use crate::fulfillment::assert_clean;
use crate::invoices::{sell_in, sold};

both_backends!(
    q3_a_return_is_asked_for_received_inspected_and_only_then_paid_for,
    q3a_only_what_has_left_and_is_on_no_other_return_comes_back_and_only_in_time,
    q3b_what_comes_without_being_announced_is_taken_in_and_a_parcel_holds_several_returns,
    q3c_of_five_three_come_and_something_else_besides,
    q3d_money_ahead_of_the_goods_needs_a_role_and_a_reason_and_leaves_a_trail,
    q3d_everything_back_is_everything_captured_less_the_fee,
    q3d_of_64_who_pay_for_the_same_units_at_once_one_does,
    q3d_what_the_gateway_does_not_give_back_stays_owed,
    q3d_an_amount_goes_back_for_a_reason_and_never_more_than_is_left,
    q3_of_an_order_that_was_put_away_something_is_returned,
    q3_what_is_restocked_goes_to_whoever_waits_for_it,
    q3d_no_more_goes_back_than_was_captured_whatever_comes_back_when,
);

const SHOWN: &str = "return { id number status version announced trackingNumber
        order { id returnStatus paymentStatus lines { returned } }
        lines { lineId quantity received refunded reason orderLine { id sku } }
        units { lineId sku quantity condition disposition movement { kind deltaOnHand } }
        availableActions { action enabled } }
    replayed userErrors { code field message details }";

/// Does something to a return, as whoever has a key.
async fn go_as(app: &TestApp, key: Option<&str>, mutation: &str, input: Value) -> Value {
    let kind = match mutation {
        "returnDecline" | "returnCancel" | "returnClose" => "ReturnEnd".to_owned(),
        _ => mutation[..1].to_uppercase() + &mutation[1..],
    };
    let document =
        format!("mutation Go($input: {kind}Input!) {{ {mutation}(input: $input) {{ {SHOWN} }} }}");
    let variables = json!({ "input": input });
    match key {
        Some(key) => app.gql_as(key, &document, variables).await[mutation].take(),
        None => app.gql(&document, variables).await[mutation].take(),
    }
}

async fn go(app: &TestApp, mutation: &str, input: Value) -> Value {
    go_as(app, None, mutation, input).await
}

/// The same, which is not refused: the return.
async fn done(app: &TestApp, mutation: &str, input: Value) -> Value {
    let mut payload = go(app, mutation, input).await;
    assert_eq!(payload["userErrors"], json!([]), "{mutation}: {payload:#}");
    payload["return"].take()
}

fn global(id: OrderId) -> Value {
    json!(to_global(id).as_str())
}

/// The only line of an order, put away or not.
async fn line_of(app: &TestApp, id: OrderId) -> Value {
    app.order(&global(id)).await["lines"][0]["id"].take()
}

/// What asks for so many units of an order's only line.
async fn wish(app: &TestApp, id: OrderId, units: i64, reason: &str) -> Value {
    let line = line_of(app, id).await;
    json!({ "orderId": global(id), "note": "please be quick",
        "lines": [{ "lineId": line, "quantity": units, "reason": reason }] })
}

/// A return of so many units that is approved.
async fn approved(app: &TestApp, id: OrderId, units: i64, reason: &str) -> Value {
    let asked = done(app, "returnRequest", wish(app, id, units, reason).await).await;
    done(app, "returnApprove", json!({ "id": asked["id"] })).await
}

async fn received(app: &TestApp, of: &Stocked, back: &Value, units: i64) -> Value {
    let input = json!({ "id": back["id"], "warehouseId": to_global(of.warehouse),
        "lines": [{ "lineId": back["lines"][0]["lineId"], "quantity": units }] });
    done(app, "returnReceive", input).await
}

fn found(back: &Value, units: i64, condition: &str, disposition: &str) -> Value {
    json!({ "lineId": back["lines"][0]["lineId"], "quantity": units, "condition": condition,
        "disposition": disposition })
}

async fn inspected(app: &TestApp, back: &Value, units: Value) -> Value {
    done(
        app,
        "returnInspect",
        json!({ "id": back["id"], "units": units }),
    )
    .await
}

/// A unit of an order comes back, and is paid for without its delivery.
pub async fn paid_back(app: &TestApp, of: &Stocked, id: OrderId) {
    let back = approved(app, id, 1, "OTHER").await;
    let back = received(app, of, &back, 1).await;
    let back = inspected(app, &back, json!([found(&back, 1, "NEW", "RESTOCKED")])).await;
    let pay = json!({ "id": back["id"], "delivery": false });
    done(app, "returnRefund", pay).await;
    app.settle().await;
}

async fn on_hand(app: &TestApp, of: &Stocked) -> i64 {
    let row = stock::Entity::find_by_id((of.id, of.warehouse));
    row.one(&app.app.db.read).await.unwrap().unwrap().on_hand
}

async fn refunds(app: &TestApp, id: OrderId) -> Vec<refund::Model> {
    refund::Entity::find()
        .filter(refund::Column::OrderId.eq(id))
        .all(&app.app.db.read)
        .await
        .unwrap()
}

async fn credited(app: &TestApp, id: OrderId) -> i64 {
    let rows = invoice::Entity::find()
        .filter(invoice::Column::OrderId.eq(id))
        .filter(invoice::Column::Kind.eq(invoice::Kind::CreditNote))
        .all(&app.app.db.read)
        .await
        .unwrap();
    rows.iter().map(|row| row.total_minor).sum()
}

async fn q3_a_return_is_asked_for_received_inspected_and_only_then_paid_for(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, _) = sold(app, &cup, 3, json!({})).await;
    let stocked = on_hand(app, &cup).await;
    let asked = done(
        app,
        "returnRequest",
        wish(app, id, 2, "NO_LONGER_WANTED").await,
    )
    .await;
    assert_eq!(asked["status"], "REQUESTED");
    assert_eq!(asked["order"]["returnStatus"], "REQUESTED");
    let number = asked["number"].as_str().unwrap().to_owned();
    assert!(number.ends_with("-R1"), "{number}");
    // Not before its time, in whatever order.
    let pay = json!({ "id": asked["id"] });
    assert_eq!(
        codes(&go(app, "returnRefund", pay.clone()).await),
        ["RETURN_STATE_INVALID"]
    );
    let back = done(app, "returnApprove", json!({ "id": asked["id"] })).await;
    let again = go(app, "returnApprove", json!({ "id": asked["id"] })).await;
    assert_eq!(codes(&again), ["RETURN_STATE_INVALID"]);
    assert_eq!(
        codes(&go(app, "returnRefund", pay.clone()).await),
        ["RETURN_STATE_INVALID"]
    );
    let parcel = json!({ "id": back["id"], "carrier": "ALPENPOST", "trackingNumber": "BACK-1" });
    assert_eq!(
        done(app, "returnShip", parcel).await["status"],
        "IN_TRANSIT"
    );
    assert_eq!(
        codes(&go(app, "returnRefund", pay.clone()).await),
        ["RETURN_STATE_INVALID"]
    );
    let back = received(app, &cup, &back, 2).await;
    assert_eq!(back["status"], "RECEIVED");
    assert_eq!(
        on_hand(app, &cup).await,
        stocked,
        "nobody has looked at them"
    );
    let refused = go(app, "returnRefund", pay.clone()).await;
    assert_eq!(codes(&refused), ["RETURN_NOT_INSPECTED"]);
    assert_eq!(refused["userErrors"][0]["details"]["units"], 2);
    let back = inspected(app, &back, json!([found(&back, 1, "NEW", "RESTOCKED")])).await;
    assert_eq!(back["status"], "RECEIVED");
    assert_eq!(
        codes(&go(app, "returnRefund", pay.clone()).await),
        ["RETURN_NOT_INSPECTED"]
    );
    let more = json!([found(&back, 2, "DAMAGED", "WRITTEN_OFF")]);
    let refused = go(
        app,
        "returnInspect",
        json!({ "id": back["id"], "units": more }),
    )
    .await;
    assert_eq!(codes(&refused), ["QUANTITY_INVALID"], "one is left");
    let back = inspected(
        app,
        &back,
        json!([found(&back, 1, "DAMAGED", "WRITTEN_OFF")]),
    )
    .await;
    assert_eq!(back["status"], "INSPECTED");
    assert_eq!(back["order"]["returnStatus"], "INSPECTED");
    assert_eq!(back["order"]["lines"][0]["returned"], 2);
    assert_eq!(on_hand(app, &cup).await, stocked + 1, "one is good");
    let moved: Vec<&Value> = back["units"].as_array().unwrap().iter().collect();
    assert_eq!(
        moved[0]["movement"],
        json!({ "kind": "RETURN", "deltaOnHand": 1 })
    );
    assert_eq!(
        moved[1]["movement"],
        json!({ "kind": "WRITE_OFF", "deltaOnHand": -1 })
    );
    assert_eq!(payment_of(app, id).await.refunded_minor, 0);

    let key = json!({ "id": back["id"], "idempotencyKey": "pay" });
    let closed = done(app, "returnRefund", key.clone()).await;
    assert_eq!(closed["status"], "CLOSED");
    assert_eq!(closed["order"]["returnStatus"], "RETURNED");
    assert_eq!(closed["order"]["paymentStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(closed["lines"][0]["refunded"], 2);
    let again = go(app, "returnRefund", key).await;
    assert_eq!(
        (&again["replayed"], codes(&again)),
        (&json!(true), Vec::new())
    );
    assert_eq!(
        codes(&go(app, "returnRefund", pay).await),
        ["RETURN_STATE_INVALID"]
    );
    app.settle().await;
    let payment = payment_of(app, id).await;
    let line = order_line::Entity::find().filter(order_line::Column::OrderId.eq(id));
    let line = line.one(&app.app.db.read).await.unwrap().unwrap();
    let share = line.gross_minor * 2 / 3;
    assert!((payment.refunded_minor - share).abs() <= 1, "{payment:?}");
    assert_eq!(payment.refund_pending_minor, 0);
    assert_eq!(credited(app, id).await, payment.refunded_minor);
    let decided = refunds(app, id).await;
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0].amount_minor, payment.refunded_minor);
    assert_eq!(
        effects(app, id, Kind::Refund).await,
        [(State::Succeeded, payment.refunded_minor)]
    );
    let told = events(app, id).await;
    for event in [
        "order.return_requested",
        "order.return_approved",
        "order.return_shipped",
        "order.return_received",
        "order.return_inspected",
        "order.refund_requested",
        "order.return_closed",
        "order.payment_refunded",
    ] {
        assert!(told.contains(&event.to_owned()), "{event} in {told:?}");
    }
    assert_clean(app).await;
}

async fn q3a_only_what_has_left_and_is_on_no_other_return_comes_back_and_only_in_time(
    app: &TestApp,
) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let waiting = crate::captures::placed(app, &cup, 2, card("tok_approve")).await;
    let asked = go(app, "returnRequest", wish(app, waiting, 1, "OTHER").await).await;
    assert_eq!(codes(&asked), ["NOTHING_TO_RETURN"], "it has not left");
    let (id, _) = sold(app, &cup, 3, json!({})).await;
    let many = go(app, "returnRequest", wish(app, id, 4, "OTHER").await).await;
    assert_eq!(codes(&many), ["NOTHING_TO_RETURN"]);
    assert_eq!(many["userErrors"][0]["details"]["returnable"], 3);
    assert_eq!(
        many["userErrors"][0]["field"],
        json!(["input", "lines", "0", "quantity"])
    );
    let first = done(app, "returnRequest", wish(app, id, 2, "OTHER").await).await;
    let more = go(app, "returnRequest", wish(app, id, 2, "OTHER").await).await;
    assert_eq!(more["userErrors"][0]["details"]["returnable"], 1);
    let second = done(app, "returnRequest", wish(app, id, 1, "OTHER").await).await;
    assert_ne!(first["number"], second["number"]);
    let declined = json!({ "id": first["id"], "reason": "worn" });
    assert_eq!(
        done(app, "returnDecline", declined).await["status"],
        "DECLINED"
    );
    let called_off = json!({ "id": second["id"], "reason": "kept" });
    let ended = done(app, "returnCancel", called_off).await;
    assert_eq!(ended["order"]["returnStatus"], "NONE");
    let again = done(app, "returnRequest", wish(app, id, 3, "OTHER").await).await;
    let ends = json!({ "id": again["id"], "reason": "kept" });
    done(app, "returnCancel", ends).await;
    // Nobody else's, and nothing that is not there.
    let line = line_of(app, waiting).await;
    let mut others = wish(app, id, 1, "OTHER").await;
    others["lines"][0]["lineId"] = line;
    assert_eq!(
        codes(&go(app, "returnRequest", others).await),
        ["NOT_FOUND"]
    );
    let none = json!({ "orderId": global(id), "lines": [] });
    assert_eq!(
        codes(&go(app, "returnRequest", none).await),
        ["INVALID_INPUT"]
    );
    let key = app.key_for(Role::Partner, &["b2b"], None).await.key;
    let hidden = go_as(
        app,
        Some(&key),
        "returnRequest",
        wish(app, id, 1, "OTHER").await,
    )
    .await;
    assert_eq!(codes(&hidden), ["NOT_FOUND"], "another channel's");

    app.clock.advance(Duration::days(31));
    let late = go(app, "returnRequest", wish(app, id, 1, "OTHER").await).await;
    assert_eq!(codes(&late), ["RETURN_WINDOW_CLOSED"]);
    assert_eq!(late["userErrors"][0]["details"]["windowDays"], 30);
    let mut accepted = wish(app, id, 1, "OTHER").await;
    accepted["acceptLate"] = json!(true);
    let partner = app.key_for(Role::Partner, &["web"], None).await.key;
    let document = format!(
        "mutation Go($input: ReturnRequestInput!) {{ returnRequest(input: $input) {{ {SHOWN} }} }}"
    );
    let refused = app
        .answer_as(Some(&partner), &document, json!({ "input": accepted }))
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
    assert_eq!(
        done(app, "returnRequest", accepted).await["status"],
        "REQUESTED"
    );
    assert_clean(app).await;
}

async fn q3b_what_comes_without_being_announced_is_taken_in_and_a_parcel_holds_several_returns(
    app: &TestApp,
) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (one, _) = sold(app, &cup, 1, json!({})).await;
    let (two, _) = sold(app, &cup, 2, json!({})).await;
    app.clock.advance(Duration::days(90));
    for (id, units) in [(one, 1), (two, 2)] {
        let mut input = wish(app, id, units, "OTHER").await;
        input["warehouseId"] = json!(to_global(cup.warehouse).as_str());
        input["carrier"] = json!("ALPENPOST");
        input["trackingNumber"] = json!("BACK-2");
        let back = done(app, "returnReceiveUnannounced", input).await;
        assert_eq!(
            (&back["status"], &back["announced"]),
            (&json!("RECEIVED"), &json!(false))
        );
        assert_eq!(back["lines"][0]["received"], units);
    }
    let query = "query R($where: ReturnWhere) { returns(where: $where) {
        nodes { id number lines { lineId quantity } } } }";
    let found = app
        .gql(query, json!({ "where": { "trackingNumber": "BACK-2" } }))
        .await;
    let nodes = found["returns"]["nodes"].as_array().unwrap().clone();
    assert_eq!(nodes.len(), 2);
    for back in &nodes {
        let units = back["lines"][0]["quantity"].as_i64().unwrap();
        let finding = json!([{ "lineId": back["lines"][0]["lineId"], "quantity": units,
            "condition": "OPENED", "disposition": "RESTOCKED" }]);
        assert_eq!(inspected(app, back, finding).await["status"], "INSPECTED");
        done(app, "returnRefund", json!({ "id": back["id"] })).await;
    }
    app.settle().await;
    for id in [one, two] {
        let payment = payment_of(app, id).await;
        assert_eq!(
            payment.refunded_minor, payment.captured_minor,
            "the delivery as well"
        );
        assert_eq!(seen(app, id).await["paymentStatus"], "REFUNDED");
    }
    assert_clean(app).await;
}

async fn q3c_of_five_three_come_and_something_else_besides(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let bowl = app.stocked("BOWL", 1, false).await;
    let (id, _) = sold(app, &cup, 5, json!({})).await;
    let back = approved(app, id, 5, "WRONG_SIZE").await;
    let back = received(app, &cup, &back, 3).await;
    let over = json!({ "id": back["id"], "warehouseId": to_global(cup.warehouse),
        "lines": [{ "lineId": back["lines"][0]["lineId"], "quantity": 3 }] });
    assert_eq!(
        codes(&go(app, "returnReceive", over).await),
        ["QUANTITY_INVALID"]
    );
    // What does not fit takes back all of it.
    let stocked = on_hand(app, &cup).await;
    for (unit, code) in [
        (found(&back, 1, "NOT_SEEN", "RESTOCKED"), "INVALID_INPUT"),
        (found(&back, 1, "NEW", "MISSING"), "INVALID_INPUT"),
        (found(&back, 0, "NEW", "RESTOCKED"), "QUANTITY_INVALID"),
        (found(&back, 4, "NEW", "RESTOCKED"), "QUANTITY_INVALID"),
        (found(&back, 3, "NOT_SEEN", "MISSING"), "QUANTITY_INVALID"),
        (
            json!({ "sku": "a lamp", "quantity": 1, "condition": "USED", "disposition": "RESTOCKED" }),
            "SKU_UNKNOWN",
        ),
        (
            json!({ "quantity": 1, "condition": "USED", "disposition": "RESTOCKED" }),
            "INVALID_INPUT",
        ),
    ] {
        let units = json!([found(&back, 1, "NEW", "RESTOCKED"), unit]);
        let refused = go(
            app,
            "returnInspect",
            json!({ "id": back["id"], "units": units }),
        )
        .await;
        assert_eq!(codes(&refused), [code], "{unit}");
        assert_eq!(on_hand(app, &cup).await, stocked);
    }
    let units = json!([
        found(&back, 2, "NEW", "RESTOCKED"),
        found(&back, 1, "USED", "WRITTEN_OFF"),
        { "sku": "bowl", "quantity": 1, "condition": "NEW", "disposition": "RESTOCKED",
            "note": "not ours to expect", "photo": "photos/17.jpg" },
        { "sku": "a lamp", "quantity": 1, "condition": "DAMAGED", "disposition": "WRITTEN_OFF" },
    ]);
    let back = inspected(app, &back, units).await;
    assert_eq!(back["status"], "RECEIVED", "two have not come");
    assert_eq!(on_hand(app, &cup).await, stocked + 2);
    assert_eq!(on_hand(app, &bowl).await, 2);
    let stray = back["units"].as_array().unwrap().iter();
    let stray: Vec<&str> = stray
        .filter(|unit| unit["lineId"].is_null())
        .map(|unit| unit["sku"].as_str().unwrap())
        .collect();
    assert_eq!(stray, ["BOWL", "a lamp"]);
    let report = "query R($input: OperationsReportInput!) { operationsReport(input: $input) {
        report { lines { returnsByReason { reason units }
            returnsByDisposition { disposition units } } } userErrors { code } } }";
    let day = app.app.clock.now().date_naive();
    let input = json!({ "from": day, "to": day, "interval": "TOTAL" });
    app.settle().await;
    let said = app.gql(report, json!({ "input": input })).await;
    let line = &said["operationsReport"]["report"]["lines"][0];
    assert_eq!(
        line["returnsByReason"],
        json!([{ "reason": "WRONG_SIZE", "units": 5 }]),
        "{said:#}"
    );
    let found_units = json!([{ "disposition": "RESTOCKED", "units": 3 },
        { "disposition": "WRITTEN_OFF", "units": 2 }]);
    assert_eq!(line["returnsByDisposition"], found_units);
    // The three are paid for; the others may still come.
    let back = done(app, "returnRefund", json!({ "id": back["id"] })).await;
    assert_eq!(
        (&back["status"], &back["lines"][0]["refunded"]),
        (&json!("RECEIVED"), &json!(3))
    );
    let none = go(app, "returnRefund", json!({ "id": back["id"] })).await;
    assert_eq!(codes(&none), ["RETURN_STATE_INVALID"], "nothing more came");
    let back = received(app, &cup, &back, 1).await;
    let units = json!([
        found(&back, 1, "NEW", "RESTOCKED"),
        found(&back, 1, "NOT_SEEN", "MISSING")
    ]);
    let back = inspected(app, &back, units).await;
    assert_eq!(back["status"], "INSPECTED");
    let back = done(app, "returnRefund", json!({ "id": back["id"] })).await;
    assert_eq!(
        (&back["status"], &back["lines"][0]["refunded"]),
        (&json!("CLOSED"), &json!(4))
    );
    assert_eq!(back["order"]["lines"][0]["returned"], 4);
    // What never came may come by another return.
    let last = done(app, "returnRequest", wish(app, id, 1, "OTHER").await).await;
    assert_eq!(last["status"], "REQUESTED");
    assert_clean(app).await;
}

async fn q3d_money_ahead_of_the_goods_needs_a_role_and_a_reason_and_leaves_a_trail(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, _) = sold(app, &cup, 3, json!({})).await;
    let back = approved(app, id, 2, "DEFECTIVE").await;
    let ahead = |units: i64, reason: &str| {
        json!({ "id": back["id"], "override": { "reason": reason,
            "lines": [{ "lineId": back["lines"][0]["lineId"], "quantity": units }] } })
    };
    let support = app.key(Role::Support).await;
    let document = format!(
        "mutation Go($input: ReturnRefundInput!) {{ returnRefund(input: $input) {{ {SHOWN} }} }}"
    );
    let input = json!({ "input": ahead(1, "lost in the mail") });
    let refused = app.answer_as(Some(&support), &document, input).await;
    assert_eq!(refused.code(), "FORBIDDEN");
    assert_eq!(
        codes(&go(app, "returnRefund", ahead(1, " ")).await),
        ["INVALID_INPUT"]
    );
    assert_eq!(
        codes(&go(app, "returnRefund", ahead(3, "all")).await),
        ["QUANTITY_INVALID"]
    );
    let paid = done(app, "returnRefund", ahead(1, "lost in the mail")).await;
    assert_eq!(
        (&paid["status"], &paid["lines"][0]["refunded"]),
        (&json!("APPROVED"), &json!(1))
    );
    let trail = refunds(app, id).await;
    assert_eq!(
        trail[0].override_reason.as_deref(),
        Some("lost in the mail")
    );
    let query = "query T($id: ID!) { order(by: { id: $id }) { timeline { event details } } }";
    app.settle().await;
    let told = app.gql(query, json!({ "id": global(id) })).await;
    let told = told["order"]["timeline"].as_array().unwrap().clone();
    let told = told
        .iter()
        .find(|one| one["event"] == "order.refund_requested");
    assert_eq!(
        told.unwrap()["details"]["overrideReason"],
        "lost in the mail"
    );
    // Then both come after all: one is paid for already.
    let back = received(app, &cup, &paid, 2).await;
    let back = inspected(
        app,
        &back,
        json!([found(&back, 2, "DEFECTIVE", "WRITTEN_OFF")]),
    )
    .await;
    let back = done(app, "returnRefund", json!({ "id": back["id"] })).await;
    assert_eq!(
        (&back["status"], &back["lines"][0]["refunded"]),
        (&json!("CLOSED"), &json!(2))
    );
    assert_clean(app).await;
}

async fn q3d_everything_back_is_everything_captured_less_the_fee(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    app.change_channel("web", |channel| {
        channel.restocking_fee = Set(Rate("0.15".parse().unwrap()));
    })
    .await;
    let cup = app.stocked("CUP", 60, false).await;
    for (reason, waived, keeps) in [
        ("NO_LONGER_WANTED", false, true),
        ("NO_LONGER_WANTED", true, false),
        ("DEFECTIVE", false, false),
    ] {
        let placed = crate::captures::placed(app, &cup, 7, card("tok_approve")).await;
        part(app, placed, 3).await;
        part(app, placed, 1).await;
        for shipment in packed(app, &cup, placed, 1).await {
            leave(app, shipment).await;
            scanned(app, shipment).await;
        }
        app.settle().await;
        let mut fee = 0;
        for units in [2, 4, 1] {
            let back = approved(app, placed, units, reason).await;
            let back = received(app, &cup, &back, units).await;
            let units = json!([found(&back, units, "NEW", "RESTOCKED")]);
            let back = inspected(app, &back, units).await;
            let pay = json!({ "id": back["id"], "waiveFee": waived });
            assert_eq!(done(app, "returnRefund", pay).await["status"], "CLOSED");
            fee = refunds(app, placed)
                .await
                .iter()
                .map(|row| row.fee_minor)
                .sum();
        }
        app.settle().await;
        let payment = payment_of(app, placed).await;
        assert_eq!(
            payment.refunded_minor,
            payment.captured_minor - fee,
            "{reason}"
        );
        assert_eq!(fee > 0, keeps, "{reason}");
        assert_eq!(credited(app, placed).await, payment.refunded_minor);
    }
    assert_clean(app).await;
}

async fn q3d_of_64_who_pay_for_the_same_units_at_once_one_does(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, _) = sold(app, &cup, 3, json!({})).await;
    let back = approved(app, id, 3, "OTHER").await;
    let back = received(app, &cup, &back, 3).await;
    let back = inspected(app, &back, json!([found(&back, 3, "NEW", "RESTOCKED")])).await;
    let pays = (0..64).map(|_| go(app, "returnRefund", json!({ "id": back["id"] })));
    let answers = join_all(pays).await;
    let paid = answers.iter().filter(|one| codes(one).is_empty()).count();
    assert_eq!(paid, 1);
    for other in answers.iter().filter(|one| !codes(one).is_empty()) {
        assert_eq!(codes(other), ["RETURN_STATE_INVALID"]);
    }
    app.settle().await;
    let payment = payment_of(app, id).await;
    assert_eq!(payment.refunded_minor, payment.captured_minor);
    assert_eq!(refunds(app, id).await.len(), 1);
    assert_eq!(credited(app, id).await, payment.captured_minor);
    assert_clean(app).await;
}

async fn q3d_what_the_gateway_does_not_give_back_stays_owed(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, _) = sold(
        app,
        &cup,
        1,
        json!({ "payment": card("tok_refund_decline") }),
    )
    .await;
    let back = approved(app, id, 1, "OTHER").await;
    let back = received(app, &cup, &back, 1).await;
    let back = inspected(app, &back, json!([found(&back, 1, "NEW", "RESTOCKED")])).await;
    assert_eq!(
        done(app, "returnRefund", json!({ "id": back["id"] })).await["status"],
        "CLOSED"
    );
    app.settle().await;
    assert_eq!(open(app, id).await, ["REFUND_FAILED"]);
    let payment = payment_of(app, id).await;
    assert_eq!(
        (payment.refunded_minor, payment.refund_pending_minor),
        (0, 0)
    );
    assert_clean(app).await;
    let again = act(app, "orderRetryRefund", id, json!({})).await;
    assert_eq!(again["userErrors"], json!([]));
    app.settle().await;
    assert_eq!(open(app, id).await, ["REFUND_FAILED"], "told once");
    let asked = effects(app, id, Kind::Refund).await;
    let due = refunds(app, id).await[0].amount_minor;
    assert_eq!(asked, [(State::Declined, due), (State::Declined, due)]);
    // The customer has another card by now.
    entity::payment_transaction::Entity::update_many()
        .col_expr(
            entity::payment_transaction::Column::Instrument,
            sea_orm::sea_query::Expr::value("tok_approve"),
        )
        .filter(entity::payment_transaction::Column::OrderId.eq(id))
        .exec(&app.app.db.write)
        .await
        .unwrap();
    act(app, "orderRetryRefund", id, json!({})).await;
    app.settle().await;
    assert_eq!(open(app, id).await, [""; 0]);
    assert_eq!(payment_of(app, id).await.refunded_minor, due);
    let none = act(app, "orderRetryRefund", id, json!({})).await;
    assert_eq!(codes(&none), ["ORDER_STATE_INVALID"]);
    assert_clean(app).await;
}

async fn q3d_an_amount_goes_back_for_a_reason_and_never_more_than_is_left(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, _) = sold(app, &cup, 2, json!({})).await;
    let give = |amount: &str, reason: &str| json!({ "amount": amount, "reason": reason });
    for (input, code) in [
        (give("0", "late"), "AMOUNT_INVALID"),
        (give("-1", "late"), "AMOUNT_INVALID"),
        (give("1.001", "late"), "AMOUNT_INVALID"),
        (give("1", ""), "INVALID_INPUT"),
        (give("10000", "late"), "REFUND_EXCEEDS_CAPTURED"),
    ] {
        let refused = act(app, "orderRefund", id, input.clone()).await;
        assert_eq!(codes(&refused), [code], "{input}");
    }
    let given = act(app, "orderRefund", id, give("2.50", "it came late")).await;
    assert_eq!(given["userErrors"], json!([]));
    app.settle().await;
    assert_eq!(payment_of(app, id).await.refunded_minor, 250);
    assert_eq!(credited(app, id).await, 250);
    // What is left goes back with the goods.
    let back = approved(app, id, 2, "OTHER").await;
    let back = received(app, &cup, &back, 2).await;
    let back = inspected(app, &back, json!([found(&back, 2, "NEW", "RESTOCKED")])).await;
    done(app, "returnRefund", json!({ "id": back["id"] })).await;
    app.settle().await;
    let payment = payment_of(app, id).await;
    assert_eq!(payment.refunded_minor, payment.captured_minor);
    let more = act(app, "orderRefund", id, give("0.01", "more")).await;
    assert_eq!(codes(&more), ["REFUND_EXCEEDS_CAPTURED"]);
    // On account, what is owed becomes less.
    let (owed, _) = sold(
        app,
        &cup,
        1,
        json!({ "channel": "web", "customer": { "code": "C-1001" } }),
    )
    .await;
    let given = act(app, "orderRefund", owed, give("1", "goodwill")).await;
    assert_eq!(given["userErrors"], json!([]));
    assert_clean(app).await;
}

async fn q3_of_an_order_that_was_put_away_something_is_returned(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let (id, shipment) = sold(app, &cup, 2, json!({})).await;
    hear(app, shipment, TrackingStatus::Delivered, false).await;
    app.settle().await;
    put_away(app, id).await;
    let back = approved(app, id, 1, "OTHER").await;
    let back = received(app, &cup, &back, 1).await;
    let back = inspected(app, &back, json!([found(&back, 1, "NEW", "RESTOCKED")])).await;
    done(app, "returnRefund", json!({ "id": back["id"] })).await;
    app.settle().await;
    // It is put away with its return, and still found by it.
    put_away(app, id).await;
    assert_eq!(
        return_order::Entity::find()
            .all(&app.app.db.read)
            .await
            .unwrap(),
        []
    );
    let query = "query R($id: ID!) { return(id: $id) { status lines { refunded }
        units { disposition } order { number refunds { amount { amount } lines { quantity } } } } }";
    let found = app.gql(query, json!({ "id": back["id"] })).await;
    assert_eq!(found["return"]["status"], "CLOSED", "{found:#}");
    assert_eq!(found["return"]["units"][0]["disposition"], "RESTOCKED");
    assert_eq!(
        found["return"]["order"]["refunds"][0]["lines"][0]["quantity"],
        1
    );
    let more = go(app, "returnRefund", json!({ "id": back["id"] })).await;
    assert_eq!(codes(&more), ["ORDER_ARCHIVED"]);
    // What is left of it comes back, too.
    let rest = wish(app, id, 2, "OTHER").await["lines"][0]["quantity"].clone();
    assert_eq!(rest, 2);
    assert_clean(app).await;
}

async fn q3_what_is_restocked_goes_to_whoever_waits_for_it(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 2, true).await;
    let (id, _) = sold(app, &cup, 2, json!({})).await;
    let lines = json!([{ "sku": cup.sku, "quantity": 1 }]);
    let first = app.place(basket_with(json!({ "lines": lines }))).await;
    let second = app.place(basket_with(json!({ "lines": lines }))).await;
    app.settle().await;
    assert_eq!(app.order(&first["id"]).await["stage"], "BACKORDERED");
    let back = approved(app, id, 2, "OTHER").await;
    let back = received(app, &cup, &back, 2).await;
    let units = json!([
        found(&back, 1, "NEW", "RESTOCKED"),
        found(&back, 1, "USED", "WRITTEN_OFF")
    ]);
    inspected(app, &back, units).await;
    app.settle().await;
    assert_ne!(
        app.order(&first["id"]).await["stage"],
        "BACKORDERED",
        "the oldest first"
    );
    assert_eq!(app.order(&second["id"]).await["stage"], "BACKORDERED");
    let moved = stock_movement::Entity::find()
        .filter(stock_movement::Column::VariantId.eq(cup.id))
        .filter(stock_movement::Column::Kind.eq(stock_movement::Kind::Return))
        .all(&app.app.db.read)
        .await
        .unwrap();
    assert_eq!(moved.iter().map(|row| row.delta_on_hand).sum::<i64>(), 2);
    assert_clean(app).await;
}

/// How many orders are sold and come back.
fn rounds() -> usize {
    match std::env::var_os("OMS_LONG") {
        Some(_) => 300,
        None => 9,
    }
}

async fn q3d_no_more_goes_back_than_was_captured_whatever_comes_back_when(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 5_000, false).await;
    for (code, price, currency) in [("us", 1_999, Currency::USD), ("jp", 1_501, Currency::JPY)] {
        app.other_channel(code, &cup, price, |channel| {
            channel.currency = Set(currency);
            channel.restocking_fee = Set(Rate("0.07".parse().unwrap()));
        })
        .await;
    }
    app.pay_carriers_in(&[Currency::USD, Currency::JPY]).await;
    // One of them writes no invoices.
    sell_in(app, &["web", "us"]).await;
    let mut dice = Dice::new(7);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..rounds() {
        let channel = ["web", "us", "jp"][round % 3];
        let units = 1 + i64::try_from(dice.roll(7)).unwrap();
        let lines = json!([{ "sku": cup.sku, "quantity": units }]);
        let codes_of = match (channel, dice.roll(2)) {
            ("web", 0) => json!(["WELCOME10"]),
            _ => json!([]),
        };
        let mut basket = json!({ "channel": channel, "lines": lines, "promotionCodes": codes_of });
        if channel != "web" {
            basket["shippingCharge"] = json!("7");
        }
        let taken = app.submit(basket_with(basket)).await;
        let Some(number) = taken["order"]["number"].as_str() else {
            panic!("{taken:#}");
        };
        app.settle().await;
        let row = entity::order::Entity::find()
            .filter(entity::order::Column::Number.eq(number))
            .one(&app.app.db.read)
            .await
            .unwrap()
            .unwrap();
        let id = row.id;
        if row.confirmed_at.is_none() {
            // A code that is not known stops it; that is none of this law's business.
            *seen.entry("stopped").or_default() += 1;
            continue;
        }
        if units > 2 {
            part(
                app,
                id,
                1 + i64::try_from(dice.roll(usize::try_from(units - 1).unwrap())).unwrap()
                    % (units - 1),
            )
            .await;
        }
        for shipment in packed(app, &cup, id, 1).await {
            leave(app, shipment).await;
            scanned(app, shipment).await;
        }
        app.settle().await;
        let (mut left, mut whole, mut goodwill) = (units, true, 0);
        while left > 0 {
            if dice.roll(4) == 0 {
                let give = json!({ "amount": "1", "reason": "goodwill" });
                let given = act(app, "orderRefund", id, give).await;
                let fits = codes(&given);
                assert!(
                    fits.is_empty() || fits == ["REFUND_EXCEEDS_CAPTURED"],
                    "{given:#}"
                );
                if fits.is_empty() {
                    goodwill += if channel == "jp" { 1 } else { 100 };
                }
            }
            let back_now =
                1 + i64::try_from(dice.roll(usize::try_from(left).unwrap())).unwrap() % left;
            let reason = dice.one(&["OTHER", "DAMAGED", "WRONG_SIZE"]);
            let back = approved(app, id, back_now, reason).await;
            let back = received(app, &cup, &back, back_now).await;
            let (condition, disposition) =
                dice.one(&[("NEW", "RESTOCKED"), ("USED", "WRITTEN_OFF")]);
            let back = inspected(
                app,
                &back,
                json!([found(&back, back_now, condition, disposition)]),
            )
            .await;
            done(app, "returnRefund", json!({ "id": back["id"] })).await;
            left -= back_now;
            if dice.roll(5) == 0 {
                whole = left == 0;
                break;
            }
        }
        app.settle().await;
        let payment = payment_of(app, id).await;
        let decided = refunds(app, id).await;
        let fees: i64 = decided.iter().map(|row| row.fee_minor).sum();
        let given: i64 = decided.iter().map(|row| row.amount_minor).sum();
        assert_eq!(payment.refunded_minor, given);
        assert!(
            payment.refunded_minor <= payment.captured_minor,
            "{payment:?}"
        );
        if whole {
            // What goes back for no units comes out of what was kept, and then out of the units.
            let kept = payment.captured_minor - payment.refunded_minor;
            let least = std::cmp::max(fees - goodwill, 0);
            let said = format!("{channel}: {payment:?} {decided:#?}");
            assert!((least..=fees).contains(&kept), "{said}");
            assert!(goodwill > 0 || kept == fees, "{said}");
        }
        if channel != "jp" {
            assert_eq!(credited(app, id).await, given);
        }
        *seen.entry(channel).or_default() += 1;
    }
    assert!(
        ["web", "us", "jp"]
            .iter()
            .all(|channel| seen.contains_key(channel)),
        "{seen:?}"
    );
    assert_clean(app).await;
}
