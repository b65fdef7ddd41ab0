//! From a text to a search: one pass over its characters, which knows at each where it is.

use std::fmt;

use rust_decimal::Decimal;
use sea_orm::{ActiveEnum, Iterable};

use super::{Comparison, Moment, Pattern, Search, Term, TextField, TimeField, moment};

/// How many characters a query may have.
pub const LONGEST: usize = 2_000;

/// How many words and values a query may have.
pub const MOST_VALUES: usize = 100;

/// How deep parentheses and negations may nest.
pub const DEEPEST: usize = 20;

/// What is no word by itself.
pub const KEYWORDS: [&str; 3] = ["AND", "OR", "NOT"];

/// Why a query cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What would have been right there.
    pub expected: String,
    /// How many characters stand before it.
    pub offset: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its place in the line in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the query cannot be read at line {}, column {}: expected {}",
            self.line, self.column, self.expected
        )
    }
}

/// Reads a query; a blank one asks for nothing in particular.
pub fn read(text: &str) -> Result<Option<Search>, Mistake> {
    let mut reader = Reader {
        text: text.chars().collect(),
        at: 0,
        values: 0,
    };
    if reader.text.len() > LONGEST {
        return Err(reader.mistake(LONGEST, format!("at most {LONGEST} characters")));
    }
    let odd = |c: &char| c.is_control() && !c.is_whitespace();
    if let Some(place) = reader.text.iter().position(odd) {
        return Err(reader.mistake(place, "no control characters"));
    }
    reader.blanks();
    if reader.peek().is_none() {
        return Ok(None);
    }
    let search = reader.any(0)?;
    match reader.peek() {
        None => Ok(Some(search)),
        Some(_) => Err(reader.mistake(reader.at, "a ( before this )")),
    }
}

struct Reader {
    text: Vec<char>,
    at: usize,
    values: usize,
}

/// A value as it was written.
struct Atom {
    text: String,
    start: usize,
    quoted: bool,
}

