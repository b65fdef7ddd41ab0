//! The money of what has left: each shipment's share is captured once its carrier has it, whatever
//! the carrier repeats and whatever the gateway answers.

use api::fulfillment::packing::{self, Close, Open, ScanPack};
use api::fulfillment::picking::{self, ScanPick};
use api::fulfillment::routing::{self, Split};
use api::fulfillment::scans::Read;
use api::fulfillment::{dispatch, lists, tracking};
use api::graphql::ids::to_global;
use api::payments::{Effect, charges};
use api::shipping::messages::Report;
use api::shipping::port::Sighting;
use api::tx::Actor;
use chrono::Duration;
use entity::payment_transaction::{Kind, State};
use entity::shipment::TrackingStatus;
use entity::wave::Grouping;
use entity::{
    OrderId, ShipmentId, charge, fulfillment_line, fulfillment_order, order, package, payment,
    payment_transaction, pick_task, shipment,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde_json::{Value, json};
use support::merchant::{Stocked, basket_with, codes};
use support::{TestApp, both_backends};

both_backends!(
    p1_each_shipment_is_captured_once_its_carrier_has_it_and_the_shares_add_up,
    p1_scans_before_the_door_capture_at_the_door_and_those_of_all_parcels_count,
    p1_what_no_gateway_is_asked_about_is_captured_at_once,
    p1_a_declined_capture_is_tried_again_and_a_person_may_do_so_too,
    p1_a_capture_whose_answer_is_lost_is_made_once,
    p1_an_authorisation_that_ran_out_is_replaced_and_then_captured,
    p1_what_a_single_capture_lets_go_of_is_set_aside_afresh,
    p1_what_is_set_aside_is_set_aside_afresh_before_it_runs_out,
    p1_a_shipment_that_nobody_scans_is_an_exception_until_it_is,
);

fn actor() -> Actor {
    Actor {
        name: "person:packer".to_owned(),
        correlation_id: "test".to_owned(),
        origin: None,
    }
}

fn read(code: &str, quantity: i64) -> Read {
    Read {
        code: code.to_owned(),
        quantity,
        device: None,
    }
}

/// An order for cups at 10.00, paid by a card, that is routed.
pub async fn placed(app: &TestApp, cup: &Stocked, units: i64, payment: Value) -> OrderId {
    let lines = json!([{ "sku": cup.sku, "quantity": units }]);
    let mut changes = json!({ "lines": lines, "payment": payment });
    if changes["payment"]["method"] == "ACCOUNT" {
        changes["channel"] = json!("b2b");
        changes["customer"] = json!({ "code": "B-2001" });
    }
    let taken = app.place(basket_with(changes)).await;
    app.settle().await;
    let row = order::Entity::find()
        .filter(order::Column::Number.eq(taken["number"].as_str().unwrap()))
        .one(&app.app.db.read)
        .await
        .unwrap();
    row.unwrap().id
}

pub fn card(token: &str) -> Value {
    json!({ "method": "CARD", "token": token })
}

/// Makes so many units of an order's only work a shipment of their own.
pub async fn part(app: &TestApp, order: OrderId, units: i64) {
    let works = fulfillment_order::Entity::find()
        .filter(fulfillment_order::Column::OrderId.eq(order))
        .order_by_asc(fulfillment_order::Column::Position);
    let work = works.one(&app.app.db.read).await.unwrap().unwrap();
    let line = fulfillment_line::Entity::find()
        .filter(fulfillment_line::Column::FulfillmentOrderId.eq(work.id))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let cmd = &Split {
        id: work.id,
        lines: vec![(line.line_id, units)],
        reason: "they go apart".to_owned(),
    };
    let by = &actor();
    let split = app
        .app
        .write(by, move |tx| async move { routing::split(&tx, cmd).await });
    split.await.unwrap();
}

/// Picks, packs and labels everything of an order, each shipment in so many parcels, and returns
/// its shipments.
pub async fn packed(app: &TestApp, cup: &Stocked, order: OrderId, parcels: i64) -> Vec<ShipmentId> {
    let db = &app.app.db.read;
    let works = fulfillment_order::Entity::find()
        .filter(fulfillment_order::Column::OrderId.eq(order))
        .filter(fulfillment_order::Column::Status.eq(fulfillment_order::Status::Open))
        .order_by_asc(fulfillment_order::Column::Position)
        .all(db)
        .await
        .unwrap();
    let (by, warehouse) = (&actor(), works[0].warehouse_id);
    let own: Vec<_> = works.iter().map(|work| (order, work.id)).collect();
    let own = &own[..];
    let released = app
        .app
        .write(by, move |tx| async move {
            lists::release(&tx, warehouse, None, own, Grouping::OneList).await
        })
        .await
        .unwrap();
    let list = released.lists[0];
    let claimed = app
        .app
        .write(by, move |tx| async move { picking::claim(&tx, list).await });
    claimed.await.unwrap();
    let tasks = pick_task::Entity::find().filter(pick_task::Column::PickListId.eq(list));
    for task in tasks.all(db).await.unwrap() {
        let cmd = &ScanPick {
            list_id: list,
            bin: None,
            read: read(&cup.sku, task.quantity),
        };
        let scanned = app
            .app
            .write(by, move |tx| async move { picking::scan(&tx, cmd).await });
        assert_eq!(scanned.await.unwrap().refusal, None);
    }
    let mut ids = Vec::new();
    for work in works {
        let shipment = shipment::Entity::find()
            .filter(shipment::Column::FulfillmentOrderId.eq(work.id))
            .one(db)
            .await
            .unwrap()
            .unwrap();
        let line = fulfillment_line::Entity::find()
            .filter(fulfillment_line::Column::FulfillmentOrderId.eq(work.id))
            .one(db)
            .await
            .unwrap()
            .unwrap();
        for place in 0..parcels {
            let units = (line.quantity + place) / parcels;
            let open = &Open {
                shipment_id: shipment.id,
                carton: None,
                lines: Some(vec![(line.line_id, units)]),
            };
            let package = app
                .app
                .write(by, move |tx| async move { packing::open(&tx, open).await })
                .await
                .unwrap();
            let cmd = &ScanPack {
                package_id: package,
                read: read(&cup.sku, units),
            };
            let scanned = app
                .app
                .write(by, move |tx| async move { packing::scan(&tx, cmd).await });
            assert_eq!(scanned.await.unwrap().refusal, None);
            let cmd = &Close {
                package_id: package,
                weight_grams: None,
                accept_weight: false,
            };
            let closed = app
                .app
                .write(by, move |tx| async move { packing::close(&tx, cmd).await });
            closed.await.unwrap();
        }
        app.app.label_shipment(by, shipment.id).await.unwrap();
        ids.push(shipment.id);
    }
    ids
}

/// Hands a shipment over.
pub async fn leave(app: &TestApp, id: ShipmentId) {
    let reference = &app.app.reference().await.unwrap();
    let left = app
        .app
        .write(&actor(), move |tx| async move {
            dispatch::dispatch(&tx, reference, id).await
        })
        .await
        .unwrap();
    app.app.ask_gateways(left.effects).await.unwrap();
}

/// What a carrier says of the parcels of a shipment, or of the first of them. Says how often a
/// gateway was asked for it.
pub async fn hear(app: &TestApp, id: ShipmentId, status: TrackingStatus, first: bool) -> usize {
    let effects = heard(app, id, status, first).await;
    let asked = effects.len();
    app.app.ask_gateways(effects).await.unwrap();
    asked
}

/// The same; the gateway is not asked yet.
pub async fn heard(
    app: &TestApp,
    id: ShipmentId,
    status: TrackingStatus,
    first: bool,
) -> Vec<Effect> {
    let packages = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .order_by_asc(package::Column::Position);
    let reports: Vec<Report> = packages
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .take(if first { 1 } else { usize::MAX })
        .map(|package| Report {
            tracking_number: package.tracking_number.unwrap(),
            sighting: Sighting {
                status,
                code: format!("{status:?}"),
                place: None,
                occurred_at: "2026-12-02T08:00:00Z".parse().unwrap(),
            },
        })
        .collect();
    let reports = &reports;
    let heard = app
        .app
        .write(&Actor::worker("shipping"), move |tx| async move {
            tracking::receive(&tx, "ALPENPOST", reports).await
        })
        .await
        .unwrap();
    heard.effects
}

pub async fn scanned(app: &TestApp, id: ShipmentId) -> usize {
    hear(app, id, TrackingStatus::CarrierPickedUp, false).await
}

pub async fn charge_of(app: &TestApp, id: ShipmentId) -> charge::Model {
    let row = charge::Entity::find_by_id(id).one(&app.app.db.read).await;
    row.unwrap().expect("a charge")
}

pub async fn payment_of(app: &TestApp, id: OrderId) -> payment::Model {
    let row = payment::Entity::find().filter(payment::Column::OrderId.eq(id));
    row.one(&app.app.db.read).await.unwrap().unwrap()
}

async fn captures(app: &TestApp, id: OrderId) -> Vec<(State, i64)> {
    effects(app, id, Kind::Capture).await
}

pub async fn effects(app: &TestApp, id: OrderId, kind: Kind) -> Vec<(State, i64)> {
    let rows = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::OrderId.eq(id))
        .filter(payment_transaction::Column::Kind.eq(kind))
        .order_by_asc(payment_transaction::Column::CreatedAt)
        .order_by_asc(payment_transaction::Column::Id);
    let rows = rows.all(&app.app.db.read).await.unwrap();
    rows.iter()
        .map(|row| (row.state, row.amount_minor))
        .collect()
}

