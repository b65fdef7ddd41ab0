//! `node` and `nodes`: anything by its identifier alone, and nothing that a list would not show.

use std::collections::{BTreeMap, BTreeSet};

use api::access::{Scope, scopes};
use api::capture::import::record::{self, Begin};
use api::documents::{self, NewDocument, samples};
use api::graphql::ids::{from_global, to_global};
use api::notifications::{self, Notice, Shipped};
use api::tx::Actor;
use async_graphql::ID;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use entity::api_key::Role;
use entity::{AddressId, OrderId, ShipmentId, document, listing, order};
use sea_orm::{ColumnTrait, EntityTrait, Iterable, QueryFilter};
use serde_json::{Value, json};
use support::merchant::basket_with;
use support::{TestApp, both_backends};
use uuid::Uuid;

use crate::invoices;

both_backends!(
    whatever_has_an_identifier_is_read_by_it,
    x1_what_needs_a_scope_is_null_without_it,
    x1_what_is_of_another_channel_is_null_as_what_is_not_there,
    a_request_has_at_most_100_identifiers_and_each_is_one,
);

/// The types with an identifier that are read only where they stand.
const NO_NODES: [&str; 7] = [
    "Address",
    "Dispute",
    "Event",
    "Export",
    "Settlement",
    "SettlementDifference",
    "TimelineEntry",
];

/// The scope that reading a type needs.
const SCOPES: &[(Scope, &[&str])] = &[
    (
        Scope::CatalogueRead,
        &[
            "Bin",
            "Carrier",
            "CarrierService",
            "CarrierZone",
            "Channel",
            "MessageTemplate",
            "PriceList",
            "Product",
            "Promotion",
            "ShippingRate",
            "ShippingZone",
            "TaxRate",
            "Variant",
            "Warehouse",
        ],
    ),
    (Scope::CustomersRead, &["Customer"]),
    (
        Scope::FulfillmentRead,
        &[
            "Carton",
            "Document",
            "FulfillmentOrder",
            "Package",
            "PickList",
            "PickTask",
            "Shipment",
            "Wave",
        ],
    ),
    (Scope::FinanceRead, &["Invoice", "LegalEntity"]),
    (Scope::KeysManage, &["ApiKey"]),
    (Scope::OrdersManage, &["BulkOperation", "Note"]),
    (
        Scope::OrdersRead,
        &[
            "Backorder",
            "Hold",
            "Message",
            "Order",
            "OrderException",
            "OrderImport",
            "OrderLine",
            "Reservation",
            "Return",
            "SavedView",
        ],
    ),
    (Scope::PaymentsRead, &["Payment", "PaymentTransaction"]),
    (Scope::RulesRead, &["ExceptionRule"]),
    (
        Scope::StockRead,
        &[
            "InboundSupply",
            "StockDrift",
            "StockMovement",
            "StockSource",
        ],
    ),
];

/// What is the same for every channel.
const OF_NO_CHANNEL: [&str; 11] = [
    "Bin",
    "Carrier",
    "CarrierService",
    "CarrierZone",
    "Carton",
    "Customer",
    "LegalEntity",
    "ShippingZone",
    "StockSource",
    "TaxRate",
    "Warehouse",
];

const NODES: &str = "query Nodes($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";

/// One of everything, by type.
type World = BTreeMap<String, Value>;

