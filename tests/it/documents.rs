//! F4: what is printed stays as it was printed, is read by signed addresses alone, and is what
//! scanners read.

use std::path::PathBuf;

use api::app::App;
use api::documents::{self, NewDocument, samples};
use api::failure::Failure;
use api::graphql::ids::to_global;
use api::tx::Actor;
use chrono::Duration;
use entity::api_key::Role;
use entity::document::{Format, Kind};
use entity::{DocumentId, document, document_content, event_log, order, outbox};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use support::decoders::{self, scanned, words};
use support::merchant::{basket, codes};
use support::{TestApp, both_backends};

both_backends!(
    f4_a_document_is_read_by_its_signed_address_and_by_no_other,
    f4_all_nodes_know_each_others_addresses,
    f4_what_was_printed_first_stays_until_it_is_voided,
    f4_a_document_is_printed_again_as_it_was_but_not_once_it_is_void,
    f4_of_those_who_store_the_same_at_once_one_prints,
    f4_documents_are_found_by_those_who_may_see_them,
);

/// A packing slip for a package.
fn slip(package: &str, lines: usize) -> NewDocument {
    NewDocument {
        kind: Kind::PackingSlip,
        subject: format!("package:{package}"),
        order: None,
        name: "Packing slip Żółw 1042/1".to_owned(),
        rendered: documents::packing_slip(&samples::packing_slip(lines)).unwrap(),
    }
}

async fn store(app: &TestApp, new: NewDocument) -> document::Model {
    try_store(app, new).await.unwrap()
}

async fn try_store(app: &TestApp, new: NewDocument) -> Result<document::Model, Failure> {
    let new = &new;
    app.app
        .write(&Actor::worker("test"), move |tx| async move {
            documents::store(&tx, new.clone()).await
        })
        .await
}

/// The order of a basket, with its channel.
async fn placed(app: &TestApp) -> (order::Model, Value) {
    app.open_shop().await;
    let placed = app.place(basket()).await;
    let row = order::Entity::find()
        .filter(order::Column::Number.eq(placed["number"].as_str().unwrap()))
        .one(&app.app.db.read)
        .await
        .unwrap();
    (row.unwrap(), placed["id"].clone())
}

async fn get(app: &TestApp, path: &str) -> reqwest::Response {
    reqwest::get(app.url(path)).await.unwrap()
}

/// The status and the code of an answer that has no document.
async fn refused(app: &TestApp, path: &str) -> (u16, String) {
    let answer = get(app, path).await;
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let extensions = &body["errors"][0]["extensions"];
    assert!(extensions["requestId"].is_string(), "{body}");
    (status, extensions["code"].as_str().unwrap().to_owned())
}

async fn f4_a_document_is_read_by_its_signed_address_and_by_no_other(app: &TestApp) {
    let new = slip("a", 3);
    let bytes = new.rendered.bytes.clone();
    let row = store(app, new).await;
    let other = store(app, slip("b", 4)).await;
    let query = "query D($id: ID!) { document(id: $id) {
        id kind format contentType fileName size sha256 url voidedAt version } }";
    let read = app.gql(query, json!({ "id": to_global(row.id) })).await;
    let shown = &read["document"];
    assert_eq!(shown["kind"], "PACKING_SLIP");
    assert_eq!(shown["format"], "PDF");
    assert_eq!(shown["size"], bytes.len());
    assert_eq!(shown["fileName"], "Packing slip Żółw 1042-1.pdf");
    let path = shown["url"].as_str().unwrap();

    let answer = get(app, path).await;
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    assert_eq!(answer.bytes().await.unwrap(), bytes);
    let tag = format!("\"{}\"", row.sha256);
    for (name, value) in [
        ("content-type", "application/pdf"),
        ("etag", &tag),
        ("cache-control", "private, max-age=900, immutable"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        (
            "content-disposition",
            "inline; filename=\"Packing slip ___w 1042-1.pdf\"; \
             filename*=UTF-8''Packing%20slip%20%C5%BB%C3%B3%C5%82w%201042-1.pdf",
        ),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let client = support::http();
    let again = client.get(app.url(path)).header("if-none-match", &tag);
    let again = again.send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert!(again.bytes().await.unwrap().is_empty());
    let head = client.head(app.url(path)).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], bytes.len().to_string());
    let post = client.post(app.url(path)).send().await.unwrap();
    assert_eq!(
        (post.status().as_u16(), &post.headers()["allow"]),
        (405, &"GET, HEAD".parse().unwrap())
    );

    let (_, signed) = path.split_once('?').unwrap();
    let (expires, signature) = signed.split_once('&').unwrap();
    let turned = match path.ends_with('0') {
        true => format!("{}1", &path[..path.len() - 1]),
        false => format!("{}0", &path[..path.len() - 1]),
    };
    for forged in [
        turned,
        format!("/documents/{}?{signed}", other.id),
        format!("/documents/{}?{signed}", DocumentId(uuid::Uuid::now_v7())),
        format!("/documents/{}", row.id),
        format!("/documents/{}?{expires}", row.id),
        format!("/documents/{}?expires=99999999999&{signature}", row.id),
        format!("/documents/x?{signed}"),
    ] {
        let expected = (403, "FORBIDDEN".to_owned());
        assert_eq!(refused(app, &forged).await, expected, "{forged}");
    }
    let gone = app
        .app
        .document_path(DocumentId(uuid::Uuid::now_v7()))
        .await
        .unwrap();
    assert_eq!(refused(app, &gone).await, (404, "NOT_FOUND".to_owned()));

    app.clock.advance(Duration::seconds(899));
    assert_eq!(get(app, path).await.status(), 200);
    app.clock.advance(Duration::seconds(1));
    assert_eq!(refused(app, path).await, (403, "LINK_EXPIRED".to_owned()));
}

