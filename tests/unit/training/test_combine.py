"""The prediction of an ensemble against formulas written out for one row at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from holdfast.training.combine import mean_of, prediction_of, term_of

WEIGHTS = [0.2, 0.5, 0.3]


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def naive(outputs: Any, task: str, combine: str, temperature: float) -> Any:
    """The prediction of one row; outputs (members, ...)."""
    if task == "regression":
        return sum(w * value for w, value in zip(WEIGHTS, outputs, strict=True))
    if task == "multiclass":
        if combine == "logits":
            mean = [sum(w * z[c] for w, z in zip(WEIGHTS, outputs, strict=True)) for c in range(len(outputs[0]))]
            return softmax([logit / temperature for logit in mean])
        members = [softmax(list(logits)) for logits in outputs]
        mean = [sum(w * p[c] for w, p in zip(WEIGHTS, members, strict=True)) for c in range(len(outputs[0]))]
        powers = [p ** (1 / temperature) for p in mean]
        return [power / sum(powers) for power in powers]
    if task == "multilabel":
        return [naive([z[label] for z in outputs], "binary", combine, temperature) for label in range(len(outputs[0]))]
    if combine == "logits":
        return sigmoid(sum(w * z for w, z in zip(WEIGHTS, outputs, strict=True)) / temperature)
    p = sum(w * sigmoid(z) for w, z in zip(WEIGHTS, outputs, strict=True))
    return p ** (1 / temperature) / (p ** (1 / temperature) + (1 - p) ** (1 / temperature))


@pytest.mark.parametrize("temperature", [1.0, 0.4, 3.0])
@pytest.mark.parametrize("combine", ["probabilities", "logits"])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
def test_each_row_is_combined_by_the_formula(task: str, combine: Any, temperature: float) -> None:
    shape = (3, 20, 4) if task in ("multiclass", "multilabel") else (3, 20)
    outputs = np.random.default_rng(0).normal(size=shape, scale=2.0).astype(np.float32)
    terms = [term_of(torch.from_numpy(member), task, combine) for member in outputs]
    answer = prediction_of(mean_of(terms, WEIGHTS), task, combine, temperature).numpy()
    expected = [naive(outputs[:, row].tolist(), task, combine, temperature) for row in range(20)]
    np.testing.assert_allclose(answer, expected, rtol=2e-5, atol=1e-6)


def test_a_probability_of_one_stays_finite() -> None:
    mean = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert torch.isfinite(prediction_of(mean, "multiclass", "probabilities", 2.0)).all()
    assert torch.isfinite(prediction_of(mean[:, 0], "binary", "probabilities", 2.0)).all()
