from __future__ import annotations

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError
from holdfast.data.statistics import neutral_statistics, train_statistics
from holdfast.transforms import AsFloat, Standardize


def images() -> np.ndarray:  # type: ignore[type-arg]
    x = np.random.default_rng(0).integers(0, 256, (200, 5, 4, 3), dtype=np.uint8)
    x[:, 0, 0] = 7
    return x


def test_images_are_standardised_by_channel() -> None:
    x = images()
    statistics = train_statistics(x, np.zeros(200, np.int64), np.arange(200), kind="image", num_classes=2)
    out = Standardize(statistics)(torch.from_numpy(x))
    expected = (x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))
    assert (out.shape, out.dtype) == ((200, 3, 5, 4), torch.float32)
    assert out.is_contiguous()
    np.testing.assert_allclose(out.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_images_by_feature_leave_constant_pixels_at_zero() -> None:
    x = images()
    statistics = train_statistics(x, np.zeros(200, np.int64), np.arange(200), kind="image", num_classes=2)
    out = Standardize(statistics, scope="feature")(torch.from_numpy(x))
    assert (out[:, :, 0, 0] == 0).all()
    np.testing.assert_allclose(out[:, :, 1, 1].numpy().std(axis=0), 1, rtol=1e-5)


def test_tables_are_standardised_by_column_and_left_as_they_were() -> None:
    x = np.random.default_rng(0).normal([1e6, -3, 5], [0.5, 2, 0], (100, 3)).astype(np.float32)
    statistics = train_statistics(x, np.zeros(100, np.float32), np.arange(100), kind="table", num_classes=0)
    rows = torch.from_numpy(x.copy())
    out = Standardize(statistics)(rows)
    np.testing.assert_allclose(out.mean(dim=0).numpy(), 0, atol=0.05)
    np.testing.assert_allclose(out.std(dim=0, correction=0).numpy(), [1, 1, 0], atol=1e-3)
    assert np.array_equal(rows.numpy(), x)


def test_statistics_travel_in_the_weights() -> None:
    x = images()
    statistics = train_statistics(x, np.zeros(200, np.int64), np.arange(200), kind="image", num_classes=2)
    trained, fresh = Standardize(statistics), Standardize(neutral_statistics("image", (3, 5, 4)))
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh(torch.from_numpy(x)), trained(torch.from_numpy(x)))


def test_no_transform_still_gives_what_a_model_takes() -> None:
    x = images()
    out = AsFloat(neutral_statistics("image", (3, 5, 4)))(torch.from_numpy(x))
    assert np.array_equal(out.numpy(), x.transpose(0, 3, 1, 2).astype(np.float32))
    table = torch.ones(2, 3)
    assert torch.equal(AsFloat(neutral_statistics("table", (3,)))(table), table)


def test_a_table_has_no_channels() -> None:
    with pytest.raises(InputError, match=r"transform.scope: is 'channel', but a table has none"):
        Standardize(neutral_statistics("table", (3,)), scope="channel")
