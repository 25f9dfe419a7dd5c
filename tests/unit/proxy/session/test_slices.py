"""What Python gives for a slice that ends before it begins, compiled or not."""

import pytest

from sluice_proxy.session.backlog import rebased
from sluice_proxy.session.requests import Requests
from sluice_testing.stage import ANSWER, Stage, error, msg, ready


@pytest.mark.parametrize("kind", ["Q", "P", "B", "D", "C", "E", "F"])
def test_a_message_without_a_body_is_the_server_s_to_refuse(kind: str) -> None:
    stage = Stage()
    server, client = stage.server(), stage.client()
    client.sends(msg(kind) + msg("S"))
    assert server.sees().endswith(msg(kind) + msg("S"))
    server.sends(*[error(b"08P01")] * 2, ready(), ready())
    assert client.sees()


def test_a_text_may_be_nowhere() -> None:
    assert not Requests().effects(msg("Q"), (ord("Q"), 0, 5)).anything
    assert rebased(ANSWER, [(ord("Q"), 3, 5)])[0] == ANSWER[3:]
