"""What CloudFormation itself refuses to replace or take out of a stack: a stack policy on every stack of an environment.

A preview shows what CloudFormation can know before it begins, and for what comes from another stack that is not the truth.
The policy is judged while the update runs, by what is then replaced in fact. Sources: CloudFormation User Guide, "Prevent
updates to stack resources"; API reference, ExecuteChangeSet ("enforces the policy during the update. You can't specify a
temporary stack policy"), so what may go this once is written into the policy before, and taken out after.
"""

import json

from botocore.exceptions import ClientError

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


def policy(may_go=(), untouched=()):
    """A stack's policy. `may_go` are logical ids that may be replaced or removed this once; `untouched` are kinds that may
    not be changed at all this once, since nobody has seen what would change.

    >>> def denied(document):
    ...     return [(one["Action"], one.get("NotResource", one.get("Resource")), len(one["Condition"]["StringEquals"]["ResourceType"]))
    ...             for one in json.loads(document)["Statement"] if one["Effect"] == "Deny"]
    >>> denied(policy())
    [(['Update:Replace', 'Update:Delete'], '*', 8)]
    >>> denied(policy(["Cluster"]))
    [(['Update:Replace', 'Update:Delete'], ['LogicalResourceId/Cluster'], 8)]
    >>> denied(policy(untouched=["AWS::SecretsManager::Secret"]))
    [(['Update:Replace', 'Update:Delete'], '*', 8), (['Update:*'], '*', 1)]

    A policy allows nothing that it does not name.

    >>> json.loads(policy())["Statement"][0]
    {'Effect': 'Allow', 'Action': 'Update:*', 'Principal': '*', 'Resource': '*'}
    """

    def deny(actions, kinds):
        where = {"NotResource": [f"LogicalResourceId/{one}" for one in may_go]} if may_go else {"Resource": "*"}
        condition = {"StringEquals": {"ResourceType": sorted(kinds)}}
        return {"Effect": "Deny", "Action": actions, "Principal": "*", **where, "Condition": condition}

    statements = [
        {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
        deny(["Update:Replace", "Update:Delete"], PRECIOUS),
    ]
    if untouched:
        statements.append(deny(["Update:*"], untouched))
    return json.dumps({"Statement": statements})


def stacks(cloudformation, stack, path=""):
    """A stack and all that are nested in it, each with the path of its logical ids that ends in a slash.

    >>> class Client:
    ...     nested = {"root": {"DatabaseStack": "arn:database", "Gone": ""}, "arn:database": {"Deep": "arn:deep"}, "arn:deep": {}}
    ...     def get_paginator(self, _):
    ...         return self
    ...     def paginate(self, StackName):
    ...         return [{"StackResourceSummaries": [
    ...             {"ResourceType": "AWS::CloudFormation::Stack", "LogicalResourceId": name, "PhysicalResourceId": where,
    ...              "ResourceStatus": "CREATE_COMPLETE" if where else "DELETE_COMPLETE"}
    ...             for name, where in self.nested[StackName].items()
    ...         ] + [{"ResourceType": "AWS::SQS::Queue", "LogicalResourceId": "Queue", "ResourceStatus": "CREATE_COMPLETE"}]}]
    >>> list(stacks(Client(), "root"))
    [('', 'root'), ('DatabaseStack/', 'arn:database'), ('DatabaseStack/Deep/', 'arn:deep')]
    """
    yield path, stack
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for one in page["StackResourceSummaries"]:
            is_there = one["ResourceStatus"] != "DELETE_COMPLETE" and one.get("PhysicalResourceId")
            if one["ResourceType"] == "AWS::CloudFormation::Stack" and is_there:
                yield from stacks(cloudformation, one["PhysicalResourceId"], f"{path}{one['LogicalResourceId']}/")


def protect(cloudformation, stack, may_go=(), untouched=()):
    """Gives every stack its policy; answers with the stacks that have not taken it, by their paths, each with the reason.
    `may_go` are paths of logical ids, as DatabaseStack/Cluster.

    >>> class Client:
    ...     def get_paginator(self, _):
    ...         return self
    ...     def paginate(self, StackName):
    ...         inner = {"ResourceType": "AWS::CloudFormation::Stack", "LogicalResourceId": "DatabaseStack",
    ...                  "PhysicalResourceId": "arn:database", "ResourceStatus": "UPDATE_COMPLETE"}
    ...         return [{"StackResourceSummaries": [inner] if StackName == "root" else []}]
    ...     def set_stack_policy(self, StackName, StackPolicyBody):
    ...         if StackName == self.refusing:
    ...             raise ClientError({"Error": {"Code": "ValidationError", "Message": "it is nested"}}, "SetStackPolicy")
    ...         print(StackName, json.loads(StackPolicyBody)["Statement"][1].get("NotResource"))
    ...     refusing = None
    >>> protect(Client(), "root", ["DatabaseStack/Cluster"])
    root None
    arn:database ['LogicalResourceId/Cluster']
    {}
    >>> protect(Client(), "root", ["AuditStack"])
    root ['LogicalResourceId/AuditStack']
    arn:database None
    {}
    >>> client = Client()
    >>> client.refusing = "arn:database"
    >>> list(protect(client, "root"))
    root None
    ['DatabaseStack/']
    """
    unprotected = {}
    for path, name in stacks(cloudformation, stack):
        here = [one.removeprefix(path) for one in may_go if one.startswith(path)]
        here = [one for one in here if "/" not in one]
        try:
            cloudformation.set_stack_policy(StackName=name, StackPolicyBody=policy(here, untouched))
        except ClientError as problem:
            unprotected[path] = str(problem)
    return unprotected
