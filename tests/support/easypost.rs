//! An EasyPost that sells postage once a shipment, as the real one does, and fails as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Fine,
    /// It is lost before it has an effect.
    LostBefore,
    /// It has its effect, and the answer is lost.
    LostAfter,
    /// It has its effect, and the answer is a server error.
    ErrorAfter,
    /// It has its effect, and the answer is garbage.
    Garbage,
    /// A server error before it has an effect.
    ErrorBefore,
    /// It is refused, with 422.
    Refused,
}

impl Fate {
    /// Every fate that leaves the caller without a definite answer, or with one.
    pub const ALL: [Fate; 7] = [
        Fate::Fine,
        Fate::LostBefore,
        Fate::LostAfter,
        Fate::ErrorAfter,
        Fate::Garbage,
        Fate::ErrorBefore,
        Fate::Refused,
    ];
}

#[derive(Default)]
struct Books {
    shipments: BTreeMap<String, Shipment>,
    fates: VecDeque<Fate>,
    scans: BTreeMap<String, Vec<Value>>,
    calls: usize,
}

struct Shipment {
    reference: String,
    number: Option<String>,
    refunded: bool,
}

/// The server. It ends when it is dropped.
pub struct Easypost {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    task: JoinHandle<()>,
}

impl Drop for Easypost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Easypost {
    /// Starts one.
    pub async fn start() -> Easypost {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let books: Arc<Mutex<Books>> = Arc::default();
        let own = books.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, own.clone(), address));
            }
        });
        Easypost {
            address,
            books,
            task,
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How the next calls go, quotes apart; those behind them go as they should.
    pub fn fates(&self, fates: impl IntoIterator<Item = Fate>) {
        lock(&self.books).fates = fates.into_iter().collect();
    }

    /// The numbers of the postage that it sold under a reference.
    pub fn sold(&self, reference: &str) -> Vec<String> {
        let books = lock(&self.books);
        let own = books.shipments.values();
        own.filter(|shipment| shipment.reference == reference)
            .filter_map(|shipment| shipment.number.clone())
            .collect()
    }

    /// How many shipments were given back.
    pub fn refunded(&self) -> usize {
        let books = lock(&self.books);
        let all = books.shipments.values();
        all.filter(|shipment| shipment.refunded).count()
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        lock(&self.books).calls
    }

    /// Something that its tracker of a number will say.
    pub fn scan(&self, number: &str, status: &str, at: &str) {
        let scan = json!({ "status": status, "datetime": at });
        let mut books = lock(&self.books);
        books.scans.entry(number.to_owned()).or_default().push(scan);
    }
}

fn lock(books: &Mutex<Books>) -> std::sync::MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a request, answers it and hangs up.
async fn serve(mut stream: TcpStream, books: Arc<Mutex<Books>>, address: SocketAddr) {
    let mut read = Vec::new();
    let (head, length) = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
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
    let body_at = head.len() + 4;
    let body = serde_json::from_slice(&read[body_at..]).unwrap_or(Value::Null);
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let Some((status, answer)) = answer(&mut lock(&books), address, method, path, &body) else {
        return;
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// What a call comes to; none if its answer is lost.
fn answer(
    books: &mut Books,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> Option<(u16, String)> {
    if path.starts_with("/labels/") {
        return Some((200, "^XA^XZ".to_owned()));
    }
    books.calls += 1;
    // A quote comes to nothing that matters.
    let fate = match body["shipment"]["reference"] == "quote" {
        true => Fate::Fine,
        false => books.fates.pop_front().unwrap_or(Fate::Fine),
    };
    match fate {
        Fate::LostBefore => return None,
        Fate::ErrorBefore => return Some((500, "{}".to_owned())),
        _ => {}
    }
    let refused = fate == Fate::Refused;
    let (status, answer) = effect(books, address, method, path, body, refused);
    match fate {
        Fate::LostAfter => None,
        Fate::ErrorAfter => Some((502, "<html>bad gateway</html>".to_owned())),
        Fate::Garbage => Some((200, "{\"id\":".to_owned())),
        _ => Some((status, answer.to_string())),
    }
}

fn effect(
    books: &mut Books,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
    refused: bool,
) -> (u16, Value) {
    let error = |code: &str| {
        let error = json!({ "error": { "code": code, "message": code, "errors": [] } });
        (422, error)
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.trim_start_matches("/v2/").split('/').collect();
    match (method, &parts[..]) {
        ("POST", ["shipments"]) if refused => error("ADDRESS.VERIFY.FAILURE"),
        ("POST", ["shipments"]) => {
            let id = format!("shp_{}", books.shipments.len() + 1);
            let reference = body["shipment"]["reference"].as_str().unwrap_or("");
            let shipment = Shipment {
                reference: reference.to_owned(),
                number: None,
                refunded: false,
            };
            let shown = show(&id, &shipment, address);
            books.shipments.insert(id, shipment);
            (201, shown)
        }
        ("GET", ["shipments", id]) => match books.shipments.get(*id) {
            Some(shipment) => (200, show(id, shipment, address)),
            None => (404, json!({ "error": { "code": "NOT_FOUND" } })),
        },
        ("POST", ["shipments", id, "buy"]) => {
            let sold = books.shipments.values();
            let next = sold.filter(|shipment| shipment.number.is_some()).count() + 1;
            match books.shipments.get_mut(*id) {
                None => (404, json!({ "error": { "code": "NOT_FOUND" } })),
                Some(own) if own.number.is_some() => error("SHIPMENT.POSTAGE.EXISTS"),
                Some(_) if refused => error("INSUFFICIENT_FUNDS"),
                Some(own) => {
                    own.number = Some(format!("EZ{next:06}"));
                    (200, show(id, own, address))
                }
            }
        }
        ("POST", ["shipments", id, "refund"]) => match books.shipments.get_mut(*id) {
            Some(own) if own.number.is_some() && !refused => {
                own.refunded = true;
                (200, show(id, own, address))
            }
            _ => error("SHIPMENT.REFUND.UNAVAILABLE"),
        },
        ("GET", ["trackers"]) => {
            let number = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("tracking_code="))
                .unwrap_or("");
            let scans = books.scans.get(number).cloned().unwrap_or_default();
            let tracker = json!({ "tracking_code": number, "tracking_details": scans });
            (200, json!({ "trackers": [tracker], "has_more": false }))
        }
        _ => (404, json!({ "error": { "code": "NOT_FOUND" } })),
    }
}

fn show(id: &str, shipment: &Shipment, address: SocketAddr) -> Value {
    let rate = json!({
        "id": format!("rate_{id}"), "carrier": "PARCELCO", "service": "Ground",
        "rate": "1.004", "currency": "EUR", "delivery_days": 2,
    });
    let mut shown = json!({
        "id": id, "object": "Shipment", "reference": shipment.reference, "rates": [rate.clone()],
        "tracking_code": shipment.number, "selected_rate": null, "postage_label": null,
        "tracker": null, "refund_status": shipment.refunded.then_some("submitted"),
    });
    if let Some(number) = &shipment.number {
        let url = format!("http://{address}/labels/{number}.zpl");
        shown["selected_rate"] = rate;
        shown["postage_label"] = json!({ "label_url": url, "label_zpl_url": url });
        let public = format!("https://track.example/{number}");
        shown["tracker"] = json!({ "tracking_code": number, "public_url": public });
    }
    shown
}
