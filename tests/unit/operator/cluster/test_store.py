"""What is kept of the watches' events, and which of two versions is believed."""

from typing import Any

from sluice_operator.cluster.store import GRAVES, Store

LABELS = {"app.kubernetes.io/managed-by": "sluice", "app.kubernetes.io/instance": "orders"}


def thing(kind: str = "Service", name: str = "orders", version: int = 5, **more: Any) -> Any:
    metadata = {"name": name, "namespace": "shop", "resourceVersion": str(version), **more}
    return {"kind": kind, "metadata": metadata}


def ours(version: int = 5, name: str = "orders", **more: Any) -> Any:
    return thing(name=name, version=version, labels=LABELS, **more)


KEY = ("Service", "shop", "orders")


def test_what_is_ours_is_kept_by_its_proxy() -> None:
    store = Store()
    store.see(ours(), deleted=False)
    store.see(ours(name="other", uid="u"), deleted=False)
    assert [item["metadata"]["name"] for item in store.of_proxy("shop", "orders")] == [
        "orders",
        "other",
    ]
    assert store.of_proxy("shop", "another") == []


def test_what_nobody_refers_to_passes_by_until_somebody_does() -> None:
    store = Store()
    store.see(thing("Secret", "login"), deleted=False)
    assert len(store) == 0
    store.want(("Secret", "shop", "login"))
    store.see(thing("Secret", "login"), deleted=False)
    assert store.get(("Secret", "shop", "login")) is not None


def test_the_newer_version_wins() -> None:
    store = Store()
    store.put(ours(9))
    store.see(ours(7), deleted=False)
    found = store.get(KEY)
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "9"


def test_what_is_deleted_does_not_come_back_by_an_old_answer() -> None:
    store = Store()
    store.put(ours(5))
    store.see(ours(8), deleted=True)
    store.put(ours(6))
    assert store.get(KEY) is None
    store.put(ours(9))
    assert store.get(KEY) is not None


def test_an_old_deletion_does_not_take_what_was_made_since() -> None:
    store = Store()
    store.put(ours(9))
    store.see(ours(8), deleted=True)
    assert store.get(KEY) is not None


def test_an_object_that_lost_our_labels_is_to_be_read_anew() -> None:
    store = Store()
    store.see(ours(5), deleted=False)
    store.see(thing(version=6), deleted=False)
    assert store.get(KEY) is None
    assert store.of_proxy("shop", "orders") == []


def test_what_a_read_did_not_find_is_absent_until_it_is_made() -> None:
    store = Store()
    store.want(KEY)
    store.miss(KEY)
    assert store.is_absent(KEY)
    store.see(thing(), deleted=False)
    assert not store.is_absent(KEY)
    assert store.get(KEY) is not None


def test_graves_are_not_kept_for_ever() -> None:
    store = Store()
    for number in range(GRAVES + 5):
        store.see(ours(7, name=f"s{number}"), deleted=True)
    store.put(ours(6, name="s0"))
    store.put(ours(6, name=f"s{GRAVES + 4}"))
    assert [item["metadata"]["name"] for item in store.of_proxy("shop", "orders")] == ["s0"]


def pod(name: str, phase: str, version: int = 5) -> Any:
    return {**thing("Pod", name, version, labels=LABELS), "status": {"phase": phase}}


def test_which_pods_have_ended_is_known_also_when_they_are_gone() -> None:
    """A pod may be gone within the same look in which it ended: it holds nothing any more."""
    store = Store()
    for name, phase in (("a", "Running"), ("b", "Succeeded"), ("c", "Failed"), ("d", "Running")):
        store.see(pod(name, phase), deleted=False)
    assert store.finished("shop", "orders") == {"b", "c"}
    store.see(pod("b", "Succeeded", 6), deleted=True)
    # By force: its process may run on.
    store.see(pod("d", "Running", 6), deleted=True)
    store.see({**ours(7, "s"), "status": {"phase": "Failed"}}, deleted=True)
    assert store.finished("shop", "orders") == {"b", "c"}
    assert store.finished("shop", "other") == frozenset()
    for number in range(GRAVES):
        store.see(ours(7, name=f"s{number}"), deleted=True)
    assert store.finished("shop", "orders") == {"c"}


def test_managed_fields_are_left_out() -> None:
    store = Store()
    store.put(ours(managedFields=[{"manager": "kubectl"}]))
    found = store.get(KEY)
    assert found is not None
    assert "managedFields" not in found["metadata"]


def test_every_proxy_is_known() -> None:
    store = Store()
    for name in ("orders", "bills"):
        store.see(thing("DatabaseProxy", name), deleted=False)
    store.see(ours(), deleted=False)
    assert store.proxies() == [("shop", "bills"), ("shop", "orders")]
