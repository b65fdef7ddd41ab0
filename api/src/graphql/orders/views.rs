//! Searches that people keep under a name.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::saved_view::{self, SortField};
use sea_orm::{EntityTrait, Order as Direction, QueryFilter};

use super::queries::{OrderSort, OrderSortField, SortDirection};
use crate::access::{Principal, Scope};
use crate::graphql::command::payloads;
use crate::graphql::errors::{forbidden, outcome};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::{Allowed, actor, app, principal};
use crate::orders::views::{self, CreateView, DeleteView, Sorting, UpdateView};

/// A search that somebody keeps under a name. It holds the query and not its rows: give `query`
/// to `orders`, or to `orderUpdates` to follow it. One that asks for personal data is refused to
/// who may read none.
pub struct SavedView(pub saved_view::Model);

impl From<saved_view::Model> for SavedView {
    fn from(row: saved_view::Model) -> Self {
        SavedView(row)
    }
}

/// A search that somebody keeps under a name. It holds the query and not its rows: give `query`
/// to `orders`, or to `orderUpdates` to follow it. One that asks for personal data is refused to
/// who may read none.
#[Object]
impl SavedView {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What its owner calls it; unique among the owner's.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Whose it is: `key:…`.
    async fn owner(&self) -> &str {
        &self.0.owner
    }

    /// Whether it is yours.
    async fn own(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(principal(ctx)?.actor.name == self.0.owner)
    }

    /// Whether others see it.
    async fn shared(&self) -> bool {
        self.0.shared
    }

    /// What it searches for.
    async fn query(&self) -> &str {
        &self.0.query
    }

    /// What it is sorted by; null = as usual.
    async fn order_by(&self) -> Option<SavedOrderSort> {
        let field = match self.0.sort_field? {
            SortField::ReceivedAt => OrderSortField::ReceivedAt,
            SortField::PlacedAt => OrderSortField::PlacedAt,
            SortField::UpdatedAt => OrderSortField::UpdatedAt,
        };
        let direction = match self.0.sort_descending? {
            true => SortDirection::Desc,
            false => SortDirection::Asc,
        };
        Some(SavedOrderSort { field, direction })
    }

    /// +1 with every change; give it as `expectedVersion` to change what you saw.
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

/// What a view is sorted by.
#[derive(SimpleObject)]
pub struct SavedOrderSort {
    /// What is sorted by.
    field: OrderSortField,
    /// Up or down.
    direction: SortDirection,
}

impl From<OrderSort> for Sorting {
    fn from(sort: OrderSort) -> Self {
        Sorting {
            field: match sort.field {
                OrderSortField::ReceivedAt => SortField::ReceivedAt,
                OrderSortField::PlacedAt => SortField::PlacedAt,
                OrderSortField::UpdatedAt => SortField::UpdatedAt,
            },
            descending: sort.direction == SortDirection::Desc,
        }
    }
}

/// Reads of views.
#[derive(Default)]
pub struct SavedViewQuery;

/// Reads of views.
#[Object]
impl SavedViewQuery {
    /// The views that you see, by name: your own, and those that others share. A key that is
    /// confined to channels sees its own. Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn saved_views(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<SavedView>> {
        let sort = Sort {
            column: saved_view::Column::Name,
            id: saved_view::Column::Id,
            order: Direction::Asc,
            key: |row: &saved_view::Model| (row.name.clone(), row.id.0),
        };
        let rows = saved_view::Entity::find().filter(views::visible(principal(ctx)?));
        page(app(ctx), rows, sort, first, after, SavedView).await
    }
}

/// What `savedViewCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct SavedViewCreateInput {
    /// What you call it: 1 to 300 characters, unique among yours (CODE_TAKEN).
    pub name: String,
    /// What it searches for, as in `orders`; blank = everything (INVALID_INPUT with `offset`,
    /// `line`, `column` and `expected` in the details).
    pub query: String,
    /// What it is sorted by; as usual if not given.
    pub order_by: Option<OrderSort>,
    /// Whether others see it, which needs the scope ORDERS_MANAGE and a key that is not confined
    /// to channels.
    #[graphql(default)]
    pub shared: bool,
}

