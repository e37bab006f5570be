"""One kind of threshold for each model, and the figures of impostors by claim and by attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MODELS = sa.table(
    "models", sa.column("number", sa.Integer), sa.column("thresholds", sa.JSON), sa.column("evaluation", sa.JSON)
)


def upgrade() -> None:
    connection = op.get_bind()
    for number, thresholds, evaluation in connection.execute(sa.select(MODELS)).all():
        # Its impostors were counted by attempt alone, at another threshold.
        changes = {
            "thresholds": thresholds.get("verification", thresholds),
            "evaluation": {**evaluation, "open_set": None},
        }
        connection.execute(sa.update(MODELS).where(MODELS.c.number == number).values(changes))


def downgrade() -> None:
    connection = op.get_bind()
    for number, thresholds, _ in connection.execute(sa.select(MODELS)).all():
        changes = {"thresholds": {"verification": thresholds, "identification": thresholds}}
        connection.execute(sa.update(MODELS).where(MODELS.c.number == number).values(changes))
