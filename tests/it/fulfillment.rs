//! From staging to the carrier: who sends what and why, waves, bins, two scans, packages, the door.

use api::fulfillment::tracking;
use api::shipping::messages::Report;
use api::shipping::port::Sighting;
use api::tx::Actor;
use entity::shipment::TrackingStatus;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use support::merchant::{Stocked, basket_with, codes};
use support::{TestApp, both_backends};

both_backends!(
    a1_an_order_goes_from_staging_to_the_carrier_by_double_scan,
    f2a_a_list_has_one_picker_and_leads_through_the_bins_in_walking_order,
    f2a_a_short_pick_takes_from_another_bin_and_then_waits_for_stock,
    f2a_a_count_takes_units_off_a_released_list,
    f2a_what_is_missing_of_a_begun_order_becomes_one_of_its_own,
    f2a_units_in_a_locked_bin_wait_for_a_person_and_are_found_when_it_is_unlocked,
    f2a_what_was_picked_for_a_cancelled_order_is_picked_again_from_staging,
    f2b_a_wrong_scan_is_refused_written_down_and_changes_nothing,
    f2b_a_case_is_worth_its_units_and_a_repeated_scan_counts_once,
    f2b_who_has_picked_may_not_pack_where_two_people_are_asked_for,
    f5a_only_what_is_packed_labelled_and_not_stopped_leaves_and_it_leaves_once,
    f5a_of_two_parts_one_leaves_while_the_other_is_stopped,
    f3_the_warehouse_that_can_send_everything_is_chosen_and_says_why,
    f3_work_is_moved_split_and_merged_with_its_stock,
    f4_labels_and_slips_are_printed_when_a_carrier_is_chosen_and_void_with_its_labels,
    f5b_one_notice_a_shipment_and_another_when_its_number_is_corrected,
    t2_a_wave_saves_visits_and_stays_right_when_orders_leave_it_and_units_are_missing,
    t2_work_is_in_one_wave_at_most,
    northwind_goes_from_staging_to_the_door_by_the_api_alone,
);

const ORDER: &str = "query Order($id: ID!) { order(by: { id: $id }) {
    id number status stage fulfillmentStatus
    exceptions { id code status details }
    lines { id sku quantity allocated picked packed shipped backordered }
    fulfillmentOrders { id number status routing holdReason wave { id }
        warehouse { code } lines { quantity picked packed line { id sku } } }
    shipments { id number status trackingStatus carrier
        packages { id status carton expectedGrams weightGrams trackingNumber
            lines { expected packed line { sku } } } } } }";

const LIST: &str = "query List($id: ID!) { pickList(id: $id) { id number status picker name
    tasks { id position slot quantity picked status bin { id code } variant { id sku }
        fulfillmentOrder { id } } } }";

async fn order(app: &TestApp, id: &Value) -> Value {
    app.gql(ORDER, json!({ "id": id })).await["order"].take()
}

async fn list(app: &TestApp, id: &Value) -> Value {
    app.gql(LIST, json!({ "id": id })).await["pickList"].take()
}

/// Runs a mutation as an administrator and returns its payload.
async fn run(app: &TestApp, mutation: &str, kind: &str, ask: &str, input: Value) -> Value {
    run_as(app, &app.admin_key, mutation, kind, ask, input).await
}

async fn run_as(
    app: &TestApp,
    key: &str,
    mutation: &str,
    kind: &str,
    ask: &str,
    input: Value,
) -> Value {
    let document = format!(
        "mutation Act($input: {kind}!) {{ {mutation}(input: $input) {{ {ask}
            userErrors {{ code field message details }} }} }}"
    );
    let mut data = app.gql_as(key, &document, json!({ "input": input })).await;
    data[mutation].take()
}

#[track_caller]
fn ok(payload: Value) -> Value {
    assert_eq!(payload["userErrors"], json!([]), "{payload:#}");
    payload
}

/// An order that is released and routed, and what a warehouse has of it.
pub async fn routed(app: &TestApp, lines: &[(&Stocked, i64)]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(of, quantity)| json!({ "sku": of.sku, "quantity": quantity }))
        .collect();
    let placed = app.place(basket_with(json!({ "lines": lines }))).await;
    app.settle().await;
    order(app, &placed["id"]).await
}

/// A list for work of orders, each of which is in one warehouse.
pub async fn listed(app: &TestApp, of: &Stocked, orders: &[&Value]) -> Value {
    let ids: Vec<&Value> = orders
        .iter()
        .map(|order| &order["fulfillmentOrders"][0]["id"])
        .collect();
    let payload = run(
        app,
        "pickListCreate",
        "PickListCreateInput",
        "pickList { id } leftOut { reason }",
        json!({ "warehouseId": warehouse(of), "fulfillmentOrderIds": ids }),
    )
    .await;
    let id = ok(payload)["pickList"]["id"].clone();
    list(app, &id).await
}

fn warehouse(of: &Stocked) -> Value {
    json!(api::graphql::ids::to_global(of.warehouse).as_str())
}

async fn claim(app: &TestApp, key: &str, id: &Value) -> Value {
    let ask = "pickList { status picker }";
    run_as(
        app,
        key,
        "pickListClaim",
        "PickListInput",
        ask,
        json!({ "id": id }),
    )
    .await
}

async fn pick(app: &TestApp, list: &Value, code: &str, quantity: i64) -> Value {
    let input =
        json!({ "pickListId": list, "code": code, "quantity": quantity, "device": "gun-1" });
    let ask = "scan { accepted sku units left slots { slot units } }";
    run(app, "pickScan", "PickScanInput", ask, input).await
}

async fn pack(app: &TestApp, key: &str, package: &Value, code: &str, quantity: i64) -> Value {
    let input = json!({ "packageId": package, "code": code, "quantity": quantity });
    let ask = "scan { accepted sku units left }";
    run_as(app, key, "packScan", "PackScanInput", ask, input).await
}

