"""Every script, each named by its theme."""

from dataclasses import replace

from sluice_testing.stories import Story
from wirescripts import copying, extended, pipelines, prepared, simple, sql_prepared

THEMES = {
    "simple": simple.SCRIPTS,
    "notices": simple.NOTICES,
    "transactions": simple.TRANSACTIONS,
    "function calls": simple.FUNCTION_CALLS,
    "extended": extended.SCRIPTS,
    "unnamed": extended.UNNAMED,
    "portals": extended.PORTALS,
    "pipelines": pipelines.SCRIPTS,
    "flush": pipelines.FLUSHES,
    "strings": pipelines.STRINGS,
    "prepared": prepared.SCRIPTS,
    "names": prepared.NAMES,
    "close": prepared.CLOSES,
    "prepared in failure": prepared.FAILED,
    "plans": prepared.PLANS,
    "PREPARE": sql_prepared.SCRIPTS,
    "shared names": sql_prepared.SHARED_NAMES,
    "wipes": sql_prepared.WIPES,
    "copy in": copying.IN,
    "copy in, extended": copying.IN_EXTENDED,
    "copy out": copying.OUT,
    "stray copy messages": copying.STRAY,
}

SCRIPTS: list[Story] = [
    replace(script, name=f"{theme}: {script.name}")
    for theme, scripts in THEMES.items()
    for script in scripts
]


def for_major(major: int) -> list[Story]:
    """Those that a server of this version knows."""
    return [script for script in SCRIPTS if major >= script.since]
