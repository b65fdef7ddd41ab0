//! Packing: a package is opened for what it should hold, every unit is scanned again into it, and it
//! closes only when it holds exactly that.

use std::collections::BTreeMap;

use entity::package::Status;
use entity::scan::Station;
use entity::{
    LineId, PackageId, ShipmentId, VariantId, carton, fulfillment_order, package, package_line,
    scan, shipment, variant, warehouse,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QueryTrait,
};
use serde_json::json;

use super::cartons::{self, Filled, Item};
use super::picking::{owner, sku};
use super::scans::{self, Place, Read, Scanned};
use super::{expect, lock_order};
use crate::catalogue::products;
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::orders::aggregate::Aggregate;
use crate::orders::work::Work;
use crate::tx::Tx;

/// How far a parcel's weight may be from what its contents should weigh, in percent, and the grams
/// that are never too many.
const WEIGHT_PERCENT: i64 = 10;
const WEIGHT_GRAMS: i64 = 50;

/// The heaviest parcel, in grams.
const HEAVIEST_GRAMS: i64 = 2_000_000;

/// A shipment with its order locked.
pub(super) struct Packing {
    pub(super) order: Aggregate,
    pub(super) shipment: shipment::Model,
    pub(super) packages: Vec<Package>,
}

/// A package with what it should hold, and does.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) row: package::Model,
    pub(super) lines: Vec<package_line::Model>,
}

impl Packing {
    /// Locks the order of a shipment and reads its packages that were not given up.
    pub(super) async fn lock(tx: &Tx, id: ShipmentId) -> Result<Packing, Failure> {
        let row = shipment::Entity::find_by_id(id)
            .one(tx.db())
            .await?
            .ok_or_else(|| Problem::not_found("shipment").at("input.id"))?;
        let order = lock_order(tx, row.order_id).await?;
        let shipment = order
            .work_of_shipment(id)
            .and_then(|work| work.shipment.clone())
            .ok_or_else(|| {
                Problem::new(Code::FulfillmentStateInvalid, "the shipment is cancelled")
                    .at("input.id")
                    .with(json!({ "status": shipment::Status::Cancelled }))
            })?;
        let packages = packages(tx.db(), id).await?;
        Ok(Packing {
            order,
            shipment,
            packages,
        })
    }

    /// The warehouse's work that the shipment is of.
    pub(super) fn work(&self) -> Result<&Work, Problem> {
        self.order
            .work(self.shipment.fulfillment_order_id)
            .ok_or_else(|| Problem::not_found("fulfillment order"))
    }

    /// Refuses if the shipment is not being picked or packed.
    fn expect_open(&self) -> Result<(), Problem> {
        expect(self.work()?, &[fulfillment_order::Status::InProgress])?;
        match self.shipment.status {
            shipment::Status::Pending | shipment::Status::Picked => Ok(()),
            status => Err(Problem::new(
                Code::FulfillmentStateInvalid,
                "everything of the shipment is packed",
            )
            .with(json!({ "status": status }))),
        }
    }

    /// Units that are to go into no package yet, by line.
    fn unplanned(&self) -> Result<BTreeMap<LineId, i64>, Problem> {
        let mut left: BTreeMap<LineId, i64> = self
            .work()?
            .lines
            .iter()
            .map(|line| (line.line_id, line.quantity))
            .collect();
        for line in self.packages.iter().flat_map(|package| &package.lines) {
            if let Some(left) = left.get_mut(&line.line_id) {
                *left -= line.expected;
            }
        }
        left.retain(|_, units| *units > 0);
        Ok(left)
    }

    /// Refuses lines of work that are taken away or made smaller meanwhile: an open package may want
    /// more than there is.
    fn wants(&self, line: LineId) -> i64 {
        self.work()
            .ok()
            .and_then(|work| work.line(line))
            .map_or(0, |line| line.quantity)
    }
}

