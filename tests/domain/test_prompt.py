from domain.identifiers import MessageId
from domain.message import Message, Role
from domain.prompt import ContextWindow, PromptMessage, build_prompt
from tests.builders import NOON, SESSION

WINDOW = ContextWindow(messages=20, tokens=1_000, count=len)


def message(number: int, role: Role, content: str) -> Message:
    return Message(MessageId(number), SESSION, number, role, content, NOON)


def test_the_model_is_given_the_system_prompt_and_the_conversation() -> None:
    recent = [
        message(1, Role.USER, "My name is Ada."),
        message(2, Role.ASSISTANT, "Hello, Ada."),
        message(3, Role.USER, "Who am I?"),
    ]
    prompt = build_prompt("Be brief.", recent, WINDOW)
    assert prompt.messages == (
        PromptMessage(Role.SYSTEM, "Be brief."),
        PromptMessage(Role.USER, "My name is Ada."),
        PromptMessage(Role.ASSISTANT, "Hello, Ada."),
        PromptMessage(Role.USER, "Who am I?"),
    )
    assert prompt.question == "Who am I?"


def test_without_a_system_prompt_the_conversation_stands_alone() -> None:
    assert len(build_prompt(None, [message(1, Role.USER, "Hello")], WINDOW).messages) == 1
    assert len(build_prompt("", [message(1, Role.USER, "Hello")], WINDOW).messages) == 1
