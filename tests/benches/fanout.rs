//! How one event comes to a thousand subscribers, beside the least that it must cost on the same
//! stack: bare actix-ws that sends the same bytes to every socket.

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::{Server, Shop, cpu_of, percentile};

const SUBSCRIBERS: u64 = 1_000;
/// How many of them stop reading.
const STALLED: u64 = 50;
/// Events a second, where nobody waits for them.
const RATE: u64 = 100;
/// Events on their way, where each waits for the one so many before it.
const WINDOW: u64 = 4;
/// An item is longer than this, in bytes, and everything else that is said shorter.
const SHORTEST: usize = 256;
/// Orders that the events are about, in turn.
const ORDERS: usize = 32;

const FOLLOW: &str = "subscription { orderUpdates(snapshot: false) { kind seq cursor event occurredAt \
    orderId order { number status stage version tags } } }";

/// Measures the floor and the server, each on its own.
pub async fn measure(span: Duration) {
    println!(
        "{:<9} {:>9} {:>7} {:>7} {:>8} {:>9} {:>8} {:>8} | {STALLED} stalled: {:>7} {:>7} {:>8}",
        "server",
        "/s open",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "/s closed",
        "CPU us",
        "KiB each",
        "p50 ms",
        "p99 ms",
        "MiB more"
    );
    let floor = Floor::start();
    run("floor", floor.child.id(), &floor.address, "", span, || {
        floor.event()
    })
    .await;
    drop(floor);
    let folder = tempfile::tempdir().unwrap();
    let mut urls = vec![format!(
        "sqlite:{}",
        folder.path().join("bench.db").display()
    )];
    urls.extend(std::env::var("OMS_BENCH_POSTGRES"));
    for url in urls {
        let server = Server::start(&url);
        let shop = Shop::open(&server).await;
        let mut orders = Vec::new();
        for seed in 1..=ORDERS as u64 {
            let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            orders.push((shop.buy(seed).await, AtomicU64::new(0)));
        }
        // What follows the orders' coming in is not what is measured.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let turn = AtomicU64::new(0);
        let (shop, orders, turn) = (&shop, &orders, &turn);
        let event = || async move {
            let nth = turn.fetch_add(1, Ordering::Relaxed) as usize;
            let (order, times) = &orders[nth % ORDERS];
            let tagged = times.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            let name = if tagged {
                "orderAddTags"
            } else {
                "orderRemoveTags"
            };
            let mutation = format!(
                "mutation T($input: OrderTagsInput!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"
            );
            let input = json!({ "id": order, "tags": ["bench"] });
            shop.ask(&mutation, json!({ "input": input })).await;
        };
        let name = if url.starts_with("postgres") {
            "postgres"
        } else {
            "sqlite"
        };
        let address = shop.address.trim_start_matches("http://");
        let host = address.split('/').next().unwrap();
        run(name, server.pid(), host, &server.key, span, event).await;
    }
}

async fn run<F>(name: &str, pid: u32, host: &str, key: &str, span: Duration, event: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    let idle = resident(pid);
    let heard = Arc::new(Heard::default());
    subscribe(host, key, &heard).await;
    let each = (resident(pid) - idle) / SUBSCRIBERS as f64;

    let open = Pass::of(pid, &heard, SUBSCRIBERS, open_loop(span, &event)).await;
    let closed = Pass::of(pid, &heard, SUBSCRIBERS, closed_loop(&heard, span, &event)).await;
    heard.stall.store(true, Ordering::SeqCst);
    let reading = SUBSCRIBERS - STALLED;
    let before = resident(pid);
    let stalled = Pass::of(pid, &heard, reading, open_loop(span, &event)).await;
    let more = (resident(pid) - before) / 1_024.0;
    println!(
        "{name:<9} {:>9.0} {:>7.1} {:>7.1} {:>8.1} {:>9.0} {:>8.1} {each:>8.1} | {:>18.1} {:>7.1} {more:>8.1}",
        open.rate, open.p50, open.p99, open.cpu, closed.rate, closed.cpu, stalled.p50, stalled.p99
    );
    heard.end.store(true, Ordering::SeqCst);
}

/// What subscribers heard.
#[derive(Default)]
struct Heard {
    items: AtomicU64,
    /// Stirs at each item that makes a thousand.
    stirred: Notify,
    /// Milliseconds from the event to the subscriber, of every eighth item.
    latencies: Mutex<Vec<f64>>,
    ready: AtomicU64,
    stall: AtomicBool,
    end: AtomicBool,
}

/// Figures of one measurement.
struct Pass {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Microseconds of CPU a delivery.
    cpu: f64,
}

