"""Names stay within what Kubernetes allows."""

from sluice_operator import names
from sluice_operator.api.v1alpha1 import NAME_MAX


def test_every_child_of_the_longest_name_fits_a_label() -> None:
    for _, child in names.children("o" * NAME_MAX):
        assert len(child) <= 63


def test_a_pods_selector_is_part_of_its_labels() -> None:
    assert names.selector("orders").items() <= names.labels("orders").items()
