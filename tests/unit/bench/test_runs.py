"""A run of pgbench is watched; one that fails or hangs says so."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from cases import OWN_EXTENDED, cases
from contenders import DIRECT, SLUICE, Contender
from pgbench import Run

from sluice_testing.door import Door

HERE = Contender(SLUICE, Door("h", 1, ""), os.getpid())


def test_cpu_is_read_while_it_runs(tmp_path: Path) -> None:
    readings = Run(["sleep", "0.3"], tmp_path, 20).watched({}, HERE)
    assert len(readings) >= 2
    assert [one.at for one in readings] == sorted(one.at for one in readings)
    assert readings[-1].cpu.total >= readings[0].cpu.total > 0


def test_what_a_failed_run_said_is_told(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such role >&2; exit 3"]
    with pytest.raises(RuntimeError, match=r"(?s)Sluice: 3 of sh .*no such role"):
        Run(command, tmp_path, 20).watched({}, HERE)


def test_a_run_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Sluice: -9 of sleep 100"):
        Run(["sleep", "100"], tmp_path, 0.2).watched({}, HERE)


def test_a_run_ends_with_its_contender(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Run(["sleep", "100"], tmp_path, 20).watched({}, replace(HERE, pid=1 << 30))


def test_who_prepares_while_others_hold_the_pool_has_a_thread_of_its_own() -> None:
    threads = {case.name: case.work.threads for case in cases()}
    assert threads["tpcb/prepared/plain/50"] == threads["tpcb/prepared/tls/50"] == 50
    assert threads["tpcb/extended/plain/50"] == threads["select/prepared/plain/50"] == 1
    [case] = [case for case in cases() if case.name == "tpcb/prepared/plain/50"]
    field = case.field([replace(HERE, name=name) for name in (DIRECT, SLUICE)], False)
    assert {entry.label: entry.work.threads for entry in field}[OWN_EXTENDED] == 50
