"""What the environment says. Read once; nothing else looks into the environment."""

import re
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from domain.base_url import clean_base_url
from interface.client_address import Network, read_networks
from interface.origins import ANY_ORIGIN, clean_origin

DEFAULT_OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_ANSWERS_PER_USER: Final = 200
DEFAULT_STREAMS_PER_USER: Final = 500
DEFAULT_REQUESTS_PER_USER: Final = 6_000
DEFAULT_REQUESTS_PER_TOKEN: Final = 4_800
DEFAULT_REQUESTS_PER_ADDRESS: Final = 3_000
"""Of those that no user stands for."""
MIN_SECRET_KEY_CHARACTERS: Final = 32
SECRETS_FOLDER: Final = Path("/run/secrets")
"""Where containers are given what should not be in their environment: a file a setting."""

_BRACKETS: Final = {ord("["): None, ord("]"): None}
_HOST: Final = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_KEY: Final = re.compile(r"[!-~]*", re.ASCII)
_SQLITE: Final = ("sqlite:///", "sqlite+aiosqlite:///")
_POSTGRES: Final = ("postgresql://", "postgres://", "postgresql+asyncpg://")

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


def _proxies(text: str) -> str:
    try:
        read_networks(text)
    except ValueError:
        raise ValueError("must be addresses or networks with commas between") from None
    return text


class BadSettings(Exception):
    """The start can't go on; the sentence says which variable is wrong and why."""


class AuthMode(StrEnum):
    OPEN = "open"
    REQUIRED = "required"


