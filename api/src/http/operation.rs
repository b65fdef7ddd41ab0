//! From the text of a document to an operation that may run: scanned, parsed, weighed, its
//! operation chosen and its required variables present.

use std::collections::HashSet;
use std::panic;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::parser::{self, parse_query};
use async_graphql::{Pos, Positioned, Request, ServerError, Variables};
use serde_json::Map;

use super::limits::{Limits, weigh, within};
use super::refusal::Code;
use super::scan::scan;

/// An operation that is within the limits. Whether it fits the schema, the engine will say.
#[derive(Debug)]
pub(super) struct Operation {
    /// The request for the engine, its document parsed.
    pub request: Request,
    /// Query, mutation or subscription.
    pub kind: OperationType,
    /// Where the document takes values.
    pub places: Places,
}

/// What people call a kind of operation.
pub(super) fn name(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// Reads and weighs a document and picks the operation to run.
pub(super) fn prepare(
    text: &str,
    operation_name: Option<String>,
    variables: Map<String, serde_json::Value>,
    extensions: Map<String, serde_json::Value>,
    limits: &Limits,
) -> Result<Operation, ServerError> {
    let document = read(text, limits)?;
    weigh(&document, limits)?;
    let chosen = choose(&document, operation_name.as_deref())?;
    let kind = chosen.node.ty;
    if kind == OperationType::Subscription {
        within(
            "subscription_root_fields",
            roots(&document, chosen),
            1,
            Some(chosen.pos),
        )?;
    }
    require_variables(&chosen.node, &variables)?;

    let places = Places::of(&document);
    let mut request = Request::new(text);
    request.operation_name = operation_name;
    request.variables = Variables::from_json(serde_json::Value::Object(variables));
    for (name, value) in extensions {
        // Every JSON value is a GraphQL value.
        if let Ok(value) = async_graphql::Value::from_json(value) {
            request.extensions.insert(name, value);
        }
    }
    request.set_parsed_query(document);
    Ok(Operation {
        request,
        kind,
        places,
    })
}

/// Parses a text that the parser can take without harm.
fn read(text: &str, limits: &Limits) -> Result<ExecutableDocument, ServerError> {
    let shape = scan(text, limits.tokens, limits.nesting);
    within("tokens", shape.tokens, limits.tokens, None)?;
    within("nesting", shape.nesting, limits.nesting, None)?;
    if shape.unterminated {
        return Err(Code::ParseFailed.error("Syntax error: a block string has no end.", None));
    }
    // The parser trusts its grammar and unwraps. None of that is known to fail; if it did, the
    // panic would end the connection without an answer.
    match panic::catch_unwind(|| parse_query(text)) {
        Ok(Ok(document)) => Ok(document),
        Ok(Err(error)) => Err(parse_error(&error)),
        Err(_) => Err(Code::ParseFailed.error("Syntax error.", None)),
    }
}

/// The parser's complaint without the copy of the source line that it brings along.
fn parse_error(error: &parser::Error) -> ServerError {
    let told = error.to_string();
    let reason = told
        .rsplit_once("= ")
        .map_or(told.as_str(), |(_, tail)| tail);
    let reason: String = reason.trim().chars().take(200).collect();
    Code::ParseFailed.error(format!("Syntax error: {reason}"), error.positions().next())
}

/// The operation with this name, or the only one.
fn choose<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a Positioned<OperationDefinition>, ServerError> {
    let missing = |message: &str| Err(Code::ValidationFailed.error(message, None));
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations
            .values()
            .next()
            .map_or_else(|| missing("The document has no operation."), Ok),
        (DocumentOperations::Multiple(_), None) => {
            missing("The document has several operations; operationName must say which to run.")
        }
        (DocumentOperations::Single(_), Some(_)) => {
            missing("The document has no operation of this name.")
        }
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name).map_or_else(
            || missing("The document has no operation of this name."),
            Ok,
        ),
    }
}

/// Refuses an operation that lacks a variable it declares as required. The engine looks only when
/// a field asks for it, when earlier fields of a mutation have run.
fn require_variables(
    operation: &OperationDefinition,
    given: &Map<String, serde_json::Value>,
) -> Result<(), ServerError> {
    for variable in &operation.variable_definitions {
        let name = &variable.node.name.node;
        if variable.node.var_type.node.nullable {
            continue;
        }
        let problem = match given.get(name.as_str()) {
            Some(serde_json::Value::Null) => "must not be null",
            None if variable.node.default_value.is_none() => "is required",
            _ => continue,
        };
        return Err(Code::BadUserInput.error(
            format!("The variable ${name} {problem}."),
            Some(variable.pos),
        ));
    }
    Ok(())
}

