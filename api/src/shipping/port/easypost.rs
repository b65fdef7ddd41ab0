//! EasyPost, version 2 of its API: shipments with rates, of which one is bought; refunds; trackers.
//!
//! A shipment that was made and not bought costs nothing. EasyPost sells the postage of a shipment
//! once, so the shipment's id, written down before it is bought, is the idempotency key; ours goes
//! along as its reference, for people. EasyPost has no TLS of ours: the settings name it directly
//! over HTTP only where something on the way adds it.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::channel::RoundingMode;
use entity::label::Format;
use entity::shipment::TrackingStatus;
use entity::{Currency, Money};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Answer, Carrier, Known, Party, Prepared, Returned, Route, Sighting, Sold};
use crate::config::ShippingConfig;
use crate::pricing;
use crate::shipping::choice::{Offered, Parcel};
use crate::shipping::labels::{Offer, Purchase};
use crate::tls;

/// How long a call may take: less than [`super::PATIENCE`], so that it ends by itself.
const CALL: Duration = Duration::from_secs(8);

/// How large a label may be.
const LARGEST_LABEL: usize = 4 * 1024 * 1024;

/// What EasyPost answers when the postage of a shipment was bought before.
const BOUGHT_BEFORE: &str = "SHIPMENT.POSTAGE.EXISTS";

/// A client of EasyPost.
pub struct Easypost {
    client: Client,
    url: String,
    key: String,
}

/// What came of a call.
enum Reply {
    /// An answer of the expected shape's family.
    Success(Json),
    /// It refused: a status of the client's mistakes, with its code.
    Refused(String),
    /// No definite answer.
    Silence,
}

#[derive(Deserialize)]
struct Shipment {
    id: String,
    tracking_code: Option<String>,
    #[serde(default)]
    rates: Vec<Rate>,
    selected_rate: Option<Rate>,
    postage_label: Option<PostageLabel>,
    tracker: Option<Tracker>,
    refund_status: Option<String>,
}

#[derive(Deserialize)]
struct Rate {
    id: String,
    carrier: String,
    service: String,
    rate: String,
    currency: String,
    delivery_days: Option<i32>,
}

#[derive(Deserialize)]
struct PostageLabel {
    label_zpl_url: Option<String>,
    label_pdf_url: Option<String>,
    label_url: Option<String>,
}

#[derive(Deserialize)]
struct Trackers {
    trackers: Vec<Tracker>,
}

/// A parcel as EasyPost follows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Tracker {
    /// The parcel's name at the carrier.
    pub tracking_code: Option<String>,
    /// Where customers follow it.
    pub public_url: Option<String>,
    /// What was seen, each with its status.
    #[serde(default)]
    pub tracking_details: Vec<Detail>,
}

/// Something that was seen of a parcel.
#[derive(Clone, Debug, Deserialize)]
pub struct Detail {
    /// EasyPost's word for it.
    pub status: String,
    /// The same, finer.
    pub status_detail: Option<String>,
    /// When.
    pub datetime: DateTime<Utc>,
    /// Where.
    pub tracking_location: Option<Location>,
}

/// A place, as far as it is known.
#[derive(Clone, Debug, Deserialize)]
pub struct Location {
    /// The town.
    pub city: Option<String>,
    /// The country.
    pub country: Option<String>,
}

impl Detail {
    /// The same in our words.
    pub fn sighting(&self) -> Sighting {
        let detail = self.status_detail.as_deref();
        let place = self.tracking_location.as_ref().map(|place| {
            let parts = [&place.city, &place.country].into_iter().flatten();
            let parts: Vec<&str> = parts.map(String::as_str).collect();
            parts.join(", ")
        });
        Sighting {
            status: status(&self.status, detail),
            code: match detail {
                Some(detail) => format!("{}/{detail}", self.status),
                None => self.status.clone(),
            },
            place: place.filter(|place| !place.is_empty()),
            occurred_at: self.datetime,
        }
    }
}

