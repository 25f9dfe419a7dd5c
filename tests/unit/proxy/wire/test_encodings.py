"""Texts of one client encoding in another."""

import pytest

from sluice_proxy.wire import encodings
from sluice_proxy.wire.encodings import recoded

AE = "ä"


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (AE.encode(), b"UTF8", b"LATIN1", b"\xe4"),
        (b"\xe4", b"latin1", b"UTF8", AE.encode()),
        (b"\xe4", b"LATIN1", b"LATIN1", b"\xe4"),
        (b"plain", b"NOBODY", b"KNOWS", b"plain"),
        (b"\xe4", b"NOBODY", b"UTF8", b"\xe4"),
        (b"\xff", b"UTF8", b"LATIN1", b"\xff"),
        ("字".encode(), b"UTF8", b"LATIN1", "字".encode()),
        ("字".encode(), b"UTF8", b"SJIS", "字".encode("cp932")),
    ],
)
def test_a_text_is_written_anew_or_left_as_it_stands(
    text: bytes, old: bytes, new: bytes, expected: bytes
) -> None:
    """Pitfall 35."""
    assert recoded(text, old, new) == expected


@pytest.mark.parametrize("codec", sorted(set(encodings._CODECS.values())))
def test_python_knows_them_all(codec: str) -> None:
    assert "a".encode(codec) == b"a"
