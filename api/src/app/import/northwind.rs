//! Brings the Northwind company in: its set-up first, then its orders.

use crate::access::Principal;
use crate::app::{App, Imported, OrderFile};
use crate::capture::import::northwind::{CHANNEL, Northwind, setup};
use crate::capture::import::record::{Begin, OrderFault};
use crate::capture::import::{Fault, Tally};
use crate::failure::Failure;

/// How the files of the company are called in the records of imports.
const FORMAT: &str = "northwind";

impl App {
    /// Makes what the orders need. What is there under its code already is left as it is; a
    /// customer that cannot be one is refused, and the refusals are kept as an import of their
    /// own.
    pub async fn set_up_northwind(
        &self,
        principal: &Principal,
        northwind: &Northwind,
    ) -> Result<(Tally, Vec<OrderFault>), Failure> {
        let actor = &principal.actor;
        let site = &self
            .write(
                actor,
                move |tx| async move { setup::site(&tx, northwind).await },
            )
            .await?;
        self.invalidate_reference();
        let reference = &self.reference().await?;
        for product in &northwind.products {
            self.write(actor, move |tx| async move {
                setup::product(&tx, reference, site, product).await
            })
            .await?;
        }
        let mut tally = Tally::default();
        let mut faults = Vec::new();
        for (row, customer) in &northwind.customers {
            let made = self
                .write(actor, move |tx| async move {
                    setup::customer(&tx, customer).await
                })
                .await;
            match made {
                Ok(made) => tally.take(!made),
                Err(Failure::Refused(problems)) => {
                    let found: Vec<OrderFault> = problems
                        .into_iter()
                        .map(|problem| {
                            let reference = customer.id.trim().to_owned();
                            (Some(reference), Fault { row: *row, problem })
                        })
                        .collect();
                    tally.refuse(found.iter().map(|(_, fault)| fault));
                    faults.extend(found);
                }
                Err(failure) => return Err(failure),
            }
        }
        // Deliveries are expected now that were not before.
        self.invalidate_reference();
        let channel = self
            .reference()
            .await?
            .channel_by_code(CHANNEL)
            .map(|c| c.row.id);
        if let Some(channel_id) = channel {
            let begin = Begin {
                source: "customers.csv".to_owned(),
                format: FORMAT.to_owned(),
                channel_id,
            };
            self.record_import(principal, &begin, &tally, &faults)
                .await?;
        }
        Ok((tally, faults))
    }

    /// Takes the company's orders, oldest first.
    pub async fn import_northwind(
        &self,
        principal: &Principal,
        northwind: &Northwind,
        heard: impl FnMut(&Tally, &[OrderFault]),
    ) -> Result<Imported, Failure> {
        let file = OrderFile {
            source: "orders.csv".to_owned(),
            format: FORMAT.to_owned(),
            channel: CHANNEL.to_owned(),
            parallel: 1,
        };
        self.import_orders(principal, &file, northwind.orders(), heard)
            .await
    }
}
