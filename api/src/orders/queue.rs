//! The queue of exceptions: whose one is, when it comes back into sight, and opening a settled one
//! again. Each is a change of its order, under its lock and on its timeline.

use chrono::{DateTime, TimeDelta, Utc};
use entity::order_exception::Status;
use entity::{ExceptionId, OrderId, order_exception};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::aggregate::Aggregate;
use super::lifecycle::Action;
use super::{Changed, lock_one, text};
use crate::events::Event;
use crate::exceptions;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How many characters the name of an owner or a queue may have.
const LONGEST_NAME: usize = 200;

/// How long an exception may sleep.
const LONGEST_SLEEP: TimeDelta = TimeDelta::days(90);

/// An exception of an order, as its commands name it.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The exception.
    pub id: ExceptionId,
    /// The version of its order that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Locks the order of an exception that is not settled; returns its place among the open ones.
async fn lock_open(tx: &Tx, named: Named) -> Result<(Aggregate, usize), Failure> {
    let row = find(tx, named.id).await?;
    let aggregate = lock_one(tx, row.order_id).await?;
    aggregate.expect_version(named.expected_version)?;
    let place = aggregate
        .exceptions
        .iter()
        .position(|open| open.id == named.id)
        .ok_or_else(not_open)?;
    Ok((aggregate, place))
}

async fn find(tx: &Tx, id: ExceptionId) -> Result<order_exception::Model, Failure> {
    order_exception::Entity::find_by_id(id)
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("exception").at("input.id").into())
}

/// The exception is settled.
pub fn not_open() -> Problem {
    Problem::new(Code::ExceptionNotOpen, "the exception is settled already").at("input.id")
}

/// Takes the name of a person or a team: not blank, not endless.
fn name(field: &str, name: &str) -> Result<String, Problem> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(Problem::new(
            Code::InvalidInput,
            format!("{field} must have 1 to {LONGEST_NAME} characters on one line"),
        )
        .at(&format!("input.{field}")));
    }
    Ok(name.to_owned())
}

/// Gives an exception to somebody or to nobody, and writes it down. Says whether it is news.
fn give(
    tx: &Tx,
    aggregate: &mut Aggregate,
    place: usize,
    queue: Option<String>,
    owner: Option<String>,
) -> bool {
    let exception = &mut aggregate.exceptions[place];
    let queue = queue.unwrap_or_else(|| exception.queue.clone());
    if exception.queue == queue && exception.owner == owner {
        return false;
    }
    let before = std::mem::replace(&mut exception.owner, owner.clone());
    if before != owner {
        exception.assigned_at = owner.is_some().then_some(tx.now);
    }
    exception.queue = queue.clone();
    exception.status = match owner {
        Some(_) => Status::Assigned,
        None => Status::Open,
    };
    exceptions::hand_over(tx, exception);
    let event = Event::OrderExceptionAssigned {
        exception_id: exception.id.0,
        queue,
        owner,
        before,
    };
    aggregate.record(tx, event);
    true
}

/// The same as all that is done to its order.
fn hand_over(
    tx: &Tx,
    mut aggregate: Aggregate,
    place: usize,
    queue: Option<String>,
    owner: Option<String>,
) -> Changed {
    let changed = Changed::only(aggregate.exceptions[place].order_id);
    if give(tx, &mut aggregate, place, queue, owner) {
        aggregate.save(tx);
    }
    changed
}

/// Who gets an exception: a person, a team, or a person of a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// To whom; none = to nobody of the team.
    pub owner: Option<String>,
    /// To which team; none = it stays with its own.
    pub queue: Option<String>,
}

impl Receiver {
    /// The names without blanks around them; refused if there is none, or what is none.
    pub fn checked(&self) -> Result<Receiver, Problem> {
        let given = |field, text: &Option<String>| {
            text.as_deref().map(|text| name(field, text)).transpose()
        };
        let (owner, queue) = (given("owner", &self.owner)?, given("queue", &self.queue)?);
        if owner.is_none() && queue.is_none() {
            let message = "name an owner, a queue, or both";
            return Err(Problem::new(Code::InvalidInput, message).at("input.owner"));
        }
        Ok(Receiver { owner, queue })
    }
}

/// What [`assign`] needs.
#[derive(Clone, Debug)]
pub struct Assign {
    /// Which exception.
    pub exception: Named,
    /// To whom.
    pub to: Receiver,
}

/// Gives an exception to a person, to a team, or to a person of a team, whoever had it before.
pub async fn assign(tx: &Tx, cmd: &Assign) -> Result<Changed, Failure> {
    let Receiver { owner, queue } = cmd.to.checked()?;
    let (aggregate, place) = lock_open(tx, cmd.exception).await?;
    Ok(hand_over(tx, aggregate, place, queue, owner))
}

/// The same with all open exceptions of an order. Refused with EXCEPTION_NOT_OPEN if it has none.
pub async fn assign_all(tx: &Tx, order: OrderId, to: &Receiver) -> Result<Changed, Failure> {
    let Receiver { owner, queue } = to.checked()?;
    let mut aggregate = lock_one(tx, order).await?;
    let open = aggregate.exceptions.len();
    if open == 0 {
        let message = "the order has no open exception";
        return Err(Problem::new(Code::ExceptionNotOpen, message).into());
    }
    let given = (0..open)
        .filter(|place| give(tx, &mut aggregate, *place, queue.clone(), owner.clone()))
        .count();
    if given > 0 {
        aggregate.save(tx);
    }
    Ok(Changed::only(order))
}

