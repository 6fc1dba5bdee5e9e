from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.splits import Holdout, Official, SplitFacts
from holdfast.vault.identity import row_digests


def digests_of(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    return row_digests(values[:, None].astype(np.float32), kind="table")


def both_masks(
    split: Holdout, values: NDArray[np.int64], strata: NDArray[np.int64] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Test mask and val mask, both over all rows."""
    facts = SplitFacts(digests_of(values), strata)
    test = split.test_rows(facts)
    val = np.zeros_like(test)
    val[~test] = split.val_rows(facts.of(~test))
    return test, val


def test_parts_have_their_sizes_and_every_class_its_share() -> None:
    strata = np.repeat([0, 1, 2], [500, 300, 203])
    test, val = both_masks(Holdout(), np.arange(1003), strata)
    assert (test.sum(), val.sum()) == (201, 200)
    assert not (test & val).any()
    for part in (test, val):
        counts = np.bincount(strata[part])
        assert np.abs(counts - np.array([100, 60, 40.6])).max() <= 1


@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(st.integers(0, 400), min_size=40, max_size=120),
    num_classes=st.integers(1, 3),
    seed=st.integers(-5, 5),
    shuffle=st.randoms(use_true_random=False),
)
def test_split_goes_by_content(values: list[int], num_classes: int, seed: int, shuffle: st.DrawFn) -> None:
    values += list(range(1000, 1030))
    rows = np.array(values)
    strata = rows % num_classes
    test, val = both_masks(Holdout(seed=seed), rows, strata)
    order = np.array(shuffle.sample(range(len(rows)), len(rows)))  # type: ignore[attr-defined]
    test_again, val_again = both_masks(Holdout(seed=seed), rows[order], strata[order])
    assert np.array_equal(test[order], test_again)
    assert np.array_equal(val[order], val_again)
    part = test + 2 * val
    for value in np.unique(rows):
        assert len(set(part[rows == value])) == 1, "equal rows lie on both sides"


def test_equal_rows_of_different_classes_stay_on_one_side() -> None:
    rows = np.repeat(np.arange(100), 2)
    strata = np.tile([0, 1], 100)
    test, val = both_masks(Holdout(), rows, strata)
    assert np.array_equal(test[::2], test[1::2])
    assert np.array_equal(val[::2], val[1::2])


def test_val_seed_changes_val_and_not_test() -> None:
    rows, strata = np.arange(300), np.arange(300) % 2
    test, val = both_masks(Holdout(), rows, strata)
    other_test, other_val = both_masks(Holdout(val_seed=1), rows, strata)
    assert np.array_equal(test, other_test)
    assert not np.array_equal(val, other_val)
    assert val.sum() == other_val.sum()
    assert Holdout(val_seed=1).test_rule() == Holdout().test_rule()
    assert Holdout(fractions=(0.7, 0.1, 0.2)).test_rule() == Holdout().test_rule()
    assert not np.array_equal(test, both_masks(Holdout(seed=1), rows, strata)[0])


def test_regression_rows_are_split_without_strata() -> None:
    test, val = both_masks(Holdout(fractions=[0.8, 0.1, 0.1]), np.arange(442), None)
    assert (test.sum(), val.sum()) == (44, 44)


def test_official_test_part_is_taken_as_it_is() -> None:
    digests, strata = digests_of(np.arange(70)), np.arange(70) % 10
    official = np.arange(70) >= 60
    split, facts = Official(), SplitFacts(digests, strata, official)
    assert np.array_equal(split.test_rows(facts), official)
    val = split.val_rows(facts.of(~official))
    assert np.bincount(strata[:60][val]).tolist() == [1] * 10
    assert split.test_rule() == Official(val_fraction=0.5, seed=3).test_rule()


@pytest.mark.parametrize(
    ("fractions", "words"),
    [
        (
            [0.9, 0.2, 0.2],
            "split.fractions: is [0.9, 0.2, 0.2] with sum 1.3; allowed: three positive numbers",
        ),
        ([0.8, 0.2], "split.fractions: is [0.8, 0.2]; allowed: three"),
        ([0.8, 0.2, 0.0], "split.fractions: is [0.8, 0.2, 0.0]; allowed: three"),
        ([1.2, -0.1, -0.1], "split.fractions: is [1.2"),
        ([0.6, "x", 0.2], "split.fractions: is [0.6, 'x', 0.2]"),
        ([0.6, float("nan"), 0.2], "split.fractions: is [0.6, nan, 0.2]"),
        (0.2, "split.fractions: is 0.2; allowed"),
    ],
)
def test_impossible_fractions_are_told_in_one_line(fractions: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Holdout(fractions=fractions)  # type: ignore[arg-type]
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, True, "a"])
def test_impossible_val_fraction(fraction: object) -> None:
    with pytest.raises(InputError, match=r"split.val_fraction: is .*; allowed: a number between 0 and 1"):
        Official(val_fraction=fraction)  # type: ignore[arg-type]


def test_impossible_splits_are_refused_with_the_reason() -> None:
    equal = SplitFacts(digests_of(np.zeros(50, np.int64)))
    with pytest.raises(InputError, match="the 50 rows hold 1 different one, too few for train, val and test"):
        Holdout().test_rows(equal)
    with pytest.raises(InputError, match=r"class 1 has 2 rows, too few .* split.stratify=false"):
        Holdout().test_rows(SplitFacts(digests_of(np.arange(50)), (np.arange(50) < 2).astype(np.int64)))
    with pytest.raises(InputError, match=r"leaves no row for test \(20 rows, 20 different\)"):
        Holdout(fractions=(0.98, 0.01, 0.01)).test_rows(SplitFacts(digests_of(np.arange(20))))
    with pytest.raises(InputError, match="no official test part; next: choose split=holdout"):
        Official().test_rows(equal)
    with pytest.raises(InputError, match="leaves no row for train and val"):
        Official().test_rows(SplitFacts(equal.units, official=np.ones(50, bool)))
    with pytest.raises(InputError, match="leaves no row for val"):
        Official().val_rows(equal)
