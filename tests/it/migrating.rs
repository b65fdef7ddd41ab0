//! Processes that start together migrate together, and a step keeps what is in the tables.

use api::db::Db;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use support::merchant::basket_with;
use support::{Backend, Place, TestApp, both_backends};

both_backends!(
    what_is_on_its_way_is_told_without_a_column_for_it,
    the_steps_after_the_first_seven_can_be_undone_and_done_again_with_data_there,
    orders_that_were_there_are_tallied_and_know_since_when_they_stand,
);

/// How often each back end is tried: a race is not lost every time.
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_migrate_one_sqlite_file_at_once() {
    migrate_at_once(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_migrate_one_postgres_database_at_once() {
    migrate_at_once(Backend::Postgres).await;
}

async fn migrate_at_once(backend: Backend) {
    for round in 1..=ROUNDS {
        let Some(place) = Place::empty(backend).await else {
            return;
        };
        let config = place.database();
        let (one, two) = tokio::join!(Db::connect(&config), Db::connect(&config));
        let (one, two) = (one.unwrap(), two.unwrap());
        let (first, second) = tokio::join!(
            tokio::spawn({
                let db = one.clone();
                async move { db.migrate().await }
            }),
            tokio::spawn({
                let db = two.clone();
                async move { db.migrate().await }
            }),
        );
        for (name, outcome) in [("first", first), ("second", second)] {
            let outcome = outcome.unwrap();
            outcome.unwrap_or_else(|error| panic!("{backend}, round {round}, the {name}: {error}"));
        }
        let row = one
            .read
            .query_one_raw(Statement::from_string(
                one.backend,
                "SELECT count(*) AS steps FROM seaql_migrations",
            ))
            .await
            .unwrap()
            .unwrap();
        let steps: i64 = row.try_get("", "steps").unwrap();
        assert_eq!(steps, Migrator::migrations().len() as i64, "{backend}");
        one.close().await.unwrap();
        two.close().await.unwrap();
        place.remove().await;
    }
}

async fn what_is_on_its_way_is_told_without_a_column_for_it(app: &TestApp) {
    app.open_shop().await;
    let query = "{ stock(first: 250) { nodes {
        variant { sku } warehouse { code } onHand incoming version } } }";
    let before = app.gql(query, Value::Null).await;
    let rows = before["stock"]["nodes"].as_array().unwrap();
    let coming: Vec<_> = rows.iter().filter(|row| row["incoming"] != 0).collect();
    assert!(!coming.is_empty(), "the demo merchant expects nothing");

    // Back before the step, and forth again.
    let db = &app.app.db.write;
    let steps = Migrator::migrations();
    let step = steps
        .iter()
        .position(|step| step.name().ends_with("stock_without_incoming"))
        .unwrap();
    Migrator::down(db, Some((steps.len() - step) as u32))
        .await
        .unwrap();
    let sql = "SELECT COUNT(*) AS rows FROM stock WHERE incoming = 0";
    let statement = Statement::from_string(app.app.db.backend, sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!(row.try_get::<i64>("", "rows").unwrap(), rows.len() as i64);
    Migrator::up(db, None).await.unwrap();
    assert_eq!(app.gql(query, json!({})).await, before);
}

async fn the_steps_after_the_first_seven_can_be_undone_and_done_again_with_data_there(
    app: &TestApp,
) {
    app.open_shop().await;
    let none = app.stocked("NONE", 0, true).await;
    let lines = json!([{ "sku": none.sku, "quantity": 2 }]);
    let order = app.place(basket_with(json!({ "lines": lines }))).await;
    let newer = u32::try_from(Migrator::migrations().len() - 7).unwrap();
    let db = &app.app.db.write;
    Migrator::down(db, Some(newer)).await.unwrap();
    Migrator::up(db, None).await.unwrap();
    app.receive(&none, 2).await;
    assert_eq!(app.order(&order["id"]).await["status"], "CONFIRMED");
}

async fn orders_that_were_there_are_tallied_and_know_since_when_they_stand(app: &TestApp) {
    app.open_shop().await;
    let held = app.place(basket_with(json!({}))).await;
    app.place(basket_with(json!({}))).await;
    let hold = "mutation H($id: ID!) { orderHold(input: { id: $id, reason: \"r\" }) {
        userErrors { code } } }";
    app.gql(hold, json!({ "id": held["id"] })).await;
    app.settle().await;
    let query = "{ stageCounts { stages { stage count oldestSince slaAtRisk } } }";
    app.clock.advance(chrono::TimeDelta::hours(23));
    let before = app.gql(query, json!({})).await;
    assert!(before.to_string().contains("\"slaAtRisk\":1"), "{before}");
    let db = &app.app.db.write;
    let steps = Migrator::migrations();
    let step = steps
        .iter()
        .position(|step| step.name().ends_with("_stages"))
        .unwrap();
    Migrator::down(db, Some((steps.len() - step) as u32))
        .await
        .unwrap();
    Migrator::up(db, None).await.unwrap();
    assert_eq!(app.gql(query, json!({})).await, before);
    // What happens from here on is added to it.
    app.place(basket_with(json!({}))).await;
    app.settle().await;
    let after = app.gql(query, json!({})).await;
    assert!(after.to_string().contains("\"count\":2"), "{after}");
}
