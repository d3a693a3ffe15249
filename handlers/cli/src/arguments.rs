//! What can be asked for, and how.

mod audit;

pub use audit::{AccessLog, History, Learning, Period, Verification};

use crate::{outside::THE_TABLE, problem::Problem};
use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, civil::DateTime, tz::TimeZone};
use relatch::{alert::Condition, audit::finding::Severity, config::Environment, containment::Principal};
use relatch_events::{
    moment::Moment,
    secret::{EmptyName, SecretId},
};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  relatch doctor shop/prod/database          what is wrong, and what repairs it
  relatch recover shop/prod/database         repair it: shows what, and asks
  relatch check shop/prod/database           is everything ready for a rotation?
  relatch pause --all --reason 'failover'    nobody rotates or repairs anything
  relatch alerts                             what is firing, and who knows of it
  relatch access shop/prod/database          who came to it
  relatch scan AWSLogs/                      who read which secret, by the logs
  relatch doctor shop/prod/database --json --profile prod --region eu-central-1

Settings are the functions' own RELATCH_… variables, such as RELATCH_CA_FILE.
Exit status: 0 fine, or done; 1 something was found, or not done; 2 wrong use;
3 could not look.";

const SCAN_EXAMPLES: &str = "\
Examples:
  relatch scan AWSLogs/                          everything, as a table
  relatch scan AWSLogs/ --since 2026-01-31       what is earlier is only known
  relatch scan AWSLogs/ --policy policy.json --fail-on high
  relatch scan AWSLogs/ --format ocsf --accesses > events.ocsf.jsonl
  aws s3 cp s3://trail/….json.gz - | relatch scan -

Exit status: 0 nothing was found; 1 something as grave as --fail-on was; 2 wrong
use, or a file that cannot be read: the others are scanned all the same.";

/// Looks after database passwords in AWS Secrets Manager: for the person on call.
#[derive(Debug, Parser)]
#[command(name = "relatch", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub errand: Errand,
    /// Where, and as whom.
    #[command(flatten)]
    pub place: Place,
}

/// Where, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// Profile of the AWS configuration files.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where")]
    pub profile: Option<String>,
    /// AWS region; else the ARN's, else the environment's.
    #[arg(long, global = true, value_name = "REGION", help_heading = "Where")]
    pub region: Option<String>,
    /// Address of AWS's services.
    #[arg(long, global = true, value_name = "URL", help_heading = "Where", value_parser = address)]
    pub endpoint_url: Option<String>,
    /// DynamoDB table of the functions; else RELATCH_TABLE.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where")]
    pub table: Option<String>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Errand {
    /// With AWS.
    #[command(flatten)]
    OnAws(Command),
    /// Who read which secret, and is that normal? Reads CloudTrail logs
    ///
    /// Judges the records of CloudTrail in files. Folders are read with all that is in
    /// them (.json, .jsonl, .ndjson, with .gz or without); a file may hold Records,
    /// single records or events of EventBridge. Asks AWS nothing, and needs neither
    /// credentials nor a region.
    ///
    /// Findings of one principal that are near each other in time are one incident.
    /// Nobody is a new reader before a secret is known for 14 days: give it some weeks.
    #[command(verbatim_doc_comment, after_help = SCAN_EXAMPLES)]
    Scan(Scan),
}

