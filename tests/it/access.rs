//! Who may do what: the schema itself is walked, so that no field is forgotten.

use std::collections::BTreeMap;

use api::access::{self, Scope};
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};
use chrono::Duration;
use entity::api_key::Role;
use sea_orm::{ConnectionTrait, Iterable, Statement};
use serde_json::{Map, Value, json};
use support::merchant::{basket_with, codes};
use support::{Ended, Socket, TestApp, both_backends, entities};

both_backends!(
    x1_every_field_is_refused_to_strangers_and_to_roles_without_its_scope,
    x1_a_confined_key_finds_nothing_of_other_channels,
    x1_a_confined_key_changes_nothing_of_other_channels,
    x1_a_confined_key_hears_nothing_of_other_channels,
    x1_a_partner_reads_no_payments_customers_or_private_notes,
    x1_a_viewer_reads_no_personal_data,
    x1_a_revoked_key_opens_nothing,
    x1_a_key_is_refused_from_the_moment_that_it_expires,
    x1_what_is_not_quite_a_key_is_none,
);

/// The schema as a client reads it.
struct Sdl(BTreeMap<String, TypeDefinition>);

impl Sdl {
    fn read() -> Sdl {
        let document = parse_schema(api::graphql::sdl()).expect("our own schema");
        let types = document.definitions.into_iter().filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else {
                return None;
            };
            Some((definition.node.name.node.to_string(), definition.node))
        });
        Sdl(types.collect())
    }

    fn fields(&self, name: &str) -> Vec<&FieldDefinition> {
        match &self.0[name].kind {
            TypeKind::Object(object) => object.fields.iter().map(|field| &field.node).collect(),
            _ => panic!("{name} has no fields"),
        }
    }

    /// The least that an argument of this type can be. Identifiers are of things that are there.
    fn value(&self, place: &str, name: &str, ty: &Type, known: &Known) -> Value {
        let named = match &ty.base {
            BaseType::List(of) => return json!([self.value(place, name, of, known)]),
            BaseType::Named(named) => named.as_str(),
        };
        match (named, name) {
            ("ID", "holdId") => return known.hold.clone(),
            ("ID", "channelId") => return known.channel.clone(),
            ("ID", _) if place.starts_with("Exception") => return known.exception.clone(),
            ("ID", _) => return known.order.clone(),
            ("String", "channel") => return json!("web"),
            ("String", "country") => return json!("AT"),
            ("String", "sku") => return json!("MUG-WHITE"),
            ("String", _) => return json!("x"),
            ("Int", _) => return json!(1),
            ("Boolean", _) => return json!(true),
            ("Decimal", _) => return json!("0.10"),
            ("CurrencyCode", _) => return json!("EUR"),
            ("DateTime", _) => return json!("2026-12-01T09:00:00Z"),
            ("NaiveDate", _) => return json!("2026-12-01"),
            ("JSON", _) => return json!({}),
            _ => {}
        }
        let definition = &self.0[named];
        match &definition.kind {
            TypeKind::Enum(of) => json!(of.values[0].node.value.node),
            TypeKind::InputObject(input) => {
                let one_of = definition
                    .directives
                    .iter()
                    .any(|d| d.node.name.node == "oneOf");
                let fields = input.fields.iter().map(|field| &field.node);
                if one_of {
                    let field = fields.take(1);
                    Value::Object(field.map(|f| self.entry(named, f, known)).collect())
                } else {
                    Value::Object(self.required(named, fields, known))
                }
            }
            _ => panic!("no value for {named}"),
        }
    }

    fn entry(&self, place: &str, of: &InputValueDefinition, known: &Known) -> (String, Value) {
        let name = of.name.node.to_string();
        let value = self.value(place, &name, &of.ty.node, known);
        (name, value)
    }

    fn required<'a>(
        &self,
        place: &str,
        values: impl Iterator<Item = &'a InputValueDefinition>,
        known: &Known,
    ) -> Map<String, Value> {
        values
            .filter(|value| !value.ty.node.nullable && value.default_value.is_none())
            .map(|value| self.entry(place, value, known))
            .collect()
    }

    /// The smallest operation that asks for a field, with its variables.
    fn operation(&self, kind: &str, field: &FieldDefinition, known: &Known) -> (String, Value) {
        let arguments = field.arguments.iter().map(|argument| &argument.node);
        let variables = self.required(field.name.node.as_str(), arguments.clone(), known);
        let given =
            |argument: &&InputValueDefinition| variables.contains_key(argument.name.node.as_str());
        let declared: Vec<_> = arguments
            .clone()
            .filter(given)
            .map(|argument| format!("${}: {}", argument.name.node, argument.ty.node))
            .collect();
        let passed: Vec<_> = arguments
            .filter(given)
            .map(|argument| format!("{0}: ${0}", argument.name.node))
            .collect();
        let (mut declared, mut passed) = (declared.join(", "), passed.join(", "));
        if !declared.is_empty() {
            (declared, passed) = (format!("({declared})"), format!("({passed})"));
        }
        let name = &field.name.node;
        let document = format!("{kind} It{declared} {{ {name}{passed} {{ __typename }} }}");
        (document, Value::Object(variables))
    }
}

