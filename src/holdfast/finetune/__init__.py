"""What of a pretrained model is trained. Every option is a Lightning callback with `prepare(model, max_epochs)`.

That is called before the optimizer is built; see `model.pretrained` for the weights.
"""

from holdfast.finetune.freeze import Freeze

__all__ = [
    "Freeze",
]
