//! Messages that are owed to people.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, MessageId, OrderId};

/// What a message is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// A shipment was handed to its carrier.
    ShipmentDispatched,
    /// The tracking number of a dispatched shipment was wrong; this is the right one.
    TrackingCorrected,
    /// A shipment was paid for; its invoice is attached.
    InvoiceIssued,
    /// An invoice was corrected; the credit note is attached.
    CreditNoteIssued,
}

/// Where a message stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// It waits to be sent, or to be tried again. No mail server has taken it.
    Queued,
    /// A node is handing it to the mail server.
    Sending,
    /// The mail server has taken it.
    Sent,
    /// It is not tried again. No mail server has taken it.
    Failed,
    /// There is no address to send it to.
    Undeliverable,
    /// The mail server may have taken it: a try had no definite answer.
    Unknown,
}

/// Why a message, or one try, did not come to its end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// There is no address, or one that is none.
    NoAddress,
    /// No mail server could be spoken to, or it went away before it had the message.
    Unreachable,
    /// The mail server asked for another try later.
    Deferred,
    /// The mail server refused for good.
    Rejected,
    /// The mail server had the message and gave no answer, or the node that sent it did not live
    /// to write the answer down.
    Unanswered,
    /// No template could be filled in.
    Unrendered,
}

/// A message that is owed to somebody.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message")]
pub struct Model {
    /// Its identifier, and what its Message-ID is made of.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    /// What it is owed for; unique, so that it is owed once.
    #[sea_orm(unique)]
    pub key: String,
    /// What it is about.
    pub kind: Kind,
    /// The order on whose timeline it stands.
    pub order_id: OrderId,
    /// The channel that it is sent for.
    pub channel_id: ChannelId,
    /// Where it goes; none = there is no address.
    pub recipient: Option<String>,
    /// The language that was asked for: `de-AT`, `en` …
    pub language: String,
    /// What its template may say.
    #[sea_orm(column_type = "JsonBinary")]
    pub facts: Json,
    /// Where it stands.
    pub state: State,
    /// How often a node took it up to send it.
    pub attempts: i32,
    /// When it is looked at next: to be sent or, while it is being sent, given up for lost.
    pub next_attempt_at: Option<DateTimeUtc>,
    /// Why the last try came to nothing.
    pub reason: Option<Reason>,
    /// Its subject, since it was first taken up.
    pub subject: Option<String>,
    /// Its text, since it was first taken up.
    pub text_body: Option<String>,
    /// The same as HTML.
    pub html_body: Option<String>,
    /// The message that it repeats.
    pub resend_of: Option<MessageId>,
    /// When it was owed.
    pub created_at: DateTimeUtc,
    /// When the mail server took it.
    pub sent_at: Option<DateTimeUtc>,
    /// +1 with every event of it.
    pub version: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
