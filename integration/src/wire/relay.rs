//! One client's connection, passed on message by message.

use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::message::{Group, Inbox, Message, Opening, OpeningKind, query_label};
use super::{Begun, Fault, Outcome, State, Victim};

/// What every connection is served with.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) server: SocketAddr,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) state: Arc<State>,
}

impl Front {
    pub(super) async fn listen(self, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (client, _) = listener.accept().await?;
            let open = OpenConnection::count(Arc::clone(&self.state));
            let front = self.clone();
            tokio::spawn(async move {
                let _open = open;
                // However it ended, both sides are closed now, and the record says what was under way.
                let _ = front.serve(client).await;
            });
        }
    }

    async fn serve(&self, client: TcpStream) -> Result<(), Closed> {
        let state = &*self.state;
        let connection = state.connected();
        client.set_nodelay(true)?;
        // Before anything else, so that a server that is down refuses the client at once.
        let mut server = TcpStream::connect(self.server).await?;
        server.set_nodelay(true)?;
        let mut client: Box<dyn Stream> = Box::new(client);
        let mut tls = false;
        loop {
            let Some(opening) = Opening::read(&mut client).await? else {
                return Ok(());
            };
            match opening.kind {
                OpeningKind::GssRequest => client.write_all(b"N").await?,
                OpeningKind::TlsRequest => {
                    let begun = state.begin(connection, "SSLRequest".to_owned());
                    before(state, &begun).await?;
                    after(state, &begun).await?;
                    if let Some(acceptor) = &self.acceptor {
                        client.write_all(b"S").await?;
                        client = Box::new(acceptor.accept(client).await?);
                        tls = true;
                    } else {
                        client.write_all(b"N").await?;
                    }
                }
                OpeningKind::Cancel => {
                    let begun = state.begin(connection, "CancelRequest".to_owned());
                    before(state, &begun).await?;
                    server.write_all(&opening.bytes).await?;
                    // The server closes the connection when it has passed the request on.
                    server.read_to_end(&mut Vec::new()).await?;
                    return after(state, &begun).await;
                }
                OpeningKind::Startup => {
                    if !tls {
                        state.record().tally.without_tls += 1;
                    }
                    return Relay::new(state, connection, client, server).run(&opening).await;
                }
            }
        }
    }
}

/// This connection is over, by a fault or because one side is gone.
struct Closed;

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

struct OpenConnection(Arc<State>);

impl OpenConnection {
    fn count(state: Arc<State>) -> Self {
        state.open.send_modify(|open| *open += 1);
        Self(state)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

struct Relay<'a> {
    state: &'a State,
    connection: u64,
    from_client: Inbox<ReadHalf<Box<dyn Stream>>>,
    to_client: WriteHalf<Box<dyn Stream>>,
    from_server: Inbox<OwnedReadHalf>,
    to_server: OwnedWriteHalf,
    /// What the client sent while an operation was under way; a real server would not have read it yet either.
    queue: VecDeque<Message>,
    client_is_gone: bool,
    group: Group,
    waiting: Option<Waiting>,
    /// What goes to the client next.
    answer: Vec<u8>,
    /// The code of the last authentication request.
    authentication: u32,
    logged_in: bool,
}

/// The operation that the server is to answer.
struct Waiting {
    begun: Begun,
    until: Until,
}

/// Where the answer to an operation ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// With the next request for authentication, or the first `ReadyForQuery`, or a refusal.
    Login,
    /// With `ReadyForQuery`, or where the server lets the client speak in the middle of a `COPY`.
    Ready,
    /// With the end of the connection.
    End,
}

impl Until {
    fn reached_by(self, message: &Message) -> bool {
        match self {
            // 0 is AuthenticationOk and 12 AuthenticationSASLFinal, after which the server goes on by itself.
            Self::Login => {
                matches!(message.tag(), b'E' | b'Z')
                    || message.authentication().is_some_and(|code| code != 0 && code != 12)
            }
            Self::Ready => matches!(message.tag(), b'Z' | b'G' | b'W'),
            Self::End => false,
        }
    }
}

impl<'a> Relay<'a> {
    fn new(state: &'a State, connection: u64, client: Box<dyn Stream>, server: TcpStream) -> Self {
        let (from_client, to_client) = split(client);
        let (from_server, to_server) = server.into_split();
        Self {
            state,
            connection,
            from_client: Inbox::new(from_client),
            to_client,
            from_server: Inbox::new(from_server),
            to_server,
            queue: VecDeque::new(),
            client_is_gone: false,
            group: Group::default(),
            waiting: None,
            answer: Vec::new(),
            authentication: 0,
            logged_in: false,
        }
    }

    async fn run(mut self, startup: &Opening) -> Result<(), Closed> {
        let result = match self.operate(startup.startup_label(), &startup.bytes, Until::Login).await {
            Ok(()) => self.pass_on().await,
            Err(closed) => Err(closed),
        };
        if let Some(waiting) = &self.waiting {
            self.state.end(&waiting.begun, Outcome::Unanswered);
        }
        result
    }

    async fn pass_on(&mut self) -> Result<(), Closed> {
        loop {
            if self.waiting.is_none()
                && let Some(message) = self.queue.pop_front()
            {
                self.take_from_client(message).await?;
                continue;
            }
            if self.client_is_gone && self.waiting.is_none() {
                return Ok(());
            }
            tokio::select! {
                biased;
                message = self.from_server.next() => match message? {
                    Some(message) => self.take_from_server(message).await?,
                    None => return self.server_is_gone().await,
                },
                message = self.from_client.next(), if !self.client_is_gone => match message {
                    Ok(Some(message)) => self.queue.push_back(message),
                    Ok(None) | Err(_) => {
                        self.client_is_gone = true;
                        // As without us: the server can tell while it still works on the last statement.
                        if self.queue.is_empty() {
                            self.to_server.shutdown().await?;
                        }
                    }
                },
            }
        }
    }

