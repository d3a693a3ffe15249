//! Whether a database allows a change, by what it says of itself and of the role.

use super::{
    facts::{RoleProblem, RoleVerdict},
    strategy,
};
use crate::ports::{Role, Surroundings, Unseen};

/// Where nothing was seen.
pub(crate) const fn unseen(unseen: Unseen) -> RoleVerdict {
    match unseen {
        Unseen::Denied(denial) => RoleVerdict::Unfit(RoleProblem::Unreadable(denial)),
        Unseen::Lost => RoleVerdict::Unknown,
    }
}

/// What is true of a role whose password has just opened the database: that is how it logs in, whatever it is a member of.
pub(crate) fn shown_by_password(surroundings: Surroundings) -> Surroundings {
    let proved = |role: Option<Role>| role.map(|role| Role { iam: false, ..role });
    Surroundings { user: proved(surroundings.user), model: proved(surroundings.model), ..surroundings }
}

/// For a single user, whose own session this is.
pub(crate) fn judge_single(surroundings: &Surroundings, has_admin: bool) -> RoleVerdict {
    match problem(surroundings, surroundings.user, surroundings.user) {
        Some(problem) => RoleVerdict::Unfit(problem),
        None if !surroundings.restricted => RoleVerdict::Fit,
        None if has_admin => RoleVerdict::NeedsAdmin,
        None => RoleVerdict::Unfit(RoleProblem::Restricted),
    }
}

/// For an alternate user, as the admin's session sees it. It need not exist yet; its model must.
pub(crate) fn judge_alternate(surroundings: &Surroundings) -> RoleVerdict {
    match problem(surroundings, surroundings.model, surroundings.user) {
        Some(problem) => RoleVerdict::Unfit(problem),
        None if surroundings.strangers => RoleVerdict::Unfit(RoleProblem::Stranger),
        None if surroundings.restricted => RoleVerdict::Unfit(RoleProblem::Restricted),
        None => RoleVerdict::Fit,
    }
}

/// For a role whose password the admin is to set although nobody has shown that he knows it. `named` is the role that
/// the tag `relatch:user` names: the value of the secret alone could name anybody's.
pub(crate) fn judge_reset(surroundings: &Surroundings, user: &str, named: Option<&str>) -> RoleVerdict {
    let takes_turns = |named| !surroundings.strangers && strategy::partner(named).is_some_and(|other| other == user);
    let is_named = named.is_some_and(|named| named == user || takes_turns(named));
    let privileged = surroundings.user.is_some_and(|user| user.privileged);
    match problem(surroundings, surroundings.user, surroundings.user) {
        Some(problem) => RoleVerdict::Unfit(problem),
        None if privileged => RoleVerdict::Unfit(RoleProblem::Privileged),
        None if !is_named => RoleVerdict::Unfit(RoleProblem::NotNamed),
        None if surroundings.restricted => RoleVerdict::Unfit(RoleProblem::Restricted),
        None => RoleVerdict::Fit,
    }
}

