"""SASLprep (RFC 4013) of a password, as PostgreSQL does it."""

import stringprep
import unicodedata


class _Prohibited(Exception):
    """The text has no SASLprep form."""


def saslprep(password: str) -> bytes:
    """The bytes that SCRAM hashes for `password`.

    A password that SASLprep prohibits is taken as it stands, because PostgreSQL does so:
    `pg_be_scram_build_secret` falls back to the raw password unless pg_saslprep succeeds.
    Bytes that are no UTF-8 may come as lone surrogates (`surrogateescape`) and go out as
    they were.
    """
    raw = password.encode("utf-8", "surrogateescape")
    if password.isascii():
        return raw
    try:
        return _prepared(password).encode()
    except (_Prohibited, UnicodeEncodeError):
        return raw


def _prepared(text: str) -> str:
    # RFC 4013 2.1. U+200B stands in both tables; PostgreSQL looks at the spaces first.
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if stringprep.in_table_c12(char) or not stringprep.in_table_b1(char)
    )
    # RFC 4013 2.3 and 2.4 speak of the normalised text; PostgreSQL looks at the text before
    # (seen on 15: of U+2151 it hashes the raw bytes, and U+FB2D it normalises).
    if not mapped or any(_prohibited(char) for char in mapped):
        raise _Prohibited
    _check_bidi(mapped)
    # RFC 4013 2.2. With today's Unicode tables, not those of 3.2, as PostgreSQL does.
    return unicodedata.normalize("NFKC", mapped)


def _prohibited(char: str) -> bool:
    # RFC 4013 2.3, and 2.5: a password is a "stored string", unassigned code points are out.
    return (
        stringprep.in_table_c12(char)
        or stringprep.in_table_c21_c22(char)
        or stringprep.in_table_c3(char)
        or stringprep.in_table_c4(char)
        or stringprep.in_table_c5(char)
        or stringprep.in_table_c6(char)
        or stringprep.in_table_c7(char)
        or stringprep.in_table_c8(char)
        or stringprep.in_table_c9(char)
        or stringprep.in_table_a1(char)
    )


def _check_bidi(text: str) -> None:
    # RFC 3454 6: text with any RandALCat character holds no LCat one, and begins and ends
    # with RandALCat.
    if not any(stringprep.in_table_d1(char) for char in text):
        return
    if any(stringprep.in_table_d2(char) for char in text):
        raise _Prohibited
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise _Prohibited
