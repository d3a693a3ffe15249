//! The cases: which fault, at which operation, of which rotation.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

/// Whose password is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// One user, whose password changes under its applications.
    SingleUser,
    /// Two users that take turns, by an admin's hand.
    AlternatingUsers,
}

/// When AWSCURRENT moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promote {
    /// In finishSecret.
    AtFinish,
    /// In setSecret, right after the proof.
    AfterVerify,
}

/// A way to rotate, of which each is a matrix of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Whose password is changed.
    pub strategy: Strategy,
    /// When AWSCURRENT moves.
    pub promote: Promote,
}

/// Where an operation is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Calls to Secrets Manager.
    Aws,
    /// Messages to PostgreSQL that await an answer; see [`crate::wire`].
    Wire,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Refused without effect: 503, three times in a row, which is as often as the SDK tries; or the connection is
    /// closed.
    Refuse,
    /// Refused from here on, until the attempt is over.
    Outage,
    /// The connection is closed without an answer and without effect, three times in a row.
    Hangup,
    /// Takes effect; the answer is lost. Of a call to AWS, three times in a row.
    DropReply,
    /// Takes effect; the answer is lost once, and the SDK's own retry meets what it has done.
    DropReplyOnce,
    /// No effect and no answer, three times in a row.
    Silence,
    /// Never arrives, and the connection stays open.
    SilenceBefore,
    /// Takes effect; no answer, and the connection stays open.
    SilenceAfter,
    /// 400 ThrottlingException, three times in a row.
    Throttle,
    /// Answered from versions and labels as they were before their last change.
    StaleOnce,
    /// The same for this read and those among the three calls after it.
    StaleLong,
    /// Takes effect; the answer cannot be read, three times in a row.
    Garble,
    /// The function is killed; no effect.
    KillBefore,
    /// Takes effect; the function is killed before it can know.
    KillAfter,
    /// The function is frozen, and continues long after others have done its work. The database gets the operation only
    /// then; AWS never.
    FreezeBefore,
    /// Takes effect; the function is frozen before it can know, and continues long after others have done its work.
    FreezeAfter,
}

/// What happens after the attempt with the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aftermath {
    /// Secrets Manager tries again, with the same token. Where the function died, `respond` hears of it when all is over.
    Retried,
    /// Secrets Manager does not try again, and `respond` hears of it.
    GivenUp,
    /// An operator takes AWSPENDING off and rotates anew, and `respond` hears of how that ended.
    SteppedIn,
}

/// One fault at one operation of one way to rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The way to rotate.
    pub variant: Variant,
    /// The operation and the fault.
    pub strike: Strike,
    /// What happens then.
    pub aftermath: Aftermath,
}

/// A fault at an operation. As text: `aws:7:KillAfter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Where operations are counted.
    pub side: Side,
    /// Which one, from 1.
    pub number: u64,
    /// What goes wrong.
    pub kind: Kind,
}

/// The operations of a rotation in which nothing goes wrong, in their order, such as `setSecret GetSecretValue`.
#[derive(Clone, Debug)]
pub struct Calm {
    /// The way to rotate.
    pub variant: Variant,
    /// Calls to AWS.
    pub aws: Vec<String>,
    /// Operations on the wire.
    pub wire: Vec<String>,
}

impl Variant {
    /// Every way to rotate.
    pub const ALL: [Self; 4] = [
        Self { strategy: Strategy::SingleUser, promote: Promote::AtFinish },
        Self { strategy: Strategy::SingleUser, promote: Promote::AfterVerify },
        Self { strategy: Strategy::AlternatingUsers, promote: Promote::AtFinish },
        Self { strategy: Strategy::AlternatingUsers, promote: Promote::AfterVerify },
    ];
}

impl Promote {
    /// The value of `RELATCH_PROMOTE`.
    pub fn setting(self) -> &'static str {
        match self {
            Self::AtFinish => "at-finish",
            Self::AfterVerify => "after-verify",
        }
    }
}

impl Kind {
    /// Every kind, in the order of the report.
    pub const ALL: [Self; 16] = [
        Self::Refuse,
        Self::Outage,
        Self::Hangup,
        Self::DropReply,
        Self::DropReplyOnce,
        Self::Silence,
        Self::SilenceBefore,
        Self::SilenceAfter,
        Self::Throttle,
        Self::StaleOnce,
        Self::StaleLong,
        Self::Garble,
        Self::KillBefore,
        Self::KillAfter,
        Self::FreezeBefore,
        Self::FreezeAfter,
    ];

    /// Whether it leaves a frozen process behind.
    pub fn freezes(self) -> bool {
        matches!(self, Self::FreezeBefore | Self::FreezeAfter)
    }

    /// Whether it ends the function for good.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }

    /// Whether it can strike this operation.
    fn fits(self, side: Side, operation: &str) -> bool {
        match self {
            Self::Refuse
            | Self::Outage
            | Self::DropReply
            | Self::KillBefore
            | Self::KillAfter
            | Self::FreezeBefore
            | Self::FreezeAfter => true,
            Self::Hangup | Self::DropReplyOnce | Self::Silence | Self::Throttle | Self::Garble => side == Side::Aws,
            Self::StaleOnce | Self::StaleLong => {
                side == Side::Aws && ["DescribeSecret", "GetSecretValue"].iter().any(|read| operation.ends_with(read))
            }
            Self::SilenceBefore | Self::SilenceAfter => side == Side::Wire,
        }
    }
}

