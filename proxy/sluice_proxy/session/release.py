"""The rule that decides whether a server connection may go to the next client.

Law: never a byte to the wrong client. Any doubt keeps the connection with its client,
and closes it when that client leaves.
"""

from typing import Protocol

from sluice_proxy.session.pinning import PinReason
from sluice_proxy.wire import constants as c


class Holding(Protocol):
    """The facts of one server connection that the rule looks at."""

    @property
    def settled(self) -> bool:
        """No reply is owed, no COPY runs, both streams rest between two messages."""

    cancels: int  # cancel requests on their way to the server

    @property
    def status(self) -> int:
        """Of the last ReadyForQuery."""

    @property
    def pins(self) -> PinReason:
        """Why the connection must stay with its client."""


def may_release(held: Holding) -> bool:
    """True when nothing of the present client is left in the server connection."""
    return (
        held.settled and held.status == c.IDLE and not held.cancels and held.pins == PinReason.NONE
    )
