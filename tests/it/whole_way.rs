//! A company's orders from its files to its customers' doors, by the API alone: routed, picked in
//! waves, packed by double scan, labelled by a carrier, handed over, told of, delivered, invoiced,
//! completed and put away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use api::access::Principal;
use api::capture::import::northwind::{CHANNEL as NORTHWIND, Northwind};
use api::graphql::ids::to_global;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use support::decoders::{self, scanned, words};
use support::mail::Aiosmtpd;
use support::merchant::codes;
use support::{Backend, Place, Setup, TestApp};

use super::fulfillment::{
    WAVE, assert_clean, buy, dispatch, live_shipment, ok, order, pack_all, pick_all, run,
};
use super::imports::totals;
use super::invoices::sell_in;
use super::shipping::signed;

/// How many units the company's orders ask for.
const UNITS: i64 = 51_317;

/// What the carriers sign their messages with.
const SECRET: &str = "what the shippers and we know";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    northwind(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    northwind(Backend::Postgres).await;
}

/// Set `OMS_NORTHWIND` to the directory with the company's files; without it there is nothing to
/// check.
async fn northwind(backend: Backend) {
    let Some(directory) = std::env::var_os("OMS_NORTHWIND").map(PathBuf::from) else {
        eprintln!("OMS_NORTHWIND is not set: nothing to check");
        return;
    };
    let (Some(server), true) = (Aiosmtpd::start().await, decoders::are_there()) else {
        return;
    };
    let Some(place) = Place::migrated(backend).await else {
        return;
    };
    let smtp = format!("smtp://127.0.0.1:{}", server.port);
    let settings = [
        ("OMS__MAIL__SMTP_URL", smtp.as_str()),
        ("OMS__MAIL__FROM", "orders@northwind.example"),
    ];
    let setup = Setup {
        settings: &settings,
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    goes_the_whole_way(&app, &directory, &server).await;
    app.finish().await;
}

async fn goes_the_whole_way(app: &TestApp, directory: &Path, server: &Aiosmtpd) {
    let files = &Northwind::read(directory).unwrap();
    let operator = Principal::operator("import");
    app.app.set_up_northwind(&operator, files).await.unwrap();
    give_addresses(app).await;
    sell_in(app, &[NORTHWIND]).await;
    let carriers = engage_carriers(app).await;
    let imported = app
        .app
        .import_northwind(&operator, files, |_, _| {})
        .await
        .unwrap();
    assert_eq!(imported.tally.accepted, 830);
    let db = &app.app.db.read;
    let rows = entity::warehouse::Entity::find().all(db).await.unwrap();
    let warehouse = json!(to_global(rows[0].id));
    assert_clean(app).await;

    let mut sent = Vec::new();
    empty_the_floor(app, &warehouse, &mut sent).await;
    println!("{} orders left with what was there", sent.len());

    // People settle what waits for them, and what is missing comes.
    settle_exceptions(app).await;
    let mut missing: BTreeMap<_, i64> = BTreeMap::new();
    for row in entity::backorder::Entity::find().all(db).await.unwrap() {
        if row.status == entity::backorder::Status::Waiting {
            *missing.entry(row.variant_id).or_default() += row.quantity;
        }
    }
    for (variant, units) in missing {
        let input = json!({ "variantId": to_global(variant), "warehouseId": warehouse,
            "quantity": units, "idempotencyKey": format!("missing-{variant}") });
        let (kind, ask) = ("StockReceiveInput", "stock { onHand }");
        ok(run(app, "stockReceive", kind, ask, input).await);
    }
    assert_clean(app).await;
    empty_the_floor(app, &warehouse, &mut sent).await;
    println!("{} orders left with what came", sent.len());
    let all = entity::order::Entity::find().count(db).await.unwrap();
    assert_eq!(sent.len() as u64, all);

    read_back(app, &sent).await;
    deliver(app, &carriers, &sent).await;
    for left in &sent {
        let now = order(app, &left.order).await;
        let stage = now["stage"].as_str().unwrap();
        assert!(["DELIVERED", "COMPLETED"].contains(&stage), "{now:#}");
    }
    assert_clean(app).await;

    let first = app.app.clock.now().date_naive() - chrono::Duration::days(30);
    reported(app, directory, first).await;
    written_to(server, &sent);

    booked(app, directory).await;
    let shown = look_at(app, &sent).await;
    put_away(app, directory).await;
    assert_eq!(look_at(app, &sent).await, shown, "it is read as before");
    assert_clean(app).await;
    booked(app, directory).await;
    reported(app, directory, first).await;
}

/// Each customer has had one letter about each shipment and one with its invoice.
fn written_to(server: &Aiosmtpd, sent: &[Left]) {
    let letters = server.taken();
    let ids: BTreeSet<&str> = letters
        .iter()
        .filter_map(|letter| letter.lines().find(|line| line.starts_with("Message-ID: ")))
        .collect();
    assert_eq!((letters.len(), ids.len()), (2 * sent.len(), 2 * sent.len()));
    for left in sent {
        // In the customer's language.
        let number = &left.order_number;
        let about = |subjects: [&str; 2]| {
            let of_it = |letter: &&String| {
                let mut lines = letter.lines();
                let subject = lines.find_map(|line| line.strip_prefix("Subject: "));
                subject.is_some_and(|subject| {
                    let said = |own: &&str| subject.contains(*own);
                    subjects.iter().any(said) && subject.contains(number.as_str())
                })
            };
            letters.iter().filter(of_it).count()
        };
        let shipments = about(["is on its way", "ist unterwegs"]);
        assert_eq!(shipments, 1, "{number}");
        assert_eq!(about(["Invoice ", "Rechnung "]), 1, "{number}");
    }
}

/// The books say what the files say, and are in balance.
async fn booked(app: &TestApp, directory: &Path) {
    let expected = totals(directory);
    let all: i64 = expected.values().sum();
    let db = &app.app.db.read;
    let invoices = entity::invoice::Entity::find().all(db).await.unwrap();
    assert_eq!(invoices.len(), expected.len());
    let billed: i64 = invoices.iter().map(|invoice| invoice.total_minor).sum();
    assert_eq!(billed, all);
    let query = "{ trialBalance(currency: \"USD\") {
        account debit { amount } credit { amount } balance { amount } } }";
    let found = app.gql(query, json!({})).await;
    let rows = found["trialBalance"].as_array().unwrap();
    let sum = |field: &str| -> i64 { rows.iter().map(|row| cents(&row[field])).sum() };
    assert_eq!(sum("debit"), sum("credit"));
    assert_eq!(sum("balance"), 0);
    let of = |account: &str| {
        let row = rows.iter().find(|row| row["account"] == account);
        row.map_or(0, |row| cents(&row["balance"]))
    };
    // The channel took the money itself: it is owed by nobody, and on its way to us.
    assert_eq!((of("RECEIVABLE"), of("CASH_IN_TRANSIT")), (0, all));
}

