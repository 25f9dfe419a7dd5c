"""docs/scale-to-zero.md names a test for each race, each state and each part that is killed.

Also: each test that says which races or states it shows is named there, and whatever the
operator says of why a proxy is awake is explained.
"""

import ast
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sluice_activator import decide as activators
from sluice_activator.metrics import Metrics
from sluice_activator.waking import STAGES
from sluice_operator import names, scaling
from sluice_operator.api import pod_template
from sluice_operator.api.manifest import parse
from sluice_operator.decide import ports
from sluice_operator.decide.pause import FORSAKEN_SECONDS
from sluice_proxy.session.hub import REST_AFTER
from sluice_testing import pages

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PATH = ROOT / "docs" / "scale-to-zero.md"
PAGE = PATH.read_text()
PAUSE = ROOT / "operator" / "sluice_operator" / "decide" / "pause.py"

NAMED = re.compile(r"`([^`]+\.py)::(\w+)`")
RACES = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE))
STATES = dict(re.findall(r"^\| \*\*([^*|]+)\*\* \| (.+) \|$", PAGE, re.MULTILINE))
PARTS = ("operator", "activator", "pod", "API server")
KILLS = {
    (state, part): rest
    for state, part, rest in re.findall(r"^\| (\w+) \| ([\w ]+) \| (.+) \|$", PAGE, re.MULTILINE)
    if part in PARTS
}
FOUR = ("Running", "Draining", "Paused", "Waking")
TELLING = re.compile(r"Races? ((?:\d+(?:, | and )?)+)")


@cache
def names_of(file: str) -> dict[str, str]:
    """The tests of a file, each with what it says of itself."""
    tree = ast.parse((TESTS / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = (node for node in ast.walk(tree) if isinstance(node, kinds))
    return {f.name: ast.get_docstring(f) or "" for f in found if f.name.startswith("test_")}


def test_the_page_has_a_line_for_everything() -> None:
    assert list(RACES) == [str(number) for number in range(1, 23)]
    assert list(STATES) == [*FOUR, "Waking, late"]
    assert list(KILLS) == list(itertools.product(FOUR, PARTS))


@pytest.mark.parametrize("row", [*RACES.values(), *STATES.values(), *KILLS.values()])
def test_each_line_names_tests_that_there_are(row: str) -> None:
    named = NAMED.findall(row.rpartition(" | ")[2])
    assert named
    assert [name for name in named if name[1] not in names_of(name[0])] == []


def telling() -> Iterator[tuple[str, str]]:
    """What tests say of themselves: the number of a race, and "file::test"."""
    for path in sorted(TESTS.rglob("test_*.py")):
        file = path.relative_to(TESTS).as_posix()
        if file.startswith(("cluster/test_pause", "integration/test_activator")):
            for test, said in names_of(file).items():
                for numbers in TELLING.findall(said):
                    yield from ((n, f"{file}::{test}") for n in re.findall(r"\d+", numbers))


@pytest.mark.parametrize(("number", "test"), [*telling()])
def test_each_test_that_names_a_race_is_named(number: str, test: str) -> None:
    assert f"`{test}`" in RACES[number]


def sentences() -> Iterator[str]:
    """What `whyAwake` may say, in the order of the code; of those with a number, the parts."""
    tree = ast.parse(PAUSE.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ("pause", "_hindrance", "_clients"):
            told = [ast.get_docstring(node) or ""]
            parts = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
            yield from (s for s in parts if isinstance(s, str) and " " in s and s not in told)
    yield scaling.UNREADABLE


def test_whatever_keeps_a_proxy_awake_is_explained() -> None:
    table = PAGE.partition("\n| `whyAwake` |")[2].partition("\n\n")[0]
    told = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    said = list(sentences())
    assert len(said) >= len(told) > 10
    assert [s for s in said if not any(s in line for line in told)] == []
    assert [line for line in told if not any(s in line for s in said)] == []


def test_every_metric_is_on_the_page_and_every_stage() -> None:
    table = PAGE.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    found = {name.split("{")[0] for name in re.findall(r"`(sluice_activator_[^`]+)`", table)}
    families = (family for family in Metrics().registry.collect() if "activator" in family.name)
    assert found == {f.name + "_total" * (f.type == "counter") for f in families}
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)[-len(STAGES) :] == [*STAGES]


SIZES = (
    f"| {ports.LAST - ports.FIRST + 1:,}: each has a port of its own",
    f"at the activators, {ports.FIRST} to {ports.LAST}",
    f"| {activators.HELD_MAX:,} for one proxy, {activators.HELD_MAX_OF_ALL:,} in all",
    f"| how long it is held | {activators.DEADLINE:.0f} seconds |",
    f"then silence: closed after {activators.FIRST_BYTES_WITHIN:.0f} seconds",
    f"none has come for {pod_template.LINGER_SECONDS} seconds",
    f"after {activators._LOOKS[0]}, {activators._LOOKS[1]}, then every second",
    f"{REST_AFTER:.0f} seconds after the last client has left",
)


@pytest.mark.parametrize("words", SIZES)
def test_sizes_are_those_of_the_code(words: str) -> None:
    assert words in PAGE
    assert (activators.TRIES, activators._LOOKS[2], FORSAKEN_SECONDS) == (6, 1.0, 60.0)


def test_the_example_is_a_good_one() -> None:
    (proxy,) = pages.objects(PATH)
    assert proxy["kind"] == names.KIND
    assert parse(proxy, strict=True).spec.auto_pause.idle_seconds == 900
