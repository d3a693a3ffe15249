//! Why a finding is told: what was seen, beside what is usual.

use crate::{audit::access_policy::Opening, language::Spoken};
use relatch_events::{
    foreign::{self, shown},
    rotation::Step,
};
use serde::Serialize;
use std::fmt;

/// One reason for a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Who usually reads the secret: the most frequent first, three at most, and how many there are.
    UsualReaders {
        /// Their names.
        names: Vec<String>,
        /// How many there are.
        all: usize,
    },
    /// Nobody is known to read the secret.
    NoReaders,
    /// On how many earlier days the principal did the same.
    EarlierDays(u32),
    /// So many different things within so many minutes.
    Count {
        /// How many.
        count: usize,
        /// Of what.
        of: Counted,
        /// Within how many minutes.
        minutes: i64,
        /// The most that the principal had before, if it is known to do this.
        usual: Option<usize>,
    },
    /// Principal and secret belong to different environments.
    Environments {
        /// The principal's.
        principal: String,
        /// The secret's.
        secret: String,
    },
    /// The principal belongs to another account than the thing.
    Accounts {
        /// The principal's.
        principal: String,
        /// The thing's.
        target: String,
    },
    /// The time of day, where the policy's working hours hold.
    LocalTime(String),
    /// Whoever did it is a person.
    Person,
    /// Until now only programs have read it.
    OnlyPrograms,
    /// The mark of a tool in the program's name.
    Tool(String),
    /// A version was read that is not current any more.
    OldVersion {
        /// The version.
        version: String,
        /// For how many minutes another one has been current.
        minutes: i64,
    },
    /// Nothing was read by it, so nothing has to be rotated for it.
    NothingRead,
    /// It cannot be taken back.
    Forced,
    /// After so many days it cannot be taken back.
    RecoveryWindow(u32),
    /// Another function.
    Function {
        /// The one until now, if it is known.
        before: Option<String>,
        /// The one from now on.
        after: String,
    },
    /// The version and label that were written or moved.
    Label {
        /// The label.
        label: String,
        /// The version.
        version: Option<String>,
    },
    /// How the policy lets outsiders in.
    Opening(Opening),
    /// Relatch denies it no more to a principal.
    Denied(String),
    /// What was read is not known.
    Unnamed,
    /// The principal was not seen with others before: how many there are now, and from which network.
    SharedNetwork {
        /// How many principals.
        count: usize,
        /// The network.
        network: String,
        /// Within how many minutes.
        minutes: i64,
    },
    /// The condition under which the policy lets them in, as JSON.
    Condition(String),
    /// The key from now on.
    Key(String),
    /// Somebody may use the key.
    Grantee(String),
    /// In which regions.
    Regions(Vec<String>),
    /// The step that failed.
    Step(Step),
    /// What is said of the failure.
    Message(String),
    /// What GuardDuty says.
    GuardDuty {
        /// Its name for it.
        finding: String,
        /// In one sentence.
        title: String,
    },
    /// It was last rotated so many days ago, and should be every so many.
    Rotated {
        /// How long ago.
        days_ago: i64,
        /// How often.
        every_days: i64,
    },
    /// What a trail does not do any more.
    Narrowed(Narrowing),
    /// The principal has not read it from this network before.
    NewNetwork(String),
    /// The principal has not read it with this program before.
    NewTool(String),
}

/// What a trail does not do any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Narrowing {
    /// It does not record calls that only read.
    Reads,
    /// It does not record calls that write.
    Writes,
    /// It does not record what a service does: `kms.amazonaws.com`.
    Source(String),
    /// It records its own region only.
    Regions,
    /// It does not record IAM, STS and other global services.
    GlobalServices,
    /// Its files are not signed.
    Signatures,
    /// It writes to another bucket.
    Bucket(String),
    /// Its files are encrypted with another key.
    Key(String),
}

impl fmt::Display for Narrowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reads => write!(f, "calls that only read are not recorded"),
            Self::Writes => write!(f, "calls that write are not recorded"),
            Self::Source(source) => write!(f, "{} is left out", shown(source)),
            Self::Regions => write!(f, "only its own region is recorded"),
            Self::GlobalServices => write!(f, "global services are not recorded"),
            Self::Signatures => write!(f, "files are not signed"),
            Self::Bucket(bucket) => write!(f, "files go to {}", shown(bucket)),
            Self::Key(key) => write!(f, "files are encrypted with {}", shown(key)),
        }
    }
}

