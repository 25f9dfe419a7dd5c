"""Installs the PostgreSQL servers of the tests into the user's cache; prints their folder.

The builds are npm packages, pinned and hashed by package-lock.json beside this file. What
stands in the cache is named by the content of that lock and of this script, so a second
run, or a second clone, finds everything there. Progress goes to stderr; the one line on
stdout is a folder with one build per major: `15/bin/postgres`, `16/…`, `17/…`, `18/…`.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAJORS = (15, 16, 17, 18)


def main() -> None:
    home = cache_home() / "sluice" / "postgres"
    target = home / content_key()
    if not target.is_dir():
        check_machine()
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                install(home, target)
    print(target)


def cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def content_key() -> str:
    files = (HERE / "package-lock.json", Path(__file__).resolve())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def check_machine() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("missing: a Linux machine on x86_64, the builds of PostgreSQL are for no other")
    if shutil.which("npm") is None:
        sys.exit("missing: npm (Debian: apt-get install npm), it fetches the PostgreSQL builds")


def install(home: Path, target: Path) -> None:
    """Fetches and unpacks beside `target`, then renames: a broken run leaves nothing behind."""
    started = time.monotonic()
    say(f"fetching PostgreSQL {', '.join(map(str, MAJORS))} (about 80 MB)")
    with tempfile.TemporaryDirectory(dir=home) as folder:
        work = Path(folder)
        fetch(work)
        ready = work / "ready"
        ready.mkdir(mode=0o755)
        for major in MAJORS:
            native = work / "node_modules" / f"pg{major}" / "native"
            restore_links(native)
            say(f"{version(native)}")
            native.rename(ready / str(major))
        ready.rename(target)
    say(f"ready in {time.monotonic() - started:.0f} s")


def fetch(work: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, work)
    # The packages' own install script does nothing but what restore_links does.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=work, check=True, stdout=sys.stderr)


def restore_links(native: Path) -> None:
    """npm packages cannot hold symbolic links; these carry a list of them instead."""
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        source, target = native.parent / link["source"], native.parent / link["target"]
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(source, target.parent))
    for program in (native / "bin").iterdir():
        program.chmod(0o755)


def version(native: Path) -> str:
    """What the build says of itself; fails here if a shared library does not resolve."""
    command = [str(native / "bin" / "postgres"), "--version"]
    return subprocess.check_output(command, text=True).strip()


def say(text: str) -> None:
    print(f"== {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