pub async fn seen(app: &TestApp, id: OrderId) -> Value {
    app.order(&json!(to_global(id).as_str())).await
}

/// The open exceptions of an order, by code.
pub async fn open(app: &TestApp, id: OrderId) -> Vec<String> {
    let order = seen(app, id).await;
    let all = order["exceptions"].as_array().unwrap().iter();
    all.filter(|one| one["status"] == "OPEN")
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

pub async fn events(app: &TestApp, id: OrderId) -> Vec<String> {
    let order = seen(app, id).await;
    let all = order["timeline"].as_array().unwrap().iter();
    all.map(|one| one["event"].as_str().unwrap().to_owned())
        .collect()
}

pub async fn act(app: &TestApp, mutation: &str, id: OrderId, more: Value) -> Value {
    let mut kind = mutation.to_owned();
    kind[..1].make_ascii_uppercase();
    if mutation == "orderCancel" {
        kind = "OrderEnd".to_owned();
    }
    let document = format!(
        "mutation Act($input: {kind}Input!) {{ {mutation}(input: $input) {{
            order {{ id }} userErrors {{ code message }} }} }}"
    );
    let mut input = json!({ "id": to_global(id).as_str() });
    for (field, value) in more.as_object().into_iter().flatten() {
        input[field] = value.clone();
    }
    app.gql(&document, json!({ "input": input })).await[mutation].take()
}

