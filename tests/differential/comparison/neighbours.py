"""The other clients, who move between the steps of a script.

Each tells its own story in a loop, one step at each turn, and is judged, too: its settings,
its statements (with the names that the scripts use) and its roles must be its own. One whose
turn it is while a script needs the only connection waits for it, and the script goes on.
"""

from collections.abc import Callable
from contextlib import suppress

from comparison.normalise import comparable
from comparison.telling import PATIENCE
from sluice_testing.door import Door
from sluice_testing.raw import SYNC, Message, RawClient, bind, close, execute, parse, query
from sluice_testing.stories import Step, Story, Transcript, listen, play, story

# How long a script waits for neighbours to be served before it goes on without them.
TURN = 0.03
AT_ONCE = 0.0002


def passer_by(number: int) -> Story:
    """Short transactions; leaves settings and statements wherever it was."""
    me = f"neighbour {number}"
    return story(
        me,
        query(f"SET my.tenant = '{me}'"),
        parse(f"SELECT '{me}' || $1", "s", (25,)) + SYNC,
        query(f"SET application_name = '{me}'"),
        parse(f"SELECT '{me}, unnamed'") + SYNC,
        bind() + execute() + SYNC,
        query("SELECT current_setting('my.tenant'), current_setting('application_name')"),
        query(f"SET search_path = '{me}', pg_catalog; SET work_mem = '{number}MB'"),
        query(f"PREPARE q AS SELECT '{me}, q'"),
        query(f"BEGIN; SET LOCAL my.tenant = 'x'; SELECT '{me}'; COMMIT"),
        query("EXECUTE q"),
        bind("!", name="s") + execute() + SYNC,
        query("SHOW search_path; SHOW work_mem; SHOW my.tenant"),
        query("SET DateStyle = 'SQL, DMY'; SELECT 1/0"),
        query("SET ROLE teller"),
        query("SELECT current_user, DATE '2026-01-31'"),
        query("DEALLOCATE q"),
        close("S", "s") + SYNC,
        query("RESET ROLE"),
        query("RESET ALL"),
        query("SHOW application_name; SHOW work_mem"),
        query("EXECUTE q"),
    )


def stayer(number: int) -> Story:
    """Stays in its transaction from one turn to the next."""
    me = f"stayer {number}"
    return story(
        me,
        parse(f"SELECT '{me}'", "s") + SYNC,
        query(f"BEGIN; SET my.tenant = '{me}'"),
        parse(f"SELECT '{me}, unnamed'") + bind() + execute() + SYNC,
        query("COMMIT"),
        query("BEGIN"),
        bind(name="s") + execute() + SYNC,
        query("SHOW my.tenant"),
        query("ROLLBACK"),
        query("BEGIN; SELECT 1/0"),
        query("ROLLBACK"),
        close("S", "s") + SYNC,
    )


def company(pool: int) -> list[Story]:
    """For a pool of so many connections: never more stayers than leave room."""
    stayers = [stayer(number) for number in range(1, pool // 2 + 1)]
    return [*stayers, passer_by(7), passer_by(8)]


class Neighbour:
    """One of them, at some place of its story."""

    def __init__(self, tale: Story, answers: Transcript, enter: Callable[[], RawClient]):
        self._tale, self._answers, self._enter = tale, answers, enter
        self._client = enter()
        self._at = 0
        self._asked = False

    @property
    def _step(self) -> Step:
        return self._tale.steps[self._at]

    def ask(self) -> bool:
        """Says its next step, unless it still waits for an answer."""
        if self._asked:
            return False
        self._asked = True
        with suppress(ConnectionError):  # the answer will be the connection's end
            self._client.send(self._step.send)
        return True

    def hear(self, seconds: float) -> str:
        """What is wrong with its answer; nothing where it is right or still to come."""
        with suppress(ConnectionError):
            if not self._asked or self._client.silent_for(seconds):
                return ""
        return self._judge(listen(self._client, self._step))

    def _judge(self, heard: list[Message]) -> str:
        [got] = comparable([heard], self._tale)
        wanted, said = self._answers[self._at], self._step.send
        self._asked = False
        self._at = (self._at + 1) % len(self._tale.steps)
        if got == wanted:
            return ""
        self.start_again()
        return f"{self._tale.name} said {said!r} and heard {got}, not {wanted}"

    def settle(self) -> str:
        """Waits for its answer."""
        wrong = self.hear(PATIENCE)
        if self._asked:
            wrong = f"{self._tale.name} hangs after {self._step.send!r}"
            self.start_again()
        return wrong

    def start_again(self) -> None:
        """From its login on."""
        self.leave()
        self._client = self._enter()
        self._at, self._asked = 0, False

    def leave(self) -> None:
        self._client.close()


class Company:
    """All neighbours of a script."""

    def __init__(self, tales: list[Story], answers: list[Transcript], door: Door):
        self._door = door
        self._all = [
            Neighbour(tale, told, self._enter) for tale, told in zip(tales, answers, strict=True)
        ]
        self._wrong: list[str] = []

    def _enter(self) -> RawClient:
        return self._door.raw()

    def move(self, so_far: Transcript) -> None:
        """A turn of each, before a step of the script."""
        for neighbour in self._all:
            self._note(neighbour.hear(AT_ONCE))
        asking = [neighbour for neighbour in self._all if neighbour.ask()]
        patience = TURN if _rests(so_far) else AT_ONCE
        for neighbour in asking:
            self._note(neighbour.hear(patience))

    def settle(self) -> list[str]:
        """When the script's client has left: what was wrong since the last time."""
        for neighbour in self._all:
            self._note(neighbour.settle())
        wrong, self._wrong = self._wrong, []
        return wrong

    def _note(self, wrong: str) -> None:
        if wrong:
            self._wrong.append(wrong)

    def leave(self) -> None:
        for neighbour in self._all:
            neighbour.leave()


def _rests(so_far: Transcript) -> bool:
    """Whether the script's client is outside a transaction, with nothing under way."""
    return not so_far or so_far[-1][-1:] == [Message("Z", b"I")]


def learned(tale: Story, door: Door) -> Transcript:
    """What a neighbour is to hear: PostgreSQL's own answers."""
    with door.raw() as client:
        return comparable(play(client, tale.steps), tale)