fn cents(amount: &Value) -> i64 {
    let amount = amount["amount"].as_str().unwrap();
    amount.replace('.', "").parse().unwrap()
}

/// What is shown of every tenth order.
async fn look_at(app: &TestApp, sent: &[Left]) -> Vec<Value> {
    let query = "query Look($id: ID!) { order(by: { id: $id }) { number externalReference
        total { amount } lines { sku quantity shipped unitPrice { amount } }
        shipments { number packages { trackingNumber } } invoices { number total { amount } }
        payment { transactions { kind state amount { amount } } } } }";
    let mut shown = Vec::new();
    for left in sent.iter().step_by(10) {
        shown.push(app.gql(query, json!({ "id": left.order })).await);
    }
    shown
}

/// Orders that have been over for long enough leave the tables that are worked on, whole.
async fn put_away(app: &TestApp, directory: &Path) {
    let db = &app.app.db.read;
    // What was not ready when it arrived is looked at again a little later.
    for wait in [chrono::Duration::hours(1), chrono::Duration::days(31)] {
        app.clock.advance(wait);
        app.settle().await;
        let orders = entity::order::Entity::find().all(db).await.unwrap();
        let is_over =
            |order: &entity::order::Model| order.status == entity::order::Status::Completed;
        assert!(orders.iter().all(is_over));
    }
    let rows = entity::archived_order::Entity::find().all(db).await;
    let found: BTreeMap<String, [i64; 3]> = rows
        .unwrap()
        .into_iter()
        .map(|row| {
            assert_eq!(row.status, entity::order::Status::Completed);
            let amounts = [row.total_minor, row.captured_minor, row.invoiced_minor];
            (row.external_reference.unwrap(), amounts)
        })
        .collect();
    let expected = totals(directory).into_iter();
    let expected: BTreeMap<_, _> = expected.map(|(id, cents)| (id, [cents; 3])).collect();
    let differing = found
        .iter()
        .filter(|(id, amounts)| expected.get(*id) != Some(amounts));
    assert_eq!(differing.collect::<Vec<_>>(), []);
    assert_eq!(found.len(), expected.len());
    macro_rules! empty {
        ($($table:ident),*) => {
            $(assert_eq!(
                entity::$table::Entity::find().count(db).await.unwrap(),
                0,
                stringify!($table)
            );)*
        };
    }
    empty!(
        order,
        order_line,
        hold,
        order_exception,
        reservation,
        backorder,
        fulfillment_order,
        fulfillment_line,
        pick_task,
        shipment,
        package,
        package_line,
        label,
        tracking_event,
        tracking_poll,
        scan,
        payment,
        payment_transaction,
        charge
    );
}

