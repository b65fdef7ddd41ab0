//! Finding orders and exceptions.

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject};
use chrono::{DateTime, Utc};
use entity::{OrderId, archived_order, order, order_exception};
use sea_orm::sea_query::{Expr, ExprTrait, Query as Sql};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter, QuerySelect};

use super::enums::*;
use super::search::matching;
use super::{Order, OrderException};
use crate::access::{Principal, Scope};
use crate::graphql::errors::{fault, forbidden};
use crate::graphql::filters::{
    AmountFilter, DateTimeFilter, IdFilter, StringFilter, condition, enum_filter, filter,
};
use crate::graphql::ids::from_global;
use crate::graphql::loaders::load;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::{Allowed, app, principal};
use crate::orders::tags::key;

enum_filter! {
    /// What an order's status must be.
    OrderStatusFilter of OrderStatus as order::Status
}
enum_filter! {
    /// What an order's stage must be.
    OrderStageFilter of OrderStage as order::Stage
}
enum_filter! {
    /// What an order's payment status must be.
    PaymentStatusFilter of PaymentStatus as order::PaymentStatus
}
enum_filter! {
    /// What the way in which an order is paid must be.
    PaymentMethodFilter of PaymentMethod as order::PaymentMethod
}
enum_filter! {
    /// What the way in which an order came in must be.
    OrderSourceFilter of OrderSource as order::Source
}
enum_filter! {
    /// What an exception's status must be.
    ExceptionStatusFilter of ExceptionStatus as order_exception::Status
}
enum_filter! {
    /// What an exception's severity must be.
    ExceptionSeverityFilter of ExceptionSeverity as order_exception::Severity
}

/// Which tags an order must have. Case does not matter.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TagFilter {
    /// This one.
    pub eq: Option<String>,
    /// One of these. At most 250.
    #[graphql(name = "in", validator(max_items = 250))]
    pub one_of: Option<Vec<String>>,
    /// One that begins so.
    pub starts_with: Option<String>,
}

/// Which orders. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct OrderWhere {
    /// By identifier.
    pub id: Option<IdFilter>,
    /// By number.
    pub number: Option<StringFilter>,
    /// By the channel's reference.
    pub external_reference: Option<StringFilter>,
    /// By channel.
    pub channel_id: Option<IdFilter>,
    /// By customer.
    pub customer_id: Option<IdFilter>,
    /// By status.
    pub status: Option<OrderStatusFilter>,
    /// By stage.
    pub stage: Option<OrderStageFilter>,
    /// By payment status.
    pub payment_status: Option<PaymentStatusFilter>,
    /// By when the customer ordered.
    pub placed_at: Option<DateTimeFilter>,
    /// By when it came in.
    pub received_at: Option<DateTimeFilter>,
    /// By when it last changed.
    pub updated_at: Option<DateTimeFilter>,
    /// By a SKU on one of its lines.
    pub sku: Option<StringFilter>,
    /// By a tag on it.
    pub tag: Option<TagFilter>,
    /// By the code of its channel.
    pub channel: Option<StringFilter>,
    /// By how it came in.
    pub source: Option<OrderSourceFilter>,
    /// By who ordered. Needs the scope PERSONAL_DATA_READ.
    pub customer_name: Option<StringFilter>,
    /// By where its notices go. Needs the scope PERSONAL_DATA_READ.
    pub email: Option<StringFilter>,
    /// By the country that it goes to, an ISO 3166-1 code of two letters. Needs the scope
    /// PERSONAL_DATA_READ.
    pub country: Option<StringFilter>,
    /// By the total, in major units of its own currency.
    pub total: Option<AmountFilter>,
    /// By the currency of its amounts, an ISO 4217 code.
    pub currency: Option<StringFilter>,
    /// By how it is paid.
    pub payment_method: Option<PaymentMethodFilter>,
    /// By the shipping service: `STANDARD`, `EXPRESS` …
    pub service_level: Option<StringFilter>,
    /// By the code of an exception on it that is not settled.
    pub exception_code: Option<StringFilter>,
    /// All of these must match.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<OrderWhere>>,
    /// One of these must match.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<OrderWhere>>,
    /// This must not match.
    pub not: Option<Box<OrderWhere>>,
}