class PrivateHosts(StrEnum):
    """Whether users' model configurations may reach hosts that are not in the public internet."""

    ALLOWED = "allowed"
    REFUSED = "refused"


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"
    """For people."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_file=".env", env_ignore_empty=True
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    database_url: SecretStr = SecretStr("sqlite:///data/llm-chat.db")
    redis_url: SecretStr = SecretStr("")
    auth_mode: AuthMode | None = None
    secret_key: SecretStr = SecretStr("")
    access_token_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    access_check_seconds: Seconds = 60.0
    encryption_keys: SecretStr = SecretStr("")
    openai_api_key: SecretStr = SecretStr("")
    openai_base_url: str = ""
    openai_model: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    openai_stream: bool = True
    upstream_private: PrivateHosts | None = None
    upstream_allowlist: str = ""
    allowed_origins: str = ""
    trusted_proxies: Annotated[str, AfterValidator(_proxies)] = ""
    upstream_connect_seconds: Seconds = 5.0
    upstream_first_event_seconds: Seconds = 60.0
    upstream_gap_seconds: Seconds = 30.0
    upstream_total_seconds: Seconds = 600.0
    personas_file: Path = Path("style.yaml")
    worker_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 200
    context_messages: Annotated[int, Field(ge=1, le=1_000)] = 20
    context_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 16_000
    sync_timeout: Seconds = 300.0
    lease_seconds: Seconds = 6.0
    sweep_seconds: Seconds = 2.0
    watchdog_seconds: Seconds = 5.0
    shutdown_grace: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 10.0
    log_in_failures: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    registrations: Annotated[int, Field(ge=0, le=1_000_000)] = 300
    requests_per_user: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    requests_per_token: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    requests_per_address: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    answers_per_user: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    streams_per_user: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    tokens_per_day: Annotated[int, Field(ge=0, le=10**15)] = 0
    queue_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 20_000
    simulated_delay: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.2
    simulated_chunks: Annotated[int, Field(ge=1, le=1_000_000)] = 400
    upload_dir: Path | None = None
    upload_file_bytes: Annotated[int, Field(ge=1, le=2**30)] = 10 * 1024 * 1024
    upload_session_files: Annotated[int, Field(ge=0, le=10_000)] = 20
    upload_user_bytes: Annotated[int, Field(ge=0, le=2**50)] = 1024 * 1024 * 1024
    retention_days: Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)] = 0.0
    heartbeat_file: Path | None = None
    otel_exporter_otlp_endpoint: SecretStr = SecretStr("")
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: LogFormat | None = None

    @property
    def sqlite_path(self) -> Path | None:
        path = _after(_SQLITE, self.database_url)
        return None if path is None else Path(path)

    @property
    def postgres_url(self) -> SecretStr | None:
        rest = _after(_POSTGRES, self.database_url)
        return None if rest is None else SecretStr(_POSTGRES[0] + rest)

    @property
    def data_folder(self) -> Path:
        """For what is kept in files: beside the database, if that is one."""
        return self.sqlite_path.parent if self.sqlite_path else Path("data")

    @property
    def upload_folder(self) -> Path:
        return self.upload_dir or self.data_folder / "uploads"

    @property
    def sign_in_required(self) -> bool:
        """Unless told otherwise, where others than this machine's users can come in."""
        if self.auth_mode is not None:
            return self.auth_mode is AuthMode.REQUIRED
        return not _is_loopback(self.host)

    @property
    def most_answers_per_user(self) -> int:
        return self._limit(self.answers_per_user, DEFAULT_ANSWERS_PER_USER)

    @property
    def most_streams_per_user(self) -> int:
        return self._limit(self.streams_per_user, DEFAULT_STREAMS_PER_USER)

    @property
    def most_requests_per_user(self) -> int:
        return self._limit(self.requests_per_user, DEFAULT_REQUESTS_PER_USER)

    @property
    def most_requests_per_token(self) -> int:
        return self._limit(self.requests_per_token, DEFAULT_REQUESTS_PER_TOKEN)

    @property
    def most_requests_per_address(self) -> int:
        return self._limit(self.requests_per_address, DEFAULT_REQUESTS_PER_ADDRESS)

    def _limit(self, said: int | None, default: int) -> int:
        """Where nobody must sign in, all are the one user that the operator is."""
        if said is not None:
            return said
        return default if self.sign_in_required else 0

    def writes_json(self, *, terminal: bool) -> bool:
        """Into the log: unless told otherwise, where nobody reads it as it comes."""
        if self.log_format is not None:
            return self.log_format is LogFormat.JSON
        return not terminal

    @property
    def pages_origins(self) -> frozenset[str]:
        """Of the pages that may use the server beside its own."""
        said = (origin.strip() for origin in self.allowed_origins.split(","))
        return frozenset(
            origin if origin == ANY_ORIGIN else clean_origin(origin) for origin in said if origin
        )

    @property
    def proxies(self) -> tuple[Network, ...]:
        """That are believed when they say from where a request comes."""
        return read_networks(self.trusted_proxies)

    @property
    def only_name(self) -> str | None:
        """What it is called where this machine's users need no account: a browser there can be made
        to come by any name that points to this machine. None: what it is called is the network's
        business."""
        guarded = _is_loopback(self.host) and not self.sign_in_required
        return self.host if guarded else None

    @property
    def users_may_reach_private_hosts(self) -> bool:
        """By default where the user is the operator: in open mode."""
        if self.upstream_private is not None:
            return self.upstream_private is PrivateHosts.ALLOWED
        return not self.sign_in_required

    @property
    def upstream_allowed_hosts(self) -> frozenset[str]:
        return frozenset(host.translate(_BRACKETS) for host in self._upstream_allowlist)

    @property
    def _upstream_allowlist(self) -> Sequence[str]:
        hosts = (host.strip().lower() for host in self.upstream_allowlist.split(","))
        return [host for host in hosts if host]