/// The scope that a description asks for; none if it says that every key may. A field whose
/// description says neither has no place in the schema.
fn needed(place: &str, field: &FieldDefinition) -> Option<Scope> {
    let text = field
        .description
        .as_ref()
        .map_or("", |text| text.node.as_str());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let at = format!("{place}.{}", field.name.node);
    if text.ends_with("Needs no scope.") {
        return None;
    }
    let name = text
        .split("Needs the scope ")
        .nth(1)
        .unwrap_or_else(|| panic!("the description of {at} names no scope: {text}"));
    let name = name.trim_end_matches('.').replace('_', "").to_lowercase();
    let found = access::scopes(Role::Admin)
        .iter()
        .copied()
        .find(|scope| format!("{scope:?}").to_lowercase() == name);
    assert!(
        found.is_some(),
        "{at} needs {name}, which is no scope of an administrator"
    );
    found
}

/// Whether a role may ask for a field that needs this.
fn may(role: Role, needed: Option<Scope>) -> bool {
    needed.is_none_or(|scope| access::scopes(role).contains(&scope))
}

/// Things that are there, by their identifiers.
struct Known {
    order: Value,
    hold: Value,
    exception: Value,
    channel: Value,
}

/// How many rows each table has.
async fn counts(app: &TestApp) -> BTreeMap<String, i64> {
    let db = &app.app.db;
    let mut counts = BTreeMap::new();
    for table in entities() {
        let outbox_elsewhere = table.name == "outbox" && db.backend == sea_orm::DbBackend::Sqlite;
        if outbox_elsewhere {
            continue;
        }
        let sql = format!("SELECT COUNT(*) FROM \"{}\"", table.name);
        let row = db
            .read
            .query_one_raw(Statement::from_string(db.backend, sql))
            .await;
        let count = row.unwrap().unwrap().try_get_by_index(0).unwrap();
        counts.insert(table.name, count);
    }
    counts
}

const FACTS: &str = "query Facts($id: ID!) { order(by: { id: $id }) {
    id number channelId externalReference version holds { id } exceptions { id } } }";

