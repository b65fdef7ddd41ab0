//! The reference table: what a row of it is, how it is read from a GeoNames file, and the keys
//! under which rows are stored and looked up.
//!
//! GeoNames publishes postal codes as tab-separated UTF-8 text of twelve columns without a header
//! (<https://download.geonames.org/export/zip/readme.txt>, CC-BY). Its files do not hold the whole
//! code everywhere; [`lookup`] therefore asks for the beginnings too, and [`coverage`] tells where
//! a code that is not found may exist all the same.
//!
//! There is no database here. A row belongs into a table with the columns of [`Place`] and
//! [`postal_key`] and [`place_key`] of it; whoever changes either must fill the table anew.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::country::Country;
use super::{PostalAddress, postal_code, region, rules, spelling};

/// One row: this place has this postal code. A place with several codes has several rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The country.
    pub country: Country,
    /// The postal code, or as much of it as the source gives away.
    pub postal_code: String,
    /// The place, in the country's own language.
    pub place_name: String,
    /// The first-order division it lies in; blank where the source names none.
    pub admin_name: String,
    /// The code of that division; its meaning differs from country to country.
    pub admin_code: String,
}

/// What the reference table knows about one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The table has no row at all for the country.
    NotCovered,
    /// The table could not be asked, or did not answer in time.
    Unavailable,
    /// The table covers the country.
    Covered {
        /// The rows whose [`postal_key`] is one of [`Lookup::postal_keys`].
        places_of_code: Vec<Place>,
        /// The rows whose [`place_key`] is [`Lookup::place_key`]. Large cities have thousands;
        /// any sample with more than [`FEW`](super::verify::FEW) different codes will do.
        codes_of_city: Vec<Place>,
    },
}

/// What to ask the reference table about one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The country of the rows.
    pub country: Country,
    /// Any of these is a match; none when the address, or its country, has no postal code.
    pub postal_keys: Vec<String>,
    /// The place, `None` when the address names no city.
    pub place_key: Option<String>,
}

/// How much of a country's postal codes its GeoNames file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every code, or the beginning of every code: one that is not found does not exist.
    Complete,
    /// Only the larger codes, or an older system: one that is not found may exist.
    Partial,
}

/// How completely GeoNames covers the country, by its own readme.
pub fn coverage(country: Country) -> Coverage {
    match country.code() {
        // Brazil: only codes that end in -000 and one for each municipality. Argentina: the
        // beginnings, many of them of the system that was replaced in 1999.
        "AR" | "BR" => Coverage::Partial,
        _ => Coverage::Complete,
    }
}

/// What to ask the reference table about this address, once the rules have repaired it.
pub fn lookup(address: &PostalAddress) -> Lookup {
    let address = rules::check(address).repaired;
    let code = address
        .postal_code
        .as_deref()
        .filter(|_| address.country.has_postal_codes())
        .unwrap_or_default();
    let place = place_key(&address.city);
    Lookup {
        country: country_of_rows(&address),
        postal_keys: postal_keys(address.country, code),
        place_key: (!place.is_empty()).then_some(place),
    }
}

/// Puerto Rico and its like are regions of the United States on an envelope, but countries of
/// their own in ISO 3166 and in GeoNames.
fn country_of_rows(address: &PostalAddress) -> Country {
    let territory = (address.country.code() == "US")
        .then_some(address.region.as_deref())
        .flatten()
        .and_then(|given| region::find(address.country, given))
        .filter(|found| {
            ["AS", "FM", "GU", "MH", "MP", "PR", "PW", "VI"].contains(&found.key.as_str())
        });
    territory
        .and_then(|found| found.key.parse().ok())
        .unwrap_or(address.country)
}

/// The key of a postal code: its letters and digits in capitals (`SE 958 22` is `95822` only
/// after the rules have taken off its prefix).
pub fn postal_key(postal_code: &str) -> String {
    postal_code::compact(postal_code)
}

/// The key of a place name: small letters without accents, punctuation and spaces.
///
/// So that the usual variants meet: `St` is `Saint`; `ae`, `oe`, `ue` and `aa` are their first
/// letter (`Muenchen`, `Aarhus`); numbers of districts and `Cedex` do not count (`Paris 08`).
pub fn place_key(name: &str) -> String {
    let words = place_words(name);
    let mut key = words.concat();
    for (pair, letter) in [("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a")] {
        key = key.replace(pair, letter);
    }
    key
}

