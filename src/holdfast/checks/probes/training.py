"""One training step, looked at closely: what the gradient reaches, what the optimizer has, what stays as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.checks.probes.autograd import leaves_behind, multiplied_leaves
from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.subject import Subject, data_loss, multiplies, outputs_of, seeded_outputs, trainable

NUM_ROWS = 32
NOISE = 1e-7
NUM_PASSES = 4


def take_steps(module: Any, inputs: Tensor, y: Tensor, count: int, length: float = 0.1) -> list[float]:
    """Go down the slope on one batch by steps of one length, whatever the scale of the loss; gives the losses."""
    parameters = list(trainable(module.model).values())
    losses = []
    for _ in range(count if parameters else 0):
        loss = data_loss(module, inputs, y)
        losses.append(float(loss.detach()))
        if not loss.requires_grad or not math.isfinite(losses[-1]):
            break
        given = torch.autograd.grad(loss, parameters, allow_unused=True)
        slopes = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, given, strict=True)]
        steepness = float(torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt())
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.sub_(slope, alpha=length / max(steepness, 1e-30))
    return losses


def step_mistakes(subject: Subject) -> Iterator[Finding]:
    """A whole training step, as the run will take it."""
    module = subject.module()
    batch = subject.rows(NUM_ROWS)
    try:
        loss = module.training_step(batch, 0)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # a user's own code may raise anything
        problem = str(error).partition(". Hint:")[0]
        yield finding("step_fails", error=type(error).__name__, problem=problem)
        return
    if not math.isfinite(float(loss.detach())):
        yield finding("loss_not_finite")
        return
    gradients = {name: p.grad for name, p in trainable(module.model).items() if p.grad is not None}
    if wrong := [name for name, gradient in gradients.items() if not bool(gradient.isfinite().all())]:
        yield finding("gradient_not_finite", {"parameters": wrong[:5]}, parameter=wrong[0])
    elif gradients and not any(bool(gradient.any()) for gradient in gradients.values()):
        yield finding("no_gradient")


def gradient_flow_mistakes(subject: Subject) -> Iterator[Finding]:
    """Parameters that nothing trains, tensors that are trained by nobody, and layers under two names."""
    module, inputs, y = subject.start(NUM_ROWS)
    parameters = trainable(module.model)
    are_frozen = [not parameter.requires_grad for parameter in module.model.parameters() if parameter.ndim >= 2]
    if parameters and are_frozen and all(are_frozen):
        yield finding("only_biases_trained", parameter=next(iter(parameters)))
    elif parameters and (frozen := _frozen_head(module, inputs)):
        yield finding("head_frozen", layer=frozen)
    loss = data_loss(module, inputs, y)
    leaves = leaves_behind(loss) if loss.requires_grad else []
    reached = {id(leaf) for leaf in leaves}
    if parameters and not any(id(parameter) in reached for parameter in parameters.values()):
        place = "loss" if outputs_of(module, inputs).requires_grad else "model"
        yield finding("graph_cut_off", place=place)
        return
    later = leaves_behind(data_loss(module, inputs.flip(0), y.flip(0)))
    yield from _hidden(module, leaves, later)
    yield from _shared(module, inputs)
    reached |= {id(leaf) for leaf in later}
    if missed := [name for name, parameter in parameters.items() if id(parameter) not in reached]:
        yield from _missed(subject, missed)


@torch.no_grad()
def _frozen_head(module: Any, inputs: Tensor) -> str:
    """The layer of weights that are not trained whose outputs are those of the model; empty where there is none."""
    given: dict[str, Tensor] = {}
    layers = {name: layer for name, layer in module.model.named_modules() if multiplies(layer)}
    frozen = {n: p for n, p in layers.items() if not any(w.requires_grad for w in p.parameters() if w.ndim >= 2)}
    hooks = [p.register_forward_hook(lambda _, __, out, n=n: given.update({n: out})) for n, p in frozen.items()]
    outputs = outputs_of(module, inputs)
    for hook in hooks:
        hook.remove()
    return next((n for n, out in given.items() if torch.equal(out.reshape(-1), outputs.reshape(-1))), "")


def _missed(subject: Subject, missed: list[str]) -> Iterator[Finding]:
    """Parameters without a gradient: of layers that are never used, or cut off from the loss.

    A layer may be left out by chance, or be one of several that a row is sent to: it is looked for in eval mode and
    with other weights as well.
    """
    called, reached, trained = set[str](), set[str](), set[str]()
    for is_training, noise in ((True, 0.0), (False, 0.0), *((True, 1.0),) * NUM_PASSES):
        module, inputs, y = subject.start(NUM_ROWS)
        with torch.no_grad():
            for parameter in trainable(module.model).values():
                parameter.add_(noise * torch.randn_like(parameter))
        parts = dict(module.model.named_modules())
        hooks = [p.register_forward_pre_hook(lambda _, __, name=n: called.add(name)) for n, p in parts.items()]
        loss = data_loss(module.train(is_training), inputs, y)
        for hook in hooks:
            hook.remove()
        behind = {id(leaf) for leaf in leaves_behind(loss)} if loss.requires_grad else set()
        own = {name for name, parameter in trainable(module.model).items() if id(parameter) in behind}
        reached |= own
        trained |= own if is_training else set()
    if untrained := [name for name in missed if name in reached - trained]:
        yield finding("used_in_eval_mode_alone", {"parameters": untrained[:5]}, parameter=untrained[0])
    missed = [name for name in missed if name not in reached]
    numbers = {"parameters": missed[:5], "count": len(missed)}
    if unused := [name for name in missed if name.rpartition(".")[0] not in called]:
        layer = unused[0].rpartition(".")[0] or unused[0]
        yield finding("layer_unused", numbers, layer=layer)
    if called_ones := [name for name in missed if name not in unused]:
        mistake = "parameter_cut_off" if _moves_outputs(subject, called_ones) else "result_unused"
        yield finding(mistake, numbers, parameter=called_ones[0])


@torch.no_grad()
def _moves_outputs(subject: Subject, names: list[str]) -> bool:
    """Tell whether outputs change with parameters of these names."""
    module, inputs, _ = subject.start(NUM_ROWS)
    outputs = seeded_outputs(module, inputs)
    for name in names:
        parameter = module.model.get_parameter(name)
        parameter.add_(torch.randn_like(parameter))
    return not torch.equal(seeded_outputs(module, inputs), outputs)


def _shared(module: Any, inputs: Tensor) -> Iterator[Finding]:
    """A layer that stands under several names, and is called for each, has one set of weights."""
    names: dict[nn.Module, list[str]] = {}
    for name, part in module.model.named_modules(remove_duplicate=False):
        if next(part.parameters(), None) is not None:
            names.setdefault(part, []).append(name)
    calls = dict.fromkeys(names, 0)

    def count(part: nn.Module, values: Any) -> None:
        calls[part] += 1

    shared = [part for part in names if len(names[part]) > 1]
    hooks = [part.register_forward_pre_hook(count) for part in shared]
    outputs_of(module, inputs)
    for hook in hooks:
        hook.remove()
    if shared := [part for part in shared if calls[part] >= len(names[part])]:
        places = names[shared[0]]
        yield finding("layer_shared", {"names": places}, places=", ".join(places[:5]))


def _hidden(module: Any, leaves: list[Tensor], later: list[Tensor]) -> Iterator[Finding]:
    """Leaves of a loss that belong to no parameter of the model.

    `later` are the leaves behind the loss of another forward pass.
    """
    own = {id(parameter) for parameter in module.model.parameters()}
    hidden = [leaf for leaf in leaves if id(leaf) not in own and leaf.requires_grad]
    if hidden:
        of_loss = {id(p) for p in module._loss.parameters()} if isinstance(module._loss, nn.Module) else set()
        again = {id(leaf) for leaf in later}
        if all(id(leaf) in of_loss for leaf in hidden):
            where = "the loss has parameters, and the optimizer has those of the model alone"
        elif not any(id(leaf) in again for leaf in hidden):
            where = "a layer is made anew in each forward pass"
        else:
            where = "layers or tensors in a plain list, a dict or an attribute that is no nn.Parameter"
        shapes = [list(leaf.shape) for leaf in hidden[:5]]
        yield finding("hidden_parameters", {"count": len(hidden), "shapes": shapes}, where=where)


def optimizer_mistakes(subject: Subject) -> Iterator[Finding]:
    """An optimizer must have all that is trained, and set gradients back."""
    module, inputs, y = subject.start(NUM_ROWS)
    assert module.make_optimizer is not None
    optimizer = module.make_optimizer(module.model)
    parameters = trainable(module.model)
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    left_out = [name for name, parameter in parameters.items() if id(parameter) not in held]
    if left_out:
        yield finding("not_in_optimizer", {"count": len(left_out)}, parameter=left_out[0])
    loss = data_loss(module, inputs, y)
    if not loss.requires_grad:
        return
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.zero_grad()
    kept = [name for name, p in parameters.items() if p.grad is not None and bool((p.grad != 0).any())]
    if kept:
        yield finding("gradients_not_zeroed", {"count": len(kept)})


def symmetry_mistakes(subject: Subject) -> Iterator[Finding]:
    """Units that start as copies of each other and have the same gradient stay copies for ever."""
    module, inputs, y = subject.start(NUM_ROWS)
    multiplied = multiplied_leaves(data_loss(module, inputs, y))
    constant = [
        name
        for name, parameter in trainable(module.model).items()
        if id(parameter) in multiplied
        and parameter.squeeze().ndim >= 2
        and len(parameter) > 2
        and bool((parameter == parameter.flatten()[0]).all() & (parameter != 0).all())
    ]
    same = _equal_rows(module, inputs, y)
    if same:
        take_steps(module, inputs, y, 3)
        same &= _equal_rows(module, inputs, y)
    at_zero = [name for name in sorted(same) if not bool(trainable(module.model)[name].any())]
    if at_zero and set(at_zero) == same:
        yield finding("stays_at_zero", {"weights": at_zero[:5]}, weight=at_zero[0])
    elif same:
        names = sorted(same - set(at_zero))
        yield finding("symmetric_weights", {"weights": names[:5]}, weight=f"the rows of {names[0]} are all equal")
    elif constant:
        weight = f"all numbers of {constant[0]} are the same"
        yield finding("symmetric_weights", {"weights": constant[:5]}, word="doubtful", weight=weight)


def _equal_rows(module: Any, inputs: Tensor, y: Tensor) -> set[str]:
    parameters = trainable(module.model)
    loss = data_loss(module, inputs, y)
    if not loss.requires_grad or not parameters:
        return set()
    given = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    gradients = {name: gradient for name, gradient in zip(parameters, given, strict=True) if gradient is not None}
    largest = max((float(gradient.abs().max()) for gradient in gradients.values()), default=0.0)
    return {
        name
        for name, gradient in gradients.items()
        if gradient.ndim >= 2
        and gradient.shape[0] > 1
        and _has_equal_rows(parameters[name])
        and _has_equal_rows(gradient, of=largest)
    }


def _has_equal_rows(matrix: Tensor, of: float = 0.0) -> bool:
    """Tell whether rows differ by no more than rounding, of the matrix or of numbers as large as `of`."""
    flat = matrix.detach().flatten(1)
    return float((flat - flat[:1]).abs().max()) <= max(1e-6 * float(flat.abs().max()), NOISE * of)
