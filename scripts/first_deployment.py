"""Walks a person through what only AWS can prove (docs/UNPROVED.md), and writes down what was seen. Changes nothing.

    first_deployment.py ENVIRONMENT.toml [--unattended] [--into FOLDER]

Each point of that page is looked at with your credentials, or, where a program cannot see it, you are asked what you saw;
--unattended asks nobody. The report is a file of Markdown with the date in its name. Ends with 1 if something differs.
"""

import argparse
import collections
import datetime
import json
import pathlib
import re
import sys
import tomllib

from protection import policy, stacks

PAGE = "docs/UNPROVED.md"
OK, DIFFERS, UNSEEN, ABSENT = "ok", "differs", "could not look", "not deployed"

Point = collections.namedtuple("Point", "name fact source look")
Seen = collections.namedtuple("Seen", "verdict what")

CHECKS = {}


def check(function):
    """A check of the point of its name."""
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


def points(page):
    """The rows of the page's table.

    >>> rows = "| point | the fact | from | what to look at |\\n| --- | --- | --- | --- |\\n| `a-b` | It \\\\| is | guide | look |"
    >>> points(rows)
    [Point(name='a-b', fact='It | is', source='guide', look='look')]
    >>> points("| a fact without a name | guide | look |")
    Traceback (most recent call last):
    ValueError: a row needs a name in backticks, a fact, a source, and what to look at: | a fact without a name | guide | look |
    >>> points(rows + "\\n| `a-b` | again | guide | look |")
    Traceback (most recent call last):
    ValueError: two points are called a-b
    """
    found = {}
    for line in page.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if cells[0] == "point" or all(set(cell) <= set("-: ") for cell in cells):
            continue
        named = re.fullmatch("`([a-z0-9-]+)`", cells[0])
        if len(cells) != 4 or not named or not all(cells):
            raise ValueError(f"a row needs a name in backticks, a fact, a source, and what to look at: {line}")
        if named[1] in found:
            raise ValueError(f"two points are called {named[1]}")
        found[named[1]] = Point(named[1], *cells[1:])
    return list(found.values())


class Account:
    """What is deployed, as the checks ask for it."""

    def __init__(self, settings, clients):
        deploy = settings["deploy"]["parameters"]
        self.stack, self.region = deploy["stack_name"], deploy["region"]
        self.regions = settings.get("forward", {}).get("parameters", {}).get("regions", [])
        self.parameters = {name: str(value) for name, value in deploy["parameter_overrides"].items()}
        self.prefix = f"{self.parameters.get('Project', 'relatch')}-{self.parameters['Environment']}"
        self.clients = clients
        self.now = datetime.datetime.now(datetime.timezone.utc)

    def ask(self, service, region=None):
        return self.clients(service, region or self.region)

    def has(self, name, default):
        return self.parameters.get(name, default)

    def outputs(self):
        stack = self.ask("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def sum_of(self, namespace, metric, minutes, region=None, **dimensions):
        """The sum of a metric; nothing if it has no data."""
        data = self.ask("cloudwatch", region).get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=self.now - datetime.timedelta(minutes=minutes),
            EndTime=self.now,
            Period=60 * minutes,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in data) if data else None


def all_of(client, operation, key, **arguments):
    """Every item of an operation that answers page by page."""
    return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page.get(key, [])]


def that(holds, what):
    return Seen(OK if holds else DIFFERS, what)


def trail_status(account):
    return account.ask("cloudtrail").get_trail_status(Name=f"{account.prefix}-trail")


def has_trail(account):
    return account.has("Audit", "true") == "true" and account.has("Trail", "create") == "create"


@check
def trail_log_role(account):
    if not has_trail(account):
        return Seen(ABSENT, "the trail is not this deployment's")
    status = trail_status(account)
    at, error = status.get("LatestCloudWatchLogsDeliveryTime"), status.get("LatestCloudWatchLogsDeliveryError")
    return that(at and not error, f"last delivery to the log: {at}; error: {error or 'none'}")


