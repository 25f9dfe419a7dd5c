"""What is written, what goes, and what is left alone."""

import copy
from typing import Any

import pytest

from sluice_operator.decide.plan import Plan, differing, plan
from sluice_operator.desired.manifest import Manifest, Owner

OWNER = Owner("orders", "shop", "uid-1")


def service(**spec: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "orders",
            "namespace": "shop",
            "labels": {"a": "b"},
            "ownerReferences": [OWNER.reference()],
        },
        "spec": {"ports": [{"name": "postgres", "port": 5432}], "list": [1, 2], **spec},
    }


KEY = ("Service", "orders")


def written(manifest: Manifest) -> Manifest:
    """What the cluster holds after `manifest` was applied: with defaults of its own."""
    live = copy.deepcopy(plan([manifest], {}, OWNER).apply[0])
    live["metadata"]["uid"] = "live"
    live["spec"]["clusterIP"] = "10.0.0.1"
    live["spec"]["ports"][0]["nodePort"] = 0
    return live


def test_what_is_not_there_is_written() -> None:
    (applied,) = plan([service()], {}, OWNER).apply
    assert applied["spec"] == service()["spec"]
    assert "sluice.dev/applied-hash" in applied["metadata"]["annotations"]


def test_at_rest_nothing_is_done() -> None:
    assert plan([service()], {KEY: written(service())}, OWNER) == Plan()


def test_a_new_wish_is_written() -> None:
    assert plan([service(type="ClusterIP")], {KEY: written(service())}, OWNER).apply


def test_a_wish_that_is_gone_is_written() -> None:
    live = written(service(type="ClusterIP"))
    assert plan([service()], {KEY: live}, OWNER).apply


@pytest.mark.parametrize(
    "edit",
    [
        lambda live: live["spec"]["ports"][0].update(port=80),
        lambda live: live["spec"].update(ports=[]),
        lambda live: live["spec"].update(ports=None),
        lambda live: live["spec"]["list"].append(3),
        lambda live: live["metadata"]["labels"].clear(),
        lambda live: live["metadata"]["annotations"].clear(),
    ],
)
def test_a_foreign_edit_of_our_field_is_undone(edit: Any) -> None:
    live = written(service())
    edit(live)
    assert plan([service()], {KEY: live}, OWNER).apply


def test_fields_of_others_are_left_alone() -> None:
    live = written(service())
    live["metadata"]["labels"]["theirs"] = "x"
    live["metadata"]["annotations"]["theirs"] = "x"
    live["spec"]["sessionAffinity"] = "ClientIP"
    live["spec"]["ports"].insert(0, {"name": "theirs", "port": 80})
    assert plan([service()], {KEY: live}, OWNER) == Plan()


def test_our_orphans_go() -> None:
    orphan = written(service())
    assert plan([], {KEY: orphan}, OWNER) == Plan(delete=(orphan,))


@pytest.mark.parametrize("references", [[], [{**OWNER.reference(), "uid": "uid-0"}]])
def test_an_object_of_another_owner_is_not_touched(references: list[Any]) -> None:
    live = written(service())
    live["metadata"]["ownerReferences"] = references
    assert plan([service()], {KEY: live}, OWNER) == Plan(taken=(KEY,))
    assert plan([], {KEY: live}, OWNER) == Plan()


def test_one_object_by_itself_is_applied_where_it_differs() -> None:
    """As one that is no child of a proxy: nobody owns it, and nobody else is asked for it."""
    (wanted,) = plan([service()], {}, OWNER).apply
    assert differing(service(), None) == wanted
    assert differing(service(), written(service())) is None
    edited = written(service())
    edited["spec"]["list"] = []
    assert differing(service(), edited) == wanted
    assert differing(service(), written(service(type="ClusterIP"))) == wanted
