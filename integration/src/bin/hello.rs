//! The smallest Lambda function there is: it answers with the event it was given.
//!
//! The harness is tested with it, and it is the peer of the cold-start benchmark, so it stays bare.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(|event: LambdaEvent<Value>| async move { Ok::<_, Error>(event.payload) })).await
}
