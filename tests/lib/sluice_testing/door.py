"""A door: where a client connects to, whatever stands behind it.

The stories of the integration tests go through a door, so the same story can be told to
PostgreSQL itself, which shows that the story is right before the proxy is judged by it.
"""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import psycopg
from psycopg.conninfo import make_conninfo

from sluice_testing.postgres import APP_DATABASE, APP_PASSWORD, APP_USER
from sluice_testing.raw import RawClient

PATIENCE = 20.0  # seconds until a test calls a silence a hang


@dataclass(frozen=True)
class Door:
    """Host, port and login. `ca_file` is the PEM file a client trusts."""

    host: str
    port: int
    ca_file: str
    user: str = APP_USER
    password: str = APP_PASSWORD
    database: str = APP_DATABASE

    def as_user(self, user: str, password: str) -> "Door":
        return replace(self, user=user, password=password)

    def dsn(self, **overrides: Any) -> str:
        """For libpq: TLS with verify-full unless told otherwise."""
        fields: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "sslmode": "verify-full",
            "sslrootcert": self.ca_file,
            "gssencmode": "disable",
            "connect_timeout": int(PATIENCE),
        }
        return make_conninfo(**{**fields, **overrides})

    def connect(self, *, autocommit: bool = True, **overrides: Any) -> psycopg.Connection:
        """A psycopg connection that prepares nothing on its own."""
        return psycopg.connect(self.dsn(**overrides), autocommit=autocommit, prepare_threshold=None)

    async def connect_async(self, **overrides: Any) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            self.dsn(**overrides), autocommit=True, prepare_threshold=None
        )

    async def connect_asyncpg(self, **overrides: Any) -> asyncpg.Connection:
        """An asyncpg connection over TLS; `statement_cache_size=0` names no statements."""
        fields: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "ssl": self.tls_context(),
            "timeout": PATIENCE,
        }
        return await asyncpg.connect(**{**fields, **overrides})

    def raw(
        self, *, tls: bool = False, database: str | None = None, **parameters: str
    ) -> RawClient:
        """A raw client, logged in; `parameters` go into its startup packet."""
        client = RawClient(self.host, self.port, timeout=PATIENCE)
        try:
            if tls:
                client.start_tls(self.tls_context())
            names = {"user": self.user, "database": database or self.database, **parameters}
            client.log_in(self.password, **names)
        except BaseException:
            client.close()
            raise
        return client

    @contextlib.contextmanager
    def crowd(self, count: int, **how: Any) -> Iterator[list[RawClient]]:
        """So many raw clients, all closed at the end."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.raw(**how)) for _ in range(count)]

    def knock(self) -> RawClient:
        """A raw client that has said nothing yet."""
        return RawClient(self.host, self.port, timeout=PATIENCE)

    def tls_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)
