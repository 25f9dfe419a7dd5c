"""A gigabyte in every shape that the protocol has for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from herd import bare
from streams import Tap, filling, head, lines

from sluice_testing.door import Door
from sluice_testing.raw import COPY_DONE, SYNC, RawClient, bind, copy_data, execute, parse, query

GIGABYTE = 1_000_000_000
# "invalid memory alloc request size": a server holds no value of a whole GiB (MaxAllocSize),
# and doubles its buffers on the way there.
_LARGEST_VALUE = 1_000_000_000
_ROWS, _WIDTH = 1_000_000, 1_000
_COPY_IN = "COPY gigabyte FROM STDIN WHERE n % 1000 = 0"
_TABLE = "CREATE TEMP TABLE gigabyte (n int, x text)"

Pass = Callable[[RawClient, Tap], int]


@dataclass(frozen=True)
class Case:
    """`move` sends or reads the gigabyte, and says how many bytes it was."""

    name: str
    move: Pass
    over_tls: bool = False

    def run(self, door: Door, tls: bool) -> int:
        with door.raw(tls=tls) as client:
            bare(client).settimeout(300)
            moved = self.move(client, Tap(bare(client)))
            if moved < GIGABYTE * 0.9:
                raise AssertionError(f"{self.name}: only {moved} bytes")
            return moved


def result_of_rows(client: RawClient, tap: Tap) -> int:
    client.send(query("SELECT repeat('x', 1000000) FROM generate_series(1, 1000)"))
    found = tap.drain()
    _expect(found.tag, "SELECT 1000", found.error)
    return found.bytes_of["D"]


def result_in_one_row(client: RawClient, tap: Tap) -> int:
    client.send(query(f"SELECT repeat('x', {_LARGEST_VALUE})"))
    found = tap.drain()
    _expect(found.tag, "SELECT 1", found.error)
    return found.bytes_of["D"]


def copy_out(client: RawClient, tap: Tap) -> int:
    client.send(query(f"COPY (SELECT repeat('x', 999) FROM generate_series(1, {_ROWS})) TO STDOUT"))
    found = tap.drain()
    _expect(found.tag, f"COPY {_ROWS}", found.error)
    return found.bytes_of["d"]


def copy_in(client: RawClient, tap: Tap) -> int:
    """CopyData of 64 KB each; few of the rows are kept, all are read."""
    client.send(query(_TABLE), query(_COPY_IN))
    tap.drain()
    tap.drain(until="G")
    moved = _send(client, (copy_data(chunk) for chunk in lines(_ROWS, _WIDTH)))
    client.send(COPY_DONE)
    found = tap.drain()
    _expect(found.tag, f"COPY {_ROWS // 1000}", found.error)
    return moved


def copy_in_one_message(client: RawClient, tap: Tap) -> int:
    client.send(query(_TABLE), query(_COPY_IN))
    tap.drain()
    tap.drain(until="G")
    client.send(head("d", _ROWS * _WIDTH))
    moved = _send(client, lines(_ROWS, _WIDTH))
    client.send(COPY_DONE)
    found = tap.drain()
    _expect(found.tag, f"COPY {_ROWS // 1000}", found.error)
    return moved


def query_text(client: RawClient, tap: Tap) -> int:
    """A comment: a constant of that length is more than the server's own lexer holds."""
    begin, end = b"SELECT 1 /* ", b" */\0"
    client.send(head("Q", len(begin) + GIGABYTE + len(end)), begin)
    moved = _send(client, filling(GIGABYTE))
    client.send(end)
    found = tap.drain()
    _expect(found.tag, "SELECT 1", found.error)
    return moved


def parameter(client: RawClient, tap: Tap) -> int:
    size = _LARGEST_VALUE
    whole = bind("")
    # The value's length stands before it, and the count of result formats after it.
    begin, end = whole[5:-6] + size.to_bytes(4, "big"), whole[-2:]
    client.send(parse("SELECT length($1::text)"), head("B", len(begin) + size + len(end)), begin)
    moved = _send(client, filling(size))
    client.send(end, execute(), SYNC)
    found = tap.drain()
    _expect(found.tag, "SELECT 1", found.error)
    _expect(str(found.last["D"].row[0]), str(str(size).encode()), found.error)
    return moved


def _send(client: RawClient, chunks: Iterable[bytes]) -> int:
    moved = 0
    for chunk in chunks:
        client.send(chunk)
        moved += len(chunk)
    return moved


def _expect(got: str, wanted: str, error: str) -> None:
    if got != wanted:
        raise AssertionError(f"{got!r}, not {wanted!r}; {error}")


CASES = (
    Case("a result of 1,000 rows", result_of_rows, over_tls=True),
    Case("a result of one row", result_in_one_row),
    Case("COPY out", copy_out, over_tls=True),
    Case("COPY in", copy_in, over_tls=True),
    Case("COPY in, one CopyData", copy_in_one_message),
    Case("a query text", query_text),
    Case("a parameter", parameter),
)
