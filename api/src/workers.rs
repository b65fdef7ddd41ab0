//! The background work: idempotent ticks that look at what is due, so that a first try, a retry,
//! a restart and a second node are one code path. Waking only makes them sooner.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use entity::idempotency;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tokio::sync::watch;

use crate::app::App;
use crate::failure::Failure;
use crate::orders;
use crate::tx::Actor;

/// How long saved answers are kept.
const ANSWERS_HOURS: i64 = 72;

/// One round of everything that is due. Returns how much was done.
pub async fn round(app: &App) -> Result<usize, Failure> {
    Ok(app.reconcile_payments().await? + expire_holds(app).await? + serve_waiters(app).await?)
}

/// Rounds until nothing is due and every event has gone out.
pub async fn settle(app: &App) -> Result<(), Failure> {
    loop {
        let done = round(app).await?;
        let delivered = app.hub.turn().await?;
        if done + delivered == 0 {
            return Ok(());
        }
    }
}

/// Lets soft holds go whose time has come.
async fn expire_holds(app: &App) -> Result<usize, Failure> {
    let due = orders::with_expired_holds(&app.db.read, app.clock.now()).await?;
    let reference = app.reference().await?;
    let count = due.len();
    for order in due {
        let reference = &reference;
        let changed = app
            .write(&Actor::worker("expiry"), move |tx| async move {
                orders::expire_holds(&tx, reference, order).await
            })
            .await?;
        app.carry_out(changed).await?;
    }
    Ok(count)
}

/// Gives free stock to those who wait for it. Whoever frees stock does so at once; this goes on
/// where one transaction had too many to serve.
async fn serve_waiters(app: &App) -> Result<usize, Failure> {
    let variants = orders::stock::servable(&app.db.read).await?;
    let reference = app.reference().await?;
    let mut served = 0;
    for variant in variants {
        let reference = &reference;
        served += app
            .write(&Actor::worker("allocation"), move |tx| async move {
                orders::stock::serve(&tx, reference, variant).await
            })
            .await?;
    }
    Ok(served)
}

/// Forgets answers that nobody will ask for again.
async fn forget_answers(app: &App) -> Result<(), Failure> {
    let old = app.clock.now() - TimeDelta::hours(ANSWERS_HOURS);
    app.write(&Actor::worker("answers"), move |tx| async move {
        idempotency::Entity::delete_many()
            .filter(idempotency::Column::CreatedAt.lt(old))
            .exec(tx.db())
            .await?;
        Ok(())
    })
    .await
}

/// Works until told to stop.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let interval = Duration::from_millis(app.config.workers.interval_ms);
    let mut rounds: u64 = 0;
    loop {
        if let Err(failure) = round(&app).await {
            tracing::error!(%failure, "a round of background work will be tried again");
        }
        // Once an hour, whatever the interval.
        let an_hour = 3_600_000 / app.config.workers.interval_ms.max(1);
        if rounds.is_multiple_of(an_hour.max(1))
            && let Err(failure) = forget_answers(&app).await
        {
            tracing::error!(%failure, "old answers will be forgotten later");
        }
        rounds += 1;
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
