//! Tries to send a message.

use sea_orm::entity::prelude::*;

use crate::MessageId;
use crate::message::Reason;

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_attempt")]
pub struct Model {
    /// The message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// 1 for the first try.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    /// When a node took the message up.
    pub started_at: DateTimeUtc,
    /// When the outcome was written down.
    pub ended_at: Option<DateTimeUtc>,
    /// Why it came to nothing; none = it is under way, or the mail server took the message.
    pub reason: Option<Reason>,
    /// What the mail server said, or what went wrong.
    pub answer: Option<String>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
