//! What was sold in any period of days: what invoices and credit notes say, what money came and
//! went, what was ordered and what was called off, by currency.
//!
//! Documents and postings never change and outlive their orders, so they are summed as they are,
//! each period by an index: `invoice_issued` finds the documents of a period, the primary key of
//! their lines these, `ledger_entry_posted` the money. Orders are kept from the log by quarters of an
//! hour, as in [`operations`](super::operations). None of it costs what is outside the period.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use entity::ledger_entry::Document;
use entity::report_figure::Measure;
use entity::{ChannelId, Currency, Rate, TimeZone, invoice, invoice_line};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};

use super::operations;
use super::periods::{self, Interval, Period, QUARTER};
use super::projection;
use crate::failure::Failure;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// Whose days.
    pub time_zone: TimeZone,
    /// How long a line is.
    pub interval: Interval,
    /// Whether lines are told apart by their channel.
    pub by_channel: bool,
    /// Only these channels; none = all.
    pub channels: Option<BTreeSet<ChannelId>>,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The position of the log that is in the figures of orders.
    pub seq: i64,
    /// Its lines: period by period, in each by channel and currency.
    pub lines: Vec<Line>,
}

/// A line of a report: a period, and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the period begins.
    pub start: DateTime<Utc>,
    /// When it ends; that moment is of the next.
    pub end: DateTime<Utc>,
    /// The channel, if lines are told apart by it.
    pub channel: Option<ChannelId>,
    /// The currency of every amount.
    pub currency: Currency,
    /// What was sold.
    pub figures: Figures,
}

/// Sums over a period, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What invoices say.
    pub invoiced: Documents,
    /// What credit notes say.
    pub credited: Documents,
    /// Money that was taken.
    pub captured: i64,
    /// Money that was given back.
    pub refunded: i64,
    /// Orders that came in.
    pub orders: i64,
    /// What they came to when they came in.
    pub ordered: i64,
    /// Orders that were called off, refused or never paid.
    pub cancelled_orders: i64,
    /// What they came to then.
    pub cancelled: i64,
}

impl Figures {
    /// What an order came to on average, rounded half up; none if there was none.
    pub fn average_order(&self) -> Option<i64> {
        (2 * self.ordered + self.orders).checked_div(2 * self.orders)
    }
}

/// What documents of one kind come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// How many there are.
    pub count: i64,
    /// Without tax, the delivery included.
    pub net: i64,
    /// What of that is for delivery.
    pub delivery: i64,
    /// What was taken off before.
    pub discount: i64,
    /// The tax.
    pub tax: i64,
    /// What totals were rounded by.
    pub rounding: i64,
    /// In all: net + tax + rounding.
    pub gross: i64,
    /// Net and tax by how they were taxed.
    pub taxes: BTreeMap<(String, Rate), Taxed>,
}

/// What was taxed alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taxed {
    /// Without the tax.
    pub net: i64,
    /// The tax.
    pub tax: i64,
}

/// Reads a report. A period has a line for each currency in which something happened.
pub async fn read(db: &impl ConnectionTrait, ask: &Ask) -> Result<Report, Failure> {
    let periods = periods::of(ask.from, ask.to, ask.time_zone, ask.interval)?;
    let seq = projection::position(db, operations::NAME).await?;
    let mut lines = Lines {
        ask,
        periods: &periods,
        known: BTreeMap::new(),
    };

    let heads = lines.query(
        db,
        "i.channel_id, i.currency, i.kind, COUNT(*) AS documents,
            CAST(SUM(i.net_minor) AS BIGINT) AS net, CAST(SUM(i.tax_minor) AS BIGINT) AS tax,
            CAST(SUM(i.rounding_minor) AS BIGINT) AS rounding,
            CAST(SUM(i.total_minor) AS BIGINT) AS gross",
        "invoice i WHERE i.issued_at >= p.a AND i.issued_at < p.b",
        ("i", "1, 2, 3, 4"),
        Moments::Times,
    );
    for row in db.query_all_raw(heads).await? {
        let documents = lines.documents(&row)?;
        if let Some(of) = documents {
            of.count += row.try_get::<i64>("", "documents")?;
            of.net += row.try_get::<i64>("", "net")?;
            of.tax += row.try_get::<i64>("", "tax")?;
            of.rounding += row.try_get::<i64>("", "rounding")?;
            of.gross += row.try_get::<i64>("", "gross")?;
        }
    }

    let parts = lines.query(
        db,
        "i.channel_id, i.currency, i.kind, l.kind AS part, l.tax_category, l.tax_rate,
            CAST(SUM(l.net_minor) AS BIGINT) AS net, CAST(SUM(l.tax_minor) AS BIGINT) AS tax,
            CAST(SUM(l.discount_minor) AS BIGINT) AS discount",
        "invoice i JOIN invoice_line l ON l.invoice_id = i.id
            WHERE i.issued_at >= p.a AND i.issued_at < p.b",
        ("i", "1, 2, 3, 4, 5, 6, 7"),
        Moments::Times,
    );
    for row in db.query_all_raw(parts).await? {
        let part: invoice_line::Kind = row.try_get("", "part")?;
        let category: String = row.try_get("", "tax_category")?;
        let rate: Rate = row.try_get("", "tax_rate")?;
        let (net, tax): (i64, i64) = (row.try_get("", "net")?, row.try_get("", "tax")?);
        if let Some(of) = lines.documents(&row)? {
            of.discount += row.try_get::<i64>("", "discount")?;
            if part == invoice_line::Kind::Delivery {
                of.delivery += net;
            }
            let taxed = of
                .taxes
                .entry((category, Rate(rate.0.normalize())))
                .or_default();
            taxed.net += net;
            taxed.tax += tax;
        }
    }

    let money = lines.query(
        db,
        "e.channel_id, e.currency, e.document, CAST(SUM(e.amount_minor) AS BIGINT) AS amount",
        "ledger_entry e WHERE e.posted_at >= p.a AND e.posted_at < p.b
            AND e.document IN ('CAPTURE', 'REFUND') AND e.channel_id IS NOT NULL",
        ("e", "1, 2, 3, 4"),
        Moments::Times,
    );
    for row in db.query_all_raw(money).await? {
        let document: Document = row.try_get("", "document")?;
        let amount: i64 = row.try_get("", "amount")?;
        if let Some(of) = lines.figures(&row)? {
            match document {
                Document::Refund => of.refunded += amount,
                _ => of.captured += amount,
            }
        }
    }

    let orders = lines.query(
        db,
        "f.channel_id, f.currency, f.measure, CAST(SUM(f.events) AS BIGINT) AS events,
            CAST(SUM(f.amount) AS BIGINT) AS amount",
        "report_figure f WHERE f.quarter >= p.a AND f.quarter < p.b
            AND f.measure IN ('RECEIVED', 'CANCELLED') AND f.currency <> ''",
        ("f", "1, 2, 3, 4"),
        Moments::Quarters,
    );
    for row in db.query_all_raw(orders).await? {
        let measure: Measure = row.try_get("", "measure")?;
        let events: i64 = row.try_get("", "events")?;
        let amount: i64 = row.try_get("", "amount")?;
        if let Some(of) = lines.figures(&row)? {
            if measure == Measure::Received {
                of.orders += events;
                of.ordered += amount;
            } else {
                of.cancelled_orders += events;
                of.cancelled += amount;
            }
        }
    }
    Ok(Report {
        seq,
        lines: lines.known.into_values().collect(),
    })
}

