//! Rules that make exceptions, on the wire.

use async_graphql::{Context, ID, InputObject, Json, MaybeUndefined, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{ChannelId, ExceptionRuleId, exception_rule};
use sea_orm::{EntityTrait, QueryFilter};

use crate::access::Scope;
use crate::capture::rules::{Sample, try_out};
use crate::exceptions::Remedy;
use crate::exceptions::rules::context::{FIELDS, LINE_FIELDS, Type};
use crate::exceptions::rules::{self, Expression};
use crate::failure::{Code, Failure, Problem};
use crate::graphql::catalogue::channels::Channel;
use crate::graphql::catalogue::{confined, for_seen_channels, seen_channel_if_any, sees};
use crate::graphql::command::{payloads, run_on_reference};
use crate::graphql::errors::{UserError, fault, outcome};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::load;
use crate::graphql::orders::Order;
use crate::graphql::orders::enums::ExceptionSeverity;
use crate::graphql::orders::queue::ExceptionAction;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::{Allowed, app};

/// How many orders a rule is tried on at most.
const MOST_TRIED: i32 = 1_000;

/// How many of the orders that it would have flagged are shown.
const SHOWN: usize = 50;

/// A rule: an expression over an order, and what follows where it is true.
pub struct ExceptionRule(pub exception_rule::Model);

impl From<exception_rule::Model> for ExceptionRule {
    fn from(row: exception_rule::Model) -> Self {
        ExceptionRule(row)
    }
}

/// A rule: an expression over an order, and what follows where it is true. An order for which it
/// holds gets an exception of the code RULE_MATCHED with the rule's name as its summary and, in
/// its details, the expression and the values that it saw. One for which it cannot be evaluated
/// gets RULE_FAILED, which stops nothing.
///
/// A rule judges the orders that come while it is enabled. What it found stays found, under the
/// version that found it, until a person settles it: a change of the rule, its end or its removal
/// neither releases an order nor stops one. An edit of an order asks the rules of that day that
/// see something else than before. A rule never refuses an order, whatever the channel's `failedCheckPolicy`.
#[Object]
impl ExceptionRule {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens, and the summary of its exceptions.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// When it applies: a CEL expression; see `exceptionRuleCreate`.
    async fn expression(&self) -> &str {
        &self.0.expression
    }

    /// How bad it is.
    async fn severity(&self) -> ExceptionSeverity {
        self.0.severity.into()
    }

    /// Whether it stops the order.
    async fn blocking(&self) -> bool {
        self.0.blocking
    }

    /// The team whose its exceptions are.
    async fn queue(&self) -> &str {
        &self.0.queue
    }

    /// What may be done about it, the best first.
    async fn suggested_actions(&self) -> Vec<ExceptionAction> {
        let remedies = Remedy::suggested(&self.0.suggested_actions);
        remedies.into_iter().map(Into::into).collect()
    }

    /// The one channel whose orders it judges; null = all.
    async fn channel(&self, ctx: &Context<'_>) -> Result<Option<Channel>> {
        match self.0.channel_id {
            Some(id) if sees(ctx, Some(id)) => Ok(load(ctx, id).await?.map(Channel)),
            _ => Ok(None),
        }
    }

    /// Whether it judges orders at present.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// +1 with every change; give it back as `expectedVersion`. Exceptions name the version that
    /// made them.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// Something that a rule's expression may ask about.
#[derive(Clone, Debug, SimpleObject)]
pub struct ExceptionRuleField {
    /// Its name: `order.total`; of a line, what follows the name that the expression gives the
    /// line.
    name: &'static str,
    /// What it comes to: `bool`, `number` (an exact decimal), `string`, `timestamp`, or a list of
    /// these or of lines: `list(string)`, `list(line)`.
    #[graphql(name = "type")]
    kind: String,
    /// What it says. Every field always has a value.
    description: &'static str,
    /// What may be asked about each line, if it is the list of lines; else empty.
    fields: Vec<ExceptionRuleField>,
}

fn line_fields() -> Vec<ExceptionRuleField> {
    let fields = LINE_FIELDS.iter().map(|field| ExceptionRuleField {
        name: field.name,
        kind: field.kind.to_string(),
        description: field.about,
        fields: Vec::new(),
    });
    fields.collect()
}

/// What a rule is tried with.
#[derive(Clone, Debug, InputObject)]
pub struct ExceptionRuleTestInput {
    /// A saved rule (NOT_FOUND).
    pub id: Option<ID>,
    /// A draft of an expression; with `id`, instead of the saved one (RULE_INVALID). One of the
    /// two is needed.
    pub expression: Option<String>,
    /// The one channel whose orders it is tried on; that of the saved rule, else all that you
    /// see, if not given (NOT_FOUND).
    pub channel_id: Option<ID>,
    /// How many orders it is tried on, the newest: 1 to 1,000.
    #[graphql(default = 100)]
    pub orders: i32,
}

/// An order that a rule would have flagged.
#[derive(SimpleObject)]
pub struct ExceptionRuleMatch {
    /// The order.
    order: Order,
    /// The values that the expression saw, as they would stand in the exception.
    facts: Json<serde_json::Value>,
}

/// An order for which a rule could not be evaluated.
#[derive(SimpleObject)]
pub struct ExceptionRuleFailure {
    /// The order.
    order: Order,
    /// Why: a division by zero, too many steps.
    reason: String,
}

/// What `exceptionRuleTest` came to.
#[derive(Default, SimpleObject)]
pub struct ExceptionRuleTestPayload {
    /// How many orders it was tried on.
    tested: usize,
    /// How many of them it would have flagged.
    matched: usize,
    /// How many of them it could not be evaluated for.
    failed: usize,
    /// The newest that it would have flagged, at most 50.
    matches: Vec<ExceptionRuleMatch>,
    /// The newest that it could not be evaluated for, at most 50.
    failures: Vec<ExceptionRuleFailure>,
    /// Why nothing was tried; empty if it was.
    user_errors: Vec<UserError>,
}

/// Reads of rules.
#[derive(Default)]
pub struct RuleQuery;

/// Reads of rules.
#[Object]
impl RuleQuery {
    /// The rules for the channels that you see, by code. Needs the scope RULES_READ.
    #[graphql(
        guard = "Allowed(Scope::RulesRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn exception_rules(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<ExceptionRule>> {
        let rows = exception_rule::Entity::find()
            .filter(for_seen_channels(ctx, exception_rule::Column::ChannelId)?);
        let sort = Sort {
            column: exception_rule::Column::Code,
            id: exception_rule::Column::Id,
            order: sea_orm::Order::Asc,
            key: |row: &exception_rule::Model| (row.code.clone(), row.id.0),
        };
        page(app(ctx), rows, sort, first, after, ExceptionRule).await
    }

    /// A rule; null if there is none, or none that you see. Needs the scope RULES_READ.
    #[graphql(guard = "Allowed(Scope::RulesRead)")]
    async fn exception_rule(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<ExceptionRule>> {
        Ok(find(ctx, &id, "id").await?.ok().map(ExceptionRule))
    }

    /// Everything that a rule's expression may ask about, so that an editor can complete it. Needs
    /// the scope RULES_READ.
    #[graphql(guard = "Allowed(Scope::RulesRead)")]
    async fn exception_rule_fields(&self) -> Vec<ExceptionRuleField> {
        let of_lines = |kind| match kind {
            Type::List(Type::Line) => line_fields(),
            _ => Vec::new(),
        };
        let fields = FIELDS.iter().map(|field| ExceptionRuleField {
            name: field.name,
            kind: field.kind.to_string(),
            description: field.about,
            fields: of_lines(field.kind),
        });
        fields.collect()
    }

    /// Tries a rule, saved or a draft, on the newest orders of the channels that you see, as they
    /// are stored now: with today's catalogue, with what has become of earlier orders, and with
    /// all that has been found wrong with them since. It ends early when it has read 50,000 lines;
    /// `tested` says how far it came. Nothing is written. Refusals: NOT_FOUND,
    /// RULE_INVALID, INVALID_INPUT. Needs the scope RULES_READ.
    #[graphql(
        guard = "Allowed(Scope::RulesRead)",
        complexity = "2_000 + cost(Some(50), child_complexity)"
    )]
    async fn exception_rule_test(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is tried, and on which orders.")] input: ExceptionRuleTestInput,
    ) -> Result<ExceptionRuleTestPayload> {
        let tried = match draft(ctx, &input).await? {
            Err(problem) => Err(problem.into()),
            Ok((expression, channel)) => {
                let sample = Sample {
                    channel,
                    seen: confined(ctx)?,
                    newest: u64::from(input.orders.unsigned_abs()),
                };
                let reference = app(ctx).reference().await.map_err(fault)?;
                try_out(&app(ctx).db.read, &reference, &expression, sample)
                    .await
                    .map_err(Failure::from)
            }
        };
        let (trial, user_errors) = outcome(tried)?;
        let Some(trial) = trial else {
            return Ok(ExceptionRuleTestPayload {
                user_errors,
                ..Default::default()
            });
        };
        let matches = trial.matched.iter().take(SHOWN).cloned();
        let failures = trial.failed.iter().take(SHOWN).cloned();
        Ok(ExceptionRuleTestPayload {
            tested: trial.asked,
            matched: trial.matched.len(),
            failed: trial.failed.len(),
            matches: matches
                .map(|(order, facts)| ExceptionRuleMatch {
                    order: Order(order),
                    facts: Json(facts),
                })
                .collect(),
            failures: failures
                .map(|(order, fault)| ExceptionRuleFailure {
                    order: Order(order),
                    reason: fault.to_string(),
                })
                .collect(),
            user_errors,
        })
    }
}

