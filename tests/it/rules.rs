//! Rules as data: what they flag waits for a person, and everything else keeps flowing.

use std::collections::BTreeSet;
use std::time::Instant;

use api::access::Principal;
use api::demo;
use chrono::Duration;
use entity::api_key::Role;
use entity::order::Source;
use entity::{event_log, order};
use futures_util::{StreamExt, stream};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde_json::{Value, json};
use support::merchant::{basket, basket_with, codes, submission};
use support::{TestApp, both_backends};

both_backends!(
    t1_an_order_that_four_rules_flag_waits_until_the_last_is_settled,
    t1_a_thousand_orders_are_staged_while_a_flagged_one_waits,
    t1_what_a_rule_found_stays_found_when_the_rule_changes,
    t1_an_edit_asks_the_rules_that_see_something_else_than_before,
    t1_a_rule_that_does_not_fit_is_refused_with_its_place,
    t1_a_rule_that_fails_loses_no_order,
    t1_a_stored_order_is_seen_as_the_new_one_was,
    t1_a_draft_is_tried_on_the_newest_orders_and_writes_nothing,
    t1_a_customer_is_known_by_what_it_ordered_before,
    t1_late_in_the_day_is_by_the_clocks_of_the_channel,
    t1_a_rule_for_one_channel_judges_no_other,
    t1_the_demo_flags_what_a_merchant_would_look_at,
    t1_who_may_not_read_rules_learns_nothing_of_them,
    t1_a_confined_key_has_no_say_in_the_rules_of_others,
);

const RULE: &str = "exceptionRule { id code name expression severity blocking queue
    suggestedActions channel { code } enabled version }";

async fn rule_as(app: &TestApp, key: &str, mutation: &str, input: Value) -> Value {
    let mut kind = mutation.to_owned();
    kind[..1].make_ascii_uppercase();
    let query = format!(
        "mutation($input: {kind}Input!) {{ {mutation}(input: $input) {{ {RULE}
            userErrors {{ code field message details }} }} }}"
    );
    app.gql_as(key, &query, json!({ "input": input })).await[mutation].take()
}

async fn change(app: &TestApp, mutation: &str, input: Value) -> Value {
    rule_as(app, &app.admin_key, mutation, input).await
}

/// A rule that is made, or must be changed, without refusal.
#[track_caller]
fn done(mut payload: Value) -> Value {
    assert_eq!(payload["userErrors"], json!([]), "{payload:#}");
    payload["exceptionRule"].take()
}

/// A blocking rule.
async fn rule(app: &TestApp, code: &str, expression: &str) -> Value {
    let input = json!({ "code": code, "name": format!("Rule {code}"), "expression": expression });
    done(change(app, "exceptionRuleCreate", input).await)
}

/// A rule that stops nothing.
async fn watch(app: &TestApp, code: &str, expression: &str) -> Value {
    let input = json!({ "code": code, "name": format!("Rule {code}"), "expression": expression,
        "blocking": false });
    done(change(app, "exceptionRuleCreate", input).await)
}

/// An order with all that its exceptions say.
async fn order_of(app: &TestApp, id: &Value) -> Value {
    order_as(app, &app.admin_key, id).await
}

async fn order_as(app: &TestApp, key: &str, id: &Value) -> Value {
    let query = "query($id: ID!) { order(by: { id: $id }) { id status stage exceptions {
        id code severity blocking status queue summary ruleId ruleVersion details
        suggestedActions { action enabled }
    } } }";
    app.gql_as(key, query, json!({ "id": id })).await["order"].take()
}

/// The codes of the rules that flagged an order, with the version that did.
async fn flagged(app: &TestApp, order: &Value) -> BTreeSet<(String, i64)> {
    let order = order_of(app, &order["id"]).await;
    let exceptions = order["exceptions"].as_array().unwrap();
    let by_rule = exceptions.iter().filter(|one| !one["ruleId"].is_null());
    by_rule
        .map(|one| {
            assert_eq!(one["code"], "RULE_MATCHED", "{one:#}");
            let code = one["details"]["rule"].as_str().unwrap().to_owned();
            (code, one["ruleVersion"].as_i64().unwrap())
        })
        .collect()
}

fn names(flagged: &BTreeSet<(String, i64)>) -> Vec<&str> {
    flagged.iter().map(|(code, _)| code.as_str()).collect()
}

async fn resolve(app: &TestApp, exception: &Value) -> Value {
    let query = "mutation($input: ExceptionSettleInput!) { exceptionResolve(input: $input) {
        order { status stage } userErrors { code } } }";
    let input = json!({ "id": exception["id"], "resolution": "looked at" });
    let mut payload = app.gql(query, json!({ "input": input })).await["exceptionResolve"].take();
    assert_eq!(payload["userErrors"], json!([]));
    payload["order"].take()
}

async fn test(app: &TestApp, input: Value) -> Value {
    test_as(app, &app.admin_key, input).await
}

