"""The first steps of the run's own optimizer on one batch: what they do to loss, weights and outputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.subject import Subject, data_loss, plain_number, regularization_of, seeded_outputs, trainable

NUM_ROWS = 32
NUM_STEPS = 20
RISEN, FAR = 3.0, 20.0
HARDLY = 0.05
SMALL_OUTPUTS = 0.02
CLIPPED = 1e-4
MUCH_DECAY, LITTLE_DECAY = 0.1, 5e-5  # of the weights in a step; with huge weights a little is a large step
ALIKE = 0.9
DECAY_OF_STEP, DECAY_OF_GRADIENT = 0.06, 0.5
SEVERAL, MANY = 50, 500
LARGE_EPS = 1e-2
SCHEDULED_STEPS = 1000
GONE, EARLY, GROWN, MOSTLY = 1e-3, 0.5, 30.0, 0.5
PARABOLA_STEPS, SIDE, LOW, GENTLE = 300, 8, 0.3, 0.02


@dataclass
class FirstSteps:
    """The effect of the steps; a run that an optimizer with a closure of several evaluations takes has none."""

    losses: list[float] = field(default_factory=list)  # before each step, and after the last one
    gradient_norm: float = 0.0  # at the start, before clipping
    outputs: float = 0.0  # root mean square at the start, in train mode
    movement: float = 0.0  # root mean square of what the outputs have moved since

    @property
    def num_steps(self) -> int:
        """Steps that were taken."""
        return max(0, len(self.losses) - 1)


def first_steps(subject: Subject) -> FirstSteps:
    """Take twenty steps, fewer where the time is up, with the rate, the decay and the clipping of the run."""
    module, inputs, y = subject.start(NUM_ROWS)
    assert module.make_optimizer is not None
    optimizer = module.make_optimizer(module.model)
    steps = FirstSteps()
    if isinstance(optimizer, torch.optim.LBFGS) or not trainable(module.model):
        return steps
    before = seeded_outputs(module, inputs).detach()
    for number in range(NUM_STEPS + 1):
        loss = data_loss(module, inputs, y)
        steps.losses.append(float(loss.detach()))
        if not loss.requires_grad or not math.isfinite(steps.losses[-1]):
            break
        if number == NUM_STEPS or (number > 1 and not subject.has_time):
            break
        term = regularization_of(module)
        optimizer.zero_grad()
        (loss if term is None else loss + term).backward()  # type: ignore[no-untyped-call]
        norm = _clip(module.model, subject.config.trainer)
        steps.gradient_norm = steps.gradient_norm or norm
        optimizer.step()
    steps.outputs = float(before.square().mean().sqrt())
    steps.movement = float((seeded_outputs(module, inputs).detach() - before).square().mean().sqrt())
    return steps


def _clip(model: nn.Module, trainer: Any) -> float:
    """Clip gradients as the run does; gives their norm before."""
    limit = trainer.get("gradient_clip_val")
    if limit is not None and trainer.get("gradient_clip_algorithm") == "value":
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), math.inf))
        nn.utils.clip_grad_value_(model.parameters(), float(limit))
        return norm
    return float(nn.utils.clip_grad_norm_(model.parameters(), math.inf if limit is None else float(limit)))


def first_step_mistakes(subject: Subject) -> Iterator[Finding]:
    """A rate that makes the loss explode, and steps that will not get anywhere within the run.

    They are left out where the rate is still to be found, and in a sweep, whose runs share the verdicts and have rates
    of their own.
    """
    if subject.is_rate_open:
        return
    rates = _rates(subject)
    if not max(rates):
        yield finding("rate_of_zero", {"steps": len(rates)})
        return
    num_lasting = max(step for step, rate in enumerate(rates, 1) if rate > GONE * max(rates))
    if num_lasting < EARLY * len(rates):
        yield finding("rate_gone_early", {"last_step": num_lasting, "steps": len(rates)})
    if max(rates) > GROWN * float(subject.config.lr):
        yield finding("rate_grows", {"lr": float(subject.config.lr), "largest": max(rates), "steps": len(rates)})
    yield from _momentum(subject)
    yield from _averages(subject)
    steps = first_steps(subject)
    if not steps.num_steps or not math.isfinite(steps.gradient_norm):
        return  # another probe tells of a gradient that is not finite
    first, largest = steps.losses[0], max(steps.losses, key=lambda value: math.inf if math.isnan(value) else value)
    numbers = {"steps": steps.num_steps, "first_loss": plain_number(first), "largest_loss": plain_number(largest)}
    has_risen = not math.isfinite(largest) or (largest > RISEN * first > 0 and steps.losses[-1] > first)
    has_jumped = steps.movement > FAR * max(1.0, steps.outputs)
    if (has_risen or has_jumped) and not _warms_up(subject):
        yield finding("rate_too_large", {**numbers, "movement": plain_number(steps.movement)})
        return
    limit = subject.config.trainer.get("gradient_clip_val")
    if limit is not None and float(limit) < CLIPPED * steps.gradient_norm:
        numbers = {"gradient_norm": plain_number(steps.gradient_norm), "clip": float(limit)}
        yield finding("clipped_away", numbers)
        return
    of_run, num_rows = _steps_of_run(subject), len(subject.datamodule.train_rows)
    if of_run < SEVERAL and num_rows >= MANY and _steps_of_epoch(subject) == 1:
        yield finding("few_steps", {"steps_of_run": of_run, "rows": num_rows})
        return
    movement = steps.movement * max(1.0, of_run / steps.num_steps)
    if movement < HARDLY and math.isfinite(first) and not subject.task.is_rows:
        numbers = {"movement": plain_number(movement), "steps_of_run": of_run, "steps": steps.num_steps}
        if 0 < steps.outputs < SMALL_OUTPUTS:
            why = f"they start at {steps.outputs:.1g}, and something scales them down"
            yield finding(
                "steps_too_short", numbers, why=why, advice="leave a division of the outputs out of the model"
            )
        else:
            why, advice = "the steps are too short (lr, clipping) or too few", "a larger lr: check=lr_range advises one"
            eps = float(_scheduled(subject)[1].param_groups[0].get("eps", 0.0))
            if eps > LARGE_EPS:
                why, advice = f"eps of the optimizer, {eps:g}, outweighs the gradients", "optimizer.eps=1e-8"
            yield finding("steps_too_short", numbers, why=why, advice=advice)


def _momentum(subject: Subject) -> Iterator[Finding]:
    """A momentum that takes longer than the run to forget its first gradients."""
    group = _scheduled(subject)[1].param_groups[0]
    momentum = float(group.get("momentum") or group.get("betas", (0.0,))[0])
    of_run = _steps_of_run(subject)
    if momentum >= 1.0 or 1.0 / (1.0 - momentum) > max(of_run, SEVERAL):
        averaged = 1.0 / max(1.0 - momentum, 1e-9)
        yield finding("momentum_too_large", {"averaged": averaged, "steps_of_run": of_run})


def _averages(subject: Subject) -> Iterator[Finding]:
    """Averages of weights, or of a batch norm, that the run is too short for: most of them is still what they were."""
    averaging: Any = subject.config.averaging or {}
    averages = list[tuple[str, float, float, str]]()
    if "decay" in averaging:
        count = (1.0 - averaging.get("start", 0.0)) * _steps_of_run(subject) / averaging.get("every_num_steps", 1)
        advice = "a smaller averaging.decay: the last 1 / (1 - decay) averages count"
        averages.append(("the averaged weights, which are validated and kept,", averaging.decay, count, advice))
    for name, part in subject.module().model.named_modules():
        # the statistics of pretrained weights are of use as they are
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.momentum and part.num_batches_tracked == 0:
            count, advice = max(SEVERAL, _steps_of_run(subject)), "momentum=0.1: it is the share of the new batch"
            averages.append((f"the statistics of {name}, used in eval mode,", 1.0 - part.momentum, count, advice))
    for average, decay, count, advice in averages:
        if (share := float(decay) ** count) > MOSTLY:
            words = {"average": average, "share": share, "decay": decay, "advice": advice}
            yield finding("average_stays", {"averages": round(count)}, **words)
            return


def _steps_of_epoch(subject: Subject) -> int:
    in_epoch = -(-len(subject.datamodule.train_rows) // subject.datamodule.batch_size)
    return max(1, in_epoch // int(subject.config.trainer.get("accumulate_grad_batches") or 1))


def _steps_of_run(subject: Subject) -> int:
    return int(subject.config.max_epochs) * _steps_of_epoch(subject)


def _scheduled(subject: Subject) -> tuple[list[float], torch.optim.Optimizer, dict[str, Any]]:
    """The optimizer's own rates, and the optimizer under the schedule of the run at its start."""
    module = subject.module()
    assert module.make_optimizer is not None
    optimizer = module.make_optimizer(module.model)
    rates = [group["lr"] for group in optimizer.param_groups]
    total_steps = max(2, _steps_of_run(subject))
    schedule = module.make_schedule(optimizer, total_steps=total_steps, steps_per_epoch=_steps_of_epoch(subject))
    return rates, optimizer, schedule


