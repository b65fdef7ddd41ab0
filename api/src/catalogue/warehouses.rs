//! Warehouses and their bins.

use entity::{BinId, WarehouseId, bin, warehouse};
use sea_orm::EntityTrait;

use super::rows;
use crate::checks::{Checks, LONGEST_CODE};
use crate::failure::{Code, Failure, Problem};
use crate::inventory;
use crate::tx::Tx;

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name in feeds.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// Makes a warehouse, with an empty stock row for every variant.
pub async fn create(tx: &Tx, cmd: Create) -> Result<warehouse::Model, Failure> {
    let mut checks = Checks::new();
    let row = warehouse::Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
        country: checks.country("input.country", &cmd.country),
        active: true,
        created_at: tx.now,
        street: None,
        postal_code: None,
        city: None,
        phone: None,
        two_person_check: false,
    };
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &row.code))?;
    inventory::open_for_warehouse(tx, row.id).await?;
    rows::changed_once(tx, "warehouse", row.id, &row.code, changes);
    Ok(row)
}

/// What [`update`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which warehouse.
    pub id: WarehouseId,
    /// Its name on screens.
    pub name: Option<String>,
    /// Whether it takes work.
    pub active: Option<bool>,
    /// Street and number.
    pub street: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The place.
    pub city: Option<String>,
    /// A telephone number for carriers.
    pub phone: Option<String>,
    /// Whether who has picked a unit may not pack it.
    pub two_person_check: Option<bool>,
}

/// Changes a warehouse.
pub async fn update(tx: &Tx, cmd: Update) -> Result<warehouse::Model, Failure> {
    let mut row = rows::lock(tx, warehouse::Entity::find_by_id(cmd.id))
        .await?
        .ok_or_else(|| Problem::not_found("warehouse").at("input.id"))?;
    let mut checks = Checks::new();
    if let Some(name) = cmd.name {
        row.name = checks.name("input.name", &name);
    }
    row.active = cmd.active.unwrap_or(row.active);
    row.two_person_check = cmd.two_person_check.unwrap_or(row.two_person_check);
    for (field, given, kept) in [
        ("input.street", cmd.street, &mut row.street),
        ("input.postalCode", cmd.postal_code, &mut row.postal_code),
        ("input.city", cmd.city, &mut row.city),
        ("input.phone", cmd.phone, &mut row.phone),
    ] {
        if let Some(given) = given {
            *kept = checks.text(field, Some(&given));
        }
    }
    checks.done()?;
    let changes = rows::replace(tx, row.clone()).await?;
    rows::changed_once(tx, "warehouse", row.id, &row.code, changes);
    Ok(row)
}

/// What [`create_bin`] needs.
#[derive(Clone, Debug)]
pub struct CreateBin {
    /// The warehouse that it is in.
    pub warehouse_id: WarehouseId,
    /// What its label says.
    pub code: String,
    /// The part of the warehouse; may be blank, as the four below.
    pub zone: String,
    /// The aisle in the zone.
    pub aisle: String,
    /// The bay in the aisle.
    pub bay: String,
    /// The level in the bay.
    pub level: String,
    /// The place on the level.
    pub position: String,
}

/// Makes a bin.
pub async fn create_bin(tx: &Tx, cmd: CreateBin) -> Result<bin::Model, Failure> {
    let mut checks = Checks::new();
    let mut part = |field: &str, text: &str| {
        let text = text.trim();
        let fits = text.chars().count() <= LONGEST_CODE && !text.chars().any(char::is_control);
        checks.hold(
            fits,
            Code::InvalidInput,
            field,
            "at most 64 characters, no control characters",
        );
        text.to_owned()
    };
    let row = bin::Model {
        id: tx.id(),
        warehouse_id: cmd.warehouse_id,
        zone: part("input.zone", &cmd.zone),
        aisle: part("input.aisle", &cmd.aisle),
        bay: part("input.bay", &cmd.bay),
        level: part("input.level", &cmd.level),
        position: part("input.position", &cmd.position),
        code: checks.code("input.code", &cmd.code),
        locked: false,
        purpose: bin::Purpose::Storage,
    };
    if !rows::exists::<warehouse::Entity>(tx, cmd.warehouse_id).await? {
        checks.refuse(Problem::not_found("warehouse").at("input.warehouseId"));
    }
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &row.code))?;
    rows::changed_once(tx, "bin", row.id, &row.code, changes);
    Ok(row)
}

/// What [`lock_bin`] needs.
#[derive(Clone, Copy, Debug)]
pub struct LockBin {
    /// Which bin.
    pub id: BinId,
    /// Whether nothing may be taken from it from now on.
    pub locked: bool,
}

/// Locks a bin, for counting or because of damage, or unlocks it. What is on pick lists already may
/// still be taken.
pub async fn lock_bin(tx: &Tx, cmd: LockBin) -> Result<bin::Model, Failure> {
    let mut row = rows::lock(tx, bin::Entity::find_by_id(cmd.id))
        .await?
        .ok_or_else(|| Problem::not_found("bin").at("input.id"))?;
    row.locked = cmd.locked;
    let changes = rows::replace(tx, row.clone()).await?;
    rows::changed_once(tx, "bin", row.id, &row.code, changes);
    Ok(row)
}
