"""What every repository of sessions, messages, users and keys promises."""

from application.ports import OpenUnitOfWork
from domain.chat_session import ActiveGeneration, ChatSession
from domain.generation import Ending, GenerationStatus
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.message import AnswerStatus, Message, Role
from domain.position import ORIGIN, Position
from domain.repositories import KeptRequest, NewGeneration, NewSession, SessionPage
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


async def test_a_session_has_reached_the_end_of_its_last_ended_answer(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    quiet = await add_session(database, user, "quiet")
    ended = await add_session(database, user, "ended")
    running = await claim(database, await add_question(database, user, ended))
    assert running is not None
    await finish(database, running, completed(last_seq=7))
    async with database(read_only=True) as work:
        reached = await work.sessions.reached([quiet, ended, SessionId("gone")])
    assert reached == {quiet: ORIGIN, ended: Position(1, 7)}


async def test_an_idempotency_key_belongs_to_its_user(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    kept = KeptRequest("digest", SessionId("s"), MessageId(1), GenerationId("g"))
    async with database() as work:
        assert await work.idempotency_keys.add(ada, "key", kept)
        await work.commit()
    async with database(read_only=True) as work:
        assert await work.idempotency_keys.find(ada, "key") == kept
        assert await work.idempotency_keys.find(ada, "other") is None
        assert await work.idempotency_keys.find(bob, "key") is None


# The end of messages and sessions


async def answered(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, text: str = "why?"
) -> GenerationId:
    """A question, and its answer `to <question>`."""
    running = await claim(database, await add_question(database, user, session_id, text))
    assert running is not None
    await finish(database, running, completed(f"to {text}"))
    return running.id


async def find(database: OpenUnitOfWork, session_id: SessionId, user: UserId) -> ChatSession:
    async with database(read_only=True) as work:
        found = await work.sessions.find(session_id, user)
    assert found is not None
    return found


async def history(database: OpenUnitOfWork, session_id: SessionId) -> list[Message]:
    async with database(read_only=True) as work:
        return list(await work.messages.page(session_id, 99, None, False))


async def last_question(database: OpenUnitOfWork, session_id: SessionId) -> Message | None:
    async with database(read_only=True) as work:
        return await work.messages.last_question(session_id)


async def test_a_message_is_found_by_its_id_until_it_is_cleared(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    await answered(database, user, session_id)
    question, answer = await history(database, session_id)
    async with database() as work:
        assert await work.messages.find(question.id) == question
        assert await work.messages.find(answer.id) == answer
        assert await work.messages.find(MessageId(99)) is None
        await work.messages.clear(session_id)
        assert await work.messages.find(question.id) is None
        assert await work.messages.find(answer.id) is None


async def test_an_answer_that_another_has_replaced_is_found_until_its_question_is_cleared(
    database: OpenUnitOfWork,
) -> None:
    """Who sends again under the key of then is to get the same answer."""
    user = await add_user(database)
    session_id = await add_session(database, user)
    await answered(database, user, session_id)
    question, answer = await history(database, session_id)
    async with database() as work:
        await work.messages.withdraw_answers(question, GenerationId("gen_again"))
        await work.commit()
    assert len(await history(database, session_id)) == 1
    async with database() as work:
        assert await work.messages.find(answer.id) == answer
        await work.messages.clear(session_id)
        assert await work.messages.find(answer.id) is None


async def test_the_last_question_is_the_newest_of_its_session(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    other = await add_session(database, user, "other")
    assert await last_question(database, session_id) is None
    await answered(database, user, session_id, "one?")
    await answered(database, user, session_id, "two?")
    await answered(database, user, other, "elsewhere?")
    last = await last_question(database, session_id)
    assert last is not None
    assert (last.content, last.role, last.number) == ("two?", Role.USER, 3)
    assert last == (await history(database, session_id))[2]


async def test_a_withdrawn_answer_leaves_the_conversation_and_its_question_stays(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    other = await add_session(database, user, "other")
    for text in ("one?", "two?"):
        await answered(database, user, session_id, text)
        await answered(database, user, other, text)
    elsewhere = await history(database, other)
    question = await last_question(database, session_id)
    assert question is not None
    async with database() as work:
        assert await work.messages.withdraw_answers(question, GenerationId("again")) == 1
        await work.commit()
    before = await history(database, session_id)
    assert [message.content for message in before] == ["one?", "to one?", "two?"]
    assert before[2].id == question.id
    assert before[2].generation_id == "again"
    async with database() as work:
        recent = await work.messages.recent(session_id, question.number, 9)
        assert await work.messages.withdraw_answers(before[2], GenerationId("more")) == 0
    assert [message.content for message in recent] == ["one?", "to one?", "two?"]
    assert await history(database, other) == elsewhere


async def test_a_question_can_be_answered_again_and_again(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    first = await answered(database, user, session_id)
    for text in ("second", "third"):
        question = await last_question(database, session_id)
        assert question is not None
        async with database() as work:
            session = await work.sessions.lock(session_id, user)
            assert session is not None
            again = GenerationId(f"gen_{text}")
            answers = await work.messages.withdraw_answers(question, again)
            await work.generations.add(
                NewGeneration(
                    again, session_id, user, question.id, question.number, "scripted", None, None,
                    None,
                )
            )  # fmt: skip
            await work.sessions.save(session.ask_again(answers))
            await work.commit()
        running = await claim(database, again)
        assert running is not None
        await finish(database, running, completed(text))
        messages = await history(database, session_id)
        assert [message.content for message in messages] == ["why?", text]
        assert [message.generation_id for message in messages] == [again, again]
        assert (await find(database, session_id, user)).message_count == 2
    async with database(read_only=True) as work:
        former = await work.generations.find(first, user)
    assert former is not None
    assert former.text == "to why?"


async def test_an_answer_without_text_is_none_to_withdraw(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    running = await claim(database, await add_question(database, user, session_id))
    assert running is not None
    await finish(database, running, Ending(GenerationStatus.FAILED, "", 1))
    question = await last_question(database, session_id)
    assert question is not None
    async with database() as work:
        assert await work.messages.withdraw_answers(question, GenerationId("again")) == 0


async def test_a_cleared_session_has_no_messages_and_can_be_asked_again(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    other = await add_session(database, user, "other")
    for each in (session_id, other):
        await answered(database, user, each)
    elsewhere = await history(database, other)
    async with database() as work:
        session = await work.sessions.lock(session_id, user)
        assert session is not None
        await work.sessions.save(session.clear())
        await work.messages.clear(session_id)
        await work.commit()
    assert await history(database, session_id) == []
    assert await last_question(database, session_id) is None
    async with database(read_only=True) as work:
        assert await work.messages.recent(session_id, 99, 99) == []
        assert await work.messages.page(session_id, 99, None, True) == []
    cleared = await find(database, session_id, user)
    assert (cleared.message_count, cleared.unanswered) == (0, 0)
    assert cleared.end == Position(1, 2)  # a subscriber of before is not shown old events again
    assert await history(database, other) == elsewhere
    await answered(database, user, session_id, "and now?")
    messages = await history(database, session_id)
    assert [message.content for message in messages] == ["and now?", "to and now?"]
    assert (await find(database, session_id, user)).message_count == 2


async def test_a_deleted_session_is_nowhere_but_its_id_stays_taken(
    database: OpenUnitOfWork,
) -> None:
    user, bob = await add_user(database), await add_user(database, "bob")
    session_id = await add_session(database, user)
    other = await add_session(database, user, "other")
    for each in (session_id, other):
        await answered(database, user, each)
    (question, answer), elsewhere = (
        await history(database, session_id),
        await history(database, other),
    )
    async with database() as work:
        assert await work.sessions.lock(session_id, user)
        assert list(await work.sessions.delete(session_id)) == []
        await work.commit()
    async with database() as work:
        assert await work.sessions.find(session_id, user) is None
        assert await work.sessions.lock(session_id, user) is None
        assert [session.id for session in await work.sessions.page(user, 9, None)] == [other]
        assert await work.sessions.reached([session_id, other]) == {other: Position(1, 2)}
        assert await work.messages.find(question.id) is None
        assert await work.messages.find(answer.id) is None
        assert await work.messages.last_question(session_id) is None
        for owner in (user, bob):
            assert not await work.sessions.add(NewSession(session_id, owner))
    assert await history(database, session_id) == []
    assert await history(database, other) == elsewhere
    assert (await find(database, other, user)).message_count == 2


async def test_with_a_session_all_stops_that_is_answered_in_it(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    other = await add_session(database, user, "other")
    await answered(database, user, session_id)
    running = await claim(database, await add_question(database, user, session_id))
    waiting = await add_question(database, user, session_id)
    elsewhere = await claim(database, await add_question(database, user, other))
    assert running is not None
    assert elsewhere is not None
    async with database() as work:
        assert set(await work.sessions.delete(session_id)) == {running.id, waiting}
        await work.commit()
    async with database() as work:
        held = [(each.id, each.fence) for each in (running, elsewhere)]
        assert [each.generation_id for each in await work.generations.renew(held, 60)] == [
            elsewhere.id
        ]
        assert await work.generations.finish(running.id, running.fence, completed()) is None
        assert await work.generations.claim(waiting, 60) is None
        assert list(await work.generations.due(9, 0)) == []
        assert list(await work.generations.lost(9)) == []


# Default personas


async def test_a_default_persona_belongs_to_its_user(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    for name in ("teacher", "Ünlü 😀"):
        async with database() as work:
            await work.users.choose_default_persona(ada, name)
            await work.commit()
        async with database(read_only=True) as work:
            assert await work.users.default_persona(ada) == name
            assert await work.users.default_persona(bob) is None
    assert await add_user(database, "ada") == ada


async def test_a_key_is_kept_once(database: OpenUnitOfWork) -> None:
    """Who comes second is told so, and can look what the first one has kept."""
    user, other = await add_user(database), await add_user(database, "bob")
    first, second = (
        KeptRequest(digest, SessionId("s"), MessageId(1), GenerationId("g"))
        for digest in ("first", "second")
    )
    async with database() as work:
        assert await work.idempotency_keys.add(user, "key", first)
    async with database() as work:
        assert await work.idempotency_keys.find(user, "key") is None  # it was rolled back
        assert await work.idempotency_keys.add(user, "key", first)
        await work.commit()
    for again in (first, second):
        async with database() as work:
            assert not await work.idempotency_keys.add(user, "key", again)
            assert await work.idempotency_keys.find(user, "key") == first
            assert await work.idempotency_keys.add(user, again.digest, again)
            assert await work.idempotency_keys.add(other, again.digest, again)
            await work.commit()  # the transaction goes on even so
    async with database(read_only=True) as work:
        assert await work.idempotency_keys.find(user, "key") == first
        assert await work.idempotency_keys.find(user, "second") == second
        assert await work.idempotency_keys.find(other, "second") == second
