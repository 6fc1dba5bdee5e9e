"""Optimizers that torch does not have, or not as they are published; all others are torch's own.

Every option is called `optimizer(params)` with parameter groups; `holdfast.optimizers.param_groups` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

__all__ = ["Lion", "Muon", "NAdam"]


class Lion(Optimizer):
    """The sign of an average of gradients (Chen et al. 2023, algorithm 2), with decoupled weight decay.

    c = beta1 m + (1 - beta1) g;  x -= lr (sign(c) + weight_decay x);  m = beta2 m + (1 - beta2) g.

    Args:
        params: Parameters or parameter groups.
        lr: Size of the step of every coordinate.
        betas: beta1 of the step and beta2 of the average that is kept.
        weight_decay: Share of a weight that a step takes away, in units of the rate.
    """

    def __init__(
        self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
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
        loss = _loss_of(closure)
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


class Muon(Optimizer):
    """torch's Muon on parameters with two dimensions, torch's AdamW on the others; arguments as torch has them.

    Muon (Jordan 2024): B = momentum B + (1 - momentum) g; U = (1 - momentum) g + momentum B with `nesterov`, else B;
    x -= lr weight_decay x; x -= lr s NewtonSchulz(U). Jordan's text has B = momentum B + g: the same direction, since
    the Newton-Schulz iteration starts from U / |U|. It runs in bfloat16. The size s of a matrix with A rows and B
    columns is 0.2 sqrt(max(A, B)) for `match_rms_adamw` (Liu et al. 2025, equation 4) or sqrt(max(1, A / B)).

    Matrices are told by their shape alone: Jordan gives the last layer to AdamW and flattens convolution kernels to
    matrices; here the last layer is Muon's and kernels are AdamW's. `betas` and `adamw_eps` are AdamW's, `lr` and
    `weight_decay` those of both.

    Raises:
        ValueError: `ns_steps` is below 1, `eps` is negative, or torch refuses an argument.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: Literal["original", "match_rms_adamw"] = "match_rms_adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        if ns_steps < 1:
            raise ValueError(f"Invalid ns_steps value: {ns_steps}")
        if not eps >= 0.0:
            raise ValueError(f"Invalid eps value: {eps}")
        matrices, others = _by_shape(params)
        a, b, c = ns_coefficients
        self._muon = torch.optim.Muon(
            matrices or [{"params": [torch.zeros(0, 0)]}],
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=(a, b, c),
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )
        self._adamw = AdamW(
            others or [{"params": [torch.zeros(0)]}],
            lr=lr,
            weight_decay=weight_decay,
            betas=(betas[0], betas[1]),
            eps=adamw_eps,
        )
        groups = [*self._muon.param_groups[: len(matrices)], *self._adamw.param_groups[: len(others)]]
        self._num_muon_groups = len(matrices)
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; the loss where a closure gives one."""
        loss = _loss_of(closure)
        cut = self._num_muon_groups
        # groups and state are ours, and new objects after a checkpoint is loaded: the two parts work on them
        for part, groups in ((self._muon, self.param_groups[:cut]), (self._adamw, self.param_groups[cut:])):
            part.param_groups, part.state = groups, self.state
            part.step()  # type: ignore[no-untyped-call]
        return loss


def _by_shape(params: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split each group into one of matrices and one of the rest; empty ones are left out."""
    given = list(params)
    groups = given if given and isinstance(given[0], dict) else [{"params": given}]
    parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for group in groups:
        members = list(group["params"])
        for part, wanted in zip(parts, (True, False), strict=True):
            if chosen := [parameter for parameter in members if (parameter.ndim == 2) is wanted]:
                part.append({**group, "params": chosen})
    return parts


class NAdam(torch.optim.NAdam):
    """torch's, with the product of its mu(t) in the weights' precision: torch keeps it in the default dtype's."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; the loss where a closure gives one."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.param_groups[0]["params"][0].dtype)
        try:
            return super().step(closure)
        finally:
            torch.set_default_dtype(before)


def _loss_of(closure: Callable[[], Any] | None) -> Any:
    """The loss where a closure gives one, as every optimizer of torch asks for it."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