async fn test_as(app: &TestApp, key: &str, input: Value) -> Value {
    let query = "query($input: ExceptionRuleTestInput!) { exceptionRuleTest(input: $input) {
        tested matched failed matches { order { number } facts } failures { order { number } reason }
        userErrors { code field details } } }";
    app.gql_as(key, query, json!({ "input": input })).await["exceptionRuleTest"].take()
}

async fn t1_an_order_that_four_rules_flag_waits_until_the_last_is_settled(app: &TestApp) {
    app.open_shop().await;
    let severe = json!({ "code": "large", "name": "Large", "severity": "CRITICAL",
        "expression": "order.total > 14.50 && order.currency == 'EUR'", "queue": "fraud",
        "suggestedActions": ["CANCEL", "OVERRIDE", "CANCEL"] });
    let large = done(change(app, "exceptionRuleCreate", severe).await);
    rule(app, "guest", "order.guest").await;
    rule(
        app,
        "mugs",
        "lines.exists(line, line.sku == 'MUG-WHITE' && line.quantity >= 1)",
    )
    .await;
    rule(app, "card", "order.paymentMethod == 'CARD'").await;
    rule(app, "never", "order.total > 1000").await;

    // The web shop refuses what fails a check; what a rule flags is kept all the same.
    let placed = app.place(basket()).await;
    let id = &placed["id"];
    let order = order_of(app, id).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("RECEIVED"), &json!("ON_HOLD"))
    );
    let exceptions = order["exceptions"].as_array().unwrap();
    let by_code = |code: &str| {
        let is = |one: &&Value| one["details"]["rule"] == code;
        exceptions
            .iter()
            .find(is)
            .unwrap_or_else(|| panic!("no {code}: {order:#}"))
    };
    assert_eq!(exceptions.len(), 4, "{order:#}");
    let one = by_code("large");
    assert_eq!(
        one,
        &json!({
            "id": one["id"], "code": "RULE_MATCHED", "severity": "CRITICAL", "blocking": true,
            "status": "OPEN", "queue": "fraud", "summary": "Large", "ruleId": large["id"],
            "ruleVersion": 1, "suggestedActions": [
                { "action": "CANCEL", "enabled": true }, { "action": "OVERRIDE", "enabled": true }],
            "details": { "rule": "large", "name": "Large", "version": 1,
                "expression": "order.total > 14.50 && order.currency == 'EUR'",
                "facts": { "order.total": "19.80", "order.currency": "EUR" } },
        })
    );
    let line = json!([{ "line": 0, "sku": "MUG-WHITE", "quantity": "1" }]);
    assert_eq!(by_code("mugs")["details"]["facts"]["lines"], line);

    for code in ["large", "guest", "mugs"] {
        let order = resolve(app, by_code(code)).await;
        assert_eq!(
            (&order["status"], &order["stage"]),
            (&json!("RECEIVED"), &json!("ON_HOLD"))
        );
    }
    let order = resolve(app, by_code("card")).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
}

/// Submits orders, a few at a time, and returns how many seconds they took.
async fn submit_many(app: &TestApp, of: &str, count: usize) -> f64 {
    let basket = basket_with(json!({ "customer": { "code": "C-1001" },
        "lines": [{ "sku": of, "quantity": 1 }] }));
    let submission = &submission(&basket);
    let principal = &Principal::operator("test");
    let began = Instant::now();
    stream::iter(0..count)
        .map(|_| {
            let actor = &principal.actor;
            app.app
                .submit_order(principal, actor, submission, Source::Api, None)
        })
        .buffer_unordered(8)
        .for_each(|taken| async move {
            taken.unwrap();
        })
        .await;
    began.elapsed().as_secs_f64()
}

/// With rules and without them in turn, so that both meet the same machine.
async fn t1_a_thousand_orders_are_staged_while_a_flagged_one_waits(app: &TestApp) {
    app.open_shop().await;
    let pin = app.stocked("PIN", 10_000, false).await;
    let mut rules = Vec::new();
    for (code, expression) in [
        ("large", "order.total >= 100"),
        ("lines", "lines.exists(line, line.quantity >= 10)"),
        ("far", "shippingAddress.country != billingAddress.country"),
        ("busy", "order.guest && customer.ordersLastHour > 3"),
    ] {
        rules.push(rule(app, code, expression).await["id"].take());
    }
    let lines = json!([{ "sku": pin.sku, "quantity": 10 }]);
    let flagged = app.place(basket_with(json!({ "lines": lines }))).await;
    assert_eq!(flagged["stage"], "ON_HOLD", "{flagged:#}");
    submit_many(app, &pin.sku, 50).await;
    let (mut without, mut with) = (0.0, 0.0);
    for _ in 0..5 {
        for enabled in [false, true] {
            for id in &rules {
                let switched = json!({ "id": id, "enabled": enabled });
                done(change(app, "exceptionRuleUpdate", switched).await);
            }
            if enabled {
                let before = staged(app).await;
                with += submit_many(app, &pin.sku, 200).await;
                assert_eq!(staged(app).await - before, 200);
            } else {
                without += submit_many(app, &pin.sku, 100).await;
            }
        }
    }
    assert_eq!(app.order(&flagged["id"]).await["stage"], "ON_HOLD");
    let (without, with) = (500.0 / without, 1_000.0 / with);
    println!(
        "{without:.0} orders a second without a rule, {with:.0} with four while one order waits: {:.0} %",
        100.0 * with / without
    );
}

