"""A start that can't go on says why in one line, names the variable, and ends."""

import os
import re
import shlex
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from tests.end_to_end.processes import ENCRYPTION_KEY, KEYS, PATIENCE, ROOT, SECRET_KEY, process

KEY_FILE: Final = Path("data/encryption.key")
SECRET_FILE: Final = Path("data/secret.key")


def start(folder: Path, *arguments: str, **environment: str) -> tuple[int, list[str]]:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PORT": "0", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ended.returncode, ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "eighty"),
        ("DATABASE_URL", "postgres://ada:a/secret@localhost/chat"),
        ("UPLOAD_DIR", "/dev/null/uploads"),
        ("ENCRYPTION_KEYS", "secret"),
        ("ENCRYPTION_KEYS", f"{ENCRYPTION_KEY},secret"),
        ("ENCRYPTION_KEYS", "clésecret"),
    ],
)
def test_a_bad_variable_is_named(tmp_path: Path, variable: str, value: str) -> None:
    code, said = start(tmp_path, **{variable: value})
    assert code == 2
    assert len(said) == 1
    assert said[0].startswith(f"llm-chat: {variable}: ")
    assert "secret" not in said[0]


@pytest.mark.parametrize(
    ("host", "auth_mode", "required"),
    [
        ("", "", False),
        ("127.0.0.2", "", False),
        ("localhost", "", False),
        ("127.0.0.1", "required", True),
        ("0.0.0.0", "", True),
        ("0.0.0.0", "open", False),
    ],
)
async def test_who_others_can_reach_asks_who_they_are_unless_told_otherwise(
    tmp_path: Path, host: str, auth_mode: str, required: bool
) -> None:
    async with process(tmp_path, HOST=host, AUTH_MODE=auth_mode) as server, server.http() as http:
        assert (await http.get("/api/auth/me")).status_code == (401 if required else 200)
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("host", "auth_mode", "required"),
    [
        ("127.255.255.254", None, False),
        ("::1", None, False),
        ("::", None, True),
        ("192.0.2.1", None, True),
        ("127.example.com", None, True),
        ("127.0.0.1.example.com", None, True),
        ("localhost.example.com", None, True),
        ("::1", "required", True),
        ("::", "open", False),
    ],
)
def test_where_sign_in_is_required_users_reach_no_private_host(
    host: str, auth_mode: str | None, required: bool
) -> None:
    from settings import Settings

    settings = Settings.model_validate({"host": host, "auth_mode": auth_mode})
    assert settings.sign_in_required is required
    assert settings.users_may_reach_private_hosts is not required


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = start(tmp_path, PORT=str(taken.getsockname()[1]))
    assert (code, len(said)) == (2, 1)
    assert "can't listen on 127.0.0.1" in said[0]


@pytest.mark.parametrize("content", ["- name: [", "just text", "- name: x", "- 5", "\xff"])
def test_a_bad_personas_file_is_a_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "style.yaml"
    path.write_bytes(content.encode("latin-1"))
    code, said = start(tmp_path)
    assert (code, len(said)) == (2, 1)
    assert "style.yaml" in said[0]


def test_a_database_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, and no database" * 100)
    code, said = start(tmp_path, DATABASE_URL="sqlite:///notes.txt")
    assert (code, len(said)) == (2, 1)
    assert "not a database" in said[0]


def test_a_folder_that_can_not_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    code, said = start(tmp_path)
    assert (code, len(said)) == (2, 1)
    assert "database" in said[0]


