//! Many at once: the last unit, one key, one code, one credit limit, carts in opposite order.
//! `OMS_LONG=1` runs each as often as it is promised for; without it, a tenth of that.

use std::collections::BTreeMap;

use entity::{ChannelId, OrderId, backorder, order, reservation};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use support::merchant::{SUBMIT, basket_with, codes};
use support::{TestApp, both_backends};

both_backends!(
    f1_of_64_buyers_of_the_last_unit_one_gets_it_and_the_others_wait,
    f1_of_64_buyers_of_the_last_unit_one_gets_it_and_the_others_hear_what_is_there,
    f1_carts_in_opposite_order_all_come_through,
    c3a_a_sku_on_two_lines_is_counted_together,
    c1_64_submissions_under_one_key_give_one_order,
    c1_64_submissions_of_one_reference_give_one_order,
    c4b_the_last_use_of_a_code_goes_to_one_of_two,
    c5b_a_credit_limit_that_fits_one_order_takes_one_of_two,
    f1_expiry_and_payment_decide_their_race_once,
    q1b_waiters_are_served_in_order_whoever_receives,
    q1b_the_queues_of_two_warehouses_cross_where_a_channel_is_served_by_both,
    f1_a_count_finds_the_holds_that_came_while_it_waited,
);

/// How often a race is run.
fn rounds(promised: usize) -> usize {
    if std::env::var_os("OMS_LONG").is_some() {
        promised
    } else {
        promised / 10
    }
}

/// Submits the same basket many times at once.
async fn all_at_once(app: &TestApp, baskets: impl IntoIterator<Item = Value>) -> Vec<Value> {
    join_all(baskets.into_iter().map(|basket| app.submit(basket))).await
}

fn one_of(sku: &str) -> Value {
    basket_with(json!({ "lines": [{ "sku": sku, "quantity": 1 }] }))
}

async fn f1_of_64_buyers_of_the_last_unit_one_gets_it_and_the_others_wait(app: &TestApp) {
    app.open_shop().await;
    for round in 0..rounds(200) {
        let last = app.stocked(&format!("LAST-{round}"), 1, true).await;
        let answers = all_at_once(app, (0..64).map(|_| one_of(&last.sku))).await;
        let held: Vec<i64> = answers
            .iter()
            .map(|answer| {
                assert_eq!(answer["userErrors"], json!([]), "{answer:#}");
                let line = &answer["order"]["lines"][0];
                let held = line["allocated"].as_i64().unwrap() + line["reserved"].as_i64().unwrap();
                assert_eq!(held + line["backordered"].as_i64().unwrap(), 1, "{line}");
                held
            })
            .collect();
        assert_eq!(held.iter().sum::<i64>(), 1, "round {round}");
        assert_eq!(app.stock_of(&last).await, (1, 1), "round {round}");
    }
}

async fn f1_of_64_buyers_of_the_last_unit_one_gets_it_and_the_others_hear_what_is_there(
    app: &TestApp,
) {
    app.open_shop().await;
    for round in 0..rounds(200) {
        let last = app.stocked(&format!("ONLY-{round}"), 1, false).await;
        let answers = all_at_once(app, (0..64).map(|_| one_of(&last.sku))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|answer| !answer["order"].is_null());
        assert_eq!((won.len(), lost.len()), (1, 63), "round {round}");
        for answer in lost {
            assert_eq!(codes(answer), ["INSUFFICIENT_STOCK"], "{answer:#}");
            assert_eq!(answer["userErrors"][0]["details"]["available"], 0);
        }
        assert_eq!(app.stock_of(&last).await, (1, 1), "round {round}");
    }
}

