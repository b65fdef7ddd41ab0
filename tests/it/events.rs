//! `events`: the log pulled and pushed, who sees what of it, and how long it can be read again.

use api::access::{Scope, scopes};
use api::events::position;
use api::graphql::ids::to_global;
use api::tx::{Actor, new_id};
use api::workers::forget_events;
use api::{catalogue, integrity};
use chrono::TimeDelta;
use entity::api_key::Role;
use entity::{VariantId, event_log};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, Iterable, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use support::merchant::{basket, basket_with};
use support::{Ended, Socket, TestApp, both_backends};

both_backends!(
    what_happens_is_pulled_and_pushed_with_the_same_cursors,
    a_rare_type_is_found_and_what_is_not_asked_for_left_out,
    x1_a_reader_sees_only_events_of_its_channels_and_scopes,
    a_cursor_that_cannot_be_resumed_from_is_told_so,
    old_events_of_stock_leave_the_log_and_timelines_stay,
    what_a_projection_has_still_to_read_stays,
    cursors_and_pages_that_are_none_are_refused,
    whoever_joins_while_one_thing_happens_hears_of_it,
    whoever_comes_and_goes_while_much_happens_misses_nothing,
);

/// How often a race is run.
fn rounds(promised: usize) -> usize {
    if std::env::var_os("OMS_LONG").is_some() {
        promised
    } else {
        promised / 10
    }
}

const PULL: &str = "query P($first: Int, $after: String, $types: [EventType!]) {
    events(first: $first, after: $after, types: $types) { cursor
        nodes { kind cursor seq event { id seq type event version aggregateType orderId actor } }
        pageInfo { hasNextPage hasPreviousPage } } }";

const PUSH: &str = "subscription S($after: String, $types: [EventType!]) {
    events(after: $after, types: $types) { kind cursor seq
        event { id seq type event version aggregateType orderId actor } } }";

async fn pull(app: &TestApp, variables: Value) -> Value {
    app.gql(PULL, variables).await["events"].take()
}

async fn pushed(socket: &mut Socket, id: &str) -> Value {
    socket.next(id).await["events"].take()
}

/// The log: positions and names.
async fn log(app: &TestApp) -> Vec<(i64, String)> {
    event_log::Entity::find()
        .order_by_asc(event_log::Column::Seq)
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.seq, row.event_type))
        .collect()
}

fn happened(node: &Value) -> (i64, String) {
    let event = &node["event"];
    assert_eq!(node["kind"], "EVENT", "{node}");
    assert_eq!(node["seq"], event["seq"], "{node}");
    (
        event["seq"].as_i64().unwrap(),
        event["event"].as_str().unwrap().to_owned(),
    )
}

