//! Settings: an embedded file of commented defaults, and `OMS__SECTION__KEY` from the environment
//! over it. Every mistake is reported at start, in one list.

use std::collections::BTreeMap;

use lettre::{AsyncSmtpTransport, Tokio1Executor};
use serde::Deserialize;
use toml::{Table, Value};

/// The defaults, as `oms serve` uses them when nothing else is said.
pub const DEFAULTS: &str = include_str!("config.toml");

/// Every setting. What each means stands beside its default in `config.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the API listens.
    pub server: ServerConfig,
    /// Where the data is.
    pub database: DatabaseConfig,
    /// What carries events between nodes.
    pub redis: RedisConfig,
    /// How long the log of events can be read again.
    pub events: EventsConfig,
    /// Whom to trust on the way out.
    pub tls: TlsConfig,
    /// How the log is written.
    pub log: LogConfig,
    /// What the program tells of itself besides its log.
    pub telemetry: TelemetryConfig,
    /// What callers may do.
    pub access: AccessConfig,
    /// What is printed.
    pub documents: DocumentsConfig,
    /// What is exported.
    pub exports: ExportsConfig,
    /// The background work.
    pub workers: WorkersConfig,
    /// Who is asked for labels.
    pub shipping: ShippingConfig,
    /// Who is asked for money.
    pub payments: PaymentsConfig,
    /// How messages reach people.
    pub mail: MailConfig,
}

/// Where the API listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: String,
    /// HTTP worker threads; 0 = one for each core.
    pub threads: usize,
    /// Browser origins that may open a socket, besides our own.
    pub allowed_origins: Vec<String>,
    /// Whether introspection is answered.
    pub introspection: bool,
    /// How long a connection may rest between two requests, in seconds.
    pub keep_alive_secs: u64,
    /// How long requests may take to finish at shutdown, in seconds.
    pub shutdown_secs: u64,
}

/// Where the data is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// Connections of the pool (of the readers, on SQLite).
    pub max_connections: u32,
    /// How long a request waits for a connection, in seconds.
    pub acquire_timeout_secs: u64,
    /// SQLite's `synchronous`: `full`, `normal` or `off`.
    pub sqlite_synchronous: String,
}

/// What carries events between nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://…`; empty = none.
    pub url: String,
    /// What the names of our channels begin with.
    pub prefix: String,
}

/// How long the log of events can be read again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// In days; 0 = for ever.
    pub retention_days: u32,
    /// For how many days it is kept where requests came from; 0 = for ever.
    pub origin_days: u32,
}

/// How the log is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// `pretty` or `json`.
    pub format: String,
    /// A `tracing` filter.
    pub filter: String,
}

/// What the program tells of itself besides its log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where Prometheus finds `/metrics`; empty = nowhere.
    pub metrics_listen: String,
    /// Where an OpenTelemetry collector takes traces over HTTP; empty = nowhere.
    pub otlp_endpoint: String,
    /// How many of a hundred traces that begin here are kept.
    pub trace_percent: u32,
}

/// What callers may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessConfig {
    /// The secret under which API keys are hashed.
    pub pepper: String,
    /// The environment's name in new keys.
    pub environment: String,
}

/// What is printed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentsConfig {
    /// The secret under which the addresses of documents are signed; empty = one in the database.
    pub url_secret: String,
    /// How long such an address can be used, in seconds.
    pub url_secs: u32,
}

/// What is exported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportsConfig {
    /// For how many days an export can be read.
    pub keep_days: u32,
}

/// The background work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkersConfig {
    /// How often the workers look for what is due, in milliseconds.
    pub interval_ms: u64,
}

/// Who is asked for labels.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShippingConfig {
    /// Where EasyPost is.
    pub easypost_url: String,
    /// The key for it; empty = it is not asked.
    pub easypost_key: String,
}

/// Whom to trust on the way out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A file of certificates of authorities, besides those that Mozilla trusts; empty = none.
    pub ca_file: String,
}

/// Who is asked for money.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentsConfig {
    /// The gateway that new orders by card are paid through: `sandbox` or `stripe`.
    pub gateway: String,
    /// Where Stripe is.
    pub stripe_url: String,
    /// The secret key for it; empty = it is not asked.
    pub stripe_key: String,
    /// What its messages are signed with; empty = they are not heard.
    pub stripe_webhook_secret: String,
    /// After how many seconds without a definite answer a person is told.
    pub unknown_secs: u32,
}

/// How messages reach people.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// `smtp://…` or `smtps://…`; empty = none.
    pub smtp_url: String,
    /// A folder to write messages into; empty = none.
    pub folder: String,
    /// The address that messages come from.
    pub from: String,
    /// How long a message may take to hand over, in seconds.
    pub timeout_secs: u64,
}

