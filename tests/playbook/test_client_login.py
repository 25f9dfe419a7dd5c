"""A client's login as a conversation: what is asked, what is answered, how it ends."""

from collections.abc import Iterable
from typing import Any

import pytest

from sluice_proxy.errors import (
    AuthenticationFailed,
    ClientProtocolError,
    FeatureNotSupported,
    ProxyError,
    TLSRequired,
)
from sluice_proxy.pool.key import PoolKey
from sluice_proxy.session.client_login import (
    Door,
    Login,
    ReadPassword,
    ReadStartup,
    Send,
    StartTLS,
    Unwelcome,
    log_in,
)
from sluice_proxy.wire import messages, scram
from sluice_proxy.wire.startup import (
    CancelRequest,
    DirectTLS,
    GSSENCRequest,
    SSLRequest,
    Startup,
)

SALT = b"0123456789abcdef"
VERIFIER = scram.derive_verifier("secret", SALT, 4096)
OLD = scram.derive_verifier("old", SALT, 4096)
USER = Startup(0, {b"user": b"app"})


def verifiers(name: str) -> list[scram.Verifier]:
    return [VERIFIER, OLD] if name == "app" else [scram.mock_verifier(name, b"x" * 32)]


def door(
    *, offers_tls: bool = True, requires_tls: bool = False, binding: bytes | None = None
) -> Door:
    return Door(offers_tls, requires_tls, verifiers, lambda: "servernonce", binding)


class Talk:
    """Drives a login with answers; keeps what was sent. The outcome is a value or raised."""

    def __init__(self, at: Door) -> None:
        self.steps = log_in(at)
        self.sent = b""
        self.wanted = next(self.steps)
        self.outcome: Login | CancelRequest | None = None

    def give(self, answer: Any) -> "Talk":
        try:
            self.wanted = self.steps.send(answer)
            while isinstance(self.wanted, Send):
                self.sent += self.wanted.data
                self.wanted = self.steps.send(None)
        except StopIteration as stop:
            self.outcome = stop.value
        return self

    def give_all(self, answers: Iterable[Any]) -> "Talk":
        for answer in answers:
            self.give(answer)
        return self


def prove(
    talk: Talk, password: str = "secret", binding: scram.ChannelBinding = scram.UNBOUND
) -> Talk:
    client = scram.ClientExchange("clientnonce", binding)
    assert isinstance(talk.wanted, ReadPassword)
    talk.give(messages.sasl_initial_response(binding.mechanism, client.first())[5:])
    challenge = client.server_first(talk.sent[talk.sent.rindex(b"r=clientnonce") :])
    keys = scram.derive_client_keys(password, challenge.salt, challenge.iterations)
    talk.give(client.final(keys))
    assert isinstance(talk.outcome, Login)
    client.verify(talk.outcome.final[9:])
    return talk


def test_with_the_password() -> None:
    talk = Talk(door()).give(Startup(0, {b"user": b"app", b"database": b"shop"}))
    assert talk.sent == messages.authentication(10, b"SCRAM-SHA-256\0\0")
    outcome = prove(talk).outcome
    assert isinstance(outcome, Login)
    assert outcome.key == PoolKey("app", "shop")
    assert outcome.application_name is None
    assert not outcome.encrypted


def test_with_the_previous_password() -> None:
    assert prove(Talk(door()).give(USER), "old").outcome


def test_the_database_is_the_user_where_none_is_named() -> None:
    """Pitfall 42."""
    for parameters in ({b"user": b"app"}, {b"user": b"app", b"database": b""}):
        outcome = prove(Talk(door()).give(Startup(0, parameters))).outcome
        assert isinstance(outcome, Login)
        assert outcome.key.database == "app"


def test_parameters_choose_the_pool_but_for_those_that_do_not() -> None:
    parameters = {
        b"user": b"app",
        b"replication": b"off",
        b"application_name": b"cafe",
        b"_pq_.x": b"1",
        b"options": b"-c geqo=off",
        b"DateStyle": b"ISO",
    }
    outcome = prove(Talk(door()).give(Startup(0, parameters))).outcome
    assert isinstance(outcome, Login)
    assert outcome.key.parameters == ((b"DateStyle", b"ISO"), (b"options", b"-c geqo=off"))
    assert outcome.application_name == b"cafe"


