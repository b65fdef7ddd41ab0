//! Products, variants and their codes on the wire.

use std::collections::BTreeSet;

use async_graphql::{
    Context, Enum, ID, InputObject, Json, MaybeUndefined, Object, OneofObject, Result, SimpleObject,
};
use chrono::{DateTime, Utc};
use entity::{ChannelId, ProductId, VariantId, listing, product, variant, variant_code};
use sea_orm::sea_query::{Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, Select};

use super::channels::Channel;
use super::prices::Price;
use super::{confined, seen_channels, sees};
use crate::access::Scope;
use crate::catalogue::{code_key, products};
use crate::failure::Problem;
use crate::graphql::command::{payloads, run};
use crate::graphql::errors::fault;
use crate::graphql::filters::{
    DateTimeFilter, IdFilter, StringFilter, condition, enum_filter, filter,
};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::{
    CodesOf, CostOf, ListingsOf, PricesOf, StockOf, VariantsOf, load, load_all,
};
use crate::graphql::orders::queries::SortDirection;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::scalars::{Money, money};
use crate::graphql::stock::Stock;
use crate::graphql::{Allowed, app, principal};

/// Whether a variant is sold. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "variant::Status")]
pub enum VariantStatus {
    /// It is.
    Active,
    /// It is no longer.
    Discontinued,
}

/// What a code is. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "variant_code::Kind")]
pub enum VariantCodeKind {
    /// Our own SKU.
    Sku,
    /// Another name: an old SKU, a channel's.
    Alias,
    /// The barcode on a unit.
    Gtin,
    /// The barcode on a case of several units.
    Case,
}

/// A key with its value.
#[derive(Clone, Debug, InputObject)]
pub struct MetadataInput {
    /// The key: 1 to 64 characters, no blanks.
    pub key: String,
    /// The value, at most 4,000 characters.
    pub value: String,
}

fn metadata(entries: Vec<MetadataInput>) -> Vec<(String, String)> {
    entries
        .into_iter()
        .map(|entry| (entry.key, entry.value))
        .collect()
}

/// What variants have in common.
pub struct Product(pub product::Model);

impl From<product::Model> for Product {
    fn from(row: product::Model) -> Self {
        Product(row)
    }
}

impl From<products::Created> for Product {
    fn from(created: products::Created) -> Self {
        Product(created.product)
    }
}

/// What variants have in common.
#[Object]
impl Product {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// What it is.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Key-values that everyone sees: an object of strings.
    async fn metadata(&self) -> Json<serde_json::Value> {
        Json(self.0.metadata.clone())
    }

    /// Its variants that you see, by SKU.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn variants(&self, ctx: &Context<'_>) -> Result<Vec<Variant>> {
        let rows = load(ctx, VariantsOf(self.0.id)).await?.unwrap_or_default();
        let Some(channels) = confined(ctx)? else {
            return Ok(rows.into_iter().map(Variant).collect());
        };
        let listings = load_all(ctx, rows.iter().map(|row| ListingsOf(row.id))).await?;
        let sold: BTreeSet<VariantId> = listings
            .into_iter()
            .flatten()
            .filter(|listing| channels.contains(&listing.channel_id))
            .map(|listing| listing.variant_id)
            .collect();
        let seen = rows.into_iter().filter(|row| sold.contains(&row.id));
        Ok(seen.map(Variant).collect())
    }

    /// +1 with every change of the product itself; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// A variant of a product, known by its SKU: what is sold, stocked and scanned.
pub struct Variant(pub variant::Model);

impl From<variant::Model> for Variant {
    fn from(row: variant::Model) -> Self {
        Variant(row)
    }
}

/// A variant of a product, known by its SKU: what is sold, stocked and scanned.
#[Object]
impl Variant {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its stock-keeping unit; unique, and never changed.
    async fn sku(&self) -> &str {
        &self.0.sku
    }

    /// Its name on orders.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// Whether it is sold.
    async fn status(&self) -> VariantStatus {
        self.0.status.into()
    }

    /// Whether it may be ordered while there is none.
    async fn backorderable(&self) -> bool {
        self.0.backorderable
    }

    /// How it is taxed: `STANDARD` …
    async fn tax_category(&self) -> &str {
        &self.0.tax_category
    }

    /// Weight of a unit, in grams.
    async fn weight_grams(&self) -> i64 {
        self.0.weight_grams
    }

