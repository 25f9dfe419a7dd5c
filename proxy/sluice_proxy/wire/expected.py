"""The queue of expected replies of one server connection.

Every message that asks for an answer leaves an entry; every answer takes one. An entry is
an int: what was asked, and what becomes of the answer (FORWARD to the client, or SKIP: the
proxy asked by itself). The queue alone knows when a server connection owes nothing more.
Rules are those of the chapters "Extended Query" and "COPY Operations" and of the main loop
in PostgreSQL's `postgres.c`.
"""

from collections import deque
from itertools import takewhile
from typing import Final

from sluice_proxy.wire import constants as c
from sluice_proxy.wire.note import FORWARD, SKIP, Note

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
# Somebody wants to know what becomes of it: the queue of notes has one for this entry.
NOTED: Final = 0x20
# Not even an error of it is for the client.
QUIET: Final = 0x40

# Its ReadyForQuery is kept back, and that of a later one of the proxy's own given instead.
HOLD: Final = 0x80
GIVE: Final = 0x100

# `unnamed` where there is one that was too long to be kept.
TOO_LONG: Final = b""

# After an error in one of these the server reads on to the next Sync.
_EXTENDED: Final = frozenset((PARSE, PARSE_UNNAMED, BIND, DESCRIBE, EXECUTE, CLOSE, CLOSE_UNNAMED))
_ENDED_BY_READY: Final = frozenset((SYNC, QUERY, FUNCTION))
# The plain requests (see `plain`; 0: none), and their entries; one more where there is a Describe.
_QUERY: Final = 1
_BOUND: Final = 2
_PIPELINE: Final = 4
_PLAIN: Final[dict[int, tuple[int, ...]]] = {
    _QUERY: (QUERY,),
    _BOUND: (BIND, EXECUTE, SYNC),
    _BOUND + 1: (BIND, DESCRIBE, EXECUTE, SYNC),
    _PIPELINE: (PARSE_UNNAMED, BIND, EXECUTE, SYNC),
    _PIPELINE + 1: (PARSE_UNNAMED, BIND, DESCRIBE, EXECUTE, SYNC),
}
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
    to have succeeded, None when there is none. `sent` counts the requests that end with
    ReadyForQuery, `answered` those of them that did: between two of them everything fails
    together.
    """

    __slots__ = (
        "_copied",
        "_entries",
        "_notes",
        "_parses",
        "_plain",
        "_plain_parse",
        "_sync_in_copy",
        "answered",
        "copy_in",
        "doubt",
        "ignoring",
        "sent",
        "unnamed",
        "unsynced",
    )

    def __init__(self) -> None:
        self._entries: deque[int] = deque()
        self._parses: deque[bytes] = deque()
        # A plain request, alone: its entries are only made if anybody looks.
        self._plain, self._plain_parse = 0, b""
        self._notes: deque[Note] = deque()
        self.sent = 0
        self.answered = 0
        self._sync_in_copy = False
        self._copied = False
        self.copy_in = False
        self.ignoring = False
        self.doubt = False
        # Extended messages were sent and no Sync after them: their implicit transaction is
        # open, even when each of them has been answered.
        self.unsynced = False
        self.unnamed: bytes | None = None

    @property
    def _queue(self) -> deque[int]:
        if self._plain:
            self._entries.extend(_PLAIN[self._plain])
            if self._plain_parse:
                self._parses.append(self._plain_parse)
            self._forget_plain()
        return self._entries

    def _forget_plain(self) -> None:
        self._plain, self._plain_parse = 0, b""

    @property
    def settled(self) -> bool:
        """Nothing is owed, no COPY runs, nothing awaits a Sync, nothing is in doubt."""
        return not (self._queue or self.unsynced or self.copy_in or self.ignoring or self.doubt)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def own_turn(self) -> bool:
        """The next answer is to something that the proxy asked by itself."""
        return bool(self._queue) and bool(self._queue[0] & SKIP)

    @property
    def own_in_doubt(self) -> bool:
        """What the proxy asked by itself may be answered to the client."""
        return self.doubt and any(entry & SKIP for entry in self._queue)

    @property
    def own_query(self) -> bool:
        """The server runs a Query of the proxy's own.

        Of what was put before a client's extended messages that cannot be told: its answer
        stays with the server until it comes to the Sync.
        """
        return self.own_turn and self._queue[0] & KIND == QUERY

    @property
    def owes_client(self) -> bool:
        """Something is under way for the client, or will be."""
        if self.unsynced or self.copy_in:
            return True
        return any(not entry & SKIP or entry & GIVE for entry in self._queue)

    @property
    def front_note(self) -> Note | None:
        """That of the request which the next answer belongs to."""
        return self._notes[0] if self._front() & NOTED else None

    def push(self, entry: int) -> None:
        """A message was sent. While the server skips to a Sync, only a Sync counts."""
        if self.copy_in:
            self._push_in_copy(entry)
        elif not self.ignoring:
            if self._copied and entry & KIND != SYNC:
                # After a COPY by Execute the server takes a Query for a part of the same
                # transaction, and does not end it: its state is beyond telling.
                self.doubt |= entry & KIND in (QUERY, FUNCTION)
            else:
                self._copied = False
            if entry & (KIND | SKIP) != CLOSE | SKIP:
                # A Close of the proxy's own begins nothing.
                self.unsynced = entry & KIND in _EXTENDED
            self._append(entry)
        elif entry & KIND == SYNC:
            self.ignoring = self.unsynced = False
            self._append(entry)

    def _append(self, entry: int) -> None:
        self._queue.append(entry)
        if entry & KIND in _ENDED_BY_READY:
            self.sent += 1

    def hold_last(self) -> bool:
        """Keeps back the ReadyForQuery of what was sent last; False if there will be none."""
        if not self._queue or self._queue[-1] & KIND not in _ENDED_BY_READY:
            return False
        self._queue[-1] |= HOLD
        return True

    def push_noted(self, entry: int, note: Note) -> None:
        """The same, and `note` is told what becomes of it; at once if it is not looked at."""
        if self.ignoring or self.copy_in:
            self.push(entry)
            note.undone()
        else:
            self._notes.append(note)
            self.push(entry | NOTED)

    def push_parse_unnamed(
        self, message: bytes, action: int = FORWARD, note: Note | None = None
    ) -> None:
        """A Parse of the unnamed statement was sent; or TOO_LONG in its place."""
        if self.ignoring or self.copy_in:
            if note is not None:
                note.undone()
            return
        self.unsynced = True
        if note is not None:
            self._notes.append(note)
            action |= NOTED
        self._queue.append(PARSE_UNNAMED | action)
        self._parses.append(message)

    def push_query(self) -> None:
        """A Query was sent, where nothing is under way."""
        self._plain = _QUERY
        self.sent += 1

    def push_pipeline(self, parse: bytes, described: bool) -> None:
        """The same of `parse` for the unnamed statement, Bind, perhaps Describe, Execute, Sync."""
        self._plain = _PIPELINE + described
        self._plain_parse = parse
        self.sent += 1

    def push_bound(self, described: bool) -> None:
        """The same of a named statement that is there already."""
        self._plain = _BOUND + described
        self.sent += 1

    def settle_plain(self, bound: bool) -> None:
        """Such a request has its whole answer, and no error was in it."""
        if self._plain:
            if not bound:
                self.unnamed = self._plain_parse or None
            self._forget_plain()
        else:
            if not bound:
                self.unnamed = self._parses.popleft() if self._parses else None
            self._entries.clear()
        self.answered += 1

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
            # What others notify of may come with any answer.
            return FORWARD if kind == c.NOTIFICATION else action
        settles = _ANSWERS.get(kind)
        if settles is not None:
            self._settle(front, settles)
        elif kind == c.READY_FOR_QUERY:
            if front & KIND not in _ENDED_BY_READY:
                # A Sync was answered that a COPY seemed to have swallowed.
                self.doubt = True
                self.ignoring = False
                return FORWARD
            self._settle(front, _ENDED_BY_READY)
            # Where a COPY was refused, its end is of no more interest.
            self._front()
            if front & (HOLD | GIVE):
                return SKIP if front & HOLD else FORWARD
        elif kind == c.ERROR_RESPONSE:
            return self._on_error(front)
        else:
            return self._on_other(kind, front)
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
        if allowed is _ENDED_BY_READY:
            self.answered += 1
        if kind == PARSE_UNNAMED:
            self.unnamed = self._parses.popleft()
        elif front & (KIND | SKIP) in (QUERY, CLOSE_UNNAMED):
            # "a simple Query message also destroys the unnamed statement"; one of the
            # proxy's own is sent before the client's statement is made anew.
            self.unnamed = None
        if front & NOTED:
            self._notes.popleft().done()

    def _on_error(self, front: int) -> int:
        kind = front & KIND
        if self._sync_in_copy:
            # Whether those Syncs came before or after the error cannot be known.
            self.doubt = True
        self.copy_in = self._sync_in_copy = self._copied = False
        if kind in _EXTENDED:
            if kind == PARSE_UNNAMED:
                self.unnamed = None
            self._skip_to_sync()
            return SKIP if front & QUIET else FORWARD
        if front & NOTED:
            self._notes[0].failed()
        elif kind == 0 or front & SKIP:
            self.doubt = True
        return front & SKIP

    def _skip_to_sync(self) -> None:
        queue = self._queue
        skipped: list[Note] = []
        while queue and queue[0] & KIND != SYNC:
            entry = queue.popleft()
            if entry & KIND == PARSE_UNNAMED:
                self._parses.popleft()
            elif entry & KIND in _ENDED_BY_READY:
                self.answered += 1
            if entry & NOTED:
                skipped.append(self._notes.popleft())
        self.ignoring = not queue
        # Backwards: each takes back what it changed.
        for note in reversed(skipped):
            note.undone()

    def _on_other(self, kind: int, front: int) -> int:
        asked = front & KIND
        if not asked:
            self.doubt = True
        elif kind in (c.ROW_DESCRIPTION, c.NO_DATA):
            if asked == DESCRIBE:
                self._queue.popleft()
            elif asked != QUERY:
                self.doubt = True
        elif kind in (c.COMMAND_COMPLETE, c.EMPTY_QUERY):
            return self._on_complete(front)
        elif kind == c.COPY_IN_RESPONSE:
            self._on_copy_in(asked)
        elif kind == c.COPY_BOTH_RESPONSE:
            self.doubt = True
        return front & SKIP

    def _on_complete(self, front: int) -> int:
        asked = front & KIND
        self._sync_in_copy = False
        if asked == EXECUTE:
            self._queue.popleft()
            if front & NOTED:
                self._notes.popleft().done()
        elif asked != QUERY:
            self.doubt = True
        elif front & NOTED:
            return self._notes[0].completed() | front & SKIP
        return front & SKIP

    def _on_copy_in(self, asked: int) -> None:
        if asked not in _COPIES:
            self.doubt = True
            return
        # Syncs sent ahead are read, and ignored, as part of the copy.
        queue = self._queue
        request = queue.popleft()
        while queue and queue[0] & KIND == SYNC:
            queue.popleft()
            self.answered += 1
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
        if asked == EXECUTE:
            behind = [entry & KIND for entry in takewhile(lambda e: e & KIND != SYNC, queue)]
            self.doubt |= QUERY in behind or FUNCTION in behind
            self._copied = len(behind) == len(queue)
        queue.appendleft(request)