/// Makes one of everything in a channel, and nothing of it in any other.
async fn world(app: &TestApp, channel: &str) -> World {
    let row = app.channel(channel).await;
    let sku = format!("NODE-{channel}");
    let stocked = app.stocked(&sku, 2, true).await;
    listing::Entity::delete_many()
        .filter(listing::Column::VariantId.eq(stocked.id))
        .filter(listing::Column::ChannelId.ne(row.id))
        .exec(&app.app.db.write)
        .await
        .unwrap();
    let order = app
        .place(basket_with(json!({
            "channel": channel,
            // The code asks for the customer, and the title that differs for an exception.
            "customer": { "code": "C-1001" },
            "lines": [{ "sku": sku, "quantity": 5, "title": "Something else" }],
        })))
        .await;
    let zones = "{ shippingZones(first: 1) { nodes { id } } }";
    let zones = app.gql(zones, json!({})).await;
    let make = "mutation Make($order: ID!, $channel: ID!, $variant: ID!, $warehouse: ID!,
            $zone: ID!, $code: String!) {
        orderHold(input: { id: $order, reason: \"a look\" }) { userErrors { code } }
        orderBulkConfirm(input: { orders: { ids: [$order] } }) {
            operation { __typename id } userErrors { code } }
        orderAddNote(input: { id: $order, body: \"a word\" }) { userErrors { code } }
        inboundSupplyCreate(input: { variantId: $variant, warehouseId: $warehouse, quantity: 1,
            expectedAt: \"2031-01-01T00:00:00Z\", idempotencyKey: $code }) {
            inboundSupply { __typename id } userErrors { code } }
        priceListCreate(input: { code: $code, currency: \"EUR\", channelId: $channel }) {
            priceList { __typename id } userErrors { code } }
        promotionCreate(input: { code: $code, name: \"One\", channelId: $channel,
            benefit: { freeShipping: true } }) {
            promotion { __typename id } userErrors { code } }
        exceptionRuleCreate(input: { code: $code, name: \"One\", channelId: $channel,
            expression: \"false\" }) {
            exceptionRule { __typename id } userErrors { code } }
        shippingRateSet(input: { zoneId: $zone, channelId: $channel, serviceLevel: $code,
            price: { amount: 1, currency: \"EUR\" } }) {
            shippingRate { __typename id } userErrors { code } }
        messageTemplateSave(input: { kind: SHIPMENT_DISPATCHED, language: \"en\",
            channelId: $channel, subject: $code, text: $code, html: $code }) {
            messageTemplate { __typename id } userErrors { code } }
        savedViewCreate(input: { name: $code, query: \"tag:vip\", shared: true }) {
            savedView { __typename id } userErrors { code } } }";
    let of_it = json!({
        "order": order["id"], "channel": to_global(row.id), "variant": to_global(stocked.id),
        "warehouse": to_global(stocked.warehouse), "zone": zones["shippingZones"]["nodes"][0]["id"],
        "code": sku,
    });
    let made = app.gql(make, of_it.clone()).await;
    for (mutation, payload) in made.as_object().unwrap() {
        assert_eq!(payload["userErrors"], json!([]), "{mutation}");
    }
    let fed = feed(app, &sku, &of_it["warehouse"]).await;
    let begin = &Begin {
        source: sku.clone(),
        format: "csv".to_owned(),
        channel_id: row.id,
    };
    let run = app
        .app
        .write(&Actor::worker("import"), move |tx| async move {
            record::begin(&tx, begin).await
        })
        .await
        .unwrap();
    let order_id = ID(order["id"].as_str().unwrap().to_owned());
    let order_id: OrderId = from_global(&order_id, "id").unwrap();
    let label = &NewDocument {
        kind: document::Kind::Label,
        subject: sku.clone(),
        order: Some((order_id, row.id)),
        name: sku.clone(),
        rendered: documents::label_zpl(&samples::label()).unwrap(),
    };
    let label = app
        .app
        .write(&Actor::worker("test"), move |tx| async move {
            documents::store(&tx, label.clone()).await
        })
        .await
        .unwrap();
    let number = order["number"].as_str().unwrap();
    let placed = order::Entity::find().filter(order::Column::Number.eq(number));
    let placed = placed.one(&app.app.db.read).await.unwrap().unwrap();
    let notice =
        Notice::shipment_dispatched(&placed, ShipmentId(placed.id.0), "en", &Shipped::default());
    let notice = &notice;
    let message = app
        .app
        .write(&Actor::worker("test"), move |tx| async move {
            Ok(notifications::owe(&tx, notice.clone()).await?)
        })
        .await
        .unwrap();
    let read = "query Read($order: ID!, $channel: ID!, $variant: ID!, $warehouse: ID!) {
        apiKeys(first: 1) { nodes { __typename id } }
        carriers(first: 1) { nodes { __typename id services { __typename id }
            zones { __typename id } } }
        channel(id: $channel) { __typename id }
        order(by: { id: $order }) { __typename id customer { __typename id }
            lines { __typename id } holds { __typename id } exceptions { __typename id }
            reservations { __typename id } backorders { __typename id } notes { __typename id }
            payment { __typename id transactions { __typename id } } }
        shippingZones(first: 1) { nodes { __typename id } }
        stockDrift(where: { variantId: { eq: $variant } }) { nodes { __typename id } }
        stockMovements(variantId: $variant, first: 1) { nodes { __typename id } }
        taxRates(first: 1) { nodes { __typename id } }
        variant(by: { id: $variant }) { __typename id product { __typename id } }
        warehouse(id: $warehouse) { __typename id bins(first: 1) { nodes { __typename id } } } }";
    let read = app.gql(read, of_it).await;
    let mut found = World::from([
        ("OrderImport".to_owned(), to_global(run).0.into()),
        ("Document".to_owned(), to_global(label.id).0.into()),
        ("Message".to_owned(), to_global(message.unwrap()).0.into()),
    ]);
    let parcel = parcel(app, channel).await;
    let bill = bill(app, channel).await;
    for value in [&made, &fed, &read, &parcel, &bill] {
        gather(value, &mut found);
    }
    found
}

/// The invoice of an order of a channel, and who sells there.
async fn bill(app: &TestApp, channel: &str) -> Value {
    invoices::sell_in(app, &["web", "b2b", "marketplace"]).await;
    let of = app.stocked(&format!("BILL-{channel}"), 2, false).await;
    let (order, _) = invoices::sold(app, &of, 1, json!({ "channel": channel })).await;
    let take_in = "mutation Take($input: ReturnReceiveUnannouncedInput!) {
        returnReceiveUnannounced(input: $input) { userErrors { code } } }";
    let lines = "query Lines($order: ID!) { order(by: { id: $order }) { lines { id } } }";
    let lines = app.gql(lines, json!({ "order": to_global(order) })).await;
    let line = &lines["order"]["lines"][0]["id"];
    let input = json!({ "orderId": to_global(order), "warehouseId": to_global(of.warehouse),
        "lines": [{ "lineId": line, "quantity": 1, "reason": "OTHER" }] });
    let taken = app.gql(take_in, json!({ "input": input })).await;
    assert_eq!(taken["returnReceiveUnannounced"]["userErrors"], json!([]));
    let read = "query Read($order: ID!) { legalEntities { __typename id }
        order(by: { id: $order }) { invoices { __typename id } returns { __typename id } } }";
    app.gql(read, json!({ "order": to_global(order) })).await
}

/// An order of a channel on its way through the warehouse: in a wave, on a list, in a package.
async fn parcel(app: &TestApp, channel: &str) -> Value {
    let of = app.stocked(&format!("PARCEL-{channel}"), 2, false).await;
    let lines = json!([{ "sku": of.sku, "quantity": 1 }]);
    let order = app
        .place(basket_with(json!({ "channel": channel, "lines": lines })))
        .await;
    app.settle().await;
    let read = "query Read($order: ID!) { cartons(first: 1) { nodes { __typename id } }
        order(by: { id: $order }) { fulfillmentOrders { __typename id
            wave { __typename id pickLists { __typename id tasks { __typename id } } }
            shipments { __typename id packages { __typename id } } } } }";
    let read = async || app.gql(read, json!({ "order": order["id"] })).await;
    let act = async |mutation: &str, input: Value| {
        let kind = mutation[..1].to_uppercase() + &mutation[1..];
        let kind = match mutation {
            "waveRelease" => "WaveInput".to_owned(),
            _ => format!("{kind}Input"),
        };
        let document = format!(
            "mutation Act($input: {kind}!) {{ {mutation}(input: $input) {{
                userErrors {{ code message }} }} }}"
        );
        let done = app.gql(&document, json!({ "input": input })).await;
        assert_eq!(done[mutation]["userErrors"], json!([]), "{mutation}");
    };
    let work = read().await["order"]["fulfillmentOrders"][0]["id"].clone();
    act(
        "waveCreate",
        json!({ "warehouseId": to_global(of.warehouse),
            "criteria": { "fulfillmentOrderIds": [work] } }),
    )
    .await;
    let wave = read().await["order"]["fulfillmentOrders"][0]["wave"]["id"].clone();
    act("waveRelease", json!({ "id": wave })).await;
    let shipment = read().await["order"]["fulfillmentOrders"][0]["shipments"][0]["id"].clone();
    act("packageOpen", json!({ "shipmentId": shipment })).await;
    read().await
}

/// A figure that differs from ours, of the one source that a warehouse may have.
async fn feed(app: &TestApp, sku: &str, warehouse: &Value) -> Value {
    let known = app
        .gql("{ stockSources { nodes { code } } }", json!({}))
        .await;
    if known["stockSources"]["nodes"] == json!([]) {
        let make = "mutation Make($warehouse: ID!) { stockSourceCreate(input: { code: \"wms\",
            name: \"WMS\", kind: WMS, warehouseIds: [$warehouse] }) { userErrors { code } } }";
        let made = app.gql(make, json!({ "warehouse": warehouse })).await;
        assert_eq!(made["stockSourceCreate"]["userErrors"], json!([]));
    }
    let sync = "mutation Sync($input: InventorySyncInput!) { inventorySync(input: $input) {
        set source { __typename id } } }";
    let rows = json!([{ "sku": sku, "warehouse": "VIE", "onHand": 3 }]);
    let input = json!({ "source": "wms", "observedAt": app.app.clock.now(), "full": false,
        "rows": rows, "idempotencyKey": format!("feed-{sku}") });
    let fed = app.gql(sync, json!({ "input": input })).await;
    assert_eq!(fed["inventorySync"]["set"], 1, "{fed:#}");
    fed
}

