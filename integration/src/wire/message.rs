//! Messages of PostgreSQL's frontend/backend protocol 3, as far as the wire has to understand them.

use std::collections::HashMap;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest message without a type byte that PostgreSQL takes (`MAX_STARTUP_PACKET_LENGTH`).
const LONGEST_OPENING: usize = 10_000;

/// Statements are shown up to this many characters.
const LONGEST_LABEL: usize = 200;

/// The first messages of a connection, which carry no type byte.
pub(super) struct Opening {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: OpeningKind,
}

pub(super) enum OpeningKind {
    TlsRequest,
    GssRequest,
    Cancel,
    Startup,
}

impl Opening {
    /// Nothing at the end of the stream. Reads not one byte too many: after a request for TLS the next belong to TLS.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; 8];
        match stream.read_exact(&mut bytes).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        };
        let length = be_u32(&bytes[..4]) as usize;
        if !(8..=LONGEST_OPENING).contains(&length) {
            return Err(io::Error::other("not the opening of a PostgreSQL connection"));
        }
        // The request codes: protocol version 1234 and a minor version each.
        let kind = match be_u32(&bytes[4..8]) {
            80_877_102 => OpeningKind::Cancel,
            80_877_103 => OpeningKind::TlsRequest,
            80_877_104 => OpeningKind::GssRequest,
            _ => OpeningKind::Startup,
        };
        bytes.resize(length, 0);
        stream.read_exact(&mut bytes[8..]).await?;
        Ok(Some(Self { bytes, kind }))
    }

    /// `Startup: app@shop`, from the parameters `user` and `database`.
    pub(super) fn startup_label(&self) -> String {
        let mut parameters = HashMap::new();
        let mut rest = &self.bytes[8..];
        loop {
            let name = take_string(&mut rest);
            if name.is_empty() {
                break;
            }
            parameters.insert(name, take_string(&mut rest));
        }
        let user = parameters.remove("user").unwrap_or_default();
        let database = parameters.remove("database").unwrap_or_else(|| user.clone());
        format!("Startup: {user}@{database}")
    }
}

/// A message with a type byte.
pub(super) struct Message {
    /// Type, length and body.
    pub(super) bytes: Vec<u8>,
}

impl Message {
    pub(super) fn tag(&self) -> u8 {
        self.bytes[0]
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[5..]
    }

    /// The code of an authentication request; nothing for other messages.
    pub(super) fn authentication(&self) -> Option<u32> {
        (self.tag() == b'R' && self.body().len() >= 4).then(|| be_u32(&self.body()[..4]))
    }

    /// The SQLSTATE of an `ErrorResponse`.
    pub(super) fn sqlstate(&self) -> Option<String> {
        let mut rest = self.body();
        while let Some((field, after)) = rest.split_first()
            && *field != 0
        {
            rest = after;
            let value = take_string(&mut rest);
            if *field == b'C' {
                return Some(value);
            }
        }
        None
    }
}

/// Reads messages; what has arrived is kept when a read is cancelled.
pub(super) struct Inbox<R> {
    stream: R,
    arrived: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, arrived: Vec::new() }
    }

    /// Nothing at the end of the stream. May be cancelled at any time.
    pub(super) async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.take_arrived() {
                return Ok(Some(message));
            }
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// A message that is here already.
    pub(super) fn take_arrived(&mut self) -> Option<Message> {
        // The length counts itself and not the type.
        let length = be_u32(self.arrived.get(1..5)?).max(4) as usize + 1;
        if self.arrived.len() < length {
            return None;
        }
        let rest = self.arrived.split_off(length);
        Some(Message { bytes: std::mem::replace(&mut self.arrived, rest) })
    }
}

/// Messages of the extended query protocol that wait for their `Sync`, and the statements prepared before.
#[derive(Default)]
pub(super) struct Group {
    pub(super) bytes: Vec<u8>,
    parsed: Option<String>,
    bound: Option<String>,
    executed: bool,
    statements: HashMap<String, String>,
}

impl Group {
    pub(super) fn push(&mut self, message: &Message) {
        let mut body = message.body();
        match message.tag() {
            b'P' => {
                let name = take_string(&mut body);
                let statement = without_literals(&take_string(&mut body));
                self.parsed = Some(statement.clone());
                self.statements.insert(name, statement);
            }
            b'B' => {
                let _portal = take_string(&mut body);
                self.bound = self.statements.get(&take_string(&mut body)).cloned();
            }
            b'E' => self.executed = true,
            _ => {}
        }
        self.bytes.extend_from_slice(&message.bytes);
    }

