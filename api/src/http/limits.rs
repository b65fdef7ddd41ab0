//! Weighing a document before the schema sees it.
//!
//! The engine's own limits walk fragments again at each use: twenty-five of them, each using the
//! next twice, are one kilobyte and hold a thread for minutes. Here each fragment is weighed once,
//! and its weight is added where it is used; sums saturate.

use std::collections::HashMap;

use async_graphql::parser::types::{
    ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, ServerError};

use super::refusal::Code;

/// How large a request may be. What a fragment holds counts at each of its uses.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The body of a request, in bytes after decompression.
    pub body_bytes: usize,
    /// The variables as JSON, in bytes.
    pub variables_bytes: usize,
    /// Names, numbers, strings and punctuators in the text.
    pub tokens: usize,
    /// Brackets of all kinds inside each other, and selection sets through fragments.
    pub nesting: usize,
    /// Fields inside each other.
    pub depth: usize,
    /// Fields inside `__schema` and `__type`, which do not count for `depth`.
    pub introspection_depth: usize,
    /// Lists of the schema inside each other under `__schema` and `__type`: each level multiplies
    /// the answer by the size of the schema.
    pub introspection_lists: usize,
    /// Aliases in an operation.
    pub aliases: usize,
    /// Fields at the top of an operation.
    pub root_fields: usize,
    /// Directives in an operation.
    pub directives: usize,
    /// Operations in a document.
    pub operations: usize,
    /// Fields and fragments used, in all operations and fragments of a document together. Uses
    /// count beside fields because the engine walks them even when no field comes of it.
    pub selections: usize,
    /// Whether the schema may be asked about itself.
    pub introspection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes: 256 * 1024,
            variables_bytes: 128 * 1024,
            tokens: 2_000,
            nesting: 64,
            depth: 12,
            introspection_depth: 20,
            introspection_lists: 2,
            aliases: 30,
            root_fields: 15,
            directives: 10,
            operations: 10,
            selections: 5_000,
            introspection: true,
        }
    }
}

/// The lists by which a schema can be walked for ever.
const SCHEMA_LISTS: [&str; 4] = ["fields", "interfaces", "possibleTypes", "inputFields"];

/// Refuses a document that is over a limit. Each error says which in `extensions.limit`, with
/// `actual` and `allowed`.
pub(super) fn weigh(document: &ExecutableDocument, limits: &Limits) -> Result<(), ServerError> {
    let operations = document.operations.iter().count();
    within("operations", operations, limits.operations, None)?;
    let mut scale = Scale {
        fragments: &document.fragments,
        known: HashMap::new(),
        limits,
    };
    let mut selections = 0_usize;
    for (_, operation) in document.operations.iter() {
        let set = &operation.node.selection_set;
        let mut weight = scale.set(set, 1)?;
        weight.add_directives(operation.node.directives.len());
        for variable in &operation.node.variable_definitions {
            weight.add_directives(variable.node.directives.len());
        }
        selections = selections.saturating_add(weight.selections);
        weight.check(limits, limits.depth, set.pos)?;
        within(
            "root_fields",
            weight.here,
            limits.root_fields,
            Some(set.pos),
        )?;
    }
    // A fragment that nothing uses is weighed too: the engine validates it all the same. One on a
    // type of the schema about itself stands inside introspection.
    for (name, fragment) in &document.fragments {
        let weight = scale.fragment(name, fragment, 1)?;
        selections = selections.saturating_add(weight.selections);
        let introspects = fragment.node.type_condition.node.on.node.starts_with("__");
        let depth = if introspects {
            limits.introspection_depth
        } else {
            limits.depth
        };
        weight.check(limits, depth, fragment.pos)?;
    }
    within("selections", selections, limits.selections, None)
}

/// What a selection set holds, the fragments in it included.
#[derive(Clone, Copy, Default)]
struct Weight {
    /// Selection sets inside each other.
    height: usize,
    /// Fields inside each other.
    depth: usize,
    /// Lists of a schema inside each other.
    lists: usize,
    /// Fields directly in the set.
    here: usize,
    /// Fields, and uses of fragments.
    selections: usize,
    aliases: usize,
    directives: usize,
}

impl Weight {
    /// Adds a selection that stands beside the others.
    fn add(&mut self, other: Weight) {
        self.height = self.height.max(other.height);
        self.depth = self.depth.max(other.depth);
        self.lists = self.lists.max(other.lists);
        self.here = self.here.saturating_add(other.here);
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.add_directives(other.directives);
    }

    fn add_directives(&mut self, directives: usize) {
        self.directives = self.directives.saturating_add(directives);
    }

    fn check(&self, limits: &Limits, depth: usize, pos: Pos) -> Result<(), ServerError> {
        for (name, actual, allowed) in [
            ("nesting", self.height, limits.nesting),
            ("depth", self.depth, depth),
            ("selections", self.selections, limits.selections),
            ("aliases", self.aliases, limits.aliases),
            ("directives", self.directives, limits.directives),
        ] {
            within(name, actual, allowed, Some(pos))?;
        }
        Ok(())
    }
}

/// Weighs selection sets, with a memory for fragments.
struct Scale<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// `None` while a fragment is being weighed: to meet it then is a cycle.
    known: HashMap<&'a Name, Option<Weight>>,
    limits: &'a Limits,
}

