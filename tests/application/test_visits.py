from contextlib import ExitStack

import pytest

from application.visits import RecheckCallers, Visits
from domain.access import Caller
from domain.errors import DatabaseUnavailable
from domain.identifiers import SignInId, UserId
from tests.builders import add_api_token, add_user, sign_in
from tests.fakes import FakeDatabase
from tests.operator import delete_user


class Visit:
    """How often it was told to leave."""

    told = 0

    def leave(self) -> None:
        self.told += 1


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


async def test_who_may_stay_stays_and_who_may_not_is_told_once_to_leave(
    database: FakeDatabase,
) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    visits = Visits()
    recheck = RecheckCallers(database, visits)
    staying, one, two = Visit(), Visit(), Visit()
    adas = await sign_in(database, ada)
    with (
        visits.including(Caller(bob), staying.leave),
        visits.including(adas, one.leave),
        visits.including(adas, two.leave),
    ):
        await recheck()
        assert (staying.told, one.told, two.told) == (0, 0, 0)
        async with database() as work:
            await work.sign_ins.end_all(ada)
            await work.commit()
        await recheck()
        assert (staying.told, one.told, two.told) == (0, 1, 1)
        await delete_user(database, bob)
        await recheck()
        assert staying.told == 1
    assert visits.by_caller == {}


async def test_who_has_left_is_told_nothing(database: FakeDatabase) -> None:
    visits, gone, staying = Visits(), Visit(), Visit()
    nobody = Caller(UserId(1), SignInId("none"))
    with visits.including(nobody, staying.leave):
        with visits.including(nobody, gone.leave):
            pass
        await RecheckCallers(database, visits)()
    assert (staying.told, gone.told) == (1, 0)
    assert visits.by_caller == {}


async def test_a_visit_may_end_while_others_are_told(database: FakeDatabase) -> None:
    visits, second = Visits(), Visit()
    nobody = Caller(UserId(1))
    first = ExitStack()
    first.enter_context(visits.including(nobody, first.close))
    with visits.including(nobody, second.leave):
        await RecheckCallers(database, visits)()
    assert second.told == 1
    assert visits.by_caller == {}


async def test_an_api_token_that_is_deleted_ends_its_visits(database: FakeDatabase) -> None:
    ada = await add_user(database)
    token = await add_api_token(database, ada)
    visits, visit = Visits(), Visit()
    with visits.including(Caller(ada, api_token=token.id), visit.leave):
        await RecheckCallers(database, visits)()
        assert visit.told == 0
        async with database() as work:
            await work.api_tokens.delete(ada, token.id)
            await work.commit()
        await RecheckCallers(database, visits)()
        assert visit.told == 1


async def test_many_are_asked_about_in_few_questions_and_nobody_in_none(
    database: FakeDatabase,
) -> None:
    visits, visit = Visits(), Visit()
    recheck = RecheckCallers(database, visits)
    await recheck()
    assert database.reads == 0
    with ExitStack() as entered:
        for number in range(1_001):
            entered.enter_context(visits.including(Caller(UserId(number)), visit.leave))
        await recheck()
    assert database.reads == 3
    assert visit.told == 1_001


async def test_nobody_is_told_to_leave_because_the_database_is_away(
    database: FakeDatabase,
) -> None:
    visits, visit = Visits(), Visit()
    with visits.including(Caller(UserId(1)), visit.leave):
        database.away = 1
        with pytest.raises(DatabaseUnavailable):
            await RecheckCallers(database, visits)()
    assert visit.told == 0