/// The identifiers in an answer, by type.
fn gather(value: &Value, found: &mut World) {
    if let (Some(Value::String(kind)), Some(id)) = (value.get("__typename"), value.get("id")) {
        found.insert(kind.clone(), id.clone());
    }
    let fields = value
        .as_object()
        .into_iter()
        .flat_map(|object| object.values());
    for inner in fields.chain(value.as_array().into_iter().flatten()) {
        gather(inner, found);
    }
}

/// What a caller gets for each of a world's identifiers: its type, or nothing.
async fn seen(app: &TestApp, key: &str, world: &World) -> BTreeSet<String> {
    let ids: Vec<&Value> = world.values().collect();
    let data = app.gql_as(key, NODES, json!({ "ids": ids })).await;
    let nodes = data["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), world.len());
    let mut seen = BTreeSet::new();
    for ((kind, id), node) in world.iter().zip(nodes) {
        if !node.is_null() {
            assert_eq!(*node, json!({ "__typename": kind, "id": id }));
            seen.insert(kind.clone());
        }
    }
    seen
}

async fn whatever_has_an_identifier_is_read_by_it(app: &TestApp) {
    let mut nodes = BTreeSet::new();
    for definition in parse_schema(api::graphql::sdl()).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let name = definition.node.name.node.to_string();
        let TypeKind::Object(object) = definition.node.kind else {
            continue;
        };
        let identified = object
            .fields
            .iter()
            .any(|field| field.node.name.node == "id");
        let is_node = object.implements.iter().any(|of| of.node == "Node");
        let expected = identified && !NO_NODES.contains(&name.as_str());
        assert_eq!(is_node, expected, "{name}");
        if is_node {
            nodes.insert(name);
        }
    }
    app.open_shop().await;
    let world = world(app, "web").await;
    assert_eq!(world.keys().cloned().collect::<BTreeSet<_>>(), nodes);
    assert_eq!(seen(app, &app.admin_key, &world).await, nodes);

    // A node is the thing itself, with all that it leads to.
    let query = "query Node($order: ID!, $line: ID!, $transaction: ID!) {
        order: node(id: $order) { id ... on Order { status lines { id } } }
        line: node(id: $line) { ... on OrderLine { sku unitPrice { amount currency } } }
        transaction: node(id: $transaction) { ... on PaymentTransaction {
            kind amount { amount currency } } } }";
    let named = json!({ "order": world["Order"], "line": world["OrderLine"],
        "transaction": world["PaymentTransaction"] });
    let read = app.gql(query, named).await;
    assert_eq!(
        read["order"],
        json!({ "id": world["Order"], "status": "RECEIVED", "lines": [{ "id": world["OrderLine"] }] })
    );
    assert_eq!(
        read["line"],
        json!({ "sku": "NODE-web", "unitPrice": { "amount": "10.00", "currency": "EUR" } })
    );
    // Five of them and the shipping.
    assert_eq!(
        read["transaction"],
        json!({ "kind": "AUTHORIZATION", "amount": { "amount": "54.90", "currency": "EUR" } })
    );

    // What is named twice is there twice, and what is not there leaves its place empty.
    let absent = to_global(OrderId(Uuid::now_v7()));
    let ids = json!([world["Order"], absent, world["Bin"], world["Order"]]);
    let found = app.gql(NODES, json!({ "ids": ids })).await;
    let order = json!({ "__typename": "Order", "id": world["Order"] });
    let bin = json!({ "__typename": "Bin", "id": world["Bin"] });
    assert_eq!(found["nodes"], json!([order, null, bin, order]));
    let none = app.gql(NODES, json!({ "ids": [] })).await;
    assert_eq!(none["nodes"], json!([]));
}