/// The packages of a shipment that were not given up.
async fn packages(db: &impl ConnectionTrait, id: ShipmentId) -> Result<Vec<Package>, DbErr> {
    let rows = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .filter(package::Column::Status.ne(Status::Cancelled))
        .order_by_asc(package::Column::Position)
        .all(db)
        .await?;
    let mut lines: BTreeMap<PackageId, Vec<package_line::Model>> = BTreeMap::new();
    for line in package_line::Entity::find()
        .filter(package_line::Column::PackageId.is_in(rows.iter().map(|row| row.id)))
        .order_by_asc(package_line::Column::LineId)
        .all(db)
        .await?
    {
        lines.entry(line.package_id).or_default().push(line);
    }
    Ok(rows
        .into_iter()
        .map(|row| Package {
            lines: lines.remove(&row.id).unwrap_or_default(),
            row,
        })
        .collect())
}

/// What the lines of a shipment weigh and measure.
async fn items(
    db: &impl ConnectionTrait,
    units: &BTreeMap<LineId, i64>,
    variants: &BTreeMap<LineId, VariantId>,
) -> Result<Vec<Item>, DbErr> {
    let rows = variant::Entity::find()
        .filter(variant::Column::Id.is_in(variants.values().copied()))
        .all(db)
        .await?;
    Ok(units
        .iter()
        .filter_map(|(line, units)| {
            let id = variants.get(line)?;
            let row = rows.iter().find(|row| row.id == *id)?;
            let edges = match (row.length_mm, row.width_mm, row.height_mm) {
                (Some(l), Some(w), Some(h)) => Some([l.into(), w.into(), h.into()]),
                _ => None,
            };
            Some(Item {
                line: *line,
                units: *units,
                grams: row.weight_grams,
                edges,
            })
        })
        .collect())
}

/// What [`open`] needs.
#[derive(Clone, Debug)]
pub struct Open {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The code of the carton; none = the smallest that fits.
    pub carton: Option<String>,
    /// What it is to hold; none = what the choice of cartons puts into the first one.
    pub lines: Option<Vec<(LineId, i64)>>,
}

/// Opens a package for units that are to go into none yet.
pub async fn open(tx: &Tx, cmd: &Open) -> Result<PackageId, Failure> {
    let mut packing = Packing::lock(tx, cmd.shipment_id).await?;
    packing.expect_open()?;
    let unplanned = packing.unplanned()?;
    if unplanned.is_empty() {
        return Err(Problem::new(
            Code::FulfillmentStateInvalid,
            "everything is to go into packages that are open or closed already",
        )
        .at("input.shipmentId")
        .into());
    }
    let known = cartons::active(tx.db()).await?;
    let carton = match &cmd.carton {
        Some(code) => {
            let code = code.trim();
            let known = known.iter().find(|carton| carton.code == code).cloned();
            Some(known.ok_or_else(|| Problem::not_found("carton").at("input.carton"))?)
        }
        None => None,
    };
    let offered = match &carton {
        Some(carton) => vec![carton.clone()],
        None => known,
    };
    let variants: BTreeMap<LineId, VariantId> = packing
        .work()?
        .lines
        .iter()
        .map(|line| (line.line_id, line.variant_id))
        .collect();
    let wanted = match &cmd.lines {
        None => unplanned,
        Some(lines) => chosen(lines, &unplanned)?,
    };
    let items = items(tx.db(), &wanted, &variants).await?;
    let filled = match &cmd.lines {
        // The packer's word stands: whatever was named goes in, in the carton that takes it.
        Some(lines) if !lines.is_empty() => {
            let fits = cartons::plan(&items, &offered);
            let whole = (fits.len() == 1).then(|| fits[0].carton.clone()).flatten();
            let carton = carton.or(whole);
            let tare = carton.as_ref().map_or(0, |carton| carton.tare_grams);
            let grams = items
                .iter()
                .map(|item| item.grams * item.units)
                .sum::<i64>();
            Filled {
                carton,
                units: wanted.into_iter().collect(),
                grams: grams + tare,
            }
        }
        _ => {
            let mut plan = cartons::plan(&items, &offered);
            if plan.is_empty() {
                return Err(Failure::Internal("nothing to pack".to_owned()));
            }
            plan.swap_remove(0)
        }
    };
    let id: PackageId = tx.id();
    let position = last_position(tx, cmd.shipment_id).await? + 1;
    let row = package::Model {
        id,
        shipment_id: cmd.shipment_id,
        position,
        status: Status::Open,
        carton: filled.carton.as_ref().map(|carton| carton.code.clone()),
        length_mm: filled.carton.as_ref().map(|carton| carton.length_mm),
        width_mm: filled.carton.as_ref().map(|carton| carton.width_mm),
        height_mm: filled.carton.as_ref().map(|carton| carton.height_mm),
        expected_grams: filled.grams,
        weight_grams: None,
        tracking_number: None,
        tracking_url: None,
        packer: None,
        created_at: tx.now,
        closed_at: None,
    };
    let lines: Vec<package_line::ActiveModel> = filled
        .units
        .iter()
        .filter_map(|(line, units)| {
            Some(
                package_line::Model {
                    package_id: id,
                    line_id: *line,
                    variant_id: *variants.get(line)?,
                    expected: *units,
                    packed: 0,
                }
                .into_active_model(),
            )
        })
        .collect();
    tx.defer_rows(vec![row.into_active_model()], |insert| insert);
    tx.defer_rows(lines, |insert| insert);
    packing.order.record(
        tx,
        Event::OrderPackageOpened {
            package_id: id,
            shipment_id: cmd.shipment_id,
            units: filled.units.iter().map(|(_, units)| units).sum(),
        },
    );
    packing.order.save(tx);
    Ok(id)
}