/// The longest that a message may take to hand over, in seconds. Who takes a message up to send it
/// has it for longer than this.
pub const LONGEST_MAIL_SECS: u64 = 300;

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[error("the settings have {} mistake(s):\n{}", .0.len(), .0.iter().map(|m| format!("  - {m}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// The defaults with the environment over them.
    pub fn load() -> Result<Config, ConfigError> {
        Config::from_vars(std::env::vars())
    }

    /// The defaults with variables over them; variables that do not begin with `OMS__` are not
    /// ours.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let mut mistakes = Vec::new();
        let mut settings: Table = toml::from_str(DEFAULTS)
            .map_err(|error| ConfigError(vec![format!("config.toml: {error}")]))?;
        let vars: BTreeMap<String, String> = vars
            .into_iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("OMS__")?.to_lowercase(), value)))
            .collect();
        for (name, text) in vars {
            let variable = format!("OMS__{}", name.to_uppercase());
            let known = name
                .split_once("__")
                .and_then(|(section, key)| settings.get_mut(section)?.as_table_mut()?.get_mut(key));
            match known {
                None => mistakes.push(format!("{variable}: there is no such setting")),
                Some(value) => match parse_like(value, &text) {
                    Ok(parsed) => *value = parsed,
                    Err(expected) => {
                        mistakes.push(format!("{variable}: {text:?} is not {expected}"));
                    }
                },
            }
        }
        let config: Config = match settings.try_into() {
            Ok(config) => config,
            Err(error) => {
                mistakes.push(error.to_string());
                return Err(ConfigError(mistakes));
            }
        };
        config.check(&mut mistakes);
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(mistakes))
        }
    }

    fn check(&self, mistakes: &mut Vec<String>) {
        let mut require = |holds: bool, mistake: String| {
            if !holds {
                mistakes.push(mistake);
            }
        };
        let url = &self.database.url;
        require(
            url.starts_with("sqlite:")
                || url.starts_with("postgres://")
                || url.starts_with("postgresql://"),
            format!("OMS__DATABASE__URL: {url:?} is neither sqlite:PATH nor postgres://…"),
        );
        require(
            self.server.listen.parse::<std::net::SocketAddr>().is_ok(),
            format!(
                "OMS__SERVER__LISTEN: {:?} is not ADDRESS:PORT",
                self.server.listen
            ),
        );
        require(
            self.database.max_connections > 0,
            "OMS__DATABASE__MAX_CONNECTIONS: at least 1 is needed".to_owned(),
        );
        require(
            ["full", "normal", "off"].contains(&self.database.sqlite_synchronous.as_str()),
            format!(
                "OMS__DATABASE__SQLITE_SYNCHRONOUS: {:?} is none of full, normal, off",
                self.database.sqlite_synchronous
            ),
        );
        // What the URL is is not said: a password may stand in it.
        require(
            self.redis.url.is_empty() || redis::Client::open(self.redis.url.as_str()).is_ok(),
            "OMS__REDIS__URL: not redis://USER:PASSWORD@HOST:PORT/DB (TLS is not built in)"
                .to_owned(),
        );
        require(
            self.redis.url.is_empty() || !url.starts_with("sqlite:"),
            "OMS__REDIS__URL: SQLite serves one node, and needs no Redis".to_owned(),
        );
        require(
            ["pretty", "json"].contains(&self.log.format.as_str()),
            format!(
                "OMS__LOG__FORMAT: {:?} is neither pretty nor json",
                self.log.format
            ),
        );
        require(
            self.log
                .filter
                .parse::<tracing_subscriber::EnvFilter>()
                .is_ok(),
            format!("OMS__LOG__FILTER: {:?} is no filter", self.log.filter),
        );
        let TelemetryConfig {
            metrics_listen,
            otlp_endpoint,
            trace_percent,
        } = &self.telemetry;
        require(
            metrics_listen.is_empty() || metrics_listen.parse::<std::net::SocketAddr>().is_ok(),
            format!("OMS__TELEMETRY__METRICS_LISTEN: {metrics_listen:?} is not ADDRESS:PORT"),
        );
        require(
            otlp_endpoint.is_empty() || otlp_endpoint.starts_with("http://"),
            format!("OMS__TELEMETRY__OTLP_ENDPOINT: {otlp_endpoint:?} is not http://HOST:PORT"),
        );
        require(
            *trace_percent <= 100,
            format!("OMS__TELEMETRY__TRACE_PERCENT: {trace_percent} is more than 100"),
        );
        let DocumentsConfig {
            url_secret,
            url_secs,
        } = &self.documents;
        require(
            url_secret.is_empty() || url_secret.len() >= 16,
            "OMS__DOCUMENTS__URL_SECRET: at least 16 characters are needed".to_owned(),
        );
        require(
            (1..=604_800).contains(url_secs),
            format!("OMS__DOCUMENTS__URL_SECS: {url_secs} is not between 1 and 604800"),
        );
        require(
            (1..=3_650).contains(&self.exports.keep_days),
            "OMS__EXPORTS__KEEP_DAYS: 1 to 3650 are needed".to_owned(),
        );
        require(
            self.workers.interval_ms > 0,
            "OMS__WORKERS__INTERVAL_MS: at least 1 is needed".to_owned(),
        );
        if let Err(error) = crate::tls::client_config(&self.tls.ca_file) {
            require(false, format!("OMS__TLS__CA_FILE: {error}"));
        }
        let easypost = &self.shipping.easypost_url;
        require(
            is_web(easypost),
            format!("OMS__SHIPPING__EASYPOST_URL: {easypost:?} is not https://HOST:PORT"),
        );
        let PaymentsConfig {
            gateway,
            stripe_url,
            stripe_key,
            stripe_webhook_secret: _,
            unknown_secs: _,
        } = &self.payments;
        require(
            ["sandbox", "stripe"].contains(&gateway.as_str()),
            format!("OMS__PAYMENTS__GATEWAY: {gateway:?} is neither sandbox nor stripe"),
        );
        require(
            gateway != "stripe" || !stripe_key.is_empty(),
            "OMS__PAYMENTS__STRIPE_KEY: needed for the gateway stripe".to_owned(),
        );
        require(
            is_web(stripe_url),
            format!("OMS__PAYMENTS__STRIPE_URL: {stripe_url:?} is not https://HOST:PORT"),
        );
        let MailConfig {
            smtp_url,
            folder,
            from,
            timeout_secs,
        } = &self.mail;
        require(
            smtp_url.is_empty() || AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp_url).is_ok(),
            "OMS__MAIL__SMTP_URL: not smtp:// or smtps://USER:PASSWORD@HOST:PORT".to_owned(),
        );
        require(
            smtp_url.is_empty() || folder.is_empty(),
            "OMS__MAIL__FOLDER: there is a mail server already".to_owned(),
        );
        require(
            from.parse::<lettre::Address>().is_ok(),
            format!("OMS__MAIL__FROM: {from:?} is no e-mail address"),
        );
        require(
            (1..=LONGEST_MAIL_SECS).contains(timeout_secs),
            format!("OMS__MAIL__TIMEOUT_SECS: 1 to {LONGEST_MAIL_SECS} seconds"),
        );
        require(
            !self.access.environment.is_empty()
                && self
                    .access
                    .environment
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric()),
            "OMS__ACCESS__ENVIRONMENT: letters and digits only".to_owned(),
        );
    }

    /// Whether the API can be reached from other machines.
    pub fn is_public(&self) -> bool {
        self.server
            .listen
            .parse::<std::net::SocketAddr>()
            .is_ok_and(|address| !address.ip().is_loopback())
    }
}

