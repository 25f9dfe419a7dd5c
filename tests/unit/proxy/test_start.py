"""What a proxy imports before it listens, and before it serves: each module has its price."""

import os
import subprocess
import sys
from pathlib import Path

import mypy_extensions
import pytest

import sluice_proxy

# What the image has.
PACKAGES = Path(sluice_proxy.__file__).parents[1], Path(mypy_extensions.__file__).parent

# Slow to import, and needed by nothing that a client waits for.
NEVER = {
    "email", "http.client", "http.server", "importlib.metadata", "multiprocessing", "pathlib",
    "prometheus_client", "sluice_proxy.admin.definitions", "tempfile", "urllib.request", "uuid",
}  # fmt: skip
# Two thirds of the time of a start.
ONCE_IT_LISTENS = NEVER | {
    "asyncio", "ipaddress", "logging", "random", "secrets", "sluice_proxy.app", "sluice_proxy.wire",
    "sluice_proxy.session", "ssl",
}  # fmt: skip


def imported(module: str) -> set[str]:
    """Every module that is there after it; without `site`, as the image has no .pth files."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys, {module}; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PACKAGES))},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "later"),
    [("sluice_proxy.__main__", ONCE_IT_LISTENS), ("sluice_proxy.app", NEVER)],
)
def test_what_can_wait_is_imported_later(module: str, later: set[str]) -> None:
    found = imported(module)
    assert module in found
    assert found & later == set()
