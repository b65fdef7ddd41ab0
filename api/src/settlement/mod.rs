//! What gateways say that they have paid out, held against what we know.
//!
//! A line is booked as the gateway says it, once, whatever it is about: what is left goes from cash
//! in transit to the bank, what the gateway keeps to the fees. So the books say what came, and what
//! stays in transit is what differs. A difference follows from our transaction and all lines that
//! are about it ([`judge`]), and from nothing else: in whatever order and files they come, the same
//! is booked and the same is open.
//!
//! Lines of a gateway are taken one transaction at a time: its row of terms is locked, before any
//! order is.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use entity::ledger_entry::{Account, Document};
use entity::payment_transaction::{Kind as EffectKind, State as EffectState};
use entity::settlement::Status;
use entity::settlement_difference::{Kind, State};
use entity::settlement_line::Kind as LineKind;
use entity::{
    ChannelId, DisputeId, Money, OrderId, Rate, SettlementDifferenceId, SettlementId,
    SettlementLineId, TransactionId, archived_order, dispute, gateway_terms, order, payment,
    payment_transaction, settlement, settlement_difference, settlement_error, settlement_format,
    settlement_line,
};
use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
};
use serde_json::json;

use crate::events::{Entry, Event};
use crate::exceptions::Finding;
use crate::failure::{Code, Failure, Problem};
use crate::ledger::{self, Posting};
use crate::orders::aggregate::{self, Aggregate};
use crate::orders::{self, archive};
use crate::tx::Tx;

pub mod judge;
pub mod lines;

use judge::{Differs, Fees};
use lines::{Line, Mapping, Row};

/// How many days a line may take, unless a gateway's terms say otherwise.
const MISSING_AFTER_DAYS: i32 = 7;

/// How many missing lines are found at once.
pub const MISSING_AT_ONCE: u64 = 200;

/// How long the name of a gateway, a format or a file may be.
const LONGEST_NAME: usize = 100;

/// Takes a name that a person chose.
fn name(field: &str, name: &str) -> Result<String, Problem> {
    let name = name.trim();
    let is_sane = (1..=LONGEST_NAME).contains(&name.chars().count());
    if !is_sane || name.chars().any(char::is_control) {
        let message = format!("a name has 1 to {LONGEST_NAME} characters, none of them control");
        return Err(Problem::new(Code::NameInvalid, message).at(&format!("input.{field}")));
    }
    Ok(name.to_owned())
}

/// What is agreed with a gateway, locked: its lines are ours alone until the transaction ends.
async fn lock_terms(tx: &Tx, gateway: &str) -> Result<gateway_terms::Model, Failure> {
    use gateway_terms::{Column, Entity};
    let usual = gateway_terms::Model {
        gateway: gateway.to_owned(),
        fee_rate: None,
        fee_fixed_minor: 0,
        fee_currency: None,
        missing_after_days: MISSING_AFTER_DAYS,
        version: 0,
        updated_at: tx.now,
    };
    Entity::insert(usual.into_active_model())
        .on_conflict_do_nothing_on([Column::Gateway])
        .exec_without_returning(tx.db())
        .await?;
    let mut query = Entity::find_by_id(gateway.to_owned());
    if tx.locks_rows() {
        QueryTrait::query(&mut query).lock(LockType::Update);
    }
    let terms = query.one(tx.db()).await?;
    terms.ok_or_else(|| Failure::Internal("a gateway without its terms".to_owned()))
}

