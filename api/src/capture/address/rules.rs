//! What a country demands of an address, checked without asking anybody.
//!
//! - Required fields are libaddressinput's. A name *or* an organisation is required everywhere.
//! - The postal code must have the country's shape. A code given where the country has none is
//!   no fault, and an absent code is one only where the country requires it: Ireland does not.
//! - A region may be given as key, name or ISO 3166-2 code. One that the country does not know is
//!   a fault only where a region is required: elsewhere it is decoration (`Essex`).
//! - Where the postal codes of each region begin in their own way, code and region must agree.
//!
//! What cannot be doubted is repaired, in a copy: a country prefix before the postal code, a zero
//! that a spreadsheet took from its head, a required region that follows from the postal code.
//! Whatever else is wrong is a fault.

use super::metadata::Rule;
use super::postal_code::{Standard, standardise};
use super::reason::{AddressField, Reason, ReasonCode};
use super::spelling::tidy;
use super::writing::normalise;
use super::{PostalAddress, po_box, region};

/// Longest name, organisation, line, city and region, in Unicode characters.
pub const LONGEST_TEXT: usize = 300;
/// Longest phone number as written, in Unicode characters.
pub const LONGEST_PHONE: usize = 64;
/// Longest postal code as written, in Unicode characters.
pub const LONGEST_POSTAL_CODE: usize = 32;

/// What the country's rules say about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The address in its usual writing, with nothing of its meaning changed.
    pub normalised: PostalAddress,
    /// [`Checked::normalised`] with every repair made; the same if there was none to make.
    pub repaired: PostalAddress,
    /// What was repaired.
    pub repairs: Vec<Reason>,
    /// What is wrong and was not repaired.
    pub faults: Vec<Reason>,
    /// Whether it is a post-office box, in the usual wordings of the larger languages.
    pub po_box: bool,
}

/// Checks an address against the rules of its country.
pub fn check(address: &PostalAddress) -> Checked {
    let normalised = normalise(address);
    let lines = [Some(&normalised.line1), normalised.line2.as_ref()];
    let po_box = lines
        .into_iter()
        .flatten()
        .any(|line| po_box::is_po_box(line));
    let mut checked = Checked {
        repaired: normalised.clone(),
        repairs: Vec::new(),
        faults: texts_out_of_bounds(address),
        po_box,
        normalised,
    };
    let rule = address.country.rule();
    check_required_texts(&mut checked, rule);
    check_postal_code(&mut checked, rule);
    check_region(&mut checked, rule);
    checked
}

fn texts_out_of_bounds(address: &PostalAddress) -> Vec<Reason> {
    use AddressField::{City, Line1, Line2, Name, Organisation, Phone, PostalCode, Region};
    let texts = [
        (Name, Some(&address.name), LONGEST_TEXT),
        (Organisation, address.organisation.as_ref(), LONGEST_TEXT),
        (Line1, Some(&address.line1), LONGEST_TEXT),
        (Line2, address.line2.as_ref(), LONGEST_TEXT),
        (City, Some(&address.city), LONGEST_TEXT),
        (Region, address.region.as_ref(), LONGEST_TEXT),
        (
            PostalCode,
            address.postal_code.as_ref(),
            LONGEST_POSTAL_CODE,
        ),
        (Phone, address.phone.as_ref(), LONGEST_PHONE),
    ];
    let mut reasons = Vec::new();
    for (field, text, longest) in texts {
        let Some(text) = text else { continue };
        let length = tidy(text).chars().count();
        if length > longest {
            let message = format!("It is {length} characters long; we keep {longest}.");
            reasons.push(Reason::new(field, ReasonCode::TooLong, message));
        }
        // White space around the text, such as the line end of a feed, is no fault.
        if text.trim().chars().any(char::is_control) {
            let message = "It holds a control character, a line break or a tab.";
            reasons.push(Reason::new(field, ReasonCode::ControlCharacter, message));
        }
    }
    reasons
}

fn check_required_texts(checked: &mut Checked, rule: &Rule) {
    let address = &checked.normalised;
    let mut missing = |field, message: &str| {
        checked
            .faults
            .push(Reason::new(field, ReasonCode::Missing, message));
    };
    if address.name.is_empty() && address.organisation.is_none() {
        missing(
            AddressField::Name,
            "It names neither a person nor an organisation.",
        );
    }
    if rule.requires('A') && address.line1.is_empty() {
        missing(
            AddressField::Line1,
            "The street and house number, or the box, is missing.",
        );
    }
    if rule.requires('C') && address.city.is_empty() {
        missing(AddressField::City, "The city is missing.");
    }
}

