"""The common path: one plain request that comes in one read, and its plain answer.

Almost all traffic is of this kind, and its bytes tell so: a Query, or a pipeline on the unnamed
statement, whose text leaves nothing behind, on a server connection that is as the client left
the last one; and an answer that holds nothing but what was asked for. Such bytes are passed on
with a fraction of the work. What is kept of them is what the general path would have kept, to
the last field: whatever comes next may go either way. What is not plain at the first look
goes the general way, with nothing changed.
"""

from typing import TYPE_CHECKING, Final

from sluice_proxy.session.states import IDLE
from sluice_proxy.session.suspects import NOBODY
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, sql

if TYPE_CHECKING:
    from sluice_proxy.session.client import ClientSession
    from sluice_proxy.session.lobby import Lobby
    from sluice_proxy.session.server import ServerConnection

# Plans: what kind of request it is. Of a pipeline: twice the length of its Parse, and one more
# if it has a Describe.
NONE: Final = -1
QUERY: Final = 0
# Of a server connection: the last request was plain, and has its plain answer.
ANSWERED: Final = -2

_DESCRIBE_PORTAL: Final = b"D\x00\x00\x00\x06P\x00"
_EXECUTE_HEAD: Final = b"E\x00\x00\x00\x09\x00"
_EXECUTE_LENGTH: Final = 10
_SYNC: Final = messages.SYNC
_PARSED_AND_BOUND: Final = b"1\x00\x00\x00\x042\x00\x00\x00\x04"
_DESCRIBED: Final = (c.ROW_DESCRIPTION, c.NO_DATA)
_COMPLETED: Final = (c.COMMAND_COMPLETE, c.EMPTY_QUERY)


def plan_of(data: bytes) -> int:
    """What kind of plain request `data` is, and nothing else; NONE if it is none."""
    size = len(data)
    if size < 7:
        return NONE
    kind = data[0]
    if kind == c.QUERY:
        if data.find(b"\x00", 5) != size - 1 or _length(data, 1) != size - 1:
            return NONE
        return QUERY if sql.harmless(data[5 : size - 1]) else NONE
    return _plan_of_pipeline(data, size) if kind == c.PARSE else NONE


def _plan_of_pipeline(data: bytes, size: int) -> int:
    """Parse, Bind, perhaps Describe, Execute and Sync, with unnamed statement and portal."""
    at = end = 1 + _length(data, 1)
    # The head of a Bind, and its two names.
    if data[5] or at + 7 > size or data[at] != c.BIND or data[at + 5] or data[at + 6]:
        return NONE
    length = _length(data, at + 1)
    if length < 6:
        return NONE
    at += 1 + length
    described = data.startswith(_DESCRIBE_PORTAL, at)
    if described:
        at += len(_DESCRIBE_PORTAL)
    if not data.startswith(_EXECUTE_HEAD, at) or data[at + _EXECUTE_LENGTH :] != _SYNC:
        return NONE
    if not messages.replaces_unnamed(data[:end], end):
        return NONE
    text_end = data.find(b"\x00", 6, end)
    return end << 1 | described if sql.harmless(data[6:text_end]) else NONE


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def take(client: "ClientSession", lobby: "Lobby", data: bytes) -> bool:
    """Takes what a client sent, at a message's begin, if it is plain; False if it is not.

    Where no server connection is free the client has its `plan` and waits as ever.
    """
    client.plan = NONE
    server = client.server
    if client.state != IDLE and not _may_follow(client, server):
        return False
    plan = plan_of(data)
    if plan == NONE or not client.requests.are_plain:
        return False
    if server is not None:
        send(client, server, data, plan)
        return True
    client.plan = plan
    server = lobby.take_idle(client.key)
    if server is not None:
        client.borrow(server, data)
    return server is not None


def _may_follow(client: "ClientSession", server: "ServerConnection | None") -> bool:
    """Whether a plain request may follow, in the transaction that plain ones have begun."""
    if server is None or server.plan != ANSWERED:
        return False
    return not (client.stalled or client.leaving)


def is_clean(server: "ServerConnection", client: "ClientSession") -> bool:
    """Whether a free connection needs nothing before the client's first message."""
    session = server.session
    return (
        client.settings is session.settings
        and client.told is server.parameters
        and not session.settings.hides_temporary
        and not (session.functions_due or session.taken or server.blocked)
        and not session.prepared.overflows
        and server.keeper.unseen.is_nothing(server.key)
    )


def link(client: "ClientSession", server: "ServerConnection", data: bytes, plan: int) -> None:
    """`client` holds this connection, which is clean, from now on; `data` is sent."""
    expected = server.expected
    server.client = client
    expected.unnamed = client.unnamed
    expected.answered = server.linked_at = expected.sent
    server.foreign = server.last_client != client.number
    server.last_client = client.number
    server.last_pid = client.pid
    server.suspects = NOBODY
    server.slot_foreign = False
    send(client, server, data, plan)


def send(client: "ClientSession", server: "ServerConnection", data: bytes, plan: int) -> None:
    """A plain request, on a connection on which nothing is under way."""
    server.slot_ready = True
    client.requests.on_plain()
    if plan:
        server.expected.push_pipeline(data[: plan >> 1], described=bool(plan & 1))
    else:
        server.expected.push_query()
    server.plan = plan
    server.peer.write(data)


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
    at = len(_PARSED_AND_BOUND)
    if len(data) < at + 5 or not data.startswith(_PARSED_AND_BOUND):
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


_D: Final = ord("D")


def pass_on(server: "ServerConnection", data: bytes) -> bool:
    """Takes `data` if it is the plain answer to a plain request; False if it is not."""
    client = server.client
    if client is None or server.delayed or server.cancels or server.closing:
        return False
    if client.stalled or client.leaving:
        return False
    status = status_of(data, server.plan)
    if status not in (c.IDLE, c.IN_TRANSACTION):
        return False
    server.plan = ANSWERED
    server.expected.settle_plain()
    server.answers.status = status
    client.peer.write(data)
    if status == c.IDLE:
        server.unlink()
    return True
