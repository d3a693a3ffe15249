//! What a server may send, and what it may ask for before it gets anything of the password.
//!
//! The guard stands in the stream twice. Below TLS it counts, so that no server fills the memory, whatever it sends and
//! whenever. Above TLS it reads the messages of the login, and ends the session before the client would answer a request
//! that the settings do not allow.
//!
//! The messages are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>. Each begins with a
//! tag of one byte and a length of four, which counts itself.

use crate::{config::Authentication, ports::Silence};
use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tracing::warn;

/// The most that a server may send in one session, in bytes, TLS's own share included. A session needs some ten
/// thousand. In memory the smallest rows take some sixteen times what they take on the wire, and eight sessions may be
/// open at the same time.
pub(super) const MOST: usize = 1 << 20;

/// What the guard has seen of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The way in which the server asked for the password.
    pub(super) asked: Option<Authentication>,
    /// The process that serves the session, by the server's own word before the first query.
    pub(super) process: Option<i32>,
    /// Why the guard has ended the session.
    pub(super) breach: Option<Silence>,
}

/// What the guard sees, for those who want to know.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    /// What it has seen so far.
    pub(super) fn seen(&self) -> Seen {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breach(&self, silence: Silence) -> io::Error {
        if self.lock().breach.replace(silence).is_none() {
            warn!(error = %silence, "A session was ended because of what the server sent");
        }
        io::Error::other(silence)
    }
}

/// Puts the guard into the streams that a connector makes.
#[derive(Debug)]
pub(super) struct Guard<C> {
    connector: C,
    weakest: Authentication,
    watch: Watch,
}

impl<C> Guard<C> {
    pub(super) fn new(connector: C, weakest: Authentication, watch: Watch) -> Self {
        Self { connector, weakest, watch }
    }
}

impl<S, C: MakeTlsConnect<Limited<S>>> MakeTlsConnect<S> for Guard<C>
where
    C::TlsConnect: Send + 'static,
    <C::TlsConnect as TlsConnect<Limited<S>>>::Future: Send + 'static,
{
    type Stream = Witness<C::Stream>;
    type TlsConnect = Guard<C::TlsConnect>;
    type Error = C::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, C::Error> {
        // A host may have several addresses, and each of them is another session.
        *self.watch.lock() = Seen::default();
        Ok(Guard::new(self.connector.make_tls_connect(domain)?, self.weakest, self.watch.clone()))
    }
}

impl<S, C: TlsConnect<Limited<S>>> TlsConnect<S> for Guard<C>
where
    C::Future: Send + 'static,
{
    type Stream = Witness<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, C::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let Self { connector, weakest, watch } = self;
        let connected = connector.connect(Limited { stream, left: MOST, watch: watch.clone() });
        Box::pin(
            async move { Ok(Witness { stream: connected.await?, weakest, watch, reading: Some(Reading::default()) }) },
        )
    }
}

/// Makes no TLS of a stream: for secrets that ask for plaintext, where that is allowed. The client is made to ask for it
/// as it asks for TLS, because what it does by itself has no place for the guard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plaintext;

impl<S: AsyncRead + AsyncWrite + Unpin> MakeTlsConnect<S> for Plaintext {
    type Stream = Unprotected<S>;
    type TlsConnect = Self;
    type Error = Infallible;

    fn make_tls_connect(&mut self, _: &str) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnect<S> for Plaintext {
    type Stream = Unprotected<S>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Unprotected<S>, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(Unprotected(stream)))
    }
}

/// A stream without TLS.
#[derive(Debug)]
pub(super) struct Unprotected<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Unprotected<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unprotected<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

/// A stream that ends when the server has sent too much.
#[derive(Debug)]
pub(super) struct Limited<S> {
    stream: S,
    left: usize,
    watch: Watch,
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match self.left.checked_sub(buf.filled().len() - before) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(self.watch.breach(Silence::TooMuch))),
        }
        Poll::Ready(Ok(()))
    }
}