    /// Whether it is dangerous goods, which few services of carriers take.
    async fn dangerous_goods(&self) -> bool {
        self.0.dangerous_goods
    }

    /// Length of a unit, in millimetres.
    async fn length_mm(&self) -> Option<i32> {
        self.0.length_mm
    }

    /// Width of a unit, in millimetres.
    async fn width_mm(&self) -> Option<i32> {
        self.0.width_mm
    }

    /// Height of a unit, in millimetres.
    async fn height_mm(&self) -> Option<i32> {
        self.0.height_mm
    }

    /// What a unit costs the merchant; null if nobody has said so, or without the scope FINANCE_READ.
    async fn unit_cost(&self, ctx: &Context<'_>) -> Result<Option<Money>> {
        if !principal(ctx)?.may(Scope::FinanceRead) {
            return Ok(None);
        }
        let rows = load(ctx, CostOf(self.0.id)).await?.unwrap_or_default();
        let cost = rows.first().and_then(|row| {
            let amount = row.amount_minor?;
            Some(money(amount, row.currency?))
        });
        Ok(cost)
    }

    /// The product that it is of.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>> {
        Ok(load(ctx, self.0.product_id).await?.map(Product))
    }

    /// Every code that it is found by, its SKU among them.
    async fn codes(&self, ctx: &Context<'_>) -> Result<Vec<VariantCode>> {
        let rows = load(ctx, CodesOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(VariantCode::from).collect())
    }

    /// The channels that sell it, those that you see.
    async fn channels(&self, ctx: &Context<'_>) -> Result<Vec<Channel>> {
        let listings = load(ctx, ListingsOf(self.0.id)).await?.unwrap_or_default();
        let seen = listings
            .iter()
            .map(|row| row.channel_id)
            .filter(|channel| sees(ctx, Some(*channel)));
        let rows = load_all(ctx, seen).await?;
        Ok(rows.into_iter().map(Channel).collect())
    }

    /// What it costs in every price list that you see, by quantity.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn prices(&self, ctx: &Context<'_>) -> Result<Vec<Price>> {
        let rows = load(ctx, PricesOf(self.0.id)).await?.unwrap_or_default();
        let lists = load_all(ctx, rows.iter().map(|row| row.price_list_id)).await?;
        // Every price has a list, so the two run side by side.
        let priced = rows.into_iter().zip(lists);
        let seen = priced.filter(|(_, list)| sees(ctx, list.channel_id));
        Ok(seen.map(|(row, list)| Price { row, list }).collect())
    }

    /// Its stock by warehouse; null without the scope STOCK_READ.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn stock(&self, ctx: &Context<'_>) -> Result<Option<Vec<Stock>>> {
        if !crate::graphql::principal(ctx)?.may(Scope::StockRead) {
            return Ok(None);
        }
        let rows = load(ctx, StockOf(self.0.id)).await?.unwrap_or_default();
        Ok(Some(rows.into_iter().map(Stock::from).collect()))
    }

    /// +1 with every change of the variant, its codes or its listings; give it back as
    /// `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// A code that a variant is found by.
#[derive(SimpleObject)]
pub struct VariantCode {
    /// The code as it is written. Codes are compared without case, blanks, dashes, dots, slashes
    /// and underscores.
    pub code: String,
    /// What it is.
    pub kind: VariantCodeKind,
    /// How many units a scan of it is worth: more than 1 for a case.
    pub units: i64,
}

impl From<variant_code::Model> for VariantCode {
    fn from(row: variant_code::Model) -> Self {
        VariantCode {
            code: row.code,
            kind: row.kind.into(),
            units: row.units,
        }
    }
}

/// The variants that some channels sell.
pub fn listed(channels: &BTreeSet<ChannelId>) -> SelectStatement {
    Query::select()
        .column(listing::Column::VariantId)
        .from(listing::Entity)
        .cond_where(listing::Column::ChannelId.is_in(channels.iter().copied()))
        .to_owned()
}

/// The variants that the caller sees: all, or those that its channels sell.
fn seen_variants(ctx: &Context<'_>) -> Result<Select<variant::Entity>> {
    let rows = variant::Entity::find();
    Ok(match confined(ctx)? {
        None => rows,
        Some(channels) => rows.filter(variant::Column::Id.in_subquery(listed(channels))),
    })
}

