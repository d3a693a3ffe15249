//! The actions of Secrets Manager, as awsJson1.1 has them.
//!
//! A parameter that is not listed here is refused, also where AWS knows it: replicas and external rotation are not
//! simulated. A secret's own policy is in [`resource_policy`].

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::store::{CURRENT, Schedule, Secret, SecretValue, Store, Version, find};
use super::{AwsError, page, resource_policy};

type Answer = Result<Value, AwsError>;

/// Whether an action reads versions and labels, and so may see an old state of them.
pub(super) fn reads_labels(action: &str) -> bool {
    matches!(action, "DescribeSecret" | "GetResourcePolicy" | "GetSecretValue" | "ListSecretVersionIds")
}

pub(super) fn call(store: &Store, action: &str, parameters: Value, stale: bool, caller: &str) -> Answer {
    let reads = Reads { store, stale, caller };
    if let Some(id) = parameters["SecretId"].as_str() {
        reads.guard(id, action, resource_policy::stage(&parameters))?;
    }
    match action {
        "CreateSecret" => create(store, parse(parameters)?),
        "GetSecretValue" => reads.value(&parse(parameters)?),
        "BatchGetSecretValue" => batch(&reads, parse(parameters)?),
        "DescribeSecret" => reads.describe(&parse::<ById>(parameters)?.secret_id),
        "ListSecretVersionIds" => reads.versions(&parse(parameters)?),
        "ListSecrets" => list(store, &parse(parameters)?),
        "PutSecretValue" => put(store, parse(parameters)?),
        "UpdateSecret" => update(store, parse(parameters)?),
        "UpdateSecretVersionStage" => update_stage(store, &parse(parameters)?),
        "RotateSecret" => rotate(store, parse(parameters)?),
        "CancelRotateSecret" => cancel_rotation(store, &parse(parameters)?),
        "TagResource" => tag(store, parse(parameters)?),
        "UntagResource" => untag(store, &parse(parameters)?),
        "DeleteSecret" => delete(store, &parse(parameters)?),
        "GetResourcePolicy" => resource_policy::get(store, &parse(parameters)?, stale),
        "PutResourcePolicy" => resource_policy::put(store, parse(parameters)?),
        "DeleteResourcePolicy" => resource_policy::delete(store, &parse(parameters)?),
        "ValidateResourcePolicy" => resource_policy::validate(store, &parse(parameters)?),
        "RestoreSecret" => restore(store, &parse(parameters)?),
        "GetRandomPassword" => random_password(&parse(parameters)?),
        _ => Err(AwsError::new("UnknownOperationException", format!("{action} is not simulated"))),
    }
}

fn parse<T: DeserializeOwned>(parameters: Value) -> Result<T, AwsError> {
    // The parser's own message could quote a secret.
    serde_json::from_value(parameters)
        .map_err(|_| AwsError::new("SerializationException", "a parameter is absent, unknown or of the wrong type"))
}

// ---- reading -------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ById {
    pub(super) secret_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetSecretValue {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListSecretVersionIds {
    secret_id: String,
    #[serde(default)]
    include_deprecated: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
}

struct Reads<'a> {
    store: &'a Store,
    stale: bool,
    /// The ARN of the role that calls.
    caller: &'a str,
}

