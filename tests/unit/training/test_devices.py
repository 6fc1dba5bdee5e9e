from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.training.devices import check_accelerator, check_shared, num_devices


@pytest.mark.parametrize(
    ("devices", "number"), [(1, 1), ("2", 2), ([0, 1, 2], 3), ("auto", 1), (-1, 1), (0, 0), ("many", 0), (None, 0)]
)
def test_how_many(devices: object, number: int) -> None:
    assert num_devices({"accelerator": "cpu", "devices": devices}) == number


@pytest.mark.parametrize("devices", [1, 2, "2", "auto", [0], [0, 1]])
def test_what_is_taken(devices: object) -> None:
    check_accelerator({"accelerator": "cpu", "devices": devices, "strategy": "ddp"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"devices": 0}, "trainer.devices: is 0; allowed: a number from 1, auto, or a list such as [0, 1]"),
        ({"num_nodes": 2}, "trainer.num_nodes: is 2: runs stay on one machine; allowed: 1"),
        (
            {"devices": 2, "strategy": "ddp_spawn"},
            "trainer.strategy: is 'ddp_spawn'; allowed: auto, ddp, ddp_find_unused_parameters_true, fsdp",
        ),
    ],
)
def test_what_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_accelerator({"accelerator": "cpu", **config})
    assert str(caught.value) == message


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_where_there_is_none(accelerator: str) -> None:
    with pytest.raises(
        InputError, match=rf"accelerator: is '{accelerator}', but this machine has none; next: trainer=cpu"
    ):
        check_accelerator({"accelerator": accelerator, "devices": 1})


def test_what_processes_cannot_share() -> None:
    config = {
        "trainer": {"accelerator": "cpu", "devices": 2},
        "optimizer": {"_target_": "torch.optim.LBFGS"},
        "finetune": {"unfreeze_epoch": 3},
        "averaging": {"_target_": "x"},
    }
    with pytest.raises(InputError) as caught:
        check_shared(config, 1, 100, nn.Linear(1, 1))
    assert [problem.where for problem in caught.value.problems] == [
        "batch_size",
        "optimizer",
        "finetune.unfreeze_epoch",
        "averaging",
    ]
    check_shared({**config, "trainer": {"accelerator": "cpu", "devices": 1}}, 1, 100, nn.Linear(1, 1))


def test_a_batch_norm_needs_two_rows_on_each_device() -> None:
    config = {"trainer": {"accelerator": "cpu", "devices": 2}, "optimizer": {}}
    with pytest.raises(
        InputError, match=r"batch_size: is 10: the last 3 of 23 train rows leave one device one row; next"
    ):
        check_shared(config, 10, 23, nn.BatchNorm1d(3))
    check_shared(config, 10, 23, nn.LayerNorm(3))
    for num_train in (20, 21, 24):
        check_shared(config, 10, num_train, nn.BatchNorm1d(3))
