from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError, VaultRefused
from holdfast.experiment.run import write_report
from holdfast.inference.network import load_run
from holdfast.training.restore import load_model

from .conftest import MakeRun

X = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("task", "columns"), [("multiclass", (3,)), ("binary", ()), ("multilabel", (3,)), ("regression", ())]
)
def test_a_run_predicts_as_it_is_restored(make_run: MakeRun, task: str, columns: tuple[int, ...]) -> None:
    run = make_run(task=task)
    predictions = load_run(run).network.predict(X, batch_size=3)
    assert (predictions.shape, predictions.dtype) == ((7, *columns), np.float32)
    np.testing.assert_allclose(predictions, load_model(run).predict(X), rtol=1e-6)
    assert load_run(run).network.predict(X[:0]).shape == (0, *columns)


def test_an_ensemble_is_the_weighted_mean(make_ensemble: MakeRun) -> None:
    folder = make_ensemble(task="regression")
    first, other = (load_model(folder.parent / name).predict(X) for name in ("one", "other"))
    assert np.abs(first - other).max() > 1
    np.testing.assert_allclose(load_run(folder).network.predict(X), 0.25 * first + 0.75 * other, rtol=1e-5)


def test_logits_are_averaged_and_divided_by_the_temperature(make_ensemble: MakeRun) -> None:
    network = load_run(make_ensemble(combine="logits", temperature=2.5)).network
    logits = [member(torch.from_numpy(X)).detach().numpy().astype(float) for member in network.members]
    powers = np.exp((0.25 * logits[0] + 0.75 * logits[1]) / 2.5)
    np.testing.assert_allclose(network.predict(X), powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)
    members, together = network.predict_members(X, batch_size=3)
    alone = np.exp(logits[1])
    np.testing.assert_allclose(members[1], alone / alone.sum(axis=1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(together, network.predict(X), rtol=1e-6)


def test_a_member_that_changed_or_is_gone(make_ensemble: MakeRun) -> None:
    folder = make_ensemble()
    path = folder.parent / "other" / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(VaultRefused, match="was changed since the ensemble was made") as raised:
        load_run(folder)
    assert raised.value.exit_code == 3, "as freeze does"
    path.unlink()
    with pytest.raises(InputError, match=r"has no checkpoints/best\.ckpt any more"):
        load_run(folder)
    with pytest.raises(InputError, match=r"has no checkpoints/best\.ckpt any more"):
        write_report(folder)


def test_an_ensemble_that_was_moved_with_its_members(make_ensemble: MakeRun, tmp_path: Path) -> None:
    folder = make_ensemble()
    expected = load_run(folder).network.predict(X)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("one", "other", "ensemble"):
        (tmp_path / name).rename(moved / name)
    np.testing.assert_array_equal(load_run(moved / "ensemble").network.predict(X), expected)


def test_a_run_without_a_model(make_run: MakeRun) -> None:
    run = make_run(best=None, status="failed")
    with pytest.raises(InputError, match=r"has no trained model \(status failed\)"):
        load_run(run)


def test_a_run_of_before_rows_were_described(make_run: MakeRun) -> None:
    run = make_run()
    record = json.loads((run / "run.json").read_text())
    del record["data"]["row_shape"]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="train it again with this version"):
        load_run(run)
