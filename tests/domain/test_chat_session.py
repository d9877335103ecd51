from dataclasses import replace

import pytest

from domain.chat_session import MAX_WAITING, ChatSession, SessionChanges
from domain.errors import SessionBusy
from tests.builders import a_session


def test_questions_have_odd_numbers_so_that_answers_fit_between() -> None:
    asked, first = a_session().ask("one")
    asked, second = asked.ask("two")
    assert (first, second) == (1, 3)
    assert asked.message_count == 2


def test_eight_messages_may_wait_behind_the_one_that_is_answered() -> None:
    session = a_session()
    for _ in range(1 + MAX_WAITING):
        session, _ = session.ask("again")
    with pytest.raises(SessionBusy):
        session.ask("once more")


def test_the_first_message_gives_the_title_and_later_ones_do_not() -> None:
    asked, _ = a_session().ask("What  is\n a fence?")
    assert asked.title == "What is a fence?"
    assert asked.ask("And a lease?")[0].title == "What is a fence?"


def test_a_title_by_hand_stays() -> None:
    assert a_session(title="Mine").ask("What is a fence?")[0].title == "Mine"


def test_a_long_title_is_cut() -> None:
    title = a_session().ask("word " * 100)[0].title
    assert title is not None
    assert len(title) <= 60
    assert title.endswith("word…")


# What becomes of a conversation


def a_conversation() -> ChatSession:
    """Of two questions with their answers, in a session where everything is chosen."""
    session = replace(
        a_session(title="Mine"), model_name="gpt-9", persona="teacher", system_prompt="Be brief."
    )
    return replace(session, message_count=4, last_number=4)


def test_a_question_that_is_asked_again_waits_without_the_answers_it_had() -> None:
    for answers, left in ((1, 3), (0, 4)):
        again = a_conversation().ask_again(answers)
        assert (again.message_count, again.unanswered) == (left, 1)
        assert again.last_number == 4


def test_a_cleared_session_keeps_its_choices_and_gives_no_number_twice() -> None:
    assert a_conversation().clear() == replace(a_conversation(), message_count=0)
    assert a_conversation().clear().ask("again")[1] == 5


@pytest.mark.parametrize("waiting", [1, 2])
def test_while_anything_is_being_answered_nothing_is_asked_again_nor_cleared(waiting: int) -> None:
    busy = replace(a_conversation(), unanswered=waiting)
    with pytest.raises(SessionBusy):
        busy.ask_again(1)
    with pytest.raises(SessionBusy):
        busy.clear()
    with pytest.raises(SessionBusy):
        busy.change(SessionChanges(system_prompt="Be long."))


@pytest.mark.parametrize("name", ["title", "model_name", "persona"])
@pytest.mark.parametrize("value", ["other", None])
def test_what_is_changed_changes_alone_and_also_while_an_answer_is_written(
    name: str, value: str | None
) -> None:
    busy = replace(a_conversation(), unanswered=1)
    changed = busy.change(SessionChanges(**{name: value}))
    assert getattr(changed, name) == value
    assert replace(changed, **{name: getattr(busy, name)}) == busy


@pytest.mark.parametrize("value", ["Be long.", "Be brief.", None])
def test_a_system_prompt_begins_the_conversation_anew(value: str | None) -> None:
    anew = a_conversation().change(SessionChanges(system_prompt=value))
    assert anew == replace(a_conversation(), system_prompt=value, message_count=0)


def test_nothing_to_change_changes_nothing() -> None:
    assert a_conversation().change(SessionChanges()) == a_conversation()
