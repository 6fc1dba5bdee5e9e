"""Initial weights of linear layers and convolutions; norms keep torch's own. Every option is called `init(model)`.

All but `zero_last` set biases to `bias`. The layer that gives the logits is the last linear layer or convolution of
`model.modules()`; starting it at 0 gives equal outputs, and the loss of chance, before the first step.
"""

from holdfast.init.he_normal import he_normal
from holdfast.init.he_uniform import he_uniform
from holdfast.init.orthogonal import orthogonal
from holdfast.init.small_random import small_random
from holdfast.init.xavier_normal import xavier_normal
from holdfast.init.xavier_uniform import xavier_uniform
from holdfast.init.zero_last import zero_last

__all__ = [
    "he_normal",
    "he_uniform",
    "orthogonal",
    "small_random",
    "xavier_normal",
    "xavier_uniform",
    "zero_last",
]