def read_settings(**overrides: object) -> Settings:
    """What is given by hand goes first, then the environment, `.env`, and the files of
    SECRETS_FOLDER. Raises BadSettings."""
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        if SECRETS_FOLDER.is_dir():
            given["_secrets_dir"] = SECRETS_FOLDER
        settings = Settings(**given)
    except (OSError, UnicodeError) as error:
        raise BadSettings(f".env can't be read: {error}") from None
    except SettingsError as error:
        cause = error.__cause__
        why = cause.strerror if isinstance(cause, OSError) else "it is no text"
        raise BadSettings(f"a file in {SECRETS_FOLDER} can't be read: {why}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadSettings(f"{str(first['loc'][0]).upper()}: {first['msg']}") from None
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    _check_database(settings)
    _check_redis(settings)
    if 0 < len(settings.secret_key.get_secret_value()) < MIN_SECRET_KEY_CHARACTERS:
        raise BadSettings(f"SECRET_KEY: must be at least {MIN_SECRET_KEY_CHARACTERS} characters")
    if 0 < settings.retention_days < 1:
        raise BadSettings("RETENTION_DAYS: must be 0, for never, or at least 1")
    _check_own_model(settings)
    _check_origins(settings)
    _check_collector(settings.otel_exporter_otlp_endpoint.get_secret_value())


def _check_database(settings: Settings) -> None:
    if settings.postgres_url:
        _check_postgres(settings.postgres_url.get_secret_value())
    elif settings.sqlite_path is None:
        raise BadSettings("DATABASE_URL: must begin with sqlite:/// or postgresql://")
    elif not settings.sqlite_path.name or set(settings.sqlite_path.name) & set(":?"):
        raise BadSettings("DATABASE_URL: sqlite:/// must be followed by the name of a file")


def _check_redis(settings: Settings) -> None:
    url = settings.redis_url.get_secret_value()
    if not url:
        return
    from infrastructure.redis.client import check_redis_url  # takes its time to load

    try:
        check_redis_url(url)
    except ValueError as error:
        raise BadSettings(f"REDIS_URL: {error}") from None


def _check_postgres(url: str) -> None:
    """What a slip makes of it: the driver would look for another server than was meant."""
    try:
        parts = urlsplit(url)
        parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:  # it may quote the password
        raise BadSettings("DATABASE_URL: is no URL") from None
    hosts = parts.netloc.rpartition("@")[2].split(",")
    ports = [host.rpartition("]")[2].partition(":")[2] or "0" for host in hosts]
    slipped = "@" in parts.path + parts.query + parts.fragment or parts.netloc.count("@") > 1
    if slipped or not all(port.isdecimal() for port in ports):
        raise BadSettings(
            "DATABASE_URL: must be postgresql://user:password@host:port/database; in a password"
            " / ? # @ : % are written %2F %3F %23 %40 %3A %25"
        )
    if not parts.path.strip("/"):
        raise BadSettings("DATABASE_URL: names no database: postgresql://…/<database>")


def _after(prefixes: Sequence[str], url: SecretStr) -> str | None:
    """What stands behind the first of these that the URL begins with."""
    text = url.get_secret_value()
    return next((text.removeprefix(each) for each in prefixes if text.startswith(each)), None)


def _check_own_model(settings: Settings) -> None:
    key, base_url = settings.openai_api_key.get_secret_value(), settings.openai_base_url
    if settings.openai_model and not (key or base_url):
        raise BadSettings("OPENAI_MODEL: needs OPENAI_API_KEY, OPENAI_BASE_URL or both beside it")
    for host in settings._upstream_allowlist:
        if not _HOST.fullmatch(host):
            raise BadSettings(
                "UPSTREAM_ALLOWLIST: must be hosts, each perhaps with a port, with commas between"
            )
    if not _KEY.fullmatch(key):
        raise BadSettings("OPENAI_API_KEY: must be visible ASCII characters")
    try:
        clean_base_url(base_url or DEFAULT_OPENAI_BASE_URL)
    except ValueError as error:
        raise BadSettings(f"OPENAI_BASE_URL: {error}") from None


def _check_origins(settings: Settings) -> None:
    try:
        origins = settings.pages_origins
    except ValueError:
        raise BadSettings(
            "ALLOWED_ORIGINS: must be origins like https://app.example.com or http://localhost:5173,"
            " without a path, with commas between"
        ) from None
    if ANY_ORIGIN in origins and not settings.sign_in_required:
        raise BadSettings("ALLOWED_ORIGINS: * needs AUTH_MODE=required")


def _check_collector(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # it may quote a password
        fits = False
    if url and (not fits or set(url) & set("?#")):
        raise BadSettings(
            "OTEL_EXPORTER_OTLP_ENDPOINT: must be an address like http://127.0.0.1:4318"
        )


def _is_loopback(host: str) -> bool:
    """A name that only begins like such an address is none."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
