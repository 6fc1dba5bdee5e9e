from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from holdfast.core.tasks import TASKS, task_of

P3 = np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0], [0.1, 0.1, 0.8]], np.float32)
Y3 = np.array([1, 2, 2])


def test_every_task_is_found_by_its_name() -> None:
    assert list(TASKS) == ["multiclass", "binary", "multilabel", "regression", "multitarget", "reconstruction"]
    assert all(task_of(name).name == str(task_of(name)) == name for name in TASKS)


def test_classes() -> None:
    task = task_of("multiclass")
    assert (task.num_outputs(3), task.num_columns(3), task.row_shape(3)) == (3, 3, (3,))
    assert task.truth(Y3, 3).argmax(axis=1).tolist() == [1, 2, 2]
    assert task.guesses(P3).argmax(axis=1).tolist() == task.outcomes(P3, Y3).tolist() == [1, 0, 2]
    assert task.row_losses(P3, Y3) == pytest.approx([-math.log(0.5), -math.log(1e-12), -math.log(0.8)])
    logits = torch.randn(4, 3)
    assert torch.equal(task.probabilities(logits), torch.softmax(logits, 1))


def test_two_classes_have_one_output_and_two_columns() -> None:
    task, p, y = task_of("binary"), np.array([0.5, 0.8, 0.1]), np.array([0, 1, 1])
    assert (task.num_outputs(2), task.num_columns(1), task.row_shape(1)) == (1, 2, ())
    assert task.guesses(p).tolist() == [[True, False], [False, True], [True, False]]
    assert task.truth(y, 2).tolist() == [[True, False], [False, True], [False, True]]
    assert task.row_losses(p, y).mean() == pytest.approx(log_loss(y, p))
    assert (task.scores(p)[:, 0] == -p).all()


def test_labels_are_right_together() -> None:
    task, p, y = task_of("multilabel"), np.array([[0.6, 0.4], [0.6, 0.6]]), np.array([[1, 0], [1, 0]])
    assert (task.num_outputs(2), task.row_shape(2)) == (2, (2,))
    assert task.outcomes(p, y).tolist() == [1, 0]
    assert task.row_losses(p, y)[0] == pytest.approx(-math.log(0.6))


def test_values_keep_their_units() -> None:
    task, p, y = task_of("regression"), np.array([1.0, 4.0]), np.array([2.0, 2.0])
    assert task.outcomes(p, y).tolist() == [-1, 2]
    assert task.row_losses(p, y, target_std=2.0).tolist() == [0.25, 1.0]
    assert task.probabilities(p) is p


def test_several_values_count_alike() -> None:
    task, p, y = task_of("multitarget"), np.array([[1.0, 40.0], [4.0, 20.0]]), np.array([[2.0, 20.0], [2.0, 20.0]])
    assert (task.kind, task.num_outputs(2), task.row_shape(2), task.is_flat) == ("values", 2, (2,), False)
    assert task.outcomes(p, y).tolist() == [[-1, 20], [2, 0]]
    assert task.row_losses(p, y, target_std=[2.0, 10.0]).tolist() == [(0.25 + 4.0) / 2, 0.5]
