"""What the making of the cluster decides, as values: no cluster is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kube import hostsettings, kindcluster, machine, nodeimage, places
from kube.progress import Trouble

RULES_WITH_DOCKER = """\
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.9.0.0/16 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A INPUT -s 192.0.2.1/32 -j DROP
-A FORWARD -j DOCKER-USER
-A FORWARD -o br-0123456789ab -j ACCEPT
COMMIT
"""
RULES_WITHOUT = """\
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.9.0.0/16 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -s 192.0.2.1/32 -j DROP
COMMIT
"""


def test_others_rules_stay_when_dockers_go() -> None:
    assert machine.without_docker(RULES_WITH_DOCKER, "ACCEPT") == RULES_WITHOUT


def test_the_key_follows_contents_and_names_and_not_their_border(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    key = places.content_key(tmp_path, "x")
    assert key == places.content_key(tmp_path, "x")
    (tmp_path / "a").write_text("2")
    changed = places.content_key(tmp_path, "x")
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = places.content_key(tmp_path, "x")
    assert len({key, changed, renamed}) == 3
    assert places.content_key("ab", "c") != places.content_key("a", "bc")


def test_only_a_node_of_ours_is_told_of_its_registry_and_driver() -> None:
    ours = kindcluster.config(f"{nodeimage.REGISTRY}/node:1")
    public = kindcluster.config(nodeimage.PUBLIC)
    assert "cgroupDriver: cgroupfs" in ours
    assert f"imageRepository: {nodeimage.REGISTRY}" in ours
    assert "cgroupfs" not in public
    assert "imageRepository" not in public


def test_pip_in_a_build_is_told_what_pip_here_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text("a certificate")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_CERT", str(authority))
    monkeypatch.setenv("PIP_INDEX_URL", "http://packages.test/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/a/folder/of/wheels")
    handed = hostsettings.secrets(tmp_path)
    text = handed["pipconf"].read_text()
    assert "index-url = http://packages.test/simple\n" in text
    assert "cert = /run/secrets/ca\n" in text
    assert "wheels" not in text
    assert handed["ca"].read_text() == "a certificate"


@pytest.mark.parametrize("form", [["--bundle", "{}"], ["--bundle={}"]])
def test_the_runtime_asks_only_for_capabilities_that_are_held(
    form: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.json"
    wanted = ["CAP_SYS_RESOURCE", "CAP_NET_ADMIN"]
    config.write_text(json.dumps({"process": {"capabilities": {"bounding": wanted}}}))
    runc = tmp_path / "runc"
    runc.write_text("#!/bin/sh\necho runc got $*\n")
    runc.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    words = ["create", *(word.format(tmp_path) for word in form), "name"]
    wrapper = places.HERE / "engine" / "runc_as_held.py"
    done = subprocess.run(
        [sys.executable, wrapper, *words], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"runc got {' '.join(words)}\n"
    kept = json.loads(config.read_text())["process"]["capabilities"]["bounding"]
    assert kept == ["CAP_NET_ADMIN"]


def test_outside_names_are_denied_and_nothing_else_changes() -> None:
    before = ".:53 {\n    ready\n    forward . /etc/resolv.conf {\n       x 1\n    }\n    loop\n}\n"
    after = ".:53 {\n    ready\n    template ANY ANY {\n       rcode NXDOMAIN\n    }\n}\n"
    assert kindcluster.without_forward(before) == after
    with pytest.raises(Trouble, match="not configured as expected"):
        kindcluster.without_forward(after)
