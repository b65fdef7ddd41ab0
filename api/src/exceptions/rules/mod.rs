//! Rules as data: an expression over the order, and what follows where it is true.
//!
//! A rule judges the orders that come while it is enabled, and those edits that change what it
//! sees. What it found stays found, under the version that found it, until a person settles it or
//! an edit puts it right: neither a change of the rule nor its end releases an order, or stops one.

use std::collections::BTreeSet;
use std::sync::Arc;

use entity::order_exception::Severity;
use entity::{ChannelId, ExceptionRuleId, exception_rule};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QuerySelect};
use serde_json::json;

use super::{Finding, Remedy};
use crate::checks::{Checks, expect_version};
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

pub mod context;
pub mod evaluate;
pub mod expression;

pub use context::{AddressContext, Count, History, LineContext, OrderContext, Particulars};
pub use evaluate::Fault;
pub use expression::{Answer, Expression, Mistake};

/// How many rules there may be: every order is judged by all of them.
pub const MOST_RULES: u64 = 100;

/// A rule that can be asked of orders.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its row.
    pub row: Arc<exception_rule::Model>,
    /// Its expression; a mistake if it was saved when there were other fields than today.
    pub expression: Arc<Result<Expression, Mistake>>,
}

impl Rule {
    /// Reads a rule's expression.
    pub fn new(row: exception_rule::Model) -> Rule {
        let expression = Arc::new(Expression::compile(&row.expression));
        let row = Arc::new(row);
        Rule { row, expression }
    }

    /// Whether it sees something else in an order than before.
    fn sees_a_change(&self, before: &OrderContext, after: &OrderContext) -> bool {
        self.expression
            .as_ref()
            .as_ref()
            .is_ok_and(|expression| expression.sees(before) != expression.sees(after))
    }

    /// Whether it judges the orders of a channel.
    fn judges(&self, channel: ChannelId) -> bool {
        self.row.enabled && self.row.channel_id.is_none_or(|own| own == channel)
    }

    /// What it finds wrong with an order. That it could not be evaluated is a finding too, which
    /// stops nothing.
    pub fn judge(&self, context: &OrderContext) -> Option<Finding> {
        let row = &self.row;
        let asked = match &*self.expression {
            Ok(expression) => expression.ask(context).map_err(|fault| fault.to_string()),
            Err(mistake) => Err(mistake.to_string()),
        };
        let mut details = json!({ "rule": row.code, "name": row.name, "version": row.version,
            "expression": row.expression });
        let (code, message) = match asked {
            Ok(Answer { holds: false, .. }) => return None,
            Ok(Answer { facts, .. }) => {
                details["facts"] = facts;
                (Code::RuleMatched, row.name.clone())
            }
            Err(reason) => {
                tracing::warn!(
                    rule = row.code,
                    version = row.version,
                    reason,
                    "a rule failed"
                );
                let message = format!("{}: the rule could not be evaluated: {reason}", row.name);
                details["reason"] = json!(reason);
                (Code::RuleFailed, message)
            }
        };
        Some(Finding {
            code,
            line: None,
            field: "order".to_owned(),
            message,
            details,
            rule: Some(row.clone()),
        })
    }
}

/// The enabled rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

impl RuleSet {
    /// Reads the expressions of rules, except of those that `before` has in the same version.
    pub fn new(rows: &[exception_rule::Model], before: &RuleSet) -> RuleSet {
        let kept = |row: &exception_rule::Model| {
            let same = |rule: &&Rule| rule.row.id == row.id && rule.row.version == row.version;
            before.rules.iter().find(same).cloned()
        };
        RuleSet {
            rules: rows
                .iter()
                .map(|row| kept(row).unwrap_or_else(|| Rule::new(row.clone())))
                .collect(),
        }
    }