async fn f4_all_nodes_know_each_others_addresses(app: &TestApp) {
    let row = store(app, slip("a", 1)).await;
    let node = |secret: &str| {
        let mut config = app.app.config.clone();
        config.documents.url_secret = secret.to_owned();
        let gateway = std::sync::Arc::new(api::payments::gateway::Sandbox);
        App::new(
            app.app.db.clone(),
            app.clock.clone(),
            config,
            gateway,
            app.mailbox.clone(),
        )
    };
    // Neither has a secret yet: whoever is first makes it.
    let nodes = [node(""), node("")];
    let paths = join_all(nodes.iter().map(|node| node.document_path(row.id))).await;
    for path in paths {
        assert_eq!(get(app, &path.unwrap()).await.status(), 200);
    }
    // One that was told a secret of its own does not agree.
    let path = node("sixteen letters and more")
        .document_path(row.id)
        .await
        .unwrap();
    assert_eq!(refused(app, &path).await.0, 403);
}

/// How many events of a type there are.
async fn events(app: &TestApp, event_type: &str) -> u64 {
    let db = &app.app.db.read;
    let logged = event_log::Entity::find().filter(event_log::Column::EventType.eq(event_type));
    let mut count = logged.count(db).await.unwrap();
    if app.app.db.backend == sea_orm::DbBackend::Postgres {
        let waiting = outbox::Entity::find().filter(outbox::Column::EventType.eq(event_type));
        count += waiting.count(db).await.unwrap();
    }
    count
}

async fn f4_what_was_printed_first_stays_until_it_is_voided(app: &TestApp) {
    let first = store(app, slip("a", 2)).await;
    let bytes = slip("a", 2).rendered.bytes;
    let again = store(app, slip("a", 9)).await;
    assert_eq!(again, first);
    assert_eq!(events(app, "document.created").await, 1);
    let label = NewDocument {
        kind: Kind::Label,
        rendered: documents::label(&samples::label()).unwrap(),
        ..slip("a", 1)
    };
    let zpl = NewDocument {
        rendered: documents::label_zpl(&samples::label()).unwrap(),
        ..label.clone()
    };
    let others = [store(app, label).await, store(app, zpl).await];
    assert_eq!(
        others.each_ref().map(|row| row.format),
        [Format::Pdf, Format::Zpl]
    );
    assert!(others[1].file_name.ends_with(".zpl"));

    let void = "mutation V($id: ID!) { documentVoid(input: { id: $id }) {
        document { id voidedAt version url } userErrors { code field } } }";
    let id = json!({ "id": to_global(first.id) });
    let voided = app.gql(void, id.clone()).await["documentVoid"].take();
    assert_eq!(voided["userErrors"], json!([]));
    assert_eq!(voided["document"]["version"], 2);
    let twice = app.gql(void, id).await["documentVoid"].take();
    assert_eq!(
        twice["document"]["voidedAt"],
        voided["document"]["voidedAt"]
    );
    assert_eq!(events(app, "document.voided").await, 1);
    let nobody = json!({ "id": to_global(DocumentId(uuid::Uuid::now_v7())) });
    let nobody = app.gql(void, nobody).await["documentVoid"].take();
    assert_eq!(codes(&nobody), ["NOT_FOUND"]);

    // It can still be read, and another takes its place.
    let path = voided["document"]["url"].as_str().unwrap();
    assert_eq!(get(app, path).await.bytes().await.unwrap(), bytes);
    let next = store(app, slip("a", 9)).await;
    assert_ne!(next.id, first.id);
    let in_force = documents::in_force(
        &app.app.db.read,
        "package:a",
        Kind::PackingSlip,
        Format::Pdf,
    );
    assert_eq!(in_force.await.unwrap(), Some(next));
}