/// Picks everything that is left on a list.
async fn pick_all(app: &TestApp, id: &Value) {
    ok(claim(app, &app.admin_key, id).await);
    loop {
        let list = list(app, id).await;
        let open = list["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|task| task["status"] == "OPEN");
        let Some(task) = open else { break };
        let left = task["quantity"].as_i64().unwrap() - task["picked"].as_i64().unwrap();
        ok(pick(app, id, task["variant"]["sku"].as_str().unwrap(), left).await);
    }
}

/// Opens a package for whatever an order's shipment has, and returns it.
async fn open(app: &TestApp, order: &Value) -> Value {
    let shipment = live_shipment(order);
    let ask = "package { id carton lines { expected line { sku } } }";
    let input = json!({ "shipmentId": shipment["id"] });
    ok(run(app, "packageOpen", "PackageOpenInput", ask, input).await)["package"].take()
}

fn live_shipment(order: &Value) -> &Value {
    let shipments = order["shipments"].as_array().unwrap();
    shipments
        .iter()
        .find(|one| one["status"] != "CANCELLED")
        .unwrap()
}

/// Packs an order that is picked, in as many packages as it takes.
async fn pack_all(app: &TestApp, id: &Value) {
    loop {
        let now = order(app, id).await;
        if live_shipment(&now)["status"] != "PICKED" {
            break;
        }
        let package = open(app, &now).await;
        for line in package["lines"].as_array().unwrap() {
            let (sku, units) = (line["line"]["sku"].as_str().unwrap(), &line["expected"]);
            ok(pack(
                app,
                &app.admin_key,
                &package["id"],
                sku,
                units.as_i64().unwrap(),
            )
            .await);
        }
        ok(close(app, &package["id"]).await);
    }
}

async fn close(app: &TestApp, package: &Value) -> Value {
    let ask = "package { id status weightGrams }";
    let input = json!({ "id": package, "weightGrams": 500, "acceptWeight": true });
    run(app, "packageClose", "PackageCloseInput", ask, input).await
}

/// Records labels for every package of an order's shipment.
async fn label(app: &TestApp, id: &Value) -> Value {
    let now = order(app, id).await;
    let shipment = live_shipment(&now);
    let parcels: Vec<Value> = shipment["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["status"] == "CLOSED")
        .map(|package| {
            json!({ "packageId": package["id"],
                "trackingNumber": format!("T{}", &package["id"].as_str().unwrap()[20..]) })
        })
        .collect();
    let input = json!({ "id": shipment["id"], "carrier": "POST", "service": "Parcel",
        "parcels": parcels });
    let ask = "shipment { id status }";
    run(
        app,
        "shipmentLabelRecord",
        "ShipmentLabelRecordInput",
        ask,
        input,
    )
    .await
}

async fn dispatch(app: &TestApp, shipment: &Value) -> Value {
    let input = json!({ "ids": [shipment] });
    let ask = "results { shipment { status dispatchedAt } userErrors { code message details } }";
    let payload = run(app, "shipmentDispatch", "ShipmentDispatchInput", ask, input).await;
    ok(payload)["results"][0].take()
}

async fn cancel(app: &TestApp, id: &Value) -> Value {
    let input = json!({ "id": id, "reason": "changed my mind" });
    run(
        app,
        "orderCancel",
        "OrderEndInput",
        "order { status stage }",
        input,
    )
    .await
}

/// Picks, packs, labels and hands over a routed order.
pub async fn send(app: &TestApp, of: &Stocked, placed: &Value) {
    let sheet = listed(app, of, &[placed]).await;
    pick_all(app, &sheet["id"]).await;
    pack_all(app, &placed["id"]).await;
    ok(label(app, &placed["id"]).await);
    let now = order(app, &placed["id"]).await;
    ok(dispatch(app, &live_shipment(&now)["id"]).await);
}

/// Says that the carriers have every parcel that has a number.
pub async fn scanned(app: &TestApp) {
    let at = app.app.clock.now();
    let rows = entity::package::Entity::find().all(&app.app.db.read).await;
    let numbers = rows
        .unwrap()
        .into_iter()
        .filter_map(|row| row.tracking_number);
    let reports: Vec<Report> = numbers
        .map(|tracking_number| Report {
            tracking_number,
            sighting: Sighting {
                status: TrackingStatus::CarrierPickedUp,
                code: "picked up".to_owned(),
                place: None,
                occurred_at: at,
            },
        })
        .collect();
    let reports = &reports;
    let heard = app
        .app
        .write(&Actor::worker("shipping"), move |tx| async move {
            tracking::receive(&tx, "POST", reports).await
        })
        .await
        .unwrap();
    app.app.ask_gateways(heard.effects).await.unwrap();
}

#[track_caller]
fn stages(timeline: &Value) -> Vec<&str> {
    let entries = timeline.as_array().unwrap().iter();
    entries
        .filter_map(|entry| entry["event"].as_str())
        .collect()
}

async fn a1_an_order_goes_from_staging_to_the_carrier_by_double_scan(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 10, false).await;
    let pot = app.stocked("POT", 5, false).await;
    let now = routed(app, &[(&cup, 3), (&pot, 1)]).await;
    assert_eq!(
        (&now["stage"], &now["fulfillmentStatus"]),
        (&json!("STAGED"), &json!("UNFULFILLED"))
    );
    let work = &now["fulfillmentOrders"][0];
    assert_eq!(work["status"], "OPEN");
    assert_eq!(
        work["number"],
        format!("{}-1", now["number"].as_str().unwrap())
    );
    assert!(work["routing"]["reason"].is_string(), "{work:#}");

    let sheet = listed(app, &cup, &[&now]).await;
    let id = &now["id"];
    assert_eq!(order(app, id).await["stage"], "PICKING");
    ok(claim(app, &app.admin_key, &sheet["id"]).await);
    let scan = ok(pick(app, &sheet["id"], "CUP", 1).await);
    assert_eq!(scan["scan"]["left"], 3);
    assert_eq!(scan["scan"]["slots"], json!([{ "slot": 1, "units": 1 }]));
    ok(pick(app, &sheet["id"], "CUP", 2).await);
    ok(pick(app, &sheet["id"], "POT", 1).await);
    let now = order(app, id).await;
    assert_eq!(now["stage"], "PACKING");
    assert_eq!(now["lines"][0]["picked"], 3);
    assert_eq!(list(app, &sheet["id"]).await["status"], "DONE");
    // Picked units are there, and are held, until they leave.
    assert_eq!(app.stock_of(&cup).await, (10, 3));

    let package = open(app, &now).await;
    let early = close(app, &package["id"]).await;
    assert_eq!(codes(&early), ["PACKAGE_INCOMPLETE"]);
    ok(pack(app, &app.admin_key, &package["id"], "CUP", 3).await);
    let last = ok(pack(app, &app.admin_key, &package["id"], "POT", 1).await);
    assert_eq!(last["scan"]["left"], 0);
    ok(close(app, &package["id"]).await);
    let now = order(app, id).await;
    let shipment = &now["shipments"][0];
    assert_eq!(
        (&shipment["status"], &now["stage"]),
        (&json!("PACKED"), &json!("PACKING"))
    );

    let unlabelled = dispatch(app, &shipment["id"]).await;
    assert_eq!(
        unlabelled["userErrors"][0]["code"],
        "SHIPMENT_NOT_DISPATCHABLE"
    );
    ok(label(app, id).await);
    assert_eq!(order(app, id).await["stage"], "READY");
    ok(dispatch(app, &shipment["id"]).await);
    let now = order(app, id).await;
    assert_eq!(
        (&now["stage"], &now["fulfillmentStatus"]),
        (&json!("SHIPPED"), &json!("FULFILLED"))
    );
    assert_eq!(now["lines"][0]["shipped"], 3);
    assert_eq!(now["lines"][0]["allocated"], 0);
    assert_eq!(app.stock_of(&cup).await, (7, 0));
    app.settle().await;

    let told = app.order(id).await;
    let told = stages(&told["timeline"]);
    for wanted in [
        "order.confirmed",
        "order.routed",
        "order.picking_started",
        "order.picked",
        "order.package_opened",
        "order.packed",
        "order.package_closed",
        "order.shipment_labeled",
        "order.shipment_dispatched",
    ] {
        assert!(told.contains(&wanted), "{wanted} is not on {told:?}");
    }
}

/// Bins of a warehouse with units of a variant: `[(code, zone, units)]`; what lay elsewhere goes.
async fn spread(app: &TestApp, of: &Stocked, bins: &[(&str, &str, i64)]) -> Vec<Value> {
    let mut made = Vec::new();
    for (code, zone, units) in bins {
        let input = json!({ "warehouseId": warehouse(of), "code": code, "zone": zone,
            "aisle": "", "bay": "", "level": "", "position": "" });
        let bin = ok(run(app, "binCreate", "BinCreateInput", "bin { id }", input).await);
        let id = bin["bin"]["id"].clone();
        if *units > 0 {
            let input = json!({ "variantId": api::graphql::ids::to_global(of.id).as_str(),
                "warehouseId": warehouse(of), "binId": id, "quantity": units,
                "idempotencyKey": format!("{code}-{}", of.sku) });
            ok(run(
                app,
                "stockReceive",
                "StockReceiveInput",
                "stock { onHand }",
                input,
            )
            .await);
        }
        made.push(id);
    }
    made
}

async fn f2a_a_list_has_one_picker_and_leads_through_the_bins_in_walking_order(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 0, false).await;
    let pot = app.stocked("POT", 0, false).await;
    spread(app, &cup, &[("Z-9", "Z", 2), ("M-1", "M", 2)]).await;
    spread(app, &pot, &[("C-5", "C", 3)]).await;
    let now = routed(app, &[(&cup, 3), (&pot, 1)]).await;
    let sheet = listed(app, &cup, &[&now]).await;
    let bins: Vec<&str> = sheet["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["bin"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(bins, ["C-5", "M-1", "Z-9"]);

    let unclaimed = pick(app, &sheet["id"], "POT", 1).await;
    assert_eq!(codes(&unclaimed), ["FULFILLMENT_STATE_INVALID"]);
    let other = app.key(entity::api_key::Role::Warehouse).await;
    let (one, two) = tokio::join!(
        claim(app, &app.admin_key, &sheet["id"]),
        claim(app, &other, &sheet["id"]),
    );
    let refused: Vec<String> = codes(&one).into_iter().chain(codes(&two)).collect();
    assert_eq!(
        refused,
        ["PICK_LIST_TAKEN"],
        "exactly one of two pickers gets it"
    );
    // Whoever plans takes it back.
    let back = json!({ "id": sheet["id"] });
    ok(run(
        app,
        "pickListHandBack",
        "PickListInput",
        "pickList { picker }",
        back,
    )
    .await);
    pick_all(app, &sheet["id"]).await;
    // What lies in two bins is taken from both.
    assert_eq!(order(app, &now["id"]).await["stage"], "PACKING");
}

/// Reports that a bin has too few.
async fn short(app: &TestApp, sheet: &Value, place: usize, found: i64) -> Value {
    let task = &sheet["tasks"][place];
    let input = json!({ "pickListId": sheet["id"], "binId": task["bin"]["id"],
        "variantId": task["variant"]["id"], "found": found });
    run(app, "pickShort", "PickShortInput", "short elsewhere", input).await
}

async fn f2a_a_short_pick_takes_from_another_bin_and_then_waits_for_stock(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 0, true).await;
    spread(app, &cup, &[("A-A", "A", 4), ("B-B", "B", 2)]).await;
    let now = routed(app, &[(&cup, 4)]).await;
    let sheet = listed(app, &cup, &[&now]).await;
    ok(claim(app, &app.admin_key, &sheet["id"]).await);
    ok(pick(app, &sheet["id"], "CUP", 1).await);
    let more = short(app, &sheet, 0, 3).await;
    assert_eq!(
        codes(&more),
        ["QUANTITY_INVALID"],
        "three more were wanted, and three are there"
    );

    // One of three more is there: one comes from the other bin, one from nowhere … there are two.
    let told = ok(short(app, &sheet, 0, 1).await);
    assert_eq!((&told["short"], &told["elsewhere"]), (&json!(2), &json!(2)));
    assert_eq!(app.stock_of(&cup).await, (4, 4));
    let sheet = list(app, &sheet["id"]).await;
    let rows: Vec<_> = sheet["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| {
            (
                task["bin"]["code"].as_str().unwrap(),
                task["quantity"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(rows, [("A-A", 2), ("B-B", 2)]);

    // The other bin is empty, too: those two units are nowhere.
    ok(pick(app, &sheet["id"], "CUP", 1).await);
    let told = ok(short(app, &sheet, 1, 0).await);
    assert_eq!((&told["short"], &told["elsewhere"]), (&json!(2), &json!(0)));
    let now = order(app, &now["id"]).await;
    assert_eq!(now["stage"], "ON_HOLD");
    assert_eq!(now["lines"][0]["backordered"], 2);
    assert_eq!(now["exceptions"][0]["code"], "INSUFFICIENT_STOCK");
    assert_eq!(app.stock_of(&cup).await, (2, 2));
    app.settle().await;

    // A person lets what is there go on; what is missing comes and is picked by itself.
    let input = json!({ "id": now["exceptions"][0]["id"], "resolution": "the rest is on its way" });
    ok(run(
        app,
        "exceptionResolve",
        "ExceptionSettleInput",
        "order { id }",
        input,
    )
    .await);
    app.receive(&cup, 5).await;
    app.settle().await;
    let now = order(app, &now["id"]).await;
    let works = now["fulfillmentOrders"].as_array().unwrap();
    assert_eq!(works.len(), 2, "{now:#}");
    assert_eq!(works[1]["lines"][0]["quantity"], 2);
    assert_eq!(now["stage"], "STAGED", "the least advanced part decides");
}

async fn f2a_what_is_missing_of_a_begun_order_becomes_one_of_its_own(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 3, true).await;
    let now = routed(app, &[(&cup, 3)]).await;
    let sheet = listed(app, &cup, &[&now]).await;
    ok(claim(app, &app.admin_key, &sheet["id"]).await);
    ok(short(app, &sheet, 0, 2).await);
    ok(pick(app, &sheet["id"], "CUP", 2).await);
    let version = app.order(&now["id"]).await["version"].clone();
    let input = json!({ "id": now["id"], "expectedVersion": version });
    let ask = "order { id stage exceptions { id status } splitOffs { id stage } }";
    let split = ok(run(app, "orderSplit", "OrderSplitInput", ask, input).await);
    let other = &split["order"]["splitOffs"][0];
    let exceptions = split["order"]["exceptions"].as_array().unwrap();
    for exception in exceptions.iter().filter(|one| one["status"] == "OPEN") {
        let input = json!({ "id": exception["id"], "resolution": "it comes later" });
        ok(run(
            app,
            "exceptionResolve",
            "ExceptionSettleInput",
            "order { id }",
            input,
        )
        .await);
    }
    assert_eq!(order(app, &now["id"]).await["stage"], "PACKING");
    pack_all(app, &now["id"]).await;
    ok(label(app, &now["id"]).await);
    let shipment = order(app, &now["id"]).await["shipments"][0]["id"].clone();
    ok(dispatch(app, &shipment).await);
    let first = order(app, &now["id"]).await;
    assert_eq!(first["stage"], "SHIPPED");
    assert_eq!(first["lines"][0]["quantity"], 2);
    assert_eq!(order(app, &other["id"]).await["lines"][0]["backordered"], 1);
}

async fn f2a_a_count_takes_units_off_a_released_list(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 5, true).await;
    let now = routed(app, &[(&cup, 4)]).await;
    let sheet = listed(app, &cup, &[&now]).await;
    ok(claim(app, &app.admin_key, &sheet["id"]).await);
    ok(pick(app, &sheet["id"], "CUP", 1).await);
    // Of the four that lie there, three were wanted; a count finds two.
    app.adjust(&cup, -2).await.unwrap();
    app.settle().await;
    let sheet = list(app, &sheet["id"]).await;
    assert_eq!(sheet["tasks"][0]["quantity"], 3, "{sheet:#}");
    ok(pick(app, &sheet["id"], "CUP", 2).await);
    let now = order(app, &now["id"]).await;
    assert_eq!(now["shipments"][0]["status"], "PICKED");
    assert_eq!(
        (&now["stage"], &now["lines"][0]["backordered"]),
        (&json!("ON_HOLD"), &json!(1))
    );
}

async fn lock_bin(app: &TestApp, code: &str, locked: bool) {
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
    let bin = entity::bin::Entity::find()
        .filter(entity::bin::Column::Code.eq(code))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let input = json!({ "id": api::graphql::ids::to_global(bin.id).as_str(), "locked": locked });
    ok(run(app, "binLock", "BinLockInput", "bin { locked }", input).await);
}

async fn f2a_units_in_a_locked_bin_wait_for_a_person_and_are_found_when_it_is_unlocked(
    app: &TestApp,
) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 0, false).await;
    spread(app, &cup, &[("A-A", "A", 4)]).await;
    let now = routed(app, &[(&cup, 2)]).await;
    lock_bin(app, "A-A", true).await;
    let input = json!({ "warehouseId": warehouse(&cup),
        "fulfillmentOrderIds": [now["fulfillmentOrders"][0]["id"]] });
    let ask = "pickList { id } leftOut { reason }";
    let refused = run(
        app,
        "pickListCreate",
        "PickListCreateInput",
        ask,
        input.clone(),
    )
    .await;
    assert_eq!(codes(&refused), ["WAVE_EMPTY"]);
    assert_eq!(
        order(app, &now["id"]).await["stage"],
        "STAGED",
        "a refusal changes nothing"
    );

    // In a wave with another order, it is left out and waits for a person.
    let pot = app.stocked("POT", 3, false).await;
    let other = routed(app, &[(&pot, 1)]).await;
    let both = json!({ "warehouseId": warehouse(&cup), "fulfillmentOrderIds":
        [now["fulfillmentOrders"][0]["id"], other["fulfillmentOrders"][0]["id"]] });
    let payload = ok(run(app, "pickListCreate", "PickListCreateInput", ask, both).await);
    assert_eq!(payload["leftOut"].as_array().unwrap().len(), 1);
    let now = order(app, &now["id"]).await;
    assert_eq!(now["stage"], "ON_HOLD");
    let exception = &now["exceptions"][0];
    assert_eq!(exception["code"], "PICK_UNAVAILABLE");
    assert_eq!(
        exception["details"]["bins"],
        json!([{ "bin": "A-A", "units": 4, "locked": true, "onPickLists": 0 }])
    );
    lock_bin(app, "A-A", false).await;
    let settle = json!({ "id": exception["id"], "resolution": "counted" });
    ok(run(
        app,
        "exceptionResolve",
        "ExceptionSettleInput",
        "order { id }",
        settle,
    )
    .await);
    let payload = ok(run(app, "pickListCreate", "PickListCreateInput", ask, input).await);
    assert!(payload["pickList"]["id"].is_string());
}

