//! The verdict about an address: the rules of its country first, then the reference table.
//!
//! The rules decide alone about everything but city, region and postal code: a fault there is
//! INVALID. Then, where the table covers the country (*known city* has rows in the country, *code
//! of the city* is one of the codes in these rows):
//!
//! | postal code | city | verdict |
//! |---|---|---|
//! | belongs to the city | any spelling that means the same | VALID |
//! | belongs elsewhere or unknown | known, one code | CORRECTED: that code |
//! | belongs elsewhere or unknown | known, 2 to [`FEW`] codes | AMBIGUOUS |
//! | belongs elsewhere or unknown | known, more codes | INVALID |
//! | belongs elsewhere | unknown, but nearly spelled like one place of the code | CORRECTED: that place |
//! | belongs elsewhere | unknown, nearly spelled like several | AMBIGUOUS |
//! | belongs elsewhere | known, *and* nearly spelled like a place of the code | AMBIGUOUS |
//! | belongs elsewhere | unknown otherwise | INVALID |
//! | unknown | unknown | INVALID |
//! | unknown, [partial coverage](super::reference::Coverage::Partial) | any | UNVERIFIED |
//! | missing or malformed | known, one code | CORRECTED: that code |
//! | missing or malformed | known, 2 to [`FEW`] codes | AMBIGUOUS |
//! | missing or malformed | otherwise | INVALID |
//! | absent and not required, or the country has none | known | VALID |
//! | absent and not required, or the country has none | unknown | UNVERIFIED |
//! | belongs to one place | missing | CORRECTED: that place |
//!
//! A region that is given narrows the codes of the city, and must be the one that the table names.
//! "One code" means a code that can be written on an envelope: where the table only has the
//! beginnings of codes, it counts as several.
//!
//! Where the table has nothing to say:
//!
//! | reference | rules | verdict |
//! |---|---|---|
//! | any | a fault | INVALID |
//! | not covered | nothing to repair | UNVERIFIED |
//! | not covered | repaired | CORRECTED |
//! | unavailable | no fault | UNVERIFIED, to be asked again |
//!
//! A difference in case, accents, punctuation or spacing is no correction. Use
//! [`normalise`](super::normalise) or [`for_label`](super::for_label) for the writing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reason::{AddressField, Reason, ReasonCode};
use super::reference::{Coverage, Place, Reference, coverage, place_key, place_words, postal_key};
use super::rules::{self, Checked};
use super::{PostalAddress, postal_code, region, spelling};

/// The most candidates that a person can be asked to choose from.
pub const FEW: usize = 10;

/// How far an address can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// City and postal code are known to belong together.
    Valid,
    /// There is one better address; it stands beside the given one as the suggestion.
    Corrected,
    /// There are several better addresses; a person must choose.
    Ambiguous,
    /// It cannot be right, and there is no telling what would be.
    Invalid,
    /// Nothing is wrong with it, but nobody has confirmed it.
    Unverified,
}

/// What is to be kept about an address beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// How far it can be relied on.
    pub verdict: Verdict,
    /// The better address: always there when CORRECTED, and when UNVERIFIED if the rules repaired
    /// something while the table was unavailable; else never.
    pub suggestion: Option<PostalAddress>,
    /// Everything there is to say, the faults first; empty only when VALID.
    pub reasons: Vec<Reason>,
    /// Whether it is a post-office box, which some carriers refuse. It has no part in the verdict.
    pub po_box: bool,
}

/// Judges an address by the rules of its country and by what the reference table knows of it,
/// which is to be asked with [`lookup`](super::reference::lookup). Takes any text, and never fails.
pub fn verify(address: &PostalAddress, reference: &Reference) -> Verification {
    let checked = rules::check(address);
    let po_box = checked.po_box;
    let finding = match reference {
        Reference::NotCovered => alone(checked, ReasonCode::NotCovered),
        Reference::Unavailable => alone(checked, ReasonCode::VerifierUnavailable),
        Reference::Covered {
            places_of_code,
            codes_of_city,
        } => compare(checked, places_of_code, codes_of_city),
    };
    let Finding {
        draft,
        faults,
        repairs,
        doubt,
        open,
    } = finding;
    let unavailable = *reference == Reference::Unavailable;
    let verdict = match () {
        () if !faults.is_empty() => Verdict::Invalid,
        () if doubt.is_some() => Verdict::Ambiguous,
        () if !repairs.is_empty() && !unavailable => Verdict::Corrected,
        () if open.is_some() => Verdict::Unverified,
        () => Verdict::Valid,
    };
    let suggested = matches!(verdict, Verdict::Corrected | Verdict::Unverified);
    Verification {
        verdict,
        suggestion: (suggested && !repairs.is_empty()).then_some(draft),
        reasons: faults
            .into_iter()
            .chain(doubt)
            .chain(repairs)
            .chain(open)
            .collect(),
        po_box,
    }
}

