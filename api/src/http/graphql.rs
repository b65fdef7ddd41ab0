//! The handler of `/graphql`: one operation in, one answer out.

use std::time::Instant;

use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use async_graphql::parser::types::OperationType;
use async_graphql::{Executor, Response};

use super::negotiate::Media;
use super::operation::{self, Operation};
use super::refusal::{Code, Refusal};
use super::request::{self, Parameters};
use super::request_id::{IdempotencyKey, Trace};
use super::{Endpoint, Pass, apq, execute, gate, response};
use crate::telemetry::figures::{self, Outcome};
use crate::tx::Origin;

/// Answers a GraphQL request, or says why not.
pub(super) async fn serve<E: Executor>(
    http: HttpRequest,
    payload: Payload,
    endpoint: Data<Endpoint<E>>,
) -> HttpResponse {
    let trace = Trace::of(&http);
    let media = match Media::negotiate(http.headers()) {
        Ok(media) => media,
        Err(refusal) => return response::refuse(refusal, Media::Json, &trace.id),
    };
    let began = Instant::now();
    let ended = |kind, outcome| {
        figures::operation_ended("http", kind, outcome, began.elapsed());
    };
    match handle(&http, payload, &endpoint, &trace).await {
        Ok((kind, answer)) => {
            ended(operation::name(kind), Outcome::of(&answer.errors));
            response::answer(&answer, media, &trace.id)
        }
        Err(refusal) => {
            ended("unknown", Outcome::Refused);
            response::refuse(refusal, media, &trace.id)
        }
    }
}

/// A request that may run.
pub(super) struct Accepted {
    /// Who asks.
    pub pass: Pass,
    /// What for.
    pub operation: Operation,
}

async fn handle<E: Executor>(
    http: &HttpRequest,
    payload: Payload,
    endpoint: &Endpoint<E>,
    trace: &Trace,
) -> Result<(OperationType, Response), Refusal> {
    let Accepted { pass, operation } = accept(http, payload, endpoint).await?;
    let Operation {
        mut request,
        places,
        kind,
        ..
    } = operation;
    if kind == OperationType::Subscription {
        return Err(Refusal::malformed(
            "Subscriptions run over the WebSocket at /graphql/ws, or here if Accept is \
             text/event-stream.",
        ));
    }
    request.data = pass.data;
    request = request.data(trace.id.clone());
    let mut answer = execute::run(
        endpoint.executor.clone(),
        request,
        &endpoint.runtime,
        endpoint.patience,
        trace.span("http"),
    )
    .await?;
    response::finish(&mut answer, &places, &trace.id);
    Ok((kind, answer))
}

/// From the cheapest question to the dearest: method, headers, credentials, body, document. A
/// stranger learns nothing about the schema and costs no parsing.
pub(super) async fn accept<E: Executor>(
    http: &HttpRequest,
    payload: Payload,
    endpoint: &Endpoint<E>,
) -> Result<Accepted, Refusal> {
    let posted = match *http.method() {
        Method::POST => true,
        Method::GET => false,
        _ => {
            return Err(Refusal::method(
                "GET, POST",
                "Send the operation by POST or GET.",
            ));
        }
    };
    if posted {
        request::require_json(http.headers())?;
    }
    let key = IdempotencyKey::of(http.headers())?;
    let credentials = http
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| gate::credentials(value.to_str().ok()?));
    let mut pass = execute::admit(
        &*endpoint.gate,
        credentials,
        &endpoint.runtime,
        endpoint.patience,
    )
    .await?;

    let parameters = if posted {
        Parameters::from_post(http.headers(), payload, &endpoint.limits).await?
    } else {
        Parameters::from_get(http.query_string(), &endpoint.limits)?
    };
    let operation = read(parameters, endpoint).await?;
    if operation.kind == OperationType::Mutation && !posted {
        return Err(Refusal::method("POST", "Mutations are sent by POST."));
    }
    if let Some(key) = key {
        pass.data.insert(key);
    }
    pass.data.insert(Origin::of(http));
    Ok(Accepted { pass, operation })
}

/// Finds the text behind the parameters and makes an operation of it.
pub(super) async fn read<E>(
    parameters: Parameters,
    endpoint: &Endpoint<E>,
) -> Result<Operation, Refusal> {
    let hash = apq::hash(parameters.extensions.as_ref())?;
    let brought = parameters.query.is_some();
    let text = endpoint.persisted.text(parameters.query, hash).await?;
    let operation = operation::prepare(
        &text,
        parameters.operation_name,
        parameters.variables.unwrap_or_default(),
        parameters.extensions.unwrap_or_default(),
        &endpoint.limits,
    )
    .map_err(|error| {
        debug_assert!(response::code(&error).is_some(), "uncoded: {error}");
        Refusal::document(vec![error])
    })?;
    if let (Some(hash), true) = (hash, brought) {
        endpoint.persisted.keep(hash, text).await;
    }
    Ok(operation)
}

/// What a client reads when it holds as many operations as it may.
pub(super) fn too_many(allowed: usize) -> async_graphql::ServerError {
    let mut error = Code::Throttled.error(
        format!("A socket may hold at most {allowed} operations at a time."),
        None,
    );
    error
        .extensions
        .get_or_insert_default()
        .set("allowed", allowed);
    error
}
