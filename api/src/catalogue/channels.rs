//! Channels: where orders come from, with their policies and the warehouses that serve them.

use std::collections::BTreeSet;

use entity::channel::{FailedCheckPolicy, RoundingMode, RoundingScope, TaxMode};
use entity::{
    ChannelId, Currency, Rate, TimeZone, WarehouseId, channel, channel_warehouse, warehouse,
};
use rust_decimal::Decimal;
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::rows;
use crate::checks::{Checks, expect_version};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How long a soft hold may live at most, in seconds: 90 days.
const LONGEST_HOLD_SECS: i64 = 90 * 24 * 60 * 60;

/// How long a promised dispatch may take at most, in seconds: 90 days.
const LONGEST_PROMISE_SECS: i64 = 90 * 24 * 60 * 60;

/// What decides between warehouses unless a channel says otherwise: see `fulfillment::routing`.
pub const DEFAULT_ROUTING: [&str; 2] = ["FEWEST_SPLITS", "PRIORITY"];

/// How long after it left a shipment should be scanned, unless a channel says otherwise.
pub const DEFAULT_PICKUP_SECS: i64 = 86_400;

/// How long a capture waits for its next try, unless a channel says otherwise.
pub const DEFAULT_RETRY_SECS: i64 = 4 * 3_600;

/// How long a shipment of which nothing else is heard takes to be delivered, unless a channel says
/// otherwise.
pub const DEFAULT_COMPLETES_SECS: i64 = 14 * 86_400;

/// How long an order that is over stays where it is, unless a channel says otherwise.
pub const DEFAULT_ARCHIVES_SECS: i64 = 30 * 86_400;

/// The longest that an order that is over stays where it is: ten years.
const LONGEST_STAY_SECS: i64 = 3_650 * 86_400;

/// How many days after its delivery something may be returned, unless a channel says otherwise.
pub const DEFAULT_RETURN_DAYS: i64 = 30;

/// The longest that something may be returned: ten years.
const LONGEST_RETURN_DAYS: i64 = 3_650;

/// The longest time between two tries of a capture.
const LONGEST_RETRY_SECS: i64 = 7 * 86_400;

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name in feeds.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// The currency of its prices.
    pub currency: Currency,
    /// Where its merchant lives.
    pub time_zone: TimeZone,
    /// Whether its prices contain the tax.
    pub tax_mode: TaxMode,
    /// How its tax and discounts are rounded.
    pub rounding_mode: RoundingMode,
    /// What its tax is rounded on.
    pub rounding_scope: RoundingScope,
    /// The largest difference from our price that is no exception, in minor units.
    pub price_tolerance_minor: i64,
    /// What happens to an order that fails a check.
    pub failed_check_policy: FailedCheckPolicy,
    /// Whether an order may be staged only with authorised ≥ due.
    pub requires_authorization: bool,
    /// How long a soft hold lives before confirmation, in seconds.
    pub reservation_ttl_secs: i64,
    /// How long after its release an order should be dispatched, in seconds.
    pub dispatch_within_secs: i64,
    /// The warehouses that serve it, first asked first.
    pub warehouses: Vec<WarehouseId>,
}

/// Makes a channel that takes orders at once.
pub async fn create(tx: &Tx, cmd: Create) -> Result<channel::Model, Failure> {
    let mut checks = Checks::new();
    let row = channel::Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
        currency: cmd.currency,
        time_zone: cmd.time_zone,
        tax_mode: cmd.tax_mode,
        rounding_mode: cmd.rounding_mode,
        rounding_scope: cmd.rounding_scope,
        price_tolerance_minor: cmd.price_tolerance_minor,
        failed_check_policy: cmd.failed_check_policy,
        requires_authorization: cmd.requires_authorization,
        reservation_ttl_secs: cmd.reservation_ttl_secs,
        dispatch_within_secs: cmd.dispatch_within_secs,
        active: true,
        version: 1,
        created_at: tx.now,
        routing: serde_json::json!(DEFAULT_ROUTING),
        pickup_within_secs: DEFAULT_PICKUP_SECS,
        capture_retry_secs: DEFAULT_RETRY_SECS,
        reauthorizes: false,
        completes_after_secs: DEFAULT_COMPLETES_SECS,
        archives_after_secs: DEFAULT_ARCHIVES_SECS,
        return_window_days: DEFAULT_RETURN_DAYS,
        restocking_fee: Rate::default(),
        refunds_delivery: true,
    };
    check_policies(&mut checks, &row);
    check_warehouses(tx, &mut checks, &cmd.warehouses).await?;
    // Feeds write codes in any case, so two channels may not differ in case alone.
    let same = Expr::from(Func::lower(Expr::col(channel::Column::Code)));
    let taken = channel::Entity::find()
        .filter(same.eq(row.code.to_lowercase()))
        .one(tx.db())
        .await?;
    if taken.is_some() {
        checks.refuse(rows::name_taken("input.code", &row.code));
    }
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &row.code))?;
    serve_from(tx, row.id, &cmd.warehouses).await?;
    rows::changed(tx, "channel", row.id, row.version, &row.code, changes);
    Ok(row)
}

