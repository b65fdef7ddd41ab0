//! Waves: work of many orders that is picked in one walk and sorted into slots.

use chrono::{DateTime, Utc};
use entity::wave::{Grouping, Status};
use entity::{
    ChannelId, FulfillmentOrderId, OrderId, VariantId, WarehouseId, WaveId, address,
    fulfillment_line, fulfillment_order, order, pick_list, wave,
};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::lists::{self, Released};
use super::next_number;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::orders::aggregate;
use crate::tx::Tx;

/// The most pieces of work that one wave has.
pub const MOST_ORDERS: u64 = 500;

/// What work a wave is put together of. What is none does not matter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Criteria {
    /// These channels.
    pub channel_ids: Option<Vec<ChannelId>>,
    /// These service levels.
    pub service_levels: Option<Vec<String>>,
    /// These countries, ISO 3166-1 alpha-2.
    pub countries: Option<Vec<String>>,
    /// Work with any of these.
    pub variant_ids: Option<Vec<VariantId>>,
    /// Orders that should leave before this moment: a carrier's cut-off.
    pub dispatch_before: Option<DateTime<Utc>>,
    /// Work of one line only.
    pub single_line: Option<bool>,
    /// Exactly this work.
    pub fulfillment_order_ids: Option<Vec<FulfillmentOrderId>>,
}

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Where.
    pub warehouse_id: WarehouseId,
    /// What work.
    pub criteria: Criteria,
    /// What makes a list of its own.
    pub grouping: Grouping,
    /// The most pieces of work; those that should leave first come first.
    pub most: u64,
}

/// Puts a wave together of open work that is in none yet.
pub async fn create(tx: &Tx, cmd: &Create) -> Result<wave::Model, Failure> {
    if !(1..=MOST_ORDERS).contains(&cmd.most) {
        return Err(Problem::new(
            Code::TooMany,
            format!("a wave has 1 to {MOST_ORDERS} fulfillment orders"),
        )
        .at("input.most")
        .into());
    }
    let found = fitting(tx, cmd).await?;
    let mut orders = aggregate::lock(tx, found.iter().map(|(order, _)| *order)).await?;
    let id: WaveId = tx.id();
    let mut taken = 0;
    for (order, work) in &found {
        let Some(aggregate) = orders.get_mut(order) else {
            continue;
        };
        let free = super::stopped(aggregate).is_none()
            && aggregate.work(*work).is_some_and(|work| {
                work.row.status == fulfillment_order::Status::Open && work.row.wave_id.is_none()
            });
        if let (true, Some(work)) = (free, aggregate.work_mut(*work)) {
            work.row_mut().wave_id = Some(id);
            taken += 1;
        }
    }
    if taken == 0 {
        return Err(
            Problem::new(Code::WaveEmpty, "no open work outside of waves fits")
                .at("input.criteria")
                .into(),
        );
    }
    let mut row = wave::Model {
        id,
        number: next_number(tx, "wave_number", "W").await?,
        warehouse_id: cmd.warehouse_id,
        status: Status::Open,
        grouping: cmd.grouping,
        criteria: json!(cmd.criteria),
        orders: i64::try_from(taken).unwrap_or(i64::MAX),
        bin_visits: 0,
        bin_visits_singly: 0,
        created_by: tx.actor.name.clone(),
        created_at: tx.now,
        released_at: None,
        closed_at: None,
        version: 0,
    };
    // Before the work that names it.
    wave::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    let event = Event::WaveCreated {
        number: row.number.clone(),
        orders: taken,
    };
    save(tx, &mut row, event).await?;
    for aggregate in orders.into_values() {
        aggregate.save_work(tx);
    }
    Ok(row)
}

/// The open work that fits and is in no wave, what should leave first first.
async fn fitting(tx: &Tx, cmd: &Create) -> Result<Vec<(OrderId, FulfillmentOrderId)>, Failure> {
    use fulfillment_order::Column;
    let criteria = &cmd.criteria;
    let mut all = Condition::all()
        .add(Column::WarehouseId.eq(cmd.warehouse_id))
        .add(Column::Status.eq(fulfillment_order::Status::Open))
        .add(Column::WaveId.is_null())
        .add(order::Column::Stage.eq(order::Stage::Staged));
    if let Some(channels) = &criteria.channel_ids {
        all = all.add(order::Column::ChannelId.is_in(channels.iter().copied()));
    }
    if let Some(levels) = &criteria.service_levels {
        all = all.add(order::Column::ServiceLevel.is_in(levels));
    }
    if let Some(before) = criteria.dispatch_before {
        all = all.add(order::Column::DispatchBy.lte(before));
    }
    if let Some(countries) = &criteria.countries {
        let there = Query::select()
            .column(address::Column::Id)
            .from(address::Entity)
            .and_where(address::Column::Country.is_in(countries))
            .to_owned();
        all = all.add(order::Column::ShippingAddressId.in_subquery(there));
    }
    if let Some(variants) = &criteria.variant_ids {
        let with = Query::select()
            .column(fulfillment_line::Column::FulfillmentOrderId)
            .from(fulfillment_line::Entity)
            .and_where(fulfillment_line::Column::VariantId.is_in(variants.iter().copied()))
            .to_owned();
        all = all.add(Column::Id.in_subquery(with));
    }
    if let Some(single) = criteria.single_line {
        let one = Query::select()
            .column(fulfillment_line::Column::FulfillmentOrderId)
            .from(fulfillment_line::Entity)
            .group_by_col(fulfillment_line::Column::FulfillmentOrderId)
            .and_having(Expr::col(fulfillment_line::Column::LineId).count().eq(1))
            .to_owned();
        all = all.add(match single {
            true => Column::Id.in_subquery(one),
            false => Column::Id.not_in_subquery(one),
        });
    }
    if let Some(ids) = &criteria.fulfillment_order_ids {
        all = all.add(Column::Id.is_in(ids.iter().copied()));
    }
    Ok(fulfillment_order::Entity::find()
        .select_only()
        .column(Column::OrderId)
        .column(Column::Id)
        .join(
            sea_orm::JoinType::InnerJoin,
            fulfillment_order::Relation::Order.def(),
        )
        .filter(all)
        .order_by_asc(order::Column::DispatchBy)
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .limit(cmd.most)
        .into_tuple()
        .all(tx.db())
        .await?)
}