pub async fn later(app: &TestApp, hours: i64) {
    app.clock.advance(Duration::hours(hours));
    app.settle().await;
}

/// An order of one shipment that has left and was scanned.
async fn carried(app: &TestApp, token: &str) -> (OrderId, ShipmentId) {
    let cup = app.stocked(&token.to_uppercase(), 9, false).await;
    let id = placed(app, &cup, 1, card(token)).await;
    let shipment = packed(app, &cup, id, 1).await[0];
    leave(app, shipment).await;
    assert_eq!(captures(app, id).await, [], "nobody has scanned it");
    assert_eq!(scanned(app, shipment).await, 1);
    (id, shipment)
}

async fn p1_each_shipment_is_captured_once_its_carrier_has_it_and_the_shares_add_up(app: &TestApp) {
    use TrackingStatus::*;
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 3, card("tok_approve")).await;
    part(app, id, 1).await;
    part(app, id, 1).await;
    let total = payment_of(app, id).await.authorized_minor;
    assert_ne!(total % 3, 0, "it cannot be cut evenly: {total}");
    let shipments = packed(app, &cup, id, 1).await;
    assert_eq!(shipments.len(), 3);
    for (place, shipment) in shipments.iter().enumerate() {
        leave(app, *shipment).await;
        assert_eq!(hear(app, *shipment, PreTransit, false).await, 0);
        assert_eq!(captures(app, id).await.len(), place);
        assert_eq!(hear(app, *shipment, InTransit, false).await, 1);
        // What comes twice, late or out of order captures nothing more.
        for status in [CarrierPickedUp, InTransit, Delivered, CarrierPickedUp] {
            assert_eq!(hear(app, *shipment, status, false).await, 0);
        }
        let is = if place < 2 { "PARTIALLY_PAID" } else { "PAID" };
        assert_eq!(seen(app, id).await["paymentStatus"], is);
    }
    let all = charges::of_order(&app.app.db.read, id).await.unwrap();
    let shares: Vec<i64> = all.iter().map(|charge| charge.captured_minor).collect();
    assert_eq!(shares.iter().sum::<i64>(), total);
    let third = total / 3;
    assert!(
        shares.iter().all(|share| (share - third).abs() <= 1),
        "{shares:?}"
    );
    let payment = payment_of(app, id).await;
    assert_eq!(
        (payment.captured_minor, payment.capture_pending_minor),
        (total, 0)
    );
    assert_eq!(payment.authorization_expires_at, None);
    app.settle().await;
    let captured = captures(app, id).await;
    assert!(captured.iter().all(|(state, _)| *state == State::Succeeded));
    let told = events(app, id).await;
    let count = |name: &str| told.iter().filter(|event| *event == name).count();
    assert_eq!(count("order.capture_requested"), 3);
    assert_eq!(count("order.payment_captured"), 3);
    later(app, 24 * 8).await;
    assert_eq!(captures(app, id).await.len(), 3);
}

