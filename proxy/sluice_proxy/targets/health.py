"""How a target feels, learnt from logins. Words of RDS Proxy's `TargetHealth`."""

from dataclasses import dataclass, field
from typing import Any, Final

from sluice_proxy.config import Target
from sluice_proxy.errors import ProxyError
from sluice_proxy.targets.capacity import Capacity

REGISTERING: Final = "Registering"
AVAILABLE: Final = "Available"
UNAVAILABLE: Final = "Unavailable"

_AUTH_FAILURE: Final = "AuthFailure"
_AUTHENTICATION = frozenset(("28P01", "28000"))
_REASONS = {"53300": "TooManyConnections", "3D000": "DatabaseNotFound"}
# The database does not exist, may not be entered, or a startup parameter is wrong: the
# server looks at these after the password.
_AFTER_PASSWORD = frozenset(("3D000", "42501", "22023", "42704"))


@dataclass(slots=True)
class TargetHealth:
    """State, reason and sentence about one target; Registering until the first login.

    `refused` are the roles that the server did not let in, with its words: one role with
    a wrong password makes the target unhealthy until that role gets in.
    """

    target: Target
    state: str = REGISTERING
    reason: str = ""
    message: str = ""
    capacity: Capacity | None = None
    refused: dict[str, str] = field(default_factory=dict)

    def succeeded(self, user: str, capacity: Capacity) -> None:
        self.capacity = capacity
        self.refused.pop(user, None)
        self.state, self.reason, self.message = AVAILABLE, "", ""
        self._show_refused()

    def failed(self, user: str, error: ProxyError) -> None:
        """A login failed; one that only a working server could refuse proves its health."""
        if not error.reason and error.sqlstate in _AFTER_PASSWORD and self.capacity is not None:
            self.succeeded(user, self.capacity)
        elif not error.reason and error.sqlstate in _AUTHENTICATION:
            self.refused[user] = error.message
            self._show_refused()
        else:
            reason = error.reason or _REASONS.get(error.sqlstate, "ConnectionFailed")
            self.state, self.reason, self.message = UNAVAILABLE, reason, error.message

    def move(self, target: Target) -> None:
        """Another server, of which nothing is known."""
        self.target = target
        self.capacity = None
        self.refused.clear()
        self.state, self.reason, self.message = REGISTERING, "", ""

    def forget_roles(self) -> None:
        """The credentials changed: what was refused before may get in now."""
        self.refused.clear()
        if self.reason == _AUTH_FAILURE:
            self.state, self.reason, self.message = REGISTERING, "", ""

    def _show_refused(self) -> None:
        if self.refused:
            self.state, self.reason = UNAVAILABLE, _AUTH_FAILURE
            self.message = "; ".join(self.refused.values())

    def describe(self) -> dict[str, Any]:
        """As `/state` shows it."""
        return {
            "host": self.target.host,
            "port": self.target.port,
            "health": self.state,
            "reason": self.reason,
            "message": self.message,
            "maxConnections": None if self.capacity is None else self.capacity.max_connections,
        }