/// The products that the caller sees: all, or those with variants that its channels sell.
fn seen_products(ctx: &Context<'_>) -> Result<Select<product::Entity>> {
    let rows = product::Entity::find();
    let Some(channels) = confined(ctx)? else {
        return Ok(rows);
    };
    let sold = Query::select()
        .column(variant::Column::ProductId)
        .from(variant::Entity)
        .cond_where(variant::Column::Id.in_subquery(listed(channels)))
        .to_owned();
    Ok(rows.filter(product::Column::Id.in_subquery(sold)))
}

/// Whether the caller sees a variant: any, or one that its channels sell.
pub async fn sees_variant(ctx: &Context<'_>, id: VariantId) -> Result<bool> {
    sees_one_of(ctx, [id]).await
}

/// Whether the caller sees a product: any, or one with variants that its channels sell.
pub async fn sees_product(ctx: &Context<'_>, id: ProductId) -> Result<bool> {
    if confined(ctx)?.is_none() {
        return Ok(true);
    }
    let variants = load(ctx, VariantsOf(id)).await?.unwrap_or_default();
    sees_one_of(ctx, variants.into_iter().map(|variant| variant.id)).await
}

async fn sees_one_of(
    ctx: &Context<'_>,
    variants: impl IntoIterator<Item = VariantId>,
) -> Result<bool> {
    let Some(channels) = confined(ctx)? else {
        return Ok(true);
    };
    let listings = load_all(ctx, variants.into_iter().map(ListingsOf)).await?;
    let mut listings = listings.into_iter().flatten();
    Ok(listings.any(|listing| channels.contains(&listing.channel_id)))
}

enum_filter! {
    /// What a variant's status must be.
    VariantStatusFilter of VariantStatus as variant::Status
}

/// Which products. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct ProductWhere {
    /// By identifier.
    pub id: Option<IdFilter>,
    /// By code.
    pub code: Option<StringFilter>,
    /// By title.
    pub title: Option<StringFilter>,
    /// By the SKU of one of its variants.
    pub sku: Option<StringFilter>,
    /// By when it was made.
    pub created_at: Option<DateTimeFilter>,
    /// By when it last changed.
    pub updated_at: Option<DateTimeFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<ProductWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<ProductWhere>>,
    /// This must not match.
    pub not: Option<Box<ProductWhere>>,
}

filter!(ProductWhere, |it| [
    it.id
        .as_ref()
        .map(|f| f.on::<ProductId>(product::Column::Id)),
    it.code.as_ref().map(|f| f.on(product::Column::Code)),
    it.title.as_ref().map(|f| f.on(product::Column::Title)),
    it.sku.as_ref().map(with_sku),
    it.created_at
        .as_ref()
        .map(|f| f.on(product::Column::CreatedAt)),
    it.updated_at
        .as_ref()
        .map(|f| f.on(product::Column::UpdatedAt)),
]);

fn with_sku(sku: &StringFilter) -> Condition {
    let products = Query::select()
        .column(variant::Column::ProductId)
        .from(variant::Entity)
        .cond_where(sku.on(variant::Column::Sku))
        .to_owned();
    Condition::all().add(product::Column::Id.in_subquery(products))
}

/// Which variants. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct VariantWhere {
    /// By identifier.
    pub id: Option<IdFilter>,
    /// By SKU.
    pub sku: Option<StringFilter>,
    /// By title.
    pub title: Option<StringFilter>,
    /// By any code that it is found by, in any spelling.
    pub code: Option<String>,
    /// By product.
    pub product_id: Option<IdFilter>,
    /// By whether it is sold.
    pub status: Option<VariantStatusFilter>,
    /// By whether it may be ordered while there is none.
    pub backorderable: Option<bool>,
    /// By tax category.
    pub tax_category: Option<StringFilter>,
    /// By when it last changed.
    pub updated_at: Option<DateTimeFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<VariantWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<VariantWhere>>,
    /// This must not match.
    pub not: Option<Box<VariantWhere>>,
}

filter!(VariantWhere, |it| [
    it.id
        .as_ref()
        .map(|f| f.on::<VariantId>(variant::Column::Id)),
    it.sku.as_ref().map(|f| f.on(variant::Column::Sku)),
    it.title.as_ref().map(|f| f.on(variant::Column::Title)),
    it.code.as_deref().map(with_code),
    it.product_id
        .as_ref()
        .map(|f| f.on::<ProductId>(variant::Column::ProductId)),
    it.status.as_ref().map(|f| f.on(variant::Column::Status)),
    it.backorderable
        .map(|yes| variant::Column::Backorderable.eq(yes)),
    it.tax_category
        .as_ref()
        .map(|f| f.on(variant::Column::TaxCategory)),
    it.updated_at
        .as_ref()
        .map(|f| f.on(variant::Column::UpdatedAt)),
]);