def _warms_up(subject: Subject) -> bool:
    """Tell whether the schedule starts with a smaller rate."""
    rates, optimizer, _ = _scheduled(subject)
    return any(group["lr"] < 0.5 * rate for group, rate in zip(optimizer.param_groups, rates, strict=True))


def _rates(subject: Subject) -> list[float]:
    """The rate of each step of the run, the largest of all parameters, by the schedule; of a thousand steps at most.

    A schedule that goes by a metric keeps its first rate here.
    """
    _, optimizer, schedule = _scheduled(subject)
    in_epoch, rates = _steps_of_epoch(subject), list[float]()
    for step in range(1, min(_steps_of_run(subject), SCHEDULED_STEPS) + 1):
        rates.append(max(float(group["lr"]) for group in optimizer.param_groups))
        if "monitor" not in schedule and (schedule["interval"] == "step" or step % in_epoch == 0):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch misses the steps of the optimizer
                schedule["scheduler"].step()
    return rates


def direction_mistakes(subject: Subject) -> Iterator[Finding]:
    """The first step must go down the slope, and weight decay must not outweigh the gradient.

    A decay that takes the same share of every weight is compared with the rest of the step; one that is added to the
    gradient, which the optimizer may scale afterwards, with the gradient.
    """
    plain, decayed = _first_step(subject, has_decay=False), _first_step(subject, has_decay=True)
    if plain is None or decayed is None or not bool(plain.slope.any()):
        return
    if float(plain.moved @ plain.slope) > 0:
        yield finding("steps_uphill")
    by_decay = decayed.moved - plain.moved
    weights = plain.weights * (by_decay != 0)  # biases and norms have none
    is_apart = float(torch.cosine_similarity(by_decay, -weights, dim=0)) > ALIKE
    numbers = {
        "share_of_weights": plain_number(by_decay.norm() / weights.norm().clamp_min(1e-30)),
        "share_of_step": plain_number(by_decay.norm() / plain.moved.norm().clamp_min(1e-30)),
    }
    if is_apart:
        of_weights, of_step = numbers["share_of_weights"], numbers["share_of_step"]
        is_too_strong = of_weights > MUCH_DECAY or (of_weights > LITTLE_DECAY and of_step > DECAY_OF_STEP)
    else:
        is_too_strong = decayed.decay * float(weights.norm()) > DECAY_OF_GRADIENT * float(plain.slope.norm())
    if is_too_strong:
        yield finding("decay_too_strong", numbers)


