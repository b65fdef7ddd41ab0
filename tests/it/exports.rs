//! Exports: rows as files, each row once whatever crashes, for those who may see them.

use std::collections::BTreeSet;

use api::exports;
use api::graphql::ids::{from_global, to_global};
use api::tx::{Actor, new_id};
use chrono::{Duration, TimeDelta};
use entity::api_key::Role;
use entity::{ExportId, export_part, stock_movement};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde_json::{Value, json};
use support::merchant::{basket, basket_with, codes};
use support::{TestApp, both_backends};

use crate::invoices::{sell_in, sold};

both_backends!(
    j4_every_kind_is_read_back_in_both_formats,
    j4_ten_thousand_rows_are_there_once_though_nodes_race_and_parts_are_lost,
    j4_an_export_has_what_its_asker_may_see_and_nobody_else_reads_it,
    j4_an_export_is_stopped_half_way,
    j4_an_address_and_an_export_end,
);

const FIELDS: &str = "id kind format state rowsDone rowsTotal bytes personal createdAt finishedAt
    expiresAt url failure";

async fn create(app: &TestApp, key: &str, input: Value) -> Value {
    let query = format!(
        "mutation C($input: ExportCreateInput!) {{ exportCreate(input: $input) {{
            export {{ {FIELDS} }} userErrors {{ code field }} }} }}"
    );
    let mut data = app.gql_as(key, &query, json!({ "input": input })).await;
    data["exportCreate"].take()
}

async fn export(app: &TestApp, key: &str, id: &Value) -> Value {
    let query = format!("query E($id: ID!) {{ export(id: $id) {{ {FIELDS} }} }}");
    app.gql_as(key, &query, json!({ "id": id })).await["export"].take()
}

async fn cancel(app: &TestApp, id: &Value) -> Value {
    let query = "mutation C($input: ExportCancelInput!) { exportCancel(input: $input) {
        export { state } userErrors { code } } }";
    let input = json!({ "input": { "id": id } });
    app.gql(query, input).await["exportCancel"].take()
}

async fn get(app: &TestApp, path: &str) -> reqwest::Response {
    support::http().get(app.url(path)).send().await.unwrap()
}

/// The text of an export that is made to its end.
async fn made(app: &TestApp, key: &str, input: Value) -> String {
    let asked = create(app, key, input).await;
    assert_eq!(asked["userErrors"], json!([]), "{asked:#}");
    app.settle().await;
    let done = export(app, key, &asked["export"]["id"]).await;
    assert_eq!(done["state"], "COMPLETED", "{done:#}");
    assert_eq!(done["rowsDone"], done["rowsTotal"], "{done:#}");
    let answer = get(app, done["url"].as_str().unwrap()).await;
    assert_eq!(answer.status(), 200);
    let named = answer.headers()["content-disposition"].to_str().unwrap();
    assert!(named.starts_with("attachment; filename=\""), "{named}");
    let text = answer.text().await.unwrap();
    assert_eq!(done["bytes"], text.len());
    text
}

fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Lines of CSV as objects of texts.
fn lines(text: &str) -> Vec<Value> {
    let mut lines = csv::Reader::from_reader(text.as_bytes());
    let names = lines.headers().unwrap().clone();
    let objects = lines.records().map(|line| {
        let line = line.unwrap();
        let cells = names.iter().zip(line.iter());
        let cells = cells.map(|(name, cell)| (name.to_owned(), json!(cell)));
        Value::Object(cells.collect())
    });
    objects.collect()
}

/// What a cell of CSV is, from what JSON has: exact, but for defused formulas.
fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

