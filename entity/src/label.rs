//! Labels bought of carriers.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::carrier::Adapter;
use crate::{Currency, LabelId, OrderId, PackageId};

/// What is known of a purchase.
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
    /// Not asked for yet.
    Ready,
    /// Asked for; the answer is under way.
    Sent,
    /// No definite answer; it will be asked about, never bought again.
    Unknown,
    /// Bought.
    Succeeded,
    /// Refused.
    Declined,
    /// The carrier never sold it, and is no longer asked to.
    NotExecuted,
    /// Bought, and being given back.
    Voiding,
    /// Given back.
    Voided,
}

/// What a label was made in.
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
    /// Pages.
    Pdf,
    /// The language of label printers.
    Zpl,
    /// A picture.
    Png,
}

/// A purchase. Its id is the idempotency key at the carrier; a package has one that is live, at most.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "label")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LabelId,
    /// The parcel.
    pub package_id: PackageId,
    /// The order.
    pub order_id: OrderId,
    /// The carrier's code.
    pub carrier: String,
    /// The service's code.
    pub service: String,
    /// Who is asked.
    pub adapter: Adapter,
    /// What the carrier is told: sender, receiver, parcel.
    #[sea_orm(column_type = "JsonBinary")]
    pub request: Json,
    /// Its place in the series that our own numbers are made of.
    pub serial: i64,
    /// What is known.
    pub state: State,
    /// What the carrier has got ready and sells under this name; bought is nothing else.
    pub offer: Option<String>,
    /// The carrier's name for the rate at which it sells.
    pub offer_rate: Option<String>,
    /// What it costs, in minor units: as chosen, and as asked once it is bought.
    pub cost_minor: i64,
    /// Of the cost.
    pub currency: Currency,
    /// The parcel's name at the carrier.
    pub tracking_number: Option<String>,
    /// Where the customer can follow it.
    pub tracking_url: Option<String>,
    /// Where the carrier keeps the label that it made; none = we make it.
    pub document_url: Option<String>,
    /// What that label is.
    pub document_format: Option<Format>,
    /// The label that the carrier made.
    #[serde(with = "hex")]
    pub document: Option<Vec<u8>>,
    /// Why it was refused, or was not given back.
    pub reason: Option<String>,
    /// How often the carrier was called for it.
    pub attempts: i32,
    /// When it was first called.
    pub first_sent_at: Option<DateTimeUtc>,
    /// When something is due: to ask again, to fetch the label, to give it back.
    pub next_check_at: Option<DateTimeUtc>,
    /// When it was asked for.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Bytes as text.
mod hex {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        let text = bytes.as_ref().map(|bytes| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                // Writing to a string does not fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        });
        text.serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let digits = text.as_bytes().chunks(2);
        let bytes = digits.map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(Error::custom)?;
            u8::from_str_radix(pair, 16).map_err(Error::custom)
        });
        bytes.collect::<Result<_, _>>().map(Some)
    }
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
