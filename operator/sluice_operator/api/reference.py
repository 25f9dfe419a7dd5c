"""docs/reference.md, made of the model: `python -m sluice_operator.api.reference`.

A section for each object with a table of its fields, the rules that tie fields together, and
an index of the reasons that conditions give. What is written by hand is the introduction.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from sluice_operator import names
from sluice_operator.api import conditions
from sluice_operator.api.crd import Schema, check_files, structural, write_files
from sluice_operator.api.labels import KEY_PATTERN, VALUE_PATTERN
from sluice_operator.api.model import OBJECT_NAME_PATTERN, APIModel
from sluice_operator.api.status import Status
from sluice_operator.api.v1alpha1 import NAME_MAX, PEERS_SUFFIX, Spec

EXAMPLE = """\
apiVersion: sluice.dev/v1alpha1
kind: DatabaseProxy
metadata:
  name: orders                      # clients connect to orders.shop.svc
  namespace: shop
spec:
  targets:
  - host: orders-db.example.internal
  targetTLS:
    mode: VerifyFull
    caSecretRef: {name: orders-db-ca}
  auth:
  - secretRef: {name: orders-app}   # username, password, database
    rotationGraceSeconds: 300
  - secretRef: {name: orders-reports}
  tls:
    secretRef: {name: orders-tls}   # leave it out for a certificate of the operator's
  connectionPool:
    maxConnectionsPercent: 45
    maxIdleConnectionsPercent: 20
    connectionBorrowTimeoutSeconds: 30
    initQuery: SET statement_timeout = '60s'
  network:
    allowedClients:
    - podSelector: {}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: jobs}}
      podSelector: {matchLabels: {database: orders}}
    databaseCIDRs: [10.20.0.0/16]
  autoPause:
    idleSeconds: 900
  replicas: 3
  podTemplate:
    metadata:
      labels: {team: shop}
    resources:
      requests: {cpu: 250m, memory: 128Mi}
      limits: {memory: 256Mi}
    tolerations:
    - {key: dedicated, value: database, effect: NoSchedule}
    priorityClassName: business-critical
    terminationGracePeriodSeconds: 300
"""

INTRODUCTION = f"""\
# Reference: DatabaseProxy

`{names.API_VERSION}`, kind `{names.KIND}`, short name `{names.SHORT_NAME}`; namespaced.
`kubectl explain {names.SINGULAR}.spec` says the same.

A DatabaseProxy needs a target and a Secret; all else has a default. One that says more:

```yaml
{EXAMPLE}```

**How to read the tables.** A field that is *required* has no default. A path such as `spec.auth[]`
means each item of a list. Amounts of time have their unit in the name. What breaks a bound or a
rule is refused by the API server, by `sluice check` and by `sluice run`, with the path of the
field. Unknown fields are refused by strict validation, which `kubectl` asks for, and dropped
otherwise.

**What a change does.** Everything but `autoPause`, `replicas`, `suspend`, `network` and
`podTemplate` reaches running pods: it is live within seconds, and no client is disconnected for it.
A paused proxy has it when it wakes. A change of `podTemplate` makes new pods, one after another;
clients of the old ones are disconnected between two transactions and find a new one when they
connect again.

**`metadata.name`** is the name of the Service that clients connect to: at most {NAME_MAX}
lower-case letters, digits and hyphens that begin with a letter. It must not end in
`{PEERS_SUFFIX}`: the pods of the DatabaseProxy without it find each other by that name.

**`scale`**: `kubectl scale {names.SINGULAR}/NAME --replicas=N` works, and so does a
HorizontalPodAutoscaler whose `scaleTargetRef` is the DatabaseProxy.
"""

REASONS = """\
## Reasons of conditions

Every condition has one of these reasons, with a sentence that says what of this object is meant.
`Ready` repeats the reason of the condition that it follows. [Status](status.md) says what to do.

