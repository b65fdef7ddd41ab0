//! A merchant to trade with: the demo's, and variants that a test stocks as it needs them.

use std::collections::BTreeSet;

use api::access::{self, CreateKey, NewKey};
use api::capture::Submission;
use api::events::Changes;
use api::orders::stock::{Adjust, Receive};
use api::tx::Actor;
use api::{catalogue, demo, orders};
use chrono::{DateTime, Utc};
use entity::api_key::Role;
use entity::{
    CarrierRateId, ChannelId, Currency, PriceListId, ProductId, PromotionId, VariantId,
    WarehouseId, carrier_rate, channel, channel_warehouse, listing, price, price_list, product,
    promotion, stock, variant, variant_code, warehouse,
};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set};
use serde_json::{Value, json};

use crate::TestApp;

/// What [`TestApp::submit`] asks for about an order.
pub const SUBMIT: &str = "mutation Submit($input: OrderSubmitInput!) { orderSubmit(input: $input) {
    order { id number status stage paymentStatus version total { amount currency }
        lines { id sku quantity reserved allocated backordered cancelled }
        exceptions { id code blocking status summary details } }
    userErrors { code field message details retryable } replayed } }";

/// An order of the demo's web shop that nothing is wrong with: one white mug, paid by card.
pub fn basket() -> Value {
    json!({
        "channel": "web",
        "customer": { "name": "Anna Leitner", "email": "anna@mail.example" },
        "shippingAddress": {
            "line1": "Ringstraße 1", "city": "Wien", "postalCode": "1010", "country": "AT"
        },
        "lines": [{ "sku": "MUG-WHITE", "quantity": 1 }],
        "payment": { "method": "CARD", "token": "tok_approve" },
    })
}

/// The same with other fields: `basket_with(json!({ "channel": "b2b" }))`.
pub fn basket_with(changes: Value) -> Value {
    let mut basket = basket();
    for (field, value) in changes.as_object().into_iter().flatten() {
        basket[field] = value.clone();
    }
    basket
}

/// A stocked variant.
#[derive(Clone, Debug)]
pub struct Stocked {
    /// The variant.
    pub id: VariantId,
    /// Its SKU.
    pub sku: String,
    /// Where it is stocked: the demo's first warehouse.
    pub warehouse: WarehouseId,
}

impl TestApp {
    /// Seeds the demo merchant, without its rules: what stops an order is what a test says.
    pub async fn open_shop(&self) {
        assert!(
            demo::seed_without_rules(&self.app)
                .await
                .expect("the demo merchant")
        );
    }

