import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from application.api_configs import (
    AddApi,
    ChangeApi,
    DeleteApi,
    ListApis,
    ReadFirstApi,
    ReadNamedApi,
)
from application.list_models import ListedModel, ListModels, ModelSource
from application.ports import Finish, Piece, ReasoningPiece, TextPiece
from application.try_api import Trial, TryApi
from domain.api_config import ApiChanges, ApiConfig
from domain.errors import (
    ApiConfigNotFound,
    InvalidInput,
    KeyUnreadable,
    ModelKeyRefused,
    NameTaken,
)
from domain.identifiers import ApiId, UserId
from domain.message import Role
from domain.prompt import Prompt, PromptMessage
from domain.secret import Secret
from infrastructure.memory.cache import MemoryCache
from tests.builders import API_KEY, SESSION, a_new_api, add_api, add_user
from tests.fakes import FakeDatabase, FakeModels, Script, ScriptedModel, says

hello = says(TextPiece("Hello"), Finish("stop"))


@dataclass
class Apis:
    """The use cases over fakes, for one user among others."""

    user: UserId
    other: UserId
    database: FakeDatabase
    model: ScriptedModel = field(default_factory=lambda: ScriptedModel(hello))
    trying_seconds: float = 60
    cache: MemoryCache = field(default_factory=MemoryCache)

    def __post_init__(self) -> None:
        own = ScriptedModel(hello)
        self.models = FakeModels({"scripted": own, "other": own}, behind=self.model)
        self.add = AddApi(self.database, self.models)
        self.change = ChangeApi(self.database, self.models, self.cache)
        self.delete = DeleteApi(self.database, self.cache)
        self.list = ListApis(self.database)
        self.first = ReadFirstApi(self.database)
        self.named = ReadNamedApi(self.database)
        self.list_models = ListModels(self.database, self.models)

    async def added(self, name: str = "mine", model_name: str = "gpt-9") -> ApiConfig:
        return await add_api(self.database, a_new_api(self.user, name, model_name))

    async def tried(self, script: Script, api_id: ApiId | None = None) -> Trial:
        """What comes of the test of a new configuration, or of that one."""
        self.model.script = script
        tries = TryApi(self.database, self.models, self.trying_seconds)
        return await tries(self.user, api_id or (await self.added()).id)


@pytest.fixture
async def apis() -> Apis:
    database = FakeDatabase()
    return Apis(await add_user(database, "ada"), await add_user(database, "bob"), database)


# Keeping


async def test_what_is_added_is_kept(apis: Apis) -> None:
    made = await apis.add(a_new_api(apis.user))
    assert await apis.first(apis.user) == await apis.named(apis.user, "mine") == made
    assert await apis.list(apis.user, 9, None, None) == [made]


async def test_a_taken_name_adds_nothing(apis: Apis) -> None:
    made = await apis.add(a_new_api(apis.user))
    with pytest.raises(NameTaken):
        await apis.add(a_new_api(apis.user, model_name="another"))
    assert await apis.list(apis.user, 9, None, None) == [made]


async def test_an_unknown_provider_is_refused_with_those_that_are_known(apis: Apis) -> None:
    made = await apis.added()
    with pytest.raises(InvalidInput) as refused:
        await apis.add(a_new_api(apis.user, "another", provider="telegraph"))
    assert [flaw.pointer for flaw in refused.value.flaws] == ["/provider"]
    assert str(refused.value) == "provider must be one of: openai, other."
    with pytest.raises(InvalidInput):
        await apis.change(apis.user, made.id, ApiChanges(provider="telegraph"))
    assert await apis.list(apis.user, 9, None, None) == [made]


async def test_a_change_is_kept(apis: Apis) -> None:
    made = await apis.added()
    changed = await apis.change(apis.user, made.id, ApiChanges(name="new", provider="other"))
    assert (changed.name, changed.provider) == ("new", "other")
    assert await apis.named(apis.user, "new") == changed


async def test_a_change_to_a_taken_name_changes_nothing(apis: Apis) -> None:
    await apis.added("taken")
    made = await apis.added()
    with pytest.raises(NameTaken):
        await apis.change(apis.user, made.id, ApiChanges(name="taken", model_name="gpt-10"))
    assert await apis.named(apis.user, "mine") == made


async def test_what_is_changed_or_deleted_is_forgotten(apis: Apis) -> None:
    changed, deleted, kept = [await apis.added(name) for name in ("one", "two", "three")]
    for config in (changed, deleted, kept):
        await apis.cache.keep_config(config)
    await apis.change(apis.user, changed.id, ApiChanges(model_name="gpt-10"))
    await apis.delete(apis.user, deleted.id)
    known = [await apis.cache.recall(SESSION, each.id) for each in (changed, deleted, kept)]
    assert [each.config for each in known] == [None, None, kept]


async def test_what_is_deleted_is_gone(apis: Apis) -> None:
    made = await apis.added()
    await apis.delete(apis.user, made.id)
    assert await apis.list(apis.user, 9, None, None) == []
    with pytest.raises(ApiConfigNotFound):
        await apis.delete(apis.user, made.id)


