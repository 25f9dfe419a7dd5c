"""The files, folders and standard input that manifests are read from."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice_cli.complaints import Complaint

STANDARD_INPUT = "-"
SUFFIXES = (".yaml", ".yml", ".json")

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Path, inode, mtime and size of each file: a file that is replaced differs in one of them."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a file holds; `file` is its name as people know it."""

    file: str
    text: str


class Files:
    """What `-f` named. `standard_input` is what came there, for it can be read but once."""

    def __init__(self, given: Sequence[str], standard_input: bytes = b""):
        self._given = tuple(dict.fromkeys(given))
        self._standard_input = standard_input

    def __str__(self) -> str:
        return ", ".join(self._given)

    def read(self) -> Iterator[Text | Complaint]:
        """Each file once, in the order given; those of a folder by name."""
        if STANDARD_INPUT in self._given:
            yield _text("standard input", self._standard_input)
        for path in self._paths():
            yield _read(path)

    def fingerprint(self) -> Fingerprint:
        """Cheap to take; standard input has none."""
        return tuple(_fingerprint(path) for path in self._paths())

    def _paths(self) -> tuple[Path, ...]:
        named = (Path(name) for name in self._given if name != STANDARD_INPUT)
        return tuple(dict.fromkeys(path for name in named for path in _expanded(name)))


def _expanded(path: Path) -> list[Path]:
    """`path`, or its manifests if it is a folder; a folder without any stands for itself."""
    if not path.is_dir():
        return [path]
    try:
        inside = sorted(path.iterdir())
    except OSError:
        return [path]
    return [file for file in inside if file.suffix in SUFFIXES and not file.is_dir()] or [path]


def _read(path: Path) -> Text | Complaint:
    if path.is_dir():
        try:
            os.listdir(path)
        except OSError as error:
            return Complaint(str(path), _reason(error))
        return Complaint(str(path), f"no file in it ends in {', '.join(SUFFIXES)}")
    try:
        return _text(str(path), path.read_bytes())
    except OSError as error:
        return Complaint(str(path), _reason(error))


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _text(file: str, content: bytes) -> Text | Complaint:
    try:
        return Text(file, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Complaint(f"{file}:{line}", "not UTF-8 text")


def _fingerprint(path: Path) -> tuple[str, int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), found.st_ino, found.st_mtime_ns, found.st_size)
