"""Says before anything is built what an environment costs, and refuses what would fail later, or tell nobody.

    preflight.py ENVIRONMENT.toml [--offline [EXPANDED.json]]

First what the file alone shows: places that nobody has filled in, parameters that the template does not take, rotations that
meet a sleeping database. Then, unless --offline, what AWS is asked: whether RDS still offers the version, and whether the
database is awake. Ends with 1 if something is refused.
"""

import calendar
import datetime
import re
import sys
import tomllib
import zoneinfo

from costs import ROOT, Stack, expanded, monthly

# Names that belong to nobody (RFC 2606, RFC 6761), accounts of AWS's own examples, and what people leave to be filled in.
PLACEHOLDER = re.compile(
    r"(?<![a-z0-9-])example\.(com|net|org|edu)(?![a-z0-9-])"
    r"|\.(example|invalid|test|localhost)(?![a-z0-9.-])|@localhost(?![a-z0-9-])"
    r"|(?<!\d)(123456789012|111122223333|444455556666|0{12}|1{12})(?!\d)"
    r"|<[^<>]+>|\$\{[^}]*\}|(?<![a-z])(change[-_ ]?me|fixme|todo|tbd|placeholder|x{4,})(?![a-z])"
    r"|(?-i:(?<![A-Za-z])(ACCOUNT|REGION|OWNER|REPOSITORY)(?![A-Za-z]))",
    re.IGNORECASE,
)
# When a database of DatabaseStopAtNight is awake, in hours of its time zone, Monday to Friday. It is started at 7 and needs
# some minutes; it is stopped at 20. (infra/stacks/database.yaml, Morning and Evening)
AWAKE = range(8, 20)
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
MONTHS = [name.upper() for name in calendar.month_abbr]


def placeholders(value, path=""):
    """What nobody has filled in, each with its place in the file.

    >>> placeholders({"OnCallEmail": "on-call@example.com", "Project": "relatch", "Tags": ["Owner=<team>"]})
    ['OnCallEmail is "on-call@example.com"', 'Tags is "Owner=<team>"']
    >>> placeholders({"OnCallEmail": "a@shop.invalid", "SecurityEmail": "b@mail.example.org", "HeartbeatUrl": "https://ping.test/x"})
    ['OnCallEmail is "a@shop.invalid"', 'SecurityEmail is "b@mail.example.org"', 'HeartbeatUrl is "https://ping.test/x"']
    >>> placeholders({"AdminSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a", "KmsKeyArn": "arn:aws:kms:REGION:ACCOUNT:key/1"})
    ['AdminSecretArn is "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a"', 'KmsKeyArn is "arn:aws:kms:REGION:ACCOUNT:key/1"']
    >>> placeholders({"DatabaseUser": "todo", "Project": "changeme", "VpcId": "xxxx"})
    ['DatabaseUser is "todo"', 'Project is "changeme"', 'VpcId is "xxxx"']

    What only looks alike is none.

    >>> placeholders({"OnCallEmail": "on-call@counterexample.com", "SecurityEmail": "x@example.community", "Project": "latest",
    ...               "DatabaseUser": "todos", "BreakGlassRoleArn": "arn:aws:iam::912345678901:role/test.admin", "Days": 7})
    []
    """
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in placeholders(inner, key if not path else f"{path}.{key}")]
    if isinstance(value, list):
        return [found for inner in value for found in placeholders(inner, path)]
    return [f'{path} is "{value}"'] if isinstance(value, str) and PLACEHOLDER.search(value) else []