async fn f1_carts_in_opposite_order_all_come_through(app: &TestApp) {
    app.open_shop().await;
    let skus: Vec<String> = (0..6).map(|n| format!("CART-{n}")).collect();
    for sku in &skus {
        app.stocked(sku, 10_000, true).await;
    }
    let baskets = (0..rounds(640)).map(|n| {
        let mut lines: Vec<Value> = skus
            .iter()
            .map(|sku| json!({ "sku": sku, "quantity": 1 + n % 3 }))
            .collect();
        lines.rotate_left(n % 6);
        if n % 2 == 0 {
            lines.reverse();
        }
        basket_with(json!({ "lines": lines }))
    });
    for answer in all_at_once(app, baskets).await {
        assert_eq!(answer["order"]["status"], "CONFIRMED", "{answer:#}");
    }
}

async fn c3a_a_sku_on_two_lines_is_counted_together(app: &TestApp) {
    app.open_shop().await;
    let three = app.stocked("THREE", 3, false).await;
    let twice = |first: i64, second: i64| {
        basket_with(json!({ "lines": [
            { "sku": "three", "quantity": first }, { "sku": " THREE ", "quantity": second },
        ] }))
    };
    let refused = app.submit(twice(2, 2)).await;
    assert_eq!(codes(&refused), ["INSUFFICIENT_STOCK"], "{refused:#}");
    let details = &refused["userErrors"][0]["details"];
    assert_eq!(
        (&details["requested"], &details["available"]),
        (&json!(4), &json!(3))
    );
    app.place(twice(2, 1)).await;
    assert_eq!(app.stock_of(&three).await, (3, 3));
}

async fn c1_64_submissions_under_one_key_give_one_order(app: &TestApp) {
    app.open_shop().await;
    for round in 0..rounds(50) {
        let basket =
            json!({ "input": basket_with(json!({ "idempotencyKey": format!("k{round}") })) });
        let answers = join_all((0..64).map(|_| app.gql(SUBMIT, basket.clone()))).await;
        let orders: std::collections::BTreeSet<String> = answers
            .iter()
            .map(|answer| answer["orderSubmit"]["order"]["id"].to_string())
            .collect();
        assert_eq!(orders.len(), 1, "{orders:?}");
        let fresh = answers
            .iter()
            .filter(|a| a["orderSubmit"]["replayed"] == false)
            .count();
        assert_eq!(fresh, 1);
    }
    let other = app
        .submit(basket_with(json!({
            "idempotencyKey": "k0", "lines": [{ "sku": "MUG-BLUE", "quantity": 1 }]
        })))
        .await;
    assert_eq!(codes(&other), ["IDEMPOTENCY_KEY_REUSED"], "{other:#}");
}

async fn c1_64_submissions_of_one_reference_give_one_order(app: &TestApp) {
    app.open_shop().await;
    let basket = |sku: &str, channel: &str| {
        basket_with(json!({ "externalReference": "R-1", "channel": channel,
            "lines": [{ "sku": sku, "quantity": 1 }] }))
    };
    let answers = all_at_once(app, (0..64).map(|_| basket("MUG-WHITE", "web"))).await;
    let orders: std::collections::BTreeSet<String> = answers
        .iter()
        .map(|answer| answer["order"]["id"].to_string())
        .collect();
    assert_eq!(orders.len(), 1, "{answers:#?}");
    let other = app.submit(basket("MUG-BLUE", "web")).await;
    assert_eq!(codes(&other), ["EXTERNAL_REFERENCE_TAKEN"]);
    app.place(basket("MUG-BLUE", "marketplace")).await;
}

async fn c4b_the_last_use_of_a_code_goes_to_one_of_two(app: &TestApp) {
    use entity::promotion;
    use sea_orm::sea_query::Expr;
    app.open_shop().await;
    for round in 0..rounds(100) {
        promotion::Entity::update_many()
            .col_expr(
                promotion::Column::UsageLimit,
                Expr::value(Some(round as i64 + 1)),
            )
            .filter(promotion::Column::Code.eq("FIRST100"))
            .exec(&app.app.db.write)
            .await
            .unwrap();
        let basket = basket_with(json!({ "promotionCodes": ["first100"] }));
        let answers = all_at_once(app, [basket.clone(), basket]).await;
        let won = answers
            .iter()
            .filter(|answer| !answer["order"].is_null())
            .count();
        assert_eq!(won, 1, "round {round}: {answers:#?}");
        let lost = answers
            .iter()
            .find(|answer| answer["order"].is_null())
            .unwrap();
        assert_eq!(codes(lost), ["PROMOTION_LIMIT_REACHED"], "{lost:#}");
    }
}

