//! What there is to be found: every kind of finding on a row of one table.

use super::Severity::{self, Critical, High, Low, Medium};
use crate::language::Language;
use serde::{Deserialize, Serialize};

/// What kind of a thing was found. The names are a stable interface: policies, filters and dashboards use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // What each one means is in the table, as people are told it.
pub enum Kind {
    DeniedRead,
    DeniedBurst,
    NewReader,
    ReadBurst,
    BulkRead,
    MultiRegionRead,
    CrossEnvironmentRead,
    CrossAccountRead,
    OffHoursRead,
    RootRead,
    HumanRead,
    DecoyTouched,
    ParameterDecryptBurst,
    StaleReader,
    UnseenRead,
    HostileTool,
    SecretDeleted,
    MassDeletion,
    RotationDisabled,
    RotationFunctionReplaced,
    ValueWrittenOutsideRotation,
    LabelMovedOutsideRotation,
    PolicyOpened,
    EncryptionKeyChanged,
    KeyDisabledOrScheduledForDeletion,
    KeyPolicyOpened,
    GrantCreated,
    ReplicationChanged,
    DatabasePasswordChangedOutsideRotation,
    RotationFailed,
    RotationAbandoned,
    RotationOverdue,
    TrailStopped,
    TrailNarrowed,
    RuleDisabled,
    OwnFunctionChanged,
    AlertRouteRemoved,
    RootUse,
    ConsoleLoginFailures,
    UnauthorizedBurst,
    GuarddutyFinding,
    UsualReaderElsewhere,
    ManyReadersFromOneNetwork,
    UnnamedRead,
    ValueOverwritten,
    ContainmentLifted,
    WatchWeakened,
}

/// What kind of a security event a finding is. The names are a stable interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum EventType {
    UnauthorizedAccess,
    FailedLogin,
    SuspiciousActivity,
    DataBreachAttempt,
    PrivilegeEscalation,
}

impl EventType {
    /// The type's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnauthorizedAccess => "unauthorized_access",
            Self::FailedLogin => "failed_login",
            Self::SuspiciousActivity => "suspicious_activity",
            Self::DataBreachAttempt => "data_breach_attempt",
            Self::PrivilegeEscalation => "privilege_escalation",
        }
    }
}

/// What a finding means for the secrets that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exposure {
    /// Their values were read, if they were handed out.
    Read,
    /// They, or what protects them, were changed; nobody has learned a value by that.
    Changed,
    /// Nothing was read or changed, or nobody did it whom a secret's policy could deny anything.
    None,
}

/// All that is to be said of a kind. Texts in two languages are English and Japanese.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Whose page it is.
    pub kind: Kind,
    /// The kind's stable name.
    pub name: &'static str,
    /// What kind of a security event it is.
    pub event_type: EventType,
    /// How grave it is usually.
    pub usually: Severity,
    /// How grave it is where a secret of production is concerned.
    pub in_production: Severity,
    /// How grave it is, wherever it is, when that is so.
    pub at_worst: Option<(Severity, &'static str)>,
    title: (&'static str, &'static str),
    meaning: (&'static str, &'static str),
    to_do: (&'static str, &'static str),
    /// What innocent thing looks the same.
    pub innocent: &'static str,
    /// How to have less of it.
    pub tuning: &'static str,
}

impl Page {
    /// How grave a finding is.
    pub(in crate::audit) fn severity(&self, is_production: bool, is_worst: bool) -> Severity {
        let severity = if is_production { self.in_production } else { self.usually };
        match self.at_worst {
            Some((worst, _)) if is_worst => severity.max(worst),
            Some(_) | None => severity,
        }
    }
}

impl Kind {
    /// Every kind.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        PAGES.iter().map(|page| page.kind)
    }

    /// The kind by its stable name.
    pub fn by_name(name: &str) -> Option<Self> {
        PAGES.iter().find(|page| page.name == name).map(|page| page.kind)
    }

    /// All that is to be said of it.
    pub fn page(self) -> &'static Page {
        // The table has the order of the kinds, which a test holds it to.
        &PAGES[self as usize]
    }

    /// The kind's stable name.
    pub fn name(self) -> &'static str {
        self.page().name
    }

    /// What it is, in a few words.
    pub fn title(self, language: Language) -> &'static str {
        let (english, japanese) = self.page().title;
        language.choose(english, japanese)
    }

    /// What it means, in a sentence or two.
    pub fn meaning(self, language: Language) -> &'static str {
        let (english, japanese) = self.page().meaning;
        language.choose(english, japanese)
    }

    /// What a person is to do first.
    pub fn to_do(self, language: Language) -> &'static str {
        let (english, japanese) = self.page().to_do;
        language.choose(english, japanese)
    }

    /// Where to read what to do: a path in this repository.
    pub fn runbook(self) -> String {
        let name = self.name();
        if self.is_of_rotation() {
            format!("infra/runbooks/{name}.md")
        } else {
            format!("infra/runbooks/audit-findings.md#{name}")
        }
    }

    /// What it means for the secrets that it is about, and so what helps: see [`containment`](crate::containment).
    pub const fn exposure(self) -> Exposure {
        match self {
            Self::NewReader
            | Self::ReadBurst
            | Self::BulkRead
            | Self::MultiRegionRead
            | Self::CrossEnvironmentRead
            | Self::CrossAccountRead
            | Self::OffHoursRead
            | Self::RootRead
            | Self::HumanRead
            | Self::DecoyTouched
            | Self::StaleReader
            | Self::UnseenRead
            | Self::UsualReaderElsewhere
            | Self::ManyReadersFromOneNetwork
            | Self::HostileTool => Exposure::Read,
            Self::SecretDeleted
            | Self::MassDeletion
            | Self::RotationDisabled
            | Self::RotationFunctionReplaced
            | Self::ValueWrittenOutsideRotation
            | Self::LabelMovedOutsideRotation
            | Self::PolicyOpened
            | Self::EncryptionKeyChanged
            | Self::ValueOverwritten
            | Self::ContainmentLifted
            | Self::ReplicationChanged => Exposure::Changed,
            // A denied attempt has read nothing; a parameter, a key, a database or a watcher has no policy of a secret's.
            Self::DeniedRead
            | Self::DeniedBurst
            | Self::ParameterDecryptBurst
            | Self::KeyDisabledOrScheduledForDeletion
            | Self::KeyPolicyOpened
            | Self::GrantCreated
            | Self::DatabasePasswordChangedOutsideRotation
            | Self::RotationFailed
            | Self::RotationAbandoned
            | Self::RotationOverdue
            | Self::TrailStopped
            | Self::TrailNarrowed
            | Self::RuleDisabled
            | Self::OwnFunctionChanged
            | Self::AlertRouteRemoved
            | Self::RootUse
            | Self::ConsoleLoginFailures
            | Self::UnauthorizedBurst
            | Self::UnnamedRead
            | Self::WatchWeakened
            | Self::GuarddutyFinding => Exposure::None,
        }
    }

    /// Whether it is about a rotation by itself, of which [alerts](crate::alert::Condition) tell by the same name.
    pub const fn is_of_rotation(self) -> bool {
        matches!(self, Self::RotationFailed | Self::RotationAbandoned | Self::RotationOverdue)
    }
}

