//! The postal rules of every country, read once from `countries.json`.
//!
//! Field letters are libaddressinput's: `N` name, `O` organisation, `A` street lines, `C` city,
//! `S` region, `Z` postal code. A country that says nothing of its own inherits the rules of
//! `ZZ`, which ask for street and city.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use serde::Deserialize;

/// What libaddressinput says about one country; a missing field is inherited from `ZZ`.
#[derive(Debug, Default, Deserialize)]
struct Entry {
    name: Option<String>,
    fmt: Option<String>,
    require: Option<String>,
    upper: Option<String>,
    zip: Option<String>,
    zipex: Option<String>,
    postprefix: Option<String>,
    zip_name_type: Option<String>,
    state_name_type: Option<String>,
    #[serde(default)]
    sub_keys: String,
    #[serde(default)]
    sub_names: String,
    #[serde(default)]
    sub_lnames: String,
    #[serde(default)]
    sub_isoids: String,
    #[serde(default)]
    sub_zips: String,
}

/// One first-level region of a country.
#[derive(Debug)]
pub(super) struct Region {
    /// How it is written on an envelope (`OR`, `Co. Cork`).
    pub key: String,
    /// Its full name in the country's language, where that differs from the key.
    pub name: String,
    /// Its name in Latin letters, where the country writes others.
    pub latin_name: String,
    /// The second half of its ISO 3166-2 code.
    pub iso: String,
    /// Matches the beginning of every postal code in it.
    postal_prefix: Option<LazyPattern>,
}

impl Region {
    /// Whether the postal code may lie in this region; `None` where the data does not say.
    pub(super) fn holds(&self, postal_code: &str) -> Option<bool> {
        self.postal_prefix
            .as_ref()
            .map(|prefix| prefix.is_match(postal_code))
    }
}

/// The rules of one country, with nothing left to inherit.
#[derive(Debug)]
pub(super) struct Rule {
    /// The English name, as written on an envelope.
    pub name: String,
    fmt: String,
    require: String,
    upper: String,
    postal_code: Option<LazyPattern>,
    /// Examples of postal codes, for messages.
    pub postal_examples: Vec<String>,
    /// What is printed before the postal code on an envelope but is no part of it (`SE-`).
    pub postal_prefix: String,
    /// What the country calls its postal code.
    pub postal_word: &'static str,
    /// What the country calls its regions.
    pub region_word: String,
    /// The first-level regions, empty where addresses carry none.
    pub regions: Vec<Region>,
}

impl Rule {
    /// Whether an address is incomplete without this field.
    pub(super) fn requires(&self, field: char) -> bool {
        self.require.contains(field)
    }

    /// Whether this field is part of an address at all.
    pub(super) fn uses(&self, field: char) -> bool {
        self.fmt.contains(&format!("%{field}"))
    }

    /// Whether the country's post wants this field in capitals on the envelope.
    pub(super) fn capitalises(&self, field: char) -> bool {
        self.upper.contains(field)
    }

    /// Whether this is a whole postal code of the country; any text is where no shape is known.
    pub(super) fn fits(&self, postal_code: &str) -> bool {
        self.postal_code
            .as_ref()
            .is_none_or(|shape| shape.is_match(postal_code))
    }

    /// Whether the data describes the country's postal codes.
    pub(super) fn knows_postal_codes(&self) -> bool {
        self.postal_code.is_some()
    }
}

/// A pattern that is compiled when it is first needed: of 250 countries most are never asked.
#[derive(Debug)]
struct LazyPattern {
    source: String,
    compiled: OnceLock<Regex>,
}

impl LazyPattern {
    fn new(source: String) -> Self {
        LazyPattern {
            source,
            compiled: OnceLock::new(),
        }
    }

    fn is_match(&self, text: &str) -> bool {
        self.compiled
            .get_or_init(|| Regex::new(&self.source).expect("a test compiles every pattern"))
            .is_match(text)
    }
}

