import httpx
import pytest

from tests.interface.clients import assert_problem


async def test_who_is_at_the_machine_is_shown_what_is_measured(http: httpx.AsyncClient) -> None:
    reply = await http.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Via",
        "CF-Connecting-IP",
    ],
)
async def test_who_comes_through_a_proxy_finds_nothing(
    http: httpx.AsyncClient, header: str
) -> None:
    reply = await http.get("/metrics", headers={header: ""})
    assert_problem(reply, 404, "not_found")


async def test_also_where_people_must_sign_in_nobody_is_asked_who_they_are(
    locked_http: httpx.AsyncClient,
) -> None:
    assert (await locked_http.get("/metrics")).status_code == 200
