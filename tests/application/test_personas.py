from dataclasses import dataclass

import pytest

from application.personas import (
    USUAL_ROLE,
    ChooseDefaultPersona,
    ChooseRole,
    ListPersonas,
    ListRoles,
    PersonaList,
    Roles,
)
from application.submit_message import Submission
from domain.chat_session import SessionChanges
from domain.errors import PersonaNotFound
from domain.identifiers import UserId
from domain.message import Role
from domain.persona import Persona
from tests.application.conftest import Chat
from tests.builders import add_session, add_user
from tests.fakes import FakePersonas


@dataclass
class ListedPersonas(FakePersonas):
    """As a file lists them: the first one is the default."""

    def choose(self, name: str | None) -> Persona | None:
        return super().choose(name or next(iter(self.names), None))


@pytest.fixture
def personas(chat: Chat) -> FakePersonas:
    chat.personas = ListedPersonas({"cat": "Meow.", "dog": "Woof.", "owl": "Hoo."})
    return chat.personas


async def listed(chat: Chat, user: UserId | None = None) -> PersonaList:
    return await ListPersonas(chat.database, chat.personas)(user or chat.user)


async def choose(chat: Chat, name: str) -> None:
    await ChooseDefaultPersona(chat.database, chat.personas)(chat.user, name)


async def told(chat: Chat, persona: str | None = None) -> str:
    """The system prompt that the model is given."""
    submission = Submission("why?", persona=persona)
    await chat.submit(chat.user, chat.session_id, submission)
    await chat.answer(await chat.take())
    return chat.model.prompts[-1].messages[0].content


async def test_without_a_choice_the_first_persona_is_the_default(
    chat: Chat, personas: FakePersonas
) -> None:
    assert await listed(chat) == PersonaList(["cat", "dog", "owl"], "cat")
    assert await told(chat) == "Meow."


async def test_where_there_are_no_personas_there_is_no_default(chat: Chat) -> None:
    chat.personas = ListedPersonas()
    assert await listed(chat) == PersonaList([], None)
    assert await told(chat) == "why?"
    with pytest.raises(PersonaNotFound):
        await choose(chat, "cat")


async def test_a_default_is_chosen_for_one_user(chat: Chat, personas: FakePersonas) -> None:
    bob = await add_user(chat.database, "bob")
    await choose(chat, "cat")
    await choose(chat, "dog")
    assert (await listed(chat)).default == "dog"
    assert (await listed(chat, bob)).default == "cat"
    assert await told(chat) == "Woof."
    theirs = await add_session(chat.database, bob, "theirs")
    await chat.submit(bob, theirs, Submission("why?"))
    await chat.answer(await chat.take())
    assert chat.model.prompts[-1].messages[0].content == "Meow."


async def test_what_is_no_persona_can_not_be_the_default(
    chat: Chat, personas: FakePersonas
) -> None:
    await choose(chat, "dog")
    with pytest.raises(PersonaNotFound):
        await choose(chat, "cow")
    assert (await listed(chat)).default == "dog"


async def test_a_default_that_is_gone_gives_way_to_the_first(
    chat: Chat, personas: FakePersonas
) -> None:
    await choose(chat, "dog")
    dog = personas.personas.pop("dog")
    assert await listed(chat) == PersonaList(["cat", "owl"], "cat")
    assert await told(chat) == "Meow."
    personas.personas["dog"] = dog
    assert (await listed(chat)).default == "dog"
    assert await told(chat) == "Woof."


async def test_the_nearest_choice_counts(chat: Chat, personas: FakePersonas) -> None:
    """The message's persona, then the session's own prompt, then its persona, then the user's
    default."""
    await choose(chat, "dog")
    assert await told(chat) == "Woof."
    await chat.change(chat.user, chat.session_id, SessionChanges(persona="owl"))
    assert await told(chat) == "Hoo."
    assert await told(chat, "cat") == "Meow."
    await chat.change(chat.user, chat.session_id, SessionChanges(system_prompt="Mine."))
    assert await told(chat) == "Mine."
    assert await told(chat, "cat") == "Meow."
    await chat.change(chat.user, chat.session_id, SessionChanges(persona=None, system_prompt=""))
    assert await told(chat) == "Woof."


async def test_a_persona_that_is_gone_since_it_was_chosen_gives_way_to_the_next_choice(
    chat: Chat, personas: FakePersonas
) -> None:
    await choose(chat, "dog")
    await chat.submit(chat.user, chat.session_id, Submission("why?", persona="owl"))
    await chat.change(chat.user, chat.session_id, SessionChanges(persona="owl"))
    del personas.personas["owl"]
    await chat.answer(await chat.take())
    assert chat.model.prompts[-1].messages[0].content == "Woof."
    assert await told(chat) == "Woof."
    await chat.change(chat.user, chat.session_id, SessionChanges(system_prompt="Mine."))
    assert await told(chat) == "Mine."


async def test_a_persona_without_content_is_a_choice_like_any_other(
    chat: Chat, personas: FakePersonas
) -> None:
    personas.personas["plain"] = ""
    await choose(chat, "dog")
    await chat.submit(chat.user, chat.session_id, Submission("why?", persona="plain"))
    await chat.answer(await chat.take())
    assert [message.role for message in chat.model.prompts[-1].messages] == [Role.USER]


async def test_a_default_that_is_chosen_while_a_message_waits_answers_it(
    chat: Chat, personas: FakePersonas
) -> None:
    await chat.ask()
    await choose(chat, "dog")
    await chat.answer(await chat.take())
    assert chat.model.prompts[-1].messages[0].content == "Woof."


async def test_roles_are_personas_with_what_the_model_is_told(
    chat: Chat, personas: FakePersonas
) -> None:
    list_roles = ListRoles(ListPersonas(chat.database, chat.personas), chat.personas)
    contents = {"cat": "Meow.", "dog": "Woof.", "owl": "Hoo."}
    assert await list_roles(chat.user) == Roles(contents, "cat")
    await choose(chat, "dog")
    assert await list_roles(chat.user) == Roles(contents, "dog")
    personas.personas[USUAL_ROLE] = "Assist."
    assert (await list_roles(chat.user)).default == USUAL_ROLE


def test_a_role_that_is_not_named_is_the_usual_one_if_there_is_one(personas: FakePersonas) -> None:
    choose_role = ChooseRole(personas)
    assert choose_role("owl") == "owl"
    assert choose_role(None) is None
    personas.personas[USUAL_ROLE] = "Assist."
    assert choose_role(None) == USUAL_ROLE
    with pytest.raises(PersonaNotFound):
        choose_role("none")