/// The report says what the files say.
async fn reported(app: &TestApp, directory: &Path, first: chrono::NaiveDate) {
    let cents: i64 = totals(directory).values().sum();
    let today = app.app.clock.now().date_naive();
    let query = "query Report($input: OperationsReportInput!) { operationsReport(input: $input) {
        report { lines { ordersReceived orderValue { amount } unitsShipped
            shipmentsDispatched deliveries { count } unitsPicked unitsPacked misScans } } } }";
    let input = json!({ "from": first, "to": today,
        "interval": "TOTAL", "timeZone": "America/New_York" });
    let found = app.gql(query, json!({ "input": input })).await;
    let value = format!("{}.{:02}", cents / 100, cents % 100);
    assert_eq!(
        found["operationsReport"]["report"]["lines"],
        json!([{ "ordersReceived": 830, "orderValue": [{ "amount": value }],
            "unitsShipped": UNITS, "shipmentsDispatched": 830,
            "deliveries": { "count": 830 }, "unitsPicked": UNITS, "unitsPacked": UNITS,
            "misScans": 0 }])
    );
}

/// The files have no addresses for mail: every customer gets one.
async fn give_addresses(app: &TestApp) {
    let rows = entity::customer::Entity::find();
    for row in rows.all(&app.app.db.read).await.unwrap() {
        let code = row.code.to_lowercase();
        let input = json!({ "id": to_global(row.id),
            "email": format!("{code}@customers.example") });
        let (kind, ask) = ("CustomerUpdateInput", "customer { email }");
        ok(run(app, "customerUpdate", kind, ask, input).await);
    }
}

