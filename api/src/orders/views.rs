//! Searches that people keep under a name, for themselves or for everyone.
//!
//! A view holds the text of a query and not its rows: whoever opens it sees what he may see. Those
//! who are confined to channels neither see what others share nor share anything themselves.

use entity::saved_view::{self, SortField};
use entity::{SavedViewId, api_key};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QuerySelect,
};
use serde_json::json;

use super::search;
use crate::access::Principal;
use crate::checks::{Checks, expect_version};
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How many views somebody may keep.
pub const MOST_VIEWS: u64 = 200;

/// What a view is sorted by.
#[derive(Clone, Copy, Debug)]
pub struct Sorting {
    /// By which moment.
    pub field: SortField,
    /// Whether the newest come first.
    pub descending: bool,
}

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// What its owner calls it.
    pub name: String,
    /// Whether others see it.
    pub shared: bool,
    /// What it searches for.
    pub query: String,
    /// What it is sorted by; none = as usual.
    pub sorting: Option<Sorting>,
}

/// What [`update`] needs; what is none stays.
#[derive(Clone, Debug)]
pub struct UpdateView {
    /// Which view.
    pub id: SavedViewId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// What its owner calls it.
    pub name: Option<String>,
    /// Whether others see it.
    pub shared: Option<bool>,
    /// What it searches for.
    pub query: Option<String>,
    /// What it is sorted by.
    pub sorting: Option<Sorting>,
}

/// What [`delete`] needs.
#[derive(Clone, Debug)]
pub struct DeleteView {
    /// Which view.
    pub id: SavedViewId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// The views that a caller sees: its own, and what others share.
pub fn visible(caller: &Principal) -> Condition {
    let own = saved_view::Column::Owner.eq(caller.actor.name.as_str());
    let shared = caller
        .channels
        .is_none()
        .then(|| saved_view::Column::Shared.eq(true));
    Condition::any().add(own).add_option(shared)
}

/// Whether a caller sees a view.
pub fn sees(caller: &Principal, view: &saved_view::Model) -> bool {
    view.owner == caller.actor.name || (view.shared && caller.channels.is_none())
}

/// Keeps a search.
pub async fn create(
    tx: &Tx,
    caller: &Principal,
    cmd: &CreateView,
) -> Result<saved_view::Model, Failure> {
    let view = saved_view::Model {
        id: tx.id(),
        owner: tx.actor.name.clone(),
        name: cmd.name.clone(),
        shared: cmd.shared,
        query: cmd.query.clone(),
        sort_field: cmd.sorting.map(|sorting| sorting.field),
        sort_descending: cmd.sorting.map(|sorting| sorting.descending),
        version: 1,
        created_at: tx.now,
        updated_at: tx.now,
    };
    let view = checked(caller, view)?;
    let kept = saved_view::Entity::find()
        .filter(saved_view::Column::Owner.eq(view.owner.as_str()))
        .count(tx.db())
        .await?;
    if kept >= MOST_VIEWS {
        let message = format!("nobody keeps more than {MOST_VIEWS} views");
        return Err(Problem::new(Code::TooMany, message).into());
    }
    saved_view::Entity::insert(view.clone().into_active_model())
        .exec_without_returning(tx.db())
        .await
        .map_err(name_taken)?;
    let shared = view.shared;
    record(tx, &view, view.version, Event::SavedViewSaved { shared });
    Ok(view)
}

/// Changes a view.
pub async fn update(
    tx: &Tx,
    caller: &Principal,
    cmd: &UpdateView,
) -> Result<saved_view::Model, Failure> {
    let mut view = lock(tx, caller, cmd.id, cmd.expected_version).await?;
    if let Some(name) = &cmd.name {
        view.name.clone_from(name);
    }
    if let Some(shared) = cmd.shared {
        view.shared = shared;
    }
    if let Some(query) = &cmd.query {
        view.query.clone_from(query);
    }
    if let Some(sorting) = cmd.sorting {
        view.sort_field = Some(sorting.field);
        view.sort_descending = Some(sorting.descending);
    }
    let mut view = checked(caller, view)?;
    view.version += 1;
    view.updated_at = tx.now;
    saved_view::Entity::update(view.clone().into_active_model().reset_all())
        .exec(tx.db())
        .await
        .map_err(name_taken)?;
    let shared = view.shared;
    record(tx, &view, view.version, Event::SavedViewSaved { shared });
    Ok(view)
}

/// Keeps a search no longer.
pub async fn delete(tx: &Tx, caller: &Principal, cmd: &DeleteView) -> Result<SavedViewId, Failure> {
    let view = lock(tx, caller, cmd.id, cmd.expected_version).await?;
    saved_view::Entity::delete_by_id(view.id)
        .exec(tx.db())
        .await?;
    record(tx, &view, view.version + 1, Event::SavedViewDeleted {});
    Ok(view.id)
}

/// Reads a view that the caller may change.
async fn lock(
    tx: &Tx,
    caller: &Principal,
    id: SavedViewId,
    expected_version: Option<i64>,
) -> Result<saved_view::Model, Failure> {
    let mut rows = saved_view::Entity::find_by_id(id);
    if tx.locks_rows() {
        rows = rows.lock_exclusive();
    }
    let view = rows
        .one(tx.db())
        .await?
        .filter(|view| sees(caller, view))
        .ok_or_else(|| Problem::not_found("SavedView").at("input.id"))?;
    if view.owner != caller.actor.name && caller.role != api_key::Role::Admin {
        let message = "only its owner or an administrator changes a view";
        return Err(Problem::new(Code::NotOwner, message).at("input.id").into());
    }
    expect_version("view", view.version, expected_version)?;
    Ok(view)
}

/// Takes a view whose name and query are sound, and which its owner may share.
fn checked(caller: &Principal, mut view: saved_view::Model) -> Result<saved_view::Model, Failure> {
    let mut checks = Checks::new();
    view.name = checks.name("input.name", &view.name);
    if let Err(mistake) = search::read(&view.query) {
        let facts = json!({ "offset": mistake.offset, "line": mistake.line,
            "column": mistake.column, "expected": mistake.expected });
        let problem = Problem::new(Code::InvalidInput, mistake.to_string());
        checks.refuse(problem.at("input.query").with(facts));
    }
    checks.hold(
        !view.shared || caller.channels.is_none(),
        Code::InvalidInput,
        "input.shared",
        "who is confined to channels shares no views",
    );
    checks.done()?;
    Ok(view)
}

fn name_taken(error: sea_orm::DbErr) -> Failure {
    let failure = Failure::from(error);
    match failure.unique_violation() {
        Some(_) => Problem::new(
            Code::CodeTaken,
            "a view of this owner has this name already",
        )
        .at("input.name")
        .into(),
        None => failure,
    }
}

fn record(tx: &Tx, view: &saved_view::Model, version: i64, event: Event) {
    tx.emit(Entry {
        aggregate_type: "saved_view",
        aggregate_id: view.id.to_string(),
        version,
        channel_id: None,
        order_id: None,
        moved: None,
        event,
    });
}
