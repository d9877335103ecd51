"""spending: the tokens that a user's answers took in a day"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("day", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_spending"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_spending_user_id"),
    )


def downgrade() -> None:
    op.drop_table("spending")
