"""What the proxy asks of a server by itself, between its clients' requests."""

from typing import Protocol

from sluice_proxy.session.inspection import Findings, Question, findings
from sluice_proxy.wire.note import Note


class Asked(Protocol):
    """The server connection that was asked."""

    def heard(self) -> None:
        """A Query with rows for the proxy is answered."""

    def unmask(self) -> None:
        """A RESET is dealt with."""

    def on_replay_failed(self) -> None: ...

    def on_inspected(self, question: Question, found: Findings | None) -> None:
        """None: it could not be asked."""

    def on_start_inspected(self, found: Findings | None) -> None: ...


class Discarding(Note):
    """A Query whose answer is of no interest; that it succeeds is certain enough."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked):
        self._asked = asked

    def done(self) -> None:
        self._asked.heard()

    def undone(self) -> None:
        self._asked.heard()


class Restore(Discarding):
    """Sets again what a client's RESET took back too far."""

    __slots__ = ()

    def done(self) -> None:
        self._asked.unmask()
        super().done()

    def undone(self) -> None:
        self._asked.unmask()
        super().undone()


class Replay(Discarding):
    """Sets parameters as a client had them elsewhere."""

    __slots__ = ()

    def failed(self) -> None:
        self._asked.on_replay_failed()


class Inspection(Discarding):
    """Reads the catalogs."""

    __slots__ = ("_failed", "_question", "_rows")

    def __init__(self, asked: Asked, question: Question):
        super().__init__(asked)
        self._question = question
        self._rows: list[list[bytes | None]] = []
        self._failed = False

    def row(self, values: list[bytes | None]) -> None:
        self._rows.append(values)

    def failed(self) -> None:
        self._failed = True

    def done(self) -> None:
        super().done()
        self.tell(None if self._failed else findings(self._rows))

    def tell(self, found: Findings | None) -> None:
        self._asked.on_inspected(self._question, found)


class StartInspection(Inspection):
    """Reads with what parameters a connection was started."""

    __slots__ = ()

    def tell(self, found: Findings | None) -> None:
        self._asked.on_start_inspected(found)
