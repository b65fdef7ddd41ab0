//! Messages that are owed to people: once each, tried until it is known what became of them.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration as Wait;

use api::app::App;
use api::db::Db;
use api::notifications::{self, Answer, Notice, Parcel, Shipped, TakenUp};
use api::payments::gateway::Sandbox;
use api::tx::Actor;
use chrono::{Duration, NaiveDate};
use entity::api_key::Role;
use entity::message::Reason;
use entity::{MessageId, OrderId, ShipmentId, order};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set};
use serde_json::{Value, json};
use support::mail::{Act, SmtpServer};
use support::merchant::{basket, basket_with};
use support::{Backend, Place, Setup, TestApp, both_backends, journey};
use uuid::Uuid;

both_backends!(
    f5b_a_shipment_is_told_of_once_whoever_says_it_how_often,
    f5b_each_correction_of_a_tracking_number_is_told_of_once,
    f5b_without_an_address_a_message_is_visible_and_not_tried,
    f5b_a_mail_server_that_is_away_is_tried_for_a_day_and_then_no_more,
    f5b_a_node_that_dies_while_it_sends_leaves_a_message_that_is_sent_once_more,
    f5b_a_message_that_may_have_arrived_is_sent_at_most_twice,
    f5b_two_nodes_send_each_of_two_hundred_messages_once,
    f5b_a_mail_server_that_does_not_answer_keeps_no_order_waiting,
    a_message_is_sent_again_with_the_same_words_to_the_address_of_today,
    a_merchant_words_messages_by_channel_and_language,
    a_template_that_cannot_be_filled_in_is_refused,
    what_a_customer_wrote_stays_text,
    messages_are_seen_by_those_who_may_see_them,
);

const MESSAGES: &str = "query Of($id: ID!) { order(by: { id: $id }) {
    messages { id kind recipient language state reason nextAttemptAt subject text html resendOf
        createdAt sentAt attempts { number startedAt endedAt reason answer } }
    timeline { event version } } }";

const RESEND: &str = "mutation Again($input: MessageResendInput!) { messageResend(input: $input) {
    message { id state recipient resendOf } userErrors { code field } replayed } }";

const SAVE: &str = "mutation Save($input: MessageTemplateSaveInput!) {
    messageTemplateSave(input: $input) { messageTemplate { id version channel { code } }
        userErrors { code field message details } } }";

const PREVIEW: &str =
    "query Preview($input: MessagePreviewInput!) { messagePreview(input: $input) {
    message { subject text html } template { subject } language builtIn facts
    userErrors { code field } } }";

/// An order as the dispatch will know it.
async fn placed(app: &TestApp, basket: Value) -> order::Model {
    let placed = app.place(basket).await;
    find_order(app, placed["number"].as_str().unwrap()).await
}

async fn find_order(app: &TestApp, number: &str) -> order::Model {
    order::Entity::find()
        .filter(order::Column::Number.eq(number))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap()
}

fn id_of(order: &order::Model) -> Value {
    json!(api::graphql::ids::to_global::<OrderId>(order.id))
}

fn shipped() -> Shipped {
    Shipped {
        carrier: Some("Post".to_owned()),
        parcels: vec![Parcel {
            tracking_number: "1Z 1".to_owned(),
            tracking_url: Some("https://tracking.example/1Z1".to_owned()),
        }],
        promised: NaiveDate::from_ymd_opt(2026, 12, 4),
        lines: vec![("Mug, white".to_owned(), 1)],
    }
}

fn dispatched(order: &order::Model) -> Notice {
    Notice::shipment_dispatched(order, ShipmentId(order.id.0), "de-AT", &shipped())
}

async fn owe(app: &App, notice: Notice) -> Option<MessageId> {
    let notice = &notice;
    app.write(&Actor::worker("test"), move |tx| async move {
        Ok(notifications::owe(&tx, notice.clone()).await?)
    })
    .await
    .expect("a message")
}

/// The messages of an order.
async fn messages(app: &TestApp, order: &order::Model) -> Vec<Value> {
    let mut data = app.gql(MESSAGES, json!({ "id": id_of(order) })).await;
    match data["order"]["messages"].take() {
        Value::Array(all) => all,
        other => panic!("{other}"),
    }
}

