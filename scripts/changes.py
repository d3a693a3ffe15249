"""Looks at a change of an environment before it is made, and refuses it where it could cost somebody a secret.

    changes.py ENVIRONMENT.toml [LOGICAL-ID…]

Takes the template that `sam deploy --no-execute-changeset` has uploaded, makes a change set of it that shows nested stacks
too, with the parameters of the file; prints what would happen, and carries it out if nothing that cannot be made again is
replaced or removed, and no denial of Relatch's is taken off, but for what is named. Otherwise it ends with 1, and nothing
has changed.
"""

import json
import re
import sys
import time
import tomllib

# What is, or holds, what cannot be made again.
PRECIOUS = {
    "AWS::CloudFormation::Stack",
    "AWS::SecretsManager::Secret",
    "AWS::SecretsManager::SecretTargetAttachment",
    "AWS::KMS::Key",
    "AWS::DynamoDB::Table",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
}
# Properties of a secret with which CloudFormation writes a new value.
VALUES = {"GenerateSecretString", "SecretString"}
# What CloudFormation says of a change set in which there would be nothing.
UNCHANGED = ("didn't contain changes", "No updates are to be performed")


def objections(change):
    """Why a change must not be made; nothing if it may.

    >>> def change(action, kind, replacement="False", *properties):
    ...     details = [{"Target": {"Attribute": "Properties", "Name": name}} for name in properties]
    ...     return {"Action": action, "ResourceType": kind, "LogicalResourceId": "It", "Replacement": replacement,
    ...             "Details": details}
    >>> objections(change("Add", "AWS::SecretsManager::Secret"))
    []
    >>> objections(change("Modify", "AWS::SecretsManager::Secret", "False", "Description"))
    []
    >>> objections(change("Modify", "AWS::SecretsManager::Secret", "False", "GenerateSecretString"))
    ['It: GenerateSecretString would write a new value']
    >>> objections(change("Modify", "AWS::KMS::Key", "Conditional", "KeySpec"))
    ['It: it may be replaced']
    >>> objections(change("Remove", "AWS::DynamoDB::Table"))
    ['It: it would be taken out of the stack']
    >>> objections(change("Remove", "AWS::CloudWatch::Alarm"))
    []
    """
    if change["ResourceType"] not in PRECIOUS:
        return []
    name = change["LogicalResourceId"]
    if change["Action"] == "Remove":
        return [f"{name}: it would be taken out of the stack"]
    if change["Action"] == "Add":
        return []
    found = []
    if change.get("Replacement", "False") != "False":
        found.append(f"{name}: it may be replaced")
    names = {detail.get("Target", {}).get("Name") for detail in change.get("Details", [])}
    found += [f"{name}: {value} would write a new value" for value in sorted(VALUES & names)]
    return found


def denials(secrets, prefix):
    """The secrets whose policies deny somebody since an incident was contained, each with whom.

    >>> class Client:
    ...     def __init__(self, **policies):
    ...         self.policies = policies
    ...     def get_paginator(self, _):
    ...         return self
    ...     def paginate(self, Filters):
    ...         begins = Filters[0]["Values"][0]
    ...         return [{"SecretList": [{"ARN": name, "Name": name} for name in self.policies if name.startswith(begins)]}]
    ...     def get_resource_policy(self, SecretId):
    ...         return {"ResourcePolicy": self.policies[SecretId]} if self.policies[SecretId] else {}
    >>> denial = {"Sid": "RelatchContainment", "Condition": {"ArnLike": {"aws:PrincipalArn": ["role/a", "role/*/a"]}}}
    >>> former = {"Sid": "RelatchContainment0123", "Condition": {"ArnLike": {"aws:PrincipalArn": "user/b"}}}
    >>> policy = lambda *statements: json.dumps({"Statement": statements})
    >>> client = Client(app1=policy(denial, former), app2=policy({"Sid": "Ours"}), app3="", app4=json.dumps({"Statement": denial}))
    >>> denials(client, "app")
    {'app1': ['role/a', 'user/b'], 'app4': ['role/a']}
    """
    found = {}
    pages = secrets.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
    for secret in (secret for page in pages for secret in page["SecretList"]):
        policy = json.loads(secrets.get_resource_policy(SecretId=secret["ARN"]).get("ResourcePolicy") or "{}")
        statements = policy.get("Statement", [])
        for statement in statements if isinstance(statements, list) else [statements]:
            if not statement.get("Sid", "").startswith("RelatchContainment"):
                continue
            names = statement.get("Condition", {}).get("ArnLike", {}).get("aws:PrincipalArn", [])
            names = names if isinstance(names, list) else [names]
            found.setdefault(secret["Name"], []).extend(name for name in names if "*" not in name)
    return found


