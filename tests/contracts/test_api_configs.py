"""What every repository of model configurations promises."""

import asyncio

import pytest

from application.ports import OpenUnitOfWork
from domain.api_config import ApiChanges, ApiConfig
from domain.chat_session import OwnModel
from domain.errors import NameTaken
from domain.identifiers import ApiId, UserId
from domain.secret import Secret
from tests.builders import API_KEY, a_new_api, add_api, add_session, add_user

OTHER_URL = "https://other.example.com/v1"


async def find(database: OpenUnitOfWork, owner: UserId, api_id: ApiId) -> ApiConfig | None:
    async with database(read_only=True) as work:
        return await work.api_configs.find(owner, api_id)


async def change(
    database: OpenUnitOfWork, config: ApiConfig, changes: ApiChanges, owner: UserId | None = None
) -> ApiConfig | None:
    async with database() as work:
        changed = await work.api_configs.change(owner or config.owner, config.id, changes)
        await work.commit()
    return changed


async def test_a_configuration_is_kept_as_it_was_made(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    made = await add_api(database, a_new_api(user))
    assert await find(database, user, made.id) == made
    assert (made.owner, made.name, made.model_name) == (user, "mine", "gpt-9")
    assert (made.base_url, made.provider) == ("https://api.example.com/v1", "openai")
    assert made.created_at.tzinfo is not None
    assert made.updated_at >= made.created_at


async def test_a_key_is_kept_sealed_and_known_by_its_end(database: OpenUnitOfWork) -> None:
    made = await add_api(database, a_new_api(await add_user(database)))
    assert made.sealed_key is not None
    assert API_KEY.encode() not in made.sealed_key
    assert made.key_hint == API_KEY[-4:]
    assert API_KEY not in repr(made)


async def test_a_server_may_want_no_key(database: OpenUnitOfWork) -> None:
    made = await add_api(database, a_new_api(await add_user(database), api_key=None))
    assert (made.sealed_key, made.key_hint) == (None, "")


async def test_what_is_anothers_is_not_there(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    made = await add_api(database, a_new_api(ada))
    async with database() as work:
        apis = work.api_configs
        assert await apis.find(bob, made.id) is None
        assert await apis.named(bob, made.name) is None
        assert await apis.first(bob) is None
        assert await apis.first(bob, made.model_name) is None
        assert list(await apis.page(bob, 9, None)) == []
        assert list(await apis.model_names(bob)) == []
        assert await apis.change(bob, made.id, ApiChanges(name="stolen")) is None
        assert not await apis.delete(bob, made.id)
        await work.commit()
    assert await find(database, ada, made.id) == made


async def test_a_name_is_taken_once_by_each_user(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    made = await add_api(database, a_new_api(ada, "mine"))
    with pytest.raises(NameTaken):
        await add_api(database, a_new_api(ada, "mine", "another model"))
    await add_api(database, a_new_api(bob, "mine"))
    await add_api(database, a_new_api(ada, "Mine"))
    assert await find(database, ada, made.id) == made


async def test_a_transaction_goes_on_after_a_taken_name(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    first = await add_api(database, a_new_api(user, "first one"))
    second = await add_api(database, a_new_api(user, "second one"))
    async with database() as work:
        with pytest.raises(NameTaken):
            await work.api_configs.add(a_new_api(user, "first one"))
        with pytest.raises(NameTaken):
            await work.api_configs.change(user, second.id, ApiChanges(name="first one"))
        third = await work.api_configs.add(a_new_api(user, "third one"))
        await work.commit()
    async with database(read_only=True) as work:
        assert list(await work.api_configs.page(user, 9, None)) == [first, second, third]


async def test_of_many_who_want_a_name_at_once_one_gets_it(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    results = await asyncio.gather(
        *(add_api(database, a_new_api(user)) for _ in range(10)), return_exceptions=True
    )
    assert len([result for result in results if isinstance(result, ApiConfig)]) == 1
    assert len([result for result in results if isinstance(result, NameTaken)]) == 9


async def test_what_is_not_changed_stays(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    made = await add_api(database, a_new_api(user))
    changed = await change(
        database, made, ApiChanges(name="yours", model_name="gpt-10", provider="other")
    )
    assert changed is not None
    assert await find(database, user, made.id) == changed
    assert (changed.name, changed.model_name, changed.provider) == ("yours", "gpt-10", "other")
    assert (changed.id, changed.base_url) == (made.id, made.base_url)
    assert (changed.key_hint, changed.sealed_key) == (made.key_hint, made.sealed_key)
    assert changed.created_at == made.created_at
    assert changed.updated_at >= made.updated_at
    assert await change(database, made, ApiChanges(name="yours")) is not None


async def test_another_server_is_not_told_the_key(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    made = await add_api(database, a_new_api(user))
    same = await change(database, made, ApiChanges(base_url=made.base_url))
    assert same is not None
    assert same.sealed_key == made.sealed_key
    moved = await change(database, made, ApiChanges(base_url=OTHER_URL))
    assert moved is not None
    assert (moved.base_url, moved.sealed_key, moved.key_hint) == (OTHER_URL, None, "")
    assert await find(database, user, made.id) == moved


@pytest.mark.parametrize("base_url", [None, OTHER_URL])
async def test_a_new_key_takes_the_place_of_the_old_one(
    database: OpenUnitOfWork, base_url: str | None
) -> None:
    user = await add_user(database)
    made = await add_api(database, a_new_api(user))
    changes = ApiChanges(base_url=base_url, api_key=Secret("sk-another-5678"))
    changed = await change(database, made, changes)
    assert changed is not None
    assert changed.sealed_key not in (None, made.sealed_key)
    assert changed.key_hint == "5678"
    assert await find(database, user, made.id) == changed


async def test_a_key_can_be_taken_away(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    made = await add_api(database, a_new_api(user))
    changed = await change(database, made, ApiChanges(api_key=Secret("")))
    assert changed is not None
    assert (changed.sealed_key, changed.key_hint) == (None, "")
    assert await find(database, user, made.id) == changed


async def test_what_does_not_exist_is_not_changed_and_not_deleted(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    async with database() as work:
        assert await work.api_configs.change(user, ApiId(1), ApiChanges(name="new")) is None
        assert not await work.api_configs.delete(user, ApiId(1))


async def test_what_is_deleted_is_gone_and_its_id_does_not_come_back(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    made = await add_api(database, a_new_api(user))
    async with database() as work:
        assert await work.api_configs.delete(user, made.id)
        await work.commit()
    assert await find(database, user, made.id) is None
    again = await add_api(database, a_new_api(user))
    assert again.id > made.id


async def test_the_first_is_the_oldest_also_of_a_model(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    one = await add_api(database, a_new_api(user, "one", "gpt-9"))
    two = await add_api(database, a_new_api(user, "two", "gpt-10"))
    await add_api(database, a_new_api(user, "three", "gpt-10"))
    await change(database, one, ApiChanges(name="changed"))
    async with database(read_only=True) as work:
        first = await work.api_configs.first(user)
        assert first is not None
        assert (first.id, first.name) == (one.id, "changed")
        assert await work.api_configs.first(user, "gpt-10") == two
        assert await work.api_configs.first(user, "gpt-11") is None
        assert await work.api_configs.named(user, "two") == two
        assert await work.api_configs.named(user, "four") is None


async def test_no_two_states_of_one_have_the_same_time(database: OpenUnitOfWork) -> None:
    """Also if they follow each other within the same millisecond."""
    user = await add_user(database)
    made = await add_api(database, a_new_api(user))
    times = [made.updated_at]
    async with database() as work:
        for number in range(20):
            changes = ApiChanges(model_name=str(number))
            changed = await work.api_configs.change(user, made.id, changes)
            assert changed is not None
            times.append(changed.updated_at)
        await work.commit()
    assert times == sorted(set(times))


async def test_a_session_tells_the_first_model_that_its_owner_has_configured(
    database: OpenUnitOfWork,
) -> None:
    user, other = await add_user(database, "ada"), await add_user(database, "bob")
    session_id = await add_session(database, user)
    await add_api(database, a_new_api(other))

    async def told() -> OwnModel | None:
        async with database() as work:
            session = await work.sessions.lock(session_id, user)
            assert session is not None
            assert session == await work.sessions.find(session_id, user)
            assert [session] == list(await work.sessions.page(user, 10, None))
        return session.default_model

    assert await told() is None
    one = await add_api(database, a_new_api(user, "one", "gpt-9"))
    await add_api(database, a_new_api(user, "two", "gpt-10"))
    assert await told() == OwnModel(one.id, "gpt-9")
    await change(database, one, ApiChanges(model_name="gpt-11"))
    assert await told() == OwnModel(one.id, "gpt-11")


@pytest.mark.parametrize(("model_name", "wanted"), [(None, "01234"), ("even", "024")])
async def test_configurations_are_listed_page_by_page(
    database: OpenUnitOfWork, model_name: str | None, wanted: str
) -> None:
    user, other = await add_user(database, "ada"), await add_user(database, "bob")
    for number in range(5):
        await add_api(database, a_new_api(user, str(number), "odd" if number % 2 else "even"))
        await add_api(database, a_new_api(other, str(number), "even"))
    listed = ""
    after: ApiId | None = None
    while True:
        async with database(read_only=True) as work:
            page = await work.api_configs.page(user, 2, after, model_name)
        if not page:
            break
        assert len(page) <= 2
        listed += "".join(config.name for config in page)
        after = page[-1].id
    assert listed == wanted


async def test_each_model_is_named_once_with_the_provider_of_its_oldest_configuration(
    database: OpenUnitOfWork,
) -> None:
    user, other = await add_user(database, "ada"), await add_user(database, "bob")
    await add_api(database, a_new_api(other, "theirs", "zeta", provider="theirs"))
    await add_api(database, a_new_api(user, "1", "zeta", provider="first"))
    await add_api(database, a_new_api(user, "2", "alpha", provider="second"))
    await add_api(database, a_new_api(user, "3", "zeta", provider="third"))
    async with database(read_only=True) as work:
        named = list(await work.api_configs.model_names(user))
    assert named == [("zeta", "first"), ("alpha", "second")]


async def test_what_is_not_committed_is_not_kept(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    async with database() as work:
        made = await work.api_configs.add(a_new_api(user))
    assert await find(database, user, made.id) is None
