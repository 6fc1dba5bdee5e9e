"""Transforms: from stored rows to what a model sees. Every option is called `transform(train_statistics)`.

It gives a module over batches; `holdfast.transforms.layout` says more.
"""

from holdfast.transforms.as_float import AsFloat
from holdfast.transforms.standardize import Standardize

__all__ = ["AsFloat", "Standardize"]
