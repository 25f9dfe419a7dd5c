"""How sessions begin: startup parameters, and what they set."""

from collections import OrderedDict
from dataclasses import dataclass

from sluice_proxy.pool.key import FOLLOWED, PoolKey, shared_key
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.inspection import Findings
from sluice_proxy.session.settings import (
    DEFAULTS,
    Settings,
    settings,
    with_start,
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
    parameters are set like any others. RESET there leads to the server's own defaults, and
    `lasting` is set again.
    """

    __slots__ = ("key", "lasting", "parameters", "settings")

    def __init__(self, profile: Profile, login: Login, profiles: Profiles):
        name: dict[bytes, bytes] = {}
        self.parameters = profile.parameters
        if login.application_name is not None:
            name[FOLLOWED] = login.application_name
            self.parameters = profiles.share({**profile.parameters, **name})
        if profile.startup_only:
            self.key = login.key
            self.lasting = settings(name)
        else:
            self.key = shared_key(login.key.user, login.key.database)
            self.lasting = settings({**profile.settings.values, **name})
        # Not to come back after a RESET: as if the client had run the initQuery itself.
        self.settings = settings({**profile.initial.values, **self.lasting.values})

    def kept(self, found: Findings) -> Settings:
        """What the session has, where its server connection has what was found."""
        kept = with_start(found.settings, self.lasting)
        if found.no_role and b"role" in kept.values:
            # It started with a role, and gave that up.
            return settings({**kept.values, b"role": b"none"})
        return kept
