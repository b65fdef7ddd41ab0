//! The tables of OMS: one file a table, with its column enums; typed identifiers; money.
//!
//! Nothing here does I/O or knows of GraphQL or HTTP. What a status may become is decided in the
//! domains of the `api` crate; what a column may hold is decided by the `migration` crate.

mod id;
mod money;
mod rate;

pub mod channel;
pub mod promotion;

pub use id::*;
pub use money::{Currency, Money, MoneyError};
pub use rate::Rate;
