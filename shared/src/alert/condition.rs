//! What an alert can be about. The names are a stable interface: filter policies, runbooks and dashboards use them.

use crate::{language::Language, rollback::Impact};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// A rotation failed.
    RotationFailed,
    /// Secrets Manager gave a rotation up, since somebody wrote a version meanwhile.
    RotationAbandoned,
    /// Rotations of a secret are stopped until somebody resumes them.
    RotationStopped,
    /// A rotation is overdue.
    RotationOverdue,
    /// AWSPENDING has been on a version that is not current for too long.
    PendingStuck,
    /// AWSCURRENT does not open the database.
    CurrentRejected,
    /// No version of the secret opens the database.
    LockedOut,
    /// Only a version without a label opens the database.
    Stranded,
    /// The database does not answer.
    DatabaseSilent,
    /// A secret that is in use is scheduled for deletion.
    DeletionScheduled,
    /// The sweep did not get through all secrets.
    SweepUnfinished,
    /// A CloudWatch alarm.
    AlarmFiring,
    /// The audit has found something: an [incident](crate::audit::incident).
    Audit,
    /// An incident was contained: somebody may not read secrets any more, or what was read is replaced.
    Contained,
    /// An incident was to be contained, and is not.
    ContainmentFailed,
    /// The ledger of changes is not what was anchored before.
    LedgerBroken,
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For the record.
    Info,
    /// To be looked at in working hours.
    Warning,
    /// To be looked at today.
    Error,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The severity's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 16] = [
        Self::RotationFailed,
        Self::RotationAbandoned,
        Self::RotationStopped,
        Self::RotationOverdue,
        Self::PendingStuck,
        Self::CurrentRejected,
        Self::LockedOut,
        Self::Stranded,
        Self::DatabaseSilent,
        Self::DeletionScheduled,
        Self::SweepUnfinished,
        Self::AlarmFiring,
        Self::Audit,
        Self::Contained,
        Self::ContainmentFailed,
        Self::LedgerBroken,
    ];

    /// The condition's stable name, which is its runbook's too, but for [`Condition::Audit`].
    pub const fn name(self) -> &'static str {
        match self {
            Condition::RotationFailed => "rotation-failed",
            Condition::RotationAbandoned => "rotation-abandoned",
            Condition::RotationStopped => "rotation-stopped",
            Condition::RotationOverdue => "rotation-overdue",
            Condition::PendingStuck => "pending-stuck",
            Condition::CurrentRejected => "current-rejected",
            Condition::LockedOut => "locked-out",
            Condition::Stranded => "stranded",
            Condition::DatabaseSilent => "database-silent",
            Condition::DeletionScheduled => "deletion-scheduled",
            Condition::SweepUnfinished => "sweep-unfinished",
            Condition::AlarmFiring => "alarm-firing",
            Condition::Audit => "audit",
            Condition::Contained => "contained",
            Condition::ContainmentFailed => "containment-failed",
            Condition::LedgerBroken => "ledger-broken",
        }
    }

    /// The condition by its stable name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// What it is, in a few words.
    pub fn title(self, language: Language) -> &'static str {
        match self {
            Condition::RotationFailed => language.choose("A rotation failed", "ローテーションが失敗しました"),
            Condition::RotationAbandoned => {
                language.choose("A rotation was abandoned", "ローテーションが放棄されました")
            }
            Condition::RotationStopped => language.choose(
                "Rotations are stopped until somebody resumes them",
                "ローテーションは再開されるまで停止しています",
            ),
            Condition::RotationOverdue => {
                language.choose("The rotation is overdue", "ローテーションの期日が過ぎています")
            }
            Condition::PendingStuck => language.choose("AWSPENDING is stuck", "AWSPENDINGが残ったままになっています"),
            Condition::CurrentRejected => {
                language.choose("The database rejects AWSCURRENT", "データベースがAWSCURRENTを拒否しています")
            }
            Condition::LockedOut => language.choose(
                "No version of the secret opens the database",
                "シークレットのどのバージョンでもデータベースに接続できません",
            ),
            Condition::Stranded => language.choose(
                "The working password is only in a version without a label",
                "有効なパスワードがラベルのないバージョンにしかありません",
            ),
            Condition::DatabaseSilent => language.choose("The database does not answer", "データベースが応答しません"),
            Condition::DeletionScheduled => language
                .choose("A secret in use is scheduled for deletion", "使用中のシークレットが削除予定になっています"),
            Condition::SweepUnfinished => language.choose(
                "The sweep did not get through all secrets",
                "巡回がすべてのシークレットを確認し終えませんでした",
            ),
            Condition::AlarmFiring => {
                language.choose("A CloudWatch alarm is firing", "CloudWatchアラームが発生しています")
            }
            Condition::Audit => language.choose("Something unusual was done", "通常と異なる操作がありました"),
            Condition::Contained => language.choose("An incident was contained", "インシデントを封じ込めました"),
            Condition::ContainmentFailed => {
                language.choose("An incident could not be contained", "インシデントを封じ込められませんでした")
            }
            Condition::LedgerBroken => language.choose(
                "The ledger of changes is not what was anchored",
                "変更の台帳がアンカーされた内容と一致しません",
            ),
        }
    }

    /// Where to read what to do: a path in this repository.
    pub fn runbook(self) -> String {
        format!("infra/runbooks/{}", self.runbook_file())
    }

    pub(super) fn runbook_file(self) -> String {
        match self {
            Condition::Audit => "audit-findings.md".to_owned(),
            Condition::RotationFailed
            | Condition::RotationAbandoned
            | Condition::RotationStopped
            | Condition::RotationOverdue
            | Condition::PendingStuck
            | Condition::CurrentRejected
            | Condition::LockedOut
            | Condition::Stranded
            | Condition::DatabaseSilent
            | Condition::DeletionScheduled
            | Condition::SweepUnfinished
            | Condition::AlarmFiring
            | Condition::Contained
            | Condition::ContainmentFailed
            | Condition::LedgerBroken => format!("{}.md", self.name()),
        }
    }

    /// Whether it goes on until it is seen to have ended. Otherwise it happens, and nothing ends it: what is found of it
    /// is added to what was, and it is over when nothing more is.
    pub const fn lasts(self) -> bool {
        !matches!(self, Condition::Audit | Condition::Contained | Condition::ContainmentFailed)
    }

    /// How urgent it is. What it means for consumers counts for more than what it is.
    pub const fn severity(self, impact: Option<Impact>) -> Severity {
        match (impact, self) {
            (Some(Impact::LockedOut | Impact::Stranded), _) => Severity::Critical,
            (Some(Impact::Degraded), _) => Severity::Error,
            (_, Condition::ContainmentFailed | Condition::LedgerBroken) => Severity::Critical,
            (
                _,
                Condition::RotationStopped
                | Condition::DeletionScheduled
                | Condition::SweepUnfinished
                | Condition::Contained,
            ) => Severity::Error,
            (Some(Impact::Safe) | None, _) => Severity::Warning,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn every_condition_has_its_runbook_and_every_runbook_its_condition() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/runbooks");
        let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = files.filter(|name| name != "README.md").collect();
        let expected = Condition::ALL.map(Condition::runbook_file);
        assert_eq!(files, BTreeSet::from(expected));
        let index = fs::read_to_string(folder.join("README.md")).unwrap();
        for condition in Condition::ALL {
            let runbook = fs::read_to_string(folder.join(condition.runbook_file())).unwrap();
            assert_eq!(runbook.lines().next(), Some(format!("# {}", condition.title(Language::English)).as_str()));
            assert!(
                index.contains(&format!("({})", condition.runbook_file())),
                "{} is not in the index",
                condition.name()
            );
        }
    }
}
