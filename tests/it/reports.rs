//! Reports over any period: what happened, added up as it happens.

use api::clock::Clock;
use api::reports::operations;
use api::tx::Actor;
use chrono::Duration;
use entity::api_key::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};
use support::merchant::{basket, basket_with, codes};
use support::{TestApp, both_backends};

use super::fulfillment::{
    buy, dispatch, listed, live_shipment, ok, order, pack_all, pick_all, routed, run,
};

both_backends!(
    p4b_a_report_says_what_happened_and_how_long_it_took,
    p4b_a_day_is_one_of_the_time_zone,
    p4b_lines_are_told_apart_and_a_confined_key_sees_its_own,
    p4b_what_cannot_be_reported_is_refused,
    nodes_that_add_up_at_once_count_nothing_twice,
);

const REPORT: &str = "query Report($input: OperationsReportInput!) {
    operationsReport(input: $input) { report { seq lines { start end carrier
        channel { code } warehouse { code }
        ordersReceived orderValue { amount currency } unitsOrdered unitsFilled fillRate
        stages { stage entered left { count p50Secs p95Secs } }
        exceptions { code opened settled { count p50Secs } }
        unitsPicked unitsPacked unitsShort misScans misScansByCode { code count }
        misScansPerThousand shipmentsDispatched dispatchedLate onTimeRate unitsShipped
        deliveries { count p50Secs } } } userErrors { code field } } }";

/// Reads a report over some days around now.
async fn report(app: &TestApp, key: &str, input: Value) -> Value {
    let today = app.clock.now().date_naive();
    let mut asked = json!({ "from": today - Duration::days(1), "to": today + Duration::days(9),
        "interval": "TOTAL" });
    for (field, value) in input.as_object().unwrap() {
        asked[field] = value.clone();
    }
    let mut answer = app.gql_as(key, REPORT, json!({ "input": asked })).await;
    answer["operationsReport"].take()
}

async fn lines(app: &TestApp, key: &str, input: Value) -> Vec<Value> {
    let answer = ok(report(app, key, input).await);
    answer["report"]["lines"].as_array().unwrap().clone()
}

#[track_caller]
fn of<'a>(line: &'a Value, list: &str, field: &str, name: &str) -> &'a Value {
    let mut rows = line[list].as_array().unwrap().iter();
    let found = rows.find(|row| row[field] == name);
    found.unwrap_or_else(|| panic!("no {name}: {line:#}"))
}

/// Whether a span is within what its bin leaves open.
fn near(secs: &Value, expected: i64) -> bool {
    secs.as_i64()
        .is_some_and(|secs| (secs - expected).abs() * 25 <= expected)
}

async fn p4b_a_report_says_what_happened_and_how_long_it_took(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 3, true).await;
    let first = routed(app, &[(&cup, 2)]).await;
    app.clock.advance(Duration::minutes(40));
    // One unit is there, one is not.
    routed(app, &[(&cup, 2)]).await;
    let sheet = listed(app, &cup, &[&first]).await;
    let claim = json!({ "id": sheet["id"] });
    let ask = "pickList { status }";
    ok(run(app, "pickListClaim", "PickListInput", ask, claim).await);
    let input = json!({ "pickListId": sheet["id"], "code": "NOBODY-KNOWS", "quantity": 1 });
    let ask = "scan { accepted }";
    run(app, "pickScan", "PickScanInput", ask, input).await;
    let hand_back = json!({ "id": sheet["id"] });
    let ask = "pickList { status }";
    ok(run(app, "pickListHandBack", "PickListInput", ask, hand_back).await);
    pick_all(app, &sheet["id"]).await;
    pack_all(app, &first["id"]).await;
    let now = order(app, &first["id"]).await;
    let shipment = live_shipment(&now)["id"].clone();
    ok(buy(app, &shipment).await);
    // A day is what the channel promises.
    app.clock.advance(Duration::hours(30));
    ok(dispatch(app, &shipment).await);
    app.settle().await;

    let all = lines(app, &app.admin_key, json!({})).await;
    assert_eq!(all.len(), 1);
    let line = &all[0];
    assert_eq!(line["ordersReceived"], 2);
    assert_eq!(line["orderValue"][0]["currency"], "EUR");
    let (ordered, filled) = (&line["unitsOrdered"], &line["unitsFilled"]);
    assert_eq!((ordered, filled), (&json!(4), &json!(3)));
    assert_eq!(line["fillRate"], "0.75");
    let staged = of(line, "stages", "stage", "STAGED");
    assert_eq!(staged["entered"], 1, "{line:#}");
    assert_eq!(staged["left"]["count"], 1);
    assert!(near(&staged["left"]["p50Secs"], 2_400), "{staged}");
    let ready = of(line, "stages", "stage", "READY");
    assert!(near(&ready["left"]["p95Secs"], 108_000), "{ready}");
    assert_eq!(of(line, "stages", "stage", "SHIPPED")["entered"], 1);
    assert_eq!(of(line, "stages", "stage", "BACKORDERED")["entered"], 1);
    let (picked, packed) = (&line["unitsPicked"], &line["unitsPacked"]);
    assert_eq!((picked, packed), (&json!(2), &json!(2)));
    assert_eq!(
        (&line["misScans"], &line["misScansPerThousand"]),
        (&json!(1), &json!("250"))
    );
    assert_eq!(
        of(line, "misScansByCode", "code", "SCAN_UNKNOWN")["count"],
        1
    );
    assert_eq!(line["shipmentsDispatched"], 1);
    assert_eq!(
        (&line["dispatchedLate"], &line["onTimeRate"]),
        (&json!(1), &json!("0"))
    );
    assert_eq!(line["unitsShipped"], 2);

    let by = lines(app, &app.admin_key, json!({ "by": "CARRIER" })).await;
    assert_eq!(by.len(), 1);
    assert_eq!(
        (&by[0]["shipmentsDispatched"], &by[0]["ordersReceived"]),
        (&json!(1), &json!(0))
    );
    let by = lines(app, &app.admin_key, json!({ "by": "WAREHOUSE" })).await;
    assert_eq!(by[0]["warehouse"]["code"], "VIE");
    assert_eq!(
        (&by[0]["misScans"], &by[0]["unitsPacked"]),
        (&json!(1), &json!(2))
    );
}