fn with_code(code: &str) -> Condition {
    let variants = Query::select()
        .column(variant_code::Column::VariantId)
        .from(variant_code::Entity)
        .cond_where(variant_code::Column::CodeKey.eq(code_key(code)))
        .to_owned();
    Condition::all().add(variant::Column::Id.in_subquery(variants))
}

/// What products are sorted by; the identifier breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ProductSortField {
    /// The code.
    Code,
    /// The title.
    Title,
    /// When it last changed.
    UpdatedAt,
}

/// The order of a list of products.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct ProductSort {
    /// What is sorted by.
    pub field: ProductSortField,
    /// Up or down.
    pub direction: SortDirection,
}

/// What variants are sorted by; the identifier breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum VariantSortField {
    /// The SKU.
    Sku,
    /// The title.
    Title,
    /// When it last changed.
    UpdatedAt,
}

/// The order of a list of variants.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct VariantSort {
    /// What is sorted by.
    pub field: VariantSortField,
    /// Up or down.
    pub direction: SortDirection,
}

/// How one variant is named: exactly one of these.
#[derive(Clone, Debug, OneofObject)]
pub enum VariantIdentity {
    /// By identifier.
    Id(ID),
    /// By any code that it is found by, in any spelling: SKU, alias, barcode.
    Sku(String),
}

/// Reads of products.
#[derive(Default)]
pub struct ProductQuery;

/// Reads of products.
#[Object]
impl ProductQuery {
    /// The products that you see: all, or those that your channels sell. By code unless told.
    /// Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<ProductWhere>,
        #[graphql(desc = "In which order.")] order_by: Option<ProductSort>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Product>> {
        use product::{Column, Model};
        let rows = seen_products(ctx)?.filter(condition(filter.as_ref())?);
        let (field, order) = order_by.map_or(
            (ProductSortField::Code, SortDirection::Asc.into()),
            |sort| (sort.field, sort.direction.into()),
        );
        let (app, id) = (app(ctx), Column::Id);
        macro_rules! by {
            ($column:ident, $field:ident) => {{
                let key = |row: &Model| (row.$field.clone(), row.id.0);
                let column = Column::$column;
                let sort = Sort {
                    column,
                    id,
                    order,
                    key,
                };
                page(app, rows, sort, first, after, Product).await
            }};
        }
        match field {
            ProductSortField::Code => by!(Code, code),
            ProductSortField::Title => by!(Title, title),
            ProductSortField::UpdatedAt => by!(UpdatedAt, updated_at),
        }
    }

    /// A product; null if there is none, or none that you see. Needs the scope CATALOGUE_READ.
    #[graphql(guard = "Allowed(Scope::CatalogueRead)")]
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Product>> {
        let Ok(id) = from_global::<ProductId>(&id, "id") else {
            return Ok(None);
        };
        let row = seen_products(ctx)?
            .filter(product::Column::Id.eq(id))
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(row.map(Product))
    }

    /// The variants that you see: all, or those that your channels sell. By SKU unless told.
    /// Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn variants(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<VariantWhere>,
        #[graphql(desc = "In which order.")] order_by: Option<VariantSort>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Variant>> {
        use variant::{Column, Model};
        let rows = seen_variants(ctx)?.filter(condition(filter.as_ref())?);
        let (field, order) = order_by
            .map_or((VariantSortField::Sku, SortDirection::Asc.into()), |sort| {
                (sort.field, sort.direction.into())
            });
        let (app, id) = (app(ctx), Column::Id);
        macro_rules! by {
            ($column:ident, $field:ident) => {{
                let key = |row: &Model| (row.$field.clone(), row.id.0);
                let column = Column::$column;
                let sort = Sort {
                    column,
                    id,
                    order,
                    key,
                };
                page(app, rows, sort, first, after, Variant).await
            }};
        }
        match field {
            VariantSortField::Sku => by!(Sku, sku),
            VariantSortField::Title => by!(Title, title),
            VariantSortField::UpdatedAt => by!(UpdatedAt, updated_at),
        }
    }

    /// A variant; null if there is none, or none that you see. Needs the scope CATALOGUE_READ.
    #[graphql(guard = "Allowed(Scope::CatalogueRead)")]
    async fn variant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which: by id or by code.")] by: VariantIdentity,
    ) -> Result<Option<Variant>> {
        let which = match by {
            VariantIdentity::Id(id) => match from_global::<VariantId>(&id, "by.id") {
                Ok(id) => Condition::all().add(variant::Column::Id.eq(id)),
                Err(_) => return Ok(None),
            },
            VariantIdentity::Sku(sku) => with_code(&sku),
        };
        let row = seen_variants(ctx)?
            .filter(which)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(row.map(Variant))
    }
}

