import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.message import MAX_MESSAGE_CHARACTERS, Role, Usage, clean_message, storable


def test_a_message_is_trimmed() -> None:
    assert clean_message("  hello\n ") == "hello"


def test_a_message_may_be_as_long_as_the_limit_after_trimming() -> None:
    longest = "é" * MAX_MESSAGE_CHARACTERS
    assert clean_message(f" {longest} ") == longest


@pytest.mark.parametrize("text", ["", " \n\t\u3000", "x" * (MAX_MESSAGE_CHARACTERS + 1), "a\x00b"])
def test_an_empty_an_over_long_and_a_binary_one_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_message(text)
    assert refused.value.flaws[0].pointer == "/message"


def test_there_are_six_roles() -> None:
    assert {role.value for role in Role} == {
        "system", "user", "assistant", "function", "tool", "developer",
    }  # fmt: skip


def test_total_tokens_are_the_sum() -> None:
    assert Usage(3, 4).total_tokens == 7


@given(st.text(st.characters(codec=None, categories=None)))
def test_what_is_storable_can_be_encoded_and_stays_as_it_is(text: str) -> None:
    kept = storable(text)
    assert "\x00" not in kept
    assert storable(kept.encode().decode()) == kept
    if "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text):
        assert kept == text
