//! The law of the double scan, on random sequences: a model of what was scanned where says what each
//! scan must come to; a package closes only with the right units in it, each scanned twice; what is
//! sent again changes nothing.
//!
//! `OMS_LONG=1` runs 10,000 sequences; without it, a small part of that.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::dice::Dice;
use support::merchant::{Stocked, basket_with};
use support::{TestApp, both_backends};

both_backends!(f2b_random_scans_count_as_the_model_says_and_replays_change_nothing);

/// How many sequences are run.
fn sequences() -> usize {
    match std::env::var_os("OMS_LONG") {
        Some(_) => 10_000,
        None => 40,
    }
}

/// How many sequences one order is scanned for.
const ON_ONE_ORDER: usize = 20;

/// What a barcode stands for: the SKU and how many units.
const CODES: [(&str, Option<(&str, i64)>); 5] = [
    ("CUP", Some(("CUP", 1))),
    ("CUPS-6", Some(("CUP", 6))),
    ("POT", Some(("POT", 1))),
    ("TEA", Some(("TEA", 1))),
    ("NOTHING", None),
];

/// What was scanned for one order, by SKU.
#[derive(Debug, Default)]
struct Model {
    wanted: BTreeMap<&'static str, i64>,
    picked: BTreeMap<&'static str, i64>,
    packages: Vec<Parcel>,
}

/// A package: what it should hold, what it does, whether it is closed.
#[derive(Clone, Debug)]
struct Parcel {
    id: Value,
    expected: BTreeMap<&'static str, i64>,
    packed: BTreeMap<&'static str, i64>,
    closed: bool,
}

fn of(units: &BTreeMap<&'static str, i64>, sku: &str) -> i64 {
    units.get(sku).copied().unwrap_or_default()
}

impl Model {
    fn left_to_pick(&self) -> i64 {
        self.wanted.values().sum::<i64>() - self.picked.values().sum::<i64>()
    }

    fn packed(&self, sku: &str) -> i64 {
        self.packages.iter().map(|one| of(&one.packed, sku)).sum()
    }

    fn planned(&self, sku: &str) -> i64 {
        self.packages.iter().map(|one| of(&one.expected, sku)).sum()
    }

    /// What a scan at the bin must come to: nothing to say against it, or a code.
    fn pick(&mut self, code: &str, quantity: i64) -> Option<&'static str> {
        if self.left_to_pick() == 0 {
            return Some("FULFILLMENT_STATE_INVALID");
        }
        let stands_for = CODES.iter().find(|(known, _)| *known == code).unwrap().1;
        let Some((sku, each)) = stands_for else {
            return Some("SCAN_UNKNOWN");
        };
        let worth = each * quantity;
        let wanted = of(&self.wanted, sku);
        if wanted == 0 {
            return Some("SCAN_NOT_WANTED");
        }
        if worth > wanted - of(&self.picked, sku) {
            return Some("SCAN_OVER");
        }
        *self.picked.entry(sku).or_default() += worth;
        None
    }

    /// What a scan into a package must come to.
    fn pack(&mut self, place: usize, code: &str, quantity: i64) -> Option<&'static str> {
        if self.packages[place].closed {
            return Some("FULFILLMENT_STATE_INVALID");
        }
        let stands_for = CODES.iter().find(|(known, _)| *known == code).unwrap().1;
        let Some((sku, each)) = stands_for else {
            return Some("SCAN_UNKNOWN");
        };
        let worth = each * quantity;
        let ready = of(&self.picked, sku) - self.packed(sku);
        let package = &mut self.packages[place];
        if of(&package.expected, sku) == 0 {
            return Some("SCAN_NOT_WANTED");
        }
        if worth > of(&package.expected, sku) - of(&package.packed, sku) {
            return Some("SCAN_OVER");
        }
        if worth > ready {
            return Some("SCAN_NOT_PICKED");
        }
        *package.packed.entry(sku).or_default() += worth;
        None
    }
}

async fn run(app: &TestApp, mutation: &str, kind: &str, ask: &str, input: &Value) -> Value {
    let document = format!(
        "mutation Act($input: {kind}!) {{ {mutation}(input: $input) {{ {ask}
            userErrors {{ code message }} }} }}"
    );
    let mut data = app.gql(&document, json!({ "input": input })).await;
    data[mutation].take()
}

