//! What a rule sees of an order: one table of fields, by which expressions are type-checked and
//! evaluated, and which the API shows as their documentation.
//!
//! Every field always has a value, so that no rule fails for want of one: a text that is not known
//! is empty.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use entity::{ChannelId, Currency, Money};
use rust_decimal::Decimal;

use super::evaluate::Value;

/// What a field, or any part of an expression, comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Truth,
    /// An exact decimal.
    Number,
    /// A text.
    Text,
    /// A moment.
    Time,
    /// A line of the order.
    Line,
    /// Several of one kind.
    List(&'static Type),
}

impl Type {
    /// The list of this; none for a list of lists, which nothing needs.
    pub fn list(self) -> Option<Type> {
        Some(Type::List(match self {
            Type::Truth => &Type::Truth,
            Type::Number => &Type::Number,
            Type::Text => &Type::Text,
            Type::Time => &Type::Time,
            Type::Line => &Type::Line,
            Type::List(_) => return None,
        }))
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Truth => f.write_str("bool"),
            Type::Number => f.write_str("number"),
            Type::Text => f.write_str("string"),
            Type::Time => f.write_str("timestamp"),
            Type::Line => f.write_str("line"),
            Type::List(of) => write!(f, "list({of})"),
        }
    }
}

/// What has to be minded about a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Nothing.
    None,
    /// It is personal data: a rule may ask about it, but it is never copied into an exception.
    Personal,
    /// It is counted in earlier orders, which are read only if a rule asks about them.
    History(Count),
}

/// A field of the context `C`.
#[derive(Debug)]
pub struct FieldOf<C: 'static> {
    /// Its name: `order.total`.
    pub name: &'static str,
    /// What it comes to.
    pub kind: Type,
    /// What it says, in a sentence.
    pub about: &'static str,
    /// What has to be minded.
    pub care: Care,
    pub(super) read: for<'a> fn(&'a C) -> Value<'a>,
}

/// A field of the order.
pub type Field = FieldOf<OrderContext>;

/// A field of one of its lines.
pub type LineField = FieldOf<LineContext>;

/// Whether a field of this name is counted in earlier orders.
pub fn is_history(name: &str) -> bool {
    FIELDS
        .iter()
        .any(|field| field.name == name && matches!(field.care, Care::History(_)))
}

/// An order as rules see it, whether it has just been judged or was stored long ago.
#[derive(Clone, Debug)]
pub struct OrderContext {
    /// The channel.
    pub channel_id: ChannelId,
    /// The channel's code.
    pub channel: String,
    /// What the order itself says.
    pub order: Particulars,
    /// When the customer ordered, by the clocks of the channel's time zone.
    pub placed_locally: NaiveDateTime,
    /// The customer's code; none = a guest.
    pub customer: Option<String>,
    /// What was ordered before.
    pub history: History,
    /// Where it goes.
    pub shipping: AddressContext,
    /// Where the bill goes.
    pub billing: AddressContext,
    /// The lines, in their order.
    pub lines: Vec<LineContext>,
    /// The codes of what the checks found.
    pub findings: Vec<String>,
}

/// What an order itself says, without what belongs to it.
#[derive(Clone, Debug)]
pub struct Particulars {
    /// The currency of every amount.
    pub currency: Currency,
    /// What is due, in minor units.
    pub total_minor: i64,
    /// The lines before discounts, in minor units.
    pub subtotal_minor: i64,
    /// The discounts on the lines, in minor units.
    pub discount_minor: i64,
    /// Shipping after its discount, in minor units.
    pub shipping_minor: i64,
    /// All tax, in minor units.
    pub tax_minor: i64,
    /// The shipping service.
    pub service_level: String,
    /// `CARD`, `ACCOUNT` or `EXTERNAL`.
    pub payment_method: String,
    /// The promotion codes that were given.
    pub promotion_codes: Vec<String>,
    /// When the customer ordered.
    pub placed_at: DateTime<Utc>,
    /// How it came in.
    pub source: String,
    /// The group whose prices it got.
    pub group: Option<String>,
    /// Where its notices go.
    pub email: Option<String>,
}

/// What the same customer ordered before, over all channels; what was not counted is 0.
pub type History = BTreeMap<Count, i64>;

/// How earlier orders are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Whether there is one that was not called off: 0 or 1.
    Any,
    /// Those that were not called off.
    Orders,
    /// Those of the 24 hours before, whatever became of them.
    Last24Hours,
    /// Those of the hour before, whatever became of them.
    LastHour,
}

impl Count {
    /// Where counting stops, so that no order waits for a long count.
    pub fn most(self) -> u64 {
        match self {
            Count::Any => 1,
            Count::Orders | Count::Last24Hours | Count::LastHour => 1_000,
        }
    }
}

