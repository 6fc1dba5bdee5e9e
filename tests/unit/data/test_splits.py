from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.splits import Auto, Group, Holdout, KFold, Predefined, SplitFacts, Time
from holdfast.data.splits.facts import test_cuts as cuts_of
from holdfast.data.splits.rules import folds_of
from holdfast.data.store.row_keys import units_of
from holdfast.vault.rows.digest_sets import order_keys
from holdfast.vault.rows.identity import row_digests


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


def test_the_greatest_key_of_each_class_is_its_cut() -> None:
    facts = SplitFacts(digests_of(np.arange(100)), np.arange(100) % 3)
    test, keys = Holdout().test_rows(facts), order_keys(facts.units, 0)
    cuts = cuts_of(Holdout().test_rule(), facts, test)
    assert [(cut["stratum"], cut["test"]) for cut in cuts] == [(0, 7), (1, 7), (2, 6)]
    for cut in cuts:
        is_class = np.asarray(facts.strata) == cut["stratum"]
        assert np.array_equal(test[is_class], keys[is_class] <= int(cut["cut"], 16))
    assert cuts_of(Auto().test_rule(), facts, test) == cuts
    declared = replace(facts, parts=np.where(test, 2, 0).astype(np.int8))
    assert cuts_of(Auto().test_rule(), declared, test) == []
    assert cuts_of(Predefined().test_rule(), declared, test) == []


@pytest.mark.parametrize(
    ("fractions", "words"),
    [
        (
            [0.9, 0.2, 0.2],
            "split.fractions: is [0.9, 0.2, 0.2] with sum 1.3; allowed: three positive numbers",
        ),
        ([0.8, 0.2], "split.fractions: is [0.8, 0.2] with sum 1; allowed: three"),
        ([0.8, 0.2, 0.0], "split.fractions: is [0.8, 0.2, 0.0] with sum 1; allowed: three"),
        ([1.2, -0.1, -0.1], "split.fractions: is [1.2"),
        ([0.6, float("nan"), 0.2], "split.fractions: is [0.6, nan, 0.2]"),
    ],
)
def test_impossible_fractions_are_told_in_one_line(fractions: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Holdout(fractions=fractions)  # type: ignore[arg-type]
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_impossible_val_fraction(fraction: object) -> None:
    with pytest.raises(InputError, match=r"split.val_fraction: is .*; allowed: a number between 0 and 1"):
        Predefined(val_fraction=fraction)  # type: ignore[arg-type]


def test_impossible_splits_are_refused_with_the_reason() -> None:
    equal = SplitFacts(digests_of(np.zeros(50, np.int64)))
    with pytest.raises(InputError, match="the 50 rows hold 1 different one, too few for train, val and test"):
        Holdout().test_rows(equal)
    with pytest.raises(InputError, match=r"class 1 has 2 rows, too few .* split.stratify=false"):
        Holdout().test_rows(SplitFacts(digests_of(np.arange(50)), (np.arange(50) < 2).astype(np.int64)))
    with pytest.raises(InputError, match=r"leaves no row for test \(20 rows, 20 different\)"):
        Holdout(fractions=(0.98, 0.01, 0.01)).test_rows(SplitFacts(digests_of(np.arange(20))))
    with pytest.raises(InputError, match="leaves no row for val"):
        Predefined().val_rows(equal)


def grouped(sizes: list[int], **facts: object) -> SplitFacts:
    """Rows of groups of these sizes, in a mixed order."""
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    digests = digests_of(np.arange(len(groups)))
    return SplitFacts(np.asarray(units_of(digests, groups)), groups=groups, **facts)  # type: ignore[arg-type]


def parts_of(split: object, facts: SplitFacts) -> NDArray[np.int64]:
    """0 train, 1 val, 2 test; the val part without knowledge of groups."""
    test = split.test_rows(facts)  # type: ignore[attr-defined]
    rest = np.flatnonzero(~test)
    part = 2 * test.astype(np.int64)
    known = facts.of(rest)
    part[rest] = split.val_rows(SplitFacts(known.units, known.strata, times=known.times, parts=known.parts))  # type: ignore[attr-defined]
    return part


def test_declared_parts_are_kept() -> None:
    parts = np.arange(60, dtype=np.int8) % 3
    facts = SplitFacts(digests_of(np.arange(60)), np.arange(60) % 2, parts=parts)
    assert np.array_equal(parts_of(Predefined(), facts), parts)
    assert Predefined().test_rule() == {"split": "predefined"}


def test_val_rows_that_are_not_declared_are_a_share_of_train() -> None:
    parts = np.where(np.arange(100) < 20, 2, 0).astype(np.int8)
    facts = SplitFacts(digests_of(np.arange(100)), np.arange(100) % 2, parts=parts)
    parts_found = parts_of(Predefined(val_fraction=0.25), facts)
    assert np.array_equal(parts_found == 2, parts == 2)
    assert np.bincount(np.arange(100)[parts_found == 1] % 2).tolist() == [10, 10]


def test_parts_that_are_not_declared() -> None:
    facts = SplitFacts(digests_of(np.arange(9)))
    with pytest.raises(InputError, match=r"does not declare its parts; next: say data.split_column=COLUMN"):
        Predefined().test_rows(facts)
    with pytest.raises(InputError, match=r"no row is declared a test row; next: say data.test_path=FILE"):
        Predefined().test_rows(SplitFacts(facts.units, parts=np.zeros(9, np.int8)))
    with pytest.raises(InputError, match=r"leaves no row for train and val"):
        Predefined().test_rows(SplitFacts(facts.units, parts=np.full(9, 2, np.int8)))


def test_a_regression_is_stratified_by_ranges_of_its_values() -> None:
    values = np.random.default_rng(0).lognormal(size=1000).astype(np.float32)
    facts = SplitFacts(digests_of(np.arange(1000)), targets=values)
    split = Holdout(num_bins=5)
    test = split.test_rows(facts)
    bins = np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values, side="right")
    assert np.bincount(bins[test]).tolist() == [40] * 5
    assert cuts_of(split.test_rule(), facts, test) == [], "ranges would tell of the test targets"
    val = split.val_rows(facts.of(~test))
    assert val.sum() == 200