/// A stream of which the messages of the login are read before the client gets them.
#[derive(Debug)]
pub(super) struct Witness<S> {
    stream: S,
    weakest: Authentication,
    watch: Watch,
    /// `None` when the login is over.
    reading: Option<Reading>,
}

impl<S: TlsStream + Unpin> TlsStream for Witness<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Witness<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        // After an error the client takes nothing of what was read: it never sees what it must not answer.
        Poll::Ready(self.read(&buf.filled()[before..]).map_err(|silence| self.watch.breach(silence)))
    }
}

impl<S> Witness<S> {
    fn read(&mut self, bytes: &[u8]) -> Result<(), Silence> {
        for byte in bytes {
            let Some(reading) = &mut self.reading else { return Ok(()) };
            match reading.next(*byte) {
                None => {}
                Some(Message::Authentication(request)) => self.judge(request)?,
                Some(Message::Process(process)) => self.watch.lock().process = Some(process),
                Some(Message::Ready) => self.reading = None,
            }
        }
        Ok(())
    }

    fn judge(&self, request: u32) -> Result<(), Silence> {
        let asked = match request {
            AUTHENTICATION_OK if self.watch.seen().asked.is_none() => return Err(Silence::NotAsked),
            AUTHENTICATION_CLEARTEXT => Authentication::Password,
            AUTHENTICATION_MD5 => Authentication::Md5,
            AUTHENTICATION_SASL => Authentication::Scram,
            // What follows one of these, or what the client does not speak.
            _ => return Ok(()),
        };
        match asked {
            Authentication::Password if asked < self.weakest => return Err(Silence::ClearText),
            Authentication::Md5 if asked < self.weakest => return Err(Silence::Md5),
            Authentication::Password | Authentication::Md5 | Authentication::Scram => {}
        }
        self.watch.lock().asked = Some(asked);
        Ok(())
    }
}

const AUTHENTICATION_OK: u32 = 0;
const AUTHENTICATION_CLEARTEXT: u32 = 3;
const AUTHENTICATION_MD5: u32 = 5;
const AUTHENTICATION_SASL: u32 = 10;

/// A message of a login, as far as it matters here.
enum Message {
    /// What the server asks for, or that it is content.
    Authentication(u32),
    /// Which process serves the session.
    Process(i32),
    /// The login is over.
    Ready,
}

/// Where in the stream of messages a byte stands.
#[derive(Debug, Default)]
struct Reading {
    /// The beginning of a message: tag, length, and the first four bytes of what it says.
    head: [u8; 9],
    filled: usize,
    /// How much of the message is left after that.
    rest: usize,
}

impl Reading {
    /// Takes one byte; tells of a message as soon as enough of it is there.
    fn next(&mut self, byte: u8) -> Option<Message> {
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        self.head[self.filled] = byte;
        self.filled += 1;
        let [tag, length @ .., _, _, _, _] = self.head;
        let said = (u32::from_be_bytes(length) as usize).saturating_sub(length.len());
        let wanted = if matches!(tag, b'R' | b'K') { said.min(4) } else { 0 };
        if self.filled < 1 + length.len() + wanted {
            return None;
        }
        self.filled = 0;
        self.rest = said - wanted;
        let [.., a, b, c, d] = self.head;
        match tag {
            b'R' if wanted == 4 => Some(Message::Authentication(u32::from_be_bytes([a, b, c, d]))),
            b'K' if wanted == 4 => Some(Message::Process(i32::from_be_bytes([a, b, c, d]))),
            b'Z' => Some(Message::Ready),
            _ => None,
        }
    }
}

/// Writing is nobody's concern here.
macro_rules! writes_through {
    ($($stream:ident . $field:tt),+) => {$(
        impl<S: AsyncWrite + Unpin> AsyncWrite for $stream<S> {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.$field).poll_write(cx, buf)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$field).poll_flush(cx)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$field).poll_shutdown(cx)
            }
        }
    )+};
}

writes_through!(Unprotected.0, Limited.stream, Witness.stream);
