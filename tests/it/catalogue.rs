//! The catalogue, its stock and its keys over the API: from an empty database to a confirmed order.

use serde_json::{Value, json};
use support::{TestApp, both_backends};

both_backends!(
    an_order_is_taken_from_a_catalogue_made_over_the_api,
    a_code_belongs_to_one_variant_however_it_is_written,
    a_mistake_in_metadata_is_named_by_its_place_in_the_input,
    a_change_of_an_older_version_is_refused,
    stock_moves_once_for_a_key,
    a_delivery_is_expected_once_for_a_key,
    a_variant_has_a_stock_row_in_every_warehouse,
    variants_and_warehouses_made_at_once_still_meet,
    a_partner_sees_its_own_channels_only,
    a_list_is_filtered_counted_and_paged_without_gaps,
    a_tax_rate_and_a_country_have_one_place,
    a_credit_limit_needs_a_currency_that_stays,
);

/// Runs a mutation that must not be refused, and returns its node.
async fn make(app: &TestApp, mutation: &str, input: Value, node: &str) -> Value {
    let mut payload = attempt(app, mutation, input, node).await;
    let errors = &payload["userErrors"];
    assert_eq!(errors, &json!([]), "{mutation}: {errors:#}");
    let field = node.split_whitespace().next().unwrap_or_default();
    payload[field].take()
}

/// Runs a mutation, and returns its payload.
async fn attempt(app: &TestApp, mutation: &str, input: Value, node: &str) -> Value {
    let mut kind = mutation.to_owned();
    kind[..1].make_ascii_uppercase();
    let query = format!(
        "mutation($input: {kind}Input!) {{ {mutation}(input: $input) {{ {node}
            userErrors {{ code field message details }} }} }}"
    );
    app.gql(&query, json!({ "input": input })).await[mutation].take()
}

/// The codes of a payload's refusals.
fn codes(payload: &Value) -> Vec<&str> {
    let errors = payload["userErrors"].as_array();
    errors
        .into_iter()
        .flatten()
        .filter_map(|error| error["code"].as_str())
        .collect()
}

async fn warehouse(app: &TestApp, code: &str) -> Value {
    let input = json!({ "code": code, "name": code, "country": "at" });
    let made = make(app, "warehouseCreate", input, "warehouse { id country }").await;
    assert_eq!(made["country"], "AT");
    let bin = json!({ "warehouseId": made["id"], "code": "A-01", "zone": "A" });
    make(app, "binCreate", bin, "bin { id }").await;
    made["id"].clone()
}

async fn channel(app: &TestApp, code: &str, warehouses: Value) -> Value {
    let input = json!({
        "code": code, "name": code, "currency": "EUR", "warehouseIds": warehouses,
    });
    let made = make(app, "channelCreate", input, "channel { id version }").await;
    made["id"].clone()
}

async fn product(app: &TestApp, skus: &[&str], channels: Value) -> Vec<Value> {
    let variants: Vec<Value> = skus
        .iter()
        .map(|sku| json!({ "sku": sku, "title": sku, "weightGrams": 300, "channelIds": channels }))
        .collect();
    let input = json!({ "code": skus[0], "title": "Something", "variants": variants });
    let node = "product { variants { id sku version } }";
    let made = make(app, "productCreate", input, node).await;
    made["variants"].as_array().cloned().unwrap_or_default()
}

