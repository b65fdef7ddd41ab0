//! Stock that is never a ghost: what sources say of it, and what becomes of it when they do not.

use api::app::{Once, Sync};
use api::orders::feeds::{self, Feed, Row};
use api::simulate;
use api::tx::{Actor, new_id};
use chrono::{Duration, TimeDelta};
use entity::{
    ProductId, VariantId, WarehouseId, event_log, product, stock, stock_movement, variant,
    variant_code, warehouse,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde_json::{Value, json};
use support::merchant::{Stocked, basket_with};
use support::{Socket, TestApp, both_backends};

both_backends!(
    x2_a_source_speaks_for_warehouses_that_no_other_speaks_for,
    x2_a_feed_sets_on_hand_row_by_row_and_what_is_wrong_with_one_stops_no_other,
    x2_a_figure_from_the_past_is_refused_and_what_was_booked_since_stays,
    x2_what_a_full_snapshot_leaves_out_is_missed_and_not_taken_for_none,
    x2_a_snapshot_in_parts_misses_nothing_before_its_end,
    x2_a_clock_that_is_ahead_is_told_so,
    x2_a_figure_below_what_is_held_takes_from_the_youngest_and_is_seen_live,
    x2_stock_of_a_silent_source_is_not_sold_until_it_speaks_again,
    x2_more_is_kept_back_the_longer_a_source_is_silent,
    x2_a_feed_that_lies_still_is_flagged_until_it_moves,
    x2_a_feed_of_one_key_has_one_effect_and_goes_on_where_it_was_cut_off,
    x2_a_feed_as_large_as_a_request_may_be_is_taken_whole,
    x2_the_demos_till_speaks_while_orders_are_simulated_and_is_off_otherwise,
    x2_more_units_than_before_go_to_who_waits,
    x2_feeds_orders_and_receipts_at_once_leave_the_books_right,
);

const NODE: &str = "id code staleSince withheldPercent stillSince missing version observedAt
    alerts { code since summary } warehouses { code }";

const SYNC: &str = "mutation Sync($input: InventorySyncInput!) { inventorySync(input: $input) {
    set unchanged refused replayed userErrors { code field }
    rows { index outcome before onHand code }
    source { missing staleSince stillSince withheldPercent alerts { code } } } }";

/// Makes a source for warehouses, and returns what the mutation says.
async fn make(app: &TestApp, code: &str, warehouses: &[&str], settings: Value) -> Value {
    let known = app
        .gql("{ warehouses { nodes { id code } } }", json!({}))
        .await;
    let nodes = known["warehouses"]["nodes"].as_array().unwrap();
    let ids: Vec<&Value> = warehouses
        .iter()
        .map(|code| &nodes.iter().find(|node| node["code"] == **code).unwrap()["id"])
        .collect();
    let mut input = json!({ "code": code, "name": code, "kind": "WMS", "warehouseIds": ids });
    for (name, value) in settings.as_object().unwrap() {
        input[name] = value.clone();
    }
    let create = format!(
        "mutation Make($input: StockSourceCreateInput!) {{ stockSourceCreate(input: $input) {{
            stockSource {{ {NODE} }} userErrors {{ code field }} }} }}"
    );
    let mut made = app.gql(&create, json!({ "input": input })).await;
    made["stockSourceCreate"].take()
}

/// A source for Vienna that was heard of now.
async fn wms(app: &TestApp, settings: Value) -> Value {
    let made = make(app, "wms", &["VIE"], settings).await;
    assert_eq!(made["userErrors"], json!([]), "{made:#}");
    state(app, "hello", 0, json!([])).await;
    made["stockSource"].clone()
}

async fn change(app: &TestApp, input: Value) -> Value {
    let update = format!(
        "mutation Change($input: StockSourceUpdateInput!) {{ stockSourceUpdate(input: $input) {{
            stockSource {{ {NODE} }} userErrors {{ code field details }} }} }}"
    );
    let mut done = app.gql(&update, json!({ "input": input })).await;
    done["stockSourceUpdate"].take()
}

/// What a feed says: some rows, as they were so many seconds ago.
fn feed(app: &TestApp, key: &str, age: i64, rows: Value) -> Value {
    json!({ "source": "wms", "observedAt": app.app.clock.now() - Duration::seconds(age),
        "full": false, "rows": rows, "idempotencyKey": key })
}

async fn send(app: &TestApp, input: Value) -> Value {
    let mut done = app.gql(SYNC, json!({ "input": input })).await;
    done["inventorySync"].take()
}

async fn state(app: &TestApp, key: &str, age: i64, rows: Value) -> Value {
    send(app, feed(app, key, age, rows)).await
}

fn row(of: &Stocked, on_hand: i64) -> Value {
    json!({ "sku": of.sku, "warehouse": "VIE", "onHand": on_hand })
}

fn wants(of: &Stocked, quantity: i64) -> Value {
    basket_with(json!({ "lines": [{ "sku": of.sku, "quantity": quantity }] }))
}

async fn read(app: &TestApp, code: &str) -> Value {
    let query = format!("{{ stockSources {{ nodes {{ {NODE} }} }} }}");
    let found = app.gql(&query, json!({})).await;
    let nodes = found["stockSources"]["nodes"].as_array().unwrap();
    nodes
        .iter()
        .find(|node| node["code"] == code)
        .unwrap()
        .clone()
}

