//! Invoices, credit notes, and who sells, on the wire.

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{ChannelId, InvoiceId, OrderId, invoice, invoice_line, legal_entity};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter, QueryOrder};
use serde_json::json;

use super::catalogue::channels::Channel;
use super::catalogue::{confined, seen_channels, sees};
use super::command::{payloads, run};
use super::documents::Document;
use super::errors::{UserError, bad_input, fault};
use super::fulfillment::Shipment;
use super::ids::{from_global, from_optional, to_global};
use super::loaders::{
    ChannelsOf, InvoiceLinesOf, InvoicesOf, PrintedFor, SeriesOf, StandingOf, load, load_all,
};
use super::once::once_required;
use super::orders::{Order, OrderLine, order_of};
use super::pagination::{Rows, Sort, cost, page};
use super::scalars::{Decimal, Money, MoneyInput, money};
use super::stock::done_once;
use super::{Allowed, actor, app};
use crate::access::Scope;
use crate::documents::Party;
use crate::failure::{Code, Failure, Problem};
use crate::invoicing::credit::{self, Correct, Part};
use crate::invoicing::{paper, sellers};

/// What is issued. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::invoice::Kind")]
pub enum InvoiceKind {
    /// What is charged for a shipment.
    Invoice,
    /// What an invoice is lessened by.
    CreditNote,
}

/// How an invoice is paid. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::invoice::Payment")]
pub enum InvoicePayment {
    /// It was paid by a card.
    Card,
    /// It was paid elsewhere.
    External,
    /// It is to be paid within the customer's terms.
    Account,
}

/// What a line of an invoice charges for. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::invoice_line::Kind")]
pub enum InvoiceLineKind {
    /// Units of an order's line.
    Item,
    /// Bringing them.
    Delivery,
}

/// How a line is taxed, by the categories of EN 16931. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::invoice_line::TaxCategory")]
pub enum TaxCategory {
    /// At a rate above zero (S).
    Standard,
    /// At a rate of zero (Z).
    Zero,
    /// The buyer is exempt (E).
    Exempt,
    /// Supplied to a business in another country of the European Union (K).
    IntraCommunity,
    /// Supplied to a country outside the European Union (G).
    Export,
}

/// An invoice or a credit note.
pub struct Invoice(pub invoice::Model);

impl From<invoice::Model> for Invoice {
    fn from(row: invoice::Model) -> Self {
        Invoice(row)
    }
}

impl Invoice {
    fn money(&self, minor: i64) -> Money {
        money(minor, self.0.currency)
    }
}

/// An invoice or a credit note. It never changes; an invoice is corrected by credit notes. The
/// amounts of both are positive.
#[Object]
impl Invoice {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What it is.
    async fn kind(&self) -> InvoiceKind {
        self.0.kind.into()
    }

    /// What people call it: unique, and without gaps in its series.
    async fn number(&self) -> &str {
        &self.0.name
    }