/// What [`save_terms`] needs.
#[derive(Clone, Debug)]
pub struct SaveTerms {
    /// Which gateway.
    pub gateway: String,
    /// What it keeps of a charge, as a factor; none = its fees are not looked at.
    pub fee_rate: Option<Rate>,
    /// What it keeps of each charge besides.
    pub fee_fixed: Option<Money>,
    /// How many days after a capture its line may come.
    pub missing_after_days: i32,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Writes what is agreed with a gateway. What was judged before stays.
pub async fn save_terms(tx: &Tx, cmd: SaveTerms) -> Result<gateway_terms::Model, Failure> {
    let gateway = name("gateway", &cmd.gateway)?;
    let rate = cmd
        .fee_rate
        .map_or(rust_decimal::Decimal::ZERO, |rate| rate.0);
    let one = rust_decimal::Decimal::ONE;
    if rate < rust_decimal::Decimal::ZERO || rate > one || cmd.missing_after_days < 0 {
        let message = "a rate is a factor from 0 to 1, and days are not below 0";
        return Err(Problem::new(Code::InvalidInput, message).at("input").into());
    }
    let mut terms = lock_terms(tx, &gateway).await?;
    if cmd
        .expected_version
        .is_some_and(|expected| expected != terms.version)
    {
        let problem = Problem::new(Code::StaleVersion, "the terms have changed since");
        let details = json!({ "version": terms.version });
        return Err(problem.at("input.expectedVersion").with(details).into());
    }
    terms.fee_rate = cmd.fee_rate;
    terms.fee_fixed_minor = cmd.fee_fixed.map_or(0, |fixed| fixed.minor);
    terms.fee_currency = cmd.fee_fixed.map(|fixed| fixed.currency);
    terms.missing_after_days = cmd.missing_after_days;
    terms.version += 1;
    terms.updated_at = tx.now;
    let row = terms.clone().into_active_model().reset_all();
    gateway_terms::Entity::update(row).exec(tx.db()).await?;
    Ok(terms)
}

/// Says how files of a gateway are written: as given now, which is kept under the name, or as it was
/// kept before, or as is built in.
pub async fn format(
    tx: &Tx,
    gateway: &str,
    format: &str,
    mapping: Option<&Mapping>,
) -> Result<Mapping, Failure> {
    use settlement_format::{Column, Entity};
    let (gateway, format) = (name("gateway", gateway)?, name("format", format)?);
    if let Some(mapping) = mapping {
        mapping.check()?;
        if format == lines::STRIPE {
            let message = "this format is built in: choose another name";
            return Err(Problem::new(Code::CodeTaken, message)
                .at("input.format")
                .into());
        }
        let row = settlement_format::Model {
            gateway,
            name: format,
            mapping: json!(mapping),
            updated_at: tx.now,
        };
        let known = OnConflict::columns([Column::Gateway, Column::Name])
            .update_columns([Column::Mapping, Column::UpdatedAt])
            .to_owned();
        Entity::insert(row.into_active_model())
            .on_conflict(known)
            .exec_without_returning(tx.db())
            .await?;
        return Ok(mapping.clone());
    }
    if format == lines::STRIPE {
        return Ok(Mapping::of_stripe());
    }
    let kept = Entity::find_by_id((gateway, format)).one(tx.db()).await?;
    let kept = kept.ok_or_else(|| {
        Problem::new(Code::NotFound, "no such format, and no mapping").at("input.format")
    })?;
    serde_json::from_value(kept.mapping)
        .map_err(|_| Failure::Internal("a kept mapping that cannot be read".to_owned()))
}

/// What [`begin`] needs.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Whose file.
    pub gateway: String,
    /// How it is written.
    pub format: String,
    /// Its name.
    pub source: String,
    /// SHA-256 of its content, in hexadecimal.
    pub content_hash: String,
}

/// Opens the record of a file, or finds it: a file is one however often it comes.
pub async fn begin(tx: &Tx, cmd: &Begin) -> Result<settlement::Model, Failure> {
    use settlement::{Column, Entity};
    let gateway = name("gateway", &cmd.gateway)?;
    lock_terms(tx, &gateway).await?;
    let known = Entity::find()
        .filter(Column::Gateway.eq(&gateway))
        .filter(Column::ContentHash.eq(&cmd.content_hash))
        .one(tx.db())
        .await?;
    if let Some(mut known) = known {
        if known.status == Status::Failed {
            known.status = Status::Running;
            known.finished_at = None;
            let row = known.clone().into_active_model().reset_all();
            Entity::update(row).exec(tx.db()).await?;
        }
        return Ok(known);
    }
    let row = settlement::Model {
        id: tx.id(),
        gateway,
        format: name("format", &cmd.format)?,
        source: name("source", &cmd.source)?,
        content_hash: cmd.content_hash.clone(),
        status: Status::Running,
        processed: 0,
        accepted: 0,
        replayed: 0,
        refused: 0,
        started_by: tx.actor.name.clone(),
        started_at: tx.now,
        finished_at: None,
    };
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    Ok(row)
}

/// What became of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines read.
    pub processed: i64,
    /// Lines that were new.
    pub accepted: i64,
    /// Lines that were there already.
    pub replayed: i64,
    /// Lines refused.
    pub refused: i64,
}

/// Writes how far a run has come, and how it ended.
async fn advance(
    tx: &Tx,
    id: SettlementId,
    tally: Tally,
    end: Option<Status>,
) -> Result<(), DbErr> {
    use settlement::Column;
    let mut update = settlement::Entity::update_many()
        .col_expr(Column::Processed, Expr::value(tally.processed))
        .col_expr(Column::Accepted, Expr::value(tally.accepted))
        .col_expr(Column::Replayed, Expr::value(tally.replayed))
        .col_expr(Column::Refused, Expr::value(tally.refused))
        .filter(Column::Id.eq(id));
    if let Some(end) = end {
        update = update
            .col_expr(Column::Status, Expr::value(end))
            .col_expr(Column::FinishedAt, Expr::value(Some(tx.now)));
    }
    update.exec(tx.db()).await?;
    Ok(())
}

/// What a line is about, as far as we know.
#[derive(Clone, Copy, Debug, Default)]
struct About {
    transaction: Option<TransactionId>,
    dispute: Option<DisputeId>,
    order: Option<(OrderId, ChannelId)>,
}

/// What is known by the names that gateways have given, or by our own.
struct Known {
    effects: Vec<(payment_transaction::Model, ChannelId)>,
    disputes: Vec<(dispute::Model, ChannelId)>,
}

