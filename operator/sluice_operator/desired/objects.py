"""All children of one DatabaseProxy, in the order in which they are applied."""

from sluice_operator.desired.config_secret import config_secret
from sluice_operator.desired.deployment import deployment
from sluice_operator.desired.fallback_slice import fallback_slices
from sluice_operator.desired.inputs import Inputs
from sluice_operator.desired.manifest import Manifest
from sluice_operator.desired.network_policy import network_policy
from sluice_operator.desired.pod_disruption_budget import pod_disruption_budgets
from sluice_operator.desired.service import peers_service, service
from sluice_operator.desired.service_account import service_account
from sluice_operator.desired.tls_secret import ca_key_secret, ca_secret, tls_secret


def desired_objects(inputs: Inputs) -> tuple[Manifest, ...]:
    """The children. What pods need comes before the pods, and the policy before both."""
    return (
        # Who sleeps is met by it alone: nothing that fails may stand before it.
        *fallback_slices(inputs),
        *_certificates(inputs),
        config_secret(inputs.config, inputs.owner),
        service_account(inputs.owner),
        network_policy(inputs),
        service(inputs.owner),
        peers_service(inputs.owner),
        *pod_disruption_budgets(inputs),
        deployment(inputs),
    )


def _certificates(inputs: Inputs) -> tuple[Manifest, ...]:
    secrets: tuple[Manifest, ...] = ()
    if inputs.issued is not None:
        secrets = (
            ca_key_secret(inputs.issued, inputs.owner),
            tls_secret(inputs.issued, inputs.owner),
        )
    return (*secrets, ca_secret(inputs.ca, inputs.owner)) if inputs.ca else secrets
