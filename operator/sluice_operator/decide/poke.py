"""Which pods to touch so that their kubelet refreshes the mounted configuration.

A kubelet looks at mounted Secrets about once a minute; a changed annotation of the pod
makes it look within a second. Nobody reads the annotation.
"""

from sluice_operator.decide.observed import Pod
from sluice_operator.decide.state import ProxyState

AGAIN_SECONDS = 5
"""A pod that does not take the new document is touched again after so long."""


def poke(pod: Pod, state: ProxyState | None, config_hash: str, now: float) -> str | None:
    """The annotation to write on `pod`, or None if it needs none.

    One that terminates gets no volume refreshed any more; one that starts reads the newest.
    """
    if pod.terminating or not (pod.ready or state is not None):
        return None
    if state is not None and _settled(state, config_hash):
        return None
    if state is None and pod.poked.startswith(config_hash):
        return None
    value = f"{config_hash}-{int(now) // AGAIN_SECONDS:x}"
    return None if pod.poked == value else value


def _settled(state: ProxyState, config_hash: str) -> bool:
    """It serves the document, or has read it and refused it."""
    return state.config_hash == config_hash or bool(state.config_error)
