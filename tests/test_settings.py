"""What the environment may say. That the process ends then, and with what, is told by
`end_to_end/test_start.py`."""

from pathlib import Path

import pytest

import main
from settings import Settings


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
        ("UPLOAD_FILE_BYTES", "0"),
        ("UPLOAD_USER_BYTES", "much"),
        ("RETENTION_DAYS", "-1"),
        ("RETENTION_DAYS", "0.5"),
        ("SECRET_KEY", "secret"),
        ("SECRET_KEY", "secret secret secret secret sec"),
        ("ACCESS_TOKEN_SECONDS", "0"),
        ("ACCESS_CHECK_SECONDS", "0"),
    ],
)
def test_a_bad_variable_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no `.env`
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, value)
    monkeypatch.setitem(main.COMMANDS, "dev", accepted)
    assert main.main([]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"llm-chat: {variable}: ")
    assert "secret" not in said[0]
