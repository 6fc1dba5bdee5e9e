from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from holdfast.data.columns import Column, column_from_dict
from holdfast.data.statistics import (
    TrainStatistics,
    category_sizes,
    input_columns,
    input_names,
    neutral_statistics,
    statistics_as_arrays,
    statistics_from_arrays,
    train_statistics,
)
from holdfast.transforms import AsFloat, Standardize

NAN = np.nan
COLUMNS = (
    Column("age", "number"),
    Column("town", "category", ("", "Aachen", "Bonn", "Celle")),
    Column("height", "number"),
    Column("sex", "category", ("f", "m")),
)
# The first six rows train.
X = np.array(
    [
        [10, 1, 1.5, 0],
        [NAN, 3, 1.5, 1],
        [30, 1, 1.6, 1],
        [20, 1, 1.8, 0],
        [21, 0, 1.9, 0],
        [NAN, 3, 1.7, 1],
        [50, 2, NAN, 0],
        [NAN, -1, 1.0, -1],
    ],
    np.float32,
)
TRAIN = np.arange(6)


def statistics_of(x: np.ndarray = X) -> TrainStatistics:  # type: ignore[type-arg]
    y = np.arange(len(x), dtype=np.float32)
    return train_statistics(x, y, TRAIN, kind="table", num_classes=0, columns=COLUMNS)


def test_missing_numbers_have_no_part_in_mean_spread_and_median() -> None:
    statistics = statistics_of()
    frame = pd.DataFrame(X[TRAIN].astype(np.float64))
    for column in (0, 2):
        np.testing.assert_allclose(statistics.mean[column], frame[column].mean(), rtol=1e-12)
        np.testing.assert_allclose(statistics.std[column], frame[column].std(ddof=0), rtol=1e-12)
        assert statistics.median is not None
        np.testing.assert_allclose(statistics.median[column], frame[column].median(), rtol=1e-12)
    assert statistics.has_missing is not None
    assert statistics.has_missing.tolist() == [True, False, False, False]
    assert {index: counts.tolist() for index, counts in statistics.category_counts.items()} == {
        1: [1, 3, 0, 2],
        3: [3, 3],
    }
    assert (statistics.mean[[1, 3]] == 0).all()
    assert (statistics.std[[1, 3]] == 0).all()


def test_blocks_are_merged_to_the_statistics_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    x = random.normal([0, 1e6, -5], [1, 3, 100], (1000, 3)).astype(np.float32)
    x[random.random(x.shape) < 0.3] = NAN
    x[:600, 0] = NAN  # whole blocks without a number
    rows = np.flatnonzero(random.random(1000) < 0.7)
    monkeypatch.setattr("holdfast.data.statistics.BLOCK_BYTES", 24 * 50)
    monkeypatch.setattr("holdfast.data.statistics.MEDIAN_BYTES", 1)
    statistics = train_statistics(x, np.zeros(1000, np.float32), rows, kind="table", num_classes=0)
    exact = x[rows].astype(np.float64)
    np.testing.assert_allclose(statistics.mean, np.nanmean(exact, axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, np.nanstd(exact, axis=0), rtol=1e-10)
    assert np.array_equal(statistics.median, np.nanmedian(exact, axis=0))


def test_a_column_without_any_number_is_zero() -> None:
    x = X.copy()
    x[TRAIN, 0] = NAN
    statistics = statistics_of(x)
    assert (statistics.mean[0], statistics.std[0]) == (0, 0)
    out = Standardize(statistics)(torch.from_numpy(x))
    assert out[:6, 0].tolist() == [0] * 6
    assert torch.isfinite(out).all()


def test_digits_of_large_numbers_count_where_rows_are_stored_in_float64() -> None:
    x = 1e9 + np.arange(6.0)[:, None]
    statistics = train_statistics(x, np.zeros(6, np.float32), TRAIN, kind="table", num_classes=0)
    out = Standardize(statistics)(torch.from_numpy(x))
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out[:, 0].numpy(), (np.arange(6) - 2.5) / np.arange(6).std(), rtol=1e-6)
    constant = train_statistics(np.full((6, 1), 1e9 / 3), np.zeros(6, np.float32), TRAIN, kind="table", num_classes=0)
    assert constant.std.tolist() == [0]


