//! CloudWatch's alarms, through the AWS SDK.

use super::aws::call_error;
use crate::ports::{AlarmState, Alarms, CallError};
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::{
    Client,
    types::{AlarmType, StateValue},
};
use std::sync::OnceLock;

/// CloudWatch's alarms.
#[derive(Debug, Clone)]
pub struct CloudWatchAlarms {
    sdk: SdkConfig,
    /// Made when it is needed.
    client: OnceLock<Client>,
}

impl CloudWatchAlarms {
    /// A client by the SDK's settings.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { sdk: sdk.clone(), client: OnceLock::new() }
    }
}

impl Alarms for CloudWatchAlarms {
    async fn state(&self, name: &str) -> Result<Option<AlarmState>, CallError> {
        let client = self.client.get_or_init(|| Client::new(&self.sdk));
        // Unless they are asked for, composite alarms are left out.
        let call = client.describe_alarms().alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
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
