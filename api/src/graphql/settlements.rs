//! What gateways say that they have paid out, on the wire.

use std::collections::BTreeMap;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject, Subscription};
use chrono::{DateTime, Utc};
use entity::settlement_difference::{Column, Entity, Kind, Model, State};
use entity::{
    OrderId, Rate, SettlementDifferenceId, SettlementId, gateway_terms, settlement,
    settlement_error, settlement_line,
};
use futures_util::Stream;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter, QueryOrder, QuerySelect,
};
use serde::Serialize;
use serde_json::json;

use super::catalogue::confined;
use super::command::{payloads, run};
use super::errors::{UserError, bad_input, fault, outcome};
use super::ids::{from_global, from_optional, to_global};
use super::ledger::LedgerAccount;
use super::loaders::load;
use super::once::{mark_replayed, once_required};
use super::orders::{Order, order_of};
use super::pagination::{Rows, Sort, cost, page};
use super::progress::{Progress, follow};
use super::scalars::{CurrencyCode, Decimal, Money, MoneyInput, money};
use super::{Allowed, actor, app};
use crate::access::Scope;
use crate::app::SettlementFile;
use crate::failure::{Code, Failure, Problem};
use crate::settlement::lines::Mapping;
use crate::settlement::{self as books, Resolve, SaveTerms};

/// How many rows of a file are read at once.
const MOST_ROWS: i32 = 250;

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::settlement::Status")]
pub enum SettlementStatus {
    /// Lines are being taken.
    Running,
    /// Every line was taken or refused, and held against what we know.
    Completed,
    /// It stopped; repeating it goes on where it ended.
    Failed,
}

/// What a line of a settlement is about. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "entity::settlement_line::Kind")]
pub enum SettlementLineKind {
    /// Money that was taken.
    Charge,
    /// A part of it that was not taken after all.
    ChargeReversal,
    /// Money that was given back.
    Refund,
    /// A refund that came back.
    RefundReversal,
    /// Money that a bank took back.
    Chargeback,
    /// A chargeback that came back.
    ChargebackReversal,
    /// What the gateway keeps by itself.
    Fee,
    /// What was paid out: the total of the other lines, the other way.
    Payout,
    /// Anything else.
    Other,
}

/// What differs. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::settlement_difference::Kind")]
pub enum SettlementDifferenceKind {
    /// The fee is not what is agreed.
    Fee,
    /// Money was captured, and no line has come for it.
    Missing,
    /// A line is about nothing that we know.
    Unknown,
    /// A line is in another currency than the money was taken in.
    OtherCurrency,
    /// A bank took money back, and we know of no dispute, or of another amount.
    Chargeback,
    /// A line has another amount.
    WrongAmount,
    /// More than one line is about the same.
    Duplicate,
    /// A refund is none that we know.
    Refund,
    /// The lines of a payout do not add up to it.
    Payout,
}

/// Whether somebody has to look at a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::settlement_difference::State")]
pub enum SettlementDifferenceState {
    /// Nobody has settled it.
    Open,
    /// It is settled.
    Resolved,
}

/// A file of what a gateway says that it has paid out.
#[derive(Clone)]
pub struct Settlement(settlement::Model);

impl From<settlement::Model> for Settlement {
    fn from(row: settlement::Model) -> Self {
        Settlement(row)
    }
}

impl Progress for Settlement {
    fn has_ended(&self) -> bool {
        self.0.status != settlement::Status::Running
    }

    fn is_as(&self, before: &Self) -> bool {
        self.0 == before.0
    }
}

/// A file of what a gateway says that it has paid out. It is one however often it comes.
#[Object]
impl Settlement {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Whose.
    async fn gateway(&self) -> &str {
        &self.0.gateway
    }

    /// The name of how it is written.
    async fn format(&self) -> &str {
        &self.0.format
    }

    /// The file's name.
    async fn source(&self) -> &str {
        &self.0.source
    }

    /// Where it stands.
    async fn status(&self) -> SettlementStatus {
        self.0.status.into()
    }

    /// How many lines were read so far.
    async fn processed(&self) -> i64 {
        self.0.processed
    }

    /// How many of them were new.
    async fn accepted(&self) -> i64 {
        self.0.accepted
    }

    /// How many of them were there already.
    async fn replayed(&self) -> i64 {
        self.0.replayed
    }

    /// How many of them were refused.
    async fn refused(&self) -> i64 {
        self.0.refused
    }

    /// Who started it.
    async fn started_by(&self) -> &str {
        &self.0.started_by
    }