type Draft = (Expression, Option<ChannelId>);

/// The expression that is tried, and the one channel whose orders it is tried on, if it is one.
async fn draft(
    ctx: &Context<'_>,
    input: &ExceptionRuleTestInput,
) -> Result<std::result::Result<Draft, Problem>> {
    let saved = match &input.id {
        None => None,
        Some(id) => match find(ctx, id, "input.id").await? {
            Ok(row) => Some(row),
            Err(problem) => return Ok(Err(problem)),
        },
    };
    if !(1..=MOST_TRIED).contains(&input.orders) {
        let message = format!("the number must be between 1 and {MOST_TRIED}");
        return Ok(Err(
            Problem::new(Code::InvalidInput, message).at("input.orders")
        ));
    }
    let own = saved.as_ref().map(|row| row.expression.as_str());
    let Some(source) = input.expression.as_deref().or(own) else {
        let message = "a rule or an expression is needed";
        return Ok(Err(
            Problem::new(Code::InvalidInput, message).at("input.expression")
        ));
    };
    let channel = seen_channel_if_any(ctx, input.channel_id.as_ref(), "input.channelId")
        .map(|given| given.or(saved.as_ref().and_then(|row| row.channel_id)));
    let compiled = Expression::compile(source)
        .map_err(|mistake| rules::refusal(&mistake).at("input.expression"));
    Ok(compiled.and_then(|expression| Ok((expression, channel?))))
}

