"""What a session sees of a socket."""

from typing import Protocol


class Peer(Protocol):
    """The other end of one connection. Nothing here waits; nothing here raises.

    `write` keeps what the socket does not take; `close` ends the connection when all of
    it is gone; `abort` ends it now. After `pause` no more bytes are handed over.
    """

    address: str

    def write(self, data: bytes) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...