    /// When it was first started.
    async fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// Its lines that were new, in the order of the file.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only those of rows behind this one.")] after_row: Option<i64>,
    ) -> Result<Vec<SettlementLine>> {
        use settlement_line::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::SettlementId.eq(self.0.id))
            .filter(Column::RowNumber.gt(after_row.unwrap_or(0)))
            .order_by_asc(Column::RowNumber)
            .limit(some(first)?)
            .all(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(rows.into_iter().map(SettlementLine).collect())
    }

    /// Why lines were refused, in the order of the file.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "Only those of rows behind this one.")] after_row: Option<i64>,
    ) -> Result<Vec<SettlementError>> {
        use settlement_error::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::SettlementId.eq(self.0.id))
            .filter(Column::RowNumber.gt(after_row.unwrap_or(0)))
            .order_by_asc(Column::RowNumber)
            .order_by_asc(Column::Item)
            .limit(some(first)?)
            .all(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        let errors = rows.into_iter().map(|row| SettlementError {
            row_number: row.row_number,
            reference: row.reference,
            code: serde_json::from_value(row.code.into()).ok(),
            field: row.field,
            message: row.message,
        });
        Ok(errors.collect())
    }
}

fn some(first: Option<i32>) -> Result<u64> {
    let first = first.unwrap_or(50);
    if !(0..=MOST_ROWS).contains(&first) {
        return Err(bad_input(&format!("first is 0 to {MOST_ROWS}")));
    }
    Ok(u64::try_from(first).unwrap_or(0))
}

/// Why a line was refused.
#[derive(SimpleObject)]
pub struct SettlementError {
    /// The row of the file, counted from 1.
    row_number: i64,
    /// The line's name; null if it could not be read.
    reference: Option<String>,
    /// What is wrong, for programs; null if this version of the program does not know it.
    code: Option<Code>,
    /// Where; null if it is about the whole line.
    field: Option<String>,
    /// What is wrong, for people, in English.
    message: String,
}

/// A line of a settlement.
pub struct SettlementLine(settlement_line::Model);

/// A line of a settlement. It is booked as the gateway says it, once.
#[Object]
impl SettlementLine {
    /// The gateway's name for it.
    async fn reference(&self) -> &str {
        &self.0.reference
    }

    /// The row of the file that it first came in, counted from 1.
    async fn row_number(&self) -> i64 {
        self.0.row_number
    }

    /// What it is about.
    async fn kind(&self) -> SettlementLineKind {
        self.0.kind.into()
    }

    /// Our capture or refund, as it is in `PaymentTransaction`; null if it is about none that we know.
    async fn transaction_id(&self) -> Option<ID> {
        self.0.transaction_id.map(to_global)
    }

    /// The order, if it is about one that we know.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        match self.0.order_id {
            Some(id) => Ok(order_of(ctx, id).await?.map(Order)),
            None => Ok(None),
        }
    }

    /// What it brings before fees; below zero, what it takes.
    async fn gross(&self) -> Money {
        money(self.0.gross_minor, self.0.currency)
    }

    /// What the gateway keeps of it.
    async fn fee(&self) -> Money {
        money(self.0.fee_minor, self.0.currency)
    }

    /// What is left.
    async fn net(&self) -> Money {
        money(self.0.net_minor, self.0.currency)
    }

    /// The gateway's name for the payout that it is part of.
    async fn payout(&self) -> Option<&str> {
        self.0.payout.as_deref()
    }

    /// When it happened there.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }
}

/// Where a settlement and what we know differ.
pub struct SettlementDifference(Model);

impl From<Model> for SettlementDifference {
    fn from(row: Model) -> Self {
        SettlementDifference(row)
    }
}

/// Where a settlement and what we know differ. It settles itself when later lines put it right.
#[Object]
impl SettlementDifference {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Whose settlement.
    async fn gateway(&self) -> &str {
        &self.0.gateway
    }

    /// What differs.
    async fn kind(&self) -> SettlementDifferenceKind {
        self.0.kind.into()
    }

    /// The file that it was found in; null if it is about what is missing.
    async fn settlement(&self, ctx: &Context<'_>) -> Result<Option<Settlement>> {
        match self.0.settlement_id {
            Some(id) => Ok(load(ctx, id).await?.map(Settlement)),
            None => Ok(None),
        }
    }

    /// The line, or the first of the lines, that it is about.
    async fn line(&self, ctx: &Context<'_>) -> Result<Option<SettlementLine>> {
        match self.0.line_id {
            Some(id) => Ok(load(ctx, id).await?.map(SettlementLine)),
            None => Ok(None),
        }
    }

