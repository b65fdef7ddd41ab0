//! Warehouses and bins on the wire.

use async_graphql::{Context, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use entity::{bin, warehouse};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter};

use crate::access::Scope;
use crate::catalogue::warehouses;
use crate::failure::Problem;
use crate::graphql::command::{payloads, run, run_on_reference};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::load;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::{Allowed, app};

/// A place that stock lies in and parcels leave from.
pub struct Warehouse(pub warehouse::Model);

impl From<warehouse::Model> for Warehouse {
    fn from(row: warehouse::Model) -> Self {
        Warehouse(row)
    }
}

/// A place that stock lies in and parcels leave from.
#[Object]
impl Warehouse {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The country that it is in: ISO 3166-1 alpha-2.
    async fn country(&self) -> &str {
        &self.0.country
    }

    /// Whether it takes work. One that does not serves no channel; what it holds stays held.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// Street and number, as they stand on labels.
    async fn street(&self) -> Option<&str> {
        self.0.street.as_deref()
    }

    /// The postal code.
    async fn postal_code(&self) -> Option<&str> {
        self.0.postal_code.as_deref()
    }

    /// The place.
    async fn city(&self) -> Option<&str> {
        self.0.city.as_deref()
    }

    /// A telephone number for carriers.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }

    /// Whether who has picked a unit may not pack it.
    async fn two_person_check(&self) -> bool {
        self.0.two_person_check
    }

    /// Its bins, by code.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn bins(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Bin>> {
        let rows = bin::Entity::find().filter(bin::Column::WarehouseId.eq(self.0.id));
        let sort = Sort {
            column: bin::Column::Code,
            id: bin::Column::Id,
            order: Order::Asc,
            key: |row: &bin::Model| (row.code.clone(), row.id.0),
        };
        page(app(ctx), rows, sort, first, after, Bin).await
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// A place in a warehouse, in the walking order of zone, aisle, bay, level, position.
pub struct Bin(pub bin::Model);

impl From<bin::Model> for Bin {
    fn from(row: bin::Model) -> Self {
        Bin(row)
    }
}

/// A place in a warehouse, in the walking order of zone, aisle, bay, level, position.
#[Object]
impl Bin {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What its label says; unique in the warehouse.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// The part of the warehouse; may be blank.
    async fn zone(&self) -> &str {
        &self.0.zone
    }

    /// The aisle in the zone; may be blank.
    async fn aisle(&self) -> &str {
        &self.0.aisle
    }

    /// The bay in the aisle; may be blank.
    async fn bay(&self) -> &str {
        &self.0.bay
    }

    /// The level in the bay; may be blank.
    async fn level(&self) -> &str {
        &self.0.level
    }

    /// The place on the level; may be blank.
    async fn position(&self) -> &str {
        &self.0.position
    }

    /// Whether nothing may be taken from it now (counting, damage).
    async fn locked(&self) -> bool {
        self.0.locked
    }

    /// Whether picked goods lie in it until they leave, rather than goods that are kept.
    async fn is_staging(&self) -> bool {
        self.0.purpose == bin::Purpose::Staging
    }

    /// The warehouse that it is in.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse_id).await?.map(Warehouse))
    }
}

/// Reads of warehouses.
#[derive(Default)]
pub struct WarehouseQuery;

/// Reads of warehouses.
#[Object]
impl WarehouseQuery {
    /// The warehouses, by code. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn warehouses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Warehouse>> {
        let sort = Sort {
            column: warehouse::Column::Code,
            id: warehouse::Column::Id,
            order: Order::Asc,
            key: |row: &warehouse::Model| (row.code.clone(), row.id.0),
        };
        let rows = warehouse::Entity::find();
        page(app(ctx), rows, sort, first, after, Warehouse).await
    }

    /// A warehouse; null if there is none. Needs the scope CATALOGUE_READ.
    #[graphql(guard = "Allowed(Scope::CatalogueRead)")]
    async fn warehouse(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Warehouse>> {
        match from_global::<entity::WarehouseId>(&id, "id") {
            Ok(id) => Ok(load(ctx, id).await?.map(Warehouse)),
            Err(_) => Ok(None),
        }
    }
}

/// What `warehouseCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct WarehouseCreateInput {
    /// Its name in feeds: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, 1 to 300 characters.
    pub name: String,
    /// The country that it is in: ISO 3166-1 alpha-2.
    pub country: String,
}

impl WarehouseCreateInput {
    fn command(self) -> Result<warehouses::Create, Problem> {
        Ok(warehouses::Create {
            country: super::country("input.country", &self.country)?,
            code: self.code,
            name: self.name,
        })
    }
}

