"""what is old is found by its time"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_chat_sessions_updated_at", "chat_sessions", ["updated_at"])
    op.create_index("ix_idempotency_keys_session_id", "idempotency_keys", ["session_id"])
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_idempotency_keys_created_at", "idempotency_keys")
    op.drop_index("ix_idempotency_keys_session_id", "idempotency_keys")
    op.drop_index("ix_chat_sessions_updated_at", "chat_sessions")
