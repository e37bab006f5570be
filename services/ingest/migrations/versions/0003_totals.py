"""What the documents of a dataset come to, on its own row."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SUMS = ("attempts", "keystrokes", "valid_attempts", "released_attempts", "duplicate_attempts", "downloaded_bytes")
LARGE = ("keystrokes", "downloaded_bytes")
COUNTS = ("document_count", *SUMS, "enrolled_users", "fewest_trainable", "most_trainable")
BY_REASON = ("invalid", "warnings")


def upgrade() -> None:
    for name in COUNTS:
        kind = sa.BigInteger if name in LARGE else sa.Integer
        op.add_column("datasets", sa.Column(name, kind, nullable=False, server_default="0"))
    for name in BY_REASON:
        op.add_column("datasets", sa.Column(name, sa.JSON, nullable=False, server_default="{}"))
    op.add_column("datasets", sa.Column("labelled", sa.Boolean, nullable=False, server_default=sa.false()))
    connection = op.get_bind()
    datasets, documents = (
        sa.Table(name, sa.MetaData(), autoload_with=connection) for name in ("datasets", "documents")
    )
    # SQLite does not remember which of its texts are JSON, and others do.
    for table in (datasets, documents):
        for name in BY_REASON:
            table.c[name].type = sa.JSON()
    for number in connection.scalars(sa.select(datasets.c.number)).all():
        query = sa.select(documents).where(documents.c.dataset_number == number).order_by(documents.c.number)
        rows = connection.execute(query).all()
        if rows:
            connection.execute(sa.update(datasets).where(datasets.c.number == number).values(**_totals(rows)))


def _totals(rows: Sequence[Any]) -> dict[str, Any]:
    trainable = [row.valid_attempts - row.duplicate_attempts for row in rows if row.enrolled]
    by_reason: dict[str, Counter[str]] = {name: Counter() for name in BY_REASON}
    for name, counts in by_reason.items():
        for row in rows:
            counts.update(getattr(row, name))
    return {
        **{name: sum(getattr(row, name) for row in rows) for name in SUMS},
        **{name: dict(counts) for name, counts in by_reason.items()},
        "document_count": len(rows),
        "labelled": rows[0].user is not None,
        "enrolled_users": len(trainable),
        "fewest_trainable": min(trainable, default=0),
        "most_trainable": max(trainable, default=0),
    }


def downgrade() -> None:
    for name in (*COUNTS, *BY_REASON, "labelled"):
        op.drop_column("datasets", name)
