"""How this machine reaches package registries, handed to image builds as secrets.

Nothing of it is kept: the files live in a private folder during the build, and buildkit mounts
them into single steps. On an ordinary machine there is nothing to hand over.
"""

import ast
import os
import shutil
import sys
from pathlib import Path

from kube.shell import CommandFailed, run

_CA_IN_BUILD = "/run/secrets/ca"
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


def secrets(folder: Path) -> dict[str, Path]:
    """The files by the ids under which the Dockerfiles mount them."""
    pip = _pip_settings()
    found = {}
    if "cert" in pip:
        found["ca"] = folder / "ca"
        shutil.copyfile(pip["cert"], found["ca"])
    if pip:
        found["pipconf"] = folder / "pip.conf"
        found["pipconf"].write_text(_pip_conf(pip))
    if npm := _npm_settings():
        found["npmrc"] = folder / "npmrc"
        found["npmrc"].write_text(npm)
    for path in found.values():
        path.chmod(0o600)
    return found


def _pip_settings() -> dict[str, str]:
    """What `pip config` knows, from files and the environment, by the setting's plain name."""
    try:
        said = run(sys.executable, "-m", "pip", "config", "list")
    except CommandFailed:  # no pip on this machine, and so nothing it is told
        return {}
    settings = {}
    for line in said.splitlines():
        name, _, value = line.partition("=")
        plain = name.rsplit(".", 1)[-1].replace("default-timeout", "timeout")
        if plain in (*_PIP_SETTINGS, "cert"):
            settings[plain] = str(ast.literal_eval(value))
    return settings


def _pip_conf(settings: dict[str, str]) -> str:
    inside = {**settings, **({"cert": _CA_IN_BUILD} if "cert" in settings else {})}
    lines = (f"{name} = {value}".replace("\n", "\n  ") for name, value in inside.items())
    return "\n".join(["[global]", *lines, ""])


def _npm_settings() -> str:
    """The user's npm settings, with the certificates where the build has them."""
    path = Path(os.environ.get("NPM_CONFIG_USERCONFIG") or Path.home() / ".npmrc")
    if not path.exists():
        return ""
    lines = path.read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith(("cafile", "nodedir"))) + "\n"
