"""The cluster itself: kind creates it, a ConfigMap in it says that it is ours to delete."""

import json
import re
import shutil
from collections.abc import Iterator

from kube import engine as engines
from kube import gotools, nodeimage, places
from kube.engine import Engine
from kube.progress import Trouble, stage
from kube.shell import CommandFailed, run

MARKER = "sluice-made-this"
NODE = f"{places.CLUSTER}-control-plane"
_MADE = places.STATE / "node-container"
_HEALTH_SECONDS = 5
_RETURN_SECONDS = 40
_SYSTEM_PODS_SECONDS = 120

_CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  kubeProxyMode: iptables
kubeadmConfigPatches:
- |
  kind: KubeletConfiguration
  syncFrequency: 5s
{own_kubelet}
- |
  kind: KubeProxyConfiguration
  iptables: {{minSyncPeriod: 100ms}}
{own_cluster}
"""
# What only the node image of ours needs: no systemd, perhaps no CAP_SYS_RESOURCE.
_OWN_KUBELET = """\
  cgroupDriver: cgroupfs
  oomScoreAdj: 0"""
_OWN_CLUSTER = f"""\
- |
  kind: ClusterConfiguration
  imageRepository: {nodeimage.REGISTRY}"""


def config(image: str) -> str:
    """The document for `kind create cluster`."""
    own = _is_own(image)
    return _CONFIG.format(
        own_kubelet=_OWN_KUBELET if own else "",
        own_cluster=_OWN_CLUSTER if own else "",
    )


def kubectl(*arguments: str, input: str | None = None, timeout: float | None = None) -> str:
    """kubectl against this cluster and no other."""
    program = gotools.program("kubectl")
    return run(program, "--kubeconfig", places.KUBECONFIG, *arguments, input=input, timeout=timeout)


def healthy() -> bool:
    """Whether the API answers and has our marker; asks the machine's current engine nothing."""
    if not places.KUBECONFIG.exists():
        return False
    ask = ("get", "configmap", MARKER, "--namespace=kube-system", "--request-timeout=4s")
    try:
        kubectl(*ask, timeout=_HEALTH_SECONDS)
    except CommandFailed:
        return False
    return True


def exists(engine: Engine) -> bool:
    """Whether the engine has a node container of our cluster's name."""
    ask = ("ps", "--all", "--quiet", "--no-trunc", "--filter", f"name=^{NODE}$")
    return bool(engine.docker(*ask).strip())


def up() -> None:
    """Brings the cluster up; returns at once if it is up."""
    if healthy():
        return
    engine = engines.needed()
    if exists(engine):
        _refuse_others(engine)
        if _comes_back(engine):
            return
        delete(engine)
    _create(engine)


def _comes_back(engine: Engine) -> bool:
    """After a restart of the engine the node may only need to be started."""
    if not places.KUBECONFIG.exists():
        return False
    with stage(f"cluster {places.CLUSTER} does not answer: start its node"):
        engine.docker("start", NODE)
        ask = ("wait", "--for=condition=Ready", "node", "--all", f"--timeout={_RETURN_SECONDS}s")
        for _ in range(_RETURN_SECONDS // _HEALTH_SECONDS):
            if healthy():
                kubectl(*ask)
                return True
    return False


def _create(engine: Engine) -> None:
    _forget()
    places.STATE.mkdir(parents=True, exist_ok=True)
    image = nodeimage.ensure(engine)
    kind = gotools.program("kind")
    with stage(f"kind create cluster {places.CLUSTER}"):
        where = ("--name", places.CLUSTER, "--kubeconfig", places.KUBECONFIG)
        document = config(image)
        run(
            *(kind, "create", "cluster", *where, "--image", image, "--config", "-"),
            input=document,
            env=engine.env,
        )
        _MADE.write_text(_container(engine))
        kubectl("create", "configmap", MARKER, "--namespace=kube-system")
    if _is_own(image):
        _deny_outside_names()
    with stage("system pods: wait until Ready"):
        _wait_for_system_pods()


def _is_own(image: str) -> bool:
    return image.startswith(nodeimage.REGISTRY)


def _deny_outside_names() -> None:
    """Names outside the cluster do not exist at once, instead of after a resolver's time-out
    (the node of ours reaches no resolver)."""
    where = ("--namespace=kube-system", "--output=json")
    corefile = json.loads(kubectl("get", "configmap", "coredns", *where))["data"]["Corefile"]
    change = {"data": {"Corefile": without_forward(corefile)}}
    patch = ("--namespace=kube-system", "--type=merge", "--patch", json.dumps(change))
    kubectl("patch", "configmap", "coredns", *patch)
    kubectl("rollout", "restart", "deployment/coredns", "--namespace=kube-system")


def without_forward(corefile: str) -> str:
    """The configuration of CoreDNS with NXDOMAIN for what it would have asked elsewhere."""
    denial = "template ANY ANY {\n       rcode NXDOMAIN\n    }"
    text, count = re.subn(r"forward \. \S+ \{[^}]*\}", denial, corefile)
    if count != 1:
        raise Trouble(f"CoreDNS is not configured as expected:\n{corefile}")
    # The guard against forwarding to oneself has nothing to guard.
    return re.sub(r"\n *loop\b", "", text)


def _wait_for_system_pods() -> None:
    for kind_and_name in _system_workloads():
        ask = ("rollout", "status", "--namespace=kube-system", f"--timeout={_SYSTEM_PODS_SECONDS}s")
        kubectl(*ask, kind_and_name)


def _system_workloads() -> Iterator[str]:
    said = kubectl("get", "daemonset,deployment", "--namespace=kube-system", "--output=name")
    yield from said.split()


def _container(engine: Engine) -> str:
    return engine.docker("inspect", "--format", "{{.Id}}", NODE).strip()


def _refuse_others(engine: Engine) -> None:
    """On an engine of ours everything is ours; elsewhere the marker or our note has to say so."""
    if engine.ours or healthy():
        return
    if _MADE.exists() and _MADE.read_text() == _container(engine):
        return
    raise Trouble(
        f"a kind cluster named {places.CLUSTER} exists that was not made here (no ConfigMap "
        f"kube-system/{MARKER}): it is left alone; set SLUICE_CLUSTER to another name"
    )


def delete(engine: Engine) -> None:
    """Deletes the cluster, if it is one that was made here."""
    if exists(engine):
        _refuse_others(engine)
        with stage(f"kind delete cluster {places.CLUSTER}"):
            where = ("--name", places.CLUSTER, "--kubeconfig", str(places.KUBECONFIG))
            run(gotools.program("kind"), "delete", "cluster", *where, env=engine.env)
    _forget()


def _forget() -> None:
    if places.STATE.exists():
        shutil.rmtree(places.STATE)


def clusters(engine: Engine) -> list[str]:
    """The names of all kind clusters of the engine."""
    said = engine.docker("ps", "--all", "--format", '{{.Label "io.x-k8s.kind.cluster"}}')
    return sorted({name for name in said.split() if name})


def describe() -> str:
    """A few lines for a person: version, node, what runs."""
    version = json.loads(kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]
    nodes = kubectl("get", "nodes", "--no-headers")
    pods = kubectl("get", "pods", "--all-namespaces", "--no-headers")
    running = sum(" Running " in line for line in pods.splitlines())
    return f"Kubernetes {version}; {running} pods run\n{nodes}".rstrip()
