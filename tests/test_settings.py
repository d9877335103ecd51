"""What the environment may say. That the process ends then, and with what, is told by
`end_to_end/test_start.py`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

import main
from settings import Settings, read_settings


def alone(folder: Path, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    monkeypatch.chdir(folder)  # where there is no `.env`
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


async def accepted(_: Settings) -> None:
    raise AssertionError("it was accepted")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "70000"),
        ("LEASE_SECONDS", "-1"),
        ("LEASE_SECONDS", "nan"),
        ("WORKER_CONCURRENCY", "0"),
        ("SIMULATED_DELAY", "soon"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("AUTH_MODE", "maybe"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite:///chat.db?mode=ro"),
        ("DATABASE_URL", "mysql://localhost/chat"),
        ("DATABASE_URL", "secret"),
        ("DATABASE_URL", "postgresql+psycopg://ada:secret@localhost/chat"),
        ("DATABASE_URL", "postgres://ada:secret@localhost"),
        ("DATABASE_URL", "postgres://ada:secret@localhost:secret/chat"),
        ("DATABASE_URL", "postgres://ada:secret@[::1/chat"),
        ("DATABASE_URL", "postgres://ada:1/secret@localhost/chat"),
        ("DATABASE_URL", "postgres://ada:1?secret@localhost/chat"),
        ("DATABASE_URL", "postgres://ada:1/chat?a=secret@localhost/chat"),
        ("DATABASE_URL", "postgres://localhost/chat?secret"),
        ("DATABASE_URL", "postgres://ada:1/chat#secret@localhost/chat"),
        ("DATABASE_URL", "postgres://ada:a@secret@localhost/chat"),
        ("REDIS_URL", "http://:secret@localhost"),
        ("REDIS_URL", "redis://:se/cret@localhost"),
        ("OPENAI_MODEL", "gpt-9"),
        ("OPENAI_MODEL", "x" * 201),
        ("OPENAI_API_KEY", "secret key"),
        ("OPENAI_BASE_URL", "ftp://secret.example.com"),
        ("OPENAI_BASE_URL", "http://ada:secret@localhost/v1"),
        ("OPENAI_STREAM", "sometimes"),
        ("CONTEXT_TOKENS", "0"),
        ("UPSTREAM_PRIVATE", "perhaps"),
        ("UPSTREAM_ALLOWLIST", "http://secret.example.com/v1"),
        ("UPSTREAM_ALLOWLIST", "localhost,10.0.0.0/8"),
        ("UPSTREAM_ALLOWLIST", "localhost:"),
        ("UPSTREAM_GAP_SECONDS", "0"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "https://app.example.com,*"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "secret.example.com"),
        ("ALLOWED_ORIGINS", "https://app.example.com/"),
        ("ALLOWED_ORIGINS", "https://app.example.com/secret"),
        ("ALLOWED_ORIGINS", "https://app.example.com https://secret.example.com"),
        ("ALLOWED_ORIGINS", "https://*.secret.example.com"),
        ("ALLOWED_ORIGINS", "https://ada:secret@app.example.com"),
        ("ALLOWED_ORIGINS", "https://app.example.com:0"),
        ("ALLOWED_ORIGINS", "https://app.example.com:port"),
        ("ALLOWED_ORIGINS", "https://bücher.example"),
        ("ALLOWED_ORIGINS", "http://[::secret]"),
        ("ALLOWED_ORIGINS", "http://[1::2::3]"),
        ("ALLOWED_ORIGINS", "ws://app.example.com"),
        ("ALLOWED_ORIGINS", "https://"),
        ("TRUSTED_PROXIES", "secret"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("UPLOAD_FILE_BYTES", "0"),
        ("UPLOAD_USER_BYTES", "much"),
        ("RETENTION_DAYS", "-1"),
        ("RETENTION_DAYS", "0.5"),
        ("SECRET_KEY", "secret"),
        ("SECRET_KEY", "secret secret secret secret sec"),
        ("ACCESS_TOKEN_SECONDS", "0"),
        ("ACCESS_CHECK_SECONDS", "0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "secret.example.com:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://secret.example.com:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ada:secret@[::1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:secret"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/?key=secret"),
        ("METRICS_PORT", "-1"),
        ("METRICS_PORT", "70000"),
        ("METRICS_PORT", "http"),
    ],
)
def test_a_bad_variable_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
) -> None:
    alone(tmp_path, monkeypatch, {variable: value})
    monkeypatch.setitem(main.COMMANDS, "dev", accepted)
    assert main.main([]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"llm-chat: {variable}: ")
    assert "secret" not in said[0]


@pytest.mark.parametrize(
    ("said", "terminal", "as_json"),
    [
        ("", True, False),
        ("", False, True),
        ("json", True, True),
        ("json", False, True),
        ("console", True, False),
        ("console", False, False),
    ],
)
def test_the_log_is_json_unless_somebody_watches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, terminal: bool, as_json: bool
) -> None:
    alone(tmp_path, monkeypatch, {"LOG_FORMAT": said})
    assert read_settings().writes_json(terminal=terminal) is as_json


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("", set()),
        (" , ", set()),
        ("https://app.example.com", {"https://app.example.com"}),
        (
            " https://App.Example.com:443 ,http://localhost:5173,",
            {"https://app.example.com", "http://localhost:5173"},
        ),
        ("http://my_host:080", {"http://my_host"}),
        ("http://[0:0::1]:5173", {"http://[::1]:5173"}),
    ],
)
def test_origins_are_meant_as_browsers_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, meant: set[str]
) -> None:
    alone(tmp_path, monkeypatch, {"ALLOWED_ORIGINS": said})
    assert read_settings().pages_origins == meant


@pytest.mark.parametrize(
    "environment", [{"AUTH_MODE": "required"}, {"HOST": "0.0.0.0"}], ids=["said", "by address"]
)
def test_any_page_may_be_allowed_where_who_asks_must_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    alone(tmp_path, monkeypatch, {"ALLOWED_ORIGINS": "*", **environment})
    assert read_settings().pages_origins == {"*"}


@pytest.mark.parametrize(
    ("host", "auth_mode", "name"),
    [
        ("", "", "127.0.0.1"),
        ("localhost", "open", "localhost"),
        ("::1", "", "::1"),
        ("127.0.0.1", "required", None),
        ("0.0.0.0", "open", None),
        ("192.168.1.5", "open", None),
        ("0.0.0.0", "", None),
    ],
)
def test_only_an_open_server_on_a_loopback_address_is_asked_by_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, auth_mode: str, name: str | None
) -> None:
    alone(tmp_path, monkeypatch, {"HOST": host, "AUTH_MODE": auth_mode})
    assert read_settings().only_name == name


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({}, 0),
        ({"AUTH_MODE": "required"}, 200),
        ({"AUTH_MODE": "required", "ANSWERS_PER_USER": "0"}, 0),
        ({"ANSWERS_PER_USER": "7"}, 7),
    ],
)
def test_where_people_must_sign_in_each_has_so_many_answers_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], most: int
) -> None:
    alone(tmp_path, monkeypatch, given)
    settings = read_settings()
    assert settings.most_answers_per_user == most
    assert settings.most_streams_per_user == (500 if "AUTH_MODE" in given else 0)
    assert settings.most_requests_per_user == (6_000 if "AUTH_MODE" in given else 0)
    assert settings.most_requests_per_token == (4_800 if "AUTH_MODE" in given else 0)
    assert settings.most_requests_per_address == (3_000 if "AUTH_MODE" in given else 0)
