//! What the journeys stand on: the whole app on a database of its own, a clock that tests move,
//! clients for both transports, and the list of all entities.
//!
//! A journey is written once and runs on every back end:
//!
//! ```text
//! both_backends!(a_key_that_was_revoked_is_refused);
//!
//! async fn a_key_that_was_revoked_is_refused(app: &TestApp) {
//!     let data = app.gql("query ($id: ID!) { order(id: $id) { status } }", json!({ "id": id })).await;
//! }
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "the rig makes what the app is not to make for itself"
)]

mod app;
mod clock;
pub mod decoders;
pub mod dice;
pub mod easypost;
mod entities;
pub mod mail;
pub mod merchant;
mod places;
pub mod postgres;
pub mod python;
pub mod redis;
pub mod stripe;
mod ws;

pub use app::{Answer, Setup, TestApp, journey};
pub use clock::MockClock;
pub use entities::{ExpectedColumn, ExpectedTable, entities};
pub use places::{Backend, Place};
pub use ws::{Ended, Socket};

/// A client of HTTP for those who ask from outside.
pub fn http() -> reqwest::Client {
    let resting = std::time::Duration::from_secs(30);
    let client = api::tls::plain().pool_idle_timeout(resting);
    client.build().expect("a client of HTTP")
}

/// Makes two tests of each journey, `name::sqlite` and `name::postgres`. A journey is an
/// `async fn(&TestApp)` beside the list; the app is settled and checked when it ends.
#[macro_export]
macro_rules! both_backends {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::journey($crate::Backend::Sqlite, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::journey($crate::Backend::Postgres, super::$name).await;
            }
        }
    )+};
}
