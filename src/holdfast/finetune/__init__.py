"""Parts of a pretrained model that are kept as they are.

Every option is a Lightning callback with a method `prepare(model, max_epochs)`, which is called before the optimizer is
built; see `model.pretrained` for the weights.
"""

from holdfast.finetune.freeze import Freeze

__all__ = [
    "Freeze",
]
