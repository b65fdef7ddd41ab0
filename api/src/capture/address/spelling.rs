//! Comparing what people write: letters and digits count; case, accents and punctuation do not.

use unicode_normalization::UnicodeNormalization;

/// The words of a text in small letters without accents; punctuation separates words.
///
/// Only the accents of European scripts are dropped: in other scripts the marks are vowels, and
/// dropping them would make different names equal.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)) {
        match c {
            'ß' | 'ẞ' => plain.push_str("ss"),
            'æ' | 'Æ' => plain.push_str("ae"),
            'œ' | 'Œ' => plain.push_str("oe"),
            'ø' | 'Ø' => plain.push('o'),
            'ł' | 'Ł' => plain.push('l'),
            'đ' | 'Đ' | 'ð' | 'Ð' => plain.push('d'),
            'þ' | 'Þ' => plain.push_str("th"),
            'ı' | 'İ' => plain.push('i'),
            'ħ' | 'Ħ' => plain.push('h'),
            _ => plain.extend(c.to_lowercase()),
        }
    }
    // What is left of marks in other scripts is kept inside its word.
    let plain: String = plain.nfc().collect();
    plain
        .split(|c: char| !c.is_alphanumeric() && !unicode_normalization::char::is_combining_mark(c))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// All [`words`] in one, for equality.
pub(super) fn key(text: &str) -> String {
    words(text).concat()
}

/// One text without leading, trailing and repeated white space, in Unicode's composed form.
pub(super) fn tidy(text: &str) -> String {
    text.nfc()
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// How many slips of the pen apart two words are: a letter too many, too few, wrong, or two
/// neighbours swapped (optimal string alignment distance), counted in characters.
pub(super) fn slips(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let wrong = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + wrong);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_punctuation_do_not_count() {
        assert_eq!(key("Saint-Étienne"), key("SAINT ETIENNE"));
        assert_eq!(key("Łódź"), "lodz");
        assert_eq!(key("Weißenburg"), "weissenburg");
        assert_eq!(words("Co. Cork"), ["co", "cork"]);
    }

    #[test]
    fn vowel_marks_of_other_scripts_count() {
        assert_ne!(key("กิน"), key("กัน"));
        assert_eq!(words("दिल्ली").len(), 1);
    }

    #[test]
    fn white_space_is_collapsed_whatever_its_kind() {
        assert_eq!(tidy("  Mataderos \u{a0}2312\t "), "Mataderos 2312");
    }

    #[test]
    fn a_swap_is_one_slip() {
        assert_eq!(slips("berlin", "berlin"), 0);
        assert_eq!(slips("belrin", "berlin"), 1);
        assert_eq!(slips("tsawassen", "tsawwassen"), 1);
        assert_eq!(slips("", "ab"), 2);
    }
}
