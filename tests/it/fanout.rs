//! Many who follow the same, served by one execution: nothing lost, doubled or shown to the wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use api::events::position;
use entity::api_key::Role;
use entity::event_log;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::merchant::{basket, basket_with};
use support::{TestApp, both_backends};

both_backends!(
    who_follows_the_same_is_served_by_one_execution,
    who_follows_the_same_events_is_served_by_one_execution,
    whoever_joins_while_orders_flow_hears_each_change_once,
    an_order_that_a_member_was_shown_is_removed_for_it,
);

const UPDATES: &str = "subscription U($where: OrderWhere, $after: String, $snapshot: Boolean!) {
    orderUpdates(where: $where, after: $after, snapshot: $snapshot) {
        kind seq cursor event orderId order { id stage version email } } }";

const CANCEL: &str = "mutation C($id: ID!) {
    orderCancel(input: { id: $id, reason: \"test\" }) { userErrors { code } order { stage } } }";

/// The orders' events in the log behind a position.
async fn log(app: &TestApp, after: i64) -> Vec<i64> {
    event_log::Entity::find()
        .filter(event_log::Column::Seq.gt(after))
        .filter(event_log::Column::AggregateType.eq("order"))
        .order_by_asc(event_log::Column::Seq)
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.seq)
        .collect()
}

/// Waits until so many members are in so many groups; they join in their own time.
pub(super) async fn joined(app: &TestApp, members: usize, groups: usize) {
    let wanted = (members, groups);
    let mut counts = app.fan_out();
    for _ in 0..2_000 {
        if (counts.members, counts.groups) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        counts = app.fan_out();
    }
    panic!("never {wanted:?}: {counts:?}");
}

fn seq(item: &Value) -> i64 {
    item["seq"].as_i64().unwrap_or_else(|| panic!("{item}"))
}

async fn who_follows_the_same_is_served_by_one_execution(app: &TestApp) {
    app.open_shop().await;
    app.settle().await;
    let viewer = app.key(Role::Viewer).await;
    let another = app.key(Role::Admin).await;
    let mut sockets = Vec::new();
    let keys = [&app.admin_key, &app.admin_key, &another, &viewer];
    for key in keys {
        let mut socket = app.socket_as(key).await;
        let mut ids = Vec::new();
        for _ in 0..8 {
            let id = socket.subscribe(UPDATES, json!({ "snapshot": true })).await;
            let end = socket.next(&id).await["orderUpdates"].take();
            assert_eq!(end["kind"], "SNAPSHOT_END");
            ids.push(id);
        }
        sockets.push((socket, ids));
    }
    // Whoever may see less has a group of its own.
    joined(app, 32, 2).await;
    let (before, began) = (app.fan_out(), log(app, 0).await.last().copied());
    for _ in 0..5 {
        app.place(basket()).await;
    }
    app.settle().await;
    let expected = log(app, began.unwrap_or_default()).await;
    assert!(expected.len() >= 5);
    let mut told = BTreeSet::new();
    for (nth, (socket, ids)) in sockets.iter_mut().enumerate() {
        for id in ids.iter() {
            let mut items = Vec::new();
            for _ in 0..expected.len() {
                items.push(socket.next(id).await["orderUpdates"].take());
            }
            let heard: Vec<i64> = items.iter().map(seq).collect();
            assert_eq!(heard, expected);
            // One answer for all that may see the same.
            told.insert((nth == 3, Value::from(items).to_string()));
        }
    }
    assert_eq!(told.len(), 2);
    let emails: Vec<bool> = told
        .iter()
        .map(|(_, items)| items.contains("\"email\":\""))
        .collect();
    assert_eq!(emails, [true, false], "personal data is for those who may");
    let counts = app.fan_out();
    let events = expected.len() as u64;
    assert_eq!(counts.executed - before.executed, 2 * events);
    assert_eq!(counts.delivered - before.delivered, 32 * events);
}

async fn who_follows_the_same_events_is_served_by_one_execution(app: &TestApp) {
    const EVENTS: &str = "subscription E($types: [EventType!], $after: String) {
        events(types: $types, after: $after) { kind seq cursor event { event } } }";
    app.open_shop().await;
    app.settle().await;
    let partner = app.key_for(Role::Partner, &["web"], None).await.key;
    let mut all = app.socket().await;
    let mut some = app.socket().await;
    let mut partners = app.socket_as(&partner).await;
    let received = json!({ "types": ["ORDER_RECEIVED"] });
    let mut ids = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..6 {
        let sockets = [&mut all, &mut some, &mut partners];
        for (nth, (socket, ids)) in sockets.into_iter().zip(&mut ids).enumerate() {
            let types = if nth == 1 {
                received.clone()
            } else {
                json!({})
            };
            let id = socket.subscribe(EVENTS, types).await;
            assert_eq!(socket.next(&id).await["events"]["kind"], "HEARTBEAT");
            ids.push(id);
        }
    }
    joined(app, 18, 3).await;
    let (before, began) = (app.fan_out(), position(&app.app.db.read).await.unwrap());
    for _ in 0..3 {
        app.place(basket()).await;
    }
    app.settle().await;
    let log = event_log::Entity::find()
        .filter(event_log::Column::Seq.gt(began.last_seq))
        .order_by_asc(event_log::Column::Seq)
        .all(&app.app.db.read)
        .await
        .unwrap();
    let seqs = |sees: fn(&event_log::Model) -> bool| -> Vec<i64> {
        log.iter()
            .filter(|row| sees(row))
            .map(|row| row.seq)
            .collect()
    };
    let expected = [
        seqs(|_| true),
        seqs(|row| row.event_type == "order.received"),
        seqs(|row| row.aggregate_type == "order"),
    ];
    let mut cursor = Value::Null;
    let sockets = [&mut all, &mut some, &mut partners];
    for ((socket, ids), expected) in sockets.into_iter().zip(&ids).zip(&expected) {
        for id in ids {
            for wanted in expected {
                let item = socket.next(id).await["events"].take();
                assert_eq!(seq(&item), *wanted, "{item}");
                cursor = item["cursor"].clone();
            }
        }
    }
    let counts = app.fan_out();
    let events: usize = expected.iter().map(Vec::len).sum();
    assert_eq!(counts.executed - before.executed, events as u64);
    assert_eq!(counts.delivered - before.delivered, 6 * events as u64);
    // Who comes back where it was joins them again.
    let id = partners.subscribe(EVENTS, json!({ "after": cursor })).await;
    joined(app, 19, 3).await;
    app.place(basket()).await;
    app.settle().await;
    for id in [&ids[2][0], &id] {
        let item = partners.next(id).await["events"].take();
        assert_eq!(item["event"]["event"], "order.received");
    }
}

