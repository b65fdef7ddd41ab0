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
    /// Fields in a document.
    pub fields: usize,
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
            fields: 5_000,
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
    let mut fields = 0_usize;
    for (_, operation) in document.operations.iter() {
        let set = &operation.node.selection_set;
        let mut weight = scale.set(set, 1)?;
        weight.add_directives(operation.node.directives.len());
        for variable in &operation.node.variable_definitions {
            weight.add_directives(variable.node.directives.len());
        }
        fields = fields.saturating_add(weight.fields);
        within(
            "root_fields",
            weight.here,
            limits.root_fields,
            Some(set.pos),
        )?;
        weight.check(limits, set.pos)?;
    }
    // A fragment that nothing uses is weighed too: the engine validates it all the same.
    for (name, fragment) in &document.fragments {
        let weight = scale.fragment(name, fragment, 1)?;
        weight.check(limits, fragment.pos)?;
    }
    within("fields", fields, limits.fields, None)
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
    fields: usize,
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
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.add_directives(other.directives);
    }

    fn add_directives(&mut self, directives: usize) {
        self.directives = self.directives.saturating_add(directives);
    }

    fn check(&self, limits: &Limits, pos: Pos) -> Result<(), ServerError> {
        for (name, actual, allowed) in [
            ("nesting", self.height, limits.nesting),
            ("depth", self.depth, limits.depth),
            ("fields", self.fields, limits.fields),
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
        weight.fields = weight.fields.saturating_add(1);
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
