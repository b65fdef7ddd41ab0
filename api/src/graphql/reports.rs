//! Reports over any period of days.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use entity::Currency;
use entity::order::Stage;
use sea_orm::{ActiveEnum, Iterable};

use super::catalogue::channels::{Channel, time_zone};
use super::catalogue::seen_channels;
use super::catalogue::warehouses::Warehouse;
use super::errors::{UserError, outcome};
use super::ids::from_globals;
use super::loaders::load;
use super::orders::enums::OrderStage;
use super::returns::{ReturnDisposition, ReturnReason};
use super::scalars::{Decimal, Money, money};
use super::{Allowed, app, principal};
use crate::access::Scope;
use crate::failure::{Failure, Problem};
use crate::reports::operations::{self, Ask, Dimension, Histogram, Passage};
use crate::reports::periods::Interval;

/// What `operationsReport` needs.
#[derive(Clone, Debug, InputObject)]
pub struct OperationsReportInput {
    /// The first day.
    pub from: NaiveDate,
    /// The last day, `from` or later (INVALID_INPUT).
    pub to: NaiveDate,
    /// Whose days: a name of the IANA database, such as `Europe/Vienna` (INVALID_INPUT).
    #[graphql(default_with = "\"UTC\".to_owned()")]
    pub time_zone: String,
    /// How long a line is; at most 400 lines follow one another (TOO_MANY).
    #[graphql(default_with = "Interval::Day")]
    pub interval: Interval,
    /// What lines are told apart by besides their time; nothing if not given.
    pub by: Option<Dimension>,
    /// Only these channels (NOT_FOUND); all that you may see if not given.
    pub channel_ids: Option<Vec<ID>>,
    /// Only what happened in these warehouses; everything if empty.
    #[graphql(default, validator(max_items = 100))]
    pub warehouse_ids: Vec<ID>,
    /// Only what these carriers had a part in, by their codes; everything if empty.
    #[graphql(default, validator(max_items = 100))]
    pub carriers: Vec<String>,
}

impl OperationsReportInput {
    fn ask(self, ctx: &Context<'_>) -> std::result::Result<Ask, Problem> {
        let channels = match &self.channel_ids {
            Some(ids) => Some(
                seen_channels(ctx, ids, "input.channelIds")?
                    .into_iter()
                    .collect(),
            ),
            None => principal(ctx).ok().and_then(|own| own.channels.clone()),
        };
        Ok(Ask {
            from: self.from,
            to: self.to,
            time_zone: time_zone(&self.time_zone)?,
            interval: self.interval,
            by: self.by,
            channels,
            warehouses: from_globals(&self.warehouse_ids, "input.warehouseIds")?,
            carriers: self.carriers,
        })
    }
}

/// What `operationsReport` came to.
#[derive(SimpleObject)]
pub struct OperationsReportPayload {
    /// The report; null if the input was refused.
    pub report: Option<OperationsReport>,
    /// Why there is none; empty if there is one.
    pub user_errors: Vec<UserError>,
}

/// What happened in a period of days, added up from the log.
pub struct OperationsReport(operations::Report);

/// What happened in a period of days, added up from the log.
#[Object]
impl OperationsReport {
    /// The position of the log that is in the figures: they follow a moment after each event.
    async fn seq(&self) -> i64 {
        self.0.seq
    }

    /// The lines, oldest first. Without `by`, every period has one, also if nothing happened in it.
    async fn lines(&self) -> Vec<OperationsReportLine> {
        let lines = self.0.lines.iter().cloned();
        lines.map(OperationsReportLine).collect()
    }
}

/// What happened in a period.
pub struct OperationsReportLine(operations::Line);

impl OperationsReportLine {
    fn figures(&self) -> &operations::Figures {
        &self.0.figures
    }
}

/// What happened in a period. Orders count when they came, everything else when it happened.
#[Object]
impl OperationsReportLine {
    /// When the period begins.
    async fn start(&self) -> DateTime<Utc> {
        self.0.start
    }

    /// When it ends; that moment belongs to the next.
    async fn end(&self) -> DateTime<Utc> {
        self.0.end
    }

    /// Of which channel; null unless lines are told apart by it.
    async fn channel(&self, ctx: &Context<'_>) -> Result<Option<Channel>> {
        match self.0.channel {
            Some(id) => Ok(load(ctx, id).await?.map(Channel)),
            None => Ok(None),
        }
    }

