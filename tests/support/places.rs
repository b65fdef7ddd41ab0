//! Where a test's data is: a file in a folder of its own, or a database of its own.

use std::fmt;

use api::config::{Config, DatabaseConfig};
use tempfile::TempDir;

use crate::postgres;

/// The databases that the app runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Sqlite => "SQLite",
            Backend::Postgres => "PostgreSQL",
        })
    }
}

/// A database of a test's own, there until [`Place::remove`].
pub struct Place {
    /// Which one it is.
    pub backend: Backend,
    /// What the app connects to.
    pub url: String,
    /// Where it is, on SQLite; goes with the place.
    folder: Option<TempDir>,
    /// What it is on, on PostgreSQL.
    server: Option<String>,
}

impl Place {
    /// A database with the schema; none if there is no server and none is required.
    pub async fn migrated(backend: Backend) -> Option<Place> {
        match backend {
            // The app migrates its file itself.
            Backend::Sqlite => Some(Place::file()),
            Backend::Postgres => {
                let server = postgres::server()?;
                let url = postgres::migrated(&server).await;
                Some(Place::on(server, url))
            }
        }
    }

    /// A database without a schema; none if there is no server and none is required.
    pub async fn empty(backend: Backend) -> Option<Place> {
        match backend {
            Backend::Sqlite => Some(Place::file()),
            Backend::Postgres => {
                let server = postgres::server()?;
                let url = postgres::empty(&server).await;
                Some(Place::on(server, url))
            }
        }
    }

    fn file() -> Place {
        let folder = TempDir::with_prefix("oms-test-").expect("a folder");
        let file = folder.path().join("oms.db");
        Place {
            backend: Backend::Sqlite,
            url: format!("sqlite:{}", file.display()),
            folder: Some(folder),
            server: None,
        }
    }

    fn on(server: String, url: String) -> Place {
        Place {
            backend: Backend::Postgres,
            url,
            folder: None,
            server: Some(server),
        }
    }

    /// The settings of a test's app, with more of them over ours.
    pub fn config(&self, more: &[(&str, &str)]) -> Config {
        // `OMS_TEST_CONNECTIONS=1 .ci/test` runs everything with pools of one, which shows any
        // code that takes a second connection while it holds one.
        let connections = std::env::var("OMS_TEST_CONNECTIONS").unwrap_or_else(|_| "4".to_owned());
        let ours = [
            ("OMS__DATABASE__URL", self.url.as_str()),
            ("OMS__DATABASE__MAX_CONNECTIONS", &connections),
            ("OMS__DATABASE__SQLITE_SYNCHRONOUS", "off"),
            ("OMS__SERVER__LISTEN", "127.0.0.1:0"),
            ("OMS__SERVER__THREADS", "1"),
            ("OMS__SERVER__SHUTDOWN_SECS", "1"),
            ("OMS__ACCESS__PEPPER", "a pepper for tests"),
            ("OMS__ACCESS__ENVIRONMENT", "test"),
        ];
        let all = ours.iter().chain(more);
        let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_vars(all).expect("the settings of a test")
    }

    /// The settings of its database.
    pub fn database(&self) -> DatabaseConfig {
        self.config(&[]).database
    }

    /// Removes it.
    pub async fn remove(self) {
        if let Some(server) = &self.server {
            postgres::remove(server, &self.url).await;
        }
        drop(self.folder);
    }
}