async fn an_order_is_taken_from_a_catalogue_made_over_the_api(app: &TestApp) {
    let site = warehouse(app, "WIEN").await;
    let shop = channel(app, "SHOP", json!([site])).await;
    let variants = product(app, &["CUP-1"], json!([shop])).await;
    let cup = &variants[0]["id"];
    let list = json!({ "code": "EUR", "currency": "EUR", "channelId": shop });
    let list = make(app, "priceListCreate", list, "priceList { id }").await;
    let tiers = json!([{ "unitPrice": "10.00" }, { "minQuantity": 10, "unitPrice": "9.00" }]);
    let prices = json!({
        "priceListId": list["id"], "prices": [{ "variantId": cup, "tiers": tiers }],
    });
    let node = "priceList { prices { nodes { minQuantity unitPrice { amount } } } }";
    let set = make(app, "priceListSetPrices", prices, node).await;
    assert_eq!(
        set["prices"]["nodes"],
        json!([
            { "minQuantity": 1, "unitPrice": { "amount": "10.00" } },
            { "minQuantity": 10, "unitPrice": { "amount": "9.00" } },
        ])
    );
    let tax = json!({ "country": "AT", "rate": "0.20" });
    make(app, "taxRateSet", tax, "taxRate { id }").await;
    let zone = json!({ "code": "EU", "name": "Europe", "countries": ["AT", "DE"] });
    let zone = make(app, "shippingZoneCreate", zone, "shippingZone { id }").await;
    let rate = json!({
        "zoneId": zone["id"], "price": { "amount": "4.90", "currency": "EUR" },
    });
    make(app, "shippingRateSet", rate, "shippingRate { id }").await;
    let promotion = json!({ "code": "spring", "name": "Spring", "benefit": { "percent": "0.1" } });
    let node = "promotion { code kind percent }";
    let promotion = make(app, "promotionCreate", promotion, node).await;
    assert_eq!(
        promotion,
        json!({ "code": "SPRING", "kind": "PERCENT", "percent": "0.1" })
    );
    let group = json!({ "code": "GOLD", "name": "Gold" });
    make(app, "customerGroupCreate", group, "customerGroup { code }").await;
    let customer = json!({
        "code": "C-1", "name": "Anna  Leitner", "email": "anna@mail.EXAMPLE",
        "phone": "01 5123456", "phoneCountry": "AT", "groupCode": "GOLD",
    });
    let customer = make(
        app,
        "customerCreate",
        customer,
        "customer { name email phone }",
    )
    .await;
    assert_eq!(
        customer,
        json!({ "name": "Anna Leitner", "email": "anna@mail.example", "phone": "+4315123456" })
    );
    let coming = json!({
        "variantId": cup, "warehouseId": site, "quantity": 20,
        "expectedAt": "2031-01-01T00:00:00Z", "supplier": "Potter", "idempotencyKey": "order-1",
    });
    let coming = make(app, "inboundSupplyCreate", coming, "inboundSupply { id }").await;
    let goods = json!({
        "variantId": cup, "warehouseId": site, "quantity": 5, "inboundSupplyId": coming["id"],
        "idempotencyKey": "delivery-1",
    });
    let stock = receive(app, goods).await["stock"].take();
    assert_eq!(
        stock,
        json!({ "onHand": 5, "available": 5, "incoming": 15 })
    );

    let order = json!({
        "channel": "shop", "customer": { "code": "C-1" },
        "shippingAddress": {
            "line1": "Ringstraße 1", "city": "Wien", "postalCode": "1010", "country": "AT"
        },
        "lines": [{ "sku": "cup 1", "quantity": 2 }],
        "payment": { "method": "CARD", "token": "tok_approve" },
        "promotionCodes": ["Spring"],
    });
    let node = "order { status total { amount } shippingAddress { verdict reasons { code } } }";
    let order = make(app, "orderSubmit", order, node).await;
    assert_eq!(order["status"], "CONFIRMED", "{order:#}");
    // 2 × 10.00 − 10 % + 4.90: the prices contain the tax.
    assert_eq!(order["total"]["amount"], "22.90");
    assert_eq!(order["shippingAddress"]["verdict"], "UNVERIFIED");
    let ledger = "query($id: ID!) { stockMovements(variantId: $id) {
        nodes { kind deltaOnHand deltaReserved orderId } totalCount { count capped } } }";
    let ledger = app.gql(ledger, json!({ "id": cup })).await["stockMovements"].take();
    assert_eq!(ledger["totalCount"], json!({ "count": 2, "capped": false }));
    let arrival = ledger["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["kind"] == "RECEIVE");
    assert_eq!(arrival.unwrap()["deltaOnHand"], 5);
}

