"""psycopg 3 as it comes: it prepares by name what it has seen five times."""

from contextlib import AbstractContextManager
from typing import Any

import psycopg
from columns import ADDRESS, PATIENCE, Address, Client, Driver, after, run, same
from psycopg.conninfo import make_conninfo


def dsn(address: Address) -> str:
    return make_conninfo(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        dbname=address.database,
        sslmode="verify-full",
        sslrootcert=address.ca_file,
    )


class Psycopg(Client):
    def __init__(self, address: Address):
        self._connection = psycopg.connect(dsn(address), autocommit=True)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def transaction(self) -> AbstractContextManager[Any]:
        return self._connection.transaction()

    def close(self) -> None:
        self._connection.close()

    def prepared(self, offset: int, number: int) -> tuple[Any, ...]:
        query = f"SELECT %s::int + {offset}, pg_backend_pid()".encode()
        [row] = self._connection.execute(query, [number]).fetchall()
        return row

    def pipeline(self) -> None:
        with self._connection.pipeline():
            cursors = [self._connection.execute("SELECT %s::int", [n]) for n in range(200)]
            same([cursor.fetchall() for cursor in cursors], [[(n,)] for n in range(200)])
        same(type(self._broken()), psycopg.errors.DivisionByZero)

    def _broken(self) -> psycopg.Error | None:
        try:
            with self._connection.pipeline():
                for number in (1, 0, 2):
                    # It forgets which of its prepared ones an error has skipped.
                    self._connection.execute("SELECT 1 / %s::int", [number], prepare=False)
        except psycopg.Error as error:
            return error
        return None

    def copy(self, table: str) -> None:
        cursor = self._connection.cursor()
        with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for number in range(1000):
                copy.write_row((number, "a\tb\n"))
        with cursor.copy(f"COPY {table} TO STDOUT".encode()) as copy:
            same(sum(1 for _ in copy.rows()), 1000)
        try:
            with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                copy.write(b"no number\tx\n")
        except psycopg.errors.InvalidTextRepresentation:
            return
        raise AssertionError("no number was taken for one")

    def cancelled(self) -> None:
        timer = after(0.3, self._connection.cancel_safe)
        try:
            self._connection.execute("SELECT pg_sleep(30)")
        finally:
            timer.join()

    def heard(self) -> list[str]:
        notifies = self._connection.notifies(timeout=PATIENCE, stop_after=1)
        return [heard.payload for heard in notifies]


class PsycopgDriver(Driver):
    errors = (psycopg.Error,)

    def connect(self, address: Address = ADDRESS) -> Client:
        return Psycopg(address)

    def sqlstate(self, error: Exception) -> str:
        assert isinstance(error, psycopg.Error)
        if error.sqlstate is None and "password" in str(error):
            return "28P01"  # libpq tells no SQLSTATE of a login that failed
        return error.sqlstate or ""


if __name__ == "__main__":
    run(PsycopgDriver())
