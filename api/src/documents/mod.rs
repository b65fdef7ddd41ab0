//! What is printed: labels, packing slips, pick sheets and manifests; kept as they were printed,
//! and sent to whoever has a signed address.

mod render;

pub use render::*;