/// The rule that a caller names, if it sees it.
async fn find(
    ctx: &Context<'_>,
    id: &ID,
    field: &str,
) -> Result<std::result::Result<exception_rule::Model, Problem>> {
    let missing = Problem::not_found("ExceptionRule").at(field);
    Ok(match from_global::<ExceptionRuleId>(id, field) {
        Err(problem) => Err(problem),
        Ok(id) => exception_rule::Entity::find_by_id(id)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?
            .filter(|row| sees(ctx, row.channel_id))
            .ok_or(missing),
    })
}

/// The rule that a caller wants to change. Whoever sees only some channels may change only what
/// is for one of them.
async fn find_own(
    ctx: &Context<'_>,
    id: &ID,
) -> Result<std::result::Result<exception_rule::Model, Problem>> {
    let found = find(ctx, id, "input.id").await?;
    Ok(found.and_then(|row| own(ctx, row.channel_id, "input.id").map(|()| row)))
}

fn own(
    ctx: &Context<'_>,
    channel: Option<ChannelId>,
    field: &str,
) -> std::result::Result<(), Problem> {
    let sees_all = confined(ctx).is_ok_and(|channels| channels.is_none());
    if sees_all || channel.is_some() {
        return Ok(());
    }
    let message = "your key sees some channels only: it has no say in a rule for all";
    Err(Problem::new(Code::InvalidInput, message).at(field))
}