    /// Whether these are the rules, in the same versions.
    pub fn is_of(&self, rows: &[exception_rule::Model]) -> bool {
        let own = self
            .rules
            .iter()
            .map(|rule| (rule.row.id, rule.row.version));
        own.eq(rows.iter().map(|row| (row.id, row.version)))
    }

    /// What the rules ask about what the customers of a channel ordered before.
    pub fn history(&self, channel: ChannelId) -> BTreeSet<Count> {
        self.rules
            .iter()
            .filter(|rule| rule.judges(channel))
            .filter_map(|rule| rule.expression.as_ref().as_ref().ok())
            .flat_map(Expression::history)
            .collect()
    }

    /// Whether any rule judges the orders of a channel.
    pub fn judge_any(&self, channel: ChannelId) -> bool {
        self.rules.iter().any(|rule| rule.judges(channel))
    }

    /// What the rules find wrong with an order.
    pub fn judge(&self, context: &OrderContext) -> Vec<Finding> {
        self.rules
            .iter()
            .filter(|rule| rule.judges(context.channel_id))
            .filter_map(|rule| rule.judge(context))
            .collect()
    }

    /// The rules that see something else in an order than before, and what they find wrong with it
    /// now.
    pub fn judge_change(
        &self,
        before: &OrderContext,
        after: &OrderContext,
    ) -> (BTreeSet<ExceptionRuleId>, Vec<Finding>) {
        let concerned: Vec<&Rule> = self
            .rules
            .iter()
            .filter(|rule| rule.judges(after.channel_id) && rule.sees_a_change(before, after))
            .collect();
        let found = concerned.iter().filter_map(|rule| rule.judge(after));
        let ids = concerned.iter().map(|rule| rule.row.id);
        (ids.collect(), found.collect())
    }
}

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name in feeds.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// When it applies.
    pub expression: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it stops the order.
    pub blocking: bool,
    /// The team whose the exception is.
    pub queue: String,
    /// What may be done about it, the best first.
    pub suggested_actions: Vec<Remedy>,
    /// The one channel whose orders it judges; none = all.
    pub channel_id: Option<ChannelId>,
    /// Whether it judges orders at once.
    pub enabled: bool,
}

/// Makes a rule. It judges the orders that come from now on.
pub async fn create(tx: &Tx, cmd: Create) -> Result<exception_rule::Model, Failure> {
    let mut checks = Checks::new();
    let row = exception_rule::Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
        expression: read(&mut checks, &cmd.expression),
        severity: cmd.severity,
        blocking: cmd.blocking,
        queue: checks.code("input.queue", &cmd.queue),
        suggested_actions: names(&cmd.suggested_actions),
        channel_id: cmd.channel_id,
        enabled: cmd.enabled,
        version: 1,
        created_at: tx.now,
        updated_at: tx.now,
    };
    let there = exception_rule::Entity::find().count(tx.db()).await?;
    let fits = there < MOST_RULES;
    let message = format!("there are {MOST_RULES} rules already");
    checks.hold(fits, Code::TooMany, "input", &message);
    checks.done()?;
    exception_rule::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.db())
        .await
        .map_err(|error| taken(error.into(), &row.code))?;
    saved(tx, &row);
    Ok(row)
}

/// What [`update`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which rule.
    pub id: ExceptionRuleId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Its name on screens.
    pub name: Option<String>,
    /// When it applies.
    pub expression: Option<String>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Whether it stops the order.
    pub blocking: Option<bool>,
    /// The team whose the exception is.
    pub queue: Option<String>,
    /// What may be done about it, the best first.
    pub suggested_actions: Option<Vec<Remedy>>,
    /// The one channel whose orders it judges; none = all.
    pub channel_id: Option<Option<ChannelId>>,
    /// Whether it judges orders.
    pub enabled: Option<bool>,
}

