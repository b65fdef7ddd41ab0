//! Reads many rows at once: the fields of a page ask one by one, the database is asked once.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use crate::app::App;

/// Loads whatever has an id, in batches. It keeps nothing between requests.
pub struct Loaders {
    app: Arc<App>,
}

/// The batching loader over an app.
pub fn loader(app: Arc<App>) -> DataLoader<Loaders> {
    DataLoader::new(Loaders { app }, tokio::spawn)
}

/// A loading that failed, shared by all who waited for it.
pub type LoadError = Arc<DbErr>;

/// Loads rows by their own id.
macro_rules! by_id {
    ($($entity:ident by $id:ident),* $(,)?) => {$(
        impl Loader<entity::$id> for Loaders {
            type Value = entity::$entity::Model;
            type Error = LoadError;

            async fn load(
                &self,
                ids: &[entity::$id],
            ) -> Result<HashMap<entity::$id, Self::Value>, LoadError> {
                let rows = entity::$entity::Entity::find()
                    .filter(entity::$entity::Column::Id.is_in(ids.iter().copied()))
                    .all(&self.app.db.read)
                    .await?;
                Ok(rows.into_iter().map(|row| (row.id, row)).collect())
            }
        }
    )*};
}

by_id! {
    address by AddressId,
    channel by ChannelId,
    customer by CustomerId,
    order by OrderId,
    order_line by LineId,
    product by ProductId,
    variant by VariantId,
    warehouse by WarehouseId,
}

/// Whose a row is.
macro_rules! owner_of {
    (event_log, $row:ident) => {
        $row.order_id
    };
    (variant, $row:ident) => {
        Some($row.product_id)
    };
    (variant_code, $row:ident) => {
        Some($row.variant_id)
    };
    (stock, $row:ident) => {
        Some($row.variant_id)
    };
    ($other:ident, $row:ident) => {
        Some($row.order_id)
    };
}

/// Loads the rows that belong to an owner, each in an order of its own.
macro_rules! belonging {
    ($($(#[$doc:meta])* $key:ident($owner:ident) => $entity:ident by $column:ident ordered $order:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $key(pub entity::$owner);

        impl Loader<$key> for Loaders {
            type Value = Vec<entity::$entity::Model>;
            type Error = LoadError;

            async fn load(&self, keys: &[$key]) -> Result<HashMap<$key, Self::Value>, LoadError> {
                use entity::$entity::{Column, Entity};
                let rows = Entity::find()
                    .filter(Column::$column.is_in(keys.iter().map(|key| key.0)))
                    .order_by_asc(Column::$order)
                    .all(&self.app.db.read)
                    .await?;
                let mut found: HashMap<$key, Self::Value> =
                    keys.iter().map(|key| (*key, Vec::new())).collect();
                for row in rows {
                    if let Some(owner) = owner_of!($entity, row) {
                        found.entry($key(owner)).or_default().push(row);
                    }
                }
                Ok(found)
            }
        }
    )*};
}

belonging! {
    /// The lines of an order.
    LinesOf(OrderId) => order_line by OrderId ordered Position,
    /// The holds of an order, lifted ones included.
    HoldsOf(OrderId) => hold by OrderId ordered PlacedAt,
    /// The exceptions of an order, settled ones included.
    ExceptionsOf(OrderId) => order_exception by OrderId ordered OpenedAt,
    /// The notes on an order.
    NotesOf(OrderId) => note by OrderId ordered CreatedAt,
    /// The payment of an order.
    PaymentsOf(OrderId) => payment by OrderId ordered CreatedAt,
    /// What was asked of the gateway for an order.
    TransactionsOf(OrderId) => payment_transaction by OrderId ordered CreatedAt,
    /// The stock held for an order, ended holds included.
    ReservationsOf(OrderId) => reservation by OrderId ordered CreatedAt,
    /// The places of an order in queues for stock.
    BackordersOf(OrderId) => backorder by OrderId ordered Position,
    /// The events of an order.
    TimelineOf(OrderId) => event_log by OrderId ordered Seq,
    /// The variants of a product.
    VariantsOf(ProductId) => variant by ProductId ordered Sku,
    /// The codes of a variant.
    CodesOf(VariantId) => variant_code by VariantId ordered Code,
    /// The stock of a variant, by warehouse.
    StockOf(VariantId) => stock by VariantId ordered WarehouseId,
}
