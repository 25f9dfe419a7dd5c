"""What a pod makes of the time that it has to end."""

import pytest

from sluice_operator.api.manifest import parse
from sluice_testing.specs import manifest


@pytest.mark.parametrize(
    ("grace", "drain", "linger"),
    [(15, 5, 3), (30, 20, 7), (60, 50, 15), (3600, 3590, 15)],
)
def test_the_kubelet_waits_longer_than_the_pod(grace: int, drain: int, linger: int) -> None:
    changes = {"spec.podTemplate.terminationGracePeriodSeconds": grace}
    template = parse(manifest(changes)).spec.pod_template
    assert (template.drain_seconds, template.linger_seconds) == (drain, linger)
