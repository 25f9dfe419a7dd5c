"""What makes two clients able to share a server connection."""

from dataclasses import dataclass

# Follows the client by SET on each new link; it can neither fail nor change a result.
FOLLOWED = b"application_name"


@dataclass(frozen=True, slots=True)
class PoolKey:
    """User, database and the startup parameters that the server connection is opened with."""

    user: str
    database: str
    parameters: tuple[tuple[bytes, bytes], ...] = ()