/// How many fields stand at the top of an operation, fragments opened. The document is weighed, so
/// there is no cycle and the walk is bounded by the limit of fields.
fn roots(document: &ExecutableDocument, operation: &Positioned<OperationDefinition>) -> usize {
    fn count(document: &ExecutableDocument, set: &SelectionSet) -> usize {
        let items = set.items.iter();
        items
            .map(|item| match &item.node {
                Selection::Field(_) => 1,
                Selection::InlineFragment(inline) => {
                    count(document, &inline.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => document
                    .fragments
                    .get(&spread.node.fragment_name.node)
                    .map_or(0, |found| count(document, &found.node.selection_set.node)),
            })
            .sum()
    }
    count(document, &operation.node.selection_set.node)
}

/// Where a document takes values, by which an error of the engine is known to be about one.
#[derive(Debug, Default)]
pub(super) struct Places(HashSet<Pos>);

impl Places {
    /// Whether the place is that of an argument's value, or of an argument that uses a variable.
    /// An error there is about input; what the engine finds wrong with a literal before execution
    /// stands at the argument's name.
    pub fn takes_input(&self, pos: &Pos) -> bool {
        self.0.contains(pos)
    }

    fn of(document: &ExecutableDocument) -> Self {
        let mut places = Places::default();
        for (_, operation) in document.operations.iter() {
            places.directives(&operation.node.directives);
            places.set(&operation.node.selection_set.node);
        }
        for fragment in document.fragments.values() {
            places.directives(&fragment.node.directives);
            places.set(&fragment.node.selection_set.node);
        }
        places
    }

    fn set(&mut self, set: &SelectionSet) {
        for item in &set.items {
            self.directives(item.node.directives());
            match &item.node {
                Selection::Field(field) => {
                    for (name, value) in &field.node.arguments {
                        self.argument(
                            name.pos,
                            value.pos,
                            value.node.clone().into_const().is_some(),
                        );
                    }
                    self.set(&field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        for directive in directives {
            for (name, value) in &directive.node.arguments {
                self.argument(
                    name.pos,
                    value.pos,
                    value.node.clone().into_const().is_some(),
                );
            }
        }
    }

    fn argument(&mut self, name: Pos, value: Pos, literal: bool) {
        self.0.insert(value);
        if !literal {
            self.0.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::response::code;
    use super::*;

    fn prepared(
        text: &str,
        name: Option<&str>,
        variables: serde_json::Value,
    ) -> Result<Operation, ServerError> {
        let serde_json::Value::Object(variables) = variables else {
            panic!("variables are an object");
        };
        let name = name.map(str::to_owned);
        prepare(text, name, variables, Map::new(), &Limits::default())
    }

    #[test]
    fn the_operation_that_is_meant_is_chosen() {
        let two = "query A { a } mutation B { b }";
        let kind = |text, name| prepared(text, name, json!({})).map(|found| found.kind).ok();
        assert_eq!(kind(two, Some("A")), Some(OperationType::Query));
        assert_eq!(kind(two, Some("B")), Some(OperationType::Mutation));
        assert_eq!(
            kind("mutation B { b }", None),
            Some(OperationType::Mutation)
        );
        assert_eq!(kind(two, None), None);
        assert_eq!(kind(two, Some("C")), None);
        assert_eq!(kind("{ a }", Some("A")), None);
    }

    #[test]
    fn required_variables_must_be_there() {
        let text = "query($a: Int!, $b: Int! = 1, $c: Int) { a(a: $a, b: $b, c: $c) }";
        assert!(prepared(text, None, json!({"a": 1})).is_ok());
        for bad in [json!({}), json!({"a": null}), json!({"a": 1, "b": null})] {
            let error = prepared(text, None, bad).expect_err("a refusal");
            assert_eq!(code(&error), Some("BAD_USER_INPUT"));
        }
    }

    #[test]
    fn a_syntax_error_says_where_and_does_not_quote_the_document() {
        let text = format!("{{ a(x: \"{}\") ", "secret ".repeat(1_000));
        let error = prepared(&text, None, json!({})).expect_err("a refusal");
        assert_eq!(code(&error), Some("GRAPHQL_PARSE_FAILED"));
        assert!(
            error.message.starts_with("Syntax error: expected"),
            "{}",
            error.message
        );
        assert!(!error.message.contains("secret"));
        assert_eq!(error.locations.len(), 1);
    }

    #[test]
    fn a_variable_makes_its_argument_a_place_of_input() {
        let text = "query($v: Int) { a(x: 1, y: [$v]) }";
        let places = prepared(text, None, json!({}))
            .expect("an operation")
            .places;
        let takes = |needle: &str| {
            let column = text.find(needle).expect("a place") + 1;
            places.takes_input(&Pos { line: 1, column })
        };
        assert!(takes("1,") && takes("[$v]") && takes("y:"));
        assert!(!takes("x:") && !takes("a("));
    }
}
