//! Actions on many orders: each by itself, with what became of it, in the order's own words.

use std::collections::BTreeMap;

use entity::{OrderId, event_log};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use support::merchant::{Stocked, basket, basket_with, codes};
use support::{TestApp, both_backends};
use uuid::Uuid;

use api::graphql::ids::to_global;
use api::workers;
use entity::api_key::Role;

both_backends!(
    bulk_cancel_of_500_orders_says_what_became_of_each_and_is_seen_to_come_on,
    a_dry_run_says_what_would_become_of_each_and_changes_nothing,
    orders_are_held_and_their_holds_lifted_together,
    what_is_green_is_released_and_what_is_not_is_told_which_gate_is_closed,
    exceptions_of_many_orders_are_given_to_a_team_together,
    what_a_query_finds_is_tagged_together,
    a_stopped_operation_leaves_the_rest_as_it_is,
    an_operation_is_started_once_for_its_key,
    x1_a_confined_key_changes_only_the_orders_of_its_channels,
    a_selection_is_bounded_and_may_be_empty,
    two_nodes_work_one_operation_off_without_doing_a_row_twice,
);

const FIELDS: &str =
    "id action dryRun reason tags owner queue state total pending changed refused failed skipped
    finishedAt";

/// Starts an operation and returns the payload.
async fn start(app: &TestApp, key: &str, verb: &str, input: Value) -> Value {
    let kind = match verb {
        "orderBulkCancel" | "orderBulkHold" => "OrderBulkStopInput",
        "orderBulkAssign" => "OrderBulkAssignInput",
        "orderBulkAddTags" | "orderBulkRemoveTags" => "OrderBulkTagsInput",
        _ => "OrderBulkInput",
    };
    let query = format!(
        "mutation Start($input: {kind}!) {{ {verb}(input: $input) {{
            operation {{ {FIELDS} }} userErrors {{ code field message }} }} }}"
    );
    let mut data = app.gql_as(key, &query, json!({ "input": input })).await;
    data[verb].take()
}

/// The same as an administrator, and it must start.
async fn started(app: &TestApp, verb: &str, input: Value) -> Value {
    let mut payload = start(app, &app.admin_key, verb, input).await;
    assert_eq!(payload["userErrors"], json!([]), "{payload:#}");
    payload["operation"].take()
}

async fn operation(app: &TestApp, key: &str, id: &Value) -> Value {
    let query = format!("query Bulk($id: ID!) {{ bulkOperation(id: $id) {{ {FIELDS} }} }}");
    let mut data = app.gql_as(key, &query, json!({ "id": id })).await;
    data["bulkOperation"].take()
}

