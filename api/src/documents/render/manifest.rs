//! The manifest: the parcels that a carrier takes along at the end of a day.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::sheet::{self, Cell, Closing, Column, PAGE, Sheet};
use super::{Paper, Rendered, Unprintable, kilograms};

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is printed on.
    pub paper: Paper,
    /// The manifest's number, in printable characters of ASCII.
    pub number: String,
    /// Who takes the parcels.
    pub carrier: String,
    /// Where from.
    pub warehouse: String,
    /// On which day.
    pub date: NaiveDate,
    /// The parcels.
    pub parcels: Vec<ManifestParcel>,
}

/// One parcel of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestParcel {
    /// The carrier's number.
    pub tracking_number: String,
    /// The order that it belongs to.
    pub order_number: String,
    /// How it is carried.
    pub service: String,
    /// What it weighs.
    pub weight_grams: u64,
}

/// Prints a manifest.
pub fn manifest(manifest: &Manifest) -> Result<Rendered, Unprintable> {
    sheet::print(&laid_out(manifest))
}

pub(super) fn laid_out(manifest: &Manifest) -> Sheet {
    let mut services: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for parcel in &manifest.parcels {
        let (parcels, grams) = services.entry(&parcel.service).or_default();
        *parcels += 1;
        *grams += parcel.weight_grams;
    }
    let grams: u64 = services.values().map(|(_, grams)| grams).sum();
    let sum = |name: String, parcels: u64, grams: u64| {
        let parcels = match parcels {
            1 => "1 parcel".to_owned(),
            parcels => format!("{parcels} parcels"),
        };
        vec![
            "".into(),
            Cell::from(parcels),
            "".into(),
            name.into(),
            kilograms(grams).into(),
        ]
    };
    let mut totals = Vec::new();
    if services.len() > 1 {
        let each = services.iter();
        totals
            .extend(each.map(|(name, (parcels, grams))| sum((*name).to_owned(), *parcels, *grams)));
    }
    totals.push(sum(
        "Total".to_owned(),
        manifest.parcels.len() as u64,
        grams,
    ));
    Sheet {
        paper: manifest.paper,
        issuer: manifest.warehouse.clone(),
        title: "Manifest",
        number: manifest.number.clone(),
        code: Some(("the manifest's number", manifest.number.clone())),
        page: PAGE,
        address: None,
        facts: vec![
            ("Carrier", manifest.carrier.clone()),
            ("Warehouse", manifest.warehouse.clone()),
            ("Date", manifest.date.to_string()),
            ("Parcels", manifest.parcels.len().to_string()),
        ],
        columns: vec![
            Column::figures("", 28.0),
            Column::text("Tracking number", None),
            Column::text("Order", Some(84.0)),
            Column::text("Service", Some(104.0)),
            Column::figures("Weight", 64.0),
        ],
        rows: (1..).zip(&manifest.parcels).map(row).collect(),
        totals,
        closing: vec![Closing::Signatures(&[
            "Handed over by",
            "Taken by the carrier",
            "Date and time",
        ])],
    }
}

fn row((place, parcel): (usize, &ManifestParcel)) -> Vec<Cell> {
    vec![
        place.into(),
        (&parcel.tracking_number).into(),
        (&parcel.order_number).into(),
        (&parcel.service).into(),
        kilograms(parcel.weight_grams).into(),
    ]
}