    /// A variant of its own that every channel sells for 10.00, with units in one warehouse.
    pub async fn stocked(&self, sku: &str, units: i64, backorderable: bool) -> Stocked {
        let db = &self.app.db.read;
        let channels = channel::Entity::find().all(db).await.expect("channels");
        let warehouses = warehouse::Entity::find().all(db).await.expect("warehouses");
        let list = price_list::Entity::find()
            .filter(price_list::Column::Code.eq("retail"))
            .one(db)
            .await
            .expect("a price list")
            .expect("the retail price list");
        let (channels, warehouses, list): (&_, &_, PriceListId) = (&channels, &warehouses, list.id);
        let id = self
            .app
            .write(&Actor::worker("test"), move |tx| async move {
                let (id, product_id): (VariantId, ProductId) = (tx.id(), tx.id());
                catalogue::changed(&tx, "product", product_id, 1, sku, Changes::default());
                catalogue::changed(&tx, "variant", id, 1, sku, Changes::default());
                let (created_at, updated_at) = (Set(tx.now), Set(tx.now));
                tx.defer_rows(
                    vec![product::ActiveModel {
                        id: Set(product_id),
                        code: Set(format!("P-{sku}")),
                        title: Set(sku.to_owned()),
                        description: Set(None),
                        metadata: Set(json!({})),
                        version: Set(1),
                        created_at: created_at.clone(),
                        updated_at: updated_at.clone(),
                    }],
                    |insert| insert,
                );
                tx.defer_rows(
                    vec![variant::ActiveModel {
                        id: Set(id),
                        product_id: Set(product_id),
                        sku: Set(sku.to_owned()),
                        title: Set(sku.to_owned()),
                        status: Set(variant::Status::Active),
                        backorderable: Set(backorderable),
                        tax_category: Set("STANDARD".to_owned()),
                        weight_grams: Set(100),
                        dangerous_goods: Set(false),
                        length_mm: Set(None),
                        width_mm: Set(None),
                        height_mm: Set(None),
                        version: Set(1),
                        created_at,
                        updated_at: updated_at.clone(),
                    }],
                    |insert| insert,
                );
                tx.defer_rows(
                    vec![variant_code::ActiveModel {
                        code_key: Set(catalogue::code_key(sku)),
                        code: Set(sku.to_owned()),
                        variant_id: Set(id),
                        kind: Set(variant_code::Kind::Sku),
                        units: Set(1),
                    }],
                    |insert| insert,
                );
                let listings = channels.iter().map(|channel| listing::ActiveModel {
                    channel_id: Set(channel.id),
                    variant_id: Set(id),
                });
                tx.defer_rows(listings.collect(), |insert| insert);
                tx.defer_rows(
                    vec![price::ActiveModel {
                        price_list_id: Set(list),
                        variant_id: Set(id),
                        min_quantity: Set(1),
                        unit_price_minor: Set(1_000),
                    }],
                    |insert| insert,
                );
                let rows = warehouses.iter().map(|warehouse| stock::ActiveModel {
                    variant_id: Set(id),
                    warehouse_id: Set(warehouse.id),
                    on_hand: Set(0),
                    reserved: Set(0),
                    safety: Set(0),
                    version: Set(0),
                    updated_at: updated_at.clone(),
                });
                tx.defer_rows(rows.collect(), |insert| insert);
                Ok(id)
            })
            .await
            .expect("a variant");
        let warehouse = warehouses
            .iter()
            .find(|warehouse| warehouse.code == "VIE")
            .expect("the warehouse in Vienna")
            .id;
        let stocked = Stocked {
            id,
            sku: sku.to_owned(),
            warehouse,
        };
        if units > 0 {
            self.receive(&stocked, units).await;
        }
        stocked
    }

    /// A channel by its code.
    pub async fn channel(&self, code: &str) -> channel::Model {
        channel::Entity::find()
            .filter(channel::Column::Code.eq(code))
            .one(&self.app.db.read)
            .await
            .expect("channels")
            .unwrap_or_else(|| panic!("no channel {code}"))
    }

    /// Changes a channel's policy: `|channel| channel.price_tolerance_minor = Set(5)`.
    pub async fn change_channel(&self, code: &str, change: impl FnOnce(&mut channel::ActiveModel)) {
        let mut row = self.channel(code).await.into_active_model();
        change(&mut row);
        row.update(&self.app.db.write).await.expect("the channel");
        self.app.invalidate_reference();
    }