/// The one message of an order.
async fn the_message(app: &TestApp, order: &order::Model) -> Value {
    let mut all = messages(app, order).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// What happened to the messages of an order.
async fn told(app: &TestApp, order: &order::Model) -> Vec<String> {
    let data = app.gql(MESSAGES, json!({ "id": id_of(order) })).await;
    let all = data["order"]["timeline"].as_array().unwrap().iter();
    all.map(|entry| entry["event"].as_str().unwrap().to_owned())
        .filter(|event| event.starts_with("message."))
        .collect()
}

async fn later(app: &TestApp, by: Duration) {
    app.clock.advance(by);
    app.settle().await;
}

async fn f5b_a_shipment_is_told_of_once_whoever_says_it_how_often(app: &TestApp) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    let tries = (0..8).map(|_| owe(&app.app, dispatched(&order)));
    let owed = futures_util::future::join_all(tries).await;
    assert_eq!(owed.iter().flatten().count(), 1);
    let waiting = the_message(app, &order).await;
    assert_eq!(waiting["state"], "QUEUED");
    assert_eq!(waiting["subject"], Value::Null);
    app.settle().await;
    assert_eq!(owe(&app.app, dispatched(&order)).await, None);
    later(app, Duration::days(3)).await;

    let handed = app.mailbox.handed();
    assert_eq!(handed.len(), 1);
    let mail = &handed[0];
    assert_eq!(mail.recipient, "anna@mail.example");
    let sent = the_message(app, &order).await;
    assert_eq!(
        (&sent["state"], &sent["kind"]),
        (&json!("SENT"), &json!("SHIPMENT_DISPATCHED"))
    );
    assert_eq!(sent["nextAttemptAt"], Value::Null);
    assert_eq!(sent["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(sent["subject"], mail.wording.subject);
    assert_eq!(sent["text"], mail.wording.text);
    assert_eq!(sent["html"], mail.wording.html);
    let subject = format!("Ihre Bestellung {} ist unterwegs", order.number);
    assert_eq!(sent["subject"], subject);
    for part in [
        "Anna Leitner",
        "1Z 1",
        "https://tracking.example/1Z1",
        "4. Dezember 2026",
        "Mug, white",
    ] {
        assert!(mail.wording.text.contains(part), "{part}");
    }
    assert!(
        mail.wording
            .html
            .contains("href=\"https:&#x2f;&#x2f;tracking.example&#x2f;1Z1\"")
    );
    assert_eq!(told(app, &order).await, ["message.queued", "message.sent"]);
}

async fn f5b_each_correction_of_a_tracking_number_is_told_of_once(app: &TestApp) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    owe(&app.app, dispatched(&order)).await.unwrap();
    // There and back again: the second correction says what the first notice said.
    for (correction, number, wrong) in [(2, "1Z 2", "1Z 1"), (3, "1Z 1", "1Z 2")] {
        let shipped = Shipped {
            parcels: vec![Parcel {
                tracking_number: number.to_owned(),
                tracking_url: None,
            }],
            ..shipped()
        };
        let notice = Notice::tracking_corrected(
            &order,
            ShipmentId(order.id.0),
            correction,
            "en",
            &shipped,
            Some(wrong),
        );
        assert!(owe(&app.app, notice.clone()).await.is_some());
        assert!(owe(&app.app, notice).await.is_none());
        later(app, Duration::hours(1)).await;
    }
    let handed = app.mailbox.handed();
    let subjects: Vec<_> = handed.iter().map(|mail| &*mail.wording.subject).collect();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    let text = &handed[2].wording.text;
    assert!(text.contains("Tracking number: 1Z 1") && text.contains("forget the number 1Z 2"));
}

async fn f5b_without_an_address_a_message_is_visible_and_not_tried(app: &TestApp) {
    app.open_shop().await;
    let by_phone = json!({ "name": "Anna Leitner", "phone": "+43 1 234567" });
    let mut order = placed(app, basket_with(json!({ "customer": by_phone }))).await;
    owe(&app.app, dispatched(&order)).await.unwrap();
    later(app, Duration::days(1)).await;
    let message = the_message(app, &order).await;
    assert_eq!(message["state"], "UNDELIVERABLE");
    assert_eq!(message["reason"], "NO_ADDRESS");
    assert_eq!(message["recipient"], Value::Null);
    assert_eq!(message["attempts"], json!([]));
    assert_eq!(
        told(app, &order).await,
        ["message.queued", "message.failed"]
    );

    // So is one with an address that a person let pass and that is none.
    order.email = Some("anna@ mail\r\nRCPT TO:<x@y.example>".to_owned());
    let notice = Notice::shipment_dispatched(&order, ShipmentId(Uuid::nil()), "en", &shipped());
    owe(&app.app, notice).await.unwrap();
    app.settle().await;
    assert_eq!(messages(app, &order).await[1]["state"], "UNDELIVERABLE");
    assert!(app.mailbox.handed().is_empty());

    // There is nowhere to send it again to, until somebody says where.
    let id = &message["id"];
    let data = app.gql(RESEND, json!({ "input": { "id": id } })).await;
    assert_eq!(
        data["messageResend"]["userErrors"][0]["code"],
        "EMAIL_INVALID"
    );
    let input = json!({ "id": id, "recipient": "anna@mail.example" });
    let data = app.gql(RESEND, json!({ "input": input })).await;
    assert_eq!(
        data["messageResend"]["message"]["state"], "QUEUED",
        "{data:#}"
    );
    app.settle().await;
    assert_eq!(app.mailbox.handed().len(), 1);
}

async fn f5b_a_mail_server_that_is_away_is_tried_for_a_day_and_then_no_more(app: &TestApp) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    let away = |_| Answer::failed(Reason::Unreachable, "connection refused");
    app.mailbox.will_answer((0..8).map(away));
    owe(&app.app, dispatched(&order)).await.unwrap();
    app.settle().await;
    let waits = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
    for (tried, secs) in waits.into_iter().enumerate() {
        let message = the_message(app, &order).await;
        assert_eq!(message["state"], "QUEUED");
        assert_eq!(message["reason"], "UNREACHABLE");
        assert_eq!(app.mailbox.handed().len(), tried + 1);
        later(app, Duration::seconds(secs) - Duration::microseconds(1)).await;
        assert_eq!(app.mailbox.handed().len(), tried + 1, "before its time");
        later(app, Duration::microseconds(1)).await;
    }
    let message = the_message(app, &order).await;
    assert_eq!(
        (&message["state"], &message["reason"]),
        (&json!("FAILED"), &json!("UNREACHABLE"))
    );
    assert_eq!(message["attempts"].as_array().unwrap().len(), 8);
    assert_eq!(message["attempts"][7]["answer"], "connection refused");
    later(app, Duration::days(30)).await;
    let handed = app.mailbox.handed();
    assert_eq!(handed.len(), 8);
    assert!(
        handed
            .iter()
            .all(|mail| mail.id == handed[0].id && mail.wording == handed[0].wording)
    );
    assert_eq!(
        told(app, &order).await,
        ["message.queued", "message.failed"]
    );

    // One that answers at the second try is told of as sent; one that is refused is not tried on.
    let later_then_fine = [Answer::failed(Reason::Deferred, "450 later")];
    app.mailbox.will_answer(later_then_fine);
    let second = Notice::shipment_dispatched(&order, ShipmentId(Uuid::nil()), "en", &shipped());
    owe(&app.app, second).await.unwrap();
    app.settle().await;
    later(app, Duration::seconds(5)).await;
    app.mailbox
        .will_answer([Answer::failed(Reason::Rejected, "550 nobody here")]);
    let third = Notice::shipment_dispatched(&order, ShipmentId(Uuid::max()), "en", &shipped());
    owe(&app.app, third).await.unwrap();
    app.settle().await;
    later(app, Duration::days(3)).await;
    let all = messages(app, &order).await;
    let states: Vec<_> = all.iter().map(|message| &message["state"]).collect();
    assert_eq!(states, ["FAILED", "SENT", "FAILED"]);
    assert_eq!(all[2]["reason"], "REJECTED");
    assert_eq!(app.mailbox.handed().len(), 11);
}

