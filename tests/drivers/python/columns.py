"""The columns of the matrix, told once for every Python driver.

A driver's program gives a `Driver`; where it connects to comes from libpq's environment
variables. One JSON line is printed for each column that was asked for.
"""

import json
import os
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Address:
    """Where to connect to, as whom, and the authority to be trusted."""

    host: str
    port: int
    user: str
    password: str
    database: str
    ca_file: str


ADDRESS = Address(
    os.environ["PGHOST"],
    int(os.environ["PGPORT"]),
    os.environ["PGUSER"],
    os.environ["PGPASSWORD"],
    os.environ["PGDATABASE"],
    os.environ["PGSSLROOTCERT"],
)
CLIENTS, USES = 8, 50
PATIENCE = 30.0  # seconds until a silence is a failure
CONNECTION_LOST = {"57P01", "08006", "08003", "08000", "08P01", ""}


class NotApplicable(Exception):
    """The driver has no such thing; the message says why."""


class Client(ABC):
    """One connection of a driver. What is not in a `transaction()` commits by itself."""

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """The driver's own block; a nested one is a savepoint."""

    @abstractmethod
    def close(self) -> None: ...

    def value(self, sql: str) -> Any:
        [[value]] = self.rows(sql)
        return value

    def prepared(self, offset: int, number: int) -> tuple[Any, ...]:
        """`number + offset` and the server's pid; `offset` is in the text of the statement."""
        raise NotImplementedError

    def pipeline(self) -> None:
        """Many statements without waiting, then some of which one fails."""
        raise NotImplementedError

    def copy(self, table: str) -> None:
        """COPY into and out of `table (n int, t text)`, then COPY in of what is no number."""
        raise NotImplementedError

    def cancelled(self) -> None:
        """Begins a query of 30 s and cancels it; raises what the driver raises."""
        raise NotImplementedError

    def heard(self) -> list[str]:
        """Payloads of the notifications that come within the patience."""
        raise NotImplementedError

    def own(self) -> None:  # noqa: B027
        """What else of this driver lives on one server connection; most have nothing."""


class Driver(ABC):
    """What the columns need to know of a driver."""

    errors: tuple[type[Exception], ...]
    survives_cancel = True

    @abstractmethod
    def connect(self, address: Address = ADDRESS) -> Client: ...

    @abstractmethod
    def sqlstate(self, error: Exception) -> str:
        """Empty where the driver itself found that the connection is gone."""


def same(got: Any, expected: Any) -> None:
    if got != expected:
        raise AssertionError(f"{got!r} and not {expected!r}")


def expect_error(driver: Driver, sqlstates: set[str], action: Callable[[], Any]) -> None:
    try:
        action()
    except driver.errors as error:
        sqlstate = driver.sqlstate(error)
        if sqlstate not in sqlstates:
            raise
        return
    raise AssertionError(f"none of {sorted(sqlstates)} was raised")


def connects(driver: Driver) -> None:
    """TLS by verify-full against the right authority alone, SCRAM with the right password alone."""
    with closing(driver.connect()) as client:
        same(client.value("SELECT current_user::text"), ADDRESS.user)
    wrong = replace(ADDRESS, password="wrong")
    expect_error(driver, {"28P01"}, lambda: driver.connect(wrong))
    try:
        client = driver.connect(replace(ADDRESS, ca_file=os.environ["OTHER_CA"]))
    except Exception as error:
        if "certificate" not in repr(error).lower():
            raise
    else:
        client.close()
        raise AssertionError("an unknown authority was trusted")


def prepares(driver: Driver) -> dict[str, int]:
    """Clients that use the same names for different statements, all at once."""

    def one(offset: int) -> int:
        with closing(driver.connect()) as client:
            pids = set()
            for number in range(USES):
                total, pid = client.prepared(offset, number)
                same(total, number + offset)
                pids.add(pid)
            return len(pids)

    with ThreadPoolExecutor(CLIENTS) as threads:
        seen = list(threads.map(one, (1000 * k for k in range(CLIENTS))))
    return {"fewest_servers": min(seen), "most_servers": max(seen)}


def pipelines(driver: Driver) -> None:
    with closing(driver.connect()) as client:
        for _ in range(3):
            client.pipeline()
            same(client.value("SELECT 1"), 1)