fn check_postal_code(checked: &mut Checked, rule: &Rule) {
    let country = checked.normalised.country;
    let field = AddressField::PostalCode;
    let word = rule.postal_word;
    let example = rule
        .postal_examples
        .first()
        .map_or(String::new(), |e| format!(", such as {e}"));
    let Some(given) = checked.normalised.postal_code.clone() else {
        if rule.requires('Z') {
            let message = format!("{country} requires a {word}{example}.");
            checked
                .faults
                .push(Reason::new(field, ReasonCode::Missing, message));
        }
        return;
    };
    let standard = standardise(country, &given);
    let code = standard.code();
    let repair = match standard {
        Standard::Fits(_) => return,
        Standard::WithoutPrefix(_) => (
            ReasonCode::PostalCodePrefix,
            format!("What stands before the {word} in {given:?} is no part of it: {code}."),
        ),
        Standard::WithLeadingZero(_) => (
            ReasonCode::PostalCodeLeadingZero,
            format!("{given:?} is a {word} that has lost its leading zero: {code}."),
        ),
        Standard::Unfit(_) => {
            let message = format!("{given:?} is no {word} of {country}{example}.");
            checked
                .faults
                .push(Reason::new(field, ReasonCode::MalformedPostalCode, message));
            return;
        }
    };
    checked.repaired.postal_code = Some(code.to_owned());
    checked.repairs.push(Reason::new(field, repair.0, repair.1));
}

