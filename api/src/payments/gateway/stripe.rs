//! Stripe: an authorisation is a PaymentIntent that is captured by hand.
//!
//! Stripe captures a PaymentIntent once, and lets go of the rest then (several captures are for few
//! of its accounts). So each shipment but the last is captured from an authorisation of its own: a
//! capture says that the rest was let go, and the rest is set aside afresh from the same card. For
//! that the card must be kept: a token is `pm_…`, or `cus_…/pm_…` of a customer at Stripe who allows
//! payments in their absence. Until Stripe has answered for one capture of an order, no other is
//! asked for.
//!
//! A part of a PaymentIntent cannot be given back before its capture. It is merely not captured; the
//! PaymentIntent is cancelled with the last part.
//!
//! Every request that does something bears our transaction as its `Idempotency-Key`, which Stripe
//! keeps for a day, and in its metadata. What became of it is read from lists and objects, which are
//! never out of date; Stripe's search is.

use std::time::Duration as Span;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use entity::payment_transaction::Kind;
use entity::{Currency, Money, TransactionId, dispute};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value as Json;
use url::form_urlencoded::Serializer;

use super::{Answer, Dispute, Known, Notice, PaymentGateway};
use crate::config::PaymentsConfig;
use crate::payments::{Effect, Source};
use crate::signatures::{self, Unheard};
use crate::tls;

/// How long a call may take, and the making of its connection: less than [`super::PATIENCE`].
const CALL: Span = Span::from_secs(9);
const CONNECT: Span = Span::from_secs(3);

/// For how long a repetition with the same key is the same request: an hour less than Stripe says.
const KEY_HOURS: i64 = 23;

/// How many pages of a list are read to find something.
const PAGES: usize = 20;

/// Where an object bears our transaction.
const OURS: &str = "oms_transaction";

/// A client of Stripe.
pub struct Stripe {
    client: Client,
    url: String,
    key: String,
    webhook_secret: String,
}

/// What came of a call.
enum Reply {
    /// Done, or read.
    Success(Json),
    /// It refused and did nothing; its reason.
    Refused(String),
    /// No definite answer.
    Silence,
}

impl Stripe {
    /// A client, if the settings have a key.
    pub fn of(config: &PaymentsConfig, ca_file: &str) -> Option<Stripe> {
        if config.stripe_key.is_empty() {
            return None;
        }
        let client = tls::client(ca_file).ok()?.timeout(CALL);
        Some(Stripe {
            client: client.connect_timeout(CONNECT).build().ok()?,
            url: config.stripe_url.trim_end_matches('/').to_owned(),
            key: config.stripe_key.clone(),
            webhook_secret: config.stripe_webhook_secret.clone(),
        })
    }

