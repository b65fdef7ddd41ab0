//! The exception workbench: whose an exception is, what is done about it in place, and the queue as
//! those who work on it see it.

use std::collections::BTreeMap;

use api::exceptions::Finding;
use api::failure::Code;
use api::tx::Actor;
use chrono::Duration;
use entity::api_key::Role;
use entity::{ExceptionId, OrderId, address, backorder, channel, customer, order, order_exception};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, Set,
};
use serde_json::{Value, json};
use support::merchant::{basket_with, codes};
use support::{TestApp, both_backends};

both_backends!(
    t1_of_two_who_take_at_once_one_wins_and_the_other_hears_who_has_it,
    t1_an_exception_is_given_to_people_and_teams,
    t1_a_snoozed_exception_comes_back,
    t1_a_settled_exception_is_opened_again_as_a_new_one,
    t1_several_exceptions_are_assigned_and_settled_each_by_itself,
    t1_the_suggested_address_is_taken_in_place,
    t1_a_price_is_made_ours_or_left_theirs,
    t1_what_is_missing_becomes_an_order_of_its_own,
    t1_a_line_that_waits_is_split_off_with_its_place,
    t1_an_order_on_account_is_split_within_its_credit,
    t1_of_an_order_that_was_declined_each_part_asks_for_its_own_money,
    t1_the_parts_of_a_split_add_up_in_every_currency,
    t1_an_order_that_lacks_everything_is_not_split,
    t1_the_queue_is_followed_exactly_once_while_orders_flow,
    t1_the_queue_s_cursor_is_its_own,
    t1_the_queue_tells_how_it_stands,
    x1_a_confined_key_works_its_own_queue_only,
);

const EXCEPTION: &str = "exception { id code status queue owner assignedAt snoozedUntil overdue
        ageSecs timeToResolveSecs resolution reopensId blocking
        suggestedActions { action enabled disabledReason }
        order { id number status stage version total { amount }
            splitOffs { id } shippingAddress { city postalCode verdict } } }
    userErrors { code field message details } replayed";

/// Runs a mutation on an exception as the holder of a key.
async fn work_as(app: &TestApp, key: &str, mutation: &str, input: Value) -> Value {
    let kind = match mutation {
        "exceptionAssign" => "ExceptionAssignInput",
        "exceptionTake" => "ExceptionTakeInput",
        "exceptionSnooze" => "ExceptionSnoozeInput",
        "exceptionReopen" => "ExceptionReopenInput",
        _ => "ExceptionInput",
    };
    let document =
        format!("mutation It($input: {kind}!) {{ {mutation}(input: $input) {{ {EXCEPTION} }} }}");
    app.gql_as(key, &document, json!({ "input": input })).await[mutation].take()
}

async fn work(app: &TestApp, mutation: &str, input: Value) -> Value {
    work_as(app, &app.admin_key, mutation, input).await
}

#[track_caller]
fn done(payload: Value) -> Value {
    assert_eq!(payload["userErrors"], json!([]), "{payload:#}");
    payload["exception"].clone()
}

async fn resolve(app: &TestApp, id: &Value) -> Value {
    let document = "mutation R($id: ID!) {
        exceptionResolve(input: { id: $id, resolution: \"agreed by telephone\" }) {
            order { id status stage version } userErrors { code message } } }";
    let mut data = app.gql(document, json!({ "id": id })).await;
    data["exceptionResolve"].take()
}

/// The exceptions that a filter finds, in their order.
async fn listed(app: &TestApp, filter: Value) -> Vec<Value> {
    let document = "query L($where: ExceptionWhere) {
        exceptions(where: $where) { nodes { id code overdue } } }";
    let data = app.gql(document, json!({ "where": filter })).await;
    let nodes = data["exceptions"]["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["id"].clone()).collect()
}

/// An order of the marketplace, which keeps what its checks find wrong.
fn reviewed(changes: Value) -> Value {
    let mut basket = basket_with(json!({ "channel": "marketplace" }));
    for (field, value) in changes.as_object().into_iter().flatten() {
        basket[field] = value.clone();
    }
    basket
}

/// An order that one exception stops: the channel's price is not ours.
fn stopped(sku: &str) -> Value {
    reviewed(json!({ "lines": [{ "sku": sku, "quantity": 1, "unitPrice": "9.00" }] }))
}

async fn whole(app: &TestApp, id: &Value) -> Value {
    let document = "query W($id: ID!) { order(by: { id: $id }) {
        id number status stage version paymentStatus splitFrom { id } splitOffs { id }
        subtotal { amount } discount { amount } shippingCharge { amount } tax { amount }
        total { amount } payment { authorized { amount } transactions { kind state } }
        lines { id sku quantity reserved allocated backordered cancelled
            unitPrice { amount } gross { amount } discounts }
        exceptions { id code status blocking } timeline { event } } }";
    app.settle().await;
    app.gql(document, json!({ "id": id })).await["order"].take()
}

fn amount(value: &Value) -> rust_decimal::Decimal {
    value["amount"].as_str().unwrap().parse().unwrap()
}