/// Every row of an operation, page by page.
async fn rows(app: &TestApp, id: &Value) -> Vec<Value> {
    let query = "query Rows($id: ID!, $after: String) { bulkOperation(id: $id) {
        rows(first: 200, after: $after) { totalCount { count }
            nodes { position orderId order { stage } outcome code message doneAt }
            pageInfo { hasNextPage endCursor } } } }";
    let mut all = Vec::new();
    let mut after = Value::Null;
    loop {
        let data = app.gql(query, json!({ "id": id, "after": after })).await;
        let page = &data["bulkOperation"]["rows"];
        all.extend(page["nodes"].as_array().unwrap().iter().cloned());
        if page["pageInfo"]["hasNextPage"] == false {
            assert_eq!(page["totalCount"]["count"], all.len());
            return all;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// How many rows have which outcome and code.
fn tally(rows: &[Value]) -> BTreeMap<(String, String), usize> {
    let mut tally = BTreeMap::new();
    for row in rows {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        *tally.entry((text("outcome"), text("code"))).or_default() += 1;
    }
    tally
}

fn key(outcome: &str, code: &str) -> (String, String) {
    (outcome.to_owned(), code.to_owned())
}

async fn order_events(app: &TestApp) -> u64 {
    event_log::Entity::find()
        .filter(event_log::Column::AggregateType.ne("bulk_operation"))
        .count(&app.app.db.read)
        .await
        .unwrap()
}

/// Orders of one unit each.
async fn placed(app: &TestApp, of: &Stocked, count: usize) -> Vec<Value> {
    let mut placed = Vec::with_capacity(count);
    while placed.len() < count {
        let some = std::cmp::min(10, count - placed.len());
        let orders = (0..some).map(|_| {
            app.place(basket_with(
                json!({ "lines": [{ "sku": of.sku, "quantity": 1 }] }),
            ))
        });
        placed.extend(futures_util::future::join_all(orders).await);
    }
    placed
}

async fn bulk_cancel_of_500_orders_says_what_became_of_each_and_is_seen_to_come_on(app: &TestApp) {
    app.open_shop().await;
    let stocked = app.stocked("MANY", 600, true).await;
    placed(app, &stocked, 500).await;
    app.settle().await;
    assert_eq!(app.stock_of(&stocked).await, (600, 500));

    let all = json!({ "orders": { "where": { "sku": { "eq": "MANY" } } }, "reason": "recalled" });
    let begun = started(app, "orderBulkCancel", all.clone()).await;
    assert_eq!(
        (&begun["state"], &begun["total"]),
        (&json!("RUNNING"), &json!(500))
    );
    let id = &begun["id"];

    let mut socket = app.socket().await;
    let progress = format!("subscription P($id: ID!) {{ bulkProgress(id: $id) {{ {FIELDS} }} }}");
    let stream = socket.subscribe(&progress, json!({ "id": id })).await;
    let mut heard = vec![socket.next(&stream).await["bulkProgress"].take()];
    // A part of it, as a round of the workers does; then the rest.
    let round = workers::round(&app.app).await;
    assert!(round.failures.is_empty(), "{:?}", round.failures);
    heard.push(socket.next(&stream).await["bulkProgress"].take());
    app.settle().await;
    while heard.last().unwrap()["state"] == "RUNNING" {
        heard.push(socket.next(&stream).await["bulkProgress"].take());
    }
    assert_eq!(
        socket.event(&stream).await.unwrap_err(),
        support::Ended::Completed
    );
    let changed: Vec<i64> = heard
        .iter()
        .map(|item| item["changed"].as_i64().unwrap())
        .collect();
    assert!(changed.is_sorted(), "{changed:?}");
    assert!(changed[1] > changed[0] && changed[1] < 500, "{changed:?}");
    let last = heard.last().unwrap();
    assert_eq!(
        (&last["state"], &last["changed"]),
        (&json!("COMPLETED"), &json!(500))
    );
    assert_eq!((&last["pending"], &last["refused"]), (&json!(0), &json!(0)));

    let done = rows(app, id).await;
    assert_eq!(tally(&done), BTreeMap::from([(key("CHANGED", ""), 500)]));
    assert!(done.iter().all(|row| row["order"]["stage"] == "CANCELLED"));
    let places: Vec<i64> = done
        .iter()
        .map(|row| row["position"].as_i64().unwrap())
        .collect();
    assert_eq!(places, (1..=500).collect::<Vec<_>>());
    assert_eq!(app.stock_of(&stocked).await, (600, 0));
    // Who started it did it, and the timeline says by which operation.
    let log = event_log::Entity::find()
        .filter(event_log::Column::EventType.eq("order.cancelled"))
        .all(&app.app.db.read)
        .await
        .unwrap();
    assert_eq!(log.len(), 500);
    let operation_id = &log[0].correlation_id;
    assert!(log.iter().all(|row| row.correlation_id == *operation_id));
    assert!(log.iter().all(|row| row.actor.starts_with("key:")));

    // A second run changes nothing.
    let (events, stock) = (order_events(app).await, app.stock_of(&stocked).await);
    let again = started(app, "orderBulkCancel", all).await;
    app.settle().await;
    let second = rows(app, &again["id"]).await;
    assert_eq!(
        tally(&second),
        BTreeMap::from([(key("REFUSED", "ORDER_NOT_CANCELLABLE"), 500)])
    );
    assert_eq!(order_events(app).await, events);
    assert_eq!(app.stock_of(&stocked).await, stock);
}

async fn a_dry_run_says_what_would_become_of_each_and_changes_nothing(app: &TestApp) {
    app.open_shop().await;
    let (open, ended) = (app.place(basket()).await, app.place(basket()).await);
    let cancel = json!({ "orders": { "ids": [ended["id"]] }, "reason": "first" });
    started(app, "orderBulkCancel", cancel).await;
    app.settle().await;
    let (events, before) = (order_events(app).await, app.order(&open["id"]).await);

    let absent = to_global(OrderId(Uuid::now_v7()));
    let ids = json!([open["id"], ended["id"], absent, open["id"]]);
    let input = json!({ "orders": { "ids": ids }, "reason": "would be", "dryRun": true });
    let dry = started(app, "orderBulkCancel", input).await;
    // A small one is done when the answer comes.
    assert_eq!(
        (&dry["state"], &dry["total"]),
        (&json!("COMPLETED"), &json!(3)),
        "{dry:#}"
    );
    let said = rows(app, &dry["id"]).await;
    assert_eq!(
        tally(&said),
        BTreeMap::from([
            (key("CHANGED", ""), 1),
            (key("REFUSED", "NOT_FOUND"), 1),
            (key("REFUSED", "ORDER_NOT_CANCELLABLE"), 1),
        ])
    );
    assert_eq!(said[0]["orderId"], open["id"]);
    assert_eq!(said[2]["order"], Value::Null);
    app.settle().await;
    assert_eq!(order_events(app).await, events);
    assert_eq!(app.order(&open["id"]).await, before);
}

async fn orders_are_held_and_their_holds_lifted_together(app: &TestApp) {
    app.open_shop().await;
    let orders = [app.place(basket()).await, app.place(basket()).await];
    let ids: Vec<&Value> = orders.iter().map(|order| &order["id"]).collect();
    for reason in ["a look", "another look"] {
        let input = json!({ "orders": { "ids": ids }, "reason": reason });
        let held = started(app, "orderBulkHold", input).await;
        assert_eq!(held["changed"], 2, "{held:#}");
    }
    let held = app.order(ids[0]).await;
    assert_eq!(held["stage"], "ON_HOLD");
    assert_eq!(held["holds"].as_array().unwrap().len(), 2);

    let by_stage = json!({ "orders": { "where": { "stage": { "eq": "ON_HOLD" } } } });
    let lifted = started(app, "orderBulkReleaseHold", by_stage.clone()).await;
    assert_eq!(lifted["changed"], 2, "{lifted:#}");
    let free = app.order(ids[1]).await;
    assert_eq!(free["stage"], "STAGED");
    assert!(
        free["holds"]
            .as_array()
            .unwrap()
            .iter()
            .all(|hold| !hold["releasedAt"].is_null())
    );
    let again = started(
        app,
        "orderBulkReleaseHold",
        json!({ "orders": { "ids": ids } }),
    )
    .await;
    let said = rows(app, &again["id"]).await;
    assert_eq!(
        tally(&said),
        BTreeMap::from([(key("REFUSED", "HOLD_NOT_ACTIVE"), 2)])
    );
    let blank = json!({ "orders": { "ids": ids }, "reason": " " });
    let refused = start(app, &app.admin_key, "orderBulkHold", blank).await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
    assert_eq!(refused["operation"], Value::Null);
}

async fn what_is_green_is_released_and_what_is_not_is_told_which_gate_is_closed(app: &TestApp) {
    app.open_shop().await;
    // The gateway never answers, so the order waits for its money.
    let silent = json!({ "payment": { "method": "CARD", "token": "tok_silent" } });
    let unpaid = app.place(basket_with(silent.clone())).await;
    let stopped = app.place(basket_with(silent)).await;
    let held = json!({ "orders": { "ids": [stopped["id"]] }, "reason": "a look" });
    started(app, "orderBulkHold", held).await;
    let all = json!({ "orders": { "ids": [unpaid["id"], stopped["id"]] } });

    let first = started(app, "orderBulkConfirm", all.clone()).await;
    let said = rows(app, &first["id"]).await;
    assert_eq!(
        tally(&said),
        BTreeMap::from([(key("REFUSED", "ORDER_STATE_INVALID"), 2)])
    );
    assert_eq!(said[0]["message"], "it is not paid for");
    assert_eq!(said[1]["message"], "a hold stops it, it is not paid for");

    app.change_channel("web", |channel| {
        channel.requires_authorization = sea_orm::Set(false);
    })
    .await;
    let second = started(app, "orderBulkConfirm", all.clone()).await;
    let said = rows(app, &second["id"]).await;
    assert_eq!(said[0]["outcome"], "CHANGED");
    assert_eq!(said[1]["message"], "a hold stops it");
    assert_eq!(app.order(&unpaid["id"]).await["stage"], "STAGED");
    assert_eq!(app.order(&stopped["id"]).await["stage"], "ON_HOLD");
    let third = started(app, "orderBulkConfirm", all).await;
    let said = rows(app, &third["id"]).await;
    assert_eq!(said[0]["message"], "the order is CONFIRMED");
}

async fn exceptions_of_many_orders_are_given_to_a_team_together(app: &TestApp) {
    app.open_shop().await;
    let declined = json!({ "payment": { "method": "CARD", "token": "tok_decline" } });
    let flagged = [
        app.place(basket_with(declined.clone())).await,
        app.place(basket_with(declined)).await,
    ];
    let fine = app.place(basket()).await;
    app.settle().await;
    let ids = json!([flagged[0]["id"], flagged[1]["id"], fine["id"]]);
    let whose = "query Whose($id: ID!) { order(by: { id: $id }) {
        exceptions { status owner queue } } }";

    let to_team = json!({ "orders": { "ids": ids }, "owner": " Ada ", "queue": "fraud" });
    let mut dry = to_team.clone();
    dry["dryRun"] = json!(true);
    started(app, "orderBulkAssign", dry).await;
    let untouched = app.gql(whose, json!({ "id": ids[0] })).await;
    assert_eq!(untouched["order"]["exceptions"][0]["owner"], Value::Null);

    let given = started(app, "orderBulkAssign", to_team).await;
    assert_eq!(
        (&given["action"], &given["owner"], &given["queue"]),
        (&json!("ASSIGN"), &json!("Ada"), &json!("fraud"))
    );
    let said = rows(app, &given["id"]).await;
    assert_eq!(
        tally(&said),
        BTreeMap::from([
            (key("CHANGED", ""), 2),
            (key("REFUSED", "EXCEPTION_NOT_OPEN"), 1),
        ])
    );
    for id in [&ids[0], &ids[1]] {
        let now = app.gql(whose, json!({ "id": id })).await;
        assert_eq!(
            now["order"]["exceptions"],
            json!([{ "status": "ASSIGNED", "owner": "Ada", "queue": "fraud" }])
        );
    }
    let to_nobody = json!({ "orders": { "ids": ids } });
    let refused = start(app, &app.admin_key, "orderBulkAssign", to_nobody).await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
}