/// The words of a place name that count; all of them if none would be left.
pub(super) fn place_words(name: &str) -> Vec<String> {
    let all: Vec<String> = spelling::words(name)
        .into_iter()
        .map(|word| match word.as_str() {
            "st" | "sankt" => "saint".to_owned(),
            "ste" => "sainte".to_owned(),
            "mt" => "mount".to_owned(),
            "ft" => "fort".to_owned(),
            _ => word,
        })
        .collect();
    let counting: Vec<String> = all
        .iter()
        .filter(|word| *word != "cedex" && !word.starts_with(|c: char| c.is_ascii_digit()))
        .cloned()
        .collect();
    if counting.is_empty() { all } else { counting }
}

/// The key of the whole code, and of the part of it that GeoNames gives away.
fn postal_keys(country: Country, code: &str) -> Vec<String> {
    let whole = postal_key(code);
    let length = whole.chars().count();
    let known = match country.code() {
        // The outward code: everything but the last three characters.
        "GB" | "GG" | "IM" | "JE" => length.saturating_sub(3),
        "CA" | "CL" | "IE" | "MT" => 3,
        "NL" => 4,
        // A ZIP+4 is a ZIP code and a part of a delivery round.
        "AS" | "FM" | "GU" | "MH" | "MP" | "PR" | "PW" | "US" | "VI" => 5,
        "AR" => 5,
        _ => length,
    };
    let mut keys = vec![whole.clone()];
    keys.push(whole.chars().take(known).collect());
    if country.code() == "AR" {
        // The four digits of the older system stand inside the newer code: C1070AAM, 1070.
        keys.push(whole.chars().filter(char::is_ascii_digit).collect());
    }
    keys.retain(|key| !key.is_empty());
    keys.dedup();
    keys
}

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RowError {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub message: String,
}

/// Longest postal code and place name of a row, in characters, by the readme of GeoNames.
const LONGEST_CODE: usize = 20;
const LONGEST_NAME: usize = 180;

/// Reads a GeoNames postal-code file row by row, holding one row at a time.
///
/// A bad row is an `Err` and the reading goes on; a file that cannot be read further is a last
/// `Err`. Blank lines are skipped.
pub fn places(mut file: impl BufRead) -> impl Iterator<Item = Result<Place, RowError>> {
    let mut line = 0;
    let mut broken = false;
    std::iter::from_fn(move || {
        let mut bytes = Vec::new();
        while !broken {
            bytes.clear();
            line += 1;
            match file.read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) if bytes.trim_ascii().is_empty() => {}
                Ok(_) => return Some(place(&bytes).map_err(|message| RowError { line, message })),
                Err(error) => {
                    broken = true;
                    return Some(Err(RowError {
                        line,
                        message: error.to_string(),
                    }));
                }
            }
        }
        None
    })
}

