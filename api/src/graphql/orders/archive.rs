//! Finding orders that were put away.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use entity::archived_order::{Column, Entity, Model};
use entity::{ChannelId, CustomerId, OrderId};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};

use super::Order;
use super::enums::*;
use super::queries::{OrderStatusFilter, SortDirection, visible_archived};
use crate::access::Scope;
use crate::graphql::errors::{bad_input, forbidden};
use crate::graphql::filters::{DateTimeFilter, IdFilter, StringFilter, condition, filter};
use crate::graphql::ids::to_global;
use crate::graphql::loaders::load;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::scalars::{Money, money};
use crate::graphql::{Allowed, app, principal};

/// The most characters of a query, and the most words in it.
const LONGEST: usize = 200;
const MOST_WORDS: usize = 5;

/// An order that was put away, as far as it is searched by.
pub struct ArchivedOrder(Model);

/// An order that was put away, as far as it is searched by.
#[Object]
impl ArchivedOrder {
    /// The order's identifier.
    async fn order_id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What people call it; unique.
    async fn number(&self) -> &str {
        &self.0.number
    }

    /// The channel that it came from.
    async fn channel_id(&self) -> ID {
        to_global(self.0.channel_id)
    }

    /// Its name at the channel; unique there.
    async fn external_reference(&self) -> Option<&str> {
        self.0.external_reference.as_deref()
    }

    /// How it ended.
    async fn status(&self) -> OrderStatus {
        self.0.status.into()
    }

    /// Who ordered; null without the scope PERSONAL_DATA_READ.
    async fn customer_name(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        let may = principal(ctx)?.may(Scope::PersonalDataRead);
        Ok(may.then_some(self.0.customer_name.as_str()))
    }

    /// Where its notices went, in small letters; null without the scope PERSONAL_DATA_READ.
    async fn email(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        let may = principal(ctx)?.may(Scope::PersonalDataRead);
        Ok(self.0.email.as_deref().filter(|_| may))
    }

    /// What was due in all.
    async fn total(&self) -> Money {
        money(self.0.total_minor, self.0.currency)
    }

    /// When the customer ordered.
    async fn placed_at(&self) -> DateTime<Utc> {
        self.0.placed_at
    }

    /// When it was completed, cancelled, rejected or expired.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }

    /// When it was put away.
    async fn archived_at(&self) -> DateTime<Utc> {
        self.0.archived_at
    }

    /// The order with everything of it, as any other is read.
    async fn order(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Order>> {
        Ok(load(ctx, self.0.id).await?.map(Order))
    }
}

/// Which archived orders. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct ArchivedOrderWhere {
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
    /// By where its notices went, in any case. Needs the scope PERSONAL_DATA_READ.
    pub email: Option<String>,
    /// By who ordered. Needs the scope PERSONAL_DATA_READ.
    pub customer_name: Option<StringFilter>,
    /// By how it ended.
    pub status: Option<OrderStatusFilter>,
    /// By when the customer ordered.
    pub placed_at: Option<DateTimeFilter>,
    /// By when it was completed, cancelled, rejected or expired.
    pub closed_at: Option<DateTimeFilter>,
    /// By when it was put away.
    pub archived_at: Option<DateTimeFilter>,
    /// All of these must match.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<ArchivedOrderWhere>>,
    /// One of these must match.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<ArchivedOrderWhere>>,
    /// This must not match.
    pub not: Option<Box<ArchivedOrderWhere>>,
}

impl ArchivedOrderWhere {
    /// Whether it, or a filter inside it, asks who somebody is.
    fn is_personal(&self) -> bool {
        let lists = [&self.and, &self.or];
        let nested = lists.into_iter().flatten().flatten();
        let mut inside = nested.chain(self.not.as_deref());
        self.email.is_some() || self.customer_name.is_some() || inside.any(Self::is_personal)
    }
}

