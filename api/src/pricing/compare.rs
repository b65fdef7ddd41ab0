//! What a storefront submitted, held against what we know: prices within a tolerance, titles by
//! their words. A difference is reported with both values and never settled here.

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Two amounts that are further apart than the tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What we worked out.
    pub ours_minor: i64,
    /// What was submitted.
    pub theirs_minor: i64,
}

/// Compares a submitted unit price or total with ours.
///
/// A difference of the tolerance itself is none; a negative tolerance counts as zero.
pub fn amount_difference(
    ours_minor: i64,
    theirs_minor: i64,
    tolerance_minor: i64,
) -> Option<Difference> {
    let tolerance = u64::try_from(tolerance_minor).unwrap_or(0);
    (ours_minor.abs_diff(theirs_minor) > tolerance).then_some(Difference {
        ours_minor,
        theirs_minor,
    })
}

/// Whether two titles have the same words: case, accents, width, blanks and punctuation aside.
///
/// Numbers are words, so another pack size is another title. So are `+` and `%`: they tell
/// products apart.
pub fn titles_match(ours: &str, theirs: &str) -> bool {
    let (our_words, their_words) = (words(ours), words(theirs));
    if our_words.is_empty() && their_words.is_empty() {
        // Nothing but signs: there are no words to compare.
        return ours.trim() == theirs.trim();
    }
    our_words == their_words
}

fn words(title: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    // Upper case, since it makes one of `ß` and `ss`, and of both Greek final letters.
    for c in title.nfkd().filter(|c| !is_accent(*c) && !is_invisible(*c)) {
        // Marks that are no accents (Thai and Hindi vowels, Japanese sound marks) spell words.
        if c.is_alphanumeric() || is_combining_mark(c) {
            word.extend(c.to_uppercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if matches!(c, '+' | '%') {
            words.push(c.to_string());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Marks of the Latin, Greek and Cyrillic scripts.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}')
}

/// Soft hyphens and characters without width, which stand inside of words.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn c3b_a_difference_begins_above_the_tolerance_and_shows_both_values() {
        assert_eq!(amount_difference(1000, 1000, 0), None);
        assert_eq!(amount_difference(1000, 1002, 2), None);
        assert_eq!(amount_difference(1000, 998, 2), None);
        let difference = |theirs_minor| {
            Some(Difference {
                ours_minor: 1000,
                theirs_minor,
            })
        };
        assert_eq!(amount_difference(1000, 1003, 2), difference(1003));
        assert_eq!(amount_difference(1000, 997, 2), difference(997));
        assert_eq!(amount_difference(1000, 999, -5), difference(999));
        assert!(amount_difference(i64::MAX, i64::MIN, i64::MAX).is_some());
    }

    #[test]
    fn c3b_case_accents_blanks_and_punctuation_do_not_matter() {
        for (ours, theirs) in [
            ("Café Crème", "CAFE CREME"),
            ("Cafe\u{301} Crème", "café crème"),
            ("T-Shirt, blue", "  t shirt   (Blue) "),
            ("Straße", "STRASSE"),
            ("İstanbul", "istanbul"),
            ("Ka\u{ad}bel", "Kabel"),
            ("Ｆｕｌｌ　width", "Full width"),
            ("1.5 l", "1,5 L"),
            ("m²", "m2"),
            ("Levi\u{2019}s", "Levi's"),
            ("Vitamin C+", "Vitamin C +"),
            ("ΟΔΟΣ", "οδος"),
            ("★★", " ★★ "),
        ] {
            assert!(titles_match(ours, theirs), "{ours:?} and {theirs:?}");
        }
    }

    #[test]
    fn c3b_another_product_or_pack_size_is_a_mismatch() {
        for (ours, theirs) in [
            ("Coffee 6-pack", "Coffee 12-pack"),
            ("Juice 1.5 l", "Juice 15 l"),
            ("Phone 9", "Phone 9+"),
            ("Blue shirt", "Shirt blue"),
            ("Tea", ""),
            ("か", "が"),
            ("กา", "กิ"),
            ("★★", "★"),
        ] {
            assert!(!titles_match(ours, theirs), "{ours:?} and {theirs:?}");
        }
    }

    proptest! {
        #[test]
        fn a_title_matches_itself_written_otherwise(
            parts in prop::collection::vec("[a-zà-öù-ü]{1,6}|[0-9]{1,3}", 1..6),
            separator in "[ \t,;:/_-]{1,4}",
        ) {
            let ours = parts.join(" ");
            let decomposed: String = parts.join(&separator).nfd().collect();
            prop_assert!(titles_match(&ours, &decomposed.to_uppercase()));
            let one_more = format!("{ours} x");
            prop_assert!(!titles_match(&ours, &one_more));
        }

        #[test]
        fn a_difference_is_symmetric(ours in any::<i64>(), theirs in any::<i64>(), tolerance in any::<i64>()) {
            prop_assert_eq!(
                amount_difference(ours, theirs, tolerance).is_some(),
                amount_difference(theirs, ours, tolerance).is_some()
            );
        }
    }
}
