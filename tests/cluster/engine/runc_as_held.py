"""A runtime for Docker on machines without CAP_SYS_RESOURCE: runc, which is asked for all
capabilities by `docker run --privileged`, fails on one that its caller does not hold."""

import json
import os
import sys

ABSENT = "CAP_SYS_RESOURCE"


def value_of(option: str, arguments: list[str]) -> str | None:
    """The value of `--option VALUE` or `--option=VALUE`."""
    for at, word in enumerate(arguments):
        if word == option and at + 1 < len(arguments):
            return arguments[at + 1]
        if word.startswith(option + "="):
            return word.split("=", 1)[1]
    return None


def without_absent(path: str) -> None:
    """Rewrites a bundle's config.json, or the process file of an exec."""
    with open(path) as file:
        document = json.load(file)
    process = document.get("process", document)
    for kept in (process.get("capabilities") or {}).values():
        if ABSENT in kept:
            kept.remove(ABSENT)
    with open(path, "w") as file:
        json.dump(document, file)


def main(arguments: list[str]) -> None:
    bundle = value_of("--bundle", arguments)
    if "create" in arguments and bundle:
        without_absent(os.path.join(bundle, "config.json"))
    process = value_of("--process", arguments)
    if "exec" in arguments and process:
        without_absent(process)
    os.execvp("runc", ["runc", *arguments])


main(sys.argv[1:])
