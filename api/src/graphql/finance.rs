//! What was sold, what is owed and what is in stock, in money.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    ChannelId, Currency, CustomerId, InvoiceId, WarehouseId, customer_payment, invoice_line,
    payment_allocation,
};
use sea_orm::ActiveEnum;
use uuid::Uuid;

use super::catalogue::channels::{Channel, time_zone};
use super::catalogue::products::Variant;
use super::catalogue::warehouses::Warehouse;
use super::catalogue::{confined, seen_channels};
use super::command::run;
use super::customers::Customer;
use super::errors::{UserError, bad_input, fault, outcome};
use super::ids::{from_global, from_optional};
use super::invoices::{Invoice, TaxCategory};
use super::loaders::{AllocationsOf, load, load_all};
use super::once::mark_replayed;
use super::scalars::{CurrencyCode, Decimal, Money, MoneyInput, money};
use super::{Allowed, app, principal};
use crate::access::Scope;
use crate::catalogue::costs::{self, Cost};
use crate::failure::{Code, Failure, Problem};
use crate::invoicing::receipts::{self, Owed, Record};
use crate::reports::periods::Interval;
use crate::reports::{receivables, sales, stock};

/// The channels that a report is confined to; none = all.
fn channels(
    ctx: &Context<'_>,
    named: Option<&Vec<ID>>,
) -> std::result::Result<Option<BTreeSet<ChannelId>>, Problem> {
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

/// A customer, for callers who may see customers.
async fn customer(ctx: &Context<'_>, id: CustomerId) -> Result<Option<Customer>> {
    match principal(ctx)?.may(Scope::CustomersRead) {
        true => Ok(load(ctx, id).await?.map(Customer)),
        false => Ok(None),
    }
}

/// What `receivables` needs.
#[derive(Clone, Debug, Default, InputObject)]
pub struct ReceivablesInput {
    /// At which moment; now, if not given.
    pub at: Option<DateTime<Utc>>,
    /// Whose days invoices are past due by: a name of the IANA database (INVALID_INPUT).
    #[graphql(default_with = "\"UTC\".to_owned()")]
    pub time_zone: String,
    /// Only what this customer owes.
    pub customer_id: Option<ID>,
    /// Only invoices of these channels (NOT_FOUND); of all that you may see if not given.
    pub channel_ids: Option<Vec<ID>>,
    /// How many lines; at most 1,000.
    #[graphql(default = 250, validator(minimum = 0, maximum = 1000))]
    pub first: i32,
}

impl ReceivablesInput {
    fn ask(&self, ctx: &Context<'_>) -> std::result::Result<receivables::Ask, Problem> {
        Ok(receivables::Ask {
            at: self.at.unwrap_or_else(|| app(ctx).clock.now()),
            time_zone: time_zone(&self.time_zone)?,
            customer: from_optional(self.customer_id.as_ref(), "input.customerId")?,
            channels: channels(ctx, self.channel_ids.as_ref())?,
        })
    }
}

/// What `receivables` came to.
#[derive(SimpleObject)]
pub struct ReceivablesPayload {
    /// What is owed; null if the input was refused.
    pub report: Option<ReceivablesReport>,
    /// Why there is none; empty if there is one.
    pub user_errors: Vec<UserError>,
}

/// What customers owe on account at a moment.
pub struct ReceivablesReport {
    report: receivables::Report,
    first: usize,
}

/// What customers owe on account at a moment.
#[Object]
impl ReceivablesReport {
    /// The moment.
    async fn at(&self) -> DateTime<Utc> {
        self.report.at
    }

    /// What is owed in each currency, by everybody who was asked for.
    async fn totals(&self) -> Vec<Receivable> {
        let totals = self.report.totals.iter().cloned();
        let totals = totals.map(|(currency, owed)| Receivable { currency, owed });
        totals.collect()
    }

    /// How many lines there are in all.
    async fn line_count(&self) -> usize {
        self.report.lines.len()
    }

    /// What each customer owes in each currency: who owes most past due first, and then who owes
    /// most.
    async fn lines(&self) -> Vec<CustomerReceivable> {
        let lines = self.report.lines.iter().take(self.first).cloned();
        lines.map(CustomerReceivable).collect()
    }
}

/// What a customer owes in a currency.
pub struct CustomerReceivable(receivables::Line);

/// What a customer owes in a currency.
#[Object]
impl CustomerReceivable {
    /// Who; null without the scope CUSTOMERS_READ.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        customer(ctx, self.0.customer).await
    }

    /// How much.
    async fn owed(&self) -> Receivable {
        Receivable {
            currency: self.0.currency,
            owed: self.0.owed.clone(),
        }
    }
}

