"""A few rows must be learnt by heart (CS231n, "Overfit a tiny subset of data"): else a bug, or too small a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from holdfast.checks.run import check
from holdfast.checks.subject import (
    Batch,
    Subject,
    in_form_of,
    inputs_of,
    is_rows,
    loss_of,
    outputs_of,
    plain_number,
    trainable,
)
from holdfast.checks.verdict import Verdict, skipped
from holdfast.core.tasks import Task, task_of
from holdfast.training.build import leave_out_dropout

RATES = (1e-2, 1e-3, 1e-1)
# of the way from equal outputs to the floor, what may be left: more for many rows, as steps are limited
NEAR_FLOOR, NEAR_FLOOR_FOR_MANY, FEW = 0.02, 0.1, 20
RIGHT_OF_MANY = 0.95
MOST = 0.6  # of the way to the floor, and of the rows
NEARLY = 1.05
STEPS_PER_LOOK = 20
FLOOR_STEPS = 60
WIDTH_KEYS = ("hidden", "width", "channels", "num_channels", "units", "features")


@check
def overfit_tiny(
    subject: Subject, *, counts: tuple[int, ...] = (1, 4, 10, 20, 100), num_steps: int = 400, max_seconds: float = 20.0
) -> Verdict:
    """Train on 1, 4, 10, ... rows until the loss is at its floor and every row is right, of 100 nearly.

    Dropout, regularisation, augmentation and weight decay are off. The rate is found by trying. The floor of a loss is
    its minimum over free outputs, which is above 0 with label smoothing; where the rows are not learnt and the model
    has a width, twice the width is tried: it tells a model that is too small from a bug. A model without a width that
    has fewer numbers than the rows have targets passes where it does as well as a linear one. A model that learns 20
    rows, and most of 100 or has fewer numbers than those have targets, passes too.

    Args:
        subject: The experiment.
        counts: Of rows, ascending.
        num_steps: At most, for each count and rate.
        max_seconds: Of processor time, for all counts together.
    """
    num_weights = sum(parameter.numel() for parameter in trainable(subject.module().model).values())
    if not num_weights:
        return skipped("overfit_tiny", "the model has nothing to train")
    ends = time.thread_time() + max_seconds
    tried: list[dict[str, Any]] = []
    rates, wider = list(RATES), _wider(subject)
    for count in counts:
        if time.thread_time() > ends or (tried and count > len(subject.datamodule.train_rows)):
            break
        batch = _distinct(subject, count)
        trial = _learn(subject.plain_module, batch, rates, num_steps, ends)
        if not trial["is_learnt"] and wider is None and num_weights <= count * subject.num_outputs:
            trial["loss_of_a_linear_model"] = _learn(_linear(subject), batch, rates, num_steps, ends)["loss"]
            trial["is_learnt"] = trial["loss"] <= NEARLY * trial["loss_of_a_linear_model"]
        tried.append({"rows": count, **trial})
        if not trial["is_learnt"]:
            break
        rates.sort(key=lambda rate: rate != trial["lr"])
    evidence = {"tried": tried, "not_tried": [count for count in counts if count > tried[-1]["rows"]]}
    last = tried[-1]
    if last["is_learnt"]:
        return Verdict("overfit_tiny", "pass", evidence)
    if last["seconds_ran_out"]:
        return skipped("overfit_tiny", f"{max_seconds:.0f} s did not suffice for {last['rows']} rows")
    if wider is not None:
        trial = _learn(wider, _distinct(subject, last["rows"]), rates, num_steps, ends + max_seconds)
        evidence["with_twice_the_width"] = trial
        if trial["is_learnt"]:
            cause = f"the model is too small: with twice its width {last['rows']} rows are learnt by heart"
            return Verdict("overfit_tiny", "doubtful", evidence, (cause,), "a wider or deeper model")
    is_small = num_weights <= last["rows"] * subject.num_outputs
    if len(tried) > 1 and tried[-2]["rows"] >= FEW and (is_small or last["is_mostly_learnt"]):
        return Verdict("overfit_tiny", "pass", {**evidence, "numbers_of_the_model": num_weights})
    at = f"the loss stays at {last['loss']:.3g}, above its floor of {last['floor']:.3g}"
    if last["share_right"] < 1.0:
        at = f"the loss is {last['loss']:.3g}, its floor {last['floor']:.3g}, and {last['share_right']:.0%} are right"
    rows = "1 row is" if last["rows"] == 1 else f"{last['rows']} rows are"
    causes = [
        f"{rows} not learnt by heart: {at}; a bug in model or loss",
        "a model that is too small for so many rows",
        "rows that are alike and have different targets",
    ]
    if is_small:
        causes[0] = f"{rows} not learnt by heart: {at}; the model has fewer numbers than they have targets"
        causes[1] = "a bug in model or loss"
    word = "fail" if last["rows"] == 1 else "doubtful"
    return Verdict("overfit_tiny", word, evidence, tuple(causes), "check=mistakes and check=gradient look for bugs")  # type: ignore[arg-type]


def _distinct(subject: Subject, count: int) -> Batch:
    """Rows that differ; a single one twice, as batch normalisation takes no single row."""
    x, y = subject.rows(count)
    _, places = torch.unique(x.reshape(len(x), -1).nan_to_num(), dim=0, return_inverse=True)
    first = [places.tolist().index(place) for place in sorted(set(places.tolist()), key=places.tolist().index)]
    x, y = x[first], y[first]
    return (torch.cat([x, x]), torch.cat([y, y])) if len(x) == 1 else (x, y)


def _linear(subject: Subject) -> Callable[[], Any]:
    """Builds a linear model in place of the run's own."""

    def make() -> Any:
        module = subject.plain_module()
        width = inputs_of(module, subject.rows(1)[0]).numel()
        module.model = nn.Sequential(nn.Flatten(), nn.Linear(width, subject.num_outputs))
        return module

    return make


