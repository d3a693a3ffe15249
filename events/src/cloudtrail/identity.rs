//! Who made a call: the principal behind the session, and whether that is a person.

use super::{
    field::{flag, object, text},
    record::Record,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Who made a call, as the record says it. Any of it may be absent; service events have no more than `accountId` and
/// `invokedBy`, or nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct UserIdentity<'a> {
    /// `Root`, `IAMUser`, `AssumedRole`, `FederatedUser`, `IdentityCenterUser`, `AWSService`, …
    #[serde(borrow, rename = "type", deserialize_with = "text")]
    pub kind: Option<Cow<'a, str>>,
    /// `<unique id>` or `<unique id>:<session>`.
    #[serde(borrow, deserialize_with = "text")]
    pub principal_id: Option<Cow<'a, str>>,
    /// The ARN of the user, or of the session.
    #[serde(borrow, deserialize_with = "text")]
    pub arn: Option<Cow<'a, str>>,
    /// The account of the user or of the role.
    #[serde(borrow, deserialize_with = "text")]
    pub account_id: Option<Cow<'a, str>>,
    /// The access key that signed.
    #[serde(borrow, deserialize_with = "text")]
    pub access_key_id: Option<Cow<'a, str>>,
    /// The user's name.
    #[serde(borrow, deserialize_with = "text")]
    pub user_name: Option<Cow<'a, str>>,
    /// The service that made the call on the principal's behalf.
    #[serde(borrow, deserialize_with = "text")]
    pub invoked_by: Option<Cow<'a, str>>,
    /// Of a session: who issued it, and how it began.
    #[serde(borrow, deserialize_with = "object")]
    pub session_context: SessionContext<'a>,
    /// The user of Identity Center for whom it is done.
    #[serde(borrow, deserialize_with = "object")]
    pub on_behalf_of: OnBehalfOf<'a>,
    /// Whether a service's role for an instance or a function is behind it.
    #[serde(borrow, deserialize_with = "object")]
    pub in_scope_of: InScopeOf<'a>,
}

/// Of a session: who issued it, and how it began.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionContext<'a> {
    /// The role, the user or the root user behind it. May be an empty object.
    #[serde(borrow, deserialize_with = "object")]
    pub session_issuer: SessionIssuer<'a>,
    /// How it began.
    #[serde(deserialize_with = "object")]
    pub attributes: SessionAttributes,
    /// With the credentials of an instance's role: `1.0` or `2.0`, the instance metadata service's version.
    #[serde(borrow, rename = "ec2RoleDelivery", deserialize_with = "text")]
    pub ec2_role_delivery: Option<Cow<'a, str>>,
}

/// The principal behind a session.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionIssuer<'a> {
    /// `Role`, `IAMUser` or `Root`.
    #[serde(borrow, rename = "type", deserialize_with = "text")]
    pub kind: Option<Cow<'a, str>>,
    /// Its ARN.
    #[serde(borrow, deserialize_with = "text")]
    pub arn: Option<Cow<'a, str>>,
    /// Its account.
    #[serde(borrow, deserialize_with = "text")]
    pub account_id: Option<Cow<'a, str>>,
    /// Its name.
    #[serde(borrow, deserialize_with = "text")]
    pub user_name: Option<Cow<'a, str>>,
}

/// How a session began.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionAttributes {
    /// Whether with a second factor: the text `true` or `false`.
    #[serde(deserialize_with = "flag")]
    pub mfa_authenticated: Option<bool>,
}

/// The user of Identity Center for whom a call is made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OnBehalfOf<'a> {
    /// The user's id in the identity store.
    #[serde(borrow, deserialize_with = "text")]
    pub user_id: Option<Cow<'a, str>>,
}

/// What a session was made for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InScopeOf<'a> {
    /// `AWS::Lambda::Function`, `AWS::EC2::Instance`, …
    #[serde(borrow, deserialize_with = "text")]
    pub issuer_type: Option<Cow<'a, str>>,
}

/// Who made a call, by what stays the same from one session to the next.
///
/// Source: the CloudTrail user guide, "CloudTrail userIdentity element".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// What kind of a principal it is.
    pub kind: ActorKind,
    /// Its canonical name: the ARN of the root user, of the IAM user, of the role behind a session (also where the event
    /// has only the session's), of the provider and user of a federation; a user's id in Identity Center; a service's
    /// host (`lambda.amazonaws.com`); the other account's number. Empty when the event tells nothing.
    pub id: String,
    /// The account that the principal belongs to.
    pub account: Option<String>,
    /// The name of the session, which whoever assumed the role has chosen.
    pub session: Option<String>,
    /// The access key that signed the call. It is no secret.
    pub access_key: Option<String>,
    /// The service that made the call on the principal's behalf.
    pub invoked_by: Option<String>,
    /// Whether the session began with a second factor, where the event tells.
    pub mfa: Option<bool>,
    /// Whether it is a person.
    pub nature: Nature,
}

