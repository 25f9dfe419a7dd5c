"""The states of a client that is logged in."""

from typing import Final

GREETING: Final = 0  # no server has told its parameters yet
IDLE: Final = 1
WAITING: Final = 2  # for a server connection
LINKED: Final = 3  # it holds one
GONE: Final = 4
