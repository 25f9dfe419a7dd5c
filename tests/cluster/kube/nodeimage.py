"""The image of kind's node: the public one, or one made of Debian packages and Go builds."""

import os
import shutil
import tempfile
from pathlib import Path

from kube import debian, gotools, places
from kube.engine import Engine
from kube.progress import say, stage
from kube.shell import succeeds

# From the release notes of kind v0.33.0; the digest is what pins it.
PUBLIC = (
    "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
)
REGISTRY = "kube.local"  # a name that nobody can pull from
_COMPONENTS = {
    "kube-apiserver": gotools.KUBERNETES,
    "kube-controller-manager": gotools.KUBERNETES,
    "kube-scheduler": gotools.KUBERNETES,
    "kube-proxy": gotools.KUBERNETES,
    "etcd": "3.6.5-0",
    "coredns": "v1.12.1",
    "pause": "3.10.1",
    "kube-router": "v2.2.1",
}
_IN_NODE = ("kubeadm", "kubelet", "kubectl")
_PACKAGES = (
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "ethtool",
    "iproute2",
    "ipset",
    "iptables",
    "mount",
    "nftables",
    "procps",
    "runc",
    "socat",
    "util-linux",
)
_PROBE_SECONDS = 15


def registry_answers(engine: Engine) -> bool:
    """Whether public images can be had; SLUICE_REGISTRY=yes or no spares the question."""
    told = os.environ.get("SLUICE_REGISTRY")
    if told in ("yes", "no"):
        return told == "yes"
    noted = places.STATE / "registry"
    if not noted.exists():
        ask = (engine.client, "manifest", "inspect", PUBLIC.split("@")[0])
        answer = "yes" if succeeds(*ask, env=engine.env, timeout=_PROBE_SECONDS) else "no"
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_text(answer)
        say(f"a public registry of images answers: {answer}")
    return noted.read_text() == "yes"


def ensure(engine: Engine) -> str:
    """The tag of a node image that the engine has, or can pull."""
    if registry_answers(engine):
        return PUBLIC
    sources = places.HERE / "images" / "node"
    programs = {name: gotools.program(name) for name in (*_COMPONENTS, *_IN_NODE)}
    # A program's folder is named by the content that it was built from.
    builds = sorted({path.parent.name for path in programs.values()})
    tar = debian.root_tar("node", _PACKAGES)
    key = places.content_key(sources, tar.name, str(_COMPONENTS), *builds)
    image = f"{REGISTRY}/node:{key}"
    if not engine.has_image(image):
        _load_or_build(engine, image, sources, programs, tar)
    return image


def _load_or_build(
    engine: Engine, image: str, sources: Path, programs: dict[str, Path], tar: Path
) -> None:
    archive = places.CACHE / "node" / f"node-{image.rpartition(':')[2]}.tar"
    if archive.exists():
        with stage("node image: load from the cache"):
            engine.docker("load", "--quiet", "--input", archive)
        return
    with stage("node image: build"), tempfile.TemporaryDirectory(dir=places.CACHE) as folder:
        context = Path(folder)
        _fill(context, sources, programs, tar)
        _build(engine, image, context)
    with stage("node image: keep in the cache"):
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial")
        engine.docker("save", "--output", partial, image)
        partial.replace(archive)
        places.keep_newest(archive.parent, "node-*.tar", count=2)


def _fill(context: Path, sources: Path, programs: dict[str, Path], tar: Path) -> None:
    shutil.copytree(sources, context, dirs_exist_ok=True)
    (context / "version").write_text(gotools.KUBERNETES)
    (context / "bin").mkdir()
    os.link(tar, context / "debian.tar")
    for name, path in programs.items():
        os.link(path, context / "bin" / name)


def _build(engine: Engine, image: str, context: Path) -> None:
    """The images of the components first: the node's own image carries their archive."""
    tags = {name: f"{REGISTRY}/{name}:{version}" for name, version in _COMPONENTS.items()}
    # buildkit reads the context once, as long as nothing in it changes between the builds.
    for name, tag in tags.items():
        engine.docker("build", "--network=host", "--target", name, "--tag", tag, context)
    engine.docker("save", "--output", context / "components.tar", *tags.values())
    engine.docker("build", "--network=host", "--target", "node", "--tag", image, context)
    engine.docker("image", "rm", *tags.values())
