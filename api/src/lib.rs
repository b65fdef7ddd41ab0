//! OMS: an order management system. See `api/ARCHITECTURE.md` for the map.

pub mod http;
