"""The DatabaseProxies and Secrets among the documents; other kinds are passed over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice_cli.complaints import Complaint, Complaints
from sluice_cli.documents import Document, documents
from sluice_cli.files import Files, Text
from sluice_cli.secret_data import secret_data
from sluice_operator import names
from sluice_operator.api.manifest import InvalidManifest, parse
from sluice_operator.api.v1alpha1 import DatabaseProxy

DEFAULT_NAMESPACE = "default"

# RFC 1123 labels, as Kubernetes asks of namespaces; ours become part of a path.
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A DatabaseProxy and the file it stands in."""

    file: str
    manifest: DatabaseProxy

    @property
    def key(self) -> Key:
        return self.manifest.metadata.namespace, self.manifest.metadata.name

    @property
    def name(self) -> str:
        """`shop/orders`"""
        return "/".join(self.key)

    @property
    def subject(self) -> str:
        return f"{names.KIND} {self.name}"

    def complain(self, path: str, sentence: str, reason: str = "") -> Complaint:
        return Complaint(self.file, sentence, self.subject, path, reason)


@dataclass(frozen=True, slots=True)
class Secret:
    """The decoded data of a Secret and the file it stands in."""

    file: str
    data: Mapping[str, bytes] = field(repr=False)


@dataclass(slots=True)
class Manifests:
    """What the files hold, and everything that is wrong with them."""

    given: str
    proxies: dict[Key, Proxy] = field(default_factory=dict)
    secrets: dict[Key, Secret] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def secrets_of(self, namespace: str) -> dict[str, Mapping[str, bytes]]:
        return {name: s.data for (home, name), s in self.secrets.items() if home == namespace}

    def choose(self, name: str) -> Proxy:
        """The one DatabaseProxy, or the one called NAME or NAMESPACE/NAME. Raises Complaints."""
        found = [proxy for proxy in self.proxies.values() if _is_called(proxy, name)]
        if len(found) == 1:
            return found[0]
        if not found:
            called = f" called {name}" if name else ""
            raise Complaints([Complaint(self.given, f"no {names.KIND}{called} in it")])
        stand = ", ".join(f"{proxy.name} ({proxy.file})" for proxy in found)
        sentence = f"{len(found)} {names.KIND} objects: {stand}; choose one with --name"
        raise Complaints([Complaint(self.given, sentence)])


def load(files: Files) -> Manifests:
    """Everything in `files`, looked at one by one; how they fit together is not."""
    found = Manifests(str(files))
    for text in files.read():
        if isinstance(text, Text):
            for document in documents(text):
                _add(found, document)
        else:
            found.complaints.append(text)
    return found


def _add(found: Manifests, document: Document | Complaint) -> None:
    if isinstance(document, Complaint):
        found.complaints.append(document)
    elif document.kind == names.KIND:
        _add_proxy(found, document)
    elif document.kind == "Secret":
        _add_secret(found, document)


def _add_proxy(found: Manifests, document: Document) -> None:
    try:
        proxy = Proxy(document.file, parse(document.content, strict=True))
    except InvalidManifest as error:
        found.complaints.extend(_complaints(document, error.problems))
        return
    if not _NAMESPACE.fullmatch(proxy.key[0]):
        found.complaints.append(proxy.complain("metadata.namespace", "not a name of a namespace"))
    elif proxy.key in found.proxies:
        also = found.proxies[proxy.key].file
        found.complaints.append(proxy.complain("", f"stands twice, also in {also}"))
    else:
        found.proxies[proxy.key] = proxy


def _add_secret(found: Manifests, document: Document) -> None:
    key = _key(document.content)
    data, problems = secret_data(document.content)
    if not key[1]:
        problems = (("metadata.name", "required"), *problems)
    elif key in found.secrets:
        problems = (("", f"stands twice, also in {found.secrets[key].file}"), *problems)
    found.complaints.extend(_complaints(document, problems))
    if not problems:
        found.secrets[key] = Secret(document.file, data)


def _complaints(document: Document, problems: tuple[tuple[str, str], ...]) -> list[Complaint]:
    namespace, name = _key(document.content)
    subject = f"{document.kind} {namespace}/{name}" if name else str(document.kind)
    place = document.file if name else f"{document.file}:{document.line}"
    return [Complaint(place, sentence, subject, path) for path, sentence in problems]


def _key(content: Mapping[str, Any]) -> Key:
    """Namespace and name as they stand there, the name empty if none does."""
    metadata = content.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    return str(given.get("namespace") or DEFAULT_NAMESPACE), str(given.get("name") or "")


def _is_called(proxy: Proxy, name: str) -> bool:
    return name in ("", proxy.name, proxy.key[1])
