//! The port to mail servers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::message::Reason;
use entity::{DocumentId, MessageId};
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{self, Mailbox, MultiPart};

use super::templates::render::{Wording, one_line};
use crate::config::MailConfig;

mod folder;
mod log;
mod smtp;

pub use folder::Folder;
pub use log::Log;
pub use smtp::Smtp;

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The message; its Message-ID is made of it, so that every try has the same.
    pub id: MessageId,
    /// Which try it is.
    pub attempt: i32,
    /// The name that it comes from.
    pub sender_name: String,
    /// Where it goes.
    pub recipient: String,
    /// What it says.
    pub wording: Wording,
    /// When it was owed: its date, whenever it is sent.
    pub created_at: DateTime<Utc>,
    /// The documents that it brings along.
    pub brings: Vec<DocumentId>,
    /// The same, read.
    pub attachments: Vec<Attachment>,
}

/// A file that a message brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What it is called.
    pub file_name: String,
    /// Its media type.
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Why it came to nothing; none = the mail server has taken the message.
    pub reason: Option<Reason>,
    /// What the mail server said, or what went wrong.
    pub said: String,
}

impl Answer {
    /// The mail server has taken the message.
    pub fn accepted(said: &str) -> Answer {
        Answer {
            reason: None,
            said: said.to_owned(),
        }
    }

    /// It came to nothing.
    pub fn failed(reason: Reason, said: &str) -> Answer {
        Answer {
            reason: Some(reason),
            said: said.to_owned(),
        }
    }
}

/// Hands messages over. It answers within the time-out of the settings, and says UNANSWERED, not
/// UNREACHABLE, as soon as the message might have been taken.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands a message over.
    async fn send(&self, mail: &Mail) -> Answer;
}

/// The mailer that the settings ask for: a server, else a folder, else the log.
pub fn of(config: &MailConfig) -> Result<Arc<dyn Mailer>, String> {
    let from = config.from.parse().map_err(|_| "mail.from".to_owned())?;
    Ok(match (config.smtp_url.as_str(), config.folder.as_str()) {
        ("", "") => Arc::new(Log),
        ("", folder) => Arc::new(Folder::new(folder, from)),
        (url, _) => {
            let patience = Duration::from_secs(config.timeout_secs);
            Arc::new(Smtp::new(url, from, patience)?)
        }
    })
}

/// How many characters a header may have.
const LONGEST_HEADER: usize = 900;

/// A message as it goes over the wire. What a try repeats has the same headers as before.
fn compose(mail: &Mail, from: &lettre::Address) -> Result<Message, String> {
    let recipient: lettre::Address = mail
        .recipient
        .parse()
        .map_err(|error| format!("the address: {error}"))?;
    // A header is one line, whatever its text says; the library fails on others.
    let name = one_line(&mail.sender_name, LONGEST_HEADER);
    let name = Some(name).filter(|name| !name.is_empty());
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    let words =
        MultiPart::alternative_plain_html(mail.wording.text.clone(), mail.wording.html.clone());
    let mut body = words;
    if !mail.attachments.is_empty() {
        body = MultiPart::mixed().multipart(body);
    }
    for file in &mail.attachments {
        let kind = ContentType::parse(&file.content_type).map_err(|error| error.to_string())?;
        let part = message::Attachment::new(file.file_name.clone());
        body = body.singlepart(part.body(file.bytes.clone(), kind));
    }
    Message::builder()
        .message_id(Some(format!("<{}@{}>", mail.id, from.domain())))
        .date(SystemTime::from(mail.created_at))
        .from(Mailbox::new(name, from.clone()))
        .to(Mailbox::new(None, recipient))
        .subject(one_line(&mail.wording.subject, LONGEST_HEADER))
        // Or somebody's absence note answers it, and we theirs.
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .multipart(body)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str, sender: &str) -> Mail {
        Mail {
            id: MessageId(uuid::Uuid::nil()),
            attempt: 1,
            sender_name: sender.to_owned(),
            recipient: "anna@mail.example".to_owned(),
            wording: Wording {
                subject: subject.to_owned(),
                text: "Grüße\n.\n".to_owned(),
                html: "<p>Grüße</p>".to_owned(),
            },
            created_at: DateTime::UNIX_EPOCH,
            brings: Vec::new(),
            attachments: Vec::new(),
        }
    }

    #[test]
    fn what_is_attached_comes_behind_the_words() {
        let mut mail = mail("s", "n");
        mail.attachments = vec![Attachment {
            file_name: "Rechnung Ż\r\nBcc: x.pdf".to_owned(),
            content_type: "application/pdf".to_owned(),
            bytes: b"%PDF-1.7".to_vec(),
        }];
        let from = "orders@shop.example".parse().expect("an address");
        let raw = compose(&mail, &from).expect("a message").formatted();
        let raw = String::from_utf8(raw).expect("ASCII");
        assert!(raw.contains("multipart/mixed"), "{raw}");
        assert!(raw.contains("Content-Type: application/pdf"), "{raw}");
        assert!(raw.contains("Content-Disposition: attachment"), "{raw}");
        assert!(!raw.contains("\r\nBcc:"), "{raw}");
    }

    fn headers(mail: &Mail) -> Vec<String> {
        let from = "orders@shop.example".parse().expect("an address");
        let raw = compose(mail, &from).expect("a message").formatted();
        let raw = String::from_utf8(raw).expect("ASCII");
        assert!(raw.is_ascii(), "{raw}");
        let (headers, _) = raw.split_once("\r\n\r\n").expect("a body");
        headers.split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn every_try_has_the_same_message_id_and_date() {
        let headers = headers(&mail("Your order 7", "Web shop"));
        for expected in [
            "Message-ID: <00000000-0000-0000-0000-000000000000@shop.example>",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "From: \"Web shop\" <orders@shop.example>",
            "To: anna@mail.example",
            "Subject: Your order 7",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(headers.iter().any(|line| line == expected), "{headers:#?}");
        }
    }

    #[test]
    fn nothing_in_a_name_or_a_subject_makes_a_header() {
        for evil in [
            "A\r\nBcc: all@shop.example",
            "A\nBcc: all@shop.example",
            "\"A\" <b@shop.example>, C\r\n\r\nBcc: all@shop.example",
        ] {
            let headers = headers(&mail(evil, evil));
            let names: Vec<_> = headers
                .iter()
                .filter(|line| !line.starts_with(' '))
                .filter_map(|line| line.split(':').next())
                .collect();
            let known = [
                "Message-ID",
                "Date",
                "From",
                "To",
                "Subject",
                "Auto-Submitted",
                "MIME-Version",
                "Content-Type",
            ];
            assert!(
                names.iter().all(|name| known.contains(name)),
                "{headers:#?}"
            );
        }
    }

    #[test]
    fn what_is_no_address_makes_no_message() {
        let from = "orders@shop.example".parse().expect("an address");
        for evil in ["", "a@b\r\nRCPT TO:<c@d>", "<a@b>", "a@b, c@d"] {
            let mail = Mail {
                recipient: evil.to_owned(),
                ..mail("s", "n")
            };
            assert!(compose(&mail, &from).is_err(), "{evil:?}");
        }
    }
}
