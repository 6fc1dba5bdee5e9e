"""Lion, which torch does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lion(Optimizer):
    """The sign of an average of gradients (Chen et al. 2023, algorithm 2), with decoupled weight decay.

    c = beta1 m + (1 - beta1) g;  x -= lr (sign(c) + weight_decay x);  m = beta2 m + (1 - beta2) g.

    Args:
        params: Parameters or parameter groups.
        lr: Size of the step of every coordinate.
        betas: beta1 of the step and beta2 of the average that is kept.
        weight_decay: Share of a weight that a step takes away, in units of the rate.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        if not lr >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"Invalid betas: {list(betas)}")
        if not weight_decay >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; the loss where a closure gives one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, gradient, (beta1, beta2) = self.state[parameter], parameter.grad, group["betas"]
        assert gradient is not None
        if not state:
            state["average"] = torch.zeros_like(parameter)
        direction = torch.lerp(gradient, state["average"], beta1).sign_()
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.add_(direction, alpha=-group["lr"])
        state["average"].lerp_(gradient, 1.0 - beta2)
