"""The share of impostors of a job, and where aliases pointed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("impostors", sa.Float, nullable=False, server_default="0"))
    op.create_table(
        "alias_moves",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(63), nullable=False, index=True),
        sa.Column("alias", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("moved_at", sa.DateTime, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("alias_moves")
    op.drop_column("jobs", "impostors")
