"""Which models there are, and that each configuration gets its own."""

import asyncio
from dataclasses import replace

import pytest

from application.ports import ServerModel
from domain.api_config import ApiConfig
from domain.errors import KeyUnreadable, ModelNotFound
from domain.identifiers import UserId
from domain.secret import Secret
from infrastructure.models.openai_compatible import OpenAICompatibleModel
from infrastructure.models.registry import Models, OwnModel, dialects, simulated_models
from infrastructure.upstreams.connections import Connections
from tests.answers import hear
from tests.builders import API_KEY, an_api
from tests.infrastructure.conftest import PATIENT
from tests.upstream import Call, Upstream


def config(
    base_url: str = "https://models.example/v1", model_name: str = "qwen", provider: str = "openai"
) -> ApiConfig:
    return replace(an_api(), base_url=base_url, model_name=model_name, provider=provider)


@pytest.fixture
def models(connections: Connections) -> Models:
    return Models(
        simulated_models(delay=0, chunks=5),
        dialects(connections, PATIENT),
        lambda config: None if config.sealed_key is None else Secret(API_KEY),
        trusts_users=True,
    )


def test_the_servers_own_models_are_offered_in_order_and_found_by_name(models: Models) -> None:
    assert models.offered == [
        ServerModel("simulated", "simulated"),
        ServerModel("simulated-long", "simulated"),
    ]
    for offered, own in zip(models.offered, models.own_models, strict=True):
        assert models.own(offered.name) is own.model
    assert models.own("gpt-9") is None
    assert models.own("Simulated") is None
    assert models.own("") is None


def test_the_first_of_two_models_of_a_name_is_meant(models: Models) -> None:
    first, second = models.own_models
    both = (OwnModel("twin", "a", first.model), OwnModel("twin", "b", second.model))
    assert Models(both, {}, lambda _: None, False).own("twin") is first.model


def test_every_provider_can_be_named_and_no_other(models: Models) -> None:
    assert set(models.providers) == {"openai", "openai-unstreamed"}
    for provider in models.providers:
        models.configured(config(provider=provider))
    for provider in ("simulated", "OpenAI", "", "__class__"):
        with pytest.raises(ModelNotFound):
            models.configured(config(provider=provider))


def test_a_configuration_leads_to_its_own_server_with_its_own_key(models: Models) -> None:
    model = models.configured(config())
    assert isinstance(model, OpenAICompatibleModel)
    assert model.model_name == "qwen"
    assert model.server.base_url == "https://models.example/v1"
    assert model.server.key == Secret(API_KEY)
    assert model.streams
    assert API_KEY not in repr(model)


def test_a_configuration_without_a_key_has_none(models: Models) -> None:
    model = models.configured(an_api(sealed_key=None))
    assert isinstance(model, OpenAICompatibleModel)
    assert model.server.key is None


def test_a_key_that_cannot_be_read_is_said_to_be(models: Models) -> None:
    def unreadable(_: ApiConfig) -> Secret | None:
        raise KeyUnreadable

    broken = Models(models.own_models, models.dialects, unreadable, trusts_users=True)
    with pytest.raises(KeyUnreadable):
        broken.configured(an_api())


@pytest.mark.parametrize("trusts_users", [True, False])
def test_users_are_trusted_only_where_they_are_the_operator(
    models: Models, trusts_users: bool
) -> None:
    made = Models((), models.dialects, models.open_key, trusts_users).configured(an_api())
    assert isinstance(made, OpenAICompatibleModel)
    assert made.server.trusted is trusts_users


async def test_a_provider_may_be_asked_not_to_stream(server: Upstream, models: Models) -> None:
    streamed = models.configured(config(base_url=server.base_url))
    unstreamed = models.configured(config(base_url=server.base_url, provider="openai-unstreamed"))
    assert (await hear(streamed)).text == (await hear(unstreamed)).text == "Hello"
    assert [call.body.get("stream") for call in server.calls] == [True, False]


@pytest.mark.usefixtures("no_waiting")
async def test_one_users_broken_server_is_left_alone_and_the_others_are_not(
    server: Upstream, models: Models
) -> None:
    async def fails(call: Call) -> None:
        await call.reply(500)

    server.answers(fails)
    broken = config(base_url=server.base_url + "/broken")
    codes = [(await hear(models.configured(broken))).code for _ in range(3)]
    assert codes == ["upstream_error", "upstream_suspended", "upstream_suspended"]
    again = config(base_url=server.base_url + "/broken", model_name="another")
    assert (await hear(models.configured(again))).code == "upstream_suspended"
    assert len(server.calls) == 5

    async def answers(call: Call) -> None:
        await call.begin()
        await call.chunk("Hi")
        await call.done()

    server.answers(answers)
    theirs = replace(broken, owner=UserId(2))
    assert (await hear(models.configured(theirs))).text == "Hi"
    whole = config(base_url=server.base_url)
    heard = await asyncio.gather(*(hear(models.configured(whole)) for _ in range(5)))
    assert {each.text for each in heard} == {"Hi"}
    assert (await hear(models.configured(broken))).code == "upstream_suspended"
