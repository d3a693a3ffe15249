//! What to do next about one secret, and why. Pure.
//!
//! Where both are asked for, the principal is denied first, that is proved, and only then what was read becomes worthless:
//! in any other order it reads the new value. Only where no denial can come about, or none has in [`OVERDUE`], is what was
//! read replaced without one: whoever can keep a policy from being changed is not to keep what he has read as well.

use super::{Spared, policy::Unmerged};
use crate::language::Spoken;
use jiff::SignedDuration;
use relatch_events::{moment::Moment, secret::VersionId};
use std::fmt;

/// How often in a row it has to be seen that the principal is shut out: what one machine of Secrets Manager knows, another
/// may not know yet.
pub const PROOFS: u8 = 2;

/// For how long a rotation waits for a denial that may still come about.
pub const OVERDUE: SignedDuration = SignedDuration::from_mins(15);

/// What is known of a secret and of what is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether the principal is to be denied, and may be by the settings.
    pub deny: bool,
    /// Whether the secret is to be rotated, and may be by the settings.
    pub rotate: bool,
    /// Whether the principal is spared.
    pub spared: Option<Spared>,
    /// When it was read last; nothing where it was only changed.
    pub read: Option<Moment>,
    /// Which versions are known to have been read; others may have been.
    pub versions: Vec<VersionId>,
    /// How the secret stands.
    pub secret: Option<Standing>,
    /// How its policy stands, as read last.
    pub door: Option<Door>,
    /// What came of putting a policy.
    pub put: Option<Put>,
    /// How often in a row it was seen that the policy has taken effect.
    pub shut: u8,
    /// Whether no more time is left to wait for that.
    pub is_late: bool,
    /// Whether it was asked for so long ago that a rotation waits no longer.
    pub is_overdue: bool,
    /// Which versions are current and pending, seen after the denial.
    pub labels: Option<Labels>,
    /// Whether the current version was made after the last read.
    pub is_newer: Option<bool>,
    /// What came of asking for a rotation.
    pub began: Option<Began>,
}

/// How a secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Something keeps it from being touched at all.
    Untouchable(Obstacle),
    /// It can be contained.
    Contained {
        /// What keeps it from being rotated.
        rotation: Option<Obstacle>,
    },
}

/// How a secret's policy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// The principal is not denied; with this policy it would be.
    Open(String),
    /// The policy denies it, and everybody this label.
    Closed(String),
    /// The policy has to be left as it is.
    Stuck(Unmerged),
}

/// What came of putting a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was taken.
    Taken,
    /// Secrets Manager has objections to it.
    Refused,
}

/// What came of asking for a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// It has begun.
    Now,
    /// An earlier one is not complete.
    Before,
    /// Secrets Manager does not take the request.
    Refused,
}

/// Which versions hold which labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// AWSCURRENT.
    pub current: Option<VersionId>,
    /// AWSPENDING, where that is on another version.
    pub pending: Option<VersionId>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Find something out.
    Look(Look),
    /// Do something.
    Act(Action),
    /// Nothing more.
    End(Ending),
}

/// What to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// [`Facts::secret`].
    Secret,
    /// [`Facts::door`].
    Policy,
    /// [`Facts::shut`].
    Effect,
    /// [`Facts::labels`].
    Labels,
    /// [`Facts::is_newer`].
    Age,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Put this policy.
    Deny(String),
    /// Ask for a rotation.
    Rotate,
}

/// What has come of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Of the denial.
    pub denial: Denial,
    /// Of the rotation.
    pub rotation: Rotation,
}

/// What has come of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Nobody has asked for it, or the settings do not allow it.
    NotAsked,
    /// The principal is denied, and that was seen to be in effect.
    Proved,
    /// Not done.
    Failed(Obstacle),
}

