//! Where requests came from that changed something.

use sea_orm::entity::prelude::*;

/// Where a request came from. Rows are forgotten after a while; the log is not.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "request_origin")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The request, as the log names it.
    pub correlation_id: String,
    /// Who asked. A client chooses the names of its requests, so two may use the same.
    pub actor: String,
    /// The address at the other end of the connection.
    pub address: String,
    /// The addresses that proxies say stand behind it; blank if they say nothing.
    pub forwarded: String,
    /// What the client calls itself; may be blank.
    pub agent: String,
    /// When the first change of it was made.
    pub at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
