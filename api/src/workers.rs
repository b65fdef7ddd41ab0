//! The background work: idempotent ticks that look at what is due, so that a first try, a retry,
//! a restart and a second node are one code path. Waking only makes them sooner.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use entity::idempotency;
use futures_util::{StreamExt, stream};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::app::{App, Round};
use crate::events::retention;
use crate::exceptions;
use crate::failure::{Code, Failure};
use crate::fulfillment::{lists, picking, routing, tracking};
use crate::inventory::{self, sources};
use crate::orders::{self, Changed, bulk};
use crate::payments::{self, charges};
use crate::reports::{audit, operations, projection, stages};
use crate::telemetry::figures;
use crate::tx::{Actor, Tx};

/// How long saved answers are kept.
const ANSWERS_HOURS: i64 = 72;

/// How many saved answers are forgotten at once.
pub const ANSWERS_AT_ONCE: u64 = 5_000;

/// How long a projection rests after it has moved, and how long it waits for news.
const PROJECTION_PAUSE: Duration = Duration::from_millis(100);
const PROJECTION_IDLE: Duration = Duration::from_secs(1);

/// How many orders are routed at the same time, where transactions run side by side.
const ROUTED_AT_ONCE: usize = 4;

/// One round of everything that is due. What fails is tried again in the next round and keeps
/// nothing else from being done.
pub async fn round(app: &App) -> Round {
    let mut all = Round::default();
    for part in [
        app.reconcile_payments().await,
        app.hear_sandbox().await,
        tell_unknown(app).await,
        capture_again(app).await,
        watch_authorizations(app).await,
        miss_scans(app).await,
        app.reconcile_labels().await,
        app.follow_parcels().await,
        expire_authorizations(app).await,
        expire_holds(app).await,
        watch_sources(app).await,
        serve_waiters(app).await,
        cover_orders(app).await,
        route_orders(app).await,
        tend_pick_lists(app).await,
        app.print_what_lacks().await,
        bill_late(app).await,
        app.print_invoices().await,
        wake_exceptions(app).await,
        work_off_bulk(app).await,
        settle_orders(app).await,
        project(app).await,
    ] {
        match part {
            Ok(part) => {
                all.done += part.done;
                all.failures.extend(part.failures);
            }
            Err(failure) => all.failures.push(failure),
        }
    }
    all
}

/// Rounds until nothing is due and every event has gone out; stops at the first failure.
pub async fn settle(app: &App) -> Result<(), Failure> {
    loop {
        let mut round = round(app).await;
        let messages = app.send_messages().await?;
        round.done += messages.done;
        round.failures.extend(messages.failures);
        if let Some(failure) = round.failures.into_iter().next() {
            return Err(failure);
        }
        let delivered = app.hub.turn().await?;
        if round.done + delivered == 0 {
            return Ok(());
        }
    }
}

/// Asks again for what gateways would not give for shipments that have left.
async fn capture_again(app: &App) -> Result<Round, Failure> {
    let due = charges::due(&app.db.read, app.clock.now()).await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for order in due {
        let changed = app
            .write(&Actor::worker("payments"), move |tx| async move {
                orders::captures::try_again(&tx, order).await
            })
            .await;
        outcomes.push(carried_out(app, changed).await);
    }
    Ok(outcomes.into_iter().collect())
}

/// Says to people which effects a gateway has given no definite answer for, for too long.
async fn tell_unknown(app: &App) -> Result<Round, Failure> {
    let wait = TimeDelta::seconds(app.config.payments.unknown_secs.into());
    let told = Code::PaymentUnknown.as_str();
    let due = payments::unanswered(&app.db.read, app.clock.now() - wait, &told).await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for (order, effect) in due {
        let said = app
            .write(&Actor::worker("payments"), move |tx| async move {
                orders::tell_unknown(&tx, order, effect).await
            })
            .await;
        outcomes.push(said.map(usize::from));
    }
    Ok(outcomes.into_iter().collect())
}

/// Looks at what is set aside for released orders and runs out soon.
async fn watch_authorizations(app: &App) -> Result<Round, Failure> {
    let due = orders::captures::expiring(&app.db.read, app.clock.now()).await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for order in due {
        let changed = app
            .write(&Actor::worker("expiry"), move |tx| async move {
                orders::captures::watch(&tx, order).await
            })
            .await;
        outcomes.push(carried_out(app, changed).await);
    }
    Ok(outcomes.into_iter().collect())
}

