"""What a Docker engine and a kubelet change on the machine around them, and how it was before."""

import os
import re
import shutil
from pathlib import Path
from typing import TypedDict

from kube.progress import Trouble
from kube.shell import CommandFailed, run

# The engine turns forwarding on, the kubelet wants the rest (they are not namespaced).
_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_FAMILIES = ("iptables", "ip6tables")
# What dockerd and its containerd make outside the folders that they are given.
_FOLDERS = ("/etc/docker", "/run/docker", "/run/containerd")
_TABLES = re.compile(r"table (ip6?) (\w+)")
_DOCKERS = re.compile(r"DOCKER|docker0|\bbr-[0-9a-f]{12}\b")


class Before(TypedDict):
    """The machine before our engine: kernel settings, firewall, interfaces, cgroups, folders."""

    settings: dict[str, str]
    tables: list[str]
    policies: dict[str, str]
    links: list[str]
    cgroups: list[str]
    folders: list[str]


def snapshot() -> Before:
    """How the machine is now."""
    return {
        "settings": {name: text for name in _SETTINGS if (text := _setting(name)) is not None},
        "tables": _tables(),
        "policies": {family: _forward_policy(family) for family in _FAMILIES},
        "links": links(),
        "cgroups": [str(path) for path in _cgroups()],
        "folders": [name for name in _FOLDERS if Path(name).exists()],
    }


def restore(before: Before) -> None:
    """Takes Docker's rules and interfaces away and puts back what it changed."""
    for name in set(links()) - set(before["links"]):
        if name == "docker0" or re.fullmatch(r"br-[0-9a-f]{12}", name):
            run("ip", "link", "delete", name)
    for family in _FAMILIES:
        _remove_rules(family, before["policies"][family])
    for table in set(_tables()) - set(before["tables"]):
        run("nft", "delete", "table", *table.split())
    for name, text in before["settings"].items():
        if _setting(name) != text:
            Path("/proc/sys", name).write_text(text)
    _remove_cgroups()
    for folder in set(_FOLDERS) - set(before["folders"]):
        shutil.rmtree(folder, ignore_errors=True)


def differences(before: Before) -> list[str]:
    """What is not as it was before, in words."""
    now = snapshot()
    return [
        f"{what}: {now[what]} was {before[what]}"  # type: ignore[literal-required]
        for what in before
        if now[what] != before[what]  # type: ignore[literal-required]
    ]


def without_docker(rules: str, forward_policy: str) -> str:
    """The output of iptables-save without what Docker wrote, FORWARD with its old policy."""
    kept: list[str] = []
    for line in rules.splitlines():
        if line.startswith(":FORWARD ") and "*filter" in _table_of(kept):
            kept.append(re.sub(r"(:FORWARD )\w+", rf"\g<1>{forward_policy}", line))
        elif not _DOCKERS.search(line):
            kept.append(line)
    return "\n".join(kept) + "\n"


def _table_of(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if line.startswith("*")), "")


def _remove_rules(family: str, forward_policy: str) -> None:
    rules = run(f"{family}-save")
    if rules.strip():
        run(f"{family}-restore", input=without_docker(rules, forward_policy))


def _forward_policy(family: str) -> str:
    try:
        said = run(family, "-S", "FORWARD")
    except CommandFailed as failure:
        raise Trouble(f"the firewall of this machine does not answer: {failure}") from None
    return said.split()[2]


def _tables() -> list[str]:
    return sorted(" ".join(found) for found in _TABLES.findall(run("nft", "list", "tables")))


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def links() -> list[str]:
    """The names of the network interfaces."""
    return sorted(os.listdir("/sys/class/net"))


def mounts_below(folder: Path) -> list[str]:
    """The mount points in the folder, innermost first."""
    lines = Path("/proc/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    return [point for point in reversed(points) if point.startswith(f"{folder}/")]


def unmount_below(folder: Path) -> None:
    """Lazily: a mount that is still busy is gone as soon as its last user is."""
    for point in mounts_below(folder):
        run(shutil.which("umount") or "umount", "--lazy", point)


def _cgroups() -> list[Path]:
    """The cgroups that Docker has made, parents first."""
    return sorted(Path("/sys/fs/cgroup").glob("**/docker"))


def _remove_cgroups() -> None:
    for top in _cgroups():
        for folder, _, _ in os.walk(top, topdown=False):
            os.rmdir(folder)
