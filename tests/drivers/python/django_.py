"""Django's ORM on psycopg, with its server-side cursors and with prepared statements on."""

import itertools
from contextlib import AbstractContextManager
from typing import Any

import django
import psycopg
from columns import (
    ADDRESS,
    PATIENCE,
    USES,
    Address,
    Client,
    Driver,
    NotApplicable,
    after,
    run,
    same,
)
from django.conf import settings
from django.db import DatabaseError, connections, models, transaction
from django.db.models.expressions import Func, RawSQL


def database(address: Address) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": address.host,
        "PORT": address.port,
        "USER": address.user,
        "PASSWORD": address.password,
        "NAME": address.database,
        "OPTIONS": {
            "sslmode": "verify-full",
            "sslrootcert": address.ca_file,
            "server_side_binding": True,
            "prepare_threshold": 1,
        },
    }


settings.configure(DATABASES={"default": database(ADDRESS)}, USE_TZ=True)
django.setup()


class Entry(models.Model):  # type: ignore[misc]
    n = models.IntegerField(primary_key=True)

    class Meta:
        app_label = "drivers"


def fill() -> None:
    """The rows of the model; Django itself would make the table by a migration."""
    default = connections["default"]
    if Entry._meta.db_table not in default.introspection.table_names():
        with default.schema_editor() as editor:
            editor.create_model(Entry)
    Entry.objects.bulk_create([Entry(n=n) for n in range(USES)], ignore_conflicts=True)
    default.close()


class Django(Client):
    """Its connections belong to threads, and have aliases."""

    numbers = itertools.count()

    def __init__(self, address: Address):
        self._alias = f"c{next(self.numbers)}"
        named = {"default": {}, self._alias: database(address)}
        connections.settings[self._alias] = connections.configure_settings(named)[self._alias]
        self._connection = connections[self._alias]
        self._connection.ensure_connection()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def transaction(self) -> AbstractContextManager[Any]:
        block: AbstractContextManager[Any] = transaction.atomic(using=self._alias)
        return block

    def close(self) -> None:
        self._connection.close()

    def prepared(self, offset: int, number: int) -> tuple[Any, ...]:
        entries = Entry.objects.using(self._alias).filter(n=number)
        pid = Func(function="pg_backend_pid", output_field=models.IntegerField())
        entries = entries.annotate(total=RawSQL(f"n + {offset}", []), pid=pid)
        return tuple(entries.values_list("total", "pid").get())

    def pipeline(self) -> None:
        raise NotApplicable("Django waits for each statement")

    def copy(self, table: str) -> None:
        with self._connection.cursor() as cursor:
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for number in range(1000):
                    copy.write_row((number, "a\tb\n"))
            with cursor.copy(f"COPY {table} TO STDOUT") as copy:
                same(sum(1 for _ in copy.rows()), 1000)

    def cancelled(self) -> None:
        timer = after(0.3, self._connection.connection.cancel_safe)
        try:
            self.rows("SELECT pg_sleep(30)")
        finally:
            timer.join()

    def heard(self) -> list[str]:
        notifies = self._connection.connection.notifies(timeout=PATIENCE, stop_after=1)
        return [heard.payload for heard in notifies]

    def own(self) -> None:
        """Outside a transaction its server-side cursor is one WITH HOLD."""
        entries = Entry.objects.using(self._alias).order_by("n")
        for _ in range(5):
            same([entry.n for entry in entries.iterator(chunk_size=7)], list(range(USES)))
            with self.transaction():
                same(len(list(entries.iterator(chunk_size=7))), USES)


class DjangoDriver(Driver):
    errors = (DatabaseError, psycopg.Error)

    def connect(self, address: Address = ADDRESS) -> Client:
        return Django(address)

    def sqlstate(self, error: Exception) -> str:
        if "password" in str(error):
            return "28P01"  # libpq tells no SQLSTATE of a login that failed
        below = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
        return getattr(below, "sqlstate", None) or ""


if __name__ == "__main__":
    fill()
    run(DjangoDriver())
