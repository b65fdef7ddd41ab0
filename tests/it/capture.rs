//! Capture and validation: what every channel's orders go through, and what they must survive.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use api::access::Principal;
use api::app::Submitted;
use api::failure::Failure;
use api::payments::gateway::{Answer, Known, Sandbox};
use api::payments::{Effect, PaymentGateway};
use api::tx::Actor;
use async_trait::async_trait;
use chrono::{DateTime, Duration, TimeDelta, Utc};
use entity::payment_transaction::Kind;
use entity::{
    ChannelId, Currency, ShippingRateId, address, customer, listing, order, price_list, promotion,
    shipping_rate, variant, variant_code,
};
use rust_decimal::Decimal;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set};
use serde_json::{Value, json};
use support::merchant::{SUBMIT, basket, basket_with, codes, submission};
use support::{Place, Setup, TestApp, both_backends};

both_backends!(
    c1_a_channel_that_is_not_there_or_takes_no_orders_is_named,
    c1_an_order_without_lines_is_refused,
    c1_an_order_of_5000_lines_is_taken_and_called_off_again,
    c1_an_order_of_5001_lines_is_refused,
    c1_one_reference_is_one_order_in_a_channel_and_another_in_the_next,
    c1_a_key_replays_its_answer_and_refuses_another_body,
    c1_a_batch_is_taken_row_by_row,
    c1_faults_of_form_are_told_with_their_places,
    c1_a_text_with_a_null_character_is_refused_wherever_it_stands,
    c2a_contacts_that_cannot_be_right_are_refused_where_the_channel_says_so,
    c2a_contacts_that_cannot_be_right_wait_for_a_person_where_the_channel_says_so,
    c2a_a_name_that_is_wrong_is_told_once_however_many_addresses_take_it_over,
    c2a_names_and_contacts_of_all_kinds_are_taken_as_they_are,
    c2a_a_known_customer_needs_no_name,
    c2b_an_address_of_the_wrong_shape_follows_the_channels_policy,
    c2b_each_address_keeps_its_verdict_and_what_was_written,
    c2b_a_country_that_is_none_is_refused_everywhere,
    c3a_a_sku_is_known_however_it_is_written,
    c3a_an_alias_and_its_sku_are_counted_together_for_price_and_stock,
    c3a_quantities_that_cannot_be_are_refused_with_their_lines,
    c3a_skus_that_cannot_be_sold_are_named_with_their_lines,
    c3b_a_title_that_differs_is_flagged_with_both_and_stops_nothing,
    c4a_the_tier_begins_at_its_own_quantity,
    c4a_the_trade_group_pays_its_own_prices,
    c4a_a_price_that_differs_is_flagged_with_both_values,
    c4a_a_difference_within_the_tolerance_is_none,
    c4a_the_price_is_that_of_the_moment_of_the_order,
    c4a_a_total_that_differs_is_flagged_with_both_breakdowns,
    c4a_currencies_with_no_and_with_three_decimals_add_up,
    c4a_amounts_that_are_none_are_refused_with_their_places,
    c4a_an_amount_that_was_a_float_is_refused_however_it_is_sent,
    c4b_each_kind_of_promotion_takes_off_what_it_says,
    c4b_a_code_that_gives_nothing_is_refused_with_its_reason,
    c4b_exclusive_codes_are_not_combined,
    c4b_all_of_it_off_and_more_than_it_is_worth_leave_nothing_below_zero,
    c4b_a_cancelled_order_gives_its_use_of_a_code_back,
    c4c_lines_shipping_and_tax_come_to_the_total_in_both_tax_modes,
    c4c_an_exempt_customer_pays_no_tax_in_both_tax_modes,
    c4c_shipping_follows_weight_value_zone_and_service,
    c4c_where_no_rate_is_the_policy_decides,
    c4c_a_shipping_charge_that_differs_is_flagged_and_charged,
    c4c_a_shipping_charge_without_a_rate_of_ours_is_flagged_where_rates_are_kept,
    c5a_a_declined_card_stops_the_order_until_another_one_pays,
    c5a_a_declined_card_that_nobody_replaces_ends_the_order,
    c5a_another_card_needs_a_token_and_an_order_that_waits_for_one,
    c5a_an_answer_that_was_lost_is_asked_for_and_never_charged_twice,
    c5a_a_call_that_was_lost_is_repeated_under_its_own_key,
    c5a_a_late_answer_is_waited_for,
    c5a_an_answer_after_the_hold_ran_out_asks_for_stock_again,
    c5a_a_gateway_that_stays_silent_stages_nothing,
    c5a_a_channel_may_stage_before_the_money_is_there,
    c5b_an_order_on_account_stays_within_the_limit_or_waits_for_a_person,
    c5b_who_has_no_account_cannot_buy_on_it,
);

/// Everything about an order that capture decides.
const WHOLE: &str = "query Whole($id: ID!) { order(by: { id: $id }) {
    id number status stage paymentStatus source externalReference customerName email phone
    customer { code } serviceLevel taxIncluded metadata submittedTotal { amount }
    subtotal { amount } discount { amount } shippingCharge { amount } shippingDiscount { amount }
    tax { amount } taxExempted { amount } total { amount currency } promotionVerdicts
    lines { position sku title submittedTitle quantity reserved allocated backordered
        unitPrice { amount } listPrice { amount } taxRate subtotal { amount } discount { amount }
        net { amount } tax { amount } gross { amount } }
    exceptions { id lineId code blocking status severity queue summary details
        suggestedActions { action enabled disabledReason } }
    payment { gateway authorized { amount } voided authorizationExpiresAt
        transactions { kind state attempts declineCode } }
} }";

/// What may be done about an exception now.
fn suggested(exception: &Value) -> Vec<&str> {
    let actions = exception["suggestedActions"].as_array().unwrap().iter();
    actions
        .filter(|action| action["enabled"] == true)
        .map(|action| action["action"].as_str().unwrap())
        .collect()
}

/// Submits an order that must be taken, and reads all of it.
async fn taken(app: &TestApp, input: Value) -> Value {
    let order = app.place(input).await;
    whole(app, &order["id"]).await
}

async fn whole(app: &TestApp, id: &Value) -> Value {
    let mut data = app.gql(WHOLE, json!({ "id": id })).await;
    let order = data["order"].take();
    adds_up(&order);
    order
}

fn amount(money: &Value) -> Decimal {
    let text = money["amount"].as_str();
    text.unwrap_or_else(|| panic!("no amount in {money}"))
        .parse()
        .unwrap()
}

/// Holds an order's figures against each other, to the minor unit.
fn adds_up(order: &Value) {
    let of = |field: &str| amount(&order[field]);
    let included = order["taxIncluded"] == true;
    let shipping = of("shippingCharge") - of("shippingDiscount");
    let mut total = of("subtotal") - of("discount") + shipping - of("taxExempted");
    if !included {
        total += of("tax");
    }
    assert_eq!(total, of("total"), "{order:#}");
    let lines = order["lines"].as_array().unwrap();
    let sum = |field: &str| {
        lines
            .iter()
            .map(|line| amount(&line[field]))
            .sum::<Decimal>()
    };
    assert_eq!(sum("subtotal"), of("subtotal"), "{order:#}");
    assert_eq!(sum("discount"), of("discount"), "{order:#}");
    for line in lines {
        let of = |field: &str| amount(&line[field]);
        assert_eq!(of("net") + of("tax"), of("gross"), "{line:#}");
        assert_eq!(
            of("unitPrice") * Decimal::from(line["quantity"].as_i64().unwrap()),
            of("subtotal")
        );
        assert!(of("gross") >= Decimal::ZERO);
    }
    // What the lines leave of the total is shipping, with its own share of the tax.
    let shipping_tax = of("tax") - sum("tax");
    let rest = of("total") - sum("gross");
    assert!(shipping_tax >= Decimal::ZERO, "{order:#}");
    if included && of("taxExempted").is_zero() {
        assert_eq!(rest, shipping, "{order:#}");
    } else if !included {
        assert_eq!(rest, shipping + shipping_tax, "{order:#}");
    }
}

fn found(order: &Value) -> Vec<String> {
    let all = order["exceptions"].as_array().unwrap();
    all.iter()
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Asserts that a basket is refused with these codes at these places, and leaves no order.
async fn refused(app: &TestApp, input: Value, expected: &[(&str, &str)]) -> Value {
    let payload = app.submit(input).await;
    assert_eq!(payload["order"], Value::Null, "{payload:#}");
    let errors = payload["userErrors"].as_array().unwrap();
    let places: Vec<_> = errors
        .iter()
        .map(|error| {
            let field = error["field"].as_array().into_iter().flatten();
            let field: Vec<_> = field.map(|part| part.as_str().unwrap()).collect();
            (error["code"].as_str().unwrap().to_owned(), field.join("."))
        })
        .collect();
    let places: Vec<_> = places
        .iter()
        .map(|(code, at)| (code.as_str(), at.as_str()))
        .collect();
    assert_eq!(places, expected, "{payload:#}");
    payload["userErrors"].clone()
}

async fn orders(app: &TestApp) -> usize {
    order::Entity::find()
        .all(&app.app.db.read)
        .await
        .unwrap()
        .len()
}

fn lines(lines: Value) -> Value {
    basket_with(json!({ "lines": lines }))
}

async fn by_pipeline(app: &TestApp, basket: &Value) -> Result<Submitted, Failure> {
    let (who, actor) = (Principal::operator("test"), Actor::worker("test"));
    let submission = submission(basket);
    app.app
        .submit_order(&who, &actor, &submission, order::Source::Import, None)
        .await
}

// --- C1 -------------------------------------------------------------------------------------

async fn c1_a_channel_that_is_not_there_or_takes_no_orders_is_named(app: &TestApp) {
    app.open_shop().await;
    let of = |channel: &str| basket_with(json!({ "channel": channel }));
    refused(app, of("shop"), &[("CHANNEL_NOT_FOUND", "input.channel")]).await;
    refused(app, of(""), &[("CHANNEL_NOT_FOUND", "input.channel")]).await;
    app.change_channel("marketplace", |channel| channel.active = Set(false))
        .await;
    refused(
        app,
        of("marketplace"),
        &[("CHANNEL_INACTIVE", "input.channel")],
    )
    .await;
    assert_eq!(orders(app).await, 0);
    app.place(of(" WEB ")).await;
}

async fn c1_an_order_without_lines_is_refused(app: &TestApp) {
    app.open_shop().await;
    for channel in ["web", "marketplace"] {
        let empty = basket_with(json!({ "channel": channel, "lines": [] }));
        refused(app, empty, &[("LINES_MISSING", "input.lines")]).await;
    }
    assert_eq!(orders(app).await, 0);
}

fn many_lines(count: usize) -> Value {
    let skus = ["MUG-WHITE", "MUG-BLUE", "TIN-S", "FILT-01", "TEA-BLK-DARJ"];
    let line = |n: usize| json!({ "sku": skus[n % skus.len()], "quantity": 1 });
    let all: Vec<Value> = (0..count).map(line).collect();
    basket_with(json!({ "lines": all, "payment": { "method": "EXTERNAL" } }))
}

async fn c1_an_order_of_5000_lines_is_taken_and_called_off_again(app: &TestApp) {
    app.open_shop().await;
    let taken = by_pipeline(app, &many_lines(5_000)).await.unwrap();
    let id = json!(api::graphql::ids::to_global(taken.order_id).0);
    let short = "query Short($id: ID!) { order(by: { id: $id }) {
        source stage lines { position allocated reserved backordered } } }";
    let data = app.gql(short, json!({ "id": id })).await;
    let order = &data["order"];
    assert_eq!(order["source"], "IMPORT");
    assert_eq!(order["stage"], "BACKORDERED");
    let rows = order["lines"].as_array().unwrap();
    assert_eq!(rows.len(), 5_000);
    let sum = |field: &str| {
        rows.iter()
            .map(|row| row[field].as_i64().unwrap())
            .sum::<i64>()
    };
    // 200 + 200 + 230 + 700 + 350 units are there.
    assert_eq!(sum("reserved") + sum("allocated"), 1_680);
    assert_eq!(sum("backordered"), 5_000 - 1_680);
    let places: Vec<_> = rows
        .iter()
        .map(|row| row["position"].as_u64().unwrap())
        .collect();
    assert_eq!(places, (0..5_000).collect::<Vec<_>>());
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"too much\" }) {
        order { status } userErrors { code } } }";
    let done = app.gql(cancel, json!({ "id": id })).await;
    assert_eq!(
        done["orderCancel"]["order"]["status"], "CANCELLED",
        "{done:#}"
    );
    let after = app.place(basket()).await;
    assert_eq!(after["stage"], "STAGED", "the stock came back");
}

