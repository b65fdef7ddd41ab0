//! A phone number as somebody wrote it, brought into E.164.
//!
//! Google's libphonenumber (crate `phonenumber`) knows the calling codes, the lengths and the
//! shape of every country's numbers. Its metadata decides here. Its own parser is only asked for
//! what needs its special rules (carrier codes, mobile tokens), because it takes a national
//! prefix off numbers that merely begin with the same digit (`+7 800 …`), and panics on a country
//! without telephones. Its own check is not asked at all, because it is content with a number
//! whose beginning has the right shape.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

use phonenumber::Type;
use phonenumber::metadata::{DATABASE, Descriptor, Metadata};
use regex::Regex;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{ContactError, text_type};
use crate::capture::address::Country;
use crate::capture::address::rules::LONGEST_PHONE;

/// A phone number in E.164: `+`, country calling code, national number.
///
/// An extension is dropped: E.164 has no place for one, and neither carriers nor text messages
/// can use it. What the customer wrote is kept with the address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

text_type!(Phone, Phone::parse_international);

/// What people write after the number for a telephone behind it.
static EXTENSION: LazyLock<Regex> = LazyLock::new(|| {
    let words = "ext(?:ension|n)?|x|#|durchwahl|poste|anexo|ramal|int";
    Regex::new(&format!(r"(?i)[\s,;]*(?:{words})[\s.:=]*\d{{1,7}}#?$"))
        .expect("a constant pattern that tests use")
});

/// A calling code and the digits after it.
struct Number {
    calling_code: u16,
    national: String,
}

impl Phone {
    /// Takes a number as somebody wrote it. Without a country prefix (`+44`, or `00` and the like
    /// as dialled in `country`) it is a number of `country`.
    ///
    /// A number is possible when it looks like one of its country at large: as many digits as some
    /// kind of number there has, and a first digit that numbers there begin with. Whether its
    /// range is in use is not asked, as new ones are opened all the time;
    /// [`Phone::is_in_numbering_plan`] tells.
    ///
    /// # Errors
    /// PHONE_BLANK, PHONE_MALFORMED (letters, several numbers, more than [`LONGEST_PHONE`]
    /// characters), PHONE_COUNTRY_UNKNOWN (no prefix,
    /// and `country` is `None` or has no telephones), PHONE_IMPOSSIBLE.
    pub fn parse(text: &str, country: Option<Country>) -> Result<Self, ContactError> {
        let plain: String = text.nfkc().collect();
        let plain = plain.trim();
        if plain.is_empty() {
            return Err(ContactError::PhoneBlank);
        }
        if plain.chars().count() > LONGEST_PHONE {
            return Err(ContactError::PhoneMalformed);
        }
        let dialled = digits(&EXTENSION.replace(plain, ""))?;
        // Some countries have no telephones of their own, such as Bouvet Island.
        let home = country.and_then(|country| DATABASE.by_id(country.code()));
        let number = match (dialled.strip_prefix('+'), home) {
            (Some(international), _) => from_abroad(international),
            (None, Some(home)) => from_home(home, &dialled),
            (None, None) => return Err(ContactError::PhoneCountryUnknown),
        };
        number
            .map(|number| Phone(format!("+{}{}", number.calling_code, number.national)))
            .ok_or(ContactError::PhoneImpossible)
    }

    /// Takes a number that begins with `+` and its country calling code.
    ///
    /// # Errors
    /// Those of [`Phone::parse`].
    pub fn parse_international(text: &str) -> Result<Self, ContactError> {
        Phone::parse(text, None)
    }

    /// Whether the country has a range of numbers that this one lies in, by Google's
    /// libphonenumber. A hint for a person, no ground for a refusal: the data is always behind.
    pub fn is_in_numbering_plan(&self) -> bool {
        split(self.0.trim_start_matches('+')).is_some_and(|number| {
            countries(number.calling_code)
                .flat_map(descriptors)
                .any(|kind| has_length(kind, &number.national) && fits(kind, &number.national))
        })
    }
}

