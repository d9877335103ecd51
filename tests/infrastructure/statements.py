"""What a message makes the database do."""

from domain.identifiers import SessionId, UserId
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.builders import add_question, claim, completed


async def answer_a_message(works: OpenSqlUnitOfWork, user: UserId, session_id: SessionId) -> None:
    """All statements on the way of a message, and those that go on beside it all the time."""
    running = await claim(works, await add_question(works, user, session_id))
    assert running is not None
    async with works() as work:
        await work.generations.renew([(running.id, running.fence)], 60)
        await work.generations.finish(running.id, running.fence, completed())
        await work.commit()
    async with works() as work:
        await work.api_configs.first(user)
        await work.api_configs.first(user, "model")
        await work.messages.recent(session_id, 1, 20)
        await work.sessions.find(session_id, user)
        await work.sessions.ends([session_id])
        await work.generations.since(session_id, 1, 20)
        await work.generations.since(session_id, None, 20)
        await work.generations.due(10, 2)
        await work.generations.lost(10)