/// What can be promised of it, by the API.
async fn available(app: &TestApp, of: &Stocked) -> (i64, i64) {
    let query = "query Stock($sku: String!) { stock(where: { sku: { eq: $sku } }) { nodes {
        available withheld warehouse { code } freshness { stale ageSecs } } } }";
    let found = app.gql(query, json!({ "sku": of.sku })).await;
    let nodes = found["stock"]["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["warehouse"]["code"] == "VIE");
    let node = node.unwrap();
    let figure = |name: &str| node[name].as_i64().unwrap();
    (figure("available"), figure("withheld"))
}

async fn drift(app: &TestApp) -> Vec<Value> {
    let query = "{ stockDrift(first: 250) { nodes { kind stated had difference observedAt foundAt
        variant { sku } warehouse { code } source { code } } } }";
    let found = app.gql(query, json!({})).await;
    found["stockDrift"]["nodes"].as_array().unwrap().clone()
}

/// What happened to sources, in the order of the log.
async fn told(app: &TestApp) -> Vec<String> {
    let rows = event_log::Entity::find()
        .filter(event_log::Column::AggregateType.eq("stock_source"))
        .order_by_asc(event_log::Column::Seq)
        .all(&app.app.db.read)
        .await
        .unwrap();
    rows.into_iter().map(|row| row.event_type).collect()
}

async fn alerts(socket: &mut Socket, id: &str) -> Vec<String> {
    let item = socket.next(id).await;
    let alerts = item["stockSources"]["sources"][0]["alerts"]
        .as_array()
        .unwrap();
    let code = |alert: &Value| alert["code"].as_str().unwrap().to_owned();
    alerts.iter().map(code).collect()
}

async fn x2_a_source_speaks_for_warehouses_that_no_other_speaks_for(app: &TestApp) {
    app.open_shop().await;
    let made = make(app, "wms", &["VIE"], json!({})).await;
    let wms = &made["stockSource"];
    assert_eq!(wms["warehouses"], json!([{ "code": "VIE" }]), "{made:#}");
    assert_eq!(wms["version"], 1);
    let again = make(app, "wms", &[], json!({})).await;
    assert_eq!(again["userErrors"][0]["code"], "CODE_TAKEN");
    let other = make(app, "other", &["BER", "VIE"], json!({ "budgetSecs": 0 })).await;
    assert_eq!(
        other["userErrors"],
        json!([
            { "code": "QUANTITY_INVALID", "field": ["input", "budgetSecs"] },
            { "code": "WAREHOUSE_TAKEN", "field": ["input", "warehouseIds", "1"] },
        ])
    );
    let changed = change(app, json!({ "id": wms["id"], "warehouseIds": [] })).await;
    assert_eq!(changed["stockSource"]["warehouses"], json!([]));
    let stale = json!({ "id": wms["id"], "expectedVersion": 1, "name": "Vienna" });
    let stale = change(app, stale).await;
    assert_eq!(stale["userErrors"][0]["code"], "STALE_VERSION", "{stale:#}");
    let other = make(app, "other", &["BER", "VIE"], json!({})).await;
    assert_eq!(other["userErrors"], json!([]), "{other:#}");
    let node = "query Node($id: ID!) { node(id: $id) { ... on StockSource { code } }
        stockSource(id: $id) { code } }";
    let node = app.gql(node, json!({ "id": wms["id"] })).await;
    assert_eq!(node["node"], json!({ "code": "wms" }));
    assert_eq!(node["stockSource"], node["node"]);
    app.settle().await;
    assert_eq!(told(app).await, ["stock_source.saved"; 3]);
}

