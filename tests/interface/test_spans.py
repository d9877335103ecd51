"""Each way to send a message is seen in a trace, and nothing else is."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from application.spans import ACCEPT, Untraced
from domain.identifiers import SessionId
from tests.fakes import FakeSpans
from tests.interface.clients import websocket
from tests.interface.doors import Doors

PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


@pytest.fixture
def spans() -> FakeSpans:
    return FakeSpans(on=True)


@pytest.fixture
async def doors(spans: FakeSpans) -> AsyncIterator[Doors]:
    """Where nobody answers, or is waited for."""
    opened = Doors(spans=spans, sync_timeout=0.01)
    yield opened
    opened.stream.close()


def seen(spans: FakeSpans) -> list[tuple[str, str | None]]:
    return [(span.name, span.parent) for span in spans.ended]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat/sessions/{session}/messages", {"message": "why?"}),
        ("/api/chat/message", {"message": "why?"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "why?"}]}),
        ("/v1/responses", {"input": "why?"}),
        ("/v1/responses", {"input": "why?", "background": True}),
    ],
)
@pytest.mark.parametrize("parent", [None, PARENT])
async def test_what_is_sent_is_part_of_the_trace_that_it_says_it_is(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    spans: FakeSpans,
    path: str,
    body: Any,
    parent: str | None,
) -> None:
    headers = {} if parent is None else {"traceparent": parent}
    await http.post(path.format(session=session), json=body, headers=headers)
    assert seen(spans) == [(ACCEPT, parent)]
    [request] = doors.queue.requests
    assert request.traceparent == ACCEPT


async def test_so_is_what_is_to_be_answered_again(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, spans: FakeSpans
) -> None:
    await doors.answered(session)
    path = f"/api/chat/sessions/{session}/regenerate"
    reply = await http.post(path, json={}, headers={"traceparent": PARENT})
    assert reply.status_code == 202
    assert seen(spans) == [(ACCEPT, PARENT)]


async def test_the_frames_of_a_socket_have_no_trace_in_common(
    doors: Doors, session: SessionId, spans: FakeSpans
) -> None:
    headers = {"traceparent": PARENT}
    async with websocket(doors.app, f"session_id={session}", headers=headers) as socket:
        await socket.hear()
        for _ in range(2):
            assert (await socket.ask("why?"))["type"] == "accepted"
    assert seen(spans) == [(ACCEPT, None)] * 2


async def test_what_only_asks_is_not_seen(
    http: httpx.AsyncClient, session: SessionId, spans: FakeSpans
) -> None:
    paths = ("/healthz", "/readyz", "/api/chat/sessions", f"/api/chat/sessions/{session}/messages")
    for path in paths:
        assert (await http.get(path, headers={"traceparent": PARENT})).status_code == 200
    assert seen(spans) == []


def test_where_nobody_traces_nothing_is_made() -> None:
    nobody = Untraced()
    with nobody.span(ACCEPT) as span, nobody.within(PARENT) as around:
        assert span is around is nobody
        assert nobody.traceparent() is None
