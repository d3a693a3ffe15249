//! Where an object ends, and whether it can matter, without reading what is in it.
//!
//! Most events of an account are about something else than secrets. For those it is enough to know where they end, and
//! of what source, name and error they are. So the bytes are not parsed but looked at 64 at a time: where are quotes,
//! braces, brackets and colons, and which of them are not within a string. After Langdale and Lemire, "Parsing gigabytes
//! of JSON per second" (2019), as far as safe code goes.

use memchr::memmem;
use std::{ops::Range, sync::LazyLock};

/// What became of a look for an object's end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// It ends before this byte.
    Ends(usize),
    /// It goes on after the bytes.
    Open,
    /// It is no JSON object.
    Broken,
}

/// The fields of an object that tell whether it can matter: where each one's value begins.
#[derive(Debug, Default)]
pub(super) struct Outline {
    source: Option<usize>,
    name: Option<usize>,
    error: Option<usize>,
    /// And where the next field begins.
    identity: Option<Range<usize>>,
}

/// Looks for the end of the object that begins at the first byte.
pub(super) fn object(bytes: &[u8]) -> (Scan, Outline) {
    let mut outline = Outline::default();
    // How many objects and lists are open.
    let (mut depth, mut lists) = (0_usize, 0_usize);
    // Whether a block begins within a string (all bits), and with an escaped byte (the first).
    let (mut in_string, mut escaped) = (0_u64, 0_u64);
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut last = [b' '; 64];
    last[..rest.len()].copy_from_slice(rest);
    for (index, block) in blocks.iter().chain(std::iter::once(&last)).enumerate() {
        let marks = Marks::of(block);
        let quotes = marks.quotes & !escapes(marks.backslashes, &mut escaped);
        let strings = within(quotes) ^ in_string;
        in_string = ((strings as i64) >> 63) as u64;
        let mut others = marks.others & !strings;
        while others != 0 {
            let bit = others.trailing_zeros() as usize;
            others &= others - 1;
            let at = index * 64 + bit;
            match block[bit] {
                b'{' if depth > 0 && !is_value(&bytes[..at], lists) => return (Scan::Broken, outline),
                b'{' => depth += 1,
                b'}' if depth > 1 => depth -= 1,
                b'}' if depth == 1 && lists == 0 => {
                    outline.end(at);
                    return (Scan::Ends(at + 1), outline);
                }
                b'[' => lists += 1,
                b']' if lists > 0 => lists -= 1,
                b'}' | b']' => return (Scan::Broken, outline),
                // In JSON, what precedes a colon is a name. A lost quote turns strings inside out, and then it is not.
                _ if bytes[..at].last() != Some(&b'"') && !bytes[..at].trim_ascii_end().ends_with(b"\"") => {
                    return (Scan::Broken, outline);
                }
                _ if depth == 1 => outline.field(bytes, at),
                _ => (),
            }
        }
        if depth == 0 {
            return (Scan::Broken, outline);
        }
    }
    (Scan::Open, outline)
}

impl Outline {
    /// Takes note of the field whose name ends before the colon at `at`.
    fn field(&mut self, bytes: &[u8], at: usize) {
        self.end(at);
        let name = bytes[..at].trim_ascii_end();
        match name {
            [.., b'e', b'"'] if name.ends_with(b"\"eventSource\"") => self.source = Some(at + 1),
            [.., b'e', b'"'] if name.ends_with(b"\"eventName\"") => self.name = Some(at + 1),
            [.., b'e', b'"'] if name.ends_with(b"\"errorCode\"") => self.error = Some(at + 1),
            [.., b'y', b'"'] if name.ends_with(b"\"userIdentity\"") => self.identity = Some(at + 1..bytes.len()),
            _ => (),
        }
    }

    fn end(&mut self, at: usize) {
        if let Some(identity) = &mut self.identity {
            identity.end = identity.end.min(at);
        }
    }

    /// Whether the object may be a record that matters. It may when it tells too little.
    pub(super) fn may_matter(
        &self,
        bytes: &[u8],
        concerns: impl Fn(&[u8], &[u8]) -> bool,
        is_denial: impl Fn(&[u8]) -> bool,
    ) -> bool {
        // The type "Root", and an ARN that ends in ":root".
        static ROOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"oot\""));
        let told = self.source.and_then(|at| text(bytes, at)).zip(self.name.and_then(|at| text(bytes, at)));
        let Some((source, name)) = told else { return true };
        let is_denied = match self.error {
            None => false,
            Some(at) => text(bytes, at).is_none_or(is_denial),
        };
        let is_root = || self.identity.clone().is_some_and(|range| ROOT.find(&bytes[range]).is_some());
        is_denied || concerns(source, name) || is_root()
    }
}

/// Whether an object can begin after these bytes, within another. Where a brace was lost, the next record begins within
/// this one, after a comma and in no list, or after nothing at all.
fn is_value(before: &[u8], lists: usize) -> bool {
    match before.trim_ascii_end().last() {
        Some(b':' | b'[') => true,
        Some(b',') => lists > 0,
        Some(_) | None => false,
    }
}

