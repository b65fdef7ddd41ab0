//! What may be sold: channels, products and their codes, prices, tax and shipping.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use entity::{
    ChannelId, CustomerId, PriceListId, VariantId, customer, listing, price, variant, variant_code,
};
use std::collections::{BTreeMap, BTreeSet};

use crate::pricing::PriceCandidate;

pub mod channels;
pub mod costs;
pub mod customers;
pub mod prices;
pub mod products;
pub mod promotions;
pub mod reference;
mod rows;
pub mod shipping;
pub mod warehouses;

pub use reference::{ChannelPolicy, Reference, ReferenceCache};
pub use rows::changed;

/// A code as codes are compared: without case, blanks, dashes, dots, slashes and underscores.
pub fn code_key(code: &str) -> String {
    code.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_' | '.' | '/'))
        .flat_map(char::to_uppercase)
        .collect()
}

/// A variant with what a channel's order needs to know of it.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The variant.
    pub variant: variant::Model,
    /// Whether the channel sells it.
    pub listed: bool,
    /// Its prices, by list.
    pub prices: Vec<price::Model>,
}

impl Offered {
    /// The prices in the lists that fit an order.
    pub fn candidates(&self, ranks: &BTreeMap<PriceListId, i64>) -> Vec<PriceCandidate> {
        self.prices
            .iter()
            .filter_map(|price| {
                Some(PriceCandidate {
                    list_rank: *ranks.get(&price.price_list_id)?,
                    min_quantity: price.min_quantity,
                    unit_price_minor: price.unit_price_minor,
                })
            })
            .collect()
    }
}

/// Finds variants by any of their codes, with their prices: two statements, however many codes.
/// The map is by [`code_key`].
pub async fn find_offered(
    db: &impl ConnectionTrait,
    channel: ChannelId,
    keys: &BTreeSet<String>,
) -> Result<BTreeMap<String, Offered>, DbErr> {
    let codes = variant_code::Entity::find()
        .filter(variant_code::Column::CodeKey.is_in(keys.iter().cloned()))
        // A case's barcode stands for several units; whoever orders means one.
        .filter(variant_code::Column::Kind.ne(variant_code::Kind::Case))
        .find_also_related(variant::Entity)
        .all(db)
        .await?;
    let ids: BTreeSet<VariantId> = codes.iter().map(|(code, _)| code.variant_id).collect();
    let mut prices: BTreeMap<VariantId, Vec<price::Model>> = BTreeMap::new();
    let mut listed = BTreeSet::new();
    let rows = listing::Entity::find()
        .find_also_related(price::Entity)
        .filter(listing::Column::ChannelId.eq(channel))
        .filter(listing::Column::VariantId.is_in(ids))
        .all(db)
        .await?;
    for (row, price) in rows {
        listed.insert(row.variant_id);
        prices.entry(row.variant_id).or_default().extend(price);
    }
    Ok(codes
        .into_iter()
        .filter_map(|(code, variant)| {
            let variant = variant?;
            let offered = Offered {
                listed: listed.contains(&variant.id),
                prices: prices.get(&variant.id).cloned().unwrap_or_default(),
                variant,
            };
            Some((code.code_key, offered))
        })
        .collect())
}

/// Finds a customer by id or by code.
pub async fn find_customer(
    db: &impl ConnectionTrait,
    id: Option<CustomerId>,
    code: Option<&str>,
) -> Result<Option<customer::Model>, DbErr> {
    let query = customer::Entity::find();
    match (id, code) {
        (Some(id), _) => query.filter(customer::Column::Id.eq(id)).one(db).await,
        (None, Some(code)) => {
            query
                .filter(customer::Column::Code.eq(code.trim()))
                .one(db)
                .await
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::code_key;

    #[test]
    fn c3a_case_blanks_and_separators_do_not_tell_codes_apart() {
        assert_eq!(code_key(" ab-12_3.x "), "AB123X");
        assert_eq!(code_key("AB 123/X"), "AB123X");
        assert_ne!(code_key("AB-124"), code_key("AB-123"));
    }
}
