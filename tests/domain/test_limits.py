import pytest

from domain.limits import QueueFull, Room, TooManyAnswers, Unanswered


def test_where_there_is_room_nothing_is_refused() -> None:
    Room(answers_per_user=3, waiting=5).refuse_beyond(Unanswered(of_user=2, waiting=4))


def test_no_limit_refuses_nothing() -> None:
    assert Room().is_endless
    Room().refuse_beyond(Unanswered(of_user=10_000, waiting=10_000))


@pytest.mark.parametrize(
    ("found", "error"),
    [(Unanswered(3, 0), TooManyAnswers), (Unanswered(0, 5), QueueFull)],
)
def test_who_finds_no_room_is_told_when_to_come_again(
    found: Unanswered, error: type[TooManyAnswers | QueueFull]
) -> None:
    with pytest.raises(error) as refused:
        Room(answers_per_user=3, waiting=5).refuse_beyond(found)
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