/// The digits, with a `+` before them if there was one; what people put between digits is left
/// out, and so is the trunk zero in `+44 (0)20`.
fn digits(text: &str) -> Result<String, ContactError> {
    let text = text.strip_prefix("tel:").unwrap_or(text).trim();
    let international = text.starts_with('+');
    let shown = if international {
        text.replacen("(0)", "", 1)
    } else {
        text.to_owned()
    };
    let mut digits = String::new();
    for c in shown.trim_start_matches('+').chars() {
        match c {
            '0'..='9' => digits.push(c),
            '-' | '.' | '/' | '(' | ')' | '[' | ']' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            c if c.is_whitespace() || c == '\u{200b}' || c == '\u{2060}' => {}
            _ => return Err(ContactError::PhoneMalformed),
        }
    }
    match digits.len() {
        0 => Err(ContactError::PhoneMalformed),
        // E.164 allows fifteen; a little more for prefixes dialled before them.
        1..=20 if international => Ok(format!("+{digits}")),
        1..=20 => Ok(digits),
        _ => Err(ContactError::PhoneImpossible),
    }
}

/// A number that begins with a calling code.
fn from_abroad(digits: &str) -> Option<Number> {
    let number = split(digits)?;
    if has_the_shape(&number) {
        return Some(number);
    }
    by_library(None, &format!("+{digits}"))
}

/// A number as dialled in a country.
fn from_home(home: &Metadata, dialled: &str) -> Option<Number> {
    let abroad = home
        .international_prefix()
        .and_then(|prefix| prefix.find(dialled).filter(|found| found.start() == 0))
        .and_then(|found| split(&dialled[found.end()..]))
        .filter(has_the_shape);
    if abroad.is_some() {
        return abroad;
    }
    let at_home = |national: &str| Number {
        calling_code: home.country_code(),
        national: national.to_owned(),
    };
    let without_trunk = home
        .national_prefix()
        .and_then(|prefix| dialled.strip_prefix(prefix))
        .map(at_home);
    [Some(at_home(dialled)), without_trunk]
        .into_iter()
        .flatten()
        .find(|number| matches(home, &number.national))
        .or_else(|| by_library(Some(home), dialled))
}

/// What the library's own parser makes of it, if that is a possible number.
fn by_library(home: Option<&Metadata>, dialled: &str) -> Option<Number> {
    let region = home.and_then(|home| home.id().parse().ok());
    let parsed = phonenumber::parse(region, dialled).ok()?;
    let number = Number {
        calling_code: parsed.code().value(),
        national: parsed.national().to_string(),
    };
    Some(number).filter(has_the_shape)
}

/// The calling code at the head of the digits: no code is the beginning of another.
fn split(digits: &str) -> Option<Number> {
    (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        let calling_code: u16 = code.parse().ok().filter(|_| !code.starts_with('0'))?;
        DATABASE.by_code(&calling_code)?;
        Some(Number {
            calling_code,
            national: national.to_owned(),
        })
    })
}

fn countries(calling_code: u16) -> impl Iterator<Item = &'static Metadata> {
    DATABASE.by_code(&calling_code).into_iter().flatten()
}

/// Every kind of number that the country has.
fn descriptors(country: &Metadata) -> impl Iterator<Item = &Descriptor> {
    [
        Type::FixedLine,
        Type::Mobile,
        Type::TollFree,
        Type::PremiumRate,
        Type::SharedCost,
        Type::PersonalNumber,
        Type::Voip,
        Type::Pager,
        Type::Uan,
        Type::Voicemail,
    ]
    .into_iter()
    .filter_map(|kind| country.descriptors().get(kind))
}

fn has_length(kind: &Descriptor, national: &str) -> bool {
    kind.possible_length()
        .iter()
        .any(|length| usize::from(*length) == national.len())
}

/// Whether the number looks like one of the country's at large; its range may be unassigned.
///
/// The general description has no lengths of its own in this edition of the metadata, so they are
/// those of any kind of number.
fn matches(country: &Metadata, national: &str) -> bool {
    descriptors(country).any(|kind| has_length(kind, national))
        && fits(country.descriptors().general(), national)
}

/// Whether the whole number has the shape, not just its beginning.
fn fits(kind: &Descriptor, national: &str) -> bool {
    // A few of the metadata's two thousand patterns are ever needed; each is compiled once.
    static PATTERNS: LazyLock<RwLock<HashMap<String, Regex>>> = LazyLock::new(Default::default);
    let source = kind.national_number().as_str();
    let known = PATTERNS
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(source)
        .cloned();
    let pattern = known.or_else(|| {
        let pattern = Regex::new(&format!("^(?x:{source})$")).ok()?;
        let mut patterns = PATTERNS.write().unwrap_or_else(PoisonError::into_inner);
        patterns.insert(source.to_owned(), pattern.clone());
        Some(pattern)
    });
    pattern.is_some_and(|pattern| pattern.is_match(national))
}