fn place(bytes: &[u8]) -> Result<Place, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "It is not UTF-8.".to_owned())?;
    let row = text
        .trim_start_matches('\u{feff}')
        .trim_end_matches(['\r', '\n']);
    let columns: Vec<&str> = row.split('\t').map(str::trim).collect();
    let [country, postal_code, place_name, admin_name, admin_code, ..] = columns[..] else {
        return Err(format!(
            "It has {} columns; at least five are needed.",
            columns.len()
        ));
    };
    let country = country
        .parse::<Country>()
        .map_err(|error| error.to_string())?;
    for (what, text, longest) in [
        ("postal code", postal_code, LONGEST_CODE),
        ("place name", place_name, LONGEST_NAME),
    ] {
        if text.is_empty() {
            return Err(format!("The {what} is blank."));
        }
        if text.chars().count() > longest {
            return Err(format!("The {what} is longer than {longest} characters."));
        }
    }
    Ok(Place {
        country,
        postal_code: postal_code.to_owned(),
        place_name: place_name.to_owned(),
        admin_name: admin_name.to_owned(),
        admin_code: admin_code.to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{self, BufReader, Read};

    use super::*;

    fn address(country: &str, city: &str, region: &str, code: &str) -> PostalAddress {
        PostalAddress {
            name: "N".to_owned(),
            organisation: None,
            line1: "1 High Street".to_owned(),
            line2: None,
            city: city.to_owned(),
            region: Some(region.to_owned()),
            postal_code: Some(code.to_owned()),
            country: country.parse().unwrap(),
            phone: None,
        }
    }

    #[test]
    fn a_geonames_file_is_read_row_by_row() {
        let file = "\u{feff}US\t97403\tEugene\tOregon\tOR\tLane\t039\t\t\t44.0387\t-123.0549\t4\r\n\
                    \n\
                    SE\t958 22\tLuleå\tNorrbotten\t14\t\t\t\t\t65.58\t22.15\t6";
        let rows: Vec<_> = places(file.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].place_name, "Eugene");
        assert_eq!(
            (rows[0].admin_name.as_str(), rows[0].admin_code.as_str()),
            ("Oregon", "OR")
        );
        assert_eq!(
            (rows[1].country.code(), rows[1].postal_code.as_str()),
            ("SE", "958 22")
        );
    }

    #[test]
    fn bad_rows_are_reported_with_their_line_and_the_good_ones_still_come() {
        let file = [
            b"US\t97403\tEugene\tOregon\tOR\n".as_slice(),
            b"QQ\t1\tNowhere\t\t\n",
            b"US\t97403\n",
            b"US\t\tEugene\t\t\n",
            b"US\t97403\t\xff\xfe\t\t\n",
            b"US\t97401\tEugene\tOregon\tOR\n",
        ]
        .concat();
        let rows: Vec<_> = places(file.as_slice()).collect();
        let bad: Vec<u64> = rows
            .iter()
            .filter_map(|row| row.as_ref().err())
            .map(|error| error.line)
            .collect();
        assert_eq!(bad, [2, 3, 4, 5]);
        assert_eq!(rows.len(), 6);
        assert!(rows[5].is_ok());
    }

    #[test]
    fn a_file_that_breaks_off_is_reported_once() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let file = "US\t97403\tEugene\tOregon\tOR\n".as_bytes().chain(Broken);
        let rows: Vec<_> = places(BufReader::new(file)).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].is_ok() && rows[1].is_err());
    }

    #[test]
    fn the_usual_variants_of_a_place_name_have_one_key() {
        for (a, b) in [
            ("München", "Muenchen"),
            ("Århus", "Aarhus"),
            ("København", "Kobenhavn"),
            ("St. Gallen", "Sankt Gallen"),
            ("Saint-Étienne", "ST ETIENNE"),
            ("Paris 08", "PARIS CEDEX 08"),
            ("Lyon 4e", "Lyon"),
            ("São Paulo", "Sao Paulo"),
            ("Genève", "GENEVE"),
            ("Reggio nell'Emilia", "Reggio Nell Emilia"),
        ] {
            assert_eq!(place_key(a), place_key(b), "{a} {b}");
        }
        assert_ne!(place_key("Essen"), place_key("Hessen"));
        assert_eq!(place_key("6 October"), "october");
        assert_eq!(place_key("100"), "100");
    }

    #[test]
    fn the_beginning_of_a_code_is_asked_for_where_the_source_has_no_more() {
        let keys = |country: &str, code: &str| lookup(&address(country, "X", "", code)).postal_keys;
        assert_eq!(keys("GB", "wa1 1dp"), ["WA11DP", "WA1"]);
        assert_eq!(keys("CA", "H1J 1C3"), ["H1J1C3", "H1J"]);
        assert_eq!(keys("IE", "A65 F4E2"), ["A65F4E2", "A65"]);
        assert_eq!(keys("US", "97403-1234"), ["974031234", "97403"]);
        assert_eq!(keys("AR", "C1070AAM"), ["C1070AAM", "C1070", "1070"]);
        assert_eq!(keys("DE", "12209"), ["12209"]);
        assert_eq!(keys("IE", ""), [""; 0]);
        assert_eq!(keys("AO", "0000"), [""; 0]);
    }

    #[test]
    fn what_is_asked_for_is_the_repaired_address() {
        let asked = lookup(&address("SE", "Luleå", "", "S-958 22"));
        assert_eq!(asked.postal_keys, ["95822"]);
        assert_eq!(asked.place_key.as_deref(), Some("lulea"));
    }

    #[test]
    fn puerto_rico_is_asked_for_under_its_own_code() {
        let asked = lookup(&address("US", "San Juan", "Puerto Rico", "00907"));
        assert_eq!(asked.country.code(), "PR");
        assert_eq!(
            lookup(&address("US", "Eugene", "OR", "97403"))
                .country
                .code(),
            "US"
        );
    }
}
