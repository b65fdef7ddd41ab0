//! Intake from every channel: one pipeline behind the API, batches and files.
//!
//! A [`Submission`] is what a channel sent. [`facts::gather`] reads what is known about it,
//! [`check::check`] decides in memory what it comes to and what is wrong with it, the merchant's
//! own [`rules`] say who else must look at it, and
//! [`open::open`] takes it in one transaction: stock held, money intended, order written. What a
//! check finds stops the order for a person or refuses it, by the channel's policy; nothing that
//! was taken is lost. A change of an order, [`edit`], goes the same way.

pub mod address;
pub mod contact;

pub mod submission;
pub mod facts;
pub mod check;
pub mod history;
pub mod rules;
pub mod open;
pub mod correct;
pub mod edit;
pub mod import;

pub use check::Draft;
pub use submission::Submission;
