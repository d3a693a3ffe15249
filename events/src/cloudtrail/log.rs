//! Many records from a file, one after the other.
