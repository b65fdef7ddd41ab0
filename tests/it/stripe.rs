//! Stripe as somebody else has built it: localstripe, which speaks its API and forgets nothing
//! until it ends. It knows neither idempotency keys nor when an object was made; what follows from
//! those is told by a gateway of ours in `payment_laws`.

use std::process::{Child, Command, Stdio};
use std::time::Duration as Wait;

use entity::payment_transaction::{Kind, State};
use entity::shipment::TrackingStatus;
use entity::{OrderId, payment_transaction};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::merchant::codes;
use support::{Backend, Place, Setup, TestApp};

use crate::captures::{
    act, card, effects, leave, open, packed, part, payment_of, placed, scanned, seen,
};

pub const SECRET: &str = "whsec_what_stripe_and_we_know";

struct Localstripe {
    process: Child,
    port: u16,
}

impl Drop for Localstripe {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Localstripe {
    async fn start() -> Result<Localstripe, String> {
        let python = support::python::with("localstripe", "1.15.10").await?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let process = Command::new(python)
            .args(["-m", "localstripe", "--from-scratch", "--port"])
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let server = Localstripe { process, port };
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
            {
                tokio::time::sleep(Wait::from_millis(20)).await;
            }
        };
        let listening = tokio::time::timeout(Wait::from_secs(60), listening).await;
        listening.map_err(|_| "localstripe does not listen".to_owned())?;
        Ok(server)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A card that Stripe keeps.
    async fn card(&self, number: &str) -> String {
        let form = format!(
            "type=card&card[number]={number}&card[exp_month]=12&card[exp_year]=2030&card[cvc]=123"
        );
        let answer = support::http()
            .post(format!("{}/v1/payment_methods", self.url()))
            .bearer_auth("sk_test_12345")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let card: Value = answer.send().await.unwrap().json().await.unwrap();
        card["id"].as_str().unwrap().to_owned()
    }

    async fn intent(&self, id: &str) -> Value {
        let asked = support::http()
            .get(format!("{}/v1/payment_intents/{id}", self.url()))
            .bearer_auth("sk_test_12345");
        asked.send().await.unwrap().json().await.unwrap()
    }
}

/// What Stripe calls the effects of an order of one kind that succeeded.
async fn names(app: &TestApp, id: OrderId, kind: Kind) -> Vec<String> {
    rows(app, id, kind)
        .await
        .into_iter()
        .filter_map(|row| row.gateway_reference)
        .collect()
}

async fn rows(app: &TestApp, id: OrderId, kind: Kind) -> Vec<payment_transaction::Model> {
    let rows = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::OrderId.eq(id))
        .filter(payment_transaction::Column::Kind.eq(kind))
        .order_by_asc(payment_transaction::Column::CreatedAt)
        .order_by_asc(payment_transaction::Column::Id);
    rows.all(&app.app.db.read).await.unwrap()
}

pub fn signed(at: i64, body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v0=old,v1={hex}")
}

pub async fn send(app: &TestApp, signature: &str, body: &str) -> (u16, Value) {
    let request = support::http()
        .post(app.url("/webhooks/payments/stripe"))
        .header("stripe-signature", signature)
        .body(body.to_owned());
    let answer = app.send(request).await;
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_stripe_as_others_have_built_it_is_authorised_captured_refunded_and_voided() {
    let stripe = match Localstripe::start().await {
        Ok(stripe) => stripe,
        Err(missing) => {
            let required = std::env::var_os("OMS_REQUIRE_LOCALSTRIPE").is_some();
            assert!(!required, "localstripe: {missing}");
            eprintln!("skipped: localstripe cannot be had: {missing}");
            return;
        }
    };
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(place) = Place::migrated(backend).await else {
            continue;
        };
        let url = stripe.url();
        let settings = [
            ("OMS__PAYMENTS__GATEWAY", "stripe"),
            ("OMS__PAYMENTS__STRIPE_URL", url.as_str()),
            ("OMS__PAYMENTS__STRIPE_KEY", "sk_test_12345"),
            ("OMS__PAYMENTS__STRIPE_WEBHOOK_SECRET", SECRET),
        ];
        let setup = Setup {
            settings: &settings,
            ..Setup::default()
        };
        let app = TestApp::on(place, setup).await;
        app.open_shop().await;
        journey(&app, &stripe).await;
        app.finish().await;
    }
}

