"""What a session sees of a socket."""

from typing import Protocol


class Peer(Protocol):
    """The other end of one connection. Nothing here waits; nothing here raises.

    `write` keeps what the socket does not take; `close` ends the connection when all of
    it is gone; `abort` ends it now. After `pause` no more bytes are handed over. The only
    call back from within one of these is `on_blocked`, from `write`.
    """

    address: str

    @property
    def received(self) -> int:
        """Bytes that came from it so far, without TLS's own."""

    def write(self, data: bytes) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...