def undoing(changes, denied):
    """Why changes must not be made while somebody is denied a secret: CloudFormation writes the policy of its template.

    >>> policy = lambda action: {"Action": action, "ResourceType": "AWS::SecretsManager::ResourcePolicy", "LogicalResourceId": "It"}
    >>> undoing([policy("Modify")], {})
    []
    >>> undoing([policy("Add"), {"Action": "Modify", "ResourceType": "AWS::SQS::Queue", "LogicalResourceId": "It"}], {"app": ["a"]})
    []
    >>> print(*undoing([policy("Modify")], {"app": ["a", "b"]}), sep="\\n")
    It: it would take Relatch's denial off: a, b may not read app since an incident was contained. If that is over:
        relatch release app --principal a
        relatch release app --principal b
        Otherwise deploy later, or name It in ALLOW: the next sweep puts the denial back, and until then they may read it.
    """
    touched = [
        change["LogicalResourceId"]
        for change in changes
        if change["ResourceType"] == "AWS::SecretsManager::ResourcePolicy" and change["Action"] != "Add"
    ]
    found = []
    for secret, names in denied.items() if touched else ():
        it = ", ".join(touched)
        found += [
            f"{it}: it would take Relatch's denial off: {', '.join(names)} may not read {secret} since an incident was contained."
            " If that is over:",
            *(f"    relatch release {secret} --principal {name}" for name in names),
            f"    Otherwise deploy later, or name {it} in ALLOW: the next sweep puts the denial back, and until then they may read it.",
        ]
    return found


def main(file, *may_go):
    import boto3
    import botocore.exceptions

    with open(file, "rb") as config:
        settings = tomllib.load(config)["default"]["deploy"]["parameters"]
    stack = settings["stack_name"]
    cloudformation = boto3.client("cloudformation", region_name=settings["region"])
    made = cloudformation.get_paginator("list_change_sets").paginate(StackName=stack)
    # The one that was carried out last is still among them.
    made = [
        summary
        for page in made
        for summary in page["Summaries"]
        if summary["Status"] == "CREATE_COMPLETE" and summary["ExecutionStatus"] == "AVAILABLE"
    ]
    if not made:
        print("Nothing to change.")
        return 0
    uploaded = max(made, key=lambda summary: summary["CreationTime"])["ChangeSetName"]
    template = cloudformation.get_template(StackName=stack, ChangeSetName=uploaded, TemplateStage="Original")
    is_new = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    change_set = {"StackName": stack, "ChangeSetName": f"whole-{int(time.time())}"}
    cloudformation.create_change_set(
        **change_set,
        ChangeSetType="CREATE" if is_new else "UPDATE",
        IncludeNestedStacks=True,
        TemplateBody=template["TemplateBody"],
        # What the file does not say has the template's default, whatever it was before.
        Parameters=[
            {"ParameterKey": key, "ParameterValue": str(value)}
            for key, value in settings["parameter_overrides"].items()
        ],
        Capabilities=settings["capabilities"],
        Tags=[dict(zip(("Key", "Value"), tag.split("=", 1))) for tag in settings["tags"]],
    )
    cloudformation.delete_change_set(StackName=stack, ChangeSetName=uploaded)
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(**change_set)
    except botocore.exceptions.WaiterError:
        reasons = unmade(cloudformation, change_set)
        cloudformation.delete_change_set(**change_set)
        # Without a look into nested stacks, they all seem to change.
        if is_unchanged(reasons):
            print("Nothing to change.")
            return 0
        print("What would change cannot be said:", *reasons, sep="\n  ", file=sys.stderr)
        return 1
    changes = [change for change in shown(cloudformation, change_set) if change["LogicalResourceId"] not in may_go]
    found = [objection for change in changes for objection in objections(change)]
    if not is_new:
        given = settings["parameter_overrides"]
        secrets = boto3.client("secretsmanager", region_name=settings["region"])
        prefix = given.get("SecretNamePrefix") or f"{given.get('Project', 'relatch')}-{given['Environment']}-secret-"
        found += undoing(changes, denials(secrets, prefix))
    if found:
        cloudformation.delete_change_set(**change_set)
        print("Refused, since it could not be undone:", *found, sep="\n  ", file=sys.stderr)
        return 1
    cloudformation.execute_change_set(**change_set)
    waiter = cloudformation.get_waiter("stack_create_complete" if is_new else "stack_update_complete")
    try:
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 15, "MaxAttempts": 240})
    except botocore.exceptions.WaiterError:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        outcome = "It is still going on" if status.endswith("_IN_PROGRESS") else "It came to nothing"
        print(f"{outcome} ({status}):", *failures(cloudformation, stack), sep="\n  ", file=sys.stderr)
        if is_new and not status.endswith("_IN_PROGRESS"):
            environment = settings["parameter_overrides"]["Environment"]
            print(
                f"What is left of it is in the way of the next: make destroy ENV={environment},",
                "and see infra/README.md for what that leaves.",
                file=sys.stderr,
            )
        return 1
    for output in cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", []):
        print(f"{output['OutputKey']} = {output['OutputValue']}")
    return 0


