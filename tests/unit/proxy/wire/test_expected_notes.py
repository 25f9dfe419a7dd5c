"""Notes of the queue: whoever asked hears what becomes of it."""

import pytest

from sluice_proxy.wire import expected as x
from sluice_proxy.wire.expected import NOTED, QUIET, ExpectedReplies
from sluice_proxy.wire.note import FORWARD, SKIP, Note
from sluice_testing.conversation import REQUESTS, UNNAMED, converse, receive, send


class Diary(Note):
    """Writes down what it is told."""

    def __init__(self, name: str, diary: list[str], completes: int = FORWARD) -> None:
        self.name = name
        self.diary = diary
        self.completes = completes

    def done(self) -> None:
        self.diary.append(f"{self.name} done")

    def undone(self) -> None:
        self.diary.append(f"{self.name} undone")

    def failed(self) -> None:
        self.diary.append(f"{self.name} failed")

    def completed(self) -> int:
        self.diary.append(f"{self.name} completed")
        return self.completes


def noted(conversation: str) -> tuple[ExpectedReplies, list[str]]:
    """A conversation in which a request with `!` has a note of that name."""
    replies, diary = ExpectedReplies(), list[str]()
    act = send
    for token in conversation.split():
        if token in "<>":
            act = send if token == ">" else receive
        elif token.startswith("!"):
            name = token[1:]
            action = SKIP if name.endswith("~") else FORWARD
            entry = REQUESTS[name.rstrip("~123")] | action
            replies.push_noted(entry, Diary(name.rstrip("~"), diary))
        else:
            act(replies, token)
    return replies, diary


NOTES = {
    "> !P S < 1 Z": ["P done"],
    "> !P S < E Z": ["P undone"],
    "> B !P S < E Z": ["P undone"],
    "> !P1 !P2 !C S < 1 E Z": ["P1 done", "C undone", "P2 undone"],
    "> !C S < 3 Z": ["C done"],
    "> P B !E S < 1 2 C Z": ["E done"],
    "> P B !E S < 1 2 E Z": ["E undone"],
    "> !Q < C C Z": ["Q completed", "Q completed", "Q done"],
    "> !Q < E Z": ["Q failed", "Q done"],
    "> !Q < C E Z": ["Q completed", "Q failed", "Q done"],
    "> !Q~ < C~ Z~": ["Q completed", "Q done"],
    "> !Q~ < E~ Z~": ["Q failed", "Q done"],
    # Not looked at: the server reads on to the Sync.
    "> P < E > !P": ["P undone"],
    "> P < E > !Q S < Z": ["Q undone"],
    "> P !Q S < E Z": ["Q undone"],
    "> Q < G > !P": ["P undone"],
}


@pytest.mark.parametrize("conversation", NOTES)
def test_who_asked_hears_what_becomes_of_it(conversation: str) -> None:
    """Pitfall 16: what an error skips is told, backwards, so that it can be taken back."""
    _, diary = noted(conversation)
    assert diary == NOTES[conversation]


@pytest.mark.parametrize(
    ("before", "answers", "told"),
    [
        ("", "> S < 1 Z", ["done"]),
        ("", "> S < E Z", ["undone"]),
        ("> B", "> S < E Z", ["undone"]),
        ("> B < E", "> S < Z", ["undone"]),
        ("> Q < G", "", ["undone"]),
    ],
)
def test_who_sent_the_unnamed_statement_hears_of_it_too(
    before: str, answers: str, told: list[str]
) -> None:
    replies, diary = converse(before), list[str]()
    replies.push_parse_unnamed(UNNAMED, FORWARD, Diary("P0", diary))
    converse(answers, replies)
    assert diary == [f"P0 {what}" for what in told]


def test_a_note_may_keep_back_the_answers_of_single_statements() -> None:
    replies = ExpectedReplies()
    replies.push_noted(x.QUERY, Diary("Q", [], SKIP))
    assert replies.on_reply(ord("C")) == SKIP
    assert replies.on_reply(ord("T")) == FORWARD
    assert replies.on_reply(ord("Z")) == FORWARD


def test_a_note_does_nothing_unless_it_wants_to() -> None:
    replies = ExpectedReplies()
    replies.push_noted(x.QUERY | SKIP, Note())
    note = replies.front_note
    assert note is not None
    note.row([b"1"])
    assert note.edit_error(b"M", b"text") == b"text"
    assert replies.on_reply(ord("C")) == SKIP
    assert replies.on_reply(ord("E")) == SKIP
    assert replies.on_reply(ord("Z")) == SKIP
    replies.push_noted(x.PARSE, Note())
    replies.push(x.SYNC)
    assert replies.on_reply(ord("E")) == FORWARD
    assert replies.on_reply(ord("Z")) == FORWARD
    assert replies.settled


def test_the_note_of_the_next_answer_is_at_hand() -> None:
    replies, _ = noted("> Q !Q1")
    assert replies.front_note is None
    converse("< C Z", replies)
    assert isinstance(replies.front_note, Diary)
    assert replies.front_note.name == "Q1"
    converse("< C Z", replies)
    assert replies.front_note is None


def test_the_error_of_a_quiet_request_is_for_nobody() -> None:
    replies = ExpectedReplies()
    replies.push(x.PARSE | SKIP | QUIET)
    replies.push(x.SYNC | SKIP)
    converse("> Q < E~ Z~ C Z", replies)
    assert replies.settled
    assert NOTED & QUIET == 0