@check
def trail_files(account):
    if not has_trail(account):
        return Seen(ABSENT, "the trail is not this deployment's")
    status = trail_status(account)
    at, error = status.get("LatestDeliveryTime"), status.get("LatestDeliveryError")
    return that(status["IsLogging"] and at and not error, f"logging: {status['IsLogging']}; last file: {at}; error: {error or 'none'}")


@check
def proxy_role(account):
    if account.has("DatabaseProxy", "false") != "true":
        return Seen(ABSENT, "DatabaseProxy is false")
    targets = all_of(account.ask("rds"), "describe_db_proxy_targets", "Targets", DBProxyName=f"{account.prefix}-proxy")
    states = [target["TargetHealth"]["State"] for target in targets]
    return that(states and set(states) == {"AVAILABLE"}, f"targets: {', '.join(states) or 'none'}")


@check
def backup_role(account):
    if account.has("DatabaseMonthlySnapshotDays", "0") == "0":
        return Seen(ABSENT, "DatabaseMonthlySnapshotDays is 0")
    backup = account.ask("backup")
    plans = all_of(backup, "list_backup_plans", "BackupPlansList")
    plan = next((plan["BackupPlanId"] for plan in plans if plan["BackupPlanName"] == f"{account.prefix}-database"), None)
    chosen = all_of(backup, "list_backup_selections", "BackupSelectionsList", BackupPlanId=plan) if plan else []
    jobs = all_of(backup, "list_backup_jobs", "BackupJobs", ByBackupVaultName=f"{account.prefix}-database")
    states = [job["State"] for job in jobs]
    return that(len(chosen) == 1 and "FAILED" not in states, f"selections: {len(chosen)}; jobs: {', '.join(states) or 'none yet'}")


@check
def flat_first(account):
    states = {}
    for path, name in stacks(account.ask("cloudformation"), account.stack):
        states[path or "the root"] = account.ask("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    others = [f"{path} {state}" for path, state in states.items() if state not in ("CREATE_COMPLETE", "UPDATE_COMPLETE")]
    return that(not others, f"{len(states)} stacks; others: {', '.join(others) or 'none'}")


@check
def stack_policies(account):
    cloudformation, wanted, without = account.ask("cloudformation"), json.loads(policy()), []
    for path, name in stacks(cloudformation, account.stack):
        body = cloudformation.get_stack_policy(StackName=name).get("StackPolicyBody")
        if not body or json.loads(body) != wanted:
            without.append(path or "the root")
    return that(not without, f"without the policy: {', '.join(without) or 'none'}")


@check
def protected_root(account):
    stack = account.ask("cloudformation").describe_stacks(StackName=account.stack)["Stacks"][0]
    is_protected = bool(stack.get("EnableTerminationProtection"))
    return that(is_protected == (account.parameters["Environment"] == "prod"), f"termination protection: {is_protected}")


def database(account):
    """The created database, by the names of infra/stacks/database.yaml; nothing if none is created."""
    engine = account.has("Database", "none")
    if engine == "aurora":
        identifier = f"{account.prefix}-cluster"
        return account.ask("rds").describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0]
    if engine == "rds":
        return account.ask("rds").describe_db_instances(DBInstanceIdentifier=account.prefix)["DBInstances"][0]
    return None


@check
def database_user(account):
    found = database(account)
    if not found:
        return Seen(ABSENT, "Database is none")
    name = found["MasterUsername"]
    return that(re.fullmatch("[a-z][a-z0-9_]*", name), f"MasterUsername: {name}")


@check
def database_version(account):
    found = database(account)
    if not found:
        return Seen(ABSENT, "Database is none")
    engine = account.parameters["Database"]
    wanted = account.has("DatabaseVersion", "") or {"aurora": "16.15", "rds": "15.19"}[engine]
    return that(found["EngineVersion"].split(".")[0] == wanted.split(".")[0], f"EngineVersion: {found['EngineVersion']}, asked for {wanted}")


