"""Optical recognition of handwritten digits (Alpaydin and Kaynak 1998), as embedded in scikit-learn."""

from __future__ import annotations

import numpy as np

from holdfast.data.rows import Rows


def load() -> Rows:
    """1,797 images of 8x8 pixels from 0 to 16, ten classes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Rows(
        x=np.ascontiguousarray(digits.images[..., None], np.uint8),
        y=digits.target.astype(np.int64),
        task="multiclass",
        kind="image",
        class_names=tuple(str(name) for name in digits.target_names),
    )
