//! Which facts belong together.