def shown(cloudformation, change_set, depth=0):
    """Every change, those of nested stacks after the stack's own."""
    pages = cloudformation.get_paginator("describe_change_set").paginate(**change_set)
    for change in (change["ResourceChange"] for page in pages for change in page.get("Changes", [])):
        print("  " * depth + f"{change['Action']:8}{change['ResourceType']:44}{change['LogicalResourceId']}")
        yield change
        if "ChangeSetId" in change:
            yield from shown(cloudformation, {"ChangeSetName": change["ChangeSetId"]}, depth + 1)


def unmade(cloudformation, change_set):
    """Why a change set could not be made, in its own words, and in those of every nested one that failed with it.

    >>> class Client:
    ...     def __init__(self, reason, **nested):
    ...         self.reason, self.nested = reason, nested
    ...     def describe_change_set(self, **_):
    ...         return {"StackId": "stack", "ChangeSetId": "whole", "StatusReason": self.reason}
    ...     def get_paginator(self, operation):
    ...         return type("Pages", (), {"paginate": getattr(self, operation)})
    ...     def describe_stacks(self):
    ...         own = [{"StackId": name, "RootId": "stack"} for name in self.nested]
    ...         return [{"Stacks": own}, {"Stacks": [{"StackId": "stack"}, {"StackId": "other", "RootId": "elsewhere"}]}]
    ...     def list_change_sets(self, StackName):
    ...         status, reason = self.nested[StackName]
    ...         made = {"ChangeSetId": ARN + StackName, "RootChangeSetId": "whole", "Status": status, "StatusReason": reason}
    ...         return [{"Summaries": [{"ChangeSetId": "older", "Status": "FAILED"}, made]}]
    >>> ARN = "arn:aws:cloudformation:eu-west-1:1:changeSet/"
    >>> of_a = f"Nested change set {ARN}a was not successfully created: Currently in FAILED."
    >>> same = ("FAILED", "The submitted information didn't contain changes.")
    >>> is_unchanged(unmade(Client(same[1]), {}))
    True
    >>> is_unchanged(unmade(Client(of_a, a=same, b=same), {}))
    True
    >>> unmade(Client(of_a, a=same, b=("FAILED", "No such bucket")), {})
    ["The submitted information didn't contain changes.", 'No such bucket']
    >>> is_unchanged(unmade(Client(of_a, a=same, b=("FAILED", "No such bucket")), {}))
    False

    One that was made has something to change; and one that cannot be found might.

    >>> unmade(Client(of_a, a=same, b=("CREATE_COMPLETE", "")), {})
    ["The submitted information didn't contain changes.", 'b would change']
    >>> is_unchanged(unmade(Client(of_a, b=same), {}))
    False
    >>> is_unchanged(unmade(Client(""), {}))
    False
    """
    whole = cloudformation.describe_change_set(**change_set)
    reasons = {whole["ChangeSetId"]: whole.get("StatusReason", "")}
    stacks = (stack for page in cloudformation.get_paginator("describe_stacks").paginate() for stack in page["Stacks"])
    for stack in (stack["StackId"] for stack in stacks if stack.get("RootId") == whole["StackId"]):
        pages = cloudformation.get_paginator("list_change_sets").paginate(StackName=stack)
        for nested in (summary for page in pages for summary in page["Summaries"]):
            if nested.get("RootChangeSetId") != whole["ChangeSetId"]:
                continue
            if nested["Status"] == "FAILED":
                reasons[nested["ChangeSetId"]] = nested.get("StatusReason", "")
            elif nested["Status"] == "CREATE_COMPLETE":
                reasons[nested["ChangeSetId"]] = f"{stack} would change"
    # What only names others is said by those.
    named = {reason: re.findall(r"arn:\S+:changeSet/\S+", reason) for reason in reasons.values()}
    return [reason for reason, others in named.items() if not others or not reasons.keys() >= set(others)]


