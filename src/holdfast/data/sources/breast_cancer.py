"""Breast cancer Wisconsin, diagnostic (Street, Wolberg and Mangasarian 1993), as embedded in scikit-learn."""

from __future__ import annotations

import numpy as np

from holdfast.data.columns import number_columns
from holdfast.data.rows import Rows


def load() -> Rows:
    """569 rows of 30 measures of cell nuclei; class 0 is malignant, class 1 benign, as scikit-learn has them."""
    from sklearn.datasets import load_breast_cancer

    cancer = load_breast_cancer()
    return Rows(
        x=cancer.data.astype(np.float32),
        y=cancer.target.astype(np.int64),
        task="binary",
        kind="table",
        class_names=tuple(str(name) for name in cancer.target_names),
        columns=number_columns(cancer.feature_names),
    )