def unheard(parameters, elsewhere=False):
    """Why nobody would hear of anything.

    >>> unheard({"OnCallEmail": "on-call@shop.eu"}), unheard({"ChannelsSecretArn": "arn"}), unheard({"AlertTopicArn": "arn"})
    ([], [], [])
    >>> unheard({"OnCallEmail": " "})[0][:52]
    'nobody is subscribed to the alerts: give OnCallEmail'
    >>> unheard({}, elsewhere=True)
    []
    """
    if elsewhere or any(str(parameters.get(one, "")).strip() for one in ("OnCallEmail", "ChannelsSecretArn", "AlertTopicArn")):
        return []
    return [
        "nobody is subscribed to the alerts: give OnCallEmail, ChannelsSecretArn or AlertTopicArn; or, if people subscribe to"
        " the topics by other means, write under [default.people.parameters]: subscribed_elsewhere = true"
    ]


def untaken(parameters, declared):
    """Parameters that the template does not take, or not with this value.

    >>> declared = {"Project": {"AllowedPattern": "^[a-z]+$", "ConstraintDescription": "letters"}, "Trail": {"AllowedValues": ["create"]},
    ...             "Days": {"Type": "Number", "MinValue": 1, "MaxValue": 9}}
    >>> untaken({"Project": "shop", "Trail": "create", "Days": 9}, declared)
    []
    >>> untaken({"Project": "shop-", "Trail": "mine", "Days": 10, "Projekt": "shop"}, declared)  # doctest: +NORMALIZE_WHITESPACE
    ['Project is "shop-": letters', 'Trail is "mine": it can be create', 'Days is "10": it is a number from 1 to 9',
     'Projekt is no parameter']
    """
    found = []
    for name, value in parameters.items():
        if name not in declared:
            found.append(f"{name} is no parameter")
            continue
        kind, text = declared[name], str(value)
        if "AllowedValues" in kind and text not in map(str, kind["AllowedValues"]):
            found.append(f'{name} is "{text}": it can be {", ".join(map(str, kind["AllowedValues"]))}')
        elif "AllowedPattern" in kind and not re.fullmatch(kind["AllowedPattern"], text):
            found.append(f'{name} is "{text}": {kind.get("ConstraintDescription", kind["AllowedPattern"])}')
        elif kind.get("Type") == "Number" and not within(text, kind.get("MinValue"), kind.get("MaxValue")):
            least, most = kind.get("MinValue", "any"), kind.get("MaxValue", "any")
            found.append(f'{name} is "{text}": it is a number from {least} to {most}')
    return found


def within(text, least, most):
    try:
        number = float(text)
    except ValueError:
        return False
    return (least is None or number >= float(least)) and (most is None or number <= float(most))


def starts(schedule, days):
    """The hours in UTC at which a cron expression of Secrets Manager opens a window, on each of the days.

    Source: Secrets Manager User Guide, "Schedule expressions in Secrets Manager rotation": UTC, minutes are 0.

    >>> week = [datetime.date(2026, 12, day) for day in range(1, 9)]
    >>> [f"{one:%a %H}" for one in starts("cron(0 10 ? * TUE *)", week)]
    ['Tue 10', 'Tue 10']
    >>> [f"{one:%a %d %H}" for one in starts("cron(0 8/8 1,L * ? *)", [datetime.date(2026, 12, 1), datetime.date(2026, 12, 31)])]
    ['Tue 01 08', 'Tue 01 16', 'Thu 31 08', 'Thu 31 16']
    >>> [f"{one:%a %d}" for one in starts("cron(0 0 ? 12 2#1,FRIL 2026-2027)", [datetime.date(2026, 12, day) for day in range(1, 32)])]
    ['Mon 07', 'Fri 25']
    >>> len(starts("cron(0 9 ? * MON-FRI *)", week))
    6
    >>> starts("cron(30 9 ? * MON-FRI *)", week)
    Traceback (most recent call last):
    ValueError: cron(30 9 ? * MON-FRI *): the minute has to be 0
    >>> starts("cron(0 9 * *)", week)
    Traceback (most recent call last):
    ValueError: cron(0 9 * *): it needs six fields
    """
    fields = schedule.removeprefix("cron(").removesuffix(")").split()
    if len(fields) != 6:
        raise ValueError(f"{schedule}: it needs six fields")
    minute, hour, of_month, month, of_week, year = fields
    if minute != "0":
        raise ValueError(f"{schedule}: the minute has to be 0")
    hours, months, years = numbers(hour, 0, 23), numbers(month, 1, 12, MONTHS), numbers(year, 2000, 2199)
    return [
        datetime.datetime(day.year, day.month, day.day, at, tzinfo=datetime.timezone.utc)
        for day in days
        if day.month in months and day.year in years and is_day(day, of_month, of_week)
        for at in sorted(hours)
    ]