async fn f2a_what_was_picked_for_a_cancelled_order_is_picked_again_from_staging(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 2, false).await;
    let first = routed(app, &[(&cup, 2)]).await;
    let sheet = listed(app, &cup, &[&first]).await;
    pick_all(app, &sheet["id"]).await;
    ok(cancel(app, &first["id"]).await);
    let first = order(app, &first["id"]).await;
    assert_eq!(first["stage"], "CANCELLED");
    assert_eq!(first["fulfillmentOrders"][0]["status"], "CANCELLED");
    assert_eq!(first["shipments"][0]["status"], "CANCELLED");
    assert_eq!(first["lines"][0]["picked"], 0);
    assert_eq!(app.stock_of(&cup).await, (2, 0));
    app.settle().await;

    let second = routed(app, &[(&cup, 2)]).await;
    let sheet = listed(app, &cup, &[&second]).await;
    assert_eq!(sheet["tasks"][0]["bin"]["code"], "STAGING");
    pick_all(app, &sheet["id"]).await;
    pack_all(app, &second["id"]).await;
    ok(label(app, &second["id"]).await);
    let second = order(app, &second["id"]).await;
    ok(dispatch(app, &second["shipments"][0]["id"]).await);
    assert_eq!(app.stock_of(&cup).await, (0, 0));
}

