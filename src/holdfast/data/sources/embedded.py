"""Data sets that scikit-learn comes with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast.data.columns import number_columns
from holdfast.data.rows import Rows
from holdfast.data.sources.call import as_rows


def digits() -> Rows:
    """1,797 images of handwritten digits, 8x8 pixels from 0 to 16, ten classes (Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Rows(
        x=np.ascontiguousarray(bunch.images[..., None], np.uint8),
        y=bunch.target.astype(np.int64),
        task="multiclass",
        kind="image",
        class_names=tuple(map(str, bunch.target_names)),
    )


def breast_cancer() -> Rows:
    """569 rows of 30 measures of cell nuclei (Wisconsin, diagnostic; Street, Wolberg and Mangasarian 1993).

    Class 0 is malignant, class 1 benign, as scikit-learn has them.
    """
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return Rows(
        x=bunch.data.astype(np.float32),
        y=bunch.target.astype(np.int64),
        task="binary",
        kind="table",
        class_names=tuple(map(str, bunch.target_names)),
        columns=number_columns(bunch.feature_names),
    )


def diabetes() -> Rows:
    """442 patients, ten measures, disease progression after a year (Efron, Hastie, Johnstone and Tibshirani 2004).

    The columns are the raw ones: scikit-learn's scaled columns were scaled by all rows, test rows included.
    """
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    return Rows(
        x=bunch.data.astype(np.float32),
        y=bunch.target.astype(np.float32),
        task="regression",
        kind="table",
        columns=number_columns(bunch.feature_names),
    )


def iris(target: str | Sequence[str] = "species") -> Rows:
    """150 iris flowers of three species, four lengths in cm (Anderson 1936, Fisher 1936).

    Args:
        target: The column to predict, or several: sepal_length, sepal_width, petal_length, petal_width, species.
    """
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    names = {name: name.removesuffix(" (cm)").replace(" ", "_") for name in bunch.feature_names}
    frame = bunch.data.rename(columns=names).assign(species=bunch.target_names[bunch.target])
    return as_rows((frame, target if isinstance(target, str) else list(target)))
