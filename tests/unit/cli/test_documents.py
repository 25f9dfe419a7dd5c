"""YAML in, documents or complaints with a line out."""

import pytest

from sluice_cli.complaints import Complaint
from sluice_cli.documents import Document, documents
from sluice_cli.files import Text


def found(text: str) -> list[Document | Complaint]:
    return list(documents(Text("a.yaml", text)))


def complaints(text: str) -> list[str]:
    return [str(item) for item in found(text) if isinstance(item, Complaint)]


def test_documents_know_their_lines() -> None:
    text = "# the first\nkind: A\n---\n---\nkind: B\nx: 1\n"
    assert found(text) == [
        Document("a.yaml", 2, {"kind": "A"}),
        Document("a.yaml", 5, {"kind": "B", "x": 1}),
    ]


def test_json_is_yaml() -> None:
    assert found('{"kind": "A", "x": [1]}') == [Document("a.yaml", 1, {"kind": "A", "x": [1]})]


def test_the_items_of_a_list() -> None:
    [one, other] = found("kind: List\nitems:\n- kind: A\n- kind: B\n")
    assert [one.kind, other.kind] == ["A", "B"]  # type: ignore[union-attr]


def test_anchors_and_merges_are_no_keys_that_stand_twice() -> None:
    [document] = found("kind: A\nx: &x {a: 1}\ny: {<<: *x, b: 2}\nz: {<<: *x, a: 3}\n")
    assert isinstance(document, Document)
    assert document.content["y"] == {"a": 1, "b": 2}
    assert document.content["z"] == {"a": 3}


def test_nothing() -> None:
    assert found("") == found("# nothing\n---\n") == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kind: A\n b: 1", "a.yaml:2: not YAML: mapping values are not allowed here"),
        (
            "kind: A\n\tb: 1",
            "a.yaml:2: not YAML: found character '\\t' that cannot start any token",
        ),
        ("kind: A\nx: [1", "a.yaml:2: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("kind: A\nkind: B", "a.yaml:2: not YAML: the key kind stands twice"),
        ("kind: A\nx: {y: {z: 1, z: 2}}", "a.yaml:2: not YAML: the key z stands twice"),
        ("kind: A\nx: 2024-13-45", "a.yaml: not YAML: it holds a value that cannot be read"),
        ("x: " + "[" * 1500, "a.yaml: not YAML: it holds a value that cannot be read"),
        ("x: \x01", "a.yaml: not YAML: it holds characters that YAML does not allow"),
        ("- kind: A", "a.yaml:1: not an object with apiVersion and kind"),
        ("only words", "a.yaml:1: not an object with apiVersion and kind"),
        ("---\nx: 1", "a.yaml:2: kind: required"),
        ("kind: List\nitems: [1]", "a.yaml:1: not an object with apiVersion and kind"),
    ],
)
def test_what_is_wrong(text: str, complaint: str) -> None:
    assert complaints(text) == [complaint]


@pytest.mark.parametrize(
    "value", ["*s3cret", "!s3cret", "!s3cret!x y", "a\n b: s3cret: x", "%s3cret"]
)
def test_a_value_is_never_quoted(value: str) -> None:
    [complaint] = complaints(f"kind: Secret\nstringData:\n  password: {value}\n")
    assert "s3cret" not in complaint


def test_documents_before_the_mistake_are_given() -> None:
    assert len(found("kind: A\n---\nkind: [")) == 2