/// What to do with AWS.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Is everything ready for a rotation? Changes nothing
    ///
    /// Looks at the secret, its rotation and labels, the value, the server, a login
    /// with AWSCURRENT, the role, the admin secret, and pauses. `ok` is as it should
    /// be, `!!` is not, `--` does not apply or was not looked at.
    #[command(verbatim_doc_comment, after_help = "Example:\n  relatch check shop/prod/database")]
    Check {
        /// Name or ARN of the secret.
        #[arg(value_parser = name)]
        secret: SecretId,
    },
    /// What is wrong, and which command repairs it? Changes nothing
    ///
    /// Shows every version of the secret and, if the database rejects AWSCURRENT,
    /// tries each of them: one failed login for each that does not open it.
    #[command(verbatim_doc_comment, after_help = "Example:\n  relatch doctor shop/prod/database")]
    Doctor {
        /// Name or ARN of the secret.
        #[arg(value_parser = name)]
        secret: SecretId,
    },
    /// Make AWSCURRENT open the database again, and take AWSPENDING off
    ///
    /// Climbs the same ladder as the `respond` function, each rung proved by a login.
    /// Pauses do not hold it.
    #[command(
        verbatim_doc_comment,
        after_help = "Examples:\n  relatch recover shop/prod/database --dry-run\n  relatch recover shop/prod/database --yes"
    )]
    Recover(Change),
    /// Make the version before AWSCURRENT current again
    ///
    /// Sets its password in the database if that is needed, proves it by a login, and
    /// then moves the labels.
    #[command(
        verbatim_doc_comment,
        after_help = "Examples:\n  relatch rollback shop/prod/database --dry-run\n  relatch rollback shop/prod/database"
    )]
    Rollback(Change),
    /// Keep `rotate` and `respond` from a secret, or from all.
    #[command(
        after_help = "Examples:\n  relatch pause shop/prod/database --reason 'migration'\n  relatch pause --all --reason 'failover test'"
    )]
    Pause(Pause),
    /// End a pause, and what the circuit breaker has stopped.
    #[command(after_help = "Examples:\n  relatch resume shop/prod/database\n  relatch resume --all --yes")]
    Resume(Resume),
    /// Let somebody read a secret again whom `respond` has denied it
    ///
    /// Takes Relatch's statements out of the secret's policy; all others stay.
    #[command(
        verbatim_doc_comment,
        after_help = "Examples:\n  relatch release shop/prod/database --dry-run\n  relatch release shop/prod/database --principal arn:aws:iam::123456789012:role/report"
    )]
    Release(Release),
    /// What is firing, and do people know of it? Changes nothing
    ///
    /// Of each: how severe it is, since when it is so, and whether people were `told`
    /// of it. `held` is what they are told next; `silenced` and `inhibited` (a lock-out
    /// of the same secret says it) is what they are not told. `over` has ended, and
    /// they are told so next.
    #[command(verbatim_doc_comment, after_help = "Examples:\n  relatch alerts\n  relatch alerts --environment staging")]
    Alerts {
        /// dev, staging or prod; else RELATCH_ENVIRONMENT.
        #[arg(long, value_name = "NAME", value_parser = environment(), hide_possible_values = true)]
        environment: Option<Environment>,
    },
    /// Have nobody told of something for a while
    ///
    /// Only messages are held back: `rotate` and `respond` go on (`relatch pause` keeps
    /// those). What still goes on when the silence is over is told then. The end of
    /// what people know of is told in any case.
    #[command(
        verbatim_doc_comment,
        override_usage = "relatch silence [OPTIONS] --for <DURATION> --reason <TEXT> <WHAT>",
        after_help = silence_help()
    )]
    Silence(Silence),
    /// The silences that there are. Changes nothing
    Silences,
    /// End a silence.
    #[command(after_help = "Example:\n  relatch unsilence 3f9a1c07")]
    Unsilence {
        /// Its id: `relatch silences` shows it.
        id: String,
        /// How it is to be done.
        #[command(flatten)]
        manner: Manner,
    },
    /// Who came to a secret? Changes nothing
    ///
    /// Out of the log that `audit` keeps (a year, if nobody says otherwise): reads,
    /// and what was denied or failed, the last first. Of a secret that was deleted,
    /// name the ARN; a parameter's or a key's is as good; `*` is for what names none.
    #[command(verbatim_doc_comment, after_help = audit::ACCESS_EXAMPLES)]
    Access(AccessLog),
    /// What was changed of a secret, and by whom? Changes nothing
    ///
    /// Out of the chain of changes, which is kept for good; the last first. `*` is
    /// for what was done to those who keep watch: trails, rules, alarms, functions.
    #[command(verbatim_doc_comment, after_help = audit::HISTORY_EXAMPLES)]
    History(History),
    /// Is the chain of changes what was written? Changes nothing
    ///
    /// Reads every record and computes every digest anew: what was removed, altered,
    /// moved or slipped in is found. That the end was not written anew, only anchors
    /// prove: ends of the chain that are kept where nobody of the table's can write.
    #[command(verbatim_doc_comment, after_help = audit::VERIFY_EXAMPLES)]
    Verify(Verification),
    /// Teach `audit` what is usual, out of CloudTrail logs
    ///
    /// Files are read as by `scan`, and what is known by them is put beside what
    /// `audit` knows already. So it need not wait for 14 days until it can tell who is
    /// new. The same files may be learned again. Look at them with `scan` first: what
    /// is learned is usual from then on.
    #[command(verbatim_doc_comment, after_help = audit::LEARN_EXAMPLES)]
    Learn(Learning),
}

