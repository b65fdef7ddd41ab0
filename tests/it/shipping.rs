//! Carriers: who takes a shipment and why, labels that are bought once whatever becomes of the
//! answer, and what carriers say of parcels.

use std::collections::BTreeSet;

use api::fulfillment::packing::{self, Close, Open, ScanPack};
use api::fulfillment::picking::{self, ScanPick};
use api::fulfillment::scans::Read;
use api::fulfillment::{lists, tracking};
use api::graphql::ids::to_global;
use api::shipping::messages::Report;
use api::shipping::port::Sighting;
use api::shipping::{Settled, labels};
use api::tx::Actor;
use chrono::{DateTime, Duration, Utc};
use entity::shipment::{Status, TrackingStatus};
use entity::wave::Grouping;
use entity::{
    OrderId, ShipmentId, fulfillment_order, label, package, package_line, pick_task, shipment,
    tracking_event,
};
use reqwest::header::HeaderMap;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::dice::Dice;
use support::easypost::{Easypost, Fate};
use support::merchant::{Stocked, basket_with};
use support::{Backend, Place, Setup, TestApp, both_backends};

both_backends!(
    f3_a_quote_names_every_service_with_its_cost_and_why_it_lost,
    f3_carriers_are_data_and_what_is_wrong_with_them_is_said,
    f4_a_shipment_gets_its_labels_once_and_gives_them_back_until_it_leaves,
    p1_scans_move_a_shipment_by_rank_however_they_come,
    p1_a_scan_before_its_label_waits_for_it_and_a_forged_one_is_not_heard,
);

const SECRET: &str = "what the carrier and we know";

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

/// An order for mugs that are packed, each in a parcel of its own, and wait for their labels.
async fn packed(app: &TestApp, parcels: i64) -> (OrderId, ShipmentId) {
    let order = app
        .place(basket_with(json!({
            "lines": [{ "sku": "MUG-WHITE", "quantity": parcels }],
        })))
        .await;
    app.settle().await;
    let db = &app.app.db.read;
    let number = order["number"].as_str().unwrap().to_owned();
    let row = entity::order::Entity::find()
        .filter(entity::order::Column::Number.eq(number))
        .one(db)
        .await
        .unwrap()
        .unwrap();
    let work = fulfillment_order::Entity::find()
        .filter(fulfillment_order::Column::OrderId.eq(row.id))
        .one(db)
        .await
        .unwrap()
        .expect("a routed order");
    let (app, by) = (&app.app, &actor());
    let own = [(row.id, work.id)];
    let own = &own;
    let warehouse = work.warehouse_id;
    let released = app
        .write(by, move |tx| async move {
            lists::release(&tx, warehouse, None, own, Grouping::OneList).await
        })
        .await
        .unwrap();
    let list = released.lists[0];
    app.write(by, move |tx| async move { picking::claim(&tx, list).await })
        .await
        .unwrap();
    let tasks = pick_task::Entity::find()
        .filter(pick_task::Column::PickListId.eq(list))
        .all(db)
        .await
        .unwrap();
    for task in tasks {
        let units = task.quantity;
        let scanned = app
            .write(by, move |tx| async move {
                let cmd = ScanPick {
                    list_id: list,
                    bin: None,
                    read: read("MUG-WHITE", units),
                };
                picking::scan(&tx, &cmd).await
            })
            .await
            .unwrap();
        assert_eq!(scanned.refusal, None);
    }
    let shipment = shipment::Entity::find()
        .filter(shipment::Column::OrderId.eq(row.id))
        .one(db)
        .await
        .unwrap()
        .unwrap();
    let line = entity::order_line::Entity::find()
        .filter(entity::order_line::Column::OrderId.eq(row.id))
        .one(db)
        .await
        .unwrap()
        .unwrap();
    for _ in 0..parcels {
        let (shipment_id, line_id) = (shipment.id, line.id);
        let package = app
            .write(by, move |tx| async move {
                let cmd = Open {
                    shipment_id,
                    carton: None,
                    lines: Some(vec![(line_id, 1)]),
                };
                packing::open(&tx, &cmd).await
            })
            .await
            .unwrap();
        let scanned = app
            .write(by, move |tx| async move {
                let cmd = ScanPack {
                    package_id: package,
                    read: read("MUG-WHITE", 1),
                };
                packing::scan(&tx, &cmd).await
            })
            .await
            .unwrap();
        assert_eq!(scanned.refusal, None);
        app.write(by, move |tx| async move {
            let cmd = Close {
                package_id: package,
                weight_grams: None,
                accept_weight: false,
            };
            packing::close(&tx, &cmd).await
        })
        .await
        .unwrap();
    }
    (row.id, shipment.id)
}

