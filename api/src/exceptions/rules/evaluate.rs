//! Evaluates an expression that was type-checked: exact, without I/O, and in a bounded number of
//! steps, so that no rule can stall an order.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use regex::Regex;
use rust_decimal::Decimal;

use super::context::{Field, LineContext, LineField, OrderContext};

/// How many steps one evaluation may take: three questions about each of 5,000 lines fit.
pub const MOST_STEPS: usize = 100_000;

/// How many characters of a text are looked at in one step.
const STEP_OF_TEXT: usize = 16;

/// What a part of an expression comes to.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// True or false.
    Truth(bool),
    /// An exact decimal.
    Number(Decimal),
    /// A text.
    Text(Cow<'a, str>),
    /// A moment.
    Time(DateTime<Utc>),
    /// A line of the order.
    Line(&'a LineContext),
    /// Several of one kind.
    List(Vec<Value<'a>>),
}

/// Why an evaluation came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A division by zero, or its remainder.
    #[error("a division by zero")]
    DivisionByZero,
    /// A number of more than 28 digits.
    #[error("a number is too large")]
    OutOfRange,
    /// More than [`MOST_STEPS`].
    #[error("it takes more than {MOST_STEPS} steps")]
    TooManySteps,
    /// A value of another kind than the type-checker promised: a fault of ours.
    #[error("a value is of the wrong kind")]
    WrongKind,
}

/// The type-checker should have refused the expression.
fn wrong_kind() -> Fault {
    debug_assert!(false, "a value of the wrong kind");
    Fault::WrongKind
}

/// What a comparison asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// What is worked out of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What is asked of a text about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    Contains,
    StartsWith,
    EndsWith,
}

/// What a walk over a list comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    Exists,
    All,
    ExistsOne,
    Filter,
    Map,
}

