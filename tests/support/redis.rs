//! Redis: the one that `OMS_TEST_REDIS_URL` names, and servers that a test may stop.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// The settings of a node that shares a Redis, and its channels, with those of the same test; none
/// if there is no server, which is said on the terminal.
pub fn settings() -> Option<[(&'static str, String); 2]> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("OMS_TEST_REDIS_URL").unwrap_or_default();
    if url.is_empty() {
        skipped();
        return None;
    }
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("oms-test-{}-{next}:", std::process::id());
    Some([("OMS__REDIS__URL", url), ("OMS__REDIS__PREFIX", prefix)])
}

/// Says so past the test runner, which swallows what a passing test prints.
fn skipped() {
    use std::io::Write as _;
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "skipped: no Redis ({name})");
}

/// A server of a test's own, which ends with it.
pub struct RedisServer {
    folder: TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one; none if Redis is not installed.
    pub async fn start() -> Option<RedisServer> {
        let folder = TempDir::with_prefix("oms-redis-").expect("a folder");
        let mut server = RedisServer {
            folder,
            child: None,
        };
        if server.up().await {
            return Some(server);
        }
        skipped();
        None
    }

    /// What nodes connect to.
    pub fn url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.folder.path().display())
    }

    /// Starts it again where it was.
    pub async fn up(&mut self) -> bool {
        let socket = self.folder.path().join("redis.sock");
        let _ = std::fs::remove_file(&socket);
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            return false;
        };
        self.child = Some(child);
        let listening = async {
            while tokio::net::UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listening)
            .await
            .expect("a server that starts");
        true
    }

    /// Kills it, as a fault would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it from answering, without ending a connection; or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        if let Some(child) = &self.child {
            let id = child.id().to_string();
            let sent = Command::new("kill").args([signal, &id]).status();
            assert!(sent.expect("a signal").success());
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
