//! What happens to processes: those of a client, and those of a server whose owner is killed.
//!
//! The other process is this test binary again, running one of the ignored tests below; without the variables that
//! tell them what to do these do nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relatch_integration::condition::eventually;
use relatch_integration::postgres::{Options, Postgres};
use relatch_integration::wire::Wire;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::shop::{Shop, config};

#[tokio::test]
async fn a_server_ends_with_its_killed_owner_and_the_next_test_clears_up() {
    assert_nothing_is_left_of_a_killed_owner("running").await;
}

#[tokio::test]
async fn a_frozen_server_ends_with_its_killed_owner_too() {
    assert_nothing_is_left_of_a_killed_owner("frozen").await;
}

#[test]
fn a_server_outlives_the_thread_and_the_runtime_that_started_it() {
    let elsewhere = std::thread::spawn(|| block_on(Postgres::start(Options::without_tls())).unwrap());
    let postgres = elsewhere.join().unwrap();
    assert_eq!(block_on(postgres.value("SELECT 1")).unwrap().as_deref(), Some("1"));
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_directory() {
    let (processes, directory) = block_on(async {
        let postgres = Postgres::start(Options::without_tls()).await.unwrap();
        (family(postgres.pid().unwrap()), directory(&postgres).await)
    });
    assert!(processes.len() > 1);
    assert!(!processes.iter().any(|pid| is_running(*pid)));
    assert!(!fs::exists(directory).unwrap());
}

#[tokio::test]
#[ignore = "the owner of a server, started by the tests above"]
#[allow(clippy::print_stdout)]
async fn owner() {
    let Ok(state) = std::env::var("RELATCH_TEST_OWNER") else {
        return;
    };
    let postgres = Postgres::start(Options::without_tls()).await.unwrap();
    let _session = postgres.admin("postgres").await.unwrap();
    let directory = directory(&postgres).await;
    if state == "frozen" {
        postgres.freeze().unwrap();
    }
    println!("\n@{} {directory}", postgres.pid().unwrap());
    std::future::pending::<()>().await;
}

#[tokio::test]
#[ignore = "a client, started by the tests of the wire"]
async fn client() {
    let Ok(port) = std::env::var("RELATCH_TEST_PORT") else {
        return;
    };
    let mut roots = RootCertStore::empty();
    let authority = std::env::var("RELATCH_TEST_AUTHORITY").unwrap();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    let config = config(port.parse().unwrap(), "secret");
    let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&std::env::var("RELATCH_TEST_STATEMENT").unwrap()).await.unwrap();
}

/// A client in a process of its own, which runs one statement through a wire.
pub(crate) struct ClientProcess(Child);

impl ClientProcess {
    /// It waits for [`ClientProcess::go`], so that faults can be injected for its id.
    pub(crate) fn new(shop: &Shop, wire: &Wire, statement: &str) -> Self {
        let mut command = this_binary_again("processes::client");
        command.env("RELATCH_TEST_PORT", wire.port().to_string());
        command.env("RELATCH_TEST_AUTHORITY", shop.authority.pem()).env("RELATCH_TEST_STATEMENT", statement);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn go(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        state_of(self.pid()) == Some('T')
    }

    pub(crate) fn resume(&self) {
        kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGCONT).unwrap();
    }

    pub(crate) async fn was_killed(&mut self) -> bool {
        self.end().await.signal() == Some(Signal::SIGKILL as i32)
    }

    pub(crate) async fn succeeded(&mut self) -> bool {
        self.end().await.success()
    }

    async fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the client ends", async || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn assert_nothing_is_left_of_a_killed_owner(state: &str) {
    let mut command = this_binary_again("processes::owner");
    let mut owner = command.env("RELATCH_TEST_OWNER", state).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(owner.stdout.take().unwrap());
    let told = output.lines().map(Result::unwrap).find_map(|line| line.strip_prefix('@').map(str::to_owned)).unwrap();
    let (pid, directory) = told.split_once(' ').unwrap();
    let mut processes = family(pid.parse().unwrap());
    // Some of them served the owner while it started, and are about to end.
    processes.retain(|pid| is_running(*pid));
    assert!(processes.len() > 2, "a server and its helpers: {processes:?}");
    let stopped = processes.iter().filter(|pid| state_of(**pid) == Some('T')).count();
    assert_eq!(stopped, if state == "frozen" { processes.len() } else { 0 });

    owner.kill().unwrap();
    owner.wait().unwrap();

    eventually("all processes end", async || !processes.iter().any(|pid| is_running(*pid))).await;
    assert!(fs::exists(directory).unwrap(), "nobody was there to remove it");
    Postgres::start(Options::without_tls()).await.unwrap();
    assert!(!fs::exists(directory).unwrap());
}

/// One ignored test of this binary as a process, which ends with the thread of the test that starts it.
fn this_binary_again(test: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

/// The folder of the data, the sockets and the log.
async fn directory(postgres: &Postgres) -> String {
    let data = postgres.value("SHOW data_directory").await.unwrap().unwrap();
    data.strip_suffix("/data").unwrap().to_owned()
}

/// A process and its children.
fn family(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|pid| *pid == parent || stat(*pid, 1).as_deref() == Some(&parent.to_string())).collect()
}

fn is_running(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| state != 'Z')
}

fn state_of(pid: u32) -> Option<char> {
    stat(pid, 0)?.chars().next()
}

/// A field of `/proc/PID/stat` behind the name: 0 is the state, 1 the parent.
fn stat(pid: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').nth(field)?.to_owned())
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
