//! What GuardDuty has found: it is passed on, as gravely as GuardDuty takes it.

use super::case::Case;
use crate::audit::finding::{Evidence, Kind, Severity};
use relatch_events::guardduty::{Grade, Report};

pub(super) fn judge(case: &mut Case<'_>, report: &Report) {
    let finding = case.raise(Kind::GuarddutyFinding, false);
    finding.severity = match report.grade {
        Grade::Low => Severity::Low,
        Grade::Medium => Severity::Medium,
        Grade::High => Severity::High,
        Grade::Critical => Severity::Critical,
    };
    finding.evidence.push(Evidence::GuardDuty { finding: report.kind.clone(), title: report.title.clone() });
}