async fn what_happens_is_pulled_and_pushed_with_the_same_cursors(app: &TestApp) {
    app.open_shop().await;
    app.place(basket()).await;
    app.settle().await;
    // All of it, a few at a time.
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = pull(app, json!({ "first": 7, "after": after })).await;
        let nodes = page["nodes"].as_array().unwrap();
        seen.extend(nodes.iter().map(happened));
        if let Some(last) = nodes.last() {
            assert_eq!(last["cursor"], page["cursor"]);
        }
        after = page["cursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        assert_eq!(nodes.len(), 7);
    }
    assert_eq!(seen, log(app).await);
    let empty = pull(app, json!({ "after": after })).await;
    assert_eq!(empty["nodes"], json!([]));
    assert_eq!(empty["cursor"], after);

    // A stream begins now, and says where that is.
    let mut socket = app.socket().await;
    let live = socket.subscribe(PUSH, json!({})).await;
    let begun = pushed(&mut socket, &live).await;
    assert_eq!(
        (&begun["kind"], &begun["event"]),
        (&json!("HEARTBEAT"), &Value::Null)
    );
    assert_eq!(begun["cursor"], after);
    let order = app.place(basket()).await;
    app.settle().await;
    let new = log(app).await.split_off(seen.len());
    let mut heard = Vec::new();
    let mut cursor = Value::Null;
    while heard.len() < new.len() {
        let item = pushed(&mut socket, &live).await;
        heard.push(happened(&item));
        if item["event"]["type"] == "ORDER_RECEIVED" {
            assert_eq!(item["event"]["orderId"], order["id"]);
            assert_eq!(item["event"]["event"], "order.received");
            cursor = item["cursor"].clone();
        }
    }
    assert_eq!(heard, new);
    // From one event on, by either way.
    let received = new.iter().position(|(_, event)| event == "order.received");
    let rest = &new[received.unwrap() + 1..];
    let page = pull(app, json!({ "after": cursor })).await;
    let pulled: Vec<_> = page["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(happened)
        .collect();
    assert_eq!(pulled, rest);
    let resumed = socket.subscribe(PUSH, json!({ "after": cursor })).await;
    for expected in rest {
        assert_eq!(&happened(&pushed(&mut socket, &resumed).await), expected);
    }
}

async fn a_rare_type_is_found_and_what_is_not_asked_for_left_out(app: &TestApp) {
    app.open_shop().await;
    app.place(basket()).await;
    app.place(basket()).await;
    app.settle().await;
    let types = json!(["ORDER_CONFIRMED", "ORDER_RECEIVED"]);
    let page = pull(app, json!({ "types": types })).await;
    let seen: Vec<_> = page["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(happened)
        .collect();
    let mut expected = log(app).await;
    let last = expected.last().unwrap().0;
    expected.retain(|(_, event)| event == "order.confirmed" || event == "order.received");
    assert_eq!(seen, expected);
    assert_eq!(seen.len(), 4);
    // The page's own cursor is behind all that was looked through.
    let mut socket = app.socket().await;
    let variables = json!({ "types": types, "after": page["cursor"] });
    let live = socket.subscribe(PUSH, variables).await;
    app.place(basket()).await;
    app.settle().await;
    let received = pushed(&mut socket, &live).await;
    assert!(received["seq"].as_i64().unwrap() > last);
    assert_eq!(received["event"]["type"], "ORDER_RECEIVED");
    assert_eq!(
        pushed(&mut socket, &live).await["event"]["type"],
        "ORDER_CONFIRMED"
    );
    let none = pull(app, json!({ "types": [] })).await;
    assert_eq!(none["nodes"], json!([]));
}

async fn x1_a_reader_sees_only_events_of_its_channels_and_scopes(app: &TestApp) {
    app.open_shop().await;
    let web = app.place(basket()).await;
    let other = basket_with(json!({ "channel": "b2b", "customer": { "code": "C-1001" } }));
    app.place(other).await;
    app.settle().await;
    let rows = event_log::Entity::find()
        .order_by_asc(event_log::Column::Seq)
        .all(&app.app.db.read)
        .await
        .unwrap();
    let kinds: BTreeSet<&str> = rows.iter().map(|row| row.aggregate_type.as_str()).collect();
    for needed in ["order", "stock", "customer", "variant"] {
        assert!(kinds.contains(needed), "{kinds:?}");
    }
    let channel = app.channel("web").await.id;
    for role in Role::iter() {
        let confined: &[&str] = if role == Role::Partner { &["web"] } else { &[] };
        let key = app.key_for(role, confined, None).await.key;
        let may = |scope: Scope| scopes(role).contains(&scope);
        let expected: Vec<i64> = rows
            .iter()
            .filter(|row| confined.is_empty() || row.channel_id == Some(channel))
            .filter(|row| match row.aggregate_type.as_str() {
                "order" | "saved_view" => may(Scope::OrdersRead),
                "stock" => may(Scope::StockRead),
                "customer" => may(Scope::CustomersRead) && may(Scope::CatalogueRead),
                "exception_rule" => may(Scope::RulesRead),
                _ => may(Scope::CatalogueRead),
            })
            .map(|row| row.seq)
            .collect();
        let mut seen = Vec::new();
        let mut after = Value::Null;
        loop {
            let variables = json!({ "first": 250, "after": after });
            let page = app.gql_as(&key, PULL, variables).await["events"].take();
            for node in page["nodes"].as_array().unwrap() {
                seen.push(happened(node).0);
            }
            after = page["cursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(seen, expected, "{role:?}");
    }
    // Live, too.
    let partner = app.key_for(Role::Partner, &["web"], None).await.key;
    let mut socket = app.socket_as(&partner).await;
    let live = socket.subscribe(PUSH, json!({})).await;
    pushed(&mut socket, &live).await;
    let hidden = basket_with(json!({ "channel": "b2b", "customer": { "code": "C-1001" } }));
    app.place(hidden).await;
    let shown = app.place(basket()).await;
    app.settle().await;
    let first = pushed(&mut socket, &live).await;
    assert_eq!(first["event"]["orderId"], shown["id"]);
    assert_ne!(first["event"]["orderId"], web["id"]);
    // A cursor of one who sees everything is none of a partner's.
    let all = pull(app, json!({})).await["cursor"].clone();
    let refused = app
        .answer_as(Some(&partner), PULL, json!({ "after": all }))
        .await;
    assert_eq!(refused.code(), "BAD_USER_INPUT");
}

async fn a_cursor_that_cannot_be_resumed_from_is_told_so(app: &TestApp) {
    app.open_shop().await;
    app.place(basket()).await;
    app.settle().await;
    let first = pull(app, json!({ "first": 1 })).await["cursor"].clone();
    let mut socket = app.socket().await;
    let live = socket.subscribe(PUSH, json!({})).await;
    pushed(&mut socket, &live).await;
    // As `oms restored` does it.
    let actor = Actor::worker("test");
    let restored = app
        .app
        .write(&actor, |tx| async move { api::events::restored(&tx).await });
    restored.await.unwrap();
    let all = log(app).await;
    let page = pull(app, json!({ "after": first, "first": 2 })).await;
    assert_eq!(page["nodes"][0]["kind"], "RESYNC", "{page}");
    assert_eq!(page["nodes"][0]["event"], Value::Null);
    assert_eq!(happened(&page["nodes"][1]), all[0]);
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let again = pull(app, json!({ "after": page["cursor"], "first": 1 })).await;
    assert_eq!(happened(&again["nodes"][0]), all[2]);
    let resumed = socket.subscribe(PUSH, json!({ "after": first })).await;
    assert_eq!(pushed(&mut socket, &resumed).await["kind"], "RESYNC");
    for expected in &all {
        assert_eq!(&happened(&pushed(&mut socket, &resumed).await), expected);
    }
}

async fn old_events_of_stock_leave_the_log_and_timelines_stay(app: &TestApp) {
    const TIMELINE: &str = "query T($id: ID!) { order(by: { id: $id }) {
        timeline { seq event version } } }";
    app.open_shop().await;
    let order = app.place(basket()).await;
    let mug = app.stocked("SAFE", 9, true).await;
    for safety in [2, 3] {
        let set = "mutation S($input: StockSetSafetyInput!) {
            stockSetSafety(input: $input) { userErrors { code } } }";
        let input = json!({ "variantId": to_global(mug.id), "safety": safety,
            "warehouseId": to_global(mug.warehouse) });
        let done = app.gql(set, json!({ "input": input })).await;
        assert_eq!(done["stockSetSafety"]["userErrors"], json!([]));
        app.receive(&mug, 1).await;
    }
    app.settle().await;
    let mut socket = app.socket().await;
    let first = pull(app, json!({ "first": 1 })).await["cursor"].clone();
    let last = pull(app, json!({ "first": 250 })).await["cursor"].clone();
    let timeline = app.gql(TIMELINE, json!({ "id": order["id"] })).await;
    let before = log(app).await;
    let old = before.last().unwrap().0;

    // Kept for 30 days to the moment.
    app.clock.advance(TimeDelta::days(30));
    assert_eq!(forget_events(&app.app).await.unwrap(), 0);
    let new = app.place(basket()).await;
    app.settle().await;
    app.clock.advance(TimeDelta::milliseconds(1));
    let risen = forget_events(&app.app).await.unwrap();
    assert_eq!(risen as i64, old);
    assert_eq!(forget_events(&app.app).await.unwrap(), 0);

    let after = log(app).await;
    let kept: Vec<_> = after
        .iter()
        .filter(|(seq, _)| *seq <= old)
        .cloned()
        .collect();
    let mut expected = before;
    expected.retain(|(_, event)| event != "stock.changed");
    assert_eq!(kept, expected);
    let safeties = kept.iter().filter(|(_, event)| event == "stock.safety_set");
    assert_eq!(safeties.count(), 2);
    assert!(
        after
            .iter()
            .any(|(seq, event)| *seq > old && event == "stock.changed")
    );
    // What the month has added to it, such as a warning, comes behind.
    let mut now = app.gql(TIMELINE, json!({ "id": order["id"] })).await;
    let entries = now["order"]["timeline"].as_array_mut().unwrap();
    entries.retain(|entry| entry["seq"].as_i64().unwrap() <= old);
    assert_eq!(now, timeline);
    let found = integrity::verify(&app.app.db.read).await.unwrap();
    assert!(found.is_empty(), "{found:?}");

    // Who has read all that is gone goes on; who has not is told.
    let page = pull(app, json!({ "after": last, "first": 1 })).await;
    assert_eq!(happened(&page["nodes"][0]).0, old + 1);
    let page = pull(app, json!({ "after": first, "first": 1 })).await;
    assert_eq!(page["nodes"][0]["kind"], "RESYNC");
    assert_eq!(happened(&page["nodes"][1]).0, old + 1);
    let page = pull(app, json!({ "first": 1 })).await;
    assert_eq!(happened(&page["nodes"][0]).0, old + 1);
    let resumed = socket.subscribe(PUSH, json!({ "after": first })).await;
    let resync = pushed(&mut socket, &resumed).await;
    assert_eq!(
        (&resync["kind"], &resync["seq"]),
        (&json!("RESYNC"), &json!(old))
    );
    assert_eq!(happened(&pushed(&mut socket, &resumed).await).0, old + 1);
    app.gql(
        "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"r\" }) {
            userErrors { code } } }",
        json!({ "id": new["id"] }),
    )
    .await;
}

