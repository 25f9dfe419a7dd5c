"""The common path: one plain request that comes in one read, and its plain answer.

Almost all traffic is of this kind, and its bytes tell so: a Query, a pipeline on the unnamed
statement, or one on a named statement that the server has, whose text leaves nothing behind, on a
server connection that is as the client left the last one; and an answer that holds nothing but
what was asked for. Such bytes are passed on with a fraction of the work. What is kept of them is
what the general path would have kept, to the last field: whatever comes next may go either way.
What is not plain at the first look goes the general way, with nothing changed.
"""

from typing import TYPE_CHECKING, Final

from sluice_proxy.session.backlog import NO_FRAMES
from sluice_proxy.session.states import IDLE
from sluice_proxy.session.suspects import NOBODY
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import plain, sql

if TYPE_CHECKING:
    from sluice_proxy.session.client import ClientSession
    from sluice_proxy.session.server import ServerConnection

# Of a server connection: the last request was plain, and has its plain answer.
ANSWERED: Final = -2


def plan_of(data: bytes) -> int:
    """What kind of plain request `data` is, and nothing else; NONE if it is none.

    Of a named statement the text is not seen here.
    """
    plan = plain.plan_of(data)
    if plan == plain.NONE or plain.is_bound(plan) or plain.is_known(data, plan):
        return plan
    shape = plain.shape_of(data, plan)
    if not sql.harmless(shape):
        return plain.NONE
    plain.know(shape)
    return plan


def take(client: "ClientSession", data: bytes) -> bool:
    """Takes what a client sent, at a message's begin, if it is plain; False if it is not."""
    client.plan = plain.NONE
    server = client.server
    if client.state != IDLE and not _may_follow(client, server):
        return False
    plan = plan_of(data)
    if plan == plain.NONE or not (client.bare or client.requests.are_plain):
        return False
    if plain.is_bound(plan) and not _may_be_bound(client, server, data):
        return False
    if server is not None:
        send(client, server, data, plan)
        return True
    client.plan = plan
    client.borrow(data, NO_FRAMES)
    return True


def _may_be_bound(client: "ClientSession", server: "ServerConnection | None", data: bytes) -> bool:
    """Whether it is known what the client calls so, and that it leaves nothing behind."""
    bound = client.requests.prepared.bound
    if not bound.find(plain.name_of(data)):
        return False
    found = client.unnamed is None if server is None else bound.is_there(server)
    if not found:
        bound.forget()
    return found


def _may_follow(client: "ClientSession", server: "ServerConnection | None") -> bool:
    """Whether a plain request may follow, in the transaction that plain ones have begun."""
    if server is None or server.plan != ANSWERED:
        return False
    return not (client.stalled or client.leaving)


def is_clean(server: "ServerConnection", client: "ClientSession") -> bool:
    """Whether a free connection needs nothing before the client's first message, which is plain."""
    session = server.session
    if plain.is_bound(client.plan) and not client.requests.prepared.bound.is_there(server):
        return False
    return (
        client.settings is session.settings
        and client.told is server.parameters
        and not session.hides_temporary
        and not (session.functions_due or session.taken or server.blocked)
        and (server.bare or not session.prepared.overflows)
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
    # A named statement leaves the unnamed one as it is.
    server.slot_ready, server.slot_foreign = False, True
    send(client, server, data, plan)


def send(client: "ClientSession", server: "ServerConnection", data: bytes, plan: int) -> None:
    """A plain request, on a connection on which nothing is under way."""
    client.plain_queries += 1
    if plain.is_bound(plan):
        data = client.requests.prepared.bound.renamed(data)
        server.expected.push_bound(described=bool(plan & 1))
    else:
        if not client.bare:
            client.requests.prepared.forget_unnamed()
        server.slot_ready, server.slot_foreign = True, False
        if plan:
            server.expected.push_pipeline(data[: plan >> 1], described=bool(plan & 1))
        else:
            server.expected.push_query()
    server.plan = plan
    server.peer.write(data)


def pass_on(server: "ServerConnection", data: bytes) -> bool:
    """Takes `data` if it is the plain answer to a plain request; False if it is not."""
    client = server.client
    if client is None or server.delayed or server.cancels or server.closing:
        return False
    if client.stalled or client.leaving:
        return False
    status = plain.status_of(data, server.plan)
    if status not in (c.IDLE, c.IN_TRANSACTION):
        return False
    server.expected.settle_plain(plain.is_bound(server.plan))
    server.plan = ANSWERED
    server.answers.status = status
    client.peer.write(data)
    if status == c.IDLE:
        server.unlink()
    return True
