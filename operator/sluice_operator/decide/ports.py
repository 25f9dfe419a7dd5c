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

    def see(self, key: Key, port: int) -> Key | None:
        """`key`'s slice has `port`. Returns who has to move, where two have the same.

        Who comes first by name stays, whoever was seen first: each look comes to the same end.
        """
        if not FIRST <= port <= LAST or self._port.get(key) == port:
            return None
        holder = self._holder.get(port)
        if holder is not None and holder < key:
            return key if key not in self._port else None
        self._take(key, port)
        if holder is None:
            return None
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
        port = self._port.pop(key, None)
        if port is not None:
            del self._holder[port]

    def _take(self, key: Key, port: int) -> None:
        self.free(key)
        self._port[key] = port
        self._holder[port] = key
