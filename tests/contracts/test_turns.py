"""What a claim tells besides the generation that is claimed."""

from dataclasses import replace

from application.ports import OpenUnitOfWork
from domain.api_config import ApiChanges
from domain.conversation import Mark
from domain.identifiers import ApiId, FileId, GenerationId, SessionId, UserId
from domain.repositories import NewGeneration, NewQuestion, NewSession, Turn
from tests.builders import a_new_api, add_api, add_question, add_session, add_user, finish


async def ask(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, api_id: ApiId | None
) -> GenerationId:
    async with database() as work:
        session = await work.sessions.lock(session_id, user)
        assert session is not None
        asked, number = session.ask("why, ada? 𝄞")
        generation_id = GenerationId(f"gen_{number}")
        files = (FileId(3), FileId(1))
        question = NewQuestion(session_id, generation_id, number, "why, ada? 𝄞", files)
        message_id = await work.messages.add_question(question)
        await work.generations.add(
            NewGeneration(
                generation_id, session_id, user, message_id, number, "gpt-9", api_id, None, None
            )
        )
        await work.sessions.save(asked)
        await work.commit()
    return generation_id


async def claim(
    database: OpenUnitOfWork, generation_id: GenerationId, lease_seconds: float = 60
) -> Turn:
    async with database() as work:
        turn = await work.generations.claim(generation_id, lease_seconds)
        await work.commit()
    assert turn is not None
    return turn


async def test_it_tells_the_question_as_it_is_kept(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    turn = await claim(database, await ask(database, user, session_id, None))
    async with database(read_only=True) as work:
        assert turn.question == await work.messages.find(turn.generation.message_id)
        assert turn.question.file_ids == (3, 1)
        assert [turn.question] == list(await work.messages.recent(session_id, 1, 10))


async def test_it_tells_a_question_that_is_asked_again_as_it_is_kept(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    first = await claim(database, await ask(database, user, session_id, None))
    await finish(database, first.generation)
    again = GenerationId("gen_again")
    async with database() as work:
        await work.messages.withdraw_answers(first.question, again)
        session = await work.sessions.lock(session_id, user)
        assert session is not None
        message_id = first.question.id
        await work.generations.add(
            NewGeneration(again, session_id, user, message_id, 1, "gpt-9", None, None, None)
        )
        await work.sessions.save(session.ask_again(1))
        await work.commit()
    turn = await claim(database, again)
    assert turn.question == replace(first.question, generation_id=again)
    async with database(read_only=True) as work:
        assert turn.question == await work.messages.find(message_id)


async def test_it_tells_what_its_session_has_chosen(database: OpenUnitOfWork) -> None:
    user, other = await add_user(database, "ada"), await add_user(database, "bob")
    session_id = SessionId("session_1")
    async with database() as work:
        await work.sessions.add(NewSession(session_id, user, "Why", None, None, "Be brief."))
        await work.users.choose_default_persona(user, "teacher")
        await work.users.choose_default_persona(other, "poet")
        await work.commit()
    turn = await claim(database, await add_question(database, user, session_id))
    assert (turn.title, turn.system_prompt) == ("Why", "Be brief.")
    assert turn.default_persona == "teacher"
    assert turn.api_changed_at is None


async def test_it_tells_of_a_session_that_has_chosen_nothing(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    turn = await claim(database, await add_question(database, user, session_id))
    assert (turn.title, turn.system_prompt, turn.default_persona) == ("why?", None, None)


async def test_it_tells_when_the_chosen_configuration_was_changed(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    other = await add_api(database, a_new_api(user, "other"))
    config = await add_api(database, a_new_api(user))
    generation_id = await ask(database, user, session_id, config.id)
    assert (await claim(database, generation_id, 0)).api_changed_at == config.updated_at
    async with database() as work:
        changed = await work.api_configs.change(user, config.id, ApiChanges(name="new"))
        await work.api_configs.change(user, other.id, ApiChanges(name="newer"))
        await work.commit()
    assert changed is not None
    assert (await claim(database, generation_id, 0)).api_changed_at == changed.updated_at
    async with database() as work:
        await work.api_configs.delete(user, config.id)
        await work.commit()
    assert (await claim(database, generation_id, 0)).api_changed_at is None


async def test_its_mark_stays_while_questions_come_and_goes_with_each_answer(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    first = await claim(database, await ask(database, user, session_id, None), 0)
    assert first.mark == Mark(0, 0)
    second = await ask(database, user, session_id, None)
    again = await claim(database, first.generation.id)
    assert again.mark == first.mark
    await finish(database, again.generation)
    assert (await claim(database, second)).mark == Mark(again.generation.fence, 1)
