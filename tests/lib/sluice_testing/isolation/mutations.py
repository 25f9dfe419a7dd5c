"""Proxies that are broken on purpose, each in one rule; what starts them instead of the proxy."""

from collections.abc import Mapping, Sequence

from sluice_testing.rig import ROOT

_FOLDER = ROOT / "tests" / "integration"

MUTATIONS: Mapping[str, Sequence[str]] = {
    "whoever got ReadyForQuery lets go": (str(_FOLDER / "broken_release.py"),),
}