async fn p4b_a_day_is_one_of_the_time_zone(app: &TestApp) {
    app.open_shop().await;
    // Half past eleven at night in Vienna, and then in London.
    let today = app.clock.now().date_naive();
    let to =
        |hour, minute| today.and_hms_opt(hour, minute, 0).unwrap().and_utc() + Duration::days(1);
    app.clock.advance(to(22, 30) - app.clock.now());
    app.place(basket()).await;
    app.clock.advance(to(23, 30) - app.clock.now());
    app.place(basket()).await;
    app.settle().await;
    let days = |zone: &str| {
        json!({ "from": today, "to": today + Duration::days(3), "interval": "DAY",
            "timeZone": zone })
    };
    let counts = async |zone: &str| {
        let lines = lines(app, &app.admin_key, days(zone)).await;
        let counts = lines
            .iter()
            .map(|line| line["ordersReceived"].as_i64().unwrap());
        counts.collect::<Vec<_>>()
    };
    assert_eq!(counts("UTC").await, [0, 2, 0, 0]);
    assert_eq!(counts("Europe/Vienna").await, [0, 1, 1, 0]);
    assert_eq!(counts("Asia/Kathmandu").await, [0, 0, 2, 0]);
}

async fn p4b_lines_are_told_apart_and_a_confined_key_sees_its_own(app: &TestApp) {
    app.open_shop().await;
    app.place(basket()).await;
    let b2b = json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "payment": { "method": "ACCOUNT" } });
    for _ in 0..2 {
        app.place(basket_with(b2b.clone())).await;
    }
    app.settle().await;
    let lines_by = lines(app, &app.admin_key, json!({ "by": "CHANNEL" })).await;
    let mut counted: Vec<(&str, i64)> = lines_by
        .iter()
        .map(|line| {
            let code = line["channel"]["code"].as_str().unwrap();
            (code, line["ordersReceived"].as_i64().unwrap())
        })
        .collect();
    counted.sort_unstable();
    assert_eq!(counted, [("b2b", 2), ("web", 1)]);
    let key = app.key_for(Role::Partner, &["web"], None).await.key;
    assert_eq!(lines(app, &key, json!({})).await[0]["ordersReceived"], 1);
    let b2b = api::graphql::ids::to_global(app.channel("b2b").await.id);
    let refused = report(app, &key, json!({ "channelIds": [b2b.as_str()] })).await;
    assert_eq!(codes(&refused), ["NOT_FOUND"]);
    let own = json!({ "channelIds": [b2b.as_str()] });
    assert_eq!(
        lines(app, &app.admin_key, own).await[0]["ordersReceived"],
        2
    );
    let none = json!({ "channelIds": [] });
    assert_eq!(
        lines(app, &app.admin_key, none).await[0]["ordersReceived"],
        0
    );
}

async fn p4b_what_cannot_be_reported_is_refused(app: &TestApp) {
    for (input, code) in [
        (
            json!({ "from": "2026-01-02", "to": "2026-01-01" }),
            "INVALID_INPUT",
        ),
        (
            json!({ "from": "2020-01-01", "interval": "DAY" }),
            "TOO_MANY",
        ),
        (json!({ "timeZone": "Europe/Nowhere" }), "INVALID_INPUT"),
    ] {
        assert_eq!(codes(&report(app, &app.admin_key, input).await), [code]);
    }
}

async fn nodes_that_add_up_at_once_count_nothing_twice(app: &TestApp) {
    app.open_shop().await;
    for _ in 0..20 {
        app.place(basket()).await;
    }
    app.app.hub.turn().await.unwrap();
    let add_up = || async {
        let actor = Actor::worker("projection");
        let step = |tx: std::sync::Arc<api::tx::Tx>| async move { operations::advance(&tx).await };
        // Whom another node was quicker than has nothing to do, or is told to try again.
        let _ = app.app.write(&actor, step).await;
    };
    join_all((0..4).map(|_| add_up())).await;
    app.settle().await;
    assert_eq!(
        lines(app, &app.admin_key, json!({})).await[0]["ordersReceived"],
        20
    );
}