def test_a_name_of_which_servers_make_different_things_is_left_to_the_server() -> None:
    parameters = {b"user": b"app", b"application_name": b"caf\xc3\xa9"}
    outcome = prove(Talk(door()).give(Startup(0, parameters))).outcome
    assert isinstance(outcome, Login)
    assert outcome.key.parameters == ((b"application_name", b"caf\xc3\xa9"),)
    assert outcome.application_name is None


def test_a_name_that_is_no_utf8_keeps_its_bytes() -> None:
    with pytest.raises(AuthenticationFailed):
        prove(Talk(door()).give(Startup(0, {b"user": b"\xff\xfe"})))


TLS_ORDERS = [
    ([SSLRequest()], b"", True),
    ([GSSENCRequest(), SSLRequest()], b"N", True),
    ([GSSENCRequest()], b"N", False),
]


@pytest.mark.parametrize(("asked", "answered", "encrypted"), TLS_ORDERS)
def test_asking_for_encryption(asked: list[Any], answered: bytes, encrypted: bool) -> None:
    talk = Talk(door())
    for packet in asked:
        talk.give(packet)
        if isinstance(packet, SSLRequest):
            assert talk.wanted == StartTLS(b"S")
            talk.give(None)
    assert talk.sent == answered
    outcome = prove(talk.give(USER)).outcome
    assert isinstance(outcome, Login)
    assert outcome.encrypted is encrypted


@pytest.mark.parametrize(
    "asked", [[SSLRequest(), GSSENCRequest()], [GSSENCRequest(), SSLRequest()], [SSLRequest()]]
)
def test_a_door_without_tls_says_no_and_goes_on(asked: list[Any]) -> None:
    talk = Talk(door(offers_tls=False)).give_all(asked)
    assert talk.sent == b"N" * len(asked)
    assert prove(talk.give(USER)).outcome


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ([SSLRequest(), None, SSLRequest()], "1234.5679"),
        ([GSSENCRequest(), GSSENCRequest()], "1234.5680"),
        ([SSLRequest(), None, GSSENCRequest()], "1234.5680"),
        ([GSSENCRequest(), SSLRequest(), None, GSSENCRequest()], "1234.5680"),
        ([DirectTLS(), "postgresql", SSLRequest(), SSLRequest()], "1234.5679"),
        ([DirectTLS(), "postgresql", GSSENCRequest(), GSSENCRequest()], "1234.5680"),
    ],
)
def test_asking_twice_is_refused(asked: list[Any], version: str) -> None:
    """Pitfall 41: each at most once; a second is a version that nobody speaks."""
    with pytest.raises(FeatureNotSupported) as caught:
        Talk(door()).give_all(asked)
    told = f"unsupported frontend protocol {version}: server supports 3.0 to 3.2"
    assert caught.value.message == told


def test_direct_tls() -> None:
    talk = Talk(door(requires_tls=True)).give(DirectTLS())
    assert talk.wanted == StartTLS(b"")
    outcome = prove(talk.give("postgresql").give(USER)).outcome
    assert isinstance(outcome, Login)
    assert outcome.encrypted


def test_asking_for_encryption_within_direct_tls_is_declined() -> None:
    talk = Talk(door()).give_all([DirectTLS(), "postgresql", GSSENCRequest(), SSLRequest()])
    assert talk.sent == b"NN"
    outcome = prove(talk.give(USER)).outcome
    assert isinstance(outcome, Login)
    assert outcome.encrypted


@pytest.mark.parametrize("protocol", [None, "http/1.1", ""])
def test_direct_tls_for_another_protocol_is_not_answered(protocol: str | None) -> None:
    """Pitfall 41: PostgreSQL requires ALPN there, and says nothing to whom does without."""
    with pytest.raises(Unwelcome, match="ALPN"):
        Talk(door()).give_all([DirectTLS(), protocol])


def test_direct_tls_without_a_certificate_is_not_answered() -> None:
    with pytest.raises(Unwelcome):
        Talk(door(offers_tls=False)).give(DirectTLS())


@pytest.mark.parametrize("protocol", [None, "postgresql"])
def test_after_an_ssl_request_alpn_may_be_missing(protocol: str | None) -> None:
    assert prove(Talk(door()).give_all([SSLRequest(), protocol, USER])).outcome


BINDING = b"hash of our certificate"


