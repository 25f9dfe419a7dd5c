"""What a client's messages ask of the server connection that it holds.

One pass over the frames of a read: each request is entered in the queue of expected
replies, what it may do to the session is noted, names of prepared statements become the
server's, and what the server does not know yet is put before.
"""

from struct import Struct

from sluice_proxy.errors import ClientProtocolError
from sluice_proxy.session.pinning import (
    NOTHING,
    Effects,
    PinReason,
    effects_of,
    effects_of_piece,
    lexable,
)
from sluice_proxy.session.preparing import Preparations
from sluice_proxy.session.scripts import Edit, edited
from sluice_proxy.session.server import ServerConnection
from sluice_proxy.session.settings import DEFAULTS, restore
from sluice_proxy.session.statement import WITNESS
from sluice_proxy.session.suspects import EVERYBODY, doubted
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages, sql
from sluice_proxy.wire.expected import (
    BIND,
    CLOSE,
    CLOSE_UNNAMED,
    DESCRIBE,
    EXECUTE,
    FUNCTION,
    GIVE,
    PARSE,
    QUERY,
    SYNC,
    TOO_LONG,
)
from sluice_proxy.wire.framing import Frame
from sluice_proxy.wire.note import SKIP

_uint32_at = Struct("!I").unpack_from

# pg_proc's fixed object ids of what leaves something behind: set_config, and the advisory
# locks that last for the session.
_SET_CONFIG = 2077
# Bytes of a Bind's values in which the name of a parameter is looked for.
_VALUES_LIMIT = 8192
# Before these a Close may stand: not amid a COPY, nor before what an Execute is to be refused.
_AFTER_TAKEN = frozenset((c.QUERY, c.PARSE, c.BIND, c.DESCRIBE, c.CLOSE, c.FUNCTION_CALL))
_LOCKS = frozenset((2880, 2881, 2882, 2883, 2886, 2887, 2888, 2889))


