//! Alerts of a topic → Slack, PagerDuty.

use lambda_runtime::{Error, run, service_fn};
use notify::App;
use relatch::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let app = App::from_env().await?;
    run(service_fn(|event| app.handle(event))).await
}