async fn staged(app: &TestApp) -> usize {
    let rows = order::Entity::find().filter(order::Column::Stage.eq(order::Stage::Staged));
    rows.all(&app.app.db.read).await.unwrap().len()
}

async fn t1_what_a_rule_found_stays_found_when_the_rule_changes(app: &TestApp) {
    app.open_shop().await;
    let made = rule(app, "cheap", "order.total < 100").await;
    let (id, first) = (&made["id"], app.place(basket()).await);
    assert_eq!(
        flagged(app, &first).await,
        BTreeSet::from([("cheap".to_owned(), 1)])
    );

    let narrower = json!({ "id": id, "expectedVersion": 1, "name": "Two mugs",
        "expression": "order.unitCount == 2" });
    let stale = narrower.clone();
    let narrower = done(change(app, "exceptionRuleUpdate", narrower).await);
    assert_eq!(
        (&narrower["version"], &narrower["blocking"]),
        (&json!(2), &json!(true))
    );
    let refused = change(app, "exceptionRuleUpdate", stale).await;
    assert_eq!(codes(&refused), ["STALE_VERSION"]);
    assert_eq!(
        refused["userErrors"][0]["details"],
        json!({ "currentVersion": 2 })
    );

    // What waits goes on waiting, under the version that found it; what comes is judged anew.
    let order = order_of(app, &first["id"]).await;
    assert_eq!(order["stage"], "ON_HOLD");
    assert_eq!(order["exceptions"][0]["ruleVersion"], 1);
    assert_eq!(order["exceptions"][0]["summary"], "Rule cheap");
    assert_eq!(
        order["exceptions"][0]["details"]["expression"],
        "order.total < 100"
    );
    let one = app.place(basket()).await;
    assert_eq!(
        (&one["stage"], flagged(app, &one).await),
        (&json!("STAGED"), BTreeSet::new())
    );
    let two = basket_with(json!({ "lines": [{ "sku": "MUG-WHITE", "quantity": 2 }] }));
    let second = app.place(two.clone()).await;
    assert_eq!(
        flagged(app, &second).await,
        BTreeSet::from([("cheap".to_owned(), 2)])
    );

    // A rule that is disabled judges nobody, and releases nobody.
    let off = json!({ "id": id, "enabled": false });
    assert_eq!(
        done(change(app, "exceptionRuleUpdate", off).await)["version"],
        3
    );
    assert_eq!(app.place(two.clone()).await["stage"], "STAGED");
    assert_eq!(app.order(&first["id"]).await["stage"], "ON_HOLD");
    assert_eq!(
        resolve(app, &order["exceptions"][0]).await["stage"],
        "STAGED"
    );

    // Nor does one that is deleted.
    let gone = json!({ "id": id, "expectedVersion": 3 });
    assert_eq!(
        done(change(app, "exceptionRuleDelete", gone.clone()).await)["code"],
        "cheap"
    );
    assert_eq!(
        codes(&change(app, "exceptionRuleDelete", gone).await),
        ["NOT_FOUND"]
    );
    let waits = order_of(app, &second["id"]).await;
    assert_eq!(
        (&waits["stage"], &waits["exceptions"][0]["ruleId"]),
        (&json!("ON_HOLD"), id)
    );
    assert_eq!(
        resolve(app, &waits["exceptions"][0]).await["stage"],
        "STAGED"
    );
    let again = rule(app, "cheap", "order.total < 100").await;
    assert_ne!(&again["id"], id);

    app.settle().await;
    let log = event_log::Entity::find()
        .filter(event_log::Column::AggregateType.eq("exception_rule"))
        .order_by_asc(event_log::Column::Seq)
        .all(&app.app.db.read)
        .await
        .unwrap();
    let told: Vec<_> = log
        .iter()
        .map(|event| (event.event_type.as_str(), event.aggregate_version))
        .collect();
    let (saved, deleted) = ("exception_rule.saved", "exception_rule.deleted");
    assert_eq!(
        told,
        [(saved, 1), (saved, 2), (saved, 3), (deleted, 4), (saved, 1)]
    );
    assert_eq!(log[1].payload["expression"], "order.unitCount == 2");
}