/// What `warehouseUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct WarehouseUpdateInput {
    /// Which warehouse (NOT_FOUND).
    pub id: ID,
    /// Its name on screens, 1 to 300 characters.
    pub name: Option<String>,
    /// Whether it takes work. One that does not serves no channel; what it holds stays held.
    pub active: Option<bool>,
    /// Street and number, as they stand on labels; blank = none.
    pub street: Option<String>,
    /// The postal code; blank = none.
    pub postal_code: Option<String>,
    /// The place; blank = none.
    pub city: Option<String>,
    /// A telephone number for carriers; blank = none.
    pub phone: Option<String>,
    /// Whether who has picked a unit may not pack it (SCAN_SAME_PERSON).
    pub two_person_check: Option<bool>,
}

impl WarehouseUpdateInput {
    fn command(self) -> Result<warehouses::Update, Problem> {
        Ok(warehouses::Update {
            id: from_global(&self.id, "input.id")?,
            name: self.name,
            active: self.active,
            street: self.street,
            postal_code: self.postal_code,
            city: self.city,
            phone: self.phone,
            two_person_check: self.two_person_check,
        })
    }
}

/// What `binLock` needs.
#[derive(Clone, Debug, InputObject)]
pub struct BinLockInput {
    /// Which bin (NOT_FOUND).
    pub id: ID,
    /// Whether nothing may be put onto pick lists from it from now on.
    pub locked: bool,
}

/// What `binCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct BinCreateInput {
    /// The warehouse that it is in (NOT_FOUND).
    pub warehouse_id: ID,
    /// What its label says: 1 to 64 characters, no blanks; unique in the warehouse (CODE_TAKEN).
    pub code: String,
    /// The part of the warehouse, at most 64 characters.
    #[graphql(default)]
    pub zone: String,
    /// The aisle in the zone, at most 64 characters.
    #[graphql(default)]
    pub aisle: String,
    /// The bay in the aisle, at most 64 characters.
    #[graphql(default)]
    pub bay: String,
    /// The level in the bay, at most 64 characters.
    #[graphql(default)]
    pub level: String,
    /// The place on the level, at most 64 characters.
    #[graphql(default)]
    pub position: String,
}

impl BinCreateInput {
    fn command(self) -> Result<warehouses::CreateBin, Problem> {
        Ok(warehouses::CreateBin {
            warehouse_id: from_global(&self.warehouse_id, "input.warehouseId")?,
            code: self.code,
            zone: self.zone,
            aisle: self.aisle,
            bay: self.bay,
            level: self.level,
            position: self.position,
        })
    }
}

payloads! {
    /// What `warehouseCreate` came to.
    WarehouseCreatePayload {
        /// The new warehouse; null if it was refused.
        warehouse: Warehouse
    }
    /// What `warehouseUpdate` came to.
    WarehouseUpdatePayload {
        /// The warehouse after the change; null if it was refused.
        warehouse: Warehouse
    }
    /// What `binLock` came to.
    BinLockPayload {
        /// The bin after the change; null if it was refused.
        bin: Bin
    }
    /// What `binCreate` came to.
    BinCreatePayload {
        /// The new bin; null if it was refused.
        bin: Bin
    }
}

/// Changes of warehouses.
#[derive(Default)]
pub struct WarehouseMutation;

/// Changes of warehouses.
#[Object]
impl WarehouseMutation {
    /// Makes a warehouse, with an empty stock row for every variant. It needs a bin before goods
    /// can be received, and a channel before orders are served from it. Refusals: CODE_TAKEN,
    /// NAME_INVALID, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn warehouse_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the warehouse is to be.")] input: WarehouseCreateInput,
    ) -> Result<WarehouseCreatePayload> {
        let cmd = input.command();
        Ok(run(ctx, cmd, warehouses::create).await?.into())
    }

    /// Changes a warehouse. Refusals: NOT_FOUND, NAME_INVALID. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn warehouse_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: WarehouseUpdateInput,
    ) -> Result<WarehouseUpdatePayload> {
        let cmd = input.command();
        Ok(run_on_reference(ctx, cmd, warehouses::update).await?.into())
    }

    /// Makes a bin. Refusals: NOT_FOUND, CODE_TAKEN, INVALID_INPUT.
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn bin_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the bin is to be.")] input: BinCreateInput,
    ) -> Result<BinCreatePayload> {
        let cmd = input.command();
        Ok(run(ctx, cmd, warehouses::create_bin).await?.into())
    }

    /// Locks a bin, for counting or because of damage, or unlocks it. What is on pick lists already
    /// may still be taken from it. Refusals: NOT_FOUND. Needs the scope STOCK_MANAGE.
    #[graphql(guard = "Allowed(Scope::StockManage)")]
    async fn bin_lock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which bin.")] input: BinLockInput,
    ) -> Result<BinLockPayload> {
        let cmd = from_global(&input.id, "input.id").map(|id| warehouses::LockBin {
            id,
            locked: input.locked,
        });
        Ok(run(ctx, cmd, warehouses::lock_bin).await?.into())
    }
}
