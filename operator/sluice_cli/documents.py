"""From YAML (or JSON, which is YAML) to documents. What is said never quotes a value."""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from sluice_cli.complaints import Complaint
from sluice_cli.files import Text

# PyYAML quotes what it stumbles over, and that may be a password: `password: *x'.
# Names of its own tokens and single characters may stay.
_QUOTED = re.compile(r"""\s(['"])(?!<[a-z ]+>\1|(?:\\.|.)\1)(?:\\.|(?!\1).)+\1""")


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file, and the line where it begins."""

    file: str
    line: int
    content: dict[str, Any]

    @property
    def kind(self) -> Any:
        return self.content.get("kind")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, as the API server does: YAML 1.2, 3.2.1.3."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise _Twice(key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Twice(yaml.MarkedYAMLError):
    def __init__(self, key: yaml.ScalarNode):
        super().__init__(problem=f"the key {key.value} stands twice", problem_mark=key.start_mark)


def documents(text: Text) -> Iterator[Document | Complaint]:
    """Each object of `text`; the items of a List one by one. Ends where the YAML does."""
    try:
        for line, content in _contents(text.text):
            yield from _objects(text.file, line, content)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = text.file if mark is None else f"{text.file}:{mark.line + 1}"
        yield Complaint(place, f"not YAML: {_QUOTED.sub('', error.problem or 'malformed')}")
    except yaml.YAMLError:
        yield Complaint(text.file, "not YAML: it holds characters that YAML does not allow")
    except (ValueError, RecursionError):
        yield Complaint(text.file, "not YAML: it holds a value that cannot be read")


def _contents(text: str) -> Iterator[tuple[int, Any]]:
    """The documents as Python values, and the lines where they begin."""
    loader = _Loader(text)
    while loader.check_node():
        node = loader.get_node()
        if node is not None:
            yield node.start_mark.line + 1, loader.construct_document(node)


def _objects(file: str, line: int, content: Any) -> Iterator[Document | Complaint]:
    if content is None:
        return
    place = f"{file}:{line}"
    if not isinstance(content, dict):
        yield Complaint(place, "not an object with apiVersion and kind")
    elif content.get("kind") == "List" and isinstance(content.get("items"), list):
        for item in content["items"]:
            yield from _objects(file, line, item)
    elif not isinstance(content.get("kind"), str):
        yield Complaint(place, "kind: required")
    else:
        yield Document(file, line, content)
