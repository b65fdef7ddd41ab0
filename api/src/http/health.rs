//! Whether the process lives, and whether it can take requests.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use async_graphql::Executor;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::Endpoint;

/// How long the checks may take together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the app whether it can take requests; it answers with the reasons why not.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> BoxFuture<'static, Result<(), Vec<String>>> + Send + Sync>);

impl Readiness {
    /// Asks `check` each time. Its future is spawned and never cancelled, so it may use the
    /// database. The reasons are shown to anyone: they name what is missing and no addresses.
    pub fn asking<F, R>(check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Vec<String>>> + Send + 'static,
    {
        Readiness(Arc::new(move || Box::pin(check())))
    }

    /// Ready at all times.
    pub fn always() -> Self {
        Self::asking(|| async { Ok(()) })
    }
}

/// 200 as long as this thread turns its loop.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body("ok")
}

/// 200 with `{"status":"ready"}`, or 503 with `{"status":"unready","reasons":[…]}`.
pub(super) async fn readyz<E: Executor>(endpoint: Data<Endpoint<E>>) -> HttpResponse {
    let reasons = if *endpoint.shutdown.borrow() {
        vec!["draining".to_owned()]
    } else {
        let check = endpoint.runtime.spawn((endpoint.readiness.0)());
        match timeout(PATIENCE, check).await {
            Ok(Ok(Ok(()))) => Vec::new(),
            Ok(Ok(Err(reasons))) => reasons,
            Ok(Err(_)) => vec!["the checks failed".to_owned()],
            Err(_) => vec!["the checks did not finish in time".to_owned()],
        }
    };
    if reasons.is_empty() {
        HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(serde_json::json!({ "status": "ready" }))
    } else {
        HttpResponse::ServiceUnavailable()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(serde_json::json!({ "status": "unready", "reasons": reasons }))
    }
}