async fn p1_scans_before_the_door_capture_at_the_door_and_those_of_all_parcels_count(
    app: &TestApp,
) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 2, card("tok_approve")).await;
    let shipment = packed(app, &cup, id, 2).await[0];
    assert_eq!(
        scanned(app, shipment).await,
        0,
        "it has not left by our books"
    );
    leave(app, shipment).await;
    assert_eq!(captures(app, id).await.len(), 1);
    let other = placed(app, &cup, 2, card("tok_approve")).await;
    let shipment = packed(app, &cup, other, 2).await[0];
    leave(app, shipment).await;
    let first = hear(app, shipment, TrackingStatus::Delivered, true).await;
    assert_eq!(first, 0, "its carrier has one parcel of two");
    // That a parcel is lost does not say that it was ever there.
    assert_eq!(hear(app, shipment, TrackingStatus::Failure, false).await, 0);
    assert_eq!(scanned(app, shipment).await, 1);
    assert_eq!(seen(app, other).await["paymentStatus"], "PAID");
}

async fn p1_what_no_gateway_is_asked_about_is_captured_at_once(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 2, json!({ "method": "ACCOUNT" })).await;
    let shipment = packed(app, &cup, id, 1).await[0];
    leave(app, shipment).await;
    assert_eq!(scanned(app, shipment).await, 0, "there is nobody to ask");
    let payment = payment_of(app, id).await;
    assert_eq!(payment.gateway, "account");
    assert_eq!(payment.captured_minor, payment.authorized_minor);
    assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
    assert_eq!(
        captures(app, id).await,
        [(State::Succeeded, payment.captured_minor)]
    );
}