/// What [`update`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which channel.
    pub id: ChannelId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Its name on screens.
    pub name: Option<String>,
    /// Where its merchant lives.
    pub time_zone: Option<TimeZone>,
    /// Whether its prices contain the tax.
    pub tax_mode: Option<TaxMode>,
    /// How its tax and discounts are rounded.
    pub rounding_mode: Option<RoundingMode>,
    /// What its tax is rounded on.
    pub rounding_scope: Option<RoundingScope>,
    /// The largest difference from our price that is no exception, in minor units.
    pub price_tolerance_minor: Option<i64>,
    /// What happens to an order that fails a check.
    pub failed_check_policy: Option<FailedCheckPolicy>,
    /// Whether an order may be staged only with authorised ≥ due.
    pub requires_authorization: Option<bool>,
    /// How long a soft hold lives before confirmation, in seconds.
    pub reservation_ttl_secs: Option<i64>,
    /// How long after its release an order should be dispatched, in seconds.
    pub dispatch_within_secs: Option<i64>,
    /// How long after it left a shipment should be scanned by its carrier, in seconds; 0 = nobody
    /// looks.
    pub pickup_within_secs: Option<i64>,
    /// How long a capture that came to nothing waits for its next try, in seconds.
    pub capture_retry_secs: Option<i64>,
    /// Whether what is set aside is set aside afresh by itself before it runs out.
    pub reauthorizes: Option<bool>,
    /// How long after its carrier had it a shipment of which nothing else is heard is taken for
    /// delivered, in seconds.
    pub completes_after_secs: Option<i64>,
    /// How long after its last change an order that is over is put away, in seconds.
    pub archives_after_secs: Option<i64>,
    /// How many days after its delivery something may be returned; 0 = nothing may.
    pub return_window_days: Option<i64>,
    /// What is kept of a returned unit's price, as a factor.
    pub restocking_fee: Option<Rate>,
    /// Whether what the delivery was charged goes back when everything does.
    pub refunds_delivery: Option<bool>,
    /// What decides between warehouses, most important first: names of routing rules.
    pub routing: Option<Vec<String>>,
    /// Whether it takes orders.
    pub active: Option<bool>,
    /// The warehouses that serve it, all of them, first asked first.
    pub warehouses: Option<Vec<WarehouseId>>,
}

