"""Models side by side, as a table."""

from __future__ import annotations

from rich.table import Table

from keyprint.cli.console import add_row, enum_name, output, percent
from keyprint.v1 import training_pb2


def print_comparison(comparison: training_pb2.Comparison) -> None:
    """Prints every model's figures on one hold-out, best first, and why some have none."""
    split = enum_name(comparison, "split").lower()
    table = Table(
        title=f"On the {split} {percent(comparison.holdout)} of {comparison.dataset}: {comparison.attempts:,} attempts",
        title_justify="left",
    )
    for name in ("model", "learner"):
        table.add_column(name, no_wrap=True)
    for name in (
        "accuracy",
        "95 % interval",
        "precision",
        "recall",
        "F1",
        "EER",
        "set for",
        "FAR",
        "FRR",
        "UNKNOWN",
        "p",
    ):
        table.add_column(name, justify="right")
    table.add_column("note")
    for row in comparison.rows:
        figures = _figures(row.evaluation) if row.HasField("evaluation") else [""] * 10
        add_row(table, f"{row.name}@{row.version}", row.learner, *figures, _p_value(row), _note(row))
    table.caption = (
        "Set for: the share of strangers' claims to be one user that the model's threshold stands for, by estimate: "
        "1 % where its data can tell it. FAR, FRR: these users' false claims accepted and true ones rejected at that "
        "threshold. UNKNOWN: attempts of theirs for which nobody is named. p: McNemar's, of a difference from the "
        "first row this large by chance."
    )
    table.caption_justify = "left"
    output().print(table)


def _figures(found: training_pb2.Evaluation) -> list[str]:
    interval = f"{found.accuracy_low:.1%} - {found.accuracy_high:.1%}"
    means = (found.macro_precision, found.macro_recall, found.macro_f1)
    errors = (found.false_accept_rate, found.false_reject_rate, found.unknown_rate)
    return [
        f"{found.accuracy:.1%}",
        interval,
        *(f"{share:.1%}" for share in (*means, found.equal_error_rate)),
        f"{found.stated_false_accept_rate:.2%}",
        *(f"{share:.1%}" for share in errors),
    ]


def _p_value(row: training_pb2.ComparisonRow) -> str:
    return f"{row.p_value:.2g}" if row.HasField("p_value") else ""


def _note(row: training_pb2.ComparisonRow) -> str:
    if row.HasField("error"):
        return row.error.reason
    return f"saw {row.seen_attempts:,} of these in training" if row.seen_attempts else ""
