"""Where messages begin and end, without making an object of each.

A `Framer` walks the headers of one direction of one connection. It forwards bytes as they
came, the very same object when nothing is cut, and reports only the messages that
somebody must look at. DataRow and CopyData are passed over unseen.
"""

from struct import Struct

from sluice_proxy.errors import ProxyError
from sluice_proxy.wire import constants as c

# A message that must be read is held until it is whole, but never more than this of it:
# what is longer streams in constant memory, and its reader sees its first bytes.
HOLD_LIMIT = 65536
# A query text is understood as a whole or not at all.
TEXT_LIMIT = 1 << 20

PASS = 0  # forwarded unseen
HEADER = 1  # reported; its type alone matters
WHOLE = 2  # reported when it is whole, or when HOLD_LIMIT bytes of it are here
TEXT = 3  # the same with TEXT_LIMIT
REFUSE = 4  # has no place in this direction
SMALL = 8  # added to one of the above: never longer than SMALL_LIMIT

# PostgreSQL's own limit for messages that are no more than a name (PQ_SMALL_MESSAGE_LIMIT).
SMALL_LIMIT = 10000

_length_at = Struct("!i").unpack_from

# One entry for each message of a read: type, first byte, byte after its last.
# The end lies beyond the read when the message goes on in the next.
Frame = tuple[int, int, int]


def _table(
    header: bytes, whole: bytes, passed: bytes, text: bytes = b"", small: bytes = b""
) -> bytes:
    table = bytearray([REFUSE]) * 256
    for kinds, policy in ((header, HEADER), (whole, WHOLE), (passed, PASS), (text, TEXT)):
        for kind in kinds:
            table[kind] = policy | SMALL if kind in small else policy
    return bytes(table)


FROM_CLIENT = _table(header=b"HSXcf", whole=b"BDECFp", passed=b"d", text=b"QP", small=b"CDEHSXcf")
FROM_SERVER = _table(header=b"123GHINTVWcnst", whole=b"ZSKRAvCE", passed=b"Dd")
# Where rows are for the proxy itself.
FROM_SERVER_ROWS = _table(header=b"123GHINTVWcnst", whole=b"ZSKRAvCED", passed=b"d")


def is_unsolicited(data: bytes, frames: list[Frame], rest: int) -> bool:
    """Whether a read from a server that nobody asked has more than news in it.

    The first `rest` bytes end what was news.
    """
    size = len(data)
    news = min(rest, size)
    for kind, start, end in frames:
        if kind in (c.PARAMETER_STATUS, c.NOTICE_RESPONSE):
            news += min(end, size) - start
    return news != size


class Framer:
    """Splits one direction of a connection into messages.

    `remain` counts the bytes of a message, already reported or passed over, that are
    still to come. A length or a type that cannot be is the `failure`, an `error` (08P01); what
    stands before it is reported as ever, and nothing behind it.
    """

    __slots__ = ("_error", "_held", "_table", "failure", "remain")

    def __init__(self, table: bytes, error: type[ProxyError]):
        self._table = table
        self._error = error
        self._held = b""
        self.remain = 0
        self.failure: ProxyError | None = None

    def use(self, table: bytes) -> None:
        """From the next message on."""
        self._table = table

    @property
    def at_boundary(self) -> bool:
        """True between two messages: nothing is held and nothing is to come."""
        return len(self._held) == 0 and self.remain == 0

    def feed(self, data: bytes) -> tuple[bytes, list[Frame]]:
        """The bytes that may go on, and the frames in them that must be looked at."""
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        at = self.remain
        if at >= size:
            self.remain = at - size
            return data, []
        self.remain = 0
        return self._walk(data, at, size)

    def _walk(self, data: bytes, at: int, size: int) -> tuple[bytes, list[Frame]]:
        table = self._table
        frames: list[Frame] = []
        while at + 5 <= size:
            kind = data[at]
            (length,) = _length_at(data, at + 1)
            policy = table[kind]
            limit = c.MAX_MESSAGE_LENGTH
            if policy >= SMALL:
                policy -= SMALL
                limit = SMALL_LIMIT
            if policy == REFUSE or not 4 <= length <= limit:
                self.failure = self._refusal(kind)
                self._held = data[at:]
                return data[:at], frames
            end = at + 1 + length
            if end > size and (
                (policy == WHOLE and size - at < HOLD_LIMIT)
                or (policy == TEXT and size - at < TEXT_LIMIT)
            ):
                break
            if policy != PASS:
                frames.append((kind, at, end))
            at = end
        if at > size:
            self.remain = at - size
            return data, frames
        if at < size:
            self._held = data[at:]
            return data[:at], frames
        return data, frames

    @property
    def refused(self) -> bytes:
        """The header of what is the `failure`."""
        return self._held[:5]

    def _refusal(self, kind: int) -> ProxyError:
        if self._table[kind] == REFUSE:
            return self._error(f"invalid frontend message type {kind}")
        return self._error("invalid message length")