async def test_what_is_anothers_does_not_exist(apis: Apis) -> None:
    made = await apis.added()
    for attempt in (
        apis.first(apis.other),
        apis.named(apis.other, made.name),
        apis.change(apis.other, made.id, ApiChanges(name="stolen")),
        apis.delete(apis.other, made.id),
        TryApi(apis.database, apis.models)(apis.other, made.id),
    ):
        with pytest.raises(ApiConfigNotFound):
            await attempt
    assert await apis.list(apis.other, 9, None, None) == []
    assert await apis.first(apis.user) == made
    assert apis.models.asked == []


# Listing models


async def test_models_are_the_users_and_then_the_servers(apis: Apis) -> None:
    await apis.added("one", "gpt-9")
    await apis.added("two", "gpt-9")
    await apis.added("three", "other")
    listed = await apis.list_models(apis.user)
    assert listed.models == [
        ListedModel("gpt-9", "openai", ModelSource.USER),
        ListedModel("other", "openai", ModelSource.USER),
        ListedModel("scripted", "simulated", ModelSource.SERVER),
    ]
    assert listed.default == "gpt-9"


async def test_without_configurations_the_servers_models_are_all(apis: Apis) -> None:
    await apis.added()
    listed = await apis.list_models(apis.other)
    assert [model.name for model in listed.models] == ["scripted", "other"]
    assert listed.default == "scripted"


# Testing the connection


@pytest.mark.parametrize("first", [TextPiece("pong"), ReasoningPiece("hm"), Finish("stop")])
async def test_a_model_that_says_anything_answers(apis: Apis, first: Piece) -> None:
    trial = await apis.tried(says(first))
    assert (trial.ok, trial.detail) == (True, "The model answers.")
    assert trial.latency_ms >= 0


async def test_a_model_is_told_ping_and_nothing_else(apis: Apis) -> None:
    made = await apis.added()
    await apis.tried(hello, made.id)
    assert apis.model.prompts == [Prompt((PromptMessage(Role.USER, "ping"),))]
    assert apis.models.asked == [made]


async def test_the_call_is_closed_at_the_first_piece(apis: Apis) -> None:
    said: list[str] = []

    async def talk(_: Prompt) -> AsyncGenerator[Piece, None]:
        try:
            for word in ("one", "two"):
                said.append(word)
                yield TextPiece(word)
        finally:
            said.append("closed")

    assert (await apis.tried(talk)).ok
    assert said == ["one", "closed"]


async def test_a_model_that_hangs_is_given_up_and_its_call_is_closed(apis: Apis) -> None:
    closed = asyncio.Event()

    async def hang(_: Prompt) -> AsyncGenerator[Piece, None]:
        try:
            await asyncio.Event().wait()
            yield TextPiece("late")
        finally:
            closed.set()

    apis.trying_seconds = 0.01
    trial = await apis.tried(hang)
    assert trial == Trial(False, trial.latency_ms, "The model gave no answer within 0.01 seconds.")
    assert trial.latency_ms >= 10
    assert closed.is_set()


async def test_a_model_that_says_nothing_does_not_answer(apis: Apis) -> None:
    trial = await apis.tried(says())
    assert (trial.ok, trial.detail) == (False, "The model ended without an answer.")


async def test_what_a_model_refuses_is_the_detail(
    apis: Apis, caplog: pytest.LogCaptureFixture
) -> None:
    error = ModelKeyRefused("The model's server does not accept the key.")
    trial = await apis.tried(says(then=error))
    assert (trial.ok, trial.detail) == (False, "The model's server does not accept the key.")
    assert caplog.text == ""


async def test_a_fault_is_logged_and_told_plainly(
    apis: Apis, caplog: pytest.LogCaptureFixture
) -> None:
    trial = await apis.tried(says(then=TimeoutError("inner workings")))
    assert (trial.ok, trial.detail) == (False, "The model could not be asked.")
    assert "inner workings" in caplog.text


async def test_a_key_that_can_not_be_read_is_the_detail(apis: Apis) -> None:
    made = await apis.added()
    apis.models.unreadable = {made.id}
    assert (await apis.tried(hello, made.id)).detail == str(KeyUnreadable())


async def test_a_provider_that_is_not_known_any_more_is_the_detail(apis: Apis) -> None:
    made = await apis.added()
    apis.models.providers = ("other",)
    trial = await apis.tried(hello, made.id)
    assert not trial.ok
    assert "provider" in trial.detail


async def test_no_transaction_is_open_while_a_model_is_tried(apis: Apis) -> None:
    seen: list[int] = []

    async def look(_: Prompt) -> AsyncGenerator[Piece, None]:
        seen.append(apis.database.open)
        yield Finish("stop")

    await apis.tried(look)
    assert seen == [0]


async def test_what_is_kept_shows_no_key(apis: Apis) -> None:
    made = await apis.add(a_new_api(apis.user))
    trial = await apis.tried(hello, made.id)
    for shown in (
        made,
        apis.models,
        apis.database.state,
        trial,
        ApiChanges(api_key=Secret(API_KEY)),
    ):
        assert API_KEY not in repr(shown)