def is_day(day, of_month, of_week):
    last = calendar.monthrange(day.year, day.month)[1]
    weekday = day.isoweekday() % 7 + 1  # 1 is Sunday
    in_month = any(
        day.day == last if part == "L" else day.day in numbers(part, 1, 31) for part in of_month.split(",")
    )
    in_week = False
    for part in of_week.split(","):
        if "#" in part:
            of, which = part.split("#")
            in_week |= weekday in numbers(of, 1, 7, ["", *DAYS]) and (day.day - 1) // 7 + 1 == int(which)
        elif part.endswith("L") and part != "L":
            in_week |= weekday in numbers(part[:-1], 1, 7, ["", *DAYS]) and day.day > last - 7
        else:
            in_week |= weekday in numbers("SAT" if part == "L" else part, 1, 7, ["", *DAYS])
    return in_month and in_week


def numbers(field, least, most, names=()):
    """The numbers that a field of a cron expression stands for.

    >>> numbers("1,3-5,20/2", 0, 23) == {1, 3, 4, 5, 20, 22}, numbers("?", 1, 2), numbers("JAN-MAR", 1, 12, MONTHS)
    (True, {1, 2}, {1, 2, 3})
    """
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        number = lambda text: names.index(text.upper()) if text.upper() in names else int(text)
        begin, end = (least, most) if first in ("*", "?") else (number(first), number(last) if last else number(first))
        found |= set(range(begin, (most if step and not last else end) + 1, int(step or 1)))
    return {one for one in found if least <= one <= most}


