//! Reads.
use crate::audit::{finding::Finding, policy::Policy};
use relatch_events::moment::Moment;
#[derive(Debug, Default)]
pub(super) struct Unexplained;
impl Unexplained {
    pub(super) fn due(&mut self, _now: Moment, _policy: &Policy, _found: &mut Vec<Finding>) {}
}
