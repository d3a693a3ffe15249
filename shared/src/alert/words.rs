//! The words that every message has, whatever it is about.

use super::{Alert, Status};
use crate::language::Language;
use relatch_events::foreign::line;
use std::borrow::Cow;

/// Headings and labels.
pub(super) struct Words {
    pub(super) found: &'static str,
    pub(super) done: &'static str,
    pub(super) to_do: &'static str,
    pub(super) details: &'static str,
    pub(super) nothing_changed: &'static str,
    pub(super) resolved: &'static str,
    pub(super) over: &'static str,
    pub(super) secret: &'static str,
    pub(super) subject: &'static str,
    pub(super) environment: &'static str,
    pub(super) severity: &'static str,
    pub(super) impact: &'static str,
    pub(super) unknown: &'static str,
    pub(super) runbook: &'static str,
    pub(super) console: &'static str,
    pub(super) key: &'static str,
    pub(super) time: &'static str,
}

impl Words {
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Japanese => &JAPANESE,
        }
    }
}

static ENGLISH: Words = Words {
    found: "What was found",
    done: "What was done",
    to_do: "What to do",
    details: "Details",
    nothing_changed: "Nothing was changed.",
    resolved: "Resolved",
    over: "It is over.",
    secret: "Secret",
    subject: "Subject",
    environment: "Environment",
    severity: "Severity",
    impact: "Impact",
    unknown: "unknown",
    runbook: "Runbook",
    console: "AWS console",
    key: "Key",
    time: "Time",
};

static JAPANESE: Words = Words {
    found: "確認した内容",
    done: "実施した対応",
    to_do: "必要な対応",
    details: "詳細",
    nothing_changed: "何も変更していません。",
    resolved: "解決",
    over: "この状態は解消しました。",
    secret: "シークレット",
    subject: "対象",
    environment: "環境",
    severity: "重大度",
    impact: "影響",
    unknown: "不明",
    runbook: "ランブック",
    console: "AWSコンソール",
    key: "キー",
    time: "時刻",
};

impl Alert {
    /// What it is, and whether it is over.
    pub(super) fn title(&self, language: Language) -> String {
        let title = self.what(language);
        match self.status {
            Status::Firing => title.to_owned(),
            Status::Resolved => format!("{}: {title}", Words::of(language).resolved),
        }
    }

    /// What it means for those who use the secret, in a sentence; nothing where no secret was looked at.
    pub(super) fn meaning(&self, language: Language) -> Option<String> {
        let impact = self.impact.map(|impact| impact.sentence(language));
        match (self.status, impact) {
            (Status::Firing, impact) => impact.map(str::to_owned),
            (Status::Resolved, impact) => {
                let over = Words::of(language).over;
                Some(impact.map_or(over.to_owned(), |impact| {
                    language.choose(format!("{over} {impact}"), format!("{over}{impact}"))
                }))
            }
        }
    }

    /// What was found, done, and is left to do, each under its heading, and each entry on one line. That nothing was changed
    /// is said too; of what is over, nothing is left to do.
    pub(super) fn sections<'a>(&'a self, language: Language) -> [(&'static str, Vec<Cow<'a, str>>); 3] {
        let words = Words::of(language);
        let lines = |lines: &'a [String]| lines.iter().map(|text| line(text)).collect::<Vec<_>>();
        let done = match (self.status, self.done.is_empty()) {
            (Status::Firing, true) => vec![Cow::Borrowed(words.nothing_changed)],
            (Status::Firing | Status::Resolved, _) => lines(&self.done),
        };
        let to_do = match self.status {
            Status::Firing => lines(&self.to_do),
            Status::Resolved => Vec::new(),
        };
        [(words.found, lines(&self.found)), (words.done, done), (words.to_do, to_do)]
    }
}