/// Says which shipments have left and were not scanned by their carriers in time.
async fn miss_scans(app: &App) -> Result<Round, Failure> {
    let reference = app.reference().await?;
    let late = tracking::overdue(&app.db.read, &reference, app.clock.now()).await?;
    let mut outcomes = Vec::with_capacity(late.len());
    for (order, shipment) in late {
        let missed = app
            .write(&Actor::worker("shipping"), move |tx| async move {
                tracking::miss(&tx, order, shipment).await
            })
            .await;
        outcomes.push(missed.map(usize::from));
    }
    Ok(outcomes.into_iter().collect())
}

/// Marks the orders whose authorisation ran out before they could be released.
async fn expire_authorizations(app: &App) -> Result<Round, Failure> {
    let due = orders::with_expired_authorizations(&app.db.read, app.clock.now()).await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for order in due {
        let changed = app
            .write(&Actor::worker("expiry"), move |tx| async move {
                orders::expire_authorization(&tx, order).await
            })
            .await;
        outcomes.push(carried_out(app, changed).await);
    }
    Ok(outcomes.into_iter().collect())
}

/// Lets soft holds go whose time has come.
async fn expire_holds(app: &App) -> Result<Round, Failure> {
    let due = orders::with_expired_holds(&app.db.read, app.clock.now()).await?;
    let reference = &app.reference().await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for order in due {
        let changed = app
            .write(&Actor::worker("expiry"), move |tx| async move {
                orders::expire_holds(&tx, reference, order).await
            })
            .await;
        outcomes.push(carried_out(app, changed).await);
    }
    Ok(outcomes.into_iter().collect())
}

/// Takes sources of stock figures for what their times say: stale past their budget, and kept back
/// the more the older they are. What this makes free is served next.
async fn watch_sources(app: &App) -> Result<Round, Failure> {
    let misjudged = sources::misjudged(&app.db.read, app.clock.now()).await?;
    let mut outcomes = Vec::with_capacity(misjudged.len());
    for source in misjudged {
        let changed = app
            .write(&Actor::worker("freshness"), move |tx| async move {
                sources::watch(&tx, source).await
            })
            .await;
        outcomes.push(changed.map(usize::from));
    }
    Ok(outcomes.into_iter().collect())
}

/// Gives free stock to those who wait for it. Whoever frees stock does so at once; this goes on
/// where one transaction had too many to serve.
async fn serve_waiters(app: &App) -> Result<Round, Failure> {
    let variants = inventory::servable(&app.db.read).await?;
    let reference = &app.reference().await?;
    let mut outcomes = Vec::with_capacity(variants.len());
    for variant in variants {
        let served = app
            .write(&Actor::worker("allocation"), move |tx| async move {
                orders::stock::serve(&tx, reference, variant).await
            })
            .await;
        outcomes.push(served);
    }
    Ok(outcomes.into_iter().collect())
}

/// Asks for stock again for paid orders whose holds ran out.
async fn cover_orders(app: &App) -> Result<Round, Failure> {
    let due = orders::uncovered(&app.db.read).await?;
    let reference = &app.reference().await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for order in due {
        let covered = app
            .write(&Actor::worker("allocation"), move |tx| async move {
                orders::cover(&tx, reference, order).await
            })
            .await;
        outcomes.push(covered.map(usize::from));
    }
    Ok(outcomes.into_iter().collect())
}