async fn t1_an_edit_asks_the_rules_that_see_something_else_than_before(app: &TestApp) {
    app.open_shop().await;
    rule(app, "many", "order.unitCount >= 5").await;
    let guest = watch(app, "guest", "order.guest").await;
    watch(app, "vienna", "shippingAddress.city == 'Wien'").await;
    let lines = json!([{ "sku": "MUG-WHITE", "quantity": 5 }]);
    let placed = app.place(basket_with(json!({ "lines": lines }))).await;
    app.settle().await;
    assert_eq!(placed["stage"], "ON_HOLD", "{placed:#}");
    let line = &placed["lines"][0]["id"];
    let units = |quantity: i64| json!({ "lines": [{ "lineId": line, "quantity": quantity }] });
    let edited = async |changes: Value| {
        let order = app.order(&placed["id"]).await;
        let payload = crate::edits::edit(app, &order, changes).await;
        assert_eq!(payload["userErrors"], json!([]), "{payload:#}");
        app.settle().await;
        app.order(&placed["id"]).await["stage"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // What rules found and nobody has settled: code, version, units.
    let open = async || {
        let order = order_of(app, &placed["id"]).await;
        let exceptions = order["exceptions"].as_array().unwrap().iter();
        let open = exceptions.filter(|one| one["status"] == "OPEN");
        open.map(|one| {
            let details = &one["details"];
            let units = details["facts"]["order.unitCount"]
                .as_str()
                .unwrap_or_default();
            let rule = details["rule"].as_str().unwrap();
            format!("{rule} {} {units}", one["ruleVersion"])
                .trim_end()
                .to_owned()
        })
        .collect::<BTreeSet<_>>()
    };
    let are = |open: &[&str]| {
        open.iter()
            .map(|one| (*one).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(open().await, are(&["guest 1", "many 1 5", "vienna 1"]));

    // A rule that sees nothing else is not asked, whatever it says today.
    let other = json!({ "id": guest["id"], "expression": "order.guest && true" });
    done(change(app, "exceptionRuleUpdate", other).await);
    assert_eq!(edited(units(4)).await, "STAGED");
    assert_eq!(open().await, are(&["guest 1", "vienna 1"]));
    assert_eq!(edited(units(6)).await, "ON_HOLD");
    assert_eq!(edited(units(7)).await, "ON_HOLD");
    assert_eq!(open().await, are(&["guest 1", "many 1 7", "vienna 1"]));

    // What a person has settled stays settled until what the rule sees changes again.
    let order = order_of(app, &placed["id"]).await;
    let many = |one: &&Value| one["status"] == "OPEN" && one["details"]["rule"] == "many";
    let many = order["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .find(many)
        .unwrap();
    assert_eq!(resolve(app, many).await["stage"], "STAGED");
    let graz = json!({ "shippingAddress": { "line1": "Herrengasse 16", "city": "Graz",
        "postalCode": "8010", "country": "AT" } });
    assert_eq!(edited(graz).await, "STAGED");
    assert_eq!(open().await, are(&["guest 1"]));
    assert_eq!(edited(units(8)).await, "ON_HOLD");
    assert_eq!(open().await, are(&["guest 1", "many 1 8"]));
}

async fn t1_a_rule_that_does_not_fit_is_refused_with_its_place(app: &TestApp) {
    app.open_shop().await;
    let input = |changes: Value| {
        let mut input = json!({ "code": "r", "name": "R", "expression": "order.guest" });
        for (field, value) in changes.as_object().unwrap() {
            input[field] = value.clone();
        }
        input
    };
    let create = async |changes| change(app, "exceptionRuleCreate", input(changes)).await;
    let bad = create(json!({ "expression": "order.guest &&\n  order.totl > 5" })).await;
    assert_eq!(bad["exceptionRule"], Value::Null);
    let error = &bad["userErrors"][0];
    assert_eq!(error["code"], "RULE_INVALID");
    assert_eq!(error["field"], json!(["input", "expression"]));
    let details = &error["details"];
    let place = (&details["line"], &details["column"], &details["offset"]);
    assert_eq!(place, (&json!(2), &json!(8), &json!(22)));
    let reason = details["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("order.totl is no field of order; there are channel,"),
        "{reason}"
    );
    // All of its mistakes at once.
    let bad = create(json!({ "code": "a b", "name": " ", "queue": "",
        "expression": "order.total >" }))
    .await;
    assert_eq!(
        codes(&bad),
        [
            "INVALID_INPUT",
            "NAME_INVALID",
            "RULE_INVALID",
            "INVALID_INPUT"
        ]
    );
    let made = done(create(json!({})).await);
    assert_eq!(
        made,
        json!({ "id": made["id"], "code": "r", "name": "R", "expression": "order.guest",
            "severity": "MEDIUM", "blocking": true, "queue": "review", "channel": null,
            "suggestedActions": ["OVERRIDE", "EDIT", "CANCEL"], "enabled": true, "version": 1 })
    );
    assert_eq!(codes(&create(json!({})).await), ["CODE_TAKEN"]);
    let update = json!({ "id": made["id"], "expression": "order.total" });
    let bad = change(app, "exceptionRuleUpdate", update).await;
    assert_eq!(codes(&bad), ["RULE_INVALID"]);
    let query = "query($id: ID!) { exceptionRule(id: $id) { expression version }
        exceptionRules { nodes { code } } exceptionRuleFields { name type fields { name } } }";
    let there = app.gql(query, json!({ "id": made["id"] })).await;
    assert_eq!(
        there["exceptionRule"],
        json!({ "expression": "order.guest", "version": 1 })
    );
    assert_eq!(there["exceptionRules"]["nodes"], json!([{ "code": "r" }]));
    let fields = there["exceptionRuleFields"].as_array().unwrap();
    let of = |name: &str| fields.iter().find(|field| field["name"] == name).unwrap();
    assert_eq!(of("order.total")["type"], "number");
    assert_eq!(of("lines")["type"], "list(line)");
    assert!(
        of("lines")["fields"]
            .as_array()
            .unwrap()
            .contains(&json!({ "name": "sku" }))
    );
    for n in 1..100 {
        watch(app, &format!("r-{n}"), "order.guest").await;
    }
    assert_eq!(
        codes(&create(json!({ "code": "r-100" })).await),
        ["TOO_MANY"]
    );
}

async fn t1_a_rule_that_fails_loses_no_order(app: &TestApp) {
    app.open_shop().await;
    rule(app, "ratio", "order.total / order.discount > 10").await;
    let placed = app.place(basket()).await;
    let order = order_of(app, &placed["id"]).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    let exceptions = order["exceptions"].as_array().unwrap();
    assert_eq!(exceptions.len(), 1, "{order:#}");
    let one = &exceptions[0];
    assert_eq!(
        (&one["code"], &one["blocking"]),
        (&json!("RULE_FAILED"), &json!(false))
    );
    assert_eq!(one["details"]["reason"], "a division by zero");
    let tried = test(
        app,
        json!({ "expression": "order.total / order.discount > 10" }),
    )
    .await;
    assert_eq!((&tried["tested"], &tried["failed"]), (&json!(1), &json!(1)));
    assert_eq!(tried["failures"][0]["reason"], "a division by zero");
    assert_eq!(tried["failures"][0]["order"]["number"], placed["number"]);
}

/// An expression that asks for every field that is shown, and is true.
async fn everything(app: &TestApp) -> String {
    let query = "{ exceptionRuleFields { name type fields { name type } } }";
    let fields = app.gql(query, json!({})).await["exceptionRuleFields"].take();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let holds = |name: String, kind: &Value| match kind.as_str().unwrap() {
        "bool" => format!("({name} || true)"),
        "number" => format!("({name} == 0 || true)"),
        "string" => format!("({name} == '' || true)"),
        "timestamp" => format!("({name} > timestamp('2000-01-01T00:00:00Z') || true)"),
        _ => format!("({name}.size() == 0 || true)"),
    };
    let fields = fields.as_array().unwrap();
    let lines = fields
        .iter()
        .flat_map(|field| field["fields"].as_array().unwrap());
    let lines: Vec<_> = lines
        .map(|field| holds(format!("l.{}", text(&field["name"])), &field["type"]))
        .collect();
    let order = fields
        .iter()
        // What the checks find is one thing, all that was found with an order by now another.
        .filter(|field| field["name"] != "findings")
        .map(|field| holds(text(&field["name"]), &field["type"]));
    let all: Vec<_> = order
        .chain([format!("lines.all(l, {})", lines.join(" && "))])
        .collect();
    all.join(" && ")
}

async fn t1_a_stored_order_is_seen_as_the_new_one_was(app: &TestApp) {
    app.open_shop().await;
    app.change_channel("marketplace", |channel| {
        channel.time_zone = Set("America/New_York".parse().unwrap());
    })
    .await;
    let all = everything(app).await;
    watch(app, "all", &all).await;
    let old = json!({ "line1": "Box 12", "city": "Berlin", "region": "Berlin",
        "postalCode": "10115", "country": "DE" });
    let lines = json!([{ "sku": "mug white", "quantity": 3, "unitPrice": "14.00" },
        { "sku": "NO-SUCH", "quantity": 1, "unitPrice": "3.10", "discount": "1.05" }]);
    let odd = basket_with(
        json!({ "channel": "marketplace", "billingAddress": old, "lines": lines,
        "promotionCodes": ["welcome10", "nonsense"], "serviceLevel": "express" }),
    );
    let trade = basket_with(json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "payment": { "method": "ACCOUNT" }, "lines": [{ "sku": "ESP-250", "quantity": 24 }] }));
    for input in [basket(), odd, trade] {
        let placed = app.place(input).await;
        app.clock.advance(Duration::minutes(25));
        let order = order_of(app, &placed["id"]).await;
        let by_rule = |one: &&Value| !one["ruleId"].is_null();
        let found = order["exceptions"]
            .as_array()
            .unwrap()
            .iter()
            .find(by_rule)
            .unwrap();
        let facts = &found["details"]["facts"];
        assert!(facts.as_object().unwrap().len() > 20, "{facts:#}");
        let tried = test(app, json!({ "expression": all, "orders": 1 })).await;
        assert_eq!(tried["matches"][0]["order"]["number"], placed["number"]);
        assert_eq!(&tried["matches"][0]["facts"], facts);
    }
}

async fn t1_a_draft_is_tried_on_the_newest_orders_and_writes_nothing(app: &TestApp) {
    app.open_shop().await;
    for quantity in 1..=5 {
        let lines = json!([{ "sku": "MUG-WHITE", "quantity": quantity }]);
        app.place(basket_with(json!({ "lines": lines }))).await;
        app.clock.advance(Duration::minutes(1));
    }
    let draft =
        |expression: &str, orders: i32| json!({ "expression": expression, "orders": orders });
    let tried = test(app, draft("order.unitCount >= 4", 100)).await;
    assert_eq!(tried["userErrors"], json!([]), "{tried:#}");
    assert_eq!(
        (&tried["tested"], &tried["matched"]),
        (&json!(5), &json!(2))
    );
    let units = |tried: &Value| -> Vec<String> {
        let matches = tried["matches"].as_array().unwrap().iter();
        let unit = |one: &Value| one["facts"]["order.unitCount"].as_str().unwrap().to_owned();
        matches.map(unit).collect()
    };
    assert_eq!(units(&tried), ["5", "4"]);
    let newest = test(app, draft("order.unitCount >= 2", 3)).await;
    assert_eq!(
        (&newest["tested"], units(&newest)),
        (&json!(3), ["5", "4", "3"].map(str::to_owned).to_vec())
    );
    // The third of one guest within the hour is the first that two came before.
    let velocity = test(app, draft("customer.ordersLastHour >= 2", 100)).await;
    assert_eq!(velocity["matched"], 3, "{velocity:#}");

    let saved = rule(app, "many", "order.unitCount >= 5").await;
    let tried = test(app, json!({ "id": saved["id"] })).await;
    assert_eq!(
        (&tried["tested"], &tried["matched"]),
        (&json!(5), &json!(1))
    );
    let edited = json!({ "id": saved["id"], "expression": "order.unitCount >= 3" });
    assert_eq!(test(app, edited).await["matched"], 3);
    let elsewhere = json!({ "expression": "true", "channelId":
        api::graphql::ids::to_global(app.channel("b2b").await.id).0 });
    assert_eq!(test(app, elsewhere).await["tested"], 0);

    for (input, code) in [
        (json!({}), "INVALID_INPUT"),
        (draft("true", 0), "INVALID_INPUT"),
        (draft("true", 1_001), "INVALID_INPUT"),
        (draft("order.total", 1), "RULE_INVALID"),
        (json!({ "id": "nothing" }), "NOT_FOUND"),
    ] {
        assert_eq!(codes(&test(app, input).await), [code]);
    }
    let exceptions = entity::order_exception::Entity::find();
    assert!(exceptions.all(&app.app.db.read).await.unwrap().is_empty());
}

async fn t1_a_customer_is_known_by_what_it_ordered_before(app: &TestApp) {
    app.open_shop().await;
    watch(app, "first", "customer.isFirstOrder").await;
    watch(app, "fast", "customer.ordersLastHour >= 2").await;
    watch(app, "day", "customer.ordersLast24h >= 3").await;
    watch(app, "loyal", "customer.orderCount == 2").await;
    let guest = |email: &str| basket_with(json!({ "customer": { "name": "Bo", "email": email } }));
    let place = async |input: Value| {
        let placed = app.place(input).await;
        let flagged = flagged(app, &placed).await;
        (placed, names(&flagged).join(" "))
    };
    let (first, flags) = place(guest("bo@mail.example")).await;
    assert_eq!(flags, "first");
    // The same guest in capitals, in another channel, in the same moment.
    let mut shouting = guest("BO@mail.EXAMPLE");
    shouting["channel"] = json!("marketplace");
    assert_eq!(place(shouting).await.1, "");
    assert_eq!(place(guest("other@mail.example")).await.1, "first");
    assert_eq!(place(guest("bo@mail.example")).await.1, "fast loyal");
    // What was called off is no order of the customer's, though it was fast.
    let cancel = "mutation($input: OrderEndInput!) { orderCancel(input: $input) {
        userErrors { code } } }";
    let input = json!({ "input": { "id": first["id"], "reason": "a slip" } });
    assert_eq!(
        app.gql(cancel, input).await["orderCancel"]["userErrors"],
        json!([])
    );
    assert_eq!(place(guest("bo@mail.example")).await.1, "day fast loyal");
    app.clock.advance(Duration::minutes(61));
    assert_eq!(place(guest("bo@mail.example")).await.1, "day");
    app.clock.advance(Duration::hours(25));
    assert_eq!(place(guest("bo@mail.example")).await.1, "");

    // A customer is known by its code; a guest of the same address is somebody else.
    let known =
        basket_with(json!({ "customer": { "code": "C-1002", "email": "bo@mail.example" } }));
    assert_eq!(place(known.clone()).await.1, "first");
    assert_eq!(place(known).await.1, "");
    // Nobody is known by nothing.
    let nobody = basket_with(json!({ "customer": { "name": "Bo", "phone": "+43 1 5123456" } }));
    assert_eq!(place(nobody.clone()).await.1, "first");
    assert_eq!(place(nobody).await.1, "first");
}

