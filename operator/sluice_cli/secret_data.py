"""The data of a Secret's manifest, as the API server would keep it."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

Problem = tuple[str, str]
"""Path and sentence; a value is never quoted."""


def secret_data(content: Mapping[str, Any]) -> tuple[dict[str, bytes], tuple[Problem, ...]]:
    """The decoded data; `stringData` wins over `data`. The second holds what is wrong."""
    data: dict[str, bytes] = {}
    problems: list[Problem] = []
    for field, decode in (("data", _from_base64), ("stringData", str.encode)):
        for key, value in _entries(content, field, problems):
            try:
                data[key] = decode(value)
            except ValueError:
                problems.append((f"{field}.{key}", "not base64" if field == "data" else "not text"))
    return data, tuple(problems)


def _entries(
    content: Mapping[str, Any], field: str, problems: list[Problem]
) -> Iterator[tuple[str, str]]:
    values = content.get(field)
    if values is None:
        return
    if not isinstance(values, dict):
        problems.append((field, "not a map of strings"))
        return
    for key, value in values.items():
        if isinstance(key, str) and isinstance(value, str):
            yield key, value
        else:
            problems.append((f"{field}.{key}", "not a string; put quotes around it"))


def _from_base64(text: str) -> bytes:
    # Line breaks are passed over, as Go's decoder in the API server does.
    return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
