//! The local cloud and the proof: everything here runs on one machine, with no AWS account.
//!
//! A real PostgreSQL with TLS, a stand-in for the AWS APIs that is stricter than AWS, and the real
//! handler binaries driven through a Lambda Runtime API.

pub mod activity;
pub mod aws;
pub mod bus;
pub mod certificates;
pub mod cli;
pub mod cloud;
pub mod condition;
pub mod consumer;
pub mod impostor;
pub mod lambda;
pub mod matrix;
pub mod pooler;
pub mod postgres;
pub mod queue;
pub mod receiver;
pub mod rotation;
pub mod template;
pub mod trail;
pub mod wire;