async fn f2b_a_wrong_scan_is_refused_written_down_and_changes_nothing(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let pot = app.stocked("POT", 9, false).await;
    let tea = app.stocked("TEA", 9, false).await;
    let one = routed(app, &[(&cup, 2)]).await;
    let two = routed(app, &[(&pot, 2)]).await;
    let sheet = listed(app, &cup, &[&one, &two]).await;
    ok(claim(app, &app.admin_key, &sheet["id"]).await);
    let since = app.app.clock.now() - chrono::Duration::hours(1);
    let id = &sheet["id"];
    assert_eq!(codes(&pick(app, id, "NO-SUCH", 1).await), ["SCAN_UNKNOWN"]);
    assert_eq!(
        codes(&pick(app, id, &tea.sku, 1).await),
        ["SCAN_NOT_WANTED"]
    );
    let over = pick(app, id, "CUP", 3).await;
    assert_eq!(codes(&over), ["SCAN_OVER"]);
    assert_eq!(over["scan"]["accepted"], false);
    assert_eq!(
        over["userErrors"][0]["details"],
        json!({ "scanned": 3, "wanted": 2 })
    );
    let bin = json!({ "pickListId": id, "code": "CUP", "bin": "X-99" });
    let wrong = run(app, "pickScan", "PickScanInput", "scan { accepted }", bin).await;
    assert_eq!(codes(&wrong), ["SCAN_WRONG_BIN"]);
    assert_eq!(codes(&pick(app, id, "CUP", 0).await), ["QUANTITY_INVALID"]);

    ok(pick(app, id, "CUP", 2).await);
    assert_eq!(codes(&pick(app, id, "CUP", 1).await), ["SCAN_OVER"]);
    let package = open(app, &order(app, &one["id"]).await).await;
    let package = &package["id"];
    let admin = &app.admin_key;
    assert_eq!(
        codes(&pack(app, admin, package, "POT", 1).await),
        ["SCAN_NOT_WANTED"]
    );
    ok(pick(app, id, "POT", 1).await);
    let theirs = pack(app, admin, package, "POT", 1).await;
    assert_eq!(codes(&theirs), ["SCAN_OTHER_ORDER"]);
    assert_eq!(theirs["userErrors"][0]["details"]["order"], two["number"]);
    let early = open(app, &order(app, &two["id"]).await).await;
    let early = pack(app, admin, &early["id"], "POT", 2).await;
    assert_eq!(codes(&early), ["SCAN_NOT_PICKED"]);
    assert_eq!(
        codes(&pack(app, admin, package, "CUP", 3).await),
        ["SCAN_OVER"]
    );

    let figures = app
        .gql(
            "query Figures($since: DateTime!) { scanFigures(since: $since) { verdict scans } }",
            json!({ "since": since }),
        )
        .await;
    let count = |verdict: &str| -> i64 {
        let all = figures["scanFigures"].as_array().unwrap().iter();
        all.filter(|figure| figure["verdict"] == verdict)
            .map(|figure| figure["scans"].as_i64().unwrap())
            .sum()
    };
    let told = [
        "SCAN_UNKNOWN",
        "SCAN_NOT_WANTED",
        "SCAN_OVER",
        "SCAN_WRONG_BIN",
        "SCAN_OTHER_ORDER",
        "SCAN_NOT_PICKED",
        "ACCEPTED",
    ]
    .map(count);
    assert_eq!(told, [1, 2, 3, 1, 1, 1, 2]);
}

