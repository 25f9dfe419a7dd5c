"""What kind of plain traffic some bytes are: one request in one read, and its whole answer.

`plain.c` says the same, faster: where it is compiled Python takes that instead.
"""

from typing import Final

from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages

# Plans: what kind of request it is. Of a pipeline: twice the length of its Parse, and one more
# if it has a Describe; BOUND, and one more, if it begins with the Bind of a named statement.
NONE: Final = -1
QUERY: Final = 0
BOUND: Final = 2

_DESCRIBE_PORTAL: Final = b"D\x00\x00\x00\x06P\x00"
_EXECUTE_HEAD: Final = b"E\x00\x00\x00\x09\x00"
_EXECUTE_LENGTH: Final = 10
_SYNC: Final = b"S\x00\x00\x00\x04"
_PARSED: Final = b"1\x00\x00\x00\x04"
_BOUND: Final = b"2\x00\x00\x00\x04"
_DESCRIBED: Final = (c.ROW_DESCRIPTION, c.NO_DATA)
_COMPLETED: Final = (c.COMMAND_COMPLETE, c.EMPTY_QUERY)
_D: Final = ord("D")

# How many shapes are known at a time, and how long one may be.
_KNOWN: Final = 512
KNOWN_LENGTH: Final = 1000
_known: Final[set[bytes]] = set()


def plan_of(data: bytes) -> int:
    """What kind of request `data` is, and nothing else, whatever its text; NONE if it is none."""
    size = len(data)
    if size < 7:
        return NONE
    kind = data[0]
    if kind == c.QUERY:
        whole = data.find(b"\x00", 5) == size - 1 and _length(data, 1) == size - 1
        return QUERY if whole else NONE
    if kind == c.BIND:
        return _plan_of_bound(data, size)
    return _plan_of_pipeline(data, size) if kind == c.PARSE else NONE


def _plan_of_bound(data: bytes, size: int) -> int:
    """Bind of a named statement, perhaps Describe, Execute and Sync, with the unnamed portal."""
    end = 1 + _length(data, 1)
    name_end = data.find(b"\x00", 6)
    if data[5] or not 6 < name_end < end:
        return NONE
    described = _described(data, end)
    return NONE if described < 0 else BOUND | described


def _described(data: bytes, at: int) -> int:
    """Of what follows a Bind, up to the end: whether there is a Describe; -1 if it is not plain."""
    described = data.startswith(_DESCRIBE_PORTAL, at)
    if described:
        at += len(_DESCRIBE_PORTAL)
    if not data.startswith(_EXECUTE_HEAD, at) or data[at + _EXECUTE_LENGTH :] != _SYNC:
        return -1
    return int(described)


def _plan_of_pipeline(data: bytes, size: int) -> int:
    """Parse, Bind, perhaps Describe, Execute and Sync, with unnamed statement and portal."""
    at = end = 1 + _length(data, 1)
    # The head of a Bind, and its two names.
    if data[5] or at + 7 > size or data[at] != c.BIND or data[at + 5] or data[at + 6]:
        return NONE
    length = _length(data, at + 1)
    if length < 6:
        return NONE
    described = _described(data, at + 1 + length)
    if described < 0 or not messages.replaces_unnamed(data[:end], end):
        return NONE
    return end << 1 | described


def is_bound(plan: int) -> bool:
    """Whether it is the Bind of a named statement, and what belongs to it."""
    return plan >> 1 == 1


def name_of(data: bytes) -> bytes:
    """The named statement of such a request."""
    return data[6 : data.find(b"\x00", 6)]


def renamed(data: bytes, name: bytes) -> bytes:
    """The same request of the statement `name`."""
    end = data.find(b"\x00", 6)
    length = _length(data, 1) + len(name) - (end - 6)
    return b"B" + length.to_bytes(4, "big") + b"\x00" + name + data[end:]


def shape_of(data: bytes, plan: int) -> bytes:
    """The query text of a Query or of a Parse and what belongs to it, without its digits."""
    text = data[6 : data.find(b"\x00", 6)] if plan else data[5:-1]
    return text.translate(None, b"0123456789")


def know(shape: bytes) -> None:
    """Texts of this shape leave nothing behind: `is_known` of them from now on, for a while."""
    if len(shape) <= KNOWN_LENGTH:
        if len(_known) >= _KNOWN:
            _known.clear()
        _known.add(shape)


def is_known(data: bytes, plan: int) -> bool:
    """Whether the text of a Query or of a Parse and what belongs to it has a shape that is known.

    False for any other, and for one that was forgotten.
    """
    return shape_of(data, plan) in _known


def status_of(data: bytes, plan: int) -> int:
    """That of the ReadyForQuery which ends `data`, if it is the whole plain answer; else 0."""
    at = _length_of_head(data, plan) if plan else 0
    size = len(data)
    completed = False
    while at + 6 <= size:
        kind = data[at]
        length = _length(data, at + 1)
        if kind == c.READY_FOR_QUERY:
            return data[at + 5] if completed and length == 5 and at + 6 == size else 0
        if length < 4 or (completed and plan) or not _is_plain(kind, data, at, plan):
            return 0
        completed = completed or kind in _COMPLETED
        at += 1 + length
    return 0


def _length_of_head(data: bytes, plan: int) -> int:
    """Of the answers to Parse, Bind and Describe; beyond all of `data` if they are not there."""
    head = _BOUND if is_bound(plan) else _PARSED + _BOUND
    at = len(head)
    if len(data) < at + 5 or not data.startswith(head):
        return len(data)
    if not plan & 1:
        return at
    length = _length(data, at + 1)
    return at + 1 + length if data[at] in _DESCRIBED and length >= 4 else len(data)


def _is_plain(kind: int, data: bytes, at: int, plan: int) -> bool:
    """Whether this message may be a part of a plain answer."""
    if kind in _COMPLETED:
        return not _may_wipe(data, at)
    return kind == c.DATA_ROW or (kind == c.ROW_DESCRIPTION and not plan)


def _may_wipe(data: bytes, at: int) -> bool:
    """Whether it may be DISCARD's or DEALLOCATE's completion: all that begin so but DELETE."""
    return data[at + 5] == _D and not data.startswith(b"DELETE", at + 5)


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
