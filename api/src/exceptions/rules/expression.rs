//! Reads an expression and checks, before it ever sees an order, that every part of it fits.
//!
//! The `cel` crate parses: its grammar is the standard's, and it knows where each part stands.
//! It does not evaluate: it would compute with floats, walk lists of any length within lists of
//! any length, and find out about wrong types only then. What is parsed becomes a tree whose parts
//! fit together, which [`super::evaluate`] walks. A number with a fraction is read from its own
//! text in the source, which the parser points at, so that `500.50` never was a float.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};
use chrono::{DateTime, Utc};
use regex::RegexBuilder;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

use super::context::{Care, Count, FIELDS, Field, LINE_FIELDS, OrderContext, Type};
use super::evaluate::{Comparison, Fault, Node, Run, Sum, Value, Walk, Within};

/// How many characters an expression may have.
pub const LONGEST: usize = 2_000;

/// How deep its parts may be nested. Terms of `&&` and of `||` do not nest; those of `+` do.
const DEEPEST: usize = 40;

/// How deep brackets may be nested: the parser's own measure.
const DEEPEST_BRACKETS: u16 = 24;

/// How much stack the parser gets, in bytes: many times what the longest expression took.
const STACK: usize = 32 << 20;

/// How much memory a pattern may take, in bytes.
const LARGEST_PATTERN: usize = 256 << 10;

/// How many lines an exception shows.
const LINES_SHOWN: usize = 10;

/// What is wrong with an expression, and where. Counted in characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in the line, from 1.
    pub column: usize,
    /// The place in the whole, from 0.
    pub offset: usize,
    /// What is wrong.
    pub reason: String,
}

impl Mistake {
    /// At a place that is given in bytes.
    fn at_byte(source: &str, byte: usize, reason: String) -> Mistake {
        let before = source.get(..byte).unwrap_or(source);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Mistake {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            offset: before.chars().count(),
            reason,
        }
    }

    /// At a place that is given as the parser's errors do.
    fn at_line(source: &str, (line, column): (isize, isize), reason: String) -> Mistake {
        let count = |number: isize| usize::try_from(number).unwrap_or_default().max(1);
        let (line, column) = (count(line), count(column));
        let before = source.split_inclusive('\n').take(line - 1);
        Mistake {
            line,
            column,
            offset: before.map(|line| line.chars().count()).sum::<usize>() + column - 1,
            reason,
        }
    }
}

/// An expression that can be asked of any order.
#[derive(Debug)]
pub struct Expression {
    node: Node,
    fields: BTreeSet<usize>,
    line_fields: BTreeSet<usize>,
}

/// What an expression said of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is true.
    pub holds: bool,
    /// The values that it asked for, by name, if it is true; personal data is left out.
    pub facts: Json,
}

impl Expression {
    /// Reads and checks an expression.
    pub fn compile(source: &str) -> Result<Expression, Mistake> {
        let first = |reason: &str| Mistake::at_byte(source, 0, reason.to_owned());
        if source.trim().is_empty() {
            return Err(first("there is nothing"));
        }
        if source.chars().count() > LONGEST {
            return Err(first(&format!("it has more than {LONGEST} characters")));
        }
        let unprintable = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if let Some(byte) = source.find(unprintable) {
            let reason = "there is a control character".to_owned();
            return Err(Mistake::at_byte(source, byte, reason));
        }
        // A nest of brackets takes the parser more stack than our threads have to spare, and what
        // it could not cope with must not take the order's thread with it.
        let checked = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || check(source))
                .map(|thread| thread.join())
        });
        match checked {
            Ok(Ok(checked)) => checked,
            Ok(Err(_)) | Err(_) => Err(first("it cannot be read")),
        }
    }

    /// What it asks about what the customer ordered before.
    pub fn history(&self) -> impl Iterator<Item = Count> {
        self.fields
            .iter()
            .filter_map(|place| match FIELDS[*place].care {
                Care::History(count) => Some(count),
                Care::None | Care::Personal => None,
            })
    }

    /// Asks it of an order.
    pub fn ask(&self, context: &OrderContext) -> Result<Answer, Fault> {
        let mut run = Run::new(context);
        let holds = run.truth(&self.node)?;
        let facts = match holds {
            true => self.facts(context, &run.matched),
            false => Json::Null,
        };
        Ok(Answer { holds, facts })
    }

    /// Everything that its answer can follow from.
    pub fn sees(&self, context: &OrderContext) -> Json {
        let fields = self.fields.iter().map(|place| &FIELDS[*place]);
        let values = fields.map(|field| match field.kind {
            LINES => json!(context.lines.len()),
            _ => shown((field.read)(context)),
        });
        let lines = context.lines.iter().map(|line| {
            let fields = self.line_fields.iter().map(|place| &LINE_FIELDS[*place]);
            fields.map(|field| shown((field.read)(line))).collect()
        });
        json!([values.collect::<Vec<_>>(), lines.collect::<Vec<Json>>()])
    }

    /// The values that it asks for. Of the lines, those that were found, else the first.
    fn facts(&self, context: &OrderContext, matched: &BTreeSet<usize>) -> Json {
        let mut facts: Map<String, Json> = self
            .fields
            .iter()
            .map(|place| &FIELDS[*place])
            .filter(|field| field.care != Care::Personal && field.kind != LINES)
            .map(|field| (field.name.to_owned(), shown((field.read)(context))))
            .collect();
        if !self.line_fields.is_empty() {
            let lines: Vec<Json> = context
                .lines
                .iter()
                .filter(|line| matched.is_empty() || matched.contains(&line.place))
                .take(LINES_SHOWN)
                .map(|line| {
                    let fields = self.line_fields.iter().map(|place| &LINE_FIELDS[*place]);
                    let fields = fields
                        .map(|field| (field.name.to_owned(), shown((field.read)(line))))
                        .chain([("line".to_owned(), json!(line.place))]);
                    Json::Object(fields.collect())
                })
                .collect();
            facts.insert("lines".to_owned(), json!(lines));
        }
        Json::Object(facts)
    }
}

