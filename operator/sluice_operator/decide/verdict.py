"""What is said of one aspect of a proxy, before it is dated."""

from dataclasses import dataclass

from sluice_operator.api.conditions import FALSE, TRUE, UNKNOWN, Reason

WORDS_MAX = 600
"""Characters that others (servers, kubelets, the API server) may say in one message."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition; `status` is True, False or Unknown."""

    status: str
    reason: Reason
    message: str = ""

    @property
    def holds(self) -> bool:
        return self.status == TRUE

    @property
    def fails(self) -> bool:
        return self.status == FALSE


def yes(reason: Reason, message: str = "") -> Verdict:
    return Verdict(TRUE, reason, message)


def no(reason: Reason, message: str = "") -> Verdict:
    return Verdict(FALSE, reason, message)


def unknown(reason: Reason) -> Verdict:
    return Verdict(UNKNOWN, reason, with_remedy(reason, reason.meaning))


def blamed(reason: Reason, what: str) -> Verdict:
    """A failure: `what` is the field or object and its trouble; what to do follows."""
    return no(reason, with_remedy(reason, what))


def with_remedy(reason: Reason, what: str) -> str:
    return f"{what}: {reason.remedy}" if reason.remedy else what


def words(text: str) -> str:
    """What somebody else said, as a part of a sentence of ours."""
    line = " ".join(text.split()).rstrip(".:")
    return line if len(line) <= WORDS_MAX else f"{line[:WORDS_MAX]}…"
