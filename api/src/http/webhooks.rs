//! What others send by themselves: `POST /webhooks/carriers/{code}` and
//! `POST /webhooks/payments/{code}`.
//!
//! A message is answered only when what it says is kept; a repetition says nothing new and is
//! answered the same.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, HeaderMap};
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;

use super::body;
use super::negotiate::Media;
use super::request_id::Trace;
use super::response;
use crate::app::{App, Message};
use crate::failure::Failure;
use crate::payments::gateway;
use crate::shipping::messages::{Signature, Unheard};

/// How large a message may be.
const LARGEST: usize = 1024 * 1024;

/// Whose messages are taken, and where they are taken in.
#[derive(Clone)]
pub struct Webhooks {
    app: Arc<App>,
    runtime: Handle,
}

impl Webhooks {
    /// Those of an app. Operations run in the present runtime: a sender that goes away must not
    /// cancel what it began.
    pub fn of(app: Arc<App>) -> Webhooks {
        Webhooks {
            app,
            runtime: Handle::current(),
        }
    }
}

/// Mounts `/webhooks/carriers/{code}` and `/webhooks/payments/{code}`.
pub fn configure(cfg: &mut web::ServiceConfig, webhooks: Webhooks) {
    cfg.app_data(Data::new(webhooks))
        .route("/webhooks/carriers/{code}", web::post().to(of_carrier))
        .route("/webhooks/payments/{code}", web::post().to(of_gateway));
}

async fn of_gateway(
    http: HttpRequest,
    path: Path<String>,
    payload: Payload,
    webhooks: Data<Webhooks>,
) -> HttpResponse {
    let trace = Trace::of(http.headers());
    let body = match body::read(http.headers(), payload, LARGEST).await {
        Ok(body) => body,
        Err(refusal) => return response::refuse(refusal, Media::Json, &trace.id),
    };
    let signature = http.headers().get("stripe-signature");
    let signature = signature.and_then(|value| value.to_str().ok());
    let (name, signature) = (path.into_inner(), signature.unwrap_or_default().to_owned());
    let app = webhooks.app.clone();
    let heard = webhooks
        .runtime
        .spawn(async move { app.hear_gateway(&name, &signature, &body).await })
        .await;
    let (status, said) = match heard {
        Ok(Ok(Ok(round))) => {
            // What failed is asked about again by itself.
            round.failures.iter().for_each(failed);
            (200, json!({ "asked": round.done }))
        }
        Ok(Ok(Err(unheard))) => {
            let status = match unheard {
                gateway::Unheard::Unknown => 404,
                gateway::Unheard::Unsigned => 401,
                gateway::Unheard::Malformed => 400,
            };
            (status, json!({ "error": unheard.to_string() }))
        }
        Ok(Err(failure)) => not_now(&failure),
        Err(error) => not_now(&Failure::Internal(error.to_string())),
    };
    answer(status, said)
}

async fn of_carrier(
    http: HttpRequest,
    path: Path<String>,
    payload: Payload,
    webhooks: Data<Webhooks>,
) -> HttpResponse {
    let trace = Trace::of(http.headers());
    let body = match body::read(http.headers(), payload, LARGEST).await {
        Ok(body) => body,
        Err(refusal) => return response::refuse(refusal, Media::Json, &trace.id),
    };
    let message = Message {
        carrier: path.into_inner(),
        signature: signature(http.headers()),
        body,
    };
    let app = webhooks.app.clone();
    let heard = webhooks
        .runtime
        .spawn(async move { app.hear_carrier(&message).await })
        .await;
    let (status, said) = match heard {
        Ok(Ok(Ok(heard))) => (200, json!({ "new": heard.new, "parked": heard.parked })),
        Ok(Ok(Err(unheard))) => {
            let status = match unheard {
                Unheard::Unknown => 404,
                Unheard::Unsigned => 401,
                Unheard::Malformed => 400,
            };
            (status, json!({ "error": unheard.to_string() }))
        }
        Ok(Err(failure)) => not_now(&failure),
        Err(error) => not_now(&Failure::Internal(error.to_string())),
    };
    answer(status, said)
}

/// Whoever sent it sends it again.
fn not_now(failure: &Failure) -> (u16, Json) {
    failed(failure);
    (503, json!({ "error": "not now" }))
}

fn failed(failure: &Failure) {
    tracing::error!(%failure, "a message from outside was not taken in");
}

fn answer(status: u16, said: Json) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(said)
}

fn signature(headers: &HeaderMap) -> Signature {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.trim().to_owned())
    };
    Signature {
        easypost: text("x-hmac-signature"),
        own: text("x-oms-signature"),
        timestamp: text("x-oms-timestamp"),
    }
}