async fn j4_every_kind_is_read_back_in_both_formats(app: &TestApp) {
    app.open_shop().await;
    sell_in(app, &["web"]).await;
    let cup = app.stocked("CUP", 10, true).await;
    sold(
        app,
        &cup,
        2,
        json!({ "customer": { "name": "=1+1", "email": "a@example.com" } }),
    )
    .await;
    let declined = json!({ "payment": { "method": "CARD", "token": "tok_decline" } });
    app.place(basket_with(declined)).await;
    app.settle().await;
    app.clock.advance(Duration::seconds(1));
    let mut found = Vec::new();
    for kind in [
        "ORDERS",
        "ORDER_LINES",
        "SHIPMENTS",
        "INVOICES",
        "INVOICE_LINES",
        "LEDGER_ENTRIES",
        "STOCK",
        "STOCK_MOVEMENTS",
        "EXCEPTIONS",
    ] {
        let ask =
            |format: &str| json!({ "kind": kind, "format": format, "timeZone": "Europe/Vienna" });
        let exact = objects(&made(app, &app.admin_key, ask("JSONL")).await);
        let table = lines(&made(app, &app.admin_key, ask("CSV")).await);
        assert!(!exact.is_empty(), "{kind}");
        assert_eq!(exact.len(), table.len(), "{kind}");
        for (object, line) in exact.iter().zip(&table) {
            for (name, value) in object.as_object().unwrap() {
                let (cell, text) = (line[name].as_str().unwrap(), as_text(value));
                assert!(
                    cell == text || cell == format!("'{text}"),
                    "{kind} {name}: {cell} {text}"
                );
            }
        }
        found.push((exact, table));
    }
    let (orders, table) = &found[0];
    let query = "{ orders(first: 10) { nodes { number stage customerName total { amount currency }
        receivedAt } } }";
    let shown = app.gql(query, json!({})).await["orders"]["nodes"].take();
    for order in shown.as_array().unwrap() {
        let row = orders
            .iter()
            .find(|row| row["number"] == order["number"])
            .unwrap();
        assert_eq!(row["total"], order["total"]["amount"]);
        assert_eq!(row["currency"], order["total"]["currency"]);
        for same in ["stage", "customerName"] {
            assert_eq!(row[same], order[same], "{same}");
        }
        let moment = |row: &Value| {
            let text = row["receivedAt"].as_str().unwrap();
            chrono::DateTime::parse_from_rfc3339(text).unwrap()
        };
        assert_eq!(moment(row), moment(order));
        assert!(row["receivedAtLocal"].is_string());
    }
    assert!(
        table.iter().any(|row| row["customerName"] == "'=1+1"),
        "{table:#?}"
    );
    let entries = &found[5].0;
    let query = "{ ledgerEntries(first: 100) { nodes { debit credit amount { amount } } } }";
    let shown = app.gql(query, json!({})).await["ledgerEntries"]["nodes"].take();
    let told = |debit: &Value, credit: &Value, amount: &Value| format!("{debit} {credit} {amount}");
    let rows = entries
        .iter()
        .map(|row| told(&row["debit"], &row["credit"], &row["amount"]));
    let nodes = shown.as_array().unwrap().iter();
    let nodes = nodes.map(|row| told(&row["debit"], &row["credit"], &row["amount"]["amount"]));
    assert_eq!(
        rows.collect::<BTreeSet<_>>(),
        nodes.collect::<BTreeSet<_>>()
    );
    let on_hand: Vec<_> = found[6]
        .0
        .iter()
        .filter(|row| row["sku"] == "CUP")
        .collect();
    assert_eq!(on_hand[0]["onHand"], 8);

    // Nothing was written down before that.
    let none = json!({ "kind": "ORDERS", "format": "CSV", "to": "2001-01-01T00:00:00Z" });
    assert!(
        made(app, &app.admin_key, none)
            .await
            .starts_with("id,number,")
    );
    let mixed = json!({ "kind": "ORDERS", "format": "CSV", "from": "2001-01-01T00:00:00Z",
        "to": "2001-01-01T00:00:00Z" });
    assert_eq!(
        codes(&create(app, &app.admin_key, mixed).await),
        ["INVALID_INPUT"]
    );
}

/// Writes movements that come to nothing.
async fn moved(app: &TestApp, count: usize) {
    app.stocked("MANY", 1, true).await;
    let row = stock_movement::Entity::find()
        .filter(stock_movement::Column::DeltaOnHand.gt(0))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let row = &row;
    app.app
        .write(&Actor::worker("test"), move |tx| async move {
            let rows = (0..count).map(|place| stock_movement::ActiveModel {
                id: Set(new_id()),
                delta_on_hand: Set(if place % 2 == 0 { 1 } else { -1 }),
                operation_key: Set(format!("test:{place}")),
                occurred_at: Set(tx.now),
                ..row.clone().into()
            });
            tx.defer_rows(rows.collect(), |insert| insert);
            Ok(())
        })
        .await
        .unwrap();
    app.clock.advance(Duration::seconds(1));
}

async fn j4_ten_thousand_rows_are_there_once_though_nodes_race_and_parts_are_lost(app: &TestApp) {
    app.open_shop().await;
    moved(app, 10_000).await;
    let input = json!({ "kind": "STOCK_MOVEMENTS", "format": "JSONL" });
    let asked = create(app, &app.admin_key, input).await;
    let id = from_global::<ExportId>(&asked["export"]["id"].as_str().unwrap().into(), "id");
    let id = id.unwrap();
    // What comes later is not in it.
    app.clock.advance(Duration::seconds(1));
    app.stocked("LATER", 5, true).await;
    assert!(app.app.make_part(id).await.unwrap());
    // A node that dies before its commit has written nothing.
    let actor = Actor::worker("exports");
    let lost = app.app.rehearse(&actor, move |tx| async move {
        let made = exports::advance(&tx, id, TimeDelta::days(1)).await?;
        tx.flush().await?;
        Ok(made)
    });
    assert!(lost.await.unwrap());
    // Several at once: whom another was quicker than makes another part, or none.
    join_all((0..4).map(|_| app.app.make_part(id))).await;
    app.settle().await;
    let done = export(app, &app.admin_key, &asked["export"]["id"]).await;
    assert_eq!(done["state"], "COMPLETED");
    assert_eq!(done["rowsDone"], done["rowsTotal"]);
    let text = get(app, done["url"].as_str().unwrap())
        .await
        .text()
        .await
        .unwrap();
    let rows = objects(&text);
    let ids: BTreeSet<String> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!((rows.len(), ids.len()), (ids.len(), rows.len()));
    let all = stock_movement::Entity::find();
    let all = all.all(&app.app.db.read).await.unwrap();
    let until: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(asked["export"]["createdAt"].clone()).unwrap();
    let due = all.iter().filter(|row| row.occurred_at < until);
    let due: BTreeSet<String> = due.map(|row| json!(row.id).to_string()).collect();
    assert!(due.len() >= 10_000 && due.len() < all.len());
    assert_eq!(ids, due);
}

