"""Scales at the start: of inputs, activations and gradients; and units that are dead or saturated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.checks.probes.finding import Finding
from holdfast.checks.probes.observer import RECTIFYING, SQUASHING, Observer
from holdfast.checks.probes.training import take_steps
from holdfast.checks.subject import Subject, data_loss, multiplies, outputs_of, plain_number, seeded_outputs, trainable

NUM_ROWS = 64
LARGE_INPUT, SMALL_INPUT = 5.0, 0.02
UNLIKE_FEATURES = 1e3
VANISHED = 1e-6
EXPLODED = 1e4
MOSTLY_DEAD = 0.8
NUM_PASSES = 4
MOSTLY_SATURATED = 0.8
NEAR_LIMIT = 0.99
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def input_mistakes(subject: Subject) -> Iterator[Finding]:
    """Inputs of the first layer with weights: their scale, and whether they are numbers."""
    module, inputs, _ = subject.start(NUM_ROWS)
    if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
        cause = "the inputs hold missing or infinite values: every output of such a row is not a number"
        yield Finding("inputs_not_finite", "fail", cause, "transform.impute=median, or data.missing", {})
        return
    seen = _first_input(module, inputs)
    if seen is None:
        return
    scale = seen.flatten(1).square().mean(dim=0).sqrt()
    overall = float(seen.square().mean().sqrt())
    used = scale[scale > 0]
    ratio = float(used.max() / used.min()) if len(used) and seen.ndim == 2 else 1.0
    numbers = {"root_mean_square": plain_number(overall), "largest_against_smallest_feature": plain_number(ratio)}
    if overall > LARGE_INPUT or (ratio > UNLIKE_FEATURES and float(used.max()) > LARGE_INPUT):
        cause = f"the inputs are not normalised: their root mean square is {overall:.3g}, of standardised ones 1"
        yield Finding("inputs_not_normalised", "doubtful", cause, "transform=standardize", numbers)
    elif 0 < overall < SMALL_INPUT:
        cause = f"the inputs are scaled down twice: their root mean square is {overall:.3g}, of standardised ones 1"
        next_step = "leave a division (as that by 255) out of the model: transform=standardize has scaled them"
        yield Finding("inputs_not_normalised", "doubtful", cause, next_step, numbers)


@torch.no_grad()
def _first_input(module: Any, inputs: Tensor) -> Tensor | None:
    """Give the input of the first layer that multiplies; None where a norm comes first."""
    seen: list[Tensor | None] = []

    def look(part: nn.Module, values: Any) -> None:
        if not seen and values and isinstance(values[0], Tensor):
            is_norm = isinstance(part, NORMS) or not values[0].is_floating_point()
            seen.append(None if is_norm else values[0].detach())

    layers = [part for part in module.model.modules() if next(part.parameters(recurse=False), None) is not None]
    hooks = [part.register_forward_pre_hook(look) for part in layers]
    outputs_of(module, inputs)
    for hook in hooks:
        hook.remove()
    return seen[0] if seen else inputs


def scale_mistakes(subject: Subject) -> Iterator[Finding]:
    """Gradients and activations that vanish or explode, after three steps: layers may start at zero on purpose."""
    module, inputs, y = subject.start(NUM_ROWS)
    losses = take_steps(module, inputs, y, 3)
    layers: dict[str, float] = {}

    def look(name: str) -> Any:
        def keep(part: nn.Module, values: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                layers[name] = float(output.detach().square().mean().sqrt())

        return keep

    hooks = [part.register_forward_hook(look(name)) for name, part in module.model.named_modules() if multiplies(part)]
    with Observer() as observer:
        loss = data_loss(module, inputs, y)
    for hook in hooks:
        hook.remove()
    yield from _activations(layers, losses)
    if next(iter(layers.values()), 1.0) == 0:
        return  # the first layer gives nothing but 0: what comes behind it is not to blame
    yield from _units(observer.activations, len(inputs))
    if loss.requires_grad:
        yield from _gradients(module, inputs, y, loss)


def _activations(layers: dict[str, float], losses: list[float]) -> Iterator[Finding]:
    hidden = {name: scale for name, scale in layers.items() if scale > 0}
    if not hidden:
        return
    largest, smallest = max(hidden, key=lambda n: hidden[n]), min(hidden, key=lambda n: hidden[n])
    numbers = {"layer": largest, "root_mean_square": plain_number(hidden[largest]), "loss": plain_number(losses[0])}
    if hidden[largest] > EXPLODED:
        cause = f"activations explode at the start: those of {largest} have a root mean square of {hidden[largest]:.3g}"
        yield Finding("activations_explode", "doubtful", cause, "init=he_normal, or a norm (model.norm=batch)", numbers)
    elif hidden[smallest] < VANISHED:
        numbers = {"layer": smallest, "root_mean_square": plain_number(hidden[smallest])}
        cause = (
            f"activations vanish at the start: those of {smallest} have a root mean square of {hidden[smallest]:.3g}"
        )
        yield Finding("activations_vanish", "doubtful", cause, "init=he_normal, or a norm (model.norm=batch)", numbers)


def _gradients(module: Any, inputs: Tensor, y: Tensor, loss: Tensor) -> Iterator[Finding]:
    weights = {name: p for name, p in trainable(module.model).items() if p.ndim >= 2}
    if len(weights) < 2:
        return
    gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    scales = {
        name: float(gradient.square().mean().sqrt())
        for name, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    }
    flat = {name for name, scale in scales.items() if scale == 0}
    if flat and max(scales.values()) > 0:
        yield from _stopped(module, inputs, y, flat)
        scales = {name: scale for name, scale in scales.items() if name not in flat}
    if not scales:
        return
    largest, smallest = max(scales, key=lambda n: scales[n]), min(scales, key=lambda n: scales[n])
    numbers = {largest: plain_number(scales[largest]), smallest: plain_number(scales[smallest])}
    if scales[largest] > EXPLODED:
        cause = f"gradients explode at the start: that of {largest} has a root mean square of {scales[largest]:.3g}"
        yield Finding(
            "gradients_explode", "doubtful", cause, "init=he_normal, a norm, or a smaller scale of the loss", numbers
        )
    elif scales[smallest] < VANISHED * scales[largest]:
        small, large = f"{scales[smallest]:.2g}", f"{scales[largest]:.2g}"
        cause = f"gradients vanish at the start: that of {smallest} is {small}, that of {largest} {large}"
        next_step = "relu in place of sigmoid or tanh, init=he_normal, a norm, or short cuts around layers"
        yield Finding("gradients_vanish", "doubtful", cause, next_step, numbers)


def _stopped(module: Any, inputs: Tensor, y: Tensor, flat: set[str]) -> Iterator[Finding]:
    """Weights with a gradient of exactly 0: the outputs do not depend on them, or do so in steps.

    A part of a layer that is used otherwise may do nothing by design, as the way back of a recurrent net that is read
    at its last step; an expert of a mixture may get no row for now: with other weights it has a gradient.
    """
    weights = trainable(module.model)
    outputs = seeded_outputs(module, inputs)
    stepping = []
    with torch.no_grad():
        for name in sorted(flat):
            original = weights[name].clone()
            for _ in range(2):
                weights[name].add_(0.3 * original.std() * torch.randn_like(original))
                if not torch.equal(seeded_outputs(module, inputs), outputs) and name not in stepping:
                    stepping.append(name)
            weights[name].copy_(original)
    if stepping:
        cause = f"the gradient of {stepping[0]} is 0, and outputs depend on it: a rounding, a sign, a comparison or a "
        cause += "clamp stands behind it, which has no slope"
        next_step = "a smooth function in its place, or a gradient of your own that passes it (straight-through)"
        yield Finding("steps_without_slope", "doubtful", cause, next_step, {"weights": stepping[:5]})
    idle = flat & _without_gradient(module, inputs, y) - set(stepping)
    if idle:
        cause = f"gradients vanish: that of {sorted(idle)[0]} is 0, and outputs do not depend on it"
        next_step = "look for dead units, a factor of 0, or a mask that hides everything"
        yield Finding("gradients_vanish", "doubtful", cause, next_step, {"weights": sorted(idle)[:5]})


def _without_gradient(module: Any, inputs: Tensor, y: Tensor) -> set[str]:
    """Weights of layers none of whose parameters has a gradient, now or with other weights."""
    parameters = trainable(module.model)
    idle = set(parameters)
    for noise in (0.0, *(1.0,) * NUM_PASSES):
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.add_(noise * torch.randn_like(parameter))
        loss = data_loss(module, inputs, y)
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        moved = [n for n, g in zip(parameters, gradients, strict=True) if g is None or bool((g != 0).any())]
        layers = {name.rpartition(".")[0] for name in moved}
        idle = {name for name in idle if name not in moved and (name.rpartition(".")[0] or name) not in layers}
    return idle


def _units(activations: list[tuple[str, Tensor]], num_rows: int) -> Iterator[Finding]:
    for place, (name, output) in enumerate(activations):
        if output.ndim < 2 or len(output) != num_rows or not output.numel():
            continue
        dims = tuple(d for d in range(output.ndim) if d != (output.ndim - 1 if output.ndim == 3 else 1))
        if name in RECTIFYING:
            share = float((output.abs().amax(dim=dims) == 0).float().mean())
            if share >= MOSTLY_DEAD:
                cause = f"{100 * share:.0f} % of the units of a ReLU layer are dead at the start: 0 for every row"
                next_step = "biases of 0, init=he_normal, or leaky_relu"
                numbers = {"share": plain_number(share), "activation": place}
                yield Finding("dead_units", "doubtful", cause, next_step, numbers)
                return
        elif name in SQUASHING and place < len(activations) - (output.shape[1] <= 2):
            middle = 0.5 if "sigmoid" in name else 0.0
            share = float(((output - middle).abs() > NEAR_LIMIT * (1 - middle)).float().mean())
            if share >= MOSTLY_SATURATED:
                cause = (
                    f"{100 * share:.0f} % of the values of a {name} layer are saturated at the start: no slope is left"
                )
                numbers = {"share": plain_number(share), "activation": place}
                yield Finding(
                    "saturated_units", "doubtful", cause, "smaller weights, or transform=standardize", numbers
                )
                return
