"""All cells of one server: PostgreSQL is asked once, then the proxy with each pool size."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from comparison import generated
from comparison.cell import Cell, Truth, whole_truth
from comparison.findings import Finding, Tally
from comparison.ground import Ground
from sluice_proxy.config import Certificate, PoolSettings, ProxyConfig, Target
from sluice_testing import postgres
from sluice_testing.certificates import Authority, Leaf
from sluice_testing.door import Door
from sluice_testing.proxy import ProxyProcess
from sluice_testing.stories import Cut, Story
from wirescripts import catalogue

TINY = 140  # bytes of a script that is told once for every place where it can be split
TINY_ONES = 20
SHRUNK = 3  # so many generated scripts that differ are made small


@dataclass(frozen=True)
class Plan:
    """What to tell, and how; scripts of up to `short` bytes are told byte by byte, too."""

    only: str = ""
    pools: tuple[int, ...] = (1, 5)
    generated: int = 300
    seed: int = 0
    short: int = 400
    alone: bool = False
    against_itself: bool = False

    def written(self, major: int) -> list[Story]:
        return [story for story in catalogue.for_major(major) if self.only in story.name]

    def by_dice(self) -> list[Story]:
        return generated.made(self.generated, self.seed) if self.only in "generated" else []


def majors_tally(build: Path, folder: Path, plan: Plan) -> list[Tally]:
    """Everything of one major, on a server of its own."""
    major = int(build.name)
    authority = Authority()
    server = postgres.with_app(build, folder / f"postgres-{major}", authority)
    try:
        with closing(Ground(server)) as ground:
            stories = [*plan.written(major), *plan.by_dice()]
            told = whole_truth(ground, _direct(ground), stories)
            leaf = authority.issue("localhost", "127.0.0.1")
            return [
                _cell(ground, told, plan, pool, folder / f"proxy-{major}-{pool}", leaf)
                for pool in plan.pools
            ]
    finally:
        server.destroy()


def _cell(ground: Ground, told: Truth, plan: Plan, pool: int, folder: Path, leaf: Leaf) -> Tally:
    tally = Tally(ground.server.major, pool)
    with _door(ground, plan, pool, folder, leaf, tally) as door:
        cell = Cell(ground, door, told, tally, plan.alone)
        for number, finding in enumerate(findings(cell, plan, _direct(ground))):
            if finding:
                print(f"== {tally.name}: {finding}", flush=True)
            if number % 100 == 0 and number:
                print(f"   {tally.name}: {number}, {len(tally.different)} different", flush=True)
        cell.close()
    print(f"   {tally.name}: {tally.runs} told, {len(tally.different)} different", flush=True)
    return tally


@contextmanager
def _door(
    ground: Ground, plan: Plan, pool: int, folder: Path, leaf: Leaf, tally: Tally
) -> Iterator[Door]:
    if plan.against_itself:
        yield _direct(ground)
        return
    folder.mkdir()
    proxy = ProxyProcess(configuration(ground, pool, leaf), folder)
    try:
        proxy.wait_until_ready()
        yield Door(proxy.host, proxy.port, "")
    finally:
        try:
            proxy.finish()
        except AssertionError as error:
            tally.findings.append(Finding("the proxy's whole life", "", str(error)[-3000:]))
            print(f"== {tally.name}: {tally.findings[-1]}", flush=True)


def configuration(ground: Ground, pool: int, leaf: Leaf) -> ProxyConfig:
    """max_connections is 100, so a percent is a connection."""
    return ProxyConfig(
        name="differential",
        targets=(Target(ground.server.host, ground.server.port),),
        users=ground.users(),
        certificate=Certificate(leaf.chain, leaf.private_key),
        require_tls=False,
        pool=PoolSettings(pool, 10),
        drain_seconds=5,
    )


def findings(cell: Cell, plan: Plan, direct: Door) -> Iterator[Finding | None]:
    """Every telling of a cell, one after the other: whole, cut, split and generated.

    What differs as a whole is not told in pieces, too. One pool is told byte by byte, the
    other in two pieces.
    """
    written, by_dice = plan.written(cell.tally.major), plan.by_dice()
    cell.tally.scripts, cell.tally.generated = len(written), len(by_dice)
    yield from cell.tell_all(written)
    right = [story for story in written if story.name not in cell.tally.different]
    if cell.tally.pool == 1:
        yield from cell.tell_all((s for s in right if 0 < s.size <= plan.short), Cut(size=1))
    else:
        yield from _splits(cell, tiny(right))
    yield from _generated(cell, by_dice, direct)


def _splits(cell: Cell, stories: list[Story]) -> Iterator[Finding | None]:
    for story in stories:
        for at in range(1, max(len(step.send) for step in story.steps)):
            yield from cell.tell_all([story], Cut(at=at))


def tiny(stories: list[Story]) -> list[Story]:
    """One of each theme, and no more than are worth their time."""
    fit = {story.theme: story for story in stories if TINY // 2 < story.size <= TINY}
    return list(fit.values())[:TINY_ONES]


def _generated(cell: Cell, stories: list[Story], direct: Door) -> Iterator[Finding | None]:
    shrunk = 0
    for story in stories:
        for finding in cell.tell_all([story]):
            if finding and "hung" not in finding.what and shrunk < SHRUNK:
                shrunk += 1
                yield cell.shrunk(story, direct) or finding
            else:
                yield finding


def _direct(ground: Ground) -> Door:
    return Door(ground.server.host, ground.server.port, "")
