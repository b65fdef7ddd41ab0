//! Wires everything: the database, the clock, the ports, the hub, and the one way to write.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, QueryFilter, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use serde_json::{Value as Json, json};
use tokio::sync::{Mutex, OnceCell};

use entity::{counter, idempotency};

mod bulk;
mod documents;
mod edit;
mod feeds;
mod import;
mod intake;
mod invoices;
mod paper;
mod labels;
mod messages;
mod settlements;

pub use bulk::Started;
pub use documents::OpenedDocument;
pub use edit::Rehearsed;
pub use feeds::{Sync, Synced};
pub use import::{Imported, OrderFile};
pub use intake::Submitted;
pub use labels::Message;
pub use settlements::{Settled, SettlementFile};

use crate::access::{self, Principal};
use crate::catalogue::{Reference, ReferenceCache};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::documents::links::Links;
use crate::events::{Bus, Hub};
use crate::exceptions::rules::RuleSet;
use crate::failure::{Code, Failure, Problem};
use crate::notifications::Mailer;
use crate::orders::{self, Changed};
use crate::payments::gateway::{self, Dispute, Gateways};
use crate::payments::{Answer, Effect, PaymentGateway};
use crate::shipping::Carriers;
use crate::signatures::Unheard;
use crate::telemetry::figures;
use crate::tx::{Actor, Tx};

/// How often a transaction that lost a race is run again before its caller hears of it.
const TRIES: usize = 5;

/// How many effects are asked about at a time.
const GATEWAY_CALLS: usize = 8;

/// How many order numbers a node draws at once.
const NUMBERS: i64 = 20;

/// The running system.
pub struct App {
    /// The database.
    pub db: Db,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// The settings.
    pub config: Config,
    /// Feeds the subscribers.
    pub hub: Hub,
    gateways: Gateways,
    carriers: Carriers,
    mailer: Arc<dyn Mailer>,
    reference: ReferenceCache,
    rules: ArcSwap<RuleSet>,
    links: OnceCell<Links>,
    numbers: Mutex<RangeInclusive<i64>>,
    keys: moka::future::Cache<String, Principal>,
}

/// A request's claim to have its effect once.
#[derive(Clone, Debug)]
pub struct Once {
    /// The key that the caller chose.
    pub key: String,
    /// The mutation.
    pub operation: &'static str,
    /// SHA-256 of the input, in hexadecimal.
    pub fingerprint: String,
}

/// The answer to a request that may have been made before.
pub struct Answered {
    /// What it is about, as the mutation chose to save it.
    pub answer: Json,
    /// Whether it is the saved answer of an earlier request.
    pub replayed: bool,
}