/// What `exceptionRuleCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ExceptionRuleCreateInput {
    /// Its name in feeds: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, and the summary of its exceptions: 1 to 300 characters.
    pub name: String,
    /// When it applies: a CEL expression of at most 2,000 characters that is true or false
    /// (RULE_INVALID, with `line`, `column`, `offset` and `reason`).
    ///
    /// It may use the fields that `exceptionRuleFields` lists; `&& || ! ? :`, `== != < <= > >=`,
    /// `in`, `+ - * / %`, lists in brackets; of texts `size`, `contains`, `startsWith`,
    /// `endsWith`, `matches` (a pattern that is written out), `lowerAscii`, `upperAscii`; of lists
    /// `exists`, `all`, `exists_one`, `filter`, `map`, `size`; and `timestamp("2026-12-01T09:00:00Z")`.
    /// Numbers are exact decimals, whole or not, of up to 28 digits: `7 / 2` is `3.5`.
    ///
    /// For example `order.total > 500.50 && lines.exists(line, line.quantity >= 100)`.
    pub expression: String,
    /// How bad it is. It decides when the exception is due.
    #[graphql(default_with = "ExceptionSeverity::Medium")]
    pub severity: ExceptionSeverity,
    /// Whether it stops the order until a person settles it.
    #[graphql(default = true)]
    pub blocking: bool,
    /// The team whose its exceptions are: 1 to 64 characters, no blanks.
    #[graphql(default = "review")]
    pub queue: String,
    /// What may be done about it, the best first.
    #[graphql(
        default_with = "vec![ExceptionAction::Override, ExceptionAction::Edit, \
        ExceptionAction::Cancel]"
    )]
    pub suggested_actions: Vec<ExceptionAction>,
    /// The one channel whose orders it judges; all if not given (NOT_FOUND).
    pub channel_id: Option<ID>,
    /// Whether it judges orders at once.
    #[graphql(default = true)]
    pub enabled: bool,
}

impl ExceptionRuleCreateInput {
    fn command(self, ctx: &Context<'_>) -> std::result::Result<rules::Create, Problem> {
        let field = "input.channelId";
        let channel_id = seen_channel_if_any(ctx, self.channel_id.as_ref(), field)?;
        own(ctx, channel_id, field)?;
        Ok(rules::Create {
            code: self.code,
            name: self.name,
            expression: self.expression,
            severity: self.severity.into(),
            blocking: self.blocking,
            queue: self.queue,
            suggested_actions: remedies(self.suggested_actions),
            channel_id,
            enabled: self.enabled,
        })
    }
}

fn remedies(actions: Vec<ExceptionAction>) -> Vec<Remedy> {
    actions.into_iter().map(Into::into).collect()
}

/// What `exceptionRuleUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct ExceptionRuleUpdateInput {
    /// Which rule (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// Its name on screens, 1 to 300 characters.
    pub name: Option<String>,
    /// When it applies: a CEL expression, as in `exceptionRuleCreate` (RULE_INVALID).
    pub expression: Option<String>,
    /// How bad it is.
    pub severity: Option<ExceptionSeverity>,
    /// Whether it stops the order.
    pub blocking: Option<bool>,
    /// The team whose its exceptions are.
    pub queue: Option<String>,
    /// What may be done about it, all of it, the best first.
    pub suggested_actions: Option<Vec<ExceptionAction>>,
    /// The one channel whose orders it judges; null = all (NOT_FOUND).
    pub channel_id: MaybeUndefined<ID>,
    /// Whether it judges orders.
    pub enabled: Option<bool>,
}

