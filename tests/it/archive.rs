//! The end of an order's life: it is complete when everything is delivered and settled, it is put
//! away when it has been over for long enough, and it is read as before until it is opened again.

use std::collections::BTreeMap;

use api::failure::Failure;
use api::graphql::ids::to_global;
use api::orders::{aggregate, archive, completion};
use api::tx::Actor;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{FieldDefinition, TypeKind, TypeSystemDefinition};
use chrono::{Duration, TimeDelta};
use entity::order::Status;
use entity::shipment::TrackingStatus;
use entity::{OrderId, archived_order, order};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, Set, Statement};
use serde_json::{Value, json};
use support::merchant::{basket_with, codes};
use support::{TestApp, both_backends};

use super::captures::{card, events, hear, leave, packed, placed, scanned, seen};
use super::invoices::{sell_in, sold};

both_backends!(
    p4a_an_order_is_complete_when_it_is_delivered_paid_and_invoiced,
    p4a_an_order_of_which_nothing_more_is_heard_is_complete_after_days,
    p4a_nothing_is_complete_while_a_capture_has_no_answer,
    p4a_an_archived_order_is_read_as_before_in_every_field,
    p4a_an_archived_order_is_found_by_all_its_names,
    p4a_an_archived_order_is_changed_only_after_it_was_opened_again,
    p4a_an_order_goes_back_as_it_was,
    p4a_an_archived_orders_names_stay_taken,
    p4a_an_order_is_put_away_once_and_whole,
    p4a_a_late_scan_opens_an_order_again_and_a_repeated_one_does_not,
    p4a_archived_orders_are_found_by_index,
    p4a_who_follows_orders_is_told_that_one_was_put_away,
);

/// An order that was delivered, with its shipment.
async fn delivered(app: &TestApp) -> (OrderId, entity::ShipmentId) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 9, false).await;
    let changes = json!({ "externalReference": "shop-1" });
    let (id, shipment) = sold(app, &cup, 2, changes).await;
    assert_eq!(status(app, id).await, Status::Confirmed);
    hear(app, shipment, TrackingStatus::Delivered, false).await;
    app.settle().await;
    (id, shipment)
}

/// An order that was put away, with its shipment.
async fn archived(app: &TestApp) -> (OrderId, entity::ShipmentId) {
    let (id, shipment) = delivered(app).await;
    later(app, Duration::days(30)).await;
    assert!(row(app, id).await.is_some(), "it was not put away");
    (id, shipment)
}

async fn later(app: &TestApp, by: TimeDelta) {
    app.clock.advance(by);
    app.settle().await;
}

async fn status(app: &TestApp, id: OrderId) -> Status {
    let row = order::Entity::find_by_id(id).one(&app.app.db.read).await;
    row.unwrap().expect("an order that was not put away").status
}

async fn row(app: &TestApp, id: OrderId) -> Option<archived_order::Model> {
    let row = archived_order::Entity::find_by_id(id);
    row.one(&app.app.db.read).await.unwrap()
}

async fn reopen(app: &TestApp, id: OrderId) -> Value {
    super::captures::act(app, "orderReopen", id, json!({ "reason": "a question" })).await
}

fn global(id: OrderId) -> Value {
    json!(to_global(id).as_str())
}

async fn p4a_an_order_is_complete_when_it_is_delivered_paid_and_invoiced(app: &TestApp) {
    let (id, _) = delivered(app).await;
    let order = seen(app, id).await;
    assert_eq!(order["status"], "COMPLETED", "{order:#}");
    assert_eq!(order["stage"], "COMPLETED");
    let told = events(app, id).await;
    assert_eq!(told.last().unwrap(), "order.completed");
    app.settle().await;
    assert_eq!(events(app, id).await, told, "once");
    // A released order that nobody has sent is far from it.
    let cup = app.stocked("MUG", 9, false).await;
    let other = placed(app, &cup, 1, card("tok_approve")).await;
    later(app, Duration::days(3)).await;
    assert_eq!(status(app, other).await, Status::Confirmed);
}