async fn t1_of_two_who_take_at_once_one_wins_and_the_other_hears_who_has_it(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 5, true).await;
    let order = app.place(stopped("PEN")).await;
    let id = &order["exceptions"][0]["id"];
    let (anna, bert) = (
        app.key(Role::Operations).await,
        app.key(Role::Operations).await,
    );
    let take = || json!({ "id": id });
    let (one, other) = tokio::join!(
        work_as(app, &anna, "exceptionTake", take()),
        work_as(app, &bert, "exceptionTake", take()),
    );
    let (won, lost) = match one["exception"].is_null() {
        true => (other, one),
        false => (one, other),
    };
    assert_eq!(codes(&lost), ["EXCEPTION_TAKEN"], "{lost:#}");
    assert_eq!(
        lost["userErrors"][0]["details"]["owner"], won["exception"]["owner"],
        "{lost:#}"
    );
    assert_eq!(won["exception"]["status"], "ASSIGNED");
    let owner = won["exception"]["owner"].as_str().unwrap();
    assert!(owner.starts_with("key:"), "{owner}");

    // Taking it from somebody needs a word for it; taking what is one's own changes nothing.
    let forced = json!({ "id": id, "force": true });
    let taken = done(work(app, "exceptionTake", forced.clone()).await);
    assert_ne!(taken["owner"], won["exception"]["owner"]);
    let again = done(work(app, "exceptionTake", forced).await);
    assert_eq!(again["order"]["version"], taken["order"]["version"]);
    let events = whole(app, &order["id"]).await["timeline"].clone();
    let assigned = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["event"] == "order.exception_assigned")
        .count();
    assert_eq!(assigned, 2, "{events:#}");
    assert_eq!(codes(&resolve(app, id).await).len(), 0);
    assert_eq!(codes(&resolve(app, id).await), ["EXCEPTION_NOT_OPEN"]);
    let late = work(app, "exceptionTake", json!({ "id": id })).await;
    assert_eq!(codes(&late), ["EXCEPTION_NOT_OPEN"]);
}

async fn t1_an_exception_is_given_to_people_and_teams(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 5, true).await;
    let order = app.place(stopped("PEN")).await;
    let id = &order["exceptions"][0]["id"];
    let given = json!({ "id": id, "owner": " Anna ", "queue": "vip",
        "expectedVersion": order["version"] });
    let given = done(work(app, "exceptionAssign", given).await);
    assert_eq!(
        (&given["owner"], &given["queue"]),
        (&json!("Anna"), &json!("vip"))
    );
    assert!(given["assignedAt"].is_string());
    let one = vec![id.clone()];
    assert_eq!(listed(app, json!({ "owner": { "eq": "Anna" } })).await, one);
    assert_eq!(listed(app, json!({ "assigned": true })).await, one);
    assert!(
        listed(app, json!({ "queue": { "eq": "pricing" } }))
            .await
            .is_empty()
    );
    let stale = json!({ "id": id, "owner": "Bert", "expectedVersion": order["version"] });
    let stale = work(app, "exceptionAssign", stale).await;
    assert_eq!(codes(&stale), ["STALE_VERSION"]);
    // To a team, and nobody of it.
    let team = done(
        work(
            app,
            "exceptionAssign",
            json!({ "id": id, "queue": "night" }),
        )
        .await,
    );
    assert_eq!(
        (&team["owner"], &team["status"]),
        (&Value::Null, &json!("OPEN"))
    );
    assert_eq!(team["assignedAt"], Value::Null);
    done(work(app, "exceptionTake", json!({ "id": id })).await);
    let back = done(work(app, "exceptionUnassign", json!({ "id": id })).await);
    assert_eq!(
        (&back["owner"], &back["queue"]),
        (&Value::Null, &json!("night"))
    );
    assert_eq!(listed(app, json!({ "assigned": false })).await, one);
    for (input, field) in [
        (json!({ "id": id }), "owner"),
        (json!({ "id": id, "owner": " " }), "owner"),
        (json!({ "id": id, "queue": "x".repeat(201) }), "queue"),
        (json!({ "id": id, "owner": "a\nb" }), "owner"),
    ] {
        let refused = work(app, "exceptionAssign", input).await;
        assert_eq!(codes(&refused), ["INVALID_INPUT"]);
        assert_eq!(refused["userErrors"][0]["field"], json!(["input", field]));
    }
    // The same key gives the same answer, and does nothing twice.
    let keyed = json!({ "id": id, "owner": "Carla", "idempotencyKey": "k-1" });
    done(work(app, "exceptionAssign", keyed.clone()).await);
    done(work(app, "exceptionUnassign", json!({ "id": id })).await);
    let replayed = work(app, "exceptionAssign", keyed).await;
    assert_eq!(replayed["replayed"], true);
    assert_eq!(replayed["exception"]["owner"], Value::Null, "{replayed:#}");
}

async fn t1_a_snoozed_exception_comes_back(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 5, true).await;
    let order = app.place(stopped("PEN")).await;
    let id = &order["exceptions"][0]["id"];
    app.settle().await;
    let mut socket = app.socket().await;
    let stream = socket.subscribe(QUEUE, json!({ "snapshot": true })).await;
    assert_eq!(next(&mut socket, &stream).await["kind"], "SNAPSHOT");
    assert_eq!(next(&mut socket, &stream).await["kind"], "SNAPSHOT_END");
    let now = app.app.clock.now();
    for wrong in [now, now + Duration::days(91)] {
        let refused = json!({ "id": id, "until": wrong });
        let refused = work(app, "exceptionSnooze", refused).await;
        assert_eq!(codes(&refused), ["INVALID_INPUT"]);
    }
    let until = now + Duration::hours(6);
    let asleep = done(work(app, "exceptionSnooze", json!({ "id": id, "until": until })).await);
    assert!(asleep["snoozedUntil"].is_string());
    assert_eq!(
        asleep["order"]["stage"], "ON_HOLD",
        "it stops its order all the same"
    );
    app.settle().await;
    assert_eq!(next(&mut socket, &stream).await["kind"], "REMOVE");
    assert!(listed(app, json!({})).await.is_empty());
    assert_eq!(
        listed(app, json!({ "snoozed": true })).await,
        std::slice::from_ref(id)
    );
    app.clock.advance(Duration::hours(5));
    app.settle().await;
    assert!(listed(app, json!({})).await.is_empty());
    // It was due when it was.
    assert_eq!(
        listed(app, json!({ "snoozed": true, "overdue": true })).await,
        std::slice::from_ref(id)
    );
    app.clock.advance(Duration::hours(1));
    app.settle().await;
    let back = next(&mut socket, &stream).await;
    assert_eq!(
        (&back["kind"], &back["exceptionId"]),
        (&json!("UPSERT"), id),
        "{back:#}"
    );
    assert_eq!(
        listed(app, json!({ "overdue": true })).await,
        std::slice::from_ref(id)
    );
    assert!(listed(app, json!({ "overdue": false })).await.is_empty());
}