async fn f4_a_document_is_printed_again_as_it_was_but_not_once_it_is_void(app: &TestApp) {
    let (order, order_id) = placed(app).await;
    let new = NewDocument {
        order: Some((order.id, order.channel_id)),
        ..slip("a", 2)
    };
    let bytes = new.rendered.bytes.clone();
    let row = store(app, new).await;
    let reprint = "mutation R($id: ID!) { documentReprint(input: { id: $id }) {
        document { url } userErrors { code field } } }";
    let id = json!({ "id": to_global(row.id) });
    let worker = app.key(Role::Warehouse).await;
    for _ in 0..2 {
        let printed = app.gql_as(&worker, reprint, id.clone()).await["documentReprint"].take();
        let path = printed["document"]["url"].as_str().unwrap();
        assert_eq!(get(app, path).await.bytes().await.unwrap(), bytes);
    }
    let viewer = app.key(Role::Viewer).await;
    let lacking = app.answer_as(Some(&viewer), reprint, id.clone()).await;
    assert_eq!(lacking.code(), "FORBIDDEN");
    app.app
        .write(&Actor::worker("test"), move |tx| async move {
            documents::void(&tx, row.id).await
        })
        .await
        .unwrap();
    let refused = app.gql(reprint, id).await["documentReprint"].take();
    assert_eq!(codes(&refused), ["DOCUMENT_VOIDED"]);
    app.settle().await;
    let timeline = "query T($id: ID!) { order(by: { id: $id }) { timeline { event } } }";
    let read = app.gql(timeline, json!({ "id": order_id })).await;
    let events = read["order"]["timeline"].as_array().unwrap().iter();
    let events: Vec<_> = events
        .filter_map(|entry| entry["event"].as_str())
        .filter(|event| event.starts_with("document."))
        .collect();
    let expected = ["created", "reprinted", "reprinted", "voided"];
    assert_eq!(events, expected.map(|name| format!("document.{name}")));
}

async fn f4_of_those_who_store_the_same_at_once_one_prints(app: &TestApp) {
    let stored = (1..=8).map(|lines| try_store(app, slip("a", lines)));
    let stored: Vec<_> = join_all(stored)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(stored.iter().all(|row| *row == stored[0]), "{stored:#?}");
    let db = &app.app.db.read;
    assert_eq!(document::Entity::find().count(db).await.unwrap(), 1);
    assert_eq!(document_content::Entity::find().count(db).await.unwrap(), 1);
    assert_eq!(events(app, "document.created").await, 1);
}

