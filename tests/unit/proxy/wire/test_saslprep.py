"""SASLprep: RFC 4013's examples, and PostgreSQL's fallback to the raw bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.wire.saslprep import saslprep


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("", b""),
        ("pencil", b"pencil"),
        ("I\u00adX", b"IX"),  # RFC 4013 3, example 1: soft hyphen maps to nothing
        ("USER", b"USER"),  # example 3: case is kept
        ("\u00aa", b"a"),  # example 4: NFKC
        ("\u2168", b"IX"),  # example 5: NFKC
        ("a\u00a0b", b"a b"),  # non-ASCII space
        ("a\u200bb\u00e9", "a b\u00e9".encode()),  # both a space and nothing: a space
        ("\u0627\u0628", "\u0627\u0628".encode()),  # right to left throughout
        ("\ufb2d", "\u05e9\u05bc\u05c2".encode()),  # so before it is normalised
    ],
)
def test_prepares(password: str, prepared: bytes) -> None:
    assert saslprep(password) == prepared


# Each holds something that NFKC would change, or else the raw bytes would prove nothing.
@pytest.mark.parametrize(
    "password",
    [
        "\u00aa\u0007",  # RFC 4013 3, example 6: a control character is prohibited
        "\u0627\u00b2",  # as example 7: right to left must end so
        "\u00b2\u0627",  # and begin so
        "\ufb2da\ufb2d",  # and hold nothing from left to right
        "\u00ad",  # maps to nothing at all
        "\u00aa\U0001f600",  # unassigned in Unicode 3.2
        "\u2151",  # unassigned then, though what it normalises to was not
        "\u00aa\ue000",  # private use
        "\u00aa\ufffd",  # inappropriate for plain text
        "\u00aa\u2028",  # a control beyond ASCII
        "\u00aa\u0340",  # deprecated
        "\u00aa\U000e0041",  # tagging
    ],
)
def test_takes_a_prohibited_password_as_it_stands(password: str) -> None:
    """Pitfall 48: RFC 4013 where it applies, else the bytes themselves, as PostgreSQL."""
    assert saslprep(password) == password.encode()


def test_gives_back_bytes_that_are_no_utf8() -> None:
    raw = b"caf\xe9 \xff"
    assert saslprep(raw.decode("utf-8", "surrogateescape")) == raw


@given(st.text())
def test_prepares_any_text_and_a_prepared_one_to_itself(password: str) -> None:
    prepared = saslprep(password)
    assert saslprep(prepared.decode()) == prepared
