"""docs/reference.md says what the model says, and its example is a good one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_operator.api import conditions, reference
from sluice_operator.api.crd import definition
from sluice_operator.api.manifest import parse

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"
TEXT = PAGE.read_text()


def test_the_page_is_in_step() -> None:
    assert reference.main(["--page", str(PAGE), "--check"]) == 0


def test_a_stale_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = tmp_path / "reference.md"
    stale.write_text(TEXT.replace("1 to 65535", "1 to 65536"))
    assert reference.main(["--page", str(stale), "--check"]) == 1
    assert "make crds" in capsys.readouterr().err
    assert reference.main(["--page", str(stale)]) == 0
    assert stale.read_text() == TEXT


def test_the_example_is_good_and_says_more_than_the_defaults() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    spec = parse(yaml.safe_load(example), strict=True).spec
    assert spec.replicas == 3
    said = set(spec.model_fields_set)
    # What is left out has but one value, or one that an example is better without.
    assert set(type(spec).model_fields) - said == {
        "engine_family", "require_tls", "idle_client_timeout_seconds", "debug_logging", "suspend",
    }  # fmt: skip


def fields(schema: dict[str, Any]) -> set[str]:
    """The names of all fields below `schema`."""
    children = schema.get("properties", {})
    return set(children).union(*(fields(child.get("items", child)) for child in children.values()))


def test_every_field_of_the_crd_has_a_row() -> None:
    root = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    rows = set(re.findall(r"(?m)^\| `([^`]+)` \|", TEXT))
    assert fields(root["spec"]) | fields(root["status"]) <= rows


def test_every_link_leads_to_a_heading() -> None:
    headings = re.findall(r"(?m)^#+ (.+)$", TEXT)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()) for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
    assert len(headings) == len(set(headings))


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for table in re.findall(r"(?m)(?:^\|.*\n)+", TEXT):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table.splitlines()[0]


def test_every_refusal_of_a_rule_is_on_the_page() -> None:
    for message in re.findall(r"message: (.+)", yaml.safe_dump(definition(), width=10_000)):
        text = message.strip("'\"")
        assert text in TEXT or text.startswith("must not end in -peers"), text


def test_every_reason_is_in_the_index() -> None:
    for reason in conditions.Reason:
        assert f"| `{reason}` |" in TEXT
