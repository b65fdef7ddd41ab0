//! The rig itself: what every other test takes for granted.

use api::tx::Actor;
use chrono::Duration;
use entity::api_key::Role;

use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use support::{Backend, Ended, Place, Setup, Socket, TestApp, both_backends};

both_backends!(
    the_api_answers_those_who_hold_a_key,
    a_socket_carries_operations,
    a_subscriber_hears_of_an_order_when_the_app_is_settled,
    a_test_moves_the_clock_of_the_app,
    two_apps_share_nothing,
    figures_that_do_not_add_up_fail_a_test,
);

async fn the_api_answers_those_who_hold_a_key(app: &TestApp) {
    let data = app.gql("{ __typename }", Value::Null).await;
    assert_eq!(data, json!({ "__typename": "Query" }));
    let viewer = app.key(Role::Viewer).await;
    app.gql_as(&viewer, "{ __typename }", json!({})).await;
    let stranger = app.answer_as(None, "{ __typename }", json!({})).await;
    assert_eq!((stranger.status, stranger.code()), (401, "UNAUTHENTICATED"));
}

async fn a_socket_carries_operations(app: &TestApp) {
    let mut socket = app.socket().await;
    let (one, two) = ("{ a: __typename }", "{ b: __typename }");
    let one = socket.subscribe(one, Value::Null).await;
    let two = socket.subscribe(two, Value::Null).await;
    assert_eq!(socket.next(&two).await, json!({ "b": "Query" }));
    assert_eq!(socket.next(&one).await, json!({ "a": "Query" }));
    assert_eq!(socket.event(&one).await, Err(Ended::Completed));
    assert_eq!(socket.event(&two).await, Err(Ended::Completed));
    let wrong = socket.subscribe("{ nothing }", Value::Null).await;
    assert!(matches!(
        socket.event(&wrong).await,
        Ok(_) | Err(Ended::Failed(_))
    ));
    socket.close().await;

    let mut stranger = Socket::open(app.address).await;
    stranger.say(json!({ "type": "connection_init" })).await;
    let (code, reason) = stranger.close_code().await;
    assert_eq!(code, Some(4401), "{reason}");
}

async fn a_subscriber_hears_of_an_order_when_the_app_is_settled(app: &TestApp) {
    api::demo::seed(&app.app).await.unwrap();
    let taken = submit(app).await;
    assert_eq!(taken["status"], "CONFIRMED", "{taken:#}");
    app.settle().await;

    let mut socket = app.socket().await;
    let feed = "subscription { orderUpdates { kind event order { number lines { sku } } } }";
    let feed = socket.subscribe(feed, Value::Null).await;
    let first = socket.next(&feed).await;
    let first = &first["orderUpdates"];
    assert_eq!(first["kind"], "SNAPSHOT", "{first:#}");
    assert_eq!(first["order"]["number"], taken["number"]);
    assert_eq!(first["order"]["lines"][0]["sku"], "MUG-BLUE", "{first:#}");
    let end = socket.next(&feed).await;
    assert_eq!(end["orderUpdates"]["kind"], "SNAPSHOT_END");

    let taken = submit(app).await;
    assert!(
        socket
            .silent(&feed, std::time::Duration::from_millis(50))
            .await
    );
    app.settle().await;
    let heard = socket.next(&feed).await;
    let heard = &heard["orderUpdates"];
    assert_eq!(heard["event"], "order.received", "{heard:#}");
    assert_eq!(heard["order"]["number"], taken["number"]);
    socket.complete(&feed).await;
    socket.close().await;
}

/// Takes an order for a mug, and returns it.
async fn submit(app: &TestApp) -> Value {
    let submit = "mutation ($input: OrderSubmitInput!) {
        orderSubmit(input: $input) { order { number status } userErrors { code message } }
    }";
    let input = json!({
        "channel": "web",
        "customer": { "name": "Anna Leitner", "email": "anna.leitner@mail.example" },
        "shippingAddress": {
            "name": "Anna Leitner",
            "line1": "Mariahilfer Straße 1",
            "city": "Wien",
            "postalCode": "1060",
            "country": "AT",
        },
        "lines": [{ "sku": "MUG-BLUE", "quantity": 1 }],
        "payment": { "method": "CARD", "token": "tok_approve" },
    });
    let mut data = app.gql(submit, json!({ "input": input })).await;
    let order = data["orderSubmit"]["order"].take();
    assert!(order.is_object(), "{data:#}");
    order
}

