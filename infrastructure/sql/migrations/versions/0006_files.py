"""uploaded files"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "uploaded_files",
        sa.Column("id", _Id, nullable=False),
        sa.Column("user_id", _Id, nullable=False),
        sa.Column("session_id", sa.String(50), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("flaw", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_uploaded_files_user_id"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["chat_sessions.id"], name="fk_uploaded_files_session_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_uploaded_files"),
        sa.UniqueConstraint("key", name="uq_uploaded_files_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_uploaded_files_session_id_id", "uploaded_files", ["session_id", "id"])
    op.create_index("ix_uploaded_files_user_id", "uploaded_files", ["user_id"])
    op.create_table(
        "stray_contents",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_stray_contents"),
    )
    op.create_index("ix_stray_contents_due_at", "stray_contents", ["due_at"])
    op.add_column("chat_messages", sa.Column("file_ids", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("chat_messages", "file_ids")
    op.drop_table("stray_contents")
    op.drop_table("uploaded_files")
