//! One record of CloudTrail.