async fn what_a_projection_has_still_to_read_stays(app: &TestApp) {
    app.open_shop().await;
    app.settle().await;
    let read = log(app).await.len();
    app.place(basket()).await;
    // Stamped, and not yet read by anything.
    app.app.hub.turn().await.unwrap();
    app.clock.advance(TimeDelta::days(31));
    let mut risen = 0;
    while let more @ 1.. = forget_events(&app.app).await.unwrap() {
        risen += more;
    }
    assert_eq!(risen, read);
    let all = event_log::Entity::find().filter(event_log::Column::Seq.gt(risen as i64));
    let waiting = all.count(&app.app.db.read).await.unwrap();
    assert!(waiting > 0);
    app.settle().await;
    assert_eq!(forget_events(&app.app).await.unwrap() as u64, waiting);
}

async fn cursors_and_pages_that_are_none_are_refused(app: &TestApp) {
    app.open_shop().await;
    app.settle().await;
    let typed = pull(app, json!({ "types": ["ORDER_RECEIVED"] })).await["cursor"].clone();
    let same = json!({ "types": ["ORDER_RECEIVED", "ORDER_RECEIVED"], "after": typed });
    pull(app, same).await;
    let mut socket = app.socket().await;
    for after in [json!(""), json!("nonsense"), json!("AAAA"), typed] {
        let variables = json!({ "after": after });
        let answer = app
            .answer_as(Some(&app.admin_key), PULL, variables.clone())
            .await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{after}");
        let id = socket.subscribe(PUSH, variables).await;
        let refused = match socket.event(&id).await {
            Ok(payload) => payload["errors"].clone(),
            Err(Ended::Failed(errors)) => errors,
            Err(ended) => panic!("{ended:?}"),
        };
        assert_eq!(
            refused[0]["extensions"]["code"], "BAD_USER_INPUT",
            "{after}"
        );
    }
    for first in [-1, 251] {
        let answer = app
            .answer_as(Some(&app.admin_key), PULL, json!({ "first": first }))
            .await;
        assert_eq!(answer.code(), "BAD_USER_INPUT");
    }
    let none = pull(app, json!({ "first": 0 })).await;
    assert_eq!(none["nodes"], json!([]));
    assert_eq!(none["pageInfo"]["hasNextPage"], true);
    let begun = pull(app, json!({ "after": none["cursor"], "first": 1 })).await;
    assert_eq!(happened(&begun["nodes"][0]).0, 1);
}

