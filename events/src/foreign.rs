//! Text of others, made showable.
//!
//! Names, sessions, programs, messages of errors, reasons: much of what Relatch tells people was chosen by somebody else,
//! also by somebody without any permission (a denied call names its secret as it likes). Such a text must not look like
//! ours: it begins no line, moves no cursor, turns no direction of writing, hides nothing, and is not longer than what
//! is said about it. Here is the one place that decides that; whatever is shown to people passes through it.
//!
//! * [`shown`]: one text of somebody else, such as a name.
//! * [`line()`]: a whole line, in which there may be such a text.
//! * [`json`]: JSON for a terminal or a log, in which nothing is lost.
//!
//! What is stored, compared and handed to programs stays as it is.

use std::{borrow::Cow, fmt::Write};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The most characters that are shown of one text. AWS's own names have up to 512.
const LONGEST: usize = 256;

/// So many of them are its last.
const TAIL: usize = 64;

/// So many marks may sit on one letter. No language writes more than four; piled up, they cover the lines above.
const MARKS: usize = 4;

/// In place of what cannot be shown.
const REPLACEMENT: char = '\u{fffd}';

/// One text of somebody else: on one line, without a character that is invisible or acts on others, in at most 256
/// characters: the beginning, an ellipsis, and the end. Backticks become apostrophes: what is between backticks in our sentences is a command.
pub fn shown(text: &str) -> Cow<'_, str> {
    match cleaned(text, LONGEST, true) {
        Some(text) => Cow::Owned(text),
        None => Cow::Borrowed(text),
    }
}

/// The same for each of many, with a comma between them.
pub fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// A line of ours that may have text of others in it: it is one line, and without a character that is invisible or acts
/// on others.
pub fn line(text: &str) -> Cow<'_, str> {
    match cleaned(text, usize::MAX, false) {
        Some(text) => Cow::Owned(text),
        None => Cow::Borrowed(text),
    }
}

/// JSON in which every character that cannot be shown is escaped, so that it means the same.
pub fn json(json: &str) -> Cow<'_, str> {
    // The line breaks between JSON's tokens are ours; within a text JSON itself escapes them.
    let is_plain = |c: char| c == '\n' || c == ' ' || kind(c) == Kind::Plain;
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    let mut units = [0; 2];
    for c in json.chars() {
        if is_plain(c) || matches!(kind(c), Kind::Mark | Kind::Blank) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is seen, and takes its place.
    Plain,
    /// A blank, however wide.
    Blank,
    /// It is drawn onto the letter before it.
    Mark,
    /// It is invisible, or acts on others, or nobody knows what it is.
    Hidden,
}

fn kind(c: char) -> Kind {
    if c.is_ascii() {
        return match c {
            ' ' => Kind::Blank,
            _ if c.is_ascii_graphic() => Kind::Plain,
            _ => Kind::Hidden,
        };
    }
    if is_invisible(c) {
        return Kind::Hidden;
    }
    match c.general_category() {
        GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator
        | GeneralCategory::Surrogate
        | GeneralCategory::PrivateUse
        | GeneralCategory::Unassigned => Kind::Hidden,
        GeneralCategory::SpaceSeparator => Kind::Blank,
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark => Kind::Mark,
        GeneralCategory::UppercaseLetter
        | GeneralCategory::LowercaseLetter
        | GeneralCategory::TitlecaseLetter
        | GeneralCategory::ModifierLetter
        | GeneralCategory::OtherLetter
        | GeneralCategory::SpacingMark
        | GeneralCategory::DecimalNumber
        | GeneralCategory::LetterNumber
        | GeneralCategory::OtherNumber
        | GeneralCategory::ConnectorPunctuation
        | GeneralCategory::DashPunctuation
        | GeneralCategory::OpenPunctuation
        | GeneralCategory::ClosePunctuation
        | GeneralCategory::InitialPunctuation
        | GeneralCategory::FinalPunctuation
        | GeneralCategory::OtherPunctuation
        | GeneralCategory::MathSymbol
        | GeneralCategory::CurrencySymbol
        | GeneralCategory::ModifierSymbol
        | GeneralCategory::OtherSymbol => Kind::Plain,
    }
}

