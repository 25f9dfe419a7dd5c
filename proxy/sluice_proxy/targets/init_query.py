"""`initQuery` on a new server connection: run once, after the login and before any client."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from sluice_proxy.errors import ErrorFields, ProxyError, ServerRejected, ServerUnavailable
from sluice_proxy.targets.server_login import Command, Greeting, Read, Write, refusal
from sluice_proxy.wire import constants as c
from sluice_proxy.wire import messages

FIELD: Final = "spec.connectionPool.initQuery"
_HINT: Final = f"Correct {FIELD}; it is run on each new server connection."


class InitQueryFailed(ServerRejected):
    """The user's own SQL did not work: nobody can be served until it is corrected."""

    reason = "InitQueryFailed"


class InitQueryTooSlow(ServerUnavailable):
    """It did not end in time; the server may only be busy."""

    reason = "InitQueryFailed"
    hint = _HINT

    def __init__(self, seconds: float):
        super().__init__(f"{FIELD} did not end within {seconds:.0f} s of the connection's begin")


@dataclass(frozen=True, slots=True)
class InitQuery:
    """`question` is the Query message that asks what `text` has set."""

    text: str
    question: bytes


def run_init_query(query: InitQuery, greeting: Greeting) -> Generator[Command, Any, None]:
    """Runs `query` where `greeting` was given; what it sets is in the greeting then."""
    yield Write(messages.query(query.text.encode("utf-8", "surrogateescape")))
    yield from _answer(greeting)
    greeting.answer.clear()
    yield Write(query.question)
    yield from _answer(greeting)


def _answer(greeting: Greeting) -> Generator[Command, Any, None]:
    """Up to the ReadyForQuery that ends it."""
    while True:
        kind, body = yield Read()
        if kind == c.ERROR_RESPONSE:
            raise _failure(messages.parse_error(body))
        if kind == c.PARAMETER_STATUS:
            name, value = messages.parse_parameter_status(body)
            greeting.parameters[name] = value
        elif kind == c.DATA_ROW:
            greeting.answer.append(messages.columns(body))
        elif kind in (c.COPY_IN_RESPONSE, c.COPY_BOTH_RESPONSE):
            raise InitQueryFailed(f"{FIELD} asks for data", hint=_HINT, sqlstate="0A000")
        elif kind == c.READY_FOR_QUERY:
            if body[0] != c.IDLE:
                raise InitQueryFailed(
                    f"{FIELD} leaves a transaction open", hint=_HINT, sqlstate="25001"
                )
            return


def _failure(error: ErrorFields) -> ProxyError:
    """What the server said; a server that stops meanwhile is no fault of the query."""
    told = refusal(error)
    if isinstance(told, ServerUnavailable):
        return told
    return InitQueryFailed(
        f"{FIELD} failed: {error.message}", hint=error.hint or _HINT, sqlstate=error.sqlstate
    )
