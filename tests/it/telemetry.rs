//! What those who run the program can see of it.

use std::collections::BTreeMap;

use api::reports::readings;
use api::telemetry::figures;
use serde_json::json;
use support::merchant::basket_with;
use support::{Place, Setup, TestApp, both_backends};
use tokio::sync::Mutex;

both_backends!(what_waits_and_what_was_done_can_be_read);

/// The figures of an app by name and labels, as Prometheus reads them.
async fn read(app: &TestApp) -> BTreeMap<String, f64> {
    let address = app.metrics.expect("an address of figures");
    let answer = support::http()
        .get(format!("http://{address}/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// A process has one set of figures, so that those who read them take turns.
static TURN: Mutex<()> = Mutex::const_new(());

async fn what_waits_and_what_was_done_can_be_read(app: &TestApp) {
    let _turn = TURN.lock().await;
    let place = Place::migrated(app.backend).await.expect("a database");
    let setup = Setup {
        settings: &[("OMS__TELEMETRY__METRICS_LISTEN", "127.0.0.1:0")],
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    let scarce = app.stocked("SCARCE", 1, true).await;
    let before = read(&app).await;
    let lines = json!([{ "sku": scarce.sku, "quantity": 2 }]);
    app.place(basket_with(json!({ "lines": lines }))).await;
    let declined = json!({ "payment": { "method": "CARD", "token": "tok_decline" } });
    app.place(basket_with(declined)).await;
    let silent = json!({ "payment": { "method": "CARD", "token": "tok_silent" } });
    app.place(basket_with(silent)).await;
    app.settle().await;
    let waits = readings::read(&app.app.db.read, app.app.clock.now()).await;
    assert_eq!(waits.unwrap().outbox, 0);
    let after = read(&app).await;

    let of = |name: &str| {
        after
            .get(name)
            .copied()
            .unwrap_or_else(|| panic!("no {name}: {after:#?}"))
    };
    assert_eq!(of("oms_orders{stage=\"BACKORDERED\"}"), 1.0);
    assert_eq!(of("oms_orders{stage=\"ON_HOLD\"}"), 1.0);
    assert_eq!(of("oms_exceptions_open{severity=\"HIGH\"}"), 1.0);
    assert_eq!(of("oms_exceptions_open{severity=\"CRITICAL\"}"), 0.0);
    assert_eq!(of("oms_backorders_waiting"), 1.0);
    assert_eq!(of("oms_payment_effects_unsettled{state=\"UNKNOWN\"}"), 1.0);
    assert_eq!(of("oms_outbox_events"), 0.0);
    let last = api::events::position(&app.app.db.read)
        .await
        .unwrap()
        .last_seq;
    assert_eq!(of("oms_log_position"), last as f64);
    // Whoever reads the figures may hold the only one.
    let connections = |state: &str| {
        let name = format!("oms_database_connections{{pool=\"read\",state=\"{state}\"}}");
        of(&name)
    };
    assert!(connections("idle") + connections("used") >= 1.0);
    assert!(of("process_resident_memory_bytes") > 1e6);
    assert_eq!(of("oms_stock_sources_stale"), 0.0);
    // The counts are the process's, in which other tests run too.
    let mutations = "oms_operations_total{transport=\"http\",kind=\"mutation\",outcome=\"ok\"}";
    assert!(of(mutations) >= before.get(mutations).copied().unwrap_or(0.0) + 3.0);
    assert!(of("oms_transactions_total{outcome=\"committed\"}") >= 3.0);
    // A source of stock figures that says nothing.
    let warehouses = app.gql("{ warehouses { nodes { id } } }", json!({})).await;
    let create = "mutation Make($input: StockSourceCreateInput!) {
        stockSourceCreate(input: $input) { userErrors { code } } }";
    let input = json!({ "code": "wms", "name": "WMS", "kind": "WMS",
        "warehouseIds": [warehouses["warehouses"]["nodes"][0]["id"]] });
    app.gql(create, json!({ "input": input })).await;
    app.clock.advance(chrono::TimeDelta::seconds(901));
    app.settle().await;
    assert_eq!(read(&app).await["oms_stock_sources_stale"], 1.0);
    // Nothing is shown that the manual does not have, and no label holds what a caller sent.
    for name in after.keys().filter(|name| name.starts_with("oms_")) {
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part))
            .unwrap_or(name);
        let figure = figures::ALL.iter().find(|figure| figure.name == base);
        let figure = figure.unwrap_or_else(|| panic!("{name} is not in the manual"));
        for label in labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty())
        {
            let (label, _) = label.split_once('=').unwrap();
            assert!(
                label == "le" || figure.labels.contains(&label),
                "{name}: {label}"
            );
        }
    }
    app.finish().await;
}
