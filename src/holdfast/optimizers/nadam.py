"""NAdam that is exact in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


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
