"""What the layout promises: folders that shadow nothing, locks that name no address."""

import operator
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    ".ci", ".gitignore", ".dockerignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile",
    "README.md", "charts", "crds", "docs", "operator", "proxy", "pyproject.toml", "tests",
}  # fmt: skip


def tracked() -> list[Path]:
    shown = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return [Path(name) for name in shown.stdout.split("\0") if name]


def test_the_folder_operator_shadows_nothing() -> None:
    assert operator.__file__ is not None
    assert operator.__file__.startswith(sysconfig.get_path("stdlib"))


@pytest.mark.parametrize("folder", ["operator", "proxy"])
def test_a_folder_of_packages_is_no_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_folders_of_tests_are_no_packages() -> None:
    found = [
        path
        for path in tracked()
        if path.name == "__init__.py"
        and path.parts[0] == "tests"
        # The library, and what the differential suite is made of.
        and path.parts[1] not in ("lib", "differential")
    ]
    assert found == []
    assert not (ROOT / "tests" / "differential" / "__init__.py").exists()


def test_the_top_level_is_fixed() -> None:
    assert {path.parts[0] for path in tracked()} <= TOP_LEVEL


def test_lock_files_name_no_registry() -> None:
    locks = [path for path in tracked() if path.suffix == ".lock" or "lock" in path.stem]
    locks = [path for path in locks if path.suffix in (".lock", ".json")]
    assert len(locks) >= 5
    for path in locks:
        text = (ROOT / path).read_text()
        assert re.findall(r"index-url|find-links|\"resolved\"", text) == [], path
