//! What a survey comes down to: what is wrong, and the one command that repairs it. Pure.
//!
//! The command is what the plan of a repair would do with the same facts, so that `relatch doctor` never promises what
//! `relatch recover` then refuses.

use super::{Extent, Place, Seen, Survey};
use crate::{
    alert::findings,
    language::Language,
    ports::{CallError, CallErrorKind, Controls, Label, Lock, Login, MasterOf, Refusal, ServerState},
    rollback::{
        Intent, Reason, Rung,
        facts::{Age, Facts, Found, MasterVerdict, PendingLabel, Settled, Source},
        impact::{self, Impact},
        plan::{self, Action, Look, Plan},
        recovery::would,
    },
    rotation::{
        facts::{Held, RoleProblem, RoleVerdict, SecretState, Time},
        strategy::{self, Strategy},
    },
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::secret::{SecretId, VersionId};

/// More than a plan asks for on its way to an action.
const MOST_LOOKS: usize = 32;

/// What a survey comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What it means for consumers; `None` where that could not be seen.
    pub impact: Option<Impact>,
    /// What is wrong, in one sentence; `None` if nothing is.
    pub wrong: Option<String>,
    /// What repairs it, where one command does.
    pub remedy: Option<Remedy>,
    /// What was looked at, one by one.
    pub findings: Vec<Finding>,
}

/// What one look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at. A stable name.
    pub subject: &'static str,
    /// Whether it is as it should be.
    pub mark: Mark,
    /// What was found, as a sentence.
    pub sentence: String,
    /// What to do about it, where that is known.
    pub to_do: Option<String>,
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// It is.
    Fine,
    /// It is not.
    Wrong,
    /// It does not apply, or says neither.
    Open,
    /// It was not looked at, because something before it is not as it should be.
    Unseen,
}

impl Mark {
    /// The mark's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Mark::Fine => "ok",
            Mark::Wrong => "wrong",
            Mark::Open => "open",
            Mark::Unseen => "unseen",
        }
    }
}

/// One command, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// The command.
    pub command: Command,
    /// What it does, as a sentence.
    pub effect: String,
}

/// A command for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `relatch VERB SECRET`.
    Relatch(&'static str),
    /// One of AWS's command line.
    Aws(String),
    /// One of PostgreSQL's.
    Psql(String),
}

impl Command {
    /// As it is typed. `aws` are options that AWS's command line and ours share, `relatch` those that only ours has; each
    /// begins with a blank if there is any.
    pub fn line(&self, secret: &SecretId, aws: &str, relatch: &str) -> String {
        match self {
            Command::Relatch(verb) if verb.ends_with("--all") => format!("relatch {verb}{aws}{relatch}"),
            Command::Relatch(verb) => format!("relatch {verb} {secret}{aws}{relatch}"),
            Command::Aws(line) => format!("{line}{aws}"),
            Command::Psql(line) => line.clone(),
        }
    }
}

/// What a survey comes down to.
pub fn diagnosis(survey: &Survey) -> Diagnosis {
    let findings = vec![
        secret(survey),
        rotation(survey),
        labels(survey),
        value(survey),
        server(survey),
        login(survey),
        role(survey),
        admin(survey),
        controls(survey),
    ];
    let (wrong, remedy) = verdict(survey).unwrap_or_else(|| lesser(survey, &findings));
    Diagnosis { impact: impact::found(&survey.facts), wrong, remedy, findings }
}

/// What is wrong, where AWSCURRENT opens the database and nothing keeps a rotation from going on.
fn lesser(survey: &Survey, findings: &[Finding]) -> (Option<String>, Option<Remedy>) {
    // A rotation that failed because it was paused, or that was stopped for failing, goes on when that ends.
    let held = findings.iter().find(|finding| finding.subject == "controls" && finding.mark == Mark::Wrong);
    let first = held.or_else(|| findings.iter().find(|finding| finding.mark == Mark::Wrong));
    let remedy = match (first.map(|finding| finding.subject), &survey.controls) {
        (Some("controls"), Some(Ok(controls))) => Some(resume(controls)),
        (Some("labels"), _) => Some(relatch(
            "recover",
            "It takes AWSPENDING off. Not needed if Secrets Manager is to try that rotation again.",
        )),
        (Some("rotation"), _) if survey.description.rotation_enabled => Some(Remedy {
            command: Command::Aws(format!("aws secretsmanager rotate-secret --secret-id {}", survey.secret)),
            effect: "It rotates now; look again in a minute.".to_owned(),
        }),
        _ => None,
    };
    let wrong = first.map(|finding| match finding.subject {
        "labels" if survey.facts.failure.is_some() => {
            "A rotation failed and left AWSPENDING behind; AWSCURRENT opens the database.".to_owned()
        }
        "labels" => {
            "AWSPENDING is on a version that is not current, and keeps Secrets Manager from rotating.".to_owned()
        }
        _ => finding.sentence.clone(),
    });
    (wrong, remedy)
}