impl Pass {
    async fn of(pid: u32, heard: &Heard, readers: u64, load: impl Future<Output = u64>) -> Pass {
        heard.latencies.lock().unwrap().clear();
        let (items, cpu, began) = (
            heard.items.load(Ordering::SeqCst),
            cpu_of(pid),
            Instant::now(),
        );
        let events = load.await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while heard.items.load(Ordering::SeqCst) < items + events * readers {
            assert!(Instant::now() < deadline, "deliveries are missing");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (took, delivered) = (began.elapsed(), (events * readers) as f64);
        let mut latencies = std::mem::take(&mut *heard.latencies.lock().unwrap());
        Pass {
            rate: delivered / took.as_secs_f64(),
            p50: percentile(&mut latencies, 0.5),
            p99: percentile(&mut latencies, 0.99),
            cpu: (cpu_of(pid) - cpu) * 1_000.0 / delivered,
        }
    }
}

/// Events at a rate, whatever becomes of them. Returns how many there were.
async fn open_loop<F>(span: Duration, event: &impl Fn() -> F) -> u64
where
    F: Future<Output = ()>,
{
    let every = Duration::from_secs(1) / RATE as u32;
    let count = (span.as_nanos() / every.as_nanos()) as u64;
    let began = tokio::time::Instant::now();
    let events = (0..count).map(|nth| async move {
        tokio::time::sleep_until(began + every * nth as u32).await;
        event().await;
    });
    futures_util::future::join_all(events).await;
    count
}

/// Events as fast as all subscribers take them. Returns how many there were.
async fn closed_loop<F>(heard: &Heard, span: Duration, event: &impl Fn() -> F) -> u64
where
    F: Future<Output = ()>,
{
    let (begun, end) = (heard.items.load(Ordering::SeqCst), Instant::now() + span);
    let sent = Cell::new(0_u64);
    let lanes = (0..WINDOW).map(|_| async {
        while Instant::now() < end {
            let wanted =
                begun + (sent.replace(sent.get() + 1) + 1).saturating_sub(WINDOW) * SUBSCRIBERS;
            while heard.items.load(Ordering::SeqCst) < wanted {
                let stirred = heard.stirred.notified();
                let _ = tokio::time::timeout(Duration::from_millis(2), stirred).await;
            }
            event().await;
        }
    });
    futures_util::future::join_all(lanes).await;
    sent.get()
}

/// Opens all subscriptions on a thread of their own, and waits until each is confirmed.
async fn subscribe(host: &str, key: &str, heard: &Arc<Heard>) {
    let (host, key, all) = (host.to_owned(), key.to_owned(), heard.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime.unwrap(), async move {
            let counter = Rc::new(Cell::new(0_u64));
            for nth in 0..SUBSCRIBERS {
                let subscriber = Subscriber::open(&host, &key).await;
                tokio::task::spawn_local(subscriber.follow(nth, all.clone(), counter.clone()));
            }
            while !all.end.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    });
    while heard.ready.load(Ordering::SeqCst) < SUBSCRIBERS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Each has said that it follows; it joins the others once its stream is at the log's end.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// A client that costs little: it tells frames apart, and reads every eighth.
struct Subscriber {
    stream: TcpStream,
    unread: Vec<u8>,
    /// How much of it was heard.
    heard: usize,
}

impl Subscriber {
    async fn open(host: &str, key: &str) -> Subscriber {
        let mut stream = TcpStream::connect(host).await.unwrap();
        let request = format!(
            "GET /graphql/ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut unread = Vec::with_capacity(4_096);
        while !contains(&unread, "\r\n\r\n") {
            assert!(stream.read_buf(&mut unread).await.unwrap() > 0);
        }
        assert!(unread.starts_with(b"HTTP/1.1 101"));
        let head = unread
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let mut subscriber = Subscriber {
            stream,
            unread,
            heard: head + 4,
        };
        let init = json!({ "type": "connection_init", "payload": { "authorization": key } });
        subscriber.say(1, &init.to_string()).await;
        while !contains(subscriber.hear().await.unwrap(), "connection_ack") {}
        // Two operations: the answer to the second says that the first was read.
        let follow = json!({ "type": "subscribe", "id": "1", "payload": { "query": FOLLOW } });
        subscriber.say(1, &follow.to_string()).await;
        let known =
            json!({ "type": "subscribe", "id": "2", "payload": { "query": "{ __typename }" } });
        subscriber.say(1, &known.to_string()).await;
        subscriber
    }

    /// Sends a frame; a mask of zeros is a mask.
    async fn say(&mut self, code: u8, text: &str) {
        let mut frame = vec![0x80 | code];
        match text.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        let _ = self.stream.write_all(&frame).await;
    }

    /// The next message; none at the end. Pings are answered.
    async fn hear(&mut self) -> Option<&[u8]> {
        loop {
            while let Some((code, start, end)) = frame(&self.unread[self.heard..]) {
                let text = self.heard + start..self.heard + end;
                self.heard = text.end;
                match code {
                    1 => return Some(&self.unread[text]),
                    8 => return None,
                    9 => self.say(10, "").await,
                    _ => {}
                }
            }
            self.unread.drain(..self.heard);
            self.heard = 0;
            if self.stream.read_buf(&mut self.unread).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn follow(mut self, nth: u64, heard: Arc<Heard>, counter: Rc<Cell<u64>>) {
        while let Some(text) = self.hear().await {
            while nth < STALLED && heard.stall.load(Ordering::Relaxed) {
                if heard.end.load(Ordering::Relaxed) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if text.len() < SHORTEST {
                if contains(text, "__typename") {
                    heard.ready.fetch_add(1, Ordering::SeqCst);
                }
                continue;
            }
            counter.set(counter.get() + 1);
            if counter.get().is_multiple_of(8) {
                let text = std::str::from_utf8(text).unwrap();
                let (_, rest) = text.split_once("\"occurredAt\":\"").unwrap();
                let happened: DateTime<Utc> = rest.split('"').next().unwrap().parse().unwrap();
                let took = (Utc::now() - happened).num_microseconds().unwrap_or(0);
                heard.latencies.lock().unwrap().push(took as f64 / 1_000.0);
            }
            let items = heard.items.fetch_add(1, Ordering::SeqCst) + 1;
            if items.is_multiple_of(SUBSCRIBERS) {
                heard.stirred.notify_waiters();
            }
        }
    }
}

fn contains(bytes: &[u8], words: &str) -> bool {
    bytes
        .windows(words.len())
        .any(|some| some == words.as_bytes())
}

/// The frame at the beginning of what was read: its kind, and where its text is.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&code, &length) = (bytes.first()?, bytes.get(1)?);
    let (length, start) = match length & 127 {
        126 => (
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize,
            4,
        ),
        127 => (
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
            10,
        ),
        short => (short as usize, 2),
    };
    (bytes.len() >= start + length).then_some((code & 15, start, start + length))
}

/// The memory of a process, in KiB.
fn resident(pid: u32) -> f64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: f64 = statm
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    pages * 4.0
}

/// The least: a process of its own that sends what it is told to send.
struct Floor {
    child: Child,
    address: String,
    http: reqwest::Client,
}

impl Floor {
    fn start() -> Floor {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("floor")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Floor {
            child,
            address: lines.next().unwrap().unwrap(),
            http: support::http(),
        }
    }

    async fn event(&self) {
        let url = format!("http://{}/event", self.address);
        let sent = self.http.post(url).send().await.unwrap();
        assert!(sent.status().is_success());
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The floor's server: says where it listens, and serves until it is killed.
pub mod floor {
    use actix_web::rt;
    use actix_web::web::{self, Bytes, Data, Payload};
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
    use chrono::Utc;
    use serde_json::json;
    use tokio::sync::broadcast::{self, error::RecvError};

    type Sender = broadcast::Sender<String>;

    /// Serves.
    pub fn serve() {
        rt::System::new().block_on(async {
            let sender: Data<Sender> = Data::new(broadcast::channel(1_024).0);
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(sender.clone())
                    .route("/event", web::post().to(event))
                    .route("/graphql/ws", web::get().to(open))
            });
            let server = server.bind("127.0.0.1:0").unwrap();
            println!("{}", server.addrs()[0]);
            server.run().await.unwrap();
        });
    }

    async fn event(sender: Data<Sender>, _: Bytes) -> HttpResponse {
        // As long as an item of ours, and with the time at the same place.
        let item = json!({ "id": "1", "type": "next", "payload": { "data": { "orderUpdates": {
            "kind": "UPSERT", "seq": 123456, "cursor": "x".repeat(43), "event": "order.tagged",
            "occurredAt": Utc::now(), "orderId": "x".repeat(32), "order": { "number": "O-1000001",
            "status": "CONFIRMED", "stage": "STAGED", "version": 1234, "tags": ["bench"] } } } } });
        let _ = sender.send(item.to_string());
        HttpResponse::NoContent().finish()
    }

    async fn open(
        request: HttpRequest,
        body: Payload,
        sender: Data<Sender>,
    ) -> actix_web::Result<HttpResponse> {
        let protocols = ["graphql-transport-ws"];
        let (response, mut session, mut messages) =
            actix_ws::handle_with_protocols(&request, body, &protocols)?;
        let mut items = sender.subscribe();
        rt::spawn(async move {
            loop {
                let text = tokio::select! {
                    item = items.recv() => match item {
                        Ok(item) => item,
                        Err(RecvError::Lagged(_)) => continue,
                        Err(RecvError::Closed) => return,
                    },
                    heard = messages.recv() => match heard {
                        Some(Ok(actix_ws::Message::Text(text))) if text.contains("init") => {
                            r#"{"type":"connection_ack"}"#.to_owned()
                        }
                        Some(Ok(actix_ws::Message::Text(text))) if text.contains("__typename") => {
                            r#"{"id":"2","type":"next","payload":{"data":{"__typename":"Query"}}}"#.to_owned()
                        }
                        Some(Ok(_)) => continue,
                        _ => return,
                    },
                };
                if session.text(text).await.is_err() {
                    return;
                }
            }
        });
        Ok(response)
    }
}
