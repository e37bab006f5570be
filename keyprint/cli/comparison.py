"""Models side by side, as a table."""

from __future__ import annotations

from rich.table import Table

from keyprint.cli.console import add_row, enum_name, output
from keyprint.v1 import training_pb2


def print_comparison(comparison: training_pb2.Comparison) -> None:
    """Prints every model's figures on one hold-out, best first, and why some have none."""
    split = enum_name(comparison, "split").lower()
    table = Table(
        title=f"On the {split} {comparison.holdout:.0%} of {comparison.dataset}: {comparison.attempts:,} attempts",
        title_justify="left",
    )
    for name in ("model", "learner"):
        table.add_column(name, no_wrap=True)
    for name in ("accuracy", "95 % interval", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    table.add_column("note")
    for row in comparison.rows:
        figures = _figures(row.evaluation) if row.HasField("evaluation") else [""] * 5
        add_row(table, f"{row.name}@{row.version}", row.learner, *figures, _note(row))
    output().print(table)


def _figures(found: training_pb2.Evaluation) -> list[str]:
    interval = f"{found.accuracy_low:.1%} - {found.accuracy_high:.1%}"
    means = (found.macro_precision, found.macro_recall, found.macro_f1)
    return [f"{found.accuracy:.1%}", interval, *(f"{mean:.1%}" for mean in means)]


def _note(row: training_pb2.ComparisonRow) -> str:
    if row.HasField("error"):
        return row.error.reason
    return f"saw {row.seen_attempts:,} of these in training" if row.seen_attempts else ""
