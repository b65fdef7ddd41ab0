//! Exports: rows of one kind as a file, made part by part.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ExportId, TimeZone};

/// What its rows are.
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
    /// Orders.
    Orders,
    /// Lines of orders.
    OrderLines,
    /// Shipments.
    Shipments,
    /// Invoices and credit notes.
    Invoices,
    /// Lines of invoices and credit notes.
    InvoiceLines,
    /// Postings of the ledger of money.
    LedgerEntries,
    /// Stock as it is.
    Stock,
    /// The ledger of stock.
    StockMovements,
    /// Exceptions on orders.
    Exceptions,
}

/// How its rows are written.
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
    /// By RFC 4180, with a header.
    Csv,
    /// An object a line.
    Jsonl,
}

impl Format {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Jsonl => "application/jsonl",
        }
    }

    /// What names of its files end with.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        }
    }
}

/// Where an export stands.
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
    /// Parts are to be made.
    Running,
    /// It can be read.
    Completed,
    /// Somebody stopped it.
    Cancelled,
    /// It cannot be made.
    Failed,
    /// It could be read, and is gone.
    Expired,
}

/// An export. What it holds is fixed when it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "export")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ExportId,
    /// What its rows are.
    pub kind: Kind,
    /// How they are written.
    pub format: Format,
    /// Where it stands.
    pub state: State,
    /// The channels whose rows it has, as a list; none = all.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub channels: Option<Json>,
    /// Whether it has the columns with personal data.
    pub personal: bool,
    /// The first moment whose rows it has; none = from the beginning.
    pub since: Option<DateTimeUtc>,
    /// The first moment whose rows it no longer has.
    pub until: DateTimeUtc,
    /// Whose local times stand beside the moments, if anybody's.
    pub time_zone: Option<TimeZone>,
    /// The place of the last row that is written.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub place: Option<Json>,
    /// How many rows there were when it began.
    pub rows_total: Option<i64>,
    /// How many rows are written.
    pub rows_done: i64,
    /// How many parts are written.
    pub parts: i32,
    /// How many bytes they have.
    pub bytes: i64,
    /// Why it cannot be made, for programs.
    pub failure: Option<String>,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: DateTimeUtc,
    /// When nothing more came of it.
    pub finished_at: Option<DateTimeUtc>,
    /// The first moment that it can no longer be read.
    pub expires_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