impl Known {
    async fn read(tx: &Tx, gateway: &str, names: &BTreeSet<&str>) -> Result<Known, DbErr> {
        let own = names.iter().filter_map(|name| name.parse().ok());
        let own: BTreeSet<TransactionId> = own.map(TransactionId).collect();
        let names = || names.iter().copied();
        let payments = Query::select()
            .column(payment::Column::Id)
            .from(payment::Entity)
            .and_where(payment::Column::Gateway.eq(gateway))
            .to_owned();
        use payment_transaction::{Column, Entity};
        let effects = Entity::find()
            .filter(Column::PaymentId.in_subquery(payments))
            .filter(Column::State.eq(EffectState::Succeeded))
            .filter(Column::Kind.is_in([EffectKind::Capture, EffectKind::Refund]))
            .filter(
                Condition::any()
                    .add(Column::GatewayReference.is_in(names()))
                    .add(Column::Id.is_in(own.iter().copied())),
            )
            .order_by_asc(Column::Id)
            .all(tx.db())
            .await?;
        let disputes = dispute::Entity::find()
            .filter(dispute::Column::Gateway.eq(gateway))
            .filter(dispute::Column::Reference.is_in(names()))
            .all(tx.db())
            .await?;
        let orders = effects.iter().map(|row| row.order_id);
        let orders: BTreeSet<OrderId> = orders
            .chain(disputes.iter().map(|row| row.order_id))
            .collect();
        let mut channels: BTreeMap<OrderId, ChannelId> = order::Entity::find()
            .select_only()
            .columns([order::Column::Id, order::Column::ChannelId])
            .filter(order::Column::Id.is_in(orders.iter().copied()))
            .into_tuple::<(OrderId, ChannelId)>()
            .all(tx.db())
            .await?
            .into_iter()
            .collect();
        // What was put away is settled late, or taken back later.
        let put_away = archived_order::Entity::find()
            .select_only()
            .columns([
                archived_order::Column::Id,
                archived_order::Column::ChannelId,
            ])
            .filter(archived_order::Column::Id.is_in(orders))
            .into_tuple::<(OrderId, ChannelId)>()
            .all(tx.db())
            .await?;
        channels.extend(put_away);
        let archived = archive::effects(tx.db(), gateway, names(), &own).await?;
        let archived = archived.into_iter().map(|(row, of)| (row, of.channel_id));
        let with = |order: OrderId| channels.get(&order).copied();
        let effects = effects
            .into_iter()
            .filter_map(|row| with(row.order_id).map(|channel| (row, channel)));
        Ok(Known {
            effects: effects.chain(archived).collect(),
            disputes: disputes
                .into_iter()
                .filter_map(|row| with(row.order_id).map(|channel| (row, channel)))
                .collect(),
        })
    }

    fn about(&self, kind: LineKind, names: &[String]) -> About {
        let effect = |kind: EffectKind| {
            names.iter().find_map(|name| {
                self.effects.iter().find(|(row, _)| {
                    row.kind == kind
                        && (row.gateway_reference.as_ref() == Some(name)
                            || row.id.to_string() == *name)
                })
            })
        };
        let of_effect = |kind: EffectKind| match effect(kind) {
            Some((row, channel)) => About {
                transaction: Some(row.id),
                dispute: None,
                order: Some((row.order_id, *channel)),
            },
            None => About::default(),
        };
        match kind {
            LineKind::Charge | LineKind::ChargeReversal => of_effect(EffectKind::Capture),
            LineKind::Refund | LineKind::RefundReversal => of_effect(EffectKind::Refund),
            LineKind::Chargeback | LineKind::ChargebackReversal => {
                let known = self
                    .disputes
                    .iter()
                    .find(|(row, _)| names.contains(&row.reference));
                match known {
                    Some((row, channel)) => About {
                        transaction: None,
                        dispute: Some(row.id),
                        order: Some((row.order_id, *channel)),
                    },
                    // Whose it is, is known, but not that it was taken back.
                    None => About {
                        transaction: None,
                        ..of_effect(EffectKind::Capture)
                    },
                }
            }
            LineKind::Fee | LineKind::Payout | LineKind::Other => About::default(),
        }
    }
}

