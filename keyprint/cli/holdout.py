"""A hold-out, as commands are told of it."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from keyprint.v1 import attempts_pb2


class Split(enum.StrEnum):
    """How a hold-out is chosen."""

    late = "late"
    random = "random"

    @property
    def value_of_proto(self) -> attempts_pb2.Split.ValueType:
        """The same in a message."""
        return attempts_pb2.Split.Value(f"SPLIT_{self.upper()}")


Holdout = Annotated[
    str, typer.Option(metavar="SHARE", help="Share of each user's attempts kept from training, above 0 and below 1.")
]
SplitName = Annotated[Split, typer.Option(help="How they are chosen: each user's last ones, or seeded random ones.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of every random choice.")]


def read_share(holdout: str) -> float:
    """Reads a hold-out.

    Raises:
        InvalidArgument: it is no number above 0 and below 1.
    """
    # It takes numpy along.
    from keyprint.holdout import check_share, no_share

    try:
        share = float(holdout)
    except ValueError:
        raise no_share(repr(holdout)) from None
    return check_share(share)