async fn p4a_an_order_of_which_nothing_more_is_heard_is_complete_after_days(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 1, card("tok_approve")).await;
    let shipment = packed(app, &cup, id, 1).await[0];
    leave(app, shipment).await;
    later(app, Duration::days(2)).await;
    assert_eq!(status(app, id).await, Status::Confirmed, "nobody has it");
    scanned(app, shipment).await;
    app.settle().await;
    // The exception about the missing scan is settled by the scan.
    later(app, Duration::days(14) - Duration::minutes(1)).await;
    assert_eq!(status(app, id).await, Status::Confirmed);
    later(app, Duration::minutes(1)).await;
    assert_eq!(status(app, id).await, Status::Completed);
}

async fn p4a_nothing_is_complete_while_a_capture_has_no_answer(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 1, card("tok_capture_timeout_after")).await;
    let shipment = packed(app, &cup, id, 1).await[0];
    leave(app, shipment).await;
    hear(app, shipment, TrackingStatus::Delivered, false).await;
    let reference = &app.app.reference().await.unwrap();
    let by = &Actor::worker("archive");
    let look = || {
        app.app.write(by, move |tx| async move {
            completion::settle(&tx, reference, id).await
        })
    };
    assert!(!look().await.unwrap());
    assert_eq!(status(app, id).await, Status::Confirmed);
    later(app, Duration::hours(1)).await;
    later(app, Duration::minutes(10)).await;
    assert_eq!(status(app, id).await, Status::Completed);
}

/// The types that an order is made of; of others its tree has only the identifiers.
const OWN: &[&str] = &[
    "Order",
    "OrderLine",
    "Payment",
    "PaymentTransaction",
    "Hold",
    "OrderException",
    "SuggestedAction",
    "Reservation",
    "Backorder",
    "Note",
    "TimelineEntry",
    "Invoice",
    "InvoiceLine",
    "Message",
    "MessageAttempt",
    "FulfillmentOrder",
    "FulfillmentLine",
    "Shipment",
    "Package",
    "PackageLine",
    "TrackingEvent",
    "Address",
    "AvailableAction",
    "Money",
];

fn types() -> BTreeMap<String, Vec<FieldDefinition>> {
    let document = parse_schema(api::graphql::sdl()).unwrap();
    let types = document
        .definitions
        .into_iter()
        .filter_map(|one| match one {
            TypeSystemDefinition::Type(one) => Some(one.node),
            _ => None,
        });
    types
        .filter_map(|one| match one.kind {
            TypeKind::Object(object) => {
                let fields = object.fields.into_iter().map(|field| field.node);
                Some((one.name.node.to_string(), fields.collect()))
            }
            _ => None,
        })
        .collect()
}

/// What is asked of a type: all of its fields, and of theirs, but no type within itself.
fn asked(types: &BTreeMap<String, Vec<FieldDefinition>>, name: &str, path: &[&str]) -> String {
    let Some(fields) = types.get(name) else {
        return String::new();
    };
    if path.contains(&name) || !OWN.contains(&name) {
        let has_id = fields.iter().any(|field| field.name.node == "id");
        return match has_id {
            true => "{ id }".to_owned(),
            false => "{ __typename }".to_owned(),
        };
    }
    let path = [path, &[name]].concat();
    let fields = fields.iter().filter(|field| field.arguments.is_empty());
    let fields = fields.map(|field| {
        let of = field.ty.node.base.to_string();
        let of = of.trim_matches(['[', ']', '!']);
        format!("{} {}", field.name.node, asked(types, of, &path))
    });
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(" "))
}