/// Tells warehouses what to send of released orders.
async fn route_orders(app: &App) -> Result<Round, Failure> {
    let due = routing::due(&app.db.read).await?;
    let reference = &app.reference().await?;
    let actor = &Actor::worker("routing");
    let outcomes = stream::iter(due)
        .map(|order| {
            app.write(actor, move |tx| async move {
                routing::route(&tx, reference, order).await
            })
        })
        .buffer_unordered(ROUTED_AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    Ok(outcomes.into_iter().collect())
}

/// Brings pick lists to what begun work wants now, and closes those with nothing left to pick.
async fn tend_pick_lists(app: &App) -> Result<Round, Failure> {
    let mut outcomes = Vec::new();
    for (order, work) in picking::misaligned(&app.db.read).await? {
        let found = app
            .write(&Actor::worker("picking"), move |tx| async move {
                picking::align(&tx, order, work).await
            })
            .await;
        outcomes.push(found.map(|units| usize::from(units > 0)));
    }
    for list in lists::finished(&app.db.read).await? {
        let closed = app
            .write(&Actor::worker("picking"), move |tx| async move {
                lists::close(&tx, list).await
            })
            .await;
        outcomes.push(closed.map(usize::from));
    }
    Ok(outcomes.into_iter().collect())
}

/// Issues the invoices of what was captured before anybody sold in its channel.
async fn bill_late(app: &App) -> Result<Round, Failure> {
    let due = orders::captures::unbilled(&app.db.read).await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for shipment in due {
        let billed = app
            .write(&Actor::worker("invoices"), move |tx| async move {
                orders::captures::bill_late(&tx, shipment).await
            })
            .await;
        outcomes.push(billed.map(|()| 1));
    }
    Ok(outcomes.into_iter().collect())
}

/// Completes orders of which nothing is left to do, and puts those away that have been over for long
/// enough.
async fn settle_orders(app: &App) -> Result<Round, Failure> {
    let due = orders::completion::due(&app.db.read, app.clock.now()).await?;
    let reference = &app.reference().await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for order in due {
        let settled = app
            .write(&Actor::worker("archive"), move |tx| async move {
                orders::completion::settle(&tx, reference, order).await
            })
            .await;
        outcomes.push(settled.map(usize::from));
    }
    Ok(outcomes.into_iter().collect())
}

/// Brings exceptions back into sight whose time has come.
async fn wake_exceptions(app: &App) -> Result<Round, Failure> {
    let due = exceptions::awake(&app.db.read, app.clock.now()).await?;
    let mut outcomes = Vec::with_capacity(due.len());
    for exception in due {
        let id = exception.id;
        let woken = app
            .write(&Actor::worker("queue"), move |tx| async move {
                orders::queue::wake(&tx, id).await
            })
            .await;
        outcomes.push(woken.map(usize::from));
    }
    Ok(outcomes.into_iter().collect())
}

/// Does a part of what bulk operations have left to do.
async fn work_off_bulk(app: &App) -> Result<Round, Failure> {
    let mut outcomes = Vec::new();
    for operation in orders::bulk::running(&app.db.read).await? {
        outcomes.push(app.work_off(operation, bulk::BATCH).await);
    }
    Ok(outcomes.into_iter().collect())
}

/// Moves what follows from the log up to its end.
async fn project(app: &App) -> Result<Round, Failure> {
    let mut round = Round::default();
    round.done += catch_up(
        app,
        stages::NAME,
        |tx| async move { stages::advance(&tx).await },
    )
    .await?;
    round.done += catch_up(app, operations::NAME, |tx| async move {
        operations::advance(&tx).await
    })
    .await?;
    Ok(round)
}

/// Moves one projection up to the end of the log, or as far as this node gets with it; says by how
/// many positions.
async fn catch_up<Step>(
    app: &App,
    name: &str,
    advance: impl Fn(Arc<Tx>) -> Step,
) -> Result<usize, Failure>
where
    Step: Future<Output = Result<usize, Failure>>,
{
    let mut done = 0;
    while projection::is_behind(&app.db.read, name).await? {
        let moved = app.write(&Actor::worker("projection"), &advance).await?;
        if moved == 0 {
            // Another node is at it.
            break;
        }
        done += moved;
    }
    Ok(done)
}

/// Moves what follows from the log forward soon after each event, a few times a second at most,
/// until told to stop. Nothing that has a connection is dropped half-way.
pub async fn run_projections(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut news = None;
    while !*stop.borrow() {
        if news.is_none() {
            news = app.hub.subscribe().await.ok();
        }
        if let Err(failure) = project(&app).await {
            tracing::error!(%failure, "a projection will be moved later");
        }
        let soon = async {
            tokio::time::sleep(PROJECTION_PAUSE).await;
            // Other nodes move it too; whatever was missed here is found by the position.
            match &mut news {
                Some(heard) => {
                    let heard = tokio::time::timeout(PROJECTION_IDLE, heard.recv()).await;
                    if matches!(heard, Ok(Err(RecvError::Closed))) {
                        // The log is another one.
                        news = None;
                    }
                }
                None => tokio::time::sleep(PROJECTION_IDLE).await,
            }
        };
        tokio::select! {
            () = soon => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Sends what people are owed, beside the rounds: a mail server that hangs keeps nothing else from
/// being done. When told to stop, it waits for the messages in the air.
pub async fn run_messages(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let interval = Duration::from_millis(app.config.workers.interval_ms);
    while !*stop.borrow() {
        match app.send_messages().await {
            Ok(round) => {
                for failure in round.failures {
                    tracing::error!(%failure, "a message will be seen to later");
                }
            }
            Err(failure) => tracing::error!(%failure, "messages will be sent later"),
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Makes the calls that a command of ours owes.
async fn carried_out(app: &App, changed: Result<Changed, Failure>) -> Result<usize, Failure> {
    app.carry_out(changed?).await?;
    Ok(1)
}

/// Forgets answers that nobody will ask for again, the oldest first, and says how many. There are
/// never more of them than [`ANSWERS_AT_ONCE`], so that nobody waits long for the rows, nor for the
/// one writer of SQLite.
pub async fn forget_answers(app: &App) -> Result<u64, Failure> {
    use idempotency::{Column, Entity};
    let old = app.clock.now() - TimeDelta::hours(ANSWERS_HOURS);
    let oldest = Query::select()
        .columns([Column::Actor, Column::Key])
        .from(Entity)
        .and_where(Column::CreatedAt.lt(old))
        .order_by(Column::CreatedAt, Order::Asc)
        .limit(ANSWERS_AT_ONCE)
        .to_owned();
    let oldest = &oldest;
    app.write(&Actor::worker("answers"), move |tx| async move {
        let key = Expr::tuple([Expr::col(Column::Actor), Expr::col(Column::Key)]);
        let forgotten = Entity::delete_many()
            .filter(key.in_subquery(oldest.clone()))
            .exec(tx.db())
            .await?;
        Ok(forgotten.rows_affected)
    })
    .await
}

/// Forgets where requests came from that were made too long ago.
pub async fn forget_origins(app: &App) -> Result<u64, Failure> {
    let days = app.config.events.origin_days;
    if days == 0 {
        return Ok(0);
    }
    let old = app.clock.now() - TimeDelta::days(days.into());
    app.write(&Actor::worker("retention"), move |tx| async move {
        Ok(audit::forget(&tx, old).await?)
    })
    .await
}

/// Lets go of what the log no longer keeps, some at a time, and says how many positions the floor
/// rose.
pub async fn forget_events(app: &App) -> Result<usize, Failure> {
    let days = app.config.events.retention_days;
    if days == 0 {
        return Ok(0);
    }
    let old = app.clock.now() - TimeDelta::days(days.into());
    app.write(&Actor::worker("retention"), move |tx| async move {
        retention::forget(&tx, old).await
    })
    .await
}

/// Works until told to stop.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let interval = Duration::from_millis(app.config.workers.interval_ms);
    let mut rounds: u64 = 0;
    let mut answers_are_old = false;
    let mut events_are_old = false;
    loop {
        let failures = round(&app).await.failures;
        figures::round_ended(failures.len());
        for failure in failures {
            tracing::error!(%failure, "background work will be tried again");
        }
        // Once an hour, whatever the interval, and then some in each round until none are left.
        let an_hour = 3_600_000 / std::cmp::max(app.config.workers.interval_ms, 1);
        let hourly = rounds.is_multiple_of(std::cmp::max(an_hour, 1));
        if answers_are_old || hourly {
            answers_are_old = match forget_answers(&app).await {
                Ok(forgotten) => forgotten == ANSWERS_AT_ONCE,
                Err(failure) => {
                    tracing::error!(%failure, "old answers will be forgotten later");
                    false
                }
            };
        }
        if events_are_old || hourly {
            events_are_old = match forget_events(&app).await {
                Ok(risen) => risen > 0,
                Err(failure) => {
                    tracing::error!(%failure, "old events will be forgotten later");
                    false
                }
            };
        }
        if hourly && let Err(failure) = forget_origins(&app).await {
            tracing::error!(%failure, "where old requests came from will be forgotten later");
        }
        rounds += 1;
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
