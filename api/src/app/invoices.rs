//! Printing invoices: read and drawn without a transaction, kept in a short one.

use super::{App, Round};
use crate::failure::Failure;
use crate::invoicing::paper;
use crate::tx::Actor;

impl App {
    /// Prints what was issued and is not printed yet, and owes its customers the messages that bring
    /// it.
    pub async fn print_invoices(&self) -> Result<Round, Failure> {
        let mut outcomes = Vec::new();
        for id in paper::unprinted(&self.db.read).await? {
            let printed = match paper::print(&self.db.read, id).await {
                Ok(printed) => printed,
                Err(failure) => {
                    outcomes.push(Err(failure));
                    continue;
                }
            };
            let printed = &printed;
            let kept = self
                .write(&Actor::worker("documents"), move |tx| async move {
                    paper::keep(&tx, printed).await
                })
                .await;
            outcomes.push(kept.map(usize::from));
        }
        Ok(outcomes.into_iter().collect())
    }
}