/// What is wrong with the way from the secret to the database; `None` if nothing is.
fn verdict(survey: &Survey) -> Option<(Option<String>, Option<Remedy>)> {
    let wrong = |sentence: String, remedy| Some((Some(sentence), remedy));
    match course(Intent::Heal, survey) {
        // AWSPENDING, which the labels show.
        Plan::Done(_) | Plan::Act(Action::Unstage) => None,
        Plan::Act(action) => wrong(gap(action, &survey.facts), Some(relatch("recover", &sentence(would(action))))),
        // Only what a preflight does not look at is missing.
        Plan::Look(_) => wrong(
            "The database rejects AWSCURRENT.".to_owned(),
            Some(relatch("doctor", "It shows which version opens the database.")),
        ),
        Plan::Wait(Reason::RotationInFlight) => wrong(
            "The database has AWSPENDING's password and rejects AWSCURRENT: a rotation is between its change and its end, or has died there.".to_owned(),
            Some(relatch("recover", "It puts AWSCURRENT's password back. If the rotation is still at work, wait for it.")),
        ),
        Plan::Wait(Reason::DatabaseSilent(silence)) => wrong(sentence(silence.to_string()), None),
        Plan::Wait(reason) => wrong(sentence(reason.to_string()), waiting(reason, survey)),
        Plan::Refuse(Reason::Exhausted) => wrong(
            "No version of the secret opens the database, and nothing that is known can set AWSCURRENT's password.".to_owned(),
            exhausted(survey),
        ),
        Plan::Refuse(reason) => wrong(sentence(reason.to_string()), refused(reason, survey)),
    }
}

/// What a repair would come to, if nobody else were at work.
fn course(intent: Intent, survey: &Survey) -> Plan {
    let mut facts = Facts { paused: Some(false), ..survey.facts };
    let mut next = plan::plan(intent, &facts);
    for _ in 0..MOST_LOOKS {
        match next {
            Plan::Look(Look::Lock(holder)) => facts.lock = Some((holder, Lock::Held)),
            Plan::Look(Look::LabelsAgain) => facts.settled = facts.lock.map(|(holder, _)| (holder, Settled::Same)),
            Plan::Look(Look::CurrentAgain) => facts.again = facts.logins.current,
            Plan::Look(Look::Time) => facts.time = Some(Time::Enough),
            Plan::Look(_) | Plan::Act(_) | Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) => break,
        }
        next = plan::plan(intent, &facts);
    }
    next
}

/// What is wrong, by what would mend it.
fn gap(action: Action, facts: &Facts) -> String {
    match action {
        Action::SetPassword(Rung::ThroughAdmin, _) | Action::ResetMaster
            if impact::found(facts) != Some(Impact::LockedOut) =>
        {
            "The database rejects AWSCURRENT, and the version that opens it may not change the password.".to_owned()
        }
        Action::SetPassword(Rung::ThroughAdmin, _) | Action::ResetMaster => {
            "No version of the secret opens the database: its password was changed by somebody else.".to_owned()
        }
        Action::SetPassword(_, source) | Action::Promote(_, source) => {
            format!("The database rejects AWSCURRENT; {} opens it.", name(source))
        }
        Action::CreateRole => "The role is not there yet.".to_owned(),
        Action::Unstage => "AWSPENDING is on a version that is not current.".to_owned(),
    }
}

const fn name(source: Source) -> &'static str {
    match source {
        Source::Current => "AWSCURRENT",
        Source::Pending => "AWSPENDING",
        Source::Previous => "AWSPREVIOUS",
        Source::Kept => "only a version without a label",
        Source::Admin => "the admin secret",
    }
}