/// What kind of a principal an [`Actor`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// The account's root user.
    Root,
    /// An IAM user.
    User,
    /// A session of a role.
    Role,
    /// A user who came through GetFederationToken, SAML or a web identity provider.
    Federated,
    /// A user of IAM Identity Center.
    IdentityCenter,
    /// An AWS service by itself.
    Service,
    /// A principal of another account, of which only the account is told.
    Account,
    /// The event does not say.
    Unknown,
}

/// Whether a person or a program acts. An access key tells neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// Something that programs do not have: the root user, a second factor, a session from Identity Center, a session
    /// named by an e-mail address, the console.
    Human,
    /// Something that people do not have: a service, an instance's or a function's session.
    Machine,
    /// Either.
    Unknown,
}

impl Actor {
    /// Who is behind an identity.
    ///
    /// The ARN decides where there is one: AWS's own examples have an assumed role's ARN under `IAMUser`, and services
    /// write `Unknown` beside a good one.
    ///
    /// Where neither an ARN nor an account is told, as of a failed sign-in, the user is one of the account that received
    /// the event.
    pub fn of(record: &Record<'_>) -> Self {
        let identity = &record.user_identity;
        let account = identity.account_id.as_deref().or(record.recipient_account_id.as_deref());
        let Standing { kind, id, session } = Standing::of(identity, account.unwrap_or_default());
        let mut actor = Self {
            kind,
            id,
            account: identity
                .account_id
                .as_deref()
                .or(identity.session_context.session_issuer.account_id.as_deref())
                .map(str::to_owned),
            session,
            access_key: identity.access_key_id.as_deref().map(str::to_owned),
            invoked_by: identity.invoked_by.as_deref().map(str::to_owned),
            mfa: identity.session_context.attributes.mfa_authenticated,
            nature: Nature::Unknown,
        };
        actor.nature = nature(&actor, record);
        actor
    }
}

struct Standing {
    kind: ActorKind,
    id: String,
    session: Option<String>,
}

impl Standing {
    fn of(identity: &UserIdentity<'_>, home: &str) -> Self {
        let issuer = &identity.session_context.session_issuer;
        let issuer_arn = issuer.arn.as_deref();
        let arn = identity.arn.as_deref().map(Arn::split);
        let named = |kind, id: &str| Self { kind, id: id.to_owned(), session: None };
        match (identity.kind.as_deref().unwrap_or_default(), arn) {
            // "arn:aws:sts::123456789012:assumed-role/name/session"; some write iam for sts.
            (_, Some(Arn { partition, account, rest, .. })) if rest.starts_with("assumed-role/") => {
                let (role, session) = session_of(rest, "assumed-role/");
                let role = || format!("arn:{partition}:iam::{account}:role/{role}");
                Self { kind: ActorKind::Role, id: issuer_arn.map_or_else(role, str::to_owned), session }
            }
            ("AssumedRole", _) => {
                let session =
                    identity.principal_id.as_deref().and_then(|id| id.split_once(':')).map(|(_, name)| name.to_owned());
                let id = issuer_arn.or(identity.arn.as_deref()).map(str::to_owned);
                let id = id.or_else(|| Some(format!("arn:aws:iam::{home}:role/{}", issuer.user_name.as_deref()?)));
                Self { kind: ActorKind::Role, id: id.unwrap_or_default(), session }
            }
            // The user's permissions, or the root user's, are behind a federated session.
            (_, Some(Arn { rest, .. })) if rest.starts_with("federated-user/") => {
                let (name, _) = session_of(rest, "federated-user/");
                let behind = issuer_arn.or(identity.arn.as_deref()).unwrap_or_default();
                Self { kind: ActorKind::Federated, id: behind.to_owned(), session: Some(name.to_owned()) }
            }
            ("Root", _) | (_, Some(Arn { rest: "root", .. })) => match identity.arn.as_deref() {
                Some(arn) => named(ActorKind::Root, arn),
                None => Self { kind: ActorKind::Root, id: format!("arn:aws:iam::{home}:root"), session: None },
            },
            ("IAMUser", _) => match (identity.arn.as_deref(), identity.user_name.as_deref()) {
                (Some(arn), _) => named(ActorKind::User, arn),
                (None, Some(name)) => {
                    Self { kind: ActorKind::User, id: format!("arn:aws:iam::{home}:user/{name}"), session: None }
                }
                (None, None) => named(ActorKind::User, identity.principal_id.as_deref().unwrap_or_default()),
            },
            (_, Some(Arn { service: "iam", rest, .. })) if rest.starts_with("user/") => {
                named(ActorKind::User, identity.arn.as_deref().unwrap_or_default())
            }
            ("FederatedUser" | "SAMLUser" | "WebIdentityUser", _) => {
                let id =
                    issuer_arn.or(identity.arn.as_deref()).or(identity.principal_id.as_deref()).unwrap_or_default();
                let session = identity.user_name.as_deref().map(str::to_owned);
                Self { kind: ActorKind::Federated, id: id.to_owned(), session }
            }
            ("IdentityCenterUser", _) => {
                let user = identity.on_behalf_of.user_id.as_deref().or(identity.principal_id.as_deref());
                named(ActorKind::IdentityCenter, user.unwrap_or_default())
            }
            // Of another account only the account and the principal's unique id are told, and the id may be a session's.
            ("AWSAccount", _) => {
                let principal = identity.principal_id.as_deref().unwrap_or_default();
                let session = principal.split_once(':').map(|(_, session)| session.to_owned());
                let account = identity.account_id.as_deref().unwrap_or_default();
                Self { kind: ActorKind::Account, id: account.to_owned(), session }
            }
            (_, _) => match (identity.invoked_by.as_deref(), identity.arn.as_deref()) {
                (Some(service), None) => named(ActorKind::Service, service),
                (_, Some(arn)) => named(ActorKind::Unknown, arn),
                (None, None) => {
                    let id = identity.user_name.as_deref().or(identity.principal_id.as_deref()).unwrap_or_default();
                    named(ActorKind::Unknown, id)
                }
            },
        }
    }
}

