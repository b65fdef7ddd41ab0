//! The packing slip: what lies in a parcel, and what of the order is still to come.

use chrono::NaiveDate;

use super::sheet::{self, Cell, Closing, Column, PAGE, Sheet};
use super::{Address, Paper, Parcel, Rendered, Unprintable, kilograms};

/// What a packing slip says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackingSlip {
    /// What it is printed on.
    pub paper: Paper,
    /// Who sells.
    pub merchant: String,
    /// The order's number, in printable characters of ASCII.
    pub order_number: String,
    /// What the customer calls the order.
    pub reference: Option<String>,
    /// When it was ordered.
    pub ordered_on: NaiveDate,
    /// When it is handed to the carrier.
    pub date: NaiveDate,
    /// Who carries it, and how.
    pub service: String,
    /// Which of how many.
    pub parcel: Parcel,
    /// What the parcel weighs.
    pub weight_grams: Option<u64>,
    /// Where it goes.
    pub ship_to: Address,
    /// What was ordered.
    pub lines: Vec<SlipLine>,
    /// What the merchant, or who gives it as a present, has to say.
    pub note: Option<String>,
}

/// One line of a packing slip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlipLine {
    /// The variant.
    pub sku: String,
    /// What it is called.
    pub title: String,
    /// How many units were ordered.
    pub ordered: i64,
    /// How many lie in this parcel.
    pub in_parcel: i64,
    /// How many neither lie in it nor came before.
    pub to_come: i64,
}

/// Prints a packing slip.
pub fn packing_slip(slip: &PackingSlip) -> Result<Rendered, Unprintable> {
    sheet::print(&laid_out(slip))
}

pub(super) fn laid_out(slip: &PackingSlip) -> Sheet {
    let mut facts = vec![
        ("Ordered on", slip.ordered_on.to_string()),
        ("Shipped on", slip.date.to_string()),
        ("Parcel", slip.parcel.to_string()),
    ];
    facts.extend(
        slip.weight_grams
            .map(|weight| ("Weight", kilograms(weight))),
    );
    facts.push(("Carrier", slip.service.clone()));
    facts.extend(slip.reference.clone().map(|text| ("Your reference", text)));
    let sum = |of: fn(&SlipLine) -> i64| slip.lines.iter().map(of).sum::<i64>();
    let to_come = sum(|line| line.to_come);
    Sheet {
        paper: slip.paper,
        issuer: slip.merchant.clone(),
        title: "Packing slip",
        number: slip.order_number.clone(),
        code: Some(("the order's number", slip.order_number.clone())),
        page: PAGE,
        address: Some(("Ship to", slip.ship_to.clone())),
        facts,
        columns: vec![
            Column::text("SKU", Some(104.0)),
            Column::text("Item", None),
            Column::figures("Ordered", 48.0),
            Column::figures("In this parcel", 60.0).bold(),
            Column::figures("Still to come", 60.0),
        ],
        rows: slip.lines.iter().map(row).collect(),
        totals: vec![vec![
            Cell::from(""),
            "Units".into(),
            sum(|line| line.ordered).into(),
            sum(|line| line.in_parcel).into(),
            units(to_come),
        ]],
        closing: slip
            .note
            .clone()
            .map(|note| Closing::Note("Note", note))
            .into_iter()
            .collect(),
    }
}

fn row(line: &SlipLine) -> Vec<Cell> {
    vec![
        (&line.sku).into(),
        (&line.title).into(),
        line.ordered.into(),
        line.in_parcel.into(),
        units(line.to_come),
    ]
}

/// Nothing reads as nothing, not as a figure.
fn units(count: i64) -> Cell {
    match count {
        0 => "–".into(),
        count => count.into(),
    }
}
