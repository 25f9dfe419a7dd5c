"""Every script, each named by its theme."""

from dataclasses import replace

from sluice_testing.stories import Story
from wirescripts import (
    copying,
    extended,
    pipelines,
    prepared,
    reports,
    session,
    settings,
    simple,
    sql_prepared,
    startup,
)

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
    "settings": settings.SCRIPTS,
    "settings undone": settings.UNDONE,
    "values": settings.VALUES,
    "reports": reports.REPORTS,
    "authorities": reports.AUTHORITIES,
    "encodings": reports.ENCODINGS,
    "temporary": session.TEMPORARY,
    "cursors": session.CURSORS,
    "advisory locks": session.LOCKING,
    "channels": session.CHANNELS,
    "sequences": session.VALUES,
    "DO blocks": session.BLOCKS,
    "large objects": session.LARGE_OBJECTS,
    "startup": startup.PARAMETERS,
    "refused": startup.REFUSED,
    "versions": startup.VERSIONS,
    "abuse": startup.ABUSE,
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
