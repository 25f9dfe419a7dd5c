"""Proxies that are broken on purpose, each in one rule; what starts them instead of the proxy."""

from collections.abc import Mapping, Sequence

from sluice_testing.rig import ROOT

_PROGRAM = str(ROOT / "tests" / "isolation" / "broken.py")

# By the name that the program knows.
MUTATIONS: Mapping[str, str] = {
    "release": "whoever got ReadyForQuery lets go",
    "replay": "settings are not replayed on another server connection",
    "pins": "nothing pins",
    "sharing": "statements are shared whatever numbers are in their texts",
}


def program(rule: str) -> Sequence[str]:
    # From its source, whatever runs: a compiled module does not look up what another has.
    return ("-E", _PROGRAM, rule)
