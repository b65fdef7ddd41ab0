//! What is printed: labels, packing slips, pick sheets and manifests; kept as they were printed,
//! and sent to whoever has a signed address.
//!
//! Whoever needs a document prints it (`label`, `packing_slip` … are pure), and stores it in the
//! transaction of what it is about. What this room will not do: decide what is printed when, or
//! know what a shipment is.

pub mod links;
mod render;
mod store;

pub use render::*;
pub use store::{NewDocument, content, in_force, reprint, store, void};

use crate::failure::{Code, Failure, Problem};

impl From<Unprintable> for Failure {
    fn from(unprintable: Unprintable) -> Failure {
        match unprintable {
            Unprintable::Code { .. } => {
                Problem::new(Code::DocumentUnprintable, unprintable.to_string()).into()
            }
            Unprintable::Document(reason) => Failure::Internal(reason),
        }
    }
}