fn waiting(reason: Reason, survey: &Survey) -> Option<Remedy> {
    let start = |of: &MasterOf| {
        let line = match of {
            MasterOf::Cluster(name) => format!("aws rds start-db-cluster --db-cluster-identifier {}", quoted(name)),
            MasterOf::Instance(name) => format!("aws rds start-db-instance --db-instance-identifier {}", quoted(name)),
        };
        Remedy { command: Command::Aws(line), effect: "It starts the database, which takes some minutes.".to_owned() }
    };
    let master = survey.server.as_ref().and_then(|server| server.master.as_ref());
    if reason == Reason::ServerStopped { master.map(|master| start(&master.of)) } else { None }
}

fn refused(reason: Reason, survey: &Survey) -> Option<Remedy> {
    let secret = &survey.secret;
    let alter = |change: &str, effect: &str| {
        let place = survey.place.as_ref()?;
        Some(psql(place, &format!("ALTER ROLE {} {change}", identifier(&place.user)), effect))
    };
    match reason {
        Reason::ScheduledForDeletion => Some(Remedy {
            command: Command::Aws(format!("aws secretsmanager restore-secret --secret-id {secret}")),
            effect: "It keeps the secret, which can then be looked at.".to_owned(),
        }),
        Reason::CurrentUnusable(_) if leads_back(survey) => {
            Some(relatch("rollback", "It makes the version before it AWSCURRENT again."))
        }
        Reason::LoginRefused(Refusal::NoLogin) | Reason::Role(RoleProblem::NoLogin) => {
            alter("LOGIN", "It lets the role log in again.")
        }
        Reason::LoginRefused(Refusal::ConnectionLimit) => alter(
            "CONNECTION LIMIT -1",
            "It takes the role's limit away, if it is not too many sessions that are wrong.",
        ),
        Reason::LoginRefused(Refusal::DatabaseLimit) => {
            let place = survey.place.as_ref()?;
            let outside = Place { dbname: "postgres".to_owned(), ..place.clone() };
            let lift = format!("ALTER DATABASE {} CONNECTION LIMIT -1", identifier(&place.dbname));
            Some(psql(
                &outside,
                &lift,
                "It takes the database's limit away, if it is not too many sessions that are wrong.",
            ))
        }
        Reason::LoginRefused(Refusal::DatabaseClosed) => {
            let place = survey.place.as_ref()?;
            let outside = Place { dbname: "postgres".to_owned(), ..place.clone() };
            let open = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", identifier(&place.dbname));
            Some(psql(&outside, &open, "It lets the database accept connections again."))
        }
        Reason::LoginRefused(Refusal::NoConnect) => {
            let place = survey.place.as_ref()?;
            let grant =
                format!("GRANT CONNECT ON DATABASE {} TO {}", identifier(&place.dbname), identifier(&place.user));
            Some(psql(place, &grant, "It lets the role connect to the database."))
        }
        Reason::Role(RoleProblem::Expired) => alter("VALID UNTIL 'infinity'", "It ends the role's expiry."),
        Reason::LoginRefused(Refusal::NoDatabase)
        | Reason::Role(_)
        | Reason::Exhausted
        | Reason::Sound
        | Reason::Recovered
        | Reason::WentForward
        | Reason::WentBack
        | Reason::DatabaseSilent(_)
        | Reason::ServerNotAvailable
        | Reason::ServerStopped
        | Reason::LockBusy
        | Reason::LabelsMoved
        | Reason::RotationInFlight
        | Reason::Paused
        | Reason::TooLittleTime
        | Reason::Unproved(_)
        | Reason::ResetUnderWay
        | Reason::SessionLost
        | Reason::ManagedByService
        | Reason::OtherKind
        | Reason::OtherServer
        | Reason::NoCurrent
        | Reason::CurrentUnusable(_)
        | Reason::ServerUnfit(_)
        | Reason::ReaderEndpoint
        | Reason::ServerMissing
        | Reason::ProxyEndpoint
        | Reason::NoPrevious
        | Reason::PreviousUnusable(_)
        | Reason::PreviousElsewhere(_)
        | Reason::PendingInTheWay
        | Reason::NothingToGoBackThrough => None,
    }
}

/// Whether there is a version to go back to.
fn leads_back(survey: &Survey) -> bool {
    matches!(course(Intent::RollBack, survey), Plan::Act(_))
}

