//! Mail servers: one in memory and one that speaks SMTP, which do as a test says, and one that
//! others wrote.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use api::notifications::{Answer, Mail, Mailer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

/// A mailer in memory. It takes whatever it is given, unless it was told to answer otherwise.
pub struct Mailbox {
    handed: Mutex<Vec<Mail>>,
    answers: Mutex<VecDeque<Answer>>,
    door: Semaphore,
    knocked: Notify,
}

impl Default for Mailbox {
    fn default() -> Self {
        Mailbox {
            handed: Mutex::default(),
            answers: Mutex::default(),
            door: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            knocked: Notify::new(),
        }
    }
}

impl Mailbox {
    /// Every message that it was handed, whatever it answered, oldest first.
    pub fn handed(&self) -> Vec<Mail> {
        self.handed
            .lock()
            .expect("a lock that nobody broke")
            .clone()
    }

    /// What it answers next, before it takes everything again.
    pub fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers
            .lock()
            .expect("a lock that nobody broke")
            .extend(answers);
    }

    /// From now on it takes what it is handed and does not answer, until it is opened.
    pub fn close(&self) {
        self.door.forget_permits(usize::MAX);
    }

    /// It answers again.
    pub fn open(&self) {
        self.door.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Waits until it has been handed something.
    pub async fn knocked(&self) {
        self.knocked.notified().await;
    }
}

#[async_trait::async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Answer {
        self.handed
            .lock()
            .expect("a lock that nobody broke")
            .push(mail.clone());
        self.knocked.notify_one();
        let _permit = self.door.acquire().await;
        let answer = self
            .answers
            .lock()
            .expect("a lock that nobody broke")
            .pop_front();
        answer.unwrap_or_else(|| Answer::accepted("taken"))
    }
}

/// What an SMTP server does with the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Takes it.
    Take,
    /// Says nothing from the first, and keeps the connection.
    Hang,
    /// Refuses the recipient with this answer.
    Refuse(&'static str),
    /// Reads the message to its end and refuses it with this answer.
    RefuseAll(&'static str),
    /// Reads the message to its end, keeps it, and is gone.
    TakeAndDie,
    /// Is gone as soon as the message begins.
    Die,
}

/// An SMTP server of a test's own. It does with one message after another as it was told, and
/// takes the others.
pub struct SmtpServer {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
}

impl SmtpServer {
    /// Starts one.
    pub async fn start(acts: &[Act]) -> SmtpServer {
        SmtpServer::at("127.0.0.1:0".parse().expect("an address"), acts).await
    }

    /// Starts one at an address.
    pub async fn at(address: SocketAddr, acts: &[Act]) -> SmtpServer {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::<Mutex<Vec<String>>>::default();
        let acts = Arc::new(Mutex::new(acts.iter().copied().collect::<VecDeque<_>>()));
        let kept = taken.clone();
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acts, kept) = (acts.clone(), kept.clone());
                tokio::spawn(async move {
                    // Who hangs up has ended the conversation.
                    let _ = converse(stream, &acts, &kept).await;
                });
            }
        });
        SmtpServer {
            address,
            taken,
            running,
        }
    }

    /// The messages that it has kept, each with its envelope's lines first.
    pub fn taken(&self) -> Vec<String> {
        self.taken.lock().expect("a lock that nobody broke").clone()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

type Acts = Mutex<VecDeque<Act>>;

fn next(acts: &Acts) -> Act {
    acts.lock()
        .expect("a lock that nobody broke")
        .pop_front()
        .unwrap_or(Act::Take)
}

async fn converse(
    stream: TcpStream,
    acts: &Acts,
    kept: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    if acts.lock().expect("a lock that nobody broke").front() == Some(&Act::Hang) {
        next(acts);
        std::future::pending::<()>().await;
    }
    write.write_all(b"220 test\r\n").await?;
    let mut act = Act::Take;
    let mut envelope = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let says = match (verb.as_str(), act) {
            ("EHLO", _) => "250-test\r\n250 SMTPUTF8".to_owned(),
            ("MAIL", _) => {
                act = next(acts);
                envelope = format!("{line}\n");
                "250 go on".to_owned()
            }
            ("RCPT", Act::Refuse(says)) => says.to_owned(),
            ("RCPT", _) => {
                envelope += &format!("{line}\n");
                "250 go on".to_owned()
            }
            ("DATA", _) => {
                write.write_all(b"354 go on\r\n").await?;
                if act == Act::Die {
                    return Ok(());
                }
                let mut message = envelope.clone();
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    message += &format!("{line}\n");
                }
                if let Act::RefuseAll(says) = act {
                    says.to_owned()
                } else {
                    kept.lock().expect("a lock that nobody broke").push(message);
                    if act == Act::TakeAndDie {
                        return Ok(());
                    }
                    "250 taken".to_owned()
                }
            }
            ("QUIT", _) => return write.write_all(b"221 bye\r\n").await,
            _ => "250 fine".to_owned(),
        };
        write.write_all(format!("{says}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// aiosmtpd, a mail server that others wrote, in a folder of its own below the temporary ones.
pub struct Aiosmtpd {
    process: Child,
    maildir: tempfile::TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Aiosmtpd {
    /// Starts one. None if it cannot be had, which `OMS_REQUIRE_AIOSMTPD` makes an error.
    pub async fn start() -> Option<Aiosmtpd> {
        let missing = match Aiosmtpd::try_start().await {
            Ok(server) => return Some(server),
            Err(missing) => missing,
        };
        let required = std::env::var_os("OMS_REQUIRE_AIOSMTPD").is_some();
        assert!(!required, "aiosmtpd: {missing}");
        eprintln!("skipped: aiosmtpd cannot be had: {missing}");
        None
    }

    async fn try_start() -> Result<Aiosmtpd, String> {
        let python = crate::python::with("aiosmtpd", "1.4.6").await?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let maildir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let process = Command::new(python)
            .args(["-m", "aiosmtpd", "--nosetuid", "--smtputf8", "--listen"])
            .arg(format!("127.0.0.1:{port}"))
            .args(["--class", "aiosmtpd.handlers.Mailbox"])
            .arg(maildir.path().join("mail"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let server = Aiosmtpd {
            process,
            maildir,
            port,
        };
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
            {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let listening = tokio::time::timeout(std::time::Duration::from_secs(60), listening).await;
        listening.map_err(|_| "aiosmtpd does not listen".to_owned())?;
        Ok(server)
    }

    /// The messages that it has taken, each with its envelope's lines first.
    pub fn taken(&self) -> Vec<String> {
        let new = self.maildir.path().join("mail/new");
        let files = std::fs::read_dir(new).into_iter().flatten().flatten();
        files
            .map(|file| std::fs::read_to_string(file.path()).expect("a message"))
            .collect()
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
