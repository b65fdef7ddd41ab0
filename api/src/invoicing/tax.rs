//! How a line is taxed, by the standard's categories: a pure function.

use entity::Rate;
use entity::invoice_line::TaxCategory;

use crate::documents::Party;

/// The member states of the European Union.
const UNION: &[&str] = &[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Whether a country is in the European Union.
fn in_union(country: &str) -> bool {
    UNION.contains(&country)
}

/// The number for value added tax in its one form, if it is one: the country's two letters, and
/// two to thirteen letters or digits.
pub fn vat_id(text: &str) -> Option<String> {
    let dropped = |char: &char| !matches!(char, ' ' | '.' | '-');
    let id: String = text.trim().to_ascii_uppercase();
    let id: String = id.chars().filter(dropped).collect();
    let (country, rest) = (id.get(..2)?, id.get(2..)?);
    let fits = country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (2..=13).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then_some(id)
}

/// The category of what is charged at a rate, and the rate that is said with it.
pub fn category(
    seller: &Party,
    buyer: &Party,
    delivered_to: &str,
    exempt: bool,
    rate: Rate,
) -> (TaxCategory, Rate) {
    let none = Rate::default();
    if !exempt && rate > none {
        return (TaxCategory::Standard, rate);
    }
    // Both need the seller's number.
    if seller.vat_id.is_some() && in_union(&seller.country) {
        if !in_union(delivered_to) {
            return (TaxCategory::Export, none);
        }
        if seller.country != delivered_to && buyer.vat_id.is_some() {
            return (TaxCategory::IntraCommunity, none);
        }
    }
    match exempt {
        true => (TaxCategory::Exempt, none),
        false => (TaxCategory::Zero, none),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_for_tax_has_one_form() {
        assert_eq!(vat_id(" atu 123.456-75 ").as_deref(), Some("ATU12345675"));
        for wrong in ["", "AT", "12U345", "ATU1234567890123", "AT\u{fc}12", "ü"] {
            assert_eq!(vat_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_charged_without_tax_says_why() {
        let party = |country: &str, vat_id: Option<&str>| Party {
            country: country.to_owned(),
            vat_id: vat_id.map(str::to_owned),
            ..Party::default()
        };
        let seller = party("AT", Some("ATU12345675"));
        let of = |buyer: &Party, to: &str, exempt: bool, rate: &str| {
            category(&seller, buyer, to, exempt, rate.parse().unwrap()).0
        };
        let (guest, firm) = (party("DE", None), party("DE", Some("DE123456789")));
        assert_eq!(of(&guest, "AT", false, "0.2"), TaxCategory::Standard);
        assert_eq!(of(&guest, "AT", false, "0"), TaxCategory::Zero);
        assert_eq!(of(&guest, "AT", true, "0.2"), TaxCategory::Exempt);
        assert_eq!(of(&firm, "DE", true, "0.19"), TaxCategory::IntraCommunity);
        assert_eq!(of(&guest, "DE", true, "0.19"), TaxCategory::Exempt);
        assert_eq!(of(&guest, "CH", true, "0.081"), TaxCategory::Export);
        assert_eq!(of(&firm, "NO", false, "0"), TaxCategory::Export);
        let small = party("AT", None);
        let (category, rate) = category(&small, &guest, "CH", true, "0.2".parse().unwrap());
        assert_eq!((category, rate), (TaxCategory::Exempt, Rate::default()));
    }
}
