"""The tables. Times are milliseconds since 1970, UTC, by the database's own clock (`clock.py`)."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts up by itself only in a column of exactly this type.
_Id = BigInteger().with_variant(Integer, "sqlite")

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("username", String(50), nullable=False, unique=True),
    # Without one there is no way to log in.
    Column("password_hash", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("default_persona", Text),
    # Set by an operator. The name stays taken, so that nobody comes in the name of who was there.
    Column("deleted_at", BigInteger),
)

# A user's last day, counted from 1970, on which an answer ended that counts, and what those of that
# day took.
spending = Table(
    "spending",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("day", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", String(50), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("rotation", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index(None, "user_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("hint", String(4), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Index(None, "user_id", "id"),
    # A stream belongs to the id of its token, which must not become another token's.
    sqlite_autoincrement=True,
)

tickets = Table(
    "tickets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    # Whether these are still good is asked when the ticket is used.
    Column("sign_in_id", String(50)),
    Column("api_token_id", _Id),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
)

chat_sessions = Table(
    "chat_sessions",
    metadata,
    Column("id", String(50), primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("title", Text),
    Column("model_name", Text),
    Column("persona", Text),
    Column("system_prompt", Text),
    Column("message_count", Integer, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("end_fence", BigInteger, nullable=False),
    Column("end_seq", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    # Of those that were made for a call: how long they are kept without any activity.
    Column("kept_for", BigInteger),
    Index(
        "ix_chat_sessions_listed",
        "user_id",
        "updated_at",
        "id",
        sqlite_where=text("kept_for IS NULL"),
        postgresql_where=text("kept_for IS NULL"),
    ),
    Index(None, "updated_at"),
    Index(
        "ix_chat_sessions_expiry",
        text("(updated_at + kept_for)"),
        sqlite_where=text("kept_for IS NOT NULL"),
        postgresql_where=text("kept_for IS NOT NULL"),
    ),
)

generations = Table(
    "generations",
    metadata,
    Column("id", String(50), primary_key=True),
    Column("session_id", String(50), ForeignKey("chat_sessions.id"), nullable=False),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("message_id", _Id, ForeignKey("chat_messages.id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("model_name", Text, nullable=False),
    Column("api_id", _Id),
    Column("persona", Text),
    Column("attempt", Integer, nullable=False),
    Column("releases", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("cancel_requested", Boolean, nullable=False),
    Column("last_seq", BigInteger),
    Column("finish_reason", Text),
    Column("usage", JSON(none_as_null=True)),
    Column("failure", JSON(none_as_null=True)),
    Column("progress_seq", BigInteger),
    Column("progress_text", Text),
    Column("progress_reasoning", Text),
    Column("request_id", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    CheckConstraint(
        "status IN ('queued', 'running', 'completed', 'stopped', 'failed')", name="status"
    ),
    Index(None, "session_id", "number"),
    Index(None, "session_id", "fence"),
    Index(None, "message_id"),
    Index(
        "uq_generations_running",
        "session_id",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
    Index(
        "ix_generations_active",
        "created_at",
        sqlite_where=text("status IN ('queued', 'running')"),
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
    Index("ix_generations_user_status", "user_id", "status"),
    Index(
        "ix_generations_session_active",
        "session_id",
        "number",
        sqlite_where=text("status IN ('queued', 'running')"),
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)

chat_messages = Table(
    "chat_messages",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("session_id", String(50), ForeignKey("chat_sessions.id"), nullable=False),
    Column("generation_id", String(50)),
    Column("number", BigInteger, nullable=False),
    Column("role", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("status", String(16)),
    Column("finish_reason", Text),
    Column("usage", JSON(none_as_null=True)),
    # Those that the message names, in its order.
    Column("file_ids", JSON(none_as_null=True)),
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    CheckConstraint(
        "role IN ('system', 'user', 'assistant', 'function', 'tool', 'developer')", name="role"
    ),
    Index(None, "session_id", "number"),
    Index(
        "uq_chat_messages_answer",
        "generation_id",
        unique=True,
        sqlite_where=text("role = 'assistant'"),
        postgresql_where=text("role = 'assistant'"),
    ),
)

calls = Table(
    "calls",
    metadata,
    Column("session_id", String(50), ForeignKey("chat_sessions.id"), primary_key=True),
    Column("dialect", String(50), nullable=False),
    # JSON that only this program reads: the prompt as it was given, and what its dialect noted.
    Column("prompt", Text, nullable=False),
    Column("notes", Text, nullable=False),
)

uploaded_files = Table(
    "uploaded_files",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("session_id", String(50), ForeignKey("chat_sessions.id"), nullable=False),
    Column("key", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("media_type", String(100), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("flaw", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    # Last, so that whoever wants the rest of a row need not read through it. A deleted file's is
    # gone.
    Column("text", Text),
    Index(None, "session_id", "id"),
    Index(None, "user_id"),
    # Messages go on to name a file that is gone: its id must not become another file's.
    sqlite_autoincrement=True,
)

# Contents that belong to no file: of one that is on its way in, which has until then, or of one
# that was deleted. Usually there are none.
stray_contents = Table(
    "stray_contents",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Index(None, "due_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", _Id, ForeignKey("users.id"), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("session_id", String(50), nullable=False),
    Column("message_id", _Id, nullable=False),
    Column("generation_id", String(50), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "session_id"),
    Index(None, "created_at"),
)

user_apis = Table(
    "user_apis",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("model_name", String(200), nullable=False),
    Column("base_url", Text, nullable=False),
    Column("provider", String(50), nullable=False),
    Column("key_hint", String(4), nullable=False),
    Column("sealed_key", LargeBinary),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("user_id", "name"),
    # Each message without a model of its own asks for its user's first.
    Index(None, "user_id", "id"),
    # A key is sealed for the id of its row, so the id of a deleted row must not come back: SQLite
    # would give the highest one again.
    sqlite_autoincrement=True,
)


# Written out, not bound: the planner uses the partial indexes only if it sees these very words.
# Thanks to them the cost of a message does not grow with the history of its session.
_QUEUED: ColumnElement[str] = literal_column("'queued'")
_RUNNING: ColumnElement[str] = literal_column("'running'")
ASSISTANT: ColumnElement[str] = literal_column("'assistant'")


def is_running(table: FromClause) -> ColumnElement[bool]:
    return table.c.status == _RUNNING


def is_active(table: FromClause) -> ColumnElement[bool]:
    return table.c.status.in_((_QUEUED, _RUNNING))


def is_queued(table: FromClause) -> ColumnElement[bool]:
    return is_active(table) & (table.c.status == _QUEUED)