filter!(OrderWhere, |it| [
    it.id.as_ref().map(|f| f.on::<OrderId>(order::Column::Id)),
    it.number.as_ref().map(|f| f.on(order::Column::Number)),
    it.external_reference
        .as_ref()
        .map(|f| f.on(order::Column::ExternalReference)),
    it.channel_id
        .as_ref()
        .map(|f| f.on::<entity::ChannelId>(order::Column::ChannelId)),
    it.customer_id
        .as_ref()
        .map(|f| f.on::<entity::CustomerId>(order::Column::CustomerId)),
    it.status.as_ref().map(|f| f.on(order::Column::Status)),
    it.stage.as_ref().map(|f| f.on(order::Column::Stage)),
    it.payment_status
        .as_ref()
        .map(|f| f.on(order::Column::PaymentStatus)),
    it.placed_at.as_ref().map(|f| f.on(order::Column::PlacedAt)),
    it.received_at
        .as_ref()
        .map(|f| f.on(order::Column::ReceivedAt)),
    it.updated_at
        .as_ref()
        .map(|f| f.on(order::Column::UpdatedAt)),
    it.sku.as_ref().map(with_sku),
    it.tag.as_ref().map(with_tag),
    it.channel.as_ref().map(in_channel),
    it.source.as_ref().map(|f| f.on(order::Column::Source)),
    it.customer_name
        .as_ref()
        .map(|f| f.on(order::Column::CustomerName)),
    it.email.as_ref().map(|f| f.on(order::Column::Email)),
    it.country.as_ref().map(to_country),
    it.total
        .as_ref()
        .map(|f| f.on(order::Column::TotalMinor, order::Column::Currency)),
    it.currency.as_ref().map(|f| f.on(order::Column::Currency)),
    it.payment_method
        .as_ref()
        .map(|f| f.on(order::Column::PaymentMethod)),
    it.service_level
        .as_ref()
        .map(|f| f.on(order::Column::ServiceLevel)),
    it.exception_code.as_ref().map(with_exception),
]);

impl OrderWhere {
    /// Whether it asks about what only PERSONAL_DATA_READ may read.
    pub fn is_personal(&self) -> bool {
        let inner = [&self.and, &self.or];
        self.customer_name.is_some()
            || self.email.is_some()
            || self.country.is_some()
            || inner.into_iter().flatten().flatten().any(Self::is_personal)
            || self.not.as_deref().is_some_and(Self::is_personal)
    }
}

fn with_tag(tag: &TagFilter) -> Condition {
    use entity::order_tag::{Column, Entity};
    // What is compared is the key, in which case and composition make no difference.
    let keys = StringFilter {
        eq: tag.eq.as_deref().map(key),
        one_of: tag
            .one_of
            .as_ref()
            .map(|tags| tags.iter().map(|tag| key(tag)).collect()),
        contains: None,
        starts_with: tag.starts_with.as_deref().map(key),
    };
    let orders = Sql::select()
        .column(Column::OrderId)
        .from(Entity)
        .cond_where(keys.on(Column::Key))
        .to_owned();
    Condition::all().add(order::Column::Id.in_subquery(orders))
}

fn in_channel(code: &StringFilter) -> Condition {
    let channels = Sql::select()
        .column(entity::channel::Column::Id)
        .from(entity::channel::Entity)
        .cond_where(code.on(entity::channel::Column::Code))
        .to_owned();
    Condition::all().add(order::Column::ChannelId.in_subquery(channels))
}

/// Most orders go to a few countries, so an order's own address is looked up, and not every
/// address of a country.
fn to_country(country: &StringFilter) -> Condition {
    use entity::address::{Column, Entity};
    let address = Sql::select()
        .expr(Expr::val(1))
        .from(Entity)
        .and_where(
            Expr::col(Column::Id.as_column_ref())
                .equals(order::Column::ShippingAddressId.as_column_ref()),
        )
        .cond_where(country.on(Column::Country))
        .to_owned();
    Condition::all().add(Expr::exists(address))
}