/// An order of a channel that a hold and an exception stop.
async fn stopped_order(app: &TestApp, channel: &str, reference: &str) -> Value {
    let order = app
        .place(basket_with(json!({
            "channel": channel, "externalReference": reference,
            "lines": [{ "sku": "TIN-S", "quantity": 1, "title": "Something else" }],
        })))
        .await;
    let hold = "mutation Hold($id: ID!) {
        orderHold(input: { id: $id, reason: \"a look\" }) { userErrors { code } } }";
    let held = app.gql(hold, json!({ "id": order["id"] })).await;
    assert_eq!(held["orderHold"]["userErrors"], json!([]));
    let mut data = app.gql(FACTS, json!({ "id": order["id"] })).await;
    data["order"].take()
}

async fn x1_every_field_is_refused_to_strangers_and_to_roles_without_its_scope(app: &TestApp) {
    app.open_shop().await;
    let order = stopped_order(app, "web", "W-1").await;
    let known = Known {
        order: order["id"].clone(),
        hold: order["holds"][0]["id"].clone(),
        exception: order["exceptions"][0]["id"].clone(),
        channel: order["channelId"].clone(),
    };
    let sdl = Sdl::read();
    let mut keys = Vec::new();
    for role in Role::iter() {
        let channels: &[&str] = if role == Role::Partner { &["web"] } else { &[] };
        keys.push((role, app.key_for(role, channels, None).await.key));
    }
    app.settle().await;
    let before = counts(app).await;
    let mut fields = Vec::new();
    for (kind, place) in [("query", "Query"), ("mutation", "Mutation")] {
        for field in sdl.fields(place) {
            let scope = needed(place, field);
            let (document, variables) = sdl.operation(kind, field, &known);
            let at = format!("{place}.{}", field.name.node);
            let stranger = app.answer_as(None, &document, variables.clone()).await;
            assert_eq!(
                (stranger.status, stranger.code()),
                (401, "UNAUTHENTICATED"),
                "{at}"
            );
            let lacking = keys.iter().filter(|(role, _)| !may(*role, scope));
            for (role, key) in lacking {
                let refused = app.answer_as(Some(key), &document, variables.clone()).await;
                assert_eq!(
                    refused.code(),
                    "FORBIDDEN",
                    "{at} for {role:?}: {:#}",
                    refused.body
                );
                let message = refused.body["errors"][0]["message"].as_str().unwrap();
                assert!(message.contains("scope"), "{message}");
            }
            fields.push((at, scope, document, variables));
        }
    }
    for field in sdl.fields("Subscription") {
        // A stranger does not get as far: the socket asks for the key.
        let scope = needed("Subscription", field);
        let (document, variables) = sdl.operation("subscription", field, &known);
        for (role, key) in keys.iter().filter(|(role, _)| !may(*role, scope)) {
            let mut socket = app.socket_as(key).await;
            let id = socket.subscribe(&document, variables.clone()).await;
            let ended = format!("{:?}", socket.event(&id).await);
            assert!(
                ended.contains("FORBIDDEN"),
                "{} for {role:?}: {ended}",
                field.name.node
            );
            socket.close().await;
        }
    }
    app.settle().await;
    assert_eq!(counts(app).await, before, "a refusal left something behind");

    // The refusals were about the caller: with the scope, the same operations are carried out.
    for (at, scope, document, variables) in fields {
        for (role, key) in &keys {
            if may(*role, scope) {
                let answer = app.answer_as(Some(key), &document, variables.clone()).await;
                let errors = answer.body.get("errors");
                assert_eq!(errors, None, "{at} for {role:?}: {:#}", answer.body);
            }
        }
    }
}

/// Two channels with an order each, and a key that is confined to the first. It may do everything
/// that operations may, so that only the channel can be what stops it.
struct Confined {
    key: String,
    own: Value,
    other: Value,
}

async fn confined(app: &TestApp) -> Confined {
    app.open_shop().await;
    let own = stopped_order(app, "web", "R-1").await;
    let other = stopped_order(app, "b2b", "R-2").await;
    app.settle().await;
    let key = app.key_for(Role::Operations, &["web"], None).await.key;
    Confined { key, own, other }
}

/// An identifier of the same kind that nothing has.
fn absent(kind: &str) -> Value {
    let id = uuid::Uuid::now_v7();
    let id: async_graphql::ID = match kind {
        "Order" => api::graphql::ids::to_global(entity::OrderId(id)),
        "Hold" => api::graphql::ids::to_global(entity::HoldId(id)),
        "Channel" => api::graphql::ids::to_global(entity::ChannelId(id)),
        _ => api::graphql::ids::to_global(entity::ExceptionId(id)),
    };
    json!(id.0)
}

async fn x1_a_confined_key_finds_nothing_of_other_channels(app: &TestApp) {
    let Confined { key, own, other } = confined(app).await;
    let find = "query Find($by: OrderIdentity!) { order(by: $by) { number } }";
    let names = |order: &Value| {
        [
            json!({ "id": order["id"] }),
            json!({ "number": order["number"] }),
            json!({ "externalReference": {
                "channelId": order["channelId"], "reference": order["externalReference"] } }),
        ]
    };
    for by in names(&own) {
        let found = app.gql_as(&key, find, json!({ "by": by })).await;
        assert_eq!(found["order"]["number"], own["number"], "{by}");
    }
    let nobody = json!({ "id": absent("Order"), "number": "999999999",
        "channelId": absent("Channel"), "externalReference": "R-9" });
    for (by, absent) in names(&other).into_iter().zip(names(&nobody)) {
        let hidden = app.gql_as(&key, find, json!({ "by": by })).await;
        let absent = app.gql_as(&key, find, json!({ "by": absent })).await;
        assert_eq!(hidden, absent, "{by}");
        assert_eq!(hidden["order"], Value::Null, "{by}");
    }

    let list = "query List($where: OrderWhere) {
        orders(where: $where) { nodes { number } totalCount { count } pageInfo { hasNextPage } } }";
    let seen = app.gql_as(&key, list, json!({})).await;
    let only_own = json!({ "nodes": [{ "number": own["number"] }],
        "totalCount": { "count": 1 }, "pageInfo": { "hasNextPage": false } });
    assert_eq!(seen["orders"], only_own);
    for filter in [
        json!({ "id": { "eq": other["id"] } }),
        json!({ "number": { "in": [other["number"]] } }),
        json!({ "externalReference": { "startsWith": "R-2" } }),
        json!({ "channelId": { "eq": other["channelId"] } }),
        json!({ "not": { "channelId": { "eq": own["channelId"] } } }),
        json!({ "or": [{ "number": { "eq": other["number"] } }, { "id": { "eq": other["id"] } }] }),
    ] {
        let seen = app.gql_as(&key, list, json!({ "where": filter })).await;
        assert_eq!(seen["orders"]["nodes"], json!([]), "{filter}");
        assert_eq!(seen["orders"]["totalCount"]["count"], 0, "{filter}");
    }
    let all = app.gql_as(
        &key,
        list,
        json!({ "where": { "not": { "number": { "eq": "0" } } } }),
    );
    assert_eq!(all.await["orders"], only_own);

    let list = "query List($where: ExceptionWhere) {
        exceptions(where: $where) { nodes { order { number } } totalCount { count } } }";
    let seen = app.gql_as(&key, list, json!({})).await;
    assert_eq!(
        seen["exceptions"],
        json!({ "nodes": [{ "order": { "number": own["number"] } }], "totalCount": { "count": 1 } })
    );
    let filter = json!({ "where": { "orderId": { "eq": other["id"] } } });
    let seen = app.gql_as(&key, list, filter).await;
    assert_eq!(
        seen["exceptions"],
        json!({ "nodes": [], "totalCount": { "count": 0 } })
    );

    // The report names orders of every channel, so it is none for a key that is confined.
    let report = app
        .answer_as(Some(&key), "{ integrityReport { checks } }", json!({}))
        .await;
    assert_eq!(report.code(), "FORBIDDEN", "{:#}", report.body);
}

