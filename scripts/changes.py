"""Looks at a change of an environment before it is made, and refuses it where it could cost somebody a secret.

    changes.py ENVIRONMENT.toml [PATH…]

Takes the template that `sam deploy --no-execute-changeset` has uploaded.

* A new stack is made of that change set as it is, since there is nothing that could be lost.
* Of one that is there a change set is made that shows nested stacks too, with the parameters of the file. What would happen
  is printed, and carried out if nothing that cannot be made again is replaced or removed, but for what is named by its path
  of logical ids (DatabaseStack/Cluster). Otherwise it ends with 1, and nothing has changed.
* While somebody is denied a secret since an incident was contained, no secret's policy is changed: CloudFormation writes that
  of its template, without the denial.
* Before and after, every stack has a policy by which CloudFormation refuses the same by itself (protection.py). So what only
  looks like a replacement is said, and hinders nobody.
"""

import json
import re
import sys
import time
import tomllib

from protection import PRECIOUS, protect

POLICY_OF_A_SECRET = "AWS::SecretsManager::ResourcePolicy"
# Properties of a secret with which CloudFormation writes a new value.
VALUES = {"GenerateSecretString", "SecretString"}
# What CloudFormation says of a change set in which there would be nothing.
UNCHANGED = ("didn't contain changes", "No updates are to be performed")
# What stands in a change set for a value that is known only when the change is made.
UNKNOWN = ("{{changeSet:KNOWN_AFTER_APPLY}}", "{{IntrinsicFunction:")


def objections(change):
    """Why a change must not be made; nothing if it may.

    >>> def change(action, kind, replacement="False", *properties, **detail):
    ...     details = [{"Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": "Always"}, "Evaluation": "Static"}
    ...                | detail for name in properties]
    ...     return {"Action": action, "ResourceType": kind, "Path": "SomeStack/It", "Replacement": replacement,
    ...             "Details": details}
    >>> objections(change("Add", "AWS::SecretsManager::Secret"))
    []
    >>> objections(change("Modify", "AWS::SecretsManager::Secret", "False", "Description"))
    []
    >>> objections(change("Modify", "AWS::SecretsManager::Secret", "False", "GenerateSecretString"))
    ['SomeStack/It: GenerateSecretString would write a new value']
    >>> objections(change("Modify", "AWS::KMS::Key", "Conditional", "KeySpec"))
    ['SomeStack/It: it may be replaced, for KeySpec changes']
    >>> objections(change("Remove", "AWS::DynamoDB::Table"))
    ['SomeStack/It: it would be taken out of the stack']
    >>> objections(change("Remove", "AWS::CloudWatch::Alarm"))
    []

    What hangs on a value that nobody knows yet is no objection, but a doubt.

    >>> objections(change("Modify", "AWS::RDS::DBCluster", "True", "MasterUsername", Evaluation="Dynamic"))
    []
    """
    if change["ResourceType"] not in PRECIOUS:
        return []
    name = change["Path"]
    if change["Action"] == "Remove":
        return [f"{name}: it would be taken out of the stack"]
    if change["Action"] == "Add":
        return []
    found = []
    if change.get("Replacement", "False") != "False" and not is_doubtful(change):
        by = sorted({detail["Target"].get("Name", "it") for detail in replacing(change)})
        found.append(f"{name}: it may be replaced" + (f", for {', '.join(by)} changes" if by else ""))
    names = {detail.get("Target", {}).get("Name") for detail in change.get("Details", [])}
    found += [f"{name}: {value} would write a new value" for value in sorted(VALUES & names)]
    return found


def doubts(change):
    """What a preview says of a change, and what need not be so.

    >>> target = {"Attribute": "Properties", "Name": "MasterUsername", "RequiresRecreation": "Always"}
    >>> fed = {"Target": target, "Evaluation": "Dynamic", "ChangeSource": "ParameterReference", "CausingEntity": "SecretArn"}
    >>> cluster = {"Action": "Modify", "ResourceType": "AWS::RDS::DBCluster", "Path": "DatabaseStack/Cluster",
    ...            "Replacement": "True", "Details": [fed]}
    >>> doubts(cluster)
    ['DatabaseStack/Cluster: the preview calls it replaced, for MasterUsername may change']

    A nested change set has a placeholder for what another stack puts out, and takes it for a new value.

    >>> known = fed | {"Evaluation": "Static"}
    >>> doubts(cluster | {"Details": [known]})
    []
    >>> fed_by_a_placeholder = known | {"Target": target | {"AfterValue": "{{IntrinsicFunction:arn:aws:…/Secrets/Fn::GetAtt}}"}}
    >>> len(doubts(cluster | {"Details": [fed_by_a_placeholder]}))
    1
    >>> doubts(cluster | {"Details": [fed_by_a_placeholder, known]})
    []
    >>> doubts(cluster | {"Details": []})
    []
    """
    if change["ResourceType"] not in PRECIOUS or change["Action"] == "Remove" or not is_doubtful(change):
        return []
    names = sorted({detail["Target"].get("Name", "it") for detail in replacing(change)})
    return [f"{change['Path']}: the preview calls it replaced, for {', '.join(names)} may change"]


