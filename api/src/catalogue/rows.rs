//! How rows of the catalogue are read under their lock, written, and told of.

use std::fmt::Display;

use sea_orm::sea_query::FromValueTuple;
use sea_orm::{
    ActiveModelTrait, DbErr, EntityTrait, FromQueryResult, IntoActiveModel, ModelTrait,
    PrimaryKeyTrait, QuerySelect, Select,
};
use uuid::Uuid;

use crate::events::{Changes, Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// Reads the one row that a change is about, and keeps others from changing it meanwhile.
pub(super) async fn lock<E: EntityTrait>(
    tx: &Tx,
    rows: Select<E>,
) -> Result<Option<E::Model>, DbErr> {
    let rows = if tx.locks_rows() {
        rows.lock_exclusive()
    } else {
        rows
    };
    rows.one(tx.db()).await
}

/// Keeps others from writing a small table meanwhile, for rules that no constraint can hold.
pub(super) async fn lock_table(tx: &Tx, table: &'static str) -> Result<(), DbErr> {
    use sea_orm::ConnectionTrait;
    if tx.locks_rows() {
        let statement = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
        tx.db().execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// Writes a new row, and says what is in it.
pub(super) async fn insert<M, A>(tx: &Tx, row: M) -> Result<Changes, Failure>
where
    M: ModelTrait + IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    let changes = Changes::between(None, &row);
    A::Entity::insert(row.into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    Ok(changes)
}

/// Writes a locked row whole, and says what changed: nobody else has changed it meanwhile.
pub(super) async fn replace<M, A>(tx: &Tx, row: M) -> Result<Changes, Failure>
where
    M: ModelTrait<Entity = A::Entity> + FromQueryResult + IntoActiveModel<A>,
    A: ActiveModelTrait + Send,
    A::Entity: EntityTrait<Model = M>,
{
    let key = FromValueTuple::from_value_tuple(row.get_primary_key_value());
    let before = A::Entity::find_by_id::<KeyOf<A::Entity>>(key)
        .one(tx.db())
        .await?;
    let changes = Changes::between(before.as_ref(), &row);
    A::Entity::update(row.into_active_model().reset_all())
        .exec(tx.db())
        .await?;
    Ok(changes)
}

/// The type of a table's primary key.
type KeyOf<E> = <<E as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

/// Whether there is a row with this id.
pub(super) async fn exists<E: EntityTrait>(
    tx: &Tx,
    id: impl Into<<E::PrimaryKey as PrimaryKeyTrait>::ValueType>,
) -> Result<bool, DbErr> {
    Ok(E::find_by_id(id).one(tx.db()).await?.is_some())
}

/// Says that something with versions was made or changed.
pub fn changed(
    tx: &Tx,
    kind: &'static str,
    id: impl Display,
    version: i64,
    code: &str,
    changes: Changes,
) {
    tx.emit(Entry {
        aggregate_type: kind,
        aggregate_id: id.to_string(),
        version,
        channel_id: None,
        order_id: None,
        moved: None,
        event: Event::CatalogueChanged {
            kind: kind.to_owned(),
            code: code.to_owned(),
            changes,
        },
    });
}

/// Says that something without versions was made or changed: each change is an aggregate of its
/// own, so that versions stay unique in the log.
pub(super) fn changed_once(
    tx: &Tx,
    kind: &'static str,
    id: impl Display,
    code: &str,
    changes: Changes,
) {
    let change: Uuid = tx.id();
    changed(tx, kind, format!("{id}/{change}"), 1, code, changes);
}

/// Turns the database's word that a name is taken into a refusal.
pub(super) fn taken(failure: Failure, field: &str, name: &str) -> Failure {
    if failure.unique_violation().is_some() {
        name_taken(field, name).into()
    } else {
        failure
    }
}

/// Something else has this name.
pub(super) fn name_taken(field: &str, name: &str) -> Problem {
    Problem::new(Code::CodeTaken, format!("{name:?} is taken")).at(field)
}
