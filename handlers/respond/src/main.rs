//! Failed rotations, alarms, a schedule → look, repair, tell.

use lambda_runtime::{Error, run, service_fn};
use relatch::telemetry;
use respond::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let app = App::from_env().await?;
    run(service_fn(|event| app.handle(event))).await
}
