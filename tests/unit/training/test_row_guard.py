"""Rows from elsewhere, over the digits that come along."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import sources
from holdfast.core.errors import RunFailed, VaultRefused
from holdfast.core.places import vaults
from holdfast.data.loading.datamodule import DataModule
from holdfast.data.sources.embedded import digits as load
from holdfast.data.splits import Holdout
from holdfast.data.store import store, worker
from holdfast.training.first_batch import batch_facts
from holdfast.training.module import SupervisedModule, TaskSpec
from holdfast.training.row_guard import RowGuard, _guards, guarded
from holdfast.transforms import Standardize

SPLIT = {"_target_": "holdfast.data.splits.Holdout", "fractions": [0.6, 0.2, 0.2], "seed": 0}
DATA = {"name": "digits", "source": {"_target_": "holdfast.data.sources.embedded.digits"}}


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


@pytest.fixture
def data(home: Path) -> DataModule:
    request = store.make_request(DATA, SPLIT, {})
    worker.answer_request(request)
    prepared = store.find_prepared(request)
    assert prepared is not None
    return DataModule(prepared, Holdout((0.6, 0.2, 0.2)), batch_size=64, seed=0)


@pytest.fixture
def module(data: DataModule) -> SupervisedModule:
    module = SupervisedModule(Flat(), Standardize(data.statistics), TaskSpec("multiclass", 10))
    module.set_training(loss=nn.functional.cross_entropy, make_optimizer=None, make_schedule=None)  # type: ignore[arg-type]
    return module


@pytest.fixture
def guard(data: DataModule, module: SupervisedModule) -> Iterator[RowGuard]:
    with guarded(module, data, "run") as guard:
        yield guard
        guard.refusal = None
    assert not _guards
    assert not any(hasattr(vars(kind).get("forward"), "__wrapped__") for kind in (nn.Linear, Flat, SupervisedModule))


@pytest.fixture
def test_rows(data: DataModule) -> torch.Tensor:
    x, known = load().x, {row.tobytes() for row in data.prepared.x}
    return torch.from_numpy(np.array([row for row in x if row.tobytes() not in known]))


@pytest.fixture
def scaled(data: DataModule, test_rows: torch.Tensor) -> torch.Tensor:
    """The test rows as the network is shown rows; made before anybody looks."""
    return Standardize(data.statistics)(test_rows)


def _refusals(data: DataModule) -> list[dict[str, Any]]:
    entries = [json.loads(path.read_bytes()) for path in sorted(vaults().glob("*/ledger/*.json"))]
    return [entry["body"] for entry in entries if entry["type"] == "refused"]


def test_own_batches_are_not_looked_at(data: DataModule, module: SupervisedModule, guard: RowGuard) -> None:
    for batch in data.train_dataloader():
        module.training_step(batch, 0)
        module.predict(batch[0])
    with torch.inference_mode():
        for batch in data.val_dataloader():
            moved = data.transfer_batch_to_device(batch, torch.device("cpu"), 0)
            module.validation_step(moved, 0)
    module(torch.zeros(2, 8, 8, 1))  # an example input holds no row
    assert guard.num_looks == 0


def test_the_picture_of_the_first_batch_starts_no_process(data: DataModule, guard: RowGuard) -> None:
    transform = {"_target_": "holdfast.transforms.Standardize", "_partial_": True}
    facts = batch_facts({"seed": 0, "transform": transform}, data)
    assert facts["rows"] == 8
    assert guard.num_looks == 0


def test_sealed_rows_are_refused_at_every_door(
    data: DataModule, module: SupervisedModule, test_rows: torch.Tensor, scaled: torch.Tensor, guard: RowGuard
) -> None:
    other = (test_rows.permute(0, 3, 1, 2) / 16.0 - 0.1307) / 0.3081
    labels = torch.zeros(len(test_rows), dtype=torch.int64)
    overwritten = next(iter(data.train_dataloader()))
    overwritten[0].copy_(test_rows[: len(overwritten[0])])
    for door in (
        lambda: module(test_rows),
        lambda: module.forward(test_rows[:1]),
        lambda: module.predict(test_rows.float()),
        lambda: module.validation_step((test_rows, labels), 0),
        lambda: module.training_step(overwritten, 0),
        lambda: module.transform(test_rows),
        lambda: module.model(scaled),
        lambda: module.model(other),
        lambda: module.model.forward(scaled),
        lambda: module.transform.forward(test_rows),
        lambda: module.model.layer(scaled.flatten(1)),  # type: ignore[operator, union-attr]
        lambda: module.model.layer.forward(scaled.flatten(1)),  # type: ignore[operator, union-attr]
        lambda: module.forward(x=test_rows),
        lambda: copy.deepcopy(module)(test_rows),
        lambda: SupervisedModule(Flat(), Standardize(data.statistics), module.spec)(test_rows),
    ):
        guard.refusal = None
        with pytest.raises(VaultRefused, match=rf"\d+ rows that .* are sealed in vault {data.prepared.vault[:8]}"):
            door()
    expected = {"reason": "sealed rows were handed to a model while it was trained", "run": "run", "rows": 359}
    assert _refusals(data) == [expected], "once, not for every attempt"


def test_rows_of_ones_own_are_let_through(data: DataModule, module: SupervisedModule, guard: RowGuard) -> None:
    val = torch.from_numpy(data.prepared.x[data.val_rows])
    module.validation_step((val, torch.zeros(len(val), dtype=torch.int64)), 0)
    module(torch.randint(0, 17, (4, 8, 8, 1)).to(torch.uint8))
    assert guard.num_looks > 0
    assert _refusals(data) == []


def penalise(module: SupervisedModule, rows: torch.Tensor) -> None:
    """Give a module a penalty of a user's own that looks at rows."""
    module.set_training(
        loss=nn.functional.cross_entropy,
        make_optimizer=None,  # type: ignore[arg-type]
        make_schedule=None,  # type: ignore[arg-type]
        regularization=lambda model: model(rows).sum(),
    )


