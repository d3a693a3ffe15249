//! How CloudWatch's alarms are.

use aws_sdk_cloudwatch::{
    Client,
    types::{ComparisonOperator, StateValue, Statistic},
};
use relatch::{
    adapters::alarms::CloudWatchAlarms,
    ports::{AlarmState, Alarms},
};
use relatch_integration::aws::Endpoint;

#[tokio::test]
async fn metric_and_composite_alarms_tell_their_state() {
    let aws = Endpoint::start().await.unwrap();
    let client = Client::new(&aws.sdk());
    let metric = client.put_metric_alarm().alarm_name("errors").namespace("Relatch").metric_name("RotationFailed");
    let metric = metric.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(1.0);
    metric.comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold).send().await.unwrap();
    client.put_composite_alarm().alarm_name("all").alarm_rule("ALARM(\"errors\")").send().await.unwrap();

    let alarms = CloudWatchAlarms::new(&aws.sdk());
    for (value, expected) in [
        (StateValue::Alarm, AlarmState::Firing),
        (StateValue::Ok, AlarmState::Quiet),
        (StateValue::InsufficientData, AlarmState::Unclear),
    ] {
        for name in ["errors", "all"] {
            let set = client.set_alarm_state().alarm_name(name).state_value(value.clone()).state_reason("a test");
            set.send().await.unwrap();
            assert_eq!(alarms.state(name).await.unwrap(), Some(expected), "{name} {value}");
        }
    }
    assert_eq!(alarms.state("error").await.unwrap(), None, "a name is no prefix");
}