impl Reader {
    fn mistake(&self, at: usize, expected: impl Into<String>) -> Mistake {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before
            .iter()
            .rposition(|c| *c == '\n')
            .map_or(0, |at| at + 1);
        Mistake {
            expected: expected.into(),
            offset: before.len(),
            line: 1 + before.iter().filter(|c| **c == '\n').count(),
            column: 1 + before.len() - line_start,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Takes a text if it stands here.
    fn take(&mut self, text: &str) -> bool {
        let there = self
            .text
            .iter()
            .skip(self.at)
            .copied()
            .take(text.chars().count())
            .eq(text.chars());
        if there {
            self.at += text.chars().count();
        }
        there
    }

    /// Whether a keyword stands here, as a word of its own.
    fn at_keyword(&self, keyword: &str) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = keyword.chars().count();
        rest.iter().copied().take(length).eq(keyword.chars())
            && rest.get(length).copied().is_none_or(ends_a_word)
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let there = self.at_keyword(keyword);
        if there {
            self.at += keyword.chars().count();
        }
        there
    }

    fn any(&mut self, depth: usize) -> Result<Search, Mistake> {
        let mut choices = vec![self.all(depth)?];
        while self.keyword("OR") {
            choices.push(self.all(depth)?);
        }
        Ok(Search::any(choices))
    }

    fn all(&mut self, depth: usize) -> Result<Search, Mistake> {
        let mut parts = vec![self.one(depth)?];
        loop {
            self.blanks();
            if matches!(self.peek(), None | Some(')')) || self.at_keyword("OR") {
                return Ok(Search::all(parts));
            }
            self.keyword("AND");
            parts.push(self.one(depth)?);
        }
    }

    fn one(&mut self, depth: usize) -> Result<Search, Mistake> {
        const TERM: &str = "a word, a field with its value, or (";
        self.blanks();
        let start = self.at;
        if depth > DEEPEST {
            let expected =
                format!("no more than {DEEPEST} parentheses and negations in each other");
            return Err(self.mistake(start, expected));
        }
        if self.at_keyword("OR") || self.at_keyword("AND") {
            return Err(self.mistake(start, TERM));
        }
        if self.keyword("NOT") {
            return Ok(self.one(depth + 1)?.negated());
        }
        match self.peek() {
            Some('-') => {
                self.at += 1;
                if self.peek().is_none_or(char::is_whitespace) {
                    return Err(self.mistake(self.at, "what is not to match, right behind the -"));
                }
                Ok(self.one(depth + 1)?.negated())
            }
            Some('(') => {
                self.at += 1;
                let inner = self.any(depth + 1)?;
                if !self.take(")") {
                    return Err(self.mistake(self.at, "a ) for the ( before"));
                }
                Ok(inner)
            }
            Some('"') => {
                let word = self.quoted()?;
                self.word(start, word)
            }
            None | Some(')' | ':') => Err(self.mistake(start, TERM)),
            Some(_) => {
                let word = self.until(|c| ends_a_word(c) || matches!(c, ':' | '"'));
                if self.take(":") {
                    let term = self.term(start, &word)?;
                    self.end_of_word()?;
                    return Ok(Search::Term(term));
                }
                let word = word.strip_suffix('*').unwrap_or(&word).to_owned();
                self.word(start, word)
            }
        }
    }

    fn word(&mut self, start: usize, word: String) -> Result<Search, Mistake> {
        self.end_of_word()?;
        self.count(start)?;
        if word.is_empty() {
            return Err(self.mistake(start, "a word with something in it"));
        }
        Ok(Search::Term(Term::Word(word)))
    }

    fn end_of_word(&self) -> Result<(), Mistake> {
        if self.peek().is_none_or(ends_a_word) {
            Ok(())
        } else {
            Err(self.mistake(self.at, "a blank before this"))
        }
    }

    fn count(&mut self, start: usize) -> Result<(), Mistake> {
        self.values += 1;
        if self.values > MOST_VALUES {
            let expected = format!("no more than {MOST_VALUES} words and values");
            return Err(self.mistake(start, expected));
        }
        Ok(())
    }

    /// Takes the characters up to one that ends them.
    fn until(&mut self, ends: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(|c| !ends(c)) {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect()
    }

    /// A text in quotes, whose first is here.
    fn quoted(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.mistake(start, "a \" at the end of this text")),
                Some('"') => break,
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(c @ ('"' | '\\')) => text.push(c),
                        _ => {
                            let expected = "\\\" or \\\\ in a text in quotes";
                            return Err(self.mistake(self.at - 1, expected));
                        }
                    }
                }
                Some(c) => text.push(c),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(text)
    }

    fn term(&mut self, start: usize, field: &str) -> Result<Term, Mistake> {
        let field = field.to_lowercase();
        if let Some(of) = TextField::ALL.iter().find(|of| of.name() == field) {
            return Ok(Term::Text(*of, self.values(Reader::pattern)?));
        }
        if let Some(of) = TimeField::ALL.iter().find(|of| of.name() == field) {
            let values = self.values(|reader| reader.comparison(moment::FORM, Moment::read))?;
            return Ok(Term::When(*of, values));
        }
        Ok(match field.as_str() {
            "status" => Term::Status(self.values(Reader::enumerated)?),
            "stage" => Term::Stage(self.values(Reader::enumerated)?),
            "payment" => Term::Payment(self.values(Reader::enumerated)?),
            "method" => Term::Method(self.values(Reader::enumerated)?),
            "source" => Term::Source(self.values(Reader::enumerated)?),
            "total" => Term::Total(
                self.values(|reader| reader.comparison("an amount such as 12.50", amount))?,
            ),
            _ => {
                let texts = TextField::ALL.iter().map(|of| of.name());
                let times = TimeField::ALL.iter().map(|of| of.name());
                let others = ["status", "stage", "payment", "method", "source", "total"];
                let known: Vec<_> = others.into_iter().chain(texts).chain(times).collect();
                let expected = format!(
                    "one of the fields {}, or quotes around a text with a colon",
                    known.join(", ")
                );
                return Err(self.mistake(start, expected));
            }
        })
    }

    /// One value or more, with commas between them.
    fn values<T>(
        &mut self,
        one: impl Fn(&mut Reader) -> Result<T, Mistake>,
    ) -> Result<Vec<T>, Mistake> {
        let mut values = Vec::new();
        loop {
            self.count(self.at)?;
            values.push(one(self)?);
            if !self.take(",") {
                return Ok(values);
            }
        }
    }

    /// A value in quotes or without; `..` ends one without where there are ranges.
    fn atom(&mut self, ranges: bool) -> Result<Atom, Mistake> {
        let start = self.at;
        if self.peek() == Some('"') {
            let text = self.quoted()?;
            let quoted = true;
            return Ok(Atom {
                text,
                start,
                quoted,
            });
        }
        while self
            .peek()
            .is_some_and(|c| !ends_a_word(c) && !matches!(c, ',' | '"'))
        {
            let range = self.peek() == Some('.') && self.text.get(self.at + 1) == Some(&'.');
            if ranges && range {
                break;
            }
            self.at += 1;
        }
        let text: String = self.text[start..self.at].iter().collect();
        if text.is_empty() {
            return Err(self.mistake(start, "a value here"));
        }
        Ok(Atom {
            text,
            start,
            quoted: false,
        })
    }

    fn pattern(&mut self) -> Result<Pattern, Mistake> {
        let atom = self.atom(false)?;
        if atom.quoted {
            return Ok(if self.take("*") {
                Pattern::Begins(atom.text)
            } else {
                Pattern::Is(atom.text)
            });
        }
        if atom.text.starts_with(['<', '>']) {
            return Err(self.mistake(atom.start, "a text, which is neither more nor less"));
        }
        Ok(match atom.text.strip_suffix('*') {
            Some(beginning) => Pattern::Begins(beginning.to_owned()),
            None => Pattern::Is(atom.text),
        })
    }

    fn enumerated<E>(&mut self) -> Result<E, Mistake>
    where
        E: ActiveEnum<Value = String> + Iterable,
    {
        let atom = self.atom(false)?;
        let value = atom.text.replace('-', "_").to_uppercase();
        E::try_from_value(&value).map_err(|_| {
            let known: Vec<_> = E::iter()
                .map(|value| value.to_value().to_lowercase())
                .collect();
            self.mistake(atom.start, format!("one of {}", known.join(", ")))
        })
    }

    fn comparison<T: PartialOrd>(
        &mut self,
        form: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Comparison<T>, Mistake> {
        let start = self.at;
        let one = |reader: &mut Reader| {
            let atom = reader.atom(true)?;
            read(&atom.text).ok_or_else(|| reader.mistake(atom.start, form))
        };
        for (sign, of) in [
            (">=", Comparison::AtLeast as fn(T) -> Comparison<T>),
            ("<=", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
            ("..", Comparison::AtMost),
        ] {
            if self.take(sign) {
                return one(self).map(of);
            }
        }
        let from = one(self)?;
        if !self.take("..") {
            return Ok(Comparison::Is(from));
        }
        if self.peek().is_none_or(|c| ends_a_word(c) || c == ',') {
            return Ok(Comparison::AtLeast(from));
        }
        let to = one(self)?;
        if from > to {
            return Err(self.mistake(start, "a range from the smaller to the greater"));
        }
        Ok(Comparison::Between(from, to))
    }
}

/// Whether a character stands between words.
fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')')
}

