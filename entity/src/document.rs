//! Documents that were printed: what they are and whose. Their bytes are in [`document_content`],
//! so that a list never reads them.
//!
//! [`document_content`]: crate::document_content

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, DocumentId, OrderId};

/// What a document is.
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
    /// What a carrier reads on a parcel.
    Label,
    /// What lies in a parcel.
    PackingSlip,
    /// What is fetched from the shelves.
    PickList,
    /// What a carrier takes along.
    Manifest,
    /// What is owed.
    Invoice,
    /// What is no longer owed.
    CreditNote,
}

/// What the bytes of a document are.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Format {
    /// For people and for any printer.
    Pdf,
    /// For label printers.
    Zpl,
    /// For the programs of others.
    Xml,
}

impl Format {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Pdf => "application/pdf",
            Format::Zpl => "application/zpl",
            Format::Xml => "application/xml",
        }
    }

    /// What names of its files end with.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Pdf => "pdf",
            Format::Zpl => "zpl",
            Format::Xml => "xml",
        }
    }
}

/// A document. Once stored it stays as it is; it can only be voided.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "document")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DocumentId,
    /// What it is.
    pub kind: Kind,
    /// What its bytes are.
    pub format: Format,
    /// Their media type.
    pub content_type: String,
    /// What a file of it is called.
    pub file_name: String,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// How many bytes.
    pub size: i64,
    /// The order that it is about, if it is about one.
    pub order_id: Option<OrderId>,
    /// The channel whose readers may see it; none = staff only.
    pub channel_id: Option<ChannelId>,
    /// What it was printed for: `package:<uuid>`. One document of each kind and format is in force.
    pub subject: String,
    /// How often it or its state changed, the beginning included.
    pub version: i64,
    /// When it was stored.
    pub created_at: DateTimeUtc,
    /// By whom.
    pub created_by: String,
    /// Since when it is no longer in force.
    pub voided_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