async fn t1_a_settled_exception_is_opened_again_as_a_new_one(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 5, true).await;
    let order = app.place(stopped("PEN")).await;
    let id = &order["exceptions"][0]["id"];
    let early = json!({ "id": id, "reason": "the customer called" });
    let open = work(app, "exceptionReopen", early.clone()).await;
    assert_eq!(codes(&open), ["EXCEPTION_NOT_SETTLED"]);
    app.clock.advance(Duration::minutes(5));
    let there = resolve(app, id).await;
    assert_eq!(there["order"]["status"], "CONFIRMED", "{there:#}");
    let again = done(work(app, "exceptionReopen", early.clone()).await);
    assert_eq!(
        (&again["reopensId"], &again["status"]),
        (id, &json!("OPEN"))
    );
    assert_eq!(
        (&again["order"]["status"], &again["order"]["stage"]),
        (&json!("RECEIVED"), &json!("ON_HOLD"))
    );
    let twice = work(app, "exceptionReopen", early).await;
    assert_eq!(codes(&twice), ["EXCEPTION_NOT_SETTLED"]);
    let now = whole(app, &order["id"]).await;
    assert_eq!(now["lines"][0]["allocated"], 1, "what is held stays held");
    let there = resolve(app, &again["id"]).await;
    assert_eq!(there["order"]["stage"], "STAGED", "{there:#}");
    // One that stops nothing leaves the order where it is.
    let titled = reviewed(json!({ "lines": [{ "sku": "PEN", "quantity": 1, "title": "Rubber" }] }));
    let titled = app.place(titled).await;
    let title = &titled["exceptions"][0]["id"];
    resolve(app, title).await;
    let reason = json!({ "id": title, "reason": "look again" });
    let again = done(work(app, "exceptionReopen", reason).await);
    assert_eq!(again["order"]["status"], titled["status"]);
    // An order that has ended has no gates to go back to.
    let cancel = "mutation C($id: ID!) {
        orderCancel(input: { id: $id, reason: \"x\" }) { userErrors { code } } }";
    app.gql(cancel, json!({ "id": titled["id"] })).await;
    let ended = json!({ "id": again["id"], "reason": "look again" });
    let ended = work(app, "exceptionReopen", ended).await;
    assert_eq!(codes(&ended), ["ORDER_STATE_INVALID"]);
}

async fn t1_several_exceptions_are_assigned_and_settled_each_by_itself(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 50, true).await;
    let mut ids = Vec::new();
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = app.place(stopped("PEN")).await;
        ids.push(order["exceptions"][0]["id"].clone());
        orders.push(order["id"].clone());
    }
    resolve(app, &ids[1]).await;
    let mut named = ids.clone();
    named.push(orders[0].clone());
    let rows = "rows { exception { id owner status } userErrors { code field } replayed }
        accepted refused userErrors { code field }";
    let assign = format!(
        "mutation B($ids: [ID!]!) {{ exceptionBulkAssign(input: {{ ids: $ids, owner: \"Anna\",
            idempotencyKey: \"b-1\" }}) {{ {rows} }} }}"
    );
    for again in [false, true] {
        let mut data = app.gql(&assign, json!({ "ids": named })).await;
        let done = data["exceptionBulkAssign"].take();
        assert_eq!(
            (&done["accepted"], &done["refused"]),
            (&json!(2), &json!(2)),
            "{done:#}"
        );
        assert_eq!(codes(&done["rows"][1]), ["EXCEPTION_NOT_OPEN"]);
        assert_eq!(codes(&done["rows"][3]), ["NOT_FOUND"]);
        assert_eq!(done["rows"][0]["exception"]["owner"], "Anna");
        assert_eq!(done["rows"][0]["replayed"], again);
    }
    let settle = format!(
        "mutation B($ids: [ID!]!) {{ exceptionBulkResolve(input: {{ ids: $ids,
            resolution: \"agreed\" }}) {{ {rows} }} }}"
    );
    let mut data = app.gql(&settle, json!({ "ids": ids })).await;
    let done = data["exceptionBulkResolve"].take();
    assert_eq!(
        (&done["accepted"], &done["refused"]),
        (&json!(2), &json!(1)),
        "{done:#}"
    );
    assert_eq!(done["rows"][2]["exception"]["status"], "RESOLVED");
    for order in &orders {
        assert_eq!(whole(app, order).await["stage"], "STAGED");
    }
    for count in [0, 101] {
        let many: Vec<Value> = std::iter::repeat_n(ids[0].clone(), count).collect();
        let mut data = app.gql(&settle, json!({ "ids": many })).await;
        assert_eq!(codes(&data["exceptionBulkResolve"].take()), ["TOO_MANY"]);
    }
}

/// The order inside an identifier.
fn uuid_of(id: &Value) -> uuid::Uuid {
    let id = async_graphql::ID(id.as_str().unwrap().to_owned());
    api::graphql::ids::parse(&id).unwrap().1
}

/// Finds something wrong with an order, as a check would that has no journey of its own.
async fn find(app: &TestApp, id: &Value, finding: Finding) {
    let id = OrderId(uuid_of(id));
    let finding = &finding;
    app.app
        .write(&Actor::worker("test"), move |tx| async move {
            let mut orders = api::orders::aggregate::lock(&tx, [id]).await?;
            let mut order = orders.remove(&id).unwrap();
            api::orders::open_exception(&tx, &mut order, finding);
            order.save(&tx);
            Ok(())
        })
        .await
        .unwrap();
}