async fn f2b_a_case_is_worth_its_units_and_a_repeated_scan_counts_once(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 30, false).await;
    let input = json!({ "variantId": api::graphql::ids::to_global(cup.id).as_str(),
        "codes": [{ "code": "CASE-OF-12", "kind": "CASE", "units": 12 }] });
    ok(run(
        app,
        "variantSetCodes",
        "VariantSetCodesInput",
        "variant { id }",
        input,
    )
    .await);
    let one = routed(app, &[(&cup, 10)]).await;
    let two = routed(app, &[(&cup, 5)]).await;
    let sheet = listed(app, &cup, &[&one, &two]).await;
    ok(claim(app, &app.admin_key, &sheet["id"]).await);
    let case = json!({ "pickListId": sheet["id"], "code": "CASE-OF-12",
        "idempotencyKey": "scan-1" });
    let ask = "scan { units left slots { slot units } } replayed";
    let first = ok(run(app, "pickScan", "PickScanInput", ask, case.clone()).await);
    assert_eq!(
        first["scan"],
        json!({ "units": 12, "left": 3,
            "slots": [{ "slot": 1, "units": 10 }, { "slot": 2, "units": 2 }] })
    );
    let again = ok(run(app, "pickScan", "PickScanInput", ask, case).await);
    assert_eq!(
        (&again["scan"], &again["replayed"]),
        (&first["scan"], &json!(true))
    );
    let over = pick(app, &sheet["id"], "CASE-OF-12", 1).await;
    assert_eq!(codes(&over), ["SCAN_OVER"]);
    assert_eq!(over["scan"]["left"], 3);
}

async fn f2b_who_has_picked_may_not_pack_where_two_people_are_asked_for(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 5, false).await;
    let input = json!({ "id": warehouse(&cup), "twoPersonCheck": true });
    ok(run(
        app,
        "warehouseUpdate",
        "WarehouseUpdateInput",
        "warehouse { twoPersonCheck }",
        input,
    )
    .await);
    let one = routed(app, &[(&cup, 1)]).await;
    let sheet = listed(app, &cup, &[&one]).await;
    pick_all(app, &sheet["id"]).await;
    let package = open(app, &order(app, &one["id"]).await).await;
    let same = pack(app, &app.admin_key, &package["id"], "CUP", 1).await;
    assert_eq!(codes(&same), ["SCAN_SAME_PERSON"]);
    let other = app.key(entity::api_key::Role::Warehouse).await;
    ok(pack(app, &other, &package["id"], "CUP", 1).await);
}

async fn f5a_only_what_is_packed_labelled_and_not_stopped_leaves_and_it_leaves_once(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let now = routed(app, &[(&cup, 2)]).await;
    let sheet = listed(app, &cup, &[&now]).await;
    let shipment = order(app, &now["id"]).await["shipments"][0]["id"].clone();
    let refused = dispatch(app, &shipment).await;
    assert_eq!(
        refused["userErrors"][0]["code"],
        "SHIPMENT_NOT_DISPATCHABLE"
    );
    pick_all(app, &sheet["id"]).await;
    pack_all(app, &now["id"]).await;
    ok(label(app, &now["id"]).await);
    assert_eq!(
        codes(&label(app, &now["id"]).await),
        ["FULFILLMENT_STATE_INVALID"]
    );

    let hold = json!({ "id": now["id"], "reason": "the customer called" });
    ok(run(app, "orderHold", "OrderHoldInput", "order { stage }", hold).await);
    let held = dispatch(app, &shipment).await;
    assert_eq!(held["userErrors"][0]["code"], "SHIPMENT_NOT_DISPATCHABLE");
    let held = app.order(&now["id"]).await["holds"][0]["id"].clone();
    let lift = json!({ "id": now["id"], "holdId": held });
    ok(run(
        app,
        "orderReleaseHold",
        "OrderReleaseHoldInput",
        "order { stage }",
        lift,
    )
    .await);

    let (one, two) = tokio::join!(dispatch(app, &shipment), dispatch(app, &shipment));
    let refused = [&one, &two]
        .iter()
        .filter(|result| result["userErrors"][0]["code"] == "SHIPMENT_NOT_DISPATCHABLE")
        .count();
    assert_eq!(refused, 1, "{one} {two}");
    assert_eq!(app.stock_of(&cup).await, (7, 0));
    let late = cancel(app, &now["id"]).await;
    assert_eq!(codes(&late), ["ORDER_NOT_CANCELLABLE"]);
}

