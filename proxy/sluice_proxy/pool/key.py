"""What makes two clients able to share a server connection."""

from dataclasses import dataclass, field
from functools import lru_cache

# Follows the client by SET on each new link; it can neither fail nor change a result.
FOLLOWED = b"application_name"


@dataclass(frozen=True, slots=True)
class PoolKey:
    """User, database and the startup parameters that the server connection is opened with."""

    user: str
    database: str
    parameters: tuple[tuple[bytes, bytes], ...] = ()
    # Computed once: it is asked for with each transaction.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.user, self.database, self.parameters)))

    def __hash__(self) -> int:
        return self._hash


@lru_cache(maxsize=1000)
def shared_key(user: str, database: str) -> PoolKey:
    """The key of all who share these: the very same object is found in a dict without comparing."""
    return PoolKey(user, database)