    /// In which warehouse; null unless lines are told apart by it.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        match self.0.warehouse {
            Some(id) => Ok(load(ctx, id).await?.map(Warehouse)),
            None => Ok(None),
        }
    }

    /// The carrier's code; null unless lines are told apart by it.
    async fn carrier(&self) -> Option<&str> {
        self.0.carrier.as_deref()
    }

    /// How many orders came in.
    async fn orders_received(&self) -> i64 {
        self.figures().received
    }

    /// What they came to when they came in, by currency.
    async fn order_value(&self) -> Vec<Money> {
        let sums = self.figures().ordered.iter();
        sums.filter_map(|(code, minor)| Some(money(*minor, code.parse::<Currency>().ok()?)))
            .collect()
    }

    /// How many units of what is sold were asked for.
    async fn units_ordered(&self) -> i64 {
        self.figures().units_held + self.figures().units_backordered
    }

    /// How many of them were there when their order came.
    async fn units_filled(&self) -> i64 {
        self.figures().units_held
    }

    /// The part that was: 0.9875 is 98.75 %; null if no unit was asked for.
    async fn fill_rate(&self) -> Option<Decimal> {
        let figures = self.figures();
        part(
            figures.units_held,
            figures.units_held + figures.units_backordered,
        )
    }

    /// Every stage with how many orders came to it and left it.
    async fn stages(&self) -> Vec<StagePassage> {
        let of = |stage| StagePassage {
            stage,
            passage: self.figures().stage(stage),
        };
        Stage::iter().map(of).collect()
    }

    /// The exceptions that were opened or settled, by code.
    async fn exceptions(&self) -> Vec<ExceptionPassage> {
        let of = |(code, passage): (&String, &Passage)| ExceptionPassage {
            code: code.clone(),
            passage: passage.clone(),
        };
        self.figures().exceptions.iter().map(of).collect()
    }

    /// How many units were asked to come back, or came without being announced, by reason.
    async fn returns_by_reason(&self) -> Vec<ReturnedForReason> {
        let of = |(reason, units): (&String, &i64)| {
            let reason = entity::return_line::Reason::try_from_value(reason).ok()?;
            Some(ReturnedForReason {
                reason: reason.into(),
                units: *units,
            })
        };
        self.figures().returns_asked.iter().filter_map(of).collect()
    }

    /// How many units of returns were looked at, by what became of them.
    async fn returns_by_disposition(&self) -> Vec<ReturnedTo> {
        let of = |(disposition, units): (&String, &i64)| {
            let to = entity::return_unit::Disposition::try_from_value(disposition).ok()?;
            Some(ReturnedTo {
                disposition: to.into(),
                units: *units,
            })
        };
        self.figures().returns_found.iter().filter_map(of).collect()
    }

    /// How many units were scanned at their bin.
    async fn units_picked(&self) -> i64 {
        self.figures().units_picked
    }

    /// How many units were scanned into their package.
    async fn units_packed(&self) -> i64 {
        self.figures().units_packed
    }

    /// How many units were not in their bin.
    async fn units_short(&self) -> i64 {
        self.figures().units_short
    }

    /// How many scans were refused.
    async fn mis_scans(&self) -> i64 {
        self.figures().refused_scans.values().sum()
    }

    /// The same by what was wrong.
    async fn mis_scans_by_code(&self) -> Vec<MisScans> {
        let of = |(code, count): (&String, &i64)| MisScans {
            code: code.clone(),
            count: *count,
        };
        self.figures().refused_scans.iter().map(of).collect()
    }

    /// Refused scans for a thousand units that were scanned right, at the bin and at the table;
    /// null if none was.
    async fn mis_scans_per_thousand(&self) -> Option<Decimal> {
        let figures = self.figures();
        let wrong: i64 = figures.refused_scans.values().sum();
        part(wrong * 1_000, figures.units_picked + figures.units_packed)
    }

    /// How many shipments left.
    async fn shipments_dispatched(&self) -> i64 {
        let figures = self.figures();
        figures.dispatched_in_time + figures.dispatched_late + figures.dispatched_unpromised
    }

    /// How many of them left later than their channel promises: broken SLAs.
    async fn dispatched_late(&self) -> i64 {
        self.figures().dispatched_late
    }

    /// The part of those with a promise that left in time: 0.9875 is 98.75 %; null if there were
    /// none.
    async fn on_time_rate(&self) -> Option<Decimal> {
        let figures = self.figures();
        let promised = figures.dispatched_in_time + figures.dispatched_late;
        part(figures.dispatched_in_time, promised)
    }

    /// How many units left.
    async fn units_shipped(&self) -> i64 {
        self.figures().units_shipped
    }

    /// How many shipments arrived, and how long they were under way.
    async fn deliveries(&self) -> Spans {
        Spans(self.figures().delivered.clone())
    }
}