def copies(driver: Driver) -> None:
    table = f"copied_{os.getpid()}"
    with closing(driver.connect()) as client:
        client.rows(f"CREATE TABLE {table} (n int, t text)")
        try:
            client.copy(table)
            same(client.rows(f"SELECT count(*), sum(n) FROM {table}"), [(1000, 499500)])
        finally:
            client.rows(f"DROP TABLE {table}")


def cancels(driver: Driver) -> None:
    with closing(driver.connect()) as client:
        for _ in range(3):
            expect_error(driver, {"57014"}, client.cancelled)
            if not driver.survives_cancel:
                break
            same(client.value("SELECT 1"), 1)
    with closing(driver.connect()) as client:
        same(client.value("SELECT 1"), 1)


ZONES = ("Asia/Tokyo", "America/Lima", "Europe/Oslo")
ZONE = "SELECT current_setting('TimeZone')"
SHOWN = """
SELECT current_setting('TimeZone'), current_setting('search_path'),
       current_setting('statement_timeout'), current_setting('drivers.tag'),
       current_setting('application_name')
"""


def sets(driver: Driver) -> None:
    """Each client keeps what it set, whoever comes between."""
    clients = [driver.connect() for _ in ZONES]
    try:
        initial = [client.value(ZONE) for client in clients]
        for index, client in enumerate(clients):
            _set(client, index)
        for number in range(20):
            for index, client in enumerate(clients):
                _keeps(client, index, in_transaction=number % 2 == 0)
        for client, zone in zip(clients, initial, strict=True):
            _undoes_and_resets(driver, client, zone)
    finally:
        for client in clients:
            client.close()


def _set(client: Client, index: int) -> None:
    client.rows(f"SET TimeZone = '{ZONES[index]}'")
    client.rows(f'SET search_path TO "$user", "of {index}", public')
    client.rows(f"SET SESSION statement_timeout TO {60_001 + index}")
    client.rows(f"SELECT set_config('drivers.tag', 'it''s {index}', false)")
    client.rows(f"SET application_name = 'driver {index}'")


def _keeps(client: Client, index: int, in_transaction: bool) -> None:
    expected = (
        ZONES[index],
        f'"$user", "of {index}", public',
        f"{60_001 + index}ms",
        f"it's {index}",
        f"driver {index}",
    )
    if in_transaction:
        with client.transaction():
            same(client.rows(SHOWN), [expected])
    else:
        same(client.rows(SHOWN), [expected])


def _undoes_and_resets(driver: Driver, client: Client, initial: str) -> None:
    before = client.value(ZONE)

    def changed_in_vain() -> None:
        with client.transaction():
            client.rows("SET TimeZone = 'Africa/Cairo'")
            client.rows("SELECT 1/0")

    expect_error(driver, {"22012"}, changed_in_vain)
    same(client.value(ZONE), before)
    client.rows("RESET TimeZone")
    same(client.value(ZONE), initial)


def transactions(driver: Driver) -> None:
    """Commit, rollback, savepoints and recovery from errors."""
    table = f"written_{os.getpid()}"
    with closing(driver.connect()) as client:
        client.rows(f"CREATE TABLE {table} (n int)")
        try:
            for _ in range(5):
                _savepoint(driver, client, table)
                _rolled_back(driver, client, table)
            same(client.rows(f"SELECT n, count(*) FROM {table} GROUP BY n ORDER BY n"),
                 [(1, 5), (3, 5)])  # fmt: skip
        finally:
            client.rows(f"DROP TABLE {table}")


def _savepoint(driver: Driver, client: Client, table: str) -> None:
    def inner() -> None:
        with client.transaction():
            client.rows(f"INSERT INTO {table} VALUES (2)")
            client.rows("SELECT 1/0")

    with client.transaction():
        client.rows(f"INSERT INTO {table} VALUES (1)")
        expect_error(driver, {"22012"}, inner)
        client.rows(f"INSERT INTO {table} VALUES (3)")


