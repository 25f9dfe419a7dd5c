"""Scripts of raw messages, told to PostgreSQL and to the proxy, whose answers must be equal."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from sluice_testing.raw import Message, RawClient

# For a test that asks for `server` or anything made of it.
every_major = pytest.mark.parametrize("server", [15, 16, 17, 18], indirect=True)


@dataclass(frozen=True)
class Step:
    """Sends, then reads up to the `count`th message whose type is in `until`."""

    send: bytes
    until: str = "Z"
    count: int = 1


@dataclass(frozen=True)
class Story:
    """What one client says; `setup` is run by its own role on the server beforehand."""

    name: str
    steps: tuple[Step, ...]
    setup: str = ""
    parameters: tuple[tuple[str, str], ...] = ()


def story(
    name: str, *steps: Step | bytes, setup: str = "", parameters: dict[str, str] | None = None
) -> Story:
    """Bytes alone are a step up to the next ReadyForQuery."""
    whole = tuple(step if isinstance(step, Step) else Step(step) for step in steps)
    return Story(name, whole, setup, tuple((parameters or {}).items()))


Between = Callable[[], None]


def nobody() -> None:
    """No neighbour moves between two steps."""


def play(
    client: RawClient, steps: Iterable[Step], cut: int = 0, between: Between = nobody
) -> list[list[Message]]:
    """The answers, step by step; `cut` > 0 sends pieces of so many bytes."""
    answers = []
    for step in steps:
        between()
        for piece in pieces(step.send, cut):
            client.send(piece)
        messages = client.read_until(step.until, step.count)
        answers.append([comparable(message) for message in messages])
    return answers


def comparable(message: Message) -> Message:
    """A RowDescription without the OIDs of its tables: two runs make two tables."""
    if message.kind != "T":
        return message
    body = bytearray(message.body)
    at = 2
    while at < len(body):
        at = body.index(0, at) + 1
        body[at : at + 4] = bytes(4)
        at += 18  # table OID, column, type OID, type size, type modifier, format
    return Message("T", bytes(body))


def pieces(data: bytes, size: int) -> list[bytes]:
    if size <= 0:
        return [data]
    return [data[at : at + size] for at in range(0, len(data), size)]