/// EasyPost's statuses in our words.
fn status(status: &str, detail: Option<&str>) -> TrackingStatus {
    match (status, detail) {
        ("pre_transit", _) => TrackingStatus::PreTransit,
        ("in_transit", Some("received_at_origin_facility" | "departed_origin_facility")) => {
            TrackingStatus::CarrierPickedUp
        }
        ("in_transit", _) => TrackingStatus::InTransit,
        ("out_for_delivery", _) => TrackingStatus::OutForDelivery,
        ("available_for_pickup", _) => TrackingStatus::AttemptedDelivery,
        ("delivered", _) => TrackingStatus::Delivered,
        ("return_to_sender", _) => TrackingStatus::ReturnToSender,
        ("failure" | "cancelled", _) => TrackingStatus::Failure,
        _ => TrackingStatus::Unknown,
    }
}

impl Easypost {
    /// A client, if the settings have a key.
    pub fn of(config: &ShippingConfig, ca_file: &str) -> Option<Easypost> {
        if config.easypost_key.is_empty() {
            return None;
        }
        Some(Easypost {
            client: tls::client(ca_file).ok()?.timeout(CALL).build().ok()?,
            url: config.easypost_url.trim_end_matches('/').to_owned(),
            key: config.easypost_key.clone(),
        })
    }

    async fn post(&self, path: &str, body: Json) -> Reply {
        let request = self.client.post(format!("{}{path}", self.url)).json(&body);
        self.call(request).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(self.client.get(format!("{}{path}", self.url)))
            .await
    }

    async fn call(&self, request: RequestBuilder) -> Reply {
        let request = request.basic_auth(&self.key, Some(""));
        let Ok(response) = request.send().await else {
            return Reply::Silence;
        };
        let status = response.status();
        let body = response.json::<Json>().await;
        match body {
            Ok(body) if status.is_success() => Reply::Success(body),
            // Too many calls, or one that took too long, are no answer to what was asked.
            Ok(body)
                if status.is_client_error()
                    && status != StatusCode::TOO_MANY_REQUESTS
                    && status != StatusCode::REQUEST_TIMEOUT =>
            {
                let code = body["error"]["code"].as_str().unwrap_or("REFUSED");
                Reply::Refused(code.chars().take(100).collect())
            }
            Ok(_) | Err(_) => Reply::Silence,
        }
    }

    async fn new_shipment(
        &self,
        reference: &str,
        route: &Route,
        parcel: &Parcel,
    ) -> Result<Shipment, Option<String>> {
        let shipment = json!({ "shipment": {
            "reference": reference,
            "from_address": party(&route.from),
            "to_address": party(&route.to),
            "parcel": measures(parcel),
            "options": { "label_format": "ZPL" },
        } });
        match self.post("/v2/shipments", shipment).await {
            Reply::Success(body) => serde_json::from_value(body).map_err(|_| None),
            Reply::Refused(code) => Err(Some(code)),
            Reply::Silence => Err(None),
        }
    }
}

fn party(party: &Party) -> Json {
    json!({
        "name": party.name,
        "company": party.organisation,
        "street1": party.line1,
        "street2": party.line2,
        "city": party.city,
        "state": party.region,
        "zip": party.postal_code,
        "country": party.country,
        "phone": party.phone,
    })
}

/// EasyPost weighs in ounces and measures in inches, each to a tenth; ours are rounded up.
fn measures(parcel: &Parcel) -> Json {
    // An ounce is 28.349523125 g.
    let ounces = tenths(
        i128::from(parcel.weight_grams) * 1_000_000_000,
        28_349_523_125,
    );
    let inches = |mm: i32| tenths(i128::from(mm) * 10, 254);
    match parcel.dimensions {
        Some(size) => json!({
            "weight": ounces,
            "length": inches(size.length_mm),
            "width": inches(size.width_mm),
            "height": inches(size.height_mm),
        }),
        None => json!({ "weight": ounces }),
    }
}

