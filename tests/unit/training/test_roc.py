from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from holdfast.training.roc import areas_under_roc

ROWS, COLUMNS = 300, 4


@pytest.mark.parametrize("levels", [5, 10**6], ids=["many ties", "hardly any"])
@pytest.mark.parametrize("are_labels", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_areas_are_scikit_learns(levels: int, are_labels: bool, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(levels)
    predictions = torch.randint(levels, (ROWS, COLUMNS), generator=generator).to(dtype) / levels
    labels = torch.randint(2, (ROWS, COLUMNS), generator=generator)
    classes = torch.randint(COLUMNS, (ROWS,), generator=generator)
    is_in = labels if are_labels else torch.nn.functional.one_hot(classes, COLUMNS)
    areas = areas_under_roc(predictions, labels if are_labels else classes)
    expected = [roc_auc_score(is_in[:, column], predictions[:, column]) for column in range(COLUMNS)]
    assert areas.dtype is dtype
    assert areas.tolist() == pytest.approx(expected, abs=1e-6 if dtype is torch.float32 else 1e-12)


def test_a_class_without_rows_has_no_area() -> None:
    areas = areas_under_roc(torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), torch.tensor([0, 1]))
    assert areas[:2].tolist() == [1.0, 1.0]
    assert areas[2].isnan()