async fn journey(app: &TestApp, stripe: &Localstripe) {
    let cup = app.stocked("CUP", 20, false).await;
    let good = stripe.card("4242424242424242").await;

    // Two shipments: the first is captured from what was set aside, which lets go of the rest; the
    // second from what is set aside afresh.
    let id = placed(app, &cup, 2, card(&good)).await;
    let total = payment_of(app, id).await.authorized_minor;
    assert_eq!(payment_of(app, id).await.gateway, "stripe");
    assert!(total > 0);
    part(app, id, 1).await;
    let shipments = packed(app, &cup, id, 1).await;
    for shipment in &shipments {
        leave(app, *shipment).await;
        scanned(app, *shipment).await;
    }
    app.settle().await;
    assert_eq!(open(app, id).await, [""; 0]);
    assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
    let intents = names(app, id, Kind::Authorization).await;
    assert_eq!(intents.len(), 2);
    let mut received = 0;
    for intent in &intents {
        let intent = stripe.intent(intent).await;
        assert_eq!(intent["status"], "succeeded");
        let charge = &intent["latest_charge"];
        let charge = if charge.is_object() {
            charge
        } else {
            &intent["charges"]["data"][0]
        };
        let amount = |name: &str| charge[name].as_i64().unwrap();
        // localstripe gives back what was not captured.
        received += amount("amount") - amount("amount_refunded");
    }
    assert_eq!(received, total);

    // A part of a capture goes back.
    let refund = |amount: &str| json!({ "amount": amount, "reason": "it came late" });
    let given = act(app, "orderRefund", id, refund("1.00")).await;
    assert_eq!(codes(&given), [""; 0]);
    let after = payment_of(app, id).await;
    assert_eq!((after.refund_pending_minor, after.refunded_minor), (0, 100));
    assert_eq!(seen(app, id).await["paymentStatus"], "PARTIALLY_REFUNDED");
    let all = format!("{}.{:02}", total / 100, total % 100);
    let too_much = act(app, "orderRefund", id, refund(&all)).await;
    assert_eq!(codes(&too_much), ["REFUND_EXCEEDS_CAPTURED"]);

    // What is called off is cancelled there.
    let id = placed(app, &cup, 1, card(&good)).await;
    let cancel = "mutation C($id: ID!) { orderCancel(input: { id: $id, reason: \"no\" }) {
        userErrors { code } } }";
    let order = seen(app, id).await["id"].clone();
    app.gql(cancel, json!({ "id": order })).await;
    assert_eq!(seen(app, id).await["paymentStatus"], "VOIDED");
    let intent = &names(app, id, Kind::Authorization).await[0];
    assert_eq!(stripe.intent(intent).await["status"], "canceled");

    // A card that is declined, and one that nobody knows.
    let declined = stripe.card("4000000000000341").await;
    for token in [declined.as_str(), "pm_nobody"] {
        let id = placed(app, &cup, 1, card(token)).await;
        assert_eq!(open(app, id).await, ["PAYMENT_DECLINED"]);
        let asked = effects(app, id, Kind::Authorization).await;
        assert_eq!(asked[0].0, State::Declined);
    }

    // A message makes us ask; a repetition, a forged one and an old one do not.
    let id = placed(app, &cup, 1, card(&good)).await;
    let shipment = packed(app, &cup, id, 1).await[0];
    leave(app, shipment).await;
    crate::captures::heard(app, shipment, TrackingStatus::InTransit, false).await;
    assert_eq!(effects(app, id, Kind::Capture).await[0].0, State::Sent);
    let intent = &names(app, id, Kind::Authorization).await[0];
    let body = json!({ "id": "evt_1", "type": "payment_intent.amount_capturable_updated",
        "data": { "object": { "id": intent, "object": "payment_intent", "metadata": {} } } });
    let body = body.to_string();
    let now = app.app.clock.now().timestamp();
    assert_eq!(send(app, &signed(now - 301, &body), &body).await.0, 401);
    assert_eq!(send(app, &signed(now, "{}"), &body).await.0, 401);
    assert_eq!(send(app, &signed(now, "nonsense"), "nonsense").await.0, 400);
    let heard = send(app, &signed(now, &body), &body).await;
    assert_eq!(heard, (200, json!({ "asked": 1 })));
    assert_eq!(seen(app, id).await["paymentStatus"], "PAID");
    let again = send(app, &signed(now, &body), &body).await;
    assert_eq!(again, (200, json!({ "asked": 0 })));
    assert_eq!(effects(app, id, Kind::Capture).await.len(), 1);
}
