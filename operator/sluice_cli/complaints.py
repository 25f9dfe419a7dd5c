"""What is wrong with the files that were given, and where."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Complaint:
    """`file` may carry a line (`a.yaml:7`); `subject` is `DatabaseProxy shop/orders`.

    `reason` is a CamelCase word for programs, where there is one.
    """

    file: str
    sentence: str
    subject: str = ""
    path: str = ""
    reason: str = ""

    def __str__(self) -> str:
        parts = (self.file, self.subject, self.path, self.sentence)
        return ": ".join(part for part in parts if part)


class Complaints(Exception):
    """Why the files cannot be served."""

    def __init__(self, items: Iterable[Complaint]):
        self.items = tuple(items)
        super().__init__("; ".join(map(str, self.items)))
