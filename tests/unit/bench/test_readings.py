"""What is read in /proc, of processes that are real."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import readings


def burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_cpu_is_the_scheduler_s() -> None:
    before = readings.cpu(os.getpid())
    burn(0.1)
    spent = readings.cpu(os.getpid()) - before
    assert spent.total >= 0.09
    assert spent.user + spent.system > 0


def test_of_no_ticks_the_user_has_no_share() -> None:
    assert readings.Cpu(0.001).user_share == 0.0
    assert readings.Cpu(1.0, 0.25, 0.75).user_share == 0.25


def test_a_tree_has_those_that_live_and_those_that_ended() -> None:
    before = readings.tree_seconds(os.getpid())
    busy = "import time\nwhile time.process_time() < 0.3: pass\n"
    subprocess.run([sys.executable, "-c", busy], check=True)
    after_one = readings.tree_seconds(os.getpid())
    assert after_one - before >= 0.25
    waits = busy + "print(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert readings.tree_seconds(os.getpid()) - after_one >= 0.25
        child.communicate("\n")


def test_who_is_started_pinned_stays_there_and_we_do_not() -> None:
    mine = os.sched_getaffinity(0)
    places = readings.Places.of_this_machine()
    with readings.pinned(places.proxy):
        shown = subprocess.check_output(
            [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"], text=True
        )
    assert {int(cpu) for cpu in shown.split()} == places.proxy
    assert os.sched_getaffinity(0) == mine
    assert places.proxy | places.others == mine


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_descriptors_as_may_be_and_what_is_missing(limits: tuple[int, int]) -> None:
    hard = limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 100, hard))
    assert readings.allow_descriptors(hard - 50) == ""
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard - 50, hard)
    assert readings.allow_descriptors(10) == ""
    assert f"{1 << 40} descriptors are needed" in readings.allow_descriptors(1 << 40)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
