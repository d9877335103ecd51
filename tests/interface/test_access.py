"""Every way in, and who may use it.

A route that is not in the table fails the first test. Each line says what another user is answered
who names ada's things, and what a request needs besides: names in braces stand for them.
"""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from starlette.routing import BaseRoute, Route, WebSocketRoute

from domain.access import Caller, Refresh
from domain.identifiers import UserId
from domain.secret import Secret
from infrastructure.jwt_tokens import JwtTokens
from interface.dialects.response_body import ResponseBody
from interface.dialects.response_json import response_id
from interface.wire.request_bodies import parse_body
from tests.builders import (
    SECRET_KEY,
    a_new_api,
    add_api,
    add_api_token,
    add_call,
    add_file,
    add_question,
    add_session,
    claim,
    finish,
    sign_in,
)
from tests.fakes import FakeDatabase, State
from tests.interface.clients import Json, Reply, ask, bearer, problem_keys, websocket
from tests.interface.doors import Doors
from tests.operator import delete_user


@dataclass(frozen=True)
class Access:
    """Protected: `foreign` is the code for another user who names ada's things; without one the
    route is about one's own things only. `admitted` is what ada herself is answered, if that is
    no success: she has a question that waits."""

    foreign: str | None
    body: Json
    admitted: str | None = None
    uploads: bool = False
    query: str = ""


def own(**body: Any) -> Access:
    return Access(None, body)


def foreign(code: str, admitted: str | None = None, /, **body: Any) -> Access:
    return Access(code, body, admitted)


def foreign_in_address(code: str, query: str, admitted: str | None = None) -> Access:
    return Access(code, {}, admitted, query=query)


def uploading(code: str) -> Access:
    return Access(code, {}, uploads=True)


FORM: Final = (
    b'--b\r\nContent-Disposition: form-data; name="session_id"\r\n\r\n%b\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n'
    b"--b--\r\n"
)

ANYBODY: Final = None
ASKING: Final = foreign_in_address("session_not_found", "session_id={session_id}&message=why?")

