//! Laws of money: whatever a gateway does with our calls, what we have written down is what it has
//! done, each intent once, and nobody waits long for that once it answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use api::payments::gateway::Known;
use api::payments::{Answer, Effect, PaymentGateway};
use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use entity::payment_transaction::{Kind, State};
use entity::shipment::TrackingStatus;
use entity::{OrderId, ShipmentId, TransactionId, payment_transaction};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use support::dice::Dice;
use support::merchant::codes;
use support::{Backend, Place, Setup, TestApp};

use crate::captures::{act, card, hear, leave, packed, part, payment_of, placed, seen};

/// What a gateway has done for one of our effects.
#[derive(Clone, Debug)]
struct Deed {
    order: OrderId,
    kind: Kind,
    shipment: Option<ShipmentId>,
    amount: i64,
    /// Its answer, once it has done it.
    answer: Option<Answer>,
    /// When it does it by itself.
    at: DateTime<Utc>,
}

struct Books {
    dice: Dice,
    /// Whether it does as it likes, and whether it is there at all.
    whims: bool,
    away: bool,
    deeds: BTreeMap<TransactionId, Deed>,
}

/// A gateway that does and drops, does late, does nothing, declines, or answers nonsense.
struct Whimsical(Mutex<Books>);

impl Whimsical {
    fn new(seed: u64) -> Arc<Whimsical> {
        Arc::new(Whimsical(Mutex::new(Books {
            dice: Dice::new(seed),
            whims: false,
            away: false,
            deeds: BTreeMap::new(),
        })))
    }

    fn whims(&self, whims: bool) {
        let mut books = self.0.lock().unwrap();
        (books.whims, books.away) = (whims, false);
    }

    fn away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    fn roll(&self, sides: usize) -> usize {
        self.0.lock().unwrap().dice.roll(sides)
    }

    /// What it has done of a kind for an order.
    fn done(&self, order: OrderId, kind: Kind) -> Vec<(TransactionId, Deed)> {
        let books = self.0.lock().unwrap();
        let own = books.deeds.iter();
        own.filter(|(_, deed)| deed.order == order && deed.kind == kind)
            .filter(|(_, deed)| matches!(deed.answer, Some(Answer::Succeeded { .. })))
            .map(|(id, deed)| (*id, deed.clone()))
            .collect()
    }

    fn sum(&self, order: OrderId, kind: Kind) -> i64 {
        let done = self.done(order, kind);
        done.iter().map(|(_, deed)| deed.amount).sum()
    }
}

impl Books {
    /// Does what it was asked for, once, however often it is asked.
    fn does(&mut self, effect: &Effect, declines: bool, at: DateTime<Utc>) {
        let answer = match declines {
            true => Answer::Declined {
                code: "a_whim".to_owned(),
            },
            false => Answer::Succeeded {
                reference: format!("w_{}", effect.id),
                expires_at: None,
                rest_released: false,
            },
        };
        self.deeds.entry(effect.id).or_insert(Deed {
            order: effect.order_id,
            kind: effect.kind,
            shipment: effect.shipment_id,
            amount: effect.amount.minor,
            answer: Some(answer),
            at,
        });
    }

    fn answer(&self, effect: &Effect, now: DateTime<Utc>) -> Answer {
        let deed = self.deeds.get(&effect.id).filter(|deed| deed.at <= now);
        deed.and_then(|deed| deed.answer.clone())
            .unwrap_or(Answer::Unknown)
    }
}

#[async_trait]
impl PaymentGateway for Whimsical {
    async fn execute(&self, effect: &Effect, now: DateTime<Utc>) -> Answer {
        let mut books = self.0.lock().unwrap();
        if books.away {
            return Answer::Unknown;
        }
        let fate = if books.whims { books.dice.roll(10) } else { 0 };
        let may_decline = matches!(effect.kind, Kind::Authorization | Kind::Capture);
        match fate {
            // It is done, and the answer is lost, or nonsense.
            4 | 5 => {
                books.does(effect, false, now);
                Answer::Unknown
            }
            // It is lost before, or a server error comes before it is done.
            6 | 7 => Answer::Unknown,
            // It is done within a minute or so.
            8 => {
                let late = books.dice.roll(50);
                let at = now + Duration::seconds(i64::try_from(late).unwrap());
                books.does(effect, false, at);
                books.answer(effect, now)
            }
            9 if may_decline => {
                books.does(effect, true, now);
                books.answer(effect, now)
            }
            _ => {
                books.does(effect, false, now);
                books.answer(effect, now)
            }
        }
    }

    async fn look_up(&self, effect: &Effect, now: DateTime<Utc>) -> Known {
        let mut books = self.0.lock().unwrap();
        if books.away || books.whims && books.dice.roll(4) == 0 {
            return Known::Unclear;
        }
        match (
            books.deeds.contains_key(&effect.id),
            books.answer(effect, now),
        ) {
            (false, _) => Known::Absent,
            (true, Answer::Unknown) => Known::Unclear,
            (true, answer) => Known::Answered(answer),
        }
    }
}

