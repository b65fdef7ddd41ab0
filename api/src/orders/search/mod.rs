//! What people type to find orders, read into a tree: `status:received customer:"Alfreds"
//! total:>500 tag:vip placed:>=2026-11-01`.
//!
//! Pure: it says what was asked for, or where and why that cannot be read. Which rows that means
//! is said elsewhere, in the words of the typed filter. Printing a tree and reading it again gives
//! the same tree.
//!
//! - `field:value`; `field:a,b` is either; `customer:al*` begins so; `total:>5`, `>=`, `<`, `<=`;
//!   `total:5..10`, `5..` and `..10` include their ends.
//! - Terms beside each other must all match; `OR`, `NOT` or `-`, and parentheses do what they say.
//! - `"…"` takes its contents as they are; `\"` and `\\` are the two escapes in it.
//! - A word alone is looked for wherever people would: see the schema.
//! - A moment is a month, a day, a minute or finer, in UTC unless it says otherwise, and means all
//!   of it: `placed:<=2026-11-01` includes that day, and `placed:>2026-11-01` begins after it.

use std::fmt::{self, Display};

use entity::order::{PaymentMethod, PaymentStatus, Source, Stage, Status};
use rust_decimal::Decimal;
use sea_orm::ActiveEnum;

mod moment;
mod read;

pub use moment::Moment;
pub use read::{DEEPEST, LONGEST, MOST_VALUES, Mistake, read};

/// What is searched for.
#[derive(Clone, Debug, PartialEq)]
pub enum Search {
    /// All of these.
    All(Vec<Search>),
    /// One of these.
    Any(Vec<Search>),
    /// Not this.
    Not(Box<Search>),
    /// One term.
    Term(Term),
}

/// One term: a field with the values of which one must match, or a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A word without a field.
    Word(String),
    /// A text.
    Text(TextField, Vec<Pattern>),
    /// The order's status.
    Status(Vec<Status>),
    /// Where it stands on the live board.
    Stage(Vec<Stage>),
    /// What its payment's amounts say.
    Payment(Vec<PaymentStatus>),
    /// How it is paid.
    Method(Vec<PaymentMethod>),
    /// How it came in.
    Source(Vec<Source>),
    /// The total, in major units of the order's own currency.
    Total(Vec<Comparison<Decimal>>),
    /// When something happened.
    When(TimeField, Vec<Comparison<Moment>>),
}

/// A value that is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison<T> {
    /// This.
    Is(T),
    /// More than this.
    Above(T),
    /// This or more.
    AtLeast(T),
    /// Less than this.
    Below(T),
    /// This or less.
    AtMost(T),
    /// From the first to the second, both included.
    Between(T, T),
}

/// A text that is looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// It is this; for names, it has this somewhere.
    Is(String),
    /// It begins with this.
    Begins(String),
}

macro_rules! fields {
    ($(#[doc = $doc:literal])+ $of:ident { $($(#[doc = $of_one:literal])+ $name:ident = $text:literal),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $of {
            $($(#[doc = $of_one])+ $name,)+
        }

        impl $of {
            /// Every one of them.
            pub const ALL: &[$of] = &[$($of::$name),+];

            /// What people type.
            pub fn name(self) -> &'static str {
                match self {
                    $($of::$name => $text,)+
                }
            }
        }
    };
}

fields! {
    /// The fields that hold a text.
    TextField {
        /// What people call the order.
        Number = "number",
        /// Its name at the channel.
        Reference = "reference",
        /// Who ordered.
        Customer = "customer",
        /// Where its notices go.
        Email = "email",
        /// A SKU on one of its lines.
        Sku = "sku",
        /// A tag on it.
        Tag = "tag",
        /// The code of its channel.
        Channel = "channel",
        /// The shipping service.
        Service = "service",
        /// The code of an exception that is not settled.
        Exception = "exception",
        /// The country that it goes to.
        Country = "country",
        /// The currency of its amounts.
        Currency = "currency",
    }
}

fields! {
    /// The fields that hold a moment.
    TimeField {
        /// When the customer ordered.
        Placed = "placed",
        /// When it came in.
        Received = "received",
        /// When it last changed.
        Updated = "updated",
    }
}

impl Search {
    /// All of some searches; one alone is itself.
    pub fn all(parts: Vec<Search>) -> Search {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Search::All(inner) => flat.extend(inner),
                part => flat.push(part),
            }
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Search::All(flat)
        }
    }

    /// One of some searches; one alone is itself.
    pub fn any(parts: Vec<Search>) -> Search {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Search::Any(inner) => flat.extend(inner),
                part => flat.push(part),
            }
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Search::Any(flat)
        }
    }

    /// The contrary of a search.
    pub fn negated(self) -> Search {
        match self {
            Search::Not(inner) => *inner,
            other => Search::Not(Box::new(other)),
        }
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Search::All(parts) => joined(f, parts, " ", |part| matches!(part, Search::Any(_))),
            Search::Any(parts) => joined(f, parts, " OR ", |_| false),
            Search::Not(inner) => match **inner {
                Search::All(_) | Search::Any(_) => write!(f, "-({inner})"),
                _ => write!(f, "-{inner}"),
            },
            Search::Term(term) => term.fmt(f),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Search],
    by: &str,
    bracketed: impl Fn(&Search) -> bool,
) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(by)?;
        }
        if bracketed(part) {
            write!(f, "({part})")?;
        } else {
            part.fmt(f)?;
        }
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Word(word) => quoted(f, word),
            Term::Text(field, patterns) => listed(f, field.name(), patterns),
            Term::Status(values) => listed(f, "status", values.iter().map(name)),
            Term::Stage(values) => listed(f, "stage", values.iter().map(name)),
            Term::Payment(values) => listed(f, "payment", values.iter().map(name)),
            Term::Method(values) => listed(f, "method", values.iter().map(name)),
            Term::Source(values) => listed(f, "source", values.iter().map(name)),
            Term::Total(values) => listed(f, "total", values),
            Term::When(field, values) => listed(f, field.name(), values),
        }
    }
}

