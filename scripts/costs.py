"""What an environment costs in 30 days while nothing is read: `monthly`, computed from the templates and its parameters.

    costs.py ENVIRONMENT.toml [EXPANDED.json]    the lines, as JSON

A test holds it to the computation of docs/COSTS.md, and so are the prices (infra/prices.toml), which that one writes.
"""

import json
import subprocess
import sys
import tomllib

ROOT = "infra/template.yaml"
HOURS = 720
# With DatabaseStopAtNight: 13 hours on five days of seven.
AWAKE_HOURS = 13 * 30 * 5 / 7


class Known:
    """What stands for a value that exists only when it is deployed."""


KNOWN_LATER = Known()


class Stack:
    """A template with its parameters: which resources there would be."""

    def __init__(self, templates, path, parameters):
        self.templates, self.template = templates, templates[path]
        declared = self.template.get("Parameters", {})
        defaults = {name: str(one["Default"]) for name, one in declared.items() if "Default" in one}
        self.parameters = defaults | parameters

    def resources(self, path=""):
        """Every resource that there would be, with its path of logical ids, and its properties as far as they are known.

        >>> root = {"Parameters": {"Makes": {"Default": "false"}, "Zones": {"Default": "1"}},
        ...         "Conditions": {"Does": {"Fn::Equals": [{"Ref": "Makes"}, "true"]}, "One": {"Fn::Equals": [{"Ref": "Zones"}, "1"]}},
        ...         "Resources": {
        ...             "Key": {"Type": "AWS::KMS::Key", "Condition": "Does"},
        ...             "Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "inner", "Parameters": {
        ...                 "Zones": {"Ref": "Zones"}, "Key": {"Fn::GetAtt": ["Other", "Outputs.Key"]}}}}}}
        >>> inner = {"Conditions": {"One": {"Fn::Equals": [{"Ref": "Zones"}, "1"]}, "HasKey": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Key"}, ""]}]}},
        ...          "Resources": {"Endpoint": {"Type": "E", "Condition": "HasKey", "Properties": {
        ...              "SubnetIds": [{"Ref": "A"}, {"Fn::If": ["One", {"Ref": "AWS::NoValue"}, {"Ref": "B"}]}]}}}}
        >>> def found(**given):
        ...     stack = Stack({"root": root, "inner": inner}, "root", given)
        ...     return [(path, len(one["Properties"].get("SubnetIds", []))) for path, one in stack.resources()]
        >>> found()
        [('Inner/Endpoint', 1)]
        >>> found(Makes="true", Zones="2")
        [('Key', 0), ('Inner/Endpoint', 2)]
        """
        for name, resource in self.template["Resources"].items():
            if "Condition" in resource and not self.holds({"Condition": resource["Condition"]}):
                continue
            properties = self.value(resource.get("Properties", {}))
            if resource["Type"] != "AWS::CloudFormation::Stack":
                yield path + name, {"Type": resource["Type"], "Properties": properties}
                continue
            given = {key: one for key, one in properties.get("Parameters", {}).items() if one is not None}
            yield from Stack(self.templates, properties["TemplateURL"], given).resources(f"{path}{name}/")

    def value(self, written):
        if isinstance(written, list):
            return [one for one in map(self.value, written) if one is not None]
        if not isinstance(written, dict):
            return written
        match list(written.items()):
            case [("Ref", "AWS::NoValue")]:
                return None
            case [("Ref", name)]:
                return self.parameters.get(name, KNOWN_LATER)
            case [("Fn::If", [condition, then, otherwise])]:
                return self.value(then if self.holds({"Condition": condition}) else otherwise)
            case [("Fn::Join", [between, parts])]:
                parts = self.value(parts)
                known = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
                return between.join(parts) if known else parts if isinstance(parts, str) else KNOWN_LATER
            case [("Fn::Sub", str(text))]:
                return text
            case [(function, _)] if function.startswith("Fn::"):
                return KNOWN_LATER
        resolved = {key: self.value(one) for key, one in written.items()}
        return {key: one for key, one in resolved.items() if one is not None}

    def holds(self, written):
        match list(written.items()):
            case [("Condition", name)]:
                return self.holds(self.template["Conditions"][name])
            case [("Fn::Equals", [one, other])]:
                return self.value(one) == self.value(other)
            case [("Fn::Not", [inner])]:
                return not self.holds(inner)
            case [("Fn::And", all_of)]:
                return all(map(self.holds, all_of))
            case [("Fn::Or", any_of)]:
                return any(map(self.holds, any_of))
        raise ValueError(f"no condition is written as {written}")