/// Books goods in and returns the payload.
async fn receive(app: &TestApp, input: Value) -> Value {
    let query = "mutation($input: StockReceiveInput!) { stockReceive(input: $input) {
        stock { onHand available incoming } userErrors { code field } replayed } }";
    app.gql(query, json!({ "input": input })).await["stockReceive"].take()
}

async fn a_code_belongs_to_one_variant_however_it_is_written(app: &TestApp) {
    let first = product(app, &["PEN-1", "PEN-2"], json!([])).await;
    let again = json!({
        "code": "OTHER", "title": "Other",
        "variants": [{ "sku": "pen 1".replace(' ', "_"), "title": "Pen", "weightGrams": 1 }],
    });
    let payload = attempt(app, "productCreate", again, "product { id }").await;
    assert_eq!(codes(&payload), ["CODE_TAKEN"]);
    assert_eq!(
        payload["userErrors"][0]["field"],
        json!(["input", "variants", "0", "sku"])
    );
    let others = "{ products(where: { code: { eq: \"OTHER\" } }) { totalCount { count } } }";
    let others = app.gql(others, Value::Null).await;
    assert_eq!(others["products"]["totalCount"]["count"], 0);

    let codes_of_pen = json!({
        "variantId": first[0]["id"],
        "codes": [
            { "code": "4006381333931", "kind": "GTIN" },
            { "code": "4006381333948", "kind": "CASE", "units": 12 },
        ],
    });
    let node = "variant { version codes { code kind units } }";
    let pen = make(app, "variantSetCodes", codes_of_pen, node).await;
    assert_eq!(pen["version"], 2);
    assert_eq!(pen["codes"].as_array().map(Vec::len), Some(3));
    let found = "{ variant(by: { sku: \"4006-3813 33948\" }) { sku } }";
    let found = app.gql(found, Value::Null).await;
    assert_eq!(found["variant"]["sku"], "PEN-1");

    let stolen = json!({
        "variantId": first[1]["id"],
        "codes": [{ "code": "PEN1", "kind": "ALIAS" }, { "code": "X", "kind": "CASE" }],
    });
    let payload = attempt(app, "variantSetCodes", stolen, "variant { id }").await;
    assert_eq!(codes(&payload), ["QUANTITY_INVALID", "CODE_TAKEN"]);
}

async fn a_mistake_in_metadata_is_named_by_its_place_in_the_input(app: &TestApp) {
    let entry = |key: &str, value: &str| json!({ "key": key, "value": value });
    let long = "v".repeat(4_001);
    // By their keys they would stand the other way round.
    let wrong = json!([entry("z", "1"), entry("m", &long), entry("a b", "1")]);
    let fields = json!([
        ["input", "metadata", "1", "value"],
        ["input", "metadata", "2", "key"],
    ]);
    let node = "product { id metadata }";
    let input = json!({ "code": "META", "title": "Meta", "metadata": wrong });
    let refused = attempt(app, "productCreate", input, node).await;
    assert_eq!(fields_of(&refused), fields);
    let right = json!([entry("z", "1"), entry("a", "2"), entry("z", "3")]);
    let input = json!({ "code": "META", "title": "Meta", "metadata": right });
    let made = make(app, "productCreate", input, node).await;
    assert_eq!(made["metadata"], json!({ "a": "2", "z": "3" }));
    let input = json!({ "id": made["id"], "metadata": wrong });
    let refused = attempt(app, "productUpdate", input, node).await;
    assert_eq!(fields_of(&refused), fields);
}

/// Where a payload's refusals are.
fn fields_of(payload: &Value) -> Value {
    let errors = payload["userErrors"].as_array().into_iter().flatten();
    errors.map(|error| error["field"].clone()).collect()
}

