"""What a client sent that waits: for a server connection, for an answer, for its greeting."""

from typing import Final

from sluice_proxy.wire import constants as c
from sluice_proxy.wire.framing import Frame

Backlog = tuple[bytes, list[Frame]]

# Of what is plain, and is not taken apart yet (see `common`).
NO_FRAMES: Final[list[Frame]] = []
NOTHING: Final[Backlog] = (b"", NO_FRAMES)
# Without a transaction these ask nothing of a server: a Flush, the end of a COPY that
# failed. "The server ignores them", and so does the proxy.
_NOISE: Final = frozenset((c.FLUSH, c.COPY_DONE, c.COPY_FAIL))
_ENDED_BY_READY: Final = frozenset((c.QUERY, c.SYNC, c.FUNCTION_CALL))


def rebased(data: bytes, frames: list[Frame]) -> tuple[bytes, list[Frame]]:
    """What begins with the first of `frames`."""
    start = frames[0][1]
    if not start:
        return data, frames
    return data[start:], [(kind, first - start, end - start) for kind, first, end in frames]


def is_one_request(data: bytes, frames: list[Frame]) -> bool:
    """One Query, or one pipeline up to its Sync, and all of it is here."""
    ends = [kind for kind, _, _ in frames if kind in _ENDED_BY_READY]
    return len(ends) == 1 and frames[-1][0] in _ENDED_BY_READY and frames[-1][2] <= len(data)


def without_request(frames: list[Frame]) -> tuple[int, int]:
    """How many of the first frames ask nothing of a server; and how many of those are Syncs."""
    at = syncs = 0
    for kind, start, end in frames:
        if kind == c.SYNC and end - start == 5:
            syncs += 1
        elif kind not in _NOISE or (kind == c.FLUSH and end - start != 5):
            break
        at += 1
    return at, syncs