ROUTES: Final[Mapping[str, Access | None]] = {
    "GET /healthz": ANYBODY,
    "GET /readyz": ANYBODY,
    "GET /metrics": ANYBODY,
    "GET /": ANYBODY,
    "GET /page/{path}": ANYBODY,
    "GET /openapi.json": ANYBODY,
    "GET /docs": ANYBODY,
    "GET /docs/{path}": ANYBODY,
    "GET /asyncapi.json": ANYBODY,
    "GET /chat": ANYBODY,
    "POST /api/auth/register": ANYBODY,
    "POST /api/auth/login": ANYBODY,
    "POST /api/auth/refresh": ANYBODY,
    "POST /api/auth/logout": own(),
    "GET /api/auth/me": own(),
    "POST /api/auth/ticket": own(),
    "GET /api/user/tokens": own(),
    "POST /api/user/tokens": own(name="another"),
    "DELETE /api/user/tokens/{token_id}": foreign("token_not_found"),
    "POST /api/chat/session": foreign("session_not_found", session_id="{session_id}"),
    "GET /api/chat/sessions": own(),
    "GET /api/chat/sessions/{session_id}": foreign("session_not_found"),
    "GET /api/chat/sessions/{session_id}/messages": foreign("session_not_found"),
    "POST /api/chat/sessions/{session_id}/messages": foreign("session_not_found", message="why?"),
    "PATCH /api/chat/sessions/{session_id}": foreign("session_not_found", title="another"),
    "DELETE /api/chat/sessions/{session_id}": foreign("session_not_found"),
    "DELETE /api/chat/sessions/{session_id}/messages": foreign("session_not_found", "session_busy"),
    "POST /api/chat/sessions/{session_id}/regenerate": foreign("session_not_found", "session_busy"),
    "POST /api/chat/message": foreign(
        "session_not_found", "answer_pending", message="why?", session_id="{session_id}"
    ),
    "POST /api/chat/message/stream": foreign(
        "session_not_found", message="why?", session_id="{session_id}"
    ),
    "POST /api/chat/generations/{generation_id}/cancel": foreign("generation_not_found"),
    "GET /api/personas/": own(),
    "PUT /api/personas/default": own(name="teacher"),
    "GET /api/chat/generations/{generation_id}": foreign("generation_not_found"),
    "GET /api/chat/generations/{generation_id}/stream": foreign("generation_not_found"),
    "POST /chat/start": own(),
    "POST /api/chat/start": own(),
    "GET /chat/stream": ASKING,
    "GET /api/chat/stream": ASKING,
    "GET /chat/history": foreign_in_address("session_not_found", "session_id={session_id}"),
    "GET /api/chat/history": foreign_in_address("session_not_found", "session_id={session_id}"),
    "DELETE /chat/history/{session_id}": foreign("session_not_found", "session_busy"),
    "DELETE /api/chat/history/{session_id}": foreign("session_not_found", "session_busy"),
    "GET /roles": own(),
    "GET /api/roles": own(),
    "GET /sse/{session_id}": foreign("session_not_found"),
    "WEBSOCKET /ws": foreign("session_not_found"),
    "GET /api/user/apis": own(),
    "POST /api/user/apis": own(name="x", model_name="x", base_url="http://x", api_key=""),
    "GET /api/user/apis/first": foreign("api_not_found"),
    "GET /api/user/apis/{name}": foreign("api_not_found"),
    "PUT /api/user/apis/{api_id}": foreign("api_not_found", name="another"),
    "DELETE /api/user/apis/{api_id}": foreign("api_not_found"),
    "POST /api/user/apis/{api_id}/test": foreign("api_not_found"),
    "GET /api/models": own(),
    "POST /v1/chat/completions": own(messages=[{"role": "user", "content": "why?"}], stream=True),
    "POST /v1/responses": foreign(
        "previous_response_not_found",
        input="why?",
        background=True,
        previous_response_id="{response_id}",
    ),
    "GET /v1/responses/{response_id}": foreign("generation_not_found"),
    "POST /v1/responses/{response_id}/cancel": foreign("generation_not_found"),
    "DELETE /v1/responses/{response_id}": foreign("generation_not_found"),
    "GET /v1/responses/{response_id}/input_items": foreign("generation_not_found"),
    "GET /v1/models": own(),
    "GET /v1/models/{model}": foreign("model_not_found"),
    "POST /api/files/upload": uploading("session_not_found"),
    "GET /api/files/session/{session_id}": foreign("session_not_found"),
    "GET /api/files/{file_id}": foreign("file_not_found"),
    "GET /api/files/{file_id}/content": foreign("file_not_found"),
    "DELETE /api/files/{file_id}": foreign("file_not_found"),
}

TAKE_TICKETS: Final = {"GET /sse/{session_id}", "WEBSOCKET /ws"}


# Asking


@dataclass(frozen=True)
class Ada:
    """Somebody with one of everything; what can be read of it says so."""

    caller: Caller
    token: Secret
    things: Mapping[str, str]


MARK: Final = "adas-own"


async def add_response(database: FakeDatabase, user: UserId) -> str:
    """One that is over; its id."""
    asked = parse_body(ResponseBody, f'{{"input": "{MARK} input"}}'.encode())
    answering = await claim(database, await add_call(database, user, asked.call))
    assert answering is not None
    await finish(database, answering)
    return response_id(answering.id)


@pytest.fixture
async def ada(locked: Doors) -> Ada:
    database = locked.database
    caller, token = await locked.sign_in("ada")
    session_id = await add_session(database, caller.user, "session_of_ada")
    api = await add_api(database, a_new_api(caller.user, f"{MARK} api", f"{MARK}-model"))
    kept = await add_api_token(database, caller.user, "sk-adas", name=f"{MARK} token")
    file = await add_file(database, locked.files, caller.user, session_id, f"{MARK}.txt")
    generation_id = await add_question(database, caller.user, session_id, f"{MARK} question")
    things = {
        "session_id": session_id,
        "generation_id": generation_id,
        "response_id": await add_response(database, caller.user),
        "api_id": str(api.id),
        "name": api.name,
        "model": api.model_name,
        "token_id": str(kept.id),
        "file_id": str(file.id),
    }
    return Ada(caller, token, things)


