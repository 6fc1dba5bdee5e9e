"""Operations as they run: the winners of those with kinks, and what activations give."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from holdfast.training.devices import HALF

SQUASHING = ("sigmoid", "tanh", "hardtanh", "hardsigmoid")
RECTIFYING = ("relu", "threshold", "clamp_min")
# by how an operation picks: the sign of its input, the place of its winner, or the sign of a difference
BY_SIGN = ("relu", "leaky_relu", "prelu", "_prelu_kernel", "threshold", "abs", "rrelu", "elu", "celu", "sgn", "sign")
BY_PLACE = ("max_pool", "adaptive_max_pool", "max", "min", "amax", "amin", "topk", "sort", "median")
BY_DIFFERENCE = ("maximum", "minimum")
CASTS = (torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16)
LOSSES = ("kl_div", "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")
NOT_ONE = 0.1
COMPARING = ("gt", "lt", "ge", "le")
# a gradient that is not that of the function, perhaps on purpose: a stopped one, or one through steps
ON_PURPOSE = {
    torch.Tensor.detach: "detach",
    torch.Tensor.detach_: "detach",
    torch.Tensor.data.__get__: "data",  # type: ignore[attr-defined]
    torch._C._set_grad_enabled: "no_grad",
    **dict.fromkeys((torch.round, torch.Tensor.round), "round"),
    **dict.fromkeys((torch.floor, torch.Tensor.floor), "floor"),
    **dict.fromkeys((torch.sign, torch.Tensor.sign), "sign"),
}


def base_name(operation: Any) -> str:
    """The name of an operation without namespace, overload and the mark of one in place."""
    name = str(operation).removeprefix("aten.").partition(".")[0]
    return name[:-1] if name.endswith("_") and not name.startswith("_") else name


class Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what an evaluation of a function decides."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # one tensor for each operation with a kink: which side of it every element is on
        self.winners: list[Tensor] = []
        self.activations: list[tuple[str, Tensor]] = []  # (name, output) of every rectifying or squashing operation
        self.halves: list[torch.dtype] = []  # those of half precision that numbers were cast to

    def __torch_dispatch__(self, operation: Any, types: Any, values: Any = (), options: Any = None) -> Any:
        """Look at an operation, and let it run."""
        name = base_name(operation)
        before = (
            values[0].detach().clone() if values and isinstance(values[0], Tensor) and _is_looked_at(name) else None
        )
        result = operation(*values, **(options or {}))
        if before is not None and before.is_floating_point():
            self._keep(name, before, values, options or {}, result)
        if name == "_to_copy" and isinstance(result, Tensor) and result.dtype in HALF:
            self.halves.append(result.dtype)
        if name in COMPARING and isinstance(result, Tensor):
            self.winners.append(result.detach().clone())
        return result

    def _keep(self, name: str, before: Tensor, values: Any, options: dict[str, Any], result: Any) -> None:
        if name in BY_SIGN:
            self.winners.append(before > 0)
        elif name in ("clamp", "hardtanh", "clamp_min", "clamp_max", "hardsigmoid", "hardswish"):
            low, high = _limits(name, values, options)
            self.winners.append((before > low).to(torch.int8) + (before > high).to(torch.int8))
        elif name in BY_DIFFERENCE:
            self.winners.append(before > values[1])
        elif name == "multi_margin_loss":
            self.winners.append(_margin_winners(before, values))
        elif name in ("huber_loss", "smooth_l1_loss", "l1_loss"):
            self.winners.append((before - values[1]).abs() < 1.0)
            self.winners.append(before > values[1])
        elif name.startswith(BY_PLACE) and isinstance(result, tuple) and len(result) > 1:
            self.winners.append(result[1].clone())
        elif name in ("amax", "amin", "max", "min") and isinstance(result, Tensor):
            self.winners.append(before.flatten().argmax().reshape(1) if before.numel() else before)
        if name in RECTIFYING or name in SQUASHING:
            self.activations.append((name, result.detach()))


class InDoubles(TorchFunctionMode):
    """Computes in float64 where a model or a loss asks for a shorter type: differences need all digits."""

    def __torch_function__(self, function: Any, types: Any, values: Any = (), options: Any = None) -> Any:
        """Let a call run with the longer type."""
        function = torch.Tensor.double if function in CASTS else function
        options = {key: _longer(value) for key, value in (options or {}).items()}
        return function(*map(_longer, values), **options)


class Purposes(TorchFunctionMode):
    """Keeps what is called from Python that leaves the gradient of a function on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, function: Any, types: Any, values: Any = (), options: Any = None) -> Any:
        """Look at a call, and let it run."""
        with suppress(TypeError):  # what cannot be hashed is not one of those
            self.names |= {ON_PURPOSE[function]} if function in ON_PURPOSE else set()
        return function(*values, **(options or {}))


class LossCalls(TorchFunctionMode):
    """Keeps which of torch's losses are called, and with what in the places of outputs and targets."""

    def __init__(self) -> None:
        super().__init__()
        self.in_order: list[str] = []  # the outputs, which need a gradient, come first
        self.swapped: list[str] = []  # only the targets need a gradient
        self.not_logarithms = False  # a divergence is handed what is no logarithm of probabilities

    def __torch_function__(self, function: Any, types: Any, values: Any = (), options: Any = None) -> Any:
        """Look at a call, and let it run."""
        name = getattr(function, "__name__", "")
        if name in LOSSES and len(values) > 1:
            outputs, targets = values[:2]
            calls = self.in_order if outputs.requires_grad else self.swapped if targets.requires_grad else []
            calls.append(name)
            sums = outputs.detach().exp().sum(dim=-1)
            self.not_logarithms |= name == "kl_div" and float((sums - 1.0).abs().max()) > NOT_ONE
        return function(*values, **(options or {}))


def _longer(value: Any) -> Any:
    is_short = isinstance(value, torch.dtype) and value.is_floating_point
    return torch.float64 if is_short else value


def _is_looked_at(name: str) -> bool:
    return (
        name in (*BY_SIGN, *BY_DIFFERENCE, *SQUASHING, *RECTIFYING)
        or name in ("clamp", "clamp_max", "hardswish", "multi_margin_loss", "huber_loss", "smooth_l1_loss", "l1_loss")
        or name.startswith(BY_PLACE)
    )


def _limits(name: str, values: Any, options: dict[str, Any]) -> tuple[float, float]:
    if name in ("hardsigmoid", "hardswish"):
        return -3.0, 3.0
    if name == "hardtanh":
        given = [*values[1:], -1.0, 1.0] if len(values) == 1 else [*values[1:], 1.0]
        return float(given[0]), float(given[1])
    low = values[1] if len(values) > 1 and name != "clamp_max" else options.get("min")
    high = values[1] if name == "clamp_max" else values[2] if len(values) > 2 else options.get("max")
    return _number(low, -float("inf")), _number(high, float("inf"))


def _number(limit: Any, default: float) -> float:
    return float(limit) if isinstance(limit, int | float) else default


def _margin_winners(outputs: Tensor, values: Any) -> Tensor:
    right = outputs.gather(1, values[1][:, None])
    margin = values[3] if len(values) > 3 else 1.0
    return margin + outputs - right > 0
