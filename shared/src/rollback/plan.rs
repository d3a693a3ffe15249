//! What a repair should do next, and why. Pure: no clock, no randomness, nothing is called.
//!
//! First what there is to know, from what is least to what is most of an intrusion; then the ladder, one rung at a time.
//! Each rung is proved by a login with AWSCURRENT, whatever the rung itself said. What may hold the only password that
//! works is never let go before AWSCURRENT has been proved.

use super::{
    facts::{Age, Facts, FailureClass, Found, Holder, MasterVerdict, PendingLabel, Rung, Settled, Source},
    reason::Reason,
};
use crate::{
    ports::{Lock, Login, ServerState, Silence},
    rotation::facts::{Effect, Held, RoleProblem, RoleVerdict, SecretState, Time},
};

/// What is to be repaired, and who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// AWSCURRENT is to open the database, if it does not.
    Heal,
    /// The same, and a person asks for it: pauses do not hold, and AWSPENDING goes.
    Recover,
    /// A person wants the version before AWSCURRENT back.
    RollBack,
}

/// What to do next, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Not enough is known to decide: find this out.
    Look(Look),
    /// Do this one thing.
    Act(Action),
    /// AWSCURRENT opens the database.
    Done(Reason),
    /// Nothing can be done now; what is found later decides.
    Wait(Reason),
    /// Nothing can be done at all; a person has to look.
    Refuse(Reason),
}

/// Something to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Labels, tags and state of the secret.
    Labels,
    /// Whether it is paused, and how the pending rotation failed.
    Table,
    /// The value that a label's version holds.
    Value(Source),
    /// Every version that there still is: their age, and how many have lost their labels.
    Versions,
    /// The next version without a label: its value, and whether it opens the database.
    NextKept,
    /// The server, as RDS sees it.
    Server,
    /// Whether somebody's password opens the database. The session stays open.
    Login(Source),
    /// The exclusive right to act.
    Lock(Holder),
    /// The labels once more, under it.
    LabelsAgain,
    /// Whether AWSCURRENT opens the database, once more: under the lock, or after everything else was tried.
    CurrentAgain,
    /// Whether the database allows the change, as somebody's session sees it.
    Role(Source),
    /// How much of the time is left.
    Time,
    /// Whether what a rung has done makes the version that should be current open the database.
    Restored(Rung),
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set the password of AWSCURRENT (of AWSPREVIOUS, for [`Rung::ToPrevious`]) in somebody's session.
    SetPassword(Rung, Source),
    /// Have the admin user create AWSCURRENT's role, with its password.
    CreateRole,
    /// Have RDS set it.
    ResetMaster,
    /// Make somebody's version AWSCURRENT.
    Promote(Rung, Source),
    /// Take AWSPENDING off.
    Unstage,
}

/// What to do next, by what is known.
pub fn plan(intent: Intent, facts: &Facts) -> Plan {
    let next = match intent {
        Intent::Heal | Intent::Recover => heal(intent, facts),
        Intent::RollBack => roll_back(facts),
    };
    next.unwrap_or_else(|plan| plan)
}

/// `Err` is a plan too: the one that comes before anything else can be decided.
type Next<T = Plan> = Result<T, Plan>;

fn heal(intent: Intent, f: &Facts) -> Next {
    let label = eligible(f)?;
    if intent != Intent::Recover && f.paused.ok_or(Plan::Look(Look::Table))? {
        return Ok(Plan::Wait(Reason::Paused));
    }
    current(f)?;
    server(f)?;
    match login(f, Source::Current)? {
        Login::Accepted | Login::Unfit(_) => sound(intent, f, label),
        Login::Refused(refusal) => Ok(Plan::Refuse(Reason::LoginRefused(refusal))),
        Login::Unknown(silence) => Ok(silent(silence)),
        Login::Rejected => shut(intent, f, label),
    }
}

/// AWSCURRENT opens the database. What is left is AWSPENDING, once nobody will go on with it.
fn sound(intent: Intent, f: &Facts, label: PendingLabel) -> Next {
    let done = Ok(Plan::Done(if climbed(f) { Reason::Recovered } else { Reason::Sound }));
    if label.is_idle() {
        return done;
    }
    let age = age(f, label)?;
    let useless = f.failure == Some(FailureClass::PendingUseless);
    if intent != Intent::Recover && age != Age::Stuck && !useless {
        // The last statement of a rotation that failed (or that died in a later attempt) may still be carried out, by a
        // session without a client. Until then that session holds the lock.
        if f.failure.is_some() && !climbed(f) {
            still_opens(f)?;
        }
        return done;
    }
    match f.lock {
        // The lock of the rung under which AWSCURRENT was proved is still held.
        Some((Holder::Session(source), lock)) if lock.is_ours() && source != Source::Current => {}
        // It went with its session. AWSPENDING can wait.
        Some((Holder::Session(source), Lock::Lost)) if source != Source::Current => return done,
        None | Some(_) => still_opens(f)?,
    }
    match f.unstaged.ok_or(Plan::Act(Action::Unstage))? {
        Effect::Done => done,
        Effect::Refused(_) | Effect::Unsure => Ok(Plan::Wait(Reason::LabelsMoved)),
    }
}

