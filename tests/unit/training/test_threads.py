from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from holdfast.training import devices
from holdfast.training.build import Shapes, check_outputs
from holdfast.training.devices import set_threads
from holdfast.training.module import SupervisedModule, TaskSpec
from small_runs import make_config, make_data


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(devices, "MOST_THREADS", 4)
    monkeypatch.setattr(devices, "threads_allowed", lambda: 4)
    yield
    torch.set_num_threads(before)


def multiply_adds(model: nn.Module, input_shape: tuple[int, ...], num_outputs: int) -> float:
    shapes = Shapes("multiclass", "array", input_shape, num_outputs)
    module = SupervisedModule(model, nn.Identity(), TaskSpec("multiclass", num_outputs, 0.0, 1.0))
    check_outputs(module, shapes)
    return module.multiply_adds


def test_multiply_adds_of_known_layers() -> None:
    assert multiply_adds(nn.Linear(784, 128), (784,), 128) == 784 * 128
    convolution = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert multiply_adds(convolution, (3, 16, 16), 8) == 16 * 16 * 8 * 3 * 5 * 5
    assert multiply_adds(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (4,), 2) == 4 * 8 + 8 * 2


def test_a_model_without_products_counts_by_its_parameters() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(7))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    class Unwatched(Scale):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
                raise RuntimeError("not while I am watched")
            return x * self.scale

    assert multiply_adds(Scale(), (7,), 7) == 7
    assert multiply_adds(Unwatched(), (7,), 7) == 7


def test_a_model_is_called_no_more_often_for_it() -> None:
    class Counts(nn.Linear):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x)

    model = Counts(4, 2)
    multiply_adds(model, (4,), 2)
    assert model.calls == 1


@pytest.mark.parametrize(
    ("batch_size", "devices", "expected"), [(64, 1, 1), (700, 1, 2), (10**6, 1, 4), (10**6, 2, 2), (10**6, 8, 1)]
)
def test_auto_goes_by_the_size_of_a_step(batch_size: int, devices: int, expected: int) -> None:
    config = {"threads": "auto", "trainer": {"devices": devices, "accelerator": "cpu"}}
    assert set_threads(config, 128 * 128, batch_size) == expected
    assert torch.get_num_threads() == expected


def test_a_number_is_taken_as_it_is() -> None:
    assert set_threads({"threads": 3, "trainer": {}}, 1, 1) == 3


def test_the_record_says_how_many_and_a_run_that_goes_on_has_as_many(run, tmp_path: Path) -> None:
    data = make_data("multiclass")
    assert run(make_config(threads=2), data, "two").fields["threads"] == 2
    assert run(make_config(), data, "auto").fields["threads"] == 1
    torch.set_num_threads(1)
    goes_on = make_config(resume=str(tmp_path / "two"), max_epochs=3)
    assert run(goes_on, data, "two").fields["threads"] == 2
    assert torch.get_num_threads() == 1  # as the caller had it