/// What is to be scanned, and how it is told.
#[derive(Debug, Args)]
pub struct Scan {
    /// Files and folders of CloudTrail logs; - is standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What is normal, in JSON; else the defaults.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// table, json, jsonl (security events) or ocsf (1.5).
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "table",
        conflicts_with = "json",
        hide_possible_values = true
    )]
    pub format: Format,
    /// Tell of each read, too: API Activity, with --format ocsf.
    #[arg(long)]
    pub accesses: bool,
    /// Only findings from then on, such as 2026-01-31 (UTC).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Only findings before, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// low, medium, high or critical: what status 1 is for.
    #[arg(long, value_name = "SEVERITY", default_value = "low", value_parser = severity(), hide_possible_values = true)]
    pub fail_on: Severity,
}

/// In which form an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For a person.
    Screen,
    /// One JSON object.
    Object,
    /// JSON objects, one to a line.
    Lines,
}

/// How findings are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Incidents, for a person.
    Table,
    /// Incidents, in one object.
    Json,
    /// Security events, one to a line.
    Jsonl,
    /// Detection Findings of the Open Cybersecurity Schema Framework, one to a line.
    Ocsf,
}

/// A change of a secret.
#[derive(Debug, Args)]
pub struct Change {
    /// Name or ARN of the secret.
    #[arg(value_parser = name)]
    pub secret: SecretId,
    /// How it is to be done.
    #[command(flatten)]
    pub manner: Manner,
}

/// Who is to read a secret again.
#[derive(Debug, Args)]
pub struct Release {
    /// Name or ARN of the secret.
    #[arg(value_parser = name)]
    pub secret: SecretId,
    /// Only this role or user; else all that are denied.
    #[arg(long, value_name = "ARN", value_parser = principal)]
    pub principal: Option<Principal>,
    /// How it is to be done.
    #[command(flatten)]
    pub manner: Manner,
}

/// How a change is to be made.
#[derive(Debug, Clone, Copy, Args)]
pub struct Manner {
    /// Say what would be done, and do nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// What a pause is for.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Pause {
    /// What to pause.
    #[command(flatten)]
    pub whom: Whom,
    /// Why, and who asks for it.
    #[command(flatten)]
    pub cause: Cause,
    /// How it is to be done.
    #[command(flatten)]
    pub manner: Manner,
}

/// What a silence is for.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Silence {
    /// What nobody is to be told of.
    #[command(flatten)]
    pub what: What,
    /// Only in dev, staging or prod.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = environment(),
        hide_possible_values = true,
        help_heading = "What"
    )]
    pub environment: Option<Environment>,
    /// How long, such as 90m, 2h or 1d; 30d at most.
    #[arg(long = "for", value_name = "DURATION", value_parser = lasting)]
    pub lasts: SignedDuration,
    /// Why, and who asks for it.
    #[command(flatten)]
    pub cause: Cause,
    /// How it is to be done.
    #[command(flatten)]
    pub manner: Manner,
}

/// Why, and who asks for it.
#[derive(Debug, Args)]
pub struct Cause {
    /// Why, for whoever finds it.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who asks for it; without it $USER.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

/// What nobody is to be told of: all that is given has to fit.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct What {
    /// A condition, named below.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = condition(),
        hide_possible_values = true,
        help_heading = "What"
    )]
    pub condition: Option<Condition>,
    /// A secret, by its name or ARN.
    #[arg(long, value_name = "SECRET", value_parser = name, conflicts_with = "subject", help_heading = "What")]
    pub secret: Option<SecretId>,
    /// ARN of a secret, or name of an alarm; may end in *.
    #[arg(long, value_name = "TEXT", value_parser = subject, help_heading = "What")]
    pub subject: Option<String>,
    /// Everything, lock-outs too.
    #[arg(long, conflicts_with_all = ["condition", "secret", "subject"], help_heading = "What")]
    pub everything: bool,
}

