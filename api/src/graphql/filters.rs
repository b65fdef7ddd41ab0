//! Typed `where` inputs: the leaves that every list shares, and how a tree of them becomes one
//! condition.
//!
//! A list has its own input that implements [`Filter`]; its resolver asks [`condition`] for the
//! whole. Fields of one input must all match; `and`, `or` and `not` nest.

use async_graphql::{ID, InputObject, InputType};
use chrono::{DateTime, Utc};
use entity::Currency;
use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr};
use sea_orm::{ColumnTrait, Condition, Value};

use super::errors::bad_input;
use super::ids::{self, Node};
use super::scalars::Decimal;

/// How deep filters may nest. With at most 20 in a list, no condition is too deep for SQLite.
const DEEPEST: usize = 4;

/// What a text must be.
#[derive(Clone, Debug, Default, InputObject)]
pub struct StringFilter {
    /// Exactly this, with regard to case.
    pub eq: Option<String>,
    /// One of these, with regard to case. At most 250.
    #[graphql(name = "in", validator(max_items = 250))]
    pub one_of: Option<Vec<String>>,
    /// Has this somewhere, without regard to the case of A to Z.
    pub contains: Option<String>,
    /// Begins with this, without regard to the case of A to Z.
    pub starts_with: Option<String>,
}

/// What an identifier must be.
#[derive(Clone, Debug, Default, InputObject)]
#[graphql(name = "IDFilter")]
pub struct IdFilter {
    /// Exactly this.
    pub eq: Option<ID>,
    /// One of these. At most 250.
    #[graphql(name = "in", validator(max_items = 250))]
    pub one_of: Option<Vec<ID>>,
}

/// A half-open range of whole numbers.
#[derive(Clone, Debug, Default, InputObject)]
pub struct IntRange {
    /// At least this.
    pub gte: Option<i64>,
    /// Less than this.
    pub lt: Option<i64>,
}

/// What a whole number must be.
#[derive(Clone, Debug, Default, InputObject)]
pub struct IntFilter {
    /// Exactly this.
    pub eq: Option<i64>,
    /// One of these. At most 250.
    #[graphql(name = "in", validator(max_items = 250))]
    pub one_of: Option<Vec<i64>>,
    /// Within this range.
    pub range: Option<IntRange>,
}

/// A range of amounts. What is given must all hold.
#[derive(Clone, Debug, Default, InputObject)]
pub struct AmountRange {
    /// More than this.
    pub gt: Option<Decimal>,
    /// At least this.
    pub gte: Option<Decimal>,
    /// Less than this.
    pub lt: Option<Decimal>,
    /// At most this.
    pub lte: Option<Decimal>,
}

/// What an amount must be, in major units of each row's own currency: 500 is 500 yen of one, and
/// 500.00 euros of another. Compared exactly.
#[derive(Clone, Debug, Default, InputObject)]
pub struct AmountFilter {
    /// Exactly this.
    pub eq: Option<Decimal>,
    /// Within this range.
    pub range: Option<AmountRange>,
}

/// A half-open range of moments.
#[derive(Clone, Debug, Default, InputObject)]
pub struct DateTimeRange {
    /// At this moment or later.
    pub gte: Option<DateTime<Utc>>,
    /// Before this moment.
    pub lt: Option<DateTime<Utc>>,
}

/// What a moment must be. Times are RFC 3339; they are compared in UTC.
#[derive(Clone, Debug, Default, InputObject)]
pub struct DateTimeFilter {
    /// Within this range.
    pub range: Option<DateTimeRange>,
}

/// What an enumerated value must be. Each enum names its own: see [`enum_filter`].
#[derive(Clone, Debug)]
pub struct OneOf<T> {
    eq: Option<T>,
    one_of: Option<Vec<T>>,
}

impl<T: InputType> OneOf<T> {
    /// From the two fields of an enum's filter.
    pub fn new(eq: Option<T>, one_of: Option<Vec<T>>) -> Self {
        OneOf { eq, one_of }
    }

    /// The condition on a column that holds `E`.
    pub fn on<E: From<T> + Into<Value>>(self, column: impl ColumnTrait) -> Condition {
        Condition::all()
            .add_option(self.eq.map(|value| column.eq(E::from(value))))
            .add_option(
                self.one_of
                    .map(|values| column.is_in(values.into_iter().map(E::from))),
            )
    }
}

