"""Reads and writes of connected sockets, and the wait for them.

`descriptors.c` does the same at a lower price: where it is compiled Python takes that instead.
"""

import array
import fcntl
import os
import select
import struct
import termios
import time
from typing import Final

# One read. Well below malloc's threshold for mmap, which would cost two system calls more.
READ_SIZE: Final = 16384


# Events taken at one time; those of the event loop's own descriptors are among them.
_BATCH: Final = 256
# An event is one number: the descriptor, and below it 16 bits of epoll's mask.
SHIFT: Final = 16
_EVENT: Final = struct.Struct("q")


def room() -> bytearray:
    """For the events of one wait."""
    return bytearray(_BATCH * _EVENT.size)


def wait(
    epoll: select.epoll, descriptor: int, events: bytearray, seconds: float, rest: float
) -> int:
    """How many events came within so many seconds; less than 0 is for ever.

    Before it looks it sleeps for `rest` seconds. `descriptor` is the epoll's own, which is all
    that the twin looks at. Raises OSError.
    """
    if rest > 0:
        time.sleep(rest)
    found = epoll.poll(None if seconds < 0 else seconds, _BATCH)
    for number, (fd, mask) in enumerate(found):
        _EVENT.pack_into(events, number * _EVENT.size, fd << SHIFT | mask)
    return len(found)


def event(events: bytearray, number: int) -> int:
    """One of those that the last wait found."""
    found: int = _EVENT.unpack_from(events, number * _EVENT.size)[0]
    return found


def monotonic() -> float:
    """Seconds of the clock that the event loop goes by, too."""
    return time.monotonic()


def receive(fd: int) -> bytes | None:
    """What there is, READ_SIZE bytes at most; b"" at the end, None while there is nothing.

    Raises OSError.
    """
    try:
        return os.read(fd, READ_SIZE)
    except BlockingIOError:
        return None


def has_more(fd: int) -> bool:
    """Whether there are bytes to be read. Raises OSError."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0] > 0


def send(fd: int, data: bytes | memoryview) -> int:
    """How many bytes of `data` were taken; 0 while there is no room. Raises OSError."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
