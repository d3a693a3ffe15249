//! What CloudTrail records of an account, made up: days like any other, and a theft among them.
//!
//! Most of it has nothing to do with secrets, as in real logs. The same seed makes the same records.

use crate::aws::{ACCOUNT, REGION};
use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// How many records are in a file. CloudTrail delivers one about every five minutes.
const PER_FILE: usize = 5_000;

/// Everyday activity: an endless series of records, as JSON.
#[derive(Debug)]
pub struct Activity {
    chance: Chance,
    at: Timestamp,
    /// What is still to be told: some calls are recorded by two services, and some records arrive twice.
    next: Vec<String>,
}

/// What was written, and how much that is.
#[derive(Debug, Default)]
pub struct Logs {
    /// The files, in the order of their delivery.
    pub files: Vec<PathBuf>,
    /// How many records are in them.
    pub records: usize,
    /// Bytes, before they were compressed.
    pub inflated: u64,
    /// Bytes of the files.
    pub deflated: u64,
}

/// A call, as CloudTrail records it.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// When.
    pub at: Timestamp,
    /// The service: `secretsmanager`.
    pub service: &'a str,
    /// The operation: `GetSecretValue`.
    pub action: &'a str,
    /// The role whose session calls.
    pub role: &'a str,
    /// The session's name.
    pub session: &'a str,
    /// Where it comes from.
    pub from: &'a str,
    /// With which program.
    pub agent: &'a str,
    /// The call's parameters, as JSON.
    pub parameters: &'a str,
    /// What was answered, as JSON.
    pub answer: &'a str,
    /// Error code and message.
    pub error: Option<(&'a str, &'a str)>,
}

impl Activity {
    /// From the beginning of 2026 on.
    pub fn new(seed: u64) -> Self {
        Self { chance: Chance(seed), at: beginning(), next: Vec::new() }
    }

    /// Writes so many records into a folder, as CloudTrail lays them down in a bucket.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(mut self, records: usize, folder: &Path) -> Result<Logs> {
        let mut logs = Logs::default();
        while logs.records < records {
            let count = PER_FILE.min(records - logs.records);
            let records: Vec<String> = self.by_ref().take(count).collect();
            let unique = format!("{:016x}", self.chance.number());
            logs.add(&records, self.at, &unique, folder)?;
        }
        Ok(logs)
    }
}

impl Logs {
    fn add(&mut self, records: &[String], at: Timestamp, unique: &str, folder: &Path) -> Result<()> {
        let day = at.strftime("%Y/%m/%d");
        let folder = folder.join(format!("AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{day}"));
        fs::create_dir_all(&folder)?;
        let minute = at.strftime("%Y%m%dT%H%MZ");
        let path = folder.join(format!("{ACCOUNT}_CloudTrail_{REGION}_{minute}_{unique}.json.gz"));
        let log = log(records);
        write_gz(&path, &log)?;
        self.records += records.len();
        self.inflated += log.len() as u64;
        self.deflated += fs::metadata(&path)?.len();
        self.files.push(path);
        Ok(())
    }
}

/// Records as the text of one file.
pub fn log(records: &[String]) -> String {
    format!("{{\"Records\":[{}]}}", records.join(","))
}

/// Writes a file as CloudTrail does: compressed.
///
/// # Errors
/// When it cannot be written.
pub fn write_gz(path: &Path, text: &str) -> Result<()> {
    let mut file = GzEncoder::new(File::create(path)?, Compression::default());
    file.write_all(text.as_bytes())?;
    file.finish().with_context(|| path.display().to_string())?;
    Ok(())
}