def test_a_database_of_somebody_else_or_of_a_newer_version_is_a_clear_error(
    tmp_path: Path,
) -> None:
    for statements in (
        ["CREATE TABLE users (name TEXT)"],
        ["CREATE TABLE alembic_version (version_num TEXT)",
         "INSERT INTO alembic_version VALUES ('9999')"],
    ):  # fmt: skip
        path = tmp_path / f"{len(statements)}.db"
        with closing(sqlite3.connect(path)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()
        code, said = start(tmp_path, DATABASE_URL=f"sqlite:///{path}")
        assert (code, len(said)) == (2, 1)
        assert "can't be brought up to date" in said[0]


def test_an_env_file_that_is_no_text_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe")
    code, said = start(tmp_path)
    assert (code, len(said)) == (2, 1)
    assert ".env" in said[0]


@pytest.mark.parametrize("command", ["serve", "work"])
def test_without_its_tables_only_dev_and_migrate_start(tmp_path: Path, command: str) -> None:
    code, said = start(tmp_path, command)
    assert (code, len(said)) == (2, 1)
    assert "python main.py migrate" in said[0]
    assert start(tmp_path, "migrate")[0] == 0


def made_by(line: str) -> str:
    """What comes of a line that a person was told to type."""
    program, *arguments = shlex.split(line)
    assert program == "python"
    return subprocess.check_output([sys.executable, *arguments], text=True).strip()


@pytest.mark.parametrize("command", ["serve", "work"])
async def test_without_a_key_only_dev_and_migrate_start(tmp_path: Path, command: str) -> None:
    assert start(tmp_path, "migrate")[0] == 0
    code, said = start(tmp_path, command)
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith("llm-chat: ENCRYPTION_KEYS ")
    assert not (tmp_path / KEY_FILE).exists()
    told = re.search(r"`(python -c .*)`", said[0])
    assert told is not None
    async with process(tmp_path, command, ENCRYPTION_KEYS=made_by(told[1])):
        pass


async def test_doors_without_a_secret_do_not_open_and_a_worker_needs_none(tmp_path: Path) -> None:
    assert start(tmp_path, "migrate")[0] == 0
    code, said = start(tmp_path, "serve", ENCRYPTION_KEYS=ENCRYPTION_KEY)
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith("llm-chat: SECRET_KEY ")
    assert not (tmp_path / SECRET_FILE).exists()
    told = re.search(r"`(python -c .*)`", said[0])
    assert told is not None
    async with process(tmp_path, "serve", SECRET_KEY=made_by(told[1])):
        pass
    async with process(tmp_path, "work", SECRET_KEY=""):
        pass


@pytest.mark.parametrize("file", [KEY_FILE, SECRET_FILE])
async def test_dev_makes_a_key_once_and_the_other_commands_find_it(
    tmp_path: Path, file: Path
) -> None:
    path = tmp_path / file
    async with process(tmp_path):
        made = path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
    for command in ("dev", "serve", "work"):
        async with process(tmp_path, command, ENCRYPTION_KEYS="", SECRET_KEY="") as started:
            assert made.decode().strip() not in started.log
    assert path.read_bytes() == made


async def test_what_dev_has_signed_holds_in_serve_with_the_file_and_with_its_text(
    tmp_path: Path,
) -> None:
    async with process(tmp_path) as server, server.http() as http:
        body = {"username": "ada", "password": "correct horse"}
        token = (await http.post("/api/auth/register", json=body)).json()["access_token"]
    text = (tmp_path / SECRET_FILE).read_text().strip()
    for secret in ("", text):
        async with (
            process(tmp_path, "serve", SECRET_KEY=secret) as server,
            server.http(token) as http,
        ):
            assert (await http.get("/api/auth/me")).json()["username"] == "ada"
    async with process(tmp_path, "serve") as server, server.http(token) as http:
        assert (await http.get("/api/auth/me")).status_code == 401


async def test_dev_makes_no_key_where_one_is_given(tmp_path: Path) -> None:
    async with process(tmp_path, **KEYS):
        assert not (tmp_path / KEY_FILE).exists()
        assert not (tmp_path / SECRET_FILE).exists()


@pytest.mark.parametrize(
    ("command", "file", "given"),
    [
        ("dev", KEY_FILE, {}),
        ("serve", KEY_FILE, {}),
        ("work", KEY_FILE, {}),
        ("dev", SECRET_FILE, {}),
        ("serve", SECRET_FILE, {"ENCRYPTION_KEYS": ENCRYPTION_KEY}),
    ],
)
def test_a_broken_key_file_is_a_clear_error_and_stays_as_it_is(
    tmp_path: Path, command: str, file: Path, given: dict[str, str]
) -> None:
    assert start(tmp_path, "migrate")[0] == 0
    (tmp_path / file).write_text("half a s-cr-t")
    code, said = start(tmp_path, command, **given)
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith(f"llm-chat: {file}: ")
    assert "s-cr" not in said[0]
    assert (tmp_path / file).read_text() == "half a s-cr-t"


def test_settings_do_not_show_their_keys() -> None:
    from settings import Settings

    given = Settings(encryption_keys=SecretStr(ENCRYPTION_KEY), secret_key=SecretStr(SECRET_KEY))
    assert ENCRYPTION_KEY not in repr(given)
    assert SECRET_KEY not in repr(given)
    settings = Settings(database_url=SecretStr("postgres://ada:lovelace@localhost/chat"))
    assert settings.postgres_url is not None
    assert "lovelace" not in repr(settings) + repr(settings.postgres_url)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://localhost/chat",
        "postgres://ada@[::1]:5432/chat?sslmode=require",
        "postgresql://ada:%23%40%2F@localhost:5432/chat",
        "postgresql://ada:secret@one:5432,two/chat?target_session_attrs=read-write",
        "postgresql:///chat?host=/run/postgresql",
        "postgresql+asyncpg://ada:secret@localhost/chat",
    ],
)
def test_a_postgres_server_can_be_named_in_many_ways(url: str) -> None:
    from settings import read_settings

    settings = read_settings(database_url=url)
    assert settings.postgres_url is not None
    assert settings.postgres_url.get_secret_value() == f"postgresql://{url.split('://')[1]}"
    assert (settings.sqlite_path, settings.data_folder) == (None, Path("data"))


