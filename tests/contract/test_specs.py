"""The model takes the good specs and blames the right field of the bad ones.

The API server is told the same table by the cluster tests.
"""

import pytest

from sluice_operator.api.manifest import InvalidManifest, parse
from sluice_testing.specs import BAD, GOOD, UNKNOWN, Case, manifest


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_good(case: Case) -> None:
    written = manifest(case.changes)
    assert parse(written, strict=True).metadata.name == written["metadata"]["name"]


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


def test_the_table_is_long_and_each_row_has_a_name_of_its_own() -> None:
    cases = [*GOOD, *BAD, *UNKNOWN]
    assert len(cases) >= 60
    assert len({case.name for case in cases}) == len(cases)


def test_a_manifest_that_is_none() -> None:
    with pytest.raises(InvalidManifest, match=r"^manifest: "):
        parse([])  # type: ignore[arg-type]
