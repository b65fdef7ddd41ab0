//! Reads many rows at once: the fields of a page ask one by one, the database is asked once.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use sea_orm::{DbErr, EntityTrait, ColumnTrait, QueryFilter, QueryOrder};

use crate::app::App;

/// Loads whatever has an id, in batches. It keeps nothing between requests.
pub struct Loaders {
    app: Arc<App>,
}

/// The batching loader over an app.
pub fn loader(app: Arc<App>) -> DataLoader<Loaders> {
    DataLoader::new(Loaders { app }, tokio::spawn).delay(std::time::Duration::ZERO)
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

/// The rows that belong to something, in an order of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Of<Owner, What>(pub Owner, pub std::marker::PhantomData<What>);

impl<Owner, What> Of<Owner, What> {
    /// The key for what belongs to `owner`.
    pub fn new(owner: Owner) -> Self {
        Of(owner, std::marker::PhantomData)
    }
}

/// Loads the rows that belong to an owner.
macro_rules! belonging {
    ($($entity:ident of $owner:ident by $column:ident ordered $order:ident),* $(,)?) => {$(
        impl Loader<Of<entity::$owner, entity::$entity::Entity>> for Loaders {
            type Value = Vec<entity::$entity::Model>;
            type Error = LoadError;

            async fn load(
                &self,
                keys: &[Of<entity::$owner, entity::$entity::Entity>],
            ) -> Result<HashMap<Of<entity::$owner, entity::$entity::Entity>, Self::Value>, LoadError>
            {
                use entity::$entity::{Column, Entity};
                let rows = Entity::find()
                    .filter(Column::$column.is_in(keys.iter().map(|key| key.0)))
                    .order_by_asc(Column::$order)
                    .all(&self.app.db.read)
                    .await?;
                let mut found: HashMap<_, Self::Value> =
                    keys.iter().map(|key| (*key, Vec::new())).collect();
                for row in rows {
                    let owner: Option<entity::$owner> = owner_of!($entity, row);
                    if let Some(owner) = owner {
                        found.entry(Of::new(owner)).or_default().push(row);
                    }
                }
                Ok(found)
            }
        }
    )*};
}

/// Whose a row is.
macro_rules! owner_of {
    (event_log, $row:ident) => { $row.order_id };
    (variant, $row:ident) => { Some($row.product_id) };
    (variant_code, $row:ident) => { Some($row.variant_id) };
    (stock, $row:ident) => { Some($row.variant_id) };
    ($other:ident, $row:ident) => { Some($row.order_id) };
}
use owner_of;

belonging! {
    order_line of OrderId by OrderId ordered Position,
    hold of OrderId by OrderId ordered PlacedAt,
    order_exception of OrderId by OrderId ordered OpenedAt,
    note of OrderId by OrderId ordered CreatedAt,
    payment of OrderId by OrderId ordered CreatedAt,
    payment_transaction of OrderId by OrderId ordered CreatedAt,
    reservation of OrderId by OrderId ordered CreatedAt,
    backorder of OrderId by OrderId ordered Position,
    event_log of OrderId by OrderId ordered Seq,
    variant of ProductId by ProductId ordered Sku,
    variant_code of VariantId by VariantId ordered Code,
    stock of VariantId by VariantId ordered WarehouseId,
}