async fn c1_an_order_of_5001_lines_is_refused(app: &TestApp) {
    app.open_shop().await;
    let failure = by_pipeline(app, &many_lines(5_001)).await.unwrap_err();
    let problems = failure.problems().unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code.as_str(), "TOO_MANY");
    assert_eq!(orders(app).await, 0);
}

async fn c1_one_reference_is_one_order_in_a_channel_and_another_in_the_next(app: &TestApp) {
    app.open_shop().await;
    let with = |changes: Value| {
        let mut basket = basket_with(json!({ "externalReference": "R-1" }));
        basket
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        basket
    };
    let first = app.submit(with(json!({}))).await;
    assert_eq!(first["replayed"], false);
    let again = app.submit(with(json!({}))).await;
    assert_eq!(again["replayed"], true);
    assert_eq!(again["order"]["id"], first["order"]["id"]);
    let other = with(json!({ "lines": [{ "sku": "MUG-WHITE", "quantity": 2 }] }));
    let error = refused(
        app,
        other,
        &[("EXTERNAL_REFERENCE_TAKEN", "input.externalReference")],
    )
    .await;
    assert_eq!(error[0]["details"]["orderNumber"], first["order"]["number"]);
    let next = app.submit(with(json!({ "channel": "marketplace" }))).await;
    assert_eq!(next["replayed"], false, "{next:#}");
    assert_ne!(next["order"]["id"], first["order"]["id"]);
    // A reference that ended still names its order.
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"x\" }) {
        userErrors { code } } }";
    app.gql(cancel, json!({ "id": first["order"]["id"] })).await;
    let again = app.submit(with(json!({}))).await;
    assert_eq!(
        (&again["replayed"], &again["order"]["status"]),
        (&json!(true), &json!("CANCELLED"))
    );
    assert_eq!(orders(app).await, 2);
}

async fn c1_a_key_replays_its_answer_and_refuses_another_body(app: &TestApp) {
    app.open_shop().await;
    let with = |key: &str, quantity: i64| {
        basket_with(json!({ "idempotencyKey": key,
            "lines": [{ "sku": "MUG-WHITE", "quantity": quantity }] }))
    };
    let first = app.submit(with("k-1", 1)).await;
    let again = app.submit(with("k-1", 1)).await;
    assert_eq!(again["order"]["id"], first["order"]["id"]);
    assert_eq!(
        (&first["replayed"], &again["replayed"]),
        (&json!(false), &json!(true))
    );
    refused(
        app,
        with("k-1", 2),
        &[("IDEMPOTENCY_KEY_REUSED", "input.idempotencyKey")],
    )
    .await;
    // What was refused for its form had no effect, and holds no key.
    let quantity = [("QUANTITY_INVALID", "input.lines.0.quantity")];
    refused(app, with("k-2", 0), &quantity).await;
    refused(app, with("k-2", 0), &quantity).await;
    assert_eq!(app.submit(with("k-2", 1)).await["replayed"], false);
    for key in ["", " ", "schlüssel", &"k".repeat(256)] {
        refused(
            app,
            with(key, 1),
            &[("INVALID_INPUT", "input.idempotencyKey")],
        )
        .await;
    }
    // Another's key is another key.
    let other = app.key(entity::api_key::Role::Operations).await;
    let theirs = app
        .gql_as(&other, SUBMIT, json!({ "input": with("k-1", 2) }))
        .await;
    assert_eq!(theirs["orderSubmit"]["replayed"], false, "{theirs:#}");
    assert_eq!(orders(app).await, 3);
}

async fn c1_a_batch_is_taken_row_by_row(app: &TestApp) {
    app.open_shop().await;
    let bulk = "mutation Bulk($input: OrderBulkSubmitInput!) { orderBulkSubmit(input: $input) {
        accepted refused userErrors { code field }
        rows { replayed order { id source } userErrors { code field } } } }";
    let good = |reference: &str| basket_with(json!({ "externalReference": reference }));
    let bad = lines(json!([{ "sku": "MUG-WHITE", "quantity": 0 }]));
    let rows = json!([good("B-1"), bad, good("B-2"), good("B-1")]);
    let data = app.gql(bulk, json!({ "input": { "orders": rows } })).await;
    let result = &data["orderBulkSubmit"];
    assert_eq!(
        (&result["accepted"], &result["refused"]),
        (&json!(3), &json!(1)),
        "{result:#}"
    );
    assert_eq!(result["rows"][0]["order"]["source"], "BULK");
    assert_eq!(codes(&result["rows"][1]), ["QUANTITY_INVALID"]);
    assert_eq!(
        result["rows"][1]["userErrors"][0]["field"],
        json!(["input", "lines", "0", "quantity"])
    );
    assert_eq!(result["rows"][3]["replayed"], true);
    assert_eq!(
        result["rows"][3]["order"]["id"],
        result["rows"][0]["order"]["id"]
    );

    let stop =
        json!({ "orders": [good("B-3"), bad, good("B-4")], "errorPolicy": "STOP_AT_FIRST_ERROR" });
    let data = app.gql(bulk, json!({ "input": stop })).await;
    let result = &data["orderBulkSubmit"];
    assert_eq!(result["rows"].as_array().unwrap().len(), 2, "{result:#}");
    for count in [0, 101] {
        let rows: Vec<Value> = (0..count).map(|_| basket()).collect();
        let data = app.gql(bulk, json!({ "input": { "orders": rows } })).await;
        assert_eq!(codes(&data["orderBulkSubmit"]), ["TOO_MANY"]);
    }
    assert_eq!(orders(app).await, 3);
}

async fn c1_faults_of_form_are_told_with_their_places(app: &TestApp) {
    app.open_shop().await;
    let long = "r".repeat(201);
    for (changes, code, place) in [
        (
            json!({ "externalReference": " " }),
            "INVALID_INPUT",
            "input.externalReference",
        ),
        (
            json!({ "externalReference": long }),
            "INVALID_INPUT",
            "input.externalReference",
        ),
        (
            json!({ "serviceLevel": long }),
            "INVALID_INPUT",
            "input.serviceLevel",
        ),
        (
            json!({ "metadata": [1] }),
            "INVALID_INPUT",
            "input.metadata",
        ),
        (
            json!({ "currency": "USD" }),
            "CURRENCY_MISMATCH",
            "input.currency",
        ),
        (
            json!({ "currency": "EURO" }),
            "CURRENCY_UNKNOWN",
            "input.currency",
        ),
        (
            json!({ "payment": { "method": "CARD" } }),
            "PAYMENT_INVALID",
            "input.payment.token",
        ),
        (
            json!({ "payment": { "method": "CARD", "token": " " } }),
            "PAYMENT_INVALID",
            "input.payment.token",
        ),
        (
            json!({ "customer": { "code": "C-0" } }),
            "CUSTOMER_NOT_FOUND",
            "input.customer.code",
        ),
        (
            json!({ "lines": [{ "sku": " ", "quantity": 1 }] }),
            "INVALID_INPUT",
            "input.lines.0.sku",
        ),
    ] {
        for channel in ["web", "marketplace"] {
            let mut basket = basket_with(changes.clone());
            basket["channel"] = json!(channel);
            refused(app, basket, &[(code, place)]).await;
        }
    }
    // All of them at once.
    let all = json!({ "metadata": 1, "currency": "USD", "lines": [
        { "sku": "MUG-WHITE", "quantity": 1 }, { "sku": "", "quantity": -1 }] });
    let payload = app.submit(basket_with(all)).await;
    let all: BTreeSet<_> = codes(&payload).into_iter().collect();
    let expected = ["CURRENCY_MISMATCH", "INVALID_INPUT", "QUANTITY_INVALID"];
    assert_eq!(all, expected.map(str::to_owned).into());
    assert_eq!(orders(app).await, 0);
}

async fn c1_a_text_with_a_null_character_is_refused_wherever_it_stands(app: &TestApp) {
    app.open_shop().await;
    let bad = "a\u{0}b";
    let address = |field: &str| {
        let mut address = basket()["shippingAddress"].clone();
        address[field] = json!(bad);
        json!({ "shippingAddress": address })
    };
    for (changes, place) in [
        (
            json!({ "externalReference": bad }),
            "input.externalReference",
        ),
        (
            json!({ "lines": [{ "sku": bad, "quantity": 1 }] }),
            "input.lines.0.sku",
        ),
        (
            json!({ "lines": [{ "sku": "MUG-WHITE", "quantity": 1, "title": bad }] }),
            "input.lines.0.title",
        ),
        (
            json!({ "customer": { "code": bad } }),
            "input.customer.code",
        ),
        (
            json!({ "customer": { "name": bad } }),
            "input.customer.name",
        ),
        (address("city"), "input.shippingAddress.city"),
        (address("region"), "input.shippingAddress.region"),
        (json!({ "serviceLevel": bad }), "input.serviceLevel"),
        (json!({ "promotionCodes": [bad] }), "input.promotionCodes.0"),
        (
            json!({ "payment": { "method": "CARD", "token": bad } }),
            "input.payment.token",
        ),
        (json!({ "metadata": { "a": [bad] } }), "input.metadata.a.0"),
        (json!({ "metadata": { bad: 1 } }), "input.metadata"),
    ] {
        for channel in ["web", "marketplace"] {
            let mut basket = basket_with(changes.clone());
            basket["channel"] = json!(channel);
            refused(app, basket, &[("INVALID_INPUT", place)]).await;
        }
    }
    // Six characters that only look like one.
    app.place(basket_with(json!({ "externalReference": "a\\u0000b" })))
        .await;
    // Wherever else a person writes.
    let order = app.place(basket()).await;
    let write = "mutation W($id: ID!, $text: String!) {
        note: orderAddNote(input: { id: $id, body: $text }) { userErrors { code field } }
        hold: orderHold(input: { id: $id, reason: $text }) { userErrors { code field } }
        cancel: orderCancel(input: { id: $id, reason: $text }) { userErrors { code field } } }";
    let data = app
        .gql(write, json!({ "id": order["id"], "text": bad }))
        .await;
    for field in ["note", "hold", "cancel"] {
        assert_eq!(codes(&data[field]), ["INVALID_INPUT"], "{field}");
    }
    let search = "query S($text: String!) {
        order(by: { number: $text }) { id }
        orders(where: { externalReference: { contains: $text } }) { nodes { id } } }";
    let data = app.gql(search, json!({ "text": bad })).await;
    assert_eq!(data, json!({ "order": null, "orders": { "nodes": [] } }));
}

// --- C2 -------------------------------------------------------------------------------------

async fn c2a_contacts_that_cannot_be_right_are_refused_where_the_channel_says_so(app: &TestApp) {
    app.open_shop().await;
    let of = |customer: Value| {
        let mut basket = basket_with(json!({ "customer": customer }));
        // Who receives is somebody else, so that only the customer is at fault.
        basket["shippingAddress"]["name"] = json!("Jonas Weber");
        basket
    };
    for name in ["", "  ", "\u{200b}", "Ann\nLee", &"n".repeat(301)] {
        refused(
            app,
            of(json!({ "name": name })),
            &[("NAME_INVALID", "input.customer.name")],
        )
        .await;
    }
    refused(
        app,
        of(json!({})),
        &[("NAME_INVALID", "input.customer.name")],
    )
    .await;
    for email in [
        "anna",
        "anna@",
        "anna@mail",
        "a b@mail.example",
        "Anna <anna@mail.example>",
    ] {
        let customer = json!({ "name": "Anna", "email": email });
        let error = refused(
            app,
            of(customer),
            &[("EMAIL_INVALID", "input.customer.email")],
        )
        .await;
        assert!(
            !error.to_string().contains(email),
            "an answer that repeats the address: {error}"
        );
    }
    for phone in ["12", "+43", "+49 1", "0664 CALL ME", "+999 123456"] {
        let customer = json!({ "name": "Anna", "phone": phone });
        refused(
            app,
            of(customer),
            &[("PHONE_INVALID", "input.customer.phone")],
        )
        .await;
    }
    let all = json!({ "name": "", "email": "anna", "phone": "12" });
    let expected = [
        ("NAME_INVALID", "input.customer.name"),
        ("EMAIL_INVALID", "input.customer.email"),
        ("PHONE_INVALID", "input.customer.phone"),
    ];
    refused(app, of(all), &expected).await;
    assert_eq!(orders(app).await, 0);
}