/// Everything that can be asked of an order, a field at a time.
async fn everything(app: &TestApp, id: OrderId) -> BTreeMap<String, Value> {
    let types = types();
    let mut found = BTreeMap::new();
    for field in &types["Order"] {
        let name = field.name.node.to_string();
        // Its age, what may be done now and the addresses that are signed for a time are not its own.
        if [
            "availableActions",
            "archivedAt",
            "version",
            "timeline",
            "updatedAt",
        ]
        .contains(&name.as_str())
        {
            continue;
        }
        let of = field.ty.node.base.to_string();
        let inner = asked(&types, of.trim_matches(['[', ']', '!']), &["Order"]);
        let query =
            format!("query Q($id: ID!) {{ order(by: {{ id: $id }}) {{ {name} {inner} }} }}");
        let mut data = app.gql(&query, json!({ "id": global(id) })).await;
        let mut value = data["order"][&name].take();
        forget(&mut value);
        found.insert(name, value);
    }
    found
}

/// Leaves out what changes by the time of asking alone.
fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["url", "ageSecs", "overdue"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

async fn p4a_an_archived_order_is_read_as_before_in_every_field(app: &TestApp) {
    let (id, shipment) = delivered(app).await;
    let note = json!({ "body": "rang the bell twice" });
    let noted = super::captures::act(app, "orderAddNote", id, note).await;
    assert_eq!(codes(&noted), [""; 0]);
    let document = "mutation T($id: ID!) { orderAddTags(input: { id: $id, tags: [\"vip\"] }) {
        userErrors { code } } }";
    let tagged = app.gql(document, json!({ "id": global(id) })).await["orderAddTags"].take();
    assert_eq!(codes(&tagged), [""; 0]);
    app.settle().await;
    let before = everything(app, id).await;
    let some = |name: &str| !before[name].as_array().unwrap().is_empty();
    for name in ["lines", "shipments", "fulfillmentOrders", "reservations"] {
        assert!(some(name), "{name}");
    }
    assert!(some("notes") && some("tags") && some("messages") && some("invoices"));
    let packages = before["shipments"][0]["packages"][0].to_string();
    assert!(packages.contains("\"packed\":2"), "{packages}");
    later(app, Duration::days(30)).await;
    let kept = row(app, id).await.expect("it was not put away");
    assert_eq!(everything(app, id).await, before);
    assert_eq!(kept.version, seen(app, id).await["version"]);
    let hot = order::Entity::find().count(&app.app.db.read).await.unwrap();
    assert_eq!(hot, 0);

    // Its parts are found by themselves, and what is kept beside it finds it.
    let query = "query N($id: ID!) { node(id: $id) { id ... on Shipment { number
        packages { lines { packed line { sku } } trackingEvents: shipment { id } }
        order { number archivedAt } } } }";
    let found = app
        .gql(query, json!({ "id": to_global(shipment).as_str() }))
        .await;
    assert_eq!(found["node"]["order"]["number"], kept.number, "{found:#}");
    assert!(found["node"]["order"]["archivedAt"].is_string());
    assert_eq!(found["node"]["packages"][0]["lines"][0]["packed"], 2);
    let query =
        "{ invoices(first: 1) { nodes { order { number lines { sku } } shipment { number } } } }";
    let found = app.gql(query, json!({})).await;
    let invoice = &found["invoices"]["nodes"][0];
    assert_eq!(invoice["order"]["lines"][0]["sku"], "CUP", "{invoice:#}");
    assert!(invoice["shipment"]["number"].is_string(), "{invoice:#}");
}