fn has_the_shape(number: &Number) -> bool {
    countries(number.calling_code).any(|country| matches(country, &number.national))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn phone(country: &str, text: &str) -> Result<String, &'static str> {
        Phone::parse(text, country.parse().ok())
            .map(String::from)
            .map_err(ContactError::code)
    }

    #[test]
    fn c2a_a_phone_number_becomes_e_164_in_the_country_of_the_address() {
        for (country, text, expected) in [
            ("PL", "22 123 45 67", "+48221234567"),
            ("US", "(503) 555-7555", "+15035557555"),
            ("DE", "030-0074321", "+49300074321"),
            ("FR", "01 42 34 22 66", "+33142342266"),
            ("IT", "011-4988260", "+390114988260"),
            ("SE", "0921-12 34 65", "+46921123465"),
            ("GB", "020 7946 0018", "+442079460018"),
            ("JP", "０３-１２３４-５６７８", "+81312345678"),
            ("DE", "0044 20 7946 0018", "+442079460018"),
            ("US", "+44 (0)20 7946 0018", "+442079460018"),
            ("US", "tel:+1-503-555-7555", "+15035557555"),
            ("BR", "(11) 95555-7647", "+5511955557647"),
            ("RU", "8 (800) 555-35-35", "+78005553535"),
            ("RU", "+7 800 555 35 35", "+78005553535"),
            ("DE", "007 800 555 35 35", "+78005553535"),
            ("DE", "+49 030 123456", "+4930123456"),
            ("HU", "06 1 234 5678", "+3612345678"),
            ("US", "011 39 011 4988260", "+390114988260"),
            ("AR", "011 15 2345-6789", "+5491123456789"),
            ("PR", "503 555 7555", "+15035557555"),
        ] {
            assert_eq!(
                phone(country, text).as_deref(),
                Ok(expected),
                "{country} {text}"
            );
        }
    }

    #[test]
    fn c2a_an_impossible_phone_number_is_refused_with_its_code() {
        for (country, text) in [
            ("US", "555-7555"),
            ("US", "12"),
            ("GB", "(171) 555"),
            ("FR", "88.60.15.31"),
            ("DK", "123"),
            ("NO", "07-98 92 35"),
            ("US", "+1 503 555 75 55 999"),
            ("US", "+999 1234567"),
            ("US", "1234567890123456789012"),
        ] {
            assert_eq!(
                phone(country, text),
                Err("PHONE_IMPOSSIBLE"),
                "{country} {text}"
            );
        }
    }

    #[test]
    fn a_phone_number_without_prefix_needs_a_country_that_has_telephones() {
        assert_eq!(
            Phone::parse("503 555 7555", None),
            Err(ContactError::PhoneCountryUnknown)
        );
        assert_eq!(phone("BV", "503 555 7555"), Err("PHONE_COUNTRY_UNKNOWN"));
        assert_eq!(
            phone("BV", "+1 503 555 7555").as_deref(),
            Ok("+15035557555")
        );
    }

    #[test]
    fn what_is_no_phone_number_is_malformed() {
        for text in [
            "call me",
            "503-555-7555 or 503-555-7556",
            "n/a",
            "+",
            "1800FLOWERS",
        ] {
            assert_eq!(phone("US", text), Err("PHONE_MALFORMED"), "{text}");
        }
        assert_eq!(phone("US", "  "), Err("PHONE_BLANK"));
    }

    #[test]
    fn an_extension_is_dropped() {
        for text in [
            "(503) 555-7555 x12",
            "503-555-7555 ext. 12",
            "503 555 7555 #12",
        ] {
            assert_eq!(phone("US", text).as_deref(), Ok("+15035557555"), "{text}");
        }
    }

    #[test]
    fn a_possible_number_may_be_outside_the_numbering_plan() {
        let planned = |text: &str| {
            Phone::parse_international(text)
                .unwrap()
                .is_in_numbering_plan()
        };
        assert!(planned("+48 22 123 45 67"));
        assert!(!planned("+44 1000 000 000"));
    }
}
