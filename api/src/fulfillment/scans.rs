//! What a scanner reads, and what becomes of it: every scan is written down, accepted or not, with
//! who, with what, when. A refusal is an answer fit for a scanner's screen, and is counted.

use entity::scan::{self, Station};
use entity::{OrderId, PackageId, PickListId, ScanId, VariantId, WarehouseId, variant};
use sea_orm::Set;
use serde_json::json;

use crate::catalogue::products::LONGEST_BARCODE;
use crate::events::{Entry, Event};
use crate::failure::{Code, Problem};
use crate::tx::Tx;

/// The most units that one scan may stand for.
pub const MOST_UNITS: i64 = 10_000;

/// What was read, by whom, with what.
#[derive(Clone, Debug)]
pub struct Read {
    /// The barcode.
    pub code: String,
    /// How often it counts: a picker may key in how many equal units lie in the hand.
    pub quantity: i64,
    /// The scanner's name.
    pub device: Option<String>,
}

/// What a scan came to.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The scan.
    pub id: ScanId,
    /// Why it does not count; none = it does.
    pub refusal: Option<Problem>,
    /// What it was; none = not known.
    pub variant: Option<variant::Model>,
    /// How many units it counted for.
    pub units: i64,
    /// The slots of the cart that the units go into, at a bin.
    pub slots: Vec<(i32, i64)>,
    /// How many units are left to scan here: on the list, or for the package.
    pub left: i64,
}

/// Where a scan was made.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// At a bin or at a packing table.
    pub station: Station,
    /// In which warehouse.
    pub warehouse_id: WarehouseId,
    /// For which pick list.
    pub pick_list_id: Option<PickListId>,
    /// Into which package.
    pub package_id: Option<PackageId>,
}

/// Nothing has this barcode.
pub fn unknown() -> Problem {
    Problem::new(Code::ScanUnknown, "no item has this barcode").at("input.code")
}

/// Writes down units that counted, for one order.
pub fn accept(
    tx: &Tx,
    at: Place,
    read: &Read,
    variant: VariantId,
    order: OrderId,
    units: i64,
) -> ScanId {
    let id: ScanId = tx.id();
    write(
        tx,
        id,
        at,
        read,
        "ACCEPTED",
        units,
        Some(variant),
        Some(order),
    );
    id
}

/// Writes down a scan that does not count.
pub fn refuse(
    tx: &Tx,
    at: Place,
    read: &Read,
    variant: Option<variant::Model>,
    order: Option<OrderId>,
    problem: Problem,
    left: i64,
) -> Scanned {
    let id: ScanId = tx.id();
    let verdict = problem.code.as_str();
    write(
        tx,
        id,
        at,
        read,
        &verdict,
        0,
        variant.as_ref().map(|v| v.id),
        order,
    );
    tx.emit(Entry {
        aggregate_type: "scan",
        aggregate_id: id.to_string(),
        version: 1,
        channel_id: None,
        order_id: None,
        moved: None,
        event: Event::ScanRefused {
            scan_id: id.0,
            code: verdict,
        },
    });
    Scanned {
        id,
        refusal: Some(problem),
        variant,
        units: 0,
        slots: Vec::new(),
        left,
    }
}

#[allow(clippy::too_many_arguments, reason = "the columns of one row")]
fn write(
    tx: &Tx,
    id: ScanId,
    at: Place,
    read: &Read,
    verdict: &str,
    units: i64,
    variant: Option<VariantId>,
    order: Option<OrderId>,
) {
    let short = |text: &str| -> String { text.chars().take(LONGEST_BARCODE).collect() };
    let row = scan::ActiveModel {
        id: Set(id),
        station: Set(at.station),
        verdict: Set(verdict.to_owned()),
        code: Set(short(&read.code).replace('\0', "")),
        units: Set(units),
        variant_id: Set(variant),
        warehouse_id: Set(at.warehouse_id),
        order_id: Set(order),
        pick_list_id: Set(at.pick_list_id),
        package_id: Set(at.package_id),
        actor: Set(tx.actor.name.clone()),
        device: Set(read
            .device
            .as_deref()
            .map(|device| short(device).replace('\0', ""))),
        scanned_at: Set(tx.now),
    };
    tx.defer_rows(vec![row], |insert| insert);
}

/// How many units a scan is worth; refused if that is none or too many.
pub fn worth(read: &Read, units: i64) -> Result<i64, Problem> {
    read.quantity
        .checked_mul(units)
        .filter(|worth| (1..=MOST_UNITS).contains(worth))
        .ok_or_else(|| {
            Problem::new(
                Code::QuantityInvalid,
                format!("a scan stands for 1 to {MOST_UNITS} units"),
            )
            .at("input.quantity")
        })
}

/// More units than are wanted.
pub fn over(worth: i64, wanted: i64) -> Problem {
    let message = match wanted {
        0 => "all of this item was scanned already".to_owned(),
        _ => format!("{worth} units scanned, {wanted} wanted"),
    };
    Problem::new(Code::ScanOver, message)
        .at("input.code")
        .with(json!({ "scanned": worth, "wanted": wanted }))
}
