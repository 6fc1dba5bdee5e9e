"""Networks from rows to logits, a file each; `holdfast.models.protocol.ModelFactory` is how every option is called."""

from holdfast.models.autoencoder import autoencoder
from holdfast.models.cnn import cnn
from holdfast.models.linear import linear
from holdfast.models.mlp import mlp
from holdfast.models.resnet import resnet
from holdfast.models.tabular_mlp import tabular_mlp
from holdfast.models.timm import timm

__all__ = ["autoencoder", "cnn", "linear", "mlp", "resnet", "tabular_mlp", "timm"]