fn with_exception(code: &StringFilter) -> Condition {
    use order_exception::{Column, Entity, Status};
    let orders = Sql::select()
        .column(Column::OrderId)
        .from(Entity)
        .and_where(Column::Status.is_in([Status::Open, Status::Assigned]))
        .cond_where(code.on(Column::Code))
        .to_owned();
    Condition::all().add(order::Column::Id.in_subquery(orders))
}

fn with_sku(sku: &StringFilter) -> Condition {
    let orders = Sql::select()
        .column(entity::order_line::Column::OrderId)
        .from(entity::order_line::Entity)
        .cond_where(sku.on(entity::order_line::Column::Sku))
        .to_owned();
    Condition::all().add(order::Column::Id.in_subquery(orders))
}

/// What orders are sorted by; the identifier breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OrderSortField {
    /// When it came in.
    ReceivedAt,
    /// When the customer ordered.
    PlacedAt,
    /// When it last changed.
    UpdatedAt,
}

/// Reads the sort key and the identifier of an order.
type SortKey = fn(&order::Model) -> (DateTime<Utc>, uuid::Uuid);

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SortDirection {
    /// Smallest first, oldest first.
    Asc,
    /// Largest first, newest first.
    Desc,
}

/// The order of a list of orders.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct OrderSort {
    /// What is sorted by.
    pub field: OrderSortField,
    /// Up or down.
    pub direction: SortDirection,
}

/// What exceptions are sorted by; the identifier breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ExceptionSortField {
    /// When it should be settled.
    DueAt,
    /// When it was found.
    OpenedAt,
}

/// The order of a list of exceptions.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct ExceptionSort {
    /// What is sorted by.
    pub field: ExceptionSortField,
    /// Up or down.
    pub direction: SortDirection,
}

/// How one order is named: exactly one of these.
#[derive(Clone, Debug, OneofObject)]
pub enum OrderIdentity {
    /// By identifier.
    Id(ID),
    /// By number.
    Number(String),
    /// By its name at a channel.
    ExternalReference(ExternalReference),
}

/// An order's name at a channel.
#[derive(Clone, Debug, InputObject)]
pub struct ExternalReference {
    /// The channel.
    pub channel_id: ID,
    /// The name there.
    pub reference: String,
}

/// Which exceptions. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct ExceptionWhere {
    /// By code, such as `PRICE_MISMATCH`.
    pub code: Option<StringFilter>,
    /// By status.
    pub status: Option<ExceptionStatusFilter>,
    /// By severity.
    pub severity: Option<ExceptionSeverityFilter>,
    /// By the team whose it is.
    pub queue: Option<StringFilter>,
    /// By who has taken it. One that nobody has matches nothing.
    pub owner: Option<StringFilter>,
    /// Whether somebody has taken it.
    pub assigned: Option<bool>,
    /// Whether it stops its order.
    pub blocking: Option<bool>,
    /// Whether it is not settled and should have been by now.
    pub overdue: Option<bool>,
    /// Whether it is out of sight for a time.
    pub snoozed: Option<bool>,
    /// By order.
    pub order_id: Option<IdFilter>,
    /// By when it was found.
    pub opened_at: Option<DateTimeFilter>,
    /// By when it should be settled.
    pub due_at: Option<DateTimeFilter>,
    /// All of these must match.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<ExceptionWhere>>,
    /// One of these must match.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<ExceptionWhere>>,
    /// This must not match.
    pub not: Option<Box<ExceptionWhere>>,
    /// When it is asked.
    #[graphql(skip)]
    now: Option<DateTime<Utc>>,
}

impl ExceptionWhere {
    /// Whether it, or a filter inside it, asks for something.
    pub fn speaks(&self, asks: &impl Fn(&ExceptionWhere) -> bool) -> bool {
        let lists = [&self.and, &self.or];
        let nested = lists.into_iter().flatten().flatten();
        let inside = nested.chain(self.not.as_deref());
        asks(self) || inside.into_iter().any(|one| one.speaks(asks))
    }