impl Reads<'_> {
    /// Refuses what the secret's own policy denies; that is looked at before anything else.
    fn guard(&self, id: &str, action: &str, stage: Option<&str>) -> Result<(), AwsError> {
        let secret = self.store.with(|secrets| find(secrets, id).ok().cloned());
        secret.map_or(Ok(()), |secret| resource_policy::guard(&secret, action, stage, self.caller, self.stale))
    }

    fn read(&self, id: &str) -> Result<Secret, AwsError> {
        length("SecretId", id, 1, 2048)?;
        let secret = self.store.with(|secrets| find(secrets, id).cloned())?;
        if self.stale { secret.stale().ok_or_else(|| not_found("secret.")) } else { Ok(secret) }
    }

    fn value(&self, request: &GetSecretValue) -> Answer {
        let (id, label) = (request.version_id.as_deref(), request.version_stage.as_deref());
        id.map_or(Ok(()), |id| length("VersionId", id, 32, 64))?;
        label.map_or(Ok(()), |label| length("VersionStage", label, 1, 256))?;
        let secret = self.read(&request.secret_id)?;
        secret.alive()?;
        let wanted = match id {
            Some(id) => format!("secret value for VersionId: {id}"),
            None => format!("secret value for staging label: {}", label.unwrap_or(CURRENT)),
        };
        let version = match id {
            Some(id) => secret.version(id),
            None => secret.labelled(label.unwrap_or(CURRENT)),
        };
        let version = version.ok_or_else(|| not_found(&wanted))?;
        if label.is_some_and(|label| !version.has(label)) {
            return Err(invalid_request(
                "You provided a VersionStage that is not associated to the provided VersionId.",
            ));
        }
        let (field, value) = match version.value.as_ref().ok_or_else(|| not_found(&wanted))? {
            SecretValue::Text(text) => ("SecretString", text),
            SecretValue::Binary(bytes) => ("SecretBinary", bytes),
        };
        self.touch(&secret, version);
        let mut answer = named(&secret);
        answer.extend([
            ("VersionId".into(), json!(version.id)),
            ("CreatedDate".into(), seconds(version.created)),
            (field.into(), json!(value)),
        ]);
        if !version.labels.is_empty() {
            answer.insert("VersionStages".into(), json!(version.labels));
        }
        Ok(answer.into())
    }

    fn touch(&self, secret: &Secret, version: &Version) {
        let now = Timestamp::now();
        self.store.with(|secrets| {
            let Ok(secret) = find(secrets, &secret.arn) else {
                return;
            };
            secret.accessed = Some(now);
            secret.versions.iter_mut().filter(|v| v.id == version.id).for_each(|v| v.accessed = Some(now));
        });
    }

    fn describe(&self, id: &str) -> Answer {
        let secret = self.read(id)?;
        let mut answer = described(&secret);
        answer.insert("VersionIdsToStages".into(), stages(&secret));
        Ok(answer.into())
    }

    fn versions(&self, request: &ListSecretVersionIds) -> Answer {
        let secret = self.read(&request.secret_id)?;
        let entries = secret
            .versions
            .iter()
            .filter(|version| request.include_deprecated || !version.labels.is_empty())
            .map(|version| {
                let mut entry = Map::from_iter([
                    ("VersionId".into(), json!(version.id)),
                    ("CreatedDate".into(), seconds(version.created)),
                ]);
                if !version.labels.is_empty() {
                    entry.insert("VersionStages".into(), json!(version.labels));
                }
                if let Some(accessed) = version.accessed {
                    entry.insert("LastAccessedDate".into(), day(accessed));
                }
                Value::Object(entry)
            })
            .collect();
        let (entries, next) = paged(entries, request.max_results, request.next_token.as_deref(), 100)?;
        let mut answer = named(&secret);
        answer.insert("Versions".into(), entries);
        answer.extend(next);
        Ok(answer.into())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchGetSecretValue {
    secret_id_list: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

fn batch(reads: &Reads<'_>, request: BatchGetSecretValue) -> Answer {
    let ids: Vec<String> = match (request.secret_id_list, request.filters) {
        (Some(ids), None) if (1..=20).contains(&ids.len()) && request.max_results.is_none() => ids,
        (None, Some(filters)) => matching(reads.store, &filters, false)?.into_iter().map(|secret| secret.arn).collect(),
        _ => {
            return Err(invalid_parameter(
                "Either Filters or SecretIdList must be given, with 1 to 20 secrets and without MaxResults.",
            ));
        }
    };
    let (ids, next) =
        paged(ids.into_iter().map(Value::from).collect(), request.max_results, request.next_token.as_deref(), 20)?;
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let wanted = GetSecretValue { secret_id: id.to_owned(), version_id: None, version_stage: None };
        match reads.guard(id, "GetSecretValue", Some(CURRENT)).and_then(|()| reads.value(&wanted)) {
            Ok(value) => values.push(value),
            Err(error) => errors.push(json!({ "SecretId": id, "ErrorCode": error.code, "Message": error.message })),
        }
    }
    let mut answer = Map::from_iter([("SecretValues".into(), json!(values)), ("Errors".into(), json!(errors))]);
    answer.extend(next);
    Ok(answer.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListSecrets {
    #[serde(default)]
    include_planned_deletion: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    sort_order: SortOrder,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SortOrder {
    #[default]
    Asc,
    Desc,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    values: Vec<String>,
}

fn list(store: &Store, request: &ListSecrets) -> Answer {
    let mut secrets = matching(store, &request.filters, request.include_planned_deletion)?;
    if request.sort_order == SortOrder::Desc {
        secrets.reverse();
    }
    let entries = secrets
        .iter()
        .map(|secret| {
            let mut entry = described(secret);
            entry.insert("SecretVersionsToStages".into(), stages(secret));
            entry.into()
        })
        .collect();
    let (entries, next) = paged(entries, request.max_results, request.next_token.as_deref(), 100)?;
    let mut answer = Map::from_iter([("SecretList".into(), entries)]);
    answer.extend(next);
    Ok(answer.into())
}

/// The secrets that fit every filter, oldest first. A filter's values are prefixes and alternatives; a leading `!`
/// turns one round.
fn matching(store: &Store, filters: &[Filter], with_deleted: bool) -> Result<Vec<Secret>, AwsError> {
    let known = ["name", "description", "tag-key", "tag-value", "owning-service"];
    if let Some(filter) =
        filters.iter().find(|filter| !known.contains(&filter.key.as_str()) || filter.values.is_empty())
    {
        return Err(invalid_parameter(format!("The filter {:?} is not simulated, or has no values.", filter.key)));
    }
    let fits = |secret: &Secret, filter: &Filter| {
        let texts: Vec<&str> = match filter.key.as_str() {
            "name" => vec![secret.name.as_str()],
            "description" => secret.description.as_deref().into_iter().collect(),
            "tag-key" => secret.tags.keys().map(String::as_str).collect(),
            "tag-value" => secret.tags.values().map(String::as_str).collect(),
            _ => secret.owning_service.as_deref().into_iter().collect(),
        };
        filter.values.iter().any(|value| match value.strip_prefix('!') {
            Some(prefix) => !texts.iter().any(|text| text.starts_with(prefix)),
            None => texts.iter().any(|text| text.starts_with(value)),
        })
    };
    Ok(store.with(|secrets| {
        let listed = |secret: &&Secret| with_deleted || secret.deletion.is_none();
        let fitting = |secret: &&Secret| filters.iter().all(|filter| fits(secret, filter));
        secrets.iter().filter(listed).filter(fitting).cloned().collect()
    }))
}

// ---- writing -------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateSecret {
    name: String,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

fn create(store: &Store, request: CreateSecret) -> Answer {
    length("Name", &request.name, 1, 512)?;
    if !request.name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c)) {
        return Err(AwsError::new(
            "ValidationException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        ));
    }
    let token = token(request.client_request_token.as_deref())?;
    let value = value(request.secret_string, request.secret_binary)?;
    let mut secret = Secret::named(&request.name);
    (secret.description, secret.kms_key_id) = (request.description, request.kms_key_id);
    secret.tags = tags(request.tags)?;
    // The same call again, after a reply that was lost, is answered as the first one was.
    let again = store.with(|secrets| {
        let present = find(secrets, &request.name).ok().filter(|present| present.deletion.is_none())?;
        let version = present.version(token)?;
        (version.value.is_some() && version.value == value).then(|| answer_with(present, Some(token)))
    });
    if let Some(answer) = again {
        return Ok(answer);
    }
    if let Some(value) = value {
        secret.put(token, value, &[CURRENT.to_owned()], false)?;
    }
    let secret = store.insert(secret)?;
    Ok(answer_with(&secret, secret.labelled(CURRENT).map(|_| token)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutSecretValue {
    secret_id: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
    rotation_token: Option<String>,
}

fn put(store: &Store, request: PutSecretValue) -> Answer {
    let token = token(request.client_request_token.as_deref())?;
    let value = value(request.secret_string, request.secret_binary)?
        .ok_or_else(|| invalid_request("You must provide either SecretString or SecretBinary."))?;
    let labels = request.version_stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
    if !(1..=20).contains(&labels.len()) {
        return Err(invalid_parameter("VersionStages must have 1 to 20 entries."));
    }
    labels.iter().try_for_each(|label| length("VersionStages", label, 1, 256))?;
    if let Some(token) = &request.rotation_token {
        length("RotationToken", token, 36, 256)?;
        if !token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(invalid_parameter("RotationToken has characters that are not allowed."));
        }
    }
    write(store, &request.secret_id, |secret| {
        secret.put(token, value, &labels, request.rotation_token.is_some())?;
        let mut answer = named(secret);
        answer.insert("VersionId".into(), json!(token));
        answer.insert("VersionStages".into(), json!(secret.version(token).map(|version| &version.labels)));
        Ok(answer.into())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateSecret {
    secret_id: String,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
}

fn update(store: &Store, request: UpdateSecret) -> Answer {
    let token = token(request.client_request_token.as_deref())?;
    let value = value(request.secret_string, request.secret_binary)?;
    write(store, &request.secret_id, |secret| {
        let version = value.is_some().then_some(token);
        if let Some(value) = value {
            secret.put(token, value, &[CURRENT.to_owned()], false)?;
        }
        secret.changed = Timestamp::now();
        secret.description = request.description.or(secret.description.take());
        secret.kms_key_id = request.kms_key_id.or(secret.kms_key_id.take());
        Ok(answer_with(secret, version))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateSecretVersionStage {
    secret_id: String,
    version_stage: String,
    move_to_version_id: Option<String>,
    remove_from_version_id: Option<String>,
}

fn update_stage(store: &Store, request: &UpdateSecretVersionStage) -> Answer {
    length("VersionStage", &request.version_stage, 1, 256)?;
    let (to, from) = (request.move_to_version_id.as_deref(), request.remove_from_version_id.as_deref());
    to.map_or(Ok(()), |id| length("MoveToVersionId", id, 32, 64))?;
    from.map_or(Ok(()), |id| length("RemoveFromVersionId", id, 32, 64))?;
    if to.or(from).is_none() {
        return Err(invalid_parameter("Either MoveToVersionId or RemoveFromVersionId must be given."));
    }
    write(store, &request.secret_id, |secret| {
        secret.update_stage(&request.version_stage, to, from)?;
        Ok(named(secret).into())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RotateSecret {
    secret_id: String,
    client_request_token: Option<String>,
    #[serde(rename = "RotationLambdaARN")]
    rotation_lambda_arn: Option<String>,
    rotation_rules: Option<RotationRules>,
    #[serde(default = "yes")]
    rotate_immediately: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RotationRules {
    automatically_after_days: Option<i64>,
    duration: Option<String>,
    schedule_expression: Option<String>,
}

impl RotationRules {
    fn check(&self) -> Result<Value, AwsError> {
        if self.automatically_after_days.is_some() && self.schedule_expression.is_some() {
            return Err(invalid_parameter("AutomaticallyAfterDays and ScheduleExpression exclude each other."));
        }
        if self.automatically_after_days.is_some_and(|days| !(1..=1000).contains(&days)) {
            return Err(invalid_parameter("RotationRules.AutomaticallyAfterDays must be within 1-1000."));
        }
        let hours =
            |text: &str| text.strip_suffix('h').and_then(|hours| hours.parse::<u8>().ok()).is_some_and(|h| h >= 1);
        if self.duration.as_deref().is_some_and(|duration| !hours(duration)) {
            return Err(invalid_parameter("RotationRules.Duration must be a number of hours, such as 3h."));
        }
        let schedule = |text: &str| (text.starts_with("rate(") || text.starts_with("cron(")) && text.ends_with(')');
        if self.schedule_expression.as_deref().is_some_and(|text| !schedule(text)) {
            return Err(invalid_parameter("RotationRules.ScheduleExpression must be rate(…) or cron(…)."));
        }
        let given = [
            ("AutomaticallyAfterDays", json!(self.automatically_after_days)),
            ("Duration", json!(self.duration)),
            ("ScheduleExpression", json!(self.schedule_expression)),
        ];
        Ok(given
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect())
    }
}

/// Registers a rotation and its schedule. That the function is invoked is the business of [`crate::rotation`].
fn rotate(store: &Store, request: RotateSecret) -> Answer {
    let token = token(request.client_request_token.as_deref())?;
    let rules = request.rotation_rules.as_ref().map(RotationRules::check).transpose()?;
    if request.rotation_lambda_arn.as_deref().is_some_and(|arn| !arn.starts_with("arn:aws:lambda:")) {
        return Err(invalid_parameter("RotationLambdaARN is not the ARN of a function."));
    }
    write(store, &request.secret_id, |secret| {
        let known = secret.rotation.clone().unwrap_or_default();
        let lambda_arn = request.rotation_lambda_arn.unwrap_or(known.lambda_arn);
        if lambda_arn.is_empty() {
            return Err(invalid_request("No Lambda rotation function ARN is associated with this secret."));
        }
        match secret.rotation_in_flight() {
            // The same call again, after a reply that was lost.
            Some(earlier) if earlier == token => {}
            Some(_) => {
                return Err(invalid_request("A previous rotation isn't complete. That rotation will be reattempted."));
            }
            None if request.rotate_immediately => secret.register(token)?,
            None => {}
        }
        secret.rotation = Some(Schedule { enabled: true, lambda_arn, rules: rules.unwrap_or(known.rules) });
        Ok(answer_with(secret, request.rotate_immediately.then_some(token)))
    })
}

fn cancel_rotation(store: &Store, request: &ById) -> Answer {
    write(store, &request.secret_id, |secret| {
        let Some(schedule) = &mut secret.rotation else {
            return Err(invalid_request("You tried to cancel the rotation of a secret that has none."));
        };
        // The schedule goes, the function stays known; a half-done rotation keeps its label.
        (schedule.enabled, schedule.rules) = (false, Value::Null);
        let pending = secret.rotation_in_flight().map(str::to_owned);
        Ok(answer_with(secret, pending.as_deref()))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagResource {
    secret_id: String,
    tags: Vec<Tag>,
}

fn tag(store: &Store, request: TagResource) -> Answer {
    let new = tags(request.tags)?;
    edit(store, &request.secret_id, |secret| {
        let mut tags = secret.tags.clone();
        tags.extend(new);
        if tags.len() > 50 {
            return Err(AwsError::new("LimitExceededException", "A secret has at most 50 tags."));
        }
        secret.tags = tags;
        Ok(json!({}))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UntagResource {
    secret_id: String,
    tag_keys: Vec<String>,
}

fn untag(store: &Store, request: &UntagResource) -> Answer {
    edit(store, &request.secret_id, |secret| {
        secret.tags.retain(|key, _| !request.tag_keys.contains(key));
        Ok(json!({}))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteSecret {
    secret_id: String,
    recovery_window_in_days: Option<i64>,
    #[serde(default)]
    force_delete_without_recovery: bool,
}

fn delete(store: &Store, request: &DeleteSecret) -> Answer {
    if request.force_delete_without_recovery && request.recovery_window_in_days.is_some() {
        return Err(invalid_parameter("ForceDeleteWithoutRecovery and RecoveryWindowInDays exclude each other."));
    }
    let days = request.recovery_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(invalid_parameter("RecoveryWindowInDays must be between 7 and 30 days (inclusive)."));
    }
    let force = request.force_delete_without_recovery;
    let deletion = Timestamp::now() + SignedDuration::from_hours(if force { 0 } else { 24 * days });
    let mut answer = write(store, &request.secret_id, |secret| {
        secret.deletion = Some(deletion);
        Ok(named(secret).into())
    })?;
    if force {
        store.with(|secrets| secrets.retain(|secret| answer["ARN"] != secret.arn));
    }
    answer["DeletionDate"] = seconds(deletion);
    Ok(answer)
}

fn restore(store: &Store, request: &ById) -> Answer {
    length("SecretId", &request.secret_id, 1, 2048)?;
    store.with(|secrets| {
        let secret = find(secrets, &request.secret_id)?;
        secret.deletion = None;
        Ok(named(secret).into())
    })
}

/// Changes a secret that is alive and not another service's.
pub(super) fn write(store: &Store, id: &str, change: impl FnOnce(&mut Secret) -> Answer) -> Answer {
    edit(store, id, |secret| match &secret.owning_service {
        Some(service) => Err(invalid_request(format!(
            "The secret is managed by {service}, and you must use that service to update it."
        ))),
        None => change(secret),
    })
}

/// Changes a secret that is alive; one that another service manages may be tagged.
pub(super) fn edit(store: &Store, id: &str, change: impl FnOnce(&mut Secret) -> Answer) -> Answer {
    length("SecretId", id, 1, 2048)?;
    store.with(|secrets| {
        let secret = find(secrets, id)?;
        secret.alive()?;
        change(secret)
    })
}

// ---- passwords -----------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetRandomPassword {
    #[serde(default = "thirty_two")]
    password_length: usize,
    #[serde(default)]
    exclude_characters: String,
    #[serde(default)]
    exclude_numbers: bool,
    #[serde(default)]
    exclude_punctuation: bool,
    #[serde(default)]
    exclude_uppercase: bool,
    #[serde(default)]
    exclude_lowercase: bool,
    #[serde(default)]
    include_space: bool,
    #[serde(default = "yes")]
    require_each_included_type: bool,
}

fn thirty_two() -> usize {
    32
}

fn random_password(request: &GetRandomPassword) -> Answer {
    length("ExcludeCharacters", &request.exclude_characters, 0, 4096)?;
    let kinds = [
        (!request.exclude_lowercase, "abcdefghijklmnopqrstuvwxyz"),
        (!request.exclude_uppercase, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (!request.exclude_numbers, "0123456789"),
        (!request.exclude_punctuation, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        (request.include_space, " "),
    ];
    let kinds: Vec<Vec<char>> = kinds
        .into_iter()
        .filter(|(included, _)| *included)
        .map(|(_, all)| all.chars().filter(|&c| !request.exclude_characters.contains(c)).collect())
        .collect();
    let all = kinds.concat();
    let each = request.require_each_included_type;
    if all.is_empty() || (each && kinds.iter().any(Vec::is_empty)) {
        return Err(invalid_parameter("The exclusions leave no character to choose from."));
    }
    if !(1..=4096).contains(&request.password_length) || (each && request.password_length < kinds.len()) {
        return Err(invalid_parameter("Password length is too short for the required types, or not within 1-4096."));
    }
    let mut rng = UnwrapErr(SysRng);
    let required = kinds.iter().filter(|_| each).map(Vec::as_slice);
    let sources = required.chain(std::iter::repeat(all.as_slice())).take(request.password_length);
    let mut password: Vec<char> = sources.filter_map(|source| source.choose(&mut rng).copied()).collect();
    password.shuffle(&mut rng);
    Ok(json!({ "RandomPassword": password.into_iter().collect::<String>() }))
}

// ---- shapes and checks ---------------------------------------------------------------------------------------

pub(super) fn named(secret: &Secret) -> Map<String, Value> {
    Map::from_iter([("ARN".into(), json!(secret.arn)), ("Name".into(), json!(secret.name))])
}

fn answer_with(secret: &Secret, version: Option<&str>) -> Value {
    let mut answer = named(secret);
    answer.extend(version.map(|id| ("VersionId".to_owned(), json!(id))));
    answer.into()
}

/// What DescribeSecret and ListSecrets say alike. What is not known is left out.
fn described(secret: &Secret) -> Map<String, Value> {
    let mut fields = named(secret);
    let tags: Vec<Value> = secret.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let optional = [
        ("Description", secret.description.as_ref().map(|text| json!(text))),
        ("KmsKeyId", secret.kms_key_id.as_ref().map(|id| json!(id))),
        ("OwningService", secret.owning_service.as_ref().map(|service| json!(service))),
        ("LastRotatedDate", secret.rotated.map(seconds)),
        ("LastAccessedDate", secret.accessed.map(day)),
        ("DeletedDate", secret.deletion.map(seconds)),
        ("Tags", (!tags.is_empty()).then(|| json!(tags))),
        ("RotationEnabled", secret.rotation.as_ref().map(|schedule| json!(schedule.enabled))),
        ("RotationLambdaARN", secret.rotation.as_ref().map(|schedule| json!(schedule.lambda_arn))),
        (
            "RotationRules",
            secret.rotation.as_ref().map(|schedule| schedule.rules.clone()).filter(|rules| !rules.is_null()),
        ),
        ("NextRotationDate", next_rotation(secret).map(seconds)),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    fields.insert("CreatedDate".into(), seconds(secret.created));
    fields.insert("LastChangedDate".into(), seconds(secret.changed));
    fields
}

/// Known for schedules in days only; expressions are not evaluated.
fn next_rotation(secret: &Secret) -> Option<Timestamp> {
    let days = secret.rotation.as_ref()?.rules["AutomaticallyAfterDays"].as_i64()?;
    Some(secret.rotated.unwrap_or(secret.created) + SignedDuration::from_hours(24 * days))
}

fn stages(secret: &Secret) -> Value {
    secret.versions.iter().filter(|v| !v.labels.is_empty()).map(|v| (v.id.clone(), json!(v.labels))).collect()
}

fn seconds(time: Timestamp) -> Value {
    json!(time.as_millisecond() as f64 / 1000.0)
}

/// Dates of access are rounded down to the day.
fn day(time: Timestamp) -> Value {
    json!(time.as_second() / 86_400 * 86_400)
}

type Next = Option<(String, Value)>;

fn paged(
    entries: Vec<Value>,
    size: Option<usize>,
    token: Option<&str>,
    most: usize,
) -> Result<(Value, Next), AwsError> {
    let size = size.unwrap_or(most);
    if !(1..=most).contains(&size) {
        return Err(invalid_parameter(format!("MaxResults must be within 1-{most}.")));
    }
    let (entries, next) =
        page(entries, size, token).ok_or_else(|| AwsError::new("InvalidNextTokenException", "Invalid NextToken."))?;
    Ok((entries.into(), next.map(|next| ("NextToken".to_owned(), json!(next)))))
}

fn tags(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, AwsError> {
    if tags.len() > 50 || tags.iter().any(|tag| tag.key.starts_with("aws:")) {
        return Err(invalid_parameter("There are more than 50 tags, or one begins with aws:."));
    }
    for tag in &tags {
        length("Tags.Key", &tag.key, 1, 128)?;
        length("Tags.Value", &tag.value, 0, 256)?;
    }
    Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

fn token(token: Option<&str>) -> Result<&str, AwsError> {
    let token = token.ok_or_else(|| {
        invalid_request("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
    })?;
    length("ClientRequestToken", token, 32, 64)?;
    Ok(token)
}

fn value(text: Option<String>, binary: Option<String>) -> Result<Option<SecretValue>, AwsError> {
    match (text, binary) {
        (Some(_), Some(_)) => Err(invalid_parameter("You can't specify both SecretString and SecretBinary.")),
        (Some(text), None) => bytes("SecretString", &text).map(|()| Some(SecretValue::Text(text))),
        (None, Some(binary)) => bytes("SecretBinary", &binary).map(|()| Some(SecretValue::Binary(binary))),
        (None, None) => Ok(None),
    }
}

fn bytes(name: &str, value: &str) -> Result<(), AwsError> {
    match value.len() {
        1..=65_536 => Ok(()),
        _ => Err(invalid_parameter(format!("{name} must be 1-65536 bytes long."))),
    }
}

pub(super) fn length(name: &str, value: &str, least: usize, most: usize) -> Result<(), AwsError> {
    if (least..=most).contains(&value.chars().count()) {
        Ok(())
    } else {
        Err(invalid_parameter(format!("{name} must be {least}-{most} characters long.")))
    }
}

fn not_found(what: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("Secrets Manager can't find the specified {what}"))
}

fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}
