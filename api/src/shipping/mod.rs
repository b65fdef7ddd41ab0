//! Carriers: what they offer, which of them takes a shipment, and the labels bought of them.
//!
//! A label is bought as money is taken: *intended* (a row), *called* (no connection held) and
//! *recorded* (compare-and-set). What a carrier has got ready is written down before it is bought,
//! and nothing else is ever bought for that row, so a repetition after a lost answer buys nothing
//! twice, even where a carrier keeps no idempotency keys.
//!
//! This room does not know what a shipment is waiting for: who dispatches it asks for its label
//! and hears what came of it.

mod calendar;
pub mod carriers;
pub mod choice;
pub mod labels;
pub mod messages;
pub mod port;
pub mod tariffs;

pub use choice::{Choice, Destination, Dimensions, Offers, Parcel, Sending, choose};
pub use labels::{Purchase, Settled};
pub use port::{Answer, Carriers};
pub use tariffs::Tariffs;