async def ask_at(
    doors: Doors, route: str, ada: Ada, headers: Mapping[str, str], query: str = ""
) -> Reply:
    """Ask at a route for ada's things. What a socket says is told as HTTP would: 101 if it opens,
    else the status of the error, if the close code fits to it."""
    method, path = route.format(**ada.things).split(" ", 1)
    access = ROUTES[route]
    if access is not None and access.query:
        query = f"{access.query.format(**ada.things)}&{query}"
    if method != "WEBSOCKET":
        if access is not None and access.uploads:
            form = FORM % ada.things["session_id"].encode()
            headers = {**headers, "Content-Type": "multipart/form-data; boundary=b"}
            return await ask(doors.app, method, path, query, headers, form)
        body = {} if access is None else access.body
        filled = {name: fill(value, ada) for name, value in body.items()}
        return await ask(doors.app, method, path, query, headers, filled)
    query = f"session_id={ada.things['session_id']}&{query}"
    async with websocket(doors.app, query, headers) as socket:
        first = await socket.hear()
        if first["type"] == "session":
            return Reply(101, {}, "")
        status = first["error"]["status"]
        assert await socket.closed() == 4000 + status
        await socket.connection.ended()
    return Reply(status, {}, json.dumps(first["error"]))


def fill(value: object, ada: Ada) -> object:
    return value.format(**ada.things) if isinstance(value, str) else value


def assert_refused(reply: Reply, route: str, status: int, code: str) -> None:
    assert reply.status == status
    shown = reply.json()
    media_type = "application/problem+json"
    if " /v1/" in route:  # in OpenAI's words
        media_type, shown = "application/json", shown["error"]
        assert shown.keys() == {"message", "type", "param", "code"}
        assert shown["code"] == ("invalid_api_key" if status == 401 else code)
    else:
        assert shown.keys() == problem_keys()
        assert shown["code"] == code
    if route.startswith("WEBSOCKET"):
        return
    assert reply.headers["content-type"] == media_type
    challenge = reply.headers.get("www-authenticate", "")
    assert challenge.startswith("Bearer ") is (status == 401)
    assert ('error="invalid_token"' in challenge) is (code == "invalid_token")


# Bad credentials


Credentials = Callable[[Doors, Ada], Awaitable[dict[str, str]]]


async def none(_doors: Doors, _ada: Ada) -> dict[str, str]:
    return {}


async def garbage(_doors: Doors, _ada: Ada) -> dict[str, str]:
    return bearer(Secret("garbage"))


async def empty(_doors: Doors, _ada: Ada) -> dict[str, str]:
    return {"Authorization": ""}


async def another_scheme(_doors: Doors, ada: Ada) -> dict[str, str]:
    return {"Authorization": f"Basic {ada.token.reveal()}"}


async def expired(_doors: Doors, ada: Ada) -> dict[str, str]:
    tokens = JwtTokens(SECRET_KEY, 900, now=lambda: 1_700_000_000)
    return bearer(tokens.access(ada.caller))


async def wrong_key(_doors: Doors, ada: Ada) -> dict[str, str]:
    tokens = JwtTokens(Secret("another secret that somebody made up"), 900)
    return bearer(tokens.access(ada.caller))


async def alg_none(_doors: Doors, ada: Ada) -> dict[str, str]:
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    claims = ada.token.reveal().split(".")[1]
    return bearer(Secret(f"{header}.{claims}."))


async def refresh_token(doors: Doors, ada: Ada) -> dict[str, str]:
    assert ada.caller.sign_in is not None
    return bearer(doors.tokens.refresh(Refresh(ada.caller.user, ada.caller.sign_in, 0)))


async def logged_out(doors: Doors, ada: Ada) -> dict[str, str]:
    await doors.log_out(ada.caller.user)
    return bearer(ada.token)


async def over(doors: Doors, ada: Ada) -> dict[str, str]:
    caller = await sign_in(doors.database, ada.caller.user, "signin_over", seconds=0)
    return bearer(doors.tokens.access(caller))