class Requests:
    """The requests of one client, entered into whatever server connection it holds.

    `lexable` says whether its query texts can be taken apart (see `pinning.lexable`).
    """

    __slots__ = (
        "_edits", "_resets", "_tail", "_watching", "lexable", "prepared", "queries", "start",
    )  # fmt: skip

    def __init__(self) -> None:
        self.lexable = True
        self.queries = 0
        self.prepared = Preparations()
        self._edits: list[Edit] = []
        # A query text longer than TEXT_LIMIT is passing by; the end of what was seen.
        self._watching = False
        self._tail = b""
        # What RESET leads to; whether one was sent and that is still to be set again.
        self.start = DEFAULTS
        self._resets = False

    def learn(self, parameters: dict[bytes, bytes]) -> None:
        """The parameters that say how texts are to be read."""
        encoding = parameters.get(b"client_encoding", b"")
        self.prepared.encoding = encoding
        self.lexable = lexable(encoding, parameters.get(b"standard_conforming_strings", b""))

    def effects(self, data: bytes, frame: Frame) -> Effects:
        """Of the text in a Query or Parse."""
        kind, start, end = frame
        body = data[start + 5 : end - 1] if kind == c.QUERY else data[start + 5 : end]
        if kind == c.PARSE:
            found = messages.name_and_text_of_parse(body)
            body = found[1] if found is not None else b""
        if end > len(data):
            return effects_of_piece(body)
        return effects_of(body, self.lexable)

    def _judged(self, server: ServerConnection, frame: Frame, data: bytes) -> Effects:
        """The same, and what does not stand in the text."""
        effects = server.suspects.judge(self.effects(data, frame), data[frame[1] : frame[2]])
        if server.session.hides_temporary:
            return doubted(effects, b"", ())
        return effects

    def enter(
        self, server: ServerConnection, data: bytes, frames: list[Frame], rest: int
    ) -> tuple[bytes, int]:
        """What to send to the server for `data`, whose first `rest` bytes end a message.

        And how many of the frames were entered: the others wait for an answer.
        """
        if server.session.pins:
            server.session.try_again()
        if self._watching:
            self._watch(server, data[:rest])
            self._watching = rest > len(data)
        count = len(frames)
        if server.answers.asking and frames and self._awaits_what_is_asked(server):
            return data[: frames[0][1]], 0
        for number, frame in enumerate(frames):
            if self._must_wait(server, data, frame):
                count = number
                data = data[: frame[1]]
                break
            if server.slot_foreign:
                self._clean_slot(server, data, frame)
            if server.session.taken and frame[0] in _AFTER_TAKEN and not server.expected.copy_in:
                self.prepared.close_taken(server, frame[1], self._edits)
            self._enter_one(server, data, frame)
        if not self._edits:
            return data, count
        data = edited(data, self._edits)
        self._edits.clear()
        return data, count

    @property
    def are_plain(self) -> bool:
        """Nothing of what the client sent before bears on a plain request (see `common`)."""
        return self.prepared.are_plain and not (self._watching or self._resets)

    @property
    def are_bare(self) -> bool:
        """The same, and a plain request would change nothing of that."""
        return self.are_plain and self.prepared.has_no_unnamed

    def _awaits_what_is_asked(self, server: ServerConnection) -> bool:
        """What may do what, or which statements are left, is about to be known."""
        asked = server.session.asked
        lost = asked is not None and asked.objects and len(self.prepared.statements)
        return server.suspects is EVERYBODY or bool(lost)

    def _must_wait(self, server: ServerConnection, data: bytes, frame: Frame) -> bool:
        """What a name means, or a text under settings just made, is about to be known."""
        asked = server.session.asked if server.answers.asking else None
        if asked is not None and asked.settings and self._defines(data, frame):
            return True
        if not self.prepared.statements.is_changing:
            return False
        if frame[0] == c.QUERY:
            return self.prepared.must_wait_for_script(server, self.effects(data, frame).calls)
        return self.prepared.must_wait(server, data, frame)

    def _defines(self, data: bytes, frame: Frame) -> bool:
        """Whether it makes or names a statement, which is known by its text and the settings."""
        kind, start, _ = frame
        if kind == c.QUERY:
            return bool(self.effects(data, frame).calls)
        return kind == c.PARSE and data[start + 5 : start + 6] != b"\x00"

    def _enter_one(self, server: ServerConnection, data: bytes, frame: Frame) -> None:
        kind, start, end = frame
        expected = server.expected
        if kind == c.QUERY:
            self._on_query(server, data, frame)
        elif kind == c.SYNC:
            expected.push(SYNC)
            if self._resets:
                self._restore(server, end)
        elif kind == c.BIND:
            self._on_bind(server, data, start, end)
        elif kind == c.EXECUTE:
            self.queries += 1
            if self.prepared.portals:
                self.prepared.on_execute(server, data[start + 5 : end], start, self._edits)
            else:
                expected.push(EXECUTE)
        elif kind == c.PARSE:
            self._on_parse(server, data, frame)
        else:
            self._enter_rare(server, data, frame)

    def _enter_rare(self, server: ServerConnection, data: bytes, frame: Frame) -> None:
        kind, start, end = frame
        if kind == c.DESCRIBE:
            self._on_describe(server, data, start, end)
        elif kind == c.CLOSE:
            self._on_close(server, data[start + 5 : end])
        elif kind == c.FUNCTION_CALL:
            self._on_function_call(server, data, start, end)
        elif kind in (c.COPY_DONE, c.COPY_FAIL):
            server.expected.push_copy_end()
        elif kind == c.FLUSH and end - start != 5:
            # The server refuses it, and reads on to the Sync.
            server.expected.push(PARSE)
        elif kind in (c.PASSWORD, c.TERMINATE):
            # A Terminate is the last that a client says.
            raise ClientProtocolError(f"invalid frontend message type {kind}")

    def apply(self, server: ServerConnection, effects: Effects, values: bytes = b"") -> None:
        """What is about to run may do this; `values` may hold the name of a parameter."""
        if effects is NOTHING:
            return
        session = server.session
        if effects.settings:
            names = sql.dotted_names(values[:_VALUES_LIMIT]) if values else ()
            session.touch(effects.names + names)
        if effects.guessed:
            session.guess(effects.names)
        if effects.undoes:
            session.may_unpin()
        if effects.pins:
            server.pin(effects.pins)
        self._apply_rare(server, effects)

    def _apply_rare(self, server: ServerConnection, effects: Effects) -> None:
        if effects.wipes:
            self.prepared.statements.wipe(server.expected.sent)
        if effects.resets and self.start.values:
            self._resets = True
            server.answers.mask(self.start)
        if effects.sequences:
            server.on_sequences()
        if effects.databases:
            server.keeper.vacate(effects.databases)
        if effects.defines:
            server.on_definition()

    def _on_query(self, server: ServerConnection, data: bytes, frame: Frame) -> None:
        self.queries += 1
        effects = self._judged(server, frame, data)
        _, start, end = frame
        if effects.sequences and server.foreign:
            self._forget_sequences(server, start)
        if end > len(data):
            self._watching = True
            self._tail = data[-sql.OVERLAP :]
        if effects.anything and not server.expected.unsynced and self._lacks_witness(server):
            self.prepared.ensure_apart(server, WITNESS, start, self._edits)
        self.apply(server, effects)
        server.slot_ready = True
        if not (server.expected.unsynced or server.expected.ignoring):
            self.prepared.forget_unnamed()
        if effects.calls:
            for more in self.prepared.on_script(
                server, data[start:end], effects.calls, start, self._edits
            ):
                self.apply(server, more)
        else:
            server.expected.push(QUERY)
        if self._resets and end <= len(data):
            self._restore(server, end)
            # The client's own Query has dropped the unnamed statement already.
            server.slot_ready = True
            server.slot_foreign = False

    def _lacks_witness(self, server: ServerConnection) -> bool:
        """Whether it could not be told that everything that was prepared is gone."""
        return bool(len(self.prepared.statements)) and not server.session.prepared.confirmed

    def _watch(self, server: ServerConnection, piece: bytes) -> None:
        seen = self._tail + piece
        self.apply(server, effects_of_piece(seen))
        self._tail = seen[-sql.OVERLAP :]

    def _on_parse(self, server: ServerConnection, data: bytes, frame: Frame) -> None:
        _, start, end = frame
        cut = end > len(data)
        found = messages.name_and_text_of_parse(data[start + 5 : end])
        if found is None:
            self._on_malformed(server, PARSE, cut)
            return
        effects = self._judged(server, frame, data)
        if effects.sequences and server.foreign:
            self._forget_sequences(server, start)
        if cut:
            # What it does shows when it runs; a part of it is still to be seen.
            self._watching = True
            self._tail = data[-sql.OVERLAP :]
            self.apply(server, effects)
            server.pin(PinReason.LONG_STATEMENT)
        name = found[0]
        if name:
            self.prepared.on_parse(server, data, frame, name, effects, self._edits)
            return
        server.slot_ready = True
        message = TOO_LONG if cut else data[start:end]
        self.prepared.on_parse_unnamed(server, message, effects, start, self._edits)

    def _on_bind(self, server: ServerConnection, data: bytes, start: int, end: int) -> None:
        span = messages.statement_of_bind(data, start + 5, min(end, len(data)))
        if span is None:
            self._on_malformed(server, BIND, end > len(data))
            return
        if span[0] == span[1]:
            self._make_unnamed_ready(server, start)
        for effects in self.prepared.on_bind(server, data, (start, end), span, self._edits):
            if effects.anything and self._lacks_witness(server):
                self.prepared.ensure(server, WITNESS, start, self._edits)
            self.apply(server, effects, data[span[1] : end] if effects.settings else b"")
        server.expected.push(BIND)

    def _on_malformed(self, server: ServerConnection, kind: int, cut: bool) -> None:
        """The server itself refuses it; but not a name that has no end in what is here."""
        if cut:
            raise ClientProtocolError("invalid string in message")
        server.expected.push(kind)

    def _on_describe(self, server: ServerConnection, data: bytes, start: int, end: int) -> None:
        body = data[start + 5 : end]
        if body == b"S\x00":
            self._make_unnamed_ready(server, start)
        elif body[:1] == b"S":
            self.prepared.on_describe(server, body[1:-1], (start, end), self._edits)
        server.expected.push(DESCRIBE)

    def _on_close(self, server: ServerConnection, body: bytes) -> None:
        if body == b"S\x00":
            server.slot_ready = True
            server.expected.push(CLOSE_UNNAMED)
        elif body[:1] == b"S":
            self.prepared.on_close(server, body[1:-1])
        else:
            server.expected.push(CLOSE)

    def _on_function_call(
        self, server: ServerConnection, data: bytes, start: int, end: int
    ) -> None:
        self.queries += 1
        if len(data) >= start + 9:
            (function,) = _uint32_at(data, start + 5)
            if function == _SET_CONFIG:
                server.session.touch(sql.dotted_names(data[start:end]))
            elif function in _LOCKS:
                server.pin(PinReason.ADVISORY_LOCK)
        server.expected.push(FUNCTION)

    def _forget_sequences(self, server: ServerConnection, at: int) -> None:
        """What this session took of a sequence was another client's, unless this one took of one.

        It may have where it has asked for more than the beginning of a transaction. From the
        next time on this pool's connections forget at each change of clients.
        """
        expected = server.expected
        server.foreign = False
        if not expected.unsynced and expected.sent - server.linked_at <= 1:
            server.slot_ready = False
            expected.push(QUERY | SKIP)
            self._edits.append(Edit(at, at, messages.DISCARD_SEQUENCES))

    def _restore(self, server: ServerConnection, at: int) -> None:
        """Behind a RESET: the client's startup parameters are set like any others."""
        self._resets = False
        server.ask_restore(GIVE if server.expected.hold_last() else 0)
        self._edits.append(Edit(at, at, restore(self.start)))

    def _clean_slot(self, server: ServerConnection, data: bytes, first: Frame) -> None:
        """Puts this client's unnamed statement, or none, where the one before may have left its.

        Before anything else: after an error the server would skip what replaces it.
        """
        server.slot_foreign = False
        _, start, end = first
        if messages.replaces_unnamed(data[start:end], end - start):
            return
        if server.expected.unnamed is not None:
            self._make_unnamed_ready(server, start)
        else:
            server.expected.push(CLOSE | SKIP)
            self._edits.append(Edit(start, start, messages.CLOSE_UNNAMED))

    def _make_unnamed_ready(self, server: ServerConnection, before: int) -> None:
        """Makes the unnamed statement here what it was where the client was before."""
        if server.slot_ready:
            return
        server.slot_ready = True
        statement = server.expected.unnamed
        if statement:
            server.expected.push_parse_unnamed(statement, SKIP)
            self._edits.append(Edit(before, before, statement))