/// What `savedViewUpdate` needs; what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct SavedViewUpdateInput {
    /// Which view (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
    /// What you call it, as in `savedViewCreate`.
    pub name: Option<String>,
    /// What it searches for, as in `savedViewCreate`.
    pub query: Option<String>,
    /// What it is sorted by.
    pub order_by: Option<OrderSort>,
    /// Whether others see it, as in `savedViewCreate`.
    pub shared: Option<bool>,
}

/// What `savedViewDelete` needs.
#[derive(Clone, Debug, InputObject)]
pub struct SavedViewDeleteInput {
    /// Which view (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: Option<i64>,
}

payloads! {
    /// What `savedViewCreate` and `savedViewUpdate` came to.
    SavedViewPayload {
        /// The view after the change; null if it was refused.
        saved_view: SavedView
    }
    /// What `savedViewDelete` came to.
    SavedViewDeletePayload {
        /// The identifier that is no more; null if it was refused.
        deleted_id: ID
    }
}

/// Sharing is for those who manage orders.
fn may_share(caller: &Principal, shared: Option<bool>) -> Result<()> {
    if shared == Some(true) && !caller.may(Scope::OrdersManage) {
        return Err(forbidden(Scope::OrdersManage));
    }
    Ok(())
}

/// Changes of views.
#[derive(Default)]
pub struct SavedViewMutation;

/// Changes of views.
#[Object]
impl SavedViewMutation {
    /// Keeps a search under a name. Refusals: CODE_TAKEN, INVALID_INPUT, NAME_INVALID, TOO_MANY
    /// (200 are the most). Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn saved_view_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the view is to be.")] input: SavedViewCreateInput,
    ) -> Result<SavedViewPayload> {
        let caller = principal(ctx)?;
        may_share(caller, Some(input.shared))?;
        let cmd = &CreateView {
            name: input.name,
            shared: input.shared,
            query: input.query,
            sorting: input.order_by.map(Into::into),
        };
        let made = app(ctx)
            .write(&actor(ctx)?, move |tx| async move {
                views::create(&tx, caller, cmd).await
            })
            .await;
        Ok(outcome(made)?.into())
    }

    /// Changes a view of yours, or as an administrator one that is shared. Refusals: CODE_TAKEN,
    /// INVALID_INPUT, NAME_INVALID, NOT_FOUND, NOT_OWNER, STALE_VERSION. Needs the scope
    /// ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn saved_view_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view, and what it is to be.")] input: SavedViewUpdateInput,
    ) -> Result<SavedViewPayload> {
        let caller = principal(ctx)?;
        may_share(caller, input.shared)?;
        let id = match from_global(&input.id, "input.id") {
            Ok(id) => id,
            Err(problem) => return Ok(outcome(Err::<SavedView, _>(problem.into()))?.into()),
        };
        let cmd = &UpdateView {
            id,
            expected_version: input.expected_version,
            name: input.name,
            shared: input.shared,
            query: input.query,
            sorting: input.order_by.map(Into::into),
        };
        let changed = app(ctx)
            .write(&actor(ctx)?, move |tx| async move {
                views::update(&tx, caller, cmd).await
            })
            .await;
        Ok(outcome(changed)?.into())
    }

    /// Keeps a view of yours no longer, or as an administrator one that is shared. Refusals:
    /// NOT_FOUND, NOT_OWNER, STALE_VERSION. Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn saved_view_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view.")] input: SavedViewDeleteInput,
    ) -> Result<SavedViewDeletePayload> {
        let caller = principal(ctx)?;
        let id = match from_global(&input.id, "input.id") {
            Ok(id) => id,
            Err(problem) => return Ok(outcome(Err::<ID, _>(problem.into()))?.into()),
        };
        let cmd = &DeleteView {
            id,
            expected_version: input.expected_version,
        };
        let gone = app(ctx)
            .write(&actor(ctx)?, move |tx| async move {
                views::delete(&tx, caller, cmd).await.map(to_global)
            })
            .await;
        Ok(outcome(gone)?.into())
    }
}