impl Calm {
    /// Every fault at every operation.
    pub fn cases(&self) -> Vec<Case> {
        let operations = self.operations();
        let cases = operations.flat_map(|place| kinds(place).map(move |kind| self.case(place, kind)));
        cases.flat_map(Case::aftermaths).collect()
    }

    /// Every operation once, the kinds of fault taking turns.
    pub fn cut(&self) -> Vec<Case> {
        let turn = |place: Place<'_>| kinds(place).cycle().nth(place.number as usize - 1);
        self.operations().filter_map(|place| Some(self.case(place, turn(place)?))).collect()
    }

    /// A death right after every operation, after which nobody tries again, or somebody steps in, in turns.
    pub fn deaths(&self) -> Vec<Case> {
        let aftermaths = [Aftermath::GivenUp, Aftermath::SteppedIn].into_iter().cycle();
        let deaths = self.operations().map(|place| self.case(place, Kind::KillAfter));
        deaths.zip(aftermaths).map(|(case, aftermath)| Case { aftermath, ..case }).collect()
    }

    /// What an operation is.
    pub fn describe(&self, strike: Strike) -> &str {
        let operations = if strike.side == Side::Aws { &self.aws } else { &self.wire };
        operations.get(strike.number as usize - 1).map_or("no such operation", String::as_str)
    }

    fn case(&self, place: Place<'_>, kind: Kind) -> Case {
        let strike = Strike { side: place.side, number: place.number, kind };
        Case { variant: self.variant, strike, aftermath: Aftermath::Retried }
    }

    fn operations(&self) -> impl Iterator<Item = Place<'_>> {
        let aws = (1..).zip(&self.aws).map(|(number, operation)| Place { side: Side::Aws, number, operation });
        let wire = (1..).zip(&self.wire).map(|(number, operation)| Place { side: Side::Wire, number, operation });
        aws.chain(wire)
    }
}

impl Case {
    /// The case with everything that may happen after it: where a single user's function died, more than one thing.
    fn aftermaths(self) -> impl Iterator<Item = Self> {
        let all = self.strike.kind.kills() && self.variant.strategy == Strategy::SingleUser;
        let count = if all { Aftermath::ALL.len() } else { 1 };
        Aftermath::ALL.into_iter().take(count).map(move |aftermath| Self { aftermath, ..self })
    }
}

impl Aftermath {
    /// All of them; what Secrets Manager usually does comes first.
    pub const ALL: [Self; 3] = [Self::Retried, Self::GivenUp, Self::SteppedIn];
}

#[derive(Clone, Copy)]
struct Place<'a> {
    side: Side,
    number: u64,
    operation: &'a str,
}

/// The kinds of fault that can strike there.
fn kinds(place: Place<'_>) -> impl Iterator<Item = Kind> + Clone + '_ {
    Kind::ALL.into_iter().filter(move |kind| kind.fits(place.side, place.operation))
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleUser => "single-user",
            Self::AlternatingUsers => "alternating-users",
        })
    }
}

impl fmt::Display for Aftermath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retried => "retried",
            Self::GivenUp => "given-up",
            Self::SteppedIn => "stepped-in",
        })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.strategy, self.promote.setting())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "aws",
            Self::Wire => "wire",
        })
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{:?}", self.side, self.number, self.kind)
    }
}

impl FromStr for Strike {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let [side, number, kind] = text.split(':').collect::<Vec<_>>()[..] else {
            bail!("a fault is written as SIDE:NUMBER:KIND, such as aws:7:KillAfter");
        };
        let side = match side {
            "aws" => Side::Aws,
            "wire" => Side::Wire,
            _ => bail!("there is `aws` and `wire`, not `{side}`"),
        };
        let number = number.parse().ok().filter(|number| *number > 0).context("operations are counted from 1")?;
        let found = Kind::ALL.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(kind));
        let kind = found.with_context(|| format!("the kinds of fault are {:?}, not `{kind}`", Kind::ALL))?;
        if (side == Side::Aws && matches!(kind, Kind::SilenceBefore | Kind::SilenceAfter))
            || (side == Side::Wire && !kind.fits(Side::Wire, ""))
        {
            bail!("there is no {kind:?} on the side of `{side}`");
        }
        Ok(Self { side, number, kind })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_strike_is_read_as_it_is_written() {
        for case in calm().cases() {
            assert_eq!(case.strike.to_string().parse::<Strike>().unwrap(), case.strike);
        }
        for wrong in ["aws:7", "aws:0:Refuse", "disk:1:Refuse", "aws:1:SilenceAfter", "wire:1:Garble", "wire:1:Fire"] {
            assert!(wrong.parse::<Strike>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_are_met_by_more_faults_than_writes_and_the_cut_visits_each_operation_once() {
        let strikes = |cases: Vec<Case>, side| cases.iter().filter(|case| case.strike.side == side).count();
        assert_eq!((strikes(calm().cases(), Side::Aws), strikes(calm().cases(), Side::Wire)), (14 + 12 + 8, 2 * 9 + 8));
        assert_eq!((strikes(calm().cut(), Side::Aws), strikes(calm().cut(), Side::Wire)), (2, 2));
    }

    fn calm() -> Calm {
        Calm {
            variant: Variant::ALL[0],
            aws: vec!["setSecret GetSecretValue".into(), "finishSecret UpdateSecretVersionStage".into()],
            wire: vec!["setSecret SSLRequest".into(), "setSecret Terminate".into()],
        }
    }
}
