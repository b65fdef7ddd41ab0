//! An order's life: every step on its timeline, every end with what it gives back, every wait
//! with its place, and nothing that the present state forbids.

use std::sync::{Arc, Mutex};

use api::inventory::inbound::{self, Expect};
use api::orders::{self, stock::Receive};
use api::payments::gateway::{Known, Sandbox};
use api::payments::{Answer, Effect, PaymentGateway};
use api::tx::Actor;
use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use entity::payment_transaction::Kind;
use sea_orm::{EntityTrait, IntoActiveModel, QueryOrder, Set};
use serde_json::{Value, json};
use support::merchant::{Stocked, basket, basket_with, codes};
use support::{Place, Setup, TestApp, both_backends};

both_backends!(
    a1_a_life_from_receipt_to_staging_is_on_its_timeline,
    a1_a_held_order_goes_on_when_the_last_hold_is_lifted,
    a1_a_note_can_be_written_on_an_order_that_has_ended,
    a1_a_cancelled_order_gives_back_stock_and_money,
    a1_an_order_is_cancelled_once,
    a1_a_rejected_order_gives_back_stock_and_money,
    a1_who_decided_on_an_older_version_hears_the_present_one,
    a1_what_is_offered_is_what_can_be_done,
    a1_what_is_written_has_its_bounds,
    f1_an_order_that_waits_for_a_person_loses_its_stock_and_asks_again,
    f1_an_order_that_asks_again_too_late_waits_at_the_end,
    f1_a_hold_that_was_paid_for_does_not_expire,
    f1_a_count_below_what_is_held_takes_from_the_youngest,
    f1_a_count_leaves_what_is_there_to_who_lost_the_rest,
    f1_a_count_of_what_an_order_holds_and_waits_for_adds_up,
    f1_a_count_that_the_bin_forbids_is_refused,
    f1_a_count_of_more_serves_those_who_wait,
    q1a_an_order_that_is_partly_there_takes_what_is_and_waits_for_the_rest,
    q1a_a_sku_that_may_not_wait_is_refused_or_waits_for_a_person,
    q1a_the_expected_date_is_that_of_the_next_delivery_or_honestly_unknown,
    q1a_a_delivery_to_a_warehouse_that_does_not_serve_the_channel_promises_nothing,
    q1b_those_who_wait_are_served_oldest_first_with_each_receipt,
    q1b_the_head_of_the_queue_is_not_overtaken_by_a_smaller_order,
    q1b_who_gives_up_waiting_leaves_the_queue_to_the_others,
    q1b_who_waits_stops_nobody_whom_other_warehouses_serve,
    q1b_units_that_become_free_go_to_who_waits_for_them_there,
    q1b_a_long_queue_hides_nobody_behind_it_and_is_served_to_its_end,
    q1b_a_channel_that_gains_or_loses_a_warehouse_waits_there_from_then_on,
    f1_a_warehouse_that_takes_no_work_promises_nothing_until_it_does,
    q1a_a_cancelled_delivery_that_comes_in_part_promises_no_more,
    c5a_an_order_that_is_not_paid_for_asks_for_no_stock_in_vain,
    t1_of_two_exceptions_only_the_last_releases_the_order,
    t1_an_exception_is_settled_once,
    t1_exceptions_of_one_moment_stand_in_the_order_of_their_identifiers,
    t1_a_sku_that_is_still_unknown_cannot_be_waved_through,
    t1_a_decline_that_was_waved_through_does_not_strand_a_waiting_order,
    c5a_money_that_comes_after_the_end_goes_back,
    c5a_an_authorisation_that_ran_out_can_be_replaced_and_the_new_one_given_back,
    c5a_an_authorisation_that_ran_out_pays_for_nothing_while_the_gateway_is_silent,
    c5a_an_order_whose_money_is_on_its_way_back_is_cancelled_without_asking_twice,
    c5a_a_gateway_that_gives_nothing_back_is_asked_again_by_a_person_alone,
    c5a_a_person_may_say_that_the_money_is_back,
    c5a_what_ran_out_and_is_not_back_is_settled_before_another_card_pays,
);

const ACT: &str = "order { id status stage paymentStatus version cancelReason closedAt
        lines { reserved allocated backordered cancelled }
        exceptions { id code status resolution resolvedBy } holds { id releasedAt releasedBy } }
    userErrors { code field message details }";

/// Does something to an order as an administrator, and returns the payload.
async fn act(app: &TestApp, mutation: &str, input: &str, values: Value) -> Value {
    let document =
        format!("mutation Act($input: {input}!) {{ {mutation}(input: $input) {{ {ACT} }} }}");
    let mut data = app.gql(&document, json!({ "input": values })).await;
    data[mutation].take()
}

async fn cancel(app: &TestApp, id: &Value) -> Value {
    act(
        app,
        "orderCancel",
        "OrderEndInput",
        json!({ "id": id, "reason": "changed my mind" }),
    )
    .await
}

async fn hold(app: &TestApp, id: &Value) -> Value {
    act(
        app,
        "orderHold",
        "OrderHoldInput",
        json!({ "id": id, "reason": "a look" }),
    )
    .await
}

async fn lift(app: &TestApp, id: &Value, hold: &Value) -> Value {
    let input = json!({ "id": id, "holdId": hold });
    act(app, "orderReleaseHold", "OrderReleaseHoldInput", input).await
}

async fn resolve(app: &TestApp, exception: &Value) -> Value {
    let input = json!({ "id": exception, "resolution": "agreed by telephone" });
    act(app, "exceptionResolve", "ExceptionSettleInput", input).await
}

/// Asserts that a payload has no refusals, and returns its order.
#[track_caller]
fn done(payload: Value) -> Value {
    assert_eq!(payload["userErrors"], json!([]), "{payload:#}");
    payload["order"].clone()
}

async fn later(app: &TestApp, seconds: i64) {
    app.clock.advance(Duration::seconds(seconds));
    app.settle().await;
}

fn wants(of: &Stocked, quantity: i64) -> Value {
    basket_with(json!({ "lines": [{ "sku": of.sku, "quantity": quantity }] }))
}

/// An order that one exception stops: the channel's price is not ours.
fn stopped(of: &Stocked, quantity: i64) -> Value {
    basket_with(json!({ "channel": "marketplace",
        "lines": [{ "sku": of.sku, "quantity": quantity, "unitPrice": "9.00" }] }))
}

/// What an order's first line has: the units that are held for it, be it for a time or for good,
/// and those that it waits for.
async fn line(app: &TestApp, id: &Value) -> (i64, i64) {
    let order = app.order(id).await;
    let of = |field: &str| order["lines"][0][field].as_i64().unwrap();
    (of("reserved") + of("allocated"), of("backordered"))
}

async fn status(app: &TestApp, id: &Value) -> String {
    app.order(id).await["status"].as_str().unwrap().to_owned()
}

async fn timeline(app: &TestApp, id: &Value) -> Vec<Value> {
    app.settle().await;
    let query = "query T($id: ID!) { order(by: { id: $id }) { version timeline {
        id seq event version actor correlationId details occurredAt } } }";
    let data = app.gql(query, json!({ "id": id })).await;
    let entries = data["order"]["timeline"].as_array().unwrap().clone();
    let versions: Vec<_> = entries
        .iter()
        .map(|entry| entry["version"].as_i64().unwrap())
        .collect();
    let newest = data["order"]["version"].as_i64().unwrap();
    assert_eq!(versions, (1..=newest).collect::<Vec<_>>(), "{entries:#?}");
    let seqs: Vec<_> = entries
        .iter()
        .map(|entry| entry["seq"].as_i64().unwrap())
        .collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    entries
}

fn events(timeline: &[Value]) -> Vec<&str> {
    timeline
        .iter()
        .map(|entry| entry["event"].as_str().unwrap())
        .collect()
}

