//! The merchant's own wording of messages.

use sea_orm::entity::prelude::*;

use crate::message::Kind;
use crate::{ChannelId, MessageTemplateId};

/// A template that stands in for the one that the program brings.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_template")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageTemplateId,
    /// The messages that it is for.
    pub kind: Kind,
    /// The language that it is in: `de-AT`, `en` …
    pub language: String,
    /// The one channel whose messages it is for; none = all.
    pub channel_id: Option<ChannelId>,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text_body: String,
    /// The same as HTML.
    pub html_body: String,
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
