//! What the state of a secret means for those who use it.

use super::facts::{Facts, Found, Rung};
use crate::{language::Language, ports::Login, rotation::facts::Held};

/// What the state of a secret means for those who use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// AWSCURRENT opens the database: nobody notices anything.
    Safe,
    /// New connections may fail: AWSCURRENT does not open the database, or it is not known, and some labelled version
    /// does or may.
    Degraded,
    /// Only a version without a label opens the database, which Secrets Manager deletes some time after a day.
    Stranded,
    /// No version opens the database.
    LockedOut,
}

impl Impact {
    /// Every impact.
    pub const ALL: [Self; 4] = [Self::Safe, Self::Degraded, Self::Stranded, Self::LockedOut];

    /// The impact's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Impact::Safe => "SAFE",
            Impact::Degraded => "DEGRADED",
            Impact::Stranded => "STRANDED",
            Impact::LockedOut => "LOCKED_OUT",
        }
    }

    /// The impact in a sentence.
    pub fn sentence(self, language: Language) -> &'static str {
        match self {
            Impact::Safe => language.choose(
                "Applications are not affected: AWSCURRENT opens the database.",
                "アプリケーションへの影響はありません。AWSCURRENTでデータベースに接続できます。",
            ),
            Impact::Degraded => language.choose(
                "New connections with AWSCURRENT may fail; those that are open go on.",
                "AWSCURRENTによる新規接続が失敗する可能性があります。確立済みの接続は継続します。",
            ),
            Impact::Stranded => language.choose(
                "New connections fail: the password that works is only in a version without a label, which Secrets Manager deletes some time after 24 hours.",
                "新規接続が失敗します。有効なパスワードはラベルのないバージョンにしかなく、24時間を過ぎるとSecrets Managerに削除されます。",
            ),
            Impact::LockedOut => language.choose(
                "New connections fail: no version of the secret opens the database.",
                "新規接続が失敗します。シークレットのどのバージョンでもデータベースに接続できません。",
            ),
        }
    }
}

/// What it means as it was found, before anything was done; `None` where it was not looked at.
pub fn found(facts: &Facts) -> Option<Impact> {
    let opens = |login: Option<Login>| matches!(login, Some(Login::Accepted | Login::Unfit(_)));
    let silent = |login: Option<Login>| matches!(login, Some(Login::Unknown(_)));
    match (facts.current, facts.logins.current) {
        (Some(Held::Credentials), None) | (None, _) => return None,
        (_, Some(Login::Accepted | Login::Unfit(_))) => return Some(Impact::Safe),
        (_, Some(Login::Unknown(_))) => return Some(Impact::Degraded),
        (_, Some(Login::Refused(_) | Login::Rejected) | None) => {}
    }
    if shut_out(facts) {
        let somebody = [facts.logins.pending, facts.logins.previous, facts.logins.kept].into_iter().any(opens);
        return Some(if somebody || another_may_open(facts) { Impact::Degraded } else { Impact::LockedOut });
    }
    let labelled = [facts.logins.pending, facts.logins.previous];
    Some(if labelled.into_iter().any(|login| opens(login) || silent(login)) || !facts.every_label_was_tried() {
        Impact::Degraded
    } else if opens(facts.logins.kept) {
        Impact::Stranded
    } else if silent(facts.logins.kept) || !facts.every_version_was_tried() {
        Impact::Degraded
    } else {
        Impact::LockedOut
    })
}

/// A password was right, and the role or the database let nobody in: whichever version of that user he holds.
fn shut_out(facts: &Facts) -> bool {
    let refused = |login: Option<Login>| matches!(login, Some(Login::Refused(_)));
    let own = |found: Option<Found>, login| found != Some(Found::Alternate) && refused(login);
    refused(facts.logins.current)
        || own(facts.pending, facts.logins.pending)
        || own(facts.previous, facts.logins.previous)
        || own(facts.kept.found, facts.logins.kept)
}

