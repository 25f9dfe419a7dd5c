"""SCRAM-SHA-256: the RFC's vector, both halves against each other, and malformed messages."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.errors import InvariantError
from sluice_proxy.wire.scram import (
    MAX_ITERATIONS,
    Challenge,
    ClientExchange,
    ScramError,
    ServerExchange,
    WrongPassword,
    derive_client_keys,
    derive_verifier,
    mock_verifier,
    stable_salt,
)
from sluice_testing.scram import (
    CLIENT_FINAL,
    CLIENT_FIRST,
    CLIENT_NONCE,
    PENCIL,
    PENCIL_KEYS,
    SALT,
    SERVER_FINAL,
    SERVER_FIRST,
    SERVER_NONCE,
    server,
)

PEN = derive_verifier("pen", SALT)


def server_that_said_first() -> ServerExchange:
    exchange = server()
    exchange.first(CLIENT_FIRST)
    return exchange


def client_that_was_challenged() -> ClientExchange:
    exchange = ClientExchange("abc")
    exchange.first()
    exchange.server_first(b"r=abcdef,s=%b,i=4096" % base64.b64encode(SALT))
    return exchange


def test_server_speaks_the_example_of_the_rfc() -> None:
    exchange = server()
    assert exchange.first(CLIENT_FIRST) == SERVER_FIRST
    assert exchange.final(CLIENT_FINAL) == SERVER_FINAL
    assert exchange.matched == 0


def test_client_keys_make_the_proof_of_the_rfc() -> None:
    # The client half names no user, so its messages differ from the example's by the name.
    exchange = ClientExchange(CLIENT_NONCE)
    exchange._client_first = CLIENT_FIRST[3:]
    assert exchange.server_first(SERVER_FIRST) == Challenge(SALT, 4096)
    assert exchange.final(PENCIL_KEYS) == CLIENT_FINAL
    exchange.verify(SERVER_FINAL)


def test_client_names_no_user() -> None:
    assert ClientExchange("abc").first() == b"n,,n=,r=abc"


@pytest.mark.parametrize(("password", "matched"), [("new", 0), ("old", 1)])
def test_halves_agree_with_the_current_and_the_previous_password(
    password: str, matched: int
) -> None:
    verifiers = [derive_verifier("new", SALT, 2), derive_verifier("old", SALT, 2)]
    server, client = ServerExchange(verifiers, "server"), ClientExchange("client")
    challenge = client.server_first(server.first(client.first()))
    keys = derive_client_keys(password, challenge.salt, challenge.iterations)
    client.verify(server.final(client.final(keys)))
    assert server.matched == matched


@given(st.text(max_size=20), st.binary(min_size=1, max_size=64), st.integers(1, 5))
def test_halves_agree_on_any_password(password: str, salt: bytes, iterations: int) -> None:
    server = ServerExchange([derive_verifier(password, salt, iterations)], "server")
    client = ClientExchange("client")
    challenge = client.server_first(server.first(client.first()))
    assert challenge == Challenge(salt, iterations)
    client.verify(server.final(client.final(derive_client_keys(password, salt, iterations))))


def test_a_password_that_changed_to_itself_is_the_current_one() -> None:
    exchange = ServerExchange([PENCIL, PENCIL], SERVER_NONCE)
    exchange.first(CLIENT_FIRST)
    exchange.final(CLIENT_FINAL)
    assert exchange.matched == 0


def test_wrong_password() -> None:
    server, client = ServerExchange([PENCIL, PEN], "server"), ClientExchange("client")
    client.server_first(server.first(client.first()))
    with pytest.raises(WrongPassword):
        server.final(client.final(derive_client_keys("crayon", SALT, 4096)))
    assert server.matched == -1


def test_verifiers_must_share_the_salt() -> None:
    with pytest.raises(InvariantError):
        ServerExchange([PENCIL, derive_verifier("pencil", b"other")], "nonce")


def test_mock_verifier_is_stable_and_looks_like_a_real_one() -> None:
    """Pitfall 49: nothing that is shown before the proof tells which roles there are."""
    mock = mock_verifier("nobody", b"secret")
    assert mock == mock_verifier("nobody", b"secret")
    assert mock.salt == stable_salt("nobody", b"secret")
    assert mock.salt not in (stable_salt("other", b"secret"), stable_salt("nobody", b"other"))
    real = derive_verifier("x", stable_salt("somebody", b"secret"))
    assert (len(mock.salt), mock.iterations) == (len(real.salt), real.iterations)
    assert mock.stored_key != mock.server_key
    server = ServerExchange([mock], SERVER_NONCE)
    first = server.first(CLIENT_FIRST)
    client = ClientExchange(CLIENT_NONCE)
    challenge = client.server_first(first)
    with pytest.raises(WrongPassword):
        server.final(client.final(derive_client_keys("", challenge.salt, challenge.iterations)))


@pytest.mark.parametrize("secret", [b"pencil", SALT, PENCIL.stored_key, PENCIL_KEYS.client_key])
def test_keys_do_not_show_in_logs(secret: bytes) -> None:
    shown = f"{PENCIL!r} {PENCIL_KEYS!r} {[PENCIL]} {server()!r}"
    assert repr(secret)[2:-1] not in shown


@pytest.mark.parametrize(
    "message",
    [
        b"n,,n=user,r=abc",
        b"y,,n=user,r=abc",  # could bind; -PLUS was not offered, so this is the truth
        b"n,,n=,r=abc",
        b"n,,n=\xff=2C,r=abc",  # the name is ignored, whatever it is
        b"n,,n=user,r=abc,x=ignored,and so is this",
    ],
)
def test_server_takes_first(message: bytes) -> None:
    answer = server().first(message)
    assert answer.startswith(b"r=abc" + SERVER_NONCE.encode() + b",s=")


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"", "expected"),
        (b"n", "expected"),
        (b"n,", "expected"),
        (b"n,,", "'n' expected"),
        (b"x,,n=u,r=abc", "channel-binding flag"),
        (b"ny,,n=u,r=abc", "channel-binding flag"),
        (b"p=tls-server-end-point,,n=u,r=abc", "uses channel binding"),
        (b"n,a=admin,n=u,r=abc", "authorization identity"),
        (b"n,,m=must,n=u,r=abc", "extension"),
        (b"n,,n=u", "'r' expected"),
        (b"n,,r=abc,n=u", "'n' expected"),
        (b"n,,n=u,r=", "nonce"),
        (b"n,,n=u,r=a b", "nonce"),
        (b"n,,n=u,r=a\x80", "nonce"),
        (b"n,,n=u,r=" + b"a" * 1024, "1024"),
    ],
)
def test_server_refuses_first(message: bytes, problem: str) -> None:
    with pytest.raises(ScramError) as caught:
        server().first(message)
    assert problem in f"{caught.value.message}: {caught.value}"


PROOF = CLIENT_FINAL.rpartition(b",")[2]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"", "malformed"),
        (b"c=biws", "malformed"),
        (CLIENT_FINAL.rpartition(b",")[0], "malformed"),
        (CLIENT_FINAL.replace(b"c=biws", b"c=eSws"), "channel-binding"),
        (CLIENT_FINAL.replace(b"c=biws", b"c=biwsAAAA"), "channel-binding"),
        (CLIENT_FINAL.replace(b"c=biws", b"c="), "channel-binding"),
        (CLIENT_FINAL.replace(b"r=r", b"r=R"), "Nonce"),
        (CLIENT_FINAL.replace(b"$k0", b"$k"), "Nonce"),
        (CLIENT_FINAL.replace(PROOF, b"p="), "proof"),
        (CLIENT_FINAL.replace(PROOF, b"p=AAAA"), "proof"),
        (CLIENT_FINAL.replace(PROOF, PROOF + b"AAAA"), "proof"),
        (CLIENT_FINAL.replace(PROOF, PROOF[:-1] + b"\n="), "proof"),
        (CLIENT_FINAL.replace(PROOF, b"v=" + PROOF[2:]), "'p' expected"),
        (CLIENT_FINAL + b",x=after the proof", "'p' expected"),
        (CLIENT_FINAL.replace(b",p=", b",x=" + b"a" * 1024 + b",p="), "1024"),
    ],
)
def test_server_refuses_final(message: bytes, problem: str) -> None:
    with pytest.raises(ScramError) as caught:
        server_that_said_first().final(message)
    assert problem in f"{caught.value.message}: {caught.value}"


def test_server_signs_extensions_before_the_proof() -> None:
    # They are ignored, but part of what the proof is made of: this one was not.
    with pytest.raises(WrongPassword):
        server_that_said_first().final(CLIENT_FINAL.replace(b",p=", b",x=1,p="))


CHALLENGE = b"r=abcdef,s=AAAA,i=4096"


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"", "malformed"),
        (b"e=other-error", "malformed"),
        (CHALLENGE.replace(b"abcdef", b"abc"), "does not extend"),
        (CHALLENGE.replace(b"abcdef", b"abdef"), "does not extend"),
        (CHALLENGE.replace(b"abcdef", b""), "nonce"),
        (CHALLENGE.replace(b"abcdef", b"abc\x00d"), "nonce"),
        (CHALLENGE.replace(b"AAAA", b""), "salt"),
        (CHALLENGE.replace(b"AAAA", b"*"), "salt"),
        (CHALLENGE.replace(b"4096", b"0"), "iterations"),
        (CHALLENGE.replace(b"4096", b"-1"), "iteration"),
        (CHALLENGE.replace(b"4096", b""), "iteration"),
        (CHALLENGE.replace(b"4096", b"1e3"), "iteration"),
        (CHALLENGE.replace(b"4096", b"9" * 900), "iteration"),
        (CHALLENGE.replace(b"4096", str(MAX_ITERATIONS + 1).encode()), "iterations"),
        (b"m=must," + CHALLENGE, "extension"),
        (CHALLENGE + b",x=" + b"a" * 1024, "1024"),
    ],
)
def test_client_refuses_server_first(message: bytes, problem: str) -> None:
    """Pitfalls 47 and 49: bounded nonces and messages, and a cap on what a server may ask for."""
    client = ClientExchange("abc")
    with pytest.raises(ScramError, match=problem):
        client.server_first(message)


def test_client_takes_the_most_iterations_and_ignores_extensions() -> None:
    client = ClientExchange("abc")
    message = b"r=abcdef,s=AAAA,i=%d,x=1" % MAX_ITERATIONS
    assert client.server_first(message) == Challenge(bytes(3), MAX_ITERATIONS)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"", "'v' expected"),
        (b"e=invalid-proof", "invalid-proof"),
        (b"e=\xff\n", "refused"),
        (b"v=", "signature"),
        (b"v=AAAA", "signature"),
        (SERVER_FINAL, "does not know the password"),
        (SERVER_FINAL + b"x" * 1024, "1024"),
    ],
)
def test_client_refuses_server_final(message: bytes, problem: str) -> None:
    """Pitfall 49: the server must show that it knows the password, too."""
    client = client_that_was_challenged()
    client.final(PENCIL_KEYS)
    with pytest.raises(ScramError, match=problem):
        client.verify(message)


@pytest.mark.parametrize(
    "out_of_order",
    [
        lambda: server().final(CLIENT_FINAL),
        lambda: ClientExchange("abc").final(PENCIL_KEYS),
        lambda: client_that_was_challenged().verify(SERVER_FINAL),
    ],
)
def test_steps_out_of_order_are_our_own_bug(out_of_order: Callable[[], object]) -> None:
    with pytest.raises(InvariantError):
        out_of_order()


def mangled(message: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes, or `message` with a piece replaced by other bytes."""
    cut = st.tuples(st.integers(0, len(message)), st.integers(0, 5), st.binary(max_size=5))
    return st.one_of(
        st.binary(max_size=100),
        cut.map(lambda c: message[: c[0]] + c[2] + message[c[0] + c[1] :]),
    )


@given(mangled(CLIENT_FIRST))
def test_server_first_survives_anything(message: bytes) -> None:
    try:
        answer = server().first(message)
    except ScramError:
        return
    assert answer.startswith(b"r=")


@given(mangled(CLIENT_FINAL))
def test_server_final_lets_nothing_else_pass(message: bytes) -> None:
    exchange = server_that_said_first()
    try:
        answer = exchange.final(message)
    except (ScramError, WrongPassword):
        return
    # The last base64 digit of 32 bytes carries two unused bits; nothing else may differ.
    assert message[:-2] == CLIENT_FINAL[:-2]
    assert answer == SERVER_FINAL


@given(mangled(CHALLENGE), mangled(SERVER_FINAL))
def test_client_survives_anything(first: bytes, final: bytes) -> None:
    client = ClientExchange("abc")
    try:
        client.server_first(first)
    except ScramError:
        return
    client.final(PENCIL_KEYS)
    with pytest.raises(ScramError):
        client.verify(final)
