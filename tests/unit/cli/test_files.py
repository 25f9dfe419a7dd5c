"""Which files are read, and when they count as changed."""

import os
from pathlib import Path

import pytest

from sluice_cli.complaints import Complaint
from sluice_cli.files import Files, Text


def read(*given: Path | str, standard_input: bytes = b"") -> list[Text | Complaint]:
    return list(Files([str(path) for path in given], standard_input).read())


def test_a_folder_gives_its_manifests_by_name(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", "d.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "inner.yaml").mkdir()
    assert read(tmp_path) == [
        Text(str(tmp_path / name), name) for name in ("a.yaml", "b.yml", "c.json")
    ]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a")
    assert read(file, tmp_path, file) == [Text(str(file), "a")]


def test_standard_input() -> None:
    assert read("-", standard_input=b"kind: x") == [Text("standard input", "kind: x")]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfkind: x")
    assert read(file) == [Text(str(file), "kind: x")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "{path}: No such file or directory"),
        (b"a: 1\nb: \xff", "{path}:2: not UTF-8 text"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    file = tmp_path / "a.yaml"
    if content is not None:
        file.write_bytes(content)
    assert [str(found) for found in read(file)] == [complaint.format(path=file)]


def test_a_folder_without_manifests(tmp_path: Path) -> None:
    assert [str(found) for found in read(tmp_path)] == [
        f"{tmp_path}: no file in it ends in .yaml, .yml, .json"
    ]


class TestFingerprint:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "a.yaml"
        file.write_text("one")
        os.utime(file, ns=(1, 1))
        return file

    def test_the_same_while_nothing_happens(self, file: Path) -> None:
        files = Files([str(file)])
        assert files.fingerprint() == files.fingerprint()

    def test_a_size(self, file: Path) -> None:
        files = Files([str(file)])
        before = files.fingerprint()
        file.write_text("three")
        os.utime(file, ns=(1, 1))
        assert files.fingerprint() != before

    def test_a_time(self, file: Path) -> None:
        files = Files([str(file)])
        before = files.fingerprint()
        os.utime(file, ns=(2, 2))
        assert files.fingerprint() != before

    def test_an_atomic_replacement_of_equal_size_and_time(self, file: Path) -> None:
        files = Files([str(file)])
        before = files.fingerprint()
        fresh = file.with_suffix(".new")
        fresh.write_text("two")
        os.utime(fresh, ns=(1, 1))
        fresh.replace(file)
        assert files.fingerprint() != before

    def test_a_link_that_is_swapped(self, file: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_text("two")
        os.utime(other, ns=(1, 1))
        link = tmp_path / "link.yaml"
        link.symlink_to(file)
        files = Files([str(link)])
        before = files.fingerprint()
        fresh = tmp_path / "fresh"
        fresh.symlink_to(other)
        fresh.replace(link)
        assert files.fingerprint() != before

    def test_a_file_that_goes_and_one_that_comes(self, file: Path, tmp_path: Path) -> None:
        files = Files([str(tmp_path)])
        before = files.fingerprint()
        (tmp_path / "b.yaml").write_text("b")
        both = files.fingerprint()
        file.unlink()
        assert len({before, both, files.fingerprint()}) == 3
