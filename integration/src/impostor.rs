//! A server that is not what it should be: it speaks as much of PostgreSQL's protocol as its part needs, and then does
//! what a hostile server would do.

use crate::certificates::Leaf;
use anyhow::{Context, Result, ensure};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Asks for the password itself.
    AsksInClear,
    /// Asks for an md5 hash of it.
    AsksForMd5,
    /// Asks for nothing.
    AsksForNothing,
    /// Asks for SCRAM with so many iterations.
    AsksForIterations(u32),
    /// Asks for SCRAM, and knows nothing of the password.
    KnowsNothing,
    /// Begins a message that never ends, before the login.
    EndlessMessage,
    /// Asks for the password itself, and never ends to send notices before the session is ready.
    EndlessNotices,
    /// The same with settings.
    EndlessSettings,
    /// Asks for the password itself, and answers the first query with rows that never end.
    EndlessRows,
}

/// The server. Dropping it closes its port; what it has begun to send it goes on sending while somebody reads.
#[derive(Debug)]
pub struct Impostor {
    port: u16,
    sent: Arc<AtomicU64>,
    answers: Arc<AtomicU64>,
    listening: JoinHandle<()>,
}

impl Impostor {
    /// Listens on a free port of 127.0.0.1, with TLS if it has a certificate.
    ///
    /// # Errors
    /// When no port can be had, or rustls does not take the certificate.
    pub async fn start(part: Part, leaf: Option<&Leaf>) -> Result<Self> {
        let acceptor = leaf.map(Leaf::server_config).transpose()?.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (sent, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (Arc::clone(&sent), Arc::clone(&answers));
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sent, answers) = counters.clone();
                // Whoever hangs up has seen enough.
                tokio::spawn(greet(part, stream, acceptor.clone(), sent, answers));
            }
        });
        Ok(Self { port, sent, answers, listening })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes of what never ends could be sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How often somebody answered a request for the password in clear or as md5.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

const OK: [u8; 4] = 0u32.to_be_bytes();
const CLEARTEXT: [u8; 4] = 3u32.to_be_bytes();
const SASL: &[u8] = b"\0\0\0\x0aSCRAM-SHA-256\0\0";
const SECOND: &[u8] = b"\0\0\0\x0b";
const LAST: &[u8] = b"\0\0\0\x0c";

async fn greet(
    part: Part,
    mut stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    sent: Arc<AtomicU64>,
    answers: Arc<AtomicU64>,
) -> Result<()> {
    let Some(acceptor) = acceptor else { return play(part, stream, &sent, &answers).await };
    // A request for TLS is a length and a number.
    let mut request = [0; 8];
    stream.read_exact(&mut request).await?;
    stream.write_all(b"S").await?;
    play(part, acceptor.accept(stream).await?, &sent, &answers).await
}

async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    part: Part,
    mut stream: S,
    sent: &AtomicU64,
    answers: &AtomicU64,
) -> Result<()> {
    let length = stream.read_u32().await?;
    body(&mut stream, length).await?;
    let rows = [message(b'T', b"\0\0"), message(b'D', b"\0\0").repeat(1000)].concat();
    match part {
        Part::AsksInClear => ask(&mut stream, &CLEARTEXT, answers).await,
        Part::AsksForMd5 => ask(&mut stream, &[&5u32.to_be_bytes()[..], b"salt"].concat(), answers).await,
        Part::AsksForNothing => ready(&mut stream).await,
        Part::AsksForIterations(iterations) => scram(&mut stream, iterations).await,
        Part::KnowsNothing => scram(&mut stream, 4096).await,
        Part::EndlessMessage => {
            stream.write_all(b"N\x7f\xff\xff\xff").await?;
            endless(&mut stream, &[0; 4096], sent).await
        }
        Part::EndlessNotices => {
            ask(&mut stream, &CLEARTEXT, answers).await?;
            stream.write_all(&message(b'R', &OK)).await?;
            let notice = message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mnothing\0\0");
            endless(&mut stream, &notice.repeat(100), sent).await
        }
        Part::EndlessSettings => {
            ask(&mut stream, &CLEARTEXT, answers).await?;
            stream.write_all(&message(b'R', &OK)).await?;
            let setting = |number: u64| message(b'S', format!("setting{number}\0value\0").as_bytes());
            for hundred in 0u64.. {
                let settings: Vec<u8> = (hundred * 100..(hundred + 1) * 100).flat_map(setting).collect();
                stream.write_all(&settings).await?;
                sent.fetch_add(settings.len() as u64, Ordering::Relaxed);
            }
            Ok(())
        }
        Part::EndlessRows => {
            ask(&mut stream, &CLEARTEXT, answers).await?;
            ready(&mut stream).await?;
            next(&mut stream).await?;
            endless(&mut stream, &rows, sent).await
        }
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &[u8], answers: &AtomicU64) -> Result<()> {
    stream.write_all(&message(b'R', request)).await?;
    stream.flush().await?;
    next(stream).await?;
    answers.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn ready<S: AsyncWrite + Unpin>(stream: &mut S) -> Result<()> {
    let all = [message(b'R', &OK), message(b'K', &[0; 8]), message(b'Z', b"I")].concat();
    stream.write_all(&all).await?;
    Ok(stream.flush().await?)
}

/// Everybody's proof is good enough, and its own is none.
async fn scram<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, iterations: u32) -> Result<()> {
    stream.write_all(&message(b'R', SASL)).await?;
    stream.flush().await?;
    let first = String::from_utf8(next(stream).await?.split_off(1))?;
    let (_, nonce) = first.rsplit_once("r=").context("no nonce")?;
    let challenge = format!("r={nonce}more,s=c2FsdA==,i={iterations}");
    stream.write_all(&message(b'R', &[SECOND, challenge.as_bytes()].concat())).await?;
    stream.flush().await?;
    next(stream).await?;
    let proof = format!("v={}=", "A".repeat(43));
    stream.write_all(&message(b'R', &[LAST, proof.as_bytes()].concat())).await?;
    ready(stream).await
}

async fn endless<S: AsyncWrite + Unpin>(stream: &mut S, piece: &[u8], sent: &AtomicU64) -> Result<()> {
    loop {
        stream.write_all(piece).await?;
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
}

/// The next message of the client: tag and content, of which the last part begins behind the length.
async fn next<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>> {
    let tag = stream.read_u8().await?;
    let length = stream.read_u32().await?;
    let mut content = body(stream, length).await?;
    content.insert(0, tag);
    Ok(content)
}

async fn body<S: AsyncRead + Unpin>(stream: &mut S, length: u32) -> Result<Vec<u8>> {
    ensure!((4..10_000).contains(&length), "a message of {length} bytes");
    let mut content = vec![0; length as usize - 4];
    stream.read_exact(&mut content).await?;
    Ok(content)
}

fn message(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).unwrap_or(u32::MAX);
    [&[tag], &length.to_be_bytes()[..], content].concat()
}
