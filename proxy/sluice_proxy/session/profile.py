"""How sessions begin: startup parameters, and what they set."""

from collections import OrderedDict
from dataclasses import dataclass

from sluice_proxy.pool.key import FOLLOWED, PoolKey
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.settings import (
    DEFAULTS,
    Settings,
    settings,
    with_start,
    without_start,
)

# Clients may choose their startup parameters, so that what is remembered of each is bounded.
_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Profile:
    """What a server said of a session with certain startup parameters.

    `parameters` are its reports, `settings` what the startup parameters set. `startup_only`:
    one of them can be set in no other way, so that no other connection will do. `initial` is
    what `initQuery` set.
    """

    parameters: dict[bytes, bytes]
    settings: Settings = DEFAULTS
    startup_only: bool = False
    initial: Settings = DEFAULTS


class Profiles:
    """What is known, by the key of a pool whose connections are started so.

    Equal parameters become the same dict: thousands of clients share a few.
    """

    def __init__(self) -> None:
        self._profiles: OrderedDict[PoolKey, Profile] = OrderedDict()
        self._parameters: OrderedDict[frozenset[tuple[bytes, bytes]], dict[bytes, bytes]] = (
            OrderedDict()
        )

    def get(self, key: PoolKey) -> Profile | None:
        return self._profiles.get(key)

    def put(self, key: PoolKey, profile: Profile) -> None:
        self._profiles[key] = profile
        self._profiles.move_to_end(key)
        if len(self._profiles) > _LIMIT:
            self._profiles.popitem(last=False)

    def forget(self) -> None:
        """Servers may say something else from now on."""
        self._profiles.clear()

    def share(self, parameters: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """The one dict with these items."""
        key = frozenset(parameters.items())
        found = self._parameters.setdefault(key, parameters)
        if len(self._parameters) > _LIMIT:
            self._parameters.popitem(last=False)
        return found


class Start:
    """The beginning of one client's session, and what it goes back to by RESET.

    A session shares the server connections of its role and database, where its startup
    parameters are set like any others. RESET there leads to the server's defaults: a client
    that resets, and started with more than a name, parts for connections started like itself.
    """

    __slots__ = ("_base", "_exact", "_lasting", "_name", "key", "parameters", "settings")

    def __init__(self, profile: Profile, login: Login, profiles: Profiles):
        exact = login.key
        self._base = profile.settings
        self._name: dict[bytes, bytes] = {}
        self.parameters = profile.parameters
        if login.application_name is not None:
            self._name[FOLLOWED] = login.application_name
            self.parameters = profiles.share({**profile.parameters, **self._name})
        self._exact: PoolKey | None = None
        if profile.startup_only:
            self.key = exact
            self._lasting = settings(self._name)
        else:
            self.key = PoolKey(exact.user, exact.database)
            self._lasting = settings({**self._base.values, **self._name})
            if self._base.values:
                self._exact = exact
        # Not to come back after a RESET: as if the client had run the initQuery itself.
        self.settings = settings({**profile.initial.values, **self._lasting.values})

    @property
    def may_part(self) -> bool:
        return self._exact is not None

    def part(self, now: Settings) -> tuple[PoolKey, Settings]:
        """The pool to go on with, and what of `now` is to be set there."""
        assert self._exact is not None
        self.key, self._exact = self._exact, None
        self._lasting = settings(self._name)
        return self.key, without_start(now, self._base)

    def kept(self, now: Settings) -> Settings:
        """What the session has, where its server connection has `now`."""
        return with_start(now, self._lasting)