    /// A channel of its own, like the web shop but for what `change` says. It lists a variant at
    /// a price in its currency's minor units; nobody has shipping rates in it.
    pub async fn other_channel(
        &self,
        code: &str,
        of: &Stocked,
        unit_price_minor: i64,
        change: impl FnOnce(&mut channel::ActiveModel),
    ) {
        let db = &self.app.db.write;
        let web = self.channel("web").await;
        let serving = channel_warehouse::Entity::find()
            .filter(channel_warehouse::Column::ChannelId.eq(web.id))
            .all(db)
            .await
            .expect("its warehouses");
        let id = ChannelId(uuid::Uuid::now_v7());
        let mut row = web.into_active_model();
        (row.id, row.code) = (Set(id), Set(code.to_owned()));
        change(&mut row);
        let row = row.insert(db).await.expect("a channel");
        for mut served in serving.into_iter().map(IntoActiveModel::into_active_model) {
            served.channel_id = Set(id);
            served.insert(db).await.expect("its warehouse");
        }
        let listed = listing::ActiveModel {
            channel_id: Set(id),
            variant_id: Set(of.id),
        };
        listed.insert(db).await.expect("a listing");
        let list = PriceListId(uuid::Uuid::now_v7());
        price_list::ActiveModel {
            id: Set(list),
            code: Set(format!("of {code}")),
            currency: Set(row.currency),
            channel_id: Set(Some(id)),
            group_code: Set(None),
            rank: Set(0),
            valid_from: Set(None),
            valid_until: Set(None),
        }
        .insert(db)
        .await
        .expect("a price list");
        self.price(list, of.id, 1, unit_price_minor).await;
        self.app.invalidate_reference();
    }

    /// Has carriers paid in other currencies, too, by as many minor units.
    pub async fn pay_carriers_in(&self, currencies: &[Currency]) {
        let db = &self.app.db.write;
        let rates = carrier_rate::Entity::find().all(db).await;
        for mut rate in rates.expect("rates of carriers") {
            for currency in currencies {
                rate.id = CarrierRateId(uuid::Uuid::now_v7());
                rate.currency = *currency;
                let row = rate.clone().into_active_model();
                row.insert(db).await.expect("a rate");
            }
        }
        self.app.invalidate_reference();
    }

    /// A price.
    pub async fn price(&self, list: PriceListId, of: VariantId, from: i64, unit_price_minor: i64) {
        price::ActiveModel {
            price_list_id: Set(list),
            variant_id: Set(of),
            min_quantity: Set(from),
            unit_price_minor: Set(unit_price_minor),
        }
        .insert(&self.app.db.write)
        .await
        .expect("a price");
    }

    /// A promotion of the demo's under another code, changed as a test needs it.
    pub async fn promotion_like(
        &self,
        like: &str,
        code: &str,
        change: impl FnOnce(&mut promotion::ActiveModel),
    ) -> PromotionId {
        let db = &self.app.db.write;
        let mut row = promotion::Entity::find()
            .filter(promotion::Column::Code.eq(like))
            .one(db)
            .await
            .expect("promotions")
            .unwrap_or_else(|| panic!("no promotion {like}"))
            .into_active_model();
        let id = PromotionId(uuid::Uuid::now_v7());
        (row.id, row.code) = (Set(id), Set(Some(code.to_owned())));
        row.usage_count = Set(0);
        change(&mut row);
        row.insert(db).await.expect("a promotion");
        self.app.invalidate_reference();
        id
    }

    /// A key for a role, confined to channels unless there are none, until a moment if there is
    /// one.
    pub async fn key_for(
        &self,
        role: Role,
        channels: &[&str],
        expires_at: Option<DateTime<Utc>>,
    ) -> NewKey {
        let mut ids = BTreeSet::new();
        for code in channels {
            ids.insert(self.channel(code).await.id);
        }
        let cmd = &CreateKey {
            name: format!("{role:?} of a test"),
            role,
            channels: (!ids.is_empty()).then_some(ids),
            expires_at,
        };
        let access = &self.app.config.access;
        self.app
            .write(&Actor::worker("test"), move |tx| async move {
                access::create_key(&tx, &access.pepper, &access.environment, cmd).await
            })
            .await
            .expect("a key")
    }