async fn take_up(app: &TestApp, id: MessageId) -> TakenUp {
    let actor = Actor::worker("test");
    let taken = app.app.write(&actor, move |tx| async move {
        Ok(notifications::take_up(&tx, id).await?)
    });
    taken.await.expect("a message")
}

async fn settle(app: &TestApp, id: MessageId, attempt: i32, answer: Answer) {
    let (actor, answer) = (Actor::worker("test"), &answer);
    let settled = app.app.write(&actor, move |tx| async move {
        Ok(notifications::settle(&tx, id, attempt, answer).await?)
    });
    settled.await.expect("a message");
}

async fn f5b_a_node_that_dies_while_it_sends_leaves_a_message_that_is_sent_once_more(
    app: &TestApp,
) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    let id = owe(&app.app, dispatched(&order)).await.unwrap();
    // A node takes it up, and is never heard of again.
    assert!(matches!(take_up(app, id).await, TakenUp::Mail(_)));
    assert!(matches!(take_up(app, id).await, TakenUp::Gone));
    later(app, Duration::minutes(15) - Duration::microseconds(1)).await;
    assert_eq!(the_message(app, &order).await["state"], "SENDING");
    assert!(app.mailbox.handed().is_empty());
    later(app, Duration::microseconds(1)).await;
    let message = the_message(app, &order).await;
    assert_eq!(
        (&message["state"], &message["reason"]),
        (&json!("UNKNOWN"), &json!("UNANSWERED"))
    );
    later(app, Duration::seconds(5)).await;
    assert_eq!(the_message(app, &order).await["state"], "SENT");
    assert_eq!(app.mailbox.handed().len(), 1);
    // The dead node comes back with its answer: it changes nothing any more.
    settle(app, id, 1, Answer::failed(Reason::Rejected, "550")).await;
    assert_eq!(the_message(app, &order).await["state"], "SENT");
    assert_eq!(told(app, &order).await, ["message.queued", "message.sent"]);

    // One that comes back before the next try is believed.
    let second = Notice::shipment_dispatched(&order, ShipmentId(Uuid::nil()), "en", &shipped());
    let id = owe(&app.app, second).await.unwrap();
    assert!(matches!(take_up(app, id).await, TakenUp::Mail(_)));
    later(app, Duration::minutes(15)).await;
    settle(app, id, 1, Answer::accepted("250")).await;
    later(app, Duration::days(2)).await;
    assert_eq!(messages(app, &order).await[1]["state"], "SENT");
    assert_eq!(app.mailbox.handed().len(), 1);
}