async fn t1_the_suggested_address_is_taken_in_place(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 5, true).await;
    let placed = app
        .place(reviewed(
            json!({ "lines": [{ "sku": "PEN", "quantity": 1 }] }),
        ))
        .await;
    let finding = Finding {
        code: Code::AddressInvalid,
        line: None,
        field: "shippingAddress".to_owned(),
        message: "the address needs a look".to_owned(),
        details: json!({ "address": "shippingAddress" }),
        rule: None,
    };
    find(app, &placed["id"], finding).await;
    let order = whole(app, &placed["id"]).await;
    let id = &order["exceptions"][0]["id"];
    // Nothing is suggested yet, and that is what is said beforehand.
    let none = work(app, "exceptionAcceptAddress", json!({ "id": id })).await;
    assert_eq!(codes(&none), ["ORDER_STATE_INVALID"], "{none:#}");
    let row = order::Entity::find_by_id(OrderId(uuid_of(&order["id"])))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let given = address::Entity::find_by_id(row.shipping_address_id)
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let mut suggested = given.clone().into_active_model();
    suggested.suggestion = Set(Some(json!({ "name": given.name, "line1": given.line1,
        "city": "Wien", "postal_code": "1020", "country": "AT" })));
    address::Entity::update(suggested)
        .exec(&app.app.db.write)
        .await
        .unwrap();
    let offered = done(work(app, "exceptionTake", json!({ "id": id })).await);
    assert_eq!(
        offered["suggestedActions"][0],
        json!({ "action": "ACCEPT_ADDRESS", "enabled": true, "disabledReason": null })
    );
    let taken = done(work(app, "exceptionAcceptAddress", json!({ "id": id })).await);
    assert_eq!(taken["status"], "RESOLVED");
    assert_eq!(taken["order"]["shippingAddress"]["postalCode"], "1020");
    assert_eq!(taken["order"]["stage"], "STAGED", "{taken:#}");
    let twice = work(app, "exceptionAcceptAddress", json!({ "id": id })).await;
    assert_eq!(codes(&twice), ["EXCEPTION_NOT_OPEN"]);
}

async fn t1_a_price_is_made_ours_or_left_theirs(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 9, true).await;
    let order = app.place(stopped("PEN")).await;
    let id = &order["exceptions"][0]["id"];
    let before = whole(app, &order["id"]).await;
    let ours = json!({ "id": id, "expectedVersion": before["version"], "idempotencyKey": "p-1" });
    let done_ = done(work(app, "exceptionReprice", ours.clone()).await);
    assert_eq!(done_["status"], "RESOLVED");
    let after = whole(app, &order["id"]).await;
    assert_eq!(after["lines"][0]["unitPrice"]["amount"], "10.00");
    assert!(amount(&after["total"]) > amount(&before["total"]));
    assert_eq!(after["payment"]["authorized"], after["total"], "{after:#}");
    assert_eq!(after["stage"], "STAGED");
    assert_eq!(work(app, "exceptionReprice", ours).await["replayed"], true);

    let order = app.place(stopped("PEN")).await;
    let id = &order["exceptions"][0]["id"];
    let theirs = done(work(app, "exceptionAcceptTheirs", json!({ "id": id })).await);
    let words = theirs["resolution"].as_str().unwrap();
    assert!(words.contains("9.00") && words.contains("10.00"), "{words}");
    let after = whole(app, &order["id"]).await;
    assert_eq!(after["lines"][0]["unitPrice"]["amount"], "9.00");
    assert_eq!(after["stage"], "STAGED");

    // The shipping charge, too.
    let shipped = reviewed(json!({ "shippingCharge": "0.10",
        "lines": [{ "sku": "PEN", "quantity": 1 }] }));
    let order = app.place(shipped).await;
    assert_eq!(
        order["exceptions"][0]["code"], "SHIPPING_MISMATCH",
        "{order:#}"
    );
    let id = &order["exceptions"][0]["id"];
    done(work(app, "exceptionReprice", json!({ "id": id })).await);
    let after = whole(app, &order["id"]).await;
    assert_ne!(after["shippingCharge"]["amount"], "0.10");
    assert_eq!(after["stage"], "STAGED", "{after:#}");
    assert_eq!(after["payment"]["authorized"], after["total"]);
    // What is about no price has none to accept.
    let short = reviewed(json!({ "lines": [{ "sku": "PEN", "quantity": 1, "title": "Rubber" }] }));
    let short = app.place(short).await;
    for verb in [
        "exceptionReprice",
        "exceptionAcceptTheirs",
        "exceptionSplitOff",
    ] {
        let refused = work(app, verb, json!({ "id": short["exceptions"][0]["id"] })).await;
        assert_eq!(codes(&refused), ["ORDER_STATE_INVALID"], "{verb}");
    }
}

