"""What every repository of users promises."""

import asyncio

import pytest

from application.ports import OpenUnitOfWork
from domain.errors import UsernameTaken
from domain.identifiers import UserId
from domain.user import LOCAL_USERNAME, User
from tests.builders import add_user
from tests.operator import delete_user


async def register(database: OpenUnitOfWork, username: str, hashed: str = "hash") -> User:
    async with database() as work:
        user = await work.users.add(username, hashed)
        await work.commit()
    return user


async def test_a_user_is_found_as_it_was_made(database: OpenUnitOfWork) -> None:
    made = await register(database, "ada")
    other = await register(database, "bob")
    assert made.id != other.id
    assert made.username == "ada"
    assert made.created_at.tzinfo is not None
    async with database(read_only=True) as work:
        assert await work.users.find(made.id) == made
        assert await work.users.find(UserId(made.id + other.id)) is None


async def test_a_password_is_found_by_the_name(database: OpenUnitOfWork) -> None:
    ada = await register(database, "ada", "hash of ada")
    await register(database, "bob", "hash of bob")
    async with database(read_only=True) as work:
        assert await work.users.password_of("ada") == (ada, "hash of ada")
        assert await work.users.password_of("Ada") is None
        assert await work.users.password_of("eve") is None


async def test_a_user_is_found_by_the_name(database: OpenUnitOfWork) -> None:
    ada = await register(database, "ada")
    guest = await add_user(database, "guest ada")
    assert guest != ada.id
    async with database(read_only=True) as work:
        assert await work.users.named("ada") == ada
        found = await work.users.named("guest ada")
        assert found is not None
        assert found.id == guest
        for unknown in ("Ada", "ada ", "eve", ""):
            assert await work.users.named(unknown) is None


async def test_who_has_no_password_has_none_to_check(database: OpenUnitOfWork) -> None:
    await add_user(database, LOCAL_USERNAME)
    async with database(read_only=True) as work:
        assert await work.users.password_of(LOCAL_USERNAME) is None


async def test_a_name_is_taken_once_and_the_transaction_can_go_on(
    database: OpenUnitOfWork,
) -> None:
    ada = await register(database, "ada", "first")
    async with database() as work:
        with pytest.raises(UsernameTaken):
            await work.users.add("ada", "second")
        bob = await work.users.add("bob", "third")
        await work.commit()
    async with database(read_only=True) as work:
        assert await work.users.password_of("ada") == (ada, "first")
        assert await work.users.find(bob.id) == bob


async def test_of_many_who_register_one_name_at_once_one_gets_it(
    database: OpenUnitOfWork,
) -> None:
    tries = [register(database, "ada", f"hash {number}") for number in range(8)]
    made = await asyncio.gather(*tries, return_exceptions=True)
    (ada,) = [user for user in made if isinstance(user, User)]
    assert [type(error) for error in made if error is not ada] == [UsernameTaken] * 7
    async with database(read_only=True) as work:
        kept = await work.users.password_of("ada")
    assert kept == (ada, f"hash {made.index(ada)}")


async def test_a_deleted_user_is_not_there_and_the_name_stays_taken(
    database: OpenUnitOfWork,
) -> None:
    ada = await register(database, "ada")
    await delete_user(database, ada.id)
    async with database() as work:
        assert await work.users.find(ada.id) is None
        assert await work.users.password_of("ada") is None
        assert await work.users.named("ada") is None
        with pytest.raises(UsernameTaken):
            await work.users.add("ada", "another")