/// A labelled version is that of the user that takes turns, and it was not seen to be shut out as well.
fn another_may_open(facts: &Facts) -> bool {
    let others = [(facts.pending, facts.logins.pending), (facts.previous, facts.logins.previous)];
    others.into_iter().any(|(found, login)| {
        found == Some(Found::Alternate) && !matches!(login, Some(Login::Refused(_) | Login::Rejected))
    })
}

/// What it means after everything that was done.
pub fn left(facts: &Facts) -> Option<Impact> {
    let mut restored = Rung::ALL.into_iter().filter_map(|rung| facts.climb(rung).restored);
    let opened = matches!(facts.logins.current, Some(Login::Accepted | Login::Unfit(_)));
    if opened && facts.again == Some(Login::Rejected) {
        return Some(Impact::Degraded);
    }
    match restored.next_back() {
        Some(Login::Accepted | Login::Unfit(_)) => Some(Impact::Safe),
        Some(Login::Refused(_) | Login::Rejected | Login::Unknown(_)) | None => found(facts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::{Refusal, Silence},
        rollback::facts::PendingLabel,
    };

    /// VALID UNTIL that is over is a rejection, and a server without a free connection is silent: see `postgres::login`.
    #[test]
    fn where_nobody_is_let_in_with_the_right_password_everybody_is_locked_out() {
        let current = Login::Refused(Refusal::NoLogin);
        let meant = |previous, login| {
            let mut facts = Facts { current: Some(Held::Credentials), previous, ..Facts::default() };
            (facts.logins.current, facts.logins.previous) = (Some(current), login);
            found(&facts)
        };
        for refusal in [
            Refusal::NoLogin,
            Refusal::ConnectionLimit,
            Refusal::DatabaseLimit,
            Refusal::DatabaseClosed,
            Refusal::NoDatabase,
            Refusal::NoConnect,
        ] {
            let mut facts = Facts { current: Some(Held::Credentials), ..Facts::default() };
            facts.logins.current = Some(Login::Refused(refusal));
            assert_eq!((found(&facts), left(&facts)), (Some(Impact::LockedOut), Some(Impact::LockedOut)), "{refusal}");
        }
        assert_eq!(meant(Some(Found::SameUser), None), Some(Impact::LockedOut));
        assert_eq!(meant(Some(Found::Alternate), None), Some(Impact::Degraded));
        assert_eq!(meant(Some(Found::Alternate), Some(Login::Accepted)), Some(Impact::Degraded));
        assert_eq!(meant(Some(Found::Alternate), Some(Login::Rejected)), Some(Impact::LockedOut));
        assert_eq!(meant(Some(Found::Alternate), Some(current)), Some(Impact::LockedOut));
    }

    #[test]
    fn what_the_logins_mean() {
        let logins = [
            None,
            Some(Login::Accepted),
            Some(Login::Rejected),
            Some(Login::Refused(Refusal::NoLogin)),
            Some(Login::Unknown(Silence::TimedOut)),
        ];
        let mut table = vec!["AWSCURRENT, AWSPENDING, without a label => found".to_owned()];
        for current in logins.into_iter().filter(|login| *login != Some(Login::Accepted)) {
            for (pending, kept) in logins.into_iter().flat_map(|pending| logins.map(|kept| (pending, kept))) {
                let mut facts = Facts {
                    label: Some(PendingLabel::Waiting(None)),
                    current: Some(Held::Credentials),
                    pending: Some(Found::SameUser),
                    previous: Some(Found::Nothing),
                    ..Facts::default()
                };
                (facts.logins.current, facts.logins.pending, facts.logins.kept) = (current, pending, kept);
                (facts.kept.count, facts.kept.tried) = (Some(1), u8::from(kept.is_some()));
                let word = |login: Option<Login>| login.map_or("-", crate::rollback::recovery::login_word);
                let found = found(&facts).map_or("not looked at", Impact::name);
                table.push(format!("{}, {}, {} => {found}", word(current), word(pending), word(kept)));
            }
        }
        insta::assert_snapshot!(table.join("\n"));
    }
}