/// What is owed in a currency, by the days that it is past due.
pub struct Receivable {
    currency: Currency,
    owed: receivables::Owed,
}

impl Receivable {
    fn money(&self, minor: i64) -> Money {
        money(minor, self.currency)
    }
}

/// What is owed in a currency, by the days that it is past due. What is due today is not past due.
#[Object]
impl Receivable {
    /// How many invoices are open.
    async fn invoices(&self) -> i64 {
        self.owed.invoices
    }

    /// What is not past due.
    async fn not_due(&self) -> Money {
        self.money(self.owed.ages[0])
    }

    /// What is 1 to 30 days past due.
    async fn days1_to30(&self) -> Money {
        self.money(self.owed.ages[1])
    }

    /// What is 31 to 60 days past due.
    async fn days31_to60(&self) -> Money {
        self.money(self.owed.ages[2])
    }

    /// What is 61 to 90 days past due.
    async fn days61_to90(&self) -> Money {
        self.money(self.owed.ages[3])
    }

    /// What is more than 90 days past due.
    async fn over90_days(&self) -> Money {
        self.money(self.owed.ages[4])
    }

    /// What is owed to customers: what credit notes took back after it was paid.
    async fn credit(&self) -> Money {
        self.money(self.owed.credit)
    }

    /// In all, less the credit: what the ledger's account RECEIVABLE has of orders on account.
    async fn total(&self) -> Money {
        self.money(self.owed.total())
    }
}

/// What `paymentRecord` needs.
#[derive(Clone, Debug, InputObject)]
pub struct PaymentRecordInput {
    /// Who paid, for the oldest invoices first; either this or `invoiceId` (INVALID_INPUT).
    pub customer_id: Option<ID>,
    /// Which invoice was paid; either this or `customerId` (INVALID_INPUT).
    pub invoice_id: Option<ID>,
    /// How much came; above zero.
    pub amount: MoneyInput,
    /// What the bank calls it: the same reference of the same customer is recorded once.
    pub reference: String,
    /// When it came; now, if not given. Not in the future (INVALID_INPUT).
    pub received_at: Option<DateTime<Utc>>,
}

impl PaymentRecordInput {
    fn command(self, ctx: &Context<'_>) -> std::result::Result<Record, Problem> {
        let customer = from_optional::<CustomerId>(self.customer_id.as_ref(), "input.customerId")?;
        let invoice = match &self.invoice_id {
            Some(id) => Some(from_global::<InvoiceId>(id, "input.invoiceId")?),
            None => None,
        };
        let of = match (customer, invoice) {
            (Some(customer), None) => Owed::By(customer),
            (None, Some(invoice)) => Owed::Of(invoice),
            _ => {
                let message = "either customerId or invoiceId says what is paid";
                return Err(Problem::new(Code::InvalidInput, message).at("input.customerId"));
            }
        };
        let caller = principal(ctx).ok();
        Ok(Record {
            of,
            channels: caller.and_then(|own| own.channels.clone()),
            amount: self.amount.read("input.amount")?,
            reference: self.reference,
            received_at: self.received_at,
            by: caller.map(|own| own.actor.name.clone()).unwrap_or_default(),
        })
    }
}

/// Money that a customer has paid on account.
pub struct CustomerPayment(customer_payment::Model);

