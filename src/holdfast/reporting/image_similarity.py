"""Similarity of images: the correlation of thumbnails, which another contrast, light or size does not change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THUMBNAIL = 32
BLOCK = 2_000


def likeness(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n,) The greatest correlation of each image with one of `others`, in grey and at most 32 x 32 pixels."""
    small, known = _thumbnails(images), _thumbnails(others)
    best = np.full(len(small), -1.0, np.float32)
    for start in range(0, len(known), BLOCK):
        np.maximum(best, (small @ known[start : start + BLOCK].T).max(axis=1), out=best)
    return best


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, pixels) Means over patches, with mean 0 and length 1 in each image."""
    values = images.mean(axis=3, dtype=np.float32)
    for axis in (1, 2):
        edges = np.linspace(0, values.shape[axis], min(THUMBNAIL, values.shape[axis]) + 1).astype(np.int64)
        lengths = np.diff(edges).astype(np.float32)
        values = np.add.reduceat(values, edges[:-1], axis=axis) / (lengths[:, None] if axis == 1 else lengths)
    flat = values.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)