fn problem(surroundings: &Surroundings, model: Option<Role>, user: Option<Role>) -> Option<RoleProblem> {
    let Some(model) = model else { return Some(RoleProblem::Missing) };
    let full = |role: Role| role.sessions_left.is_some_and(|left| left < 1);
    [
        (surroundings.in_recovery, RoleProblem::ReadOnly),
        (!model.can_log_in, RoleProblem::NoLogin),
        (model.expired, RoleProblem::Expired),
        (model.iam || user.is_some_and(|user| user.iam), RoleProblem::Iam),
        (user.is_some_and(full), RoleProblem::ConnectionLimit),
        (user.is_some_and(|user| !user.alterable), RoleProblem::NotAlterable),
        (surroundings.refuses_verifiers, RoleProblem::RefusesVerifiers),
    ]
    .into_iter()
    .find_map(|(is_so, problem)| is_so.then_some(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: Role =
        Role { can_log_in: true, expired: false, sessions_left: None, iam: false, alterable: true, privileged: false };
    const CALM: Surroundings = Surroundings {
        in_recovery: false,
        restricted: false,
        refuses_verifiers: false,
        user: Some(FIT),
        model: Some(FIT),
        strangers: false,
    };

    #[test]
    fn a_healthy_role_is_fit() {
        assert_eq!(judge_single(&CALM, false), RoleVerdict::Fit);
        assert_eq!(judge_alternate(&Surroundings { user: None, ..CALM }), RoleVerdict::Fit);
    }

    #[test]
    fn every_obstacle_is_named() {
        for (role, problem) in [
            (Role { can_log_in: false, ..FIT }, RoleProblem::NoLogin),
            (Role { expired: true, ..FIT }, RoleProblem::Expired),
            (Role { sessions_left: Some(0), ..FIT }, RoleProblem::ConnectionLimit),
            (Role { iam: true, ..FIT }, RoleProblem::Iam),
            (Role { alterable: false, ..FIT }, RoleProblem::NotAlterable),
        ] {
            let both = Surroundings { user: Some(role), model: Some(role), ..CALM };
            assert_eq!(judge_single(&both, true), RoleVerdict::Unfit(problem));
            assert_eq!(judge_alternate(&both), RoleVerdict::Unfit(problem));
        }
        let nobody = Surroundings { user: None, model: None, ..CALM };
        assert_eq!(judge_single(&nobody, true), RoleVerdict::Unfit(RoleProblem::Missing));
        assert_eq!(judge_alternate(&nobody), RoleVerdict::Unfit(RoleProblem::Missing));
        let checked = Surroundings { refuses_verifiers: true, ..CALM };
        assert_eq!(judge_single(&checked, true), RoleVerdict::Unfit(RoleProblem::RefusesVerifiers));
        let standby = Surroundings { in_recovery: true, ..CALM };
        assert_eq!(judge_single(&standby, true), RoleVerdict::Unfit(RoleProblem::ReadOnly));
    }

    #[test]
    fn a_login_by_password_proves_that_a_role_is_not_iams() {
        let member = Role { iam: true, ..FIT };
        let seen = shown_by_password(Surroundings { user: Some(member), model: Some(member), ..CALM });
        assert_eq!(judge_single(&seen, false), RoleVerdict::Fit);
        assert_eq!(judge_alternate(&seen), RoleVerdict::Fit);
    }

    #[test]
    fn the_last_free_session_is_enough() {
        let role = Role { sessions_left: Some(1), ..FIT };
        assert_eq!(judge_single(&Surroundings { user: Some(role), ..CALM }, false), RoleVerdict::Fit);
    }

    #[test]
    fn a_role_that_only_the_values_writer_names_is_not_reset() {
        let strangers = Surroundings { strangers: true, ..CALM };
        for (seen, user, named, expected) in [
            (CALM, "app", Some("app"), RoleVerdict::Fit),
            (CALM, "app_clone", Some("app"), RoleVerdict::Fit),
            (CALM, "app", Some("app_clone"), RoleVerdict::Fit),
            (CALM, "app", None, RoleVerdict::Unfit(RoleProblem::NotNamed)),
            (CALM, "team_a", Some("app"), RoleVerdict::Unfit(RoleProblem::NotNamed)),
            (CALM, "app_clone_clone", Some("app"), RoleVerdict::Unfit(RoleProblem::NotNamed)),
            (CALM, "APP", Some("app"), RoleVerdict::Unfit(RoleProblem::NotNamed)),
            (strangers, "app", Some("app"), RoleVerdict::Fit),
            (strangers, "app_clone", Some("app"), RoleVerdict::Unfit(RoleProblem::NotNamed)),
        ] {
            assert_eq!(judge_reset(&seen, user, named), expected, "{user} {named:?}");
        }
    }

    #[test]
    fn a_role_that_only_bears_the_alternates_name_is_not_the_alternate() {
        let strangers = Surroundings { strangers: true, ..CALM };
        assert_eq!(judge_alternate(&strangers), RoleVerdict::Unfit(RoleProblem::Stranger));
        assert_eq!(judge_single(&strangers, true), RoleVerdict::Fit);
    }

    #[test]
    fn where_password_commands_are_restricted_the_admin_is_needed() {
        let restricted = Surroundings { restricted: true, ..CALM };
        assert_eq!(judge_single(&restricted, true), RoleVerdict::NeedsAdmin);
        assert_eq!(judge_single(&restricted, false), RoleVerdict::Unfit(RoleProblem::Restricted));
    }
}
