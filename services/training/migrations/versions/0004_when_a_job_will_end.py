"""When a job is expected to end."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("expected_at", sa.DateTime, nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "expected_at")