async fn f4_documents_are_found_by_those_who_may_see_them(app: &TestApp) {
    let (order, order_id) = placed(app).await;
    let of_order = NewDocument {
        order: Some((order.id, order.channel_id)),
        ..slip("a", 2)
    };
    let slip = store(app, of_order).await;
    app.clock.advance(Duration::seconds(1));
    let list = NewDocument {
        kind: Kind::PickList,
        subject: "pick_list:1".to_owned(),
        order: None,
        name: "Pick list".to_owned(),
        rendered: documents::pick_sheet(&samples::pick_sheet(3)).unwrap(),
    };
    let list = store(app, list).await;
    let query = "query L($order: ID, $subject: String, $kind: DocumentKind, $first: Int) {
        documents(orderId: $order, subject: $subject, kind: $kind, first: $first) {
            nodes { id order { id } } pageInfo { hasNextPage } totalCount { count } } }";
    let found = async |key: &str, variables: Value| {
        let read = app.gql_as(key, query, variables).await;
        let nodes = read["documents"]["nodes"].as_array().unwrap().clone();
        nodes
            .into_iter()
            .map(|node| node["id"].clone())
            .collect::<Vec<_>>()
    };
    let (slip_id, list_id) = (json!(to_global(slip.id)), json!(to_global(list.id)));
    let admin = &app.admin_key;
    let both = [list_id.clone(), slip_id.clone()];
    assert_eq!(found(admin, json!({})).await, both);
    for (variables, expected) in [
        (json!({ "order": order_id }), &slip_id),
        (json!({ "subject": "pick_list:1" }), &list_id),
        (json!({ "kind": "PACKING_SLIP" }), &slip_id),
        (json!({ "first": 1 }), &list_id),
    ] {
        assert_eq!(
            found(admin, variables).await,
            std::slice::from_ref(expected)
        );
    }
    let own = app.key_for(Role::Operations, &["web"], None).await.key;
    assert_eq!(found(&own, json!({})).await, std::slice::from_ref(&slip_id));
    let other = app.key_for(Role::Operations, &["b2b"], None).await.key;
    assert!(found(&other, json!({})).await.is_empty());
    let named = "query N($id: ID!) { document(id: $id) { id } node(id: $id) { id } }";
    let hidden = json!({ "document": null, "node": null });
    assert_eq!(
        app.gql_as(&other, named, json!({ "id": slip_id })).await,
        hidden
    );
    assert_eq!(
        app.gql_as(&own, named, json!({ "id": list_id })).await,
        hidden
    );
    let void = "mutation V($id: ID!) { documentVoid(input: { id: $id }) { userErrors { code } } }";
    let refused = app.gql_as(&other, void, json!({ "id": slip_id })).await["documentVoid"].take();
    assert_eq!(codes(&refused), ["NOT_FOUND"]);

    // Who may read no personal data sees that there is a document, and not where.
    let viewer = app.key(Role::Viewer).await;
    let url = "query U($id: ID!) { document(id: $id) { id url } }";
    let read = app.gql_as(&viewer, url, json!({ "id": slip_id })).await;
    assert_eq!(read["document"], json!({ "id": slip_id, "url": null }));
}

#[test]
fn f4_public_decoders_read_back_what_is_printed() {
    if !decoders::are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, rendered: documents::Rendered| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, rendered.bytes).unwrap();
        path
    };
    let code = |text: &str| ("Code 128".to_owned(), text.to_owned());
    let matrix = |text: &str| ("Data Matrix".to_owned(), text.to_owned());

    for (place, number) in [
        "00340434161094042557",
        "1Z999AA10123456784",
        "RR123456785PL",
        "7",
        "a>b^c~d_e\\f",
        "ABCDEFGHIJKLMNOPQRSTUVW",
    ]
    .iter()
    .enumerate()
    {
        let mut label = samples::label();
        label.tracking_number = (*number).to_owned();
        let path = put(
            &format!("label-{place}.pdf"),
            documents::label(&label).unwrap(),
        );
        let mut found = scanned(&path);
        found.sort();
        assert_eq!(
            found,
            [code(number), matrix(&format!("{number}|PL|00-050|1/2"))]
        );
        assert!(words(&path).contains(number), "{number}");
    }
    let label = samples::label_of_a_long_address();
    let label = put("long.pdf", documents::label(&label).unwrap());
    assert_eq!(scanned(&label).len(), 2);
    let slip = put(
        "slip.pdf",
        documents::packing_slip(&samples::packing_slip(40)).unwrap(),
    );
    assert_eq!(scanned(&slip), [code("1042")]);
    let list = put(
        "list.pdf",
        documents::pick_sheet(&samples::pick_sheet(40)).unwrap(),
    );
    assert_eq!(scanned(&list), [code("PL-2026-000317")]);
    let manifest = put(
        "manifest.pdf",
        documents::manifest(&samples::manifest(40)).unwrap(),
    );
    assert_eq!(scanned(&manifest), [code("MF-20261123-1")]);

    for (path, texts) in [
        (
            &label,
            &[
                "Žluťoučký kůň",
                "Αλέξανδρος Παπαδόπουλος",
                "«Северный ветер»",
            ][..],
        ),
        (
            &slip,
            &[
                "Océano Atlântico",
                "Königlich Essen",
                "Świętokrzyska",
                "Žluťoučký",
                "Οδύσσεια, δεμένο αντίτυπο",
                "Чай чёрный байховый",
                "Page 2 of 2",
            ],
        ),
        (
            &list,
            &["Pick list PL-2026-000317", "Quantity", "Page 1 of 2"],
        ),
        (&manifest, &["40 parcels", "Handed over by"]),
    ] {
        let words = words(path);
        for text in texts {
            assert!(words.contains(text), "{text} in {words}");
        }
    }
}
