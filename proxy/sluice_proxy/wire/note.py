"""Who asked is told what becomes of a request, by the queue of expected replies."""

from typing import Final

# What becomes of an answer: it goes to the client, or the proxy had asked by itself.
FORWARD: Final = 0
SKIP: Final = 0x10


class Note:
    """Told what becomes of one request. `failed` and `completed` are for a Query alone."""

    __slots__ = ()

    def done(self) -> None:
        """It succeeded; of a Query: its ReadyForQuery is here, whatever came before."""

    def undone(self) -> None:
        """The server refused it, or never looked at it."""

    def failed(self) -> None:
        """An ErrorResponse; ReadyForQuery follows."""

    def completed(self) -> int:
        """A CommandComplete of one of its statements: FORWARD or SKIP."""
        return FORWARD

    def row(self, values: list[bytes | None]) -> None:
        """A DataRow of a request whose answer is skipped."""

    def edit_error(self, code: bytes, value: bytes) -> bytes | None:
        """A field of the ErrorResponse that the client gets; None leaves it out."""
        return value
