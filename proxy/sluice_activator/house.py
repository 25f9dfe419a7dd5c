"""All proxies of this activator: whose port is whose, and the room of each that had a client."""

import logging
from collections.abc import Iterable
from typing import Any, Final

from sluice_activator import decide
from sluice_activator.holding import Means, Room
from sluice_activator.listening import Doors, Visitors
from sluice_activator.slices import Change, Directory, Key, name_of
from sluice_activator.trial import Client

log = logging.getLogger(__name__)

# What the API server says of a namespace that is forbidden, or not there.
_MISSING: Final = (403, 404)


class House:
    """Follows the slices: opens and closes ports, and tells the rooms. `scopes` are to be listed.

    The scopes are namespaces, or an empty string for all. `own` is this activator's address.
    """

    def __init__(self, means: Means, host: str, scopes: Iterable[str], own: str):
        self._means = means
        self._directory = Directory(own)
        self._rooms: dict[Key, Room] = {}
        self._unlisted = set(scopes)
        self._unseen: dict[str, int] = {}
        self._losers: dict[Key, str] = {}
        self._told: dict[Key, str] = {}
        visitors = Visitors(self._on_client, self._on_cancel, self._full)
        self.doors = Doors(means.loop, host, visitors, means.metrics)
        means.metrics.held.set_function(lambda: means.tally.held)
        means.metrics.spliced.set_function(lambda: means.tally.spliced)
        means.metrics.proxies.set_function(lambda: self._directory.proxies)
        means.metrics.failed_ports.set_function(lambda: len(self.doors.failed))
        means.metrics.refused_slices.set_function(lambda: len(self._told))

    @property
    def unready(self) -> str:
        """Why no client should be sent here, or an empty string."""
        # One namespace less is bearable. Without any right, or account, nobody would be served.
        if any(not scope or self._unseen.get(scope) not in _MISSING for scope in self._unlisted):
            return "the slices have not been listed yet"
        return self.doors.closed

    @property
    def named(self) -> bool:
        """Whether clients are sent here, as far as it may be seen."""
        naming = self._directory.naming_us()
        return bool(naming - self._unseen.keys()) and "" not in self._unseen

    def wake(self, proxy: Key) -> dict[str, Any] | None:
        """Of /wakes; None for a proxy that this activator does not know."""
        room = self._rooms.get(proxy)
        if room is not None:
            return room.document()
        if self._directory.registration(proxy) is None:
            return None
        return {"held": 0, "spliced": 0, "wake": None}

    # What the watches say

    def on_list(self, manifests: Iterable[dict[str, Any]]) -> None:
        self._apply([change for item in manifests for change in self._directory.see(item)])

    def on_listed(self, scope: str, seen: set[Key]) -> None:
        """Everything in `scope` was told: what was not is gone."""
        gone = [name for name in self._directory.names(scope) if name not in seen]
        self._apply([change for name in gone for change in self._directory.forget(name)])
        self._unlisted.discard(scope)
        self._unseen.pop(scope, None)

    def on_unseen(self, scope: str, status: int) -> None:
        """Nothing is told of `scope`, nor will be until a list: what is known is kept."""
        self._unseen[scope] = status

    def on_event(self, kind: str, manifest: dict[str, Any]) -> None:
        if kind == "DELETED":
            self._apply(self._directory.forget(name_of(manifest)))
        else:
            self._apply(self._directory.see(manifest))

    def _apply(self, changes: list[Change]) -> None:
        if any(change.ports for change in changes):
            wanted, self._losers = self._directory.ports()
            self.doors.want(wanted)
        self._complain({**self._directory.refused, **self._losers})
        for proxy in {change.proxy for change in changes} & self._rooms.keys():
            self._tell(self._rooms[proxy])

    def _complain(self, refused: dict[Key, str]) -> None:
        for name, problem in refused.items():
            if self._told.get(name) != problem:
                log.error("a slice is refused", extra={"slice": "/".join(name), "error": problem})
        self._told = refused

    def _tell(self, room: Room) -> None:
        proxy = room.proxy
        room.see(self._directory.registration(proxy), self._directory.pods(proxy))
        if room.registration is None and room.empty:
            del self._rooms[proxy]

    def _room(self, proxy: Key) -> Room:
        room = self._rooms.get(proxy)
        if room is None:
            room = self._rooms[proxy] = Room(proxy, self._means)
            self._tell(room)
        return room

    # Who comes

    def _full(self) -> bool:
        return self._means.tally.held + self.doors.knocking >= decide.HELD_MAX_OF_ALL

    def _on_client(self, proxy: Key, client: Client) -> None:
        self._room(proxy).take(client)

    def _on_cancel(self, proxy: Key, client: Client) -> None:
        self._room(proxy).cancel(client)

    def on_hello(self, proxy: Key, address: str) -> None:
        """Of proxies that nobody registered, nothing is remembered."""
        if self._directory.registration(proxy) is not None:
            self._room(proxy).on_hello(address)

    def stop(self) -> None:
        """Cuts everybody off, and listens no more."""
        self.doors.close()
        for room in self._rooms.values():
            room.stop()
