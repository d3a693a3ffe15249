//! What nobody has a reason to touch, and what nobody has a reason to touch it with.

use super::{case::Case, order::digest};
use crate::audit::finding::{Evidence, Kind};
use relatch_events::{
    cloudtrail::identity::ActorKind,
    fact::{Access, Account, Read, Tamper, What},
};

/// What user agents of attackers' tools have in them: scanners for secrets, and systems for penetration tests.
///
/// Sources: the tools' own source texts; the GuardDuty user guide, finding types `PenTest:IAMUser/KaliLinux`,
/// `ParrotLinux` and `PentooLinux`.
const MARKS: [&str; 10] = [
    "trufflehog",
    "cloudfox",
    "pacu",
    "scoutsuite",
    "nord-stream",
    "aws_consoler",
    "stratus-red-team",
    "kali",
    "parrot",
    "pentoo",
];

pub(super) fn judge(case: &mut Case<'_>) {
    let fact = case.fact;
    if fact.actor.kind == ActorKind::Service {
        return;
    }
    // A decryption accompanies the read that counts.
    let counts = match &fact.what {
        What::Access(Access { read, .. }) => *read != Read::Decrypt,
        What::Change(_) | What::Account(Account::Refused) => true,
        // A parameter may be a decoy.
        What::Tamper(Tamper::ParameterPut | Tamper::ParametersDeleted) => true,
        What::Rotation(_) | What::Tamper(_) | What::Account(_) | What::Reported(_) => return,
    };
    if !counts {
        return;
    }
    if !case.policy.decoys.names.is_empty() && !may_touch_decoys(case) {
        for target in fact.secrets() {
            let (secret, standing) = case.meet(target);
            if standing.is_decoy && case.is_news_of(Kind::DecoyTouched, secret) {
                case.raise_of(Kind::DecoyTouched, target, false);
            }
        }
    }
    if let Some(mark) = mark(case) {
        case.raise_of_each(Kind::HostileTool, &[Evidence::Tool(mark.to_owned())]);
    }
}

fn may_touch_decoys(case: &mut Case<'_>) -> bool {
    let is_ours = case.is_of_ours();
    case.standing().may_touch_decoys.holds(is_ours)
}

/// The mark of a hostile tool in the user agent. A program keeps its own for thousands of calls, so the last is known.
fn mark(case: &mut Case<'_>) -> Option<&'static str> {
    let agent = case.fact.user_agent.as_deref()?;
    let digest = digest(agent);
    match case.recent().agent {
        Some((known, mark)) if known == digest => mark,
        Some(_) | None => {
            let is_trusted = case.policy.trusted.tools.iter().any(|tool| agent.contains(tool.as_str()));
            let mark = if is_trusted { None } else { mark_of(agent) };
            case.recent().agent = Some((digest, mark));
            mark
        }
    }
}

/// As a word of its own: "kali" is no part of another.
fn mark_of(agent: &str) -> Option<&'static str> {
    let agent = agent.to_ascii_lowercase();
    let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    MARKS.into_iter().find(|mark| {
        agent.match_indices(mark).any(|(at, _)| {
            let before = at.checked_sub(1).and_then(|before| agent.as_bytes().get(before));
            !letter(before) && !letter(agent.as_bytes().get(at + mark.len()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_known_by_a_word_of_its_user_agent() {
        for (agent, expected) in [
            ("TruffleHog", Some("trufflehog")),
            ("aws-cli/2.17.0 Python/3.11 Linux/6.6.9-kali1-amd64", Some("kali")),
            ("Boto3/1.34 md/Botocore#1.34 os/linux#6.1.0-1parrot1-amd64", Some("parrot")),
            ("stratus-red-team_0b2e", Some("stratus-red-team")),
            ("alkaline-batteries/1.0", None),
            ("aws-sdk-rust/1.3 os/linux lang/rust/1.95", None),
        ] {
            assert_eq!(mark_of(agent), expected, "{agent}");
        }
    }
}