/// The units that a packer named, if they are to go into no package yet.
fn chosen(
    lines: &[(LineId, i64)],
    unplanned: &BTreeMap<LineId, i64>,
) -> Result<BTreeMap<LineId, i64>, Problem> {
    let mut units: BTreeMap<LineId, i64> = BTreeMap::new();
    for (place, (line, wants)) in lines.iter().enumerate() {
        let left = unplanned.get(line).copied().unwrap_or_default();
        let sum = units.entry(*line).or_default();
        *sum += wants;
        if *wants < 1 || *sum > left {
            return Err(Problem::new(
                Code::QuantityInvalid,
                format!("{left} units of this line are left to plan"),
            )
            .at(&format!("input.lines.{place}.quantity")));
        }
    }
    if units.is_empty() {
        return Err(Problem::new(Code::LinesMissing, "name what it is to hold").at("input.lines"));
    }
    Ok(units)
}

/// The place of the newest package of a shipment, given up or not.
async fn last_position(tx: &Tx, id: ShipmentId) -> Result<i32, DbErr> {
    let newest = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .order_by_desc(package::Column::Position)
        .one(tx.db())
        .await?;
    Ok(newest.map_or(0, |row| row.position))
}

/// The shipment that a package is of.
async fn shipment_of(tx: &Tx, id: PackageId) -> Result<ShipmentId, Failure> {
    let row = package::Entity::find_by_id(id)
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("package").at("input.id"))?;
    Ok(row.shipment_id)
}

fn not_open(package: &Package) -> Option<Problem> {
    (package.row.status != Status::Open).then(|| {
        Problem::new(Code::FulfillmentStateInvalid, "the package is closed")
            .at("input.id")
            .with(json!({ "status": package.row.status }))
    })
}

fn given_up() -> Problem {
    Problem::new(Code::FulfillmentStateInvalid, "the package was emptied")
        .at("input.id")
        .with(json!({ "status": Status::Cancelled }))
}

/// What [`scan`] needs.
#[derive(Clone, Debug)]
pub struct ScanPack {
    /// The package.
    pub package_id: PackageId,
    /// What was read.
    pub read: Read,
}

