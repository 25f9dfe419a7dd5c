"""Conversations as PostgreSQL has them, told to the queue of replies that are expected.

A conversation is a row of tokens. `>` begins what is sent: P B D E C S Q F as on the wire,
P0 and C0 of the unnamed statement, c for CopyDone or CopyFail. `<` begins what comes, by
its letter. A `~` marks a request of the proxy's own, and an answer that must be skipped.
"""

from sluice_proxy.wire import expected as x
from sluice_proxy.wire.expected import ExpectedReplies
from sluice_proxy.wire.note import FORWARD, SKIP

REQUESTS = {
    "P": x.PARSE,
    "B": x.BIND,
    "D": x.DESCRIBE,
    "E": x.EXECUTE,
    "C": x.CLOSE,
    "C0": x.CLOSE_UNNAMED,
    "S": x.SYNC,
    "Q": x.QUERY,
    "F": x.FUNCTION,
}
UNNAMED = b"the Parse message"


def send(replies: ExpectedReplies, token: str) -> None:
    action = SKIP if token.endswith("~") else FORWARD
    name = token.rstrip("~")
    if name == "c":
        replies.push_copy_end()
    elif name.startswith("P0"):
        replies.push_parse_unnamed(UNNAMED + name[2:].encode(), action)
    else:
        replies.push(REQUESTS[name] | action)


def receive(replies: ExpectedReplies, token: str) -> None:
    wanted = SKIP if token.endswith("~") else FORWARD
    assert replies.on_reply(ord(token[0])) == wanted, f"what becomes of {token}"


def converse(conversation: str, replies: ExpectedReplies | None = None) -> ExpectedReplies:
    replies = replies or ExpectedReplies()
    act = send
    for token in conversation.split():
        if token in "<>":
            act = send if token == ">" else receive
        else:
            act(replies, token)
    return replies