async fn p4a_an_archived_order_is_found_by_all_its_names(app: &TestApp) {
    let (id, _) = archived(app).await;
    let number = row(app, id).await.unwrap().number;
    let channel = to_global(app.channel("web").await.id);
    let query = "query O($by: OrderIdentity!) { order(by: $by) { id lines { sku } archivedAt } }";
    for by in [
        json!({ "id": global(id) }),
        json!({ "number": number }),
        json!({ "externalReference": { "channelId": channel.as_str(), "reference": "shop-1" } }),
    ] {
        let found = app.gql(query, json!({ "by": by })).await;
        assert_eq!(found["order"]["id"], global(id), "{by}: {found:#}");
        assert_eq!(found["order"]["lines"][0]["sku"], "CUP");
        assert!(found["order"]["archivedAt"].is_string());
    }
    let all = "{ orders { nodes { id } totalCount { count } } }";
    let none = app.gql(all, json!({})).await;
    assert_eq!(none["orders"]["nodes"], json!([]), "they are not put away");
    let query = "query A($where: ArchivedOrderWhere, $query: String) {
        archivedOrders(where: $where, query: $query) { totalCount { count }
            nodes { orderId number email total { amount } order { id lines { sku } } } } }";
    let email = row(app, id).await.unwrap().email.unwrap().to_uppercase();
    for variables in [
        json!({}),
        json!({ "where": { "number": { "eq": number } } }),
        json!({ "where": { "email": email } }),
        json!({ "where": { "externalReference": { "eq": "shop-1" } } }),
        json!({ "where": { "channelId": { "eq": channel.as_str() }, "status": { "eq": "COMPLETED" } } }),
        json!({ "query": number.to_lowercase() }),
        json!({ "query": "shop" }),
    ] {
        let found = app.gql(query, variables.clone()).await;
        let found = &found["archivedOrders"];
        assert_eq!(found["totalCount"]["count"], 1, "{variables}: {found:#}");
        assert_eq!(found["nodes"][0]["order"]["lines"][0]["sku"], "CUP");
    }
    let other = json!({ "where": { "status": { "eq": "CANCELLED" } } });
    let found = app.gql(query, other).await;
    assert_eq!(found["archivedOrders"]["nodes"], json!([]));
    // What says who somebody is may be taken out, and the rest is what it was.
    let erased = app
        .app
        .write(&Actor::worker("test"), move |tx| async move {
            archive::rewrite(&tx, id, |snapshot| {
                snapshot.order.customer_name = "erased".to_owned();
                snapshot.order.email = None;
            })
            .await
        })
        .await;
    assert!(erased.unwrap());
    let by_name = json!({ "where": { "customerName": { "eq": "erased" } } });
    let found = app.gql(query, by_name).await;
    assert_eq!(found["archivedOrders"]["nodes"][0]["email"], Value::Null);
    let viewer = app.key(entity::api_key::Role::Viewer).await;
    let by_email = json!({ "where": { "email": email } });
    let refused = app.answer_as(Some(&viewer), query, by_email).await;
    assert_eq!(refused.code(), "FORBIDDEN");
}

async fn p4a_an_archived_order_is_changed_only_after_it_was_opened_again(app: &TestApp) {
    let (id, shipment) = archived(app).await;
    let actions = "query A($id: ID!) { order(by: { id: $id }) {
        availableActions { action enabled disabledReason } } }";
    let found = app.gql(actions, json!({ "id": global(id) })).await;
    let found = found["order"]["availableActions"].as_array().unwrap();
    assert!(found.len() > 5);
    for one in found {
        assert_eq!(one["enabled"], false, "{one}");
        assert_eq!(one["disabledReason"], "ORDER_ARCHIVED");
    }
    for (mutation, more) in [
        ("orderHold", json!({ "reason": "r" })),
        ("orderCancel", json!({ "reason": "r" })),
        ("orderAddNote", json!({ "body": "r" })),
        ("paymentCapture", json!({})),
    ] {
        let refused = super::captures::act(app, mutation, id, more).await;
        assert_eq!(codes(&refused), ["ORDER_ARCHIVED"], "{mutation}");
    }
    let gone = "mutation L($id: ID!) { shipmentBuyLabels(input: { id: $id }) {
        userErrors { code } } }";
    let refused = app
        .gql(gone, json!({ "id": to_global(shipment).as_str() }))
        .await;
    assert_eq!(codes(&refused["shipmentBuyLabels"]), ["ORDER_ARCHIVED"]);

    assert_eq!(codes(&reopen(app, id).await), [""; 0]);
    let told = events(app, id).await;
    app.settle().await;
    assert!(!told.is_empty());
    let again = reopen(app, id).await;
    assert_eq!(codes(&again), ["ORDER_STATE_INVALID"]);
    let noted = super::captures::act(app, "orderAddNote", id, json!({ "body": "r" })).await;
    assert_eq!(codes(&noted), [""; 0]);
    later(app, Duration::days(30) - Duration::minutes(1)).await;
    assert!(row(app, id).await.is_none(), "it was changed");
    later(app, Duration::minutes(1)).await;
    assert!(row(app, id).await.is_some());
    let told = events(app, id).await;
    let end: Vec<&str> = told
        .iter()
        .rev()
        .take(4)
        .rev()
        .map(String::as_str)
        .collect();
    let expected = [
        "order.archived",
        "order.reopened",
        "order.noted",
        "order.archived",
    ];
    assert_eq!(end, expected);
}

