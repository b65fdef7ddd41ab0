//! Who changed what, when, from where, and what was there before.

use chrono::Duration;
use entity::api_key::Role;
use serde_json::{Value, json};
use support::{TestApp, both_backends};

use super::fulfillment::{ok, run};

both_backends!(
    p4b_the_audit_says_who_changed_what_from_where_and_what_was_there_before,
    p4b_the_audit_keeps_no_secret_and_nothing_of_a_customer,
    p4b_who_may_not_read_the_audit_reads_nothing_of_it,
    p4b_where_requests_came_from_is_forgotten_in_time,
);

const AUDIT: &str = "query Audit($where: AuditWhere, $first: Int, $after: String) {
    auditLog(where: $where, first: $first, after: $after) {
        totalCount { count } pageInfo { hasNextPage endCursor }
        nodes { actor occurredAt apiKey { name } origins { address forwarded agent }
            changes { field before after } order { number }
            event { event aggregateType version correlationId } } } }";

async fn audit(app: &TestApp, wanted: Value) -> Vec<Value> {
    let mut answer = app.gql(AUDIT, json!({ "where": wanted })).await;
    let nodes = answer["auditLog"]["nodes"].take();
    nodes.as_array().unwrap().clone()
}

#[track_caller]
fn change<'a>(entry: &'a Value, field: &str) -> &'a Value {
    let mut changes = entry["changes"].as_array().unwrap().iter();
    let found = changes.find(|change| change["field"] == field);
    found.unwrap_or_else(|| panic!("no change of {field}: {entry:#}"))
}

async fn p4b_the_audit_says_who_changed_what_from_where_and_what_was_there_before(app: &TestApp) {
    app.open_shop().await;
    let key = app.key(Role::Admin).await;
    let make = "mutation Make($input: WarehouseCreateInput!) { warehouseCreate(input: $input) {
        warehouse { id } userErrors { code } } }";
    let input = json!({ "code": "NORTH", "name": "North", "country": "AT",
        "timeZone": "Europe/Vienna" });
    let made = app.gql_as(&key, make, json!({ "input": input })).await;
    let id = made["warehouseCreate"]["warehouse"]["id"].clone();
    assert!(id.is_string(), "{made:#}");
    let change_name = "mutation Change($input: WarehouseUpdateInput!) {
        warehouseUpdate(input: $input) { warehouse { name } userErrors { code } } }";
    let input = json!({ "id": id, "name": "Far north" });
    let request = app
        .request(Some(&key), change_name, json!({ "input": input }))
        .header("X-Request-Id", "renaming-1")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("User-Agent", "a dashboard");
    let answer = app.send(request).await;
    assert_eq!(answer.status, 200);

    let found = audit(app, json!({ "correlationId": "renaming-1" })).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let entry = &found[0];
    assert_eq!(entry["event"]["event"], "catalogue.changed");
    assert_eq!(entry["event"]["aggregateType"], "warehouse");
    assert!(entry["actor"].as_str().unwrap().starts_with("key:"));
    assert!(entry["apiKey"]["name"].is_string());
    let origin = json!([{ "address": "127.0.0.1", "forwarded": "203.0.113.9",
        "agent": "a dashboard" }]);
    assert_eq!(entry["origins"], origin);
    let renamed = json!({ "field": "name", "before": "North", "after": "Far north" });
    assert_eq!(*change(entry, "name"), renamed);
    assert_eq!(entry["changes"].as_array().unwrap().len(), 1);

    // The same from every side that somebody may ask from.
    for wanted in [
        json!({ "address": "203.0.113.9" }),
        json!({ "actors": [entry["actor"]], "events": ["catalogue.changed"] }),
        json!({ "aggregateTypes": ["warehouse"], "byPeople": true }),
        json!({ "from": entry["occurredAt"], "aggregateTypes": ["warehouse"] }),
    ] {
        let nodes = audit(app, wanted.clone()).await;
        let named = |node: &&Value| node["event"]["correlationId"] == "renaming-1";
        assert_eq!(nodes.iter().filter(named).count(), 1, "{wanted}");
    }
    let nobody = audit(app, json!({ "address": "203.0.113.10" })).await;
    assert_eq!(nobody, [] as [Value; 0]);

    // What says all of itself each time is compared with the last time.
    let cup = app.stocked("CUP", 3, false).await;
    app.receive(&cup, 4).await;
    let stock = audit(app, json!({ "aggregateTypes": ["stock"] })).await;
    let on_hand = change(&stock[0], "on_hand");
    assert_eq!(
        (&on_hand["before"], &on_hand["after"]),
        (&json!(3), &json!(7))
    );

    // A page goes on where the last one ended.
    let ask = json!({ "where": {}, "first": 2 });
    let first = app.gql(AUDIT, ask).await;
    let cursor = &first["auditLog"]["pageInfo"]["endCursor"];
    let ask = json!({ "where": {}, "first": 200, "after": cursor });
    let rest = app.gql(AUDIT, ask).await;
    let all = first["auditLog"]["totalCount"]["count"].as_u64().unwrap();
    let rest = rest["auditLog"]["nodes"].as_array().unwrap().len();
    assert_eq!(rest as u64 + 2, all);
}

