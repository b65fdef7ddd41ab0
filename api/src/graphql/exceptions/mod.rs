//! What waits for a person, and by what it is found.

use async_graphql::MergedObject;

pub mod rules;

/// Reads of what makes exceptions.
#[derive(MergedObject, Default)]
pub struct ExceptionQuery(rules::RuleQuery);

/// Changes of what makes exceptions.
#[derive(MergedObject, Default)]
pub struct ExceptionMutation(rules::RuleMutation);
