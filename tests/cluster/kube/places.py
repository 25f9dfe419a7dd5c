"""Where things are kept: the repository, the caches, the state of what runs."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from kube.progress import say

HERE = Path(__file__).resolve().parents[1]
REPOSITORY = HERE.parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice"
CLUSTER = os.environ.get("SLUICE_CLUSTER") or "sluice"
STATE = CACHE / "clusters" / CLUSTER
KUBECONFIG = STATE / "kubeconfig"
ENGINE = CACHE / "engine"


def content_key(*parts: str | Path) -> str:
    """16 hex digits that change with the strings, and with the contents of the files."""
    digest = hashlib.sha256()
    for part in parts:
        for name, content in _contents(part):
            digest.update(f"{name}:{len(content)}:".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def _contents(part: str | Path) -> Iterator[tuple[str, bytes]]:
    if isinstance(part, str):
        yield "", part.encode()
    elif part.is_file():
        yield part.name, part.read_bytes()
    else:
        for path in sorted(part.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(part)), path.read_bytes()


def keep_newest(folder: Path, pattern: str, count: int = 3) -> None:
    """Deletes all but the newest `count` files, so that a cache does not grow for ever."""
    files = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[count:]:
        path.unlink()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two commands at once (two clones, a test run beside a terminal) take turns."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another command that is at work on the cluster …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