/// Somebody with a stolen session reads so many secrets of production, a second apart, with a tool.
pub fn theft(secrets: usize, at: Timestamp) -> Vec<String> {
    let mut chance = Chance(at.as_millisecond().unsigned_abs());
    let read = |number: usize| {
        let parameters = format!(r#"{{"secretId":"{}"}}"#, secret(number));
        Call {
            at: at + SignedDuration::from_secs(number as i64),
            service: "secretsmanager",
            action: "GetSecretValue",
            role: "shop-prod-web",
            session: "mallory",
            from: "203.0.113.66",
            agent: "Boto3/1.34 trufflehog",
            parameters: &parameters,
            answer: "null",
            error: None,
        }
        .record(&mut chance)
    };
    (0..secrets).map(read).collect()
}

/// The name of a secret of production.
pub fn secret(number: usize) -> String {
    format!("shop-prod-secret-{}-{number:03}", THINGS[number % THINGS.len()])
}

/// When all activity begins.
pub const fn beginning() -> Timestamp {
    // 2026-01-01T00:00:00Z
    Timestamp::constant(1_767_225_600, 0)
}

impl Iterator for Activity {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if let Some(record) = self.next.pop() {
            return Some(record);
        }
        self.at += SignedDuration::from_millis(self.chance.below(600) as i64);
        let record = self.happening();
        // Some records arrive twice.
        if self.chance.below(100) == 0 {
            self.next.push(record.clone());
        }
        Some(record)
    }
}

const THINGS: [&str; 12] = [
    "database", "orders", "payments", "mail", "search", "login", "billing", "stock", "prices", "carts", "reports",
    "images",
];

/// Calls that have nothing to do with secrets, in about the frequency in which accounts have them: service and operation.
const EVERYDAY: [(&str, &str); 24] = [
    ("sts", "AssumeRole"),
    ("sts", "AssumeRole"),
    ("sts", "AssumeRole"),
    ("kms", "Decrypt"),
    ("kms", "Decrypt"),
    ("kms", "GenerateDataKey"),
    ("ec2", "DescribeInstances"),
    ("ec2", "DescribeNetworkInterfaces"),
    ("ec2", "CreateTags"),
    ("s3", "GetBucketAcl"),
    ("s3", "ListBuckets"),
    ("logs", "CreateLogStream"),
    ("logs", "DescribeLogGroups"),
    ("monitoring", "DescribeAlarms"),
    ("dynamodb", "DescribeTable"),
    ("iam", "GetRole"),
    ("iam", "ListRolePolicies"),
    ("elasticloadbalancing", "DescribeTargetHealth"),
    ("autoscaling", "DescribeAutoScalingGroups"),
    ("ecs", "DescribeTasks"),
    ("ecr", "GetAuthorizationToken"),
    ("lambda", "ListFunctions20150331"),
    ("config", "PutEvaluations"),
    ("ssm", "UpdateInstanceInformation"),
];

impl Activity {
    /// One in fifty reads a secret (and KMS records the decryption), one in a hundred a parameter, one in five hundred
    /// is denied.
    fn happening(&mut self) -> String {
        match self.chance.below(1_000) {
            0..20 => self.read(),
            20..30 => self.parameter(),
            30..32 => self.denied(),
            32..36 => self.listed(),
            _ => self.everyday(),
        }
    }

