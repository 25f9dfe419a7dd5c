"""When the answers of two operators prove that both led at once."""

import pytest

from sluice_testing.leaders import Claim, contested


def said(*words: str) -> list[Claim]:
    """`a+`: a leads; `a-`: it does not; `a?`: no answer."""
    return [Claim(word[0], {"+": True, "-": False, "?": None}[word[1]]) for word in words]


@pytest.mark.parametrize(
    "words",
    ["a+ b- a+ b-", "a+ b+ a- b+", "a+ b+ a? b+ a+", "a- b+ a+ b-", "a+ b+"],
)
def test_one_after_the_other_is_no_contest(words: str) -> None:
    assert contested(said(*words.split())) == []


@pytest.mark.parametrize("words", ["a+ b+ a+", "a+ b+ c- a+", "b- a+ b+ c+ a+ b-"])
def test_one_who_led_before_and_after_another_said_so(words: str) -> None:
    assert ("a", "b") in contested(said(*words.split()))
