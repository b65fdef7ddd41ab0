//! The money ledger on the wire.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::ledger_entry::{Account, Column, Document, Entity, Model};
use entity::{OrderId, ledger_entry};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter};
use uuid::Uuid;

use super::catalogue::confined;
use super::errors::{bad_input, fault};
use super::ids::from_optional;
use super::orders::{Order, order_of};
use super::pagination::{Rows, Sort, cost, page};
use super::scalars::{CurrencyCode, Money, money};
use super::{Allowed, app};
use crate::access::Scope;
use crate::failure::Problem;
use crate::ledger;

/// The chart of accounts. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::ledger_entry::Account")]
pub enum LedgerAccount {
    /// What customers owe; below zero, what is owed to them.
    Receivable,
    /// What gateways have taken and not paid out yet.
    CashInTransit,
    /// What was paid out to us.
    Bank,
    /// What was sold, after discounts and without tax.
    Revenue,
    /// What was charged for delivery, without tax.
    DeliveryRevenue,
    /// The tax that is owed.
    Tax,
    /// What totals were rounded by.
    Rounding,
    /// What gateways keep for themselves.
    Fees,
    /// What customers have taken back through their banks.
    Chargebacks,
    /// What was written off, less what was found.
    WrittenOff,
}

/// What a posting is made for. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::ledger_entry::Document")]
pub enum LedgerDocument {
    /// An invoice.
    Invoice,
    /// A credit note.
    CreditNote,
    /// Money that was taken.
    Capture,
    /// Money that was given back.
    Refund,
    /// Money that a gateway paid out.
    Settlement,
    /// Money that a customer has taken back through a bank, or that came back from there.
    Chargeback,
    /// A difference that was written off.
    WriteOff,
    /// Money that a customer has paid for an invoice on account.
    Payment,
}

/// A posting of the ledger.
pub struct LedgerEntry(ledger_entry::Model);

/// A posting of the ledger: an amount, the account that it is taken to, and the one that it comes
/// from. It never changes; what is wrong is posted back.
#[Object]
impl LedgerEntry {
    /// What it is made for.
    async fn document(&self) -> LedgerDocument {
        self.0.document.into()
    }

    /// Which: the identifier inside that of an invoice, an effect at a gateway, a line of a
    /// settlement, a dispute, a difference, or an allocation of a payment. What has the same was
    /// posted together.
    async fn document_id(&self) -> Uuid {
        self.0.document_id
    }

    /// The order; null if it is of no order that we know.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        match self.0.order_id {
            Some(id) => Ok(order_of(ctx, id).await?.map(Order)),
            None => Ok(None),
        }
    }

    /// The account that it is taken to.
    async fn debit(&self) -> LedgerAccount {
        self.0.debit.into()
    }

    /// The account that it comes from.
    async fn credit(&self) -> LedgerAccount {
        self.0.credit.into()
    }

    /// How much; above zero.
    async fn amount(&self) -> Money {
        money(self.0.amount_minor, self.0.currency)
    }

    /// When it was posted.
    async fn posted_at(&self) -> DateTime<Utc> {
        self.0.posted_at
    }
}

/// What an account has come to.
#[derive(SimpleObject)]
pub struct AccountBalance {
    /// The account.
    account: LedgerAccount,
    /// What was taken to it.
    debit: Money,
    /// What came from it.
    credit: Money,
    /// What was taken to it less what came from it.
    balance: Money,
}

/// Which postings. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct LedgerEntryWhere {
    /// Of this order.
    pub order_id: Option<ID>,
    /// To or from this account.
    pub account: Option<LedgerAccount>,
    /// Made for this.
    pub document: Option<LedgerDocument>,
    /// For exactly this one.
    pub document_id: Option<Uuid>,
    /// In this currency.
    pub currency: Option<CurrencyCode>,
}

impl LedgerEntryWhere {
    fn condition(self) -> std::result::Result<Condition, Problem> {
        let order = from_optional::<OrderId>(self.order_id.as_ref(), "where.orderId")?;
        let account = self.account.map(|account| {
            let account = Account::from(account);
            Condition::any()
                .add(Column::Debit.eq(account))
                .add(Column::Credit.eq(account))
        });
        let document = self.document.map(Document::from);
        Ok(Condition::all()
            .add_option(order.map(|order| Column::OrderId.eq(order)))
            .add_option(account)
            .add_option(document.map(|document| Column::Document.eq(document)))
            .add_option(self.document_id.map(|id| Column::DocumentId.eq(id)))
            .add_option(
                self.currency
                    .map(|currency| Column::Currency.eq(currency.0)),
            ))
    }
}

/// Reading the ledger.
#[derive(Default)]
pub struct LedgerQuery;

/// Reading the ledger.
#[Object]
impl LedgerQuery {
    /// The postings of the ledger, the newest first. Needs the scope FINANCE_READ.
    #[graphql(
        guard = "Allowed(Scope::FinanceRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn ledger_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which.")] wanted: Option<LedgerEntryWhere>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<LedgerEntry>> {
        let wanted = wanted.unwrap_or_default().condition();
        let wanted = wanted.map_err(|problem| bad_input(&problem.message))?;
        let mine = confined(ctx)?.map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let sort = Sort {
            column: Column::PostedAt,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &Model| (row.posted_at, row.id.0),
        };
        let rows = Entity::find().filter(wanted.add_option(mine));
        page(app(ctx), rows, sort, first, after, LedgerEntry).await
    }

    /// What every account has come to in a currency by a moment, of the channels that you see. The
    /// balances add up to zero. Needs the scope FINANCE_READ.
    #[graphql(guard = "Allowed(Scope::FinanceRead)")]
    async fn trial_balance(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which currency.")] currency: CurrencyCode,
        #[graphql(desc = "By which moment; now, if not given.")] at: Option<DateTime<Utc>>,
    ) -> Result<Vec<AccountBalance>> {
        let at = at.unwrap_or_else(|| app(ctx).clock.now());
        let mine = confined(ctx)?.map(|channels| channels.iter().copied().collect());
        let balances = ledger::trial_balance(&app(ctx).db.read, currency.0, at, mine)
            .await
            .map_err(fault)?;
        let balances = balances.into_iter().map(|balance| AccountBalance {
            account: balance.account.into(),
            debit: money(balance.debit_minor, currency.0),
            credit: money(balance.credit_minor, currency.0),
            balance: money(balance.debit_minor - balance.credit_minor, currency.0),
        });
        Ok(balances.collect())
    }
}
