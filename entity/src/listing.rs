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

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
