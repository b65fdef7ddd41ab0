//! `stageCounts`: the live board's header, as a query and as a stream.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_graphql::{Context, Object, Subscription};
use async_stream::try_stream;
use chrono::{DateTime, Utc};
use entity::ChannelId;
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::errors::fault;
use super::orders::enums::OrderStage;
use super::progress::PACE;
use super::reader::HEARTBEAT;
use super::{Allowed, app, principal};
use crate::access::Scope;
use crate::app::App;
use crate::events::Logged;
use crate::reports::stages;

/// Where all orders that you may see stand.
#[derive(Clone)]
pub struct StageCounts {
    counts: stages::StageCounts,
    at: DateTime<Utc>,
}

impl StageCounts {
    async fn read(
        app: &App,
        channels: Option<&BTreeSet<ChannelId>>,
    ) -> Result<Self, sea_orm::DbErr> {
        let at = app.clock.now();
        let counts = stages::read(&app.db.read, channels, at).await?;
        Ok(StageCounts { counts, at })
    }
}

/// Where all orders that you may see stand: kept from the events, not counted when asked for.
#[Object]
impl StageCounts {
    /// The position of the log that is in the counts.
    async fn seq(&self) -> i64 {
        self.counts.seq
    }

    /// When this was said; ages and risks are those of this moment.
    async fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Every stage, in the order of a life, those without orders too.
    async fn stages(&self) -> Vec<StageCount> {
        let of = |count: &stages::StageCount| StageCount {
            count: count.clone(),
            at: self.at,
        };
        self.counts.stages.iter().map(of).collect()
    }
}

/// What a stage comes to.
pub struct StageCount {
    count: stages::StageCount,
    at: DateTime<Utc>,
}

/// What a stage comes to.
#[Object]
impl StageCount {
    /// The stage.
    async fn stage(&self) -> OrderStage {
        self.count.stage.into()
    }

    /// How many orders stand there.
    async fn count(&self) -> i64 {
        self.count.orders
    }

    /// Since when the order does that came there first; null if none does, and for COMPLETED and
    /// CANCELLED, where orders stay.
    async fn oldest_since(&self) -> Option<DateTime<Utc>> {
        self.count.oldest_since
    }

    /// How long that is, in seconds.
    async fn oldest_age_secs(&self) -> Option<i64> {
        let since = self.count.oldest_since?;
        Some((self.at - since).num_seconds())
    }

    /// How many of them should be dispatched within two hours, or should have been already; 0 for
    /// the stages from SHIPPED on. A channel is counted up to 10,000.
    async fn sla_at_risk(&self) -> i64 {
        self.count.at_risk
    }
}

/// Reading where orders stand.
#[derive(Default)]
pub struct StageQuery;

#[Object]
impl StageQuery {
    /// How many of the orders that you may see stand at each stage, since when the oldest does, and
    /// how many are late or soon will be. A change is in it a moment after its commit. Costs the
    /// same whatever the number of orders. Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn stage_counts(&self, ctx: &Context<'_>) -> async_graphql::Result<StageCounts> {
        let channels = principal(ctx)?.channels.as_ref();
        StageCounts::read(app(ctx), channels).await.map_err(fault)
    }
}

/// Following where orders stand.
#[derive(Default)]
pub struct StageSubscription;

#[Subscription]
impl StageSubscription {
    /// Where the orders stand that you may see: at once, then soon after they move, at most four
    /// times a second, and at least every 15 seconds. Every item is whole and replaces the one
    /// before it, so there is nothing to resume. Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn stage_counts(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<StageCounts>>> {
        let channels = principal(ctx)?.channels.clone();
        Ok(follow(app(ctx).clone(), channels))
    }
}

fn follow(
    app: Arc<App>,
    channels: Option<BTreeSet<ChannelId>>,
) -> impl Stream<Item = async_graphql::Result<StageCounts>> {
    try_stream! {
        // First the hub, then the counts: what happens from here on is heard.
        let mut live = app.hub.subscribe().await.map_err(fault)?;
        let mut now = StageCounts::read(&app, channels.as_ref()).await.map_err(fault)?;
        // The newest position that has moved an order; the tally comes to it a little later.
        let mut wanted = now.counts.seq;
        loop {
            let (told, mut seq) = (now.counts.stages.clone(), now.counts.seq);
            let beat = Instant::now() + HEARTBEAT;
            yield now;
            now = loop {
                if wanted <= seq {
                    match tokio::time::timeout_at(beat, live.recv()).await {
                        Err(_) => {}
                        Ok(Ok(logged)) if moves(&logged, channels.as_ref()) => {
                            wanted = logged.row.seq;
                        }
                        Ok(Ok(_)) => continue,
                        Ok(Err(RecvError::Lagged(_))) => wanted = seq + 1,
                        // The log is another one, and the counts may be behind what they were.
                        Ok(Err(RecvError::Closed)) => {
                            live = app.hub.subscribe().await.map_err(fault)?;
                            (seq, wanted) = (-1, 0);
                        }
                    }
                }
                if wanted > seq {
                    tokio::time::sleep(PACE).await;
                } else if Instant::now() < beat {
                    continue;
                }
                let read = StageCounts::read(&app, channels.as_ref()).await.map_err(fault)?;
                seq = read.counts.seq;
                if read.counts.stages != told || Instant::now() >= beat {
                    break read;
                }
            };
        }
    }
}

/// Whether an event takes an order of these channels to another stage.
fn moves(logged: &Logged, channels: Option<&BTreeSet<ChannelId>>) -> bool {
    let mine = logged
        .row
        .channel_id
        .is_some_and(|channel| channels.is_none_or(|mine| mine.contains(&channel)));
    mine && logged.row.stage_to.is_some()
}
