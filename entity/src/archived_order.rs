//! Orders that were put away: what is searched and checked as columns, the rest as it was.

use sea_orm::entity::prelude::*;

use crate::order::{PaymentMethod, Stage, Status};
use crate::{ChannelId, Currency, CustomerId, OrderId};

/// An order that was put away. Nothing of it changes but what says who somebody is; it leaves only
/// by being opened again.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "archived_order")]
pub struct Model {
    /// The order's identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrderId,
    /// What people call it; unique, among orders that were not put away, too.
    #[sea_orm(unique)]
    pub number: String,
    /// Where it came from.
    pub channel_id: ChannelId,
    /// Its name at the channel; unique there, among orders that were not put away, too.
    pub external_reference: Option<String>,
    /// SHA-256 of what was submitted.
    pub fingerprint: String,
    /// Whose it is; none = a guest's.
    pub customer_id: Option<CustomerId>,
    /// Who ordered, as given.
    pub customer_name: String,
    /// Where its notices went, in small letters.
    pub email: Option<String>,
    /// How it ended.
    pub status: Status,
    /// Where it stands on the live board's tally.
    pub stage: Stage,
    /// How it was paid.
    pub payment_method: PaymentMethod,
    /// Who moved its money.
    pub gateway: String,
    /// The currency of every amount of it.
    pub currency: Currency,
    /// What was due in all, in minor units.
    pub total_minor: i64,
    /// What was set aside, in minor units.
    pub authorized_minor: i64,
    /// What was captured, in minor units.
    pub captured_minor: i64,
    /// What was given back, in minor units.
    pub refunded_minor: i64,
    /// What its invoices came to, in minor units; credit notes are not taken off.
    pub invoiced_minor: i64,
    /// How many units have left.
    pub units_shipped: i64,
    /// The version of its newest event.
    pub version: i64,
    /// The order that it was split off.
    pub split_from_order_id: Option<OrderId>,
    /// When the customer ordered.
    pub placed_at: DateTimeUtc,
    /// When it came in.
    pub received_at: DateTimeUtc,
    /// When it was completed, cancelled, rejected or expired.
    pub closed_at: Option<DateTimeUtc>,
    /// When it was put away.
    pub archived_at: DateTimeUtc,
    /// How the snapshot is written.
    pub snapshot_version: i32,
    /// Its rows in all tables that it left, as JSON.
    #[sea_orm(column_type = "Text")]
    pub snapshot: String,
    /// SHA-256 of the snapshot.
    pub sha256: String,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