/// What [`take`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// Which exception.
    pub exception: Named,
    /// Whether it is taken even from somebody who has it.
    pub force: bool,
}

/// Gives an exception to the caller. Refused with EXCEPTION_TAKEN if somebody else has it.
pub async fn take(tx: &Tx, cmd: &Take) -> Result<Changed, Failure> {
    let (aggregate, place) = lock_open(tx, cmd.exception).await?;
    let exception = &aggregate.exceptions[place];
    if let Some(owner) = &exception.owner
        && *owner != tx.actor.name
        && !cmd.force
    {
        return Err(
            Problem::new(Code::ExceptionTaken, format!("{owner} has taken it"))
                .at("input.id")
                .with(json!({ "owner": owner, "assignedAt": exception.assigned_at }))
                .into(),
        );
    }
    let caller = tx.actor.name.clone();
    Ok(hand_over(tx, aggregate, place, None, Some(caller)))
}

/// Gives an exception back to its team, whoever has it.
pub async fn unassign(tx: &Tx, exception: Named) -> Result<Changed, Failure> {
    let (aggregate, place) = lock_open(tx, exception).await?;
    Ok(hand_over(tx, aggregate, place, None, None))
}

/// What [`snooze`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Snooze {
    /// Which exception.
    pub exception: Named,
    /// Until when; none = it comes back now.
    pub until: Option<DateTime<Utc>>,
}

/// Puts an exception out of sight for a time. It stops its order all the same, and is due when it
/// was.
pub async fn snooze(tx: &Tx, cmd: &Snooze) -> Result<Changed, Failure> {
    let sane = |until: DateTime<Utc>| until > tx.now && until <= tx.now + LONGEST_SLEEP;
    if cmd.until.is_some_and(|until| !sane(until)) {
        let message = "until must be a moment of the next 90 days";
        return Err(Problem::new(Code::InvalidInput, message)
            .at("input.until")
            .into());
    }
    let (aggregate, place) = lock_open(tx, cmd.exception).await?;
    Ok(sleep(tx, aggregate, place, cmd.until))
}

/// Brings an exception back whose sleep is over; says whether it was still asleep.
pub async fn wake(tx: &Tx, id: ExceptionId) -> Result<bool, Failure> {
    let row = find(tx, id).await?;
    let aggregate = lock_one(tx, row.order_id).await?;
    // Under the lock: it may have been settled, or put to sleep again.
    let over = |open: &order_exception::Model| {
        open.id == id && open.snoozed_until.is_some_and(|until| until <= tx.now)
    };
    let place = aggregate.exceptions.iter().position(over);
    if let Some(place) = place {
        sleep(tx, aggregate, place, None);
    }
    Ok(place.is_some())
}

fn sleep(tx: &Tx, mut aggregate: Aggregate, place: usize, until: Option<DateTime<Utc>>) -> Changed {
    let exception = &mut aggregate.exceptions[place];
    let order_id = exception.order_id;
    if exception.snoozed_until == until {
        return Changed::only(order_id);
    }
    exception.snoozed_until = until;
    exceptions::snooze(tx, exception.id, until);
    let event = Event::OrderExceptionSnoozed {
        exception_id: exception.id.0,
        until,
    };
    aggregate.record(tx, event);
    aggregate.save(tx);
    Changed::only(order_id)
}

/// What [`reopen`] needs.
#[derive(Clone, Debug)]
pub struct Reopen {
    /// Which settled exception.
    pub exception: Named,
    /// Why, in words.
    pub reason: String,
}

/// Opens a settled exception again, as a new one that points to it. One that stops its order takes
/// a confirmed order back behind its gates; what is held for it stays held.
pub async fn reopen(tx: &Tx, cmd: &Reopen) -> Result<Changed, Failure> {
    let reason = text("reason", &cmd.reason)?;
    let row = find(tx, cmd.exception.id).await?;
    let mut aggregate = lock_one(tx, row.order_id).await?;
    aggregate.expect_version(cmd.exception.expected_version)?;
    // Read again under the lock.
    let settled = find(tx, cmd.exception.id).await?;
    if settled.resolved_at.is_none() {
        return Err(
            Problem::new(Code::ExceptionNotSettled, "the exception is still open")
                .at("input.id")
                .into(),
        );
    }
    let again = order_exception::Entity::find()
        .filter(order_exception::Column::ReopensId.eq(settled.id))
        .one(tx.db())
        .await?;
    if again.is_some() {
        let message = "the exception was opened again already";
        return Err(Problem::new(Code::ExceptionNotSettled, message)
            .at("input.id")
            .into());
    }
    let status = aggregate.order.status;
    aggregate.transition(tx, Action::ReopenException, Code::OrderStateInvalid)?;
    if settled.blocking {
        aggregate.order.confirmed_at = None;
    } else {
        // One that stops nothing leaves the order where it is.
        aggregate.order.status = status;
    }
    let mut exception = exceptions::alike(tx, &settled, settled.order_id, settled.line_id);
    exception.reopens_id = Some(settled.id);
    exceptions::write(tx, vec![exception.clone()]);
    aggregate.record(
        tx,
        Event::OrderExceptionReopened {
            exception_id: exception.id.0,
            reopens: settled.id.0,
            code: exception.code.clone(),
            blocking: exception.blocking,
            reason,
        },
    );
    aggregate.exceptions.push(exception);
    aggregate.save(tx);
    Ok(Changed::only(settled.order_id))
}