class TestChannelBinding:
    """Pitfall 46: -PLUS is offered over TLS alone, and only if the certificate allows it."""

    OVER_TLS = (
        [SSLRequest(), None, USER],
        [DirectTLS(), "postgresql", USER],
    )

    @pytest.mark.parametrize("packets", OVER_TLS)
    def test_over_tls(self, packets: list[Any]) -> None:
        talk = Talk(door(binding=BINDING)).give_all(packets)
        assert talk.sent == messages.authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
        assert prove(talk, binding=scram.bound_to(BINDING)).outcome

    def test_over_tls_it_is_not_forced_on_anybody(self) -> None:
        talk = Talk(door(binding=BINDING)).give_all([SSLRequest(), None, USER])
        assert prove(talk).outcome

    @pytest.mark.parametrize(("binding", "packets"), [(None, OVER_TLS[0]), (BINDING, [USER])])
    def test_is_not_offered(self, binding: bytes | None, packets: list[Any]) -> None:
        talk = Talk(door(binding=binding)).give_all(packets)
        assert talk.sent == messages.authentication(10, b"SCRAM-SHA-256\0\0")
        plus = messages.sasl_initial_response(b"SCRAM-SHA-256-PLUS", b"p=x,,n=,r=abc")
        with pytest.raises(ClientProtocolError, match="invalid SASL authentication mechanism"):
            talk.give(plus[5:])

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            (scram.NOT_OFFERED, "SCRAM channel binding negotiation error"),
            (scram.bound_to(b"another certificate"), "SCRAM channel binding check failed"),
        ],
    )
    def test_somebody_in_between_is_found_out(
        self, said: scram.ChannelBinding, message: str
    ) -> None:
        talk = Talk(door(binding=BINDING)).give_all(self.OVER_TLS[0])
        with pytest.raises(ClientProtocolError) as caught:
            prove(talk, binding=said)
        fields = caught.value.fields()
        assert (fields.sqlstate, fields.message) == ("28000", message)
        assert fields.detail


def test_the_first_message_may_come_after_the_mechanism() -> None:
    talk = Talk(door()).give(USER)
    talk.give(b"SCRAM-SHA-256\0\xff\xff\xff\xff")
    assert talk.sent.endswith(messages.authentication(11))
    talk.give(b"n,,n=,r=abc")
    assert b"r=abcservernonce" in talk.sent


def test_in_clear_where_tls_is_required() -> None:
    with pytest.raises(TLSRequired, match="This RDS Proxy requires TLS connections") as caught:
        Talk(door(requires_tls=True)).give(USER)
    assert caught.value.sqlstate == "28000"


def test_encrypted_where_tls_is_required() -> None:
    talk = Talk(door(requires_tls=True)).give_all([SSLRequest(), None, USER])
    assert prove(talk).outcome


@pytest.mark.parametrize("before", [[], [SSLRequest(), None], [GSSENCRequest()]])
def test_a_cancel_request_needs_neither_tls_nor_password(before: list[Any]) -> None:
    talk = Talk(door(requires_tls=True)).give_all([*before, CancelRequest(7, b"key!")])
    assert talk.outcome == CancelRequest(7, b"key!")


@pytest.mark.parametrize(("user", "password"), [(b"app", "wrong"), (b"nobody", "secret")])
def test_wrong_password_and_unknown_role_are_one_answer(user: bytes, password: str) -> None:
    """Pitfalls 45 and 49: FATAL 28P01, after the whole exchange, whoever it is."""
    talk = Talk(door()).give(Startup(0, {b"user": user}))
    with pytest.raises(AuthenticationFailed) as caught:
        prove(talk, password)
    name = user.decode()
    expected = (
        f'password authentication failed for user "{name}": '
        f"The password that was provided for the role {name} is wrong."
    )
    assert caught.value.message == expected
    assert caught.value.sqlstate == "28P01"


@pytest.mark.parametrize("parameters", [{}, {b"user": b""}, {b"database": b"x"}])
def test_without_a_user(parameters: dict[bytes, bytes]) -> None:
    """Pitfall 42."""
    with pytest.raises(ProxyError, match="user name is missing") as caught:
        Talk(door()).give(Startup(0, parameters))
    assert caught.value.sqlstate == "28000"


@pytest.mark.parametrize("value", [b"true", b"on", b"database", b"1", b"YES", b"Tr"])
def test_replication_is_refused(value: bytes) -> None:
    with pytest.raises(FeatureNotSupported, match="streaming replication") as caught:
        Talk(door()).give(Startup(0, {b"user": b"app", b"replication": value}))
    assert caught.value.hint


