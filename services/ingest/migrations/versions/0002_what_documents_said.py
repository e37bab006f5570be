"""What a document said of the next one, its size beside what was downloaded of it, names of sources, runs' starts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("refresh", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("datasets", sa.Column("started_at", sa.DateTime))
    op.add_column("sources", sa.Column("name", sa.String, nullable=False, server_default=""))
    # A resolved URL resolves to itself.
    op.alter_column("documents", "next_url", new_column_name="next")
    op.add_column("documents", sa.Column("final_url", sa.String, nullable=False, server_default=""))
    op.add_column("documents", sa.Column("size", sa.Integer, nullable=False, server_default="0"))
    op.execute("update documents set final_url = url, size = downloaded_bytes")


def downgrade() -> None:
    op.drop_column("documents", "size")
    op.drop_column("documents", "final_url")
    op.alter_column("documents", "next", new_column_name="next_url")
    op.drop_column("sources", "name")
    op.drop_column("datasets", "started_at")
    op.drop_column("datasets", "refresh")
