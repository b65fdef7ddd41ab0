//! Who sells in which channel.

use sea_orm::entity::prelude::*;

use crate::{ChannelId, LegalEntityId};

/// A channel with its seller. One without issues no invoices.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "legal_entity_channel")]
pub struct Model {
    /// The channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// Who sells there.
    pub legal_entity_id: LegalEntityId,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
