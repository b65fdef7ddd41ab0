//! Statuses, headers and bodies over HTTP.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::http::Limits;
use crate::signatures;

const GRAPHQL: &str = "application/graphql-response+json";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_answered_with_the_headers_of_an_answer() {
    let server = Server::start().await;
    let answer = answer(
        server
            .query("{ hello me }")
            .header("X-Request-Id", "mine-1"),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        json!({"data": {"hello": "world", "me": "good"}})
    );
    assert!(answer.header("content-type").starts_with(GRAPHQL));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("x-request-id"), "mine-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_id_reaches_resolvers_errors_and_the_header() {
    let server = Server::start().await;
    let found = answer(server.query("{ requestId held }")).await;
    let id = found.header("x-request-id").to_owned();
    assert_eq!(id.len(), 36);
    assert_eq!(found.body["data"]["requestId"], id);
    assert_eq!(found.body["errors"][0]["extensions"]["requestId"], id);
    assert_eq!(found.code(), "CONFLICT");
    assert_eq!(found.body["errors"][0]["message"], "It is held.");
    let refused = answer(server.query("{ nonsense }")).await;
    assert_eq!(
        refused.body["errors"][0]["extensions"]["requestId"],
        refused.header("x-request-id")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn request_errors_have_their_status_and_no_data() {
    let server = Server::start().await;
    for (query, code) in [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ a(x: 1e99999) }", "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ number(n: \"x\") }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "query A { hello } query B { hello }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("query($n: Int!) { number(n: $n) }", "BAD_USER_INPUT"),
    ] {
        let new = answer(server.query(query).header("Accept", GRAPHQL)).await;
        assert_eq!((new.status, new.code()), (400, code), "{query}");
        assert!(new.body.get("data").is_none(), "{query}");
        let old = answer(server.query(query).header("Accept", "application/json")).await;
        assert_eq!((old.status, old.code()), (200, code), "{query}");
        assert!(old.header("content-type").starts_with("application/json"));
        assert!(old.body.get("data").is_none(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_does_not_fit_is_the_users_mistake_and_runs_nothing() {
    let server = Server::start().await;
    for variables in [
        json!({"n": "x"}),
        json!({"n": 1.5}),
        json!({"n": null}),
        json!({"n": {"a": 1}}),
        json!({"n": 99_999_999_999_i64}),
    ] {
        let query = "mutation($n: Int!) { a: write(n: 1) b: write(n: $n) }";
        let answer = answer(server.post(&json!({"query": query, "variables": variables}))).await;
        assert_eq!(
            answer.code(),
            "BAD_USER_INPUT",
            "{variables}: {}",
            answer.body
        );
        if variables["n"] != 99_999_999_999_i64 {
            assert_eq!(answer.status, 400, "{variables}: {}", answer.body);
            assert_eq!(server.world.done.load(Ordering::SeqCst), 0, "{variables}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_surprise_in_a_resolver_is_internal_and_keeps_its_text() {
    let server = Server::start().await;
    let answer = answer(server.query("{ hello optionalSurprise }")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.code(), "INTERNAL");
    assert_eq!(
        answer.body["data"],
        json!({"hello": "world", "optionalSurprise": null})
    );
    assert!(!answer.body.to_string().contains("10.0.0.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_resolver_is_a_500_without_text() {
    let server = Server::start().await;
    for accept in [GRAPHQL, "application/json"] {
        let answer = answer(server.query("{ panics }").header("Accept", accept)).await;
        assert_eq!((answer.status, answer.code()), (500, "INTERNAL"));
        assert!(!answer.body.to_string().contains("secret"));
        assert!(answer.body["errors"][0]["extensions"]["requestId"].is_string());
    }
    assert_eq!(answer(server.query("{ hello }")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_media_type_is_not_acceptable() {
    let server = Server::start().await;
    let refused = answer(server.query("{ hello }").header("Accept", "text/html")).await;
    assert_eq!((refused.status, refused.code()), (406, "BAD_USER_INPUT"));
    let any = answer(
        server
            .query("{ hello }")
            .header("Accept", "text/html, */*;q=0.8"),
    )
    .await;
    assert_eq!(any.status, 200);
    assert!(any.header("content-type").starts_with(GRAPHQL));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_foreign_page_can_send_without_a_preflight_is_refused() {
    let server = Server::start().await;
    let body = r#"{"query":"mutation { write(n: 1) }"}"#;
    let post = || {
        server
            .client
            .post(server.url("/graphql"))
            .bearer_auth("good")
    };
    for kind in [
        "text/plain",
        "text/plain; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=latin1",
    ] {
        let answer = answer(post().header("Content-Type", kind).body(body)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (415, "BAD_USER_INPUT"),
            "{kind}"
        );
    }
    assert_eq!(answer(post().body(body)).await.status, 415);
    for query in [
        "mutation { write(n: 1) }",
        "query A { hello } mutation B { write(n: 1) }",
    ] {
        let answer = answer(server.get(&[("query", query), ("operationName", "B")])).await;
        assert_ne!(answer.status, 200, "{query}");
    }
    assert_eq!(server.world.done.load(Ordering::SeqCst), 0);
    let good = post()
        .header("Content-Type", "application/json; charset=utf-8")
        .body(body);
    assert_eq!(answer(good).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_runs_queries_and_nothing_else() {
    let server = Server::start().await;
    let found = answer(server.get(&[
        (
            "query",
            "query A { hello } query B($n: Int!) { number(n: $n) }",
        ),
        ("operationName", "B"),
        ("variables", r#"{"n":7}"#),
        ("extensions", "null"),
        ("unknown", "1"),
    ]))
    .await;
    assert_eq!(found.body, json!({"data": {"number": 7}}));
    let refused = answer(server.get(&[("query", "mutation { write(n: 1) }")])).await;
    assert_eq!(refused.status, 405);
    assert_eq!(refused.header("allow"), "POST");
    let refused = answer(server.get(&[("query", "subscription { count(to: 1) }")])).await;
    assert_eq!(refused.status, 400);
    let refused = answer(server.query("subscription { count(to: 1) }")).await;
    assert_eq!(refused.status, 400);
    assert_eq!(answer(server.get(&[])).await.status, 400);
    assert_eq!(
        answer(server.get(&[("query", "{hello}"), ("variables", "{")]))
            .await
            .status,
        400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_told_which_would_do() {
    let server = Server::start().await;
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = server
            .client
            .request(method.clone(), server.url("/graphql"));
        let answer = answer(request).await;
        assert_eq!(
            (answer.status, answer.code()),
            (405, "BAD_USER_INPUT"),
            "{method}"
        );
        assert_eq!(answer.header("allow"), "GET, POST");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_request_is_a_400_in_graphqls_shape() {
    let server = Server::start().await;
    for body in [
        "",
        "null",
        "7",
        "{",
        "\"query\"",
        "{}",
        r#"{"query":null}"#,
        r#"{"query":7}"#,
        r#"{"query":"  "}"#,
        r#"{"query":"{hello}","variables":[]}"#,
        r#"{"query":"{hello}","variables":"x"}"#,
        r#"{"query":"{hello}","operationName":1}"#,
        r#"{"query":"{hello}","extensions":[]}"#,
        r#"{"query":"{hello}","query":"{me}"}"#,
        r#"[{"query":"{hello}"}]"#,
        " \n[]",
        "\u{feff}{}",
    ] {
        for accept in [GRAPHQL, "application/json"] {
            let request = server.query("").header("Accept", accept).body(body);
            let answer = answer(request).await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, "BAD_USER_INPUT"),
                "{body}"
            );
        }
    }
    let deep = format!(
        "{{\"query\":\"{{hello}}\",\"variables\":{{\"a\":{}",
        "[".repeat(100_000)
    );
    assert_eq!(answer(server.query("").body(deep)).await.status, 400);
    let nulls =
        r#"{"query":"{hello}","variables":null,"operationName":null,"extensions":null,"x":1}"#;
    assert_eq!(answer(server.query("").body(nulls)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_a_413() {
    let server = Server::start().await;
    let padded = |bytes: usize| format!("{{\"query\":\"{{hello}}\"{}}}", " ".repeat(bytes - 19));
    assert_eq!(padded(1000).len(), 1000);
    assert_eq!(
        answer(server.query("").body(padded(256 * 1024)))
            .await
            .status,
        200
    );
    let over = answer(server.query("").body(padded(256 * 1024 + 1))).await;
    assert_eq!((over.status, over.code()), (413, "BAD_USER_INPUT"));
    let variables = json!({"query": "{hello}", "variables": {"a": "x".repeat(129 * 1024)}});
    assert_eq!(answer(server.post(&variables)).await.status, 413);
    let huge = answer(server.query("").body(padded(50 * 1024 * 1024))).await;
    assert_eq!(huge.status, 413);
    // Without a length to look at, the bytes are counted as they come.
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    stream
        .write_all(
            b"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\
              Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await
        .unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    for _ in 0..65 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_counted_as_they_grow() {
    let server = Server::start().await;
    let packed = async |size: &str, encoding: &str| {
        let url = server.url(&format!("/packed?size={size}"));
        let request = server.client.get(url).header("Accept-Encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        response.bytes().await.unwrap()
    };
    for encoding in ["gzip", "deflate"] {
        let post = |body| {
            server
                .query("")
                .header("Content-Encoding", encoding)
                .body(body)
        };
        let good = answer(post(packed("small", encoding).await)).await;
        assert_eq!(good.body, json!({"data": {"hello": "world"}}), "{encoding}");
        let bomb = packed("bomb", encoding).await;
        assert!(bomb.len() < 256 * 1024, "{}", bomb.len());
        assert_eq!(answer(post(bomb)).await.status, 413, "{encoding}");
        assert_eq!(
            answer(post(bytes::Bytes::from_static(b"rubbish")))
                .await
                .status,
            400
        );
    }
    let brotli = packed("small", "br").await;
    let refused = answer(
        server
            .query("")
            .header("Content-Encoding", "br")
            .body(brotli),
    )
    .await;
    assert_eq!(refused.status, 415);
    assert_eq!(refused.header("accept-encoding"), "gzip, deflate");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_for_those_who_ask() {
    let server = Server::start().await;
    for encoding in ["gzip", "br"] {
        let request = server.query("{ long }").header("Accept-Encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        assert!(response.bytes().await.unwrap().len() < 2_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_asked_for_credentials() {
    let server = Server::start().await;
    let post = || {
        let body = json!({"query": "{ hello }"});
        server.client.post(server.url("/graphql")).json(&body)
    };
    for accept in [GRAPHQL, "application/json"] {
        for request in [
            post(),
            post().bearer_auth("bad"),
            post().basic_auth("good", Some("")),
        ] {
            let answer = answer(request.header("Accept", accept)).await;
            assert_eq!((answer.status, answer.code()), (401, "UNAUTHENTICATED"));
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            assert!(answer.body.get("data").is_none());
        }
        for credentials in ["down", "broken"] {
            let request = post().bearer_auth(credentials).header("Accept", accept);
            let answer = answer(request).await;
            assert_eq!((answer.status, answer.code()), (503, "UNAVAILABLE"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_reaches_the_mutation_or_is_refused() {
    let server = Server::start().await;
    let key = |key: &str| {
        server
            .query("mutation { key }")
            .header("Idempotency-Key", key)
    };
    assert_eq!(answer(key("k-1")).await.body["data"]["key"], "k-1");
    assert!(answer(server.query("mutation { key }")).await.body["data"]["key"].is_null());
    let refused = answer(key(&"k".repeat(256))).await;
    assert_eq!((refused.status, refused.code()), (400, "BAD_USER_INPUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persisted_query_is_known_after_its_text_was_sent_once() {
    let server = Server::start().await;
    let text = "{ hello }";
    let hash = signatures::sha256(text);
    let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let extensions_text = extensions.to_string();
    let by_hash = || server.post(&json!({"extensions": extensions}));
    for accept in [GRAPHQL, "application/json"] {
        let miss = answer(by_hash().header("Accept", accept)).await;
        assert_eq!(
            (miss.status, miss.code()),
            (200, "PERSISTED_QUERY_NOT_FOUND")
        );
        assert_eq!(miss.body["errors"][0]["message"], "PersistedQueryNotFound");
    }
    let wrong = answer(server.post(&json!({"query": "{ me }", "extensions": extensions}))).await;
    assert_eq!((wrong.status, wrong.code()), (400, "BAD_USER_INPUT"));
    assert_eq!(answer(by_hash()).await.code(), "PERSISTED_QUERY_NOT_FOUND");

    let sent = answer(server.post(&json!({"query": text, "extensions": extensions}))).await;
    assert_eq!(sent.status, 200);
    assert_eq!(answer(by_hash()).await.body["data"]["hello"], "world");
    let by_get = answer(server.get(&[("extensions", &extensions_text)])).await;
    assert_eq!(by_get.body["data"]["hello"], "world");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_does_not_cancel_its_mutation() {
    let server = Server::start().await;
    let body = r#"{"query":"mutation { slowWrite(ms: 300) }"}"#;
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        let started = server.world.started.load(Ordering::SeqCst);
        stream.write_all(request.as_bytes()).await.unwrap();
        until("it started", || {
            server.world.started.load(Ordering::SeqCst) > started
        })
        .await;
        // A reset, not a polite end: actix drops the handler at once.
        stream.set_zero_linger().unwrap();
        drop(stream);
    }
    until("all were done", || {
        server.world.done.load(Ordering::SeqCst) == 5
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waited_long_enough_is_answered_while_the_mutation_goes_on() {
    let server = Server::with(|endpoint| endpoint.patience = Duration::from_millis(100)).await;
    let answer = answer(server.query("mutation { slowWrite(ms: 400) }")).await;
    assert_eq!((answer.status, answer.code()), (504, "UNAVAILABLE"));
    until("it was done", || {
        server.world.done.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_is_a_matter_of_policy() {
    let open = Server::start().await;
    let found = answer(open.query(hostile::INTROSPECTION)).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert!(found.body["data"]["__schema"]["types"].is_array());
    let shut = Server::with(|endpoint| {
        endpoint.limits = Arc::new(Limits {
            introspection: false,
            ..Limits::default()
        });
    })
    .await;
    for query in [
        "{ __schema { queryType { name } } }",
        "{ a: __type(name: \"Node\") { name } }",
    ] {
        let refused = answer(shut.query(query)).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, "GRAPHQL_VALIDATION_FAILED")
        );
    }
    assert_eq!(answer(shut.query("{ __typename }")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_and_readiness_are_told_apart() {
    let server = Server::with(|endpoint| {
        let checks = Arc::new(AtomicUsize::new(0));
        endpoint.readiness = Readiness::asking(move || {
            let first = checks.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    Err(vec!["the database is away".into()])
                } else {
                    Ok(Vec::new())
                }
            }
        });
    })
    .await;
    let get = |path: &str| server.client.get(server.url(path));
    assert_eq!(
        get("/livez").send().await.unwrap().text().await.unwrap(),
        "ok"
    );
    let unready = answer(get("/readyz")).await;
    assert_eq!(unready.status, 503);
    assert_eq!(unready.body["reasons"], json!(["the database is away"]));
    assert_eq!(answer(get("/readyz")).await.status, 200);
    server.drain.send(true).unwrap();
    let draining = answer(get("/readyz")).await;
    assert_eq!(
        (draining.status, &draining.body["reasons"]),
        (503, &json!(["draining"]))
    );
    assert_eq!(get("/livez").send().await.unwrap().status(), 200);
}