def is_doubtful(change):
    """Whether nothing that would replace a resource is known to change."""
    if change.get("Replacement", "False") == "False":
        return False
    causes = replacing(change)
    return bool(causes) and all(is_unknown(detail) for detail in causes)


def replacing(change):
    """The details for which a resource would be replaced."""
    details = change.get("Details", [])
    return [one for one in details if one.get("Target", {}).get("RequiresRecreation", "Never") != "Never"]


def is_unknown(detail):
    after = detail["Target"].get("AfterValue", "")
    return detail.get("Evaluation") == "Dynamic" or any(mark in after for mark in UNKNOWN)


def unheard(may_go, found):
    """Of the paths that may go, those at which nothing is objected: a leave that is not needed is not given.

    >>> unheard(["DatabaseStack/Cluster", "AuditStack"], ["AuditStack: it would be taken out of the stack"])
    ['DatabaseStack/Cluster']
    """
    return [path for path in may_go if not any(one.startswith(f"{path}: ") for one in found)]


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

    >>> policy = lambda action: {"Action": action, "ResourceType": "AWS::SecretsManager::ResourcePolicy", "Path": "Secrets/It"}
    >>> undoing([policy("Modify")], {})
    []
    >>> undoing([policy("Add"), {"Action": "Modify", "ResourceType": "AWS::SQS::Queue", "Path": "It"}], {"app": ["a"]})
    []
    >>> print(*undoing([policy("Modify")], {"app": ["a", "b"]}), sep="\\n")
    Secrets/It: it would take Relatch's denial off: a, b may not read app since an incident was contained. If that is over:
        relatch release app --principal a
        relatch release app --principal b
        Otherwise deploy later, or name Secrets/It in ALLOW: the next sweep puts the denial back, and until then they may read it.
    """
    found = []
    for path in (change["Path"] for change in changes if takes_off_denials(change)):
        for secret, names in denied.items():
            lines = [
                f"{path}: it would take Relatch's denial off: {', '.join(names)} may not read {secret} since an incident was"
                " contained. If that is over:",
                *(f"    relatch release {secret} --principal {name}" for name in names),
                f"    Otherwise deploy later, or name {path} in ALLOW: the next sweep puts the denial back, and until then they"
                " may read it.",
            ]
            found.append("\n".join(lines))
    return found


def takes_off_denials(change):
    return change["ResourceType"] == POLICY_OF_A_SECRET and change["Action"] != "Add"


def main(file, *may_go):
    import boto3

    with open(file, "rb") as config:
        settings = tomllib.load(config)["default"]["deploy"]["parameters"]
    stack = settings["stack_name"]
    cloudformation = boto3.client("cloudformation", region_name=settings["region"])
    uploaded = uploaded_change_set(cloudformation, stack)
    is_new = uploaded and describe(cloudformation, stack)["StackStatus"] == "REVIEW_IN_PROGRESS"
    if is_new:
        ended = carried_out(cloudformation, stack, uploaded, "stack_create_complete")
    elif uploaded:
        ended = changed(cloudformation, boto3.client("s3", region_name=settings["region"]), settings, uploaded, may_go)
    else:
        print("Nothing to change.")
        ended = 0
    if describe(cloudformation, stack)["StackStatus"].endswith("_IN_PROGRESS"):
        print("Its stacks get their policies back at the next deployment.", file=sys.stderr)
        return ended
    if is_new and ended:
        environment = settings["parameter_overrides"]["Environment"]
        print(
            f"What is left of it is in the way of the next: make destroy ENV={environment},",
            "and see infra/README.md for what that leaves.",
            file=sys.stderr,
        )
        return ended
    # The new ones among the nested stacks have none yet, and what was to go this once may no more.
    unprotected = protect(cloudformation, stack)
    if settings["parameter_overrides"]["Environment"] == "prod":
        cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    if unprotected:
        print("Deployed, but these stacks have taken no policy, so that nobody but this script refuses:", file=sys.stderr)
        print(*(f"  {path or 'the root'}: {reason}" for path, reason in unprotected.items()), sep="\n", file=sys.stderr)
    if ended == 0:
        for output in describe(cloudformation, stack).get("Outputs", []):
            print(f"{output['OutputKey']} = {output['OutputValue']}")
    return ended


def describe(cloudformation, stack):
    return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]


def uploaded_change_set(cloudformation, stack):
    """The change set that sam has just made; nothing if there is nothing to change."""
    made = cloudformation.get_paginator("list_change_sets").paginate(StackName=stack)
    # The one that was carried out last is still among them.
    made = [
        summary
        for page in made
        for summary in page["Summaries"]
        if summary["Status"] == "CREATE_COMPLETE" and summary["ExecutionStatus"] == "AVAILABLE"
    ]
    return max(made, key=lambda summary: summary["CreationTime"])["ChangeSetName"] if made else None


def changed(cloudformation, s3, settings, uploaded, may_go):
    """Changes a stack that is there; ends with 0, or 1 if it is refused or fails."""
    import botocore.exceptions

    stack = settings["stack_name"]
    change_set = {"StackName": stack, "ChangeSetName": f"whole-{int(time.time())}"}
    cloudformation.create_change_set(
        **change_set,
        ChangeSetType="UPDATE",
        IncludeNestedStacks=True,
        TemplateURL=stored(cloudformation, s3, settings, uploaded),
        # What the file does not say has the template's default, whatever it was before.
        Parameters=[
            {"ParameterKey": key, "ParameterValue": str(value)}
            for key, value in settings["parameter_overrides"].items()
        ],
        Capabilities=settings["capabilities"],
        Tags=[dict(zip(("Key", "Value"), tag.split("=", 1))) for tag in settings["tags"]],
        **({"RoleARN": settings["role_arn"]} if "role_arn" in settings else {}),
    )
    try:
        patience = {"Delay": 2, "MaxAttempts": 300}
        cloudformation.get_waiter("change_set_create_complete").wait(**change_set, WaiterConfig=patience)
    except botocore.exceptions.WaiterError:
        reasons = unmade(cloudformation, change_set)
        cloudformation.delete_change_set(**change_set)
        # Without a look into nested stacks, they all seem to change.
        if is_unchanged(reasons):
            cloudformation.delete_change_set(StackName=stack, ChangeSetName=uploaded)
            print("Nothing to change.")
            return 0
        return unseen(cloudformation, stack, uploaded, reasons, may_go, denied_by(settings))
    cloudformation.delete_change_set(StackName=stack, ChangeSetName=uploaded)
    # Also where an older deployment has left none.
    unprotected = protect(cloudformation, stack)
    changes = list(shown(cloudformation, change_set))
    found = [objection for change in changes for objection in objections(change)]
    for change, doubt in ((change, doubt) for change in changes for doubt in doubts(change)):
        if change["Path"].removesuffix(change["LogicalResourceId"]) in unprotected:
            found.append(f"{doubt}, and its stack has no policy")
        else:
            print(f"{doubt}. If it is, CloudFormation refuses, and nothing has changed.")
    found += undoing(changes, denied_by(settings))
    refused = [one for one in found if not any(one.startswith(f"{path}: ") for path in may_go)]
    if refused or unheard(may_go, found):
        cloudformation.delete_change_set(**change_set)
        if refused:
            paths = sorted({one.split(": ")[0] for one in refused})
            print("Refused, since it could not be undone:", *refused, sep="\n  ", file=sys.stderr)
            print(f'If that is meant, for this once: ALLOW="{" ".join(paths)}"', file=sys.stderr)
        for path in unheard(may_go, found):
            print(f"Refused: nothing would replace or remove {path}, so leave it out of ALLOW", file=sys.stderr)
        return 1
    protect(cloudformation, stack, may_go)
    return carried_out(cloudformation, stack, change_set["ChangeSetName"], "stack_update_complete")


def denied_by(settings):
    """The secrets of this environment that somebody is denied since an incident was contained."""
    import boto3

    given = settings["parameter_overrides"]
    secrets = boto3.client("secretsmanager", region_name=settings["region"])
    prefix = given.get("SecretNamePrefix") or f"{given.get('Project', 'relatch')}-{given['Environment']}-secret-"
    return denials(secrets, prefix)


def unseen(cloudformation, stack, uploaded, reasons, may_go, denied=()):
    """Changes a stack without a look into its nested ones, which CloudFormation does not give. Then secrets stay untouched
    altogether, for a new value would be no replacement; and so do their policies while they deny somebody.

    >>> class Client:
    ...     def get_paginator(self, _):
    ...         return self
    ...     get_waiter = get_paginator
    ...     def paginate(self, StackName):
    ...         return [{"StackResourceSummaries": []}]
    ...     def set_stack_policy(self, StackName, StackPolicyBody):
    ...         last = json.loads(StackPolicyBody)["Statement"][-1]
    ...         print(last["Effect"], last["Action"], last["Condition"]["StringEquals"]["ResourceType"])
    ...     def execute_change_set(self, StackName, ChangeSetName):
    ...         print("executes", ChangeSetName)
    ...     def wait(self, **_):
    ...         pass
    >>> import contextlib
    >>> with contextlib.redirect_stderr(sys.stdout):
    ...     unseen(Client(), "relatch-dev", "samcli-1", ["Usage of {{IntrinsicFunction:…}} is not allowed"], ())
    CloudFormation cannot say what would change:
      Usage of {{IntrinsicFunction:…}} is not allowed
    Deny ['Update:*'] ['AWS::SecretsManager::Secret']
    It is changed all the same: CloudFormation refuses to replace or remove what cannot be made again.
    executes samcli-1
    0
    >>> with contextlib.redirect_stderr(sys.stdout):
    ...     unseen(Client(), "relatch-dev", "samcli-1", ["it cannot be said"], ["DatabaseStack/Cluster"])
    CloudFormation cannot say what would change:
      it cannot be said
    Refused: without a look at it nothing may go. Leave ALLOW out.
    1
    """
    print("CloudFormation cannot say what would change:", *reasons, sep="\n  ", file=sys.stderr)
    if may_go:
        print("Refused: without a look at it nothing may go. Leave ALLOW out.", file=sys.stderr)
        return 1
    untouched = ["AWS::SecretsManager::Secret", *([POLICY_OF_A_SECRET] if denied else [])]
    unprotected = protect(cloudformation, stack, untouched=untouched)
    if unprotected:
        print("Refused, since these stacks have taken no policy:", *unprotected.items(), sep="\n  ", file=sys.stderr)
        return 1
    print("It is changed all the same: CloudFormation refuses to replace or remove what cannot be made again.")
    return carried_out(cloudformation, stack, uploaded, "stack_update_complete")


def stored(cloudformation, s3, settings, uploaded):
    """Where sam's template is, for CloudFormation to read: in a request it could be 51,200 bytes long, in S3 a million.
    Source: CloudFormation User Guide, "Understand CloudFormation quotas"."""
    stack = settings["stack_name"]
    template = cloudformation.get_template(StackName=stack, ChangeSetName=uploaded, TemplateStage="Original")["TemplateBody"]
    # What is JSON comes parsed.
    template = template if isinstance(template, str) else json.dumps(template)
    bucket = settings.get("s3_bucket")
    if not bucket:
        outputs = describe(cloudformation, "aws-sam-cli-managed-default")["Outputs"]
        bucket = next(output["OutputValue"] for output in outputs if output["OutputKey"] == "SourceBucket")
    key = f"{settings.get('s3_prefix', stack)}/{uploaded}.template"
    s3.put_object(Bucket=bucket, Key=key, Body=template.encode())
    # As sam writes it, with the bucket in the path.
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def carried_out(cloudformation, stack, change_set, waiter):
    """Carries a change set out, and says how it ended: 0, or 1."""
    import botocore.exceptions

    cloudformation.execute_change_set(StackName=stack, ChangeSetName=change_set)
    try:
        cloudformation.get_waiter(waiter).wait(StackName=stack, WaiterConfig={"Delay": 3, "MaxAttempts": 1200})
    except botocore.exceptions.WaiterError:
        status = describe(cloudformation, stack)["StackStatus"]
        outcome = "It is still going on" if status.endswith("_IN_PROGRESS") else "It came to nothing"
        print(f"{outcome} ({status}):", *failures(cloudformation, stack), sep="\n  ", file=sys.stderr)
        return 1
    return 0


def shown(cloudformation, change_set, path=""):
    """Every change with its path of logical ids, those of nested stacks after the stack's own."""
    pages = cloudformation.get_paginator("describe_change_set").paginate(**change_set, IncludePropertyValues=True)
    for change in (change["ResourceChange"] for page in pages for change in page.get("Changes", [])):
        change = change | {"Path": path + change["LogicalResourceId"]}
        print("  " * path.count("/") + f"{change['Action']:8}{change['ResourceType']:44}{change['LogicalResourceId']}")
        yield change
        if "ChangeSetId" in change:
            yield from shown(cloudformation, {"ChangeSetName": change["ChangeSetId"]}, f"{change['Path']}/")


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
