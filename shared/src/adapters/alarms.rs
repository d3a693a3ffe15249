//! CloudWatch's alarms, through the AWS SDK.

use super::{aws::call_error, late::Late};
use crate::ports::{AlarmState, Alarms, CallError};
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::{
    Client,
    types::{AlarmType, StateValue},
};

/// CloudWatch's alarms.
#[derive(Debug, Clone)]
pub struct CloudWatchAlarms {
    client: Late<Client>,
}

impl CloudWatchAlarms {
    /// A client by the SDK's settings.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: Late::new(sdk, Client::new) }
    }
}

impl Alarms for CloudWatchAlarms {
    async fn state(&self, name: &str) -> Result<Option<AlarmState>, CallError> {
        // Unless they are asked for, composite alarms are left out.
        let call =
            self.client.describe_alarms().alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
        let answer = call.alarm_names(name).send().await;
        let answer = answer.map_err(|error| call_error("cloudwatch:DescribeAlarms", &error))?;
        let metric = answer.metric_alarms().first().map(|alarm| alarm.state_value());
        let composite = || answer.composite_alarms().first().map(|alarm| alarm.state_value());
        Ok(metric.or_else(composite).map(state))
    }
}

/// An alarm without a state, or with one that is new, tells nothing.
fn state(value: Option<&StateValue>) -> AlarmState {
    match value {
        Some(StateValue::Alarm) => AlarmState::Firing,
        Some(StateValue::Ok) => AlarmState::Quiet,
        _ => AlarmState::Unclear,
    }
}
