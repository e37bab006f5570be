"""Of models what grows with their users, in a table of its own; what was measured is measured again."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

MOVED = ("users", "evaluation", "curve")
GROWING = ("users", "confusion", "det", "open_set")

MODELS = sa.table(
    "models",
    sa.column("number", sa.Integer),
    *(sa.column(name, sa.JSON) for name in (*MOVED, "figures")),
    sa.column("user_count", sa.Integer),
)
DETAILS = sa.table("model_details", sa.column("number", sa.Integer), *(sa.column(name, sa.JSON) for name in MOVED))


def upgrade() -> None:
    op.create_table(
        "model_details",
        sa.Column("number", sa.Integer, sa.ForeignKey("models.number", ondelete="CASCADE"), primary_key=True),
        *(sa.Column(name, sa.JSON, nullable=False) for name in MOVED),
    )
    op.add_column("models", sa.Column("user_count", sa.Integer, nullable=False, server_default="0"))
    op.add_column("models", sa.Column("figures", sa.JSON, nullable=False, server_default="{}"))
    connection = op.get_bind()
    for number in connection.scalars(sa.select(MODELS.c.number)).all():
        query = sa.select(*(MODELS.c[name] for name in MOVED)).where(MODELS.c.number == number)
        users, evaluation, curve = connection.execute(query).one()
        evaluation |= {"confusion": sparse(evaluation.get("confusion", []), len(users))}
        row = {"number": number, "users": users, "evaluation": evaluation, "curve": curve}
        connection.execute(sa.insert(DETAILS).values(row))
        figures = {name: value for name, value in evaluation.items() if name not in GROWING}
        changes = {"figures": figures, "user_count": len(users)}
        connection.execute(sa.update(MODELS).where(MODELS.c.number == number).values(changes))
    for name in MOVED:
        op.drop_column("models", name)
    op.drop_table("evaluations")
    create_evaluations(
        sa.Column("figures", sa.JSON, nullable=False), sa.Column("seen_attempts", sa.Integer, nullable=False)
    )


def downgrade() -> None:
    for name, empty in (("users", "[]"), ("evaluation", "{}"), ("curve", "[]")):
        op.add_column("models", sa.Column(name, sa.JSON, nullable=False, server_default=empty))
    connection = op.get_bind()
    for number, users, evaluation, curve in connection.execute(sa.select(DETAILS)).all():
        evaluation |= {"confusion": dense(evaluation["confusion"], len(users))}
        changes = {"users": users, "evaluation": evaluation, "curve": curve}
        connection.execute(sa.update(MODELS).where(MODELS.c.number == number).values(changes))
    op.drop_column("models", "figures")
    op.drop_column("models", "user_count")
    op.drop_table("model_details")
    op.drop_table("evaluations")
    create_evaluations(sa.Column("evaluation", sa.JSON, nullable=False))


def create_evaluations(*columns: sa.Column[Any]) -> None:
    op.create_table(
        "evaluations",
        sa.Column("model_digest", sa.String(64), primary_key=True),
        sa.Column("holdout_digest", sa.String(64), primary_key=True),
        sa.Column("correct", sa.LargeBinary, nullable=False),
        *columns,
    )


def sparse(cells: list[int], users: int) -> dict[str, list[int]]:
    places = [place for place, count in enumerate(cells) if count]
    return {
        "actual": [place // users for place in places],
        "predicted": [place % users for place in places],
        "count": [cells[place] for place in places],
    }


def dense(found: dict[str, list[int]], users: int) -> list[int]:
    cells = [0] * users**2
    for actual, predicted, count in zip(*(found[name] for name in ("actual", "predicted", "count")), strict=True):
        cells[actual * users + predicted] = count
    return cells
