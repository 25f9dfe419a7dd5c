"""Log lines: their form, and that nobody can forge one."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from sluice_proxy.logs import JSONFormatter, TextFormatter, configure


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger and ours, put back as they were."""
    root, ours = logging.getLogger(), logging.getLogger("sluice_proxy")
    before = root.handlers[:], root.level, ours.level
    yield root
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "sluice_proxy.pool", "levelno": logging.INFO, "levelname": "INFO", **extra}
    )
    made.msg, made.args, made.created = message, args, 1767323045.6789
    return made


def raised() -> Any:
    try:
        raise OSError("gone")
    except OSError:
        return sys.exc_info()


def test_json() -> None:
    line = JSONFormatter().format(record("took %d s", 3, user="app", waiting=2))
    assert json.loads(line) == {
        "ts": "2026-01-02T03:04:05.678Z",
        "level": "info",
        "logger": "sluice_proxy.pool",
        "msg": "took 3 s",
        "user": "app",
        "waiting": 2,
    }


def test_json_is_one_line_even_with_a_traceback() -> None:
    line = JSONFormatter().format(record("lost\nserver", exc_info=raised(), address=object()))
    assert "\n" not in line
    event = json.loads(line)
    assert event["msg"] == "lost\nserver"
    assert event["exc"].endswith("OSError: gone")


def test_extra_cannot_hide_the_level() -> None:
    line = JSONFormatter().format(record("x", level="none", ts=0))
    assert json.loads(line)["level"] == "info"


def test_text() -> None:
    line = TextFormatter().format(record("pinned", user="app", reason="SET"))
    assert line == "2026-01-02T03:04:05.678Z INFO sluice_proxy.pool: pinned user=app reason=SET"


def test_text_cannot_be_forged() -> None:
    line = TextFormatter().format(record("login of %s", "a\n2026 INFO x", user="b\r\x1b[2J"))
    assert line.endswith(r"login of a\n2026 INFO x user=b\r\x1b[2J")
    assert line.isprintable()


def test_text_has_the_traceback_below() -> None:
    lines = TextFormatter().format(record("lost", exc_info=raised())).splitlines()
    assert lines[0].endswith("lost")
    assert lines[-1] == "OSError: gone"


@pytest.mark.parametrize("debug", [True, False])
def test_configure(root: logging.Logger, capsys: pytest.CaptureFixture[str], debug: bool) -> None:
    configure(json=False, debug=False)
    configure(json=True, debug=debug)
    assert len(root.handlers) == 1
    logging.getLogger("sluice_proxy.pool").debug("detail")
    logging.getLogger("asyncio").debug("detail of others")
    logging.getLogger("sluice_proxy.pool").info("event")
    messages = [json.loads(line)["msg"] for line in capsys.readouterr().err.splitlines()]
    assert messages == (["detail", "event"] if debug else ["event"])
