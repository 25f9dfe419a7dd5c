"""What a run found: counts that must be 0, and a few lines of each for whoever looks into it."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_KINDS = 60
_EXAMPLES = 3  # of each kind
_WIDTH = 300
_NUMBER = re.compile(r"\d+")


@dataclass
class Tally:
    """A count, and a few lines of each kind; lines of one kind differ in their numbers."""

    count: int = 0
    lines: list[str] = field(default_factory=list)
    _kinds: Counter[str] = field(default_factory=Counter)

    def add(self, line: str) -> None:
        self.count += 1
        text = " ".join(line.split())[:_WIDTH]
        kind = _NUMBER.sub("#", text)[:80]
        self._kinds[kind] += 1
        if self._kinds[kind] <= _EXAMPLES and len(self._kinds) <= _KINDS:
            self.lines.append(text)


@dataclass
class Findings:
    """`wrong`: answers that are not the owner's own. `settings`, `objects`, `transactions`: what
    of others was found in a session. `errors`: refusals and losses out of place.
    """

    acts: Counter[str] = field(default_factory=Counter)
    logins: int = 0
    transactions: int = 0
    rows: int = 0
    looks: int = 0
    most_connections: int = 0  # that the server had at once, as sampled at each kill
    kills: int = 0
    excused: int = 0  # errors that a kill explains
    wrong: Tally = field(default_factory=Tally)
    settings: Tally = field(default_factory=Tally)
    objects: Tally = field(default_factory=Tally)
    open_transactions: Tally = field(default_factory=Tally)
    errors: Tally = field(default_factory=Tally)

    @property
    def leaks(self) -> int:
        return self.settings.count + self.objects.count + self.open_transactions.count

    @property
    def clean(self) -> bool:
        return not (self.wrong.count or self.leaks or self.errors.count)

    def lines(self) -> list[str]:
        """The first findings of each sort."""
        sorts = (self.wrong, self.settings, self.objects, self.open_transactions, self.errors)
        return [line for tally in sorts for line in tally.lines]

    def document(self) -> dict[str, Any]:
        return {
            "transactions": self.transactions,
            "rows": self.rows,
            "wrong_rows": self.wrong.count,
            "leaks": self.leaks,
            "leaked_settings": self.settings.count,
            "leaked_objects": self.objects.count,
            "leaked_transactions": self.open_transactions.count,
            "errors_out_of_place": self.errors.count,
            "look_arounds": self.looks,
            "logins": self.logins,
            "most_server_connections": self.most_connections,
            "kills": self.kills,
            "errors_by_kills": self.excused,
            "acts": dict(sorted(self.acts.items())),
        }

    def __str__(self) -> str:
        return (
            f"{self.acts.total():,} acts, {self.transactions:,} transactions, {self.rows:,} rows, "
            f"{self.logins:,} logins, {self.kills} kills ({self.excused} noticed): "
            f"{self.wrong.count} wrong rows, {self.leaks} leaks "
            f"({self.settings.count} settings, {self.objects.count} objects, "
            f"{self.open_transactions.count} transactions), {self.errors.count} errors"
        )
