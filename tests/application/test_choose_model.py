from dataclasses import replace

import pytest

from application.choose_model import Choice, ChooseModel
from application.open_session import OpenSession, Wishes
from application.ports import Finish, TextPiece
from domain.api_config import ApiChanges, ApiConfig
from domain.errors import ModelNotFound
from domain.generation import GenerationStatus
from domain.identifiers import SessionId, UserId
from tests.application.conftest import Chat
from tests.builders import a_new_api, add_api, add_user
from tests.fakes import FakeModels, says


class Choosing:
    """Of two users, one of whom has configurations."""

    def __init__(self, chat: Chat, other: UserId) -> None:
        self.chat, self.user, self.other = chat, chat.user, other
        self.models = FakeModels({"scripted": chat.model, "other": chat.model})
        self.choose = ChooseModel(self.models)

    async def configured(self, name: str, model_name: str) -> ApiConfig:
        return await add_api(self.chat.database, a_new_api(self.user, name, model_name))

    async def __call__(self, wished: str | None, user: UserId | None = None) -> Choice:
        async with self.chat.database(read_only=True) as work:
            return await self.choose(work, user or self.user, wished)


@pytest.fixture
async def choosing(chat: Chat) -> Choosing:
    return Choosing(chat, await add_user(chat.database, "bob"))


async def test_a_users_configuration_goes_before_the_servers_model_of_that_name(
    choosing: Choosing,
) -> None:
    mine = await choosing.configured("mine", "scripted")
    assert await choosing("scripted") == Choice("scripted", mine.id)
    assert await choosing("other") == Choice("other", None)
    assert await choosing("scripted", choosing.other) == Choice("scripted", None)


async def test_who_names_no_model_gets_their_first_or_else_the_servers(choosing: Choosing) -> None:
    first = await choosing.configured("one", "gpt-9")
    await choosing.configured("two", "gpt-10")
    assert await choosing(None) == Choice("gpt-9", first.id)
    assert await choosing(None, choosing.other) == Choice("scripted", None)


async def test_of_two_configurations_of_a_model_the_older_answers(choosing: Choosing) -> None:
    older = await choosing.configured("older", "gpt-9")
    await choosing.configured("newer", "gpt-9")
    assert await choosing("gpt-9") == Choice("gpt-9", older.id)


@pytest.mark.parametrize("wished", ["nobody's", "gpt-9"])
async def test_a_model_that_is_neither_the_users_nor_the_servers_is_not_found(
    choosing: Choosing, wished: str
) -> None:
    await choosing.configured("mine", "gpt-9")
    with pytest.raises(ModelNotFound):
        await choosing(wished, choosing.other)


# What was chosen answers


async def configured(chat: Chat, model_name: str) -> ApiConfig:
    return await add_api(chat.database, a_new_api(chat.user, "mine", model_name))


async def test_a_users_own_model_answers(chat: Chat) -> None:
    chat.configured_model.script = says(TextPiece("Mine"), Finish("stop"))
    await configured(chat, "scripted")
    await chat.ask_and_answer()
    assert await chat.contents() == ["why?", "Mine"]


async def test_what_was_meant_for_a_users_own_server_goes_to_no_other(chat: Chat) -> None:
    """Although the server has a model of the same name."""
    mine = await configured(chat, "scripted")
    accepted = await chat.ask()
    async with chat.database() as work:
        assert await work.api_configs.delete(chat.user, mine.id)
        await work.commit()
    await chat.answer(await chat.take())
    ended = await chat.generation(accepted.generation_id)
    assert ended.status is GenerationStatus.FAILED
    assert ended.failure is not None
    assert ended.failure.code == "model_not_found"
    assert chat.model.prompts == []


async def test_a_change_of_the_configuration_does_not_change_the_model_that_was_chosen(
    chat: Chat,
) -> None:
    mine = await configured(chat, "gpt-9")
    await chat.ask()
    async with chat.database() as work:
        await work.api_configs.change(chat.user, mine.id, ApiChanges(model_name="gpt-10"))
        await work.commit()
    await chat.take()
    assert [config.model_name for config in chat.models.asked] == ["gpt-9"]


# A session's model


async def test_a_session_opens_again_although_its_model_is_gone(chat: Chat) -> None:
    mine = await configured(chat, "gpt-9")
    choose = ChooseModel(chat.models)
    open_session = OpenSession(chat.database, choose, chat.personas, chat.ids)
    wishes = Wishes(SessionId("another"), model_name="gpt-9")
    assert (await open_session(chat.user, wishes)).created
    async with chat.database() as work:
        await work.api_configs.delete(chat.user, mine.id)
        await work.commit()
    assert not (await open_session(chat.user, wishes)).created
    with pytest.raises(ModelNotFound):
        await open_session(chat.user, replace(wishes, session_id=SessionId("a third")))
    async with chat.database(read_only=True) as work:
        assert await work.sessions.find(SessionId("a third"), chat.user) is None
