//! Which state, province or county is meant, and which one a postal code lies in.

use super::country::Country;
use super::metadata::Region;
use super::spelling::{key, words};

/// Words that say what kind of region it is, and that people write or leave out at will.
const KIND_WORDS: &[&str] = &[
    "county",
    "co",
    "province",
    "provincia",
    "prov",
    "prefecture",
    "governorate",
    "oblast",
    "district",
    "sheng",
    "ken",
];

/// Other names: country, what people write, the key in the data.
const ALIASES: &[(&str, &str, &str)] = &[
    ("CA", "PQ", "QC"),
    ("CA", "NF", "NL"),
    ("CA", "Newfoundland", "NL"),
    ("CA", "Yukon Territory", "YT"),
    ("ES", "Vizcaya", "BI"),
    ("ES", "Guipúzcoa", "SS"),
    ("ES", "La Coruña", "C"),
    ("ES", "Baleares", "PM"),
    ("ES", "Islas Baleares", "PM"),
    ("MX", "D.F.", "CDMX"),
    ("MX", "Distrito Federal", "CDMX"),
    ("MX", "Mexico City", "CDMX"),
    ("US", "Washington DC", "DC"),
    ("VE", "DF", "Distrito Federal"),
    ("VE", "D.C.", "Distrito Federal"),
    ("VE", "Distrito Capital", "Distrito Federal"),
];

/// The region that somebody means by a key, a name in the country's letters or in Latin ones, or
/// an ISO 3166-2 code with or without the country; `None` if the country has no such region, or
/// none at all.
pub(super) fn find(country: Country, text: &str) -> Option<&'static Region> {
    let regions = &country.rule().regions;
    let exact = text.trim();
    let same = |a: &str| !a.is_empty() && a.eq_ignore_ascii_case(exact);
    let iso =
        |region: &Region| same(&region.iso) || same(&format!("{}-{}", country.code(), region.iso));
    // A key goes before a name, and a name before an ISO code: in Spain "O" is Asturias by key.
    regions
        .iter()
        .find(|region| same(&region.key) || same(&format!("{}-{}", country.code(), region.key)))
        .or_else(|| by_name(regions, text))
        .or_else(|| regions.iter().find(|region| iso(region)))
        .or_else(|| {
            let meant = key(text);
            let (.., target) = ALIASES
                .iter()
                .find(|(code, name, _)| *code == country.code() && key(name) == meant)?;
            regions.iter().find(|region| region.key == *target)
        })
}

/// The only region whose postal codes begin like this one; `None` if several or none do.
pub(super) fn of_postal_code(country: Country, postal_code: &str) -> Option<&'static Region> {
    only(
        country
            .rule()
            .regions
            .iter()
            .filter(|region| region.holds(postal_code) == Some(true)),
    )
}

fn by_name(regions: &'static [Region], text: &str) -> Option<&'static Region> {
    let names =
        |region: &'static Region| [&region.key, &region.name, &region.latin_name].into_iter();
    let whole = key(text);
    if whole.is_empty() {
        return None;
    }
    // With the kind first: Maputo is both a city and a province of Mozambique.
    only(
        regions
            .iter()
            .filter(|region| names(region).any(|name| key(name) == whole)),
    )
    .or_else(|| {
        let meant = without_kind(text);
        only(regions.iter().filter(|region| {
            !meant.is_empty() && names(region).any(|name| without_kind(name) == meant)
        }))
    })
}

fn without_kind(text: &str) -> String {
    let words = words(text);
    words
        .into_iter()
        .filter(|word| !KIND_WORDS.contains(&word.as_str()))
        .collect()
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(country: &str, text: &str) -> Option<&'static str> {
        find(country.parse().unwrap(), text).map(|region| region.key.as_str())
    }

    #[test]
    fn every_region_is_found_by_its_key_and_by_its_names() {
        for country in Country::all() {
            for region in &country.rule().regions {
                for text in [&region.key, &region.name, &region.latin_name] {
                    if !text.is_empty() {
                        let key = find(country, text).map(|found| &found.key);
                        assert_eq!(key, Some(&region.key), "{country}: {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_region_is_found_by_what_people_write() {
        for (country, text, expected) in [
            ("US", "oregon", "OR"),
            ("US", "or", "OR"),
            ("US", "US-OR", "OR"),
            ("CA", "Québec", "QC"),
            ("CA", "quebec", "QC"),
            ("IE", "Co. Cork", "Co. Cork"),
            ("IE", "Cork", "Co. Cork"),
            ("IE", "County Cork", "Co. Cork"),
            ("VE", "DF", "Distrito Federal"),
            ("VE", "tachira", "Táchira"),
            ("MX", "D.F.", "CDMX"),
            ("MX", "CMX", "CDMX"),
            ("JP", "Tokyo", "東京都"),
            ("JP", "東京都", "東京都"),
            ("AE", "Dubai", "إمارة دبيّ"),
            ("US", "Washington DC", "DC"),
            ("BR", "são paulo", "SP"),
            ("IT", "Torino", "TO"),
        ] {
            assert_eq!(found(country, text), Some(expected), "{country} {text}");
        }
    }

    #[test]
    fn what_is_no_region_of_the_country_is_none() {
        for (country, text) in [("US", "Bavaria"), ("GB", "Essex"), ("US", ""), ("CA", "--")] {
            assert_eq!(found(country, text), None);
        }
    }

    #[test]
    fn a_postal_code_tells_the_region_where_only_one_begins_so() {
        let of = |country: &str, code: &str| {
            of_postal_code(country.parse().unwrap(), code).map(|region| region.key.as_str())
        };
        assert_eq!(of("MX", "05021"), Some("CDMX"));
        assert_eq!(of("IT", "10100"), Some("TO"));
        assert_eq!(of("ES", "08022"), Some("B"));
        assert_eq!(of("US", "97403"), Some("OR"));
        assert_eq!(of("DE", "12209"), None);
    }
}