/// An order on a pick list that is claimed: its shipment, its list, and its lines by SKU.
struct Order {
    id: Value,
    shipment: Value,
    list: Value,
    lines: BTreeMap<String, Value>,
}

async fn begun(app: &TestApp, cup: &Stocked, wanted: &BTreeMap<&'static str, i64>) -> Order {
    let lines: Vec<Value> = wanted
        .iter()
        .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
        .collect();
    let placed = app.place(basket_with(json!({ "lines": lines }))).await;
    app.settle().await;
    let ask = "query Order($id: ID!) { order(by: { id: $id }) { lines { id sku }
        fulfillmentOrders { id } shipments { id } } }";
    let read = async || app.gql(ask, json!({ "id": placed["id"] })).await["order"].take();
    let order = read().await;
    let input = json!({ "fulfillmentOrderIds": [order["fulfillmentOrders"][0]["id"]],
        "warehouseId": api::graphql::ids::to_global(cup.warehouse).as_str() });
    let kind = "PickListCreateInput";
    let made = run(app, "pickListCreate", kind, "pickList { id }", &input).await;
    let list = made["pickList"]["id"].clone();
    let claim = json!({ "id": list });
    run(
        app,
        "pickListClaim",
        "PickListInput",
        "pickList { id }",
        &claim,
    )
    .await;
    let order = read().await;
    Order {
        id: placed["id"].clone(),
        shipment: order["shipments"][0]["id"].clone(),
        list,
        lines: order["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line["sku"].as_str().unwrap().to_owned(), line["id"].clone()))
            .collect(),
    }
}

/// One random action; the model says what it must come to.
async fn act(app: &TestApp, order: &Order, model: &mut Model, dice: &mut Dice, key: &str) {
    let code = CODES[dice.roll(CODES.len())].0;
    let quantity = 1 + dice.roll(3) as i64;
    let scan = "scan { accepted units } replayed";
    let (mutation, kind, ask, input, expected) = match dice.roll(10) {
        0..4 => (
            "pickScan",
            "PickScanInput",
            scan,
            json!({ "pickListId": order.list, "code": code, "quantity": quantity }),
            model.pick(code, quantity),
        ),
        4 if model.planned("CUP") < of(&model.wanted, "CUP")
            || model.planned("POT") < of(&model.wanted, "POT") =>
        {
            open(app, order, model, dice, key).await;
            return;
        }
        5..8 if !model.packages.is_empty() => {
            let place = dice.roll(model.packages.len());
            (
                "packScan",
                "PackScanInput",
                scan,
                json!({ "packageId": model.packages[place].id, "code": code,
                    "quantity": quantity }),
                model.pack(place, code, quantity),
            )
        }
        8 if !model.packages.is_empty() => {
            let place = dice.roll(model.packages.len());
            let package = &mut model.packages[place];
            let right = package
                .packed
                .iter()
                .filter(|(_, units)| **units > 0)
                .count()
                == package.expected.len()
                && package
                    .expected
                    .iter()
                    .all(|(sku, units)| of(&package.packed, sku) == *units);
            let expected = match (package.closed, right) {
                (true, _) => Some("FULFILLMENT_STATE_INVALID"),
                (false, false) => Some("PACKAGE_INCOMPLETE"),
                (false, true) => None,
            };
            package.closed |= right;
            let input = json!({ "id": package.id, "weightGrams": 900, "acceptWeight": true });
            (
                "packageClose",
                "PackageCloseInput",
                "package { id } replayed",
                input,
                expected,
            )
        }
        9 if !model.packages.is_empty() => {
            let place = dice.roll(model.packages.len());
            let package = model.packages.remove(place);
            let input = json!({ "id": package.id });
            (
                "packageEmpty",
                "PackageEmptyInput",
                "shipment { id } replayed",
                input,
                None,
            )
        }
        _ => return,
    };
    let mut input = input;
    input["idempotencyKey"] = json!(key);
    let told = run(app, mutation, kind, ask, &input).await;
    // What this order does not want may be what another one waits for.
    let code = match told["userErrors"][0]["code"].as_str() {
        Some("SCAN_OTHER_ORDER") => Some("SCAN_NOT_WANTED"),
        code => code,
    };
    assert_eq!(code, expected, "{mutation} {input} by {model:#?}: {told}");
    if dice.roll(3) == 0 {
        let again = run(app, mutation, kind, ask, &input).await;
        assert_eq!(
            again["userErrors"], told["userErrors"],
            "{mutation} {input}"
        );
        assert_eq!(again["scan"], told["scan"], "{mutation} {input}");
    }
}