fn listed<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    field: &str,
    values: impl IntoIterator<Item = T>,
) -> fmt::Result {
    write!(f, "{field}:")?;
    for (place, value) in values.into_iter().enumerate() {
        if place > 0 {
            f.write_str(",")?;
        }
        value.fmt(f)?;
    }
    Ok(())
}

/// An enumerated value as people type it.
fn name<E: ActiveEnum<Value = String>>(value: &E) -> String {
    value.to_value().to_lowercase()
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Is(text) => quoted(f, text),
            Pattern::Begins(text) => {
                quoted(f, text)?;
                f.write_str("*")
            }
        }
    }
}

/// Writes a text so that it is read as itself, with quotes unless they are plainly not needed.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = text.starts_with(char::is_alphanumeric)
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '+' | '-' | '/'))
        && !read::KEYWORDS.contains(&text);
    if plain {
        return f.write_str(text);
    }
    f.write_str("\"")?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

impl<T: fmt::Display> fmt::Display for Comparison<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Comparison::Is(value) => write!(f, "{value}"),
            Comparison::Above(value) => write!(f, ">{value}"),
            Comparison::AtLeast(value) => write!(f, ">={value}"),
            Comparison::Below(value) => write!(f, "<{value}"),
            Comparison::AtMost(value) => write!(f, "<={value}"),
            Comparison::Between(from, to) => write!(f, "{from}..{to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use sea_orm::Iterable;

    use super::*;

    fn amounts() -> BoxedStrategy<Decimal> {
        (-1_000_000_000_i64..1_000_000_000, 0_u32..6)
            .prop_map(|(digits, scale)| Decimal::new(digits, scale))
            .boxed()
    }

    fn moments() -> BoxedStrategy<Moment> {
        (
            1_u32..9_999,
            1_u32..13,
            1_u32..29,
            0_u32..86_400,
            0_u32..1_000_000,
            0..5,
        )
            .prop_map(|(year, month, day, second, micro, precision)| {
                let (h, m, s) = (second / 3_600, second / 60 % 60, second % 60);
                let text = match precision {
                    0 => format!("{year:04}-{month:02}"),
                    1 => format!("{year:04}-{month:02}-{day:02}"),
                    2 => format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}Z"),
                    3 => format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z"),
                    _ => format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{micro:06}Z"),
                };
                Moment::read(&text).unwrap()
            })
            .boxed()
    }

    fn comparisons<T: Clone + fmt::Debug + PartialOrd>(
        values: impl Fn() -> BoxedStrategy<T>,
    ) -> impl Strategy<Value = Comparison<T>> {
        (0..6, values(), values()).prop_map(|(which, a, b)| match which {
            0 => Comparison::Is(a),
            1 => Comparison::Above(a),
            2 => Comparison::AtLeast(a),
            3 => Comparison::Below(a),
            4 => Comparison::AtMost(a),
            _ if a <= b => Comparison::Between(a, b),
            _ => Comparison::Between(b, a),
        })
    }

    /// Texts with everything in them that means something.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9@.*:,()<>=\"\\\\ %_äß👍-]{0,8}",
            select(vec!["OR", "AND", "NOT", "..", "a..b", "-", "--", "*"]).prop_map(str::to_owned),
            "\\PC{0,6}",
        ]
    }

    fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
        let one = prop_oneof![
            texts().prop_map(Pattern::Is),
            texts().prop_map(Pattern::Begins)
        ];
        vec(one, 1..4)
    }

    fn some<T: Iterable + Clone + fmt::Debug + 'static>() -> impl Strategy<Value = Vec<T>> {
        vec(select(T::iter().collect::<Vec<_>>()), 1..4)
    }

    fn terms() -> impl Strategy<Value = Term> {
        prop_oneof![
            texts()
                .prop_filter("a word is not empty", |text| !text.is_empty())
                .prop_map(Term::Word),
            (select(TextField::ALL), patterns()).prop_map(|(field, of)| Term::Text(field, of)),
            some().prop_map(Term::Status),
            some().prop_map(Term::Stage),
            some().prop_map(Term::Payment),
            some().prop_map(Term::Method),
            some().prop_map(Term::Source),
            vec(comparisons(amounts), 1..3).prop_map(Term::Total),
            (select(TimeField::ALL), vec(comparisons(moments), 1..3))
                .prop_map(|(field, of)| Term::When(field, of)),
        ]
    }

    fn searches() -> impl Strategy<Value = Search> {
        terms()
            .prop_map(Search::Term)
            .prop_recursive(4, 16, 3, |inner| {
                prop_oneof![
                    vec(inner.clone(), 1..4).prop_map(Search::all),
                    vec(inner.clone(), 1..4).prop_map(Search::any),
                    inner.prop_map(Search::negated),
                ]
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn printing_a_search_and_reading_it_gives_it_back(search in searches()) {
            let text = search.to_string();
            prop_assume!(text.chars().count() <= LONGEST);
            prop_assert_eq!(read(&text), Ok(Some(search)), "{}", text);
        }

        #[test]
        fn whatever_is_typed_is_read_or_refused_with_its_place(text in "\\PC{0,40}") {
            match read(&text) {
                Ok(Some(search)) => {
                    let again = search.to_string();
                    prop_assert_eq!(read(&again), Ok(Some(search)), "{}", again);
                }
                Ok(None) => prop_assert!(text.trim().is_empty()),
                Err(mistake) => prop_assert!(mistake.offset <= text.chars().count()),
            }
        }

        #[test]
        fn whatever_looks_like_a_search_is_read_or_refused(
            parts in vec(select(vec![
                "status:", "received", "total:", ">", "<=", "5", "..", "-", "(", ")", "\"", " ",
                "OR", " NOT ", "AND", ",", ":", "\\", "*", "placed:", "2026-11-01", "customer:",
                "ä", "tag:", "T10:00", "Z", "+01:00",
            ]), 0..30)
        ) {
            let text = parts.concat();
            if let Ok(Some(search)) = read(&text) {
                let again = search.to_string();
                prop_assert_eq!(read(&again), Ok(Some(search)), "{} as {}", text, again);
            }
        }
    }

    #[test]
    fn a_search_is_printed_as_it_would_be_typed() {
        for (typed, printed) in [
            (
                "status:received  customer:\"Alfreds\" total:>500",
                "status:received customer:Alfreds total:>500",
            ),
            ("a OR b c", "a OR b c"),
            ("(a OR b) c", "(a OR b) c"),
            ("NOT (a b)", "-(a b)"),
            ("NOT NOT a", "a"),
            ("((a))", "a"),
            ("a AND b", "a b"),
            ("Stage:ON-HOLD,on_hold", "stage:on_hold,on_hold"),
            ("total:..5", "total:<=5"),
            ("total:5..,007.50", "total:>=5,7.5"),
            (
                "customer:\"a \\\"b\\\" \\\\\"",
                "customer:\"a \\\"b\\\" \\\\\"",
            ),
            ("sku:mug*", "sku:mug*"),
            ("mug*", "mug"),
            ("placed:2026-11-01T01:00+02:00", "placed:2026-10-31T23:00Z"),
        ] {
            let search = read(typed).unwrap().unwrap();
            assert_eq!(search.to_string(), printed, "{typed}");
        }
    }
}
