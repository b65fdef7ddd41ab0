//! Customers and addresses.
use async_graphql::{ID, Object};
use entity::{address, customer};
use super::ids::to_global;
/// A customer.
pub struct Customer(pub customer::Model);
/// A customer.
#[Object]
impl Customer {
    /// Its identifier.
    async fn id(&self) -> ID { to_global(self.0.id) }
    /// Its name in feeds.
    async fn code(&self) -> &str { &self.0.code }
    /// Its name.
    async fn name(&self) -> &str { &self.0.name }
}
/// An address.
pub struct Address(pub address::Model);
/// An address.
#[Object]
impl Address {
    /// Its identifier.
    async fn id(&self) -> ID { to_global(self.0.id) }
    /// The place.
    async fn city(&self) -> &str { &self.0.city }
}