/// What has been found out so far.
struct Finding {
    /// The address with all repairs.
    draft: PostalAddress,
    /// What is wrong beyond repair.
    faults: Vec<Reason>,
    /// What was repaired.
    repairs: Vec<Reason>,
    /// Why a person must choose.
    doubt: Option<Reason>,
    /// Why nobody has confirmed the address.
    open: Option<Reason>,
}

/// What comparing postal code and city came to.
enum Outcome {
    Agreed,
    OtherCode(String, Reason),
    OtherCity(String, Reason),
    Doubtful(Reason),
    Wrong(Reason),
    Open(Reason),
    /// The rules have said already what is wrong.
    AsTheRulesSay,
}

fn alone(checked: Checked, why: ReasonCode) -> Finding {
    let country = checked.repaired.country;
    let message = match why {
        ReasonCode::NotCovered => format!("There is no reference data for {country}."),
        _ => "The reference data could not be asked.".to_owned(),
    };
    Finding {
        draft: checked.repaired,
        faults: checked.faults,
        repairs: checked.repairs,
        doubt: None,
        open: Some(Reason::new(AddressField::Country, why, message)),
    }
}

fn compare(checked: Checked, of_code: &[Place], of_city: &[Place]) -> Finding {
    use AddressField::{City, PostalCode, Region};
    let mut finding = Finding {
        draft: checked.repaired,
        faults: checked.faults,
        repairs: checked.repairs,
        doubt: None,
        open: None,
    };
    if finding
        .faults
        .iter()
        .any(|fault| ![City, PostalCode, Region].contains(&fault.field))
    {
        return finding;
    }
    match reconcile(&finding, of_code, of_city) {
        Outcome::Agreed => {
            let here: Vec<&Place> = of_code
                .iter()
                .filter(|place| same_place(&place.place_name, &finding.draft.city))
                .collect();
            settle_region(&mut finding, &here);
        }
        Outcome::OtherCode(code, reason) => {
            finding.draft.postal_code = Some(code);
            settle_repair(&mut finding, reason);
        }
        Outcome::OtherCity(city, reason) => {
            finding.draft.city = city;
            settle_repair(&mut finding, reason);
        }
        Outcome::Doubtful(reason) => {
            // A choice between candidates answers the faults of the fields it is made for.
            finding
                .faults
                .retain(|fault| fault.field != reason.field && fault.field != Region);
            finding.doubt = Some(reason);
        }
        Outcome::Wrong(reason) => finding.faults.insert(0, reason),
        Outcome::Open(reason) => finding.open = Some(reason),
        Outcome::AsTheRulesSay => {}
    }
    finding
}

/// The repaired field may have been a fault, and the region may follow from it.
fn settle_repair(finding: &mut Finding, reason: Reason) {
    let again = rules::check(&finding.draft);
    finding.draft = again.repaired;
    finding.faults = again.faults;
    // What had been made of the field before does not stand any more.
    finding
        .repairs
        .retain(|repair| repair.field != reason.field);
    finding.repairs.insert(0, reason);
    finding.repairs.extend(again.repairs);
}

