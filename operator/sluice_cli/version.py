"""`sluice version`."""

import argparse

from sluice_proxy import __version__


def version(chosen: argparse.Namespace) -> int:
    print(f"sluice {__version__}")
    return 0