/// What to resume.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Resume {
    /// What to resume.
    #[command(flatten)]
    pub whom: Whom,
    /// How it is to be done.
    #[command(flatten)]
    pub manner: Manner,
}

/// One secret, or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// Name or ARN of the secret.
    #[arg(value_parser = name)]
    pub secret: Option<SecretId>,
    /// All secrets of this account and region.
    #[arg(long)]
    pub all: bool,
}

impl Arguments {
    /// That what is asked for can be.
    ///
    /// # Errors
    /// Where a period ends before it begins: nothing can be in it, and to say that nothing was found would be wrong.
    pub fn checked(&self) -> Result<(), Problem> {
        let (since, until) = match &self.errand {
            Errand::Scan(scan) => (scan.since, scan.until),
            Errand::OnAws(Command::Access(access)) => (access.period.since, access.period.until),
            Errand::OnAws(Command::History(history)) => (history.period.since, history.period.until),
            Errand::OnAws(_) => (None, None),
        };
        match (since, until) {
            (Some(since), Some(until)) if until <= since => Err(Problem::wrong_use(
                "--until",
                "it is not after --since, so that nothing can be in between",
                "name the earlier time with --since, and the later one with --until",
            )),
            (_, _) => Ok(()),
        }
    }

    /// In which form the answer is to be.
    pub fn form(&self) -> Form {
        match &self.errand {
            Errand::Scan(Scan { format: Format::Json, .. }) => Form::Object,
            Errand::OnAws(Command::Access(_) | Command::History(_)) if self.place.json => Form::Lines,
            Errand::Scan(_) | Errand::OnAws(_) if self.place.json => Form::Object,
            Errand::Scan(_) | Errand::OnAws(_) => Form::Screen,
        }
    }
}

impl Command {
    /// The secret that is meant, if it is one.
    pub const fn secret(&self) -> Option<&SecretId> {
        match self {
            Command::Check { secret } | Command::Doctor { secret } => Some(secret),
            Command::Recover(change) | Command::Rollback(change) => Some(&change.secret),
            Command::Release(release) => Some(&release.secret),
            Command::Pause(pause) => pause.whom.secret.as_ref(),
            Command::Resume(resume) => resume.whom.secret.as_ref(),
            Command::Silence(silence) => silence.what.secret.as_ref(),
            Command::Access(asked) => Some(&asked.secret),
            Command::History(asked) => Some(&asked.secret),
            Command::Alerts { .. }
            | Command::Silences
            | Command::Unsilence { .. }
            | Command::Verify(_)
            | Command::Learn(_) => None,
        }
    }

    /// What is said of, where nothing can be seen.
    pub fn about(&self) -> &str {
        let other = match self {
            Command::Alerts { .. }
            | Command::Silence(_)
            | Command::Silences
            | Command::Unsilence { .. }
            | Command::Verify(_)
            | Command::Learn(_) => THE_TABLE,
            Command::Check { .. }
            | Command::Doctor { .. }
            | Command::Recover(_)
            | Command::Rollback(_)
            | Command::Release(_)
            | Command::Pause(_)
            | Command::Resume(_)
            | Command::Access(_)
            | Command::History(_) => "all secrets",
        };
        self.secret().map_or(other, SecretId::as_str)
    }
}

impl Cause {
    /// Who asks for it.
    pub fn author(&self) -> String {
        self.by.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "somebody".to_owned())
    }
}

impl Place {
    /// The options that AWS's command line has too, to be repeated in a command that is suggested.
    pub fn for_aws(&self) -> String {
        let options = [("profile", &self.profile), ("region", &self.region), ("endpoint-url", &self.endpoint_url)];
        options.into_iter().filter_map(|(name, value)| Some(format!(" --{name} {}", value.as_ref()?))).collect()
    }

    /// Those that only this one has.
    pub fn for_relatch(&self) -> String {
        self.table.as_ref().map_or(String::new(), |table| format!(" --table {table}"))
    }
}

fn name(text: &str) -> Result<SecretId, EmptyName> {
    text.try_into()
}

