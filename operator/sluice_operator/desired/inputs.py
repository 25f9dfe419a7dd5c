"""Everything that the children of one DatabaseProxy are made of."""

from dataclasses import dataclass

from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.desired.certificates import Issued
from sluice_operator.desired.manifest import Owner
from sluice_proxy.config import ProxyConfig, digest, dump

Port = int | str
"""A number, or the name of a port of the pods."""


@dataclass(frozen=True, slots=True)
class ToPods:
    """Egress to the pods behind a Service."""

    namespace: str
    selector: tuple[tuple[str, str], ...]
    port: Port


@dataclass(frozen=True, slots=True)
class ToRanges:
    """Egress to ranges of addresses; none means any address."""

    cidrs: tuple[str, ...]
    port: Port


Egress = ToPods | ToRanges


@dataclass(frozen=True, slots=True)
class ProxyImage:
    """What runs the proxy, and how nodes come by it.

    `pull_secrets` are names of Secrets that are in every namespace with a DatabaseProxy.
    """

    name: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Activator:
    """A pod that stands in for proxies that have none: its address, and the node it is on.

    One that is not `serving` ends: nobody new is sent to it.
    """

    ip: str
    node: str = ""
    serving: bool = True


@dataclass(frozen=True, slots=True)
class Fallback:
    """What stands in for a proxy without pods: `port` is the proxy's own at all `activators`.

    `replicas` is to how many pods they wake it; `trouble` what keeps these from coming up, in
    words for clients; empty if nothing does.
    """

    port: int
    activators: tuple[Activator, ...]
    replicas: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The resolved wishes: nothing here needs another look at the cluster.

    `issued` is None where the user brings the certificate; `ca` is the PEM that clients
    verify it with, empty if unknown. `operator_namespace` is whence `/state` is read, and
    `monitoring_namespaces` are those whence metrics are. `notes` are what the user should
    know although all of it can be done. `fallback` is None where nothing stands in for pods
    that are not there.
    """

    owner: Owner
    spec: Spec
    config: ProxyConfig
    issued: Issued | None
    ca: str
    egress: tuple[Egress, ...]
    image: ProxyImage
    operator_namespace: str
    monitoring_namespaces: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fallback: Fallback | None = None

    @property
    def config_hash(self) -> str:
        """The name of the document's content, as the pods tell it in `/state`."""
        return digest(dump(self.config))
