"""SCRAM-SHA-256-PLUS: both halves agree on the channel that they speak on, or not at all."""

import base64
import hashlib
import hmac

import pytest

from sluice_proxy.wire.scram import (
    NOT_OFFERED,
    UNBOUND,
    ChannelBinding,
    ClientExchange,
    ScramError,
    ServerExchange,
    bound_to,
)
from sluice_testing.scram import CLIENT_FINAL, CLIENT_FIRST, PENCIL, PENCIL_KEYS, SALT, server

BINDING = b"hash of the certificate"


def agree(client: ClientExchange, server: ServerExchange) -> None:
    """Both halves, password and all. Raises ScramError where they do not agree."""
    client.server_first(server.first(client.first()))
    client.verify(server.final(client.final(PENCIL_KEYS)))


def test_server_compares_the_flag_that_was_sent() -> None:
    """Pitfall 46: `c=` is compared whole; "n" is not "y"."""
    exchange = server()
    exchange.first(b"y" + CLIENT_FIRST[1:])
    with pytest.raises(ScramError) as caught:
        exchange.final(CLIENT_FINAL)
    assert caught.value.message.startswith("unexpected SCRAM channel-binding attribute")


def test_halves_agree_on_a_channel() -> None:
    client = ClientExchange("client", bound_to(BINDING))
    assert client.first() == b"p=tls-server-end-point,,n=,r=client"
    agree(client, ServerExchange([PENCIL], "server", BINDING, plus=True))


def test_the_proof_of_a_bound_login_is_that_of_the_rfc() -> None:
    """RFC 5802 3 and RFC 5929, step by step with nothing of the module."""
    client = ClientExchange("cn", bound_to(BINDING))
    client.first()
    first = b"r=cnsn,s=%b,i=4096" % base64.b64encode(SALT)
    client.server_first(first)
    bare = b"c=" + base64.b64encode(b"p=tls-server-end-point,," + BINDING) + b",r=cnsn"
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", SALT, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signed = b"n=,r=cn," + first + b"," + bare
    mask = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, mask, strict=True))
    assert client.final(PENCIL_KEYS) == bare + b",p=" + base64.b64encode(proof)


@pytest.mark.parametrize("offered", [None, BINDING])
def test_who_does_not_bind_need_not(offered: bytes | None) -> None:
    agree(ClientExchange("client", UNBOUND), ServerExchange([PENCIL], "server", offered))


def test_who_could_bind_may_say_so_where_it_is_not_offered() -> None:
    agree(ClientExchange("client", NOT_OFFERED), ServerExchange([PENCIL], "server"))


@pytest.mark.parametrize(
    ("said", "offered", "plus", "message", "sqlstate"),
    [
        (NOT_OFFERED, BINDING, False, "SCRAM channel binding negotiation error", "28000"),
        (bound_to(b"other"), BINDING, True, "SCRAM channel binding check failed", "28000"),
        (bound_to(BINDING[:-1]), BINDING, True, "SCRAM channel binding check failed", "28000"),
        (bound_to(BINDING), BINDING, False, "malformed SCRAM message", "08P01"),
        (bound_to(BINDING), None, False, "malformed SCRAM message", "08P01"),
        (UNBOUND, BINDING, True, "malformed SCRAM message", "08P01"),
        (NOT_OFFERED, BINDING, True, "malformed SCRAM message", "08P01"),
        (
            ChannelBinding(b"p=tls-unique", BINDING), BINDING, True,
            'unsupported SCRAM channel-binding type "tls-unique"', "08P01",
        ),
        (
            ChannelBinding(b"p=\xff", BINDING), BINDING, True,
            'unsupported SCRAM channel-binding type "\\xff"', "08P01",
        ),
    ],
)  # fmt: skip
def test_channels_that_do_not_agree(
    said: ChannelBinding, offered: bytes | None, plus: bool, message: str, sqlstate: str
) -> None:
    """Pitfall 46: a downgrade, another certificate, another type of binding."""
    with pytest.raises(ScramError) as caught:
        agree(ClientExchange("client", said), ServerExchange([PENCIL], "server", offered, plus))
    assert (caught.value.message, caught.value.sqlstate) == (message, sqlstate)


def test_the_mechanism_goes_with_the_binding() -> None:
    assert bound_to(BINDING).mechanism == b"SCRAM-SHA-256-PLUS"
    assert UNBOUND.mechanism == NOT_OFFERED.mechanism == b"SCRAM-SHA-256"
