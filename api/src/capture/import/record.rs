//! What is written down about a run: one row that says how far it came, and one for each fault.

use std::collections::BTreeMap;

use entity::import::Status;
use entity::{ChannelId, ImportId, import, import_error};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

use super::{Fault, Tally};
use crate::failure::Failure;
use crate::tx::Tx;

/// What [`begin`] needs.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The file's name.
    pub source: String,
    /// `csv`, `jsonl` or the name of a mapping.
    pub format: String,
    /// The channel that the orders belong to.
    pub channel_id: ChannelId,
}

/// Opens the record of a run. An earlier run over the same file that never ended has been killed,
/// and is marked so.
pub async fn begin(tx: &Tx, cmd: &Begin) -> Result<ImportId, Failure> {
    use import::Column;
    import::Entity::update_many()
        .col_expr(Column::Status, Expr::value(Status::Failed))
        .col_expr(Column::FinishedAt, Expr::value(Some(tx.now)))
        .filter(Column::Status.eq(Status::Running))
        .filter(Column::ChannelId.eq(cmd.channel_id))
        .filter(Column::Source.eq(cmd.source.as_str()))
        .exec(tx.db())
        .await?;
    let id: ImportId = tx.id();
    let row = import::ActiveModel {
        id: Set(id),
        source: Set(cmd.source.clone()),
        format: Set(cmd.format.clone()),
        channel_id: Set(cmd.channel_id),
        status: Set(Status::Running),
        processed: Set(0),
        accepted: Set(0),
        replayed: Set(0),
        refused: Set(0),
        started_by: Set(tx.actor.name.clone()),
        started_at: Set(tx.now),
        finished_at: Set(None),
    };
    import::Entity::insert(row)
        .exec_without_returning(tx.db())
        .await?;
    Ok(id)
}

/// A fault with the reference of its order.
pub type OrderFault = (Option<String>, Fault);

/// Writes how far a run has come, and the faults since it was last written; an `end` closes it.
pub async fn advance(
    tx: &Tx,
    id: ImportId,
    tally: &Tally,
    faults: &[OrderFault],
    end: Option<Status>,
) -> Result<(), Failure> {
    use import::Column;
    let count = |number: u64| Expr::value(i64::try_from(number).unwrap_or(i64::MAX));
    let mut update = import::Entity::update_many()
        .col_expr(Column::Processed, count(tally.processed))
        .col_expr(Column::Accepted, count(tally.accepted))
        .col_expr(Column::Replayed, count(tally.replayed))
        .col_expr(Column::Refused, count(tally.refused))
        .filter(Column::Id.eq(id));
    if let Some(end) = end {
        update = update
            .col_expr(Column::Status, Expr::value(end))
            .col_expr(Column::FinishedAt, Expr::value(Some(tx.now)));
    }
    update.exec(tx.db()).await?;
    tx.defer_rows(rows(id, faults), |insert| insert);
    Ok(())
}

/// Faults of one row are always written together, so counting them here numbers them.
fn rows(id: ImportId, faults: &[OrderFault]) -> Vec<import_error::ActiveModel> {
    let mut items: BTreeMap<u64, i32> = BTreeMap::new();
    faults
        .iter()
        .map(|(reference, fault)| {
            let item = items.entry(fault.row).or_default();
            let row = import_error::ActiveModel {
                import_id: Set(id),
                row_number: Set(i64::try_from(fault.row).unwrap_or(i64::MAX)),
                item: Set(*item),
                external_reference: Set(reference.as_deref().map(printable)),
                code: Set(fault.problem.code.as_str()),
                field: Set(fault.problem.field.as_ref().map(|path| path.join("."))),
                message: Set(printable(&fault.problem.message)),
            };
            *item += 1;
            row
        })
        .collect()
}

/// What came from a broken file may hold what no text column takes.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