@check
def read_events(account):
    if account.has("Audit", "true") != "true":
        return Seen(ABSENT, "Audit is false")
    rule = f"{account.prefix}-audit-secret-reads"
    state = account.ask("events").describe_rule(Name=rule)["State"]
    matched = account.sum_of("AWS/Events", "MatchedEvents", 60, RuleName=rule)
    is_right = state == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" and matched
    return that(is_right, f"State: {state}; events in the last hour: {matched or 'none'}")


@check
def file_events(account):
    if account.has("Audit", "true") != "true" or not (has_trail(account) or account.has("TrailBucketName", "")):
        return Seen(ABSENT, "no files of a trail are read")
    rule = f"{account.prefix}-audit-files"
    matched, failed = (account.sum_of("AWS/Events", metric, 1440, RuleName=rule) for metric in ("MatchedEvents", "FailedInvocations"))
    return that(matched and not failed, f"files in a day: {matched or 'none'}; failed: {failed or 'none'}")


@check
def forwarded_events(account):
    elsewhere = [region for region in account.regions if region != account.region]
    if account.has("Audit", "true") != "true" or not elsewhere:
        return Seen(ABSENT, "no rules in other regions")
    seen = []
    for region in elsewhere:
        rules = account.ask("events", region).list_rules(NamePrefix=f"{account.prefix}-audit-")["Rules"]
        failed = sum(account.sum_of("AWS/Events", "FailedInvocations", 1440, region, RuleName=rule["Name"]) or 0 for rule in rules)
        seen.append((region, len(rules), failed))
    said = "; ".join(f"{region}: {rules} rules, {failed:.0f} failed in a day" for region, rules, failed in seen)
    return that(all(rules and not failed for _, rules, failed in seen), said)


def rotated(account):
    """The secret of the created database; nothing if none is created."""
    if account.has("Database", "none") == "none" or account.has("EnableRotation", "true") != "true":
        return None
    return account.ask("secretsmanager").describe_secret(SecretId=f"{account.prefix}-secret-database")


@check
def rotation_window(account):
    secret = rotated(account)
    if not secret:
        return Seen(ABSENT, "no secret is rotated on a schedule")
    rules, schedule = secret.get("RotationRules", {}), account.has("RotationSchedule", "")
    wanted = {"ScheduleExpression": schedule} if schedule else {"AutomaticallyAfterDays": int(account.has("RotationDays", "30"))}
    is_set = secret.get("RotationEnabled") and all(rules.get(name) == value for name, value in wanted.items())
    return that(is_set, f"RotationRules: {json.dumps(rules)}; the next: {secret.get('NextRotationDate')}")


@check
def test_only(account):
    if not rotated(account):
        return Seen(ABSENT, "no secret is rotated on a schedule")
    lines = lines_with(account, "rotate", "not-staged")
    return that(not lines, f"lines with not-staged in the log of two weeks: {lines}")


@check
def first_rotation(account):
    secret = rotated(account)
    if not secret:
        return Seen(ABSENT, "no secret is rotated on a schedule")
    labels = sorted(label for of_version in secret["VersionIdsToStages"].values() for label in of_version)
    alone = [of_version for of_version in secret["VersionIdsToStages"].values() if of_version == ["AWSPENDING"]]
    is_done = {"AWSCURRENT", "AWSPREVIOUS"} <= set(labels) and not alone
    return that(is_done, f"labels: {', '.join(labels)}; last rotated: {secret.get('LastRotatedDate', 'never')}")


@check
def replicas(account):
    region = account.has("ReplicaRegion", "")
    if not region or account.has("Secrets", "create") != "create":
        return Seen(ABSENT, "ReplicaRegion is empty")
    secret = account.ask("secretsmanager").describe_secret(SecretId=f"{account.prefix}-secret-database")
    states = [f"{one['Region']} {one['Status']} {one.get('KmsKeyId', '')}".strip() for one in secret.get("ReplicationStatus", [])]
    return that(any(f"{region} InSync" in state for state in states), "; ".join(states) or "no replica")


@check
def four_endpoints(account):
    if account.has("Network", "create") != "create":
        return Seen(ABSENT, "the network is not this deployment's")
    beats = account.sum_of("Relatch", "Heartbeat", 15, Environment=account.parameters["Environment"])
    return that(beats, f"sweeps that ended in the last quarter of an hour: {beats or 'none'}")


