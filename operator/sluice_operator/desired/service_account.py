"""The proxy's ServiceAccount: it may do nothing, and has no token."""

from sluice_operator import names
from sluice_operator.desired.manifest import Manifest, Owner, manifest


def service_account(owner: Owner) -> Manifest:
    return {
        **manifest("v1", "ServiceAccount", names.workload(owner.name), owner),
        "automountServiceAccountToken": False,
    }