/// Counts units that were scanned into a package.
pub async fn scan(tx: &Tx, cmd: &ScanPack) -> Result<Scanned, Failure> {
    let shipment = shipment_of(tx, cmd.package_id).await?;
    let mut packing = Packing::lock(tx, shipment).await?;
    let Some(package) = packing
        .packages
        .iter()
        .find(|package| package.row.id == cmd.package_id)
        .cloned()
    else {
        return Err(given_up().into());
    };
    if let Some(problem) = not_open(&package) {
        return Err(problem.into());
    }
    expect(packing.work()?, &[fulfillment_order::Status::InProgress])?;
    let order = packing.order.order.id;
    let at = Place {
        station: Station::Pack,
        warehouse_id: packing.shipment.warehouse_id,
        pick_list_id: None,
        package_id: Some(cmd.package_id),
    };
    let lacks = |package: &Package| -> i64 {
        let lines = package.lines.iter();
        lines.map(|line| line.expected - line.packed).sum()
    };
    let left = lacks(&package);
    let refuse =
        |variant, problem| scans::refuse(tx, at, &cmd.read, variant, Some(order), problem, left);
    let Some((variant, each)) = products::identify(tx, &cmd.read.code).await? else {
        return Ok(refuse(None, scans::unknown()));
    };
    let worth = scans::worth(&cmd.read, each)?;
    // The same item may stand on several lines.
    let own: Vec<&package_line::Model> = package
        .lines
        .iter()
        .filter(|line| line.variant_id == variant.id)
        .collect();
    if own.is_empty() {
        let problem = not_wanted(tx, &packing, &variant).await?;
        return Ok(refuse(Some(variant), problem));
    }
    let wanted: i64 = own.iter().map(|line| line.expected - line.packed).sum();
    if worth > wanted {
        return Ok(refuse(Some(variant), scans::over(worth, wanted)));
    }
    let picked: i64 = packing
        .work()?
        .lines
        .iter()
        .filter(|line| line.variant_id == variant.id)
        .map(|line| line.picked - line.packed)
        .sum();
    if worth > picked {
        let problem = Problem::new(
            Code::ScanNotPicked,
            format!("{picked} units of it were scanned at their bin and wait to be packed"),
        )
        .at("input.code")
        .with(json!({ "picked": picked }));
        return Ok(refuse(Some(variant), problem));
    }
    if picked_by_same(tx, &packing, &variant).await? {
        let problem = Problem::new(
            Code::ScanSamePerson,
            "you have picked it: another person must pack it",
        );
        return Ok(refuse(Some(variant), problem));
    }
    let mut units = worth;
    let work_id = packing.shipment.fulfillment_order_id;
    let mut counted = Vec::new();
    for line in own {
        let ready = packing
            .order
            .work(work_id)
            .and_then(|work| work.line(line.line_id))
            .map_or(0, |own| own.picked - own.packed);
        let takes = units.min(line.expected - line.packed).min(ready);
        if takes == 0 {
            continue;
        }
        units -= takes;
        counted.push((line.line_id, takes));
        write_line(tx, line, line.packed + takes);
        if let Some(work) = packing.order.work_mut(work_id)
            && let Some(line) = work.line_mut(line.line_id)
        {
            line.packed += takes;
        }
    }
    let id = scans::accept(tx, at, &cmd.read, variant.id, order, worth);
    let mut lacks = left;
    for (line_id, units) in counted {
        lacks -= units;
        packing.order.record(
            tx,
            Event::OrderPacked {
                package_id: cmd.package_id,
                line_id,
                units,
                left: lacks,
            },
        );
    }
    packing.order.save(tx);
    Ok(Scanned {
        id,
        refusal: None,
        variant: Some(variant),
        units: worth,
        slots: Vec::new(),
        left: left - worth,
    })
}

fn write_line(tx: &Tx, line: &package_line::Model, packed: i64) {
    use package_line::Column;
    tx.defer(
        package_line::Entity::update_many()
            .col_expr(Column::Packed, Expr::value(packed))
            .filter(Column::PackageId.eq(line.package_id))
            .filter(Column::LineId.eq(line.line_id))
            .into_query(),
    );
}