/// A part of a whole, to four places; none of nothing.
fn part(of: i64, whole: i64) -> Option<Decimal> {
    let quotient = rust_decimal::Decimal::from(of).checked_div(whole.into())?;
    Some(Decimal(quotient.round_dp(4).normalize()))
}

/// What became of orders at a stage.
pub struct StagePassage {
    stage: Stage,
    passage: Passage,
}

/// What became of orders at a stage.
#[Object]
impl StagePassage {
    /// The stage.
    async fn stage(&self) -> OrderStage {
        self.stage.into()
    }

    /// How many orders came to it.
    async fn entered(&self) -> i64 {
        self.passage.came
    }

    /// How many left it, and how long they had stood there.
    async fn left(&self) -> Spans {
        Spans(self.passage.went.clone())
    }
}

/// Units that come back for a reason.
#[derive(SimpleObject)]
pub struct ReturnedForReason {
    /// Why.
    reason: ReturnReason,
    /// How many units.
    units: i64,
}

/// Units that came back, or did not.
#[derive(SimpleObject)]
pub struct ReturnedTo {
    /// What became of them.
    disposition: ReturnDisposition,
    /// How many units.
    units: i64,
}

/// What became of exceptions of a code.
pub struct ExceptionPassage {
    code: String,
    passage: Passage,
}

/// What became of exceptions of a code.
#[Object]
impl ExceptionPassage {
    /// The code.
    async fn code(&self) -> &str {
        &self.code
    }

    /// How many were opened, those that were opened again included.
    async fn opened(&self) -> i64 {
        self.passage.came
    }

    /// How many were settled, and how long they had been open.
    async fn settled(&self) -> Spans {
        Spans(self.passage.went.clone())
    }
}

/// How often something came to an end, and how long it took. Spans are kept in bins, so they are
/// right within four parts of a hundred.
pub struct Spans(Histogram);

/// How often something came to an end, and how long it took. Spans are kept in bins, so they are
/// right within four parts of a hundred.
#[Object]
impl Spans {
    /// How often.
    async fn count(&self) -> i64 {
        self.0.count()
    }

    /// Half took at most this long, in seconds; null if it never happened.
    async fn p50_secs(&self) -> Option<i64> {
        self.0.percentile(50)
    }

    /// Ninety-five of a hundred took at most this long, in seconds; null if it never happened.
    async fn p95_secs(&self) -> Option<i64> {
        self.0.percentile(95)
    }
}

/// Scans that were refused for one reason.
#[derive(SimpleObject)]
pub struct MisScans {
    /// What was wrong: `SCAN_WRONG_ITEM` …
    pub code: String,
    /// How many there were.
    pub count: i64,
}

/// Reading reports.
#[derive(Default)]
pub struct ReportQuery;

#[Object]
impl ReportQuery {
    /// What happened in a period of days in a time zone, by day, week, month or in all, and by
    /// channel, warehouse or carrier: orders, stages and how long they took, exceptions, scans,
    /// shipments, promises kept. It is added up as things happen, so it costs what its period
    /// holds and not what its orders are. A key that is confined to channels sees theirs.
    /// Refusals: INVALID_INPUT, TOO_MANY, NOT_FOUND. Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "100 + 20 * child_complexity"
    )]
    async fn operations_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which days, and what tells lines apart.")] input: OperationsReportInput,
    ) -> Result<OperationsReportPayload> {
        let read = match input.ask(ctx) {
            Ok(ask) => operations::read(&app(ctx).db.read, &ask).await,
            Err(problem) => Err(Failure::from(problem)),
        };
        let (report, user_errors) = outcome(read)?;
        Ok(OperationsReportPayload {
            report: report.map(OperationsReport),
            user_errors,
        })
    }
}