/// Opens a package for a random part of what is to go into none yet.
async fn open(app: &TestApp, order: &Order, model: &mut Model, dice: &mut Dice, key: &str) {
    let mut expected = BTreeMap::new();
    for (sku, wanted) in model.wanted.clone() {
        let left = wanted - model.planned(sku);
        let units = dice.roll(left as usize + 1) as i64;
        if units > 0 {
            expected.insert(sku, units);
        }
    }
    if expected.is_empty() {
        return;
    }
    let lines: Vec<Value> = expected
        .iter()
        .map(|(sku, units)| json!({ "lineId": order.lines[*sku], "quantity": units }))
        .collect();
    let input = json!({ "shipmentId": order.shipment, "lines": lines, "idempotencyKey": key });
    let kind = "PackageOpenInput";
    let told = run(app, "packageOpen", kind, "package { id }", &input).await;
    assert_eq!(told["userErrors"], json!([]), "{input} by {model:#?}");
    model.packages.push(Parcel {
        id: told["package"]["id"].clone(),
        expected,
        packed: BTreeMap::new(),
        closed: false,
    });
}

/// Holds the order against the model.
async fn compare(app: &TestApp, order: &Order, model: &Model, told: &str) {
    let ask = "query Order($id: ID!) { order(by: { id: $id }) { stage lines { sku picked packed }
        shipments { status packages { id status lines { expected packed line { sku } } } } } }";
    let now = app.gql(ask, json!({ "id": order.id })).await["order"].take();
    for line in now["lines"].as_array().unwrap() {
        let sku = line["sku"].as_str().unwrap();
        let figures = (
            line["picked"].as_i64().unwrap(),
            line["packed"].as_i64().unwrap(),
        );
        assert_eq!(
            figures,
            (of(&model.picked, sku), model.packed(sku)),
            "{told}: {now:#}"
        );
    }
    let shipment = &now["shipments"][0];
    for package in &model.packages {
        let packages = shipment["packages"].as_array().unwrap();
        let row = packages.iter().find(|row| row["id"] == package.id).unwrap();
        let status = if package.closed { "CLOSED" } else { "OPEN" };
        assert_eq!(row["status"], status, "{told}: {now:#}");
    }
    let whole = model.left_to_pick() == 0
        && model.packages.iter().all(|package| package.closed)
        && model
            .wanted
            .iter()
            .all(|(sku, units)| model.packed(sku) == *units);
    let expected = match (whole, model.left_to_pick()) {
        (true, _) => "PACKED",
        (false, 0) => "PICKED",
        (false, _) => "PENDING",
    };
    assert_eq!(shipment["status"], expected, "{told}: {now:#} {model:#?}");
}

async fn f2b_random_scans_count_as_the_model_says_and_replays_change_nothing(app: &TestApp) {
    app.open_shop().await;
    let plenty = 1_000_000;
    let cup = app.stocked("CUP", plenty, false).await;
    app.stocked("POT", plenty, false).await;
    app.stocked("TEA", plenty, false).await;
    let input = json!({ "variantId": api::graphql::ids::to_global(cup.id).as_str(),
        "codes": [{ "code": "CUPS-6", "kind": "CASE", "units": 6 }] });
    run(
        app,
        "variantSetCodes",
        "VariantSetCodesInput",
        "variant { id }",
        &input,
    )
    .await;
    let sequences = sequences();
    let mut done = 0;
    while done < sequences {
        let mut dice = Dice::new(done as u64 + 1);
        let wanted = BTreeMap::from([("CUP", 8 + dice.roll(8) as i64), ("POT", 4)]);
        let order = begun(app, &cup, &wanted).await;
        let mut model = Model {
            wanted,
            ..Model::default()
        };
        for _ in 0..ON_ONE_ORDER {
            for step in 0..8 {
                let key = format!("scan-{done}-{step}");
                act(app, &order, &mut model, &mut dice, &key).await;
            }
            compare(app, &order, &model, &format!("sequence {done}")).await;
            done += 1;
        }
    }
}
