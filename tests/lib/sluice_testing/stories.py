"""Scripts of raw messages, told to PostgreSQL and to the proxy, whose answers must be equal."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from sluice_testing.postgres import APP_USER
from sluice_testing.raw import Message, RawClient

# For a test that asks for `server` or anything made of it.
every_major = pytest.mark.parametrize("server", [15, 16, 17, 18], indirect=True)

# How a transcript says that nothing more came: the connection's end, or the reader's patience.
CLOSED = Message("closed", b"")
HUNG = Message("hung", b"")

Transcript = list[list[Message]]


@dataclass(frozen=True)
class Step:
    """Sends, then reads up to the `count`th message whose type is in `until`.

    An empty `until` reads up to the end of the connection; a `tail` up to where the types of
    the last messages are these; `count=0` reads nothing.
    """

    send: bytes
    until: str = "Z"
    count: int = 1
    tail: str = ""


@dataclass(frozen=True)
class Story:
    """What one client says.

    `setup` is run on the server beforehand by the role `app`, `superuser_setup` by a
    superuser. The client logs in as `user` with `parameters`, or with the bytes of `opening`
    where a startup packet is to be what no client would send. Servers older than `since` do
    not hear it. `exceptions` names what is not compared, `pitfalls` what it is there for.
    """

    name: str
    steps: tuple[Step, ...]
    setup: str = ""
    superuser_setup: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    user: str = APP_USER
    opening: bytes = b""
    since: int = 0
    exceptions: tuple[str, ...] = ()
    pitfalls: tuple[int, ...] = ()

    @property
    def theme(self) -> str:
        """What stands before the colon of its name."""
        return self.name.partition(":")[0]

    @property
    def size(self) -> int:
        """Bytes that are sent after the login."""
        return sum(len(step.send) for step in self.steps)


def story(
    name: str,
    *steps: Step | bytes,
    parameters: dict[str, str] | None = None,
    setup: str = "",
    superuser_setup: str = "",
    user: str = APP_USER,
    opening: bytes = b"",
    since: int = 0,
    exceptions: tuple[str, ...] = (),
    pitfalls: tuple[int, ...] = (),
) -> Story:
    """Bytes alone are a step up to the next ReadyForQuery."""
    return Story(
        name,
        tuple(step if isinstance(step, Step) else Step(step) for step in steps),
        setup,
        superuser_setup,
        tuple((parameters or {}).items()),
        user,
        opening,
        since,
        exceptions,
        pitfalls,
    )


@dataclass(frozen=True)
class Cut:
    """How the bytes of a step are handed over: in pieces of `size`, or in two, split at `at`.

    The pauses between pieces are for the other side to read each on its own.
    """

    size: int = 0
    at: int = 0

    def pieces(self, data: bytes) -> list[bytes]:
        if self.size > 0:
            return [data[at : at + self.size] for at in range(0, len(data), self.size)]
        if 0 < self.at < len(data):
            return [data[: self.at], data[self.at :]]
        return [data]


WHOLE = Cut()
PAUSE = 0.0003

Between = Callable[[Transcript], None]


def nobody(so_far: Transcript) -> None:
    """No neighbour moves between two steps."""


def play(
    client: RawClient, steps: Iterable[Step], cut: Cut = WHOLE, between: Between = nobody
) -> Transcript:
    """The answers, step by step, up to the end of the connection if there is one."""
    answers: Transcript = []
    for step in steps:
        between(answers)
        with suppress(ConnectionError):  # its last words may be waiting to be read
            send(client, step.send, cut)
        answers.append(listen(client, step))
        if answers[-1] and answers[-1][-1] in (CLOSED, HUNG):
            break
    return answers


def send(client: RawClient, data: bytes, cut: Cut) -> None:
    pieces = cut.pieces(data)
    for number, piece in enumerate(pieces):
        if number:
            time.sleep(PAUSE)
        client.send(piece)


def listen(client: RawClient, step: Step) -> list[Message]:
    """What comes up to the end of the step, ended by CLOSED or HUNG where it does not come."""
    heard: list[Message] = []
    left = step.count
    try:
        while left:
            heard.append(client.read())
            left -= _is_end(step, heard)
    except TimeoutError:
        heard.append(HUNG)
    except ConnectionError:
        heard.append(CLOSED)
    return heard


def _is_end(step: Step, heard: list[Message]) -> bool:
    if step.tail:
        return "".join(message.kind for message in heard[-len(step.tail) :]) == step.tail
    return heard[-1].kind in step.until