/// AWSCURRENT opens the database under the lock too. What was proved before may have changed meanwhile: a rotation may
/// have set its own password.
fn still_opens(f: &Facts) -> Next<()> {
    exclusive(f, Holder::Session(Source::Current))?;
    match f.again.ok_or(Plan::Look(Look::CurrentAgain))? {
        Login::Accepted | Login::Unfit(_) => Ok(()),
        Login::Rejected => Err(Plan::Wait(Reason::LabelsMoved)),
        Login::Refused(refusal) => Err(Plan::Refuse(Reason::LoginRefused(refusal))),
        Login::Unknown(silence) => Err(silent(silence)),
    }
}

/// AWSCURRENT does not open the database. What does?
fn shut(intent: Intent, f: &Facts, label: PendingLabel) -> Next {
    if let Some(source) = opener(f, label, true)? {
        // Between setSecret and finishSecret this is how it has to be.
        let under_way = source == Source::Pending && intent != Intent::Recover && f.failure.is_none();
        if under_way && age(f, label)? == Age::Fresh {
            return Ok(Plan::Wait(Reason::RotationInFlight));
        }
        set_password(f, rung_through(source), source).or_else(|plan| healed(plan, intent, f, label))?;
    }
    through_admin(f).or_else(|plan| healed(plan, intent, f, label))?;
    through_rds(f).or_else(|plan| healed(plan, intent, f, label))?;
    if let Some(source) = opener(f, label, false)? {
        // What opened the database before a password was set may open it no longer: begin again.
        if set_something(f) {
            return Ok(Plan::Wait(Reason::LabelsMoved));
        }
        promote(f, Rung::Forward, source).or_else(|plan| healed(plan, intent, f, label))?;
    }
    // The logins were tried one after the other, and meanwhile somebody else may have healed it.
    match f.again.ok_or(Plan::Look(Look::CurrentAgain))? {
        Login::Rejected => Ok(Plan::Refuse(Reason::Exhausted)),
        Login::Accepted | Login::Unfit(_) => Ok(Plan::Wait(Reason::LabelsMoved)),
        Login::Refused(refusal) => Ok(Plan::Refuse(Reason::LoginRefused(refusal))),
        Login::Unknown(silence) => Ok(silent(silence)),
    }
}

/// A rung that succeeded is told apart from one that is under way.
fn healed(plan: Plan, intent: Intent, f: &Facts, label: PendingLabel) -> Next<()> {
    match plan {
        Plan::Done(_) if f.climb(Rung::Forward).effect.is_some() => {
            Err(moved_away(f, Reason::WentForward).unwrap_or_else(|plan| plan))
        }
        Plan::Done(_) => Err(sound(intent, f, label).unwrap_or_else(|plan| plan)),
        Plan::Look(_) | Plan::Act(_) | Plan::Wait(_) | Plan::Refuse(_) => Err(plan),
    }
}

/// The first version that opens the database: of AWSCURRENT's user, which can set its own password, or of any.
fn opener(f: &Facts, label: PendingLabel, same_user: bool) -> Next<Option<Source>> {
    let usable = |found: Found| match found {
        Found::SameUser => true,
        Found::Alternate => !same_user,
        Found::Nothing | Found::Unusable(_) | Found::Elsewhere(_) => false,
    };
    let labelled = [(Source::Pending, f.pending), (Source::Previous, f.previous)];
    for (source, found) in labelled {
        if source == Source::Pending && label.is_idle() {
            continue;
        }
        if usable(found.ok_or(Plan::Look(Look::Value(source)))?) && opens(login(f, source)?)? {
            return Ok(Some(source));
        }
    }
    let count = f.kept.count.ok_or(Plan::Look(Look::Versions))?;
    let accepted = matches!(f.logins.kept, Some(Login::Accepted | Login::Unfit(_)));
    if !accepted && f.kept.tried < count {
        return Err(Plan::Look(Look::NextKept));
    }
    let opened = f.logins.kept.map_or(Ok(false), opens)?;
    Ok((opened && f.kept.found.is_some_and(usable)).then_some(Source::Kept))
}

/// Whether a password opens the database. While that is not known of one, no rung below it is climbed.
fn opens(login: Login) -> Next<bool> {
    match login {
        Login::Accepted | Login::Unfit(_) => Ok(true),
        Login::Rejected => Ok(false),
        Login::Refused(refusal) => Err(Plan::Refuse(Reason::LoginRefused(refusal))),
        Login::Unknown(silence) => Err(silent(silence)),
    }
}

const fn rung_through(source: Source) -> Rung {
    match source {
        Source::Pending => Rung::ThroughPending,
        Source::Previous => Rung::ThroughPrevious,
        Source::Kept => Rung::ThroughKept,
        Source::Admin => Rung::ThroughAdmin,
        Source::Current => Rung::ToPrevious,
    }
}

/// A rung: `Ok` when it has failed, so that the next may be tried; `Err(Done)` when it has succeeded.
fn set_password(f: &Facts, rung: Rung, source: Source) -> Next<()> {
    if f.climb(rung).effect.is_none() {
        // Only AWSCURRENT's role is ever created.
        let is_other = rung != Rung::ThroughAdmin && f.role(source) == Some(RoleVerdict::Absent);
        if is_other || !may_change(f, source)? {
            return Ok(());
        }
        exclusive(f, Holder::Session(source))?;
        enough_time(f)?;
        let is_absent = f.role(source) == Some(RoleVerdict::Absent);
        return Err(Plan::Act(if is_absent { Action::CreateRole } else { Action::SetPassword(rung, source) }));
    }
    proved(f, rung)
}