async fn what_a_query_finds_is_tagged_together(app: &TestApp) {
    app.open_shop().await;
    let orders = [app.place(basket()).await, app.place(basket()).await];
    app.settle().await;
    let query = format!(
        "sku:MUG-WHITE number:{}",
        orders[0]["number"].as_str().unwrap()
    );
    let tags = json!(["Recall 7", "VIP", "vip"]);
    let one = json!({ "orders": { "query": query }, "tags": tags });
    let tagged = started(app, "orderBulkAddTags", one).await;
    assert_eq!(tagged["changed"], 1, "{tagged:#}");
    assert_eq!(tagged["tags"], json!(["Recall 7", "VIP"]));
    let of = "query Tags($id: ID!) { order(by: { id: $id }) { tags version } }";
    let now = app.gql(of, json!({ "id": orders[0]["id"] })).await;
    assert_eq!(now["order"]["tags"], json!(["Recall 7", "VIP"]));
    let other = app.gql(of, json!({ "id": orders[1]["id"] })).await;
    assert_eq!(other["order"]["tags"], json!([]));

    let off = json!({ "orders": { "query": "tag:vip" }, "tags": ["VIP"] });
    let untagged = started(app, "orderBulkRemoveTags", off.clone()).await;
    assert_eq!(untagged["changed"], 1);
    let now = app.gql(of, json!({ "id": orders[0]["id"] })).await;
    assert_eq!(now["order"]["tags"], json!(["Recall 7"]));
    // Nobody has it any more.
    let again = started(app, "orderBulkRemoveTags", off).await;
    assert_eq!(
        (&again["total"], &again["state"]),
        (&json!(0), &json!("COMPLETED"))
    );

    let no_tag = json!({ "orders": { "query": "" }, "tags": ["a\nb"] });
    let refused = start(app, &app.admin_key, "orderBulkAddTags", no_tag).await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
}

