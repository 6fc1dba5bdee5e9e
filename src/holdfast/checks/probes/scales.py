"""Scales at the start: of inputs, activations and gradients; and units that are dead or saturated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.observer import RECTIFYING, SQUASHING, Observer
from holdfast.checks.probes.training import take_steps
from holdfast.checks.subject import (
    EMBEDDINGS,
    Subject,
    data_loss,
    let_padding_learn,
    multiplies,
    outputs_of,
    plain_number,
    seeded_outputs,
    trainable,
)
from holdfast.training.devices import HALF

NUM_ROWS = 64
LARGE_INPUT, SMALL_INPUT = 5.0, 0.02
UNLIKE_FEATURES = 1e3
VANISHED = 1e-6
EXPLODED = 1e4
MOSTLY_DEAD = 0.8
NUM_PASSES = 4
MOSTLY_SATURATED = 0.8
NEAR_LIMIT = 0.99
VARIES, WEAK = 0.05, 0.1
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def input_mistakes(subject: Subject) -> Iterator[Finding]:
    """Inputs of the first layer with weights: their scale, and whether they are numbers."""
    module, inputs, _ = subject.start(NUM_ROWS)
    if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
        yield finding("inputs_not_finite")
        return
    if inputs.ndim == 4 and inputs.shape[-1] in (1, 3) and inputs.shape[1] > inputs.shape[-1]:
        shape = " x ".join(map(str, inputs.shape[1:]))
        yield finding("channels_last", shape=shape, channels=inputs.shape[1])
    seen = _first_input(module, inputs)
    if seen is None:
        return
    scale = seen.flatten(1).square().mean(dim=0).sqrt()
    overall = float(seen.square().mean().sqrt())
    used = scale[scale > 0]
    ratio = float(used.max() / used.min()) if len(used) and seen.ndim == 2 else 1.0
    numbers = {"root_mean_square": plain_number(overall), "largest_against_smallest_feature": plain_number(ratio)}
    if overall > LARGE_INPUT or (ratio > UNLIKE_FEATURES and float(used.max()) > LARGE_INPUT):
        yield finding("inputs_not_normalised", numbers, how="not normalised", advice="transform=standardize")
    elif 0 < overall < SMALL_INPUT and not any(isinstance(part, nn.Embedding) for part in module.modules()):
        advice = "leave a division (as that by 255) out of the model: transform=standardize has scaled them"
        yield finding("inputs_not_normalised", numbers, how="scaled down twice", advice=advice)


@torch.no_grad()
def _first_input(module: Any, inputs: Tensor) -> Tensor | None:
    """Give the input of the first layer with weights that takes numbers.

    None where a norm comes first, or where nothing but embeddings has weights, which take indices.
    """
    seen: list[Tensor | None] = []

    def look(part: nn.Module, values: Any) -> None:
        is_number = bool(values) and isinstance(values[0], Tensor) and values[0].is_floating_point()
        if not seen and is_number:  # an embedding takes indices: the layer behind it is looked at
            seen.append(None if isinstance(part, NORMS) else values[0].detach())

    layers = [
        part
        for part in module.model.modules()
        if next(part.parameters(recurse=False), None) is not None
        and not (part is module.model and any(isinstance(inner, EMBEDDINGS) for inner in part.modules()))
    ]
    hooks = [part.register_forward_pre_hook(look) for part in layers]
    outputs_of(module, inputs)
    for hook in hooks:
        hook.remove()
    if seen:
        return seen[0]
    return None if any(isinstance(part, EMBEDDINGS) for part in module.model.modules()) else inputs


@torch.no_grad()
def norm_mistakes(subject: Subject) -> Iterator[Finding]:
    """Norms whose outputs, before their own weight and bias, are far below a root mean square of 1."""
    module, inputs, _ = subject.start(NUM_ROWS)
    weak: dict[str, float] = {}

    def look(name: str) -> Any:
        def keep(part: Any, values: Any, output: Tensor) -> None:
            affine = [getattr(part, key, None) for key in ("weight", "bias")]
            if len(values[0]) > 1 and float(values[0].std(dim=0).max()) > VARIES:
                for parameter, start in zip(affine, (1.0, 0.0), strict=True):
                    if parameter is not None:
                        parameter.fill_(start)
                weak[name] = float(part.forward(*values).square().mean().sqrt())

        return keep

    hooks = [
        part.register_forward_hook(look(name)) for name, part in module.model.named_modules() if isinstance(part, NORMS)
    ]
    outputs_of(module, inputs)
    for hook in hooks:
        hook.remove()
    for name, scale in weak.items():
        if scale < WEAK:
            yield finding("norm_without_effect", {"root_mean_square": plain_number(scale)}, part=name)
            return


def scale_mistakes(subject: Subject) -> Iterator[Finding]:
    """Gradients and activations that vanish or explode, after three steps: layers may start at zero on purpose."""
    module, inputs, y = subject.start(NUM_ROWS)
    let_padding_learn(module)
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
    if observer.halves and all(parameter.dtype not in HALF for parameter in module.model.parameters()):
        yield finding("half_precision", dtype=str(observer.halves[0]).removeprefix("torch."))
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
    if hidden[largest] > EXPLODED:
        numbers = {"root_mean_square": plain_number(hidden[largest]), "loss": plain_number(losses[0])}
        yield finding("activations_explode", {"layer": largest, **numbers})
    elif hidden[smallest] < VANISHED:
        yield finding("activations_vanish", {"layer": smallest, "root_mean_square": plain_number(hidden[smallest])})


def _gradients(module: Any, inputs: Tensor, y: Tensor, loss: Tensor) -> Iterator[Finding]:
    scales = _gradient_scales(module, loss)
    if len(scales) < 2:
        return
    flat = {name for name, scale in scales.items() if scale == 0}
    largest = max(scales, key=lambda n: scales[n])
    if scales[largest] > EXPLODED:
        yield finding("gradients_explode", {"parameter": largest, "root_mean_square": plain_number(scales[largest])})
    elif names := _vanishing(scales, flat):
        take_steps(module, inputs, y, 3)  # behind several factors that start at 0, gradients are small, and grow
        if _vanishing(_gradient_scales(module, data_loss(module, inputs, y)), flat):
            how = " and ".join(f"that of {name} is {scales[name]:.2g}" for name in names)
            yield finding("gradients_vanish", {name: scales[name] for name in names}, how=how)
    if flat and scales[largest] > 0:
        yield from _stopped(module, inputs, y, flat)


def _gradient_scales(module: Any, loss: Tensor) -> dict[str, float]:
    """The root mean square of the gradient of each matrix of weights that has one."""
    weights = {name: p for name, p in trainable(module.model).items() if p.ndim >= 2}
    gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True) if weights else ()
    given = {name: gradient for name, gradient in zip(weights, gradients, strict=True) if gradient is not None}
    return {name: plain_number(gradient.square().mean().sqrt()) for name, gradient in given.items()}


def _vanishing(scales: dict[str, float], flat: set[str]) -> list[str]:
    """The weights of the least gradient, those of `flat` aside, and of the largest, if that is far larger."""
    names = sorted(scales.keys() - flat, key=lambda n: scales[n])
    return [names[0], names[-1]] if names and scales[names[0]] < VANISHED * scales[names[-1]] else []


def _stopped(module: Any, inputs: Tensor, y: Tensor, flat: set[str]) -> Iterator[Finding]:
    """Weights with a gradient of exactly 0: the outputs do not depend on them, or do so in steps.

    A part of a layer that is used otherwise may do nothing by design, as the way back of a recurrent net that is read
    at its last step; an expert of a mixture may get no row for now: with other weights it has a gradient.
    """
    weights = trainable(module.model)
    outputs = seeded_outputs(module, inputs)
    stepping = list[str]()
    flat = {name for name in flat if not weights[name]._backward_hooks}  # the gradient check tells of hooks
    with torch.no_grad():
        for name in sorted(flat):
            original = weights[name].clone()
            for _ in range(2):
                weights[name].add_(0.3 * original.std() * torch.randn_like(original))
                if not torch.equal(seeded_outputs(module, inputs), outputs) and name not in stepping:
                    stepping.append(name)
            weights[name].copy_(original)
    if stepping:
        yield finding("steps_without_slope", {"weights": stepping[:5]}, weight=stepping[0])
    if idle := sorted(flat & _without_gradient(module, inputs, y) - set(stepping)):
        yield finding("weights_without_effect", {"weights": idle[:5]}, weight=idle[0])


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
                yield finding("dead_units", {"share": plain_number(share), "activation": place})
                return
        elif name in SQUASHING and place < len(activations) - (output.shape[1] <= 2):
            middle = 0.5 if "sigmoid" in name else 0.0
            share = float(((output - middle).abs() > NEAR_LIMIT * (1 - middle)).float().mean())
            if share >= MOSTLY_SATURATED:
                yield finding("saturated_units", {"share": plain_number(share), "activation": place}, name=name)
                return