/// What has come of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Nobody has asked for it, the settings do not allow it, or nothing was read.
    NotAsked,
    /// It has begun, or one that replaces what was read had begun before.
    Begun,
    /// What is current was made after the last read, and so is not what was read.
    AlreadyRotated,
    /// Not done yet: the principal would read the new value, too.
    HeldBack,
    /// Not done.
    Failed(Obstacle),
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// There is no such secret.
    Missing,
    /// The name leads to a secret of another account or region, or to one of another name.
    Elsewhere,
    /// Relatch does not rotate it, and so does not look after it; its role may not even look at it.
    NotOurs,
    /// A service of AWS manages it.
    Managed,
    /// It is scheduled for deletion.
    Deleted,
    /// Somebody has paused it, or everything.
    Paused,
    /// The principal is spared.
    Spared(Spared),
    /// The policy cannot be changed.
    Policy(Unmerged),
    /// Secrets Manager does not take the policy.
    PolicyRefused,
    /// It could not be seen in time that the policy has taken effect.
    Unproved,
    /// Its rotation is switched off.
    RotationOff,
    /// Its rotations are stopped, after attempts that failed.
    Stopped,
    /// What is being rotated in was read, too.
    PendingRead,
    /// Secrets Manager does not take the request.
    RotationRefused,
    /// A call did not succeed.
    Interrupted,
}

/// What to do next.
pub fn plan(facts: &Facts) -> Plan {
    let held_back = if wants_rotation(facts) { Rotation::HeldBack } else { Rotation::NotAsked };
    match facts.secret {
        None => Plan::Look(Look::Secret),
        Some(Standing::Untouchable(why)) => {
            let denial = if facts.deny { Denial::Failed(why) } else { Denial::NotAsked };
            let rotation = match (wants_rotation(facts), facts.deny) {
                (true, false) => Rotation::Failed(why),
                (_, _) => held_back,
            };
            Plan::End(Ending { denial, rotation })
        }
        Some(Standing::Contained { rotation: obstacle }) => match denial(facts) {
            Err(first) => first,
            Ok(denial @ Denial::Failed(why)) if why.passes() && !facts.is_overdue => {
                Plan::End(Ending { denial, rotation: held_back })
            }
            Ok(denial) => match rotation(facts, obstacle) {
                Err(first) => first,
                Ok(rotation) => Plan::End(Ending { denial, rotation }),
            },
        },
    }
}

pub(super) const fn wants_rotation(facts: &Facts) -> bool {
    facts.rotate && facts.read.is_some()
}

/// What has come of the denial, or what is to be done first.
fn denial(facts: &Facts) -> Result<Denial, Plan> {
    if !facts.deny {
        return Ok(Denial::NotAsked);
    }
    if let Some(spared) = facts.spared {
        return Ok(Denial::Failed(Obstacle::Spared(spared)));
    }
    match (&facts.door, facts.put) {
        (None, _) => Err(Plan::Look(Look::Policy)),
        (Some(Door::Stuck(why)), _) => Ok(Denial::Failed(Obstacle::Policy(*why))),
        (Some(Door::Open(_)), Some(Put::Refused)) => Ok(Denial::Failed(Obstacle::PolicyRefused)),
        (Some(Door::Open(policy)), None) => Err(Plan::Act(Action::Deny(policy.clone()))),
        (Some(Door::Closed(_)), _) if facts.shut >= PROOFS => Ok(Denial::Proved),
        (Some(Door::Open(_) | Door::Closed(_)), _) if facts.is_late => Ok(Denial::Failed(Obstacle::Unproved)),
        // What is read back may be a little old.
        (Some(Door::Open(_)), Some(Put::Taken)) => Err(Plan::Look(Look::Policy)),
        (Some(Door::Closed(_)), _) => Err(Plan::Look(Look::Effect)),
    }
}

/// What has come of the rotation, or what is to be done first.
fn rotation(facts: &Facts, obstacle: Option<Obstacle>) -> Result<Rotation, Plan> {
    if !wants_rotation(facts) {
        return Ok(Rotation::NotAsked);
    }
    match facts.began {
        Some(Began::Now | Began::Before) => return Ok(Rotation::Begun),
        Some(Began::Refused) => return Ok(Rotation::Failed(Obstacle::RotationRefused)),
        None => {}
    }
    let Some(Labels { current, pending }) = &facts.labels else { return Err(Plan::Look(Look::Labels)) };
    let was_read = |version: &Option<VersionId>| version.as_ref().is_some_and(|id| facts.versions.contains(id));
    // That it is not among those that are known says nothing: of some reads the version is not known. Once too often is
    // better than never.
    let is_current = match (was_read(current), facts.is_newer) {
        (true, _) => true,
        (false, Some(is_newer)) => !is_newer,
        (false, None) => return Err(Plan::Look(Look::Age)),
    };
    match (is_current, pending) {
        (_, Some(_)) if was_read(pending) => Ok(Rotation::Failed(Obstacle::PendingRead)),
        (false, _) => Ok(Rotation::AlreadyRotated),
        (true, _) if obstacle.is_some() => Ok(obstacle.map_or(Rotation::NotAsked, Rotation::Failed)),
        (true, Some(_)) => Ok(Rotation::Begun),
        (true, None) => Err(Plan::Act(Action::Rotate)),
    }
}