async fn t1_what_is_missing_becomes_an_order_of_its_own(app: &TestApp) {
    app.open_shop().await;
    let pen = app.stocked("PEN", 3, false).await;
    let lines = json!([{ "sku": "PEN", "quantity": 5, "discount": "1.01" },
        { "sku": "MUG-WHITE", "quantity": 1 }]);
    for payment in [
        json!({ "method": "CARD", "token": "tok_approve" }),
        json!({ "method": "EXTERNAL" }),
    ] {
        let placed = app
            .place(reviewed(json!({ "lines": lines, "payment": payment })))
            .await;
        let before = whole(app, &placed["id"]).await;
        assert_eq!(before["stage"], "ON_HOLD");
        let id = &before["exceptions"][0]["id"];
        assert_eq!(before["exceptions"][0]["code"], "INSUFFICIENT_STOCK");
        let input = json!({ "id": id, "expectedVersion": before["version"],
            "idempotencyKey": format!("split-{}", before["number"].as_str().unwrap()) });
        let split = done(work(app, "exceptionSplitOff", input.clone()).await);
        assert_eq!(split["status"], "RESOLVED");
        assert_eq!(
            work(app, "exceptionSplitOff", input).await["replayed"],
            true
        );
        let first = whole(app, &placed["id"]).await;
        assert_eq!(first["stage"], "STAGED", "{first:#}");
        assert_eq!(
            first["splitOffs"].as_array().unwrap().len(),
            1,
            "split once for its key"
        );
        let other = whole(app, &first["splitOffs"][0]["id"]).await;
        assert_eq!(other["splitFrom"]["id"], first["id"]);
        assert_eq!(
            amount(&first["total"]) + amount(&other["total"]),
            amount(&before["total"]),
            "{first:#} {other:#}"
        );
        assert_eq!(other["shippingCharge"]["amount"], "0.00");
        for order in [&first, &other] {
            assert_eq!(order["payment"]["authorized"], order["total"], "{order:#}");
        }
        assert_eq!(first["lines"][0]["quantity"], 3);
        assert_eq!(first["lines"][0]["allocated"], 3);
        assert_eq!(other["lines"][0]["quantity"], 2);
        assert_eq!(
            other["lines"][0]["unitPrice"],
            first["lines"][0]["unitPrice"]
        );
        assert_eq!(other["stage"], "ON_HOLD");
        let open: Vec<_> = other["exceptions"].as_array().unwrap().iter().collect();
        assert_eq!(open.len(), 1, "{other:#}");
        assert_eq!(open[0]["code"], "INSUFFICIENT_STOCK");
        // Stock comes, a person says so, and the other goes too.
        app.receive(&pen, 2).await;
        assert_eq!(codes(&resolve(app, &open[0]["id"]).await).len(), 0);
        let other = whole(app, &other["id"]).await;
        assert_eq!(other["stage"], "STAGED", "{other:#}");
        app.receive(&pen, 3).await;
    }
}

async fn t1_a_line_that_waits_is_split_off_with_its_place(app: &TestApp) {
    app.open_shop().await;
    let ink = app.stocked("INK", 2, true).await;
    let wants = json!({ "lines": [{ "sku": "INK", "quantity": 5 },
        { "sku": "MUG-WHITE", "quantity": 1 }] });
    let placed = app.place(reviewed(wants)).await;
    let behind = app
        .place(reviewed(
            json!({ "lines": [{ "sku": "INK", "quantity": 1 }] }),
        ))
        .await;
    let before = whole(app, &placed["id"]).await;
    assert_eq!(before["stage"], "BACKORDERED");
    let document = "mutation S($input: OrderSplitInput!) { orderSplit(input: $input) {
        order { id stage splitOffs { id } } userErrors { code field message } } }";
    let split = async |changes: Value| {
        let mut input = json!({ "id": before["id"], "expectedVersion": before["version"] });
        for (field, value) in changes.as_object().unwrap() {
            input[field] = value.clone();
        }
        app.gql(document, json!({ "input": input })).await["orderSplit"].take()
    };
    let stale = split(json!({ "expectedVersion": 1 })).await;
    assert_eq!(codes(&stale), ["STALE_VERSION"]);
    let nothing = split(json!({ "lineIds": [before["lines"][1]["id"]] })).await;
    assert_eq!(
        codes(&nothing),
        ["ORDER_STATE_INVALID"],
        "nothing of it is missing"
    );
    let foreign = split(json!({ "lineIds": [behind["lines"][0]["id"]] })).await;
    assert_eq!(codes(&foreign), ["NOT_FOUND"]);
    let done = split(json!({})).await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    let first = whole(app, &placed["id"]).await;
    assert_eq!(
        (&first["stage"], &first["lines"][0]["quantity"]),
        (&json!("STAGED"), &json!(2))
    );
    let other = &first["splitOffs"][0]["id"];
    let other = whole(app, other).await;
    assert_eq!(other["stage"], "BACKORDERED", "{other:#}");
    assert_eq!(
        amount(&first["total"]) + amount(&other["total"]),
        amount(&before["total"])
    );
    // It waits where it waited: before the one that came after it.
    let queue = backorder::Entity::find()
        .filter(backorder::Column::Status.eq(backorder::Status::Waiting))
        .order_by_asc(backorder::Column::Position)
        .all(&app.app.db.read)
        .await
        .unwrap();
    let orders: Vec<_> = queue.iter().map(|place| place.order_id.0).collect();
    assert_eq!(orders, [uuid_of(&other["id"]), uuid_of(&behind["id"])]);
    app.receive(&ink, 3).await;
    assert_eq!(whole(app, &other["id"]).await["stage"], "STAGED");
    assert_eq!(whole(app, &behind["id"]).await["stage"], "BACKORDERED");
}

/// Splits off what a placed order waits for; returns the order as it was, and both parts.
async fn split_off(app: &TestApp, placed: &Value) -> [Value; 3] {
    let before = whole(app, &placed["id"]).await;
    let document = "mutation S($input: OrderSplitInput!) { orderSplit(input: $input) {
        order { id } userErrors { code field message } } }";
    let input = json!({ "id": before["id"], "expectedVersion": before["version"] });
    let split = app.gql(document, json!({ "input": input })).await;
    assert_eq!(split["orderSplit"]["userErrors"], json!([]), "{split:#}");
    let first = whole(app, &placed["id"]).await;
    let other = whole(app, &first["splitOffs"][0]["id"]).await;
    assert_eq!(
        amount(&first["total"]) + amount(&other["total"]),
        amount(&before["total"])
    );
    [before, first, other]
}