class FirstStep(NamedTuple):
    """A step of the optimizer from the start; all parameters in one vector."""

    weights: Tensor  # before it
    slope: Tensor
    moved: Tensor  # after it less before it
    decay: float  # the largest of the groups


def _first_step(subject: Subject, *, has_decay: bool) -> FirstStep | None:
    """The first step with the decay or without; None where the optimizer takes none by itself."""
    module, inputs, y = subject.start(NUM_ROWS)
    assert module.make_optimizer is not None
    optimizer = module.make_optimizer(module.model)
    for group in optimizer.param_groups:
        group["weight_decay"] = group.get("weight_decay", 0.0) if has_decay else 0.0
    parameters = list(trainable(module.model).values())
    weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
    torch.manual_seed(0)  # with and without decay, dropout draws alike
    loss = data_loss(module, inputs, y)
    if isinstance(optimizer, torch.optim.LBFGS) or not loss.requires_grad:
        return None
    loss.backward()  # type: ignore[no-untyped-call]
    slopes = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
    optimizer.step()
    moved = torch.cat([parameter.detach().flatten() for parameter in parameters]) - weights
    decay = max(float(group["weight_decay"]) for group in optimizer.param_groups)
    return FirstStep(weights, torch.cat(slopes), moved, decay)


def minimum_mistakes(subject: Subject) -> Iterator[Finding]:
    """An optimizer of the user's own must find the minimum of a parabola, or draw near to it step by step.

    The start is twenty steps of the rate away, and the curvature such that plain gradient descent takes 2 % of the rest
    in each step. Optimizers that ask for the gradient many times in a step, as by a line search, are left out.
    """
    module: Any = subject.module()
    parabola = nn.Linear(SIDE, SIDE, bias=False)
    optimizer, weight = module.make_optimizer(parabola), parabola.weight
    rate = float(optimizer.param_groups[0].get("lr", 0.0))
    if type(optimizer).__module__.startswith(("torch.", "holdfast.")) or not rate:
        return
    low, away = LOW * torch.randn(SIDE, SIDE).sign(), NUM_STEPS * rate
    weight.data = low + away * torch.randn(SIDE, SIDE).sign()
    num_calls, distances = 0, list[float]()

    def closure() -> Any:
        nonlocal num_calls
        num_calls += 1
        weight.grad = GENTLE / rate * (weight.detach() - low)
        return GENTLE / rate * (weight.detach() - low).square().sum() / 2

    for _ in range(PARABOLA_STEPS):
        optimizer.step(closure)
        distances.append(float((weight.detach() - low).square().mean().sqrt()) / away)
        if not subject.has_time or num_calls > 3 * PARABOLA_STEPS:
            return
    late = float(torch.tensor(distances[-PARABOLA_STEPS // 3 :]).square().mean().sqrt())
    if not late <= MOSTLY and distances != sorted(distances, reverse=True):
        is_small = float(weight.detach().abs().mean()) < LOW / 2
        how = "a weight decay that is not multiplied by the rate" if is_small else "a momentum that never decays"
        yield finding("minimum_missed", {"steps": PARABOLA_STEPS, "distance": plain_number(late)}, how=how)
