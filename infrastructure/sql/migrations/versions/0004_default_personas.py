"""the persona that a user has made the default"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("default_persona", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "default_persona")
