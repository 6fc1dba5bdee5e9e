from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError, VaultLocked
from holdfast.data.loading import datamodule as datamodule_module
from holdfast.data.loading.batches import RowOrder
from holdfast.data.loading.datamodule import DataModule
from holdfast.data.splits import Holdout
from holdfast.data.store.store import Prepared, read_view

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")


@pytest.fixture
def prepared(make_prepared: Callable[..., Prepared]) -> Prepared:
    """161 images of three classes."""
    x = np.random.default_rng(0).integers(0, 256, (161, 4, 3, 2), dtype=np.uint8)
    return make_prepared(x, np.arange(161) % 3, kind="image")


def module_of(prepared: Prepared, **options: Any) -> DataModule:
    return DataModule(prepared, Holdout(), **{"batch_size": 32, "seed": 5, **options})


def epoch_of(data: DataModule, epoch: int) -> list[tuple[Tensor, Tensor]]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    batches = list(loader)
    assert len(batches) == len(loader)
    return batches


def test_train_and_val_rows(prepared: Prepared) -> None:
    data = module_of(prepared)
    assert sorted([*data.train_rows, *data.val_rows]) == list(range(161))
    assert len(data.val_rows) == 40
    assert (data.input_shape, data.num_outputs, data.task) == ((2, 4, 3), 3, "multiclass")
    x, y = (torch.cat(part) for part in zip(*data.val_dataloader(), strict=True))
    assert np.array_equal(x.numpy(), prepared.x[data.val_rows])
    assert (x.dtype, y.dtype) == (torch.uint8, torch.int64)
    seen = torch.cat([x for x, _ in epoch_of(data, 0)]).numpy()
    assert sorted(row.tobytes() for row in seen) == sorted(row.tobytes() for row in prepared.x[data.train_rows])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_rows_that_a_view_leaves_out_are_in_no_batch(prepared: Prepared, num_workers: int) -> None:
    kept = np.arange(161) % 5 > 0
    label_of = {row.tobytes(): label for row, label in zip(prepared.x, prepared.y, strict=True)}
    np.save(prepared.folder / "kept.npy", kept)
    np.save(prepared.folder / "x.npy", np.array(prepared.x)[kept])
    view = read_view(prepared.folder)
    data = module_of(view, resident=False, num_workers=num_workers)
    x, y = (torch.cat(part) for part in zip(*epoch_of(data, 0), *data.val_dataloader(), strict=True))
    assert len(x) == kept.sum()
    assert [label_of[row.tobytes()] for row in x.numpy()] == y.tolist()


def test_description_is_json(prepared: Prepared) -> None:
    noted = replace(prepared, notes=("1 left out: cat/0.png is empty",))
    description = json.loads(json.dumps(module_of(noted).describe()))
    assert description["notes"] == list(noted.notes), "what was left out stands in the record"
    assert description["train_rows"] + description["val_rows"] == 161
    assert description["split"]["split"] == "holdout"
    assert description["input_shape"] == [2, 4, 3]
    assert (description["row_shape"], description["dtype"]) == ([4, 3, 2], "uint8")


def test_val_hash_tells_val_parts_apart(prepared: Prepared) -> None:
    first, second = (DataModule(prepared, Holdout(val_seed=seed), batch_size=8, seed=0) for seed in (0, 1))
    assert first.val_sha256 == module_of(prepared, seed=9, batch_size=4).val_sha256
    assert first.val_sha256 != second.val_sha256