/// The text at a value's place, unless it is something else or has to be read first.
fn text(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let text = bytes[at..].trim_ascii_start().strip_prefix(b"\"")?;
    let text = &text[..memchr::memchr(b'"', text)?];
    if text.contains(&b'\\') { None } else { Some(text) }
}

/// Where in a block what is: a bit for each byte, the lowest for the first.
struct Marks {
    quotes: u64,
    backslashes: u64,
    /// Braces, brackets and colons.
    others: u64,
}

impl Marks {
    fn of(block: &[u8; 64]) -> Self {
        // Written so that it becomes a comparison of many bytes at once.
        let kinds = block.map(|byte| {
            // Brackets and braces differ in one bit.
            let others = ((byte | 0x20) == b'{') | ((byte | 0x20) == b'}') | (byte == b':');
            u8::from(byte == b'"') | (u8::from(others) << 1) | (u8::from(byte == b'\\') << 2)
        });
        let (words, _) = kinds.as_chunks::<8>();
        let mut marks = Self { quotes: 0, backslashes: 0, others: 0 };
        let mut all = 0;
        for (index, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            marks.quotes |= lowest(word) << (index * 8);
            marks.others |= lowest(word >> 1) << (index * 8);
            all |= word;
        }
        if all & (0x04 * EACH) != 0 {
            for (index, word) in words.iter().enumerate() {
                marks.backslashes |= lowest(u64::from_le_bytes(*word) >> 2) << (index * 8);
            }
        }
        marks
    }
}

const EACH: u64 = 0x0101_0101_0101_0101;

/// The lowest bits of eight bytes, as one byte.
fn lowest(word: u64) -> u64 {
    (word & EACH).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// The bits of the bytes that a backslash escapes. `escaped` is whether the first one is, and then whether the next is.
fn escapes(backslashes: u64, escaped: &mut u64) -> u64 {
    if backslashes == 0 {
        return std::mem::take(escaped);
    }
    let mut escapes = *escaped;
    let mut rest = backslashes & !escapes;
    *escaped = 0;
    while rest != 0 {
        let bit = rest.trailing_zeros();
        match 2_u64.checked_shl(bit).filter(|next| *next != 0) {
            Some(next) => escapes |= next,
            None => *escaped = 1,
        }
        rest &= rest - 1;
        rest &= !escapes;
    }
    escapes
}

/// The bits from each odd quote on, up to before the next.
fn within(quotes: u64) -> u64 {
    let mut bits = quotes;
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, byte by byte.
    fn plainly(bytes: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut escaped) = (0, false, false);
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' if !in_string => depth += 1,
                b'}' if !in_string => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => (),
            }
        }
        None
    }

    #[test]
    fn an_object_ends_where_it_ends_wherever_the_blocks_do() {
        for padding in 0..130 {
            for text in [
                r#"{}"#,
                r#"{"a":"}"}"#,
                r#"{"a":"\"}","b":{"c":[{"d":"{"}]}}"#,
                r#"{"a":"\\"}"#,
                r#"{"a":"\\\"}"}"#,
                r#"{"a":"\\\\","b" : {} }"#,
                "{\"a\"\n:\t1}",
                "{\"ключ\":\"значение}\"}",
            ] {
                let text = text.replacen('{', &format!("{{\"{}\":1,", "x".repeat(padding)), 1).replace(",}", "}");
                let bytes = [text.as_bytes(), b",{\"next\":\"one\"}]}"].concat();
                let expected = plainly(&bytes);
                assert!(expected.is_some());
                assert_eq!(object(&bytes).0, Scan::Ends(expected.unwrap_or_default()), "{text}");
                for end in 1..text.len() {
                    assert_eq!(object(&bytes[..end]).0, Scan::Open, "{end} bytes of {text}");
                }
            }
        }
    }

    #[test]
    fn a_lost_quote_brace_or_bracket_is_noticed() {
        let broken = br#"{"eventVersion":"1.08,"eventTime":"2026-01-31T12:34:56Z","eventName":"x"},{"a":"b"}"#;
        assert_eq!(object(broken).0, Scan::Broken);
        assert_eq!(object(br#"{"a":{"b":1,"c":2}},{"eventVersion":"1.08"}]}"#).0, Scan::Ends(19));
        assert_eq!(object(br#"{"a":{"b":1,"c":2},{"eventVersion":"1.08"}]}"#).0, Scan::Broken);
        assert_eq!(object(br#"{"a":[{"b":1},{"c":2}]}"#).0, Scan::Ends(23));
        assert_eq!(object(br#"{"a":[{"b":1},{"c":2}}"#).0, Scan::Broken);
        assert_eq!(object(br#"{"a":{"b":1},{"c":2}]}"#).0, Scan::Broken);
        assert_eq!(object(b"{\"a\":1\n{\"a\":2}").0, Scan::Broken);
        assert_eq!(object(b"null").0, Scan::Broken);
        assert_eq!(object(b"}").0, Scan::Broken);
    }
}