async fn p1_a_declined_capture_is_tried_again_and_a_person_may_do_so_too(app: &TestApp) {
    app.open_shop().await;
    let (id, shipment) = carried(app, "tok_capture_decline_first").await;
    assert_eq!(open(app, id).await, ["CAPTURE_FAILED"]);
    let now = seen(app, id).await;
    assert_eq!(now["stage"], "SHIPPED", "it is not un-shipped");
    let charge = charge_of(app, shipment).await;
    assert_eq!((charge.captured_minor, charge.attempts), (0, 1));
    assert!(charge.next_try_at.is_some());
    assert_eq!(payment_of(app, id).await.capture_pending_minor, 0);
    // A person asks too soon; the second refusal says nothing new.
    assert_eq!(
        act(app, "paymentCapture", id, json!({})).await["userErrors"],
        json!([])
    );
    later(app, 4).await;
    assert_eq!(open(app, id).await, ["CAPTURE_FAILED"]);
    assert_eq!(charge_of(app, shipment).await.attempts, 3);
    for _ in 0..6 {
        later(app, 4).await;
    }
    assert_eq!(open(app, id).await, [""; 0]);
    assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
    let done = act(app, "paymentCapture", id, json!({})).await;
    assert_eq!(codes(&done), ["ORDER_STATE_INVALID"]);
    let succeeded = captures(app, id).await;
    let succeeded = succeeded
        .iter()
        .filter(|(state, _)| *state == State::Succeeded);
    assert_eq!(succeeded.count(), 1);

    // One that is never given is asked for during a week, and then by a person alone.
    let (id, shipment) = carried(app, "tok_capture_decline").await;
    for _ in 0..(7 * 6 + 6) {
        later(app, 4).await;
    }
    let charge = charge_of(app, shipment).await;
    assert_eq!((charge.attempts, charge.next_try_at), (42, None));
    later(app, 24).await;
    act(app, "paymentCapture", id, json!({})).await;
    assert_eq!(charge_of(app, shipment).await.attempts, 43);
    assert!(open(app, id).await.contains(&"CAPTURE_FAILED".to_owned()));
}

async fn p1_a_capture_whose_answer_is_lost_is_made_once(app: &TestApp) {
    app.open_shop().await;
    for token in ["tok_capture_timeout_before", "tok_capture_timeout_after"] {
        let (id, shipment) = carried(app, token).await;
        let amount = charge_of(app, shipment).await.amount_minor;
        assert_eq!(captures(app, id).await, [(State::Unknown, amount)]);
        assert_eq!(payment_of(app, id).await.capture_pending_minor, amount);
        let asked = act(app, "paymentCapture", id, json!({})).await;
        assert_eq!(codes(&asked), ["IN_PROGRESS"]);
        later(app, 1).await;
        assert_eq!(
            captures(app, id).await,
            [(State::Succeeded, amount)],
            "{token}"
        );
        assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
    }
    let (id, _) = carried(app, "tok_capture_silent").await;
    for _ in 0..5 {
        later(app, 1).await;
    }
    assert_eq!(captures(app, id).await.len(), 1);
    assert_eq!(seen(app, id).await["paymentStatus"], "AUTHORIZED");
}