impl<'a> Scale<'a> {
    fn set(
        &mut self,
        set: &'a Positioned<SelectionSet>,
        height: usize,
    ) -> Result<Weight, ServerError> {
        // Before going down, since a chain of fragments could be as deep as the document is long.
        within("nesting", height, self.limits.nesting, Some(set.pos))?;
        let mut weight = Weight::default();
        for selection in &set.node.items {
            let mut part = match &selection.node {
                Selection::Field(field) => self.field(field, height)?,
                Selection::InlineFragment(fragment) => {
                    self.set(&fragment.node.selection_set, height + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    let fragments = self.fragments;
                    match fragments.get_key_value(&spread.node.fragment_name.node) {
                        Some((name, fragment)) => self.fragment(name, fragment, height + 1)?,
                        // Validation has the better words for a fragment that is not there.
                        None => Weight::default(),
                    }
                }
            };
            part.selections = part.selections.saturating_add(1);
            part.add_directives(selection.node.directives().len());
            weight.add(part);
        }
        weight.height += 1;
        Ok(weight)
    }

    fn field(
        &mut self,
        field: &'a Positioned<Field>,
        height: usize,
    ) -> Result<Weight, ServerError> {
        let mut weight = if field.node.selection_set.node.items.is_empty() {
            Weight::default()
        } else {
            self.set(&field.node.selection_set, height + 1)?
        };
        let name = field.node.name.node.as_str();
        if matches!(name, "__schema" | "__type") {
            self.introspection(&weight, field.pos)?;
            weight.depth = 0;
            weight.lists = 0;
        }
        if SCHEMA_LISTS.contains(&name) {
            weight.lists += 1;
        }
        weight.depth += 1;
        weight.here = 1;
        if field.node.alias.is_some() {
            weight.aliases = weight.aliases.saturating_add(1);
        }
        Ok(weight)
    }

    /// Judges what stands inside `__schema` or `__type`.
    fn introspection(&self, inside: &Weight, pos: Pos) -> Result<(), ServerError> {
        if !self.limits.introspection {
            return Err(Code::ValidationFailed.error("Introspection is switched off.", Some(pos)));
        }
        for (name, actual, allowed) in [
            (
                "introspection_depth",
                inside.depth + 1,
                self.limits.introspection_depth,
            ),
            (
                "introspection_lists",
                inside.lists,
                self.limits.introspection_lists,
            ),
        ] {
            within(name, actual, allowed, Some(pos))?;
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        name: &'a Name,
        fragment: &'a Positioned<FragmentDefinition>,
        height: usize,
    ) -> Result<Weight, ServerError> {
        match self.known.get(name) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => {
                return Err(Code::ValidationFailed.error(
                    format!("The fragment {name} contains itself."),
                    Some(fragment.pos),
                ));
            }
            None => {}
        }
        self.known.insert(name, None);
        let mut weight = self.set(&fragment.node.selection_set, height)?;
        weight.add_directives(fragment.node.directives.len());
        self.known.insert(name, Some(weight));
        Ok(weight)
    }
}

/// An error when a count is over its limit.
pub(super) fn within(
    limit: &'static str,
    actual: usize,
    allowed: usize,
    pos: Option<Pos>,
) -> Result<(), ServerError> {
    if actual <= allowed {
        return Ok(());
    }
    let mut error = Code::ValidationFailed.error(
        format!("The document is over the limit of {allowed} for {limit}."),
        pos,
    );
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("limit", limit);
    extensions.set("actual", actual);
    extensions.set("allowed", allowed);
    Err(error)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn refused(document: &str, limits: &Limits) -> Option<String> {
        let document = parse_query(document).expect("GraphQL");
        let error = weigh(&document, limits).err()?;
        let extensions = error.extensions.expect("extensions");
        assert!(extensions.get("actual").is_some() && extensions.get("allowed").is_some());
        Some(extensions.get("limit").expect("a limit").to_string())
    }

    #[test]
    fn what_a_fragment_holds_counts_at_each_use() {
        let document = "{ ...A node { ...B } } \
            fragment A on Query { a: hello node { ...B } } fragment B on Node { b: value @x }";
        let exact = Limits {
            depth: 2,
            aliases: 3,
            root_fields: 3,
            directives: 2,
            operations: 1,
            selections: 8 + 4 + 1,
            nesting: 4,
            ..Limits::default()
        };
        assert_eq!(refused(document, &exact), None);
        for (limit, tighter) in [
            (
                "depth",
                Limits {
                    depth: 1,
                    ..exact.clone()
                },
            ),
            (
                "aliases",
                Limits {
                    aliases: 2,
                    ..exact.clone()
                },
            ),
            (
                "root_fields",
                Limits {
                    root_fields: 2,
                    ..exact.clone()
                },
            ),
            (
                "directives",
                Limits {
                    directives: 1,
                    ..exact.clone()
                },
            ),
            (
                "operations",
                Limits {
                    operations: 0,
                    ..exact.clone()
                },
            ),
            (
                "selections",
                Limits {
                    selections: 12,
                    ..exact.clone()
                },
            ),
            (
                "nesting",
                Limits {
                    nesting: 3,
                    ..exact.clone()
                },
            ),
        ] {
            assert_eq!(refused(document, &tighter), Some(format!("{limit:?}")));
        }
    }

    #[test]
    fn introspection_has_a_depth_of_its_own() {
        let limits = Limits {
            depth: 1,
            introspection_depth: 4,
            ..Limits::default()
        };
        assert_eq!(refused("{ __schema { types { kind } } }", &limits), None);
        let deeper = "{ __schema { types { ofType { ofType { kind } } } } }";
        let limit = Some("\"introspection_depth\"".to_owned());
        assert_eq!(refused(deeper, &limits), limit);
    }
}
