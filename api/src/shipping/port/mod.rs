//! The port to carriers.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::carrier::Adapter;
use entity::label::Format;
use entity::shipment::TrackingStatus;
use entity::{Currency, Money, address, warehouse};

use super::choice::{Offered, Offers, Parcel, Sending};
use super::labels::{Offer, Purchase};
use crate::config::ShippingConfig;

pub mod easypost;
mod table;

pub use easypost::Easypost;
pub use table::{Table, tracking_number};

/// How long a carrier may take before its answer counts as unknown.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// One end of a parcel's way, as carriers are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
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
    pub country: String,
    /// E.164.
    pub phone: Option<String>,
}

impl From<&address::Model> for Party {
    fn from(row: &address::Model) -> Self {
        Party {
            name: row.name.clone(),
            organisation: row.organisation.clone(),
            line1: row.line1.clone(),
            line2: row.line2.clone(),
            city: row.city.clone(),
            region: row.region.clone(),
            postal_code: row.postal_code.clone(),
            country: row.country.clone(),
            phone: row.phone.clone(),
        }
    }
}

impl From<&warehouse::Model> for Party {
    fn from(row: &warehouse::Model) -> Self {
        Party {
            name: row.name.clone(),
            line1: row.street.clone().unwrap_or_default(),
            city: row.city.clone().unwrap_or_default(),
            postal_code: row.postal_code.clone(),
            country: row.country.clone(),
            phone: row.phone.clone(),
            ..Party::default()
        }
    }
}

/// Both ends of a parcel's way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Who sends.
    pub from: Party,
    /// Who receives.
    pub to: Party,
}

/// What getting a label ready came to. It costs nothing and may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// The carrier sells it under this name.
    Ready(Offer),
    /// It refused.
    Declined {
        /// Its reason.
        code: String,
    },
    /// Anything else.
    Unknown,
}

/// What a carrier sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold {
    /// The parcel's name at the carrier.
    pub tracking_number: String,
    /// Where the customer can follow it, if the carrier says.
    pub tracking_url: Option<String>,
    /// What it asks, if it says.
    pub cost: Option<Money>,
    /// Where the label that it made is, and what it is; none = we make it.
    pub document: Option<(String, Format)>,
}

/// What a carrier said when it was asked to sell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did.
    Succeeded(Sold),
    /// It refused, and sold nothing.
    Declined {
        /// Its reason.
        code: String,
    },
    /// It never did it, and is no longer wanted to.
    NotExecuted,
    /// Anything else: a time-out, a server error, garbage. It may or may not have happened.
    Unknown,
}

/// What a carrier knows of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It sold it.
    Bought(Sold),
    /// It has not sold it.
    Absent,
    /// It cannot say now.
    Unclear,
}

/// What a carrier said when it was asked to take a label back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    /// It does, or has.
    Voided,
    /// It does not.
    Refused {
        /// Its reason.
        code: String,
    },
    /// Anything else.
    Unknown,
}

/// Something that a carrier says of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What it means.
    pub status: TrackingStatus,
    /// What the carrier calls it.
    pub code: String,
    /// Where.
    pub place: Option<String>,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

/// A carrier, or who speaks for several. Calls for one purchase have one effect, however often
/// they are made.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// What these parcels cost together, by each service that takes them all; none = there was no
    /// answer.
    async fn quote(
        &self,
        route: &Route,
        parcels: &[Parcel],
        currency: Currency,
    ) -> Option<Vec<Offered>>;

    /// Gets a label ready to be bought.
    async fn prepare(&self, purchase: &Purchase, route: &Route) -> Prepared;

    /// Buys what was got ready.
    async fn buy_label(&self, purchase: &Purchase, offer: &Offer) -> Answer;

    /// Says whether what was got ready has been bought.
    async fn find_purchase(&self, purchase: &Purchase, offer: &Offer) -> Known;

    /// Takes a label back.
    async fn void_label(&self, purchase: &Purchase) -> Returned;

    /// Fetches a label that it made; none = not now.
    async fn fetch_label(&self, url: &str) -> Option<Vec<u8>>;

    /// Says what it knows of a parcel; none = there was no answer.
    async fn track(&self, carrier: &str, number: &str) -> Option<Vec<Sighting>>;
}

/// Whoever can be asked.
pub struct Carriers {
    table: Table,
    easypost: Option<Easypost>,
}

impl Carriers {
    /// Those that the settings have.
    pub fn of(config: &ShippingConfig, ca_file: &str) -> Carriers {
        Carriers {
            table: Table,
            easypost: Easypost::of(config, ca_file),
        }
    }

    /// Who is asked for a carrier's labels; none if the settings do not have it.
    pub fn of_adapter(&self, adapter: Adapter) -> Option<&dyn Carrier> {
        match adapter {
            Adapter::Table => Some(&self.table),
            Adapter::Easypost => self.easypost.as_ref().map(|it| it as &dyn Carrier),
        }
    }
}

/// Gets a label ready, and takes silence for what it is.
pub async fn prepare(carrier: &dyn Carrier, purchase: &Purchase, route: &Route) -> Prepared {
    tokio::time::timeout(PATIENCE, carrier.prepare(purchase, route))
        .await
        .unwrap_or(Prepared::Unknown)
}

/// Buys what was got ready, and takes silence for what it is.
pub async fn buy(carrier: &dyn Carrier, purchase: &Purchase, offer: &Offer) -> Answer {
    tokio::time::timeout(PATIENCE, carrier.buy_label(purchase, offer))
        .await
        .unwrap_or(Answer::Unknown)
}

/// Asks about a purchase. If the carrier positively has not sold what was got ready, it is asked
/// for that again, provided it is still wanted.
pub async fn resolve(
    carrier: &dyn Carrier,
    purchase: &Purchase,
    offer: &Offer,
    still_wanted: bool,
) -> Answer {
    match tokio::time::timeout(PATIENCE, carrier.find_purchase(purchase, offer)).await {
        Ok(Known::Bought(sold)) => Answer::Succeeded(sold),
        Ok(Known::Absent) if still_wanted => buy(carrier, purchase, offer).await,
        Ok(Known::Absent) => Answer::NotExecuted,
        Ok(Known::Unclear) | Err(_) => Answer::Unknown,
    }
}

/// Takes a label back, and takes silence for what it is.
pub async fn void(carrier: &dyn Carrier, purchase: &Purchase) -> Returned {
    tokio::time::timeout(PATIENCE, carrier.void_label(purchase))
        .await
        .unwrap_or(Returned::Unknown)
}

/// Asks what parcels cost, and takes silence for what it is.
pub async fn quote(carrier: &dyn Carrier, route: &Route, sending: &Sending) -> Offers {
    let asked = carrier.quote(route, &sending.parcels, sending.currency);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Some(offered)) => Offers::Said(offered),
        Ok(None) | Err(_) => Offers::Silent,
    }
}

/// Asks where a parcel is, and takes silence for what it is.
pub async fn track(carrier: &dyn Carrier, code: &str, number: &str) -> Option<Vec<Sighting>> {
    tokio::time::timeout(PATIENCE, carrier.track(code, number))
        .await
        .unwrap_or(None)
}