/// Makes one thing happen, and lets the feed deliver it.
async fn happen(app: &TestApp) {
    let actor = Actor::worker("test");
    let written = app.app.write(&actor, |tx| async move {
        catalogue::changed(
            &tx,
            "variant",
            new_id::<VariantId>(),
            1,
            "X",
            api::events::Changes::default(),
        );
        Ok(())
    });
    written.await.unwrap();
    app.app.hub.turn().await.unwrap();
}

/// A subscriber that registers too late misses what happens in between, and, as nothing happens
/// after it, never finds out.
async fn whoever_joins_while_one_thing_happens_hears_of_it(app: &TestApp) {
    app.settle().await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(app.socket().await);
    }
    for _ in 0..rounds(200) {
        let joining = sockets.iter_mut().map(async |socket| {
            let id = socket.subscribe(PUSH, json!({})).await;
            (pushed(socket, &id).await["seq"].as_i64().unwrap(), id)
        });
        let (joined, ()) = tokio::join!(join_all(joining), happen(app));
        let last = position(&app.app.db.read).await.unwrap().last_seq;
        for (socket, (begun, id)) in sockets.iter_mut().zip(joined) {
            for seq in begun + 1..=last {
                assert_eq!(pushed(socket, &id).await["seq"], seq);
            }
            socket.complete(&id).await;
        }
    }
}

