"""What every repository of sessions, messages, users and keys promises."""

from application.ports import OpenUnitOfWork
from domain.chat_session import ActiveGeneration
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId, MessageId, SessionId
from domain.message import AnswerStatus, Role
from domain.position import ORIGIN, Position
from domain.repositories import KeptRequest, NewSession, SessionPage
from tests.builders import add_question, add_session, add_user, claim, completed, finish


async def test_a_user_of_a_name_is_made_once(database: OpenUnitOfWork) -> None:
    assert await add_user(database, "ada") == await add_user(database, "ada")
    assert await add_user(database, "ada") != await add_user(database, "bob")


async def test_a_session_is_found_by_its_owner_only(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    new = NewSession(SessionId("s"), ada, "Title", "model", "teacher", "Be brief.")
    async with database() as work:
        assert await work.sessions.add(new)
        await work.commit()
    async with database(read_only=True) as work:
        found = await work.sessions.find(new.id, ada)
        assert await work.sessions.find(new.id, bob) is None
        assert await work.sessions.find(SessionId("other"), ada) is None
    assert found is not None
    assert (found.title, found.model_name, found.persona) == ("Title", "model", "teacher")
    assert (found.system_prompt, found.message_count) == ("Be brief.", 0)
    assert (found.end, found.unanswered, found.active) == (ORIGIN, 0, None)
    assert found.created_at.tzinfo is not None


async def test_a_taken_id_is_not_taken_again(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    session_id = await add_session(database, ada)
    async with database() as work:
        assert not await work.sessions.add(NewSession(session_id, ada, title="new"))
        assert not await work.sessions.add(NewSession(session_id, bob))


async def test_sessions_are_listed_by_activity_page_by_page(database: OpenUnitOfWork) -> None:
    user, other = await add_user(database, "ada"), await add_user(database, "bob")
    await add_session(database, other, "foreign")
    made = [await add_session(database, user, f"session_{number}") for number in range(5)]
    listed: list[SessionId] = []
    after: SessionPage | None = None
    while True:
        async with database(read_only=True) as work:
            page = await work.sessions.page(user, 2, after)
        if not page:
            break
        listed += [session.id for session in page]
        after = SessionPage(page[-1].updated_at, page[-1].id)
    assert sorted(listed) == made
    async with database(read_only=True) as work:
        times = [session.updated_at for session in await work.sessions.page(user, 9, None)]
    assert times == sorted(times, reverse=True)


async def test_a_question_shows_in_its_session(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    first = await add_question(database, user, session_id, "What is a fence?")
    await add_question(database, user, session_id, "And a lease?")
    async with database(read_only=True) as work:
        session = await work.sessions.find(session_id, user)
    assert session is not None
    assert (session.title, session.message_count, session.unanswered) == ("What is a fence?", 2, 2)
    assert session.active == ActiveGeneration(first, GenerationStatus.QUEUED)
    await claim(database, first)
    async with database(read_only=True) as work:
        session = await work.sessions.find(session_id, user)
    assert session is not None
    assert session.active == ActiveGeneration(first, GenerationStatus.RUNNING)


async def test_a_conversation_is_in_order_even_if_a_question_came_during_an_answer(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    first = await add_question(database, user, session_id, "one?")
    running = await claim(database, first)
    assert running is not None
    second = await add_question(database, user, session_id, "two?")
    await finish(database, running, completed("one."))
    running = await claim(database, second)
    assert running is not None
    await finish(database, running, completed("two."))
    async with database(read_only=True) as work:
        messages = await work.messages.page(session_id, 9, None, False)
        session = await work.sessions.find(session_id, user)
    assert [message.content for message in messages] == ["one?", "one.", "two?", "two."]
    assert [message.role for message in messages] == [Role.USER, Role.ASSISTANT] * 2
    assert messages[1].status is AnswerStatus.COMPLETED
    assert messages[1].generation_id == first
    assert messages[1].usage is not None
    assert messages[1].usage.total_tokens == 7
    assert session is not None
    assert (session.message_count, session.unanswered) == (4, 0)


async def test_messages_are_listed_page_by_page_in_both_directions(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    for number in range(5):
        await add_question(database, user, session_id, str(number))
    for newest_first, wanted in ((False, list("01234")), (True, list("43210"))):
        listed: list[str] = []
        after: int | None = None
        while True:
            async with database(read_only=True) as work:
                page = await work.messages.page(session_id, 2, after, newest_first)
            if not page:
                break
            listed += [message.content for message in page]
            after = page[-1].number
        assert listed == wanted


async def test_recent_messages_end_with_the_question(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    for text in ("one", "two", "three", "four"):
        await add_question(database, user, session_id, text)
    async with database(read_only=True) as work:
        recent = await work.messages.recent(session_id, up_to_number=5, limit=2)
    assert [message.content for message in recent] == ["two", "three"]


async def test_ends_are_those_of_the_last_ended_answers(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    quiet = await add_session(database, user, "quiet")
    ended = await add_session(database, user, "ended")
    running = await claim(database, await add_question(database, user, ended))
    assert running is not None
    await finish(database, running, completed(last_seq=7))
    async with database(read_only=True) as work:
        ends = await work.sessions.ends([quiet, ended, SessionId("gone")])
    assert ends == {quiet: ORIGIN, ended: Position(1, 7)}


async def test_an_idempotency_key_belongs_to_its_user(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    kept = KeptRequest("digest", SessionId("s"), MessageId(1), GenerationId("g"))
    async with database() as work:
        await work.idempotency_keys.add(ada, "key", kept)
        await work.commit()
    async with database(read_only=True) as work:
        assert await work.idempotency_keys.find(ada, "key") == kept
        assert await work.idempotency_keys.find(ada, "other") is None
        assert await work.idempotency_keys.find(bob, "key") is None
