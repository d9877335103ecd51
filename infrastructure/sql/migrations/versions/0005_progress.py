"""what a running answer has said while its events can't be stored"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generations", sa.Column("progress_seq", sa.BigInteger(), nullable=True))
    op.add_column("generations", sa.Column("progress_text", sa.Text(), nullable=True))
    op.add_column("generations", sa.Column("progress_reasoning", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("generations", "progress_reasoning")
    op.drop_column("generations", "progress_text")
    op.drop_column("generations", "progress_seq")
