//! Where a function sends what it knows: to AWS, or to this machine, and nowhere else.
//!
//! A principal with `lambda:UpdateFunctionConfiguration` could otherwise point one of the variables below at a server of
//! its own, and be sent the next password.

use std::env;
use url::{Host, Url};

/// The variables by which the SDK is led elsewhere begin with this; the second is what AWS's own rotation functions read.
const OF_THE_SDK: &str = "AWS_ENDPOINT_URL";
const OF_AWS_FUNCTIONS: &str = "SECRETS_MANAGER_ENDPOINT";

/// The services that Relatch calls, as their hosts name them.
const SERVICES: [&str; 10] =
    ["dynamodb", "events", "kms", "monitoring", "rds", "s3", "secretsmanager", "sns", "ssm", "sts"];

/// AWS's own domains, of all partitions, with and without IPv6.
///
/// Source: the AWS General Reference, "AWS service endpoints"; the partitions of the SDK's endpoint rules.
const DOMAINS: [&str; 8] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "csp.hci.ic.gov",
];

/// A setting that leads to a host that is not AWS's; which one, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ForeignEndpoint(String);

impl ForeignEndpoint {
    fn of(setting: &str, endpoint: &str) -> Self {
        let endpoint = without_credentials(endpoint);
        Self(format!(
            "{setting} is `{endpoint}`, which is no endpoint of AWS: calls there would carry passwords. Remove the setting, \
             or write one such as `https://secretsmanager.eu-west-1.amazonaws.com`"
        ))
    }
}

/// Every endpoint that the environment sets is one of AWS's, or is on this machine.
///
/// # Errors
/// Names the first that is not.
pub(super) fn check() -> Result<(), ForeignEndpoint> {
    first_foreign(
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}

fn first_foreign(settings: impl Iterator<Item = (String, String)>) -> Result<(), ForeignEndpoint> {
    let mut endpoints = settings.filter(|(name, value)| {
        // An empty one counts as absent.
        (name.starts_with(OF_THE_SDK) || name == OF_AWS_FUNCTIONS) && !value.is_empty()
    });
    match endpoints.find(|(_, endpoint)| !is_allowed(endpoint)) {
        Some((setting, endpoint)) => Err(ForeignEndpoint::of(&setting, &endpoint)),
        None => Ok(()),
    }
}

fn is_allowed(endpoint: &str) -> bool {
    let Ok(url) = Url::parse(endpoint) else { return false };
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain("localhost")) => true,
        Some(Host::Domain(host)) => url.scheme() == "https" && is_of_aws(host),
        None => false,
    }
}

/// `SERVICE[-fips].REGION.DOMAIN`, or `vpce-….SERVICE.REGION.vpce.DOMAIN`. That a host ends in AWS's domain is not
/// enough: anybody can have an API or a bucket there.
fn is_of_aws(host: &str) -> bool {
    let Some(name) = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain)?.strip_suffix('.')) else {
        return false;
    };
    let labels: Vec<&str> = name.split('.').collect();
    let (service, region) = match labels.as_slice() {
        [service, region] => (*service, *region),
        [endpoint, service, region, "vpce"] if endpoint.starts_with("vpce-") => (*service, *region),
        _ => return false,
    };
    let service = service.strip_suffix("-fips").unwrap_or(service);
    SERVICES.contains(&service) && is_region(region)
}

/// `eu-west-1`, `us-gov-east-1`, `us-iso-west-1`.
fn is_region(label: &str) -> bool {
    let mut parts = label.rsplit('-');
    let ends_in_a_number = parts.next().is_some_and(|part| part.parse::<u8>().is_ok());
    let words: Vec<&str> = parts.collect();
    ends_in_a_number
        && words.len() >= 2
        && words.iter().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// An address may hold a user and a password.
fn without_credentials(endpoint: &str) -> String {
    match Url::parse(endpoint) {
        Ok(url) => url
            .host_str()
            .map_or_else(|| "a URL without a host".to_owned(), |host| format!("{}://{host}", url.scheme())),
        Err(_) => "not a URL".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_of_aws_and_of_this_machine_are_called() {
        for allowed in [
            "https://secretsmanager.eu-west-1.amazonaws.com",
            "https://secretsmanager-fips.us-gov-west-1.amazonaws.com/",
            "https://secretsmanager.cn-north-1.amazonaws.com.cn",
            "https://secretsmanager.eu-west-1.api.aws",
            "https://vpce-0a1b-2c3d.secretsmanager.eu-west-1.vpce.amazonaws.com",
            "https://monitoring.us-iso-east-1.c2s.ic.gov",
            "http://127.0.0.1:4566",
            "http://localhost:4566",
            "http://[::1]:4566",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for foreign in [
            "https://evil.example",
            "https://secretsmanager.eu-west-1.amazonaws.com.evil.example",
            "https://evilamazonaws.com",
            "https://a1b2c3.execute-api.eu-west-1.amazonaws.com",
            "https://secretsmanager.s3.eu-west-1.amazonaws.com",
            "https://a1b2c3.lambda-url.eu-west-1.on.aws",
            "https://vpce-0a1b.execute-api.eu-west-1.vpce.amazonaws.com",
            "https://vpce-0a1b.vpce-svc-0c2d.eu-west-1.vpce.amazonaws.com",
            "https://evil.secretsmanager.eu-west-1.amazonaws.com",
            "http://secretsmanager.eu-west-1.amazonaws.com",
            "https://169.254.169.254",
            "https://10.0.0.7",
            "https://localhost.evil.example",
            "file:///etc/passwd",
            "secretsmanager.eu-west-1.amazonaws.com",
        ] {
            assert!(!is_allowed(foreign), "{foreign}");
        }
    }

    #[test]
    fn every_variable_that_leads_elsewhere_is_looked_at_and_named() {
        let settings = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into_iter();
        for name in
            ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SNS", "SECRETS_MANAGER_ENDPOINT"]
        {
            let problem = first_foreign(settings(name, "https://user:hush@evil.example/hush"))
                .map_err(|problem| problem.to_string());
            assert!(
                problem.as_ref().is_err_and(|text| text.contains(name) && text.contains("evil.example")),
                "{problem:?}"
            );
            assert!(problem.is_err_and(|text| !text.contains("hush")));
            assert_eq!(first_foreign(settings(name, "")), Ok(()));
        }
        assert_eq!(first_foreign(settings("RELATCH_RUNBOOKS", "https://runbooks.example.com")), Ok(()));
    }
}
