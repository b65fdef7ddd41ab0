//! Figures that follow from the log, and the queries over them.
//!
//! A projection is a table that is moved forward from the log in batches, its position in the same
//! transaction: exactly once, whatever crashes and however many nodes try. Nothing is counted
//! where it is read.

pub mod audit;
pub mod operations;
pub mod periods;
pub mod projection;
pub mod readings;
pub mod receivables;
pub mod sales;
pub mod spans;
pub mod stages;
pub mod stock;
