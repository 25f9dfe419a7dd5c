"""Where a configuration comes from: a file that somebody else replaces."""

import os
from dataclasses import dataclass
from typing import Protocol


class Source(Protocol):
    """Gives the document as text. Raises OSError or ConfigError when there is none."""

    def changed(self) -> bool:
        """Whether `read` may give something new; cheap, called every second."""
        ...

    def read(self) -> str: ...


@dataclass(slots=True)
class FileSource:
    """A document in a file. A mounted Secret is replaced by swapping a symbolic link."""

    path: str | os.PathLike[str]
    _seen: tuple[int, int, int] = (0, 0, 0)

    def changed(self) -> bool:
        return self._fingerprint() != self._seen

    def read(self) -> str:
        self._seen = self._fingerprint()
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def _fingerprint(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self.path)
        except OSError:
            return (0, 0, 1)
        return (found.st_ino, found.st_mtime_ns, found.st_size)
