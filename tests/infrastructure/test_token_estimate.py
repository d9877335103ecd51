import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.models.token_estimate import estimate_tokens

TEXTS = st.text(max_size=200) | st.text("ab é漢😀", max_size=200)
PER_MESSAGE = estimate_tokens("")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("four", 1),
        ("fives", 2),
        ("x" * 4_000, 1_000),
        ("漢", 1),
        ("漢字", 2),
        ("漢字ab", 3),
        ("é", 1),
        ("😀", 2),
        ("\ud83d", 1),
        ("\x00" * 4, 1),
    ],
)
def test_a_text_has_so_many_tokens_beside_those_of_its_message(text: str, tokens: int) -> None:
    assert estimate_tokens(text) - PER_MESSAGE == tokens


@given(TEXTS)
def test_no_message_is_free_and_none_costs_more_than_its_bytes(text: str) -> None:
    tokens = estimate_tokens(text)
    assert tokens > 0
    assert tokens - PER_MESSAGE <= len(text.encode("utf-8", "surrogatepass"))
    assert (tokens == PER_MESSAGE) == (text == "")


@given(TEXTS, TEXTS)
def test_a_longer_text_never_has_fewer_tokens_and_two_never_fewer_than_both_together(
    one: str, other: str
) -> None:
    both = estimate_tokens(one + other)
    assert both >= max(estimate_tokens(one), estimate_tokens(other))
    assert both == estimate_tokens(other + one)
    assert both <= estimate_tokens(one) + estimate_tokens(other)