const LINES: Type = Type::List(&Type::Line);

/// A value as an exception shows it: numbers as decimal text.
fn shown(value: Value<'_>) -> Json {
    match value {
        Value::Truth(truth) => json!(truth),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Time(at) => json!(at),
        Value::Line(line) => json!(line.place),
        Value::List(list) => list.into_iter().map(shown).collect(),
    }
}

fn check(source: &str) -> Result<Expression, Mistake> {
    let parser = cel::Env::default().with_optional_support(false).parser();
    let (parsed, places) = parser
        .max_recursion_depth(DEEPEST_BRACKETS)
        .parse_with_source_info(source)
        .map_err(|errors| match errors.errors.first() {
            Some(error) => Mistake::at_line(source, error.pos, in_short(&error.msg)),
            None => Mistake::at_byte(source, 0, "it cannot be read".to_owned()),
        })?;
    let mut checker = Checker {
        source,
        places,
        items: Vec::new(),
        depth: 0,
        fields: BTreeSet::new(),
        line_fields: BTreeSet::new(),
    };
    let node = checker.expect(&parsed, Type::Truth)?;
    Ok(Expression {
        node,
        fields: checker.fields,
        line_fields: checker.line_fields,
    })
}

/// The parser's message without the list of everything that it would have liked better.
fn in_short(message: &str) -> String {
    if message.contains("Recursion limit") {
        return "it is nested too deeply".to_owned();
    }
    let message = message.trim_start_matches("Syntax error: ");
    let end = message.find(" expecting").unwrap_or(message.len());
    message[..end].replace("<EOF>", "the end")
}

type Checked = Result<(Node, Type), Mistake>;

struct Checker<'s> {
    source: &'s str,
    places: SourceInfo,
    /// What the walks around call their values, and what these are.
    items: Vec<(String, Type)>,
    depth: usize,
    fields: BTreeSet<usize>,
    line_fields: BTreeSet<usize>,
}

