//! Rotation.
use crate::audit::{baseline::Baseline, finding::Finding, policy::Policy};
use relatch_events::moment::Moment;
pub(super) fn overdue(_b: &mut Baseline, _p: &Policy, _now: Moment, _found: &mut Vec<Finding>) {}
