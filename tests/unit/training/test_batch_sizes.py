from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from holdfast.training.batch_sizes import Trial, advised, find_batch_sizes, is_out_of_memory
from holdfast.training.module import SupervisedModule
from small_runs import Data, make_config, make_data


def make_rows() -> Data:
    data = make_data("multiclass")
    data.train_rows = torch.arange(120).numpy()
    data.prepared = SimpleNamespace(y=data.train_y.numpy())
    return data


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_doubles_up_to_the_train_rows(precision: str) -> None:
    trials = list(find_batch_sizes(make_config(f"trainer.precision={precision}"), make_rows()))
    assert [trial.batch_size for trial in trials] == [2, 4, 8, 16, 32, 64, 120]
    assert all(trial.fits and trial.rows_per_s == trial.batch_size / trial.seconds for trial in trials)


def test_ends_where_memory_does(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SupervisedModule.training_step

    def training_step(self: SupervisedModule, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        if len(batch[0]) > 16:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return plain(self, batch, index)

    monkeypatch.setattr(SupervisedModule, "training_step", training_step)
    trials = list(find_batch_sizes(make_config(), make_rows()))
    assert [(trial.batch_size, trial.fits) for trial in trials[-2:]] == [(16, True), (32, False)]


def test_another_error_is_no_lack_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_the_smallest_that_is_nearly_as_fast_is_advised() -> None:
    rates = {8: 100.0, 16: 950.0, 32: 1000.0, 64: 990.0}
    trials = [Trial(size, size / rate, rate, fits=True) for size, rate in rates.items()]
    best = advised([*trials, Trial(128, float("nan"), float("nan"), fits=False)])
    assert best is not None
    assert best.batch_size == 16
    assert advised([]) is None
