"""keyprint learners: the ways to train."""

from __future__ import annotations

from rich.table import Table

from keyprint.cli.console import AsJson, add_row, enum_name, output, print_json, training


def learners(as_json: AsJson = False) -> None:
    """The ways to train, with their parameters, ranges and defaults, for `keyprint train --learner` and `--param`."""
    with training() as client:
        found = client.list_learners()
    if as_json:
        print_json(found)
        return
    for learner in found:
        table = Table(
            "parameter", "default", "from", "to", "kind", "description", title_justify="left", caption_justify="left"
        )
        table.title = f"{learner.name}: {learner.title}"
        table.caption = learner.description
        for one in learner.parameters:
            numbers = (f"{value:g}" for value in (one.default, one.minimum, one.maximum))
            add_row(table, one.name, *numbers, enum_name(one, "kind").lower(), one.description)
        output().print(table)
