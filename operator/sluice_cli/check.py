"""`sluice check`: tells what is wrong with manifests, without a cluster or a server."""

import argparse
import sys
import time

from sluice_cli.authority import HOSTS
from sluice_cli.complaints import Complaint, Complaints
from sluice_cli.files import STANDARD_INPUT, Files
from sluice_cli.manifests import Manifests, load
from sluice_cli.resolve import SECRET_NOT_FOUND, resolve
from sluice_operator import names
from sluice_operator.desired.certificates import Kept, issued


def check(chosen: argparse.Namespace) -> int:
    """0 if all is well, 1 otherwise; one line for each complaint, or for each object."""
    given = sys.stdin.buffer.read() if STANDARD_INPUT in chosen.file else b""
    found = load(Files(chosen.file, given))
    # What a broken object lacks is said first; what others miss for that, after it is mended.
    wrong = found.complaints or _unfit(found, chosen.secrets_elsewhere)
    for line in wrong or _fine(found):
        print(line)
    return 1 if wrong else 0


def _unfit(found: Manifests, secrets_elsewhere: bool) -> list[Complaint]:
    """How the objects do not fit together."""
    if not found.proxies:
        return [Complaint(found.given, f"no {names.KIND} in it")]
    now = time.time()
    certificate = issued("check", HOSTS, now, Kept()).shown()
    complaints: list[Complaint] = []
    for proxy in found.proxies.values():
        try:
            resolve(proxy, found, None, now, certificate)
        except Complaints as error:
            complaints.extend(error.items)
    return [c for c in complaints if not (secrets_elsewhere and c.reason == SECRET_NOT_FOUND)]


def _fine(found: Manifests) -> list[str]:
    proxies = [f"{proxy.file}: {proxy.subject}: ok" for proxy in found.proxies.values()]
    secrets = [f"{s.file}: Secret {'/'.join(key)}: ok" for key, s in found.secrets.items()]
    return [*proxies, *secrets]
