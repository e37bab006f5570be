"""How a hold-out is chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyprint import holdout
from keyprint.errors import FailedPrecondition, InvalidArgument
from keyprint.holdout import Split


def test_late_takes_the_last_attempts_of_each_user() -> None:
    users = ["ada", "bob", "ada", "bob", "ada", "bob", "ada"]
    typed_at = np.array([40, 1, 30, 2, 20, 3, 10])
    assert np.flatnonzero(holdout.choose(users, typed_at, 0.5)).tolist() == [0, 2, 3, 5]


def test_equal_times_are_taken_in_dataset_order() -> None:
    assert holdout.choose(["ada"] * 4, np.zeros(4, np.int64), 0.25).tolist() == [False, False, False, True]


@given(st.integers(2, 60), st.floats(0.001, 0.999), st.sampled_from(["late", "random"]))
def test_the_count_is_the_share_rounded_up_with_one_left_on_each_side(count: int, share: float, split: Split) -> None:
    held_out = int(holdout.choose(["ada"] * count, np.arange(count), share, split).sum())
    assert 1 <= held_out <= count - 1
    assert held_out in {1, count - 1, math.ceil(share * count), math.ceil(round(share * count, 9))}


def test_a_share_that_means_a_whole_number_is_not_rounded_past_it() -> None:
    assert int(holdout.choose(["ada"] * 100, np.arange(100), 0.07).sum()) == 7


def test_random_follows_its_seed() -> None:
    users, typed_at = ["ada"] * 50, np.arange(50)
    one, again, other = (holdout.choose(users, typed_at, 0.3, "random", seed) for seed in (1, 1, 2))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, math.nan, math.inf])
def test_a_share_out_of_range_is_refused_by_name(share: float) -> None:
    with pytest.raises(InvalidArgument, match="above 0 and below 1") as caught:
        holdout.choose(["ada", "ada"], np.arange(2), share)
    assert (caught.value.reason, caught.value.field) == ("HOLDOUT_OUT_OF_RANGE", "holdout")


def test_a_user_with_one_attempt_cannot_be_split() -> None:
    with pytest.raises(FailedPrecondition, match="'bob' has a single attempt"):
        holdout.choose(["ada", "ada", "bob"], np.arange(3), 0.5)
