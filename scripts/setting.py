"""Prints a setting of an environment's file, or its default: setting.py FILE KEY.OF.KEY… [DEFAULT]; a list word by word.

`bus` is no setting: it is the ARN of the default bus of the file's region, in the account that the credentials are of.
"""

import sys
import tomllib


def main(file, path, *default):
    with open(file, "rb") as config:
        settings = tomllib.load(config)
    if path == "bus":
        import boto3

        caller = boto3.client("sts").get_caller_identity()
        partition, region = caller["Arn"].split(":")[1], settings["default"]["deploy"]["parameters"]["region"]
        return f"arn:{partition}:events:{region}:{caller['Account']}:event-bus/default"
    value = settings
    for key in path.split("."):
        if key not in value:
            return default[0] if default else sys.exit(f"{file} has no {path}")
        value = value[key]
    return " ".join(value) if isinstance(value, list) else value


print(main(*sys.argv[1:]))