/// The company's three shippers, each with its rates in its currency. Returns their codes.
async fn engage_carriers(app: &TestApp) -> Vec<String> {
    let mut all = Vec::new();
    for (name, price) in [
        ("Speedy Express", "9.80"),
        ("United Package", "7.20"),
        ("Federal Shipping", "8.10"),
    ] {
        let code = name.split(' ').next().unwrap().to_uppercase();
        let input = json!({ "code": code, "name": name, "adapter": "TABLE",
            "trackingPrefix": code[..2], "webhookSecret": SECRET,
            "trackingUrl": format!("https://{}.example/{{number}}", code.to_lowercase()) });
        let (kind, ask) = ("CarrierSaveInput", "carrier { id }");
        let made = ok(run(app, "carrierSave", kind, ask, input).await);
        let carrier = &made["carrier"]["id"];
        let days = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"];
        let input = json!({ "carrierId": carrier, "code": "PARCEL", "name": "Parcel",
            "cutOff": "17:00", "timeZone": "America/New_York", "transitDays": 5, "poBoxes": true,
            "pickupWeekdays": days, "deliveryWeekdays": days });
        let (kind, ask) = ("CarrierServiceSaveInput", "carrierService { id }");
        let service = ok(run(app, "carrierServiceSave", kind, ask, input).await);
        let input = json!({ "carrierId": carrier, "code": "world", "countries": ["*"] });
        let (kind, ask) = ("CarrierZoneSaveInput", "carrierZone { id }");
        let zone = ok(run(app, "carrierZoneSave", kind, ask, input).await);
        let input = json!({ "serviceId": service["carrierService"]["id"],
            "zoneId": zone["carrierZone"]["id"], "currency": "USD",
            "rates": [{ "upToGrams": 1_000_000, "price": price }] });
        let (kind, ask) = ("CarrierRatesReplaceInput", "carrierService { id }");
        ok(run(app, "carrierRatesReplace", kind, ask, input).await);
        all.push(code);
    }
    all
}

async fn settle_exceptions(app: &TestApp) {
    let open = "{ exceptions(first: 250, where: { blocking: true }) { nodes { id } } }";
    loop {
        let found = app.gql(open, json!({})).await;
        let rows = found["exceptions"]["nodes"].as_array().unwrap().clone();
        if rows.is_empty() {
            return;
        }
        for row in rows {
            let input = json!({ "id": row["id"], "resolution": "agreed" });
            let (kind, ask) = ("ExceptionSettleInput", "order { id }");
            ok(run(app, "exceptionResolve", kind, ask, input).await);
        }
    }
}

/// An order that has left.
struct Left {
    order: Value,
    order_number: String,
    carrier: String,
    tracking_numbers: Vec<String>,
}

/// Everything that waits in the warehouse goes out, in waves of 300 at most. What there is adds up
/// after every step.
async fn empty_the_floor(app: &TestApp, warehouse: &Value, sent: &mut Vec<Left>) {
    loop {
        app.settle().await;
        let input = json!({ "warehouseId": warehouse, "most": 300 });
        let made = run(app, "waveCreate", "WaveCreateInput", WAVE, input).await;
        if codes(&made) == ["WAVE_EMPTY"] {
            return;
        }
        let input = json!({ "id": ok(made)["wave"]["id"] });
        let released = ok(run(app, "waveRelease", "WaveInput", WAVE, input).await);
        let wave = &released["wave"];
        println!(
            "{} orders, {} stops at bins, {} one after another",
            wave["orders"], wave["binVisits"], wave["binVisitsSingly"]
        );
        assert_clean(app).await;
        for list in wave["pickLists"].as_array().unwrap() {
            pick_all(app, &list["id"]).await;
        }
        assert_clean(app).await;
        let query = "query Wave($id: ID!) { wave(id: $id) {
            fulfillmentOrders { order { id stage } } } }";
        let found = app.gql(query, json!({ "id": wave["id"] })).await;
        let works = found["wave"]["fulfillmentOrders"].as_array().unwrap();
        for work in works {
            assert_eq!(work["order"]["stage"], "PACKING", "{work}");
            pack_all(app, &work["order"]["id"]).await;
        }
        assert_clean(app).await;
        for work in works {
            let now = order(app, &work["order"]["id"]).await;
            ok(buy(app, &live_shipment(&now)["id"]).await);
        }
        assert_clean(app).await;
        for work in works {
            let now = order(app, &work["order"]["id"]).await;
            let shipment = live_shipment(&now);
            assert_eq!(shipment["status"], "LABELED", "{now:#}");
            ok(dispatch(app, &shipment["id"]).await);
            let parcels = shipment["packages"].as_array().unwrap().iter();
            let number = |parcel: &Value| Some(parcel["trackingNumber"].as_str()?.to_owned());
            sent.push(Left {
                order: now["id"].clone(),
                order_number: now["number"].as_str().unwrap().to_owned(),
                carrier: shipment["carrier"].as_str().unwrap().to_owned(),
                tracking_numbers: parcels.filter_map(number).collect(),
            });
        }
        assert_clean(app).await;
    }
}

