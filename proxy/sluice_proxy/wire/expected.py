"""The queue of expected replies of one server connection.

Every message that asks for an answer leaves an entry; every answer takes one. An entry is
an int: what was asked, and what becomes of the answer (FORWARD to the client, or SKIP: the
proxy asked by itself). The queue alone knows when a server connection owes nothing more.
Rules are those of the chapters "Extended Query" and "COPY Operations" and of the main loop
in PostgreSQL's `postgres.c`.
"""

from collections import deque
from typing import Final

from sluice_proxy.wire import constants as c

PARSE: Final = 1
PARSE_UNNAMED: Final = 2
BIND: Final = 3
DESCRIBE: Final = 4
EXECUTE: Final = 5
CLOSE: Final = 6
CLOSE_UNNAMED: Final = 7
SYNC: Final = 8
QUERY: Final = 9
FUNCTION: Final = 10
# Not a request: where a client ended a COPY before the server's CopyInResponse was seen.
COPY_END: Final = 11

KIND: Final = 0x0F
FORWARD: Final = 0
SKIP: Final = 0x10

# After an error in one of these the server reads on to the next Sync.
_EXTENDED: Final = frozenset((PARSE, PARSE_UNNAMED, BIND, DESCRIBE, EXECUTE, CLOSE, CLOSE_UNNAMED))
_ENDED_BY_READY: Final = frozenset((SYNC, QUERY, FUNCTION))
_COPIES: Final = frozenset((EXECUTE, QUERY))
_ANSWERS: Final[dict[int, frozenset[int]]] = {
    c.PARSE_COMPLETE: frozenset((PARSE, PARSE_UNNAMED)),
    c.BIND_COMPLETE: frozenset((BIND,)),
    c.CLOSE_COMPLETE: frozenset((CLOSE, CLOSE_UNNAMED)),
    c.PORTAL_SUSPENDED: frozenset((EXECUTE,)),
}
_ASYNCHRONOUS: Final = frozenset((c.PARAMETER_STATUS, c.NOTICE_RESPONSE, c.NOTIFICATION))


