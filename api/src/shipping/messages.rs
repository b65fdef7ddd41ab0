//! What carriers send by themselves: whether it is theirs, and what it says.
//!
//! A carrier that EasyPost speaks for signs as EasyPost does: `X-Hmac-Signature:
//! hmac-sha256-hex=<hex>` over the body. The others sign as we ask them to: `X-OMS-Timestamp`, in
//! seconds, and `X-OMS-Signature: sha256=<hex>` over the timestamp, a dot and the body; a message
//! is good for five minutes.

use chrono::{DateTime, SecondsFormat, Utc};
use entity::carrier::{self, Adapter};
use entity::shipment::TrackingStatus;
use serde::Deserialize;
use serde_json::Value as Json;
use unicode_normalization::UnicodeNormalization;

use super::port::Sighting;
use super::port::easypost::Tracker;
use crate::signatures::{self, Unheard};

/// How many scans a message may have.
const MOST_SCANS: usize = 1_000;

/// How long a number, a code or a place may be.
const LONGEST: usize = 200;

/// Something that a carrier said of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The parcel's name at the carrier.
    pub tracking_number: String,
    /// What.
    pub sighting: Sighting,
}

impl Report {
    /// The reports of one parcel.
    pub fn of(number: &str, sightings: impl IntoIterator<Item = Sighting>) -> Vec<Report> {
        let sightings = sightings.into_iter();
        sightings
            .map(|sighting| Report {
                tracking_number: number.to_owned(),
                sighting,
            })
            .collect()
    }

    /// What tells it from everything else that was said, however we came to hear it.
    pub fn identity(&self, carrier: &str) -> String {
        let Sighting {
            code, occurred_at, ..
        } = &self.sighting;
        let at = occurred_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        format!("{carrier}/{}/{at}/{code}", self.tracking_number)
    }
}

/// The headers of a message that may say whose it is.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// EasyPost's.
    pub easypost: Option<String>,
    /// Ours.
    pub own: Option<String>,
    /// Of ours.
    pub timestamp: Option<String>,
}

