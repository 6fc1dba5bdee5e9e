from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from holdfast.config.resolve import call_target
from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.loading.train_val import RunRows, compute, rows_of_run
from holdfast.data.statistics import input_columns
from holdfast.data.store import store
from holdfast.ensembles.scores import score
from holdfast.evaluation.freeze.validation import (
    exact_loss,
    predict_out_of_fold,
    predict_val,
    refuse_other_columns,
    refuse_other_scores,
    refuse_other_statistics,
    refuse_unstable,
    val_scores,
)

from ..conftest import SPLIT, FakePredictor, predict_rows

MEMBERS = [{"folder": ".", "checkpoint": "weight", "weight": 1.0}]


@pytest.fixture
def val(prepared: store.Prepared) -> RunRows:
    return compute(prepared, call_target(SPLIT, "split"))


def _predictor(tmp_path: Path, weight: float = 1.0) -> Any:
    (tmp_path / "weight").write_text(str(weight))
    return FakePredictor([{"members": MEMBERS}], tmp_path)


def test_a_model_of_single_rows_is_stable(tmp_path: Path, val: RunRows) -> None:
    predictor = _predictor(tmp_path)
    refuse_unstable(predictor, val, predict_val(predictor, val, ()), 1e-6)


def test_each_row_is_predicted_by_the_model_that_has_it_in_its_fold(tmp_path: Path, val: RunRows) -> None:
    for number in range(2):
        (tmp_path / f"weight{number}").write_text(str(1.0 + number))
    members = [[{**MEMBERS[0], "checkpoint": f"weight{number}"}] for number in range(2)]
    predictor: Any = FakePredictor([{"members": each} for each in members], tmp_path)
    every = np.arange(len(val.prepared.y))
    folds = [replace(val, val=every[::2]), replace(val, val=every[1::2])]
    predictions, rows = predict_out_of_fold(predictor, folds, ())
    x = np.asarray(val.prepared.x)
    expected = np.where(every % 2, predict_rows(x, 2.0), predict_rows(x, 1.0))
    np.testing.assert_array_equal(predictions, expected.astype(np.float32))
    np.testing.assert_array_equal(rows.targets, np.asarray(val.prepared.y))
    with pytest.raises(VaultRefused, match="a row is in none or in several"):
        predict_out_of_fold(predictor, [folds[0], folds[0]], ())


def _of_batch(rows: Any, batch_size: int) -> Any:
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return np.concatenate([part - 0.01 * part.mean() for part in parts]).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_of_batch, "predictions change with the order of rows or the size of a batch"),
        (lambda rows, size: rows + np.float32(0.001) * np.arange(len(rows), dtype=np.float32), "the order of rows"),
        (lambda rows, size: rows + np.float32(0.001 * (size == 1)), r"change with the size of a batch \(by 0.001\)"),
    ],
)
def test_a_model_that_looks_at_its_batch_is_refused(
    tmp_path: Path, val: RunRows, monkeypatch: pytest.MonkeyPatch, change: Any, words: str
) -> None:
    real = FakePredictor.predict

    def predict(self: FakePredictor, *values: Any, batch_size: int = 1024, **options: Any) -> Any:
        return np.stack([change(rows, batch_size) for rows in real(self, *values, **options)])

    monkeypatch.setattr(FakePredictor, "predict", predict)
    predictor = _predictor(tmp_path)
    predictions = predict_val(predictor, val, ())
    with pytest.raises(VaultRefused, match=words):
        refuse_unstable(predictor, val, predictions, 1e-6)