/// Every rung fails: what would add one?
fn exhausted(survey: &Survey) -> Option<Remedy> {
    let pin = survey.server.as_ref().and_then(|server| server.resource_id.as_deref());
    let not_named = survey.facts.role(Source::Admin) == Some(RoleVerdict::Unfit(RoleProblem::NotNamed));
    match (survey.facts.master, pin, survey.place.as_ref()) {
        (_, _, Some(place)) if not_named => Some(Remedy {
            command: Command::Aws(tag(survey, &[("relatch:user", strategy::model(&place.user))])),
            effect: "It allows `relatch recover` to have the admin user set this role's password. Do it only if the role is the secret's own.".to_owned(),
        }),
        (Some(MasterVerdict::NotPinned), Some(pin), Some(place)) => Some(Remedy {
            command: Command::Aws(tag(survey, &[("relatch:resource-id", pin), ("relatch:user", &place.user)])),
            effect: "It allows `relatch recover` to have RDS set this master user's password. Do it only if that is the secret's own database.".to_owned(),
        }),
        (_, _, Some(place)) => Some(psql(
            place,
            &format!("\\password {}", identifier(&place.user)),
            "It asks for a password: give it AWSCURRENT's.",
        )),
        (_, _, None) => None,
    }
}

/// The command that tags the secret.
fn tag(survey: &Survey, tags: &[(&str, &str)]) -> String {
    let tags: String = tags.iter().map(|(key, value)| format!(" Key={key},Value={}", quoted(value))).collect();
    format!("aws secretsmanager tag-resource --secret-id {} --tags{tags}", survey.secret)
}

fn secret(survey: &Survey) -> Finding {
    let restore = || format!("If it is in use: `aws secretsmanager restore-secret --secret-id {}`.", survey.secret);
    let owner = survey.description.owning_service.as_deref().unwrap_or("another service");
    match survey.facts.secret {
        Some(SecretState::Ours | SecretState::RotationOff) => {
            fine("secret", "It is there, and it is Relatch's to rotate.")
        }
        Some(SecretState::Managed) => {
            wrong("secret", format!("It is managed by `{owner}`, which rotates and repairs it itself."), None)
        }
        Some(SecretState::Deleted) => wrong("secret", "It is scheduled for deletion.", Some(restore())),
        Some(SecretState::OtherKind) => wrong(
            "secret",
            sentence(Reason::OtherKind.to_string()),
            Some("Correct the tag, or leave it be.".to_owned()),
        ),
        Some(SecretState::OtherServer) => wrong(
            "secret",
            sentence(Reason::OtherServer.to_string()),
            Some("Compare the tag with RDS before you change either.".to_owned()),
        ),
        None => unseen("secret"),
    }
}

fn rotation(survey: &Survey) -> Finding {
    let description = &survey.description;
    let function = description.rotation_function.as_deref().map(|arn| arn.rsplit(':').next().unwrap_or(arn));
    let every = description.rotated_every.map_or(String::new(), |days| format!(" every {days} days"));
    let last = description.rotated.map_or(", never yet".to_owned(), |at| format!(", last {}", ago(survey.at, at)));
    match (description.rotation_enabled, function, findings::overdue(description, survey.at, Language::English)) {
        (_, _, Some(late)) => wrong(
            "rotation",
            late,
            Some(format!("`aws secretsmanager rotate-secret --secret-id {}`, and see what it says.", survey.secret)),
        ),
        (true, Some(function), None) => fine("rotation", format!("It is on: `{function}`{every}{last}.")),
        (true, None, None) => wrong("rotation", "It is on, and names no function.", None),
        (false, _, None) => wrong(
            "rotation",
            "It is switched off: nobody rotates this secret.",
            Some("`aws secretsmanager rotate-secret` with a function and rules switches it on.".to_owned()),
        ),
    }
}