    async fn post(&self, path: &str, key: TransactionId, form: &[(&str, &str)]) -> Reply {
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request
            .header("Idempotency-Key", key.to_string())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        self.call(request).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Reply {
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        let url = format!("{}{path}?{query}", self.url);
        self.call(self.client.get(url)).await
    }

    async fn call(&self, request: RequestBuilder) -> Reply {
        let Ok(response) = request.bearer_auth(&self.key).send().await else {
            return Reply::Silence;
        };
        let status = response.status();
        let Ok(body) = response.json::<Json>().await else {
            return Reply::Silence;
        };
        match status {
            status if status.is_success() => Reply::Success(body),
            StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND
                if body["error"]["type"] != "idempotency_error" && body["error"].is_object() =>
            {
                Reply::Refused(reason(&body["error"]))
            }
            // A key of ours that is wrong, too many calls, one that is under way: none of that is
            // an answer to what was asked.
            _ => Reply::Silence,
        }
    }

    async fn authorize(&self, effect: &Effect) -> Answer {
        let token = effect.instrument.as_deref().unwrap_or_default();
        let (customer, method) = match token.split_once('/') {
            Some((customer, method)) => (Some(customer), method),
            None => (None, token),
        };
        let amount = amount(effect.amount);
        let currency = effect.amount.currency.to_string().to_lowercase();
        let (id, order) = (effect.id.to_string(), effect.order_id.to_string());
        let mut form = vec![
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("payment_method", method),
            ("capture_method", "manual"),
            ("confirm", "true"),
            ("off_session", "true"),
            ("metadata[oms_transaction]", &id),
            ("metadata[oms_order]", &order),
        ];
        form.extend(customer.map(|customer| ("customer", customer)));
        match self.post("/v1/payment_intents", effect.id, &form).await {
            Reply::Success(intent) => authorized(effect, &intent),
            Reply::Refused(code) => Answer::Declined { code },
            Reply::Silence => Answer::Unknown,
        }
    }

    async fn capture(&self, effect: &Effect, from: &Source) -> Answer {
        let path = format!("/v1/payment_intents/{}/capture", from.reference);
        let amount = amount(effect.amount);
        let form = [("amount_to_capture", amount.as_str())];
        match self.post(&path, effect.id, &form).await {
            Reply::Success(intent) => captured(effect, from, &intent).unwrap_or(Answer::Unknown),
            // It may be that it was captured, or that it has run out.
            Reply::Refused(code) => match self.find_capture(effect, from).await {
                Known::Answered(answer) => answer,
                Known::Absent => Answer::Declined { code },
                Known::Unclear => Answer::Unknown,
            },
            Reply::Silence => Answer::Unknown,
        }
    }

    async fn find_capture(&self, effect: &Effect, from: &Source) -> Known {
        let Some(intent) = self.intent(from).await else {
            return Known::Unclear;
        };
        match captured(effect, from, &intent) {
            Some(answer) => Known::Answered(answer),
            None if intent["status"] == "requires_capture" => Known::Absent,
            None => Known::Unclear,
        }
    }

    async fn void(&self, effect: &Effect, from: &Source) -> Answer {
        if !ends(from) {
            return done(&from.reference);
        }
        let path = format!("/v1/payment_intents/{}/cancel", from.reference);
        match self.post(&path, effect.id, &[]).await {
            Reply::Success(intent) if intent["status"] == "canceled" => done(&from.reference),
            Reply::Success(_) | Reply::Silence => Answer::Unknown,
            Reply::Refused(code) => match self.intent(from).await {
                Some(intent) if intent["status"] == "canceled" => done(&from.reference),
                Some(_) => Answer::Declined { code },
                None => Answer::Unknown,
            },
        }
    }

    async fn refund(&self, effect: &Effect, from: &Source) -> Answer {
        let (amount, id) = (amount(effect.amount), effect.id.to_string());
        let form = [
            ("payment_intent", from.reference.as_str()),
            ("amount", &amount),
            ("metadata[oms_transaction]", &id),
        ];
        match self.post("/v1/refunds", effect.id, &form).await {
            Reply::Success(refund) => refunded(&refund),
            Reply::Refused(code) => Answer::Declined { code },
            Reply::Silence => Answer::Unknown,
        }
    }

    /// The PaymentIntent that an effect draws on.
    async fn intent(&self, from: &Source) -> Option<Json> {
        let path = format!("/v1/payment_intents/{}", from.reference);
        match self.get(&path, &[]).await {
            Reply::Success(intent) if intent["id"] == from.reference => Some(intent),
            _ => None,
        }
    }

    /// What on a list bears our transaction; an error if the list cannot be read to its end.
    async fn find(
        &self,
        path: &str,
        among: &[(&str, &str)],
        id: TransactionId,
    ) -> Result<Option<Json>, ()> {
        let id = id.to_string();
        let mut after: Option<String> = None;
        for _ in 0..PAGES {
            let mut query = among.to_vec();
            query.push(("limit", "100"));
            query.extend(after.as_deref().map(|after| ("starting_after", after)));
            let Reply::Success(mut page) = self.get(path, &query).await else {
                return Err(());
            };
            let Json::Array(items) = page["data"].take() else {
                return Err(());
            };
            after = items
                .last()
                .and_then(|last| last["id"].as_str().map(str::to_owned));
            let mut items = items.into_iter();
            if let Some(found) = items.find(|item| item["metadata"][OURS] == id) {
                return Ok(Some(found));
            }
            if page["has_more"] != true || after.is_none() {
                return Ok(None);
            }
        }
        Err(())
    }
}

#[async_trait]
impl PaymentGateway for Stripe {
    async fn execute(&self, effect: &Effect, _: DateTime<Utc>) -> Answer {
        match (effect.kind, &effect.source) {
            (Kind::Authorization, _) => self.authorize(effect).await,
            (Kind::Capture, Some(from)) => self.capture(effect, from).await,
            (Kind::Void, Some(from)) => self.void(effect, from).await,
            (Kind::Refund, Some(from)) => self.refund(effect, from).await,
            (_, None) => Answer::NotExecuted,
        }
    }