async fn x1_what_needs_a_scope_is_null_without_it(app: &TestApp) {
    app.open_shop().await;
    let world = world(app, "web").await;
    let mut listed: Vec<_> = SCOPES.iter().flat_map(|(_, kinds)| *kinds).collect();
    listed.sort();
    assert_eq!(listed, world.keys().collect::<Vec<_>>());
    for role in Role::iter() {
        let channels: &[&str] = if role == Role::Partner { &["web"] } else { &[] };
        let key = app.key_for(role, channels, None).await.key;
        let mut may: BTreeSet<String> = SCOPES
            .iter()
            .filter(|(scope, _)| scopes(role).contains(scope))
            .flat_map(|(_, kinds)| kinds.iter().map(|kind| (*kind).to_owned()))
            .collect();
        // Who is confined to channels sees no views of others, and has no scope for warehouses.
        if role == Role::Partner {
            may.remove("SavedView");
        }
        assert_eq!(seen(app, &key, &world).await, may, "{role:?}");
    }
}

async fn x1_what_is_of_another_channel_is_null_as_what_is_not_there(app: &TestApp) {
    app.open_shop().await;
    let own = world(app, "web").await;
    let other = world(app, "b2b").await;
    // It may do everything, so that only the channel can be what stops it.
    let key = app.key_for(Role::Admin, &["web"], None).await.key;
    // A key that is confined makes and sees no keys, no views of others, nor what was begun on
    // orders of any channel, or is picked together with them.
    let mut all: BTreeSet<String> = own.keys().cloned().collect();
    for kind in [
        "ApiKey",
        "BulkOperation",
        "SavedView",
        "PickList",
        "PickTask",
        "Wave",
    ] {
        all.remove(kind);
    }
    assert_eq!(seen(app, &key, &own).await, all);
    let shared = OF_NO_CHANNEL.map(str::to_owned);
    assert_eq!(seen(app, &key, &other).await, BTreeSet::from(shared));

    let query = "query Node($id: ID!) { node(id: $id) { id } }";
    let absent = json!({ "id": to_global(OrderId(Uuid::now_v7())) });
    let absent = app.answer_as(Some(&key), query, absent).await;
    let hidden = json!({ "id": other["Order"] });
    let hidden = app.answer_as(Some(&key), query, hidden).await;
    assert_eq!((hidden.status, &hidden.body), (absent.status, &absent.body));
    assert_eq!(hidden.body, json!({ "data": { "node": null } }));
}

