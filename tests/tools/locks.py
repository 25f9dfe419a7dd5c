"""Writes the hash-locked requirement files from pyproject.toml; no registry address goes in.

`--check` writes nothing: it says whether the locks still stand for what pyproject.toml asks.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Each image installs only its own extra; the tests install everything.
LOCKS = {
    "proxy/requirements.lock": ["--extra", "proxy"],
    "operator/requirements.lock": ["--extra", "operator"],
    "tests/requirements.lock": ["--all-extras", "--group", "dev"],
}
COMMAND = [
    "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
    "--generate-hashes", "--no-emit-index-url", "--no-header", "--upgrade",
]  # fmt: skip


def asked() -> str:
    """A mark of everything in pyproject.toml that decides what is locked."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = (
        project["project"]["requires-python"],
        project["project"]["dependencies"],
        project["project"]["optional-dependencies"],
        project["dependency-groups"],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def mark() -> str:
    return f"# Locked by `make locks` for {asked()} of pyproject.toml.\n"


def write() -> None:
    # A folder of wheels on one machine must not decide which hashes everybody gets.
    env = {k: v for k, v in os.environ.items() if not k.endswith("FIND_LINKS")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for name, selection in LOCKS.items():
        print(f"== {name}", flush=True)
        command = [*COMMAND, *selection, "--output-file", name, "pyproject.toml"]
        subprocess.run(command, cwd=ROOT, env=env, check=True)
        lock = ROOT / name
        lock.write_text(mark() + lock.read_text())


def check() -> int:
    stale = [name for name in LOCKS if not (ROOT / name).read_text().startswith(mark())]
    for name in stale:
        print(f"{name} is not what pyproject.toml asks for: run `make locks`")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else write())
