"""A rate for the body and one for the head."""

from __future__ import annotations

from torch import nn

from holdfast.core.errors import require
from holdfast.models.head import body_parameters, head_names


def body_and_head(model: nn.Module, *, body_lr_factor: float = 0.1) -> dict[str, float]:
    """A share of the rate for all layers but the one that gives the logits, as for a pretrained body.

    Raises:
        InputError: The factor is not in (0, 1], or the model has no body.
    """
    require(0.0 < body_lr_factor <= 1.0, "rates.body_lr_factor", body_lr_factor, "0 < body_lr_factor <= 1")
    body_parameters(model)
    head = head_names(model)
    return {name: body_lr_factor for name, _ in model.named_parameters() if name not in head}
