//! The reference table in the database: filling it, and asking it about one address.

use entity::postal_code::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    TryInsertResult,
};

use super::PostalAddress;
use super::reference::{Lookup, Place, Reference, lookup, place_key, postal_key};
use crate::tx::Tx;

/// How many rows one statement writes: seven values each, below what either database binds.
const ROWS: usize = 2_000;

/// How many rows of a city are read: large cities have thousands, and a sample with more than a
/// handful of different codes says as much.
const CITY_SAMPLE: u64 = 200;

/// Stores places and says how many were not there yet. A place whose code or name has no key
/// cannot be found, and is left out.
pub async fn store(tx: &Tx, places: impl Iterator<Item = Place>) -> Result<u64, DbErr> {
    let mut places = places.filter_map(row).peekable();
    let mut stored = 0;
    while places.peek().is_some() {
        let part: Vec<ActiveModel> = places.by_ref().take(ROWS).collect();
        let inserted = Entity::insert_many(part)
            .on_conflict_do_nothing_on([Column::Country, Column::PostalKey, Column::PlaceKey])
            .exec_without_returning(tx.db())
            .await?;
        if let TryInsertResult::Inserted(rows) = inserted {
            stored += rows;
        }
    }
    Ok(stored)
}

fn row(place: Place) -> Option<ActiveModel> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let row = Model {
        country: place.country.code().to_owned(),
        postal_key: given(postal_key(&place.postal_code))?,
        place_key: given(place_key(&place.place_name))?,
        postal_code: place.postal_code,
        place_name: place.place_name,
        admin_name: given(place.admin_name),
        admin_code: given(place.admin_code),
    };
    Some(row.into())
}

/// Asks the table about an address: two reads by index. `covered` says whether the table has rows
/// of the address's country; a table that cannot be asked leaves the address unverified.
pub async fn look_up(
    db: &impl ConnectionTrait,
    covered: bool,
    address: &PostalAddress,
) -> Reference {
    if !covered {
        return Reference::NotCovered;
    }
    let asked = lookup(address);
    match read(db, &asked).await {
        Ok((places_of_code, codes_of_city)) => Reference::Covered {
            places_of_code,
            codes_of_city,
        },
        Err(error) => {
            tracing::warn!(%error, "the table of postal codes could not be asked");
            Reference::Unavailable
        }
    }
}

async fn read(
    db: &impl ConnectionTrait,
    asked: &Lookup,
) -> Result<(Vec<Place>, Vec<Place>), DbErr> {
    let country = Entity::find().filter(Column::Country.eq(asked.country.code()));
    let places_of_code = if asked.postal_keys.is_empty() {
        Vec::new()
    } else {
        let keys = asked.postal_keys.iter().map(String::as_str);
        all(db, country.clone().filter(Column::PostalKey.is_in(keys))).await?
    };
    let codes_of_city = match &asked.place_key {
        None => Vec::new(),
        Some(key) => {
            let rows = country
                .filter(Column::PlaceKey.eq(key.as_str()))
                .order_by_asc(Column::PostalKey)
                .limit(CITY_SAMPLE);
            all(db, rows).await?
        }
    };
    Ok((places_of_code, codes_of_city))
}

async fn all(db: &impl ConnectionTrait, rows: Select<Entity>) -> Result<Vec<Place>, DbErr> {
    let rows = rows.all(db).await?;
    Ok(rows.into_iter().filter_map(place).collect())
}

fn place(row: Model) -> Option<Place> {
    Some(Place {
        country: row.country.parse().ok()?,
        postal_code: row.postal_code,
        place_name: row.place_name,
        admin_name: row.admin_name.unwrap_or_default(),
        admin_code: row.admin_code.unwrap_or_default(),
    })
}