impl ExceptionRuleUpdateInput {
    fn command(
        self,
        ctx: &Context<'_>,
        row: &exception_rule::Model,
    ) -> std::result::Result<rules::Update, Problem> {
        let field = "input.channelId";
        let channel_id = match &self.channel_id {
            MaybeUndefined::Undefined => None,
            given => {
                let channel = seen_channel_if_any(ctx, given.value(), field)?;
                own(ctx, channel, field)?;
                Some(channel)
            }
        };
        Ok(rules::Update {
            id: row.id,
            expected_version: self.expected_version,
            name: self.name,
            expression: self.expression,
            severity: self.severity.map(Into::into),
            blocking: self.blocking,
            queue: self.queue,
            suggested_actions: self.suggested_actions.map(remedies),
            channel_id,
            enabled: self.enabled,
        })
    }
}

/// What `exceptionRuleDelete` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ExceptionRuleDeleteInput {
    /// Which rule (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
}

payloads! {
    /// What `exceptionRuleCreate` came to.
    ExceptionRuleCreatePayload {
        /// The new rule; null if it was refused.
        exception_rule: ExceptionRule
    }
    /// What `exceptionRuleUpdate` came to.
    ExceptionRuleUpdatePayload {
        /// The rule after the change; null if it was refused.
        exception_rule: ExceptionRule
    }
    /// What `exceptionRuleDelete` came to.
    ExceptionRuleDeletePayload {
        /// The rule as it was; null if it was refused.
        exception_rule: ExceptionRule
    }
}

/// Changes of rules.
#[derive(Default)]
pub struct RuleMutation;

/// Changes of rules.
#[Object]
impl RuleMutation {
    /// Makes a rule that judges the orders that come from now on. Orders that are there stay as
    /// they are; see `exceptionRuleTest`. There may be 100 rules (TOO_MANY). Refusals: CODE_TAKEN,
    /// RULE_INVALID, NOT_FOUND, NAME_INVALID, TOO_MANY, INVALID_INPUT. Needs the scope
    /// RULES_MANAGE.
    #[graphql(guard = "Allowed(Scope::RulesManage)")]
    async fn exception_rule_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the rule is to be.")] input: ExceptionRuleCreateInput,
    ) -> Result<ExceptionRuleCreatePayload> {
        let cmd = input.command(ctx);
        Ok(run_on_reference(ctx, cmd, rules::create).await?.into())
    }

    /// Changes a rule, or enables or disables it. What it found before stays found, under the
    /// version that found it, until a person settles it; the orders that come from now on are
    /// judged by what it is now. Refusals: NOT_FOUND, STALE_VERSION, RULE_INVALID, NAME_INVALID,
    /// INVALID_INPUT. Needs the scope RULES_MANAGE.
    #[graphql(guard = "Allowed(Scope::RulesManage)")]
    async fn exception_rule_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: ExceptionRuleUpdateInput,
    ) -> Result<ExceptionRuleUpdatePayload> {
        let row = find_own(ctx, &input.id).await?;
        let cmd = row.and_then(|row| input.command(ctx, &row));
        Ok(run_on_reference(ctx, cmd, rules::update).await?.into())
    }

    /// Deletes a rule. What it found stays found, until a person settles it. Refusals: NOT_FOUND,
    /// STALE_VERSION, INVALID_INPUT. Needs the scope RULES_MANAGE.
    #[graphql(guard = "Allowed(Scope::RulesManage)")]
    async fn exception_rule_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which rule.")] input: ExceptionRuleDeleteInput,
    ) -> Result<ExceptionRuleDeletePayload> {
        let cmd = find_own(ctx, &input.id).await?.map(|row| rules::Delete {
            id: row.id,
            expected_version: input.expected_version,
        });
        Ok(run_on_reference(ctx, cmd, rules::delete).await?.into())
    }
}