def _learn(make: Any, batch: Batch, rates: list[float], num_steps: int, ends: float) -> dict[str, Any]:
    """Train from the start with each rate, until one does it; what the best of them came to."""
    best: dict[str, Any] = {}
    for rate in rates:
        trial = _learn_by_rate(make(), batch, rate, num_steps, ends)
        if not best or trial["is_learnt"] or trial["loss"] < best["loss"]:
            best = trial
        if trial["is_learnt"] or trial["seconds_ran_out"]:
            break
    return best


def _learn_by_rate(module: Any, batch: Batch, rate: float, num_steps: int, ends: float) -> dict[str, Any]:
    inputs, y = inputs_of(module, batch[0]), batch[1]
    targets = inputs if is_rows(module) else y
    chance, floor = _chance_and_floor(module, inputs, targets)
    near, enough_right = (NEAR_FLOOR, 1.0) if len(y) <= FEW else (NEAR_FLOOR_FOR_MANY, RIGHT_OF_MANY)
    enough = floor + near * max(chance - floor, 1e-3)
    optimizer = torch.optim.Adam(trainable(module.model).values(), lr=rate)
    value, share, step = chance, 0.0, 0
    for step in range(1, num_steps + 1):
        outputs = outputs_of(module, inputs)
        loss = loss_of(module, outputs, targets)
        optimizer.zero_grad()
        if not loss.requires_grad or not bool(loss.isfinite()):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % STEPS_PER_LOOK and step != num_steps:
            continue
        value, share = _state(module, inputs, targets)
        if (value <= enough and share >= enough_right) or time.thread_time() > ends:
            break
    return {
        "is_learnt": value <= enough and share >= enough_right,
        "is_mostly_learnt": value <= chance - MOST * (chance - floor) and share >= MOST,
        "loss": plain_number(value),
        "floor": plain_number(floor),
        "share_right": plain_number(share),
        "lr": rate,
        "steps": step,
        "seconds_ran_out": time.thread_time() > ends,
    }


@torch.no_grad()
def _state(module: Any, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """Loss and share of rows that are right, in the better one of both modes: one may draw, the other lags behind."""
    states = []
    for is_training in (True, False):
        module.train(is_training)
        outputs = outputs_of(module, inputs)
        states.append(
            (float(loss_of(module, outputs, targets)), _share_right(task_of(module.spec.task), outputs, targets))
        )
    module.train()
    return min(states)


def _share_right(task: Task, outputs: Tensor, targets: Tensor) -> float:
    if task.is_values or task.is_rows:
        return 1.0
    right = outputs.argmax(dim=1) == targets if task.is_softmax else (outputs > 0) == (targets > 0.5)
    return float(right.double().mean())


def _chance_and_floor(module: Any, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """The loss of equal outputs, and its minimum over outputs that may be anything."""
    with torch.no_grad():
        outputs = outputs_of(module, inputs)
    free = torch.zeros_like(outputs, requires_grad=True)
    chance = float(loss_of(module, in_form_of(outputs, free), targets).detach())
    optimizer = torch.optim.Adam([free], lr=0.5)
    least = chance
    for _ in range(FLOOR_STEPS):
        loss = loss_of(module, in_form_of(outputs, free), targets)
        if not loss.requires_grad:
            break
        least = min(least, float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return chance, least


def _wider(subject: Subject) -> Any:
    """Builds the model with twice its width; None where it has no such key."""
    node = OmegaConf.to_container(subject.config.model, resolve=True)
    assert isinstance(node, dict)
    widths = {str(key): value for key, value in node.items() if key in WIDTH_KEYS and _is_width(value)}
    if not widths:
        return None
    doubled = {key: [2 * v for v in value] if isinstance(value, list) else 2 * value for key, value in widths.items()}

    def make() -> Any:
        module = subject.rebuilt(subject.config.seed, **doubled)
        leave_out_dropout(module.model)
        return module

    return make


def _is_width(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