async fn a_change_of_an_older_version_is_refused(app: &TestApp) {
    let variants = product(app, &["LAMP-1"], json!([])).await;
    let change = |expected: i64| {
        json!({
            "id": variants[0]["id"], "expectedVersion": expected, "title": "Lamp, large",
        })
    };
    let node = "variant { version title }";
    let changed = make(app, "variantUpdate", change(1), node).await;
    assert_eq!(changed, json!({ "version": 2, "title": "Lamp, large" }));
    let payload = attempt(app, "variantUpdate", change(1), node).await;
    assert_eq!(codes(&payload), ["STALE_VERSION"]);
    assert_eq!(
        payload["userErrors"][0]["details"],
        json!({ "currentVersion": 2 })
    );
    let end = json!({ "id": variants[0]["id"] });
    for _ in 0..2 {
        let node = "variant { version status }";
        let ended = make(app, "variantDiscontinue", end.clone(), node).await;
        assert_eq!(ended, json!({ "version": 3, "status": "DISCONTINUED" }));
    }
    let missing = json!({ "id": "Tm90aGluZw", "title": "x" });
    let payload = attempt(app, "variantUpdate", missing, node).await;
    assert_eq!(codes(&payload), ["NOT_FOUND"]);
}

async fn stock_moves_once_for_a_key(app: &TestApp) {
    let site = warehouse(app, "GRAZ").await;
    let variants = product(app, &["BALL-1"], json!([])).await;
    let goods = |key: Value, quantity: i64| {
        json!({
            "variantId": variants[0]["id"], "warehouseId": site, "quantity": quantity,
            "idempotencyKey": key,
        })
    };
    let refused = receive(app, goods(Value::Null, 5)).await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
    assert_eq!(
        refused["userErrors"][0]["field"],
        json!(["input", "idempotencyKey"])
    );
    let first = receive(app, goods(json!("k-1"), 5)).await;
    assert_eq!(
        (&first["replayed"], &first["stock"]["onHand"]),
        (&json!(false), &json!(5))
    );

    let query = "mutation($input: StockReceiveInput!) { stockReceive(input: $input) {
        stock { onHand } replayed userErrors { code } } }";
    let input = json!({ "input": goods(Value::Null, 5) });
    let request = app.request(Some(&app.admin_key), query, input);
    let again = app.send(request.header("Idempotency-Key", "k-1")).await;
    assert_eq!(
        again.body["extensions"]["idempotency"]["replayed"], true,
        "{:#}",
        again.body
    );
    assert_eq!(again.body["data"]["stockReceive"]["stock"]["onHand"], 5);

    let reused = receive(app, goods(json!("k-1"), 6)).await;
    assert_eq!(codes(&reused), ["IDEMPOTENCY_KEY_REUSED"]);
    let unknown = json!({
        "variantId": site, "warehouseId": site, "quantity": 1, "idempotencyKey": "k-2",
    });
    assert_eq!(codes(&receive(app, unknown).await), ["NOT_FOUND"]);

    let count = "mutation($input: StockAdjustInput!) { stockAdjust(input: $input) {
        stock { onHand version } userErrors { code } } }";
    let adjust = |delta: i64, key: &str| {
        json!({ "input": {
        "variantId": variants[0]["id"], "warehouseId": site, "delta": delta,
        "reason": "counted", "idempotencyKey": key,
    } })
    };
    let counted = app.gql(count, adjust(-2, "k-3")).await["stockAdjust"].take();
    assert_eq!(counted["stock"], json!({ "onHand": 3, "version": 2 }));
    let counted = app.gql(count, adjust(-4, "k-4")).await["stockAdjust"].take();
    assert_eq!(codes(&counted), ["STOCK_BELOW_RESERVED"]);

    let safety = json!({
        "variantId": variants[0]["id"], "warehouseId": site, "safety": 2, "expectedVersion": 2,
    });
    let node = "stock { safety available version }";
    let kept = make(app, "stockSetSafety", safety.clone(), node).await;
    assert_eq!(kept, json!({ "safety": 2, "available": 1, "version": 3 }));
    let stale = attempt(app, "stockSetSafety", safety, node).await;
    assert_eq!(codes(&stale), ["STALE_VERSION"]);
    let low = "{ stock(where: { available: { lt: 2 } }) { nodes { variant { sku } } } }";
    let low = app.gql(low, Value::Null).await;
    assert_eq!(low["stock"]["nodes"][0]["variant"]["sku"], "BALL-1");
}

