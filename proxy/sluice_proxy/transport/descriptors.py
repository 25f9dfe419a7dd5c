"""Reads and writes of connected sockets, by descriptor; nothing here waits.

`descriptors.c` does the same at a lower price: where it is compiled Python takes that instead.
"""

import os
from typing import Final

# One read. Well below malloc's threshold for mmap, which would cost two system calls more.
READ_SIZE: Final = 16384


def receive(fd: int) -> bytes | None:
    """What there is, READ_SIZE bytes at most; b"" at the end, None while there is nothing.

    Raises OSError.
    """
    try:
        return os.read(fd, READ_SIZE)
    except BlockingIOError:
        return None


def send(fd: int, data: bytes | memoryview) -> int:
    """How many bytes of `data` were taken; 0 while there is no room. Raises OSError."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