fn through_admin(f: &Facts) -> Next<()> {
    match f.admin.ok_or(Plan::Look(Look::Value(Source::Admin)))? {
        Held::Credentials => {}
        Held::Nothing | Held::ThisToken | Held::Unusable(_) | Held::Elsewhere(_) | Held::NotAllowed => return Ok(()),
    }
    match login(f, Source::Admin)? {
        Login::Accepted | Login::Unfit(_) => set_password(f, Rung::ThroughAdmin, Source::Admin),
        Login::Rejected | Login::Refused(_) => Ok(()),
        Login::Unknown(silence) => Err(silent(silence)),
    }
}

fn through_rds(f: &Facts) -> Next<()> {
    match f.master.ok_or(Plan::Look(Look::Server))? {
        MasterVerdict::Resettable => {}
        MasterVerdict::NotMaster | MasterVerdict::NotPinned | MasterVerdict::UnfitPassword => return Ok(()),
    }
    if f.climb(Rung::ThroughRds).effect.is_none() {
        exclusive(f, Holder::Lease)?;
        enough_time(f)?;
        return Err(Plan::Act(Action::ResetMaster));
    }
    proved(f, Rung::ThroughRds)?;
    // What RDS has taken it does, though later than this invocation could wait.
    match f.climb(Rung::ThroughRds).effect {
        Some(Effect::Done) => Err(Plan::Wait(Reason::ResetUnderWay)),
        Some(Effect::Refused(_) | Effect::Unsure) | None => Ok(()),
    }
}

fn promote(f: &Facts, rung: Rung, source: Source) -> Next<()> {
    if f.climb(rung).effect.is_none() {
        still_proved(f, source)?;
        return Err(Plan::Act(Action::Promote(rung, source)));
    }
    promoted(f, rung)
}

/// A label that may or may not have moved is somebody's who looks anew.
fn promoted(f: &Facts, rung: Rung) -> Next<()> {
    match f.climb(rung).effect {
        Some(Effect::Unsure) => Err(Plan::Wait(Reason::LabelsMoved)),
        None | Some(Effect::Done | Effect::Refused(_)) => proved(f, rung),
    }
}

/// What a rung has come to.
fn proved(f: &Facts, rung: Rung) -> Next<()> {
    let climb = f.climb(rung);
    if matches!(climb.effect, Some(Effect::Refused(_))) {
        return Ok(());
    }
    match climb.restored.ok_or(Plan::Look(Look::Restored(rung)))? {
        Login::Accepted | Login::Unfit(_) => Err(Plan::Done(Reason::Recovered)),
        Login::Refused(refusal) => Err(Plan::Refuse(Reason::LoginRefused(refusal))),
        Login::Rejected => Ok(()),
        Login::Unknown(silence) => Err(Plan::Wait(Reason::Unproved(silence))),
    }
}

/// The version before AWSCURRENT is to be current again. Whatever happens on the way, one of the two opens the database,
/// and both have labels.
fn roll_back(f: &Facts) -> Next {
    let label = eligible(f)?;
    current_or_broken(f)?;
    match f.previous.ok_or(Plan::Look(Look::Value(Source::Previous)))? {
        Found::SameUser | Found::Alternate => {}
        Found::Nothing => return Ok(Plan::Refuse(Reason::NoPrevious)),
        Found::Unusable(problem) => return Ok(Plan::Refuse(Reason::PreviousUnusable(problem))),
        Found::Elsewhere(field) => return Ok(Plan::Refuse(Reason::PreviousElsewhere(field))),
    }
    if !label.is_idle() && !f.pending_is_previous && f.climb(Rung::Backward).effect.is_none() {
        return Ok(Plan::Refuse(Reason::PendingInTheWay));
    }
    server(f)?;
    match login(f, Source::Previous)? {
        Login::Accepted | Login::Unfit(_) => return backward(f, Source::Previous),
        Login::Rejected => {}
        Login::Refused(refusal) => return Ok(Plan::Refuse(Reason::LoginRefused(refusal))),
        Login::Unknown(silence) => return Ok(silent(silence)),
    }
    if f.previous == Some(Found::SameUser) && f.current == Some(Held::Credentials) && opens(login(f, Source::Current)?)?
    {
        to_previous(f, Source::Current)?;
    }
    match f.admin.ok_or(Plan::Look(Look::Value(Source::Admin)))? {
        Held::Credentials if opens(login(f, Source::Admin)?)? => to_previous(f, Source::Admin)?,
        Held::Credentials
        | Held::Nothing
        | Held::ThisToken
        | Held::Unusable(_)
        | Held::Elsewhere(_)
        | Held::NotAllowed => {}
    }
    Ok(Plan::Refuse(Reason::NothingToGoBackThrough))
}

/// `Ok` if this way does not lead there, and another may be tried.
fn to_previous(f: &Facts, source: Source) -> Next<()> {
    match set_password(f, Rung::ToPrevious, source) {
        Err(Plan::Done(_)) => {
            // Whoever has set the password holds the lock.
            let holder = match f.lock {
                Some((Holder::Session(holder), _)) => holder,
                Some((Holder::Lease, _)) | None => source,
            };
            Err(backward(f, holder).unwrap_or_else(|plan| plan))
        }
        other => other,
    }
}