async fn j4_an_export_has_what_its_asker_may_see_and_nobody_else_reads_it(app: &TestApp) {
    app.open_shop().await;
    let own = app.place(basket()).await;
    let b2b = json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "payment": { "method": "ACCOUNT" } });
    app.place(basket_with(b2b)).await;
    app.clock.advance(Duration::seconds(1));
    let ask = json!({ "kind": "ORDERS", "format": "JSONL" });
    let everything = create(app, &app.admin_key, ask.clone()).await["export"]["id"].take();
    let partner = app.key_for(Role::Partner, &["web"], None).await.key;
    let rows = objects(&made(app, &partner, ask.clone()).await);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["number"], own["number"]);
    assert!(rows[0]["email"].is_string());
    assert_eq!(export(app, &partner, &everything).await, Value::Null);
    let b2b = to_global(app.channel("b2b").await.id);
    let foreign = json!({ "kind": "ORDERS", "format": "CSV", "channelId": b2b.as_str() });
    assert_eq!(
        codes(&create(app, &partner, foreign.clone()).await),
        ["NOT_FOUND"]
    );
    let rows = lines(&made(app, &app.admin_key, foreign).await);
    assert_eq!(rows.len(), 1);
    // A viewer reads no personal data, and no export that has some.
    let viewer = app.key(Role::Viewer).await;
    let rows = objects(&made(app, &viewer, ask).await);
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter()
            .all(|row| row.get("email").is_none() && row.get("shippingCity").is_none())
    );
    assert_eq!(export(app, &viewer, &everything).await, Value::Null);
    let query = "mutation C($input: ExportCreateInput!) { exportCreate(input: $input) {
        userErrors { code } } }";
    let input = json!({ "input": { "kind": "LEDGER_ENTRIES", "format": "CSV" } });
    let answer = app.answer_as(Some(&partner), query, input).await;
    assert_eq!(answer.code(), "FORBIDDEN");
    let listed = "{ exports { nodes { id } totalCount { count } } }";
    let mine = app.gql_as(&partner, listed, json!({})).await;
    assert_eq!(mine["exports"]["totalCount"]["count"], 1);
}

async fn j4_an_export_is_stopped_half_way(app: &TestApp) {
    app.open_shop().await;
    moved(app, 1_500).await;
    let input = json!({ "kind": "STOCK_MOVEMENTS", "format": "CSV" });
    let asked = create(app, &app.admin_key, input).await["export"]["id"].take();
    app.app.make_exports().await.unwrap();
    assert_eq!(export(app, &app.admin_key, &asked).await["rowsDone"], 1_000);
    assert_eq!(cancel(app, &asked).await["export"]["state"], "CANCELLED");
    app.settle().await;
    let now = export(app, &app.admin_key, &asked).await;
    assert_eq!(
        (&now["state"], &now["url"]),
        (&json!("CANCELLED"), &Value::Null)
    );
    let parts = export_part::Entity::find().count(&app.app.db.read).await;
    assert_eq!(parts.unwrap(), 0);
    assert_eq!(codes(&cancel(app, &asked).await), ["OPERATION_NOT_RUNNING"]);
    let query = "{ events(first: 100, types: [EXPORT_REQUESTED, EXPORT_FINISHED]) { nodes {
        event { event details } } } }";
    let heard = app.gql(query, json!({})).await["events"]["nodes"].take();
    assert_eq!(heard[0]["event"]["event"], "export.requested");
    assert_eq!(heard[1]["event"]["details"]["state"], "CANCELLED");
}

async fn j4_an_address_and_an_export_end(app: &TestApp) {
    app.open_shop().await;
    app.place(basket()).await;
    app.clock.advance(Duration::seconds(1));
    let input = json!({ "kind": "ORDERS", "format": "CSV" });
    let asked = create(app, &app.admin_key, input).await["export"]["id"].take();
    app.settle().await;
    let path = export(app, &app.admin_key, &asked).await["url"].take();
    let path = path.as_str().unwrap();
    let turned = path.replace("/exports/", "/documents/");
    assert_eq!(get(app, &turned).await.status(), 403);
    app.clock.advance(Duration::minutes(16));
    let late = get(app, path).await;
    assert_eq!(late.status(), 403);
    assert!(late.text().await.unwrap().contains("LINK_EXPIRED"));
    app.clock.advance(Duration::days(7));
    app.settle().await;
    let now = export(app, &app.admin_key, &asked).await;
    assert_eq!(
        (&now["state"], &now["url"]),
        (&json!("EXPIRED"), &Value::Null)
    );
    let parts = export_part::Entity::find().count(&app.app.db.read).await;
    assert_eq!(parts.unwrap(), 0);
}
