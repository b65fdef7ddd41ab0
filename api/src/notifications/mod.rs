//! Messages owed to people: told once, tried until it is known what became of them, and visible
//! all the while.
//!
//! A message is *owed* in the transaction that makes it true ([`owe`]), under a key that the
//! database keeps unique, so that whoever repeats the transaction owes nothing more. It is *taken
//! up* by one node (compare-and-set, committed), *handed* to the mail server with no connection to
//! the database held, and its outcome is *written down*. Who takes a message up has it until a
//! moment that lies well behind the longest that a try may take; a node that does not come back
//! by then leaves a try without an answer, and [`schedule`] says what follows from that.
//!
//! The words are written when a message is first taken up, and kept: what is tried again, or sent
//! again by a person, is the same text. A mail server that is away costs nobody but its messages.

use chrono::{DateTime, TimeDelta, Utc};
use entity::message::{self, Reason, State};
use entity::{MessageId, channel, message_attempt, order};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, TryInsertResult,
};

use crate::config::LONGEST_MAIL_SECS;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

pub mod language;
pub mod mailer;
mod notice;
pub mod schedule;
pub mod templates;

pub use mailer::{Answer, Attachment, Mail, Mailer};
pub use notice::{Billed, Notice, Parcel, Shipped};

use templates::render::{self, Wording, one_line};

/// How long a node may have a message before its try counts as one without an answer: well above
/// the longest time-out, as clocks differ and transactions wait.
const LEASE_MINUTES: i64 = 15;

const _: () = assert!(LONGEST_MAIL_SECS * 2 < LEASE_MINUTES as u64 * 60);

/// How many messages are looked at in one round.
const AT_ONCE: u64 = 100;

/// How many characters of a server's answer are kept.
const LONGEST_ANSWER: usize = 300;

/// Owes somebody a message, and says which; none if it was owed before, by whomever. Without an
/// address it is UNDELIVERABLE from the first, for people to see. The order must be in the
/// database: flush first if its row was deferred.
pub async fn owe(tx: &Tx, notice: Notice) -> Result<Option<MessageId>, DbErr> {
    let address = notice.recipient.as_deref().map(str::trim);
    let recipient = address.filter(|address| address.parse::<lettre::Address>().is_ok());
    let row = message::Model {
        id: tx.id(),
        key: notice.key,
        kind: notice.kind,
        order_id: notice.order_id,
        channel_id: notice.channel_id,
        recipient: recipient.map(str::to_owned),
        language: notice.language,
        facts: notice.facts,
        state: State::Queued,
        attempts: 0,
        next_attempt_at: Some(tx.now),
        reason: None,
        subject: None,
        text_body: None,
        html_body: None,
        resend_of: None,
        created_at: tx.now,
        sent_at: None,
        version: 1,
    };
    insert(tx, row, Event::MessageQueued { kind: notice.kind }).await
}

/// Writes a new message unless its key is taken, and says so.
async fn insert(
    tx: &Tx,
    mut row: message::Model,
    event: Event,
) -> Result<Option<MessageId>, DbErr> {
    if row.recipient.is_none() {
        row.state = State::Undeliverable;
        row.reason = Some(Reason::NoAddress);
        row.next_attempt_at = None;
        row.version = 2;
    }
    let inserted = message::Entity::insert(row.clone().into_active_model())
        .on_conflict_do_nothing_on([message::Column::Key])
        .exec_without_returning(tx.db())
        .await?;
    if !matches!(inserted, TryInsertResult::Inserted(1..)) {
        return Ok(None);
    }
    emit(tx, &row, 1, event);
    if row.version == 2 {
        let (kind, reason) = (row.kind, Reason::NoAddress);
        emit(tx, &row, 2, Event::MessageFailed { kind, reason });
    }
    Ok(Some(row.id))
}

/// The messages that are to be looked at now, the longest due first: those to send, and those that
/// a node took up and did not come back for.
pub async fn due(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Vec<MessageId>, DbErr> {
    use message::{Column, Entity};
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::NextAttemptAt.lte(now))
        .order_by_asc(Column::NextAttemptAt)
        .order_by_asc(Column::Id)
        .limit(AT_ONCE)
        .into_tuple()
        .all(db)
        .await
}

/// What taking a message up came to.
#[derive(Clone, Debug)]
pub enum TakenUp {
    /// It is the caller's to send.
    Mail(Box<Mail>),
    /// There was nothing to send: its last try was given up for lost, or it cannot be worded.
    Settled(Option<Reason>),
    /// It is not due any more: somebody else was faster.
    Gone,
}

