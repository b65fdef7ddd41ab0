//! Carriers with whom there is a contract and no interface: numbers come from our own series, and
//! we make the labels.
//!
//! It keeps nothing: what it sells follows from the purchase, so it sells the same after a restart
//! and however often it is asked.

use async_trait::async_trait;
use entity::Currency;

use super::{Answer, Carrier, Known, Prepared, Returned, Route, Sighting, Sold};
use crate::shipping::choice::{Offered, Parcel};
use crate::shipping::labels::{Offer, Purchase};

/// See the module.
pub struct Table;

/// The number of a parcel: what the carrier's numbers begin with, eleven digits of our series, and
/// a digit that makes their sum, every other one from the right three times, a multiple of ten.
pub fn tracking_number(prefix: &str, serial: i64) -> String {
    let digits = format!("{:011}", serial.rem_euclid(100_000_000_000));
    let sum: u32 = digits
        .bytes()
        .rev()
        .zip([3, 1].into_iter().cycle())
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    format!("{prefix}{digits}{}", (10 - sum % 10) % 10)
}

#[async_trait]
impl Carrier for Table {
    async fn quote(&self, _: &Route, _: &[Parcel], _: Currency) -> Option<Vec<Offered>> {
        None
    }

    async fn prepare(&self, purchase: &Purchase, _: &Route) -> Prepared {
        Prepared::Ready(Offer {
            name: purchase.id.to_string(),
            rate: None,
        })
    }

    async fn buy_label(&self, purchase: &Purchase, _: &Offer) -> Answer {
        let request = &purchase.request;
        let number = tracking_number(&request.tracking_prefix, purchase.serial);
        Answer::Succeeded(Sold {
            tracking_url: request
                .tracking_url
                .as_ref()
                .map(|url| url.replace("{number}", &number)),
            tracking_number: number,
            cost: None,
            document: None,
        })
    }

    async fn find_purchase(&self, _: &Purchase, _: &Offer) -> Known {
        Known::Absent
    }

    async fn void_label(&self, _: &Purchase) -> Returned {
        Returned::Voided
    }

    async fn fetch_label(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    async fn track(&self, _: &str, _: &str) -> Option<Vec<Sighting>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::tracking_number;

    #[test]
    fn a_number_shows_any_wrong_digit() {
        let number = tracking_number("AT", 4_200_137);
        assert_eq!(number, "AT000042001379");
        let holds = |digits: &str| {
            let digits = digits.bytes().rev().zip([1, 3].into_iter().cycle());
            let sum: u32 = digits.map(|(d, w)| u32::from(d - b'0') * w).sum();
            sum.is_multiple_of(10)
        };
        for serial in [0, 1, 9, 10, 4_200_137, 99_999_999_999] {
            let number = tracking_number("", serial);
            assert!(number.len() == 12 && holds(&number), "{number}");
            for place in 0..number.len() {
                let mut wrong = number.clone().into_bytes();
                wrong[place] = b'0' + (wrong[place] - b'0' + 1) % 10;
                assert!(!holds(&String::from_utf8(wrong).unwrap()));
            }
        }
    }
}
