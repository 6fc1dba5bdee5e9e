"""A data set by a function of the user's own: `data.source._target_` names it in place of the one here.

    # my_rows.py, beside your configs
    import numpy as np

    def load(n: int = 1000):
        x = np.random.default_rng(0).normal(size=(n, 4))
        return x, (x.sum(axis=1) > 0).astype(int)

    python train.py data=custom data.source._target_=my_rows.load trusted_modules=[my_rows] +data.source.n=500

What it may return stands in `holdfast.data.sources.call.as_rows`.
"""

from __future__ import annotations

from typing import NoReturn

from holdfast.core.errors import InputError


def load() -> NoReturn:
    """Stands for the user's function.

    Raises:
        InputError: Always.
    """
    raise InputError(
        "data.source._target_",
        "is not given",
        next="data.source._target_=my_rows.load trusted_modules=[my_rows] names your function",
    )
