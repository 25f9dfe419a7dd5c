"""How many pods a drain of nodes may take at once."""

from sluice_operator import names
from sluice_operator.desired.inputs import Inputs
from sluice_operator.desired.manifest import Manifest, manifest


def pod_disruption_budgets(inputs: Inputs) -> tuple[Manifest, ...]:
    """One at a time, or no budget at all: of a single pod it would hold up every drain."""
    owner = inputs.owner
    if inputs.spec.replicas < 2:
        return ()
    budget = {
        **manifest("policy/v1", "PodDisruptionBudget", names.workload(owner.name), owner),
        "spec": {
            "maxUnavailable": 1,
            # A pod that is not ready serves nobody: it may always be moved.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.selector(owner.name)},
        },
    }
    return (budget,)