    async fn look_up(&self, effect: &Effect, now: DateTime<Utc>) -> Known {
        match (effect.kind, &effect.source) {
            (Kind::Authorization, _) => {
                // Our clocks may differ.
                let since = effect.first_sent_at.unwrap_or(now) - Duration::hours(1);
                let since = since.timestamp().to_string();
                let among = [("created[gte]", since.as_str())];
                match self.find("/v1/payment_intents", &among, effect.id).await {
                    Ok(Some(intent)) => match authorized(effect, &intent) {
                        Answer::Unknown => Known::Unclear,
                        answer => Known::Answered(answer),
                    },
                    Ok(None) => Known::Absent,
                    Err(()) => Known::Unclear,
                }
            }
            (Kind::Capture, Some(from)) => self.find_capture(effect, from).await,
            (Kind::Void, Some(from)) if !ends(from) => Known::Answered(done(&from.reference)),
            (Kind::Void, Some(from)) => match self.intent(from).await {
                Some(intent) if intent["status"] == "canceled" => {
                    Known::Answered(done(&from.reference))
                }
                Some(_) => Known::Absent,
                None => Known::Unclear,
            },
            (Kind::Refund, Some(from)) => {
                let among = [("payment_intent", from.reference.as_str())];
                match self.find("/v1/refunds", &among, effect.id).await {
                    Ok(Some(refund)) => match refunded(&refund) {
                        Answer::Unknown => Known::Unclear,
                        answer => Known::Answered(answer),
                    },
                    Ok(None) => Known::Absent,
                    Err(()) => Known::Unclear,
                }
            }
            (_, None) => Known::Unclear,
        }
    }

    async fn look_up_dispute(&self, reference: &str) -> Option<Dispute> {
        let Reply::Success(said) = self.get(&format!("/v1/disputes/{reference}"), &[]).await else {
            return None;
        };
        disputed(reference, &said)
    }

    fn repeats_within(&self) -> Duration {
        Duration::hours(KEY_HOURS)
    }

