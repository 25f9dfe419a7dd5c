"""Which port of the activators stands for which proxy: each its own, for as long as it lives.

Its EndpointSlice remembers it. The range ends below 32768, where Linux begins to take ports for
outgoing connections by itself (ip_local_port_range).
"""

import hashlib

from sluice_operator.decide.references import Key

FIRST, LAST = 10000, 32767
_COUNT = LAST - FIRST + 1


class PortsExhausted(Exception):
    """More proxies than ports."""


class Ports:
    """The book of all ports that are taken; filled from the slices that were seen."""

    def __init__(self) -> None:
        self._port: dict[Key, int] = {}
        self._holder: dict[int, Key] = {}
        self._made: dict[Key, str] = {}

    def see(self, key: Key, port: int, made: str) -> Key | None:
        """`key`'s slice, of the time `made`, has `port`. Returns who has to move, where two have
        the same.

        The older slice keeps it, as at the activators; one that is not written yet has no age.
        """
        if not FIRST <= port <= LAST:
            return None
        self._made[key] = made
        holder = self._holder.get(port)
        if holder == key:
            return None
        if holder is not None and self._rank(holder) < self._rank(key):
            return key if key not in self._port else None
        self._take(key, port)
        if holder is not None:
            self._port.pop(holder, None)
        return holder

    def port(self, key: Key) -> int:
        """`key`'s port, from now on. Raises PortsExhausted."""
        known = self._port.get(key)
        if known is not None:
            return known
        first = int.from_bytes(hashlib.sha256("/".join(key).encode()).digest()[:8], "big")
        for step in range(_COUNT):
            port = FIRST + (first + step) % _COUNT
            if port not in self._holder:
                self._take(key, port)
                return port
        raise PortsExhausted(f"all {_COUNT} ports of the activators are taken")

    def free(self, key: Key) -> None:
        """`key` is gone."""
        self._made.pop(key, None)
        self._leave(key)

    def _rank(self, key: Key) -> tuple[bool, str, Key]:
        made = self._made.get(key, "")
        return not made, made, key

    def _take(self, key: Key, port: int) -> None:
        self._leave(key)
        self._port[key] = port
        self._holder[port] = key

    def _leave(self, key: Key) -> None:
        port = self._port.pop(key, None)
        if port is not None:
            del self._holder[port]