async def another_user(doors: Doors, ada: Ada) -> dict[str, str]:
    """The sign-in is ada's, the user is not."""
    return bearer(doors.tokens.access(Caller(UserId(99), ada.caller.sign_in)))


async def deleted_user(doors: Doors, ada: Ada) -> dict[str, str]:
    await delete_user(doors.database, ada.caller.user)
    return bearer(ada.token)


async def deleted_users_api_token(doors: Doors, ada: Ada) -> dict[str, str]:
    await delete_user(doors.database, ada.caller.user)
    return bearer(Secret("sk-adas"))


async def unknown_api_token(_doors: Doors, _ada: Ada) -> dict[str, str]:
    return bearer(Secret("sk-nobodys"))


async def expired_api_token(doors: Doors, ada: Ada) -> dict[str, str]:
    await add_api_token(doors.database, ada.caller.user, "sk-expired", days=0)
    return bearer(Secret("sk-expired"))


BAD: Final[list[Credentials]] = [
    none,
    garbage,
    empty,
    another_scheme,
    expired,
    wrong_key,
    alg_none,
    refresh_token,
    logged_out,
    over,
    another_user,
    deleted_user,
    deleted_users_api_token,
    unknown_api_token,
    expired_api_token,
]


# The tests


def named(route: BaseRoute) -> set[str]:
    """As in the table. A HEAD is a GET without its body, by the same handler."""
    assert isinstance(route, Route | WebSocketRoute), f"{route} is of a kind that is not looked at"
    path = re.sub(r":\w+}", "}", route.path)
    if isinstance(route, WebSocketRoute):
        return {f"WEBSOCKET {path}"}
    assert route.methods
    return {f"{method} {path}" for method in route.methods - {"HEAD"}}


def test_each_route_is_in_the_table_and_nothing_else_is(locked: Doors) -> None:
    built: set[str] = set().union(*(named(route) for route in locked.routes))
    assert built == ROUTES.keys()


PROTECTED: Final = [route for route, access in ROUTES.items() if access is not ANYBODY]
FOREIGN: Final = [
    (route, access.foreign) for route, access in ROUTES.items() if access and access.foreign
]
OWN: Final = [route for route, access in ROUTES.items() if access and not access.foreign]


@pytest.mark.parametrize("credentials", BAD, ids=lambda credentials: credentials.__name__)
@pytest.mark.parametrize("route", PROTECTED)
async def test_who_can_not_prove_who_they_are_is_refused_and_changes_nothing(
    locked: Doors, ada: Ada, route: str, credentials: Credentials
) -> None:
    headers = await credentials(locked, ada)
    before = locked.database.state
    code = "not_signed_in" if credentials is none else "invalid_token"
    assert_refused(await ask_at(locked, route, ada, headers), route, 401, code)
    assert locked.database.state is before
    assert (locked.queue.requests, locked.model.prompts) == ([], [])


@pytest.mark.parametrize("by_api_token", [False, True])
@pytest.mark.parametrize("route", PROTECTED)
async def test_who_proves_who_they_are_comes_in(
    locked: Doors, ada: Ada, route: str, by_api_token: bool
) -> None:
    """Else the refusals would show nothing."""
    token = Secret("sk-adas") if by_api_token else ada.token
    reply = await ask_at(locked, route, ada, bearer(token))
    access = ROUTES[route]
    if access is not None and access.admitted is not None:
        assert reply.json()["code"] == access.admitted
    else:
        assert reply.status < 300


@pytest.mark.parametrize(("route", "code"), FOREIGN)
async def test_what_is_anothers_does_not_exist_and_is_not_changed(
    locked: Doors, ada: Ada, route: str, code: str
) -> None:
    _, token = await locked.sign_in("bob")
    before = locked.database.state
    assert_refused(await ask_at(locked, route, ada, bearer(token)), route, 404, code)
    assert locked.database.state == before
    assert (locked.queue.requests, locked.model.prompts) == ([], [])


