"""Makes what the processes of the stack must know of one another, at its first start.

A folder a reader, each a volume that is shown to nobody else. What is there stays as it is, but for
the URLs, which only say again what the passwords are."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from infrastructure.key_file import make_key_file, read_secret_file

SECRETS: Final = Path("/secrets")


def make_secrets(secrets: Path) -> None:
    app, postgres, redis = (secrets / name for name in ("app", "postgres", "redis"))
    for name in ("secret_key", "encryption_keys"):
        make_key_file(app / name)
    password = password_in(postgres / "password")
    write(app / "database_url", f"postgresql://llm_chat:{quoted(password)}@postgres/llm_chat")
    password = password_in(redis / "password")
    write(app / "redis_url", f"redis://:{quoted(password)}@redis:6379/0")
    # Not on its command line, which all users of the host can see.
    write(redis / "redis.conf", f'requirepass "{password}"')
    # Their readers run as users whose numbers only their images know; nobody else sees the folders.
    for path in (postgres / "password", redis / "password", redis / "redis.conf"):
        path.chmod(0o444)


def password_in(file: Path) -> str:
    make_key_file(file)
    password = read_secret_file(file)
    assert password is not None
    return password.reveal()


def quoted(password: str) -> str:
    return quote(password, safe="")


def write(file: Path, text: str) -> None:
    """Whole or not at all, for this user only."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.touch(0o600)
    fresh.write_text(f"{text}\n")
    fresh.replace(file)


if __name__ == "__main__":
    make_secrets(SECRETS)
