from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import stamina

from domain.secret import Secret
from infrastructure.models.openai_compatible import OpenAICompatibleModel
from infrastructure.upstreams.breaker import Breaker
from infrastructure.upstreams.connections import Connections
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer
from tests.builders import API_KEY
from tests.upstream import Upstream, upstream

PATIENT = Limits(connect=10, first_event=10, gap=10, total=30)

MakeModel = Callable[..., OpenAICompatibleModel]


@pytest.fixture
async def server() -> AsyncIterator[Upstream]:
    async with upstream() as made:
        yield made


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    made = Connections(connect_seconds=10, allowed_hosts=frozenset())
    await made.open()  # which takes longer than some tests wait
    yield made
    await made.close()


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Between two calls of a server."""
    stamina.set_testing(True, attempts=100, cap=True)
    yield
    stamina.set_testing(False)


@pytest.fixture
def make_model(server: Upstream, connections: Connections) -> MakeModel:
    def make(
        *,
        base_url: str | None = None,
        key: str | None = API_KEY,
        trusted: bool = True,
        streams: bool = True,
        limits: Limits = PATIENT,
        breaker: Breaker | None = None,
        connections: Connections = connections,
    ) -> OpenAICompatibleModel:
        return OpenAICompatibleModel(
            ModelServer(base_url or server.base_url, Secret(key) if key else None, trusted),
            "gpt-9",
            streams,
            connections,
            breaker or Breaker(1_000, 10),
            limits,
        )

    return make
