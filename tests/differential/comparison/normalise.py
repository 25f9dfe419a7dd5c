"""What is not compared, and why: every normaliser is one exception from "byte for byte".

Those in ALWAYS are put to every answer; a script names those of SOME that it needs.
"""

import struct
from collections.abc import Callable

from sluice_testing.raw import Message
from sluice_testing.stories import CLOSED, Story, Transcript

Normaliser = Callable[[list[Message]], list[Message]]


def table_oids(answers: list[Message]) -> list[Message]:
    """RowDescription's table OIDs: each run makes its own tables."""
    return [_without_table_oids(m) if m.kind == "T" else m for m in answers]


def _without_table_oids(message: Message) -> Message:
    body = bytearray(message.body)
    at = 2
    while at < len(body):
        at = body.index(0, at) + 1
        body[at : at + 4] = bytes(4)
        at += 18  # table OID, column, type OID, type size, type modifier, format
    return Message("T", bytes(body))


def backend_keys(answers: list[Message]) -> list[Message]:
    """BackendKeyData: each connection has its own, and the proxy's may be longer."""
    return [Message("K", b"") if m.kind == "K" else m for m in answers]


def notifier_pids(answers: list[Message]) -> list[Message]:
    """NotificationResponse's process id: that of whichever server connection notified."""
    return [Message("A", bytes(4) + m.body[4:]) if m.kind == "A" else m for m in answers]


def sasl_secrets(answers: list[Message]) -> list[Message]:
    """Nonces, salts and signatures of a SCRAM exchange."""
    return [
        Message("R", m.body[:4]) if m.kind == "R" and m.body[:4] > struct.pack("!i", 10) else m
        for m in answers
    ]


def order_of_reports(answers: list[Message]) -> list[Message]:
    """The order of ParameterStatus messages in a row: PostgreSQL's is that of a hash table."""
    sorted_answers: list[Message] = []
    reports: list[Message] = []
    for message in answers:
        if message.kind == "S":
            reports.append(message)
        else:
            sorted_answers += [*sorted(reports), message]
            reports = []
    return sorted_answers + sorted(reports)


def statement_names(answers: list[Message]) -> list[Message]:
    """Rows of pg_prepared_statements hold the names and the number of the server's statements."""
    return _without_rows(answers)


def setting_sources(answers: list[Message]) -> list[Message]:
    """Columns source and reset_val of pg_settings: a setting that follows its client is SET."""
    return _without_rows(answers)


def _without_rows(answers: list[Message]) -> list[Message]:
    return [m for m in answers if m.kind not in "DC"]


def unset_is_empty(answers: list[Message]) -> list[Message]:
    """A setting with a dot that any client ever set on a server connection reads as empty.

    No statement takes the placeholder away again: RESET and DISCARD ALL leave it empty.
    """
    empty, null = b"\0\1\0\0\0\0", b"\0\1\xff\xff\xff\xff"
    return [Message("D", empty) if m == ("D", null) else m for m in answers]


def source_places(answers: list[Message]) -> list[Message]:
    """File, line and routine of an error: the proxy that ends a client itself has none."""
    return [_without_place(m) if m.kind == "E" else m for m in answers]


def _without_place(error: Message) -> Message:
    fields = error.body.rstrip(b"\0").split(b"\0")
    return Message("E", b"\0".join(field for field in fields if field[:1] not in b"FLR"))


def silent_ends(answers: list[Message]) -> list[Message]:
    """An impossible length: PostgreSQL hangs up without a word, the proxy says 08P01 first."""
    if CLOSED not in answers[-1:]:
        return answers
    return [m for m in answers if m.kind != "E" or m.fields.get("C") != "08P01"]


def refused_sooner(answers: list[Message]) -> list[Message]:
    """A login's parameters are refused before AuthenticationOk, and without a place in C code."""
    return [m for m in source_places(answers) if m.kind != "R"]


def rds_texts(answers: list[Message]) -> list[Message]:
    """Where RDS Proxy has a text of its own for an error, it is the proxy's; SQLSTATEs agree."""
    return [
        Message("E", m.fields["C"].encode()) if m.kind == "E" else m
        for m in answers
        if m.kind != "R"
    ]