def test_ranges_of_values_say_nothing_of_classes() -> None:
    facts = SplitFacts(digests_of(np.arange(300)), np.arange(300) % 7)
    test = Holdout(num_bins=10).test_rows(facts)
    assert np.array_equal(test, Holdout().test_rows(facts))
    with pytest.raises(InputError, match=r"split.num_bins: is 1; allowed: a whole number, 2 or more"):
        Holdout(num_bins=1)
    few = SplitFacts(digests_of(np.arange(9)), targets=np.array([0, 1, 1, 1, 1, 1, 2, 2, 2.0]))
    with pytest.raises(InputError, match=r"range \d+ has \d rows?, too few for .*; next: a smaller split.num_bins"):
        Holdout(num_bins=3).test_rows(few)


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, 12), min_size=12, max_size=40), seed=st.integers(0, 5))
def test_groups_never_straddle(sizes: list[int], seed: int) -> None:
    facts = grouped(sizes)
    assert facts.groups is not None
    part = parts_of(Group(seed=seed), facts)
    for group in range(len(sizes)):
        assert len(set(part[facts.groups == group])) == 1
    shares = np.bincount(part) / len(part)
    assert np.abs(shares - [0.6, 0.2, 0.2]).max() <= 2 * max(sizes) / len(part)


def test_a_large_group_trains() -> None:
    facts = grouped([700, *[10] * 30])
    part = parts_of(Group(), facts)
    assert np.bincount(part).tolist() == [1000 - 400, 200, 200] or abs(int((part == 2).sum()) - 200) <= 10
    assert facts.groups is not None
    assert set(part[facts.groups == 0]) == {0}


def test_groups_that_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"split: no groups are declared; next: say data.group=COLUMN"):
        Group().test_rows(SplitFacts(digests_of(np.arange(9))))
    with pytest.raises(InputError, match=r"10 rows are of 2 groups, 2 apart from equal rows, too few for train, val"):
        Group().test_rows(grouped([5, 5]))
    with pytest.raises(InputError, match=r"3 groups of 100 to 100 rows are too large for a test part of 30 rows"):
        Group(fractions=(0.8, 0.1, 0.1)).test_rows(grouped([100] * 3))


def test_the_future_is_test() -> None:
    times = np.random.default_rng(0).permutation(np.repeat(np.arange(100), 3)).astype(np.float64)
    facts = SplitFacts(digests_of(np.arange(300)), times=times)
    part = parts_of(Time(), facts)
    assert [sorted(set(times[part == name])) for name in (0, 1, 2)] == [
        list(range(60)),
        list(range(60, 80)),
        list(range(80, 100)),
    ]
    assert Time().test_rule() == {"split": "time", "test_fraction": 0.2}


def test_rows_of_one_time_stay_together() -> None:
    times = np.repeat([1, 2, 3, 4], [10, 50, 10, 30])
    part = parts_of(Time(), SplitFacts(digests_of(np.arange(100)), times=times))
    assert [set(times[part == name]) for name in (0, 1, 2)] == [{1, 2}, {3}, {4}]


def test_equal_rows_of_different_times_do_not_stand_in_train_and_val() -> None:
    values, times = np.arange(100), np.arange(100)
    values[5] = values[70]
    part = parts_of(Time(), SplitFacts(digests_of(values), times=times))
    assert part[5] == part[70] == 1