def is_unchanged(reasons):
    """Whether change sets could not be made only because nothing would change."""
    return bool(reasons) and all(any(words in reason for words in UNCHANGED) for reason in reasons)


def failures(cloudformation, stack):
    """What has failed since the stack's last change began, in nested stacks too.

    >>> class Client:
    ...     def __init__(self, **events):
    ...         self.events = events
    ...     def get_paginator(self, _):
    ...         return self
    ...     def paginate(self, StackName):
    ...         return [{"StackEvents": [
    ...             {"StackId": StackName, "PhysicalResourceId": where, "LogicalResourceId": name, "ResourceType": kind,
    ...              "ResourceStatus": status, "ResourceStatusReason": reason}
    ...             for name, where, kind, status, reason in self.events[StackName]]}]
    >>> stack = "AWS::CloudFormation::Stack"
    >>> client = Client(
    ...     whole=[
    ...         ("Whole", "whole", stack, "UPDATE_ROLLBACK_COMPLETE", ""),
    ...         ("Inner", "inner", stack, "UPDATE_FAILED", "Embedded stack was not successfully updated"),
    ...         ("Beside", "beside", stack, "CREATE_FAILED", "Access denied"),
    ...         ("Never", "", stack, "CREATE_FAILED", "No such template"),
    ...         ("Late", "late", "AWS::SQS::Queue", "CREATE_FAILED", "Resource creation cancelled"),
    ...         ("Whole", "whole", stack, "UPDATE_IN_PROGRESS", "User Initiated"),
    ...         ("Before", "before", "AWS::SQS::Queue", "CREATE_FAILED", "Long ago"),
    ...     ],
    ...     inner=[("Topic", "topic", "AWS::SNS::Topic", "UPDATE_FAILED", "Invalid name")],
    ...     beside=[],
    ... )
    >>> list(failures(client, "whole"))
    ['Topic: Invalid name', 'Beside: Access denied', 'Never: No such template']
    """
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    for event in (event for page in pages for event in page["StackEvents"]):
        status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
        if event["PhysicalResourceId"] == event["StackId"]:
            if status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
                return
        elif status.endswith("_FAILED") and "cancelled" not in reason:
            is_stack = event["ResourceType"] == "AWS::CloudFormation::Stack" and event["PhysicalResourceId"]
            inside = list(failures(cloudformation, event["PhysicalResourceId"])) if is_stack else []
            yield from inside or [f"{event['LogicalResourceId']}: {reason}"]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
