from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError

from holdfast.ensembles.calibration import NUM_BINS, calibration, fit_temperature
from holdfast.training.combine import prediction_of

RANDOM = np.random.default_rng(0)
LOGITS = torch.from_numpy(RANDOM.normal(size=(2000, 4)).astype(np.float32))
TRUTH = torch.multinomial(LOGITS.softmax(dim=1), 1, generator=torch.Generator().manual_seed(0))[:, 0].numpy()


def test_multiclass_against_torchmetrics_and_scikit_learn() -> None:
    p = (3.0 * LOGITS).softmax(dim=1)
    answer = calibration(p.numpy(), TRUTH, "multiclass")
    reference = MulticlassCalibrationError(num_classes=4, n_bins=NUM_BINS, norm="l1")(p, torch.from_numpy(TRUTH))
    assert answer["ece"] == pytest.approx(float(reference), abs=1e-6)
    assert answer["brier"] == pytest.approx(brier_score_loss(TRUTH, p.numpy(), scale_by_half=False), abs=1e-6)
    assert sum(each["rows"] for each in answer["bins"]) == 2000
    right = sum(each["rows"] * each["accuracy"] for each in answer["bins"])
    assert right == pytest.approx((p.argmax(dim=1).numpy() == TRUTH).sum())


def test_binary_and_labels() -> None:
    p = RANDOM.random(500).astype(np.float32)
    y = (RANDOM.random(500) < p**2).astype(np.int64)
    answer = calibration(p, y, "binary")
    assert answer["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-6)
    reference = MulticlassCalibrationError(num_classes=2, n_bins=NUM_BINS, norm="l1")
    both = torch.from_numpy(np.stack([1 - p, p], axis=1))
    assert answer["ece"] == pytest.approx(float(reference(both, torch.from_numpy(y))), abs=1e-5)
    of_labels = calibration(p.reshape(250, 2), y.reshape(250, 2), "multilabel")
    flat = BinaryCalibrationError(n_bins=NUM_BINS, norm="l1")(torch.from_numpy(p), torch.from_numpy(y))
    assert of_labels["brier"] == pytest.approx(answer["brier"])
    assert of_labels["ece"] == pytest.approx(float(flat), abs=1e-5)


@pytest.mark.parametrize("combine", ["probabilities", "logits"])
def test_the_temperature_is_found_again(combine: str) -> None:
    term = 2.5 * LOGITS if combine == "logits" else (2.5 * LOGITS).softmax(dim=1)

    def loss_of(temperature: float) -> float:
        p = prediction_of(term, "multiclass", combine, temperature)  # type: ignore[arg-type]
        return float(log_loss(TRUTH, p.numpy(), labels=range(4)))

    temperature = fit_temperature(loss_of)
    assert temperature == pytest.approx(2.5, rel=0.1)
    grid = np.geomspace(0.5, 10, 200)
    assert temperature == pytest.approx(min(grid, key=loss_of), rel=0.02)
    assert loss_of(temperature) < loss_of(1.0)