impl Spoken for Narrowing {
    fn japanese(&self) -> String {
        match self {
            Self::Reads => "読み取りイベントが記録されません".to_owned(),
            Self::Writes => "書き込みイベントが記録されません".to_owned(),
            Self::Source(source) => format!("{} が除外されました", shown(source)),
            Self::Regions => "証跡のリージョンだけが記録されます".to_owned(),
            Self::GlobalServices => "グローバルサービスが記録されません".to_owned(),
            Self::Signatures => "ファイルが署名されません".to_owned(),
            Self::Bucket(bucket) => format!("保存先が {} に変更されました", shown(bucket)),
            Self::Key(key) => format!("暗号化キーが {} に変更されました", shown(key)),
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Counted {
    Secrets,
    DeniedSecrets,
    Parameters,
    Regions,
    Deletions,
    Operations,
    SignIns,
    Overwritten,
    Filters,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsualReaders { names, all } if *all > names.len() => {
                write!(f, "it is usually read by {} and {} more", list(names), all - names.len())
            }
            Self::UsualReaders { names, .. } => write!(f, "it is usually read by {}", list(names)),
            Self::NoReaders => write!(f, "nobody is known to read it"),
            Self::EarlierDays(0) => write!(f, "the principal has never done so before"),
            Self::EarlierDays(1) => write!(f, "the principal did so on one earlier day"),
            Self::EarlierDays(days) => write!(f, "the principal did so on {days} earlier days"),
            Self::Count { count, of, minutes, usual } => {
                let of = match of {
                    Counted::Secrets => "secrets",
                    Counted::DeniedSecrets => "denied secrets",
                    Counted::Parameters => "parameters",
                    Counted::Regions => "regions",
                    Counted::Deletions => "deleted secrets",
                    Counted::Operations => "denied operations",
                    Counted::SignIns => "failed sign-ins",
                    Counted::Overwritten => "secrets written over",
                    Counted::Filters => "filters",
                };
                write!(f, "{count} {of} within {minutes} minutes")?;
                usual.map_or(Ok(()), |usual| write!(f, ", where at most {usual} are usual"))
            }
            Self::Environments { principal, secret } => {
                write!(f, "the principal is of {principal}, the secret of {secret}")
            }
            Self::Accounts { principal, target } => {
                write!(f, "the principal is of account {principal}, what was touched of {target}")
            }
            Self::LocalTime(time) => write!(f, "it was {time} there, outside of working hours"),
            Self::Person => write!(f, "the principal is a person"),
            Self::OnlyPrograms => write!(f, "until now only programs have read it"),
            Self::Tool(tool) => write!(f, "the program calls itself {}", shown(tool)),
            Self::OldVersion { version, minutes } => {
                write!(f, "version {} was read; another has been current for {minutes} minutes", shown(version))
            }
            Self::NothingRead => write!(f, "nothing was read by it"),
            Self::Forced => write!(f, "it cannot be restored"),
            Self::RecoveryWindow(days) => write!(f, "it can be restored for {days} days"),
            Self::Function { before: Some(before), after } => {
                write!(f, "{} in place of {}", shown(after), shown(before))
            }
            Self::Function { before: None, after } => write!(f, "the function is {}", shown(after)),
            Self::Label { label, version: Some(version) } => {
                write!(f, "{} is on version {}", shown(label), shown(version))
            }
            Self::Label { label, version: None } => write!(f, "{} was moved", shown(label)),
            Self::Opening(opening) => write!(f, "{opening}"),
            Self::Denied(principal) => write!(f, "{} is denied it no more", shown(principal)),
            Self::Unnamed => write!(f, "something was read, and the record does not tell what"),
            Self::SharedNetwork { count, network, minutes } => {
                write!(
                    f,
                    "{count} principals did what is not usual for them from {} within {minutes} minutes",
                    shown(network)
                )
            }
            Self::Condition(condition) => write!(f, "under the condition {}", shown(condition)),
            Self::Key(key) => write!(f, "the key is {}", shown(key)),
            Self::Grantee(grantee) => write!(f, "it is for {}", shown(grantee)),
            Self::Regions(regions) => write!(f, "regions: {}", list(regions)),
            Self::Step(step) => write!(f, "it failed at {step}"),
            Self::Message(message) => write!(f, "Secrets Manager says: {}", shown(message)),
            Self::GuardDuty { finding, title } => {
                write!(f, "{} ({})", shown(title).trim_end_matches('.'), shown(finding))
            }
            Self::Rotated { days_ago, every_days } => {
                write!(f, "it was rotated {days_ago} days ago and should be every {every_days}")
            }
            Self::Narrowed(what) => write!(f, "{what}"),
            Self::NewNetwork(network) => write!(f, "the principal has not read it from {} before", shown(network)),
            Self::NewTool(tool) => write!(f, "the principal has not read it with {} before", shown(tool)),
        }
    }
}

impl Spoken for Evidence {
    fn japanese(&self) -> String {
        match self {
            Self::UsualReaders { names, all } if *all > names.len() => {
                format!("普段読み取るのは {} ほか{}件です", list(names), all - names.len())
            }
            Self::UsualReaders { names, .. } => format!("普段読み取るのは {} です", list(names)),
            Self::NoReaders => "普段読み取るプリンシパルは知られていません".to_owned(),
            Self::EarlierDays(0) => "このプリンシパルがこの操作を行うのは初めてです".to_owned(),
            Self::EarlierDays(days) => format!("このプリンシパルは過去に{days}日、同じ操作を行っています"),
            Self::Count { count, of, minutes, usual } => {
                let of = match of {
                    Counted::Secrets => "シークレット",
                    Counted::DeniedSecrets => "拒否されたシークレット",
                    Counted::Parameters => "パラメータ",
                    Counted::Regions => "リージョン",
                    Counted::Deletions => "削除されたシークレット",
                    Counted::Operations => "拒否された操作",
                    Counted::SignIns => "失敗したサインイン",
                    Counted::Overwritten => "上書きされたシークレット",
                    Counted::Filters => "フィルター",
                };
                let usual = usual.map(|usual| format!("（普段は最大{usual}）")).unwrap_or_default();
                format!("{minutes}分以内に{of}が{count}件ありました{usual}")
            }
            Self::Environments { principal, secret } => {
                format!("プリンシパルの環境は {principal}、シークレットの環境は {secret} です")
            }
            Self::Accounts { principal, target } => {
                format!("プリンシパルのアカウントは {principal}、対象のアカウントは {target} です")
            }
            Self::LocalTime(time) => format!("現地時刻は {time} で、勤務時間外です"),
            Self::Person => "プリンシパルは人です".to_owned(),
            Self::OnlyPrograms => "これまではプログラムだけが読み取っていました".to_owned(),
            Self::Tool(tool) => format!("プログラムは {} を名乗っています", shown(tool)),
            Self::OldVersion { version, minutes } => {
                format!("バージョン {} が読み取られましたが、{minutes}分前から別のバージョンが現行です", shown(version))
            }
            Self::NothingRead => "これによって読み取られたものはありません".to_owned(),
            Self::Forced => "復元できません".to_owned(),
            Self::RecoveryWindow(days) => format!("{days}日間は復元できます"),
            Self::Function { before: Some(before), after } => {
                format!("{} から {} に変更されました", shown(before), shown(after))
            }
            Self::Function { before: None, after } => format!("関数は {} です", shown(after)),
            Self::Label { label, version: Some(version) } => {
                format!("{} はバージョン {} にあります", shown(label), shown(version))
            }
            Self::Label { label, version: None } => format!("{} が移動されました", shown(label)),
            Self::Opening(opening) => opening.japanese(),
            Self::Denied(principal) => format!("{} の拒否が解除されました", shown(principal)),
            Self::Unnamed => "何かが読み取られましたが、対象は記録されていません".to_owned(),
            Self::SharedNetwork { count, network, minutes } => {
                format!(
                    "{minutes}分以内に {} から{count}個のプリンシパルが普段と異なる操作を行いました",
                    shown(network)
                )
            }
            Self::Condition(condition) => format!("条件は {} です", shown(condition)),
            Self::Key(key) => format!("キーは {} です", shown(key)),
            Self::Grantee(grantee) => format!("対象は {} です", shown(grantee)),
            Self::Regions(regions) => format!("リージョン: {}", list(regions)),
            Self::Step(step) => format!("{step} で失敗しました"),
            Self::Message(message) => format!("Secrets Managerのメッセージ: {}", shown(message)),
            Self::GuardDuty { finding, title } => {
                format!("{}（{}）", shown(title).trim_end_matches('.'), shown(finding))
            }
            Self::Rotated { days_ago, every_days } => {
                format!("最後のローテーションは{days_ago}日前で、{every_days}日ごとに行われるはずです")
            }
            Self::Narrowed(what) => what.japanese(),
            Self::NewNetwork(network) => format!("このプリンシパルが {} から読み取るのは初めてです", shown(network)),
            Self::NewTool(tool) => format!("このプリンシパルが {} で読み取るのは初めてです", shown(tool)),
        }
    }
}

/// Names of others.
fn list(names: &[String]) -> String {
    foreign::list(names.iter().map(String::as_str))
}
