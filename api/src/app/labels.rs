//! Asking carriers: what they would take, for labels, to take labels back, and where parcels are;
//! and hearing what they say by themselves.

use bytes::Bytes;
use entity::carrier::Adapter;
use entity::label::State;
use entity::{LabelId, ShipmentId};
use futures_util::{StreamExt, stream};

use super::{App, Round};
use crate::failure::Failure;
use crate::fulfillment::{self, tracking};
use crate::shipping::labels::{self, Purchase, Settled};
use crate::shipping::messages::{self, Report, Signature};
use crate::shipping::port::{self, Answer, Prepared, Route};
use crate::shipping::{Choice, Offers, Sending, choose};
use crate::signatures::Unheard;
use crate::tx::Actor;

/// How many carriers are asked at a time.
const CALLS: usize = 8;

/// Who acts.
const WORKER: &str = "shipping";

/// What a carrier sent by itself.
#[derive(Clone, Debug)]
pub struct Message {
    /// The carrier's code.
    pub carrier: String,
    /// What it is signed with.
    pub signature: Signature,
    /// What was sent, byte for byte.
    pub body: Bytes,
}

impl App {
    /// Labels a packed shipment: chooses its carrier, and buys what its parcels lack. What a
    /// carrier refused, or has not answered yet, is in the list; the shipment is labelled when
    /// every parcel has its label, which may be later.
    pub async fn label_shipment(
        &self,
        actor: &Actor,
        id: ShipmentId,
    ) -> Result<Vec<Settled>, Failure> {
        let now = self.clock.now();
        let (route, sending) = fulfillment::labels::sending(&self.db.read, id, now).await?;
        let choice = self.choose_carrier(&route, &sending).await?;
        let reference = self.reference().await?;
        let (reference, choice) = (&reference, &choice);
        let purchases = self
            .write(actor, move |tx| async move {
                fulfillment::labels::intend(&tx, reference, id, choice).await
            })
            .await?;
        let mut outcomes = Vec::with_capacity(purchases.len());
        for purchase in &purchases {
            outcomes.push(self.buy_label(purchase).await?);
        }
        Ok(outcomes)
    }

    /// Gives the labels of a shipment back that has not left.
    pub async fn void_labels(
        &self,
        actor: &Actor,
        id: ShipmentId,
    ) -> Result<Vec<Settled>, Failure> {
        let purchases = self
            .write(actor, move |tx| async move {
                fulfillment::labels::void(&tx, id).await
            })
            .await?;
        let mut outcomes = Vec::with_capacity(purchases.len());
        for purchase in &purchases {
            outcomes.push(self.void_label(purchase).await?);
        }
        Ok(outcomes)
    }

    /// Takes in what a carrier sent, if it is the carrier's.
    pub async fn hear_carrier(
        &self,
        message: &Message,
    ) -> Result<Result<tracking::Heard, Unheard>, Failure> {
        let reference = self.reference().await?;
        let Some(tariff) = reference.tariffs().carrier(&message.carrier) else {
            return Ok(Err(Unheard::Unknown));
        };
        let now = self.clock.now();
        let reports = match messages::read(&tariff.carrier, &message.signature, &message.body, now)
        {
            Ok(reports) => reports,
            Err(unheard) => return Ok(Err(unheard)),
        };
        self.track(&message.carrier, &reports).await.map(Ok)
    }

    /// Takes up scans that waited for their parcel, and asks about parcels of which nothing is
    /// heard.
    pub async fn follow_parcels(&self) -> Result<Round, Failure> {
        let mut outcomes = Vec::new();
        for (carrier, number) in tracking::adoptable(&self.db.read).await? {
            let (carrier, number) = (&carrier, &number);
            let adopted = self
                .write(&Actor::worker(WORKER), move |tx| async move {
                    tracking::adopt(&tx, carrier, number).await
                })
                .await;
            outcomes.push(match adopted {
                Ok(heard) => self.follow_up(heard).await.map(|heard| heard.new.min(1)),
                Err(failure) => Err(failure),
            });
        }
        if let Some(asked) = self.carriers.of_adapter(Adapter::Easypost) {
            let silent = self
                .write(&Actor::worker(WORKER), move |tx| async move {
                    tracking::silent(&tx).await
                })
                .await?;
            for (carrier, number) in silent {
                let seen = port::track(asked, &carrier, &number).await;
                let reports = Report::of(&number, seen.unwrap_or_default());
                let heard = self.track(&carrier, &reports).await;
                outcomes.push(heard.map(|heard| heard.new));
            }
        }
        Ok(outcomes.into_iter().collect())
    }

    async fn track(&self, carrier: &str, reports: &[Report]) -> Result<tracking::Heard, Failure> {
        let heard = self
            .write(&Actor::worker(WORKER), move |tx| async move {
                tracking::receive(&tx, carrier, reports).await
            })
            .await?;
        self.follow_up(heard).await
    }

    /// Makes the calls that follow from what was heard. What was heard is kept whatever comes of
    /// them: a call that fails here is made again by [`App::reconcile_payments`].
    async fn follow_up(&self, mut heard: tracking::Heard) -> Result<tracking::Heard, Failure> {
        let effects = std::mem::take(&mut heard.effects);
        if let Err(failure) = self.ask_gateways(effects).await {
            tracing::error!(%failure, "a gateway call will be made later");
        }
        Ok(heard)
    }