async fn a_request_has_at_most_100_identifiers_and_each_is_one(app: &TestApp) {
    app.open_shop().await;
    let warehouses = app.gql("{ warehouses { nodes { id } } }", json!({})).await;
    let warehouse = &warehouses["warehouses"]["nodes"][0]["id"];
    let ask = async |ids: Vec<Value>| {
        app.answer_as(Some(&app.admin_key), NODES, json!({ "ids": ids }))
            .await
    };
    let most = ask(vec![warehouse.clone(); 100]).await.data();
    assert_eq!(most["nodes"].as_array().unwrap().len(), 100);
    let more = ask(vec![warehouse.clone(); 101]).await;
    assert_eq!(more.code(), "BAD_USER_INPUT", "{:#}", more.body);

    let query = "query Node($id: ID!) { node(id: $id) { id } }";
    for malformed in [
        "",
        "1",
        "Order",
        "T3JkZXI6MQ",
        "%%%",
        "9".repeat(10_000).as_str(),
    ] {
        let refused = ask(vec![warehouse.clone(), json!(malformed)]).await;
        assert_eq!(refused.code(), "BAD_USER_INPUT", "{:#}", refused.body);
        let message = refused.body["errors"][0]["message"].as_str();
        assert_eq!(message, Some("ids.1 is no identifier of ours"));
        let one = json!({ "id": malformed });
        let refused = app.answer_as(Some(&app.admin_key), query, one).await;
        assert_eq!(refused.code(), "BAD_USER_INPUT", "{:#}", refused.body);
    }
    // An address has an identifier and is no node; of nothing there is neither.
    let address = to_global(AddressId(Uuid::now_v7())).0;
    let nothing = "Tm90aGluZzowMTkzZjZlNy0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDA".to_owned();
    for id in [address, nothing] {
        let data = app.gql(query, json!({ "id": id })).await;
        assert_eq!(data["node"], Value::Null);
    }
}
