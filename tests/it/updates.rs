//! Following orders: a snapshot, then every change exactly once, in the order of the log.

use std::collections::{BTreeMap, BTreeSet};

use entity::event_log;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::merchant::{basket, basket_with};
use support::{TestApp, both_backends};

both_backends!(
    a_subscriber_sees_the_snapshot_and_every_later_change_exactly_once,
    an_order_that_ceases_to_match_is_removed,
    a_cursor_resumes_without_a_gap_and_works_only_for_its_filter,
);

const UPDATES: &str = "subscription U($where: OrderWhere, $after: String, $snapshot: Boolean!) {
    orderUpdates(where: $where, after: $after, snapshot: $snapshot) {
        kind seq cursor event orderId order { id status stage version } } }";

const CANCEL: &str = "mutation C($id: ID!) {
    orderCancel(input: { id: $id, reason: \"test\" }) { userErrors { code } order { stage } } }";

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// The order's events in the log behind a position: `(seq, event)`.
async fn log(app: &TestApp, after: i64) -> Vec<(i64, String)> {
    event_log::Entity::find()
        .filter(event_log::Column::Seq.gt(after))
        .filter(event_log::Column::AggregateType.eq("order"))
        .order_by_asc(event_log::Column::Seq)
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.seq, row.event_type))
        .collect()
}

async fn a_subscriber_sees_the_snapshot_and_every_later_change_exactly_once(app: &TestApp) {
    app.open_shop().await;
    app.stocked("FLOW", 100_000, true).await;
    let one = basket_with(json!({ "lines": [{ "sku": "FLOW", "quantity": 1 }] }));
    for _ in 0..20 {
        app.place(one.clone()).await;
    }
    let feed = app.app.clone();
    let running = tokio::spawn(async move { feed.hub.run().await });
    let flow = async {
        let mut placed = Vec::new();
        for batch in 0..50 {
            let orders = (0..10).map(|_| app.place(one.clone()));
            placed.extend(futures_util::future::join_all(orders).await);
            // Some are called off, so that there is more than one kind of change.
            let called_off = &placed[batch * 10];
            app.gql(CANCEL, json!({ "id": called_off["id"] })).await;
        }
    };
    let follow = async {
        // Joins while orders flow.
        tokio::task::yield_now().await;
        let mut socket = app.socket().await;
        let id = socket.subscribe(UPDATES, json!({ "snapshot": true })).await;
        let mut snapshot = BTreeSet::new();
        let mut versions: BTreeMap<String, i64> = BTreeMap::new();
        let mut heard = Vec::new();
        let mut began = 0;
        loop {
            let item = socket.next(&id).await["orderUpdates"].take();
            match item["kind"].as_str().unwrap() {
                "SNAPSHOT" => {
                    assert!(
                        snapshot.insert(text(&item["order"]["id"])),
                        "shown twice: {item}"
                    );
                }
                "SNAPSHOT_END" => began = item["seq"].as_i64().unwrap(),
                "UPSERT" => {
                    heard.push((item["seq"].as_i64().unwrap(), text(&item["event"])));
                    let version = item["order"]["version"].as_i64().unwrap();
                    let seen = versions.entry(text(&item["orderId"])).or_default();
                    assert!(version >= *seen, "an order went backwards: {item}");
                    *seen = version;
                }
                "HEARTBEAT" => {}
                other => panic!("{other}: {item}"),
            }
            let known = snapshot
                .iter()
                .chain(versions.keys())
                .collect::<BTreeSet<_>>()
                .len();
            let cancelled = heard
                .iter()
                .filter(|(_, event)| event == "order.cancelled")
                .count();
            // Whoever was cancelled before the snapshot is in it, and is not heard of again.
            if known == 520 && began > 0 && heard.last().is_some_and(|last| last.0 > began) {
                let log = log(app, began).await;
                if log.len() == heard.len() && cancelled <= 50 {
                    let at_rest = entity::order::Entity::find()
                        .filter(entity::order::Column::Status.eq(entity::order::Status::Cancelled))
                        .all(&app.app.db.read)
                        .await
                        .unwrap()
                        .len();
                    if at_rest == 50 {
                        assert_eq!(heard, log, "what was heard is not what was logged");
                        break began;
                    }
                }
            }
        }
    };
    let ((), began) = tokio::join!(flow, follow);
    running.abort();
    assert!(began > 0);
}

async fn an_order_that_ceases_to_match_is_removed(app: &TestApp) {
    app.open_shop().await;
    let kept = app.place(basket()).await;
    let mut socket = app.socket().await;
    let filter = json!({ "where": { "stage": { "eq": "STAGED" } }, "snapshot": true });
    let id = socket.subscribe(UPDATES, filter).await;
    let first = socket.next(&id).await;
    assert_eq!(first["orderUpdates"]["order"]["id"], kept["id"]);
    assert_eq!(
        socket.next(&id).await["orderUpdates"]["kind"],
        "SNAPSHOT_END"
    );
    // What happened before the snapshot may follow it in the log; it shows the same order.
    app.settle().await;
    app.gql(CANCEL, json!({ "id": kept["id"] })).await;
    app.settle().await;
    loop {
        let item = socket.next(&id).await["orderUpdates"].take();
        assert_eq!(item["orderId"], kept["id"]);
        if item["kind"] == "REMOVE" {
            assert_eq!(item["order"], Value::Null);
            break;
        }
    }
    // An order that never matched is never spoken of.
    let token = json!({ "method": "CARD", "token": "tok_decline" });
    let declined = app.place(basket_with(json!({ "payment": token }))).await;
    let staged = app.place(basket()).await;
    app.settle().await;
    let item = socket.next(&id).await["orderUpdates"].take();
    assert_ne!(item["orderId"], declined["id"]);
    assert_eq!(item["orderId"], staged["id"]);
}

async fn a_cursor_resumes_without_a_gap_and_works_only_for_its_filter(app: &TestApp) {
    app.open_shop().await;
    app.place(basket()).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let id = socket.subscribe(UPDATES, json!({ "snapshot": true })).await;
    socket.next(&id).await;
    let end = socket.next(&id).await["orderUpdates"].take();
    assert_eq!(end["kind"], "SNAPSHOT_END");
    socket.close().await;

    // Away while two orders come in.
    let (a, b) = (app.place(basket()).await, app.place(basket()).await);
    app.settle().await;
    let missed = log(app, end["seq"].as_i64().unwrap()).await;
    let mut socket = app.socket().await;
    let resume = json!({ "after": end["cursor"], "snapshot": true });
    let id = socket.subscribe(UPDATES, resume).await;
    let mut heard = Vec::new();
    let mut orders = BTreeSet::new();
    while heard.len() < missed.len() {
        let item = socket.next(&id).await["orderUpdates"].take();
        assert_eq!(item["kind"], "UPSERT", "{item}");
        heard.push((item["seq"].as_i64().unwrap(), text(&item["event"])));
        orders.insert(text(&item["orderId"]));
    }
    assert_eq!(heard, missed);
    assert_eq!(orders, BTreeSet::from([text(&a["id"]), text(&b["id"])]));

    let elsewhere = json!({ "after": end["cursor"], "snapshot": true,
        "where": { "stage": { "eq": "STAGED" } } });
    let id = socket.subscribe(UPDATES, elsewhere).await;
    let refused = socket.event(&id).await.unwrap();
    assert_eq!(
        refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
        "{refused}"
    );
}
