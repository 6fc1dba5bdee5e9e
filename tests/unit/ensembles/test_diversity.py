from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy as reference

from holdfast.core.tasks import task_of
from holdfast.ensembles.diversity import differing, disagreement, entropy, error_correlation

RANDOM = np.random.default_rng(0)
P = RANDOM.dirichlet(np.ones(3), (4, 50)).astype(np.float32)
Y = RANDOM.integers(0, 3, 50)


def test_disagreement_counts_rows_that_are_decided_otherwise() -> None:
    matrix = np.array(disagreement(P, "multiclass"))
    expected = [[np.mean([a.argmax() != b.argmax() for a, b in zip(p, q, strict=True)]) for q in P] for p in P]
    np.testing.assert_allclose(matrix, expected)
    assert (matrix.diagonal() == 0).all()
    assert disagreement(P[:2, :, 1], "binary")[0][1] == np.mean((P[0, :, 1] > 0.5) != (P[1, :, 1] > 0.5))
    assert disagreement(P[:2], "multilabel")[0][1] == np.mean((P[0] > 0.5) != (P[1] > 0.5))
    values = np.array([[1.0, 2.0], [4.0, 6.0]], np.float32)
    assert disagreement(values, "regression")[0][1] == pytest.approx((25 / 2) ** 0.5)


def test_correlation_of_errors() -> None:
    matrix = error_correlation(P, Y, "multiclass")
    losses = [task_of("multiclass").row_losses(p, Y) for p in P]
    assert matrix[1][2] == pytest.approx(np.corrcoef(losses[1], losses[2])[0, 1])
    y = np.array([1.0, 2.0, 3.0])
    values = np.array([[2.0, 2.0, 4.0], [3.0, 2.0, 5.0], [1.0, 2.0, 3.0]], np.float32)
    matrix = error_correlation(values, y, "regression")
    assert matrix[0][1] == pytest.approx(1.0)
    assert matrix[0][2] is None, "a member without errors"


def test_entropy_is_that_of_scipy() -> None:
    p = P[0].copy()
    p[0] = [1.0, 0.0, 0.0]
    np.testing.assert_allclose(entropy(p, "multiclass"), reference(p, axis=1), rtol=1e-5, atol=1e-7)
    binary = np.array([0.0, 0.5, 0.9], np.float32)
    both = np.stack([1 - binary, binary], axis=1)
    np.testing.assert_allclose(entropy(binary, "binary"), reference(both, axis=1), rtol=1e-5)
    labels = np.array([[0.5, 1.0]], np.float32)
    assert entropy(labels, "multilabel")[0] == pytest.approx(np.log(2) / 2)


def test_members_that_differ_from_the_ensemble() -> None:
    members = np.array([[0.9, 0.9], [0.1, 0.9], [0.2, 0.8]], np.float32)
    together = np.array([0.6, 0.9], np.float32)
    assert differing(members, together, "binary", [0.5, 0.25, 0.25]).tolist() == [0.5, 0.0]
    labels = np.array([[[0.9, 0.9]], [[0.1, 0.9]]], np.float32)
    assert differing(labels, labels[0], "multilabel", [0.5, 0.5]).tolist() == [0.25]
