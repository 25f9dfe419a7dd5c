"""The CustomResourceDefinition, made of the model: `python -m sluice_operator.api.crd`.

Fail closed: a keyword of JSON Schema that no structural schema knows, a string, list or
map without a bound, a list that does not say how it is merged, an open object that does not
say so, or a field without a description stops the generator. The rules are those of the API
server's own validation of structural schemas.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from sluice_operator import names
from sluice_operator.api.status import Status
from sluice_operator.api.v1alpha1 import (
    NAME_MAX,
    NAME_PATTERN,
    PEERS_NAME,
    PEERS_SUFFIX,
    Spec,
)

Schema = dict[str, Any]

_COPIED = frozenset(
    (
        *("type", "format", "description", "default", "enum", "pattern", "required"),
        *("minimum", "maximum", "multipleOf", "minLength", "maxLength"),
        *("minItems", "maxItems", "minProperties", "maxProperties"),
    )
)
_OPEN = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_LIST_TYPE = "x-kubernetes-list-type"
_EXTENSIONS = frozenset(
    (
        *(_OPEN, _INT_OR_STRING, _LIST_TYPE, "x-kubernetes-list-map-keys"),
        *("x-kubernetes-map-type", "x-kubernetes-validations"),
    )
)
_DROPPED = frozenset({"title"})
_BOUNDS = {"string": "maxLength", "array": "maxItems"}


class NotStructural(TypeError):
    """The model says something that a structural schema cannot say; names the field."""


def structural(model: type[BaseModel]) -> Schema:
    """The OpenAPI schema of `model` as a CRD may hold it. Raises NotStructural."""
    document = model.model_json_schema(by_alias=True, mode="validation")
    definitions = document.pop("$defs", {})
    return _Rewriter(definitions).rewrite(document, model.__name__, ())


class _Rewriter:
    def __init__(self, definitions: Mapping[str, Schema]):
        self._definitions = definitions

    def rewrite(self, schema: Any, path: str, inside: tuple[str, ...]) -> Schema:
        """`schema` in structural form; `inside` are the models that lead to it."""
        if not isinstance(schema, dict) or not schema:
            raise NotStructural(f"{path}: untyped")
        schema, inside = self._resolved(_without_null(schema, path), path, inside)
        schema = _open_as_preserved(_constant_as_enum(schema), path)
        result: Schema = {}
        for keyword, value in schema.items():
            rewritten = self._keyword(keyword, value, path, inside)
            if rewritten is not None:
                result[keyword] = rewritten
        return _checked(result, path)

    def _resolved(
        self, schema: Schema, path: str, inside: tuple[str, ...]
    ) -> tuple[Schema, tuple[str, ...]]:
        """References replaced by what they refer to; what stands beside them wins."""
        while "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name in inside:
                raise NotStructural(f"{path}: {name} contains itself")
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema, inside = {**self._definitions[name], **beside}, (*inside, name)
        return schema, inside

    def _keyword(self, keyword: str, value: Any, path: str, inside: tuple[str, ...]) -> Any:
        if keyword in _DROPPED:
            return None
        if keyword in _COPIED or keyword in _EXTENSIONS:
            return value
        if keyword == "properties":
            return {
                name: self.rewrite(child, f"{path}.{name}", inside) for name, child in value.items()
            }
        if keyword == "items":
            return self.rewrite(value, f"{path}[]", inside)
        if keyword == "additionalProperties":
            return self.rewrite(value, f"{path}{{}}", inside)
        if keyword == "propertyNames":
            return None  # a CRD cannot bound keys; the API server checks labels itself
        raise NotStructural(f"{path}: keyword {keyword} has no place in a structural schema")


def _without_null(schema: Schema, path: str) -> Schema:
    """`X | None` as plain X: absent is how a CRD says None."""
    if "anyOf" not in schema:
        return schema
    arms = [arm for arm in schema["anyOf"] if arm.get("type") != "null"]
    if len(arms) != 1:
        raise NotStructural(f"{path}: a union of {len(arms)} types")
    beside = {
        key: value
        for key, value in schema.items()
        if key != "anyOf" and not (key == "default" and value is None)
    }
    return {**arms[0], **beside}


def _constant_as_enum(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    return {
        ("enum" if key == "const" else key): ([value] if key == "const" else value)
        for key, value in schema.items()
    }


def _open_as_preserved(schema: Schema, path: str) -> Schema:
    """A map of anything is an object whose fields are kept, if the model says that it means it."""
    if schema.get(_OPEN) and schema.get("properties"):
        raise NotStructural(f"{path}: properties and {_OPEN} together")
    if not schema.get(_OPEN) or schema.get("additionalProperties") is not True:
        return schema
    return {key: value for key, value in schema.items() if key != "additionalProperties"}


def _checked(schema: Schema, path: str) -> Schema:
    kind = schema.get("type")
    if kind is None and not schema.get(_INT_OR_STRING):
        raise NotStructural(f"{path}: no type")
    if kind is not None and schema.get(_INT_OR_STRING):
        raise NotStructural(f"{path}: type and {_INT_OR_STRING} together")
    if "properties" in schema and "additionalProperties" in schema:
        raise NotStructural(f"{path}: properties and additionalProperties together")
    _check_bound(schema, path)
    if kind == "array" and _LIST_TYPE not in schema:
        raise NotStructural(f"{path}: array without {_LIST_TYPE}")
    for name, child in schema.get("properties", {}).items():
        if not child.get("description"):
            raise NotStructural(f"{path}.{name}: no description")
    if kind == "object" and schema.get("default"):
        schema = {**schema, "default": _object_default(schema, path)}
    return schema


def _check_bound(schema: Schema, path: str) -> None:
    """Strings and lists have a longest, maps and open objects a largest."""
    kind = schema.get("type", "")
    is_map = "additionalProperties" in schema or schema.get(_OPEN)
    bound = "maxProperties" if is_map else _BOUNDS.get(kind)
    if bound is not None and bound not in schema and "enum" not in schema:
        raise NotStructural(f"{path}: {kind} without {bound}")


def _object_default(schema: Schema, path: str) -> Schema:
    """`{}`, for the children's own defaults fill it; refuses a default that they do not give."""
    for name, value in schema["default"].items():
        if not _is_implied(schema["properties"][name], value):
            raise NotStructural(f"{path}: default of {name} is not the default of the field")
    return {}


