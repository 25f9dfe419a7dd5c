"""pg8000 by its DB-API, and by its own prepared statements."""

import io
import ssl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pg8000.dbapi
import pg8000.native
from columns import ADDRESS, PATIENCE, Address, Client, Driver, NotApplicable, run, same


class Pg8000(Client):
    def __init__(self, address: Address):
        self._connection = pg8000.native.Connection(
            address.user,
            host=address.host,
            port=address.port,
            password=address.password,
            database=address.database,
            ssl_context=ssl.create_default_context(cafile=address.ca_file),
        )
        self._statements: dict[int, Any] = {}
        self._depth = 0

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        # A parameter makes it use the extended protocol.
        return [tuple(row) for row in self._connection.run(sql) or []]

    @contextmanager
    def _block(self) -> Iterator[None]:
        begin, end, undo = (
            ("SAVEPOINT inner_one", "RELEASE inner_one", "ROLLBACK TO inner_one")
            if self._depth
            else ("START TRANSACTION", "COMMIT", "ROLLBACK")
        )
        self._connection.run(begin)
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            self._connection.run(undo)
            raise
        self._depth -= 1
        self._connection.run(end)

    def transaction(self) -> AbstractContextManager[Any]:
        return self._block()

    def close(self) -> None:
        self._connection.close()

    def prepared(self, offset: int, number: int) -> tuple[Any, ...]:
        query = f"SELECT CAST(:n AS int) + {offset}, pg_backend_pid()"
        if number % 2:
            [row] = self._connection.run(query, n=number)
            return tuple(row)
        if offset not in self._statements:
            self._statements[offset] = self._connection.prepare(query)
        [row] = self._statements[offset].run(n=number)
        return tuple(row)

    def pipeline(self) -> None:
        raise NotApplicable("pg8000 waits for each statement")

    def copy(self, table: str) -> None:
        source = io.BytesIO(b"".join(b"%d\ta\\tb\\n\n" % number for number in range(1000)))
        self._connection.run(f"COPY {table} FROM STDIN", stream=source)
        out = io.BytesIO()
        self._connection.run(f"COPY {table} TO STDOUT", stream=out)
        same(out.getvalue().count(b"\n"), 1000)
        try:
            self._connection.run(f"COPY {table} FROM STDIN", stream=io.BytesIO(b"no number\tx\n"))
        except pg8000.native.DatabaseError:
            return
        raise AssertionError("no number was taken for one")

    def cancelled(self) -> None:
        raise NotApplicable("pg8000 sends no CancelRequest")

    def heard(self) -> list[str]:
        deadline = time.monotonic() + PATIENCE
        while not self._connection.notifications and time.monotonic() < deadline:
            self._connection.run("SELECT 1")
        return [payload for _pid, _channel, payload in self._connection.notifications]


class Pg8000Driver(Driver):
    errors = (pg8000.native.Error, OSError)

    def connect(self, address: Address = ADDRESS) -> Client:
        return Pg8000(address)

    def sqlstate(self, error: Exception) -> str:
        told = error.args[0] if error.args else ""
        return str(told["C"]) if isinstance(told, dict) else ""


if __name__ == "__main__":
    run(Pg8000Driver())
