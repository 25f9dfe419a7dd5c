"""What Argo CD's and Flux's own engines say of a DatabaseProxy; and that a second apply is none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kube.client import Cluster
from kube.gitops import HEALTH, strict, verdict

from sluice_operator.api.conditions import (
    ACCEPTED,
    CREDENTIALS_READY,
    PROGRESSING,
    READY,
    RECONCILING,
    STALLED,
    TARGETS_AVAILABLE,
    Reason,
)
from sluice_testing import pages, specs
from sluice_testing.kubernetes import Manifest, eventually, login
from sluice_testing.shop import PASSWORD, Namespace

# The first test of a run may have to wait for the cluster and the images.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

DOCS = Path(__file__).resolve().parents[2] / "docs"
KEY = "resource.customizations.health.sluice.dev_DatabaseProxy"

GOOD = {
    ACCEPTED: ("True", Reason.VALID),
    CREDENTIALS_READY: ("True", Reason.RESOLVED),
    TARGETS_AVAILABLE: ("True", Reason.AVAILABLE),
    PROGRESSING: ("False", Reason.SETTLED),
    READY: ("True", Reason.SERVING),
}


@dataclass(frozen=True)
class Case:
    """Conditions that differ from those of a proxy that serves, and what is made of them."""

    name: str
    argo: str
    flux: str
    changed: Mapping[str, tuple[str, Reason]] = field(default_factory=dict)
    said_by: str = READY

    def __str__(self) -> str:
        return self.name


def unready(reason: Reason) -> dict[str, tuple[str, Reason]]:
    return {READY: ("False", reason)}


STUCK = (
    *(Reason.BUDGET_TOO_SMALL, Reason.IMAGE_PULL_FAILED, Reason.UNSCHEDULABLE),
    *(Reason.PODS_CRASHING, Reason.PODS_NOT_STARTING, Reason.PODS_REFUSED),
)
"""Reasons of a rollout that does not come further, and that Kubernetes has not given up."""


def stuck(reason: Reason) -> dict[str, tuple[str, Reason]]:
    return {PROGRESSING: ("False", reason), RECONCILING: ("True", reason)}


CASES = (
    Case("it serves", "Healthy", "Current"),
    Case(
        "a Secret is missing, nothing was served before", "Degraded", "InProgress",
        {CREDENTIALS_READY: ("False", Reason.SECRET_NOT_FOUND),
         RECONCILING: ("True", Reason.SECRET_NOT_FOUND), **unready(Reason.SECRET_NOT_FOUND)},
        CREDENTIALS_READY,
    ),
    Case(
        "a Secret is missing, the last good configuration serves", "Degraded", "InProgress",
        {CREDENTIALS_READY: ("False", Reason.SECRET_NOT_FOUND),
         RECONCILING: ("True", Reason.SECRET_NOT_FOUND)},
        CREDENTIALS_READY,
    ),
    Case(
        "a refused spec", "Degraded", "Failed",
        {ACCEPTED: ("False", Reason.INVALID), STALLED: ("True", Reason.INVALID)}, STALLED,
    ),
    Case(
        "a name that somebody else has", "Degraded", "InProgress",
        {ACCEPTED: ("False", Reason.NAME_TAKEN), RECONCILING: ("True", Reason.NAME_TAKEN)},
        ACCEPTED,
    ),
    Case(
        "a server that is away", "Degraded", "InProgress",
        {TARGETS_AVAILABLE: ("False", Reason.UNREACHABLE), **unready(Reason.UNREACHABLE)},
        TARGETS_AVAILABLE,
    ),
    Case(
        "a server that is being asked", "Progressing", "InProgress",
        {TARGETS_AVAILABLE: ("Unknown", Reason.REGISTERING), **unready(Reason.REGISTERING)},
    ),
    Case(
        "the first pods start", "Progressing", "InProgress",
        {PROGRESSING: ("True", Reason.ROLLING_OUT), RECONCILING: ("True", Reason.ROLLING_OUT),
         TARGETS_AVAILABLE: ("Unknown", Reason.NO_ANSWER), **unready(Reason.PODS_NOT_READY)},
        RECONCILING,
    ),
    Case(
        "old pods serve while new ones start", "Progressing", "InProgress",
        {PROGRESSING: ("True", Reason.ROLLING_OUT), RECONCILING: ("True", Reason.ROLLING_OUT)},
        RECONCILING,
    ),
    *(
        Case(f"new pods do not come: {reason}", "Degraded", "InProgress", stuck(reason),
             PROGRESSING)
        for reason in STUCK
    ),
    Case(
        "the first pods do not come", "Degraded", "InProgress",
        {**stuck(Reason.UNSCHEDULABLE), **unready(Reason.UNSCHEDULABLE),
         TARGETS_AVAILABLE: ("Unknown", Reason.NO_ANSWER)},
        PROGRESSING,
    ),
    Case(
        "pods have not yet taken the change", "Progressing", "InProgress",
        {PROGRESSING: ("True", Reason.CONFIGURATION_PENDING),
         RECONCILING: ("True", Reason.CONFIGURATION_PENDING)},
        RECONCILING,
    ),
    Case(
        "new pods never come", "Degraded", "Failed",
        {PROGRESSING: ("False", Reason.IMAGE_PULL_FAILED),
         STALLED: ("True", Reason.IMAGE_PULL_FAILED)},
        STALLED,
    ),
    Case(
        "the API server fails at a write", "Progressing", "InProgress",
        stuck(Reason.API_SERVER_ERROR), RECONCILING,
    ),
    Case(
        "suspended while it serves", "Suspended", "Current",
        {PROGRESSING: ("False", Reason.SUSPENDED)}, PROGRESSING,
    ),
    Case(
        "suspended before it served", "Suspended", "InProgress",
        {PROGRESSING: ("False", Reason.SUSPENDED), **unready(Reason.PODS_NOT_READY)},
        PROGRESSING,
    ),
    Case(
        "suspended, and the server is away", "Degraded", "InProgress",
        {PROGRESSING: ("False", Reason.SUSPENDED), **unready(Reason.UNREACHABLE),
         TARGETS_AVAILABLE: ("False", Reason.UNREACHABLE)},
        TARGETS_AVAILABLE,
    ),
)  # fmt: skip


def proxy(changed: Mapping[str, tuple[str, Reason]], generation: int = 3) -> Manifest:
    """A DatabaseProxy of generation 3, seen by the operator at `generation`."""
    conditions = [
        {"type": kind, "status": status, "reason": reason.value, "message": f"{kind}: a sentence",
         "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind, (status, reason) in {**GOOD, **changed}.items()
    ]  # fmt: skip
    status = {"observedGeneration": generation, "conditions": conditions}
    return {**specs.manifest({"metadata.generation": 3}), "status": status}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_the_engines_make_of_conditions(case: Case) -> None:
    found = verdict(proxy(case.changed))
    assert (found.argo.status, found.flux.status) == (case.argo, case.flux)
    assert found.argo.message == f"{case.said_by}: a sentence"


def test_conditions_of_an_older_spec_count_for_nothing() -> None:
    found = verdict(proxy({}, generation=2))
    assert (found.argo.status, found.flux.status) == ("Progressing", "InProgress")


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"observedGeneration": 3}}])
def test_argo_waits_for_the_first_status(status: Manifest) -> None:
    found = verdict({**specs.manifest({"metadata.generation": 3}), **status})
    assert found.argo.status == "Progressing"


def test_the_examples_of_flux_have_fluxs_types() -> None:
    examples = [one for one in pages.objects(DOCS / "gitops.md") if "fluxcd" in one["apiVersion"]]
    assert len(examples) == 4
    strict(examples)


def test_the_examples_for_the_api_server_are_taken(namespace: Namespace) -> None:
    kinds = ("DatabaseProxy", "HorizontalPodAutoscaler")
    for example in pages.objects(DOCS / "gitops.md"):
        if example["kind"] in kinds:
            here = {**example, "metadata": {**example["metadata"], "namespace": namespace.name}}
            strictly = ("--dry-run=server", "--validate=strict", "-f", "-")
            assert "created" in namespace.kubectl("apply", *strictly, input=json.dumps(here))


def test_the_engines_follow_a_proxy_through_its_life(namespace: Namespace) -> None:
    def becomes(argo: str, flux: str) -> None:
        def look() -> bool:
            found = verdict(namespace.get("databaseproxy") or {})
            return (found.argo.status, found.flux.status) == (argo, flux)

        eventually(look, f"{argo} and {flux}")

    auth = [{"secretRef": {"name": "later"}}]
    namespace.apply(namespace.proxy(auth=auth))
    becomes("Degraded", "InProgress")
    namespace.apply(login("later", namespace.name, "app", PASSWORD))
    becomes("Healthy", "Current")
    nowhere = {"nodeSelector": {"example.com/node": "none"}}
    namespace.apply(namespace.proxy(auth=auth, podTemplate=nowhere))
    becomes("Degraded", "InProgress")
    namespace.apply(namespace.proxy(auth=auth))
    becomes("Healthy", "Current")
    suspend = ("patch", "databaseproxy", "orders", "--type=merge", "-p")
    namespace.kubectl(*suspend, '{"spec": {"suspend": true}}')
    becomes("Suspended", "Current")


CLIENT_SIDE = ("apply", "-f", "-")
SERVER_SIDE = ("apply", "--server-side", "--field-manager=gitops", "-f", "-")
DIFFS = {
    CLIENT_SIDE: ("diff", "-f", "-"),
    SERVER_SIDE: ("diff", "--server-side", "--field-manager=gitops", "-f", "-"),
}


@pytest.mark.parametrize("way", [CLIENT_SIDE, SERVER_SIDE], ids=["client-side", "server-side"])
def test_a_second_apply_changes_nothing(namespace: Namespace, way: tuple[str, ...]) -> None:
    """With the operator's work on the first one in between, and a scale by somebody else."""
    wanted = namespace.proxy()
    del wanted["spec"]["replicas"]
    text = json.dumps(wanted)
    namespace.kubectl(*way, input=text)
    namespace.until_ready()
    namespace.kubectl("scale", "databaseproxy/orders", "--replicas=1")
    namespace.until_ready()
    namespace.kubectl(*DIFFS[way], input=text)
    # The operator may write the pool's figures meanwhile, but not each time.
    eventually(lambda: _applied_in_vain(namespace, way, text), "an apply that writes nothing")
    assert (namespace.get("databaseproxy") or {})["spec"]["replicas"] == 1


def _applied_in_vain(namespace: Namespace, way: tuple[str, ...], text: str) -> bool:
    def version() -> str:
        return str((namespace.get("databaseproxy") or {})["metadata"]["resourceVersion"])

    before = version()
    namespace.kubectl(*way, input=text)
    return version() == before


def test_argo_cd_gets_the_health_check_by_the_command_of_the_page(
    cluster: Cluster, namespace: Namespace, tmp_path: Path
) -> None:
    """Other keys of its ConfigMap stay, and the script comes through whole."""
    namespace.kubectl("create", "configmap", "argocd-cm", "--from-literal=url=https://argocd")
    made = namespace.kubectl(
        *("create", "configmap", "argocd-cm", "--dry-run=client", "--output", "yaml"),
        f"--from-file={KEY}={HEALTH}",
    )
    manager = ("--field-manager", "sluice-health", "--filename", "-")
    namespace.kubectl("apply", "--server-side", *manager, input=made)
    data = (namespace.get("configmap", "argocd-cm") or {})["data"]
    assert data["url"] == "https://argocd"
    script = tmp_path / "health.lua"
    script.write_text(data[KEY])
    assert verdict(proxy({}), script).argo.status == "Healthy"