filter!(ArchivedOrderWhere, |it| [
    it.id.as_ref().map(|f| f.on::<OrderId>(Column::Id)),
    it.number.as_ref().map(|f| f.on(Column::Number)),
    it.external_reference
        .as_ref()
        .map(|f| f.on(Column::ExternalReference)),
    it.channel_id
        .as_ref()
        .map(|f| f.on::<ChannelId>(Column::ChannelId)),
    it.customer_id
        .as_ref()
        .map(|f| f.on::<CustomerId>(Column::CustomerId)),
    it.email.as_ref().map(|email| is_email(email)),
    it.customer_name
        .as_ref()
        .map(|f| f.on(Column::CustomerName)),
    it.status.as_ref().map(|f| f.on(Column::Status)),
    it.placed_at.as_ref().map(|f| f.on(Column::PlacedAt)),
    it.closed_at.as_ref().map(|f| f.on(Column::ClosedAt)),
    it.archived_at.as_ref().map(|f| f.on(Column::ArchivedAt)),
]);

fn is_email(email: &str) -> Condition {
    let lower = Expr::expr(Func::lower(Expr::col(Column::Email)));
    Condition::all()
        .add(Column::Email.is_not_null())
        .add(lower.eq(email.trim().to_lowercase()))
}

/// What archived orders are sorted by. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ArchivedOrderSortField {
    /// When they were put away.
    ArchivedAt,
    /// When the customer ordered.
    PlacedAt,
}

/// In which order archived orders come; their identifier decides between equals.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct ArchivedOrderSort {
    /// What is sorted by.
    pub field: ArchivedOrderSortField,
    /// Up or down.
    pub direction: SortDirection,
}

/// The orders of which each word begins a name.
fn named(query: &str, personal: bool) -> async_graphql::Result<Condition> {
    let words: Vec<&str> = query.split_whitespace().collect();
    if query.chars().count() > LONGEST || words.len() > MOST_WORDS || query.contains('\0') {
        return Err(bad_input(&format!(
            "query has at most {LONGEST} characters and {MOST_WORDS} words"
        )));
    }
    let mut all = Condition::all();
    for word in words {
        let begins = StringFilter {
            starts_with: Some(word.to_owned()),
            ..Default::default()
        };
        let one = Condition::any()
            .add(begins.on(Column::Number))
            .add(begins.on(Column::ExternalReference))
            .add_option(personal.then(|| begins.on(Column::Email)));
        all = all.add(one);
    }
    Ok(all)
}

/// Finding orders that were put away.
#[derive(Default)]
pub struct ArchiveQuery;

#[Object]
impl ArchiveQuery {
    /// Orders that were put away, those put away last first unless `orderBy` says otherwise. Each
    /// word of `query` begins the number, the reference or, with the scope PERSONAL_DATA_READ, the
    /// e-mail address. Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn archived_orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; none = all that you may see.", name = "where")] filter: Option<
            ArchivedOrderWhere,
        >,
        #[graphql(
            desc = "What people type: a number, a reference, an e-mail address, or how one \
                    begins. With `where`, both must match."
        )]
        query: Option<String>,
        #[graphql(desc = "In which order; none = ARCHIVED_AT DESC.")] order_by: Option<
            ArchivedOrderSort,
        >,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> async_graphql::Result<Rows<ArchivedOrder>> {
        let caller = principal(ctx)?;
        let personal = caller.may(Scope::PersonalDataRead);
        if !personal && filter.as_ref().is_some_and(ArchivedOrderWhere::is_personal) {
            return Err(forbidden(Scope::PersonalDataRead));
        }
        let mut rows = Entity::find()
            .filter(visible_archived(caller))
            .filter(condition(filter.as_ref())?);
        if let Some(query) = &query {
            rows = rows.filter(named(query, personal)?);
        }
        let sort_by = order_by.unwrap_or(ArchivedOrderSort {
            field: ArchivedOrderSortField::ArchivedAt,
            direction: SortDirection::Desc,
        });
        type Key = fn(&Model) -> (DateTime<Utc>, uuid::Uuid);
        let (column, key): (Column, Key) = match sort_by.field {
            ArchivedOrderSortField::ArchivedAt => {
                (Column::ArchivedAt, |row| (row.archived_at, row.id.0))
            }
            ArchivedOrderSortField::PlacedAt => (Column::PlacedAt, |row| (row.placed_at, row.id.0)),
        };
        let sort = Sort {
            column,
            id: Column::Id,
            order: sort_by.direction.into(),
            key,
        };
        page(app(ctx), rows, sort, first, after, ArchivedOrder).await
    }
}
