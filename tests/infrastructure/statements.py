"""What a message makes the database do."""

from domain.access import Caller, Refresh
from domain.identifiers import ApiTokenId, SessionId, SignInId, UserId
from domain.limits import Room
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.builders import add_question, claim, completed


async def answer_a_message(works: OpenSqlUnitOfWork, user: UserId, session_id: SessionId) -> None:
    """All statements on the way of a message, and those that go on beside it all the time."""
    running = await claim(works, await add_question(works, user, session_id))
    assert running is not None
    waiting = await add_question(works, user, session_id)
    async with works() as work:
        await work.generations.renew([(running.id, running.fence)], 60)
        await work.generations.stop(waiting)
        stepped = await work.generations.step_aside(running.id, running.fence)
        assert stepped is not None
        await work.generations.finish(running.id, stepped[1].fence, completed())
        await work.commit()
    async with works() as work:
        await work.api_configs.first(user)
        await work.api_configs.first(user, "model")
        await work.messages.recent(session_id, 1, 20)
        await work.sessions.find(session_id, user)
        await work.sessions.reached([session_id])
        await work.generations.since(session_id, 1, 20)
        await work.generations.since(session_id, None, 20)
        await work.generations.due(10, 2)
        await work.generations.lost(10)
        await work.generations.backlog(100)
        await work.generations.unanswered(user, Room(10, 100))
        await work.callers.standing(
            [Caller(user), Caller(user, SignInId("1")), Caller(user, api_token=ApiTokenId(1))]
        )
        await work.api_tokens.caller("digest")
        await work.users.password_of("ada")
        await work.tickets.add("digest", Caller(user), 60)
        await work.tickets.take("digest")
        await work.sign_ins.begin(SignInId("1"), user, 60)
        await work.sign_ins.renew(Refresh(user, SignInId("1"), 0), 60)
        await work.sign_ins.end_all(user)
