//! CloudTrail's records → ledger, findings, alerts.

use audit::App;
use lambda_runtime::{Error, run, service_fn};
use relatch::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let app = App::from_env().await?;
    run(service_fn(|event| app.handle(event))).await
}
