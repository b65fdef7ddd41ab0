//! Documents made to hurt, and those that must still pass.

use std::time::Instant;

use serde_json::Map;

use super::*;
use crate::http::limits::Limits;
use crate::http::operation::prepare;
use crate::http::response::code;

/// What clients ask to learn the schema, as graphql-js words it.
pub(super) const INTROSPECTION: &str = "
query IntrospectionQuery {
  __schema {
    description queryType { name } mutationType { name } subscriptionType { name }
    types { ...FullType }
    directives { name description isRepeatable locations
      args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description specifiedByURL
  fields(includeDeprecated: true) {
    name description args(includeDeprecated: true) { ...InputValue }
    type { ...TypeRef } isDeprecated deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue {
  name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
}
fragment TypeRef on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
    ofType { kind name ofType { kind name ofType { kind name ofType { kind name
      ofType { kind name } } } } } } } } }
}";

fn nested(open: &str, times: usize, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

fn many(times: usize, each: impl Fn(usize) -> String) -> String {
    (0..times).map(each).collect::<Vec<_>>().join(" ")
}

/// Fragments of which each uses the next `uses` times.
fn doubling(levels: usize, uses: usize, end: &str) -> String {
    let fragments = many(levels, |n| {
        let next = format!("...F{} ", n + 1).repeat(uses);
        format!("fragment F{n} on Query {{ {next} }}")
    });
    format!("{{ ...F0 }} {fragments} fragment F{levels} on Query {{ {end} }}")
}

/// Name, document, and what it must be refused for: a limit, or a code.
fn corpus() -> Vec<(String, String, &'static str)> {
    let mut corpus = Vec::new();
    let mut add = |name: &str, document: String, refusal| {
        corpus.push((name.to_owned(), document, refusal));
    };
    // Fragments that multiply.
    add("25 levels of two", doubling(25, 2, "hello"), "selections");
    add(
        "25 empty levels of two",
        doubling(25, 2, "...Gone"),
        "selections",
    );
    add("66 levels of two", doubling(66, 2, "hello"), "nesting");
    add("55 levels of four", doubling(55, 4, "hello"), "selections");
    add(
        "5 levels of twenty",
        doubling(5, 20, "node { value }"),
        "selections",
    );
    add("levels of aliases", doubling(10, 2, "a: hello"), "aliases");
    add(
        "levels below a field",
        doubling(14, 2, "hello").replacen("{ ...F0 }", "{ node { ...F0 } }", 1),
        "selections",
    );
    add(
        "levels of directives",
        doubling(4, 2, "hello @skip(if: false)").replacen("{ ...F0 }", "{ node { ...F0 } }", 1),
        "directives",
    );
    add(
        "levels that nobody uses",
        doubling(25, 2, "hello").replacen("{ ...F0 }", "{ hello }", 1),
        "selections",
    );
    add(
        "levels in a subscription",
        doubling(8, 2, "hello").replacen("{ ...F0 }", "subscription { ...F0 }", 1),
        "root_fields",
    );
    add(
        "a chain of 150 fragments",
        many(150, |n| {
            format!("fragment F{n} on Query {{ ...F{} }}", n + 1)
        }) + "{ ...F0 }",
        "nesting",
    );
    add(
        "a chain of 150 that nobody uses",
        many(150, |n| {
            format!("fragment F{n} on Query {{ ...F{} }}", n + 1)
        }) + "{ hello }",
        "nesting",
    );
    add(
        "depth through fragments",
        many(13, |n| {
            format!("fragment F{n} on Node {{ node {{ ...F{} }} }}", n + 1)
        }) + "fragment F13 on Node { value } { node { ...F0 } }",
        "depth",
    );
    // Cycles.
    for (name, document) in [
        (
            "a fragment in itself",
            "{ ...A } fragment A on Query { ...A }",
        ),
        (
            "below a field",
            "{ node { ...A } } fragment A on Node { node { ...A } }",
        ),
        (
            "two in each other",
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        ),
        (
            "that nobody uses",
            "{ hello } fragment A on Query { ...B } fragment B on Query { ...A }",
        ),
        (
            "in an inline fragment",
            "{ ...A } fragment A on Query { ... on Query { ...A } }",
        ),
        (
            "behind a directive",
            "{ ...A } fragment A on Query { ...A @skip(if: true) }",
        ),
        (
            "inside introspection",
            "{ __schema { types { ...A } } } fragment A on __Type { ofType { ...A } }",
        ),
    ] {
        add(
            &format!("cycle: {name}"),
            document.into(),
            "GRAPHQL_VALIDATION_FAILED",
        );
    }
    add(
        "a cycle of 100",
        many(100, |n| {
            format!("fragment F{n} on Query {{ ...F{} }}", (n + 1) % 100)
        }) + "{ ...F0 }",
        "nesting",
    );
    // Many of something.
    add(
        "10,000 aliases",
        format!("{{ {} }}", many(10_000, |n| format!("a{n}: hello"))),
        "tokens",
    );
    add(
        "31 aliases",
        format!("{{ node {{ {} }} }}", many(31, |n| format!("a{n}: value"))),
        "aliases",
    );
    add(
        "16 root fields",
        format!("{{ {} }}", "hello ".repeat(16)),
        "root_fields",
    );
    add(
        "50,000 fields",
        format!("{{ {} }}", "hello ".repeat(40_000)),
        "tokens",
    );
    add(
        "11 directives",
        format!("{{ hello {} }}", "@a ".repeat(11)),
        "directives",
    );
    add(
        "5,000 directives",
        format!("{{ hello {} }}", "@a ".repeat(5_000)),
        "tokens",
    );
    add(
        "directives on the operation",
        format!("query {} {{ hello }}", "@a ".repeat(11)),
        "directives",
    );
    add(
        "directives on variables",
        format!(
            "query ({}) {{ hello }}",
            many(11, |n| format!("$v{n}: Int @a"))
        ),
        "directives",
    );
    add(
        "directives on a spread",
        format!(
            "{{ ...A {} }} fragment A on Query {{ hello }}",
            "@a ".repeat(11)
        ),
        "directives",
    );
    add(
        "directives on a fragment",
        format!(
            "{{ hello }} fragment A on Query {} {{ hello }}",
            "@a ".repeat(11)
        ),
        "directives",
    );
    add(
        "11 operations",
        many(11, |n| format!("query Q{n} {{ hello }}")),
        "operations",
    );
    add(
        "400 operations",
        many(400, |n| format!("query Q{n} {{ hello }}")),
        "operations",
    );
    add(
        "5,000 operations",
        many(5_000, |n| format!("query Q{n} {{ hello }}")),
        "tokens",
    );
    add(
        "1,000 variables",
        format!(
            "query ({}) {{ hello }}",
            many(1_000, |n| format!("$v{n}: Int"))
        ),
        "tokens",
    );
    add(
        "1,000 arguments",
        format!("{{ number({}) }}", many(1_000, |n| format!("a{n}: 1"))),
        "tokens",
    );
    add(
        "a list of 100,000",
        format!("{{ list(of: [{}]) }}", "1,".repeat(100_000)),
        "tokens",
    );
    add(
        "a list without separators",
        format!("{{ list(of: [{}]) }}", "-1".repeat(2_000)),
        "tokens",
    );
    add(
        "fields between byte order marks",
        format!("{{{}}}", "a\u{feff}".repeat(3_000)),
        "tokens",
    );
    add("punctuators", "!".repeat(200_000), "tokens");
    add(
        "commas without end",
        ",".repeat(250_000),
        "GRAPHQL_PARSE_FAILED",
    );
    // Deep nesting.
    add(
        "13 levels",
        nested("{ node ", 12, "{ node { value } }", "}"),
        "depth",
    );
    add(
        "33 levels",
        nested("{ node ", 33, "{ value }", "}"),
        "depth",
    );
    add("10,000 levels", nested("{a", 10_000, "", "}"), "nesting");
    for (name, open, close) in [
        ("braces", "{", "}"),
        ("brackets", "[", "]"),
        ("parentheses", "(", ")"),
        ("objects", "{a:", "}"),
        ("selections", "{a", "}"),
    ] {
        add(
            &format!("10,000 {name}"),
            nested(open, 10_000, "", close),
            "any",
        );
        add(
            &format!("1,000 {name}"),
            nested(open, 900, "", close),
            "any",
        );
        add(&format!("open {name}"), open.repeat(60_000), "any");
    }
    add(
        "a literal of lists",
        format!("{{ number(n: {}) }}", nested("[", 10_000, "1", "]")),
        "nesting",
    );
    add(
        "a literal of objects",
        format!("{{ number(n: {}) }}", nested("{a:", 500, "1", "}")),
        "nesting",
    );
    add(
        "a default of lists",
        format!(
            "query ($a: Int = {}) {{ hello }}",
            nested("[", 900, "1", "]")
        ),
        "nesting",
    );
    add(
        "a type of lists",
        format!("query ($a: {}) {{ hello }}", nested("[", 900, "Int", "]")),
        "nesting",
    );
    add(
        "inline fragments",
        nested("{ ... on Query ", 70, "{ hello }", "}"),
        "nesting",
    );
    add(
        "directives in directives",
        format!("{{ hello @a(x: {}) }}", nested("[", 100, "", "]")),
        "nesting",
    );
    // Introspection that walks in circles.
    add(
        "deep introspection",
        format!(
            "{{ __schema {{ types {{ {} }} }} }}",
            nested("ofType { ", 20, "name", "}")
        ),
        "introspection_depth",
    );
    add(
        "lists of lists",
        format!(
            "{{ __schema {{ types {{ {} }} }} }}",
            nested("fields { type { ", 3, "name", "} }")
        ),
        "introspection_lists",
    );
    add(
        "lists of lists in fragments",
        "{ __type(name: \"A\") { ...A } } fragment A on __Type { fields { type { ...B } } } \
         fragment B on __Type { possibleTypes { interfaces { name } } }"
            .into(),
        "introspection_lists",
    );
    // What is within the limits and keeps the engine busy.
    let unknown = many(60, |n| format!("{}{n}", "x".repeat(4_000)));
    add(
        "60 long unknown fields",
        format!("{{ node {{ {unknown} }} }}"),
        "valid",
    );
    let unknown = many(1_900, |n| format!("valu{n}"));
    add(
        "1,900 unknown fields",
        format!("{{ node {{ {unknown} }} }}"),
        "valid",
    );
    let same = "value ".repeat(1_900);
    add(
        "1,900 equal fields",
        format!("{{ node {{ {same} gone }} }}"),
        "valid",
    );
    let nodes = "node { value } ".repeat(400);
    add(
        "400 equal objects",
        format!("{{ node {{ {nodes} gone }} }}"),
        "valid",
    );
    let conflicts = many(15, |n| format!("number(n: {n})"));
    add(
        "conflicting arguments",
        format!("{{ {conflicts} }}"),
        "valid",
    );
    let twice = (0..7).fold("value".to_owned(), |inner, _| {
        format!("node {{ {inner} }} node {{ {inner} }}")
    });
    add("pairs of pairs", format!("{{ {twice} gone }}"), "valid");
    let spread = doubling(9, 2, "node { value } gone").replace("on Query", "on Node");
    add(
        "levels within the limits",
        spread.replacen("{ ...F0 }", "{ node { ...F0 } }", 1),
        "valid",
    );
    let users = many(100, |n| format!("fragment U{n} on Node {{ ...F0 }}"));
    add(
        "many users of one fragment",
        format!(
            "{{ hello }} {users} fragment F0 on Node {{ {} }}",
            "value ".repeat(45)
        ),
        "valid",
    );
    let pairs = many(60, |n| {
        format!(
            "fragment P{n} on Node {{ {} }}",
            many(6, |m| format!("...P{}", (n + m + 1).min(60)))
        )
    });
    add(
        "fragments that use many",
        format!("{{ hello }} {pairs} fragment P60 on Node {{ value }}"),
        "selections",
    );
    // Strings and bytes.
    add(
        "a string of 250,000",
        format!("{{ number(n: \"{}\") }}", "x".repeat(250_000)),
        "valid",
    );
    add(
        "an open string",
        format!("{{ number(n: \"{}", "x".repeat(250_000)),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "escapes",
        format!("{{ number(n: \"{}\") }}", "\\n".repeat(100_000)),
        "valid",
    );
    add(
        "a bad escape",
        "{ number(n: \"\\q\") }".into(),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "half a surrogate",
        "{ number(n: \"\\uD800\") }".into(),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "a block string",
        format!("{{ number(n: \"\"\"{}\"\"\") }}", "\n ".repeat(100_000)),
        "valid",
    );
    add(
        "brackets behind an open block string",
        format!("{{ list(of: [\"\"\"a\" {}", "[".repeat(100_000)),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "a comment of 250,000",
        format!("# {}\n{{ nonsense", "x".repeat(250_000)),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "comments between tokens",
        format!(
            "{{ {}",
            "a # xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n".repeat(1_900)
        ),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "a name of 250,000",
        format!("{{ {} }}", "x".repeat(250_000)),
        "valid",
    );
    add(
        "a number of 250,000",
        format!("{{ number(n: {}) }}", "9".repeat(250_000)),
        "any",
    );
    add(
        "a huge exponent",
        "{ number(n: 1e999999999) }".into(),
        "GRAPHQL_PARSE_FAILED",
    );
    add("zero bytes", "\0".repeat(1_000), "GRAPHQL_PARSE_FAILED");
    add("nothing", String::new(), "GRAPHQL_PARSE_FAILED");
    add(
        "only fragments",
        "fragment A on Query { hello }".into(),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "the same operation twice",
        "query A { hello } query A { hello }".into(),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "two without a name",
        "{ hello } { hello }".into(),
        "GRAPHQL_PARSE_FAILED",
    );
    add(
        "a type system",
        "type Query { a: Int }".into(),
        "GRAPHQL_PARSE_FAILED",
    );
    add("emoji", "{ \u{1f600} }".into(), "GRAPHQL_PARSE_FAILED");
    corpus
}

/// The milliseconds that a debug build may take on a busy machine; the aim is 50 in a release.
const PATIENCE_MS: u128 = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_document_is_refused_in_time() {
    let corpus = corpus();
    assert!(corpus.len() >= 80, "{}", corpus.len());
    let schema = Schema::new(Query, Mutation, Feed);
    for (name, document, refusal) in corpus {
        let begun = Instant::now();
        let prepared = prepare(&document, None, Map::new(), Map::new(), &Limits::default());
        let error = match prepared {
            Err(error) => error,
            // What the weighing has no reason to refuse, the engine must refuse as fast.
            Ok(operation) => {
                assert!(
                    ["valid", "any", "GRAPHQL_VALIDATION_FAILED"].contains(&refusal),
                    "{name} passed"
                );
                let mut response = schema.execute(operation.request).await;
                assert!(response.is_err(), "{name} ran");
                response.errors.remove(0)
            }
        };
        let elapsed = begun.elapsed().as_millis();
        assert!(elapsed < PATIENCE_MS, "{name} took {elapsed} ms");
        let limit = error
            .extensions
            .as_ref()
            .and_then(|extensions| extensions.get("limit"))
            .and_then(|limit| limit.clone().into_json().ok());
        match (refusal, limit) {
            ("any" | "valid", _) => {}
            (expected, Some(limit)) => {
                assert_eq!(limit, expected, "{name}");
                assert_eq!(code(&error), Some("GRAPHQL_VALIDATION_FAILED"), "{name}");
            }
            (expected, None) => {
                let found = code(&error).unwrap_or("GRAPHQL_VALIDATION_FAILED");
                assert_eq!(found, expected, "{name}: {}", error.message);
            }
        }
        assert!(
            error.message.len() < 400 || code(&error).is_none(),
            "{name}: {}",
            error.message
        );
    }
}

#[test]
fn what_clients_really_send_passes() {
    let page = format!(
        "query Page($n: Int!) {{ a: number(n: $n) {} node {{ ...N }} }} fragment N on Node {{ value {} }}",
        "hello ".repeat(10),
        nested("node { ", 9, "value", "}"),
    );
    let operations = many(10, |n| format!("query Q{n} {{ hello }}"));
    let mut variables = Map::new();
    variables.insert("n".into(), json!(1));
    for (name, document, operation) in [
        ("introspection", INTROSPECTION, None),
        ("a page", &page, None),
        ("ten operations", &operations, Some("Q3".to_owned())),
        (
            "exactly 12 levels",
            &nested("{ node ", 11, "{ value }", "}"),
            None,
        ),
    ] {
        let limits = Limits::default();
        let result = prepare(document, operation, variables.clone(), Map::new(), &limits);
        assert!(result.is_ok(), "{name}: {:?}", result.err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_document_is_refused_on_the_servers_own_thread() {
    // The server's threads have smaller stacks than a test's main thread may have.
    let server = Server::start().await;
    for document in [
        doubling(25, 2, "hello"),
        "[".repeat(60_000),
        nested("{ ... on Query ", 63, "{ hello }", "}"),
        format!("{{ number(n: {}) }}", nested("[", 61, "1", "]")),
        format!("{{ number(n: {}) }}", nested("{a:", 61, "1", "}")),
        many(150, |n| {
            format!("fragment F{n} on Query {{ ...F{} }}", n + 1)
        }) + "{ ...F0 }",
        format!("{{ {} }}", "x".repeat(200_000)),
        format!("{{ node {{ {} }} }}", many(1_900, |n| format!("valu{n}"))),
    ] {
        let refused = answer(server.query(&document)).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.code().starts_with("GRAPHQL_"));
        assert!(refused.body.to_string().len() < 30_000);
    }
}