fn labels(survey: &Survey) -> Finding {
    let holder = |label| survey.description.holder(label).map_or("no version".to_owned(), short);
    let current = format!("AWSCURRENT is on {}", holder(Label::Current));
    let made = survey.versions.iter().find(|version| version.labels.contains(&Label::Pending));
    let made =
        made.and_then(|version| version.created).map_or(String::new(), |at| format!(", made {}", ago(survey.at, at)));
    let pending = format!("{current}, AWSPENDING on {}{made}", holder(Label::Pending));
    let ends = || Some(format!("`relatch recover {}` takes it off.", survey.secret));
    match (survey.facts.label, &survey.failure) {
        (None, _) => unseen("labels"),
        _ if survey.description.holder(Label::Current).is_none() => {
            wrong("labels", "No version holds AWSCURRENT.", None)
        }
        (Some(PendingLabel::Nowhere | PendingLabel::OnCurrent), _) => {
            fine("labels", format!("{current}, and no rotation is in flight."))
        }
        (Some(PendingLabel::Waiting(_)), Some(failure)) => {
            let state = failure.sqlstate.as_ref().map_or(String::new(), |state| format!(", SQLSTATE {state}"));
            wrong(
                "labels",
                format!("{pending}: its rotation failed in {} ({}{state}).", failure.step, failure.reason),
                ends(),
            )
        }
        (Some(PendingLabel::Waiting(_)), None) if survey.facts.pending_is_previous => {
            wrong("labels", format!("{pending}: the last rotation left it there."), ends())
        }
        (Some(PendingLabel::Waiting(Some(Age::Fresh) | None)), None) => {
            open("labels", format!("{pending}: a rotation may be under way."))
        }
        (Some(PendingLabel::Waiting(Some(Age::Waiting | Age::Stuck))), None) => {
            wrong("labels", format!("{pending}: its rotation has not ended."), ends())
        }
    }
}

fn value(survey: &Survey) -> Finding {
    let back = || {
        Some(if leads_back(survey) {
            format!("`relatch rollback {}` makes the version before it current.", survey.secret)
        } else {
            "Store a usable value as AWSCURRENT, and set its password in the database.".to_owned()
        })
    };
    match (survey.facts.current, &survey.place) {
        (Some(Held::Credentials | Held::ThisToken), Some(place)) => fine(
            "value",
            format!("User `{}`, database `{}` on {}:{}.", place.user, place.dbname, place.host, place.port),
        ),
        (Some(Held::Unusable(problem)), _) => wrong("value", format!("AWSCURRENT cannot be used: {problem}."), back()),
        (Some(Held::Nothing | Held::Elsewhere(_) | Held::NotAllowed), _) => {
            wrong("value", "AWSCURRENT holds no value.", back())
        }
        (Some(Held::Credentials | Held::ThisToken) | None, _) => unseen("value"),
    }
}

fn server(survey: &Survey) -> Finding {
    let Some(server) = &survey.server else { return unseen("server") };
    let through = server.door.endpoint.as_ref().map(|(host, port)| format!(", behind a proxy: {host}:{port}"));
    let bad = |reason: Reason, to_do: &str| wrong("server", sentence(reason.to_string()), Some(to_do.to_owned()));
    match server.state {
        ServerState::Unlisted => open("server", "Not one of RDS's, or RDS was not asked: its own answers must do."),
        ServerState::Available => {
            fine("server", format!("RDS says it is available, and the writer{}.", through.unwrap_or_default()))
        }
        ServerState::NotAvailable => bad(Reason::ServerNotAvailable, "Wait until RDS says that it is available."),
        ServerState::Stopped => bad(Reason::ServerStopped, "Start it, or leave it until it is needed."),
        ServerState::Reader => bad(Reason::ReaderEndpoint, "Write the writer's endpoint into the secret."),
        ServerState::Missing => {
            bad(Reason::ServerMissing, "Correct the identifier or the host in the secret, or --region.")
        }
        ServerState::ProxyEndpoint => {
            bad(Reason::ProxyEndpoint, "Write the proxy's own endpoint into the secret, or the writer's.")
        }
    }
}

fn login(survey: &Survey) -> Finding {
    let tls = if survey.place.as_ref().is_some_and(|place| place.plaintext) {
        "without TLS, as the secret asks"
    } else {
        "over verified TLS"
    };
    let doctor = |what: &str| {
        (survey.extent == Extent::Current).then(|| format!("`relatch doctor {}` shows {what}.", survey.secret))
    };
    match survey.facts.logins.current {
        Some(Login::Accepted) => fine("login", format!("AWSCURRENT opens the database, {tls}.")),
        Some(Login::Unfit(state)) => {
            wrong("login", format!("AWSCURRENT logs in, and the test query fails with SQLSTATE {state}."), None)
        }
        Some(Login::Refused(refusal)) => wrong(
            "login",
            format!("AWSCURRENT's password is right, and the session was refused: {refusal}."),
            doctor("what mends it"),
        ),
        Some(Login::Rejected) => wrong("login", "AWSCURRENT does not open the database.", doctor("which version does")),
        Some(Login::Unknown(silence)) => wrong(
            "login",
            format!("Nothing was learned: {silence}."),
            silence.passes().then(|| "See whether the database runs, and lets this machine in.".to_owned()),
        ),
        None => unseen("login"),
    }
}

