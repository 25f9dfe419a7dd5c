"""Thousands of clients in one process, each a bare socket that has logged in once."""

import socket
import ssl
from collections.abc import Iterable
from typing import Self

from sluice_testing.door import Door
from sluice_testing.raw import SYNC, RawClient, bind, execute, parse, query


class Herd:
    """So many clients of one door. What they do, they do one after the other."""

    def __init__(self, door: Door, count: int, *, tls: bool):
        # One context: its certificates would be read anew for each client.
        self._context = door.tls_context() if tls else None
        self._clients = [self._enter(door) for _ in range(count)]

    def _enter(self, door: Door) -> RawClient:
        client = RawClient(door.host, door.port, timeout=30)
        if self._context is not None:
            client.start_tls(self._context)
        client.log_in(door.password, user=door.user, database=door.database)
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for client in self._clients:
            client.close()

    def query(self) -> int:
        """One simple query each; returns how many were answered, which is all, or it raises."""
        for client in self._clients:
            self._ask(client, (query("SELECT 1"),))
        return len(self._clients)

    def prepare_and_set(self) -> None:
        """What a driver leaves in its session: a statement by name, and a setting."""
        asked = (
            query("SET application_name = 'herd'"),
            parse("SELECT $1::int + 1", name="s1", types=(23,)),
            bind("1", name="s1"),
            execute(),
            SYNC,
        )
        for client in self._clients:
            self._ask(client, asked, rounds=2)

    def _ask(self, client: RawClient, parts: Iterable[bytes], rounds: int = 1) -> None:
        for message in client.ask(*parts, rounds=rounds):
            if message.kind == "E":
                raise ConnectionError(str(message.fields))


def bare(client: RawClient) -> socket.socket | ssl.SSLSocket:
    """The socket under a client, for bytes that are no message of its own."""
    return client._socket
