"""How the programs are built: each with its own language's tools, from its own lock file.

What is downloaded stays in ~/.cache/sluice/drivers, named after the lock file that asks for
it; what is compiled here goes to build/drivers.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sluice_testing.drivers import PYTHON_PROGRAMS, Program

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "drivers"
CACHE = Path.home() / ".cache" / "sluice" / "drivers"


class Unbuilt(Exception):
    """The message says why: a tool is missing, or it failed."""


@dataclass(frozen=True)
class Toolchain:
    """One folder: the tools that it needs, how it is built, the programs that come out."""

    folder: str
    tools: tuple[str, ...]
    build: Callable[[], dict[str, tuple[str, ...]]]

    def programs(self) -> list[Program]:
        for tool in self.tools:
            if shutil.which(tool) is None:
                raise Unbuilt(f"missing: {tool}")
        return [Program(name, command) for name, command in self.build().items()]


def cache(name: str, lock: str) -> Path:
    """A folder for what `lock` asks for."""
    digest = hashlib.sha256((HERE / lock).read_bytes()).hexdigest()[:16]
    folder = CACHE / f"{name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(*command: str | Path, folder: str, **environment: str) -> None:
    done = subprocess.run(
        ["env", *(f"{k}={v}" for k, v in environment.items()), *command],
        cwd=HERE / folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise Unbuilt(f"FAILED: {command[0]} could not build it")


def build_go() -> dict[str, tuple[str, ...]]:
    run("go", "build", "-mod=readonly", "-o", f"{BUILD / 'go'}/", "./pgx", "./pq", folder="go")
    return {"pgx": (str(BUILD / "go" / "pgx"),), "lib/pq": (str(BUILD / "go" / "pq"),)}


def build_node() -> dict[str, tuple[str, ...]]:
    """Node looks for packages beside the program, so the programs go beside the packages."""
    folder = cache("node", "node/package-lock.json")
    for source in (HERE / "node").iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    if not (folder / ".installed").exists():
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder,
            folder="node")  # fmt: skip
        (folder / ".installed").touch()
    files = {"node-postgres": "pg.mjs", "postgres.js": "postgres.mjs"}
    return {name: ("node", str(folder / file)) for name, file in files.items()}


def build_java() -> dict[str, tuple[str, ...]]:
    jars = cache("java", "java/jars.lock")
    if not (jars / ".fetched").exists():
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        run("mvn", "-q", "-B", goal, f"-DoutputDirectory={jars}", folder="java")
        check_jars(jars)
        (jars / ".fetched").touch()
    classes = BUILD / "java"
    run("javac", "-cp", f"{jars}/*", "-d", classes, "Columns.java", folder="java")
    return {"pgjdbc": ("java", "-cp", f"{classes}:{jars}/*", "Columns")}


def check_jars(folder: Path) -> None:
    """Maven has no lock file: ours tells the SHA-256 of each jar."""
    for line in (HERE / "java" / "jars.lock").read_text().splitlines():
        digest, name = line.split()
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise Unbuilt(f"FAILED: {name} is not the file that jars.lock means")


def build_rust() -> dict[str, tuple[str, ...]]:
    target = cache("rust", "rust/Cargo.lock")
    run("cargo", "build", "--quiet", "--locked", folder="rust", CARGO_TARGET_DIR=str(target))
    return {"tokio-postgres": (str(target / "debug" / "drivers"),)}


TOOLCHAINS = {
    ("node-postgres", "postgres.js"): Toolchain("node", ("node", "npm"), build_node),
    ("pgjdbc",): Toolchain("java", ("java", "javac", "mvn"), build_java),
    ("pgx", "lib/pq"): Toolchain("go", ("go",), build_go),
    ("tokio-postgres",): Toolchain("rust", ("cargo",), build_rust),
}


def programs(wanted: str) -> tuple[list[Program], dict[str, str]]:
    """Those that `wanted` names (all, where it is empty), and why others cannot be had."""
    chosen = set(filter(None, wanted.split(",")))
    found = [it for it in PYTHON_PROGRAMS if not chosen or it.name in chosen]
    absent: dict[str, str] = {}
    for names, toolchain in TOOLCHAINS.items():
        rows = [name for name in names if not chosen or name in chosen]
        if not rows:
            continue
        print(f"== building {', '.join(rows)}", flush=True)
        try:
            found += [it for it in toolchain.programs() if it.name in rows]
        except Unbuilt as why:
            absent |= dict.fromkeys(rows, str(why))
    return found, absent