async def test_settings_come_from_a_file_too_and_the_command_line_goes_before_them(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("SIMULATED_DELAY=0\nPORT=eighty\n")
    code, said = start(tmp_path, "--port", "nine", PORT="")
    assert code == 2
    assert said[0].startswith("llm-chat: PORT: ")
    async with process(tmp_path) as server:  # PORT=0 of the environment goes before the file
        assert server.address


def test_every_setting_is_in_the_example(tmp_path: Path) -> None:
    from settings import Settings

    example = (ROOT / ".env.example").read_text().splitlines()
    named = {line.split("=")[0] for line in example if line and not line.startswith("#")}
    assert named == {name.upper() for name in Settings.model_fields}
    values = dict(line.split("=", 1) for line in example if line and not line.startswith("#"))
    for name, field in Settings.model_fields.items():
        if values.get(name.upper()):
            default = field.default
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            default = str(default).removesuffix(".0")
            assert values[name.upper()].lower() == default.lower()


async def test_the_key_is_kept_beside_the_database(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    async with process(tmp_path, DATABASE_URL=f"sqlite:///{elsewhere}/chat.db"):
        pass
    assert (elsewhere / KEY_FILE.name).exists()
    assert not (tmp_path / KEY_FILE).exists()


async def test_a_key_without_a_model_is_said_to_be_of_no_use(tmp_path: Path) -> None:
    async with process(tmp_path, OPENAI_API_KEY="sk-secret") as server, server.http() as http:
        await server.says("OPENAI_MODEL is empty")
        assert (await http.get("/api/models")).json()["default"] == "simulated"
    assert "sk-secret" not in server.log


async def test_each_model_is_listed_once(tmp_path: Path) -> None:
    environment = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_MODEL": " simulated "}
    async with process(tmp_path, **environment) as server, server.http() as http:
        models = (await http.get("/api/models")).json()["models"]
    assert [(model["model_name"], model["provider"]) for model in models] == [
        ("simulated", "openai"),
        ("simulated-long", "simulated"),
    ]
