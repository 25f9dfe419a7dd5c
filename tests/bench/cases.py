"""What `make bench` measures, and who takes turns in each case."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from contenders import PGBOUNCER, SLUICE, Contender
from pgbench import SCRIPTS, Work

MODES = ("simple", "extended", "prepared")
CLIENTS = (1, 50, 400)
OWN_EXTENDED = "Sluice, extended"
# As many as pgbench can log in at once without waiting for itself.
_CONNECTS = Work("select", "simple", tls=True, clients=8, reconnect=True, threads=8)


@dataclass(frozen=True)
class Entry:
    """One that takes its turn. The label is the contender's name, but for our own extended."""

    label: str
    contender: Contender
    work: Work


@dataclass(frozen=True)
class Case:
    """A line of the table: `select/simple/plain/50`, or `connects/tls`."""

    name: str
    work: Work

    def field(self, contenders: Sequence[Contender], bouncer_prepares: bool) -> list[Entry]:
        """With prepared statements our own extended runs, too: it is what they must not exceed."""
        entries = [Entry(one.name, one, self.work) for one in contenders]
        if self.work.mode != "prepared":
            return entries
        [ours] = [one for one in contenders if one.name == SLUICE]
        able = [entry for entry in entries if bouncer_prepares or entry.label != PGBOUNCER]
        return [*able, Entry(OWN_EXTENDED, ours, replace(self.work, mode="extended"))]


def peer_of(entries: Sequence[Entry]) -> str:
    """PgBouncer; our own extended where PgBouncer cannot do what we do."""
    labels = {entry.label for entry in entries}
    return PGBOUNCER if PGBOUNCER in labels else OWN_EXTENDED


def cases() -> list[Case]:
    """All, those of 50 clients first: the goals are about them."""
    works = [
        Work(script, mode, tls, clients, threads=_threads(script, mode, clients))
        for script, mode, tls, clients in itertools.product(SCRIPTS, MODES, (False, True), CLIENTS)
    ]
    works.sort(key=lambda work: work.clients != 50)
    return [Case("connects/tls", _CONNECTS), *(Case(_name(work), work) for work in works)]


def _threads(script: str, mode: str, clients: int) -> int:
    """One, but for a client that prepares while others hold all of the pool.

    PQprepare waits in pgbench, and with it all clients of the same thread: those that are in a
    transaction, too, whose end it waits for.
    """
    return clients if (script, mode) == ("tpcb", "prepared") else 1


def _name(work: Work) -> str:
    return f"{work.script}/{work.mode}/{'tls' if work.tls else 'plain'}/{work.clients}"


def wanted(name: str, chosen: str) -> bool:
    """`chosen` holds parts of names, with commas between them; empty, it is all."""
    return not chosen or any(part.strip() in name for part in chosen.split(","))
