//! `stageCounts`: where all orders stand, kept from the events.

use std::collections::{BTreeMap, BTreeSet};

use api::reports::stages;
use chrono::TimeDelta;
use entity::api_key::Role;
use entity::order::{self, Stage};
use entity::{ChannelId, channel, event_log};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, Iterable, PaginatorTrait,
    QueryFilter, Statement,
};
use serde_json::{Value, json};
use support::merchant::{basket, basket_with};
use support::{TestApp, both_backends};

both_backends!(
    stage_counts_equal_a_recount_after_random_transitions,
    counting_stages_scans_no_orders,
    the_oldest_and_the_late_are_those_of_the_clock,
    a_subscriber_sees_the_stages_move,
    x1_a_confined_key_counts_only_its_channels,
    nodes_that_project_at_once_count_nothing_twice,
);

const COUNTS: &str = "{ stageCounts { seq at stages {
    stage count oldestSince oldestAgeSecs slaAtRisk } } }";

/// How many orders the API says stand at each stage.
async fn counted(app: &TestApp, key: &str) -> BTreeMap<String, i64> {
    let data = app.gql_as(key, COUNTS, json!({})).await;
    let stages = data["stageCounts"]["stages"].as_array().unwrap();
    assert_eq!(stages.len(), Stage::iter().count());
    stages
        .iter()
        .map(|stage| {
            let name = stage["stage"].as_str().unwrap().to_owned();
            (name, stage["count"].as_i64().unwrap())
        })
        .collect()
}

/// How many there are, counted one by one.
async fn recounted(app: &TestApp, channels: Option<&[ChannelId]>) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for stage in Stage::iter() {
        let mut orders = order::Entity::find().filter(order::Column::Stage.eq(stage));
        if let Some(channels) = channels {
            orders = orders.filter(order::Column::ChannelId.is_in(channels.iter().copied()));
        }
        let count = orders.count(&app.app.db.read).await.unwrap();
        counts.insert(stage.to_value(), i64::try_from(count).unwrap());
    }
    counts
}

async fn stage(app: &TestApp, name: &str) -> Value {
    let data = app.gql(COUNTS, json!({})).await;
    let stages = data["stageCounts"]["stages"].as_array().unwrap();
    let found = stages.iter().find(|stage| stage["stage"] == name);
    found.unwrap().clone()
}

/// How often an order has come to another stage.
async fn transitions(app: &TestApp) -> u64 {
    event_log::Entity::find()
        .filter(event_log::Column::StageTo.is_not_null())
        .count(&app.app.db.read)
        .await
        .unwrap()
}

/// Steps from one seed, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

const HOLD: &str = "mutation M($id: ID!) { orderHold(input: { id: $id, reason: \"r\" }) {
    order { holds { id } } userErrors { code } } }";
const RELEASE: &str = "mutation M($id: ID!) { orderBulkReleaseHold(input: {
    orders: { ids: [$id] } }) { userErrors { code } } }";
const CANCEL: &str = "mutation M($id: ID!) { orderCancel(input: { id: $id, reason: \"r\" }) {
    userErrors { code } } }";

async fn stage_counts_equal_a_recount_after_random_transitions(app: &TestApp) {
    let steps = match std::env::var_os("OMS_LONG") {
        Some(_) => 10_000,
        None => 300,
    };
    app.open_shop().await;
    let scarce = app.stocked("SCARCE", 5, true).await;
    let feed = app.app.clone();
    let running = tokio::spawn(async move { feed.hub.run().await });
    let mut dice = Dice(0x5eed_cafe);
    let mut orders: Vec<Value> = Vec::new();
    while transitions(app).await < steps {
        // Some at a time, so that they race as they do in life.
        let mut some = Vec::new();
        let mut fresh = Vec::new();
        for _ in 0..8 {
            let any = |dice: &mut Dice| orders[dice.roll(orders.len())]["id"].clone();
            let face = if orders.len() < 5 { 0 } else { dice.roll(10) };
            match face {
                0..=3 => {
                    let sku = ["SCARCE", "SCARCE", "TIN-S"][dice.roll(3)];
                    let token = ["tok_approve", "tok_approve", "tok_decline"][dice.roll(3)];
                    let (channel, region) = [("web", "1010"), ("web", "9999")][dice.roll(2)];
                    fresh.push(app.submit(basket_with(json!({
                        "channel": channel,
                        "lines": [{ "sku": sku, "quantity": 1 }],
                        "payment": { "method": "CARD", "token": token },
                        "shippingAddress": { "line1": "Ringstraße 1", "city": "Wien",
                            "postalCode": region, "country": "AT" },
                    }))));
                }
                4 | 5 => some.push((HOLD, any(&mut dice))),
                6 | 7 => some.push((RELEASE, any(&mut dice))),
                8 => some.push((CANCEL, any(&mut dice))),
                // Less comes than is asked for, so that some wait and some are served.
                _ => {
                    app.receive(&scarce, 1).await;
                }
            }
        }
        let changes = some
            .iter()
            .map(|(mutation, id)| app.gql(mutation, json!({ "id": id })));
        let (taken, _) = tokio::join!(
            futures_util::future::join_all(fresh),
            futures_util::future::join_all(changes)
        );
        orders.extend(
            taken
                .into_iter()
                .map(|mut payload| payload["order"].take())
                .filter(|order| !order.is_null()),
        );
        // The projection is moved while orders flow, as it is in life.
        if dice.roll(4) == 0 {
            let round = api::workers::round(&app.app).await;
            assert!(round.failures.is_empty(), "{:?}", round.failures);
        }
    }
    running.abort();
    app.settle().await;
    let (counted, recounted) = (
        counted(app, &app.admin_key).await,
        recounted(app, None).await,
    );
    assert_eq!(counted, recounted);
    let stood = recounted.values().filter(|count| **count > 0).count();
    assert!(stood >= 4, "too little happened: {recounted:?}");
}