use EventType::{DataBreachAttempt, FailedLogin, PrivilegeEscalation, SuspiciousActivity, UnauthorizedAccess};

/// What has to be done about a read that nobody can explain is the same, whichever way it was noticed.
const ASK_READER: (&str, &str) = (
    "Ask who is behind the principal whether they read it. If nobody did, deny the principal and then rotate what was read.",
    "プリンシパルの担当者に、本人が読み取ったか確認してください。心当たりがなければ、先にプリンシパルを拒否し、その後で読み取られたシークレットをローテーションしてください。",
);

const ASK_CHANGER: (&str, &str) = (
    "Ask who is behind the principal whether the change was meant. If it was not, take it back, and deny the principal.",
    "プリンシパルの担当者に、意図した変更か確認してください。意図したものでなければ、変更を元に戻し、プリンシパルを拒否してください。",
);

const WATCH_AGAIN: (&str, &str) = (
    "Put it back first: until then nothing is noticed. Then look at what else the principal did in the meantime.",
    "まず元に戻してください。戻すまで何も検知されません。その後、その間にプリンシパルが行った操作を確認してください。",
);

const TRUST: &str = "Name the principal under `trusted.principals`.";

#[rustfmt::skip]
static PAGES: [Page; 47] = [
    Page {
        kind: Kind::DeniedRead, name: "denied-read", event_type: UnauthorizedAccess,
        usually: Low, in_production: Medium, at_worst: None,
        title: ("A read of a secret was denied", "シークレットの読み取りが拒否されました"),
        meaning: (
            "A principal asked for a secret's value and may not have it. It has learned nothing.",
            "読み取る権限のないプリンシパルがシークレットの値を要求しました。値は渡されていません。",
        ),
        to_do: (
            "Find out whether a permission is missing or somebody is trying doors.",
            "権限の設定漏れか、侵入の試みかを確認してください。",
        ),
        innocent: "A deployment whose role lacks a permission.",
        tuning: "Give it the permission or take the call out. What was denied on two earlier days stays quiet by itself.",
    },
    Page {
        kind: Kind::DeniedBurst, name: "denied-burst", event_type: UnauthorizedAccess,
        usually: High, in_production: High, at_worst: None,
        title: ("Many secrets were tried and denied", "多数のシークレットの読み取りが試みられ、拒否されました"),
        meaning: (
            "A principal asked for one secret after the other without a permission. Different secrets are counted, so that a retry is none.",
            "プリンシパルが権限のないシークレットを次々に要求しました。異なるシークレットの数を数えるため、同じ要求の再試行は該当しません。",
        ),
        to_do: ASK_READER,
        innocent: "An inventory that reads everything it can list.",
        tuning: "`thresholds.denied-burst`, or name the inventory under `trusted.principals`.",
    },
    Page {
        kind: Kind::NewReader, name: "new-reader", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: Some((High, "a person reads what only programs have read")),
        title: ("Somebody new has read a secret", "シークレットが新しいプリンシパルに読み取られました"),
        meaning: (
            "Who reads the secret is known for longer than the learning period, and this role or user has never read it before.",
            "読み取り元が学習済みのシークレットを、これまで読み取ったことのないロールまたはユーザーが読み取りました。",
        ),
        to_do: ASK_READER,
        innocent: "A new service, or one whose role was renamed.",
        tuning: "Nothing: it is told once. `trusted.principals` for deployments whose roles change.",
    },
    Page {
        kind: Kind::ReadBurst, name: "read-burst", event_type: SuspiciousActivity,
        usually: High, in_production: High, at_worst: Some((Critical, "five times as many were read")),
        title: ("Many secrets were read in a short time", "短時間に多数のシークレットが読み取られました"),
        meaning: (
            "A principal has read many different secrets one after the other, and more than it used to.",
            "プリンシパルが、普段より多くの異なるシークレットを立て続けに読み取りました。",
        ),
        to_do: ASK_READER,
        innocent: "A deployment tool or a backup in its first days. Secrets that it created itself do not count.",
        tuning: "After bursts on two days it is known; `trusted.principals` makes it known at once; `thresholds.read-burst`.",
    },
    Page {
        kind: Kind::BulkRead, name: "bulk-read", event_type: DataBreachAttempt,
        usually: High, in_production: High, at_worst: None,
        title: ("All secrets were asked for at once", "すべてのシークレットが一括で要求されました"),
        meaning: (
            "BatchGetSecretValue was called with filters that leave nothing out.",
            "何も除外しないフィルターでBatchGetSecretValueが呼び出されました。",
        ),
        to_do: ASK_READER,
        innocent: "A script that was written in a hurry.",
        tuning: "Let it name its secrets, or filter by a tag; `trusted.principals`.",
    },
    Page {
        kind: Kind::MultiRegionRead, name: "multi-region-read", event_type: SuspiciousActivity,
        usually: High, in_production: High, at_worst: None,
        title: ("Secrets were read in many regions", "多数のリージョンでシークレットが読み取られました"),
        meaning: (
            "A principal has gone from region to region and read secrets in each, as scripts of thieves do.",
            "プリンシパルがリージョンを次々に移りながらシークレットを読み取りました。窃取用のスクリプトによく見られる動きです。",
        ),
        to_do: ASK_READER,
        innocent: "A deployment to all regions.",
        tuning: "`thresholds.multi-region-read`, `trusted.principals`.",
    },
    Page {
        kind: Kind::CrossEnvironmentRead, name: "cross-environment-read", event_type: SuspiciousActivity,
        usually: Medium, in_production: High, at_worst: None,
        title: ("A secret of another environment was read", "別の環境のシークレットが読み取られました"),
        meaning: (
            "The names of the role and of the secret belong to different environments.",
            "ロール名とシークレット名が示す環境が異なります。",
        ),
        to_do: ASK_READER,
        innocent: "A pipeline that is named for the environment it runs in and deploys to another.",
        tuning: "`environments` tells how names map to environments; a habit of more than the learning period stays quiet.",
    },
    Page {
        kind: Kind::CrossAccountRead, name: "cross-account-read", event_type: SuspiciousActivity,
        usually: Medium, in_production: High, at_worst: None,
        title: ("A secret was read from another account", "別のアカウントからシークレットが読み取られました"),
        meaning: (
            "The principal belongs to another account than the secret. The secret's policy lets it.",
            "シークレットとは別のアカウントのプリンシパルが読み取りました。シークレットのポリシーがそれを許可しています。",
        ),
        to_do: ASK_READER,
        innocent: "A shared secret, a central deployment account.",
        tuning: "Name the account under `trusted.accounts`; a habit of more than the learning period stays quiet.",
    },
    Page {
        kind: Kind::OffHoursRead, name: "off-hours-read", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: None,
        title: ("A secret was read out of hours", "勤務時間外にシークレットが読み取られました"),
        meaning: (
            "Somebody who is no program, or a role that never did so before, has read it outside of working hours.",
            "人、またはこれまで勤務時間外に読み取ったことのないロールが、勤務時間外に読み取りました。",
        ),
        to_do: ASK_READER,
        innocent: "Somebody on call.",
        tuning: "Only judged where `working-hours` are set. `trusted.principals` for the role of those on call.",
    },
    Page {
        kind: Kind::RootRead, name: "root-read", event_type: UnauthorizedAccess,
        usually: High, in_production: Critical, at_worst: None,
        title: ("The root user has read a secret", "ルートユーザーがシークレットを読み取りました"),
        meaning: (
            "No policy can keep the root user from anything, so nobody should work as root.",
            "ルートユーザーはポリシーで制限できないため、通常の作業に使うべきではありません。",
        ),
        to_do: ASK_READER,
        innocent: "An account in its first hour.",
        tuning: "It cannot be tuned, only be put in the shadow.",
    },
    Page {
        kind: Kind::HumanRead, name: "human-read", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: None,
        title: ("A person has read a secret", "人がシークレットを読み取りました"),
        meaning: (
            "A person and no program has read a secret of an environment in which only programs should.",
            "プログラムだけが読み取るべき環境のシークレットを、人が読み取りました。",
        ),
        to_do: (
            "Ask them why; rotate the secret, since a person knows it now.",
            "理由を本人に確認してください。人に知られたため、シークレットをローテーションしてください。",
        ),
        innocent: "Somebody repairs something.",
        tuning: "`environments.without-people`; a habit of more than the learning period stays quiet.",
    },
    Page {
        kind: Kind::DecoyTouched, name: "decoy-touched", event_type: DataBreachAttempt,
        usually: Critical, in_production: Critical, at_worst: None,
        title: ("A decoy was touched", "おとりのシークレットが操作されました"),
        meaning: (
            "Nobody has a reason to touch this secret: it exists to be found by thieves. Also an attempt that was denied counts.",
            "このシークレットは侵入者に見つけさせるためのもので、正当な操作はありえません。拒否された試みも含みます。",
        ),
        to_do: (
            "Treat the principal as stolen: deny it now, then look at everything else that it did.",
            "プリンシパルが奪われたものとして、直ちに拒否し、その他の操作をすべて確認してください。",
        ),
        innocent: "An inventory or a backup that reads every secret.",
        tuning: "Name it under `decoys.except`.",
    },
    Page {
        kind: Kind::ParameterDecryptBurst, name: "parameter-decrypt-burst", event_type: SuspiciousActivity,
        usually: Medium, in_production: High, at_worst: None,
        title: ("Many parameters were decrypted", "多数のパラメータが復号されました"),
        meaning: (
            "A principal has decrypted many different parameters of Parameter Store, and more than it used to.",
            "プリンシパルが、パラメータストアの異なるパラメータを普段より多く復号しました。",
        ),
        to_do: ASK_READER,
        innocent: "An application that reads its whole configuration at its start, in its first days.",
        tuning: "After bursts on two days it is known; `thresholds.parameter-decrypt-burst`; `trusted.principals`.",
    },
    Page {
        kind: Kind::StaleReader, name: "stale-reader", event_type: SuspiciousActivity,
        usually: Low, in_production: Low, at_worst: None,
        title: ("An old version of a secret is still read", "シークレットの古いバージョンがまだ読み取られています"),
        meaning: (
            "Since the rotation the reader asks for a version that is not current any more; at the next rotation it fails.",
            "ローテーション後も現行でないバージョンが読み取られています。次回のローテーションで失敗します。",
        ),
        to_do: (
            "Let the reader ask for AWSCURRENT, without a version's id.",
            "バージョンIDを指定せず、AWSCURRENTを読み取るように修正してください。",
        ),
        innocent: "Somebody looks at what the value was before.",
        tuning: "`thresholds.stale-after-minutes`.",
    },
    Page {
        kind: Kind::UnseenRead, name: "unseen-read", event_type: SuspiciousActivity,
        usually: Medium, in_production: High, at_worst: None,
        title: ("A secret was decrypted, but no read was recorded", "復号されたのに、読み取りの記録がありません"),
        meaning: (
            "KMS has decrypted the secret's key for somebody, and no read, write or rotation that would explain it was recorded.",
            "KMSがシークレットのキーを復号しましたが、それに対応する読み取り、書き込み、ローテーションの記録がありません。",
        ),
        to_do: (
            "See whether the trail records reads (management events, read and write); then ask the reader.",
            "証跡が読み取りイベント（管理イベントの読み取りと書き込み）を記録しているか確認し、その後で読み取った担当者に確認してください。",
        ),
        innocent: "A rule that hands over no reads, or records that are later than the watermark.",
        tuning: "`thresholds.unseen-after-minutes`.",
    },
    Page {
        kind: Kind::HostileTool, name: "hostile-tool", event_type: SuspiciousActivity,
        usually: High, in_production: Critical, at_worst: None,
        title: ("A tool of attackers was at work", "攻撃者が使うツールによる操作がありました"),
        meaning: (
            "The program calls itself by the name of a scanner for secrets, or of a system for penetration tests.",
            "シークレット探索ツールまたは侵入テスト用システムの名前を名乗るプログラムによる操作です。",
        ),
        to_do: ASK_READER,
        innocent: "A test that was ordered.",
        tuning: "`trusted.tools` for the time of the test.",
    },
    Page {
        kind: Kind::SecretDeleted, name: "secret-deleted", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: Some((High, "it was forced, without time to restore it")),
        title: ("A secret was deleted", "シークレットが削除されました"),
        meaning: (
            "A secret was deleted by somebody who neither created it nor deletes secrets as a habit.",
            "作成者でもなく、普段シークレットを削除してもいないプリンシパルが、シークレットを削除しました。",
        ),
        to_do: (
            "If it was not meant, `aws secretsmanager restore-secret` while its recovery window lasts.",
            "意図したものでなければ、復旧期間内に `aws secretsmanager restore-secret` で復元してください。",
        ),
        innocent: "Somebody tidies up.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::MassDeletion, name: "mass-deletion", event_type: DataBreachAttempt,
        usually: High, in_production: Critical, at_worst: Some((Critical, "any of them was forced")),
        title: ("Many secrets were deleted", "多数のシークレットが削除されました"),
        meaning: (
            "A principal has deleted many secrets that others created, and more than it used to.",
            "プリンシパルが、他者の作成したシークレットを普段より多く削除しました。",
        ),
        to_do: (
            "Deny the principal; restore what is not gone for good; restore the rest from a backup.",
            "プリンシパルを拒否し、復元可能なものは復元し、残りはバックアップから戻してください。",
        ),
        innocent: "A project is torn down by hand.",
        tuning: "`thresholds.mass-deletion`; `trusted.principals` for what tears down.",
    },
    Page {
        kind: Kind::RotationDisabled, name: "rotation-disabled", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: None,
        title: ("Rotation was switched off", "ローテーションが無効化されました"),
        meaning: (
            "The secret is not rotated any more, and its schedule is gone.",
            "シークレットはローテーションされなくなり、スケジュールも失われました。",
        ),
        to_do: ASK_CHANGER,
        innocent: "Somebody stops a rotation that fails. `relatch pause` keeps the schedule.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::RotationFunctionReplaced, name: "rotation-function-replaced", event_type: SuspiciousActivity,
        usually: Medium, in_production: High, at_worst: Some((Critical, "the function is in another account")),
        title: ("Another function rotates the secret now", "ローテーション関数が変更されました"),
        meaning: (
            "The function that rotates a secret sees every new value of it.",
            "ローテーション関数は、シークレットの新しい値をすべて知ることができます。",
        ),
        to_do: ASK_CHANGER,
        innocent: "A move to Relatch, or a new stack.",
        tuning: "Name the functions under `own.functions`; `trusted.principals`.",
    },
    Page {
        kind: Kind::ValueWrittenOutsideRotation, name: "value-written-outside-rotation", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: None,
        title: ("A value was written outside of a rotation", "ローテーション以外で値が書き込まれました"),
        meaning: (
            "The secret is rotated, and somebody has written a value into it while no rotation was doing so.",
            "ローテーション対象のシークレットに、ローテーション以外で値が書き込まれました。",
        ),
        to_do: (
            "`relatch doctor` the secret: what was written may not open the database.",
            "`relatch doctor` で確認してください。書き込まれた値では接続できない可能性があります。",
        ),
        innocent: "A repair by hand. Secrets that nobody rotates do not count.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::LabelMovedOutsideRotation, name: "label-moved-outside-rotation", event_type: PrivilegeEscalation,
        usually: Low, in_production: Medium, at_worst: None,
        title: ("A label was moved outside of a rotation", "ローテーション以外でラベルが移動されました"),
        meaning: (
            "Which version readers get was changed by hand. It may be one that does not work, or that somebody else knows.",
            "読み取られるバージョンが手動で変更されました。使用できない値、または他者が知っている値の可能性があります。",
        ),
        to_do: (
            "`relatch doctor` the secret, and ask who moved it.",
            "`relatch doctor` で確認し、移動した担当者に確認してください。",
        ),
        innocent: "A rollback by hand.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::PolicyOpened, name: "policy-opened", event_type: PrivilegeEscalation,
        usually: Medium, in_production: High, at_worst: Some((Critical, "everybody may, without a condition")),
        title: ("A secret was opened to outsiders", "シークレットが外部に公開されました"),
        meaning: (
            "The secret's new policy lets in everybody or another account.",
            "シークレットの新しいポリシーが、全員または別のアカウントにアクセスを許可しています。",
        ),
        to_do: ASK_CHANGER,
        innocent: "A secret is shared on purpose.",
        tuning: "Name the account under `trusted.accounts`, or set a condition on the organisation.",
    },
    Page {
        kind: Kind::EncryptionKeyChanged, name: "encryption-key-changed", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: Some((Critical, "the key is another account's, as in extortion")),
        title: ("A secret is encrypted with another key", "シークレットの暗号化キーが変更されました"),
        meaning: (
            "Whoever may not use the new key cannot read the secret any more; whoever owns it can shut everybody out.",
            "新しいキーを使えないプリンシパルは読み取れなくなり、キーの所有者は全員を締め出すことができます。",
        ),
        to_do: ASK_CHANGER,
        innocent: "A move to a key of one's own.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::KeyDisabledOrScheduledForDeletion, name: "key-disabled-or-scheduled-for-deletion",
        event_type: SuspiciousActivity,
        usually: Medium, in_production: High, at_worst: Some((Critical, "secrets are known to be encrypted with it")),
        title: ("A key was disabled or is to be deleted", "KMSキーが無効化または削除予定になりました"),
        meaning: (
            "What is encrypted with the key cannot be read while it is disabled, and never again once it is deleted.",
            "このキーで暗号化されたものは、無効化中は読み取れず、削除後は二度と読み取れません。",
        ),
        to_do: (
            "`aws kms cancel-key-deletion` and `enable-key`, unless it was meant.",
            "意図したものでなければ、`aws kms cancel-key-deletion` と `enable-key` を実行してください。",
        ),
        innocent: "A key that nothing uses is retired.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::KeyPolicyOpened, name: "key-policy-opened", event_type: PrivilegeEscalation,
        usually: Medium, in_production: High, at_worst: Some((Critical, "everybody may, without a condition")),
        title: ("A key was opened to outsiders", "KMSキーが外部に公開されました"),
        meaning: (
            "The key's new policy lets everybody or another account use it.",
            "キーの新しいポリシーが、全員または別のアカウントに使用を許可しています。",
        ),
        to_do: ASK_CHANGER,
        innocent: "A key is shared on purpose.",
        tuning: "Name the account under `trusted.accounts`, or set a condition (`kms:CallerAccount`, `kms:ViaService`).",
    },
    Page {
        kind: Kind::GrantCreated, name: "grant-created", event_type: PrivilegeEscalation,
        usually: Low, in_production: Medium, at_worst: Some((High, "it is for another account")),
        title: ("A grant lets somebody decrypt", "復号を許可するグラントが作成されました"),
        meaning: (
            "A grant lets its holder use a key, and no policy shows it. Grants that services ask for do not count.",
            "グラントはポリシーに表れずにキーの使用を許可します。AWSサービスによるグラントは対象外です。",
        ),
        to_do: (
            "`aws kms list-grants`, and `revoke-grant` unless it was meant.",
            "`aws kms list-grants` で確認し、意図したものでなければ `revoke-grant` で取り消してください。",
        ),
        innocent: "A program that grants as its job; after two days it is known.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::ReplicationChanged, name: "replication-changed", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: None,
        title: ("A secret's replicas were changed", "シークレットのレプリケーションが変更されました"),
        meaning: (
            "The secret is now in another region, is not any more, or a replica was cut off and no longer follows rotations.",
            "シークレットの複製先が変更されたか、レプリカが切り離されてローテーションに追従しなくなりました。",
        ),
        to_do: ASK_CHANGER,
        innocent: "A new region is built up.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::DatabasePasswordChangedOutsideRotation, name: "database-password-changed-outside-rotation",
        event_type: SuspiciousActivity,
        usually: Medium, in_production: High, at_worst: None,
        title: ("A database's password was set by hand", "データベースのパスワードが手動で変更されました"),
        meaning: (
            "RDS was told to set the master user's password, and no rotation was under way: the secret may not open the database any more.",
            "ローテーション中でないのに、RDSでマスターユーザーのパスワードが変更されました。シークレットで接続できなくなった可能性があります。",
        ),
        to_do: (
            "`relatch doctor` the database's secret; `relatch recover` if it does not open it.",
            "データベースのシークレットを `relatch doctor` で確認し、接続できなければ `relatch recover` を実行してください。",
        ),
        innocent: "A deployment tool that sets the password again at each run.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::RotationFailed, name: "rotation-failed", event_type: SuspiciousActivity,
        usually: Medium, in_production: Medium, at_worst: None,
        title: ("A rotation failed", "ローテーションが失敗しました"),
        meaning: (
            "A step of a rotation ended with an error. Secrets Manager tries again.",
            "ローテーションのステップがエラーで終了しました。Secrets Managerが再試行します。",
        ),
        to_do: (
            "`relatch doctor` the secret.",
            "シークレットを `relatch doctor` で確認してください。",
        ),
        innocent: "A database that was restarted at that moment.",
        tuning: "Mend the cause.",
    },
    Page {
        kind: Kind::RotationAbandoned, name: "rotation-abandoned", event_type: SuspiciousActivity,
        usually: Medium, in_production: Medium, at_worst: None,
        title: ("A rotation was abandoned", "ローテーションが放棄されました"),
        meaning: (
            "Somebody wrote a value or moved a label while a rotation was under way.",
            "ローテーション中に、値の書き込みまたはラベルの移動が行われました。",
        ),
        to_do: (
            "`relatch doctor` the secret.",
            "シークレットを `relatch doctor` で確認してください。",
        ),
        innocent: "Two deployments at once.",
        tuning: "Let only the rotation write values of this secret.",
    },
    Page {
        kind: Kind::RotationOverdue, name: "rotation-overdue", event_type: SuspiciousActivity,
        usually: Medium, in_production: Medium, at_worst: None,
        title: ("The rotation is overdue", "ローテーションの期日が過ぎています"),
        meaning: (
            "By its schedule the secret should have been rotated more than a day ago.",
            "スケジュールによれば、1日以上前にローテーションされているはずです。",
        ),
        to_do: (
            "Look at why: `relatch status`, and the log of the rotation's function.",
            "`relatch status` とローテーション関数のログで原因を確認してください。",
        ),
        innocent: "A log that ends before the rotation's event. Judged only of schedules by days or hours that were seen being set.",
        tuning: "Mend the cause.",
    },
    Page {
        kind: Kind::TrailStopped, name: "trail-stopped", event_type: SuspiciousActivity,
        usually: Critical, in_production: Critical, at_worst: None,
        title: ("A trail was stopped", "証跡が停止されました"),
        meaning: (
            "CloudTrail does not record any more, or the trail is gone. From here on nothing is seen.",
            "CloudTrailの記録が停止されたか、証跡が削除されました。以後の操作は検知できません。",
        ),
        to_do: WATCH_AGAIN,
        innocent: "A second trail is taken down.",
        tuning: "Name the trails that count under `own.trails`.",
    },
    Page {
        kind: Kind::TrailNarrowed, name: "trail-narrowed", event_type: SuspiciousActivity,
        usually: High, in_production: High, at_worst: None,
        title: ("A trail records less", "証跡の記録範囲が狭められました"),
        meaning: (
            "Reads, writes, regions, global services or KMS are left out from now on, the files are not signed, or they go to another bucket.",
            "読み取り、書き込み、リージョン、グローバルサービス、KMSのいずれかが記録されなくなったか、ファイルの署名が無効化されたか、保存先のバケットが変更されました。",
        ),
        to_do: WATCH_AGAIN,
        innocent: "Somebody saves money on events of KMS.",
        tuning: "Name the trails that count under `own.trails`.",
    },
    Page {
        kind: Kind::RuleDisabled, name: "rule-disabled", event_type: SuspiciousActivity,
        usually: High, in_production: High, at_worst: None,
        title: ("A rule that wakes Relatch was switched off", "Relatchを起動するルールが無効化されました"),
        meaning: (
            "Events do not reach Relatch any more, or no longer the reads.",
            "イベント、または読み取りのイベントがRelatchに届かなくなりました。",
        ),
        to_do: WATCH_AGAIN,
        innocent: "The stack is taken down.",
        tuning: "`own.rules` says which are meant, `own.deployers` who may.",
    },
    Page {
        kind: Kind::OwnFunctionChanged, name: "own-function-changed", event_type: SuspiciousActivity,
        usually: High, in_production: High, at_worst: None,
        title: ("A function of Relatch, or its policy, was changed", "Relatchの関数またはポリシーが変更されました"),
        meaning: (
            "The code, the settings or the concurrency of a function that sees secrets or watches them was changed, or it is gone; or the parameter that holds the audit's policy was written or deleted.",
            "シークレットを扱う、または監視する関数のコード、設定、同時実行数が変更されたか、関数が削除されました。または、監査のポリシーを保持するパラメータが書き込まれたか、削除されました。",
        ),
        to_do: WATCH_AGAIN,
        innocent: "A deployment; a new policy.",
        tuning: "`own.functions` and `own.parameters` say which are meant, `own.deployers` who may change functions. A change of the policy is told whoever made it and whatever it says: it would be judged by the new one.",
    },
    Page {
        kind: Kind::AlertRouteRemoved, name: "alert-route-removed", event_type: SuspiciousActivity,
        usually: High, in_production: High, at_worst: None,
        title: ("Alerts do not reach people any more", "アラートの通知経路が失われました"),
        meaning: (
            "A topic, a subscription, a queue or an alarm on the way of alerts was taken away or switched off.",
            "アラートの経路にあるトピック、サブスクリプション、キュー、アラームのいずれかが削除または無効化されました。",
        ),
        to_do: WATCH_AGAIN,
        innocent: "Somebody unsubscribes who has left.",
        tuning: "`own.topics`, `own.queues` and `own.alarms` say which are meant, `own.deployers` who may.",
    },
    Page {
        kind: Kind::RootUse, name: "root-use", event_type: UnauthorizedAccess,
        usually: High, in_production: High, at_worst: None,
        title: ("The root user was used", "ルートユーザーが使用されました"),
        meaning: (
            "Somebody works as root, whom no policy restrains.",
            "ポリシーで制限できないルートユーザーで操作が行われました。",
        ),
        to_do: (
            "Ask who it was. If nobody knows, change root's password and take its keys away.",
            "使用者を確認してください。不明な場合は、ルートのパスワードを変更し、アクセスキーを削除してください。",
        ),
        innocent: "One of the few tasks that only root can do.",
        tuning: "It cannot be tuned, only be put in the shadow.",
    },
    Page {
        kind: Kind::ConsoleLoginFailures, name: "console-login-failures", event_type: FailedLogin,
        usually: Medium, in_production: Medium, at_worst: Some((High, "it is the root user's")),
        title: ("Sign-ins to the console failed", "コンソールへのサインインが繰り返し失敗しました"),
        meaning: (
            "Somebody has tried to sign in again and again.",
            "サインインの失敗が繰り返されています。",
        ),
        to_do: (
            "Ask the user; look at whether a sign-in from there has succeeded since.",
            "ユーザー本人に確認し、同じ接続元からその後サインインに成功していないか調べてください。",
        ),
        innocent: "A forgotten password.",
        tuning: "`thresholds.console-login-failures`.",
    },
    Page {
        kind: Kind::UnauthorizedBurst, name: "unauthorized-burst", event_type: UnauthorizedAccess,
        usually: Medium, in_production: Medium, at_worst: None,
        title: ("Many operations were tried and denied", "多数の操作が試みられ、拒否されました"),
        meaning: (
            "A principal tries one operation after the other to see what it may do. Different operations are counted, so that a retry is none.",
            "プリンシパルが、権限を探るように異なる操作を次々に試みています。異なる操作の数を数えるため、同じ操作の再試行は該当しません。",
        ),
        to_do: ASK_READER,
        innocent: "A security scanner with too few permissions; after bursts on two days it is known.",
        tuning: "`thresholds.unauthorized-burst`, `trusted.principals`.",
    },
    Page {
        kind: Kind::GuarddutyFinding, name: "guardduty-finding", event_type: SuspiciousActivity,
        usually: Medium, in_production: Medium,
        at_worst: Some((Critical, "GuardDuty's own number is 9 or more; it is high from 7 on, medium from 4 on, low below that")),
        title: ("GuardDuty has found misuse of credentials", "GuardDutyが認証情報の不正使用を検出しました"),
        meaning: (
            "GuardDuty reports that somebody goes for credentials, uses some from where they do not belong, guesses a database's password, or calls Secrets Manager in an odd way.",
            "認証情報の窃取、本来の場所以外からの認証情報の使用、データベースのパスワードの推測、またはSecrets Managerの不審な呼び出しを、GuardDutyが報告しました。",
        ),
        to_do: (
            "Open the finding in GuardDuty. Revoke the sessions or the key that it names, and rotate what the principal has read: `relatch access` shows it.",
            "GuardDutyで検出結果を確認し、該当するセッションまたはアクセスキーを無効化してください。そのプリンシパルが読み取ったシークレットを `relatch access` で確認し、ローテーションしてください。",
        ),
        innocent: "A new tool, a new network, a test of one's own.",
        tuning: "A suppression rule in GuardDuty: what is archived there is not told here.",
    },
    Page {
        kind: Kind::UsualReaderElsewhere, name: "usual-reader-elsewhere", event_type: DataBreachAttempt,
        usually: Medium, in_production: High, at_worst: None,
        title: ("A usual reader came from a new network with a new program", "普段の読み取り元が、新しいネットワークから新しいプログラムで読み取りました"),
        meaning: (
            "A principal that has read the secret for long, from few networks and with few programs, has read it from another network with another program. Credentials that were stolen are used like that.",
            "限られたネットワークとプログラムから長く読み取ってきたプリンシパルが、別のネットワークから別のプログラムで読み取りました。盗まれた認証情報はこのように使われます。",
        ),
        to_do: ASK_READER,
        innocent: "Somebody debugs with the role of an application, or an application moves and changes its SDK at once.",
        tuning: "It is told once of each secret: then both are known. `trusted.principals`.",
    },
    Page {
        kind: Kind::ManyReadersFromOneNetwork, name: "many-readers-from-one-network", event_type: DataBreachAttempt,
        usually: High, in_production: Critical, at_worst: None,
        title: ("Many principals did unusual things from one network", "複数のプリンシパルが同じネットワークから普段と異なる読み取りを行いました"),
        meaning: (
            "Several principals, each of whom may look harmless, have read from one network what they do not usually read, or not from there. Whoever holds all their credentials is one.",
            "複数のプリンシパルが、同じネットワークから普段と異なる読み取りを行いました。一人の攻撃者がすべての認証情報を持っている可能性があります。",
        ),
        to_do: (
            "Look at the network first, then at every principal that is named: deny them, and rotate what they have read.",
            "まずネットワークを調べ、次に挙げられたすべてのプリンシパルを確認して拒否し、読み取られたシークレットをローテーションしてください。",
        ),
        innocent: "A cluster that is built anew with other roles.",
        tuning: "`thresholds.shared-network`, `trusted.principals`.",
    },
    Page {
        kind: Kind::UnnamedRead, name: "unnamed-read", event_type: SuspiciousActivity,
        usually: Medium, in_production: Medium, at_worst: None,
        title: ("Something was read, and the record does not tell what", "読み取りの対象が記録されていません"),
        meaning: (
            "A value was handed out, and the event names no secret: its parameters were left out, or it asked for a whole path and no event of KMS tells what was in it.",
            "値が渡されましたが、イベントに対象がありません。パラメータが省略されたか、パス全体が要求され、KMSのイベントも記録されていません。",
        ),
        to_do: (
            "See whether the trail leaves events of KMS out. Ask who is behind the principal what was read, and rotate all that it may read if nobody knows.",
            "証跡がKMSのイベントを除外していないか確認してください。プリンシパルの担当者に読み取った対象を確認し、不明な場合は読み取り可能なものをすべてローテーションしてください。",
        ),
        innocent: "An application that reads its configuration by a path, where the trail has no events of KMS; after two days it is known.",
        tuning: "Record events of KMS; `trusted.principals`.",
    },
    Page {
        kind: Kind::ValueOverwritten, name: "value-overwritten", event_type: SuspiciousActivity,
        usually: Low, in_production: Medium, at_worst: Some((High, "many were within minutes, as in extortion")),
        title: ("A value was written over", "シークレットの値が上書きされました"),
        meaning: (
            "Nobody rotates the secret, and somebody has written a value into it who neither created it nor writes values as a habit. The one before is lost once there are newer ones.",
            "ローテーションされていないシークレットに、作成者でもなく、普段書き込んでもいないプリンシパルが値を書き込みました。以前の値は失われる可能性があります。",
        ),
        to_do: (
            "Ask who is behind the principal. If nobody did it, deny the principal, and move AWSCURRENT back to the version before.",
            "プリンシパルの担当者に確認してください。心当たりがなければプリンシパルを拒否し、AWSCURRENTを以前のバージョンに戻してください。",
        ),
        innocent: "Somebody puts a new key of a provider in.",
        tuning: "Whoever writes values on two days is known for it; `trusted.principals`.",
    },
    Page {
        kind: Kind::ContainmentLifted, name: "containment-lifted", event_type: PrivilegeEscalation,
        usually: High, in_production: High, at_worst: None,
        title: ("What Relatch had denied is let in again", "Relatchによる拒否が解除されました"),
        meaning: (
            "Relatch had denied a principal this secret, and its policy was replaced or deleted, so that the denial is gone.",
            "Relatchがこのシークレットへのアクセスを拒否していましたが、ポリシーが置き換えまたは削除され、拒否がなくなりました。",
        ),
        to_do: (
            "Unless you have released it yourself, deny the principal again, and whoever changed the policy as well.",
            "自分で解除したのでなければ、そのプリンシパルと、ポリシーを変更したプリンシパルの両方を拒否してください。",
        ),
        innocent: "A person or Relatch itself releases the secret after the incident; a deployment that writes its own policy.",
        tuning: TRUST,
    },
    Page {
        kind: Kind::WatchWeakened, name: "watch-weakened", event_type: SuspiciousActivity,
        usually: High, in_production: High, at_worst: None,
        title: ("What Relatch keeps watch with was changed", "Relatchの監視基盤が変更されました"),
        meaning: (
            "A table, a bucket, a role, a log group or a schedule of Relatch was changed or deleted.",
            "Relatchのテーブル、バケット、ロール、ロググループ、スケジュールのいずれかが変更または削除されました。",
        ),
        to_do: WATCH_AGAIN,
        innocent: "A deployment.",
        tuning: "`own.resources` says which are meant, `own.deployers` who may.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_on_its_row() {
        for (index, page) in PAGES.iter().enumerate() {
            assert_eq!(page.kind as usize, index, "{}", page.name);
            assert_eq!(serde_json::to_value(page.kind).ok(), Some(page.name.into()));
            assert_eq!(Kind::by_name(page.name), Some(page.kind));
            assert!(page.usually <= page.in_production, "{}", page.name);
            assert!(page.at_worst.is_none_or(|(worst, _)| worst > page.usually), "{}", page.name);
        }
    }

    /// That none is missing, the compiler sees.
    #[test]
    fn no_translation_was_left_in_english() {
        for page in &PAGES {
            for (english, japanese) in [page.title, page.meaning, page.to_do] {
                assert!(english.is_ascii(), "{english}");
                assert!(japanese.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c)), "{japanese}");
            }
        }
    }
}
