from __future__ import annotations

import numpy as np
import pytest

from holdfast.vault.identity import content_id, order_keys, row_digests, rows_id


def test_an_image_is_known_in_its_usual_disguises() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    images[0] = 0
    images[1] = 255
    known = row_digests(images, kind="image")
    for disguise in (
        images.astype(np.float32) / 255,
        (images / 255).astype(np.float16),
        images / 255,
        images.astype(np.int64),
        images.transpose(0, 3, 1, 2),
        (images.astype(np.float32) / 255).transpose(0, 3, 1, 2),
        np.asfortranarray(images),
    ):
        assert np.array_equal(row_digests(disguise, kind="array"), known)
    assert np.array_equal(row_digests(images[..., 0], kind="array"), row_digests(images[..., :1], kind="image"))


def test_a_table_row_is_known_by_its_numbers() -> None:
    table = np.array([[1.5, -0.0, np.nan], [1.5, 0.0, -np.nan], [0.0, 1.5, np.nan]])
    first, second, third = row_digests(table, kind="table", feature_names=("a", "b", "c"))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)
    swapped = row_digests(table[:, [1, 0, 2]], kind="table", feature_names=("b", "a", "c"))
    assert np.array_equal(swapped[0], first)
    assert np.array_equal(row_digests(table.astype(np.float32), kind="table"), row_digests(table, kind="table"))
    assert np.array_equal(row_digests(table.astype(object), kind="table"), row_digests(table, kind="table"))


def test_long_integers_and_text_are_exact() -> None:
    long = np.array([[2**53 + 1, 1], [2**53 + 2, 1], [2**53, 1]])
    digests = row_digests(long, kind="table")
    assert len(np.unique(digests, axis=0)) == 3
    assert np.array_equal(digests[2], row_digests(np.array([[float(2**53), 1.0]]), kind="table")[0])
    text = np.array([["Caf\u00e9", 1], ["Cafe\u0301", 1.0], ["Cafe", 1]], object)
    first, second, third = row_digests(text, kind="table")
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_digests_do_not_depend_on_blocks_or_order(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).normal(size=(100, 3))
    whole = row_digests(table, kind="table")
    monkeypatch.setattr("holdfast.vault.identity.BLOCK_BYTES", 100)
    assert np.array_equal(row_digests(table[::-1], kind="table")[::-1], whole)
    assert row_digests(table[:0], kind="table").shape == (0, 32)


def test_order_keys_are_fixed_for_ever() -> None:
    digests = np.zeros((2, 32), np.uint8)
    digests[1, 0] = 1
    assert order_keys(digests, 0).tolist() == [9315369632862752480, 4815608018825486237]
    assert not np.array_equal(order_keys(digests, 0), order_keys(digests, 1))


def test_content_counts_rows_and_targets_but_not_their_order() -> None:
    digests = row_digests(np.arange(12.0).reshape(6, 2), kind="table")
    y = np.array([0, 1, 0, 1, 0, 1])
    shuffled = np.array([3, 1, 5, 0, 2, 4])
    assert content_id(digests, y) == content_id(digests[shuffled], y[shuffled])
    assert content_id(digests, y) != content_id(digests, 1 - y)
    assert content_id(digests, y) != content_id(digests[:5], y[:5])
    assert rows_id(digests[:2], digests[2:]) == rows_id(digests[shuffled])
    assert len(content_id(digests, np.eye(6, dtype=np.uint8))) == 64


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="kind 'text' is none of image, table, array"):
        row_digests(np.zeros((1, 1)), kind="text")
    with pytest.raises(ValueError, match="2 column names for 1 columns"):
        row_digests(np.zeros((1, 1)), kind="table", feature_names=("a", "b"))