async fn c2a_contacts_that_cannot_be_right_wait_for_a_person_where_the_channel_says_so(
    app: &TestApp,
) {
    app.open_shop().await;
    for channel in ["marketplace", "b2b"] {
        let all = json!({ "name": " ", "email": "anna", "phone": "12" });
        let order = taken(
            app,
            basket_with(json!({ "channel": channel, "customer": all })),
        )
        .await;
        assert_eq!(order["stage"], "ON_HOLD", "{order:#}");
        let expected = ["NAME_INVALID", "EMAIL_INVALID", "PHONE_INVALID"];
        assert_eq!(found(&order), expected);
        for exception in order["exceptions"].as_array().unwrap() {
            assert_eq!(exception["blocking"], true);
            assert_eq!(exception["queue"], "customer");
            assert_eq!(exception["status"], "OPEN");
            assert_eq!(suggested(exception), ["OVERRIDE", "EDIT", "CANCEL"]);
        }
        assert_eq!(
            (&order["email"], &order["phone"]),
            (&Value::Null, &Value::Null)
        );
    }
}

async fn c2a_a_name_that_is_wrong_is_told_once_however_many_addresses_take_it_over(app: &TestApp) {
    app.open_shop().await;
    let with = |name: &str, shipping: Value, billing: Value| {
        let mut basket = basket_with(json!({ "customer": { "name": name } }));
        basket["billingAddress"] = basket["shippingAddress"].clone();
        for (address, changes) in [("shippingAddress", shipping), ("billingAddress", billing)] {
            for (field, value) in changes.as_object().unwrap() {
                basket[address][field] = value.clone();
            }
        }
        basket
    };
    let name = ("NAME_INVALID", "input.customer.name");
    let shipping = ("ADDRESS_INVALID", "input.shippingAddress");
    let billing = ("ADDRESS_INVALID", "input.billingAddress");
    let (none, blank) = (json!({}), json!({ "name": " " }));
    for wrong in ["", " ", "Ann\nLee", &"n".repeat(301)] {
        refused(app, with(wrong, none.clone(), none.clone()), &[name]).await;
        refused(app, with(wrong, blank.clone(), blank.clone()), &[name]).await;
        // Whatever else is wrong with an address is told for itself, and without the name.
        let nowhere = with(wrong, json!({ "city": "" }), none.clone());
        let errors = refused(app, nowhere, &[name, shipping]).await;
        let message = errors[1]["message"].as_str().unwrap();
        assert!(message.contains("The city is missing."), "{message}");
        assert!(!message.contains("neither a person"), "{message}");
    }
    // A name of its own is the address's own fault.
    let long = json!({ "name": "n".repeat(301) });
    refused(app, with("Anna", none.clone(), long.clone()), &[billing]).await;
    refused(app, with("", none.clone(), long), &[name, billing]).await;

    // Where the order is kept, the address says all the same that nobody is named on it.
    let mut basket = with("", none.clone(), none);
    basket["channel"] = json!("marketplace");
    let order = taken(app, basket).await;
    assert_eq!(found(&order), ["NAME_INVALID"]);
    let query = "query Of($id: ID!) { order(by: { id: $id }) {
        version stage customerName exceptions { code status }
        shippingAddress { name verdict reasons { field code } }
        billingAddress { name verdict } } }";
    let of = json!({ "id": order["id"] });
    let kept = app.gql(query, of.clone()).await["order"].take();
    let address = &kept["shippingAddress"];
    assert_eq!(address["verdict"], "INVALID", "{address:#}");
    let missing = json!({ "field": "NAME", "code": "MISSING" });
    assert_eq!(address["reasons"][0], missing);

    // Whoever puts the name right puts it right on the addresses that took it over.
    let edit = "mutation Edit($input: OrderEditInput!) { orderEditCommit(input: $input) {
        userErrors { code message } } }";
    let input = json!({ "id": order["id"], "expectedVersion": kept["version"],
        "contact": { "name": "Anna Leitner" } });
    let edited = app.gql(edit, json!({ "input": input })).await;
    assert_eq!(edited["orderEditCommit"]["userErrors"], json!([]));
    let right = app.gql(query, of).await["order"].take();
    assert_eq!(right["customerName"], "Anna Leitner");
    for address in ["shippingAddress", "billingAddress"] {
        let address = &right[address];
        assert_eq!(address["name"], "Anna Leitner", "{address:#}");
        assert_eq!(address["verdict"], "UNVERIFIED", "{address:#}");
    }
    let settled = json!([{ "code": "NAME_INVALID", "status": "RESOLVED" }]);
    assert_eq!(right["exceptions"], settled);
    assert_eq!(right["stage"], "STAGED", "{right:#}");
}

async fn c2a_names_and_contacts_of_all_kinds_are_taken_as_they_are(app: &TestApp) {
    app.open_shop().await;
    let long = "名".repeat(300);
    for name in [
        "Nguyễn Thị Minh Khai",
        "王小明",
        "محمد علي",
        "O’Brien-Müller",
        "Zoë 🏢",
        "J",
        &long,
    ] {
        let order = taken(app, basket_with(json!({ "customer": { "name": name } }))).await;
        assert_eq!(
            (&order["customerName"], &order["status"]),
            (&json!(name), &json!("CONFIRMED"))
        );
        assert_eq!(found(&order), [""; 0]);
    }
    for (given, kept) in [
        ("anna+orders@mail.example", "anna+orders@mail.example"),
        (" Anna.L@MAIL.Example ", "Anna.L@mail.example"),
        ("用户@例子.广告", "用户@例子.广告"),
    ] {
        let customer = json!({ "name": "Anna", "email": given });
        let order = taken(app, basket_with(json!({ "customer": customer }))).await;
        assert_eq!(order["email"], kept);
    }
    // A telephone alone will do; a national number is one of the country that is shipped to.
    for (given, kept) in [
        ("0664 1234567", "+436641234567"),
        ("+49 (0)30 901820", "+4930901820"),
        ("0043 1 58858", "+43158858"),
    ] {
        let customer = json!({ "name": "Anna", "phone": given, "email": "" });
        let order = taken(app, basket_with(json!({ "customer": customer }))).await;
        assert_eq!(
            (&order["phone"], &order["email"]),
            (&json!(kept), &Value::Null)
        );
    }
}

async fn c2a_a_known_customer_needs_no_name(app: &TestApp) {
    app.open_shop().await;
    let order = taken(
        app,
        basket_with(json!({ "customer": { "code": " C-1003 " } })),
    )
    .await;
    assert_eq!(order["customerName"], "Sofía Marín");
    assert_eq!(order["email"], "sofia.marin@mail.example");
    assert_eq!(order["customer"]["code"], "C-1003");
    // What the order says goes before what the record has.
    let customer = json!({ "code": "C-1003", "name": "S. Marín", "email": "new@mail.example" });
    let order = taken(app, basket_with(json!({ "customer": customer }))).await;
    assert_eq!(
        (&order["customerName"], &order["email"]),
        (&json!("S. Marín"), &json!("new@mail.example"))
    );
}

fn to(address: Value) -> Value {
    json!({ "shippingAddress": address })
}

/// The stored shipping address of an order.
async fn address_of(app: &TestApp, order: &Value) -> address::Model {
    let number = order["number"].as_str().unwrap();
    let row = order::Entity::find().filter(order::Column::Number.eq(number));
    let row = row.one(&app.app.db.read).await.unwrap().unwrap();
    let found = address::Entity::find_by_id(row.shipping_address_id);
    found.one(&app.app.db.read).await.unwrap().unwrap()
}

async fn c2b_an_address_of_the_wrong_shape_follows_the_channels_policy(app: &TestApp) {
    app.open_shop().await;
    let place = |line1: &str, city: &str, code: Value, country: &str| json!({ "line1": line1, "city": city, "postalCode": code, "country": country });
    for (address, field) in [
        (
            place("Unter den Linden 1", "Berlin", json!("1O115"), "DE"),
            "POSTAL_CODE",
        ),
        (
            place("Ringstraße 1", "Wien", json!("10100"), "AT"),
            "POSTAL_CODE",
        ),
        (
            place("Ringstraße 1", "Wien", Value::Null, "AT"),
            "POSTAL_CODE",
        ),
        (place("", "Wien", json!("1010"), "AT"), "LINE1"),
        (place("Ringstraße 1", " ", json!("1010"), "AT"), "CITY"),
        (
            place("Ringstraße 1", &"W".repeat(301), json!("1010"), "AT"),
            "CITY",
        ),
    ] {
        let input = basket_with(to(address.clone()));
        let errors = refused(app, input, &[("ADDRESS_INVALID", "input.shippingAddress")]).await;
        let details = &errors[0]["details"];
        assert_eq!(details["verdict"], "INVALID", "{details:#}");
        assert_eq!(details["reasons"][0]["field"], field, "{details:#}");
        let mut input = basket_with(to(address));
        input["channel"] = json!("marketplace");
        let order = taken(app, input).await;
        assert_eq!(
            (found(&order), &order["stage"]),
            (vec!["ADDRESS_INVALID".to_owned()], &json!("ON_HOLD"))
        );
        assert_eq!(
            address_of(app, &order).await.verdict,
            address::Verdict::Invalid
        );
    }
    let billing = place("Ringstraße 1", "Wien", json!("1"), "AT");
    let input = basket_with(json!({ "billingAddress": billing }));
    refused(app, input, &[("ADDRESS_INVALID", "input.billingAddress")]).await;
}

async fn c2b_each_address_keeps_its_verdict_and_what_was_written(app: &TestApp) {
    app.open_shop().await;
    // Hong Kong has no postal codes, and Ireland does not ask for them.
    for address in [
        json!({ "line1": "1 Queen's Road Central", "city": "Central", "region": "Hong Kong Island", "country": "Hong Kong" }),
        json!({ "line1": "1 Main Street", "city": "Cork", "country": "Ireland" }),
    ] {
        let order = taken(app, basket_with(to(address))).await;
        assert_eq!(found(&order), [""; 0]);
        let row = address_of(app, &order).await;
        assert_eq!(
            (row.verdict, row.po_box),
            (address::Verdict::Unverified, false)
        );
    }
    // A repair stands beside what was written, never over it.
    let address = json!({ "line1": "Ringstraße 1", "city": "Wien", "postalCode": "A-1010", "country": "Österreich" });
    let order = taken(app, basket_with(to(address))).await;
    let row = address_of(app, &order).await;
    assert_eq!(row.verdict, address::Verdict::Corrected);
    assert_eq!(row.postal_code.as_deref(), Some("A-1010"));
    assert_eq!(row.suggestion.unwrap()["postal_code"], "1010");
    assert_eq!(
        (row.country.as_str(), order["status"].as_str()),
        ("AT", Some("CONFIRMED"))
    );
    // A box is noted for the carriers that refuse them.
    let address =
        json!({ "line1": "Postfach 12", "city": "Wien", "postalCode": "1010", "country": "AT" });
    let order = taken(app, basket_with(to(address))).await;
    assert!(address_of(app, &order).await.po_box);
}

