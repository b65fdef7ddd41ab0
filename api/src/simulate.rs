//! A believable stream of orders over the API of a running server: the demo merchant's channels
//! and customers, guests in ten countries, and the mistakes that people and storefronts make.
//!
//! It speaks HTTP and nothing else, so that what it sees is what a client sees. Rate and time are
//! bounded, and so are the requests under way: a slow server gets fewer orders, not a heap of
//! them. The same seed gives the same orders under the same references; sent again to the same
//! database, they are replays.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::clock::{Clock, SystemClock};

mod chance;
mod people;
mod shop;
mod shopper;
mod tally;
mod till;

use shopper::{Plan, Shopper};
use tally::{Outcome, Tally};
use till::Till;

/// How many orders are under way at most.
const UNDER_WAY: usize = 256;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

const SUBMIT: &str = "mutation Submit($input: OrderSubmitInput!) {
  orderSubmit(input: $input) {
    order { id stage exceptions { code blocking } }
    userErrors { code }
    replayed
  }
}";

const CANCEL: &str = "mutation Cancel($input: OrderEndInput!) {
  orderCancel(input: $input) { order { id } userErrors { code } }
}";

/// What stream, and where to.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Orders a second.
    pub rate: f64,
    /// For how long.
    pub time: Duration,
    /// The API.
    pub url: String,
    /// The API key.
    pub key: Option<String>,
    /// Which stream.
    pub seed: u64,
}

/// What a stream came to.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// A table for people.
    pub summary: String,
    /// Whether every request got a proper answer.
    pub whole: bool,
}

/// The stream could not begin.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoServer(String);

/// Sends the stream. `heard` is told every second how many submissions went out and what became
/// of them. Ends early when `stop` completes; orders under way come to their end.
pub async fn run(
    stream: &Stream,
    mut heard: impl FnMut(u64, &dyn Fn() -> String),
    stop: impl Future<Output = ()>,
) -> Result<Streamed, NoServer> {
    let client = Client::new(stream)?;
    let articles = match client.send(shop::QUERY, json!({})).await {
        Ok(answer) => shop::read(&answer).unwrap_or_else(shop::of_the_demo),
        // A server that answers at all may still not know the query.
        Err(why) if why == "HTTP 400" => shop::of_the_demo(),
        Err(why) => return Err(NoServer(format!("{}: {why}", stream.url))),
    };
    let mut shopper = Shopper::new(stream.seed, articles);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    let till = Till::on(&client).await;
    let mut tasks = JoinSet::new();
    let mut orders = tokio::time::interval(Duration::from_secs_f64(1.0 / stream.rate));
    // Behind a slow server the lost time is not made up for.
    orders.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut counter = tokio::time::interval(till::EVERY);
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let end = tokio::time::sleep(stream.time);
    let mut stop = std::pin::pin!(stop);
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = &mut end => break,
            _ = seconds.tick() => {
                let tally = lock(&tally);
                heard(tally.sent, &|| tally.line());
            }
            _ = counter.tick() => {
                if let Some(till) = till.clone() {
                    let client = client.clone();
                    tasks.spawn(async move { till.speak(&client, SystemClock.now()).await });
                }
            }
            _ = orders.tick() => {
                while tasks.try_join_next().is_some() {}
                // With none free the server is behind, and this order is not thought up.
                let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
                let (plan, client, tally) = (shopper.next(), client.clone(), tally.clone());
                tasks.spawn(async move {
                    let cancel = submit(&client, &tally, &plan).await;
                    drop(slot);
                    if let Some((after, order)) = cancel {
                        tokio::time::sleep(after).await;
                        cancel_order(&client, &tally, &order).await;
                    }
                });
            }
        }
    }
    while tasks.join_next().await.is_some() {}
    if let Some(till) = till {
        till.off(&client).await;
    }
    let tally = lock(&tally);
    Ok(Streamed {
        summary: tally.to_string(),
        whole: tally.failed == 0 && tally.sent > 0,
    })
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends an order, once or twice; says which order to cancel, and after how long.
async fn submit(client: &Client, tally: &Mutex<Tally>, plan: &Plan) -> Option<(Duration, String)> {
    let first = send_order(client, tally, plan.input.clone()).await;
    if let Some(again) = plan.again {
        send_order(client, tally, plan.repetition(again)).await;
    }
    Some((Duration::from_millis(plan.cancelled_after?), first?))
}

