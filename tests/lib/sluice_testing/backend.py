"""A PostgreSQL of a few hundred lines: the main loop's rules, and rows that name who asked.

A query text is `<verb> <tag>`, or several with semicolons between; a row, a completion and
an error carry the tag of the statement that caused them. It follows the chapters "Extended
Query" and "COPY Operations"; what statements leave behind is in `backend_session`.
"""

import struct
from collections.abc import Mapping

from sluice_testing.backend_session import (
    FAILED,
    IDLE,
    REPORTED,
    Failure,
    Prepared,
    Session,
    is_exit,
    pieces,
    refuse,
)
from sluice_testing.stage import data_row, msg, ready

_Portal = tuple[bytes, bytes | None]  # a text, and its parameter


class Backend:
    """Takes bytes by `take`, leaves its answers in `out`."""

    def __init__(self, start: Mapping[bytes, bytes] | None = None) -> None:
        self.out = bytearray()
        self.gone = False
        self.session = Session(start or {})
        self.told = self._reports()
        self._in = bytearray()
        self._skipping = False
        self._pipelining = False
        self._copying: bytes | None = None
        self._copy_is_extended = False
        self._portals: dict[bytes, _Portal] = {}

    @property
    def rests(self) -> bool:
        """No transaction, no COPY, nothing that waits for a Sync or for the rest of a message."""
        return (
            self.session.status == IDLE
            and self._copying is None
            and not (self._skipping or self._in)
        )

    def take(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 5:
            (length,) = struct.unpack_from("!i", self._in, 1)
            if len(self._in) < length + 1:
                return
            kind, body = chr(self._in[0]), bytes(self._in[5 : length + 1])
            del self._in[: length + 1]
            if not self.gone:
                self._on_message(kind, body)

    def _on_message(self, kind: str, body: bytes) -> None:
        if self._copying is not None:
            self._on_copy_message(kind)
        elif kind == "S":
            self._skipping = False
            self._ready()
        elif kind == "X":
            self.gone = True
        elif kind in "dcfH" or self._skipping:
            return
        elif kind == "Q":
            self._on_query(body[:-1])
        else:
            try:
                self._on_extended(kind, body)
            except Failure as failure:
                self._fail(failure, extended=True)

    def _on_copy_message(self, kind: str) -> None:
        assert self._copying is not None
        if kind == "c":
            self.out += msg("C", self._copying + b"\0")
            self._copying = None
            if not self._copy_is_extended:
                self._ready()
        elif kind == "f":
            tag, self._copying = self._copying, None
            self._fail(Failure(b"57014", tag), self._copy_is_extended)
        elif kind == "X":
            self.gone = True
        elif kind not in "dSH":
            # "terminating connection because protocol synchronization was lost"
            self.out += msg("E", b"SFATAL\0VFATAL\0C08P01\0M" + self._copying + b"\0\0")
            self.gone = True

    def _on_query(self, text: bytes) -> None:
        # "a simple Query message also destroys the unnamed statement" and its portal.
        self.session.statements.pop(b"", None)
        self._portals.pop(b"", None)
        statements = pieces(text)
        try:
            refuse(text, b"bad", b"42601")
            for at, statement in statements:
                if self._begin_copy(statement, extended=False):
                    return
                refuse(statement, b"missing", b"42P01", at)
                self._run(statement, None, len(statements) == 1, extended=False)
        except Failure as failure:
            self._fail(failure, extended=False)
            return
        if not statements:
            self.out += msg("I")
        self._ready()

    def _begin_copy(self, text: bytes, extended: bool) -> bool:
        verb, _, tag = text.partition(b" ")
        if verb not in (b"copy", b"view") or self.session.status == FAILED:
            return False
        self.out += msg("G", b"\0\0\0")
        if verb == b"view":
            # CopyInResponse is sent before the view is found to be one.
            self._fail(Failure(b"42809", tag), extended)
        else:
            self._copying, self._copy_is_extended = tag, extended
        return True

    def _on_extended(self, kind: str, body: bytes) -> None:
        first, _, rest = body.partition(b"\0")
        if kind == "P":
            self._on_parse(first, rest.partition(b"\0")[0])
        elif kind == "B":
            self._on_bind(first, *rest.split(b"\0", 1))
        elif kind == "E":
            self._on_execute(first)
        elif kind == "D":
            self._on_describe(first[:1], first[1:])
        elif kind == "C":
            known = self.session.statements if first[:1] == b"S" else self._portals
            known.pop(first[1:], None)
            self.out += msg("3")

    def _on_parse(self, name: bytes, text: bytes) -> None:
        if not name:
            self.session.statements.pop(b"", None)
        refuse(text, b"bad", b"42601")
        if len(pieces(text)) > 1:
            raise Failure(b"42601", b"cannot insert multiple commands into a prepared statement")
        self._must_be_allowed(text)
        refuse(text, b"missing", b"42P01")
        self.session.keep(name, Prepared(text, False))
        self.out += msg("1")

    def _must_be_allowed(self, text: bytes) -> None:
        if self.session.status == FAILED and not is_exit(text):
            raise Failure(b"25P02", b"current transaction is aborted")

    def _on_bind(self, portal: bytes, name: bytes, rest: bytes) -> None:
        text = self.session.find(name).text if name else self._unnamed()
        self._must_be_allowed(text)
        if portal and portal in self._portals:
            raise Failure(b"42P03", b"cursor exists: " + portal)
        (count,) = struct.unpack_from("!h", rest, 2)
        value = None
        if count:
            (length,) = struct.unpack_from("!i", rest, 4)
            value = rest[8 : 8 + length]
        self._portals[portal] = (text, value)
        self.out += msg("2")

    def _unnamed(self) -> bytes:
        if b"" not in self.session.statements:
            raise Failure(b"26000", b"unnamed prepared statement does not exist")
        return self.session.statements[b""].text

    def _portal(self, name: bytes) -> _Portal:
        if name not in self._portals:
            raise Failure(b"34000", b'portal "%b" does not exist' % name)
        return self._portals[name]

    def _on_execute(self, portal: bytes) -> None:
        text, value = self._portal(portal)
        if not text:
            self.out += msg("I")
            return
        if self._begin_copy(text, extended=True):
            return
        self._run(text, value, not self._pipelining, extended=True)
        self._pipelining = True

    def _on_describe(self, what: bytes, name: bytes) -> None:
        if what == b"S":
            text = self.session.find(name).text if name else self._unnamed()
            self.out += msg("t", b"\0\0")
        else:
            text, _ = self._portal(name)
        rows = text.split(b" ")[0] in (b"SELECT", b"SHOW", b"EXECUTE")
        self.out += msg("T", b"\0\1") if rows else msg("n")

    def _run(self, text: bytes, value: bytes | None, alone: bool, extended: bool) -> None:
        result = self.session.run(text, value, alone)
        if result.rows and not extended:
            self.out += msg("T", b"\0\1")
        for row in result.rows:
            self.out += data_row(*row)
        self.out += msg("C", result.tag + b"\0")
        if is_exit(text) and self.session.status == IDLE:
            self._portals.clear()

    def _fail(self, failure: Failure, extended: bool) -> None:
        place = b"P%d\0" % failure.position if failure.position else b""
        what = (failure.sqlstate, failure.message, place)
        self.out += msg("E", b"SERROR\0VERROR\0C%b\0M%b\0%b\0" % what)
        self.session.fail()
        self._portals.clear()
        if extended:
            self._skipping = True
        else:
            self._ready()

    def _ready(self) -> None:
        self.session.finish()
        self._pipelining = False
        if self.session.status == IDLE:
            self._portals.clear()
        now = self._reports()
        for name, value in now.items():
            if self.told[name] != value:
                self.out += msg("S", name + b"\0" + value + b"\0")
        self.told = now
        self.out += ready(self.session.status)

    def _reports(self) -> dict[bytes, bytes]:
        return {name: self.session.show(name) for name in REPORTED}