/// Takes rows of a file: what is new is booked, and what they are about is judged afresh.
pub async fn take(
    tx: &Tx,
    run: &settlement::Model,
    rows: &[Row],
    so_far: Tally,
) -> Result<Tally, Failure> {
    let terms = lock_terms(tx, &run.gateway).await?;
    let mut tally = so_far;
    let mut known = lines_named(tx, &run.gateway, rows).await?;
    let good = || rows.iter().filter_map(|row| row.line.as_ref().ok());
    let names: BTreeSet<&str> = good()
        .flat_map(|line| &line.names)
        .map(String::as_str)
        .collect();
    let ours = Known::read(tx, &run.gateway, &names).await?;
    let (mut fresh, mut refused) = (Vec::new(), Vec::new());
    for row in rows {
        tally.processed += 1;
        let line = match &row.line {
            Ok(line) => line,
            Err(problem) => {
                refused.push((row, problem.clone()));
                continue;
            }
        };
        match known.get(&line.reference) {
            Some(same) if is_same(same, line) => tally.replayed += 1,
            Some(_) => {
                let message = "a line of this name was read before, and said something else";
                let problem = Problem::new(Code::SettlementLineChanged, message);
                refused.push((row, problem.at("line")));
            }
            None => {
                tally.accepted += 1;
                let about = ours.about(line.kind, &line.names);
                let model = settlement_line::Model {
                    id: tx.id(),
                    settlement_id: run.id,
                    gateway: run.gateway.clone(),
                    reference: line.reference.clone(),
                    row_number: i64::try_from(row.number).unwrap_or(i64::MAX),
                    kind: line.kind,
                    names: json!(line.names),
                    transaction_id: about.transaction,
                    dispute_id: about.dispute,
                    order_id: about.order.map(|(order, _)| order),
                    channel_id: about.order.map(|(_, channel)| channel),
                    gross_minor: line.gross,
                    fee_minor: line.fee,
                    net_minor: line.gross - line.fee,
                    currency: line.currency,
                    payout: line.payout.clone(),
                    occurred_at: line.occurred_at,
                };
                known.insert(line.reference.clone(), model.clone());
                fresh.push(model);
            }
        }
    }
    tally.refused += i64::try_from(refused.len()).unwrap_or(i64::MAX);
    refuse(tx, run.id, &refused);
    fresh.iter().for_each(|line| book(tx, line));
    let models = fresh
        .iter()
        .cloned()
        .map(IntoActiveModel::into_active_model);
    let models: Vec<settlement_line::ActiveModel> = models.collect();
    tx.defer_rows(models, |insert| insert);
    advance(tx, run.id, tally, None).await?;
    // What is judged is what is written.
    tx.flush().await?;
    let mut verdicts = Verdicts::new(run);
    verdicts.judge_lines(tx, &terms, &fresh).await?;
    verdicts.write(tx).await?;
    Ok(tally)
}

/// The lines that are there already under the names of these.
async fn lines_named(
    tx: &Tx,
    gateway: &str,
    rows: &[Row],
) -> Result<BTreeMap<String, settlement_line::Model>, DbErr> {
    use settlement_line::{Column, Entity};
    let good = rows.iter().filter_map(|row| row.line.as_ref().ok());
    let known = Entity::find()
        .filter(Column::Gateway.eq(gateway))
        .filter(Column::Reference.is_in(good.map(|line| line.reference.as_str())))
        .all(tx.db())
        .await?;
    let known = known.into_iter().map(|line| (line.reference.clone(), line));
    Ok(known.collect())
}

fn is_same(known: &settlement_line::Model, line: &Line) -> bool {
    known.kind == line.kind
        && known.names == json!(line.names)
        && (known.gross_minor, known.fee_minor) == (line.gross, line.fee)
        && known.currency == line.currency
        && known.payout == line.payout
        && known.occurred_at == line.occurred_at
}

/// Writes what was refused, once however often the file is read.
fn refuse(tx: &Tx, id: SettlementId, refused: &[(&Row, Problem)]) {
    use settlement_error::Column;
    let printable = |text: &str| text.chars().filter(|c| !c.is_control()).collect();
    let rows = refused
        .iter()
        .map(|(row, problem)| settlement_error::ActiveModel {
            settlement_id: Set(id),
            row_number: Set(i64::try_from(row.number).unwrap_or(i64::MAX)),
            item: Set(0),
            reference: Set(row.reference.as_deref().map(printable)),
            code: Set(problem.code.as_str()),
            field: Set(problem.field.as_ref().map(|path| path.join("."))),
            message: Set(printable(&problem.message)),
        });
    let known = [Column::SettlementId, Column::RowNumber, Column::Item];
    tx.defer_rows(rows.collect(), |insert| {
        insert.on_conflict(OnConflict::columns(known).do_nothing().to_owned())
    });
}

/// Books a line as the gateway says it. A payout is the sum of the others, and no money besides.
fn book(tx: &Tx, line: &settlement_line::Model) {
    if line.kind == LineKind::Payout {
        return;
    }
    let of = Posting {
        of: line.order_id.zip(line.channel_id),
        currency: line.currency,
        document: Document::Settlement,
        document_id: line.id.0,
    };
    let amounts = [
        (Account::Bank, Account::CashInTransit, line.net_minor),
        (Account::Fees, Account::CashInTransit, line.fee_minor),
    ];
    ledger::post(tx, of, &amounts);
}

