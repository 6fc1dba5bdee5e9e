from __future__ import annotations

import pytest
import torch
from torchmetrics.functional import auroc

from holdfast.training import areas
from holdfast.training.areas import MacroArea, areas_under_roc, have_areas, truth

pytestmark = pytest.mark.filterwarnings("ignore:No positive samples:UserWarning")


@pytest.mark.parametrize("num_rows", [9, 1000])
@pytest.mark.parametrize("levels", [2, 50, 10**6], ids=["two values", "many ties", "hardly a tie"])
@pytest.mark.parametrize("are_labels", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_areas_under_roc_are_the_bits_of_torchmetrics(
    num_rows: int, levels: int, are_labels: bool, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(levels + num_rows)
    predictions = torch.randint(levels, (num_rows, 5), generator=generator).to(dtype) / levels
    targets = torch.randint(2 if are_labels else 5, (num_rows, 5) if are_labels else (num_rows,), generator=generator)
    task = {"task": "multilabel", "num_labels": 5} if are_labels else {"task": "multiclass", "num_classes": 5}
    is_in = truth(predictions, targets)
    has_area = have_areas(is_in)
    expected = auroc(predictions, targets, average="none", **task)[has_area]
    assert len(expected) >= 1
    assert areas_under_roc(predictions.mT[has_area], is_in.mT[has_area]).tolist() == expected.tolist()


def test_columns_that_are_many_numbers_are_sorted_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, is_in = (
        torch.rand(5, 100, generator=torch.Generator().manual_seed(0)),
        torch.arange(100).expand(5, 100) > 30,
    )
    expected = areas_under_roc(scores, is_in)
    monkeypatch.setattr(areas, "MOST_AT_ONCE", 250)
    assert areas_under_roc(scores, is_in).tolist() == expected.tolist()


@pytest.mark.parametrize("place_of_nan", [None, (3, 1)])
@pytest.mark.parametrize("num_classes", [3, 4], ids=["all classes", "one without rows"])
def test_a_macro_area_is_the_mean_of_those_that_are_defined(
    place_of_nan: tuple[int, int] | None, num_classes: int
) -> None:
    predictions = torch.rand(40, num_classes, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    if place_of_nan is not None:
        predictions[place_of_nan] = torch.nan
    targets = torch.arange(40) % 3
    metric = MacroArea("auroc", "multiclass", num_classes=num_classes)
    metric.update(predictions[:25], targets[:25])
    metric.update(predictions[25:], targets[25:])
    expected = auroc(predictions, targets, "multiclass", num_classes=num_classes, average="none")[:3].mean()
    assert metric.compute().tolist() == expected.tolist()