/// Every row of every table that an order has rows in, but what being put away changes of them.
/// Puts an order away now.
pub async fn put_away(app: &TestApp, id: OrderId) {
    app.app
        .write(&Actor::worker("archive"), move |tx| async move {
            let mut all = aggregate::lock(&tx, [id]).await?;
            archive::put_away(&tx, all.remove(&id).unwrap()).await
        })
        .await
        .unwrap();
    app.settle().await;
}

async fn rows(app: &TestApp, id: OrderId) -> archive::Snapshot {
    let locked = app
        .app
        .rehearse(&Actor::worker("test"), move |tx| async move {
            let mut all = aggregate::lock(&tx, [id]).await?;
            archive::put_away(&tx, all.remove(&id).unwrap()).await?;
            let row = archived_order::Entity::find_by_id(id).one(tx.db()).await?;
            Ok(archive::Archived::read(row.unwrap())?.snapshot)
        })
        .await;
    let mut snapshot = locked.unwrap();
    snapshot.order.version = 0;
    snapshot.order.updated_at = chrono::DateTime::UNIX_EPOCH;
    snapshot.order.settles_at = None;
    snapshot
}

async fn p4a_an_order_goes_back_as_it_was(app: &TestApp) {
    let (id, _) = delivered(app).await;
    let before = rows(app, id).await;
    let version = seen(app, id).await["version"].as_i64().unwrap();
    later(app, Duration::days(30)).await;
    assert!(row(app, id).await.is_some());
    assert_eq!(codes(&reopen(app, id).await), [""; 0]);
    app.settle().await;
    assert_eq!(rows(app, id).await, before);
    let now = seen(app, id).await;
    assert_eq!(now["version"].as_i64().unwrap(), version + 2);
    assert_eq!(now["archivedAt"], Value::Null);
    assert_eq!(now["status"], "COMPLETED");
}