class ExpectedReplies:
    """What one server connection still owes, in order.

    `doubt` is set for good when an answer fits no entry: such a connection is never reused.
    `unnamed` is the Parse message of the client's unnamed statement as the server knows it
    to have succeeded, None when there is none.
    """

    __slots__ = (
        "_parses",
        "_queue",
        "_sync_in_copy",
        "copy_in",
        "doubt",
        "ignoring",
        "unnamed",
        "unsynced",
    )

    def __init__(self) -> None:
        self._queue: deque[int] = deque()
        self._parses: deque[bytes | None] = deque()
        self._sync_in_copy = False
        self.copy_in = False
        self.ignoring = False
        self.doubt = False
        # Extended messages were sent and no Sync after them: their implicit transaction is
        # open, even when each of them has been answered.
        self.unsynced = False
        self.unnamed: bytes | None = None

    @property
    def settled(self) -> bool:
        """Nothing is owed, no COPY runs, nothing awaits a Sync, nothing is in doubt."""
        return not (self._queue or self.unsynced or self.copy_in or self.ignoring or self.doubt)

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, entry: int) -> None:
        """A message was sent. While the server skips to a Sync, only a Sync counts."""
        if self.copy_in:
            self._push_in_copy(entry)
        elif not self.ignoring:
            self.unsynced = entry & KIND in _EXTENDED
            self._queue.append(entry)
        elif entry & KIND == SYNC:
            self.ignoring = self.unsynced = False
            self._queue.append(entry)

    def push_parse_unnamed(self, message: bytes | None, action: int = FORWARD) -> None:
        """A Parse of the unnamed statement was sent; `message` is None when too long to keep."""
        if self.ignoring or self.copy_in:
            return
        self.unsynced = True
        self._queue.append(PARSE_UNNAMED | action)
        self._parses.append(message)

    def push_copy_end(self) -> None:
        """CopyDone or CopyFail was sent."""
        if self.copy_in:
            self.copy_in = False
        elif self._queue and not self.ignoring:
            self._queue.append(COPY_END)

    def _push_in_copy(self, entry: int) -> None:
        # "the backend ignores Flush and Sync during copy-in mode"; anything else is an error
        # that swallows the message, so that what will be answered cannot be told.
        if entry & KIND == SYNC:
            self._sync_in_copy = True
        else:
            self.doubt = True

    def on_reply(self, kind: int) -> int:
        """Takes what this answer settles; FORWARD or SKIP tells what becomes of it."""
        front = self._front()
        action = front & SKIP
        if kind in _ASYNCHRONOUS:
            return action
        settles = _ANSWERS.get(kind)
        if settles is not None:
            self._settle(front, settles)
        elif kind == c.READY_FOR_QUERY:
            self._settle(front, _ENDED_BY_READY)
            # Where a COPY was refused, its end is of no more interest.
            self._front()
        elif kind == c.ERROR_RESPONSE:
            return self._on_error(front)
        else:
            self._on_other(kind, front)
        return action

    def _front(self) -> int:
        queue = self._queue
        while queue and queue[0] == COPY_END:
            queue.popleft()
        return queue[0] if queue else 0

    def _settle(self, front: int, allowed: frozenset[int]) -> None:
        kind = front & KIND
        if kind not in allowed:
            self.doubt = True
            return
        self._queue.popleft()
        if kind == PARSE_UNNAMED:
            self.unnamed = self._parses.popleft()
        elif front in (QUERY, CLOSE_UNNAMED):
            # "a simple Query message also destroys the unnamed statement"; one of the
            # proxy's own is sent before the client's statement is made anew.
            self.unnamed = None

    def _on_error(self, front: int) -> int:
        kind = front & KIND
        if self._sync_in_copy:
            # Whether those Syncs came before or after the error cannot be known.
            self.doubt = True
        self.copy_in = self._sync_in_copy = False
        if kind in _EXTENDED:
            if kind == PARSE_UNNAMED:
                self.unnamed = None
            self._skip_to_sync()
            return FORWARD
        if kind == 0 or front & SKIP:
            self.doubt = True
        return front & SKIP

    def _skip_to_sync(self) -> None:
        queue = self._queue
        while queue and queue[0] & KIND != SYNC:
            if queue.popleft() & KIND == PARSE_UNNAMED:
                self._parses.popleft()
        self.ignoring = not queue

    def _on_other(self, kind: int, front: int) -> None:
        asked = front & KIND
        if not asked:
            self.doubt = True
        elif kind in (c.ROW_DESCRIPTION, c.NO_DATA):
            if asked == DESCRIBE:
                self._queue.popleft()
            elif asked != QUERY:
                self.doubt = True
        elif kind in (c.COMMAND_COMPLETE, c.EMPTY_QUERY):
            self._sync_in_copy = False
            if asked == EXECUTE:
                self._queue.popleft()
            elif asked != QUERY:
                self.doubt = True
        elif kind == c.COPY_IN_RESPONSE:
            self._on_copy_in(asked)
        elif kind == c.COPY_BOTH_RESPONSE:
            self.doubt = True

    def _on_copy_in(self, asked: int) -> None:
        if asked not in _COPIES:
            self.doubt = True
            return
        # Syncs sent ahead are read, and ignored, as part of the copy.
        queue = self._queue
        request = queue.popleft()
        while queue and queue[0] & KIND == SYNC:
            queue.popleft()
            # Unless the copy fails before it reads anything, as one to a view does: then
            # they are answered.
            self._sync_in_copy = True
        if queue and queue[0] == COPY_END:
            queue.popleft()
        else:
            self.copy_in = True
        if self._sync_in_copy and not queue:
            # No Sync is left after what was sent.
            self.unsynced = asked == EXECUTE
        queue.appendleft(request)
