//! Who changed what, when, from where, and what was there before.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::event_log::{self, Column};
use entity::{ApiKeyId, OrderId, request_origin};
use sea_orm::Order as Direction;
use uuid::Uuid;

use super::errors::bad_input;
use super::events::LoggedEvent;
use super::ids::from_optional;
use super::keys::{ApiKey, Unconfined};
use super::loaders::{LoadError, Loaders, load};
use super::orders::{Order, order_of};
use super::pagination::{Rows, Sort, cost, page};
use super::{Allowed, app};
use crate::access::Scope;
use crate::reports::audit::{self, Place, Wanted};

/// A column or fact that is not what it was.
#[derive(SimpleObject)]
pub struct AuditChange {
    /// Which: a column by its name, `code.column` of a part of something, or `stage`.
    field: String,
    /// What it was; null if it was nothing, or if that is nobody's business: of customers, and of
    /// secrets, only the names of what changed are kept.
    before: Option<Json<serde_json::Value>>,
    /// What it is since.
    after: Option<Json<serde_json::Value>>,
}

/// Where a request came from. Kept for the time that the server is set to.
#[derive(SimpleObject)]
pub struct RequestOrigin {
    /// The address at the other end of the connection.
    address: String,
    /// The addresses that proxies say stand behind it, as they say it; null if they say nothing.
    forwarded: Option<String>,
    /// What the client calls itself; null if it does not.
    agent: Option<String>,
}

impl From<request_origin::Model> for RequestOrigin {
    fn from(row: request_origin::Model) -> Self {
        let said = |text: String| (!text.is_empty()).then_some(text);
        RequestOrigin {
            address: row.address,
            forwarded: said(row.forwarded),
            agent: said(row.agent),
        }
    }
}

/// A change, as evidence.
pub struct AuditEntry(event_log::Model);

/// A change, as evidence: an event, with what was there before and where it came from. It can
/// neither be changed nor deleted.
#[Object]
impl AuditEntry {
    /// What happened.
    async fn event(&self) -> LoggedEvent {
        LoggedEvent::from(self.0.clone())
    }

    /// When.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }

    /// Who did it: `key:…`, `worker:…`, `cli:…`.
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// The API key that it was done with; null if it was done by the program itself.
    #[graphql(complexity = "1 + child_complexity")]
    async fn api_key(&self, ctx: &Context<'_>) -> Result<Option<ApiKey>> {
        let id = self.0.actor.strip_prefix("key:");
        match id.and_then(|id| id.parse::<Uuid>().ok()) {
            Some(id) => Ok(load(ctx, ApiKeyId(id)).await?.map(ApiKey)),
            None => Ok(None),
        }
    }

    /// Where the request came from. More than one only if a client gave two requests one name;
    /// empty if nobody asked from outside, or if it was too long ago.
    #[graphql(complexity = "1 + child_complexity")]
    async fn origins(&self, ctx: &Context<'_>) -> Result<Vec<RequestOrigin>> {
        if self.0.correlation_id.is_empty() {
            return Ok(Vec::new());
        }
        let request = OriginsOf(self.0.correlation_id.clone(), self.0.actor.clone());
        let rows = load(ctx, request).await?.unwrap_or_default();
        Ok(rows.into_iter().map(RequestOrigin::from).collect())
    }

    /// What is not as it was; empty if something happened that changed no fact by itself.
    #[graphql(complexity = "2 + child_complexity")]
    async fn changes(&self, ctx: &Context<'_>) -> Result<Vec<AuditChange>> {
        let row = &self.0;
        let place = (
            row.aggregate_type.clone(),
            row.aggregate_id.clone(),
            row.aggregate_version,
        );
        let earlier = load(ctx, EventBefore(place)).await?;
        let changes = audit::changes(row, earlier.as_deref());
        let said = |value: serde_json::Value| (!value.is_null()).then_some(Json(value));
        Ok(changes
            .0
            .into_iter()
            .map(|(field, change)| AuditChange {
                field,
                before: said(change.before),
                after: said(change.after),
            })
            .collect())
    }

