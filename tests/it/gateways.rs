//! What gateways do to us: answers that come late or not at all, money that customers take back, a
//! Stripe that answers as it is told, and whom we trust to be it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ledger;
use chrono::Duration;
use entity::ledger_entry::Account;
use entity::payment_transaction::{Kind, State};
use entity::{Currency, OrderId, dispute, payment_transaction};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use support::dice::Dice;
use support::merchant::codes;
use support::stripe::{Fate, Stripe};
use support::{Backend, Place, Setup, TestApp, both_backends};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::captures::{
    act, card, effects, events, later, leave, open, packed, payment_of, placed, scanned, seen,
};
use crate::stripe::{SECRET, send, signed};

both_backends!(
    p1_what_nobody_knows_for_half_an_hour_waits_for_a_person_until_it_is_known,
    p1_a_gateways_own_message_brings_the_answer_that_was_lost,
    p1_money_that_comes_for_an_order_that_was_given_up_goes_back,
    j4_a_chargeback_is_booked_and_told_and_comes_back_when_it_is_won,
);

/// What the only effect of a kind of an order becomes by a card of another kind.
async fn change_card(app: &TestApp, id: OrderId, kind: Kind, token: &str) {
    use payment_transaction::{Column, Entity};
    Entity::update_many()
        .col_expr(Column::Instrument, Expr::value(token))
        .filter(Column::OrderId.eq(id))
        .filter(Column::Kind.eq(kind))
        .exec(&app.app.db.write)
        .await
        .unwrap();
}

async fn effect_of(app: &TestApp, id: OrderId, kind: Kind) -> payment_transaction::Model {
    let rows = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::OrderId.eq(id))
        .filter(payment_transaction::Column::Kind.eq(kind));
    rows.one(&app.app.db.read).await.unwrap().unwrap()
}

/// A message of the sandbox about an authorisation.
async fn message(app: &TestApp, id: OrderId) -> (u16, Value) {
    let effect = effect_of(app, id, Kind::Authorization).await;
    let body = json!({ "transaction": effect.id });
    let request = support::http()
        .post(app.url("/webhooks/payments/sandbox"))
        .body(body.to_string());
    let answer = app.send(request).await;
    (answer.status, answer.body)
}

async fn p1_what_nobody_knows_for_half_an_hour_waits_for_a_person_until_it_is_known(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 1, card("tok_silent")).await;
    app.clock.advance(Duration::minutes(29));
    app.settle().await;
    assert_eq!(open(app, id).await, [""; 0]);
    app.clock.advance(Duration::minutes(1));
    app.settle().await;
    assert_eq!(open(app, id).await, ["PAYMENT_UNKNOWN"]);
    later(app, 1).await;
    assert_eq!(open(app, id).await, ["PAYMENT_UNKNOWN"], "once");
    // A word does not make it known.
    let order = seen(app, id).await;
    let exception = order["exceptions"][0]["id"].clone();
    let resolve = "mutation R($input: ExceptionSettleInput!) {
        exceptionResolve(input: $input) { userErrors { code } } }";
    let input = json!({ "id": exception, "resolution": "whatever" });
    let said = app.gql(resolve, json!({ "input": input })).await;
    assert_eq!(codes(&said["exceptionResolve"]), ["ORDER_STATE_INVALID"]);
    change_card(app, id, Kind::Authorization, "tok_timeout_after").await;
    app.clock.advance(Duration::minutes(1));
    app.settle().await;
    assert_eq!(open(app, id).await, [""; 0]);
    let order = seen(app, id).await;
    assert_eq!(
        (&order["paymentStatus"], &order["exceptions"][0]["status"]),
        (&json!("AUTHORIZED"), &json!("RESOLVED"))
    );
}