async fn a_stopped_operation_leaves_the_rest_as_it_is(app: &TestApp) {
    app.open_shop().await;
    let stocked = app.stocked("PART", 300, true).await;
    placed(app, &stocked, 230).await;
    app.settle().await;
    let all = json!({ "orders": { "where": { "sku": { "eq": "PART" } } }, "reason": "mistake" });
    let begun = started(app, "orderBulkCancel", all).await;
    let id = &begun["id"];
    let done = begun["changed"].as_i64().unwrap();
    assert!(done < 230, "{begun:#}");

    let stop = "mutation Stop($id: ID!) { bulkOperationCancel(input: { id: $id }) {
        operation { state changed skipped pending finishedAt } userErrors { code } } }";
    let stopped = app.gql(stop, json!({ "id": id })).await;
    let stopped = &stopped["bulkOperationCancel"]["operation"];
    assert_eq!(stopped["state"], "CANCELLED");
    assert_eq!(stopped["skipped"].as_i64(), Some(230 - done));
    assert_eq!(stopped["pending"], 0);
    app.settle().await;
    assert_eq!(app.stock_of(&stocked).await, (300, 230 - done));
    let again = app.gql(stop, json!({ "id": id })).await;
    assert_eq!(
        codes(&again["bulkOperationCancel"]),
        ["OPERATION_NOT_RUNNING"]
    );
}