impl App {
    /// Puts the parts together; the gateway is who answers for the sandbox. Nothing runs yet.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        config: Config,
        gateway: Arc<dyn PaymentGateway>,
        mailer: Arc<dyn Mailer>,
    ) -> Arc<App> {
        Arc::new(App {
            hub: Hub::new(db.clone(), Bus::of(&config.redis)),
            carriers: Carriers::of(&config.shipping, &config.tls.ca_file),
            gateways: Gateways::of(&config.payments, &config.tls.ca_file, gateway),
            db,
            clock,
            config,
            mailer,
            reference: ReferenceCache::default(),
            rules: ArcSwap::default(),
            links: OnceCell::new(),
            // Empty: the first order draws a block.
            #[allow(clippy::reversed_empty_ranges)]
            numbers: Mutex::new(1..=0),
            // A revoked key must stop working within seconds, on every node.
            keys: moka::future::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(std::time::Duration::from_secs(2))
                .build(),
        })
    }

    /// The small tables that every order reads.
    pub async fn reference(&self) -> Result<Arc<Reference>, DbErr> {
        self.reference.get(&self.db.read).await
    }

    /// The rules of the small tables, ready to be asked. A rule is read once in each version, away
    /// from the threads that answer.
    pub async fn rules(&self, reference: &Arc<Reference>) -> Result<Arc<RuleSet>, Failure> {
        let kept = self.rules.load_full();
        if kept.is_of(reference.exception_rules()) {
            return Ok(kept);
        }
        let reference = reference.clone();
        let read = move || RuleSet::new(reference.exception_rules(), &kept);
        let rules = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Failure::Internal(format!("the rules were not read: {error}")))?;
        let rules = Arc::new(rules);
        self.rules.store(rules.clone());
        Ok(rules)
    }

    /// Says that one of the small tables has changed.
    pub fn invalidate_reference(&self) {
        self.reference.invalidate();
    }

    /// Finds the caller behind a key.
    pub async fn authenticate(&self, key: &str) -> Result<Option<Principal>, DbErr> {
        if let Some(principal) = self.keys.get(key).await {
            return Ok(Some(principal));
        }
        let now = self.clock.now();
        let found =
            access::authenticate(&self.db.read, &self.config.access.pepper, key, now).await?;
        if let Some(principal) = &found {
            self.keys.insert(key.to_owned(), principal.clone()).await;
        }
        Ok(found)
    }

    /// Forgets every checked key, so that a revocation holds at once on this node.
    pub fn forget_keys(&self) {
        self.keys.invalidate_all();
    }

    /// Runs a use case in one transaction: commits if it succeeds, leaves no trace if it does not,
    /// runs it again if it lost a race, and wakes the event feed.
    ///
    /// The case gets the transaction by value, shared, since a future that borrows it from here
    /// cannot be shown to be `Send`: `move |tx| async move { orders::hold(&tx, cmd).await }`.
    pub async fn write<T, Case>(
        &self,
        actor: &Actor,
        case: impl Fn(Arc<Tx>) -> Case,
    ) -> Result<T, Failure>
    where
        Case: Future<Output = Result<T, Failure>>,
    {
        let began = Instant::now();
        let outcome = self.try_write(actor, case).await;
        let word = match &outcome {
            Ok(_) => "committed",
            Err(Failure::Refused(_)) => "refused",
            Err(_) => "failed",
        };
        figures::transaction_ended(word, began.elapsed());
        outcome
    }

    async fn try_write<T, Case>(
        &self,
        actor: &Actor,
        case: impl Fn(Arc<Tx>) -> Case,
    ) -> Result<T, Failure>
    where
        Case: Future<Output = Result<T, Failure>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let tx = self.begin(actor).await?;
            // On the heap: every resolver around it would have room for the largest case otherwise,
            // and a thread's stack is not that deep.
            let outcome = Box::pin(case(tx.clone())).await;
            let tx = Arc::try_unwrap(tx)
                .map_err(|_| Failure::Internal("a use case kept its transaction".to_owned()))?;
            let outcome = match outcome {
                Ok(value) => tx
                    .commit()
                    .await
                    .map(|events| (value, events))
                    .map_err(Failure::from),
                Err(failure) => {
                    tx.rollback().await?;
                    Err(failure)
                }
            };
            match outcome {
                Ok((value, events)) => {
                    if events > 0 {
                        self.hub.wake();
                    }
                    return Ok(value);
                }
                Err(failure) if failure.lost_a_race() && tries < TRIES => {
                    tracing::debug!(%failure, tries, "running a lost transaction again");
                    figures::transaction_repeated();
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Runs a use case and takes it all back: what it would come to, by the very code that does it.
    /// The case flushes before it reads what it has written.
    pub async fn rehearse<T, Case>(
        &self,
        actor: &Actor,
        case: impl Fn(Arc<Tx>) -> Case,
    ) -> Result<T, Failure>
    where
        Case: Future<Output = Result<T, Failure>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let tx = self.begin(actor).await?;
            // On the heap: every resolver around it would have room for the largest case otherwise,
            // and a thread's stack is not that deep.
            let outcome = Box::pin(case(tx.clone())).await;
            Arc::try_unwrap(tx)
                .map_err(|_| Failure::Internal("a use case kept its transaction".to_owned()))?
                .rollback()
                .await?;
            match outcome {
                Err(failure) if failure.lost_a_race() && tries < TRIES => {}
                outcome => return outcome,
            }
        }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that begins"
    )]
    async fn begin(&self, actor: &Actor) -> Result<Arc<Tx>, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let connection = self.db.write.begin_with_options(options).await?;
        Ok(Arc::new(Tx::new(
            connection,
            actor.clone(),
            self.clock.now(),
        )))
    }

    /// Runs a use case once for an idempotency key: the row and the saved answer are in the same
    /// transaction as the effect. A repetition gets the saved answer; the same key with another
    /// input is refused. Refusals that the state of the business decided are saved too.
    pub async fn write_once<Case>(
        &self,
        actor: &Actor,
        once: Option<&Once>,
        case: impl Fn(Arc<Tx>) -> Case,
    ) -> Result<Answered, Failure>
    where
        Case: Future<Output = Result<Json, Failure>>,
    {
        let Some(once) = once else {
            let answer = self.write(actor, case).await?;
            return Ok(Answered {
                answer,
                replayed: false,
            });
        };
        let case = &case;
        let outcome = self
            .write(actor, move |tx| async move {
                if let Some(answer) = claim(&tx, once, &Json::Null).await? {
                    return Ok(Answered {
                        answer,
                        replayed: true,
                    });
                }
                let answer = case(tx.clone()).await?;
                save(&tx, once, &answer);
                Ok(Answered {
                    answer,
                    replayed: false,
                })
            })
            .await;
        match outcome {
            Err(Failure::Refused(problems)) => {
                self.save_refusal(actor, once, &problems).await?;
                Err(Failure::Refused(problems))
            }
            Ok(Answered { answer, replayed }) => match saved_refusal(&answer) {
                Some(problems) => Err(Failure::Refused(problems)),
                None => Ok(Answered { answer, replayed }),
            },
            Err(failure) => Err(failure),
        }
    }

    /// Keeps a refusal for the key, if it was the state of the business that decided it.
    pub async fn save_refusal(
        &self,
        actor: &Actor,
        once: &Once,
        problems: &[Problem],
    ) -> Result<(), Failure> {
        if !problems
            .iter()
            .all(|problem| problem.code.is_decided_by_state())
        {
            return Ok(());
        }
        let answer = json!({ "refused": problems });
        let answer = &answer;
        self.write(actor, move |tx| async move {
            claim(&tx, once, answer).await.map(|_| ())
        })
        .await
    }

    /// The answer that was saved for a key, if the request was made before.
    pub async fn replay(&self, actor: &Actor, once: &Once) -> Result<Option<Json>, Failure> {
        let saved = find_saved(&self.db.read, &actor.name, once).await?;
        match saved.as_ref().and_then(saved_refusal) {
            Some(problems) => Err(Failure::Refused(problems)),
            None => Ok(saved),
        }
    }

    /// The next order number.
    pub async fn next_order_number(&self) -> Result<String, DbErr> {
        let mut numbers = self.numbers.lock().await;
        if let Some(next) = numbers.next() {
            return Ok(next.to_string());
        }
        let drawn = counter::Entity::update_many()
            .col_expr(
                counter::Column::Value,
                Expr::col(counter::Column::Value).add(NUMBERS),
            )
            .filter(counter::Column::Name.eq("order_number"))
            .exec_with_returning(&self.db.write)
            .await?;
        let last = drawn
            .first()
            .ok_or_else(|| DbErr::RecordNotFound("the counter of order numbers".to_owned()))?
            .value;
        *numbers = (last - NUMBERS + 1)..=last;
        numbers
            .next()
            .map(|next| next.to_string())
            .ok_or_else(|| DbErr::Custom("no order numbers were drawn".to_owned()))
    }

    /// Makes the calls that a command owes its gateway and records the answers, until none is
    /// owed. A crash in between is healed by [`App::reconcile_payments`].
    pub async fn carry_out(&self, changed: Changed) -> Result<(), Failure> {
        self.ask_gateways(changed.effects).await
    }

    /// Makes calls to gateways and records the answers, and those that follow from them.
    pub async fn ask_gateways(&self, mut owed: Vec<Effect>) -> Result<(), Failure> {
        while let Some(effect) = owed.pop() {
            let answer = match self.gateways.named(&effect.gateway) {
                Some(gateway) => gateway::execute(gateway, &effect, self.clock.now()).await,
                // The settings have lost it; it is asked when they have it again.
                None => Answer::Unknown,
            };
            let reference = self.reference().await?;
            let (reference, effect, answer) = (&reference, &effect, &answer);
            let settled = self
                .write(&Actor::worker("payments"), move |tx| async move {
                    orders::settle_payment(&tx, reference, effect, answer).await
                })
                .await?;
            owed.extend(settled.effects);
        }
        Ok(())
    }

    /// Asks about the effects that have no definite answer yet and are due to be asked about, a few
    /// at a time. One that fails leaves the others alone.
    pub async fn reconcile_payments(&self) -> Result<Round, Failure> {
        let due = crate::payments::due(&self.db.read, self.clock.now()).await?;
        self.reconcile_all(due).await
    }

    /// Takes in what a gateway sent, if it is the gateway's: what it is about is asked about, now.
    pub async fn hear_gateway(
        &self,
        name: &str,
        signature: &str,
        body: &[u8],
    ) -> Result<Result<Round, Unheard>, Failure> {
        let heard = match self.gateways.named(name) {
            Some(gateway) => gateway.hear(signature, body, self.clock.now()),
            None => Err(Unheard::Unknown),
        };
        let notice = match heard {
            Ok(notice) => notice,
            Err(unheard) => return Ok(Err(unheard)),
        };
        if let Some(reference) = &notice.dispute {
            let said = match self.gateways.named(name) {
                Some(gateway) => gateway::look_up_dispute(gateway, reference).await,
                None => None,
            };
            let done = match said {
                Some(said) => usize::from(self.record_dispute(name, &said).await?),
                None => 0,
            };
            let failures = Vec::new();
            return Ok(Ok(Round { done, failures }));
        }
        let about = crate::payments::about(&self.db.read, &notice).await?;
        self.reconcile_all(about).await.map(Ok)
    }

    async fn record_dispute(&self, name: &str, said: &Dispute) -> Result<bool, Failure> {
        self.write(&Actor::worker("payments"), move |tx| async move {
            orders::disputes::record(&tx, name, said).await
        })
        .await
    }

    /// Hears what the sandbox has nobody to send: what became of captures by its disputed cards.
    pub async fn hear_sandbox(&self) -> Result<Round, Failure> {
        let now = self.clock.now();
        let Some(gateway) = self.gateways.named("sandbox") else {
            return Ok(Round::default());
        };
        let due = crate::payments::disputes::of_test_cards(&self.db.read, now).await?;
        let mut outcomes = Vec::new();
        for (capture, payment) in due {
            if let Some(said) = gateway.disputes(&capture, &payment, now) {
                let news = self.record_dispute("sandbox", &said).await;
                outcomes.push(news.map(usize::from));
            }
        }
        Ok(outcomes.into_iter().collect())
    }

    /// Asks about effects, a few at a time. A gateway that says nothing of any of them is away: the
    /// rest waits for the next round, so that it keeps nothing else from being done.
    async fn reconcile_all(&self, due: Vec<(Effect, bool)>) -> Result<Round, Failure> {
        let reference = self.reference().await?;
        let mut round = Round::default();
        for some in due.chunks(GATEWAY_CALLS) {
            let outcomes = stream::iter(some.to_vec())
                .map(|due| self.reconcile(due, &reference))
                .buffer_unordered(GATEWAY_CALLS)
                .collect::<Vec<_>>()
                .await;
            let mut is_away = some.len() == GATEWAY_CALLS;
            for outcome in outcomes {
                match outcome {
                    Ok(answer) => {
                        is_away &= answer == Answer::Unknown;
                        round.done += 1;
                    }
                    Err(failure) => round.failures.push(failure),
                }
            }
            if is_away {
                break;
            }
        }
        Ok(round)
    }

    async fn reconcile(
        &self,
        (effect, still_wanted): (Effect, bool),
        reference: &Reference,
    ) -> Result<Answer, Failure> {
        let now = self.clock.now();
        let answer = match self.gateways.named(&effect.gateway) {
            Some(gateway) => gateway::resolve(gateway, &effect, still_wanted, now).await,
            None => Answer::Unknown,
        };
        let (effect, said) = (&effect, &answer);
        let settled = self
            .write(&Actor::worker("payments"), move |tx| async move {
                orders::settle_payment(&tx, reference, effect, said).await
            })
            .await?;
        self.carry_out(settled).await?;
        Ok(answer)
    }
}