async fn t1_an_order_on_account_is_split_within_its_credit(app: &TestApp) {
    app.open_shop().await;
    let ink = app.stocked("INK", 2, true).await;
    let wants = json!({ "channel": "b2b", "customer": { "code": "B-2004" },
        "payment": { "method": "ACCOUNT" }, "lines": [{ "sku": "INK", "quantity": 5 }] });
    let placed = app.place(basket_with(wants)).await;
    // The order takes all the credit that there is: neither part may need more for a moment.
    let taken = customer::Entity::find()
        .filter(customer::Column::Code.eq("B-2004"))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let mut row = taken.clone().into_active_model();
    row.credit_limit_minor = Set(Some(taken.credit_used_minor));
    row.update(&app.app.db.write).await.unwrap();

    let [before, first, other] = split_off(app, &placed).await;
    assert_eq!(before["stage"], "BACKORDERED");
    assert_eq!(first["stage"], "STAGED", "{first:#}");
    assert_eq!(other["stage"], "BACKORDERED", "{other:#}");
    for order in [&first, &other] {
        assert_eq!(order["payment"]["authorized"], order["total"], "{order:#}");
        assert_eq!(order["exceptions"], json!([]), "{order:#}");
    }
    let now = customer::Entity::find_by_id(taken.id)
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(now.credit_used_minor, taken.credit_used_minor);
    app.receive(&ink, 3).await;
    assert_eq!(whole(app, &other["id"]).await["stage"], "STAGED");
}

async fn t1_of_an_order_that_was_declined_each_part_asks_for_its_own_money(app: &TestApp) {
    app.open_shop().await;
    let ink = app.stocked("INK", 2, true).await;
    let wants = json!({ "lines": [{ "sku": "INK", "quantity": 5 }],
        "payment": { "method": "CARD", "token": "tok_decline" } });
    let placed = app.place(basket_with(wants)).await;
    let [before, first, other] = split_off(app, &placed).await;
    assert_eq!(before["exceptions"][0]["code"], "PAYMENT_DECLINED");
    for order in [&first, &other] {
        let codes: Vec<_> = order["exceptions"].as_array().unwrap().iter().collect();
        assert_eq!(codes.len(), 1, "{order:#}");
        assert_eq!(codes[0]["code"], "PAYMENT_DECLINED", "{order:#}");
        let retry = "mutation R($id: ID!) { orderRetryPayment(input: {
            id: $id, token: \"tok_approve\" }) { userErrors { code message } } }";
        let paid = app.gql(retry, json!({ "id": order["id"] })).await;
        assert_eq!(paid["orderRetryPayment"]["userErrors"], json!([]));
        let now = whole(app, &order["id"]).await;
        assert_eq!(now["payment"]["authorized"], order["total"], "{now:#}");
    }
    assert_eq!(whole(app, &first["id"]).await["stage"], "STAGED");
    app.receive(&ink, 3).await;
    assert_eq!(whole(app, &other["id"]).await["stage"], "STAGED");
}

async fn t1_the_parts_of_a_split_add_up_in_every_currency(app: &TestApp) {
    app.open_shop().await;
    let odd = app.stocked("ODD", 4, true).await;
    for (code, currency, minor, shipping, discount, included) in [
        ("eu", "EUR", 333, "4.99", "0.07", true),
        ("eu-net", "EUR", 333, "4.99", "0.07", false),
        ("jp", "JPY", 77, "500", "5", true),
        ("kw", "KWD", 4_379, "1.250", "0.005", true),
    ] {
        let parsed: entity::Currency = currency.parse().unwrap();
        app.other_channel(code, &odd, minor, |row| {
            row.currency = Set(parsed);
            row.failed_check_policy = Set(channel::FailedCheckPolicy::Review);
            row.tax_mode = Set(match included {
                true => channel::TaxMode::Inclusive,
                false => channel::TaxMode::Exclusive,
            });
        })
        .await;
        let placed = app
            .place(basket_with(json!({ "channel": code, "currency": currency,
                "shippingCharge": shipping,
                "lines": [{ "sku": "ODD", "quantity": 7, "discount": discount }] })))
            .await;
        let before = whole(app, &placed["id"]).await;
        let document = "mutation S($id: ID!, $version: Int!) {
            orderSplit(input: { id: $id, expectedVersion: $version }) {
                order { splitOffs { id } } userErrors { code message } } }";
        let variables = json!({ "id": before["id"], "version": before["version"] });
        let split = app.gql(document, variables).await["orderSplit"].take();
        assert_eq!(split["userErrors"], json!([]), "{before:#} {split:#}");
        let first = whole(app, &placed["id"]).await;
        let other = whole(app, &first["splitOffs"][0]["id"]).await;
        for figure in ["subtotal", "discount", "tax", "shippingCharge", "total"] {
            assert_eq!(
                amount(&first[figure]) + amount(&other[figure]),
                amount(&before[figure]),
                "{figure} in {currency}: {before:#} {first:#} {other:#}"
            );
        }
        for order in [&first, &other] {
            assert_eq!(order["payment"]["authorized"], order["total"], "{order:#}");
        }
        assert_eq!(
            (
                &first["lines"][0]["quantity"],
                &other["lines"][0]["quantity"]
            ),
            (&json!(4), &json!(3))
        );
        let cancel = "mutation C($id: ID!) {
            orderCancel(input: { id: $id, reason: \"x\" }) { userErrors { code } } }";
        for order in [&other, &first] {
            app.gql(cancel, json!({ "id": order["id"] })).await;
        }
        app.settle().await;
        assert_eq!(app.stock_of(&odd).await, (4, 0));
    }
}

async fn t1_an_order_that_lacks_everything_is_not_split(app: &TestApp) {
    app.open_shop().await;
    app.stocked("GONE", 0, false).await;
    let order = app
        .place(reviewed(
            json!({ "lines": [{ "sku": "GONE", "quantity": 2 }] }),
        ))
        .await;
    let id = &order["exceptions"][0]["id"];
    let refused = work(app, "exceptionSplitOff", json!({ "id": id })).await;
    assert_eq!(codes(&refused), ["ORDER_STATE_INVALID"], "{refused:#}");
    let offered = done(work(app, "exceptionTake", json!({ "id": id })).await);
    let split = &offered["suggestedActions"][0];
    assert_eq!(
        (&split["action"], &split["enabled"]),
        (&json!("SPLIT_OFF"), &json!(false))
    );
    assert!(split["disabledReason"].is_string());
}

const QUEUE: &str = "subscription Q($where: ExceptionWhere, $after: String, $snapshot: Boolean!) {
    exceptionQueue(where: $where, after: $after, snapshot: $snapshot) {
        kind seq cursor event exceptionId exception { id code status owner } } }";

