"""Texts in one client encoding, written in another: by Python's codecs for PostgreSQL's names."""

from typing import Final

# Those of the chapter "Character Set Support" that Python knows by another name.
_CODECS: Final = {
    "SQL_ASCII": "latin-1",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "SJIS": "cp932",
    "SHIFT_JIS_2004": "shift_jis_2004",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_CN": "gb2312",
    "UHC": "cp949",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "ISO_8859_5": "iso8859-5",
    "ISO_8859_6": "iso8859-6",
    "ISO_8859_7": "iso8859-7",
    "ISO_8859_8": "iso8859-8",
    **{f"LATIN{n}": f"latin{n}" for n in range(1, 11)},
    **{
        f"WIN{n}": f"cp{n}"
        for n in (866, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)
    },
}


def recoded(text: bytes, old: bytes, new: bytes) -> bytes:
    """`text` of the encoding `old` in the encoding `new`.

    As it stands where that cannot be done: the server says what it thinks of it.
    """
    if old == new or text.isascii():
        return text
    try:
        return text.decode(_codec(old)).encode(_codec(new))
    except (LookupError, UnicodeError):
        return text


def _codec(name: bytes) -> str:
    known = name.decode("ascii", "replace").upper()
    return _CODECS.get(known, known)