    /// The order.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Ok(order_of(ctx, self.0.order_id).await?.map(Order))
    }

    /// The shipment that it charges for, or gives back for.
    async fn shipment(&self, ctx: &Context<'_>) -> Result<Option<Shipment>> {
        Ok(load(ctx, self.0.shipment_id).await?.map(Shipment::from))
    }

    /// The invoice that a credit note corrects.
    async fn corrects(&self, ctx: &Context<'_>) -> Result<Option<Invoice>> {
        match self.0.corrects_id {
            Some(id) => Ok(load(ctx, id).await?.map(Invoice)),
            None => Ok(None),
        }
    }

    /// The credit notes that correct it, oldest first.
    async fn credit_notes(&self, ctx: &Context<'_>) -> Result<Vec<Invoice>> {
        let all = load(ctx, InvoicesOf(self.0.order_id)).await?;
        let own = all.unwrap_or_default().into_iter();
        let own = own.filter(|row| row.corrects_id == Some(self.0.id));
        Ok(own.map(Invoice).collect())
    }

    /// Why a credit note was issued.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// How it is paid.
    async fn payment(&self) -> InvoicePayment {
        self.0.payment.into()
    }

    /// The last day to pay it; null if it is paid already.
    async fn due_on(&self) -> Option<NaiveDate> {
        self.0.due_on
    }

    /// Everything without tax.
    async fn net(&self) -> Money {
        self.money(self.0.net_minor)
    }

    /// The tax.
    async fn tax(&self) -> Money {
        self.money(self.0.tax_minor)
    }

    /// What the total is rounded by; mostly zero. May be negative.
    async fn rounding(&self) -> Money {
        self.money(self.0.rounding_minor)
    }

    /// What it comes to: net + tax + rounding.
    async fn total(&self) -> Money {
        self.money(self.0.total_minor)
    }

    /// What credit notes have taken off an invoice; never more than its total.
    async fn credited(&self, ctx: &Context<'_>) -> Result<Money> {
        let standing = load(ctx, StandingOf(self.0.id)).await?.unwrap_or_default();
        let credited = standing.first().map_or(0, |row| row.credited_minor);
        Ok(self.money(credited))
    }

    /// What of an invoice on account the customer has paid; never more than its total.
    async fn paid(&self, ctx: &Context<'_>) -> Result<Money> {
        let standing = load(ctx, StandingOf(self.0.id)).await?.unwrap_or_default();
        let paid = standing.first().map_or(0, |row| row.paid_minor);
        Ok(self.money(paid))
    }

    /// Its lines, the delivery last.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<InvoiceLine>> {
        let rows = load(ctx, InvoiceLinesOf(self.0.id)).await?;
        let line = |row| InvoiceLine {
            row,
            currency: self.0.currency,
        };
        Ok(rows.unwrap_or_default().into_iter().map(line).collect())
    }

    /// Its documents: PDF for people, XML (UBL 2.1 by EN 16931) for programs. Empty for a moment
    /// after it was issued.
    async fn documents(&self, ctx: &Context<'_>) -> Result<Vec<Document>> {
        let printed = load(ctx, PrintedFor(paper::of_invoice(self.0.id))).await?;
        let printed = printed.unwrap_or_default().into_iter();
        Ok(printed.map(Document::from).collect())
    }

    /// The day that stands on it, where the merchant lives.
    async fn issued_on(&self) -> NaiveDate {
        self.0.issued_on
    }

    /// When it was issued.
    async fn issued_at(&self) -> DateTime<Utc> {
        self.0.issued_at
    }
}

/// A line of an invoice.
pub struct InvoiceLine {
    row: invoice_line::Model,
    currency: entity::Currency,
}

/// A line of an invoice or a credit note.
#[Object]
impl InvoiceLine {
    /// Its place, from 1. A line of a credit note has that of the line that it lessens.
    async fn position(&self) -> i32 {
        self.row.position
    }

    /// What is charged for.
    async fn kind(&self) -> InvoiceLineKind {
        self.row.kind.into()
    }

    /// The order's line; null for the delivery.
    async fn line(&self, ctx: &Context<'_>) -> Result<Option<OrderLine>> {
        match self.row.line_id {
            Some(id) => {
                let row = load(ctx, id).await?;
                Ok(row.map(|row| OrderLine::new(row, self.currency)))
            }
            None => Ok(None),
        }
    }

    /// The SKU; blank for the delivery.
    async fn sku(&self) -> &str {
        &self.row.sku
    }

    /// What it is called.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// How many units; 0 = an amount is given back, and no unit.
    async fn quantity(&self) -> i64 {
        self.row.quantity
    }

    /// What comes off, without tax.
    async fn discount(&self) -> Money {
        money(self.row.discount_minor, self.currency)
    }

    /// What is charged, without tax.
    async fn net(&self) -> Money {
        money(self.row.net_minor, self.currency)
    }

    /// The tax.
    async fn tax(&self) -> Money {
        money(self.row.tax_minor, self.currency)
    }

    /// How it is taxed.
    async fn tax_category(&self) -> TaxCategory {
        self.row.tax_category.into()
    }

    /// The tax rate: 0.19 is 19 %.
    async fn tax_rate(&self) -> Decimal {
        Decimal(self.row.tax_rate.0)
    }
}

/// Who sells.
pub struct LegalEntity(legal_entity::Model);

impl From<legal_entity::Model> for LegalEntity {
    fn from(row: legal_entity::Model) -> Self {
        LegalEntity(row)
    }
}

/// Who sells: what stands on invoices about the merchant, and in which series they are numbered. A
/// channel without one issues no invoices.
#[Object]
impl LegalEntity {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in settings; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name by law.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Street and number.
    async fn line1(&self) -> &str {
        &self.0.line1
    }