async fn f5b_a_message_that_may_have_arrived_is_sent_at_most_twice(app: &TestApp) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    let silence = || Answer::failed(Reason::Unanswered, "no answer");
    app.mailbox.will_answer([silence(), silence()]);
    owe(&app.app, dispatched(&order)).await.unwrap();
    app.settle().await;
    let message = the_message(app, &order).await;
    assert_eq!(message["state"], "UNKNOWN");
    assert_ne!(message["nextAttemptAt"], Value::Null);
    later(app, Duration::seconds(5)).await;
    later(app, Duration::days(30)).await;
    let message = the_message(app, &order).await;
    assert_eq!(
        (&message["state"], &message["nextAttemptAt"]),
        (&json!("UNKNOWN"), &Value::Null)
    );
    let handed = app.mailbox.handed();
    assert_eq!(handed.len(), 2);
    assert_eq!(handed[0].id, handed[1].id);
    assert_eq!(
        told(app, &order).await,
        ["message.queued", "message.failed"]
    );
}

async fn f5b_two_nodes_send_each_of_two_hundred_messages_once(app: &TestApp) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    let order = &order;
    app.app
        .write(&Actor::worker("test"), move |tx| async move {
            for number in 0..200 {
                let shipment = ShipmentId(Uuid::from_u128(number));
                let notice = Notice::shipment_dispatched(order, shipment, "en", &shipped());
                notifications::owe(&tx, notice).await?.expect("a message");
            }
            Ok(())
        })
        .await
        .unwrap();
    // Another node, with connections of its own, so that none waits for the other's.
    let db = Db::connect(&app.app.config.database).await.unwrap();
    let node = App::new(
        db,
        app.clock.clone(),
        app.app.config.clone(),
        Arc::new(Sandbox),
        app.mailbox.clone(),
    );
    loop {
        let [one, other] = [&app.app, &node].map(|node| {
            let node = node.clone();
            tokio::spawn(async move { node.send_messages().await })
        });
        let (one, other) = (one.await.unwrap().unwrap(), other.await.unwrap().unwrap());
        assert!(one.failures.is_empty(), "{:?}", one.failures);
        assert!(other.failures.is_empty(), "{:?}", other.failures);
        if one.done + other.done == 0 {
            break;
        }
    }
    let mut handed = BTreeMap::new();
    for mail in app.mailbox.handed() {
        *handed.entry(mail.id).or_insert(0) += 1;
    }
    assert_eq!(handed.len(), 200);
    assert!(handed.values().all(|times| *times == 1), "{handed:?}");
    node.db.clone().close().await.unwrap();
}

async fn f5b_a_mail_server_that_does_not_answer_keeps_no_order_waiting(app: &TestApp) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    owe(&app.app, dispatched(&order)).await.unwrap();
    app.mailbox.close();
    let sending = app.app.clone();
    let sending = tokio::spawn(async move { sending.send_messages().await });
    app.mailbox.knocked().await;
    // On SQLite one connection writes: if the try held it, nothing of this would come to an end.
    let other = placed(app, basket()).await;
    let round = api::workers::round(&app.app).await;
    assert!(round.failures.is_empty(), "{:?}", round.failures);
    assert_eq!(the_message(app, &order).await["state"], "SENDING");
    app.mailbox.open();
    assert_eq!(sending.await.unwrap().unwrap().done, 1);
    assert_eq!(the_message(app, &order).await["state"], "SENT");
    assert!(messages(app, &other).await.is_empty());
}