async fn x2_a_feed_sets_on_hand_row_by_row_and_what_is_wrong_with_one_stops_no_other(
    app: &TestApp,
) {
    app.open_shop().await;
    wms(app, json!({})).await;
    let (less, more, same) = (
        app.stocked("LESS", 10, true).await,
        app.stocked("MORE", 10, true).await,
        app.stocked("SAME", 10, true).await,
    );
    app.place(wants(&less, 2)).await;
    let rows = json!([
        row(&less, 4),
        { "sku": " more ", "warehouse": "VIE", "onHand": 25 },
        row(&same, 10),
        { "sku": "NOBODY-KNOWS", "warehouse": "VIE", "onHand": 1 },
        { "sku": "LESS", "warehouse": "BER", "onHand": 1 },
        { "sku": "LESS", "warehouse": "MARS", "onHand": 1 },
        { "sku": "SAME", "warehouse": "VIE", "onHand": 11 },
        { "sku": "MUG-WHITE", "warehouse": "VIE", "onHand": -1 },
    ]);
    let done = state(app, "one", 0, rows).await;
    assert_eq!(done["userErrors"], json!([]));
    let (set, unchanged, refused) = (&done["set"], &done["unchanged"], &done["refused"]);
    assert_eq!((set, unchanged, refused), (&json!(2), &json!(1), &json!(5)));
    assert_eq!(
        done["rows"][0],
        json!({ "index": 0, "outcome": "SET", "before": 10, "onHand": 4, "code": null })
    );
    let codes: Vec<&Value> = (3..8).map(|place| &done["rows"][place]["code"]).collect();
    assert_eq!(
        codes,
        [
            "SKU_UNKNOWN",
            "WAREHOUSE_FOREIGN",
            "WAREHOUSE_FOREIGN",
            "INVALID_INPUT",
            "QUANTITY_INVALID"
        ]
    );
    // On hand is set; what is held stays held, and what is available follows.
    assert_eq!(app.stock_of(&less).await, (4, 2));
    assert_eq!(available(app, &less).await, (2, 0));
    assert_eq!(app.stock_of(&more).await, (25, 0));
    assert_eq!(app.stock_of(&same).await, (10, 0));
    let booked = stock_movement::Entity::find()
        .filter(stock_movement::Column::Reason.eq("stated by wms"))
        .order_by_asc(stock_movement::Column::DeltaOnHand)
        .all(&app.app.db.read)
        .await
        .unwrap();
    let deltas: Vec<i64> = booked.iter().map(|row| row.delta_on_hand).collect();
    assert_eq!(deltas, [-6, 15]);
    assert_eq!(booked[0].kind, stock_movement::Kind::Adjust);
    let mut found: Vec<(String, i64, i64, i64)> = drift(app)
        .await
        .iter()
        .map(|one| {
            assert_eq!(one["kind"], "FIGURE");
            let figure = |name: &str| one[name].as_i64().unwrap();
            let sku = one["variant"]["sku"].as_str().unwrap().to_owned();
            (sku, figure("stated"), figure("had"), figure("difference"))
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            ("LESS".to_owned(), 4, 10, -6),
            ("MORE".to_owned(), 25, 10, 15)
        ]
    );
    // What is no feed of anybody's.
    let mut unknown = feed(app, "two", 0, json!([]));
    unknown["source"] = json!("nobody");
    let unknown = send(app, unknown).await;
    assert_eq!(unknown["userErrors"][0]["code"], "NOT_FOUND");
    let mut keyless = feed(app, "two", 0, json!([]));
    keyless["idempotencyKey"] = Value::Null;
    let keyless = send(app, keyless).await;
    assert_eq!(keyless["userErrors"][0]["code"], "INVALID_INPUT");
    // More than one bin has is taken out of the next as well; nothing is below nothing.
    let gone = state(app, "three", 0, json!([row(&more, 0)])).await;
    // The same moment and another figure: the first is held.
    assert_eq!(gone["rows"][0]["code"], "STOCK_FIGURE_OUTDATED");
    app.clock.advance(TimeDelta::seconds(1));
    state(app, "four", 0, json!([row(&more, 0)])).await;
    assert_eq!(app.stock_of(&more).await, (0, 0));
}

async fn x2_a_figure_from_the_past_is_refused_and_what_was_booked_since_stays(app: &TestApp) {
    app.open_shop().await;
    wms(app, json!({})).await;
    let mug = app.stocked("PAST", 10, true).await;
    app.clock.advance(TimeDelta::minutes(5));
    // Four more came in a minute ago; the feed looked two minutes ago.
    app.clock.advance(TimeDelta::minutes(1));
    app.receive(&mug, 4).await;
    app.clock.advance(TimeDelta::minutes(1));
    let done = state(app, "a", 120, json!([row(&mug, 9)])).await;
    assert_eq!(done["rows"][0]["onHand"], 13, "{done:#}");
    assert_eq!(app.stock_of(&mug).await, (13, 0));
    assert_eq!(drift(app).await[0]["difference"], -1);

    let late = state(app, "b", 121, json!([row(&mug, 50)])).await;
    assert_eq!(late["rows"][0]["code"], "STOCK_FIGURE_OUTDATED", "{late:#}");
    assert_eq!(late["refused"], 1);
    // A feed that comes twice under two keys changes nothing the second time.
    let twice = state(app, "c", 120, json!([row(&mug, 9)])).await;
    assert_eq!(twice["rows"][0]["outcome"], "UNCHANGED");
    // Each row may have a moment of its own.
    let mut own = row(&mug, 60);
    own["observedAt"] = json!(app.app.clock.now() - Duration::seconds(200));
    let own = state(app, "d", 0, json!([own])).await;
    assert_eq!(own["rows"][0]["code"], "STOCK_FIGURE_OUTDATED");
    assert_eq!(app.stock_of(&mug).await, (13, 0));
    // The source's own correction is nothing that was booked here since.
    let next = state(app, "e", 30, json!([row(&mug, 12)])).await;
    assert_eq!(next["rows"][0]["onHand"], 12, "{next:#}");
    // A version that is lower than the one held is older, whatever its clock says.
    for (key, version, code) in [
        ("f", 8, Value::Null),
        ("g", 7, json!("STOCK_FIGURE_OUTDATED")),
    ] {
        app.clock.advance(TimeDelta::seconds(1));
        let mut counted = feed(app, key, 0, json!([row(&mug, 12)]));
        counted["version"] = json!(version);
        let counted = send(app, counted).await;
        assert_eq!(counted["rows"][0]["code"], code, "{counted:#}");
    }
}