fn reconcile(finding: &Finding, of_code: &[Place], of_city: &[Place]) -> Outcome {
    let address = &finding.draft;
    let blamed = |field| finding.faults.iter().any(|fault| fault.field == field);
    // A code that is given where the country has none is not looked at.
    let comparable = address.country.has_postal_codes() && !blamed(AddressField::PostalCode);
    let Some(code) = address.postal_code.as_deref().filter(|_| comparable) else {
        return without_code(finding, of_city);
    };
    let mismatch = |message| {
        Reason::new(
            AddressField::PostalCode,
            ReasonCode::PostalCodeCityMismatch,
            message,
        )
    };
    let city = &address.city;
    if city.is_empty() {
        return without_city(finding, of_code);
    }
    if of_code
        .iter()
        .any(|place| same_place(&place.place_name, city))
    {
        return Outcome::Agreed;
    }
    if of_code.is_empty() {
        let message = format!("{code} is no known postal code.");
        let unknown = Reason::new(
            AddressField::PostalCode,
            ReasonCode::UnknownPostalCode,
            message,
        );
        if coverage(address.country) == Coverage::Partial {
            return Outcome::Open(unknown);
        }
        return choose_code(address, of_city, unknown.clone()).unwrap_or(Outcome::Wrong(unknown));
    }
    let near = near_names(of_code, city);
    match (&near[..], of_city.is_empty()) {
        ([], false) => {
            let reason = mismatch(format!(
                "{code} does not belong to {city} but to {}.",
                names(of_code)
            ));
            choose_code(address, of_city, reason.clone()).unwrap_or(Outcome::Wrong(reason))
        }
        ([], true) => Outcome::Wrong(mismatch(format!(
            "{code} belongs to {}; {city} is not known.",
            names(of_code)
        ))),
        ([name], true) => {
            let message = format!("{city} is not known; {code} belongs to {name}.");
            let reason = Reason::new(AddressField::City, ReasonCode::CitySpelling, message);
            Outcome::OtherCity((*name).to_owned(), reason)
        }
        (several, _) => Outcome::Doubtful(mismatch(format!(
            "{code} belongs to {}: either the city or the code is mistaken.",
            several.join(", ")
        ))),
    }
}

/// The address has no postal code that could be compared: none, or a malformed one.
fn without_code(finding: &Finding, of_city: &[Place]) -> Outcome {
    let address = &finding.draft;
    let field = AddressField::PostalCode;
    let Some(fault) = finding.faults.iter().find(|fault| fault.field == field) else {
        if address.city.is_empty() || !of_city.is_empty() {
            return Outcome::Agreed;
        }
        let message = format!("{} is not known.", address.city);
        return Outcome::Open(Reason::new(
            AddressField::City,
            ReasonCode::UnknownCity,
            message,
        ));
    };
    choose_code(address, of_city, fault.clone()).unwrap_or(Outcome::AsTheRulesSay)
}

/// The address has a postal code but no city.
fn without_city(finding: &Finding, of_code: &[Place]) -> Outcome {
    let address = &finding.draft;
    let code = address.postal_code.as_deref().unwrap_or_default();
    let required = finding
        .faults
        .iter()
        .any(|fault| fault.field == AddressField::City);
    match (&distinct_names(of_code)[..], required) {
        ([], false) => {
            let message = format!("{code} is no known postal code.");
            let field = AddressField::PostalCode;
            let reason = Reason::new(field, ReasonCode::UnknownPostalCode, message);
            match coverage(address.country) {
                Coverage::Complete => Outcome::Wrong(reason),
                Coverage::Partial => Outcome::Open(reason),
            }
        }
        (_, false) => Outcome::Agreed,
        ([name], true) => {
            let message = format!("The city is missing; {code} belongs to {name}.");
            let reason = Reason::new(AddressField::City, ReasonCode::Missing, message);
            Outcome::OtherCity((*name).to_owned(), reason)
        }
        _ => Outcome::AsTheRulesSay,
    }
}

/// The code or codes that the city has, in the region if one is given; `None` when that leaves
/// nothing to choose from, or too much. `why` says what is wrong with the present code.
fn choose_code(address: &PostalAddress, of_city: &[Place], mut why: Reason) -> Option<Outcome> {
    let in_region: Vec<&Place> = of_city
        .iter()
        .filter(|place| in_region(address, place) != Some(false))
        .collect();
    let codes: BTreeMap<String, &str> = in_region
        .iter()
        .map(|place| (postal_key(&place.postal_code), place.postal_code.as_str()))
        .collect();
    let all: Vec<&str> = codes.into_values().take(FEW + 1).collect();
    let city = &address.city;
    why.message = match &all[..] {
        [] => return None,
        [only] => format!("{} {city} has {only}.", why.message),
        several if several.len() <= FEW => {
            format!("{} {city} has {}.", why.message, several.join(", "))
        }
        _ => return None,
    };
    let whole = match &all[..] {
        [only] => match postal_code::standardise(address.country, only) {
            postal_code::Standard::Fits(code) => Some(code),
            _ => None,
        },
        _ => None,
    };
    Some(match whole {
        Some(code) => Outcome::OtherCode(code, why),
        None => Outcome::Doubtful(why),
    })
}

