"""What makes two clients able to share a server connection."""

from functools import lru_cache
from typing import Final

# Follows the client by SET on each new link; it can neither fail nor change a result.
FOLLOWED: Final = b"application_name"


class PoolKey:
    """User, database and the startup parameters that the server connection is opened with.

    A value: it is equal to its like, and nobody changes it.
    """

    __slots__ = ("_hash", "database", "parameters", "user")

    def __init__(
        self, user: str, database: str, parameters: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.user: Final = user
        self.database: Final = database
        self.parameters: Final = parameters
        # Computed once: it is asked for with each transaction.
        self._hash: Final = hash((user, database, parameters))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PoolKey):
            return NotImplemented
        return self is other or (
            self.user == other.user
            and self.database == other.database
            and self.parameters == other.parameters
        )

    def __repr__(self) -> str:
        return f"PoolKey({self.user!r}, {self.database!r}, {self.parameters!r})"


@lru_cache(maxsize=1000)
def shared_key(user: str, database: str) -> PoolKey:
    """The key of all who share these: the very same object is found in a dict without comparing."""
    return PoolKey(user, database)
