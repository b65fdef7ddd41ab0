//! What was sold, what is owed and what is in stock, in money.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{ChannelId, Currency, invoice_line};
use sea_orm::ActiveEnum;

use super::catalogue::channels::{Channel, time_zone};
use super::catalogue::seen_channels;
use super::errors::{UserError, outcome};
use super::invoices::TaxCategory;
use super::loaders::load;
use super::scalars::{CurrencyCode, Decimal, Money, money};
use super::{Allowed, app, principal};
use crate::access::Scope;
use crate::failure::{Failure, Problem};
use crate::reports::periods::Interval;
use crate::reports::sales;

/// The channels that a report is confined to; none = all.
fn channels(
    ctx: &Context<'_>,
    named: Option<&Vec<ID>>,
) -> std::result::Result<Option<std::collections::BTreeSet<ChannelId>>, Problem> {
    Ok(match named {
        Some(ids) => {
            let seen = seen_channels(ctx, ids, "input.channelIds")?;
            Some(seen.into_iter().collect())
        }
        None => principal(ctx).ok().and_then(|own| own.channels.clone()),
    })
}

/// What `salesReport` needs.
#[derive(Clone, Debug, InputObject)]
pub struct SalesReportInput {
    /// The first day.
    pub from: NaiveDate,
    /// The last day, `from` or later (INVALID_INPUT).
    pub to: NaiveDate,
    /// Whose days: a name of the IANA database, such as `Europe/Vienna` (INVALID_INPUT).
    #[graphql(default_with = "\"UTC\".to_owned()")]
    pub time_zone: String,
    /// How long a line is; at most 400 periods follow one another (TOO_MANY).
    #[graphql(default_with = "Interval::Day")]
    pub interval: Interval,
    /// Whether lines are told apart by their channel.
    #[graphql(default)]
    pub by_channel: bool,
    /// Only these channels (NOT_FOUND); all that you may see if not given.
    pub channel_ids: Option<Vec<ID>>,
}

impl SalesReportInput {
    fn ask(self, ctx: &Context<'_>) -> std::result::Result<sales::Ask, Problem> {
        Ok(sales::Ask {
            from: self.from,
            to: self.to,
            time_zone: time_zone(&self.time_zone)?,
            interval: self.interval,
            by_channel: self.by_channel,
            channels: channels(ctx, self.channel_ids.as_ref())?,
        })
    }
}

/// What `salesReport` came to.
#[derive(SimpleObject)]
pub struct SalesReportPayload {
    /// The report; null if the input was refused.
    pub report: Option<SalesReport>,
    /// Why there is none; empty if there is one.
    pub user_errors: Vec<UserError>,
}

/// What was sold in a period of days.
pub struct SalesReport(sales::Report);

/// What was sold in a period of days.
#[Object]
impl SalesReport {
    /// The position of the log that is in the figures of orders: they follow a moment after each
    /// event. What is invoiced and paid is in the figures at once.
    async fn seq(&self) -> i64 {
        self.0.seq
    }

    /// The lines, oldest first: one for each period and currency, and channel if they are told apart
    /// by it, in which something happened.
    async fn lines(&self) -> Vec<SalesReportLine> {
        let lines = self.0.lines.iter().cloned();
        lines.map(SalesReportLine).collect()
    }
}

/// What was sold in a period, in one currency.
pub struct SalesReportLine(sales::Line);

impl SalesReportLine {
    fn money(&self, minor: i64) -> Money {
        money(minor, self.0.currency)
    }
}

/// What was sold in a period, in one currency. Documents count when they were issued, money when it
/// was posted, orders when they came or ended. Orders that were put away count as all others.
#[Object]
impl SalesReportLine {
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

    /// The currency of every amount of the line.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }

    /// What invoices say.
    async fn invoiced(&self) -> SalesSums {
        SalesSums(self.0.figures.invoiced.clone(), self.0.currency)
    }

    /// What credit notes take back; the amounts are positive.
    async fn credited(&self) -> SalesSums {
        SalesSums(self.0.figures.credited.clone(), self.0.currency)
    }