async fn c2b_a_country_that_is_none_is_refused_everywhere(app: &TestApp) {
    app.open_shop().await;
    for country in ["Atlantis", "", "ZZ", "Congo"] {
        let address = json!({ "line1": "Ringstraße 1", "city": "Wien", "postalCode": "1010", "country": country });
        for channel in ["web", "marketplace"] {
            let mut input = basket_with(to(address.clone()));
            input["channel"] = json!(channel);
            let places = [("ADDRESS_INVALID", "input.shippingAddress.country")];
            refused(app, input, &places).await;
            let mut input = basket_with(json!({ "billingAddress": address }));
            input["channel"] = json!(channel);
            let places = [("ADDRESS_INVALID", "input.billingAddress.country")];
            refused(app, input, &places).await;
        }
    }
    assert_eq!(orders(app).await, 0);
}

// --- C3 -------------------------------------------------------------------------------------

/// Another code for a variant of the demo.
async fn code(app: &TestApp, sku: &str, code: &str, kind: variant_code::Kind) {
    let row = variant::Entity::find().filter(variant::Column::Sku.eq(sku));
    let row = row.one(&app.app.db.read).await.unwrap().unwrap();
    let code = variant_code::ActiveModel {
        code_key: Set(api::catalogue::code_key(code)),
        code: Set(code.to_owned()),
        variant_id: Set(row.id),
        kind: Set(kind),
        units: Set(1),
    };
    variant_code::Entity::insert(code)
        .exec_without_returning(&app.app.db.write)
        .await
        .unwrap();
}

async fn c3a_a_sku_is_known_however_it_is_written(app: &TestApp) {
    app.open_shop().await;
    code(app, "MUG-WHITE", "Becher, weiß", variant_code::Kind::Alias).await;
    let gtins = variant_code::Entity::find()
        .filter(variant_code::Column::Kind.eq(variant_code::Kind::Gtin))
        .find_also_related(variant::Entity)
        .all(&app.app.db.read)
        .await
        .unwrap();
    let gtin = gtins
        .into_iter()
        .find(|(_, v)| v.as_ref().unwrap().sku == "MUG-WHITE")
        .unwrap();
    let gtin = gtin.0.code;
    for sku in [
        "MUG-WHITE",
        "mug-white",
        " Mug White ",
        "MUG_WHITE",
        "mug.white",
        "MUGWHITE",
        "becher, WEISS",
        &gtin,
    ] {
        let order = taken(app, lines(json!([{ "sku": sku, "quantity": 1 }]))).await;
        assert_eq!(order["lines"][0]["sku"], "MUG-WHITE", "{sku}");
        assert_eq!(order["lines"][0]["allocated"], 1, "{sku}");
    }
}

async fn c3a_an_alias_and_its_sku_are_counted_together_for_price_and_stock(app: &TestApp) {
    app.open_shop().await;
    code(app, "MUG-WHITE", "CUP-01", variant_code::Kind::Alias).await;
    // Twelve mugs are twelve mugs: the tier begins there.
    let mugs = json!([{ "sku": "MUG-WHITE", "quantity": 6 }, { "sku": "cup 01", "quantity": 6 }]);
    let order = taken(app, lines(mugs)).await;
    for line in order["lines"].as_array().unwrap() {
        assert_eq!(line["unitPrice"]["amount"], "13.41", "{line:#}");
    }
    // The kettle may not be backordered, and 32 are there.
    code(app, "KETTLE-STEEL", "KTL", variant_code::Kind::Alias).await;
    let kettles =
        json!([{ "sku": "KETTLE-STEEL", "quantity": 20 }, { "sku": "KTL", "quantity": 13 }]);
    let places = [("INSUFFICIENT_STOCK", "input.lines.1.quantity")];
    let errors = refused(app, lines(kettles), &places).await;
    let details = &errors[0]["details"];
    assert_eq!(
        (&details["requested"], &details["available"]),
        (&json!(33), &json!(32))
    );
}