/// Reads digits with at most one point among them, exactly.
fn amount(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let amount = Decimal::from_str_exact(text).ok()?;
    Some(amount.normalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> (usize, String) {
        let mistake = read(text).expect_err(text);
        (mistake.offset, mistake.expected)
    }

    #[test]
    fn a_mistake_names_its_place() {
        for (text, offset, expected) in [
            ("(a", 2, "a ) for"),
            ("a)", 1, "a ( before"),
            ("()", 1, "a word"),
            ("\"a", 0, "a \" at"),
            ("\"a\\n\"", 2, "\\\" or"),
            ("\"\"", 0, "a word with"),
            ("*", 0, "a word with"),
            ("\"a\"\"b\"", 3, "a blank"),
            ("a \"b\"c", 5, "a blank"),
            ("OR", 0, "a word"),
            ("a OR", 4, "a word"),
            ("a OR AND b", 5, "a word"),
            ("NOT", 3, "a word"),
            ("- a", 1, "what is not"),
            (":", 0, "a word"),
            ("status:", 7, "a value"),
            ("status: received", 7, "a value"),
            ("status:received,", 16, "a value"),
            ("status:open", 7, "one of draft, received"),
            ("shape:round", 0, "one of the fields status"),
            ("total:five", 6, "an amount"),
            ("total:>", 7, "a value"),
            ("total:1e3", 6, "an amount"),
            ("total:1_000", 6, "an amount"),
            ("total:1,5x", 8, "an amount"),
            ("total:10..5", 6, "a range"),
            ("total:99999999999999999999999999999999", 6, "an amount"),
            ("placed:2026-02-30", 7, "a moment"),
            ("placed:>=tomorrow", 9, "a moment"),
            ("customer:>a", 9, "a text"),
            ("a\u{0}b", 1, "no control"),
        ] {
            let (at, said) = mistake(text);
            assert_eq!(at, offset, "{text}: {said}");
            assert!(said.starts_with(expected), "{text}: {said}");
        }
        let of_two_lines = read("ä 👍\n  total:x").expect_err("a mistake");
        assert_eq!(
            (of_two_lines.offset, of_two_lines.line, of_two_lines.column),
            (12, 2, 9)
        );
    }

    #[test]
    fn a_query_has_its_bounds() {
        assert_eq!(mistake(&"x".repeat(LONGEST + 1)).0, LONGEST);
        assert!(read(&"x".repeat(LONGEST)).is_ok());
        let words = |count: usize| vec!["x"; count].join(" ");
        assert!(read(&words(MOST_VALUES)).is_ok());
        assert_eq!(mistake(&words(MOST_VALUES + 1)).0, 2 * MOST_VALUES);
        let deep = |depth: usize| format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
        assert!(read(&deep(DEEPEST)).is_ok());
        assert_eq!(mistake(&deep(DEEPEST + 1)).0, DEEPEST + 1);
        assert_eq!(mistake(&deep(900)).0, DEEPEST + 1);
        assert_eq!(mistake(&format!("{}x", "-".repeat(900))).0, DEEPEST + 1);
    }

    #[test]
    fn a_blank_query_asks_for_nothing() {
        for text in ["", " ", "\n\t", "\u{2003}"] {
            assert_eq!(read(text), Ok(None));
        }
    }
}