/// An expression whose parts fit together: what the type-checker makes of the parsed one.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    Field(&'static Field),
    /// The value that the walk at this depth is at.
    Item(usize),
    LineField(Box<Node>, &'static LineField),
    Not(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    If(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    Negate(Box<Node>),
    Sum(Sum, Box<[Node; 2]>),
    List(Vec<Node>),
    In(Box<[Node; 2]>),
    Size(Box<Node>),
    Within(Within, Box<[Node; 2]>),
    Matches(Box<Node>, Box<Regex>),
    Lower(Box<Node>),
    Upper(Box<Node>),
    Walk {
        walk: Walk,
        over: Box<Node>,
        body: Box<Node>,
    },
}

/// One evaluation.
pub(super) struct Run<'a> {
    context: &'a OrderContext,
    steps: usize,
    items: Vec<Value<'a>>,
    /// The places of the lines for which an `exists` or a `filter` was true.
    pub(super) matched: BTreeSet<usize>,
}

impl<'a> Run<'a> {
    pub(super) fn new(context: &'a OrderContext) -> Run<'a> {
        Run {
            context,
            steps: MOST_STEPS,
            items: Vec::new(),
            matched: BTreeSet::new(),
        }
    }

    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool, Fault> {
        match self.value(node)? {
            Value::Truth(truth) => Ok(truth),
            _ => Err(wrong_kind()),
        }
    }

    fn number(&mut self, node: &'a Node) -> Result<Decimal, Fault> {
        match self.value(node)? {
            Value::Number(number) => Ok(number),
            _ => Err(wrong_kind()),
        }
    }

    fn text(&mut self, node: &'a Node) -> Result<Cow<'a, str>, Fault> {
        match self.value(node)? {
            Value::Text(text) => {
                self.spend(text.len() / STEP_OF_TEXT)?;
                Ok(text)
            }
            _ => Err(wrong_kind()),
        }
    }

    fn list(&mut self, node: &'a Node) -> Result<Vec<Value<'a>>, Fault> {
        match self.value(node)? {
            Value::List(list) => Ok(list),
            _ => Err(wrong_kind()),
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps = self.steps.saturating_sub(steps);
        match self.steps {
            0 => Err(Fault::TooManySteps),
            _ => Ok(()),
        }
    }

    fn value(&mut self, node: &'a Node) -> Result<Value<'a>, Fault> {
        self.spend(1)?;
        Ok(match node {
            Node::Constant(Value::Text(text)) => Value::Text(Cow::Borrowed(text)),
            Node::Constant(value) => value.clone(),
            Node::Field(field) => {
                let value = (field.read)(self.context);
                if let Value::List(list) = &value {
                    self.spend(list.len())?;
                }
                value
            }
            Node::Item(depth) => self.items.get(*depth).ok_or_else(wrong_kind)?.clone(),
            Node::LineField(line, field) => match self.value(line)? {
                Value::Line(line) => (field.read)(line),
                _ => return Err(wrong_kind()),
            },
            Node::Not(inner) => Value::Truth(!self.truth(inner)?),
            Node::And(sides) => Value::Truth(self.decided_by(false, sides)?),
            Node::Or(sides) => Value::Truth(self.decided_by(true, sides)?),
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen = if self.truth(condition)? { yes } else { no };
                self.value(chosen)?
            }
            Node::Compare(comparison, sides) => {
                let (left, right) = (self.value(&sides[0])?, self.value(&sides[1])?);
                Value::Truth(compare(*comparison, &left, &right)?)
            }
            Node::Negate(inner) => Value::Number(-self.number(inner)?),
            Node::Sum(sum, sides) => Value::Number(work_out(
                *sum,
                self.number(&sides[0])?,
                self.number(&sides[1])?,
            )?),
            Node::List(nodes) => {
                let values: Result<_, Fault> = nodes.iter().map(|node| self.value(node)).collect();
                Value::List(values?)
            }
            Node::In(sides) => {
                let (value, list) = (self.value(&sides[0])?, self.list(&sides[1])?);
                for one in &list {
                    self.spend(1)?;
                    if compare(Comparison::Equal, &value, one)? {
                        return Ok(Value::Truth(true));
                    }
                }
                Value::Truth(false)
            }
            Node::Size(inner) => {
                let size = match self.value(inner)? {
                    Value::Text(text) => text.chars().count(),
                    Value::List(list) => list.len(),
                    _ => return Err(wrong_kind()),
                };
                Value::Number(Decimal::from(size))
            }
            Node::Within(within, sides) => {
                let (text, part) = (self.text(&sides[0])?, self.text(&sides[1])?);
                let part = part.as_ref();
                Value::Truth(match within {
                    Within::Contains => text.contains(part),
                    Within::StartsWith => text.starts_with(part),
                    Within::EndsWith => text.ends_with(part),
                })
            }
            Node::Matches(text, pattern) => Value::Truth(pattern.is_match(&self.text(text)?)),
            Node::Lower(inner) => Value::Text(self.text(inner)?.to_ascii_lowercase().into()),
            Node::Upper(inner) => Value::Text(self.text(inner)?.to_ascii_uppercase().into()),
            Node::Walk { walk, over, body } => {
                let list = self.list(over)?;
                self.walk(*walk, list, body)?
            }
        })
    }

    /// Either side decides if it is `decisive`, even where the other fails: as CEL has it, a rule
    /// does not depend on the order in which its conditions are written.
    fn decided_by(&mut self, decisive: bool, sides: &'a [Node; 2]) -> Result<bool, Fault> {
        let left = self.truth(&sides[0]);
        if left == Ok(decisive) {
            return left;
        }
        match (left, self.truth(&sides[1])) {
            (_, Ok(right)) if right == decisive => Ok(right),
            (Err(fault), _) => Err(fault),
            (Ok(_), right) => right,
        }
    }

    /// Asks about one value after another. As with `&&` and `||`, a value that decides an
    /// `exists` or an `all` does so even where others fail.
    fn walk(
        &mut self,
        walk: Walk,
        list: Vec<Value<'a>>,
        body: &'a Node,
    ) -> Result<Value<'a>, Fault> {
        let decisive = walk == Walk::Exists;
        let mut failed = None;
        let mut kept = Vec::new();
        for item in list {
            self.items.push(item.clone());
            let answer = self.value(body);
            self.items.pop();
            let answer = match (walk, answer) {
                (Walk::Exists | Walk::All, Err(fault)) => {
                    failed.get_or_insert(fault);
                    continue;
                }
                (_, answer) => answer?,
            };
            let yes = matches!(answer, Value::Truth(true));
            match (walk, &item) {
                (Walk::Exists | Walk::Filter, Value::Line(line)) if yes => {
                    self.matched.insert(line.place);
                }
                _ => {}
            }
            match walk {
                Walk::Exists | Walk::All if yes == decisive => return Ok(Value::Truth(decisive)),
                Walk::Exists | Walk::All => {}
                Walk::Map => kept.push(answer),
                Walk::Filter | Walk::ExistsOne => kept.extend(yes.then_some(item)),
            }
        }
        match (walk, failed) {
            (_, Some(fault)) => Err(fault),
            (Walk::Exists | Walk::All, None) => Ok(Value::Truth(!decisive)),
            (Walk::ExistsOne, None) => Ok(Value::Truth(kept.len() == 1)),
            (Walk::Filter | Walk::Map, None) => Ok(Value::List(kept)),
        }
    }
}

/// Compares two values of one kind.
fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Result<bool, Fault> {
    let ordering = match (left, right) {
        (Value::Truth(left), Value::Truth(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Time(left), Value::Time(right)) => left.cmp(right),
        _ => return Err(wrong_kind()),
    };
    Ok(match comparison {
        Comparison::Equal => ordering.is_eq(),
        Comparison::NotEqual => ordering.is_ne(),
        Comparison::Less => ordering.is_lt(),
        Comparison::AtMost => ordering.is_le(),
        Comparison::More => ordering.is_gt(),
        Comparison::AtLeast => ordering.is_ge(),
    })
}

/// What has more than 28 digits is rounded at the last; no sum or product of amounts has.
fn work_out(sum: Sum, left: Decimal, right: Decimal) -> Result<Decimal, Fault> {
    if matches!(sum, Sum::Divide | Sum::Remainder) && right.is_zero() {
        return Err(Fault::DivisionByZero);
    }
    match sum {
        Sum::Add => left.checked_add(right),
        Sum::Subtract => left.checked_sub(right),
        Sum::Multiply => left.checked_mul(right),
        Sum::Divide => left.checked_div(right),
        Sum::Remainder => left.checked_rem(right),
    }
    .ok_or(Fault::OutOfRange)
}
