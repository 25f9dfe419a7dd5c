"""`python -m sluice_proxy --config FILE`: the proxy as the image runs it."""

import argparse
import os
import sys
from dataclasses import replace

from sluice_proxy.config import ACTIVATOR_PORT, ADMIN_PORT, CLIENT_PORT, POD_IP, POD_NAME, parse
from sluice_proxy.errors import ConfigError
from sluice_proxy.source import FileSource
from sluice_proxy.transport.sockets import Addresses, Sockets, listening


def split_address(text: str, default_port: int) -> tuple[str, int]:
    """`HOST:PORT`, `:PORT`, `[::1]:PORT` or `PORT`; an empty host is every address."""
    host, _, port = text.rpartition(":")
    try:
        return host.strip("[]"), int(port) if port else default_port
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT") from None


def _client_address(text: str) -> tuple[str, int]:
    return split_address(text, CLIENT_PORT)


def _admin_address(text: str) -> tuple[str, int]:
    return split_address(text, ADMIN_PORT)


def _activator_address(text: str) -> tuple[str, int]:
    return split_address(text, ACTIVATOR_PORT)


def main(arguments: list[str] | None = None) -> int:
    """0 after a clean drain, 1 when the proxy cannot begin."""
    parser = argparse.ArgumentParser(prog="sluice-proxy", description=__doc__)
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--listen", type=_client_address, default=("", CLIENT_PORT))
    parser.add_argument("--admin", type=_admin_address, default=("", ADMIN_PORT))
    parser.add_argument("--activators", type=_activator_address, default=("", ACTIVATOR_PORT))
    parser.add_argument("--log-format", choices=("json", "text"), default="json")
    chosen = parser.parse_args(arguments)
    own, pod = os.environ.get(POD_IP, ""), os.environ.get(POD_NAME, "")
    listens = Addresses(*chosen.listen, *chosen.admin, *chosen.activators)
    addresses = replace(listens, own=own, pod=pod)
    source = FileSource(chosen.config)
    try:
        with listening(addresses, activators=bool(parse(source.read()).uid)) as sockets:
            _run(source, addresses, sockets, chosen.log_format == "json")
    except (ConfigError, OSError) as error:
        print(f"sluice-proxy: {chosen.config}: {error}", file=sys.stderr)
        return 1
    return 0


def _run(source: FileSource, addresses: Addresses, sockets: Sockets, json_logs: bool) -> None:
    # Here and not above: all of this takes three times as long to import as what listens.
    from sluice_proxy.app import App, serve
    from sluice_proxy.transport import loop

    loop.run(serve(App(source, addresses, json_logs), sockets))


if __name__ == "__main__":
    sys.exit(main())
