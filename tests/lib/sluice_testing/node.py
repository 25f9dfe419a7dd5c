"""Processes of the cluster's node: stopped for a while, killed, and when a pod's began."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from sluice_testing.leaders import Node

_SIGNAL = """
for process in /proc/[0-9]*; do
    if [ "$(cat $process/comm 2>/dev/null)" = "$0" ]; then
        kill -s "$1" "${process#/proc/}" && echo "$process"
    fi
done
"""
# The sandbox's own process holds the pod's addresses.
_SIGNAL_POD = """
for process in $(grep -lE "pod($0|$(echo "$0" | tr - _))" /proc/[0-9]*/cgroup 2>/dev/null); do
    process="${process%/cgroup}"
    if [ "$(cat "$process/comm")" != pause ]; then
        kill -s "$1" "${process#/proc/}" && echo "$process"
    fi
done
"""
# The clock first: it is compared with what the kernel tells in hundredths of a second.
_BEGAN = """
date +%s.%N
cut -d' ' -f1 /proc/uptime
for process in $(grep -lE "pod($0|$(echo "$0" | tr - _))" /proc/[0-9]*/cgroup 2>/dev/null); do
    cat "${process%/cgroup}/stat" 2>/dev/null
done
"""
_TICKS = 100
"""Of /proc/*/stat, a second: USER_HZ is the same on every architecture that Linux runs on here."""
_STARTED = 19
"""Field 22 of /proc/*/stat, counted from what follows the name in parentheses."""


@contextlib.contextmanager
def stopped(cluster: Node, process: str) -> Iterator[None]:
    """All processes of this name on the node are stopped while this context lasts."""
    _signal(cluster, process, "STOP")
    try:
        yield
    finally:
        _signal(cluster, process, "CONT")


def _signal(cluster: Node, process: str, name: str) -> None:
    if not cluster.on_node("sh", "-c", _SIGNAL, process, name).split():
        raise AssertionError(f"no process {process} on the node")


def signal_pod(cluster: Node, uid: str, name: str) -> None:
    """Sends the signal `name`, such as KILL, to what runs in the containers of this pod."""
    if not cluster.on_node("sh", "-c", _SIGNAL_POD, uid, name).split():
        raise AssertionError(f"no process of the pod {uid} on the node")


@dataclass(frozen=True)
class Began:
    """When a process was made, in seconds since the epoch, to the hundredth."""

    name: str
    at: float


def began(cluster: Node, uid: str) -> list[Began]:
    """The processes of the pod with this uid, in the order in which they began."""
    clock, uptime, *found = cluster.on_node("sh", "-c", _BEGAN, uid).splitlines()
    boot = float(clock) - float(uptime)
    return sorted((_began(line, boot) for line in found), key=lambda process: process.at)


def _began(line: str, boot: float) -> Began:
    """`pid (name) state …`: the name may have anything in it."""
    head, _, rest = line.rpartition(") ")
    return Began(head.partition("(")[2], round(boot + int(rest.split()[_STARTED]) / _TICKS, 2))