/// Judges what the payouts of these names come to.
pub async fn judge_payouts(
    tx: &Tx,
    run: &settlement::Model,
    payouts: &BTreeSet<String>,
) -> Result<(), Failure> {
    use settlement_line::{Column, Entity};
    lock_terms(tx, &run.gateway).await?;
    let lines = Entity::find()
        .filter(Column::Gateway.eq(&run.gateway))
        .filter(Column::Payout.is_in(payouts.iter().map(String::as_str)))
        .all(tx.db())
        .await?;
    let mut sums: BTreeMap<(&str, &str), (i64, Option<i64>, &settlement_line::Model)> =
        BTreeMap::new();
    for line in &lines {
        let payout = line.payout.as_deref().unwrap_or_default();
        let sum = sums
            .entry((payout, line.currency.code()))
            .or_insert((0, None, line));
        match line.kind {
            LineKind::Payout => {
                sum.1 = Some(sum.1.unwrap_or(0) + line.net_minor);
                sum.2 = line;
            }
            _ => sum.0 += line.net_minor,
        }
    }
    let mut verdicts = Verdicts::new(run);
    for ((payout, _), (sum, said, line)) in sums {
        let subject = Subject {
            line: (line.kind == LineKind::Payout).then_some(line.id),
            ..Subject::default()
        };
        let differs = judge::of_payout(sum, said, line.currency);
        verdicts.add(format!("payout:{payout}"), subject, differs);
    }
    verdicts.write(tx).await
}

/// Finds captures for which no line has come, though later ones have: so many at once. Says how many
/// it found.
pub async fn find_missing(tx: &Tx, run: &settlement::Model) -> Result<usize, Failure> {
    let terms = lock_terms(tx, &run.gateway).await?;
    type Moment = Option<DateTime<Utc>>;
    let span: Option<(Moment, Moment)> = settlement_line::Entity::find()
        .select_only()
        .column_as(settlement_line::Column::OccurredAt.min(), "first")
        .column_as(settlement_line::Column::OccurredAt.max(), "last")
        .filter(settlement_line::Column::Gateway.eq(&run.gateway))
        .into_tuple()
        .one(tx.db())
        .await?;
    let Some((Some(first), Some(last))) = span else {
        return Ok(0);
    };
    let days = Duration::days(terms.missing_after_days.into());
    let settled = Query::select()
        .expr(Expr::val(1))
        .from(settlement_line::Entity)
        .and_where(
            Expr::col((
                settlement_line::Entity,
                settlement_line::Column::TransactionId,
            ))
            .equals((payment_transaction::Entity, payment_transaction::Column::Id)),
        )
        .to_owned();
    let said = Query::select()
        .expr(Expr::val(1))
        .from(settlement_difference::Entity)
        .and_where(
            Expr::col((
                settlement_difference::Entity,
                settlement_difference::Column::TransactionId,
            ))
            .equals((payment_transaction::Entity, payment_transaction::Column::Id)),
        )
        .and_where(settlement_difference::Column::Kind.eq(Kind::Missing))
        .to_owned();
    let payments = Query::select()
        .column(payment::Column::Id)
        .from(payment::Entity)
        .and_where(payment::Column::Gateway.eq(&run.gateway))
        .to_owned();
    use payment_transaction::{Column, Entity};
    let missing = Entity::find()
        .filter(Column::PaymentId.in_subquery(payments))
        .filter(Column::Kind.eq(EffectKind::Capture))
        .filter(Column::State.eq(EffectState::Succeeded))
        .filter(Column::UpdatedAt.gte(first - days))
        .filter(Column::UpdatedAt.lte(last - days))
        .filter(Expr::exists(settled).not())
        .filter(Expr::exists(said).not())
        .order_by_asc(Column::Id)
        .limit(MISSING_AT_ONCE)
        .all(tx.db())
        .await?;
    let ids: BTreeSet<TransactionId> = missing.iter().map(|row| row.id).collect();
    let mut verdicts = Verdicts::new(run);
    for (id, amount, order) in amounts_of(tx, &run.gateway, &ids).await? {
        let subject = Subject {
            transaction: Some(id),
            order: Some(order),
            line: None,
        };
        let differs = Differs {
            kind: Kind::Missing,
            expected: amount,
            found: Money::new(0, amount.currency),
        };
        verdicts.add(format!("transaction:{id}"), subject, Some(differs));
    }
    verdicts.write(tx).await?;
    Ok(missing.len())
}

/// Looks once more at lines that were about nothing that we knew: we may know of it by now.
pub async fn match_again(tx: &Tx, run: &settlement::Model) -> Result<(), Failure> {
    let terms = lock_terms(tx, &run.gateway).await?;
    let open = Query::select()
        .column(settlement_difference::Column::LineId)
        .from(settlement_difference::Entity)
        .and_where(settlement_difference::Column::Gateway.eq(&run.gateway))
        .and_where(settlement_difference::Column::State.eq(State::Open))
        .and_where(settlement_difference::Column::LineId.is_not_null())
        .to_owned();
    use settlement_line::{Column, Entity};
    let mut strays = Entity::find()
        .filter(Column::Id.in_subquery(open))
        .filter(Column::TransactionId.is_null())
        .filter(Column::DisputeId.is_null())
        .filter(Column::Kind.ne(LineKind::Payout))
        .all(tx.db())
        .await?;
    let mut names: BTreeMap<SettlementLineId, Vec<String>> = BTreeMap::new();
    for line in &strays {
        let own = serde_json::from_value(line.names.clone()).unwrap_or_default();
        names.insert(line.id, own);
    }
    let all: BTreeSet<&str> = names.values().flatten().map(String::as_str).collect();
    let ours = Known::read(tx, &run.gateway, &all).await?;
    strays.retain_mut(|line| {
        let own = names.get(&line.id).map_or(&[][..], Vec::as_slice);
        let about = ours.about(line.kind, own);
        (line.transaction_id, line.dispute_id) = (about.transaction, about.dispute);
        line.order_id = about.order.map(|(order, _)| order);
        line.channel_id = about.order.map(|(_, channel)| channel);
        about.transaction.is_some() || about.dispute.is_some()
    });
    for line in &strays {
        Entity::update_many()
            .col_expr(Column::TransactionId, Expr::value(line.transaction_id))
            .col_expr(Column::DisputeId, Expr::value(line.dispute_id))
            .col_expr(Column::OrderId, Expr::value(line.order_id))
            .col_expr(Column::ChannelId, Expr::value(line.channel_id))
            .filter(Column::Id.eq(line.id))
            .exec(tx.db())
            .await?;
    }
    let mut verdicts = Verdicts::new(run);
    for line in &strays {
        verdicts.add(format!("line:{}", line.id), Subject::default(), None);
    }
    verdicts.judge_lines(tx, &terms, &strays).await?;
    verdicts.write(tx).await
}

