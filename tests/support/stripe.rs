//! A Stripe that answers as it is told: it keeps idempotency keys as the real one does, loses
//! answers, fails before and after, and talks nonsense. It speaks of PaymentIntents, refunds and
//! disputes, as far as they are asked for.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How a call that does something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Fine,
    /// It is lost before it has an effect.
    LostBefore,
    /// It has its effect, and the answer is lost.
    LostAfter,
    /// A server error before it has an effect; the key keeps none of it.
    ErrorBefore,
    /// It has its effect, and the answer is a server error.
    ErrorAfter,
    /// It has its effect, and the answer is garbage.
    Garbage,
    /// It is under way by another call.
    Conflict,
}

impl Fate {
    /// Every fate.
    pub const ALL: [Fate; 7] = [
        Fate::Fine,
        Fate::LostBefore,
        Fate::LostAfter,
        Fate::ErrorBefore,
        Fate::ErrorAfter,
        Fate::Garbage,
        Fate::Conflict,
    ];
}

/// A call that does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it asks for.
    pub path: String,
    /// Its idempotency key.
    pub key: String,
    /// Its form.
    pub form: String,
}

/// What it has.
#[derive(Default)]
pub struct Books {
    /// How the next calls that do something go; those behind them go as they should.
    pub fates: VecDeque<Fate>,
    /// Every such call.
    pub calls: Vec<Call>,
    /// PaymentIntents, in their order.
    pub intents: Vec<Value>,
    /// Refunds.
    pub refunds: Vec<Value>,
    /// Disputes, by name.
    pub disputes: BTreeMap<String, Value>,
    /// How often something was captured.
    pub captures: usize,
    /// Whether questions are answered.
    pub silent: bool,
    answers: BTreeMap<String, (String, u16, Value)>,
}

/// The server. It ends when it is dropped.
pub struct Stripe {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    is_tls: bool,
    task: JoinHandle<()>,
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stripe {
    /// Starts one in the open.
    pub async fn start() -> Stripe {
        Stripe::listen(None).await
    }

    /// Starts one behind TLS.
    pub async fn behind(tls: TlsAcceptor) -> Stripe {
        Stripe::listen(Some(tls)).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Stripe {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let books: Arc<Mutex<Books>> = Arc::default();
        let (own, is_tls) = (books.clone(), tls.is_some());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (books, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, books).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, books).await;
                            }
                        }
                    }
                });
            }
        });
        Stripe {
            address,
            books,
            is_tls,
            task,
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        match self.is_tls {
            true => format!("https://localhost:{}", self.address.port()),
            false => format!("http://{}", self.address),
        }
    }

    /// What it has.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a request, answers it and hangs up.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, books: Arc<Mutex<Books>>) {
    let mut read = Vec::new();
    let (head, length) = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|text| text.parse().ok());
            let length: usize = length.unwrap_or(0);
            break (head, end + 4 + length);
        }
        if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    };
    while read.len() < length {
        if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    }
    let form = String::from_utf8_lossy(&read[head.len() + 4..]).into_owned();
    let Some((status, answer)) = answer(&mut lock(&books), &head, &form) else {
        return;
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        answer.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn header(head: &str, wanted: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(_, value)| value.trim().to_owned())
}