async fn whoever_joins_while_orders_flow_hears_each_change_once(app: &TestApp) {
    app.open_shop().await;
    app.stocked("FLOW", 100_000, true).await;
    let one = basket_with(json!({ "lines": [{ "sku": "FLOW", "quantity": 1 }] }));
    app.place(one.clone()).await;
    let feed = app.app.clone();
    let running = tokio::spawn(async move { feed.hub.run().await });
    let flow = async {
        for _ in 0..25 {
            let orders = (0..4).map(|_| app.place(one.clone()));
            let placed = futures_util::future::join_all(orders).await;
            app.gql(CANCEL, json!({ "id": placed[0]["id"] })).await;
        }
    };
    let followers = (0..12).map(|nth| {
        let one = &one;
        async move {
            // Each joins at a time of its own: after so many orders more.
            for _ in 0..nth {
                app.place(one.clone()).await;
            }
            let mut socket = app.socket().await;
            let id = socket.subscribe(UPDATES, json!({ "snapshot": true })).await;
            let mut heard = Vec::new();
            let mut versions = std::collections::BTreeMap::<String, i64>::new();
            let mut began = None;
            loop {
                let item = socket.next(&id).await["orderUpdates"].take();
                let kind = item["kind"].as_str().unwrap();
                if let Some(version) = item["order"]["version"].as_i64() {
                    let order = item["order"]["id"].to_string();
                    let seen = versions.entry(order).or_insert(version);
                    assert!(*seen <= version, "an order went backwards: {item}");
                    *seen = version;
                }
                match kind {
                    "SNAPSHOT" => assert_eq!(began, None),
                    "SNAPSHOT_END" => began = Some(seq(&item)),
                    "UPSERT" => heard.push(item),
                    "HEARTBEAT" => {}
                    other => panic!("{other}: {item}"),
                }
                // Long enough to have been alone and a member, and at last on its own again.
                if heard.len() == 60 + nth {
                    break;
                }
            }
            let began = began.expect("a snapshot's end");
            let last = heard.last().expect("an item")["cursor"].clone();
            socket.close().await;
            // Comes back where it was.
            let mut socket = app.socket().await;
            let resume = json!({ "after": last, "snapshot": true });
            let id = socket.subscribe(UPDATES, resume).await;
            for _ in 0..20 {
                let item = socket.next(&id).await["orderUpdates"].take();
                assert_eq!(item["kind"], "UPSERT", "{item}");
                heard.push(item);
            }
            let heard: Vec<i64> = heard.iter().map(seq).collect();
            let log = log(app, began).await;
            assert_eq!(
                heard,
                log[..heard.len()],
                "what was heard is not what was logged"
            );
        }
    });
    tokio::join!(flow, futures_util::future::join_all(followers));
    running.abort();
    let counts = app.fan_out();
    assert!(
        counts.shared > 0 && counts.delivered > counts.shared,
        "{counts:?}"
    );
}

async fn an_order_that_a_member_was_shown_is_removed_for_it(app: &TestApp) {
    app.open_shop().await;
    app.settle().await;
    let staged = json!({ "where": { "stage": { "eq": "STAGED" } }, "snapshot": true });
    let mut first = app.socket().await;
    let first_id = first.subscribe(UPDATES, staged.clone()).await;
    first.next(&first_id).await;
    joined(app, 1, 1).await;
    // The group has not heard of this order when the second is shown it.
    let order = app.place(basket()).await;
    let mut second = app.socket().await;
    let second_id = second.subscribe(UPDATES, staged).await;
    let shown = second.next(&second_id).await["orderUpdates"].take();
    assert_eq!(shown["kind"], "SNAPSHOT");
    assert_eq!(shown["order"]["id"], order["id"]);
    let end = second.next(&second_id).await["orderUpdates"].take();
    assert_eq!(end["kind"], "SNAPSHOT_END");
    // When it does, the order has ceased to match: nothing to the first, a removal to the second.
    app.gql(CANCEL, json!({ "id": order["id"] })).await;
    app.settle().await;
    let removed = loop {
        let item = second.next(&second_id).await["orderUpdates"].take();
        assert_eq!(item["orderId"], order["id"]);
        if item["kind"] == "REMOVE" {
            break item;
        }
    };
    assert_eq!(removed["order"], Value::Null);
    let next = app.place(basket()).await;
    app.settle().await;
    let item = second.next(&second_id).await["orderUpdates"].take();
    assert_eq!(item["orderId"], next["id"]);
}