/// Ends a run.
pub async fn end(
    tx: &Tx,
    run: &settlement::Model,
    tally: Tally,
    status: Status,
) -> Result<(), Failure> {
    advance(tx, run.id, tally, Some(status)).await?;
    if status == Status::Completed {
        tx.emit(Entry {
            aggregate_type: "settlement",
            aggregate_id: run.id.to_string(),
            version: 1,
            channel_id: None,
            order_id: None,
            moved: None,
            event: Event::SettlementCompleted {
                gateway: run.gateway.clone(),
                lines: tally.processed,
                refused: tally.refused,
            },
        });
    }
    Ok(())
}

/// Our captures and refunds with what they should bring, and whose they are.
async fn amounts_of(
    tx: &Tx,
    gateway: &str,
    ids: &BTreeSet<TransactionId>,
) -> Result<Vec<(TransactionId, Money, (OrderId, ChannelId))>, DbErr> {
    let rows = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::Id.is_in(ids.iter().copied()))
        .all(tx.db())
        .await?;
    let orders = order::Entity::find()
        .filter(order::Column::Id.is_in(rows.iter().map(|row| row.order_id)))
        .all(tx.db())
        .await?;
    let amount = |row: &payment_transaction::Model, order: &order::Model| {
        let minor = match row.kind {
            EffectKind::Refund => -row.amount_minor,
            _ => row.amount_minor,
        };
        let money = Money::new(minor, order.currency);
        (row.id, money, (order.id, order.channel_id))
    };
    let hot = rows.iter().filter_map(|row| {
        let order = orders.iter().find(|order| order.id == row.order_id)?;
        Some(amount(row, order))
    });
    let mut all: Vec<_> = hot.collect();
    if all.len() < ids.len() {
        let archived = archive::effects(tx.db(), gateway, [], ids).await?;
        all.extend(archived.iter().map(|(row, order)| amount(row, order)));
    }
    Ok(all)
}

/// What a verdict is about.
#[derive(Clone, Copy, Debug, Default)]
struct Subject {
    line: Option<SettlementLineId>,
    transaction: Option<TransactionId>,
    order: Option<(OrderId, ChannelId)>,
}

/// What was found of some subjects: everything that differs about them, and nothing else does.
struct Verdicts<'a> {
    run: &'a settlement::Model,
    of: BTreeMap<String, (Subject, Vec<Differs>)>,
}

impl<'a> Verdicts<'a> {
    fn new(run: &'a settlement::Model) -> Self {
        Verdicts {
            run,
            of: BTreeMap::new(),
        }
    }

    fn add(&mut self, name: String, about: Subject, differs: impl IntoIterator<Item = Differs>) {
        let (_, all) = self.of.entry(name).or_insert_with(|| (about, Vec::new()));
        all.extend(differs);
    }