async fn a_test_moves_the_clock_of_the_app(app: &TestApp) {
    let began = app.app.clock.now();
    app.clock.advance(Duration::days(7));
    let seen = app
        .app
        .write(&Actor::worker("test"), |tx| async move { Ok(tx.now) })
        .await
        .unwrap();
    assert_eq!(seen - began, Duration::days(7));
}

async fn two_apps_share_nothing(app: &TestApp) {
    let other = TestApp::start(app.backend).await;
    let stranger = other.answer_as(Some(&app.admin_key), "{ __typename }", json!({}));
    assert_eq!(stranger.await.status, 401);
    other.finish().await;
}

async fn figures_that_do_not_add_up_fail_a_test(app: &TestApp) {
    let place = Place::migrated(app.backend).await.unwrap();
    let sick = TestApp::on(place, Setup::default()).await;
    let sql = "UPDATE sequencer SET last_seq = 7";
    let db = &sick.app.db.write;
    db.execute_unprepared(sql).await.unwrap();
    let said = said_by_the_panic_of(async move { sick.finish().await }).await;
    assert!(said.contains("I6, the log has no holes: last 7"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_stay_unpublished_fail_a_test() {
    let Some(place) = Place::migrated(Backend::Postgres).await else {
        return;
    };
    let app = TestApp::on(place, Setup::default()).await;
    happen(&app).await;
    let said = said_by_the_panic_of(async move { drop(app) }).await;
    assert!(
        said.contains("unpublished: catalogue.changed of variant v1"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_publishes_what_happened() {
    let Some(place) = Place::migrated(Backend::Postgres).await else {
        return;
    };
    let app = TestApp::on(place, Setup::default()).await;
    happen(&app).await;
    app.settle().await;
    drop(app);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_test_fails_for_its_own_reason_and_leaves_nothing_behind() {
    let Some(place) = Place::migrated(Backend::Postgres).await else {
        return;
    };
    let app = TestApp::on(place, Setup::default()).await;
    let url = app.app.config.database.url.clone();
    happen(&app).await;
    let said = said_by_the_panic_of(async move {
        let _app = app;
        panic!("its own reason");
    });
    assert_eq!(said.await, "its own reason");
    assert!(!is_there(&url).await, "{url} is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_app_leaves_nothing_behind() {
    let Some(place) = Place::migrated(Backend::Postgres).await else {
        return;
    };
    let app = TestApp::on(place, Setup::default()).await;
    let url = app.app.config.database.url.clone();
    app.finish().await;
    assert!(!is_there(&url).await, "{url} is still there");
}

async fn is_there(url: &str) -> bool {
    let server = support::postgres::server().unwrap();
    let connection = support::postgres::connect(&server).await;
    let name = url.rsplit('/').find(|part| part.starts_with("oms_test_"));
    let name = name.unwrap().split('?').next().unwrap();
    let rows = connection
        .query_all_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT 1 FROM pg_database WHERE datname = $1",
            [name.into()],
        ))
        .await
        .unwrap();
    connection.close().await.unwrap();
    !rows.is_empty()
}

/// Runs something that must panic.
async fn said_by_the_panic_of(what: impl Future<Output = ()> + Send + 'static) -> String {
    let panic = tokio::spawn(what).await.unwrap_err().into_panic();
    match panic.downcast::<String>() {
        Ok(said) => *said,
        Err(panic) => panic.downcast::<&str>().unwrap().to_string(),
    }
}

/// Something that leaves an event.
async fn happen(app: &TestApp) {
    use api::events::{Entry, Event};
    app.app
        .write(&Actor::worker("test"), |tx| async move {
            tx.emit(Entry {
                aggregate_type: "variant",
                aggregate_id: "v1".to_owned(),
                version: 1,
                channel_id: None,
                order_id: None,
                moved: None,
                event: Event::CatalogueChanged {
                    kind: "variant".to_owned(),
                    code: "v1".to_owned(),
                    changes: api::events::Changes::default(),
                },
            });
            Ok(())
        })
        .await
        .unwrap();
}