/// AWSPREVIOUS opens the database: make it current.
fn backward(f: &Facts, holder: Source) -> Next {
    if f.climb(Rung::Backward).effect.is_none() {
        still_proved(f, holder)?;
        return Ok(Plan::Act(Action::Promote(Rung::Backward, Source::Previous)));
    }
    match promoted(f, Rung::Backward) {
        Err(Plan::Done(_)) => {}
        Err(plan) => return Ok(plan),
        Ok(()) => return Ok(Plan::Wait(Reason::LabelsMoved)),
    }
    moved_away(f, Reason::WentBack)
}

/// Another version is AWSCURRENT now, and proved. Secrets Manager had left AWSPENDING on the one that was: there it would
/// look like a rotation in flight.
fn moved_away(f: &Facts, reason: Reason) -> Next {
    if f.label != Some(PendingLabel::OnCurrent) {
        return Ok(Plan::Done(reason));
    }
    match f.unstaged.ok_or(Plan::Act(Action::Unstage))? {
        Effect::Done => Ok(Plan::Done(reason)),
        Effect::Refused(_) | Effect::Unsure => Ok(Plan::Wait(Reason::LabelsMoved)),
    }
}

fn climbed(f: &Facts) -> bool {
    Rung::ALL.into_iter().any(|rung| f.climb(rung).effect.is_some())
}

/// Whether a password was set, or may have been.
fn set_something(f: &Facts) -> bool {
    let rungs = [Rung::ThroughPending, Rung::ThroughPrevious, Rung::ThroughKept, Rung::ThroughAdmin, Rung::ThroughRds];
    rungs.into_iter().any(|rung| matches!(f.climb(rung).effect, Some(Effect::Done | Effect::Unsure)))
}

/// Whether this secret is one to touch, and where AWSPENDING is.
fn eligible(f: &Facts) -> Next<PendingLabel> {
    match f.secret.ok_or(Plan::Look(Look::Labels))? {
        SecretState::Ours | SecretState::RotationOff => f.label.ok_or(Plan::Look(Look::Labels)),
        SecretState::Managed => Err(Plan::Refuse(Reason::ManagedByService)),
        SecretState::Deleted => Err(Plan::Refuse(Reason::ScheduledForDeletion)),
        SecretState::OtherKind => Err(Plan::Refuse(Reason::OtherKind)),
        SecretState::OtherServer => Err(Plan::Refuse(Reason::OtherServer)),
    }
}

fn current(f: &Facts) -> Next<()> {
    match f.current.ok_or(Plan::Look(Look::Value(Source::Current)))? {
        _ if f.moving => Err(Plan::Wait(Reason::LabelsMoved)),
        Held::Credentials | Held::ThisToken => Ok(()),
        Held::Nothing | Held::Elsewhere(_) | Held::NotAllowed => Err(Plan::Refuse(Reason::NoCurrent)),
        Held::Unusable(problem) => Err(Plan::Refuse(Reason::CurrentUnusable(problem))),
    }
}

/// A value that cannot be used is a reason to go back, not one against it.
fn current_or_broken(f: &Facts) -> Next<()> {
    match f.current.ok_or(Plan::Look(Look::Value(Source::Current)))? {
        _ if f.moving => Err(Plan::Wait(Reason::LabelsMoved)),
        Held::Credentials | Held::ThisToken | Held::Unusable(_) => Ok(()),
        Held::Nothing | Held::Elsewhere(_) | Held::NotAllowed => Err(Plan::Refuse(Reason::NoCurrent)),
    }
}

fn age(f: &Facts, label: PendingLabel) -> Next<Age> {
    match label {
        PendingLabel::Nowhere | PendingLabel::OnCurrent => Ok(Age::Waiting),
        PendingLabel::Waiting(age) => age.ok_or(if f.kept.count.is_none() {
            Plan::Look(Look::Versions)
        } else {
            // The version list does not show it: the labels have moved.
            Plan::Wait(Reason::LabelsMoved)
        }),
    }
}

fn server(f: &Facts) -> Next<()> {
    match f.server.ok_or(Plan::Look(Look::Server))? {
        ServerState::Unlisted | ServerState::Available => eligible(f).map(drop),
        ServerState::NotAvailable => Err(Plan::Wait(Reason::ServerNotAvailable)),
        ServerState::Stopped => Err(Plan::Wait(Reason::ServerStopped)),
        ServerState::Reader => Err(Plan::Refuse(Reason::ReaderEndpoint)),
        ServerState::Missing => Err(Plan::Refuse(Reason::ServerMissing)),
        ServerState::ProxyEndpoint => Err(Plan::Refuse(Reason::ProxyEndpoint)),
    }
}

fn login(f: &Facts, source: Source) -> Next<Login> {
    let login = match source {
        Source::Current => f.logins.current,
        Source::Pending => f.logins.pending,
        Source::Previous => f.logins.previous,
        Source::Kept => f.logins.kept,
        Source::Admin => f.logins.admin,
    };
    login.ok_or(Plan::Look(Look::Login(source)))
}