async fn c3a_quantities_that_cannot_be_are_refused_with_their_lines(app: &TestApp) {
    app.open_shop().await;
    for quantity in [0, -1, 1_000_001, 1 << 31, i64::MAX, i64::MIN] {
        for channel in ["web", "marketplace"] {
            let basket = basket_with(json!({ "channel": channel, "lines": [
                { "sku": "MUG-WHITE", "quantity": 1 }, { "sku": "MUG-BLUE", "quantity": quantity }] }));
            refused(
                app,
                basket,
                &[("QUANTITY_INVALID", "input.lines.1.quantity")],
            )
            .await;
        }
    }
    for quantity in [json!(1.5), json!("1"), json!(1e30)] {
        let basket = lines(json!([{ "sku": "MUG-WHITE", "quantity": quantity }]));
        let answer = app
            .answer_as(Some(&app.admin_key), SUBMIT, json!({ "input": basket }))
            .await;
        assert!(
            ["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&answer.code()),
            "{:#}",
            answer.body
        );
    }
    assert_eq!(orders(app).await, 0);
    let most = lines(json!([{ "sku": "MUG-WHITE", "quantity": 1_000_000 }]));
    let order = taken(app, most).await;
    assert_eq!(order["lines"][0]["backordered"], 999_800);
}

async fn c3a_skus_that_cannot_be_sold_are_named_with_their_lines(app: &TestApp) {
    app.open_shop().await;
    let db = &app.app.db.write;
    variant::Entity::update_many()
        .col_expr(
            variant::Column::Status,
            Expr::value(variant::Status::Discontinued),
        )
        .filter(variant::Column::Sku.eq("MUG-RUST"))
        .exec(db)
        .await
        .unwrap();
    let unlisted = app.stocked("UNLISTED", 5, true).await;
    listing::Entity::delete_many()
        .filter(listing::Column::VariantId.eq(unlisted.id))
        .filter(listing::Column::ChannelId.ne(app.channel("b2b").await.id))
        .exec(db)
        .await
        .unwrap();
    let mixed = json!([
        { "sku": "MUG-WHITE", "quantity": 1 },
        { "sku": "MUG-PURPLE", "quantity": 1 },
        { "sku": "MUG-RUST", "quantity": 1 },
        { "sku": "UNLISTED", "quantity": 1 },
    ]);
    let places = [
        ("SKU_UNKNOWN", "input.lines.1.sku"),
        ("SKU_DISCONTINUED", "input.lines.2.sku"),
        ("SKU_NOT_LISTED", "input.lines.3.sku"),
    ];
    refused(app, lines(mixed.clone()), &places).await;
    let order = taken(
        app,
        basket_with(json!({ "channel": "marketplace", "lines": mixed })),
    )
    .await;
    assert_eq!(found(&order), places.map(|(code, _)| code));
    // Stock is held for the line that is right, and for none of the others.
    let held: Vec<_> = order["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["reserved"])
        .collect();
    assert_eq!(held, [1, 0, 0, 0]);
    assert_eq!(app.stock_of(&unlisted).await, (5, 0));
    assert_eq!(order["lines"][1]["sku"], "MUG-PURPLE");
    let line_ids: BTreeSet<_> = order["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x["lineId"].to_string())
        .collect();
    assert_eq!(line_ids.len(), 3);
    // What one channel does not sell, another does.
    let there = json!({ "channel": "b2b", "lines": [{ "sku": "UNLISTED", "quantity": 1 }] });
    assert_eq!(taken(app, basket_with(there)).await["status"], "CONFIRMED");
}

async fn c3b_a_title_that_differs_is_flagged_with_both_and_stops_nothing(app: &TestApp) {
    app.open_shop().await;
    let titled =
        |sku: &str, title: &str| lines(json!([{ "sku": sku, "quantity": 1, "title": title }]));
    for title in [
        "Stoneware Mug, white",
        "STONEWARE MUG WHITE",
        "stonewäre  múg – white",
    ] {
        let order = taken(app, titled("MUG-WHITE", title)).await;
        assert_eq!(found(&order), [""; 0], "{title}");
        assert_eq!(order["lines"][0]["submittedTitle"], title);
        assert_eq!(order["lines"][0]["title"], "Stoneware Mug, white");
    }
    for (sku, ours, theirs) in [
        ("MUG-WHITE", "Stoneware Mug, white", "Porcelain Mug, white"),
        ("ESP-250", "Espresso Roast, 250 g", "Espresso Roast, 500 g"),
        ("MUG-WHITE", "Stoneware Mug, white", ""),
    ] {
        let order = taken(app, titled(sku, theirs)).await;
        assert_eq!(found(&order), ["TITLE_MISMATCH"]);
        let exception = &order["exceptions"][0];
        assert_eq!(
            (&exception["blocking"], &exception["severity"]),
            (&json!(false), &json!("LOW"))
        );
        assert_eq!(
            exception["details"],
            json!({ "ours": ours, "theirs": theirs })
        );
        assert_eq!(order["status"], "CONFIRMED", "it stops nothing");
        assert_eq!(order["lines"][0]["title"], ours);
        assert_eq!(order["lines"][0]["submittedTitle"], theirs);
    }
    // The product is renamed: what was ordered keeps the title that it was ordered under.
    let before = taken(app, titled("MUG-BLUE", "Stoneware Mug, blue")).await;
    variant::Entity::update_many()
        .col_expr(variant::Column::Title, Expr::value("Clay Mug, blue"))
        .filter(variant::Column::Sku.eq("MUG-BLUE"))
        .exec(&app.app.db.write)
        .await
        .unwrap();
    let after = taken(app, titled("MUG-BLUE", "Stoneware Mug, blue")).await;
    assert_eq!(found(&after), ["TITLE_MISMATCH"]);
    assert_eq!(
        whole(app, &before["id"]).await["lines"][0]["title"],
        "Stoneware Mug, blue"
    );
}

// --- C4 -------------------------------------------------------------------------------------

async fn c4a_the_tier_begins_at_its_own_quantity(app: &TestApp) {
    app.open_shop().await;
    for (quantity, price) in [(1, "14.90"), (11, "14.90"), (12, "13.41"), (13, "13.41")] {
        let order = taken(
            app,
            lines(json!([{ "sku": "MUG-WHITE", "quantity": quantity }])),
        )
        .await;
        assert_eq!(
            order["lines"][0]["unitPrice"]["amount"], price,
            "{quantity}"
        );
        assert_eq!(
            order["lines"][0]["listPrice"]["amount"], price,
            "{quantity}"
        );
    }
    let split =
        json!([{ "sku": "MUG-WHITE", "quantity": 11 }, { "sku": "mug white", "quantity": 1 }]);
    let order = taken(app, lines(split)).await;
    assert_eq!(
        order["lines"][1]["unitPrice"]["amount"], "13.41",
        "one SKU on two lines"
    );
    let colours =
        json!([{ "sku": "MUG-WHITE", "quantity": 6 }, { "sku": "MUG-BLUE", "quantity": 6 }]);
    let order = taken(app, lines(colours)).await;
    assert_eq!(
        order["lines"][1]["unitPrice"]["amount"], "14.90",
        "two SKUs on two lines"
    );
}

async fn c4a_the_trade_group_pays_its_own_prices(app: &TestApp) {
    app.open_shop().await;
    let of = |code: &str, quantity: i64| {
        basket_with(json!({ "channel": "b2b", "customer": { "code": code },
            "lines": [{ "sku": "MUG-WHITE", "quantity": quantity }] }))
    };
    for (code, quantity, price) in [
        ("B-2001", 1, "11.17"),
        ("B-2001", 12, "11.17"),
        ("B-2001", 24, "10.43"),
        ("C-1006", 1, "14.90"),
        ("C-1001", 12, "13.41"),
    ] {
        let order = taken(app, of(code, quantity)).await;
        assert_eq!(
            order["lines"][0]["unitPrice"]["amount"], price,
            "{code} {quantity}"
        );
    }
}

async fn c4a_a_price_that_differs_is_flagged_with_both_values(app: &TestApp) {
    app.open_shop().await;
    let at = |channel: &str, price: &str| {
        basket_with(json!({ "channel": channel, "lines": [
            { "sku": "TIN-S", "quantity": 1 }, { "sku": "MUG-WHITE", "quantity": 2, "unitPrice": price }] }))
    };
    let places = [("PRICE_MISMATCH", "input.lines.1.unitPrice")];
    let errors = refused(app, at("web", "14.89"), &places).await;
    let both = json!({ "ours": 1490, "theirs": 1489, "currency": "EUR", "quantity": 2 });
    assert_eq!(errors[0]["details"], both);
    let order = taken(app, at("marketplace", "14.89")).await;
    assert_eq!(
        (found(&order), &order["stage"]),
        (vec!["PRICE_MISMATCH".to_owned()], &json!("ON_HOLD"))
    );
    assert_eq!(order["exceptions"][0]["details"], both);
    // It is charged as the customer was told, and the list's price stands beside it.
    assert_eq!(order["lines"][1]["unitPrice"]["amount"], "14.89");
    assert_eq!(order["lines"][1]["listPrice"]["amount"], "14.90");
    let order = taken(app, at("web", "14.9")).await;
    assert_eq!(
        (found(&order).len(), &order["status"]),
        (0, &json!("CONFIRMED"))
    );
}

async fn c4a_a_difference_within_the_tolerance_is_none(app: &TestApp) {
    app.open_shop().await;
    app.change_channel("web", |channel| channel.price_tolerance_minor = Set(5))
        .await;
    let at = |price: &str, total: &str| {
        basket_with(json!({ "total": total,
            "lines": [{ "sku": "MUG-WHITE", "quantity": 1, "unitPrice": price }] }))
    };
    for price in ["14.85", "14.95"] {
        let total = amount(&json!({ "amount": price })) + Decimal::new(490, 2);
        taken(app, at(price, &total.to_string())).await;
    }
    refused(
        app,
        at("14.84", "19.74"),
        &[("PRICE_MISMATCH", "input.lines.0.unitPrice")],
    )
    .await;
    taken(app, at("14.90", "19.85")).await;
    refused(
        app,
        at("14.90", "19.86"),
        &[("TOTAL_MISMATCH", "input.total")],
    )
    .await;
}

async fn c4a_the_price_is_that_of_the_moment_of_the_order(app: &TestApp) {
    app.open_shop().await;
    let db = &app.app.db;
    let now = app.app.clock.now();
    let change = now - Duration::hours(1);
    price_list::Entity::update_many()
        .col_expr(price_list::Column::ValidUntil, Expr::value(Some(change)))
        .filter(price_list::Column::Code.eq("retail"))
        .exec(&db.write)
        .await
        .unwrap();
    let next = entity::PriceListId(uuid::Uuid::now_v7());
    let row = price_list::ActiveModel {
        id: Set(next),
        code: Set("retail, next".to_owned()),
        currency: Set(Currency::EUR),
        channel_id: Set(None),
        group_code: Set(None),
        rank: Set(0),
        valid_from: Set(Some(change)),
        valid_until: Set(None),
    };
    price_list::Entity::insert(row)
        .exec_without_returning(&db.write)
        .await
        .unwrap();
    let mug = variant::Entity::find().filter(variant::Column::Sku.eq("MUG-WHITE"));
    let mug = mug.one(&db.read).await.unwrap().unwrap().id;
    app.price(next, mug, 1, 1_590).await;
    app.app.invalidate_reference();
    let tick = TimeDelta::microseconds(1);
    for (placed_at, price) in [
        (Some(change - tick), "14.90"),
        (Some(change), "15.90"),
        (None, "15.90"),
    ] {
        let order = taken(app, basket_with(json!({ "placedAt": placed_at }))).await;
        assert_eq!(
            order["lines"][0]["unitPrice"]["amount"], price,
            "{placed_at:?}"
        );
    }
    let future = basket_with(json!({ "placedAt": now + Duration::days(1) }));
    refused(app, future, &[("INVALID_INPUT", "input.placedAt")]).await;
    // What the next list has no price for cannot be sold from its beginning on.
    let blue = |placed_at: DateTime<Utc>| {
        basket_with(
            json!({ "placedAt": placed_at, "lines": [{ "sku": "MUG-BLUE", "quantity": 1 }] }),
        )
    };
    refused(
        app,
        blue(now),
        &[("PRICE_MISSING", "input.lines.0.unitPrice")],
    )
    .await;
    taken(app, blue(change - tick)).await;
}

async fn c4a_a_total_that_differs_is_flagged_with_both_breakdowns(app: &TestApp) {
    app.open_shop().await;
    let with = |channel: &str, total: &str| {
        basket_with(
            json!({ "channel": channel, "total": total, "shippingCharge": "4.90",
            "lines": [{ "sku": "MUG-WHITE", "quantity": 2, "unitPrice": "14.90", "discount": "1.00" }] }),
        )
    };
    let order = taken(app, with("web", "33.70")).await;
    assert_eq!(
        (
            found(&order).len(),
            order["submittedTotal"]["amount"].as_str()
        ),
        (0, Some("33.70"))
    );
    let errors = refused(
        app,
        with("web", "33.00"),
        &[("TOTAL_MISMATCH", "input.total")],
    )
    .await;
    let order = taken(app, with("marketplace", "33.00")).await;
    assert_eq!(found(&order), ["TOTAL_MISMATCH"]);
    assert_eq!(order["stage"], "ON_HOLD");
    for details in [&errors[0]["details"], &order["exceptions"][0]["details"]] {
        assert_eq!(
            (&details["ours"], &details["theirs"]),
            (&json!(3370), &json!(3300))
        );
        let ours = &details["breakdown"];
        assert_eq!(ours["total_minor"], 3370, "{details:#}");
        assert_eq!(ours["lines"][0]["unit_price_minor"], 1490);
        assert_eq!(ours["shipping_minor"], 490);
        let theirs = &details["submitted"];
        let line = json!({ "sku": "MUG-WHITE", "quantity": 2, "unitPrice": 1490, "discount": 100 });
        assert_eq!(theirs["lines"], json!([line]), "{details:#}");
        assert_eq!(
            (&theirs["shippingCharge"], &theirs["total"]),
            (&json!(490), &json!(3300))
        );
    }
    // The order costs what we work out, and the customer's figure stays beside it.
    assert_eq!(order["total"]["amount"], "33.70");
    assert_eq!(order["submittedTotal"]["amount"], "33.00");
}

async fn c4a_currencies_with_no_and_with_three_decimals_add_up(app: &TestApp) {
    app.open_shop().await;
    let bowl = app.stocked("BOWL", 10, true).await;
    for (code, currency, minor, price, shipping, total, too_fine) in [
        ("jp", "JPY", 1_500, "1500", "700", "3700", "1500.5"),
        ("kw", "KWD", 4_375, "4.375", "1.250", "10.000", "4.3755"),
    ] {
        let parsed: Currency = currency.parse().unwrap();
        app.other_channel(code, &bowl, minor, |channel| channel.currency = Set(parsed))
            .await;
        let with = |price: &str, total: &str| {
            basket_with(
                json!({ "channel": code, "currency": currency, "shippingCharge": shipping,
                "total": total, "lines": [{ "sku": "BOWL", "quantity": 2, "unitPrice": price }] }),
            )
        };
        let order = taken(app, with(price, total)).await;
        assert_eq!(
            order["total"],
            json!({ "amount": total, "currency": currency })
        );
        assert_eq!(order["status"], "CONFIRMED", "{order:#}");
        refused(
            app,
            with(too_fine, total),
            &[("AMOUNT_INVALID", "input.lines.0.unitPrice")],
        )
        .await;
        let wrong = with(price, "1");
        refused(app, wrong, &[("TOTAL_MISMATCH", "input.total")]).await;
    }
}

async fn c4a_amounts_that_are_none_are_refused_with_their_places(app: &TestApp) {
    app.open_shop().await;
    for amount in ["-0.01", "1.001", "999999999999999999"] {
        for channel in ["web", "marketplace"] {
            let basket = basket_with(
                json!({ "channel": channel, "total": amount, "shippingCharge": amount,
                "lines": [{ "sku": "MUG-WHITE", "quantity": 1 },
                    { "sku": "MUG-WHITE", "quantity": 1, "unitPrice": amount }] }),
            );
            let payload = app.submit(basket).await;
            assert_eq!(payload["order"], Value::Null, "{amount}: {payload:#}");
            let codes: BTreeSet<_> = codes(&payload).into_iter().collect();
            assert_eq!(
                codes,
                ["AMOUNT_INVALID".to_owned()].into(),
                "{amount}: {payload:#}"
            );
        }
    }
    // A discount may take a line's whole worth, and not more.
    let off = |discount: &str| {
        lines(json!([{ "sku": "MUG-WHITE", "quantity": 1, "discount": discount }]))
    };
    assert_eq!(taken(app, off("14.90")).await["total"]["amount"], "4.90");
    let payload = app.submit(off("14.91")).await;
    assert_eq!(codes(&payload), ["AMOUNT_INVALID"], "{payload:#}");
}

async fn c4a_an_amount_that_was_a_float_is_refused_however_it_is_sent(app: &TestApp) {
    app.open_shop().await;
    let admin = Some(app.admin_key.as_str());
    let ask = async |total: Value| {
        let input = basket_with(json!({ "total": total }));
        app.answer_as(admin, SUBMIT, json!({ "input": input }))
            .await
    };
    let write = async |total: &str| {
        let query = format!(
            "mutation {{ orderSubmit(input: {{ channel: \"web\", total: {total},
                customer: {{ name: \"Anna Leitner\" }}, payment: {{ method: EXTERNAL }},
                lines: [{{ sku: \"MUG-WHITE\", quantity: 1 }}],
                shippingAddress: {{ line1: \"Ringstraße 1\", city: \"Wien\",
                    postalCode: \"1010\", country: \"AT\" }} }}) {{
                order {{ submittedTotal {{ amount }} }} userErrors {{ code }} }} }}"
        );
        app.answer_as(admin, &query, json!({})).await
    };
    // 19.8 is what it comes to, and is no number that a computer can keep.
    for refused in [
        ask(json!(19.8)).await,
        write("19.80").await,
        ask(json!("19,80")).await,
    ] {
        assert_eq!(refused.code(), "BAD_USER_INPUT", "{:#}", refused.body);
        let message = refused.body["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.contains("a decimal number is a string"),
            "{message}"
        );
    }
    assert_eq!(orders(app).await, 0);
    let taken = ask(json!("19.8")).await.data();
    assert_eq!(taken["orderSubmit"]["order"]["total"]["amount"], "19.80");
    let taken = write("\"19.80\"").await.data();
    let kept = &taken["orderSubmit"]["order"]["submittedTotal"];
    assert_eq!(kept["amount"], "19.80", "{taken:#}");
    // A whole number is exact however it is written, and its answer a string all the same.
    let taken = app.gql(
        SUBMIT,
        json!({ "input": lines(json!([
        { "sku": "MUG-WHITE", "quantity": 2, "unitPrice": "14.90", "discount": 9 }])) }),
    );
    let taken = taken.await["orderSubmit"].take();
    assert_eq!(taken["order"]["total"]["amount"], "25.70", "{taken:#}");
}

fn with_codes(codes: &[&str], lines: Value) -> Value {
    basket_with(json!({ "promotionCodes": codes, "lines": lines }))
}

async fn c4b_each_kind_of_promotion_takes_off_what_it_says(app: &TestApp) {
    app.open_shop().await;
    let mugs = |count: i64| json!([{ "sku": "MUG-WHITE", "quantity": count }]);
    for (code, lines, discount, shipping_discount, total) in [
        ("welcome10", mugs(1), "1.49", "0.00", "18.31"),
        (" MINUS5 ", mugs(3), "5.00", "0.00", "44.60"),
        ("MUGS3FOR2", mugs(3), "14.90", "0.00", "34.70"),
        ("FREEPOST", mugs(1), "0.00", "4.90", "14.90"),
        ("FIRST100", mugs(1), "2.98", "0.00", "16.82"),
    ] {
        let order = taken(app, with_codes(&[code], lines)).await;
        let figures = ["discount", "shippingDiscount", "total"]
            .map(|field| order[field]["amount"].as_str().unwrap());
        assert_eq!(figures, [discount, shipping_discount, total], "{code}");
        let verdicts = &order["promotionVerdicts"];
        assert_eq!(verdicts.as_array().unwrap().len(), 1, "{verdicts:#}");
        assert_eq!(verdicts[0]["code"], code.trim().to_uppercase());
        assert_eq!(order["status"], "CONFIRMED");
    }
    // Together they stack in a stated order, each on what is left.
    let order = taken(
        app,
        with_codes(&["FREEPOST", "WELCOME10", "MINUS5"], mugs(3)),
    )
    .await;
    // 44.70 − 5.00 = 39.70, a tenth of it off, and no shipping.
    assert_eq!(order["total"]["amount"], "35.73", "{order:#}");
}

async fn c4b_a_code_that_gives_nothing_is_refused_with_its_reason(app: &TestApp) {
    app.open_shop().await;
    let now = app.app.clock.now();
    app.promotion_like("WELCOME10", "OLD", |row| row.valid_until = Set(Some(now)))
        .await;
    app.promotion_like("WELCOME10", "SOON", |row| {
        row.valid_from = Set(Some(now + Duration::hours(1)))
    })
    .await;
    app.promotion_like("WELCOME10", "OFF", |row| row.active = Set(false))
        .await;
    app.promotion_like("WELCOME10", "GONE", |row| {
        row.usage_limit = Set(Some(0));
    })
    .await;
    let b2b = app.channel("b2b").await.id;
    app.promotion_like("WELCOME10", "TRADE", |row| row.channel_id = Set(Some(b2b)))
        .await;
    let one_mug = json!([{ "sku": "MUG-WHITE", "quantity": 1 }]);
    for (code, error, reason) in [
        ("NOBODY", "PROMOTION_REJECTED", "PROMOTION_UNKNOWN"),
        ("MINUS5", "PROMOTION_REJECTED", "PROMOTION_BELOW_MINIMUM"),
        (
            "MUGS3FOR2",
            "PROMOTION_REJECTED",
            "PROMOTION_NOT_APPLICABLE",
        ),
        ("OLD", "PROMOTION_REJECTED", "PROMOTION_EXPIRED"),
        ("SOON", "PROMOTION_REJECTED", "PROMOTION_NOT_YET_VALID"),
        ("OFF", "PROMOTION_REJECTED", "PROMOTION_INACTIVE"),
        ("TRADE", "PROMOTION_REJECTED", "PROMOTION_WRONG_CHANNEL"),
        ("GONE", "PROMOTION_LIMIT_REACHED", "PROMOTION_LIMIT_REACHED"),
    ] {
        let places = [(error, "input.promotionCodes")];
        let errors = refused(app, with_codes(&[code], one_mug.clone()), &places).await;
        assert_eq!(
            errors[0]["details"],
            json!({ "code": code, "reason": reason })
        );
        let mut basket = with_codes(&[code], one_mug.clone());
        basket["channel"] = json!("marketplace");
        let order = taken(app, basket).await;
        assert_eq!(found(&order), [error], "{code}");
        assert_eq!(order["discount"]["amount"], "0.00");
    }
    // In time it was valid: the moment of the order counts.
    let mut basket = with_codes(&["OLD"], one_mug.clone());
    basket["placedAt"] = json!(now - Duration::seconds(1));
    assert_eq!(taken(app, basket).await["discount"]["amount"], "1.49");
    // A blank code is no code.
    assert_eq!(
        taken(app, with_codes(&["", " "], one_mug)).await["status"],
        "CONFIRMED"
    );
}

async fn c4b_exclusive_codes_are_not_combined(app: &TestApp) {
    app.open_shop().await;
    app.promotion_like("FIRST100", "ALONE30", |row| {
        row.percent = Set("0.30".parse().ok())
    })
    .await;
    let one_mug = json!([{ "sku": "MUG-WHITE", "quantity": 1 }]);
    for codes in [["FIRST100", "ALONE30"], ["ALONE30", "FIRST100"]] {
        let places = [("PROMOTION_REJECTED", "input.promotionCodes")];
        let errors = refused(app, with_codes(&codes, one_mug.clone()), &places).await;
        let details = json!({ "code": "FIRST100", "reason": "PROMOTION_EXCLUSIVE_CONFLICT" });
        assert_eq!(errors[0]["details"], details);
        let mut basket = with_codes(&codes, one_mug.clone());
        basket["channel"] = json!("marketplace");
        let order = taken(app, basket).await;
        // The first in the stated order applies, whichever was typed first.
        assert_eq!(order["discount"]["amount"], "4.47", "{order:#}");
    }
    let places = [("PROMOTION_REJECTED", "input.promotionCodes")];
    refused(
        app,
        with_codes(&["WELCOME10", "FIRST100"], one_mug.clone()),
        &places,
    )
    .await;
    // What was refused used nothing up.
    let uses = promotion::Entity::find()
        .filter(promotion::Column::Code.eq("FIRST100"))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(uses.usage_count, 0);
}

async fn c4b_all_of_it_off_and_more_than_it_is_worth_leave_nothing_below_zero(app: &TestApp) {
    app.open_shop().await;
    app.promotion_like("WELCOME10", "ALL", |row| {
        row.percent = Set("1".parse().ok())
    })
    .await;
    app.promotion_like("MINUS5", "HUGE", |row| {
        row.amount_minor = Set(Some(50_000));
        row.min_subtotal_minor = Set(0);
    })
    .await;
    let one_mug = json!([{ "sku": "MUG-WHITE", "quantity": 1 }]);
    for code in ["ALL", "HUGE"] {
        let order = taken(app, with_codes(&[code], one_mug.clone())).await;
        assert_eq!(order["discount"]["amount"], "14.90", "{code}");
        assert_eq!(order["total"]["amount"], "4.90", "{code}");
        assert_eq!(order["lines"][0]["tax"]["amount"], "0.00", "{code}");
    }
    // Nothing is due: nothing is asked of the card, and the order is staged.
    for channel in ["web", "b2b"] {
        let mut basket = with_codes(&["ALL", "FREEPOST"], one_mug.clone());
        basket["channel"] = json!(channel);
        let order = taken(app, basket).await;
        assert_eq!(order["total"]["amount"], "0.00", "{order:#}");
        assert_eq!(
            (&order["status"], &order["stage"]),
            (&json!("CONFIRMED"), &json!("STAGED"))
        );
        assert_eq!(order["payment"]["transactions"], json!([]));
    }
}

async fn c4b_a_cancelled_order_gives_its_use_of_a_code_back(app: &TestApp) {
    app.open_shop().await;
    app.promotion_like("WELCOME10", "ONCE", |row| row.usage_limit = Set(Some(1)))
        .await;
    let basket = with_codes(&["once"], json!([{ "sku": "MUG-WHITE", "quantity": 1 }]));
    let first = taken(app, basket.clone()).await;
    let places = [("PROMOTION_LIMIT_REACHED", "input.promotionCodes")];
    refused(app, basket.clone(), &places).await;
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"x\" }) {
        userErrors { code } } }";
    app.gql(cancel, json!({ "id": first["id"] })).await;
    assert_eq!(taken(app, basket).await["discount"]["amount"], "1.49");
}

async fn c4c_lines_shipping_and_tax_come_to_the_total_in_both_tax_modes(app: &TestApp) {
    app.open_shop().await;
    // 20 % on the mug and the parcel, 10 % on the coffee.
    let mixed = json!([{ "sku": "MUG-WHITE", "quantity": 1 }, { "sku": "ESP-250", "quantity": 3 }]);
    let order = taken(app, lines(mixed.clone())).await;
    assert_eq!(order["taxIncluded"], true);
    let taxes: Vec<_> = order["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["tax"]["amount"].as_str().unwrap())
        .collect();
    // 14.90 × 20/120, 26.70 × 10/110, 4.90 × 20/120.
    assert_eq!(taxes, ["2.48", "2.43"]);
    assert_eq!(
        (
            order["tax"]["amount"].as_str(),
            order["total"]["amount"].as_str()
        ),
        (Some("5.73"), Some("46.50"))
    );

    let net =
        basket_with(json!({ "channel": "b2b", "customer": { "code": "B-2001" }, "lines": mixed }));
    let order = taken(app, net).await;
    assert_eq!(order["taxIncluded"], false);
    let taxes: Vec<_> = order["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["tax"]["amount"].as_str().unwrap())
        .collect();
    // 11.17 × 20 %, 3 × 6.67 × 10 %, 4.90 × 20 %.
    assert_eq!(taxes, ["2.23", "2.00"]);
    assert_eq!(
        (
            order["tax"]["amount"].as_str(),
            order["total"]["amount"].as_str()
        ),
        (Some("5.21"), Some("41.29"))
    );

    // A destination without a rate is charged none.
    let abroad = json!({ "line1": "1 Main St", "city": "Portland", "region": "OR", "postalCode": "97201", "country": "US" });
    for channel in ["web", "b2b"] {
        let order = taken(
            app,
            basket_with(json!({ "channel": channel, "shippingAddress": abroad })),
        )
        .await;
        assert_eq!(order["tax"]["amount"], "0.00", "{order:#}");
        assert_eq!(
            order["lines"][0]["taxRate"]
                .as_str()
                .unwrap()
                .parse::<Decimal>()
                .unwrap(),
            Decimal::ZERO
        );
    }
    // Per unit, each unit's tax is rounded by itself: 7 × 1.48 and not 10.43.
    app.change_channel("b2b", |channel| {
        channel.rounding_scope = Set(entity::channel::RoundingScope::PerUnit)
    })
    .await;
    let seven = basket_with(json!({ "channel": "b2b", "customer": { "code": "B-2001" },
        "lines": [{ "sku": "TIN-S", "quantity": 7 }] }));
    let per_unit = taken(app, seven.clone()).await;
    app.change_channel("b2b", |channel| {
        channel.rounding_scope = Set(entity::channel::RoundingScope::PerLine)
    })
    .await;
    let per_line = taken(app, seven).await;
    assert_eq!(per_unit["lines"][0]["tax"]["amount"], "10.36");
    assert_eq!(per_line["lines"][0]["tax"]["amount"], "10.39");
}

async fn c4c_an_exempt_customer_pays_no_tax_in_both_tax_modes(app: &TestApp) {
    app.open_shop().await;
    customer::Entity::update_many()
        .col_expr(customer::Column::TaxExempt, Expr::value(true))
        .filter(customer::Column::Code.eq("C-1001"))
        .exec(&app.app.db.write)
        .await
        .unwrap();
    let order = taken(
        app,
        basket_with(json!({ "customer": { "code": "C-1001" } })),
    )
    .await;
    let figures =
        ["tax", "taxExempted", "total"].map(|field| order[field]["amount"].as_str().unwrap());
    assert_eq!(figures, ["0.00", "3.30", "16.50"]);
    let net = basket_with(json!({ "channel": "b2b", "customer": { "code": "C-1001" } }));
    let order = taken(app, net).await;
    let figures =
        ["tax", "taxExempted", "total"].map(|field| order[field]["amount"].as_str().unwrap());
    assert_eq!(figures, ["0.00", "0.00", "19.80"]);
}

async fn c4c_shipping_follows_weight_value_zone_and_service(app: &TestApp) {
    app.open_shop().await;
    let mugs = |quantity: i64| json!([{ "sku": "MUG-WHITE", "quantity": quantity }]);
    let paris = json!({ "line1": "2 rue de Rivoli", "city": "Paris", "postalCode": "75001", "country": "FR" });
    let zurich = json!({ "line1": "Bahnhofstrasse 1", "city": "Zürich", "postalCode": "8001", "country": "CH" });
    let vienna = basket()["shippingAddress"].clone();
    for (quantity, service, address, charge) in [
        (4, "STANDARD", &vienna, "4.90"),  // 59.60
        (5, "STANDARD", &vienna, "0.00"),  // 74.50
        (13, "STANDARD", &vienna, "0.00"), // 4,940 g
        (14, "STANDARD", &vienna, "9.90"), // 5,320 g, where nothing is free
        (1, " express ", &vienna, "12.90"),
        (5, "EXPRESS", &vienna, "12.90"),
        (1, "STANDARD", &paris, "9.80"),
        (5, "STANDARD", &paris, "0.00"),
        (1, "STANDARD", &zurich, "24.50"),
        (5, "STANDARD", &zurich, "24.50"),
    ] {
        let basket = basket_with(
            json!({ "lines": mugs(quantity), "serviceLevel": service, "shippingAddress": address }),
        );
        let order = taken(app, basket).await;
        assert_eq!(
            order["shippingCharge"]["amount"], charge,
            "{quantity} {service} {address}"
        );
        assert_eq!(order["serviceLevel"], service.trim().to_uppercase());
    }
}

async fn c4c_where_no_rate_is_the_policy_decides(app: &TestApp) {
    app.open_shop().await;
    let heavy =
        json!({ "serviceLevel": "EXPRESS", "lines": [{ "sku": "MUG-WHITE", "quantity": 83 }] });
    let drone = json!({ "serviceLevel": "DRONE" });
    for (changes, weight) in [(heavy, 31_540), (drone, 380)] {
        let places = [("SHIPPING_UNAVAILABLE", "input.shippingAddress")];
        let errors = refused(app, basket_with(changes.clone()), &places).await;
        assert_eq!(errors[0]["details"]["weightGrams"], weight);
        let mut basket = basket_with(changes);
        basket["channel"] = json!("marketplace");
        let order = taken(app, basket).await;
        assert_eq!(found(&order), ["SHIPPING_UNAVAILABLE"]);
        assert_eq!(order["exceptions"][0]["queue"], "logistics");
        assert_eq!(order["shippingCharge"]["amount"], "0.00");
    }
}

async fn c4c_a_shipping_charge_that_differs_is_flagged_and_charged(app: &TestApp) {
    app.open_shop().await;
    let charged = |channel: &str, charge: &str| {
        basket_with(json!({ "channel": channel, "shippingCharge": charge }))
    };
    taken(app, charged("web", "4.90")).await;
    let errors = refused(
        app,
        charged("web", "0"),
        &[("SHIPPING_MISMATCH", "input.shippingCharge")],
    )
    .await;
    assert_eq!(
        errors[0]["details"],
        json!({ "ours": 490, "theirs": 0, "currency": "EUR" })
    );
    let order = taken(app, charged("marketplace", "3.50")).await;
    assert_eq!(found(&order), ["SHIPPING_MISMATCH"]);
    assert_eq!(
        (
            order["shippingCharge"]["amount"].as_str(),
            order["total"]["amount"].as_str()
        ),
        (Some("3.50"), Some("18.40"))
    );
}

async fn c4c_a_shipping_charge_without_a_rate_of_ours_is_flagged_where_rates_are_kept(
    app: &TestApp,
) {
    app.open_shop().await;
    let drone = |channel: &str| {
        basket_with(json!({ "channel": channel, "serviceLevel": "DRONE",
            "shippingCharge": "7.00", "lines": [{ "sku": "BOWL", "quantity": 1 }] }))
    };
    let bowl = app.stocked("BOWL", 10, true).await;
    let places = [("SHIPPING_UNAVAILABLE", "input.shippingAddress")];
    let errors = refused(app, drone("web"), &places).await;
    assert_eq!(
        errors[0]["details"],
        json!({ "country": "AT", "weightGrams": 100, "serviceLevel": "DRONE",
            "theirs": 700, "currency": "EUR" })
    );
    let order = taken(app, drone("marketplace")).await;
    assert_eq!(found(&order), ["SHIPPING_UNAVAILABLE"]);
    assert_eq!(
        (&order["shippingCharge"]["amount"], &order["stage"]),
        (&json!("7.00"), &json!("ON_HOLD"))
    );
    let resolve = "mutation R($id: ID!) {
        exceptionResolve(input: { id: $id, resolution: \"a courier will\" }) {
        order { stage shippingCharge { amount } } userErrors { code } } }";
    let done = app
        .gql(resolve, json!({ "id": order["exceptions"][0]["id"] }))
        .await;
    assert_eq!(
        done["exceptionResolve"]["order"],
        json!({ "stage": "STAGED", "shippingCharge": { "amount": "7.00" } }),
        "{done:#}"
    );

    // Where no rates are kept, there is nothing to compare with; one rate changes that.
    app.other_channel("us", &bowl, 1_000, |channel| {
        channel.currency = Set(Currency::USD)
    })
    .await;
    let order = taken(app, drone("us")).await;
    assert_eq!(
        (found(&order).len(), &order["stage"]),
        (0, &json!("STAGED"))
    );
    let rate = |channel: Option<ChannelId>| {
        let rate =
            shipping_rate::Entity::find().filter(shipping_rate::Column::PriceMinor.eq(3_900));
        async move {
            let row = rate.one(&app.app.db.read).await.unwrap().unwrap();
            let mut row = row.into_active_model();
            row.id = Set(ShippingRateId(uuid::Uuid::now_v7()));
            (row.currency, row.channel_id) = (Set(Currency::USD), Set(channel));
            row.insert(&app.app.db.write).await.unwrap();
            app.app.invalidate_reference();
        }
    };
    rate(Some(app.channel("web").await.id)).await;
    assert_eq!(found(&taken(app, drone("us")).await).len(), 0);
    rate(None).await;
    refused(app, drone("us"), &places).await;
}

// --- C5 -------------------------------------------------------------------------------------

/// The sandbox, and a list of what was asked of it: the kind of call, the effect, its key.
#[derive(Default)]
struct Counting {
    calls: Mutex<Vec<(&'static str, Kind, String)>>,
    /// Answers about authorisations from the moment that is set; before it nothing is known.
    known_from: Mutex<Option<DateTime<Utc>>>,
}

impl Counting {
    fn note(&self, call: &'static str, effect: &Effect) {
        let entry = (call, effect.kind, effect.id.to_string());
        self.calls.lock().unwrap().push(entry);
    }

    /// How often authorisations were executed, and under how many keys.
    fn authorizations(&self) -> (usize, usize) {
        let calls = self.calls.lock().unwrap();
        let keys = calls
            .iter()
            .filter(|(call, kind, _)| *call == "execute" && *kind == Kind::Authorization);
        let keys: Vec<_> = keys.map(|(_, _, key)| key).collect();
        (keys.len(), keys.iter().collect::<BTreeSet<_>>().len())
    }

    fn looked_up(&self) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|(call, _, _)| *call == "look up")
            .count()
    }

    fn voids(&self) -> usize {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|(call, kind, _)| *call == "execute" && *kind == Kind::Void)
            .count()
    }
}

#[async_trait]
impl PaymentGateway for Counting {
    async fn execute(&self, effect: &Effect, now: DateTime<Utc>) -> Answer {
        self.note("execute", effect);
        Sandbox.execute(effect, now).await
    }

    async fn look_up(&self, effect: &Effect, now: DateTime<Utc>) -> Known {
        self.note("look up", effect);
        let from = *self.known_from.lock().unwrap();
        match from {
            Some(from) if effect.kind == Kind::Authorization && now >= from => {
                let reference = "answered at last".to_owned();
                Known::Answered(Answer::Succeeded {
                    reference,
                    expires_at: None,
                    rest_released: false,
                })
            }
            _ => Sandbox.look_up(effect, now).await,
        }
    }
}

/// An app of its own whose gateway counts, with the demo's merchant. A test settles it at the end.
async fn counted(app: &TestApp) -> (TestApp, Arc<Counting>) {
    let gateway = Arc::new(Counting::default());
    let place = Place::migrated(app.backend).await.expect("a database");
    let setup = Setup {
        gateway: gateway.clone(),
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    (app, gateway)
}

fn card(token: &str) -> Value {
    basket_with(json!({ "payment": { "method": "CARD", "token": token } }))
}

async fn later(app: &TestApp, seconds: i64) {
    app.clock.advance(Duration::seconds(seconds));
    app.settle().await;
}

const RETRY: &str = "mutation Retry($input: OrderRetryPaymentInput!) {
    orderRetryPayment(input: $input) { order { status stage } userErrors { code field } } }";

async fn retry(app: &TestApp, order: &Value, token: &str) -> Value {
    let input = json!({ "id": order["id"], "token": token });
    let mut data = app.gql(RETRY, json!({ "input": input })).await;
    data["orderRetryPayment"].take()
}

async fn c5a_a_declined_card_stops_the_order_until_another_one_pays(app: &TestApp) {
    let (app, gateway) = &counted(app).await;
    let order = taken(app, card("tok_decline")).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("RECEIVED"), &json!("ON_HOLD"))
    );
    assert_eq!(
        (found(&order), &order["paymentStatus"]),
        (vec!["PAYMENT_DECLINED".to_owned()], &json!("PENDING"))
    );
    let exception = &order["exceptions"][0];
    assert_eq!(suggested(exception), ["RETRY_PAYMENT", "EDIT", "CANCEL"]);
    assert_eq!(order["lines"][0]["reserved"], 1, "its stock waits with it");
    let again = retry(app, &order, "tok_insufficient_funds").await;
    assert_eq!(again["order"]["stage"], "ON_HOLD", "{again:#}");
    let paid = retry(app, &order, "tok_approve").await;
    assert_eq!(
        (codes(&paid).len(), &paid["order"]["status"]),
        (0, &json!("CONFIRMED")),
        "{paid:#}"
    );
    let order = whole(app, &order["id"]).await;
    assert_eq!(order["paymentStatus"], "AUTHORIZED");
    assert!(order["payment"]["authorizationExpiresAt"].is_string());
    let transactions = order["payment"]["transactions"].as_array().unwrap();
    let codes: Vec<_> = transactions
        .iter()
        .map(|one| (&one["state"], &one["declineCode"]))
        .collect();
    let expected = [
        (json!("DECLINED"), json!("card_declined")),
        (json!("DECLINED"), json!("insufficient_funds")),
        (json!("SUCCEEDED"), Value::Null),
    ];
    assert_eq!(
        codes,
        expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>()
    );
    assert!(
        order["exceptions"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["status"] == "RESOLVED")
    );
    assert_eq!(gateway.authorizations(), (3, 3));
    app.settle().await;
}

async fn c5a_a_declined_card_that_nobody_replaces_ends_the_order(app: &TestApp) {
    app.open_shop().await;
    let last = app.stocked("LAST", 1, true).await;
    let mut basket = card("tok_decline");
    basket["lines"] = json!([{ "sku": "LAST", "quantity": 1 }]);
    let order = taken(app, basket).await;
    let waiter = app
        .place(lines(json!([{ "sku": "LAST", "quantity": 1 }])))
        .await;
    assert_eq!(waiter["stage"], "BACKORDERED");
    later(app, 899).await;
    assert_eq!(whole(app, &order["id"]).await["status"], "RECEIVED");
    later(app, 1).await;
    let order = whole(app, &order["id"]).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("EXPIRED"), &json!("CANCELLED"))
    );
    assert_eq!(
        whole(app, &waiter["id"]).await["status"],
        "CONFIRMED",
        "its unit went to who waited"
    );
    assert_eq!(app.stock_of(&last).await, (1, 1));
    assert_eq!(
        codes(&retry(app, &order, "tok_approve").await),
        ["ORDER_STATE_INVALID"]
    );
}