fn role(survey: &Survey) -> Finding {
    match survey.next_change {
        Some(RoleVerdict::Fit) => fine("role", "The database allows the next rotation."),
        Some(RoleVerdict::Absent) => wrong("role", "The role is not there yet; the next sweep creates it.", None),
        Some(RoleVerdict::NeedsAdmin) => wrong("role", "The next rotation needs the admin secret.", None),
        Some(RoleVerdict::Unfit(problem)) => wrong("role", format!("The next rotation would fail: {problem}."), None),
        Some(RoleVerdict::Unknown) => wrong("role", "The session broke off before the database had said.", None),
        None => unseen("role"),
    }
}

fn admin(survey: &Survey) -> Finding {
    let facts = &survey.facts;
    let look = || Some(format!("`relatch check {}` shows why.", survey.place.as_ref()?.admin.as_ref()?));
    let named = survey.place.as_ref().map(|place| (&place.admin, place.strategy));
    match (named, facts.admin, facts.logins.admin) {
        (None, _, _) => unseen("admin"),
        (Some((None, Strategy::SingleUser)), _, _) => {
            open("admin", "No admin secret (`masterarn`) is named; none is needed.")
        }
        (Some((None, Strategy::AlternatingUsers)), _, _) => {
            wrong("admin", "Alternating users need an admin secret, and `masterarn` names none.", None)
        }
        (Some((Some(_), _)), None, _) => unseen("admin"),
        (Some((Some(arn), _)), Some(Held::NotAllowed), _) => wrong(
            "admin",
            "`masterarn` names an admin secret that the settings do not (RELATCH_ADMIN_SECRETS), so it was not read.",
            Some(format!(
                "If it may act for this secret: `AdminSecretArn={arn}` for the deployment, and `RELATCH_ADMIN_SECRETS={arn}` for this command."
            )),
        ),
        (_, Some(Held::Nothing), _) => wrong("admin", "The admin secret that `masterarn` names cannot be found.", None),
        (_, Some(Held::Unusable(problem)), _) => {
            wrong("admin", format!("The admin secret cannot be used: {problem}."), look())
        }
        (_, Some(Held::Elsewhere(field)), _) => {
            wrong("admin", format!("The admin secret leads to another `{field}`, so it was not used."), None)
        }
        (_, Some(Held::Credentials | Held::ThisToken), Some(Login::Accepted | Login::Unfit(_))) => {
            let named = survey.description.tags.contains_key("relatch:user");
            let user = survey.place.as_ref().map(|place| strategy::model(&place.user)).filter(|_| !named);
            let to_do = user.map(|user| {
                format!(
                    "To let it set a password that nobody knows any more: `{}`.",
                    tag(survey, &[("relatch:user", user)])
                )
            });
            Finding { to_do, ..fine("admin", "The admin secret opens the database.") }
        }
        (_, Some(Held::Credentials | Held::ThisToken), Some(Login::Unknown(silence))) => {
            wrong("admin", format!("Nothing was learned of the admin secret: {silence}."), look())
        }
        (_, Some(Held::Credentials | Held::ThisToken), Some(Login::Refused(_) | Login::Rejected) | None) => {
            wrong("admin", "The admin secret does not open the database.", look())
        }
    }
}

fn controls(survey: &Survey) -> Finding {
    let resume = || Some(format!("`relatch resume {}`, when the cause is mended.", survey.secret));
    let controls = match &survey.controls {
        None if survey.facts.paused.is_none() => return unseen("controls"),
        None => return open("controls", "No table is named (RELATCH_TABLE), so pauses are not known."),
        Some(Ok(controls)) => controls,
        Some(Err(error)) => {
            return wrong("controls", format!("The table could not be read: {error}."), Some(mend(error)));
        }
    };
    let pause = [(&controls.paused, "It"), (&controls.everything_paused, "Everything")]
        .into_iter()
        .find_map(|(pause, what)| Some((pause.as_ref()?, what)));
    match (pause, findings::stopped(controls, None, Language::English)) {
        (Some((pause, what)), _) => {
            let all = if what == "It" { survey.secret.to_string() } else { "--all".to_owned() };
            wrong(
                "controls",
                format!("{what} was paused by {} {}: {}.", pause.by, ago(survey.at, pause.at), pause.reason),
                Some(format!("`relatch resume {all}` ends that.")),
            )
        }
        (None, Some(why)) => wrong("controls", why, resume()),
        (None, None) => fine("controls", "Nobody has paused it, and its rotations are not stopped."),
    }
}

