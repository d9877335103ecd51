"""users' model configurations"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "user_apis",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("model_name", sa.String(length=200), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("provider", sa.String(length=50), nullable=False),
        sa.Column("key_hint", sa.String(length=4), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_apis_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_apis")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_user_apis_user_id_name")),
        sqlite_autoincrement=True,
    )
    op.add_column(
        "generations",
        sa.Column("api_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    )
    with op.batch_alter_table("user_apis", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_user_apis_user_id_id"), ["user_id", "id"], unique=False
        )


def downgrade() -> None:
    op.drop_column("generations", "api_id")
    with op.batch_alter_table("user_apis", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_apis_user_id_id"))

    op.drop_table("user_apis")
