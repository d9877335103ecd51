import logging

import pytest

from application.forget_sessions import ForgetSessions
from application.submit_message import Submission
from domain.events import DomainEvent, SessionDeleted
from domain.identifiers import SessionId
from tests.application.conftest import Chat
from tests.builders import add_file, add_session
from tests.operator import age_session


def forget(chat: Chat, days: float = -1.0) -> ForgetSessions:
    return ForgetSessions(chat.database, chat.announce, chat.cache, chat.clear_strays, days)


async def test_old_sessions_go_with_their_files_however_many_there_are(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(2, 47):
        session_id = await add_session(chat.database, chat.user, f"session_{number}")
        await add_file(chat.database, chat.files, chat.user, session_id)
    await forget(chat)()
    state = chat.database.state
    assert (state.sessions, state.files, state.strays, chat.files.contents) == ({}, {}, {}, {})
    assert "forgot 46 sessions" in caplog.text


async def test_listeners_and_followers_are_told_of_those_that_were_still_there(chat: Chat) -> None:
    deleted = await add_session(chat.database, chat.user, "session_2")
    await chat.delete(chat.user, deleted)
    chat.happened.clear()
    async with chat.follow(chat.user, chat.session_id, None) as following:
        await forget(chat)()
        await chat.watch()
        assert [entry async for batch in following for entry in batch] == []
        assert following.gone
    told: list[DomainEvent] = [SessionDeleted(chat.user, chat.session_id)]
    assert chat.happened == told


async def test_what_is_not_old_stays_and_nothing_is_said(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await forget(chat, days=1)()
    assert list(chat.database.state.sessions) == [SessionId(chat.session_id)]
    assert caplog.text == ""
    assert chat.happened == []


async def test_without_a_retention_everything_stays(chat: Chat) -> None:
    await age_session(chat.database, chat.session_id, 10_000)
    await forget(chat, days=0)()
    assert list(chat.database.state.sessions) == [SessionId(chat.session_id)]


async def test_an_id_that_was_forgotten_can_be_used_again_and_followed(chat: Chat) -> None:
    await forget(chat)()
    again = await add_session(chat.database, chat.user, chat.session_id)
    accepted = await chat.submit(chat.user, again, Submission("why?"))
    claimed = await chat.claim(accepted.generation_id)
    assert claimed is not None
    await chat.answer(claimed)
    assert [entry.event for entry in await chat.stream.held(again)][-1:] != []