/// What a round of background work came to.
#[derive(Debug, Default)]
pub struct Round {
    /// How much was done.
    pub done: usize,
    /// What failed; it will be tried again, and has kept nobody else waiting.
    pub failures: Vec<Failure>,
}

impl FromIterator<Result<usize, Failure>> for Round {
    fn from_iter<I: IntoIterator<Item = Result<usize, Failure>>>(outcomes: I) -> Self {
        let mut round = Round::default();
        for outcome in outcomes {
            match outcome {
                Ok(done) => round.done += done,
                Err(failure) => round.failures.push(failure),
            }
        }
        round
    }
}

/// Claims a key: none if it is ours now, the saved answer if the request was made before. Blocks
/// while another transaction holds the key.
pub async fn claim(tx: &Tx, once: &Once, answer: &Json) -> Result<Option<Json>, Failure> {
    let row = idempotency::ActiveModel {
        actor: sea_orm::Set(tx.actor.name.clone()),
        key: sea_orm::Set(once.key.clone()),
        operation: sea_orm::Set(once.operation.to_owned()),
        fingerprint: sea_orm::Set(once.fingerprint.clone()),
        response: sea_orm::Set(answer.clone()),
        created_at: sea_orm::Set(tx.now),
    };
    let inserted = idempotency::Entity::insert(row)
        .on_conflict_do_nothing_on([idempotency::Column::Actor, idempotency::Column::Key])
        .exec_without_returning(tx.db())
        .await?;
    if matches!(inserted, sea_orm::TryInsertResult::Inserted(1..)) {
        return Ok(None);
    }
    find_saved(tx.db(), &tx.actor.name, once).await
}

async fn find_saved(
    db: &impl sea_orm::ConnectionTrait,
    actor: &str,
    once: &Once,
) -> Result<Option<Json>, Failure> {
    let row = idempotency::Entity::find_by_id((actor.to_owned(), once.key.clone()))
        .one(db)
        .await?;
    match row {
        None => Ok(None),
        Some(row) if row.operation != once.operation || row.fingerprint != once.fingerprint => {
            Err(Problem::new(
                Code::IdempotencyKeyReused,
                "this idempotency key was used with another input",
            )
            .at("input.idempotencyKey")
            .into())
        }
        Some(row) => Ok(Some(row.response)),
    }
}

fn save(tx: &Tx, once: &Once, answer: &Json) {
    use idempotency::Column;
    use sea_orm::QueryTrait;
    tx.defer(
        idempotency::Entity::update_many()
            .col_expr(Column::Response, Expr::value(answer.clone()))
            .filter(Column::Actor.eq(tx.actor.name.clone()))
            .filter(Column::Key.eq(once.key.clone()))
            .into_query(),
    );
}

fn saved_refusal(answer: &Json) -> Option<Vec<Problem>> {
    serde_json::from_value(answer.get("refused")?.clone()).ok()
}