async fn a_delivery_is_expected_once_for_a_key(app: &TestApp) {
    let site = warehouse(app, "LINZ").await;
    let variants = product(app, &["DRUM-1"], json!([])).await;
    let coming = |key: Value, quantity: i64| {
        json!({ "input": {
            "variantId": variants[0]["id"], "warehouseId": site, "quantity": quantity,
            "expectedAt": "2031-01-01T00:00:00Z", "idempotencyKey": key,
        } })
    };
    let query = "mutation($input: InboundSupplyCreateInput!) { inboundSupplyCreate(input: $input) {
        inboundSupply { id quantity status } userErrors { code field } replayed } }";
    let expect = async |input: Value| app.gql(query, input).await["inboundSupplyCreate"].take();
    let refused = expect(coming(Value::Null, 5)).await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
    assert_eq!(
        refused["userErrors"][0]["field"],
        json!(["input", "idempotencyKey"])
    );
    // However many ask at once.
    let all = (0..6).map(|_| app.gql(query, coming(json!("d-1"), 5)));
    let all = futures_util::future::join_all(all).await;
    let first = &all[0]["inboundSupplyCreate"]["inboundSupply"];
    assert_eq!(first["quantity"], 5);
    let replays = all.iter().filter(|data| {
        let payload = &data["inboundSupplyCreate"];
        assert_eq!(&payload["inboundSupply"], first);
        payload["replayed"] == true
    });
    assert_eq!(replays.count(), 5);
    let rows = "{ inboundSupplies { totalCount { count } } stock { nodes { incoming } } }";
    let rows = app.gql(rows, Value::Null).await;
    assert_eq!(rows["inboundSupplies"]["totalCount"]["count"], 1);
    assert_eq!(rows["stock"]["nodes"][0]["incoming"], 5);

    let reused = expect(coming(json!("d-1"), 6)).await;
    assert_eq!(codes(&reused), ["IDEMPOTENCY_KEY_REUSED"]);
    assert_eq!(reused["inboundSupply"], Value::Null);
    let none = expect(coming(json!("d-2"), 0)).await;
    assert_eq!(codes(&none), ["QUANTITY_INVALID"]);
    // A repetition shows what has become of it, wherever its key stands.
    let cancel = json!({ "id": first["id"] });
    make(
        app,
        "inboundSupplyCancel",
        cancel,
        "inboundSupply { status }",
    )
    .await;
    let request = app.request(Some(&app.admin_key), query, coming(Value::Null, 5));
    let again = app.send(request.header("Idempotency-Key", "d-1")).await;
    assert_eq!(again.body["extensions"]["idempotency"]["replayed"], true);
    let again = again.data()["inboundSupplyCreate"]["inboundSupply"].take();
    assert_eq!(
        (&again["id"], &again["status"]),
        (&first["id"], &json!("CANCELLED"))
    );
}

