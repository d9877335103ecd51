"""T56: secrets that go through the product are in no place where they would stay: not in the
database, not in Redis nor in what it is told, not in a log. Over real servers, with all that can be
said at its loudest."""

import asyncio
import base64
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from tests import servers
from tests.end_to_end.processes import Json, Process, hear, hear_until, process
from tests.upstream import Call, Upstream, hello, upstream

FOUND = "a-name-that-is-found"
"""No secret, and in all three: that a search finds nothing must not be the search's fault."""


def encryption_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@dataclass
class Seeded:
    """The stack, and the secrets that it was given or has made."""

    web: Process
    work: Process
    database_url: str
    redis_url: str
    model: Upstream
    secrets: dict[str, str]
    redis_was_told: list[str] = field(default_factory=list)
    listening: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, path: str, token: str = "", **body: Any) -> Json:
        async with self.web.http(token or None) as http:
            reply = await http.post(path, json=body)
        assert reply.is_success, reply.text
        shown: Json = reply.json()
        return shown

    def forms(self) -> Iterable[tuple[str, bytes]]:
        """Each as it is, without its ends, and as a database shows bytes."""
        for name, secret in self.secrets.items():
            for form in (secret, secret[4:-4], secret.encode().hex()):
                yield name, form.encode()

    def in_it(self, where: bytes) -> set[str]:
        return {name for name, form in self.forms() if form in where}


async def refuses(call: Call) -> None:
    """As some do it, by repeating the key."""
    said = f"Incorrect API key provided: {call.headers['authorization']}"
    await call.reply(401, {"error": {"message": said, "code": "invalid_api_key"}})


@asynccontextmanager
async def role_with_password(server: servers.Postgres, url: str) -> AsyncIterator[str]:
    name, password = f"seeded_{secrets.token_hex(4)}", secrets.token_hex(16)
    await servers.execute(
        url,
        f"CREATE ROLE {name} LOGIN PASSWORD '{password}';"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}",
    )
    try:
        yield servers.as_user(url, name, password)
    finally:
        await servers.execute(url, f"DROP OWNED BY {name}")
        await servers.execute(server.url, f"DROP ROLE {name}")


@pytest.fixture
async def seeded(
    tmp_path: Path, postgres_server: servers.Postgres, postgres_url: str
) -> AsyncIterator[Seeded]:
    redis_password = secrets.token_hex(16)
    given = {"SECRET_KEY": secrets.token_hex(32), "ENCRYPTION_KEYS": encryption_key()}
    async with AsyncExitStack() as closing:
        url = await closing.enter_async_context(role_with_password(postgres_server, postgres_url))
        redis = closing.enter_context(servers.redis("--requirepass", redis_password))
        redis_url = redis.url.replace("//", f"//:{redis_password}@")
        own_key = f"sk-{secrets.token_hex(16)}"
        model = await closing.enter_async_context(upstream())
        settings = {
            **given,
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "OPENAI_API_KEY": own_key,
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_MODEL": "servers",
            "AUTH_MODE": "required",
            "UPSTREAM_PRIVATE": "allowed",
            "LOG_LEVEL": "DEBUG",
        }
        for name in ("web", "work"):
            (tmp_path / name).mkdir()
        seeds = {
            **given,
            "the database's password": url.partition("//")[2].partition("@")[0].partition(":")[2],
            "Redis's password": redis_password,
            "OPENAI_API_KEY": own_key,
        }
        made = Seeded(
            await closing.enter_async_context(process(tmp_path / "web", "serve", **settings)),
            await closing.enter_async_context(process(tmp_path / "work", "work", **settings)),
            postgres_url,
            redis_url,
            model,
            seeds,
        )
        listening = asyncio.create_task(listen(made))
        await made.listening.wait()
        yield made
        listening.cancel()
        await asyncio.wait((listening,))


async def listen(seeded: Seeded) -> None:
    """To all that Redis is told, also what it does not keep."""
    async with Redis.from_url(seeded.redis_url) as client, client.monitor() as monitor:
        seeded.listening.set()
        async for said in monitor.listen():
            seeded.redis_was_told.append(said["command"])


async def all_rows(url: str) -> bytes:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        rows = [
            row[0]
            for table in tables
            for row in await connection.fetch(f'SELECT t::text FROM "{table[0]}" t')
        ]
    finally:
        await connection.close()
    return "\n".join(rows).encode()


