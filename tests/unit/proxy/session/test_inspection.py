"""What the catalogs are asked, and what is made of their answer."""

import pytest

from sluice_proxy.session.inspection import Findings, Question, findings
from sluice_proxy.session.pinning import PROVABLE, PinReason
from sluice_proxy.session.settings import DEFAULTS, settings


def text(question: Question) -> bytes:
    return question.query()[5:-1]


def test_parameters_and_objects_are_asked_for_in_one_query() -> None:
    both = text(Question(True, True, names=(b"my.own",), user=b"it's", prefix=b"sluice_1_"))
    assert b"= 'session'" in both.replace(b"OPERATOR(pg_catalog.=)", b"=")
    assert b"E'{role,my.own}'::pg_catalog.text[]" in both
    assert b"session_user OPERATOR(pg_catalog.<>) E'it''s'" in both
    assert b"starts_with(name, 'sluice_1_')" in both
    assert b";" not in both


@pytest.mark.parametrize("reason", [r for r in PinReason if r & PROVABLE])
def test_every_reason_that_can_be_proved_is_asked_for(reason: PinReason) -> None:
    unseen = PinReason.CODE_BLOCK | PinReason.UNREADABLE_TEXT
    asked = b"'%d', '', ''" % reason in text(Question(False, True))
    assert asked is not bool(reason & unseen), "what a text hid shows as something else"


def test_only_what_is_wanted_is_asked_for() -> None:
    assert b"pg_locks" not in text(Question(True, False))
    assert b"pg_settings" not in text(Question(False, True))
    start = text(Question(True, False, source=b"client"))
    assert b"'client'" in start
    assert b"SELECT 'o'" in start


def test_what_the_proxy_started_its_connection_with_is_no_clients() -> None:
    start = text(Question(True, False, source=b"client"))
    assert start.count(b"'client_connection_check_interval'") == 1
    assert b"check_interval" not in text(Question(True, False)), "but what it has SET is"


@pytest.mark.parametrize("source", [b"session", b"client"])
def test_no_word_depends_on_the_search_path(source: bytes) -> None:
    """An operator or a table of the client's own must not answer for the catalogs."""
    asked = text(Question(True, True, source=source))
    for word in asked.replace(b"(", b" ").split():
        assert not word.startswith(b"pg_") or word.startswith(b"pg_catalog.")
    assert b" = " not in asked
    assert b" <> " not in asked


ANSWERS: list[tuple[list[list[bytes | None]], Findings]] = [
    ([], Findings(DEFAULTS, PinReason.NONE)),
    ([[b"s", b"a", b"1"], [b"s", b"b", None]], Findings(settings({b"a": b"1"}), PinReason.NONE)),
    ([[b"%d" % PinReason.LISTEN, b"", b""], [b"%d" % PinReason.ADVISORY_LOCK, b"", b""]],
     Findings(DEFAULTS, PinReason.LISTEN | PinReason.ADVISORY_LOCK)),
    ([[b"o", b"ignore_system_indexes", b"on"]],
     Findings(DEFAULTS, PinReason.NONE, startup_only=True)),
    ([[b"w", b"", b""]], Findings(DEFAULTS, PinReason.NONE, wiped=True)),
    ([[b"s", b"role", b"none"]], Findings(DEFAULTS, PinReason.NONE, no_role=True)),
    ([[b"s", b"role", b"r"]], Findings(settings({b"role": b"r"}), PinReason.NONE)),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "expected"), ANSWERS)
def test_what_the_rows_say(rows: list[list[bytes | None]], expected: Findings) -> None:
    assert findings(rows) == expected