/// What Unicode counts among letters, marks or symbols and nobody can see: a text can be hidden in it, or a name look
/// like another.
///
/// Source: the Unicode Character Database, `DerivedCoreProperties.txt`, `Default_Ignorable_Code_Point`, without what is
/// a format character or unassigned anyway; and the empty Braille pattern.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// The text as it can be shown; nothing if it is so already.
fn cleaned(text: &str, longest: usize, is_one: bool) -> Option<String> {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !(is_one && byte == b'`');
    if text.len() <= longest && text.bytes().all(is_fine) {
        return None;
    }
    let (mut out, mut count, mut marks, mut is_after_blank) = (String::with_capacity(text.len()), 0, 0, is_one);
    for c in text.chars() {
        let kind = kind(c);
        marks = if kind == Kind::Mark { marks + 1 } else { 0 };
        let c = match kind {
            // With blanks a line can be filled up, so that what follows looks like the next one.
            Kind::Blank if is_one && is_after_blank => continue,
            Kind::Blank if c == '\u{3000}' => c,
            Kind::Blank => ' ',
            Kind::Mark if marks == MARKS + 1 => REPLACEMENT,
            Kind::Mark if marks > MARKS => continue,
            // The sign that an emoji is to be coloured. Alone it is nothing.
            Kind::Mark if c == '\u{fe0f}' => continue,
            Kind::Plain if c == '`' && is_one => '\'',
            Kind::Plain | Kind::Mark => c,
            Kind::Hidden => REPLACEMENT,
        };
        out.push(c);
        count += 1;
        is_after_blank = kind == Kind::Blank;
    }
    if is_one {
        out.truncate(out.trim_end().len());
        // A name of blanks is a name, and a channel may want one.
        if out.is_empty() && !text.is_empty() {
            out.push(REPLACEMENT);
        }
    }
    if count > longest {
        // The end too: names that are long on purpose differ there.
        let mut tail: Vec<char> = out.chars().rev().take(TAIL).collect();
        tail.reverse();
        out = out.chars().take(longest - TAIL - 1).chain(['…']).chain(tail).collect();
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_on_others_or_cannot_be_seen_is_replaced() {
        for (text, expected) in [
            ("shop/prod/database", "shop/prod/database"),
            ("role/Zürich 東京 нет", "role/Zürich 東京 нет"),
            ("x\n\nWhat to do\r\n  * Nothing", "x��What to do�� * Nothing"),
            ("a\u{1b}[2Jb\u{9b}1mc\u{7f}", "a�[2Jb�1mc�"),
            ("admin\u{202e}gpj.exe", "admin�gpj.exe"),
            ("\u{2066}a\u{2069}\u{200b}b\u{feff}c\u{ad}d", "�a��b�c�d"),
            ("a\u{2028}b\u{2029}c\u{85}d", "a�b�c�d"),
            ("\u{e000}\u{f0000}\u{378}\u{10ffff}", "����"),
            ("tag\u{e0041}\u{e0062}", "tag��"),
            ("vs\u{fe00}\u{e0101}\u{34f}\u{3164}\u{115f}\u{2800}", "vs������"),
            ("a\u{a0}\u{2003}  b\u{3000}c ", "a b\u{3000}c"),
            ("  `rm` ", "'rm'"),
            ("  ", "�"),
            ("", ""),
            ("\u{26a0}\u{fe0f} é e\u{301}", "\u{26a0} é e\u{301}"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_flood_is_cut_and_marked() {
        assert_eq!(shown(&"n".repeat(256)), "n".repeat(256));
        assert_eq!(shown(&"n".repeat(257)), "n".repeat(191) + "…" + &"n".repeat(64));
        assert_eq!(shown(&"ü".repeat(5_000)).chars().count(), 256);
        let (one, other) = (format!("{}1", "n".repeat(500)), format!("{}2", "n".repeat(500)));
        assert_ne!(shown(&one), shown(&other), "whoever chooses long names must not hide one behind another");
        let pile = format!("Z{}algo", "\u{301}".repeat(100));
        assert_eq!(shown(&pile), "Z\u{301}\u{301}\u{301}\u{301}�algo");
        assert_eq!(shown(&format!("a{}b", " ".repeat(1_000))), "a b");
    }

    #[test]
    fn a_line_of_ours_stays_as_it_is() {
        let ours = "`relatch doctor shop/prod/database` shows what is wrong; 確認してください。 5 °C – “x” …";
        assert_eq!(line(ours), ours);
        assert_eq!(line(&"word ".repeat(200)), "word ".repeat(200));
    }

    #[test]
    fn json_means_the_same_and_moves_no_cursor() {
        let value = serde_json::json!({ "a\u{202e}": "\u{9b}2J\u{7f}\n\u{2028}ü東🦀\u{e0041}" });
        for text in [value.to_string(), format!("{value:#}")] {
            let escaped = json(&text);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
            assert!(escaped.contains(r"\u202e") && escaped.contains(r"\udb40\udc41") && escaped.contains("ü東🦀"));
        }
    }

    proptest! {
        #[test]
        fn nothing_hidden_gets_out_and_what_is_shown_is_shown_as_it_is(text in any::<String>()) {
            for (clean, longest) in [(shown(&text), LONGEST), (line(&text), usize::MAX)] {
                prop_assert!(clean.chars().all(|c| kind(c) != Kind::Hidden), "{clean:?}");
                prop_assert!(clean.chars().count() <= longest && clean.lines().count() <= 1);
                prop_assert_eq!(line(&clean), clean.as_ref());
            }
            let once = shown(&text);
            prop_assert_eq!(shown(&once), once.as_ref());
            let quoted = serde_json::to_string(&text).unwrap();
            let escaped = json(&quoted);
            prop_assert!(escaped.chars().all(|c| kind(c) != Kind::Hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
    }
}