async fn c5a_another_card_needs_a_token_and_an_order_that_waits_for_one(app: &TestApp) {
    let (app, gateway) = &counted(app).await;
    let order = taken(app, card("tok_decline")).await;
    for token in ["", "  "] {
        assert_eq!(
            codes(&retry(app, &order, token).await),
            ["PAYMENT_INVALID"],
            "{token:?}"
        );
    }
    assert_eq!(gateway.authorizations().0, 1);
    let outside = basket_with(
        json!({ "channel": "marketplace", "payment": { "method": "EXTERNAL" },
        "lines": [{ "sku": "NOBODY-KNOWS", "quantity": 1 }] }),
    );
    let outside = taken(app, outside).await;
    assert_eq!(
        codes(&retry(app, &outside, "tok_approve").await),
        ["PAYMENT_INVALID"]
    );
    let stopped = basket_with(json!({ "channel": "marketplace",
        "lines": [{ "sku": "MUG-WHITE", "quantity": 1, "unitPrice": "1.00" }] }));
    let paid = taken(app, stopped).await;
    assert_eq!(
        (&paid["status"], &paid["paymentStatus"]),
        (&json!("RECEIVED"), &json!("AUTHORIZED"))
    );
    assert_eq!(
        codes(&retry(app, &paid, "tok_approve").await),
        ["ORDER_STATE_INVALID"]
    );
    let unknown = taken(app, card("tok_silent")).await;
    assert_eq!(
        codes(&retry(app, &unknown, "tok_approve").await),
        ["IN_PROGRESS"]
    );
    assert_eq!(
        gateway.authorizations(),
        (3, 3),
        "one for each order by card"
    );
    app.settle().await;
}