@pytest.mark.parametrize("value", [b"false", b"OFF", b"0", b"no", b"n", b"f"])
def test_no_replication_is_an_ordinary_login(value: bytes) -> None:
    assert prove(Talk(door()).give(Startup(0, {b"user": b"app", b"replication": value}))).outcome


@pytest.mark.parametrize("value", [b"", b"maybe", b"o", b"DATABASE", b"\xff"])
def test_replication_is_a_boolean_or_the_word_database(value: bytes) -> None:
    with pytest.raises(ProxyError, match='invalid value for parameter "replication"') as caught:
        Talk(door()).give(Startup(0, {b"user": b"app", b"replication": value}))
    assert caught.value.sqlstate == "22023"


@pytest.mark.parametrize(
    ("minor", "options", "told"),
    [
        (0, {b"_pq_.x": b"1"}, (0, [b"_pq_.x"])),
        (1, {b"_pq_.x": b"1"}, (1, [b"_pq_.x"])),
        (2, {b"_pq_.x": b"1"}, (2, [b"_pq_.x"])),
        (3, {}, (2, [])),
        (9999, {b"_pq_.a": b"", b"_pq_.b": b""}, (2, [b"_pq_.a", b"_pq_.b"])),
    ],
)
def test_what_is_not_known_is_negotiated_before_the_password(
    minor: int, options: dict[bytes, bytes], told: tuple[int, list[bytes]]
) -> None:
    """Pitfall 43: newer versions and unknown options are told once, before authentication."""
    talk = Talk(door()).give(Startup(minor, {b"user": b"app", **options}))
    negotiation = messages.negotiate_protocol_version(*told)
    assert talk.sent == negotiation + messages.authentication(10, b"SCRAM-SHA-256\0\0")
    assert talk.sent.count(negotiation) == 1
    sent = talk.sent
    assert prove(talk).outcome
    assert talk.sent.removeprefix(sent)[:1] == b"R", "nothing is negotiated again"


@pytest.mark.parametrize("minor", [0, 1, 2])
def test_versions_that_are_spoken_are_not_negotiated(minor: int) -> None:
    talk = Talk(door()).give(Startup(minor, {b"user": b"app"}))
    assert talk.sent == messages.authentication(10, b"SCRAM-SHA-256\0\0")


@pytest.mark.parametrize(("minor", "size"), [(0, 4), (1, 4), (2, 32), (3, 32), (9999, 32)])
def test_the_size_of_the_cancel_key_goes_with_the_version(minor: int, size: int) -> None:
    """Pitfall 44: what a client speaks has nothing to do with what the server speaks."""
    outcome = prove(Talk(door()).give(Startup(minor, {b"user": b"app"}))).outcome
    assert isinstance(outcome, Login)
    assert outcome.key_size == size


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "malformed SASLInitialResponse"),
        (b"SCRAM-SHA-256\0\0\0\0\x09n,,", "malformed SASLInitialResponse"),
        (b"PLAIN\0\0\0\0\1x", "invalid SASL authentication mechanism"),
        (b"SCRAM-SHA-256-PLUS\0\0\0\0\1x", "invalid SASL authentication mechanism"),
        (b"SCRAM-SHA-256\0\0\0\0\4junk", "malformed SCRAM message"),
        (b"SCRAM-SHA-256\0\0\0\0\x18p=tls-unique,,n=,r=abcdefg", "malformed"),
        (b"SCRAM-SHA-256\0\0\0\0\x0dn,a=x,n=,r=ab", "authorization identity"),
    ],
)
def test_a_malformed_first_message(answer: bytes, words: str) -> None:
    with pytest.raises(ClientProtocolError, match=words):
        Talk(door()).give(USER).give(answer)


@pytest.mark.parametrize("answer", [b"", b"junk", b"c=biws,r=other,p=AAAA", b"c=biws"])
def test_a_malformed_second_message(answer: bytes) -> None:
    talk = Talk(door()).give(USER)
    talk.give(messages.sasl_initial_response(b"SCRAM-SHA-256", b"n,,n=,r=abc")[5:])
    with pytest.raises(ProxyError) as caught:
        talk.give(answer)
    assert caught.value.sqlstate in ("08P01", "28P01")


def test_the_first_that_is_wanted_is_a_startup_packet() -> None:
    assert Talk(door()).wanted == ReadStartup()
