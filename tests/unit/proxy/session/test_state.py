"""What is known of a server connection's session, and what has to be asked."""

from sluice_proxy.session.inspection import Findings, Question
from sluice_proxy.session.pinning import NOTHING, PinReason
from sluice_proxy.session.settings import DEFAULTS, settings
from sluice_proxy.session.state import SessionState
from sluice_proxy.session.statement import PREFIX, from_parse

NOBODY = PinReason.NONE
SET = settings({b"my.own": b"1", b"work_mem": b"2"})


def asked(state: SessionState) -> Question:
    question = state.question("user")
    assert question is not None
    return question


def test_nothing_is_asked_of_a_session_that_did_nothing() -> None:
    assert SessionState().question("user") is None


def test_parameters_are_asked_for_once_when_they_may_be_set() -> None:
    state = SessionState()
    state.touch((b"a.b",))
    state.touch((b"c.d", b"a.b"))
    assert asked(state) == Question(
        True, False, names=(b"a.b", b"c.d"), user=b"user", prefix=PREFIX
    )
    assert state.question("user") is None
    state.settings = SET
    state.touch()
    assert asked(state).names == (b"my.own", b"a.b", b"c.d"), "what is set is asked for too"


def test_objects_are_asked_for_when_a_reason_came_or_may_be_gone() -> None:
    state = SessionState()
    assert state.pin(PinReason.LISTEN) == PinReason.LISTEN
    assert state.pin(PinReason.LISTEN) == NOBODY, "told once"
    assert asked(state).objects
    assert state.question("user") is None
    state.may_unpin()
    assert asked(state).objects
    state.pins = NOBODY
    state.may_unpin()
    assert state.question("user") is None
    state.pin(PinReason.LOADED_LIBRARY)
    assert state.question("user") is None, "that cannot be proved"


def test_what_the_catalogs_said_is_known() -> None:
    state = SessionState()
    state.touch()
    state.pin(PinReason.LISTEN | PinReason.SEQUENCE | PinReason.TEMPORARY_OBJECT)
    question = asked(state)
    found = Findings(SET, PinReason.ADVISORY_LOCK | PinReason.TEMPORARY_OBJECT)
    state.learn(question, found, PinReason.TEMPORARY_OBJECT)
    assert state.settings is SET
    assert state.pins == PinReason.SEQUENCE | PinReason.ADVISORY_LOCK


def test_a_reason_that_came_after_the_question_is_kept() -> None:
    state = SessionState()
    state.pin(PinReason.LISTEN)
    question = asked(state)
    state.pin(PinReason.TEMPORARY_OBJECT)
    state.learn(question, Findings(DEFAULTS, NOBODY), NOBODY)
    assert state.pins & PinReason.TEMPORARY_OBJECT
    assert asked(state).objects, "and looked for in its turn"


def test_a_question_that_failed_waits_for_another_request() -> None:
    state = SessionState()
    state.touch()
    state.pin(PinReason.LISTEN)
    state.fail(asked(state))
    patient = asked(state)
    assert patient == Question(True, True, user=b"user", prefix=PREFIX, patient=True)
    state.fail(patient)
    assert state.question("user") is None
    state.try_again()
    assert asked(state) == patient


def test_what_discard_and_deallocate_do() -> None:
    """Pitfall 20."""
    state = SessionState()
    statement = from_parse(b"SELECT 1\0\0\0", DEFAULTS, NOTHING)
    state.pin(PinReason.SEQUENCE | PinReason.LISTEN)
    state.prepared.sending(statement, 1)
    state.prepared.confirm(statement)
    state.taken.append(b"p")
    state.wiped(b"DISCARD SEQUENCES")
    assert (len(state.prepared), state.taken) == (1, [b"p"])
    assert state.pins & PinReason.SEQUENCE, "it may stand before what pinned"
    state.wiped(b"DEALLOCATE ALL")
    assert (len(state.prepared), state.taken) == (0, [])
    assert state.pins & PinReason.SEQUENCE
    state.wiped(b"DISCARD ALL")
    assert state.pins == PinReason.LISTEN, "which the catalogs are asked for"