def monthly(stack, prices="infra/prices.toml"):
    """The lines, each with its US dollars."""
    with open(prices, "rb") as file:
        price = tomllib.load(file)
    found = {}
    for _, resource in stack.resources():
        found.setdefault(resource["Type"], []).append(resource["Properties"])
    of = lambda kind: found.get(kind, [])
    parameters = stack.parameters
    zones = sum(len(one.get("SubnetIds", [])) for one in of("AWS::EC2::VPCEndpoint"))
    metrics = sum(map(metrics_of, of("AWS::CloudWatch::Alarm")))
    hours = AWAKE_HOURS if parameters["DatabaseStopAtNight"] == "true" else HOURS
    copies = 2 if parameters["ReplicaRegion"] else 1
    lines = [
        ("interface endpoints", zones * HOURS * price["endpoint"]),
        ("keys", len(of("AWS::KMS::Key")) * price["key"]),
        (
            "alarms, metrics, dashboards",
            metrics * price["alarm"] + price["own_metrics"] * price["metric"] + len(of("AWS::CloudWatch::Dashboard")) * price["dashboard"],
        ),
        ("waiting at queues", len(of("AWS::Lambda::EventSourceMapping")) * 5 * HOURS * 3600 / 20 / 1e6 * price["queue"]),
        ("the secrets themselves", len(of("AWS::SecretsManager::Secret")) * copies * price["secret"]),
    ]
    for _ in of("AWS::RDS::DBCluster"):
        instances = len(of("AWS::RDS::DBInstance"))
        units = instances * float(parameters["DatabaseMinCapacity"])
        lines.append(("the database, at its least capacity", units * hours * price["capacity_unit"]))
    for instance in of("AWS::RDS::DBInstance"):
        if "AllocatedStorage" not in instance:
            continue
        twice = 2 if instance["MultiAZ"] else 1
        name = instance["DBInstanceClass"]
        if name in price["instances"]:
            lines.append((f"the database, {name}", twice * hours * price["instances"][name]))
        else:
            lines.append((f"the database, {name}: no price is known here", 0.0))
        lines.append(("its storage", twice * float(instance["AllocatedStorage"]) * price["storage"]))
    if of("AWS::RDS::DBProxy"):
        lines.append(("its proxy: by its capacity, not in the sum", 0.0))
    return lines


def metrics_of(alarm):
    """How many metrics an alarm is charged for; a band of what is usual is two more."""
    metrics = [one for one in alarm.get("Metrics", []) if isinstance(one, dict)]
    bands = [one for one in metrics if "_BAND" in str(one.get("Expression", ""))]
    return max(1, len([one for one in metrics if "MetricStat" in one])) + 2 * len(bands)


def expanded(file=None):
    """The templates, as scripts/expand prints them; from a file, if it has been done already."""
    if file:
        with open(file, encoding="utf-8") as text:
            return json.load(text)
    return json.loads(subprocess.run([sys.executable, "scripts/expand", ROOT], stdout=subprocess.PIPE, check=True).stdout)


def main(file, *done):
    with open(file, "rb") as config:
        parameters = tomllib.load(config)["default"]["deploy"]["parameters"]["parameter_overrides"]
    stack = Stack(expanded(*done), ROOT, {name: str(value) for name, value in parameters.items()})
    json.dump(monthly(stack), sys.stdout)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