async fn x1_a_confined_key_changes_nothing_of_other_channels(app: &TestApp) {
    let Confined { key, own, other } = confined(app).await;
    let payload = "{ order { id } userErrors { code field message details } }";
    let mutations = [
        ("orderCancel", "OrderEndInput", json!({ "reason": "x" })),
        ("orderReject", "OrderEndInput", json!({ "reason": "x" })),
        (
            "orderHold",
            "OrderHoldInput",
            json!({ "reason": "x", "expectedVersion": 1 }),
        ),
        ("orderReleaseHold", "OrderReleaseHoldInput", json!({})),
        ("orderAddNote", "OrderAddNoteInput", json!({ "body": "x" })),
        ("orderAddTags", "OrderTagsInput", json!({ "tags": ["x"] })),
        (
            "orderRemoveTags",
            "OrderTagsInput",
            json!({ "tags": ["x"] }),
        ),
        (
            "orderRetryPayment",
            "OrderRetryPaymentInput",
            json!({ "token": "tok_approve" }),
        ),
        ("orderRetryVoid", "OrderRetryVoidInput", json!({})),
        ("paymentCapture", "PaymentCaptureInput", json!({})),
        ("paymentReauthorize", "PaymentReauthorizeInput", json!({})),
        (
            "exceptionResolve",
            "ExceptionSettleInput",
            json!({ "resolution": "x" }),
        ),
        (
            "exceptionDismiss",
            "ExceptionSettleInput",
            json!({ "resolution": "x" }),
        ),
    ];
    let before = counts(app).await;
    for (name, input, rest) in &mutations {
        let document =
            format!("mutation It($input: {input}!) {{ {name}(input: $input) {payload} }}");
        let ask = async |id: Value, hold: Value| {
            let mut input = rest.clone();
            input["id"] = id;
            if *name == "orderReleaseHold" {
                input["holdId"] = hold;
            }
            app.answer_as(Some(&key), &document, json!({ "input": input }))
                .await
        };
        let (kind, hidden) = match name.starts_with("exception") {
            true => ("OrderException", &other["exceptions"][0]["id"]),
            false => ("Order", &other["id"]),
        };
        let hold = &other["holds"][0]["id"];
        let hidden = ask(hidden.clone(), hold.clone()).await;
        let absent = ask(absent(kind), absent("Hold")).await;
        assert_eq!(hidden.body["data"], absent.body["data"], "{name}");
        let data = hidden.data();
        assert_eq!(codes(&data[*name]), ["NOT_FOUND"], "{name}");
        assert_eq!(data[*name]["order"], Value::Null, "{name}");
    }
    // A hold of another order is no hold of its own.
    let document = format!(
        "mutation It($input: OrderReleaseHoldInput!) {{ orderReleaseHold(input: $input) {payload} }}"
    );
    let input = json!({ "id": own["id"], "holdId": other["holds"][0]["id"] });
    let hidden = app.gql_as(&key, &document, json!({ "input": input })).await;
    assert_eq!(codes(&hidden["orderReleaseHold"]), ["HOLD_NOT_ACTIVE"]);

    // Orders of another channel cannot be submitted, nor its references found out.
    let submit = "mutation It($input: OrderSubmitInput!) { orderSubmit(input: $input) {
        order { id } userErrors { code field message details } replayed } }";
    let ask = async |channel: &str| {
        let basket = basket_with(json!({ "channel": channel, "externalReference": "R-2" }));
        app.gql_as(&key, submit, json!({ "input": basket })).await
    };
    let hidden = ask("b2b").await;
    assert_eq!(hidden, ask("no-such-channel").await);
    assert_eq!(codes(&hidden["orderSubmit"]), ["CHANNEL_NOT_FOUND"]);
    app.settle().await;
    assert_eq!(counts(app).await, before);
    let data = app.gql(FACTS, json!({ "id": other["id"] })).await;
    assert_eq!(data["order"]["version"], other["version"]);

    // The same reference in its own channel is its own.
    let taken = ask("web").await;
    assert!(taken["orderSubmit"]["order"].is_object(), "{taken:#}");
}