async fn t1_late_in_the_day_is_by_the_clocks_of_the_channel(app: &TestApp) {
    app.open_shop().await;
    watch(
        app,
        "late",
        "order.localHour >= 16 && order.localWeekday == 2",
    )
    .await;
    let at = |time: &str| basket_with(json!({ "placedAt": time }));
    let late = async |time: &str| !flagged(app, &app.place(at(time)).await).await.is_empty();
    // Vienna is an hour ahead in November: a Tuesday.
    assert!(late("2026-11-10T15:00:00Z").await);
    assert!(!late("2026-11-10T14:59:59Z").await);
    assert!(!late("2026-11-10T23:30:00Z").await);
    // Two in July.
    assert!(late("2026-07-07T14:00:00Z").await);
    let web = app.channel("web").await;
    let id = api::graphql::ids::to_global(web.id).0;
    let update = "mutation($input: ChannelUpdateInput!) { channelUpdate(input: $input) {
        channel { timeZone } userErrors { code field } } }";
    let set = async |zone: &str| {
        let input = json!({ "input": { "id": id, "timeZone": zone } });
        app.gql(update, input).await["channelUpdate"].take()
    };
    assert_eq!(set("Asia/Tokyo").await["channel"]["timeZone"], "Asia/Tokyo");
    assert!(!late("2026-11-10T15:00:00Z").await);
    assert!(late("2026-11-10T07:00:00Z").await);
    let refused = set("Mars/Olympus").await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
    assert_eq!(
        refused["userErrors"][0]["field"],
        json!(["input", "timeZone"])
    );
}

