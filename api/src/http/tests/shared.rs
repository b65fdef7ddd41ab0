//! Subscriptions that many clients share, and clients that read slowly.

use super::over_websocket::{Client, adjusted};
use super::*;

pub(super) const TICKS: &str = "subscription { ticks { seq } }";

impl Server {
    /// Makes so many ticks more, and says which of them are told.
    pub(super) fn tick(&self, more: i64) -> Vec<i64> {
        let last = *self.world.ticks.borrow();
        self.world.ticks.send_replace(last + more);
        (last + 1..=last + more)
            .filter(|seq| seq % 3 != 0)
            .collect()
    }

    /// Waits until so many members share subscriptions.
    pub(super) async fn shared_by(&self, members: usize) {
        until("all have joined", || {
            self.fan_out.counts().members == members
        })
        .await;
    }
}

/// The tick in a message of an operation.
fn tick(message: &Value) -> i64 {
    assert_eq!(message["type"], "next", "{message}");
    tick_of(&message["payload"])
}

/// The tick in a result.
pub(super) fn tick_of(result: &Value) -> i64 {
    let seq = &result["data"]["ticks"]["seq"];
    seq.as_i64().unwrap_or_else(|| panic!("no tick: {result}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_selected_once_for_a_thousand_members() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Client::admitted(&server).await;
        for id in 0..20 {
            client.subscribe(&format!("op \"{id}\""), TICKS).await;
        }
        for _ in 0..20 {
            assert_eq!(tick(&client.hear().await), 0);
        }
        clients.push(client);
    }
    server.shared_by(1_000).await;
    let counts = server.fan_out.counts();
    assert_eq!((counts.groups, counts.executed), (1, 1_000));
    let expected = server.tick(30);
    for client in &mut clients {
        let mut heard: std::collections::BTreeMap<String, Vec<i64>> = Default::default();
        for _ in 0..20 * expected.len() {
            let message = client.hear().await;
            let id = message["id"].as_str().unwrap().to_owned();
            heard.entry(id).or_default().push(tick(&message));
        }
        assert_eq!(heard.len(), 20);
        assert!(heard.values().all(|ticks| *ticks == expected));
    }
    let selected = server.world.selected.load(Ordering::SeqCst);
    assert_eq!(selected, 1_000 + expected.len());
    let counts = server.fan_out.counts();
    assert_eq!(counts.shared as usize, expected.len());
    assert_eq!(counts.delivered as usize, 1_000 * expected.len());
    // One stream runs for all of them, and ends with the last.
    assert_eq!(server.world.subscriptions.load(Ordering::SeqCst), 1);
    drop(clients);
    until("nobody follows", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
    })
    .await;
    assert_eq!(server.fan_out.counts().groups, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_same_document_variables_and_rights_are_shared() {
    let server = Server::start().await;
    let text = "subscription($size: Int, $after: String) {
        ticks(size: $size, after: $after) { seq text } }";
    let mut clients = Vec::new();
    for (key, query, variables) in [
        ("good", text, json!({})),
        // From where one begins makes no difference.
        ("good", text, json!({"after": "0"})),
        ("brief", text, json!({"after": null})),
        ("good", text, json!({"size": 2})),
        ("other", text, json!({})),
        ("good", TICKS, json!({})),
        // Of this caller nothing is known that says who is its like.
        ("slow", text, json!({})),
    ] {
        let mut client = Client::connect(&server).await;
        client.init(key).await;
        let payload = json!({"query": query, "variables": variables});
        client
            .say(json!({"type": "subscribe", "id": "1", "payload": payload}))
            .await;
        if variables["after"] != "0" {
            assert_eq!(tick(&client.hear().await), 0);
        }
        clients.push(client);
    }
    server.shared_by(6).await;
    assert_eq!(server.fan_out.counts().groups, 4);
    server.tick(1);
    for (client, text) in clients.iter_mut().zip(["x", "x", "x", "xx", "x", "", "x"]) {
        let message = client.hear().await;
        assert_eq!(tick(&message), 1);
        let said = message["payload"]["data"]["ticks"]["text"].as_str();
        assert_eq!(said.unwrap_or_default(), text);
    }
    // A key that ends closes its own socket only.
    server.world.revoked.notify_one();
    let (_, code, _) = clients[2].last_words().await;
    assert_eq!(code, 4403);
    server.shared_by(5).await;
    server.tick(1);
    for index in [0, 1, 3, 4, 5, 6] {
        assert_eq!(tick(&clients[index].hear().await), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_outlives_its_first_member() {
    let server = Server::start().await;
    let mut first = Client::admitted(&server).await;
    first.subscribe("1", TICKS).await;
    first.hear().await;
    server.shared_by(1).await;
    let mut second = Client::admitted(&server).await;
    second.subscribe("1", TICKS).await;
    second.hear().await;
    server.shared_by(2).await;
    first.say(json!({"type": "complete", "id": "1"})).await;
    server.shared_by(1).await;
    let expected = server.tick(4);
    for seq in expected {
        assert_eq!(tick(&second.hear().await), seq);
    }
    // The id is free, and who comes back hears what comes then, from the group.
    first.subscribe("1", TICKS).await;
    assert_eq!(tick(&first.hear().await), 4);
    server.shared_by(2).await;
    server.tick(1);
    assert_eq!(tick(&first.hear().await), 5);
    assert_eq!(tick(&second.hear().await), 5);
    assert_eq!(server.world.subscriptions.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_reads_slowly_catches_up_alone_and_nobody_waits_for_it() {
    let server = Server::start().await;
    let long = "subscription { ticks(size: 20000) { seq text } }";
    let mut fast = Client::admitted(&server).await;
    let mut slow = Client::admitted(&server).await;
    for client in [&mut fast, &mut slow] {
        client.subscribe("1", long).await;
        assert_eq!(tick(&client.hear().await), 0);
    }
    server.shared_by(2).await;
    // More than any buffer on the way holds, while one of them does not read.
    let mut expected = Vec::new();
    for _ in 0..20 {
        let batch = server.tick(60);
        for seq in &batch {
            assert_eq!(tick(&fast.hear().await), *seq);
        }
        expected.extend(batch);
    }
    for seq in expected {
        assert_eq!(tick(&slow.hear().await), seq);
    }
    // It has come back to the group.
    server.shared_by(2).await;
    server.tick(1);
    assert_eq!(tick(&slow.hear().await), 1_201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_too_slow_is_told_where_to_go_on() {
    let server = Server::with(adjusted(|s| {
        s.write_within = Duration::from_millis(300);
        s.close_within = Duration::from_secs(10);
    }))
    .await;
    let long = "subscription($after: String) { ticks(size: 20000, after: $after) { seq text } }";
    let mut slow = Client::admitted(&server).await;
    slow.subscribe("1", long).await;
    assert_eq!(tick(&slow.hear().await), 0);
    server.shared_by(1).await;
    let expected = server.tick(3_000);
    until("it is given up", || {
        server.world.subscriptions.load(Ordering::SeqCst) == 0
    })
    .await;
    let (before, code, reason) = slow.last_words().await;
    assert_eq!(code, 4290);
    assert!(reason.len() <= 123);
    let reason: Value = serde_json::from_str(&reason).unwrap();
    assert_eq!(reason["code"], "SLOW_CONSUMER");
    let mut heard: Vec<i64> = before.iter().map(tick).collect();
    assert_eq!(reason["after"], heard.last().unwrap().to_string());
    // Nothing is lost, nothing comes twice.
    let mut again = Client::admitted(&server).await;
    let payload = json!({"query": long, "variables": {"after": reason["after"]}});
    again
        .say(json!({"type": "subscribe", "id": "1", "payload": payload}))
        .await;
    while heard.len() < expected.len() {
        heard.push(tick(&again.hear().await));
    }
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_results_are_old_before_it_reads_them_is_told_where_to_go_on() {
    let server = Server::with(adjusted(|s| s.behind_at_most = Duration::from_millis(100))).await;
    let long = "subscription { ticks(size: 20000, after: \"0\") { seq text } }";
    server.tick(3_000);
    let mut slow = Client::admitted(&server).await;
    slow.subscribe("1", long).await;
    // It reads, but not as fast as it should.
    let mut heard = Vec::new();
    let (code, reason) = loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        match slow.message().await {
            tokio_tungstenite::tungstenite::Message::Text(text) => {
                heard.push(tick(&serde_json::from_str(&text).unwrap()));
            }
            tokio_tungstenite::tungstenite::Message::Close(frame) => {
                let frame = frame.expect("a code");
                break (u16::from(frame.code), frame.reason.to_string());
            }
            _ => {}
        }
    };
    assert_eq!(code, 4290);
    let reason: Value = serde_json::from_str(&reason).unwrap();
    assert_eq!(reason["after"], heard.last().unwrap().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_catch_up_take_turns_and_one_who_does_not_read_keeps_nobody_waiting() {
    let server = Server::start().await;
    server.tick(3_000);
    let long = "subscription { ticks(size: 20000, after: \"0\") { seq text } }";
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut client = Client::admitted(&server).await;
        client.subscribe("1", long).await;
        stalled.push(client);
    }
    let mut other = Client::admitted(&server).await;
    other.subscribe("1", TICKS).await;
    assert_eq!(tick(&other.hear().await), 3_000);
    for client in &mut stalled {
        assert_eq!(tick(&client.hear().await), 1);
    }
}