async fn a_variant_has_a_stock_row_in_every_warehouse(app: &TestApp) {
    warehouse(app, "NORD").await;
    product(app, &["BOX-1", "BOX-2"], json!([])).await;
    warehouse(app, "SUED").await;
    let variants = product(app, &["BOX-3"], json!([])).await;
    let late = json!({
        "productId": product_of(app, &variants[0]["id"]).await,
        "variant": { "sku": "BOX-4", "title": "Box", "weightGrams": 1 },
    });
    make(app, "variantCreate", late, "variant { id }").await;
    let rows = "{ stock { nodes { onHand reserved version } totalCount { count } } }";
    let rows = app.gql(rows, Value::Null).await["stock"].take();
    assert_eq!(rows["totalCount"]["count"], 8);
    let empty = json!({ "onHand": 0, "reserved": 0, "version": 0 });
    assert!(
        rows["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| *row == empty)
    );
}

async fn variants_and_warehouses_made_at_once_still_meet(app: &TestApp) {
    let one = |number: usize| async move {
        if number.is_multiple_of(2) {
            warehouse(app, &format!("W-{number}")).await;
        } else {
            product(app, &[format!("V-{number}").as_str()], json!([])).await;
        }
    };
    futures_util::future::join_all((0..16).map(one)).await;
    let rows = "{ stock { totalCount { count } } }";
    let rows = app.gql(rows, Value::Null).await["stock"].take();
    assert_eq!(rows["totalCount"]["count"], 64);
}

async fn product_of(app: &TestApp, variant: &Value) -> Value {
    let query = "query($id: ID!) { variant(by: { id: $id }) { product { id } } }";
    app.gql(query, json!({ "id": variant })).await["variant"]["product"]["id"].take()
}

async fn a_partner_sees_its_own_channels_only(app: &TestApp) {
    let own = channel(app, "OWN", json!([])).await;
    let other = channel(app, "OTHER", json!([])).await;
    let shown = product(app, &["SHOWN-1", "SHOWN-2"], json!([own])).await;
    let hidden = product(app, &["HIDDEN-1"], json!([other])).await;
    for (code, channel) in [
        ("L-OWN", &own),
        ("L-OTHER", &other),
        ("L-ALL", &Value::Null),
    ] {
        let list = json!({ "code": code, "currency": "EUR", "channelId": channel });
        make(app, "priceListCreate", list, "priceList { id }").await;
    }
    let key = json!({ "name": "Partner", "role": "PARTNER", "channelIds": [own] });
    let key = attempt(
        app,
        "apiKeyCreate",
        key,
        "key apiKey { id channels { code } }",
    )
    .await;
    assert_eq!(codes(&key), Vec::<&str>::new());
    let partner = key["key"].as_str().unwrap();
    let query = "query($other: ID!, $hidden: ID!) {
        viewer { name role channels { code } }
        channels { nodes { code } totalCount { count } }
        channel(id: $other) { code }
        variants { nodes { sku channels { code } } totalCount { count } }
        variant(by: { id: $hidden }) { sku }
        bySku: variant(by: { sku: \"HIDDEN-1\" }) { sku }
        products { nodes { variants { sku stock { onHand } } } totalCount { count } }
        priceLists { nodes { code } } }";
    let names = json!({ "other": other, "hidden": hidden[0]["id"] });
    let seen = app.gql_as(partner, query, names).await;
    let variant = |sku: &str| json!({ "sku": sku, "channels": [{ "code": "OWN" }] });
    let stocked = |sku: &str| json!({ "sku": sku, "stock": null });
    assert_eq!(
        seen,
        json!({
            "viewer": { "name": "Partner", "role": "PARTNER", "channels": [{ "code": "OWN" }] },
            "channels": { "nodes": [{ "code": "OWN" }], "totalCount": { "count": 1 } },
            "channel": null,
            "variants": {
                "nodes": [variant("SHOWN-1"), variant("SHOWN-2")], "totalCount": { "count": 2 },
            },
            "variant": null,
            "bySku": null,
            "products": {
                "nodes": [{ "variants": [stocked("SHOWN-1"), stocked("SHOWN-2")] }],
                "totalCount": { "count": 1 },
            },
            "priceLists": { "nodes": [{ "code": "L-ALL" }, { "code": "L-OWN" }] },
        })
    );
    for query in [
        "{ stock { nodes { onHand } } }",
        "{ customers { nodes { name } } }",
        "{ apiKeys { nodes { name } } }",
        "mutation { warehouseCreate(input: { code: \"W\", name: \"W\", country: \"AT\" }) {
            userErrors { code } } }",
    ] {
        let answer = app.answer_as(Some(partner), query, Value::Null).await;
        assert_eq!(answer.code(), "FORBIDDEN", "{query}");
    }
    let listed = json!({ "variantId": shown[0]["id"], "channelIds": [own, other] });
    make(app, "variantSetListings", listed, "variant { id }").await;

    // One who may manage the catalogue of one channel leaves the listings of others alone.
    let key = json!({ "name": "Desk", "role": "ADMIN", "channelIds": [own] });
    let key = attempt(app, "apiKeyCreate", key, "key").await;
    let desk = key["key"].as_str().unwrap();
    let unlist = "mutation($input: VariantSetListingsInput!) {
        variantSetListings(input: $input) { userErrors { code field } } }";
    let input = |channels: Value| {
        json!({
            "input": { "variantId": shown[0]["id"], "channelIds": channels }
        })
    };
    let refused = app.gql_as(desk, unlist, input(json!([other]))).await;
    assert_eq!(codes(&refused["variantSetListings"]), ["NOT_FOUND"]);
    app.gql_as(desk, unlist, input(json!([]))).await;
    let left = "query($id: ID!) { variant(by: { id: $id }) { channels { code } } }";
    let left = app.gql(left, json!({ "id": shown[0]["id"] })).await;
    assert_eq!(left["variant"]["channels"], json!([{ "code": "OTHER" }]));
    let escape = "mutation { apiKeyCreate(input: { name: \"x\", role: ADMIN }) { key } }";
    let escape = app.answer_as(Some(desk), escape, Value::Null).await;
    assert_eq!(escape.code(), "FORBIDDEN");

    let revoke = json!({ "id": key_named(app, "Partner").await });
    make(app, "apiKeyRevoke", revoke, "apiKey { revokedAt }").await;
    let after = app
        .answer_as(Some(partner), "{ viewer { name } }", Value::Null)
        .await;
    assert_eq!((after.status, after.code()), (401, "UNAUTHENTICATED"));
}