fn principal(text: &str) -> Result<Principal, &'static str> {
    Principal::of(text).map_err(|_| "it is the ARN of a role or a user")
}

fn address(text: &str) -> Result<String, &'static str> {
    let is_http =
        ["http://", "https://"].into_iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if is_http { Ok(text.to_owned()) } else { Err("it begins with http:// or https://") }
}

/// The longest silence: what is to be silent for longer had better be mended.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(30 * 24);

fn lasting(text: &str) -> Result<SignedDuration, &'static str> {
    let span = text.parse::<Span>().ok();
    match span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()) {
        None => Err("it is a number and a unit, such as 90m, 2h or 1d"),
        Some(lasts) if !lasts.is_positive() => Err("it is longer than nothing"),
        Some(lasts) if lasts > LONGEST_SILENCE => Err("it is 30d at most"),
        Some(lasts) => Ok(lasts),
    }
}

fn subject(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("it is empty"),
        "*" => Err("that is everything: --everything says so"),
        _ => Ok(text.to_owned()),
    }
}

/// A day is from its first moment on, in UTC, as CloudTrail's own times are.
fn moment(text: &str) -> Result<Moment, &'static str> {
    let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let at = text.parse::<Timestamp>().ok().or_else(civil);
    at.map(|at| Moment::from_millis(at.as_millisecond())).ok_or("it is a time such as 2026-01-31T12:00:00Z, or a day")
}

fn severity() -> impl TypedValueParser<Value = Severity> {
    let known = |name: String| Severity::ALL.into_iter().find(|it| it.name() == name).ok_or("no such severity");
    PossibleValuesParser::new(Severity::ALL.map(Severity::name)).try_map(known)
}

fn condition() -> impl TypedValueParser<Value = Condition> {
    let known = |name: String| Condition::by_name(&name).ok_or("no such condition");
    PossibleValuesParser::new(Condition::ALL.map(Condition::name)).try_map(known)
}

fn environment() -> impl TypedValueParser<Value = Environment> {
    let known = |name: String| Environment::by_name(&name).ok_or("no such environment");
    PossibleValuesParser::new(Environment::ALL.map(Environment::name)).try_map(known)
}

fn silence_help() -> String {
    let row = |names: &[Condition]| names.iter().map(|name| format!("  {:<20}", name.name())).collect::<String>();
    let conditions: Vec<String> = Condition::ALL.chunks(3).map(|names| row(names).trim_end().to_owned()).collect();
    format!(
        "\
Conditions:
{}

Examples:
  relatch silence --secret shop/prod/database --for 2h --reason 'migration'
  relatch silence --condition rotation-overdue --for 1d --reason 'known'
  relatch silence --everything --environment dev --for 90m --reason 'rehearsal'",
        conditions.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_lasts_as_long_as_people_say_it() {
        let hours = |text| lasting(text).map(|lasts| lasts.as_secs() as f64 / 3600.0);
        assert_eq!(hours("90m"), Ok(1.5));
        assert_eq!(hours("2h"), Ok(2.0));
        assert_eq!(hours("1d 12 hours"), Ok(36.0));
        assert_eq!(hours("30d"), Ok(720.0));
        assert_eq!(hours("PT15M"), Ok(0.25));
        for wrong in ["", "soon", "2", "1mo", "0s", "-1h", "1h ago", "30d 1s", "5w", "9999999999999999999h"] {
            assert!(hours(wrong).is_err(), "{wrong}: {:?}", hours(wrong));
        }
    }

    #[test]
    fn a_time_is_a_moment_or_the_beginning_of_a_day_in_utc() {
        let millis = |text| moment(text).map(Moment::as_millis);
        assert_eq!(millis("1970-01-02"), Ok(86_400_000));
        assert_eq!(millis("1970-01-01T00:01"), Ok(60_000));
        assert_eq!(millis("1970-01-01T01:00:01+01:00"), Ok(1_000));
        assert_eq!(millis("1970-01-01T00:00:01Z"), Ok(1_000));
        for wrong in ["", "yesterday", "2026-02-30", "12:00"] {
            assert!(millis(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_subject_that_fits_everything_is_none() {
        assert_eq!(subject("shop*").as_deref(), Ok("shop*"));
        assert!(subject("*").is_err() && subject("").is_err());
    }
}
