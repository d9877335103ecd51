import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.position import ORIGIN, Position

positions = st.builds(Position, st.integers(0, 10**17), st.integers(0, 10**17))


@given(positions)
def test_what_is_written_is_read(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", "-", "1", "1-", "-1", "1--1", "01-1", "1-01", "1-1 ", " 1-1", "1-1\n", "a-b", "1.0-1",
     "+1-1", "1-1-1", "٣-٣", "9" * 19 + "-0", "9" * 100_000],
)  # fmt: skip
def test_a_malformed_one_counts_as_none(text: str) -> None:
    assert Position.parse(text) is None


@given(st.text())
def test_any_text_is_a_position_as_written_or_none(text: str) -> None:
    position = Position.parse(text)
    assert position is None or str(position) == text


def test_positions_rise_by_fence_then_by_seq() -> None:
    assert ORIGIN < Position(1, 0) < Position(1, 9) < Position(1, 10) < Position(2, 0)
    assert Position(1, 9).next == Position(1, 10)
