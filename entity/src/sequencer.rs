//! The one row that says how far the log is.

use sea_orm::entity::prelude::*;

/// Its row lock is the fence: who holds it gives out positions.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sequencer")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Changes when the log is restored from a backup, so that old cursors are known.
    pub epoch: Uuid,
    /// The newest position.
    pub last_seq: i64,
    /// Readers from before this position start anew: of what stands there, not all is kept.
    pub floor_seq: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
