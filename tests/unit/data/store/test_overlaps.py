from __future__ import annotations

import numpy as np
import pytest

from holdfast.data.store import overlaps


def _digests(*numbers: int) -> np.ndarray:
    digests = np.zeros((len(numbers), 16), np.uint8)
    digests[:, 0] = numbers
    return digests


def test_equal_rows_and_groups_are_one_unit() -> None:
    digests = _digests(5, 6, 5, 7, 8, 9)
    units = overlaps.units_of(digests, np.array([1, 2, 3, 3, 4, 2]))
    assert units[:, 0].tolist() == [5, 6, 5, 5, 8, 6]
    order = np.array([3, 5, 0, 4, 2, 1])
    assert np.array_equal(overlaps.units_of(digests[order], np.array([1, 2, 3, 3, 4, 2])[order]), units[order])
    assert overlaps.units_of(digests, np.arange(6)) is digests


def test_images_of_the_same_look_are_counted() -> None:
    random = np.random.default_rng(0)
    smooth = random.normal(size=(40, 9, 9, 3)).cumsum(axis=1).cumsum(axis=2)
    images = np.kron(smooth, np.ones((1, 4, 4, 1)))
    images = (255 * (images - images.min()) / np.ptp(images)).astype(np.uint8)
    images[20:23] = np.clip(images[:3].astype(int) + 2, 0, 255)
    test = np.arange(40) < 20
    assert overlaps.count_near_duplicates(images, test, ~test) == 3
    assert overlaps.perceptual_hashes(images).shape == (40, 256)


@pytest.mark.parametrize(("shape", "is_large"), [((2, 8, 8, 1), False), ((2, 16, 17, 3), True), ((2, 30), False)])
def test_small_images_have_no_thumbnails(shape: tuple[int, ...], is_large: bool) -> None:
    assert overlaps.has_thumbnails(np.zeros(shape, np.uint8)) is is_large
