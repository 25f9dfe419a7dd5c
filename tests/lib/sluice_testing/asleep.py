"""The DatabaseProxy of `sluice_testing.seen` on its way to sleep and back."""

from dataclasses import replace

from sluice_operator.decide.pause import Pause
from sluice_testing.seen import WELL, deployment, of, pod, starting

DREAM = Pause(enabled=True, wakeable=True, asleep=True)
NO_PODS = {
    **deployment(replicas=0, updatedReplicas=0, availableReplicas=0),
    "spec": {"replicas": 0},
}
AT_WORK = replace(WELL.pause, why_awake="its pods are being started", in_use=False)

DRAINING = replace(
    WELL, pause=DREAM, deployment=NO_PODS, pods=(pod("a", terminating=True),), states={}
)
PAUSED = replace(DRAINING, pods=())
WAKING = replace(
    WELL,
    pause=AT_WORK,
    deployment=deployment(replicas=2, updatedReplicas=2, availableReplicas=0),
    pods=(starting("c"), starting("d")),
    states={},
)

ASLEEP = of(PAUSED, of(WELL))
"""The status of a proxy that slept."""