async fn f5a_of_two_parts_one_leaves_while_the_other_is_stopped(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let now = routed(app, &[(&cup, 5)]).await;
    let work = &now["fulfillmentOrders"][0];
    let input = json!({ "id": work["id"], "reason": "two go later",
        "lines": [{ "lineId": work["lines"][0]["line"]["id"], "quantity": 2 }] });
    let ask = "order { fulfillmentOrders { id lines { quantity } } }";
    let payload = run(
        app,
        "fulfillmentOrderSplit",
        "FulfillmentOrderSplitInput",
        ask,
        input,
    )
    .await;
    let parts = ok(payload)["order"]["fulfillmentOrders"].take();
    assert_eq!(parts[0]["lines"][0]["quantity"], 3);
    assert_eq!(parts[1]["lines"][0]["quantity"], 2);
    let input = json!({ "id": parts[1]["id"], "reason": "the customer is on holiday" });
    let ask = "order { fulfillmentOrders { status holdReason } }";
    ok(run(
        app,
        "fulfillmentOrderHold",
        "FulfillmentOrderHoldInput",
        ask,
        input,
    )
    .await);

    let now = order(app, &now["id"]).await;
    let sheet = listed(app, &cup, &[&now]).await;
    pick_all(app, &sheet["id"]).await;
    pack_all(app, &now["id"]).await;
    ok(label(app, &now["id"]).await);
    let shipment = order(app, &now["id"]).await["shipments"][0]["id"].clone();
    ok(dispatch(app, &shipment).await);
    let now = order(app, &now["id"]).await;
    assert_eq!(now["fulfillmentStatus"], "PARTIALLY_FULFILLED");
    assert_eq!(now["stage"], "STAGED");
    assert_eq!(now["lines"][0]["shipped"], 3);
    assert_eq!(now["lines"][0]["allocated"], 2);
    assert_eq!(app.stock_of(&cup).await, (6, 2));
    let input = json!({ "id": parts[1]["id"] });
    let ask = "order { fulfillmentOrders { status } }";
    ok(run(
        app,
        "fulfillmentOrderRelease",
        "FulfillmentOrderReleaseInput",
        ask,
        input,
    )
    .await);
}

async fn f3_the_warehouse_that_can_send_everything_is_chosen_and_says_why(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 5, false).await;
    let pot = app.stocked("POT", 0, false).await;
    let (cup_in_berlin, pot_in_berlin) = (
        app.elsewhere(&cup, "BER").await,
        app.elsewhere(&pot, "BER").await,
    );
    app.receive(&cup_in_berlin, 5).await;
    app.receive(&pot_in_berlin, 5).await;
    let now = routed(app, &[(&cup, 2), (&pot, 1)]).await;
    let works = now["fulfillmentOrders"].as_array().unwrap();
    assert_eq!(works.len(), 1, "{now:#}");
    assert_eq!(works[0]["warehouse"]["code"], "BER");
    let why = &works[0]["routing"];
    assert_eq!(why["reason"], "BER can send 3 of 3 units, VIE 2");
    assert_eq!(why["rules"], json!(["FEWEST_SPLITS", "PRIORITY"]));
    // The units went with the decision.
    assert_eq!(app.stock_of(&cup).await, (5, 0));
    assert_eq!(app.stock_of(&cup_in_berlin).await, (5, 2));
}

async fn f3_work_is_moved_split_and_merged_with_its_stock(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 5, false).await;
    let in_berlin = app.elsewhere(&cup, "BER").await;
    app.receive(&in_berlin, 1).await;
    let now = routed(app, &[(&cup, 2)]).await;
    let work = now["fulfillmentOrders"][0]["id"].clone();
    let to_berlin = json!({ "id": work, "warehouseId": warehouse(&in_berlin), "reason": "nearer" });
    let ask = "order { fulfillmentOrders { id status warehouse { code } routing } }";
    let kind = "FulfillmentOrderMoveInput";
    let refused = run(app, "fulfillmentOrderMove", kind, ask, to_berlin.clone()).await;
    assert_eq!(codes(&refused), ["ROUTE_UNAVAILABLE"]);
    assert_eq!(app.stock_of(&cup).await, (5, 2), "a refusal moves nothing");
    app.receive(&in_berlin, 1).await;
    let moved = ok(run(app, "fulfillmentOrderMove", kind, ask, to_berlin).await);
    let works = &moved["order"]["fulfillmentOrders"];
    assert_eq!(
        (&works[0]["status"], &works[1]["status"]),
        (&json!("CANCELLED"), &json!("OPEN"))
    );
    assert_eq!(works[1]["routing"]["reason"], "nearer");
    assert_eq!(app.stock_of(&cup).await, (5, 0));
    assert_eq!(app.stock_of(&in_berlin).await, (2, 2));

    // Whatever the rules say now: back to the first warehouse.
    let again = json!({ "id": works[1]["id"], "reason": "Berlin is full" });
    ok(run(app, "fulfillmentOrderMove", kind, ask, again).await);
    app.settle().await;
    let now = order(app, &now["id"]).await;
    let open: Vec<&Value> = now["fulfillmentOrders"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|work| work["status"] == "OPEN")
        .collect();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["warehouse"]["code"], "VIE");

    let input = json!({ "id": open[0]["id"], "reason": "one first",
        "lines": [{ "lineId": open[0]["lines"][0]["line"]["id"], "quantity": 1 }] });
    let ask = "order { fulfillmentOrders { id status } }";
    let split = ok(run(
        app,
        "fulfillmentOrderSplit",
        "FulfillmentOrderSplitInput",
        ask,
        input,
    )
    .await);
    let ids: Vec<&Value> = split["order"]["fulfillmentOrders"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|work| work["status"] == "OPEN")
        .map(|work| &work["id"])
        .collect();
    let input = json!({ "ids": ids });
    let ask = "order { fulfillmentOrders { status lines { quantity } } }";
    let merged = ok(run(
        app,
        "fulfillmentOrderMerge",
        "FulfillmentOrderMergeInput",
        ask,
        input,
    )
    .await);
    let open: Vec<&Value> = merged["order"]["fulfillmentOrders"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|work| work["status"] == "OPEN")
        .collect();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["lines"][0]["quantity"], 2);
}

const WAVE: &str = "wave { id number status orders binVisits binVisitsSingly
    pickLists { id name } } leftOut { reason fulfillmentOrder { id } }";

async fn wave(app: &TestApp, of: &Stocked, criteria: Value) -> Value {
    let input = json!({ "warehouseId": warehouse(of), "criteria": criteria, "most": 500 });
    run(app, "waveCreate", "WaveCreateInput", WAVE, input).await
}