    fn at(mut self, now: DateTime<Utc>) -> ExceptionWhere {
        let all = |list: Option<Vec<ExceptionWhere>>| {
            list.map(|list| list.into_iter().map(|one| one.at(now)).collect())
        };
        self.now = Some(now);
        (self.and, self.or) = (all(self.and), all(self.or));
        self.not = self.not.map(|one| Box::new(one.at(now)));
        self
    }
}

/// The exceptions that a filter asks for. What it leaves open is the queue at work: without a word
/// about `status`, those that are not settled; without a word about `snoozed`, those in sight.
pub fn queue(
    filter: Option<ExceptionWhere>,
    now: DateTime<Utc>,
) -> async_graphql::Result<Condition> {
    let filter = filter.unwrap_or_default();
    let says_status = filter.speaks(&|one| one.status.is_some());
    let says_snoozed = filter.speaks(&|one| one.snoozed.is_some());
    let asked = condition(Some(&filter.at(now)))?;
    let open = order_exception::Column::Status.is_in(UNSETTLED);
    let in_sight = order_exception::Column::SnoozedUntil.is_null();
    Ok(Condition::all()
        .add_option((!says_status).then_some(open))
        .add_option((!says_snoozed).then_some(in_sight))
        .add(asked))
}

/// Where an exception stands that waits for a person.
pub const UNSETTLED: [order_exception::Status; 2] = [
    order_exception::Status::Open,
    order_exception::Status::Assigned,
];

fn is_overdue(now: DateTime<Utc>) -> Condition {
    Condition::all()
        .add(order_exception::Column::Status.is_in(UNSETTLED))
        .add(order_exception::Column::DueAt.lt(now))
}

fn is_set(column: order_exception::Column, wanted: bool) -> Condition {
    Condition::all().add(match wanted {
        true => column.is_not_null(),
        false => column.is_null(),
    })
}

filter!(ExceptionWhere, |it| [
    it.code
        .as_ref()
        .map(|f| f.on(order_exception::Column::Code)),
    it.status
        .as_ref()
        .map(|f| f.on(order_exception::Column::Status)),
    it.severity
        .as_ref()
        .map(|f| f.on(order_exception::Column::Severity)),
    it.queue
        .as_ref()
        .map(|f| f.on(order_exception::Column::Queue)),
    it.owner
        .as_ref()
        .map(|f| f.on(order_exception::Column::Owner)),
    it.assigned
        .map(|yes| is_set(order_exception::Column::Owner, yes)),
    it.blocking
        .map(|yes| Condition::all().add(order_exception::Column::Blocking.eq(yes))),
    it.overdue.zip(it.now).map(|(yes, now)| if yes {
        is_overdue(now)
    } else {
        is_overdue(now).not()
    }),
    it.snoozed
        .map(|yes| is_set(order_exception::Column::SnoozedUntil, yes)),
    it.order_id
        .as_ref()
        .map(|f| f.on::<OrderId>(order_exception::Column::OrderId)),
    it.opened_at
        .as_ref()
        .map(|f| f.on(order_exception::Column::OpenedAt)),
    it.due_at
        .as_ref()
        .map(|f| f.on(order_exception::Column::DueAt)),
]);

/// The orders that a caller sees: all, or those of its channels.
pub fn visible(principal: &Principal) -> Condition {
    Condition::all().add_option(
        principal
            .channels
            .as_ref()
            .map(|channels| order::Column::ChannelId.is_in(channels.iter().copied())),
    )
}

/// The archived orders that a caller sees: all, or those of its channels.
pub fn visible_archived(principal: &Principal) -> Condition {
    use archived_order::Column;
    let channels = principal.channels.as_ref();
    let own = channels.map(|own| Column::ChannelId.is_in(own.iter().copied()));
    Condition::all().add_option(own)
}

/// The exceptions on orders that a caller sees.
pub fn visible_exceptions(principal: &Principal) -> Condition {
    Condition::all().add_option(principal.channels.as_ref().map(|_| {
        let orders = Sql::select()
            .column(order::Column::Id)
            .from(order::Entity)
            .cond_where(visible(principal))
            .to_owned();
        Expr::col(order_exception::Column::OrderId).in_subquery(orders)
    }))
}