    /// Our capture or refund, as it is in `PaymentTransaction`.
    async fn transaction_id(&self) -> Option<ID> {
        self.0.transaction_id.map(to_global)
    }

    /// The order, if it is about one.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        match self.0.order_id {
            Some(id) => Ok(order_of(ctx, id).await?.map(Order)),
            None => Ok(None),
        }
    }

    /// What should be there.
    async fn expected(&self) -> Money {
        money(self.0.expected_minor, self.0.expected_currency)
    }

    /// What is there.
    async fn found(&self) -> Money {
        money(self.0.found_minor, self.0.currency)
    }

    /// Whether somebody has to look.
    async fn state(&self) -> SettlementDifferenceState {
        self.0.state.into()
    }

    /// How it was settled.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// The account that what was left of it was written off to.
    async fn written_off_to(&self) -> Option<LedgerAccount> {
        self.0.written_off_to.map(Into::into)
    }

    /// Who settled it.
    async fn resolved_by(&self) -> Option<&str> {
        self.0.resolved_by.as_deref()
    }

    /// When.
    async fn resolved_at(&self) -> Option<DateTime<Utc>> {
        self.0.resolved_at
    }

    /// When it was found.
    async fn opened_at(&self) -> DateTime<Utc> {
        self.0.opened_at
    }
}

/// What is agreed with a gateway.
#[derive(SimpleObject)]
pub struct GatewayTerms {
    /// The gateway.
    gateway: String,
    /// What it keeps of a charge, as a factor; null = its fees are not looked at.
    fee_rate: Option<Decimal>,
    /// What it keeps of each charge besides; with it, only charges in its currency are looked at.
    fee_fixed: Option<Money>,
    /// How many days after a capture its line may come.
    missing_after_days: i32,
    /// +1 with every change; give it back as `expectedVersion`.
    version: i64,
}

impl From<gateway_terms::Model> for GatewayTerms {
    fn from(row: gateway_terms::Model) -> Self {
        GatewayTerms {
            gateway: row.gateway,
            fee_rate: row.fee_rate.map(|rate| Decimal(rate.0)),
            fee_fixed: row.fee_currency.map(|own| money(row.fee_fixed_minor, own)),
            missing_after_days: row.missing_after_days,
            version: row.version,
        }
    }
}

/// Which differences. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct SettlementDifferenceWhere {
    /// Of this gateway.
    pub gateway: Option<String>,
    /// In this state.
    pub state: Option<SettlementDifferenceState>,
    /// Of one of these kinds.
    pub kinds: Option<Vec<SettlementDifferenceKind>>,
    /// About this order.
    pub order_id: Option<ID>,
    /// Found in this file.
    pub settlement_id: Option<ID>,
}

impl SettlementDifferenceWhere {
    fn condition(self) -> std::result::Result<Condition, Problem> {
        let order = from_optional::<OrderId>(self.order_id.as_ref(), "where.orderId")?;
        let file = self.settlement_id.as_ref();
        let file = from_optional::<SettlementId>(file, "where.settlementId")?;
        let kinds = self.kinds.map(|kinds| {
            let kinds = kinds.into_iter().map(Kind::from);
            Column::Kind.is_in(kinds.collect::<Vec<_>>())
        });
        Ok(Condition::all()
            .add_option(self.gateway.map(|gateway| Column::Gateway.eq(gateway)))
            .add_option(self.state.map(|state| Column::State.eq(State::from(state))))
            .add_option(kinds)
            .add_option(order.map(|order| Column::OrderId.eq(order)))
            .add_option(file.map(|file| Column::SettlementId.eq(file))))
    }
}

/// A file is of all channels at once.
fn all_channels(ctx: &Context<'_>) -> Result<()> {
    match confined(ctx)? {
        None => Ok(()),
        Some(_) => Err(bad_input(
            "your key sees some channels only, and settlements are of all",
        )),
    }
}

/// Reading settlements.
#[derive(Default)]
pub struct SettlementQuery;

