//! The tables of OMS: one file a table, with its column enums; typed identifiers; money.
//!
//! Nothing here does I/O or knows of GraphQL or HTTP. What a status may become is decided in the
//! domains of the `api` crate; what a column may hold is decided by the `migration` crate.

mod id;
mod money;
mod rate;
mod time_zone;

pub mod address;
pub mod api_key;
pub mod backorder;
pub mod bin;
pub mod bin_stock;
pub mod bulk_operation;
pub mod bulk_row;
pub mod carton;
pub mod channel;
pub mod channel_warehouse;
pub mod counter;
pub mod customer;
pub mod customer_group;
pub mod event_log;
pub mod exception_rule;
pub mod fulfillment_line;
pub mod fulfillment_order;
pub mod hold;
pub mod idempotency;
pub mod import;
pub mod import_error;
pub mod inbound_supply;
pub mod job;
pub mod listing;
pub mod note;
pub mod order;
pub mod order_exception;
pub mod order_line;
pub mod order_tag;
pub mod outbox;
pub mod package;
pub mod package_line;
pub mod payment;
pub mod payment_transaction;
pub mod pick_list;
pub mod pick_task;
pub mod postal_code;
pub mod price;
pub mod price_list;
pub mod product;
pub mod projection;
pub mod promotion;
pub mod promotion_use;
pub mod reservation;
pub mod saved_view;
pub mod scan;
pub mod sequencer;
pub mod shipment;
pub mod shipping_rate;
pub mod shipping_zone;
pub mod stage_tally;
pub mod stock;
pub mod stock_drift;
pub mod stock_movement;
pub mod stock_source;
pub mod stock_source_warehouse;
pub mod stock_statement;
pub mod tax_rate;
pub mod variant;
pub mod variant_code;
pub mod warehouse;
pub mod wave;

pub use id::*;
pub use money::{Currency, Money, MoneyError};
pub use rate::Rate;
pub use time_zone::{TimeZone, UnknownTimeZone};
