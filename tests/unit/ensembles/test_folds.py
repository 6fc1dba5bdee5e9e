from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from holdfast.core.errors import InputError
from holdfast.data.loading.train_val import rows_of_run
from holdfast.ensembles.val_terms import fold_of_rows
from holdfast.experiment.run import Run
from holdfast.inference.network import load_run
from holdfast.inference.val_rows import val_facts

from .conftest import Train

WORDS = ["ensemble=folds", "split=kfold", "split.num_folds=3", "max_epochs=3"]


def test_each_row_is_judged_by_the_member_that_was_not_trained_on_it(train: Train) -> None:
    ensemble = train("ensemble", *WORDS, "ensemble.temperature=fit")
    record = ensemble.record
    members = [Run(ensemble.folder / entry["run"]) for entry in record["ensemble"]["members"]]
    assert [member.record["config"]["split"]["fold"] for member in members] == [0, 1, 2]
    assert [member.record["config"]["ensemble"] for member in members] == [{}] * 3

    right, guesses, truths = [], [], []
    for member in members:
        rows = rows_of_run(member.record["config"]["split"], member.record["data"])
        predicted = load_run(member.folder).network.predict(np.asarray(rows.prepared.x[rows.val])).argmax(axis=1)
        guesses.append(predicted)
        truths.append(rows.targets)
        right.append(float((predicted == rows.targets).mean()))
    assert len(np.concatenate(truths)) == len(rows.prepared.y)
    accuracy = accuracy_score(np.concatenate(truths), np.concatenate(guesses))
    assert record["best"]["metrics"]["val/accuracy"] == pytest.approx(accuracy, abs=1e-6)
    alone = [entry["metrics"]["val/accuracy"] for entry in record["ensemble"]["members"]]
    assert alone == pytest.approx(right, abs=1e-6)
    assert record["ensemble"]["mean"]["val/accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
    assert record["ensemble"]["curve"] == []
    assert record["ensemble"]["disagreement"] is None
    before, after = (record["ensemble"]["calibration"][name] for name in ("before", "after"))
    assert after["ece"] < before["ece"]

    facts = val_facts(ensemble.folder, rows.prepared.x, rows.prepared.y, rows.val)
    assert facts is not None
    confusion = np.array(facts["confusion"])
    assert confusion.sum() == len(rows.prepared.y)
    assert confusion.trace() / confusion.sum() == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split=holdout"], "ensemble: is folds, and the split Holdout has none; next: split=kfold"),
        (["split=auto"], "ensemble: is folds, and the split Auto has none; next: split=kfold"),
        (["ensemble.weights=greedy"], "ensemble.weights: is greedy, and out of fold each row has the prediction of"),
        (["ensemble.weights=[1,1]"], "ensemble.weights: is [1, 1]; allowed: equal, greedy, or 3 numbers of 0 or more"),
    ],
)
def test_bad_input(tmp_path: Path, train: Train, words: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        train("ensemble", *[word for word in WORDS if not (words[0].startswith("split=") and "split" in word)], *words)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "ensemble").exists()


def test_folds_of_other_divisions_are_refused() -> None:
    folds = [np.array([0, 2]), np.array([1]), np.array([3])]
    assert fold_of_rows(folds, 4).tolist() == [0, 1, 0, 2]
    for wrong in ([folds[0], folds[1]], [*folds, folds[1]], [folds[0], folds[1], np.array([3, 4])]):
        with pytest.raises(InputError, match="a row is in none or in several"):
            fold_of_rows(wrong, 4)
