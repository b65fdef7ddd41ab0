//! From the query that people type, and the filter that programs send, to one condition.
//!
//! A query is said in the words of the typed filter, so that there is one way to a condition, and
//! what a caller may not read it may not search for either way.

use async_graphql::ErrorExtensions;
use rust_decimal::Decimal;
use sea_orm::Condition;

use super::queries::{
    OrderSourceFilter, OrderStageFilter, OrderStatusFilter, OrderWhere, PaymentMethodFilter,
    PaymentStatusFilter, TagFilter, visible,
};
use crate::access::{Principal, Scope};
use crate::graphql::errors::{bad_input, forbidden};
use crate::graphql::filters::{
    AmountFilter, AmountRange, DateTimeFilter, DateTimeRange, StringFilter, condition, within,
};
use crate::graphql::scalars::Decimal as Exact;
use crate::orders::search::{
    Comparison, Mistake, Moment, Pattern, Search, Term, TextField, TimeField, read,
};

/// How deep the filter of a query nests at most: each parenthesis and negation of the query makes
/// two levels, and its terms make two more.
const DEEPEST: usize = 2 * crate::orders::search::DEEPEST + 4;

/// The condition of what a caller asks for, within what it sees: a filter, a query, or both, which
/// must then both match.
pub fn matching(
    principal: &Principal,
    filter: Option<&OrderWhere>,
    query: Option<&str>,
) -> async_graphql::Result<Condition> {
    let asked = query
        .map(|query| read(query).map_err(malformed))
        .transpose()?
        .flatten()
        .map(|search| {
            let names = principal.may(Scope::PersonalDataRead);
            wanted(&search, names)
        });
    let personal = |filter: Option<&OrderWhere>| filter.is_some_and(OrderWhere::is_personal);
    if (personal(filter) || personal(asked.as_ref())) && !principal.may(Scope::PersonalDataRead) {
        return Err(forbidden(Scope::PersonalDataRead));
    }
    let mut whole = visible(principal).add(condition(filter)?);
    if let Some(asked) = asked {
        whole = whole.add(within(&asked, DEEPEST)?);
    }
    Ok(whole)
}

/// A query that cannot be read, with its place in the error's extensions.
fn malformed(mistake: Mistake) -> async_graphql::Error {
    bad_input(&mistake.to_string()).extend_with(|_, extensions| {
        extensions.set("argument", "query");
        extensions.set("offset", mistake.offset);
        extensions.set("line", mistake.line);
        extensions.set("column", mistake.column);
        extensions.set("expected", mistake.expected);
    })
}

/// A search in the words of the filter. Words alone are looked for in names and addresses only
/// where the caller may read these.
fn wanted(search: &Search, names: bool) -> OrderWhere {
    let each = |parts: &[Search]| parts.iter().map(|part| wanted(part, names)).collect();
    match search {
        Search::All(parts) => OrderWhere {
            and: Some(each(parts)),
            ..Default::default()
        },
        Search::Any(parts) => any(each(parts)),
        Search::Not(inner) => OrderWhere {
            not: Some(Box::new(wanted(inner, names))),
            ..Default::default()
        },
        Search::Term(term) => of_term(term, names),
    }
}

fn any(mut choices: Vec<OrderWhere>) -> OrderWhere {
    if choices.len() == 1 {
        return choices.remove(0);
    }
    OrderWhere {
        or: Some(choices),
        ..Default::default()
    }
}

/// The filter of an enumerated field.
macro_rules! one_of {
    ($field:ident: $filter:ident, $values:expr) => {
        OrderWhere {
            $field: Some($filter {
                eq: None,
                one_of: Some($values.iter().map(|value| (*value).into()).collect()),
            }),
            ..Default::default()
        }
    };
}

fn of_term(term: &Term, names: bool) -> OrderWhere {
    match term {
        Term::Word(word) => of_word(word, names),
        Term::Text(field, patterns) => of_text(*field, patterns),
        Term::Status(values) => one_of!(status: OrderStatusFilter, values),
        Term::Stage(values) => one_of!(stage: OrderStageFilter, values),
        Term::Payment(values) => one_of!(payment_status: PaymentStatusFilter, values),
        Term::Method(values) => one_of!(payment_method: PaymentMethodFilter, values),
        Term::Source(values) => one_of!(source: OrderSourceFilter, values),
        Term::Total(values) => any(values
            .iter()
            .map(|value| OrderWhere {
                total: Some(of_amount(value)),
                ..Default::default()
            })
            .collect()),
        Term::When(field, values) => any(values
            .iter()
            .map(|value| of_moment(*field, value))
            .collect()),
    }
}