async fn send_order(client: &Client, tally: &Mutex<Tally>, input: Json) -> Option<String> {
    lock(tally).sent += 1;
    let started = Instant::now();
    let answer = client.send(SUBMIT, json!({ "input": input })).await;
    let took = started.elapsed();
    let (outcome, order) = match answer {
        Ok(answer) => read_submit(&answer),
        Err(why) => (Outcome::Failed(why), None),
    };
    lock(tally).add(outcome, took);
    order
}

async fn cancel_order(client: &Client, tally: &Mutex<Tally>, order: &str) {
    let input = json!({ "id": order, "reason": "the customer changed their mind" });
    let started = Instant::now();
    let outcome = match client.send(CANCEL, json!({ "input": input })).await {
        Ok(answer) => {
            let payload = &answer["data"]["orderCancel"];
            let codes = codes(payload);
            if let Some(failed) = failed(&answer) {
                Outcome::Failed(failed)
            } else if codes.is_empty() {
                Outcome::Cancelled
            } else {
                Outcome::NotCancelled(codes)
            }
        }
        Err(why) => Outcome::Failed(why),
    };
    lock(tally).add(outcome, started.elapsed());
}

fn read_submit(answer: &Json) -> (Outcome, Option<String>) {
    if let Some(failed) = failed(answer) {
        return (Outcome::Failed(failed), None);
    }
    let payload = &answer["data"]["orderSubmit"];
    let Some(order) = payload["order"].as_object() else {
        return (Outcome::Refused(codes(payload)), None);
    };
    let id = order.get("id").and_then(Json::as_str).map(str::to_owned);
    if payload["replayed"] == true {
        return (Outcome::Replayed, id);
    }
    let flags = order
        .get("exceptions")
        .and_then(Json::as_array)
        .map_or_else(Vec::new, |all| {
            all.iter()
                .filter_map(|flag| flag["code"].as_str())
                .map(str::to_owned)
                .collect()
        });
    let stage = order
        .get("stage")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned();
    (Outcome::Taken { stage, flags }, id)
}

fn codes(payload: &Json) -> Vec<String> {
    payload["userErrors"]
        .as_array()
        .map_or_else(Vec::new, |errors| {
            errors
                .iter()
                .filter_map(|error| error["code"].as_str())
                .map(str::to_owned)
                .collect()
        })
}

/// The code of an answer's first error, if it has one.
fn failed(answer: &Json) -> Option<String> {
    let error = answer.get("errors")?.get(0)?;
    let code = error.pointer("/extensions/code").and_then(Json::as_str);
    Some(code.unwrap_or("an error without a code").to_owned())
}

/// Speaks GraphQL over HTTP.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
}

impl Client {
    fn new(stream: &Stream) -> Result<Client, NoServer> {
        let http = crate::tls::plain()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| NoServer(error.to_string()))?;
        Ok(Client {
            http,
            url: stream.url.clone(),
            key: stream.key.clone(),
        })
    }

    /// The answer, or in a few words why there is none. Refusals are answers.
    async fn send(&self, query: &str, variables: Json) -> Result<Json, String> {
        let body = json!({ "query": query, "variables": variables });
        let mut request = self
            .http
            .post(&self.url)
            .header("accept", "application/json")
            .json(&body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|error| in_few_words(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("HTTP {}", status.as_u16()));
        }
        response.json().await.map_err(|error| in_few_words(&error))
    }
}

fn in_few_words(error: &reqwest::Error) -> String {
    let words = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_decode() || error.is_body() {
        "the answer broke off"
    } else {
        "the request could not be sent"
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_answer_is_understood() {
        let taken = json!({ "data": { "orderSubmit": { "replayed": false, "userErrors": [],
            "order": { "id": "x", "stage": "ON_HOLD", "exceptions": [{ "code": "A" }] } } } });
        let flags = vec!["A".to_owned()];
        let stage = "ON_HOLD".to_owned();
        let id = Some("x".to_owned());
        assert_eq!(
            read_submit(&taken),
            (Outcome::Taken { stage, flags }, id.clone())
        );
        let mut again = taken;
        again["data"]["orderSubmit"]["replayed"] = json!(true);
        assert_eq!(read_submit(&again), (Outcome::Replayed, id));
        let refused = json!({ "data": { "orderSubmit": { "order": null, "replayed": false,
            "userErrors": [{ "code": "SKU_UNKNOWN" }] } } });
        assert_eq!(
            read_submit(&refused).0,
            Outcome::Refused(vec!["SKU_UNKNOWN".to_owned()])
        );
        let failed = json!({ "data": null, "errors": [{ "extensions": { "code": "INTERNAL" } }] });
        assert_eq!(
            read_submit(&failed).0,
            Outcome::Failed("INTERNAL".to_owned())
        );
    }
}