/// For a login that told nothing.
const fn silent(silence: Silence) -> Plan {
    if silence.passes() {
        Plan::Wait(Reason::DatabaseSilent(silence))
    } else {
        Plan::Refuse(Reason::ServerUnfit(silence))
    }
}

/// Whether somebody's session may set the password. Where a new password would help nobody, no rung can.
fn may_change(f: &Facts, source: Source) -> Next<bool> {
    match f.role(source).ok_or(Plan::Look(Look::Role(source)))? {
        RoleVerdict::Fit | RoleVerdict::Absent => Ok(true),
        RoleVerdict::NeedsAdmin => Ok(false),
        RoleVerdict::Unknown => Err(Plan::Wait(Reason::SessionLost)),
        RoleVerdict::Unfit(problem) => match problem {
            // A session refused for its number only has been let in by its password.
            RoleProblem::ConnectionLimit => Ok(true),
            RoleProblem::NotAlterable
            | RoleProblem::Restricted
            | RoleProblem::Privileged
            | RoleProblem::RefusesVerifiers
            | RoleProblem::NotNamed
            | RoleProblem::Stranger
            | RoleProblem::Unequal(_)
            | RoleProblem::Unreadable(_) => Ok(false),
            RoleProblem::Missing
            | RoleProblem::NoLogin
            | RoleProblem::Expired
            | RoleProblem::Iam
            | RoleProblem::ReadOnly => Err(Plan::Refuse(Reason::Role(problem))),
        },
    }
}

/// The lock (or the lease), and under it the labels where they were: nothing of what was seen has been overtaken.
fn exclusive(f: &Facts, holder: Holder) -> Next<()> {
    match f.lock.filter(|(whose, _)| *whose == holder).ok_or(Plan::Look(Look::Lock(holder)))?.1 {
        // Whoever sets a password proves it afterwards; of whoever moves a label see `still_proved`.
        Lock::Held | Lock::Awaited => {}
        Lock::Busy => return Err(Plan::Wait(Reason::LockBusy)),
        // Something was done in it: what is true then is found by beginning again.
        Lock::Lost if climbed(f) => return Err(Plan::Wait(Reason::LabelsMoved)),
        Lock::Lost => return Err(Plan::Wait(Reason::SessionLost)),
    }
    match f.settled.filter(|(whose, _)| *whose == holder).ok_or(Plan::Look(Look::LabelsAgain))?.1 {
        Settled::Same => Ok(()),
        Settled::Moved => Err(Plan::Wait(Reason::LabelsMoved)),
    }
}

/// Under the lock, and by a login that nobody else's turn has come after: one that is older proves nothing any more.
fn still_proved(f: &Facts, holder: Source) -> Next<()> {
    exclusive(f, Holder::Session(holder))?;
    let proved_under_it = f.climb(Rung::ToPrevious).restored.is_some();
    match f.lock {
        Some((_, Lock::Awaited)) if !proved_under_it => Err(Plan::Wait(Reason::LabelsMoved)),
        Some(_) | None => Ok(()),
    }
}

fn enough_time(f: &Facts) -> Next<()> {
    match f.time.ok_or(Plan::Look(Look::Time))? {
        Time::Enough => Ok(()),
        Time::Short => Err(Plan::Wait(Reason::TooLittleTime)),
    }
}

#[cfg(test)]
mod tests {
    //! Every situation that a repair can come to, from the first look to every end. There are too many to print: the
    //! properties hold in all of them, and the trees below are cuts.

    #![allow(clippy::print_stdout, clippy::wildcard_enum_match_arm)]

    use super::*;
    use crate::{
        ports::{Refusal, SqlState},
        rollback::MOST_MOVES,
        secret::{Field, Problem},
    };
    use std::collections::HashMap;

    #[test]
    fn where_aws_current_opens() {
        let waiting = Facts { label: Some(PendingLabel::Waiting(None)), ..begun(Login::Accepted) };
        insta::assert_snapshot!(tree(Intent::Heal, &waiting));
    }

    #[test]
    fn where_aws_pending_opens() {
        let mut facts = Facts { label: Some(PendingLabel::Waiting(None)), ..begun(Login::Rejected) };
        facts.pending = Some(Found::SameUser);
        facts.logins.pending = Some(Login::Accepted);
        facts.admin = Some(Held::Nothing);
        facts.master = Some(MasterVerdict::NotMaster);
        facts.failure = Some(FailureClass::Unrecorded);
        insta::assert_snapshot!(tree(Intent::Heal, &facts));
    }

    #[test]
    fn where_no_version_opens() {
        let mut facts = begun(Login::Rejected);
        (facts.previous, facts.logins.previous) = (Some(Found::SameUser), Some(Login::Rejected));
        facts.kept.count = Some(0);
        facts.master = None;
        insta::assert_snapshot!(tree(Intent::Heal, &facts));
    }

    #[test]
    fn where_aws_previous_is_to_be_current_again() {
        let mut facts = begun(Login::Accepted);
        (facts.previous, facts.logins.previous) = (Some(Found::SameUser), Some(Login::Rejected));
        facts.label = Some(PendingLabel::OnCurrent);
        facts.admin = Some(Held::Nothing);
        insta::assert_snapshot!(tree(Intent::RollBack, &facts));
    }

