from collections.abc import Sequence
from dataclasses import replace

import pytest

from domain.identifiers import FileId, MessageId
from domain.message import Message, Role
from domain.prompt import ContextWindow, Prompt, build_prompt
from domain.uploaded_file import FileText
from tests.builders import NOON, SESSION


def conversation(*contents: str) -> Sequence[Message]:
    """Question, answer, question, …"""
    roles = (Role.USER, Role.ASSISTANT)
    return [
        Message(MessageId(number), SESSION, number, roles[(number - 1) % 2], content, NOON)
        for number, content in enumerate(contents, 1)
    ]


def naming(message: Message, *file_ids: int) -> Message:
    return replace(message, file_ids=tuple(map(FileId, file_ids)))


def file(name: str, text: str) -> FileText:
    return FileText(name, text, len(text))


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


def test_files_stand_before_the_message_that_names_them_and_the_question_is_as_it_was_asked() -> (
    None
):
    q1, a1, q2 = conversation("q1", "a1", "q2")
    files = {FileId(1): file("a.py", "one"), FileId(2): file("b.py", "two")}
    told = build_prompt("s", [naming(q1, 1), a1, naming(q2, 2, 1)], window(), files)
    assert said(told) == [
        "s",
        "File a.py:\n```\none\n```\n\nq1",
        "a1",
        "File b.py:\n```\ntwo\n```\n\nFile a.py:\n```\none\n```\n\nq2",
    ]
    assert told.question == "q2"


def test_the_files_of_the_question_are_sure_of_most_of_the_window() -> None:
    contents = [letter * 100 for letter in "abcdefgh"] + ["question"]
    talk = conversation(*contents)
    talk = [*talk[:-1], naming(talk[-1], 1)]
    told = build_prompt(None, talk, window(tokens=1_000), {FileId(1): file("a", "x" * 5_000)})
    assert said(told)[-1].count("x") > 700
    assert said(told)[:-1] == ["g" * 100, "h" * 100]
    assert sum(map(len, said(told))) <= 1_000


def test_messages_get_what_files_do_not_need() -> None:
    talk = conversation(*[letter * 100 for letter in "abcdefgh"], "question")
    talk = [*talk[:-1], naming(talk[-1], 1)]
    told = build_prompt(None, talk, window(tokens=1_000), {FileId(1): file("a", "x")})
    assert len(said(told)) == 9


def test_a_file_goes_on_to_be_told_after_the_message_that_named_it() -> None:
    """Newer messages come first, and the file gets what they leave of the window."""
    q1, a1, q2 = conversation("q1", "a1" * 50, "q2" * 50)
    files = {FileId(1): file("a", "x" * 5_000)}
    told = build_prompt(None, [naming(q1, 1), a1, q2], window(tokens=1_000), files)
    assert [said(told)[1], said(told)[2]] == ["a1" * 50, "q2" * 50]
    assert 600 < said(told)[0].count("x") < 800
    assert sum(map(len, said(told))) <= 1_000


def test_a_file_that_nobody_knows_is_passed_over() -> None:
    (question,) = conversation("q1")
    assert said(build_prompt(None, [naming(question, 9)], window())) == ["q1"]