    /// Floor, building.
    async fn line2(&self) -> Option<&str> {
        self.0.line2.as_deref()
    }

    /// The place.
    async fn city(&self) -> &str {
        &self.0.city
    }

    /// State, province or county.
    async fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// The postal code.
    async fn postal_code(&self) -> Option<&str> {
        self.0.postal_code.as_deref()
    }

    /// ISO 3166-1 alpha-2.
    async fn country(&self) -> &str {
        &self.0.country
    }

    /// Its number for value added tax, with the country in front.
    async fn vat_id(&self) -> Option<&str> {
        self.0.vat_id.as_deref()
    }

    /// Its number at the tax office.
    async fn tax_number(&self) -> Option<&str> {
        self.0.tax_number.as_deref()
    }

    /// Its number in the register of companies.
    async fn registration(&self) -> Option<&str> {
        self.0.registration.as_deref()
    }

    /// Where questions go.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// A telephone number for questions.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }

    /// The account that is paid into.
    async fn iban(&self) -> Option<&str> {
        self.0.iban.as_deref()
    }

    /// The bank of the account.
    async fn bic(&self) -> Option<&str> {
        self.0.bic.as_deref()
    }

    /// Its series of numbers.
    async fn series(&self, ctx: &Context<'_>) -> Result<Vec<InvoiceSeries>> {
        let rows = load(ctx, SeriesOf(self.0.id)).await?.unwrap_or_default();
        let series = rows.into_iter().map(|row| InvoiceSeries {
            kind: row.kind.into(),
            prefix: row.prefix,
            next_number: row.next_number,
        });
        Ok(series.collect())
    }

    /// The channels that it sells in, those that you see.
    async fn channels(&self, ctx: &Context<'_>) -> Result<Vec<Channel>> {
        let rows = load(ctx, ChannelsOf(self.0.id)).await?.unwrap_or_default();
        let seen = rows.into_iter().map(|row| row.channel_id);
        let seen = seen.filter(|id| sees(ctx, Some(*id)));
        let channels = load_all(ctx, seen).await?;
        Ok(channels.into_iter().map(Channel).collect())
    }

    /// +1 with every change; give it back as `expectedVersion`.
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

/// A series of numbers without gaps.
#[derive(SimpleObject)]
pub struct InvoiceSeries {
    /// What is numbered.
    kind: InvoiceKind,
    /// What stands before the number.
    prefix: String,
    /// The number that is taken next; the first is 1.
    next_number: i64,
}

/// Which invoices. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct InvoiceWhere {
    /// Of this order.
    pub order_id: Option<ID>,
    /// Of this channel.
    pub channel_id: Option<ID>,
    /// Of this kind.
    pub kind: Option<InvoiceKind>,
    /// With exactly this number.
    pub number: Option<String>,
}

impl InvoiceWhere {
    fn condition(self) -> std::result::Result<Condition, Problem> {
        use invoice::Column;
        let order = from_optional::<OrderId>(self.order_id.as_ref(), "where.orderId")?;
        let channel = from_optional::<ChannelId>(self.channel_id.as_ref(), "where.channelId")?;
        let kind = self.kind.map(invoice::Kind::from);
        Ok(Condition::all()
            .add_option(order.map(|order| Column::OrderId.eq(order)))
            .add_option(channel.map(|channel| Column::ChannelId.eq(channel)))
            .add_option(kind.map(|kind| Column::Kind.eq(kind)))
            .add_option(self.number.map(|number| Column::Name.eq(number))))
    }
}

/// Reading invoices.
#[derive(Default)]
pub struct InvoiceQuery;

/// Reading invoices.
#[Object]
impl InvoiceQuery {
    /// Invoices and credit notes, the newest first. Needs the scope FINANCE_READ.
    #[graphql(
        guard = "Allowed(Scope::FinanceRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn invoices(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which.")] wanted: Option<InvoiceWhere>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<Invoice>> {
        use invoice::Column;
        let wanted = wanted.unwrap_or_default().condition();
        let wanted = wanted.map_err(|problem| bad_input(&problem.message))?;
        let mine = confined(ctx)?.map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let sort = Sort {
            column: Column::IssuedAt,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &invoice::Model| (row.issued_at, row.id.0),
        };
        let rows = invoice::Entity::find().filter(wanted.add_option(mine));
        page(app(ctx), rows, sort, first, after, Invoice).await
    }

    /// Who sells, by code. Needs the scope FINANCE_READ.
    #[graphql(guard = "Allowed(Scope::FinanceRead)")]
    async fn legal_entities(&self, ctx: &Context<'_>) -> Result<Vec<LegalEntity>> {
        let rows = legal_entity::Entity::find()
            .order_by_asc(legal_entity::Column::Code)
            .all(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(rows.into_iter().map(LegalEntity).collect())
    }
}