    /// Chooses the carrier of what is sent: by what the carriers ask now, where they can be asked,
    /// and by our tables otherwise.
    pub async fn choose_carrier(
        &self,
        route: &Route,
        sending: &Sending,
    ) -> Result<Choice, Failure> {
        let reference = self.reference().await?;
        let tariffs = reference.tariffs();
        let speaks = |adapter| {
            let mut own = tariffs.carriers.iter().map(|tariff| &tariff.carrier);
            own.any(|carrier| carrier.active && carrier.adapter == adapter)
        };
        let offers = match self.carriers.of_adapter(Adapter::Easypost) {
            Some(carrier) if speaks(Adapter::Easypost) => {
                port::quote(carrier, route, sending).await
            }
            _ => Offers::NotAsked,
        };
        Ok(choose(tariffs, &offers, sending))
    }

    /// Makes the call that a purchase owes, and records the answer. A crash in between is healed
    /// by [`App::reconcile_labels`].
    pub async fn buy_label(&self, purchase: &Purchase) -> Result<Settled, Failure> {
        let settled = self.ask_for_label(purchase, true).await?;
        if let Settled::Bought { .. } = settled {
            // A label that the carrier made is due to be fetched at once.
            self.reconcile_label(purchase.id).await?;
        }
        Ok(settled)
    }

    /// Makes the call that a label owes which is given back, and records the answer.
    pub async fn void_label(&self, purchase: &Purchase) -> Result<Settled, Failure> {
        let returned = match self.carriers.of_adapter(purchase.adapter) {
            Some(carrier) => port::void(carrier, purchase).await,
            None => port::Returned::Unknown,
        };
        let returned = &returned;
        self.write(&Actor::worker(WORKER), move |tx| async move {
            fulfillment::labels::settle_void(&tx, purchase, returned).await
        })
        .await
    }

    /// Does what is due of the labels: asks about those without a definite answer, fetches those
    /// that carriers made, gives back. One that fails leaves the others alone.
    pub async fn reconcile_labels(&self) -> Result<Round, Failure> {
        let due = labels::due(&self.db.read, self.clock.now()).await?;
        let outcomes = stream::iter(due)
            .map(|id| self.reconcile_label(id))
            .buffer_unordered(CALLS)
            .collect::<Vec<_>>()
            .await;
        Ok(outcomes.into_iter().collect())
    }

    async fn reconcile_label(&self, id: LabelId) -> Result<usize, Failure> {
        let claimed = self
            .write(&Actor::worker(WORKER), move |tx| async move {
                labels::claim(&tx, id).await
            })
            .await?;
        let Some((purchase, wanted)) = claimed else {
            return Ok(0);
        };
        match purchase.state {
            State::Ready | State::Sent | State::Unknown => {
                self.ask_for_label(&purchase, wanted).await?;
            }
            State::Voiding => {
                self.void_label(&purchase).await?;
            }
            State::Succeeded | State::Declined | State::NotExecuted | State::Voided => {
                self.fetch(&purchase).await?;
            }
        }
        Ok(1)
    }

    async fn ask_for_label(&self, purchase: &Purchase, wanted: bool) -> Result<Settled, Failure> {
        let answer = self.sell(purchase, wanted).await?;
        let answer = &answer;
        self.write(&Actor::worker(WORKER), move |tx| async move {
            fulfillment::labels::settle(&tx, purchase, answer).await
        })
        .await
    }

    /// Asks a carrier for a label, or about it if it may have been bought already.
    async fn sell(&self, purchase: &Purchase, wanted: bool) -> Result<Answer, Failure> {
        let carrier = self.carriers.of_adapter(purchase.adapter);
        if let Some(offer) = &purchase.offer {
            return Ok(match carrier {
                Some(carrier) => port::resolve(carrier, purchase, offer, wanted).await,
                None => Answer::Unknown,
            });
        }
        // Nothing was written down, so nothing was bought.
        if !wanted {
            return Ok(Answer::NotExecuted);
        }
        let Some(carrier) = carrier else {
            return Ok(declined("CARRIER_NOT_CONFIGURED"));
        };
        let Some(route) = labels::route(&self.db.read, purchase).await? else {
            return Ok(declined("ADDRESS_MISSING"));
        };
        let offer = match port::prepare(carrier, purchase, &route).await {
            Prepared::Ready(offer) => offer,
            Prepared::Declined { code } => return Ok(Answer::Declined { code }),
            Prepared::Unknown => return Ok(Answer::Unknown),
        };
        let (id, offer) = (purchase.id, &offer);
        let written = self
            .write(&Actor::worker(WORKER), move |tx| async move {
                Ok(labels::offered(&tx, id, offer).await?)
            })
            .await?;
        Ok(match written {
            Some(offer) => port::buy(carrier, purchase, &offer).await,
            None => Answer::Unknown,
        })
    }

    async fn fetch(&self, purchase: &Purchase) -> Result<(), Failure> {
        let carrier = self.carriers.of_adapter(purchase.adapter);
        let document = match (carrier, &purchase.document_url) {
            (Some(carrier), Some(url)) => carrier.fetch_label(url).await,
            _ => None,
        };
        let document = &document;
        self.write(&Actor::worker(WORKER), move |tx| async move {
            match document {
                Some(document) => {
                    labels::keep_document(&tx, purchase.id, document.clone()).await?;
                }
                None => labels::fetch_later(&tx, purchase).await?,
            }
            Ok(())
        })
        .await
    }
}

fn declined(code: &str) -> Answer {
    Answer::Declined {
        code: code.to_owned(),
    }
}
