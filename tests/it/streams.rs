//! What all streams that follow the log have in common: what they say when there is nothing to say,
//! how far they go back, and that whoever cannot go on where it was is told so and begins anew.

use std::time::Duration;

use api::access::{self, Principal};
use api::events::{Bus, Hub, position};
use api::graphql;
use api::tx::{Actor, new_id};
use async_graphql::Request;
use entity::api_key::Role;
use entity::{VariantId, event_log, sequencer};
use futures_util::StreamExt;
use reqwest::Response;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use support::merchant::{basket, basket_with};
use support::{Backend, Place, Setup, Socket, TestApp, both_backends};

both_backends!(
    whoever_listens_when_the_log_becomes_another_begins_anew,
    whoever_comes_too_late_for_what_retention_removes_begins_anew,
    whoever_missed_more_than_50_000_events_begins_anew,
    x1_a_revoked_key_ends_what_it_follows,
    x2_stock_is_followed_by_server_sent_events_and_resumed,
);

/// Every stream that follows the log and can be resumed.
const STREAMS: [&str; 4] = ["events", "orderUpdates", "exceptionQueue", "stockLevels"];

fn document(stream: &str) -> String {
    format!("subscription S($after: String) {{ {stream}(after: $after) {{ kind seq cursor }} }}")
}

/// The next item that says something.
async fn next(socket: &mut Socket, stream: &str, id: &str) -> Value {
    socket.next(id).await[stream].take()
}

/// Whether the beginning of a stream ends with an item.
fn has_begun(item: &Value) -> bool {
    item["kind"] == "SNAPSHOT_END" || item["kind"] == "HEARTBEAT"
}

/// A stream, and the last item of its beginning.
async fn begun(app: &TestApp, stream: &'static str) -> (Socket, &'static str, String, Value) {
    let mut socket = app.socket().await;
    let id = socket.subscribe(&document(stream), json!({})).await;
    loop {
        let item = next(&mut socket, stream, &id).await;
        if has_begun(&item) {
            return (socket, stream, id, item);
        }
    }
}

/// That a stream says RESYNC, and where it goes on: the state, or the oldest event that is kept.
async fn begins_anew(socket: &mut Socket, stream: &str, id: &str) -> i64 {
    let item = next(socket, stream, id).await;
    assert_eq!(item["kind"], "RESYNC", "{stream}: {item}");
    let mut kinds = Vec::new();
    if stream != "events" {
        while kinds.last().is_none_or(|kind| kind != "SNAPSHOT_END") {
            kinds.push(next(socket, stream, id).await["kind"].take());
        }
    }
    let rows = kinds.iter().rev().skip(1);
    assert!(rows.clone().all(|kind| kind == "SNAPSHOT"), "{kinds:?}");
    item["seq"].as_i64().unwrap()
}

/// Something of which every stream speaks: an order that holds stock and waits for a person.
async fn stir(app: &TestApp) -> Value {
    let declined = json!({ "payment": { "method": "CARD", "token": "tok_decline" } });
    app.place(basket_with(declined)).await
}

async fn end_of_log(app: &TestApp) -> i64 {
    position(&app.app.db.read).await.unwrap().last_seq
}

