"""Compiles the proxy: `python proxy/native.py FOLDER`.

FOLDER becomes a copy of the packages in which the modules of the hot path have a compiled twin
beside their source: by mypyc, from that very source, or written by hand in C. Python takes the
twin; without one it runs the source. With PYTHONPATH=FOLDER any program or test runs by the twins.
Needs what native.lock names, Python's headers and a C compiler.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PACKAGES: Final = ("sluice_proxy", "sluice_activator")

COMPILED: Final = (
    "session/*.py", "pool/*.py", "wire/*.py", "clock.py", "metrics.py",
    "transport/coalescing.py", "transport/reactor.py", "transport/stream.py",
)  # fmt: skip

CALLS: Final = HERE / "mypyc_calls.h"
# What compiled code calls without Python between: in mypyc_calls.h `direct_` and the last name;
# the arguments, the result, and whether it may raise.
DIRECT: Final = {
    "sluice_proxy.wire.plain.plan_of": (("bytes",), "int", False),
    "sluice_proxy.wire.plain.status_of": (("bytes", "int"), "int", False),
    "sluice_proxy.wire.plain.shape_of": (("bytes", "int"), "bytes", True),
    "sluice_proxy.wire.plain.is_known": (("bytes", "int"), "bool", False),
    "sluice_proxy.wire.plain.know": (("bytes",), "none", False),
    "sluice_proxy.wire.plain.name_of": (("bytes",), "bytes", True),
    "sluice_proxy.wire.plain.renamed": (("bytes", "bytes"), "bytes", True),
    "sluice_proxy.wire.plain.is_bound": (("int",), "bool", False),
    "sluice_proxy.transport.descriptors.receive": (("int",), "object", True),
    "sluice_proxy.transport.descriptors.wait": (
        ("object", "int", "object", "float", "float"),
        "int",
        True,
    ),
    "sluice_proxy.transport.descriptors.event": (("object", "int"), "int", False),
    "sluice_proxy.transport.descriptors.monotonic": ((), "float", False),
    "sluice_proxy.transport.descriptors.send": (("int", "object"), "int", True),
}
# Nobody puts other functions in the place of these: a call is a call, and not one by a table.
OWN_CALLS: Final = ["-fvisibility=hidden", "-fno-semantic-interposition", "-fno-plt"]
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
    """Puts packages and twins into `folder`. Raises CalledProcessError where it cannot compile."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        copy(place)
        command = [sys.executable, str(Path(__file__).resolve()), "--here"]
        subprocess.run(command, cwd=place, check=True)
        shutil.rmtree(folder, ignore_errors=True)
        copy(folder)
        for twin in place.rglob("*.so"):
            if "build" not in twin.relative_to(place).parts:
                shutil.copy2(twin, folder / twin.relative_to(place))


def copy(folder: Path) -> None:
    """The packages as they are."""
    for package in PACKAGES:
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE / package, folder / package, ignore=left_out)


def build_here() -> None:
    """Compiles the packages in the working directory, each twin beside its source."""
    from mypyc.build import mypycify
    from setuptools import Extension, setup

    by_hand = [
        Extension(source.removesuffix(".c").replace("/", "."), [source], extra_compile_args=FLAGS)
        for source in kernels()
    ]
    call_directly()
    # What counts is how much is fetched: more is inlined at 3, and it is no quicker.
    typed = mypycify(["--strict", *modules()], opt_level="2", debug_level="0")
    # All of the code is in one; the others only lead to it.
    [code] = (extension for extension in typed if extension.name.endswith("__mypyc"))
    before = code.extra_compile_args
    code.extra_compile_args = [*before, *OWN_CALLS, "-I.", "-include", str(CALLS)]
    arguments = ["--quiet", "build_ext", "--inplace"]
    setup(name="sluice", ext_modules=[*typed, *by_hand], script_args=arguments)


def call_directly() -> None:
    """Makes mypyc know of DIRECT as it knows of `len`."""
    from mypyc.ir.ops import ERR_MAGIC, ERR_NEVER
    from mypyc.ir.rtypes import (
        bool_rprimitive,
        bytes_rprimitive,
        float_rprimitive,
        int_rprimitive,
        none_rprimitive,
        object_rprimitive,
    )
    from mypyc.primitives.registry import function_op

    kinds = {
        "bool": bool_rprimitive, "bytes": bytes_rprimitive, "float": float_rprimitive,
        "int": int_rprimitive, "none": none_rprimitive, "object": object_rprimitive,
    }  # fmt: skip
    for name, (taken, given, raises) in DIRECT.items():
        function_op(
            name=name,
            arg_types=[kinds[kind] for kind in taken],
            return_type=kinds[given],
            c_function_name=f"direct_{name.rpartition('.')[2]}",
            error_kind=ERR_MAGIC if raises else ERR_NEVER,
        )


def missing() -> str:
    """What there is not, and how to get it; empty where all is there."""
    if shutil.which("cc") is None:
        return "a C compiler (Debian: apt-get install gcc libc6-dev)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's headers (Debian: apt-get install python3-dev)"
    return ""


if __name__ == "__main__":
    if what := missing():
        sys.exit(f"missing: {what}")
    if sys.argv[1] == "--here":
        build_here()
    else:
        build(Path(sys.argv[1]).resolve())