    /// Judges what lines are about, each subject by all of its lines.
    async fn judge_lines(
        &mut self,
        tx: &Tx,
        terms: &gateway_terms::Model,
        fresh: &[settlement_line::Model],
    ) -> Result<(), Failure> {
        use settlement_line::{Column, Entity};
        let effects: BTreeSet<_> = fresh
            .iter()
            .filter_map(|line| line.transaction_id)
            .collect();
        let disputes: BTreeSet<_> = fresh.iter().filter_map(|line| line.dispute_id).collect();
        let all = Entity::find()
            .filter(
                Condition::any()
                    .add(Column::TransactionId.is_in(effects.iter().copied()))
                    .add(Column::DisputeId.is_in(disputes.iter().copied())),
            )
            .order_by_asc(Column::Reference)
            .all(tx.db())
            .await?;
        let of = |is_own: &dyn Fn(&settlement_line::Model) -> bool| -> Vec<_> {
            all.iter().filter(|line| is_own(line)).cloned().collect()
        };
        for (id, amount, order) in amounts_of(tx, &self.run.gateway, &effects).await? {
            let lines = of(&|line| line.transaction_id == Some(id));
            let differs = judge::of_transaction(amount, &lines, Fees::of(terms));
            let about = Subject {
                line: lines.first().map(|line| line.id),
                transaction: Some(id),
                order: Some(order),
            };
            self.add(format!("transaction:{id}"), about, differs);
        }
        let known = dispute::Entity::find()
            .filter(dispute::Column::Id.is_in(disputes))
            .all(tx.db())
            .await?;
        for row in known {
            let lines = of(&|line| line.dispute_id == Some(row.id));
            let differs = judge::of_dispute(Money::new(row.amount_minor, row.currency), &lines);
            let first = lines.first();
            let about = Subject {
                line: first.map(|line| line.id),
                transaction: Some(row.transaction_id),
                order: first.and_then(|line| line.order_id.zip(line.channel_id)),
            };
            self.add(format!("dispute:{}", row.id), about, differs);
        }
        for line in fresh {
            if line.transaction_id.is_none() && line.dispute_id.is_none() {
                let about = Subject {
                    line: Some(line.id),
                    transaction: None,
                    order: line.order_id.zip(line.channel_id),
                };
                self.add(format!("line:{}", line.id), about, judge::of_stray(line));
            }
        }
        Ok(())
    }

    /// Writes what has come to differ and what no longer does, with its exceptions on orders.
    async fn write(self, tx: &Tx) -> Result<(), Failure> {
        use settlement_difference::{Column, Entity};
        let there = Entity::find()
            .filter(Column::Gateway.eq(&self.run.gateway))
            .filter(Column::Subject.is_in(self.of.keys().map(String::as_str)))
            .order_by_asc(Column::OpenedAt)
            .order_by_asc(Column::Id)
            .all(tx.db())
            .await?;
        let (mut opened, mut gone) = (Vec::new(), Vec::new());
        for (name, (about, differs)) in self.of {
            let there = || there.iter().filter(|row| row.subject == name);
            for one in &differs {
                let alike = || {
                    there().filter(|row| row.kind == one.kind && row.currency == one.found.currency)
                };
                if alike().any(|row| !is_put_right(row) && says(row, one)) {
                    continue;
                }
                let mut row = row_of(tx, self.run, &name, about, one);
                // What was written off is over: what differs is what has come since.
                if let Some(before) = alike().rfind(|row| row.written_off_to.is_some()) {
                    row.expected_minor = before.found_minor;
                }
                opened.push(row);
            }
            let stands = |row: &settlement_difference::Model| {
                differs
                    .iter()
                    .any(|one| row.kind == one.kind && says(row, one))
            };
            let open = there().filter(|row| row.state == State::Open);
            gone.extend(open.filter(|row| !stands(row)).cloned());
        }
        if opened.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let orders = opened.iter().chain(&gone).filter_map(|row| row.order_id);
        let mut orders = aggregate::lock(tx, orders.collect::<BTreeSet<_>>()).await?;
        for row in &gone {
            let aggregate = row.order_id.and_then(|id| orders.get_mut(&id));
            settle(tx, row, aggregate, PUT_RIGHT, None).await?;
        }
        for row in &opened {
            if let Some(aggregate) = row.order_id.and_then(|id| orders.get_mut(&id)) {
                orders::open_exception(tx, aggregate, &finding(row));
            }
        }
        let rows = opened.into_iter().map(IntoActiveModel::into_active_model);
        let rows: Vec<settlement_difference::ActiveModel> = rows.collect();
        tx.defer_rows(rows, |insert| insert);
        for (_, aggregate) in orders {
            aggregate.save(tx);
        }
        Ok(())
    }
}

/// How a difference ends that is none any more.
const PUT_RIGHT: &str = "what has come since puts it right";

/// Whether it has ended by itself: it may come again.
fn is_put_right(row: &settlement_difference::Model) -> bool {
    row.note.as_deref() == Some(PUT_RIGHT)
}

fn says(row: &settlement_difference::Model, one: &Differs) -> bool {
    let expected = Money::new(row.expected_minor, row.expected_currency);
    let found = Money::new(row.found_minor, row.currency);
    // One that was written off before says only what has come since.
    (expected == one.expected || row.written_off_to.is_some()) && found == one.found
}

fn row_of(
    tx: &Tx,
    run: &settlement::Model,
    subject: &str,
    about: Subject,
    one: &Differs,
) -> settlement_difference::Model {
    settlement_difference::Model {
        id: tx.id(),
        gateway: run.gateway.clone(),
        kind: one.kind,
        subject: subject.to_owned(),
        settlement_id: (one.kind != Kind::Missing).then_some(run.id),
        line_id: about.line,
        transaction_id: about.transaction,
        order_id: about.order.map(|(order, _)| order),
        channel_id: about.order.map(|(_, channel)| channel),
        expected_minor: one.expected.minor,
        expected_currency: one.expected.currency,
        found_minor: one.found.minor,
        currency: one.found.currency,
        state: State::Open,
        note: None,
        written_off_to: None,
        resolved_by: None,
        resolved_at: None,
        opened_at: tx.now,
    }
}

