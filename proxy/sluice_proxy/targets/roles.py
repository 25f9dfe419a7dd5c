"""The roles of a configuration: what clients must know, and what the server is told."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from sluice_proxy.config import User
from sluice_proxy.wire import scram

# A password, and the salt and the number of iterations that it is hashed with.
_Hashed = tuple[str, bytes, int]


class Memory:
    """What outlives a change of configuration: derived keys, and which passwords worked.

    `secret` salts what clients are shown; it must be the same for the life of the process.
    """

    def __init__(self, secret: bytes):
        self.secret = secret
        self.verifiers: dict[tuple[str, str], scram.Verifier] = {}
        self.keys: dict[_Hashed, scram.ClientKeys] = {}
        self.pending: dict[_Hashed, asyncio.Future[scram.ClientKeys]] = {}
        self.proved: set[str] = set()


class Roles:
    """The users of one configuration. Costly keys are derived before it is put to use."""

    def __init__(
        self, users: Iterable[User], memory: Memory, clock: Callable[[], float] = time.time
    ):
        self._users = {user.name: user for user in users}
        self._memory = memory
        self._clock = clock
        # Those of this configuration alone: logins begun under it go on when the next comes.
        self._verifiers: dict[tuple[str, str], scram.Verifier] = {}

    def prepare(self) -> None:
        """Derives the verifiers of every password: some milliseconds each, in any thread."""
        known = self._memory.verifiers
        wanted = {}
        for user in self._users.values():
            for password in (user.password, user.previous_password):
                if password:
                    key = (user.name, password)
                    wanted[key] = known.get(key) or self._derive(user.name, password)
        self._verifiers = self._memory.verifiers = wanted

    def _derive(self, name: str, password: str) -> scram.Verifier:
        # Both passwords of a role share the salt: it is shown before the client proves one.
        return scram.derive_verifier(password, scram.stable_salt(name, self._memory.secret))

    def verifiers(self, name: str) -> Sequence[scram.Verifier]:
        """Those of a role's passwords that clients may use now; of nobody's, if unknown.

        The latter are made either way: to know a role must not take less time.
        """
        mock = scram.mock_verifier(name, self._memory.secret)
        found = [self._verifiers[name, password] for password in self.passwords(name)]
        return found or [mock]

    def is_own(self, name: str, database: str) -> bool:
        """Whether this is the database where the role's login is tried."""
        user = self._users.get(name)
        return user is not None and user.database == database

    def passwords(self, name: str) -> list[str]:
        """The present password, then the previous one while its grace lasts."""
        user = self._users.get(name)
        if user is None:
            return []
        passwords = [user.password]
        if user.previous_password and user.previous_until > self._clock():
            passwords.append(user.previous_password)
        return passwords

    def proved(self, name: str) -> bool:
        """True when the server has ever accepted this role."""
        return name in self._memory.proved

    def prove(self, name: str) -> None:
        self._memory.proved.add(name)

    async def derive(
        self, loop: asyncio.AbstractEventLoop, password: str, challenge: scram.Challenge
    ) -> scram.ClientKeys:
        """The keys for a server's challenge; PBKDF2 runs in a thread, once for each salt.

        So many connections may be opened at once that each on its own would keep every
        thread busy, those that look up addresses included.
        """
        hashed = (password, challenge.salt, challenge.iterations)
        keys = self._memory.keys.get(hashed)
        if keys is not None:
            return keys
        pending = self._memory.pending.get(hashed)
        if pending is None:
            pending = loop.run_in_executor(None, scram.derive_client_keys, *hashed)
            self._memory.pending[hashed] = pending
            pending.add_done_callback(lambda done: self._keep(hashed, done))
        # Whoever gives up waiting does not stop the others.
        return await asyncio.shield(pending)

    def _keep(self, hashed: _Hashed, done: asyncio.Future[scram.ClientKeys]) -> None:
        del self._memory.pending[hashed]
        if len(self._memory.keys) > 1000:
            self._memory.keys.clear()
        if not done.cancelled():
            self._memory.keys[hashed] = done.result()