/// How a table says when something happened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moments {
    Times,
    Quarters,
}

/// The lines of a report, as they are added up.
struct Lines<'a> {
    ask: &'a Ask,
    periods: &'a [Period],
    known: BTreeMap<(i64, Option<ChannelId>, String), Line>,
}

impl Lines<'_> {
    /// One row for each period and whatever else is grouped by.
    fn query(
        &self,
        db: &impl ConnectionTrait,
        columns: &str,
        from: &str,
        (table, groups): (&str, &str),
        moments: Moments,
    ) -> Statement {
        let mut values: Vec<Value> = Vec::new();
        let mut rows = Vec::new();
        for (place, (start, end)) in self.periods.iter().enumerate() {
            let mut bound = |at: DateTime<Utc>| match moments {
                // Figures of our own, so they can stand in the text.
                Moments::Quarters => at.timestamp().div_euclid(QUARTER).to_string(),
                Moments::Times => {
                    values.push(at.into());
                    format!("${}", values.len())
                }
            };
            rows.push(format!("({place}, {}, {})", bound(*start), bound(*end)));
        }
        let mut confined = String::new();
        if let Some(channels) = &self.ask.channels {
            let places: Vec<String> = channels
                .iter()
                .map(|id| {
                    values.push(Value::from(*id));
                    format!("${}", values.len())
                })
                .collect();
            confined = match places.is_empty() {
                true => "AND 1 = 0".to_owned(),
                false => format!("AND {table}.channel_id IN ({})", places.join(", ")),
            };
        }
        // A cross join, so that SQLite goes from the periods to the index, and not the other way.
        let sql = format!(
            "WITH period (place, a, b) AS (VALUES {})
            SELECT CAST(p.place AS BIGINT) AS place, {columns}
            FROM period p CROSS JOIN {from} {confined} GROUP BY {groups}",
            rows.join(", ")
        );
        Statement::from_sql_and_values(db.get_database_backend(), sql, values)
    }

    /// The sums that a row belongs to.
    fn figures(&mut self, row: &QueryResult) -> Result<Option<&mut Figures>, DbErr> {
        let place: i64 = row.try_get("", "place")?;
        let currency: Currency = row.try_get("", "currency")?;
        let channel: ChannelId = row.try_get("", "channel_id")?;
        let period = usize::try_from(place).ok();
        let Some((start, end)) = period.and_then(|place| self.periods.get(place)) else {
            return Ok(None);
        };
        let channel = self.ask.by_channel.then_some(channel);
        let key = (place, channel, currency.code().to_owned());
        let line = self.known.entry(key).or_insert_with(|| Line {
            start: *start,
            end: *end,
            channel,
            currency,
            figures: Figures::default(),
        });
        Ok(Some(&mut line.figures))
    }

    /// The same of a document's kind.
    fn documents(&mut self, row: &QueryResult) -> Result<Option<&mut Documents>, DbErr> {
        let kind: invoice::Kind = row.try_get("", "kind")?;
        let figures = self.figures(row)?;
        Ok(figures.map(|figures| match kind {
            invoice::Kind::Invoice => &mut figures.invoiced,
            invoice::Kind::CreditNote => &mut figures.credited,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4b_an_average_is_rounded_half_up_and_there_is_none_of_nothing() {
        let of = |orders, ordered| Figures {
            orders,
            ordered,
            ..Figures::default()
        };
        assert_eq!(of(2, 1_001).average_order(), Some(501));
        assert_eq!(of(3, 1_000).average_order(), Some(333));
        assert_eq!(of(0, 0).average_order(), None);
    }
}
