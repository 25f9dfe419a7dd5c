"""Reads and writes of a gigabyte over a raw connection, of which only a few bytes are kept."""

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sluice_testing.raw import Message

CHUNK = 1 << 16
_SHORT = 4096  # bodies up to here are kept: tags, errors, ReadyForQuery


@dataclass
class Drained:
    """What came until the `rounds`th ReadyForQuery: bytes of bodies by type, short ones whole."""

    bytes_of: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    last: dict[str, Message] = field(default_factory=dict)

    @property
    def error(self) -> str:
        fields = self.last["E"].fields if "E" in self.last else {}
        return f"{fields.get('C')}: {fields.get('M')}" if fields else ""

    @property
    def tag(self) -> str:
        return self.last["C"].text if "C" in self.last else ""


class Tap:
    """Reads messages of any length, a chunk at a time."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self._buffer = b""

    def drain(self, until: str = "Z") -> Drained:
        found = Drained()
        while True:
            header = self._exactly(5)
            kind, size = chr(header[0]), struct.unpack("!i", header[1:])[0] - 4
            found.messages[kind] += 1
            found.bytes_of[kind] += size
            if size <= _SHORT:
                found.last[kind] = Message(kind, self._exactly(size))
            else:
                self._pass(size)
            if kind == until or (kind == "E" and b"VFATAL\0" in found.last["E"].body):
                return found

    def _more(self) -> bytes:
        chunk = self._sock.recv(CHUNK)
        if not chunk:
            raise ConnectionError("closed in mid message")
        return chunk

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._more()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _pass(self, size: int) -> None:
        size -= len(self._buffer)
        self._buffer = b"" if size >= 0 else self._buffer[size:]
        while size > 0:
            chunk = self._more()
            size -= len(chunk)
            if size < 0:
                self._buffer = chunk[size:]


def head(kind: str, size: int) -> bytes:
    """The first five bytes of a message whose body has `size` bytes."""
    return kind.encode() + struct.pack("!i", size + 4)


def filling(size: int, byte: bytes = b"x") -> Iterator[bytes]:
    """So many bytes, a chunk at a time."""
    chunk = byte * CHUNK
    for _ in range(size // CHUNK):
        yield chunk
    yield byte * (size % CHUNK)


def lines(count: int, width: int) -> Iterator[bytes]:
    """Rows of COPY's text format, a number and a text, of `width` bytes each; chunk by chunk."""
    text = b"x" * (width - 9)
    step = max(1, CHUNK // width)
    for begin in range(0, count, step):
        end = min(begin + step, count)
        yield b"".join(b"%07d\t%b\n" % (n, text) for n in range(begin, end))