async fn a_message_is_sent_again_with_the_same_words_to_the_address_of_today(app: &TestApp) {
    app.open_shop().await;
    let order = placed(app, basket()).await;
    owe(&app.app, dispatched(&order)).await.unwrap();
    let id = the_message(app, &order).await["id"].clone();
    let again = async |more: Value| {
        let mut input = json!({ "id": id, "idempotencyKey": "again" });
        for (name, value) in more.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        app.gql(RESEND, json!({ "input": input })).await["messageResend"].take()
    };
    let early = again(json!({ "idempotencyKey": "early" })).await;
    assert_eq!(early["userErrors"][0]["code"], "MESSAGE_PENDING");
    app.settle().await;

    // The customer has another address by now, and the merchant other words.
    let mut row = find_order(app, &order.number).await.into_active_model();
    row.email = Set(Some("anna@new.example".to_owned()));
    order::Entity::update(row)
        .exec(&app.app.db.write)
        .await
        .unwrap();
    let words = json!({ "kind": "SHIPMENT_DISPATCHED", "language": "de", "subject": "Neu",
        "text": "Neu", "html": "Neu" });
    app.gql(SAVE, json!({ "input": words })).await;

    let first = again(json!({})).await;
    assert_eq!(first["userErrors"], json!([]), "{first:#}");
    assert_eq!(first["message"]["resendOf"], id);
    let second = again(json!({})).await;
    assert_eq!(second["message"]["id"], first["message"]["id"]);
    assert_eq!(
        (&first["replayed"], &second["replayed"]),
        (&json!(false), &json!(true))
    );
    app.settle().await;
    let handed = app.mailbox.handed();
    assert_eq!(handed.len(), 2);
    assert_eq!(handed[0].wording, handed[1].wording);
    assert_ne!(handed[0].id, handed[1].id);
    assert_eq!(handed[1].recipient, "anna@new.example");
    let expected = [
        "message.queued",
        "message.sent",
        "message.resent",
        "message.sent",
    ];
    assert_eq!(told(app, &order).await, expected);

    let wrong = again(json!({ "idempotencyKey": "wrong", "recipient": "anna@" })).await;
    assert_eq!(wrong["userErrors"][0]["code"], "EMAIL_INVALID");
}

async fn preview(app: &TestApp, input: Value) -> Value {
    app.gql(PREVIEW, json!({ "input": input })).await["messagePreview"].take()
}

async fn a_merchant_words_messages_by_channel_and_language(app: &TestApp) {
    app.open_shop().await;
    let web = app.channel("web").await;
    let web = json!(api::graphql::ids::to_global(web.id));
    let save = async |language: &str, channel: &Value, words: &str, version: Value| {
        let input = json!({ "kind": "SHIPMENT_DISPATCHED", "language": language,
            "channelId": channel, "subject": format!("{words} {{{{ order }}}}"),
            "text": words, "html": words, "expectedVersion": version });
        app.gql(SAVE, json!({ "input": input })).await["messageTemplateSave"].take()
    };
    let seen = async |language: &str, channel: &Value| {
        let input = json!({ "kind": "SHIPMENT_DISPATCHED", "language": language,
            "channelId": channel });
        let seen = preview(app, input).await;
        assert_eq!(seen["userErrors"], json!([]), "{seen:#}");
        (
            seen["message"]["subject"].as_str().unwrap().to_owned(),
            seen["builtIn"] == true,
        )
    };
    let own = "Ihre Bestellung 10042 ist unterwegs".to_owned();
    assert_eq!(seen("de-AT", &web).await, (own.clone(), true));
    assert_eq!(
        seen("fr-FR", &web).await.0,
        "Your order 10042 is on its way"
    );

    let all = save("de", &Value::Null, "Allen", json!(0)).await;
    assert_eq!(all["messageTemplate"]["version"], 1, "{all:#}");
    save("de", &web, "Netz", Value::Null).await;
    assert_eq!(seen("de-AT", &web).await, ("Netz 10042".to_owned(), false));
    assert_eq!(seen("de", &Value::Null).await.0, "Allen 10042");
    save("DE-at", &Value::Null, "Servus", Value::Null).await;
    assert_eq!(seen("de-AT", &web).await.0, "Servus 10042");
    assert_eq!(seen("de-DE", &web).await.0, "Netz 10042");

    let stale = save("de", &Value::Null, "Alle", json!(0)).await;
    assert_eq!(stale["userErrors"][0]["code"], "STALE_VERSION");
    let changed = save("de", &Value::Null, "Alle", json!(1)).await;
    assert_eq!(changed["messageTemplate"]["version"], 2);
    assert_eq!(
        changed["messageTemplate"]["id"],
        all["messageTemplate"]["id"]
    );

    let order = placed(app, basket()).await;
    owe(&app.app, dispatched(&order)).await.unwrap();
    app.settle().await;
    let subject = app.mailbox.handed()[0].wording.subject.clone();
    assert_eq!(subject, format!("Servus {}", order.number));

    let list = "{ messageTemplates { nodes { id version language subject channel { code } }
        totalCount { count } } }";
    let list = app.gql(list, json!({})).await["messageTemplates"].take();
    assert_eq!(list["totalCount"]["count"], 3);
    for template in list["nodes"].as_array().unwrap() {
        let delete = "mutation Delete($id: ID!, $version: Int!) {
            messageTemplateDelete(input: { id: $id, expectedVersion: $version }) {
                userErrors { code } } }";
        let input = json!({ "id": template["id"], "version": template["version"] });
        let data = app.gql(delete, input).await;
        assert_eq!(data["messageTemplateDelete"]["userErrors"], json!([]));
    }
    assert_eq!(seen("de-AT", &web).await, (own, true));
}