/// A code that a variant is to be found by.
#[derive(Clone, Debug, InputObject)]
pub struct VariantCodeInput {
    /// The code: 1 to 64 characters, no blanks. It is compared without case, dashes, dots, slashes
    /// and underscores, and unique among all variants (CODE_TAKEN).
    pub code: String,
    /// What it is: ALIAS, GTIN or CASE.
    pub kind: VariantCodeKind,
    /// How many units a scan of it is worth: 2 to 1,000,000 for CASE, 1 for the others.
    #[graphql(default = 1)]
    pub units: i64,
}

fn codes(inputs: Vec<VariantCodeInput>) -> Vec<products::NewCode> {
    inputs
        .into_iter()
        .map(|input| products::NewCode {
            code: input.code,
            kind: input.kind.into(),
            units: input.units,
        })
        .collect()
}

/// A variant that is to be.
#[derive(Clone, Debug, InputObject)]
pub struct VariantInput {
    /// Its stock-keeping unit: 1 to 64 characters, no blanks; unique among all codes (CODE_TAKEN).
    pub sku: String,
    /// Its name on orders, 1 to 300 characters.
    pub title: String,
    /// Whether it may be ordered while there is none.
    #[graphql(default)]
    pub backorderable: bool,
    /// How it is taxed; kept in capitals.
    #[graphql(default_with = "\"STANDARD\".to_owned()")]
    pub tax_category: String,
    /// Weight of a unit, in grams: 0 to 1,000,000,000.
    pub weight_grams: i64,
    /// Whether it is dangerous goods, which few services of carriers take.
    #[graphql(default)]
    pub dangerous_goods: bool,
    /// Length of a unit, in millimetres: 1 to 1,000,000.
    pub length_mm: Option<i32>,
    /// Width of a unit, in millimetres: 1 to 1,000,000.
    pub width_mm: Option<i32>,
    /// Height of a unit, in millimetres: 1 to 1,000,000.
    pub height_mm: Option<i32>,
    /// The codes that it is found by besides its SKU, at most 100.
    #[graphql(default)]
    pub codes: Vec<VariantCodeInput>,
    /// The channels that sell it (NOT_FOUND).
    #[graphql(default)]
    pub channel_ids: Vec<ID>,
}

impl VariantInput {
    fn new_variant(self, ctx: &Context<'_>, path: &str) -> Result<products::NewVariant, Problem> {
        Ok(products::NewVariant {
            sku: self.sku,
            title: self.title,
            backorderable: self.backorderable,
            tax_category: self.tax_category,
            weight_grams: self.weight_grams,
            dangerous_goods: self.dangerous_goods,
            length_mm: self.length_mm,
            width_mm: self.width_mm,
            height_mm: self.height_mm,
            codes: codes(self.codes),
            channels: seen_channels(ctx, &self.channel_ids, &format!("{path}.channelIds"))?,
        })
    }
}

/// What `productCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ProductCreateInput {
    /// Its name in feeds: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, 1 to 300 characters.
    pub title: String,
    /// What it is, at most 4,000 characters.
    pub description: Option<String>,
    /// Key-values that everyone sees, at most 100; of two with the same key, the last.
    #[graphql(default, validator(max_items = 100))]
    pub metadata: Vec<MetadataInput>,
    /// Its variants, at most 100; more can be made later.
    #[graphql(default, validator(max_items = 100))]
    pub variants: Vec<VariantInput>,
}

impl ProductCreateInput {
    fn command(self, ctx: &Context<'_>) -> Result<products::Create, Problem> {
        let mut variants = Vec::with_capacity(self.variants.len());
        for (place, variant) in self.variants.into_iter().enumerate() {
            variants.push(variant.new_variant(ctx, &format!("input.variants.{place}"))?);
        }
        Ok(products::Create {
            code: self.code,
            title: self.title,
            description: self.description,
            metadata: metadata(self.metadata),
            variants,
        })
    }
}

