"""The time that a training will take, and where that of a step goes."""

from __future__ import annotations

import time
from typing import Any

import torch

from holdfast.checks.run import check
from holdfast.checks.subject import Subject, plain_number
from holdfast.checks.verdict import Verdict
from holdfast.training.devices import device_of

DICEY_SECONDS = 0.5
MOSTLY_DATA = 0.5


@check
def timing(subject: Subject, *, num_steps: int = 5, max_seconds: float = 10.0) -> Verdict:
    """Time some steps on the device of the run, data against compute, and estimate the whole run.

    The first step is left out. A step of more than half a second makes finding out slow. Mixed precision and
    `compile` are left out: the run may be faster.

    Args:
        subject: The experiment.
        num_steps: Steps whose median counts.
        max_seconds: After which no other step is begun.
    """
    config, datamodule = subject.config, subject.datamodule
    device = torch.device(device_of(str(config.trainer.accelerator)))
    module: Any = subject.module().to(device)
    optimizer = module.make_optimizer(module.model)
    loader = datamodule.train_dataloader()
    batches, data, compute = iter(loader), list[float](), list[float]()
    started = time.perf_counter()
    while len(compute) <= num_steps and (len(compute) < 2 or time.perf_counter() - started < max_seconds):
        mark = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            continue
        x, y = (part.to(device) for part in batch)
        data.append(time.perf_counter() - mark)
        mark = time.perf_counter()
        optimizer.step(lambda x=x, y=y: _loss(module, optimizer, x, y))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        compute.append(time.perf_counter() - mark)
    step_data, step_compute = _median(data[1:]), _median(compute[1:])
    steps = len(loader) * int(config.max_epochs)
    step = step_data + step_compute
    evidence = {
        "device": str(device),
        "batch_size": datamodule.batch_size,
        "first_step_s": plain_number(compute[0]),
        "step_data_s": plain_number(step_data),
        "step_compute_s": plain_number(step_compute),
        "steps": steps,
        "estimated_run_s": plain_number(steps * step),
    }
    if step > DICEY_SECONDS:
        work, hint = "loading rows", "data.resident=true, data.num_workers, smaller images"
        if step_data < MOSTLY_DATA * step:
            work, hint = "computing", "a smaller model, a smaller batch_size, trainer=gpu, trainer.precision=bf16-mixed"
        cause = f"a step takes {1000 * step:.0f} ms, most of it for {work}; above 500 ms finding out is slow"
        return Verdict("timing", "doubtful", evidence, (cause,), hint)
    if step_data > MOSTLY_DATA * step and step > 0.01:
        cause = f"{100 * step_data / step:.0f} % of a step is waiting for rows"
        return Verdict("timing", "doubtful", evidence, (cause,), "data.resident=true, or data.num_workers")
    return Verdict("timing", "pass", evidence)


def _loss(module: Any, optimizer: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    optimizer.zero_grad()
    loss: torch.Tensor = module.training_step((x, y), 0)
    loss.backward()  # type: ignore[no-untyped-call]
    module.train_metrics.reset()
    return loss


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