async fn a_template_that_cannot_be_filled_in_is_refused(app: &TestApp) {
    app.open_shop().await;
    for (part, source) in [
        ("subject", "{{ ordr }}"),
        ("subject", "  "),
        ("text", "{% if carrier %}"),
        ("text", "{{ order | upper }}"),
        // There is a carrier in the sample, but there may be none.
        ("text", "{{ carrier.name }}"),
        ("html", "{% for a in lines %}{% include a %}{% endfor %}"),
        ("html", "{{ self }}"),
        ("html", &"x".repeat(70_000)),
    ] {
        let mut input = json!({ "kind": "TRACKING_CORRECTED", "language": "en",
            "subject": "s", "text": "t", "html": "h" });
        input[part] = json!(source);
        let data = app.gql(SAVE, json!({ "input": input.clone() })).await;
        let refused = &data["messageTemplateSave"];
        assert_eq!(
            refused["userErrors"][0]["code"], "TEMPLATE_INVALID",
            "{source:.60}: {data:#}"
        );
        assert_eq!(refused["userErrors"][0]["field"], json!(["input", part]));
        assert!(refused["userErrors"][0]["details"]["line"].is_number());
        let seen = preview(app, input).await;
        assert_eq!(seen["userErrors"][0]["code"], "TEMPLATE_INVALID");
    }
    let wrong = json!({ "kind": "TRACKING_CORRECTED", "language": "../en", "subject": "s",
        "text": "t", "html": "h" });
    let data = app.gql(SAVE, json!({ "input": wrong })).await;
    assert_eq!(
        data["messageTemplateSave"]["userErrors"][0]["code"],
        "INVALID_INPUT"
    );
    let count = "{ messageTemplates { totalCount { count } } }";
    let count = app.gql(count, json!({})).await;
    assert_eq!(count["messageTemplates"]["totalCount"]["count"], 0);
}

async fn what_a_customer_wrote_stays_text(app: &TestApp) {
    app.open_shop().await;
    let mut order = placed(app, basket()).await;
    order.customer_name =
        "Eve\r\nBcc: all@shop.example\r\n\r\n<script>alert(1)</script> {{ order }} {% for %}"
            .to_owned();
    let shipped = Shipped {
        carrier: Some("\" onmouseover=\"x".to_owned()),
        parcels: vec![Parcel {
            tracking_number: "<img src=x>\n\nPay here: https://evil.example".to_owned(),
            tracking_url: Some("javascript:alert(1)".to_owned()),
        }],
        lines: vec![("</li><b>\u{202e}".to_owned(), 1)],
        ..shipped()
    };
    let notice = Notice::shipment_dispatched(&order, ShipmentId(Uuid::nil()), "en", &shipped);
    owe(&app.app, notice).await.unwrap();
    let subject = json!({ "kind": "SHIPMENT_DISPATCHED", "language": "en",
        "subject": "{{ customer }}", "text": "{{ customer }}\n\
            {% for one in parcels %}{{ one.tracking_number }}{% endfor %}",
        "html": "<p title=\"{{ carrier }}\">{{ customer }}\
            {% for one in parcels %}{{ one.tracking_number }}\
            {% if one.tracking_url %}<a href=\"{{ one.tracking_url }}\">{% endif %}{% endfor %}\
            {% for line in lines %}{{ line.title }}{% endfor %}</p>" });
    app.gql(SAVE, json!({ "input": subject })).await;
    app.settle().await;
    let handed = app.mailbox.handed();
    let wording = &handed[0].wording;
    assert!(
        !wording.subject.contains(['\r', '\n']),
        "{}",
        wording.subject
    );
    assert!(
        wording
            .subject
            .starts_with("Eve Bcc: all@shop.example <script>")
    );
    assert!(
        wording.subject.ends_with("{{ order }} {% for %}"),
        "{}",
        wording.subject
    );
    assert_eq!(wording.text.lines().count(), 2, "{}", wording.text);
    assert_eq!(wording.html.matches('<').count(), 2, "{}", wording.html);
    assert_eq!(wording.html.matches('"').count(), 2, "{}", wording.html);
    assert!(!wording.html.contains("javascript"), "{}", wording.html);
    assert!(!wording.html.contains('\u{202e}'));
}