def test_what_a_model_sees_of_a_row() -> None:
    statistics = statistics_of()
    columns = input_columns(COLUMNS, statistics)
    assert (len(input_names(columns)), category_sizes(columns)) == (5, (4, 3))
    rows = torch.from_numpy(X)
    out = Standardize(statistics)(rows)
    assert torch.equal(rows.nan_to_num(7), torch.from_numpy(X).nan_to_num(7)), "rows were changed"
    mean, std = np.nanmean(X[TRAIN], axis=0), np.nanstd(X[TRAIN], axis=0)
    age = np.nan_to_num((X[:, 0] - mean[0]) / std[0], nan=0)
    height = np.nan_to_num((X[:, 2] - mean[2]) / std[2], nan=0)
    np.testing.assert_allclose(out[:, :2].numpy(), np.stack([age, height], axis=1), atol=1e-5)
    assert out[:, 2].tolist() == [0, 1, 0, 0, 0, 1, 0, 1], "whether the age is missing"
    # Bonn is no town of a train row, and -1 is no town at all.
    assert out[:, 3].tolist() == [2, 3, 2, 2, 1, 3, 0, 0]
    assert out[:, 4].tolist() == [1, 2, 2, 1, 1, 2, 1, 0]
    assert AsFloat(statistics)(rows)[:, 2:].equal(out[:, 2:])


def test_missing_numbers_become_mean_or_median() -> None:
    statistics, rows = statistics_of(), torch.from_numpy(X)
    assert AsFloat(statistics)(rows)[1, 0].item() == pytest.approx(20.25)
    assert AsFloat(statistics, impute="median")(rows)[1, 0].item() == pytest.approx(20.5)
    # also where no train row lacked the number
    assert AsFloat(statistics, impute="median")(rows)[6, 1].item() == pytest.approx(1.65)
    filled = Standardize(statistics, impute="median")(rows)[1, 0].item()
    assert filled == pytest.approx((20.5 - 20.25) / np.nanstd(X[TRAIN, 0]), rel=1e-5)


def test_a_table_of_categories_alone() -> None:
    x = X[:, [1, 3]]
    y = np.zeros(8, np.float32)
    statistics = train_statistics(x, y, TRAIN, kind="table", num_classes=0, columns=(COLUMNS[1], COLUMNS[3]))
    for kind in (Standardize, AsFloat):
        transform = kind(statistics)
        assert transform(torch.from_numpy(x))[0].tolist() == [2, 1]
        assert all(value.numel() for value in transform.state_dict().values())


def test_codes_beyond_the_dictionary_are_unknown() -> None:
    rows = X[:1].copy()
    rows[0, 1] = 4
    assert Standardize(statistics_of())(torch.from_numpy(rows))[0, 3].item() == 0


def test_columns_and_weights_are_enough_to_build_it_again() -> None:
    statistics = statistics_of()
    plain = [column.as_dict() for column in input_columns(COLUMNS, statistics)]
    assert plain[0] == {"name": "age", "type": "number", "has_missing": True}
    assert plain[1]["unseen"] == ["Bonn"]
    again = tuple(column_from_dict(column) for column in plain)
    for kind in (Standardize, AsFloat):
        trained, fresh = kind(statistics), kind(neutral_statistics("table", (5,), again))
        fresh.load_state_dict(trained.state_dict())
        assert torch.equal(fresh(torch.from_numpy(X)), trained(torch.from_numpy(X)))


def test_statistics_of_a_table_survive_a_file() -> None:
    known = statistics_of(X.astype(np.float64))
    statistics = statistics_from_arrays(statistics_as_arrays(known))
    assert statistics.dtype == "float64"
    assert np.array_equal(statistics.median, known.median)
    assert np.array_equal(statistics.has_missing, known.has_missing)
    assert [counts.tolist() for counts in statistics.category_counts.values()] == [[1, 3, 0, 2], [3, 3]]
    assert "median" not in statistics_as_arrays(TrainStatistics("array", 1, np.zeros(1), np.ones(1), 0.0, 1.0, None))