async fn whoever_listens_when_the_log_becomes_another_begins_anew(app: &TestApp) {
    app.open_shop().await;
    stir(app).await;
    app.settle().await;
    let mut followers = Vec::new();
    // Some of them share a stream.
    for stream in STREAMS
        .into_iter()
        .chain(["orderUpdates", "exceptionQueue"])
    {
        followers.push(begun(app, stream).await);
    }
    let mut counts = app.socket().await;
    let counting = "subscription { stageCounts { seq } }";
    let counting = counts.subscribe(counting, json!({})).await;
    counts.next(&counting).await;
    let end = end_of_log(app).await;
    let actor = Actor::worker("test");
    let restored = app
        .app
        .write(&actor, |tx| async move { api::events::restored(&tx).await });
    restored.await.unwrap();
    // As a node finds it out within a second.
    app.app.hub.hear(b"?").await.unwrap();
    for (socket, stream, id, _) in &mut followers {
        let seq = begins_anew(socket, stream, id).await;
        assert_eq!(seq, if *stream == "events" { 0 } else { end }, "{stream}");
    }
    stir(app).await;
    app.settle().await;
    counts.next(&counting).await;
    for (socket, stream, id, _) in &mut followers {
        let item = next(socket, stream, id).await;
        match *stream {
            "events" => assert_eq!((&item["kind"], &item["seq"]), (&json!("EVENT"), &json!(1))),
            _ => assert_eq!(item["kind"], "UPSERT", "{stream}: {item}"),
        }
    }
}

async fn whoever_comes_too_late_for_what_retention_removes_begins_anew(app: &TestApp) {
    app.open_shop().await;
    let mug = app.stocked("FORGOTTEN", 1, true).await;
    stir(app).await;
    app.settle().await;
    let mut followers = Vec::new();
    for stream in STREAMS {
        followers.push(begun(app, stream).await);
    }
    let began = end_of_log(app).await;
    // Another node stamps it, and this one does not hear of it before it is gone.
    let other = Hub::new(app.app.db.clone(), Bus::process());
    app.receive(&mug, 1).await;
    other.turn().await.unwrap();
    let floor = end_of_log(app).await;
    let gone = event_log::Entity::delete_many()
        .filter(event_log::Column::Seq.gt(began))
        .filter(event_log::Column::AggregateType.eq("stock"))
        .exec(&app.app.db.write)
        .await
        .unwrap();
    assert!(gone.rows_affected > 0);
    sequencer::Entity::update_many()
        .col_expr(sequencer::Column::FloorSeq, Expr::value(floor))
        .exec(&app.app.db.write)
        .await
        .unwrap();
    stir(app).await;
    app.settle().await;
    let end = end_of_log(app).await;
    for (socket, stream, id, _) in &mut followers {
        let seq = begins_anew(socket, stream, id).await;
        match *stream {
            "events" => {
                assert_eq!(seq, floor);
                assert_eq!(next(socket, stream, id).await["seq"], floor + 1);
            }
            _ => assert!((floor + 1..=end).contains(&seq), "{stream}: {seq}"),
        }
    }
}

/// Writes events that nobody follows until the log ends at a position.
async fn fill(app: &TestApp, until: i64) {
    let end = end_of_log(app).await;
    let id = match app.backend {
        Backend::Postgres => "gen_random_uuid()",
        Backend::Sqlite => "randomblob(16)",
    };
    let sql = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT {end} + 1 WHERE {end} < {until}
            UNION ALL SELECT n + 1 FROM numbers WHERE n < {until})
        INSERT INTO event_log (seq, id, aggregate_type, aggregate_id, aggregate_version,
            event_type, actor, correlation_id, payload, occurred_at)
        SELECT n, {id}, 'filling', CAST(n AS TEXT), 1, 'catalogue.changed', 'worker:test', '',
            l.payload, l.occurred_at
        FROM numbers, event_log l WHERE l.seq = 1"
    );
    let db = &app.app.db.write;
    db.execute_unprepared(&sql).await.unwrap();
    sequencer::Entity::update_many()
        .col_expr(sequencer::Column::LastSeq, Expr::value(until))
        .exec(db)
        .await
        .unwrap();
    let all = event_log::Entity::find().count(db).await.unwrap();
    assert_eq!(all as i64, until);
}