def _rolled_back(driver: Driver, client: Client, table: str) -> None:
    def fails_twice() -> None:
        with client.transaction():
            client.rows(f"INSERT INTO {table} VALUES (4)")
            expect_error(driver, {"42P01"}, lambda: client.rows("TABLE no_such_table"))
            client.rows("SELECT 1")

    expect_error(driver, {"25P02"}, fails_twice)


def session(driver: Driver) -> None:
    """What lives on one server connection: all of it has to be there later."""
    with closing(driver.connect()) as client, closing(driver.connect()) as other:
        _temp_table(client)
        _holdable_cursor(client)
        _advisory_lock(client, other)
        client.own()
        with client.transaction():
            pids = {client.value("SELECT pg_backend_pid()") for _ in range(10)}
        same(len(pids), 1)
        _listens(client, other)


def _temp_table(client: Client) -> None:
    client.rows("CREATE TEMP TABLE mine (n int)")
    for number in range(5):
        client.rows(f"INSERT INTO mine VALUES ({number})")
    same(client.value("SELECT sum(n) FROM mine"), 10)
    client.rows("DROP TABLE mine")


def _holdable_cursor(client: Client) -> None:
    with client.transaction():
        client.rows("DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5)")
    same(client.rows("FETCH 2 FROM held"), [(1,), (2,)])
    same(client.rows("FETCH ALL FROM held"), [(3,), (4,), (5,)])
    client.rows("CLOSE held")


def _advisory_lock(client: Client, other: Client) -> None:
    key = os.getpid()
    client.rows(f"SELECT pg_advisory_lock({key})")
    for _ in range(5):
        same(other.value(f"SELECT pg_try_advisory_lock({key})"), False)
    same(client.value(f"SELECT pg_advisory_unlock({key})"), True)
    same(other.value(f"SELECT pg_try_advisory_lock({key})"), True)
    same(other.value(f"SELECT pg_advisory_unlock({key})"), True)


def _listens(client: Client, other: Client) -> None:
    channel = f"news_{os.getpid()}"
    client.rows(f"LISTEN {channel}")
    other.rows(f"NOTIFY {channel}, 'read this'")
    same(client.heard(), ["read this"])


def loses(driver: Driver) -> None:
    """An honest error where the server connection ends in a transaction; no half of it stays."""
    table = f"lost_{os.getpid()}"
    with closing(driver.connect()) as client:
        client.rows(f"CREATE TABLE {table} (n int)")
    expect_error(driver, CONNECTION_LOST, lambda: _terminated(driver, table))
    with closing(driver.connect()) as client:
        same(client.value(f"SELECT count(*) FROM {table}"), 0)
        client.rows(f"DROP TABLE {table}")


def _terminated(driver: Driver, table: str) -> None:
    client = driver.connect()
    try:
        with client.transaction():
            client.rows(f"INSERT INTO {table} VALUES (1)")
            pid = client.value("SELECT pg_backend_pid()")
            with closing(driver.connect()) as other:
                same(other.value(f"SELECT pg_terminate_backend({pid}, 10000)"), True)
            client.rows("SELECT 1")
    finally:
        _close_broken(client)


def _close_broken(client: Client) -> None:
    try:
        client.close()
    except Exception as error:
        print(f"closing a lost connection: {error!r}", file=sys.stderr)


COLUMNS: dict[str, Callable[[Driver], dict[str, int] | None]] = {
    "connects": connects,
    "prepares": prepares,
    "pipelines": pipelines,
    "copies": copies,
    "cancels": cancels,
    "sets": sets,
    "transactions": transactions,
    "session": session,
    "loses": loses,
}


def run(driver: Driver) -> None:
    """The columns named on the command line; the matrix judges what is printed."""
    for name in sys.argv[1:]:
        print(json.dumps({"column": name, **cell(driver, name)}), flush=True)
    # A driver's thread that hangs must not keep the program.
    sys.stdout.flush()
    os._exit(0)


def cell(driver: Driver, name: str) -> dict[str, Any]:
    try:
        return {"result": "ok", **(COLUMNS[name](driver) or {})}
    except NotApplicable as reason:
        return {"result": "n/a", "reason": str(reason)}
    except Exception as error:
        traceback.print_exc()
        return {"result": f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def after(seconds: float, action: Callable[[], Any]) -> threading.Timer:
    """`action` in another thread, in a while."""
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer
