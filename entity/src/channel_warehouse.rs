//! Which warehouses serve a channel.

use sea_orm::entity::prelude::*;

use crate::{ChannelId, WarehouseId};

/// A warehouse that serves a channel; the lowest priority is asked first.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_warehouse")]
pub struct Model {
    /// The channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// The warehouse.
    #[sea_orm(primary_key, auto_increment = false)]
    pub warehouse_id: WarehouseId,
    /// Lower is asked first.
    pub priority: i32,
}

/// The joins that are read often.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The warehouse, which may take no work at present.
    #[sea_orm(
        belongs_to = "crate::warehouse::Entity",
        from = "Column::WarehouseId",
        to = "crate::warehouse::Column::Id"
    )]
    Warehouse,
}

impl ActiveModelBehavior for ActiveModel {}
