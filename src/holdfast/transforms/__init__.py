"""Transforms: from stored rows to what a model sees. Every option is called `transform(train_statistics)`.

It gives a module over batches; `holdfast.data.transforms` says more.
"""

from holdfast.data.transforms import AsFloat, Standardize

__all__ = ["AsFloat", "Standardize"]
