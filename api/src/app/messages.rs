//! Hands owed messages to the mail server, each by one node at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use entity::message::Reason;
use entity::{DocumentId, MessageId};
use futures_util::{StreamExt, stream};
use sea_orm::ActiveEnum;

use super::{App, Round};
use crate::documents;
use crate::failure::Failure;
use crate::notifications::{self, Attachment, Mail, TakenUp};
use crate::telemetry::figures;
use crate::tx::Actor;

/// How many messages are handed over side by side.
const LANES: usize = 4;

impl App {
    /// Sends what is due, some at a time. A mail server that does not speak to us ends the round:
    /// no other message's try is wasted on it, and nobody waits for it longer than once.
    pub async fn send_messages(&self) -> Result<Round, Failure> {
        let due = notifications::due(&self.db.read, self.clock.now()).await?;
        let away = &AtomicBool::new(false);
        let outcomes: Vec<_> = stream::iter(due)
            .map(|id| self.send_message(id, away))
            .buffer_unordered(LANES)
            .collect()
            .await;
        Ok(outcomes.into_iter().collect())
    }

    async fn send_message(&self, id: MessageId, away: &AtomicBool) -> Result<usize, Failure> {
        if away.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let actor = &Actor::worker("messages");
        let taken = self
            .write(actor, move |tx| async move {
                Ok(notifications::take_up(&tx, id).await?)
            })
            .await?;
        let mail = match taken {
            TakenUp::Gone => return Ok(0),
            TakenUp::Settled(given_up) => {
                figures_of(given_up);
                return Ok(1);
            }
            TakenUp::Mail(mail) => mail,
        };
        let mail = Mail {
            attachments: self.attached(&mail.brings).await?,
            ..*mail
        };
        let answer = &self.mailer.send(&mail).await;
        match answer.reason {
            None => figures::message_sent(),
            Some(reason) => {
                // What the server said stands with the try: it may have the address in it.
                tracing::warn!(message = %id, ?reason, "a message was not sent");
                let no_word = matches!(reason, Reason::Unreachable | Reason::Unanswered);
                away.fetch_or(no_word, Ordering::Relaxed);
            }
        }
        let attempt = mail.attempt;
        let given_up = self
            .write(actor, move |tx| async move {
                Ok(notifications::settle(&tx, id, attempt, answer).await?)
            })
            .await?;
        figures_of(given_up);
        Ok(1)
    }

    /// What a message brings along, read.
    async fn attached(&self, brings: &[DocumentId]) -> Result<Vec<Attachment>, Failure> {
        let mut attached = Vec::with_capacity(brings.len());
        for id in brings {
            let found = documents::content(&self.db.read, *id).await?;
            attached.extend(found.map(|(row, bytes)| Attachment {
                file_name: row.file_name,
                content_type: row.content_type,
                bytes,
            }));
        }
        Ok(attached)
    }
}

fn figures_of(given_up: Option<Reason>) {
    if let Some(reason) = given_up {
        figures::message_given_up(reason.to_value());
    }
}