fn begins(text: &str) -> StringFilter {
    StringFilter {
        starts_with: Some(text.to_owned()),
        ..Default::default()
    }
}

fn has(text: &str) -> StringFilter {
    StringFilter {
        contains: Some(text.to_owned()),
        ..Default::default()
    }
}

fn of_word(word: &str, names: bool) -> OrderWhere {
    let mut choices = vec![
        OrderWhere {
            number: Some(begins(word)),
            ..Default::default()
        },
        OrderWhere {
            external_reference: Some(begins(word)),
            ..Default::default()
        },
    ];
    if names {
        choices.push(OrderWhere {
            customer_name: Some(has(word)),
            ..Default::default()
        });
        choices.push(OrderWhere {
            email: Some(begins(word)),
            ..Default::default()
        });
    }
    any(choices)
}

fn of_text(field: TextField, patterns: &[Pattern]) -> OrderWhere {
    if field == TextField::Tag {
        return any(patterns.iter().map(of_tag).collect());
    }
    let on = |filter: StringFilter| {
        let mut wanted = OrderWhere::default();
        let place = match field {
            TextField::Number => &mut wanted.number,
            TextField::Reference => &mut wanted.external_reference,
            TextField::Customer => &mut wanted.customer_name,
            TextField::Email => &mut wanted.email,
            TextField::Sku => &mut wanted.sku,
            TextField::Channel => &mut wanted.channel,
            TextField::Service => &mut wanted.service_level,
            TextField::Exception => &mut wanted.exception_code,
            TextField::Country => &mut wanted.country,
            TextField::Currency => &mut wanted.currency,
            TextField::Tag => return wanted,
        };
        *place = Some(filter);
        wanted
    };
    let filter = |pattern: &Pattern| match (pattern, field) {
        (Pattern::Begins(text), _) => begins(text),
        (Pattern::Is(text), TextField::Customer) => has(text),
        // People paste an address whole, and an index finds how one begins.
        (Pattern::Is(text), TextField::Email) => begins(text),
        // These are kept in capitals.
        (
            Pattern::Is(text),
            TextField::Service | TextField::Exception | TextField::Country | TextField::Currency,
        ) => exactly(text.to_uppercase()),
        (Pattern::Is(text), _) => exactly(text.clone()),
    };
    any(patterns.iter().map(|pattern| on(filter(pattern))).collect())
}

fn exactly(text: String) -> StringFilter {
    StringFilter {
        eq: Some(text),
        ..Default::default()
    }
}

fn of_tag(pattern: &Pattern) -> OrderWhere {
    let filter = match pattern {
        Pattern::Is(tag) => TagFilter {
            eq: Some(tag.clone()),
            ..Default::default()
        },
        Pattern::Begins(tag) => TagFilter {
            starts_with: Some(tag.clone()),
            ..Default::default()
        },
    };
    OrderWhere {
        tag: Some(filter),
        ..Default::default()
    }
}

fn of_amount(value: &Comparison<Decimal>) -> AmountFilter {
    let mut range = AmountRange::default();
    match *value {
        Comparison::Is(amount) => {
            return AmountFilter {
                eq: Some(Exact(amount)),
                range: None,
            };
        }
        Comparison::Above(amount) => range.gt = Some(Exact(amount)),
        Comparison::AtLeast(amount) => range.gte = Some(Exact(amount)),
        Comparison::Below(amount) => range.lt = Some(Exact(amount)),
        Comparison::AtMost(amount) => range.lte = Some(Exact(amount)),
        Comparison::Between(from, to) => {
            range.gte = Some(Exact(from));
            range.lte = Some(Exact(to));
        }
    }
    AmountFilter {
        eq: None,
        range: Some(range),
    }
}

fn of_moment(field: TimeField, value: &Comparison<Moment>) -> OrderWhere {
    let (gte, lt) = match *value {
        Comparison::Is(moment) => (Some(moment.start()), Some(moment.end())),
        Comparison::Above(moment) => (Some(moment.end()), None),
        Comparison::AtLeast(moment) => (Some(moment.start()), None),
        Comparison::Below(moment) => (None, Some(moment.start())),
        Comparison::AtMost(moment) => (None, Some(moment.end())),
        Comparison::Between(from, to) => (Some(from.start()), Some(to.end())),
    };
    let range = Some(DateTimeRange { gte, lt });
    let filter = Some(DateTimeFilter { range });
    let wanted = OrderWhere::default();
    match field {
        TimeField::Placed => OrderWhere {
            placed_at: filter,
            ..wanted
        },
        TimeField::Received => OrderWhere {
            received_at: filter,
            ..wanted
        },
        TimeField::Updated => OrderWhere {
            updated_at: filter,
            ..wanted
        },
    }
}
