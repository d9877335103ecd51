import pytest

from domain.call import prompt_of
from domain.chat_session import ChatSession
from domain.errors import SessionClosed
from domain.message import MAX_MESSAGE_CHARACTERS, Role
from domain.prompt import Options, PromptMessage
from tests.builders import a_session

SYSTEM = PromptMessage(Role.SYSTEM, "Be brief.")
USER = PromptMessage(Role.USER, "why?")
RESULT = PromptMessage(Role.TOOL, "because", tool_call_id="1")


def of_a_call() -> ChatSession:
    return a_session(kept_seconds=60)


def test_what_was_asked_are_the_users_last_words() -> None:
    later = PromptMessage(Role.USER, "and how?")
    assert prompt_of([SYSTEM, USER, later, RESULT], Options()).question == "and how?"


def test_where_no_user_speaks_it_is_what_was_said_last() -> None:
    assert prompt_of([RESULT, SYSTEM], Options()).question == "Be brief."


def test_the_model_gets_all_of_it_but_subscribers_no_more_than_of_a_message() -> None:
    long = PromptMessage(Role.USER, "x" * (MAX_MESSAGE_CHARACTERS + 1))
    prompt = prompt_of([long], Options())
    assert prompt.messages == (long,)
    assert prompt.question == "x" * MAX_MESSAGE_CHARACTERS


def test_the_session_of_a_call_takes_one_question() -> None:
    asked, _ = of_a_call().ask("why?")
    with pytest.raises(SessionClosed):
        asked.ask("and how?")


def test_the_answer_to_a_call_is_not_given_again() -> None:
    with pytest.raises(SessionClosed):
        of_a_call().ask_again(1)


def test_options_are_those_that_were_given() -> None:
    given = Options(temperature=0.0, max_tokens=7).given
    assert given == {"temperature": 0.0, "max_tokens": 7}


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (Options(), None),
        (Options(max_tokens=7), 7),
        (Options(max_completion_tokens=8), 8),
        (Options(max_tokens=7, max_completion_tokens=5), 5),
    ],
)
def test_of_two_bounds_the_lower_one_counts(options: Options, most: int | None) -> None:
    assert options.most_tokens == most