async fn p4b_the_audit_keeps_no_secret_and_nothing_of_a_customer(app: &TestApp) {
    app.open_shop().await;
    let input = json!({ "code": "PRIVATE-1", "name": "Ada Secretive", "email": "ada@example.com" });
    let made = run(
        app,
        "customerCreate",
        "CustomerCreateInput",
        "customer { id version }",
        input,
    );
    let made = ok(made.await);
    let input = json!({ "id": made["customer"]["id"], "name": "Ada Quiet" });
    let ask = "customer { id }";
    ok(run(app, "customerUpdate", "CustomerUpdateInput", ask, input).await);
    let carrier = json!({ "code": "TOLD", "name": "Told", "adapter": "TABLE", "active": true,
        "webhookSecret": "a secret of sixteen bytes" });
    let ask = "carrier { id }";
    ok(run(app, "carrierSave", "CarrierSaveInput", ask, carrier).await);
    let of_customer = audit(app, json!({ "aggregateTypes": ["customer"] })).await;
    let name = change(&of_customer[0], "name");
    assert_eq!(
        (&name["before"], &name["after"]),
        (&Value::Null, &Value::Null)
    );
    let of_carrier = audit(app, json!({ "aggregateTypes": ["carrier"] })).await;
    change(&of_carrier[0], "webhook_secret");
    let all = json!(audit(app, json!({})).await).to_string();
    for hidden in ["Secretive", "Quiet", "ada@", "sixteen bytes"] {
        assert!(!all.contains(hidden), "{hidden} is told");
    }
}

async fn p4b_who_may_not_read_the_audit_reads_nothing_of_it(app: &TestApp) {
    app.open_shop().await;
    for role in [Role::Operations, Role::Viewer, Role::Support, Role::Finance] {
        let key = app.key(role).await;
        let answer = app.answer_as(Some(&key), AUDIT, json!({})).await;
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
    let confined = app.key_for(Role::Admin, &["web"], None).await;
    let answer = app.answer_as(Some(&confined.key), AUDIT, json!({})).await;
    assert_eq!(answer.body["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let made = audit(app, json!({ "aggregateTypes": ["api_key"] })).await;
    assert!(made.len() >= 5);
    assert_eq!(made[0]["event"]["event"], "api_key.created");
}

async fn p4b_where_requests_came_from_is_forgotten_in_time(app: &TestApp) {
    app.open_shop().await;
    app.stocked("CUP", 3, false).await;
    let from_outside = |nodes: &[Value]| {
        let known = |node: &&Value| node["origins"] != json!([]);
        nodes.iter().filter(known).count()
    };
    assert!(from_outside(&audit(app, json!({})).await) > 0);
    app.clock.advance(Duration::days(401));
    api::workers::forget_origins(&app.app).await.unwrap();
    assert_eq!(from_outside(&audit(app, json!({})).await), 0);
}
