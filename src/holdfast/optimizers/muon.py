"""Muon for matrices and AdamW for all other parameters, as one optimizer with one state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.optim import AdamW, Optimizer


class Muon(Optimizer):
    """torch's Muon on parameters with two dimensions, torch's AdamW on the others.

    Muon (Jordan 2024): B = momentum B + (1 - momentum) g; U = (1 - momentum) g + momentum B with `nesterov`, else B;
    x -= lr weight_decay x; x -= lr s NewtonSchulz(U). Jordan's text has B = momentum B + g: the same direction, since
    the Newton-Schulz iteration starts from U / |U|. It runs in bfloat16. The size s of a matrix with A rows and B
    columns is 0.2 sqrt(max(A, B)) for `match_rms_adamw` (Liu et al. 2025, equation 4) or sqrt(max(1, A / B)).

    Matrices are told by their shape alone: Jordan gives the last layer to AdamW and flattens convolution kernels to
    matrices; here the last layer is Muon's and kernels are AdamW's.

    Args:
        params: Parameter groups, or parameters.
        lr: Of both.
        weight_decay: Decoupled, of both.
        momentum: Of Muon.
        nesterov: Whether Muon looks ahead.
        ns_coefficients: Of the Newton-Schulz polynomial.
        eps: Least norm that the iteration divides by.
        ns_steps: Its steps.
        adjust_lr_fn: How Muon's rate goes with the shape.
        betas: Of AdamW.
        adamw_eps: Of AdamW.

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
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        cut = self._num_muon_groups
        # groups and state are ours, and new objects after a checkpoint is loaded: the two parts work on them
        for part, groups in ((self._muon, self.param_groups[:cut]), (self._adamw, self.param_groups[cut:])):
            part.param_groups, part.state = groups, self.state
            part.step()  # type: ignore[no-untyped-call]
        return loss


def _by_shape(params: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every group as a group of matrices and a group of the rest; empty ones are left out."""
    given = list(params)
    groups = given if given and isinstance(given[0], dict) else [{"params": given}]
    parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for group in groups:
        members = list(group["params"])
        for part, wanted in zip(parts, (True, False), strict=True):
            chosen = [parameter for parameter in members if (parameter.ndim == 2) is wanted]
            if chosen:
                part.append({**group, "params": chosen})
    return parts
