"""SCRAM-SHA-256-PLUS on both sides: the login is bound to the certificate that was seen."""

import re
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from sluice_proxy.config import Certificate, Target, TargetTLS
from sluice_testing.certificates import Authority, Leaf, Trust
from sluice_testing.door import Door
from sluice_testing.fixtures import DoorOf, MakeConfig, StartProxy
from sluice_testing.postgres import Postgres
from sluice_testing.raw import Refused, message, startup
from sluice_testing.relay import relay
from sluice_testing.stories import every_major


@every_major
@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_libpq_binds_to_the_proxy(door: Door, negotiation: str) -> None:
    """Pitfall 46; the proxy binds to the server as well, which has the same certificate's kind."""
    with door.connect(channel_binding="require", sslnegotiation=negotiation) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_in_clear_it_is_not_offered(door: Door) -> None:
    with door.knock() as client:
        client.send(startup(user="app"))
        assert client.read().body[4:] == b"SCRAM-SHA-256\0\0"


def test_over_tls_it_is_offered_and_need_not_be_taken(door: Door) -> None:
    with door.knock() as client:
        client.start_tls(door.tls_context())
        client.send(startup(user="app"))
        assert client.read().body[4:] == b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    with door.raw(tls=True) as client:
        assert client.value("SELECT 1") == "1"


FIRST = [
    (b"SCRAM-SHA-256", b"y,,n=,r=abc"),
    (b"SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=abc"),
    (b"SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=abc"),
    (b"SCRAM-SHA-256-PLUS", b"n,,n=,r=abc"),
    (b"SCRAM-SHA-256-PLUS", b"y,,n=,r=abc"),
    (b"SCRAM-SHA-256", b"n,a=admin,n=,r=abc"),
    (b"SCRAM-SHA-256", b"n,,m=x,n=,r=abc"),
    (b"SCRAM-SHA-1", b"n,,n=,r=abc"),
]


@pytest.mark.parametrize(("mechanism", "first"), FIRST)
def test_what_is_refused_is_refused_as_by_postgres(
    door: Door, server: Postgres, door_of: DoorOf, mechanism: bytes, first: bytes
) -> None:
    """Pitfall 46: downgrades, other types of binding, and what else does not fit."""
    told = []
    for at in (door, door_of(server)):
        with at.knock() as client:
            client.start_tls(at.tls_context())
            client.send(startup(user="app"))
            client.read()
            client.send(message("p", mechanism + b"\0", len(first).to_bytes(4, "big"), first))
            [error] = client.read_until("E")
            told.append({key: error.fields[key] for key in "SVCM"})
    assert told[0] == told[1]


def test_somebody_between_client_and_proxy_is_found_out(door: Door, trust: Trust) -> None:
    """Pitfall 46: a certificate that the client trusts, and that is not the proxy's."""
    leaf = trust.authority.issue("127.0.0.1")
    with relay(door.host, door.port, leaf) as (host, port):
        behind = Door(host, port, door.ca_file)
        with behind.connect(channel_binding="disable") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="channel binding check failed"):
            behind.connect(channel_binding="require")


def test_somebody_between_proxy_and_server_is_found_out(
    server: Postgres,
    trust: Trust,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    door_of: DoorOf,
) -> None:
    """The proxy binds, too: here it does not even look at the certificate otherwise."""
    leaf = trust.authority.issue("127.0.0.1")
    with relay(server.host, server.port, leaf) as (host, port):
        config = make_config(
            server, borrow=1, targets=(Target(host, port),), target_tls=TargetTLS("Require")
        )
        door = door_of(start_proxy(config, ready=False))
        with pytest.raises(Refused, match="channel binding check failed"), door.raw() as client:
            client.value("SELECT 1")


RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
SIGNED_BY = [(RSA, hashes.SHA256()), (RSA, hashes.SHA512()), (P384, hashes.SHA384())]


@pytest.mark.parametrize(("key", "algorithm"), SIGNED_BY)
def test_certificates_with_any_hash_on_both_sides(
    own_server: Postgres,
    trust: Trust,
    make_config: MakeConfig,
    start_proxy: StartProxy,
    tmp_path: Any,
    key: Any,
    algorithm: hashes.HashAlgorithm,
) -> None:
    """Pitfall 46: the hash of a certificate is that of its signature."""
    authority = Authority("other", key, algorithm)
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    leaf = authority.issue("localhost", "127.0.0.1")
    own_server.use_certificate(leaf)
    own_server.restart()
    config = make_config(
        own_server,
        target_tls=TargetTLS("VerifyFull", authority.pem),
        certificate=certificate(leaf),
    )
    proxy = start_proxy(config)
    with Door(proxy.host, proxy.port, str(ca)).connect(channel_binding="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_certificate_without_a_hash_lets_logins_be_unbound(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, tmp_path: Any
) -> None:
    """Pitfall 46: undefined for Ed25519, so that it is not offered."""
    authority = Authority("other", ed25519.Ed25519PrivateKey.generate(), None)
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    leaf = authority.issue("localhost", "127.0.0.1")
    proxy = start_proxy(make_config(server, certificate=certificate(leaf)))
    door = Door(proxy.host, proxy.port, str(ca))
    with door.connect(channel_binding="prefer") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    refusal = re.escape("server did not offer an authentication method that supports channel")
    with pytest.raises(psycopg.OperationalError, match=refusal):
        door.connect(channel_binding="require")


def test_a_new_certificate_is_bound_to_at_once(
    server: Postgres, make_config: MakeConfig, start_proxy: StartProxy, door_of: DoorOf
) -> None:
    first, second = make_config(server), make_config(server)
    proxy = start_proxy(first)
    proxy.reload(second)
    with door_of(proxy).connect(channel_binding="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def certificate(leaf: Leaf) -> Certificate:
    return Certificate(leaf.chain, leaf.private_key)