    /// One walk for all of them.
    #[test]
    fn in_every_situation() {
        let situations = everywhere(&mut |intent, facts, plan| {
            for (property, holds) in PROPERTIES {
                assert!(holds(intent, facts, plan), "{property}: {intent:?} {plan:?} {facts:?}");
            }
        });
        println!("{situations} situations");
        assert!(situations > 50_000, "{situations}");
    }

    type Property = fn(Intent, &Facts, Plan) -> bool;

    const PROPERTIES: [(&str, Property); 10] = [
        (
            "a version goes forward only while its login still tells what opens the database",
            |_, facts, plan| match plan {
                Plan::Act(Action::Promote(Rung::Forward, _)) => !set_something(facts),
                _ => true,
            },
        ),
        ("nothing is done without the lock, and the labels read under it", |_, facts, plan| {
            let Plan::Act(action) = plan else { return true };
            let Some((holder, lock @ (Lock::Held | Lock::Awaited))) = facts.lock else { return false };
            let time = facts.time == Some(Time::Enough);
            facts.settled == Some((holder, Settled::Same))
                && match action {
                    Action::SetPassword(_, source) => holder == Holder::Session(source) && time,
                    Action::CreateRole => holder == Holder::Session(Source::Admin) && time,
                    Action::ResetMaster => holder == Holder::Lease && time,
                    // Not by a login from before somebody else's turn.
                    Action::Promote(..) => {
                        let proved = lock == Lock::Held || accepted(facts.climb(Rung::ToPrevious).restored);
                        matches!(holder, Holder::Session(_)) && proved
                    }
                    Action::Unstage => matches!(holder, Holder::Session(_)),
                }
        }),
        ("a password is set only where the role allows it", |_, facts, plan| match plan {
            Plan::Act(Action::SetPassword(_, source)) => facts.role(source) == Some(RoleVerdict::Fit),
            Plan::Act(Action::CreateRole) => facts.role(Source::Admin) == Some(RoleVerdict::Absent),
            _ => true,
        }),
        ("a password is set only where AWSCURRENT was rejected, or is to be left", |intent, facts, plan| match plan {
            Plan::Act(Action::CreateRole) => facts.logins.current == Some(Login::Rejected),
            Plan::Act(Action::SetPassword(..) | Action::ResetMaster) => {
                intent == Intent::RollBack || facts.logins.current == Some(Login::Rejected)
            }
            _ => true,
        }),
        ("AWSPENDING goes only after what is AWSCURRENT then was proved under the lock", |_, facts, plan| {
            let under_this_lock = match facts.lock {
                Some((Holder::Session(Source::Current), _)) => accepted(facts.again),
                _ => Rung::ALL.into_iter().any(|rung| accepted(facts.climb(rung).restored)),
            };
            let backward = accepted(facts.climb(Rung::Backward).restored);
            plan != Plan::Act(Action::Unstage) || under_this_lock || backward
        }),
        ("what leads elsewhere or cannot be used is never tried", |_, facts, plan| {
            let usable = |found: Option<Found>| matches!(found, Some(Found::SameUser | Found::Alternate));
            match plan {
                Plan::Look(Look::Login(Source::Pending)) => usable(facts.pending),
                Plan::Look(Look::Login(Source::Previous)) => usable(facts.previous),
                Plan::Look(Look::Login(Source::Admin)) => facts.admin == Some(Held::Credentials),
                _ => true,
            }
        }),
        ("no connection is made before the guards", |_, facts, plan| match plan {
            Plan::Look(Look::Login(_) | Look::NextKept | Look::CurrentAgain | Look::Restored(_)) => {
                matches!(facts.secret, Some(SecretState::Ours | SecretState::RotationOff))
                    && facts.current.is_some()
                    && !facts.moving
                    && matches!(facts.server, Some(ServerState::Available | ServerState::Unlisted))
            }
            _ => true,
        }),
        ("it is exhausted only when no version is left to try, and none was silent", |_, facts, plan| {
            let logins = [facts.logins.current, facts.logins.pending, facts.logins.previous, facts.logins.kept];
            let silent = logins.into_iter().any(|login| matches!(login, Some(Login::Unknown(_))));
            let tried = facts.every_version_was_tried() || logins.into_iter().any(accepted);
            let others = facts.admin.is_some() && facts.master.is_some();
            plan != Plan::Refuse(Reason::Exhausted) || (tried && others && !silent && facts.unstaged.is_none())
        }),
        ("what is paused is left alone unless a person asks", |intent, facts, plan| {
            intent != Intent::Heal || !matches!(plan, Plan::Act(_)) || facts.paused == Some(false)
        }),
        ("AWSPREVIOUS becomes AWSCURRENT only after it was proved", |_, facts, plan| match plan {
            Plan::Act(Action::Promote(Rung::Backward, _)) => {
                accepted(facts.logins.previous) || accepted(facts.climb(Rung::ToPrevious).restored)
            }
            _ => true,
        }),
    ];

    const fn accepted(login: Option<Login>) -> bool {
        matches!(login, Some(Login::Accepted | Login::Unfit(_)))
    }

    /// What is known once AWSCURRENT was tried, where nothing is unusual.
    fn begun(login: Login) -> Facts {
        let mut facts = Facts {
            secret: Some(SecretState::Ours),
            label: Some(PendingLabel::Nowhere),
            paused: Some(false),
            current: Some(Held::Credentials),
            server: Some(ServerState::Available),
            master: Some(MasterVerdict::NotMaster),
            ..Facts::default()
        };
        facts.logins.current = Some(login);
        facts
    }