/// What to do about a table that could not be read.
fn mend(error: &CallError) -> String {
    match error.kind {
        CallErrorKind::Denied => "Give your user or role that permission.",
        CallErrorKind::NotFound => "Check RELATCH_TABLE or --table, and --region.",
        CallErrorKind::Throttled | CallErrorKind::NoAnswer | CallErrorKind::Refused => "Try again in a moment.",
    }
    .to_owned()
}

/// A version's id as people tell it apart.
pub fn short(id: &VersionId) -> String {
    id.as_str().chars().take(8).collect()
}

/// How long ago, in one unit.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    let elapsed: SignedDuration = now.duration_since(then);
    match (elapsed.as_secs() / 60, elapsed.as_hours()) {
        (..1, _) => "just now".to_owned(),
        (minutes @ 1..100, _) => format!("{minutes} min ago"),
        (_, hours @ ..48) => format!("{hours} h ago"),
        (_, hours) => format!("{} days ago", hours / 24),
    }
}

/// What a version says in a table: what a login with it told, or why there was none.
pub fn says(version: &Seen) -> String {
    match (version.login, version.found) {
        (Some(Login::Accepted), _) => "opens it".to_owned(),
        (Some(Login::Unfit(_)), _) => "opens; query fails".to_owned(),
        (Some(Login::Refused(_)), _) => "session refused".to_owned(),
        (Some(Login::Rejected), _) => "rejected".to_owned(),
        (Some(Login::Unknown(_)), _) => "no answer".to_owned(),
        (None, Some(Found::Unusable(_))) => "not usable".to_owned(),
        (None, Some(Found::Nothing)) => "no value".to_owned(),
        (None, Some(Found::Elsewhere(_))) => "leads elsewhere".to_owned(),
        (None, Some(Found::SameUser | Found::Alternate) | None) => "not tried".to_owned(),
    }
}

fn fine(subject: &'static str, sentence: impl Into<String>) -> Finding {
    Finding { subject, mark: Mark::Fine, sentence: sentence.into(), to_do: None }
}

fn open(subject: &'static str, sentence: impl Into<String>) -> Finding {
    Finding { subject, mark: Mark::Open, sentence: sentence.into(), to_do: None }
}

fn wrong(subject: &'static str, sentence: impl Into<String>, to_do: Option<String>) -> Finding {
    Finding { subject, mark: Mark::Wrong, sentence: sentence.into(), to_do }
}

fn unseen(subject: &'static str) -> Finding {
    Finding { subject, mark: Mark::Unseen, sentence: "Not looked at.".to_owned(), to_do: None }
}

fn relatch(verb: &'static str, effect: &str) -> Remedy {
    Remedy { command: Command::Relatch(verb), effect: effect.to_owned() }
}

fn resume(controls: &Controls) -> Remedy {
    let verb =
        if controls.paused.is_none() && controls.everything_paused.is_some() { "resume --all" } else { "resume" };
    relatch(
        verb,
        if controls.stopped.is_some() || controls.rolled_back > 0 {
            "It lets rotations begin again: mend first what made them fail."
        } else {
            "It ends the pause, when what it was for is over."
        },
    )
}

fn psql(place: &Place, statement: &str, effect: &str) -> Remedy {
    let (host, dbname) = (quoted(&place.host), quoted(&place.dbname));
    let line = format!("psql -h {host} -p {} -d {dbname} -U ADMIN -c {}", place.port, quoted(statement));
    Remedy { command: Command::Psql(line), effect: format!("{effect} ADMIN is a user that may.") }
}

/// For a shell, whatever it holds: a secret's fields are somebody else's words.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// With a capital and an end.
fn sentence(text: String) -> String {
    let mut characters = text.chars();
    let text: String =
        characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect());
    if text.ends_with('.') { text } else { text + "." }
}