impl Ending {
    /// Whether all that was asked for is so now.
    pub const fn is_done(&self) -> bool {
        self.obstacle().is_none()
    }

    /// What is in the way of it.
    pub const fn obstacle(&self) -> Option<Obstacle> {
        match (self.denial, self.rotation) {
            (Denial::Failed(why), _) | (_, Rotation::Failed(why)) => Some(why),
            (Denial::NotAsked | Denial::Proved, _) => None,
        }
    }
}

impl Denial {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::Proved => "proved",
            Self::Failed(why) => why.name(),
        }
    }
}

impl Rotation {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::Begun => "begun",
            Self::AlreadyRotated => "already-rotated",
            Self::HeldBack => "held-back",
            Self::Failed(why) => why.name(),
        }
    }
}

impl Obstacle {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Elsewhere => "elsewhere",
            Self::NotOurs => "not-ours",
            Self::Managed => "managed-by-service",
            Self::Deleted => "scheduled-for-deletion",
            Self::Paused => "paused",
            Self::Spared(Spared::Root) => "root",
            Self::Spared(Spared::Service) => "service",
            Self::Spared(Spared::Nameless) => "nameless",
            Self::Spared(Spared::Never) => "never-denied",
            Self::Policy(Unmerged::Unreadable) => "policy-unreadable",
            Self::Policy(Unmerged::Full) => "policy-full",
            Self::Policy(Unmerged::Crowded) => "policy-crowded",
            Self::PolicyRefused => "policy-refused",
            Self::Unproved => "unproved",
            Self::RotationOff => "rotation-off",
            Self::Stopped => "stopped",
            Self::PendingRead => "pending-read",
            Self::RotationRefused => "rotation-refused",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether it may be gone when the same is asked again.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Unproved | Self::PendingRead | Self::Interrupted)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no such secret here",
            Self::Elsewhere => "it is a secret of another account, region or name",
            Self::NotOurs => "Relatch does not rotate it, or respond may not look at it",
            Self::Managed => "a service of AWS manages it",
            Self::Deleted => "it is scheduled for deletion",
            Self::Paused => "it is paused",
            Self::Spared(Spared::Root) => "nothing is denied to a root user",
            Self::Spared(Spared::Service) => "nothing is denied to a service of AWS",
            Self::Spared(Spared::Nameless) => "the principal is no role or user whose ARN is known",
            Self::Spared(Spared::Never) => "the principal is one that is never denied (RELATCH_NEVER_DENY)",
            Self::Policy(Unmerged::Unreadable) => "its policy cannot be read",
            Self::Policy(Unmerged::Full) => "its policy is full",
            Self::Policy(Unmerged::Crowded) => "16 principals are denied it already, and more cannot be",
            Self::PolicyRefused => "Secrets Manager has objections to the policy",
            Self::Unproved => "it could not be seen in time that the policy has taken effect",
            Self::RotationOff => "its rotation is switched off",
            Self::Stopped => "its rotations are stopped",
            Self::PendingRead => "what is being rotated in was read as well",
            Self::RotationRefused => "Secrets Manager does not rotate it",
            Self::Interrupted => "a call did not succeed; the function's log says which",
        })
    }
}

