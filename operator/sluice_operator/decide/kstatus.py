"""Two conditions more, for kstatus alone: they tell what `Ready` leaves open.

kstatus (Flux, kpt, `helm --wait`) knows Ready, Reconciling and Stalled. `Ready` means that
clients can log in, which the pods of before a change see to as well: by it alone a change
would count as done before any pod has it, and one that was refused as well. So there is
`Reconciling` while the newest spec is not yet what serves, and `Stalled` in its place
where no waiting will help. Waiting helps wherever another controller may bring what is
missing: a Secret, a server, a node.
"""

from collections.abc import Mapping
from typing import Any

from sluice_operator.api import conditions
from sluice_operator.api.conditions import TRUE, Reason
from sluice_operator.decide.judge import Verdicts
from sluice_operator.decide.pod_trouble import is_overdue
from sluice_operator.decide.verdict import Verdict

_HOPELESS = frozenset(
    (
        *(Reason.INVALID, Reason.UNSUPPORTED_ENGINE_FAMILY, Reason.REJECTED),
        Reason.CONFIGURATION_REFUSED,
    )
)
_DONE = frozenset((Reason.SETTLED, Reason.SUSPENDED))


def kstatus(verdicts: Verdicts, deployment: Mapping[str, Any] | None) -> Verdicts:
    """`Reconciling` or `Stalled`, with the reason of what it follows; mostly neither."""
    open_point = _open_point(verdicts)
    if open_point is None:
        return {}
    stalled = open_point.reason in _HOPELESS or (
        # That rollout is of a spec before the one that is being tried again.
        is_overdue(deployment) and open_point.reason != Reason.API_SERVER_ERROR
    )
    kind = conditions.STALLED if stalled else conditions.RECONCILING
    return {kind: Verdict(TRUE, open_point.reason, open_point.message)}


def _open_point(verdicts: Verdicts) -> Verdict | None:
    """The first thing that keeps the newest spec from being what serves."""
    for kind in (conditions.ACCEPTED, conditions.CREDENTIALS_READY):
        if verdicts[kind].fails:
            return verdicts[kind]
    progress = verdicts[conditions.PROGRESSING]
    return None if progress.reason in _DONE else progress
