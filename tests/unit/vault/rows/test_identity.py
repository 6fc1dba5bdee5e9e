from __future__ import annotations

import numpy as np
import pytest

from holdfast.vault.rows.identity import row_digests, table_digests, target_words

# Of one row each as an image, an array, a table of numbers and a mixed table: sealed vaults know their rows by these.
GOLDEN = [
    "3219391db99affcd17a70f657b0024ef",
    "9238392717f6cc1b7362e3586ce3571e",
    "e0303ced54058f994a6bc597e6560001",
    "104720d949cb7539434bc552546fb96c",
]


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


def test_a_fraction_is_known_in_float32_and_a_whole_number_is_exact() -> None:
    values = np.array([[0.1, 1 / 3, 3.0], [2**24 + 1, 1700000000.25, 1e-60], [1e20, -7.1, 2**53 + 2]])
    known = row_digests(values, kind="table")
    single = row_digests(values.astype(np.float32), kind="table")
    assert (known == single).all(axis=1).tolist() == [True, False, False]
    near = row_digests(np.nextafter(values, 0), kind="table")
    assert (known == near).all(axis=1).tolist() == [True, False, False]


def test_a_table_is_known_from_numbers_texts_codes_and_objects() -> None:
    numbers = {"age": np.array([1.0, 2.5, np.nan]), "size": np.array([3, 2**53 + 1, -4])}
    texts = {"size": np.array(["3", "9007199254740993", " -4.0"]), "age": (np.array([1, 0, -1]), ["2.50", "1e0"])}
    objects = {"age": np.array([True, "2.5", None], object), "size": np.array([3, 2**53 + 1, "-4"], object)}
    missing = {"age": (np.arange(3), ["true", "2.5", "NA"]), "size": np.array([3, 2**53 + 1, -4])}
    known = table_digests(numbers)
    assert len(np.unique(known, axis=0)) == 3
    for other in (texts, objects, missing):
        assert np.array_equal(table_digests(other), known)
    renamed = table_digests({"size": numbers["age"], "age": numbers["size"]})
    assert not (renamed == known).all(axis=1).any()


def test_a_row_of_numbers_in_a_mixed_table_is_that_of_a_table_of_numbers() -> None:
    mixed = table_digests({"a": np.array([1.0, 2.0]), "b": (np.array([0, 1]), ["7", "seven"])})
    numbers = row_digests(np.array([[1.0, 7.0], [2.0, 7.0]], np.float32), kind="table", feature_names=("a", "b"))
    assert (mixed == numbers).all(axis=1).tolist() == [True, False]


def test_long_integers_and_text_are_exact() -> None:
    long = np.array([[2**53 + 1, 1], [2**53 + 2, 1], [2**53, 1]])
    digests = row_digests(long, kind="table")
    assert len(np.unique(digests, axis=0)) == 3
    assert np.array_equal(digests[1:], row_digests(long[1:].astype(float), kind="table"))
    text = np.array([["Caf\u00e9 au lait", 1], ["Cafe\u0301  au lait ", 1.0], ["Cafe", 1]], object)
    first, second, third = row_digests(text, kind="table")
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_every_one_of_several_targets_counts() -> None:
    y = np.array([[0.25, 3.0], [0.75, 3.0], [0.25, 3.5]])
    words = target_words(y.astype(np.float32), ("price", "rent"))
    assert len(np.unique(words, axis=0)) == 3
    assert (words == target_words(y, ())).all()


def test_digests_do_not_depend_on_blocks_or_order(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).normal(size=(100, 3))
    whole = row_digests(table, kind="table")
    monkeypatch.setattr("holdfast.vault.rows.identity.BLOCK_BYTES", 100)
    assert np.array_equal(row_digests(table[::-1], kind="table")[::-1], whole)
    assert row_digests(table[:0], kind="table").shape == (0, 16)


def test_digests_are_fixed_for_ever() -> None:
    image = row_digests(np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3), kind="image")
    array = row_digests(np.arange(12, dtype=np.float32).reshape(1, 2, 6) / 7, kind="array")
    numbers = np.array([[0.1, -0.0, np.nan, 2**53 + 2]])
    table = row_digests(numbers, kind="table", feature_names=("d", "b", "c", "a"))
    mixed = table_digests({"b": np.array([1.5]), "a": (np.array([0]), ["Elm Street"])})
    assert [rows.tobytes().hex() for rows in (image, array, table, mixed)] == GOLDEN


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="kind 'text' is none of image, table, array"):
        row_digests(np.zeros((1, 1)), kind="text")
    with pytest.raises(ValueError, match="zip"):
        row_digests(np.zeros((1, 1)), kind="table", feature_names=("a", "b"))
