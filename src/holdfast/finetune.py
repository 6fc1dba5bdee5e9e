"""Parts of a pretrained model that are kept as they are.

Every option is a Lightning callback with a method `prepare(model, max_epochs)`, which is called before the optimizer is
built; see `model.pretrained` for the weights.
"""

from __future__ import annotations

import pytorch_lightning as pl
from torch import nn

from holdfast.core.errors import require
from holdfast.models.head import body_parameters

__all__ = ["Freeze"]


class Freeze(pl.Callback):
    """Keeps all layers but the one that gives the logits as they are: weights, running statistics, no dropout.

    From `unfreeze_epoch` on, 2 or more, the body is trained as well; None: never.
    """

    def __init__(self, unfreeze_epoch: int | None = None) -> None:
        self.unfreeze_epoch = unfreeze_epoch

    def prepare(self, model: nn.Module, max_epochs: int) -> None:
        """Leave a body that is never trained out of the optimizer.

        Raises:
            InputError: The epoch is not one of the training, or the model has no body.
        """
        is_right = self.unfreeze_epoch is None or 2 <= self.unfreeze_epoch <= max_epochs
        require(is_right, "finetune.unfreeze_epoch", self.unfreeze_epoch, f"null (never), or 2 to {max_epochs}")
        for parameter in body_parameters(model).values():
            parameter.requires_grad_(self.unfreeze_epoch is not None)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze the body or train it, by the epoch alone: a resumed run does the same."""
        model = pl_module.model
        assert isinstance(model, nn.Module)
        is_frozen = self.unfreeze_epoch is None or trainer.current_epoch + 1 < self.unfreeze_epoch
        for parameter in body_parameters(model).values():
            parameter.requires_grad_(not is_frozen)
        model.train(not is_frozen)
