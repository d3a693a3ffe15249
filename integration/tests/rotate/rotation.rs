//! What a rotation does when nothing goes wrong.

use relatch_integration::{
    cloud::{Cloud, Standing},
    rotation::rotate,
};

#[tokio::test]
async fn a_rotation_gives_the_database_and_the_secret_a_new_password() {
    let cloud = Cloud::start().await.unwrap();
    let secret = cloud.database_secret("app").await.unwrap();
    let function = cloud.rotate().unwrap();
    let outcome = rotate(&cloud.aws, &function, &secret).await.unwrap();
    for step in outcome.steps() {
        println!("{} {:?} {:?}", step.step, step.took, step.outcome);
    }
    for line in function.output().lines() {
        println!("{}", line.text);
    }
    for operation in cloud.wire.operations() {
        println!("{operation:?}");
    }
    println!("{} calls, {:?}", outcome.calls().count(), cloud.wire.tally());
    assert!(outcome.succeeded());
    assert_eq!(cloud.standing(&secret).await.unwrap(), Standing::Fine);
}