async fn counting_stages_scans_no_orders(app: &TestApp) {
    app.open_shop().await;
    let held = app.place(basket()).await;
    app.gql(HOLD, json!({ "id": held["id"] })).await;
    app.place(basket()).await;
    app.settle().await;
    // So many more that scanning them would be a choice.
    multiply(app, 20_000).await;
    let db = &app.app.db.write;
    let web: BTreeSet<ChannelId> = BTreeSet::from([app.channel("web").await.id]);
    for channels in [None, Some(&web)] {
        let mut statement = stages::query(db, channels, app.app.clock.now());
        let explain = match db.get_database_backend() {
            DbBackend::Postgres => "EXPLAIN ",
            _ => "EXPLAIN QUERY PLAN ",
        };
        statement.sql = format!("{explain}{}", statement.sql);
        let plan: Vec<String> = db
            .query_all_raw(statement)
            .await
            .unwrap()
            .into_iter()
            .map(|row| match db.get_database_backend() {
                DbBackend::Postgres => row.try_get_by_index::<String>(0).unwrap(),
                _ => row.try_get::<String>("", "detail").unwrap(),
            })
            .collect();
        let text = plan.join("\n");
        println!("{text}");
        for line in &plan {
            let scans = line.contains("Seq Scan on \"order\"")
                || line.contains("SCAN o") && !line.contains("INDEX");
            assert!(!scans, "{text}");
        }
        assert!(text.contains("order_stage_since"), "{text}");
        assert!(text.contains("order_dispatch_by"), "{text}");
    }
    let sql = "DELETE FROM \"order\" WHERE number LIKE 'many-%'";
    db.execute_unprepared(sql).await.unwrap();
}

