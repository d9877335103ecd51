"""how much a user waits for is counted in few reads"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not a part of the rows, as with the indexes of what is active: SQLite would take it for those.
    op.create_index("ix_generations_user_status", "generations", ["user_id", "status"])


def downgrade() -> None:
    op.drop_index("ix_generations_user_status", "generations")
