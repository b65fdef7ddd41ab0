//! A ship-to address: what its country demands of it, and whether the reference table knows it.
//!
//! Reading order: [`country`] (which country is meant), [`rules`] (the country's own rules),
//! [`mod@reference`] (rows of the reference table and their lookup keys), [`mod@verify`] (the
//! verdict); [`reason`] and [`writing`] serve them.
//!
//! Everything but [`store`], where the reference table is read and filled, is a pure function of
//! its arguments: no database, no clock, no network. The address that a customer wrote is never
//! changed; what we would write instead stands beside it.
//!
//! The rules come from Google's libaddressinput (see `NOTICE`), the reference rows from GeoNames.

use serde::{Deserialize, Serialize};

pub mod country;
pub mod reason;
pub mod reference;
pub mod rules;
pub mod store;
pub mod verify;
pub mod writing;

mod metadata;
mod po_box;
mod postal_code;
mod region;
mod spelling;

pub use country::{Country, parse_country};
pub use reason::{AddressField, Reason, ReasonCode};
pub use reference::{Place, Reference};
pub use verify::{Verdict, Verification, verify};
pub use writing::{for_label, normalise};

/// A postal address as somebody wrote it; only the country has been understood so far.
///
/// A blank text counts as absent, in the optional fields as in the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostalAddress {
    /// The person it goes to; may be blank where an organisation is named.
    pub name: String,
    /// The company it goes to.
    #[serde(default)]
    pub organisation: Option<String>,
    /// Street and house number, or the post-office box.
    pub line1: String,
    /// Whatever did not fit into the first line.
    #[serde(default)]
    pub line2: Option<String>,
    /// City, post town or locality; blank in countries that need none, such as Singapore.
    pub city: String,
    /// State, province, prefecture or county, as a key (`OR`) or a name (`Oregon`).
    #[serde(default)]
    pub region: Option<String>,
    /// Postal code; absent in countries that have none.
    #[serde(default)]
    pub postal_code: Option<String>,
    /// The country whose rules apply.
    pub country: Country,
    /// The number that the carrier may call; checked by `contact::Phone`, not here.
    #[serde(default)]
    pub phone: Option<String>,
}
