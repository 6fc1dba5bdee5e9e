from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from holdfast.core.errors import InputError
from holdfast.evaluation.own_metrics import answer

KAPPA = {"_target_": "torchmetrics.classification.MulticlassCohenKappa"}
HEADER = {"names": ["kappa"], "task": "multiclass", "num_outputs": 3, "draws": 5, "seed": 0}


def rows() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 3, 60), random.dirichlet(np.ones(3), 60).astype(np.float32)]


@pytest.mark.parametrize("in_groups", [False, True])
def test_values_on_all_rows_and_on_drawn_ones(home: object, in_groups: bool) -> None:
    y, predictions = rows()
    groups = [np.arange(60) // 2] if in_groups else []
    config = {"metrics": {"kappa": KAPPA}, "trusted_modules": []}
    _, (values,) = answer({**HEADER, "config": config}, [y, predictions, *groups])
    assert values.shape == (6, 1)
    assert values[0, 0] == pytest.approx(cohen_kappa_score(y, predictions.argmax(axis=1)), abs=1e-6)
    assert len(set(values[:, 0].tolist())) > 3


def test_a_class_that_nobody_trusted_is_not_imported(home: object) -> None:
    config = {"metrics": {"kappa": {"_target_": "evil.Metric"}}, "trusted_modules": ["evil"]}
    with pytest.raises(InputError, match="not trusted"):
        answer({**HEADER, "config": config}, rows())
