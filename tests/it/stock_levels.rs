//! Following stock: a snapshot, then every row's newest figures, a few times a second at most.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use entity::api_key::Role;
use entity::{listing, sequencer};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use support::merchant::{Stocked, basket_with};
use support::{Socket, TestApp, both_backends};

both_backends!(
    x2_500_changes_of_one_sku_in_a_burst_are_a_few_items_and_the_last_is_right,
    x2_a_subscriber_sees_the_snapshot_and_every_later_change,
    x2_stock_that_goes_stale_changes_what_is_available_before_their_eyes,
    x2_a_stock_row_that_ceases_to_match_is_removed,
    x2_a_cursor_of_stock_resumes_without_a_gap_or_says_that_it_cannot,
    x1_stock_of_another_channel_is_never_spoken_of,
);

const LEVELS: &str = "subscription L($where: StockWhere, $after: String) {
    stockLevels(where: $where, after: $after) {
        kind seq cursor event occurredAt variantId warehouseId
        stock { onHand reserved available withheld incoming version variant { sku }
            warehouse { code } freshness { ageSecs stale withheldPercent source { code } } } } }";

/// Those of one variant in Vienna.
fn of(stocked: &Stocked) -> Value {
    use api::graphql::ids::to_global;
    json!({ "variantId": { "eq": to_global(stocked.id).0 },
        "warehouseId": { "eq": to_global(stocked.warehouse).0 } })
}

async fn next(socket: &mut Socket, id: &str) -> Value {
    socket.next(id).await["stockLevels"].take()
}

/// A stream from after its snapshot on, which had so many rows.
async fn follow(socket: &mut Socket, filter: Value) -> (String, Vec<Value>, Value) {
    let id = socket.subscribe(LEVELS, json!({ "where": filter })).await;
    let mut rows = Vec::new();
    loop {
        let item = next(socket, &id).await;
        match item["kind"].as_str().unwrap() {
            "SNAPSHOT" => rows.push(item),
            "SNAPSHOT_END" => return (id, rows, item),
            _ => panic!("{item}"),
        }
    }
}

/// The newest position of the log.
async fn log_end(app: &TestApp) -> i64 {
    let position = api::events::position(&app.app.db.read).await;
    position.unwrap().last_seq
}

/// The next items until one that says so; how many they were.
async fn until(socket: &mut Socket, id: &str, says: impl Fn(&Value) -> bool) -> (usize, Value) {
    let mut items = 0;
    loop {
        let item = next(socket, id).await;
        items += 1;
        if says(&item) {
            return (items, item);
        }
    }
}

async fn x2_500_changes_of_one_sku_in_a_burst_are_a_few_items_and_the_last_is_right(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("BURST", 0, true).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let (id, rows, _) = follow(&mut socket, of(&mug)).await;
    assert_eq!(rows.len(), 1);
    for _ in 0..500 {
        app.receive(&mug, 1).await;
    }
    app.settle().await;
    // An item shows the row as it is by then, so the last is known by its event.
    let newest = log_end(app).await;
    let (items, last) = until(&mut socket, &id, |item| item["seq"] == newest).await;
    assert!(items <= 50, "{items} items for 500 changes");
    assert_eq!(last["kind"], "UPSERT");
    assert_eq!(last["event"], "stock.changed");
    assert_eq!(
        (&last["stock"]["onHand"], &last["stock"]["available"]),
        (&json!(500), &json!(500))
    );
    // While they flow, each item is ahead of the one before.
    let feed = app.app.clone();
    let running = tokio::spawn(async move { feed.hub.run().await });
    let flow = async {
        for _ in 0..100 {
            app.receive(&mug, 1).await;
        }
    };
    let watch = async {
        let mut version = last["stock"]["version"].as_i64().unwrap();
        let mut items = 0;
        loop {
            let item = next(&mut socket, &id).await;
            let newer = item["stock"]["version"].as_i64().unwrap();
            assert!(newer >= version, "{item} after {version}");
            version = newer;
            items += 1;
            if item["stock"]["onHand"] == 600 {
                return items;
            }
        }
    };
    let ((), items) = tokio::join!(flow, watch);
    running.abort();
    assert!(items <= 100, "{items} items for 100 changes");
}

