//! How long a scanner waits for its answer: a unit after another, picked and then packed, beside a
//! request that asks for nothing, in one run.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Server, Shop, fresh, next, percentile};

/// How many people scan at once.
const SCANNERS: [usize; 2] = [1, 8];

/// How many units each scans.
const UNITS: usize = 200;

/// Measures on SQLite, and on PostgreSQL where there is one.
pub async fn measure(pause: Duration) {
    println!(
        "{:<9} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8}",
        "back end", "scanners", "what", "scans", "p50 ms", "p99 ms", "ratio"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    run(&format!("sqlite:{}", path.display()), pause).await;
    if let Ok(url) = std::env::var("OMS_BENCH_POSTGRES") {
        run(&url, pause).await;
    }
}

async fn run(url: &str, pause: Duration) {
    let server = Server::start(url);
    let shop = Shop::open(&server).await;
    shop.switch_rules(false).await;
    let back_end = match url.starts_with("postgres") {
        true => "postgres",
        false => "sqlite",
    };
    for scanners in SCANNERS {
        let mut floors = Vec::new();
        for nth in 0..scanners {
            floors.push(Floor::with_an_order(&shop, nth).await);
        }
        let mut idle = together(&floors, Floor::wait).await;
        let mut picks = together(&floors, Floor::pick).await;
        for floor in &mut floors {
            floor.open_package().await;
        }
        let mut packs = together(&floors, Floor::pack).await;
        let least = percentile(&mut idle, 0.5);
        for (what, times) in [
            ("nothing", &mut idle),
            ("pickScan", &mut picks),
            ("packScan", &mut packs),
        ] {
            let middle = percentile(times, 0.5);
            println!(
                "{back_end:<9} {scanners:>8} {what:>10} {:>8} {middle:>8.1} {:>8.1} {:>8.1}",
                times.len(),
                percentile(times, 0.99),
                middle / least,
            );
        }
        tokio::time::sleep(pause / 5).await;
    }
}

/// What many people wait for their answers, in milliseconds.
async fn together<'a, F>(floors: &'a [Floor<'a>], once: impl Fn(&'a Floor<'a>) -> F) -> Vec<f64>
where
    F: Future<Output = Vec<f64>>,
{
    let all = floors.iter().map(once);
    futures_util::future::join_all(all).await.concat()
}

/// An order of many units of one variant, on its way through the warehouse.
struct Floor<'a> {
    shop: &'a Shop,
    sku: &'a str,
    list: Value,
    shipment: Value,
    package: Value,
}

impl<'a> Floor<'a> {
    async fn with_an_order(shop: &'a Shop, nth: usize) -> Floor<'a> {
        let seed = next(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(fresh()));
        let placed = shop
            .submit(&[nth], u32::try_from(UNITS).unwrap(), seed)
            .await;
        let query = "query O($id: ID!) { order(by: { id: $id }) { stage
            fulfillmentOrders { id warehouse { id } } shipments { id } } }";
        let order = loop {
            let found = shop.ask(query, json!({ "id": placed["id"] })).await;
            if found["order"]["fulfillmentOrders"][0].is_object() {
                break found["order"].clone();
            }
            assert_ne!(found["order"]["stage"], "ON_HOLD", "{found}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let work = &order["fulfillmentOrders"][0];
        let create = "mutation L($input: PickListCreateInput!) { pickListCreate(input: $input) {
            pickList { id } userErrors { code message } } }";
        let input = json!({ "warehouseId": work["warehouse"]["id"],
            "fulfillmentOrderIds": [work["id"]] });
        let made = shop.ask(create, json!({ "input": input })).await;
        assert_eq!(made["pickListCreate"]["userErrors"], json!([]), "{made}");
        let list = made["pickListCreate"]["pickList"]["id"].clone();
        let claim = "mutation C($input: PickListInput!) { pickListClaim(input: $input) {
            userErrors { code message } } }";
        let claimed = shop.ask(claim, json!({ "input": { "id": list } })).await;
        assert_eq!(
            claimed["pickListClaim"]["userErrors"],
            json!([]),
            "{claimed}"
        );
        Floor {
            shop,
            sku: &shop.skus[nth],
            list,
            shipment: order["shipments"][0]["id"].clone(),
            package: Value::Null,
        }
    }

    async fn open_package(&mut self) {
        let open = "mutation P($input: PackageOpenInput!) { packageOpen(input: $input) {
            package { id } userErrors { code message } } }";
        let input = json!({ "shipmentId": self.shipment });
        let opened = self.shop.ask(open, json!({ "input": input })).await;
        assert_eq!(opened["packageOpen"]["userErrors"], json!([]), "{opened}");
        self.package = opened["packageOpen"]["package"]["id"].clone();
    }

    async fn wait(&self) -> Vec<f64> {
        self.each("{ __typename }", "__typename", &json!({})).await
    }

    async fn pick(&self) -> Vec<f64> {
        let pick = "mutation S($input: PickScanInput!) { pickScan(input: $input) {
            scan { accepted left } userErrors { code message } } }";
        let input = json!({ "pickListId": self.list, "code": self.sku, "quantity": 1 });
        self.each(pick, "pickScan", &json!({ "input": input }))
            .await
    }

    async fn pack(&self) -> Vec<f64> {
        let pack = "mutation S($input: PackScanInput!) { packScan(input: $input) {
            scan { accepted left } userErrors { code message } } }";
        let input = json!({ "packageId": self.package, "code": self.sku, "quantity": 1 });
        self.each(pack, "packScan", &json!({ "input": input }))
            .await
    }

    async fn each(&self, document: &str, field: &str, variables: &Value) -> Vec<f64> {
        let mut waited = Vec::with_capacity(UNITS);
        for _ in 0..UNITS {
            let began = Instant::now();
            let answer = self.shop.ask(document, variables.clone()).await;
            waited.push(began.elapsed().as_secs_f64() * 1_000.0);
            let refused = answer[field]["scan"]["accepted"] == false;
            assert!(
                !refused && answer[field]["userErrors"].get(0).is_none(),
                "{answer}"
            );
        }
        waited
    }
}
