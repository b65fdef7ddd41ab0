//! Notes of people on an order.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{NoteId, OrderId};

/// A note.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "note")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NoteId,
    /// The order that it is on.
    pub order_id: OrderId,
    /// What it says.
    pub body: String,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