/// Whether a URL is of the web, in the open or not.
fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Reads text as the type that the default has.
fn parse_like(default: &Value, text: &str) -> Result<Value, &'static str> {
    match default {
        Value::Integer(_) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| "a whole number"),
        Value::Boolean(_) => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| "true or false"),
        Value::Array(_) => Ok(Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        )),
        _ => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn load(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_defaults_are_good_as_they_stand() {
        let config = load(&[("PATH", "/bin")]).unwrap();
        assert!(config.database.url.starts_with("sqlite:"));
        assert!(!config.is_public());
    }

    #[test]
    fn the_environment_wins_over_the_defaults() {
        let config = load(&[
            ("OMS__SERVER__LISTEN", "0.0.0.0:80"),
            (
                "OMS__SERVER__ALLOWED_ORIGINS",
                "https://a.example, https://b.example",
            ),
        ])
        .unwrap();
        assert!(config.is_public());
        assert_eq!(config.server.allowed_origins.len(), 2);
    }

    #[test]
    fn every_mistake_is_in_one_list() {
        let error = load(&[
            ("OMS__SERVER__LISTEN", "nowhere"),
            ("OMS__DATABASE__URL", "mysql://x"),
            ("OMS__DATABASE__MAX_CONNECTIONS", "many"),
            ("OMS__SERVRE__LISTEN", "x"),
            ("OMS__LOG__FORMAT", "xml"),
            ("OMS__REDIS__URL", "http://user:secret@x"),
            ("OMS__MAIL__SMTP_URL", "http://user:secret@x"),
            ("OMS__MAIL__FOLDER", "mail"),
            ("OMS__MAIL__FROM", "orders"),
            ("OMS__MAIL__TIMEOUT_SECS", "0"),
        ])
        .unwrap_err();
        assert_eq!(error.0.len(), 10, "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