async fn x2_what_a_full_snapshot_leaves_out_is_missed_and_not_taken_for_none(app: &TestApp) {
    app.open_shop().await;
    let source = wms(app, json!({})).await;
    // All that the shop has in Vienna is missed but for what is named.
    let (named, left) = (
        app.stocked("NAMED", 3, true).await,
        app.stocked("LEFT-OUT", 7, true).await,
    );
    let never = app.stocked("NEVER-THERE", 0, true).await;
    let mut full = feed(app, "full", 0, json!([row(&named, 3)]));
    full["full"] = json!(true);
    let done = send(app, full.clone()).await;
    let missing = done["source"]["missing"].as_i64().unwrap();
    assert!(missing > 1, "{done:#}");
    assert_eq!(
        done["source"]["alerts"],
        json!([{ "code": "STOCK_FEED_INCOMPLETE" }])
    );
    assert_eq!(app.stock_of(&left).await, (7, 0));
    assert_eq!(available(app, &left).await, (7, 0));
    let found = drift(app).await;
    let of = |sku: &str| found.iter().find(|one| one["variant"]["sku"] == sku);
    let one = of("LEFT-OUT").unwrap();
    assert_eq!(
        (&one["kind"], &one["stated"], &one["had"]),
        (&json!("MISSING"), &Value::Null, &json!(7))
    );
    assert!(of(&never.sku).is_none() && of(&named.sku).is_none());
    assert_eq!(found.len() as i64, missing);

    // The next that leaves it out finds nothing new.
    app.clock.advance(TimeDelta::minutes(1));
    full = feed(app, "again", 0, json!([row(&named, 3)]));
    full["full"] = json!(true);
    let again = send(app, full).await;
    assert_eq!(again["source"]["missing"], missing);
    assert_eq!(drift(app).await.len() as i64, missing);
    // Whatever names it again makes up for it, be it a part.
    app.clock.advance(TimeDelta::minutes(1));
    let part = state(app, "part", 0, json!([row(&left, 7)])).await;
    assert_eq!(part["source"]["missing"], missing - 1);
    // A snapshot from before that misses nothing that is newer.
    let mut old = feed(app, "old", 30, json!([row(&named, 3)]));
    old["full"] = json!(true);
    let old = send(app, old).await;
    assert_eq!(old["source"]["missing"], missing - 1);
    // Who no longer speaks for a warehouse leaves nothing out of it.
    let changed = change(app, json!({ "id": source["id"], "warehouseIds": [] })).await;
    assert_eq!(changed["stockSource"]["missing"], 0, "{changed:#}");
}

async fn x2_a_snapshot_in_parts_misses_nothing_before_its_end(app: &TestApp) {
    app.open_shop().await;
    let store = make(app, "wms", &["BER"], json!({})).await;
    assert_eq!(store["userErrors"], json!([]));
    let query = "{ warehouses { nodes { id code } }
        stock(first: 250, where: { onHand: { range: { gte: 1 } } }) { nodes {
            onHand variant { sku } warehouse { code } } } }";
    let there = app.gql(query, json!({})).await;
    let rows: Vec<Value> = there["stock"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["warehouse"]["code"] == "BER")
        .map(|node| {
            json!({ "sku": node["variant"]["sku"], "warehouse": "BER", "onHand": node["onHand"] })
        })
        .collect();
    assert!(rows.len() > 20);
    let part = async |key: &str, rows: &[Value], more: bool| {
        let mut part = feed(app, key, 0, json!(rows));
        (part["full"], part["more"]) = (json!(true), json!(more));
        let done = send(app, part).await;
        assert_eq!(done["refused"], 0, "{done:#}");
        done["source"]["missing"].as_i64().unwrap()
    };
    assert_eq!(part("1", &rows[..10], true).await, 0);
    assert_eq!(part("2", &rows[10..20], true).await, 0);
    assert_eq!(part("3", &rows[20..], false).await, 0);
    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(part("4", &rows[1..10], true).await, 0);
    assert_eq!(part("5", &rows[10..], false).await, 1);
}

async fn x2_a_clock_that_is_ahead_is_told_so(app: &TestApp) {
    app.open_shop().await;
    wms(app, json!({})).await;
    let mug = app.stocked("AHEAD", 10, true).await;
    let ahead = state(app, "a", -121, json!([row(&mug, 5)])).await;
    assert_eq!(
        ahead["userErrors"],
        json!([{ "code": "CLOCK_SKEW", "field": ["input", "observedAt"] }])
    );
    let mut own = row(&mug, 5);
    own["observedAt"] = json!(app.app.clock.now() + Duration::seconds(121));
    let own = state(app, "b", 0, json!([own])).await;
    assert_eq!(own["rows"][0]["code"], "CLOCK_SKEW", "{own:#}");
    assert_eq!(app.stock_of(&mug).await, (10, 0));
    // Two minutes are within what clocks may differ by, and the same key may be tried again.
    let little = state(app, "a", -120, json!([row(&mug, 5)])).await;
    assert_eq!(little["set"], 1, "{little:#}");
    assert_eq!(app.stock_of(&mug).await, (5, 0));
}

