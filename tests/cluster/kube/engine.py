"""The Docker engine: the one that answers, or one of our own started from Debian's packages."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kube import debian, machine, places
from kube.progress import Trouble, stage
from kube.shell import run, succeeds

_SOCKET = places.ENGINE / "docker.sock"
_PID = places.ENGINE / "dockerd.pid"
_LOG = places.ENGINE / "dockerd.log"
_BEFORE = places.ENGINE / "before.json"
_CAP_SYS_RESOURCE = 24
_START_SECONDS = 60.0
_PROGRAMS = ("dockerd", "containerd", "runc")


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers; `ours` if it was started here and ends with `down`."""

    client: str
    ours: bool

    @property
    def env(self) -> dict[str, str]:
        """For every program that calls `docker`, kind among them."""
        mine = {"DOCKER_HOST": f"unix://{_SOCKET}"} if self.ours else {}
        folder = str(_client_folder(self.client))
        return {**mine, "DOCKER_BUILDKIT": "1", "PATH": f"{folder}:{os.environ['PATH']}"}

    def docker(self, *arguments: str | Path, timeout: float | None = None) -> str:
        return run(self.client, *arguments, env=self.env, timeout=timeout)

    def has_image(self, image: str) -> bool:
        return succeeds(self.client, "image", "inspect", image, env=self.env, timeout=30)


def _client_folder(client: str) -> Path:
    """A folder whose `docker` is the right one: PATH may hold a client without an engine."""
    folder = places.CACHE / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "docker"
    if not link.is_symlink() or os.readlink(link) != client:
        link.unlink(missing_ok=True)
        link.symlink_to(client)
    return folder


def running() -> Engine | None:
    """The engine that answers now: ours, or else the machine's own."""
    for engine in _candidates():
        if succeeds(engine.client, "version", env=engine.env, timeout=10):
            return engine
    return None


def _candidates() -> list[Engine]:
    found = []
    if _SOCKET.exists() and Path("/usr/bin/docker").exists():
        found.append(Engine("/usr/bin/docker", ours=True))
    if (client := shutil.which("docker")) is not None:
        found.append(Engine(client, ours=False))
    return found


def needed() -> Engine:
    """An engine that answers; starts one if there is none."""
    return running() or _start()


def was_started() -> bool:
    """Whether there is anything of an engine of ours, alive or dead."""
    return places.ENGINE.exists()


def before() -> machine.Before | None:
    """How the machine was before an engine of ours; None if there is none."""
    return json.loads(_BEFORE.read_text()) if _BEFORE.exists() else None


def _start() -> Engine:
    debian.install("docker.io", "iptables", "nftables")
    if (engine := running()) is not None:  # where an init system has started it by now
        return engine
    if os.geteuid() != 0:
        raise Trouble("missing: a Docker engine that answers (root could start one)")
    with stage("Docker engine: start"):
        places.ENGINE.mkdir(parents=True, exist_ok=True)
        if not _BEFORE.exists():
            _BEFORE.write_text(json.dumps(machine.snapshot()))
        _end_stale()
        daemon = _launch()
        return _answering(daemon)


def _launch() -> "subprocess.Popen[bytes]":
    arguments = [
        *("--data-root", places.ENGINE / "data"),
        *("--exec-root", places.ENGINE / "exec"),
        *("--pidfile", _PID, "--host", f"unix://{_SOCKET}"),
        *("--exec-opt", "native.cgroupdriver=cgroupfs"),
        *_runtime(),
    ]
    with _LOG.open("ab") as log:
        return subprocess.Popen(
            ["/usr/sbin/dockerd", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )


def _answering(daemon: "subprocess.Popen[bytes]") -> Engine:
    engine = Engine("/usr/bin/docker", ours=True)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        if succeeds(engine.client, "version", env=engine.env, timeout=10):
            return engine
        time.sleep(0.2)
    tail = "\n".join(_LOG.read_text(errors="replace").splitlines()[-15:])
    raise Trouble(f"dockerd did not start; the end of {_LOG}:\n{tail}")


def _runtime() -> tuple[str, ...]:
    """A runtime that does not ask for a capability which this machine does not have."""
    if _holds_sys_resource():
        return ()
    wrapper = places.ENGINE / "runc-as-held"
    source = places.HERE / "engine" / "runc_as_held.py"
    wrapper.write_text(f"#!{Path(sys.executable).resolve()} -IS\n{source.read_text()}")
    wrapper.chmod(0o755)
    return ("--add-runtime", f"as-held={wrapper}", "--default-runtime", "as-held")


def _holds_sys_resource() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _end_stale() -> None:
    """Ends what a daemon that died has left: its containerd and the shims of that."""
    for pid in processes():
        end(pid)
    _PID.unlink(missing_ok=True)
    (places.ENGINE / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)


def processes() -> list[int]:
    """The processes of our engine: programs of Docker whose command line names its folder."""
    pids = (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return [pid for pid in pids if _is_ours(pid)]


def _is_ours(pid: int) -> bool:
    try:
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended, or is the kernel's
        return False
    # (A program that was replaced by an upgrade is called "… (deleted)".)
    return program.startswith(_PROGRAMS) and str(places.ENGINE).encode() in words


def end(pid: int, patience: float = 20.0) -> None:
    """SIGTERM, and SIGKILL after `patience` seconds."""
    for what, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _alive(pid):
                return
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        # A zombie whose parent does not wait is as good as gone.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def stop() -> None:
    """Ends our engine and removes its folder, mounts, interfaces and firewall rules."""
    if not was_started():
        return
    with stage("Docker engine: stop"):
        if _PID.exists() and (pid := int(_PID.read_text() or 0)) in processes():
            end(pid)
        for pid in processes():
            end(pid)
        machine.unmount_below(places.ENGINE)
        if (then := before()) is not None:
            machine.restore(then)
    with stage("Docker engine: remove its data"):
        shutil.rmtree(places.ENGINE)