/// Money that a customer has paid on account. It never changes.
#[Object]
impl CustomerPayment {
    /// Who paid; null without the scope CUSTOMERS_READ.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        customer(ctx, self.0.customer_id).await
    }

    /// How much.
    async fn amount(&self) -> Money {
        money(self.0.amount_minor, self.0.currency)
    }

    /// What the bank calls it.
    async fn reference(&self) -> &str {
        &self.0.reference
    }

    /// When it came.
    async fn received_at(&self) -> DateTime<Utc> {
        self.0.received_at
    }

    /// When it was recorded.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }

    /// Who recorded it.
    async fn recorded_by(&self) -> &str {
        &self.0.recorded_by
    }

    /// What it pays; all of it pays something.
    async fn allocations(&self, ctx: &Context<'_>) -> Result<Vec<PaymentAllocation>> {
        let rows = load(ctx, AllocationsOf(self.0.id)).await?;
        let rows = rows.unwrap_or_default().into_iter();
        Ok(rows
            .map(|row| PaymentAllocation(row, self.0.currency))
            .collect())
    }
}

/// What of a payment pays an invoice.
pub struct PaymentAllocation(payment_allocation::Model, Currency);

/// What of a payment pays an invoice.
#[Object]
impl PaymentAllocation {
    /// The invoice; null if you do not see its channel.
    async fn invoice(&self, ctx: &Context<'_>) -> Result<Option<Invoice>> {
        let row = load(ctx, self.0.invoice_id).await?;
        let seen = row.filter(|row| super::catalogue::sees(ctx, Some(row.channel_id)));
        Ok(seen.map(Invoice))
    }

    /// How much.
    async fn amount(&self) -> Money {
        money(self.0.amount_minor, self.1)
    }

    /// What the ledger's posting calls it.
    async fn document_id(&self) -> Uuid {
        self.0.id.0
    }
}

/// The outcome of `paymentRecord`.
#[derive(Default, SimpleObject)]
pub struct PaymentRecordPayload {
    /// The payment.
    payment: Option<CustomerPayment>,
    /// Why nothing was done; empty if it was.
    user_errors: Vec<UserError>,
    /// Whether it was recorded before.
    replayed: bool,
}

/// What `variantCostsSave` needs.
#[derive(Clone, Debug, InputObject)]
pub struct VariantCostsSaveInput {
    /// What units cost, at most 1,000; each SKU once (INVALID_INPUT).
    #[graphql(validator(max_items = 1000))]
    pub costs: Vec<VariantCostInput>,
}

/// What a unit of a variant costs.
#[derive(Clone, Debug, InputObject)]
pub struct VariantCostInput {
    /// The variant's SKU (NOT_FOUND).
    pub sku: String,
    /// What a unit costs the merchant; null = not known.
    pub unit_cost: Option<MoneyInput>,
}

impl VariantCostsSaveInput {
    fn command(self) -> std::result::Result<Vec<Cost>, Problem> {
        let costs = self.costs.into_iter().enumerate().map(|(place, cost)| {
            let field = format!("input.costs.{place}.unitCost");
            let amount = cost.unit_cost.map(|amount| amount.read(&field));
            Ok(Cost {
                sku: cost.sku,
                amount: amount.transpose()?,
            })
        });
        costs.collect()
    }
}

/// The outcome of `variantCostsSave`.
#[derive(SimpleObject)]
pub struct VariantCostsSavePayload {
    /// The variants, in the order in which they were named; null if nothing was done.
    variants: Option<Vec<Variant>>,
    /// Why nothing was done; empty if it was.
    user_errors: Vec<UserError>,
}

/// Stock is of all channels at once.
fn all_channels(ctx: &Context<'_>) -> Result<()> {
    match confined(ctx)? {
        None => Ok(()),
        Some(_) => Err(bad_input(
            "your key sees some channels only, and stock is of all",
        )),
    }
}

/// What `stockReport` needs.
#[derive(Clone, Debug, Default, InputObject)]
pub struct StockReportInput {
    /// At which moment; now, if not given.
    pub at: Option<DateTime<Utc>>,
    /// When the period begins over which stock is turned over; it ends at the moment, and not before
    /// it begins (INVALID_INPUT).
    pub from: Option<DateTime<Utc>>,
    /// Only this warehouse.
    pub warehouse_id: Option<ID>,
}

