from __future__ import annotations

import io

import numpy as np

from holdfast.data.statistics import (
    channel_statistics,
    neutral_statistics,
    statistics_as_arrays,
    statistics_from_arrays,
    train_statistics,
)


def test_table_statistics_are_those_of_the_train_rows() -> None:
    random = np.random.default_rng(0)
    x = random.normal(1e4, 3, (500, 4)).astype(np.float32)
    x[:, 2] = 0.1
    y = random.normal(5, 2, 500).astype(np.float32)
    train = np.arange(0, 500, 2)
    statistics = train_statistics(x, y, train, kind="table", num_classes=0)
    exact = x[train].astype(np.float64)
    np.testing.assert_allclose(statistics.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.std[[0, 1, 3]], exact.std(axis=0)[[0, 1, 3]], rtol=1e-9)
    assert statistics.std[2] == 0
    assert statistics.num_rows == 250
    np.testing.assert_allclose(
        [statistics.target_mean, statistics.target_std], [y[train].mean(), y[train].std()], rtol=1e-6
    )
    assert statistics.class_counts is None
    x[1::2] += 1e6
    again = train_statistics(x, y, train, kind="table", num_classes=0)
    assert np.array_equal(statistics.mean, again.mean), "other rows have a part in it"


def test_channels_follow_from_features() -> None:
    x = np.random.default_rng(0).integers(0, 256, (300, 5, 4, 3), dtype=np.uint8)
    statistics = train_statistics(x, np.arange(300) % 4, np.arange(300), kind="image", num_classes=5)
    mean, std = channel_statistics(statistics)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, x.std(axis=(0, 1, 2)), rtol=1e-12)
    assert statistics.mean.shape == (5, 4, 3)
    assert statistics.class_counts == (75, 75, 75, 75, 0)
    assert (statistics.target_mean, statistics.target_std) == (None, None)


def test_labels_are_counted() -> None:
    y = np.array([[1, 0], [1, 1], [1, 0]], np.uint8)
    statistics = train_statistics(np.ones((3, 1), np.float32), y, np.array([0, 1]), kind="table", num_classes=2)
    assert statistics.class_counts == (2, 1)


def test_statistics_survive_a_file() -> None:
    x, y = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32), np.arange(10, dtype=np.float32)
    for targets, num_classes in ((y, 0), (y.astype(np.int64), 10)):
        known = train_statistics(x, targets, np.arange(10), kind="table", num_classes=num_classes)
        file = io.BytesIO()
        np.savez(file, **statistics_as_arrays(known))  # type: ignore[arg-type]
        file.seek(0)
        with np.load(file) as arrays:
            statistics = statistics_from_arrays(arrays)
        assert np.array_equal(statistics.mean, known.mean)
        assert (statistics.target_mean, statistics.class_counts) == (known.target_mean, known.class_counts)
        assert (statistics.kind, statistics.num_rows, statistics.dtype) == ("table", 10, "float32")


def test_neutral_statistics_have_the_shape_of_a_row_as_stored() -> None:
    assert neutral_statistics("image", (3, 8, 6)).mean.shape == (8, 6, 3)
    assert neutral_statistics("table", (7,)).std.tolist() == [1.0] * 7
