from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.training import metrics_at_once
from holdfast.training.metrics import EpochMetrics
from holdfast.training.module import SupervisedModule, TaskSpec
from holdfast.training.stacking import metrics as stack_metrics
from holdfast.training.stacking.metrics import Pass

MEMBERS = 3
NUM_OUTPUTS = {"multiclass": 4, "binary": 1, "multilabel": 3, "regression": 1}


def members(task: str) -> list[Any]:
    spec = TaskSpec(task, NUM_OUTPUTS[task])
    return [SimpleNamespace(module=SupervisedModule(nn.Identity(), nn.Identity(), spec)) for _ in range(MEMBERS)]


def rows(task: str, num_rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Losses, outputs and targets of one batch; all classes occur where there are rows enough."""
    random = torch.Generator().manual_seed(num_rows)
    shape = (MEMBERS, num_rows) if task in ("binary", "regression") else (MEMBERS, num_rows, NUM_OUTPUTS[task])
    outputs = torch.randn(shape, generator=random, dtype=dtype)
    places = torch.stack([torch.randperm(num_rows, generator=random) for _ in range(MEMBERS)])
    if task == "regression":
        targets = places.to(dtype)
    elif task == "multilabel":
        targets = torch.stack([places % 2, places // 2 % 2, places // 4 % 2], dim=2).to(torch.uint8)
    else:
        targets = places % (4 if task == "multiclass" else 2)
    return torch.rand(MEMBERS, generator=random, dtype=dtype), outputs, targets


def alone(each: EpochMetrics, batches: list[tuple[Tensor, Tensor, Tensor]], member: int) -> dict[str, float]:
    """The numbers of a run that has the outputs of a member."""
    counts = torch.tensor([targets.shape[1] for *_, targets in batches], dtype=torch.float64)
    mean = counts @ torch.stack([losses[member] for losses, *_ in batches]).double() / counts.sum()
    outputs = torch.cat([outputs[member] for _, outputs, _ in batches])
    each.add(mean, outputs, torch.cat([targets[member] for *_, targets in batches]))
    return each.compute()


def compare(task: str, batches: list[tuple[Tensor, Tensor, Tensor]], name: str = "val_metrics") -> Pass:
    """End a pass, compare each member's numbers bit by bit with those of a single run, and give the pass."""
    stack = members(task)
    whole = Pass(stack, name)
    for batch in batches:
        whole.add(*batch)
    whole.end()
    single = members(task)
    for member in range(MEMBERS):
        metrics = getattr(stack[member].module, name)
        numbers, expected = metrics.compute(), alone(getattr(single[member].module, name), batches, member)
        assert list(numbers) == list(expected)
        assert repr(numbers) == repr(expected)  # NaN and all bits
        assert repr(metrics.by_target) == repr(getattr(single[member].module, name).by_target)
        assert metrics.compute() == {}
    return whole


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("name", ["train_metrics", "val_metrics"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_rows", [8, 288])
def test_metrics_at_once_are_those_of_single_runs(task: str, name: str, dtype: torch.dtype, num_rows: int) -> None:
    batches = [rows(task, num_rows, dtype), rows(task, 9, dtype)]
    assert not compare(task, batches, name).is_handed_over


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_ties_count_as_in_single_runs(task: str) -> None:
    losses, outputs, targets = rows(task, 200)
    assert not compare(task, [(losses, outputs.round(), targets)]).is_handed_over
    assert not compare(task, [(losses, outputs * 0.0, targets)]).is_handed_over
    assert not compare(task, [(losses, outputs * 1000.0, targets)]).is_handed_over


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("name", ["train_metrics", "val_metrics"])
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("num_rows", [1, 50])
def test_rows_of_one_class(task: str, name: str, value: int, num_rows: int) -> None:
    losses, outputs, targets = rows(task, num_rows)
    for dtype in (torch.float32, torch.float64):
        batch = (losses.to(dtype), outputs.to(dtype), torch.full_like(targets, value))
        assert compare(task, [batch], name).is_handed_over == (name == "val_metrics")


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_outputs_that_are_no_numbers(task: str, value: float) -> None:
    losses, outputs, targets = rows(task, 50)
    outputs[1, 7] = value
    compare(task, [(losses, outputs, targets)])


def test_values_and_large_outputs_are_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare("regression", [rows("regression", 50)]).is_handed_over
    monkeypatch.setattr(metrics_at_once, "MOST_AT_ONCE", 100)
    assert compare("multiclass", [rows("multiclass", 50)]).is_handed_over


def test_many_rows_are_handed_over_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_metrics, "ROWS_PER_UPDATE", 60)
    assert compare("multilabel", [rows("multilabel", 90)]).is_handed_over
    assert compare("multiclass", [rows("multiclass", 30)] * 3).is_handed_over


@pytest.mark.parametrize("asking", [[0, 1, 2], [2]], ids=["all members", "the last one"])
def test_metrics_that_were_asked_for_are_computed_one_by_one(asking: list[int]) -> None:
    stack, single, batch = members("multiclass"), members("multiclass"), rows("multiclass", 50)
    for member in asking:
        for built in (stack[member], single[member]):
            built.module.val_metrics = EpochMetrics("multiclass", 4, ["accuracy", "auroc_macro", "mcc"])
    val = Pass(stack, "val_metrics")
    val.add(*batch)
    val.end()
    for member in range(MEMBERS):
        expected = alone(single[member].module.val_metrics, [batch], member)
        assert repr(stack[member].module.val_metrics.compute()) == repr(expected)
        assert ("mcc" in expected) == (member in asking)
    assert val.is_handed_over