async fn messages_are_seen_by_those_who_may_see_them(app: &TestApp) {
    app.open_shop().await;
    let web = placed(app, basket()).await;
    owe(&app.app, dispatched(&web)).await.unwrap();
    app.settle().await;
    let other = placed(app, basket_with(json!({ "channel": "b2b" }))).await;
    owe(&app.app, dispatched(&other)).await.unwrap();
    let list = "query List($where: MessageWhere) { messages(where: $where) {
        nodes { id recipient subject text html state attempts { answer }
            order { number } } totalCount { count } } }";
    let all = app.gql(list, json!({})).await["messages"].take();
    assert_eq!(all["totalCount"]["count"], 2);
    let found = async |which: Value| {
        let found = app.gql(list, json!({ "where": which })).await;
        let found = found["messages"]["nodes"].as_array().unwrap().clone();
        let numbers = found.iter().map(|one| one["order"]["number"].clone());
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(
        found(json!({ "state": ["SENT"] })).await,
        [json!(web.number)]
    );
    assert_eq!(
        found(json!({ "state": ["QUEUED", "FAILED"] })).await,
        [json!(other.number)]
    );
    assert_eq!(
        found(json!({ "orderId": id_of(&web) })).await,
        [json!(web.number)]
    );
    assert_eq!(
        found(json!({ "kind": ["TRACKING_CORRECTED"] })).await,
        [] as [Value; 0]
    );
    assert_eq!(
        found(json!({ "orderId": "nonsense" })).await,
        [] as [Value; 0]
    );

    let viewer = app.key(Role::Viewer).await;
    let seen = app
        .gql_as(&viewer, list, json!({ "where": { "state": ["SENT"] } }))
        .await;
    let seen = &seen["messages"]["nodes"][0];
    for field in ["recipient", "subject", "text", "html"] {
        assert_eq!(seen[field], Value::Null, "{field}");
    }
    assert_eq!(seen["attempts"], json!([{ "answer": null }]));
    let id = seen["id"].clone();
    let data = app
        .answer_as(Some(&viewer), RESEND, json!({ "input": { "id": id } }))
        .await;
    assert_eq!(data.code(), "FORBIDDEN");

    let partner = app.key_for(Role::Partner, &["b2b"], None).await.key;
    let seen = app.gql_as(&partner, list, json!({})).await["messages"].take();
    assert_eq!(seen["totalCount"]["count"], 1);
    assert_eq!(seen["nodes"][0]["order"]["number"], other.number);
    let one = "query One($id: ID!) { message(id: $id) { id } node(id: $id) { id } }";
    let hidden = app.gql_as(&partner, one, json!({ "id": id })).await;
    assert_eq!(hidden, json!({ "message": null, "node": null }));
    let shown = app.gql(one, json!({ "id": id })).await;
    assert_eq!(shown["message"]["id"], id);
    assert_eq!(shown["node"]["id"], id);
}