def test_rows_in_a_penalty_of_ones_own(
    data: DataModule, module: SupervisedModule, scaled: torch.Tensor, guard: RowGuard
) -> None:
    penalise(module, scaled)
    with pytest.raises(VaultRefused, match="are sealed in vault"):
        module.training_step(next(iter(data.train_dataloader())), 0)


def test_rows_in_a_penalty_while_it_is_checked(
    data: DataModule, module: SupervisedModule, test_rows: torch.Tensor, scaled: torch.Tensor
) -> None:
    penalise(module, scaled)

    def check() -> None:
        with guarded(module, data, "run", is_check=True) as guard:
            module(test_rows + 0)
            assert guard.num_looks == 0, "what a check itself makes of rows is ours"
            with contextlib.suppress(VaultRefused):  # a check goes on with the next
                module.training_step(next(iter(data.train_dataloader())), 0)

    with pytest.raises(VaultRefused, match="are sealed in vault"):
        check()
    assert [refusal["rows"] for refusal in _refusals(data)] == [359]


def test_another_home_midway_does_not_help(
    module: SupervisedModule, guard: RowGuard, test_rows: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOLDFAST_HOME", "HOLDFAST_KEYS", "PYTHONPATH"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(VaultRefused, match="are sealed in vault"):
        module(test_rows)


def test_a_refusal_that_is_swallowed_comes_back(
    data: DataModule, module: SupervisedModule, test_rows: torch.Tensor
) -> None:
    def run() -> None:
        with guarded(module, data, "run"):
            with contextlib.suppress(VaultRefused):
                module(test_rows)
            with pytest.raises(VaultRefused):
                module.training_step(next(iter(data.train_dataloader())), 0)

    with pytest.raises(VaultRefused, match="are sealed"):
        run()
    assert module(test_rows).shape == (359, 10), "nobody trains any more"


def test_rows_that_cannot_be_told_from_others_end_the_run(
    data: DataModule, module: SupervisedModule, guard: RowGuard, test_rows: torch.Tensor, home: Path
) -> None:
    (home / "keys" / "fingerprint.key").unlink()
    with pytest.raises(RunFailed, match=r"cannot be told from others: .* the key cannot be read"):
        module(test_rows)


def table_of(path: Path, numbers: Any, **settings: Any) -> DataModule:
    """Rows of a file of numbers; the last column is the target."""
    names = "abcdef"[: numbers.shape[1]]
    np.savetxt(path, numbers, "%.3f", ",", header=",".join(names), comments="")
    source: dict[str, Any] = {"_target_": "holdfast.data.sources.table.load", "path": str(path), "format": "csv"}
    source["settings"] = {"target": names[-1], **settings}
    prepared = store.prepare({"name": "t", "source": source}, SPLIT, {})
    return DataModule(prepared, Holdout((0.6, 0.2, 0.2)), batch_size=8, seed=0)


def test_rows_of_three_numbers_are_known(home: Path, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=(60, 4)).round(3)
    table = table_of(tmp_path / "t.csv", numbers)
    x = numbers[:, :3].astype(np.float32)
    guard = RowGuard(table.statistics, "run")
    guard.admit(torch.from_numpy(np.array(table.prepared.x)))
    with pytest.raises(VaultRefused, match="12 rows that were handed to the model are sealed"):
        guard.admit(torch.from_numpy(x))
    guard.close()


def test_rows_of_a_table_in_arrays_are_known_whatever_its_columns_are_called(home: Path) -> None:
    request = store.make_request(
        {"name": "breast_cancer", "source": {"_target_": "holdfast.sources.breast_cancer"}}, SPLIT, {}
    )
    worker.answer_request(request)
    prepared = store.find_prepared(request)
    assert prepared is not None
    assert list(prepared.feature_names) != sorted(prepared.feature_names), "in another order than the raw identity has"
    data = DataModule(prepared, Holdout(), batch_size=8, seed=0)
    guard = RowGuard(data.statistics, "run", prepared.folder / "sealed.fingerprints")
    guard.admit(torch.from_numpy(np.array(prepared.x)))
    with pytest.raises(VaultRefused, match="114 rows that were handed to the model are sealed"):
        guard.admit(torch.from_numpy(np.asarray(sources.breast_cancer().x)))
    guard.close()


def test_rows_are_known_as_the_view_of_the_run_shows_them(home: Path, tmp_path: Path) -> None:
    """Without one of their columns they are known by the fingerprints beside the view alone."""
    numbers = np.random.default_rng(0).normal(size=(60, 6)).round(3)
    table = table_of(tmp_path / "t.csv", numbers, drop=["b"])
    seen = torch.from_numpy(numbers[:, [0, 2, 3, 4]].astype(np.float32))
    blind = RowGuard(table.statistics, "run")
    blind.admit(seen)
    blind.close()
    guard = RowGuard(table.statistics, "run", table.prepared.folder / "sealed.fingerprints")
    guard.admit(torch.from_numpy(np.array(table.prepared.x)))
    for rows in (seen, Standardize(table.statistics)(seen)):
        guard.refusal = None
        with pytest.raises(VaultRefused, match=f"12 rows .* are sealed in vault {table.prepared.vault[:8]}"):
            guard.admit(rows)
    guard.close()
    assert [body["rows"] for body in _refusals(table)] == [12]
