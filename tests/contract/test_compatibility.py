"""docs/compatibility.md says which tests show what, and what is not compared: both are true."""

import re
from pathlib import Path

import pytest

from comparison import normalise
from wirescripts.catalogue import SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
ROW = re.compile(r"^\| (\d+) \|.*\| (.+) \|$", re.MULTILINE)
ROWS = [(int(number), shown) for number, shown in ROW.findall(PAGE)]


def numbers_named_in(path: Path) -> set[int]:
    """What tests say of themselves: "Pitfall 9", "Pitfalls 39 and 44"."""
    named = re.findall(r"[Pp]itfalls? ((?:\d+(?:, | and )?)+)", path.read_text())
    return {int(number) for numbers in named for number in re.findall(r"\d+", numbers)}


def numbers_of_scripts(prefix: str) -> set[int]:
    found = [script.pitfalls for script in SCRIPTS if script.name.startswith(f"{prefix}: ")]
    return {number for pitfalls in found for number in pitfalls}


def named(name: str) -> set[int]:
    return numbers_named_in(ROOT / name) if "/" in name else numbers_of_scripts(name)


def test_every_trap_has_one_row() -> None:
    assert [number for number, _ in ROWS] == list(range(1, 64))


@pytest.mark.parametrize(("number", "shown"), ROWS)
def test_each_is_shown_by_tests_that_say_so_or_does_not_apply(number: int, shown: str) -> None:
    tests = re.findall(r"`(?!/)([^`]+)`", shown)
    assert tests or shown.startswith("does not apply: ")
    assert {name: number in named(name) for name in tests} == dict.fromkeys(tests, True)


def test_what_is_not_compared_is_what_the_page_says() -> None:
    assert re.findall(r"(?m)^\| `([a-z_]+)` \|", PAGE) == [*normalise.reasons()]
