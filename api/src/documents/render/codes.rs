//! What scanners read: Code 128 and Data Matrix.

use datamatrix::{DataMatrix, SymbolList};

use super::Unprintable;

/// The light modules that a Code 128 needs on either side.
pub(super) const QUIET: usize = 10;

/// A character set of Code 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Every printable character of ASCII, one a symbol.
    B,
    /// Digits, two a symbol.
    C,
}

/// Text divided into runs of one character set each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Code128 {
    pub text: String,
    pub runs: Vec<(Set, String)>,
}

impl Code128 {
    /// Refuses what Code 128 cannot say or nobody could scan.
    pub fn new(what: &'static str, text: &str) -> Result<Code128, Unprintable> {
        let fault = |reason: &'static str| Unprintable::Code { what, reason };
        if text.is_empty() {
            return Err(fault("it is empty"));
        }
        if text.len() > 48 {
            return Err(fault("it is longer than 48 characters"));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(fault("only printable characters of ASCII can be scanned"));
        }
        Ok(Code128 {
            text: text.to_owned(),
            runs: runs(text),
        })
    }

    /// Its bars: dark and light modules, without the quiet zones.
    pub fn modules(&self) -> Result<Vec<bool>, Unprintable> {
        let mut marked = String::new();
        for (set, text) in &self.runs {
            marked.push(match set {
                Set::B => '\u{181}',
                Set::C => '\u{106}',
            });
            marked.push_str(text);
        }
        let code = barcoders::sym::code128::Code128::new(marked)
            .map_err(|error| Unprintable::Document(error.to_string()))?;
        Ok(code
            .encode()
            .into_iter()
            .map(|module| module == 1)
            .collect())
    }
}

/// Digits go by pairs where there are enough of them to pay for the change.
fn runs(text: &str) -> Vec<(Set, String)> {
    let mut runs: Vec<(Set, String)> = Vec::new();
    let mut push = |set: Set, text: &str| match runs.last_mut() {
        Some((last, run)) if *last == set => run.push_str(text),
        _ => runs.push((set, text.to_owned())),
    };
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let at_an_end = rest.len() == text.len() || digits == rest.len();
        let pays = digits >= if at_an_end { 4 } else { 6 } || (digits == 2 && text.len() == 2);
        if pays {
            // An odd one is said first, unless nothing is before it.
            let odd = digits % 2;
            let before = if rest.len() == text.len() { 0 } else { odd };
            if before == 1 {
                push(Set::B, &rest[..1]);
            }
            push(Set::C, &rest[before..before + digits - odd]);
            if before < odd {
                push(Set::B, &rest[digits - 1..digits]);
            }
            rest = &rest[digits..];
        } else {
            let plain = digits.max(1);
            push(Set::B, &rest[..plain]);
            rest = &rest[plain..];
        }
    }
    runs
}

/// A square Data Matrix, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    pub text: String,
    pub side: usize,
    pub dark: Vec<(usize, usize)>,
}

impl Matrix {
    /// Refuses what is too long.
    pub fn new(what: &'static str, text: &str) -> Result<Matrix, Unprintable> {
        let sizes = SymbolList::default().enforce_square();
        let code = DataMatrix::encode(text.as_bytes(), sizes).map_err(|_| Unprintable::Code {
            what,
            reason: "it does not fit into a Data Matrix",
        })?;
        let bitmap = code.bitmap();
        Ok(Matrix {
            text: text.to_owned(),
            side: bitmap.width(),
            dark: bitmap.pixels().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_go_by_pairs_where_that_is_shorter() {
        let runs = |text: &str| {
            let runs = Code128::new("it", text).unwrap().runs;
            let shown: Vec<_> = runs
                .iter()
                .map(|(set, run)| format!("{set:?}{run}"))
                .collect();
            shown.join(" ")
        };
        assert_eq!(runs("00340434161094042557"), "C00340434161094042557");
        assert_eq!(runs("12345"), "C1234 B5");
        assert_eq!(runs("1Z999AA10123456784"), "B1Z999AA1 C0123456784");
        assert_eq!(runs("AB123"), "BAB123");
        assert_eq!(runs("AB1234"), "BAB C1234");
        assert_eq!(runs("AB12345"), "BAB1 C2345");
        assert_eq!(runs("A1234B"), "BA1234B");
        assert_eq!(runs("7"), "B7");
    }

    #[test]
    fn what_cannot_be_scanned_is_refused() {
        for text in ["", "ŚW-1", "a\nb", &"9".repeat(49)] {
            assert!(Code128::new("it", text).is_err(), "{text:?}");
        }
    }
}