async fn shipment_of(app: &TestApp, id: ShipmentId) -> shipment::Model {
    let rows = shipment::Entity::find_by_id(id);
    rows.one(&app.app.db.read).await.unwrap().unwrap()
}

async fn numbers(app: &TestApp, id: ShipmentId) -> Vec<Option<String>> {
    let rows = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .order_by_asc(package::Column::Position)
        .all(&app.app.db.read)
        .await
        .unwrap();
    rows.into_iter().map(|row| row.tracking_number).collect()
}

const LABELS: &str = "labels { kind trackingNumber reason }
    shipment { status carrier service trackingStatus promisedAt cost { amount } }
    userErrors { code message details }";

async fn buy(app: &TestApp, id: ShipmentId) -> Value {
    let query =
        format!("mutation($id: ID!) {{ shipmentBuyLabels(input: {{ id: $id }}) {{ {LABELS} }} }}");
    let id = to_global(id);
    app.gql(&query, json!({ "id": id })).await["shipmentBuyLabels"].take()
}

async fn void(app: &TestApp, id: ShipmentId) -> Value {
    let query =
        format!("mutation($id: ID!) {{ shipmentVoidLabels(input: {{ id: $id }}) {{ {LABELS} }} }}");
    let id = to_global(id);
    app.gql(&query, json!({ "id": id })).await["shipmentVoidLabels"].take()
}

async fn dispatch(app: &TestApp, id: ShipmentId) {
    let reference = &app.app.reference().await.unwrap();
    app.app
        .write(&actor(), move |tx| async move {
            api::fulfillment::dispatch::dispatch(&tx, reference, id).await
        })
        .await
        .unwrap();
}

async fn make(app: &TestApp, mutation: &str, input: Value, node: &str) -> Value {
    let mut kind = mutation.to_owned();
    kind[..1].make_ascii_uppercase();
    let query = format!(
        "mutation($input: {kind}Input!) {{ {mutation}(input: $input) {{ {node}
            userErrors {{ code field message }} }} }}"
    );
    app.gql(&query, json!({ "input": input })).await[mutation].take()
}

fn codes(payload: &Value) -> Vec<&str> {
    let errors = payload["userErrors"].as_array().into_iter().flatten();
    errors.filter_map(|error| error["code"].as_str()).collect()
}

