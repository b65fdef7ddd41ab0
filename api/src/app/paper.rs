//! Printing what the floor needs: read and drawn without a transaction, kept in a short one.

use entity::{DocumentId, PickListId, ShipmentId, WarehouseId};

use super::{App, Round};
use crate::documents::{self, NewDocument};
use crate::failure::Failure;
use crate::fulfillment::paper;
use crate::tx::Actor;

impl App {
    /// Prints what a shipment lacks of its labels and packing slips. What was printed before stays.
    pub async fn print_shipment(
        &self,
        actor: &Actor,
        id: ShipmentId,
    ) -> Result<Vec<DocumentId>, Failure> {
        let printed = paper::of_shipment(&self.db.read, id, self.clock.now()).await?;
        self.keep_documents(actor, printed).await
    }

    /// Prints the sheet of a pick list, with what is left to pick now.
    pub async fn print_list(&self, actor: &Actor, id: PickListId) -> Result<DocumentId, Failure> {
        let printed = paper::of_list(&self.db.read, id, self.clock.now()).await?;
        self.keep_one(actor, printed).await
    }

    /// Prints what was handed over to a carrier at a warehouse on one day.
    pub async fn print_manifest(
        &self,
        actor: &Actor,
        warehouse: WarehouseId,
        carrier: &str,
        day: chrono::NaiveDate,
    ) -> Result<DocumentId, Failure> {
        let now = self.clock.now();
        let printed = paper::of_day(&self.db.read, warehouse, carrier, day, now).await?;
        self.keep_one(actor, printed).await
    }

    /// Prints what shipments lack that wait for their carrier: whoever labelled them may not have
    /// lived to print.
    pub async fn print_what_lacks(&self) -> Result<Round, Failure> {
        let waiting = paper::unprinted(&self.db.read).await?;
        let mut outcomes = Vec::with_capacity(waiting.len());
        for shipment in waiting {
            let printed = self
                .print_shipment(&Actor::worker("documents"), shipment)
                .await;
            outcomes.push(printed.map(|printed| printed.len()));
        }
        Ok(outcomes.into_iter().collect())
    }

    async fn keep_one(&self, actor: &Actor, new: NewDocument) -> Result<DocumentId, Failure> {
        let kept = self.keep_documents(actor, vec![new]).await?;
        kept.into_iter()
            .next()
            .ok_or_else(|| Failure::Internal("a document was not kept".to_owned()))
    }

    async fn keep_documents(
        &self,
        actor: &Actor,
        printed: Vec<NewDocument>,
    ) -> Result<Vec<DocumentId>, Failure> {
        let printed = &printed;
        self.write(actor, move |tx| async move {
            let mut kept = Vec::with_capacity(printed.len());
            for new in printed {
                kept.push(documents::store(&tx, new.clone()).await?.id);
            }
            Ok(kept)
        })
        .await
    }
}