def of(user: UserId, state: State) -> list[object]:
    """All that belongs to a user."""
    return [
        [session for session in state.sessions.values() if session.owner == user],
        [message for message in state.messages if state.sessions[message.session_id].owner == user],
        [row for row in state.rows.values() if row.generation.owner == user],
        [api for api in state.apis if api.owner == user],
        [token for token in state.api_tokens.values() if token.owner == user],
        [row for row in state.sign_ins.values() if row.user == user],
        [row for row in state.files.values() if row.file.owner == user],
    ]


@pytest.mark.parametrize("route", OWN)
async def test_in_ones_own_there_is_nothing_of_another(locked: Doors, ada: Ada, route: str) -> None:
    assert all(of(ada.caller.user, locked.database.state))
    _, token = await locked.sign_in("bob")
    before = of(ada.caller.user, locked.database.state)
    reply = await ask_at(locked, route, ada, bearer(token))
    assert reply.status < 300
    assert MARK not in reply.text
    assert of(ada.caller.user, locked.database.state) == before


@pytest.mark.parametrize("route", [each for each in PROTECTED if each not in TAKE_TICKETS])
async def test_where_no_ticket_is_taken_it_is_no_credential_and_stays_good(
    locked: Doors, ada: Ada, route: str
) -> None:
    ticket = Secret("a-ticket")
    async with locked.database() as work:
        await work.tickets.add(ticket.digest, ada.caller, 60)
        await work.commit()
    reply = await ask_at(locked, route, ada, {}, f"ticket={ticket.reveal()}")
    assert_refused(reply, route, 401, "not_signed_in")
    stream = "GET /sse/{session_id}"
    assert (await ask_at(locked, stream, ada, {}, f"ticket={ticket.reveal()}")).status == 200


ANY_KEY: Final = [route for route in PROTECTED if " /v1/" in route]
"""Where OpenAI's clients ask, which are never without a key."""


@pytest.mark.parametrize("credentials", BAD, ids=lambda credentials: credentials.__name__)
async def test_in_open_mode_openais_clients_may_show_any_key(
    doors: Doors, credentials: Credentials
) -> None:
    caller, token = await doors.sign_in("ada")
    await add_api_token(doors.database, caller.user, "sk-adas")
    local = await doors.local()
    response = await add_response(doors.database, local)
    ada = Ada(caller, token, {"model": "scripted", "response_id": response})
    headers = await credentials(doors, ada)
    for route in sorted(ANY_KEY, key=lambda route: "DELETE" in route):
        assert (await ask_at(doors, route, ada, headers)).status == 200
    made = doors.database.state.sessions.values()
    assert {session.owner for session in made} == {local}


@pytest.mark.parametrize("route", ANY_KEY)
async def test_but_who_they_are_counts_if_they_can_prove_it(doors: Doors, route: str) -> None:
    caller, token = await doors.sign_in("ada")
    response = await add_response(doors.database, caller.user)
    ada = Ada(caller, token, {"model": "adas", "response_id": response})
    await add_api(doors.database, a_new_api(caller.user, "mine", "adas"))
    assert (await ask_at(doors, route, ada, bearer(token))).status == 200
    made = doors.database.state.sessions.values()
    assert {session.owner for session in made} <= {caller.user}


CHECKED: Final = [route for route in PROTECTED if route not in ANY_KEY]


@pytest.mark.parametrize("credentials", BAD[1:], ids=lambda credentials: credentials.__name__)
@pytest.mark.parametrize("route", CHECKED)
async def test_an_open_door_checks_what_it_is_shown(
    doors: Doors, route: str, credentials: Credentials
) -> None:
    caller, token = await doors.sign_in("ada")
    things = dict.fromkeys(("session_id", "generation_id", "name"), "none")
    ada = Ada(caller, token, things | dict.fromkeys(("api_id", "token_id", "file_id"), "7"))
    await add_api_token(doors.database, caller.user, "sk-adas")
    headers = await credentials(doors, ada)
    before = doors.database.state
    assert_refused(await ask_at(doors, route, ada, headers), route, 401, "invalid_token")
    assert doors.database.state is before
