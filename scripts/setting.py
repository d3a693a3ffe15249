"""Prints a setting of an environment's file, or its default: setting.py FILE KEY.OF.KEY… [DEFAULT]; a list word by word."""

import sys
import tomllib


def main(file, path, *default):
    with open(file, "rb") as config:
        value = tomllib.load(config)
    for key in path.split("."):
        if key not in value:
            return default[0] if default else sys.exit(f"{file} has no {path}")
        value = value[key]
    return " ".join(value) if isinstance(value, list) else value


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