def test_statements_that_are_gone_unseen() -> None:
    state = SessionState()
    assert not state.wipe_unseen()
    statement = from_parse(b"SELECT 1\0\0\0", DEFAULTS, NOTHING)
    state.prepared.sending(statement, 1)
    assert not state.wipe_unseen(), "it may come yet"
    state.prepared.confirm(statement)
    assert state.wipe_unseen()
    assert len(state.prepared) == 0


def test_a_temporary_object_makes_what_was_prepared_old() -> None:
    """pg_temp joins the search path: a text may mean another table."""
    state = SessionState()
    statement = from_parse(b"SELECT 1\0\0\0", DEFAULTS, NOTHING)
    state.prepared.sending(statement, 1)
    state.prepared.confirm(statement)
    state.pin(PinReason.LISTEN)
    assert state.prepared.has(statement, 2)
    state.pin(PinReason.TEMPORARY_OBJECT)
    assert not state.prepared.has(statement, 2)
    state.prepared.sending(statement, 2)
    state.pin(PinReason.TEMPORARY_OBJECT)
    assert state.prepared.has(statement, 2), "the second one changes nothing"


def test_a_temporary_object_that_is_found_makes_it_old_too() -> None:
    state = SessionState()
    statement = from_parse(b"SELECT 1\0\0\0", DEFAULTS, NOTHING)
    state.prepared.sending(statement, 1)
    state.prepared.confirm(statement)
    state.guess(())
    state.learn(asked(state), Findings(DEFAULTS, PinReason.TEMPORARY_OBJECT), NOBODY)
    assert not state.prepared.has(statement, 2)


def test_what_was_made_while_a_temporary_object_was_there_is_old_without_it() -> None:
    state = SessionState()
    statement = from_parse(b"SELECT 1\0\0\0", DEFAULTS, NOTHING)
    state.pin(PinReason.TEMPORARY_OBJECT)
    state.prepared.sending(statement, 1)
    state.learn(asked(state), Findings(DEFAULTS, NOBODY), NOBODY)
    assert not state.prepared.has(statement, 1)


def test_what_was_made_behind_a_set_is_made_anew_when_its_outcome_is_known() -> None:
    state = SessionState()
    statement = from_parse(b"SELECT 1\0\0\0", DEFAULTS, NOTHING)
    state.touch()
    state.prepared.sending(statement, 1)
    question = asked(state)
    state.touch()
    state.learn(question, Findings(DEFAULTS, NOBODY), NOBODY)
    assert state.prepared.has(statement, 1), "another SET is on its way"
    state.learn(asked(state), Findings(DEFAULTS, NOBODY), NOBODY)
    assert not state.prepared.has(statement, 1)


def test_what_came_while_a_search_path_was_asked_for_is_looked_for() -> None:
    """It was judged by the parameters before, under which nothing was temporary."""
    state = SessionState()
    state.touch()
    hides = settings({b"search_path": b"pg_temp, public"})
    state.learn(asked(state), Findings(hides, NOBODY), NOBODY)
    assert asked(state).objects
    state.touch()
    state.learn(asked(state), Findings(hides, NOBODY), NOBODY)
    assert state.question("user") is None, "from then on it is judged by this one"


def test_what_is_being_asked_is_known_until_the_answer() -> None:
    state = SessionState()
    assert state.asked is None
    for end in (
        lambda question: state.learn(question, Findings(DEFAULTS, NOBODY), NOBODY),
        state.fail,
        lambda question: state.rest(),
    ):
        state.touch()
        question = asked(state)
        assert state.asked is question
        end(question)
        assert state.asked is None


def test_what_the_next_client_shall_not_find() -> None:
    state = SessionState()
    state.taken.append(b"p")
    assert state.to_close() == [b"p"]
    assert state.to_close() == []


def test_a_new_session_begins() -> None:
    state = SessionState()
    state.touch((b"a.b",))
    state.pin(PinReason.LISTEN)
    state.settings = SET
    state.rest()
    assert state.question("user") is None
    assert (state.settings, state.pins) == (SET, PinReason.LISTEN)
    state.clean()
    assert (state.settings, state.pins) == (DEFAULTS, NOBODY)
    state.touch()
    assert asked(state).names == ()
