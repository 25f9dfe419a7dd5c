"""Writes the hash-locked requirement files from pyproject.toml; no registry address goes in."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Each image installs only its own extra; the tests install everything.
LOCKS = {
    "proxy/requirements.lock": ["--extra", "proxy"],
    "operator/requirements.lock": ["--extra", "operator"],
    "tests/requirements.lock": ["--all-extras", "--group", "dev"],
}
COMMON = [
    "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
    "--generate-hashes", "--no-emit-index-url", "--no-header", "--upgrade",
]  # fmt: skip


def main() -> None:
    # A folder of wheels on one machine must not decide which hashes everybody gets.
    env = {k: v for k, v in os.environ.items() if not k.endswith("FIND_LINKS")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for lock, selection in LOCKS.items():
        print(f"== {lock}", flush=True)
        command = [*COMMON, *selection, "--output-file", lock, "pyproject.toml"]
        subprocess.run(command, cwd=ROOT, env=env, check=True)


if __name__ == "__main__":
    main()
