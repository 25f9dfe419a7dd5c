"""What is known of the databases' sessions beside the texts: for all connections of a proxy."""

from typing import Final

from sluice_proxy.clock import Clock
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.state import SessionState
from sluice_proxy.session.suspects import EVERYBODY, NOBODY, Suspects

# Seconds after which the catalogs are asked again for functions that change sessions.
_AGE: Final = 10.0


class Unseen:
    """Functions that change sessions, by database; pools whose clients ask for sequences' values.

    Unless it `looks`, no text can do more than it shows.
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self.looks = False
        # What is known, and since when.
        self._suspects: dict[str, tuple[Suspects, float]] = {}
        self._sequence_keys: set[PoolKey] = set()
        # Of this pool there is nothing, and nobody has to look again until then.
        self._quiet: PoolKey | None = None
        self._quiet_until = 0.0

    def suspects(self, database: str, session: SessionState) -> Suspects:
        """The functions that are to be watched; `session` is told to ask for them if need be."""
        if not self.looks:
            return NOBODY
        known, asked = self._suspects.get(database, (EVERYBODY, -_AGE))
        if self._clock.now - asked > _AGE:
            self._suspects[database] = (known, self._clock.now)
            session.functions_due = True
        elif known is EVERYBODY:
            session.functions_due = True
        return known

    def learn(self, database: str, found: Suspects) -> None:
        self._suspects[database] = (found, self._clock.now)
        self._quiet = None

    def is_nothing(self, key: PoolKey) -> bool:
        """Whether there is neither for this pool, as of now: what a text does it shows."""
        if key is self._quiet and self._clock.now <= self._quiet_until:
            return True
        if key in self._sequence_keys:
            return False
        if not self.looks:
            return True
        suspects, asked = self._suspects.get(key.database, (EVERYBODY, -_AGE))
        if suspects is not NOBODY:
            return False
        self._quiet, self._quiet_until = key, asked + _AGE
        return self._clock.now <= self._quiet_until

    def asks_sequences(self, key: PoolKey) -> bool:
        """Whether clients of this pool ask for what their session took of a sequence."""
        return key in self._sequence_keys

    def on_sequences(self, key: PoolKey) -> None:
        """One does."""
        self._sequence_keys.add(key)
        self._quiet = None