/// The name that follows a prefix, and the session after it.
fn session_of<'a>(rest: &'a str, prefix: &str) -> (&'a str, Option<String>) {
    let path = rest.strip_prefix(prefix).unwrap_or(rest);
    match path.rsplit_once('/') {
        Some((name, session)) => (name, Some(session.to_owned())),
        None => (path, None),
    }
}

/// The parts of `arn:partition:service:region:account:rest`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arn<'a> {
    pub(super) partition: &'a str,
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) rest: &'a str,
}

impl<'a> Arn<'a> {
    /// The parts of a text; of one that is no ARN, none.
    pub(super) fn split(text: &'a str) -> Self {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (arn, partition, service, region, account, rest) = (next(), next(), next(), next(), next(), next());
        if arn == "arn" { Self { partition, service, region, account, rest } } else { Self::default() }
    }
}

/// Certain signs only: what follows from this must not call a program a person. Programs run with a person's keys, so
/// that an IAM user may be either.
fn nature(actor: &Actor, record: &Record<'_>) -> Nature {
    let identity = &record.user_identity;
    let user_agent = record.user_agent.as_deref().unwrap_or_default();
    let is_from_browser = user_agent.starts_with("Mozilla/")
        || user_agent.starts_with("[S3Console")
        || matches!(user_agent, "console.amazonaws.com" | "signin.amazonaws.com");
    let role = actor.id.rsplit('/').next().unwrap_or_default();
    let session = actor.session.as_deref().unwrap_or_default();
    let is_person = actor.kind == ActorKind::Root
        || actor.kind == ActorKind::IdentityCenter
        || identity.on_behalf_of.user_id.is_some()
        || actor.mfa == Some(true)
        || record.session_credential_from_console == Some(true)
        || is_from_browser
        || role.starts_with("AWSReservedSSO_")
        || session.contains('@');
    let is_program = actor.kind == ActorKind::Service
        || identity.in_scope_of.issuer_type.is_some()
        || identity.session_context.ec2_role_delivery.is_some()
        || role.starts_with("AWSServiceRoleFor")
        || is_instance(session)
        || user_agent.contains("exec-env/AWS_Lambda")
        || user_agent.contains("exec-env/AWS_ECS");
    match (is_program, is_person) {
        (true, _) => Nature::Machine,
        (false, true) => Nature::Human,
        (false, false) => Nature::Unknown,
    }
}

/// Whether a session is named by an instance: `i-0123456789abcdef0`.
fn is_instance(session: &str) -> bool {
    session
        .strip_prefix("i-")
        .is_some_and(|id| matches!(id.len(), 8 | 17) && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
