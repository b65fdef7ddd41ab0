//! What others send by themselves: `POST /webhooks/carriers/{code}` and
//! `POST /webhooks/payments/{code}`.
//!
//! A message is answered only when what it says is kept; a repetition says nothing new and is
//! answered the same.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap};
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;

use super::body;
use super::negotiate::Media;
use super::request_id::Trace;
use super::response;
use crate::app::{App, Message};
use crate::failure::Failure;
use crate::shipping::messages::Signature;
use crate::signatures::Unheard;

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

    /// Reads a message, has it heard, and answers it.
    async fn take_in<F>(
        &self,
        http: &HttpRequest,
        payload: Payload,
        hear: impl FnOnce(Arc<App>, Bytes) -> F,
    ) -> HttpResponse
    where
        F: Future<Output = Result<Result<Json, Unheard>, Failure>> + Send + 'static,
    {
        let trace = Trace::of(http);
        let body = match body::read(http.headers(), payload, LARGEST).await {
            Ok(body) => body,
            Err(refusal) => return response::refuse(refusal, Media::Json, &trace.id),
        };
        let heard = self.runtime.spawn(hear(self.app.clone(), body)).await;
        let (status, said) = match heard {
            Ok(Ok(Ok(said))) => (StatusCode::OK, said),
            Ok(Ok(Err(unheard))) => {
                let status = match unheard {
                    Unheard::Unknown => StatusCode::NOT_FOUND,
                    Unheard::Unsigned => StatusCode::UNAUTHORIZED,
                    Unheard::Malformed => StatusCode::BAD_REQUEST,
                };
                (status, json!({ "error": unheard.to_string() }))
            }
            Ok(Err(failure)) => not_now(&failure),
            Err(error) => not_now(&Failure::Internal(error.to_string())),
        };
        HttpResponse::build(status)
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(said)
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
    let signature = text(http.headers(), "stripe-signature").unwrap_or_default();
    let name = path.into_inner();
    webhooks
        .take_in(&http, payload, |app, body| async move {
            let heard = app.hear_gateway(&name, &signature, &body).await?;
            Ok(heard.map(|round| {
                // What failed is asked about again by itself.
                round.failures.iter().for_each(failed);
                json!({ "asked": round.done })
            }))
        })
        .await
}

async fn of_carrier(
    http: HttpRequest,
    path: Path<String>,
    payload: Payload,
    webhooks: Data<Webhooks>,
) -> HttpResponse {
    let headers = http.headers();
    let signature = Signature {
        easypost: text(headers, "x-hmac-signature"),
        own: text(headers, "x-oms-signature"),
        timestamp: text(headers, "x-oms-timestamp"),
    };
    let carrier = path.into_inner();
    webhooks
        .take_in(&http, payload, |app, body| async move {
            let message = Message {
                carrier,
                signature,
                body,
            };
            let heard = app.hear_carrier(&message).await?;
            Ok(heard.map(|heard| json!({ "new": heard.new, "parked": heard.parked })))
        })
        .await
}

/// Whoever sent it sends it again.
fn not_now(failure: &Failure) -> (StatusCode, Json) {
    failed(failure);
    (
        StatusCode::SERVICE_UNAVAILABLE,
        json!({ "error": "not now" }),
    )
}

fn failed(failure: &Failure) {
    tracing::error!(%failure, "a message from outside was not taken in");
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.trim().to_owned())
}
