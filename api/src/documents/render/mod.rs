//! From plain facts to printed pages: structs in, bytes out. Nothing here reads a clock, a file or
//! a database, so the same facts always give the same bytes.
//!
//! In reading order: [`face`] knows letters, [`codes`] what scanners read, [`page`] is a list of
//! marks that can be written down as a PDF, [`sheet`] lays a table out over pages. [`label`] is
//! written down as a PDF or by [`zpl`]; the others are sheets. A [`bill`](bill()) is written by
//! `ubl` for programs as well.

use entity::document::Format;

mod bill;
mod codes;
mod face;
mod label;
mod manifest;
mod packing_slip;
mod page;
mod pick_sheet;
mod sheet;
mod ubl;
mod zpl;

pub mod samples;

pub use bill::{Bill, BillLine, Party, TaxGroup, bill};
pub use label::{Label, label, label_zpl};
pub use manifest::{Manifest, ManifestParcel, manifest};
pub use packing_slip::{PackingSlip, SlipLine, packing_slip};
pub use pick_sheet::{PickRow, PickSheet, pick_sheet};
pub use ubl::bill_ubl;

#[cfg(test)]
mod tests;

/// A printed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// What the bytes are.
    pub format: Format,
    /// The document.
    pub bytes: Vec<u8>,
    /// How many pages it has.
    pub pages: usize,
    /// The characters that could not be printed. A box stands in the place of each.
    pub missing: Vec<char>,
}

/// Why a document cannot be printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprintable {
    /// What is to be scanned cannot be written as a code.
    #[error("{what} cannot be printed as a code: {reason}")]
    Code {
        /// What was to be scanned.
        what: &'static str,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// The document could not be written, which is a fault of ours.
    #[error("the document could not be written: {0}")]
    Document(String),
}

/// What a document is printed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Paper {
    /// 210 by 297 millimetres.
    #[default]
    A4,
    /// 8.5 by 11 inches.
    Letter,
}

/// One of several parcels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Which one, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl std::fmt::Display for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.number, self.of)
    }
}

/// Where something goes to or comes from, as it is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Who.
    pub name: String,
    /// The company, if any.
    pub organisation: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Floor, flat, building.
    pub line2: Option<String>,
    /// The place.
    pub city: String,
    /// State, province or county.
    pub region: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country_code: String,
    /// The country's name, as the country of dispatch writes it; its code if empty.
    pub country: String,
    /// The telephone number, for the driver.
    pub phone: Option<String>,
}

/// The countries that write the postal code behind the place.
const CODE_LAST: &[&str] = &[
    "AU", "BR", "CA", "GB", "GG", "HK", "IE", "IM", "IN", "JE", "NZ", "SG", "TH", "US", "ZA",
];

impl Address {
    /// The lines below the name, without the country.
    fn lines(&self) -> Vec<String> {
        let some = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut lines = vec![
            some(&self.organisation),
            self.line1.clone(),
            some(&self.line2),
        ];
        let join = |parts: &[&str], with: &str| {
            let parts = parts.iter().copied();
            let parts: Vec<_> = parts.filter(|part| !part.trim().is_empty()).collect();
            parts.join(with)
        };
        let (region, code) = (some(&self.region), some(&self.postal_code));
        lines.push(match CODE_LAST.contains(&self.country_code.as_str()) {
            true => join(&[&join(&[&self.city, &region], ", "), &code], " "),
            false => join(&[&join(&[&code, &self.city], " "), &region], ", "),
        });
        lines.retain(|line| !line.trim().is_empty());
        lines
    }

    /// The country as the last line has it.
    fn country(&self) -> String {
        match self.country.trim() {
            "" => self.country_code.to_uppercase(),
            name => name.to_uppercase(),
        }
    }
}

/// A weight as it is printed: kilograms with three decimals.
fn kilograms(grams: u64) -> String {
    format!("{}.{:03} kg", grams / 1000, grams % 1000)
}
