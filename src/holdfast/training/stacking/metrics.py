"""One pass over rows of all members of a stack: their losses and metrics, to the bits of a single run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from holdfast.training.fit import Built
from holdfast.training.metrics import ROWS_PER_UPDATE, as_predictions, of_both_classes
from holdfast.training.metrics_at_once import compute_at_once, have_all_at_once


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
        if not values:
            return False
        for each, mean, by_target in zip(metrics, means, values, strict=True):
            each.put(mean * self.num_rows, self.num_rows, by_target)
        return True