    async fn take_from_client(&mut self, message: Message) -> Result<(), Closed> {
        match message.tag() {
            b'p' => {
                let what = match self.authentication {
                    10 => "SASLInitialResponse",
                    11 => "SASLResponse",
                    _ => "PasswordMessage",
                };
                self.operate(what.to_owned(), &message.bytes, Until::Login).await
            }
            b'Q' => self.operate(query_label(&message), &message.bytes, Until::Ready).await,
            b'F' => self.operate("FunctionCall".to_owned(), &message.bytes, Until::Ready).await,
            b'X' => self.operate("Terminate".to_owned(), &message.bytes, Until::End).await,
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                self.group.push(&message);
                Ok(())
            }
            b'S' => {
                self.group.push(&message);
                let (what, bytes) = (self.group.take_label(), take(&mut self.group.bytes));
                self.operate(what, &bytes, Until::Ready).await
            }
            b'H' => {
                self.group.push(&message);
                Ok(self.to_server.write_all(&take(&mut self.group.bytes)).await?)
            }
            _ => Ok(self.to_server.write_all(&message.bytes).await?),
        }
    }

    async fn operate(&mut self, what: String, bytes: &[u8], until: Until) -> Result<(), Closed> {
        let begun = self.state.begin(self.connection, what);
        before(self.state, &begun).await?;
        self.waiting = Some(Waiting { begun, until });
        Ok(self.to_server.write_all(bytes).await?)
    }

    /// Takes this message and those that arrived with it, and hands the client what it may have of them.
    async fn take_from_server(&mut self, message: Message) -> Result<(), Closed> {
        let mut next = Some(message);
        while let Some(message) = next {
            if let Some(code) = message.authentication() {
                self.authentication = code;
            }
            if message.tag() == b'E' && !self.logged_in {
                self.state.record().tally.failed_logins.extend(message.sqlstate());
            }
            self.logged_in |= message.tag() == b'Z';
            self.answer.extend_from_slice(&message.bytes);
            if let Some(waiting) = self.waiting.take_if(|waiting| waiting.until.reached_by(&message)) {
                after(self.state, &waiting.begun).await?;
            }
            next = self.from_server.take_arrived();
        }
        let held = self.waiting.as_ref().is_some_and(|waiting| waiting.begun.fault.as_ref().is_some_and(holds_answer));
        if held || self.client_is_gone {
            return Ok(());
        }
        self.to_client.write_all(&take(&mut self.answer)).await?;
        Ok(self.to_client.flush().await?)
    }

    async fn server_is_gone(&mut self) -> Result<(), Closed> {
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.until == Until::End) {
            after(self.state, &waiting.begun).await?;
        }
        Ok(self.to_client.shutdown().await?)
    }
}

/// Whether the client gets nothing of the answer until it is complete.
fn holds_answer(fault: &Fault) -> bool {
    match fault {
        Fault::DropReply | Fault::SilenceAfter | Fault::KillAfter(_) | Fault::FreezeAfter(_) => true,
        Fault::Refuse | Fault::SilenceBefore | Fault::KillBefore(_) | Fault::FreezeBefore(_) => false,
    }
}

/// Strikes before the server sees the operation.
async fn before(state: &State, begun: &Begun) -> Result<(), Closed> {
    match &begun.fault {
        Some(Fault::Refuse) => {
            state.end(begun, Outcome::Refused);
            Err(Closed)
        }
        Some(Fault::SilenceBefore) => silence(state, begun).await,
        Some(Fault::KillBefore(victim)) => kill(state, begun, victim).await,
        Some(Fault::FreezeBefore(victim)) => {
            let cleared = state.until_cleared();
            freeze(state, begun, victim).await?;
            if victim.continues(cleared).await {
                return Ok(());
            }
            state.end(begun, Outcome::Killed);
            Err(Closed)
        }
        Some(Fault::DropReply | Fault::SilenceAfter | Fault::KillAfter(_) | Fault::FreezeAfter(_)) | None => Ok(()),
    }
}

/// Strikes when the server has answered and the client has nothing of it.
async fn after(state: &State, begun: &Begun) -> Result<(), Closed> {
    match &begun.fault {
        Some(Fault::DropReply) => {
            state.end(begun, Outcome::ReplyDropped);
            return Err(Closed);
        }
        Some(Fault::SilenceAfter) => return silence(state, begun).await,
        Some(Fault::KillAfter(victim)) => return kill(state, begun, victim).await,
        Some(Fault::FreezeAfter(victim)) => freeze(state, begun, victim).await?,
        Some(Fault::Refuse | Fault::SilenceBefore | Fault::KillBefore(_) | Fault::FreezeBefore(_)) | None => {}
    }
    state.end(begun, Outcome::Passed);
    Ok(())
}

async fn silence(state: &State, begun: &Begun) -> Result<(), Closed> {
    let cleared = state.until_cleared();
    state.end(begun, Outcome::Silenced);
    cleared.await;
    Err(Closed)
}

async fn kill(state: &State, begun: &Begun, victim: &Victim) -> Result<(), Closed> {
    let outcome = if victim.kill().await { Outcome::Killed } else { Outcome::VictimMissing };
    state.end(begun, outcome);
    Err(Closed)
}

async fn freeze(state: &State, begun: &Begun, victim: &Victim) -> Result<(), Closed> {
    if victim.freeze().await {
        return Ok(());
    }
    state.end(begun, Outcome::VictimMissing);
    Err(Closed)
}