/// Runs a journey on an app that speaks to a mail server.
async fn with_server(url: &str, steps: impl AsyncFnOnce(&TestApp)) {
    let Some(place) = Place::migrated(Backend::Sqlite).await else {
        return;
    };
    let setup = Setup {
        settings: &[
            ("OMS__MAIL__SMTP_URL", url),
            ("OMS__MAIL__FROM", "orders@shop.example"),
            ("OMS__MAIL__TIMEOUT_SECS", "2"),
        ],
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    steps(&app).await;
    app.finish().await;
}

/// Where a message of a new order stands after its first try.
async fn tried(app: &TestApp) -> (order::Model, Value) {
    let order = placed(app, basket()).await;
    owe(&app.app, dispatched(&order)).await.unwrap();
    app.settle().await;
    let message = the_message(app, &order).await;
    (order, message)
}

#[tokio::test(flavor = "multi_thread")]
async fn f5b_an_smtp_server_is_believed_where_it_speaks_and_doubted_where_it_does_not() {
    let acts = [
        Act::Take,
        Act::Refuse("450 4.2.1 later"),
        Act::Refuse("550 5.1.1 nobody here"),
        Act::RefuseAll("451 4.3.0 later"),
        Act::RefuseAll("554 5.7.1 no"),
        Act::TakeAndDie,
        Act::Die,
        Act::Hang,
    ];
    let server = SmtpServer::start(&acts).await;
    with_server(&format!("smtp://{}", server.address), async |app| {
        for (state, reason) in [
            ("SENT", None),
            ("QUEUED", Some("DEFERRED")),
            ("FAILED", Some("REJECTED")),
            ("QUEUED", Some("DEFERRED")),
            ("FAILED", Some("REJECTED")),
            ("UNKNOWN", Some("UNANSWERED")),
            ("UNKNOWN", Some("UNANSWERED")),
            ("QUEUED", Some("UNREACHABLE")),
        ] {
            let (_, message) = tried(app).await;
            assert_eq!(message["state"], state, "{message:#}");
            assert_eq!(message["reason"], json!(reason), "{message:#}");
        }
        assert_eq!(server.taken().len(), 2);
        // All but the two that were refused arrive, the one without an answer under the
        // Message-ID that it had.
        later(app, Duration::seconds(5)).await;
        let mut copies = BTreeMap::new();
        for message in server.taken() {
            let line = message
                .lines()
                .find(|line| line.starts_with("Message-ID: "));
            *copies.entry(line.unwrap().to_owned()).or_insert(0) += 1;
        }
        let mut counts: Vec<i32> = copies.into_values().collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1, 1, 1, 1, 2]);
        let first = &server.taken()[0];
        for line in [
            "MAIL FROM:<orders@shop.example>",
            "RCPT TO:<anna@mail.example>",
            "To: anna@mail.example",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(first.lines().any(|had| had == line), "{line}\n{first}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f5b_a_server_that_is_down_ends_the_round_and_gets_everything_when_it_is_back() {
    let server = SmtpServer::start(&[]).await;
    let address = server.address;
    drop(server);
    with_server(&format!("smtp://{address}"), async |app| {
        let order = placed(app, basket()).await;
        for number in 0..20 {
            let shipment = ShipmentId(Uuid::from_u128(number));
            owe(
                &app.app,
                Notice::shipment_dispatched(&order, shipment, "en", &shipped()),
            )
            .await;
        }
        // One lane's worth of tries, not twenty.
        let round = app.app.send_messages().await.unwrap();
        assert!((1..=4).contains(&round.done), "{}", round.done);
        app.settle().await;
        let all = messages(app, &order).await;
        assert!(all.iter().all(|message| message["state"] == "QUEUED"));
        assert!(all.iter().all(|message| message["reason"] == "UNREACHABLE"));
        let server = SmtpServer::at(address, &[]).await;
        later(app, Duration::seconds(5)).await;
        assert_eq!(server.taken().len(), 20);
        let all = messages(app, &order).await;
        assert!(all.iter().all(|message| message["state"] == "SENT"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_takes_messages_where_there_is_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let Some(place) = Place::migrated(Backend::Sqlite).await else {
        return;
    };
    let path = folder.path().join("mail").display().to_string();
    let setup = Setup {
        settings: &[("OMS__MAIL__FOLDER", &path)],
        ..Setup::default()
    };
    let app = TestApp::on(place, setup).await;
    app.open_shop().await;
    let (_, message) = tried(&app).await;
    assert_eq!(message["state"], "SENT");
    let file = message["attempts"][0]["answer"].as_str().unwrap();
    let written = std::fs::read_to_string(file).unwrap();
    assert!(written.contains("To: anna@mail.example"), "{written}");
    app.finish().await;
}

/// aiosmtpd, a mail server that others wrote, in a folder of its own below the temporary ones.
struct Aiosmtpd {
    process: Child,
    maildir: tempfile::TempDir,
    port: u16,
}

impl Aiosmtpd {
    async fn start() -> Result<Aiosmtpd, String> {
        let python = support::python::with("aiosmtpd", "1.4.6").await?;
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
                tokio::time::sleep(Wait::from_millis(20)).await;
            }
        };
        let listening = tokio::time::timeout(Wait::from_secs(60), listening).await;
        listening.map_err(|_| "aiosmtpd does not listen".to_owned())?;
        Ok(server)
    }

    fn taken(&self) -> Vec<String> {
        let new = self.maildir.path().join("mail/new");
        let files = std::fs::read_dir(new).into_iter().flatten().flatten();
        files
            .map(|file| std::fs::read_to_string(file.path()).unwrap())
            .collect()
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f5b_a_mail_server_of_others_takes_what_is_sent() {
    let server = match Aiosmtpd::start().await {
        Ok(server) => server,
        Err(missing) => {
            let required = std::env::var_os("OMS_REQUIRE_AIOSMTPD").is_some();
            assert!(!required, "aiosmtpd: {missing}");
            eprintln!("skipped: aiosmtpd cannot be had: {missing}");
            return;
        }
    };
    with_server(&format!("smtp://127.0.0.1:{}", server.port), async |app| {
        let (order, message) = tried(app).await;
        assert_eq!(message["state"], "SENT", "{message:#}");
        let (_, second) = tried(app).await;
        assert_eq!(second["state"], "SENT", "{second:#}");
        let taken = server.taken();
        assert_eq!(taken.len(), 2);
        let subject = format!("Subject: Ihre Bestellung {} ist unterwegs", order.number);
        let first = taken.iter().find(|mail| mail.contains(&subject));
        let first = first.unwrap_or_else(|| panic!("{taken:#?}"));
        for part in [
            "X-RcptTo: anna@mail.example",
            "Content-Type: multipart/alternative",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Type: text/html; charset=utf-8",
        ] {
            assert!(first.contains(part), "{part}\n{first}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_say_what_waits() {
    journey(Backend::Sqlite, async |app| {
        app.open_shop().await;
        let order = placed(app, basket()).await;
        app.mailbox
            .will_answer([Answer::failed(Reason::Unreachable, "away")]);
        owe(&app.app, dispatched(&order)).await.unwrap();
        app.settle().await;
        let now = app.clock.advance(Duration::seconds(4));
        let (waiting, since) = notifications::waiting(&app.app.db.read).await.unwrap();
        assert_eq!(waiting, 1);
        assert_eq!(since.map(|since| now - since), Some(Duration::seconds(4)));
        later(app, Duration::seconds(1)).await;
        let none = notifications::waiting(&app.app.db.read).await.unwrap();
        assert_eq!(none, (0, None));
    })
    .await;
}