/// Code and city agree: what the table says about the region there, if it says one thing.
fn settle_region(finding: &mut Finding, here: &[&Place]) {
    let country = finding.draft.country;
    let mut keys: Vec<&str> = here
        .iter()
        .filter_map(|place| region_of(country, place))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let given = finding
        .draft
        .region
        .as_deref()
        .and_then(|text| region::find(country, text));
    let blames_region = |fault: &Reason| fault.field == AddressField::Region;
    match (given, &keys[..]) {
        // The table is finer than the prefixes that the rules go by.
        (Some(given), [..]) if keys.contains(&given.key.as_str()) => {
            finding.faults.retain(|fault| !blames_region(fault));
        }
        (Some(given), [other]) if !finding.faults.iter().any(blames_region) => {
            let city = &finding.draft.city;
            finding.faults.push(Reason::new(
                AddressField::Region,
                ReasonCode::PostalCodeRegionMismatch,
                format!("This {city} lies in {other}, not in {}.", given.key),
            ));
        }
        (None, [only]) => {
            if let Some(at) = finding.faults.iter().position(blames_region) {
                let mut fault = finding.faults.remove(at);
                fault.message = format!("{} {} lies in {only}.", fault.message, finding.draft.city);
                finding.repairs.push(fault);
                finding.draft.region = Some((*only).to_owned());
            }
        }
        _ => {}
    }
}

/// The region of our data that a row lies in, if its first-order division is one.
///
/// The division's code is only used where it has no name: GeoNames numbers divisions in ways of
/// its own, and a code that looks like one of ours may mean another region.
fn region_of(country: super::Country, place: &Place) -> Option<&'static str> {
    let named = if place.admin_name.is_empty() {
        &place.admin_code
    } else {
        &place.admin_name
    };
    region::find(country, named).map(|region| region.key.as_str())
}

/// Whether a row lies in the region that the address names; `None` if that cannot be told.
fn in_region(address: &PostalAddress, place: &Place) -> Option<bool> {
    let given = region::find(address.country, address.region.as_deref()?)?;
    Some(region_of(address.country, place)? == given.key)
}

/// Whether two names mean the same place, given that they share a postal code: the same key, or
/// one is the other shortened, word by word or at its end (`Frankfurt a.M.`, `København` for
/// `København K`), with at least one word in full.
fn same_place(a: &str, b: &str) -> bool {
    let (key_a, key_b) = (place_key(a), place_key(b));
    if key_a == key_b {
        return !key_a.is_empty();
    }
    let (a, b) = (place_words(a), place_words(b));
    let shortened = a
        .iter()
        .zip(&b)
        .all(|(a, b)| a.starts_with(b.as_str()) || b.starts_with(a.as_str()));
    shortened
        && a.iter()
            .zip(&b)
            .any(|(a, b)| a == b && a.chars().count() >= 4)
}

/// The places whose name is a slip of the pen away from this one: one slip in four letters or
/// more, two in eight or more.
fn near_names<'a>(places: &'a [Place], city: &str) -> Vec<&'a str> {
    let city = place_key(city);
    // Names come from outside; an absurdly long one is not a misspelling, and costs its square.
    let length = city.chars().count();
    let allowed = match length {
        0..4 => 0,
        4..8 => 1,
        8..=180 => 2,
        _ => 0,
    };
    let near = |name: &str| allowed > 0 && spelling::slips(&place_key(name), &city) <= allowed;
    distinct_names(places)
        .into_iter()
        .filter(|name| near(name))
        .collect()
}

fn distinct_names(places: &[Place]) -> Vec<&str> {
    let mut names = BTreeMap::new();
    for place in places {
        names
            .entry(place_key(&place.place_name))
            .or_insert(place.place_name.as_str());
    }
    names.into_values().collect()
}

/// The first few names, for a message.
fn names(places: &[Place]) -> String {
    let names = distinct_names(places);
    let shown = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 3 {
        format!("{shown} and others")
    } else {
        shown
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
