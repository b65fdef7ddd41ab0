//! What a channel sends: text and figures as they came, nothing looked up yet.

use chrono::{DateTime, Utc};
use entity::order::PaymentMethod;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::signatures;

/// An order as a channel sends it. Amounts are decimals of the order's currency.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Submission {
    /// The channel's code.
    pub channel: String,
    /// The order's name at the channel; unique there.
    #[serde(default)]
    pub external_reference: Option<String>,
    /// When the customer ordered; none = now.
    #[serde(default)]
    pub placed_at: Option<DateTime<Utc>>,
    /// ISO 4217; none = the channel's.
    #[serde(default)]
    pub currency: Option<String>,
    /// Who orders.
    pub customer: SubmittedCustomer,
    /// Where it goes.
    pub shipping_address: SubmittedAddress,
    /// Where the bill goes; none = where it goes.
    #[serde(default)]
    pub billing_address: Option<SubmittedAddress>,
    /// What is ordered.
    pub lines: Vec<SubmittedLine>,
    /// The promotion codes that the customer typed.
    #[serde(default)]
    pub promotion_codes: Vec<String>,
    /// The shipping service; none = `STANDARD`.
    #[serde(default)]
    pub service_level: Option<String>,
    /// What the channel charged for shipping; none = our rate applies.
    #[serde(default)]
    pub shipping_charge: Option<Decimal>,
    /// What the channel says the total is; none = ours applies.
    #[serde(default)]
    pub total: Option<Decimal>,
    /// How it is paid.
    pub payment: SubmittedPayment,
    /// Key-values to keep with the order.
    #[serde(default)]
    pub metadata: Option<Json>,
}

/// Who orders: a known customer by code, or a guest by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmittedCustomer {
    /// The customer's code; none = a guest.
    #[serde(default)]
    pub code: Option<String>,
    /// The name; a known customer's own if none is given.
    #[serde(default)]
    pub name: Option<String>,
    /// Where notices go.
    #[serde(default)]
    pub email: Option<String>,
    /// A telephone number, national to the shipping country or international.
    #[serde(default)]
    pub phone: Option<String>,
}

/// A postal address as it was typed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmittedAddress {
    /// Who receives; none = who orders.
    #[serde(default)]
    pub name: Option<String>,
    /// The company.
    #[serde(default)]
    pub organisation: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Floor, flat, building.
    #[serde(default)]
    pub line2: Option<String>,
    /// The place.
    pub city: String,
    /// State, province or county.
    #[serde(default)]
    pub region: Option<String>,
    /// The postal code.
    #[serde(default)]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, or the country's English name.
    pub country: String,
}

impl SubmittedAddress {
    /// Whether it says who receives; otherwise that is who orders.
    pub fn has_own_name(&self) -> bool {
        self.name
            .as_deref()
            .is_some_and(|name| !name.trim().is_empty())
    }
}

/// Some units of a SKU.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmittedLine {
    /// Our SKU, an alias or a barcode.
    pub sku: String,
    /// How many units.
    pub quantity: i64,
    /// What the channel charged for a unit; none = our price applies.
    #[serde(default)]
    pub unit_price: Option<Decimal>,
    /// What the channel took off the whole line.
    #[serde(default)]
    pub discount: Option<Decimal>,
    /// The channel's title.
    #[serde(default)]
    pub title: Option<String>,
}

/// How an order is paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmittedPayment {
    /// By card, on account, or outside.
    pub method: PaymentMethod,
    /// The card's token at the gateway; needed for a card.
    #[serde(default)]
    pub token: Option<String>,
}

impl Submission {
    /// SHA-256 of what was submitted, in hexadecimal: the same for the same contents.
    pub fn fingerprint(&self) -> String {
        fingerprint(self)
    }

    /// Where a text holds a NUL character, which PostgreSQL can neither keep nor be asked about:
    /// dots between the parts.
    pub fn nul(&self) -> Option<String> {
        let submission = serde_json::to_value(self).ok()?;
        let mut path = vec!["input".to_owned()];
        find_nul(&submission, &mut path).then(|| path.join("."))
    }
}

/// Walks to the first NUL character; `path` is then where it stands.
fn find_nul(value: &Json, path: &mut Vec<String>) -> bool {
    let mut inside = |key: String, value: &Json| {
        path.push(key);
        let found = find_nul(value, path);
        if !found {
            path.pop();
        }
        found
    };
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => (0_usize..)
            .zip(items)
            .any(|(place, item)| inside(place.to_string(), item)),
        Json::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || inside(key.clone(), value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// SHA-256 of a value's JSON, in hexadecimal. Fields stand in the order of the type.
pub fn fingerprint(value: &impl Serialize) -> String {
    signatures::sha256(serde_json::to_vec(value).unwrap_or_default())
}
