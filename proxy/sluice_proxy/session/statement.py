"""A prepared statement: what it is known by, and the one object for all that are equal."""

import secrets
from itertools import count
from typing import Final
from weakref import WeakValueDictionary

from sluice_proxy.session.pinning import NOTHING, Effects
from sluice_proxy.session.settings import Settings
from sluice_proxy.wire import messages
from sluice_proxy.wire.encodings import recoded

# Begins the names on the servers; no client can guess one.
PREFIX: Final = b"sluice_%b_" % secrets.token_hex(4).encode()

Meaning = tuple[bytes | None, ...]

_numbers = count(1)


class Statement:
    """What the servers know by `name`.

    `message` is the Parse that makes it, empty where it was too long to be kept; `prepare` is
    SQL's PREPARE instead, where it came as such. `template` is the text (and what follows it
    in the Parse) of one that names other statements: what it is depends on what they are.
    `version` counts how often clients have prepared it: what they mean by it is what it meant
    then, or later, since tables may have changed in between. `meaning` are the parameters that
    its text is to be read under, None if they were not known.
    """

    __slots__ = (
        "__weakref__", "effects", "encoding", "meaning", "message", "name", "prepare", "template",
        "version",
    )  # fmt: skip

    def __init__(self, effects: Effects, template: bytes = b""):
        self.name = PREFIX + b"%d" % next(_numbers)
        self.effects = effects
        self.message = b""
        self.prepare = b""
        self.template = template
        self.version = 0
        self.meaning: Meaning | None = None
        # Of the texts above.
        self.encoding = b""

    def message_in(self, encoding: bytes) -> bytes:
        """The Parse, for a session that takes this encoding."""
        head, rest = self.message[:5], self.message[5:]
        other = recoded(rest, self.encoding, encoding)
        return self.message if other == rest else messages.message(head[:1], other)

    def prepare_in(self, encoding: bytes) -> bytes:
        """The PREPARE, for a session that takes this encoding."""
        return recoded(self.prepare, self.encoding, encoding)

    @property
    def kept(self) -> bool:
        """It can be made anew elsewhere."""
        return bool(self.message or self.prepare or self.template)


_Key = tuple[bytes, bytes, Meaning]
_known: WeakValueDictionary[_Key, Statement] = WeakValueDictionary()


def from_parse(rest: bytes, under: Settings | None, effects: Effects) -> Statement:
    """The statement of a Parse; `rest` is its body behind the name.

    `under` is None where the parameters are not known for the moment: it is like no other.
    """
    if under is None:
        alone = Statement(effects)
        alone.message = messages.message(b"P", alone.name + b"\x00" + rest)
        return alone
    key = (b"P", rest, under.meaning)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Statement(effects)
        found.meaning = under.meaning
        found.message = messages.message(b"P", found.name + b"\x00" + rest)
    return found


def _witness() -> Statement:
    found = Statement(NOTHING)
    found.message = messages.parse(found.name, b"")
    found.encoding = b"UTF8"
    return found


WITNESS: Final = _witness()
"""Nothing, prepared: where it is gone, everything that was prepared is gone."""


def from_prepare(rest: bytes, under: Settings, effects: Effects) -> Statement:
    """The statement of SQL's PREPARE; `rest` is its text behind the name."""
    key = (b"Q", rest, under.meaning)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Statement(effects)
        found.meaning = under.meaning
        found.prepare = b"PREPARE " + found.name + rest
    return found
