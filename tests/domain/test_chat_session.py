import pytest

from domain.chat_session import MAX_WAITING
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
