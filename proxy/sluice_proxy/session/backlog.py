"""What a client sent that waits: for a server connection, for an answer, for its greeting."""

from typing import Final

from sluice_proxy.wire import constants as c
from sluice_proxy.wire.framing import Frame

Backlog = tuple[bytes, list[Frame]]

NOTHING: Final[Backlog] = (b"", [])
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
