"""Jobs, models, their names and aliases, and evaluations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "names",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("last_version", sa.Integer, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("request_id", sa.String(128), unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("learner", sa.String, nullable=False),
        sa.Column("model", sa.String(63), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("holdout", sa.Float, nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("features", sa.String, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("curve", sa.JSON, nullable=False),
        sa.Column("error_reason", sa.String, nullable=False),
        sa.Column("error_field", sa.String, nullable=False),
        sa.Column("error_message", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
    )
    op.create_table(
        "models",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("learner", sa.String, nullable=False),
        sa.Column("features", sa.String, nullable=False),
        sa.Column("features_version", sa.Integer, nullable=False),
        sa.Column("release_times", sa.Boolean, nullable=False),
        sa.Column("phrase", sa.String, nullable=False),
        sa.Column("users", sa.JSON, nullable=False),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("holdout", sa.Float, nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("training_attempts", sa.Integer, nullable=False),
        sa.Column("fit_seconds", sa.Float, nullable=False),
        sa.Column("near_ties", sa.Integer, nullable=False),
        sa.Column("size_kib", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("libraries", sa.JSON, nullable=False),
        sa.Column("evaluation", sa.JSON, nullable=False),
        sa.Column("curve", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("name", "version"),
    )
    op.create_table(
        "aliases",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("alias", sa.String(63), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "evaluations",
        sa.Column("model_digest", sa.String(64), primary_key=True),
        sa.Column("holdout_digest", sa.String(64), primary_key=True),
        sa.Column("evaluation", sa.JSON, nullable=False),
        sa.Column("correct", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    for name in ("evaluations", "aliases", "models", "jobs", "names"):
        op.drop_table(name)
