"""Of models: their thresholds and temperature, the share of impostors, and their files."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # A model that is there already says all of it in its package, which its row was made from.
    op.add_column("models", sa.Column("impostors", sa.Float, nullable=False, server_default="0"))
    op.add_column("models", sa.Column("temperature", sa.Float, nullable=False, server_default="1"))
    op.add_column("models", sa.Column("thresholds", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("models", sa.Column("files", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    for name in ("impostors", "temperature", "thresholds", "files"):
        op.drop_column("models", name)
