"""One pass over rows of all members of a stack: their losses and metrics, to the bits of a single run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from holdfast.core.tasks import Task
from holdfast.training.areas import are_probabilities, areas_under_roc, have_areas, truth
from holdfast.training.fit import Built
from holdfast.training.metrics import ROWS_PER_UPDATE, as_predictions, of_both_classes

COMPUTED_AT_ONCE = {"accuracy", "precision_macro", "recall_macro", "f1_macro", "auroc_macro"}
MOST_AT_ONCE = 2**24  # predictions whose metrics are computed at once: 64 MB


@dataclass
class Pass:
    """Losses, outputs and targets of batches until they are handed over to the members' metrics, many at a time.

    torchmetrics takes longer for few rows of one member than a step of all of them, so a pass over few rows is not
    handed over: its metrics are computed for all members at once.
    """

    members: Sequence[Built]
    name: str  # of the metrics: "train_metrics" or "val_metrics"
    losses: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)
    num_rows: int = 0  # that wait
    is_handed_over: bool = False  # whether some rows are

    def add(self, losses: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Keep a batch: losses (K,), outputs and targets (K, rows, ...)."""
        self.losses.append(losses)
        self.outputs.append(outputs)
        self.targets.append(targets)
        self.num_rows += targets.shape[1]
        if self.num_rows >= ROWS_PER_UPDATE:
            self._hand_over()

    def end(self) -> None:
        """Give the members' metrics all that they compute from."""
        if self.num_rows and (self.is_handed_over or not self._compute_at_once()):
            self._hand_over()

    def _hand_over(self) -> None:
        means, outputs, targets = self._joined()
        for member, built in enumerate(self.members):
            built.module._keep(getattr(built.module, self.name), means[member], outputs[member], targets[member])
        self.losses, self.outputs, self.targets, self.num_rows = [], [], [], 0
        self.is_handed_over = True

    def _joined(self) -> tuple[Tensor, Tensor, Tensor]:
        counts = torch.tensor([targets.shape[1] for targets in self.targets], dtype=torch.float64)
        means = counts @ torch.stack(self.losses).double() / counts.sum()
        return means, torch.cat(self.outputs, dim=1), torch.cat(self.targets, dim=1)

    def _compute_at_once(self) -> bool:
        """Compute the metrics of all members, unless they are to be computed one by one."""
        metrics, task = [getattr(built.module, self.name) for built in self.members], self.members[0].module.task
        names = metrics[0].names
        if any(each.names != names for each in metrics) or not have_all_at_once(names, task):
            return False
        means, outputs, targets = self._joined()
        predictions = torch.stack([of_both_classes(as_predictions(each, task.name), task) for each in outputs])
        values = compute_at_once(names, task, predictions, targets)
        for each, mean, by_target in zip(metrics, means, values, strict=True) if values else ():
            each.put(mean * self.num_rows, self.num_rows, by_target)
        return bool(values)


def have_all_at_once(names: Sequence[str], task: Task) -> bool:
    """Tell whether metrics of a task are all among those that can be computed at once."""
    return (task.is_classes or task.is_labels) and COMPUTED_AT_ONCE.issuperset(names)


def compute_at_once(
    names: Sequence[str], task: Task, predictions: Tensor, targets: Tensor
) -> list[dict[str, list[float]]]:
    """The metrics of each of several models, as of `compute_by_target`, to the bits of torchmetrics.

    There are none where torchmetrics has rules of its own: a class has no area, or a prediction is no probability; and
    where there is too much to be held at once.

    Args:
        names: Some of `COMPUTED_AT_ONCE`.
        task: Of classes or labels.
        predictions: Probabilities (models, rows, columns).
        targets: Classes (models, rows), or labels (models, rows, columns).
    """
    if predictions.numel() > MOST_AT_ONCE or not are_probabilities(predictions):
        return []
    is_in = truth(predictions, targets)
    if "auroc_macro" in names and not have_areas(is_in).all():
        return []
    guesses = predictions > 0.5 if task.is_labels else truth(predictions, predictions.argmax(dim=2))
    is_right = (guesses == is_in).all(dim=2)
    hits, guessed, true = (each.sum(dim=1).to(predictions.dtype) for each in (guesses & is_in, guesses, is_in))
    counts = torch.ones_like(hits) if task.is_labels else (guessed + true > 0).to(hits.dtype)

    def macro(top: Tensor, bottom: Tensor) -> Tensor:
        ratio = torch.where(bottom > 0, top / bottom, 0.0)
        return (counts * ratio / counts.sum(dim=1, keepdim=True)).sum(dim=1)

    def auroc() -> Tensor:
        scores, are_in = (each.mT.flatten(0, 1) for each in (predictions, is_in))
        areas = areas_under_roc(scores, are_in).unflatten(0, (len(predictions), -1))
        return torch.stack([each.mean() for each in areas])

    compute = {
        "accuracy": lambda: is_right.sum(dim=1).to(hits.dtype) / is_right.shape[1],
        "precision_macro": lambda: macro(hits, guessed),
        "recall_macro": lambda: macro(hits, true),
        "f1_macro": lambda: macro(2 * hits, guessed + true),
        "auroc_macro": auroc,
    }
    values = [compute[name]().double().tolist() for name in names]
    return [{name: [value] for name, value in zip(names, own, strict=True)} for own in zip(*values, strict=True)]