async fn x2_a_figure_below_what_is_held_takes_from_the_youngest_and_is_seen_live(app: &TestApp) {
    app.open_shop().await;
    wms(app, json!({})).await;
    let mug = app.stocked("COUNTED", 6, true).await;
    let other = app.stocked("OTHER", 2, true).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(app.place(wants(&mug, 2)).await["id"].clone());
        app.clock.advance(TimeDelta::seconds(1));
    }
    let waiter = app.place(wants(&other, 5)).await["id"].clone();
    app.settle().await;
    let mut socket = app.socket().await;
    let follow = "subscription { exceptionQueue { kind exception { code order { id } } } }";
    let id = socket.subscribe(follow, json!({})).await;
    let end = socket.next(&id).await;
    assert_eq!(end["exceptionQueue"]["kind"], "SNAPSHOT_END", "{end}");

    let rows = json!([row(&mug, 3), row(&other, 9)]);
    let done = state(app, "count", 0, rows).await;
    assert_eq!(done["set"], 2, "{done:#}");
    app.settle().await;
    // The figure stands, and no more is promised.
    assert_eq!(app.stock_of(&mug).await, (3, 3));
    assert_eq!(app.order(&orders[0]).await["lines"][0]["allocated"], 2);
    for id in &orders[1..] {
        let order = app.order(id).await;
        assert_eq!(order["stage"], "ON_HOLD", "{order:#}");
        assert_eq!(order["exceptions"][0]["code"], "INSUFFICIENT_STOCK");
    }
    assert_eq!(app.order(&orders[2]).await["lines"][0]["backordered"], 2);
    // What the same feed brought of something else was served.
    assert_eq!(app.order(&waiter).await["status"], "CONFIRMED");
    assert_eq!(app.stock_of(&other).await, (9, 5));
    let mut flagged = Vec::new();
    while flagged.len() < 2 {
        let item = socket.next(&id).await["exceptionQueue"].take();
        assert_eq!(item["exception"]["code"], "INSUFFICIENT_STOCK", "{item}");
        if !flagged.contains(&item["exception"]["order"]["id"]) {
            flagged.push(item["exception"]["order"]["id"].clone());
        }
    }
    assert!(orders[1..].iter().all(|id| flagged.contains(id)));
}

async fn x2_stock_of_a_silent_source_is_not_sold_until_it_speaks_again(app: &TestApp) {
    app.open_shop().await;
    app.serve_from("web", &["VIE"]).await;
    let source = json!({ "policy": "NOT_SELLABLE", "budgetSecs": 600 });
    wms(app, source).await;
    let mug = app.stocked("SILENT", 10, true).await;
    let strict = app.stocked("STRICT", 10, false).await;
    let before = app.place(wants(&mug, 2)).await;
    app.settle().await;
    let mut socket = app.socket().await;
    let follow = "subscription { stockSources { at sources { code alerts { code } } } }";
    let id = socket.subscribe(follow, json!({})).await;
    assert!(alerts(&mut socket, &id).await.is_empty());

    // To the moment it is within its budget.
    app.clock.advance(TimeDelta::seconds(600));
    app.settle().await;
    assert_eq!(available(app, &mug).await, (8, 0));
    app.clock.advance(TimeDelta::seconds(1));
    app.settle().await;
    assert_eq!(alerts(&mut socket, &id).await, ["STOCK_FEED_STALE"]);
    assert_eq!(available(app, &mug).await, (0, 10));
    let stale = read(app, "wms").await;
    assert_eq!(stale["withheldPercent"], 100);
    assert_eq!(stale["staleSince"], "2026-12-01T09:10:00+00:00");
    // Nothing is promised of it; what was promised stands.
    let waits = app.place(wants(&mug, 3)).await;
    assert_eq!(waits["lines"][0]["backordered"], 3, "{waits:#}");
    let refused = app.submit(wants(&strict, 1)).await;
    assert_eq!(refused["userErrors"][0]["code"], "INSUFFICIENT_STOCK");
    assert_eq!(refused["userErrors"][0]["details"]["available"], 0);
    assert_eq!(app.stock_of(&mug).await, (10, 2));
    let held = app.order(&before["id"]).await;
    assert_eq!(held["stage"], "STAGED");
    // Goods that come in meanwhile are not given away either.
    app.receive(&mug, 1).await;
    app.settle().await;
    assert_eq!(app.order(&waits["id"]).await["stage"], "BACKORDERED");

    // A word that nothing has changed is enough.
    let back = state(app, "back", 0, json!([])).await;
    assert_eq!(back["source"]["withheldPercent"], 0, "{back:#}");
    app.settle().await;
    while !alerts(&mut socket, &id).await.is_empty() {}
    let served = app.order(&waits["id"]).await;
    assert_eq!(served["status"], "CONFIRMED", "{served:#}");
    assert_eq!(app.stock_of(&mug).await, (11, 5));
    assert_eq!(available(app, &mug).await, (6, 0));
    let told = told(app).await;
    let newest = &told[told.len() - 3..];
    assert_eq!(
        newest,
        [
            "stock_source.stale",
            "stock_source.fed",
            "stock_source.fresh"
        ]
    );
}

