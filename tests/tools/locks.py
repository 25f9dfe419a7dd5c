"""Writes the hash-locked requirement files; no registry address goes into them.

`--check` writes nothing: it says whether each lock still stands for what is asked.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (
    "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
    "--generate-hashes", "--no-emit-index-url", "--no-header", "--upgrade",
)  # fmt: skip


@dataclass(frozen=True)
class Lock:
    """One lock file: what uv compiles it from, and the text that decides what it holds."""

    path: str
    selection: tuple[str, ...]
    asked: str
    stdin: str | None = None

    @property
    def mark(self) -> str:
        """The first line of the file: it changes with what is asked."""
        return f"# `make locks` for {hashlib.sha256(self.asked.encode()).hexdigest()[:16]}\n"


def locks() -> list[Lock]:
    """Each image installs only its own extra; the tests install everything."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"]
    build = "\n".join(project["build-system"]["requires"])
    clients = "tests/clients/requirements.in"

    def of_project(path: str, selection: tuple[str, ...], *asked: object) -> Lock:
        python = project["project"]["requires-python"]
        return Lock(path, ("pyproject.toml", *selection), repr((python, *asked)))

    return [
        of_project("proxy/requirements.lock", ("--extra", "proxy"), extras["proxy"]),
        of_project(
            "proxy/activator-requirements.lock", ("--extra", "activator"), extras["activator"]
        ),
        of_project("operator/requirements.lock", ("--extra", "operator"), extras["operator"]),
        of_project("proxy/native.lock", ("--group", "native"), groups["native"]),
        of_project(
            "tests/requirements.lock", ("--all-extras", "--group", "dev"),
            extras, groups,
        ),
        Lock("proxy/build.lock", ("-",), build, build),
        Lock("tests/clients/requirements.lock", (clients,), (ROOT / clients).read_text()),
    ]  # fmt: skip


def write() -> int:
    # A folder of wheels on one machine must not decide which hashes everybody gets.
    env = {k: v for k, v in os.environ.items() if not k.endswith("FIND_LINKS")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for lock in locks():
        print(f"== {lock.path}", flush=True)
        command = [*COMMAND, *lock.selection, "--output-file", lock.path]
        subprocess.run(command, cwd=ROOT, env=env, check=True, input=lock.stdin, text=True)
        file = ROOT / lock.path
        file.write_text(lock.mark + file.read_text())
    return 0


def check() -> int:
    stale = [lock for lock in locks() if not (ROOT / lock.path).read_text().startswith(lock.mark)]
    for lock in stale:
        print(f"{lock.path} is not what is asked for: run `make locks`")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else write())