/// Why an item does not go into a package: it goes into another one of the order, it is another
/// order's, or nobody's here.
async fn not_wanted(
    tx: &Tx,
    packing: &Packing,
    variant: &variant::Model,
) -> Result<Problem, Failure> {
    let elsewhere = packing.packages.iter().find(|package| {
        package
            .lines
            .iter()
            .any(|line| line.variant_id == variant.id)
    });
    if let Some(package) = elsewhere {
        return Ok(Problem::new(
            Code::ScanNotWanted,
            format!(
                "it goes into package {} of this shipment",
                package.row.position
            ),
        )
        .at("input.code"));
    }
    let whose = owner(
        tx,
        packing.shipment.warehouse_id,
        variant.id,
        packing.order.order.id,
    )
    .await?;
    Ok(match whose {
        Some(number) => Problem::new(
            Code::ScanOtherOrder,
            format!("it belongs to order {number}"),
        )
        .at("input.code")
        .with(json!({ "order": number })),
        None => Problem::new(Code::ScanNotWanted, "this order does not want it").at("input.code"),
    })
}

/// Whether the warehouse asks for two people and this one picked the item.
async fn picked_by_same(
    tx: &Tx,
    packing: &Packing,
    variant: &variant::Model,
) -> Result<bool, DbErr> {
    let asks = warehouse::Entity::find_by_id(packing.shipment.warehouse_id)
        .one(tx.db())
        .await?
        .is_some_and(|row| row.two_person_check);
    if !asks {
        return Ok(false);
    }
    let own = scan::Entity::find()
        .filter(scan::Column::OrderId.eq(packing.order.order.id))
        .filter(scan::Column::Station.eq(Station::Pick))
        .filter(scan::Column::VariantId.eq(variant.id))
        .filter(scan::Column::Actor.eq(tx.actor.name.clone()))
        .filter(scan::Column::Units.gt(0))
        .one(tx.db())
        .await?;
    Ok(own.is_some())
}

/// What [`close`] needs.
#[derive(Clone, Debug)]
pub struct Close {
    /// The package.
    pub package_id: PackageId,
    /// What it was weighed at, in grams; none = what its contents and its carton should weigh.
    pub weight_grams: Option<i64>,
    /// Whether a weight that is far from what it should be is right all the same.
    pub accept_weight: bool,
}

/// Closes a package that holds exactly what it should.
pub async fn close(tx: &Tx, cmd: &Close) -> Result<PackageId, Failure> {
    let shipment = shipment_of(tx, cmd.package_id).await?;
    let mut packing = Packing::lock(tx, shipment).await?;
    let Some(place) = packing
        .packages
        .iter()
        .position(|package| package.row.id == cmd.package_id)
    else {
        return Err(given_up().into());
    };
    let package = packing.packages[place].clone();
    if let Some(problem) = not_open(&package) {
        return Err(problem.into());
    }
    expect(packing.work()?, &[fulfillment_order::Status::InProgress])?;
    let missing: Vec<_> = package
        .lines
        .iter()
        .filter(|line| line.packed != line.expected || packing.wants(line.line_id) < line.expected)
        .map(|line| {
            json!({
                "sku": sku(&packing.order.lines, line.line_id),
                "expected": line.expected,
                "packed": line.packed,
                "wanted": packing.wants(line.line_id),
            })
        })
        .collect();
    if !missing.is_empty() {
        return Err(
            Problem::new(Code::PackageIncomplete, "it does not hold what it should")
                .at("input.id")
                .with(json!({ "lines": missing }))
                .into(),
        );
    }
    let expected = package.row.expected_grams;
    let weight = cmd.weight_grams.unwrap_or(expected);
    if !(1..=HEAVIEST_GRAMS).contains(&weight) {
        return Err(Problem::new(
            Code::QuantityInvalid,
            format!("a parcel weighs 1 to {HEAVIEST_GRAMS} grams"),
        )
        .at("input.weightGrams")
        .into());
    }
    let tolerance = std::cmp::max(expected * WEIGHT_PERCENT / 100, WEIGHT_GRAMS);
    if expected > 0 && (weight - expected).abs() > tolerance && !cmd.accept_weight {
        return Err(Problem::new(
            Code::PackageWeightImplausible,
            format!("it should weigh {expected} g: look into it, or accept the weight"),
        )
        .at("input.weightGrams")
        .with(json!({ "expectedGrams": expected, "weightGrams": weight }))
        .into());
    }
    use package::Column;
    tx.defer(
        package::Entity::update_many()
            .col_expr(Column::Status, Expr::value(Status::Closed))
            .col_expr(Column::WeightGrams, Expr::value(weight))
            .col_expr(Column::Packer, Expr::value(tx.actor.name.clone()))
            .col_expr(Column::ClosedAt, Expr::value(tx.now))
            .filter(Column::Id.eq(cmd.package_id))
            .into_query(),
    );
    packing.packages[place].row.status = Status::Closed;
    let all_closed = packing
        .packages
        .iter()
        .all(|package| package.row.status == Status::Closed);
    let whole = all_closed && packing.work()?.is_packed();
    if whole
        && let Some(work) = packing
            .order
            .work_mut(packing.shipment.fulfillment_order_id)
        && let Some(shipment) = work.shipment_mut()
    {
        shipment.status = shipment::Status::Packed;
    }
    packing.order.record(
        tx,
        Event::OrderPackageClosed {
            package_id: cmd.package_id,
            shipment_id: packing.shipment.id,
            weight_grams: weight,
        },
    );
    packing.order.save(tx);
    Ok(cmd.package_id)
}

