"""Transforms: from stored rows to what a model sees. Every option is called `transform(train_statistics)`.

It gives a module over batches; `holdfast.transforms.standardize` says more.
"""

from holdfast.transforms.standardize import AsFloat, Standardize

__all__ = ["AsFloat", "Standardize"]
