"""What the scripts stand on: their database, their roles, and a clean start for each of them."""

from contextlib import suppress

import psycopg
from psycopg import errors

from sluice_proxy.config import User
from sluice_testing.door import Door
from sluice_testing.postgres import APP_PASSWORD, APP_USER, SUPERUSER, Postgres
from sluice_testing.stories import Story

DATABASE = "differential"
# Logs in with settings that ALTER ROLE gave it.
SETTER, SETTER_PASSWORD = "setter", "setter-secret"
ROLES = (
    "CREATE ROLE teller",  # `app` is a member
    "CREATE ROLE auditor",  # nobody is
    "GRANT teller TO app",
    f"CREATE ROLE {SETTER} LOGIN PASSWORD '{SETTER_PASSWORD}'",
    f"ALTER ROLE {SETTER} SET work_mem = '3MB'",
    f"ALTER ROLE {SETTER} SET DateStyle = 'German'",
    f"ALTER ROLE {SETTER} SET my.colour = 'of the role'",
    f'ALTER ROLE {SETTER} IN DATABASE {DATABASE} SET search_path = pg_catalog, "of, both"',
)
SWEPT = "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO PUBLIC;"  # noqa: E501


class StillHeld(Exception):
    """A client that left still holds locks on what it used."""


class Ground:
    """The scripts' database on one server; made when it is not there."""

    def __init__(self, server: Postgres):
        self.server = server
        self._passwords = {
            APP_USER: APP_PASSWORD,
            SETTER: SETTER_PASSWORD,
            SUPERUSER: server.superuser_password,
        }
        if not server.fetch("SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
            server.execute(f"CREATE DATABASE {DATABASE} OWNER {APP_USER}", *ROLES)
        self._app = self._connect(APP_USER)
        self._superuser = self._connect(SUPERUSER)

    def _connect(self, user: str) -> psycopg.Connection:
        dsn = self.server.dsn(user, self._passwords[user], DATABASE)
        connection = psycopg.connect(dsn, autocommit=True)
        connection.execute("SET lock_timeout = '5s'")
        return connection

    def users(self) -> tuple[User, ...]:
        """For the configuration of a proxy."""
        return tuple(User(name, password) for name, password in self._passwords.items())

    def password(self, user: str) -> str:
        """That of a role that there is, or any."""
        return self._passwords.get(user, "wrong")

    def sweep(self, story: Story) -> None:
        """Takes away what earlier scripts left, and sets up this one."""
        try:
            self._app.execute(SWEPT.encode() + story.setup.encode())
        except errors.LockNotAvailable as error:
            self._end_others()
            raise StillHeld(str(error)) from error
        if story.superuser_setup:
            self._superuser.execute(story.superuser_setup.encode())

    def _end_others(self) -> None:
        self._superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
            (self._app.info.backend_pid,),
        )

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._app.close()
            self._superuser.close()


def door_to(door: Door) -> Door:
    """The same door, to the scripts' database."""
    return Door(door.host, door.port, door.ca_file, database=DATABASE)