async fn x1_a_confined_key_hears_nothing_of_other_channels(app: &TestApp) {
    let Confined { key, own, other } = confined(app).await;
    let mut socket = app.socket_as(&key).await;
    let feed = "subscription Feed($where: OrderWhere) { orderUpdates(where: $where) {
        kind event orderId cursor order { number } } }";
    let feeds = [
        socket.subscribe(feed, json!({})).await,
        socket
            .subscribe(
                feed,
                json!({ "where": { "not": { "id": { "eq": own["id"] } } } }),
            )
            .await,
    ];
    let first = socket.next(&feeds[0]).await;
    assert_eq!(first["orderUpdates"]["order"]["number"], own["number"]);
    let mut cursor = Value::Null;
    for feed in &feeds {
        let end = socket.next(feed).await;
        assert_eq!(end["orderUpdates"]["kind"], "SNAPSHOT_END", "{end:#}");
        cursor = end["orderUpdates"]["cursor"].clone();
    }
    // Something happens in the other channel, up to the end of an order, and then in its own.
    let note = "mutation Note($id: ID!) {
        orderAddNote(input: { id: $id, body: \"heard?\" }) { userErrors { code } } }";
    let cancel = "mutation Cancel($id: ID!) {
        orderCancel(input: { id: $id, reason: \"heard?\" }) { userErrors { code } } }";
    app.gql(note, json!({ "id": other["id"] })).await;
    app.gql(cancel, json!({ "id": other["id"] })).await;
    app.place(basket_with(json!({ "channel": "b2b" }))).await;
    let new = app.place(basket_with(json!({}))).await;
    app.settle().await;
    for feed in &feeds {
        let heard = socket.next(feed).await;
        let heard = &heard["orderUpdates"];
        assert_eq!(heard["kind"], "UPSERT", "{heard:#}");
        assert_eq!(heard["orderId"], new["id"], "{heard:#}");
    }
    // A cursor of its own does not open the stream of somebody who sees more, nor the other way.
    let mut admin = app.socket().await;
    let resume =
        "subscription Feed($after: String) { orderUpdates(after: $after) { kind orderId } }";
    let stream = admin.subscribe(resume, json!({ "after": cursor })).await;
    let refused = admin.event(&stream).await;
    let refused = match refused {
        Ok(item) => item.get("errors").is_some(),
        Err(ended) => matches!(ended, Ended::Failed(_)),
    };
    assert!(refused, "another's cursor was taken");
    socket.close().await;
    admin.close().await;
}

async fn x1_a_partner_reads_no_payments_customers_or_private_notes(app: &TestApp) {
    app.open_shop().await;
    let key = app.key_for(Role::Partner, &["web"], None).await.key;
    let order = app
        .place(basket_with(json!({ "customer": { "code": "C-1001" } })))
        .await;
    let fields = "query Fields($id: ID!) { order(by: { id: $id }) { number customerName
        customerId customer { code } payment { gateway } notes { body } privateMetadata } }";
    let partner = app.gql_as(&key, fields, json!({ "id": order["id"] })).await;
    let partner = &partner["order"];
    assert_eq!(partner["customerName"], "Anna Leitner");
    for field in [
        "customerId",
        "customer",
        "payment",
        "notes",
        "privateMetadata",
    ] {
        assert_eq!(partner[field], Value::Null, "{field}");
    }
    let admin = app.gql(fields, json!({ "id": order["id"] })).await;
    assert_eq!(admin["order"]["customer"]["code"], "C-1001");
    assert_eq!(admin["order"]["payment"]["gateway"], "sandbox");
}

async fn x1_a_viewer_reads_no_personal_data(app: &TestApp) {
    app.open_shop().await;
    let key = app.key(Role::Viewer).await;
    let order = app.place(basket_with(json!({}))).await;
    let fields = "query Fields($id: ID!) { order(by: { id: $id }) { number customerName email phone
        shippingAddress { city } billingAddress { city } payment { gateway } } }";
    let seen = app.gql_as(&key, fields, json!({ "id": order["id"] })).await;
    let expected = json!({ "number": order["number"], "customerName": null, "email": null,
        "phone": null, "shippingAddress": null, "billingAddress": null, "payment": null });
    assert_eq!(seen["order"], expected);
}