/// Reading settlements.
#[Object]
impl SettlementQuery {
    /// Files of what gateways say that they have paid out, the newest first. Not for keys that are
    /// confined to channels. Needs the scope FINANCE_READ.
    #[graphql(
        guard = "Allowed(Scope::FinanceRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn settlements(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<Settlement>> {
        all_channels(ctx)?;
        use settlement::{Column, Entity, Model};
        let sort = Sort {
            column: Column::StartedAt,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &Model| (row.started_at, row.id.0),
        };
        page(app(ctx), Entity::find(), sort, first, after, Settlement).await
    }

    /// A file of what a gateway says that it has paid out; null if there is none. Not for keys that
    /// are confined to channels. Needs the scope FINANCE_READ.
    #[graphql(guard = "Allowed(Scope::FinanceRead)")]
    async fn settlement(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which file.")] id: ID,
    ) -> Result<Option<Settlement>> {
        all_channels(ctx)?;
        match from_global::<SettlementId>(&id, "id") {
            Ok(id) => Ok(load(ctx, id).await?.map(Settlement)),
            Err(_) => Ok(None),
        }
    }

    /// Where settlements and what we know differ, the newest first. Keys that are confined to
    /// channels see what is about their orders. Needs the scope FINANCE_READ.
    #[graphql(
        guard = "Allowed(Scope::FinanceRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn settlement_differences(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which.")] wanted: Option<SettlementDifferenceWhere>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<SettlementDifference>> {
        let wanted = wanted.unwrap_or_default().condition();
        let wanted = wanted.map_err(|problem| bad_input(&problem.message))?;
        let mine = confined(ctx)?.map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let sort = Sort {
            column: Column::OpenedAt,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &Model| (row.opened_at, row.id.0),
        };
        let rows = Entity::find().filter(wanted.add_option(mine));
        page(app(ctx), rows, sort, first, after, SettlementDifference).await
    }

    /// What is agreed with gateways, by name. Needs the scope FINANCE_READ.
    #[graphql(guard = "Allowed(Scope::FinanceRead)")]
    async fn gateway_terms(&self, ctx: &Context<'_>) -> Result<Vec<GatewayTerms>> {
        let rows = gateway_terms::Entity::find()
            .order_by_asc(gateway_terms::Column::Gateway)
            .all(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(rows.into_iter().map(GatewayTerms::from).collect())
    }
}

/// What a word in a file means.
#[derive(InputObject)]
pub struct SettlementWordInput {
    /// The word, in any case.
    word: String,
    /// What it means.
    kind: SettlementLineKind,
}

/// Which column of a CSV is what, and how its figures are written. Of several columns for one thing,
/// the first that is not blank counts. Names of columns are read in any case.
#[derive(InputObject)]
pub struct SettlementMappingInput {
    /// What stands between columns; a comma, if not given.
    delimiter: Option<String>,
    /// The line's own name, by which a repetition is known. Without it, a line is known by its kind,
    /// name, time and amount, and of two that share them one counts.
    #[graphql(default)]
    line: Vec<String>,
    /// The gateway's names for the capture, refund or dispute; ours are taken as well.
    reference: Vec<String>,
    /// What the line is about. Without it, what brings money is a charge, and what takes it a refund.
    #[graphql(default)]
    kind: Vec<String>,
    /// What its words mean; others are OTHER.
    #[graphql(default)]
    kinds: Vec<SettlementWordInput>,
    /// What the line brings before fees.
    gross: Vec<String>,
    /// What the gateway keeps.
    #[graphql(default)]
    fee: Vec<String>,
    /// What is left; if it is there, it must be gross less fee.
    #[graphql(default)]
    net: Vec<String>,
    /// The currency.
    #[graphql(default)]
    currency: Vec<String>,
    /// The currency of lines that name none.
    default_currency: Option<CurrencyCode>,
    /// When it happened.
    date: Vec<String>,
    /// How that is written: `%d.%m.%Y`. If not given, RFC 3339 or `YYYY-MM-DD hh:mm:ss` in UTC.
    date_format: Option<String>,
    /// The payout that the line is part of.
    #[graphql(default)]
    payout: Vec<String>,
    /// The payout of lines that name none.
    default_payout: Option<String>,
    /// Whether decimals stand behind a comma.
    #[graphql(default)]
    decimal_comma: bool,
    /// Whether amounts are whole minor units.
    #[graphql(default)]
    minor_units: bool,
    /// Whether fees stand below zero.
    #[graphql(default)]
    negative_fees: bool,
    /// Whether what takes money is written without a sign.
    #[graphql(default)]
    unsigned: bool,
}