    fn read(&mut self) -> String {
        let number = self.chance.below(240);
        let (name, service) = (secret(number), THINGS[number % THINGS.len()]);
        let suffix = suffix(number);
        let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{suffix}");
        let (role, session) = (format!("shop-prod-{service}"), self.instance());
        let from = self.address();
        let version = uuid(&mut Chance(number as u64));
        let read = Call {
            action: "GetSecretValue",
            parameters: &format!(r#"{{"secretId":"{arn}"}}"#),
            ..self.call("secretsmanager", &role, &session, &from)
        };
        let decrypt = Call {
            service: "kms",
            action: "Decrypt",
            parameters: &format!(
                r#"{{"encryptionContext":{{"SecretARN":"{arn}","SecretVersionId":"{version}"}},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}}"#
            ),
            from: "secretsmanager.amazonaws.com",
            agent: "secretsmanager.amazonaws.com",
            ..read.clone()
        };
        self.next.push(decrypt.record(&mut self.chance));
        read.record(&mut self.chance)
    }

    fn parameter(&mut self) -> String {
        let number = self.chance.below(THINGS.len());
        let (role, session, from) = (format!("shop-prod-{}", THINGS[number]), self.instance(), self.address());
        let parameters = format!(r#"{{"name":"/shop/prod/{}/url","withDecryption":true}}"#, THINGS[number]);
        Call { action: "GetParameter", parameters: &parameters, ..self.call("ssm", &role, &session, &from) }
            .record(&mut self.chance)
    }

    /// A service whose role lacks a permission, always the same.
    fn denied(&mut self) -> String {
        let (session, from) = (self.instance(), self.address());
        let message = format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/shop-prod-reports/{session} is not authorized to perform: \
             cloudwatch:GetMetricData because no identity-based policy allows the cloudwatch:GetMetricData action"
        );
        let error = Some(("AccessDenied", message.as_str()));
        Call { action: "GetMetricData", error, ..self.call("monitoring", "shop-prod-reports", &session, &from) }
            .record(&mut self.chance)
    }

    fn listed(&mut self) -> String {
        let (session, from) = (self.instance(), self.address());
        let parameters = r#"{"maxResults":100}"#;
        Call { action: "ListSecrets", parameters, ..self.call("secretsmanager", "inventory", &session, &from) }
            .record(&mut self.chance)
    }

    fn everyday(&mut self) -> String {
        let (service, action) = EVERYDAY[self.chance.below(EVERYDAY.len())];
        let role = format!("shop-{}-{}", ["prod", "staging", "dev"][self.chance.below(3)], self.thing());
        let (session, from) = (self.instance(), self.address());
        let ids: Vec<String> = (0..self.chance.below(8) + 4).map(|_| self.id()).collect();
        let parameters = format!(
            r#"{{"resourceArn":"arn:aws:{service}:{REGION}:{ACCOUNT}:{}/{}","ids":["{}"],"maxResults":{}}}"#,
            self.thing(),
            self.id(),
            ids.join("\",\""),
            self.chance.below(500),
        );
        let answer = if action == "AssumeRole" {
            let token: String = (0..16).map(|_| format!("{:016X}", self.chance.number())).collect();
            format!(
                r#"{{"credentials":{{"accessKeyId":"ASIA{:016X}","sessionToken":"{token}","expiration":"Jan 1, 2026, 1:00:00 AM"}},"assumedRoleUser":{{"assumedRoleId":"AROA{:016X}:{session}","arn":"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"}}}}"#,
                self.chance.number(),
                Chance::of(&role).number(),
            )
        } else {
            "null".to_owned()
        };
        Call { action, parameters: &parameters, answer: &answer, ..self.call(service, &role, &session, &from) }
            .record(&mut self.chance)
    }

    fn call<'a>(&mut self, service: &'a str, role: &'a str, session: &'a str, from: &'a str) -> Call<'a> {
        const AGENTS: [&str; 5] = [
            "aws-sdk-java/2.25.11 Linux/6.1.0 OpenJDK_64-Bit_Server_VM/17.0.10+7-LTS Java/17.0.10 vendor/Amazon.com_Inc. cfg/retry-mode/standard",
            "Boto3/1.34.34 md/Botocore#1.34.34 ua/2.0 os/linux#6.1.72 md/arch#aarch64 lang/python#3.11.7 md/pyimpl#CPython",
            "aws-sdk-go-v2/1.24.1 os/linux lang/go#1.21.6 md/GOOS#linux md/GOARCH#amd64",
            "aws-sdk-nodejs/2.1550.0 linux/v18.19.0 exec-env/AWS_Lambda_nodejs18.x promise",
            "APN/1.0 HashiCorp/1.0 Terraform/1.7.1 (+https://www.terraform.io) terraform-provider-aws/5.34.0",
        ];
        let agent = AGENTS[self.chance.below(AGENTS.len())];
        let at = self.at;
        Call { at, service, action: "", role, session, from, agent, parameters: "null", answer: "null", error: None }
    }

    fn thing(&mut self) -> &'static str {
        THINGS[self.chance.below(THINGS.len())]
    }