def asleep(parameters, today):
    """Why rotations would fail for their time.

    >>> today = datetime.date(2026, 12, 1)
    >>> def dev(schedule=None, **more):
    ...     given = {"Database": "aurora", "DatabaseStopAtNight": "true", "RotationWindow": "2h"} | more
    ...     return asleep(given | ({"RotationSchedule": schedule} if schedule else {}), today)
    >>> dev("cron(0 10 ? * TUE *)"), dev("cron(0 18 ? * MON-FRI *)"), dev(DatabaseStopAtNight="false")
    ([], [], [])
    >>> for refused in [dev(), dev("rate(7 days)"), dev("cron(0 10 * * ? *)"), dev("cron(0 19 ? * TUE *)")]:
    ...     print(refused[0].split(" (")[0])
    RotationSchedule: rotations begin at midnight UTC, on any day, and the database is stopped then
    RotationSchedule: rotations begin at midnight UTC, on any day, and the database is stopped then
    RotationSchedule: the window of Sat 2026-12-05 10:00 UTC, 2 h long, is Sat 10:00 in UTC, when the database is stopped
    RotationSchedule: the window of Tue 2026-12-01 19:00 UTC, 2 h long, is Tue 19:00 in UTC, when the database is stopped

    Midnight in one time zone is noon in another, and summer moves it by an hour.

    >>> dev("cron(0 1 ? * TUE *)", TimeZone="Asia/Tokyo"), dev("cron(0 10 ? * TUE *)", TimeZone="Asia/Tokyo")[0][-65:]
    ([], 'Within its waking hours: RotationSchedule = "cron(0 0 ? * TUE *)"')
    >>> dev("cron(0 17 ? * TUE *)", TimeZone="Europe/Berlin")[0][:69]
    'RotationSchedule: the window of Tue 2027-03-30 17:00 UTC, 2 h long, i'
    >>> dev("cron(0 15 ? * TUE *)", TimeZone="Europe/Berlin", RotationWindow="9h")[0].split("= ")[-1]
    '"cron(0 7 ? * TUE *)"'

    A window ends on its own day in UTC, with or without sleep.

    >>> dev("cron(0 23 ? * TUE *)", DatabaseStopAtNight="false")
    ['RotationWindow: a window that begins at 23:00 UTC and is 2 h long would end after midnight UTC, which Secrets Manager refuses']
    >>> dev("cron(0 10 ? * TUE)")
    ['RotationSchedule: cron(0 10 ? * TUE): it needs six fields']
    """
    if str(parameters.get("EnableRotation", "true")) != "true":
        return []
    schedule = parameters.get("RotationSchedule", "")
    hours = int(str(parameters.get("RotationWindow", "2h")).rstrip("h"))
    sleeps = parameters.get("DatabaseStopAtNight") == "true" and parameters.get("Database", "none") != "none"
    days = [today + datetime.timedelta(days=day) for day in range(366)]
    try:
        windows = starts(schedule, days) if schedule.startswith("cron") else []
        zone = zoneinfo.ZoneInfo(parameters.get("TimeZone", "UTC"))
    except (ValueError, IndexError) as problem:
        return [f"RotationSchedule: {problem}"]
    except zoneinfo.ZoneInfoNotFoundError:
        return [f"TimeZone: there is no {parameters['TimeZone']}"]
    late = sorted({one.hour for one in windows if one.hour + hours > 24})
    if late:
        return [
            f"RotationWindow: a window that begins at {late[0]}:00 UTC and is {hours} h long would end after midnight UTC, "
            "which Secrets Manager refuses"
        ]
    if not sleeps:
        return []
    awake = lambda hour: all(is_awake(one, hours, zone) for one in starts(f"cron(0 {hour} ? * TUE *)", days))
    better = next((hour for hour in range(25 - hours) if awake(hour)), None)
    advice = f' Within its waking hours: RotationSchedule = "cron(0 {better} ? * TUE *)"' if better is not None else ""
    if not schedule.startswith("cron"):
        return [f"RotationSchedule: rotations begin at midnight UTC, on any day, and the database is stopped then (DatabaseStopAtNight).{advice}"]
    for window in windows:
        if not is_awake(window, hours, zone):
            return [
                f"RotationSchedule: the window of {window:%a %Y-%m-%d %H:%M} UTC, {hours} h long, is"
                f" {window.astimezone(zone):%a %H:%M} in {zone}, when the database is stopped (DatabaseStopAtNight).{advice}"
            ]
    return []


def is_awake(window, hours, zone):
    within = [(window + datetime.timedelta(hours=hour)).astimezone(zone) for hour in range(hours)]
    return all(one.isoweekday() <= 5 and one.hour in AWAKE for one in within)


def gone(rds, engine, version):
    """Why RDS would not make a database of this version.

    >>> class Rds:
    ...     def describe_db_engine_versions(self, Engine, EngineVersion=None):
    ...         offered = ["15.19", "16.15", "16.16"]
    ...         return {"DBEngineVersions": [{"EngineVersion": one} for one in offered if EngineVersion in (None, one)]}
    >>> gone(Rds(), "aurora-postgresql", "16.15")
    []
    >>> gone(Rds(), "aurora-postgresql", "16.9")
    ['DatabaseVersion: RDS offers no aurora-postgresql 16.9 any more. Write one of: 16.15, 16.16']
    """
    if rds.describe_db_engine_versions(Engine=engine, EngineVersion=version)["DBEngineVersions"]:
        return []
    major = version.split(".")[0]
    all_of_them = [one["EngineVersion"] for one in rds.describe_db_engine_versions(Engine=engine)["DBEngineVersions"]]
    same = [one for one in all_of_them if one.split(".")[0] == major] or all_of_them
    return [f"DatabaseVersion: RDS offers no {engine} {version} any more. Write one of: {', '.join(same)}"]