impl SettlementMappingInput {
    fn read(self) -> std::result::Result<Mapping, Problem> {
        let mut characters = self.delimiter.iter().flat_map(|text| text.chars());
        let delimiter = characters.next();
        if characters.next().is_some() {
            let problem = Problem::new(Code::InvalidInput, "one character");
            return Err(problem.at("input.mapping.delimiter"));
        }
        let kinds = self
            .kinds
            .into_iter()
            .map(|one| (one.word, one.kind.into()));
        Ok(Mapping {
            delimiter,
            line: self.line,
            reference: self.reference,
            kind: self.kind,
            kinds: kinds.collect::<BTreeMap<_, _>>(),
            gross: self.gross,
            fee: self.fee,
            net: self.net,
            currency: self.currency,
            default_currency: self.default_currency.map(|code| code.0),
            date: self.date,
            date_format: self.date_format,
            payout: self.payout,
            default_payout: self.default_payout,
            decimal_comma: self.decimal_comma,
            minor_units: self.minor_units,
            negative_fees: self.negative_fees,
            unsigned: self.unsigned,
        })
    }
}

/// A file of what a gateway says that it has paid out.
#[derive(InputObject)]
pub struct SettlementImportInput {
    /// Whose: `sandbox`, `stripe`, or whoever else is named by orders' payments.
    gateway: String,
    /// The name of how it is written: one that was kept, or `stripe`, which is built in: the itemised
    /// CSV of its balance and payout reports, or a list of balance transactions as JSON, with their
    /// sources expanded.
    format: String,
    /// How it is written; kept under the name of the format.
    mapping: Option<SettlementMappingInput>,
    /// The file's name.
    source: String,
    /// What it says. What is too large for a request goes by `oms import settlement`.
    content: String,
}

/// How a difference is settled.
#[derive(Clone, InputObject)]
pub struct SettlementDifferenceResolveInput {
    /// Which difference.
    id: ID,
    /// How it is settled, in words.
    note: String,
    /// The account that what is left of it, in transit or at the bank, is written off to.
    write_off_to: Option<LedgerAccount>,
    /// A key of your choice, here or in the header: with the same key and input it is done once, and
    /// the answer is repeated.
    idempotency_key: Option<String>,
}

/// What is agreed with a gateway.
#[derive(InputObject)]
pub struct GatewayTermsSaveInput {
    /// Which gateway.
    gateway: String,
    /// What it keeps of a charge, as a factor: `0.014`; without it, its fees are not looked at.
    fee_rate: Option<Decimal>,
    /// What it keeps of each charge besides; with it, only charges in its currency are looked at.
    fee_fixed: Option<MoneyInput>,
    /// How many days after a capture its line may come; 7, if not given.
    missing_after_days: Option<i32>,
    /// The version that you decided on; 0 = there was none.
    expected_version: Option<i64>,
}

payloads! {
    /// The outcome of `gatewayTermsSave`.
    GatewayTermsSavePayload {
        /// What is agreed.
        gateway_terms: GatewayTerms
    }
}

/// The outcome of `settlementImport`.
#[derive(Default, SimpleObject)]
pub struct SettlementImportPayload {
    /// The file.
    settlement: Option<Settlement>,
    /// Why nothing was done; empty if it was. What is wrong with single lines is in the file's errors.
    user_errors: Vec<UserError>,
    /// Whether the file was taken before, so that nothing was done now.
    replayed: bool,
}

/// The outcome of `settlementDifferenceResolve`.
#[derive(Default, SimpleObject)]
pub struct SettlementDifferenceResolvePayload {
    /// The difference.
    difference: Option<SettlementDifference>,
    /// Why nothing was done; empty if it was.
    user_errors: Vec<UserError>,
    /// Whether this is the saved answer of an earlier request with the same key.
    replayed: bool,
}

/// What can be done about settlements.
#[derive(Default)]
pub struct SettlementMutation;

