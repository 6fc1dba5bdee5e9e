"""The softmax inside a model: its weights must sum to one over what they weigh, and must not be all on one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.observer import base_name
from holdfast.checks.subject import Subject, outputs_of, plain_number

NUM_ROWS = 16
NEAR = 1e-3
FEW = 4
MOSTLY_SATURATED = 0.8
SURE = 0.99


class Weights(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows what softmax gives, through views and masks, to the product of matrices that it weighs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sums: list[Tensor] = []  # one tensor for each product: the sums of the weights over what they weigh
        self.saturated: list[float] = []  # one share for each softmax over several places: of those that are all on one
        self._weights: dict[int, Tensor] = {}  # by the place of their numbers, which views share

    def __torch_dispatch__(self, operation: Any, types: Any, values: Any = (), options: Any = None) -> Any:
        """Look at an operation, and let it run."""
        result = operation(*values, **(options or {}))
        name = base_name(operation)
        if name == "_softmax":
            self._keep(result)
            if result.shape[values[1]] >= FEW:
                self.saturated.append(float((result.amax(dim=values[1]) > SURE).float().mean()))
        elif name == "mul" and self._is_masked(*values[:2]):
            self._keep(result)
        elif name in ("bmm", "baddbmm"):
            first, second = values[-2:]
            self.sums += [first.sum(dim=-1)] if self._are_weights(first) else []
            self.sums += [second.sum(dim=-2)] if self._are_weights(second) else []
        return result

    def _keep(self, weights: Tensor) -> None:
        self._weights[weights.untyped_storage().data_ptr()] = weights

    def _are_weights(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() in self._weights

    def _is_masked(self, first: Any, second: Any) -> bool:
        if not self._are_weights(first) or not isinstance(second, Tensor):
            return False
        return bool(((second == 0) | (second == 1)).all())


@torch.no_grad()
def attention_mistakes(subject: Subject) -> Iterator[Finding]:
    """Weights that do not sum to one, and a softmax without a slope."""
    module, inputs, _ = subject.start(NUM_ROWS)
    module.eval()
    with Weights() as weights:
        outputs_of(module, inputs)
    wrong = [sums for sums in weights.sums if float((sums - 1.0).abs().max()) > NEAR]
    if wrong:
        low, high = float(wrong[0].min()), float(wrong[0].max())
        yield finding("softmax_not_normalised", {"least_sum": plain_number(low), "largest_sum": plain_number(high)})
    share = max(weights.saturated, default=0.0)
    if share >= MOSTLY_SATURATED:
        yield finding("softmax_saturated", {"share": plain_number(share)})
