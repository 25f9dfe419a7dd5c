"""How log lines look: JSON for machines, text for people; one line per event.

Whoever logs puts facts into `extra`, never a secret: `log.info("pinned", extra={"user": name})`.
"""

import logging
import sys
import time
from json import dumps
from typing import Any

# What every LogRecord has; anything else came from `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(json: bool, debug: bool) -> None:
    """Sends all logs to stderr in this form. May be called again at any time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Only our own details: asyncio's debug lines help nobody who runs a proxy.
    logging.getLogger("sluice_proxy").setLevel(logging.DEBUG if debug else logging.INFO)


class JSONFormatter(logging.Formatter):
    """One JSON object per event: ts (UTC), level, logger, msg, exc if any, extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "ts": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            event["exc"] = self.formatException(record.exc_info)
        # An extra field never hides what every event has.
        return dumps({**_extra(record), **event}, default=str, ensure_ascii=True)


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO logger: msg key=value`; a traceback follows below."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={_one_line(value)}" for name, value in _extra(record).items())
        line = (
            f"{_timestamp(record.created)} {record.levelname} {record.name}: "
            f"{_one_line(record.getMessage())}{extra}"
        )
        if record.exc_info:
            return f"{line}\n{self.formatException(record.exc_info)}"
        return line


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _timestamp(created: float) -> str:
    # gmtime cuts the fraction off; milliseconds are cut too, so that both agree.
    milliseconds = int(created * 1000)
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{seconds}.{milliseconds % 1000:03d}Z"


def _one_line(value: object) -> str:
    # What a client sends may stand here; it must not be able to forge a line.
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))