| reason | condition | means |
|---|---|---|
"""

_WORDS = {
    KEY_PATTERN: "a label's key",
    VALUE_PATTERN: "a label's value",
    OBJECT_NAME_PATTERN: "an object's name",
}
"""Patterns that everybody knows by another name."""


def rendered() -> str:
    """The page, Markdown."""
    sections = [_section(*item) for root in _ROOTS for item in _objects(*root).items()]
    return "\n".join([INTRODUCTION, *sections, REASONS + _reasons()])


_ROOTS: tuple[tuple[type[BaseModel], str], ...] = ((Spec, "spec"), (Status, "status"))

Paths = tuple[str, ...]


def _objects(root: type[BaseModel], path: str) -> dict[type[BaseModel], Paths]:
    """Each model below `root` with the paths where it stands, in the order of the fields."""
    found: dict[type[BaseModel], Paths] = {}
    for model, at in _walk(root, path):
        found[model] = (*found.get(model, ()), at)
    return found


def _walk(model: type[BaseModel], path: str) -> Iterator[tuple[type[BaseModel], str]]:
    yield model, path
    for field in model.model_fields.values():
        items = "[]" if get_origin(field.annotation) is list else ""
        for inner in _models(field.annotation):
            yield from _walk(inner, f"{path}.{field.alias}{items}")


def _models(annotation: Any) -> tuple[type[APIModel], ...]:
    """The models in an annotation such as `list[Auth]` or `Affinity | None`."""
    if isinstance(annotation, type) and issubclass(annotation, APIModel):
        return (annotation,)
    return tuple(model for inner in get_args(annotation) for model in _models(inner))


def _heading(model: type[BaseModel], paths: Paths) -> str:
    """Its path, or its name where it stands in several places."""
    return paths[0] if len(paths) == 1 else model.__name__


def _section(model: type[BaseModel], paths: Paths) -> str:
    heading = _heading(model, paths)
    schema = structural(model)
    level = "##" if (model, heading) in _ROOTS else "###"
    lines = [f"{level} {heading}", "", schema["description"], ""]
    if len(paths) > 1:
        lines += ["In " + ", ".join(f"`{path}`" for path in paths) + ".", ""]
    lines += ["| field | type | default | |", "|---|---|---|---|"]
    lines += [_row(name, model, schema) for name in schema["properties"]]
    rules = dict.fromkeys([*_rules(schema, ""), *_rules_of_fields(schema)])
    refusals = ["", "Refused, in these words:", "", *rules] if rules else []
    return "\n".join([*lines, *refusals, ""])


def _row(name: str, model: type[BaseModel], schema: Schema) -> str:
    field = schema["properties"][name]
    default = "*required*" if name in schema.get("required", ()) else _default(field)
    cells = (f"`{name}`", _type(name, field, model), default, field["description"])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: Schema) -> str:
    if "default" not in field or field["default"] == {}:
        return ""
    value = field["default"]
    return (
        f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else '`""`'
    )


def _type(name: str, field: Schema, model: type[BaseModel]) -> str:
    """Type and bounds; a link where the type has a section of its own."""
    annotation = next(f.annotation for f in model.model_fields.values() if f.alias == name)
    link = next((_link(inner) for inner in _models(annotation)), "")
    return _phrase(field, link)


def _link(model: type[BaseModel]) -> str:
    for root in _ROOTS:
        paths = _objects(*root).get(model)
        if paths is not None:
            heading = _heading(model, paths)
            anchor = "".join(c for c in heading.lower() if c.isalnum() or c == "-")
            return f"[{model.__name__}](#{anchor})"
    raise LookupError(model)


def _phrase(schema: Schema, link: str) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    kind = schema["type"]
    if kind == "array":
        return f"list of {_phrase(schema['items'], link)}{_items(schema)}"
    if kind == "object":
        return _object(schema, link)
    if kind == "string":
        return f"string{_length(schema)}"
    return f"{kind}{_range(schema)}"


def _object(schema: Schema, link: str) -> str:
    if "additionalProperties" in schema:
        values = _phrase(schema["additionalProperties"], "")
        return f"map to {values}, at most {schema['maxProperties']} entries"
    return link or "object of Kubernetes"


def _items(schema: Schema) -> str:
    least, most = schema.get("minItems", 0), schema["maxItems"]
    if least == most:
        return f", exactly {most}"
    return f", {least} to {most}" if least else f", at most {most}"


def _length(schema: Schema) -> str:
    pattern = schema.get("pattern", "")
    least, most = schema.get("minLength", 0), schema["maxLength"]
    size = f", {least} to {most} characters" if least else f", at most {most} characters"
    if pattern in _WORDS:
        return f": {_WORDS[pattern]}"
    return size + (f", matches `{pattern}`" if pattern else "")


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    return f", at least {least}" if least is not None else ""


def _rules(schema: Schema, prefix: str) -> list[str]:
    return [f"- {prefix}{rule['message']}" for rule in schema.get("x-kubernetes-validations", ())]


def _rules_of_fields(schema: Schema) -> list[str]:
    """Rules that stand at a field itself; those of an object are in its own section."""
    return [
        line
        for name, field in schema["properties"].items()
        if "properties" not in field
        for line in _rules(field, f"`{name}`: ")
    ]


def _reasons() -> str:
    rows = [
        f"| `{reason}` | {reason.condition or 'event'} | {reason.meaning} |"
        for reason in sorted(conditions.Reason)
    ]
    return "\n".join(rows) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Prints the page, or writes the file named, or with --check says whether it differs."""
    parser = argparse.ArgumentParser(prog="python -m sluice_operator.api.reference")
    parser.add_argument("--page", type=Path, help="file for the page")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it differs")
    options = parser.parse_args(arguments)
    if options.page is None:
        sys.stdout.write(rendered())
        return 0
    wanted = {options.page: rendered}
    return check_files(wanted) if options.check else write_files(wanted)


if __name__ == "__main__":
    sys.exit(main())
