//! The two ways to rotate a user: change its password, or take turns with another user.

use super::facts::{Pair, Turn};
use crate::secret::{AdminSecrets, DatabaseCredentials, Field, USERNAME_LIMIT};

/// What AWS's alternating-users function appends; kept, so that Relatch can take over from it.
const ALTERNATE: &str = "_clone";

/// How a user is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// One user, whose password changes.
    SingleUser,
    /// Two users that take turns: the one in use is never touched.
    AlternatingUsers,
}

/// How the strategy is chosen (`RELATCH_STRATEGY`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StrategyChoice {
    /// Alternating users where the secret names an admin secret, as AWS's function for it demands; else single user.
    #[default]
    Auto,
    /// Always this one.
    Always(Strategy),
}

impl StrategyChoice {
    /// The strategy for a secret.
    pub fn of(self, current: &DatabaseCredentials) -> Strategy {
        match (self, &current.masterarn) {
            (StrategyChoice::Always(strategy), _) => strategy,
            (StrategyChoice::Auto, Some(_)) => Strategy::AlternatingUsers,
            (StrategyChoice::Auto, None) => Strategy::SingleUser,
        }
    }
}

/// The user whose password the next rotation sets; `None` if its name would be too long.
pub fn next_user(strategy: Strategy, current: &str) -> Option<String> {
    let next = match strategy {
        Strategy::SingleUser => current.to_owned(),
        Strategy::AlternatingUsers => match current.strip_suffix(ALTERNATE) {
            Some(base) => base.to_owned(),
            None => format!("{current}{ALTERNATE}"),
        },
    };
    (!next.is_empty() && next.len() <= USERNAME_LIMIT).then_some(next)
}

/// Whether the next rotation can name its user, and may use the admin secret that it needs.
pub fn turn(strategy: Strategy, current: &DatabaseCredentials, admins: &AdminSecrets) -> Turn {
    match (strategy, next_user(strategy, &current.username), &current.masterarn) {
        (_, None, _) if current.username == ALTERNATE => Turn::NoNameLeft,
        (_, None, _) => Turn::NameTooLong,
        (Strategy::SingleUser, Some(_), _) => Turn::Known,
        (Strategy::AlternatingUsers, Some(_), None) => Turn::NoAdminSecret,
        (Strategy::AlternatingUsers, Some(_), Some(arn)) if admins.allow(arn) => Turn::Known,
        (Strategy::AlternatingUsers, Some(_), Some(_)) => Turn::AdminNotAllowed,
    }
}

/// The other one of two users that take turns, whatever the strategy; `None` if it cannot be named.
pub fn partner(user: &str) -> Option<String> {
    next_user(Strategy::AlternatingUsers, user)
}

/// The user that an alternate is modelled on: the one of the two that was there first.
pub fn model(user: &str) -> &str {
    user.strip_suffix(ALTERNATE).unwrap_or(user)
}

/// How pending and current relate. Asked before any connection is made.
pub fn pair(strategy: Strategy, current: &DatabaseCredentials, pending: &DatabaseCredentials) -> Pair {
    if let Some(field) = pending.leads_elsewhere(current) {
        return Pair::Mismatch(field);
    }
    let same_user = pending.username == current.username;
    if same_user && pending.same_password(current) {
        return Pair::Same;
    }
    match strategy {
        Strategy::SingleUser if same_user => Pair::SingleUser,
        Strategy::AlternatingUsers if next_user(strategy, &current.username).as_ref() == Some(&pending.username) => {
            Pair::Alternating
        }
        Strategy::SingleUser | Strategy::AlternatingUsers => Pair::Mismatch(Field::Username),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use Strategy::{AlternatingUsers, SingleUser};
    use secrecy::ExposeSecret;

    #[test]
    fn users_take_turns() {
        assert_eq!(next_user(SingleUser, "app").as_deref(), Some("app"));
        assert_eq!(next_user(AlternatingUsers, "app").as_deref(), Some("app_clone"));
        assert_eq!(next_user(AlternatingUsers, "app_clone").as_deref(), Some("app"));
        assert_eq!(model("app_clone"), "app");
        assert_eq!(model("app"), "app");
    }

    #[test]
    fn a_name_is_measured_in_bytes() {
        assert_eq!(next_user(AlternatingUsers, &"x".repeat(57)).map(|name| name.len()), Some(63));
        assert_eq!(next_user(AlternatingUsers, &"x".repeat(58)), None);
        assert_eq!(next_user(AlternatingUsers, &"é".repeat(29)), None);
        assert_eq!(next_user(AlternatingUsers, "_clone"), None);
    }

    #[test]
    fn whose_turn_it_is_and_why_it_is_nobodys() {
        let admins: AdminSecrets = ["arn".to_owned()].into_iter().collect();
        let long = "x".repeat(58);
        for (user, named, expected) in [
            ("app", Some("arn"), Turn::Known),
            ("app_clone", Some("arn"), Turn::Known),
            ("app", Some("other"), Turn::AdminNotAllowed),
            ("app", Some("ARN"), Turn::AdminNotAllowed),
            ("app", None, Turn::NoAdminSecret),
            (long.as_str(), Some("arn"), Turn::NameTooLong),
            ("_clone", Some("arn"), Turn::NoNameLeft),
        ] {
            let admin = named.map_or("null".to_owned(), |arn| format!("\"{arn}\""));
            let text = credentials(user, "p").text().expose_secret().replace('}', &format!(",\"masterarn\":{admin}}}"));
            let current = DatabaseCredentials::parse(text.into()).unwrap();
            assert_eq!(turn(AlternatingUsers, &current, &admins), expected, "{user} {named:?}");
            assert_eq!(turn(SingleUser, &current, &admins), Turn::Known, "{user} {named:?}");
        }
    }

    #[test]
    fn a_pending_user_must_be_the_one_whose_turn_it_is() {
        let app = credentials("app", "one");
        for (strategy, user, password, expected) in [
            (SingleUser, "app", "two", Pair::SingleUser),
            (SingleUser, "app", "one", Pair::Same),
            (SingleUser, "app_clone", "two", Pair::Mismatch(Field::Username)),
            (SingleUser, "postgres", "two", Pair::Mismatch(Field::Username)),
            (AlternatingUsers, "app_clone", "two", Pair::Alternating),
            (AlternatingUsers, "app", "one", Pair::Same),
            (AlternatingUsers, "app", "two", Pair::Mismatch(Field::Username)),
            (AlternatingUsers, "postgres", "two", Pair::Mismatch(Field::Username)),
        ] {
            assert_eq!(pair(strategy, &app, &credentials(user, password)), expected, "{strategy:?} {user}");
        }
    }

    #[test]
    fn an_admin_secret_means_alternating_users_unless_the_settings_say_otherwise() {
        let alone = credentials("a", "p");
        let admin = alone.text().expose_secret().replace('}', r#","masterarn":"arn"}"#);
        let admin = DatabaseCredentials::parse(admin.into()).unwrap();
        assert_eq!(StrategyChoice::Auto.of(&alone), SingleUser);
        assert_eq!(StrategyChoice::Auto.of(&admin), AlternatingUsers);
        assert_eq!(StrategyChoice::Always(SingleUser).of(&admin), SingleUser);
    }

    fn credentials(user: &str, password: &str) -> DatabaseCredentials {
        let text = format!(r#"{{"engine":"postgres","host":"h","username":"{user}","password":"{password}"}}"#);
        DatabaseCredentials::parse(text.into()).unwrap()
    }
}