def functions(account):
    yield from ("rotate", "respond")
    if account.has("Audit", "true") == "true":
        yield "audit"
    if account.has("ChannelsSecretArn", "") and not account.has("AlertTopicArn", ""):
        yield "notify"


def lines_with(account, function, text):
    """How many lines of a function's log of two weeks have a text in them."""
    since = int((account.now - datetime.timedelta(days=14)).timestamp() * 1000)
    where = {"logGroupName": f"/aws/lambda/{account.prefix}-{function}", "startTime": since, "filterPattern": f'"{text}"'}
    return len(all_of(account.ask("logs"), "filter_log_events", "events", **where))


@check
def denied_by_nothing(account):
    found = {function: lines_with(account, function, "AccessDenied") for function in functions(account)}
    return that(not any(found.values()), "; ".join(f"{function}: {number}" for function, number in found.items()))


@check
def vpc_attachment(account):
    states = {}
    for function in functions(account):
        found = account.ask("lambda").get_function_configuration(FunctionName=f"{account.prefix}-{function}")
        states[function] = f"{found.get('State', 'Active')}/{found.get('LastUpdateStatus', 'Successful')}"
    return that(set(states.values()) == {"Active/Successful"}, "; ".join(f"{name} {state}" for name, state in states.items()))


@check
def set_aside(account):
    names = ["unhandled"]
    names += ["audit-set-aside", "audit-undelivered"] if account.has("Audit", "true") == "true" else []
    waiting, sqs = {}, account.ask("sqs")
    for name in names:
        url = sqs.get_queue_url(QueueName=f"{account.prefix}-{name}")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        waiting[name] = int(attributes["ApproximateNumberOfMessages"])
    return that(not any(waiting.values()), "; ".join(f"{name}: {number}" for name, number in waiting.items()))


@check
def quiet_alarms(account):
    alarms = all_of(account.ask("cloudwatch"), "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{account.prefix}-")
    firing = [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]
    return that(alarms and not firing, f"{len(alarms)} alarms; in ALARM: {', '.join(firing) or 'none'}")


@check
def saved_searches(account):
    if account.has("Observability", "true") != "true":
        return Seen(ABSENT, "Observability is false")
    found = account.ask("logs").describe_query_definitions(queryDefinitionNamePrefix=account.prefix)["queryDefinitions"]
    return that(found, f"saved searches: {len(found)}")


@check
def anchored(account):
    bucket = account.outputs().get("AnchorBucketName")
    if not bucket:
        return Seen(ABSENT, "Anchors is false")
    s3 = account.ask("s3")
    lock = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"].get("ObjectLockEnabled")
    laid = s3.list_objects_v2(Bucket=bucket, MaxKeys=10).get("KeyCount", 0)
    return that(lock == "Enabled" and laid, f"Object Lock: {lock}; anchors: {laid or 'none yet'}")


@check
def code_signing(account):
    wanted = account.has("CodeSigningConfigArn", "")
    if not wanted:
        return Seen(ABSENT, "CodeSigningConfigArn is empty")
    found = account.ask("lambda").get_function_code_signing_config(FunctionName=f"{account.prefix}-rotate")
    return that(found.get("CodeSigningConfigArn") == wanted, f"of -rotate: {found.get('CodeSigningConfigArn', 'none')}")


@check
def subscribers(account):
    if account.has("AlertTopicArn", ""):
        return Seen(ABSENT, "the topic is not this deployment's")
    outputs, seen = account.outputs(), {}
    for topic in ("AlertTopicArn", "AlarmTopicArn", "SecurityTopicArn"):
        all_there = all_of(account.ask("sns"), "list_subscriptions_by_topic", "Subscriptions", TopicArn=outputs[topic])
        waiting = [one for one in all_there if not one["SubscriptionArn"].startswith("arn:")]
        seen[topic] = (len(all_there), len(waiting))
    said = "; ".join(f"{topic}: {number}, {waiting} to confirm" for topic, (number, waiting) in seen.items())
    return that(all(number and not waiting for number, waiting in seen.values()), said)