async fn next(socket: &mut support::Socket, id: &str) -> Value {
    socket.next(id).await["exceptionQueue"].take()
}

async fn t1_the_queue_is_followed_exactly_once_while_orders_flow(app: &TestApp) {
    const ORDERS: usize = 60;
    app.open_shop().await;
    app.stocked("PEN", 1_000, true).await;
    for _ in 0..5 {
        app.place(stopped("PEN")).await;
    }
    let feed = app.app.clone();
    let running = tokio::spawn(async move { feed.hub.run().await });
    let flow = async {
        for batch in 0..ORDERS / 10 {
            let orders = (0..10).map(|_| app.place(stopped("PEN")));
            let orders = futures_util::future::join_all(orders).await;
            // Some are taken and settled, one ends with its order.
            for order in &orders[..4] {
                let id = &order["exceptions"][0]["id"];
                done(work(app, "exceptionTake", json!({ "id": id })).await);
                assert_eq!(codes(&resolve(app, id).await).len(), 0, "{batch}");
            }
            let cancel = "mutation C($id: ID!) {
                orderCancel(input: { id: $id, reason: \"x\" }) { userErrors { code } } }";
            app.gql(cancel, json!({ "id": orders[4]["id"] })).await;
        }
    };
    let follow = async {
        let mut socket = app.socket().await;
        let id = socket.subscribe(QUEUE, json!({ "snapshot": true })).await;
        let mut shown: BTreeMap<String, usize> = BTreeMap::new();
        let mut removed: BTreeMap<String, usize> = BTreeMap::new();
        let mut last = 0;
        let wanted = ORDERS / 10 * 5;
        let mut ended = false;
        let mut old = 0;
        while !ended || removed.len() + old < wanted || shown.len() + old < 5 + ORDERS {
            let item = next(&mut socket, &id).await;
            let seq = item["seq"].as_i64().unwrap();
            let name = || item["exceptionId"].as_str().unwrap().to_owned();
            match item["kind"].as_str().unwrap() {
                "SNAPSHOT" => assert_eq!(shown.insert(name(), 0), None, "shown twice"),
                "SNAPSHOT_END" => {
                    (ended, last) = (true, seq);
                    // What was settled before the snapshot is never heard of.
                    old = settled_before(app, seq).await;
                }
                "UPSERT" => {
                    assert!(seq > last, "{item}");
                    last = seq;
                    assert!(!removed.contains_key(&name()), "back from the dead: {item}");
                    *shown.entry(name()).or_default() += 1;
                }
                "REMOVE" => {
                    assert!(seq > last, "{item}");
                    last = seq;
                    assert_eq!(item["exception"], Value::Null);
                    *removed.entry(name()).or_default() += 1;
                }
                "HEARTBEAT" => {}
                other => panic!("{other}: {item}"),
            }
        }
        assert!(removed.values().all(|times| *times == 1), "{removed:?}");
        shown
            .into_keys()
            .filter(|id| !removed.contains_key(id))
            .collect::<Vec<_>>()
    };
    let ((), mut left) = tokio::join!(flow, follow);
    running.abort();
    let mut there: Vec<String> = order_exception::Entity::find()
        .filter(order_exception::Column::ResolvedAt.is_null())
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .map(|row| api::graphql::ids::to_global::<ExceptionId>(row.id).0)
        .collect();
    there.sort();
    left.sort();
    assert_eq!(left, there, "what is shown at rest is what is open");
}

/// How many exceptions were settled by a position of the log.
async fn settled_before(app: &TestApp, seq: i64) -> usize {
    use entity::event_log::{Column, Entity};
    let events = Entity::find()
        .filter(Column::Seq.lte(seq))
        .filter(Column::EventType.eq("order.exception_resolved"))
        .all(&app.app.db.read)
        .await
        .unwrap();
    events.len()
}

async fn t1_the_queue_s_cursor_is_its_own(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 50, true).await;
    let order = app.place(stopped("PEN")).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let id = socket.subscribe(QUEUE, json!({ "snapshot": true })).await;
    next(&mut socket, &id).await;
    let end = next(&mut socket, &id).await;
    assert_eq!(end["kind"], "SNAPSHOT_END");
    socket.close().await;
    // Away while one is settled and another comes.
    resolve(app, &order["exceptions"][0]["id"]).await;
    let other = app.place(stopped("PEN")).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let resume = json!({ "after": end["cursor"], "snapshot": true });
    let id = socket.subscribe(QUEUE, resume).await;
    let gone = next(&mut socket, &id).await;
    assert_eq!(
        (&gone["kind"], &gone["exceptionId"]),
        (&json!("REMOVE"), &order["exceptions"][0]["id"])
    );
    let come = next(&mut socket, &id).await;
    assert_eq!(
        (&come["kind"], &come["exceptionId"]),
        (&json!("UPSERT"), &other["exceptions"][0]["id"])
    );
    let orders = "subscription U($after: String) { orderUpdates(after: $after) { kind } }";
    let foreign = [
        socket
            .subscribe(orders, json!({ "after": end["cursor"] }))
            .await,
        socket
            .subscribe(
                QUEUE,
                json!({ "after": end["cursor"], "snapshot": true,
                "where": { "queue": { "eq": "pricing" } } }),
            )
            .await,
        socket
            .subscribe(
                QUEUE,
                json!({ "snapshot": true, "where": { "not": { "overdue": true } } }),
            )
            .await,
    ];
    for id in foreign {
        let refused = socket.event(&id).await.unwrap();
        assert_eq!(
            refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
            "{refused}"
        );
    }
}

async fn t1_the_queue_tells_how_it_stands(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 50, true).await;
    let document = "query S($from: DateTime) { exceptionStats(from: $from) {
        open { queue severity count overdueCount oldestAgeSecs }
        openCount overdueCount oldestAgeSecs settled { count medianSecs p90Secs } } }";
    let none = app.gql(document, json!({})).await["exceptionStats"].take();
    assert_eq!(none["open"], json!([]));
    assert_eq!(none["oldestAgeSecs"], Value::Null);
    assert_eq!(
        none["settled"],
        json!({ "count": 0, "medianSecs": null, "p90Secs": null })
    );
    // Ten that are settled after 1, 2 … 10 minutes.
    for minutes in 1..=10 {
        let order = app.place(stopped("PEN")).await;
        app.clock.advance(Duration::minutes(minutes));
        resolve(app, &order["exceptions"][0]["id"]).await;
    }
    app.place(stopped("PEN")).await;
    app.clock.advance(Duration::hours(5));
    app.place(stopped("PEN")).await;
    let stats = app.gql(document, json!({})).await["exceptionStats"].take();
    assert_eq!(
        stats["open"],
        json!([{ "queue": "pricing", "severity": "MEDIUM", "count": 2, "overdueCount": 1,
            "oldestAgeSecs": 18_000 }])
    );
    assert_eq!(
        (&stats["openCount"], &stats["overdueCount"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        stats["settled"],
        json!({ "count": 10, "medianSecs": 300, "p90Secs": 540 })
    );
    let future = json!({ "from": app.app.clock.now() + Duration::days(1) });
    let refused = app.answer_as(Some(&app.admin_key), document, future).await;
    assert_eq!(refused.code(), "BAD_USER_INPUT");
    // Those that should be settled first come first.
    let sorted = "query L($by: ExceptionSort, $after: String) {
        exceptions(orderBy: $by, first: 1, after: $after) {
            nodes { ageSecs overdue } pageInfo { endCursor hasNextPage } } }";
    let page = app.gql(sorted, json!({})).await["exceptions"].take();
    assert_eq!(
        page["nodes"],
        json!([{ "ageSecs": 18_000, "overdue": true }])
    );
    let after = json!({ "after": page["pageInfo"]["endCursor"] });
    let page = app.gql(sorted, after).await["exceptions"].take();
    assert_eq!(page["nodes"], json!([{ "ageSecs": 0, "overdue": false }]));
    let newest = json!({ "by": { "field": "OPENED_AT", "direction": "DESC" } });
    let page = app.gql(sorted, newest).await["exceptions"].take();
    assert_eq!(page["nodes"][0]["ageSecs"], 0);
}

