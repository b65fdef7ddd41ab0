//! What may be sold, where it lies and what it costs.

use std::collections::BTreeSet;

use async_graphql::{Context, ID, MergedObject};
use entity::ChannelId;
use sea_orm::{ColumnTrait, Condition};

use super::ids::{from_global, from_globals};
use super::principal;
use crate::capture::address::Country;
use crate::failure::{Code, Problem};

pub mod channels;
pub mod prices;
pub mod products;
pub mod promotions;
pub mod shipping;
pub mod warehouses;

/// Reads of the catalogue.
#[derive(MergedObject, Default)]
pub struct CatalogueQuery(
    channels::ChannelQuery,
    warehouses::WarehouseQuery,
    products::ProductQuery,
    prices::PriceQuery,
    promotions::PromotionQuery,
    shipping::ShippingQuery,
);

/// Changes of the catalogue.
#[derive(MergedObject, Default)]
pub struct CatalogueMutation(
    channels::ChannelMutation,
    warehouses::WarehouseMutation,
    products::ProductMutation,
    prices::PriceMutation,
    promotions::PromotionMutation,
    shipping::ShippingMutation,
);

/// The channels that the caller is confined to; none = it sees all.
pub fn confined<'a>(ctx: &Context<'a>) -> async_graphql::Result<Option<&'a BTreeSet<ChannelId>>> {
    Ok(principal(ctx)?.channels.as_ref())
}

/// Leaves the rows that are for every channel, and those for one that the caller sees.
pub(super) fn for_seen_channels(
    ctx: &Context<'_>,
    column: impl ColumnTrait,
) -> async_graphql::Result<Condition> {
    Ok(match confined(ctx)? {
        None => Condition::all(),
        Some(channels) => Condition::any()
            .add(column.is_null())
            .add(column.is_in(channels.iter().copied())),
    })
}

/// Whether the caller sees what is for one channel, or for all.
pub fn sees(ctx: &Context<'_>, channel: Option<ChannelId>) -> bool {
    channel.is_none_or(|channel| principal(ctx).is_ok_and(|caller| caller.sees(channel)))
}

/// A channel that the caller names. One that it does not see is not there.
fn seen_channel(ctx: &Context<'_>, id: &ID, field: &str) -> Result<ChannelId, Problem> {
    let channel = from_global(id, field)?;
    if sees(ctx, Some(channel)) {
        Ok(channel)
    } else {
        Err(Problem::not_found("Channel").at(field))
    }
}

/// The same for one that may be missing.
pub(super) fn seen_channel_if_any(
    ctx: &Context<'_>,
    id: Option<&ID>,
    field: &str,
) -> Result<Option<ChannelId>, Problem> {
    id.map(|id| seen_channel(ctx, id, field)).transpose()
}

/// The same for a list.
pub(super) fn seen_channels(
    ctx: &Context<'_>,
    ids: &[ID],
    field: &str,
) -> Result<Vec<ChannelId>, Problem> {
    let channels: Vec<ChannelId> = from_globals(ids, field)?;
    let unseen = |channel: &ChannelId| !sees(ctx, Some(*channel));
    match channels.iter().position(unseen) {
        None => Ok(channels),
        Some(place) => Err(Problem::not_found("Channel").at(&format!("{field}.{place}"))),
    }
}

/// A country by its ISO 3166-1 alpha-2 code, in any case.
pub(super) fn country(field: &str, code: &str) -> Result<String, Problem> {
    code.trim()
        .to_ascii_uppercase()
        .parse::<Country>()
        .map(|country| country.code().to_owned())
        .map_err(|error| Problem::new(Code::InvalidInput, error.to_string()).at(field))
}
