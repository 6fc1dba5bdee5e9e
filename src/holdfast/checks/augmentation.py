"""An augmentation must leave rows what their targets say they are: a short training with it and without tells."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch

from holdfast.checks.run import check
from holdfast.checks.subject import Subject, inputs_of, outputs_of, plain_number
from holdfast.checks.verdict import Verdict, skipped

MAX_VAL = 512
LEARNT, LOST, SURE = 0.6, 0.3, 3.0
FEW = 8


@check
def augmentation(subject: Subject, *, num_steps: int = 300, max_seconds: float = 5.0) -> Verdict:
    """Train for a moment with the augmentation and without, and compare the val rows that are right, class by class.

    A picture that is turned or mirrored may be one of another class, and noise may hide what there was to see.

    Args:
        subject: The experiment.
        num_steps: At most, of each training.
        max_seconds: Of processor time, for each training.
    """
    if subject.module().augmentation is None:
        return skipped("augmentation", "there is none")
    if subject.task.is_values or subject.task.is_rows or subject.task.is_labels:
        return skipped("augmentation", "it is compared for classes alone")
    if not len(subject.datamodule.val_rows):
        return skipped("augmentation", "there are no val rows")
    without, steps = _trained(subject, num_steps, max_seconds, has_augmentation=False)
    right = _right_by_class(subject, without)
    known = {label: rows for label, rows in right.items() if len(rows) >= FEW and rows.mean() > LEARNT}
    if len(known) < 2:
        return skipped("augmentation", f"{steps} steps without it do not suffice to learn the classes")
    augmented, _ = _trained(subject, 2 * steps, math.inf, has_augmentation=True)
    later = _right_by_class(subject, augmented)
    evidence: dict[str, Any] = {
        "steps": steps,
        "right_without": {label: plain_number(rows.mean()) for label, rows in known.items()},
        "right_with": {label: plain_number(later[label].mean()) for label in known},
    }
    lost = {label: float(rows.mean() - later[label].mean()) for label, rows in known.items()}
    worst = max(lost, key=lambda label: lost[label])
    if lost[worst] < max(LOST, SURE * math.sqrt(0.5 / len(known[worst]))):
        return Verdict("augmentation", "pass", evidence)
    cause = (
        "the augmentation changes the class of a row, as a mirror or a rotation may, or hides what there is to see: "
        f"of class {worst}, {known[worst].mean():.0%} of the val rows are right after {steps} steps without it, and "
        f"{later[worst].mean():.0%} after twice as many with it"
    )
    return Verdict("augmentation", "doubtful", evidence, (cause,), "augment=none, or smaller changes")


def _trained(subject: Subject, num_steps: int, max_seconds: float, *, has_augmentation: bool) -> tuple[Any, int]:
    """A copy after some steps of the run's optimizer, and their number."""
    torch.manual_seed(0)
    module: Any = subject.module()
    if not has_augmentation:
        module.augmentation = None
    optimizer, batches = module.make_optimizer(module.model), subject.batches()
    ends, step = time.thread_time() + max_seconds, 0
    for step in range(1, num_steps + 1):
        optimizer.zero_grad()
        module.training_step(next(batches), step).backward()
        optimizer.step()
        module.train_metrics.reset()
        if time.thread_time() > ends:
            break
    return module.eval(), step


@torch.no_grad()
def _right_by_class(subject: Subject, module: Any) -> dict[int, np.ndarray[Any, Any]]:
    """For each class, one number for each of its val rows: 1 where it is right."""
    prepared, val = subject.datamodule.prepared, subject.datamodule.val_rows
    chosen = val[np.linspace(0, len(val), min(MAX_VAL, len(val)), endpoint=False).astype(np.int64)]
    y = np.asarray(prepared.y[chosen]).astype(np.int64)
    outputs = outputs_of(module, inputs_of(module, torch.from_numpy(np.array(prepared.x[chosen]))))
    guessed = outputs.argmax(dim=1) if subject.task.is_softmax else (outputs > 0).long().reshape(-1)
    return {int(label): (guessed.numpy() == y)[y == label].astype(np.float64) for label in np.unique(y)}