/// Declares the filter input of an enum.
macro_rules! enum_filter {
    ($(#[doc = $doc:literal])+ $name:ident of $of:ident as $stored:ty) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, async_graphql::InputObject)]
        pub struct $name {
            /// Exactly this.
            pub eq: Option<$of>,
            /// One of these.
            #[graphql(name = "in", validator(max_items = 250))]
            pub one_of: Option<Vec<$of>>,
        }

        impl $name {
            /// The condition on a column.
            pub fn on(&self, column: impl sea_orm::ColumnTrait) -> sea_orm::Condition {
                $crate::graphql::filters::OneOf::new(self.eq, self.one_of.clone())
                    .on::<$stored>(column)
            }
        }
    };
}
pub(crate) use enum_filter;

impl StringFilter {
    /// The condition on a text column.
    pub fn on(&self, column: impl ColumnTrait) -> Condition {
        let like = |pattern: String| {
            let one = |pattern: String| {
                let text = Func::lower(Expr::col(column.as_column_ref()));
                Expr::from(text).like(LikeExpr::new(pattern).escape('\\'))
            };
            // Which letters the database lowers is its own affair, but A to Z are among them.
            let (few, all) = (pattern.to_ascii_lowercase(), pattern.to_lowercase());
            let mut any = Condition::any().add(one(few.clone()));
            if all != few {
                any = any.add(one(all));
            }
            any
        };
        // No text that is kept has a NUL character, and PostgreSQL cannot be asked about one.
        let kept = |text: &&String| !text.contains('\0');
        let mut asked = [&self.eq, &self.contains, &self.starts_with]
            .into_iter()
            .flatten();
        if !asked.all(|text| kept(&text)) {
            return Condition::any().add(Expr::val(1).eq(0));
        }
        Condition::all()
            .add_option(self.eq.as_ref().map(|text| column.eq(text.as_str())))
            .add_option(
                self.one_of
                    .as_ref()
                    .map(|texts| column.is_in(texts.iter().filter(kept).map(String::as_str))),
            )
            .add_option(
                self.contains
                    .as_ref()
                    .map(|text| like(format!("%{}%", literal(text)))),
            )
            .add_option(
                self.starts_with
                    .as_ref()
                    .map(|text| like(format!("{}%", literal(text)))),
            )
    }
}

/// Takes the special meaning from the characters of a LIKE pattern.
fn literal(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

impl IdFilter {
    /// The condition on a column of identifiers of one kind. An identifier of another kind matches
    /// nothing, as one that is not there.
    pub fn on<N: Node + Into<Value>>(&self, column: impl ColumnTrait) -> Condition {
        let known = |id: &ID| ids::from_global::<N>(id, "where").ok();
        Condition::all()
            .add_option(self.eq.as_ref().map(|id| column.is_in(known(id))))
            .add_option(
                self.one_of
                    .as_ref()
                    .map(|ids| column.is_in(ids.iter().filter_map(known))),
            )
    }
}

impl IntFilter {
    /// The condition on a column of whole numbers.
    pub fn on(&self, column: impl ColumnTrait) -> Condition {
        let range = self.range.clone().unwrap_or_default();
        Condition::all()
            .add_option(self.eq.map(|number| column.eq(number)))
            .add_option(
                self.one_of
                    .as_ref()
                    .map(|numbers| column.is_in(numbers.iter().copied())),
            )
            .add_option(range.gte.map(|least| column.gte(least)))
            .add_option(range.lt.map(|end| column.lt(end)))
    }
}

impl AmountFilter {
    /// The condition on a column of minor units beside that of their currency. An amount is
    /// compared in the minor units of each kind of currency, where it may lie between two of them.
    pub fn on(&self, minor: impl ColumnTrait, currency: impl ColumnTrait) -> Condition {
        let mut any = Condition::any();
        for (exponent, currencies) in Currency::by_exponent() {
            let constant = |one: &Currency| Expr::Constant(one.code().into());
            any = any.add(
                Condition::all()
                    .add(currency.into_expr().is_in(currencies.iter().map(constant)))
                    .add(self.in_minor_units(minor, *exponent)),
            );
        }
        any
    }

    fn in_minor_units(&self, minor: impl ColumnTrait, exponent: u32) -> Condition {
        let range = self.range.clone().unwrap_or_default();
        let least = |amount: Decimal| least_units(amount.0, exponent);
        let beyond = |amount: Decimal| least_beyond(amount.0, exponent);
        // What is beyond 64 bits is beyond every row.
        let from = |units: i128| match i64::try_from(units) {
            Ok(units) => minor.gte(units),
            Err(_) => Expr::value(units < 0),
        };
        let until = |units: i128| from(units).not();
        Condition::all()
            .add_option(self.eq.map(least).map(from))
            .add_option(self.eq.map(beyond).map(until))
            .add_option(range.gte.map(least).map(from))
            .add_option(range.gt.map(beyond).map(from))
            .add_option(range.lt.map(least).map(until))
            .add_option(range.lte.map(beyond).map(until))
    }
}

/// The least number of minor units that is no less than an amount.
fn least_units(amount: rust_decimal::Decimal, exponent: u32) -> i128 {
    let (whole, rest) = units(amount, exponent);
    whole + i128::from(rest > 0)
}

/// The least number of minor units that is more than an amount.
fn least_beyond(amount: rust_decimal::Decimal, exponent: u32) -> i128 {
    units(amount, exponent).0 + 1
}

/// An amount in whole minor units, rounded down, and what is left of it.
fn units(amount: rust_decimal::Decimal, exponent: u32) -> (i128, i128) {
    let digits = amount.mantissa() * 10_i128.pow(exponent);
    let of_a_unit = 10_i128.pow(amount.scale());
    (digits.div_euclid(of_a_unit), digits.rem_euclid(of_a_unit))
}

impl DateTimeFilter {
    /// The condition on a column of moments.
    pub fn on(&self, column: impl ColumnTrait) -> Condition {
        let range = self.range.clone().unwrap_or_default();
        Condition::all()
            .add_option(range.gte.map(|from| column.gte(from)))
            .add_option(range.lt.map(|until| column.lt(until)))
    }
}

/// A list's `where` input.
pub trait Filter: Sized {
    /// What its own fields ask for, without the nested ones.
    fn fields(&self) -> Condition;
    /// The filters of which all must match.
    fn and(&self) -> Option<&[Self]>;
    /// The filters of which one must match.
    fn or(&self) -> Option<&[Self]>;
    /// The filter that must not match.
    fn not(&self) -> Option<&Self>;
}

/// Implements [`Filter`] for an input with the fields `and`, `or` and `not`, from the conditions
/// of its other fields.
macro_rules! filter {
    ($name:ty, |$filter:ident| [$($condition:expr),* $(,)?]) => {
        impl $crate::graphql::filters::Filter for $name {
            fn fields(&self) -> sea_orm::Condition {
                let $filter = self;
                sea_orm::Condition::all()$(.add_option($condition))*
            }

            fn and(&self) -> Option<&[Self]> {
                self.and.as_deref()
            }

            fn or(&self) -> Option<&[Self]> {
                self.or.as_deref()
            }

            fn not(&self) -> Option<&Self> {
                self.not.as_deref()
            }
        }
    };
}
pub(crate) use filter;

/// The condition of a whole `where`; without one, everything matches.
pub fn condition<F: Filter>(filter: Option<&F>) -> async_graphql::Result<Condition> {
    filter.map_or(Ok(Condition::all()), |filter| within(filter, DEEPEST))
}

/// The condition of a filter that nests at most so many levels deep.
pub fn within<F: Filter>(filter: &F, deepest: usize) -> async_graphql::Result<Condition> {
    let deeper = |filter: &F| match deepest.checked_sub(1) {
        Some(rest) => within(filter, rest),
        None => Err(bad_input(&format!(
            "filters nest at most {DEEPEST} levels deep"
        ))),
    };
    let mut whole = filter.fields();
    for each in filter.and().unwrap_or_default() {
        whole = whole.add(deeper(each)?);
    }
    if let Some(choices) = filter.or() {
        let mut any = Condition::any();
        for choice in choices {
            any = any.add(deeper(choice)?);
        }
        if choices.is_empty() {
            any = any.add(Expr::value(false));
        }
        whole = whole.add(any);
    }
    if let Some(not) = filter.not() {
        // What is not known does not match, so its contrary does.
        let known = Func::coalesce([Expr::from(deeper(not)?), Expr::value(false)]);
        whole = whole.add(Expr::from(known).not());
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use entity::ProductId;
    use entity::product::{Column, Entity};
    use sea_orm::{DbBackend, EntityTrait, QueryFilter, QueryTrait};
    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Where {
        title: Option<StringFilter>,
        and: Option<Vec<Where>>,
        or: Option<Vec<Where>>,
        not: Option<Box<Where>>,
    }

    filter!(Where, |it| [it.title.as_ref().map(|f| f.on(Column::Title))]);

    fn titled(title: &str) -> Where {
        Where {
            title: Some(StringFilter {
                eq: Some(title.to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn sql(condition: Condition) -> String {
        let statement = Entity::find()
            .filter(condition)
            .build(DbBackend::Postgres)
            .to_string();
        let (_, rest) = statement.split_once(" WHERE ").unwrap_or_default();
        rest.replace("\"product\".", "")
    }

    #[test]
    fn a_tree_of_filters_becomes_one_condition() {
        let tree = Where {
            or: Some(vec![titled("a"), titled("b")]),
            not: Some(Box::new(titled("c"))),
            ..titled("d")
        };
        let sql = sql(condition(Some(&tree)).expect("a condition"));
        assert_eq!(
            sql,
            "\"title\" = 'd' AND (\"title\" = 'a' OR \"title\" = 'b') \
             AND (NOT COALESCE(\"title\" = 'c', FALSE))"
        );
    }

    #[test]
    fn no_choice_matches_nothing_and_no_filter_everything() {
        let none = Where {
            or: Some(Vec::new()),
            ..Default::default()
        };
        assert_eq!(sql(condition(Some(&none)).expect("a condition")), "FALSE");
        let all = condition(None::<&Where>).expect("a condition");
        assert!(all.is_empty());
    }

    #[test]
    fn filters_nest_only_so_deep() {
        let mut tree = titled("a");
        for _ in 0..DEEPEST {
            tree = Where {
                and: Some(vec![tree]),
                ..Default::default()
            };
        }
        assert!(condition(Some(&tree)).is_ok());
        let deeper = Where {
            and: Some(vec![tree]),
            ..Default::default()
        };
        assert!(condition(Some(&deeper)).is_err());
    }

    #[test]
    fn the_signs_of_patterns_are_taken_literally() {
        assert_eq!(literal(r"10%_off\"), r"10\%\_off\\");
        let filter = StringFilter {
            starts_with: Some("A_".to_owned()),
            ..Default::default()
        };
        let sql = sql(filter.on(Column::Title));
        assert!(sql.contains("LOWER(\"title\") LIKE"), "{sql}");
    }

    #[test]
    fn an_amount_is_compared_in_the_minor_units_of_each_currency() {
        let amount = |text: &str| text.parse::<rust_decimal::Decimal>().expect("an amount");
        for (text, exponent, least, beyond) in [
            ("500", 2, 50_000, 50_001),
            ("500", 0, 500, 501),
            ("0.5", 0, 1, 1),
            ("-0.5", 0, 0, 0),
            ("-1.5", 2, -150, -149),
            ("1.2345", 3, 1_235, 1_235),
            ("1.234", 3, 1_234, 1_235),
            ("0.0000000000000000000000000001", 4, 1, 1),
        ] {
            let amount = amount(text);
            assert_eq!(least_units(amount, exponent), least, "{text}");
            assert_eq!(least_beyond(amount, exponent), beyond, "{text}");
        }
        let most = rust_decimal::Decimal::MAX;
        assert!(least_units(most, 4) > i128::from(i64::MAX));
    }

    #[test]
    fn an_identifier_of_another_kind_matches_nothing() {
        let uuid = Uuid::from_u128(7);
        let own = ids::to_global(ProductId(uuid));
        let other = ids::to_global(entity::VariantId(uuid));
        let filter = |id| IdFilter {
            eq: Some(id),
            ..Default::default()
        };
        assert!(sql(filter(own).on::<ProductId>(Column::Id)).contains("IN ("));
        assert_eq!(sql(filter(other).on::<ProductId>(Column::Id)), "1 = 2");
    }
}
