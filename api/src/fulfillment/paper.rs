//! What is printed for the floor: labels and packing slips of a shipment, pick sheets, and the
//! manifest that a driver signs. Read from the rows as they are, and printed; storing is the
//! caller's, since printing takes longer than a transaction should.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entity::document::Kind;
use entity::{
    AddressId, BinId, DocumentId, LineId, PickListId, ShipmentId, VariantId, WarehouseId, address,
    bin, channel, document, order, order_line, package, package_line, pick_list, pick_task,
    shipment, variant, warehouse, wave,
};
use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::documents::{
    self, Address, Label, Manifest, ManifestParcel, NewDocument, PackingSlip, Paper, Parcel,
    PickRow, PickSheet, Rendered, SlipLine, Unprintable,
};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// The subject of what is printed for a package.
pub fn of_package(id: entity::PackageId) -> String {
    format!("package:{id}")
}

/// What is printed for a shipment: of every closed package a packing slip, and once it has its name
/// at the carrier a label, as a PDF and as ZPL.
pub async fn of_shipment(
    db: &impl ConnectionTrait,
    id: ShipmentId,
    now: DateTime<Utc>,
) -> Result<Vec<NewDocument>, Failure> {
    let missing = || Problem::not_found("shipment").at("input.id");
    let shipment = shipment::Entity::find_by_id(id).one(db).await?;
    let shipment = shipment.ok_or_else(missing)?;
    let order = order::Entity::find_by_id(shipment.order_id).one(db).await?;
    let order = order.ok_or_else(missing)?;
    let channel = channel::Entity::find_by_id(order.channel_id)
        .one(db)
        .await?;
    let channel = channel.ok_or_else(missing)?;
    let from = warehouse::Entity::find_by_id(shipment.warehouse_id)
        .one(db)
        .await?;
    let from = from.ok_or_else(missing)?;
    let to = addressed(db, order.shipping_address_id, &order).await?;
    let packages = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .filter(package::Column::Status.eq(package::Status::Closed))
        .order_by_asc(package::Column::Position)
        .all(db)
        .await?;
    let contents = package_line::Entity::find()
        .filter(package_line::Column::PackageId.is_in(packages.iter().map(|one| one.id)))
        .all(db)
        .await?;
    let lines = order_line::Entity::find()
        .filter(order_line::Column::OrderId.eq(order.id))
        .order_by_asc(order_line::Column::Position)
        .all(db)
        .await?;
    let today = channel.time_zone.local(now).date();
    let of = u32::try_from(packages.len()).unwrap_or(u32::MAX);
    let mut printed = Vec::new();
    for (number, package) in (1..).zip(&packages) {
        let parcel = Parcel { number, of };
        let own: HashMap<LineId, i64> = contents
            .iter()
            .filter(|line| line.package_id == package.id)
            .map(|line| (line.line_id, line.packed))
            .collect();
        let slip = PackingSlip {
            paper: Paper::default(),
            merchant: channel.name.clone(),
            order_number: order.number.clone(),
            reference: order.external_reference.clone(),
            ordered_on: channel.time_zone.local(order.placed_at).date(),
            date: today,
            service: order.service_level.clone(),
            parcel,
            weight_grams: grams(package),
            ship_to: to.clone(),
            lines: lines.iter().map(|line| slip_line(line, &own)).collect(),
            note: None,
        };
        let mut keep = |kind, name: &str, rendered: Result<Rendered, Unprintable>| {
            rendered.map(|rendered| {
                printed.push(NewDocument {
                    kind,
                    subject: of_package(package.id),
                    order: Some((order.id, order.channel_id)),
                    name: format!("{name} {}-{number}", shipment.number),
                    rendered,
                });
            })
        };
        keep(
            Kind::PackingSlip,
            "Packing slip",
            documents::packing_slip(&slip),
        )?;
        let Some(tracking_number) = &package.tracking_number else {
            continue;
        };
        let label = Label {
            carrier: shipment.carrier.clone().unwrap_or_default(),
            service: shipment.service.clone().unwrap_or_default(),
            from: sender(&from),
            to: to.clone(),
            tracking_number: tracking_number.clone(),
            weight_grams: grams(package).unwrap_or_default(),
            references: vec![order.number.clone()],
            parcel,
            date: today,
            cash_on_delivery: None,
            handling: Vec::new(),
        };
        keep(Kind::Label, "Label", documents::label(&label))?;
        keep(Kind::Label, "Label", documents::label_zpl(&label))?;
    }
    Ok(printed)
}

fn grams(package: &package::Model) -> Option<u64> {
    u64::try_from(package.weight_grams?).ok()
}

fn slip_line(line: &order_line::Model, own: &HashMap<LineId, i64>) -> SlipLine {
    let in_parcel = own.get(&line.id).copied().unwrap_or_default();
    let ordered = line.quantity - line.cancelled;
    SlipLine {
        sku: line.sku.clone(),
        title: line.title.clone(),
        ordered,
        in_parcel,
        to_come: std::cmp::max(ordered - std::cmp::max(line.packed, in_parcel), 0),
    }
}