def test_derived_values_are_remembered_and_mended(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    first = module_of(prepared)
    (file,) = (prepared.folder / "derived").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(Holdout, "val_rows", None)
        second = module_of(prepared)
    assert np.array_equal(first.val_rows, second.val_rows)
    assert np.array_equal(first.statistics.std, second.statistics.std)
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(module_of(prepared).statistics.mean, first.statistics.mean)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_both_ways_give_the_same_batches(prepared: Prepared, num_workers: int) -> None:
    resident = module_of(prepared, resident=True)
    loaded = module_of(prepared, resident=False, num_workers=num_workers)
    for epoch in (0, 3):
        state = torch.get_rng_state()
        for gathered, read in zip(epoch_of(resident, epoch), epoch_of(loaded, epoch), strict=True):
            assert torch.equal(gathered[0], read[0])
            assert torch.equal(gathered[1], read[1])
            assert gathered[1].dtype == read[1].dtype
        assert torch.equal(torch.get_rng_state(), state), "the model's randomness was used"
    for gathered, read in zip(resident.val_dataloader(), loaded.val_dataloader(), strict=True):
        assert torch.equal(gathered[0], read[0])


def test_order_depends_on_seed_and_epoch_alone(prepared: Prepared) -> None:
    def labels(seed: int, epoch: int) -> list[int]:
        return torch.cat([x[:, 0, 0, 0] for x, _ in epoch_of(module_of(prepared, seed=seed), epoch)]).tolist()

    assert labels(5, 1) == labels(5, 1)
    assert len({tuple(labels(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (1, 4, [1]), (3, 1, [1, 1, 1]), (5, 4, [5])],
)
def test_last_batch_of_one_row_joins_the_one_before(num_rows: int, batch_size: int, sizes: list[int]) -> None:
    order = RowOrder(torch.arange(num_rows), batch_size=batch_size, seed=0)
    assert [len(batch) for batch in order.batches()] == sizes
    assert len(order) == len(sizes)


@pytest.mark.parametrize(("num_rows", "sizes"), [(11, [4, 4, 3]), (12, [4, 4, 4]), (9, [4, 5]), (10, [4, 6])])
def test_devices_share_every_batch(num_rows: int, sizes: list[int]) -> None:
    """The batches of one device, each in three parts; a rest of two joins the batch before it."""
    whole = list(RowOrder(torch.arange(num_rows), batch_size=4, seed=0).batches())
    shares = [RowOrder(torch.arange(num_rows), batch_size=4, seed=0, rank=rank, num_ranks=3) for rank in range(3)]
    batches = [list(share.batches()) for share in shares]
    assert [len(share) for share in shares] == [len(sizes)] * 3
    together = [torch.cat([part[index] for part in batches]) for index in range(len(sizes))]
    assert [len(batch) for batch in together] == sizes
    assert [int(batch.sum()) for batch in together[:-1]] == [int(batch.sum()) for batch in whole[: len(sizes) - 1]]
    assert sorted(torch.cat(together).tolist()) == list(range(num_rows))
    assert all(len(part) for parts in batches for part in parts)


def test_balanced_sampling_draws_every_class_as_often(make_prepared: Callable[..., Prepared]) -> None:
    y = np.repeat([0, 1, 2], [1200, 280, 20])
    prepared = make_prepared(np.arange(1500, dtype=np.float32)[:, None], y, kind="table")
    data = module_of(prepared, sampling="balanced", seed=1)
    epoch, again = ([torch.cat(part) for part in zip(*epoch_of(data, 0), strict=True)] for _ in (0, 1))
    labels, other = epoch[1], torch.cat([y for _, y in epoch_of(data, 1)])
    assert torch.equal(epoch[0], again[0]), "not fixed by (seed, epoch)"
    assert not torch.equal(labels, other)
    counts = torch.bincount(labels)
    assert counts.sum() == len(data.train_rows) == 1125
    assert (counts - 375).abs().max() < 4 * np.sqrt(1125 * 2 / 9)
    rare = epoch[0][labels == 2].ravel().unique(return_counts=True)[1]
    assert len(rare) == 15, "each of its rows"
    assert set(epoch[0].ravel().long().tolist()) <= set(data.train_rows.tolist())
    assert torch.bincount(torch.cat([y for _, y in data.val_dataloader()])).tolist() == [300, 70, 5]
    loaded = module_of(prepared, sampling="balanced", seed=1, resident=False)
    assert torch.equal(torch.cat([x for x, _ in epoch_of(loaded, 0)]), epoch[0])


def test_a_part_of_the_train_rows(prepared: Prepared) -> None:
    whole, part = module_of(prepared), module_of(prepared, subset=0.25, batch_size=8)
    assert len(part.train_rows) == 30
    assert set(part.train_rows) < set(whole.train_rows)
    assert part.val_sha256 == whole.val_sha256
    assert part.statistics.num_rows == 30
    assert part.statistics.class_counts == (10, 10, 10)
    exact = prepared.x[part.train_rows].astype(np.float64)
    np.testing.assert_allclose(part.statistics.mean, exact.mean(axis=0), rtol=1e-12)
    assert np.array_equal(module_of(prepared, subset=0.25, batch_size=8).statistics.mean, part.statistics.mean), (
        "from the store"
    )
    assert (part.describe()["subset"], part.describe()["train_rows"]) == (0.25, 30)


def test_targets_of_a_regression_are_floats(make_prepared: Callable[..., Prepared]) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    prepared = make_prepared(x, np.arange(40, dtype=np.float32), kind="table")
    data = module_of(prepared, batch_size=8)
    assert (data.input_shape, data.num_outputs) == ((2,), 1)
    with pytest.raises(InputError, match="a regression task has no classes to draw by; allowed: null"):
        module_of(prepared, sampling="balanced")
    x0, y0 = next(iter(data.train_dataloader()))
    assert (x0.dtype, y0.dtype) == (torch.float32, torch.float32)


def test_auto_goes_by_free_memory(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    size = prepared.x.nbytes + prepared.y.nbytes
    for free, expected in ((2 * size, True), (2 * size - 1, False)):
        monkeypatch.setattr(datamodule_module, "free_bytes", lambda device, free=free: free)
        assert module_of(prepared).is_resident(torch.device("cpu")) is expected
    assert module_of(prepared, resident=True).is_resident(torch.device("cpu"))


def test_test_rows_are_not_here(prepared: Prepared) -> None:
    data = module_of(prepared)
    for method in (data.test_dataloader, data.predict_dataloader):
        with pytest.raises(VaultLocked, match="sealed in the vault"):
            method()


def test_lightning_cannot_reach_them_either(prepared: Prepared, tmp_path: Path) -> None:
    class Nosy(Probe):
        def test_step(self, batch: object, index: int) -> None:
            raise AssertionError("a test row")

        predict_step = test_step

    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    for verb in (trainer.test, trainer.predict):
        with pytest.raises(VaultLocked):
            verb(Nosy(), datamodule=module_of(prepared))
    assert len(trainer.validate(Nosy(), datamodule=module_of(prepared), verbose=False)) == 1


def test_a_batch_larger_than_the_train_rows_is_all_of_them(prepared: Prepared) -> None:
    """The default of 64 rows must not refuse a table of 50."""
    module = module_of(prepared, batch_size=1000)
    assert module.batch_size == 121
    assert [len(y) for _, y in module.train_dataloader()] == [121]


def test_a_subset_of_more_rows_than_there_are(prepared: Prepared) -> None:
    with pytest.raises(InputError, match=r"data.subset: is 500; there are 121 train rows"):
        module_of(prepared, subset=500)


class Probe(pl.LightningModule):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(24, 3)
        self.seen: list[tuple[int, bytes]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        x, y = batch
        self.seen.append((self.current_epoch, x.numpy().tobytes()))
        return nn.functional.cross_entropy(self.net(x.flatten(1).float()), y)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        assert len(batch[0]) > 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-6)


def fit(data: DataModule, max_epochs: int, folder: Path, resume: Path | None = None) -> Probe:
    trainer = pl.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    probe = Probe()
    trainer.fit(probe, datamodule=data, ckpt_path=resume, weights_only=True)
    trainer.save_checkpoint(folder / f"{max_epochs}.ckpt")
    return probe


@pytest.mark.parametrize("options", [{"resident": True}, {"resident": False, "num_workers": 1}])
def test_lightning_sets_the_epoch_also_after_a_resume(
    prepared: Prepared, tmp_path: Path, options: dict[str, Any]
) -> None:
    whole = fit(module_of(prepared, **options), 3, tmp_path)
    expected = [
        (epoch, x.numpy().tobytes()) for epoch in range(3) for x, _ in epoch_of(module_of(prepared, **options), epoch)
    ]
    assert whole.seen == expected
    fit(module_of(prepared, **options), 2, tmp_path)
    resumed = fit(module_of(prepared, **options), 3, tmp_path, tmp_path / "2.ckpt")
    assert resumed.seen == [entry for entry in expected if entry[0] == 2]