/// Who sells. What was issued before stays as it is.
#[derive(InputObject)]
pub struct LegalEntitySaveInput {
    /// Its name in settings: whoever has it is changed, else made.
    code: String,
    /// Its name by law.
    name: String,
    /// Street and number.
    line1: String,
    /// Floor, building.
    line2: Option<String>,
    /// The place.
    city: String,
    /// State, province or county.
    region: Option<String>,
    /// The postal code.
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    country: String,
    /// Its number for value added tax, with the country in front: `ATU12345675`. Needed, unless it
    /// has a tax number and a registration.
    vat_id: Option<String>,
    /// Its number at the tax office.
    tax_number: Option<String>,
    /// Its number in the register of companies.
    registration: Option<String>,
    /// Where questions go.
    email: Option<String>,
    /// A telephone number for questions.
    phone: Option<String>,
    /// The account that is paid into.
    iban: Option<String>,
    /// The bank of the account.
    bic: Option<String>,
    /// What stands before the numbers of invoices: `R-`. It may change; the numbers go on.
    invoice_prefix: String,
    /// What stands before the numbers of credit notes: `G-`.
    credit_note_prefix: String,
    /// All the channels that it sells in; they are taken from whoever had them. What was captured
    /// in them before is invoiced within a minute.
    channel_ids: Vec<ID>,
    /// The version that you decided on; 0 = there was none.
    expected_version: Option<i64>,
}

/// How much of an invoice is taken back: one of these.
#[derive(Clone, Debug, OneofObject)]
pub enum InvoicePartInput {
    /// Whatever is left of it. Must be true.
    Whole(bool),
    /// So many units of lines.
    Lines(Vec<InvoiceLinePartInput>),
    /// An amount with tax, spread over what is left; no units come back.
    Amount(MoneyInput),
}

/// Units of a line of an invoice.
#[derive(Clone, Debug, InputObject)]
pub struct InvoiceLinePartInput {
    /// The line's place.
    position: i32,
    /// How many units.
    quantity: i64,
}

/// Which invoice is corrected.
#[derive(Clone, Debug, InputObject)]
pub struct InvoiceCorrectInput {
    /// Which invoice.
    id: ID,
    /// Why; it stands on the credit note.
    reason: String,
    /// How much of it.
    part: InvoicePartInput,
    /// A key of your choice, here or in the header: with the same key and input it is done once, and
    /// the answer is repeated.
    idempotency_key: Option<String>,
}

payloads! {
    /// The outcome of `legalEntitySave`.
    LegalEntitySavePayload {
        /// Who sells.
        legal_entity: LegalEntity
    }
}

/// The outcome of `invoiceCorrect`.
#[derive(Default, SimpleObject)]
pub struct InvoiceCorrectPayload {
    /// The credit note.
    credit_note: Option<Invoice>,
    /// Why nothing was done; empty if it was.
    user_errors: Vec<UserError>,
    /// Whether this is the saved answer of an earlier request with the same key.
    replayed: bool,
}

/// What can be done about invoices.
#[derive(Default)]
pub struct InvoiceMutation;