impl Spoken for Obstacle {
    fn japanese(&self) -> String {
        match self {
            Self::Missing => "このシークレットは存在しません",
            Self::Elsewhere => "別のアカウント、リージョン、または別名のシークレットです",
            Self::NotOurs => "Relatchがローテーションしているシークレットではないか、respondに参照する権限がありません",
            Self::Managed => "AWSのサービスが管理しています",
            Self::Deleted => "削除予定です",
            Self::Paused => "一時停止中です",
            Self::Spared(Spared::Root) => "ルートユーザーは拒否の対象外です",
            Self::Spared(Spared::Service) => "AWSのサービスは拒否の対象外です",
            Self::Spared(Spared::Nameless) => "プリンシパルは、ARNが分かるロールやユーザーではありません",
            Self::Spared(Spared::Never) => "プリンシパルは拒否の対象外に設定されています（RELATCH_NEVER_DENY）",
            Self::Policy(Unmerged::Unreadable) => "リソースポリシーを読み取れません",
            Self::Policy(Unmerged::Full) => "リソースポリシーに空きがありません",
            Self::Policy(Unmerged::Crowded) => "すでに上限の16のプリンシパルが拒否されています",
            Self::PolicyRefused => "Secrets Managerがリソースポリシーを受け付けません",
            Self::Unproved => "リソースポリシーが有効になったことを時間内に確認できませんでした",
            Self::RotationOff => "ローテーションが無効です",
            Self::Stopped => "ローテーションが停止されています",
            Self::PendingRead => "ローテーション中の新しい値も読み取られています",
            Self::RotationRefused => "Secrets Managerがローテーションを受け付けません",
            Self::Interrupted => "呼び出しが失敗しました。詳細は関数のログを確認してください",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn version(id: &str) -> VersionId {
        VersionId::try_from(id).unwrap()
    }

    /// Both are asked for, of somebody who has read the version `old`.
    fn asked() -> Facts {
        Facts {
            deny: true,
            rotate: true,
            read: Some(Moment::from_millis(0)),
            versions: vec![version("old")],
            ..Facts::default()
        }
    }

    fn closed() -> Door {
        Door::Closed("PROBE".to_owned())
    }

    fn labels(current: &str, pending: Option<&str>) -> Option<Labels> {
        Some(Labels { current: Some(version(current)), pending: pending.map(version) })
    }

    /// Everything that can be learned by a look or an action.
    fn learned(facts: &Facts, plan: &Plan) -> Vec<Facts> {
        let with = |change: &dyn Fn(&mut Facts)| {
            let mut facts = facts.clone();
            change(&mut facts);
            facts
        };
        match plan {
            Plan::Look(Look::Secret) => {
                let left = [Obstacle::NotOurs, Obstacle::Managed, Obstacle::Paused].map(Standing::Untouchable);
                let contained = [None, Some(Obstacle::RotationOff), Some(Obstacle::Stopped)];
                let all = left.into_iter().chain(contained.map(|rotation| Standing::Contained { rotation }));
                all.map(|standing| with(&|facts| facts.secret = Some(standing))).collect()
            }
            Plan::Look(Look::Policy) => {
                let stuck = [Unmerged::Full, Unmerged::Crowded, Unmerged::Unreadable].map(Door::Stuck);
                let doors = stuck.into_iter().chain([Door::Open("{}".to_owned()), closed()]);
                doors.map(|door| with(&|facts| facts.door = Some(door.clone()))).collect()
            }
            Plan::Look(Look::Effect) => vec![with(&|facts| facts.shut += 1), with(&|facts| facts.shut = 0)],
            Plan::Look(Look::Labels) => {
                let all = [("old", None), ("new", None), ("old", Some("next")), ("new", Some("old"))];
                all.iter().map(|(current, pending)| with(&|f| f.labels = labels(current, *pending))).collect()
            }
            Plan::Look(Look::Age) => [true, false].map(|is| with(&|facts| facts.is_newer = Some(is))).to_vec(),
            Plan::Act(Action::Deny(_)) => {
                let refused = with(&|facts| facts.put = Some(Put::Refused));
                vec![refused, with(&|facts| (facts.put, facts.door) = (Some(Put::Taken), None))]
            }
            Plan::Act(Action::Rotate) => [Began::Now, Began::Before, Began::Refused]
                .map(|began| with(&|facts| facts.began = Some(began)))
                .to_vec(),
            Plan::End(_) => Vec::new(),
        }
    }

    /// Walks every way there is from some facts, and says how each ends. `seen` is asked at every step.
    fn walk(facts: &Facts, steps: usize, seen: &mut dyn FnMut(&Facts, &Plan)) {
        let facts = Facts { is_late: facts.is_late || steps > 12, ..facts.clone() };
        let plan = plan(&facts);
        seen(&facts, &plan);
        assert!(steps < 24, "it does not end: {facts:?}");
        for next in learned(&facts, &plan) {
            walk(&next, steps + 1, seen);
        }
    }

    fn every_request() -> Vec<Facts> {
        let mut all = Vec::new();
        for (deny, rotate) in [(true, true), (true, false), (false, true)] {
            for versions in [vec![version("old")], Vec::new()] {
                for read in [Some(Moment::from_millis(0)), None] {
                    for spared in [None, Some(Spared::Never), Some(Spared::Root)] {
                        all.push(Facts { deny, rotate, spared, read, versions: versions.clone(), ..asked() });
                    }
                }
            }
        }
        all
    }

    /// No denial can come about any more, or none has for long.
    fn is_hopeless(facts: &Facts) -> bool {
        facts.is_overdue
            || facts.spared.is_some()
            || facts.put == Some(Put::Refused)
            || matches!(facts.door, Some(Door::Stuck(_)))
    }

    /// Or whoever can make a denial impossible keeps what he has read as well.
    #[test]
    fn where_nothing_can_be_denied_any_more_what_was_read_is_replaced_all_the_same() {
        let known = Some(Standing::Contained { rotation: None });
        let stuck = [Unmerged::Full, Unmerged::Crowded, Unmerged::Unreadable]
            .map(|why| Facts { door: Some(Door::Stuck(why)), ..asked() });
        let refused = Facts { door: Some(Door::Open("{}".to_owned())), put: Some(Put::Refused), ..asked() };
        let spared = Facts { spared: Some(Spared::Nameless), ..asked() };
        let unproved = Facts { door: Some(closed()), is_late: true, is_overdue: true, ..asked() };
        for facts in stuck.into_iter().chain([refused, spared, unproved]) {
            let mut facts = Facts { secret: known, labels: labels("old", None), ..facts };
            assert_eq!(plan(&facts), Plan::Act(Action::Rotate), "{facts:?}");
            facts.began = Some(Began::Now);
            let ended = plan(&facts);
            let failed = matches!(ended, Plan::End(Ending { denial: Denial::Failed(_), rotation: Rotation::Begun }));
            assert!(failed, "people are told that it is not denied: {ended:?}");
        }
    }

    #[test]
    fn nothing_is_rotated_before_the_denial_that_is_asked_for_is_proved() {
        let (mut rotations, mut denials) = (0, 0);
        for request in every_request() {
            walk(&request, 0, &mut |facts, plan| match plan {
                Plan::Act(Action::Rotate) => {
                    rotations += 1;
                    assert!(facts.rotate && facts.read.is_some(), "{facts:?}");
                    let is_proved = facts.shut >= PROOFS && facts.door == Some(closed());
                    assert!(!facts.deny || is_proved || is_hopeless(facts), "{facts:?}");
                    assert!(matches!(facts.secret, Some(Standing::Contained { rotation: None })), "{facts:?}");
                }
                Plan::Act(Action::Deny(_)) => {
                    denials += 1;
                    assert!(facts.deny && facts.spared.is_none() && facts.put.is_none(), "{facts:?}");
                    assert!(matches!(facts.secret, Some(Standing::Contained { .. })), "{facts:?}");
                }
                Plan::End(Ending { denial, rotation }) => {
                    assert_eq!(facts.deny, *denial != Denial::NotAsked);
                    if matches!(denial, Denial::Failed(why) if why.passes()) && !facts.is_overdue {
                        assert!(matches!(rotation, Rotation::HeldBack | Rotation::NotAsked), "{facts:?}");
                    }
                    assert!(*rotation != Rotation::AlreadyRotated || facts.is_newer == Some(true), "{facts:?}");
                }
                Plan::Look(_) => {}
            });
        }
        assert!(rotations > 100 && denials > 10, "{rotations} {denials}");
    }

    #[test]
    fn what_is_decided_of_what_was_found() {
        let known = |rotation| Some(Standing::Contained { rotation });
        let proved = Facts { secret: known(None), door: Some(closed()), shut: PROOFS, ..asked() };
        let open = Some(Door::Open("POLICY".to_owned()));
        let at = |facts: Facts, labels: Option<Labels>| Facts { labels, ..facts };
        let rows: Vec<(&str, Facts)> = vec![
            ("nothing is known", asked()),
            ("not ours", Facts { secret: Some(Standing::Untouchable(Obstacle::NotOurs)), ..asked() }),
            (
                "not ours, only rotate",
                Facts { deny: false, secret: Some(Standing::Untouchable(Obstacle::NotOurs)), ..asked() },
            ),
            ("never denied", Facts { spared: Some(Spared::Never), secret: known(None), ..asked() }),
            (
                "never denied, only rotate",
                Facts { deny: false, spared: Some(Spared::Never), secret: known(None), ..asked() },
            ),
            ("the policy lets it in", Facts { secret: known(None), door: open.clone(), ..asked() }),
            (
                "it was put, and is not there yet",
                Facts { secret: known(None), door: open.clone(), put: Some(Put::Taken), ..asked() },
            ),
            ("it was refused", Facts { secret: known(None), door: open, put: Some(Put::Refused), ..asked() }),
            ("full", Facts { secret: known(None), door: Some(Door::Stuck(Unmerged::Full)), ..asked() }),
            ("there, not in effect yet", Facts { shut: 0, ..proved.clone() }),
            ("seen once", Facts { shut: 1, ..proved.clone() }),
            (
                "crowded",
                Facts { door: Some(Door::Stuck(Unmerged::Crowded)), ..Facts { secret: known(None), ..asked() } },
            ),
            ("time is up", Facts { shut: 1, is_late: true, ..proved.clone() }),
            ("time is up, for long", Facts { shut: 1, is_late: true, is_overdue: true, ..proved.clone() }),
            ("proved", proved.clone()),
            ("proved, changed only", Facts { read: None, ..proved.clone() }),
            ("proved, what was read is current", at(proved.clone(), labels("old", None))),
            ("proved, another is current", at(proved.clone(), labels("new", None))),
            ("proved, rotated since", at(Facts { is_newer: Some(true), ..proved.clone() }, labels("new", None))),
            (
                "proved, another is current, made before the read",
                at(Facts { is_newer: Some(false), ..proved.clone() }, labels("new", None)),
            ),
            ("proved, another is on its way", at(proved.clone(), labels("old", Some("next")))),
            (
                "proved, what was read is on its way",
                at(Facts { is_newer: Some(true), ..proved.clone() }, labels("new", Some("old"))),
            ),
            (
                "proved, rotation off",
                at(Facts { secret: known(Some(Obstacle::RotationOff)), ..proved.clone() }, labels("old", None)),
            ),
            (
                "proved, rotation off, rotated since",
                at(
                    Facts { secret: known(Some(Obstacle::RotationOff)), is_newer: Some(true), ..proved.clone() },
                    labels("new", None),
                ),
            ),
            ("version unknown", at(Facts { versions: Vec::new(), ..proved.clone() }, labels("old", None))),
            (
                "version unknown, made since",
                at(Facts { versions: Vec::new(), is_newer: Some(true), ..proved.clone() }, labels("old", None)),
            ),
            (
                "version unknown, older",
                at(Facts { versions: Vec::new(), is_newer: Some(false), ..proved.clone() }, labels("old", None)),
            ),
            ("begun", Facts { began: Some(Began::Now), ..proved.clone() }),
            ("begun before", Facts { began: Some(Began::Before), ..proved.clone() }),
            ("rotation refused", Facts { began: Some(Began::Refused), ..proved }),
        ];
        let said = |plan: Plan| match plan {
            Plan::Look(look) => format!("look: {look:?}"),
            Plan::Act(action) => format!("act: {action:?}"),
            Plan::End(Ending { denial, rotation }) => {
                format!("end: denial {}, rotation {}", denial.name(), rotation.name())
            }
        };
        let lines: Vec<String> =
            rows.into_iter().map(|(name, facts)| format!("{name}: {}", said(plan(&facts)))).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