async fn f3_a_quote_names_every_service_with_its_cost_and_why_it_lost(app: &TestApp) {
    app.open_shop().await;
    let sites = app
        .gql("{ warehouses(first: 1) { nodes { id } } }", json!({}))
        .await;
    let site = &sites["warehouses"]["nodes"][0]["id"];
    let query = "query($input: ShippingQuoteInput!) { shippingQuote(input: $input) {
        quote { keepsPromise candidates { carrier service rating zone billableGrams cost { amount }
            lines { kind amount { amount } } pickedUpOn promisedAt chosen reason } }
        userErrors { code field } } }";
    let ask = async |changes: Value| {
        let mut input = json!({
            "warehouseId": site, "currency": "EUR",
            "address": { "country": "at", "postalCode": "1010" },
            "parcels": [{ "weightGrams": 1200 }],
        });
        for (field, value) in changes.as_object().into_iter().flatten() {
            input[field] = value.clone();
        }
        app.gql(query, json!({ "input": input })).await["shippingQuote"].take()
    };
    let quote = ask(json!({})).await["quote"].take();
    let best = &quote["candidates"][0];
    // 4.50 and 4 % for fuel; Tuesday at ten in Vienna, two delivery days.
    assert_eq!(best["carrier"], "ALPENPOST");
    assert_eq!(best["cost"]["amount"], "4.68");
    assert_eq!(
        best["lines"],
        json!([
            { "kind": "BASE", "amount": { "amount": "4.50" } },
            { "kind": "FUEL", "amount": { "amount": "0.18" } },
        ])
    );
    assert_eq!(best["pickedUpOn"], "2026-12-01");
    assert_eq!(best["promisedAt"], "2026-12-03T22:59:59+00:00");
    assert_eq!(
        (&best["rating"], &best["reason"]),
        (&json!("TABLE"), &json!("CHOSEN"))
    );
    assert_eq!(quote["candidates"].as_array().unwrap().len(), 6);
    let again = ask(json!({})).await["quote"].take();
    assert_eq!(again, quote, "the same question has the same answer");
    // Tomorrow evening needs an overnight service, and the cheapest of those.
    let soon = ask(json!({ "promisedBy": "2026-12-03T00:00:00Z" })).await["quote"].take();
    assert_eq!(soon["candidates"][0]["service"], "PREMIUM");
    let late: Vec<&Value> = soon["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["reason"] == "TOO_LATE")
        .map(|one| &one["service"])
        .collect();
    assert_eq!(late, ["PAKET", "ROAD", "ECONOMY"]);
    // Past the cut-off nobody can: the soonest goes, and the quote says so.
    let evening = json!({
        "readyAt": "2026-12-01T20:00:00Z", "promisedBy": "2026-12-03T00:00:00Z",
    });
    let evening = ask(evening).await["quote"].take();
    assert_eq!(evening["keepsPromise"], false);
    assert_eq!(
        evening["candidates"][0]["promisedAt"],
        "2026-12-03T22:59:59+00:00"
    );
    let box_ = json!({ "address": { "country": "AT", "poBox": true }, "serviceLevel": "express" });
    let refused = ask(box_).await["quote"].take();
    let reasons: BTreeSet<&str> = refused["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        BTreeSet::from(["OTHER_SERVICE_LEVEL", "PO_BOX_REFUSED"])
    );
    let heavy = ask(json!({ "parcels": [{ "weightGrams": 80000 }] })).await["quote"].take();
    assert!(
        heavy["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["reason"] == "OVERWEIGHT" && one["cost"].is_null())
    );
    let far = json!({ "address": { "country": "JP" } });
    let far = ask(far).await["quote"].take();
    assert_eq!(far["candidates"][0]["carrier"], "GLOBUS");
    assert_eq!(far["candidates"][0]["zone"], "world");
    let wrong =
        json!({ "parcels": [{ "weightGrams": 0, "lengthMm": 3 }], "address": { "country": "XX" } });
    let wrong = ask(wrong).await;
    assert_eq!(
        codes(&wrong),
        ["QUANTITY_INVALID", "QUANTITY_INVALID", "INVALID_INPUT"]
    );
}

async fn f3_carriers_are_data_and_what_is_wrong_with_them_is_said(app: &TestApp) {
    let carrier = json!({
        "code": "POST", "name": "Post", "adapter": "TABLE", "trackingPrefix": "po",
        "trackingUrl": "https://post.example/{number}", "webhookSecret": SECRET,
    });
    let node = "carrier { id version trackingPrefix sendsMessages }";
    let made = make(app, "carrierSave", carrier.clone(), node).await["carrier"].take();
    assert_eq!(made["trackingPrefix"], "PO");
    assert_eq!(made["sendsMessages"], true);
    let mut stale = carrier.clone();
    stale["expectedVersion"] = json!(0);
    let stale = make(app, "carrierSave", stale, node).await;
    assert_eq!(codes(&stale), ["STALE_VERSION"]);
    let wrong = json!({
        "code": "A B", "name": "", "adapter": "TABLE", "trackingUrl": "post.example",
        "trackingPrefix": "TOO-LONG", "webhookSecret": "short",
    });
    let wrong = make(app, "carrierSave", wrong, node).await;
    assert_eq!(codes(&wrong).len(), 5, "{wrong:#}");
    let service = json!({
        "carrierId": made["id"], "code": "PARCEL", "name": "Parcel", "cutOff": "16:00",
        "timeZone": "Europe/Vienna", "pickupWeekdays": ["MONDAY", "TUESDAY"],
        "deliveryWeekdays": ["WEDNESDAY"], "transitDays": 1, "maxGrams": 5000,
    });
    let node = "carrierService { id cutOff pickupWeekdays version }";
    let saved = make(app, "carrierServiceSave", service.clone(), node).await;
    let saved = &saved["carrierService"];
    assert_eq!(saved["cutOff"], "16:00");
    assert_eq!(saved["pickupWeekdays"], json!(["MONDAY", "TUESDAY"]));
    let mut wrong = service;
    wrong["cutOff"] = json!("4 pm");
    wrong["timeZone"] = json!("Vienna");
    wrong["pickupWeekdays"] = json!([]);
    wrong["transitDays"] = json!(-1);
    let wrong = make(app, "carrierServiceSave", wrong, node).await;
    assert_eq!(codes(&wrong).len(), 4, "{wrong:#}");
    let zone = json!({ "carrierId": made["id"], "code": "AT", "countries": ["AT"] });
    let zone = make(app, "carrierZoneSave", zone, "carrierZone { id }").await;
    let zone = &zone["carrierZone"]["id"];
    let node =
        "carrierService { rates { upToGrams price { amount } } surcharges { kind percent } }";
    let rates = |steps: Value| json!({ "serviceId": saved["id"], "zoneId": zone, "currency": "EUR", "rates": steps });
    let steps =
        json!([{ "upToGrams": 1000, "price": "3.90" }, { "upToGrams": 5000, "price": "5" }]);
    let done = make(app, "carrierRatesReplace", rates(steps.clone()), node).await;
    let kept = done["carrierService"]["rates"].as_array().unwrap().len();
    assert_eq!(kept, 2);
    let done = make(app, "carrierRatesReplace", rates(json!([steps[0]])), node).await;
    assert_eq!(
        done["carrierService"]["rates"],
        json!([{ "upToGrams": 1000, "price": { "amount": "3.90" } }])
    );
    let twice = make(
        app,
        "carrierRatesReplace",
        rates(json!([steps[0], steps[0]])),
        node,
    )
    .await;
    assert_eq!(codes(&twice), ["INVALID_INPUT"]);
    let surcharges = json!({ "serviceId": saved["id"], "surcharges": [
        { "kind": "FUEL", "percent": "0.1" },
        { "kind": "OVERSIZE", "amount": { "amount": 5, "currency": "EUR" }, "aboveLengthMm": 1000 },
    ] });
    let done = make(app, "carrierSurchargesReplace", surcharges, node).await;
    assert_eq!(
        done["carrierService"]["surcharges"],
        json!([{ "kind": "FUEL", "percent": "0.1" }, { "kind": "OVERSIZE", "percent": null }])
    );
    let wrong = json!({ "serviceId": saved["id"], "surcharges": [
        { "kind": "FUEL" }, { "kind": "REMOTE", "percent": "0.1" }, { "kind": "OVERSIZE", "percent": "11" },
    ] });
    let wrong = make(app, "carrierSurchargesReplace", wrong, node).await;
    assert_eq!(codes(&wrong).len(), 4, "{wrong:#}");
}

async fn f4_a_shipment_gets_its_labels_once_and_gives_them_back_until_it_leaves(app: &TestApp) {
    app.open_shop().await;
    let (_, id) = packed(app, 2).await;
    let bought = buy(app, id).await;
    assert_eq!(bought["userErrors"], json!([]));
    assert_eq!(bought["shipment"]["status"], "LABELED");
    assert_eq!(bought["shipment"]["carrier"], "ALPENPOST");
    assert_eq!(bought["shipment"]["trackingStatus"], "PRE_TRANSIT");
    // Two parcels at 3.90, and 4 % for fuel on each.
    assert_eq!(bought["shipment"]["cost"]["amount"], "8.12");
    assert_eq!(
        numbers(app, id).await,
        [
            Some("AP000000000017".to_owned()),
            Some("AP000000000024".to_owned())
        ]
    );
    let again = buy(app, id).await;
    assert_eq!(codes(&again), ["FULFILLMENT_STATE_INVALID"]);
    let given_back = void(app, id).await;
    assert_eq!(given_back["labels"][0]["kind"], "VOIDED");
    assert_eq!(given_back["shipment"]["status"], "PACKED");
    assert_eq!(numbers(app, id).await, [None, None]);
    assert_eq!(codes(&void(app, id).await), ["FULFILLMENT_STATE_INVALID"]);
    let bought = buy(app, id).await;
    assert_eq!(bought["labels"][0]["trackingNumber"], "AP000000000031");
    dispatch(app, id).await;
    assert_eq!(codes(&void(app, id).await), ["FULFILLMENT_STATE_INVALID"]);
    let all = label::Entity::find().count(&app.app.db.read).await.unwrap();
    assert_eq!(all, 4);
}

/// How many schedules are tried.
fn schedules() -> u64 {
    match std::env::var_os("OMS_LONG") {
        Some(_) => 200,
        None => 20,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_a_label_is_bought_once_whatever_becomes_of_the_answer_sqlite() {
    bought_once(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_a_label_is_bought_once_whatever_becomes_of_the_answer_postgres() {
    bought_once(Backend::Postgres).await;
}

/// A carrier of its own that EasyPost speaks for, cheaper than any other.
async fn at_easypost(app: &TestApp) {
    let carrier = json!({
        "code": "ParcelCo", "name": "Parcel Co", "adapter": "EASYPOST", "webhookSecret": SECRET,
    });
    let made = make(app, "carrierSave", carrier, "carrier { id }").await["carrier"].take();
    let week = json!([
        "MONDAY",
        "TUESDAY",
        "WEDNESDAY",
        "THURSDAY",
        "FRIDAY",
        "SATURDAY",
        "SUNDAY"
    ]);
    let service = json!({
        "carrierId": made["id"], "code": "Ground", "name": "Ground", "cutOff": "24:00",
        "timeZone": "UTC", "pickupWeekdays": week, "deliveryWeekdays": week, "transitDays": 2,
    });
    let service = make(app, "carrierServiceSave", service, "carrierService { id }").await;
    let zone = json!({ "carrierId": made["id"], "code": "ALL", "countries": ["*"] });
    let zone = make(app, "carrierZoneSave", zone, "carrierZone { id }").await;
    let rates = json!({
        "serviceId": service["carrierService"]["id"], "zoneId": zone["carrierZone"]["id"],
        "currency": "EUR", "rates": [{ "upToGrams": 5000, "price": "1.10" }],
    });
    make(app, "carrierRatesReplace", rates, "carrierService { id }").await;
}

async fn bought_once(backend: Backend) {
    let Some(place) = Place::migrated(backend).await else {
        return;
    };
    let easypost = Easypost::start().await;
    let url = easypost.url();
    let settings = [
        ("OMS__SHIPPING__EASYPOST_URL", url.as_str()),
        ("OMS__SHIPPING__EASYPOST_KEY", "a key for tests"),
    ];
    let setup = Setup {
        settings: &settings,
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    at_easypost(&app).await;
    receive_mugs(&app, schedules().cast_signed()).await;
    let mut dice = Dice::new(0x5eed);
    let (mut labelled, mut refused) = (0, 0);
    for schedule in 0..schedules() {
        let (_, id) = packed(&app, 1).await;
        let fates: Vec<Fate> = (0..dice.roll(9)).map(|_| dice.one(&Fate::ALL)).collect();
        easypost.fates(fates.clone());
        let tried = format!("schedule {schedule}: {fates:?}");
        // Two who ask at once, as two nodes would.
        let by = actor();
        let (one, other) = tokio::join!(
            app.app.label_shipment(&by, id),
            app.app.label_shipment(&by, id)
        );
        assert!(one.is_ok() || other.is_ok(), "{tried}");
        let mut rounds = 0;
        let rows = loop {
            let rows = label::Entity::find()
                .filter(label::Column::PackageId.in_subquery(packages_of(id)))
                .all(&app.app.db.read)
                .await
                .unwrap();
            let open = [label::State::Sent, label::State::Unknown];
            if !rows.iter().any(|row| open.contains(&row.state)) {
                break rows;
            }
            rounds += 1;
            assert!(rounds < 20, "{tried} never ends");
            app.clock.advance(Duration::seconds(3_601));
            app.settle().await;
        };
        // Nothing that was still on its way changes that.
        app.clock.advance(Duration::hours(1));
        app.settle().await;
        let sold: Vec<String> = rows
            .iter()
            .flat_map(|row| easypost.sold(&row.id.to_string()))
            .collect();
        let bought: Vec<String> = rows
            .iter()
            .filter(|row| row.state == label::State::Succeeded)
            .filter_map(|row| row.tracking_number.clone())
            .collect();
        assert_eq!(sold, bought, "{tried}");
        assert!(bought.len() <= 1, "{tried}");
        let shipment = shipment_of(&app, id).await;
        if let [number] = &bought[..] {
            labelled += 1;
            assert_eq!(shipment.status, Status::Labeled, "{tried}");
            assert_eq!(numbers(&app, id).await, [Some(number.clone())]);
            let kept = labels::document(&app.app.db.read, rows[0].package_id).await;
            let (_, document) = kept.unwrap().expect("the carrier's label");
            assert_eq!(document, b"^XA^XZ");
            assert_eq!(shipment.cost_minor, Some(100), "what the carrier asks");
        } else {
            refused += 1;
            assert_eq!(shipment.status, Status::Packed, "{tried}");
            let declined = |row: &label::Model| row.state == label::State::Declined;
            assert!(rows.iter().all(declined), "{tried}");
        }
    }
    assert!(
        labelled > refused && refused > 0,
        "{labelled} and {refused}"
    );
    // Giving back is repeated until there is an answer.
    let (_, id) = packed(&app, 1).await;
    easypost.fates([]);
    let outcome = app.app.label_shipment(&actor(), id).await.unwrap();
    assert!(matches!(outcome[..], [Settled::Bought { .. }]));
    let number = numbers(&app, id).await[0].clone().unwrap();
    easypost.fates([Fate::LostAfter, Fate::ErrorBefore]);
    assert_eq!(void(&app, id).await["labels"][0]["kind"], "PENDING");
    for _ in 0..3 {
        app.clock.advance(Duration::seconds(61));
        app.settle().await;
    }
    assert_eq!(easypost.refunded(), 1);
    // A carrier of whom nothing is heard is asked.
    app.app.label_shipment(&actor(), id).await.unwrap();
    let second = numbers(&app, id).await[0].clone().unwrap();
    assert_ne!(second, number);
    dispatch(&app, id).await;
    easypost.scan(&second, "in_transit", "2026-12-05T10:00:00Z");
    app.clock.advance(Duration::hours(7));
    app.settle().await;
    let shipment = shipment_of(&app, id).await;
    assert_eq!(shipment.tracking_status, TrackingStatus::InTransit);
    let calls = easypost.calls();
    app.settle().await;
    assert_eq!(easypost.calls(), calls, "nobody is asked twice at once");
    app.finish().await;
}

fn packages_of(id: ShipmentId) -> sea_orm::sea_query::SelectStatement {
    use sea_orm::QuerySelect;
    use sea_orm::QueryTrait;
    package::Entity::find()
        .select_only()
        .column(package::Column::Id)
        .filter(package::Column::ShipmentId.eq(id))
        .into_query()
}

fn scan(number: &str, status: TrackingStatus, hour: i64) -> Report {
    let start: DateTime<Utc> = "2026-12-02T08:00:00Z".parse().unwrap();
    Report {
        tracking_number: number.to_owned(),
        sighting: Sighting {
            status,
            code: format!("{status:?}"),
            place: None,
            occurred_at: start + Duration::hours(hour),
        },
    }
}

async fn hear(app: &TestApp, carrier: &str, reports: &[Report]) -> tracking::Heard {
    app.app
        .write(&Actor::worker("shipping"), move |tx| async move {
            tracking::receive(&tx, carrier, reports).await
        })
        .await
        .unwrap()
}

/// Every order of so many things, by their places.
fn permutations(things: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for thing in 0..things {
        all = all
            .iter()
            .flat_map(|some: &Vec<usize>| {
                (0..=some.len()).map(move |place| {
                    let mut more = some.clone();
                    more.insert(place, thing);
                    more
                })
            })
            .collect();
    }
    all
}

async fn receive_mugs(app: &TestApp, units: i64) {
    let db = &app.app.db.read;
    let mug = entity::variant::Entity::find().filter(entity::variant::Column::Sku.eq("MUG-WHITE"));
    let mug = mug.one(db).await.unwrap().unwrap();
    let row = entity::stock::Entity::find().filter(entity::stock::Column::VariantId.eq(mug.id));
    let row = row.one(db).await.unwrap().unwrap();
    let mugs = Stocked {
        id: mug.id,
        sku: mug.sku,
        warehouse: row.warehouse_id,
    };
    app.receive(&mugs, units).await;
}

/// All 720 orders of a journey's six scans with `OMS_LONG`; without it, eight of them.
async fn p1_scans_move_a_shipment_by_rank_however_they_come(app: &TestApp) {
    use TrackingStatus::*;
    app.open_shop().await;
    let all = permutations(6);
    let step = match std::env::var_os("OMS_LONG") {
        Some(_) => 1,
        None => 97,
    };
    receive_mugs(app, 720).await;
    for orders in all.iter().step_by(step) {
        let (order, id) = packed(app, 1).await;
        buy(app, id).await;
        dispatch(app, id).await;
        let number = numbers(app, id).await[0].clone().unwrap();
        let journey = [
            PreTransit,
            CarrierPickedUp,
            InTransit,
            InTransit,
            OutForDelivery,
            Delivered,
        ];
        let scans: Vec<Report> = (0..)
            .zip(journey)
            .map(|(hour, is)| scan(&number, is, hour))
            .collect();
        let delivered_at = scans[5].sighting.occurred_at;
        // As the order says, and each once more three places on.
        let mut calls: Vec<Report> = orders.iter().map(|place| scans[*place].clone()).collect();
        for (late, place) in (0..).zip(orders) {
            let next = std::cmp::min(late * 2 + 4, calls.len());
            calls.insert(next, scans[*place].clone());
        }
        let mut best = PreTransit;
        let mut heard = 0;
        for next in calls {
            let status = next.sighting.status;
            heard += hear(app, "ALPENPOST", &[next]).await.new;
            if tracking::rank(status) > tracking::rank(best) {
                best = status;
            }
            assert_eq!(shipment_of(app, id).await.tracking_status, best);
        }
        assert_eq!(heard, 6, "each is kept once");
        let shipment = shipment_of(app, id).await;
        assert_eq!(shipment.delivered_at, Some(delivered_at));
        let query = "query($id: ID!) { order(by: { id: $id }) { stage }
            shipment(id: $shipment) { trackingEvents { status occurredAt } } }"
            .replace("($id: ID!)", "($id: ID!, $shipment: ID!)");
        let ids = json!({ "id": to_global(order), "shipment": to_global(id) });
        let seen = app.gql(&query, ids).await;
        assert_eq!(seen["order"]["stage"], "DELIVERED");
        let events = seen["shipment"]["trackingEvents"].as_array().unwrap();
        assert_eq!(events.len(), 6);
        assert_eq!(events[5]["status"], "DELIVERED");
    }
    // Of two parcels, the last decides.
    let (order, id) = packed(app, 2).await;
    buy(app, id).await;
    dispatch(app, id).await;
    let both: Vec<String> = numbers(app, id).await.into_iter().flatten().collect();
    hear(app, "ALPENPOST", &[scan(&both[0], Delivered, 9)]).await;
    let row = |id| entity::order::Entity::find_by_id(id).one(&app.app.db.read);
    assert_eq!(
        row(order).await.unwrap().unwrap().stage,
        entity::order::Stage::Shipped
    );
    hear(app, "ALPENPOST", &[scan(&both[1], Delivered, 8)]).await;
    assert_eq!(
        row(order).await.unwrap().unwrap().stage,
        entity::order::Stage::Delivered
    );
}

async fn p1_a_scan_before_its_label_waits_for_it_and_a_forged_one_is_not_heard(app: &TestApp) {
    app.open_shop().await;
    let carrier = json!({
        "code": "ALPENPOST", "name": "Alpenpost", "adapter": "TABLE", "trackingPrefix": "AP",
        "webhookSecret": SECRET,
    });
    make(app, "carrierSave", carrier, "carrier { id }").await;
    let body = json!({ "events": [{
        "trackingNumber": "AP000000000017", "status": "CARRIER_PICKED_UP", "place": "Wien",
        "occurredAt": "2026-12-01T08:00:00Z",
    }] })
    .to_string();
    let now = app.app.clock.now().timestamp();
    let send = async |carrier: &str, stamp: i64, signed: &str| {
        let mut headers = HeaderMap::new();
        let signature = format!("sha256={}", hmac(SECRET, &format!("{stamp}.{signed}")));
        headers.insert("x-oms-signature", signature.parse().unwrap());
        headers.insert("x-oms-timestamp", stamp.to_string().parse().unwrap());
        let request = support::http()
            .post(app.url(&format!("/webhooks/carriers/{carrier}")))
            .headers(headers)
            .body(body.clone());
        let answer = app.send(request).await;
        (answer.status, answer.body)
    };
    assert_eq!(send("ALPENPOST", now, "another body").await.0, 401);
    assert_eq!(send("ALPENPOST", now - 301, &body).await.0, 401);
    assert_eq!(send("NOBODY", now, &body).await.0, 404);
    assert_eq!(send("GLOBUS", now, &body).await.0, 404, "it has no secret");
    let kept = tracking_event::Entity::find();
    assert_eq!(kept.count(&app.app.db.read).await.unwrap(), 0);
    let heard = send("ALPENPOST", now, &body).await;
    assert_eq!(heard, (200, json!({ "new": 1, "parked": 1 })));
    let again = send("ALPENPOST", now, &body).await;
    assert_eq!(again, (200, json!({ "new": 0, "parked": 0 })));
    let (_, id) = packed(app, 1).await;
    buy(app, id).await;
    app.settle().await;
    let shipment = shipment_of(app, id).await;
    assert_eq!(shipment.tracking_status, TrackingStatus::CarrierPickedUp);
    let lines = package_line::Entity::find();
    assert_eq!(lines.count(&app.app.db.read).await.unwrap(), 1);
}

/// Sends what a carrier signed; the status and the answer.
pub async fn signed(app: &TestApp, carrier: &str, secret: &str, body: &str) -> (u16, Value) {
    let stamp = app.app.clock.now().timestamp();
    let signature = hmac(secret, &format!("{stamp}.{body}"));
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-oms-signature",
        format!("sha256={signature}").parse().unwrap(),
    );
    headers.insert("x-oms-timestamp", stamp.to_string().parse().unwrap());
    let request = support::http()
        .post(app.url(&format!("/webhooks/carriers/{carrier}")))
        .headers(headers)
        .body(body.to_owned());
    let answer = app.send(request).await;
    (answer.status, answer.body)
}

/// HMAC-SHA256 under a secret, in hexadecimal.
fn hmac(secret: &str, text: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