async fn p1_a_gateways_own_message_brings_the_answer_that_was_lost(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let id = placed(app, &cup, 1, card("tok_message")).await;
    assert_eq!(seen(app, id).await["paymentStatus"], "UNKNOWN");
    // A message that comes too soon, or from somebody else, brings nothing.
    assert_eq!(message(app, id).await, (200, json!({ "asked": 1 })));
    assert_eq!(seen(app, id).await["paymentStatus"], "UNKNOWN");
    app.clock.advance(Duration::minutes(3));
    assert_eq!(message(app, id).await, (200, json!({ "asked": 1 })));
    assert_eq!(seen(app, id).await["paymentStatus"], "AUTHORIZED");
    assert_eq!(message(app, id).await, (200, json!({ "asked": 0 })));
    for (body, status) in [("nonsense", 400), ("{\"transaction\":\"x\"}", 400)] {
        let request = support::http().post(app.url("/webhooks/payments/sandbox"));
        assert_eq!(app.send(request.body(body)).await.status, status);
    }
    let other = placed(app, &cup, 1, card("tok_garbage")).await;
    later(app, 1).await;
    assert_eq!(seen(app, other).await["paymentStatus"], "AUTHORIZED");
    assert_eq!(effects(app, other, Kind::Authorization).await.len(), 1);
}

async fn p1_money_that_comes_for_an_order_that_was_given_up_goes_back(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    // The gateway never saw it, nobody wants it any more, and then it says that it has done it.
    let id = placed(app, &cup, 1, card("tok_silent")).await;
    let done = act(
        app,
        "orderCancel",
        id,
        json!({ "reason": "changed my mind" }),
    )
    .await;
    assert_eq!(codes(&done), [""; 0]);
    change_card(app, id, Kind::Authorization, "tok_timeout_before").await;
    later(app, 1).await;
    let effect = effect_of(app, id, Kind::Authorization).await;
    assert_eq!(effect.state, State::NotExecuted);
    change_card(app, id, Kind::Authorization, "tok_timeout_after").await;
    assert_eq!(message(app, id).await, (200, json!({ "asked": 1 })));
    let effect = effect_of(app, id, Kind::Authorization).await;
    assert_eq!(effect.state, State::Succeeded);
    app.settle().await;
    let voids = effects(app, id, Kind::Void).await;
    assert_eq!(voids, [(State::Succeeded, effect.amount_minor)]);
    assert_eq!(payment_of(app, id).await.authorized_minor, 0);
    assert_eq!(seen(app, id).await["paymentStatus"], "VOIDED");
}

async fn chargebacks(app: &TestApp) -> (i64, i64) {
    let now = app.app.clock.now();
    let all = ledger::trial_balance(&app.app.db.read, Currency::EUR, now, None).await;
    let all = all.unwrap();
    let of = |account: Account| {
        let own = all.iter().find(|one| one.account == account).unwrap();
        own.debit_minor - own.credit_minor
    };
    (of(Account::Chargebacks), of(Account::CashInTransit))
}

async fn j4_a_chargeback_is_booked_and_told_and_comes_back_when_it_is_won(app: &TestApp) {
    app.open_shop().await;
    let cup = app.stocked("CUP", 9, false).await;
    let (mut orders, mut amount) = (BTreeMap::new(), 0);
    for token in [
        "tok_chargeback",
        "tok_chargeback_won",
        "tok_chargeback_lost",
    ] {
        let id = placed(app, &cup, 1, card(token)).await;
        let shipment = packed(app, &cup, id, 1).await[0];
        leave(app, shipment).await;
        scanned(app, shipment).await;
        amount = payment_of(app, id).await.captured_minor;
        orders.insert(token, id);
    }
    app.settle().await;
    assert_eq!(chargebacks(app).await, (0, 3 * amount));
    later(app, 1).await;
    assert_eq!(chargebacks(app).await, (3 * amount, 0));
    for id in orders.values() {
        assert_eq!(open(app, *id).await, ["CHARGEBACK"]);
    }
    later(app, 1).await;
    assert_eq!(chargebacks(app).await, (3 * amount, 0), "once");
    later(app, 24).await;
    assert_eq!(chargebacks(app).await, (2 * amount, amount));
    let rows = dispute::Entity::find().all(&app.app.db.read).await.unwrap();
    for (token, state, said) in [
        ("tok_chargeback", dispute::State::Open, 1),
        ("tok_chargeback_won", dispute::State::Won, 0),
        ("tok_chargeback_lost", dispute::State::Lost, 1),
    ] {
        let id = orders[token];
        let own: Vec<_> = rows.iter().filter(|row| row.order_id == id).collect();
        assert_eq!((own.len(), own[0].state), (1, state), "{token}");
        assert_eq!(open(app, id).await.len(), said, "{token}");
        let timeline = events(app, id).await;
        let told = timeline
            .iter()
            .filter(|event| event.starts_with("order.dispute"));
        let wanted = if state == dispute::State::Open { 1 } else { 2 };
        assert_eq!(told.count(), wanted, "{token}: {timeline:?}");
    }
    let query = "query D($id: ID!) { order(by: { id: $id }) { payment { disputes {
        amount { amount } reason state closedAt } } } }";
    let id = api::graphql::ids::to_global(orders["tok_chargeback_won"]);
    let shown = app.gql(query, json!({ "id": id.as_str() })).await;
    let shown = &shown["order"]["payment"]["disputes"][0];
    assert_eq!(
        (&shown["state"], &shown["reason"]),
        (&json!("WON"), &json!("fraudulent"))
    );
}

