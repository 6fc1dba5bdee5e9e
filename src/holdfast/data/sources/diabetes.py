"""Diabetes progression (Efron, Hastie, Johnstone and Tibshirani 2004, Least Angle Regression), in scikit-learn."""

from __future__ import annotations

import numpy as np

from holdfast.data.columns import number_columns
from holdfast.data.rows import Rows


def load() -> Rows:
    """442 patients, ten measures, disease progression after a year.

    The columns are the raw ones: scikit-learn's scaled columns were scaled by all rows, test rows included.
    """
    from sklearn.datasets import load_diabetes

    diabetes = load_diabetes(scaled=False)
    return Rows(
        x=diabetes.data.astype(np.float32),
        y=diabetes.target.astype(np.float32),
        task="regression",
        kind="table",
        columns=number_columns(diabetes.feature_names),
    )
