"""From a manifest to a `DatabaseProxy`, or to sentences that name each bad field."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sluice_operator.api.v1alpha1 import DatabaseProxy

_INTERNAL = re.compile(r"^(function-|\[key\])")


class InvalidManifest(ValueError):
    """`problems` are (path, sentence) pairs: `("spec.targets[0].port", "…")`."""

    def __init__(self, problems: tuple[tuple[str, str], ...]):
        super().__init__("; ".join(f"{path}: {sentence}" for path, sentence in problems))
        self.problems = problems


def parse(manifest: Mapping[str, Any], *, strict: bool = False) -> DatabaseProxy:
    """The object that a manifest describes. Raises InvalidManifest.

    The operator passes over fields that it does not know, for a newer version may have
    written them; `strict` refuses them, as the API server does under strict validation.
    """
    try:
        proxy = DatabaseProxy.model_validate(manifest)
        if strict:
            DatabaseProxy.model_validate(_own_fields(manifest), extra="forbid")
    except ValidationError as error:
        problems = tuple((_path(item["loc"]), _sentence(item)) for item in error.errors())
        raise InvalidManifest(problems) from None
    return proxy


def _own_fields(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without what Kubernetes itself keeps in metadata and status."""
    known = ("name", "namespace", "uid", "generation")
    metadata = {key: manifest["metadata"][key] for key in known if key in manifest["metadata"]}
    kept = {key: value for key, value in manifest.items() if key != "status"}
    return {**kept, "metadata": metadata}


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _INTERNAL.match(part):
            path += f".{part}" if path else part
    return path or "manifest"


def _sentence(item: ErrorDetails) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown field"
    if item["type"] == "missing":
        return "required"
    return item["msg"]