fn settings(url: &str) -> [(&str, &str); 4] {
    [
        ("OMS__PAYMENTS__GATEWAY", "stripe"),
        ("OMS__PAYMENTS__STRIPE_URL", url),
        ("OMS__PAYMENTS__STRIPE_KEY", "sk_test_12345"),
        ("OMS__PAYMENTS__STRIPE_WEBHOOK_SECRET", SECRET),
    ]
}

async fn on(backend: Backend, stripe: &Stripe) -> Option<TestApp> {
    let place = Place::migrated(backend).await?;
    let url = stripe.url();
    let setup = Setup {
        settings: &settings(&url),
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    Some(app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_stripe_is_asked_under_one_key_and_never_captures_twice_sqlite() {
    asked_under_one_key(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_stripe_is_asked_under_one_key_and_never_captures_twice_postgres() {
    asked_under_one_key(Backend::Postgres).await;
}

/// Whatever becomes of our calls, a key is asked one thing, each intent is made and captured once,
/// and a minute later nothing is unknown.
async fn asked_under_one_key(backend: Backend) {
    let stripe = Stripe::start().await;
    let Some(app) = on(backend, &stripe).await else {
        return;
    };
    let mut dice = Dice::new(0x57e1);
    let cup = app.stocked("CUP", 100, false).await;
    let mut orders = 0;
    for round in 0..2 * Fate::ALL.len() {
        // Every fate is the first of a call of either kind.
        let first = Fate::ALL[round % Fate::ALL.len()];
        let fates = |dice: &mut Dice| [first, dice.one(&Fate::ALL), dice.one(&Fate::ALL)];
        let tried = format!("{first:?} on {backend}, round {round}");
        if round < Fate::ALL.len() {
            stripe.books().fates = fates(&mut dice).into();
        }
        let id = placed(&app, &cup, 1, card("pm_card")).await;
        known(&app, &stripe).await;
        assert_eq!(seen(&app, id).await["status"], "CONFIRMED", "{tried}");
        let shipment = packed(&app, &cup, id, 1).await[0];
        leave(&app, shipment).await;
        if round >= Fate::ALL.len() {
            stripe.books().fates = fates(&mut dice).into();
        }
        scanned(&app, shipment).await;
        known(&app, &stripe).await;
        orders += 1;
        assert_eq!(seen(&app, id).await["paymentStatus"], "PAID", "{tried}");
        let books = stripe.books();
        assert_eq!(
            (books.intents.len(), books.captures),
            (orders, orders),
            "{tried}"
        );
    }
    let books = stripe.books();
    let mut asked: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for call in &books.calls {
        let own = asked.entry(call.key.as_str()).or_default();
        own.insert((call.path.as_str(), call.form.as_str()));
    }
    assert_eq!(
        asked.len(),
        2 * orders,
        "an authorisation and a capture for each"
    );
    for (key, what) in &asked {
        assert!(!key.is_empty() && what.len() == 1, "{key}: {what:?}");
    }
    assert!(books.calls.len() > asked.len(), "something was asked again");
    drop(books);
    app.finish().await;
}

/// The next minutes, without more mishaps.
async fn known(app: &TestApp, stripe: &Stripe) {
    for _ in 0..4 {
        app.clock.advance(Duration::seconds(60));
        app.settle().await;
    }
    stripe.books().fates.clear();
    app.clock.advance(Duration::seconds(60));
    app.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j4_stripe_says_that_a_customer_takes_money_back_and_is_asked_for_it() {
    let stripe = Stripe::start().await;
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(app) = on(backend, &stripe).await else {
            continue;
        };
        let cup = app.stocked("CUP", 9, false).await;
        let id = placed(&app, &cup, 1, card("pm_card")).await;
        let shipment = packed(&app, &cup, id, 1).await[0];
        leave(&app, shipment).await;
        scanned(&app, shipment).await;
        let intent = effect_of(&app, id, Kind::Capture).await;
        let amount = intent.amount_minor;
        let said = |status: &str| {
            json!({ "id": "dp_1", "object": "dispute", "amount": amount, "currency": "eur",
                "status": status, "reason": "product_not_received",
                "payment_intent": intent.gateway_reference })
        };
        let tell = async |kind: &str, object: Value| {
            let event = json!({ "id": "evt", "type": kind, "data": { "object": object } });
            let (now, body) = (app.app.clock.now().timestamp(), event.to_string());
            send(&app, &signed(now, &body), &body).await
        };
        // What a message says is not believed.
        stripe.books().disputes.clear();
        let heard = tell("charge.dispute.created", said("needs_response")).await;
        assert_eq!(heard, (200, json!({ "asked": 0 })));
        assert_eq!(chargebacks(&app).await, (0, amount));
        for (status, asked, booked) in [
            ("warning_needs_response", 0, (0, amount)),
            ("needs_response", 1, (amount, 0)),
            ("under_review", 0, (amount, 0)),
            ("won", 1, (0, amount)),
            ("won", 0, (0, amount)),
        ] {
            stripe
                .books()
                .disputes
                .insert("dp_1".to_owned(), said(status));
            let heard = tell("charge.dispute.updated", said("lost")).await;
            assert_eq!(heard, (200, json!({ "asked": asked })), "{status}");
            assert_eq!(chargebacks(&app).await, booked, "{status}");
        }
        assert_eq!(open(&app, id).await, [""; 0]);
        app.finish().await;
    }
}

/// A server's certificate for `localhost`, and that of the authority that vouches for it.
fn certified() -> (TlsAcceptor, String) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_a_gateway_is_spoken_to_over_tls_if_it_is_vouched_for_and_not_otherwise() {
    api::tls::install();
    let (tls, authority) = certified();
    let stripe = Stripe::behind(tls).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let (url, file) = (stripe.url(), file.display().to_string());
    for (ca_file, intents, status) in [("", 0, "UNKNOWN"), (file.as_str(), 1, "AUTHORIZED")] {
        let place = Place::migrated(Backend::Sqlite).await.unwrap();
        let mut settings = settings(&url).to_vec();
        settings.push(("OMS__TLS__CA_FILE", ca_file));
        let setup = Setup {
            settings: &settings,
            ..Setup::default()
        };
        let app = TestApp::on(place, setup).await;
        app.open_shop().await;
        let cup = app.stocked("CUP", 9, false).await;
        let id = placed(&app, &cup, 1, card("pm_card")).await;
        assert_eq!(seen(&app, id).await["paymentStatus"], status);
        assert_eq!(stripe.books().intents.len(), intents);
        app.finish().await;
    }
    // A file that is not there is among the mistakes of the settings.
    let vars = [("OMS__TLS__CA_FILE".to_owned(), "/nowhere.pem".to_owned())];
    let error = api::config::Config::from_vars(vars).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("OMS__TLS__CA_FILE: /nowhere.pem"),
        "{error}"
    );
}