async fn t2_a_wave_saves_visits_and_stays_right_when_orders_leave_it_and_units_are_missing(
    app: &TestApp,
) {
    app.open_shop().await;
    let mut goods = Vec::new();
    for n in 0..4 {
        let of = app.stocked(&format!("G{n}"), 0, true).await;
        spread(
            app,
            &of,
            &[(&format!("A-{n}"), "A", 40), (&format!("B-{n}"), "B", 6)],
        )
        .await;
        goods.push(of);
    }
    let mut orders = Vec::new();
    for n in 0..12 {
        let (one, two) = (&goods[n % 4], &goods[(n + 1) % 4]);
        orders.push(routed(app, &[(one, 1 + (n as i64) % 3), (two, 2)]).await);
    }
    let made = ok(wave(app, &goods[0], json!({})).await);
    assert_eq!(made["wave"]["orders"], 12);
    let input = json!({ "id": made["wave"]["id"] });
    let released = ok(run(app, "waveRelease", "WaveInput", WAVE, input.clone()).await);
    let wave = &released["wave"];
    assert_eq!(
        (&wave["binVisits"], &wave["binVisitsSingly"]),
        (&json!(4), &json!(24))
    );
    let twice = run(app, "waveRelease", "WaveInput", WAVE, input).await;
    assert_eq!(codes(&twice), ["FULFILLMENT_STATE_INVALID"]);

    let id = &wave["pickLists"][0]["id"];
    ok(claim(app, &app.admin_key, id).await);
    // Two orders leave: one untouched, one of which units are picked.
    ok(pick(app, id, &goods[0].sku, 1).await);
    ok(cancel(app, &orders[0]["id"]).await);
    ok(cancel(app, &orders[5]["id"]).await);
    // A bin is empty: the other one has some, and the rest waits.
    let sheet = list(app, id).await;
    let tasks = sheet["tasks"].as_array().unwrap();
    let place = tasks
        .iter()
        .position(|task| {
            task["variant"]["sku"] == goods[1].sku.as_str() && task["status"] == "OPEN"
        })
        .unwrap();
    let told = ok(short(app, &sheet, place, 0).await);
    let (short, elsewhere) = (
        told["short"].as_i64().unwrap(),
        told["elsewhere"].as_i64().unwrap(),
    );
    assert!(short > elsewhere && elsewhere == 6, "{told}");
    app.settle().await;

    // Everything that is not stopped goes on to its end.
    loop {
        let sheet = list(app, id).await;
        let open = sheet["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|task| task["status"] == "OPEN");
        let Some(task) = open else { break };
        let sku = task["variant"]["sku"].as_str().unwrap();
        let scanned = pick(app, id, sku, 1).await;
        assert!(scanned["scan"]["accepted"] == true, "{scanned:#}");
        app.settle().await;
    }
    let mut left = 0;
    for one in &orders {
        let now = order(app, &one["id"]).await;
        match now["stage"].as_str().unwrap() {
            "CANCELLED" | "ON_HOLD" => {}
            "PACKING" => {
                pack_all(app, &one["id"]).await;
                ok(label(app, &one["id"]).await);
                let now = order(app, &one["id"]).await;
                ok(dispatch(app, &live_shipment(&now)["id"]).await);
                left += 1;
            }
            other => panic!("{other}: {now:#}"),
        }
    }
    assert!(left >= 5, "only {left} left");
    let query = "query Wave($id: ID!) { wave(id: $id) { status } }";
    let now = app.gql(query, json!({ "id": wave["id"] })).await;
    assert_eq!(now["wave"]["status"], "DONE");
}

async fn t2_work_is_in_one_wave_at_most(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let one = routed(app, &[(&cup, 1)]).await;
    let exactly = json!({ "fulfillmentOrderIds": [one["fulfillmentOrders"][0]["id"]] });
    let (first, second) = tokio::join!(
        wave(app, &cup, exactly.clone()),
        wave(app, &cup, exactly.clone()),
    );
    let refused: Vec<String> = codes(&first).into_iter().chain(codes(&second)).collect();
    assert_eq!(refused, ["WAVE_EMPTY"]);
    let made = if first["wave"].is_null() {
        &second
    } else {
        &first
    };
    let input = json!({ "warehouseId": warehouse(&cup),
        "fulfillmentOrderIds": [one["fulfillmentOrders"][0]["id"]] });
    let ask = "pickList { id }";
    let in_wave = run(app, "pickListCreate", "PickListCreateInput", ask, input).await;
    assert_eq!(codes(&in_wave), ["WAVE_EMPTY"]);
    let input = json!({ "id": made["wave"]["id"] });
    ok(run(app, "waveCancel", "WaveInput", WAVE, input).await);
    ok(wave(app, &cup, exactly).await);
}

/// Lets a carrier be chosen for an order's packed shipment, and its labels be bought.
async fn buy(app: &TestApp, shipment: &Value) -> Value {
    let ask = "shipment { status carrier carrierChoice cost { amount } trackingStatus
        packages { trackingNumber } } labels { kind trackingNumber }";
    let input = json!({ "id": shipment });
    run(
        app,
        "shipmentBuyLabels",
        "ShipmentBuyLabelsInput",
        ask,
        input,
    )
    .await
}

/// What was printed for an order, as `kind format`, void ones apart.
async fn printed(app: &TestApp, order: &Value) -> (Vec<String>, usize) {
    let ask = "query Printed($id: ID!) { documents(orderId: $id) {
        nodes { id kind format voidedAt } } }";
    let found = app.gql(ask, json!({ "id": order })).await;
    let all = found["documents"]["nodes"].as_array().unwrap().clone();
    let of = |row: &Value| {
        format!(
            "{} {}",
            row["kind"].as_str().unwrap(),
            row["format"].as_str().unwrap()
        )
    };
    let (good, void): (Vec<Value>, Vec<Value>) =
        all.into_iter().partition(|row| row["voidedAt"].is_null());
    let mut names: Vec<String> = good.iter().map(of).collect();
    names.sort();
    (names, void.len())
}

async fn f4_labels_and_slips_are_printed_when_a_carrier_is_chosen_and_void_with_its_labels(
    app: &TestApp,
) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let now = routed(app, &[(&cup, 2)]).await;
    let sheet = listed(app, &cup, &[&now]).await;
    let ask = "document { kind format }";
    let print = json!({ "id": sheet["id"] });
    let paper = ok(run(app, "pickListPrint", "PickListPrintInput", ask, print).await);
    assert_eq!(paper["document"]["kind"], "PICK_LIST");
    pick_all(app, &sheet["id"]).await;
    pack_all(app, &now["id"]).await;
    let shipment = order(app, &now["id"]).await["shipments"][0]["id"].clone();
    let bought = ok(buy(app, &shipment).await);
    assert_eq!(bought["shipment"]["status"], "LABELED", "{bought:#}");
    assert_eq!(bought["labels"][0]["kind"], "BOUGHT");
    let candidates = bought["shipment"]["carrierChoice"]["candidates"]
        .as_array()
        .unwrap();
    assert!(candidates.len() > 1, "{candidates:#?}");
    let all = ["LABEL PDF", "LABEL ZPL", "PACKING_SLIP PDF"].map(str::to_owned);
    assert_eq!(printed(app, &now["id"]).await, (all.to_vec(), 0));

    let ask = "shipment { status carrier } labels { kind }";
    let void = json!({ "id": shipment });
    let kind = "ShipmentVoidLabelsInput";
    let voided = ok(run(app, "shipmentVoidLabels", kind, ask, void.clone()).await);
    assert_eq!(
        voided["shipment"],
        json!({ "status": "PACKED", "carrier": null })
    );
    assert_eq!(printed(app, &now["id"]).await, (vec![], 3));
    ok(buy(app, &shipment).await);
    assert_eq!(printed(app, &now["id"]).await, (all.to_vec(), 3));

    ok(dispatch(app, &shipment).await);
    let late = run(app, "shipmentVoidLabels", kind, ask, void).await;
    assert_eq!(codes(&late), ["FULFILLMENT_STATE_INVALID"]);
    let find = "query Printed($id: ID!) { documents(orderId: $id) { nodes { id voidedAt } } }";
    let found = app.gql(find, json!({ "id": now["id"] })).await;
    let rows = found["documents"]["nodes"].as_array().unwrap();
    let good = rows.iter().find(|row| row["voidedAt"].is_null()).unwrap();
    let input = json!({ "id": good["id"] });
    let refused = run(
        app,
        "documentVoid",
        "DocumentVoidInput",
        "document { id }",
        input,
    )
    .await;
    assert_eq!(codes(&refused), ["FULFILLMENT_STATE_INVALID"]);

    let day = app.app.clock.now().date_naive();
    let carrier = order(app, &now["id"]).await["shipments"][0]["carrier"].clone();
    let input = json!({ "warehouseId": warehouse(&cup), "carrier": carrier, "date": day });
    let ask = "document { kind fileName }";
    let paper = ok(run(app, "manifestPrint", "ManifestPrintInput", ask, input).await);
    assert_eq!(paper["document"]["kind"], "MANIFEST");
}

