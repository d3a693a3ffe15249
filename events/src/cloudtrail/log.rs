//! Many records from a file, one after the other.
pub const LARGEST: usize = 4 * 1024 * 1024;
