//! Intake of orders from every channel.

pub mod address;
pub mod contact;
