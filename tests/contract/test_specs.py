"""The model takes the good specs and blames the right field of the bad ones.

The API server is told the same table by the cluster tests.
"""

import pytest

from sluice_operator.api.manifest import InvalidManifest, parse
from sluice_testing.specs import BAD, GOOD, UNKNOWN, Case, manifest


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_good(case: Case) -> None:
    assert parse(manifest(case.changes), strict=True).metadata.name == "orders"


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad(case: Case) -> None:
    with pytest.raises(InvalidManifest) as caught:
        parse(manifest(case.changes))
    assert case.path in [path for path, _ in caught.value.problems]


@pytest.mark.parametrize("case", UNKNOWN, ids=str)
def test_unknown_fields_are_refused_only_if_strict(case: Case) -> None:
    parse(manifest(case.changes))
    with pytest.raises(InvalidManifest) as caught:
        parse(manifest(case.changes), strict=True)
    assert caught.value.problems == ((case.path, "unknown field"),)


def test_a_manifest_that_is_none() -> None:
    with pytest.raises(InvalidManifest, match=r"^manifest: "):
        parse([])  # type: ignore[arg-type]