/// The messages of an order: what about, and what became of each.
async fn told(app: &TestApp, order: &Value) -> Vec<(String, String)> {
    let ask = "query Told($id: ID!) { order(by: { id: $id }) { messages { kind state } } }";
    let found = app.gql(ask, json!({ "id": order })).await;
    let rows = found["order"]["messages"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(&row["kind"]), text(&row["state"])))
        .collect()
}

async fn f5b_one_notice_a_shipment_and_another_when_its_number_is_corrected(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let now = routed(app, &[(&cup, 1)]).await;
    send(app, &cup, &now).await;
    app.settle().await;
    let sent = |kind: &str| (kind.to_owned(), "SENT".to_owned());
    assert_eq!(told(app, &now["id"]).await, [sent("SHIPMENT_DISPATCHED")]);

    let package = order(app, &now["id"]).await["shipments"][0]["packages"][0]["id"].clone();
    let ask = "shipment { packages { trackingNumber } }";
    let correct = async |number: &str| {
        let input = json!({ "packageId": package, "trackingNumber": number });
        ok(run(app, "trackingCorrect", "TrackingCorrectInput", ask, input).await)
    };
    let corrected = correct("RIGHT-1").await;
    assert_eq!(
        corrected["shipment"]["packages"][0]["trackingNumber"],
        "RIGHT-1"
    );
    correct("RIGHT-1").await;
    app.settle().await;
    assert_eq!(
        told(app, &now["id"]).await,
        [sent("SHIPMENT_DISPATCHED"), sent("TRACKING_CORRECTED")]
    );
}

/// Everything that waits in the warehouses goes out: waves of 300, picked, packed, labelled, handed
/// over. Says how many orders left.
async fn empty_the_floor(app: &TestApp, of: &Value) -> usize {
    let mut left = 0;
    loop {
        app.settle().await;
        let input = json!({ "warehouseId": of, "most": 300 });
        let made = run(app, "waveCreate", "WaveCreateInput", WAVE, input).await;
        if codes(&made) == ["WAVE_EMPTY"] {
            return left;
        }
        let input = json!({ "id": ok(made)["wave"]["id"] });
        let released = ok(run(app, "waveRelease", "WaveInput", WAVE, input).await);
        let wave = &released["wave"];
        println!(
            "{} orders, {} stops at bins, {} one after another",
            wave["orders"], wave["binVisits"], wave["binVisitsSingly"]
        );
        for list in wave["pickLists"].as_array().unwrap() {
            pick_all(app, &list["id"]).await;
        }
        let query = "query Wave($id: ID!) { wave(id: $id) {
            fulfillmentOrders { status order { id stage } } } }";
        let found = app.gql(query, json!({ "id": wave["id"] })).await;
        for work in found["wave"]["fulfillmentOrders"].as_array().unwrap() {
            assert_eq!(work["order"]["stage"], "PACKING", "{work}");
            let id = &work["order"]["id"];
            pack_all(app, id).await;
            ok(label(app, id).await);
            let now = order(app, id).await;
            ok(dispatch(app, &live_shipment(&now)["id"]).await);
            left += 1;
        }
    }
}

/// Set `OMS_NORTHWIND` to the directory with the company's files; without it there is nothing to
/// check.
async fn northwind_goes_from_staging_to_the_door_by_the_api_alone(app: &TestApp) {
    use api::access::Principal;
    use api::capture::import::northwind::Northwind;
    use sea_orm::{EntityTrait, PaginatorTrait};
    let Some(directory) = std::env::var_os("OMS_NORTHWIND").map(std::path::PathBuf::from) else {
        eprintln!("OMS_NORTHWIND is not set: nothing to check");
        return;
    };
    let files = Northwind::read(&directory).unwrap();
    let operator = Principal::operator("import");
    app.app.set_up_northwind(&operator, &files).await.unwrap();
    app.app
        .import_northwind(&operator, &files, |_, _| {})
        .await
        .unwrap();
    let warehouse = entity::warehouse::Entity::find()
        .one(&app.app.db.read)
        .await
        .unwrap();
    let warehouse = json!(api::graphql::ids::to_global(warehouse.unwrap().id).as_str());
    let covered = empty_the_floor(app, &warehouse).await;
    println!("{covered} orders left with what was there");
    assert_clean(app).await;

    // People settle what waits for them, and what is missing comes.
    let open = "{ exceptions(first: 250, where: { blocking: true }) { nodes { id } } }";
    loop {
        let found = app.gql(open, json!({})).await;
        let rows = found["exceptions"]["nodes"].as_array().unwrap().clone();
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let input = json!({ "id": row["id"], "resolution": "agreed" });
            let kind = "ExceptionSettleInput";
            ok(run(app, "exceptionResolve", kind, "order { id }", input).await);
        }
    }
    let waiting = entity::backorder::Entity::find()
        .all(&app.app.db.read)
        .await
        .unwrap();
    let mut wanted: std::collections::BTreeMap<_, i64> = std::collections::BTreeMap::new();
    for row in waiting
        .iter()
        .filter(|row| row.status == entity::backorder::Status::Waiting)
    {
        *wanted.entry(row.variant_id).or_default() += row.quantity;
    }
    for (variant, units) in wanted {
        let input = json!({ "variantId": api::graphql::ids::to_global(variant).as_str(),
            "warehouseId": warehouse, "quantity": units,
            "idempotencyKey": format!("missing-{variant}") });
        ok(run(
            app,
            "stockReceive",
            "StockReceiveInput",
            "stock { onHand }",
            input,
        )
        .await);
    }
    let rest = empty_the_floor(app, &warehouse).await;
    println!("{rest} orders left with what came");
    let all = entity::order::Entity::find()
        .count(&app.app.db.read)
        .await
        .unwrap();
    assert_eq!((covered + rest) as u64, all);
    assert_clean(app).await;
}

async fn assert_clean(app: &TestApp) {
    app.settle().await;
    let found = api::integrity::verify(&app.app.db.read).await.unwrap();
    assert!(found.is_empty(), "{found:#?}");
}