async fn p4a_an_archived_orders_names_stay_taken(app: &TestApp) {
    app.open_shop().await;
    let input = basket_with(json!({ "externalReference": "web-7" }));
    let taken = app.submit(input.clone()).await;
    let id = &taken["order"]["id"];
    let cancel = json!({ "input": { "id": id, "reason": "r" } });
    let document = "mutation C($input: OrderEndInput!) { orderCancel(input: $input) {
        userErrors { code } } }";
    app.gql(document, cancel).await;
    app.settle().await;
    later(app, Duration::days(31)).await;
    let kept = archived_order::Entity::find().one(&app.app.db.read).await;
    let kept = kept.unwrap().expect("it was not put away");
    assert_eq!(kept.status, Status::Cancelled);

    let again = app.submit(input.clone()).await;
    assert_eq!(again["order"]["id"], *id, "{again:#}");
    let mut other = input;
    other["lines"][0]["quantity"] = json!(3);
    let refused = app.submit(other).await;
    assert_eq!(codes(&refused), ["EXTERNAL_REFERENCE_TAKEN"]);

    // The database holds it against whatever the program believes.
    let fresh = app.place(basket_with(json!({}))).await;
    let fresh = app.order(&fresh["id"]).await["number"]
        .as_str()
        .unwrap()
        .to_owned();
    let db = &app.app.db.write;
    let rename = [
        format!(
            "UPDATE archived_order SET total_minor = 1 WHERE number = '{}'",
            kept.number
        ),
        format!(
            "DELETE FROM archived_order WHERE number = '{}'",
            kept.number
        ),
    ];
    for sql in rename {
        let refused = db.execute_unprepared(&sql).await.unwrap_err().to_string();
        assert!(refused.contains("put away"), "{refused}");
    }
    let hot = order::Entity::find().one(&app.app.db.read).await.unwrap();
    let mut copy: order::ActiveModel = hot.unwrap().into();
    copy.id = Set(OrderId(uuid::Uuid::now_v7()));
    for (number, reference) in [
        (kept.number.clone(), None),
        ("unheard-of".to_owned(), Some("web-7".to_owned())),
    ] {
        let mut copy = copy.clone();
        copy.number = Set(number);
        copy.external_reference = Set(reference);
        copy.channel_id = Set(kept.channel_id);
        let refused = order::Entity::insert(copy).exec_without_returning(db).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("put away"), "{fresh}: {refused}");
    }
}

async fn p4a_an_order_is_put_away_once_and_whole(app: &TestApp) {
    let (id, _) = delivered(app).await;
    app.clock.advance(Duration::days(30));
    // One that fails half-way leaves the order as it was.
    let failed = app
        .app
        .write(&Actor::worker("archive"), move |tx| async move {
            let mut all = aggregate::lock(&tx, [id]).await?;
            archive::put_away(&tx, all.remove(&id).unwrap()).await?;
            Err::<(), _>(Failure::Internal("the power is gone".to_owned()))
        })
        .await;
    assert!(failed.is_err());
    assert!(row(app, id).await.is_none());
    assert_eq!(seen(app, id).await["lines"][0]["sku"], "CUP");
    // Of two nodes, one does it.
    let reference = &app.app.reference().await.unwrap();
    let by = &Actor::worker("archive");
    let settle = || {
        app.app.write(by, move |tx| async move {
            completion::settle(&tx, reference, id).await
        })
    };
    let (one, other) = tokio::join!(settle(), settle());
    let both = [one.unwrap(), other.unwrap()];
    assert_eq!(both.iter().filter(|did| **did).count(), 1, "{both:?}");
    assert!(row(app, id).await.is_some());
    app.settle().await;
    let told = events(app, id).await;
    let count = told
        .iter()
        .filter(|event| *event == "order.archived")
        .count();
    assert_eq!(count, 1);
}

async fn p4a_a_late_scan_opens_an_order_again_and_a_repeated_one_does_not(app: &TestApp) {
    let db = &app.app.db.read;
    let (id, shipment) = delivered(app).await;
    let parcels = entity::package::Entity::find().all(db).await.unwrap();
    let number = parcels[0].tracking_number.clone().unwrap();
    later(app, Duration::days(30)).await;
    assert!(row(app, id).await.is_some());
    let hear = async |status: TrackingStatus| {
        let reports = &[api::shipping::messages::Report {
            tracking_number: number.clone(),
            sighting: api::shipping::port::Sighting {
                status,
                code: format!("{status:?}"),
                place: None,
                occurred_at: "2026-12-02T08:00:00Z".parse().unwrap(),
            },
        }];
        app.app
            .write(&Actor::worker("shipping"), move |tx| async move {
                api::fulfillment::tracking::receive(&tx, "ALPENPOST", reports).await
            })
            .await
            .unwrap()
    };
    let heard = hear(TrackingStatus::Delivered).await;
    assert_eq!((heard.new, heard.parked), (0, 0));
    assert!(row(app, id).await.is_some(), "that is no news");
    let heard = hear(TrackingStatus::ReturnToSender).await;
    assert_eq!((heard.new, heard.parked), (1, 0));
    app.settle().await;
    assert!(row(app, id).await.is_none());
    let now = seen(app, id).await;
    assert_eq!(now["status"], "COMPLETED");
    let back = entity::shipment::Entity::find_by_id(shipment).one(db).await;
    assert_eq!(
        back.unwrap().unwrap().tracking_status,
        TrackingStatus::ReturnToSender
    );
    let told = events(app, id).await;
    let end: Vec<&str> = told
        .iter()
        .rev()
        .take(2)
        .rev()
        .map(String::as_str)
        .collect();
    assert_eq!(end, ["order.reopened", "order.shipment_tracked"]);
    later(app, Duration::days(30)).await;
    assert!(row(app, id).await.is_some(), "it is put away again");
}

