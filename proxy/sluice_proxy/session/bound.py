"""The named statement of a plain request (see `common`): known to leave nothing, and renamed."""

from typing import TYPE_CHECKING

from sluice_proxy.session.pinning import NOTHING
from sluice_proxy.session.statement import Statement
from sluice_proxy.session.statements import ClientStatements
from sluice_proxy.wire import plain

if TYPE_CHECKING:
    from sluice_proxy.session.server import ServerConnection


class Bound:
    """That of one client's request, from `find` until it was sent; at other times none."""

    __slots__ = ("_statement", "_statements", "_version")

    def __init__(self, statements: ClientStatements):
        self._statements = statements
        self._statement: Statement | None = None
        # Which of its versions the client means.
        self._version = 0

    def find(self, name: bytes) -> bool:
        """Whether `name` is one that leaves nothing. Nothing is under way that could change it."""
        statements = self._statements
        statement = statements.get(name)
        if statement is None or statement.effects is not NOTHING:
            return False
        if statement.template or not statement.message:
            return False
        self._statement = statement
        self._version = statements.version(name)
        return True

    def is_there(self, server: "ServerConnection") -> bool:
        """Whether the server has it; what it lacks is to be put before."""
        assert self._statement is not None
        return server.session.prepared.has(self._statement, server.expected.sent, self._version)

    def forget(self) -> None:
        """This may be the last that is left of it."""
        self._statement = None

    def renamed(self, data: bytes) -> bytes:
        """The request, by the name that the servers know: it is sent."""
        statement, self._statement = self._statement, None
        assert statement is not None
        return plain.renamed(data, statement.name)