def test_half_precision_may_move_a_little_more(tmp_path: Path, val: RunRows, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FakePredictor.predict
    monkeypatch.setattr(
        FakePredictor,
        "predict",
        lambda self, *v, batch_size=1024, **o: real(self, *v, **o) + np.float32(0.01 * (batch_size == 1)),
    )
    predictor = _predictor(tmp_path)
    predictions = predict_val(predictor, val, ())
    refuse_unstable(predictor, val, predictions, 2e-2)
    with pytest.raises(VaultRefused):
        refuse_unstable(predictor, val, predictions, 1e-6)


def test_the_loss_of_a_saturated_model_is_not_hidden(tmp_path: Path, val: RunRows) -> None:
    """float32 probabilities are 0 and 1 here; the logits still say what the loss is."""
    predictor = _predictor(tmp_path, 40.0)
    probabilities = predict_val(predictor, val, ())
    assert (probabilities == 1).any()
    logits = 40.0 * (val.prepared.x[val.val][:, 0].astype(np.float64) - 15)
    expected = np.logaddexp(0, np.where(val.targets > 0, 1, -1) * logits).mean()
    value, rounding = exact_loss(predictor, val, "binary", 1)
    assert value == pytest.approx(expected)
    assert rounding < 1e-3 * value


def _rows(y: Any, target_std: float | None = None) -> Any:
    """Val rows of which the targets alone matter."""
    return SimpleNamespace(targets=np.asarray(y), target_std=target_std or 1.0)


def test_slack_counts_ties_and_close_pairs() -> None:
    p = np.array([0.5, 0.9, 0.1, 0.1], np.float32)
    slacks = {name: slack for name, (_, slack) in val_scores(p, _rows([1, 1, 0, 1]), "binary", 1, 1e-6).items()}
    assert slacks["accuracy"] == 0.25
    assert slacks["recall_macro"] == pytest.approx(1 / 6)  # a third of one of two classes
    assert slacks["auroc_macro"] == pytest.approx(1 / 6)  # half of one of three pairs
    assert slacks["loss"] < 3e-6


def test_a_probability_that_rounds_to_one_bounds_the_loss() -> None:
    scores = val_scores(np.array([1.0, 0.1], np.float32), _rows([0, 0]), "binary", 1, 1e-6)
    assert scores["loss"][1] == pytest.approx(6.5, abs=0.1)


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
def test_predictions_that_move_stay_within_the_slack(task: str) -> None:
    random = np.random.default_rng(0)
    step, std, num_outputs = 0.03, 2.0, 1 if task in ("binary", "regression") else 3
    y = {
        "multiclass": random.integers(0, 3, 80),
        "multilabel": random.integers(0, 2, (80, 3)),
        "binary": random.integers(0, 2, 80),
        "regression": random.normal(0, std, 80).astype(np.float32),
    }[task]
    shape = (80, 3) if num_outputs == 3 else (80,)
    p = random.random(shape, np.float32) if task != "regression" else y + random.normal(size=80).astype(np.float32)
    if task == "multiclass":
        p /= p.sum(axis=1, keepdims=True)
    scores = val_scores(p, _rows(y, std), task, num_outputs, step)
    for _ in range(20):
        moved = p + (step * std if task == "regression" else step) * random.choice([-1.0, 1.0], p.shape)
        if task != "regression":
            moved = moved.clip(0, 1)
        others = score(moved.astype(np.float32), y, task=task, num_outputs=num_outputs, target_std=std)
        for name, (value, slack) in scores.items():
            if name != "loss" or task == "regression":
                assert abs(others[name] - value) <= slack + 1e-6, name
                assert 0 < slack < 0.5, name


def test_other_scores_are_refused() -> None:
    scores = {"accuracy": (0.9, 0.01), "auroc_macro": (float("nan"), 0.0)}
    refuse_other_scores({"val/accuracy": 0.905}, scores, 1e-6)
    with pytest.raises(VaultRefused, match=r"val/accuracy: was 0.92 when the run was recorded, and is 0.9 from its"):
        refuse_other_scores({"val/accuracy": 0.92}, scores, 1e-6)
    with pytest.raises(VaultRefused, match=r"val/auroc_macro: was 0.5 when the run was recorded, and is undefined"):
        refuse_other_scores({"val/accuracy": 0.9, "val/auroc_macro": 0.5}, scores, 1e-6)


def test_statistics_of_other_rows_are_refused() -> None:
    expected = {"transform.mean": np.array([1.0, 2.0], np.float32), "target_std": np.float32(3.0).reshape(())}
    refuse_other_statistics("a.ckpt", expected, {**expected, "model.weight": np.ones(3)})
    refuse_other_statistics("a.ckpt", expected, {**expected, "transform.mean": np.array([1.000005, 2.0])})
    wrong = {
        "is not what the train rows alone give .relative difference 0.0001": np.array([1.0001, 2.0]),
        "relative difference inf": np.array([1.0]),
    }
    for words, mean in wrong.items():
        with pytest.raises(VaultRefused, match=f"a.ckpt: transform.mean.*{words}"):
            refuse_other_statistics("a.ckpt", expected, {**expected, "transform.mean": mean})
    with pytest.raises(VaultRefused, match="target_std"):
        refuse_other_statistics("a.ckpt", expected, {"transform.mean": expected["transform.mean"]})
    same = {"transform.fill": np.array([np.nan, np.inf])}
    refuse_other_statistics("a.ckpt", same, {"transform.fill": np.array([np.nan, np.inf])})
    with pytest.raises(VaultRefused, match=r"transform\.fill"):
        refuse_other_statistics("a.ckpt", same, {"transform.fill": np.array([np.nan, 0.0])})


def test_columns_of_other_rows_are_refused(val: RunRows) -> None:
    columns = [column.as_dict() for column in input_columns(val.prepared.columns, val.statistics)]
    assert len(columns) == 30
    shapes = {"view": val.prepared.view, "columns": columns}
    refuse_other_columns("a.ckpt", val, {"holdfast": {"shapes": shapes}})
    other = {**shapes, "columns": [{**columns[0], "has_missing": True}, *columns[1:]]}
    with pytest.raises(VaultRefused, match=r"a\.ckpt: columns are not what the train rows alone give"):
        refuse_other_columns("a.ckpt", val, {"holdfast": {"shapes": other}})
    for view in ({**val.prepared.view, "dtype": "float64"}, None):
        with pytest.raises(VaultRefused, match=r"a\.ckpt: has another view of its rows than the store"):
            refuse_other_columns("a.ckpt", val, {"holdfast": {"shapes": {**shapes, "view": view}}})


def test_statistics_are_those_of_the_part_that_trained(prepared: store.Prepared, val: RunRows) -> None:
    fields = {"rows": prepared.id, "subset": 0.5, "val_sha256": store.val_sha256(prepared, val.val)}
    part = rows_of_run(SPLIT, fields, anew=True)
    assert part.statistics.num_rows == round(val.statistics.num_rows / 2)
    assert np.array_equal(part.val, val.val)


def test_val_rows_of_another_run_are_refused(prepared: store.Prepared, val: RunRows) -> None:
    shuffled = np.random.default_rng(0).permutation(val.val)
    assert store.val_sha256(prepared, shuffled) == store.val_sha256(prepared, val.val), "a set of rows"
    fields = {"rows": prepared.id, "subset": None, "val_sha256": store.val_sha256(prepared, val.val[1:])}
    with pytest.raises(InputError, match="the val rows in the store are not those of the run"):
        rows_of_run(SPLIT, fields, anew=True)