def _is_implied(child: Schema, value: Any) -> bool:
    """Whether a field that is left out comes to `value`."""
    if child.get("default") == {} and isinstance(value, dict):
        return all(_is_implied(child["properties"][name], item) for name, item in value.items())
    empty: dict[str, Any] = {"array": [], "object": {}}
    absent = empty.get(child.get("type", "")) if value is not None else None
    return bool(child.get("default", absent) == value)


KEPT: Mapping[str, str] = {
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}
"""With the CRD all proxies would go: neither Flux nor Argo CD may take it away with the rest."""


def definition() -> Schema:
    """The whole CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}", "annotations": dict(KEPT)},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": ["all", "sluice"],
            },
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            _column("Phase", "string", ".status.phase"),
            _column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
            _column("Endpoint", "string", ".status.endpoint"),
            _column("Clients", "integer", ".status.pool.clients"),
            _column("Pinned", "integer", ".status.pool.pinned"),
            _column("Age", "date", ".metadata.creationTimestamp"),
            _wide("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
            _wide("Budget", "integer", ".status.pool.budget"),
            _wide("Open", "integer", ".status.pool.open"),
            _wide("Replicas", "integer", ".status.readyReplicas"),
        ],
    }


def _column(name: str, kind: str, path: str) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path}


def _wide(name: str, kind: str, path: str) -> Schema:
    """Shown by `kubectl get -o wide` alone."""
    return {**_column(name, kind, path), "priority": 1}


def _root() -> Schema:
    return {
        "description": "DatabaseProxy is a pooled endpoint in front of a PostgreSQL server: many "
        "clients, few server connections. Clients connect to the host in status.endpoint, port "
        "5432, with the users and passwords of the Secrets in spec.auth. The name of the object "
        "is the name of the Service that is made for it.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "sluice.dev/v1alpha1"},
            "kind": {"type": "string", "description": "DatabaseProxy"},
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": NAME_MAX, "pattern": NAME_PATTERN}
                },
            },
            "spec": structural(Spec),
            "status": structural(Status),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"!self.metadata.name.endsWith('{PEERS_SUFFIX}')",
                "message": PEERS_NAME,
                "fieldPath": ".metadata.name",
            }
        ],
    }


class _Plain(yaml.SafeDumper):
    """YAML without anchors, lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


GENERATED = "# Generated by `make crds` from sluice_operator.api: do not edit.\n"


def rendered() -> str:
    """The definition as a YAML file."""
    text: str = yaml.dump(definition(), Dumper=_Plain, sort_keys=False, width=96)
    return GENERATED + text


def chart_template() -> str:
    """The same definition as a template of the chart.

    Helm never upgrades what stands in a chart's `crds/`, so it is a template, kept when
    the release is uninstalled.
    """
    text = rendered()
    if "{{" in text:
        raise NotStructural("a description holds {{, which Helm would read as its own")
    annotations = "  annotations:\n" + "".join(f"    {key}: {KEPT[key]}\n" for key in KEPT)
    head, _, tail = text.partition(annotations)
    kept = (
        "  {{- if .Values.crds.keep }}\n"
        f"{annotations}    helm.sh/resource-policy: keep\n"
        "  {{- end }}\n"
    )
    return "{{- if .Values.crds.install }}\n" + head + kept + tail + "{{- end }}\n"


def main(arguments: list[str] | None = None) -> int:
    """Prints the CRD, or writes the files named, or with --check says which of them differ."""
    parser = argparse.ArgumentParser(prog="python -m sluice_operator.api.crd")
    parser.add_argument("--crd", type=Path, help="file for the plain CRD")
    parser.add_argument("--chart", type=Path, help="file for the chart's template of it")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if they differ")
    options = parser.parse_args(arguments)
    if options.crd is None and options.chart is None:
        sys.stdout.write(rendered())
        return 0
    wanted: dict[Path, Callable[[], str]] = {}
    if options.crd is not None:
        wanted[options.crd] = rendered
    if options.chart is not None:
        wanted[options.chart] = chart_template
    return check_files(wanted) if options.check else write_files(wanted)


def write_files(wanted: Mapping[Path, Callable[[], str]]) -> int:
    for path, make in wanted.items():
        path.write_text(make())
        sys.stderr.write(f"wrote {path}\n")
    return 0


def check_files(wanted: Mapping[Path, Callable[[], str]]) -> int:
    stale = [p for p, make in wanted.items() if not p.exists() or p.read_text() != make()]
    for path in stale:
        sys.stderr.write(f"{path} is not what the model says: run `make crds`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
