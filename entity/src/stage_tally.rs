//! How many orders stand at each stage, by channel.

use sea_orm::entity::prelude::*;

use crate::ChannelId;
use crate::order::Stage;

/// What the log says up to the projection's position.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stage_tally")]
pub struct Model {
    /// Of which channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// At which stage.
    #[sea_orm(primary_key, auto_increment = false)]
    pub stage: Stage,
    /// How many orders.
    pub orders: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
