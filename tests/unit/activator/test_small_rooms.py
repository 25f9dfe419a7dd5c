"""Hello, the account, the command line, the address of a client: small things."""

import socket
import ssl
from pathlib import Path

import pytest

from sluice_activator.__main__ import main, settings, watched
from sluice_activator.hello import proxy_of
from sluice_activator.kubernetes.account import in_cluster
from sluice_activator.sockets import plain
from sluice_activator.trial import Client
from sluice_testing.certificates import Authority

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.mark.parametrize(
    ("datagram", "proxy"),
    [
        (b"sluice shop/orders", ("shop", "orders")),
        (b"sluice shop/", None),
        (b"sluice /orders", None),
        (b"sluice shop", None),
        (b"shop/orders", None),
        (b"", None),
    ],
)
def test_hello(datagram: bytes, proxy: tuple[str, str] | None) -> None:
    assert proxy_of(datagram) == proxy


@pytest.mark.parametrize(
    ("told", "expected"),
    [("", ()), ("shop", ("shop",)), (" shop, garden,,shop ", ("shop", "garden"))],
)
def test_the_namespaces_to_watch(told: str, expected: tuple[str, ...]) -> None:
    assert watched({"SLUICE_WATCH_NAMESPACES": told}) == expected


def test_what_a_pod_is_told() -> None:
    chosen = settings([], POD)
    assert (chosen.account.host, chosen.account.port) == ("10.96.0.1", 443)
    assert (chosen.admin_port, chosen.hello_port, chosen.pod_port) == (9127, 9128, 5433)
    assert (chosen.host, chosen.linger, chosen.own) == ("", 15.0, "")
    assert settings([], {**POD, "SLUICE_POD_IP": "10.0.0.9"}).own == "10.0.0.9"


def test_outside_of_a_cluster_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main([]) == 1
    assert "KUBERNETES_SERVICE_HOST" in capsys.readouterr().err


def test_token_and_ca_are_read_again(tmp_path: Path) -> None:
    account = in_cluster(POD, tmp_path)
    for number in range(2):
        (tmp_path / "token").write_text(f"token-{number}\n")
        (tmp_path / "ca.crt").write_text(Authority(f"CA {number}").pem)
        assert account.token() == f"token-{number}"
        [ca] = account.context().get_ca_certs()
        assert f"CA {number}" in str(ca["subject"])
        assert account.context() is account.context()
    assert account.context().verify_mode is ssl.CERT_REQUIRED
    assert account.context().check_hostname


def test_the_address_of_a_client() -> None:
    with socket.socket() as sock:
        assert Client(sock, ("10.0.0.1", 5), 0.0).peer == "10.0.0.1:5"
        assert Client(sock, ("2001:db8::1", 5), 0.0).peer == "[2001:db8::1]:5"
    assert plain("::ffff:10.0.0.1") == "10.0.0.1"
    assert plain("2001:db8::1") == "2001:db8::1"