impl Checker<'_> {
    fn mistake(&self, at: &IdedExpr, reason: impl Into<String>) -> Mistake {
        let byte = self.places.offset_for(at.id).map_or(0, |(start, _)| start);
        Mistake::at_byte(self.source, byte as usize, reason.into())
    }

    /// A part that must be of one kind.
    fn expect(&mut self, part: &IdedExpr, wanted: Type) -> Result<Node, Mistake> {
        let (node, found) = self.part(part)?;
        if found != wanted {
            return Err(self.mistake(part, format!("a {wanted} is needed here, not a {found}")));
        }
        Ok(node)
    }

    fn both(
        &mut self,
        left: &IdedExpr,
        right: &IdedExpr,
        wanted: Type,
    ) -> Result<Box<[Node; 2]>, Mistake> {
        Ok(Box::new([
            self.expect(left, wanted)?,
            self.expect(right, wanted)?,
        ]))
    }

    fn part(&mut self, part: &IdedExpr) -> Checked {
        if self.depth == DEEPEST {
            return Err(self.mistake(part, "it is nested too deeply"));
        }
        self.depth += 1;
        let checked = match &part.expr {
            Expr::Literal(literal) => self.literal(part, literal),
            Expr::Ident(name) => self.name(part, name),
            Expr::Select(select) => self.select(part, select),
            Expr::List(list) => self.list(part, &list.elements),
            Expr::Call(call) => self.call(part, call),
            Expr::Map(_) | Expr::Struct(_) => Err(self.mistake(part, "there are no maps")),
            Expr::Comprehension(_) | Expr::Unspecified => {
                Err(self.mistake(part, "it cannot be read"))
            }
        };
        self.depth -= 1;
        checked
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Checked {
        let (value, kind) = match literal {
            LiteralValue::Boolean(truth) => (Value::Truth(*truth.inner()), Type::Truth),
            LiteralValue::Int(number) => (Value::Number((*number.inner()).into()), Type::Number),
            LiteralValue::Double(number) => {
                let number = self.decimal(at, number.inner().is_sign_negative())?;
                (Value::Number(number), Type::Number)
            }
            LiteralValue::String(text) => (Value::Text(text.inner().to_owned().into()), Type::Text),
            LiteralValue::UInt(_) => return Err(self.mistake(at, "write the number without u")),
            LiteralValue::Bytes(_) => return Err(self.mistake(at, "there are no bytes")),
            LiteralValue::Null => {
                let reason = "there is no null: a text that is not known is \"\"";
                return Err(self.mistake(at, reason));
            }
        };
        Ok((Node::Constant(value), kind))
    }

    /// A number as it is written. The parser points at its digits and says its sign.
    fn decimal(&self, at: &IdedExpr, negative: bool) -> Result<Decimal, Mistake> {
        let written = self
            .places
            .offset_for(at.id)
            .and_then(|(start, stop)| self.source.get(start as usize..=stop as usize))
            .unwrap_or_default();
        if written.contains(['e', 'E']) {
            return Err(self.mistake(at, "write the number without an exponent"));
        }
        let number = Decimal::from_str_exact(written)
            .map_err(|_| self.mistake(at, "a number has at most 28 digits"))?;
        Ok(if negative { -number } else { number })
    }

    fn name(&mut self, at: &IdedExpr, name: &str) -> Checked {
        if let Some(depth) = self.items.iter().position(|(own, _)| own == name) {
            return Ok((Node::Item(depth), self.items[depth].1));
        }
        self.field(at, name)
    }

    fn field(&mut self, at: &IdedExpr, name: &str) -> Checked {
        if let Some(place) = FIELDS.iter().position(|field| field.name == name) {
            self.fields.insert(place);
            return Ok((Node::Field(&FIELDS[place]), FIELDS[place].kind));
        }
        let within = |field: &&Field| name.strip_prefix(field.name)?.strip_prefix('.');
        if let Some(field) = FIELDS.iter().find(|field| within(field).is_some()) {
            return Err(self.mistake(
                at,
                format!("{}, a {}, has no fields", field.name, field.kind),
            ));
        }
        let group = name.split('.').next().unwrap_or_default();
        let prefix = format!("{group}.");
        let others: Vec<&str> = FIELDS
            .iter()
            .filter_map(|field| field.name.strip_prefix(&prefix))
            .collect();
        let (what, has) = match others.is_empty() {
            false if group == name => ("is no value".to_owned(), others),
            false => (format!("is no field of {group}"), others),
            true => ("is not known".to_owned(), groups()),
        };
        Err(self.mistake(at, format!("{name} {what}; there are {}", has.join(", "))))
    }

    fn select(&mut self, at: &IdedExpr, select: &SelectExpr) -> Checked {
        if let Some(path) = self.path(&at.expr) {
            return self.field(at, &path);
        }
        match self.part(&select.operand)? {
            (line, Type::Line) => {
                let Some(place) = LINE_FIELDS
                    .iter()
                    .position(|field| field.name == select.field)
                else {
                    let has: Vec<&str> = LINE_FIELDS.iter().map(|field| field.name).collect();
                    let reason = format!(
                        "{} is no field of a line; there are {}",
                        select.field,
                        has.join(", ")
                    );
                    return Err(self.mistake(at, reason));
                };
                self.line_fields.insert(place);
                let field = &LINE_FIELDS[place];
                Ok((Node::LineField(Box::new(line), field), field.kind))
            }
            (_, other) => Err(self.mistake(at, format!("a {other} has no fields"))),
        }
    }

    /// The dotted name that an expression spells, unless it begins at a walk's value.
    fn path(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Ident(name) if self.items.iter().all(|(own, _)| own != name) => {
                Some(name.clone())
            }
            Expr::Select(select) => {
                let before = self.path(&select.operand.expr)?;
                Some(format!("{before}.{}", select.field))
            }
            _ => None,
        }
    }

    fn list(&mut self, at: &IdedExpr, elements: &[IdedExpr]) -> Checked {
        let Some((first, rest)) = elements.split_first() else {
            return Err(self.mistake(at, "the list is empty"));
        };
        let (node, of) = self.part(first)?;
        let kind = of
            .list()
            .ok_or_else(|| self.mistake(at, "there are no lists of lists"))?;
        let mut nodes = vec![node];
        for element in rest {
            nodes.push(self.expect(element, of)?);
        }
        Ok((Node::List(nodes), kind))
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Checked {
        use operators::*;
        let name = call.func_name.as_str();
        match (name, call.target.as_deref(), call.args.as_slice()) {
            (LOGICAL_NOT, None, [one]) => {
                let node = self.expect(one, Type::Truth)?;
                Ok((Node::Not(Box::new(node)), Type::Truth))
            }
            (LOGICAL_AND, None, [left, right]) => {
                let sides = self.both(left, right, Type::Truth)?;
                Ok((Node::And(sides), Type::Truth))
            }
            (LOGICAL_OR, None, [left, right]) => {
                let sides = self.both(left, right, Type::Truth)?;
                Ok((Node::Or(sides), Type::Truth))
            }
            (CONDITIONAL, None, [condition, yes, no]) => {
                let condition = self.expect(condition, Type::Truth)?;
                let (yes, kind) = self.part(yes)?;
                let no = self.expect(no, kind)?;
                Ok((Node::If(Box::new([condition, yes, no])), kind))
            }
            (EQUALS, None, [left, right]) => self.compare(Comparison::Equal, left, right),
            (NOT_EQUALS, None, [left, right]) => self.compare(Comparison::NotEqual, left, right),
            (LESS, None, [left, right]) => self.compare(Comparison::Less, left, right),
            (LESS_EQUALS, None, [left, right]) => self.compare(Comparison::AtMost, left, right),
            (GREATER, None, [left, right]) => self.compare(Comparison::More, left, right),
            (GREATER_EQUALS, None, [left, right]) => self.compare(Comparison::AtLeast, left, right),
            (IN, None, [value, list]) => self.is_in(value, list),
            (ADD, None, [left, right]) => self.sum(Sum::Add, left, right),
            (SUBSTRACT, None, [left, right]) => self.sum(Sum::Subtract, left, right),
            (MULTIPLY, None, [left, right]) => self.sum(Sum::Multiply, left, right),
            (DIVIDE, None, [left, right]) => self.sum(Sum::Divide, left, right),
            (MODULO, None, [left, right]) => self.sum(Sum::Remainder, left, right),
            (NEGATE, None, [one]) => {
                let node = self.expect(one, Type::Number)?;
                Ok((Node::Negate(Box::new(node)), Type::Number))
            }
            (INDEX, None, _) => Err(self.mistake(at, "ask a list with exists or all")),
            (EXISTS, Some(list), [name, body]) => self.walk(Walk::Exists, list, name, body),
            (ALL, Some(list), [name, body]) => self.walk(Walk::All, list, name, body),
            (EXISTS_ONE, Some(list), [name, body]) => self.walk(Walk::ExistsOne, list, name, body),
            (FILTER, Some(list), [name, body]) => self.walk(Walk::Filter, list, name, body),
            (MAP, Some(list), [name, body]) => self.walk(Walk::Map, list, name, body),
            ("size", Some(one), []) | ("size", None, [one]) => self.size(one),
            ("contains", Some(text), [part]) => self.within(Within::Contains, text, part),
            ("startsWith", Some(text), [part]) => self.within(Within::StartsWith, text, part),
            ("endsWith", Some(text), [part]) => self.within(Within::EndsWith, text, part),
            ("matches", Some(text), [pattern]) => self.matches(text, pattern),
            ("lowerAscii", Some(text), []) => {
                let node = self.expect(text, Type::Text)?;
                Ok((Node::Lower(Box::new(node)), Type::Text))
            }
            ("upperAscii", Some(text), []) => {
                let node = self.expect(text, Type::Text)?;
                Ok((Node::Upper(Box::new(node)), Type::Text))
            }
            ("timestamp", None, [text]) => self.time(text),
            _ => {
                let reason =
                    format!("{name} is no function, or not of these; there are {FUNCTIONS}");
                Err(self.mistake(at, reason))
            }
        }
    }

    fn compare(&mut self, comparison: Comparison, left: &IdedExpr, right: &IdedExpr) -> Checked {
        let (node, kind) = self.part(left)?;
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match kind {
            Type::Line | Type::List(_) => {
                return Err(self.mistake(left, format!("a {kind} cannot be compared")));
            }
            Type::Truth if ordered => {
                return Err(self.mistake(left, "a bool is neither more nor less"));
            }
            Type::Truth | Type::Number | Type::Text | Type::Time => {}
        }
        let sides = Box::new([node, self.expect(right, kind)?]);
        Ok((Node::Compare(comparison, sides), Type::Truth))
    }

    fn is_in(&mut self, value: &IdedExpr, list: &IdedExpr) -> Checked {
        let (node, kind) = self.part(value)?;
        let wanted = match kind {
            Type::Line | Type::List(_) => None,
            kind => kind.list(),
        };
        let Some(wanted) = wanted else {
            return Err(self.mistake(value, format!("a {kind} cannot be compared")));
        };
        let sides = Box::new([node, self.expect(list, wanted)?]);
        Ok((Node::In(sides), Type::Truth))
    }

    fn sum(&mut self, sum: Sum, left: &IdedExpr, right: &IdedExpr) -> Checked {
        let sides = self.both(left, right, Type::Number)?;
        Ok((Node::Sum(sum, sides), Type::Number))
    }

    fn size(&mut self, of: &IdedExpr) -> Checked {
        match self.part(of)? {
            (node, Type::Text | Type::List(_)) => Ok((Node::Size(Box::new(node)), Type::Number)),
            (_, other) => Err(self.mistake(of, format!("a {other} has no size"))),
        }
    }

    fn within(&mut self, within: Within, text: &IdedExpr, part: &IdedExpr) -> Checked {
        let sides = self.both(text, part, Type::Text)?;
        Ok((Node::Within(within, sides), Type::Truth))
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Checked {
        let text = self.expect(text, Type::Text)?;
        let written = self.written(pattern, "the pattern")?;
        let compiled = RegexBuilder::new(written)
            .size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|error| self.mistake(pattern, format!("it is no pattern: {error}")))?;
        let node = Node::Matches(Box::new(text), Box::new(compiled));
        Ok((node, Type::Truth))
    }

    fn time(&mut self, text: &IdedExpr) -> Checked {
        let written = self.written(text, "the time")?;
        let at: DateTime<Utc> = written
            .parse()
            .map_err(|_| self.mistake(text, "a time is written like \"2026-12-01T09:00:00Z\""))?;
        Ok((Node::Constant(Value::Time(at)), Type::Time))
    }

    /// A text that must stand in the source, so that it can be checked now.
    fn written<'e>(&self, part: &'e IdedExpr, what: &str) -> Result<&'e str, Mistake> {
        match &part.expr {
            Expr::Literal(LiteralValue::String(text)) => Ok(text.inner()),
            _ => Err(self.mistake(part, format!("{what} must be written out"))),
        }
    }

    fn walk(&mut self, walk: Walk, list: &IdedExpr, name: &IdedExpr, body: &IdedExpr) -> Checked {
        let (over, kind) = self.part(list)?;
        let Type::List(of) = kind else {
            return Err(self.mistake(list, format!("a {kind} is no list")));
        };
        let Expr::Ident(own) = &name.expr else {
            return Err(self.mistake(name, "a name for the value is needed here"));
        };
        let taken =
            self.items.iter().any(|(other, _)| other == own) || groups().contains(&own.as_str());
        if taken {
            return Err(self.mistake(name, format!("{own} is something else already")));
        }
        self.items.push((own.clone(), *of));
        let checked = match walk {
            Walk::Map => self.part(body),
            _ => self
                .expect(body, Type::Truth)
                .map(|node| (node, Type::Truth)),
        };
        self.items.pop();
        let (body_node, result) = checked?;
        let kind = match walk {
            Walk::Exists | Walk::All | Walk::ExistsOne => Type::Truth,
            Walk::Filter => kind,
            Walk::Map => result
                .list()
                .ok_or_else(|| self.mistake(body, "there are no lists of lists"))?,
        };
        let node = Node::Walk {
            walk,
            over: Box::new(over),
            body: Box::new(body_node),
        };
        Ok((node, kind))
    }
}

/// What a function may be called.
const FUNCTIONS: &str = "size, contains, startsWith, endsWith, matches, lowerAscii, upperAscii, \
    timestamp, exists, all, exists_one, filter and map";

/// What the names of fields begin with.
fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = FIELDS
        .iter()
        .filter_map(|field| field.name.split('.').next())
        .collect();
    groups.dedup();
    groups
}
