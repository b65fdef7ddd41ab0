//! An order's life: every step on its timeline, every end with what it gives back, every wait
//! with its place, and nothing that the present state forbids.

use chrono::Duration;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::merchant::{Stocked, basket, basket_with, codes};
use support::{TestApp, both_backends};

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
    q1b_those_who_wait_are_served_oldest_first_with_each_receipt,
    q1b_the_head_of_the_queue_is_not_overtaken_by_a_smaller_order,
    q1b_who_gives_up_waiting_leaves_the_queue_to_the_others,
    t1_of_two_exceptions_only_the_last_releases_the_order,
    t1_an_exception_is_settled_once,
    t1_exceptions_of_one_moment_stand_in_the_order_of_their_identifiers,
    t1_a_sku_that_is_still_unknown_cannot_be_waved_through,
    t1_a_decline_that_was_waved_through_does_not_strand_a_waiting_order,
    c5a_money_that_comes_after_the_end_goes_back,
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
            "order.confirmed"
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
    let when: Vec<chrono::DateTime<chrono::Utc>> = entries
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
        assert_eq!(actions.len(), 7, "{actions:#?}");
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
                "ADD_NOTE" => act(app, NOTE.0, NOTE.1, json!({ "id": id, "body": "x" })).await,
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
            "order.confirmed"
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
    let expected: chrono::DateTime<chrono::Utc> =
        waiting["expectedAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(expected, app.app.clock.now() + Duration::days(9));
    let none = app.stocked("NONE", 0, true).await;
    let order = app.place(wants(&none, 1)).await;
    let data = app.gql(query, json!({ "id": order["id"] })).await;
    assert_eq!(data["order"]["backorders"][0]["expectedAt"], Value::Null);
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
    let row = entity::warehouse::Entity::find().filter(entity::warehouse::Column::Code.eq("BER"));
    let berlin = row.one(&app.app.db.read).await.unwrap().unwrap().id;
    app.receive(
        &Stocked {
            warehouse: berlin,
            ..mug.clone()
        },
        1,
    )
    .await;
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
        ["ORDER_STATE_INVALID"]
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