/// How many schedules are tried.
fn schedules() -> u64 {
    match std::env::var_os("OMS_LONG") {
        Some(_) => 1_000,
        None => 15,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_what_we_have_written_down_is_what_the_gateway_did_sqlite() {
    law(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_what_we_have_written_down_is_what_the_gateway_did_postgres() {
    law(Backend::Postgres).await;
}

async fn law(backend: Backend) {
    let Some(place) = Place::migrated(backend).await else {
        return;
    };
    let seed = 0x5eed;
    let gateway = Whimsical::new(seed);
    let setup = Setup {
        gateway: gateway.clone(),
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    let units = i64::try_from(schedules()).unwrap() * 3;
    let cup = app.stocked("CUP", units, false).await;
    let (mut paid, mut ended, mut unpaid) = (0, 0, 0);
    for schedule in 0..schedules() {
        let tried = format!("schedule {schedule} of {seed:#x} on {backend}");
        gateway.whims(true);
        let id = placed(&app, &cup, 2, card("tok")).await;
        weather(&app, &gateway).await;
        settled(&app, &gateway, id, &tried).await;
        let order = seen(&app, id).await;
        if order["status"] != "CONFIRMED" {
            unpaid += 1;
            assert_eq!(gateway.sum(id, Kind::Capture), 0, "{tried}");
            act(&app, "orderCancel", id, json!({ "reason": "unpaid" })).await;
            settled(&app, &gateway, id, &tried).await;
            assert_eq!(payment_of(&app, id).await.authorized_minor, 0, "{tried}");
            continue;
        }
        if gateway.roll(5) == 0 {
            ended += 1;
            gateway.whims(true);
            let done = act(&app, "orderCancel", id, json!({ "reason": "a whim" })).await;
            assert_eq!(codes(&done), [""; 0], "{tried}");
            weather(&app, &gateway).await;
            settled(&app, &gateway, id, &tried).await;
            assert_eq!(payment_of(&app, id).await.authorized_minor, 0, "{tried}");
            continue;
        }
        if gateway.roll(2) == 0 {
            part(&app, id, 1).await;
        }
        let shipments = packed(&app, &cup, id, 1).await;
        gateway.whims(true);
        for shipment in &shipments {
            leave(&app, *shipment).await;
            // Two nodes hear the same.
            let status = TrackingStatus::CarrierPickedUp;
            tokio::join!(
                hear(&app, *shipment, status, false),
                hear(&app, *shipment, TrackingStatus::InTransit, false)
            );
            weather(&app, &gateway).await;
        }
        settled(&app, &gateway, id, &tried).await;
        // What was declined is asked for again, by itself.
        app.clock.advance(Duration::hours(4));
        app.settle().await;
        settled(&app, &gateway, id, &tried).await;
        let payment = payment_of(&app, id).await;
        assert_eq!(payment.captured_minor, payment.authorized_minor, "{tried}");
        assert_eq!(seen(&app, id).await["paymentStatus"], "PAID", "{tried}");
        for shipment in shipments {
            let own = gateway.done(id, Kind::Capture);
            let own = own
                .iter()
                .filter(|(_, deed)| deed.shipment == Some(shipment));
            assert_eq!(own.count(), 1, "{tried}");
        }
        paid += 1;
    }
    assert!(
        paid > ended && paid > unpaid && ended > 0,
        "{paid}, {ended}, {unpaid}"
    );
    app.finish().await;
}

/// Some minutes of work, during which the gateway goes and comes.
async fn weather(app: &TestApp, gateway: &Whimsical) {
    for _ in 0..gateway.roll(4) {
        gateway.away(gateway.roll(3) == 0);
        let seconds = i64::try_from(gateway.roll(120)).unwrap();
        app.clock.advance(Duration::seconds(seconds));
        app.settle().await;
    }
}

/// The gateway is back. A minute later nothing is unknown, and our sums are its own.
async fn settled(app: &TestApp, gateway: &Whimsical, id: OrderId, tried: &str) {
    gateway.whims(false);
    app.clock.advance(Duration::seconds(60));
    app.settle().await;
    let rows = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::OrderId.eq(id))
        .all(&app.app.db.read)
        .await
        .unwrap();
    let open = [State::Ready, State::Sent, State::Unknown];
    let unknown: Vec<_> = rows
        .iter()
        .filter(|row| open.contains(&row.state))
        .collect();
    assert!(unknown.is_empty(), "{tried}: {unknown:#?}");
    for kind in [Kind::Authorization, Kind::Capture, Kind::Void, Kind::Refund] {
        let theirs: Vec<TransactionId> = gateway
            .done(id, kind)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        let mut ours: Vec<TransactionId> = rows
            .iter()
            .filter(|row| row.kind == kind && row.state == State::Succeeded)
            .map(|row| row.id)
            .collect();
        ours.sort();
        assert_eq!(ours, theirs, "{tried}: {kind:?}");
    }
    let payment = payment_of(app, id).await;
    let authorized = gateway.sum(id, Kind::Authorization) - gateway.sum(id, Kind::Void);
    assert_eq!(payment.authorized_minor, authorized, "{tried}");
    assert_eq!(
        payment.captured_minor,
        gateway.sum(id, Kind::Capture),
        "{tried}"
    );
    assert_eq!(payment.capture_pending_minor, 0, "{tried}");
}