    /// Visits every situation, and says how many there are that are no end.
    fn everywhere(visit: &mut impl FnMut(Intent, &Facts, Plan)) -> usize {
        [Intent::Heal, Intent::Recover, Intent::RollBack]
            .into_iter()
            .map(|intent| {
                let mut known = HashMap::new();
                let moves = longest(intent, Facts::default(), &mut known, visit);
                assert!(moves < MOST_MOVES, "{intent:?}: {moves}");
                known.len()
            })
            .sum()
    }

    /// The longest walk from here; `None` stands for one that is being walked, and so must not be met again.
    fn longest(
        intent: Intent,
        facts: Facts,
        known: &mut HashMap<Facts, Option<usize>>,
        visit: &mut impl FnMut(Intent, &Facts, Plan),
    ) -> usize {
        let next = plan(intent, &facts);
        if let Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) = next {
            visit(intent, &facts, next);
            return 0;
        }
        match known.get(&facts) {
            Some(Some(moves)) => return *moves,
            Some(None) => panic!("a walk without an end: {intent:?} {facts:?}"),
            None => {}
        }
        known.insert(facts, None);
        visit(intent, &facts, next);
        let answers = answers(next, &facts);
        let moves = answers.into_iter().map(|(_, facts)| 1 + longest(intent, facts, known, visit)).max().unwrap_or(0);
        known.insert(facts, Some(moves));
        moves
    }

    /// The tree as text. Answers with the same consequences stand together.
    fn tree(intent: Intent, facts: &Facts) -> String {
        branch(intent, facts).join("\n")
    }

    fn branch(intent: Intent, facts: &Facts) -> Vec<String> {
        let next = plan(intent, facts);
        let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (answer, facts) in answers(next, facts) {
            let consequence = branch(intent, &facts);
            match groups.iter_mut().find(|(_, known)| *known == consequence) {
                Some((answers, _)) => answers.push(answer),
                None => groups.push((vec![answer], consequence)),
            }
        }
        let mut lines = vec![format!("{next:?}")];
        for (answers, consequence) in groups {
            let (first, rest) = consequence.split_first().unwrap_or_else(|| unreachable!());
            lines.push(format!("  {} => {first}", answers.join(" | ")));
            lines.extend(rest.iter().map(|line| format!("  {line}")));
        }
        lines
    }

    /// Every answer that a look or an action can have; of those that no plan tells apart, one.
    fn answers(plan: Plan, facts: &Facts) -> Vec<(String, Facts)> {
        fn each<T: Copy + std::fmt::Debug>(
            all: &[T],
            facts: &Facts,
            set: impl Fn(&mut Facts, T),
        ) -> Vec<(String, Facts)> {
            let answer = |value: &T| {
                let mut facts = *facts;
                set(&mut facts, *value);
                (format!("{value:?}"), facts)
            };
            all.iter().map(answer).collect()
        }
        let logins =
            [Login::Accepted, Login::Rejected, Login::Refused(Refusal::NoLogin), Login::Unknown(Silence::TimedOut)];
        // Nothing, something unusable, and something that leads elsewhere are told apart only in the last word.
        let found = [Found::SameUser, Found::Alternate, Found::Elsewhere(Field::Host)];
        let effects = [Effect::Done, Effect::Refused(SqlState(*b"42501")), Effect::Unsure];
        match plan {
            Plan::Look(Look::Labels) => {
                let labels = [PendingLabel::Nowhere, PendingLabel::OnCurrent, PendingLabel::Waiting(None)];
                let usual = labels.map(|label| (SecretState::Ours, label));
                let unusual =
                    [SecretState::Managed, SecretState::Deleted, SecretState::OtherKind, SecretState::OtherServer];
                let all: Vec<_> = usual.into_iter().chain(unusual.map(|state| (state, labels[0]))).collect();
                each(&all, facts, |facts, (state, label)| (facts.secret, facts.label) = (Some(state), Some(label)))
            }
            Plan::Look(Look::Table) => {
                let waiting = facts.label.is_some_and(|label| !label.is_idle());
                let failures = [Some(FailureClass::Unrecorded), Some(FailureClass::PendingUseless)];
                let failures: Vec<_> = [None].into_iter().chain(failures.into_iter().filter(|_| waiting)).collect();
                let all: Vec<_> = failures.into_iter().map(|failure| (false, failure)).chain([(true, None)]).collect();
                each(&all, facts, |facts, (paused, failure)| (facts.paused, facts.failure) = (Some(paused), failure))
            }
            Plan::Look(Look::Value(Source::Current)) => {
                let held = [Held::Credentials, Held::Nothing, Held::Unusable(Problem::NotJson)];
                let all: Vec<_> =
                    held.map(|held| (held, false)).into_iter().chain([(Held::Credentials, true)]).collect();
                each(&all, facts, |facts, (held, moving)| (facts.current, facts.moving) = (Some(held), moving))
            }
            Plan::Look(Look::Value(Source::Pending)) => each(&found, facts, |facts, found| facts.pending = Some(found)),
            Plan::Look(Look::Value(Source::Previous)) => {
                each(&found, facts, |facts, found| facts.previous = Some(found))
            }
            Plan::Look(Look::Value(Source::Admin)) => {
                let held = [Held::Credentials, Held::Elsewhere(Field::Host)];
                each(&held, facts, |facts, held| facts.admin = Some(held))
            }
            Plan::Look(Look::Value(Source::Kept)) => unreachable!("has no label"),
            Plan::Look(Look::Versions) => {
                let ages = [Some(Age::Fresh), Some(Age::Waiting), Some(Age::Stuck), None];
                let ages = if matches!(facts.label, Some(PendingLabel::Waiting(_))) { &ages[..] } else { &ages[3..] };
                let all: Vec<_> = ages.iter().flat_map(|age| [0, 1].map(|count| (*age, count))).collect();
                each(&all, facts, |facts, (age, count)| {
                    if let Some(PendingLabel::Waiting(known)) = &mut facts.label {
                        *known = age;
                    }
                    facts.kept.count = Some(count);
                })
            }
            Plan::Look(Look::NextKept) => {
                let unusable = (Found::Nothing, None);
                let usable = [Found::SameUser, Found::Alternate].into_iter();
                let usable = usable.flat_map(|found| logins.map(|login| (found, Some(login))));
                each(&[unusable].into_iter().chain(usable).collect::<Vec<_>>(), facts, |facts, (found, login)| {
                    facts.kept.tried += 1;
                    let Some(login) = login else { return };
                    facts.kept.found = Some(found);
                    facts.logins.kept = Some(match (facts.logins.kept, login) {
                        (Some(silent @ Login::Unknown(_)), Login::Rejected) => silent,
                        (_, login) => login,
                    });
                })
            }
            Plan::Look(Look::Server) => {
                let usual = [MasterVerdict::NotMaster, MasterVerdict::Resettable];
                let usual = usual.map(|master| (ServerState::Available, master));
                let unusual = [
                    ServerState::NotAvailable,
                    ServerState::Stopped,
                    ServerState::Reader,
                    ServerState::Missing,
                    ServerState::ProxyEndpoint,
                ];
                let unusual = unusual.map(|state| (state, MasterVerdict::NotMaster));
                each(&usual.into_iter().chain(unusual).collect::<Vec<_>>(), facts, |facts, (state, master)| {
                    (facts.server, facts.master) = (Some(state), Some(master));
                })
            }
            Plan::Look(Look::Login(source)) => each(&logins, facts, |facts, login| match source {
                Source::Current => facts.logins.current = Some(login),
                Source::Pending => facts.logins.pending = Some(login),
                Source::Previous => facts.logins.previous = Some(login),
                Source::Kept => facts.logins.kept = Some(login),
                Source::Admin => facts.logins.admin = Some(login),
            }),
            Plan::Look(Look::CurrentAgain) => each(&logins, facts, |facts, login| facts.again = Some(login)),
            Plan::Look(Look::Lock(holder)) => {
                each(&[Lock::Held, Lock::Awaited, Lock::Busy, Lock::Lost], facts, |facts, lock| {
                    facts.lock = Some((holder, lock));
                    (facts.settled, facts.again, facts.time) = (None, None, None);
                })
            }
            Plan::Look(Look::LabelsAgain) => each(&[Settled::Same, Settled::Moved], facts, |facts, settled| {
                facts.settled = facts.lock.map(|(holder, _)| (holder, settled));
            }),
            Plan::Look(Look::Role(source)) => {
                let verdicts = [
                    RoleVerdict::Fit,
                    RoleVerdict::Absent,
                    RoleVerdict::NeedsAdmin,
                    RoleVerdict::Unfit(RoleProblem::Expired),
                    RoleVerdict::Unknown,
                ];
                each(&verdicts, facts, |facts, verdict| facts.roles[source as usize] = Some(verdict))
            }
            Plan::Look(Look::Time) => each(&[Time::Enough, Time::Short], facts, |facts, time| facts.time = Some(time)),
            Plan::Look(Look::Restored(rung)) => {
                each(&logins, facts, |facts, login| facts.climb_mut(rung).restored = Some(login))
            }
            Plan::Act(Action::CreateRole) => each(&effects, facts, |facts, effect| {
                facts.climb_mut(Rung::ThroughAdmin).effect = Some(effect);
                if effect == Effect::Unsure {
                    facts.lock = facts.lock.map(|(holder, _)| (holder, Lock::Lost));
                }
            }),
            Plan::Act(Action::SetPassword(rung, _)) => each(&effects, facts, |facts, effect| {
                facts.climb_mut(rung).effect = Some(effect);
                if effect == Effect::Unsure {
                    facts.lock = facts.lock.map(|(holder, _)| (holder, Lock::Lost));
                }
            }),
            Plan::Act(Action::ResetMaster) => {
                each(&effects, facts, |facts, effect| facts.climb_mut(Rung::ThroughRds).effect = Some(effect))
            }
            Plan::Act(Action::Promote(rung, _)) => {
                let effects = [Effect::Done, Effect::Unsure];
                each(&effects, facts, |facts, effect| facts.climb_mut(rung).effect = Some(effect))
            }
            Plan::Act(Action::Unstage) => {
                each(&[Effect::Done, Effect::Unsure], facts, |facts, effect| facts.unstaged = Some(effect))
            }
            Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) => Vec::new(),
        }
    }
}