async fn whoever_missed_more_than_50_000_events_begins_anew(app: &TestApp) {
    app.open_shop().await;
    stir(app).await;
    app.settle().await;
    let mut ends = Vec::new();
    for stream in STREAMS {
        let (socket, stream, _, end) = begun(app, stream).await;
        socket.close().await;
        ends.push((stream, end));
    }
    let began = end_of_log(app).await;
    stir(app).await;
    app.settle().await;
    fill(app, began + 50_000).await;
    for beyond in [0, 1] {
        fill(app, began + 50_000 + beyond).await;
        for (stream, end) in &ends {
            // What stock has changed is gathered from all of it.
            if beyond == 0 && *stream == "stockLevels" {
                continue;
            }
            let mut socket = app.socket().await;
            let after = json!({ "after": end["cursor"] });
            let id = socket.subscribe(&document(stream), after).await;
            if beyond > 0 && *stream != "events" {
                begins_anew(&mut socket, stream, &id).await;
            } else {
                let item = next(&mut socket, stream, &id).await;
                let kind = if *stream == "events" {
                    "EVENT"
                } else {
                    "UPSERT"
                };
                assert_eq!(item["kind"], kind, "{stream}: {item}");
            }
            socket.close().await;
        }
    }
}

async fn x1_a_revoked_key_ends_what_it_follows(app: &TestApp) {
    app.open_shop().await;
    stir(app).await;
    app.settle().await;
    let key = app.key_for(Role::Viewer, &[], None).await;
    let mut sockets = Vec::new();
    for stream in STREAMS {
        let mut socket = app.socket_as(&key.key).await;
        let id = socket.subscribe(&document(stream), json!({})).await;
        while !has_begun(&next(&mut socket, stream, &id).await) {}
        sockets.push(socket);
    }
    let id = key.row.id;
    let actor = Actor::worker("test");
    let revoked = app.app.write(&actor, move |tx| async move {
        access::revoke_key(&tx, id).await
    });
    revoked.await.unwrap();
    app.app.forget_keys();
    for socket in &mut sockets {
        assert_eq!(socket.close_code().await.0, Some(4403));
    }
}

/// A stream of server-sent events.
struct Events {
    response: Response,
    read: String,
}

impl Events {
    async fn open(app: &TestApp, query: &str, after: Option<&str>) -> Events {
        let request = app.request(Some(&app.admin_key), query, json!({}));
        let request = request.header("accept", "text/event-stream");
        let request = match after {
            Some(after) => request.header("last-event-id", after),
            None => request,
        };
        Events {
            response: request.send().await.unwrap(),
            read: String::new(),
        }
    }

    /// The next result with the id of its event.
    async fn next(&mut self) -> (Option<String>, Value) {
        loop {
            while let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim_start().to_owned())
                };
                let (id, data) = (field("id:"), field("data:"));
                self.read = rest.to_owned();
                // What keeps the line warm has none.
                if let Some(data) = data {
                    return (id, serde_json::from_str(&data).unwrap());
                }
            }
            let chunk = self.response.chunk().await.unwrap();
            self.read += str::from_utf8(&chunk.expect("a stream that goes on")).unwrap();
        }
    }
}