async fn an_operation_is_started_once_for_its_key(app: &TestApp) {
    app.open_shop().await;
    let order = app.place(basket()).await;
    let input = json!({ "orders": { "ids": [order["id"]] }, "reason": "once",
        "idempotencyKey": "bulk-1" });
    let one = started(app, "orderBulkHold", input.clone()).await;
    let two = started(app, "orderBulkHold", input.clone()).await;
    assert_eq!(one["id"], two["id"]);
    let holds = app.order(&order["id"]).await["holds"].take();
    assert_eq!(holds.as_array().unwrap().len(), 1);
    let mut other = input;
    other["reason"] = json!("twice");
    let refused = start(app, &app.admin_key, "orderBulkHold", other).await;
    assert_eq!(codes(&refused), ["IDEMPOTENCY_KEY_REUSED"]);
}

async fn x1_a_confined_key_changes_only_the_orders_of_its_channels(app: &TestApp) {
    app.open_shop().await;
    let own = app.place(basket()).await;
    let b2b = json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "payment": { "method": "ACCOUNT" } });
    let others = app.place(basket_with(b2b)).await;
    let web = app.key_for(Role::Operations, &["web"], None).await.key;
    let b2b = app.key_for(Role::Operations, &["b2b"], None).await.key;

    let everything = json!({ "orders": { "where": {} }, "reason": "mine" });
    let mine = start(app, &web, "orderBulkHold", everything).await["operation"].take();
    assert_eq!(
        (&mine["total"], &mine["changed"]),
        (&json!(1), &json!(1)),
        "{mine:#}"
    );
    let named = json!({ "orders": { "ids": [own["id"], others["id"]] }, "reason": "both" });
    let both = start(app, &web, "orderBulkHold", named).await["operation"].take();
    assert_eq!((&both["changed"], &both["refused"]), (&json!(1), &json!(1)));
    let said = rows(app, &both["id"]).await;
    assert_eq!(
        (&said[1]["orderId"], &said[1]["code"]),
        (&others["id"], &json!("NOT_FOUND"))
    );
    assert_eq!(app.order(&others["id"]).await["holds"], json!([]));

    // An operation is seen by whoever sees all that it may be about.
    for (key, sees) in [(&web, true), (&b2b, false), (&app.admin_key, true)] {
        let found = operation(app, key, &mine["id"]).await;
        assert_eq!(!found.is_null(), sees);
    }
    let named = json!({ "orders": { "ids": [own["id"]] }, "reason": "ours" });
    let ours = started(app, "orderBulkHold", named).await;
    assert_eq!(operation(app, &web, &ours["id"]).await, Value::Null);
    let mut socket = app.socket_as(&b2b).await;
    let progress = "subscription P($id: ID!) { bulkProgress(id: $id) { state } }";
    let stream = socket
        .subscribe(progress, json!({ "id": mine["id"] }))
        .await;
    let refused = socket.event(&stream).await.unwrap();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