def test_times_that_cannot_be_split() -> None:
    units = digests_of(np.arange(9))
    with pytest.raises(InputError, match=r"when the rows were taken; next: say data.time=COLUMN"):
        Time().test_rows(SplitFacts(units))
    with pytest.raises(InputError, match=r"the rows have 2 different times, too few for train, val and test"):
        Time().test_rows(SplitFacts(units, times=np.arange(9) % 2))
    with pytest.raises(InputError, match="1 rows have no time"):
        Time().test_rows(SplitFacts(units, times=np.array([np.nan, *range(8)])))
    with pytest.raises(InputError, match=r"1 declared groups have rows before and after .* choose split=group"):
        Time().test_rows(SplitFacts(units, times=np.arange(9), groups=np.array([0, 1, 2, 3, 4, 5, 6, 7, 0])))


def test_every_row_is_val_in_one_fold() -> None:
    strata = np.repeat([0, 1, 2], [500, 300, 203])
    facts = SplitFacts(digests_of(np.arange(1003)), strata)
    tests = [KFold(fold).test_rows(facts) for fold in range(5)]
    assert all(np.array_equal(test, tests[0]) for test in tests)
    rest = facts.of(~tests[0])
    folds = np.stack([KFold(fold).val_rows(rest) for fold in range(5)])
    assert (folds.sum(axis=0) == 1).all()
    sizes = folds.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1
    assert rest.strata is not None
    for name in range(3):
        counts = folds[:, rest.strata == name].sum(axis=1)
        assert counts.max() - counts.min() <= 1


def test_the_default_split_keeps_to_declared_test_rows_and_else_takes_shares() -> None:
    units, strata = digests_of(np.arange(100)), np.arange(100) % 3
    plain = SplitFacts(units, strata)
    np.testing.assert_array_equal(Auto().test_rows(plain), Holdout().test_rows(plain))
    rest = plain.of(~Auto().test_rows(plain))
    np.testing.assert_array_equal(Auto().val_rows(rest), Holdout().val_rows(rest))
    parts = np.repeat([0, 1, 2], [70, 10, 20]).astype(np.int8)
    declared = SplitFacts(units, strata, parts=parts)
    test = Auto().test_rows(declared)
    np.testing.assert_array_equal(test, parts == 2)
    np.testing.assert_array_equal(Auto().val_rows(declared.of(~test)), parts[parts < 2] == 1)
    without_val = SplitFacts(units, strata, parts=np.where(parts == 1, 0, parts).astype(np.int8))
    assert Auto().val_rows(without_val.of(~test)).sum() == 20
    only_val = SplitFacts(units, strata, parts=np.where(parts == 2, 0, parts).astype(np.int8))
    assert Auto().test_rows(only_val).sum() == 20


def test_folds_share_the_vault_of_the_split_that_chooses_the_test_part() -> None:
    assert KFold(3, 7).test_rule() == Auto().test_rule()
    assert KFold(3, 7, test="holdout").test_rule() == Holdout().test_rule()
    fractions = (0.8, 0.1, 0.1)
    for name, split in (
        ("stratified", Holdout(fractions, 4, num_bins=10)),
        ("group", Group(fractions, 4)),
        ("time", Time(fractions)),
        ("predefined", Predefined()),
    ):
        assert KFold(test=name, test_fraction=0.1, seed=4).test_rule() == split.test_rule()  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, 12), min_size=8, max_size=40), seed=st.integers(0, 5), stratify=st.booleans())
def test_groups_share_a_fold(sizes: list[int], seed: int, stratify: bool) -> None:
    facts = grouped(sizes, strata=np.arange(sum(sizes)) % 2)
    folds = folds_of(facts, 4, seed, stratify=stratify)
    for group in range(len(sizes)):
        assert len(set(folds[facts.groups == group])) == 1
    counts = np.bincount(folds, minlength=4)
    assert counts.max() - counts.min() <= max(sizes) * (2 if stratify else 1)
    order = np.random.default_rng(seed).permutation(len(folds))
    assert np.array_equal(folds_of(facts.of(order), 4, seed, stratify=stratify), folds[order]), "by content"


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"fold": 5}, "split.fold: is 5; allowed: 0 to 4, as split.num_folds is 5"),
        ({"fold": -1}, "split.fold: is -1; allowed: 0 to 4"),
        ({"num_folds": 1}, "split.num_folds: is 1; allowed: a whole number, 2 or more"),
        ({"test_fraction": 1.0}, "split.test_fraction: is 1.0; allowed: a number between 0 and 1"),
    ],
)
def test_folds_that_are_none(settings_: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        KFold(**settings_)  # type: ignore[arg-type]


def test_fewer_rows_than_folds() -> None:
    with pytest.raises(InputError, match=r"is 10, and the rows that are not test hold 8 different .*allowed: 2 to 8"):
        KFold(num_folds=10).val_rows(SplitFacts(digests_of(np.arange(8))))