async def all_keys(url: str) -> bytes:
    read: dict[bytes, tuple[Any, ...]] = {
        b"string": ("GET",),
        b"hash": ("HGETALL",),
        b"stream": ("XRANGE", "-", "+"),
        b"zset": ("ZRANGE", 0, -1),
        b"set": ("SMEMBERS",),
        b"list": ("LRANGE", 0, -1),
    }
    kept = []
    async with Redis.from_url(url) as made:
        client: Any = made
        for key in await client.execute_command("KEYS", "*"):
            command, *more = read[await client.execute_command("TYPE", key)]
            kept.append((key, await client.execute_command(command, key, *more)))
    return repr(kept).encode()


async def sign_in_and_out(seeded: Seeded) -> str:
    """By all ways, right and wrong; the token that is still good."""
    seeds = seeded.secrets
    seeds["a password"], seeds["a wrong password"] = secrets.token_hex(12), secrets.token_hex(12)
    ada = {"username": "ada", "password": seeds["a password"]}
    shown = await seeded.post("/api/auth/register", **ada)
    seeds["an old refresh token"] = shown["refresh_token"]
    shown = await seeded.post("/api/auth/refresh", refresh_token=shown["refresh_token"])
    seeds["a refresh token"], seeds["an access token"] = (
        shown["refresh_token"],
        shown["access_token"],
    )
    token: str = shown["access_token"]
    made = await seeded.post("/api/user/tokens", token, name=FOUND, expires_in_days=1)
    seeds["an API token"] = made["token"]
    for name in ("a used ticket", "a ticket"):
        seeds[name] = (await seeded.post("/api/auth/ticket", token))["ticket"]
    async with seeded.web.http() as http:
        wrong = {**ada, "password": seeds["a wrong password"]}
        for reply in (
            await http.post("/api/auth/login", json=wrong),
            await http.post("/api/auth/register", json=ada),
            await http.post("/api/auth/register", content=json.dumps(ada)[:-1]),
            await http.post("/api/auth/refresh", json={"refresh_token": made["token"]}),
            await http.get("/sse/session_1", params={"ticket": made["token"]}),
            await http.get("/chat/stream", params={"message": "hi", "token": token}),
        ):
            assert reply.is_client_error
            assert seeded.in_it(reply.content) == set()
    return token


async def test_seeded_secrets_are_found_nowhere(seeded: Seeded) -> None:
    token = await sign_in_and_out(seeded)
    seeds = seeded.secrets
    seeds["an own model's key"] = f"sk-{secrets.token_hex(16)}"
    own = {"name": FOUND, "model_name": "own", "base_url": seeded.model.base_url}
    config = await seeded.post("/api/user/apis", token, **own, api_key=seeds["an own model's key"])
    async with seeded.web.websocket(f"?ticket={seeds['a used ticket']}") as socket:
        await hear(socket)
        for model_name in ("own", "servers"):
            for script, end in ((hello, "done"), (refuses, "failed")):
                seeded.model.answers(script)
                body = json.dumps({"type": "send", "message": FOUND, "model_name": model_name})
                await socket.send(body)
                heard = await hear_until(socket, "done", "failed")
                assert heard[-1]["type"] == end
                assert seeded.in_it(json.dumps(heard).encode()) == set()
    authorized = {call.headers["authorization"].partition(" ")[2] for call in seeded.model.calls}
    assert authorized == {seeds["an own model's key"], seeds["OPENAI_API_KEY"]}
    tried = await seeded.post(f"/api/user/apis/{config['id']}/test", seeds["an API token"])
    assert tried["ok"] is False

    rows, keys = await all_rows(seeded.database_url), await all_keys(seeded.redis_url)
    told = "\n".join(seeded.redis_was_told).encode()
    async with seeded.web.http(token) as http:
        assert (await http.post("/api/auth/logout")).is_success
    logs = {place.command: place.log.encode() for place in (seeded.web, seeded.work)}
    for where in (rows, keys, told):
        assert FOUND.encode() in where
    assert b"'/api/auth/login' 401" in logs["serve"]
    assert b"answering " in logs["work"]
    for name, where in {"rows": rows, "keys": keys, "what Redis was told": told, **logs}.items():
        assert seeded.in_it(where) == set(), name
