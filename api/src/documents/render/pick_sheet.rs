//! The pick sheet: what is fetched from the shelves, in walking order.

use chrono::NaiveDate;

use super::sheet::{self, Cell, Column, PAGE, Sheet};
use super::{Paper, Rendered, Unprintable};

/// What a pick sheet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickSheet {
    /// What it is printed on.
    pub paper: Paper,
    /// The list's number, in printable characters of ASCII.
    pub number: String,
    /// The warehouse.
    pub warehouse: String,
    /// The wave that it belongs to, if any.
    pub wave: Option<String>,
    /// When it was made.
    pub date: NaiveDate,
    /// What is fetched, in walking order.
    pub rows: Vec<PickRow>,
}

/// One stop on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickRow {
    /// The bin.
    pub bin: String,
    /// The variant.
    pub sku: String,
    /// What it is called.
    pub title: String,
    /// How many units.
    pub quantity: i64,
    /// Where on the trolley they go; none if everything is for one order.
    pub slot: Option<String>,
}

/// Prints a pick sheet.
pub fn pick_sheet(list: &PickSheet) -> Result<Rendered, Unprintable> {
    sheet::print(&laid_out(list))
}

pub(super) fn laid_out(list: &PickSheet) -> Sheet {
    let mut facts = vec![("Warehouse", list.warehouse.clone())];
    facts.extend(list.wave.clone().map(|wave| ("Wave", wave)));
    facts.push(("Date", list.date.to_string()));
    facts.push(("Stops", list.rows.len().to_string()));
    let units: i64 = list.rows.iter().map(|row| row.quantity).sum();
    let sorted = list.rows.iter().any(|row| row.slot.is_some());
    let mut columns = vec![
        Column::text("Bin", Some(70.0)).bold(),
        Column::text("SKU", Some(104.0)),
        Column::text("Item", None),
        Column::figures("Quantity", 44.0).bold(),
    ];
    let mut totals = vec![Cell::from(""), "".into(), "Units".into(), units.into()];
    if sorted {
        columns.push(Column::text("Slot", Some(32.0)));
        totals.push("".into());
    }
    columns.push(Column::figures("Picked", 34.0));
    Sheet {
        paper: list.paper,
        issuer: list.warehouse.clone(),
        title: "Pick list",
        number: list.number.clone(),
        code: Some(("the list's number", list.number.clone())),
        page: PAGE,
        address: None,
        facts,
        columns,
        rows: list.rows.iter().map(|row| cells(row, sorted)).collect(),
        totals: vec![totals],
        closing: Vec::new(),
    }
}

fn cells(row: &PickRow, sorted: bool) -> Vec<Cell> {
    let mut cells = vec![
        Cell::from(&row.bin),
        (&row.sku).into(),
        (&row.title).into(),
        row.quantity.into(),
    ];
    if sorted {
        cells.push(row.slot.as_deref().unwrap_or_default().into());
    }
    cells.push(Cell::Tick);
    cells
}