/// What can be done about invoices.
#[Object]
impl InvoiceMutation {
    /// Makes or changes who sells, named by its code. Not for keys that are confined to channels.
    /// Refusals: INVALID_INPUT, NAME_INVALID, NOT_FOUND, CODE_TAKEN, STALE_VERSION. Needs the scope
    /// FINANCE_MANAGE.
    #[graphql(guard = "Allowed(Scope::FinanceManage)")]
    async fn legal_entity_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who sells.")] input: LegalEntitySaveInput,
    ) -> Result<LegalEntitySavePayload> {
        let channels = match confined(ctx)? {
            None => seen_channels(ctx, &input.channel_ids, "input.channelIds"),
            Some(_) => {
                let message = "your key sees some channels only: who sells is not its to say";
                Err(Problem::new(Code::InvalidInput, message).at("input.code"))
            }
        };
        let cmd = channels.map(|channels| sellers::Save {
            code: input.code,
            party: Party {
                name: input.name,
                organisation: None,
                line1: input.line1,
                line2: input.line2,
                city: input.city,
                region: input.region,
                postal_code: input.postal_code,
                country: input.country,
                vat_id: input.vat_id,
                tax_number: input.tax_number,
                registration: input.registration,
                email: input.email,
                phone: input.phone,
                iban: input.iban,
                bic: input.bic,
            },
            invoice_prefix: input.invoice_prefix,
            credit_note_prefix: input.credit_note_prefix,
            channels,
            expected_version: input.expected_version,
        });
        Ok(run(ctx, cmd, sellers::save).await?.into())
    }

    /// Corrects an invoice by a credit note: by all that is left of it, by units of lines, or by an
    /// amount. It says that less is owed; giving money back is another matter. Refusals: NOT_FOUND,
    /// NAME_INVALID, QUANTITY_INVALID, AMOUNT_INVALID, INVALID_INPUT, CURRENCY_MISMATCH,
    /// CREDIT_EXCEEDS_INVOICE. Needs the scope FINANCE_MANAGE.
    #[graphql(guard = "Allowed(Scope::FinanceManage)")]
    async fn invoice_correct(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which invoice, how much of it, and why.")] input: InvoiceCorrectInput,
    ) -> Result<InvoiceCorrectPayload> {
        let refused = |problem: Problem| InvoiceCorrectPayload {
            user_errors: vec![problem.into()],
            ..Default::default()
        };
        let found = match from_global::<InvoiceId>(&input.id, "input.id") {
            Ok(id) => load(ctx, id).await?,
            Err(_) => None,
        };
        let found = found.filter(|row| sees(ctx, Some(row.channel_id)));
        let Some(row) = found else {
            return Ok(refused(Problem::not_found("Invoice").at("input.id")));
        };
        let part = match part(&input.part, row.currency) {
            Ok(part) => part,
            Err(problem) => return Ok(refused(problem)),
        };
        let key = input.idempotency_key.as_deref();
        let asked = (row.id, &input.reason, &part);
        let once = match once_required(ctx, "invoiceCorrect", &asked, key) {
            Ok(once) => once,
            Err(problem) => return Ok(refused(problem)),
        };
        let cmd = &Correct {
            id: row.id,
            reason: input.reason.clone(),
            part,
        };
        let result = app(ctx)
            .write_once(&actor(ctx)?, Some(&once), move |tx| async move {
                let row = credit::correct(&tx, cmd).await?;
                Ok(json!({ "invoice": row.id }))
            })
            .await;
        let (answered, user_errors) = done_once(ctx, result)?;
        let credit_note = match &answered {
            Some(answered) => {
                let id: InvoiceId = serde_json::from_value(answered.answer["invoice"].clone())
                    .map_err(|_| Failure::Internal("a saved answer without its invoice".to_owned()))
                    .map_err(fault)?;
                load(ctx, id).await?
            }
            None => None,
        };
        Ok(InvoiceCorrectPayload {
            credit_note: credit_note.map(Invoice),
            user_errors,
            replayed: answered.is_some_and(|answered| answered.replayed),
        })
    }
}

/// How much of an invoice is asked for.
fn part(part: &InvoicePartInput, currency: entity::Currency) -> std::result::Result<Part, Problem> {
    match part {
        InvoicePartInput::Whole(true) => Ok(Part::Whole),
        InvoicePartInput::Whole(false) => {
            Err(Problem::new(Code::InvalidInput, "whole must be true").at("input.part.whole"))
        }
        InvoicePartInput::Lines(lines) => {
            let lines = lines.iter().map(|line| (line.position, line.quantity));
            Ok(Part::Lines(lines.collect()))
        }
        InvoicePartInput::Amount(amount) => {
            let amount = amount.read("input.part.amount")?;
            if amount.currency != currency {
                let message = "the invoice is in another currency";
                let problem = Problem::new(Code::CurrencyMismatch, message);
                return Err(problem.at("input.part.amount.currency"));
            }
            Ok(Part::Amount(amount.minor))
        }
    }
}