async fn c5a_an_answer_that_was_lost_is_asked_for_and_never_charged_twice(app: &TestApp) {
    let (app, gateway) = &counted(app).await;
    let order = taken(app, card("tok_timeout_after")).await;
    assert_eq!(
        (&order["status"], &order["paymentStatus"]),
        (&json!("RECEIVED"), &json!("UNKNOWN"))
    );
    assert_eq!(
        (&order["stage"], found(&order).len()),
        (&json!("VALIDATING"), 0)
    );
    assert_eq!(gateway.looked_up(), 0);
    later(app, 4).await;
    assert_eq!(gateway.looked_up(), 0, "asked too early");
    later(app, 1).await;
    let order = whole(app, &order["id"]).await;
    assert_eq!(
        (&order["status"], &order["paymentStatus"]),
        (&json!("CONFIRMED"), &json!("AUTHORIZED"))
    );
    later(app, 7_200).await;
    assert_eq!(gateway.authorizations(), (1, 1));
    assert_eq!(gateway.looked_up(), 1);
    app.settle().await;
}

async fn c5a_a_call_that_was_lost_is_repeated_under_its_own_key(app: &TestApp) {
    let (app, gateway) = &counted(app).await;
    let order = taken(app, card("tok_timeout_before")).await;
    assert_eq!(
        (&order["status"], &order["paymentStatus"]),
        (&json!("RECEIVED"), &json!("UNKNOWN"))
    );
    later(app, 5).await;
    let order = whole(app, &order["id"]).await;
    assert_eq!(
        (&order["status"], &order["paymentStatus"]),
        (&json!("CONFIRMED"), &json!("AUTHORIZED"))
    );
    // Called twice, since it positively never came through, under one key, with one effect.
    assert_eq!(gateway.authorizations(), (2, 1));
    let transactions = &order["payment"]["transactions"];
    assert_eq!(transactions.as_array().unwrap().len(), 1);
    assert_eq!(transactions[0]["attempts"], 2, "{transactions:#}");
    app.settle().await;
}