/// What is said of a difference on its order.
fn finding(row: &settlement_difference::Model) -> Finding {
    let expected = Money::new(row.expected_minor, row.expected_currency);
    let found = Money::new(row.found_minor, row.currency);
    let what = match row.kind {
        Kind::Fee => format!("{} has kept {found}, not {expected}", row.gateway),
        Kind::Missing => format!("{} has not paid {expected} out", row.gateway),
        Kind::OtherCurrency => format!("{} has settled {found} for {expected}", row.gateway),
        Kind::Chargeback => format!("{} says that {found} were charged back", row.gateway),
        _ => format!("{} has settled {found}, not {expected}", row.gateway),
    };
    Finding {
        code: Code::SettlementDifference,
        line: None,
        field: "payment".to_owned(),
        message: what,
        details: json!({ "differenceId": row.id, "kind": row.kind,
            "expected": row.expected_minor, "expectedCurrency": row.expected_currency,
            "found": row.found_minor, "currency": row.currency }),
        rule: None,
    }
}

/// Marks a difference as settled, and its exception.
async fn settle(
    tx: &Tx,
    row: &settlement_difference::Model,
    aggregate: Option<&mut Aggregate>,
    note: &str,
    written_off_to: Option<Account>,
) -> Result<(), Failure> {
    use settlement_difference::Column;
    settlement_difference::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Resolved))
        .col_expr(Column::Note, Expr::value(Some(note.to_owned())))
        .col_expr(Column::WrittenOffTo, Expr::value(written_off_to))
        .col_expr(Column::ResolvedBy, Expr::value(Some(tx.actor.name.clone())))
        .col_expr(Column::ResolvedAt, Expr::value(Some(tx.now)))
        .filter(Column::Id.eq(row.id))
        .exec(tx.db())
        .await?;
    if let Some(aggregate) = aggregate {
        orders::settle_found(tx, aggregate, note, |open| {
            open.details["differenceId"] == json!(row.id)
        });
    }
    Ok(())
}

/// What [`resolve`] needs.
#[derive(Clone, Debug)]
pub struct Resolve {
    /// Which difference.
    pub id: SettlementDifferenceId,
    /// How it is settled.
    pub note: String,
    /// The account that what is left of it is written off to; none = it is not.
    pub write_off_to: Option<Account>,
}

/// Settles a difference by a person's word; what is left of it in transit, or at the bank, may be
/// written off.
pub async fn resolve(tx: &Tx, cmd: &Resolve) -> Result<SettlementDifferenceId, Failure> {
    use settlement_difference::Entity;
    let note = orders::text("note", &cmd.note)?;
    let find = async || -> Result<settlement_difference::Model, Failure> {
        let row = Entity::find_by_id(cmd.id).one(tx.db()).await?;
        let missing = || Problem::not_found("SettlementDifference").at("input.id");
        Ok(row.ok_or_else(missing)?)
    };
    lock_terms(tx, &find().await?.gateway).await?;
    let row = find().await?;
    if row.state != State::Open {
        let problem = Problem::new(Code::DifferenceNotOpen, "the difference is settled already");
        return Err(problem.at("input.id").into());
    }
    let from = match row.kind {
        Kind::Fee => None,
        Kind::Payout => Some(Account::Bank),
        _ => Some(Account::CashInTransit),
    };
    if let Some(to) = cmd.write_off_to {
        let from = from.filter(|from| *from != to).ok_or_else(|| {
            let message = "nothing is left of it there that could be written off";
            Problem::new(Code::InvalidInput, message).at("input.writeOffTo")
        })?;
        let of = |currency| Posting {
            of: row.order_id.zip(row.channel_id),
            currency,
            document: Document::WriteOff,
            document_id: row.id.0,
        };
        if row.currency == row.expected_currency {
            let left = row.expected_minor - row.found_minor;
            ledger::post(tx, of(row.currency), &[(to, from, left)]);
        } else {
            let expected = of(row.expected_currency);
            ledger::post(tx, expected, &[(to, from, row.expected_minor)]);
            ledger::post(tx, of(row.currency), &[(to, from, -row.found_minor)]);
        }
    }
    let mut orders = aggregate::lock(tx, row.order_id).await?;
    let aggregate = orders.values_mut().next();
    settle(tx, &row, aggregate, &note, cmd.write_off_to).await?;
    tx.emit(Entry {
        aggregate_type: "settlement_difference",
        aggregate_id: row.id.to_string(),
        version: 1,
        channel_id: row.channel_id,
        order_id: None,
        moved: None,
        event: Event::SettlementDifferenceResolved {
            kind: row.kind,
            written_off_to: cmd.write_off_to,
        },
    });
    for (_, aggregate) in orders {
        aggregate.save(tx);
    }
    Ok(row.id)
}

/// The record of a file.
pub async fn find(
    db: &impl ConnectionTrait,
    id: SettlementId,
) -> Result<Option<settlement::Model>, DbErr> {
    settlement::Entity::find_by_id(id).one(db).await
}