async fn a_selection_is_bounded_and_may_be_empty(app: &TestApp) {
    app.open_shop().await;
    let none = json!({ "orders": { "where": { "number": { "eq": "no such" } } } });
    let empty = started(app, "orderBulkConfirm", none).await;
    assert_eq!(
        (&empty["state"], &empty["total"]),
        (&json!("COMPLETED"), &json!(0))
    );
    assert_eq!(rows(app, &empty["id"]).await, Vec::<Value>::new());
    for ids in [0, 1_001] {
        let ids: Vec<_> = (0..ids)
            .map(|_| to_global(OrderId(Uuid::now_v7())))
            .collect();
        let input = json!({ "orders": { "ids": ids } });
        let refused = start(app, &app.admin_key, "orderBulkConfirm", input).await;
        assert_eq!(codes(&refused), ["TOO_MANY"]);
    }
    let channel = to_global(app.channel("web").await.id);
    let foreign = json!({ "orders": { "ids": [channel] } });
    let refused = start(app, &app.admin_key, "orderBulkConfirm", foreign).await;
    assert_eq!(codes(&refused), ["NOT_FOUND"]);
    assert_eq!(
        refused["userErrors"][0]["field"],
        json!(["input", "orders", "ids", "0"])
    );
}

async fn two_nodes_work_one_operation_off_without_doing_a_row_twice(app: &TestApp) {
    app.open_shop().await;
    let stocked = app.stocked("RACED", 200, true).await;
    placed(app, &stocked, 120).await;
    app.settle().await;
    let all = json!({ "orders": { "where": { "sku": { "eq": "RACED" } } }, "reason": "raced" });
    let begun = started(app, "orderBulkHold", all).await;
    let id = entity::bulk_operation::Entity::find()
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap()
        .id;
    // Two that look at the same rows at the same moment.
    let (one, two) = tokio::join!(app.app.work_off(id, 200), app.app.work_off(id, 200));
    one.unwrap();
    two.unwrap();
    app.settle().await;
    let done = operation(app, &app.admin_key, &begun["id"]).await;
    assert_eq!(
        (&done["state"], &done["changed"]),
        (&json!("COMPLETED"), &json!(120)),
        "{done:#}"
    );
    let holds = entity::hold::Entity::find()
        .count(&app.app.db.read)
        .await
        .unwrap();
    assert_eq!(holds, 120, "a row was done twice");
    let finished = event_log::Entity::find()
        .filter(event_log::Column::EventType.eq("bulk.finished"))
        .count(&app.app.db.read)
        .await
        .unwrap();
    assert_eq!(finished, 1);
}
