"""`sluice run`: serves a DatabaseProxy from files, in this process."""

import argparse
import asyncio
import os
import sys

from sluice_cli.files import STANDARD_INPUT, Files
from sluice_cli.guide import guide
from sluice_cli.source import ManifestSource
from sluice_proxy.app import App, serve
from sluice_proxy.errors import ConfigError
from sluice_proxy.transport import loop
from sluice_proxy.transport.sockets import Addresses, listening

# Seconds between two looks whether it serves by now.
_LOOK = 0.02


def run(chosen: argparse.Namespace) -> int:
    """0 after a clean drain, 1 when it cannot begin."""
    given = sys.stdin.buffer.read() if STANDARD_INPUT in chosen.file else b""
    files = Files(chosen.file, given)
    source = ManifestSource(files, chosen.name, os.environ, chosen.listen[0])
    try:
        loop.run(_serve(source, Addresses(*chosen.listen, *chosen.admin), chosen.log_format))
    except (ConfigError, OSError) as error:
        print(f"sluice: {_words(error)}", file=sys.stderr)
        return 1
    return 0


async def _serve(source: ManifestSource, addresses: Addresses, log_format: str) -> None:
    app = App(source, addresses, json_logs=log_format == "json")
    guiding = asyncio.create_task(_guide(app, source, addresses))
    try:
        with listening(addresses, activators=False) as sockets:
            await serve(app, sockets)
    finally:
        guiding.cancel()


async def _guide(app: App, source: ManifestSource, addresses: Addresses) -> None:
    """Tells how to connect as soon as one can."""
    while not app.ready:
        await asyncio.sleep(_LOOK)
    listen, admin = (addresses.host, addresses.port), (addresses.admin_host, addresses.admin_port)
    config = app.config
    print(guide(config.name, listen, admin, source.ca_file, config.users[0]), flush=True)


def _words(error: ConfigError | OSError) -> str:
    """The error without its number; a socket's text names the address."""
    return getattr(error, "strerror", None) or str(error)
