"""What to do next with a server connection whose client has left: a decision, no deed."""

from enum import Enum, auto

from sluice_proxy.session.pinning import INDELIBLE
from sluice_proxy.session.state import SessionState
from sluice_proxy.wire import constants as c
from sluice_proxy.wire.expected import ExpectedReplies


class Step(Enum):
    """One step towards a connection that is provably clean, or its end."""

    GIVE_UP = auto()  # it cannot be made clean: it is closed
    WAIT = auto()  # for a cancel request, or for what the client asked for
    ROLL_BACK = auto()
    DISCARD = auto()
    FREE = auto()  # nothing of the client is left


def next_step(
    session: SessionState, expected: ExpectedReplies, status: int, waits: bool, discarded: bool
) -> Step:
    """`status` is that of the last ReadyForQuery; `waits`: something is under way.

    What the client asked for runs on, as it would on the server, until the keeper loses
    patience. What it began and never finished with a Sync the server alone undoes, when the
    connection ends: a Sync of the proxy's would commit it.
    """
    if session.pins & INDELIBLE or expected.doubt or expected.unsynced:
        return Step.GIVE_UP
    if waits:
        return Step.WAIT
    if status != c.IDLE:
        return Step.ROLL_BACK
    if (session.pins or session.touched) and not discarded:
        return Step.DISCARD
    return Step.FREE
