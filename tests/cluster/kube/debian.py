"""Debian packages: installing them on this machine, and root file systems made of them."""

import os
import shutil
import tempfile
from pathlib import Path

from kube import places
from kube.progress import Trouble, stage
from kube.shell import CommandFailed, run

_NO_DOCS = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*",
)


def install(*packages: str) -> None:
    """Installs what is missing by apt-get; says what to do where that cannot be."""
    missing = [name for name in packages if not _installed(name)]
    if not missing:
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Trouble(f"missing: {', '.join(missing)} (apt-get and root could install them)")
    with stage(f"apt-get install {' '.join(missing)}"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-qq", env=quiet)
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=quiet)


def _installed(package: str) -> bool:
    try:
        return "installed" in run("dpkg-query", "-Wf", "${db:Status-Status}", package).split()
    except CommandFailed:
        return False


def root_tar(name: str, packages: tuple[str, ...]) -> Path:
    """A tar of a minimal Debian with `packages`, from the sources that this machine uses."""
    suite = _suite()
    key = places.content_key(suite, *packages, *_NO_DOCS)
    tar = places.CACHE / "debian" / f"{name}-{key}.tar"
    if not tar.exists():
        install("mmdebstrap")
        with stage(f"Debian root with {' '.join(packages)}"):
            _bootstrap(suite, packages, tar)
    return tar


def _bootstrap(suite: str, packages: tuple[str, ...], tar: Path) -> None:
    tar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tar.parent) as folder:
        sources = Path(folder) / "sources.list"
        sources.write_text(_sources())
        made = Path(folder) / "root.tar"
        run(
            "mmdebstrap",
            "--variant=minbase",
            "--mode=root",
            "--format=tar",
            f"--include={','.join(packages)}",
            *(f"--aptopt={option}" for option in _apt_options()),
            *(f"--dpkgopt={option}" for option in _NO_DOCS),
            *(suite, made, sources),
            env={"SOURCE_DATE_EPOCH": "0"},
        )
        made.replace(tar)


def _suite() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    if release.get("ID") != "debian" or not release.get("VERSION_CODENAME"):
        raise Trouble(
            "missing: a registry of images that answers (without one, images are made of Debian's "
            "packages, on Debian)"
        )
    return release["VERSION_CODENAME"]


def _sources() -> str:
    """The Debian archives of this machine as one-line sources (other vendors' are left out)."""
    form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    ask = ("apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian")
    if not run(*ask):
        run("apt-get", "update", "-qq")
    lines = sorted(set(run(*ask).splitlines()))
    if not lines:
        raise Trouble("apt knows no Debian archive on this machine")
    return "\n".join(lines) + "\n"


def _apt_options() -> list[str]:
    """How this machine reaches its archives: proxies, and whether dates are checked."""
    said = run("apt-config", "dump", "--format", '%F "%v";%n', "Acquire")
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-")
    lines = (line.strip() for line in said.splitlines())
    return [line for line in lines if line.startswith(wanted) and not line.endswith('"";')]