fn tenths(amount: i128, of: i128) -> f64 {
    let tenths = (amount * 10 + of - 1) / of;
    tenths as f64 / 10.0
}

impl Rate {
    fn is(&self, carrier: &str, service: &str) -> bool {
        self.carrier.eq_ignore_ascii_case(carrier) && self.service.eq_ignore_ascii_case(service)
    }

    /// What it comes to; what is finer than the currency is rounded.
    fn money(&self) -> Option<Money> {
        let currency: Currency = self.currency.parse().ok()?;
        let amount: Decimal = self.rate.parse().ok()?;
        let scale = Decimal::from(10_i64.pow(currency.exponent()));
        let minor = pricing::round_minor(amount.checked_mul(scale)?, RoundingMode::HalfUp).ok()?;
        (minor >= 0).then(|| Money::new(minor, currency))
    }
}

impl Shipment {
    /// What was sold, if it was.
    fn sold(self) -> Option<Sold> {
        let label = self.postage_label?;
        let zpl = label.label_zpl_url.map(|url| (url, Format::Zpl));
        let pdf = label.label_pdf_url.map(|url| (url, Format::Pdf));
        let own = label.label_url.map(|url| {
            let format = match url.rsplit_once('.').map(|(_, ending)| ending) {
                Some("zpl") => Format::Zpl,
                Some("pdf") => Format::Pdf,
                _ => Format::Png,
            };
            (url, format)
        });
        let tracking_number = self.tracking_code.filter(|number| !number.is_empty())?;
        Some(Sold {
            tracking_number,
            tracking_url: self.tracker.and_then(|tracker| tracker.public_url),
            cost: self.selected_rate.and_then(|rate| rate.money()),
            document: zpl.or(pdf).or(own),
        })
    }
}

#[async_trait]
impl Carrier for Easypost {
    async fn quote(
        &self,
        route: &Route,
        parcels: &[Parcel],
        currency: Currency,
    ) -> Option<Vec<Offered>> {
        let mut sums: Option<Vec<Offered>> = None;
        for parcel in parcels {
            let shipment = match self.new_shipment("quote", route, parcel).await {
                Ok(shipment) => shipment,
                // It cannot take the parcel, by none of its services.
                Err(Some(_)) => return Some(Vec::new()),
                Err(None) => return None,
            };
            let own = shipment.rates.into_iter();
            let own: Vec<Offered> = own
                .filter_map(|rate| {
                    let cost = rate.money().filter(|cost| cost.currency == currency)?;
                    Some(Offered {
                        carrier: rate.carrier,
                        service: rate.service,
                        cost_minor: cost.minor,
                        currency,
                        days: rate.delivery_days.filter(|days| (0..=60).contains(days)),
                    })
                })
                .collect();
            sums = Some(match sums {
                None => own,
                Some(sums) => together(sums, &own),
            });
        }
        sums
    }

    async fn prepare(&self, purchase: &Purchase, route: &Route) -> Prepared {
        let reference = purchase.id.to_string();
        let parcel = &purchase.request.parcel;
        let shipment = match self.new_shipment(&reference, route, parcel).await {
            Ok(shipment) => shipment,
            Err(Some(code)) => return Prepared::Declined { code },
            Err(None) => return Prepared::Unknown,
        };
        let mut rates = shipment.rates.into_iter();
        match rates.find(|rate| rate.is(&purchase.carrier, &purchase.service)) {
            Some(rate) => Prepared::Ready(Offer {
                name: shipment.id,
                rate: Some(rate.id),
            }),
            None => Prepared::Declined {
                code: "RATE_UNAVAILABLE".to_owned(),
            },
        }
    }

