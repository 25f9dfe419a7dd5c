"""What a server connection makes of each message that comes from its server.

Bytes go on as they came, but for what the proxy asked by itself and for the few messages
that are looked into.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sluice_proxy.errors import ProxyError, ServerProtocolError
from sluice_proxy.session.scripts import Executing
from sluice_proxy.session.settings import Settings
from sluice_proxy.session.statement import PREFIX
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages
from sluice_proxy.wire.framing import FROM_SERVER, FROM_SERVER_ROWS, Frame, Framer
from sluice_proxy.wire.note import SKIP

if TYPE_CHECKING:
    from sluice_proxy.session.server import ServerConnection

_LOOKED_INTO: Final = frozenset(
    (c.DATA_ROW, c.PARAMETER_STATUS, c.COMMAND_COMPLETE, c.ERROR_RESPONSE, c.NOTIFICATION)
)
_WIPING: Final = frozenset((b"DISCARD ALL", b"DEALLOCATE ALL", b"DISCARD SEQUENCES"))
_READ_ONLY: Final = b"\x00C25006\x00"
_NO_NAMES: Final[dict[bytes, bytes]] = {}
_STALE_PLAN: Final = b"cached plan must not change result type"
# The server reports these of its own accord, whatever a client did.
_SERVERS_OWN: Final = frozenset((b"in_hot_standby", b"is_superuser", b"session_authorization"))


class Answers:
    """The stream from one server: framed, accounted for, and rid of what is not the client's.

    `status` is that of the last ReadyForQuery.
    """

    __slots__ = (
        "_framer", "_held", "_masked", "_news", "_reading_rows", "_skip_rest", "refused",
        "status", "told_fatal",
    )  # fmt: skip

    def __init__(self, held: "ServerConnection"):
        self._held = held
        self._framer = Framer(FROM_SERVER, ServerProtocolError)
        # Reports of these parameters are kept from the client for a moment.
        self._masked: Mapping[bytes, bytes] = _NO_NAMES
        # Queries of the proxy's own that are under way.
        self._reading_rows = 0
        # What the client is told before the message that is looked at.
        self._news = b""
        self._skip_rest = 0
        # What the server said to parameters that were set again; `?` until it is read.
        self.refused = b""
        self.status = c.IDLE
        self.told_fatal = False

    @property
    def at_boundary(self) -> bool:
        """The stream rests between two messages."""
        return self._framer.at_boundary

    @property
    def failure(self) -> ProxyError | None:
        """What the server sent is no message."""
        return self._framer.failure

    @property
    def remain(self) -> int:
        """Bytes of the present message that are still to come."""
        return self._framer.remain

    @property
    def mid_message(self) -> bool:
        """The client has the first part of a message; anything else would read as its rest."""
        return self._framer.remain > self._skip_rest

    @property
    def asking(self) -> bool:
        """A Query of the proxy's own is under way."""
        return self._reading_rows > 0

    def frame(self, data: bytes) -> tuple[bytes, list[Frame]]:
        """The messages of a read, up to the `failure`."""
        return self._framer.feed(data)

    def skip_rest(self) -> None:
        """What is left of the present message is for nobody."""
        self._skip_rest = self._framer.remain

    def ask(self) -> None:
        """A Query of the proxy's own is sent, which may have rows."""
        self._reading_rows += 1
        self._framer.use(FROM_SERVER_ROWS)

    def on_replay_failed(self) -> None:
        self.refused = self.refused or b"?"

    def mask(self, names: Settings) -> None:
        """The client is about to reset some of these, which will be set again."""
        self._masked = names.values

    def unmask(self) -> None:
        self._masked = _NO_NAMES

    def heard(self) -> None:
        """Such a Query is answered."""
        self._reading_rows -= 1
        if not self._reading_rows:
            self._framer.use(FROM_SERVER)
            self._news = self.changes_untold()

    def changes_untold(self) -> bytes:
        """Reports of parameters that changed without the client's doing."""
        client = self._held.client
        if client is None or client.told is self._held.parameters:
            return b""
        told, now = client.told, self._held.parameters
        changed = {name: value for name, value in now.items() if told.get(name) != value}
        if changed:
            client.learn(now)
        else:
            self._held.parameters = told
        return messages.parameter_statuses(changed)

    def take(self, data: bytes, frames: list[Frame]) -> tuple[bytes, bool]:
        """Settles what the frames answer; what is for the client, and whether one was ready."""
        kept: list[bytes] = []
        begin = 0
        if self._skip_rest:
            begin = min(self._skip_rest, len(data))
            self._skip_rest -= begin
        ready = False
        on_reply = self._held.expected.on_reply
        for frame in frames:
            kind, start, end = frame
            instead: bytes | None
            if kind in _LOOKED_INTO:
                instead = self._look_into(kind, data[start + 5 : end])
            else:
                instead = b"" if on_reply(kind) & SKIP else None
                if kind == c.READY_FOR_QUERY:
                    self.status = data[start + 5]
                    ready = True
            if instead is not None:
                kept += (data[begin:start], self._news, instead)
                begin = min(end, len(data))
                self._skip_rest = end - begin
                self._news = b""
            elif self._news:
                kept += (data[begin:start], self._news)
                begin = start
                self._news = b""
        if not begin and not kept:
            return data, ready
        kept.append(data[begin:])
        return b"".join(kept), ready

    def _look_into(self, kind: int, body: bytes) -> bytes | None:
        """What is sent to the client instead of the message; None: the message itself."""
        if kind == c.DATA_ROW:
            return self._on_row(body)
        if kind == c.PARAMETER_STATUS:
            return self._on_parameter(body)
        if kind == c.ERROR_RESPONSE:
            return self._on_error(body)
        if kind == c.NOTIFICATION:
            return self._on_notification(body)
        note = self._held.expected.front_note
        action = self._held.expected.on_reply(kind)
        if body[:-1] in _WIPING:
            self._held.session.wiped(body[:-1])
            # An Execute of the client's has told it already.
            if (
                self._held.client is not None
                and not action & SKIP
                and not isinstance(note, Executing)
            ):
                self._held.client.on_wiped(body[:-1])
        return b"" if action & SKIP else None

    def _on_notification(self, body: bytes) -> bytes | None:
        """The process that notified, by the id which its client was given."""
        self._held.expected.on_reply(c.NOTIFICATION)
        pid = self._held.keeper.pid_of(int.from_bytes(body[:4], "big"))
        return messages.message(b"A", pid.to_bytes(4, "big") + body[4:])

    def _on_row(self, body: bytes) -> bytes | None:
        if not self._held.expected.own_turn:
            return None
        note = self._held.expected.front_note
        if note is not None:
            note.row(messages.columns(body))
        return b""

    def _on_error(self, body: bytes) -> bytes | None:
        if b"\x00VFATAL\x00" in body:
            self.told_fatal = True
        if _STALE_PLAN in body:
            # Each is made anew when it is used next.
            self._held.session.prepared.clear()
        if _READ_ONLY in body:
            self._held.keeper.read_only(self._held)
        note = self._held.expected.front_note
        if self._held.expected.on_reply(c.ERROR_RESPONSE) & SKIP:
            if self.refused:
                self.refused = body
            return b""
        if note is None and PREFIX not in body:
            return None
        return messages.edited_error(body, note.edit_error if note else self._clients_field)

    def _clients_field(self, code: bytes, value: bytes) -> bytes:
        return value if self._held.client is None else self._held.client.clients_word(value)

    def _on_parameter(self, body: bytes) -> bytes | None:
        action = self._held.expected.on_reply(c.PARAMETER_STATUS)
        name, value = messages.parse_parameter_status(body)
        self._held.parameters = {**self._held.parameters, name: value}
        if action & SKIP or name in self._masked:
            return b""
        if self._held.client is not None:
            self._held.client.learn(self._held.parameters)
            if name not in _SERVERS_OWN:
                # Set by a function, perhaps, where no text could show it.
                self._held.session.touch()
        return None
