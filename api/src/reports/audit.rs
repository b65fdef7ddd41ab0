//! The log read as evidence: who changed what, when, from where, and what was there before.
//!
//! Nothing is written for it. An event is the record of its change; what stood there before is in
//! the event itself, or is what the last event of the same thing said.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use entity::{event_log, request_origin};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select,
};
use serde_json::{Value as Json, json};

use crate::events::{Change, Changes};
use crate::tx::Tx;

/// Which events. All that is given must match.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By these: `key:…`, `worker:…`.
    pub actors: Option<Vec<String>>,
    /// Not by the program itself.
    pub by_people: bool,
    /// Of these kinds of things: `order`, `channel` …
    pub aggregate_types: Option<Vec<String>>,
    /// Of this thing. What has no versions of its own is meant with every change of it.
    pub aggregate_id: Option<String>,
    /// On the timeline of this order.
    pub order_id: Option<entity::OrderId>,
    /// Of these types: `order.edited` …
    pub events: Option<Vec<String>>,
    /// Of this request.
    pub correlation_id: Option<String>,
    /// From this address, or from one that a proxy says stands behind it.
    pub address: Option<String>,
    /// From this moment on.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// The events.
pub fn entries(wanted: Wanted) -> Select<event_log::Entity> {
    use event_log::Column;
    let from_address = wanted.address.map(|address| {
        let origins = request_origin::Entity::find()
            .select_only()
            .column(request_origin::Column::CorrelationId)
            .filter(
                Condition::any()
                    .add(request_origin::Column::Address.eq(&address))
                    .add(request_origin::Column::Forwarded.eq(&address)),
            );
        Column::CorrelationId
            .ne("")
            .and(Column::CorrelationId.in_subquery(origins.into_query()))
    });
    let of_thing = wanted.aggregate_id.map(|id| {
        let each_change = Column::AggregateId.starts_with(format!("{id}/"));
        Condition::any()
            .add(Column::AggregateId.eq(id))
            .add(each_change)
    });
    let of_request = wanted.correlation_id.map(|id| {
        Column::CorrelationId
            .ne("")
            .and(Column::CorrelationId.eq(id))
    });
    let condition = Condition::all()
        .add_option(wanted.actors.map(|actors| Column::Actor.is_in(actors)))
        .add_option(wanted.by_people.then(|| Column::Actor.not_like("worker:%")))
        .add_option(
            wanted
                .aggregate_types
                .map(|types| Column::AggregateType.is_in(types)),
        )
        .add_option(of_thing)
        .add_option(wanted.order_id.map(|id| Column::OrderId.eq(id)))
        .add_option(wanted.events.map(|events| Column::EventType.is_in(events)))
        .add_option(of_request)
        .add_option(from_address)
        .add_option(wanted.from.map(|from| Column::OccurredAt.gte(from)))
        .add_option(wanted.to.map(|to| Column::OccurredAt.lt(to)));
    event_log::Entity::find().filter(condition)
}

/// What tells an aggregate's event: its type, its id, its version.
pub type Place = (String, String, i64);

/// The events before these of the same aggregates, by the place of those that follow them.
pub async fn before(
    db: &impl ConnectionTrait,
    places: &[Place],
) -> Result<HashMap<Place, event_log::Model>, DbErr> {
    use event_log::Column;
    let earlier = places.iter().filter(|(_, _, version)| *version > 1);
    let mut any = Condition::any();
    for (kind, id, version) in earlier.clone() {
        let place = Condition::all()
            .add(Column::AggregateType.eq(kind))
            .add(Column::AggregateId.eq(id))
            .add(Column::AggregateVersion.eq(version - 1));
        any = any.add(place);
    }
    if earlier.count() == 0 {
        return Ok(HashMap::new());
    }
    let rows = event_log::Entity::find().filter(any).all(db).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (kind, id) = (row.aggregate_type.clone(), row.aggregate_id.clone());
            ((kind, id, row.aggregate_version + 1), row)
        })
        .collect())
}

/// Where these requests came from, by request and actor. A name that was used from two places has
/// both.
pub async fn origins(
    db: &impl ConnectionTrait,
    requests: &[(String, String)],
) -> Result<HashMap<(String, String), Vec<request_origin::Model>>, DbErr> {
    use request_origin::Column;
    let names = requests.iter().map(|(id, _)| id.as_str());
    let rows = request_origin::Entity::find()
        .filter(Column::CorrelationId.is_in(names))
        .order_by_asc(Column::At)
        .all(db)
        .await?;
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        let request = (row.correlation_id.clone(), row.actor.clone());
        found.entry(request).or_default().push(row);
    }
    Ok(found)
}

/// Forgets where requests came from that are older, and says how many.
pub async fn forget(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let gone = request_origin::Entity::delete_many()
        .filter(request_origin::Column::At.lt(before))
        .exec(tx.db())
        .await?;
    Ok(gone.rows_affected)
}

/// What an event changed, by name. Empty if it says that something happened and nothing of what
/// was there before.
pub fn changes(event: &event_log::Model, earlier: Option<&event_log::Model>) -> Changes {
    let mut changes = said(&event.payload);
    // What says all of a thing each time is compared with what was said the last time.
    let same_type = |earlier: &&event_log::Model| earlier.event_type == event.event_type;
    if changes.is_empty()
        && says_all(&event.event_type)
        && let Some(facts) = event.payload.as_object()
    {
        let earlier = earlier.filter(same_type);
        for (name, after) in facts {
            let before = earlier.map_or(Json::Null, |row| row.payload[name].clone());
            if before != *after {
                let after = after.clone();
                changes.0.insert(name.clone(), Change { before, after });
            }
        }
    }
    if let Some(to) = event.stage_to {
        let change = Change {
            before: json!(event.stage_from.map(|stage| stage.to_value())),
            after: json!(to.to_value()),
        };
        changes.0.insert("stage".to_owned(), change);
    }
    changes
}

/// Whether events of a type say all of what they are about.
fn says_all(event: &str) -> bool {
    event.ends_with(".saved") || event == "stock.changed"
}

/// What a payload says by itself: `changes`, or a pair of `before` and `after`, or `before` and the
/// one fact that it was.
fn said(payload: &Json) -> Changes {
    if let Ok(changes) = serde_json::from_value(payload["changes"].clone()) {
        return changes;
    }
    let mut changes = BTreeMap::new();
    match (payload.get("before"), payload.get("after")) {
        (Some(Json::Object(before)), Some(Json::Object(after))) => {
            for name in before.keys().chain(after.keys()) {
                let side = |facts: &serde_json::Map<String, Json>| {
                    facts.get(name).cloned().unwrap_or_default()
                };
                let (before, after) = (side(before), side(after));
                if before != after {
                    changes.insert(name.clone(), Change { before, after });
                }
            }
        }
        (Some(before), None) => {
            let facts = ["safety", "owner"];
            if let Some(name) = facts.into_iter().find(|name| payload.get(name).is_some()) {
                let (before, after) = (before.clone(), payload[name].clone());
                changes.insert(name.to_owned(), Change { before, after });
            }
        }
        _ => {}
    }
    Changes(changes)
}
