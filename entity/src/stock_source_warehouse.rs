//! Which warehouses a source of stock figures speaks for.

use sea_orm::entity::prelude::*;

use crate::{StockSourceId, WarehouseId};

/// A warehouse and the one source that states its stock.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock_source_warehouse")]
pub struct Model {
    /// The warehouse.
    #[sea_orm(primary_key, auto_increment = false)]
    pub warehouse_id: WarehouseId,
    /// The source.
    pub source_id: StockSourceId,
}

/// The joins that are read often.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The source.
    #[sea_orm(
        belongs_to = "crate::stock_source::Entity",
        from = "Column::SourceId",
        to = "crate::stock_source::Column::Id"
    )]
    Source,
}

impl Related<crate::stock_source::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Source.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