async fn addressed(
    db: &impl ConnectionTrait,
    id: AddressId,
    order: &order::Model,
) -> Result<Address, Failure> {
    let row = address::Entity::find_by_id(id)
        .one(db)
        .await?
        .ok_or_else(|| Problem::not_found("address"))?;
    Ok(Address {
        name: row.name,
        organisation: row.organisation,
        line1: row.line1,
        line2: row.line2,
        city: row.city,
        region: row.region,
        postal_code: row.postal_code,
        country_code: row.country,
        country: String::new(),
        phone: row.phone.or_else(|| order.phone.clone()),
    })
}

fn sender(row: &warehouse::Model) -> Address {
    Address {
        name: row.name.clone(),
        line1: row.street.clone().unwrap_or_default(),
        city: row.city.clone().unwrap_or_default(),
        postal_code: row.postal_code.clone(),
        country_code: row.country.clone(),
        phone: row.phone.clone(),
        ..Address::default()
    }
}

/// The sheet of a pick list, as its rows are now.
pub async fn of_list(
    db: &impl ConnectionTrait,
    id: PickListId,
    now: DateTime<Utc>,
) -> Result<NewDocument, Failure> {
    let missing = || Problem::not_found("pick list").at("input.id");
    let list = pick_list::Entity::find_by_id(id).one(db).await?;
    let list = list.ok_or_else(missing)?;
    let warehouse = warehouse::Entity::find_by_id(list.warehouse_id)
        .one(db)
        .await?;
    let wave = match list.wave_id {
        Some(id) => wave::Entity::find_by_id(id).one(db).await?,
        None => None,
    };
    let tasks = pick_task::Entity::find()
        .filter(pick_task::Column::PickListId.eq(id))
        .order_by_asc(pick_task::Column::Position)
        .order_by_asc(pick_task::Column::Slot)
        .all(db)
        .await?;
    let bins: HashMap<BinId, String> = bin::Entity::find()
        .filter(bin::Column::Id.is_in(tasks.iter().map(|task| task.bin_id)))
        .all(db)
        .await?
        .into_iter()
        .map(|bin| (bin.id, bin.code))
        .collect();
    let variants: HashMap<VariantId, variant::Model> = variant::Entity::find()
        .filter(variant::Column::Id.is_in(tasks.iter().map(|task| task.variant_id)))
        .all(db)
        .await?
        .into_iter()
        .map(|variant| (variant.id, variant))
        .collect();
    let rows = tasks
        .iter()
        .filter(|task| task.status == pick_task::Status::Open)
        .filter_map(|task| {
            let variant = variants.get(&task.variant_id)?;
            Some(PickRow {
                bin: bins.get(&task.bin_id)?.clone(),
                sku: variant.sku.clone(),
                title: variant.title.clone(),
                quantity: task.quantity - task.picked,
                slot: Some(task.slot.to_string()),
            })
        })
        .collect();
    let sheet = PickSheet {
        paper: Paper::default(),
        number: list.number.clone(),
        warehouse: warehouse.map_or_else(String::new, |row| row.name),
        wave: wave.map(|wave| wave.number),
        date: now.date_naive(),
        rows,
    };
    Ok(NewDocument {
        kind: Kind::PickList,
        // What is left to pick changes; each moment has a sheet of its own.
        subject: format!("pick_list:{id}:{}", now.timestamp_micros()),
        order: None,
        name: format!("Pick list {}", list.number),
        rendered: documents::pick_sheet(&sheet)?,
    })
}

/// The most parcels that a manifest lists.
const MOST_PARCELS: u64 = 5_000;

/// What a driver took from a warehouse for a carrier on one day of UTC.
pub async fn of_day(
    db: &impl ConnectionTrait,
    warehouse_id: WarehouseId,
    carrier: &str,
    day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<NewDocument, Failure> {
    let warehouse = warehouse::Entity::find_by_id(warehouse_id).one(db).await?;
    let warehouse =
        warehouse.ok_or_else(|| Problem::not_found("warehouse").at("input.warehouseId"))?;
    let begins = day.and_time(chrono::NaiveTime::MIN).and_utc();
    let parcels = handed_over(db, warehouse_id, carrier, begins).await?;
    if parcels.is_empty() {
        return Err(Problem::new(
            Code::NotFound,
            "nothing was handed over to the carrier that day",
        )
        .at("input.date")
        .into());
    }
    let number = format!("{}-{carrier}-{day}", warehouse.code);
    let manifest = Manifest {
        paper: Paper::default(),
        number: number.clone(),
        carrier: carrier.to_owned(),
        warehouse: warehouse.name,
        date: day,
        parcels,
    };
    Ok(NewDocument {
        kind: Kind::Manifest,
        // More may be handed over later that day.
        subject: format!("manifest:{number}:{}", now.timestamp_micros()),
        order: None,
        name: format!("Manifest {number}"),
        rendered: documents::manifest(&manifest)?,
    })
}

async fn handed_over(
    db: &impl ConnectionTrait,
    warehouse: WarehouseId,
    carrier: &str,
    begins: DateTime<Utc>,
) -> Result<Vec<ManifestParcel>, DbErr> {
    let shipments: HashMap<ShipmentId, shipment::Model> = shipment::Entity::find()
        .filter(shipment::Column::WarehouseId.eq(warehouse))
        .filter(shipment::Column::Status.eq(shipment::Status::Dispatched))
        .filter(shipment::Column::Carrier.eq(carrier))
        .filter(shipment::Column::DispatchedAt.gte(begins))
        .filter(shipment::Column::DispatchedAt.lt(begins + TimeDelta::days(1)))
        .limit(MOST_PARCELS)
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let orders: HashMap<entity::OrderId, String> = order::Entity::find()
        .filter(order::Column::Id.is_in(shipments.values().map(|row| row.order_id)))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.id, row.number))
        .collect();
    let packages = package::Entity::find()
        .filter(package::Column::ShipmentId.is_in(shipments.keys().copied()))
        .filter(package::Column::Status.eq(package::Status::Closed))
        .order_by_asc(package::Column::TrackingNumber)
        .limit(MOST_PARCELS)
        .all(db)
        .await?;
    Ok(packages
        .into_iter()
        .filter_map(|package| {
            let shipment = shipments.get(&package.shipment_id)?;
            Some(ManifestParcel {
                order_number: orders.get(&shipment.order_id)?.clone(),
                service: shipment.service.clone().unwrap_or_default(),
                weight_grams: grams(&package).unwrap_or_default(),
                tracking_number: package.tracking_number?,
            })
        })
        .collect())
}

