//! One postal code: its usual form, and the two slips that can be undone without guessing.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::country::Country;
use super::spelling::tidy;

/// What became of a postal code as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    /// It is a whole code of the country; this is its usual form.
    Fits(String),
    /// It is one after taking off what stood before it, as in `S-958 22` or `C.P. 06000`.
    WithoutPrefix(String),
    /// It is one after giving back the zero that a spreadsheet took from its head.
    WithLeadingZero(String),
    /// It is no code of the country; tidied, but otherwise as it was.
    Unfit(String),
}

impl Standard {
    /// The code in the form that was found, which for [`Standard::Unfit`] is the given one.
    pub(super) fn code(&self) -> &str {
        match self {
            Standard::Fits(code)
            | Standard::WithoutPrefix(code)
            | Standard::WithLeadingZero(code)
            | Standard::Unfit(code) => code,
        }
    }
}

/// Where the usual form has a separator: countries, characters before it (negative: after it),
/// and the separator. Where a country is not named, letters and digits follow one another.
///
/// Source: the examples (`zipex`) in libaddressinput and the postal services' own guides; the
/// patterns alone do not tell, because most of them leave the separator open.
const SEPARATORS: &[(&str, isize, char)] = &[
    ("CA CZ GR IE MT SE SK", 3, ' '),
    ("LB NL", 4, ' '),
    ("BM SO", 2, ' '),
    ("AC FK GB GG GI GS IM IO JE PN SH TA TC", -3, ' '),
    ("BR IR", 5, '-'),
    ("AS FM GU MH MP PR PW US VI", 5, '-'),
    ("JP KY", 3, '-'),
    ("PT", 4, '-'),
    ("LV PL", 2, '-'),
];

/// What people put before the code although it is no part of it: the country's sign on cars,
/// which was the postal custom of Europe until the 1990s. The ISO code and the prefix that
/// libaddressinput names for the envelope are recognised besides.
const CAR_SIGNS: &[(&str, &str)] = &[
    ("AT", "A"),
    ("BE", "B"),
    ("CZ", "CS"),
    ("DE", "D"),
    ("ES", "E"),
    ("FI", "FIN SF"),
    ("FR", "F"),
    ("HU", "H"),
    ("IT", "I"),
    ("LI", "FL"),
    ("LU", "L"),
    ("NO", "N"),
    ("PT", "P"),
    ("SE", "S"),
    ("SI", "SLO"),
];

/// Words for "postal code" that get written in front of it.
const CODE_WORDS: &str = "CP CEP PLZ ZIP";

/// Countries whose codes are all digits, of one length, and begin with a zero in some region:
/// only there can a zero have been lost. (`05` in Mexico City, `04` in Leipzig, `08` in
/// Barcelona, `02` in Boston.)
const LEADING_ZEROS: &str = concat!(
    "AU BR CO DE EC ES FI FR IT KR LT MX MY ",
    "NO NZ PL PR RO SG SK TR UA US VI ZA",
);

static PREFIXED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([A-Z][A-Z.]{0,4})[-\s.:]*(\d.*)$").expect("a constant pattern that tests use")
});

/// Brings a postal code of the country into its usual form.
pub(super) fn standardise(country: Country, given: &str) -> Standard {
    let code = clean(given);
    if let Some(usual) = usual_form(country, &code) {
        return Standard::Fits(usual);
    }
    if let Some(usual) = without_prefix(&code, country).and_then(|rest| usual_form(country, rest)) {
        return Standard::WithoutPrefix(usual);
    }
    let digits = compact(&code);
    if lists(LEADING_ZEROS, country.code())
        && digits.chars().all(|c| c.is_ascii_digit())
        && let Some(usual) = usual_form(country, &format!("0{digits}"))
    {
        return Standard::WithLeadingZero(usual);
    }
    Standard::Unfit(code)
}

/// The letters and digits of a code, in capitals: what is left when the writing does not count.
pub(super) fn compact(code: &str) -> String {
    clean(code)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect()
}

/// Capitals, plain digits and dashes, single spaces.
fn clean(given: &str) -> String {
    let plain: String = given
        .nfkc()
        .map(|c| match c {
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' => '-',
            _ => c.to_ascii_uppercase(),
        })
        .collect();
    tidy(&plain)
}

/// The usual form, if these letters and digits are a whole code of the country.
fn usual_form(country: Country, code: &str) -> Option<String> {
    let rule = country.rule();
    if !rule.knows_postal_codes() {
        return Some(code.to_owned());
    }
    let bare = compact(code);
    let iso = country.code();
    // Some codes begin with the country's own letters (LV-1010, AD500, VG1110), and El
    // Salvador's with "CP"; people leave them out.
    let candidates = [
        separated(country, &bare),
        Some(bare.clone()),
        Some(code.to_owned()),
        separated(country, &format!("{iso}{bare}")),
        Some(format!("{iso}{bare}")),
        Some(format!("CP {}", bare.trim_start_matches("CP"))),
    ];
    candidates
        .into_iter()
        .flatten()
        .find(|candidate| rule.fits(candidate))
}