/// What can be done about settlements.
#[Object]
impl SettlementMutation {
    /// Takes a file of what a gateway says that it has paid out: books each line once, and holds it
    /// against what we know. A file that came before changes nothing. Not for keys that are confined
    /// to channels. Refusals: INVALID_INPUT, NAME_INVALID, NOT_FOUND, CODE_TAKEN. Needs the scope
    /// FINANCE_MANAGE.
    #[graphql(guard = "Allowed(Scope::FinanceManage)")]
    async fn settlement_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file.")] input: SettlementImportInput,
    ) -> Result<SettlementImportPayload> {
        all_channels(ctx)?;
        let mapping = input.mapping.map(SettlementMappingInput::read).transpose();
        let result = match mapping {
            Err(problem) => Err(Failure::from(problem)),
            Ok(mapping) => {
                let file = SettlementFile {
                    gateway: input.gateway,
                    format: input.format,
                    mapping,
                    source: input.source,
                    content: input.content.into_bytes(),
                };
                app(ctx)
                    .import_settlement(&actor(ctx)?, &file, |_| {})
                    .await
            }
        };
        let (settled, user_errors) = outcome(result)?;
        Ok(SettlementImportPayload {
            replayed: settled.as_ref().is_some_and(|settled| settled.replayed),
            settlement: settled.map(|settled| Settlement(settled.run)),
            user_errors,
        })
    }

    /// Settles a difference by a person's word, and its exception with it. Not for keys that are
    /// confined to channels. Refusals: NOT_FOUND, DIFFERENCE_NOT_OPEN, INVALID_INPUT. Needs the scope
    /// FINANCE_MANAGE.
    #[graphql(guard = "Allowed(Scope::FinanceManage)")]
    async fn settlement_difference_resolve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which difference, and how.")] input: SettlementDifferenceResolveInput,
    ) -> Result<SettlementDifferenceResolvePayload> {
        all_channels(ctx)?;
        let refused = |problem: Problem| SettlementDifferenceResolvePayload {
            user_errors: vec![problem.into()],
            ..Default::default()
        };
        let id = match from_global::<SettlementDifferenceId>(&input.id, "input.id") {
            Ok(id) => id,
            Err(problem) => return Ok(refused(problem)),
        };
        let cmd = &Resolve {
            id,
            note: input.note,
            write_off_to: input.write_off_to.map(Into::into),
        };
        let asked = (cmd.id, &cmd.note, cmd.write_off_to);
        let key = input.idempotency_key.as_deref();
        let once = match once_required(ctx, "settlementDifferenceResolve", &asked, key) {
            Ok(once) => once,
            Err(problem) => return Ok(refused(problem)),
        };
        let result = app(ctx)
            .write_once(&actor(ctx)?, Some(&once), move |tx| async move {
                let id = books::resolve(&tx, cmd).await?;
                Ok(json!({ "difference": id }))
            })
            .await;
        let (answered, user_errors) = outcome(result)?;
        let replayed = answered.is_some_and(|answered| answered.replayed);
        if replayed {
            mark_replayed(ctx);
        }
        let row = match user_errors.is_empty() {
            true => load(ctx, id).await?,
            false => None,
        };
        Ok(SettlementDifferenceResolvePayload {
            difference: row.map(SettlementDifference),
            user_errors,
            replayed,
        })
    }

    /// Writes what is agreed with a gateway: fees are held against it from the next line on. Not for
    /// keys that are confined to channels. Refusals: NAME_INVALID, INVALID_INPUT, AMOUNT_INVALID,
    /// STALE_VERSION. Needs the scope FINANCE_MANAGE.
    #[graphql(guard = "Allowed(Scope::FinanceManage)")]
    async fn gateway_terms_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which gateway, and what is agreed.")] input: GatewayTermsSaveInput,
    ) -> Result<GatewayTermsSavePayload> {
        all_channels(ctx)?;
        let fixed = input.fee_fixed.map(|fixed| fixed.read("input.feeFixed"));
        let cmd = fixed.transpose().map(|fee_fixed| SaveTerms {
            gateway: input.gateway,
            fee_rate: input.fee_rate.map(|rate| Rate(rate.0)),
            fee_fixed,
            missing_after_days: input.missing_after_days.unwrap_or(7),
            expected_version: input.expected_version,
        });
        Ok(run(ctx, cmd, books::save_terms).await?.into())
    }
}

/// Following settlements.
#[derive(Default)]
pub struct SettlementSubscription;

#[Subscription]
impl SettlementSubscription {
    /// A file of what a gateway has paid out as it is, then whenever it has come on, at most four
    /// times a second, and at least every 15 seconds; it ends when the file has. Not for keys that are
    /// confined to channels. Needs the scope FINANCE_READ.
    #[graphql(guard = "Allowed(Scope::FinanceRead)")]
    async fn settlement_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which file.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Settlement>>> {
        all_channels(ctx)?;
        let row = match from_global::<SettlementId>(&id, "id") {
            Ok(id) => load(ctx, id).await?,
            Err(_) => None,
        };
        let first = row.map(Settlement);
        let first = first.ok_or_else(|| bad_input("there is no such settlement"))?;
        let (app, id) = (app(ctx).clone(), first.0.id);
        Ok(follow(first, move || {
            let app = app.clone();
            async move {
                let row = app.find_settlement(id).await.map_err(fault)?;
                Ok(row.map(Settlement))
            }
        }))
    }
}