/// An address as rules see it.
#[derive(Clone, Debug, Default)]
pub struct AddressContext {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// State, province or county, as given.
    pub region: String,
    /// The postal code, as given.
    pub postal_code: String,
    /// The place, as given.
    pub city: String,
    /// `VALID`, `CORRECTED`, `AMBIGUOUS`, `INVALID` or `UNVERIFIED`.
    pub verdict: String,
    /// Whether it is a post-office box.
    pub po_box: bool,
}

/// A line as rules see it.
#[derive(Clone, Debug)]
pub struct LineContext {
    /// Its place on the order, from 0.
    pub place: usize,
    /// Our SKU, or the submitted one if it is not known.
    pub sku: String,
    /// How many units.
    pub quantity: i64,
    /// The currency of its amounts.
    pub currency: Currency,
    /// What a unit is charged at, in minor units.
    pub unit_price_minor: i64,
    /// What our price list says, in minor units.
    pub list_price_minor: Option<i64>,
    /// The discounts on it, in minor units.
    pub discount_minor: i64,
    /// What the customer pays for it, in minor units.
    pub total_minor: i64,
    /// Whether the SKU is one of ours.
    pub known: bool,
    /// Whether the SKU is no longer sold.
    pub discontinued: bool,
}

impl OrderContext {
    fn earlier(&self, count: Count) -> i64 {
        self.history.get(&count).copied().unwrap_or_default()
    }

    fn email_domain(&self) -> &str {
        let email = self.order.email.as_deref().unwrap_or_default();
        email.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    fn money(&self, minor: i64) -> Value<'_> {
        Value::Number(Money::new(minor, self.order.currency).to_decimal())
    }
}

impl LineContext {
    fn money(&self, minor: i64) -> Value<'_> {
        Value::Number(Money::new(minor, self.currency).to_decimal())
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn known(text: &Option<String>) -> Value<'_> {
    Value::Text(Cow::Borrowed(text.as_deref().unwrap_or_default()))
}

fn texts(texts: &[String]) -> Value<'_> {
    Value::List(texts.iter().map(|one| text(one)).collect())
}

fn count(number: impl TryInto<i64>) -> Value<'static> {
    Value::Number(Decimal::from(number.try_into().unwrap_or(i64::MAX)))
}

/// One row of the tables below.
const fn field<C>(
    name: &'static str,
    kind: Type,
    read: for<'a> fn(&'a C) -> Value<'a>,
    about: &'static str,
) -> FieldOf<C> {
    FieldOf {
        name,
        kind,
        about,
        care: Care::None,
        read,
    }
}

const fn personal<C>(mut field: FieldOf<C>) -> FieldOf<C> {
    field.care = Care::Personal;
    field
}

const fn history<C>(count: Count, mut field: FieldOf<C>) -> FieldOf<C> {
    field.care = Care::History(count);
    field
}

const TEXTS: Type = Type::List(&Type::Text);