async fn p4a_who_follows_orders_is_told_that_one_was_put_away(app: &TestApp) {
    let (id, _) = delivered(app).await;
    let mut socket = app.socket().await;
    let feed = "subscription { orderUpdates { kind cursor event orderId } }";
    let live = socket.subscribe(feed, Value::Null).await;
    let first = socket.next(&live).await;
    assert_eq!(first["orderUpdates"]["orderId"], global(id));
    let end = socket.next(&live).await;
    let cursor = end["orderUpdates"]["cursor"].as_str().unwrap().to_owned();
    later(app, Duration::days(30)).await;
    let removed = |item: Value| {
        let item = &item["orderUpdates"];
        assert_eq!(item["kind"], "REMOVE", "{item:#}");
        assert_eq!(item["event"], "order.archived");
        assert_eq!(item["orderId"], global(id));
    };
    removed(socket.next(&live).await);
    // And so is who was away meanwhile.
    let feed = "subscription F($after: String) { orderUpdates(after: $after) {
        kind cursor event orderId } }";
    let resumed = socket.subscribe(feed, json!({ "after": cursor })).await;
    removed(socket.next(&resumed).await);
    socket.close().await;
}

async fn p4a_archived_orders_are_found_by_index(app: &TestApp) {
    let db = &app.app.db.read;
    let sqlite = db.get_database_backend() == DbBackend::Sqlite;
    for (by, index) in [
        ("number = 'O-1'", "archived_order"),
        (
            "LOWER(email) = 'bo@mail.example' AND email IS NOT NULL",
            "archived_order_email",
        ),
        (
            "external_reference = 'web-1' AND channel_id IN (SELECT id FROM channel)",
            "archived_order",
        ),
        ("settled", "order_settles"),
    ] {
        let (table, by) = match by {
            "settled" => ("\"order\"", "settles_at <= '2027-01-01T00:00:00+00:00'"),
            by => ("archived_order", by),
        };
        let select = format!("SELECT id FROM {table} WHERE {by}");
        let mut plan = String::new();
        if sqlite {
            let sql = format!("EXPLAIN QUERY PLAN {select}");
            let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql));
            for row in rows.await.unwrap() {
                plan += &row.try_get::<String>("", "detail").unwrap();
            }
            assert!(plan.contains("SEARCH"), "{by}: {plan}");
        } else {
            // So few rows are read faster without an index; what is asked is whether there is one.
            let rehearsed = app
                .app
                .rehearse(&Actor::worker("test"), move |tx| {
                    let select = select.clone();
                    async move {
                        let db = tx.db();
                        db.execute_unprepared("SET LOCAL enable_seqscan = off")
                            .await?;
                        let sql = format!("EXPLAIN {select}");
                        let rows = db
                            .query_all_raw(Statement::from_string(DbBackend::Postgres, sql))
                            .await?;
                        let mut plan = String::new();
                        for row in rows {
                            plan += &row.try_get::<String>("", "QUERY PLAN")?;
                        }
                        Ok(plan)
                    }
                })
                .await;
            plan = rehearsed.unwrap();
            assert!(plan.contains("Index"), "{by}: {plan}");
        }
        assert!(plan.contains(index), "{by}: {plan}");
    }
}
