"""One model, as tables."""

from __future__ import annotations

from rich.table import Table

from keyprint.cli.console import add_row, enum_name, moment, output, percent
from keyprint.v1 import training_pb2


def print_model(model: training_pb2.Model) -> None:
    """Prints what it learned from, how, how it did user by user, its thresholds and its files."""
    about = _facts({**_made(model), **_held_out(model), **_measured(model.evaluation), **_kept(model)})
    _print(about, _users(model.evaluation), _thresholds(model.decision), _files(model))


def print_evaluation(row: training_pb2.ComparisonRow) -> None:
    """Prints how one model does on a hold-out, also user by user."""
    about = {
        "model": f"{row.name}@{row.version}",
        "hold-out": f"{row.evaluation.attempts:,} attempts",
        "seen in training": f"{row.seen_attempts:,} of them" if row.seen_attempts else "",
    }
    _print(_facts(about | _measured(row.evaluation)), _users(row.evaluation))


def _facts(facts: dict[str, str]) -> Table:
    table = Table(show_header=False)
    for name, value in facts.items():
        if value:
            add_row(table, name, value)
    return table


def _print(*tables: Table) -> None:
    for table in tables:
        if table.row_count:
            output().print(table)


def _made(model: training_pb2.Model) -> dict[str, str]:
    features = f"{model.feature_set.name} {model.feature_set.version}"
    return {
        "model": f"{model.name}@{model.version}",
        "aliases": ", ".join(model.aliases),
        "published at": moment(model.created_at),
        "learner": model.learner,
        "parameters": _pairs({name: f"{value:g}" for name, value in model.params.items() if isinstance(value, float)}),
        "features": features + (", with release times" if model.release_times else ""),
        "phrase": model.phrase,
        "users": f"{model.user_count:,}",
        "dataset": f"{model.dataset}, fingerprint {model.fingerprint}",
        "trained on": f"{model.training_attempts:,} attempts in {model.fit_seconds:.1f} s, seed {model.seed}",
        "learning curve": _curve(model),
        "temperature": f"{model.temperature:.4g}",
    }


def _curve(model: training_pb2.Model) -> str:
    if not model.curve:
        return ""
    last = model.curve[-1]
    figures = [f"{name} {getattr(last, name):.4g}" for name in ("loss", "accuracy") if last.HasField(name)]
    return (
        f"{len(model.curve):,} steps, at the last {' and '.join(figures)}" if figures else f"{len(model.curve):,} steps"
    )


def _held_out(model: training_pb2.Model) -> dict[str, str]:
    split = enum_name(model, "split").lower()
    return {
        "hold-out": f"{split} {percent(model.holdout)}, {model.evaluation.attempts:,} attempts",
        "near ties": f"{model.near_ties:,} held-out attempts" if model.near_ties else "",
    }


def _measured(measured: training_pb2.Evaluation) -> dict[str, str]:
    return {
        "accuracy": f"{measured.accuracy:.1%} ({measured.accuracy_low:.1%} - {measured.accuracy_high:.1%}), among the "
        f"best three {measured.top3_accuracy:.1%}",
        "precision, recall, F1": f"{measured.macro_precision:.1%}, {measured.macro_recall:.1%}, "
        f"{measured.macro_f1:.1%}, means over users",
        "log loss": f"{measured.log_loss:.3f}, expected calibration error {measured.calibration_error:.1%}",
        "equal error rate": f"{measured.equal_error_rate:.1%}",
        "at its threshold": f"{measured.false_accept_rate:.1%} of its users' false claims accepted "
        f"(set for {measured.stated_false_accept_rate:.1%} of strangers'), {measured.false_reject_rate:.1%} of true "
        "ones rejected",
        "UNKNOWN": f"{measured.unknown_rate:.1%} of its users' attempts",
        "strangers": _strangers(measured),
    }


def _strangers(measured: training_pb2.Evaluation) -> str:
    if not measured.HasField("open_set"):
        return ""
    found = measured.open_set
    return (
        f"{found.attempts:,} attempts by {len(found.impostors):,}: {found.false_accept_rate:.1%} of their claims "
        f"accepted (set for {found.stated_false_accept_rate:.1%}), "
        f"{found.false_positive_identification_rate:.1%} taken for somebody, "
        f"and {found.false_negative_identification_rate:.1%} of the others' attempts not taken for theirs; "
        f"equal error rate {found.equal_error_rate:.1%}"
    )


def _kept(model: training_pb2.Model) -> dict[str, str]:
    return {
        "size": f"{model.size_kib:,} KiB",
        "digest": model.digest,
        "libraries": _pairs(dict(model.libraries)),
    }


def _users(measured: training_pb2.Evaluation) -> Table:
    table = Table("user", "precision", "recall", "attempts", "EER")
    for one in measured.users:
        shares = f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.support:,}", f"{one.equal_error_rate:.1%}"
        add_row(table, one.user, *shares)
    return table


def _thresholds(decision: training_pb2.Thresholds) -> Table:
    table = Table("false accept rate", "accepted from")
    for one in decision.thresholds:
        usual = ", unless asked for another" if one.false_accept_rate == decision.default_false_accept_rate else ""
        add_row(table, f"{one.false_accept_rate:.2g}{usual}", f"{one.threshold:.4f}")
    return table


def _files(model: training_pb2.Model) -> Table:
    table = Table("file", "bytes")
    for one in model.files:
        add_row(table, one.name, f"{one.size:,}")
    return table


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(values.items()))