/// Writes many orders like the first, past the app.
async fn multiply(app: &TestApp, count: usize) {
    let db = &app.app.db.write;
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    let columns: Vec<&str> = order::Column::iter()
        .map(|column| sea_orm::IdenStatic::as_str(&column))
        .collect();
    let values: Vec<String> = columns
        .iter()
        .map(|column| match *column {
            "id" if postgres => "gen_random_uuid()".to_owned(),
            "id" => "randomblob(16)".to_owned(),
            "number" => "'many-' || n".to_owned(),
            "external_reference" => "NULL".to_owned(),
            column => format!("o.{column}"),
        })
        .collect();
    let sql = format!(
        "INSERT INTO \"order\" ({}) WITH RECURSIVE numbers(n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
        SELECT {} FROM numbers, (SELECT * FROM \"order\" ORDER BY id LIMIT 1) o",
        columns.join(", "),
        values.join(", "),
    );
    db.execute_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap();
    db.execute_unprepared("ANALYZE").await.unwrap();
}

async fn the_oldest_and_the_late_are_those_of_the_clock(app: &TestApp) {
    app.open_shop().await;
    app.change_channel("web", |channel: &mut channel::ActiveModel| {
        channel.dispatch_within_secs = sea_orm::Set(4 * 3_600);
    })
    .await;
    let first = app.place(basket()).await;
    app.clock.advance(TimeDelta::minutes(30));
    app.place(basket()).await;
    app.settle().await;
    let staged = stage(app, "STAGED").await;
    assert_eq!(staged["count"], 2);
    assert_eq!(staged["oldestAgeSecs"], 1_800);
    assert_eq!(staged["slaAtRisk"], 0);
    let read = "query O($id: ID!) { order(by: { id: $id }) { stageSince dispatchBy receivedAt } }";
    let order = app.gql(read, json!({ "id": first["id"] })).await["order"].take();
    assert_eq!(order["stageSince"], order["receivedAt"]);
    assert_eq!(order["stageSince"], staged["oldestSince"]);

    // Two hours before its promise an order is at risk.
    app.clock.advance(TimeDelta::minutes(95));
    assert_eq!(stage(app, "STAGED").await["slaAtRisk"], 1);
    app.clock.advance(TimeDelta::hours(3));
    assert_eq!(stage(app, "STAGED").await["slaAtRisk"], 2);

    // A hold moves it, keeps its promise, and begins its time anew.
    app.gql(HOLD, json!({ "id": first["id"] })).await;
    app.settle().await;
    let (held, staged) = (stage(app, "ON_HOLD").await, stage(app, "STAGED").await);
    assert_eq!((&held["count"], &held["slaAtRisk"]), (&json!(1), &json!(1)));
    assert_eq!(held["oldestAgeSecs"], 0);
    assert_eq!(
        (&staged["count"], &staged["slaAtRisk"]),
        (&json!(1), &json!(1))
    );
    // Who has ended is neither old nor late.
    app.gql(CANCEL, json!({ "id": first["id"] })).await;
    app.settle().await;
    let ended = stage(app, "CANCELLED").await;
    assert_eq!(
        (&ended["count"], &ended["slaAtRisk"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(ended["oldestSince"], Value::Null);
}

async fn a_subscriber_sees_the_stages_move(app: &TestApp) {
    app.open_shop().await;
    let order = app.place(basket()).await;
    app.settle().await;
    let of = |item: &Value, name: &str| {
        let stages = item["stageCounts"]["stages"].as_array().unwrap();
        let found = stages.iter().find(|stage| stage["stage"] == name);
        found.unwrap()["count"].as_i64().unwrap()
    };
    let mut socket = app.socket().await;
    let follow = format!("subscription {COUNTS}");
    let id = socket.subscribe(&follow, json!({})).await;
    let first = socket.next(&id).await;
    assert_eq!((of(&first, "STAGED"), of(&first, "ON_HOLD")), (1, 0));
    app.gql(HOLD, json!({ "id": order["id"] })).await;
    app.settle().await;
    let second = socket.next(&id).await;
    assert_eq!((of(&second, "STAGED"), of(&second, "ON_HOLD")), (0, 1));
    assert!(second["stageCounts"]["seq"].as_i64() > first["stageCounts"]["seq"].as_i64());
    // Many changes are a few items, and the last is right.
    for _ in 0..30 {
        app.place(basket()).await;
    }
    app.settle().await;
    let mut items = 0;
    loop {
        let item = socket.next(&id).await;
        items += 1;
        if of(&item, "STAGED") == 30 {
            break;
        }
    }
    assert!(items <= 30, "{items} items for 30 orders");
}

async fn x1_a_confined_key_counts_only_its_channels(app: &TestApp) {
    app.open_shop().await;
    app.place(basket()).await;
    let b2b = json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "payment": { "method": "ACCOUNT" } });
    for _ in 0..2 {
        app.place(basket_with(b2b.clone())).await;
    }
    app.settle().await;
    for (name, orders) in [("web", 1), ("b2b", 2)] {
        let key = app.key_for(Role::Partner, &[name], None).await.key;
        let counts = counted(app, &key).await;
        assert_eq!(counts.values().sum::<i64>(), orders, "{name}: {counts:?}");
        let own = [app.channel(name).await.id];
        assert_eq!(counts, recounted(app, Some(&own)).await);
    }
    let all = counted(app, &app.admin_key).await;
    assert_eq!(all, recounted(app, None).await);
}

async fn nodes_that_project_at_once_count_nothing_twice(app: &TestApp) {
    app.open_shop().await;
    for _ in 0..20 {
        app.place(basket()).await;
    }
    app.app.hub.turn().await.unwrap();
    let project = || async {
        let actor = api::tx::Actor::worker("projection");
        app.app
            .write(&actor, move |tx| async move { stages::advance(&tx).await })
            .await
            .unwrap()
    };
    let moved = tokio::join!(project(), project(), project(), project());
    let moved = [moved.0, moved.1, moved.2, moved.3];
    assert_eq!(
        moved.iter().filter(|moved| **moved > 0).count(),
        1,
        "{moved:?}"
    );
    assert_eq!(
        counted(app, &app.admin_key).await,
        recounted(app, None).await
    );
}
