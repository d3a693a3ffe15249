"""Looks at a change of an environment before it is made, and refuses it where it could cost somebody a secret.

    changes.py ENVIRONMENT.toml [LOGICAL-ID…]

Takes the template that `sam deploy --no-execute-changeset` has uploaded, makes a change set of it that shows nested stacks
too, with the parameters of the file; prints what would happen, and carries it out if nothing that cannot be made again is
replaced or removed, but for what is named. Otherwise it ends with 1, and nothing has changed.
"""

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
        reason = unmade(cloudformation, change_set)
        cloudformation.delete_change_set(**change_set)
        # Without a look into nested stacks, they all seem to change.
        if "didn't contain changes" in reason or "No updates are to be performed" in reason:
            print("Nothing to change.")
            return 0
        print("What would change cannot be said:", reason, sep="\n  ", file=sys.stderr)
        return 1
    changes = [change for change in shown(cloudformation, change_set) if change["LogicalResourceId"] not in may_go]
    found = [objection for change in changes for objection in objections(change)]
    if found:
        cloudformation.delete_change_set(**change_set)
        print("Refused, since it could not be undone:", *found, sep="\n  ", file=sys.stderr)
        return 1
    cloudformation.execute_change_set(**change_set)
    waiter = cloudformation.get_waiter("stack_create_complete" if is_new else "stack_update_complete")
    try:
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 15, "MaxAttempts": 240})
    except botocore.exceptions.WaiterError:
        print("It came to nothing, and was rolled back:", *failures(cloudformation, stack), sep="\n  ", file=sys.stderr)
        if is_new:
            print("What is left of it is in the way of the next: make destroy", file=sys.stderr)
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
    """Why a change set could not be made; if it is for one of a nested stack, that one's reason."""
    reason = cloudformation.describe_change_set(**change_set).get("StatusReason", "")
    nested = re.search(r"arn:\S+:changeSet/\S+", reason)
    return unmade(cloudformation, {"ChangeSetName": nested[0]}) if nested else reason


def failures(cloudformation, stack):
    """What has failed since the stack's last change began, in nested stacks too."""
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
