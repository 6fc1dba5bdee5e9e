"""Networks from rows to logits, a file each. Every option is called `model(*, input_shape, num_outputs)`.

`input_shape` is that of one transformed row: (features,) or (channels, height, width). `num_outputs` are the logits of
a row: classes; 1 for binary and regression; labels for multilabel. A model that takes tables with categories names
`category_sizes` too: the number of indices of each category column, the unknown one, 0, included. These columns are the
last ones of a row.
"""

from holdfast.models.autoencoder import autoencoder
from holdfast.models.cnn import cnn
from holdfast.models.linear import linear
from holdfast.models.mlp import mlp
from holdfast.models.resnet import resnet
from holdfast.models.tabular_mlp import tabular_mlp
from holdfast.models.timm import timm

__all__ = ["autoencoder", "cnn", "linear", "mlp", "resnet", "tabular_mlp", "timm"]
