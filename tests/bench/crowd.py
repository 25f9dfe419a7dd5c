"""What thousands of clients that rest cost each proxy, and whether each of them is answered."""

import time
from typing import Any

from contenders import Contender
from herd import Herd
from readings import allow_descriptors

_SETTLED = 1.5  # seconds after which what a login or a query left is freed
_SPARE = 500  # descriptors for all else
_FIRST = 100  # clients that make code and caches resident, which all share


def descriptors(count: int) -> str:
    """What is missing for `count` clients here, and as many in a proxy started from here."""
    return allow_descriptors(count + _SPARE)


def crowd(contender: Contender, count: int, *, tls: bool) -> dict[str, Any]:
    """KiB of RSS: of the process before, and of each client, idle and after one query."""
    with Herd(contender.door, _FIRST, tls=tls) as few:
        few.query()
    base = _settled(contender)
    began = time.monotonic()
    with Herd(contender.door, count, tls=tls) as herd:
        seconds = time.monotonic() - began
        idle = _settled(contender)
        answered = herd.query()
        queried = _settled(contender)
    return {
        "clients": count,
        "answered": answered,
        "base_kib": base,
        "idle_kib": round((idle - base) / count, 2),
        "queried_kib": round((queried - base) / count, 2),
        "login_seconds": round(seconds, 1),
    }


def _settled(contender: Contender) -> int:
    time.sleep(_SETTLED)
    return contender.resident_kib()