/// Changes a channel. Orders that were taken before keep what they were taken under.
pub async fn update(tx: &Tx, cmd: Update) -> Result<channel::Model, Failure> {
    let mut row = rows::lock(tx, channel::Entity::find_by_id(cmd.id))
        .await?
        .ok_or_else(|| Problem::not_found("channel").at("input.id"))?;
    expect_version("channel", row.version, cmd.expected_version)?;
    let mut checks = Checks::new();
    if let Some(name) = cmd.name {
        row.name = checks.name("input.name", &name);
    }
    row.time_zone = cmd.time_zone.unwrap_or(row.time_zone);
    row.tax_mode = cmd.tax_mode.unwrap_or(row.tax_mode);
    row.rounding_mode = cmd.rounding_mode.unwrap_or(row.rounding_mode);
    row.rounding_scope = cmd.rounding_scope.unwrap_or(row.rounding_scope);
    row.price_tolerance_minor = cmd
        .price_tolerance_minor
        .unwrap_or(row.price_tolerance_minor);
    row.failed_check_policy = cmd.failed_check_policy.unwrap_or(row.failed_check_policy);
    row.requires_authorization = cmd
        .requires_authorization
        .unwrap_or(row.requires_authorization);
    row.reservation_ttl_secs = cmd.reservation_ttl_secs.unwrap_or(row.reservation_ttl_secs);
    row.dispatch_within_secs = cmd.dispatch_within_secs.unwrap_or(row.dispatch_within_secs);
    row.pickup_within_secs = cmd.pickup_within_secs.unwrap_or(row.pickup_within_secs);
    row.capture_retry_secs = cmd.capture_retry_secs.unwrap_or(row.capture_retry_secs);
    row.reauthorizes = cmd.reauthorizes.unwrap_or(row.reauthorizes);
    row.completes_after_secs = cmd.completes_after_secs.unwrap_or(row.completes_after_secs);
    row.archives_after_secs = cmd.archives_after_secs.unwrap_or(row.archives_after_secs);
    row.return_window_days = cmd.return_window_days.unwrap_or(row.return_window_days);
    row.restocking_fee = cmd.restocking_fee.unwrap_or(row.restocking_fee);
    row.refunds_delivery = cmd.refunds_delivery.unwrap_or(row.refunds_delivery);
    if let Some(routing) = cmd.routing {
        let distinct: BTreeSet<&String> = routing.iter().collect();
        let fits = !routing.is_empty() && distinct.len() == routing.len();
        checks.hold(
            fits,
            Code::InvalidInput,
            "input.routing",
            "one or more different rules",
        );
        row.routing = serde_json::json!(routing);
    }
    row.active = cmd.active.unwrap_or(row.active);
    row.version += 1;
    check_policies(&mut checks, &row);
    if let Some(warehouses) = &cmd.warehouses {
        check_warehouses(tx, &mut checks, warehouses).await?;
    }
    checks.done()?;
    let changes = rows::replace(tx, row.clone()).await?;
    if let Some(warehouses) = &cmd.warehouses {
        serve_from(tx, row.id, warehouses).await?;
    }
    rows::changed(tx, "channel", row.id, row.version, &row.code, changes);
    Ok(row)
}

fn check_policies(checks: &mut Checks, row: &channel::Model) {
    checks.amount("input.priceTolerance", row.price_tolerance_minor);
    checks.count(
        "input.reservationTtlSecs",
        row.reservation_ttl_secs,
        1,
        LONGEST_HOLD_SECS,
    );
    checks.count(
        "input.dispatchWithinSecs",
        row.dispatch_within_secs,
        1,
        LONGEST_PROMISE_SECS,
    );
    checks.count(
        "input.pickupWithinSecs",
        row.pickup_within_secs,
        0,
        LONGEST_PROMISE_SECS,
    );
    checks.count(
        "input.captureRetrySecs",
        row.capture_retry_secs,
        60,
        LONGEST_RETRY_SECS,
    );
    checks.count(
        "input.completesAfterSecs",
        row.completes_after_secs,
        1,
        LONGEST_PROMISE_SECS,
    );
    checks.count(
        "input.archivesAfterSecs",
        row.archives_after_secs,
        0,
        LONGEST_STAY_SECS,
    );
    checks.count(
        "input.returnWindowDays",
        row.return_window_days,
        0,
        LONGEST_RETURN_DAYS,
    );
    checks.hold(
        (Decimal::ZERO..=Decimal::ONE).contains(&row.restocking_fee.0),
        Code::InvalidInput,
        "input.restockingFee",
        "the fee is a factor between 0 and 1",
    );
}

/// Each warehouse must exist and be named once.
async fn check_warehouses(
    tx: &Tx,
    checks: &mut Checks,
    asked: &[WarehouseId],
) -> Result<(), Failure> {
    let known: BTreeSet<WarehouseId> = warehouse::Entity::find()
        .filter(warehouse::Column::Id.is_in(asked.iter().copied()))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| row.id)
        .collect();
    let mut seen = BTreeSet::new();
    for (place, id) in asked.iter().enumerate() {
        let field = format!("input.warehouseIds.{place}");
        if !known.contains(id) {
            checks.refuse(Problem::not_found("warehouse").at(&field));
        }
        checks.hold(
            seen.insert(*id),
            Code::InvalidInput,
            &field,
            "the warehouse is named twice",
        );
    }
    Ok(())
}

async fn serve_from(
    tx: &Tx,
    channel: ChannelId,
    warehouses: &[WarehouseId],
) -> Result<(), Failure> {
    channel_warehouse::Entity::delete_many()
        .filter(channel_warehouse::Column::ChannelId.eq(channel))
        .exec(tx.db())
        .await?;
    for (priority, warehouse) in (0..).zip(warehouses) {
        let row = channel_warehouse::Model {
            channel_id: channel,
            warehouse_id: *warehouse,
            priority,
        };
        rows::insert(tx, row).await?;
    }
    Ok(())
}