def sleeping(kind, status, name):
    """Why a deployment would meet a sleeping database, and fail.

    >>> sleeping("cluster", "available", "relatch-dev")
    []
    >>> print(sleeping("cluster", "stopped", "relatch-dev")[0])  # doctest: +NORMALIZE_WHITESPACE
    the database is stopped, and a change of it would fail. Start it, and begin again when it is available:
    aws rds start-db-cluster --db-cluster-identifier relatch-dev-cluster
    >>> sleeping("instance", "stopping", "relatch-dev")[0][-62:]
    'aws rds start-db-instance --db-instance-identifier relatch-dev'
    """
    if status not in ("stopped", "stopping", "starting"):
        return []
    identifier = f"{name}-cluster" if kind == "cluster" else name
    return [
        f"the database is {status}, and a change of it would fail. Start it, and begin again when it is available: "
        f"aws rds start-db-{kind} --db-{kind}-identifier {identifier}"
    ]


def asked(settings, stack):
    """What AWS is asked before."""
    import boto3

    rds = boto3.client("rds", region_name=settings["region"])
    name = f"{stack.parameters['Project']}-{stack.parameters['Environment']}"
    for _, resource in stack.resources():
        engine, version = (resource["Properties"].get(one) for one in ("Engine", "EngineVersion"))
        # An instance of a cluster has the cluster's version.
        if resource["Type"] in ("AWS::RDS::DBCluster", "AWS::RDS::DBInstance") and version:
            kind, status = status_of(rds, engine, name)
            # One that is there has its version.
            yield from sleeping(kind, status, name) if status else gone(rds, engine, version)


def status_of(rds, engine, name):
    """How a database is, and what kind of thing it is; no status if there is none. A filter finds nothing where a name would be
    an error. The names are those of infra/stacks/database.yaml."""
    if engine.startswith("aurora"):
        filters = [{"Name": "db-cluster-id", "Values": [f"{name}-cluster"]}]
        found = rds.describe_db_clusters(Filters=filters)["DBClusters"]
        return "cluster", next((one["Status"] for one in found), None)
    filters = [{"Name": "db-instance-id", "Values": [name]}]
    found = rds.describe_db_instances(Filters=filters)["DBInstances"]
    return "instance", next((one["DBInstanceStatus"] for one in found), None)


def main(file, offline="", *done):
    with open(file, "rb") as config:
        settings = tomllib.load(config)["default"]
    deploy = settings["deploy"]["parameters"]
    parameters = {name: str(value) for name, value in deploy["parameter_overrides"].items()}
    templates = expanded(*done)
    elsewhere = settings.get("people", {}).get("parameters", {}).get("subscribed_elsewhere", False)
    found = [
        *placeholders(settings["deploy"]["parameters"]),
        *unheard(parameters, elsewhere),
        *untaken(parameters, templates[ROOT]["Parameters"]),
        *asleep(parameters, datetime.date.today()),
    ]
    stack = Stack(templates, ROOT, parameters)
    lines = monthly(stack)
    print(f"{deploy['stack_name']} costs about US$ {sum(cost for _, cost in lines):,.0f} in 30 days before anything is read,")
    print("at list prices of us-east-1 (other regions: up to a fifth more). What reads cost is in docs/COSTS.md.")
    for what, cost in lines:
        print(f"  {what:44}{cost:>10,.2f}")
    if parameters.get("Trail", "create") == "create" and parameters.get("Audit", "true") == "true":
        print("It creates a trail. If the account has another, an organisation's say, CloudTrail charges for this second copy of")
        print("management events, about US$ 2 for 100,000: then take Trail = \"own\" (infra/README.md).")
    if not found and offline != "--offline":
        found = list(asked(deploy, stack))
    if found:
        print(f"Refused; to be put right in {file}, or as it says:", *found, sep="\n  ", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
