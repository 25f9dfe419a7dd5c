"""One row of the table of good and bad DatabaseProxies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """`changes` to the smallest DatabaseProxy; `path` is the field to blame, if any."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    def __str__(self) -> str:
        return self.name