    fn hear(&self, signature: &str, body: &[u8], now: DateTime<Utc>) -> Result<Notice, Unheard> {
        if self.webhook_secret.is_empty() {
            return Err(Unheard::Unknown);
        }
        check(&self.webhook_secret, signature, body, now)?;
        let event: Json = serde_json::from_slice(body).map_err(|_| Unheard::Malformed)?;
        let object = &event["data"]["object"];
        if !object.is_object() {
            return Err(Unheard::Malformed);
        }
        let text = |field: &Json| field.as_str().map(str::to_owned);
        let is_dispute = object["object"] == "dispute";
        let transaction = object["metadata"][OURS].as_str();
        Ok(Notice {
            transaction: transaction.and_then(|id| Some(TransactionId(id.parse().ok()?))),
            reference: text(&object["payment_intent"]).or_else(|| text(&object["id"])),
            dispute: text(&object["id"]).filter(|id| is_dispute && is_plain(id)),
        })
    }
}

/// Whether a void is the last of its PaymentIntent: nothing was captured from it, and all of it goes
/// back.
fn ends(from: &Source) -> bool {
    from.voided_minor >= from.amount_minor
}

fn done(reference: &str) -> Answer {
    Answer::Succeeded {
        reference: reference.to_owned(),
        expires_at: None,
        rest_released: false,
    }
}

/// An amount as Stripe counts: as we do, but for two currencies that it gives the minor unit which
/// they have lost.
fn minor(money: Money) -> i64 {
    match money.currency.code() {
        "ISK" | "UGX" => money.minor.saturating_mul(100),
        _ => money.minor,
    }
}

fn amount(money: Money) -> String {
    minor(money).to_string()
}

fn reason(error: &Json) -> String {
    let words = [&error["decline_code"], &error["code"], &error["type"]];
    let word = words.into_iter().find_map(Json::as_str);
    word.unwrap_or("refused").chars().take(100).collect()
}

/// What a PaymentIntent says about an authorisation.
fn authorized(effect: &Effect, intent: &Json) -> Answer {
    let is_ours = intent["metadata"][OURS] == effect.id.to_string()
        && intent["amount"].as_i64() == Some(minor(effect.amount));
    let (Some(reference), true) = (intent["id"].as_str(), is_ours) else {
        return Answer::Unknown;
    };
    let declined = |code: &str| Answer::Declined {
        code: code.to_owned(),
    };
    match intent["status"].as_str() {
        Some("requires_capture") => {
            let card = &intent["latest_charge"]["payment_method_details"]["card"];
            let until = card["capture_before"].as_i64();
            Answer::Succeeded {
                reference: reference.to_owned(),
                expires_at: until.and_then(|until| DateTime::from_timestamp(until, 0)),
                rest_released: false,
            }
        }
        Some("requires_payment_method") => Answer::Declined {
            code: reason(&intent["last_payment_error"]),
        },
        // Nobody is there to do what the bank asks for.
        Some("requires_action") => declined("authentication_required"),
        Some("canceled") => declined("canceled"),
        _ => Answer::Unknown,
    }
}

/// What a PaymentIntent says about its one capture; none if it was not captured yet.
fn captured(effect: &Effect, from: &Source, intent: &Json) -> Option<Answer> {
    if intent["id"] != from.reference {
        return None;
    }
    let received = &intent["amount_received"];
    let fits = received.is_null() || received.as_i64() == Some(minor(effect.amount));
    match intent["status"].as_str() {
        Some("succeeded") if fits => Some(Answer::Succeeded {
            reference: from.reference.clone(),
            expires_at: None,
            rest_released: true,
        }),
        Some("canceled") => Some(Answer::Declined {
            code: "authorization_expired".to_owned(),
        }),
        // What was set aside is not there any more.
        Some("requires_payment_method") => Some(Answer::Declined {
            code: reason(&intent["last_payment_error"]),
        }),
        _ => None,
    }
}

/// What Stripe says of a dispute; none of an inquiry, which takes no money.
fn disputed(reference: &str, said: &Json) -> Option<Dispute> {
    let state = match said["status"].as_str()? {
        "won" => dispute::State::Won,
        "lost" => dispute::State::Lost,
        "needs_response" | "under_review" => dispute::State::Open,
        _ => return None,
    };
    let currency: Currency = said["currency"].as_str()?.parse().ok()?;
    let minor = said["amount"].as_i64()?;
    let minor = match currency.code() {
        "ISK" | "UGX" => minor / 100,
        _ => minor,
    };
    let is_it = said["id"] == reference && minor > 0;
    is_it.then(|| Dispute {
        reference: reference.to_owned(),
        of: said["payment_intent"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        amount: Money::new(minor, currency),
        reason: reason_of(&said["reason"]),
        state,
    })
}

fn reason_of(word: &Json) -> String {
    let word = word.as_str().unwrap_or("general");
    word.chars().take(100).collect()
}

/// Whether a name can stand in a path.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain)
}

fn refunded(refund: &Json) -> Answer {
    match (refund["status"].as_str(), refund["id"].as_str()) {
        (Some("succeeded" | "pending"), Some(id)) => done(id),
        (Some("failed" | "canceled"), _) => Answer::Declined {
            code: refund["failure_reason"]
                .as_str()
                .unwrap_or("failed")
                .to_owned(),
        },
        _ => Answer::Unknown,
    }
}

/// Checks a signature as Stripe makes it: `t=<seconds>,v1=<HMAC of "<seconds>.<body>">`, of which
/// there may be several.
fn check(secret: &str, signature: &str, body: &[u8], now: DateTime<Utc>) -> Result<(), Unheard> {
    let named = |name: &'static str| {
        let parts = signature.split(',');
        let parts = parts.filter_map(|part| part.trim().split_once('='));
        parts.filter(move |(part, _)| *part == name)
    };
    let (_, stamp) = named("t").next().ok_or(Unheard::Unsigned)?;
    let signed = [stamp.as_bytes(), b".", body];
    let is_signed =
        named("v1").any(|(_, given)| signatures::is_signed(secret.as_bytes(), &signed, given));
    match is_signed && signatures::is_fresh(stamp, now) {
        true => Ok(()),
        false => Err(Unheard::Unsigned),
    }
}