/// The shipments with labels, not gone yet, of which a parcel's label was not printed.
pub async fn unprinted(db: &impl ConnectionTrait) -> Result<Vec<ShipmentId>, DbErr> {
    let parcels: Vec<(ShipmentId, entity::PackageId)> = package::Entity::find()
        .select_only()
        .column(package::Column::ShipmentId)
        .column(package::Column::Id)
        .filter(package::Column::Status.eq(package::Status::Closed))
        .filter(package::Column::TrackingNumber.is_not_null())
        .filter(
            package::Column::ShipmentId.in_subquery(
                Query::select()
                    .column(shipment::Column::Id)
                    .from(shipment::Entity)
                    .and_where(shipment::Column::Status.eq(shipment::Status::Labeled))
                    .to_owned(),
            ),
        )
        .order_by_desc(package::Column::ClosedAt)
        .limit(500)
        .into_tuple()
        .all(db)
        .await?;
    let printed: HashSet<String> = document::Entity::find()
        .select_only()
        .column(document::Column::Subject)
        .filter(document::Column::Subject.is_in(parcels.iter().map(|(_, id)| of_package(*id))))
        .filter(document::Column::Kind.eq(Kind::Label))
        .filter(document::Column::VoidedAt.is_null())
        .into_tuple()
        .all(db)
        .await?
        .into_iter()
        .collect();
    let lacking: BTreeSet<ShipmentId> = parcels
        .into_iter()
        .filter(|(_, id)| !printed.contains(&of_package(*id)))
        .map(|(shipment, _)| shipment)
        .collect();
    Ok(lacking.into_iter().collect())
}

/// Says that a document is no longer in force. What was printed for a parcel that has left stays.
pub async fn void_one(tx: &Tx, id: DocumentId) -> Result<document::Model, Failure> {
    let row = document::Entity::find_by_id(id).one(tx.db()).await?;
    let is_kept = |row: &document::Model| matches!(row.kind, Kind::Invoice | Kind::CreditNote);
    if row.as_ref().is_some_and(is_kept) {
        let message = "an invoice is corrected by a credit note, and stays as it is";
        return Err(Problem::new(Code::InvoiceFinal, message)
            .at("input.id")
            .into());
    }
    if let Some(order) = row.as_ref().and_then(|row| row.order_id) {
        let gone = shipment::Entity::find()
            .filter(shipment::Column::OrderId.eq(order))
            .filter(shipment::Column::Status.eq(shipment::Status::Dispatched))
            .all(tx.db())
            .await?;
        let parcels = package::Entity::find()
            .filter(package::Column::ShipmentId.is_in(gone.iter().map(|one| one.id)))
            .all(tx.db())
            .await?;
        let of = row.as_ref().map(|row| row.subject.as_str());
        if parcels
            .iter()
            .any(|one| of == Some(of_package(one.id).as_str()))
        {
            return Err(Problem::new(
                Code::FulfillmentStateInvalid,
                "the parcel that it was printed for has left",
            )
            .at("input.id")
            .into());
        }
    }
    documents::void(tx, id).await
}

/// Says that what was printed for packages is no longer in force: their labels were given back, or
/// they are packed anew.
pub async fn void(
    tx: &Tx,
    packages: impl Iterator<Item = entity::PackageId>,
) -> Result<(), Failure> {
    let subjects: Vec<String> = packages.map(of_package).collect();
    let printed = document::Entity::find()
        .filter(document::Column::Subject.is_in(subjects))
        .filter(document::Column::VoidedAt.is_null())
        .all(tx.db())
        .await?;
    for row in printed {
        documents::void(tx, row.id).await?;
    }
    Ok(())
}