async fn whoever_comes_and_goes_while_much_happens_misses_nothing(app: &TestApp) {
    app.settle().await;
    let over = AtomicBool::new(false);
    let happening = async {
        while !over.load(Ordering::Relaxed) {
            happen(app).await;
        }
    };
    let coming_and_going = async {
        let readers = (0..8_usize).map(async |reader| {
            let mut socket = app.socket().await;
            let mut cursor = Value::Null;
            let mut seen: Option<i64> = None;
            for visit in 0..rounds(100) {
                let id = socket.subscribe(PUSH, json!({ "after": cursor })).await;
                // Some stay for a moment, some for long; some have been away for long.
                for _ in 0..1 + (reader * 7 + visit * 5) % 23 {
                    let item = pushed(&mut socket, &id).await;
                    let seq = item["seq"].as_i64().unwrap();
                    match item["kind"].as_str().unwrap() {
                        "EVENT" => assert_eq!(Some(seq - 1), seen, "{item}"),
                        "HEARTBEAT" => assert!(seen.is_none_or(|seen| seen == seq), "{item}"),
                        other => panic!("{other}"),
                    }
                    (seen, cursor) = (Some(seq), item["cursor"].clone());
                }
                socket.complete(&id).await;
            }
        });
        join_all(readers).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(happening, coming_and_going);
}
