"""Datasets, their documents, and the sources of those that are listed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("source_url", sa.String, nullable=False),
        sa.Column("phrase", sa.String, nullable=False),
        sa.Column("min_attempts", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("same_as", sa.String(32)),
        sa.Column("base", sa.String(32)),
        sa.Column("current_document", sa.String, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("error_reason", sa.String, nullable=False),
        sa.Column("error_field", sa.String, nullable=False),
        sa.Column("error_message", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.UniqueConstraint("url", "phrase", "min_attempts", "generation"),
    )
    op.create_table(
        "sources",
        sa.Column("dataset_number", sa.Integer, sa.ForeignKey("datasets.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("url", sa.String, nullable=False),
    )
    op.create_table(
        "documents",
        sa.Column("dataset_number", sa.Integer, sa.ForeignKey("datasets.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("next_url", sa.String),
        sa.Column("user", sa.String),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("downloaded_bytes", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("keystrokes", sa.Integer, nullable=False),
        sa.Column("valid_attempts", sa.Integer, nullable=False),
        sa.Column("released_attempts", sa.Integer, nullable=False),
        sa.Column("invalid", sa.JSON, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("duplicate_attempts", sa.Integer, nullable=False),
        sa.Column("enrolled", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    for name in ("documents", "sources", "datasets"):
        op.drop_table(name)
