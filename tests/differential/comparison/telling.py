"""One script, told by one client from its login to its goodbye."""

from contextlib import suppress

from sluice_testing.door import Door
from sluice_testing.raw import PROTOCOL_3_0, TERMINATE, Message, RawClient, startup
from sluice_testing.stories import (
    CLOSED,
    HUNG,
    WHOLE,
    Between,
    Cut,
    Story,
    Transcript,
    nobody,
    play,
)

PATIENCE = 5.0  # seconds until a silence is called a hang


def tell(
    door: Door, password: str, story: Story, cut: Cut = WHOLE, between: Between = nobody
) -> Transcript:
    """The answers to the login, then those to each step."""
    try:
        client = RawClient(door.host, door.port, timeout=PATIENCE)
    except OSError:
        return [[CLOSED]]
    with client:
        transcript = [_log_in(client, door, password, story)]
        if not transcript[0]:
            return [[CLOSED]]
        if transcript[0][-1].kind != "Z":
            return transcript
        transcript += play(client, story.steps, cut, between)
        if transcript[-1][-1:] not in ([CLOSED], [HUNG]):
            _leave(client)
        return transcript


def _log_in(client: RawClient, door: Door, password: str, story: Story) -> list[Message]:
    names = {"user": story.user, "database": door.database, **dict(story.parameters)}
    return client.greet(story.opening or startup(PROTOCOL_3_0, **names), password)


def _leave(client: RawClient) -> None:
    """Waits until the other side has hung up: then the server has let go of everything."""
    with suppress(OSError):
        client.send(TERMINATE)
        client.read_bytes()