def look(point, account, asked):
    """What is seen of a point. `asked` asks a person, and answers with nothing where there is none.

    >>> nobody = lambda point: None
    >>> point = Point("stack-policies", "…", "…", "…")
    >>> class Error(Exception):
    ...     response = {"Error": {"Code": "AccessDenied"}}
    >>> def clients(service, region):
    ...     raise Error("not allowed")
    >>> settings = {"deploy": {"parameters": {"stack_name": "relatch-dev", "region": "eu-west-1", "parameter_overrides": {"Environment": "dev"}}}}
    >>> account = Account(settings, clients)
    >>> look(point, account, nobody)
    Seen(verdict='could not look', what='AccessDenied: not allowed')
    >>> look(Point("code-signing", "…", "…", "…"), account, nobody)
    Seen(verdict='not deployed', what='CodeSigningConfigArn is empty')
    >>> look(Point("month", "…", "…", "Cost Explorer"), account, nobody)
    Seen(verdict='could not look', what='nobody was asked')
    >>> look(Point("month", "…", "…", "Cost Explorer"), account, lambda point: Seen(OK, "US$ 15 in a week"))
    Seen(verdict='ok', what='US$ 15 in a week')
    """
    if point.name not in CHECKS:
        return asked(point) or Seen(UNSEEN, "nobody was asked")
    try:
        return CHECKS[point.name](account)
    except Exception as problem:  # Whatever hinders one look, the others are made.
        code = getattr(problem, "response", {}).get("Error", {}).get("Code", type(problem).__name__)
        return Seen(UNSEEN, f"{code}: {' '.join(str(problem).split())}")


def by_hand(point):
    print(f"    {point.look}", flush=True)
    answer = input("    What did you see? (nothing: not looked) ").strip()
    if not answer:
        return None
    as_it_should = input("    Is that as it should be? (y/n) ").strip().lower().startswith("y")
    return Seen(OK if as_it_should else DIFFERS, answer)


def report(account, seen, who):
    """The report, as Markdown."""
    cell = lambda text: str(text).replace("|", "\\|")
    lines = [
        f"# The first deployment of {account.stack}",
        "",
        f"Looked at {account.now:%Y-%m-%d %H:%M} UTC in {account.region}, as {who}.",
        "",
        "| point | seen as | what was seen | the fact | what was to be looked at |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{point.name}` | {one.verdict} | {cell(one.what)} | {cell(point.fact)} | {cell(point.look)} |" for point, one in seen
    ]
    return "\n".join(lines) + "\n"


def main(*arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("--unattended", action="store_true")
    parser.add_argument("--into", type=pathlib.Path, default=pathlib.Path("."))
    options = parser.parse_args(arguments)

    import boto3

    with open(options.environment, "rb") as config:
        settings = tomllib.load(config)["default"]
    account = Account(settings, lambda service, region: boto3.client(service, region_name=region))
    who = account.ask("sts").get_caller_identity()["Arn"]
    asked = (lambda point: None) if options.unattended or not sys.stdin.isatty() else by_hand
    print(f"{account.stack} in {account.region}, looked at as {who}")
    seen = []
    for point in points(pathlib.Path(PAGE).read_text(encoding="utf-8")):
        print(f"  {point.name}: {point.fact}", flush=True)
        seen.append((point, look(point, account, asked)))
        print(f"    {seen[-1][1].verdict}: {seen[-1][1].what}", flush=True)
    file = options.into / f"first-deployment-{account.stack}-{account.now:%Y-%m-%dT%H%M%SZ}.md"
    file.write_text(report(account, seen, who), encoding="utf-8")
    number = collections.Counter(one.verdict for _, one in seen)
    print(", ".join(f"{verdict}: {number[verdict]}" for verdict in (OK, DIFFERS, UNSEEN, ABSENT)), f"written to {file}", sep="; ")
    return 1 if number[DIFFERS] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