fn separated(country: Country, bare: &str) -> Option<String> {
    let (_, at, separator) = SEPARATORS
        .iter()
        .find(|(countries, ..)| lists(countries, country.code()))?;
    let length = bare.chars().count();
    let before = if *at < 0 {
        length.checked_sub(at.unsigned_abs())?
    } else {
        at.unsigned_abs()
    };
    if before == 0 || before >= length {
        return None;
    }
    let head: String = bare.chars().take(before).collect();
    let tail: String = bare.chars().skip(before).collect();
    Some(format!("{head}{separator}{tail}"))
}

fn without_prefix(code: &str, country: Country) -> Option<&str> {
    let parts = PREFIXED.captures(code)?;
    let letters = compact(parts.get(1)?.as_str());
    let printed = compact(&country.rule().postal_prefix);
    let car_sign = CAR_SIGNS
        .iter()
        .any(|(iso, signs)| *iso == country.code() && lists(signs, &letters));
    let known =
        letters == country.code() || letters == printed || car_sign || lists(CODE_WORDS, &letters);
    parts.get(2).filter(|_| known).map(|rest| rest.as_str())
}

fn lists(list: &str, item: &str) -> bool {
    list.split(' ').any(|listed| listed == item)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn standard(country: &str, given: &str) -> Standard {
        standardise(country.parse().unwrap(), given)
    }

    fn fits(code: &str) -> Standard {
        Standard::Fits(code.to_owned())
    }

    #[test]
    fn the_usual_separator_is_put_in() {
        for (country, given, expected) in [
            ("SE", "95822", "958 22"),
            ("GB", "wa11dp", "WA1 1DP"),
            ("GB", "CO7  6JX", "CO7 6JX"),
            ("BR", "05454876", "05454-876"),
            ("BR", "05.454-876", "05454-876"),
            ("CA", "h1j1c3", "H1J 1C3"),
            ("NL", "1012ab", "1012 AB"),
            ("PL", "01012", "01-012"),
            ("PT", "1250 096", "1250-096"),
            ("JP", "１５４００２３", "154-0023"),
            ("US", "221621010", "22162-1010"),
            ("US", "22162 1010", "22162-1010"),
            ("US", "97403", "97403"),
            ("FR", "75 016", "75016"),
            ("IE", "a65f4e2", "A65 F4E2"),
            ("KY", "ky11100", "KY1-1100"),
            ("LV", "LV–1010", "LV-1010"),
            ("DE", "12209", "12209"),
            ("GB", "gir0aa", "GIR 0AA"),
            ("AR", "c1070aam", "C1070AAM"),
            ("AR", "1010", "1010"),
        ] {
            assert_eq!(
                standard(country, given),
                fits(expected),
                "{country} {given}"
            );
        }
    }

    #[test]
    fn letters_that_belong_to_the_code_may_be_left_out() {
        assert_eq!(standard("LV", "1010"), fits("LV-1010"));
        assert_eq!(standard("AD", "500"), fits("AD500"));
        assert_eq!(standard("SV", "1101"), fits("CP 1101"));
    }

    #[test]
    fn a_country_prefix_is_taken_off() {
        for (country, given, expected) in [
            ("SE", "S-958 22", "958 22"),
            ("SE", "SE-95822", "958 22"),
            ("BE", "B-1180", "1180"),
            ("CH", "CH-3012", "3012"),
            ("DE", "D 10115", "10115"),
            ("FI", "FIN-00100", "00100"),
            ("MX", "C.P. 06000", "06000"),
            ("LU", "L-1234", "1234"),
            ("NL", "NL-1012 AB", "1012 AB"),
        ] {
            let expected = Standard::WithoutPrefix(expected.to_owned());
            assert_eq!(standard(country, given), expected, "{country} {given}");
        }
    }

    #[test]
    fn another_countrys_prefix_is_not_taken_off() {
        assert_eq!(
            standard("DE", "F-75001"),
            Standard::Unfit("F-75001".to_owned())
        );
    }

    #[test]
    fn a_zero_lost_in_a_spreadsheet_is_given_back() {
        for (country, given, expected) in [
            ("DE", "4179", "04179"),
            ("ES", "8022", "08022"),
            ("MX", "5021", "05021"),
            ("US", "2134", "02134"),
            ("BR", "5432-043", "05432-043"),
        ] {
            let expected = Standard::WithLeadingZero(expected.to_owned());
            assert_eq!(standard(country, given), expected, "{country} {given}");
        }
    }

    #[test]
    fn where_no_code_begins_with_zero_none_is_added() {
        for (country, given) in [("AT", "801"), ("PT", "1675"), ("CH", "301")] {
            assert_eq!(standard(country, given), Standard::Unfit(given.to_owned()));
        }
    }

    #[test]
    fn the_old_portuguese_code_of_four_digits_is_no_code() {
        assert_eq!(standard("PT", "1675"), Standard::Unfit("1675".to_owned()));
    }

    #[test]
    fn where_no_shape_is_known_any_code_stands() {
        assert_eq!(standard("HK", " 999077 "), fits("999077"));
    }

    #[test]
    fn the_examples_of_every_country_fit_and_stay_the_same_when_done_twice() {
        for country in Country::all() {
            for example in &country.rule().postal_examples {
                let once = standardise(country, example);
                assert!(
                    matches!(once, Standard::Fits(_)),
                    "{country}: {example} {once:?}"
                );
                assert_eq!(
                    standardise(country, once.code()),
                    once,
                    "{country}: {example}"
                );
            }
        }
    }
}
