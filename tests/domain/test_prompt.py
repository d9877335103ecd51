from collections.abc import Sequence

import pytest

from domain.identifiers import MessageId
from domain.message import Message, Role
from domain.prompt import ContextWindow, Prompt, build_prompt
from tests.builders import NOON, SESSION


def conversation(*contents: str) -> Sequence[Message]:
    """Question, answer, question, …"""
    roles = (Role.USER, Role.ASSISTANT)
    return [
        Message(MessageId(number), SESSION, number, roles[(number - 1) % 2], content, NOON)
        for number, content in enumerate(contents, 1)
    ]


def window(messages: int = 20, tokens: int = 1_000) -> ContextWindow:
    """A token a character."""
    return ContextWindow(messages, tokens, len)


def said(prompt: Prompt) -> list[str]:
    return [message.content for message in prompt.messages]


def test_the_prompt_is_the_system_prompt_and_then_the_conversation() -> None:
    prompt = build_prompt("Teach.", conversation("q1", "a1", "q2"), window())
    assert [(message.role.value, message.content) for message in prompt.messages] == [
        ("system", "Teach."),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "q2"),
    ]
    assert prompt.question == "q2"


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_a_system_prompt_the_conversation_is_all(nothing: str | None) -> None:
    assert said(build_prompt(nothing, conversation("q1"), window())) == ["q1"]


def test_the_oldest_messages_go_first() -> None:
    prompt = build_prompt("s", conversation("q1", "a1", "q2", "a2", "q3"), window(messages=3))
    assert said(prompt) == ["s", "q2", "a2", "q3"]


def test_an_answer_goes_with_its_question() -> None:
    prompt = build_prompt("s", conversation("q1", "a1", "q2", "a2", "q3"), window(messages=4))
    assert said(prompt) == ["s", "q2", "a2", "q3"]


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        (11, ["s", "q1", "a1", "q2", "a2", "q3"]),
        (10, ["s", "q2", "a2", "q3"]),
        (7, ["s", "q2", "a2", "q3"]),
        (6, ["s", "q3"]),
        (0, ["s", "q3"]),
    ],
)
def test_what_exceeds_the_budget_goes_but_never_the_system_prompt_or_the_question(
    tokens: int, kept: list[str]
) -> None:
    prompt = build_prompt("s", conversation("q1", "a1", "q2", "a2", "q3"), window(tokens=tokens))
    assert said(prompt) == kept


def test_no_message_is_left_out_between_two_that_are_given() -> None:
    """A short old message would fit where a long newer one does not."""
    contents = ("q1", "a1", "a very long question", "a2", "q3")
    assert said(build_prompt(None, conversation(*contents), window(tokens=10))) == ["q3"]


def test_questions_that_had_no_answer_stay() -> None:
    """As after answers that failed without a word."""
    unanswered = [message for message in conversation("q1", "a1", "q2") if message.number != 2]
    assert said(build_prompt(None, unanswered, window())) == ["q1", "q2"]