async fn p1_an_authorisation_that_ran_out_is_replaced_and_then_captured(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 1, card("tok_expires_soon")).await;
    let shipment = packed(app, &cup, id, 1).await[0];
    leave(app, shipment).await;
    app.clock.advance(Duration::hours(2));
    scanned(app, shipment).await;
    let told = open(app, id).await;
    assert!(told.contains(&"CAPTURE_FAILED".to_owned()), "{told:?}");
    let total = payment_of(app, id).await.authorized_minor;
    let refused = act(app, "paymentReauthorize", id, json!({ "token": " " })).await;
    assert_eq!(codes(&refused), ["PAYMENT_INVALID"]);
    let token = json!({ "token": "tok_approve" });
    let asked = act(app, "paymentReauthorize", id, token.clone()).await;
    assert_eq!(codes(&asked), [""; 0]);
    app.settle().await;
    assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
    assert_eq!(open(app, id).await, [""; 0]);
    let payment = payment_of(app, id).await;
    assert_eq!(
        (payment.authorized_minor, payment.captured_minor),
        (total, total),
        "what ran out went back"
    );
    assert_eq!(
        effects(app, id, Kind::Void).await,
        [(State::Succeeded, total)]
    );
    let again = act(app, "paymentReauthorize", id, token).await;
    assert_eq!(codes(&again), ["ORDER_STATE_INVALID"]);
}

async fn p1_what_a_single_capture_lets_go_of_is_set_aside_afresh(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 2, card("tok_capture_once")).await;
    part(app, id, 1).await;
    let total = payment_of(app, id).await.authorized_minor;
    let shipments = packed(app, &cup, id, 1).await;
    leave(app, shipments[0]).await;
    scanned(app, shipments[0]).await;
    let first = charge_of(app, shipments[0]).await.amount_minor;
    assert_eq!(
        effects(app, id, Kind::Authorization).await,
        [(State::Succeeded, total), (State::Succeeded, total - first)]
    );
    assert_eq!(
        effects(app, id, Kind::Void).await,
        [(State::Succeeded, total - first)]
    );
    assert_eq!(payment_of(app, id).await.authorized_minor, total);
    leave(app, shipments[1]).await;
    scanned(app, shipments[1]).await;
    let payment = payment_of(app, id).await;
    assert_eq!(
        (payment.authorized_minor, payment.captured_minor),
        (total, total)
    );
    assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
    assert_eq!(open(app, id).await, [""; 0]);
}

async fn p1_what_is_set_aside_is_set_aside_afresh_before_it_runs_out(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let told = placed(app, &cup, 1, card("tok_approve")).await;
    later(app, 24 * 4).await;
    assert_eq!(open(app, told).await, [""; 0]);
    later(app, 25).await;
    assert_eq!(open(app, told).await, ["AUTHORIZATION_EXPIRING"]);
    assert_eq!(seen(app, told).await["stage"], "STAGED", "it stops nothing");
    app.change_channel("web", |channel| channel.reauthorizes = Set(true))
        .await;
    let renewed = placed(app, &cup, 1, card("tok_approve")).await;
    let total = payment_of(app, renewed).await.authorized_minor;
    for _ in 0..3 {
        later(app, 24 * 4).await;
    }
    assert_eq!(open(app, renewed).await, [""; 0]);
    let payment = payment_of(app, renewed).await;
    assert_eq!(payment.authorized_minor, total);
    assert!(payment.authorization_expires_at.unwrap() > app.app.clock.now());
    let asked = effects(app, renewed, Kind::Authorization).await;
    assert_eq!(
        asked.len(),
        effects(app, renewed, Kind::Void).await.len() + 1
    );
    assert!(asked.len() > 1);
}

async fn p1_a_shipment_that_nobody_scans_is_an_exception_until_it_is(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 1, card("tok_approve")).await;
    let shipment = packed(app, &cup, id, 1).await[0];
    leave(app, shipment).await;
    later(app, 23).await;
    assert_eq!(open(app, id).await, [""; 0]);
    later(app, 1).await;
    assert_eq!(open(app, id).await, ["NO_PICKUP_SCAN"]);
    assert_eq!(seen(app, id).await["stage"], "SHIPPED", "it stops nothing");
    later(app, 24).await;
    assert_eq!(open(app, id).await, ["NO_PICKUP_SCAN"], "it is said once");
    scanned(app, shipment).await;
    assert_eq!(open(app, id).await, [""; 0]);
    assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
}
