"""The page on conditions, the table of reasons and the code that gives them are one truth."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice_operator.api.conditions import EVENT, KSTATUS_TYPES, TARGETS_AVAILABLE, TYPES, Reason

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = ROOT / "operator" / "sluice_operator"
PROXY = ROOT / "proxy" / "sluice_proxy"
PAGE = (ROOT / "docs" / "status.md").read_text()
WORDS = {reason.value for reason in Reason}

GIVE_REASONS = {"Missing": 1, "Problem": 1, "Verdict": 1, "Event": 1}
"""Which argument of these is a reason."""


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_on_the_page_in_its_own_words(reason: Reason) -> None:
    remedy = f" {reason.remedy} " if reason.remedy else " "
    row = f"| `{reason}` | {reason.meaning} |{remedy}|\n"
    assert row in section(reason.condition or "Events") + "\n"


@pytest.mark.parametrize("title", [*TYPES, "Events"])
def test_the_page_has_no_other_reasons(title: str) -> None:
    rows = [line for line in section(title).splitlines() if line.startswith("| `")]
    own = [reason for reason in Reason if (reason.condition or "Events") == title]
    assert len(rows) == len(own)


@pytest.mark.parametrize("condition", [*TYPES, *KSTATUS_TYPES])
def test_each_condition_is_explained(condition: str) -> None:
    assert f"\n| `{condition}` | " in section("The conditions")


def test_each_reason_is_of_a_condition_or_an_events() -> None:
    assert {reason.condition for reason in Reason} == {*TYPES, EVENT}


def trees() -> Iterator[ast.AST]:
    for path in sorted(OPERATOR.rglob("*.py")):
        if path.name != "conditions.py":
            yield ast.parse(path.read_text())


def given() -> Iterator[str]:
    """Reasons that stand as plain words in the operator's code."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = GIVE_REASONS.get(node.func.id)
                if place is not None and len(node.args) > place:
                    yield from constants(node.args[place])


def constants(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def test_every_plain_word_that_the_code_gives_is_in_the_table() -> None:
    assert set(given()) <= WORDS


def test_every_reason_is_given_by_some_code() -> None:
    named = {
        node.attr
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Reason"
    }
    errors = {"Rejected", "Forbidden"}  # names of the classes in cluster.errors
    plain = {*given(), *errors, *proxys_reasons()}
    assert [r.name for r in Reason if r.name not in named and r.value not in plain] == []


def proxys_reasons() -> set[str]:
    """The words that the proxy has for a target that is Unavailable, where it sets them."""
    files = [PROXY / "errors.py", *sorted((PROXY / "targets").glob("*.py"))]
    found = {word for path in files for word in constants(ast.parse(path.read_text()))}
    return found & {r.value for r in Reason if r.condition == TARGETS_AVAILABLE}
