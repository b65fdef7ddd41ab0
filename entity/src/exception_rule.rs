//! Rules as data: which orders wait for a person, and for whom.

use sea_orm::entity::prelude::*;

use crate::order_exception::Severity;
use crate::{ChannelId, ExceptionRuleId};

/// A rule. An order for which its expression is true gets an exception.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "exception_rule")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ExceptionRuleId,
    /// Its name in feeds; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name on screens, and the summary of the exceptions that it makes.
    pub name: String,
    /// When it applies: a CEL expression over the order.
    pub expression: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it stops the order.
    pub blocking: bool,
    /// The team whose the exception is.
    pub queue: String,
    /// What may be done about it, as an array of names.
    #[sea_orm(column_type = "JsonBinary")]
    pub suggested_actions: Json,
    /// The one channel whose orders it judges; none = all.
    pub channel_id: Option<ChannelId>,
    /// Whether it judges orders at present.
    pub enabled: bool,
    /// +1 with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
