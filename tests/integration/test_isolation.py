"""The law: never a byte to the wrong client. 300 of them on 5 server connections.

`SLUICE_ISOLATION_SECONDS` (default 60) is how long they go on.
"""

import os
from pathlib import Path

import pytest

from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.isolation import KINDS, Findings, Plan, stress
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import PROXY, ProxyProcess

CLIENTS, CONNECTIONS = 300, 5
SECONDS = float(os.environ.get("SLUICE_ISOLATION_SECONDS", "60"))
BROKEN = (str(Path(__file__).with_name("broken_release.py")),)


def show(capsys: pytest.CaptureFixture[str], title: str, findings: Findings) -> None:
    with capsys.disabled():
        print(f"\n{title}: {findings}")


@pytest.mark.timeout(SECONDS + 240)
async def test_nobody_sees_what_is_not_his(
    server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proxy = start_proxy(make_config(server, budget=CONNECTIONS, borrow=120), program=PROXY)
    findings = await stress(door_of(proxy), server, Plan(CLIENTS, SECONDS))
    show(capsys, f"{CLIENTS} clients on {CONNECTIONS} connections for {SECONDS:.0f} s", findings)
    assert findings.wrong == []
    assert findings.errors == []
    assert len(findings.acts) == KINDS or SECONDS < 30, "every kind of act took place"
    proxy.wait_for_pool(clients=0, borrowed=0, waiting=0, pinned=0)
    assert server.sample_connections() <= CONNECTIONS


async def test_a_broken_release_rule_is_found_out(
    server: Postgres,
    make_config: MakeConfig,
    door_of: DoorOf,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same checker, a few seconds, a proxy that lets go in mid transaction."""
    config = make_config(server, budget=CONNECTIONS, borrow=5)
    proxy = ProxyProcess(config, tmp_path / "broken", BROKEN)
    try:
        proxy.wait_until_ready()
        findings = await stress(door_of(proxy), server, Plan(60, 4, patience=5))
    finally:
        proxy.kill()
    show(capsys, "the release rule broken on purpose", findings)
    assert len(findings.wrong) > 10
    assert any("same transaction" in line for line in findings.wrong)
