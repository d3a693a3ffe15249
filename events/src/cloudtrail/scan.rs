//! Where a record begins and ends.