/// What a call comes to; none if its answer is lost.
fn answer(books: &mut Books, head: &str, form: &str) -> Option<(u16, String)> {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if method == "GET" {
        if books.silent {
            return None;
        }
        let (status, answer) = look(books, path, query);
        return Some((status, answer.to_string()));
    }
    let key = header(head, "idempotency-key").unwrap_or_default();
    let call = Call {
        path: path.to_owned(),
        key: key.clone(),
        form: form.to_owned(),
    };
    books.calls.push(call);
    let fate = books.fates.pop_front().unwrap_or(Fate::Fine);
    match fate {
        Fate::LostBefore => return None,
        Fate::ErrorBefore => return Some((500, "{\"error\":{\"type\":\"api_error\"}}".to_owned())),
        Fate::Conflict => {
            let said = json!({ "error": { "type": "invalid_request_error",
                "code": "idempotency_key_in_use" } });
            return Some((409, said.to_string()));
        }
        _ => {}
    }
    let asked = format!("{path}?{form}");
    let known = books.answers.get(&key).cloned();
    let (status, said) = match known {
        Some((before, status, said)) if before == asked => (status, said),
        Some(_) => (400, json!({ "error": { "type": "idempotency_error" } })),
        None => {
            let (status, said) = effect(books, path, form);
            let kept = (asked, status, said.clone());
            books.answers.insert(key, kept);
            (status, said)
        }
    };
    match fate {
        Fate::LostAfter => None,
        Fate::ErrorAfter => Some((502, "<html>bad gateway</html>".to_owned())),
        Fate::Garbage => Some((200, "{\"id\":".to_owned())),
        _ => Some((status, said.to_string())),
    }
}

fn missing() -> (u16, Value) {
    let error = json!({ "type": "invalid_request_error", "code": "resource_missing" });
    (404, json!({ "error": error }))
}

fn field(form: &str, wanted: &str) -> Option<String> {
    let decoded = |text: &str| {
        let text = text.replace("%5B", "[").replace("%5D", "]");
        text.replace("%2F", "/").replace('+', " ")
    };
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(name, _)| decoded(name) == wanted);
    found.map(|(_, value)| decoded(value))
}

fn look(books: &Books, path: &str, query: &str) -> (u16, Value) {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let list = |items: Vec<Value>| {
        (
            200,
            json!({ "object": "list", "data": items, "has_more": false }),
        )
    };
    match &parts[..] {
        ["payment_intents"] => list(books.intents.iter().rev().cloned().collect()),
        ["refunds"] => {
            let of = field(query, "payment_intent");
            let own = books.refunds.iter().rev();
            let own = own.filter(|one| one["payment_intent"].as_str() == of.as_deref());
            list(own.cloned().collect())
        }
        ["payment_intents", id] => {
            let found = books.intents.iter().find(|one| one["id"] == *id);
            found.map_or_else(missing, |one| (200, one.clone()))
        }
        ["disputes", id] => books
            .disputes
            .get(*id)
            .map_or_else(missing, |one| (200, one.clone())),
        _ => missing(),
    }
}

fn effect(books: &mut Books, path: &str, form: &str) -> (u16, Value) {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let refused = |code: &str| {
        let error = json!({ "type": "invalid_request_error", "code": code });
        (400, json!({ "error": error }))
    };
    let amount = |name: &str| field(form, name).and_then(|text| text.parse::<i64>().ok());
    let metadata = json!({ "oms_transaction": field(form, "metadata[oms_transaction]") });
    match &parts[..] {
        ["payment_intents"] => {
            let intent = json!({ "id": format!("pi_{}", books.intents.len() + 1),
                "object": "payment_intent", "amount": amount("amount"), "amount_received": 0,
                "currency": field(form, "currency"), "status": "requires_capture",
                "metadata": metadata });
            books.intents.push(intent.clone());
            (200, intent)
        }
        ["payment_intents", id, what] => {
            let found = books.intents.iter_mut().find(|one| one["id"] == *id);
            let Some(intent) = found else {
                return missing();
            };
            if intent["status"] != "requires_capture" {
                return refused("payment_intent_unexpected_state");
            }
            match *what {
                "capture" => {
                    intent["status"] = json!("succeeded");
                    intent["amount_received"] = json!(amount("amount_to_capture"));
                    books.captures += 1;
                }
                _ => intent["status"] = json!("canceled"),
            }
            (200, intent.clone())
        }
        ["refunds"] => {
            let refund = json!({ "id": format!("re_{}", books.refunds.len() + 1),
                "object": "refund", "amount": amount("amount"), "status": "succeeded",
                "payment_intent": field(form, "payment_intent"), "metadata": metadata });
            books.refunds.push(refund.clone());
            (200, refund)
        }
        _ => missing(),
    }
}