/// Empties a package that has no label yet: its units are to be packed again.
pub async fn empty(tx: &Tx, id: PackageId) -> Result<ShipmentId, Failure> {
    let shipment = shipment_of(tx, id).await?;
    let mut packing = Packing::lock(tx, shipment).await?;
    let Some(package) = packing
        .packages
        .iter()
        .find(|package| package.row.id == id)
        .cloned()
    else {
        return Err(given_up().into());
    };
    let labelled = package.row.tracking_number.is_some();
    let late = !matches!(
        packing.shipment.status,
        shipment::Status::Pending | shipment::Status::Picked | shipment::Status::Packed
    );
    if labelled || late {
        return Err(Problem::new(
            Code::FulfillmentStateInvalid,
            "it has its label: void that first",
        )
        .at("input.id")
        .with(json!({ "status": packing.shipment.status }))
        .into());
    }
    use package::Column;
    tx.defer(
        package::Entity::update_many()
            .col_expr(Column::Status, Expr::value(Status::Cancelled))
            .col_expr(Column::ClosedAt, Expr::value(tx.now))
            .filter(Column::Id.eq(id))
            .into_query(),
    );
    super::paper::void(tx, std::iter::once(id)).await?;
    let work_id = packing.shipment.fulfillment_order_id;
    if let Some(work) = packing.order.work_mut(work_id) {
        for line in &package.lines {
            if let Some(own) = work.line_mut(line.line_id) {
                own.packed -= std::cmp::min(line.packed, own.packed);
            }
        }
        if let Some(shipment) = work.shipment_mut() {
            shipment.status = shipment::Status::Picked;
        }
    }
    packing.order.record(
        tx,
        Event::OrderPackageReopened {
            package_id: id,
            shipment_id: packing.shipment.id,
        },
    );
    packing.order.save(tx);
    Ok(shipment)
}

/// How a shipment would be packed: the cartons for what is to go into no package yet.
pub async fn propose(db: &impl ConnectionTrait, id: ShipmentId) -> Result<Vec<Filled>, Failure> {
    let Some(row) = shipment::Entity::find_by_id(id).one(db).await? else {
        return Ok(Vec::new());
    };
    let lines = entity::fulfillment_line::Entity::find()
        .filter(entity::fulfillment_line::Column::FulfillmentOrderId.eq(row.fulfillment_order_id))
        .all(db)
        .await?;
    let mut units: BTreeMap<LineId, i64> = lines
        .iter()
        .map(|line| (line.line_id, line.quantity))
        .collect();
    for line in packages(db, id).await?.iter().flat_map(|one| &one.lines) {
        if let Some(left) = units.get_mut(&line.line_id) {
            *left -= line.expected;
        }
    }
    units.retain(|_, units| *units > 0);
    let variants = lines
        .iter()
        .map(|line| (line.line_id, line.variant_id))
        .collect();
    let cartons: Vec<carton::Model> = cartons::active(db).await?;
    Ok(cartons::plan(
        &items(db, &units, &variants).await?,
        &cartons,
    ))
}