/// Everything that an expression may ask about.
#[rustfmt::skip]
pub static FIELDS: &[Field] = &[
    field("order.channel", Type::Text, |it| text(&it.channel), "The channel's code."),
    field("order.currency", Type::Text, |it| text(it.order.currency.code()), "The ISO 4217 code of every amount."),
    field("order.total", Type::Number, |it| it.money(it.order.total_minor), "What is due, in major units of the currency."),
    field("order.subtotal", Type::Number, |it| it.money(it.order.subtotal_minor), "The lines before discounts."),
    field("order.discount", Type::Number, |it| it.money(it.order.discount_minor), "The discounts on the lines."),
    field("order.shipping", Type::Number, |it| it.money(it.order.shipping_minor), "Shipping after its discount."),
    field("order.taxTotal", Type::Number, |it| it.money(it.order.tax_minor), "All tax, that on shipping included."),
    field("order.lineCount", Type::Number, |it| count(it.lines.len()), "How many lines it has."),
    field("order.unitCount", Type::Number, |it| count(it.lines.iter().map(|line| line.quantity).sum::<i64>()), "How many units it has."),
    field("order.serviceLevel", Type::Text, |it| text(&it.order.service_level), "The shipping service in capitals: STANDARD, EXPRESS …"),
    field("order.paymentMethod", Type::Text, |it| text(&it.order.payment_method), "CARD, ACCOUNT or EXTERNAL."),
    field("order.promotionCodes", TEXTS, |it| texts(&it.order.promotion_codes), "The promotion codes that were given, in capitals, whatever became of them."),
    field("order.placedAt", Type::Time, |it| Value::Time(it.order.placed_at), "When the customer ordered."),
    field("order.localHour", Type::Number, |it| count(it.placed_locally.hour()), "The hour of placedAt in the channel's time zone, 0 to 23."),
    field("order.localMinute", Type::Number, |it| count(it.placed_locally.minute()), "The minute of placedAt in the channel's time zone, 0 to 59."),
    field("order.localWeekday", Type::Number, |it| count(it.placed_locally.weekday().number_from_monday()), "The weekday of placedAt in the channel's time zone, 1 = Monday to 7 = Sunday."),
    field("order.guest", Type::Truth, |it| Value::Truth(it.customer.is_none()), "Whether it was ordered without a customer of ours."),
    field("order.source", Type::Text, |it| text(&it.order.source), "How it came in: API, BULK, IMPORT, STAFF or WEBHOOK."),
    field("customer.code", Type::Text, |it| known(&it.customer), "The customer's code; empty for a guest."),
    field("customer.group", Type::Text, |it| known(&it.order.group), "The code of the customer's group; empty if it has none."),
    personal(field("customer.emailDomain", Type::Text, |it| text(it.email_domain()), "What follows the @ of the e-mail address; empty if there is none.")),
    history(Count::Any, field("customer.isFirstOrder", Type::Truth, |it| Value::Truth(it.earlier(Count::Any) == 0), "Whether orderCount is 0.")),
    history(Count::Orders, field("customer.orderCount", Type::Number, |it| count(it.earlier(Count::Orders)), "How many earlier orders of the customer were not cancelled, rejected or expired; a guest is known by the e-mail address. Counted up to 1,000, over all channels.")),
    history(Count::Last24Hours, field("customer.ordersLast24h", Type::Number, |it| count(it.earlier(Count::Last24Hours)), "How many orders of the customer came in the 24 hours before, whatever became of them. Counted up to 1,000.")),
    history(Count::LastHour, field("customer.ordersLastHour", Type::Number, |it| count(it.earlier(Count::LastHour)), "The same for the hour before.")),
    field("shippingAddress.country", Type::Text, |it| text(&it.shipping.country), "Where it goes: the ISO 3166-1 code of the country."),
    personal(field("shippingAddress.region", Type::Text, |it| text(&it.shipping.region), "State, province or county, as given.")),
    personal(field("shippingAddress.postalCode", Type::Text, |it| text(&it.shipping.postal_code), "The postal code, as given.")),
    personal(field("shippingAddress.city", Type::Text, |it| text(&it.shipping.city), "The place, as given.")),
    field("shippingAddress.verdict", Type::Text, |it| text(&it.shipping.verdict), "VALID, CORRECTED, AMBIGUOUS, INVALID or UNVERIFIED."),
    field("shippingAddress.poBox", Type::Truth, |it| Value::Truth(it.shipping.po_box), "Whether it is a post-office box."),
    field("billingAddress.country", Type::Text, |it| text(&it.billing.country), "Where the bill goes: the shipping address, in all its fields, if no other was given."),
    personal(field("billingAddress.region", Type::Text, |it| text(&it.billing.region), "State, province or county, as given.")),
    personal(field("billingAddress.postalCode", Type::Text, |it| text(&it.billing.postal_code), "The postal code, as given.")),
    personal(field("billingAddress.city", Type::Text, |it| text(&it.billing.city), "The place, as given.")),
    field("billingAddress.verdict", Type::Text, |it| text(&it.billing.verdict), "VALID, CORRECTED, AMBIGUOUS, INVALID or UNVERIFIED."),
    field("billingAddress.poBox", Type::Truth, |it| Value::Truth(it.billing.po_box), "Whether it is a post-office box."),
    field("lines", Type::List(&Type::Line), |it| Value::List(it.lines.iter().map(Value::Line).collect()), "The lines, to be asked with exists, all, exists_one, filter and map: lines.exists(line, line.quantity > 100)."),
    field("findings", TEXTS, |it| texts(&it.findings), "The codes of what the checks found wrong: \"PRICE_MISMATCH\" in findings. Stock and credit are looked at later and are not among them."),
];

/// Everything that an expression may ask about a line.
#[rustfmt::skip]
pub static LINE_FIELDS: &[LineField] = &[
    field("sku", Type::Text, |it| text(&it.sku), "Our SKU, or the submitted one if it is not known."),
    field("quantity", Type::Number, |it| count(it.quantity), "How many units."),
    field("unitPrice", Type::Number, |it| it.money(it.unit_price_minor), "What a unit is charged at, in major units of the currency."),
    field("listPrice", Type::Number, |it| it.money(it.list_price_minor.unwrap_or(it.unit_price_minor)), "What our price list says of a unit; unitPrice if it says nothing."),
    field("priceDifference", Type::Number, |it| it.money(it.unit_price_minor - it.list_price_minor.unwrap_or(it.unit_price_minor)), "unitPrice less listPrice: above 0 if the channel charged more than we do."),
    field("discount", Type::Number, |it| it.money(it.discount_minor), "The discounts on the line."),
    field("total", Type::Number, |it| it.money(it.total_minor), "What the customer pays for the line, tax included."),
    field("known", Type::Truth, |it| Value::Truth(it.known), "Whether the SKU is one of ours."),
    field("discontinued", Type::Truth, |it| Value::Truth(it.discontinued), "Whether the SKU is no longer sold."),
];
