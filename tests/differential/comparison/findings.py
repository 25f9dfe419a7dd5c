"""What differs, as values and as text."""

from dataclasses import dataclass, field

from comparison.normalise import agree, comparable
from sluice_testing.raw import Message
from sluice_testing.stories import CLOSED, HUNG, Story, Transcript

FIELDS = "SCMDHPpqWFLR"  # of errors and notices, in the order of interest


@dataclass(frozen=True)
class Finding:
    """One script whose answers differ; `how` it was told, if in a particular way."""

    script: str
    how: str
    what: str

    def __str__(self) -> str:
        manner = f", {self.how}" if self.how else ""
        return f"«{self.script}»{manner}: {self.what}"


@dataclass
class Tally:
    """The figures of one server and pool size."""

    major: int
    pool: int
    scripts: int = 0
    generated: int = 0
    runs: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"PostgreSQL {self.major}, pool size {self.pool}"

    @property
    def different(self) -> list[str]:
        """The names of the scripts that differ, each once."""
        return list(dict.fromkeys(finding.script for finding in self.findings))


def difference(story: Story, wanted: Transcript, got: Transcript) -> str:
    """Where two transcripts part, told for people; nothing where they are equal."""
    right, given = comparable(wanted, story), comparable(got, story)
    for number in range(max(len(right), len(given))):
        here = given[number] if number < len(given) else []
        there = right[number] if number < len(right) else []
        if not agree(there, here, story):
            return _told(story, number, there, here)
    return ""


def _told(story: Story, number: int, wanted: list[Message], got: list[Message]) -> str:
    where = f"step {number} of {len(story.steps)}" if number else "the login"
    if got[-1:] == [HUNG] or not got:
        where = f"hung after {where}" if got else f"nothing after {where}"
    said = story.steps[number - 1].send if number else dict(story.parameters)
    same = 0
    while same < min(len(wanted), len(got)) and wanted[same] == got[same]:
        same += 1
    return (
        f"{where}\n     sent        {_short(repr(said), 400)}"
        f"\n     PostgreSQL  {shown(wanted, same)}\n     here        {shown(got, same)}"
    )


def shown(messages: list[Message], same: int = 0) -> str:
    """A few messages, the first `same` by their types alone."""
    words = [message.kind for message in messages[:same]]
    words += [_message(message) for message in messages[same : same + 6]]
    if len(messages) > same + 6:
        words.append(f"… {len(messages) - same - 6} more")
    return " ".join(words) or "nothing"


def _message(message: Message) -> str:
    if message in (CLOSED, HUNG):
        return message.kind
    if message.kind in "EN":
        fields = message.fields
        return f"{message.kind}({' '.join(f'{k}:{fields[k]}' for k in FIELDS if k in fields)})"
    body = _short(repr(message.body)[2:-1], 120)
    return f"{message.kind}({body})" if body else message.kind


def _short(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size // 2]}…{text[-size // 2 :]}"