impl StockReportInput {
    fn ask(&self, ctx: &Context<'_>) -> std::result::Result<stock::Ask, Problem> {
        let at = self.at.unwrap_or_else(|| app(ctx).clock.now());
        if self.from.is_some_and(|from| from > at) {
            let message = "a period ends when it begins, or later";
            return Err(Problem::new(Code::InvalidInput, message).at("input.from"));
        }
        Ok(stock::Ask {
            from: self.from,
            at,
            warehouse: from_optional(self.warehouse_id.as_ref(), "input.warehouseId")?,
        })
    }
}

/// What `stockReport` came to.
#[derive(SimpleObject)]
pub struct StockReportPayload {
    /// The report; null if the input was refused.
    pub report: Option<StockReport>,
    /// Why there is none; empty if there is one.
    pub user_errors: Vec<UserError>,
}

/// What is in stock, and what it is worth.
pub struct StockReport(Vec<stock::Line>);

/// What is in stock, and what it is worth, at what units cost today.
#[Object]
impl StockReport {
    /// By warehouse and currency.
    async fn lines(&self) -> Vec<StockReportLine> {
        let valued = self.0.iter().filter_map(|line| {
            let value = StockValue(line.currency?, line.held);
            Some(StockReportLine(line.warehouse, value))
        });
        valued.collect()
    }

    /// All warehouses together, by currency.
    async fn totals(&self) -> Vec<StockValue> {
        let mut totals: BTreeMap<&str, StockValue> = BTreeMap::new();
        for line in &self.0 {
            if let Some(currency) = &line.currency {
                let empty = StockValue(*currency, stock::Held::default());
                let total = totals.entry(currency.code()).or_insert(empty);
                total.1 = total.1.and(line.held);
            }
        }
        totals.into_values().collect()
    }

    /// The warehouses with units of which nobody has said what they cost.
    async fn not_valued(&self) -> Vec<UnvaluedStock> {
        let unvalued = self.0.iter().filter(|line| line.currency.is_none());
        unvalued.copied().map(UnvaluedStock).collect()
    }
}

/// The stock of a warehouse that is valued in a currency.
pub struct StockReportLine(WarehouseId, StockValue);

/// The stock of a warehouse that is valued in a currency.
#[Object]
impl StockReportLine {
    /// The warehouse.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0).await?.map(Warehouse))
    }

    /// How much there is of it.
    async fn stock(&self) -> StockValue {
        self.1
    }
}

/// Stock, and what it is worth.
#[derive(Clone, Copy)]
pub struct StockValue(Currency, stock::Held);

/// Stock, and what it is worth, at what units cost today.
#[Object]
impl StockValue {
    /// Units on hand, those that are held for orders included.
    async fn units(&self) -> i64 {
        self.1.units
    }

    /// What they are worth: units on hand times the cost of a unit.
    async fn value(&self) -> Money {
        money(self.1.value, self.0)
    }

    /// What was there when the period began, in the same way.
    async fn value_before(&self) -> Money {
        money(self.1.value_before, self.0)
    }

    /// Units that left for customers in the period; those that came back are not taken off.
    async fn units_shipped(&self) -> i64 {
        self.1.shipped
    }

    /// What they cost.
    async fn shipped_cost(&self) -> Money {
        money(self.1.shipped_cost, self.0)
    }

    /// How often the stock was turned over in the period: `shippedCost / ((valueBefore + value) / 2)`,
    /// to four places; null if there was no stock at either end.
    async fn turns(&self) -> Option<Decimal> {
        self.1.turns().map(Decimal)
    }
}

/// Units of which nobody has said what they cost.
pub struct UnvaluedStock(stock::Line);

/// Units of which nobody has said what they cost.
#[Object]
impl UnvaluedStock {
    /// The warehouse.
    async fn warehouse(&self, ctx: &Context<'_>) -> Result<Option<Warehouse>> {
        Ok(load(ctx, self.0.warehouse).await?.map(Warehouse))
    }

    /// Units on hand.
    async fn units(&self) -> i64 {
        self.0.held.units
    }

    /// Units that left for customers in the period.
    async fn units_shipped(&self) -> i64 {
        self.0.held.shipped
    }
}

/// What finance does.
#[derive(Default)]
pub struct FinanceMutation;