async fn x2_more_is_kept_back_the_longer_a_source_is_silent(app: &TestApp) {
    app.open_shop().await;
    let source = json!({ "policy": "BUFFER", "budgetSecs": 600, "bufferPercent": 15,
        "bufferCapPercent": 40 });
    let source = wms(app, source).await;
    let mug = app.stocked("BUFFERED", 11, true).await;
    app.place(wants(&mug, 1)).await;
    for (seconds, left) in [(600, (10, 0)), (1, (8, 2)), (599, (6, 4)), (86_400, (5, 5))] {
        app.clock.advance(TimeDelta::seconds(seconds));
        app.settle().await;
        assert_eq!(available(app, &mug).await, left, "after {seconds} more");
    }
    // The filter knows it as well.
    let query = "query Stock($gte: Int!) { stock(where: { sku: { eq: \"BUFFERED\" },
        available: { gte: $gte } }) { nodes { available } } }";
    for (least, found) in [(5, json!([{ "available": 5 }])), (6, json!([]))] {
        let stock = app.gql(query, json!({ "gte": least })).await;
        assert_eq!(stock["stock"]["nodes"], found);
    }
    // What is decided anew holds at once.
    let changed = change(app, json!({ "id": source["id"], "policy": "ALERT_ONLY" })).await;
    assert_eq!(changed["stockSource"]["withheldPercent"], 0);
    assert_eq!(
        changed["stockSource"]["alerts"][0]["code"],
        "STOCK_FEED_STALE"
    );
    assert_eq!(available(app, &mug).await, (10, 0));
    let changed = change(app, json!({ "id": source["id"], "active": false })).await;
    assert_eq!(changed["stockSource"]["alerts"], json!([]));
    let deaf = state(app, "deaf", 0, json!([row(&mug, 1)])).await;
    assert_eq!(deaf["userErrors"][0]["code"], "INVALID_INPUT", "{deaf:#}");
}

async fn x2_a_feed_that_lies_still_is_flagged_until_it_moves(app: &TestApp) {
    app.open_shop().await;
    wms(app, json!({ "stillAfterSecs": 3_600 })).await;
    let mug = app.stocked("STILL", 5, true).await;
    state(app, "first", 0, json!([row(&mug, 5)])).await;
    for hour in 0..4 {
        app.clock.advance(TimeDelta::minutes(20));
        let done = state(app, &format!("same-{hour}"), 0, json!([row(&mug, 5)])).await;
        let still = json!("2026-12-01T10:00:00+00:00");
        let expected = if hour < 3 { Value::Null } else { still };
        assert_eq!(done["source"]["stillSince"], expected, "{done:#}");
    }
    assert_eq!(
        read(app, "wms").await["alerts"][0]["code"],
        "STOCK_FEED_STILL"
    );
    app.clock.advance(TimeDelta::minutes(1));
    let moves = state(app, "moves", 0, json!([row(&mug, 4)])).await;
    assert_eq!(moves["source"]["alerts"], json!([]));
    app.settle().await;
    let told = told(app).await;
    assert!(told.contains(&"stock_source.still".to_owned()), "{told:?}");
    assert_eq!(told.last().unwrap(), "stock_source.moving");
}

