//! Starts and kills sandbox processes.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use payment_svc::provider::{IntentId, NewIntent, ProviderClient, ProviderKey, ProviderLimits, ProviderTimeouts};
use uuid::Uuid;

pub(crate) const KEY: &str = "sk_test_of_these_tests";

/// A ledger file of one test, removed at its end.
pub(crate) struct Ledger(PathBuf);

impl Ledger {
    pub(crate) fn new() -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ledger-{}", Uuid::now_v7())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("a ledger of UTF-8")
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// A running sandbox on a free port; killed when dropped.
pub(crate) struct Sandbox {
    child: Child,
    pub(crate) url: String,
}

pub(crate) fn command(ledger: &Ledger, slow_ms: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provider"));
    command
        .env_clear()
        .env("PROVIDER_KEY", KEY)
        .args(["--listen", "127.0.0.1:0", "--log", "error", "--ledger"])
        .arg(ledger.path())
        .args(["--slow-ms", &slow_ms.to_string()]);
    command
}

impl Sandbox {
    pub(crate) fn start(ledger: &Ledger) -> Self {
        Self::start_slow(ledger, 0)
    }

    /// Started once it has printed its address, which it does when it accepts connections.
    pub(crate) fn start_slow(ledger: &Ledger, slow_ms: u64) -> Self {
        let mut child = command(ledger, slow_ms).stdout(Stdio::piped()).spawn().expect("the sandbox starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut url).expect("its first line");
        assert!(url.starts_with("http://"), "the sandbox ended before it served");
        Self { child, url: url.trim_end().to_owned() }
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is running");
        self.child.wait().expect("it is our child");
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        self.child.wait().expect("it is our child")
    }

    pub(crate) fn client(&self) -> ProviderClient {
        self.impatient_client(20_000)
    }

    pub(crate) fn impatient_client(&self, provider_timeout_ms: u64) -> ProviderClient {
        let timeouts = ProviderTimeouts { provider_timeout_ms, ..ProviderTimeouts::default() };
        // Here even a provider that does not answer is asked: that it otherwise is not has tests of its own.
        let limits = ProviderLimits { provider_breaker_calls: u16::MAX, ..ProviderLimits::default() };
        ProviderClient::with_limits(&self.url, &ProviderKey::new(KEY), timeouts, &limits).expect("good settings")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a sandbox that is expected not to start: its exit status and what it said.
pub(crate) fn refusal(ledger: &Ledger) -> (ExitStatus, String) {
    let mut command = command(ledger, 0);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut url = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut url).expect("text or the end");
    if !url.is_empty() {
        child.kill().expect("it is running");
    }
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    let status = child.wait().expect("it is our child");
    assert_eq!(url, "", "it started");
    (status, said)
}

/// Creates an intent over 12.90 EUR, under a key of its own.
pub(crate) async fn create(client: &ProviderClient, payment_method: &str) -> IntentId {
    let order_id = Uuid::now_v7();
    let new = NewIntent { order_id, amount_minor: 1_290, currency: "EUR", payment_method };
    client.create_intent(new, &format!("{order_id}:create")).await.expect("created")
}

pub(crate) fn key(id: &IntentId, what: &str) -> String {
    format!("{}:{what}", id.as_str())
}
