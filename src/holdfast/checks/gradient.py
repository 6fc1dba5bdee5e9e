"""The gradient check: what autograd gives, against centred differences (CS231n, "Gradient Checks")."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.checks.probes.autograd import has_identity
from holdfast.checks.probes.element import Element
from holdfast.checks.probes.observer import InDoubles, Purposes
from holdfast.checks.probes.training import take_steps
from holdfast.checks.run import check
from holdfast.checks.subject import (
    Subject,
    data_loss,
    inputs_of,
    is_rows,
    let_padding_learn,
    loss_of,
    outputs_of,
    plain_number,
    regularization_of,
    trainable,
)
from holdfast.checks.verdict import Verdict, skipped

STEPS = (1e-5, 1e-4, 1e-6)
WRONG, UNCOMFORTABLE, FINE = 1e-2, 1e-4, 1e-6
LAYERS_PER_BAND = 10  # deeper nets get more room
AGREE = 1e-2
FEW = 4
BURN_IN = 5
HOOK, IDENTITY = "a hook of a parameter", "an identity with a gradient of its own"
MAX_EVALUATIONS = 6000


@dataclass
class Comparison:
    """Elements that were compared, at one point of one function.

    Attributes:
        num_compared: Elements.
        num_kinks: Elements set aside, because a kink lies within every step.
        num_uncertain: Elements set aside, because the differences do not agree with each other.
        num_passed_through: Elements of parameters by which the function is flat, and which have a gradient nonetheless.
        worst: {"parameter", "index", "analytic", "numeric", "relative_error", "h"} of the largest error.
        ratios: The gradient by the difference, of the elements with an error.
        on_purpose: Operations that leave the gradient on purpose.
    """

    num_compared: int = 0
    num_kinks: int = 0
    num_uncertain: int = 0
    num_passed_through: int = 0
    worst: dict[str, Any] = field(default_factory=dict)
    ratios: list[float] = field(default_factory=list)
    on_purpose: frozenset[str] = frozenset()

    @property
    def is_off_on_purpose(self) -> bool:
        """Tell whether there is an error, and an operation that would be meant to cause it."""
        return self.error > UNCOMFORTABLE and bool(self.on_purpose)

    @property
    def is_scaled(self) -> bool:
        """Tell whether all elements with an error are off by one factor, as a detached share of a layer makes it."""
        is_one_factor = len(self.ratios) >= FEW and max(self.ratios) - min(self.ratios) < AGREE * min(self.ratios)
        return is_one_factor and self.on_purpose == {"detach"}

    @property
    def error(self) -> float:
        """The largest relative error."""
        return float(self.worst.get("relative_error", 0.0))


@check
def gradient(subject: Subject, *, num_rows: int = 3, num_elements: int = 4) -> Verdict:
    """Compare gradients in float64 over a few rows, at the start and after a burn-in; then of the regularisation alone.

    The relative error of an element is |fa - fn| / max(|fa|, |fn|); both zero passes. Dropout is left out, and whatever
    else is drawn is the same in every evaluation.

    Args:
        subject: The experiment.
        num_rows: Rows that the loss is taken over; few have few kinks.
        num_elements: Elements of every parameter tensor.
    """
    module: Any = subject.plain_module().double()
    let_padding_learn(module)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with InDoubles():
            return _compared(subject, module, num_rows, num_elements)
    finally:
        torch.set_default_dtype(before)


def _compared(subject: Subject, module: Any, num_rows: int, num_elements: int) -> Verdict:
    x, y = subject.rows(num_rows)
    inputs = inputs_of(module, x).double()
    parameters = trainable(module.model)
    if not parameters:
        return skipped("gradient", "the model has nothing to train")

    buffers = {name: value.clone() for name, value in module.model.named_buffers()}

    def loss() -> Tensor:
        torch.manual_seed(0)
        with torch.no_grad():  # a spectral norm goes on with each forward pass
            for name, value in module.model.named_buffers():
                value.copy_(buffers[name])
        return data_loss(module, inputs, y)

    if not loss().requires_grad:
        causes = ("the graph is cut off: no parameter gets a gradient from the loss",)
        return Verdict("gradient", "fail", {"loss": plain_number(loss())}, causes, "check=mistakes names the place")
    if not torch.equal(loss().detach(), loss().detach()):
        return skipped("gradient", "the loss differs from one evaluation to the next, with one seed and the same rows")
    with Purposes() as purposes:
        outputs = outputs_of(module, inputs)
    with Purposes() as purposes_of_loss:
        loss_of(module, outputs, inputs if is_rows(module) else y)
    hooks = {HOOK for parameter in parameters.values() if parameter._backward_hooks}
    hooks |= {IDENTITY} if has_identity(loss) else set()
    on_purpose = frozenset(purposes.names | purposes_of_loss.names | hooks)
    comparisons = {"at_the_start": compare(loss, parameters, num_elements, on_purpose)}
    if comparisons["at_the_start"].is_off_on_purpose:
        # what goes on with each pass in train mode, as the vectors of a spectral norm do, is still in eval mode
        module.eval()
        comparisons["at_the_start"] = compare(loss, parameters, num_elements, on_purpose)
    take_steps(module, inputs, y, BURN_IN)
    comparisons["after_a_burn_in"] = compare(loss, parameters, num_elements, on_purpose)
    regular: Any = subject.module().double()
    if regularization_of(regular) is not None:
        term = _term_of(regular)
        comparisons["of_the_regularization"] = compare(term, trainable(regular.model), num_elements)
    # weights of rows, and targets that follow from outputs, are detached on purpose
    is_meant = purposes_of_loss.names == {"detach"} and not purposes.names | hooks
    return _verdict(
        comparisons, is_meant=is_meant, num_layers=sum(parameter.ndim >= 2 for parameter in parameters.values())
    )


def _term_of(module: Any) -> Callable[[], Tensor]:
    def term() -> Tensor:
        value = regularization_of(module)
        assert value is not None
        return value

    return term


def compare(
    function: Callable[[], Tensor],
    parameters: dict[str, nn.Parameter],
    num_elements: int,
    on_purpose: frozenset[str] = frozenset(),
) -> Comparison:
    """Compare some elements of the gradient of a function of parameters, which are changed and set back.

    Args:
        function: Of no arguments, the same in every evaluation.
        parameters: By name.
        num_elements: Of each parameter.
        on_purpose: Operations in the function that leave its gradient on purpose.
    """
    result = Comparison(on_purpose=on_purpose)
    value = function()
    gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    # small gradients are brought into the range where floats are dense
    largest = max((float(g.abs().max()) for g in gradients if g is not None and g.numel()), default=0.0)
    scale = 1.0 / largest if largest > 0 else 1.0
    generator = torch.Generator().manual_seed(0)
    num_elements = max(1, min(num_elements, MAX_EVALUATIONS // (2 * len(parameters))))
    for (name, parameter), given in zip(parameters.items(), gradients, strict=True):
        slope = torch.zeros_like(parameter) if given is None else given
        for index in _chosen(slope.flatten(), num_elements, generator):
            element = Element(function, name, parameter, index, scale)
            _compare_one(result, element, scale * float(slope.flatten()[index]))
    return result


def _chosen(slope: Tensor, count: int, generator: torch.Generator) -> list[int]:
    """The element with the largest slope, and others at random, one without a slope among them if there is any."""
    if not slope.numel():
        return []
    chosen = [int(slope.abs().argmax())]
    zeros = torch.nonzero(slope == 0).flatten()
    if len(zeros) and count > 2:
        chosen.append(int(zeros[int(torch.randint(len(zeros), (1,), generator=generator))]))
    chosen += torch.randint(slope.numel(), (count,), generator=generator).tolist()
    return list(dict.fromkeys(chosen))[:count]


def _compare_one(result: Comparison, element: Element, analytic: float) -> None:
    """Compare one element by the step that does it best; kinks are looked for only where the error is large."""
    result.num_compared += 1
    errors: dict[float, tuple[float, float]] = {}
    for h in STEPS:
        numeric, noise = element.difference(h)
        errors[h] = (_relative_error(analytic, numeric, noise), numeric)
        if errors[h][0] < FINE:
            break
    best = min(errors, key=lambda h: errors[h][0])
    error, numeric = errors[best]
    if error > UNCOMFORTABLE:
        if all(element.crosses_kink(h) for h in errors):
            result.num_kinks += 1
            return
        if element.is_flat:
            result.num_passed_through += 1
            return
        if not _agree(errors):
            result.num_uncertain += 1
            return
        result.ratios.append(analytic / numeric if numeric else math.inf)
    if error >= result.error:
        numbers = {"analytic": analytic / element.scale, "numeric": numeric / element.scale, "relative_error": error}
        rounded = {name: plain_number(value) for name, value in numbers.items()}
        result.worst = {"parameter": element.name, "index": element.index, **rounded, "h": best}


def _relative_error(analytic: float, numeric: float, noise: float) -> float:
    difference = abs(analytic - numeric)
    if not math.isfinite(difference):
        return math.inf
    return 0.0 if difference <= noise else difference / max(abs(analytic), abs(numeric))


def _agree(errors: dict[float, tuple[float, float]]) -> bool:
    """Tell whether two steps give the same difference, so that it can be believed."""
    numeric = [value for _, value in errors.values()]
    pairs = [(a, b) for place, a in enumerate(numeric) for b in numeric[place + 1 :]]
    return any(abs(a - b) <= AGREE * max(abs(a), abs(b), 1e-9) for a, b in pairs)


def _verdict(comparisons: dict[str, Comparison], *, is_meant: bool, num_layers: int) -> Verdict:
    room = max(1.0, num_layers / LAYERS_PER_BAND)
    evidence = {
        name: {
            "compared": comparison.num_compared,
            "set_aside_at_kinks": comparison.num_kinks,
            "set_aside_as_uncertain": comparison.num_uncertain,
            "set_aside_as_passed_through": comparison.num_passed_through,
            "largest_relative_error": plain_number(comparison.error),
            "worst": comparison.worst,
        }
        for name, comparison in comparisons.items()
    }
    place = max(comparisons, key=lambda name: comparisons[name].error)
    worst = comparisons[place]
    where = place.replace("_", " ")
    if worst.error <= UNCOMFORTABLE * room or worst.is_scaled or is_meant:
        return Verdict("gradient", "pass", evidence)
    element = f"{worst.worst['parameter']}[{worst.worst['index']}]"
    numbers = f"{worst.worst['analytic']:.4g} and not {worst.worst['numeric']:.4g}"
    causes = [f"the gradient is wrong {where}: that of {element} is {numbers} (relative error {worst.error:.2g})"]
    next_step = "mend the backward of your own autograd function, or an operation in place"
    if worst.on_purpose:
        names = ", ".join(sorted(worst.on_purpose))
        causes.append(f"the gradient is changed, stopped or passed through on purpose ({names})")
        if worst.on_purpose == {HOOK}:
            causes[0] = f"a hook changes the gradient {where}: that of {element} is {numbers}"
    if worst.error <= WRONG * room or worst.on_purpose:
        causes[0] = causes[0].replace("is wrong", "is doubtful")
        return Verdict("gradient", "doubtful", evidence, tuple(causes), next_step)
    return Verdict("gradient", "fail", evidence, tuple(causes), next_step)
