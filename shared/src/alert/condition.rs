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
    pub const ALL: [Self; 12] = [
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
    ];

    /// The condition's stable name, which is its runbook's too.
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
        }
    }

    /// Where to read what to do: a path in this repository.
    pub fn runbook(self) -> String {
        format!("infra/runbooks/{}.md", self.name())
    }

    /// How urgent it is. What it means for consumers counts for more than what it is.
    pub const fn severity(self, impact: Option<Impact>) -> Severity {
        match (impact, self) {
            (Some(Impact::LockedOut | Impact::Stranded), _) => Severity::Critical,
            (Some(Impact::Degraded), _) => Severity::Error,
            (_, Condition::RotationStopped | Condition::DeletionScheduled | Condition::SweepUnfinished) => {
                Severity::Error
            }
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
        let files: BTreeSet<String> =
            files.filter(|name| !["README.md", "audit-findings.md"].contains(&name.as_str())).collect();
        let expected = Condition::ALL.map(|condition| format!("{}.md", condition.name()));
        assert_eq!(files, BTreeSet::from(expected));
        let index = fs::read_to_string(folder.join("README.md")).unwrap();
        for condition in Condition::ALL {
            let runbook = fs::read_to_string(folder.join(format!("{}.md", condition.name()))).unwrap();
            assert_eq!(runbook.lines().next(), Some(format!("# {}", condition.title(Language::English)).as_str()));
            assert!(index.contains(&format!("({}.md)", condition.name())), "{} is not in the index", condition.name());
        }
    }
}
