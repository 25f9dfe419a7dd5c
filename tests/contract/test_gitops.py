"""The examples of the pages on GitOps and installation; tests/cluster has the tools' own word."""

import re
from pathlib import Path
from typing import Any

from sluice_operator import names
from sluice_operator.api.manifest import parse
from sluice_testing import pages

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEALTH = f"resource.customizations.health.{names.GROUP}_{names.KIND}"


def objects(page: str) -> list[dict[str, Any]]:
    return pages.objects(DOCS / page)


def test_every_example_is_an_object() -> None:
    kinds = [example["kind"] for example in objects("gitops.md")]
    assert len(kinds) >= 8
    assert {"DatabaseProxy", "Application", "HelmRelease", "OCIRepository"} <= set(kinds)
    kinds = [example["kind"] for example in objects("install.md")]
    assert kinds == ["Kustomization", "NetworkPolicy"]


def test_the_proxies_of_the_examples_are_good_ones() -> None:
    (proxy,) = (example for example in objects("gitops.md") if example["kind"] == names.KIND)
    parse(proxy, strict=True)
    # The rule of the page: an autoscaler owns it.
    assert "replicas" not in proxy["spec"]


def references(document: Any) -> list[dict[str, Any]]:
    """Whatever, at any depth, names a kind by kind and name."""
    if isinstance(document, list):
        return [found for item in document for found in references(item)]
    if not isinstance(document, dict):
        return []
    below = [found for item in document.values() for found in references(item)]
    return [document, *below] if {"kind", "apiVersion", "name"} <= document.keys() else below


def test_what_speaks_of_a_proxy_means_the_one_of_the_page() -> None:
    found = [ref for ref in references(objects("gitops.md")) if ref["kind"] == names.KIND]
    assert len(found) == 2
    for reference in found:
        assert (reference["apiVersion"], reference["name"]) == (names.API_VERSION, "orders")
    specs = [example.get("spec", {}) for example in objects("gitops.md")]
    ignored = [rule for spec in specs for rule in spec.get("ignoreDifferences", ())]
    assert [(rule["group"], rule["kind"]) for rule in ignored] == [(names.GROUP, names.KIND)]


def test_the_key_of_argo_cd_is_that_of_our_kind() -> None:
    assert len(re.findall(re.escape(HEALTH) + "=", (DOCS / "gitops.md").read_text())) == 2
    script = DOCS / "gitops" / "argocd" / "health.lua"
    assert HEALTH in script.read_text().splitlines()[0]