async fn x2_a_subscriber_sees_the_snapshot_and_every_later_change(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("LEVEL", 5, true).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let sku = json!({ "sku": { "eq": "LEVEL" } });
    let (id, rows, _) = follow(&mut socket, sku).await;
    let codes: BTreeSet<&str> = rows
        .iter()
        .map(|item| item["stock"]["warehouse"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, BTreeSet::from(["BER", "VIE"]));
    let vienna = rows
        .iter()
        .find(|item| item["stock"]["warehouse"]["code"] == "VIE")
        .unwrap();
    assert_eq!(vienna["stock"]["onHand"], 5);
    assert_eq!(vienna["stock"]["freshness"], Value::Null);

    app.place(basket_with(
        json!({ "lines": [{ "sku": "LEVEL", "quantity": 2 }] }),
    ))
    .await;
    app.settle().await;
    let (_, held) = until(&mut socket, &id, |item| item["stock"]["reserved"] == 2).await;
    assert_eq!(held["stock"]["available"], 3);
    assert_eq!(held["variantId"], vienna["variantId"]);
    // What is on its way is seen as soon as it is known.
    let expect = "mutation Expect($input: InboundSupplyCreateInput!) {
        inboundSupplyCreate(input: $input) { inboundSupply { id } userErrors { code } } }";
    let input = json!({ "variantId": held["variantId"], "warehouseId": held["warehouseId"],
        "quantity": 40, "expectedAt": "2027-01-01T00:00:00Z", "idempotencyKey": "coming" });
    let made = app.gql(expect, json!({ "input": input })).await;
    app.settle().await;
    let (_, coming) = until(&mut socket, &id, |item| item["stock"]["incoming"] == 40).await;
    assert_eq!(coming["stock"]["onHand"], 5);
    let cancel = "mutation Cancel($id: ID!) {
        inboundSupplyCancel(input: { id: $id }) { userErrors { code } } }";
    let supply = &made["inboundSupplyCreate"]["inboundSupply"]["id"];
    app.gql(cancel, json!({ "id": supply })).await;
    app.settle().await;
    until(&mut socket, &id, |item| item["stock"]["incoming"] == 0).await;
    // Others' rows are not spoken of.
    let other = app.stocked("ELSE", 1, true).await;
    app.receive(&other, 1).await;
    app.receive(&mug, 1).await;
    app.settle().await;
    let (items, _) = until(&mut socket, &id, |item| item["stock"]["onHand"] == 6).await;
    assert_eq!(items, 1);
}

/// Makes a source for Vienna of which nothing is sold once it is silent, and hears from it.
async fn silenced(app: &TestApp) {
    let warehouses = app
        .gql("{ warehouses { nodes { id code } } }", json!({}))
        .await;
    let nodes = warehouses["warehouses"]["nodes"].as_array().unwrap();
    let vienna = nodes.iter().find(|node| node["code"] == "VIE").unwrap();
    let create = "mutation Make($input: StockSourceCreateInput!) {
        stockSourceCreate(input: $input) { userErrors { code } } }";
    let input = json!({ "code": "wms", "name": "WMS", "kind": "WMS", "policy": "NOT_SELLABLE",
        "budgetSecs": 600, "warehouseIds": [vienna["id"]] });
    let made = app.gql(create, json!({ "input": input })).await;
    assert_eq!(made["stockSourceCreate"]["userErrors"], json!([]));
    heard(app, "first").await;
}

async fn heard(app: &TestApp, key: &str) {
    let sync = "mutation Sync($input: InventorySyncInput!) {
        inventorySync(input: $input) { userErrors { code } } }";
    let input = json!({ "source": "wms", "observedAt": app.app.clock.now(), "full": false,
        "rows": [], "idempotencyKey": key });
    let done = app.gql(sync, json!({ "input": input })).await;
    assert_eq!(done["inventorySync"]["userErrors"], json!([]));
    app.settle().await;
}

async fn x2_stock_that_goes_stale_changes_what_is_available_before_their_eyes(app: &TestApp) {
    app.open_shop().await;
    silenced(app).await;
    let mug = app.stocked("EYES", 5, true).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let (id, rows, _) = follow(&mut socket, of(&mug)).await;
    let freshness = &rows[0]["stock"]["freshness"];
    assert_eq!(
        *freshness,
        json!({ "ageSecs": 0, "stale": false, "withheldPercent": 0, "source": { "code": "wms" } })
    );
    app.clock.advance(TimeDelta::seconds(700));
    app.settle().await;
    let (_, stale) = until(&mut socket, &id, |item| {
        item["event"] == "stock_source.stale"
    })
    .await;
    assert_eq!(stale["kind"], "UPSERT");
    let stock = &stale["stock"];
    assert_eq!(
        (&stock["available"], &stock["withheld"]),
        (&json!(0), &json!(5))
    );
    assert_eq!(stock["freshness"]["ageSecs"], 700);
    heard(app, "again").await;
    let (_, fresh) = until(&mut socket, &id, |item| {
        item["event"] == "stock_source.fresh"
    })
    .await;
    assert_eq!(fresh["stock"]["available"], 5);
    assert_eq!(fresh["stock"]["freshness"]["stale"], false);
}

