"""What docker-compose.yml promises, as far as it can be read off; and the secrets' first start."""

import base64
import errno
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from starlette.applications import Starlette

from deploy.make_secrets import make_secrets
from settings import Settings

ROOT: Final = Path(__file__).parents[1]
FILE: Final = ROOT / "docker-compose.yml"
WATCHERS_FILE: Final = ROOT / "docker-compose.observability.yml"
TEXT: Final = FILE.read_text()
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(TEXT)
WATCHERS: Final[dict[str, Any]] = yaml.safe_load(WATCHERS_FILE.read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"] | WATCHERS["services"]
ONE_SHOTS: Final = {"secrets", "migrate"}
WATCHING: Final = {"prometheus", "grafana"}
"""Which are only there if they are asked for."""
OURS: Final = {name for name, service in SERVICES.items() if "build" in service}
MOST_FILES: Final = 20_000
"""Without a privilege an engine can't give more than it has itself."""

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def services(which: set[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", sorted(which))


def seconds(text: str) -> float:
    return float(re.fullmatch(r"(\d+)s", text)[1])  # type: ignore[index]


@pytest.mark.parametrize("file", [FILE, WATCHERS_FILE])
def test_it_is_a_compose_file(file: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_has_what_it_is_to_have() -> None:
    assert set(COMPOSE["services"]) == {"proxy", "web", "work", "redis", "postgres"} | ONE_SHOTS
    assert set(WATCHERS["services"]) == WATCHING
    assert WATCHERS["networks"].keys() <= COMPOSE["networks"].keys()
    assert {name for name in SERVICES if "profiles" in SERVICES[name]} == WATCHING
    assert all(SERVICES[name]["profiles"] == ["observability"] for name in WATCHING)
    assert {"web", "work"} | ONE_SHOTS == OURS
    assert SERVICES["web"]["deploy"]["replicas"] == SERVICES["work"]["deploy"]["replicas"] == 2
    # What has a name or a port of its own on the host can't be scaled.
    assert not any("container_name" in service for service in SERVICES.values())


def test_only_the_proxy_can_be_reached_and_only_from_this_machine() -> None:
    published = {name for name in SERVICES if "ports" in SERVICES[name]} - WATCHING
    assert published == {"proxy"}
    assert SERVICES["proxy"]["ports"] == ["${HTTP_ADDRESS:-127.0.0.1}:${HTTP_PORT:-8080}:8080"]
    assert COMPOSE["networks"]["back"]["internal"] is True
    for name in ("redis", "postgres", "migrate"):
        assert SERVICES[name]["networks"] == ["back"]
    assert SERVICES["proxy"]["networks"] == ["front"]
    assert set(SERVICES["web"]["networks"]) == {"front", "back", "watch"}
    assert set(SERVICES["work"]["networks"]) == {"back", "out", "watch"}
    assert SERVICES["secrets"]["network_mode"] == "none"


@services(WATCHING)
def test_who_watches_sees_metrics_alone_and_is_seen_from_this_machine_alone(name: str) -> None:
    """Nobody is asked who they are there, so no setting opens it to others."""
    assert SERVICES[name]["networks"] == ["watch"]
    (port,) = SERVICES[name]["ports"]
    assert re.fullmatch(rf"127\.0\.0\.1:\$\{{{name.upper()}_PORT:-\d+\}}:\d+", port)


def test_the_proxy_shows_nobody_what_is_measured() -> None:
    """It also says for whom it asks, and so it would be answered that there is nothing."""
    proxy = (ROOT / "deploy" / "haproxy.cfg").read_text()
    lines = [line.strip() for line in proxy.splitlines()]
    assert "http-request return status 404 if { path,url_dec -m beg /metrics }" in lines
    assert "http-request add-header X-Forwarded-For %[src]" in lines


@services(set(SERVICES) - ONE_SHOTS)
def test_what_goes_on_is_watched_and_started_again(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert seconds(check["interval"]) <= 5
    assert SERVICES[name]["restart"] == "unless-stopped"


@services(ONE_SHOTS)
def test_what_is_done_once_is_waited_for_and_not_repeated(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"
    for waiting in ("web", "work"):
        condition = SERVICES[waiting]["depends_on"][name]["condition"]
        assert condition == "service_completed_successfully"


@every_service
def test_a_container_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name != "postgres":  # begins as root, to become another user
        assert "cap_add" not in service
        assert name in OURS or service["user"] not in ("", "root", "0", 0)


@every_service
def test_logs_do_not_fill_the_disk(name: str) -> None:
    assert {"max-size", "max-file"} <= SERVICES[name]["logging"]["options"].keys()


@every_service
def test_no_more_files_are_asked_for_than_any_engine_has(name: str) -> None:
    for limit in SERVICES[name].get("ulimits", {}).values():
        assert isinstance(limit, int)
        assert limit <= MOST_FILES


def test_the_proxy_opens_no_more_files_than_it_may() -> None:
    proxy = (ROOT / "deploy" / "haproxy.cfg").read_text()
    most = re.search(r"^ +maxconn (\d+)", proxy, re.MULTILINE)
    assert most is not None
    assert 2 * int(most[1]) + 1_000 <= SERVICES["proxy"]["ulimits"]["nofile"]


def test_a_web_is_not_the_first_to_close_a_connection_that_waits() -> None:
    from interface.server import Server

    server = Server(Starlette(), begin_drain=lambda: None)
    proxy = (ROOT / "deploy" / "haproxy.cfg").read_text()
    kept = re.search(r"timeout http-keep-alive (\d+)s", proxy)
    assert kept is not None
    assert server.config.timeout_keep_alive > int(kept[1])


@services({"web", "work"})
def test_there_is_time_to_end_in_order(name: str) -> None:
    from interface.server import STREAM_END_SECONDS

    grace = Settings.model_fields["shutdown_grace"].default
    # A worker also gives back what it could not finish.
    assert seconds(SERVICES[name]["stop_grace_period"]) >= grace + STREAM_END_SECONDS + 10


@services(set(SERVICES) - OURS)
def test_images_of_others_are_of_one_major_version(name: str) -> None:
    assert re.fullmatch(r"([a-z]+/)?[a-z]+:v?\d+(\.\d+)*(-[a-z]+)?", SERVICES[name]["image"])


def test_our_image_is_not_run_by_root_and_holds_what_runs() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert not any(line.startswith("# syntax") for line in lines)
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert set(bases) == {"python:3.13-slim"}
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])
    assert any('--require-hashes -r "$REQUIREMENTS"' in line for line in lines)
    assert "ARG REQUIREMENTS=requirements.lock" in lines
    assert "COPY requirements.lock requirements-tracing.lock ./" in lines
    for name in OURS:
        given = SERVICES[name]["build"]["args"]
        assert given == {"REQUIREMENTS": "${REQUIREMENTS:-requirements.lock}"}
    pyproject = (ROOT / "pyproject.toml").read_text()
    contracts = re.search(r"^root_packages = (\[.*\])$", pyproject, re.MULTILINE)
    modules = re.search(r"^py-modules = (\[.*\])$", pyproject, re.MULTILINE)
    assert contracts is not None
    assert modules is not None
    runs = {*json.loads(contracts[1]), *(f"{name}.py" for name in json.loads(modules[1]))}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    shown = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[1] == "*"
    locks = {"requirements.lock", "requirements-tracing.lock"}
    assert shown == runs | locks | {"style.yaml", "deploy/make_secrets.py"}
    for name in shown:
        assert (ROOT / name).exists()


def test_there_is_no_secret_in_it() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("KEY|PASSWORD|SECRET|TOKEN|URL", variable):
                assert value == "" or (variable.endswith("_FILE") and value.startswith("/run/"))
        # On a command line all users of the host could see it.
        assert not re.search("pass|auth|secret(?!s/)", str(service.get("command", ""))), name
    assert not re.search(
        r"[A-Za-z0-9+/_-]{32,}", re.sub(r"#.*|service_completed_successfully", "", TEXT)
    )


def test_each_secret_is_seen_by_its_readers_alone() -> None:
    seen = {
        name: [mount for mount in map(str, service.get("volumes", ())) if "-secrets:" in mount]
        for name, service in SERVICES.items()
    }
    assert seen.pop("secrets") == [
        "app-secrets:/secrets/app",
        "postgres-secrets:/secrets/postgres",
        "redis-secrets:/secrets/redis",
    ]
    ours = ["app-secrets:/run/secrets:ro"]
    assert seen == {
        "proxy": [],
        "web": ours,
        "work": ours,
        "migrate": ours,
        "redis": ["redis-secrets:/run/secrets:ro"],
        "postgres": ["postgres-secrets:/run/secrets:ro"],
        **{name: [] for name in WATCHING},
    }


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for name in ("app", "postgres", "redis"):
        (tmp_path / name).mkdir()
    return tmp_path


def texts(secrets: Path) -> dict[str, str]:
    files = (path for path in secrets.rglob("*") if path.is_file())
    return {str(path.relative_to(secrets)): path.read_text().strip() for path in files}


def test_secrets_are_made_once_and_say_the_same_to_both_sides(secrets: Path) -> None:
    make_secrets(secrets)
    made = texts(secrets)
    make_secrets(secrets)
    assert texts(secrets) == made
    postgres, redis = (urlsplit(made[f"app/{name}_url"]) for name in ("database", "redis"))
    assert unquote(postgres.password or "") == made["postgres/password"]
    assert (postgres.hostname, postgres.username) == ("postgres", postgres.path[1:])
    assert postgres.username == SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    assert postgres.username == SERVICES["postgres"]["environment"]["POSTGRES_DB"]
    assert unquote(redis.password or "") == made["redis/password"]
    assert redis.hostname == "redis"
    assert made["redis/redis.conf"] == f'requirepass "{made["redis/password"]}"'
    random = [made[f"app/{name}"] for name in ("secret_key", "encryption_keys")]
    random += [made["postgres/password"], made["redis/password"]]
    assert len(set(random)) == 4
    assert all(len(text) >= 32 for text in random)
    for name in made:
        mode = stat.S_IMODE((secrets / name).stat().st_mode)
        assert mode == (0o600 if name.startswith("app/") else 0o444)


def test_a_password_may_have_what_divides_a_url(secrets: Path) -> None:
    password = base64.b64encode(b"\xff" * 31 + b"\xfb").decode()
    assert "/" in password
    for name in ("postgres", "redis"):
        (secrets / name / "password").write_text(f"{password}\n")
    make_secrets(secrets)
    for name in ("database", "redis"):
        url = urlsplit(texts(secrets)[f"app/{name}_url"])
        assert unquote(url.password or "") == password


def test_a_first_start_that_was_cut_short_is_finished_by_the_next(secrets: Path) -> None:
    make_secrets(secrets)
    made = texts(secrets)
    for name in ("app/database_url", "app/encryption_keys", "redis/redis.conf"):
        (secrets / name).unlink()
    (secrets / "app" / "database_url.new").write_text("postgresql://llm_")
    make_secrets(secrets)
    again = texts(secrets)
    assert again.keys() == made.keys()
    assert [name for name in made if again[name] != made[name]] == ["app/encryption_keys"]


def test_the_product_finds_what_was_made_and_what_it_is_told_goes_first(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from settings import read_settings

    monkeypatch.chdir(secrets)
    make_secrets(secrets)
    made = texts(secrets)
    monkeypatch.setattr("settings.SECRETS_FOLDER", secrets / "app")
    # As in docker-compose.yml: empty is as if it were not there.
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("SECRET_KEY", "what .env says, if it says something")
    settings = read_settings()
    assert settings.database_url.get_secret_value() == made["app/database_url"]
    assert settings.encryption_keys.get_secret_value() == made["app/encryption_keys"]
    assert settings.secret_key.get_secret_value() == "what .env says, if it says something"


@pytest.mark.parametrize(
    ("content", "why"), [(b"\xff secret", "it is no text"), (None, "Permission denied")]
)
def test_a_secret_that_can_not_be_read_is_a_clear_error(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, why: str
) -> None:
    from settings import BadSettings, read_settings

    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    folder = secrets / "app"
    monkeypatch.chdir(secrets)
    monkeypatch.setattr("settings.SECRETS_FOLDER", folder)
    (folder / "secret_key").write_bytes(content or b"secret")
    if content is None:  # whoever runs the tests may read everything
        monkeypatch.setattr(Path, "read_text", forbidden)
    with pytest.raises(BadSettings) as caught:
        read_settings()
    assert str(caught.value) == f"a file in {folder} can't be read: {why}"


def test_the_proxy_asks_no_question_twice() -> None:
    """A question is got at /chat/stream; all else that is got may be asked again."""
    proxy = (ROOT / "deploy" / "haproxy.cfg").read_text()
    once = re.findall(r"^ +http-request disable-l7-retry (.+)$", proxy, re.MULTILINE)
    assert once == ["unless METH_GET", "if { path,url_dec -m end /chat/stream }"]