/// Takes a due message up: from the commit on it is the caller's to send, and nobody else's.
pub async fn take_up(tx: &Tx, id: MessageId) -> Result<TakenUp, DbErr> {
    use message::{Column, Entity};
    let due = lock(tx, id).await?.filter(|row| {
        row.next_attempt_at
            .is_some_and(|next_attempt_at| next_attempt_at <= tx.now)
    });
    let Some(row) = due else {
        return Ok(TakenUp::Gone);
    };
    if row.state == State::Sending {
        let lost = Answer::failed(
            Reason::Unanswered,
            "the node that was sending it did not come back",
        );
        return Ok(TakenUp::Settled(end_try(tx, row, &lost).await?));
    }
    // The row is locked since it was found due. Should two nodes ever begin the same try all the
    // same, the key of its row stops one of them.
    let number = row.attempts + 1;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Sending))
        .col_expr(Column::Attempts, Expr::value(number))
        .col_expr(
            Column::NextAttemptAt,
            Expr::value(Some(tx.now + TimeDelta::minutes(LEASE_MINUTES))),
        )
        .filter(Column::Id.eq(id))
        .exec(tx.db())
        .await?;
    let row = message::Model {
        state: State::Sending,
        attempts: number,
        ..row
    };
    let attempt = message_attempt::Model {
        message_id: id,
        number,
        started_at: tx.now,
        ended_at: None,
        reason: None,
        answer: None,
    };
    message_attempt::Entity::insert(attempt.into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    let sender = channel::Entity::find_by_id(row.channel_id)
        .one(tx.db())
        .await?
        .map(|channel| channel.name)
        .unwrap_or_default();
    match (worded(tx, &row, &sender).await?, row.recipient.clone()) {
        (Ok(wording), Some(recipient)) => Ok(TakenUp::Mail(Box::new(Mail {
            id,
            attempt: number,
            sender_name: one_line(&sender, LONGEST_ANSWER),
            recipient,
            wording,
            created_at: row.created_at,
            brings: serde_json::from_value(row.facts["attachments"].clone()).unwrap_or_default(),
            attachments: Vec::new(),
        }))),
        (wording, _) => {
            let flaw = wording.err().unwrap_or_default();
            let unrendered = Answer::failed(Reason::Unrendered, &flaw);
            Ok(TakenUp::Settled(end_try(tx, row, &unrendered).await?))
        }
    }
}

/// The words of a message: those that it has, or else new ones, which it keeps. The merchant's
/// wording was tried when it was saved; should it fail now, the program's own is there.
async fn worded(
    tx: &Tx,
    row: &message::Model,
    sender: &str,
) -> Result<Result<Wording, String>, DbErr> {
    use message::{Column, Entity};
    if let (Some(subject), Some(text), Some(html)) = (&row.subject, &row.text_body, &row.html_body)
    {
        return Ok(Ok(Wording {
            subject: subject.clone(),
            text: text.clone(),
            html: html.clone(),
        }));
    }
    let mut facts = row.facts.clone();
    facts["shop"] = one_line(sender, LONGEST_ANSWER).into();
    let mut flaws = Vec::new();
    for found in templates::fitting(tx.db(), row.kind, &row.language, Some(row.channel_id)).await? {
        match render::render(&found.wording, &facts) {
            Ok(wording) => {
                Entity::update_many()
                    .col_expr(Column::Subject, Expr::value(wording.subject.clone()))
                    .col_expr(Column::TextBody, Expr::value(wording.text.clone()))
                    .col_expr(Column::HtmlBody, Expr::value(wording.html.clone()))
                    .filter(Column::Id.eq(row.id))
                    .exec(tx.db())
                    .await?;
                return Ok(Ok(wording));
            }
            Err(flaw) => {
                tracing::error!(message = %row.id, template = ?found.template_id, %flaw,
                    "a template cannot be filled in");
                flaws.push(format!("{}, {flaw}", flaw.part));
            }
        }
    }
    Ok(Err(flaws.join("; ")))
}

/// Writes down what became of a try. An answer that comes late still counts, unless another try
/// has begun; says why the message is not tried again, if it is not.
pub async fn settle(
    tx: &Tx,
    id: MessageId,
    attempt: i32,
    answer: &Answer,
) -> Result<Option<Reason>, DbErr> {
    let row = lock(tx, id).await?.filter(|row| {
        row.attempts == attempt && matches!(row.state, State::Sending | State::Unknown)
    });
    match row {
        Some(row) => end_try(tx, row, answer).await,
        None => Ok(None),
    }
}