async fn x2_a_stock_row_that_ceases_to_match_is_removed(app: &TestApp) {
    app.open_shop().await;
    silenced(app).await;
    let mug = app.stocked("SCARCE", 2, true).await;
    let other = app.stocked("PLENTY", 50, true).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let filter = json!({ "sku": { "in": ["SCARCE", "PLENTY"] }, "available": { "gte": 1 } });
    let (id, rows, _) = follow(&mut socket, filter).await;
    assert_eq!(rows.len(), 2);
    app.place(basket_with(
        json!({ "lines": [{ "sku": "SCARCE", "quantity": 2 }] }),
    ))
    .await;
    app.settle().await;
    let gone = next(&mut socket, &id).await;
    assert_eq!(gone["kind"], "REMOVE", "{gone}");
    assert_eq!(gone["stock"], Value::Null);
    let scarce = of(&mug)["variantId"]["eq"].clone();
    assert_eq!(gone["variantId"], scarce);
    // A row that is not shown is not removed again; the other goes with its source.
    app.clock.advance(TimeDelta::seconds(601));
    app.settle().await;
    let gone = next(&mut socket, &id).await;
    assert_eq!(
        (&gone["kind"], &gone["event"]),
        (&json!("REMOVE"), &json!("stock_source.stale"))
    );
    assert_eq!(gone["variantId"], of(&other)["variantId"]["eq"]);
    heard(app, "back").await;
    let back = next(&mut socket, &id).await;
    assert_eq!(back["kind"], "UPSERT", "{back}");
    assert_eq!(back["stock"]["variant"]["sku"], "PLENTY");
    app.receive(&mug, 1).await;
    app.settle().await;
    let back = next(&mut socket, &id).await;
    assert_eq!(back["stock"]["variant"]["sku"], "SCARCE", "{back}");
}

async fn x2_a_cursor_of_stock_resumes_without_a_gap_or_says_that_it_cannot(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("AWAY", 5, true).await;
    let lost = app.stocked("LOST", 5, true).await;
    app.settle().await;
    let filter = json!({ "sku": { "in": ["AWAY", "LOST"] }, "onHand": { "range": { "gte": 1 } } });
    let mut socket = app.socket().await;
    let (_, rows, end) = follow(&mut socket, filter.clone()).await;
    assert_eq!(rows.len(), 2);
    socket.close().await;
    // Away while one changes twice and another ceases to match.
    app.receive(&mug, 1).await;
    app.receive(&mug, 1).await;
    app.adjust(&lost, -5).await.unwrap();
    app.settle().await;
    let mut socket = app.socket().await;
    let resume = json!({ "where": filter, "after": end["cursor"] });
    let id = socket.subscribe(LEVELS, resume).await;
    let mut items = [next(&mut socket, &id).await, next(&mut socket, &id).await];
    items.sort_by_key(|item| item["kind"].to_string());
    let [removed, changed] = items;
    assert_eq!(removed["kind"], "REMOVE", "{removed}");
    assert_eq!(removed["variantId"], of(&lost)["variantId"]["eq"]);
    assert_eq!(changed["kind"], "UPSERT", "{changed}");
    assert_eq!(changed["stock"]["onHand"], 7);

    let elsewhere = json!({ "where": of(&mug), "after": end["cursor"] });
    let id = socket.subscribe(LEVELS, elsewhere).await;
    let refused = socket.event(&id).await.unwrap();
    assert_eq!(
        refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
        "{refused}"
    );
    // The database is another one now, restored from a backup.
    sequencer::Entity::update_many()
        .col_expr(
            sequencer::Column::Epoch,
            Expr::value(uuid::Uuid::from_u128(7)),
        )
        .exec(&app.app.db.write)
        .await
        .unwrap();
    let before = json!({ "where": filter, "after": end["cursor"] });
    let id = socket.subscribe(LEVELS, before).await;
    let kinds = [
        next(&mut socket, &id).await["kind"].take(),
        next(&mut socket, &id).await["kind"].take(),
        next(&mut socket, &id).await["kind"].take(),
    ];
    assert_eq!(kinds, ["RESYNC", "SNAPSHOT", "SNAPSHOT_END"]);
}

async fn x1_stock_of_another_channel_is_never_spoken_of(app: &TestApp) {
    app.open_shop().await;
    let mine = app.stocked("MINE", 5, true).await;
    let theirs = app.stocked("THEIRS", 5, true).await;
    let web = app.channel("web").await.id;
    listing::Entity::delete_many()
        .filter(listing::Column::VariantId.eq(theirs.id))
        .filter(listing::Column::ChannelId.eq(web))
        .exec(&app.app.db.write)
        .await
        .unwrap();
    app.settle().await;
    let key = app.key_for(Role::Viewer, &["web"], None).await.key;
    let mut socket = app.socket_as(&key).await;
    let filter = json!({ "sku": { "in": ["MINE", "THEIRS"] },
        "onHand": { "range": { "gte": 1 } } });
    let (id, rows, end) = follow(&mut socket, filter.clone()).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["stock"]["variant"]["sku"], "MINE");
    app.receive(&theirs, 1).await;
    app.adjust(&theirs, -6).await.unwrap();
    app.receive(&mine, 1).await;
    app.settle().await;
    let item = next(&mut socket, &id).await;
    assert_eq!(item["stock"]["variant"]["sku"], "MINE", "{item}");
    // Nor after a while away.
    let resume = json!({ "where": filter, "after": end["cursor"] });
    let id = socket.subscribe(LEVELS, resume).await;
    let item = next(&mut socket, &id).await;
    assert_eq!(item["stock"]["variant"]["sku"], "MINE", "{item}");
    app.receive(&mine, 1).await;
    app.settle().await;
    let (items, _) = until(&mut socket, &id, |item| item["stock"]["onHand"] == 7).await;
    assert_eq!(items, 1);
}