/// Whether a key opens the API, over HTTP and over a socket.
async fn opens(app: &TestApp, key: &str) -> bool {
    let answer = app.answer_as(Some(key), "{ __typename }", json!({})).await;
    let mut socket = Socket::open(app.address).await;
    let payload = json!({ "authorization": format!("Bearer {key}") });
    socket
        .say(json!({ "type": "connection_init", "payload": payload }))
        .await;
    let by_socket = match socket.hear().await {
        Ok(message) => message["type"] == "connection_ack",
        Err(Ended::Closed(code, _)) => {
            assert!(matches!(code, Some(4401 | 4403)), "{code:?}");
            false
        }
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(answer.status == 200, by_socket, "HTTP and socket disagree");
    if !by_socket {
        assert_eq!((answer.status, answer.code()), (401, "UNAUTHENTICATED"));
    }
    by_socket
}

async fn x1_a_revoked_key_opens_nothing(app: &TestApp) {
    let key = app.key_for(Role::Viewer, &[], None).await;
    let other = app.key(Role::Viewer).await;
    assert!(opens(app, &key.key).await);
    let id = key.row.id;
    let revoked = app
        .app
        .write(&api::tx::Actor::worker("test"), move |tx| async move {
            access::revoke_key(&tx, id).await
        })
        .await
        .unwrap();
    assert!(revoked.revoked_at.is_some());
    app.app.forget_keys();
    assert!(!opens(app, &key.key).await);
    assert!(opens(app, &other).await);
}

async fn x1_a_key_is_refused_from_the_moment_that_it_expires(app: &TestApp) {
    let end = app.app.clock.now() + Duration::hours(1);
    let key = app.key_for(Role::Viewer, &[], Some(end)).await.key;
    assert!(opens(app, &key).await);
    app.clock.set(end - Duration::microseconds(1));
    app.app.forget_keys();
    assert!(opens(app, &key).await);
    app.clock.set(end);
    app.app.forget_keys();
    assert!(!opens(app, &key).await);
}

async fn x1_what_is_not_quite_a_key_is_none(app: &TestApp) {
    let key = app.key(Role::Admin).await;
    let (head, secret) = key.rsplit_once('_').unwrap();
    let other = app.key(Role::Viewer).await;
    let others_secret = other.rsplit_once('_').unwrap().1;
    for wrong in [
        head.to_owned(),
        format!("{head}_"),
        format!("{head}_{}", secret.to_uppercase().replace('0', "1")),
        format!("{head}_{others_secret}"),
        format!("{key}_{secret}"),
        format!("{key}0"),
        format!("xoms{}", &key[3..]),
        "oms_test_'; DROP TABLE api_key; --_x".to_owned(),
    ] {
        assert!(!opens(app, &wrong).await, "{wrong}");
    }
    assert!(opens(app, &key).await);
}
