//! What a channel sells.

use sea_orm::entity::prelude::*;

use crate::{ChannelId, VariantId};

/// A variant that a channel sells.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "listing")]
pub struct Model {
    /// The channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// What it sells.
    #[sea_orm(primary_key, auto_increment = false)]
    pub variant_id: VariantId,
}

/// The joins that are read often.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// What the variant costs, in every price list.
    #[sea_orm(
        belongs_to = "crate::price::Entity",
        from = "Column::VariantId",
        to = "crate::price::Column::VariantId"
    )]
    Price,
}

impl Related<crate::price::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Price.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
