//! Takes a file of what a gateway has paid out, some lines at a time, and holds it against what we
//! know when it has come to its end.

use std::collections::BTreeSet;

use entity::settlement::{self, Status};
use sha2::{Digest, Sha256};

use super::App;
use crate::failure::Failure;
use crate::settlement::lines::{self, Mapping, Row};
use crate::settlement::{Begin, MISSING_AT_ONCE, Tally, begin, end, find_missing, format};
use crate::settlement::{judge_payouts, match_again, take};
use crate::tx::Actor;

/// How many lines are taken in one transaction.
const LINES_AT_ONCE: usize = 200;

/// How many payouts are looked at in one transaction.
const PAYOUTS_AT_ONCE: usize = 20;

/// A file of a gateway.
#[derive(Clone, Debug)]
pub struct SettlementFile {
    /// Whose.
    pub gateway: String,
    /// The name of how it is written.
    pub format: String,
    /// How it is written, if that is not known under the name, or is to be from now on.
    pub mapping: Option<Mapping>,
    /// Its name.
    pub source: String,
    /// What it says.
    pub content: Vec<u8>,
}

/// A file that came to its end.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its record.
    pub run: settlement::Model,
    /// Whether it had come to its end before, so that nothing was done now.
    pub replayed: bool,
}

impl App {
    /// Takes a file. `heard` is told now and then how far it is. A file that came before changes
    /// nothing; one that was cut off is finished: lines are known by their names.
    pub async fn import_settlement(
        &self,
        actor: &Actor,
        file: &SettlementFile,
        mut heard: impl FnMut(&Tally),
    ) -> Result<Settled, Failure> {
        let mapping = self
            .write(actor, move |tx| async move {
                format(&tx, &file.gateway, &file.format, file.mapping.as_ref()).await
            })
            .await?;
        let rows = lines::read(&file.content, &mapping, file.format.trim() == lines::STRIPE)?;
        let hash = Sha256::digest(&file.content);
        let cmd = &Begin {
            gateway: file.gateway.clone(),
            format: file.format.clone(),
            source: file.source.clone(),
            content_hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let run = &self
            .write(actor, move |tx| async move { begin(&tx, cmd).await })
            .await?;
        if run.status == Status::Completed {
            return Ok(Settled {
                run: run.clone(),
                replayed: true,
            });
        }
        let mut tally = Tally::default();
        let outcome = self
            .settle_rows(actor, run, &rows, &mut tally, &mut heard)
            .await;
        let (so_far, status) = match outcome {
            Ok(()) => (tally, Status::Completed),
            Err(_) => (tally, Status::Failed),
        };
        let ended = self
            .write(actor, move |tx| async move {
                end(&tx, run, so_far, status).await
            })
            .await;
        outcome?;
        ended?;
        let row = self.find_settlement(run.id).await?;
        Ok(Settled {
            run: row.unwrap_or_else(|| run.clone()),
            replayed: false,
        })
    }

    async fn settle_rows(
        &self,
        actor: &Actor,
        run: &settlement::Model,
        rows: &[Row],
        tally: &mut Tally,
        heard: &mut impl FnMut(&Tally),
    ) -> Result<(), Failure> {
        for part in rows.chunks(LINES_AT_ONCE) {
            let so_far = *tally;
            *tally = self
                .write(actor, move |tx| async move {
                    take(&tx, run, part, so_far).await
                })
                .await?;
            heard(tally);
            // Nobody else may be there to give the events their positions.
            self.hub.turn().await?;
        }
        let payouts = rows.iter().filter_map(|row| row.line.as_ref().ok());
        let payouts = payouts.filter_map(|line| line.payout.clone());
        let payouts: Vec<String> = payouts.collect::<BTreeSet<_>>().into_iter().collect();
        for part in payouts.chunks(PAYOUTS_AT_ONCE) {
            let part = &part.iter().cloned().collect::<BTreeSet<_>>();
            self.write(actor, move |tx| async move {
                judge_payouts(&tx, run, part).await
            })
            .await?;
        }
        self.write(actor, move |tx| async move { match_again(&tx, run).await })
            .await?;
        loop {
            let found = self
                .write(actor, move |tx| async move { find_missing(&tx, run).await })
                .await?;
            if u64::try_from(found).unwrap_or(0) < MISSING_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// The record of a file.
    pub async fn find_settlement(
        &self,
        id: entity::SettlementId,
    ) -> Result<Option<settlement::Model>, Failure> {
        Ok(crate::settlement::find(&self.db.read, id).await?)
    }
}