async fn a1_a_life_from_receipt_to_staging_is_on_its_timeline(app: &TestApp) {
    app.open_shop().await;
    let began = app.app.clock.now();
    let basket = basket_with(json!({ "channel": "marketplace",
        "lines": [{ "sku": "MUG-WHITE", "quantity": 2, "unitPrice": "14.00" }] }));
    let order = app.place(basket).await;
    let id = &order["id"];
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("RECEIVED"), &json!("ON_HOLD"))
    );
    app.clock.advance(Duration::minutes(5));
    let held = done(hold(app, id).await);
    done(resolve(app, &order["exceptions"][0]["id"]).await);
    let there = done(lift(app, id, &held["holds"][0]["id"]).await);
    assert_eq!(
        (&there["status"], &there["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    let entries = timeline(app, id).await;
    assert_eq!(
        events(&entries),
        [
            "order.received",
            "order.exception_opened",
            "order.payment_authorized",
            "order.held",
            "order.exception_resolved",
            "order.hold_released",
            "order.confirmed",
            "order.routed"
        ]
    );
    for (entry, who) in entries.iter().zip([
        "key:",
        "key:",
        "worker:payments",
        "key:",
        "key:",
        "key:",
        "key:",
    ]) {
        assert!(
            entry["actor"].as_str().unwrap().starts_with(who),
            "{entry:#}"
        );
        // What a person did names the request that it came in.
        let request = entry["correlationId"].as_str().unwrap();
        assert_eq!(request.is_empty(), who.starts_with("worker"), "{entry:#}");
    }
    let when: Vec<DateTime<Utc>> = entries
        .iter()
        .map(|entry| entry["occurredAt"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(when[0], began);
    assert_eq!(when[6], began + Duration::minutes(5));
    assert_eq!(entries[0]["details"]["held"], 2, "{:#}", entries[0]);
    assert_eq!(
        entries[3]["details"]["reason"], "a look",
        "{:#}",
        entries[3]
    );
    assert_eq!(entries[4]["details"]["resolution"], "agreed by telephone");
}

async fn a1_a_held_order_goes_on_when_the_last_hold_is_lifted(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("HELD", 5, true).await;
    let order = app.place(stopped(&mug, 2)).await;
    let id = &order["id"];
    done(hold(app, id).await);
    let held = done(hold(app, id).await);
    done(resolve(app, &order["exceptions"][0]["id"]).await);
    let holds = held["holds"].as_array().unwrap();
    assert_eq!(holds.len(), 2);
    let first = done(lift(app, id, &holds[0]["id"]).await);
    assert_eq!(
        (&first["status"], &first["stage"]),
        (&json!("RECEIVED"), &json!("ON_HOLD"))
    );
    assert_eq!(
        codes(&lift(app, id, &holds[0]["id"]).await),
        ["HOLD_NOT_ACTIVE"]
    );
    let second = done(lift(app, id, &holds[1]["id"]).await);
    assert_eq!(
        (&second["status"], &second["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    assert!(
        second["holds"][1]["releasedBy"]
            .as_str()
            .unwrap()
            .starts_with("key:")
    );
    // A staged order can be stopped, too, and keeps its stock.
    let again = done(hold(app, id).await);
    assert_eq!(
        (&again["status"], &again["stage"]),
        (&json!("CONFIRMED"), &json!("ON_HOLD"))
    );
    assert_eq!(app.stock_of(&mug).await, (5, 2));
    later(app, 3_600).await;
    assert_eq!(app.stock_of(&mug).await, (5, 2));
    let last = done(lift(app, id, &again["holds"][2]["id"]).await);
    assert_eq!(last["stage"], "STAGED");
}

const NOTE: (&str, &str) = ("orderAddNote", "OrderAddNoteInput");

const TAGS: (&str, &str) = ("orderAddTags", "OrderTagsInput");

async fn a1_a_note_can_be_written_on_an_order_that_has_ended(app: &TestApp) {
    app.open_shop().await;
    let order = app.place(basket()).await;
    let id = &order["id"];
    let ended = done(cancel(app, id).await);
    let body = "  Anna called: she will order again. 👍  ";
    let noted = done(act(app, NOTE.0, NOTE.1, json!({ "id": id, "body": body })).await);
    assert_eq!(noted["status"], "CANCELLED");
    assert_eq!(
        noted["version"].as_i64(),
        ended["version"].as_i64().map(|version| version + 1)
    );
    let notes = app
        .gql(
            "query N($id: ID!) { order(by: { id: $id }) { notes { body author } } }",
            json!({ "id": id }),
        )
        .await;
    let note = &notes["order"]["notes"][0];
    assert_eq!(note["body"], body.trim());
    assert!(note["author"].as_str().unwrap().starts_with("key:"));
    let entries = timeline(app, id).await;
    assert_eq!(*events(&entries).last().unwrap(), "order.noted");
}

async fn a1_a_cancelled_order_gives_back_stock_and_money(app: &TestApp) {
    app.open_shop().await;
    let last = app.stocked("LAST", 2, true).await;
    // Before it was confirmed, while somebody waits for its stock.
    let before = app.place(stopped(&last, 2)).await;
    let waiter = app.place(wants(&last, 2)).await;
    assert_eq!(waiter["stage"], "BACKORDERED");
    let ended = done(cancel(app, &before["id"]).await);
    assert_eq!(
        (&ended["status"], &ended["stage"], &ended["paymentStatus"]),
        (&json!("CANCELLED"), &json!("CANCELLED"), &json!("VOIDED"))
    );
    assert_eq!(ended["cancelReason"], "changed my mind");
    assert_eq!(ended["exceptions"][0]["status"], "RESOLVED");
    assert_eq!(
        ended["lines"][0],
        json!({ "reserved": 0, "allocated": 0, "backordered": 0, "cancelled": 2 })
    );
    assert_eq!(status(app, &waiter["id"]).await, "CONFIRMED");
    assert_eq!(app.stock_of(&last).await, (2, 2));
    // After it was confirmed, while the next one waits.
    let next = app.place(wants(&last, 1)).await;
    let ended = done(cancel(app, &waiter["id"]).await);
    assert_eq!(ended["paymentStatus"], "VOIDED");
    assert_eq!(status(app, &next["id"]).await, "CONFIRMED");
    assert_eq!(app.stock_of(&last).await, (2, 1));
    let entries = timeline(app, &waiter["id"]).await;
    assert_eq!(
        events(&entries),
        [
            "order.received",
            "order.payment_authorized",
            "order.backorder_allocated",
            "order.confirmed",
            "order.cancelled",
            "order.payment_voided"
        ]
    );
    let payment = app.order(&waiter["id"]).await["payment"].clone();
    assert_eq!(
        payment["transactions"],
        json!([
        { "kind": "AUTHORIZATION", "state": "SUCCEEDED" }, { "kind": "VOID", "state": "SUCCEEDED" }])
    );
}

async fn a1_an_order_is_cancelled_once(app: &TestApp) {
    app.open_shop().await;
    let order = app.place(basket()).await;
    let id = &order["id"];
    let ended = done(cancel(app, id).await);
    let again = cancel(app, id).await;
    assert_eq!(codes(&again), ["ORDER_NOT_CANCELLABLE"]);
    assert_eq!(
        again["userErrors"][0]["details"],
        json!({ "status": "CANCELLED" })
    );
    assert_eq!(again["order"], Value::Null);
    let end = json!({ "id": id, "reason": "x" });
    assert_eq!(
        codes(&act(app, "orderReject", "OrderEndInput", end.clone()).await),
        ["ORDER_NOT_REJECTABLE"]
    );
    assert_eq!(
        codes(&act(app, "orderHold", "OrderHoldInput", end).await),
        ["ORDER_NOT_HOLDABLE"]
    );
    let there = app.order(id).await;
    assert_eq!(there["version"], ended["version"]);
    assert_eq!(
        there["payment"]["transactions"].as_array().unwrap().len(),
        2,
        "one void"
    );
}

async fn a1_a_rejected_order_gives_back_stock_and_money(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("REJECTED", 3, true).await;
    let order = app.place(stopped(&mug, 3)).await;
    let end = json!({ "id": order["id"], "reason": "no such price" });
    let ended = done(act(app, "orderReject", "OrderEndInput", end.clone()).await);
    assert_eq!(
        (&ended["status"], &ended["paymentStatus"]),
        (&json!("REJECTED"), &json!("VOIDED"))
    );
    assert_eq!(ended["cancelReason"], "no such price");
    assert_eq!(app.stock_of(&mug).await, (3, 0));
    assert_eq!(
        codes(&act(app, "orderReject", "OrderEndInput", end.clone()).await),
        ["ORDER_NOT_REJECTABLE"]
    );
    // What passed every check is not rejected but cancelled.
    let staged = app.place(wants(&mug, 1)).await;
    let end = json!({ "id": staged["id"], "reason": "x" });
    let refused = act(app, "orderReject", "OrderEndInput", end).await;
    assert_eq!(codes(&refused), ["ORDER_NOT_REJECTABLE"]);
    assert_eq!(
        refused["userErrors"][0]["details"],
        json!({ "status": "CONFIRMED" })
    );
    let entries = timeline(app, &order["id"]).await;
    assert!(events(&entries).contains(&"order.rejected"));
}

async fn a1_who_decided_on_an_older_version_hears_the_present_one(app: &TestApp) {
    app.open_shop().await;
    let order = app
        .place(stopped(&app.stocked("STALE", 2, true).await, 1))
        .await;
    let held = done(hold(app, &order["id"]).await);
    let present = held["version"].as_i64().unwrap();
    let (id, hold) = (&order["id"], &held["holds"][0]["id"]);
    for (mutation, input, mut values) in [
        (
            "orderCancel",
            "OrderEndInput",
            json!({ "id": id, "reason": "x" }),
        ),
        (
            "orderReject",
            "OrderEndInput",
            json!({ "id": id, "reason": "x" }),
        ),
        (
            "orderHold",
            "OrderHoldInput",
            json!({ "id": id, "reason": "x" }),
        ),
        (
            "orderReleaseHold",
            "OrderReleaseHoldInput",
            json!({ "id": id, "holdId": hold }),
        ),
        (
            "orderRetryPayment",
            "OrderRetryPaymentInput",
            json!({ "id": id, "token": "t" }),
        ),
    ] {
        for stale in [present - 1, present + 1, 0, -1, i64::MAX] {
            values["expectedVersion"] = json!(stale);
            let refused = act(app, mutation, input, values.clone()).await;
            assert_eq!(
                codes(&refused),
                ["STALE_VERSION"],
                "{mutation}: {refused:#}"
            );
            let error = &refused["userErrors"][0];
            assert_eq!(error["details"], json!({ "currentVersion": present }));
            assert_eq!(error["field"], json!(["input", "expectedVersion"]));
        }
    }
    let input = json!({ "id": id, "reason": "x", "expectedVersion": present });
    assert_eq!(
        done(act(app, "orderCancel", "OrderEndInput", input).await)["status"],
        "CANCELLED"
    );
}

/// The states that an order can be in, by how it comes there.
const STATES: &[&str] = &[
    "stopped by a check",
    "stopped by a hold",
    "declined",
    "unanswered",
    "on account, over the limit",
    "backordered",
    "staged",
    "staged and held",
    "cancelled",
    "rejected",
    "expired",
];

async fn in_state(app: &TestApp, state: &str, mug: &Stocked, none: &Stocked) -> Value {
    let card = |token: &str| {
        basket_with(json!({ "lines": [{ "sku": mug.sku, "quantity": 1 }],
        "payment": { "method": "CARD", "token": token } }))
    };
    let input = match state {
        "declined" | "expired" => card("tok_decline"),
        "unanswered" => card("tok_silent"),
        "on account, over the limit" => basket_with(json!({ "channel": "b2b",
            "customer": { "code": "B-2004" }, "payment": { "method": "ACCOUNT" },
            "lines": [{ "sku": mug.sku, "quantity": 100 }] })),
        "backordered" => wants(none, 1),
        "staged" | "staged and held" => wants(mug, 1),
        _ => stopped(mug, 1),
    };
    let order = app.place(input).await;
    let id = &order["id"];
    match state {
        "stopped by a hold" => {
            done(hold(app, id).await);
            done(resolve(app, &order["exceptions"][0]["id"]).await);
        }
        "staged and held" => drop(done(hold(app, id).await)),
        "cancelled" => drop(done(cancel(app, id).await)),
        "rejected" => {
            let end = json!({ "id": id, "reason": "x" });
            done(act(app, "orderReject", "OrderEndInput", end).await);
        }
        "expired" => later(app, 901).await,
        _ => {}
    }
    app.order(id).await
}

async fn a1_what_is_offered_is_what_can_be_done(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("PLENTY", 100_000, true).await;
    let none = app.stocked("NONE", 0, true).await;
    let offered = "query A($id: ID!) { order(by: { id: $id }) {
        availableActions { action enabled disabledReason } } }";
    for state in STATES {
        let actions = {
            let order = in_state(app, state, &mug, &none).await;
            let data = app.gql(offered, json!({ "id": order["id"] })).await;
            data["order"]["availableActions"]
                .as_array()
                .unwrap()
                .clone()
        };
        assert_eq!(actions.len(), 16, "{actions:#?}");
        for action in actions {
            let order = in_state(app, state, &mug, &none).await;
            let id = &order["id"];
            let first = |field: &str| {
                let all = order[field].as_array().unwrap();
                let live = all.iter().find(|one| {
                    one.get("releasedAt").is_none_or(Value::is_null)
                        && one.get("status").is_none_or(|status| status == "OPEN")
                });
                live.or(all.first()).map(|one| one["id"].clone())
            };
            let name = action["action"].as_str().unwrap();
            let end = json!({ "id": id, "reason": "x" });
            let payload = match name {
                "CANCEL" => cancel(app, id).await,
                "REJECT" => act(app, "orderReject", "OrderEndInput", end).await,
                "HOLD" => hold(app, id).await,
                "RELEASE_HOLD" => match first("holds") {
                    Some(hold) => lift(app, id, &hold).await,
                    None => json!({ "userErrors": [{ "code": "there is none" }] }),
                },
                "RESOLVE_EXCEPTION" => match first("exceptions") {
                    Some(exception) => resolve(app, &exception).await,
                    None => json!({ "userErrors": [{ "code": "there is none" }] }),
                },
                "REOPEN_EXCEPTION" => match first("exceptions") {
                    Some(exception) => {
                        let document = "mutation R($id: ID!) {
                            exceptionReopen(input: { id: $id, reason: \"x\" }) {
                                userErrors { code } } }";
                        let mut data = app.gql(document, json!({ "id": exception })).await;
                        data["exceptionReopen"].take()
                    }
                    None => json!({ "userErrors": [{ "code": "there is none" }] }),
                },
                "RETRY_PAYMENT" => {
                    let input = json!({ "id": id, "token": "tok_approve" });
                    act(app, "orderRetryPayment", "OrderRetryPaymentInput", input).await
                }
                "RETRY_VOID" => retry_void(app, id).await,
                "RETRY_CAPTURE" => {
                    let input = json!({ "id": id });
                    act(app, "paymentCapture", "PaymentCaptureInput", input).await
                }
                "REAUTHORIZE" => {
                    let (name, input) = ("paymentReauthorize", json!({ "id": id }));
                    act(app, name, "PaymentReauthorizeInput", input).await
                }
                "RETURN" => {
                    let document = "mutation R($input: ReturnRequestInput!) {
                        returnRequest(input: $input) { userErrors { code } } }";
                    let line = &order["lines"][0]["id"];
                    let input = json!({ "orderId": id,
                        "lines": [{ "lineId": line, "quantity": 1, "reason": "OTHER" }] });
                    let mut data = app.gql(document, json!({ "input": input })).await;
                    data["returnRequest"].take()
                }
                "REFUND" => {
                    let input = json!({ "id": id, "amount": "1", "reason": "x" });
                    act(app, "orderRefund", "OrderRefundInput", input).await
                }
                "RETRY_REFUND" => {
                    let input = json!({ "id": id });
                    act(app, "orderRetryRefund", "OrderRetryRefundInput", input).await
                }
                "EDIT" => {
                    let present = &order["version"];
                    let input = json!({ "id": id, "expectedVersion": present, "reason": "x" });
                    act(app, "orderEditCommit", "OrderEditInput", input).await
                }
                "ADD_NOTE" => act(app, NOTE.0, NOTE.1, json!({ "id": id, "body": "x" })).await,
                "TAG" => act(app, TAGS.0, TAGS.1, json!({ "id": id, "tags": ["x"] })).await,
                other => panic!("nothing does {other}"),
            };
            let refused = codes(&payload);
            assert_eq!(
                action["enabled"] == true,
                refused.is_empty(),
                "{name} of an order that is {state}: {action} but {refused:?}"
            );
            assert_eq!(
                action["enabled"] == false,
                action["disabledReason"].is_string(),
                "{action}"
            );
        }
    }
}

async fn a1_what_is_written_has_its_bounds(app: &TestApp) {
    app.open_shop().await;
    let order = app
        .place(stopped(&app.stocked("WRITTEN", 2, true).await, 1))
        .await;
    let (id, exception) = (&order["id"], &order["exceptions"][0]["id"]);
    for text in [String::new(), " \n".to_owned(), "x".repeat(4_001)] {
        for (mutation, input, values, field) in [
            (
                "orderCancel",
                "OrderEndInput",
                json!({ "id": id, "reason": text }),
                "reason",
            ),
            (
                "orderReject",
                "OrderEndInput",
                json!({ "id": id, "reason": text }),
                "reason",
            ),
            (
                "orderHold",
                "OrderHoldInput",
                json!({ "id": id, "reason": text }),
                "reason",
            ),
            (NOTE.0, NOTE.1, json!({ "id": id, "body": text }), "body"),
            (
                "exceptionResolve",
                "ExceptionSettleInput",
                json!({ "id": exception, "resolution": text }),
                "resolution",
            ),
            (
                "exceptionDismiss",
                "ExceptionSettleInput",
                json!({ "id": exception, "resolution": text }),
                "resolution",
            ),
        ] {
            let refused = act(app, mutation, input, values).await;
            assert_eq!(codes(&refused), ["INVALID_INPUT"], "{mutation}");
            assert_eq!(refused["userErrors"][0]["field"], json!(["input", field]));
        }
    }
    let most = json!({ "id": id, "body": "ß".repeat(4_000) });
    done(act(app, NOTE.0, NOTE.1, most).await);
}

// --- Holds that run out ---------------------------------------------------------------------

async fn f1_an_order_that_waits_for_a_person_loses_its_stock_and_asks_again(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("WAITS", 3, true).await;
    let order = app.place(stopped(&mug, 3)).await;
    let id = &order["id"];
    assert_eq!(line(app, id).await, (3, 0));
    later(app, 899).await;
    assert_eq!(app.stock_of(&mug).await, (3, 3));
    later(app, 1).await;
    assert_eq!(app.stock_of(&mug).await, (3, 0));
    let there = app.order(id).await;
    assert_eq!(
        (&there["status"], &there["stage"]),
        (&json!("RECEIVED"), &json!("ON_HOLD"))
    );
    let there = done(resolve(app, &order["exceptions"][0]["id"]).await);
    assert_eq!(
        (&there["status"], &there["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    assert_eq!(app.stock_of(&mug).await, (3, 3));
    let entries = timeline(app, id).await;
    let tail = &events(&entries)[3..];
    assert_eq!(
        tail,
        [
            "order.stock_released",
            "order.exception_resolved",
            "order.stock_held",
            "order.confirmed",
            "order.routed"
        ]
    );
    assert_eq!(entries[3]["actor"], "worker:expiry");
    // What it holds again does not run out again.
    later(app, 86_400).await;
    assert_eq!(line(app, id).await, (3, 0));
    assert_eq!(app.stock_of(&mug).await, (3, 3));
}

async fn f1_an_order_that_asks_again_too_late_waits_at_the_end(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("LATE", 3, true).await;
    let order = app.place(stopped(&mug, 3)).await;
    let waiter = app.place(wants(&mug, 2)).await;
    later(app, 900).await;
    assert_eq!(
        status(app, &waiter["id"]).await,
        "CONFIRMED",
        "what was let go went to who waited"
    );
    let there = done(resolve(app, &order["exceptions"][0]["id"]).await);
    assert_eq!(there["stage"], "BACKORDERED");
    assert_eq!(line(app, &order["id"]).await, (1, 2));
    // It is paid for, and nothing stops it: what it holds is its own for good.
    later(app, 900).await;
    assert_eq!(line(app, &order["id"]).await, (1, 2));
    app.receive(&mug, 2).await;
    app.settle().await;
    assert_eq!(status(app, &order["id"]).await, "CONFIRMED");
    assert_eq!(app.stock_of(&mug).await, (5, 5));
}

async fn f1_a_hold_that_was_paid_for_does_not_expire(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("PAID", 1, true).await;
    let order = app.place(wants(&mug, 1)).await;
    for _ in 0..3 {
        later(app, 86_400).await;
    }
    assert_eq!(status(app, &order["id"]).await, "CONFIRMED");
    assert_eq!(app.stock_of(&mug).await, (1, 1));
}

// --- Counts ---------------------------------------------------------------------------------

async fn f1_a_count_below_what_is_held_takes_from_the_youngest(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("COUNTED", 6, true).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(app.place(wants(&mug, 2)).await["id"].clone());
        app.clock.advance(Duration::seconds(1));
    }
    let waiter = app.place(wants(&mug, 1)).await["id"].clone();
    app.adjust(&mug, -3).await.unwrap();
    app.settle().await;
    // The count stands: three units are there, and no more are promised.
    assert_eq!(app.stock_of(&mug).await, (3, 3));
    assert_eq!(line(app, &orders[0]).await, (2, 0));
    assert_eq!(
        line(app, &orders[1]).await,
        (1, 1),
        "the second keeps what is left"
    );
    assert_eq!(
        line(app, &orders[2]).await,
        (0, 2),
        "the youngest loses all"
    );
    assert_eq!(line(app, &waiter).await, (0, 1));
    for id in &orders[1..] {
        let order = app.order(id).await;
        assert_eq!(
            (&order["status"], &order["stage"]),
            (&json!("CONFIRMED"), &json!("ON_HOLD"))
        );
        assert_eq!(order["exceptions"][0]["code"], "INSUFFICIENT_STOCK");
        assert_eq!(order["exceptions"][0]["blocking"], true);
    }
    // A person looks: without its units a confirmed order is not ready for the warehouse.
    let exception = app.order(&orders[2]).await["exceptions"][0]["id"].clone();
    assert_eq!(done(resolve(app, &exception).await)["stage"], "BACKORDERED");
    // Who lost is served before who waited, the older first.
    app.receive(&mug, 1).await;
    assert_eq!(line(app, &orders[1]).await, (2, 0));
    app.receive(&mug, 2).await;
    assert_eq!(line(app, &orders[2]).await, (2, 0));
    assert_eq!(app.order(&orders[2]).await["stage"], "STAGED");
    assert_eq!(line(app, &waiter).await, (0, 1));
    app.receive(&mug, 1).await;
    assert_eq!(status(app, &waiter).await, "CONFIRMED");
}

async fn f1_a_count_leaves_what_is_there_to_who_lost_the_rest(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("REST", 5, true).await;
    let first = app.place(wants(&mug, 5)).await["id"].clone();
    let second = app.place(wants(&mug, 3)).await["id"].clone();
    app.adjust(&mug, -2).await.unwrap();
    app.settle().await;
    assert_eq!(line(app, &first).await, (3, 2), "nobody overtakes");
    assert_eq!(line(app, &second).await, (0, 3));
}

async fn f1_a_count_of_what_an_order_holds_and_waits_for_adds_up(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("BOTH", 3, true).await;
    let order = app.place(wants(&mug, 5)).await;
    assert_eq!(line(app, &order["id"]).await, (3, 2));
    app.adjust(&mug, -1).await.unwrap();
    app.settle().await;
    assert_eq!(line(app, &order["id"]).await, (2, 3));
    assert_eq!(app.stock_of(&mug).await, (2, 2));
}

async fn f1_a_count_that_the_bin_forbids_is_refused(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("BINNED", 3, true).await;
    let order = app.place(wants(&mug, 2)).await;
    let failure = app.adjust(&mug, -4).await.unwrap_err();
    assert_eq!(
        failure.problems().unwrap()[0].code.as_str(),
        "STOCK_BELOW_RESERVED"
    );
    assert_eq!(
        app.adjust(&mug, 0).await.unwrap_err().problems().unwrap()[0]
            .code
            .as_str(),
        "QUANTITY_INVALID"
    );
    assert_eq!(app.stock_of(&mug).await, (3, 2));
    // To nothing it may go.
    app.adjust(&mug, -3).await.unwrap();
    app.settle().await;
    assert_eq!(app.stock_of(&mug).await, (0, 0));
    assert_eq!(line(app, &order["id"]).await, (0, 2));
}

async fn f1_a_count_of_more_serves_those_who_wait(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("FOUND", 0, true).await;
    let order = app.place(wants(&mug, 2)).await;
    app.adjust(&mug, 2).await.unwrap();
    assert_eq!(status(app, &order["id"]).await, "CONFIRMED");
}

// --- Waiting for stock ----------------------------------------------------------------------

async fn q1a_an_order_that_is_partly_there_takes_what_is_and_waits_for_the_rest(app: &TestApp) {
    app.open_shop().await;
    let some = app.stocked("SOME", 3, true).await;
    let none = app.stocked("NONE", 0, true).await;
    let lines = json!([{ "sku": some.sku, "quantity": 5 }, { "sku": none.sku, "quantity": 1 },
        { "sku": "MUG-WHITE", "quantity": 1 }]);
    let order = app.place(basket_with(json!({ "lines": lines }))).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("RECEIVED"), &json!("BACKORDERED"))
    );
    let figures: Vec<_> = order["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["allocated"].as_i64().unwrap(),
                line["backordered"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(figures, [(3, 2), (0, 1), (1, 0)]);
    // It is paid for, so time takes nothing from it, and nobody comes before it.
    later(app, 86_400).await;
    let late = app.place(wants(&some, 1)).await;
    assert_eq!(line(app, &order["id"]).await, (3, 2));
    assert_eq!(line(app, &late["id"]).await, (0, 1));
    app.receive(&some, 2).await;
    assert_eq!(
        status(app, &order["id"]).await,
        "RECEIVED",
        "it waits for the other line"
    );
    app.receive(&none, 1).await;
    let there = app.order(&order["id"]).await;
    assert_eq!(
        (&there["status"], &there["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    let allocated: Vec<_> = there["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["allocated"].as_i64().unwrap())
        .collect();
    assert_eq!(allocated, [5, 1, 1]);
}

async fn q1a_a_sku_that_may_not_wait_is_refused_or_waits_for_a_person(app: &TestApp) {
    app.open_shop().await;
    let only = app.stocked("ONLY", 2, false).await;
    let refused = app.submit(wants(&only, 3)).await;
    assert_eq!(codes(&refused), ["INSUFFICIENT_STOCK"]);
    assert_eq!(
        refused["userErrors"][0]["details"],
        json!({ "sku": "ONLY", "requested": 3, "available": 2 })
    );
    let mut basket = wants(&only, 3);
    basket["channel"] = json!("marketplace");
    let order = app.place(basket).await;
    assert_eq!(
        (&order["stage"], &order["exceptions"][0]["code"]),
        (&json!("ON_HOLD"), &json!("INSUFFICIENT_STOCK"))
    );
    assert_eq!(
        app.stock_of(&only).await,
        (2, 0),
        "others may buy what is there"
    );
    // A person lets it wait.
    let there = done(resolve(app, &order["exceptions"][0]["id"]).await);
    assert_eq!(there["stage"], "BACKORDERED");
    assert_eq!(line(app, &order["id"]).await, (2, 1));
    app.receive(&only, 1).await;
    assert_eq!(status(app, &order["id"]).await, "CONFIRMED");
}

async fn q1a_the_expected_date_is_that_of_the_next_delivery_or_honestly_unknown(app: &TestApp) {
    app.open_shop().await;
    let query = "query B($id: ID!) { order(by: { id: $id }) {
        backorders { position quantity status answer expectedAt } } }";
    // The demo expects espresso in nine days.
    let order = app
        .place(basket_with(
            json!({ "lines": [{ "sku": "ESP-250", "quantity": 600 }] }),
        ))
        .await;
    let data = app.gql(query, json!({ "id": order["id"] })).await;
    let waiting = &data["order"]["backorders"][0];
    assert_eq!(
        (&waiting["quantity"], &waiting["status"], &waiting["answer"]),
        (&json!(50), &json!("WAITING"), &json!("NONE"))
    );
    let expected: DateTime<Utc> = waiting["expectedAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(expected, app.app.clock.now() + Duration::days(9));
    let none = app.stocked("NONE", 0, true).await;
    let order = app.place(wants(&none, 1)).await;
    let data = app.gql(query, json!({ "id": order["id"] })).await;
    assert_eq!(data["order"]["backorders"][0]["expectedAt"], Value::Null);
}

async fn q1a_a_delivery_to_a_warehouse_that_does_not_serve_the_channel_promises_nothing(
    app: &TestApp,
) {
    app.open_shop().await;
    split(app).await;
    let vienna = app.stocked("COMING", 0, true).await;
    let berlin = app.elsewhere(&vienna, "BER").await;
    for (to, days) in [(&berlin, 2), (&vienna, 5)] {
        let cmd = &Expect {
            variant_id: to.id,
            warehouse_id: to.warehouse,
            quantity: 10,
            expected_at: app.app.clock.now() + Duration::days(days),
            supplier: None,
            reference: None,
        };
        app.app
            .write(&Actor::worker("test"), move |tx| async move {
                inbound::expect(&tx, cmd).await
            })
            .await
            .unwrap();
    }
    app.app.invalidate_reference();
    for (channel, days) in [("web", 5), ("marketplace", 2), ("b2b", 2)] {
        let order = app.place(buys(channel, &vienna, 1)).await;
        let query = "query B($id: ID!) { order(by: { id: $id }) { backorders { expectedAt } } }";
        let data = app.gql(query, json!({ "id": order["id"] })).await;
        let expected = &data["order"]["backorders"][0]["expectedAt"];
        let expected: DateTime<Utc> = expected.as_str().unwrap().parse().unwrap();
        assert_eq!(
            expected,
            app.app.clock.now() + Duration::days(days),
            "{channel}"
        );
    }
}

async fn q1b_those_who_wait_are_served_oldest_first_with_each_receipt(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("QUEUE", 0, true).await;
    let mut orders = Vec::new();
    for quantity in [2, 3, 1] {
        orders.push(app.place(wants(&mug, quantity)).await["id"].clone());
    }
    let waiting = async || {
        let mut all = Vec::new();
        for id in &orders {
            all.push(line(app, id).await.1);
        }
        all
    };
    assert_eq!(waiting().await, [2, 3, 1]);
    for (units, left) in [
        (1, [1, 3, 1]),
        (2, [0, 2, 1]),
        (1, [0, 1, 1]),
        (1, [0, 0, 1]),
        (5, [0, 0, 0]),
    ] {
        app.receive(&mug, units).await;
        assert_eq!(waiting().await, left, "after {units} more");
    }
    for id in &orders {
        assert_eq!(status(app, id).await, "CONFIRMED");
    }
    assert_eq!(app.stock_of(&mug).await, (10, 6));
}

async fn q1b_the_head_of_the_queue_is_not_overtaken_by_a_smaller_order(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("HEAD", 2, true).await;
    let head = app.place(wants(&mug, 5)).await["id"].clone();
    assert_eq!(line(app, &head).await, (2, 3));
    let small = app.place(wants(&mug, 1)).await["id"].clone();
    assert_eq!(line(app, &small).await, (0, 1));
    app.receive(&mug, 2).await;
    assert_eq!(line(app, &head).await.1, 1);
    assert_eq!(
        line(app, &small).await,
        (0, 1),
        "the head takes what there is"
    );
    // The head stops for a person: its place is still its own.
    done(hold(app, &head).await);
    let smaller = app.place(wants(&mug, 1)).await["id"].clone();
    app.receive(&mug, 2).await;
    assert_eq!(line(app, &head).await.1, 0);
    assert_eq!(status(app, &small).await, "CONFIRMED");
    assert_eq!(line(app, &smaller).await, (0, 1));
    // In another warehouse, too, whoever comes late waits.
    app.receive(&app.elsewhere(&mug, "BER").await, 1).await;
    assert_eq!(status(app, &smaller).await, "CONFIRMED");
}

async fn q1b_who_gives_up_waiting_leaves_the_queue_to_the_others(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("LEFT", 1, true).await;
    let head = app.place(wants(&mug, 3)).await["id"].clone();
    let next = app.place(wants(&mug, 1)).await["id"].clone();
    done(cancel(app, &head).await);
    assert_eq!(
        status(app, &next).await,
        "CONFIRMED",
        "what the head held is the next one's"
    );
    app.receive(&mug, 2).await;
    assert_eq!(line(app, &head).await, (0, 0));
    assert_eq!(app.stock_of(&mug).await, (3, 1));
}

/// The web shop is served from Vienna, the marketplace from Berlin, businesses from both.
async fn split(app: &TestApp) {
    app.serve_from("web", &["VIE"]).await;
    app.serve_from("marketplace", &["BER"]).await;
    app.serve_from("b2b", &["VIE", "BER"]).await;
}

/// An order of a channel that wants so many units.
fn buys(channel: &str, of: &Stocked, quantity: i64) -> Value {
    basket_with(json!({ "channel": channel, "lines": [{ "sku": of.sku, "quantity": quantity }] }))
}

async fn q1b_who_waits_stops_nobody_whom_other_warehouses_serve(app: &TestApp) {
    app.open_shop().await;
    split(app).await;
    let vienna = app.stocked("SPLIT", 0, true).await;
    let berlin = app.elsewhere(&vienna, "BER").await;
    let a = app.place(buys("web", &vienna, 2)).await["id"].clone();
    app.receive(&berlin, 3).await;
    assert_eq!(line(app, &a).await, (0, 2), "Berlin does not serve it");
    let b = app.place(buys("marketplace", &vienna, 1)).await;
    assert_eq!(b["status"], "CONFIRMED", "nobody waits in Berlin");
    assert_eq!(app.stock_of(&berlin).await, (3, 1));
    // Who is served from both takes what is free in Berlin, and waits behind the first in Vienna.
    let both = app.place(buys("b2b", &vienna, 4)).await["id"].clone();
    assert_eq!(line(app, &both).await, (2, 2));
    let late = app.place(buys("marketplace", &vienna, 1)).await["id"].clone();
    assert_eq!(line(app, &late).await, (0, 1), "the business is before it");
    app.receive(&vienna, 3).await;
    assert_eq!(status(app, &a).await, "CONFIRMED");
    assert_eq!(line(app, &both).await, (3, 1));
    assert_eq!(line(app, &late).await, (0, 1));
    let last = app.place(buys("web", &vienna, 1)).await["id"].clone();
    assert_eq!(line(app, &last).await, (0, 1));
    app.receive(&berlin, 1).await;
    assert_eq!(status(app, &both).await, "CONFIRMED");
    assert_eq!(line(app, &late).await, (0, 1));
    app.receive(&berlin, 2).await;
    assert_eq!(status(app, &late).await, "CONFIRMED");
    assert_eq!(line(app, &last).await, (0, 1), "it waits for Vienna");
    assert_eq!(app.stock_of(&vienna).await, (3, 3));
    assert_eq!(app.stock_of(&berlin).await, (6, 5));
    // What may not be backordered is promised from where nobody waits, too.
    let strict = app.stocked("STRICT", 2, false).await;
    let order = app.place(buys("marketplace", &strict, 1)).await;
    let exception = &order["exceptions"][0]["id"];
    assert_eq!(done(resolve(app, exception).await)["stage"], "BACKORDERED");
    let web = app.place(buys("web", &strict, 2)).await;
    assert_eq!(web["status"], "CONFIRMED");
    let refused = app.submit(buys("web", &strict, 1)).await;
    assert_eq!(codes(&refused), ["INSUFFICIENT_STOCK"]);
}

async fn q1b_units_that_become_free_go_to_who_waits_for_them_there(app: &TestApp) {
    app.open_shop().await;
    split(app).await;
    let vienna = app.stocked("FREED", 0, true).await;
    let berlin = app.elsewhere(&vienna, "BER").await;
    app.receive(&berlin, 1).await;
    let holder = app.place(buys("marketplace", &vienna, 1)).await["id"].clone();
    let web = app.place(buys("web", &vienna, 1)).await["id"].clone();
    let next = app.place(buys("marketplace", &vienna, 2)).await["id"].clone();
    done(cancel(app, &holder).await);
    assert_eq!(line(app, &next).await, (1, 1), "in the same breath");
    assert_eq!(line(app, &web).await, (0, 1));
    app.adjust(&berlin, 1).await.unwrap();
    assert_eq!(status(app, &next).await, "CONFIRMED");
    // A count takes from Berlin's holds; who waits in Vienna is not concerned.
    app.adjust(&berlin, -1).await.unwrap();
    app.settle().await;
    assert_eq!(line(app, &next).await, (1, 1));
    app.receive(&vienna, 1).await;
    assert_eq!(status(app, &web).await, "CONFIRMED");
    assert_eq!(line(app, &next).await, (1, 1), "Vienna does not serve it");
    app.receive(&berlin, 1).await;
    assert_eq!(line(app, &next).await, (2, 0));
}

async fn q1b_a_long_queue_hides_nobody_behind_it_and_is_served_to_its_end(app: &TestApp) {
    app.open_shop().await;
    split(app).await;
    let vienna = app.stocked("LONG", 0, true).await;
    let berlin = app.elsewhere(&vienna, "BER").await;
    // Each line has its own place; one transaction serves 200 of them.
    let lines: Vec<Value> = (0..450)
        .map(|_| json!({ "sku": vienna.sku, "quantity": 1 }))
        .collect();
    let long = app.place(basket_with(json!({ "lines": lines }))).await["id"].clone();
    let behind = app.place(buys("marketplace", &vienna, 1)).await["id"].clone();
    app.receive(&berlin, 1).await;
    assert_eq!(status(app, &behind).await, "CONFIRMED");
    let waits = async || {
        let order = app.order(&long).await;
        let lines = order["lines"].as_array().unwrap().clone();
        let waits = |line: &Value| line["backordered"].as_i64().unwrap();
        lines.iter().map(waits).sum::<i64>()
    };
    app.receive(&vienna, 449).await;
    assert_eq!(waits().await, 250);
    // Whoever comes before the rest is served waits behind it.
    let late = app.place(buys("web", &vienna, 1)).await["id"].clone();
    assert_eq!(line(app, &late).await, (0, 1));
    app.settle().await;
    assert_eq!(waits().await, 1);
    app.receive(&vienna, 2).await;
    assert_eq!(status(app, &long).await, "CONFIRMED");
    assert_eq!(status(app, &late).await, "CONFIRMED");
}

async fn q1b_a_channel_that_gains_or_loses_a_warehouse_waits_there_from_then_on(app: &TestApp) {
    app.open_shop().await;
    split(app).await;
    let vienna = app.stocked("MOVED", 0, true).await;
    let berlin = app.elsewhere(&vienna, "BER").await;
    app.receive(&berlin, 2).await;
    let web = app.place(buys("web", &vienna, 3)).await["id"].clone();
    app.serve_from("web", &["VIE", "BER"]).await;
    let late = app.place(buys("marketplace", &vienna, 1)).await["id"].clone();
    assert_eq!(line(app, &late).await, (0, 1), "the older is before it now");
    app.settle().await;
    assert_eq!(line(app, &web).await, (2, 1));
    assert_eq!(line(app, &late).await, (0, 1));
    app.serve_from("web", &["VIE"]).await;
    app.receive(&berlin, 1).await;
    assert_eq!(status(app, &late).await, "CONFIRMED");
    assert_eq!(line(app, &web).await, (2, 1), "what it has it keeps");
    // A channel that no warehouse serves waits, and stands in nobody's way.
    app.serve_from("web", &[]).await;
    app.receive(&vienna, 1).await;
    let b2b = app.place(buys("b2b", &vienna, 1)).await;
    assert_eq!(b2b["status"], "CONFIRMED", "{b2b:#}");
    let none = app.place(buys("web", &vienna, 1)).await["id"].clone();
    assert_eq!(line(app, &none).await, (0, 1));
}

async fn f1_a_warehouse_that_takes_no_work_promises_nothing_until_it_does(app: &TestApp) {
    app.open_shop().await;
    let vienna = app.stocked("CLOSED", 3, true).await;
    let berlin = app.elsewhere(&vienna, "BER").await;
    let held = app.place(wants(&vienna, 1)).await;
    let takes_work = async |active: bool| {
        let known = app
            .gql("{ warehouses { nodes { id code } } }", Value::Null)
            .await;
        let nodes = known["warehouses"]["nodes"].as_array().unwrap().iter();
        let vienna = nodes.clone().find(|node| node["code"] == "VIE").unwrap();
        let update = "mutation U($input: WarehouseUpdateInput!) {
            warehouseUpdate(input: $input) { userErrors { code } } }";
        let input = json!({ "id": vienna["id"], "active": active });
        let done = app.gql(update, json!({ "input": input })).await;
        assert_eq!(done["warehouseUpdate"]["userErrors"], json!([]));
    };
    takes_work(false).await;
    let waiter = app.place(wants(&vienna, 2)).await["id"].clone();
    assert_eq!(line(app, &waiter).await, (0, 2));
    app.receive(&berlin, 1).await;
    app.receive(&vienna, 1).await;
    app.settle().await;
    assert_eq!(line(app, &waiter).await, (1, 1), "Berlin's alone");
    assert_eq!(status(app, &held["id"]).await, "CONFIRMED");
    assert_eq!(
        app.stock_of(&vienna).await,
        (4, 1),
        "what it holds stays held"
    );
    takes_work(true).await;
    app.settle().await;
    assert_eq!(status(app, &waiter).await, "CONFIRMED");
}

async fn q1a_a_cancelled_delivery_that_comes_in_part_promises_no_more(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("PARTS", 0, true).await;
    let (mug_id, warehouse_id) = (mug.id, mug.warehouse);
    let expected_at = app.app.clock.now() + Duration::days(3);
    let reference = &app.app.reference().await.unwrap();
    let delivery = app
        .app
        .write(&Actor::worker("test"), move |tx| async move {
            let cmd = Expect {
                variant_id: mug_id,
                warehouse_id,
                quantity: 10,
                expected_at,
                supplier: None,
                reference: None,
            };
            let id = inbound::expect(&tx, &cmd).await?.id;
            inbound::cancel(&tx, inbound::Cancel { id }).await?;
            let cmd = Receive {
                variant_id: mug_id,
                warehouse_id,
                bin_id: None,
                quantity: 2,
                inbound_id: Some(id),
                document: None,
            };
            orders::stock::receive(&tx, reference, &cmd).await?;
            Ok(id)
        })
        .await
        .unwrap();
    app.app.invalidate_reference();
    let order = app.place(wants(&mug, 3)).await;
    let query = "query B($id: ID!) { order(by: { id: $id }) { backorders { expectedAt } }
        inboundSupplies { nodes { id status received } } }";
    let data = app.gql(query, json!({ "id": order["id"] })).await;
    assert_eq!(data["order"]["backorders"][0]["expectedAt"], Value::Null);
    let all = data["inboundSupplies"]["nodes"].as_array().unwrap();
    let own = all.iter().find(|node| node["received"] == 2).unwrap();
    assert_eq!(own["status"], "CANCELLED", "{delivery}");
}

async fn c5a_an_order_that_is_not_paid_for_asks_for_no_stock_in_vain(app: &TestApp) {
    app.open_shop().await;
    let card = json!({ "method": "CARD", "token": "tok_silent" });
    let order = app.place(basket_with(json!({ "payment": card }))).await;
    for _ in 0..31 {
        later(app, 60).await;
    }
    assert_eq!(line(app, &order["id"]).await, (0, 0));
    assert_eq!(app.order(&order["id"]).await["stage"], "VALIDATING");
    // Else those who are never paid for keep those away who are.
    assert_eq!(orders::uncovered(&app.app.db.read).await.unwrap(), []);
    app.change_channel("web", |channel| channel.requires_authorization = Set(false))
        .await;
    app.settle().await;
    assert_eq!(status(app, &order["id"]).await, "CONFIRMED");
}

// --- Exceptions -----------------------------------------------------------------------------

async fn t1_of_two_exceptions_only_the_last_releases_the_order(app: &TestApp) {
    app.open_shop().await;
    let order = app
        .place(basket_with(
            json!({ "channel": "marketplace", "total": "1.00", "lines": [
            { "sku": "MUG-WHITE", "quantity": 1, "unitPrice": "14.00" }] }),
        ))
        .await;
    let exceptions = order["exceptions"].as_array().unwrap();
    assert_eq!(exceptions.len(), 2, "{order:#}");
    let dismissed = json!({ "id": exceptions[0]["id"], "resolution": "our list was wrong" });
    let first = done(act(app, "exceptionDismiss", "ExceptionSettleInput", dismissed).await);
    assert_eq!(
        (&first["status"], &first["stage"]),
        (&json!("RECEIVED"), &json!("ON_HOLD"))
    );
    let second = done(resolve(app, &exceptions[1]["id"]).await);
    assert_eq!(
        (&second["status"], &second["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    let settled: Vec<_> = second["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["status"].as_str().unwrap(),
                one["resolution"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        settled,
        [
            ("DISMISSED", "our list was wrong"),
            ("RESOLVED", "agreed by telephone")
        ]
    );
    assert!(
        second["exceptions"][0]["resolvedBy"]
            .as_str()
            .unwrap()
            .starts_with("key:")
    );
}

async fn t1_an_exception_is_settled_once(app: &TestApp) {
    app.open_shop().await;
    let titled =
        basket_with(json!({ "lines": [{ "sku": "MUG-WHITE", "quantity": 1, "title": "Cup" }] }));
    let order = app.place(titled).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    let exception = &order["exceptions"][0]["id"];
    let there = done(resolve(app, exception).await);
    assert_eq!(there["exceptions"][0]["status"], "RESOLVED");
    assert_eq!(
        codes(&resolve(app, exception).await),
        ["EXCEPTION_NOT_OPEN"]
    );
    // That of an order that has ended was settled with it.
    let mug = app.stocked("ENDED", 1, true).await;
    let order = app.place(stopped(&mug, 1)).await;
    done(cancel(app, &order["id"]).await);
    assert_eq!(
        codes(&resolve(app, &order["exceptions"][0]["id"]).await),
        ["EXCEPTION_NOT_OPEN"]
    );
    assert_eq!(
        codes(&resolve(app, &order["id"]).await),
        ["NOT_FOUND"],
        "an order is no exception"
    );
}

async fn t1_exceptions_of_one_moment_stand_in_the_order_of_their_identifiers(app: &TestApp) {
    use entity::order_exception::{Column, Entity};
    app.open_shop().await;
    let order = app
        .place(basket_with(json!({ "channel": "marketplace", "lines": [
            { "sku": "NO-1", "quantity": 1 }, { "sku": "NO-2", "quantity": 1 },
            { "sku": "NO-3", "quantity": 1 }] })))
        .await;
    let db = &app.app.db.write;
    let rows = Entity::find()
        .order_by_asc(Column::Id)
        .all(db)
        .await
        .unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.opened_at == rows[0].opened_at));
    // The table gives them back in another order from here on.
    Entity::delete_by_id(rows[0].id).exec(db).await.unwrap();
    Entity::insert(rows[0].clone().into_active_model())
        .exec_without_returning(db)
        .await
        .unwrap();
    let query = "query List($id: ID!, $after: String) {
        order(by: { id: $id }) { exceptions { id } }
        all: exceptions { nodes { id } }
        exceptions(first: 1, after: $after) { nodes { id } pageInfo { endCursor } } }";
    let expected: Vec<Value> = rows
        .iter()
        .map(|row| json!({ "id": api::graphql::ids::to_global(row.id) }))
        .collect();
    let mut after = Value::Null;
    for one in &expected {
        let data = app
            .gql(query, json!({ "id": order["id"], "after": after }))
            .await;
        assert_eq!(data["order"]["exceptions"], json!(expected));
        assert_eq!(data["all"]["nodes"], json!(expected));
        assert_eq!(data["exceptions"]["nodes"], json!([one]));
        after = data["exceptions"]["pageInfo"]["endCursor"].clone();
    }
}

async fn t1_a_sku_that_is_still_unknown_cannot_be_waved_through(app: &TestApp) {
    app.open_shop().await;
    let odd = basket_with(
        json!({ "channel": "marketplace", "payment": { "method": "EXTERNAL" },
        "lines": [{ "sku": "NOBODY-KNOWS", "quantity": 1, "unitPrice": "5.00" }] }),
    );
    let order = app.place(odd).await;
    let exception = &order["exceptions"][0]["id"];
    assert_eq!(
        codes(&resolve(app, exception).await),
        ["ORDER_STATE_INVALID"]
    );
    assert_eq!(app.order(&order["id"]).await["stage"], "ON_HOLD");
    done(cancel(app, &order["id"]).await);
}

async fn t1_a_decline_that_was_waved_through_does_not_strand_a_waiting_order(app: &TestApp) {
    app.open_shop().await;
    let none = app.stocked("NONE", 0, true).await;
    let mut basket = wants(&none, 1);
    basket["payment"]["token"] = json!("tok_decline");
    let order = app.place(basket).await;
    let exception = &order["exceptions"][0]["id"];
    assert_eq!(
        codes(&resolve(app, exception).await),
        ["ORDER_STATE_INVALID"]
    );
    app.receive(&none, 1).await;
    // The unit is kept for it for a time, and then it ends as any that nobody pays for.
    assert_eq!(line(app, &order["id"]).await, (1, 0));
    later(app, 7_200).await;
    assert_eq!(app.order(&order["id"]).await["status"], "EXPIRED");
    assert_eq!(app.stock_of(&none).await, (1, 0));
}

async fn c5a_money_that_comes_after_the_end_goes_back(app: &TestApp) {
    app.open_shop().await;
    for token in ["tok_timeout_after", "tok_late"] {
        let order = app
            .place(basket_with(
                json!({ "payment": { "method": "CARD", "token": token } }),
            ))
            .await;
        assert_eq!(order["paymentStatus"], "UNKNOWN");
        done(cancel(app, &order["id"]).await);
        for _ in 0..4 {
            later(app, 60).await;
        }
        let there = app.order(&order["id"]).await;
        assert_eq!(
            (&there["status"], &there["paymentStatus"]),
            (&json!("CANCELLED"), &json!("VOIDED")),
            "{token}: {there:#}"
        );
        assert_eq!(there["payment"]["authorized"]["amount"], "0.00");
        assert_eq!(there["payment"]["voided"], true);
        let entries = timeline(app, &order["id"]).await;
        let tail = &events(&entries)[2..];
        assert_eq!(
            tail,
            [
                "order.cancelled",
                "order.payment_authorized",
                "order.payment_voided"
            ],
            "{token}"
        );
    }
    // What never came through is not sent again for an order that has ended.
    let lost = json!({ "method": "CARD", "token": "tok_timeout_before" });
    let order = app.place(basket_with(json!({ "payment": lost }))).await;
    done(cancel(app, &order["id"]).await);
    later(app, 60).await;
    let there = app.order(&order["id"]).await;
    let transactions = json!([{ "kind": "AUTHORIZATION", "state": "NOT_EXECUTED" }]);
    assert_eq!(there["payment"]["transactions"], transactions, "{there:#}");
}

// --- Money that goes back -------------------------------------------------------------------

/// The sandbox, except that it gives money back as it is told to.
struct Reluctant {
    says: Mutex<Answer>,
    asked: Mutex<usize>,
}

impl Reluctant {
    fn says(&self, answer: Answer) {
        *self.says.lock().unwrap() = answer;
    }

    fn gives(&self) {
        self.says(Answer::Succeeded {
            reference: "given back".to_owned(),
            expires_at: None,
            rest_released: false,
        });
    }

    /// How often it was asked to give money back, or about it.
    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    fn answer(&self) -> Answer {
        *self.asked.lock().unwrap() += 1;
        self.says.lock().unwrap().clone()
    }
}

#[async_trait]
impl PaymentGateway for Reluctant {
    async fn execute(&self, effect: &Effect, now: DateTime<Utc>) -> Answer {
        match effect.kind {
            Kind::Void => self.answer(),
            _ => Sandbox.execute(effect, now).await,
        }
    }

    async fn look_up(&self, effect: &Effect, now: DateTime<Utc>) -> Known {
        match effect.kind {
            Kind::Void => match self.answer() {
                Answer::Unknown => Known::Unclear,
                answer => Known::Answered(answer),
            },
            _ => Sandbox.look_up(effect, now).await,
        }
    }
}

/// An app of its own with a gateway that gives nothing back yet. A test settles it at the end.
async fn reluctant(app: &TestApp, says: Answer) -> (TestApp, Arc<Reluctant>) {
    let gateway = Arc::new(Reluctant {
        says: Mutex::new(says),
        asked: Mutex::new(0),
    });
    let place = Place::migrated(app.backend).await.expect("a database");
    let setup = Setup {
        gateway: gateway.clone(),
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    (app, gateway)
}

async fn retry(app: &TestApp, id: &Value) -> Value {
    let input = json!({ "id": id, "token": "tok_approve" });
    act(app, "orderRetryPayment", "OrderRetryPaymentInput", input).await
}

async fn retry_void(app: &TestApp, id: &Value) -> Value {
    act(
        app,
        "orderRetryVoid",
        "OrderRetryVoidInput",
        json!({ "id": id }),
    )
    .await
}

/// The exceptions of an order that are open, by code.
async fn open(app: &TestApp, id: &Value) -> Vec<(String, Value)> {
    let order = app.order(id).await;
    let all = order["exceptions"].as_array().unwrap().iter();
    all.filter(|one| one["status"] == "OPEN")
        .map(|one| (one["code"].as_str().unwrap().to_owned(), one["id"].clone()))
        .collect()
}

/// The one open exception of a code.
async fn open_one(app: &TestApp, id: &Value, code: &str) -> Value {
    let all = open(app, id).await;
    let found: Vec<_> = all.iter().filter(|(own, _)| own == code).collect();
    assert_eq!(found.len(), 1, "{code}: {all:?}");
    found[0].1.clone()
}

/// What an order's gateway was asked for, and where that stands.
async fn transactions(app: &TestApp, id: &Value) -> Vec<(String, String)> {
    let order = app.order(id).await;
    let all = order["payment"]["transactions"].as_array().unwrap().iter();
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    all.map(|one| (text(one, "kind"), text(one, "state")))
        .collect()
}

const A_WEEK: i64 = 7 * 86_400;

async fn c5a_an_authorisation_that_ran_out_can_be_replaced_and_the_new_one_given_back(
    app: &TestApp,
) {
    app.open_shop().await;
    let mug = app.stocked("WEEKS", 5, true).await;
    let order = app.place(stopped(&mug, 1)).await;
    let id = &order["id"];
    for week in 1..=2 {
        later(app, A_WEEK).await;
        let there = app.order(id).await;
        assert_eq!(
            (&there["status"], &there["paymentStatus"]),
            (&json!("RECEIVED"), &json!("VOIDED")),
            "week {week}"
        );
        let expired = open_one(app, id, "PAYMENT_EXPIRED").await;
        assert_eq!(
            codes(&resolve(app, &expired).await),
            ["ORDER_STATE_INVALID"]
        );
        assert_eq!(done(retry(app, id).await)["paymentStatus"], "AUTHORIZED");
        assert_eq!(open(app, id).await.len(), 1, "only the price is left");
    }
    let ended = done(cancel(app, id).await);
    assert_eq!(
        (&ended["status"], &ended["paymentStatus"]),
        (&json!("CANCELLED"), &json!("VOIDED"))
    );
    let voided = transactions(app, id).await;
    let voided = voided.iter().filter(|(kind, _)| kind == "VOID");
    assert_eq!(voided.count(), 3);
}

async fn c5a_an_authorisation_that_ran_out_pays_for_nothing_while_the_gateway_is_silent(
    app: &TestApp,
) {
    let (app, gateway) = &reluctant(app, Answer::Unknown).await;
    let mug = app.stocked("SILENT", 5, true).await;
    let order = app.place(stopped(&mug, 1)).await;
    let id = &order["id"];
    later(app, A_WEEK).await;
    let price = open_one(app, id, "PRICE_MISMATCH").await;
    done(resolve(app, &price).await);
    let expired = open_one(app, id, "PAYMENT_EXPIRED").await;
    assert_eq!(
        codes(&resolve(app, &expired).await),
        ["ORDER_STATE_INVALID"]
    );
    assert_eq!(codes(&retry(app, id).await), ["IN_PROGRESS"]);
    assert_eq!(app.order(id).await["stage"], "ON_HOLD");
    gateway.gives();
    later(app, 3_600).await;
    assert_eq!(app.order(id).await["paymentStatus"], "VOIDED");
    done(retry(app, id).await);
    app.settle().await;
    assert_eq!(status(app, id).await, "CONFIRMED");
}

async fn c5a_an_order_whose_money_is_on_its_way_back_is_cancelled_without_asking_twice(
    app: &TestApp,
) {
    let (app, gateway) = &reluctant(app, Answer::Unknown).await;
    let mug = app.stocked("TWICE", 5, true).await;
    let order = app.place(stopped(&mug, 1)).await;
    let id = &order["id"];
    later(app, A_WEEK).await;
    done(cancel(app, id).await);
    assert_eq!(
        transactions(app, id).await[1..],
        [("VOID".to_owned(), "UNKNOWN".to_owned())]
    );
    gateway.gives();
    later(app, 3_600).await;
    let there = app.order(id).await;
    assert_eq!(there["paymentStatus"], "VOIDED", "{there:#}");
    assert_eq!(transactions(app, id).await.len(), 2);
    app.settle().await;
}

fn refuses() -> Answer {
    Answer::Declined {
        code: "no_such_authorization".to_owned(),
    }
}

/// What of an order's actions is open.
async fn offered(app: &TestApp, id: &Value, action: &str) -> bool {
    let query =
        "query A($id: ID!) { order(by: { id: $id }) { availableActions { action enabled } } }";
    let data = app.gql(query, json!({ "id": id })).await;
    let actions = data["order"]["availableActions"].as_array().unwrap();
    let found = actions.iter().find(|one| one["action"] == action);
    found.unwrap()["enabled"].as_bool().unwrap()
}

async fn c5a_a_gateway_that_gives_nothing_back_is_asked_again_by_a_person_alone(app: &TestApp) {
    let (app, gateway) = &reluctant(app, refuses()).await;
    let order = app.place(basket()).await;
    let id = &order["id"];
    assert_eq!(codes(&retry_void(app, id).await), ["ORDER_STATE_INVALID"]);
    let ended = done(cancel(app, id).await);
    assert_eq!(
        (&ended["status"], &ended["stage"], &ended["paymentStatus"]),
        (
            &json!("CANCELLED"),
            &json!("CANCELLED"),
            &json!("AUTHORIZED")
        )
    );
    let queue = "{ exceptions(where: { queue: { eq: \"payments\" } }) {
        nodes { code severity details suggestedActions { action enabled } order { number } } } }";
    let found = app.gql(queue, Value::Null).await;
    assert_eq!(
        found["exceptions"]["nodes"],
        json!([{ "code": "VOID_DECLINED", "severity": "HIGH",
            "details": { "amount": 1_980, "currency": "EUR", "declineCode": "no_such_authorization" },
            "suggestedActions": [{ "action": "RETRY_VOID", "enabled": true },
                { "action": "OVERRIDE", "enabled": true }],
            "order": { "number": order["number"] } }])
    );
    for _ in 0..3 {
        later(app, 86_400).await;
    }
    assert_eq!(gateway.asked(), 1, "nobody told it to ask again");

    // It refuses again, then says nothing, and then gives.
    assert!(offered(app, id, "RETRY_VOID").await);
    done(retry_void(app, id).await);
    assert_eq!((gateway.asked(), open(app, id).await.len()), (2, 1));
    gateway.says(Answer::Unknown);
    done(retry_void(app, id).await);
    assert_eq!(codes(&retry_void(app, id).await), ["IN_PROGRESS"]);
    let exception = open_one(app, id, "VOID_DECLINED").await;
    assert_eq!(
        codes(&resolve(app, &exception).await),
        ["ORDER_STATE_INVALID"]
    );
    for action in ["RETRY_VOID", "RESOLVE_EXCEPTION"] {
        assert!(!offered(app, id, action).await, "{action}");
    }
    gateway.gives();
    later(app, 5).await;
    let there = app.order(id).await;
    assert_eq!(
        (&there["status"], &there["paymentStatus"]),
        (&json!("CANCELLED"), &json!("VOIDED"))
    );
    assert_eq!(there["payment"]["authorized"]["amount"], "0.00");
    assert_eq!(open(app, id).await, []);
    assert_eq!(codes(&retry_void(app, id).await), ["ORDER_STATE_INVALID"]);
    let entries = timeline(app, id).await;
    assert_eq!(
        events(&entries)[3..],
        [
            "order.cancelled",
            "order.void_declined",
            "order.exception_opened",
            "order.void_requested",
            "order.void_declined",
            "order.void_requested",
            "order.payment_unknown",
            "order.payment_voided",
            "order.exception_resolved"
        ]
    );
    app.settle().await;
}

async fn c5a_a_person_may_say_that_the_money_is_back(app: &TestApp) {
    let (app, gateway) = &reluctant(app, refuses()).await;
    let order = app.place(basket()).await;
    let id = &order["id"];
    done(cancel(app, id).await);
    let exception = open_one(app, id, "VOID_DECLINED").await;
    let there = done(resolve(app, &exception).await);
    assert_eq!(
        (&there["status"], &there["paymentStatus"]),
        (&json!("CANCELLED"), &json!("VOIDED"))
    );
    let text = |kind: &str, state: &str| (kind.to_owned(), state.to_owned());
    assert_eq!(
        transactions(app, id).await,
        [
            text("AUTHORIZATION", "SUCCEEDED"),
            text("VOID", "DECLINED"),
            text("VOID", "SUCCEEDED")
        ]
    );
    assert_eq!(
        codes(&resolve(app, &exception).await),
        ["EXCEPTION_NOT_OPEN"]
    );
    later(app, 86_400).await;
    assert_eq!(gateway.asked(), 1);
    app.settle().await;
}

async fn c5a_what_ran_out_and_is_not_back_is_settled_before_another_card_pays(app: &TestApp) {
    let (app, gateway) = &reluctant(app, refuses()).await;
    let mug = app.stocked("LAPSED", 5, true).await;
    let first = app.place(stopped(&mug, 1)).await["id"].clone();
    let second = app.place(stopped(&mug, 1)).await["id"].clone();
    later(app, A_WEEK).await;
    assert_eq!(gateway.asked(), 2);
    for id in [&first, &second] {
        let codes: Vec<_> = open(app, id)
            .await
            .into_iter()
            .map(|(code, _)| code)
            .collect();
        assert_eq!(
            codes,
            ["PRICE_MISMATCH", "PAYMENT_EXPIRED", "VOID_DECLINED"]
        );
    }
    let expired = open_one(app, &first, "PAYMENT_EXPIRED").await;
    assert_eq!(
        codes(&resolve(app, &expired).await),
        ["ORDER_STATE_INVALID"]
    );
    assert_eq!(codes(&retry(app, &first).await), ["ORDER_STATE_INVALID"]);
    assert!(!offered(app, &first, "RETRY_PAYMENT").await);
    // It is known to have lapsed: a word settles that, and another card pays.
    let lapsed = open_one(app, &first, "VOID_DECLINED").await;
    assert_eq!(done(resolve(app, &lapsed).await)["paymentStatus"], "VOIDED");
    assert_eq!(
        done(retry(app, &first).await)["paymentStatus"],
        "AUTHORIZED"
    );
    let price = open_one(app, &first, "PRICE_MISMATCH").await;
    assert_eq!(done(resolve(app, &price).await)["status"], "CONFIRMED");
    // The end of an order asks once more, and a refusal is heard again.
    done(cancel(app, &second).await);
    assert_eq!(gateway.asked(), 3);
    let codes: Vec<_> = open(app, &second)
        .await
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, ["VOID_DECLINED"]);
    gateway.gives();
    assert_eq!(
        done(retry_void(app, &second).await)["paymentStatus"],
        "VOIDED"
    );
    app.settle().await;
}
