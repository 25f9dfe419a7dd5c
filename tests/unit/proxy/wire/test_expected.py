"""Conversations as PostgreSQL has them, and what the queue makes of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.wire import expected as x
from sluice_proxy.wire.expected import GIVE, TOO_LONG, ExpectedReplies
from sluice_proxy.wire.note import FORWARD, SKIP
from sluice_testing.conversation import UNNAMED, converse, send

SETTLED = {
    "a simple query": "> Q < T C Z",
    "a query with two results": "> Q < T C T C Z",
    "an empty query": "> Q < I Z",
    "a query that fails": "> Q < E Z",
    "a query that fails in its second statement": "> Q < T C E Z",
    "two queries sent at once": "> Q Q < T C Z T C Z",
    "a notice, a parameter and a notification amid": "> Q < N T S A C Z",
    "the extended way": "> P B D E S < 1 2 T C Z",
    "an extended statement without rows": "> P B D E S < 1 2 n C Z",
    "describe of a statement": "> P D S < 1 t T Z",
    "describe of a statement without rows": "> P D S < 1 t n Z",
    "a portal fetched in parts": "> P B E S < 1 2 s Z > E S < s Z > E S < C Z",
    "an empty statement": "> P B E S < 1 2 I Z",
    "close": "> C S < 3 Z",
    "only a sync": "> S < Z",
    "several syncs": "> S S S < Z Z Z",
    "a pipeline": "> P B E S P B E S < 1 2 C Z 1 2 C Z",
    "a pipeline that overlaps its answers": "> P B E < 1 2 > S P B < C Z > E S < 1 2 C Z",
    "an error in Parse": "> P B E S < E Z",
    "an error in Bind": "> P B E S < 1 E Z",
    "an error in Execute": "> P B E E S < 1 2 E Z",
    "an error skips to its own sync": "> P B E S P B E S < E Z 1 2 C Z",
    "an error in each part of a pipeline": "> P B E S P B E S < E Z 1 E Z",
    "an error before the sync was sent": "> P < E > B E S < Z",
    "two pipelines after an error": "> P < E > B E S P B E S < Z 1 2 C Z",
    "a query skipped after an error": "> P Q S < E Z",
    "a query skipped after an error that was seen": "> P < E > Q S < Z",
    "a query within a pipeline": "> P B E Q S < 1 2 C T C Z Z",
    "a query that fails within a pipeline": "> P B E Q P B E S < 1 2 C E Z 1 2 C Z",
    "an error at the sync itself": "> P B E S < 1 2 C E Z",
    "a function call": "> F < V Z",
    "a function call that fails": "> F < E Z",
    "a function call, then a query": "> F Q < V Z T C Z",
    "COPY out": "> Q < H c C Z",
    "COPY out, extended": "> P B E S < 1 2 H c C Z",
    "COPY in": "> Q < G > c < C Z",
    "COPY in that the client fails": "> Q < G > c < E Z",
    "COPY in that the server fails": "> Q < G E Z > c",
    "COPY in, all of it sent ahead": "> Q c < G C Z",
    "COPY in sent ahead, then a query": "> Q c Q < G C Z T C Z",
    "COPY in sent ahead that is refused": "> Q c < E Z",
    "COPY in sent ahead that is refused, then a query": "> Q c Q < E Z T C Z",
    "COPY in sent ahead that fails midway": "> Q c < G E Z",
    "two copies in one query": "> Q < G > c < C G > c < C Z",
    "two copies in one query, both sent ahead": "> Q c c < G C G C Z",
    "a COPY end too many": "> Q c c < G C Z > Q < T C Z",
    "COPY ends without a copy": "> c Q c < T C Z > Q < T C Z",
    "a sync within COPY is not answered": "> Q < G > S c < C Z",
    "COPY in, extended": "> P B E < 1 2 G > c S < C Z",
    "COPY in, extended, with a sync sent ahead": "> P B E S < 1 2 G > c S < C Z",
    "COPY in, extended, with two syncs sent ahead": "> P B E S S < 1 2 G > c S < C Z",
    "COPY in, extended, all sent ahead": "> P B E c S < 1 2 G C Z",
    "COPY in, extended, all and a sync sent ahead": "> P B E S c S < 1 2 G C Z",
    "COPY in, extended, that fails": "> P B E < 1 2 G E > c S < Z",
    "COPY in, extended, sent ahead, that fails": "> P B E c S < 1 2 G E Z",
    "COPY in, extended, sent ahead, that is refused": "> P B E c S < 1 2 E Z",
    "a setting of the proxy's own before a query": "> Q~ Q < C~ Z~ T C Z",
    "a notice for the proxy alone": "> Q~ Q < N~ C~ Z~ N T C Z",
    "a parameter amid the proxy's own": "> Q~ < S~ C~ Z~",
    "a statement made anew before it is bound": "> P0~ B E S < 1~ 2 C Z",
    "a statement that cannot be made anew": "> P0~ B E S < E Z",
    "a slot that is cleaned": "> C~ B E S < 3~ E Z",
    "a slot that is cleaned, and filled": "> Q~ C~ P0~ B E S < C~ Z~ 3~ 1~ 2 C Z",
}


@pytest.mark.parametrize("name", SETTLED)
def test_nothing_is_owed_at_the_end_and_not_before(name: str) -> None:
    before, ready, after = SETTLED[name].rpartition("Z")
    replies = converse(before)
    assert not replies.settled, "the last ReadyForQuery is still to come"
    converse(f"< {ready}{after}", replies)
    assert replies.settled
    assert not replies.doubt
    assert len(replies) == 0


OWED = {
    "an answer": "> Q",
    "a ready": "> Q < T C",
    "a sync that was not sent": "> P B E < 1 2 C",
    "the sync after an error": "> P B E < E",
    "the sync after an error, and another part": "> P B E < E > P B E",
    "a flushed part of a pipeline": "> P B E S < 1 2 C Z > P < 1",
    "the second ready": "> S S < Z",
    "a copy that runs": "> Q < G",
    "a copy that ended, not yet answered": "> Q < G > c",
    "an unnamed statement within a copy": "> Q < G > P0",
    "the sync after a copy that had one ahead": "> P B E S < 1 2 G > c < C",
    "an answer to the proxy's own": "> Q~ < C~",
}


@pytest.mark.parametrize("name", OWED)
def test_something_is_owed(name: str) -> None:
    replies = converse(OWED[name])
    assert not replies.settled
    assert not replies.doubt


DOUBTS = {
    "a ready that nobody asked for": "< Z",
    "one ready too many": "> Q < T C Z Z",
    "an answer that nobody asked for": "< 1",
    "an error that nobody asked for": "< E",
    "a row description that nobody asked for": "< T",
    "a parameter description that nobody asked for": "< t",
    "a function result that nobody asked for": "< V",
    "the wrong answer": "> P S < 2",
    "rows for a Bind": "> B < T",
    "a completion for a Describe": "> D < C",
    "a ready for a Parse": "> P < Z",
    "a copy for a Bind": "> B < G",
    "COPY both, which is for replication": "> Q < W",
    "a query within COPY in": "> Q < G > Q",
    "a Bind within COPY in": "> Q < G > B",
    "a sync within COPY that fails": "> Q < G > S < E",
    # A COPY to a view says CopyInResponse, then fails before it reads: the sync sent ahead
    # is answered after all, and the answer must not be taken for that of the next.
    "a sync ahead of COPY that fails": "> P B E S c S < 1 2 G E",
    "an error in what the proxy asked": "> Q~ < E~",
    "a query behind a COPY by Execute, sent ahead": "> P B E Q S < 1 2 G",
    "a query behind a COPY by Execute": "> P B E < 1 2 G > c Q",
    "a function call behind a COPY by Execute": "> P B E < 1 2 G > c F",
}


@pytest.mark.parametrize("name", DOUBTS)
def test_doubt_stays_for_good(name: str) -> None:
    replies = converse(DOUBTS[name])
    assert replies.doubt
    replies.on_reply(ord("Z"))
    replies.on_reply(ord("Z"))
    assert not replies.settled


def test_after_a_copy_that_went_well_an_error_is_an_error_again() -> None:
    assert converse("> P B E S < 1 2 G > c S < C Z > Q < E Z").settled
    assert converse("> Q < G > S c < C Z > P S < E Z").settled


UNNAMED_AFTER = [
    ("> P0 S < 1 Z", UNNAMED),
    ("> P0 B E S < 1 2 C Z", UNNAMED),
    ("> P0 S P01 S < 1 Z 1 Z", UNNAMED + b"1"),
    ("> P0 S < 1 Z > P01 S < E Z", None),
    ("> P0 S < 1 Z > B P01 S < E Z", UNNAMED),
    ("> P0 B S < 1 E Z", UNNAMED),
    ("> P0 S < 1 Z > Q < C Z", None),
    ("> P0 S < 1 Z > Q < E Z", None),
    ("> P0 S < 1 Z > C0 S < 3 Z", None),
    ("> P0 S < 1 Z > C S < 3 Z", UNNAMED),
    ("> P0 S < 1 Z > P S < 1 Z", UNNAMED),
    ("> P0 S < 1 Z > F < V Z", UNNAMED),
    ("> P0 S < 1 Z > Q~ < C~ Z~", UNNAMED),
    ("> P0~ B E S < 1~ 2 C Z", UNNAMED),
    ("> P0~ B E S < E Z", None),
    ("> P0 P01 P02 S < 1 E Z > P03 S < 1 Z", UNNAMED + b"3"),
    ("> P P0 P01 S P02 S < E Z 1 Z", UNNAMED + b"2"),
    ("> P < E > P0 S P01 S < Z 1 Z", UNNAMED + b"1"),
    ("> Q < G > P0", None),
]


@pytest.mark.parametrize(("conversation", "unnamed"), UNNAMED_AFTER)
def test_the_unnamed_statement_is_as_the_server_has_it(
    conversation: str, unnamed: bytes | None
) -> None:
    assert converse(conversation).unnamed == unnamed


def test_a_parse_too_long_to_keep_is_none() -> None:
    replies = converse("> P0 S < 1 Z")
    replies.push_parse_unnamed(TOO_LONG)
    converse("> S < 1 Z", replies)
    assert replies.unnamed == TOO_LONG
    assert replies.settled


# What the server works on


TURNS = {
    "": (False, False, False),
    "> Q": (False, False, True),
    "> Q~": (True, True, False),
    "> Q~ Q": (True, True, True),
    "> Q~ Q < C~ Z~": (False, False, True),
    "> P~ B": (True, False, True),
    "> P < 1": (False, False, True),
    "> Q < G": (False, False, True),
    "> Q < T C Z": (False, False, False),
}


@pytest.mark.parametrize("conversation", TURNS)
def test_whose_turn_it_is(conversation: str) -> None:
    """Pitfall 37: a cancel request is held while the server works for the proxy."""
    replies = converse(conversation)
    turns = (replies.own_turn, replies.own_query, replies.owes_client)
    assert turns == TURNS[conversation]


COUNTS = {
    "> Q": (1, 0),
    "> P B E S": (1, 0),
    "> P B E S < 1 2 C Z": (1, 1),
    "> S S Q < Z Z": (3, 2),
    "> F < V Z": (1, 1),
    "> P Q S < E Z": (2, 2),
    "> P B E S < 1 2 G > c S < C Z": (2, 2),
}


@pytest.mark.parametrize("conversation", COUNTS)
def test_what_fails_together_is_counted_together(conversation: str) -> None:
    replies = converse(conversation)
    assert (replies.sent, replies.answered) == COUNTS[conversation]


def test_a_ready_that_a_copy_seemed_to_have_swallowed_is_passed_on() -> None:
    """A COPY to a view: the sync sent ahead is answered after all."""
    replies = converse("> P B E S c S C~ < 1 2 G E Z")
    assert replies.on_reply(ord("Z")) == FORWARD
    assert replies.doubt
    assert not replies.ignoring


tokens = st.sampled_from(("P", "P0", "B", "D", "E", "C", "C0", "S", "Q", "F", "c", "Q~", "P0~"))
answers = st.sampled_from("123TntCIZEGHVsNSAW")


@given(st.lists(st.one_of(tokens.map(lambda t: (">", t)), answers.map(lambda t: ("<", t)))))
def test_any_conversation_is_survived(steps: list[tuple[str, str]]) -> None:
    replies = ExpectedReplies()
    for direction, token in steps:
        if direction == ">":
            send(replies, token)
        else:
            assert replies.on_reply(ord(token)) in (FORWARD, SKIP)
        assert not (replies.settled and len(replies))


ANSWER = {"P": "1", "P0": "1", "B": "2", "D": "n", "E": "C", "C": "3", "C0": "3"}


class Backend:
    """PostgreSQL's main loop as its documentation describes it, without COPY.

    A request answers, or fails where `fails` says so.
    """

    def __init__(self) -> None:
        self.skipping = False

    def run(self, request: str, fails: bool) -> str:
        if request == "S":
            self.skipping = False
            return "EZ" if fails else "Z"
        if self.skipping:
            return ""
        if request in ("Q", "F"):
            body = "C" if request == "Q" else "V"
            return "EZ" if fails else body + "Z"
        if fails:
            self.skipping = True
            return "E"
        return ANSWER[request]


requests = st.sampled_from(("P", "P0", "B", "D", "E", "C", "C0", "S", "Q", "F"))


@given(st.lists(st.tuples(requests, st.booleans(), st.integers(0, 5))))
def test_whatever_a_backend_answers_and_whenever(steps: list[tuple[str, bool, int]]) -> None:
    """Never a doubt, and settled exactly when everything was answered and synced."""
    replies, backend = ExpectedReplies(), Backend()
    under_way: list[str] = []
    last = "S"
    for request, fails, arriving in [*steps, ("S", False, 1000)]:
        send(replies, request)
        last = request
        under_way += backend.run(request, fails)
        for answer in under_way[:arriving]:
            replies.on_reply(ord(answer))
        del under_way[:arriving]
        owes = bool(under_way) or backend.skipping or last not in ("S", "Q", "F")
        assert not replies.settled or not owes
    assert replies.settled
    assert not replies.doubt


def test_a_ready_may_be_kept_back_and_given_later() -> None:
    """A client hears it when what the proxy does behind its request is done."""
    replies = converse("> Q")
    assert replies.hold_last()
    replies.push(x.QUERY | SKIP | GIVE)
    converse("< C Z~ C~", replies)
    assert replies.owes_client
    converse("< Z", replies)
    assert replies.settled


@pytest.mark.parametrize("before", ["", "> P", "> Q c"])
def test_nothing_is_kept_back_where_no_ready_comes(before: str) -> None:
    assert not converse(before).hold_last()


def test_what_the_proxy_asked_by_itself_is_lost_when_answers_are_in_doubt() -> None:
    expected = ExpectedReplies()
    expected.push(x.QUERY)
    expected.push(x.QUERY | SKIP)
    assert not expected.own_in_doubt
    expected.doubt = True
    assert expected.own_in_doubt


PARSE = b"P\0\0\0\x10\0SELECT 1\0\0\0"


def pushed(kinds: list[int]) -> ExpectedReplies:
    """Message by message."""
    queue = ExpectedReplies()
    for kind in kinds:
        if kind == x.PARSE_UNNAMED:
            queue.push_parse_unnamed(PARSE)
        else:
            queue.push(kind)
    return queue


def kept(queue: ExpectedReplies) -> list[object]:
    """Every field; of a plain request the entries are made by looking."""
    assert len(queue) >= 0
    found = [(name, getattr(queue, name)) for name in dir(queue) if not name.startswith("__")]
    return [(name, value) for name, value in found if not callable(value)]


@pytest.mark.parametrize("looked_at", [True, False])
@pytest.mark.parametrize(
    ("kinds", "answers"),
    [
        ([x.QUERY], "TDCZ"),
        ([x.PARSE_UNNAMED, x.BIND, x.EXECUTE, x.SYNC], "12DCZ"),
        ([x.PARSE_UNNAMED, x.BIND, x.DESCRIBE, x.EXECUTE, x.SYNC], "12TDCZ"),
        ([x.BIND, x.EXECUTE, x.SYNC], "2DCZ"),
        ([x.BIND, x.DESCRIBE, x.EXECUTE, x.SYNC], "2TDCZ"),
    ],
)
def test_a_plain_request_is_entered_at_once_as_message_by_message(
    kinds: list[int], answers: str, looked_at: bool
) -> None:
    whole, apart = ExpectedReplies(), pushed(kinds)
    whole.unnamed = apart.unnamed = b"before"
    bound = kinds[0] == x.BIND
    if kinds == [x.QUERY]:
        whole.push_query()
    elif bound:
        whole.push_bound(described=x.DESCRIBE in kinds)
    else:
        whole.push_pipeline(PARSE, described=x.DESCRIBE in kinds)
    if looked_at:
        assert kept(whole) == kept(apart)
    whole.settle_plain(bound)
    for kind in answers:
        assert apart.on_reply(ord(kind)) == FORWARD
    assert kept(whole) == kept(apart)
