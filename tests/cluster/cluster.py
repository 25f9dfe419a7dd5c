#!/usr/bin/env python3
"""A real Kubernetes for tests and the demo: `cluster.py up | down | images | status`."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kube import appimages, kindcluster, places, teardown
from kube.progress import Trouble, say


def up() -> None:
    """Brings the cluster up, or says that it is; the last line is the KUBECONFIG."""
    kindcluster.up()
    say(f"cluster {places.CLUSTER} is up")
    print(f"KUBECONFIG={places.KUBECONFIG}")


def status() -> None:
    """Says what is there."""
    print(teardown.status())


COMMANDS = {"up": up, "down": teardown.down, "status": status}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=[*COMMANDS, "images"])
    parser.add_argument("names", nargs="*", help="with images: which ones, instead of all")
    told = parser.parse_args()
    try:
        with places.alone():
            if told.command == "images":
                appimages.build_and_load(told.names)
            else:
                COMMANDS[told.command]()
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
