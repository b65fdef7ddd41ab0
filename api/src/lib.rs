//! OMS: an order management system. See `api/ARCHITECTURE.md` for the map.
//!
//! The modules in suggested reading order:

pub mod failure;
pub mod checks;
pub mod clock;
pub mod config;
pub mod tls;
pub mod signatures;
pub mod telemetry;
pub mod db;
pub mod tx;
pub mod events;
pub mod access;
pub mod pricing;
pub mod catalogue;
pub mod inventory;
pub mod payments;
pub mod documents;
pub mod shipping;
pub mod notifications;
pub mod exceptions;
pub mod exports;
pub mod ledger;
pub mod invoicing;
pub mod orders;
pub mod capture;
pub mod fulfillment;
pub mod settlement;
pub mod erasure;
pub mod reports;
pub mod returns;
pub mod integrity;
pub mod app;
pub mod workers;
pub mod demo;
pub mod graphql;
pub mod http;
pub mod server;
pub mod simulate;
pub mod cli;
