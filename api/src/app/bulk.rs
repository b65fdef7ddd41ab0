//! Works off bulk operations: each order by itself, with the calls that its change owes.

use entity::bulk_operation::{self, State};
use entity::bulk_row::{self, Outcome};
use entity::{BulkOperationId, OrderId};
use futures_util::{StreamExt, stream};
use sea_orm::{DbBackend, EntityTrait};
use serde_json::json;

use super::{App, Once};
use crate::catalogue::Reference;
use crate::failure::{Code, Failure, Problem};
use crate::orders::bulk::{self, Start};
use crate::tx::Actor;

/// How many orders are changed side by side where transactions are.
const LANES: usize = 4;

/// How many orders are done before the answer; what is left then is the workers'.
const AT_ONCE: u64 = 100;

/// An operation that was started, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The operation.
    pub id: BulkOperationId,
    /// Whether it had been started before.
    pub replayed: bool,
}

impl App {
    /// Starts an operation, once for its key. A small one is done when this returns.
    pub async fn start_bulk(
        &self,
        actor: &Actor,
        once: Option<&Once>,
        cmd: &Start,
    ) -> Result<Started, Failure> {
        let answered = self
            .write_once(actor, once, move |tx| async move {
                let id = bulk::start(&tx, cmd).await?;
                Ok(json!({ "bulkOperation": id }))
            })
            .await?;
        let id = serde_json::from_value(answered.answer["bulkOperation"].clone())
            .map_err(|_| Failure::Internal("a saved answer without its operation".to_owned()))?;
        let replayed = answered.replayed;
        if !replayed && let Err(failure) = self.work_off(id, AT_ONCE).await {
            tracing::error!(%id, %failure, "the operation is left to the workers");
        }
        Ok(Started { id, replayed })
    }

    /// Does the next rows of an operation and says how many; ends it when none are left.
    pub async fn work_off(&self, id: BulkOperationId, most: u64) -> Result<usize, Failure> {
        let operation = bulk_operation::Entity::find_by_id(id)
            .one(&self.db.read)
            .await?
            .filter(|operation| operation.state == State::Running);
        let Some(operation) = operation else {
            return Ok(0);
        };
        let (operation, reference) = (&operation, &self.reference().await?);
        let lanes = match self.db.backend {
            DbBackend::Postgres => LANES,
            _ => 1,
        };
        let rows = bulk::pending(&self.db.read, id, most).await?;
        let outcomes: Vec<_> = stream::iter(rows)
            .map(|row| async move { self.work_off_row(reference, operation, &row).await })
            .buffer_unordered(lanes)
            .collect()
            .await;
        let mut done = 0;
        for outcome in outcomes {
            done += usize::from(outcome?);
        }
        if bulk::pending(&self.db.read, id, 1).await?.is_empty() {
            let actor = Actor::worker("bulk");
            let finished = self
                .write(&actor, move |tx| async move { bulk::finish(&tx, id).await })
                .await?;
            done += usize::from(finished);
        }
        Ok(done)
    }

    /// Does a row, unless somebody else does. A row whose database is away is left for later.
    async fn work_off_row(
        &self,
        reference: &Reference,
        operation: &bulk_operation::Model,
        row: &bulk_row::Model,
    ) -> Result<bool, Failure> {
        // Who started it does it, and its orders' timelines say by which operation.
        let actor = &Actor {
            name: operation.started_by.clone(),
            correlation_id: operation.id.to_string(),
            origin: None,
        };
        let attempt = if operation.dry_run {
            self.rehearse(actor, move |tx| async move {
                let changed = bulk::carry_on(&tx, reference, operation, row).await?;
                tx.flush().await?;
                Ok(changed)
            })
            .await
        } else {
            self.write(actor, move |tx| async move {
                bulk::carry_on(&tx, reference, operation, row).await
            })
            .await
        };
        match attempt {
            Ok(None) => Ok(false),
            Ok(Some(_)) if operation.dry_run => {
                self.write(actor, move |tx| async move { bulk::allow(&tx, row).await })
                    .await?;
                Ok(true)
            }
            Ok(Some(changed)) => {
                let order_id = changed.order_id;
                if let Err(failure) = self.carry_out(changed).await {
                    tracing::error!(%order_id, %failure, "a gateway call will be made later");
                }
                Ok(true)
            }
            Err(failure) if failure.unavailable() || failure.lost_a_race() => Err(failure),
            Err(failure) => {
                let (outcome, problem) = verdict(row.order_id, failure);
                let problem = &problem;
                self.write(actor, move |tx| async move {
                    bulk::refuse(&tx, row, outcome, problem).await
                })
                .await?;
                Ok(true)
            }
        }
    }
}

/// What a row says of a failure. A fault's text stays in our log.
fn verdict(order_id: OrderId, failure: Failure) -> (Outcome, Problem) {
    match failure {
        Failure::Refused(problems) if !problems.is_empty() => {
            (Outcome::Refused, problems[0].clone())
        }
        failure => {
            tracing::error!(%order_id, %failure, "a row of a bulk operation failed");
            let problem = Problem::new(Code::Internal, "something went wrong; nothing was changed");
            (Outcome::Failed, problem)
        }
    }
}