/// What was printed for them is there, and programs of others read the labels as they were meant.
async fn read_back(app: &TestApp, sent: &[Left]) {
    let folder = tempfile::tempdir().unwrap();
    let query = "query Printed($id: ID!) { documents(orderId: $id) {
        nodes { id kind format url } } order(by: { id: $id }) { shippingAddress { city } } }";
    let mut read = 0;
    for (place, left) in sent.iter().enumerate() {
        let found = app.gql(query, json!({ "id": left.order })).await;
        let printed = found["documents"]["nodes"].as_array().unwrap();
        let of = |kind: &str, format: &str| {
            let fits = |row: &&Value| row["kind"] == kind && row["format"] == format;
            printed.iter().filter(fits).collect::<Vec<_>>()
        };
        let labels = of("LABEL", "PDF");
        assert_eq!(labels.len(), left.tracking_numbers.len(), "{printed:#?}");
        assert_eq!(of("LABEL", "ZPL").len(), labels.len());
        assert_eq!(of("PACKING_SLIP", "PDF").len(), labels.len());
        if place % 10 > 0 {
            continue;
        }
        let mut codes = BTreeSet::new();
        for row in labels.iter().chain(&of("PACKING_SLIP", "PDF")) {
            let bytes = support::http()
                .get(app.url(row["url"].as_str().unwrap()))
                .send()
                .await;
            let path = folder.path().join("printed.pdf");
            std::fs::write(&path, bytes.unwrap().bytes().await.unwrap()).unwrap();
            let text = words(&path);
            assert!(text.contains(&left.order_number), "{text}");
            if row["kind"] == "LABEL" {
                let city = found["order"]["shippingAddress"]["city"].as_str().unwrap();
                assert!(text.contains(city), "{city}: {text}");
                codes.extend(scanned(&path));
                read += 1;
            }
        }
        for number in &left.tracking_numbers {
            let of = |kind: &str| codes.iter().find(|(own, _)| own == kind);
            assert_eq!(of("Code 128").unwrap().1, *number);
            assert!(of("Data Matrix").unwrap().1.starts_with(number.as_str()));
        }
    }
    println!("{read} labels were read back");
}

/// The carriers say where the parcels are, until they are at the door.
async fn deliver(app: &TestApp, carriers: &[String], sent: &[Left]) {
    let now = app.app.clock.now();
    for (status, hours) in [
        ("CARRIER_PICKED_UP", 2),
        ("IN_TRANSIT", 20),
        ("DELIVERED", 50),
    ] {
        for carrier in carriers {
            let numbers = sent
                .iter()
                .filter(|left| left.carrier == *carrier)
                .flat_map(|left| &left.tracking_numbers);
            let events: Vec<Value> = numbers
                .map(|number| {
                    json!({ "trackingNumber": number, "status": status,
                        "occurredAt": now + chrono::Duration::hours(hours) })
                })
                .collect();
            for part in events.chunks(100) {
                let body = json!({ "events": part }).to_string();
                let answer = signed(app, carrier, SECRET, &body).await;
                assert_eq!(answer, (200, json!({ "new": part.len(), "parked": 0 })));
            }
        }
        assert_clean(app).await;
    }
}
