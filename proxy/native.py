"""Compiles the typed modules of the proxy with mypyc: `python proxy/native.py FOLDER`.

FOLDER gets a copy of the packages in which the modules of the hot path have a compiled twin beside
their source. Python takes the twin; without one it runs the source: with PYTHONPATH=FOLDER any
program or test runs by the twins. Needs mypy, setuptools and a C compiler.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PACKAGES: Final = ("sluice_proxy", "sluice_activator")

COMPILED: Final = (
    "session/*.py", "pool/*.py", "wire/*.py", "metrics.py",
    "transport/reactor.py", "transport/stream.py",
)  # fmt: skip

FLAGS: Final = ["-O3", "-std=gnu11", "-Wall", "-Wextra"]

# What stays as it is, and why.
INTERPRETED: Final = {
    "session/settings.py": "equal settings are one object, found by weak references",
    "session/statement.py": "the same of statements",
    "wire/note.py": "tests and modules that are not compiled inherit from it",
    "wire/plain.py": "its twin is written by hand: plain.c",
    "wire/scram.py": "its time is OpenSSL's",
    "wire/saslprep.py": "once for each password",
    "wire/channel_binding.py": "once for each certificate",
}


def modules() -> list[str]:
    """Those that are compiled, as paths from the folder of the packages."""
    package = HERE / "sluice_proxy"
    found = {path for pattern in COMPILED for path in package.glob(pattern)}
    kept = {package / name for name in INTERPRETED} | set(package.rglob("__init__.py"))
    return sorted(str(path.relative_to(HERE)) for path in found - kept)


def kernels() -> list[str]:
    """What has a twin in C, written by hand: the sources, as paths from the packages' folder."""
    return sorted(str(path.relative_to(HERE)) for path in (HERE / "sluice_proxy").rglob("*.c"))


def build(folder: Path) -> None:
    """Raises CalledProcessError where it cannot be compiled."""
    shutil.rmtree(folder, ignore_errors=True)
    for package in PACKAGES:
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE / package, folder / package, ignore=left_out)
    command = [sys.executable, str(Path(__file__).resolve()), "--here"]
    with (folder / "build.log").open("w") as out:
        subprocess.run(command, cwd=folder, check=True, stdout=out, stderr=subprocess.STDOUT)
    shutil.rmtree(folder / "build")


def build_here() -> None:
    """The same of the packages in the working directory."""
    from mypyc.build import mypycify
    from setuptools import Extension, setup

    by_hand = [
        Extension(source.removesuffix(".c").replace("/", "."), [source], extra_compile_args=FLAGS)
        for source in kernels()
    ]
    typed = mypycify(["--strict", *modules()], opt_level="3", debug_level="0")
    setup(name="sluice", ext_modules=[*typed, *by_hand], script_args=["build_ext", "--inplace"])


if __name__ == "__main__":
    if sys.argv[1] == "--here":
        build_here()
    else:
        build(Path(sys.argv[1]).resolve())
