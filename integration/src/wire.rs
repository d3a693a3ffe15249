//! The wire between a program and PostgreSQL: it counts what the program asks of the database, and fails it there.
//!
//! A [`Wire`] stands where the server would: it ends TLS with a certificate of its own and passes plain messages on to
//! the server over loopback. Everything that a client sends and then waits for is one *operation*: the request for
//! TLS, the startup message, each message of a login, each simple query, each group of messages up to a `Sync`; and
//! also the farewell (`Terminate`) and a `CancelRequest`. `COPY` data and what a `Flush` pushes out are passed on
//! without being counted. Operations are numbered across all connections, in the order of their arrival, so that a
//! test can run a program once to learn how many there are, and then once for each of them with a [`Fault`] there.
//!
//! The message formats are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
//!
//! What is deliberately absent: the wire never learns a password (it passes SCRAM on unseen; only channel binding does
//! not survive, as behind any proxy that ends TLS), and nothing of a login or of a literal reaches its record.

mod message;
mod relay;
mod victim;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

pub use self::victim::Victim;
use crate::certificates::Leaf;

/// What happens to an operation. "Before" is before the server saw it, "after" is when the server has answered it in
/// full and the client has nothing of that answer yet.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Both connections are closed before the server saw the operation.
    Refuse,
    /// The server has carried the operation out; both connections are closed and the client never hears of it.
    DropReply,
    /// The operation never arrives. Both connections stay open and mute until [`Wire::clear`].
    SilenceBefore,
    /// The server has carried the operation out. Both connections stay open and mute until [`Wire::clear`].
    SilenceAfter,
    /// The client is killed before the server saw the operation; then both connections are closed.
    KillBefore(Victim),
    /// The client is killed when the server has carried the operation out; then both connections are closed.
    KillAfter(Victim),
    /// The client is stopped before the server saw the operation, which arrives when the client continues.
    FreezeBefore(Victim),
    /// The client is stopped when the server has carried the operation out, and finds the answer when it continues.
    FreezeAfter(Victim),
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is under way, or a fault holds it.
    Open,
    /// The client has its answer (a frozen one as soon as it continues).
    Passed,
    /// [`Fault::Refuse`] struck.
    Refused,
    /// [`Fault::DropReply`] struck.
    ReplyDropped,
    /// [`Fault::SilenceBefore`] or [`Fault::SilenceAfter`] struck.
    Silenced,
    /// [`Fault::KillBefore`] or [`Fault::KillAfter`] struck.
    Killed,
    /// The process that was to be killed or stopped was not there; both connections were closed.
    VictimMissing,
    /// A connection ended before the answer was complete.
    Unanswered,
}

/// One operation, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Counted from 1 since [`Wire::count_from_here`], across all connections.
    pub number: u64,
    /// Which connection, counted from 1 since the wire was started.
    pub connection: u64,
    /// The message, with a statement where there is one: `Query: ALTER ROLE "app" PASSWORD …`. String literals are
    /// left out of statements, and so is everything behind the word PASSWORD.
    pub what: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What was seen since [`Wire::count_from_here`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that clients opened.
    pub connections: u64,
    /// Connections that sent their startup message without TLS.
    pub without_tls: u64,
    /// The SQLSTATE of each login that the server refused, at whatever point before it was ready for a query.
    pub failed_logins: Vec<String>,
}

/// A proxy in front of one server. Dropping it closes its port and all its connections.
///
/// It has a thread of its own with a single-threaded runtime. So it keeps going whatever the test's runtime does, and
/// what arrives on different connections one after the other is numbered in that order.
pub struct Wire {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Listens on a free port of 127.0.0.1 for `server`, and shows clients this certificate.
    ///
    /// Without a certificate it answers "no" to a request for TLS, as a server without TLS does.
    ///
    /// # Errors
    /// When no port or thread can be had, or rustls does not take the certificate.
    pub fn start(server: SocketAddr, leaf: Option<&Leaf>) -> Result<Self> {
        let acceptor = leaf.map(Leaf::server_config).transpose()?.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let front = relay::Front { server, acceptor, state: Arc::clone(&state) };
        let thread = thread::Builder::new().name("wire".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    outcome = front.listen(listener) => if let Err(error) = outcome {
                        tracing::error!(%error, "The wire cannot accept connections");
                    },
                    _ = stopped => {}
                }
            });
        });
        let thread = thread.context("starting the wire's thread")?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// The port on 127.0.0.1 that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets what was recorded and tallied; the next operation is number 1. Faults stay as they are.
    pub fn count_from_here(&self) {
        let mut record = self.state.record();
        record.generation += 1;
        record.operations.clear();
        record.tally = Tally::default();
    }

    /// Lets `fault` strike the operations of these numbers: `5..=5` once, `5..8` three times, `5..` until cleared.
    /// Of several faults for one number the first injected strikes.
    pub fn inject(&self, numbers: impl RangeBounds<u64>, fault: Fault) {
        let numbers = (numbers.start_bound().cloned(), numbers.end_bound().cloned());
        self.state.record().faults.push((numbers, fault));
    }

    /// Removes all faults and closes the connections that are mute because of one.
    pub fn clear(&self) {
        self.state.record().faults.clear();
        self.state.cleared.send_modify(|times| *times += 1);
    }

    /// The operations so far, by number.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.state.record().operations.clone()
    }

    /// What was seen so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.state.record().tally.clone()
    }

    /// Waits until no connection is open: only then is the farewell of the last one recorded for certain.
    pub async fn idle(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.state.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Wire").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A port that takes every connection and never says anything.
#[derive(Debug)]
pub struct BlackHole(TcpListener);

impl BlackHole {
    /// Opens the port on 127.0.0.1. The kernel completes the connections, and nobody ever picks them up.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn open() -> Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }
}

/// What the wire's owner and its connections share.
#[derive(Default)]
struct State {
    record: Mutex<Record>,
    /// How many connections are open.
    open: watch::Sender<usize>,
    /// How many times the faults were cleared.
    cleared: watch::Sender<u64>,
}

#[derive(Default)]
struct Record {
    /// Raised by each [`Wire::count_from_here`].
    generation: u64,
    opened: u64,
    operations: Vec<Operation>,
    tally: Tally,
    faults: Vec<(Numbers, Fault)>,
}

type Numbers = (Bound<u64>, Bound<u64>);

/// An operation under way.
struct Begun {
    generation: u64,
    number: u64,
    fault: Option<Fault>,
}

impl State {
    /// Numbers a new connection.
    fn connected(&self) -> u64 {
        let mut record = self.record();
        record.tally.connections += 1;
        record.opened += 1;
        record.opened
    }

    /// Numbers an operation and looks up what is to happen to it.
    fn begin(&self, connection: u64, what: String) -> Begun {
        let mut record = self.record();
        let number = record.operations.len() as u64 + 1;
        record.operations.push(Operation { number, connection, what, outcome: Outcome::Open });
        let fault = record.faults.iter().find(|(numbers, _)| numbers.contains(&number));
        let fault = fault.map(|(_, fault)| fault.clone());
        Begun { generation: record.generation, number, fault }
    }

    fn end(&self, begun: &Begun, outcome: Outcome) {
        let mut record = self.record();
        if record.generation != begun.generation {
            return;
        }
        if let Some(operation) = record.operations.get_mut(begun.number as usize - 1) {
            operation.outcome = outcome;
        }
    }

    /// Until the next [`Wire::clear`] after this call (not after the first poll).
    fn until_cleared(&self) -> impl Future<Output = ()> + use<> {
        let mut cleared = self.cleared.subscribe();
        async move {
            let _ = cleared.changed().await;
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