/// Reads a message, if it is the carrier's.
pub fn read(
    carrier: &carrier::Model,
    signature: &Signature,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Vec<Report>, Unheard> {
    let secret = carrier.webhook_secret.as_ref().ok_or(Unheard::Unknown)?;
    match carrier.adapter {
        Adapter::Easypost => {
            let secret: String = secret.nfkd().collect();
            let given = signature.easypost.as_deref();
            let given = given.and_then(|given| given.strip_prefix("hmac-sha256-hex="));
            check(&secret, &[body], given)?;
            of_easypost(body)
        }
        Adapter::Table => {
            let stamp = signature.timestamp.as_deref().ok_or(Unheard::Unsigned)?;
            let given = signature.own.as_deref();
            let given = given.and_then(|given| given.strip_prefix("sha256="));
            check(secret, &[stamp.as_bytes(), b".", body], given)?;
            match signatures::is_fresh(stamp, now) {
                true => of_table(body),
                false => Err(Unheard::Unsigned),
            }
        }
    }
}

fn check(secret: &str, signed: &[&[u8]], given: Option<&str>) -> Result<(), Unheard> {
    match signatures::is_signed(secret.as_bytes(), signed, given.unwrap_or_default()) {
        true => Ok(()),
        false => Err(Unheard::Unsigned),
    }
}

/// An event of EasyPost; what is not about a tracker says nothing to us.
fn of_easypost(body: &[u8]) -> Result<Vec<Report>, Unheard> {
    let event: Json = serde_json::from_slice(body).map_err(|_| Unheard::Malformed)?;
    let about = event["description"].as_str().unwrap_or_default();
    if !about.starts_with("tracker.") {
        return Ok(Vec::new());
    }
    let tracker: Tracker =
        serde_json::from_value(event["result"].clone()).map_err(|_| Unheard::Malformed)?;
    let number = tracker.tracking_code.ok_or(Unheard::Malformed)?;
    let details = tracker.tracking_details.iter();
    fit(Report::of(&number, details.map(|detail| detail.sighting())))
}

#[derive(Deserialize)]
struct Message {
    events: Vec<Scan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scan {
    tracking_number: String,
    status: String,
    code: Option<String>,
    place: Option<String>,
    occurred_at: DateTime<Utc>,
}

fn of_table(body: &[u8]) -> Result<Vec<Report>, Unheard> {
    let message: Message = serde_json::from_slice(body).map_err(|_| Unheard::Malformed)?;
    let reports = message.events.into_iter().map(|scan| Report {
        tracking_number: scan.tracking_number.trim().to_owned(),
        sighting: Sighting {
            // A status of a newer kind is kept, and means nothing yet.
            status: serde_json::from_value(Json::String(scan.status.clone()))
                .unwrap_or(TrackingStatus::Unknown),
            code: scan.code.unwrap_or(scan.status),
            place: scan.place,
            occurred_at: scan.occurred_at,
        },
    });
    fit(reports.collect())
}

/// Refuses what no carrier would say.
fn fit(reports: Vec<Report>) -> Result<Vec<Report>, Unheard> {
    let short = |text: &str| text.chars().count() <= LONGEST && !text.contains('\0');
    let fits = |report: &Report| {
        !report.tracking_number.is_empty()
            && short(&report.tracking_number)
            && short(&report.sighting.code)
            && report.sighting.place.as_deref().is_none_or(short)
    };
    match reports.len() <= MOST_SCANS && reports.iter().all(fits) {
        true => Ok(reports),
        false => Err(Unheard::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const SECRET: &str = "a secret of sixteen bytes and more";

    fn carrier(adapter: Adapter) -> carrier::Model {
        carrier::Model {
            id: Uuid::nil().into(),
            code: "POST".to_owned(),
            name: "Post".to_owned(),
            adapter,
            tracking_url: None,
            tracking_prefix: String::new(),
            webhook_secret: Some(SECRET.to_owned()),
            active: true,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn sign(parts: &[&[u8]]) -> String {
        signatures::sign(SECRET.as_bytes(), parts)
    }

    fn own(at: i64, body: &[u8]) -> Signature {
        let stamp = at.to_string();
        Signature {
            own: Some(format!("sha256={}", sign(&[stamp.as_bytes(), b".", body]))),
            timestamp: Some(stamp),
            easypost: None,
        }
    }

    #[test]
    fn p1_a_message_is_good_for_five_minutes_and_only_as_it_was_signed() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        let body = br#"{"events":[{"trackingNumber":" 1 ","status":"IN_TRANSIT","occurredAt":"2026-11-26T10:00:00Z"}]}"#;
        let carrier = carrier(Adapter::Table);
        let at = |age: i64| read(&carrier, &own(now.timestamp() - age, body), body, now);
        let reports = at(0).unwrap();
        assert_eq!(reports[0].tracking_number, "1");
        assert_eq!(reports[0].sighting.status, TrackingStatus::InTransit);
        assert!(at(300).is_ok() && at(-300).is_ok());
        assert_eq!(at(301), Err(Unheard::Unsigned));
        assert_eq!(at(-301), Err(Unheard::Unsigned));
        let signature = own(now.timestamp(), body);
        let mut other = body.to_vec();
        other[30] ^= 1;
        assert_eq!(
            read(&carrier, &signature, &other, now),
            Err(Unheard::Unsigned)
        );
        assert_eq!(
            read(&carrier, &Signature::default(), body, now),
            Err(Unheard::Unsigned)
        );
        let silent = carrier::Model {
            webhook_secret: None,
            ..carrier
        };
        assert_eq!(read(&silent, &signature, body, now), Err(Unheard::Unknown));
    }

    #[test]
    fn p1_easypost_is_read_as_it_writes() {
        let body = br#"{"description":"tracker.updated","result":{"object":"Tracker",
            "tracking_code":"EZ1","tracking_details":[
            {"status":"in_transit","status_detail":"received_at_origin_facility",
             "datetime":"2026-11-26T10:00:00Z","tracking_location":{"city":"WIEN","country":"AT"}}]}}"#;
        let carrier = carrier(Adapter::Easypost);
        let signature = Signature {
            easypost: Some(format!("hmac-sha256-hex={}", sign(&[body]))),
            ..Signature::default()
        };
        let reports = read(&carrier, &signature, body, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(reports[0].sighting.status, TrackingStatus::CarrierPickedUp);
        assert_eq!(reports[0].sighting.place.as_deref(), Some("WIEN, AT"));
        let other = br#"{"description":"batch.created","result":{}}"#;
        let signature = Signature {
            easypost: Some(format!("hmac-sha256-hex={}", sign(&[other]))),
            ..Signature::default()
        };
        assert_eq!(
            read(&carrier, &signature, other, DateTime::UNIX_EPOCH),
            Ok(Vec::new())
        );
    }

    proptest! {
        #[test]
        fn p1_no_body_is_too_strange_to_be_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let now = DateTime::UNIX_EPOCH;
            for adapter in [Adapter::Table, Adapter::Easypost] {
                let signature = Signature {
                    easypost: Some(format!("hmac-sha256-hex={}", sign(&[&body]))),
                    ..own(0, &body)
                };
                let _ = read(&carrier(adapter), &signature, &body, now);
            }
        }
    }
}