def healed_plans(answers: list[Message]) -> list[Message]:
    """The error "cached plan must not change result type" comes once at most: see `agree`."""
    return answers


def passed_sequences(answers: list[Message]) -> list[Message]:
    """currval and lastval are never another client's: 55000 where one was served in between.

    See `agree`. The server connection is kept from the first time that a client asks.
    """
    return answers


def truncated_names(answers: list[Message]) -> list[Message]:
    """The NOTICE that a long name will be truncated: the server sees one of the proxy's instead."""
    return [m for m in answers if m.kind != "N" or m.fields.get("C") != "42622"]


def spelled_names(answers: list[Message]) -> list[Message]:
    """A name of SQL's PREPARE is known by its bytes: not in another encoding, nor by UESCAPE.

    See `agree`: the answer may be 26000.
    """
    return answers


def looked_after(answers: list[Message]) -> list[Message]:
    """client_connection_check_interval: 1s on the proxy's own connections, 0 by default."""
    return _without_rows(answers)


def reset_and_shown(answers: list[Message]) -> list[Message]:
    """A startup parameter that is RESET and looked at in one simple query string.

    It shows the server's default: what the client started with is set again behind the string.
    """
    return _without_rows(answers)


def temporary_schemas(answers: list[Message]) -> list[Message]:
    """current_schemas(true): a server connection keeps the schema of temporary tables it had."""
    return _without_rows(answers)


def last_words(answers: list[Message]) -> list[Message]:
    """PostgreSQL hangs up on unread messages, so TCP may destroy what it said last.

    What was heard counts only up to the connection's end, for as far as both heard it: see
    `agree`.
    """
    return answers


ALWAYS: tuple[Normaliser, ...] = (
    table_oids,
    backend_keys,
    notifier_pids,
    sasl_secrets,
    order_of_reports,
)
SOME: tuple[Normaliser, ...] = (
    statement_names,
    setting_sources,
    looked_after,
    unset_is_empty,
    temporary_schemas,
    healed_plans,
    passed_sequences,
    truncated_names,
    spelled_names,
    reset_and_shown,
    refused_sooner,
    rds_texts,
    source_places,
    silent_ends,
    last_words,
)
BY_NAME = {normaliser.__name__: normaliser for normaliser in SOME}


def comparable(transcript: Transcript, story: Story) -> Transcript:
    """The transcript without what may differ."""
    wanted = [*ALWAYS, *(BY_NAME[name] for name in story.exceptions)]
    return [_through(wanted, answers) for answers in transcript]


def agree(wanted: list[Message], got: list[Message], story: Story) -> bool:
    """Whether the answers of a step, made comparable, are equal."""
    if healed_plans.__name__ in story.exceptions and any(map(_is_stale_plan, wanted)):
        return got[-1:] == wanted[-1:]
    for name, sqlstate in ((passed_sequences, "55000"), (spelled_names, "26000")):
        if name.__name__ in story.exceptions and any(_has(m, sqlstate) for m in got):
            return True
    if last_words.__name__ not in story.exceptions or CLOSED not in wanted[-1:]:
        return wanted == got
    said = [m for m in got[:-1] if m.kind != "E" or m.fields.get("S") != "FATAL"]
    short, long = sorted((said, wanted), key=len)
    return got[-1:] == [CLOSED] and short == long[: len(short)]


def _has(message: Message, sqlstate: str) -> bool:
    return message.kind == "E" and message.fields.get("C") == sqlstate


def _is_stale_plan(message: Message) -> bool:
    return _has(message, "0A000")


def _through(normalisers: list[Normaliser], answers: list[Message]) -> list[Message]:
    for normaliser in normalisers:
        answers = normaliser(answers)
    return answers


def reasons() -> dict[str, str]:
    """Each exception and its reason, for whoever reads the figures."""
    return {n.__name__: " ".join((n.__doc__ or "").split()) for n in (*ALWAYS, *SOME)}
