"""What the proxy is known by: its leaf certificate, and the protocol that TLS agrees on."""

import ssl
import warnings

import pytest

from sluice_proxy.config import Certificate, TargetTLS
from sluice_proxy.errors import ConfigError
from sluice_proxy.transport.contexts import client_context, identity_of, peer_context
from sluice_proxy.wire.channel_binding import server_end_point
from sluice_testing.certificates import Authority

AUTHORITY = Authority()
LEAF = AUTHORITY.issue("orders.shop.svc")
CHAIN = Certificate(f"subject=/CN=orders\n{LEAF.chain}{AUTHORITY.pem}", LEAF.private_key)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """In memory; the client's side of it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname="orders.shop.svc")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    sides = [here, there]
    while sides:
        side = sides.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            sides.append(side)
    return here


def test_the_leaf_is_what_clients_see() -> None:
    identity = identity_of(CHAIN)
    seen = shake_hands(peer_context(), identity.context).getpeercert(binary_form=True)
    assert seen == identity.leaf == ssl.PEM_cert_to_DER_cert(LEAF.chain)
    assert identity.binding == server_end_point(identity.leaf)


def test_servers_clients_and_peers_agree_on_the_protocol() -> None:
    server = identity_of(CHAIN).context
    to_server = client_context(TargetTLS("VerifyFull", AUTHORITY.pem))
    assert to_server is not None
    for client in (peer_context(), to_server):
        assert shake_hands(client, server).selected_alpn_protocol() == "postgresql"


def test_without_alpn_there_is_a_handshake_all_the_same() -> None:
    client = ssl.create_default_context(cadata=AUTHORITY.pem)
    assert shake_hands(client, identity_of(CHAIN).context).selected_alpn_protocol() is None


def test_a_chain_that_is_none() -> None:
    with warnings.catch_warnings(), pytest.raises(ConfigError, match="certificate"):
        identity_of(Certificate("-----BEGIN CERTIFICATE-----\nxyz", LEAF.private_key))
