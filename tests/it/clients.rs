//! The clients that others use, unmodified: see tests/clients/follow.js.

use std::path::Path;
use std::process::{Command, Stdio};

use support::merchant::basket;
use support::{Backend, journey};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// Says why they cannot run here, if they cannot.
fn missing() -> Option<&'static str> {
    let mut node = Command::new("node");
    if node
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        return Some("node is not installed");
    }
    let installed = Path::new(FOLDER).join("node_modules").exists();
    (!installed).then_some("run `npm ci --prefix tests/clients` first")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_of_others_lose_their_connection_and_come_back_to_where_they_were() {
    if let Some(missing) = missing() {
        assert!(
            std::env::var_os("OMS_REQUIRE_CLIENTS").is_none(),
            "{missing}"
        );
        eprintln!("skipped: {missing}");
        return;
    }
    journey(Backend::Sqlite, async |app| {
        app.open_shop().await;
        app.place(basket()).await;
        let feed = app.app.clone();
        let running = tokio::spawn(async move { feed.hub.run().await });
        let mut script = Command::new("node");
        script
            .arg("follow.js")
            .current_dir(FOLDER)
            .env("OMS_URL", app.url("/graphql"))
            .env("OMS_KEY", &app.admin_key)
            .env("OMS_ORDER", basket().to_string());
        let ended = tokio::task::spawn_blocking(move || script.output()).await;
        running.abort();
        let output = ended.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{complaint}");
        assert_eq!(said.lines().count(), 3, "{said}");
    })
    .await;
}
