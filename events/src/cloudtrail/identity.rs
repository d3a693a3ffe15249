//! Who made a call: the principal behind the session, and whether that is a person.

use serde::Serialize;

/// Who made a call, by what stays the same from one session to the next.
///
/// Source: the CloudTrail user guide, "CloudTrail userIdentity element".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