/// What `productUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct ProductUpdateInput {
    /// Which product (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// Its name on screens, 1 to 300 characters.
    pub title: Option<String>,
    /// What it is, at most 4,000 characters; null removes it.
    pub description: MaybeUndefined<String>,
    /// All its key-values, at most 100; of two with the same key, the last.
    #[graphql(validator(max_items = 100))]
    pub metadata: Option<Vec<MetadataInput>>,
}

impl ProductUpdateInput {
    fn command(self) -> Result<products::Update, Problem> {
        Ok(products::Update {
            id: from_global(&self.id, "input.id")?,
            expected_version: self.expected_version,
            title: self.title,
            description: self.description.into(),
            metadata: self.metadata.map(metadata),
        })
    }
}

/// What `variantCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct VariantCreateInput {
    /// The product that it is of (NOT_FOUND).
    pub product_id: ID,
    /// What it is to be.
    pub variant: VariantInput,
}

impl VariantCreateInput {
    fn command(self, ctx: &Context<'_>) -> Result<products::CreateVariant, Problem> {
        Ok(products::CreateVariant {
            product_id: from_global(&self.product_id, "input.productId")?,
            variant: self.variant.new_variant(ctx, "input.variant")?,
        })
    }
}

/// What `variantUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct VariantUpdateInput {
    /// Which variant (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// Its name on orders, 1 to 300 characters.
    pub title: Option<String>,
    /// Whether it may be ordered while there is none.
    pub backorderable: Option<bool>,
    /// How it is taxed; kept in capitals.
    pub tax_category: Option<String>,
    /// Weight of a unit, in grams: 0 to 1,000,000,000.
    pub weight_grams: Option<i64>,
    /// Whether it is dangerous goods, which few services of carriers take.
    pub dangerous_goods: Option<bool>,
    /// Length of a unit, in millimetres: 1 to 1,000,000; null removes it.
    pub length_mm: MaybeUndefined<i32>,
    /// Width of a unit, in millimetres: 1 to 1,000,000; null removes it.
    pub width_mm: MaybeUndefined<i32>,
    /// Height of a unit, in millimetres: 1 to 1,000,000; null removes it.
    pub height_mm: MaybeUndefined<i32>,
}

impl VariantUpdateInput {
    fn command(self) -> Result<products::UpdateVariant, Problem> {
        Ok(products::UpdateVariant {
            id: from_global(&self.id, "input.id")?,
            expected_version: self.expected_version,
            title: self.title,
            backorderable: self.backorderable,
            tax_category: self.tax_category,
            weight_grams: self.weight_grams,
            dangerous_goods: self.dangerous_goods,
            length_mm: self.length_mm.into(),
            width_mm: self.width_mm.into(),
            height_mm: self.height_mm.into(),
        })
    }
}

/// What `variantDiscontinue` needs.
#[derive(Clone, Debug, InputObject)]
pub struct VariantDiscontinueInput {
    /// Which variant (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
}

impl VariantDiscontinueInput {
    fn command(self) -> Result<products::Discontinue, Problem> {
        Ok(products::Discontinue {
            id: from_global(&self.id, "input.id")?,
            expected_version: self.expected_version,
        })
    }
}

/// What `variantSetCodes` needs.
#[derive(Clone, Debug, InputObject)]
pub struct VariantSetCodesInput {
    /// Which variant (NOT_FOUND).
    pub variant_id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// All the codes that it is found by besides its SKU, at most 100.
    pub codes: Vec<VariantCodeInput>,
}

impl VariantSetCodesInput {
    fn command(self) -> Result<products::SetCodes, Problem> {
        Ok(products::SetCodes {
            variant_id: from_global(&self.variant_id, "input.variantId")?,
            expected_version: self.expected_version,
            codes: codes(self.codes),
        })
    }
}

/// What `variantSetListings` needs.
#[derive(Clone, Debug, InputObject)]
pub struct VariantSetListingsInput {
    /// Which variant (NOT_FOUND).
    pub variant_id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// All the channels that sell it (NOT_FOUND). Channels that you do not see stay as they are.
    pub channel_ids: Vec<ID>,
}