/// Reading orders.
#[derive(Default)]
pub struct OrderQuery;

#[Object]
impl OrderQuery {
    /// One order, by its identifier, its number, or its name at a channel, whether it was put away
    /// or not; null if there is none that you may see. Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order.")] by: OrderIdentity,
    ) -> async_graphql::Result<Option<Order>> {
        use archived_order::Column as Archived;
        let (named, archived) = match by {
            OrderIdentity::Id(id) => match from_global::<OrderId>(&id, "by.id") {
                Ok(id) => (order::Column::Id.eq(id), Archived::Id.eq(id)),
                Err(_) => return Ok(None),
            },
            // PostgreSQL cannot be asked about a NUL character, and no text that is kept has one.
            OrderIdentity::Number(number) if number.contains('\0') => return Ok(None),
            OrderIdentity::ExternalReference(name) if name.reference.contains('\0') => {
                return Ok(None);
            }
            OrderIdentity::Number(number) => (
                order::Column::Number.eq(number.clone()),
                Archived::Number.eq(number),
            ),
            OrderIdentity::ExternalReference(name) => {
                match from_global::<entity::ChannelId>(&name.channel_id, "by.channelId") {
                    Ok(channel) => (
                        order::Column::ChannelId
                            .eq(channel)
                            .and(order::Column::ExternalReference.eq(name.reference.clone())),
                        Archived::ChannelId
                            .eq(channel)
                            .and(Archived::ExternalReference.eq(name.reference)),
                    ),
                    Err(_) => return Ok(None),
                }
            }
        };
        let row = order::Entity::find()
            .filter(visible(principal(ctx)?))
            .filter(named)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        if row.is_some() {
            return Ok(row.map(Order));
        }
        let put_away: Option<OrderId> = archived_order::Entity::find()
            .select_only()
            .column(Archived::Id)
            .filter(visible_archived(principal(ctx)?))
            .filter(archived)
            .into_tuple()
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(match put_away {
            Some(id) => load(ctx, id).await?.map(Order),
            None => None,
        })
    }

    /// Orders, newest first unless `orderBy` says otherwise; those that were put away are found by
    /// `archivedOrders`.
    ///
    /// A `query` is terms with blanks between them, which must all match; `OR`, `NOT` or `-`, and
    /// parentheses do what they say, and `"…"` takes its contents as they are, with `\"` and `\\`
    /// in them. A term is `field:value`, or `field:a,b` for either of several. The fields are
    /// - `status`, `stage`, `payment` (its status), `method` (of payment), `source`: one of the
    ///   values of the schema, in any case;
    /// - `number`, `reference`, `sku`, `channel` (its code): exactly so; `service`, `exception`
    ///   (the code of one that is not settled), `country`, `currency` and `tag`: in any case;
    /// - `customer`: anywhere in the name; `email`: how it begins;
    /// - each of these texts with `*` at its end: how it begins, whatever the case of A to Z;
    /// - `total`: `500`, `>500`, `>=`, `<`, `<=`, `100..200`, in major units of the order's own
    ///   currency;
    /// - `placed`, `received`, `updated`: the same with a month, a day, a minute or a second, such
    ///   as `2026-11`, `2026-11-01` or `2026-11-01T14:30+01:00`, which means all of it; UTC unless
    ///   it says otherwise.
    ///
    /// A word alone is looked for at the beginning of the number, the reference and the e-mail
    /// address, and anywhere in the customer's name; in the last two only with the scope
    /// PERSONAL_DATA_READ, which `customer`, `email` and `country` need (FORBIDDEN).
    ///
    /// A query has at most 2,000 characters, 100 words and values, and 20 parentheses and negations
    /// in each other. One that cannot be read is an error (BAD_USER_INPUT) with `offset` (the
    /// characters before it), `line`, `column` and what was `expected` there in its extensions.
    /// Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders; none = all that you may see.", name = "where")]
        filter: Option<OrderWhere>,
        #[graphql(
            desc = "What people type: `status:received customer:\"Alfreds\" total:>500`. With \
                    `where`, both must match."
        )]
        query: Option<String>,
        #[graphql(desc = "In which order; none = RECEIVED_AT DESC.")] order_by: Option<OrderSort>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> async_graphql::Result<Rows<Order>> {
        let rows = order::Entity::find().filter(matching(
            principal(ctx)?,
            filter.as_ref(),
            query.as_deref(),
        )?);
        let sort_by = order_by.unwrap_or(OrderSort {
            field: OrderSortField::ReceivedAt,
            direction: SortDirection::Desc,
        });
        let (column, key): (order::Column, SortKey) = match sort_by.field {
            OrderSortField::ReceivedAt => {
                (order::Column::ReceivedAt, |row| (row.received_at, row.id.0))
            }
            OrderSortField::PlacedAt => (order::Column::PlacedAt, |row| (row.placed_at, row.id.0)),
            OrderSortField::UpdatedAt => {
                (order::Column::UpdatedAt, |row| (row.updated_at, row.id.0))
            }
        };
        let sort = Sort {
            column,
            id: order::Column::Id,
            order: match sort_by.direction {
                SortDirection::Asc => Direction::Asc,
                SortDirection::Desc => Direction::Desc,
            },
            key,
        };
        page(app(ctx), rows, sort, first, after, Order).await
    }

    /// Exceptions, those first that should be settled first unless `orderBy` says otherwise. What
    /// is settled is left out unless `where` speaks of `status`, and what is out of sight unless it
    /// speaks of `snoozed`. Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn exceptions(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Which exceptions; none = all that you may see.",
            name = "where"
        )]
        filter: Option<ExceptionWhere>,
        #[graphql(desc = "In which order; none = DUE_AT ASC.")] order_by: Option<ExceptionSort>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> async_graphql::Result<Rows<OrderException>> {
        let rows = order_exception::Entity::find()
            .filter(visible_exceptions(principal(ctx)?))
            .filter(queue(filter, app(ctx).clock.now())?);
        let sort_by = order_by.unwrap_or(ExceptionSort {
            field: ExceptionSortField::DueAt,
            direction: SortDirection::Asc,
        });
        type Key = fn(&order_exception::Model) -> (DateTime<Utc>, uuid::Uuid);
        let (column, key): (order_exception::Column, Key) = match sort_by.field {
            ExceptionSortField::DueAt => {
                (order_exception::Column::DueAt, |row| (row.due_at, row.id.0))
            }
            ExceptionSortField::OpenedAt => (order_exception::Column::OpenedAt, |row| {
                (row.opened_at, row.id.0)
            }),
        };
        let sort = Sort {
            column,
            id: order_exception::Column::Id,
            order: sort_by.direction.into(),
            key,
        };
        page(app(ctx), rows, sort, first, after, OrderException::from).await
    }

    /// Checks every invariant of the data and says what disagrees; nothing, if all is well. Reads
    /// whole tables: for operators, not for dashboards. Needs the scope INTEGRITY_READ.
    #[graphql(guard = "Allowed(Scope::IntegrityRead)")]
    async fn integrity_report(&self, ctx: &Context<'_>) -> async_graphql::Result<IntegrityReport> {
        // It names orders of every channel.
        if principal(ctx)?.channels.is_some() {
            return Err(forbidden(Scope::IntegrityRead));
        }
        let differences = crate::integrity::verify(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(IntegrityReport {
            checks: crate::integrity::checks(),
            differences: differences
                .into_iter()
                .map(|difference| IntegrityDifference {
                    invariant: difference.invariant,
                    rule: difference.rule,
                    subject: difference.subject,
                })
                .collect(),
        })
    }
}

/// What a check of the data found.
#[derive(async_graphql::SimpleObject)]
pub struct IntegrityReport {
    /// How many checks were made.
    checks: usize,
    /// What disagrees.
    differences: Vec<IntegrityDifference>,
}

/// One way in which the data disagrees with itself.
#[derive(async_graphql::SimpleObject)]
pub struct IntegrityDifference {
    /// Which invariant: `I1` … `I11`.
    invariant: &'static str,
    /// What it says.
    rule: &'static str,
    /// What disagrees.
    subject: String,
}
