from dataclasses import replace

import pytest

from domain.conversation import Asked, Conversation, Mark
from domain.generation import GenerationStatus
from domain.identifiers import MessageId, SessionId
from domain.message import Message, Role
from tests.builders import NOON, SESSION, a_generation

MARK = Mark(3, 0)
ANSWERED = Mark(7, 1)
MOST = 4


def question(number: int) -> Message:
    return Message(MessageId(number), SESSION, number, Role.USER, f"question {number}", NOON)


def conversation() -> Conversation:
    """Up to the answer to its first question."""
    ended = replace(
        a_generation(status=GenerationStatus.COMPLETED, fence=7, text="Because."),
        answer_id=MessageId(2),
    )
    return Asked(MARK, MOST, [question(1)]).answered(ended)


def texts(asked: Asked | None) -> list[str]:
    assert asked is not None
    return [message.content for message in asked.messages]


def test_an_answer_goes_on_with_the_next_question() -> None:
    assert conversation().mark == ANSWERED
    asked = conversation().asked(question(3), ANSWERED, MOST)
    assert texts(asked) == ["question 1", "Because.", "question 3"]
    assert conversation().messages[-1].role is Role.ASSISTANT


def test_an_end_without_an_answer_leaves_the_balance_as_it_is() -> None:
    ended = a_generation(status=GenerationStatus.FAILED, fence=7)
    made = Asked(MARK, MOST, [question(1)]).answered(ended)
    assert made.mark == Mark(7, 0)
    assert texts(made.asked(question(3), made.mark, MOST)) == ["question 1", "question 3"]


def test_only_the_last_messages_are_kept() -> None:
    first = Asked(MARK, MOST, [question(n) for n in (1, 3, 5)])
    ended = replace(a_generation(status=GenerationStatus.COMPLETED), number=5)
    made = first.answered(replace(ended, text="Because.", answer_id=MessageId(6)))
    assert len(made.messages) == MOST
    assert texts(made.asked(question(7), made.mark, MOST)) == [
        "question 3",
        "question 5",
        "Because.",
        "question 7",
    ]


@pytest.mark.parametrize(
    ("asked", "mark", "most"),
    [
        (question(3), Mark(8, 1), MOST),
        (question(3), Mark(7, 0), MOST),
        (question(3), ANSWERED, MOST + 1),
        (question(1), ANSWERED, MOST),
        (question(5), ANSWERED, MOST),
        (replace(question(3), session_id=SessionId("another")), ANSWERED, MOST),
    ],
)
def test_what_may_be_another_conversation_is_of_no_use(
    asked: Message, mark: Mark, most: int
) -> None:
    assert conversation().asked(asked, mark, most) is None


def test_a_mark_stays_with_questions_and_changes_with_all_else() -> None:
    now = Mark.of(end_fence=7, message_count=4, last_number=6)
    assert now == Mark.of(7, 5, 8)
    assert len({now, Mark.of(8, 5, 6), Mark.of(7, 3, 6), Mark.of(7, 0, 6)}) == 4