/// Changes a rule. Orders that wait because of it go on waiting; those that come from now on are
/// judged by what it is now.
pub async fn update(tx: &Tx, cmd: Update) -> Result<exception_rule::Model, Failure> {
    let mut row = lock(tx, cmd.id, cmd.expected_version).await?;
    let mut checks = Checks::new();
    if let Some(name) = cmd.name {
        row.name = checks.name("input.name", &name);
    }
    if let Some(expression) = cmd.expression {
        row.expression = read(&mut checks, &expression);
    }
    if let Some(queue) = cmd.queue {
        row.queue = checks.code("input.queue", &queue);
    }
    if let Some(suggested) = cmd.suggested_actions {
        row.suggested_actions = names(&suggested);
    }
    row.severity = cmd.severity.unwrap_or(row.severity);
    row.blocking = cmd.blocking.unwrap_or(row.blocking);
    row.channel_id = cmd.channel_id.unwrap_or(row.channel_id);
    row.enabled = cmd.enabled.unwrap_or(row.enabled);
    row.version += 1;
    row.updated_at = tx.now;
    checks.done()?;
    exception_rule::Entity::update(row.clone().into_active_model().reset_all())
        .exec(tx.db())
        .await?;
    saved(tx, &row);
    Ok(row)
}

/// What [`delete`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Delete {
    /// Which rule.
    pub id: ExceptionRuleId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Ends a rule for good, and returns what it was. What it found stays found.
pub async fn delete(tx: &Tx, cmd: Delete) -> Result<exception_rule::Model, Failure> {
    let row = lock(tx, cmd.id, cmd.expected_version).await?;
    exception_rule::Entity::delete_by_id(row.id)
        .exec(tx.db())
        .await?;
    let event = Event::ExceptionRuleDeleted {
        code: row.code.clone(),
    };
    emit(tx, &row, row.version + 1, event);
    Ok(row)
}

async fn lock(
    tx: &Tx,
    id: ExceptionRuleId,
    expected: Option<i64>,
) -> Result<exception_rule::Model, Failure> {
    let rows = exception_rule::Entity::find_by_id(id);
    let rows = if tx.locks_rows() {
        rows.lock_exclusive()
    } else {
        rows
    };
    let row = rows
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("rule").at("input.id"))?;
    expect_version("rule", row.version, expected)?;
    Ok(row)
}

/// An expression that was read without a mistake.
fn read(checks: &mut Checks, expression: &str) -> String {
    if let Err(mistake) = Expression::compile(expression) {
        checks.refuse(refusal(&mistake).at("input.expression"));
    }
    expression.trim().to_owned()
}

/// A mistake in an expression as its author hears of it.
pub fn refusal(mistake: &Mistake) -> Problem {
    Problem::new(Code::RuleInvalid, mistake.to_string()).with(json!({
        "line": mistake.line, "column": mistake.column, "offset": mistake.offset,
        "reason": mistake.reason,
    }))
}

/// The names of remedies, each once.
fn names(remedies: &[Remedy]) -> serde_json::Value {
    let mut names: Vec<&str> = Vec::new();
    for name in remedies.iter().map(|remedy| remedy.name()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    json!(names)
}

fn taken(failure: Failure, code: &str) -> Failure {
    if failure.unique_violation().is_some() {
        let problem = Problem::new(Code::CodeTaken, format!("{code:?} is taken"));
        problem.at("input.code").into()
    } else {
        failure
    }
}

fn saved(tx: &Tx, row: &exception_rule::Model) {
    let event = Event::ExceptionRuleSaved {
        code: row.code.clone(),
        name: row.name.clone(),
        expression: row.expression.clone(),
        blocking: row.blocking,
        enabled: row.enabled,
    };
    emit(tx, row, row.version, event);
}

fn emit(tx: &Tx, row: &exception_rule::Model, version: i64, event: Event) {
    tx.emit(Entry {
        aggregate_type: "exception_rule",
        aggregate_id: row.id.to_string(),
        version,
        channel_id: None,
        order_id: None,
        moved: None,
        event,
    });
}

#[cfg(test)]
mod tests;