    /// Says which warehouses serve a channel, all of them by their codes, first asked first.
    pub async fn serve_from(&self, channel: &str, warehouses: &[&str]) {
        let query = "{ channels { nodes { id code } } warehouses { nodes { id code } } }";
        let known = self.gql(query, Value::Null).await;
        let id = |kind: &str, code: &str| {
            let nodes = known[kind]["nodes"].as_array().expect("nodes");
            let node = nodes.iter().find(|node| node["code"] == code);
            node.unwrap_or_else(|| panic!("no {code} among {kind}"))["id"].clone()
        };
        let ids: Vec<Value> = warehouses
            .iter()
            .map(|code| id("warehouses", code))
            .collect();
        let update = "mutation Serve($input: ChannelUpdateInput!) {
            channelUpdate(input: $input) { userErrors { code message } } }";
        let input = json!({ "id": id("channels", channel), "warehouseIds": ids });
        let done = self.gql(update, json!({ "input": input })).await;
        assert_eq!(done["channelUpdate"]["userErrors"], json!([]), "{done:#}");
    }

    /// The same variant in another warehouse.
    pub async fn elsewhere(&self, of: &Stocked, warehouse: &str) -> Stocked {
        let row = warehouse::Entity::find()
            .filter(warehouse::Column::Code.eq(warehouse))
            .one(&self.app.db.read)
            .await
            .expect("warehouses")
            .unwrap_or_else(|| panic!("no warehouse {warehouse}"));
        Stocked {
            warehouse: row.id,
            ..of.clone()
        }
    }

    /// Books units in.
    pub async fn receive(&self, of: &Stocked, units: i64) {
        let cmd = &Receive {
            variant_id: of.id,
            warehouse_id: of.warehouse,
            bin_id: None,
            quantity: units,
            inbound_id: None,
            document: None,
        };
        let reference = &self.app.reference().await.expect("the small tables");
        self.app
            .write(&Actor::worker("test"), move |tx| async move {
                orders::stock::receive(&tx, reference, cmd).await
            })
            .await
            .expect("a receipt");
    }

    /// Corrects the figure by a count.
    pub async fn adjust(&self, of: &Stocked, delta: i64) -> Result<(), api::failure::Failure> {
        let cmd = &Adjust {
            variant_id: of.id,
            warehouse_id: of.warehouse,
            bin_id: None,
            delta,
            reason: "count".to_owned(),
            document: None,
        };
        let reference = &self.app.reference().await.expect("the small tables");
        self.app
            .write(&Actor::worker("test"), move |tx| async move {
                orders::stock::adjust(&tx, reference, cmd).await
            })
            .await
    }

    /// What a stock row says: on hand and reserved.
    pub async fn stock_of(&self, of: &Stocked) -> (i64, i64) {
        let row = stock::Entity::find_by_id((of.id, of.warehouse))
            .one(&self.app.db.read)
            .await
            .expect("a stock row")
            .expect("the stock row");
        (row.on_hand, row.reserved)
    }

    /// Submits an order as an administrator, and returns the payload.
    pub async fn submit(&self, input: Value) -> Value {
        let mut data = self.gql(SUBMIT, json!({ "input": input })).await;
        data["orderSubmit"].take()
    }

    /// Submits an order that must be taken, and returns it.
    #[track_caller]
    pub fn place(&self, input: Value) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        async move {
            let mut payload = self.submit(input).await;
            assert_eq!(payload["userErrors"], json!([]), "{at}: {payload:#}");
            payload["order"].take()
        }
    }

    /// Reads an order afresh: what [`SUBMIT`] asks for, and its timeline.
    pub async fn order(&self, id: &Value) -> Value {
        let query = "query Order($id: ID!) { order(by: { id: $id }) { id number status stage
            paymentStatus version closedAt cancelReason total { amount currency }
            lines { id sku quantity reserved allocated backordered cancelled }
            exceptions { id code blocking status summary resolution }
            holds { id reason releasedAt }
            payment { authorized { amount } voided transactions { kind state } }
            timeline { event version actor } } }";
        let mut data = self.gql(query, json!({ "id": id })).await;
        data["order"].take()
    }
}

/// The codes of a payload's refusals.
pub fn codes(payload: &Value) -> Vec<String> {
    payload["userErrors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| error["code"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// A basket as the pipeline takes it.
pub fn submission(basket: &Value) -> Submission {
    serde_json::from_value(basket.clone()).expect("a submission")
}