async fn key_named(app: &TestApp, name: &str) -> Value {
    let keys = app
        .gql("{ apiKeys { nodes { id name } } }", Value::Null)
        .await;
    let keys = keys["apiKeys"]["nodes"].as_array().unwrap();
    keys.iter().find(|key| key["name"] == name).unwrap()["id"].clone()
}

async fn a_list_is_filtered_counted_and_paged_without_gaps(app: &TestApp) {
    let skus: Vec<String> = (0..12).map(|number| format!("ROW-{number:02}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    product(app, &skus, json!([])).await;
    let query = "query($after: String, $field: VariantSortField!) {
        variants(first: 5, after: $after, orderBy: { field: $field, direction: DESC },
            where: { sku: { startsWith: \"row-\" }, not: { sku: { in: [\"ROW-03\"] } } }) {
            nodes { sku } pageInfo { hasNextPage endCursor } totalCount { count } } }";
    // All were made at the same moment, so the second order rests on the tie-break alone.
    for field in ["SKU", "UPDATED_AT"] {
        let mut found = Vec::new();
        let mut after = Value::Null;
        loop {
            let variables = json!({ "after": after, "field": field });
            let page = app.gql(query, variables).await["variants"].take();
            assert_eq!(page["totalCount"]["count"], 11);
            for node in page["nodes"].as_array().unwrap() {
                found.push(node["sku"].as_str().unwrap().to_owned());
            }
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(found.len(), 11);
        if field == "SKU" {
            assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 11);
    }
    let wild = "{ variants(where: { sku: { contains: \"%\" } }) { totalCount { count } } }";
    let wild = app.gql(wild, Value::Null).await;
    assert_eq!(wild["variants"]["totalCount"]["count"], 0);
}

async fn a_tax_rate_and_a_country_have_one_place(app: &TestApp) {
    let rate = |rate: &str, from: Value, until: Value| {
        json!({
            "country": "de", "rate": rate, "validFrom": from, "validUntil": until,
        })
    };
    let node = "taxRate { id rate category }";
    let (start, end) = (json!("2027-01-01T00:00:00Z"), Value::Null);
    let first = make(
        app,
        "taxRateSet",
        rate("0.19", end.clone(), end.clone()),
        node,
    )
    .await;
    assert_eq!(first["category"], "STANDARD");
    let overlap = rate("0.2", start.clone(), end.clone());
    let refused = attempt(app, "taxRateSet", overlap.clone(), node).await;
    assert_eq!(codes(&refused), ["INVALID_INPUT"]);
    let ended = rate("0.190", end.clone(), start);
    let ended = make(app, "taxRateSet", ended, node).await;
    assert_eq!(ended["id"], first["id"]);
    make(app, "taxRateSet", overlap, node).await;
    let wrong = attempt(app, "taxRateSet", rate("19", end.clone(), end), node).await;
    assert_eq!(codes(&wrong), ["INVALID_INPUT"]);

    let zone = |code: &str, countries: Value| {
        json!({
            "code": code, "name": code, "countries": countries,
        })
    };
    let node = "shippingZone { countries }";
    make(
        app,
        "shippingZoneCreate",
        zone("DACH", json!(["DE", "at"])),
        node,
    )
    .await;
    make(app, "shippingZoneCreate", zone("WORLD", json!(["*"])), node).await;
    let taken = zone("EU", json!(["FR", "AT"]));
    let refused = attempt(app, "shippingZoneCreate", taken, node).await;
    assert_eq!(codes(&refused), ["CODE_TAKEN"]);
    let unknown = attempt(app, "shippingZoneCreate", zone("X", json!(["XX"])), node).await;
    assert_eq!(codes(&unknown), ["INVALID_INPUT"]);
}

async fn a_credit_limit_needs_a_currency_that_stays(app: &TestApp) {
    let customer = json!({
        "code": "B-1", "name": "Bauer AG", "termsDays": 30,
        "creditLimit": { "amount": "500", "currency": "EUR" },
    });
    let node = "customer { id version creditLimit { amount currency } creditAvailable { amount } }";
    let made = make(app, "customerCreate", customer, node).await;
    assert_eq!(
        made["creditLimit"],
        json!({ "amount": "500.00", "currency": "EUR" })
    );
    assert_eq!(made["creditAvailable"]["amount"], "500.00");
    let limit = |limit: Value| json!({ "id": made["id"], "creditLimit": limit });
    let wrong = limit(json!({ "amount": "-1", "currency": "EUR" }));
    let refused = attempt(app, "customerSetCredit", wrong, node).await;
    assert_eq!(codes(&refused), ["AMOUNT_INVALID"]);
    let closed = make(app, "customerSetCredit", limit(Value::Null), node).await;
    assert_eq!(
        (&closed["creditLimit"], &closed["version"]),
        (&Value::Null, &json!(2))
    );
    let change = json!({ "id": made["id"], "email": "nobody", "phone": null });
    let refused = attempt(app, "customerUpdate", change, node).await;
    assert_eq!(codes(&refused), ["EMAIL_INVALID"]);
    let again = json!({ "code": "B-1", "name": "Bauer" });
    let refused = attempt(app, "customerCreate", again, node).await;
    assert_eq!(codes(&refused), ["CODE_TAKEN"]);
    let group = json!({ "id": made["id"], "groupCode": "NONE" });
    let refused = attempt(app, "customerUpdate", group, node).await;
    assert_eq!(codes(&refused), ["NOT_FOUND"]);
}
