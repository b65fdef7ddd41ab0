//! Exports: made part by part, and read by addresses that are good for a while.

use chrono::TimeDelta;
use entity::export::{self, State};
use entity::{ExportId, export_part};
use sea_orm::EntityTrait;

use super::{App, Round};
use crate::documents::links::{Linked, NotOpened};
use crate::exports;
use crate::failure::Failure;
use crate::tx::Actor;

/// What a signed address opened.
pub struct OpenedExport {
    /// The export.
    pub row: export::Model,
    /// For how many seconds more the address can be used.
    pub remaining_secs: i64,
}

impl App {
    /// Makes the next part of every export that is running, and forgets those whose time is over.
    pub async fn make_exports(&self) -> Result<Round, Failure> {
        let mut outcomes = Vec::new();
        for id in exports::running(&self.db.read).await? {
            outcomes.push(self.make_part(id).await.map(usize::from));
        }
        for id in exports::expired(&self.db.read, self.clock.now()).await? {
            let expired = self
                .write(&Actor::worker("exports"), move |tx| async move {
                    exports::expire(&tx, id).await
                })
                .await;
            outcomes.push(expired.map(usize::from));
        }
        Ok(outcomes.into_iter().collect())
    }

    /// Makes the next part of an export. One that fails for good says so.
    pub async fn make_part(&self, id: ExportId) -> Result<bool, Failure> {
        let actor = Actor::worker("exports");
        let keep = TimeDelta::days(self.config.exports.keep_days.into());
        let made = self
            .write(&actor, move |tx| async move {
                exports::advance(&tx, id, keep).await
            })
            .await;
        match made {
            Err(failure) if !failure.unavailable() && !failure.lost_a_race() => {
                tracing::error!(%id, %failure, "an export cannot be made");
                self.write(
                    &actor,
                    move |tx| async move { exports::give_up(&tx, id).await },
                )
                .await
            }
            made => made,
        }
    }

    /// The address of an export on this server, signed at this moment.
    pub async fn export_path(&self, id: ExportId) -> Result<String, Failure> {
        let links = self.links().await?;
        Ok(links.path(Linked::Export, id.0, self.clock.now()))
    }

    /// What an address opens: the export, none if it cannot be read, or why it opens nothing.
    pub async fn open_export(
        &self,
        id: &str,
        expires: &str,
        signature: &str,
    ) -> Result<Result<Option<OpenedExport>, NotOpened>, Failure> {
        let links = self.links().await?;
        let opened = match links.open(Linked::Export, id, expires, signature, self.clock.now()) {
            Ok(opened) => opened,
            Err(reason) => return Ok(Err(reason)),
        };
        let row = export::Entity::find_by_id(ExportId(opened.id));
        let row = row.one(&self.db.read).await?;
        let row = row.filter(|row| row.state == State::Completed);
        Ok(Ok(row.map(|row| OpenedExport {
            row,
            remaining_secs: opened.remaining_secs,
        })))
    }

    /// A part of an export.
    pub async fn export_part(&self, id: ExportId, position: i32) -> Result<Vec<u8>, Failure> {
        let part = export_part::Entity::find_by_id((id, position));
        let part = part.one(&self.db.read).await?;
        // It expired while it was read.
        let part = part.ok_or_else(|| Failure::Internal("a part of an export is gone".into()))?;
        Ok(part.bytes)
    }
}