    /// One of a few hundred.
    fn instance(&mut self) -> String {
        format!("i-{:017x}", Chance(self.chance.below(300) as u64).number() >> 8)
    }

    /// One that was never seen before.
    fn id(&mut self) -> String {
        format!("id-{:017x}", self.chance.number() >> 4)
    }

    fn address(&mut self) -> String {
        format!("10.0.{}.{}", self.chance.below(8), self.chance.below(250) + 4)
    }
}

impl Call<'_> {
    /// As CloudTrail records it.
    pub fn record(&self, chance: &mut Chance) -> String {
        let Self { at, service, action, role, session, from, agent, parameters, answer, error } = self;
        let (id, key) =
            (format!("AROA{:016X}", Chance::of(role).number()), format!("ASIA{:016X}", Chance::of(session).number()));
        let is_read = ["Get", "List", "Describe", "Decrypt"].iter().any(|verb| action.starts_with(verb));
        let error = error
            .map_or_else(String::new, |(code, message)| format!(r#""errorCode":"{code}","errorMessage":"{message}","#));
        let (event, request) = (uuid(chance), uuid(chance));
        let begun = *at - SignedDuration::from_mins(Chance::of(session).below(60) as i64);
        format!(
            r#"{{"eventVersion":"1.09","userIdentity":{{"type":"AssumedRole","principalId":"{id}:{session}","arn":"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}","accountId":"{ACCOUNT}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{id}","arn":"arn:aws:iam::{ACCOUNT}:role/{role}","accountId":"{ACCOUNT}","userName":"{role}"}},"attributes":{{"creationDate":"{begun:.0}","mfaAuthenticated":"false"}}}}}},"eventTime":"{at:.0}","eventSource":"{service}.amazonaws.com","eventName":"{action}","awsRegion":"{REGION}","sourceIPAddress":"{from}","userAgent":"{agent}",{error}"requestParameters":{parameters},"responseElements":{answer},"requestID":"{request}","eventID":"{event}","readOnly":{is_read},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{ACCOUNT}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}.{REGION}.amazonaws.com"}}}}"#
        )
    }
}

/// Numbers that look like chance and are the same every time (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// What is always the same for a name.
    fn of(name: &str) -> Self {
        Self(name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into())))
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }
}

fn uuid(chance: &mut Chance) -> uuid::Uuid {
    uuid::Builder::from_random_bytes((u128::from(chance.number()) << 64 | u128::from(chance.number())).to_be_bytes())
        .into_uuid()
}

/// The six characters that Secrets Manager adds to a secret's name.
fn suffix(number: usize) -> String {
    let mut chance = Chance(number as u64 + 1_000_000);
    (0..6).map(|_| char::from(b'a' + chance.below(26) as u8)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use relatch_events::cloudtrail::log::{Entry, Log};
    use serde_json::Value;

    #[test]
    fn the_same_seed_makes_the_same_records_and_another_seed_others() {
        let some = |seed| Activity::new(seed).take(200).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
    }

    #[test]
    fn records_are_like_real_ones_and_mostly_of_no_interest() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Activity::new(1).write(6_000, folder.path()).unwrap();
        assert_eq!((logs.files.len(), logs.records), (2, 6_000));
        let ratio = logs.inflated as f64 / logs.deflated as f64;
        assert!((5.5..6.5).contains(&ratio), "compressed {ratio:.2}:1");
        let records: Vec<String> = Activity::new(1).take(5_000).collect();
        let mut facts = 0;
        for (entry, record) in Log::new(log(&records).as_bytes()).zip(&records) {
            let _: Value = serde_json::from_str(record).unwrap();
            match entry.unwrap() {
                Entry::Fact(_) => facts += 1,
                Entry::Ignored => (),
                Entry::Malformed { why, .. } => panic!("{why}: {record}"),
            }
        }
        assert!((150..400).contains(&facts), "{facts} facts");
    }
}
