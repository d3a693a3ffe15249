//! What can be asked for, and how.

use clap::{Args, Parser, Subcommand};
use relatch_events::secret::{EmptyName, SecretId};

const EXAMPLES: &str = "\
Examples:
  relatch doctor shop/prod/database          what is wrong, and what repairs it
  relatch recover shop/prod/database         repair it: shows what, and asks
  relatch check shop/prod/database           is everything ready for a rotation?
  relatch pause --all --reason 'failover'    nobody rotates or repairs anything
  relatch doctor shop/prod/database --json --profile prod --region eu-central-1

Settings are the functions' own RELATCH_… variables, such as RELATCH_CA_FILE.
Exit status: 0 fine, or done; 1 something was found, or not done; 2 wrong use;
3 could not look.";

/// Looks after database passwords in AWS Secrets Manager: for the person on call.
#[derive(Debug, Parser)]
#[command(name = "relatch", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
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
    /// Why, for whoever finds it.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who asks for it; without it $USER.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// How it is to be done.
    #[command(flatten)]
    pub manner: Manner,
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

impl Command {
    /// The secret that is meant, if it is one.
    pub const fn secret(&self) -> Option<&SecretId> {
        match self {
            Command::Check { secret } | Command::Doctor { secret } => Some(secret),
            Command::Recover(change) | Command::Rollback(change) => Some(&change.secret),
            Command::Pause(pause) => pause.whom.secret.as_ref(),
            Command::Resume(resume) => resume.whom.secret.as_ref(),
        }
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

fn address(text: &str) -> Result<String, &'static str> {
    let is_http =
        ["http://", "https://"].into_iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if is_http { Ok(text.to_owned()) } else { Err("it begins with http:// or https://") }
}