async fn x1_a_confined_key_works_its_own_queue_only(app: &TestApp) {
    app.open_shop().await;
    app.stocked("PEN", 50, false).await;
    let own = app.place(stopped("PEN")).await;
    let mut other = stopped("PEN");
    other["channel"] = json!("b2b");
    let other = app.place(other).await;
    app.settle().await;
    let key = app
        .key_for(Role::Operations, &["marketplace"], None)
        .await
        .key;
    let hidden = &other["exceptions"][0]["id"];
    let absent = api::graphql::ids::to_global(ExceptionId(uuid::Uuid::now_v7())).0;
    for (verb, rest) in [
        ("exceptionAssign", json!({ "owner": "x" })),
        ("exceptionTake", json!({})),
        ("exceptionUnassign", json!({})),
        ("exceptionSnooze", json!({})),
        ("exceptionReopen", json!({ "reason": "x" })),
        ("exceptionAcceptAddress", json!({})),
        ("exceptionReprice", json!({})),
        ("exceptionAcceptTheirs", json!({})),
        ("exceptionSplitOff", json!({})),
    ] {
        let ask = async |id: Value| {
            let mut input = rest.clone();
            input["id"] = id;
            work_as(app, &key, verb, input).await
        };
        let refused = ask(hidden.clone()).await;
        assert_eq!(codes(&refused), ["NOT_FOUND"], "{verb}");
        assert_eq!(refused, ask(json!(absent)).await, "{verb}");
    }
    let stats = "{ exceptionStats { openCount } }";
    let stats = app.gql_as(&key, stats, json!({})).await;
    assert_eq!(stats["exceptionStats"]["openCount"], 1);
    let mut socket = app.socket_as(&key).await;
    let id = socket.subscribe(QUEUE, json!({ "snapshot": true })).await;
    assert_eq!(
        next(&mut socket, &id).await["exceptionId"],
        own["exceptions"][0]["id"]
    );
    assert_eq!(next(&mut socket, &id).await["kind"], "SNAPSHOT_END");
    done(work(app, "exceptionTake", json!({ "id": hidden })).await);
    done(
        work(
            app,
            "exceptionTake",
            json!({ "id": own["exceptions"][0]["id"] }),
        )
        .await,
    );
    app.settle().await;
    let heard = next(&mut socket, &id).await;
    assert_eq!(
        heard["exceptionId"], own["exceptions"][0]["id"],
        "{heard:#}"
    );
}
