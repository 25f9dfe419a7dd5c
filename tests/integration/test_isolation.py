"""The law: never a byte to the wrong client. The short run of `make isolation`.

`SLUICE_ISOLATION_SECONDS` (default 35) is how long its clients go on.
"""

import os
from pathlib import Path

import pytest

from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.isolation.crowd import KINDS, stress
from sluice_testing.isolation.findings import Findings
from sluice_testing.isolation.mutations import MUTATIONS, program
from sluice_testing.isolation.owner import Plan
from sluice_testing.postgres import Postgres
from sluice_testing.proxy import PROXY, ProxyProcess

CLIENTS, CONNECTIONS = 120, 6
SECONDS = float(os.environ.get("SLUICE_ISOLATION_SECONDS", "35"))


def show(capsys: pytest.CaptureFixture[str], title: str, findings: Findings) -> None:
    with capsys.disabled():
        print(f"\n{title}: {findings}")


@pytest.mark.timeout(SECONDS + 240)
async def test_nobody_sees_what_is_not_his(
    own_server: Postgres,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = make_config(own_server, budget=CONNECTIONS, borrow=120)
    proxy = start_proxy(config, program=PROXY)
    findings = await stress(door_of(proxy), own_server, Plan(CLIENTS, SECONDS))
    show(capsys, f"{CLIENTS} clients on {CONNECTIONS} connections for {SECONDS:.0f} s", findings)
    assert findings.clean, "\n".join([str(findings), *findings.lines()])
    assert len(findings.acts) == KINDS or SECONDS < 30, "every kind of act took place"
    proxy.wait_for_pool(clients=0, borrowed=0, waiting=0, pinned=0)
    assert findings.most_connections <= CONNECTIONS


@pytest.mark.parametrize("broken", MUTATIONS)
async def test_a_broken_rule_is_found_out(
    broken: str,
    own_server: Postgres,
    make_config: MakeConfig,
    door_of: DoorOf,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same checker for a few seconds, and a proxy that is broken on purpose."""
    config = make_config(own_server, budget=CONNECTIONS, borrow=5)
    proxy = ProxyProcess(config, tmp_path / "broken", program(broken))
    try:
        proxy.wait_until_ready()
        plan = Plan(60, 6, patience=5, kill_every=0)
        findings = await stress(door_of(proxy), own_server, plan)
    finally:
        proxy.kill()
    show(capsys, MUTATIONS[broken], findings)
    assert findings.wrong.count + findings.leaks > 0
