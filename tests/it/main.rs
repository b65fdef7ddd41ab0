//! What OMS promises, held on both back ends: journeys through the API, and guards over the code.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make what the app is not to make for itself"
)]

mod access;
mod archive;
mod audit;
mod bulk;
mod bus;
mod cancelled_begin;
mod capture;
mod captures;
mod catalogue;
mod clients;
mod dependencies;
mod documents;
mod edit_laws;
mod edits;
mod erasure;
mod events;
mod exports;
mod fanout;
mod finance;
mod finding;
mod fulfillment;
mod gateways;
mod imports;
mod invoices;
mod lifecycle;
mod many_nodes;
mod messages;
mod migrating;
mod nodes;
mod payment_laws;
mod postal_codes;
mod races;
mod reports;
mod returns;
mod rig;
mod rules;
mod scan_laws;
mod schema;
mod settlements;
mod shipping;
mod stages;
mod statements;
mod stock_feeds;
mod stock_levels;
mod streams;
mod stripe;
mod telemetry;
mod traces;
mod updates;
mod verify;
mod whole_way;
mod workbench;
mod workers;