async fn t1_a_rule_for_one_channel_judges_no_other(app: &TestApp) {
    app.open_shop().await;
    let web = api::graphql::ids::to_global(app.channel("web").await.id).0;
    let input = json!({ "code": "web", "name": "Web", "expression": "true", "channelId": web,
        "blocking": false });
    let made = done(change(app, "exceptionRuleCreate", input).await);
    assert_eq!(made["channel"]["code"], "web");
    let place = async |channel: &str| {
        let placed = app.place(basket_with(json!({ "channel": channel }))).await;
        flagged(app, &placed).await.len()
    };
    assert_eq!((place("web").await, place("marketplace").await), (1, 0));
    let all = json!({ "id": made["id"], "channelId": null });
    assert_eq!(
        done(change(app, "exceptionRuleUpdate", all).await)["channel"],
        Value::Null
    );
    assert_eq!((place("web").await, place("marketplace").await), (1, 1));
}

async fn t1_the_demo_flags_what_a_merchant_would_look_at(app: &TestApp) {
    assert!(demo::seed(&app.app).await.unwrap());
    let placed_at = "2026-11-10T09:00:00Z";
    let input = |changes: Value| {
        let mut input = basket_with(json!({ "placedAt": placed_at, "customer":
            { "code": "C-1001" } }));
        for (field, value) in changes.as_object().unwrap() {
            input[field] = value.clone();
        }
        input
    };
    let place = async |changes: Value| {
        let placed = app.place(input(changes)).await;
        let flagged = flagged(app, &placed).await;
        (
            placed["stage"].as_str().unwrap().to_owned(),
            names(&flagged).join(" "),
        )
    };
    let is = |stage: &str, flags: &str| (stage.to_owned(), flags.to_owned());
    assert_eq!(place(json!({})).await, is("STAGED", ""));
    let lines = |sku: &str, quantity: i64| json!([{ "sku": sku, "quantity": quantity }]);
    let grinders = |quantity| json!({ "lines": lines("GRIND-E-BLACK", quantity) });
    assert_eq!(place(grinders(2)).await, is("STAGED", "address-unsure"));
    assert_eq!(
        place(grinders(4)).await,
        is("ON_HOLD", "address-unsure high-value")
    );
    let new = json!({ "customer": { "code": "C-1002" }, "lines": lines("GRIND-E-SILVER", 2) });
    assert_eq!(
        place(new).await,
        is("ON_HOLD", "address-unsure first-order-large")
    );
    let abroad = json!({ "line1": "Torstraße 1", "city": "Berlin", "postalCode": "10115",
        "country": "DE" });
    let abroad = json!({ "billingAddress": abroad });
    assert_eq!(place(abroad).await, is("ON_HOLD", "country-mismatch"));
    let express = json!({ "serviceLevel": "EXPRESS", "placedAt": "2026-11-10T16:30:00Z" });
    assert_eq!(place(express).await, is("STAGED", "express-late"));
    let price = json!({ "channel": "marketplace",
        "lines": [{ "sku": "MUG-WHITE", "quantity": 1, "unitPrice": "13.00" }] });
    assert_eq!(place(price).await, is("ON_HOLD", "price-gap"));
    for n in 0..4 {
        let guest = json!({ "customer": { "name": "Bo", "email": "bo@mail.example" } });
        let expected = match n {
            3 => is("ON_HOLD", "guest-velocity"),
            _ => is("STAGED", ""),
        };
        assert_eq!(place(guest).await, expected, "{n}");
    }
}

