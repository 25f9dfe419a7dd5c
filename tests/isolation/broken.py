"""The proxy with one rule broken on purpose: `broken.py RULE`, then the proxy's own arguments.

The isolation run starts it to show that its checks can fail.
"""

import re
import sys
from collections.abc import Callable
from typing import Any

from sluice_proxy.session import release, settings, state, statement
from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.settings import Change
from sluice_proxy.session.statement import Statement


def let_go_at_once(held: release.Holding) -> bool:
    return True


def set_nothing(changed: list[Change]) -> list[bytes]:
    return []


def pin_nothing(self: state.SessionState, reasons: PinReason) -> PinReason:
    return PinReason.NONE


_exact = statement.from_parse
_shared: dict[bytes, Statement] = {}


def share_whatever_the_numbers(rest: bytes, *others: Any) -> Statement:
    """One statement on the servers for all texts that differ in a number alone."""
    shape = re.sub(rb"[0-9]+", b"#", rest)
    if shape not in _shared:
        _shared[shape] = _exact(rest, *others)
    return _shared[shape]


MUTATIONS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "release": (release, "may_release", let_go_at_once),
    "replay": (settings, "replay", set_nothing),
    "pins": (state.SessionState, "pin", pin_nothing),
    "sharing": (statement, "from_parse", share_whatever_the_numbers),
}


def break_rule(name: str) -> None:
    where, rule, wrong = MUTATIONS[name]
    getattr(where, rule)  # what is not there cannot be broken
    setattr(where, rule, wrong)


if __name__ == "__main__":
    break_rule(sys.argv[1])
    # Only now: what imports a rule by name must find the broken one.
    from sluice_proxy.__main__ import main

    sys.exit(main(sys.argv[2:]))
