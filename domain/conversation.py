from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.generation import Generation
from domain.identifiers import MessageId, SessionId
from domain.message import AnswerStatus, Message, Role, number_after


class Mark(NamedTuple):
    """What a session's row tells of what was said in it: two equal ones mean that the conversation
    up to the last ended answer is the same.

    `fence` is that of the last ended answer, and rises with each. `balance` is how many messages
    there are, less the questions that were ever asked: a question leaves it as it is, and whatever
    takes messages away lowers it, until another answer ends.
    """

    fence: int
    balance: int

    @classmethod
    def of(cls, end_fence: int, message_count: int, last_number: int) -> "Mark":
        return cls(end_fence, message_count - last_number // 2)


@dataclass(frozen=True, slots=True)
class Asked:
    """The last messages of a conversation, at most `most` of them, oldest first, up to the question
    that is being answered. `mark` is that of when the answer was begun."""

    mark: Mark
    most: int
    messages: Sequence[Message]

    def answered(self, by: Generation) -> "Conversation":
        """Once it has ended so. Meanwhile only questions can have come, so that its mark is
        known."""
        answers: tuple[Message, ...] = ()
        if by.answer_id is not None:
            answers = (_answer(by.answer_id, by),)
        mark = Mark(by.fence, self.mark.balance + len(answers))
        messages = (*self.messages, *answers)[-self.most :]
        return Conversation(by.session_id, mark, by.number, self.most, messages)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The last messages of a session, at most `most` of them, oldest first, up to the answer to the
    question with this number; those that are in the database for as long as the session has this
    mark."""

    session_id: SessionId
    mark: Mark
    number: int
    most: int
    messages: tuple[Message, ...]

    def asked(self, question: Message, mark: Mark, most: int) -> Asked | None:
        """With the question that is to be answered now. None if it may be another conversation by
        now, or if another length is asked for."""
        if (self.mark, self.most) != (mark, most) or question.session_id != self.session_id:
            return None
        if question.number != number_after(self.number):
            return None  # it is asked again, or others came between that have no answer
        return Asked(mark, most, (*self.messages, question)[-most:])


def _answer(answer_id: MessageId, by: Generation) -> Message:
    return Message(
        answer_id,
        by.session_id,
        by.number + 1,
        Role.ASSISTANT,
        by.text,
        by.ended_at or by.created_at,
        by.id,
        AnswerStatus(by.status.value),
        by.finish_reason,
        by.usage,
    )
