//! Whether the process lives, and whether it can take requests.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use async_graphql::Executor;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::timeout;

use super::Endpoint;

/// How long the checks may take together.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the checks come to: ready, with whatever works less well than it should; or the reasons
/// why not.
type Verdict = Result<Vec<String>, Vec<String>>;

/// Asks the app whether it can take requests.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> BoxFuture<'static, Verdict> + Send + Sync>);

impl Readiness {
    /// Asks `check` each time. Its future is spawned and never cancelled, so it may use the
    /// database. The reasons are shown to anyone: they name what is missing and no addresses.
    pub fn asking<F, R>(check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<String>, Vec<String>>> + Send + 'static,
    {
        Readiness(Arc::new(move || Box::pin(check())))
    }

    /// Ready at all times.
    pub fn always() -> Self {
        Self::asking(|| async { Ok(Vec::new()) })
    }
}

/// 200 as long as this thread turns its loop.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body("ok")
}

/// 200 with `{"status":"ready"}` or `{"status":"degraded","reasons":[…]}`, or 503 with
/// `{"status":"unready","reasons":[…]}`.
pub(super) async fn readyz<E: Executor>(endpoint: Data<Endpoint<E>>) -> HttpResponse {
    let verdict = if *endpoint.shutdown.borrow() {
        Err(vec!["draining".to_owned()])
    } else {
        let check = endpoint.runtime.spawn((endpoint.readiness.0)());
        match timeout(PATIENCE, check).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err(vec!["the checks failed".to_owned()]),
            Err(_) => Err(vec!["the checks did not finish in time".to_owned()]),
        }
    };
    let (mut answer, body) = match verdict {
        Ok(reasons) if reasons.is_empty() => (HttpResponse::Ok(), json!({ "status": "ready" })),
        Ok(reasons) => (
            HttpResponse::Ok(),
            json!({ "status": "degraded", "reasons": reasons }),
        ),
        Err(reasons) => (
            HttpResponse::ServiceUnavailable(),
            json!({ "status": "unready", "reasons": reasons }),
        ),
    };
    answer.insert_header((CACHE_CONTROL, "no-store")).json(body)
}