    /// Names what was pushed since the last time: `Parse: …`, `Execute: …` or, where nothing of either was in it,
    /// `Sync`.
    pub(super) fn take_label(&mut self) -> String {
        let (parsed, bound) = (self.parsed.take(), self.bound.take());
        match (std::mem::take(&mut self.executed), bound.or_else(|| parsed.clone()), parsed) {
            (true, statement, _) => format!("Execute: {}", statement.unwrap_or_default()),
            (false, _, Some(statement)) => format!("Parse: {statement}"),
            (false, _, None) => "Sync".to_owned(),
        }
    }
}

/// `Query: …` of a simple query.
pub(super) fn query_label(message: &Message) -> String {
    let mut body = message.body();
    format!("Query: {}", without_literals(&take_string(&mut body)))
}

/// A statement on one line, with `'…'` in place of string literals and nothing behind the word PASSWORD.
///
/// All literals go, not only passwords: a verifier or a password may be built in many ways, and a record that does not
/// vary with random values can be compared between runs.
fn without_literals(statement: &str) -> String {
    let mut shown = String::new();
    let mut word = String::new();
    let mut rest = statement;
    while let Some(next) = rest.chars().next() {
        if is_word(next) && !(next == '$' && word.is_empty()) {
            word.push(next);
            shown.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        }
        if word.eq_ignore_ascii_case("password") {
            shown.push_str(" …");
            break;
        }
        let length = match next {
            '\'' => {
                shown.push_str("'…'");
                literal_length(rest, word.eq_ignore_ascii_case("e"))
            }
            '$' if let Some(delimiter) = dollar_quote(rest) => {
                shown.push_str("'…'");
                let body = &rest[delimiter.len()..];
                body.find(delimiter).map_or(rest.len(), |end| end + 2 * delimiter.len())
            }
            '"' => {
                let length = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
                shown.push_str(&rest[..length]);
                length
            }
            // An apostrophe in a comment begins no literal.
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => {
                shown.push(next);
                next.len_utf8()
            }
        };
        word.clear();
        rest = &rest[length..];
    }
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_LABEL) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// Of the literal that `text` begins with, both quotes included.
fn literal_length(text: &str, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        let doubled = character == '\'' && characters.peek().is_some_and(|(_, next)| *next == '\'');
        if doubled || (escapes && character == '\\') {
            characters.next();
        } else if character == '\'' {
            return at + 1;
        }
    }
    text.len()
}

/// `$$` or `$tag$`, when `text` begins with one; `$1` is a parameter.
fn dollar_quote(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let tag = &text[1..end];
    let named = !tag.starts_with(|first: char| first.is_ascii_digit()) && tag.chars().all(is_word);
    named.then(|| &text[..=end])
}

/// A string that ends with a zero byte.
fn take_string(rest: &mut &[u8]) -> String {
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let (string, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    String::from_utf8_lossy(string).into_owned()
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::without_literals;

    #[test]
    fn a_statement_is_shown_without_its_literals_and_without_what_follows_password() {
        for (statement, shown) in [
            ("SELECT 1", "SELECT 1"),
            ("select *\n  from \"it's\"  where a = $1", "select * from \"it's\" where a = $1"),
            ("SELECT 'it''s', 'b'", "SELECT '…', '…'"),
            (r"SELECT E'a\'b', 'c\', d", "SELECT E'…', '…', d"),
            ("SELECT $$secret$$, $q$se$$cret$q$, 2", "SELECT '…', '…', 2"),
            ("SELECT 'never ended", "SELECT '…'"),
            ("ALTER ROLE \"app\" PASSWORD 'secret'", "ALTER ROLE \"app\" PASSWORD …"),
            ("ALTER USER app password'secret' VALID UNTIL 'infinity'", "ALTER USER app password …"),
            ("/* it's */ ALTER ROLE a PASSWORD 'secret' -- it's", "ALTER ROLE a PASSWORD …"),
            ("SELECT 1 -- it's\n, 'secret'", "SELECT 1 , '…'"),
            ("SHOW password_encryption", "SHOW password_encryption"),
            ("SELECT x$y FROM t WHERE a='é'", "SELECT x$y FROM t WHERE a='…'"),
        ] {
            assert_eq!(without_literals(statement), shown, "{statement}");
        }
    }

    #[test]
    fn a_long_statement_is_cut() {
        assert_eq!(without_literals(&"é".repeat(300)).chars().count(), 201);
    }
}