async fn c5a_a_late_answer_is_waited_for(app: &TestApp) {
    let (app, gateway) = &counted(app).await;
    let order = taken(app, card("tok_late")).await;
    for _ in 0..5 {
        later(app, 10).await;
        let order = whole(app, &order["id"]).await;
        assert_eq!(
            (&order["status"], &order["paymentStatus"]),
            (&json!("RECEIVED"), &json!("UNKNOWN"))
        );
        assert_eq!(order["lines"][0]["reserved"], 1);
    }
    later(app, 60).await;
    assert_eq!(whole(app, &order["id"]).await["status"], "CONFIRMED");
    assert_eq!(gateway.authorizations(), (1, 1));
    // Cancelled while nothing was known: the money that comes goes straight back.
    let order = taken(app, card("tok_late")).await;
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"x\" }) {
        userErrors { code } } }";
    app.gql(cancel, json!({ "id": order["id"] })).await;
    later(app, 10).await;
    assert_eq!(gateway.voids(), 0);
    later(app, 120).await;
    let order = whole(app, &order["id"]).await;
    assert_eq!(
        (&order["status"], &order["paymentStatus"]),
        (&json!("CANCELLED"), &json!("VOIDED"))
    );
    assert_eq!((gateway.voids(), gateway.authorizations()), (1, (2, 2)));
    app.settle().await;
}

async fn c5a_an_answer_after_the_hold_ran_out_asks_for_stock_again(app: &TestApp) {
    let (app, gateway) = &counted(app).await;
    let last = app.stocked("LAST", 1, true).await;
    let mut basket = card("tok_silent");
    basket["lines"] = json!([{ "sku": "LAST", "quantity": 1 }]);
    let order = taken(app, basket.clone()).await;
    // The hold lives half an hour at most, however long the gateway is silent.
    for _ in 0..31 {
        later(app, 60).await;
    }
    assert_eq!(app.stock_of(&last).await, (1, 0));
    let there = whole(app, &order["id"]).await;
    assert_eq!(
        (&there["status"], &there["lines"][0]["reserved"]),
        (&json!("RECEIVED"), &json!(0))
    );
    *gateway.known_from.lock().unwrap() = Some(app.app.clock.now());
    later(app, 3_600).await;
    let there = whole(app, &order["id"]).await;
    assert_eq!(
        (&there["status"], &there["paymentStatus"]),
        (&json!("CONFIRMED"), &json!("AUTHORIZED")),
        "{there:#}"
    );
    assert_eq!(app.stock_of(&last).await, (1, 1));
    assert_eq!(gateway.authorizations(), (1, 1));

    // Its unit went to somebody else meanwhile: it waits at the end of the queue.
    *gateway.known_from.lock().unwrap() = None;
    let one = app.stocked("ONE", 1, true).await;
    basket["lines"] = json!([{ "sku": "ONE", "quantity": 1 }]);
    let order = taken(app, basket).await;
    for _ in 0..31 {
        later(app, 60).await;
    }
    let quicker = taken(app, lines(json!([{ "sku": "ONE", "quantity": 1 }]))).await;
    assert_eq!(quicker["status"], "CONFIRMED");
    *gateway.known_from.lock().unwrap() = Some(app.app.clock.now());
    later(app, 3_600).await;
    assert_eq!(whole(app, &order["id"]).await["stage"], "BACKORDERED");
    app.receive(&one, 1).await;
    assert_eq!(whole(app, &order["id"]).await["status"], "CONFIRMED");
    app.settle().await;
}

async fn c5a_a_gateway_that_stays_silent_stages_nothing(app: &TestApp) {
    let (app, gateway) = &counted(app).await;
    let order = taken(app, card("tok_silent")).await;
    for _ in 0..24 {
        later(app, 3_600).await;
        let order = whole(app, &order["id"]).await;
        assert_eq!(
            (&order["status"], &order["paymentStatus"]),
            (&json!("RECEIVED"), &json!("UNKNOWN"))
        );
    }
    assert_eq!(gateway.authorizations(), (1, 1));
    assert!(gateway.looked_up() >= 24, "{} times", gateway.looked_up());
    // Others keep flowing.
    assert_eq!(taken(app, card("tok_approve")).await["status"], "CONFIRMED");
    app.settle().await;
}

async fn c5a_a_channel_may_stage_before_the_money_is_there(app: &TestApp) {
    app.open_shop().await;
    app.change_channel("web", |channel| channel.requires_authorization = Set(false))
        .await;
    let order = taken(app, card("tok_silent")).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("CONFIRMED"), &json!("STAGED"))
    );
    assert_eq!(order["paymentStatus"], "UNKNOWN");
    let order = taken(app, card("tok_decline")).await;
    assert_eq!(
        (&order["status"], &order["stage"]),
        (&json!("CONFIRMED"), &json!("ON_HOLD"))
    );
    assert_eq!(found(&order), ["PAYMENT_DECLINED"]);
    let paid = retry(app, &order, "tok_approve").await;
    assert_eq!(codes(&paid), [""; 0], "what is suggested can be done");
    let order = whole(app, &order["id"]).await;
    assert_eq!(
        (&order["stage"], &order["paymentStatus"]),
        (&json!("STAGED"), &json!("AUTHORIZED"))
    );
}

async fn used(app: &TestApp, code: &str) -> i64 {
    let row = customer::Entity::find().filter(customer::Column::Code.eq(code));
    row.one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap()
        .credit_used_minor
}

fn on_account(channel: &str, code: Option<&str>, quantity: i64) -> Value {
    let customer = match code {
        Some(code) => json!({ "code": code }),
        None => json!({ "name": "Anna Leitner" }),
    };
    basket_with(
        json!({ "channel": channel, "customer": customer, "payment": { "method": "ACCOUNT" },
        "lines": [{ "sku": "MUG-WHITE", "quantity": quantity }] }),
    )
}

async fn c5b_an_order_on_account_stays_within_the_limit_or_waits_for_a_person(app: &TestApp) {
    app.open_shop().await;
    // 40 × 10.43 + 9.90, and 20 %: 512.52 of a limit of 600.00.
    let first = taken(app, on_account("b2b", Some("B-2004"), 40)).await;
    assert_eq!(
        (first["total"]["amount"].as_str(), &first["status"]),
        (Some("512.52"), &json!("CONFIRMED"))
    );
    assert_eq!(used(app, "B-2004").await, 51_252);
    let second = taken(app, on_account("b2b", Some("B-2004"), 40)).await;
    assert_eq!(
        (found(&second), &second["stage"]),
        (vec!["CREDIT_LIMIT_EXCEEDED".to_owned()], &json!("ON_HOLD"))
    );
    let exception = &second["exceptions"][0];
    assert_eq!(exception["queue"], "credit");
    let details = json!({ "due": 51_252, "currency": "EUR" });
    assert_eq!(exception["details"], details);
    assert_eq!(
        used(app, "B-2004").await,
        51_252,
        "what waits uses no credit"
    );
    // A person overrides it: it is taken beyond the limit.
    let resolve =
        "mutation R($id: ID!) { exceptionResolve(input: { id: $id, resolution: \"agreed\" }) {
        order { status paymentStatus } userErrors { code } } }";
    let done = app.gql(resolve, json!({ "id": exception["id"] })).await;
    assert_eq!(
        done["exceptionResolve"]["order"],
        json!({ "status": "CONFIRMED", "paymentStatus": "AUTHORIZED" }),
        "{done:#}"
    );
    assert_eq!(used(app, "B-2004").await, 102_504);
    // Each gives back what it used, and no more.
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"x\" }) {
        userErrors { code } } }";
    app.gql(cancel, json!({ "id": second["id"] })).await;
    assert_eq!(used(app, "B-2004").await, 51_252);
    let third = taken(app, on_account("b2b", Some("B-2004"), 40)).await;
    assert_eq!(found(&third), ["CREDIT_LIMIT_EXCEEDED"]);
    app.gql(cancel, json!({ "id": third["id"] })).await;
    app.gql(cancel, json!({ "id": first["id"] })).await;
    assert_eq!(used(app, "B-2004").await, 0);
    // The limit itself is enough; a cent less is not. A limit may be lowered below what is used.
    let limit = async |minor: i64| {
        customer::Entity::update_many()
            .col_expr(customer::Column::CreditLimitMinor, Expr::value(Some(minor)))
            .filter(customer::Column::Code.eq("B-2004"))
            .exec(&app.app.db.write)
            .await
            .unwrap();
    };
    limit(51_251).await;
    assert_eq!(
        taken(app, on_account("b2b", Some("B-2004"), 40)).await["stage"],
        "ON_HOLD"
    );
    limit(51_252).await;
    assert_eq!(
        taken(app, on_account("b2b", Some("B-2004"), 40)).await["stage"],
        "STAGED"
    );
    limit(100).await;
    assert_eq!(
        taken(app, on_account("b2b", Some("B-2004"), 1)).await["stage"],
        "ON_HOLD"
    );
    assert_eq!(used(app, "B-2004").await, 51_252);
}

async fn c5b_who_has_no_account_cannot_buy_on_it(app: &TestApp) {
    app.open_shop().await;
    for code in [Some("C-1001"), None] {
        let places = [("CREDIT_NOT_GRANTED", "input.payment.method")];
        refused(app, on_account("web", code, 1), &places).await;
        let order = taken(app, on_account("b2b", code, 1)).await;
        assert_eq!(found(&order), ["CREDIT_NOT_GRANTED"]);
        assert_eq!(
            (&order["stage"], &order["paymentStatus"]),
            (&json!("ON_HOLD"), &json!("PENDING"))
        );
    }
    let used = customer::Entity::find()
        .all(&app.app.db.read)
        .await
        .unwrap();
    assert!(used.iter().all(|row| row.credit_used_minor == 0));
}