    async fn buy_label(&self, purchase: &Purchase, offer: &Offer) -> Answer {
        let path = format!("/v2/shipments/{}/buy", offer.name);
        let rate = json!({ "rate": { "id": offer.rate } });
        match self.post(&path, rate).await {
            Reply::Success(body) => serde_json::from_value::<Shipment>(body)
                .ok()
                .and_then(Shipment::sold)
                .map_or(Answer::Unknown, Answer::Succeeded),
            Reply::Refused(code) if code == BOUGHT_BEFORE => {
                match self.find_purchase(purchase, offer).await {
                    Known::Bought(sold) => Answer::Succeeded(sold),
                    Known::Absent | Known::Unclear => Answer::Unknown,
                }
            }
            Reply::Refused(code) => Answer::Declined { code },
            Reply::Silence => Answer::Unknown,
        }
    }

    async fn find_purchase(&self, _: &Purchase, offer: &Offer) -> Known {
        let reply = self.get(&format!("/v2/shipments/{}", offer.name)).await;
        let Reply::Success(body) = reply else {
            // It gave us this name, so that it says it has none is no answer either.
            return Known::Unclear;
        };
        match serde_json::from_value::<Shipment>(body) {
            Ok(shipment) if shipment.id != offer.name => Known::Unclear,
            Ok(shipment) => shipment.sold().map_or(Known::Absent, Known::Bought),
            Err(_) => Known::Unclear,
        }
    }

    async fn void_label(&self, purchase: &Purchase) -> Returned {
        let Some(offer) = &purchase.offer else {
            return Returned::Unknown;
        };
        let path = format!("/v2/shipments/{}/refund", offer.name);
        match self.post(&path, json!({})).await {
            Reply::Success(body) => {
                let shipment = serde_json::from_value::<Shipment>(body).ok();
                match shipment
                    .and_then(|shipment| shipment.refund_status)
                    .as_deref()
                {
                    Some("submitted" | "refunded") => Returned::Voided,
                    Some("rejected" | "not_applicable") => Returned::Refused {
                        code: "REFUND_REJECTED".to_owned(),
                    },
                    _ => Returned::Unknown,
                }
            }
            Reply::Refused(code) => Returned::Refused { code },
            Reply::Silence => Returned::Unknown,
        }
    }

    async fn fetch_label(&self, url: &str) -> Option<Vec<u8>> {
        // The key is for EasyPost alone; labels lie elsewhere.
        let mut response = self.client.get(url).send().await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let mut label = Vec::new();
        while let Some(part) = response.chunk().await.ok()? {
            if label.len() + part.len() > LARGEST_LABEL {
                return None;
            }
            label.extend_from_slice(&part);
        }
        (!label.is_empty()).then_some(label)
    }

    async fn track(&self, carrier: &str, number: &str) -> Option<Vec<Sighting>> {
        let url = format!("{}/v2/trackers", self.url);
        let asked = [("tracking_code", number), ("carrier", carrier)];
        let url = Url::parse_with_params(&url, &asked).ok()?;
        let Reply::Success(body) = self.call(self.client.get(url)).await else {
            return None;
        };
        let found: Trackers = serde_json::from_value(body).ok()?;
        let own = found.trackers.into_iter();
        let own = own.filter(|tracker| tracker.tracking_code.as_deref() == Some(number));
        let details = own.flat_map(|tracker| tracker.tracking_details);
        Some(details.map(|detail| detail.sighting()).collect())
    }
}

/// What several parcels cost by the services that take each of them.
fn together(sums: Vec<Offered>, more: &[Offered]) -> Vec<Offered> {
    sums.into_iter()
        .filter_map(|sum| {
            let other = more
                .iter()
                .find(|other| (&other.carrier, &other.service) == (&sum.carrier, &sum.service))?;
            Some(Offered {
                cost_minor: sum.cost_minor.checked_add(other.cost_minor)?,
                days: std::cmp::max(sum.days, other.days),
                ..sum
            })
        })
        .collect()
}
