"""A PostgreSQL of a few hundred bytes: the main loop's rules, and rows that name who asked.

A query text is `<verb> <tag>`; a row, a completion and an error carry the tag of the
statement that caused them. It follows the chapters "Extended Query" and "COPY Operations".
"""

import struct

from sluice_testing.stage import msg, ready

IDLE, OPEN, FAILED = "ITE"


class Backend:
    """Takes bytes by `take`, leaves its answers in `out`."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.gone = False
        self._in = bytearray()
        self._status = IDLE
        self._skipping = False
        self._copying: bytes | None = None
        self._copy_is_extended = False
        self._statements: dict[bytes, bytes] = {}
        self._portal: bytes | None = None

    @property
    def rests(self) -> bool:
        """No transaction, no COPY, nothing that waits for a Sync or for the rest of a message."""
        return self._status == IDLE and self._copying is None and not (self._skipping or self._in)

    def take(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 5:
            (length,) = struct.unpack_from("!i", self._in, 1)
            if len(self._in) < length + 1:
                return
            kind, body = chr(self._in[0]), bytes(self._in[5 : length + 1])
            del self._in[: length + 1]
            self._on_message(kind, body)

    def _on_message(self, kind: str, body: bytes) -> None:
        if self.gone:
            return
        if self._copying is not None:
            self._on_copy_message(kind)
        elif kind == "S":
            self._skipping = False
            self._end_implicit()
            self.out += ready(self._status)
        elif kind == "X":
            self.gone = True
        elif kind in "dcfH" or self._skipping:
            return
        elif kind == "Q":
            self._statements.pop(b"", None)
            self._run(body[:-1], extended=False)
        else:
            self._on_extended(kind, body)

    def _on_copy_message(self, kind: str) -> None:
        assert self._copying is not None
        if kind == "c":
            self.out += msg("C", self._copying + b"\0")
            self._copying = None
            self._finish(self._copy_is_extended)
        elif kind == "f":
            tag, self._copying = self._copying, None
            self._fail(tag, self._copy_is_extended)
        elif kind == "X":
            self.gone = True
        elif kind not in "dSH":
            # "terminating connection because protocol synchronization was lost"
            self.out += msg("E", b"SFATAL\0VFATAL\0C08P01\0M" + self._copying + b"\0\0")
            self.gone = True

    def _on_extended(self, kind: str, body: bytes) -> None:
        first, _, rest = body.partition(b"\0")
        if kind == "P":
            self._statements.pop(b"", None) if not first else None
            self._statements[first] = rest.partition(b"\0")[0]
            self.out += msg("1")
        elif kind == "B":
            self._on_bind(rest.partition(b"\0")[0])
        elif kind == "E":
            if self._portal is None:
                self._fail(b"no portal", extended=True)
            else:
                self._run(self._portal, extended=True)
        elif kind == "C":
            self._statements.pop(first[1:], None)
            self.out += msg("3")

    def _on_bind(self, name: bytes) -> None:
        self._portal = self._statements.get(name)
        if self._portal is None:
            self._fail(b"no statement", extended=True)
        else:
            self.out += msg("2")

    def _run(self, text: bytes, extended: bool) -> None:
        verb, _, tag = text.partition(b" ")
        if (self._status == FAILED and verb not in (b"ROLLBACK", b"COMMIT")) or verb == b"oops":
            self._fail(tag, extended)
        elif verb == b"view":
            # COPY to a view: CopyInResponse is sent before the view is found to be one.
            self.out += msg("G", b"\0\0\0")
            self._fail(tag, extended)
        elif verb == b"copy":
            self._copying, self._copy_is_extended = tag, extended
            self.out += msg("G", b"\0\0\0")
        else:
            self._change_status(verb)
            if verb == b"SELECT":
                self.out += msg("D", tag + b"\0")
            self.out += msg("C", tag + b"\0")
            self._finish(extended)

    def _change_status(self, verb: bytes) -> None:
        if verb == b"BEGIN":
            self._status = OPEN
        elif verb in (b"COMMIT", b"ROLLBACK"):
            self._status = IDLE

    def _end_implicit(self) -> None:
        if self._status == IDLE:
            self._portal = None

    def _finish(self, extended: bool) -> None:
        if not extended:
            self._end_implicit()
            self.out += ready(self._status)

    def _fail(self, tag: bytes, extended: bool) -> None:
        self.out += msg("E", b"SERROR\0VERROR\0C22000\0M" + tag + b"\0\0")
        self._portal = None
        if self._status == OPEN:
            self._status = FAILED
        if extended:
            self._skipping = True
        else:
            self.out += ready(self._status)
