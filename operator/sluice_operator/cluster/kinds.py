"""Where objects of each kind are found at the API server."""

from dataclasses import dataclass
from urllib.parse import quote

from sluice_operator import names


@dataclass(frozen=True, slots=True)
class Kind:
    """API version and plural."""

    api_version: str
    plural: str

    def path(self, namespace: str, name: str = "", part: str = "") -> str:
        """Of one object, or of all; without a namespace of those in every one."""
        root = "api" if "/" not in self.api_version else "apis"
        place = ("namespaces", namespace) if namespace else ()
        parts = [root, self.api_version, *place, self.plural, name, part]
        return "/" + "/".join(quote(item, safe="/") for item in parts if item)


KINDS = {
    names.KIND: Kind(names.API_VERSION, names.PLURAL),
    "Deployment": Kind("apps/v1", "deployments"),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices"),
    "Event": Kind("v1", "events"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "Pod": Kind("v1", "pods"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
}