#[Object]
impl FinanceMutation {
    /// Records money that a customer has paid for its invoices on account, from the channels that
    /// you see: what is due first is paid first. It is posted from RECEIVABLE to BANK, and frees the
    /// customer's credit. The same reference of a customer is recorded once. Refusals: INVALID_INPUT,
    /// NAME_INVALID, AMOUNT_INVALID, CURRENCY_MISMATCH, NOT_FOUND, PAYMENT_EXCEEDS_OWED,
    /// PAYMENT_REFERENCE_TAKEN. Needs the scope FINANCE_MANAGE.
    #[graphql(guard = "Allowed(Scope::FinanceManage)")]
    async fn payment_record(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What came, from whom, and for what.")] input: PaymentRecordInput,
    ) -> Result<PaymentRecordPayload> {
        let cmd = input.command(ctx);
        let record = async |tx: &crate::tx::Tx, cmd: Record| receipts::record(tx, &cmd).await;
        let (recorded, user_errors) = run(ctx, cmd, record).await?;
        let Some((id, replayed)) = recorded else {
            return Ok(PaymentRecordPayload {
                user_errors,
                ..Default::default()
            });
        };
        if replayed {
            mark_replayed(ctx);
        }
        Ok(PaymentRecordPayload {
            payment: load(ctx, id).await?.map(CustomerPayment),
            user_errors,
            replayed,
        })
    }

    /// Says what units of variants cost the merchant: all of them, or none. Stock is valued by it,
    /// that of the past as well. Not for keys that are confined to channels. Refusals: NOT_FOUND,
    /// INVALID_INPUT, AMOUNT_INVALID. Needs the scope FINANCE_MANAGE.
    #[graphql(guard = "Allowed(Scope::FinanceManage)")]
    async fn variant_costs_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What units cost.")] input: VariantCostsSaveInput,
    ) -> Result<VariantCostsSavePayload> {
        all_channels(ctx)?;
        let (saved, user_errors) = run(ctx, input.command(), costs::save).await?;
        let variants = match saved {
            Some(ids) => {
                let rows = load_all(ctx, ids).await?;
                Some(rows.into_iter().map(Variant).collect())
            }
            None => None,
        };
        Ok(VariantCostsSavePayload {
            variants,
            user_errors,
        })
    }
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

    /// What customers owe on account at a moment, by how many days it is past due, by customer and
    /// currency: of the invoices of the channels that you see. It costs what is open, and not what
    /// was ever invoiced. Refusals: INVALID_INPUT, NOT_FOUND. Needs the scope FINANCE_READ.
    #[graphql(
        guard = "Allowed(Scope::FinanceRead)",
        complexity = "100 + 20 * child_complexity"
    )]
    async fn receivables(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At which moment, and whose.")] input: ReceivablesInput,
    ) -> Result<ReceivablesPayload> {
        let first = usize::try_from(input.first).unwrap_or_default();
        let read = match input.ask(ctx) {
            Ok(ask) => receivables::read(&app(ctx).db.read, &ask).await,
            Err(problem) => Err(Failure::from(problem)),
        };
        let (report, user_errors) = outcome(read)?;
        Ok(ReceivablesPayload {
            report: report.map(|report| ReceivablesReport { report, first }),
            user_errors,
        })
    }

    /// What is in stock at a moment and what it is worth at today's costs, by warehouse and currency,
    /// and how many units nobody has said the cost of; with `from`, how often it was turned over since
    /// then: the cost of what was shipped over the average of what was there at both ends. Not for
    /// keys that are confined to channels. Refusals: INVALID_INPUT. Needs the scope FINANCE_READ.
    #[graphql(
        guard = "Allowed(Scope::FinanceRead)",
        complexity = "100 + 20 * child_complexity"
    )]
    async fn stock_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At which moment, and where.")] input: StockReportInput,
    ) -> Result<StockReportPayload> {
        all_channels(ctx)?;
        let ask = match input.ask(ctx) {
            Ok(ask) => ask,
            Err(problem) => {
                return Ok(StockReportPayload {
                    report: None,
                    user_errors: vec![problem.into()],
                });
            }
        };
        let lines = stock::read(&app(ctx).db.read, &ask).await;
        let lines = lines.map_err(fault)?;
        Ok(StockReportPayload {
            report: Some(StockReport(lines)),
            user_errors: Vec::new(),
        })
    }
}
