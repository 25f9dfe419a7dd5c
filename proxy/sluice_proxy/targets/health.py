"""How a target feels, learnt from logins. Words of RDS Proxy's `TargetHealth`."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from sluice_proxy.config import Target
from sluice_proxy.errors import CertificateInvalid, ProxyError, ServerRejected, TLSRefused
from sluice_proxy.targets.capacity import Capacity
from sluice_proxy.targets.init_query import InitQueryTooSlow
from sluice_proxy.targets.server_login import LimitReached

REGISTERING: Final = "Registering"
AVAILABLE: Final = "Available"
UNAVAILABLE: Final = "Unavailable"

_WRONG_PASSWORD: Final = "28P01"
_REASONS = {
    _WRONG_PASSWORD: "AuthFailure",
    "28000": "AuthFailure",
    "53300": "TooManyConnections",
    "3D000": "DatabaseNotFound",
}
# These may be said of the role itself, wherever it logs in, and then name it in any language.
_OF_THE_ROLE = frozenset(("AuthFailure", "TooManyConnections"))


@dataclass(frozen=True, slots=True)
class RoleLogin:
    """Who logged in, or tried to.

    `own`: into the database of the role's own Secret and without startup parameters, as the
    proxy's own checks do; any other login is what some client asked for. `holds`: the role
    has other connections open meanwhile.
    """

    user: str
    own: bool = True
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a login fails: a reason of the condition TargetsAvailable, and the server's words."""

    reason: str
    message: str


@dataclass(slots=True)
class TargetHealth:
    """State, reason and sentence about one target; Registering until the first login.

    `trouble` is what any role would be told, and gone with any login. `roles` are those that
    the server does not let in though it is well: each makes the target unhealthy until its
    own login succeeds. `doubted` are roles that were refused at a login which was not their
    own: it may have been for what the client asked, so a check is to tell.
    """

    target: Target
    capacity: Capacity | None = None
    trouble: Trouble | None = None
    roles: dict[str, Trouble] = field(default_factory=dict)
    doubted: set[str] = field(default_factory=set)
    _proved: bool = False

    @property
    def state(self) -> str:
        if self.trouble is not None or self.roles:
            return UNAVAILABLE
        return AVAILABLE if self._proved else REGISTERING

    @property
    def reason(self) -> str:
        """That of the server, else of the first role that does not get in."""
        return next((trouble.reason for trouble in self._troubles()), "")

    @property
    def message(self) -> str:
        return "; ".join(trouble.message for trouble in self._troubles())

    def _troubles(self) -> list[Trouble]:
        return list(self.roles.values()) if self.trouble is None else [self.trouble]

    def succeeded(self, login: RoleLogin, capacity: Capacity) -> None:
        self.capacity = capacity
        self.trouble = None
        self._proved = True
        if login.own:
            self.roles.pop(login.user, None)
            self.doubted.discard(login.user)

    def failed(self, login: RoleLogin, error: ProxyError) -> None:
        """A login failed; one that only a working server could refuse proves its health."""
        reason = error.reason or _REASONS.get(error.sqlstate, "ConnectionFailed")
        if not _is_about_the_login(error):
            self.trouble = Trouble(reason, error.message)
            return
        self.trouble = None
        if not login.own:
            if reason in _OF_THE_ROLE:
                self.doubted.add(login.user)
            return
        self.doubted.discard(login.user)
        # Who holds connections is in, and only gets no more of them.
        if not (login.holds and isinstance(error, LimitReached)):
            self.roles[login.user] = Trouble(reason, _naming(login.user, reason, error.message))

    def unproven(self, users: AbstractSet[str]) -> AbstractSet[str]:
        """Those of `users` of whom only a login can tell whether they get in."""
        if self.trouble is not None or not self._proved:
            return users
        return users & (self.roles.keys() | self.doubted)

    def move(self, target: Target) -> None:
        """Another server, of which nothing is known."""
        self.target = target
        self.capacity = None
        self.trouble = None
        self._proved = False
        self._forget()

    def forget_roles(self) -> None:
        """The credentials changed: what was refused before may get in now."""
        self._proved = self._proved and not self.roles
        self._forget()

    def _forget(self) -> None:
        self.roles.clear()
        self.doubted.clear()

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


def _is_about_the_login(error: ProxyError) -> bool:
    """Whether it says something of the role or its database, not of the server as a whole.

    A password that worked before is waited for, so that its refusal counts as transient.
    """
    if error.sqlstate == _WRONG_PASSWORD:
        return True
    refused = isinstance(error, (ServerRejected, LimitReached, InitQueryTooSlow))
    return refused and not isinstance(error, (TLSRefused, CertificateInvalid))


def _naming(user: str, reason: str, message: str) -> str:
    """Says whose login it is about, where the server does not."""
    named = reason in _OF_THE_ROLE and user in message
    return message if named else f'role "{user}": {message}'