    /// Money that was taken for orders. What is put on account is not.
    async fn captured(&self) -> Money {
        self.money(self.0.figures.captured)
    }

    /// Money that was given back.
    async fn refunded(&self) -> Money {
        self.money(self.0.figures.refunded)
    }

    /// How many orders came in.
    async fn orders_placed(&self) -> i64 {
        self.0.figures.orders
    }

    /// What they came to when they came in.
    async fn order_value(&self) -> Money {
        self.money(self.0.figures.ordered)
    }

    /// What one came to on average, rounded half up to the minor unit; null if none came.
    async fn average_order_value(&self) -> Option<Money> {
        let average = self.0.figures.average_order();
        average.map(|minor| self.money(minor))
    }

    /// How many orders were called off, refused, or never paid.
    async fn orders_cancelled(&self) -> i64 {
        self.0.figures.cancelled_orders
    }

    /// What they came to when that happened.
    async fn cancelled_value(&self) -> Money {
        self.money(self.0.figures.cancelled)
    }
}

/// What invoices, or credit notes, come to.
pub struct SalesSums(sales::Documents, Currency);

/// What invoices, or credit notes, come to.
#[Object]
impl SalesSums {
    /// How many there are.
    async fn count(&self) -> i64 {
        self.0.count
    }

    /// After discounts and without tax, the delivery included.
    async fn net(&self) -> Money {
        money(self.0.net, self.1)
    }

    /// What of the net amount is for delivery.
    async fn delivery(&self) -> Money {
        money(self.0.delivery, self.1)
    }

    /// What came off before the net amount.
    async fn discounts(&self) -> Money {
        money(self.0.discount, self.1)
    }

    /// The tax.
    async fn tax(&self) -> Money {
        money(self.0.tax, self.1)
    }

    /// What totals were rounded by.
    async fn rounding(&self) -> Money {
        money(self.0.rounding, self.1)
    }

    /// In all: net, tax and rounding.
    async fn gross(&self) -> Money {
        money(self.0.gross, self.1)
    }

    /// Net and tax by category and rate. They add up to all of it.
    async fn taxes(&self) -> Vec<SalesTax> {
        let taxes = self.0.taxes.iter();
        let read = |((category, rate), taxed): (&(String, entity::Rate), &sales::Taxed)| {
            let category = invoice_line::TaxCategory::try_from_value(category).ok()?;
            Some(SalesTax {
                category: category.into(),
                rate: Decimal(rate.0),
                net: money(taxed.net, self.1),
                tax: money(taxed.tax, self.1),
            })
        };
        taxes.filter_map(read).collect()
    }
}

/// What was taxed alike.
#[derive(SimpleObject)]
pub struct SalesTax {
    /// How it is taxed.
    category: TaxCategory,
    /// The rate: 0.19 is 19 %.
    rate: Decimal,
    /// The amount without the tax.
    net: Money,
    /// The tax.
    tax: Money,
}

/// Reading what finance asks for.
#[derive(Default)]
pub struct FinanceQuery;

#[Object]
impl FinanceQuery {
    /// What was sold in a period of days in a time zone, by day, week, month or in all, by currency
    /// and, if asked, by channel: what invoices and credit notes say, tax by category and rate, money
    /// taken and given back, orders and what became of them. It costs what its period holds. A key
    /// that is confined to channels sees theirs. Refusals: INVALID_INPUT, TOO_MANY, NOT_FOUND. Needs
    /// the scope FINANCE_READ.
    #[graphql(
        guard = "Allowed(Scope::FinanceRead)",
        complexity = "100 + 20 * child_complexity"
    )]
    async fn sales_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which days, and what tells lines apart.")] input: SalesReportInput,
    ) -> Result<SalesReportPayload> {
        let read = match input.ask(ctx) {
            Ok(ask) => sales::read(&app(ctx).db.read, &ask).await,
            Err(problem) => Err(Failure::from(problem)),
        };
        let (report, user_errors) = outcome(read)?;
        Ok(SalesReportPayload {
            report: report.map(SalesReport),
            user_errors,
        })
    }
}