static RULES: LazyLock<BTreeMap<String, Rule>> = LazyLock::new(|| {
    let entries: BTreeMap<String, Entry> = serde_json::from_str(include_str!("countries.json"))
        .expect("countries.json is part of the source and a test reads it");
    let default = &entries["ZZ"];
    entries
        .iter()
        .filter(|(code, _)| *code != "ZZ")
        .map(|(code, entry)| (code.clone(), complete(entry, default)))
        .collect()
});

/// The code, to keep, and the rules of a country by its two-letter code in capitals.
pub(super) fn find(code: &str) -> Option<(&'static str, &'static Rule)> {
    RULES
        .get_key_value(code)
        .map(|(code, rule)| (code.as_str(), rule))
}

/// Every country's code and rules, by code.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static Rule)> {
    RULES.iter().map(|(code, rule)| (code.as_str(), rule))
}

fn complete(entry: &Entry, default: &Entry) -> Rule {
    let inherited = |own: &Option<String>, default: &Option<String>| {
        own.as_ref()
            .or(default.as_ref())
            .cloned()
            .unwrap_or_default()
    };
    Rule {
        name: entry.name.clone().unwrap_or_default(),
        fmt: inherited(&entry.fmt, &default.fmt),
        require: inherited(&entry.require, &default.require),
        upper: inherited(&entry.upper, &default.upper),
        postal_code: entry
            .zip
            .as_ref()
            .map(|zip| LazyPattern::new(format!("^(?:{zip})$"))),
        postal_examples: items(entry.zipex.as_deref().unwrap_or_default(), ','),
        postal_prefix: entry.postprefix.clone().unwrap_or_default(),
        postal_word: match entry.zip_name_type.as_deref() {
            Some("zip") => "ZIP code",
            Some("pin") => "PIN code",
            Some("eircode") => "Eircode",
            _ => "postal code",
        },
        region_word: inherited(&entry.state_name_type, &default.state_name_type).replace('_', " "),
        regions: regions(entry),
    }
}

fn regions(entry: &Entry) -> Vec<Region> {
    let names = items(&entry.sub_names, '~');
    let latin_names = items(&entry.sub_lnames, '~');
    let isos = items(&entry.sub_isoids, '~');
    let zips = items(&entry.sub_zips, '~');
    let at = |list: &[String], i: usize| list.get(i).cloned().unwrap_or_default();
    items(&entry.sub_keys, '~')
        .into_iter()
        .enumerate()
        .map(|(i, key)| Region {
            key,
            name: at(&names, i),
            latin_name: at(&latin_names, i),
            iso: at(&isos, i),
            postal_prefix: Some(at(&zips, i))
                .filter(|zip| !zip.is_empty())
                .map(|zip| LazyPattern::new(format!("^(?:{zip})"))),
        })
        .collect()
}

/// The parts of a list; an empty part keeps its place, an empty text is an empty list.
fn items(list: &str, separator: char) -> Vec<String> {
    if list.is_empty() {
        return Vec::new();
    }
    list.split(separator).map(str::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_every_country_compiles() {
        for (_, rule) in all() {
            rule.fits("");
            for region in &rule.regions {
                region.holds("");
            }
        }
    }

    #[test]
    fn the_examples_of_every_country_fit_its_own_pattern() {
        for (code, rule) in all() {
            for example in &rule.postal_examples {
                assert!(rule.fits(example), "{code}: {example}");
            }
        }
    }

    #[test]
    fn every_list_about_regions_is_as_long_as_the_list_of_keys() {
        let entries: BTreeMap<String, Entry> =
            serde_json::from_str(include_str!("countries.json")).unwrap();
        for (code, entry) in entries {
            let keys = items(&entry.sub_keys, '~').len();
            for list in [
                &entry.sub_names,
                &entry.sub_lnames,
                &entry.sub_isoids,
                &entry.sub_zips,
            ] {
                let length = items(list, '~').len();
                assert!(length == 0 || length == keys, "{code}: {length} of {keys}");
            }
        }
    }

    #[test]
    fn a_country_that_says_nothing_asks_for_street_and_city() {
        let (_, angola) = find("AO").unwrap();
        assert!(angola.requires('A') && angola.requires('C'));
        assert!(!angola.uses('Z') && !angola.knows_postal_codes());
    }
}