/// Releases a wave: its work goes onto pick lists. What cannot be picked now is left out of it.
pub async fn release(tx: &Tx, id: WaveId) -> Result<(wave::Model, Released), Failure> {
    let mut row = lock(tx, id).await?;
    expect(&row, Status::Open)?;
    let work = work_of(tx, id).await?;
    let released = lists::release(tx, row.warehouse_id, Some(id), &work, row.grouping).await?;
    if released.work.is_empty() {
        return Err(
            Problem::new(Code::WaveEmpty, "nothing of the wave can be picked now")
                .at("input.id")
                .with(json!({ "leftOut": left_out(&released) }))
                .into(),
        );
    }
    row.status = Status::Released;
    row.released_at = Some(tx.now);
    row.orders = i64::try_from(released.work.len()).unwrap_or(i64::MAX);
    row.bin_visits = released.visits;
    row.bin_visits_singly = released.visits_singly;
    let event = Event::WaveReleased {
        pick_lists: released.lists.len(),
        orders: row.orders,
        bin_visits: row.bin_visits,
        bin_visits_singly: row.bin_visits_singly,
    };
    save(tx, &mut row, event).await?;
    Ok((row, released))
}

fn left_out(released: &Released) -> Vec<serde_json::Value> {
    released
        .left_out
        .iter()
        .map(|(id, reason)| json!({ "fulfillmentOrder": id, "reason": reason }))
        .collect()
}

/// Gives a wave up before its release: its work may go into another one.
pub async fn cancel(tx: &Tx, id: WaveId) -> Result<wave::Model, Failure> {
    let mut row = lock(tx, id).await?;
    expect(&row, Status::Open)?;
    let work = work_of(tx, id).await?;
    let mut orders = aggregate::lock(tx, work.iter().map(|(order, _)| *order)).await?;
    for (order, work) in work {
        let work = orders
            .get_mut(&order)
            .and_then(|order| order.work_mut(work));
        if let Some(work) = work {
            work.row_mut().wave_id = None;
        }
    }
    for aggregate in orders.into_values() {
        aggregate.save_work(tx);
    }
    row.status = Status::Cancelled;
    row.closed_at = Some(tx.now);
    save(tx, &mut row, Event::WaveCancelled {}).await?;
    Ok(row)
}

/// Closes a released wave whose lists are all done.
pub(super) async fn close(tx: &Tx, id: WaveId) -> Result<(), Failure> {
    let mut row = lock(tx, id).await?;
    let open = pick_list::Entity::find()
        .filter(pick_list::Column::WaveId.eq(id))
        .filter(pick_list::Column::Status.ne(pick_list::Status::Done))
        .one(tx.db())
        .await?;
    if row.status == Status::Released && open.is_none() {
        row.status = Status::Done;
        row.closed_at = Some(tx.now);
        save(tx, &mut row, Event::WaveDone {}).await?;
    }
    Ok(())
}

/// The work of a wave with its orders, in the order of its making.
async fn work_of(tx: &Tx, id: WaveId) -> Result<Vec<(OrderId, FulfillmentOrderId)>, DbErr> {
    use fulfillment_order::Column;
    fulfillment_order::Entity::find()
        .select_only()
        .column(Column::OrderId)
        .column(Column::Id)
        .filter(Column::WaveId.eq(id))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(tx.db())
        .await
}

async fn lock(tx: &Tx, id: WaveId) -> Result<wave::Model, Failure> {
    let mut query = wave::Entity::find_by_id(id);
    if tx.locks_rows() {
        query = query.lock_exclusive();
    }
    let row = query.one(tx.db()).await?;
    row.ok_or_else(|| Problem::not_found("wave").at("input.id").into())
}

fn expect(row: &wave::Model, status: Status) -> Result<(), Problem> {
    if row.status == status {
        return Ok(());
    }
    let name = format!("{:?}", row.status).to_lowercase();
    Err(
        Problem::new(Code::FulfillmentStateInvalid, format!("the wave is {name}"))
            .at("input.id")
            .with(json!({ "status": row.status })),
    )
}

/// Writes a locked wave with what happened to it.
async fn save(tx: &Tx, row: &mut wave::Model, event: Event) -> Result<(), DbErr> {
    use wave::Column;
    row.version += 1;
    wave::Entity::update_many()
        .col_expr(Column::Status, Expr::value(row.status))
        .col_expr(Column::Orders, Expr::value(row.orders))
        .col_expr(Column::BinVisits, Expr::value(row.bin_visits))
        .col_expr(Column::BinVisitsSingly, Expr::value(row.bin_visits_singly))
        .col_expr(Column::ReleasedAt, Expr::value(row.released_at))
        .col_expr(Column::ClosedAt, Expr::value(row.closed_at))
        .col_expr(Column::Version, Expr::value(row.version))
        .filter(Column::Id.eq(row.id))
        .exec(tx.db())
        .await?;
    tx.emit(Entry {
        aggregate_type: "wave",
        aggregate_id: row.id.to_string(),
        version: row.version,
        channel_id: None,
        order_id: None,
        moved: None,
        event,
    });
    Ok(())
}