async fn x2_a_feed_of_one_key_has_one_effect_and_goes_on_where_it_was_cut_off(app: &TestApp) {
    app.open_shop().await;
    wms(app, json!({})).await;
    let mug = app.stocked("ONCE", 10, true).await;
    let input = feed(app, "once", 0, json!([row(&mug, 8)]));
    let first = send(app, input.clone()).await;
    app.adjust(&mug, -1).await.unwrap();
    let again = send(app, input.clone()).await;
    assert_eq!(
        (&first["replayed"], &again["replayed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(first["rows"], again["rows"]);
    assert_eq!(app.stock_of(&mug).await, (7, 0));
    let mut other = input;
    other["rows"] = json!([row(&mug, 3)]);
    let other = send(app, other).await;
    assert_eq!(other["userErrors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");

    // As many rows as three transactions take; the first of them is all that came through.
    let actor = &Actor::worker("test");
    let once = &Once {
        key: "cut-off".to_owned(),
        operation: "inventorySync",
        fingerprint: "of the input".to_owned(),
    };
    let mut rows: Vec<Row> = (0..feeds::BATCH * 2 + 10)
        .map(|number| Row {
            sku: format!("UNKNOWN-{number}"),
            warehouse: "VIE".to_owned(),
            on_hand: 1,
            observed_at: None,
        })
        .collect();
    let last = rows.len() - 1;
    let skus = [
        (0, "MUG-WHITE"),
        (feeds::BATCH, "MUG-BLUE"),
        (last, "TIN-S"),
    ];
    for (place, sku) in skus {
        rows[place].sku = sku.to_owned();
    }
    app.clock.advance(TimeDelta::seconds(1));
    let cmd = &Sync {
        source: "wms".to_owned(),
        observed_at: app.app.clock.now(),
        version: Some(3),
        full: false,
        more: false,
        rows,
    };
    let reference = &app.app.reference().await.unwrap();
    let (source, warehouses) = api::inventory::sources::find(&app.app.db.read, "wms")
        .await
        .unwrap()
        .unwrap();
    let feed = &Feed {
        source: source.id,
        code: source.code,
        warehouses,
        observed_at: cmd.observed_at,
        version: cmd.version,
    };
    let part = &Once {
        key: "cut-off 0".to_owned(),
        ..once.clone()
    };
    app.app
        .write_once(actor, Some(part), move |tx| async move {
            let taken = feeds::state(&tx, reference, feed, &cmd.rows[..feeds::BATCH]).await?;
            Ok(json!(taken))
        })
        .await
        .unwrap();
    let by_feed = || {
        stock_movement::Entity::find()
            .filter(stock_movement::Column::Document.eq("feed 3"))
            .count(&app.app.db.read)
    };
    assert_eq!(by_feed().await.unwrap(), 1);
    for replayed in [false, true] {
        let done = app.app.sync_stock(actor, once, cmd).await.unwrap();
        assert_eq!(done.replayed, replayed);
        assert_eq!(done.rows.len(), cmd.rows.len());
        let set = done.rows.iter().filter(|row| row.changed()).count();
        assert_eq!(set, 3);
        assert!(skus.iter().all(|(place, _)| done.rows[*place].changed()));
        assert_eq!(by_feed().await.unwrap(), 3);
    }
}

/// Makes so many variants, with no units anywhere, and returns their SKUs.
async fn range(app: &TestApp, many: usize) -> Vec<String> {
    let warehouses: Vec<WarehouseId> = warehouse::Entity::find()
        .select_only()
        .column(warehouse::Column::Id)
        .into_tuple()
        .all(&app.app.db.read)
        .await
        .unwrap();
    let now = app.app.clock.now();
    let skus: Vec<String> = (0..many).map(|number| format!("RANGE-{number}")).collect();
    let db = &app.app.db.write;
    for part in skus.chunks(500) {
        let (mut products, mut variants) = (Vec::new(), Vec::new());
        let (mut codes, mut stocks) = (Vec::new(), Vec::new());
        for sku in part {
            let (product_id, id): (ProductId, VariantId) = (new_id(), new_id());
            products.push(product::ActiveModel {
                id: Set(product_id),
                code: Set(format!("P-{sku}")),
                title: Set(sku.clone()),
                description: Set(None),
                metadata: Set(json!({})),
                version: Set(1),
                created_at: Set(now),
                updated_at: Set(now),
            });
            variants.push(variant::ActiveModel {
                id: Set(id),
                product_id: Set(product_id),
                sku: Set(sku.clone()),
                title: Set(sku.clone()),
                status: Set(variant::Status::Active),
                backorderable: Set(true),
                tax_category: Set("STANDARD".to_owned()),
                weight_grams: Set(100),
                dangerous_goods: Set(false),
                length_mm: Set(None),
                width_mm: Set(None),
                height_mm: Set(None),
                version: Set(1),
                created_at: Set(now),
                updated_at: Set(now),
            });
            codes.push(variant_code::ActiveModel {
                code_key: Set(api::catalogue::code_key(sku)),
                code: Set(sku.clone()),
                variant_id: Set(id),
                kind: Set(variant_code::Kind::Sku),
                units: Set(1),
            });
            stocks.extend(warehouses.iter().map(|warehouse| stock::ActiveModel {
                variant_id: Set(id),
                warehouse_id: Set(*warehouse),
                on_hand: Set(0),
                reserved: Set(0),
                safety: Set(0),
                version: Set(0),
                updated_at: Set(now),
            }));
        }
        product::Entity::insert_many(products)
            .exec(db)
            .await
            .unwrap();
        variant::Entity::insert_many(variants)
            .exec(db)
            .await
            .unwrap();
        let codes = variant_code::Entity::insert_many(codes);
        codes.exec_without_returning(db).await.unwrap();
        let stocks = stock::Entity::insert_many(stocks);
        stocks.exec_without_returning(db).await.unwrap();
    }
    skus
}

/// `OMS_LONG=1` takes as many rows as a request may hold.
async fn x2_a_feed_as_large_as_a_request_may_be_is_taken_whole(app: &TestApp) {
    let many: i64 = match std::env::var_os("OMS_LONG") {
        Some(_) => 50_000,
        None => 1_100,
    };
    app.open_shop().await;
    wms(app, json!({})).await;
    let skus = range(app, many as usize).await;
    let actor = &Actor::worker("test");
    let sync = |version: i64| Sync {
        source: "wms".to_owned(),
        observed_at: app.app.clock.now(),
        version: Some(version),
        full: true,
        more: false,
        rows: (0..)
            .zip(&skus)
            .map(|(number, sku)| Row {
                sku: sku.clone(),
                warehouse: "VIE".to_owned(),
                on_hand: number % 7,
                observed_at: None,
            })
            .collect(),
    };
    let once = |key: &str| Once {
        key: key.to_owned(),
        operation: "inventorySync",
        fingerprint: "of the input".to_owned(),
    };
    app.clock.advance(TimeDelta::seconds(1));
    let (key, first) = (once("large"), sync(1));
    for replayed in [false, true] {
        let done = app.app.sync_stock(actor, &key, &first).await.unwrap();
        assert_eq!(done.replayed, replayed);
        assert_eq!(done.rows.len() as i64, many);
        let set = done.rows.iter().filter(|row| row.changed()).count() as i64;
        // Every seventh was none and is none.
        assert_eq!(set, many - (many + 6) / 7);
    }
    let units: Option<i64> = stock_movement::Entity::find()
        .select_only()
        .column_as(Expr::cust("CAST(SUM(delta_on_hand) AS BIGINT)"), "units")
        .filter(stock_movement::Column::Document.eq("feed 1"))
        .into_tuple()
        .one(&app.app.db.read)
        .await
        .unwrap();
    assert_eq!(units, Some((0..many).map(|number| number % 7).sum()));
    // What the snapshot left out is missed, and keeps its figure.
    assert!(read(app, "wms").await["missing"].as_i64() > Some(0));
    app.clock.advance(TimeDelta::seconds(1));
    let again = app.app.sync_stock(actor, &once("again"), &sync(2)).await;
    let again = again.unwrap();
    assert!(!again.rows.iter().any(|row| row.changed()));
}

async fn x2_the_demos_till_speaks_while_orders_are_simulated_and_is_off_otherwise(app: &TestApp) {
    assert!(api::demo::seed(&app.app).await.unwrap());
    // The stream has a clock of its own.
    app.clock.set(chrono::Utc::now());
    let till = async || {
        let sources = "{ stockSources { nodes { code active observedAt staleSince } } }";
        let found = app.gql(sources, json!({})).await;
        found["stockSources"]["nodes"][0].clone()
    };
    let off = json!({ "code": api::demo::TILL, "active": false, "observedAt": null,
        "staleSince": null });
    assert_eq!(till().await, off);
    app.clock.advance(TimeDelta::seconds(30));
    let stream = simulate::Stream {
        rate: 2.0,
        time: std::time::Duration::from_secs(1),
        url: app.url("/graphql"),
        key: Some(app.admin_key.clone()),
        seed: 7,
    };
    let streamed = simulate::run(&stream, |_, _| {}, std::future::pending()).await;
    assert!(streamed.unwrap().whole);
    let spoke = till().await;
    assert_eq!(spoke["active"], false);
    assert!(spoke["observedAt"].is_string(), "{spoke}");
    app.clock.advance(TimeDelta::days(1));
    app.settle().await;
    assert_eq!(till().await["staleSince"], Value::Null);
}

async fn x2_more_units_than_before_go_to_who_waits(app: &TestApp) {
    app.open_shop().await;
    wms(app, json!({})).await;
    let mug = app.stocked("WAITED-FOR", 0, true).await;
    let first = app.place(wants(&mug, 2)).await;
    let second = app.place(wants(&mug, 2)).await;
    app.clock.advance(TimeDelta::seconds(1));
    state(app, "more", 0, json!([row(&mug, 3)])).await;
    // In the feed's own transaction, and in their order.
    assert_eq!(app.stock_of(&mug).await, (3, 3));
    assert_eq!(app.order(&first["id"]).await["status"], "CONFIRMED");
    let second = app.order(&second["id"]).await;
    assert_eq!(second["lines"][0]["backordered"], 1, "{second:#}");
}

async fn x2_feeds_orders_and_receipts_at_once_leave_the_books_right(app: &TestApp) {
    app.open_shop().await;
    app.serve_from("web", &["VIE"]).await;
    wms(app, json!({})).await;
    let (mug, tin) = (
        app.stocked("BUSY", 20, true).await,
        app.stocked("BUSIER", 20, true).await,
    );
    for round in 0..5 {
        app.clock.advance(TimeDelta::seconds(1));
        // The versions of one moment come in any order; the highest stands.
        let feeds = (0..10).map(|version| {
            let units = (version * 7) % 23;
            let mut rows = vec![row(&mug, units), row(&tin, 22 - units)];
            if version % 2 == 0 {
                rows.reverse();
            }
            // The last is sent by several at once.
            let key = format!("{round}-{version}");
            let mut input = feed(app, &key, 0, json!(rows));
            input["version"] = json!(round * 10 + version);
            input
        });
        let feeds: Vec<Value> = feeds.collect();
        let again = std::iter::repeat_n(feeds[9].clone(), 5);
        let sending = feeds.clone().into_iter().chain(again);
        let sending = sending.map(|input| send(app, input));
        let orders = (0..10).map(|n| {
            let of = if n % 2 == 0 { &mug } else { &tin };
            app.place(wants(of, 1 + n % 3))
        });
        let (sent, _, _) = tokio::join!(
            futures_util::future::join_all(sending),
            futures_util::future::join_all(orders),
            api::workers::round(&app.app),
        );
        let fresh = |input: &&Value| input["userErrors"] == json!([]) && input["replayed"] == false;
        assert_eq!(sent.iter().filter(fresh).count(), 10, "{sent:#?}");
        app.settle().await;
        let last = (9 * 7) % 23;
        assert_eq!(app.stock_of(&mug).await.0, last);
        assert_eq!(app.stock_of(&tin).await.0, 22 - last);
        assert!(
            api::integrity::verify(&app.app.db.read)
                .await
                .unwrap()
                .is_empty()
        );
    }
}
