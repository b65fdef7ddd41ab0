//! A mailer that speaks SMTP.
//!
//! The conversation is led step by step, and not left to the library's own transport, since what an
//! error means depends on where it comes: before the end of the message nothing has been taken;
//! after it, only the server's answer says.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use entity::message::Reason;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{Answer, Mail, Mailer, compose};

/// How many connections are kept for the next messages.
const MOST_IDLE: usize = 4;

/// For how long.
const IDLE: Duration = Duration::from_secs(30);

/// How a connection is protected.
enum Tls {
    /// Not at all.
    None,
    /// From the first byte.
    Wrapper,
    /// After a greeting in the open: always, or only where the server can.
    Upgrade { required: bool },
}

/// Hands messages to an SMTP server.
pub struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello: ClientId,
    from: Address,
    patience: Duration,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Smtp {
    /// A mailer from `smtp://` or `smtps://USER:PASSWORD@HOST:PORT`; `smtp://…?tls=required` and
    /// `?tls=opportunistic` upgrade the connection.
    pub fn new(url: &str, from: Address, patience: Duration) -> Result<Smtp, String> {
        // What the URL is is not said: a password may stand in it.
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls");
        let (tls, usual_port) = match (url.scheme(), tls.as_ref().map(|(_, value)| &**value)) {
            ("smtps", None) => (Tls::Wrapper, 465),
            ("smtp", None) => (Tls::None, 25),
            ("smtp", Some("required")) => (Tls::Upgrade { required: true }, 587),
            ("smtp", Some("opportunistic")) => (Tls::Upgrade { required: false }, 587),
            _ => return Err("neither smtp:// nor smtps://, or another tls=".to_owned()),
        };
        let decoded = |text: &str| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8();
            text.map(String::from)
                .map_err(|_| "not UTF-8 in the user or password".to_owned())
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(
                decoded(url.username())?,
                decoded(password)?,
            )),
            None => None,
        };
        Ok(Smtp {
            host: url.host_str().ok_or("no host")?.to_owned(),
            port: url.port().unwrap_or(usual_port),
            tls,
            credentials,
            hello: ClientId::default(),
            from,
            patience,
            idle: Mutex::default(),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(AsyncSmtpConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was kept and still lives.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, since) = self.idle().pop()?;
            if since.elapsed() < IDLE && connection.test_connected().await {
                return Some(connection);
            }
        }
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, Failed> {
        if let Some(connection) = self.kept().await {
            return Ok(connection);
        }
        let parameters = || TlsParameters::new(self.host.clone());
        let wrapper = match self.tls {
            Tls::Wrapper => Some(parameters()?),
            Tls::None | Tls::Upgrade { .. } => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(self.patience),
            &self.hello,
            wrapper,
            None,
        )
        .await?;
        if let Tls::Upgrade { required } = self.tls
            && (required || connection.can_starttls())
        {
            connection.starttls(parameters()?, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// Says who writes to whom, up to the server's word that it listens.
    async fn announce(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipient: &Address,
    ) -> Result<(), Failed> {
        let mut parameters = Vec::new();
        let plain = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if !plain(&self.from) || !plain(recipient) {
            let info = connection.server_info();
            if !info.supports_feature(Extension::SmtpUtfEight) {
                let said = "the server takes no addresses beyond ASCII".to_owned();
                return Err(Failed(Some(Reason::Rejected), said));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = MailFrom::new(Some(self.from.clone()), parameters);
        connection.command(from).await?;
        let to = Rcpt::new(recipient.clone(), Vec::new());
        connection.command(to).await?;
        connection.command(Data).await?;
        Ok(())
    }

    async fn converse(&self, mail: &Mail, until: Instant) -> Result<Response, Answer> {
        let rejected = |error: String| Answer::failed(Reason::Rejected, &error);
        let message = compose(mail, &self.from).map_err(rejected)?;
        let recipient = mail.recipient.parse::<Address>();
        let recipient = recipient.map_err(|error| rejected(error.to_string()))?;
        let late = || Answer::failed(Reason::Unreachable, "the server was too slow");
        // What goes wrong up to here is about us and the server, and not about the message, though
        // the server may call it permanent: a password that is wrong today is right tomorrow.
        let connection = timeout_at(until, self.connection()).await;
        let mut connection = connection
            .map_err(|_| late())?
            .map_err(|Failed(_, said)| Answer::failed(Reason::Unreachable, &said))?;
        timeout_at(until, self.announce(&mut connection, &recipient))
            .await
            .map_err(|_| late())?
            .map_err(|failed| failed.or(Reason::Unreachable))?;
        let taken = timeout_at(until, connection.message(&message.formatted())).await;
        let taken = taken
            .map_err(|_| Answer::failed(Reason::Unanswered, "the server was too slow to answer"))?;
        let response = taken.map_err(|error| Failed::from(error).or(Reason::Unanswered))?;
        let mut idle = self.idle();
        if idle.len() < MOST_IDLE {
            idle.push((connection, Instant::now()));
        }
        Ok(response)
    }
}

/// An error, with what it means if the server has spoken.
struct Failed(Option<Reason>, String);

impl Failed {
    /// What it means, if it is otherwise for this reason.
    fn or(self, otherwise: Reason) -> Answer {
        Answer::failed(self.0.unwrap_or(otherwise), &self.1)
    }
}

impl From<lettre::transport::smtp::Error> for Failed {
    fn from(error: lettre::transport::smtp::Error) -> Failed {
        let reason = match (error.is_transient(), error.is_permanent()) {
            (true, _) => Some(Reason::Deferred),
            (_, true) => Some(Reason::Rejected),
            _ => None,
        };
        Failed(reason, error.to_string())
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Answer {
        match self.converse(mail, Instant::now() + self.patience).await {
            Ok(response) => Answer::accepted(response.first_line().unwrap_or_default()),
            Err(answer) => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        let smtp = |url: &str| {
            let from = "orders@shop.example".parse().expect("an address");
            Smtp::new(url, from, Duration::from_secs(1))
        };
        let of = |url: &str| {
            let smtp = smtp(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            (smtp.host, smtp.port, smtp.credentials.is_some())
        };
        let host = || "mail.example".to_owned();
        assert_eq!(of("smtp://mail.example"), (host(), 25, false));
        assert_eq!(of("smtps://a%40b:p%3Aw@mail.example"), (host(), 465, true));
        assert_eq!(
            of("smtp://u:p@mail.example:2525?tls=required"),
            (host(), 2525, true)
        );
        for wrong in [
            "http://mail.example",
            "smtp:",
            "smtp://mail.example?tls=no",
            "smtp://u:%FF@mail.example",
            "mail.example:25",
        ] {
            assert!(smtp(wrong).is_err(), "{wrong}");
        }
    }
}