async fn x2_stock_is_followed_by_server_sent_events_and_resumed(app: &TestApp) {
    const LEVELS: &str = "subscription { stockLevels(where: { sku: { eq: \"SSE\" },
        onHand: { range: { gte: 1 } } }) { kind seq cursor stock { onHand } } }";
    app.open_shop().await;
    let mug = app.stocked("SSE", 3, true).await;
    app.settle().await;
    let mut events = Events::open(app, LEVELS, None).await;
    let mut next = async || {
        let (id, mut body) = events.next().await;
        (id, body["data"]["stockLevels"].take())
    };
    let (id, shown) = next().await;
    assert_eq!(
        (&shown["kind"], &shown["stock"]["onHand"]),
        (&json!("SNAPSHOT"), &json!(3))
    );
    // Who resumed within the snapshot would miss the rest of it.
    assert_eq!(id, None);
    let (id, end) = next().await;
    assert_eq!(end["kind"], "SNAPSHOT_END");
    assert_eq!(id.as_deref(), end["cursor"].as_str());
    app.receive(&mug, 1).await;
    app.settle().await;
    let (last, changed) = next().await;
    assert_eq!(changed["stock"]["onHand"], 4);
    assert_eq!(last.as_deref(), changed["cursor"].as_str());
    drop(events);
    // Away while it changes and comes to nothing, and comes back.
    app.receive(&mug, 2).await;
    app.settle().await;
    let mut events = Events::open(app, LEVELS, last.as_deref()).await;
    let (id, body) = events.next().await;
    let item = &body["data"]["stockLevels"];
    assert_eq!(
        (&item["kind"], &item["stock"]["onHand"]),
        (&json!("UPSERT"), &json!(6))
    );
    assert_eq!(item["seq"], end_of_log(app).await);
    app.adjust(&mug, -6).await.unwrap();
    app.settle().await;
    let (_, body) = events.next().await;
    assert_eq!(body["data"]["stockLevels"]["kind"], "REMOVE");
    let again = Events::open(app, LEVELS, id.as_deref()).await.next().await;
    assert_eq!(again.1["data"]["stockLevels"]["kind"], "REMOVE");
}

/// What is to come within a time comes now; what takes longer does not.
async fn later(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

/// Time stands still only where one thread runs everything.
mod a_stream_is_never_quiet_for_more_than_15_seconds {
    use super::*;

    #[tokio::test]
    async fn sqlite() {
        super::quiet(Backend::Sqlite).await;
    }

    #[tokio::test]
    async fn postgres() {
        super::quiet(Backend::Postgres).await;
    }
}

async fn quiet(backend: Backend) {
    let Some(place) = Place::migrated(backend).await else {
        return;
    };
    let setup = Setup {
        // Nobody waits for a connection for as long as time jumps.
        settings: &[("OMS__DATABASE__ACQUIRE_TIMEOUT_SECS", "600")],
        ..Setup::default()
    };
    let app = &TestApp::on(place, setup).await;
    app.open_shop().await;
    app.place(basket()).await;
    app.settle().await;
    let end = end_of_log(app).await;
    let schema = graphql::schema(app.app.clone());
    let follow = |document: String| {
        let request = Request::new(document).data(Principal::operator("test"));
        let results = schema.execute_stream(request);
        Box::pin(results.map(|result| {
            assert!(result.errors.is_empty(), "{result:?}");
            result.data.into_json().unwrap()
        }))
    };
    for stream in STREAMS {
        let mut items = follow(document(stream));
        while !has_begun(&items.next().await.unwrap()[stream]) {}
        later(Duration::from_secs(15)).await;
        let beat = items.next().await.unwrap()[stream].take();
        assert_eq!(
            (&beat["kind"], &beat["seq"]),
            (&json!("HEARTBEAT"), &json!(end))
        );
        later(Duration::from_secs(15)).await;
        let beat = items.next().await.unwrap()[stream].take();
        assert_eq!(beat["kind"], "HEARTBEAT", "{stream}");
    }
    let mut counts = follow("subscription { stageCounts { seq } }".to_owned());
    let first = counts.next().await.unwrap();
    later(Duration::from_secs(15)).await;
    assert_eq!(counts.next().await.unwrap(), first);
    // Whoever has something to say is not quiet.
    let mut items = follow(document("events"));
    items.next().await.unwrap();
    for _ in 0..3 {
        later(Duration::from_secs(10)).await;
        let actor = Actor::worker("test");
        let written = app.app.write(&actor, |tx| async move {
            api::catalogue::changed(
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
        let item = items.next().await.unwrap()["events"].take();
        assert_eq!(item["kind"], "EVENT");
    }
    // Nor does it have to be asked.
    let (mut beat, ()) = tokio::join!(items.next(), later(Duration::from_secs(15)));
    let beat = beat.as_mut().unwrap()["events"].take();
    assert_eq!(beat["kind"], "HEARTBEAT");
}