async fn c5b_a_credit_limit_that_fits_one_order_takes_one_of_two(app: &TestApp) {
    app.open_shop().await;
    for _ in 0..rounds(100) {
        // The limit is 600.00 and each order comes to more than half of it.
        let basket = basket_with(json!({
            "channel": "b2b",
            "customer": { "code": "B-2004" },
            "lines": [{ "sku": "MUG-WHITE", "quantity": 25 }, { "sku": "TIN-L", "quantity": 10 }],
            "payment": { "method": "ACCOUNT" },
        }));
        let answers = all_at_once(app, [basket.clone(), basket]).await;
        let stages: Vec<&str> = answers
            .iter()
            .map(|answer| answer["order"]["stage"].as_str().unwrap())
            .collect();
        assert!(
            stages.contains(&"STAGED") && stages.contains(&"ON_HOLD"),
            "{answers:#?}"
        );
        let held = answers
            .iter()
            .find(|a| a["order"]["stage"] == "ON_HOLD")
            .unwrap();
        assert_eq!(
            held["order"]["exceptions"][0]["code"], "CREDIT_LIMIT_EXCEEDED",
            "{held:#}"
        );
        for answer in &answers {
            let cancel = "mutation C($id: ID!) {
                orderCancel(input: { id: $id, reason: \"next round\" }) { userErrors { code } } }";
            let done = app
                .gql(cancel, json!({ "id": answer["order"]["id"] }))
                .await;
            assert_eq!(done["orderCancel"]["userErrors"], json!([]));
        }
    }
}

async fn f1_expiry_and_payment_decide_their_race_once(app: &TestApp) {
    app.open_shop().await;
    // Enough for every order: none is to wait for anything but its payment.
    let plenty = app.stocked("PLENTY", 1_000, true).await;
    let basket = basket_with(json!({
        "lines": [{ "sku": plenty.sku, "quantity": 1 }],
        "payment": { "method": "CARD", "token": "tok_decline" },
    }));
    let answers = all_at_once(app, (0..rounds(300)).map(|_| basket.clone())).await;
    app.clock.advance(chrono::TimeDelta::seconds(1_000));
    let retry =
        "mutation R($id: ID!) { orderRetryPayment(input: { id: $id, token: \"tok_approve\" })
        { order { status } userErrors { code } } }";
    let paying = join_all(
        answers
            .iter()
            .map(|answer| app.gql(retry, json!({ "id": answer["order"]["id"] }))),
    );
    let (paid, settled) = tokio::join!(paying, api::workers::round(&app.app));
    assert!(settled.failures.is_empty(), "{settled:?}");
    app.settle().await;
    for (answer, paid) in answers.iter().zip(paid) {
        let order = app.order(&answer["order"]["id"]).await;
        match order["status"].as_str().unwrap() {
            "CONFIRMED" => assert_eq!(order["paymentStatus"], "AUTHORIZED"),
            "EXPIRED" => assert_ne!(order["paymentStatus"], "AUTHORIZED", "{order:#}"),
            // Paid while its hold was being let go: it asks for stock again.
            other => panic!("{other}: {order:#} after {paid:#}"),
        }
    }
}

async fn q1b_waiters_are_served_in_order_whoever_receives(app: &TestApp) {
    app.open_shop().await;
    let scarce = app.stocked("SCARCE", 0, true).await;
    let count = rounds(400);
    let mut waiting = Vec::new();
    for _ in 0..count {
        waiting.push(app.place(one_of(&scarce.sku)).await["id"].clone());
    }
    let late = async {
        for _ in 0..4 {
            app.place(one_of(&scarce.sku)).await;
        }
    };
    let half = count as i64 / 2;
    let receiving = join_all((0..4).map(|_| app.receive(&scarce, half / 4)));
    tokio::join!(receiving, late);
    let served = (half / 4 * 4) as usize;
    for (place, id) in waiting.iter().enumerate() {
        let order = app.order(id).await;
        let expected = if place < served {
            "CONFIRMED"
        } else {
            "RECEIVED"
        };
        assert_eq!(order["status"], expected, "place {place}: {order:#}");
    }
    assert_eq!(app.stock_of(&scarce).await, (half / 4 * 4, half / 4 * 4));
}

async fn q1b_the_queues_of_two_warehouses_cross_where_a_channel_is_served_by_both(app: &TestApp) {
    app.open_shop().await;
    app.serve_from("web", &["VIE"]).await;
    app.serve_from("marketplace", &["BER"]).await;
    app.serve_from("b2b", &["VIE", "BER"]).await;
    let served =
        |channel: ChannelId, web: ChannelId, market: ChannelId| [channel != market, channel != web];
    let (web, market) = (
        app.channel("web").await.id,
        app.channel("marketplace").await.id,
    );
    let db = &app.app.db.read;
    for round in 0..rounds(30) {
        let vienna = app.stocked(&format!("CROSS-{round}"), 0, true).await;
        let berlin = app.elsewhere(&vienna, "BER").await;
        let basket = |channel: &str| {
            let mut basket = one_of(&vienna.sku);
            basket["channel"] = json!(channel);
            basket
        };
        let baskets = (0..30).map(|n| basket(["web", "marketplace", "b2b"][n % 3]));
        all_at_once(app, baskets.clone()).await;
        let receiving = join_all(
            [(&vienna, 2), (&berlin, 3)]
                .into_iter()
                .cycle()
                .take(6)
                .map(|(at, units)| app.receive(at, units)),
        );
        tokio::join!(all_at_once(app, baskets), receiving);
        app.settle().await;
        // Whoever waits was overtaken at no warehouse that serves them. A queue's numbers begin
        // again when its end was served; the identifiers of this one process rise.
        let orders = order::Entity::find().all(db).await.unwrap();
        let orders: BTreeMap<OrderId, ChannelId> = orders
            .iter()
            .map(|order| (order.id, order.channel_id))
            .collect();
        let places = backorder::Entity::find()
            .filter(backorder::Column::VariantId.eq(vienna.id))
            .all(db)
            .await
            .unwrap();
        let holds = reservation::Entity::find()
            .filter(reservation::Column::VariantId.eq(vienna.id))
            .all(db)
            .await
            .unwrap();
        assert_eq!(holds.len(), 15, "every unit found somebody");
        for (index, warehouse) in [vienna.warehouse, berlin.warehouse].into_iter().enumerate() {
            let first_waiting = places
                .iter()
                .filter(|place| place.status == backorder::Status::Waiting)
                .filter(|place| served(orders[&place.order_id], web, market)[index])
                .map(|place| place.id.0)
                .min();
            let last_served = places
                .iter()
                .filter(|place| {
                    let mut holds = holds.iter();
                    holds
                        .any(|hold| hold.line_id == place.line_id && hold.warehouse_id == warehouse)
                })
                .map(|place| place.id.0)
                .max();
            assert!(
                first_waiting.is_none_or(|first| last_served.is_none_or(|last| last < first)),
                "round {round}: {last_served:?} was served before {first_waiting:?}"
            );
        }
    }
}

async fn f1_a_count_finds_the_holds_that_came_while_it_waited(app: &TestApp) {
    app.open_shop().await;
    for round in 0..rounds(50) {
        let mug = app.stocked(&format!("COUNT-{round}"), 20, true).await;
        let buying = all_at_once(app, (0..20).map(|_| one_of(&mug.sku)));
        let counting = join_all((0..4).map(|_| app.adjust(&mug, -5)));
        let (_, counted) = tokio::join!(buying, counting);
        for counted in counted {
            counted.unwrap_or_else(|failure| panic!("round {round}: {failure}"));
        }
        assert_eq!(app.stock_of(&mug).await, (0, 0), "round {round}");
    }
}