/// Ends the present try of a locked message.
async fn end_try(tx: &Tx, row: message::Model, answer: &Answer) -> Result<Option<Reason>, DbErr> {
    use message::{Column, Entity};
    message_attempt::Entity::update_many()
        .col_expr(message_attempt::Column::EndedAt, Expr::value(Some(tx.now)))
        .col_expr(message_attempt::Column::Reason, Expr::value(answer.reason))
        .col_expr(
            message_attempt::Column::Answer,
            Expr::value(one_line(&answer.said, LONGEST_ANSWER)),
        )
        .filter(message_attempt::Column::MessageId.eq(row.id))
        .filter(message_attempt::Column::Number.eq(row.attempts))
        .exec(tx.db())
        .await?;
    let change = Entity::update_many()
        .col_expr(Column::Reason, Expr::value(answer.reason))
        .filter(Column::Id.eq(row.id));
    let next = |at: Option<DateTime<Utc>>| Expr::value(at);
    let (change, event, given_up) = match answer.reason {
        None => {
            let change = change
                .col_expr(Column::State, Expr::value(State::Sent))
                .col_expr(Column::SentAt, next(Some(tx.now)))
                .col_expr(Column::NextAttemptAt, next(None));
            let attempts = row.attempts;
            let kind = row.kind;
            (change, Some(Event::MessageSent { kind, attempts }), None)
        }
        Some(reason) => {
            let unanswered = message_attempt::Entity::find()
                .filter(message_attempt::Column::MessageId.eq(row.id))
                .filter(message_attempt::Column::Reason.eq(Reason::Unanswered))
                .count(tx.db())
                .await?;
            let after = schedule::after(reason, row.attempts, unanswered);
            let change = change
                .col_expr(Column::State, Expr::value(after.state))
                .col_expr(
                    Column::NextAttemptAt,
                    next(after.wait.map(|wait| tx.now + wait)),
                );
            let kind = row.kind;
            match after.wait {
                Some(_) => (change, None, None),
                None => {
                    let event = Event::MessageFailed { kind, reason };
                    (change, Some(event), Some(reason))
                }
            }
        }
    };
    let version = row.version + 1;
    match event {
        Some(event) => {
            change
                .col_expr(Column::Version, Expr::value(version))
                .exec(tx.db())
                .await?;
            emit(tx, &row, version, event);
        }
        None => {
            change.exec(tx.db()).await?;
        }
    }
    Ok(given_up)
}

/// What [`resend`] needs.
#[derive(Clone, Debug)]
pub struct Resend {
    /// Which message.
    pub id: MessageId,
    /// Where it goes; none = to the order's address as it is now, else where it went.
    pub recipient: Option<String>,
}

/// Sends a message again, as a new one with the same words; under its own Message-ID, as this is
/// wanted to arrive. One that is still on its way is not sent beside itself.
pub async fn resend(tx: &Tx, cmd: &Resend) -> Result<MessageId, Failure> {
    let Some(first) = lock(tx, cmd.id).await? else {
        return Err(Problem::not_found("Message").at("input.id").into());
    };
    if first.next_attempt_at.is_some() {
        let message = "the message is on its way still, or will be tried again by itself";
        return Err(Problem::new(Code::MessagePending, message)
            .at("input.id")
            .into());
    }
    let order = order::Entity::find_by_id(first.order_id)
        .one(tx.db())
        .await?;
    // Every message is about an order.
    let order = order.ok_or_else(|| Problem::archived().at("input.id"))?;
    let given = cmd.recipient.as_deref().map(str::trim);
    if given.is_some_and(|given| given.parse::<lettre::Address>().is_err()) {
        let message = "the e-mail address is malformed";
        return Err(Problem::new(Code::EmailInvalid, message)
            .at("input.recipient")
            .into());
    }
    let recipient = match given {
        Some(given) => Some(given.to_owned()),
        None => order
            .email
            .filter(|address| address.parse::<lettre::Address>().is_ok())
            .or(first.recipient),
    };
    if recipient.is_none() {
        let message = "neither the order nor the message has an e-mail address";
        return Err(Problem::new(Code::EmailInvalid, message)
            .at("input.recipient")
            .into());
    }
    let id: MessageId = tx.id();
    let row = message::Model {
        id,
        key: format!("resend:{id}"),
        recipient,
        state: State::Queued,
        attempts: 0,
        next_attempt_at: Some(tx.now),
        reason: None,
        resend_of: Some(first.id),
        created_at: tx.now,
        sent_at: None,
        version: 1,
        ..first
    };
    let event = Event::MessageResent {
        kind: row.kind,
        resend_of: first.id,
    };
    insert(tx, row, event).await?;
    Ok(id)
}

/// How many messages are still to be sent, and since when the oldest of them is owed.
pub async fn waiting(db: &impl ConnectionTrait) -> Result<(u64, Option<DateTime<Utc>>), DbErr> {
    use message::{Column, Entity};
    let waiting = || Entity::find().filter(Column::NextAttemptAt.is_not_null());
    let oldest = waiting()
        .select_only()
        .column_as(Column::CreatedAt.min(), "oldest")
        .into_tuple::<Option<DateTime<Utc>>>()
        .one(db)
        .await?;
    Ok((waiting().count(db).await?, oldest.flatten()))
}

async fn lock(tx: &Tx, id: MessageId) -> Result<Option<message::Model>, DbErr> {
    let mut rows = message::Entity::find_by_id(id);
    if tx.locks_rows() {
        rows = rows.lock_exclusive();
    }
    rows.one(tx.db()).await
}

fn emit(tx: &Tx, row: &message::Model, version: i64, event: Event) {
    tx.emit(Entry {
        aggregate_type: "message",
        aggregate_id: row.id.to_string(),
        version,
        channel_id: Some(row.channel_id),
        order_id: Some(row.order_id),
        moved: None,
        event,
    });
}