impl VariantSetListingsInput {
    fn command(self, ctx: &Context<'_>) -> Result<products::SetListings, Problem> {
        Ok(products::SetListings {
            variant_id: from_global(&self.variant_id, "input.variantId")?,
            expected_version: self.expected_version,
            channels: seen_channels(ctx, &self.channel_ids, "input.channelIds")?,
            within: confined(ctx).ok().flatten().cloned(),
        })
    }
}

payloads! {
    /// What `productCreate` came to.
    ProductCreatePayload {
        /// The new product; null if it was refused.
        product: Product
    }
    /// What `productUpdate` came to.
    ProductUpdatePayload {
        /// The product after the change; null if it was refused.
        product: Product
    }
    /// What `variantCreate` came to.
    VariantCreatePayload {
        /// The new variant; null if it was refused.
        variant: Variant
    }
    /// What `variantUpdate` came to.
    VariantUpdatePayload {
        /// The variant after the change; null if it was refused.
        variant: Variant
    }
    /// What `variantDiscontinue` came to.
    VariantDiscontinuePayload {
        /// The variant after the change; null if it was refused.
        variant: Variant
    }
    /// What `variantSetCodes` came to.
    VariantSetCodesPayload {
        /// The variant after the change; null if it was refused.
        variant: Variant
    }
    /// What `variantSetListings` came to.
    VariantSetListingsPayload {
        /// The variant after the change; null if it was refused.
        variant: Variant
    }
}

/// Changes of products.
#[derive(Default)]
pub struct ProductMutation;

/// Changes of products.
#[Object]
impl ProductMutation {
    /// Makes a product with its variants, all or nothing; each variant gets an empty stock row in
    /// every warehouse. Refusals: CODE_TAKEN, NOT_FOUND, NAME_INVALID, QUANTITY_INVALID, TOO_MANY,
    /// INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn product_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the product is to be.")] input: ProductCreateInput,
    ) -> Result<ProductCreatePayload> {
        let cmd = input.command(ctx);
        Ok(run(ctx, cmd, products::create).await?.into())
    }

    /// Changes a product. Refusals: NOT_FOUND, STALE_VERSION, NAME_INVALID, INVALID_INPUT.
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn product_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: ProductUpdateInput,
    ) -> Result<ProductUpdatePayload> {
        Ok(run(ctx, input.command(), products::update).await?.into())
    }

    /// Makes a variant of a product, with an empty stock row in every warehouse. Refusals:
    /// CODE_TAKEN, NOT_FOUND, NAME_INVALID, QUANTITY_INVALID, TOO_MANY, INVALID_INPUT.
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn variant_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the variant is to be.")] input: VariantCreateInput,
    ) -> Result<VariantCreatePayload> {
        let cmd = input.command(ctx);
        Ok(run(ctx, cmd, products::create_variant).await?.into())
    }

    /// Changes a variant; its SKU stays. Orders that were taken before keep what they were taken
    /// under. Refusals: NOT_FOUND, STALE_VERSION, NAME_INVALID, QUANTITY_INVALID, INVALID_INPUT.
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn variant_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: VariantUpdateInput,
    ) -> Result<VariantUpdatePayload> {
        let cmd = input.command();
        Ok(run(ctx, cmd, products::update_variant).await?.into())
    }

    /// Ends the sale of a variant; its orders and its stock stay. Doing it twice changes nothing.
    /// Refusals: NOT_FOUND, STALE_VERSION. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn variant_discontinue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which variant.")] input: VariantDiscontinueInput,
    ) -> Result<VariantDiscontinuePayload> {
        Ok(run(ctx, input.command(), products::discontinue)
            .await?
            .into())
    }

    /// Replaces the codes that a variant is found by; its SKU stays one of them. Refusals:
    /// NOT_FOUND, STALE_VERSION, CODE_TAKEN (`details` has the holder), QUANTITY_INVALID,
    /// TOO_MANY, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn variant_set_codes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which variant, and its codes.")] input: VariantSetCodesInput,
    ) -> Result<VariantSetCodesPayload> {
        Ok(run(ctx, input.command(), products::set_codes).await?.into())
    }

    /// Says which channels sell a variant. Refusals: NOT_FOUND, STALE_VERSION, INVALID_INPUT.
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn variant_set_listings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which variant, and its channels.")] input: VariantSetListingsInput,
    ) -> Result<VariantSetListingsPayload> {
        let cmd = input.command(ctx);
        Ok(run(ctx, cmd, products::set_listings).await?.into())
    }
}
