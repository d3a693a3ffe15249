//! What the templates come to, proved without an account: who may do what, which events go where, what it costs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agreement;
mod authority;
mod costs;
mod deploying;
mod deployment;
mod endpoints;
mod evaluation;
mod limits;
mod rules;
mod scene;
mod supply;
mod threats;
mod trust;
mod visitors;