async fn t1_who_may_not_read_rules_learns_nothing_of_them(app: &TestApp) {
    app.open_shop().await;
    rule(
        app,
        "secret",
        "order.total > 10 && customer.ordersLast24h == 0",
    )
    .await;
    let placed = app.place(basket()).await;
    let details = async |key: &str| {
        let order = order_as(app, key, &placed["id"]).await;
        let one = &order["exceptions"][0];
        assert_eq!(one["summary"], "Rule secret", "{order:#}");
        one["details"].clone()
    };
    let support = details(&app.key(Role::Support).await).await;
    assert_eq!(
        support["facts"],
        json!({ "order.total": "19.80", "customer.ordersLast24h": "0" })
    );
    assert_eq!(details(&app.key(Role::Viewer).await).await, json!({}));
    let partner = app.key_for(Role::Partner, &["web"], None).await.key;
    assert_eq!(details(&partner).await, json!({}));
    // Earlier orders are counted over all channels, so a confined key hears no count.
    let confined = app.key_for(Role::Support, &["web"], None).await.key;
    assert_eq!(
        details(&confined).await["facts"],
        json!({ "order.total": "19.80" })
    );
}

async fn t1_a_confined_key_has_no_say_in_the_rules_of_others(app: &TestApp) {
    app.open_shop().await;
    let key = app.key_for(Role::Operations, &["web"], None).await.key;
    let [web, b2b] = ["web", "b2b"]
        .map(|code| async move { api::graphql::ids::to_global(app.channel(code).await.id).0 });
    let (web, b2b) = (web.await, b2b.await);
    let input = |code: &str, channel: Option<&str>| {
        json!({ "code": code, "name": "R", "expression": "order.guest", "blocking": false,
            "channelId": channel })
    };
    let all = done(change(app, "exceptionRuleCreate", input("all", None)).await);
    let other = done(change(app, "exceptionRuleCreate", input("b2b", Some(&b2b))).await);
    let create = async |input| rule_as(app, &key, "exceptionRuleCreate", input).await;
    assert_eq!(codes(&create(input("mine", None)).await), ["INVALID_INPUT"]);
    assert_eq!(
        codes(&create(input("mine", Some(&b2b))).await),
        ["NOT_FOUND"]
    );
    let own = done(create(input("mine", Some(&web))).await);
    for (rule, channel, code) in [
        (&all, Some(&web), "INVALID_INPUT"),
        (&other, Some(&web), "NOT_FOUND"),
        (&own, Some(&b2b), "NOT_FOUND"),
        (&own, None, "INVALID_INPUT"),
    ] {
        let moved = json!({ "id": rule["id"], "channelId": channel });
        let refused = rule_as(app, &key, "exceptionRuleUpdate", moved).await;
        assert_eq!(codes(&refused), [code]);
    }
    for (rule, code) in [(&all, "INVALID_INPUT"), (&other, "NOT_FOUND")] {
        let refused = rule_as(
            app,
            &key,
            "exceptionRuleDelete",
            json!({ "id": rule["id"] }),
        )
        .await;
        assert_eq!(codes(&refused), [code]);
    }
    let listed = app
        .gql_as(&key, "{ exceptionRules { nodes { code } } }", json!({}))
        .await;
    let seen = json!([{ "code": "all" }, { "code": "mine" }]);
    assert_eq!(listed["exceptionRules"]["nodes"], seen);

    // It tries rules on its own orders, and counts only them.
    let guest = json!({ "name": "Bo", "email": "bo@mail.example" });
    for channel in ["marketplace", "web"] {
        app.place(basket_with(
            json!({ "channel": channel, "customer": guest }),
        ))
        .await;
    }
    let draft = json!({ "expression": "customer.orderCount == 1" });
    let mine = test_as(app, &key, draft.clone()).await;
    assert_eq!((&mine["tested"], &mine["matched"]), (&json!(1), &json!(0)));
    let everybodys = test(app, draft).await;
    assert_eq!(
        (&everybodys["tested"], &everybodys["matched"]),
        (&json!(2), &json!(2))
    );
    done(rule_as(app, &key, "exceptionRuleDelete", json!({ "id": own["id"] })).await);
}
