"""calls: conversations that are given whole, each in a session that is in no list"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LISTED = sa.text("kept_for IS NULL")
_KEPT_FOR_A_WHILE = sa.text("kept_for IS NOT NULL")


def upgrade() -> None:
    op.add_column("chat_sessions", sa.Column("kept_for", sa.BigInteger))
    op.drop_index("ix_chat_sessions_user_id_updated_at_id", "chat_sessions")
    op.create_index(
        "ix_chat_sessions_listed",
        "chat_sessions",
        ["user_id", "updated_at", "id"],
        sqlite_where=_LISTED,
        postgresql_where=_LISTED,
    )
    op.create_index(
        "ix_chat_sessions_expiry",
        "chat_sessions",
        [sa.text("(updated_at + kept_for)")],
        sqlite_where=_KEPT_FOR_A_WHILE,
        postgresql_where=_KEPT_FOR_A_WHILE,
    )
    op.create_table(
        "calls",
        sa.Column("session_id", sa.String(50), nullable=False),
        sa.Column("dialect", sa.String(50), nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_calls"),
        sa.ForeignKeyConstraint(["session_id"], ["chat_sessions.id"], name="fk_calls_session_id"),
    )


def downgrade() -> None:
    """What was called is lost, and its sessions with it."""
    op.drop_table("calls")
    op.drop_index("ix_chat_sessions_expiry", "chat_sessions")
    op.drop_index("ix_chat_sessions_listed", "chat_sessions")
    op.create_index(
        "ix_chat_sessions_user_id_updated_at_id", "chat_sessions", ["user_id", "updated_at", "id"]
    )
    op.drop_column("chat_sessions", "kept_for")