fn check_region(checked: &mut Checked, rule: &Rule) {
    let country = checked.normalised.country;
    let postal_code = checked.repaired.postal_code.as_deref();
    let field = AddressField::Region;
    let word = &rule.region_word;
    let given = checked.normalised.region.as_deref();
    if let Some(found) = given.and_then(|given| region::find(country, given)) {
        if let Some(code) = postal_code.filter(|code| rule.fits(code))
            && found.holds(code) == Some(false)
        {
            let other = region::of_postal_code(country, code)
                .map_or(String::new(), |other| format!(" but in {}", other.key));
            let message = format!("{code} does not lie in {}{other}.", found.key);
            checked.faults.push(Reason::new(
                field,
                ReasonCode::PostalCodeRegionMismatch,
                message,
            ));
        }
        return;
    }
    if !rule.requires('S') || (given.is_some() && rule.regions.is_empty()) {
        return;
    }
    let (code, message) = match given {
        None => (ReasonCode::Missing, format!("{country} requires a {word}.")),
        Some(given) => (
            ReasonCode::UnknownRegion,
            format!("{given:?} is no {word} of {country}."),
        ),
    };
    // A territory without postal codes is often all city: "Dubai" is both.
    let follows = match postal_code {
        Some(code) => region::of_postal_code(country, code),
        None if !rule.uses('Z') => region::find(country, &checked.normalised.city),
        None => None,
    };
    match follows {
        Some(found) => {
            let message = format!(
                "{message} From the rest it follows that it is {}.",
                found.key
            );
            checked.repaired.region = Some(found.key.clone());
            checked.repairs.push(Reason::new(field, code, message));
        }
        None => checked.faults.push(Reason::new(field, code, message)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(country: &str, city: &str, region: &str, postal_code: &str) -> PostalAddress {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        PostalAddress {
            name: "Maria Anders".to_owned(),
            organisation: None,
            line1: "1 High Street".to_owned(),
            line2: None,
            city: city.to_owned(),
            region: given(region),
            postal_code: given(postal_code),
            country: country.parse().unwrap(),
            phone: None,
        }
    }

    fn faults(address: &PostalAddress) -> Vec<(AddressField, ReasonCode)> {
        check(address)
            .faults
            .iter()
            .map(|reason| (reason.field, reason.code))
            .collect()
    }

    #[test]
    fn an_address_that_keeps_the_rules_has_nothing_to_be_said_about_it() {
        for given in [
            address("US", "Eugene", "OR", "97403"),
            address("US", "Eugene", "Oregon", "97403-1234"),
            address("DE", "Berlin", "", "12209"),
            address("GB", "Colchester", "Essex", "CO7 6JX"),
            address("IE", "Cork", "Co. Cork", ""),
            address("IE", "Cork", "", "T12 W8KP"),
            address("CA", "Montréal", "Québec", "H1J 1C3"),
            address("VE", "Caracas", "DF", "1081"),
            address("AR", "Buenos Aires", "", "1010"),
            address("SG", "", "", "546080"),
            address("JP", "", "東京都", "154-0023"),
        ] {
            let checked = check(&given);
            assert_eq!(
                (checked.faults, checked.repairs),
                (vec![], vec![]),
                "{given:?}"
            );
        }
    }

    #[test]
    fn c2b_a_country_without_postal_codes_needs_none_and_forgives_one() {
        for code in ["", "00000", "N/A"] {
            assert_eq!(faults(&address("AE", "Dubai", "Dubai", code)), []);
            assert_eq!(
                faults(&address("HK", "Central", "Hong Kong Island", code)),
                []
            );
            assert_eq!(faults(&address("AO", "Luanda", "", code)), []);
        }
    }

    #[test]
    fn c2b_what_the_country_requires_must_be_there() {
        use AddressField::{City, Line1, Name, PostalCode, Region};
        let mut given = address("US", " ", "", "");
        given.name = " ".to_owned();
        given.line1 = "\u{a0}".to_owned();
        let missing = ReasonCode::Missing;
        assert_eq!(
            faults(&given),
            [Name, Line1, City, PostalCode, Region].map(|field| (field, missing))
        );
        given.organisation = Some("Great Lakes Food Market".to_owned());
        assert!(!faults(&given).contains(&(Name, missing)));
    }

    #[test]
    fn c2b_a_postal_code_of_another_shape_is_a_fault() {
        let malformed = [(AddressField::PostalCode, ReasonCode::MalformedPostalCode)];
        assert_eq!(faults(&address("PT", "Lisboa", "", "1675")), malformed);
        assert_eq!(faults(&address("GB", "London", "", "WX1 6LT")), malformed);
        assert_eq!(faults(&address("DE", "Berlin", "", "123456")), malformed);
    }

    #[test]
    fn c2b_a_postal_code_of_another_region_is_a_fault() {
        let given = address("CA", "Tsawassen", "BC", "T2P 1J9");
        assert_eq!(
            faults(&given),
            [(AddressField::Region, ReasonCode::PostalCodeRegionMismatch)]
        );
        assert!(check(&given).faults[0].message.contains("AB"));
    }

    #[test]
    fn c2b_an_unknown_region_is_a_fault_only_where_one_is_required() {
        let unknown = [(AddressField::Region, ReasonCode::UnknownRegion)];
        assert_eq!(
            faults(&address("VE", "Caracas", "Bavaria", "1081")),
            unknown
        );
        assert_eq!(faults(&address("IE", "Cork", "Munster", "")), []);
        assert_eq!(faults(&address("DE", "München", "Bayern", "80805")), []);
    }

    #[test]
    fn c2b_a_repair_stands_beside_the_given_address() {
        let given = address("SE", "Luleå", "", "S-958 22");
        let checked = check(&given);
        assert_eq!(checked.normalised.postal_code.as_deref(), Some("S-958 22"));
        assert_eq!(checked.repaired.postal_code.as_deref(), Some("958 22"));
        assert_eq!(checked.repairs[0].code, ReasonCode::PostalCodePrefix);
        assert_eq!(checked.faults, []);
    }

    #[test]
    fn a_required_region_follows_from_the_postal_code() {
        for (country, city, code, region) in [
            ("MX", "México D.F.", "05023", "CDMX"),
            ("IT", "Torino", "10100", "TO"),
            ("ES", "Barcelona", "8022", "B"),
            ("US", "Portland", "97219", "OR"),
        ] {
            let checked = check(&address(country, city, "", code));
            assert_eq!(checked.repaired.region.as_deref(), Some(region));
            assert_eq!(checked.faults, []);
        }
    }

    #[test]
    fn without_postal_codes_a_required_region_follows_from_a_city_of_its_name() {
        let checked = check(&address("AE", "Dubai", "", ""));
        assert_eq!(checked.repaired.region.as_deref(), Some("إمارة دبيّ"));
        assert_eq!(faults(&address("AE", "Al Ain", "", "")).len(), 1);
    }

    #[test]
    fn c2b_names_of_300_characters_in_any_script_are_kept_whole() {
        let mut given = address("DE", "Berlin", "", "12209");
        given.name = "名".repeat(300);
        assert_eq!(faults(&given), []);
        given.name.push('名');
        assert_eq!(faults(&given), [(AddressField::Name, ReasonCode::TooLong)]);
    }

    #[test]
    fn c2b_control_characters_are_refused_but_not_the_white_space_around_a_text() {
        let mut given = address("DE", "Berlin\r\n", "", "12209");
        assert_eq!(faults(&given), []);
        for line in [
            "1 High\u{0}Street",
            "1 High Street\nLondon",
            "1\tHigh Street",
        ] {
            given.line1 = line.to_owned();
            assert_eq!(
                faults(&given),
                [(AddressField::Line1, ReasonCode::ControlCharacter)]
            );
        }
    }

    #[test]
    fn c2b_a_post_office_box_is_flagged_in_either_line() {
        let mut given = address("US", "Lander", "WY", "82520");
        assert!(!check(&given).po_box);
        given.line2 = Some("P.O. Box 555".to_owned());
        assert!(check(&given).po_box);
    }

    proptest! {
        #[test]
        fn a_repaired_address_needs_no_repair(code in "[A-Z]{0,2}-?[0-9]{3,9}") {
            for country in ["DE", "SE", "US", "MX", "BR", "ES", "IT"] {
                let repaired = check(&address(country, "X", "", &code)).repaired;
                let again = check(&repaired);
                prop_assert_eq!(again.repairs, vec![]);
                prop_assert_eq!(again.repaired, repaired);
            }
        }
    }
}
