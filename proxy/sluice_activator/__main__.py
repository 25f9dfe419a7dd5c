"""`python -m sluice_activator`: the activator as the image runs it.

Environment: SLUICE_WATCH_NAMESPACES (comma separated; all if it is empty), SLUICE_LOG_LEVEL,
SLUICE_POD_IP, and what the kubelet tells each pod of the API server.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from sluice_activator.app import LINGER, Settings, serve
from sluice_activator.kubernetes.account import MOUNT, in_cluster
from sluice_activator.sockets import allow_many
from sluice_proxy import logs
from sluice_proxy.config import ACTIVATOR_PORT, ADMIN_PORT, HELLO_PORT, POD_IP

LEVELS = ("debug", "info", "warning", "error")


def watched(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The namespaces to watch, each once; none means all."""
    names = environment.get("SLUICE_WATCH_NAMESPACES", "").split(",")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def settings(arguments: list[str] | None, environment: Mapping[str, str]) -> Settings:
    """Raises KeyError outside of a cluster."""
    parser = argparse.ArgumentParser(prog="sluice-activator", description=__doc__)
    parser.add_argument("--host", default="", help="the address to listen on; all if empty")
    parser.add_argument("--admin-port", type=int, default=ADMIN_PORT)
    parser.add_argument("--hello-port", type=int, default=HELLO_PORT)
    parser.add_argument("--pod-port", type=int, default=ACTIVATOR_PORT)
    parser.add_argument("--linger", type=float, default=LINGER, metavar="SECONDS")
    parser.add_argument("--service-account", type=Path, default=MOUNT, metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    return Settings(
        in_cluster(environment, chosen.service_account),
        watched(environment),
        chosen.host,
        chosen.admin_port,
        chosen.hello_port,
        chosen.pod_port,
        chosen.linger,
        environment.get(POD_IP, ""),
    )


def main(arguments: list[str] | None = None) -> int:
    """0 after a clean end, 1 when the activator cannot begin."""
    level = os.environ.get("SLUICE_LOG_LEVEL", "info").lower()
    logs.configure(json=True, debug=False)
    logging.getLogger("sluice_activator").setLevel(level.upper() if level in LEVELS else "INFO")
    try:
        allow_many()
        asyncio.run(serve(settings(arguments, os.environ)))
    except KeyError as missing:
        print(f"sluice-activator: {missing} is not set: not in a cluster?", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"sluice-activator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
