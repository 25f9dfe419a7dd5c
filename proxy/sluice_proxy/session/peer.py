"""What a session sees of a socket."""

from abc import ABC, abstractmethod
from typing import Any

from mypy_extensions import mypyc_attr, trait


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Owner:
    """Who is told about a peer."""

    __slots__ = ()

    def on_bytes(self, data: bytes) -> None:
        """A read: some bytes, as they came."""

    def on_closed(self) -> None:
        """The very end; told once."""

    def on_hangup(self) -> None:
        """The other side closed its own while nothing was read from it."""

    def on_blocked(self) -> None:
        """More waits to be sent than is good."""

    def on_drained(self) -> None:
        """It does no longer."""

    def on_broken(self) -> None:
        """One of the others raised; `on_closed` follows."""


@mypyc_attr(allow_interpreted_subclasses=True)
class UncompiledOwner(Owner):
    """Where a class that is never compiled begins: only compiled ones may have a trait."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Peer(ABC):
    """The other end of one connection. Nothing here waits; nothing here raises.

    `write` keeps what the socket does not take; `close` ends the connection when all of
    it is gone; `abort` ends it now. After `pause` no more bytes are handed over. The only
    call back from within one of these is `on_blocked`, from `write`.
    """

    __slots__ = ("address", "received")

    address: str
    received: int  # bytes that came from it so far, without TLS's own

    @abstractmethod
    def write(self, data: bytes) -> None: ...

    @abstractmethod
    def pause(self) -> None: ...

    @abstractmethod
    def resume(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def abort(self) -> None: ...


@mypyc_attr(allow_interpreted_subclasses=True)
class LoginPeer(Peer):
    """A peer that can go over to TLS, and that can be handed to another owner."""

    __slots__ = ("owner",)

    owner: Owner

    @property
    @abstractmethod
    def alpn(self) -> str | None:
        """The protocol that the TLS handshake agreed on."""

    @abstractmethod
    def start_tls(self, context: Any, handshaker: Any) -> None: ...