    /// The order on whose timeline it stands.
    #[graphql(complexity = "1 + child_complexity")]
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        match self.0.order_id {
            Some(id) => Ok(order_of(ctx, id).await?.map(Order)),
            None => Ok(None),
        }
    }
}

/// The event before that at a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventBefore(Place);

impl Loader<EventBefore> for Loaders {
    type Value = Arc<event_log::Model>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[EventBefore],
    ) -> std::result::Result<HashMap<EventBefore, Self::Value>, LoadError> {
        let places: Vec<Place> = keys.iter().map(|key| key.0.clone()).collect();
        let found = audit::before(self.read(), &places).await?;
        let found = found.into_iter();
        Ok(found
            .map(|(place, row)| (EventBefore(place), Arc::new(row)))
            .collect())
    }
}

/// Where a request of an actor came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginsOf(String, String);

impl Loader<OriginsOf> for Loaders {
    type Value = Vec<request_origin::Model>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[OriginsOf],
    ) -> std::result::Result<HashMap<OriginsOf, Self::Value>, LoadError> {
        let requests: Vec<_> = keys
            .iter()
            .map(|OriginsOf(request, actor)| (request.clone(), actor.clone()))
            .collect();
        let found = audit::origins(self.read(), &requests).await?;
        let found = found.into_iter();
        Ok(found
            .map(|((request, actor), rows)| (OriginsOf(request, actor), rows))
            .collect())
    }
}

/// Which changes. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct AuditWhere {
    /// By one of these: `key:…`, `worker:…`.
    #[graphql(validator(max_items = 50))]
    pub actors: Option<Vec<String>>,
    /// Not by the program's own workers.
    #[graphql(default)]
    pub by_people: bool,
    /// Of one of these kinds of things: `order`, `channel`, `price_list`, `api_key` …
    #[graphql(validator(max_items = 50))]
    pub aggregate_types: Option<Vec<String>>,
    /// Of this thing: an event's `aggregateId`, which is the identifier inside an ID.
    pub aggregate_id: Option<String>,
    /// On the timeline of this order.
    pub order_id: Option<ID>,
    /// Of one of these types: `order.edited`, `catalogue.changed` …
    #[graphql(validator(max_items = 50))]
    pub events: Option<Vec<String>>,
    /// Of this request: its `X-Request-Id`.
    pub correlation_id: Option<String>,
    /// From this address, as it was seen or as a proxy said it.
    pub address: Option<String>,
    /// From this moment on.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// Reads of changes.
#[derive(Default)]
pub struct AuditQuery;

/// Reads of changes.
#[Object]
impl AuditQuery {
    /// Who changed what, when, from where, and what was there before; the newest first. Not for
    /// keys that are confined to channels. Needs the scope AUDIT_READ.
    #[graphql(
        guard = "Allowed(Scope::AuditRead).and(Unconfined(Scope::AuditRead))",
        complexity = "cost(first, child_complexity)"
    )]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which.")] wanted: Option<AuditWhere>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<AuditEntry>> {
        let wanted = wanted.unwrap_or_default();
        let order_id = from_optional::<OrderId>(wanted.order_id.as_ref(), "where.orderId");
        let rows = audit::entries(Wanted {
            actors: wanted.actors,
            by_people: wanted.by_people,
            aggregate_types: wanted.aggregate_types,
            aggregate_id: wanted.aggregate_id,
            order_id: order_id.map_err(|problem| bad_input(&problem.message))?,
            events: wanted.events,
            correlation_id: wanted.correlation_id,
            address: wanted.address,
            from: wanted.from,
            to: wanted.to,
        });
        let sort = Sort {
            column: Column::Seq,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &event_log::Model| (row.seq, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, AuditEntry).await
    }
}
