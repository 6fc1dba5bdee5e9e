from __future__ import annotations

from typing import Any

import pytest
import torch
from torchmetrics import Metric

from holdfast.core.metrics import metrics_of
from holdfast.core.tasks import TASKS, task_of
from holdfast.testing import check_metric
from holdfast.training.metric_names import mode_of
from holdfast.training.metrics import build_metrics

# those of several targets are those of one, for each of them
ONE = [task for task in TASKS if not task_of(task).is_multitarget]
EVERY = [(task, name) for task in ONE for name in metrics_of(task) if name != "loss"]


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_metric(task: str, name: str) -> None:
    metrics = build_metrics(task, 1 if task in ("binary", "regression") else 3, [name])
    check_metric(metrics[name], task=task, mode=mode_of(name))


class Wrong(Metric):
    """The share of right rows, with one mistake."""

    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.num_seen = 0
        self.add_state("shares", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Any, targets: Any) -> None:
        self.num_seen += 1
        is_right = (predictions.argmax(dim=1) == targets).float()
        self.shares.append(is_right.mean()[None] if self.mistake == "mean of batches" else is_right)

    def compute(self) -> Any:
        shares = torch.cat(self.shares)
        if self.mistake == "no number":
            return shares
        return shares.mean() / (self.num_seen if self.mistake == "no reset" else 1)


@pytest.mark.parametrize(
    ("mistake", "mode", "words"),
    [
        ("mean of batches", "max", "must not depend on batches"),
        ("no number", "max", "must be one number"),
        ("no reset", "max", "forgotten all rows"),
        ("none", "min", "must be better"),
    ],
)
def test_mistakes_are_found(mistake: str, mode: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_metric(Wrong(mistake), task="multiclass", mode=mode)
